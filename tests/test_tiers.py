"""Moves between tiers, tiers by stage of life, and where the effort goes."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest
from test_engine import literal

from crm import disclosure, engine, tiers, wording
from crm.tables import LIFECYCLE, TIERS, check

AS_OF = date(2023, 10, 31)
HIGH, POTENTIAL, GENERAL, RISK, NONE = TIERS


@pytest.fixture(scope="module")
def con():
    return engine.connect(threads=2)


def now(rows: list[tuple]) -> pd.DataFrame:
    """`features/rfm` as far as it is read here: tier and spend of c0, c1, …"""
    frame = pd.DataFrame(rows, columns=["tier", "spend"]).astype({"tier": "str", "spend": "float"})
    ids = pd.Series([f"c{i:02d}" for i in range(len(frame))], dtype="str")
    return frame.assign(customer_id=ids)


def then(names: list[str], at="2023-07-31") -> pd.DataFrame:
    """`features/rfm_quarters` of c0, c1, … at one date."""
    frame = pd.DataFrame({"tier": pd.Series(names, dtype="str")})
    ids = pd.Series([f"c{i:02d}" for i in range(len(frame))], dtype="str")
    return frame.assign(customer_id=ids, at_on=pd.Timestamp(at))


def both(rows: list[tuple]) -> pd.DataFrame:
    """Moves of customers given as tier then, tier now and spend."""
    return tiers.moved(now([r[1:] for r in rows]), then([r[0] for r in rows]), as_of=AS_OF)


# --- moves (RFM-17)


@pytest.mark.parametrize(
    ("before", "after", "move"),
    [
        (GENERAL, HIGH, "moved up"),
        (RISK, GENERAL, "moved up"),
        (HIGH, HIGH, "stayed"),
        (HIGH, POTENTIAL, "moved down"),
        (GENERAL, RISK, "moved down"),
        (GENERAL, NONE, "moved down"),  # all was cancelled since
        (NONE, GENERAL, "began to buy"),
        (NONE, NONE, "none"),
    ],
)
def test_a_move_follows_the_order_of_tiers(before, after, move):
    assert both([(before, after, 1)])["move"].tolist() == [move]


def test_the_earlier_date_is_as_many_quarters_back_as_asked():
    history = pd.concat([then([HIGH]), then([RISK], "2023-04-30"), then([NONE], "2023-10-31")])
    known = now([(GENERAL, 5)])
    assert tiers.moved(known, history, as_of=AS_OF)["tier_before"].tolist() == [HIGH]
    assert tiers.moved(known, history, as_of=AS_OF, quarters=2)["tier_before"].tolist() == [RISK]


def test_who_did_not_exist_then_had_no_purchase_and_without_a_history_nobody_moved():
    known = now([(GENERAL, 5), (GENERAL, 5)])
    assert tiers.moved(known, then([HIGH]), as_of=AS_OF)["move"].tolist() == [
        "moved down", "began to buy",
    ]  # fmt: skip
    made = tiers.moved(known, then([HIGH], "2022-10-31"), as_of=AS_OF)
    assert made["tier_before"].isna().all()
    assert set(made["move"]) == {"none"}


def test_names_of_tiers_stay_whatever_the_order_of_rows():
    rows = [(TIERS[i % 5], TIERS[(i * 3) % 5], i) for i in range(60)]
    known, history = now([r[1:] for r in rows]), then([r[0] for r in rows])
    made = tiers.moved(known, history, as_of=AS_OF)
    mixed = tiers.moved(
        known.sample(frac=1, random_state=1), history.sample(frac=1, random_state=2), as_of=AS_OF
    )
    pd.testing.assert_frame_equal(mixed, made)
    same = tiers.moved(known, then([r[1] for r in rows]), as_of=AS_OF)  # twice the same date
    assert set(same["move"]) == {"stayed", "none"}
    assert ((same["move"] == "none") == (same["tier"] == NONE)).all()


MOVED = (
    [(HIGH, HIGH, 100)] * 6 + [(HIGH, GENERAL, 50)] * 8 + [(GENERAL, GENERAL, 10)] * 20
    + [(GENERAL, HIGH, 20)] * 5 + [(NONE, GENERAL, 4)] * 5 + [(NONE, NONE, 0)] * 7
)  # fmt: skip


def test_the_matrix_counts_customers_and_their_money():
    cells = tiers.matrix(both(MOVED))
    assert len(cells) == 25
    row = cells.set_index(["tier_before", "tier"]).loc[(HIGH, GENERAL)]
    assert row[["customers", "spend", "spend_share"]].tolist() == [8, 400.0, 0.4]
    assert cells["customers"].sum() == len(MOVED)
    assert disclosure.hidden(cells) == 0


def test_the_matrix_is_shown_with_tiers_in_their_order_and_empty_cells_as_none():
    table = tiers.wide(tiers.matrix(both(MOVED)), "tier_before", "tier")
    assert list(table) == ["tier_before", *(name.replace(" ", "_") for name in TIERS)]
    assert table["tier_before"].tolist() == list(TIERS)
    assert table["high_value"].tolist() == [6, 0, 5, 0, 0]
    money = tiers.wide(tiers.matrix(both(MOVED)), "tier_before", "tier", "spend_share")
    assert money.loc[0, ["high_value_share", "general_share"]].tolist() == [0.6, 0.4]
    money = tiers.wide(tiers.matrix(both(MOVED)), "tier_before", "tier", "spend")
    assert money.loc[0, ["high_value_spend", "general_spend"]].tolist() == [600, 400]
    assert {wording.column_form(name) for name in list(money)[1:]} == {"money"}


def test_moves_are_shares_of_those_who_bought_by_now_or_then_and_of_their_money():
    flows = tiers.moves(both(MOVED)).set_index("move")
    assert flows["customers"].tolist() == [5, 26, 8, 5]
    assert flows.loc["moved down", "customer_share"] == pytest.approx(8 / 44)
    assert flows.loc["moved down", "spend_share"] == pytest.approx(400 / 1320)
    assert flows[["customer_share", "spend_share"]].sum().tolist() == pytest.approx([1, 1])


def test_small_moves_are_hidden_so_that_no_total_of_the_page_gives_them_away():
    rows = [*MOVED, *[(HIGH, RISK, 9)] * 2, *[(HIGH, POTENTIAL, 9)] * 9, *[(GENERAL, RISK, 1)] * 9]
    rows += [(GENERAL, POTENTIAL, 9)] * 9
    cells = tiers.matrix(both(rows))
    shown = cells.dropna(subset=["customers"])
    assert not shown["customers"].between(1, 4).any()
    assert disclosure.hidden(cells) >= 4
    whole = tiers.matrix(both(rows), least=1)
    by = ["tier_before", "tier"]
    told = disclosure.audit(whole, cells, by=by, groups=["move"])
    assert (told["high"] - told["low"]).min() >= 1


def permits(moved: pd.DataFrame, every: int = 2) -> pd.DataFrame:
    """Whether c0, c1, … may be addressed: the first, and every so many after."""
    made = moved[["customer_id"]].assign(purpose="marketing")
    return made.assign(allowed=[int(who[1:]) % every == 0 for who in made["customer_id"]])


def facts(rows: list[tuple], every: int = 1) -> dict:
    moved = both(rows)
    cells, flows = tiers.matrix(moved), tiers.moves(moved)
    found = tiers.facts(moved, cells, flows, as_of=AS_OF)
    return found | tiers.fall_facts(tiers.falls(moved, cells, permits(moved, every)))


def test_of_moves_down_from_the_upper_tiers_the_one_with_most_money_a_customer_is_named():
    rows = [(HIGH, GENERAL, 80)] * 6 + [(POTENTIAL, RISK, 50)] * 20 + [(GENERAL, RISK, 90)] * 30
    found = facts(rows)
    assert found.items() >= {
        "before_on": date(2023, 7, 31), "down_customers": 56, "fell_from": HIGH,
        "fell_to": GENERAL, "fell_customers": 6, "fell_spend": 480.0, "fell_each": 80.0,
        "fell_contacts": 6, "fell_is_upper": True,
    }.items()  # fmt: skip
    assert "{fell_each:money} each" in tiers.fell_note(found)
    assert "with enough to call the one" in tiers.fell_note(found)


def test_a_move_down_of_whom_few_may_be_called_comes_after_the_others():
    rows = [(HIGH, GENERAL, 80)] * 8 + [(GENERAL, RISK, 10)] * 20
    found = facts(rows, every=2)  # four of the eight may be called, and ten of the twenty
    assert (found["fell_from"], found["fell_contacts"]) == (GENERAL, 10)
    assert "large enough" in tiers.fell_note(found)
    nobody = facts(rows, every=1000)
    assert (nobody["fell_from"], nobody["fell_contacts"]) == (HIGH, None)
    assert tiers.fell_note(nobody).startswith("**Sales: ask")


def test_equal_moves_down_stand_in_the_order_of_tiers_and_without_one_nobody_is_called():
    same = [(POTENTIAL, RISK, 10)] * 5 + [(HIGH, RISK, 10)] * 5 + [(HIGH, GENERAL, 10)] * 5
    moved = both(same)
    made = tiers.falls(moved, tiers.matrix(moved), permits(moved, 1))
    assert made[["tier_before", "tier"]].values.tolist() == [
        [HIGH, GENERAL], [HIGH, RISK], [POTENTIAL, RISK],
    ]  # fmt: skip
    assert tiers.fell_note(facts([(HIGH, HIGH, 1)] * 9)).startswith("Sales: nobody")


def test_a_page_without_a_history_or_with_small_moves_says_so():
    found = facts([])
    assert not found["has_history"]
    assert "cannot be told yet" in tiers.answer(found)
    assert "tables below are empty" in tiers.history_note(found)
    few = facts([(HIGH, HIGH, 1)] * 20 + [(HIGH, RISK, 1)] * 2)
    assert few["down_customers"] is None
    assert "Few customers moved" in tiers.answer(few)
    assert "{" in tiers.title(facts(MOVED))
    assert "{hidden_cells}" in tiers.history_note(few)


# --- tier and stage of life (RFM-19)


def test_tiers_are_crossed_with_stages_and_who_is_not_known_yet_is_a_prospect():
    known = now([(HIGH, 9)] * 5 + [(NONE, 0)] * 6)
    stages = ["mature"] * 5 + ["prospect"] * 5 + [None]
    profiles = known[["customer_id"]].assign(lifecycle=pd.Series(stages, dtype="str"))
    made = tiers.staged(known, profiles.iloc[::-1])
    cells = tiers.stages(made).set_index(["tier", "lifecycle"])["customers"]
    assert cells[(HIGH, "mature")] == 5
    assert cells[(NONE, "prospect")] == 6
    assert len(cells) == len(TIERS) * len(LIFECYCLE)
    table = tiers.wide(tiers.stages(made), "tier", "lifecycle")
    assert list(table) == ["tier", *LIFECYCLE]


@pytest.mark.parametrize(
    ("first", "registered", "said"),
    [
        ("2022-12-01", None, "older than the data"),
        ("2021-11-01", None, "older than the data"),
        ("2021-10-30", None, "New is who"),  # the data go back twice as far as new
        ("2022-12-01", "2022-11-30", "New is who"),
        (None, None, "Nobody has bought"),
    ],
)
def test_new_is_said_to_be_new_in_the_data_where_these_are_young(first, registered, said):
    profiles = pd.DataFrame(
        {"first_order_on": pd.to_datetime([first]), "registered_on": pd.to_datetime([registered])}
    )
    assert said in tiers.new_note(tiers.registered(profiles, as_of=AS_OF))
    assert tiers.registered(profiles.iloc[:0], as_of=AS_OF)["data_from"] == ""


def test_where_some_registrations_are_known_the_page_says_of_how_many():
    some = {"registered_share": 0.4, "is_young": True, "data_from": date(2022, 12, 1)}
    assert tiers.new_note(some).startswith("Registration is known of {registered_share:pct}")


# --- effort (RFM-15)


@pytest.fixture
def effort(con):
    """Spend and effort by customer."""

    def _effort(
        items="", returns="", tickets="", contacts="", campaigns="", finance="", **options
    ):
        tables = (
            ("order_items", "customer_id ordered_at amount", items),
            ("returns", "customer_id returned_at amount", returns),
            ("tickets", "customer_id opened_at", tickets),
            ("campaign_contacts", "campaign_id customer_id arm sent_at", contacts),
            ("campaigns", "campaign_id starts_on cost", campaigns),
            ("finance", "customer_id day kind cost", finance),
        )
        read = [literal(con, f"tables/{name}", f"{head}\n{text}") for name, head, text in tables]
        made = engine.frame(con, tiers.effort(*read, **{"as_of": AS_OF, **options}))
        return made.set_index("customer_id")

    return _effort


def test_spend_is_net_of_returns_in_the_window_which_is_open_at_its_start(effort):
    items = """
    b  2023-10-31T23:59  7
    a  2022-10-31T12:00  1
    a  2022-11-01T00:00  20
    a  2023-11-01T00:00  400
    -  2023-10-01        9
    """
    made = effort(items, "a 2023-10-01 5\na 2023-11-01 3")
    assert made["spend"].to_dict() == {"a": 15.0, "b": 7.0}


def test_cases_messages_and_costs_are_counted_by_customer(effort):
    contacts = """
    M1  a  treated  2023-10-01
    M1  b  treated  2023-10-01
    M1  c  control  2023-10-01
    M2  b  -        2023-10-09
    M1  d  treated  2023-11-02
    """
    made = effort(
        tickets="a 2023-10-01\na 2023-10-02\na 2022-10-02\nb 2023-11-01", contacts=contacts,
        campaigns="M1 2023-09-09 30\nM2 2023-09-09 9",
        finance="b 2023-10-01 service 4\nb 2023-10-01 shipping 2",
    )  # fmt: skip
    assert made["cases"].to_dict() == {"a": 2, "b": 0}
    assert made["messages"].to_dict() == {"a": 1, "b": 2}
    assert made["marketing_cost"].to_dict() == {"a": 15.0, "b": 24.0}
    assert made["service_cost"].to_dict() == {"a": 0.0, "b": 4.0}


def test_a_message_without_a_time_was_sent_when_its_campaign_began(effort):
    contacts = "M1 a - -\nM2 a - -\nM3 a - -\nM4 a - -"
    made = effort(contacts=contacts, campaigns="M1 2023-10-01 -\nM2 2022-10-31 -\nM3 2023-11-01 -")
    assert made["messages"].to_dict() == {"a": 1}
    assert made["marketing_cost"].isna().all()


def test_what_the_source_says_nothing_of_is_empty_and_not_none(effort):
    made = effort("a 2023-10-01 7", tickets="a 2023-10-01")
    assert made["cases"].tolist() == [1]
    assert made[["messages", "marketing_cost", "service_cost"]].isna().all(axis=None)
    assert effort("").empty


def spent(amounts: list[float], **more) -> pd.DataFrame:
    """Spend and effort of c0, c1, …; of what is not named nothing is known."""
    names = [f"c{i:02d}" for i in range(len(amounts))]
    nothing = {name: [None] * len(names) for name in tiers.EFFORTS}
    frame = pd.DataFrame({"customer_id": names, "spend": amounts} | nothing | more)
    numbers = dict.fromkeys(("spend", *tiers.EFFORTS), "float64")
    return frame.astype({"customer_id": "str"} | numbers)


@pytest.mark.parametrize(
    ("amounts", "lowest"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], ["c00", "c01"]),
        ([1, 1, 1, 4, 5, 6, 7, 8, 9, 10, 11], ["c00", "c01", "c02"]),  # ties are not parted
        ([0, -3, 1, 4], ["c02"]),  # who spent nothing is apart
        ([5], ["c00"]),
        ([], []),
    ],
    ids=["a tenth", "ties", "nothing spent", "one", "nobody"],
)
def test_the_lowest_tenth_are_buyers_of_the_window_with_least_spend(amounts, lowest):
    known = now([(GENERAL, 1)] * len(amounts))
    made = tiers.grouped(known.iloc[::-1], spent([float(a) for a in amounts]))
    assert made.loc[made["group"] == "lowest spend", "customer_id"].tolist() == lowest


def test_shares_of_effort_stand_beside_shares_of_spend():
    known = now([(HIGH, 1)] * 10 + [(GENERAL, 1)] * 10)
    effort = spent([100.0] * 10 + [25.0] * 10, cases=[1] * 10 + [3] * 10)
    made = tiers.resources(tiers.grouped(known, effort), "tier").set_index("tier")
    assert made.loc[HIGH, ["spend_share", "cases_share"]].tolist() == [0.8, 0.25]
    assert "messages_share" not in made


def told(**known) -> dict:
    amounts = [float(a) for a in range(1, 61)]
    every = tiers.grouped(now([(GENERAL, 1)] * 60), spent(amounts, **known))
    return tiers.effort_facts(every, tiers.resources(every, "group"))


def test_the_page_says_which_effort_is_known_and_asks_for_what_is_missing():
    found = told(cases=[1] * 60)
    assert found["least_customers"] == 6
    assert found["least_cases_share"] == pytest.approx(0.1)
    assert found["known_effort"] == "cases"
    assert found["least_takes"] == "10.0% of cases"
    assert tiers.effort_note(found).startswith("**Service and marketing: let")
    both = told(cases=[1] * 60, messages=[1] * 60)
    assert both["least_takes"] == "10.0% of cases and 10.0% of messages"
    assert "{unknown_effort}" in tiers.cost_note(both)
    assert tiers.effort_note(told()).startswith("**Service and marketing: record")
    assert tiers.effort_note(told(cases=[0] * 50 + [1] * 10)).startswith("Service and marketing: ")
    assert tiers.cost_note(told()).startswith("Nothing is known")


def test_nobody_makes_empty_tables_all_the_way():
    every = tiers.grouped(now([]), spent([]))
    assert tiers.resources(every, "group").empty
    found = tiers.effort_facts(every, tiers.resources(every, "group"))
    assert found["least_customers"] == 0
    profiles = pd.DataFrame({"customer_id": [], "lifecycle": []}, dtype="str")
    stage = tiers.staged(now([]), profiles)
    assert tiers.stages(stage)["customers"].sum() == 0
    check("features/tiers", tiers.settled(both([]), stage, every))


def test_the_table_holds_every_customer_once_with_move_stage_and_group():
    known = now([r[1:] for r in MOVED])
    profiles = known[["customer_id"]].assign(lifecycle="mature")
    every = tiers.grouped(known, spent([5.0] * len(MOVED)))
    made = tiers.settled(both(MOVED).iloc[::-1], tiers.staged(known, profiles), every)
    check("features/tiers", made)
    assert made["customer_id"].is_monotonic_increasing
    assert made.loc[6, ["tier_before", "tier", "move"]].tolist() == [HIGH, GENERAL, "moved down"]
