"""The cells of an executed notebook as blocks: plain data that the templates show."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

from markupsafe import Markup

from crm import chart, wording
from crm.site.source import SiteError
from crm.site.text import Writer

WIDE, NARROW = 720, 340  # pixels: a chart on a desk, a chart on a phone
SHORT = 12  # rows of a long table before "show all"
WHOLE = 16  # rows up to which a table is shown whole
WORDS = 24  # letters up to which a cell stays on one line
LONG = 100  # letters from which a cell is wide on a phone, too, rather than high
DATA_ROWS = 500  # rows of a chart's data written into the page
MIME = "application/vnd.crm."
TOLD = "described"  # column with the description of a mark
DRAWN = {  # elements of a chart
    "svg",
    "g",
    "path",
    "rect",
    "line",
    "circle",
    "text",
    "tspan",
    "defs",
    "clipPath",
    "title",
    "linearGradient",
    "radialGradient",
    "stop",
}
FOLDS = {"code": [], "data": None}  # what every block may have folded under it
BACKSTAGE = {"plumbing", "parameters", "injected-parameters"}


def source(cell: dict) -> str:
    """The text of a cell, which nbformat keeps as text or as lines."""
    return "".join(cell.get("source", ""))


def tags(cell: dict) -> set[str]:
    return set(cell.get("metadata", {}).get("tags", []))


def outputs(writer: Writer, cell: dict) -> list[dict]:
    """The blocks of a cell's outputs."""
    found = [block for output in cell.get("outputs", []) for block in _block(writer, output)]
    return [FOLDS | block for block in found]


def folded(parts: list[Markup]) -> dict:
    """A block of code alone, folded."""
    return FOLDS | {"kind": "text", "text": "", "code": list(parts)}


def code(cell: dict) -> Markup:
    """The cell's source, highlighted."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return Markup(highlight(source(cell), PythonLexer(), HtmlFormatter(nowrap=True)).rstrip())


def table(writer: Writer, columns: list[dict], rows: list[list], total: int | None = None) -> dict:
    """A table block; numbers are right-aligned and carry their raw value for sorting."""
    for row in rows:
        if len(row) != len(columns):
            raise SiteError(
                f"stage {writer.stage!r}: a table has {len(columns)} columns "
                f"but a row of {len(row)} values"
            )
    heads = [
        {"label": c.get("label") or wording.label(c["id"]), "number": _is_number(c, rows, place)}
        for place, c in enumerate(columns)
    ]
    return {
        "kind": "table",
        "title": "",
        "note": "",
        "heads": heads,
        "short": SHORT if len(rows) > WHOLE else len(rows),
        "rows": [[_cell(writer, v, c) for v, c in zip(row, columns, strict=True)] for row in rows],
        "total": len(rows) if total is None else total,
    }


def _cell(writer: Writer, value, column: dict) -> dict:
    form = column.get("form", "")
    text = writer.value(value, form)
    if isinstance(value, bool):
        return {"text": text, "sort": int(value), "state": text}
    if value is None or value != value:
        return {"text": text, "sort": "", "state": "none"}
    is_date = form in ("date", "month")
    sort = value if is_date or isinstance(value, (int, float)) else None
    state = "day" if is_date else "words" if len(text) > WORDS else ""
    state += " long" if len(text) > LONG else ""
    return {"text": text, "sort": sort, "state": state}


def _is_number(column: dict, rows: list[list], place: int) -> bool:
    found = [row[place] for row in rows if row[place] is not None]
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in found)
    return bool(found) and numbers


def _block(writer: Writer, output: dict) -> Iterator[dict]:
    if output.get("output_type") == "error":
        raise SiteError(
            f"the notebook of stage {writer.stage!r} ends in an error "
            f"({output.get('ename')}): run `dvc repro {writer.stage}`"
        )
    data = output.get("data", {})
    makers = {"say": _say, "tiles": _tiles, "table": _table, "chart": _chart, "stage": _facts}
    for kind, make in makers.items():
        if f"{MIME}{kind}+json" in data:
            yield make(writer, data[f"{MIME}{kind}+json"])
            return
    text = "".join(data.get("text/plain", "")) or _printed(output)
    if text.strip():
        yield {"kind": "text", "text": text.rstrip()}


def _printed(output: dict) -> str:
    """Standard output; warnings on standard error name paths and are left out."""
    return "".join(output.get("text", "")) if output.get("name") == "stdout" else ""


def _say(writer: Writer, data: dict) -> dict:
    html = writer.html(data["message"], data["values"], data.get("stage"))
    return {"kind": "say", "html": html, "asks": data["message"].startswith("**")}


def _tiles(writer: Writer, data: dict) -> dict:
    stage = data.get("stage")
    tiles = [
        {"label": tile["label"]}
        | {k: writer.html(tile.get(k, ""), tile["values"], stage) for k in ("message", "note")}
        for tile in data["tiles"]
    ]
    return {"kind": "tiles", "tiles": tiles}


def _table(writer: Writer, data: dict) -> dict:
    block = table(writer, data["columns"], data["rows"], data.get("total"))
    title = writer.html(data.get("title", ""), data.get("values", {}), data.get("stage"))
    return block | {"title": title, "note": _note(data)}


def _note(data: dict) -> str:
    """What is said of cells that are hidden; nothing if none are."""
    return wording.fill(**data["note"]) if "note" in data else ""


def _chart(writer: Writer, data: dict) -> dict:
    values, stage = data.get("values", {}), _stage_of(writer, data)
    spec = {k: v for k, v in data["spec"].items() if k != "title"}
    columns = data.get("columns") or _columns(_values(spec))
    spec = _described(writer, spec, columns)
    return {
        "kind": "chart",
        "title": writer.html(data["title"], values, stage),
        "alt": writer.plain(data.get("alt") or data["title"], values, stage),
        "note": _note(data),
        "data": _chart_data(writer, columns, _values(data["spec"])),
        "wide": _svg(writer, spec, WIDE),
        "narrow": _svg(writer, spec, NARROW),
    }


def _facts(writer: Writer, data: dict) -> dict:
    return {"kind": "facts", "facts": data}


def _stage_of(writer: Writer, data: dict) -> str:
    """Charts name their stage as `source`."""
    named = data.get("stage") or data.get("source")
    return named if named in writer.site.stages else writer.stage


def _svg(writer: Writer, spec: dict, width: int) -> Markup:
    drawn = chart.svg(spec, width=width, currency=writer.currency)
    for element in ElementTree.fromstring(drawn).iter():
        name = element.tag.rpartition("}")[2]
        if name not in DRAWN or any(_leads_out(*pair) for pair in element.items()):
            raise SiteError(
                f"stage {writer.stage!r}: a chart draws <{name}> "
                f"{dict(element.items())}; links, images and scripts have no place "
                "in the charts of a page"
            )
    return Markup(drawn)


def _leads_out(attribute: str, value: str) -> bool:
    """Whether an attribute runs something or fetches something."""
    name = attribute.rpartition("}")[2].lower()
    return name.startswith("on") or (name == "href" and not value.startswith("#"))


def _chart_data(writer: Writer, columns: list[dict], rows: list[dict]) -> dict | None:
    shown = [[row.get(c["id"]) for c in columns] for row in rows[:DATA_ROWS]]
    return table(writer, columns, shown, len(rows)) if rows else None


def _columns(rows: list[dict]) -> list[dict]:
    ids = dict.fromkeys(key for row in rows for key in row if not key.startswith("_"))
    return [{"id": column, "form": _form(column, rows)} for column in ids]


def _described(writer: Writer, spec: dict, columns: list[dict]) -> dict:
    """The spec whose marks are described in our words and forms; the script shows them on hover.

    Where the spec itself computes what a mark stands for, Vega's own description stays.
    """
    rows = (spec.get("data") or {}).get("values")
    if not isinstance(rows, list) or "encoding" not in spec or _computes(spec):
        return spec
    told = [
        row
        | {
            TOLD: "; ".join(
                f"{wording.label(c['id'])}: {writer.value(row.get(c['id']), c.get('form', ''))}"
                for c in columns
            )
        }
        for row in rows
    ]
    encoding = spec["encoding"] | {"description": {"field": TOLD, "type": "nominal"}}
    return spec | {"data": spec["data"] | {"values": told}, "encoding": encoding}


def _computes(spec) -> bool:
    """Whether any part of the spec makes other rows of the rows it is given."""
    if isinstance(spec, list):
        return any(_computes(part) for part in spec)
    if not isinstance(spec, dict):
        return False
    bins = spec.get("bin") not in (None, False, "binned") and spec["bin"] != {"binned": True}
    if bins or spec.get("aggregate") or spec.get("transform"):
        return True
    return any(_computes(part) for key, part in spec.items() if key != "data")


def _values(spec: dict) -> list[dict]:
    """The first inline data of the spec, at its top or in a part of it."""
    data = spec.get("data") or {}
    found = data.get("values") or spec.get("datasets", {}).get(data.get("name")) or []
    for key in ("layer", "hconcat", "vconcat", "concat"):
        for part in spec.get(key, []):
            found = found or _values(part | {"datasets": spec.get("datasets", {})})
    return [row for row in found if isinstance(row, dict)]


def _form(column: str, rows: list[dict]) -> str:
    kinds = {type(row.get(column)) for row in rows} - {type(None)}
    kind = {frozenset({int}): "i", frozenset({float}): "f", frozenset({int, float}): "f"}
    return wording.column_form(column, kind.get(frozenset(kinds), "O"))
