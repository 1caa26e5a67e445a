"""Order lines in any number for benchmarks: `staged/order_lines` as month folders of Parquet.

Every value is a function of the row number, so no row has to be remembered: DuckDB streams one
month after the other into its file, and memory stays small however many lines are asked for.
The hash is DuckDB's own; another version of DuckDB may give other, equally good, lines.

    python benchmarks/generate.py 10000000 data/staged/order_lines
"""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

import duckdb

FIRST_YEAR, MONTHS = 2022, 24
BLOCK = 12  # row numbers that share two orders, cut at a random place: six lines on average
PRODUCTS = 5_000  # twenty classes that take turns, so that no order holds a product twice
NOBODY = 0.01  # share of orders
RETURNS, DUPLICATES = 0.021, 0.0063  # chances; the first line of an order, say, cannot repeat one

# A line is `i`. A duplicate shows what `i - 1` shows; a return shows the goods of `i - {back}`,
# a line about a week older, unless that is itself no plain sale to a known customer. Goods are
# sold by even numbers and half of the returns are one fewer, so these reverse no whole line.
MACROS = """
CREATE MACRO u(i, salt) AS (hash(i * 16 + salt) >> 11)::DOUBLE / 9007199254740992;
CREATE MACRO second(i) AS i % {block} > u(i // {block}, 0) * ({block} - 1);
CREATE MACRO number(i) AS i // {block} * 2 + second(i)::BIGINT;
CREATE MACRO customer(i) AS CASE WHEN u(number(i), 1) >= {nobody}
    THEN floor({customers} * u(number(i), 2) * u(number(i), 3))::BIGINT END;
CREATE MACRO marked(i) AS i >= {back} AND u(i, 4) < {returns};
CREATE MACRO doubled(i) AS i > 0 AND u(i, 5) < {duplicates} AND number(i) = number(i - 1)
    AND NOT marked(i) AND NOT marked(i - 1) AND NOT coalesce(u(i - 1, 5) < {duplicates}, false);
CREATE MACRO plain(i) AS NOT marked(i) AND NOT doubled(i) AND customer(i) IS NOT NULL;
CREATE MACRO returned(i) AS marked(i) AND plain(i - {back});
CREATE MACRO product(i) AS 20 * floor({products} // 20 * u(i, 6) * u(i, 7))::BIGINT + i % 20;
CREATE MACRO units(i) AS 2 * (1 + floor(4 * u(i, 8) * u(i, 9)))::BIGINT;
"""
LINES = """
SELECT 'benchmark' AS source,
       i AS line,
       if(is_return, 'R' || i, 'O' || number(i)) AS order_id,
       if(is_return, 'return', 'sale') AS kind,
       'C' || customer(goods) AS customer_key,
       'P' || product(goods) AS product_id,
       'Product ' || product(goods) AS product_name,
       'Category ' || product(goods) // 250 AS category,
       (units(goods) - (is_return AND u(i, 10) < 0.5)::INT)::DECIMAL(18, 4) AS quantity,
       ((100 + hash(product(goods)) % 50000) / 100)::DECIMAL(18, 4) AS unit_price,
       round(quantity * unit_price, 4)::DECIMAL(18, 4) AS amount,
       date_trunc('second', TIMESTAMP '{month}' + to_microseconds(floor(
           (i // {block} * {block} - {first} + {block} / 2 * second(i)::INT)
           / ({last} - {first} + {block}) * {microseconds})::BIGINT)) AS ordered_at,
       if(u(number(goods), 11) < 0.7, 'web', 'store') AS channel,
       NULL::VARCHAR AS country
FROM (SELECT i, returned(i) AS is_return,
             CASE WHEN returned(i) THEN i - {back} WHEN doubled(i) THEN i - 1 ELSE i END AS goods
      FROM range({first}, {last}) AS rows (i))
"""


def lines(n: int, folder: Path, *, threads: int = 2, memory: str = "1GB") -> None:
    """Write `n` order lines to `folder/month=YYYY-MM/part.parquet`.

    There are about n/6 orders of n/40 customers over two years, 5,000 products, 2 % returns
    (half of them of an earlier line, exactly), 0.5 % exact duplicates and 1 % of the lines
    without a customer.
    """
    with duckdb.connect(config={"threads": threads, "memory_limit": memory}) as db:
        for start, query in months(db, n):
            part = folder / f"month={start:%Y-%m}" / "part.parquet"
            part.parent.mkdir(parents=True, exist_ok=True)
            db.execute(f"COPY ({query}) TO '{part}' (FORMAT parquet, COMPRESSION zstd)")


def back(n: int) -> int:
    """How many lines before a return that may be of it stands the line it gives back."""
    return max(n // 100, BLOCK) // 20 * 20 + BLOCK + 1


def months(db: duckdb.DuckDBPyConnection, n: int) -> list[tuple[date, str]]:
    """The first day of each month and the query of its lines; makes the macros they use."""
    facts = {"block": BLOCK, "customers": max(n // 40, 1), "products": PRODUCTS, "back": back(n),
             "returns": RETURNS, "duplicates": DUPLICATES, "nobody": NOBODY}  # fmt: skip
    db.execute(MACROS.format(**facts))
    blocks, queries = -(-n // BLOCK), []
    for month in range(MONTHS):
        first, last = (BLOCK * (blocks * m // MONTHS) for m in (month, month + 1))
        start, end = (date(FIRST_YEAR + m // 12, m % 12 + 1, 1) for m in (month, month + 1))
        span = (end - start).days * 86_400 * 10**6
        query = LINES.format(
            **facts, month=start, first=first, last=min(last, n), microseconds=span
        )
        queries.append((start, query))
    return queries


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("n", type=int, help="number of lines")
    parser.add_argument("folder", type=Path, help="folder of the month folders")
    arguments = parser.parse_args()
    lines(arguments.n, arguments.folder)
