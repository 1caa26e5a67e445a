"""Follow-on purchases: worked example E8, days that count, chance, order, groups, offers."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial
from random import Random

import pandas as pd
import pytest
from test_engine import found, literal

from crm import disclosure, engine, followups
from crm.simulate.life import live
from crm.simulate.people import person
from crm.simulate.world import DAY, FOLLOW_RULES, START, World
from crm.tables import check, empty

AS_OF, SPLIT = date(2023, 10, 31), date(2023, 9, 30)
ITEMS = "line order_id customer_id product_id ordered_at unit_price amount\n"
PRODUCTS = (
    "product_id product_name is_product\nA Apple True\nB Bread True\nC Cake True\nX Post False"
)
AB = ("A", "B")
E8 = [1, 5, 12, 20, 29, 30, 31, -1, None, None]  # days after A on which each of ten bought B


@pytest.fixture(scope="module")
def con():
    return engine.connect(threads=2)


def permits(con, ids, refused=(), silent=()):
    rows = [f"{who} analysis {who not in refused}\n{who} marketing {who not in silent}"
            for who in ids]  # fmt: skip
    return literal(con, "features/permits", "customer_id purpose allowed\n" + "\n".join(rows))


def buying(con, rows, returns="", **options):
    """Purchases of (customer, product, day), products looked at and permits."""
    text = ITEMS + "\n".join(
        f"{n} o{n} {who} {what} {day} 10 10" for n, (who, what, day) in enumerate(rows)
    )
    may = permits(con, sorted({row[0] for row in rows}), **options)
    made = followups.purchases(
        literal(con, "tables/order_items", text),
        literal(con, "tables/returns", "reverses_line returned_at\n" + returns),
        products := literal(con, "tables/products", PRODUCTS),
        may,
        as_of=AS_OF,
    )
    return made, followups.goods(made, products, as_of=AS_OF, buyers=1), may


def counting(con, rows, **options):
    """Of A and then B, by part: followers, and decided buyers of A."""
    made, items, _ = buying(con, rows, **options)
    starts = followups.starts(made, items, as_of=AS_OF, split=SPLIT)
    pairs = found(con, followups.counted(starts, made, items))
    followed = {row[2]: row[3] for row in pairs if row[:2] == ("A", "B")}
    buyers = {row[1]: row[2] for row in found(con, followups.buyers(starts)) if row[0] == "A"}
    return followed, buyers


@pytest.fixture
def bought(con):
    return partial(buying, con)


@pytest.fixture
def counts(con):
    return partial(counting, con)


def e8():
    first = date(2023, 9, 1)
    rows = [(f"c{n}", "A", first) for n in range(10)]
    return rows + [(f"c{n}", "B", first + timedelta(days=day)) for n, day in enumerate(E8)
                   if day is not None]  # fmt: skip


# --- which days count


def test_the_worked_example_e8(counts):
    followed, buyers = counts(e8())
    assert (followed["first"], buyers["first"]) == (6, 10)
    assert followed["first"] / buyers["first"] == 0.60


def test_the_worked_example_e8_in_its_group(con, bought):
    made, items, _ = bought(e8())
    starts = followups.starts(made, items, as_of=AS_OF, split=SPLIT)
    rule = engine.lift(con, pd.DataFrame([AB], columns=followups.CODES), "e8_rule")
    ids = [f"c{n}" for n in range(10)]
    groups = pd.DataFrame({"customer_id": ids, "kind": "behaviour", "group": followups.GROUP})
    cells = followups.in_groups(rule, starts, made, engine.lift(con, groups, "e8_groups"))
    assert found(con, cells) == [("A", "B", "behaviour", followups.GROUP, 10, 6)]


@pytest.mark.parametrize(
    ("day", "follows"),
    [
        ("2023-09-01", 0),
        ("2023-09-02", 1),
        ("2023-10-01", 1),
        ("2023-10-02", 0),
        ("2023-08-31", 0),
    ],
)
def test_b_counts_from_the_day_after_a_to_day_30(counts, day, follows):
    followed, _ = counts([("a", "A", "2023-09-01"), ("a", "B", day)])
    assert followed.get("first", 0) == follows


def test_only_the_first_purchase_of_a_in_the_window_is_a_start(counts):
    rows = [("a", "B", "2023-08-05"), ("a", "A", "2023-08-01"), ("a", "A", "2023-06-01")]
    assert counts(rows) == ({}, {"first": 1})  # B comes 65 days after the first A
    old = [("a", "A", "2022-10-31"), ("a", "A", "2023-08-01"), ("a", "B", "2023-08-05")]
    assert counts(old) == ({"first": 1}, {"first": 1})  # the window is open at its start


def test_a_start_of_which_days_are_to_come_is_open(counts):
    rows = [("a", "A", "2023-10-01"), ("b", "A", "2023-10-02"), ("b", "B", "2023-10-03")]
    assert counts(rows) == ({}, {"later": 1, "open": 1})


def test_what_was_cancelled_or_may_not_be_analysed_is_left_out(counts):
    rows = [("a", "A", "2023-09-01"), ("a", "B", "2023-09-02"), ("b", "A", "2023-09-01")]
    assert counts(rows, returns="1 2023-09-03") == ({}, {"first": 2})
    assert counts(rows, returns="1 2023-11-01") == ({"first": 1}, {"first": 2})
    assert counts(rows, refused=["a"]) == ({}, {"first": 1})


def test_several_purchases_of_b_are_one_follower_in_any_order_of_rows(counts):
    rows = [("a", "B", "2023-09-09"), ("a", "B", "2023-09-02"), ("a", "A", "2023-09-01")]
    assert counts(rows) == counts(rows[::-1]) == ({"first": 1}, {"first": 1})


def test_products_looked_at_are_goods_with_most_buyers_ties_by_code(con, bought):
    rows = [("a", "B", "2023-09-01"), ("b", "B", "2023-09-01"), ("a", "C", "2023-09-01"),
            ("b", "A", "2023-09-01"), ("a", "X", "2023-09-01")]  # fmt: skip
    made, _, _ = bought(rows)
    products = literal(con, "tables/products", PRODUCTS)
    items = followups.goods(made, products, as_of=AS_OF, most=2, buyers=1)
    assert found(con, items, "product_id", "buyers") == [("A", 1), ("B", 2)]


def test_usual_is_the_share_of_days_of_any_purchase(con, bought):
    rows = [("a", "C", "2023-09-01"), ("a", "B", "2023-09-05"), ("b", "A", "2023-09-01")]
    made, items, _ = bought(rows)
    days = followups.occasions(made, as_of=AS_OF, split=SPLIT)
    assert found(con, followups.days_of(days)) == [("first", 3)]
    assert found(con, followups.usual(days, made, items)) == [("B", "first", 1)]


# --- rules

GOODS = pd.DataFrame({"product_id": ["A", "B"], "product_name": ["Apple", "Bread"],
                      "price": [30.0, 50.0], "buyers": [200, 200]})  # fmt: skip


def ruled(first, later, *, before=0, usual=100, goods=GOODS, **options):
    """Rules of one pair: (followers, buyers of A) in each part, and followers of 1,000 days."""
    parts = [("first", *first), ("later", *later)]
    pairs = pd.DataFrame(
        [(*AB, part, n, before, n, before) for part, n, _ in parts]
        + [("B", "A", "first", 5, 5, 5, 5)] + [("C", "B", "first", 99, 99, 99, 99)],
        columns=[*followups.CODES, "part", "n", "both_before", "after", "before"],
    )  # fmt: skip
    buyers = pd.DataFrame(
        [("A", part, of) for part, _, of in parts] + [("B", "first", 200), ("C", "first", 300)],
        columns=["product_id", "part", "buyers"],
    )
    base = pd.DataFrame({"product_id": "B", "part": followups.PARTS[:2], "followed": usual})
    days = pd.DataFrame({"part": followups.PARTS[:2], "occasions": 1000})
    names = pd.concat([goods, goods.iloc[:1].assign(product_id="C", product_name="Cake")])
    made = followups.rules(pairs, buyers, base, days, names, **options)
    return made[(made["antecedent_code"] == "A")].reset_index(drop=True)


def test_a_rule_has_its_rate_over_both_parts_and_its_test_in_the_first():
    (rule,) = ruled((60, 100), (20, 50)).itertuples()
    assert (rule.n, rule.n_antecedent, rule.buyers, rule.followed) == (60, 100, 150, 80)
    assert (round(rule.rate, 3), rule.lift, rule.later_rate) == (0.533, 6.0, 0.4)
    assert rule.holds and rule.is_in_order and rule.q_value < 1e-6
    assert (rule.antecedent, rule.consequent) == ("Apple", "Bread")


def test_a_rule_at_the_floor_stays_and_what_is_usual_is_none():
    assert len(ruled((30, 100), (15, 50), usual=10)) == 1
    assert len(ruled((29, 100), (15, 50), usual=10)) == 0
    assert len(ruled((60, 100), (30, 50), usual=600)) == 0  # as often after anything
    assert len(ruled((4, 8), (4, 8), usual=10)) == 0  # fewer than the count


def test_a_rule_that_does_not_come_back_later_does_not_hold():
    assert not ruled((60, 100), (5, 50))["holds"].item()
    assert not ruled((60, 100), (0, 0))["holds"].item()  # nobody to look again at
    assert ruled((60, 100), (15, 50))["holds"].item()


def test_what_comes_before_as_often_as_after_is_not_in_order():
    assert ruled((60, 100), (20, 50), before=2)["is_in_order"].item()
    made = ruled((60, 100), (20, 50), before=60)
    assert not made["is_in_order"].item()
    assert followups.strongest(made).empty


def test_no_pairs_are_no_rules():
    pairs = pd.DataFrame({name: [] for name in ("antecedent_code", "consequent_code", "part", "n",
                                                "both_before", "after", "before")})  # fmt: skip
    rest = [pd.DataFrame({name: [] for name in names}) for names in
            (("product_id", "part", "buyers"), ("product_id", "part", "followed"),
             ("part", "occasions"))]  # fmt: skip
    made = followups.rules(pairs, *rest, GOODS.iloc[:0])
    check("features/followups", followups.settled(made).astype(empty("features/followups").dtypes))
    facts = followups.facts(rest[0], made, GOODS.iloc[:0])
    assert followups.answer(facts).startswith("**No product brings")


# --- groups


def test_small_cells_of_a_group_are_hidden_and_the_whole_group_stands_beside():
    rules = ruled((60, 100), (20, 50))
    cells = pd.DataFrame(
        [
            (*AB, "value", "high", 40, 20),
            (*AB, "value", "low", 106, 60),
            (*AB, "value", "x", 4, 2),
        ],
        columns=[*followups.CODES, "kind", "group", "buyers", "followed"],
    )
    members = pd.DataFrame({"kind": "value", "group": ["high"] * 80 + ["low"] * 200 + ["x"] * 9})
    shown = followups.by_group(cells, members, rules, kind="value").set_index("group")
    assert shown["buyers"].isna().to_dict() == {"high": True, "low": False, "x": True}
    assert shown.loc["low", ["rate_share", "whole_share"]].round(3).tolist() == [0.566, 0.3]
    assert shown["all_share"].round(3).tolist() == [0.533] * 3
    disclosure.refuse(shown, 5)


def test_a_group_is_named_without_the_number_of_a_second_one():
    clusters = pd.DataFrame({"customer_id": ["a", "b"], "cluster": ["quiet", "quiet 2"]})
    tiers = pd.DataFrame({"customer_id": ["a"], "tier": ["high value"]})
    made = followups.members(clusters, tiers)
    assert made["group"].tolist() == ["quiet", "quiet", "high value"]


# --- what to do


def offers(con, bought, rows, together=(), **options):
    made, items, may = bought(rows, silent=options.pop("silent", ()))
    follow = pd.DataFrame([(*AB, 0.6, 0.2)], columns=[*followups.CODES, "rate", "usual_rate"])
    text = "unit antecedent_code consequent_code confidence lift holds\n" + "\n".join(together)
    rules = literal(con, "features/association_rules", text)
    table = followups.offers(made, engine.lift(con, follow, "follow"), rules, items, may,
                             as_of=AS_OF, **options)  # fmt: skip
    return found(con, table, "customer_id", "rank", "product_id", "reason")


SEEN = [("x", "B", "2023-05-01"), ("x", "C", "2023-05-01")]  # so that B and C are looked at


def test_an_offer_goes_to_who_bought_a_lately_and_not_b_since(con, bought):
    rows = [*SEEN, ("a", "A", "2023-10-20"), ("b", "A", "2023-10-01"), ("c", "A", "2023-10-20"),
            ("c", "B", "2023-10-20"), ("d", "A", "2023-10-20"),
            ("d", "B", "2023-10-19")]  # fmt: skip
    assert offers(con, bought, rows) == [("a", 1, "B", "follows"), ("d", 1, "B", "follows")]
    assert offers(con, bought, rows, silent=["a"]) == [("d", 1, "B", "follows")]


def test_rules_of_baskets_offer_what_was_not_bought_in_the_window(con, bought):
    rows = [*SEEN, ("a", "A", "2023-10-20"), ("b", "A", "2023-10-20"), ("b", "C", "2023-01-05")]
    rules = ["customer A C 0.9 2.0 True", "customer A B 0.9 1.1 False", "order A B 0.9 9 True"]
    assert offers(con, bought, rows, rules) == [
        ("a", 1, "C", "bought together"), ("a", 2, "B", "follows"), ("b", 1, "B", "follows"),
    ]  # fmt: skip
    assert offers(con, bought, rows, rules, most=1)[0] == ("a", 1, "C", "bought together")


def test_of_two_reasons_for_an_offer_the_one_that_adds_most_is_told(con, bought):
    rows = [*SEEN, ("a", "A", "2023-10-20")]
    assert offers(con, bought, rows, ["customer A B 0.9 3.0 True"]) == [
        ("a", 1, "B", "bought together")
    ]
    assert offers(con, bought, rows, ["customer A B 0.3 3.0 True"]) == [("a", 1, "B", "follows")]
    assert offers(con, bought, SEEN) == []


# --- the coupon of group 2

USUAL = {"group_value": 120.0, "group_may": 9}
NAMES = [*followups.CODES, "kind", "group", "buyers", "followed"]


def test_what_comes_off_is_a_part_of_what_the_order_rises_above_the_usual_one():
    rules = ruled((60, 100), (20, 50))
    plan = followups.steps(rules, GOODS, USUAL, as_of=AS_OF)
    assert plan["order_from"].tolist() == [150, 180, 240]
    assert plan["more_sales"].tolist() == [30, 60, 120]
    assert plan["reduction"].tolist() == [5, 10, 20]  # of 6, 12 and 24
    assert plan["before_goods"].tolist() == [25, 50, 100]
    assert (plan["usual_price"].unique().tolist(), str(plan["month"][0])) == ([80.0], "2023-11-01")


@pytest.mark.parametrize("usual", [21.0, 315.215, 7_777.0])
def test_a_reduction_never_exceeds_its_part_of_the_rise(usual):
    goods = GOODS.assign(price=[2.0, 2.0])
    usual_ones = USUAL | {"group_value": usual}
    plan = followups.steps(ruled((60, 100), (20, 50)), goods, usual_ones, as_of=AS_OF)
    assert (plan["reduction"] <= 0.2 * plan["more_sales"]).all() and len(plan)
    assert (plan["order_from"] >= 1.25 * usual).all()


def test_a_step_that_takes_nothing_off_or_that_the_pair_alone_reaches_is_left_out():
    rules = ruled((60, 100), (20, 50))
    dear = GOODS.assign(price=[90.0, 80.0])
    plan = followups.steps(rules, dear, USUAL, as_of=AS_OF)
    assert plan["order_from"].tolist() == [180, 240]  # the pair costs 170
    small = USUAL | {"group_value": 8.0}
    assert followups.steps(rules, GOODS.assign(price=1.0), small, as_of=AS_OF).empty


def test_two_steps_at_one_sum_are_one_in_any_order():
    plan = followups.steps(ruled((60, 100), (20, 50)), GOODS, USUAL, as_of=AS_OF,
                           times=[1.5, 1.25, 1.21])  # fmt: skip
    assert plan["order_from"].tolist() == [150, 180]


def test_no_group_nobody_to_address_or_no_rule_is_no_bundle():
    rules = ruled((60, 100), (20, 50))
    for nobody in ({"group_value": None}, {"group_may": None}, {"group_may": 0}):
        assert followups.steps(rules, GOODS, USUAL | nobody, as_of=AS_OF).empty
    assert followups.steps(rules.iloc[:0], GOODS, USUAL, as_of=AS_OF).empty


@pytest.mark.parametrize("wrong", [{"times": [1.0, 2.0]}, {"off": 1.0}, {"off": 0.0}])
def test_a_step_at_the_usual_order_or_a_part_that_is_none_is_refused(wrong):
    with pytest.raises(followups.FollowupError, match="times above 1"):
        followups.steps(ruled((60, 100), (20, 50)), GOODS, USUAL, as_of=AS_OF, **wrong)


def grouped(cells, *, size=60, dear=()):
    """Facts of group 2 of `size` customers, of whom nine may be addressed."""
    ids = [f"c{n:02d}" for n in range(size)]
    members = pd.DataFrame({"customer_id": ids, "kind": "behaviour", "group": followups.GROUP})
    sales = [*range(10, 10 * size + 1, 10)]
    clusters = pd.DataFrame({"customer_id": ids, "orders": 2, "sales": sales})
    tiers = pd.DataFrame({"customer_id": ids, "tier": [
        "high value" if who in dear else "general" for who in ids]})  # fmt: skip
    may = pd.DataFrame({"customer_id": ids, "purpose": "marketing",
                        "allowed": [n < 9 for n in range(size)]})  # fmt: skip
    return followups.group_facts(cells, members, clusters, tiers, may, ruled((60, 100), (20, 50)))


def test_group_2_is_told_with_its_buyers_and_the_whole_group_unless_they_are_few():
    cells = pd.DataFrame([(*AB, "behaviour", followups.GROUP, 50, 30)], columns=NAMES)
    told = grouped(cells)
    assert (told["group_rate"], told["group_whole"], told["group_may"]) == (0.6, 0.5, 9)
    assert (told["group_from"], told["group_value"]) == ("Apple", 25.0)  # 450 by 18 orders
    few = grouped(cells.assign(followed=47))
    assert few["group_rate"] is None  # three did not come back
    assert followups.group_note(few).startswith("Of the group that buys little and often, too few")


def test_who_is_of_high_value_is_not_addressed_here():
    cells = pd.DataFrame(columns=NAMES)
    told = grouped(cells, dear=["c00", "c08", "c40"])
    assert (told["group_may"], told["group_value"]) == (7, 25.0)  # 350 by 14 orders
    told = grouped(cells, dear=["c00", "c01", "c02", "c03", "c04"])
    assert told["group_may"] is None  # four are left, a handful
    said = followups.bundle_note(told | {"in_order": 1, "bundles": 0})
    assert said.startswith("Sales: no coupon with steps to propose. Hardly anybody")


def test_without_a_group_2_the_page_says_so_and_proposes_nothing():
    told = grouped(pd.DataFrame(columns=NAMES), size=0)
    assert (told["group_size"], told["group_may"], told["group_value"]) == (0, None, None)
    assert "No group of today" in followups.bundle_note(told)
    assert followups.group_note(told).startswith("No group of today")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"rules": 0, "hold": 0, "in_order": 0, "best_from": ""}, "none of {pairs}"),
        ({"rules": 9, "hold": 0, "in_order": 0, "best_from": ""}, "for long"),
        ({"rules": 9, "hold": 3, "in_order": 0, "best_from": ""}, "none in one order"),
        ({"rules": 9, "hold": 3, "in_order": 1, "best_from": ""}, "hardly anybody"),
        ({"rules": 9, "hold": 3, "in_order": 1, "best_from": "Apple"}, "{best_rate:pct}"),
    ],
)
def test_the_page_says_what_there_is_and_no_more(found, said):
    assert said in followups.answer(found)


OFFERED = {"offers": 9, "offered": 8, "from_follow": 2, "from_together": 7, "offered_follow": 2,
           "offered_together": 7}  # fmt: skip


def test_offers_to_a_handful_are_not_told_on_the_page():
    told = followups.few_offered(OFFERED, least=9)
    assert [told[name] for name in ("offers", "offered", "from_follow")] == [None] * 3
    assert followups.marketing_note(told).startswith("Marketing: nothing to offer")


@pytest.mark.parametrize(
    ("follow", "together", "said"),
    [
        (2, 7, "Most of the offers come from the pairs on the page on baskets"),
        (7, 2, "Most of the offers come from the rules here"),
        (5, 6, ": {from_together} found on the page on baskets, {from_follow}"),
        (6, 5, ": {from_follow} found here, {from_together}"),
        (0, 6, ": {from_together} found on the page on baskets, {from_follow}"),
    ],
)
def test_the_action_says_first_where_most_offers_come_from(follow, together, said):
    row = OFFERED | {"from_follow": follow, "offered_follow": follow,
                     "from_together": together, "offered_together": together}  # fmt: skip
    assert said in followups.marketing_note(followups.few_offered(row, least=5))


def test_offers_are_counted_by_reason_with_their_customers(con):
    text = "customer_id reason\na follows\na follows\nb bought_together"
    made = literal(con, "features/crosssell", text)
    made = made.mutate(reason=made.reason.replace("_", " "))
    (row,) = engine.frame(con, followups.offer_facts(made)).to_dict("records")
    assert list(row.values()) == [3, 2, 2, 1, 1, 1]
    (none,) = engine.frame(con, followups.offer_facts(made.filter(made.reason == ""))).to_dict(
        "records")  # fmt: skip
    assert list(none.values()) == [0] * 6


# --- the table of the page


def test_the_ratio_shown_is_that_of_the_two_shares_beside_it_and_the_floor_is_theirs():
    (row,) = followups.shown(ruled((30, 100), (6, 150), usual=30)).itertuples()
    assert (row.followers, row.follow_share, row.usual_share) == (30, 0.3, 0.03)
    assert row.times_usual == pytest.approx(row.follow_share / row.usual_share)
    assert row.later_share == 0.04  # 36 of 250, both parts together, is below the floor


def test_few_later_buyers_confirm_nothing_and_are_not_told():
    one = ruled((60, 100), (1, 1))
    assert one["later_rate"].item() == 1
    assert not one["holds"].item()
    assert followups.shown(one)["later_share"].isna().all()
    assert ruled((60, 100), (4, 10))["holds"].item() is False
    assert ruled((60, 100), (5, 10))["holds"].item() is True
    five = ruled((60, 100), (20, 50), before=3)
    assert followups.shown(five)["before_share"].isna().all()
    starts = pd.DataFrame({"part": ["first", "later"], "buyers": [100, 50]})
    assert followups.facts(starts, five, GOODS)["best_from"] == ""


def test_a_product_that_follows_one_other_alone_is_in_order():
    names = [*followups.CODES, "part", "n", "both_before", "after", "before"]
    pairs = pd.DataFrame([(*AB, "first", 40, 0, 40, 0)], columns=names)
    kept = pd.DataFrame([AB], columns=followups.CODES)
    assert followups._in_order(kept, pairs).item() < 1e-6


def test_products_of_one_name_are_two_rows():
    rules = pd.concat([ruled((60, 100), (20, 50))] * 2, ignore_index=True)
    rules["antecedent_code"] = ["A1", "A2"]
    cells = pd.DataFrame(
        [(code, "B", "behaviour", group, 50, 20) for code in ("A1", "A2") for group in "xy"],
        columns=[*followups.CODES, "kind", "group", "buyers", "followed"],
    )
    members = pd.DataFrame({"customer_id": [f"c{n}" for n in range(200)], "kind": "behaviour",
                            "group": ["x", "y"] * 100})  # fmt: skip
    shown = followups.by_group(cells, members, rules, kind="behaviour")
    assert shown["rate_share"].tolist() == [0.4] * 4


def test_rules_to_act_on_come_first_and_of_the_others_a_few():
    rule = ruled((60, 100), (20, 50))
    kinds = [(False, True), (True, False), (True, True), (False, False), (True, True)]
    rules = pd.concat([rule.assign(consequent_code=f"B{n}", consequent=f"B{n}", holds=holds,
                                   is_in_order=order)
                       for n, (holds, order) in enumerate(kinds)], ignore_index=True)  # fmt: skip
    assert len(followups.shown(rules, others=1)) == 3
    every = followups.shown(rules)
    assert every["rule"].str[-2:].tolist() == ["B2", "B4", "B1", "B0", "B3"]
    assert every["held"].tolist() == ["yes", "yes", "in no order", "not later", "neither"]
    assert followups.shown(rules.iloc[:0]).empty


def test_the_headline_tells_the_figures_of_the_first_part():
    starts = pd.DataFrame({"product_id": "A", "part": ["first", "later"], "buyers": [100, 50]})
    told = followups.facts(starts, ruled((60, 100), (20, 50)), GOODS)
    assert (told["best_followers"], told["best_buyers"], told["best_rate"]) == (60, 100, 0.6)
    assert (told["best_usual"], told["best_later"], told["best_lift"]) == (0.1, 0.4, 6.0)


# --- the demo


@pytest.fixture(scope="module")
def invented(con):
    """Purchases of 2,000 invented customers, and who of them hunts bargains."""
    world, rng = World(7), Random("7 follow-ups")
    people = [person(rng, number, world) for number in range(1, 2001)]
    rows = [
        (one.key, product.code, order.at // DAY, price / 100)
        for one in people
        for order in live(rng, one, world).orders
        for product, _, price in order.lines
    ]
    frame = pd.DataFrame(rows, columns=["customer_id", "product_id", "at", "price"])
    day = pd.Timestamp(START) + pd.to_timedelta(frame.pop("at"), unit="D")
    made = engine.lift(con, frame.assign(day=day), "invented")
    made = made.mutate(day=made.day.cast("date")).group_by("customer_id", "product_id", "day")
    names = [(p.code, p.name) for p in world.products]
    names = engine.lift(con, pd.DataFrame(names, columns=["product_id", "product_name"]), "names")
    hunters = {one.key for one in people if one.persona == "bargain"}
    return (
        con.create_table("invented_days", made.agg(price=lambda t: t.price.max())),
        names,
        hunters,
    )


def test_the_planted_rule_is_found_and_no_other(con, invented):
    made, names, hunters = invented
    items = followups.goods(made, names, as_of=AS_OF)
    split = followups.parted(as_of=AS_OF)
    starts = followups.starts(made, items, as_of=AS_OF, split=split)
    days = followups.occasions(made, as_of=AS_OF, split=split)
    rules = followups.rules(*(engine.frame(con, part) for part in (
        followups.counted(starts, made, items), followups.buyers(starts),
        followups.usual(days, made, items), followups.days_of(days), items)))  # fmt: skip
    strong = followups.strongest(rules)
    ((first, then, of_hunters, of_others),) = FOLLOW_RULES
    assert strong[["antecedent", "consequent"]].values.tolist() == [[first, then]]
    ids = engine.frame(con, made.select("customer_id").distinct())["customer_id"]
    groups = pd.DataFrame({"customer_id": ids, "kind": "planted",
                           "group": [str(who in hunters) for who in ids]})  # fmt: skip
    cells = followups.in_groups(engine.lift(con, strong[[*followups.CODES]], "strong"), starts,
                                made, engine.lift(con, groups, "planted"))  # fmt: skip
    rates = {row[3]: row[5] / row[4] for row in found(con, cells)}
    assert (
        rates["True"] > of_hunters - 0.05 and of_others - 0.05 < rates["False"] < of_hunters - 0.1
    )
