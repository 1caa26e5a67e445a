"""Chart specifications in Vega-Lite: plain data, one message each, one style.

Each function returns `{"title", "alt", "spec"}`, and a note where cells of few customers are
hidden; a frame that counts customers goes through `disclosure.suppress` first. Title and alt text
are messages whose places are filled with metrics; the title states the finding. Colours, fonts and
sizes are the site's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crm import disclosure
from crm.wording import column_form, label

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = {"money": "$~s", "int": ",.0f", "pct": ".0%", "num": ",~f", "num2": ",~f"}
LABEL = 200  # pixels: a long name, and room for a network beside it on a phone
FEW = 6  # as many labels as an axis usually has


def bars(frame: pd.DataFrame, x: str, y: str, *, title: str, alt: str, by: str = "") -> dict:
    """Horizontal bars: one category a row, in the order of the frame; `by` stacks and colours."""
    order = [str(v) for v in dict.fromkeys(frame[y])]
    encoding = {
        "y": {"field": y, "type": "nominal", "sort": order, "title": None},
        "x": _quantity(frame, x),
    }
    if by:
        encoding["color"] = _colour(frame, by)
    return _chart(frame, [y, x, *([by] if by else [])], "bar", encoding, title, alt)


def columns(frame: pd.DataFrame, x: str, y: str, *, title: str, alt: str, by: str = "") -> dict:
    """Vertical bars over months; `by` stacks and colours, in the order of the frame."""
    encoding = {"x": _months(x), "y": _quantity(frame, y)}
    if by:
        encoding["color"] = _colour(frame, by)
        names = list(dict.fromkeys(frame[by]))
        encoding["order"] = {"field": "_order", "type": "quantitative"}
        frame = frame.assign(_order=frame[by].map(names.index))
    shown = [x, y, *([by, "_order"] if by else [])]
    return _chart(frame, shown, "bar", encoding, title, alt)


def pairs(frame: pd.DataFrame, y: str, measures: list[str], *, title: str, alt: str) -> dict:
    """Horizontal bars of two or more measures side by side for each category."""
    disclosure.refuse(frame)
    long = frame.melt([y], measures, "measure", "share")
    long = long.assign(measure=long["measure"].map(label))
    long.attrs = frame.attrs
    encoding = {
        "y": {"field": y, "type": "nominal", "sort": list(frame[y]), "title": None},
        "yOffset": {"field": "measure", "sort": [label(m) for m in measures]},
        "x": _quantity(long, "share") | {"title": None, "axis": {"format": ".0%"}},
        "color": _colour(long, "measure"),
    }
    return _chart(long, [y, "measure", "share"], "bar", encoding, title, alt)


def lines(frame: pd.DataFrame, x: str, y: str, *, title: str, alt: str, by: str = "") -> dict:
    """A line over months, one for each value of `by`."""
    encoding = {"x": _months(x), "y": _quantity(frame, y)}
    if by:
        encoding["color"] = _colour(frame, by)
    mark = {"type": "line", "point": True}
    return _chart(frame, [x, y, *([by] if by else [])], mark, encoding, title, alt)


def curve(frame: pd.DataFrame, x: str, y: str, *, title: str, alt: str, points: int = 200) -> dict:
    """A curve between two measures, thinned to at most `points` points, ends kept."""
    step = max(1, -(-len(frame) // points))
    thin = frame.iloc[sorted({*range(0, len(frame), step), *range(len(frame))[-1:]})]
    encoding = {"x": _quantity(frame, x), "y": _quantity(frame, y)}
    return _chart(thin, [x, y], {"type": "line"}, encoding, title, alt)


def histogram(
    frame: pd.DataFrame, x: str, *, title: str, alt: str, width: float, limit: float, least: int
) -> dict:
    """Customers in equal bins of `width`; values from `limit` on share the last bin.

    Bins of under `least` customers are hidden.
    """
    binned = (frame[x].clip(upper=limit) // width * width).rename("from")
    counts = binned.value_counts().sort_index().rename("customers").reset_index()
    counts["to"] = counts["from"] + width
    counts = disclosure.suppress(counts, by=["from"], hide=[], least=least)
    encoding = {
        "x": {"field": "from", "type": "quantitative", "bin": {"binned": True}, "title": label(x)},
        "x2": {"field": "to"},
        "y": _quantity(counts, "customers"),
    }
    return _chart(counts, ["from", "to", "customers"], "bar", encoding, title, alt)


def network(frame: pd.DataFrame, one: str, other: str, *, by: str, title: str, alt: str) -> dict:
    """Which name goes with which: names in rows, each pair of them joined by a bracket.

    Names that are joined stand near each other, in the order of the frame; brackets that would
    cover each other stand apart. Places are whole numbers, so the picture is the same anywhere.
    """
    pairs = [(str(a), str(b)) for a, b in zip(frame[one], frame[other], strict=True)]
    names = _neighbours(pairs)
    depths = _depths([sorted(map(names.index, pair)) for pair in pairs])
    drawn = frame.assign(_depth=depths, _start=0)
    from_, to, start, depth = ({"field": name} for name in (one, other, "_start", "_depth"))
    rows = {"type": "ordinal", "title": None, "axis": {"labelLimit": LABEL, "grid": False},
            "scale": {"type": "point", "domain": names, "padding": 0.5}}  # fmt: skip
    places = {"type": "quantitative", "axis": None}
    edge = {"x": start | places, "x2": depth}
    lines = [
        edge | {"y": from_ | rows},
        edge | {"y": to | rows},
        {"x": depth | places, "y": from_ | rows, "y2": to},
    ]
    ends = [{"x": start | places, "y": name | rows} for name in (from_, to)]
    layers = [{"mark": {"type": "rule", "strokeWidth": 2}, "encoding": line} for line in lines]
    layers += [{"mark": {"type": "circle", "size": 60, "opacity": 1}, "encoding": e} for e in ends]
    shown = [name for name in frame.columns if name not in (one, other, by)]
    chart = _chart(drawn, [one, other, by, *shown, "_start", "_depth"], None, {}, title, alt)
    colour = _colour(frame, by) | {"legend": {"columns": 1}}  # it begins where long names end
    spec = chart["spec"] | {"layer": layers, "encoding": {"color": colour}}
    del spec["mark"]
    return chart | {"spec": spec | {"height": {"step": 24}}}


def _neighbours(pairs: list[tuple[str, str]]) -> list[str]:
    """All names, each group of joined ones together, walked from an end of it."""
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    near = {n: [b if a == n else a for a, b in pairs if n in (a, b)] for n in names}
    groups: list[list[str]] = []
    for name in names:
        if not any(name in group for group in groups):
            group = _walked(name, near)
            groups.append(_walked(min(group, key=lambda n: len(near[n])), near))
    return [name for group in groups for name in group]


def _walked(start: str, near: dict[str, list[str]]) -> list[str]:
    """The names that a walk along pairs reaches, in the order of the walk, deep first."""
    seen: list[str] = []
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.append(name)
            waiting += reversed(near[name])
    return seen


def _depths(spans: list[list[int]]) -> list[int]:
    """For each span of rows a depth at which no other span covers or touches it, short ones first.

    Examples
    --------
    >>> _depths([[0, 3], [0, 1], [2, 3], [4, 5]])
    [2, 1, 1, 1]
    """
    found: dict[int, int] = {}
    for place in sorted(range(len(spans)), key=lambda p: (spans[p][1] - spans[p][0], p)):
        low, high = spans[place]
        taken = {found[p] for p in found if spans[p][0] <= high and low <= spans[p][1]}
        found[place] = next(depth for depth in range(1, len(spans) + 2) if depth not in taken)
    return [found[place] for place in range(len(spans))]


def _chart(frame, fields: list[str], mark, encoding: dict, title: str, alt: str) -> dict:
    disclosure.refuse(frame)
    drawn = frame[fields].astype(object)
    rows = drawn.mask(drawn.isna(), None).itertuples(index=False)
    values = [
        {name: _plain(value) for name, value in zip(fields, row, strict=True)} for row in rows
    ]
    spec = {"data": {"values": values}, "mark": mark, "encoding": encoding}
    return {"title": title, "alt": alt, "spec": spec, **disclosure.note(frame)}


def _quantity(frame: pd.DataFrame, name: str) -> dict:
    form = column_form(name, frame[name].dtype.kind)
    top = 0 if frame[name].isna().all() else frame[name].max()
    few = {"tickCount": int(top)} if form == "int" and 0 < top < FEW else {}  # no half customers
    return {
        "field": name,
        "type": "quantitative",
        "title": label(name),
        "axis": {"format": NUMBERS.get(form, "~s"), **few},
    }


def _months(name: str) -> dict:
    return {
        "field": name,
        "type": "ordinal",
        "timeUnit": "utcyearmonth",
        "title": None,
        "axis": {"format": "%b %y", "labelAngle": 0, "labelOverlap": True},
    }


def _colour(frame, by: str) -> dict:
    names = list(dict.fromkeys(frame[by]))
    return {"field": by, "type": "nominal", "sort": names, "title": None}


def _plain(value):
    if value is None or value != value:
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()[:10]
    if hasattr(value, "item"):
        value = value.item()
    return float(f"{value:.12g}") if isinstance(value, float) else value
