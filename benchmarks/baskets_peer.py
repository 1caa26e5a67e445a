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
TIMES = 7  # that each makes the rules: they take milliseconds
MEASURES = ["support", "confidence", "lift", "leverage", "conviction"]


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


def found(starts, items, support: float, threads: int = 0):
    """Our itemsets, and the seconds that they took."""
    from crm import baskets, itemsets

    held = itemsets.Baskets(starts, items, ITEMS)
    itemsets.warm()
    began = time.perf_counter()
    made = baskets.mine(held, support=support, longest=LONGEST, threads=threads)
    return made, time.perf_counter() - began


def ours(starts, items, support: float, threads: int = 0) -> dict:
    made, seconds = found(starts, items, support, threads)
    total = int(sum(counts.sum() for counts in made.counts))
    return {"seconds": seconds, "sets": len(made), "sum": total}


def one(starts, items, support: float) -> dict:
    return ours(starts, items, support, threads=1)


def mlxtend(starts, items, support: float) -> dict:
    import pandas as pd
    from mlxtend.frequent_patterns import fpgrowth
    from scipy.sparse import csr_array

    shape = len(starts) - 1, ITEMS
    table = csr_array((np.ones(len(items), bool), items, starts), shape=shape)
    frame = pd.DataFrame.sparse.from_spmatrix(table)
    least = np.ceil(round(support * shape[0], 9))
    began = time.perf_counter()
    made = fpgrowth(frame, min_support=(least - 0.5) / shape[0], max_len=LONGEST)
    seconds = time.perf_counter() - began
    total = int((made["support"] * shape[0]).round().sum())
    return {"seconds": seconds, "sets": len(made), "sum": total}


def pyfim(starts, items, support: float) -> dict:
    import fim

    lists = [items[a:b].tolist() for a, b in pairwise(starts)]
    least = int(np.ceil(round(support * len(lists), 9)))
    fastest = {"seconds": float("inf")}
    for miner in (fim.fpgrowth, fim.eclat, fim.apriori):
        began = time.perf_counter()
        made = miner(lists, supp=-least, zmin=1, zmax=LONGEST)
        seconds = time.perf_counter() - began
        if seconds < fastest["seconds"]:
            fastest = {"seconds": seconds, "sets": len(made), "sum": sum(n for _, n in made)}
    return fastest


def spark(starts, items, support: float) -> dict:
    """Spark knows no longest set: it finds all, of which those of up to three are counted."""
    from pyspark import SparkContext
    from pyspark.ml.fpm import FPGrowth
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as F

    options = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false",
               "spark.driver.memory": "4g", "spark.sql.shuffle.partitions": "4"}  # fmt: skip
    session = SparkSession.builder.master("local[*]").config(map=options).getOrCreate()
    text = Path(sys.argv[2]) / "baskets.txt"
    lists = (" ".join(map(str, items[a:b].tolist())) for a, b in pairwise(starts))
    text.write_text("\n".join(lists))
    column = F.split("value", " ").cast("array<int>").alias("items")
    parts = session.sparkContext.defaultParallelism
    table = session.read.text(str(text)).select(column).repartition(parts).cache()
    table.count()  # which fills the cache
    least = np.ceil(round(support * (len(starts) - 1), 9))
    began = time.perf_counter()
    model = FPGrowth(itemsCol="items", minSupport=(least - 0.5) / (len(starts) - 1)).fit(table)
    short = model.freqItemsets.filter(F.size("items") <= LONGEST)
    sets, total = short.agg(F.count("*"), F.sum("freq")).collect()[0]
    seconds = time.perf_counter() - began
    machine = SparkContext._gateway.proc  # waited for, so that its memory is counted
    session.stop()
    machine.stdin.close()
    machine.wait()
    return {"seconds": seconds, "sets": sets, "sum": total}


def rules(starts, items, support: float) -> dict:
    """Rules from the same itemsets: of mlxtend, of ours the same step, and all that ours does."""
    import pandas as pd
    from mlxtend.frequent_patterns import association_rules

    from crm import baskets

    sets, _ = found(starts, items, support)
    names = [frozenset(row) for rows in sets.sets for row in rows.tolist()]
    shares = np.concatenate(sets.counts) / sets.baskets
    table = pd.DataFrame({"support": shares, "itemsets": names})

    def same():
        ways = baskets.Ways.of(sets)
        kept = np.flatnonzero(ways.reach(confidence=CONFIDENCE, lift=0))
        return ways.sides(kept), pd.DataFrame(ways.measured(kept))

    def full():
        return baskets.rules(sets, confidence=CONFIDENCE, lift=0, false_discoveries=1)

    def theirs():
        return association_rules(table, metric="confidence", min_threshold=CONFIDENCE,
                                 return_metrics=MEASURES)  # fmt: skip

    best = {}
    for name, run in {"same": same, "full": full, "theirs": theirs}.items():
        for _ in range(TIMES):
            began = time.perf_counter()
            made = run()
            best[name] = min(best.get(name, float("inf")), time.perf_counter() - began)
        if name == "full":
            kept = made
    differ(kept, made)
    return best | {"sets": len(sets), "rules": len(kept)}


def differ(kept, theirs) -> None:
    """Fail unless mlxtend has the same rules, but for those that it loses at the floor."""
    a, b = ([tuple(sorted(side)) for side in theirs[name]] for name in ("antecedents",
                                                                       "consequents"))  # fmt: skip
    told = dict(zip(zip(a, b, strict=True), theirs[MEASURES].to_numpy(), strict=True))
    pairs = zip(kept["antecedent"], kept["consequent"], strict=True)
    mine = dict(zip(pairs, kept[MEASURES].to_numpy(), strict=True))
    lost = [abs(mine[pair][1] - CONFIDENCE) for pair in mine.keys() - told.keys()]
    same = [np.allclose(mine[pair], told[pair], rtol=1e-9, atol=1e-12) for pair in told]
    if max(lost, default=0) > 1e-12 or not all(same):
        sys.exit("rules differ")


def main() -> None:
    name, folder, support = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    if name == "zipf":
        zipf(int(support), folder)
        return
    starts, items = np.load(folder / "starts.npy"), np.load(folder / "items.npy")
    run = {each.__name__: each for each in (ours, one, mlxtend, pyfim, spark, rules)}
    sys.stdout.write(json.dumps(run[name](starts, items, support)) + "\n")


if __name__ == "__main__":
    main()
