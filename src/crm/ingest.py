"""From the raw files of a source to staged tables: canonical columns and types, source keys.

A *cell* is the trimmed text of a raw value; blank text is empty. An empty cell stays empty in
the staged table, whatever the field: what an empty field means is decided when the data are
cleaned. A filled cell that cannot be read as its field asks is a *problem*; all problems of a
source are found in one pass over each file (ING-03, ING-24).

`line` is the row of the raw file, plus `STRIDE` for each earlier file of the same table, so
that `divmod(line, STRIDE)` gives back the file and the row.
Everything is a lazy Ibis expression on DuckDB: files of any length stream through it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import ibis
from ibis.expr.types import StringValue, Value

from crm.mapping import (
    UNITS,
    Feed,
    File,
    Mapping,
    Problem,
    SourceError,
    did_you_mean,
    fields,
    formats,
)
from crm.raw import LINE, Raw, broken_rows, find, more, open_file
from crm.tables import STRIDE, Column, Table, lookup

if TYPE_CHECKING:
    import pandas as pd

_STAGED = ("customers", "order_lines", "products")
_KEYS = {"customers": "customer_key", "products": "product_id"}  # one record for each key
_DEFAULTS = {"kind": "sale"}
_BLANKS = " \t\r\n\v\f\u00a0\u3000\u200b\ufeff"
_TYPES = {
    "string": "string",
    "int": "int64",
    "money": "decimal(18, 4)",
    "quantity": "decimal(18, 4)",
    "date": "date",
    "timestamp": "timestamp(6)",
}
_SHEET_DATES = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d")
_ISO = r"^\d{4}-\d{1,2}-\d{1,2}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d{1,6})?)?)?$"


@ibis.udf.scalar.builtin(name="trim", signature=(("string", "string"), "string"))
def _trim(text, blanks): ...


@ibis.udf.scalar.builtin(name="try_strptime", signature=(("string", "string"), "timestamp(6)"))
def _try_strptime(text, pattern): ...


def problems(con, mapping: Mapping, folder: str | Path) -> list[Problem]:
    """Everything that keeps the raw files of a source from being staged, cells included.

    Parameters
    ----------
    con
        An Ibis DuckDB connection.
    mapping
        The mapping of the source.
    folder
        The folder of its raw files, `data/raw/<name>`.
    """
    found: list[Problem] = []
    for table in _STAGED:
        raws, before = [], len(found)
        for entry in _entries(mapping, table):
            try:
                raws.append(_open(con, mapping, entry, folder))
            except SourceError as error:
                found += error.problems
                continue
            found += _cells(con, *raws[-1])
        if table in _KEYS and len(found) == before:
            found += _repeated(raws, _KEYS[table])
    return found


def open_source(
    con, mapping: Mapping, folder: str | Path, *, checked: bool = False
) -> dict[str, ibis.Table]:
    """The staged tables of a source, lazy, by name: customers, order_lines, products.

    A table that no file feeds is empty. Personal columns are not in them: see `personal`.
    Raises `SourceError` with all problems.

    Parameters
    ----------
    con
        An Ibis DuckDB connection.
    mapping
        The mapping of the source.
    folder
        The folder of its raw files, `data/raw/<name>`.
    checked
        Whether `problems` was asked before and found none; a cell that cannot be read is
        empty otherwise.
    """
    found = [] if checked else problems(con, mapping, folder)
    if found:
        raise SourceError(*found)
    return {
        table: _union(con, mapping, folder, table, lookup(f"staged/{table}")) for table in _STAGED
    }


def personal(con, mapping: Mapping, folder: str | Path) -> ibis.Table:
    """One customer record with its personal columns, in the clear: for the vault only.

    The caller encrypts it; nothing of it may be written elsewhere (PRV-01…04).
    """
    return _union(con, mapping, folder, "customers", lookup("vault/customers"))


def stage(
    raw: ibis.Table, entry: File, schema: Table, *, source: str, first: int = 0
) -> ibis.Table:
    """One record of a raw table in the columns and types of the schema.

    Parameters
    ----------
    raw
        The raw table, with the row of the file in `#line`.
    entry
        The entry of the mapping that feeds the table.
    schema
        The table to make, such as `lookup("staged/order_lines")`.
    source
        Name of the source.
    first
        What is added to the row of the file to give `line`.
    """
    feeds = {feed.field: feed for feed in entry.feeds}
    made = {"source": ibis.literal(source), "line": raw[LINE] + first}
    columns = {
        column.name: made[column.name]
        if column.name in made
        else _field(raw, feeds.get(column.name), column)
        for column in schema.columns
    }
    return raw.select(
        **{name: value.cast(_TYPES[schema[name].type]) for name, value in columns.items()}
    )


def as_of(order_lines: ibis.Table) -> date:
    """The day of the last sale."""
    sales = order_lines.filter(order_lines["kind"] == "sale")
    last = sales["ordered_at"].max().execute()
    if last is None or last != last:
        raise ValueError(
            "order_lines has no sale with a date, so `run.as_of: auto` has no answer; expected "
            "at least one; look at `kind` and `ordered_at` in the mapping, or give a date"
        )
    return last.date()


def listing(mapping: Mapping, folder: str | Path) -> pd.DataFrame:
    """One canonical field of one file in the folder: the column that feeds it, where it goes."""
    import pandas as pd

    personal = {c.name for c in lookup("vault/customers").columns if c.personal}
    rows = [
        {
            "table": entry.table,
            "file": find(entry, mapping.name, Path(folder)),
            "field": feed.field,
            "column": feed.column or f"always {feed.value}",
            "goes_to": "vault, encrypted" if feed.field in personal else "analysis",
        }
        for entry in mapping.files
        for feed in entry.feeds
    ]
    return pd.DataFrame(rows)


def facts(order_lines: ibis.Table) -> ibis.Table:
    """One row: lines, the first and last day, lines without a customer and lines returned."""
    return order_lines.aggregate(
        lines=order_lines.count(),
        first_day=order_lines["ordered_at"].min().date(),
        last_day=order_lines["ordered_at"].max().date(),
        unknown_lines=order_lines["customer_key"].isnull().sum().fill_null(0),
        return_lines=(order_lines["kind"] == "return").sum().fill_null(0),
    )


# --- tables


def _entries(mapping: Mapping, table: str) -> list[File]:
    return [entry for entry in mapping.files if entry.table == table]


def _union(con, mapping: Mapping, folder, table: str, schema: Table) -> ibis.Table:
    parts = []
    for i, entry in enumerate(_entries(mapping, table)):
        entry, raw = _open(con, mapping, entry, folder)
        parts.append(stage(raw.table, entry, schema, source=mapping.name, first=i * STRIDE))
    return ibis.union(*parts) if len(parts) > 1 else parts[0] if parts else _empty(con, schema)


def _open(con, mapping: Mapping, entry: File, folder) -> tuple[File, Raw]:
    """The entry as its file asks to be read, and the file; raises unless all columns are there."""
    raw = open_file(con, entry, mapping.name, folder)
    missing = _missing(raw, entry)
    if missing:
        raise SourceError(*missing)
    if raw.suffix == ".xlsx":
        # a sheet holds real dates beside text in the mapping's format; `raw` wrote them as ISO
        entry = replace(
            entry,
            feeds=tuple(
                replace(feed, format=(*feed.format, *_SHEET_DATES)) if feed.format else feed
                for feed in entry.feeds
            ),
        )
    return entry, raw


def _empty(con, schema: Table) -> ibis.Table:
    view = ibis.util.gen_name("empty")
    types = ibis.schema({column.name: _TYPES[column.type] for column in schema.columns})
    return con.create_table(view, schema=types, temp=True)


# --- fields


def _field(raw: ibis.Table, feed: Feed | None, column: Column) -> Value:
    """The value of a field in each row, empty where the cell is empty or cannot be read."""
    default = _DEFAULTS.get(column.name)
    if feed is None:
        return ibis.literal(default, type="string") if default else ibis.null(_TYPES[column.type])
    if feed.value is not None:
        return ibis.literal(feed.value).cast(_TYPES[column.type])
    value = _reader(column)(raw, feed, column)
    return value.fill_null(default) if default else value


def _reader(column: Column) -> Callable[[ibis.Table, Feed, Column], Value]:
    if column.type in ("money", "quantity"):
        return _number
    return _moment if column.type in ("date", "timestamp") else _string


def cell(raw: ibis.Table, column: str) -> StringValue:
    """The cell of a column as trimmed text; blank is empty, a whole number has no `.0`."""
    value = raw[column]
    if value.type().is_floating():
        whole = (value == value.floor()) & (value.abs() < 1e15)
        number = value.isnan().ifelse(ibis.null("float64"), value)
        text = whole.ifelse(number.try_cast("int64").cast("string"), number.cast("string"))
    elif value.type().is_decimal():
        plain = value.cast("string")
        text = plain.contains(".").ifelse(plain.re_replace(r"\.?0+$", ""), plain)
    else:
        text = value if value.type().is_string() else value.cast("string")
    return _trim(text, _BLANKS).nullif("")


def _string(raw: ibis.Table, feed: Feed, column: Column) -> StringValue:
    text = cell(raw, feed.column)
    if feed.strip_suffix:
        text = text.re_replace(f"{re.escape(feed.strip_suffix)}$", "").nullif("")
    known = ibis.null("string") if feed.default is None else ibis.literal(feed.default)
    if feed.starts_with:
        longest = sorted(feed.starts_with, key=lambda pair: -len(pair[0]))
        return ibis.cases(
            *((text.startswith(start), value) for start, value in longest), else_=known
        )
    if feed.codes:
        return ibis.cases(*((text == code, value) for code, value in feed.codes), else_=known)
    return text.isin(column.codes).ifelse(text, ibis.null("string")) if column.codes else text


def _number(raw: ibis.Table, feed: Feed, column: Column) -> Value:
    """A decimal with four places, rounded; text never passes through a binary number."""
    wide = "decimal(18, 4)" if feed.unit is None else "decimal(28, 8)"
    if raw[feed.column].type().is_numeric():
        number = raw[feed.column].try_cast(wide)
    else:
        text = cell(raw, feed.column)
        plain = text.replace(feed.thousands, "") if feed.thousands else text
        plain = plain if feed.decimal == "." else plain.replace(feed.decimal, ".")
        is_number = text.re_search(_pattern(feed.thousands, feed.decimal))
        number = is_number.ifelse(plain, ibis.null("string")).try_cast(wide)
    if feed.unit is None:
        return number
    return (number * ibis.literal(Decimal(UNITS[feed.unit]))).try_cast("decimal(18, 4)")


def _pattern(thousands: str | None, decimal: str) -> str:
    """What a number looks like, with these marks."""
    point = re.escape(decimal)
    grouped = rf"\d{{1,3}}({re.escape(thousands)}\d{{3}})+|" if thousands else ""
    return rf"^[+-]?(({grouped}\d+)({point}\d*)?|{point}\d+)$"


def _moment(raw: ibis.Table, feed: Feed, column: Column) -> Value:
    value = raw[feed.column]
    if not (value.type().is_timestamp() or value.type().is_date()):
        text = cell(raw, feed.column)
        value = (
            ibis.coalesce(*(_try_strptime(text, pattern) for pattern in feed.format))
            if (feed.format)
            else text.re_search(_ISO).ifelse(text, ibis.null("string")).try_cast("timestamp(6)")
        )
    return value.cast(_TYPES[column.type])


# --- problems


def _missing(raw: Raw, entry: File) -> list[Problem]:
    """Columns that the mapping names and the file does not have, or that cannot be used."""
    found = []
    for feed in entry.feeds:
        if feed.column is None:
            continue
        if feed.column not in raw.columns:
            found.append(
                raw.problem(
                    f"no column {feed.column!r}, which feeds {feed.field}",
                    "every mapped column in the header",
                    f"mend `{feed.field}` in {raw.mapping}; "
                    + did_you_mean(feed.column, raw.columns),
                    at=f"column {feed.column!r}, row 1",
                )
            )
        elif getattr(raw.table[feed.column].type(), "timezone", None):
            found.append(
                raw.problem(
                    "times with a time zone",
                    "local business time without one",
                    "convert it where it is exported",
                    at=f"column {feed.column!r}",
                )
            )
    return found


def _cells(con, entry: File, raw: Raw) -> list[Problem]:
    """One problem for each column with filled cells that cannot be read."""
    columns = fields(entry.table)
    feeds = [feed for feed in entry.feeds if feed.column is not None]
    measures = {}
    for i, feed in enumerate(feeds):
        measures |= _measures(raw.table, feed, columns[feed.field], i)
    try:
        row = raw.table.aggregate(**measures).to_pyarrow().to_pylist()[0]
    except duckdb.Error as error:
        found = f"it cannot be read: {str(error).splitlines()[0]}"
        other = raw.problem(found, "a whole file", "export or copy it again")
        return broken_rows(con, raw) or [other]
    return [
        _cell_problem(
            raw, feed, columns[feed.field], *(row[f"{key}{i}"] for key in ("bad", "row", "text")),
            good=row[f"good{i}"],
        )
        for i, feed in enumerate(feeds)
        if row[f"bad{i}"]
    ]  # fmt: skip


def _measures(raw: ibis.Table, feed: Feed, column: Column, number: int) -> dict[str, Value]:
    """Of the cells that cannot be read: how many, the first and its row; and a good cell."""
    text, line = cell(raw, feed.column), raw[LINE]
    value = _reader(column)(raw, feed, column)
    bad = text.notnull() & value.isnull()
    return {
        f"bad{number}": bad.sum(),
        f"row{number}": line.min(where=bad),
        f"text{number}": text.argmin(line, where=bad),
        f"good{number}": text.argmin(line, where=value.notnull()),
    }


def _cell_problem(
    raw: Raw, feed: Feed, column: Column, count: int, row: int, text: str, *, good: str | None
) -> Problem:
    if column.type in ("money", "quantity"):
        found, expected, mend = _not_a_number(feed, text)
    elif column.type in ("date", "timestamp"):
        found, expected, mend = _not_a_date(feed, text, good)
    else:
        found, expected, mend = _not_a_code(feed, column)
    return raw.problem(
        f"{text!r} {found}",
        expected,
        mend.format(mapping=raw.mapping) + more(count),
        at=f"column {feed.column!r}, row {row}",
    )


def _not_a_number(feed: Feed, text: str) -> tuple[str, str, str]:
    marks = f"digits with {feed.decimal!r} as decimal sign"
    if feed.thousands:
        marks += f" and {feed.thousands!r} between thousands"
    for mark in (",", ".", " ", "'"):
        if mark != feed.decimal and re.search(_pattern(mark, feed.decimal), text):
            mend = f'if {mark!r} separates thousands, write thousands: "{mark}"'
            return "is not a number", marks, mend + " for it in {mapping}"
        if mark != feed.decimal and re.search(_pattern(feed.thousands, mark), text):
            mend = f'if {mark!r} is the decimal sign, write decimal: "{mark}"'
            return "is not a number", marks, mend + " for it in {mapping}"
    mend = "correct the cell, or clear it if the value is not known"
    return "is not a number", f"{marks}, at most 14 before it", mend


def _not_a_date(feed: Feed, text: str, good: str | None) -> tuple[str, str, str]:
    wanted = feed.format or ("%Y-%m-%d",)
    expected = "one of the formats " + ", ".join(wanted) if len(wanted) > 1 else wanted[0]
    expected += "" if feed.format else " with or without %H:%M:%S"
    other = formats([text])
    if not other:
        mend = "correct the cell, or write its `format` in {mapping}"
    elif good is None:
        mend = f'write format: "{other[0]}" for it in {{mapping}}'
    else:
        both = (*(feed.format or formats([good])[:1]), other[0])
        listed = ", ".join(f'"{pattern}"' for pattern in both)
        mend = f"the column has two formats: list both, as format: [{listed}], in {{mapping}}"
    if len(other) > 1 and other[0] != other[1]:
        mend += f' (or "{other[1]}" if the day comes first)' if "%d/%m" in other[1] else ""
    return "is not a date of the expected format", expected, mend


def _not_a_code(feed: Feed, column: Column) -> tuple[str, str, str]:
    listed = feed.starts_with or feed.codes
    what = "starts with none of the codes" if feed.starts_with else "is not a known code"
    codes = [code for code, _ in listed] if listed else column.codes
    option = "starts_with" if feed.starts_with else "codes"
    return (
        what,
        "one of " + ", ".join(codes),
        (f"add it to `{option}` of {feed.field}, or give a `default`, in {{mapping}}"),
    )


def _repeated(raws: list[tuple[File, Raw]], key: str) -> list[Problem]:
    """Records without a key, and keys that stand in several records of a source."""
    parts = []
    for i, (entry, raw) in enumerate(raws):
        feed = next(feed for feed in entry.feeds if feed.field == key)
        value = _field(raw.table, feed, fields(entry.table)[key])
        parts.append(raw.table.select(key=value, line=raw.table[LINE] + i * STRIDE))
    if not parts:
        return []
    records = ibis.union(*parts) if len(parts) > 1 else parts[0]
    groups = records.group_by("key").aggregate(
        rows=records.count(), first=records["line"].min(), last=records["line"].max()
    )
    none = groups["key"].isnull()
    twice = groups.filter(~none, groups["rows"] > 1)
    worst = twice.order_by("first").limit(1).mutate(keys=twice.count().as_scalar())
    return [
        *(_keyless(raws, key, group) for group in groups.filter(none).to_pyarrow().to_pylist()),
        *(_twice(raws, key, group) for group in worst.to_pyarrow().to_pylist()),
    ]


def _keyless(raws: list[tuple[File, Raw]], key: str, group: dict) -> Problem:
    raw, column, row = _place(raws, key, group["first"])
    return raw.problem(
        f"no {key}",
        f"a {key} in every row",
        "complete or remove the row" + more(group["rows"]),
        at=f"column {column!r}, row {row}",
    )


def _twice(raws: list[tuple[File, Raw]], key: str, group: dict) -> Problem:
    raw, column, row = _place(raws, key, group["first"])
    other, _, last = _place(raws, key, group["last"])
    shown = "" if other is raw else f" of {other.shown}"
    few = "stands again in" if group["rows"] == 2 else f"stands {group['rows']} times, the last in"
    return raw.problem(
        f"{key} {group['key']!r} {few} row {last}{shown}",
        f"one record for each {key} in a source",
        "keep the right one, or map the column that tells them apart"
        + (f" ({group['keys']:,} keys like it)" if group["keys"] > 1 else ""),
        at=f"column {column!r}, row {row}",
    )


def _place(raws: list[tuple[File, Raw]], key: str, line: int) -> tuple[Raw, str | None, int]:
    """The file, the column of the key and the row that a staged line comes from."""
    place, row = divmod(line, STRIDE)
    entry, raw = raws[place]
    return raw, next(feed.column for feed in entry.feeds if feed.field == key), row
