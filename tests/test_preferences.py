"""What groups like: exact tests, open markets, worked example E12, those left out on purpose."""

from __future__ import annotations

from datetime import date
from itertools import count

import pandas as pd
import pytest
from test_engine import found, literal

from crm import disclosure, engine, preferences
from crm.tables import check, empty

AS_OF = date(2023, 10, 31)
GROUP = "low order value, high frequency"
OFFER = "满200减30"
_numbers = count()


@pytest.fixture(scope="module")
def con():
    return engine.connect(threads=2)


def members(con, rows):
    frame = pd.DataFrame(rows, columns=["customer_id", "kind", "group"])
    return engine.lift(con, frame, f"members_{next(_numbers)}")


# --- what they like


def bought(con, rows, returns="", days=90):
    text = "line customer_id product_id ordered_at amount\n" + "\n".join(rows)
    products = (
        "product_id product_name category is_product\nA Apple fruit True\nB Beer drink True\n"
    )
    products += "C Cup - True\nX Post other False"
    who = members(con, [(name, "behaviour", "g") for name in ("a", "b")])
    made = preferences.bought(
        literal(con, "tables/order_items", text),
        literal(con, "tables/returns", "reverses_line returned_at\n" + returns),
        literal(con, "tables/products", products), who, as_of=AS_OF, days=days,
    )  # fmt: skip
    return made, who


def test_lines_of_members_in_the_window_count_and_no_postage(con):
    rows = ["1 a A 2023-10-31T23:00 5", "2 a B 2023-08-02 5", "3 a A 2023-08-03 5",
            "4 b X 2023-10-01 5", "5 c A 2023-10-01 5", "6 b B 2023-10-01 5"]  # fmt: skip
    made, _ = bought(con, rows)
    assert found(con, made, "customer_id", "product_id") == [("a", "A"), ("a", "A"), ("b", "B")]
    made, _ = bought(con, rows, returns="6 2023-10-09")
    assert found(con, made, "customer_id", "product_id") == [("a", "A"), ("a", "A")]
    made, _ = bought(con, [])
    assert engine.frame(con, preferences.known(made))["category_share"].tolist() == [0.0]


def test_without_categories_the_products_with_most_buyers_are_looked_at(con):
    rows = ["1 a A 2023-10-01 5", "2 a A 2023-10-02 7", "3 b C 2023-10-01 2", "4 a C 2023-10-01 2"]
    made, who = bought(con, rows)
    share = engine.frame(con, preferences.known(made))["category_share"].item()
    assert share == 0.5
    by_category = preferences.spent(made, share)
    assert found(con, by_category) == [("a", "fruit", 12.0)]
    by_product = preferences.spent(made, 0.4, top=1)
    assert found(con, by_product) == [("a", "Cup", 2.0), ("b", "Cup", 2.0)]
    assert found(con, preferences.cells(by_product, who)) == [("g", "Cup", 2, 2.0)]
    assert found(con, preferences.sizes(made, who)) == [("g", 2, 16.0)]


def cells(rows, groups=(("x", 100), ("y", 100)), bought=9000.0):
    made = pd.DataFrame(rows, columns=["group", "thing", "customers"]).assign(usual_spend=50.0)
    sizes = pd.DataFrame(groups, columns=["group", "buyers"]).assign(bought=bought)
    return preferences.measured(made, sizes)


def test_the_lift_of_a_group_is_its_share_against_all_others():
    made = cells([("x", "tea", 40), ("y", "tea", 10), ("x", "pot", 20), ("y", "pot", 50)])
    row = made.set_index(["group", "thing"]).loc["x", "tea"]
    assert (row["share"], row["others_share"], row["times_others"]) == (0.4, 0.1, 4.0)
    assert round(row["choice"], 3) == 4.0  # 40 of 60 against 10 of 60
    assert row["q_value"] < 0.001 and 0.3 < row["low"] < 0.4 < row["high"] < 0.5


def test_who_buys_more_of_everything_likes_nothing_more():
    rows = [(g, t, n) for g, n in (("x", 80), ("y", 20)) for t in ("tea", "pot", "cup")]
    made = cells(rows)
    assert made["times_others"].max() == 4.0
    assert preferences.preferred(made).empty


def test_noise_gives_no_preference_and_a_small_group_is_not_told():
    assert preferences.preferred(cells([("x", "tea", 40), ("y", "tea", 38), ("x", "pot", 40),
                                        ("y", "pot", 41)])).empty  # fmt: skip
    rows = [("x", "tea", 4), ("y", "tea", 0), ("x", "pot", 1), ("y", "pot", 90)]
    assert preferences.preferred(cells(rows, (("x", 6), ("y", 100)))).empty


def test_an_open_market_is_what_most_of_a_group_do_not_buy_yet():
    made = preferences.preferred(cells([("x", "tea", 40), ("y", "tea", 10), ("x", "pot", 20),
                                        ("y", "pot", 50)]), won=0.1)  # fmt: skip
    tea = made.set_index(["group", "thing"]).loc["x", "tea"]
    assert tea["is_chance"] and tea["not_yet"] == 60
    assert (tea["estimate"], tea["at_most"]) == (300.0, 3000.0)
    closed = preferences.preferred(cells([("x", "tea", 80), ("y", "tea", 10), ("x", "pot", 20),
                                          ("y", "pot", 50)]))  # fmt: skip
    tea = closed.set_index(["group", "thing"]).loc["x", "tea"]
    assert not tea["is_chance"] and tea["at_most"] == 0
    check("features/preferences", preferences.settled(made))


@pytest.mark.parametrize(
    ("bought", "share", "begins"),
    [(9000.0, 1 / 30, "**Product"), (30000.0, 0.01, "**Product"), (30001.0, 0.01, "Product and")],
)
def test_a_market_that_is_small_beside_what_the_group_buys_is_worth_no_campaign(
    bought, share, begins
):
    measured = cells([("x", "tea", 40), ("y", "tea", 10), ("x", "pot", 20), ("y", "pot", 50)],
                     bought=bought)  # fmt: skip
    facts = preferences.facts(measured, preferences.preferred(measured), 1.0)
    assert facts["chance_estimate"] == 300.0
    assert facts["chance_estimate_share"] == pytest.approx(share, abs=1e-6)
    assert preferences.chance_note(facts).startswith(begins)


def test_a_smaller_market_that_is_worth_it_goes_before_a_larger_one_that_is_not():
    rows = pd.DataFrame({
        "group": ["x", "y"], "thing": ["tea", "pot"], "share": 0.2, "others_share": 0.1,
        "not_yet": [80, 20], "usual_spend": 50.0, "estimate": [400.0, 100.0],
        "at_most": [4000.0, 1000.0], "is_chance": True, "bought": [90000.0, 5000.0],
    })  # fmt: skip
    facts = preferences.facts(rows, rows, 1.0)
    assert (facts["chance_thing"], facts["chances_worth"]) == ("pot", 1)
    assert preferences.chances(rows)["thing"].tolist() == ["tea", "pot"]


def test_nobody_likes_nothing():
    none = cells([], [])
    made = preferences.preferred(none)
    found = preferences.facts(none, made, 0.0)
    assert preferences.answer(found).startswith("**No group likes anything")
    assert preferences.chance_note(found).startswith("Product: no open market")
    typed = preferences.settled(made).astype(empty("features/preferences").dtypes)
    check("features/preferences", typed)


# --- what they answer to

CONTACTS = "campaign_id customer_id arm sent_at joined_at used_at\n"
CAMPAIGNS = f"campaign_id campaign_name offer\nK Autumn {OFFER}"


def invited(con, rows, who):
    return preferences.answers(
        literal(con, "tables/campaign_contacts", CONTACTS + "\n".join(rows)),
        literal(con, "tables/campaigns", CAMPAIGNS), who, as_of=AS_OF,
    )  # fmt: skip


def e12(con) -> pd.Series:
    """The answer of 20 customers of group 2 who were invited, of whom 13 used the offer."""
    rows = [f"K c{n} treated 2023-10-09 - {'2023-10-12' if n < 13 else '-'}" for n in range(20)]
    who = members(con, [(f"c{n}", "behaviour", GROUP) for n in range(20)])
    answers = engine.frame(con, invited(con, rows, who))
    return preferences.responses(answers).iloc[0]


def test_the_worked_example_e12(con):
    row = e12(con)
    assert (row["offer"], row["group"], row["contacted"]) == (OFFER, GROUP, 20)
    assert row["answered_share"] == row["used_share"] == 0.65
    assert [round(row[end], 3) for end in ("low_share", "high_share")] == [0.433, 0.819]


def test_who_was_left_out_was_not_invited_and_nobody_counts_twice(con):
    rows = ["K a treated 2023-10-09 - -", "K a treated 2023-10-10 2023-10-12 -",
            "K b control 2023-10-09 - -", "K c - 2023-10-09 - 2023-10-10",
            "K d treated 2022-10-31 - -", "K e treated 2023-10-09 2023-11-01 -"]  # fmt: skip
    who = members(con, [(name, "value", "high") for name in "abcde"])
    made = invited(con, rows, who)
    columns = ("contacted", "joined", "used", "answered")
    assert found(con, made, *columns) == [(3, 1, 1, 2)]
    assert found(con, invited(con, [], who), *columns) == []


def test_a_group_of_few_is_hidden_and_another_beside_it():
    rows = pd.DataFrame(
        [("K", "stage", "new", 4, 1), ("K", "stage", "old", 90, 30), ("K", "stage", "x", 40, 20)],
        columns=["campaign_id", "kind", "group", "contacted", "answered"],
    ).assign(joined=10, used=10, offer=OFFER)  # fmt: skip
    made = preferences.responses(rows).set_index("group")
    assert made["contacted"].isna().to_dict() == {"new": True, "old": False, "x": True}
    disclosure.refuse(made, 5)
    assert preferences.responses(rows.iloc[:0]).empty


def test_a_small_group_cannot_be_told_from_everybody_less_the_others():
    arms = [("g1", 80, 30, 50, 17), ("g2", 20, 10, 10, 3), ("g3", 60, 20, 40, 12)]
    rows = pd.DataFrame(
        [("K", arm, "earlier", group, *numbers) for group, a, b, c, d in arms
         for arm, numbers in (("treated", (a, b)), ("control", (c, d)))],
        columns=["campaign_id", "arm", "kind", "group", "invited", "met"],
    ).assign(sent_on=pd.Timestamp("2023-09-01"), campaign_name=None, offer=None)  # fmt: skip
    made = preferences.compared(rows, kind="earlier", since=date(2023, 8, 1))
    assert made["group"].tolist() == ["g1"]  # of g2 three ordered unasked; g3 hides them
    alone = rows[(rows["arm"] == "treated") | (rows["group"] != "g2")]
    made = preferences.compared(alone, kind="earlier", since=date(2023, 8, 1))
    assert made["group"].tolist() == ["g1", "g3"]  # twenty of g2 were addressed, none left out


def test_an_offer_that_nobody_took_is_not_sent_first():
    told = pd.DataFrame({"kind": "behaviour", "group": ["a", "b"], "contacted": 500,
                         "offer": [preferences.NO_OFFER, OFFER], "answered_share": [0.4, 0.0],
                         "low_share": [0.3, 0.0], "high_share": [0.5, 0.1]})  # fmt: skip
    facts = preferences.response_facts(told, pd.DataFrame({"low_share": []}))
    assert facts["cells"] == 0
    assert preferences.response_note(facts).startswith("Marketing: no offer to send first")


def test_those_addressed_are_compared_with_those_left_out(con):
    rows = ["K a treated 2023-10-09T09:00 - -", "K b control 2023-10-09T09:00 - -",
            "K c treated 2023-10-20 - -"]  # fmt: skip
    orders = """order_id customer_id ordered_at amount
        1 a 2023-10-23T09:00 5
        2 b 2023-10-23T09:01 5
        3 c 2023-10-21 5"""
    who = members(con, [(name, "earlier", "g") for name in "abc"])
    made = preferences.effects(
        literal(con, "tables/campaign_contacts", CONTACTS + "\n".join(rows)),
        literal(con, "tables/orders", orders),
        literal(con, "tables/campaigns", CAMPAIGNS), who, as_of=AS_OF,
    )  # fmt: skip
    columns = ("arm", "kind", "invited", "met")
    assert found(con, made, *columns) == [  # of c the days are to come
        ("control", "all", 1, 0), ("control", "earlier", 1, 0),
        ("treated", "all", 1, 1), ("treated", "earlier", 1, 1),
    ]  # fmt: skip


def test_a_difference_has_newcombes_interval_and_small_arms_are_left_out():
    rows = pd.DataFrame(
        [("K", "treated", "all", "all", 70, 56), ("K", "control", "all", "all", 80, 48),
         ("L", "treated", "all", "all", 70, 56), ("L", "control", "all", "all", 9, 6)],
        columns=["campaign_id", "arm", "kind", "group", "invited", "met"],
    ).assign(sent_on=pd.Timestamp("2023-09-01"), campaign_name=None, offer=None)  # fmt: skip
    made = preferences.compared(rows, kind="all", since=date(2023, 8, 1))
    (one,) = made.itertuples()
    assert round(one.more_share, 2) == 0.20  # the first example of Newcombe 1998, method 10
    assert (round(one.low_share, 4), round(one.high_share, 4)) == (0.0524, 0.3339)
    assert preferences.compared(rows, kind="all", since=date(2023, 9, 1)).empty
    facts = preferences.response_facts(
        pd.DataFrame(columns=["low_share", "answered_share", "group", "offer", "kind"]), made
    )
    assert (facts["compared"], facts["sure"], facts["cells"]) == (1, 1, 0)
    assert preferences.answer_tile(facts)[0] == "not known"
    assert preferences.invited_note(facts).startswith("No invitation")
    assert preferences.compared_tile(facts)[0] == "{compared}"
    early = rows.assign(sent_on=pd.Timestamp("2023-07-01"))
    assert preferences.compared(early, kind="all", since=date(2023, 8, 1)).empty
    both = preferences.together(made, made.assign(group="g"))
    assert both["group"].tolist() == ["everybody", "g"]
    assert preferences.together(made.iloc[:0], made.iloc[:0]).empty
