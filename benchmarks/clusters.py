"""How many groups are there among a million customers? Our scan beside plain scikit-learn.

    python benchmarks/clusters.py 100000           # a quick try
    python benchmarks/clusters.py --check          # a million; exit code 1 if a target is missed

Six groups are planted in eight features. Both group the same points into two to eight groups,
the best of ten starts each, and take the silhouette of 20,000 points; ours also draws samples for
the Jaccard coefficients and works out the BIC. Each runs once in a process of its own. The run
fails unless ours leaves at most a thousandth more squares than scikit-learn for every number of
groups, and both group the customers alike where six are asked for.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import clusters_peer
from lines import measured

N = 1_000_000
TARGETS = {"wall": ("wall time", 4), "cpu": ("CPU time", 4), "memory": ("peak memory", 1)}
TITLES = {"ours": "ours: `kmeans.scan`, with Jaccard and BIC", "sklearn": "plain scikit-learn"}
MORE_SQUARES, ALIKE = 1.001, 0.999


def differences(ours: dict, theirs: dict) -> list[str]:
    """What speaks against the claim that both did the same."""
    wrong = [
        f"{k} groups: {mine / other:.4f} of the squares"
        for k, mine, other in zip(clusters_peer.KS, ours["squares"], theirs["squares"],
                                  strict=True)
        if mine > MORE_SQUARES * other
    ]  # fmt: skip
    rand = clusters_peer.rand(ours["labels"], theirs["labels"])
    return wrong if rand >= ALIKE else [*wrong, f"adjusted Rand index {rand:.4f}"]


def report(n: int, found: dict[str, dict], made: dict[str, dict]) -> list[str]:
    """Print the tables; returns the targets that were missed."""
    print(f"| {n:,} customers, {clusters_peer.FEATURES} features, 2 to 8 groups | wall s | CPU s "
          "| peak memory GB |")  # fmt: skip
    print("| :-- | --: | --: | --: |")
    for name, row in found.items():
        print(f"| {TITLES[name]} | {row['wall']:.1f} | {row['cpu']:.1f} | {row['memory']:.2f} |")
    print("\n| ratio | measured | target | |\n| :-- | --: | --: | :-- |")
    missed = []
    for measure, (what, limit) in TARGETS.items():
        ratio = found["sklearn"][measure] / found["ours"][measure]
        missed += [] if ratio >= limit else [what]
        told = "met" if ratio >= limit else "**missed**"
        print(f"| scikit-learn ÷ ours, {what} | {ratio:.1f} | ≥ {limit:g} | {told} |")
    best = max(range(len(clusters_peer.KS)), key=made["sklearn"]["silhouettes"].__getitem__)
    print(f"\nSix groups were planted; ours advises {made['ours']['advised']}, the widest "
          f"silhouette says {clusters_peer.KS[best]}.")  # fmt: skip
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("n", type=int, nargs="?", default=N, help="number of customers")
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="crm-clusters-"))
    try:
        clusters_peer.planted(options.n, folder)
        found = {name: measured(name, folder, clusters_peer.__file__) for name in TITLES}
        made = {name: json.loads((folder / f"{name}.json").read_text()) for name in TITLES}
        wrong = differences(made["ours"], made["sklearn"])
        if wrong:
            print(f"ours and scikit-learn differ: {', '.join(wrong)}", file=sys.stderr)
            return 1
        missed = report(options.n, found, made)
    finally:
        shutil.rmtree(folder)
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
