"""Chart specifications in Vega-Lite: plain data, one message each, one style.

Each function returns `{"title", "alt", "spec"}`. Title and alt text are messages whose places are
filled with metrics; the title states the finding. Colours, fonts and sizes are the site's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crm import disclosure
from crm.wording import column_form, label

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = {"money": "$~s", "int": ",.0f", "pct": ".0%", "num": ",~f", "num2": ",~f"}
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


def _chart(frame, fields: list[str], mark, encoding: dict, title: str, alt: str) -> dict:
    disclosure.refuse(frame)
    drawn = frame[fields].astype(object)
    rows = drawn.mask(drawn.isna(), None).itertuples(index=False)
    values = [
        {name: _plain(value) for name, value in zip(fields, row, strict=True)} for row in rows
    ]
    spec = {"data": {"values": values}, "mark": mark, "encoding": encoding}
    return {"title": title, "alt": alt, "spec": spec}


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
