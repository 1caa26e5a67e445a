"""Vega-Lite charts as SVG: one style, the same bytes on every machine.

Vega measures text to place labels, with whatever fonts it finds. It is told to measure with
a small font of our own: the widths of Arial and Helvetica, which the finished SVG asks for,
and square Chinese characters. What is installed on a machine then changes nothing.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

VERSION = "6.4"  # of Vega-Lite, among those that vl-convert carries
MEASURED = "CRM Measure"  # made by site/measure/make.py
SHOWN = (
    "Helvetica Neue, Helvetica, Arial, Liberation Sans, "
    "PingFang SC, Microsoft YaHei, Noto Sans CJK SC, sans-serif"
)

# the site's style.css turns each of these into its dark twin, by attribute
INK, MUTED, GRID = "#1a2029", "#5a6573", "#e1e5ea"
PALETTE = [  # Okabe–Ito without black and yellow, the palest on white; told apart by all
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#56b4e9",
    "#8a8f98",
]
NARROW = 480  # below this width labels get less room


def svg(spec: dict, *, width: int, currency: str = "") -> str:
    """The chart as SVG text, `width` pixels wide including its axes.

    Facets and concatenations keep the widths they state, as Vega-Lite cannot fit them.
    A `$` in a number format of the spec stands for the symbol of the currency.
    """
    drawn = _converter().vegalite_to_svg(
        _fitted(spec, width),
        vl_version=VERSION,
        config=config(width) | _legend(spec, width),
        format_locale=_locale(currency),
        allowed_base_urls=[],  # a chart carries its data; nothing is ever fetched
    )
    return _own_ids(_rounded(_shown_fonts(drawn)))


@cache
def _converter():
    import vl_convert

    vl_convert.register_font_directory(str(Path(__file__).parent / "site/measure"))
    return vl_convert


def config(width: int) -> dict:
    """The Vega-Lite config that makes charts look alike, for a chart this wide."""
    narrow = width < NARROW
    text = _text(width)
    return {
        "background": "transparent",
        "font": MEASURED,
        "padding": {"left": 1, "right": 8, "top": 4, "bottom": 2},
        "title": _TITLE | {"fontSize": text["titleFontSize"] + 3, "limit": width - 10},
        "view": {"stroke": "transparent", "continuousHeight": 250 if narrow else 300},
        "axis": text | _AXIS | {"labelLimit": 128 if narrow else 260},
        "axisX": _AXIS_X,
        "axisY": _AXIS_Y,
        "axisQuantitative": {"tickCount": 4 if narrow else 6, "domain": False},
        "axisTemporal": {"grid": False, "tickCount": 4 if narrow else 8},
        "axisBand": {"grid": False, "domain": False},
        "header": text | {"labelColor": INK, "titleColor": MUTED},
        "range": _RANGES,
        "scale": {"bandPaddingInner": 0.28, "bandPaddingOuter": 0.1},
        **_marks(text["labelFontSize"]),
    }


def _text(width: int) -> dict:
    """Sizes at which text stays readable when the page shrinks the chart a little."""
    size = 12 if width < NARROW else 13
    return {"labelFontSize": size, "titleFontSize": size, "titleFontWeight": "normal"}


_RANGES = {
    "category": PALETTE,
    "ordinal": {"scheme": "blues"},
    "ramp": {"scheme": "blues"},
    "heatmap": {"scheme": "blues"},
    "diverging": {"scheme": "blueorange"},
}
_TITLE = {
    "anchor": "start",
    "color": INK,
    "fontWeight": "bold",
    "frame": "group",
    "offset": 14,
}
_AXIS = {
    "labelColor": MUTED,
    "titleColor": MUTED,
    "gridColor": GRID,
    "domainColor": MUTED,
    "tickColor": GRID,
    "ticks": False,
    "labelPadding": 7,
}
_AXIS_X = {
    "titlePadding": 10,
    "labelFlush": True,
    "labelOverlap": "parity",
    "labelSeparation": 10,
}
_AXIS_Y = {  # the title lies flat above the axis, where it is read first
    "titleAngle": 0,
    "titleAlign": "left",
    "titleAnchor": "end",
    "titleBaseline": "bottom",
    "titleX": 0,
    "titleY": -9,
    "domain": False,
}
_LEGEND = {
    "labelColor": INK,
    "titleColor": MUTED,
    "orient": "top",
    "direction": "horizontal",
    "symbolType": "circle",
    "symbolSize": 90,
    "symbolStrokeWidth": 0,
    "labelLimit": 150,
}


def _legend(spec: dict, width: int) -> dict:
    """The legend stands above the title of the y axis, or close to the marks if there is none."""
    is_titled = spec.get("encoding", {}).get("y", {}).get("title", "") is not None
    place = {"offset": 30 if is_titled else 12, "columns": _legend_columns(spec, width)}
    return {"legend": _LEGEND | _text(width) | place}


def _legend_columns(spec: dict, width: int) -> int:
    """One row if its names fit, by their number of letters; else two names a row on a phone."""
    field = spec.get("encoding", {}).get("color", {}).get("field")
    rows = (spec.get("data") or {}).get("values") or []
    names = {str(row.get(field)) for row in rows if isinstance(row, dict)}
    letters = [len(name) + sum(letter > "\u2e80" for letter in name) for name in names]
    if sum(34 + 7 * min(count, 22) for count in letters) < width:
        return max(len(names), 1)
    return 2 if width < NARROW else 4


def _marks(size: int) -> dict:
    """Defaults of the marks; lines get unseen points, so that each value answers the pointer."""
    blue = PALETTE[0]
    return {
        "mark": {"color": blue},
        "bar": {"color": blue},  # no rounded ends: with them Vega-Lite loses binned bars
        "line": {
            "color": blue,
            "strokeWidth": 2.25,
            "strokeCap": "round",
            "strokeJoin": "round",
            "point": {"opacity": 0, "size": 60},
        },
        "area": {"color": blue, "fillOpacity": 0.75, "point": {"opacity": 0, "size": 60}},
        "point": {"color": blue, "filled": True, "size": 36, "opacity": 0.6},
        "circle": {"color": blue, "size": 36, "opacity": 0.6},
        "rule": {"color": MUTED},
        "text": {"color": INK, "fontSize": size},
    }


def _fitted(spec: dict, width: int) -> dict:
    encoding = spec.get("encoding", {})
    several = {"hconcat", "vconcat", "concat", "facet", "repeat"} & spec.keys()
    if several or {"facet", "row", "column"} & encoding.keys():
        return spec
    fitted = spec | {"width": width, "autosize": {"type": "fit-x", "contains": "padding"}}
    is_banded = encoding.get("y", {}).get("type") in ("nominal", "ordinal")
    if is_banded and "yOffset" not in encoding:
        return {"height": {"step": 30}} | fitted  # bars that a finger can meet
    return fitted


def _locale(currency: str) -> dict:
    from crm.wording import SYMBOLS

    symbol = SYMBOLS.get(currency, f"{currency} " if currency else "")
    return {"decimal": ".", "thousands": ",", "grouping": [3], "currency": [symbol, ""]}


def _shown_fonts(drawn: str) -> str:
    bare = drawn.replace(f' font-family="{MEASURED}"', "")
    return bare.replace("<svg ", f'<svg font-family="{SHOWN}" ', 1)


def _rounded(drawn: str) -> str:
    """Coordinates to a hundredth of a pixel: last bits of floats differ between processors."""
    places = r'(?<= )(?:transform|d|[xy][12]?|width|height)="[^"]*"'
    return re.sub(places, lambda m: re.sub(r"\d+\.\d{3,}", _hundredth, m[0]), drawn)


def _hundredth(match: re.Match) -> str:
    return f"{float(match[0]):.2f}".rstrip("0").rstrip(".")


def _own_ids(drawn: str) -> str:
    """Ids that depend on the drawing alone, so that several fit into one page.

    Vega counts clips and gradients from the start of its process.
    """
    found = list(dict.fromkeys(re.findall(r'\bid="([^"]+)"', drawn)))
    for place, old in enumerate(found):
        drawn = re.sub(
            rf'(id="|url\(#|href="#){re.escape(old)}(?=["\)])', rf"\g<1>@{place}", drawn
        )
    mark = hashlib.sha256(drawn.encode()).hexdigest()[:8]
    return re.sub(r'(id="|url\(#|href="#)@(\d+)', rf"\g<1>c{mark}-\g<2>", drawn)
