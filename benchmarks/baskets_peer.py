"""The contenders of baskets.py: `python baskets_peer.py NAME FOLDER SUPPORT` prints JSON.

With the name `zipf` and a number of baskets in place of the support it draws the baskets.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

ITEMS, MEAN, LONGEST, CONFIDENCE, SEED = 4_000, 15, 3, 0.1, 1


def zipf(baskets: int, folder: Path) -> None:
    """Baskets of about `MEAN` items drawn by Zipf's law, the same on each run."""
    rng = np.random.default_rng(SEED)
    weights = 1 / np.arange(1, ITEMS + 1)
    sizes = rng.poisson(MEAN - 1, baskets) + 1
    drawn = np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(sizes.sum()))
    rows = np.repeat(np.arange(baskets, dtype=np.int64), sizes)
    held = np.unique(rows * ITEMS + drawn.clip(0, ITEMS - 1))  # an item once in a basket
    starts = np.searchsorted(held // ITEMS, np.arange(baskets + 1))
    np.save(folder / "starts.npy", starts.astype(np.int64))
    np.save(folder / "items.npy", (held % ITEMS).astype(np.int32))


def ours(starts, items, support: float, threads: int) -> dict:
    from crm import baskets, itemsets

    held = itemsets.Baskets(starts, items, ITEMS)
    itemsets.warm()
    began = time.perf_counter()
    found = baskets.mine(held, support=support, longest=LONGEST, threads=threads)
    ended = time.perf_counter()
    made = baskets.rules(found, confidence=CONFIDENCE, lift=0, false_discoveries=1)
    rules = time.perf_counter() - ended
    total = int(sum(counts.sum() for counts in found.counts))
    return {"seconds": ended - began, "sets": len(found), "sum": total, "rules": rules,
            "made": len(made)}  # fmt: skip


def mlxtend(starts, items, support: float) -> dict:
    import pandas as pd
    from mlxtend.frequent_patterns import association_rules, fpgrowth
    from scipy.sparse import csr_array

    shape = len(starts) - 1, ITEMS
    table = csr_array((np.ones(len(items), bool), items, starts), shape=shape)
    frame = pd.DataFrame.sparse.from_spmatrix(table)
    least = np.ceil(round(support * shape[0], 9))
    began = time.perf_counter()
    found = fpgrowth(frame, min_support=(least - 0.5) / shape[0], max_len=LONGEST)
    ended = time.perf_counter()
    made = association_rules(found, metric="confidence", min_threshold=CONFIDENCE)
    rules = time.perf_counter() - ended
    total = int((found["support"] * shape[0]).round().sum())
    return {"seconds": ended - began, "sets": len(found), "sum": total, "rules": rules,
            "made": len(made)}  # fmt: skip


def pyfim(starts, items, support: float) -> dict:
    import fim

    lists = [items[a:b].tolist() for a, b in pairwise(starts)]
    least = int(np.ceil(round(support * len(lists), 9)))
    fastest = {"seconds": float("inf")}
    for miner in (fim.fpgrowth, fim.eclat, fim.apriori):
        began = time.perf_counter()
        found = miner(lists, supp=-least, zmin=1, zmax=LONGEST)
        seconds = time.perf_counter() - began
        if seconds < fastest["seconds"]:
            fastest = {"seconds": seconds, "sets": len(found), "sum": sum(n for _, n in found)}
    return fastest


def main() -> None:
    name, folder, support = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    if name == "zipf":
        zipf(int(support), folder)
        return
    starts, items = np.load(folder / "starts.npy"), np.load(folder / "items.npy")
    run = {"ours": lambda: ours(starts, items, support, 0), "mlxtend": lambda: mlxtend(
        starts, items, support), "one": lambda: ours(starts, items, support, 1),
        "pyfim": lambda: pyfim(starts, items, support)}  # fmt: skip
    sys.stdout.write(json.dumps(run[name]()) + "\n")


if __name__ == "__main__":
    main()
