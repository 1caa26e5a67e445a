"""Segments of four kinds, profit, crossed cells that hide the few, and the cards."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest
from test_engine import found, literal

from crm import disclosure, engine, segments, wording
from crm.tables import check

AS_OF = date(2023, 10, 31)
ITEMS = "line order_id customer_id ordered_at product_id quantity amount\n"
RETURNS = "return_id line customer_id returned_at product_id quantity amount\n"
COSTS = "day kind product_id order_id customer_id cost\n"


@pytest.fixture(scope="module")
def con():
    return engine.connect(threads=2)


@pytest.fixture
def worth(con):
    def _worth(items: str, costs: str = "", returns: str = "", **options):
        tables = (
            literal(con, "tables/order_items", ITEMS + items),
            literal(con, "tables/returns", RETURNS + returns),
            literal(con, "tables/finance", COSTS + costs),
        )
        made = segments.worth(*tables, **{"as_of": AS_OF, **options})
        columns = ("customer_id", "sales", "profit", "costed")
        return found(con, made, *columns)

    return _worth


# --- profit (TAG-25)


def test_profit_is_sales_less_the_costs_of_goods_orders_and_the_customer(worth):
    costs = """
    2023-01-01 goods    mug - - 4
    2023-10-01 shipping -   o - 3
    2023-10-02 service  -   - a 1
    """
    assert worth("1 o a 2023-10-01 mug 2 20", costs) == [("a", 20.0, 8.0, 20.0)]


def test_a_unit_costs_what_it_cost_on_the_day_of_the_sale(worth):
    costs = "2023-10-05 goods mug - - 9\n2023-01-01 goods mug - - 4"
    items = "1 o a 2023-10-04 mug 1 20\n2 p b 2023-10-05 mug 1 20"
    assert [row[2] for row in worth(items, costs)] == [16.0, 11.0]


def test_what_comes_back_takes_its_sale_and_its_cost_away(worth):
    costs, back = "2023-01-01 goods mug - - 4", "R 9 a 2023-10-09 mug 1 10"
    assert worth("1 o a 2023-10-01 mug 2 20", costs, back) == [("a", 10.0, 6.0, 10.0)]


@pytest.mark.parametrize(
    ("day", "sales"), [("2022-10-31", []), ("2022-11-01", [20.0]), ("2023-11-01", [])]
)
def test_the_window_of_profit_holds_exactly_its_days(worth, day, sales):
    assert [row[1] for row in worth(f"1 o a {day} mug 2 20")] == sales


def test_a_cost_booked_after_the_day_is_not_known_yet(worth):
    costs = "2023-10-31 shipping - o - 3\n2023-11-01 shipping - o - 4\n2023-11-01 service - - a 5"
    assert worth("1 o a 2023-10-01 mug 2 20", costs) == [("a", 20.0, 17.0, None)]


def test_without_costs_profit_is_unknown_and_not_all_of_sales(worth):
    assert worth("1 o a 2023-10-01 mug 2 20") == [("a", 20.0, None, None)]
    assert worth("") == []


# --- one segment of each kind (TAG-24)


def tagged(**columns) -> pd.DataFrame:
    size = len(next(iter(columns.values())))
    given = {
        "customer_id": [f"c{n}" for n in range(size)], "gender": "unknown",
        "age": -1, "age_band": "unknown", "country": None, "customer_type": "old",
        "frequency_level": "low", "purchase_channel": "web", "loyalty": "loyal",
        "overtime_order_share": 0.0, "freq_90d": 1, "spend_90d": 10.0, "spend": 100.0,
        "top_category": None,
    }  # fmt: skip
    return pd.DataFrame({**{k: v if isinstance(v, list) else [v] * size for k, v in given.items()},
                         **columns})  # fmt: skip


def settled(tags: pd.DataFrame, *, tiers=None, needs=(), profit=None, **options) -> pd.DataFrame:
    ids = tags["customer_id"]
    tier = pd.DataFrame({"customer_id": ids, "tier": tiers or ["general"] * len(ids)})
    stated = pd.DataFrame(list(needs), columns=["customer_id", "states", "interest"], dtype="str")
    gains = [None] * len(ids) if profit is None else profit
    gained = pd.DataFrame({"customer_id": ids, "profit": pd.Series(gains, dtype="float64")})
    return segments.settle(tags, tier, stated, gained, **options)


def test_descriptive_is_what_is_known_of_gender_and_age_else_the_country():
    made = settled(
        tagged(
            gender=["female", "unknown", "male", "unknown", "unknown"],
            age_band=["26–35", "26–35", "unknown", "unknown", "unknown"],
            country=["China", "China", "China", "France", None],
        )
    )
    assert made["descriptive"].tolist() == [
        "female, 26–35", "26–35", "male", "France", "unknown"
    ]  # fmt: skip


def test_need_is_what_is_stated_then_an_interest_then_the_scene():
    needs = [("c0", "茶叶", "骑行俱乐部"), ("c1", None, "骑行俱乐部")]
    made = settled(tagged(overtime_order_share=[1.0, 1.0, 0.5, 0.49, None]), needs=needs)
    assert made["need"].tolist() == [
        "states: 茶叶", "interest: 骑行俱乐部", "scene: after work", "unknown", "unknown"
    ]  # fmt: skip


def test_of_several_interests_the_most_common_counts_of_a_tie_the_first(con):
    customers = literal(con, "tables/customers", "customer_id consumption_preference\na -\nb tea")
    rows = """
    customer_id tag      value
    a           interest zoo
    a           interest art
    b           interest zoo
    c           interest bees
    c           interest art2
    """
    made = segments.needs(customers, literal(con, "features/tag_rows", rows))
    assert found(con, made, "customer_id", "states", "interest") == [
        ("a", None, "zoo"), ("b", "tea", "zoo"), ("c", None, "art2")
    ]  # fmt: skip


def test_value_is_the_tier_and_whether_there_is_profit():
    tiers = ["high value", "general", "at risk", "general", "no purchase"]
    made = settled(tagged(age=[1] * 5), tiers=tiers, profit=[90.0, 10.0, 0.0, -5.0, None])
    assert made["value"].tolist() == [
        "high value, high profit", "general, profit", "at risk, no profit", "general, no profit",
        "no purchase",
    ]  # fmt: skip


def test_no_profit_is_never_called_high_even_where_nobody_gains():
    made = settled(tagged(age=[1] * 2), profit=[0.0, -5.0])
    assert made["value"].tolist() == ["general, no profit"] * 2


def test_behaviour_is_frequency_channel_and_loyalty():
    made = settled(tagged(purchase_channel=["web", None], loyalty=["loyal", "inactive"]))
    assert made["behaviour"].tolist() == [
        "low frequency, web, loyal", "low frequency, no channel, inactive"
    ]  # fmt: skip


def test_nobody_has_no_segment():
    made = settled(tagged(age=[1]).head(0))
    check("features/segments", segments.settled(made))
    assert segments.cards(made, "value", least=5).empty
    cells = segments.cross(made)
    made = segments.addressable(made, pd.DataFrame(columns=["customer_id", "purpose", "allowed"]))
    assert segments.quietest(made, cells, ["tier", "loyalty"])["quiet_cell"] == ""
    assert (
        segments.facts(made, pd.DataFrame({"customer_id": [], "sales": [], "costed": []}))[
            "customers"
        ]
        == 0
    )


# --- crossed (TAG-28)


def crossing(cells: dict[tuple, int]) -> pd.DataFrame:
    rows = [
        {"customer_id": f"{key}{n}", "x": key[0], "y": key[1], "spend": 10.0, "profit": None,
         "silent": n == 0}
        for key, count in cells.items()
        for n in range(count)
    ]  # fmt: skip
    return pd.DataFrame(rows).astype({"profit": "float64"})


def test_a_cell_has_customers_spend_and_the_share_of_the_silent():
    made = segments.cross(crossing({("b", "u"): 4, ("a", "u"): 5}), by=["x", "y"], least=1)
    assert made[["x", "customers", "spend", "silent_share"]].values.tolist() == [
        ["a", 5, 50.0, 0.2], ["b", 4, 40.0, 0.25]
    ]  # fmt: skip


def test_any_columns_can_be_crossed_and_a_wrong_one_is_named():
    made = crossing({("a", "u"): 2})
    assert len(segments.cross(made, by=["x", "y", "silent"])) == 2
    with pytest.raises(segments.SegmentError, match=r"\['z'\] is no column"):
        segments.cross(made, by=["x", "z"])
    with pytest.raises(segments.SegmentError, match="fewer than two"):
        segments.cross(made, by=["x"])


def test_a_missing_value_is_a_cell_named_unknown_and_can_be_the_one_to_begin_with():
    every = crossing({("a", "u"): 10, ("b", "u"): 12}).assign(silent=[True, False] * 11)
    for known in ("u", 1.5):
        some = every.assign(y=[known] * 10 + [None] * 12, may_contact=every["x"] == "b")
        cells = segments.cross(some, by=["x", "y"])
        assert cells[["x", "y", "customers"]].astype("str").values.tolist() == [
            ["a", str(known), "10"], ["b", "unknown", "12"]
        ]  # fmt: skip
        assert segments.quietest(some, cells, ["x", "y"]) == {
            "quiet_cell": "b × unknown", "quiet_spend": 60.0, "quiet_contacts": 12
        }  # fmt: skip


def test_the_cell_to_begin_with_is_chosen_by_what_the_silent_spent():
    every = crossing({("a", "u"): 10, ("b", "u"): 10}).assign(
        silent=([True] * 5 + [False] * 5) * 2,
        spend=[1.0] * 5 + [100.0] * 5 + [20.0] * 5 + [30.0] * 5,
        may_contact=True,
    )
    cells = segments.cross(every, by=["x", "y"])
    assert cells["silent_spend"].tolist() == [5.0, 100.0]
    assert segments.quietest(every, cells, ["x", "y"]) == {
        "quiet_cell": "b × u", "quiet_spend": 100.0, "quiet_contacts": 10
    }  # fmt: skip


def test_the_silent_are_hidden_where_they_or_the_others_are_few():
    every = crossing({("a", ""): 10, ("b", ""): 10, ("c", ""): 10})
    few = [True] + [False] * 9
    every = every.assign(silent=[*few, *few[1:], True, *[not one for one in few]])
    made = segments.summarise(every, "x")
    assert made["customers"].tolist() == [10, 10, 10]
    assert made[["silent_share", "silent_spend"]].isna().all(axis=None)
    assert disclosure.hidden(made) == 3


def test_small_cells_take_no_silent_of_large_ones_with_them():
    counts = {"a": 10, "b": 20, "c": 30, "d": 3, "e": 4}
    every = crossing({(name, ""): n for name, n in counts.items()})
    every = every.assign(silent=every["x"].isin(["a", "d", "e"]))
    made = segments.summarise(every, "x").set_index("x")
    assert made.loc[["a", "c"], "silent_share"].tolist() == [1.0, 0.0]
    assert disclosure.hidden(made) == made["silent_share"].isna().sum()


def test_the_customers_of_a_cell_of_numbers_are_found():
    every = crossing({(1, 10): 10, (2, 10): 12}).assign(silent=[True, False] * 11)
    every = every.astype({"x": "int64", "y": "int64"}).assign(may_contact=True)
    found = segments.quietest(every, segments.cross(every, by=["x", "y"]), ["x", "y"])
    assert found == {"quiet_cell": "2 × 10", "quiet_spend": 60.0, "quiet_contacts": 12}


def test_cells_of_few_customers_are_hidden_and_so_is_what_would_give_them_away():
    counts = {("a", "u"): 4, ("a", "v"): 9, ("a", "w"): 20, ("b", "u"): 9, ("b", "v"): 8,
              ("b", "w"): 30}  # fmt: skip
    made = segments.cross(crossing(counts), by=["x", "y"], least=5)
    hidden = made[made["customers"].isna()]
    assert {("a", "u"), ("b", "u")} <= set(hidden[["x", "y"]].itertuples(index=False, name=None))
    assert len(hidden) == 4  # two in each line
    assert hidden[["spend", "silent_share", "silent_spend"]].isna().all(axis=None)


# --- cards (TAG-22, TAG-30, TAG-33)


def test_a_card_has_one_suggestion_for_each_use_and_age_decides_the_channel():
    ages = [30] * 5 + [60] * 6 + [40] * 4
    people = tagged(
        gender=["female"] * 5 + ["male"] * 6 + ["female"] * 4, age=ages,
        age_band=["26–35"] * 5 + ["56 and over"] * 6 + ["36–45"] * 4,
    )  # fmt: skip
    made = segments.cards(settled(people), "descriptive", least=4)
    assert made["segment"].tolist() == ["male, 56 and over", "female, 26–35", "female, 36–45"]
    channels = [text.split(";")[0] for text in made["what_to_do"]]
    assert channels == [
        "marketing: traditional media and offline events",
        "marketing: social media and mobile advertising",
        "marketing: messages and mail",
    ]
    for text in made["what_to_do"]:
        assert [part.split(":")[0] for part in text.split("; ")] == list(segments.USES)
    assert segments.cards(settled(people), "descriptive", least=7).empty


def test_every_tier_level_and_basis_has_its_suggestions():
    from crm.tables import LEVELS, TIERS

    begun = {kind: {b for k, b in segments.SUGGESTED if k == kind} for kind in segments.KINDS}
    assert begun["value"] == set(TIERS)
    assert begun["behaviour"] == set(LEVELS)
    assert all(len(told) == len(segments.USES) for told in segments.SUGGESTED.values())


def test_what_few_share_is_not_told():
    few = tagged(gender=["male"] * 2 + ["unknown"] * 3, age=[30, 30, -1, -1, -1])
    text = segments.describe(settled(few))
    assert text == (
        "1.0 purchases in the window on average, 10 an order; most buy through web (100%); "
        "0% silent"
    )


def test_the_cell_to_begin_with_has_most_spend_among_the_silent_and_counts_permissions():
    every = crossing({("a", "u"): 5, ("b", "u"): 10}).assign(silent=True)
    permits = pd.DataFrame(
        {"customer_id": every["customer_id"], "purpose": "marketing",
         "allowed": every.index % 2 == 0}
    )  # fmt: skip
    every = segments.addressable(every, permits)
    cells = segments.cross(every, by=["x", "y"])
    assert segments.quietest(every, cells, ["x", "y"], least=1) == {
        "quiet_cell": "b × u", "quiet_spend": 100.0, "quiet_contacts": 5
    }  # fmt: skip
    some = segments.quietest(every, cells, ["x", "y"], least=6)
    assert some["quiet_contacts"] is None  # too few to tell


# --- what is said


@pytest.mark.parametrize("high", [1, 29])
def test_what_few_bring_is_neither_a_number_nor_in_a_sentence(high):
    people = tagged(age=[30] * 30, customer_type=["churned"] * high + ["old"] * (30 - high))
    tiers = ["high value"] * high + ["general"] * (30 - high)
    made = settled(people, tiers=tiers, profit=[5.0] * 30, needs=[("c0", "tea", None)])
    worth = pd.DataFrame({"customer_id": ["c0"], "sales": [9.0], "costed": [9.0]})
    found = segments.facts(made, worth, least=5)
    assert (found["best"], found["best_profit_share"]) == (None, None)
    assert segments.facts(made, worth, least=1)["best"] == high
    assert (found["silent_share"], found["need_unknown"]) == (None, None)
    notes = (segments.answer, segments.value_title, segments.need_note)
    for costed in (1.0, 0.0):
        for note in notes:
            text = note(found | {"costed_share": costed})
            assert not [key for key in wording.keys(text) if found[key] is None], text


def test_what_many_bring_is_told_in_full():
    people = tagged(age=[30] * 30, customer_type=["churned"] * 10 + ["old"] * 20)
    tiers = ["high value"] * 6 + ["general"] * 24
    made = settled(people, tiers=tiers, profit=[5.0] * 30)
    worth = pd.DataFrame({"customer_id": ["c0"], "sales": [9.0], "costed": [9.0]})
    found = segments.facts(made, worth, least=5)
    assert (found["best"], found["best_profit_share"]) == (6, 0.2)
    told = {"best", "best_profit_share", "profit", "silent_share"}
    assert set(wording.keys(segments.answer(found))) == told
    assert set(wording.keys(segments.value_title(found))) == {"best", "customers"}
