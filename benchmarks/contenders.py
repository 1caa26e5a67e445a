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
    "quarantine": ["line", "reason::VARCHAR"],
    "customers": ["customer_key"],
    "products": ["product_id", "product_name", "category", "is_product"],
    "ledger": ["fate", "reason", '"rows"::BIGINT', MONEY.format("amount")],
    "rfm": ["customer_id", "last_order_on::DATE", "recency_days::BIGINT", "frequency::BIGINT",
            MONEY.format("monetary"), "orders::BIGINT", MONEY.format("spend"),
            MONEY.format("sales"), "round(r_score, 4)", "round(f_score, 4)", "round(m_score, 4)",
            "rfm", "tier", "is_high_rfm_raw", "is_dormant", "is_lapsing_valuable"],
}  # fmt: skip
FACTS = ("order_items", "returns", "orders")  # in month folders, both write them so
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
    source, nothing = clean.Source(), dict.fromkeys(("customers", "products"), 0)
    staged = {n: engine.lift(con, empty(f"staged/{n}"), f"no_{n}") for n in nothing}
    unread = engine.lift(con, empty("staged/unread"), "unread")
    repeats = engine.hold(con, clean.duplicates(lines), "repeats")
    dropped = engine.hold(con, clean.dropped(repeats, ["keep"]), "dropped")
    drafts = engine.hold(con, clean.drafts(clean.judge(lines, dropped, source=source)), "drafts")
    odd = engine.hold(con, clean.odd_orders(drafts), "odd")
    judged = clean.judge(lines, dropped, odd, source=source)
    orders, rest = clean.orders(drafts, odd), engine.hold(con, clean.rest(judged), "rest")
    arrived = {"order_lines": lines.count().execute(), **nothing}
    marked = {name: clean.marks(name, rows, source) for name, rows in staged.items()}
    strangers = clean.judge(clean.strangers(lines, orders, source), dropped, odd, source=source)
    looked_at = clean.beside(rest, strangers)
    suspects = clean.all_suspects(judged, looked_at, marked, orders, source)
    suspects = engine.hold(con, suspects, "suspects")
    ledger = engine.frame(con, clean.ledger(orders, rest, suspects, arrived))
    equals = clean.judge(clean.equals(lines, rest), dropped, odd, source=source)
    reversed = engine.hold(con, clean.reversals(equals, rest), "reversed")
    made = {
        "order_items": clean.items(lines, rest, repeats),
        "orders": orders,
        "returns": clean.returns(rest, reversed),
        "quarantine": clean.quarantine(suspects),
        "issues": clean.issues(suspects, unread, source),
        "customers": clean.customers(
            clean.kept(staged["customers"], suspects, "customers"), [orders, rest], source
        ),
        "products": clean.products(
            lines, clean.kept(staged["products"], suspects, "products"), non_products=[]
        ),
        "ledger": ledger,
    }
    written = {name: write(name, rows) for name, rows in made.items()}
    clean.balance(ledger, arrived=arrived, written=written)

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
