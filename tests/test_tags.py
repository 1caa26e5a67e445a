"""Tags: every rule at its exact limits, the worked example, personas, and tags of a source."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from test_engine import found, literal

from crm import catalogue, engine, tags
from crm.tables import TABLES, check

AS_OF = date(2023, 10, 31)
CUSTOMERS = "customer_id registered_on birth_date gender\n"
ORDERS = "order_id customer_id ordered_at amount channel country\n"
RETURNS = "return_id customer_id returned_at amount reverses reverses_line\n"
ITEMS = "line order_id customer_id ordered_at product_id amount\n"
PRODUCTS = """
product_id  category  is_product
tea         Tea       true
green       Tea       true
pot         Pots      true
post        Service   false
"""


@pytest.fixture(scope="module")
def con():
    return engine.connect(threads=2)


@pytest.fixture
def bought(con):
    """Purchases by customer; without dates of registration unless a test gives them."""

    def _bought(orders: str, returns: str = "", customers: str = "a - - -", **options):
        tables = (
            literal(con, "tables/customers", CUSTOMERS + customers),
            literal(con, "tables/orders", ORDERS + orders),
            literal(con, "tables/returns", RETURNS + returns),
        )
        made = tags.purchases(*tables, **{"as_of": AS_OF, **options})
        return engine.frame(con, made).set_index("customer_id").sort_index()

    return _bought


def people(**columns) -> pd.DataFrame:
    """Customers as `label` takes them: what is not named is empty, or nothing bought."""
    size = len(next(iter(columns.values())))
    days = dict.fromkeys(["birth_date", "registered_on", "first_order_on", "last_order_on"])
    given = {"customer_id": [f"c{n}" for n in range(size)], "gender": [None] * size}
    given |= {"spend_90d": [0.0] * size, "freq_90d": [0] * size, "active_quarters": [0] * size}
    frame = pd.DataFrame(given | {name: [None] * size for name in days} | columns)
    return frame.assign(**{name: pd.to_datetime(frame[name]) for name in days})


def labelled(scores: list[tuple] = (), **columns) -> pd.DataFrame:
    raw = people(**columns)
    known = pd.DataFrame(list(scores), columns=["f_score", "m_score"], dtype="float64")
    known = known.assign(customer_id=raw["customer_id"].head(len(known)).tolist())
    return tags.label(raw, known, as_of=AS_OF)


# --- who they are (TAG-01, TAG-02)


@pytest.mark.parametrize(
    ("birthday", "age", "band"),
    [
        ("2005-11-01", 17, "under 18"),  # turns 18 the next day
        ("2005-10-31", 18, "18–25"),
        ("1997-11-01", 25, "18–25"),
        ("1997-10-31", 26, "26–35"),
        ("1987-11-01", 35, "26–35"),
        ("1987-10-31", 36, "36–45"),
        ("1977-11-01", 45, "36–45"),
        ("1977-10-31", 46, "46–55"),
        ("1967-11-01", 55, "46–55"),
        ("1967-10-31", 56, "56 and over"),
        (None, -1, "unknown"),
        ("2023-11-01", -1, "unknown"),  # not born yet: a mistake
        ("1880-01-01", -1, "unknown"),
    ],
)
def test_a_band_of_age_begins_on_the_birthday(birthday, age, band):
    made = labelled(birth_date=[birthday])
    assert made[["age", "age_band"]].values.tolist() == [[age, band]]


def test_who_was_born_on_29_february_turns_on_1_march():
    leap = people(birth_date=["2004-02-29"])["birth_date"]
    ages = [tags._age(leap, date(2022, 2, 28))[0], tags._age(leap, date(2022, 3, 1))[0]]
    assert ages == [17, 18]


def test_an_unknown_gender_is_a_value_of_its_own():
    made = labelled(gender=["male", None, "unknown"])
    assert made["gender"].tolist() == ["male", "unknown", "unknown"]


# --- customer type (TAG-05, Q-19, Q-52)


@pytest.mark.parametrize(
    ("registered", "first", "last", "kind"),
    [
        ("2022-03-15", "2022-03-20", "2023-10-20", "old"),  # E1: 10001
        ("2023-01-10", "2023-01-11", "2023-09-05", "new"),  # E1: 10002
        ("2021-11-28", "2021-12-01", "2023-07-15", "churned"),  # E1: 10003
        ("2020-01-01", "2020-01-01", "2023-08-03", "old"),  # 89 days
        ("2020-01-01", "2020-01-01", "2023-08-02", "churned"),  # 90 days
        ("2023-05-01", "2023-05-01", "2023-08-02", "churned"),  # churned before new
        ("2022-11-01", None, None, "new"),  # 364 days
        ("2022-10-31", None, None, "old"),  # 365 days
        (None, "2022-10-31", "2023-10-30", "old"),  # the first order, if no registration
        (None, "2022-11-01", "2023-10-30", "new"),
        (None, None, None, "new"),
    ],
)
def test_churned_comes_before_new_and_new_before_old(registered, first, last, kind):
    made = labelled(registered_on=[registered], first_order_on=[first], last_order_on=[last])
    assert made["customer_type"].tolist() == [kind]


# --- behaviour (TAG-16, Q-21) and the worked example


def test_the_worked_example_has_its_types_and_labels():
    made = labelled(
        [(85, 88), (65, 40), (25, 20)],  # E2: F and M of 10001, 10002, 10003
        registered_on=["2022-03-15", "2023-01-10", "2021-11-28"],
        last_order_on=["2023-10-20", "2023-09-05", "2023-07-15"],
    )
    words = [made[name].map(tags.chinese).tolist() for name in ("customer_type", "behaviour")]
    assert words == [
        ["老客户", "新客户", "流失客户"],
        ["高消费、高频次", "低消费、中频次", "低消费、低频次"],
    ]
    assert made["behaviour"][0] == "high spend, high frequency"


@pytest.mark.parametrize(
    ("score", "level"),
    [(80, "high"), (79.99, "middle"), (60, "middle"), (59.99, "low"), (0, "low")],
)
def test_a_level_begins_at_its_score(score, level):
    made = labelled([(score, score)], gender=["male"])
    assert made[["spend_level", "frequency_level"]].values.tolist() == [[level, level]]


def test_who_has_no_score_is_low_in_both():
    assert labelled(gender=["male"])["behaviour"].tolist() == ["low spend, low frequency"]


# --- windows (TAG-08…10)


@pytest.mark.parametrize(
    ("day", "in_30", "in_90"),
    [
        ("2023-10-01T23:59", 0, 1),  # day 30: outside
        ("2023-10-02T00:00", 1, 1),
        ("2023-08-02T23:59", 0, 0),  # day 90: outside
        ("2023-08-03T00:00", 0, 1),
        ("2023-10-31T23:59", 1, 1),  # the whole last day
        ("2023-11-01T00:00", 0, 0),
    ],
)
def test_a_window_holds_exactly_its_days_and_ends_with_as_of(bought, day, in_30, in_90):
    made = bought(f"1 a {day} 100 web -", customers="a 2020-01-01 - -")
    assert made[["freq_30d", "freq_90d", "spend_90d"]].values.tolist() == [
        [in_30, in_90, 100.0 * in_90]
    ]


def test_returns_reduce_spend_and_cancel_whole_purchases(bought):
    orders = "1 a 2023-10-01 100 web -\n2 a 2023-10-02 50 web -"
    returns = "R a 2023-10-03 50 2 -\nS a 2023-10-04 30 - -\nT a 2023-11-01 99 1 -"
    made = bought(orders, returns)
    assert made[["freq_90d", "spend_90d", "orders", "spend"]].values.tolist() == [[1, 70, 1, 70]]


def test_the_average_order_value_is_empty_without_purchases():
    made = labelled(spend_90d=[300.0, 0.0], freq_90d=[2, 0])
    assert made["aov"].fillna(-1).tolist() == [150.0, -1.0]


def test_who_is_not_known_yet_is_left_out_and_who_has_no_date_stays(bought):
    customers = "a - - -\nb 2023-11-01 - -\nc 2023-10-31 - -\nd 2024-01-01 - -"
    made = bought("1 d 2023-10-01 10 web -", customers=customers)
    assert made.index.tolist() == ["a", "c", "d"]


def test_who_ordered_first_after_as_of_is_not_known_yet(bought):
    orders = "1 a 2023-11-01 10 web -"
    assert bought(orders).empty
    assert bought(orders, as_of=date(2023, 11, 1)).index.tolist() == ["a"]


def test_no_customers_have_no_tags(bought):
    assert bought("1 x 2023-10-01 10 web -", customers="").empty


# --- habits (TAG-11, TAG-19, TAG-26, TAG-31, TAG-34)


def test_overtime_is_18_to_24_on_monday_to_friday(bought):
    orders = """
    1 a 2023-10-30T17:59 1 web -
    2 a 2023-10-30T18:00 1 web -
    3 a 2023-10-27T23:59 1 web -
    4 a 2023-10-28T20:00 1 web -
    """  # a Monday twice, a Friday, a Saturday
    assert bought(orders)["overtime_order_share"].tolist() == [0.5]
    assert bought(orders, overtime=[17, 18])["overtime_order_share"].tolist() == [0.25]
    assert bought("")["overtime_order_share"].isna().all()


def test_loyal_is_a_purchase_in_three_of_the_last_four_quarters(bought):
    quarters = "1 a 2023-10-31 1 web -\n2 a 2023-08-02 1 web -\n3 a 2023-08-01 1 web -"
    assert bought(quarters)["active_quarters"].tolist() == [2]  # days 0, 90 and 91
    made = labelled(active_quarters=[3, 2, 1, 0])
    assert made["loyalty"].tolist() == ["loyal", "occasional", "occasional", "inactive"]


def test_the_preferred_channel_has_most_purchases_then_spend_then_the_first_name(con):
    orders = """
    1 a 2023-10-01 1 web -
    2 a 2023-10-02 9 store -
    3 a 2023-10-03 1 web -
    4 b 2023-10-01 5 web -
    5 b 2023-10-01 7 store -
    6 c 2023-10-01 5 web -
    7 c 2023-10-01 5 app -
    """
    tables = (
        literal(con, "tables/orders", ORDERS + orders),
        literal(con, "tables/returns", RETURNS),
    )
    made = tags.preferred(tags.channels(*tables, as_of=AS_OF), "channel", share="share")
    assert [(c, h, round(s, 3)) for c, h, s in found(con, made)] == [
        ("a", "web", 0.667), ("b", "store", 0.5), ("c", "app", 0.5)
    ]  # fmt: skip


@pytest.fixture
def liked(con):
    def _liked(items: str, returns: str = "", **options):
        tables = (
            literal(con, "tables/order_items", ITEMS + items),
            literal(con, "tables/returns", RETURNS + returns),
            literal(con, "tables/products", PRODUCTS),
        )
        return found(con, tags.liked(*tables, **{"as_of": AS_OF, **options}))

    return _liked


def test_the_top_category_has_the_largest_share_of_spend(liked):
    items = "1 o a 2023-10-01 tea 30\n2 o a 2023-10-01 green 30\n3 p a 2023-10-02 pot 40"
    assert liked(items) == [("a", "Tea", 0.6)]
    assert liked(items + "\n4 q a 2023-10-02 post 900") == [("a", "Tea", 0.6)]  # no goods
    assert liked("1 o a 2022-10-31 tea 30") == []  # day 365


def test_a_tie_of_spend_goes_to_more_orders_then_to_the_first_code(liked):
    equal = "1 o a 2023-10-01 tea 50\n2 o a 2023-10-01 pot 50"
    assert liked(equal) == [("a", "Pots", 0.5)]
    more = "1 o a 2023-10-01 tea 25\n2 p a 2023-10-01 tea 25\n3 o a 2023-10-01 pot 50"
    assert liked(more) == [("a", "Tea", 0.5)]


def test_a_line_cancelled_whole_is_not_liked(liked):
    items = "1 o a 2023-10-01 tea 50\n2 o a 2023-10-01 pot 60"
    assert liked(items, "R a 2023-10-05 60 - 2") == [("a", "Tea", 1.0)]


# --- mails and campaigns (TAG-12, TAG-13, Q-24)


def test_rates_are_of_what_was_delivered_and_of_invitations(con):
    contacts = literal(
        con,
        "tables/campaign_contacts",
        """
        campaign_id customer_id channel arm      sent_at     delivered_at opened_at   joined_at
        1           a           email   treated  2023-10-01  2023-10-01   2023-10-02  -
        2           a           email   treated  2023-10-01  2023-10-01   -           -
        3           a           sms     treated  2023-10-01  2023-10-01   2023-10-02  2023-10-03
        4           a           email   control  2023-10-01  -            -           -
        5           a           email   treated  2023-10-30  2023-10-31   2023-11-01  2023-11-01
        6           b           email   treated  2023-10-01  -            -           -
        7           b           sms     -        -           -            -           -
        """,
    )
    made = tags.answered(contacts, as_of=AS_OF)
    rows = found(con, made, "customer_id", "email_open_rate", "campaign_rate")
    assert [(c, o and round(o, 3), j) for c, o, j in rows] == [
        ("a", 0.333, 0.25), ("b", None, 0.0)  # nothing was delivered to b: no rate
    ]  # fmt: skip


# --- service and messages (TAG-14, TAG-15, TAG-31)

TICKETS = "ticket_id customer_id opened_at kind\n"
MESSAGES = "line customer_id at channel direction topic\n"


def test_enquiries_are_counted_in_the_window_complaints_and_praise_in_all(con):
    cases = """
    1 a 2023-08-02 enquiry
    2 a 2023-08-03 enquiry
    3 a 2022-01-01 complaint
    4 a 2023-01-01 complaint
    5 a 2023-02-01 praise
    6 a 2023-11-01 complaint
    7 b 2023-10-01 repair
    """
    said = (
        "1 a 2023-10-01 wecom in 咨询\n2 a 2023-10-01 wecom out 咨询\n3 a 2023-10-01 wecom in hi"
    )
    tables = (
        literal(con, "tables/tickets", TICKETS + cases),
        literal(con, "tables/interactions", MESSAGES + said),
    )
    made = tags.served(*tables, as_of=AS_OF)
    columns = ("customer_id", "enquiries_90d", "complaints_n", "praise_n")
    assert found(con, made, *columns) == [("a", 2, 2, 1), ("b", 0, 0, 0)]
    last = found(con, made, "customer_id", "last_complaint_on", "last_praise_on")
    assert [str(day)[:10] for day in last[0][1:]] == ["2023-01-01", "2023-02-01"]


def test_the_preferred_channel_of_contact_has_most_messages_of_a_tie_the_first(con):
    said = """
    1 a 2023-10-01 wecom in  -
    2 a 2023-10-02 sms   out -
    3 a 2022-10-31 sms   out -
    4 b 2023-10-02 sms   out -
    5 b 2023-10-02 sms   out -
    6 b 2023-10-02 phone out -
    """  # the third is 365 days old
    made = tags.reached(literal(con, "tables/interactions", MESSAGES + said), as_of=AS_OF)
    best = tags.preferred(made, "preferred_channel", total="interactions_n")
    assert found(con, best) == [("a", "sms", 2), ("b", "sms", 3)]


def test_the_active_time_is_that_of_purchases_and_own_messages(con):
    orders = "1 a 2023-10-01T19:00 1 web -\n2 a 2023-10-02T09:00 1 web -"
    said = "1 a 2023-10-01T20:00 wecom in -\n2 a 2023-10-01T09:00 wecom out -"
    tables = (
        literal(con, "tables/orders", ORDERS + orders), literal(con, "tables/returns", RETURNS),
        literal(con, "tables/interactions", MESSAGES + said),
    )  # fmt: skip
    assert found(con, tags.active_time(*tables, as_of=AS_OF)) == [("a", "evening")]


# --- several values (TAG-18)


def test_interests_come_from_both_sources_once_and_traits_are_social_tags(con):
    customers = literal(
        con, "tables/customers", "customer_id interests\na 骑行俱乐部；茶艺\nb -\nc ;茶艺;"
    )
    traits = literal(
        con,
        "tables/traits",
        """
        line customer_id trait    value      seen_on
        1    a           interest 茶艺       2023-01-01
        2    a           follows  健身博主   2023-02-01
        3    b           follows  美食博主   2023-11-01
        4    b           income   high       -
        """,
    )
    none = tags.reached(literal(con, "tables/interactions", MESSAGES), as_of=AS_OF)
    through = tags.channels(
        literal(con, "tables/orders", ORDERS), literal(con, "tables/returns", RETURNS), as_of=AS_OF
    )
    made = tags.rows(customers, traits, through, none, as_of=AS_OF)
    assert found(con, made, "customer_id", "tag", "value") == [
        ("a", "interest", "茶艺"), ("a", "interest", "骑行俱乐部"),
        ("a", "social", "follows: 健身博主"), ("b", "social", "income: high"),
        ("c", "interest", "茶艺"),
    ]  # fmt: skip


# --- permits (PRV-07)


def test_who_refused_analysis_or_profiling_has_no_tags(con, bought):
    permits = literal(
        con,
        "features/permits",
        """
        customer_id purpose   allowed ground
        a           analysis  true    agreed
        a           profiling true    agreed
        b           analysis  true    agreed
        b           profiling false   refused
        c           analysis  false   refused
        c           profiling true    agreed
        """,
    )
    customers = literal(con, "tables/customers", "customer_id\na\nb\nc\nd")
    assert found(con, tags.permitted(customers, permits), "customer_id") == [("a",)]


# --- the catalogue (TAG-32)


def test_no_tag_is_without_an_entry_and_no_entry_without_a_tag():
    single = [n for n in TABLES["features/tags"].names if n not in BESIDES]
    assert sorted(single) == sorted(catalogue.COLUMNS)
    many = {tag.name for tag in catalogue.CATALOGUE if tag.many}
    assert many == {"interest", "social", "channel_share", "channel_contacts"}


BESIDES = (  # columns of features/tags that are no tags: key, sums beside them, texts, version
    "customer_id", "first_order_on", "last_order_on", "orders", "spend",
    "core", "core_zh", "rules",
)  # fmt: skip


def test_every_entry_is_complete_and_passes_its_schema():
    entries = tags.catalogue({})
    check("features/tag_catalogue", entries)
    texts = entries.drop(columns="window_days")
    assert (texts != "").all(axis=None)
    assert entries["tag"].is_unique
    assert entries["chinese"].is_unique


def test_a_parameter_changes_the_version_of_its_tags_and_of_no_other():
    before, after = (
        tags.catalogue(p).set_index("tag")["version"]
        for p in ({}, {"label": {"churned_days": 60}})
    )
    assert before.index[before != after].tolist() == ["customer_type"]
    assert tags.version(tags.catalogue({})) != tags.version(
        tags.catalogue({"label": {"churned_days": 60}})
    )


# --- history (TAG-29)


def panel(rows: str) -> pd.DataFrame:
    names = [
        "customer_id",
        "at_on",
        "registered_on",
        "last_order_on",
        "spend",
        "f_score",
        "m_score",
    ]
    cells = [line.split() for line in rows.splitlines() if line.strip()]
    frame = pd.DataFrame(cells, columns=names).replace("-", None)
    days = {name: pd.to_datetime(frame[name]) for name in names[1:4]}
    numbers = {name: frame[name].astype(float) for name in names[4:]}
    return frame.assign(**days, **numbers, first_order_on=pd.NaT)


MOVES = """
    a 2023-07-31 2022-01-01 2023-07-01 100 90 90
    a 2023-10-31 2022-01-01 2023-07-01 100  0  0
    b 2023-10-31 2023-09-01 2023-10-01  40 20 20
    b 2023-07-31 2023-06-01 2023-07-01  10 20 20
"""


def test_each_customer_is_judged_by_what_they_did_until_the_next_date():
    made = tags.relabel(panel(MOVES))
    columns = ["customer_type", "next_type", "later_spend", "bought_later"]
    first = made[made["at_on"] == "2023-07-31"][columns].values.tolist()
    assert first == [["old", "churned", 0.0, False], ["new", "new", 30.0, True]]
    moved = tags.movement(made, least=1)
    assert moved[moved["customers"] > 0].values.tolist() == [
        ["new", "new", 1], ["old", "churned", 1]
    ]  # fmt: skip
    assert tags.crossed(moved).values.tolist() == [
        ["new", 1, 0, 0], ["old", 0, 0, 1], ["churned", 0, 0, 0]
    ]  # fmt: skip
    assert made[made["at_on"] == "2023-10-31"]["later_spend"].isna().all()


def test_of_each_label_it_is_told_who_kept_it_and_what_most_others_became():
    moves = """
    a 2023-07-31 - - 0 90 90
    a 2023-10-31 - - 0 90 90
    b 2023-07-31 - - 0 90 90
    b 2023-10-31 - - 0 90 60
    c 2023-07-31 - - 0 90 90
    c 2023-10-31 - - 0 0  0
    """
    made = tags.kept(tags.relabel(panel(moves)), least=1)
    assert made.round(3).values.tolist() == [
        ["high spend, high frequency", 3, 0.333, "low spend, low frequency"]
    ]


def test_of_those_who_fell_silent_it_is_told_how_many_came_back():
    later = ["2023-10-01"] * 2 + ["2023-01-01"] * 3
    moves = "\n".join(
        f"c{n} 2023-07-31 - 2023-01-01 1 0 0\nc{n} 2023-10-31 - {day} 1 0 0"
        for n, day in enumerate(later)
    )
    made = tags.relabel(panel(moves))
    assert tags.moved_metrics(made, least=2)["back_share"] == 0.4
    assert tags.moved_metrics(made, least=3)["back_share"] is None  # 2 of 5
    assert "{back_share:pct}" in tags.base_note({"tagged": 5, "back_share": 0.4})
    assert "cannot tell yet" in tags.base_note({"tagged": 5, "back_share": None})


def test_a_tag_without_a_record_of_its_source_is_known_of_nobody():
    entries = pd.DataFrame({"tag": ["praise_n", "enquiries_90d"], "chinese": ["", ""],
                            "sources": ["tickets", "tickets, interactions"]})  # fmt: skip
    wide = pd.DataFrame({name: [0, 1] for name in tags.COLUMNS})
    shares = tags.filled(wide, entries, empty=("tickets",)).set_index("tag")["filled_share"]
    assert shares.to_dict() == {"praise_n": 0.0, "enquiries_90d": 1.0}


def test_limits_pass_where_higher_levels_do_better_afterwards():
    made = tags.relabel(panel(MOVES))
    judged = tags.review(made, fewest=0, least=1).set_index(["score", "level"])
    assert judged.loc[("spend", "high"), "bought_later_share"] == 0.0
    assert judged.loc[("spend", "low"), "bought_later_share"] == 1.0
    assert set(judged["verdict"]) == {"revise"}
    assert set(tags.review(made, fewest=1)["verdict"]) == {"too few"}  # nobody is middle


def test_a_history_of_one_date_has_nothing_to_review():
    made = tags.relabel(panel(MOVES.splitlines()[2]))
    assert tags.review(made).empty
    assert tags.moved_metrics(made)["quarters"] == 1


# --- tags of a source (TAG-17, TAG-20, TAG-21)

PERSONA = """
preferences:
  - {tag: sugar_free, chinese: 无糖, meaning: drinks without sugar, products: [tea], at_least: 2}
personas:
  - tag: healthy
    chinese: 健康加班族
    meaning: works late and lives well
    all:
      - {tag: sugar_free, at_least: 2}
      - {tag: overtime_order_share, at_least: 0.3}
      - {tag: social, one_of: ["follows: 健身博主"]}
    action: office snack bundle (办公室零食组合)
fields:
  - {tag: shop, chinese: 常去门店, meaning: favourite store, field: store}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "shop" / "tags.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_persona_needs_all_of_its_conditions(tmp_path):
    declared = catalogue.read(written(tmp_path, PERSONA), ["store"])
    wide = pd.DataFrame({"customer_id": list("abcde"),
                         "overtime_order_share": [0.3, 0.29, 0.5, 0.5, None]})  # fmt: skip
    drinks = [(c, "sugar_free", "yes", n) for c, n in zip("abcde", [2, 9, 1, 5, 9], strict=True)]
    follows = [(c, "social", "follows: 健身博主", None) for c in "abce"]
    many = pd.DataFrame(drinks + follows, columns=["customer_id", "tag", "value", "number"])
    made = tags.personas(wide, many.assign(since=pd.NaT), declared)
    assert made[["customer_id", "tag"]].values.tolist() == [["a", "healthy"]]


def test_a_preference_counts_orders_of_its_products_in_its_window(con, tmp_path):
    (one,) = catalogue.read(written(tmp_path, PERSONA), ["store"]).preferences
    items = """
    1 o a 2023-10-01 tea 5
    2 o a 2023-10-01 tea 5
    3 p a 2023-10-02 tea 5
    4 q b 2023-10-02 tea 5
    5 r b 2022-10-31 tea 5
    6 s c 2023-10-02 pot 5
    """  # b ordered once in the window
    tables = (
        literal(con, "tables/order_items", ITEMS + items),
        literal(con, "tables/returns", RETURNS), literal(con, "tables/products", PRODUCTS),
    )  # fmt: skip
    made = tags.buyers(*tables, one, as_of=AS_OF)
    assert found(con, made, "customer_id", "tag", "number") == [("a", "sugar_free", 2.0)]


def test_one_more_tag_changes_no_other(tmp_path):
    few = catalogue.read(written(tmp_path, PERSONA), ["store"])
    added = "\n  - {tag: pots, chinese: 锅, meaning: likes pots, categories: [Pots]}\npersonas:"
    more = catalogue.read(written(tmp_path, PERSONA.replace("\npersonas:", added)), ["store"])
    before, after = (tags.catalogue({}, declared).set_index("tag") for declared in (few, more))
    assert sorted(set(after.index) - set(before.index)) == ["pots"]
    pd.testing.assert_frame_equal(after.drop(index="pots"), before)
    assert tags.version(before.reset_index()) == tags.version(after.reset_index())
    rows = pd.DataFrame(
        {"customer_id": ["b", "a"], "tag": ["sugar_free"] * 2, "value": "yes",
         "number": [3.0, 2.0], "since": pd.NaT}
    )  # fmt: skip
    new = rows.assign(tag="pots")
    old = tags.versioned([rows], before.reset_index())
    both = tags.versioned([rows, new], after.reset_index())
    pd.testing.assert_frame_equal(both[both["tag"] != "pots"].reset_index(drop=True), old)


def test_a_rule_tells_its_limit_with_all_digits(tmp_path):
    text = PERSONA.replace("at_least: 0.3", "at_least: 1234567")
    entries = tags.catalogue({}, catalogue.read(written(tmp_path, text), ["store"]))
    rule = entries.set_index("tag")["rule"]["healthy"]
    assert "overtime_order_share at least 1234567 and" in rule


def test_numbers_of_few_customers_are_not_told(tmp_path):
    wide = pd.DataFrame({
        "customer_id": [f"c{n}" for n in range(20)],
        "behaviour": ["high spend, high frequency"] * 2 + ["low spend, low frequency"] * 18,
        "frequency_level": ["high"] * 2 + ["low"] * 18,
        "spend_level": ["high"] * 2 + ["low"] * 18,
        "spend_90d": [100.0] * 20, "freq_90d": 1, "age": -1, "gender": "unknown",
        "complaints_n": [1] * 6 + [0] * 14, "customer_type": ["churned"] + ["old"] * 19,
        **dict.fromkeys(("registered_on", "first_order_on", "last_order_on",
                         "last_complaint_on"), pd.Timestamp(AS_OF)),
    })  # fmt: skip
    found = tags.facts(wide, pd.DataFrame(columns=["tag", "customer_id"]), as_of=AS_OF)
    assert (found["high_high"], found["high_high_spend_share"]) == (None, None)
    assert (found["complained"], found["complained_churned_share"]) == (6, None)
    assert (found["churned_customers"], found["churned_share"]) == (None, None)
    assert "hardly anybody" in tags.sales_note(found)
    assert "complained_churned_share" not in tags.service_note(found)
    assert "A few" in tags.permit_note(tags.left_out({"all": 9, "tagged": 8}))


def test_what_one_customer_spent_later_is_not_told_by_a_mean():
    ids = [f"c{n}" for n in range(20)]
    past = [f"{name} 2023-07-31 2022-01-01 2023-07-01 100 90 90" for name in ids]
    now = [f"{name} 2023-10-31 2022-01-01 2023-07-01 100 90 90" for name in ids[1:]]
    rich = ["c0 2023-10-31 2022-01-01 2023-10-01 877 90 90"]
    judged = tags.review(tags.relabel(panel("\n".join(past + now + rich))))
    high = judged[judged["level"] == "high"]
    assert high["customers"].eq(20).all()
    assert high[["bought_later_share", "later_spend"]].isna().all(axis=None)


def test_a_file_without_tags_declares_none(tmp_path):
    assert catalogue.read(written(tmp_path, "# nothing yet\n")) == catalogue.Declared()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("preferences:", "preference:"), "did you mean 'preferences'?"),
        (("action:", "actoin:"), "did you mean 'action'?"),
        (("chinese: 无糖, ", ""), "preferences[1] has no chinese"),
        (("products: [tea], ", ""), "names no products and no categories"),
        (
            ("at_least: 2}\np", "at_least: twice}\np"),
            "at_least is 'twice'; expected a whole number",
        ),
        (("at_least: 2}\np", "at_least: 0}\np"), "at least 1"),
        (("overtime_order_share", "overtime_share"), "did you mean 'overtime_order_share'?"),
        (('one_of: ["follows: 健身博主"]', "one_of: 健身博主"), "expected a list of texts"),
        (("at_least: 0.3", "one_of: [often]"), "expected a tag that is a text"),
        (("at_least: 0.3", "at_most: 1, one_of: [a]"), "has at_most, one_of"),
        (("overtime_order_share", "last_complaint_on"), "dates and personas cannot be"),
        (
            ("{tag: overtime_order_share, at_least: 0.3}", "{tag: healthy, one_of: [yes]}"),
            "dates and personas cannot be",
        ),
        (("overtime_order_share, at", "shop, at"), "expected a tag that is a number"),
        (("overtime_order_share, at", "interest, at"), "expected a tag that is a number"),
        (("tag: sugar_free, chinese", "tag: gender, chinese"), "it is taken"),
        (("tag: shop", "tag: My Shop"), "small letters"),
        (("field: store", "field: stores"), "did you mean 'store'?"),
        (("fields:\n  - {tag", "fields:\n  - - {tag"), "fields[1] is [{"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_place_and_remedy(tmp_path, change, said):
    assert change[0] in PERSONA
    path = written(tmp_path, PERSONA.replace(*change))
    with pytest.raises(catalogue.TagError) as caught:
        tags.read(path, ["store"])
    assert said in str(caught.value)
    assert str(caught.value).startswith("data/sources/shop/tags.yaml, line ")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(catalogue.TagError, match="there is no such file"):
        catalogue.read(tmp_path / "shop" / "tags.yaml")


# --- what is said


def test_a_list_holds_only_those_who_may_be_addressed(tmp_path):
    declared = catalogue.read(written(tmp_path, PERSONA), ["store"])
    many = pd.DataFrame({"customer_id": ["a", "b"], "tag": ["healthy"] * 2})
    wide = pd.DataFrame({"customer_id": ["b", "a"], "spend_90d": [1.0, 2.0], "core": ["B", "A"]})
    may = pd.DataFrame({"customer_id": ["b"]})
    listed = tags.invited(wide, many, declared, may)
    assert listed["customer_id"].tolist() == ["b"]
    assert tags.persona_metrics(many, declared, may, least=1) == {
        "with_persona": 2, "persona_contacts": 1, "persona_left_out": 1
    }  # fmt: skip


def test_of_a_persona_of_which_few_are_left_out_all_are_not_told(tmp_path):
    declared = catalogue.read(written(tmp_path, PERSONA), ["store"])
    ids = [f"c{n}" for n in range(20)]
    many = pd.DataFrame({"customer_id": ids, "tag": "healthy"})
    columns = ["customers", "may_be_contacted"]
    for allowed, told in ((20, [20, 20]), (17, [None, 17]), (15, [20, 15])):
        may = pd.DataFrame({"customer_id": ids[:allowed]})
        made = tags.found_personas(many, declared, may, least=5)[columns].astype(object)
        assert made.where(made.notna(), None).values.tolist() == [told]
        left_out = tags.persona_metrics(many, declared, may, least=5)["persona_left_out"]
        assert left_out == (None if allowed == 17 else 20 - allowed)


def test_the_core_description_says_what_is_known_and_no_more():
    row = {
        "customer_type": "old", "behaviour": "high spend, high frequency",
        "last_order_on": pd.Timestamp("2023-10-30"), "top_category": "茶叶",
        "top_category_share": 0.4, "purchase_channel": "web", "complaints_n": 2,
    }  # fmt: skip
    empty = {"last_order_on": pd.NaT, "top_category": None, "purchase_channel": None}
    made = tags.describe(pd.DataFrame([row, row | empty | {"complaints_n": 0}]), as_of=AS_OF)
    assert made["core"].tolist() == [
        "old customer; high spend, high frequency; last bought 1 day ago; mostly 茶叶 (40%); "
        "mostly through web; 2 complaints",
        "old customer; high spend, high frequency; no purchase",
    ]
    assert made["core_zh"].tolist() == [
        "老客户；高消费、高频次；1天前购买；偏好茶叶（40%）；偏好网上购买；投诉2次",
        "老客户；高消费、高频次；未购买",
    ]


def test_nobody_who_permits_a_profile_gives_empty_tables_and_no_error(con):
    def none(name):
        return literal(con, f"tables/{name}", TABLES[f"tables/{name}"].names[0])

    orders, returns, people_ = none("orders"), none("returns"), none("interactions")
    customers = none("customers")
    bought = tags.channels(orders, returns, as_of=AS_OF)
    spoken = tags.reached(people_, as_of=AS_OF)
    raw = tags.together(
        tags.purchases(customers, orders, returns, as_of=AS_OF),
        tags.countries(orders, returns, as_of=AS_OF),
        tags.liked(none("order_items"), returns, none("products"), as_of=AS_OF),
        tags.answered(none("campaign_contacts"), as_of=AS_OF),
        tags.served(none("tickets"), people_, as_of=AS_OF),
        tags.active_time(orders, returns, people_, as_of=AS_OF),
        tags.preferred(bought, "purchase_channel", share="purchase_channel_share"),
        tags.preferred(spoken, "preferred_channel", total="interactions_n"),
    )
    scores = literal(con, "features/rfm_quarters", "customer_id")
    label = tags.label(engine.frame(con, raw), engine.frame(con, scores), as_of=AS_OF)
    wide = tags.describe(label, as_of=AS_OF)
    entries = tags.catalogue({})
    rows = tags.rows(customers, none("traits"), bought, spoken, as_of=AS_OF)
    many = tags.versioned([engine.frame(con, rows)], entries)
    check("features/tags", tags.settled(wide, entries))
    check("features/tag_rows", many)
    assert (len(wide), len(many)) == (0, 0)
    assert tags.base_note(tags.facts(wide, many, as_of=AS_OF)).startswith("**No customer")
    dates = tags.cutoffs(engine.frame(con, scores.select("at_on")), as_of=AS_OF)
    past = tags.history(customers, orders, returns, scores, dates=dates)
    panel = tags.relabel(engine.frame(con, past))
    assert tags.moved_metrics(panel)["quarters"] == 0
    assert tags.crossed(tags.movement(panel)).iloc[:, 1:].sum().sum() == 0
    assert tags.review(panel).empty
    assert tags.kept(panel).empty
    assert tags.filled(wide, entries)["filled_share"].eq(0).all()
    assert tags.base(wide, "behaviour").empty
