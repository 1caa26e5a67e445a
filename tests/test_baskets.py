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
FLOORS = {"confidence": 0.3, "lift": 1.0, "count": 5}
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


def shelf(*names: str, codes=None, categories=None) -> pd.DataFrame:
    """Products by item number, as `goods` gives them."""
    codes = codes or [f"p{place}" for place in range(len(names))]
    kinds = pd.Series(categories or [None] * len(names), dtype="str")
    return pd.DataFrame({"product_id": codes, "product_name": names, "category": kinds})


def packs(first, later=None, people=None, kinds=3) -> dict:
    parts = {("first", "order"): first, ("later", "order"): later or first,
             ("first", "customer"): people or []}  # fmt: skip
    return {name: baskets(rows, kinds) for name, rows in parts.items()}


def related(packs, goods, least=1, **options):
    mined = itemsets.mine(packs["first", "order"], least=least, longest=2)
    return analysis.relations(mined, packs, goods, **options)


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
    few = analysis.confirmed(made, baskets([{0, 1}] * 4 + [{2}] * 4), **FLOORS)
    assert rule(few, (0,), (1,))[["later_confidence", "holds"]].tolist() == [1.0, False]
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
    goods = shelf("Cup", "Mug", "Pot", codes=["c1", "m2", "p3"])
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


# --- variants, relations, bundles


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("PINK REGENCY TEACUP", "GREEN REGENCY TEACUPS", True),
        ("HEART OF WICKER SMALL", "HEART OF WICKER LARGE", True),
        ("JUMBO BAG RED RETROSPOT", "JUMBO BAG PINK POLKADOT", True),
        ("RED RETROSPOT CAKE STAND", "RED RETROSPOT LUNCH BAG", False),
        ("POLKADOT PLATE", "POLKADOT CUP", False),
        ("红色茶杯", "绿茶杯", True),
        ("龙井", "普洱", False),
        ("RED", "BLUE", False),  # nothing is left to compare
    ],
)
def test_variants_share_words_that_are_no_colours(one, other, same):
    assert analysis.are_variants(one, other) is same
    assert analysis.are_variants(other, one) is same


def test_products_of_two_categories_are_no_variants():
    assert analysis.are_variants("Tea cup", "Tea cups", "home", "home")
    assert not analysis.are_variants("Tea cup", "Tea cups", "home", "toys")
    assert analysis.are_variants("Tea cup", "Tea cups", "home", "")


def test_a_rule_is_between_variants_if_all_it_leads_to_is_one():
    goods = shelf("Red mug", "Blue mug", "Plate")
    sides = [((0,), (1,)), ((0, 2), (1,)), ((0,), (1, 2)), ((2,), (0,))]
    rules = pd.DataFrame(sides, columns=["antecedent", "consequent"])
    assert analysis._between(rules, goods) == [
        "variants", "variants", "different goods", "different goods"
    ]  # fmt: skip


def test_large_baskets_make_products_meet_and_small_ones_keep_them_apart():
    assert analysis.crowding(baskets([{0, 1}] * 4)) == 0.5  # 4 baskets × 8 ÷ 8²
    assert analysis.crowding(baskets([{0, 1, 2, 3}, {4}, {5}, {6}], 7)) == 48 / 49
    assert analysis.crowding(baskets([{0}] * 3)) == 0.0
    assert analysis.crowding(baskets([])) == 1.0


TEAS = ("Oolong", "Pu'er", "Milk", "Nuts", "Cake")
KINDS = {"categories": ["tea", "tea", "drink", "snack", "cake"]}
APART = (
    [{0, 2, 3}] * 40 + [{1, 2, 4}] * 40 + [{0, 1, 2, 3}] + [{2, 4}] * 19
)  # one tea or the other


def test_of_one_category_and_seldom_together_is_a_substitute():
    made = related(packs(APART, kinds=5), shelf(*TEAS, **KINDS))
    assert made[["name_a", "name_b", "relation"]].values.tolist() == [
        ["Oolong", "Pu'er", "substitute"], ["Oolong", "Nuts", "complement"],
        ["Pu'er", "Cake", "complement"],
    ]  # fmt: skip
    crowded = 100 * (80 * 6 + 12 + 19 * 2) / (80 * 3 + 4 + 19 * 2) ** 2  # 0.67: orders are small
    tea, nuts = made.iloc[0], made.iloc[1]
    assert (tea["n"], tea["category"], tea["holds"]) == (1, "tea", True)
    assert tea["expected"] == pytest.approx(crowded * 41 * 41 / 100)
    assert nuts["lift"] == pytest.approx(41 * 100 / (41 * 41))  # chance alone is harder here
    check("features/product_relations", made)


@pytest.mark.parametrize("sizes", [(2, 2, 2, 2), (1, 1, 1, 15)])
def test_sizes_of_baskets_alone_make_no_relation(sizes):
    """Pairs make any two products seldom meet, a few large baskets often: by chance alone."""
    rng = np.random.default_rng(11)
    rows = [set(rng.choice(20, size, replace=False).tolist()) for size in sizes * 1500]
    goods = shelf(*"abcdefghijklmnopqrst", categories=["one"] * 20)
    first, later = rows[:3000], rows[3000:]
    assert related(packs(first, later, kinds=20), goods, least=5).empty
    met = analysis._met(baskets(first, 20), np.array([[0, 1]], np.int32), True)
    plain = met["n"] * len(first) / np.prod([sum(k in row for row in first) for k in (0, 1)])
    assert (plain < 0.8).all() or (plain > 1.2).all()


def test_who_buys_both_in_different_orders_buys_them_in_turn():
    goods = shelf(*TEAS, **KINDS)
    both = related(packs(APART, people=[{0, 1}] * 8 + [{2}] * 8, kinds=5), goods)
    assert both["relation"].tolist()[0] == "in turn"
    one = related(packs(APART, people=[{0}] * 8 + [{1}] * 8, kinds=5), goods)
    assert one["relation"].tolist()[0] == "substitute"


def test_a_relation_has_to_hold_in_later_orders_among_enough_of_them():
    few = [{0, 2, 3}] * 4 + [{1, 2, 4}] * 4
    made = related(packs(APART, later=few, kinds=5), shelf(*TEAS, **KINDS))
    assert made["holds"].tolist() == [False, True, True]  # no tea met the other, of 1.3 expected
    turned = related(packs(APART, later=[{0, 1, 2, 3, 4}] * 40, kinds=5), shelf(*TEAS, **KINDS))
    assert not turned["holds"].any()


def test_without_categories_there_are_no_substitutes_and_without_orders_nothing():
    made = related(packs(APART, kinds=5), shelf(*TEAS))
    assert made["relation"].tolist() == ["complement"] * 2
    single = related(packs([{0}] * 90 + [{1}] * 90, kinds=5), shelf(*TEAS, **KINDS))
    assert single.empty  # orders of one product: nothing can meet
    none = related(packs([], kinds=0), shelf())
    assert none.empty
    check("features/product_relations", none)
    facts = analysis.relation_facts(none, shelf(), 1.0)
    assert (facts["complements"], facts["rival_one"]) == (0, "")
    assert "No product of this source has a category" in analysis.relations_note(facts)
    assert "no product has a category" in analysis.product_note(facts)
    assert "nothing to keep apart" in analysis.product_note(facts | {"categorised": 3})
    assert analysis.relations_shown(none).empty


def test_what_replaces_what_is_shown_first_and_the_strongest_of_each_kind():
    rows = [("a", "b", "complement", 2.0, True), ("a", "c", "complement", 9.0, True),
            ("a", "d", "in turn", 0.1, True), ("b", "c", "substitute", 0.7, True),
            ("b", "d", "substitute", 0.2, True), ("c", "d", "substitute", 0.1, False)]  # fmt: skip
    made = pd.DataFrame(rows, columns=["code_a", "code_b", "relation", "lift", "holds"])
    made = made.assign(name_a=made["code_a"], name_b=made["code_b"], category=None, n=1,
                       expected=1.0, later_lift=1.0)  # fmt: skip
    shown = analysis.relations_shown(made)
    assert shown["times_expected"].tolist() == [0.2, 0.7, 0.1, 9.0, 2.0]
    facts = analysis.relation_facts(made, shelf("x"), 2.0)
    assert (facts["substitutes"], facts["in_turn"], facts["complements"]) == (2, 1, 2)
    assert (facts["rival_one"], facts["rival_other"]) == ("b", "d")


def ruled(text: str) -> pd.DataFrame:
    """Rules as `named` gives them, of lines of codes from and to, whether they hold, and lift."""
    cells = [line.split() for line in text.splitlines() if line.strip()]
    made = pd.DataFrame(cells, columns=["antecedent_code", "consequent_code", "holds", "lift"])
    sides = {side: made[f"{side}_code"].str.upper() for side in ("antecedent", "consequent")}
    more = {"between": "different goods", "confidence": 0.5,
            "later_confidence": 0.5, "n": 5, "suggestion": "offer"}  # fmt: skip
    return made.assign(**sides, **more, holds=made["holds"] == "yes",
                       lift=made["lift"].astype(float))  # fmt: skip


def test_missed_are_the_baskets_of_all_parts_with_the_first_alone():
    rules = pd.DataFrame({"antecedent": [(0,), (1,), (0, 2)], "consequent": [(1,), (0,), (1,)]})
    first = baskets([{0, 1}, {0}, {0, 2}, {2}], 3)
    later = baskets([{0, 1, 2}, {1}, {1}], 3)
    assert analysis.missed(rules, [first, later]).tolist() == [2, 2, 1]
    assert analysis.missed(rules[:0], [first, later]).tolist() == []


def test_only_rules_that_hold_and_lead_to_one_product_make_a_bundle():
    made = ruled("a b yes 2\na b|c yes 3\nb a no 4\nc a yes 5\nb c yes 1.9")
    missed = pd.Series([7, 7, 7, 0, 7])  # b and c meet hardly oftener than any two products
    kept = analysis.candidates(made, missed)
    assert analysis.candidates(made, missed, crowded=1.01).empty
    assert kept[["antecedent_code", "consequent_code", "missed"]].values.tolist() == [
        ["a", "b", 7]
    ]  # c leads to a in every basket: nothing is missed


def test_the_money_of_a_bundle_is_what_an_order_usually_pays(con, bought):
    items = """
    1 o a cup 2023-10-01 10
    2 p a cup 2023-10-02 20
    3 q a cup 2023-10-03 15
    4 q a cup 2023-10-03 15
    5 r a mug 2023-10-04 8
    """
    rows, _ = bought(items)
    usual = analysis.usual(rows)
    assert [(code, float(m)) for code, m in found(con, usual)] == [("cup", 20.0), ("mug", 8.0)]
    offers = analysis.candidates(ruled("pot cup yes 2"), pd.Series([30]))
    priced = analysis.bundles(engine.lift(con, offers, "offers"), usual, taken_up=0.1)
    money = found(con, priced, "missed", "usual_amount", "at_most", "cautious")
    assert [tuple(map(float, row)) for row in money] == [(30.0, 20.0, 600.0, 60.0)]


def test_no_rule_makes_no_bundle(con, bought, tmp_path):
    rows, _ = bought("")
    offers = analysis.candidates(ruled(""), pd.Series([], dtype="int64"))
    priced = analysis.bundles(engine.lift(con, offers, "no_offers"), analysis.usual(rows))
    assert engine.write(con, priced, tmp_path / "bundles", lookup("features/bundles")) == 0
    facts = analysis.bundle_facts(engine.frame(con, priced))
    assert (facts["bundles"], facts["bundle_from"]) == (0, "")


def test_bundles_are_shown_once_a_set_by_money_different_goods_first():
    made = ruled("a b yes 2\nb a yes 2\nc d yes 2\ne f yes 2\nd a yes 2")
    made = made.assign(missed=1, usual_amount=1.0, cautious=0.1,
                       at_most=[5.0, 9.0, 3.0, 99.0, 3.0])  # fmt: skip
    made.loc[3, "between"] = "variants"
    shown = analysis.bundles_shown(made)
    assert (shown["who_bought"] + shown["also_bought"]).tolist() == ["BA", "CD", "DA", "EF"]
    assert analysis.bundle_facts(made)["bundle_at_most"] == 9.0
    assert "at its usual amount" in analysis.sales_note({"order_hold": 1, "bundles": 4})
    assert "in one listing" in analysis.sales_note({"order_hold": 1, "bundles": 0})


def test_the_page_leads_with_rules_between_different_goods():
    made = ruled("a b yes 9\nc d yes 2")
    made["between"] = ["variants", "different goods"]
    facts = analysis.rule_facts(made.assign(later_confidence=0.5), "order")
    assert (facts["order_from"], facts["order_different"], facts["order_variants"]) == ("C", 1, 1)
    assert "between different goods" in analysis.answer(facts)
    only = analysis.rule_facts(made[:1], "order")
    assert only["order_from"] == "A"
    assert "all between variants" in analysis.answer(only)


def test_a_table_has_each_set_once_and_begins_with_different_goods_that_hold():
    made = ruled("a b yes 9\nb a yes 9\nc d yes 2\ne f no 8").assign(n=1)
    made["between"] = ["variants", "variants", "different goods", "different goods"]
    made.loc[1, "confidence"] = 0.9  # the surer way round
    shown = analysis.shown(made)
    assert (shown["who_bought"] + shown["also_bought"]).tolist() == ["CD", "BA", "EF"]
    assert analysis.strongest(made)["rule"].tolist() == ["C → D", "B → A"]


def test_the_picture_has_pairs_that_hold_of_both_kinds():
    made = ruled("a b yes 9\nb a yes 9\na b|c yes 8\nc d no 7\ne f yes 6\ng h yes 5")
    made.loc[4, "between"] = "variants"
    drawn = analysis.links(made, top=1)
    assert (drawn["who_bought"] + drawn["also_bought"]).tolist() == ["AB", "EF"]
    assert analysis.links(made[:0]).empty


def test_sizes_of_orders_are_told_as_they_are():
    said = [analysis.crowding_note({"crowded": value}) for value in (2.5, 0.5, 1.0)]
    for text, words in zip(
        said, ("in the large ones", "are small", "sizes of orders"), strict=True
    ):
        assert words in text


# --- groups (ASC-05)


def test_a_rule_that_is_stronger_in_one_group_is_told_beside_all_customers():
    both, one, other, none = {0, 1}, {0}, {1}, {2}
    apart = baskets([both] * 30 + [one] * 5 + [other] * 5 + [none] * 40, 3)
    mixed = baskets([both] * 10 + [one] * 25 + [other] * 25 + [none] * 20, 3)
    made = analysis.in_groups(
        {"apart": apart, "mixed": mixed},
        shelf("x", "x", "x"),
        mine_options={"support": 0.01},
        rule_options={"confidence": 0.2, "lift": 0.0, "false_discoveries": 0.05},
    )
    assert made["cluster"].tolist() == ["apart", "apart"]  # both ways round
    row = made.iloc[0]
    assert (row["antecedent_code"], row["consequent_code"]) == ("p0", "p1")
    assert (row["n"], row["n_antecedent"]) == (30, 35)
    assert (row["confidence"], row["all_confidence"]) == (30 / 35, 40 / 70)
    assert (row["lift"], row["all_lift"]) == (30 * 80 / 35**2, 40 * 160 / 70**2)
    check("features/group_rules", made)
    assert analysis.in_groups_shown(made)["followed_share"].tolist() == [30 / 35] * 2


def test_who_merely_buys_more_has_no_rule_of_their_own():
    often = baskets([{0, 1}] * 64 + [{0}] * 16 + [{1}] * 16 + [{2}] * 4, 3)
    seldom = baskets([{0, 1}] * 4 + [{0}] * 16 + [{1}] * 16 + [{2}] * 64, 3)
    made = analysis.in_groups(
        {"often": often, "seldom": seldom},
        shelf("x", "x", "x"),
        mine_options={"support": 0.01},
        rule_options={"confidence": 0.2, "lift": 0.0, "false_discoveries": 1.0},
    )
    assert (made.loc[made["cluster"] == "often", "q_value"] > 0.05).all()  # 80 % have each


def test_groups_that_buy_alike_or_are_none_have_no_rule_of_their_own():
    same = baskets([{0, 1}] * 20 + [{0}] * 20 + [{2}] * 20, 3)
    options = {"mine_options": {"support": 0.01, "count": 5}, "rule_options": {}}
    assert analysis.in_groups({"a": same, "b": same}, shelf("x", "x", "x"), **options).empty
    apart = baskets([{0}] * 9 + [{1}] * 9, 3)
    assert analysis.in_groups({"a": apart}, shelf("x", "x", "x"), **options).empty
    none = analysis.in_groups({}, shelf("x", "x", "x"), **options)
    check("features/group_rules", none)
    assert analysis.in_groups_shown(none).empty


def test_small_groups_are_not_looked_into():
    clusters = pd.DataFrame({"cluster": ["b"] * 5 + ["a"] * 4 + ["c"] * 6})
    assert analysis.groups(clusters, least=5) == ["b", "c"]
