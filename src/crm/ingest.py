"""From the raw files of a source to staged tables: canonical columns and types, source keys.

A *cell* is the trimmed text of a raw value; blank text is empty. An empty cell stays empty in
the staged table, whatever the field: what an empty field means is decided when the data are
cleaned. A filled cell that its field cannot read is *unread*: its field stays empty and the cell
is listed. Where more than a few cells of a column are unread, the mapping is wrong and the run
stops; all such problems of a source are found in one pass over each file (ING-03, ING-24).

`line` is the row of the raw file, plus `STRIDE` for each earlier file of the same table, so
that `divmod(line, STRIDE)` gives back the file and the row.
Everything is a lazy Ibis expression on DuckDB: files of any length stream through it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import ibis
from ibis.expr.types import StringValue, Value

from crm.mapping import (
    STAGED,
    UNITS,
    Feed,
    File,
    Mapping,
    Problem,
    SourceError,
    did_you_mean,
    fields,
    formats,
    short,
)
from crm.raw import (
    BLANK,
    INVISIBLE,
    LINE,
    PLACE,
    Raw,
    broken_rows,
    find,
    fresh,
    more,
    not_whole,
    open_file,
)
from crm.tables import PERSONAL_STATUSES, STRIDE, Column, Table, lookup, moment

if TYPE_CHECKING:
    import pandas as pd

_DEFAULTS = {"kind": "sale"}  # of order lines
# a key of one of these words would make one customer, order or product of all that have none;
# `NA` is not among them: it is a code in many systems (Namibia, North America)
_WORDS = (
    "null", "(null)", "<null>", "n/a", "#n/a", "<na>", "nan", "none", "nil", "\\n", "-", "--", "—",
    "无", "空", "暂无",
)  # fmt: skip
_NOTHING = f"(?i){'|'.join(map(re.escape, _WORDS))}"
_CODES = (("0", "<"), ("=", "N"), ("O", "\\"), ("]", "n"), ("o", "{"))  # no word begins so
_WIDE, _NARROW = (
    "０１２３４５６７８９．，－＋／：",
    "0123456789.,-+/:",
)  # as Chinese keyboards type
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
_JUDGED = ("phone", "email", "name")  # personal columns of which a status is told
_MAIL = r"""^[^\s@,;:<>()\[\]"]+@[\p{L}\p{N}-]+(\.[\p{L}\p{N}-]+)+$"""
_CONTACTS = (  # what people write into free text, and what stands there instead (PRV-01)
    (r"\b\d{17}[\dXx]\b", "[ID]"),
    (r"(\+86[- ]?|\b86[- ]?|\b)1\d{2}[- ]?\d{4}[- ]?\d{4}\b", "[phone]"),
    (r"[\w.+-]+@[\w-]+(\.[\w-]+)+", "[e-mail]"),
)


@ibis.udf.scalar.builtin(name="translate", signature=(("string", "string", "string"), "string"))
def _translate_any(text, old, new): ...


@ibis.udf.scalar.builtin(name="regexp_full_match", signature=(("string", "string"), "bool"))
def _is_whole(text, pattern): ...


@ibis.udf.scalar.builtin(name="strlen", signature=(("string",), "int64"))
def _bytes(text): ...


@ibis.udf.scalar.builtin(name="regexp_replace", signature=(("string",) * 4, "string"))
def _replace_all(text, pattern, new, how): ...


@ibis.udf.scalar.builtin(name="try_strptime", signature=(("string", "string"), "timestamp(6)"))
def _try_strptime(text, pattern): ...


@dataclass(frozen=True)
class Opened:
    """One raw file that feeds a table: entry, name, content, and feeds with unread cells.

    `values` are its cells as their fields read them, converted once (`#field`, and beside it
    `#unread field` where it could not be); personal fields are not in it.
    """

    entry: File
    path: str
    raw: Raw
    values: ibis.Table | None = None
    unread: tuple[Feed, ...] = ()


@dataclass(frozen=True)
class Reading:
    """All raw files of a source, open: by table, in the order that numbers their lines."""

    mapping: Mapping
    files: dict[str, list[Opened]] = field(default_factory=dict)


def problems(
    con, mapping: Mapping, folder: str | Path, *, max_unread: float = 0.05
) -> list[Problem]:
    """Everything that keeps the raw files of a source from being staged, cells included.

    Parameters
    ----------
    con
        An Ibis DuckDB connection.
    mapping
        The mapping of the source.
    folder
        The folder of its raw files, `data/raw/<name>`.
    max_unread
        Share of the filled cells of a column that may be unread.
    """
    return _look(con, mapping, folder, max_unread)[1]


def read(con, mapping: Mapping, folder: str | Path, *, max_unread: float = 0.05) -> Reading:
    """The raw files of a source, open and looked through; see `problems` for the parameters.

    Raises
    ------
    SourceError
        A file or a mapping has problems; the message lists all of them.
    """
    reading, found = _look(con, mapping, folder, max_unread)
    if found:
        raise SourceError(*found)
    return reading


def open_source(con, mapping: Mapping, folder: str | Path) -> dict[str, ibis.Table]:
    """The staged tables of a source, lazy, by name; raises `SourceError` with all problems."""
    return tables(con, read(con, mapping, folder))


def tables(con, reading: Reading) -> dict[str, ibis.Table]:
    """The staged tables, lazy, by name; a table that no file feeds is empty.

    Personal columns are not in them: see `personal`.
    """
    return {
        name: _union(con, reading, name, _schema(reading, f"staged/{name}")) for name in STAGED
    }


def personal(con, reading: Reading) -> ibis.Table:
    """One customer record with its personal columns, in the clear: for the vault only.

    The caller encrypts it; nothing of it may be written elsewhere (PRV-01…04).
    """
    return _union(con, reading, "customers", lookup("vault/customers"))


def buried(tables: dict[str, ibis.Table], path: Path, *, source: str, key: bytes) -> list[str]:
    """The source keys in the tables that have a tombstone in the file (PRV-08).

    Parameters
    ----------
    tables
        The staged tables by name.
    path
        `tombstones.csv` of the source; one that is not there has none.
    source
        Name of the source.
    key
        The pseudonym key.
    """
    from crm.vault import tombstones

    with path.open(encoding="utf-8", newline="") if path.exists() else nullcontext(()) as rows:
        hashes = {row["hash"] for row in csv.DictReader(rows)}
    if not hashes:
        return []
    named = [rows.select("customer_key") for rows in tables.values() if _names(rows)]
    known = ibis.union(*named).distinct().to_pyarrow()["customer_key"].drop_null().to_pylist()
    made = tombstones(source, known, key=key)
    return sorted(k for k, tombstone in zip(known, made, strict=True) if tombstone in hashes)


def parted(
    tables: dict[str, ibis.Table], keys: list[str], orders: ibis.Table | None = None
) -> tuple[dict[str, ibis.Table], dict[str, ibis.Table]]:
    """The staged tables without what is about these customers, and what is, by name.

    A row is about a customer if it names the key, or names nobody and belongs to an order of
    that customer alone; so no costs or discounts of an order outlive it.

    Parameters
    ----------
    tables
        The staged tables by name.
    keys
        Source keys; if there are none, the tables are given back as they are.
    orders
        Orders of these customers, as of `orders_of`; None looks for them in the tables.
    """
    if not keys:
        return tables, {}
    orders = orders_of(tables["order_lines"], keys) if orders is None else orders
    about = {n: _about(rows, keys, orders) for n, rows in tables.items() if _names(rows)}
    kept = {n: rows.filter(~about[n]) if n in about else rows for n, rows in tables.items()}
    return kept, {name: tables[name].filter(flag) for name, flag in about.items()}


def orders_of(order_lines: ibis.Table, keys: list[str]) -> ibis.Table:
    """One order that names one of these customers and nobody else."""
    is_own = order_lines["customer_key"].isin(keys)
    sums = order_lines.filter(order_lines["customer_key"].notnull()).group_by("order_id")
    named = sums.agg(own=is_own.sum(), others=(~is_own).sum())
    return named.filter(named["own"] > 0, named["others"] == 0).select("order_id")


def dropped(arrived: dict[str, ibis.Table], kept: dict, gone: dict) -> dict[str, int]:
    """Rows of forgotten customers by table, where there are any; none may be lost or doubled."""
    counts = {name: int(rows.count().execute()) for name, rows in gone.items()}
    for name, count in counts.items():
        came, stays = (int(tables[name].count().execute()) for tables in (arrived, kept))
        if came != stays + count:
            raise ValueError(f"{came} rows of {name} arrived, {stays} are kept, {count} dropped")
    return {name: count for name, count in counts.items() if count}


def remaining(cells: ibis.Table, gone: dict[str, ibis.Table]) -> ibis.Table:
    """The cells of `unread` without those of rows that are gone."""
    for name, rows in gone.items():
        lines = rows["line"]
        cells = cells.filter((cells["table"] != name) | ~cells["line"].isin(lines))
    return cells


def _names(rows: ibis.Table) -> bool:
    """Whether rows of the table can name a customer."""
    return "customer_key" in rows.columns


def _about(rows: ibis.Table, keys: list[str], orders: ibis.Table) -> Value:
    is_about = rows["customer_key"].isin(keys).fill_null(False)
    if "order_id" not in rows.columns:
        return is_about
    of_order = rows["order_id"].isin(orders["order_id"]).fill_null(False)
    return is_about | (rows["customer_key"].isnull() & of_order)


def unread(con, reading: Reading) -> ibis.Table:
    """One cell that could not be read as its field asks, as in `staged/unread`."""
    parts = [
        _unread(opened, feed, name, number)
        for name, files in reading.files.items()
        for number, opened in enumerate(files)
        for feed in opened.unread
    ]
    return ibis.union(*parts) if len(parts) > 1 else parts[0] if parts else _empty(
        con, lookup("staged/unread")
    )  # fmt: skip


def files(con, reading: Reading, staged: dict[str, ibis.Table]) -> pd.DataFrame:
    """One raw file that was read, as in `staged/files`."""
    import pandas as pd

    rows = []
    for name, opened in reading.files.items():
        found = (
            _arrived(staged[name], name, reading.mapping.period).to_pyarrow().to_pylist()
            if opened
            else []
        )
        counts = {row["number"]: row for row in found}
        for number, one in enumerate(opened):
            count = counts.get(number, {"rows": 0, "newest": None})
            rows.append(
                (name, one.path, number, one.entry.system or one.entry.paths[0], one.raw.encoding,
                 one.entry.refresh_days, one.entry.duplicates, count["rows"], count["newest"])
            )  # fmt: skip
    frame = pd.DataFrame(rows, columns=lookup("staged/files").names)
    frame["newest"] = pd.to_datetime(frame["newest"]).astype("datetime64[us]")
    return frame.astype({"table": "str", "file": "str", "system": "str", "encoding": "str"})


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
    if "phone_status" in schema.names:
        is_made = "#phone_status" in raw.columns
        found = {n: raw[f"#{n}"] for n in PERSONAL_STATUSES} if is_made else _statuses(raw, feeds)
        made |= found
    columns = {
        column.name: made[column.name]
        if column.name in made
        else _field(raw, feeds.get(column.name), column)
        for column in schema.columns
    }
    if schema.name == "staged/order_lines":
        columns |= _amounts(columns, feeds)
    return raw.select(
        **{name: value.cast(_TYPES[schema[name].type]) for name, value in columns.items()}
    )


def as_of(order_lines: ibis.Table, *, period: tuple[str, str] | None = None) -> date:
    """The day of the last sale; of a source that names its period, the last one in it."""
    sales = order_lines.filter(order_lines["kind"] == "sale")
    if period:
        day = sales["ordered_at"].date()
        sales = sales.filter(day.between(*map(ibis.date, period)))
    last = sales["ordered_at"].max().execute()
    if last is None or last != last:
        raise ValueError(
            "order_lines has no sale with a date, so `run.as_of: auto` has no answer; expected "
            "at least one; look at `kind` and `ordered_at` in the mapping, or give a date"
        )
    return last.date()


def listing(reading: Reading) -> pd.DataFrame:
    """One canonical field of one entry of the mapping: the column that feeds it, where it goes."""
    import pandas as pd

    hidden = {c.name for c in lookup("vault/customers").columns if c.personal}
    shown = {
        (entry.table, entry.paths, feed): {
            "table": entry.table,
            "file": " or ".join(entry.paths),
            "field": feed.field,
            "column": feed.column or f"always {feed.value}",
            "goes_to": "vault, encrypted" if feed.field in hidden else "analysis",
        }
        for entry in reading.mapping.files
        for feed in entry.feeds
    }
    return pd.DataFrame(list(shown.values()))


def unmapped(reading: Reading) -> pd.DataFrame:
    """One column of a raw file that no field names and that was therefore not read (PRV-06)."""
    import pandas as pd

    rows = {
        (opened.entry.paths[0], column): (name, " or ".join(opened.entry.paths), column)
        for name, files in reading.files.items()
        for opened in files
        for column in opened.raw.columns
        if column not in _used(reading.mapping, opened.entry)
    }
    return pd.DataFrame(list(rows.values()), columns=["table", "file", "column"])


def _used(mapping: Mapping, entry: File) -> set[str]:
    """Columns of the entry's files that some entry of the mapping reads."""
    same = [other for other in mapping.files if set(other.paths) & set(entry.paths)]
    return {f.column for o in same for f in o.feeds} | {o.join.on for o in same if o.join}


def facts(order_lines: ibis.Table, *, period: tuple[str, str] | None = None) -> ibis.Table:
    """One row: lines, the first and last day, lines without a customer and lines returned.

    Days outside the `period` of the source are mistakes and left out.
    """
    when = order_lines["ordered_at"]
    day = when.date()
    is_in = day.between(*map(ibis.date, period)) if period else day.notnull()
    return order_lines.aggregate(
        lines=order_lines.count(),
        first_day=when.min(where=is_in).date(),
        last_day=when.max(where=is_in).date(),
        unknown_lines=order_lines["customer_key"].isnull().sum().fill_null(0),
        return_lines=(order_lines["kind"] == "return").sum().fill_null(0),
    )


# --- tables


def _converted(con, one: Opened, extended: tuple[Column, ...]) -> Opened:
    """The file with its `values`, written once to a folder that lives as long as the process."""
    columns = fields(one.entry.table, extended)
    feeds = [f for f in one.entry.feeds if f.column is not None and not columns[f.field].personal]
    judged = [f for f in one.entry.feeds if f.field in _JUDGED and f.column]
    rows = one.raw.rows(con)
    cells = _cells_of(con, rows, {feed.column for feed in (*feeds, *judged)})
    made = {}
    for feed in feeds:
        value = _read(cells[feed.column], feed, columns[feed.field])
        made[f"#{feed.field}"] = value
        if _can_fail(feed, columns[feed.field]):
            text = _told(cells[feed.column], columns[feed.field])
            made[f"#unread {feed.field}"] = value.isnull().ifelse(text, None)
    if one.entry.table == "customers":
        statuses = _statuses(cells, {feed.field: feed for feed in judged})
        made |= {f"#{name}": value for name, value in statuses.items()}
    path = fresh(".parquet")
    query = con.compile(cells.select(*(c for c in PLACE if c in cells.columns), **made))
    # a dictionary only where values are few: to make one of every cell costs more than it saves
    options = "format parquet, compression lz4, dictionary_size_limit 1000"
    con.raw_sql(f"copy ({query}) to '{path}' ({options})")
    # `engine.write` knows by this beginning that rows are stored and can be read month by month
    view = f"scan_{ibis.util.gen_name('values')}"
    con.raw_sql(f"create view {view} as {one.raw.placed(path)}")
    return replace(one, values=con.table(view))


def _cells_of(con, rows: ibis.Table, columns: set[str]) -> ibis.Table:
    """The rows with their place, and these columns as cells, each trimmed once."""
    place = [name for name in PLACE if name in rows.columns]
    made = {name: _trimmed(rows[name]) for name in sorted(columns)}
    view = ibis.util.gen_name("cells")
    con.raw_sql(f"create view {view} as {con.compile(rows.select(*place, **made))}")
    return con.table(view)


def _look(con, mapping: Mapping, folder, max_unread: float) -> tuple[Reading, list[Problem]]:
    """Every file open and looked through, and what is wrong."""
    found: list[Problem] = []
    opened: dict[str, list[Opened]] = {table: [] for table in STAGED}
    for entry in mapping.files:
        try:
            paths = find(entry, mapping.name, folder)
        except SourceError as error:
            found += error.problems
            continue
        for path in paths:
            try:
                one = _open(con, mapping, entry, folder, path)
            except SourceError as error:
                found += error.problems
                continue
            one, wrong = _cells(con, one, max_unread, mapping.extended)
            opened[entry.table].append(one)
            found += wrong
    return Reading(mapping, opened), found


def _schema(reading: Reading, name: str) -> Table:
    return lookup(name, reading.mapping.extended)


def _union(con, reading: Reading, name: str, schema: Table) -> ibis.Table:
    is_vault = schema.name.startswith("vault/")
    parts = [
        stage(
            one.raw.table if is_vault or one.values is None else one.values,
            one.entry,
            schema,
            source=reading.mapping.name,
            first=number * STRIDE,
        )
        for number, one in enumerate(reading.files.get(name, []))
    ]
    return ibis.union(*parts) if len(parts) > 1 else parts[0] if parts else _empty(con, schema)


def _arrived(staged: ibis.Table, name: str, period: tuple[str, str] | None) -> ibis.Table:
    """Rows and newest day by number of the file; days outside the `period` are mistakes."""
    when = moment(lookup(f"staged/{name}"))
    newest = ibis.null("date")
    if when:
        day = staged[when].cast("date")
        is_in = day.between(*map(ibis.date, period)) if period else day.notnull()
        newest = day.max(where=is_in)
    return staged.group_by(number=staged["line"] // STRIDE).agg(rows=staged.count(), newest=newest)


def _unread(opened: Opened, feed: Feed, name: str, number: int) -> ibis.Table:
    values = opened.values
    text = values[f"#unread {feed.field}"]
    bad = values.filter(text.notnull()).select(line=values[LINE] + number * STRIDE, text=text)
    return bad.select(
        table=ibis.literal(name), line=bad.line, field=ibis.literal(feed.field),
        value=_masked(bad.text),
    )  # fmt: skip


def _open(con, mapping: Mapping, entry: File, folder, path: str) -> Opened:
    """The file, its entry as the file asks to be read; raises unless all columns are there."""
    raw = open_file(con, entry, mapping.name, folder, path)
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
    return Opened(entry, path, raw)


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
    made = f"#{column.name}"
    value = raw[made] if made in raw.columns else _read(_trimmed(raw[feed.column]), feed, column)
    return value.fill_null(default) if default else value


def _can_fail(feed: Feed, column: Column) -> bool:
    """Whether a filled cell may have no value: not where any text is one."""
    told = (feed.codes, feed.starts_with, feed.strip_suffix, column.codes)
    return column.type != "string" or any(told)


def _amounts(made: dict[str, Value], feeds: dict[str, Feed]) -> dict[str, Value]:
    """Amount and unit price, each computed from the other where no column feeds it."""
    product = _product(made["quantity"], made["unit_price"])
    amount = made["amount"] if "amount" in feeds else product
    if "unit_price" in feeds:
        return {"amount": amount.fill_null(product) if "amount" in feeds else amount}
    each = (amount / made["quantity"].nullif(0)).round(4)
    each = ibis.cases((made["quantity"] == 0, amount.cast("float64")), else_=each)
    is_return = made["kind"] == "return"  # its amount may be negative, its price is not
    return {"amount": amount, "unit_price": is_return.ifelse(each.abs(), each)}


def _product(quantity: Value, price: Value) -> Value:
    """Quantity times price with four places, rounded; empty if it does not fit into money.

    To round 38 digits takes seventy times as long as to multiply 18, which is enough for whole
    units below 10^5 at prices below 10^9; beyond them the engine would stop.
    """
    whole, wide = quantity.cast("decimal(14, 0)"), "decimal(22, 4)"
    each = (quantity.cast(wide) * price.cast(wide)).try_cast("decimal(18, 4)")
    is_small = (quantity == whole) & (whole.abs() < 10**5) & (price.abs() < 10**9)
    return is_small.ifelse((whole * price).cast("decimal(18, 4)"), each)


def _statuses(raw: ibis.Table, feeds: dict[str, Feed]) -> dict[str, Value]:
    """What may be known outside the vault of phone, e-mail and name of a customer record."""
    mail, name = (
        cell(raw, feeds[field].column) if field in feeds and feeds[field].column else None
        for field in ("email", "name")
    )
    missing = ibis.literal("missing")
    return {
        "phone_status": _phone_status(raw, feeds),
        "email_status": missing if mail is None else ibis.cases(
            (mail.isnull(), "missing"), (mail.re_search(_MAIL), "ok"), else_="to_verify"),
        "name_status": missing if name is None else name.isnull().ifelse("missing", "ok"),
    }  # fmt: skip


def _phone_status(raw: ibis.Table, feeds: dict[str, Feed]) -> Value:
    """Whether a phone has 11 digits once blanks, hyphens and +86 are removed (CLN-01, Q-18).

    In the strict mode they stay, and the phone has to be 11 digits as it was typed.
    """
    feed = feeds.get("phone")
    if feed is None or feed.column is None:
        return ibis.literal("missing")
    text = _narrow(cell(raw, feed.column))
    if not feed.strict:
        text = _replace_all(text, r"[\s-]", "", "g").re_replace(r"^(\+86|0086)", "")
    is_ok = text.re_search(r"^\d{11}$")
    return ibis.cases((text.isnull(), "missing"), (is_ok, "ok"), else_="to_verify")


def _masked(text: StringValue) -> StringValue:
    """The text with phones, e-mails and ID numbers replaced by what they are."""
    is_plain = _bytes(text) == text.length()
    text = is_plain.ifelse(text, _translate_any(text, _WIDE[:10], _NARROW[:10]))
    for pattern, name in _CONTACTS:
        text = _replace_all(text, pattern, name, "g")
    return text


def _read(one: Value, feed: Feed, column: Column) -> Value:
    """The value of a field from a trimmed cell, empty where it cannot be read."""
    if column.type == "int":
        return _whole(one, feed)
    if column.type in ("money", "quantity"):
        return _number(one, feed)
    return _moment(one, feed, column) if column.type in ("date", "timestamp") else _string(
        one, feed, column
    )  # fmt: skip


def cell(raw: ibis.Table, column: str) -> StringValue:
    """The cell of a column as trimmed text; blank is empty, a whole number has no `.0`."""
    return _text(_trimmed(raw[column]))


def _trimmed(value: Value) -> Value:
    """Text without blanks around it, empty if nothing is left; any other value as it is."""
    if not value.type().is_string():
        return value
    # most cells need no trimming, which costs three times as much as to see it
    is_plain = _is_whole(value, "[!-~]([ -~]*[!-~])?")
    trimmed = _replace_all(value, f"^[{BLANK}]+|[{BLANK}]+$", "", "g")
    return is_plain.ifelse(value, trimmed).nullif("")


def _text(value: Value) -> StringValue:
    """A trimmed cell as text."""
    if value.type().is_floating():
        whole = (value % 1 == 0) & (value.abs() < 1e15)  # `floor` would raise on nan and inf
        # as text, since DuckDB may believe a file whose statistics leave nan out
        number = value.cast("string").nullif("nan")
        return whole.ifelse(value.try_cast("int64").cast("string"), number)
    if value.type().is_decimal():
        plain = value.cast("string")
        return plain.contains(".").ifelse(plain.re_replace(r"\.?0+$", ""), plain)
    return value if value.type().is_string() else value.cast("string")


def _told(one: Value, column: Column) -> StringValue:
    """A trimmed cell of a field as text; a key has nothing invisible, and no word for nothing."""
    text = _text(one)
    if column.type != "string" or not column.name.endswith(("_id", "_key")):
        return text
    # most keys begin like no such word and are ASCII: to see that costs next to nothing
    is_code = ibis.or_(*((text >= first) & (text < to) for first, to in _CODES))
    is_plain = is_code & (_bytes(text) == text.length())
    seen = _replace_all(text, f"[{INVISIBLE}]", "", "g")
    return ibis.cases((is_plain, text), (_is_whole(seen, _NOTHING), None), else_=seen)


def _narrow(text: StringValue) -> StringValue:
    """The text with full-width digits and signs as plain ones."""
    is_plain = _bytes(text) == text.length()
    return is_plain.ifelse(text, _translate_any(text, _WIDE, _NARROW))


def _either(text: StringValue, parse: Callable[[StringValue], Value]) -> Value:
    """What `parse` makes of the text, or else of the text with full-width digits narrowed."""
    value = parse(text)
    # within the condition, else the engine narrows every cell, which takes twenty times as long
    narrow = value.isnull().ifelse(_translate_any(text, _WIDE, _NARROW), None)
    return ibis.coalesce(value, parse(narrow))


def _string(one: Value, feed: Feed, column: Column) -> StringValue:
    text = _told(one, column)
    if feed.strip_suffix:
        text = text.re_replace(f"{re.escape(feed.strip_suffix)}$", "").nullif("")
    if feed.prefix:
        text = ibis.literal(feed.prefix) + text
    if column.free:
        text = _masked(text)
    known = ibis.null("string") if feed.default is None else ibis.literal(feed.default)
    if feed.starts_with:
        longest = sorted(feed.starts_with, key=lambda pair: -len(pair[0]))
        return ibis.cases(
            *((text.startswith(start), value) for start, value in longest), else_=known
        )
    if feed.codes:
        return ibis.cases(*((text == code, value) for code, value in feed.codes), else_=known)
    return text.isin(column.codes).ifelse(text, ibis.null("string")) if column.codes else text


def _whole(one: Value, feed: Feed) -> Value:
    number = _number(one, feed)
    return (number == number.floor()).ifelse(number, ibis.null("decimal(18, 4)")).cast("int64")


def _number(one: Value, feed: Feed) -> Value:
    """A decimal with four places, rounded; text never passes through a binary number."""
    wide = "decimal(18, 4)" if feed.unit is None else "decimal(28, 8)"
    if one.type().is_numeric():
        number = one.try_cast(wide)
    else:
        number = _either(_text(one), lambda text: _decimal(text, feed).try_cast(wide))
    if feed.unit is None:
        return number
    return (number * ibis.literal(Decimal(UNITS[feed.unit]))).try_cast("decimal(18, 4)")


def _decimal(text: StringValue, feed: Feed) -> StringValue:
    """A number as the engine writes it, empty if the text is none."""
    plain = text.replace(feed.thousands, "") if feed.thousands else text
    plain = plain if feed.decimal == "." else plain.replace(feed.decimal, ".")
    is_number = text.re_search(_pattern(feed.thousands, feed.decimal))
    return is_number.ifelse(plain, ibis.null("string"))


def _pattern(thousands: str | None, decimal: str) -> str:
    """What a number looks like, with these marks."""
    point = re.escape(decimal)
    grouped = rf"\d{{1,3}}({re.escape(thousands)}\d{{3}})+|" if thousands else ""
    return rf"^[+-]?(({grouped}\d+)({point}\d*)?|{point}\d+)$"


def _moment(one: Value, feed: Feed, column: Column) -> Value:
    if one.type().is_timestamp() or one.type().is_date():
        return one.try_cast(_TYPES[column.type])
    if feed.format:
        return _either(
            _text(one), lambda text: ibis.coalesce(*(_try_strptime(text, p) for p in feed.format))
        ).try_cast(_TYPES[column.type])
    null = ibis.null("string")
    return _either(
        _text(one), lambda text: text.re_search(_ISO).ifelse(text, null).try_cast("timestamp(6)")
    ).try_cast(_TYPES[column.type])


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
        elif raw.table[feed.column].type().is_binary():
            found.append(
                raw.problem(
                    "bytes of no known character set",
                    "text",
                    "export it as text (string)",
                    at=f"column {feed.column!r}",
                )
            )
    return found


def _cells(
    con, one: Opened, max_unread: float, extended: tuple[Column, ...]
) -> tuple[Opened, list[Problem]]:
    """The file converted, its feeds that have unread cells, and a problem where those are many."""
    columns = fields(one.entry.table, extended)
    try:
        one = _converted(con, one, extended)
    except duckdb.Error as error:
        return one, broken_rows(con, one.raw) or not_whole(one.raw, error).problems
    values = one.values
    feeds = [feed for feed in one.entry.feeds if f"#unread {feed.field}" in values.columns]
    measures = {}
    for i, feed in enumerate(feeds):
        bad = values[f"#unread {feed.field}"].count()
        measures |= {f"bad{i}": bad, f"filled{i}": values[f"#{feed.field}"].count() + bad}
    counts = values.aggregate(**measures).to_pyarrow().to_pylist()[0] if measures else {}
    odd = [(i, feed) for i, feed in enumerate(feeds) if counts[f"bad{i}"]]
    wrong = [
        _cell_problem(one.raw, feed, columns[feed.field])
        for i, feed in odd
        if counts[f"bad{i}"] > max_unread * counts[f"filled{i}"]
    ]
    return replace(one, unread=tuple(feed for _, feed in odd)), wrong


def _first(raw: ibis.Table, feed: Feed, column: Column) -> dict:
    """Of the cells that cannot be read: how many, the first and its row; and a good cell."""
    text, line = cell(raw, feed.column), raw[LINE]
    value = _read(_trimmed(raw[feed.column]), feed, column)
    bad = text.notnull() & value.isnull()
    return raw.aggregate(
        count=bad.sum(),
        row=line.min(where=bad),
        text=text.argmin(line, where=bad),
        good=text.argmin(line, where=value.notnull()),
    ).to_pyarrow().to_pylist()[0]  # fmt: skip


def _cell_problem(raw: Raw, feed: Feed, column: Column) -> Problem:
    count, row, text, good = _first(raw.table, feed, column).values()
    if column.type in ("money", "quantity", "int"):
        found, expected, mend = _not_a_number(feed, text)
    elif column.type in ("date", "timestamp"):
        found, expected, mend = _not_a_date(feed, text, good)
    else:
        found, expected, mend = _not_a_code(feed, column)
    return raw.problem(
        f"{short(text)!r} {found}",
        expected,
        mend.format(mapping=raw.mapping) + more(count),
        at=f"column {feed.column!r}, row {row}",
    )


def _not_a_number(feed: Feed, text: str) -> tuple[str, str, str]:
    marks = f"digits with {feed.decimal!r} as decimal sign"
    if feed.thousands:
        marks += f" and {feed.thousands!r} between thousands"
    for mark in filter(text.__contains__, (",", ".", " ", "'")):
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
