"""Small cells: hidden, and not to be worked out from what is shown."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm import disclosure, plots

CITIES = {"a": 40, "b": 3, "c": 9, "d": 0, "e": 7}


def listed(counts: dict, **more) -> pd.DataFrame:
    return pd.DataFrame({"city": list(counts), "customers": list(counts.values()), **more})


def crossed(*rows: str) -> pd.DataFrame:
    """A cross table in long form: the first row names columns, the others begin with a name."""
    names, *body = [row.split() for row in rows]
    cells = [
        (row[0], name, int(n)) for row in body for name, n in zip(names, row[1:], strict=True)
    ]
    return pd.DataFrame(cells, columns=["tier", "city", "customers"])


def hidden_cells(shown: pd.DataFrame, *by: str) -> list[str]:
    return sorted("".join(row) for row in shown.loc[shown["customers"].isna(), list(by)].values)


# ---- one dimension -------------------------------------------------------------------------


def test_a_small_cell_takes_the_next_smallest_along_and_none_stays():
    shown = disclosure.suppress(listed(CITIES), by=["city"])
    assert hidden_cells(shown, "city") == ["b", "e"]
    assert shown["customers"].tolist() == [40, pd.NA, 9, 0, pd.NA]
    assert disclosure.hidden(shown) == 2


@pytest.mark.parametrize(
    ("counts", "hidden"),
    [
        ({"a": 4, "b": 5}, ["a", "b"]),  # of two, both
        ({"a": 5, "b": 5}, []),  # at the limit a cell is shown
        ({"a": 2, "b": 2, "c": 9, "d": 8}, ["a", "b", "d"]),  # two hold four: too few together
        ({"a": 2, "b": 3, "c": 9, "d": 8}, ["a", "b"]),
        ({"a": 3, "b": 0, "c": 0}, ["a", "b", "c"]),  # nothing else to hide behind
        ({"b": 6, "a": 6, "c": 1}, ["a", "c"]),  # ties by name, not by place
        ({"a": 0, "b": 0}, []),
        ({"a": 3}, ["a"]),
    ],
)
def test_a_list_with_a_total_hides_two_cells_or_more_that_hold_enough(counts, hidden):
    assert hidden_cells(disclosure.suppress(listed(counts), by=["city"]), "city") == hidden


def test_a_selection_has_no_total_to_subtract_from():
    shown = disclosure.suppress(listed(CITIES), by=["city"], along=[])
    assert hidden_cells(shown, "city") == ["b"]


def test_all_measures_of_a_cell_go_with_it_and_texts_stay():
    frame = listed({"a": 40, "b": 3, "c": 6}, spend=[9.5, 1.0, 2.0], is_new=[True, False, True],
                   say="x")  # fmt: skip
    shown = disclosure.suppress(frame, by=["city"])
    assert shown.loc[1:, ["customers", "spend", "is_new"]].isna().all(axis=None)
    assert (shown["say"].tolist(), shown["spend"][0]) == (["x"] * 3, 9.5)
    assert [str(kind) for kind in shown.dtypes] == ["str", "Int64", "float64", "boolean", "str"]


def test_a_hidden_row_keeps_no_place_in_a_ranking():
    frame = listed({"z": 90, "b": 3, "c": 60, "a": 7})
    shown = disclosure.suppress(frame, by=["city"])
    assert shown["city"].tolist() == ["z", "c", "a", "b"]
    other = disclosure.suppress(frame.iloc[[0, 3, 2, 1]], by=["city"])
    assert other["city"].tolist() == ["z", "c", "a", "b"]


def test_rows_in_the_order_of_their_names_stay_where_they_are():
    shown = disclosure.suppress(listed({"a": 90, "b": 3, "c": 60}), by=["city"])
    assert shown["city"].tolist() == ["a", "b", "c"]


def test_each_of_several_counts_makes_a_cell_small():
    frame = listed({"a": 40, "b": 9, "c": 12}, buyers=[30, 2, 9])
    shown = disclosure.suppress(frame, count=["customers", "buyers"], by=["city"])
    assert hidden_cells(shown, "city") == ["b", "c"]
    assert shown["buyers"].tolist() == [30, pd.NA, pd.NA]


def test_one_as_the_limit_hides_nothing_and_an_empty_table_stays_empty():
    shown = disclosure.suppress(listed(CITIES), by=["city"], least=1)
    assert shown["customers"].tolist() == list(CITIES.values())
    assert disclosure.suppress(listed(CITIES)[:0], by=["city"]).empty


def test_a_cell_that_stands_twice_is_refused():
    with pytest.raises(disclosure.DisclosureError, match="stands twice"):
        disclosure.suppress(pd.concat([listed(CITIES)] * 2), by=["city"])


# ---- two dimensions ------------------------------------------------------------------------


def test_a_cross_table_hides_two_in_each_row_and_column():
    frame = crossed("p  q  r", "A  3  20 30", "B  40 50 60", "C  25 70 80")
    shown = disclosure.suppress(frame, by=["tier", "city"])
    assert hidden_cells(shown, "tier", "city") == ["Ap", "Aq", "Cp", "Cq"]


def test_cells_that_all_lines_together_give_away_are_no_longer_alone():
    """Two squares and a cell between them: each line hides two, and the middle one is a sum."""
    frame = crossed(
        "p  q  r  s", "A  2  2  3  90", "B  4  4  90 90", "C  90 90 4  4", "D  90 90 4  4",
    )  # fmt: skip
    frame = frame.replace({"customers": {90: 95}})
    shape = disclosure._Shape.of(frame, ["tier", "city"], None, "")
    gone = (frame["customers"] < 5).to_numpy()
    numbers = frame["customers"].to_numpy("float64")
    assert [shape.names[c] for c in shape.fixed(numbers, gone)] == [("A", "r")]
    shown = disclosure.suppress(frame, by=["tier", "city"])
    audited = disclosure.audit(frame, shown, by=["tier", "city"])
    assert (audited["high"] - audited["low"]).min() >= 1


def test_totals_in_the_table_are_cells_too():
    frame = crossed(
        "p  q  all", "A  3  20 23", "B  40 50 90", "all 43 70 113",
    )  # fmt: skip
    shown = disclosure.suppress(frame, by=["tier", "city"], total="all")
    assert hidden_cells(shown, "tier", "city") == ["Ap", "Aq", "Bp", "Bq"]
    small = crossed("p  q  all", "A  3  0  3", "B  40 50 90", "all 43 50 93")
    shown = disclosure.suppress(small, by=["tier", "city"], total="all")
    assert "Aall" in hidden_cells(shown, "tier", "city")  # the total of the row is small itself
    audited = disclosure.audit(small, shown, by=["tier", "city"], total="all")
    assert (audited["high"] - audited["low"]).min() >= 1


COUNTS = st.integers(0, 12) | st.integers(0, 200)


@settings(max_examples=150, deadline=None)
@given(st.integers(2, 5).flatmap(
    lambda width: st.lists(st.lists(COUNTS, min_size=width, max_size=width),
                           min_size=2, max_size=5)), st.integers(2, 9))  # fmt: skip
def test_no_hidden_cell_of_any_table_can_be_worked_out(rows, least):
    values = np.array(rows)
    cells = [(f"r{i}", f"c{j}", n) for (i, j), n in np.ndenumerate(values)]
    frame = pd.DataFrame(cells, columns=["row", "column", "customers"])
    by = ["row", "column"]
    shown = disclosure.suppress(frame, by=by, least=least)
    left = shown["customers"].dropna()
    assert not left.between(1, least - 1).any()
    shuffled = disclosure.suppress(frame.sample(frac=1, random_state=0), by=by, least=least)
    assert hidden_cells(shuffled, *by) == hidden_cells(shown, *by)
    merged = frame.assign(gone=frame.set_index(by).index.isin(
        shown[shown["customers"].isna()].set_index(by).index))  # fmt: skip
    for name in by:  # the hidden cells of a line: none, or two and enough, or all it has
        for _, line in merged.groupby([n for n in by if n != name]):
            gone = line[line["gone"]]
            assert len(gone) in (0, len(line)) or (
                len(gone) > 1 and gone["customers"].sum() >= least
            )
    audited = disclosure.audit(frame, shown, by=by)
    fixed = audited[audited["high"] - audited["low"] < 1]
    whole = merged.groupby("row")["gone"].transform("all") | (
        merged.groupby("column")["gone"].transform("all")
    )
    cornered = merged[whole & merged["gone"]].set_index(by).index
    assert fixed.set_index(by).index.isin(cornered).all()  # only where all was hidden already


TIERS = crossed("a b c d", "a 97 24 39 2", "b 20 317 125 35", "c 32 111 505 274",
                "d 0 4 103 582")  # fmt: skip
MOVED = np.select(
    [TIERS["tier"] == TIERS["city"], TIERS["tier"] < TIERS["city"]], ["stayed", "down"], "up"
)


def test_where_totals_of_groups_are_told_the_cells_of_fewest_customers_are_hidden_for_them():
    by, moves = ["tier", "city"], TIERS.assign(move=MOVED)
    plain = disclosure.suppress(moves, by=by)
    assert hidden_cells(plain, *by) == ["ab", "ad", "db", "dd"]
    told = disclosure.audit(moves, plain, by=by, groups=["move"])
    assert (told["high"] == told["low"]).all()  # how many stayed gives dd away, and so the rest
    shown = disclosure.suppress(moves.iloc[::-1], by=by, groups=["move"])
    assert hidden_cells(shown, *by) == ["ab", "ad", "bc", "bd", "db", "dc"]
    told = disclosure.audit(moves, shown, by=by, groups=["move"])
    assert (told["high"] - told["low"]).min() >= 1


def test_a_group_without_a_name_has_no_total():
    by, bare = ["city"], listed({"a": 3, "b": 40, "c": 50, "d": 60}, kind=["x", "x", "y", None])
    assert hidden_cells(disclosure.suppress(bare, by=by, groups=["kind"]), *by) == ["a", "b"]


@settings(max_examples=100, deadline=None)
@given(st.lists(COUNTS, min_size=9, max_size=9), st.lists(st.sampled_from("xyz"), min_size=9,
       max_size=9), st.integers(2, 9))  # fmt: skip
def test_no_hidden_cell_can_be_worked_out_from_totals_of_groups_either(counts, labels, least):
    names = [(row, column) for row in "ABC" for column in "pqr"]
    frame = pd.DataFrame(names, columns=["tier", "city"]).assign(customers=counts, group=labels)
    by = ["tier", "city"]
    shown = disclosure.suppress(frame, by=by, least=least, groups=["group"])
    gone = shown.set_index(by)["customers"].isna().reindex(frame.set_index(by).index).to_numpy()
    audited = disclosure.audit(frame, shown, by=by, groups=["group"])
    fixed = audited[audited["high"] - audited["low"] < 1].set_index(by).index
    cornered = np.zeros(len(frame), bool)
    for name in ("tier", "city", "group"):  # only where a whole line was hidden already
        cornered |= frame.assign(gone=gone).groupby(name)["gone"].transform("all").to_numpy()
    assert fixed.isin(frame[cornered & gone].set_index(by).index).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(COUNTS, min_size=2, max_size=9), st.integers(2, 9))
def test_what_is_hidden_in_a_list_may_each_be_none_or_many(counts, least):
    frame = listed({f"c{n}": count for n, count in enumerate(counts)})
    shown = disclosure.suppress(frame, by=["city"], least=least)
    audited = disclosure.audit(frame, shown, by=["city"])
    if len(audited) < len(frame):
        assert (audited["low"] == 0).all()
        assert (audited["high"] >= least).all()


def test_the_audit_finds_a_cell_that_is_alone_in_its_line():
    frame = listed({"a": 40, "b": 3, "c": 9})
    shown = frame.assign(customers=frame["customers"].astype("Int64").mask([False, True, False]))
    assert disclosure.audit(frame, shown, by=["city"])[["low", "high"]].values.tolist() == [[3, 3]]


# ---- parts and single numbers --------------------------------------------------------------


@pytest.mark.parametrize(
    ("agreed", "hidden"),
    [
        ([20, 30, 10], []),
        ([38, 30, 10], ["a", "c"]),  # two did not agree, and the sum of all is known
        ([20, 57, 3], ["b", "c"]),
        ([40, 60, 20], []),  # all is no small group, nor is nobody
    ],
)
def test_a_part_is_hidden_where_it_or_its_rest_is_small(agreed, hidden):
    frame = listed({"a": 40, "b": 60, "c": 20}, agreed=agreed)
    shown = disclosure.suppress_part(frame, part="agreed", by=["city"])
    assert shown.loc[shown["agreed"].isna(), "city"].tolist() == hidden
    assert shown["customers"].tolist() == [40, 60, 20]


def test_a_share_is_a_part_too_and_a_hidden_cell_has_none():
    frame = listed({"a": 40, "b": 100, "c": 3}, filled_share=[0.95, 0.5, 1.0])
    cells = disclosure.suppress(frame, by=["city"], hide=[], along=[])
    shown = disclosure.suppress_part(cells, part="filled_share", by=["city"], along=[])
    assert shown["filled_share"].tolist()[1:2] == [0.5]
    assert shown["filled_share"].isna().tolist() == [True, False, True]
    assert disclosure.hidden(shown) == 2


# ---- what a page may show ------------------------------------------------------------------


def test_a_count_of_customers_that_nobody_looked_at_is_refused_by_tables_and_charts():
    words = {"title": "Cities", "alt": "Bars"}
    with pytest.raises(disclosure.DisclosureError, match=r"count=\"customers\", by="):
        plots.bars(listed(CITIES), "customers", "city", **words)
    with pytest.raises(disclosure.DisclosureError):
        plots.pairs(listed(CITIES, share=0.5), "city", ["share"], **words)
    drawn = plots.bars(
        disclosure.suppress(listed(CITIES), by=["city"]), "customers", "city", **words
    )
    assert drawn["note"]["values"]["hidden"] == 2
    values = {row["city"]: row["customers"] for row in drawn["spec"]["data"]["values"]}
    assert values == {"a": 40, "b": None, "c": 9, "d": 0, "e": None}


def test_what_was_looked_at_with_a_smaller_limit_is_refused():
    shown = disclosure.suppress(listed(CITIES), by=["city"], least=3)
    disclosure.refuse(shown[["city", "customers"]].head(2), 3)
    with pytest.raises(disclosure.DisclosureError):
        disclosure.refuse(shown, 5)


def test_a_table_says_how_many_cells_are_hidden():
    from crm import wording

    said = disclosure.note(disclosure.suppress(listed(CITIES), by=["city"]))["note"]
    assert wording.fill(**said).startswith("2 cells are hidden (–): under 5 customers")
    assert disclosure.note(listed(CITIES)) == {}


def tables_and_charts(folder) -> list[tuple[str, list[dict]]]:
    """Rows of every table and chart of the executed notebooks of a run."""
    found = []
    for path in sorted((folder / "reports/notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for data in (output.get("data", {}) for output in cell.get("outputs", [])):
                if table := data.get("application/vnd.crm.table+json"):
                    names = [column["id"] for column in table["columns"]]
                    rows = [dict(zip(names, row, strict=True)) for row in table["rows"]]
                    found.append((f"{path.stem}: {table['title']}", rows))
                if chart := data.get("application/vnd.crm.chart+json"):
                    rows = chart["spec"]["data"]["values"]
                    found.append((f"{path.stem}: {chart['title']}", rows))
    return found


def test_no_page_of_the_demo_shows_a_small_cell(demo):
    run = json.loads((demo / "data/staged/run.json").read_text(encoding="utf-8"))
    assert run["min_cell"] == 5
    counted = [
        (title, name, row[name])
        for title, rows in tables_and_charts(demo)
        for row in rows
        for name in disclosure.COUNTS
        if row.get(name) is not None
    ]
    assert len({title for title, _, _ in counted}) > 5
    assert [one for one in counted if 0 < one[2] < 5] == []
