"""Rules between products: worked example E7, the floors, mlxtend's measures, later orders."""

from __future__ import annotations

from datetime import date
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlxtend.frequent_patterns import association_rules, fpgrowth
from test_engine import found, literal
from test_itemsets import BASKETS, baskets

from crm import baskets as analysis
from crm import engine, itemsets
from crm.tables import check, lookup

AS_OF = date(2023, 10, 31)
E7 = [{0, 1}] * 6 + [{0}] * 4 + [{1}] * 3 + [{2}] * 7  # 10 bought A, 6 of them B, 3 more B alone
FLOORS = {"confidence": 0.3, "lift": 1.0}
ANY = {"confidence": 0.0, "lift": 0.0, "false_discoveries": 1.0}
ITEMS = "line order_id customer_id product_id ordered_at amount\n"
PRODUCTS = "product_id product_name category is_product\n" + "\n".join(
    f"{code} {code.title()} - {goods}"
    for code, goods in (("cup", True), ("mug", True), ("pot", True), ("POST", False))
)


@pytest.fixture(scope="module")
def con():
    return engine.connect(threads=2)


@pytest.fixture
def bought(con):
    """Lines of baskets and their products, of order lines written as text."""

    def _bought(items, returns="", refused=(), **options):
        ids = ["a", "b", "c"]
        may = "customer_id purpose allowed\n"
        may += "\n".join(f"{who} analysis {who not in refused}" for who in ids)
        products = literal(con, "tables/products", PRODUCTS)
        rows = analysis.lines(
            literal(con, "tables/order_items", ITEMS + items),
            literal(con, "tables/returns", "reverses_line returned_at\n" + returns),
            products,
            literal(con, "features/permits", may),
            as_of=AS_OF,
            **options,
        )
        return rows, analysis.goods(rows, products)

    return _bought


def rule(made: pd.DataFrame, a: tuple, b: tuple) -> pd.Series:
    return made[(made["antecedent"] == a) & (made["consequent"] == b)].iloc[0]


# --- rules


def test_the_worked_example_e7():
    made = analysis.rules(itemsets.mine(baskets(E7), least=1), **ANY)
    one = rule(made, (0,), (1,))
    assert (one["support"], one["confidence"]) == (0.30, 0.60)
    assert round(one["lift"], 3) == 1.333
    assert (one["n"], one["n_antecedent"], one["n_consequent"]) == (6, 10, 9)
    assert round(one["p_value"], 4) == 0.1849
    kept = analysis.rules(itemsets.mine(baskets(E7), least=1), confidence=0.6,
                          false_discoveries=1.0)  # fmt: skip
    assert kept[["antecedent", "consequent"]].values.tolist() == [[(0,), (1,)], [(1,), (0,)]]


def test_a_rule_at_a_floor_stays_whatever_the_binary_fraction():
    rows = [{0, 1}] * 3 + [{0}] * 7 + [{2}] * 20  # 3 of 10, which no binary fraction is
    made = analysis.rules(itemsets.mine(baskets(rows), least=1), confidence=0.3,
                          false_discoveries=1.0)  # fmt: skip
    assert rule(made, (0,), (1,))["confidence"] == 0.3


@settings(max_examples=60, deadline=None)
@given(rows=BASKETS, least=st.integers(1, 4))
def test_the_measures_are_those_of_mlxtend(rows, least):
    mined = itemsets.mine(baskets(rows), least=least, longest=4)
    ours = analysis.rules(mined, **ANY)
    table = pd.DataFrame([[item in row for item in range(8)] for row in rows])
    sets = fpgrowth(table, min_support=min((least - 0.5) / len(rows), 1.0), max_len=4)
    if len(ours):
        theirs = association_rules(sets, metric="support", min_threshold=0.0)
        sides = (theirs[side].map(sorted).map(tuple) for side in ("antecedents", "consequents"))
        theirs = dict(zip(zip(*sides, strict=True), theirs.to_dict("records"), strict=True))
        assert len(ours) == len(theirs)
    for row in ours.itertuples():
        other = theirs[row.antecedent, row.consequent]
        for name in analysis.MEASURES:
            assert getattr(row, name) == pytest.approx(other[name], rel=1e-9, abs=1e-12), name


@settings(max_examples=60, deadline=None)
@given(rows=BASKETS, least=st.integers(1, 4), improvement=st.sampled_from([0.0, 0.1]))
def test_rules_that_are_left_have_no_simpler_one_as_sure(rows, least, improvement):
    made = analysis.rules(itemsets.mine(baskets(rows), least=least, longest=4), **ANY)
    left = analysis.simplest(made, improvement=improvement)
    pairs = zip(made["antecedent"], made["consequent"], strict=True)
    sure = dict(zip(pairs, made["confidence"], strict=True))
    kept = [
        (row.antecedent, row.consequent)
        for row in made.itertuples()
        if all(sure[part, row.consequent] + improvement < row.confidence
               for size in range(1, len(row.antecedent))
               for part in combinations(row.antecedent, size))
    ]  # fmt: skip
    assert list(zip(left["antecedent"], left["consequent"], strict=True)) == kept


@settings(max_examples=60, deadline=None)
@given(rows=BASKETS, least=st.integers(1, 4), confidence=st.sampled_from([0.1, 0.3, 0.5, 1.0]))
def test_the_rules_at_a_floor_are_those_of_mlxtend(rows, least, confidence):
    mined = itemsets.mine(baskets(rows), least=least)
    ours = analysis.rules(mined, confidence=confidence, lift=0.0, false_discoveries=1.0)
    sides = zip(ours["antecedent"], ours["consequent"], strict=True)
    table = pd.DataFrame([[item in row for item in range(8)] for row in rows])
    share = min((least - 0.5) / len(rows), 1.0)
    sets = fpgrowth(table, min_support=share, max_len=3)
    if not len(mined):
        assert ours.empty
        return
    # half a basket below the floor, since it loses rules at the floor by binary fractions
    theirs = association_rules(sets, metric="confidence", min_threshold=confidence - 0.5 / 30)
    n, a = ((theirs[name] * len(rows)).round() for name in ("support", "antecedent support"))
    theirs = theirs[n >= (confidence * a).round(9)]
    pairs = zip(theirs["antecedents"], theirs["consequents"], strict=True)
    assert set(sides) == {tuple(tuple(sorted(side)) for side in pair) for pair in pairs}


def test_chances_keep_the_digits_that_would_be_printed():
    rng = np.random.default_rng(2)
    values = np.concatenate([[0.0, 1.0, 1e-5, 0.1, 1e-300, 5e-324], rng.random(500),
                             10.0 ** -rng.uniform(0, 40, 500)])  # fmt: skip
    assert analysis._rounded(values).tolist() == [float(f"{value:.6g}") for value in values]


def test_rules_come_by_lift_then_baskets_then_numbers():
    rows = [{0, 1}] * 4 + [{2, 3}] * 4 + [{4}] * 4
    made = analysis.rules(itemsets.mine(baskets(rows), least=1), **ANY)
    assert made[["antecedent", "consequent"]].values.tolist() == [
        [(0,), (1,)], [(1,), (0,)], [(2,), (3,)], [(3,), (2,)]
    ]  # fmt: skip


@pytest.mark.parametrize("rows", [[{3}] * 9, [{0}, {1}, {1}, {2}], [set()] * 3])
def test_one_product_and_baskets_of_one_make_no_rule(rows):
    made = analysis.rules(analysis.mine(baskets(rows), support=0.01, count=1), **ANY)
    assert analysis.confirmed(analysis.simplest(made), baskets(rows), **FLOORS).empty


def test_sets_of_one_item_make_no_rule():
    made = analysis.rules(itemsets.mine(baskets(E7), least=1, longest=1), **ANY)
    assert made.empty
    assert made.columns.tolist()[:3] == ["antecedent", "consequent", "n"]


def test_a_support_that_asks_for_too_much_is_refused_with_one_that_fits():
    rows = [set(range(8))] * 3 + [{0, 1}] * 4
    with pytest.raises(itemsets.ItemsetError, match="84 itemsets") as e:
        analysis.mine(baskets(rows), support=0.01, count=1, most=50)
    assert str(e.value).endswith("ask for at least 4 of 7 baskets, a support of 0.571429")
    with pytest.raises(itemsets.ItemsetError, match="no support fits, so lower"):
        analysis.mine(baskets(rows[:3]), support=0.01, count=1, most=50)
    assert len(analysis.mine(baskets(rows), support=0.571429, count=1, most=50).sets[1]) == 1


def test_many_tests_ask_more_of_each():
    p = pd.Series([0.01, 0.04, 0.03, 0.2])
    assert analysis.discoveries(p).round(4).tolist() == [0.04, 0.0533, 0.0533, 0.2]
    assert analysis.discoveries(pd.Series([], dtype=float)).empty


def test_noise_gives_hardly_a_rule_and_a_planted_pair_is_found():
    rng = np.random.default_rng(7)
    rows = [set(np.flatnonzero(rng.random(8) < 0.3).tolist()) for _ in range(3000)]
    mined = itemsets.mine(baskets(rows), least=30)
    noise = analysis.rules(mined, confidence=0.0, false_discoveries=0.05)
    assert len(noise) <= 6
    for row in rows[:600]:
        row |= {6, 7}
    planted = analysis.rules(itemsets.mine(baskets(rows), least=30, longest=2), confidence=0.3)
    assert {planted["antecedent"].iloc[0], planted["consequent"].iloc[0]} == {(6,), (7,)}


def test_a_rule_that_a_simpler_one_says_is_dropped():
    rows = [{0, 1, 2}] * 5 + [{0, 2}] * 5 + [{1}] * 5
    made = analysis.rules(itemsets.mine(baskets(rows), least=1), **ANY)
    left = analysis.simplest(made)
    assert len(rule(made, (0, 1), (2,)))  # 100 %, as 0 alone leads to 2
    assert not ((left["antecedent"] == (0, 1)) & (left["consequent"] == (2,))).any()
    assert ((left["antecedent"] == (0,)) & (left["consequent"] == (2,))).any()


def test_a_rule_has_to_hold_in_later_baskets():
    made = analysis.rules(itemsets.mine(baskets(E7), least=1, longest=2), **ANY)
    same = analysis.confirmed(made, baskets(E7), **FLOORS)
    one = rule(same, (0,), (1,))
    assert (one["later_n"], one["later_confidence"], one["holds"]) == (6, 0.6, True)
    apart = analysis.confirmed(made, baskets([{0}] * 9 + [{1}] * 9), **FLOORS)
    assert not apart["holds"].any()
    none = analysis.confirmed(made, baskets([]), **FLOORS)
    assert none["later_confidence"].isna().all()
    assert not none["holds"].any()


@pytest.mark.parametrize("method", ["fpgrowth", "apriori"])
def test_the_miners_of_mlxtend_give_the_same(method):
    rng = np.random.default_rng(3)
    rows = [set(np.flatnonzero(rng.random(8) < 0.4).tolist()) for _ in range(200)]
    ours, theirs = (
        analysis.mine(baskets(rows), support=0.05, method=name) for name in ("own", method)
    )
    for one, other in zip(ours.sets + ours.counts, theirs.sets + theirs.counts, strict=True):
        assert one.tolist() == other.tolist()
    with pytest.raises(analysis.BasketError, match="expected own, fpgrowth or apriori"):
        analysis.mine(baskets(rows), method="eclat")


def test_a_set_needs_its_share_and_its_number_of_baskets():
    rows = [{0, 1}] * 5 + [{2}] * 95
    assert len(analysis.mine(baskets(rows), support=0.05, count=5).sets[1]) == 1
    assert len(analysis.mine(baskets(rows), support=0.05, count=6).sets[1]) == 0
    assert len(analysis.mine(baskets(rows), support=0.0501, count=1).sets[1]) == 0


# --- baskets


def test_goods_that_were_kept_are_in_the_basket_once(con, bought):
    items = """
    1  o a cup  2023-10-01T10:00 5
    2  o a cup  2023-10-01T10:00 5
    3  o a mug  2023-10-01T10:00 5
    4  o a POST 2023-10-01T10:00 5
    5  p a pot  2023-10-31T23:59 5
    6  q - pot  2023-10-01T10:00 5
    7  r b pot  2023-10-01T10:00 5
    8  s c pot  2023-11-01T00:00 5
    9  t c pot  2022-10-31T23:59 5
    10 u c mug  2023-10-01T10:00 0
    """
    rows, goods = bought(items, returns="3 2023-10-05", refused=["b"])
    assert found(con, rows, "order_id", "customer_id", "product_id") == [
        ("o", "a", "cup"), ("p", "a", "pot"), ("q", None, "pot")
    ]  # fmt: skip
    assert found(con, goods, "item", "product_id") == [(0, "cup"), (1, "pot")]


def test_baskets_are_of_orders_or_of_customers_and_giants_are_left_out(con, bought):
    items = "1 o a cup 2023-10-01 5\n2 o a mug 2023-10-01 5\n3 p a pot 2023-10-02 5\n"
    items += "4 q - cup 2023-10-02 5"
    rows, goods = bought(items)
    by = {
        unit: engine.arrays(con, analysis.numbered(rows, goods, unit)) for unit in analysis.UNITS
    }
    assert by["order"]["basket"].tolist() == [0, 0, 1, 2]
    assert by["order"]["item"].tolist() == [0, 1, 2, 0]
    assert by["customer"]["basket"].tolist() == [0, 0, 0]
    small = engine.arrays(con, analysis.numbered(rows, goods, "order", largest=1))
    assert small["item"].tolist() == [2, 0]
    counted = engine.frame(con, analysis.giants(rows, largest=1))
    assert counted.values.tolist() == [[1, 1]]
    packed = analysis.packed(by["order"], kinds=3)
    assert (len(packed), packed.kinds) == (3, 3)


def test_no_line_makes_empty_rules_all_the_way(con, bought, tmp_path):
    rows, goods = bought("")
    pack = analysis.packed(engine.arrays(con, analysis.numbered(rows, goods, "order")), kinds=0)
    made = analysis.simplest(analysis.rules(analysis.mine(pack), **ANY))
    table = analysis.named(
        analysis.confirmed(made, pack, **FLOORS), engine.frame(con, goods), "order"
    )
    facts = analysis.rule_facts(table, "order") | analysis.rule_facts(table, "customer")
    assert (facts["order_rules"], facts["customer_hold"]) == (0, 0)
    assert analysis.shown(table).empty
    assert analysis.strongest(table).empty
    assert "No two products" in analysis.answer(facts)
    assert "nothing to bundle" in analysis.sales_note(facts)
    assert "nothing to offer" in analysis.marketing_note(facts)
    both = analysis.settled([table, table])
    assert engine.write(con, both, tmp_path / "rules", lookup("features/association_rules")) == 0


def test_rules_are_written_with_codes_names_and_advice(con, tmp_path):
    rows = [{0, 1}] * 9 + [{2}] * 9 + [{1}]
    made = analysis.rules(itemsets.mine(baskets(rows, 3), least=2), false_discoveries=1.0)
    goods = pd.DataFrame({"product_id": ["c1", "m2", "p3"], "product_name": ["Cup", "Mug", "Pot"]})
    table = analysis.named(analysis.confirmed(made, baskets(rows, 3), **FLOORS), goods, "order")
    assert table[["antecedent", "consequent_code", "suggestion", "relation"]].values.tolist() == [
        ["Cup", "m2", "bundle", "complement"], ["Mug", "c1", "bundle", "complement"]
    ]  # fmt: skip
    both = analysis.settled([table, table.assign(unit="customer")])
    check("features/association_rules", both)
    shown = analysis.shown(table)
    assert shown[["who_bought", "also_bought", "held"]].values.tolist() == [["Cup", "Mug", True]]
    assert analysis.strongest(table)["rule"].tolist() == ["Cup → Mug"]
    assert analysis.strongest(table.assign(holds=False)).empty
    assert both["unit"].tolist() == ["customer"] * 2 + ["order"] * 2
