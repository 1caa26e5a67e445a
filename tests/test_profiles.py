"""The customer view: its blocks, its two dates, example E1, the time line and the page."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest
from test_engine import found, literal

from crm import engine, profiles, rfm
from crm.tables import TABLES, empty

AS_OF = date(2023, 10, 31)
MORE = ("consents", "leads", "campaigns")  # what the time line reads besides

ORDERS = "order_id customer_id ordered_at amount channel\n"
ITEMS = "line order_id customer_id product_id ordered_at quantity amount\n"
RETURNS = "line return_id customer_id product_id returned_at quantity amount reverses\n"
EVENTS = "line customer_id at kind product_id device\n"
TICKETS = "line ticket_id customer_id opened_at first_response_at resolved_at kind topic\n"


@pytest.fixture(scope="module")
def con():
    return engine.connect(threads=2)


@pytest.fixture(scope="module")
def nothing(con) -> dict:
    """Every fact of the view and the time line without a row."""
    names = (*profiles.FACTS, *MORE)
    heads = {n: TABLES[f"tables/{n}"].names[0] for n in names}
    return {n: literal(con, f"tables/{n}", head) for n, head in heads.items()}


@pytest.fixture
def tables(con, nothing):
    """The facts of the view by name: those given as text, all others empty."""

    def _tables(**texts) -> dict:
        return nothing | {n: literal(con, f"tables/{n}", text) for n, text in texts.items()}

    return _tables


@pytest.fixture
def view(con, tables):
    """The view of some texts by customer."""

    def _view(as_of: date = AS_OF, options: dict | None = None, **texts) -> pd.DataFrame:
        expr = profiles.view(tables(**texts), as_of=as_of, **(options or {}))
        return engine.frame(con, expr).set_index("customer_id").sort_index()

    return _view


def values(frame: pd.DataFrame, *columns: str) -> list[list]:
    """The columns as plain values, an empty one as None."""
    chosen = frame[list(columns)].astype(object)
    return chosen.where(chosen.notna(), None).values.tolist()


# --- example E1 of the requirements


E1 = {
    "customers": "customer_id registered_on\n10001 2022-03-15\n10002 2023-01-10\n10003 2021-11-28",
    "orders": ORDERS + """
    a 10001 2023-10-20 15000 web
    b 10002 2023-09-05 2500 web
    c 10003 2023-07-15 800 web""",
}  # fmt: skip


def test_the_three_sample_customers_have_their_type_and_spans(view):
    rows = view(**E1)
    columns = ["recency_days", "registered_days", "customer_type", "is_recent", "is_dormant"]
    assert values(rows, *columns) == [
        [11, 595, "old", True, False],
        [56, 294, "new", False, False],
        [108, 702, "churned", False, True],
    ]
    assert values(rows, "window_spend") == [[15000.0], [2500.0], [0.0]]
    assert values(rows, "lifecycle") == [["mature"], ["new"], ["churned"]]
    assert values(rows, "spend") == [[15000.0], [2500.0], [800.0]]


# --- one row for each customer, as of a day


def test_every_customer_has_one_row_whatever_the_facts(con, view, tables):
    customers = "customer_id registered_on\nb 2023-01-01\na 2022-01-01\nc -"
    events = (
        EVENTS + "1 a 2023-10-01 view p app\n2 a 2023-10-01 view p web\n3 - 2023-10-01 view p app"
    )
    rows = view(customers=customers, events=events, orders=ORDERS + "1 x 2023-10-01 5 web")
    assert rows.index.tolist() == ["a", "b", "c"]  # x is no customer of the source
    assert len(view()) == 0
    with pytest.raises(profiles.ProfileError, match="3 customers went into"):
        profiles.assert_whole(customers=3, rows=4, distinct=3)


def test_counts_of_nothing_are_zero_and_means_of_nothing_are_empty(view):
    (row,) = view(customers="customer_id\na").to_dict("records")
    for column in TABLES["features/profiles"].columns:
        if column.name in row and column.type == "int":
            assert row[column.name] == 0, column.name
        if column.type == "float" or column.name in profiles.AVERAGES:
            assert pd.isna(row[column.name]), column.name
    assert (row["spend"], row["points"], row["is_omo"]) == (0, 0, False)


FACTS = {
    "customers": "customer_id registered_on updated_on province gender birth_date\n"
    "a 2022-01-01 2023-06-30 X male 2000-01-01\nb 2023-07-01 - Y female 1990-07-02",
    "orders": ORDERS + "1 a 2023-06-30T23:59 10 web\n2 a 2023-07-01T00:00 20 store",
    "order_items": ITEMS + "1 1 a p 2023-06-30T23:59 1 10\n2 2 a q 2023-07-01T00:00 1 20",
    "returns": RETURNS + "9 R a p 2023-07-01 1 10 1",
    "products": "product_id category is_product\np P true\nq Q true",
    "events": EVENTS + "1 a 2023-06-30T23:59 cart q app\n2 a 2023-07-01T00:00 view q app",
    "interactions": "line customer_id at channel direction\n1 a 2023-07-01 sms in",
    "tickets": TICKETS + "1 T a 2023-06-30T12:00 2023-06-30T14:00 2023-07-01T12:00 complaint x",
    "campaign_contacts": "line campaign_id customer_id sent_at delivered_at opened_at\n"
    "1 K a 2023-06-30T10:00 2023-06-30T10:01 2023-07-01T08:00",
    "points": "line customer_id at change balance\n1 a 2023-06-30 5 5\n2 a 2023-07-01 7 12",
}


@pytest.fixture(scope="module")
def two_days(con, nothing) -> list[pd.DataFrame]:
    """The view of `FACTS` as of the last day of June, and as of the day after."""
    t = nothing | {n: literal(con, f"tables/{n}", text) for n, text in FACTS.items()}
    days = (date(2023, 6, 30), date(2023, 7, 1))
    frames = [engine.frame(con, profiles.view(t, as_of=day)) for day in days]
    return [frame.set_index("customer_id").sort_index() for frame in frames]


def test_a_view_never_sees_what_happened_or_was_said_later(two_days):
    early, late = two_days
    columns = ["orders", "spend", "returned", "visit_days", "carts_left", "contacts",
               "open_tickets", "campaigns_opened", "points", "top_category"]  # fmt: skip
    assert values(early.loc[["a"]], *columns) == [[1, 10.0, 0.0, 1, 1, 0, 1, 0, 5.0, "P"]]
    assert values(late.loc[["a"]], *columns) == [[1, 20.0, 10.0, 2, 0, 1, 0, 1, 12.0, "Q"]]
    assert values(early, "resolution_hours", "response_hours") == [[None, 2.0], [None, None]]
    assert late.loc["a", "resolution_hours"] == 24.0


def test_who_registers_later_has_a_row_and_is_not_known_yet(two_days):
    early, late = two_days
    columns = ["is_known", "registered_on", "customer_type", "lifecycle", "age"]
    assert values(early.loc[["b"]], *columns) == [[False, None, None, None, 32]]
    assert values(late.loc[["b"]], *columns)[0][2:] == ["new", "prospect", 32]


def test_what_a_record_said_only_after_the_day_is_empty(con, tables):
    customers = tables(**FACTS)["customers"]  # that of a was changed on the last day of June
    early, late = (
        engine.frame(con, profiles.people(customers, as_of=day).order_by("customer_id"))
        for day in (date(2023, 6, 29), date(2023, 6, 30))
    )
    assert values(early, "province", "gender") == [[None, "male"], ["Y", "female"]]
    assert values(late, "province") == [["X"], ["Y"]]


def test_age_is_in_whole_years_and_impossible_ones_are_empty(view):
    born = "a 2000-10-31\nb 2000-11-01\nc 1890-01-01\nd 2023-11-01"
    assert values(view(customers=f"customer_id birth_date\n{born}"), "age") == [
        [23], [22], [None], [None]
    ]  # fmt: skip


def test_churned_comes_first_then_new_then_old(view):
    cases = """
    a  2022-10-31  2023-10-30  old      mature
    b  2022-11-01  2023-10-30  new      new
    c  2022-11-01  2023-08-02  churned  churned
    d  2022-10-31  2023-08-03  old      mature
    e  -           2023-10-30  new      new
    f  2023-10-30  -           new      prospect
    g  2020-10-30  -           old      prospect
    """  # a: 365 days, no longer new; c: 90 days of silence; e: by the first purchase
    rows = [line.split() for line in cases.split("\n") if line.strip()]
    customers = "\n".join(f"{row[0]} {row[1]}" for row in rows)
    orders = "\n".join(f"{n} {row[0]} {row[2]} 5 web" for n, row in enumerate(rows[:5]))
    found = view(customers=f"customer_id registered_on\n{customers}", orders=ORDERS + orders)
    assert values(found, "customer_type", "lifecycle") == [row[3:] for row in rows]


def test_months_without_a_purchase_are_whole_ones(view):
    days = {"a": "2023-08-31", "b": "2023-09-01", "c": "2023-09-30", "d": "2023-10-01"}
    orders = ORDERS + "\n".join(f"{c} {c} {day} 5 web" for c, day in days.items())
    customers = "customer_id\n" + "\n".join(days)
    rows = view(customers=customers, orders=orders)
    assert values(rows, "inactive_months") == [[2], [1], [1], [0]]
    rows = view(date(2023, 9, 30), customers="customer_id\na", orders=orders)
    assert values(rows, "inactive_months") == [[1]]  # the last day of a short month completes it


# --- purchases


PURCHASES = (
    ORDERS
    + """
3 a 2023-10-30 100 web
1 a 2023-07-01 40 store
2 a 2023-10-01 60 web
4 b 2023-10-02 30 web
5 a 2023-10-31 0 web
"""
)
BACK = (
    RETURNS
    + """
9 R b p 2023-10-03 1 30 4
8 S a p 2023-10-29 1 10 -
"""
)


def test_spend_is_net_of_returns_and_an_order_cancelled_whole_is_no_purchase(view):
    rows = view(customers="customer_id\na\nb", orders=PURCHASES, returns=BACK)
    columns = ["orders", "window_orders", "recent_orders", "sales", "spend", "window_spend",
               "order_value", "window_order_value", "returned"]  # fmt: skip
    assert values(rows, *columns) == [
        [3, 2, 1, 200.0, 190.0, 150.0, 63.333333333333336, 75.0, 10.0],
        [0, 0, 0, 30.0, 0.0, 0.0, None, None, 30.0],
    ]
    assert values(rows, "store_sales", "online_sales", "returned_share")[0] == [40.0, 160.0, 0.05]


def test_the_view_and_rfm_count_the_same_purchases(con, tables, view):
    t = tables(customers="customer_id\na\nb", orders=PURCHASES, returns=BACK)
    raw = rfm.measure(t["customers"], t["orders"], t["returns"], as_of=AS_OF)
    mine = profiles.view(t, as_of=AS_OF).mutate(frequency=lambda v: v.window_orders)
    names = ["customer_id", "first_order_on", "last_order_on", "orders", "spend", "sales"]
    assert found(con, raw.select(*names)) == found(con, mine.select(*names))


def test_an_order_for_nothing_makes_a_customer_known_and_is_no_purchase(view):
    rows = view(customers="customer_id\na", orders=ORDERS + "1 a 2023-10-01 0 web")
    columns = ["is_known", "orders", "recency_days", "lifecycle"]
    assert values(rows, *columns) == [[True, 0, None, "prospect"]]


def test_the_category_with_most_money_is_liked_best_and_ties_go_to_more_lines(view):
    items = (
        ITEMS
        + """
    1 1 a tea 2023-10-01 1 60
    2 2 a cup 2023-10-02 1 30
    3 3 a jug 2023-10-03 1 30
    4 3 a fee 2023-10-03 1 500
    """
    )
    products = (
        "product_id category is_product\ntea food true\ncup ware true\njug ware true\nfee - false"
    )
    rows = view(customers="customer_id\na\nb", order_items=items, products=products)
    columns = ["top_category", "top_category_share", "products"]
    assert values(rows, *columns) == [["ware", 0.5, 3], [None, None, 0]]


def test_a_source_without_categories_has_none_to_like(view):
    rows = view(customers="customer_id\na", order_items=ITEMS + "1 1 a tea 2023-10-01 1 60",
                products="product_id category is_product\ntea - true")  # fmt: skip
    assert values(rows, "top_category", "top_category_share", "products") == [[None, None, 1]]


def test_margin_takes_the_cost_of_its_day_and_other_costs_off(view):
    items = (
        ITEMS + "1 1 a tea 2023-03-31 2 100\n2 1 a tea 2023-04-01 1 50\n3 2 b cup 2023-04-01 1 9"
    )
    costs = """
    line  day         kind      product_id  order_id  customer_id  cost
    2     2023-04-01  goods     tea         -         -            30
    1     2023-01-01  goods     tea         -         -            20
    3     2023-04-02  shipping  -           1         -            5
    4     2023-04-02  service   -           -         a            1
    """
    rows = view(
        customers="customer_id\na\nb", finance=costs, order_items=items,
        orders=ORDERS + "1 a 2023-03-31 150 web\n2 b 2023-04-01 9 web",
        products="product_id is_product\ntea true\ncup true",
        returns=RETURNS + "9 R a tea 2023-05-01 1 50 -",
    )  # fmt: skip
    assert values(rows, "margin", "margin_share") == [[54.0, 0.54], [None, None]]


def test_of_the_costs_of_a_product_only_that_of_the_goods_is_taken_off_a_unit(view):
    costs = """
    line  day         kind      product_id  cost
    1     2023-01-01  goods     tea         20
    2     2023-02-01  shipping  tea         3
    3     2023-02-01  fee       cup         1
    """
    rows = view(
        customers="customer_id\na\nb", finance=costs,
        order_items=ITEMS + "1 1 a tea 2023-03-31 2 100\n2 2 b cup 2023-04-01 1 9",
        products="product_id is_product\ntea true\ncup true",
    )  # fmt: skip
    assert values(rows, "margin") == [[60.0], [None]]


def test_a_discount_belongs_to_the_customer_of_its_order(view):
    given = """
    line  order_id  customer_id  coupon_id  given_at    amount
    1     1         -            K          2023-10-01  5
    2     1         -            -          2023-10-01  2
    3     -         a            L          2023-10-02  1
    """
    rows = view(customers="customer_id\na", discounts=given,
                orders=ORDERS + "1 a 2023-10-01 50 web\n2 a 2023-10-02 50 web")  # fmt: skip
    columns = ["discounts", "discounted", "coupons", "discounted_share"]
    assert values(rows, *columns) == [[3, 8.0, 2, 0.5]]


def test_omo_is_a_visit_online_before_a_purchase_in_a_store(view):
    events = (
        EVENTS
        + """
    1 a 2023-09-01T12:00 view p app
    2 b 2023-09-01T12:01 view p app
    3 c 2023-10-01T11:59 view p app
    4 d 2023-10-01T12:00 view p app
    5 e 2023-10-01T11:59 view p app
    """
    )  # a: thirty days to the second, outside; d: not before the purchase; e: bought online
    orders = "\n".join(
        f"{c} {c} 2023-10-01T12:00 5 {'web' if c == 'e' else 'store'}" for c in "abcde"
    )
    rows = view(customers="customer_id\na\nb\nc\nd\ne", events=events, orders=ORDERS + orders)
    assert rows.index[rows["is_omo"]].tolist() == ["b", "c"]
    assert rows["omo_orders"].sum() == 2


def test_a_store_purchase_of_which_only_the_day_is_known_follows_the_visits_of_the_day(view):
    events = EVENTS + "1 a 2023-10-01T10:00 view p app\n2 b 2023-10-02T00:00 view p app"
    orders = ORDERS + "1 a 2023-10-01 5 store\n2 b 2023-10-01 5 store"
    rows = view(customers="customer_id\na\nb", events=events, orders=orders)
    assert values(rows, "is_omo", "omo_orders") == [[True, 1], [False, 0]]
    events = EVENTS + "1 a 2023-09-02 view p app\n2 b 2023-09-01 view p app"
    rows = view(customers="customer_id\na\nb", events=events, orders=orders)
    assert values(rows, "is_omo") == [[True], [False]]  # the span still ends with the day


def test_which_channels_are_stores_is_a_parameter(view):
    events = EVENTS + "1 a 2023-09-30 view p app"
    rows = view(options={"stores": ["till"], "omo_days": 1}, customers="customer_id\na",
                events=events, orders=ORDERS + "1 a 2023-10-01T00:00 5 till")  # fmt: skip
    assert values(rows, "is_omo", "store_sales") == [[False, 5.0]]


def test_channels_have_shares_and_the_preferred_one_breaks_ties_by_spend(con, tables):
    t = tables(
        orders=ORDERS + "1 a 2023-10-01 5 web\n2 a 2023-10-02 9 store\n3 b 2023-10-02 9 -",
        interactions="line customer_id at channel direction\n1 a 2023-10-01 sms out\n"
        "2 a 2023-10-02 sms out\n3 a 2023-10-02 wecom in\n4 a 2023-08-02 wecom in",
    )
    used = profiles.use_of_channels(t, as_of=AS_OF)
    assert found(con, used, "customer_id", "road", "channel", "times", "times_share") == [
        ("a", "contact", "sms", 2, pytest.approx(2 / 3)),
        ("a", "contact", "wecom", 1, pytest.approx(1 / 3)),
        ("a", "purchase", "store", 1, 0.5),
        ("a", "purchase", "web", 1, 0.5),
        ("b", "purchase", "unknown", 1, 1.0),
    ]
    assert found(con, profiles.preferred(used, "contact")) == [("a", "wecom")]
    best = profiles.preferred(used, "purchase").select("customer_id", "preferred_channel")
    assert found(con, best) == [("a", "store"), ("b", "unknown")]


def test_points_left_are_the_last_balance_else_the_sum_else_what_the_record_says(view):
    moves = "line customer_id at change balance\n2 a 2023-10-01 5 40\n1 a 2023-10-01 5 35\n"
    rows = view(customers="customer_id points\na 1\nb 1\nc 7",
                points=moves + "3 b 2023-10-01 5 -\n4 b 2023-10-02 -2 -")  # fmt: skip
    assert values(rows, "points") == [[40.0], [3.0], [7.0]]


def test_points_of_several_accounts_of_a_customer_add_up(view):
    moves = """
    line  customer_id  at          change  balance
    1     a            2023-10-01  100     100
    2     a            2023-10-02  250     250
    3     b            2023-10-01  10      40
    4     b            2023-10-02  -5      35
    5     b            2023-10-03  20      20
    6     c            2023-10-01  0       9
    7     c            2023-10-02  0       12
    """  # b: an account whose record begins at 30 points, and a second; c: balances alone
    rows = view(customers="customer_id\na\nb\nc", points=moves)
    assert values(rows, "points") == [[350.0], [55.0], [12.0]]


def test_assets_are_banded_and_a_limit_begins_its_band(view):
    rows = view(customers="customer_id assets\na 9999\nb 10000\nc 200000\nd -")
    assert values(rows, "assets_band") == [
        ["under 10,000"], ["10,000 to 50,000"], ["200,000 and more"], [None]
    ]  # fmt: skip


# --- behaviour, marketing, service


def test_visits_are_counted_in_the_window_and_the_last_one_over_all_history(view):
    events = (
        EVENTS
        + """
    3 a 2023-10-02T10:00 cart p app
    1 a 2023-08-02T10:00 view p web
    2 a 2023-08-03T10:00 view p web
    4 a 2023-10-02T11:00 search - app
    5 b 2023-01-01T00:00 login - web
    """
    )
    rows = view(customers="customer_id\na\nb", events=events)
    columns = ["visit_days", "views", "searches", "carts", "main_device", "devices"]
    assert values(rows, *columns) == [[2, 1, 1, 1, "app", 2], [0, 0, 0, 0, None, 0]]
    assert rows["last_visit_on"].tolist() == [
        pd.Timestamp("2023-10-02"),
        pd.Timestamp("2023-01-01"),
    ]


def test_a_cart_is_left_until_the_product_is_bought(view):
    events = (
        EVENTS + "1 a 2023-10-02 cart p app\n2 a 2023-10-03 cart p app\n3 a 2023-10-03 cart q app"
    )
    items = ITEMS + "1 1 a p 2023-10-03 1 5\n2 1 a q 2023-10-02 1 5"  # q was bought before
    rows = view(customers="customer_id\na", events=events, order_items=items)
    assert values(rows, "carts_left") == [[1]]


def test_an_order_of_which_only_the_day_is_known_empties_the_cart_of_its_day(view):
    events = EVENTS + "1 a 2023-10-02T10:00 cart p app\n2 a 2023-10-03T10:00 cart q app"
    events += "\n3 b 2023-10-02T10:00 cart p app"
    items = ITEMS + "1 1 a p 2023-10-02 1 5\n2 1 a q 2023-10-02 1 5\n3 2 b p 2023-10-02T09:59 1 5"
    rows = view(customers="customer_id\na\nb", events=events, order_items=items)
    assert values(rows, "carts_left") == [[1], [1]]  # q a day later, p a minute later


def test_use_is_summed_in_the_window(view):
    usage = (
        "line customer_id day module sessions minutes\n1 a 2023-10-01 x 2 10\n2 a 2023-01-01 y 9 9"
    )
    rows = view(customers="customer_id\na", usage=usage)
    assert values(rows, "use_sessions", "use_minutes", "use_modules") == [[2.0, 10.0, 1]]


def test_who_was_left_out_of_a_campaign_was_not_addressed(view):
    sent = """
    line  campaign_id  customer_id  arm      sent_at     delivered_at  opened_at   joined_at
    1     K            a            treated  2023-01-01  2023-01-01    2023-01-02  2023-01-02
    2     L            a            -        2023-02-01  2023-02-01    -           -
    3     K            b            control  2023-01-01  -             -           -
    """
    rows = view(customers="customer_id\na\nb", campaign_contacts=sent)
    columns = ["campaigns", "campaigns_delivered", "opened_share", "joined_share"]
    assert values(rows, *columns) == [[2, 2, 0.5, 0.5], [0, 0, None, None]]


def test_the_last_complaint_counts_with_the_time_to_its_answer(view):
    tickets = (
        TICKETS
        + """
    2 T2 a 2023-10-02T00:00 2023-10-03T06:00 - complaint x
    1 T1 a 2023-10-01T00:00 2023-10-01T01:00 2023-10-01T10:00 complaint x
    3 T3 a 2023-10-03T00:00 - - praise x
    """
    )
    rows = view(customers="customer_id\na", tickets=tickets)
    columns = ["tickets", "complaints", "praises", "open_tickets", "last_complaint_hours",
               "response_hours", "resolution_hours"]  # fmt: skip
    assert values(rows, *columns) == [[3, 2, 1, 2, 30.0, 15.5, 10.0]]


def test_a_time_before_the_case_was_opened_is_no_time_and_the_case_is_closed(view):
    tickets = (
        TICKETS
        + """
    1 T1 a 2023-10-02T10:00 2023-10-02T08:00 2023-10-02T09:00 complaint x
    2 T2 a 2023-10-01T10:00 2023-10-01T12:00 2023-10-01T14:00 enquiry x
    3 T3 b 2023-10-02T10:00 2023-10-02T08:00 - complaint x
    """
    )
    rows = view(customers="customer_id\na\nb", tickets=tickets)
    columns = ["tickets", "open_tickets", "response_hours", "resolution_hours",
               "last_complaint_hours"]  # fmt: skip
    assert values(rows, *columns) == [[2, 0, 2.0, 4.0, None], [1, 1, None, None, None]]


def test_the_last_nps_answer_counts_and_other_questions_are_averaged(view):
    surveys = """
    line  survey_id  customer_id  answered_at  instrument  score  scale_max
    1     S1         a            2023-01-01   nps         3      10
    2     S2         a            2023-02-01   NPS         9      10
    3     S2         a            2023-02-01   csat        4      5
    4     S2         a            2023-02-01   csat        5      5
    """
    reviews = "line review_id customer_id written_at score\n1 R a 2023-01-01 4\n2 Q a 2023-01-02 5"
    rows = view(customers="customer_id\na", surveys=surveys, reviews=reviews)
    columns = ["surveys", "nps", "satisfaction_share", "reviews", "review_score"]
    assert values(rows, *columns) == [[2, 9.0, 0.9, 2, 4.5]]


# --- permission, schema


def test_who_is_in_no_permit_may_nothing(con, tables):
    seen = profiles.view(tables(customers="customer_id\na\nb"), as_of=AS_OF)
    said = "customer_id purpose allowed\na analysis true\na marketing false"
    permits = literal(con, "features/permits", said)
    allowed = profiles.permitted(seen, permits)
    assert found(con, allowed, "customer_id", "may_analyse", "may_market", "may_profile") == [
        ("a", True, False, False), ("b", False, False, False)
    ]  # fmt: skip
    assert sorted(allowed.columns) == sorted(TABLES["features/profiles"].names)


def test_no_feature_identifies_a_person_or_holds_what_is_sensitive_whole():
    columns = [c for table in TABLES.values() for c in table.columns]
    never = {c.name for c in columns if c.personal or c.sensitive} | {"customer_key", "text"}
    assert "assets" in never
    assert never & set(profiles.features()) == set()


def test_all_five_dimensions_have_features_and_the_catalogue_lists_every_one():
    assert len(profiles.DIMENSIONS) == 5
    listed = profiles.catalogue(empty("features/profiles"))
    assert listed["feature"].tolist() == profiles.features()
    assert set(profiles.DIMENSIONS) < set(listed["dimension"])
    assert (listed["chinese"].str.len() > 0).all()
    assert {"recent_orders", "top_category"} <= set(listed["feature"])  # TAG-23
    signs = {feature for _, feature, _ in profiles.SIGNS.values()}
    assert signs <= set(profiles.features())
    assert {d for d, _, _ in profiles.SIGNS.values()} == set(profiles.DIMENSIONS)


# --- the time line


MOMENTS = {
    "customers": "customer_id registered_on acquisition\na 2023-01-01 store",
    "orders": "order_id customer_id ordered_at amount channel lines\n1 a 2023-01-03T10:00 9 web 2",
    "returns": RETURNS + "2 R a p 2023-01-05 1 4 -\n1 R a p 2023-01-05 1 5 -",
    "events": EVENTS + "2 a 2023-01-02T09:00 cart p app\n1 a 2023-01-02T08:00 view p app",
    "tickets": TICKETS + "1 T a 2023-01-04 - 2023-11-05 complaint late",
    "consents": "line customer_id purpose granted at\n1 a marketing no 2023-01-06",
}


def test_all_contacts_stand_in_one_line_in_the_order_of_time(con, tables):
    line = profiles.timeline(tables(**MOMENTS), as_of=AS_OF)
    rows = engine.frame(con, line.order_by("at"))
    assert values(rows, "kind", "channel", "what", "amount") == [
        ["registration", "store", "", None],
        ["visit", "app", "actions: 2, 1 into the cart", None],
        ["order", "web", "lines: 2", 9.0],
        ["ticket", None, "complaint: late, open", None],  # it is closed after the day
        ["return", None, "lines: 2", 9.0],
        ["consent", None, "marketing: no", None],
    ]
    assert rows["at"].dtype == "datetime64[us]"


def test_the_time_line_ends_with_the_day_and_may_be_empty(con, tables):
    line = profiles.timeline(tables(**MOMENTS), as_of=date(2023, 1, 3))
    assert sorted(kind for (kind,) in found(con, line, "kind")) == [
        "order",
        "registration",
        "visit",
    ]
    assert found(con, profiles.timeline(tables(), as_of=AS_OF)) == []


def test_every_kind_of_moment_is_written_with_its_own_key(con, tables, tmp_path):
    texts = MOMENTS | {
        "usage": "line customer_id day module minutes\n1 a 2023-01-02 x 5\n2 a 2023-01-02 y 5",
        "touchpoints": "line customer_id at channel\n1 a 2023-01-02 x\n2 a 2023-01-02 x",
        "interactions": "line customer_id at topic\n1 a 2023-01-02 x\n2 a 2023-01-02 x",
        "surveys": "survey_id customer_id answered_at instrument score\nS a 2023-01-02 nps 9",
        "reviews": "line review_id customer_id written_at\n1 V a 2023-01-02",
        "leads": "lead_id customer_id created_at stage stage_at\nL a 2023-01-02 won 2024-01-02",
        "campaigns": "line campaign_id campaign_name\n1 K spring",
        "campaign_contacts": "line campaign_id customer_id sent_at opened_at\n1 K a 2023-01-02 -",
    }
    line = profiles.timeline(tables(**texts), as_of=AS_OF)
    schema = TABLES["features/timeline"]
    assert engine.write(con, line, tmp_path / "timeline", schema) == 15
    told = dict(found(con, line, "kind", "what"))
    assert set(told) == set(schema["kind"].codes)
    assert told["lead"] == "lead"  # won only later
    assert told["campaign"] == "spring: sent"
    assert told["survey"] == "answers: 1, would recommend: 9"


# --- the page


def known(con, tables, permits="customer_id purpose allowed", **texts) -> pd.DataFrame:
    seen = profiles.view(tables(**texts), as_of=AS_OF)
    return engine.frame(con, profiles.permitted(seen, literal(con, "features/permits", permits)))


def test_a_source_of_orders_alone_has_a_page(con, tables):
    permits = "customer_id purpose allowed\na analysis true"
    everyone = known(con, tables, permits, customers="customer_id\na\nb",
                     orders=ORDERS + "1 a 2023-10-01 5 -\n2 b 2023-10-01 5 -")  # fmt: skip
    some = profiles.analysed(everyone)
    assert some["customer_id"].tolist() == ["a"]
    facts = profiles.facts(everyone, some, least=1) | profiles.departments(some, least=1)
    assert (facts["dimensions_fed"], facts["known"], facts["not_analysed"]) == (1, 1, 1)
    assert "The data know {dimensions_fed}" in profiles.answer(facts)
    assert profiles.structure(some).empty
    assert profiles.regions(some).empty
    assert "nobody waits" in profiles.service_note(facts)
    for note in (profiles.product_note, profiles.marketing_note, profiles.sales_note):
        assert note(facts).startswith("**")


def test_a_source_without_customers_has_a_page_too(con, tables):
    everyone = known(con, tables)
    some = profiles.analysed(everyone)
    facts = profiles.facts(everyone, some) | profiles.departments(some)
    assert (facts["known"], facts["whole_share"], facts["both_share"]) == (0, 0.0, 0.0)
    assert profiles.people_facts(some, least=5)["median_age"] is None
    assert profiles.stages(some, everyone)["customers"].sum() == 0
    assert profiles.key_facts(everyone).empty


def test_ages_and_genders_are_counted_in_the_order_of_the_bands(con, tables):
    customers = "customer_id gender birth_date\na male 2000-01-01\nb female 2008-01-01\nc - -"
    permits = "customer_id purpose allowed\n" + "\n".join(f"{c} analysis true" for c in "abc")
    some = known(con, tables, permits, customers=customers)
    cells = profiles.structure(some, ages=[18, 26], least=1)
    assert cells.values.tolist() == [
        ["under 18", "female", 1], ["18–25", "male", 1], ["unknown", "unknown", 1]
    ]  # fmt: skip


def test_the_example_has_most_kinds_of_contact_and_may_be_profiled(con, tables):
    t = tables(customers="customer_id registered_on\na 2023-01-01\nb 2023-01-01\nc 2023-01-01",
               orders=ORDERS + "1 a 2023-10-01 5 web\n2 b 2023-10-01 5 web")  # fmt: skip
    said = "customer_id purpose allowed\n"
    said += "\n".join(f"{c} {purpose} true" for c in "bc" for purpose in ("analysis", "profiling"))
    view = profiles.permitted(
        profiles.view(t, as_of=AS_OF), literal(con, "features/permits", said)
    )
    line = profiles.timeline(t, as_of=AS_OF)
    one = profiles.example(line, view)
    assert found(con, one) == [("b", 2, 2)]
    assert found(con, profiles.moments(line, one, latest=1), "kind") == [("order",)]
    facts = profiles.key_facts(engine.frame(con, view.semi_join(one, "customer_id")))
    assert dict(facts.values)["Orders"] == "1"
    assert dict(facts.values)["First purchase"] == "1 Oct 2023"
    assert {"Age", "Province", "City"}.isdisjoint(facts["feature"])


def test_stages_of_life_are_counted_at_both_days(con, tables):
    t = tables(**FACTS)
    permits = literal(con, "features/permits", "customer_id purpose allowed\na analysis true")
    now, then = (
        engine.frame(con, profiles.permitted(profiles.view(t, as_of=day), permits))
        for day in (date(2023, 12, 1), date(2023, 6, 30))
    )
    counted = profiles.stages(profiles.analysed(now), then, least=1)
    assert counted.values.tolist() == [
        ["prospect", 0, 0], ["new", 0, 0], ["mature", 1, 0], ["churned", 0, 1]
    ]  # fmt: skip


def test_a_number_of_few_customers_is_not_told(con, tables):
    permits = "customer_id purpose allowed\na analysis true\nb analysis true"
    tickets = TICKETS + "1 T a 2023-10-01 - - complaint x"
    everyone = known(con, tables, permits, customers="customer_id gender\na male\nb female",
                     tickets=tickets, orders=ORDERS + "1 a 2023-10-01 900 web")  # fmt: skip
    some = everyone.assign(is_known=True)
    acts, found = profiles.departments(some), profiles.facts(some, some)
    assert (acts["waiting"], acts["waiting_spend"], found["whole"]) == (None, None, 0)
    assert "a few customers wait" in profiles.service_note(acts)
    assert profiles.coverage(some).set_index("record")["customers"].isna()["cases"]
    assert profiles.structure(some)["customers"].isna().all()
    many = pd.concat([some, *[some[some["tickets"] == 0]] * 8])
    listed = profiles.catalogue(many).set_index("feature")["known_share"]
    assert (listed["is_known"], listed["views"]) == (1.0, 0.0)
    assert pd.isna(listed["tickets"])
    used = pd.DataFrame({"customer_id": ["a"], "road": ["purchase"], "channel": ["web"],
                         "times": [1], "spend": [900.0]})  # fmt: skip
    assert profiles.roads(used, some)[["customers", "kept_sales"]].isna().all(axis=None)


def people(**columns) -> pd.DataFrame:
    """Customers of the page: nothing known of them but what is given."""
    size = len(next(iter(columns.values())))
    plain = {c.name: [None] * size for c in TABLES["features/profiles"].columns}
    zero = {name: [0] * size for name in ("open_tickets", "carts_left", "orders", "visit_days")}
    no = {name: [False] * size for name in ("is_omo", "may_market")}
    money = {"spend": [10.0] * size, "channels": [1] * size}
    return pd.DataFrame(plain | zero | no | money | columns)


@pytest.mark.parametrize(("both", "told"), [(1, False), (29, False), (10, True), (0, True)])
def test_several_channels_of_few_customers_are_not_told(both, told):
    acts = profiles.departments(people(channels=[2] * both + [1] * (30 - both)))
    assert (acts["both_share"] is not None) == told
    assert (acts["both_spend_share"] is not None) == told
    for omo in (None, 0, 12):
        text = profiles.channel_note(acts | {"omo": omo})
        assert told or "both_" not in text


@pytest.mark.parametrize(("ages", "median"), [([], None), ([30], None), ([30] * 5, 30.0)])
def test_a_median_of_few_ages_is_not_told(ages, median):
    some = people(age=ages + [None] * (30 - len(ages)), gender=["male"] * 30)
    some = some.astype({"age": "float64"})
    assert profiles.people_facts(some, least=5)["median_age"] == median
    assert ("{median_age" in profiles.people_note(some, least=5)) == (median is not None)
    assert "{least}" in profiles.people_note(some, least=5)
    nothing = some.assign(gender=None, age=float("nan"))
    assert profiles.people_note(nothing, least=5).startswith("No file")
