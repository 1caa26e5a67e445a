"""Join the records of a million invented people: ours beside plain Splink.

    python benchmarks/identity.py 100000          # a quick try
    python benchmarks/identity.py --check         # a million; exit code 1 if a target is missed

A fifth of the records are second ones of somebody: another phone, no e-mail, no birth date, no
address or half a name, each in a share of them. Each contender runs in a process of its own. Ours
begins with the encrypted columns; Splink is given values that are clean already. How good the
groups are is told beside the time, since a linkage that finds nothing is the fastest.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import duckdb
import identity_peer
import pandas as pd
from lines import measured

from crm import linkage, vault
from crm.simulate.people import GIVEN_NAMES, SURNAMES

N, RUNS = 1_000_000, 1
AGAIN = 0.2  # share of the records that are second ones
MINUTE = 60  # Splink says a million records take about one on a laptop
MOST_WALL, MOST_MEMORY, LEAST_F1 = 90, 4, 0.95  # seconds, GB
# CPU of plain Splink by ours, which also unlocks, tidies and looks at more pairs
LEAST_RATIO = 0.2
PEOPLE = """
CREATE MACRO u(i, salt) AS hash(i * 64 + salt) / 18446744073709551616.0;
CREATE MACRO one(text, i, salt) AS text[1 + floor(u(i, salt) * length(text))::INT];
CREATE TABLE people AS
WITH drawn AS (
  SELECT i AS n, CASE WHEN i < {first} THEN i ELSE floor(u(i, 0) * {first})::BIGINT END AS person
  FROM range({n}) t(i)
), told AS (
  SELECT n, person, n >= {first} AS again,
    one('{surnames}', person, 1) || one('{given}', person, 2) || one('{given}', person, 3) AS name,
    '1' || (3000000000 + floor(u(person, 4) * 7e9))::BIGINT AS phone,
    'u' || person || '@example.com' AS email,
    (DATE '1950-01-01' + floor(u(person, 5) * 20000)::INT)::VARCHAR AS birth,
    '城' || floor(u(person, 6) * 40)::INT AS city,
    floor(u(person, 7) * 90)::INT || '区解放路' || floor(u(person, 8) * 3000)::INT || '号'
      AS address
  FROM drawn
)
SELECT 'K' || n AS key, person, city,
  CASE WHEN again AND u(n, 10) < 0.05 THEN left(name, 2) ELSE name END AS name,
  CASE WHEN again AND u(n, 11) < 0.25 THEN '1' || (3000000000 + floor(u(n, 12) * 7e9))::BIGINT
    ELSE phone END AS phone,
  CASE WHEN again AND u(n, 13) < 0.4 THEN NULL ELSE email END AS email,
  CASE WHEN again AND u(n, 14) < 0.1 THEN NULL ELSE birth END AS birth,
  CASE WHEN again AND u(n, 15) < 0.3 THEN NULL ELSE address END AS address
FROM told ORDER BY hash(n)
"""


def records(n: int, folder: Path) -> None:
    """People in the clear, the same encrypted, and the keys, as three files."""
    with duckdb.connect() as db:
        text = PEOPLE.format(n=n, first=int(n * (1 - AGAIN)), surnames=SURNAMES, given=GIVEN_NAMES)
        db.execute(text)
        people = db.sql("FROM people").df()
    people.to_parquet(folder / "people.parquet")
    key = vault.PUBLISHED.encryption
    locked = {
        c: vault.encrypt(people[c].tolist(), key=key, context=f"vault/customers.{c}")
        for c in identity_peer.PERSONAL
    }
    rows = pd.DataFrame({"line": range(len(people)), "customer_key": people["key"]} | locked)
    rows.to_parquet(folder / "vault.parquet")
    keys = people[["key", "city"]].rename(columns={"key": "customer_key"})
    born = pd.to_datetime(people["birth"]).astype("datetime64[us]")
    since = pd.Timestamp("2020-01-01")
    keys.assign(birth_date=born, registered_on=since).to_parquet(folder / "keys.parquet")


def scores(folder: Path) -> dict[str, dict]:
    """How good the groups of each contender are."""
    truth = pd.read_parquet(folder / "people.parquet").set_index("key")["person"]
    made = {n: pd.read_parquet(folder / f"{n}.parquet") for n in identity_peer.TITLES}
    return {n: linkage.pairwise(x["found"], x["key"].map(truth)) for n, x in made.items()}


def report(n: int, found: dict, scored: dict, laps: dict) -> bool:
    """Print the tables; returns whether a target was missed."""
    print(f"| {n:,} records | wall s | CPU s | peak memory GB | precision | recall | F1 |")
    print("| :-- | --: | --: | --: | --: | --: | --: |")
    for name, title in identity_peer.TITLES.items():
        row, good = found[name], scored[name]
        print(f"| {title} | {row['wall']:.1f} | {row['cpu']:.1f} | {row['memory']:.2f} | "
              f"{good['precision']:.4f} | {good['recall']:.4f} | {good['f1']:.4f} |")  # fmt: skip
    print(f"\nOurs: {', '.join(f'{name} {seconds:.1f} s' for name, seconds in laps.items())}.\n")
    ours, peer = found["ours"], found["splink"]
    targets = [
        ("ours, wall s", ours["wall"], "≤", MOST_WALL),
        ("ours, peak memory GB", ours["memory"], "≤", MOST_MEMORY),
        ("ours, pairwise F1", scored["ours"]["f1"], "≥", LEAST_F1),
        ("Splink ÷ ours, CPU", peer["cpu"] / ours["cpu"], "≥", LEAST_RATIO),
    ]
    print("| | measured | target | |\n| :-- | --: | --: | :-- |")
    missed = False
    for title, value, bound, target in targets:
        is_met = value <= target if bound == "≤" else value >= target
        missed |= not is_met
        print(f"| {title} | {value:.2f} | {bound} {target} | {'met' if is_met else 'MISSED'} |")
    print(f"\nSplink's documentation: a million records in about {MINUTE} s on a laptop.")
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("n", type=int, nargs="?", default=N, help="number of records")
    parser.add_argument("--runs", type=int, default=RUNS, help="runs of each contender")
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="crm-identity-"))
    try:
        records(options.n, folder)
        runs = [{name: measured(name, folder, identity_peer.__file__)
                 for name in identity_peer.TITLES} for _ in range(options.runs)]  # fmt: skip
        found = {name: {k: min(run[name][k] for run in runs) for k in runs[0][name]}
                 for name in identity_peer.TITLES}  # fmt: skip
        laps = json.loads((folder / "laps.json").read_text())
        missed = report(options.n, found, scores(folder), laps)
    finally:
        shutil.rmtree(folder)
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
