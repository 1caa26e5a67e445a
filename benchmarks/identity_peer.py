"""The contenders of identity.py; each joins the records of a folder and writes a group for each.

python benchmarks/identity_peer.py ours|splink FOLDER
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pandas as pd

ABOVE = 0.99
PERSONAL = ("name", "phone", "email", "address")
RULES = (("phone",), ("email",), ("name", "birth"), ("name", "address"))  # of the peer
TITLES = {
    "ours": "ours: unlock, tidy, train, score and join, as the stage calls them",
    "splink": "plain Splink: its own comparisons, training, scoring and clustering",
}


def ours(folder: Path) -> pd.DataFrame:
    """Record and group by the product's code, from the encrypted columns on."""
    from crm import identity, vault

    laps, clock = {}, time.perf_counter()

    def lap(name: str) -> None:
        nonlocal clock
        laps[name], clock = time.perf_counter() - clock, time.perf_counter()

    rows = pd.read_parquet(folder / "vault.parquet")
    keys = pd.read_parquet(folder / "keys.parquet")
    for c in PERSONAL:
        rows[c] = vault.decrypt(
            rows[c].tolist(), key=vault.PUBLISHED.encryption, context=f"vault/customers.{c}"
        )
    rows = rows.astype(dict.fromkeys(PERSONAL, "str"))
    lap("unlock")
    records = identity.tidy(rows, keys)
    hubs, reused = identity.hubs(records), identity.reused(records)
    plain = identity.comparable(records, hubs)
    lap("tidy")
    learnt = identity.train(plain)
    lap("train")
    pairs = identity.pairs(plain, learnt, reused=reused)
    lap("score")
    own = identity.own_ids(keys["customer_key"], source="x", key=b"k")
    none = pd.DataFrame(columns=["key_a", "key_b", "decision"])
    linked = identity.join(keys, pairs, none, own, source="x", merge_above=ABOVE)
    lap("join")
    (folder / "laps.json").write_text(json.dumps(laps))
    return linked[["customer_key", "customer_id"]].set_axis(["key", "found"], axis=1)


def splink(folder: Path) -> pd.DataFrame:
    """Record and group by Splink as its documentation shows it, the values clean already."""
    import logging

    import splink.comparison_library as cl
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    logging.getLogger("splink").setLevel(logging.ERROR)
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="key",
        comparisons=[
            cl.JaroWinklerAtThresholds("name", 0.9).configure(term_frequency_adjustments=True),
            cl.LevenshteinAtThresholds("phone", 1).configure(term_frequency_adjustments=True),
            cl.ExactMatch("email").configure(term_frequency_adjustments=True),
            cl.LevenshteinAtThresholds("birth", 1),
            cl.ExactMatch("address").configure(term_frequency_adjustments=True),
        ],
        blocking_rules_to_generate_predictions=[block_on(*names) for names in RULES],
    )
    api = DuckDBAPI()
    people = pd.read_parquet(folder / "people.parquet").drop(columns=["person", "city"])
    linker = Linker(api.register(people), settings, log_level=logging.ERROR)
    sure = [block_on("name", "phone"), block_on("name", "email")]
    linker.training.estimate_probability_two_random_records_match(sure, recall=0.8)
    linker.training.estimate_u_using_random_sampling(max_pairs=2e6, seed=1)
    for names in (("phone",), ("name", "birth")):
        linker.training.estimate_parameters_using_expectation_maximisation(block_on(*names))
    pairs = linker.inference.predict(threshold_match_probability=0.01)
    groups = linker.clustering.cluster_pairwise_predictions_at_threshold(
        pairs, threshold_match_probability=ABOVE
    )
    return groups.as_pandas_dataframe()[["key", "cluster_id"]].set_axis(["key", "found"], axis=1)


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    {"ours": ours, "splink": splink}[name](folder).to_parquet(folder / f"{name}.parquet")


if __name__ == "__main__":
    main()
