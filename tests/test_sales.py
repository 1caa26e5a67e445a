"""What was sold, when, where and to whom, with fees apart and no month missing."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest
from test_engine import found, literal

from crm import engine, rfm, sales

AS_OF = date(2023, 3, 9)
PRODUCTS = """
product_id  product_name  is_product
mug         Mug           true
cup         Cup           true
POST        Postage       false
"""
ITEMS = """
order_id  customer_id  product_id  ordered_at        quantity  amount
3         a            cup         2023-03-09T23:00  1         5.00
1         a            mug         2023-01-31T23:59  2         20.00
1         a            POST        2023-01-31T23:59  1         4.00
2         -            mug         2023-02-01T00:00  1         10.00
4         b            cup         2023-03-10T00:00  9         99.00
"""
RETURNS = """
customer_id  product_id  returned_at       country  quantity  amount
-            POST        2023-02-04T10:00  -        1         1.00
a            mug         2023-02-03T10:00  France   1         10.00
b            cup         2023-03-10T10:00  Norway   1         77.00
"""
ORDERS = """
order_id  customer_id  ordered_at        country  amount
3         a            2023-03-09T23:00  France   5.00
1         a            2023-01-31T23:59  France   24.00
2         -            2023-02-01T00:00  -        10.00
4         b            2023-03-10T00:00  Norway   99.00
"""


@pytest.fixture(scope="module")
def con():
    return engine.connect(threads=2)


@pytest.fixture
def shop(con):
    """Lines that moved money, and the orders."""

    def _shop(items=ITEMS, returns=RETURNS, orders=ORDERS, products=PRODUCTS):
        placed = literal(con, "tables/orders", orders)
        moved = sales.movements(
            literal(con, "tables/order_items", items),
            literal(con, "tables/returns", returns),
            literal(con, "tables/products", products),
            placed,
            as_of=AS_OF,
        )
        return moved, placed

    return _shop


@pytest.fixture
def nothing(shop):
    return shop(items="line", returns="line", orders="order_id")


def test_a_line_is_sold_returned_or_other_and_after_as_of_nothing(con, shop):
    moved, _ = shop()
    columns = ["product_id", "country", "units", "gross", "returned", "other"]
    assert found(con, moved, *columns) == [
        ("POST", None, -1.0, 0.0, 0.0, -1.0), ("POST", "France", 1.0, 0.0, 0.0, 4.0),
        ("cup", "France", 1.0, 5.0, 0.0, 0.0), ("mug", None, 1.0, 10.0, 0.0, 0.0),
        ("mug", "France", -1.0, 0.0, 10.0, 0.0), ("mug", "France", 2.0, 20.0, 0.0, 0.0),
    ]  # fmt: skip


def test_months_add_up_what_moved_in_them(con, shop):
    months = engine.frame(con, sales.monthly(*shop(), as_of=AS_OF))
    columns = ["gross_sales", "returned", "net_sales", "other", "orders", "buyers"]
    assert months["month"].dt.strftime("%Y-%m").tolist() == ["2023-01", "2023-02", "2023-03"]
    assert months[columns].values.tolist() == [
        [20, 0, 20, 4, 1, 1], [10, 10, 0, -1, 1, 0], [5, 0, 5, 0, 1, 1],
    ]  # fmt: skip


def test_a_month_with_returns_only_has_no_orders(con, shop):
    late = "customer_id product_id returned_at quantity amount\na mug 2023-02-03 1 10.00"
    orders = "\n".join(line for line in ORDERS.splitlines() if not line.startswith("2 "))
    months = engine.frame(con, sales.monthly(*shop(returns=late, orders=orders), as_of=AS_OF))
    february = months[months["month"] == "2023-02-01"]
    assert february[["net_sales", "orders", "buyers"]].values.tolist() == [[-10, 0, 0]]


def months(*named: tuple[str, float], is_partial=None) -> pd.DataFrame:
    frame = pd.DataFrame(named, columns=["month", "net_sales"])
    frame["month"] = pd.to_datetime(frame["month"]).astype("datetime64[us]")
    frame = frame.assign(
        gross_sales=frame["net_sales"],
        returned=0.0,
        other=0.0,
        swift=0.0,
        orders=2,
        buyers=9,
    )
    return frame if is_partial is None else frame.assign(is_partial=is_partial)


def test_a_month_without_sales_is_a_row_of_zeros_and_counts_stay_whole_numbers():
    settled = sales.settle(months(("2023-01", 5), ("2023-03", 7)), as_of=AS_OF)
    assert settled["net_sales"].tolist() == [5, 0, 7]
    assert settled["orders"].tolist() == [2, 0, 2]
    assert settled["orders"].dtype == "int64"


@pytest.mark.parametrize(
    ("as_of", "is_partial"),
    [
        (date(2023, 3, 9), [False, True]),
        (date(2023, 3, 30), [False, True]),
        (date(2023, 3, 31), [False, False]),
        (date(2023, 4, 2), [False, False]),
    ],
)
def test_the_last_month_is_partial_if_as_of_cuts_it_short(as_of, is_partial):
    settled = sales.settle(months(("2023-03", 7), ("2023-02", 5)), as_of=as_of)
    assert settled["is_partial"].tolist() == is_partial
    note = sales.last_month_note(settled)
    assert ("only" in note) == any(is_partial)


def test_customers_are_new_in_the_month_of_their_first_purchase(con, shop):
    items = """
    order_id  customer_id  product_id  ordered_at  quantity  amount
    4         -            mug         2023-02-03  1         7.00
    2         a            mug         2023-02-01  1         8.00
    1         a            mug         2023-01-09  1         5.00
    3         b            mug         2023-02-02  1         9.00
    5         b            mug         2023-01-02  1         0.00
    6         b            mug         2023-02-28  1         1.00
    """
    returns = "customer_id product_id returned_at quantity amount\na mug 2023-02-09 1 3"
    orders = "order_id country\n" + "\n".join(f"{n} -" for n in range(1, 7))
    moved, _ = shop(items=items, returns=returns, orders=orders)
    frame = engine.frame(con, sales.newcomers(moved))
    frame = frame[(frame["net_sales"] != 0) & (frame["month"] < "2023-03-01")]
    assert frame[["who", "customers", "net_sales"]].values.tolist() == [
        ["new", 1, 5.0], ["new", 1, 10.0], ["returning", 1, 5.0], ["unknown", 0, 7.0],
    ]  # fmt: skip


def test_credits_before_any_purchase_in_the_data_are_of_earlier_purchases(con, shop):
    items = "order_id line customer_id product_id ordered_at quantity amount\n"
    items += "1 1 a mug 2023-02-01 1 10\n2 2 c mug 2023-02-01 1 5"
    back = "customer_id product_id returned_at amount quantity\n"
    back += "a mug 2023-01-05 3 1\nb mug 2023-02-05 2 1\na mug 2023-03-05 4 1"
    moved, _ = shop(items=items, returns=back)
    frame = engine.frame(con, sales.newcomers(moved))[["who", "net_sales"]]
    assert frame.values.tolist() == [
        ["earlier", -3.0], ["earlier", -2.0], ["new", 15.0], ["returning", -4.0],
    ]  # fmt: skip


def test_new_returning_and_unknown_add_up_to_the_net_sales_of_the_month(con, shop):
    moved, placed = shop()
    by_who = engine.frame(con, sales.newcomers(moved)).groupby("month")["net_sales"].sum()
    months = engine.frame(con, sales.monthly(moved, placed, as_of=AS_OF)).set_index("month")
    assert by_who.to_dict() == months["net_sales"].to_dict()


def test_best_products_are_goods_by_net_sales_ties_by_code(con, shop):
    items = "order_id customer_id product_id ordered_at quantity amount\n"
    items += "1 a mug 2023-01-01 1 10\n2 b cup 2023-01-01 2 10\n1 a POST 2023-01-01 1 99"
    moved, _ = shop(items=items, returns="line")
    columns = ["product_id", "units", "net_sales", "buyers", "returned_share"]
    best = engine.frame(con, sales.best_products(moved))
    assert best[columns].values.tolist() == [["cup", 2, 10, 1, 0], ["mug", 1, 10, 1, 0]]
    assert found(con, sales.best_products(moved, top=1), "product_id") == [("cup",)]


def test_a_product_that_one_order_sold_is_told_apart(con, shop):
    items = "order_id customer_id product_id ordered_at quantity amount\n"
    items += "1 a mug 2023-01-01 1 60\n2 b mug 2023-01-01 2 30\n1 a mug 2023-01-01 1 30\n"
    items += "1 a cup 2023-01-01 1 1\n2 b cup 2023-01-01 1 1"
    moved, _ = shop(items=items, returns="line")
    best = engine.frame(con, sales.best_products(moved))
    assert best[["product_id", "largest_order_share"]].values.tolist() == [
        ["mug", 0.75], ["cup", 0.5]
    ]  # fmt: skip
    assert sales.single_orders(best)["one_order_products"] == 1
    assert "{one_order_product:text}" in sales.single_order_note(best)
    assert "None" in sales.single_order_note(best.tail(1))
    assert "None" in sales.single_order_note(best.head(0))


def test_orders_cancelled_within_a_day_ask_for_a_check_at_entry():
    assert "{swift_share:pct}" in sales.entry_note({"swift_share": 0.5})
    assert "nothing to mend" in sales.entry_note({"swift_share": 0.0})


def test_of_the_orders_cancelled_within_a_day_the_two_largest_are_told(con, shop):
    items = "line order_id customer_id product_id ordered_at quantity amount\n"
    items += "1 1 a mug 2023-01-01 1 10\n2 2 a mug 2023-01-01 1 30\n3 3 a mug 2023-01-01 1 20\n"
    returns = "reverses_line customer_id product_id returned_at quantity amount\n"
    returns += "1 a mug 2023-01-01 1 10\n2 a mug 2023-01-01 1 30\n3 a mug 2023-01-01 1 20"
    moved, _ = shop(items=items, returns=returns)
    assert engine.frame(con, sales.swiftest(moved))["swift_largest"].tolist() == [50.0]


def test_a_product_that_was_only_returned_has_no_share(con, shop):
    moved, _ = shop(items="line")
    best = sales.best_products(moved)
    assert found(con, best, "product_id", "net_sales", "returned_share") == [("mug", -10.0, None)]


def test_products_that_cost_most_returns_come_first(con, shop):
    returns = "customer_id product_id returned_at quantity amount\n"
    returns += "a mug 2023-02-03 1 3\na cup 2023-02-03 1 3\na POST 2023-02-03 1 50"
    moved, _ = shop(returns=returns)
    lost = engine.frame(con, sales.most_returned(moved))
    assert lost[["product_id", "returned"]].values.tolist() == [["cup", 3], ["mug", 3]]
    assert lost["returned_share"].tolist() == [0.6, 0.1]
    assert found(con, sales.most_returned(moved, least=5), "product_id") == [("mug",)]


def test_countries_are_sorted_by_net_sales_ties_by_name(con, shop):
    places = engine.frame(con, sales.countries(shop()[0]))
    assert places[["country", "net_sales", "buyers"]].values.tolist() == [
        ["France", 15, 1], ["unknown", 10, 0],
    ]  # fmt: skip
    assert places["spend_per_customer"].fillna(-1).tolist() == [15, -1]
    tied = ITEMS.replace("20.00", "15.00")
    places = engine.frame(con, sales.countries(shop(items=tied)[0]))
    assert places[["country", "net_sales"]].values.tolist() == [["France", 10], ["unknown", 10]]
    assert sales.abroad(places, top=1)["country"].tolist() == ["unknown"]


def test_spend_a_customer_leaves_out_sales_that_name_nobody(con, shop):
    same = ORDERS.replace("00:00  -  ", "00:00  France  ")
    places = engine.frame(con, sales.countries(shop(orders=same, returns="line")[0]))
    columns = ["country", "net_sales", "buyers", "spend_per_customer"]
    assert places[columns].values.tolist() == [["France", 35, 1, 25]]


def test_metrics_name_the_best_full_month():
    found = sales.totals(
        months(("2023-01", 10), ("2023-02", 40), ("2023-03", 20), ("2023-04", 99),
               is_partial=[False, False, False, True])
    )  # fmt: skip
    assert (found["peak_month"], found["peak_sales"], found["peak_ratio"]) == ("2023-02", 40, 2)
    assert (found["first_month"], found["last_month"], found["months"]) == (
        "2023-01",
        "2023-04",
        4,
    )
    assert (found["net_sales"], found["orders"]) == (169, 8)


def test_of_two_best_months_the_first_is_named():
    found = sales.totals(months(("2023-01", 10), ("2023-02", 10), is_partial=False))
    assert found["peak_month"] == "2023-01"


def test_a_single_partial_month_is_the_best_one():
    assert sales.totals(months(("2023-03", 7), is_partial=True))["peak_month"] == "2023-03"


LOYALTY = pd.DataFrame(
    {
        "month": pd.to_datetime(["2023-01-01", "2023-02-01", "2023-02-01", "2023-02-01",
                                 "2023-03-01"]),
        "who": ["new", "new", "returning", "unknown", "returning"],
        "customers": [5, 2, 4, 0, 9],
        "net_sales": [50.0, 10.0, 30.0, 60.0, 90.0],
    }
)  # fmt: skip


def test_loyalty_looks_at_the_last_full_months_of_named_customers():
    found = sales.loyalty(LOYALTY.iloc[::-1], as_of=AS_OF, recent_months=1, least=1)
    assert found.items() >= {
        "recent_months": 1, "returning_share": 0.75, "new_customers": 2, "new_per_month": 2.0,
        "unknown_sales": 60.0, "unknown_sales_share": 0.25,
    }.items()  # fmt: skip


def test_loyalty_counts_a_month_that_as_of_completes():
    found = sales.loyalty(LOYALTY, as_of=date(2023, 3, 31), recent_months=1)
    assert (found["returning_share"], found["new_customers"]) == (1.0, 0)


def test_leaders_and_losers_are_the_first_rows():
    best = pd.DataFrame({"product_name": ["Mug", "Cup"], "net_sales": [30.0, 20.0]})
    whole = months(("2023-01", 120)).assign(returned=12.0)
    assert sales.leaders(best, whole) == {
        "best_product": "Mug", "best_product_sales": 30.0, "best_product_share": 0.25,
    }  # fmt: skip
    lost = pd.DataFrame({"product_name": ["Cup"], "returned": [3.0], "returned_share": [0.6]})
    found = sales.returned_most(lost, whole)
    assert (found["most_returned"], found["most_returned_of_all"]) == ("Cup", 0.25)


def test_home_is_the_best_country():
    places = pd.DataFrame(
        {"country": ["Norway"], "net_sales": [90.0], "buyers": [3], "sales_share": [1.0],
         "spend_per_customer": [30.0], "largest_share": [0.5]}
    )  # fmt: skip
    found = sales.home(places)
    assert (found["home_country"], found["home_largest_share"]) == ("Norway", 0.5)
    assert (found["second_country"], found["second_sales"]) == ("no other country", 0.0)
    assert sales.abroad(places)["country"].tolist() == ["Norway"]
    assert "Outside" not in sales.home_note(places) + sales.abroad_title(places)


def test_nothing_sold_makes_empty_tables_and_zero_metrics(con, nothing):
    moved, orders = nothing
    none = sales.settle(engine.frame(con, sales.monthly(moved, orders, as_of=AS_OF)), as_of=AS_OF)
    best = engine.frame(con, sales.best_products(moved))
    places = sales.shares(engine.frame(con, sales.countries(moved)), "net_sales")
    new = engine.frame(con, sales.newcomers(moved))
    lost = engine.frame(con, sales.most_returned(moved))
    assert [len(f) for f in (none, best, places, new, lost)] == [0] * 5
    assert sales.totals(none)["net_sales"] == 0
    assert sales.last_month_note(none)
    assert sales.loyalty(new, as_of=AS_OF)["returning_share"] == 0
    assert sales.leaders(best, none)["best_product"] == "no product"
    assert sales.returned_most(lost, none)["most_returned"] == "no product"
    assert sales.home(places)["home_country"] == "no other country"


def test_the_bridge_leads_from_goods_sold_to_the_spend_of_named_customers(con, shop):
    items = ITEMS + "2  -  POST  2023-02-01T00:00  1  3.00\n"
    returns = RETURNS + "-  mug  2023-02-05T10:00  -  1  2.00\n"
    steps = engine.frame(con, sales.bridge(shop(items=items, returns=returns)[0]))
    sales.assert_whole(steps)
    assert steps["amount"].tolist() == [35, -12, 23, 7, -1, 29, -8, -2, 19]
    assert sales.named_spend(steps) == 19


def test_a_step_that_is_missing_from_the_bridge_is_named(con, shop):
    steps = engine.frame(con, sales.bridge(shop()[0]))
    with pytest.raises(sales.SalesError, match="= all kept lines"):
        sales.assert_whole(steps.drop(index=3))


def test_a_bridge_over_nothing_is_whole(con, nothing):
    steps = engine.frame(con, sales.bridge(nothing[0]))
    sales.assert_whole(steps)
    assert sales.named_spend(steps) == 0


def test_the_bridge_ends_at_the_spend_that_rfm_counts(con, shop):
    moved, placed = shop()
    customers = literal(con, "tables/customers", "customer_id\nb\na")
    raw = rfm.measure(customers, placed, literal(con, "tables/returns", RETURNS), as_of=AS_OF)
    steps = engine.frame(con, sales.bridge(moved))
    assert sales.named_spend(steps) == engine.frame(con, raw)["spend"].sum() == 19


def test_who_bought_only_postage_is_a_new_customer_as_on_the_other_pages(con, shop):
    items = "order_id customer_id product_id ordered_at amount\n"
    items += (
        "1 a mug 2023-02-01 5\n1 a POST 2023-01-01 4\n2 b POST 2023-02-01 4\n3 c mug 2023-02-01 0"
    )
    frame = engine.frame(con, sales.newcomers(shop(items=items, returns="line")[0]))
    frame = frame[frame["customers"] > 0][["who", "customers", "net_sales"]]
    assert frame.values.tolist() == [["new", 1, 0.0], ["new", 1, 0.0], ["returning", 1, 5.0]]


def test_a_country_counts_buyers_and_one_of_two_countries_in_each(con, shop):
    items = "order_id customer_id product_id ordered_at amount\n"
    items += (
        "2 a mug 2023-01-02 5\n1 a mug 2023-01-01 5\n1 b mug 2023-01-01 0\n1 d POST 2023-01-01 9"
    )
    orders = "order_id country\n2 Norway\n1 France"
    returns = "customer_id product_id returned_at country amount\nc mug 2023-01-05 France 1"
    moved, _ = shop(items=items, returns=returns, orders=orders)
    assert found(con, sales.countries(moved), "country", "net_sales", "buyers") == [
        ("France", 4.0, 2), ("Norway", 5.0, 1),
    ]  # fmt: skip
    assert found(con, sales.travellers(moved), "buyers", "travellers") == [(2, 1)]


def test_nobody_travels_where_nothing_is_sold(con, nothing):
    assert found(con, sales.travellers(nothing[0]), "buyers", "travellers") == [(0, 0)]
    assert "{travellers}" not in sales.travellers_note(pd.DataFrame({"country": ["Norway"]}))


def test_a_sale_cancelled_within_a_day_is_swift(con, shop):
    items = """
    order_id  line  customer_id  product_id  ordered_at        quantity  amount
    1         1     a            mug         2023-01-01T10:00  1         10
    1         2     a            mug         2023-01-01T10:00  1         20
    1         3     a            mug         2023-03-09T10:00  1         40
    1         4     a            POST        2023-01-01T10:00  1         80
    """
    returns = """
    reverses_line  returned_at       product_id  amount  quantity
    1              2023-01-02T10:00  mug         10      1
    2              2023-01-02T10:01  mug         20      1
    3              2023-03-10T01:00  mug         40      1
    4              2023-01-01T10:00  POST        80      1
    """
    moved, _ = shop(items=items, returns=returns)
    assert engine.frame(con, moved)["swift"].sum() == 10.0  # the third is cancelled after as_of


def test_a_country_tells_how_much_its_largest_customer_brings(con, shop):
    items = "order_id customer_id product_id ordered_at amount\n"
    items += "1 a mug 2023-01-01 30\n2 b mug 2023-01-01 10\n3 - mug 2023-01-01 60"
    orders = "order_id country\n1 Norway\n2 Norway\n3 Norway"
    moved, _ = shop(items=items, returns="line", orders=orders)
    columns = ["net_sales", "buyers", "spend_per_customer", "largest_share"]
    assert found(con, sales.countries(moved), *columns) == [(100.0, 2, 20.0, 0.75)]


def test_orders_that_name_nobody_are_counted_beside_the_named(con):
    text = "order_id customer_id ordered_at amount\n1 - 2023-01-01 8\n2 a 2023-01-01 2\n"
    orders = literal(con, "tables/orders", text + "3 a 2023-01-01 4\n4 - 2023-01-01 0")
    assert found(con, sales.unnamed(orders, as_of=AS_OF)) == [(1, pytest.approx(1 / 3), 8.0, 3.0)]


def test_the_season_is_the_months_well_above_the_median():
    frame = months(("2022-11", 13), ("2022-12", 10), ("2023-01", 9), ("2023-02", 10))
    assert sales.totals(sales.settle(frame, as_of=date(2023, 2, 28)))["season"] == "November"
