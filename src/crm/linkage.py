"""Probabilistic record linkage: which two records are one person, and how sure that is.

Fellegi and Sunter's model, trained by Splink on DuckDB without labels. Each *trait* (name, phone,
…) is compared in *levels*, best first; a level occurs so much more often among records of one
person (`m`) than among those of two (`u`), and the product of these ratios makes the probability.
`u` is measured on random pairs, `m` by expectation maximisation on pairs that share something.
Sampling runs on one thread over sorted rows with a seed, the maximisation counts whole pairs, and
probabilities are rounded before anybody compares them with a threshold: the same records give
the same answer on every run.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

DIGITS = 6  # of a probability, before it meets a threshold
SAMPLED = 2_000_000  # random pairs on which `u` is measured
TRAINED = 2_000_000  # pairs at most on which one round of `m` is estimated
FOUND = 0.8  # share of true pairs that the certain rules are taken to find
PRIOR = 0.05  # weight of the declared `m` in the trained one: no level becomes impossible
UNSEEN = 0.5  # the same where a level never occurred in training: too little was seen of the trait
FEW = 50  # records below which nothing can be estimated: the declared values are used
BLOCKED = 100  # pairs below which a round says nothing about `m`
RAREST = 1e-7  # smallest `u`


@dataclass(frozen=True)
class Level:
    """One way in which two values agree or differ: a condition in SQL and what it is called.

    `m` and `u` are declared values, for records too few to learn from. `rare` names the column
    whose rarer values say more. `agrees` says that the two records have the trait in common;
    `parts` that they are not joined without a decision, however likely they are one person.
    """

    condition: str
    words: str
    m: float
    u: float
    rare: str = ""
    agrees: bool = True
    parts: bool = False


@dataclass(frozen=True)
class Trait:
    """What is compared: its name, when nothing can be said, and its levels, best first."""

    name: str
    empty: str
    levels: tuple[Level, ...]


@dataclass(frozen=True)
class Model:
    """What is compared and which pairs are looked at; rules are SQL on two records `l` and `r`.

    `blocks` choose the pairs, `certain` are rules that hardly ever err and tell how many true
    pairs there are, `rounds` choose the pairs of each round of training, and `always` finds pairs
    that are told however unlikely they are one person.
    """

    traits: tuple[Trait, ...]
    blocks: tuple[str, ...]
    certain: tuple[str, ...]
    rounds: tuple[str, ...]
    always: tuple[str, ...] = ()


def trait(name: str, *levels: Level, columns: tuple[str, ...] = ()) -> Trait:
    """A trait of which nothing can be said where one of two records has none of its `columns`."""
    sides = [" AND ".join(f"{n}_{end} IS NULL" for n in columns or (name,)) for end in "lr"]
    return Trait(name, " OR ".join(f"({side})" for side in sides), levels)


def rule(*columns: str, also: str = "") -> str:
    """The rule that two records of different keys have equal columns.

    Examples
    --------
    >>> rule("phone")
    'l.phone = r.phone AND l.key <> r.key'
    """
    equal = [f"l.{name} = r.{name}" for name in columns]
    return " AND ".join([*equal, *([also] if also else []), "l.key <> r.key"])


def query(sql: str, *setup: str, **frames: pd.DataFrame) -> pd.DataFrame:
    """The result of SQL over frames by name, after the statements of `setup`.

    Nothing reaches a disk: personal values are in it, in the clear.
    """
    import duckdb

    con = duckdb.connect()
    con.execute("SET temp_directory = ''")
    for statement in setup:
        con.execute(statement)
    for name, frame in frames.items():
        con.register(name, frame)
    return con.execute(sql).df()


def train(records: pd.DataFrame, model: Model, *, seed: int = 1) -> dict:
    """What the model learnt from the records, as plain data: prior, and `m`, `u` by trait.

    Parameters
    ----------
    records
        One record a row: `record` (a whole number), `key` (records of one key are not compared)
        and the columns of the model, texts, empty where unknown.
    model
        What to compare.
    seed
        Decides which pairs are sampled.
    """
    learnt = {"prior": 1 / max(len(records), 2), "trained": False} | {
        t.name: [[level.m, level.u] for level in t.levels] for t in model.traits
    }
    if len(records) < FEW:
        return learnt
    con = _engine(records, threads=1)
    linker = _linker(con, model, learnt | {"prior": _prior(con, model, len(records))})
    linker.training.estimate_u_using_random_sampling(max_pairs=SAMPLED, seed=seed)
    for text in model.rounds:
        if _count(con, [text]) >= BLOCKED:
            linker.training.estimate_parameters_using_expectation_maximisation(
                text, estimate_without_term_frequencies=True, max_pairs=TRAINED
            )
    return _learnt(linker, model)


def score(
    records: pd.DataFrame, model: Model, learnt: dict, *, least: float = 0.01, threads: int = 0
) -> pd.DataFrame:
    """One pair of records that may be one person: `a`, `b`, `probability`, a level of each trait.

    A level is its place from 0, the best; −1 where nothing can be said. `a` is below `b`. Pairs
    under `least` are left out, but for those that a rule of `model.always` finds.
    """
    import pandas as pd

    names = [t.name for t in model.traits]
    if len(records) < 2:
        kinds = {"a": "int64", "b": "int64", "probability": "float64"}
        kinds |= dict.fromkeys(names, "int64")
        return pd.DataFrame({n: pd.Series([], dtype=kind) for n, kind in kinds.items()})
    con = _engine(records, threads=threads)
    found = [_predicted(con, model, learnt, model.blocks, least)]
    if model.always:  # by blocks of their own, so that not all pairs are held to keep these
        found.append(_predicted(con, model, learnt, model.always, 0))
    levels = [
        f"CASE WHEN gamma_{t.name} < 0 THEN -1 ELSE {len(t.levels) - 1} - gamma_{t.name} END"
        f"::BIGINT AS {t.name}"
        for t in model.traits
    ]
    parts = [
        "SELECT least(record_l, record_r) AS a, greatest(record_l, record_r) AS b, "
        f"round(match_probability, {DIGITS}) AS probability, {', '.join(levels)} FROM {name}"
        for name in found
    ]
    return con.sql(f"{' UNION '.join(parts)} ORDER BY a, b").df()


def _predicted(con, model: Model, learnt: dict, blocks: tuple[str, ...], least: float) -> str:
    """The table of pairs that one of the rules chooses and that are at least so likely."""
    linker = _linker(con, replace(model, blocks=blocks), learnt)
    return linker.inference.predict(threshold_match_probability=least).physical_name


def _engine(records: pd.DataFrame, *, threads: int):
    """A connection of its own whose table `records` is sorted, so that samples repeat."""
    import duckdb

    con = duckdb.connect()
    con.execute("SET temp_directory = ''")  # personal values in the clear never reach a disk
    if threads:
        con.execute(f"SET threads = {int(threads)}")
    con.register("_records", records)
    con.execute("CREATE TABLE records AS SELECT * FROM _records ORDER BY record")
    con.unregister("_records")
    return con


def _linker(con, model: Model, learnt: dict):
    """Splink's linker with the model; it is told to say nothing."""
    from splink import DuckDBAPI, Linker

    settings = {
        "link_type": "dedupe_only",
        "unique_id_column_name": "record",
        "probability_two_random_records_match": learnt["prior"],
        "comparisons": [_comparison(t, learnt[t.name]) for t in model.traits],
        "blocking_rules_to_generate_predictions": list(model.blocks),
        "retain_matching_columns": True,
        "retain_intermediate_calculation_columns": False,
        "max_iterations": 40,
    }
    logging.getLogger("splink").setLevel(logging.ERROR)
    api = DuckDBAPI(con)
    return Linker(api.register("records"), settings, log_level=logging.ERROR)


def _comparison(t: Trait, values: list) -> dict:
    """A trait as Splink's comparison."""
    made = [{"sql_condition": t.empty, "label_for_charts": "empty", "is_null_level": True}]
    for level, (m, u) in zip(t.levels, values, strict=True):
        one = {
            "sql_condition": level.condition, "label_for_charts": level.words,
            "m_probability": m, "u_probability": u,
        }  # fmt: skip
        made.append(one | ({"tf_adjustment_column": level.rare} if level.rare else {}))
    return {"output_column_name": t.name, "comparison_levels": made}


def _prior(con, model: Model, records: int) -> float:
    """Probability that two random records are one person, from the certain rules."""
    pairs = records * (records - 1) / 2
    return min(max(_count(con, list(model.certain)), 1) / FOUND / pairs, 0.5)


def _count(con, rules: list[str]) -> int:
    """Pairs that one of the rules finds."""
    found = [
        f"SELECT l.record, r.record AS other FROM records l JOIN records r "
        f"ON {text} AND l.record < r.record"
        for text in rules
    ]
    query = f"SELECT count(*) FROM ({' UNION '.join(found)})"
    return con.execute(query).fetchall()[0][0]


def _learnt(linker, model: Model) -> dict:
    """What was learnt, smoothed: what never occurred in training may still occur."""
    settings = linker.misc.save_model_to_json()
    learnt = {"prior": settings["probability_two_random_records_match"], "trained": True}
    for t, found in zip(model.traits, settings["comparisons"], strict=True):
        values = [x for x in found["comparison_levels"] if not x.get("is_null_level")]
        m = _blended([_known(x, "m_probability", 0.0) for x in values], t)
        u = [_known(x, "u_probability", y.u) for x, y in zip(values, t.levels, strict=True)]
        learnt[t.name] = _falling(m, u)
    return learnt


def _falling(m: list[float], u: list[float]) -> list[list[float]]:
    """Both for each level; a worse level never says more for one person than a better one."""
    made, most = [], float("inf")
    for a, b in zip(m, u, strict=True):
        made.append([a, max(b, RAREST, a / most)])
        most = a / made[-1][1]
    return made


def _blended(trained: list[float], t: Trait) -> list[float]:
    """The trained `m` of a trait with some of the declared one; they sum to 1."""
    whole = sum(trained)
    if not whole:
        return [level.m for level in t.levels]
    weight = PRIOR if all(trained) else UNSEEN
    return [
        a / whole * (1 - weight) + level.m * weight
        for a, level in zip(trained, t.levels, strict=True)
    ]


def _known(level: dict, which: str, otherwise: float) -> float:
    """A trained value; Splink writes a text where a level was never seen."""
    value = level.get(which)
    return float(value) if isinstance(value, int | float) else otherwise


# ---- how good a linkage is ---------------------------------------------------------------


def pairwise(found, truth) -> dict[str, float]:
    """Precision, recall and F1 of the pairs that two groupings of the same records make.

    Examples
    --------
    >>> pairwise([1, 1, 1], ["a", "a", "b"])
    {'precision': 0.3333333333333333, 'recall': 1.0, 'f1': 0.5}
    """
    import pandas as pd

    both = pd.DataFrame({"found": list(found), "truth": list(truth)})
    hits, said, true = (_pairs(both, by) for by in (["found", "truth"], ["found"], ["truth"]))
    return {
        "precision": hits / said if said else 1.0,
        "recall": hits / true if true else 1.0,
        "f1": 2 * hits / (said + true) if said + true else 1.0,
    }


def b_cubed(found, truth) -> dict[str, float]:
    """Precision, recall and F1 of each record's group, averaged over records (Bagga, Baldwin).

    Examples
    --------
    >>> round(b_cubed([1, 1, 2], ["a", "a", "a"])["recall"], 4)
    0.5556
    """
    import pandas as pd

    both = pd.DataFrame({"found": list(found), "truth": list(truth)})
    if both.empty:
        return {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    cells = both.groupby(["found", "truth"], as_index=False).size()
    square = cells["size"] ** 2
    of = {by: cells.groupby(by)["size"].transform("sum") for by in ("found", "truth")}
    precision, recall = (float((square / of[by]).sum() / len(both)) for by in ("found", "truth"))
    f1 = 2 * precision * recall / (precision + recall)
    return {"precision": precision, "recall": recall, "f1": f1}


def grouped(pairs: pd.DataFrame, records: int, *, above: float) -> list[int]:
    """The group of each record, 0 to `records` − 1, where pairs from `above` on are joined."""
    parent = list(range(records))

    def top(record: int) -> int:
        while parent[record] != record:
            parent[record] = parent[parent[record]]
            record = parent[record]
        return record

    likely = pairs[pairs["probability"] >= above]
    for a, b in zip(likely["a"].tolist(), likely["b"].tolist(), strict=True):
        first, other = sorted((top(a), top(b)))
        parent[other] = first
    return [top(record) for record in range(records)]


def curve(pairs: pd.DataFrame, truth, *, thresholds: tuple[float, ...]) -> pd.DataFrame:
    """One threshold: pairwise precision, recall and F1, and B-cubed, of the groups it makes."""
    import pandas as pd

    truth, rows = list(truth), []
    for above in thresholds:
        found = grouped(pairs, len(truth), above=above)
        cubed = {f"b_cubed_{name}": value for name, value in b_cubed(found, truth).items()}
        rows.append({"threshold": above} | pairwise(found, truth) | cubed)
    return pd.DataFrame(rows)


def _pairs(both: pd.DataFrame, by: list[str]) -> int:
    sizes = both.groupby(by).size()
    return int((sizes * (sizes - 1) // 2).sum())
