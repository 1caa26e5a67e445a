"""What the records teach, how pairs are scored, and how good the groups they make are."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pandas as pd
import pytest

from crm import linkage
from crm.linkage import Level, Model, rule, trait

MODEL = Model(
    traits=tuple(
        trait(
            name,
            Level(f"{name}_l = {name}_r", f"same {name}", 0.9, 0.1, rare=name),
            Level("ELSE", f"another {name}", 0.1, 0.9, agrees=False),
        )
        for name in ("name", "town")
    ),
    blocks=(rule("name"), rule("town")),
    certain=(rule("name", "town"),),
    rounds=(rule("name"), rule("town")),
)


def records(*rows: tuple) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["key", "name", "town"])
    return frame.assign(record=range(len(frame)))


def many(people: int = 300) -> pd.DataFrame:
    """People with a name and a town of their own; every third stands twice."""
    rng = Random(1)
    each = [(n, f"name {rng.randrange(900)}", f"town {rng.randrange(90)}") for n in range(people)]
    again = [(f"{n} again", name, town) for n, name, town in each[::3]]
    return records(*((str(key), name, town) for key, name, town in [*each, *again]))


def test_too_few_records_teach_nothing_and_the_declared_values_hold():
    learnt = linkage.train(records(("a", "x", "y"), ("b", "x", "y")), MODEL)
    assert learnt["trained"] is False
    assert learnt["town"] == [[0.9, 0.1], [0.1, 0.9]]


def test_a_trait_with_few_values_says_less_than_one_with_many():
    learnt = linkage.train(many(), MODEL)
    weights = {name: learnt[name][0][0] / learnt[name][0][1] for name in ("name", "town")}
    assert learnt["trained"] is True
    assert weights["name"] > weights["town"] > 1


def test_a_worse_level_never_says_more_than_a_better_one():
    falling = linkage._falling([0.5, 0.3, 0.2], [0.01, 0.0, 0.9])
    ratios = [m / u for m, u in falling]
    assert ratios == sorted(ratios, reverse=True)
    assert falling[0] == [0.5, 0.01]


def test_a_pair_has_its_levels_and_is_named_once():
    frame = records(("a", "x", "y"), ("b", "x", "z"), ("c", None, "y"))
    pairs = linkage.score(frame, MODEL, linkage.train(frame, MODEL), least=0)
    assert pairs[["a", "b", "name", "town"]].values.tolist() == [[0, 1, 0, 1], [0, 2, -1, 0]]
    assert pairs["probability"].between(0, 1).all()


def test_pairs_of_a_rule_for_always_are_told_however_unlikely_they_are():
    frame = records(("a", "x", "y"), ("b", "x", "z"), ("c", "w", "z"))
    learnt = linkage.train(frame, MODEL)
    assert linkage.score(frame, MODEL, learnt, least=0.99).empty
    model = replace(MODEL, always=(rule("name"),))
    pairs = linkage.score(frame, model, learnt, least=0.99)
    assert pairs[["a", "b", "name", "town"]].values.tolist() == [[0, 1, 0, 1]]
    every = linkage.score(frame, model, learnt, least=0)
    assert every[["a", "b"]].values.tolist() == [[0, 1], [1, 2]]  # each once


def test_records_of_one_key_are_no_pair():
    frame = records(("a", "x", "y"), ("a", "x", "y"))
    assert linkage.score(frame, MODEL, linkage.train(frame, MODEL), least=0).empty


def test_one_record_and_none_make_no_pairs():
    for frame in (records(), records(("a", "x", "y"))):
        pairs = linkage.score(frame, MODEL, linkage.train(frame, MODEL))
        assert list(pairs.columns) == ["a", "b", "probability", "name", "town"]
        assert pairs.empty


def test_neither_the_order_of_the_rows_nor_the_threads_change_a_pair():
    frame = many()
    learnt = linkage.train(frame, MODEL)
    assert learnt == linkage.train(frame.sample(frac=1, random_state=2), MODEL)
    one, two = (linkage.score(frame, MODEL, learnt, threads=n) for n in (1, 2))
    pd.testing.assert_frame_equal(one, two)


def test_nothing_reaches_a_disk():
    con = linkage._engine(records(("a", "x", "y")), threads=1)
    assert con.execute("SELECT current_setting('temp_directory')").fetchall() == [("",)]


# ---- how good a linkage is ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "truth", "pairwise", "cubed"),
    [
        ("aabb", "aabb", (1, 1, 1), (1, 1)),
        ("aaaa", "aabb", (1 / 3, 1, 0.5), (0.5, 1)),
        ("abcd", "aabb", (1, 0, 0), (1, 0.5)),
        ("aab", "abb", (0, 0, 0), (2 / 3, 2 / 3)),
        ("", "", (1, 1, 1), (1, 1)),
    ],
)
def test_pairs_and_groups_are_held_against_the_truth(found, truth, pairwise, cubed):
    assert tuple(linkage.pairwise(found, truth).values()) == pytest.approx(pairwise)
    assert tuple(linkage.b_cubed(found, truth).values())[:2] == pytest.approx(cubed)


def test_records_are_joined_over_others_from_the_threshold_on():
    pairs = pd.DataFrame([(1, 2, 0.5), (0, 1, 0.9)], columns=["a", "b", "probability"])
    assert linkage.grouped(pairs, 4, above=0.5) == [0, 0, 0, 3]
    assert linkage.grouped(pairs, 4, above=0.6) == [0, 0, 2, 3]
    assert linkage.grouped(pairs.head(0), 0, above=0.5) == []


def test_a_higher_threshold_joins_fewer_and_errs_less():
    pairs = pd.DataFrame([(0, 1, 0.9), (1, 2, 0.6)], columns=["a", "b", "probability"])
    curve = linkage.curve(pairs, "aab", thresholds=(0.5, 0.8, 0.95))
    assert curve["precision"].round(2).tolist() == [0.33, 1, 1]
    assert curve["recall"].tolist() == [1, 1, 0]
    assert curve["b_cubed_f1"].round(2).tolist() == [0.71, 1, 0.8]
