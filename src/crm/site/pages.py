"""The pages as HTML text: blocks put in the order in which a manager reads."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from markupsafe import Markup

from crm import wording
from crm.site import blocks, picture
from crm.site.source import Site
from crm.site.text import Writer
from crm.tables import TABLES

HERE = Path(__file__).parent
PREPARING = ("data/staged/", "data/clean/", "data/tables/", "data/vault/")
LISTS = "data/features/"  # customer tables that other systems take over
INDEX_TILES = 3  # of each page on the index


def render(site: Site, language: str) -> dict[str, str]:
    """File name below reports/: its HTML."""
    pages = [_page(site, name) for name in site.notebooks]
    shared = _shared(site, pages, language)
    environment = _environment()
    texts = {"index.html": _filled(environment, "index", shared | _index(site, pages))}
    for page, before, after in zip(pages, [None, *pages], [*pages[1:], None], strict=False):
        own = {"page": page, "before": before, "after": after, "up": "../", "here": page["name"]}
        texts[f"pages/{page['name']}.html"] = _filled(environment, "page", shared | own)
    return texts


def _environment():
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _filled(environment, template: str, context: dict) -> str:
    return environment.get_template(f"{template}.html.jinja").render(context) + "\n"


def _shared(site: Site, pages: list[dict], language: str) -> dict:
    style, script = (
        (HERE / name).read_text(encoding="utf-8") for name in ("style.css", "site.js")
    )
    digest = hashlib.sha256(script.encode()).digest()
    return {
        "language": language,
        "run": site.run,
        "title": site.run.get("title") or site.run.get("source", ""),
        "as_of": wording.form(site.run.get("as_of"), "date"),
        "period": _period([page["facts"] for page in pages]),
        "pages": pages,
        "style": Markup(style),
        "script": Markup(script),
        # the page's own script runs, nothing else does, and nothing is fetched
        "script_hash": "sha256-" + base64.b64encode(digest).decode(),
        "up": "",
        "here": "index",
    }


# ---- one analysis ------------------------------------------------------------------------------


def _page(site: Site, name: str) -> dict:
    writer = Writer(site, name)
    title, cells = _titled(site.notebooks[name]["cells"], name)
    parts = _parts(writer, cells)
    facts, story = parts["facts"], _without_empty_sections(parts["story"])
    said = [block["html"] for block in parts["answer"] if block["kind"] == "say"]
    return parts | {
        "name": name,
        "label": page_label(name),
        "title": title,
        "desc": site.stages[name].desc,
        "period": _period([facts]),
        "story": story,
        "toc": _toc(story),
        "asks": [block for block in parts["action"] if block.get("asks")],
        "first": said[0] if said else site.stages[name].desc,
        "made": _made(writer, facts, parts["backstage"]),
        "is_preparing": _is_preparing(site.stages[name].outs),
    }


def page_label(stage: str) -> str:
    """What the navigation calls a stage; short names are abbreviations.

    Examples
    --------
    >>> page_label("rfm"), page_label("churn_scores")
    ('RFM', 'Churn scores')
    """
    return stage.upper() if len(stage) <= 3 else stage.replace("_", " ").capitalize()


def _titled(cells: list[dict], name: str) -> tuple[str, list[dict]]:
    """The first heading and the cells without it."""
    for place, cell in enumerate(cells):
        found = re.search(r"^# +(.+)$", blocks.source(cell), re.MULTILINE)
        if cell["cell_type"] == "markdown" and found:
            rest = blocks.source(cell).replace(found[0], "", 1)
            title = re.sub(r"[*`]", "", found[1]).strip()
            return title, [*cells[:place], cell | {"source": rest}, *cells[place + 1 :]]
    return page_label(name), cells


def _parts(writer: Writer, cells: list[dict]) -> dict:
    """The blocks of all cells by their place on the page.

    Code stands under the next output of its section, so that a section folds it once.
    """
    parts = {"answer": [], "action": [], "tiles": [], "story": [], "backstage": [], "facts": {}}
    pending: list[Markup] = []
    for cell in cells:
        if cell["cell_type"] == "markdown":
            _flush(parts["story"], pending)
            _add_prose(writer, parts["story"], cell)
        elif cell["cell_type"] == "code" and blocks.source(cell).strip():
            _add_code(writer, parts, pending, cell)
    _flush(parts["story"], pending)
    return parts


def _add_prose(writer: Writer, story: list[dict], cell: dict) -> None:
    html, headings = writer.prose(blocks.source(cell))
    if html.strip():
        story.append({"kind": "prose", "html": html, "headings": headings})


def _add_code(writer: Writer, parts: dict, pending: list[Markup], cell: dict) -> None:
    made = blocks.outputs(writer, cell)
    shown = [block for block in made if block["kind"] != "facts"]
    parts["facts"] = next((b["facts"] for b in made if b["kind"] == "facts"), parts["facts"])
    own = blocks.tags(cell)
    if own & blocks.BACKSTAGE or len(shown) < len(made):
        parts["backstage"].append(blocks.folded([blocks.code(cell)]))
        parts["backstage"] += shown
        return
    pending.append(blocks.code(cell))
    if not shown:
        return
    shown[-1]["code"] = pending.copy()
    pending.clear()
    if own & {"answer", "action"}:
        parts["answer" if "answer" in own else "action"] += shown
    elif not parts["tiles"] and any(block["kind"] == "tiles" for block in shown):
        parts["tiles"] += shown
    else:
        parts["story"] += shown


def _flush(story: list[dict], pending: list[Markup]) -> None:
    if pending:
        story.append(blocks.folded(pending))
        pending.clear()


def _without_empty_sections(story: list[dict]) -> list[dict]:
    """The story without headings under which nothing is left, as the answer moved up."""
    kept = []
    for place, block in enumerate(story):
        after = story[place + 1] if place + 1 < len(story) else {"kind": "end"}
        closes = after["kind"] == "end" or (after["kind"] == "prose" and after["headings"])
        if closes and _is_bare_heading(block):
            continue
        kept.append(block)
    return kept


def _is_bare_heading(block: dict) -> bool:
    return block["kind"] == "prose" and bool(
        re.fullmatch(r"\s*<h(\d)[^>]*>(?:(?!</h).)*</h\1>\s*", block["html"])
    )


def _toc(story: list[dict]) -> list[dict]:
    return [h for block in story for h in block.get("headings", []) if h["level"] <= 3]


def _made(writer: Writer, facts: dict, backstage: list[dict]) -> dict:
    """What stands under "How this page was made"."""
    params = facts.get("params", [])
    metrics = writer.site.metrics.get(writer.stage, {})
    return {
        "inputs": _rows(writer, facts.get("inputs", []), name="", rows="int", **_DAYS),
        "params": _rows(writer, [_param(p) for p in params], parameter="", value="", default=""),
        "changed": sum(p["value"] != p.get("default") for p in params),
        "outputs": facts.get("outputs", []),
        "metrics": _rows(
            writer,
            [{"figure": k, "value": _raw(v)} for k, v in metrics.items()],
            figure="",
            value="",
        ),
        "backstage": backstage,
        "slug": writer.slug("How this page was made"),
    }


_DAYS = {"from": "date", "to": "date"}


def _param(param: dict) -> dict:
    return {
        "parameter": param["name"],
        "value": _raw(param["value"]),
        "default": _raw(param.get("default")),
    }


def _raw(value) -> str | None:
    """A value as an analyst writes it; numbers stay whole."""
    if value is None or isinstance(value, str):
        return value
    return f"{value:,}" if type(value) is int else str(value)


def _rows(writer: Writer, records: list[dict], **forms: str) -> dict | None:
    columns = [{"id": key, "form": form} for key, form in forms.items()]
    rows = [[record.get(key) for key in forms] for record in records]
    return blocks.table(writer, columns, rows) if rows else None


def _period(facts: list[dict]) -> str:
    """First and last day of the orders among the inputs, as "1 Dec 2010 – 9 Dec 2011".

    Cleaned orders go before those as they arrived, since a wrong date is no day of the data.
    """
    inputs = [i for f in facts for i in f.get("inputs", []) if i.get("from") and i.get("to")]
    orders = [i for i in inputs if "/order" in i["name"]]
    inputs = [i for i in orders if i["name"].startswith("tables/")] or orders or inputs
    if not inputs:
        return ""
    days = min(i["from"] for i in inputs), max(i["to"] for i in inputs)
    return " – ".join(wording.form(day, "date") for day in days)


def _is_preparing(outs: tuple[str, ...]) -> bool:
    """Whether a stage makes tables for others rather than findings for people."""
    tables = [out for out in outs if out.startswith("data/")]
    return bool(tables) and all(out.startswith(PREPARING) for out in tables)


# ---- the index ---------------------------------------------------------------------------------


def _index(site: Site, pages: list[dict]) -> dict:
    named = {page["name"]: page for page in pages}
    health = named.get("quality") or named.get("clean")
    findings = [page for page in pages if not page["is_preparing"] and page is not health]
    used = _used(site)
    return {
        "findings": findings,
        "actions": [page for page in reversed(pages) if page["asks"]],
        "preparing": [page for page in pages if page["is_preparing"]],
        "health": health,
        "headline": [_headline(page) for page in findings if _headline(page)["tiles"]],
        "lists": _lists(site),
        "stages_in_words": [(n, s.desc, n in site.notebooks) for n, s in used.items()],
        "pipeline": picture.draw(used, page_label, set(site.notebooks)),
    }


def _used(site: Site) -> dict:
    """The stages without one whose tables nobody reads: the demo's, when the source is another."""
    read = {path for stage in site.stages.values() for path in stage.deps}
    return {
        name: stage
        for name, stage in site.stages.items()
        if name in site.notebooks or name == "site" or read & set(stage.outs)
    }


def _headline(page: dict) -> dict:
    tiles = next((b["tiles"] for b in page["tiles"] if b["kind"] == "tiles"), [])
    return {"page": page, "tiles": tiles[:INDEX_TILES]}


def _lists(site: Site) -> list[dict]:
    """The customer tables made for other systems, with what a row is and what they are for."""
    found = []
    for name, stage in site.stages.items():
        for path in stage.outs:
            schema = TABLES.get(path.removeprefix("data/").removesuffix(".parquet"))
            if path.startswith(LISTS) and schema:
                found.append(
                    {
                        "path": path,
                        "stage": name,
                        "label": page_label(name),
                        "row": _worded(schema.row),
                        "purpose": _worded(schema.purpose),
                    }
                )
    return found


def _worded(text: str) -> str:
    """A text of a schema without code marks and rule numbers."""
    return re.sub(
        r" \([A-Z0-9]+-[^)]*\)", "", text.replace("`as_of`", "the reference date").replace("`", "")
    )
