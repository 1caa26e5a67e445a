"""Clean and RFM on many generated order lines: ours, a plain pandas notebook, a bare scan.

    python benchmarks/lines.py 1000000          # a quick try
    python benchmarks/lines.py --check          # ten million; exit code 1 if a target is missed

Each contender runs in a process of its own, several times in turn; the best run of each counts.
Ours and pandas write the same tables, and the run fails unless they hold the same rows.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import contenders
import duckdb
import generate

N, RUNS = 10_000_000, 3
TARGETS = [  # (what, measure, better, worse, limit); ratio = worse ÷ better, at least the limit
    ("pandas ÷ ours, wall time", "wall", "pandas", "ours", 4.0),
    ("pandas ÷ ours, CPU time", "cpu", "pandas", "ours", 2.0),
    ("pandas ÷ ours, peak memory", "memory", "pandas", "ours", 2.0),
]
MOST_SCANS = 9.0  # ours ÷ scan, wall time, at most


def measured(name: str, folder: Path, script: str = contenders.__file__) -> dict:
    """Wall and CPU seconds and peak memory in GB of one contender in its own process."""
    command = [sys.executable, script, name, str(folder)]
    started = time.perf_counter()
    child = subprocess.Popen(command)
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - started
    if status:
        sys.exit(f"contender {name} failed")
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)  # bytes; Linux says KiB
    return {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "memory": peak / 1e9}


def best(folder: Path, runs: int) -> dict[str, dict]:
    """The least of each measure over the runs, by contender."""
    found = {name: [] for name in contenders.ALL}
    for _ in range(runs):
        for name, rows in found.items():
            rows.append(measured(name, folder))
    return {n: {k: min(r[k] for r in rows) for k in rows[0]} for n, rows in found.items()}


def differences(folder: Path) -> list[str]:
    """Tables in which ours and pandas differ in any row; money is compared to 4 decimals."""
    wrong = []
    with duckdb.connect() as db:
        for name, columns in contenders.WRITTEN.items():
            row = ", ".join(columns)
            sums = f"count(*), bit_xor(hash({row})), sum(hash({row}))"
            rows = {
                who: db.sql(
                    f"SELECT {sums} FROM {contenders.files(folder / who, name)}"
                ).fetchall()
                for who in ("ours", "pandas")
            }
            if rows["ours"] != rows["pandas"]:
                wrong.append(name)
    return wrong


def facts(folder: Path) -> str:
    """The figures that both contenders agree on, in one sentence."""
    one = duckdb.sql(
        f"SELECT (SELECT count(*) FROM {contenders.files(folder / 'ours', 'order_items')}), "
        f"(SELECT count(reverses_line) FROM {contenders.files(folder / 'ours', 'returns')}), "
        f"count(*), sum(amount) FROM {contenders.files(folder / 'ours', 'orders')}"
    ).fetchall()[0]
    return "{:,} lines sold, {:,} of them reversed; {:,} orders worth {:,.2f}".format(*one)


def report(n: int, found: dict[str, dict], folder: Path) -> list[str]:
    """Print the tables; returns the targets that were missed."""
    print(f"| {n:,} lines, best of the runs | wall s | CPU s | peak memory GB |")
    print("| :-- | --: | --: | --: |")
    for name, row in found.items():
        print(f"| {contenders.TITLES[name]} | {row['wall']:.1f} | {row['cpu']:.1f} "
              f"| {row['memory']:.2f} |")  # fmt: skip
    print("\n| ratio | measured | target | |\n| :-- | --: | --: | :-- |")
    ratios = [(what, found[a][m] / found[b][m], limit) for what, m, a, b, limit in TARGETS]
    lines = [(what, ratio, f"≥ {limit:g}", ratio >= limit) for what, ratio, limit in ratios]
    scans = found["ours"]["wall"] / found["scan"]["wall"]
    lines.append(("ours ÷ bare scan, wall time", scans, f"≤ {MOST_SCANS:g}", scans <= MOST_SCANS))
    for what, ratio, target, met in lines:
        print(f"| {what} | {ratio:.1f} | {target} | {'met' if met else '**missed**'} |")
    print(f"\nOurs and pandas wrote the same rows: {facts(folder)}.")
    return [what for what, _, _, met in lines if not met]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("n", type=int, nargs="?", default=N, help="number of lines")
    parser.add_argument("--runs", type=int, default=RUNS, help="runs of each contender")
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="crm-lines-"))
    try:
        generate.lines(options.n, folder / contenders.LINES)
        found = best(folder, options.runs)
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
