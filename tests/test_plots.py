"""Each chart is plain data: what is drawn, in which order, and nothing invented."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from crm import chart, plots

WORDS = {"title": "{n} sold", "alt": "What was sold"}
MONTHS = pd.to_datetime(["2023-01-01", "2023-01-01", "2023-02-01"])
SALES = pd.DataFrame({"month": MONTHS, "sales": [3.0, 1.0, 2.5], "who": ["old", "new", "old"]})
TIERS = pd.DataFrame(
    {"tier": ["b", "a"], "customer_share": [0.75, 0.25], "spend_share": [0.4, 0.6]}
)


def values(chart: dict) -> list[dict]:
    return chart["spec"]["data"]["values"]


def encoding(chart: dict, channel: str) -> dict:
    return chart["spec"]["encoding"][channel]


def test_title_and_alt_text_are_messages_apart_from_the_specification():
    chart = plots.bars(TIERS, "spend_share", "tier", **WORDS)
    assert (chart["title"], chart["alt"]) == (WORDS["title"], WORDS["alt"])
    assert "title" not in chart["spec"]


def test_bars_stand_in_the_order_of_the_rows():
    chart = plots.bars(TIERS, "spend_share", "tier", **WORDS)
    assert values(chart) == [{"tier": "b", "spend_share": 0.4}, {"tier": "a", "spend_share": 0.6}]
    assert encoding(chart, "y")["sort"] == ["b", "a"]
    assert encoding(chart, "x")["axis"]["format"] == ".0%"


def test_bars_of_one_category_are_stacked_by_colour():
    chart = plots.bars(SALES, "sales", "month", by="who", **WORDS)
    assert encoding(chart, "color")["sort"] == ["old", "new"]


def test_columns_stack_in_the_order_of_the_rows():
    chart = plots.columns(SALES, "month", "sales", by="who", **WORDS)
    assert [(v["who"], v["_order"]) for v in values(chart)] == [("old", 0), ("new", 1), ("old", 0)]
    assert values(chart)[0]["month"] == "2023-01-01"
    assert list(SALES.columns) == ["month", "sales", "who"]  # the frame is left as it was


def test_pairs_put_measures_side_by_side():
    chart = plots.pairs(TIERS, "tier", ["customer_share", "spend_share"], **WORDS)
    labels = ["Share of customers", "Share of spend"]
    assert encoding(chart, "yOffset")["sort"] == encoding(chart, "color")["sort"] == labels
    assert {(v["tier"], v["measure"], v["share"]) for v in values(chart)} == {
        ("b", labels[0], 0.75), ("a", labels[0], 0.25),
        ("b", labels[1], 0.4), ("a", labels[1], 0.6),
    }  # fmt: skip


RULES = pd.DataFrame(
    {"who": ["cup", "pot", "tea"], "also": ["plate", "pan", "cup"], "kind": ["x", "y", "x"]}
)


def test_a_network_puts_joined_names_near_each_other_and_brackets_apart():
    chart = plots.network(RULES, "who", "also", by="kind", **WORDS)
    rows = chart["spec"]["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert rows == ["plate", "cup", "tea", "pot", "pan"]  # a chain from its end, then the rest
    assert [(v["who"], v["also"], v["_depth"]) for v in values(chart)] == [
        ("cup", "plate", 1), ("pot", "pan", 1), ("tea", "cup", 2)
    ]  # fmt: skip
    assert encoding(chart, "color")["sort"] == ["x", "y"]


def test_a_network_is_drawn_with_every_name_once_on_a_phone_too():
    for width in (720, 340):
        drawn = chart.svg(plots.network(RULES, "who", "also", by="kind", **WORDS)["spec"],
                          width=width)  # fmt: skip
        assert [drawn.count(f">{name}</text>") for name in ("cup", "plate", "tea", "pan")] == [
            1
        ] * 4


def test_a_circle_of_three_and_a_star_lose_no_name():
    ring = pd.DataFrame({"who": ["a", "b", "c"], "also": ["b", "c", "a"], "kind": "x"})
    star = pd.DataFrame({"who": ["m", "m", "m"], "also": ["p", "q", "r"], "kind": "x"})
    both = plots.network(pd.concat([star, ring]), "who", "also", by="kind", **WORDS)
    rows = both["spec"]["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert rows == ["p", "m", "q", "r", "a", "b", "c"]
    assert [v["_depth"] for v in values(both)] == [1, 2, 3, 1, 2, 3]


def test_lines_have_one_colour_for_each_value():
    chart = plots.lines(SALES, "month", "sales", by="who", **WORDS)
    assert encoding(chart, "color")["field"] == "who"
    assert "color" not in plots.lines(SALES, "month", "sales", **WORDS)["spec"]["encoding"]


@pytest.mark.parametrize("rows", [1, 2, 5, 6, 11, 1000])
def test_a_curve_is_thinned_and_keeps_its_ends(rows):
    frame = pd.DataFrame({"x": range(rows), "y": range(rows)})
    drawn = values(plots.curve(frame, "x", "y", points=5, **WORDS))
    assert (drawn[0]["x"], drawn[-1]["x"]) == (0, rows - 1)
    assert len(drawn) <= 5 + 1


def test_a_curve_keeps_its_ends_whatever_the_index():
    frame = pd.DataFrame({"x": range(50), "y": range(50)}, index=range(1, 100, 2))
    drawn = values(plots.curve(frame, "x", "y", points=5, **WORDS))
    assert (drawn[0]["x"], drawn[-1]["x"]) == (0, 49)


def test_bins_are_equal_half_open_and_the_last_takes_the_rest():
    frame = pd.DataFrame({"recency_days": [40, 0, 14, 15, 900, 30]})
    drawn = values(plots.histogram(frame, "recency_days", width=15, limit=30, least=1, **WORDS))
    assert drawn == [
        {"from": 0, "to": 15, "customers": 2}, {"from": 15, "to": 30, "customers": 1},
        {"from": 30, "to": 45, "customers": 3},
    ]  # fmt: skip


EMPTY = {
    "bars": lambda: plots.bars(TIERS[:0], "spend_share", "tier", **WORDS),
    "columns": lambda: plots.columns(SALES[:0], "month", "sales", by="who", **WORDS),
    "pairs": lambda: plots.pairs(TIERS[:0], "tier", ["customer_share", "spend_share"], **WORDS),
    "lines": lambda: plots.lines(SALES[:0], "month", "sales", by="who", **WORDS),
    "network": lambda: plots.network(RULES[:0], "who", "also", by="kind", **WORDS),
    "curve": lambda: plots.curve(SALES[:0], "sales", "sales", **WORDS),
    "histogram": lambda: plots.histogram(SALES[:0], "sales", width=1, limit=9, least=5, **WORDS),
}


@pytest.mark.parametrize("kind", EMPTY)
def test_an_empty_frame_makes_an_empty_chart(kind):
    assert values(EMPTY[kind]()) == []


def test_a_specification_is_strict_json_with_twelve_digits():
    frame = pd.DataFrame({"tier": ["a", None, "c"], "spend": [0.1 + 0.2, float("nan"), 1.0]})
    chart = plots.bars(frame, "spend", "tier", **WORDS)
    drawn = json.loads(json.dumps(chart["spec"], allow_nan=False))["data"]["values"]
    assert [v["spend"] for v in drawn] == [0.3, None, 1.0]


def test_an_empty_month_is_null_not_text():
    frame = pd.DataFrame({"month": [pd.NaT, MONTHS[0]], "sales": [1.0, 2.0]})
    chart = plots.columns(frame, "month", "sales", **WORDS)
    assert [v["month"] for v in values(chart)] == [None, "2023-01-01"]


@pytest.mark.parametrize("counts", [[70, 186], [1, 2], [0.5, 0.25], [1200, 250_000]])
def test_axes_of_numbers_have_no_exponents_and_no_label_twice(counts):
    frame = pd.DataFrame({"month": pd.to_datetime(["2023-01", "2023-02"]), "issues": counts})
    spec = plots.columns(frame, "month", "issues", **WORDS)["spec"]
    labels = re.findall(r">([\d.,e+]+)</text>", chart.svg(spec, width=600))
    assert labels
    assert not [text for text in labels if "e" in text]
    assert len(set(labels)) == len(labels)
