"""Itemsets and rules of many baskets: ours beside mlxtend, PyFIM and Spark, the same demanded.

    python benchmarks/baskets.py                    # ten minutes
    python benchmarks/baskets.py --check            # exit code 1 if a target is missed
    python benchmarks/baskets.py --small --check    # the same targets on fewer cases: 3 minutes

Baskets of about 15 of 4,000 items, drawn by Zipf's law; sets of up to three items. Each contender
runs in a process of its own and measures the call alone, its input made ready before: for mlxtend
the sparse frame, the faster of its forms here, for PyFIM lists of Python numbers, for Spark a
table in its cache. PyFIM is C, and is built once into a place of its own (`.venv-peers`) from
`peers.lock`; so is Spark (`.venv-spark`, `spark.lock`), which needs Java 17. The run fails unless
all find the same number of sets with the same counts, and mlxtend the same rules.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import baskets_peer

HERE = Path(__file__).resolve().parent
SIZES, SUPPORTS, RUNS = (200_000, 1_000_000), (0.01, 0.005, 0.001), 3
SLOW = {"mlxtend": 0.005, "spark": 0.005}  # least support that they are put to, of 200,000 baskets
PLACES = {"pyfim": "peers", "spark": "spark"}  # who needs packages that are not ours
JAVA = 17
TITLES = {"ours": "ours", "one": "ours, one thread", "pyfim": "PyFIM (C)", "mlxtend": "mlxtend",
          "spark": "Spark"}  # fmt: skip


def place(name: str) -> Path:
    """The Python of a place with the packages of a lock, made on first use."""
    root, lock = HERE.parent / f".venv-{name}", HERE / f"{name}.lock"
    stamp, python = root / "lock", root / "bin/python"
    if not stamp.exists() or stamp.read_text() != lock.read_text():
        venv.create(root, with_pip=False, clear=True)
        uv = str(Path(sys.executable).parent / "uv")
        options = ["-q", "--python", str(python), "--require-hashes", str(lock)]
        subprocess.run([uv, "pip", "sync", *options], check=True)
        stamp.write_text(lock.read_text())
    return python


def java() -> int:
    """The version of Java that there is, 0 for none."""
    home = os.environ.get("JAVA_HOME")
    program = shutil.which("java", path=f"{home}/bin" if home else None)
    if not program:
        return 0
    told = subprocess.run([program, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(\d+)', told.stderr)
    return int(version[1]) if version else 0


def measured(name: str, folder: Path, support: float) -> dict:
    """What one contender found, the seconds of its call, and the peak memory of its process."""
    python = str(place(PLACES[name])) if name in PLACES else sys.executable
    command = [python, baskets_peer.__file__, name, str(folder), str(support)]
    quiet = subprocess.DEVNULL if name == "spark" else None  # it greets with warnings
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=quiet, text=True)
    told = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"contender {name} failed")
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)  # bytes; Linux says KiB
    return json.loads(told) | {"memory": peak / 2**30}


def contenders(size: int, support: float, *, has_spark: bool) -> list[str]:
    """Who is measured: the slow ones only where they end within minutes."""
    is_slow = {name for name, least in SLOW.items() if size > SIZES[0] or support < least}
    left_out = is_slow if has_spark else is_slow | {"spark"}
    return [name for name in TITLES if name not in left_out]


def sets(size: int, folder: Path, supports: tuple, runs: int, *, has_spark: bool) -> dict:
    """The best run of each contender at each support."""
    rows = {}
    for support in supports:
        for name in contenders(size, support, has_spark=has_spark):
            each = [measured(name, folder, support)
                    for _ in range(1 if name in SLOW else runs)]  # fmt: skip
            rows[size, support, name] = min(each, key=lambda row: row["seconds"])
        found = {(rows[k]["sets"], rows[k]["sum"]) for k in rows if k[:2] == (size, support)}
        if len(found) > 1:
            sys.exit(f"contenders differ at {size:,} baskets, support {support}: {found}")
    return rows


def report(rows: dict[tuple, dict], rules: dict[float, dict]) -> list[str]:
    """Print the tables; returns the targets that were missed."""
    print("| baskets | support | sets | contender | s | peak memory GiB |")
    print("| --: | --: | --: | :-- | --: | --: |")
    for (size, support, name), row in rows.items():
        print(f"| {size:,} | {support} | {row['sets']:,} | {TITLES[name]} "
              f"| {row['seconds']:.3f} | {row['memory']:.2f} |")  # fmt: skip
    print(f"\n| rules of {SIZES[0]:,} baskets, support | sets | rules | mlxtend ms "
          "| ours, the same step ms | ours, all of `rules` ms |")  # fmt: skip
    print("| --: | --: | --: | --: | --: | --: |")
    for support, row in rules.items():
        seconds = (f"{1000 * row[name]:.1f}" for name in ("theirs", "same", "full"))
        print(f"| {support} | {row['sets']:,} | {row['rules']:,} | {' | '.join(seconds)} |")
    big = max(row["memory"] for (_, _, name), row in rows.items() if name in ("ours", "one"))
    slowest = min(rows[s, q, "pyfim"]["seconds"] / row["seconds"]
                  for (s, q, name), row in rows.items() if name == "ours")  # fmt: skip
    ours, theirs = (rows[SIZES[0], 0.005, name]["seconds"] for name in ("ours", "mlxtend"))
    ratio = min(row["theirs"] / row["same"] for row in rules.values())
    targets = [
        ("mlxtend ÷ ours, 200,000 baskets at 0.005", theirs / ours, 50),
        ("mlxtend's rules ÷ ours, the same step, the least of all", ratio, 10),
        ("PyFIM ÷ ours, the least of all", slowest, 1),
    ]
    print("\n| | measured | target | |\n| :-- | --: | --: | :-- |")
    missed = []
    for what, value, limit in targets:
        met = value >= limit
        missed += [] if met else [what]
        print(f"| {what} | {value:.1f} | ≥ {limit} | {'met' if met else '**missed**'} |")
    is_small = big < 1
    missed += [] if is_small else ["memory"]
    print(f"| ours, peak memory GiB | {big:.2f} | < 1 | {'met' if is_small else '**missed**'} |")
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=RUNS, help="runs of each contender")
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--small", action="store_true",
                        help="without Spark; a million baskets at one support only")  # fmt: skip
    options = parser.parse_args()
    has_spark = not options.small and java() >= JAVA
    if not options.small and not has_spark:
        print(f"Spark is not measured: it needs Java {JAVA} (openjdk-17-jre-headless)\n")
    rows: dict[tuple, dict] = {}
    rules: dict[float, dict] = {}
    for size in SIZES:
        supports = SUPPORTS[-1:] if options.small and size > SIZES[0] else SUPPORTS
        with tempfile.TemporaryDirectory(prefix="crm-baskets-") as name:
            folder = Path(name)
            # in a process of its own: a child's peak counts what its parent held at its start
            drawing = [sys.executable, baskets_peer.__file__, "zipf", name, str(size)]
            subprocess.run(drawing, check=True)
            rows |= sets(size, folder, supports, options.runs, has_spark=has_spark)
            if size == SIZES[0]:
                rules = {support: measured("rules", folder, support) for support in supports}
    missed = report(rows, rules)
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
