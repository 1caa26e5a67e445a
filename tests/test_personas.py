"""Personas: what they are judged by, the limits, what is not known, and who may be judged."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest
from test_engine import found, literal

from crm import engine, personas
from crm.tables import PERSONAS, check, lookup

AS_OF = date(2023, 10, 31)
PRODUCTS = """
product_id  product_name  category  list_price  is_product
cup         Cup           home      10          true
mug         Mug           home      20          true
pot         Pot           home      40          true
car         Car           toys      100         true
gem         Gem           -         500         true
POST        Postage       -         5           false
"""


@pytest.fixture(scope="module")
def con():
    return engine.connect(threads=2)


@pytest.fixture
def bought(con):
    """Purchases out of order lines; a, b and c may be judged, d may be analysed alone."""

    def _bought(items: str, returns: str = "", **options):
        head = "line order_id customer_id product_id ordered_at quantity unit_price amount\n"
        sold = literal(con, "tables/order_items", head + items)
        back = literal(con, "tables/returns", "reverses_line returned_at\n" + returns)
        may = [f"{who} {what} true\n" for who in "abc" for what in personas.NEEDED]
        may = "customer_id purpose allowed\n" + "".join(may) + "d analysis true\nd profiling false"
        permits = literal(con, "features/permits", may)
        goods = literal(con, "tables/products", PRODUCTS)
        return personas.bought(sold, back, goods, permits, **{"as_of": AS_OF, **options})

    return _bought


@pytest.fixture
def measure(con, bought):
    """What each customer is judged by."""

    def _measure(items: str, discounts: str = "", events: str = "", **options) -> pd.DataFrame:
        head = "order_id customer_id given_at amount\n"
        given = literal(con, "tables/discounts", head + discounts)
        head = "customer_id at kind product_id dwell_seconds\n"
        seen = literal(con, "tables/events", head + events)
        made = personas.measure(bought(items), given, seen, **{"as_of": AS_OF, **options})
        return engine.frame(con, made).set_index("customer_id")

    return _measure


ITEMS = """
4  O3  b  mug   2023-10-30T10:00  1  20  20
1  O1  a  cup   2023-10-01T10:00  2  10  20
2  O1  a  mug   2023-10-01T10:00  1  20  20
3  O2  a  pot   2023-10-20T10:00  1  40  40
"""


# --- purchases


@pytest.mark.parametrize(
    ("day", "lines"),
    [
        ("2022-10-31T23:59", 0),  # as_of − 365 days: the window is open at its start
        ("2022-11-01T00:00", 1),
        ("2023-10-31T23:59", 1),
        ("2023-11-01T00:00", 0),
    ],
)
def test_the_window_ends_with_the_day_of_as_of_and_is_open_at_its_start(con, bought, day, lines):
    assert len(found(con, bought(f"1 O1 a cup {day} 1 10 10"))) == lines


def test_cancelled_lines_free_gifts_and_postage_are_no_purchases(con, bought):
    items = """
    1  O1  a  cup   2023-10-01  1  10  10
    2  O1  a  mug   2023-10-01  1  0   0
    3  O1  a  POST  2023-10-01  1  5   5
    4  O1  a  pot   2023-10-01  1  40  40
    """
    assert found(con, bought(items, "4 2023-10-02"), "line") == [(1,)]
    assert found(con, bought(items, "4 2023-11-02"), "line") == [(1,), (4,)]  # not yet cancelled


def test_who_permits_no_profile_or_is_not_known_is_not_judged(con, bought):
    items = "1 O1 d cup 2023-10-01 1 10 10\n2 O2 - cup 2023-10-01 1 10 10\n"
    assert found(con, bought(items)) == []


# --- what customers are judged by


def test_orders_sales_and_the_parts_with_a_coupon_are_counted(measure):
    row = measure(ITEMS, "O1 a 2023-10-01 8").loc["a"]
    assert row[["orders", "kept_sales", "coupon_share", "discounted_share"]].tolist() == [
        2, 80.0, 0.5, 0.1,
    ]  # fmt: skip


def test_a_price_under_the_label_is_a_list_value_of_the_label(measure):
    items = "1 O1 a pot 2023-10-01 2 30 60\n2 O2 a gem 2023-10-01 1 20 20"
    row = measure(items, "O1 a 2023-10-01 58").loc["a"]
    assert row["discounted_share"] == 0.1  # 58 of 2 × 40 and 1 × 500


def test_several_discounts_on_one_order_are_one_order_with_a_coupon(measure):
    row = measure(ITEMS, "O1 a 2023-10-01 3\nO1 a 2023-10-01 5").loc["a"]
    assert row[["coupon_share", "discounted_share"]].tolist() == [0.5, 0.1]


def test_a_coupon_without_an_order_belongs_to_the_first_order_of_its_day(measure):
    items = ITEMS + "5 O9 a cup 2023-10-20T18:00 1 10 10"
    row = measure(items, "- a 2023-10-20 -\n- a 2023-09-09 -").loc["a"]
    assert row["coupon_share"] == pytest.approx(1 / 3, abs=1e-6)
    assert pd.isna(row["discounted_share"])  # nobody said how much it took off


def test_where_no_discount_is_recorded_nothing_is_known_and_otherwise_none_is_zero(measure):
    columns = ["coupon_share", "discounted_share"]
    assert measure(ITEMS)[columns].isna().all(axis=None)
    assert measure(ITEMS, "O1 a 2023-11-01 8")[columns].isna().all(axis=None)  # after as_of
    assert measure(ITEMS, "O1 a 2023-10-01 8").loc["b", columns].tolist() == [0, 0]


def test_the_price_level_is_the_median_of_prices_in_parts_of_the_typical_one(measure):
    items = ITEMS + "5 O4 c car 2023-10-01 1 90 90\n6 O5 c gem 2023-10-01 1 500 500"
    levels = measure(items)["price_level"].to_dict()  # typical: 20 at home, 90 of toys
    assert levels == {"a": 1.0, "b": 1.0, "c": 1.0}
    dear = "1 O1 a cup 2023-10-01 1 10 10\n2 O2 b mug 2023-10-01 1 11 11\n"
    dear += "3 O3 c pot 2023-10-01 1 12.1 12.1"
    assert measure(dear)["price_level"].tolist() == [0.909091, 1.0, 1.1]


def test_the_typical_price_between_two_is_their_mean_to_the_last_place(measure):
    items = "1 O1 a cup 2023-10-01 1 0.10 0.1\n2 O2 b mug 2023-10-01 1 0.30 0.3"
    assert measure(items)["price_level"].tolist() == [0.5, 1.5]


def test_products_without_a_category_have_no_price_level(measure):
    assert measure("1 O1 a gem 2023-10-01 1 9 9")["price_level"].isna().all()


def test_a_decision_runs_from_the_first_look_to_the_purchase(measure):
    events = """
    a  2023-10-01T09:30  view   cup  40
    a  2023-10-01T09:00  view   cup  20
    a  2023-10-01T08:00  click  cup  99
    a  2023-10-01T10:01  view   mug  99
    b  2023-10-20T09:00  view   pot  99
    a  2023-10-19T10:00  view   pot  -
    """
    made = measure(ITEMS, events=events)
    assert made.loc["a", ["decision_hours", "look_seconds"]].tolist() == [12.5, 60]  # 1 and 24 h
    assert made.loc["b", ["decision_hours", "look_seconds"]].isna().all()


@pytest.mark.parametrize(
    ("seen", "hours"),
    [
        ("2023-10-20T10:00", 0),  # at the same time
        ("2023-09-20T10:00:01", 720),  # within 30 days, by a second
        ("2023-09-20T10:00", None),  # 30 days before: another decision
        ("2023-10-20T10:00:01", None),  # after the purchase
    ],
)
def test_a_look_long_before_belongs_to_another_decision(measure, seen, hours):
    made = measure("1 O1 a cup 2023-10-20T10:00 1 10 10", events=f"a {seen} view cup 5")
    value = made["decision_hours"].iloc[0]
    assert pd.isna(value) if hours is None else value == pytest.approx(hours, abs=0.001)


def test_a_look_before_the_last_purchase_belongs_to_that_one(measure):
    items = "2 O2 a cup 2023-10-20T10:00 1 10 10\n1 O1 a cup 2023-10-10T10:00 1 10 10"
    events = "a 2023-10-10T08:00 view cup 7"
    assert measure(items, events=events)["decision_hours"].tolist() == [2]


def test_nobody_who_bought_is_nobody_to_judge(measure):
    assert measure("", "O1 a 2023-10-01 8").empty


# --- the persona (CLU-07, Q-11)


def one(**known) -> pd.DataFrame:
    """One customer with enough orders, of whom only what is named is known."""
    return people([known])


def people(rows: list[dict]) -> pd.DataFrame:
    columns = ["orders", "kept_sales", *personas.MEASURES]
    frame = pd.DataFrame(
        [{"orders": 3, "kept_sales": 10.0, **row} for row in rows], columns=columns
    )
    frame = frame.astype(dict.fromkeys(columns[1:], "float64") | {"orders": "int64"})
    return frame.assign(customer_id=[f"c{i}" for i in range(len(frame))])


@pytest.mark.parametrize(
    ("known", "persona"),
    [
        ({"coupon_share": 0.25}, "price-sensitive"),
        ({"coupon_share": 0.249}, "none"),
        ({"discounted_share": 0.1}, "price-sensitive"),
        ({"discounted_share": 0.099}, "none"),
        ({"price_level": 0.9}, "price-sensitive"),
        ({"price_level": 0.901}, "none"),
        ({"price_level": 1.1}, "quality-seeking"),
        ({"price_level": 1.099}, "none"),
        ({"decision_hours": 1, "look_seconds": 29.9}, "impulse"),
        ({"decision_hours": 1.001, "look_seconds": 29.9}, "none"),
        ({"decision_hours": 1, "look_seconds": 30}, "none"),
        ({"decision_hours": 1}, "impulse"),  # how long they looked is not known
        ({"look_seconds": 1}, "none"),
        ({}, "none"),
        ({"coupon_share": 1, "orders": 2}, "none"),  # two orders are no habit
    ],
)
def test_each_limit_counts_as_reached(known, persona):
    assert personas.decide(one(**known))["persona"].tolist() == [persona]


@pytest.mark.parametrize(
    ("known", "persona"),
    [
        ({"coupon_share": 0.5, "price_level": 1.5, "decision_hours": 0}, "price-sensitive"),
        ({"coupon_share": 0.0, "price_level": 1.5, "decision_hours": 0}, "quality-seeking"),
        ({"coupon_share": 0.0, "price_level": 1.0, "decision_hours": 0}, "impulse"),
    ],
)
def test_of_several_rules_the_first_decides(known, persona):
    assert personas.decide(one(**known))["persona"].tolist() == [persona]


def test_limits_are_parameters_and_every_persona_has_what_it_gets():
    near = one(coupon_share=0.2)
    assert personas.decide(near, coupons=0.2)["persona"].tolist() == ["price-sensitive"]
    assert set(personas.ACTIONS) == set(PERSONAS)
    assert personas.decide(near)["action"].tolist() == [personas.ACTIONS["none"]]


# --- the page


GROUP = [{"coupon_share": 0.5, "kept_sales": 30}] * 6 + [
    {"coupon_share": 0.0, "kept_sales": 5}
] * 14


def page(rows: list[dict], **options) -> tuple[pd.DataFrame, pd.DataFrame, dict]:
    decided = personas.decide(people(rows)).assign(may_contact=True)
    summary = personas.summarise(decided.sample(frac=1, random_state=1), **options)
    return decided, summary, facts_of(decided)


def facts_of(decided: pd.DataFrame) -> dict:
    summary, asked = personas.summarise(decided), personas.asked(decided)
    return personas.facts(decided, summary, asked, fewest=3)


def test_personas_are_counted_in_the_order_of_the_rules_with_shares_and_known_medians():
    _decided, summary, _found = page(GROUP)
    assert summary["persona"].tolist() == ["price-sensitive", "none"]
    assert summary.columns[-1] == "coupon_share"  # what nobody has is left out
    assert summary.loc[0, ["customers", "customer_share", "sales_share", "coupon_share"]].tolist(
    ) == [6, 0.3, 0.72, 0.5]  # fmt: skip


def test_a_persona_of_few_is_hidden_with_a_second_that_would_give_it_away():
    decided, summary, facts = page([*GROUP, {"price_level": 2.0}])
    assert summary["customers"].isna().sum() == 2
    assert facts["quality_customers"] is None
    assert facts["quality_contacts"] is None
    assert "too few share" in personas.answer(facts)
    assert "{" not in personas.title(facts)
    told = personas.asked(decided).set_index("persona")
    assert pd.isna(told.loc["quality-seeking", "may_be_contacted"])


def test_a_median_that_few_stand_for_is_not_told():
    rows = GROUP[:-4] + [{"coupon_share": 0.0, "decision_hours": 9.0}] * 4
    _decided, summary, _found = page(rows)
    assert summary["decision_hours"].isna().all()


def test_what_the_source_does_not_tell_is_named_with_what_it_takes():
    decided, _summary, facts = page(GROUP)
    assert facts["unknown"].startswith("discounts with their amount; products by category")
    assert personas.coverage(decided)["known_share"].tolist() == [1, 0, 0, 0, 0]
    assert "{unknown}" in personas.unknown_note(facts)
    assert personas.unknown_note({"unknown": ""}).startswith("This source tells all")


def test_a_source_that_tells_nothing_has_a_page_that_says_so():
    decided, summary, facts = page([{}] * 9)
    assert summary["persona"].tolist() == ["none"]
    assert "cannot be told" in personas.answer(facts)
    assert personas.price_note(facts).startswith("**IT:")
    assert personas.asked(decided)["customers"].tolist() == [9]
    assert personas.unknown_note(facts).startswith("Nothing")
    assert "nothing is known" in personas.summary_title(facts)
    for tile in (personas.price_tile, personas.quality_tile, personas.impulse_tile):
        assert tile(facts)[0] == "not known"


def test_a_persona_that_nothing_tells_of_is_not_known_and_is_no_zero():
    _decided, _summary, facts = page([{"coupon_share": 0.5}] * 9)
    assert personas.price_tile(facts)[0] == "{price_customers}"
    assert personas.quality_tile(facts)[0] == "not known"
    assert personas.impulse_tile(facts)[0] == "not known"
    assert "medians" in personas.summary_title(facts)


def test_where_nobody_may_be_contacted_no_action_asks_for_anything():
    decided = personas.decide(people(GROUP)).assign(may_contact=False)
    facts = facts_of(decided)
    for note in (personas.price_note, personas.quality_note, personas.impulse_note):
        assert not note(facts).startswith("**")


def test_who_ordered_too_rarely_is_counted_apart():
    _decided, _summary, facts = page([*GROUP, *[{"orders": 1}] * 7])
    assert facts["rare"] == 7
    assert "{rare}" in personas.rare_note(facts)
    assert personas.rare_note({"rare": 0}).startswith("Each")
    assert personas.rare_note({"rare": None}).startswith("A few")


def test_no_customers_make_an_empty_page_and_an_empty_table():
    decided, summary, facts = page([])
    assert summary.empty
    assert personas.asked(decided).empty
    assert "No customer" in personas.answer(facts)
    check("features/personas", personas.settled(decided))


def test_the_table_is_written_sorted_and_read_back_whole(con, tmp_path):
    made = personas.settled(personas.decide(people(GROUP)).iloc[::-1])
    schema = lookup("features/personas")
    assert engine.write(con, made, tmp_path / "personas", schema) == len(GROUP)
    back = engine.frame(con, engine.scan(con, tmp_path / "personas"))
    assert back["customer_id"].is_monotonic_increasing
    assert back["price_level"].isna().all()
