"""One raw file as a lazy table, with the row of the file in which each record stands.

Rows are counted as a person sees them in the file. In CSV and .xlsx the header is row 1, so
that the data start at row 2; in Parquet, which has no header row, the first record is row 1.
A CSV record with a line break inside quotes counts as one row, as in a spreadsheet, and so does
not a blank line: after either the row is the number of the record, not of the text line.

CSV cells are all text, .xlsx cells become text (dates as ISO, numbers as short as can be),
Parquet columns keep their types. Nothing is read into memory whole except an .xlsx sheet.
"""

from __future__ import annotations

import csv
import functools
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from python_calamine import CalamineError, CalamineWorkbook

from crm.mapping import File, Problem, SourceError, did_you_mean

LINE = "#line"  # the row in the file; no header is called that

_CHUNK = 50_000  # rows of a sheet that are converted at a time
_BROKEN = {  # DuckDB's kind of error: found, expected, how to mend
    "TOO MANY COLUMNS": (
        "{found} cells",
        "{expected}, as in the header",
        "put cells that contain the delimiter in double quotes, or write the right `delimiter`",
    ),
    "MISSING COLUMNS": (
        "{found} cells",
        "{expected}, as in the header",
        "complete the row, or join it with the next where a line break cut it in two",
    ),
    "UNQUOTED VALUE": (
        "a double quote that is not closed or not doubled",
        'cells such as "say ""hello"" twice"',
        "close the quote, or double a quote inside a quoted cell",
    ),
    "INVALID ENCODING": (
        "bytes that are not UTF-8",
        "the encoding that the mapping declares",
        "write its `encoding`, such as gb18030 (Chinese Excel) or latin-1, in {mapping}",
    ),
}


@dataclass(frozen=True)
class Raw:
    """An open file: how messages name it, its columns, and its table with the column `LINE`.

    `scan` is how DuckDB reads it; `header` is the row of a text file in which the header stands.
    """

    shown: str
    mapping: str
    suffix: str
    columns: tuple[str, ...] = ()
    scan: str = ""
    header: int = 1
    table: ibis.Table | None = None

    def problem(self, found: str, expected: str, mend: str, *, at: str = "") -> Problem:
        """A problem in this file; `at` says where in it."""
        return Problem(f"{self.shown}{at and ', '}{at}", found, expected, mend)

    def error(self, found: str, expected: str, mend: str, *, at: str = "") -> SourceError:
        """The same as an error, where nothing more can be said about the file."""
        return SourceError(self.problem(found, expected, mend, at=at))


def find(entry: File, name: str, folder: Path) -> str:
    """The first of the entry's file names that is in the folder."""
    for path in entry.paths:
        if (Path(folder) / path).is_file():
            return path
    shown = " or ".join(f"data/raw/{name}/{path}" for path in entry.paths)
    there = sorted(p.name for p in Path(folder).iterdir()) if Path(folder).is_dir() else []
    raise SourceError(
        Problem(
            shown,
            "the file is not there",
            f"the file that feeds {entry.table}",
            f"copy it to data/raw/{name}/ or mend `path` in data/sources/{name}/mapping.yaml; "
            f"there {'are ' + ', '.join(there) if there else 'is nothing'} in that folder",
        )
    )


def open_file(con, entry: File, name: str, folder: str | Path) -> Raw:
    """The file of one mapping entry, open; raises `SourceError` if it or its header is bad.

    Parameters
    ----------
    con
        The Ibis DuckDB connection in which the table lives.
    entry
        The entry of the mapping; only where the file is and how it is written matter here.
    name
        Name of the source.
    folder
        The folder of the raw files, `data/raw/<name>`.
    """
    path = find(entry, name, folder)
    blank = Raw(
        shown=f"data/raw/{name}/{path}",
        mapping=f"data/sources/{name}/mapping.yaml",
        suffix=Path(path).suffix.lower(),
    )
    file = Path(folder) / path
    if not file.stat().st_size:
        raise SourceError(_empty(blank))
    openers = {".parquet": _parquet, ".xlsx": _xlsx}
    raw = openers.get(blank.suffix, _csv)(file, entry, blank)
    return replace(raw, table=_view(con, raw))


def broken_rows(con, raw: Raw) -> list[Problem]:
    """One problem for each way in which rows of a CSV file do not fit its header.

    Rows are those of the text file here, so that an editor finds them.
    """
    if raw.suffix in (".parquet", ".xlsx"):
        return []
    table, scans = ibis.util.gen_name("rejects"), ibis.util.gen_name("scans")
    counts = ", ".join(f"count({_name(column)})" for column in raw.columns)
    options = f"store_rejects=true, rejects_table={_text(table)}, rejects_scan={_text(scans)}"
    con.raw_sql(f"select {counts} from {raw.scan[:-1]}, {options})").fetchall()
    kinds = con.raw_sql(
        f"select error_type::varchar, count(distinct line), min(line), "
        f"arg_min(error_message, line) from {table} group by 1 order by 3, 1"
    ).fetchall()
    con.raw_sql(f"drop table {table}; drop table {scans}")
    return [_broken(raw, *kind) for kind in kinds]


def more(count: int) -> str:
    """How many further rows a message stands for.

    Examples
    --------
    >>> more(12), more(1)
    (' (12 rows like it)', '')
    """
    return f" ({count:,} rows like it)" if count > 1 else ""


def _broken(raw: Raw, kind: str, count: int, line: int, message: str) -> Problem:
    default = (message.splitlines()[0], "rows as CSV writes them", "mend the row")
    numbers = re.findall(r"\d+", message)
    values = {
        "mapping": raw.mapping,
        "expected": numbers[0] if numbers else "",
        "found": numbers[-1] if numbers else "",
    }
    texts = _BROKEN.get(kind)
    found, expected, mend = (t.format(**values) for t in texts) if texts else default
    return raw.problem(found, expected, mend + more(count), at=f"row {line}")


def _empty(raw: Raw) -> Problem:
    return raw.problem("the file is empty", "a header and at least one row", "export it again")


def _header(names: list[str], raw: Raw, *, has_rows: bool) -> tuple[str, ...]:
    """The names of the columns; raises unless each stands once and rows follow.

    Names that differ only in upper and lower case count as the same: the engine cannot tell
    them apart. A column without a name is called by its place.
    """
    names = [_named(name, i) for i, name in enumerate(names, 1)]
    problems = [
        raw.problem(
            f"the name {same[0][1]!r} stands over columns {' and '.join(str(i) for i, _ in same)}",
            "each column name once, in upper or lower case",
            "rename one of them in the file or where it is exported",
            at=f"column {same[0][1]!r}, row 1",
        )
        for same in _same(names)
    ]
    if not has_rows:
        mend = f"export it again, or remove the entry from {raw.mapping}"
        found = "only a header and no rows"
        problems.append(raw.problem(found, "at least one row below the header", mend, at="row 2"))
    if problems:
        raise SourceError(*problems)
    return tuple(names)


def _same(names: list[str]) -> list[list[tuple[int, str]]]:
    """Places and names of the columns that share a name."""
    places: dict[str, list[tuple[int, str]]] = {}
    for i, name in enumerate(names, 1):
        places.setdefault(name.casefold(), []).append((i, name))
    return [same for same in places.values() if len(same) > 1]


def _named(name: str, place: int) -> str:
    return " ".join(name.split()) or f"(column {place})"


def _view(con, raw: Raw) -> ibis.Table:
    """The scan as a table in the connection; rows without any value are left out."""
    view, line = ibis.util.gen_name("raw"), _name(LINE)
    if raw.suffix == ".parquet":
        query = (
            f"select file_row_number + 1 as {line}, * exclude (file_row_number) from {raw.scan}"
        )
    elif raw.suffix == ".xlsx":
        query = f"select * from {raw.scan}"
    else:
        # counted over the file's order, so blank rows go after the count
        _keeps_order(con)
        filled = " or ".join(f"{_name(column)} is not null" for column in raw.columns)
        query = (
            f"select * from (select row_number() over () + {raw.header} as {line}, * "
            f"from {raw.scan}) where {filled}"
        )
    con.raw_sql(f"create or replace temp view {view} as {query}")
    return con.table(view)


def _keeps_order(con) -> None:
    """Rows can only be counted where DuckDB keeps the order of the file, as by default."""
    setting = "preserve_insertion_order"
    if str(con.raw_sql(f"select current_setting('{setting}')").fetchone()[0]).lower() != "true":
        raise ValueError(
            f"{setting} is off; expected it on, since rows of CSV files are counted "
            f"in their order; remove it from the connection's settings"
        )


# --- Parquet


def _parquet(file: Path, entry: File, raw: Raw) -> Raw:
    try:
        with pq.ParquetFile(file) as parquet:
            schema, rows = parquet.schema_arrow, parquet.metadata.num_rows
    except (pa.ArrowInvalid, OSError):
        raise raw.error(
            "it cannot be read as Parquet", "a whole Parquet file", "export or copy it again"
        ) from None
    columns = _header(schema.names, raw, has_rows=rows > 0)
    if list(columns) != schema.names:
        odd = next(a for a, b in zip(schema.names, columns, strict=True) if a != b)
        raise raw.error(
            f"the column name {odd!r}",
            "a name without extra blanks",
            "rename it where it is exported",
        )
    scan = f"read_parquet({_text(file)}, file_row_number=true)"
    return replace(raw, columns=columns, scan=scan)


# --- CSV


def _csv(file: Path, entry: File, raw: Raw) -> Raw:
    if entry.encoding not in ("utf-8", "utf-8-sig", "utf_8_sig", "ascii"):
        file = _as_utf8(file, entry.encoding, raw)
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            before, names, has_rows = _start(csv.reader(lines, delimiter=entry.delimiter))
    except UnicodeDecodeError:
        raise SourceError(_undecodable(file, "utf-8", raw)) from None
    except csv.Error as error:
        raise raw.error(
            f"no CSV: {error}", "a text file with a header", "save it as CSV", at="row 1"
        ) from None
    if not names:
        raise SourceError(_empty(raw))
    columns = _header(names, raw, has_rows=has_rows)
    types = ", ".join(f"{_text(column)}: 'VARCHAR'" for column in columns)
    scan = (
        f"read_csv({_text(file)}, auto_detect=false, header=true, delim={_text(entry.delimiter)}, "
        f"quote='\"', escape='\"', columns={{{types}}}, strict_mode=true, null_padding=false, "
        f"skip={before})"
    )
    return replace(raw, columns=columns, scan=scan, header=before + 1)


def _start(reader) -> tuple[int, list[str], bool]:
    """The blank lines before the header, the header, and whether rows follow."""
    before = 0
    for record in reader:
        if any(record):
            return before, record, any(any(row) for row in reader)
        before = reader.line_num
    return before, [], False


def _as_utf8(file: Path, encoding: str, raw: Raw) -> Path:
    try:
        return _converted(file, file.stat().st_mtime_ns, encoding)
    except UnicodeError:
        raise SourceError(_undecodable(file, encoding, raw)) from None


def _undecodable(file: Path, encoding: str, raw: Raw) -> Problem:
    at = ""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                line.decode(encoding)
            except UnicodeError:
                at = f"row {number}"
                break
    return raw.problem(
        f"bytes that are not {encoding}",
        "the encoding that the mapping declares",
        f"write the right `encoding` for the file in {raw.mapping}, such as utf-8, gb18030 "
        f"(Chinese Excel) or latin-1",
        at=at,
    )


@functools.lru_cache
def _workshop() -> tempfile.TemporaryDirectory:
    """Where converted files lie until the process ends: the lazy tables still read them."""
    return tempfile.TemporaryDirectory(prefix="crm-", ignore_cleanup_errors=True)


def _fresh(suffix: str) -> Path:
    return Path(_workshop().name) / f"{ibis.util.gen_name('raw')}{suffix}"


@functools.lru_cache
def _converted(file: Path, changed: int, encoding: str) -> Path:
    """A copy in UTF-8; `changed` makes a changed file a new one."""
    copy = _fresh(".csv")
    with (
        file.open(encoding=encoding, newline="") as old,
        copy.open("w", encoding="utf-8", newline="") as new,
    ):
        shutil.copyfileobj(old, new, 1 << 20)
    return copy


# --- .xlsx


def _xlsx(file: Path, entry: File, raw: Raw) -> Raw:
    try:
        book = CalamineWorkbook.from_path(file)
        sheet = entry.sheet or book.sheet_names[0]
    except (CalamineError, OSError, IndexError):
        raise raw.error(
            "it cannot be read as .xlsx",
            "a workbook without password",
            "open it in a spreadsheet and save it as .xlsx",
        ) from None
    if sheet not in book.sheet_names:
        raise raw.error(
            f"no sheet {sheet!r}",
            "a sheet of the workbook",
            f"mend `sheet` in {raw.mapping}; {did_you_mean(sheet, book.sheet_names)}",
        )
    header, parquet = _sheet(file, file.stat().st_mtime_ns, sheet)
    if header is None:
        raise SourceError(_empty(raw))
    columns = _header(header, raw, has_rows=parquet is not None)
    return replace(raw, columns=columns, scan=f"read_parquet({_text(parquet)})")


@functools.lru_cache
def _sheet(file: Path, changed: int, sheet: str) -> tuple[list[str] | None, Path | None]:
    """The header of a sheet and its rows as a Parquet file of text."""
    rows = CalamineWorkbook.from_path(file).get_sheet_by_name(sheet).iter_rows()
    filled = ((i, cells) for i, cells in enumerate(rows, 1) if any(c != "" for c in cells))
    header = next(filled, None)
    if header is None:
        return None, None
    names = [_cell(cell) or "" for cell in header[1]]
    records = _records(filled, len(names))
    first = next(records, None)
    if first is None:
        return names, None
    # a placeholder name here for what `_header` refuses or renames afterwards
    shown = [_named(name, i) for i, name in enumerate(names, 1)]
    schema = pa.schema([(LINE, pa.int64()), *((name, pa.string()) for name in shown)])
    copy = _fresh(".parquet")
    with pq.ParquetWriter(copy, schema) as writer:
        for columns in (first, *records):
            writer.write_table(
                pa.Table.from_arrays(
                    [pa.array(c, type=t) for c, t in zip(columns, schema.types, strict=True)],
                    schema=schema,
                )
            )
    return names, copy


def _records(filled: Iterator, width: int) -> Iterator[list[list]]:
    """Chunks of rows, column by column, the row in the sheet first."""
    while chunk := list(islice(filled, _CHUNK)):
        yield [
            [i for i, _ in chunk],
            *([_cell(cells[j]) for _, cells in chunk] for j in range(width)),
        ]


def _cell(value) -> str | None:
    """What a cell says, as text.

    Examples
    --------
    >>> _cell(12583.0), _cell(2.55), _cell(datetime(2024, 1, 5, 8, 26)), _cell("")
    ('12583', '2.55', '2024-01-05 08:26:00', None)
    """
    if value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        text = format(Decimal(repr(value)), "f")
        return text.removesuffix(".0")
    if isinstance(value, datetime):
        # a sheet stores times as fractions of a day, which miss the second by a hair
        return (value + timedelta(microseconds=500_000)).isoformat(" ", "seconds")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


# --- SQL


def _text(value) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'
