"""The demo retailer: the same bytes every time, and every planted fact found in its files."""

from __future__ import annotations

import hashlib
from datetime import datetime
from itertools import pairwise

import duckdb
import pytest
from python_calamine import CalamineWorkbook

from crm import simulate

CUSTOMERS, SEED = 600, 20231031
RECENCY = [(0, 100), (11, 90), (56, 70), (108, 30), (180, 0)]
FREQUENCY = [(0, 0), (1, 25), (4, 65), (9, 85), (15, 100)]
MONETARY = [(0, 0), (800, 20), (2500, 40), (15000, 88), (30000, 100)]

LINES = """
    CREATE TABLE web AS
        SELECT 订单号 AS order_id, 类型 AS kind, 客户ID AS customer, 商品编码 AS product,
               数量 AS quantity, 单价::DECIMAL(18, 4) AS price, 下单时间 AS ordered_at
        FROM read_csv('{folder}/web_orders.csv');
    CREATE TABLE store AS
        SELECT order_no AS order_id, if(order_type = 'SALE', '销售', '退货') AS kind,
               member_id AS customer, sku AS product, qty AS quantity, price, sold_at AS ordered_at
        FROM read_parquet('{folder}/store_orders.parquet');
    CREATE TABLE lines AS FROM web UNION ALL FROM store;
"""
SPEND = """
    CREATE TABLE spend AS
    WITH clean AS (
        SELECT *, quantity * price * if(kind = '销售', 1, -1) AS amount,
               date_diff('day', ordered_at::DATE, DATE '2023-10-31') AS days
        FROM (SELECT DISTINCT * FROM web UNION ALL FROM store)
        WHERE kind <> '测试' AND quantity > 0 AND product <> 'YF001'
    )
    SELECT customer, min(days) FILTER (kind = '销售') AS recency,
           count(DISTINCT order_id) FILTER (kind = '销售' AND days < 90) AS frequency,
           coalesce(sum(amount) FILTER (days < 90), 0)::DOUBLE AS monetary,
           sum(amount)::DOUBLE AS spend
    FROM clean WHERE customer IS NOT NULL GROUP BY customer
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    simulate.write(folder, customers=CUSTOMERS, seed=SEED)
    return folder


@pytest.fixture(scope="module")
def planted():
    return simulate.build(customers=CUSTOMERS, seed=SEED).planted


@pytest.fixture(scope="module")
def customers(files):
    sheet = CalamineWorkbook.from_path(files / "customers.xlsx").get_sheet_by_name("客户")
    head, *rows = sheet.to_python()
    return [dict(zip(head, row, strict=True)) for row in rows]


@pytest.fixture(scope="module")
def db(files):
    with duckdb.connect() as db:
        db.execute(LINES.format(folder=files))
        db.execute(SPEND)
        yield db


def test_the_same_seed_gives_the_same_bytes(files, tmp_path):
    simulate.write(tmp_path / "again", customers=CUSTOMERS, seed=SEED)
    assert _hashes(tmp_path / "again") == _hashes(files)


def test_another_seed_gives_other_bytes_in_every_file(tmp_path):
    simulate.write(tmp_path / "one", customers=30, seed=1)
    simulate.write(tmp_path / "two", customers=30, seed=2)
    one, two = _hashes(tmp_path / "one"), _hashes(tmp_path / "two")
    assert one.keys() == two.keys()
    assert all(one[name] != two[name] for name in one)


def test_the_workbook_is_dated_by_the_data_and_not_by_the_clock(files):
    assert b"2023-10-31T23:00:00Z" in (files / "customers.xlsx").read_bytes()


def test_mishaps_are_found_as_often_as_planted(db, planted):
    found = {
        "duplicates": _repeated("web"),
        "repeated_scans": _repeated("store"),
        "tests": "(SELECT count(*) FROM lines WHERE kind = '测试')",
        "negative_sales": "(SELECT count(*) FROM lines WHERE kind = '销售' AND quantity < 0)",
        "gifts": "(SELECT count(*) FROM lines WHERE price = 0)",
        "guest_lines": "(SELECT count(*) FROM web WHERE customer IS NULL)",
        "walk_in_lines": "(SELECT count(*) FROM store WHERE customer IS NULL)",
    }
    counted = {name: _value(db, f"SELECT {query}") for name, query in found.items()}
    assert counted == {name: planted[name] for name in found}
    assert min(planted.values()) > 0


def test_a_return_reverses_an_earlier_line_or_a_part_that_equals_none(db, planted):
    counts = db.execute("""
        SELECT count(*) FILTER (is_whole), count(*) FILTER (NOT is_whole)
        FROM (SELECT EXISTS (
                  FROM lines AS sale WHERE sale.kind = '销售' AND sale.ordered_at < back.ordered_at
                  AND (sale.customer, sale.product, sale.quantity, sale.price)
                    = (back.customer, back.product, back.quantity, back.price)) AS is_whole
              FROM lines AS back WHERE kind = '退货')
    """).fetchone()
    assert counts == (planted["reversals"], planted["partial_returns"])


def test_nothing_is_returned_more_often_than_it_was_bought(db):
    assert not _value(db, """
        SELECT count(*) FROM (
            SELECT sum(if(kind = '销售', quantity, -quantity)) AS left_over FROM lines
            WHERE kind <> '测试' AND quantity > 0 AND customer IS NOT NULL
            GROUP BY customer, product)
        WHERE left_over < 0
    """)  # fmt: skip


def test_every_customer_of_an_order_is_in_the_customer_list(db, customers):
    keys = [row["客户ID"] for row in customers]
    assert len(set(keys)) == CUSTOMERS
    ordered = db.execute("SELECT DISTINCT customer FROM lines WHERE customer IS NOT NULL")
    assert {key for (key,) in ordered.fetchall()} < set(keys)


def test_every_product_sold_is_in_the_catalogue(db, files):
    db.execute(f"CREATE TABLE products AS FROM read_csv('{files}/products.csv')")
    assert _value(db, "SELECT count(*) FROM products") == 81
    assert not _value(db, "SELECT count(*) FROM lines ANTI JOIN products ON product = 商品编码")


def test_orders_fill_the_two_years_and_nobody_orders_before_registering(db, customers):
    first, last = db.execute("SELECT min(ordered_at), max(ordered_at) FROM lines").fetchone()
    assert (str(first.date()), str(last.date())) == ("2021-11-01", "2023-10-31")
    registered = {row["客户ID"]: row["注册时间"] for row in customers}
    assert max(registered.values()) < datetime(2023, 11, 1)
    firsts = db.execute(
        "SELECT customer, min(ordered_at) FROM lines WHERE customer <> '' GROUP BY 1"
    )
    assert all(registered[customer] < at for customer, at in firsts.fetchall())


def test_november_sells_more_and_the_spring_festival_less_than_an_ordinary_week(db):
    singles, festival, ordinary = (
        _value(
            db, f"SELECT count(DISTINCT order_id) FROM lines WHERE ordered_at::DATE BETWEEN {days}"
        )
        for days in (
            "'2022-11-05' AND '2022-11-11'",
            "'2023-01-21' AND '2023-01-27'",
            "'2023-03-04' AND '2023-03-10'",
        )
    )
    assert singles > 1.5 * ordinary > 3 * festival


def test_some_contacts_and_genders_are_untidy_or_missing(customers):
    phones = [row["手机号"] for row in customers]
    assert sum(phone.isdigit() and len(phone) == 11 for phone in phones) > 0.9 * CUSTOMERS
    assert {"", "+86", "-"} <= {
        p[:3] if p[:1] == "+" else p[3:4] if "-" in p else p for p in phones
    }
    assert {row["性别"] for row in customers} == {"女", "男", ""}


def test_every_tier_has_customers(db):
    tiers = dict(db.execute(f"SELECT tier, count(*) FROM ({_scored()}) GROUP BY tier").fetchall())
    bought = sum(tiers.values())
    assert tiers.keys() == {"high value", "potential", "general", "at risk"}
    assert 0.01 * CUSTOMERS <= tiers["high value"] <= 0.08 * CUSTOMERS
    assert 0.02 * CUSTOMERS <= CUSTOMERS - bought <= 0.25 * CUSTOMERS  # no purchase


def test_some_customers_are_high_by_raw_values_dormant_or_lapsing_though_valuable(db):
    high, dormant, lapsing = db.execute(f"""
        SELECT count(*) FILTER (recency <= 30 AND frequency >= 9 AND monetary / frequency > 2000),
               count(*) FILTER (recency >= 90),
               count(*) FILTER (r < 40 AND spend >= (SELECT quantile_cont(spend, 0.8) FROM spend))
        FROM ({_scored()})
    """).fetchone()
    assert high >= 1
    assert dormant >= 50
    assert lapsing >= 5


def _scored() -> str:
    """Scores by anchor points and the tiers of RFM-03…06, written anew for this test."""
    r, f, m = (_anchor(*pair) for pair in (
        ("recency", RECENCY), ("frequency", FREQUENCY), ("monetary", MONETARY),
    ))  # fmt: skip
    return f"""
        SELECT *, CASE WHEN r >= 80 AND f >= 80 AND m >= 80 THEN 'high value'
                       WHEN r >= 60 AND f >= 60 AND m < 80 THEN 'potential'
                       WHEN r < 40 AND f < 40 AND m < 40 THEN 'at risk'
                       ELSE 'general' END AS tier
        FROM (SELECT *, {r} AS r, {f} AS f, {m} AS m FROM spend)
    """


def _anchor(value: str, points: list[tuple[int, int]]) -> str:
    pieces = "".join(
        f" WHEN {value} <= {b} THEN {y} + ({value} - {a}) * {z - y} / {b - a}"
        for (a, y), (b, z) in pairwise(points)
    )
    return f"CASE WHEN {value} <= 0 THEN {points[0][1]}{pieces} ELSE {points[-1][1]} END"


def _repeated(table: str) -> str:
    return (
        f"(SELECT count(*) FROM {table}) - (SELECT count(*) FROM (SELECT DISTINCT * FROM {table}))"
    )


def _value(db, query: str):
    return db.execute(query).fetchone()[0]


def _hashes(folder) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
