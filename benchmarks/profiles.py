"""The customer view of many order lines: ours beside the same features in plain pandas.

    python benchmarks/profiles.py 1000000          # a quick try
    python benchmarks/profiles.py --check          # ten million; exit code 1 if a target is missed

Both read the same tables of orders, lines, returns, products, costs and customers and write the
features below, one row a customer. Each runs in a process of its own, several times in turn; the
best run of each counts. The run fails unless both wrote the same values. Ours writes all features
of the view, those without facts here included.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import duckdb
import generate
import profiles_peer
from lines import measured

N, RUNS = 10_000_000, 3
TARGETS = {"wall": ("wall time", 1.5), "cpu": ("CPU time", 1.5), "memory": ("peak memory", 1.5)}
TITLES = {"ours": "ours: `profiles.view`, written", "pandas": "the same features in plain pandas"}
MONEY = ("sales", "returned", "spend", "recent_spend", "window_spend", "store_sales",
         "online_sales", "margin", "order_value", "window_order_value")  # fmt: skip
SHARES = ("returned_share", "top_category_share", "preferred_channel_share", "margin_share")
PLAIN = ("orders", "recent_orders", "window_orders", "products", "channels", "recency_days",
         "inactive_months", "top_category", "preferred_channel", "first_order_on",
         "last_order_on", "is_recent", "is_dormant", "customer_type", "lifecycle")  # fmt: skip

# Every return of a whole line is matched with it, as the stage `clean` would.
TABLES = {
    "order_items": """
        SELECT order_id, line, customer_key AS customer_id, product_id, ordered_at, quantity,
               unit_price, amount, false AS is_duplicate
        FROM lines WHERE kind = 'sale' ORDER BY line""",
    "orders": """
        SELECT order_id, any_value(customer_key) AS customer_id, min(ordered_at) AS ordered_at,
               any_value(channel) AS channel, NULL::VARCHAR AS country, count(*) AS lines,
               sum(amount)::DECIMAL(18, 4) AS amount
        FROM lines WHERE kind = 'sale' GROUP BY order_id ORDER BY order_id""",
    "returns": """
        SELECT r.order_id AS return_id, r.line, r.customer_key AS customer_id, r.product_id,
               r.ordered_at AS returned_at, NULL::VARCHAR AS country, r.quantity, r.unit_price,
               r.amount, s.order_id AS reverses, s.line AS reverses_line
        FROM lines r LEFT JOIN lines s ON s.line = r.line - {back} AND s.quantity = r.quantity
        WHERE r.kind = 'return' ORDER BY r.line""",
    "products": """
        SELECT product_id, any_value(product_name) AS product_name,
               any_value(category) AS category, NULL::DECIMAL(18, 4) AS list_price,
               true AS is_product
        FROM lines GROUP BY product_id ORDER BY product_id""",
    "finance": """
        SELECT row_number() OVER (ORDER BY product_id) AS line, DATE '2022-01-01' AS day,
               'goods' AS kind, product_id, NULL::VARCHAR AS order_id,
               NULL::VARCHAR AS customer_id,
               (any_value(unit_price) * 0.6)::DECIMAL(18, 4) AS cost
        FROM lines GROUP BY product_id ORDER BY product_id""",
    "customers": """
        SELECT customer_key AS customer_id, min(ordered_at)::DATE AS registered_on
        FROM lines WHERE customer_key IS NOT NULL GROUP BY customer_key ORDER BY customer_key""",
}


def tables(n: int, folder: Path) -> None:
    """The tables that both contenders read, one Parquet file each."""
    generate.lines(n, folder / "lines")
    with duckdb.connect(config={"threads": 2, "memory_limit": "3GB"}) as db:
        db.execute("SET enable_progress_bar = false")
        db.execute(f"SET temp_directory = '{folder / 'spill'}'")
        db.execute(f"CREATE VIEW lines AS FROM read_parquet('{folder / 'lines'}/*/*.parquet', "
                   "hive_partitioning = false)")  # fmt: skip
        for name, query in TABLES.items():
            target = folder / f"{name}.parquet"
            query = query.format(back=generate.back(n))
            db.execute(f"COPY ({query}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
    shutil.rmtree(folder / "lines")


def differences(folder: Path) -> list[str]:
    """Features in which the two differ for any customer; money to 2 decimals, shares to 6."""
    casts = {n: f"round({n}::DOUBLE, 2)" for n in MONEY}
    casts |= {n: f"round({n}::DOUBLE, 6)" for n in SHARES}
    casts |= {n: f"{n}::VARCHAR" for n in PLAIN if n.startswith(("top", "pref", "cust", "life"))}
    casts |= {n: f"{n}::DATE" for n in PLAIN if n.endswith("_on")}
    wrong = []
    with duckdb.connect() as db:
        rows = {w: f"read_parquet('{folder / w}.parquet')" for w in TITLES}
        for name in (*PLAIN, *MONEY, *SHARES):
            cast = casts.get(name, f"{name}::DOUBLE")
            one = [f"(SELECT customer_id, {cast} AS v FROM {rows[w]})" for w in TITLES]
            odd = db.sql(
                f"SELECT count(*) FROM {one[0]} a FULL JOIN {one[1]} b USING (customer_id) "
                "WHERE a.v IS DISTINCT FROM b.v" + _near(name)
            ).fetchall()[0][0]
            wrong += [f"{name} ({odd:,} customers)"] if odd else []
    return wrong


def _near(name: str) -> str:
    """Rounding may fall to either side of a half: one in the last place is no difference."""
    last = {**dict.fromkeys(MONEY, 0.011), **dict.fromkeys(SHARES, 0.0000011)}.get(name)
    return f" AND NOT coalesce(abs(a.v - b.v) < {last}, false)" if last else ""


def report(n: int, found: dict[str, dict], folder: Path) -> list[str]:
    """Print the tables; returns the targets that were missed."""
    print(f"| {n:,} lines, best of the runs | wall s | CPU s | peak memory GB |")
    print("| :-- | --: | --: | --: |")
    for name, row in found.items():
        print(f"| {TITLES[name]} | {row['wall']:.1f} | {row['cpu']:.1f} "
              f"| {row['memory']:.2f} |")  # fmt: skip
    print("\n| ratio | measured | target | |\n| :-- | --: | --: | :-- |")
    missed = []
    for measure, (what, limit) in TARGETS.items():
        ratio = found["pandas"][measure] / found["ours"][measure]
        met = ratio >= limit
        missed += [] if met else [what]
        told = "met" if met else "**missed**"
        print(f"| pandas ÷ ours, {what} | {ratio:.1f} | ≥ {limit:g} | {told} |")
    one = duckdb.sql(
        f"SELECT count(*), sum(orders), sum(spend) FROM read_parquet('{folder / 'ours'}.parquet')"
    ).fetchall()[0]
    number = len((*PLAIN, *MONEY, *SHARES))
    print("\nBoth wrote the same {} features of {:,} customers with {:,} purchases that stand, "
          "worth {:,.2f} net.".format(number, *one))  # fmt: skip
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("n", type=int, nargs="?", default=N, help="number of lines")
    parser.add_argument("--runs", type=int, default=RUNS, help="runs of each contender")
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="crm-profiles-"))
    try:
        tables(options.n, folder)
        rows = {name: [] for name in TITLES}
        for _ in range(options.runs):
            for name, runs in rows.items():
                runs.append(measured(name, folder, profiles_peer.__file__))
        found = {
            name: {k: min(r[k] for r in runs) for k in runs[0]} for name, runs in rows.items()
        }
        wrong = differences(folder)
        if wrong:
            print(f"ours and pandas differ in {', '.join(wrong)}", file=sys.stderr)
            return 1
        missed = report(options.n, found, folder)
    finally:
        shutil.rmtree(folder)
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
