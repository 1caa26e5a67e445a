"""The contenders of lines.py; each reads `order_lines` of a folder and writes to a folder beside.

python benchmarks/contenders.py ours|pandas|scan FOLDER
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

LINES = "order_lines"
TITLES = {
    "ours": "ours: `clean` and `rfm` as their notebooks call them",
    "pandas": "the same in plain pandas",
    "scan": "bare scan: DuckDB reads every column once",
}
MONEY = "round({0}, 4)::DECIMAL(18, 4)"
ITEM = ["customer_key", "product_id", "quantity::DECIMAL(18, 4)",
        "unit_price::DECIMAL(18, 4)", MONEY.format("amount")]  # fmt: skip
WRITTEN = {  # what lines.py compares
    "order_items": [*ITEM, "order_id", "line", "ordered_at::TIMESTAMP", "is_duplicate"],
    "returns": [*ITEM, "return_id", "line", "country::VARCHAR", "returned_at::TIMESTAMP",
                "reverses", "reverses_line::BIGINT"],
    "orders": ["order_id", "customer_key", "ordered_at::TIMESTAMP", "channel",
               "country::VARCHAR", "lines::BIGINT", MONEY.format("amount")],
    "quarantine": ["source", "line", "reason::VARCHAR"],
    "customers": ["customer_key"],
    "products": ["product_id", "product_name", "category", "is_product"],
    "ledger": ["fate", "reason", '"rows"::BIGINT', MONEY.format("amount")],
    "rfm": ["customer_id", "last_order_on::DATE", "recency_days::BIGINT", "frequency::BIGINT",
            MONEY.format("monetary"), "orders::BIGINT", MONEY.format("spend"),
            MONEY.format("sales"), "round(r_score, 4)", "round(f_score, 4)", "round(m_score, 4)",
            "rfm", "tier", "is_high_rfm_raw", "is_dormant", "is_lapsing_valuable"],
}  # fmt: skip
FACTS = ("order_items", "returns", "orders", "quarantine")  # in month folders, both write them so
SETTINGS = {"threads": 2, "memory": "4GB"}  # memory: as in params.yaml


def files(folder: Path, name: str) -> str:
    """The files of a written table, to be read by DuckDB."""
    where = f"{folder}/{name}/*/*.parquet" if name in FACTS else f"{folder}/{name}.parquet"
    return f"read_parquet('{where}', hive_partitioning = false)"


def ours(folder: Path, out: Path) -> None:
    """What the notebooks of the stages clean and rfm do, without their charts and sentences."""
    from crm import clean, engine, rfm
    from crm.tables import empty, lookup

    con = engine.connect(**SETTINGS, spill=out / "spill")

    def write(name, rows, layer="clean"):
        path = out / (name if name in FACTS else f"{name}.parquet")
        return engine.write(con, rows, path, lookup(f"{layer}/{name}"))

    lines = engine.scan(con, folder / LINES)
    records = engine.lift(con, empty("staged/customers"), "records")
    catalogue = engine.lift(con, empty("staged/products"), "catalogue")
    repeats = engine.hold(con, clean.duplicates(lines), "repeats")
    dropped = engine.hold(con, clean.dropped(repeats, ["keep"]), "dropped")
    drafts = engine.hold(con, clean.drafts(clean.judge(lines, dropped)), "drafts")
    mixed = engine.hold(con, clean.mixed_orders(drafts), "mixed")
    judged = clean.judge(lines, dropped, mixed)
    orders, rest = clean.orders(drafts), engine.hold(con, clean.rest(judged), "rest")
    ledger = engine.frame(con, clean.ledger(orders, rest))
    equals = clean.judge(clean.equals(lines, rest), dropped, mixed)
    reversed = engine.hold(con, clean.reversals(equals, rest), "reversed")
    sold = write("order_items", clean.items(judged, repeats))
    write("orders", orders)
    back = write("returns", clean.returns(rest, reversed))
    waiting = write("quarantine", clean.quarantine(rest))
    write("customers", clean.customers(records, orders, rest))
    write("products", clean.products(lines, catalogue, non_products=[]))
    write("ledger", ledger)
    arrived = con.con.execute(f"SELECT count(*) FROM ({con.compile(lines)})").fetchall()[0][0]
    clean.balance(ledger, rows_in=arrived, sale=sold, returned=back, quarantined=waiting)

    def named(name):
        return engine.scan(con, out / name).rename(customer_id="customer_key")

    orders = named("orders")
    as_of = con.execute(orders.ordered_at.max()).date()
    raw = rfm.measure(named("customers.parquet"), orders, named("returns"), as_of=as_of)
    tiers = rfm.flag(rfm.tier(rfm.score(engine.frame(con, raw))))
    write("rfm", rfm.settled(tiers), "features")


def pandas(folder: Path, out: Path) -> None:
    """The same in the pandas that an experienced analyst would write."""
    from peer import run

    run(folder / LINES, out)


def scan(folder: Path, out: Path) -> None:
    """Every column decoded once: the least that any reader of these files must do."""
    import duckdb

    source = f"read_parquet('{folder / LINES}/*/*.parquet', hive_partitioning = false)"
    with duckdb.connect(config={"threads": 2}) as db:
        names = db.sql(f"FROM {source} LIMIT 0").columns
        every = ", ".join(f"count({n}), min({n}), max({n})" for n in names)
        db.execute(f"SELECT {every} FROM {source}").fetchall()


ALL = {"ours": ours, "pandas": pandas, "scan": scan}

if __name__ == "__main__":
    contender, where = sys.argv[1], Path(sys.argv[2])
    written = where / contender
    shutil.rmtree(written, ignore_errors=True)
    written.mkdir()
    ALL[contender](where, written)
