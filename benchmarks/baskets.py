"""Itemsets and rules of many baskets: ours beside mlxtend and PyFIM, the same sets demanded.

    python benchmarks/baskets.py               # a few minutes
    python benchmarks/baskets.py --check       # exit code 1 if a target is missed

Baskets of about 15 of 4,000 items, drawn by Zipf's law; sets of up to three items. Each contender
runs in a process of its own and measures the call alone, its input made ready before: for mlxtend
the sparse frame, the faster of its forms here, for PyFIM lists of Python numbers. PyFIM is C, and
is built once into a place of its own (`.venv-peers`) from `peers.lock`. The run fails unless all
find the same number of sets with the same counts.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import baskets_peer

HERE = Path(__file__).resolve().parent
PEERS = HERE.parent / ".venv-peers"
SIZES, SUPPORTS, RUNS = (200_000, 1_000_000), (0.01, 0.005, 0.001), 3
SLOW = 0.005  # mlxtend is put to 200,000 baskets from this support on
TITLES = {"ours": "ours", "one": "ours, one thread", "pyfim": "PyFIM (C)", "mlxtend": "mlxtend"}


def peers() -> Path:
    """The Python of the place where PyFIM is, made on first use."""
    python = PEERS / "bin/python"
    stamp, wanted = PEERS / "lock", (HERE / "peers.lock").read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.create(PEERS, with_pip=False, clear=True)
        uv = str(Path(sys.executable).parent / "uv")
        lock = ["--require-hashes", str(HERE / "peers.lock")]
        subprocess.run([uv, "pip", "sync", "-q", "--python", str(python), *lock], check=True)
        stamp.write_text(wanted)
    return python


def measured(name: str, folder: Path, support: float) -> dict:
    """What one contender found, the seconds of its call, and the peak memory of its process."""
    python = str(peers()) if name == "pyfim" else sys.executable
    command = [python, baskets_peer.__file__, name, str(folder), str(support)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    told = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"contender {name} failed")
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)  # bytes; Linux says KiB
    return json.loads(told) | {"memory": peak / 2**30}


def contenders(size: int, support: float) -> list[str]:
    """Who is measured: mlxtend only where it ends within minutes."""
    is_slow = size > SIZES[0] or support < SLOW
    return [name for name in TITLES if name != "mlxtend" or not is_slow]


def sets(size: int, folder: Path, runs: int) -> dict[tuple, dict]:
    """The best run of each contender at each support."""
    # in a process of its own: a child's peak counts what its parent held when it was started
    drawing = [sys.executable, baskets_peer.__file__, "zipf", str(folder), str(size)]
    subprocess.run(drawing, check=True)
    rows = {}
    for support in SUPPORTS:
        for name in contenders(size, support):
            each = [measured(name, folder, support)
                    for _ in range(1 if name == "mlxtend" else runs)]  # fmt: skip
            rows[size, support, name] = min(each, key=lambda row: row["seconds"])
        found = {(rows[k]["sets"], rows[k]["sum"]) for k in rows if k[:2] == (size, support)}
        if len(found) > 1:
            sys.exit(f"contenders differ at {size:,} baskets, support {support}: {found}")
    return rows


def report(rows: dict[tuple, dict]) -> list[str]:
    """Print the tables; returns the targets that were missed."""
    print("| baskets | support | sets | contender | s | peak memory GiB |")
    print("| --: | --: | --: | :-- | --: | --: |")
    for (size, support, name), row in rows.items():
        print(f"| {size:,} | {support} | {row['sets']:,} | {TITLES[name]} "
              f"| {row['seconds']:.3f} | {row['memory']:.2f} |")  # fmt: skip
    big = max(row["memory"] for key, row in rows.items() if key[2] == "ours")
    slowest = min(rows[s, q, "pyfim"]["seconds"] / row["seconds"]
                  for (s, q, name), row in rows.items() if name == "ours")  # fmt: skip
    ours, theirs = (rows[SIZES[0], SLOW, name] for name in ("ours", "mlxtend"))
    targets = [
        ("mlxtend ÷ ours, 200,000 baskets at 0.005", theirs["seconds"] / ours["seconds"], 50),
        ("mlxtend's rules ÷ ours, the same", theirs["rules"] / ours["rules"], 10),
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
    options = parser.parse_args()
    rows: dict[tuple, dict] = {}
    for size in SIZES:
        folder = Path(tempfile.mkdtemp(prefix="crm-baskets-"))
        try:
            rows |= sets(size, folder, options.runs)
        finally:
            shutil.rmtree(folder)
    missed = report(rows)
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
