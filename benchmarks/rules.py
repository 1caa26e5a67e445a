"""Ingest and clean many raw order lines with all rules: ours beside pandas and pandera.

    python benchmarks/rules.py 1000000          # a quick try
    python benchmarks/rules.py --check          # ten million; exit code 1 if a target is missed

The input is one CSV file as a web shop exports it, with dirt of most kinds that a rule knows, and
its mapping. Ours is the code of the notebooks `ingest` and `clean`, each in a process of its own;
times are added, of memory the greater counts. pandera makes the same checks and writes the kept
lines, orders, quarantine, issues and ledger. It writes no staged copy, matches no returns with
sales and lists no products or customers, as ours does. The run fails unless both keep the same
lines, and quarantine and remove the same for the same reasons.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import duckdb
import generate
import rules_peer
from lines import measured

N, RUNS = 10_000_000, 3
GIB = 1024**3 / 1e9  # in GB
MOST_MEMORY = 2  # GiB, of ours
TARGETS = {"wall": ("wall time", 1.2), "memory": ("peak memory", 3)}  # least ratio to pandera
TITLES = {
    "ingest": "ours: `ingest`, raw CSV to staged tables",
    "clean": "ours: `clean`, staged to clean tables",
    "ours": "ours: both",
    "pandera": "pandas with pandera, the same checks",
}
MAPPING = """
title: Web shop
about: Generated order lines with dirt of every kind.
origin: benchmarks/rules.py
licence: same as the project
public: true
register:
  kind: internal
  relevance: Every line that the shop sold, which is what cleaning is measured on.
  reliability: Generated; the share of each fault is known.
  timeliness: Made when it is needed.
period: {{from: {first}, to: {last}}}
files:
  - table: order_lines
    path: {file}
    duplicates: drop
    columns:
      order_id: order_no
      kind: {{column: order_no, starts_with: {kinds}, default: sale}}
{columns}
test_accounts: [{account}]
"""
# Of a line, by a number drawn for it: up to which share, the column, and what stands there.
DIRT = (
    (0.0005, "quantity", "'two'"), (0.0010, "unit_price", "'ask'"),
    (0.0015, "ordered_at", "'2022-13-45 00:00:00'"), (0.0025, "unit_price", "'-' || price"),
    (0.0035, "product_id", "NULL"), (0.0045, "quantity", "'0'"),
    (0.0050, "order_id", "'A' || order_id"), (0.0055, "order_id", "'T' || order_id"),
    (0.0060, "ordered_at", "'1970-01-01 00:00:00'"), (0.0065, "product_id", "'  ' || product_id"),
    (0.0075, "customer_key", "'D' || line"),
)  # fmt: skip
PENNIES = 0.0005  # share of the orders that are a test: a cent on the first line, then nothing
SALT = 12  # of the draws; generate.py uses those below
SAME = {  # what is compared of each table
    "order_items": "line::BIGINT, order_id, customer_key, product_id, ordered_at::TIMESTAMP, "
                   "quantity::DECIMAL(18, 4), round(amount, 4)::DECIMAL(18, 4)",
    "returns": "line::BIGINT, customer_key, product_id, round(amount, 4)::DECIMAL(18, 4)",
    "orders": "order_id, customer_key, ordered_at::TIMESTAMP, lines::BIGINT, "
              "round(amount, 4)::DECIMAL(18, 4)",
    "quarantine": "line::BIGINT, reason::VARCHAR",
    "issues": "line::BIGINT, rule::VARCHAR",
    "unread": "line::BIGINT, field::VARCHAR, value::VARCHAR",
    "ledger": 'fate, reason, "rows"::BIGINT, round(amount, 4)::DECIMAL(18, 4)',
}  # fmt: skip


def raw(n: int, folder: Path) -> None:
    """The shop's file and its mapping."""
    for name in ("raw", rules_peer.SOURCE):
        (folder / name).mkdir()
    columns = "\n".join(
        f"      {field}: {column}"
        for column, field in rules_peer.FIELDS.items() if field != "order_id"
    )  # fmt: skip
    kinds = ", ".join(f"{letter}: {kind}" for letter, kind in rules_peer.KINDS.items())
    first, last = rules_peer.PERIOD
    text = MAPPING.format(
        first=first, last=last, file=rules_peer.FILE, kinds=f"{{{kinds}}}", columns=columns,
        account=rules_peer.TEST_ACCOUNT,
    )  # fmt: skip
    (folder / rules_peer.SOURCE / "mapping.yaml").write_text(text)
    with duckdb.connect(config={"threads": 2, "memory_limit": "1GB"}) as db:
        db.execute("SET enable_progress_bar = false")
        parts = [f"({dirty(query)})" for _, query in generate.months(db, n)]
        target = folder / "raw" / rules_peer.FILE
        db.execute(f"COPY ({' UNION ALL '.join(parts)}) TO '{target}' (HEADER)")


def dirty(query: str) -> str:
    """The query of clean lines as that of the file's columns, a few of them spoilt."""
    clean = {
        "quantity": "units", "unit_price": "price",
        "ordered_at": "strftime(ordered_at, '%Y-%m-%d %H:%M:%S')",
    }  # fmt: skip
    cases, least = dict.fromkeys(rules_peer.FIELDS.values(), ""), 0.0
    for most, field, value in DIRT:
        cases[field] += f"WHEN drawn >= {least} AND drawn < {most} THEN {value} "
        least = most
    shown = (
        f"CASE {cases[field]} WHEN true THEN {clean.get(field, field)} END AS {column}"
        for column, field in rules_peer.FIELDS.items()
    )
    return f"""
        SELECT {", ".join(shown)} FROM (
            SELECT *, u(line, {SALT}) AS drawn, kind = 'sale' AND
                u(number(line), {SALT + 1}) < {PENNIES} AS is_test,
                if(is_test, 1, quantity::INT)::VARCHAR AS units,
                if(is_test, if(number(line) <> number(line - 1), 0.01, 0),
                   unit_price)::DECIMAL(18, 2)::VARCHAR AS price
            FROM ({query}))"""


def best(folder: Path, runs: int) -> dict[str, dict]:
    """The least of each measure over the runs, by contender; `ours` is ingest, then clean."""
    found = {name: [] for name in ("ingest", "clean", "pandera")}
    for _ in range(runs):
        for name, rows in found.items():
            rows.append(measured(name, folder, rules_peer.__file__))
    least = {n: {k: min(r[k] for r in rows) for k in rows[0]} for n, rows in found.items()}
    one, two = least["ingest"], least["clean"]
    ours = {k: one[k] + two[k] for k in ("wall", "cpu")}
    ours["memory"] = max(one["memory"], two["memory"])
    return {"ingest": one, "clean": two, "ours": ours, "pandera": least["pandera"]}


def files(folder: Path, who: str, name: str) -> str:
    """The rows of a written table, to be read by DuckDB."""
    if who == "ours":
        layer = "ingest/staged" if name == "unread" else "clean/clean"
        folder = folder / layer
    else:
        folder = folder / "pandera"
    where = f"{folder}/{name}/*/*" if name in rules_peer.FACTS else f"{folder}/{name}"
    rows = f"read_parquet('{where}.parquet', hive_partitioning = false)"
    dropped = ", ".join(f"'{reason}'" for reason in rules_peer.REMOVED)
    wanted = {"issues": f"rule NOT IN ('unreadable', {dropped})"}  # what is dropped is no fault
    if who == "ours":
        wanted["ledger"] = "\"table\" = 'order_lines'"
    return f"(FROM {rows} WHERE {wanted.get(name, 'true')})"


def differences(folder: Path) -> list[str]:
    """Tables in which ours and pandera differ in any row; money is compared to 4 decimals."""
    wrong = []
    with duckdb.connect() as db:
        for name, columns in SAME.items():
            sums = f"count(*), bit_xor(hash({columns})), sum(hash({columns}))"
            rows = [
                db.sql(f"SELECT {sums} FROM {files(folder, who, name)}").fetchall()
                for who in ("ours", "pandera")
            ]
            if rows[0] != rows[1] or not rows[0][0][0]:
                wrong.append(f"{name} ({rows[0][0][0]:,} and {rows[1][0][0]:,} rows)")
    return wrong


def report(n: int, found: dict[str, dict], folder: Path) -> list[str]:
    """Print the tables; returns the targets that were missed."""
    print(f"| {n:,} lines, best of the runs | wall s | CPU s | peak memory GB |")
    print("| :-- | --: | --: | --: |")
    for name, row in found.items():
        print(f"| {TITLES[name]} | {row['wall']:.1f} | {row['cpu']:.1f} "
              f"| {row['memory']:.2f} |")  # fmt: skip
    ours, peer = found["ours"], found["pandera"]
    ratios = {m: peer[m] / ours[m] for m in TARGETS}
    lines = [
        (f"pandera ÷ ours, {what}", ratios[m], f"≥ {least:g}", ratios[m] >= least)
        for m, (what, least) in TARGETS.items()
    ]
    memory = ours["memory"] / GIB
    target = f"< {MOST_MEMORY}"
    lines.append(("ours, peak memory GiB", memory, target, memory < MOST_MEMORY))
    lines.append(("pandera ÷ ours, CPU time", peer["cpu"] / ours["cpu"], "none", True))
    print("\n| | measured | target | |\n| :-- | --: | --: | :-- |")
    for what, value, target, met in lines:
        told = "" if target == "none" else "met" if met else "**missed**"
        print(f"| {what} | {value:.2f} | {target} | {told} |")
    print("\n| fate | reason | lines |\n| :-- | :-- | --: |")
    rows = duckdb.sql(f'SELECT fate, reason, "rows" FROM {files(folder, "ours", "ledger")} '
                      "ORDER BY fate, 3 DESC").fetchall()  # fmt: skip
    for fate, reason, count in rows:
        print(f"| {fate} | {reason} | {count:,} |")
    print("\nBoth wrote the same " + ", ".join(SAME) + ".")
    return [what for what, _, _, met in lines if not met]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("n", type=int, nargs="?", default=N, help="number of lines")
    parser.add_argument("--runs", type=int, default=RUNS, help="runs of each contender")
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--keep", action="store_true", help="leave the files, and say where")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="crm-rules-"))
    try:
        raw(options.n, folder)
        found = best(folder, options.runs)
        wrong = differences(folder)
        if wrong:
            print(f"ours and pandera differ in {', '.join(wrong)}", file=sys.stderr)
            return 1
        missed = report(options.n, found, folder)
    finally:
        if options.keep:
            print(folder, file=sys.stderr)
        else:
            shutil.rmtree(folder)
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
