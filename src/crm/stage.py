"""`Stage`: what a notebook may read, write and say, as its stage in dvc.yaml declares it.

    stage = Stage("rfm", params)
    orders = stage.table("orders")            # declared facts, lazy
    stage.metrics(customers=4338)             # numbers that sentences may use
    stage.say("{customers} customers bought.")
    stage.write("rfm", scores)                # written by `crm run`, compared under nbval

Three modes, decided by the environment: `crm run` writes aside (`CRM_RUN` names the folder) and
the runner renames when the notebook has ended well; under `CRM_CHECK` everything is compared with
what is on disk and any difference raises; in a plain kernel nothing is written.
"""

from __future__ import annotations

import html
import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from crm import disclosure, wording
from crm.project import (
    NOTEBOOK,
    ProjectError,
    Spec,
    find_root,
    load_params,
    load_specs,
    merged,
    module_path,
    read_yaml,
    section_problems,
    settings,
    signatures,
    table_name,
)
from crm.tables import TABLES, Column, TableError, lookup

if TYPE_CHECKING:
    import ibis
    import pandas as pd

SHOWN_ROWS = 20  # rows of a table on a page unless the notebook says otherwise
PERSONAL = {
    column.name for table in TABLES.values() for column in table.columns if column.personal
}


class CheckError(AssertionError):
    """In check mode, what the notebook computed is not what is on disk."""


@dataclass(frozen=True)
class Source:
    """The source of this run: its name and the places of its files."""

    name: str
    mapping: Path
    raw: Path
    folder: Path


class Stage:
    """Parameters and declared inputs and outputs of one DVC stage.

    Parameters
    ----------
    name
        The stage in dvc.yaml.
    params
        Overrides of the stage's section of params.yaml, merged deeply; `{}` takes the file as is.

    Raises
    ------
    ProjectError
        The stage or a parameter does not exist; the message lists those there are.
    """

    def __init__(self, name: str, params: dict | None = None):
        self.name = name
        self.root = find_root()
        everything = load_params(self.root)
        self.run = settings(everything)
        self.vault = everything.get("vault", {})
        specs = load_specs(self.root, self.run["source"])
        if name not in specs:
            raise ProjectError(f"no stage {name!r} in dvc.yaml; it has {sorted(specs)}")
        self.spec: Spec = specs[name]
        self.params = self._checked(everything.get(self.spec.module, {}), params or {})
        if "data/staged/run.json" in self.spec.deps:
            self.run = self.run | json.loads((self.root / "data/staged/run.json").read_text())
        self._metrics: dict = {}
        self._candidates: list[dict] = []
        self.written: dict[str, int] = {}  # rows of each table written so far
        self._holds = 0

    def _checked(self, section: dict, given: dict) -> dict:
        """The section of params.yaml overridden by what the notebook was given, both checked."""
        wrong = []
        for params, where in ((section, "params.yaml"), (given, NOTEBOOK)):
            if params != {}:
                wrong += section_problems(self.root, self.spec.module, params, where)
        if wrong:
            raise ProjectError("\n".join(map(str, wrong)))
        return merged(section, given)

    # ---- what the run is about -------------------------------------------------------------

    @property
    def as_of(self) -> date:
        """The reference date of every window; orders up to the end of that day count."""
        return date.fromisoformat(str(self.run["as_of"]))

    @property
    def seed(self) -> int:
        return self.run["seed"]

    @property
    def currency(self) -> str:
        return self.run["currency"]

    @property
    def source(self) -> Source:
        """The source's files; for the stages that declare them."""
        name = self.run["source"]
        folder = self.root / "data/sources" / name
        return Source(name, folder / "mapping.yaml", self.root / "data/raw" / name, folder)

    @property
    def keys(self):
        """The two keys of the source, checked against their fingerprints in params.yaml."""
        from crm import vault

        is_public = read_yaml(self.source.mapping).get("public") is True
        return vault.checked_keys(self.source.folder, self.vault, public=is_public)

    # ---- reading ---------------------------------------------------------------------------

    @cached_property
    def con(self):
        """The engine's connection, opened when first needed."""
        from crm import engine

        everything = load_params(self.root).get("run", {})
        spill = self.root / ".crm/spill"
        return engine.connect(
            threads=everything.get("threads", 0), memory=everything.get("memory", ""), spill=spill
        )

    def table(self, name: str) -> ibis.Table:
        """The declared input table, lazily: nothing is read until a result is asked for."""
        from crm import engine

        path = self.root / self.spec.dep(name)
        if not path.exists():
            raise ProjectError(
                f"{path.relative_to(self.root)} is not there yet: run `dvc repro {self.name}`"
            )
        table = engine.scan(self.con, path)
        schema = self._schema(self.spec.dep(name))
        if list(table.columns) != schema.names:
            raise TableError(
                f"table {schema.name!r} on disk has {list(table.columns)}, expected "
                f"{schema.names}: run `dvc repro` to rebuild it"
            )
        return table

    def layer(self, layer: str) -> dict[str, ibis.Table]:
        """All declared input tables of one layer, lazily, by name."""
        paths = [path for path in self.spec.deps if path.startswith(f"data/{layer}/")]
        names = [table_name(path) for path in paths if table_name(path) in TABLES]
        return {name.removeprefix(f"{layer}/"): self.table(name) for name in names}

    def counts(self, tables: dict[str, ibis.Table]) -> dict[str, int]:
        """Rows of each table by name."""
        return {name: int(rows.count().execute()) for name, rows in tables.items()}

    def read(self, name: str) -> pd.DataFrame:
        """The declared input table as a frame, for tables that grow with customers."""
        return self.frame(self.table(name))

    def unlock(self, name: str, *columns: str, purpose: str) -> pd.DataFrame:
        """The key columns and these personal `columns` of a declared vault table, in the clear.

        Each use leaves a line in the access log, outside the outputs (PRV-15). What is returned
        may be compared and masked, never written or shown.
        """
        from crm import vault

        path = self.spec.dep(name)
        schema = self._schema(path)
        open_ones = [column.name for column in schema.columns if not column.personal]
        frame = self.frame(self.table(name).select(*open_ones, *columns))
        key = self.keys.encryption
        vault.log(self.root, by=self.name, fields=[f"{name}.{c}" for c in columns],
                  purpose=purpose, rows=len(frame))  # fmt: skip
        plain = {
            c: vault.decrypt(frame[c].tolist(), key=key, context=f"{schema.name}.{c}")
            for c in columns
        }
        return frame.assign(**plain).astype(dict.fromkeys(columns, "str"))

    def frame(self, expr: ibis.Table) -> pd.DataFrame:
        """The result of an expression as a frame: money as float64."""
        from crm import engine

        return engine.frame(self.con, expr)

    def arrays(self, expr: ibis.Table) -> dict:
        """The whole numbers of a result, a NumPy array for each column."""
        from crm import engine

        return engine.arrays(self.con, expr)

    def row(self, expr: ibis.Table) -> dict:
        """The one row of a result as plain values, ready for `metrics`."""
        return self.frame(expr).to_dict("records")[0]

    def hold(self, expr: ibis.Table) -> ibis.Table:
        """The expression computed once, for several uses."""
        from crm import engine

        self._holds += 1
        return engine.hold(self.con, expr, f"_held_{self._holds}")

    def lift(self, frame: pd.DataFrame) -> ibis.Table:
        """A frame as a table of the engine, to be joined with facts."""
        from crm import engine

        self._holds += 1
        return engine.lift(self.con, frame, f"_lifted_{self._holds}")

    # ---- writing ---------------------------------------------------------------------------

    def write(self, name: str, rows) -> None:
        """Write a declared output table, checked against its schema.

        Personal columns are encrypted when the table lies in the vault, and refused elsewhere.
        A table whose schema `needs` a purpose holds nobody who does not permit it (PRV-07).
        """
        from crm import engine

        path = self.spec.out(name)
        schema = self._schema(path)
        personal = [column.name for column in schema.columns if column.personal]
        if personal and not schema.name.startswith("vault/"):
            raise TableError(
                f"table {schema.name!r} has personal columns {personal}: only tables "
                "of the vault may"
            )
        if personal:
            rows = self._encrypted(rows, personal, schema.name)
        if schema.needs:
            self._assert_permitted(rows, schema)
        with self._target(path) as target:
            count = engine.write(self.con, rows, target, schema)
            self.written[schema.name.split("/")[-1]] = count
            rows = wording.fill("{rows} row[s]", {"rows": count})
            self._settle(path, target, f"{path.removeprefix('data/')}: {rows}")

    def write_all(self, layer: str, tables: dict) -> None:
        """Write several declared output tables of one layer."""
        for name, rows in tables.items():
            self.write(f"{layer}/{name}", rows)

    def _schema(self, path: str):
        """The schema of a declared table, with the fields that the source declares itself."""
        extended = tuple(Column(**field) for field in self.run.get("fields", ()))
        return lookup(table_name(path), extended)

    def save(self, name: str, model: dict) -> None:
        """Write a declared model as JSON text: a stable form, never a pickle."""
        path = self.spec.out(name)
        with self._target(path) as target:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_json(model), encoding="utf-8")
            self._settle(path, target, path.removeprefix("data/"))

    def save_run(self, **facts) -> None:
        """Write data/staged/run.json, what every later stage knows of this run (ingest only)."""
        path = "data/staged/run.json"
        if path not in self.spec.outs:
            raise ProjectError(f"stage {self.name!r} does not declare {path}")
        self.run = self.run | json.loads(_json(facts))
        with self._target(path) as target:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_json(facts), encoding="utf-8")
            self._settle(path, target, "staged/run.json")

    def metrics(self, **values) -> None:
        """Record numbers, dates or names that `say`, `tiles` and titles may then use."""
        clean = {key: _scalar(key, value) for key, value in values.items()}
        self._metrics |= clean
        if self.spec.metrics is None:
            raise ProjectError(f"stage {self.name!r} declares no metrics file in dvc.yaml")
        on_disk = self.root / self.spec.metrics
        if os.environ.get("CRM_RUN"):
            target = Path(os.environ["CRM_RUN"]) / self.spec.metrics
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_json(self._metrics), encoding="utf-8")
        elif os.environ.get("CRM_CHECK"):
            stored = json.loads(on_disk.read_text())
            for key, value in clean.items():
                if stored.get(key, "absent") != value:
                    raise CheckError(
                        f"metric {key!r} is {value!r}, but {self.spec.metrics} says "
                        f"{stored.get(key, 'nothing')!r}"
                    )

    def candidate(self, name: str, *, params=None, metrics=None, model=None, curves=None) -> None:
        """Record one of several ways tried; `crm track` shows it as a child run in MLflow.

        `curves` maps a name to a list of values; `model` is a JSON-able description.
        """
        self._candidates.append(
            {
                "name": name,
                "params": params or {},
                "metrics": metrics or {},
                "model": model,
                "curves": curves or {},
            }
        )
        if os.environ.get("CRM_RUN"):
            target = Path(os.environ["CRM_RUN"]) / "candidates.json"
            target.write_text(_json(self._candidates), encoding="utf-8")

    # ---- telling ---------------------------------------------------------------------------

    def say(self, message: str) -> None:
        """A computed sentence; its keys are metrics recorded in an earlier cell."""
        values = self._values(message)
        text = wording.fill(message, values, self.run.get("currency", ""))
        _emit(
            {
                "application/vnd.crm.say+json": {
                    "message": message,
                    "values": values,
                    "stage": self.name,
                },
                "text/markdown": text,
                "text/plain": text,
            }
        )

    def tiles(self, **tiles: str | tuple[str, str]) -> None:
        """Headline figures: label → message, or label → (message, note)."""
        shown, lines = [], []
        for name, content in tiles.items():
            message, note = (content, "") if isinstance(content, str) else content
            values = self._values(message + note)
            label = wording.label(name)
            shown.append({"label": label, "message": message, "note": note, "values": values})
            parts = [
                wording.fill(m, values, self.run.get("currency", "")) for m in (message, note)
            ]
            lines.append(f"{label}: {parts[0]}" + (f" ({parts[1]})" if note else ""))
        _emit(
            {
                "application/vnd.crm.tiles+json": {"tiles": shown, "stage": self.name},
                "text/markdown": "\n".join(f"- {line}" for line in lines),
                "text/plain": "\n".join(lines),
            }
        )

    def show(self, frame: pd.DataFrame, title: str = "", rows: int = SHOWN_ROWS) -> None:
        """A table with column ids, the first `rows` of it.

        Personal columns are refused, and counts of customers whose small cells are not hidden.
        """
        hidden = sorted(PERSONAL & set(frame.columns))
        if hidden:
            raise TableError(f"personal columns {hidden} may not be shown; they stay in the vault")
        disclosure.refuse(frame, self.run["min_cell"])
        columns = [
            {"id": c, "form": wording.column_form(c, frame[c].dtype.kind)} for c in frame.columns
        ]
        head = frame.head(rows).astype(object)
        head = head.mask(head.isna(), None)
        top = [[_cell(v) for v in row] for row in head.itertuples(index=False)]
        currency = self.run.get("currency", "")
        texts = [
            [wording.form(v, c["form"], currency) for v, c in zip(r, columns, strict=True)]
            for r in top
        ]
        values = self._values(title)
        caption, note = wording.fill(title, values, currency), disclosure.note(frame)
        _emit(
            {
                "application/vnd.crm.table+json": {
                    "title": title,
                    "values": values,
                    "columns": columns,
                    "rows": top,
                    "total": len(frame),
                    "stage": self.name,
                    **note,
                },
                "text/html": _html_table(caption, columns, texts, len(frame), note),
                "text/plain": "\n".join(" | ".join(r) for r in texts),
            }
        )

    def chart(self, chart: dict) -> None:
        """A chart of `crm.plots`: its title states the finding, with places for metrics."""
        from crm.chart import svg

        currency = self.run.get("currency", "")
        values = self._values(chart["title"] + chart["alt"])
        title, alt = (wording.fill(chart[k], values, currency) for k in ("title", "alt"))
        picture = svg({**chart["spec"], "title": title}, width=680, currency=currency)
        _emit(
            {
                "application/vnd.crm.chart+json": {**chart, "values": values, "source": self.name},
                "image/svg+xml": picture,
                "text/plain": f"{title}. {alt}",
            }
        )

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        """Inputs with rows and dates, parameters with defaults, outputs."""
        facts = self.facts()
        lines = [f"stage {self.name}: {self.spec.desc}"]
        lines += [wording.fill("  reads  {name} ({rows} row[s])", i) for i in facts["inputs"]]
        lines += [f"  param  {p['name']} = {p['value']}" for p in facts["params"]]
        lines += [f"  writes {path}" for path in facts["outputs"]]
        text = "\n".join(lines)
        return {
            "application/vnd.crm.stage+json": facts,
            "text/html": f"<pre>{html.escape(text)}</pre>",
            "text/plain": text,
        }

    def facts(self) -> dict:
        """What the stage reads, is told and writes, as plain data."""
        known = signatures(module_path(self.root, self.spec.module)) if self.params else {}
        params = []
        for function, keywords in self.params.items():
            for key, value in keywords.items():
                params.append(
                    {
                        "name": f"{function}.{key}",
                        "value": json.loads(_json(value)),
                        "default": json.loads(_json(known[function][key].default)),
                    }
                )
        return {
            "stage": self.name,
            "desc": self.spec.desc,
            "as_of": str(self.run.get("as_of", "")),
            "source": self.run.get("source", ""),
            "title": self.run.get("title", ""),
            "currency": self.run.get("currency", ""),
            "inputs": self._inputs(),
            "params": params,
            "outputs": [path for path in self.spec.outs if path.startswith("data/")],
        }

    # ---- private ---------------------------------------------------------------------------

    def _inputs(self) -> list[dict]:
        found = []
        for path in self.spec.deps:
            name = table_name(path)
            if name in TABLES and (self.root / path).exists():
                table, schema = self.table(name), lookup(name)
                measures = {"rows": table.count()}
                if schema.time:
                    time = table[schema.time]
                    measures |= {"from": time.min().cast("date"), "to": time.max().cast("date")}
                row = self.frame(table.aggregate(**measures)).iloc[0]
                days = {
                    k: str(row[k])[:10] for k in ("from", "to") if k in row and row[k] == row[k]
                }
                if row["rows"]:  # what no file feeds need not be listed
                    found.append({"name": name, "rows": int(row["rows"])} | days)
        return found

    def _values(self, message: str) -> dict:
        unknown = [key for key in wording.keys(message) if key not in self._metrics]
        if unknown:
            raise ProjectError(
                f"say: {unknown} not passed to stage.metrics in an earlier cell; there are "
                f"{sorted(self._metrics)}"
            )
        return {key: self._metrics[key] for key in wording.keys(message)}

    def _encrypted(self, rows, personal: list[str], name: str):
        from crm import vault

        frame = rows if hasattr(rows, "assign") else self.frame(rows)
        key = self.keys.encryption
        return frame.assign(
            **{
                c: vault.encrypt(frame[c].tolist(), key=key, context=f"{name}.{c}")
                for c in personal
            }
        ).astype(dict.fromkeys(personal, "str"))

    def _assert_permitted(self, rows, schema) -> None:
        """Raise `TableError` if a customer in the rows does not permit what the table needs."""
        is_frame = hasattr(rows, "assign")  # an empty one may have a column of no type
        ids = self.lift(rows[["customer_id"]].astype("str")) if is_frame else rows
        permits = self.table("permits")
        allowed = permits.filter(permits.purpose == schema.needs, permits.allowed)
        ids = ids.select("customer_id").distinct()
        count = int(ids.anti_join(allowed, "customer_id").count().execute())
        if count:
            raise TableError(
                f"table {schema.name!r} would hold {count} customers who do not permit "
                f"{schema.needs}: join features/permits before writing it"
            )

    def _target(self, path: str) -> _Aside:
        return _Aside(path)

    def _settle(self, path: str, target: Path, what: str) -> None:
        from crm import engine

        made = engine.digest(target)
        text = f"{what}, sha256 {made[:16]}"
        _emit({"text/plain": text})
        if os.environ.get("CRM_RUN"):
            return
        on_disk = self.root / path
        stored = engine.digest(on_disk) if on_disk.exists() else "nothing"
        if stored != made:
            note = f"{path} on disk differs: {stored[:16]}, computed {made[:16]}"
            if os.environ.get("CRM_CHECK"):
                raise CheckError(note)
            sys.stderr.write(note + "\n")


class _Aside:
    """The place where an output is first written: the runner's folder, or one thrown away."""

    def __init__(self, path: str):
        self.path = path

    def __enter__(self) -> Path:
        run = os.environ.get("CRM_RUN")
        self.thrown_away = None if run else tempfile.mkdtemp(prefix="crm-")
        return Path(run or self.thrown_away) / self.path

    def __exit__(self, *error) -> None:
        if self.thrown_away:
            shutil.rmtree(self.thrown_away)


def _emit(bundle: dict) -> None:
    from IPython.display import display

    display(bundle, raw=True)


def _scalar(key: str, value):
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, (date, datetime)):
        return value.isoformat()[:10]
    if isinstance(value, float):
        if value != value:
            return None
        return float(f"{value:.12g}")
    if value is None or isinstance(value, (str, int, bool)):
        return value
    if hasattr(value, "as_tuple"):  # Decimal: exact in the engine, 12 digits are kept here
        return float(f"{value:.12g}")
    raise ProjectError(f"metric {key!r} must be a number, date or text, found {type(value)}")


def _cell(value):
    if hasattr(value, "isoformat"):
        return None if value != value else value.isoformat()[:10]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return None if value != value else float(f"{value:.12g}")
    return None if value is None or value != value else value


def _json(value) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n"


def _html_table(
    caption: str, columns: list[dict], texts: list[list[str]], total: int, note: dict
) -> str:
    head = "".join(f"<th>{html.escape(wording.label(c['id']))}</th>" for c in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>"
        for row in texts
    )
    more = f"<p>{len(texts)} of {total:,} rows</p>" if total > len(texts) else ""
    more += f"<p>{html.escape(wording.fill(**note['note']))}</p>" if note else ""
    return (
        f"<table><caption>{html.escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>{more}"
    )
