"""One raw file as a lazy table, with the row of the file in which each record stands.

Rows are counted as a person sees them in the file. In CSV and .xlsx the header is row 1, so
that the data start at row 2; in JSON lines the row is the line, in Parquet and in an API page,
which have no header row, the first record is row 1.
A CSV record with a line break inside quotes counts as one row, as in a spreadsheet, and so does
not a blank line: after either the row is the number of the record, not of the text line.

CSV cells and JSON values are all text, .xlsx cells become text (dates as ISO, numbers as short
as can be), Parquet columns keep their types; nested fields are named with dots. Text is read
once whole before anything else looks at it: in which encoding it is, that every character is
one, and that no line is endless. What DuckDB cannot read itself is written once to a folder
that lives as long as the process: text as UTF-8, sheets and JSON as Parquet. Nothing is read
into memory whole except a sheet and an API page, and both are bounded before they are opened.
"""

from __future__ import annotations

import codecs
import csv
import functools
import json
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from python_calamine import CalamineError, CalamineWorkbook, SheetVisibleEnum

from crm.document import Problem, did_you_mean
from crm.mapping import File, SourceError, fields
from crm.tables import STRIDE

LINE, KEY = "#line", "#key"  # the row in the file, and what files are joined by
FILLED = "#filled"  # whether any cell of a row is filled
PLACE = (LINE, FILLED)  # what tells the place of a record: its row, or that it counts as one
OWN = {LINE, KEY, FILLED, "file_row_number"}  # no column of a file may be called that
# as in the brackets of a pattern: what has no width, and what is not seen at the ends of a cell
INVISIBLE = r"\x{AD}\x{61C}\x{180E}\x{200B}-\x{200F}\x{202A}-\x{202E}\x{2060}-\x{206F}\x{FEFF}"
BLANK = r"\s\v\x{85}\p{Z}" + INVISIBLE

_CHUNK = 50_000  # rows of a sheet or of JSON that are converted at a time
_CELLS = 2_000_000  # and at most so many cells
_BLOCK = 1 << 20  # bytes that are read at a time
_HEAD = 1 << 16  # bytes that tell the kind of a file
_LONGEST = 500_000  # characters in a line; DuckDB takes 2 MB
_WIDEST = 2_000  # columns
_MOST_PAGE = 64 << 20  # bytes of an API page, which is read whole
_MOST_XML = 512 << 20  # bytes of an .xlsx file when unpacked
_MOST_SHEET = 5_000_000  # cells of a sheet, blank ones between them included
_MOST_TEXT = 256 << 20  # bytes of text in the cells of a sheet, repeated ones counted again
_MOST_RATIO = 200  # of packed bytes; sheets of people pack ten to fifty times
_MOST_REJECTS = 100_000  # rows that are counted in a message about bad rows
# raised at a zip that is torn, cut off, encrypted, or packed in an unknown way
BAD_ZIP = (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, EOFError)
_JSON = (".jsonl", ".ndjson", ".json")
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
    "LINE SIZE OVER MAXIMUM": (
        "a record of more than 2 MB, most often for a double quote that is not closed",
        'cells such as "say ""hello"" twice"',
        "close the quote, or shorten the cell",
    ),
}


class _Unreadable(Exception):
    """What is wrong with a file, before it is known how messages name it.

    The arguments are those of `Raw.error`; `{mapping}` stands for the mapping in `mend`.
    """

    def __init__(self, found: str, expected: str, mend: str, at: str = ""):
        super().__init__(found, expected, mend, at)


@dataclass(frozen=True)
class Raw:
    """An open file: how messages name it, its columns, and its table with the column `LINE`.

    `scan` is how DuckDB reads it; `header` is the row of a text file in which the header stands;
    `encoding` is the one in which a text file was read, empty for other files.
    """

    shown: str
    mapping: str
    suffix: str
    columns: tuple[str, ...] = ()
    scan: str = ""
    header: int = 1
    encoding: str = ""
    table: ibis.Table | None = None
    is_joined: bool = False

    def rows(self, con) -> ibis.Table:
        """The records in the file's order with `LINE`, or with `FILLED` where `placed` counts.

        A text file is read on all cores only if its rows need not be counted on the way.
        """
        if not self.is_text or self.is_joined:
            return self.table
        _keeps_order(con)
        return _named_view(con, f"select {self.filled} as {_name(FILLED)}, * from {self.scan}")

    def placed(self, path: Path) -> str:
        """The query of what was made of `rows` and written to a Parquet file, with `LINE`."""
        if not self.is_text or self.is_joined:
            return f"from read_parquet({_text(path)})"
        line = f"file_row_number + {self.header + 1} as {_name(LINE)}"
        return (
            f"select {line}, * exclude (file_row_number, {_name(FILLED)}) "
            f"from read_parquet({_text(path)}, file_row_number=true) where {_name(FILLED)}"
        )

    @property
    def is_text(self) -> bool:
        """Whether it is a CSV file, the only kind whose rows must be counted."""
        return self.suffix not in (".parquet", ".xlsx", *_JSON)

    @property
    def filled(self) -> str:
        return " or ".join(f"{_name(column)} is not null" for column in self.columns)

    def problem(self, found: str, expected: str, mend: str, *, at: str = "") -> Problem:
        """A problem in this file; `at` says where in it."""
        return Problem(f"{self.shown}{at and ', '}{at}", found, expected, mend)

    def error(self, found: str, expected: str, mend: str, *, at: str = "") -> SourceError:
        """The same as an error, where nothing more can be said about the file."""
        return SourceError(self.problem(found, expected, mend, at=at))


def find(entry: File, name: str, folder: str | Path) -> list[str]:
    """The files of an entry in the folder, in order of name: all that fit its first alternative.

    In an alternative `*` and `?` stand for any characters, and for one.
    """
    folder = Path(folder)
    for pattern in entry.paths:
        found = _matches(pattern, folder)
        if found:
            return found
    shown = " or ".join(f"data/raw/{name}/{path}" for path in entry.paths)
    there = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    odd = filter(None, (_no_file(folder / path) for path in entry.paths if path in there))
    raise SourceError(
        Problem(
            shown,
            next(odd, "the file is not there"),
            f"the file that feeds {entry.table}",
            f"copy it to data/raw/{name}/ or mend `path` in data/sources/{name}/mapping.yaml; "
            f"there {'are ' + _few(there) if there else 'is nothing'} in that folder",
        )
    )


def _matches(pattern: str, folder: Path) -> list[str]:
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        return []  # only what lies in the folder
    if not re.search(r"[*?]", pattern):
        return [pattern] if (folder / pattern).is_file() else []
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.glob(re.sub(r"\*+", "*", pattern.replace("[", "[[]")))
        if path.is_file() and not path.name.startswith((".", "~$"))  # ~$ locks an open workbook
    )


def _no_file(path: Path) -> str:
    """What stands in place of a file."""
    if path.is_dir():
        return "it is a folder"
    return "it is a pipe or a device" if path.exists() else "it is a link that leads nowhere"


def _few(names: list[str], *, most: int = 20) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def open_file(con, entry: File, name: str, folder: str | Path, path: str) -> Raw:
    """One file of a mapping entry, open; raises `SourceError` if it or its header is bad.

    Parameters
    ----------
    con
        The Ibis DuckDB connection in which the table lives.
    entry
        The entry of the mapping; how the file is written matters here, and of the feeds which
        columns are used.
    name
        Name of the source.
    folder
        The folder of the raw files, `data/raw/<name>`.
    path
        The file in it, as `find` gives it.
    """
    raw = _open(con, entry, name, folder, path)
    if entry.join is None:
        return raw
    other = replace(
        entry, paths=(entry.join.path,), join=None, encoding=None, sheet=None, records=None
    )
    second = _open(con, other, name, folder, find(other, name, folder)[0])
    changed = (Path(folder) / other.paths[0]).stat().st_mtime_ns
    return _joined(con, raw, second, entry.join.on, changed)


def _open(con, entry: File, name: str, folder: str | Path, path: str) -> Raw:
    raw = Raw(
        shown=f"data/raw/{name}/{path}",
        mapping=f"data/sources/{name}/mapping.yaml",
        suffix=Path(path).suffix.lower(),
    )
    file = Path(folder) / path
    openers = {".parquet": _parquet, ".xlsx": _xlsx, **dict.fromkeys(_JSON, _json)}
    try:
        with file.open("rb") as start:  # libraries do not tell what may not be read
            is_empty = not start.read(1)
        if is_empty:
            raise SourceError(_empty(raw))
        raw = openers.get(raw.suffix, _csv)(file, entry, raw)
    except _Unreadable as bad:
        found, expected, mend, at = bad.args
        raise raw.error(found, expected, mend.replace("{mapping}", raw.mapping), at=at) from None
    except OSError as error:
        found, mend = f"it cannot be opened: {error.strerror}", "look at its rights, or copy it"
        raise raw.error(found, "a file that can be read", mend) from None
    try:
        return replace(raw, table=_view(con, raw))
    except duckdb.Error as error:
        raise not_whole(raw, error) from None


def not_whole(raw: Raw, error: duckdb.Error) -> SourceError:
    """What to raise where DuckDB gave up on a file."""
    said = "".join(char for char in str(error).splitlines()[0] if char.isprintable())
    found = f"it cannot be read: {said}"
    return raw.error(found, "a whole file", "export or copy it again")


def broken_rows(con, raw: Raw) -> list[Problem]:
    """One problem for each way in which rows of a CSV file do not fit its header.

    Rows are those of the text file here, so that an editor finds them.
    """
    if not raw.is_text:
        return []
    table, scans = ibis.util.gen_name("rejects"), ibis.util.gen_name("scans")
    counts = ", ".join(f"count({_name(column)})" for column in raw.columns)
    options = (
        f"store_rejects=true, rejects_limit={_MOST_REJECTS}, rejects_table={_text(table)}, "
        f"rejects_scan={_text(scans)}"
    )
    try:
        con.raw_sql(f"select {counts} from {raw.scan[:-1]}, {options})").fetchall()
    except duckdb.Error as error:
        return not_whole(raw, error).problems
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
    if len(names) > _WIDEST:
        mend = "look whether it is the right file, or export only the columns that are needed"
        raise raw.error(f"{len(names):,} columns", f"at most {_WIDEST:,}", mend, at="row 1")
    names = [_named(name, i) for i, name in enumerate(names, 1)]
    for name in OWN & {name.casefold() for name in names}:
        mend = "rename it in the file or where it is exported"
        raise raw.error(
            f"the column name {name!r}", "a name that is not our own", mend, at="row 1"
        )
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
    line = _name(LINE)
    if raw.suffix == ".parquet":
        query = (
            f"select file_row_number + 1 as {line}, * exclude (file_row_number) from {raw.scan}"
        )
    elif raw.suffix in (".xlsx", *_JSON):
        query = f"select * from {raw.scan}"
    else:
        # counted over the file's order, so blank rows go after the count
        _keeps_order(con)
        query = (
            f"select * from (select row_number() over () + {raw.header} as {line}, * "
            f"from {raw.scan}) where {raw.filled}"
        )
    return _named_view(con, query)


def _named_view(con, query: str) -> ibis.Table:
    view = ibis.util.gen_name("raw")
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


# --- a second file


def _joined(con, raw: Raw, second: Raw, on: str, changed: int) -> Raw:
    """Each row of the first file with the columns of the second's row of the same key.

    A column of the same name is that of the first file. The second file is read into a table
    once for all files that it is joined to; `changed` makes a changed file a new one.
    """
    for one in (raw, second):
        if on not in one.columns:
            found = f"no column {on!r}, on which {raw.shown} and {second.shown} are joined"
            mend = f"mend `join` in {raw.mapping}; {did_you_mean(on, one.columns)}"
            at = f"column {on!r}, row 1"
            raise one.error(found, "it in the header of both", mend, at=at)
    unseen = _text(f"^[{BLANK}]+|[{BLANK}]+$|[{INVISIBLE}]")
    key = f"regexp_replace(cast({_name(on)} as varchar), {unseen}, '', 'g')"
    own = {column.casefold() for column in raw.columns}
    added = tuple(column for column in second.columns if column.casefold() not in own)
    held = f"joined_{zlib.crc32(f'{second.shown} {on} {changed}'.encode()):08x}"
    known = f"select 1 from duckdb_tables() where table_name = {_text(held)}"
    if not con.raw_sql(known).fetchall():
        _once(con, second, on, key)
        rows = f'select *, {key} as "#key" from {_name(second.table.get_name())}'
        con.raw_sql(f"create or replace table {held} as {rows}")
    query = (
        f"select f.*{''.join(f', s.{_name(column)}' for column in added)} "
        f'from (select *, {key} as "#key" from {_name(raw.table.get_name())}) f '
        f'left join {held} s on f."#key" = s."#key"'
    )
    columns = (*raw.columns, *added)
    chosen = ", ".join(map(_name, (LINE, *columns)))
    table = _named_view(con, f"select {chosen} from ({query})")
    return replace(raw, columns=columns, table=table, is_joined=True)


def _once(con, second: Raw, on: str, key: str) -> None:
    """Each key stands once in the second file; reads it whole, so bad rows show here too."""
    # every column is counted, since DuckDB leaves bad rows unseen in columns nobody asks for
    counts = "".join(f", count({_name(column)})" for column in second.columns)
    try:
        twice = con.raw_sql(
            f'select "#key", min({_name(LINE)}), max({_name(LINE)}), count(*){counts} from '
            f'(select *, {key} as "#key" from {_name(second.table.get_name())}) '
            f"where \"#key\" <> '' group by 1 having count(*) > 1 order by 2"
        ).fetchmany(1)
    except duckdb.Error as error:
        problems = broken_rows(con, second) or not_whole(second, error).problems
        raise SourceError(*problems) from None
    for value, first, last, rows, *_ in twice:
        few = "stands again in" if rows == 2 else f"stands {rows:,} times, the last in"
        raise second.error(
            f"the key {value!r} {few} row {last}",
            "each key once in a file that is joined",
            f"keep the right row, or join on another column in {second.mapping}",
            at=f"column {on!r}, row {first}",
        )


# --- Parquet


def _parquet(file: Path, entry: File, raw: Raw) -> Raw:
    try:
        with pq.ParquetFile(file) as parquet:
            schema, rows = parquet.schema_arrow, parquet.metadata.num_rows
    except (pa.ArrowException, OSError, ValueError):
        raise raw.error(
            "it cannot be read as Parquet", "a whole Parquet file", "export or copy it again"
        ) from None
    if rows >= STRIDE:
        mend = "split it into several files and write `path` with a *"
        raise raw.error(f"{rows:,} rows", f"fewer than {STRIDE:,} in a file", mend)
    leaves = [leaf for field in schema for leaf in _leaves(field, field.name, _name(field.name))]
    names = [name for name, _, _ in leaves]
    columns = _header(names, raw, has_rows=rows > 0)
    if list(columns) != names:
        odd = next(a for a, b in zip(names, columns, strict=True) if a != b)
        raise raw.error(
            f"the column name {odd!r}",
            "a name without extra blanks",
            "rename it where it is exported",
        )
    scan = f"read_parquet({_text(file)}, file_row_number=true)"
    if any(is_nested for _, _, is_nested in leaves):
        chosen = ", ".join(f"{value} as {_name(name)}" for name, value, _ in leaves)
        scan = f"(select file_row_number, {chosen} from {scan})"
    return replace(raw, columns=columns, scan=scan)


def _leaves(field: pa.Field, name: str, value: str) -> Iterator[tuple[str, str, bool]]:
    """The plain columns in a column: dotted name, how DuckDB takes it, whether it was nested."""
    if pa.types.is_struct(field.type):
        for child in field.type:
            inner = f"{value}[{_text(child.name)}]"
            yield from ((n, v, True) for n, v, _ in _leaves(child, f"{name}.{child.name}", inner))
    elif pa.types.is_nested(field.type):
        yield name, f"cast(to_json({value}) as varchar)", True
    else:
        yield name, value, False


# --- CSV


def _csv(file: Path, entry: File, raw: Raw) -> Raw:
    file, encoding = _as_utf8(file, file.stat().st_mtime_ns, entry.encoding, _LONGEST)
    raw = replace(raw, encoding=encoding)
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines, delimiter=entry.delimiter)
        try:
            before, names, has_rows = _start(reader)
        except csv.Error:
            raise raw.error(
                f"a cell of more than {csv.field_size_limit():,} characters",
                "a header and rows of short cells",
                "most often a double quote is not closed: close it, or save the file as CSV",
                at=f"row {max(1, reader.line_num)}",
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


# --- text of any encoding

_MARKS = (  # what a text file begins with, and its encoding; the longer first
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"\x84\x31\x95\x33", "gb18030"),
)
_NO_TEXT = (
    (b"PK\x03\x04", "a zip file or a workbook"),
    (b"PAR1", "a Parquet file"),
    (b"\x1f\x8b", "a file packed with gzip"),
    (b"\xd0\xcf\x11\xe0", "an old workbook (.xls)"),
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3", "an SQLite database"),
)
_WIDER = {  # what programs write when they say so
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "cp950",
    "shift_jis": "cp932",
}
_WESTERN = ("iso8859-1", "cp1252", "iso8859-15")
_SIGNS = set("€£§°–—‘’“”…«»·²³½©®™×")
_FREQUENT = {  # first bytes of the common characters
    "gb18030": ((0xB0, 0xD7), (0xA1, 0xA1), (0xA3, 0xA3)),
    "big5": ((0xA4, 0xC6), (0xA1, 0xA1)),
    "shift_jis": ((0x81, 0x83), (0x88, 0x97)),
}
_LIKELY = ("utf-8", "gb18030", "big5", "shift_jis", "cp1252")  # the likelier first


@functools.cache  # not the last 128: a copy that is forgotten would be made again
def _as_utf8(file: Path, changed: int, declared: str | None, longest: int) -> tuple[Path, str]:
    """The file itself or a copy in UTF-8, and its encoding; `changed` makes it a new one.

    Every character was looked at: nothing in it is undecodable, a NUL, or a line of more than
    `longest` characters.
    """
    with file.open("rb") as start:
        head = start.read(_HEAD)
    for mark, kind in _NO_TEXT:
        if head.startswith(mark):
            mend = "give it the ending that it should have, or export it as text"
            raise _Unreadable(f"it is {kind}", "a text file", mend)
    if declared:
        _contradict(file, head, declared)
    encoding = declared or _marked(head) or "utf-8"
    try:
        return _pass(file, encoding, head, longest), encoding
    except _Undecodable as error:
        looks = _likely(_sample(file, error.near))
        if declared or looks == encoding:
            raise _not_in(encoding, looks, error.row, declared) from None
    try:
        return _pass(file, looks, head, longest), looks
    except _Undecodable as error:
        raise _not_in(looks, looks, error.row, declared) from None


class _Undecodable(Exception):
    """Bytes that are not of the encoding: the row, and the byte near which they stand."""

    def __init__(self, row: int, near: int):
        super().__init__(row, near)
        self.row, self.near = row, near


def _not_in(encoding: str, looks: str, row: int, declared: str | None) -> _Unreadable:
    expected = "the encoding that the mapping declares" if declared else "whole characters"
    if looks != encoding:
        hint = f"it looks like {looks}"
    else:
        hint = f"the rest of the file is {encoding}, so mend the row" if not declared else ""
    mend = (
        "write the right `encoding` for the file in {mapping}, such as utf-8, gb18030 "
        "(Chinese Excel) or latin-1"
    )
    mend += hint and f"; {hint}"
    return _Unreadable(f"bytes that are not {encoding}", expected, mend, f"row {row}")


def _pass(file: Path, encoding: str, head: bytes, longest: int, *, rewrite: bool = False) -> Path:
    """Read the file once; a copy is written where it is not UTF-8 with one kind of line ends."""
    codec = _codec(encoding, head)
    rewrite = rewrite or codec not in ("utf-8", "utf-8-sig", "ascii")
    copy = fresh(".csv") if rewrite else None
    decoder = codecs.getincrementaldecoder(codec)()
    row, run, ends = 1, 0, [0, 0, 0]
    with file.open("rb") as old, copy.open("wb") if copy else nullcontext() as new:
        try:
            for text in _decoded(old, decoder):
                found = (text.count(end) for end in ("\n", "\r", "\r\n"))
                ends = [before + count for before, count in zip(ends, found, strict=True)]
                plain = text.replace("\r\n", "\n").replace("\r", "\n") if ends[1] else text
                run = _check_text(plain, row, run, longest)
                row += plain.count("\n")
                if copy:
                    new.write(plain.encode("utf-8", "surrogatepass"))
        except UnicodeDecodeError as error:
            before = error.object[: error.start]
            row += before.decode(codec, "ignore").count("\n")
            raise _Undecodable(row, max(0, old.tell() - len(error.object) + error.start)) from None
    if copy or not ends[1] or ends[0] == ends[1] == ends[2]:
        return copy or file
    return _pass(file, encoding, head, longest, rewrite=True)


def _decoded(old, decoder) -> Iterator[str]:
    """The text block by block, without the mark at its beginning, and no line end cut in two."""
    at_start, held = True, ""
    while block := old.read(_BLOCK):
        text = held + decoder.decode(block)
        held = "\r" if text.endswith("\r") else ""
        text = text.removesuffix("\r")
        yield text.removeprefix("\ufeff") if at_start else text
        at_start = at_start and not text
    yield held + decoder.decode(b"", True)


def _check_text(text: str, row: int, run: int, longest: int) -> int:
    """Raise on a NUL or an endless line; returns the length of the line that is not ended."""
    at = text.find("\0")
    if at >= 0:
        raise _Unreadable(
            "a NUL byte (00)",
            "text",
            "export the file again; such bytes are left by a copy that broke off",
            f"row {row + text.count(chr(10), 0, at)}",
        )
    first = text.find("\n")
    if run + (len(text) if first < 0 else first) > longest:
        raise _Unreadable(
            f"a line of more than {longest:,} characters",
            "one record in a line",
            "export it again with line ends; perhaps it is not the file that it should be",
            f"row {row}",
        )
    return run + len(text) if first < 0 else len(text) - text.rfind("\n") - 1


def _codec(encoding: str, head: bytes) -> str:
    """What decodes an encoding: its superset, and without mark the order of bytes as seen."""
    name = codecs.lookup(encoding).name
    if name == "utf-16" and _marked(head) != "utf-16":
        return _zeros(head) or "utf-16-le"
    return _WIDER.get(name, name)


def codec_of(file: Path, encoding: str) -> str:
    """What decodes a file that was read in this encoding, as `Raw.encoding` tells it."""
    with file.open("rb") as start:
        return _codec(encoding, start.read(_HEAD))


def _marked(head: bytes) -> str:
    """The encoding that a file's first bytes tell, empty if they do not."""
    return next((name for mark, name in _MARKS if head.startswith(mark)), "") or _zeros(head)


def _zeros(head: bytes) -> str:
    """UTF-16 without a mark: every second byte of ASCII characters is zero there."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) * 20 < len(head) or min(even, odd) * 10 > max(even, odd):
        return ""
    return "utf-16-be" if even > odd else "utf-16-le"


def _contradict(file: Path, head: bytes, declared: str) -> None:
    """Raise where a file is surely not what the mapping declares, though it might decode."""
    try:
        info = codecs.lookup(declared)
    except LookupError:
        info = None
    if info is None or not info._is_text_encoding:
        mend = "write `encoding: gb18030` or another that Python knows in {mapping}"
        raise _Unreadable(f"no text encoding {declared!r}", "such as utf-8 or gb18030", mend)
    looks = _instead(file, head, info.name)
    if looks:
        raise _Unreadable(
            f"bytes that look like {looks}, not {declared}",
            "the encoding that the mapping declares",
            f"write `encoding: {looks}` in {{mapping}}, or leave it out",
        )


def _instead(file: Path, head: bytes, declared: str) -> str:
    marked = _marked(head)
    if marked:
        return "" if marked.split("-")[:2] == declared.split("-")[:2] else marked
    if declared.startswith("utf-8"):
        return ""  # the pass will tell, with the row
    sample = _sample(file, 0)
    if declared.startswith(("utf-16", "utf-32")):
        return _likely(sample) if sample else "utf-8"
    if len(sample) < 16:
        return ""  # two encodings agree on a few bytes by chance
    looks = _likely(sample)
    is_cjk = declared in _WESTERN and looks in _LIKELY[1:4]
    return looks if looks == "utf-8" or is_cjk else ""


def _sample(file: Path, near: int) -> bytes:
    """Lines with other than ASCII characters, from all over the file and near one byte."""
    size, found = file.stat().st_size, []
    near = max(0, near - _HEAD // 64)
    with file.open("rb") as lines:
        for at in sorted({near, *range(0, size, max(_HEAD // 4, size // 64))}):
            lines.seek(at)
            block = lines.read(_HEAD // 4).split(b"\n")
            whole = block[1:] if at and at != near else block  # the first began before
            found += [line[:2_000] for line in whole if not line.isascii()][:20]
    return b"\n".join(found)


def _likely(sample: bytes) -> str:
    """The encoding in which the sample reads most like text.

    Characters that are common in the encoding's language are counted; a general detector
    mistakes the few bytes of one Chinese column for Western letters. It is asked for the rest.
    """
    shares = {name: _share(sample, name) for name in _LIKELY}
    best = max(shares, key=shares.get)
    letters = re.findall(rb"[\xc0-\xff]+", sample) if best == "cp1252" else []
    foreign = sum(len(run) for run in letters if len(run) > 3) * 2 > sum(map(len, letters)) > 0
    if shares[best] >= 0.7 and not foreign:
        return best
    import charset_normalizer

    found = charset_normalizer.from_bytes(sample[:_HEAD]).best()
    return found.encoding.replace("_", "-") if found else best


def _share(sample: bytes, encoding: str) -> float:
    """The share of common characters among those that are not ASCII."""
    text = sample.decode(_WIDER.get(encoding, encoding), "replace")
    odd = [char for char in text if not char.isascii()]
    return sum(_common(char, encoding) for char in odd) / len(odd) if odd else 0.0


def _common(char: str, encoding: str) -> float:
    """Whether a character is common in the language that uses the encoding: 1, ½ or 0."""
    if encoding == "utf-8":
        return char != "\ufffd"
    if encoding == "cp1252":
        return char in _SIGNS or (char.isalpha() and char not in "ªºÞþÐð")
    try:
        code = char.encode("gb2312" if encoding == "gb18030" else _WIDER[encoding])
    except UnicodeEncodeError:
        return 0
    if len(code) == 1:
        return 0.5  # half-width kana
    return any(low <= code[0] <= high for low, high in _FREQUENT[encoding])


# --- .xlsx


@dataclass(frozen=True)
class _Sheet:
    """One sheet: its header, its rows as a Parquet file, and cells that say nothing usable.

    `faults` are pairs of a column's place and a problem's row, found, expected and mend;
    `numbers` are a column's place, and row and value of its first number that may be a day.
    """

    header: list[str] | None
    parquet: Path | None
    faults: tuple[tuple[int, tuple[int, str, str, str]], ...] = ()
    numbers: tuple[tuple[int, tuple[int, float]], ...] = ()


def _xlsx(file: Path, entry: File, raw: Raw) -> Raw:
    changed = file.stat().st_mtime_ns
    shown, hidden = _sheets(file, changed)
    names = [*shown, *hidden]
    sheet = entry.sheet or next(iter(shown), None)
    if sheet is None:
        mend = f"write `sheet` in {raw.mapping}; there are: {', '.join(hidden)}"
        raise raw.error("only hidden sheets", "one that is shown", mend)
    if sheet not in names:
        raise raw.error(
            f"no sheet {sheet!r}",
            "a sheet of the workbook",
            f"mend `sheet` in {raw.mapping}; {did_you_mean(sheet, names)}",
        )
    read = _sheet(file, changed, sheet)
    if read.header is None:
        raise SourceError(_empty(raw))
    columns = _header(read.header, raw, has_rows=read.parquet is not None)
    problems = _sheet_problems(read, columns, entry, raw)
    if problems:
        raise SourceError(*problems)
    return replace(raw, columns=columns, scan=f"read_parquet({_text(read.parquet)})")


def _sheet_problems(read: _Sheet, columns: tuple[str, ...], entry: File, raw: Raw) -> list:
    """What is wrong in the columns that are used: in all, if the entry names none."""
    known = fields(entry.table) if entry.feeds else {}
    used = {feed.column: known.get(feed.field) for feed in entry.feeds}
    used |= {entry.join.on: None} if entry.join else {}
    found = []
    for place, (row, what, expected, mend) in read.faults:
        if not used or columns[place] in used:
            at = f"column {columns[place]!r}, row {row}"
            found.append(raw.problem(what, expected, mend, at=at))
    for place, (row, number) in read.numbers:
        field = used.get(columns[place])
        if field is not None and field.type in ("date", "timestamp"):
            day = date(1899, 12, 30) + timedelta(days=int(number))
            found.append(
                raw.problem(
                    f"the number {_cell(number)} where {field.name} asks for a date",
                    "cells with the format of a date",
                    f"if it counts days it is {day}: give the column a date format and save",
                    at=f"column {columns[place]!r}, row {row}",
                )
            )
    return found


@functools.cache
def _sheets(file: Path, changed: int) -> tuple[list[str], list[str]]:
    """The sheets that are shown and those that are hidden."""
    _bounded(file)
    sheets = [(one.name, one.visible) for one in _book(file).sheets_metadata]
    shown = [name for name, visible in sheets if visible == SheetVisibleEnum.Visible]
    return shown, [name for name, _ in sheets if name not in shown]


def _not_a_book(found: str = "it cannot be read as .xlsx") -> _Unreadable:
    mend = "open it in a spreadsheet and save it as .xlsx"
    return _Unreadable(found, "a workbook without password", mend)


def _locked() -> _Unreadable:
    found = "it is protected by a password, so it cannot be read"
    mend = "open it in a spreadsheet, take the password off and save it as .xlsx"
    return _Unreadable(found, "a workbook without password", mend)


def _book(file: Path) -> CalamineWorkbook:
    try:
        return CalamineWorkbook.from_path(file)
    except (CalamineError, OSError):
        raise _not_a_book() from None


def _bounded(file: Path) -> None:
    """Raise unless the workbook is one, unlocked, and fits into memory when unpacked."""
    with file.open("rb") as start:
        head = start.read(_HEAD)
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        if "EncryptedPackage".encode("utf-16-le") in _directory(file, head):
            raise _locked()
        raise _not_a_book("it is an old workbook (.xls), so it cannot be read as .xlsx")
    try:
        with zipfile.ZipFile(file) as book:
            sizes = [(part.file_size, part.compress_size) for part in book.infolist()]
    except (*BAD_ZIP, ValueError):
        raise _not_a_book() from None
    size, packed = (sum(each) for each in zip(*sizes, strict=True)) if sizes else (0, 0)
    if size > _MOST_XML or (size > _MOST_XML // 8 and size > _MOST_RATIO * packed):
        raise _Unreadable(
            f"{size >> 20:,} MiB when unpacked, {size // max(packed, 1):,} times its packed size",
            f"at most {_MOST_XML >> 20} MiB, and {_MOST_RATIO} times",
            "save the sheet as CSV, or split it; a file that unpacks to much more than it is "
            "may be meant to do harm",
        )


def _directory(file: Path, head: bytes) -> bytes:
    """The names of what an old file or a locked one holds, which lie where its header says."""
    first, power = int.from_bytes(head[48:52], "little"), int.from_bytes(head[30:32], "little")
    with file.open("rb") as names:
        names.seek(min((first + 1) << min(power, 12), file.stat().st_size))
        return names.read(_HEAD)


@functools.cache
def _sheet(file: Path, changed: int, name: str) -> _Sheet:
    """A sheet, read whole after its cells were counted."""
    faults = _scan(file, name)
    try:
        sheet = _book(file).get_sheet_by_name(name)
        merged, offset = sheet.merged_cell_ranges or [], (sheet.start or (0, 0))[1]
    except (CalamineError, OSError):
        raise _not_a_book(f"the sheet {name!r} cannot be read") from None
    filled = ((i, row) for i, row in enumerate(sheet.iter_rows(), 1) if any(c != "" for c in row))
    header = next(filled, None)
    if header is None:
        return _Sheet(None, None)
    names, numbers = [_cell(cell) or "" for cell in header[1]], {}
    copy = _as_parquet(filled, names, numbers)
    last = sheet.end[0] + 1
    found = [(column - offset, fault) for column, fault in faults if fault[0] > header[0]]
    found += _merged(merged, offset, header[0], last)
    found = tuple((place, fault) for place, fault in found if 0 <= place < len(names))
    return _Sheet(names, copy, found, tuple(sorted(numbers.items())))


def _merged(merged, offset: int, first: int, last: int) -> list[tuple[int, tuple]]:
    """One fault for each column in which cells are merged within the table."""
    found = {}
    for (top, left), (bottom, right) in merged:
        if bottom + 1 < first or top + 1 > last:
            continue
        what = f"cells {_ref(top, left)}:{_ref(bottom, right)} are merged into one"
        for column in range(left, min(right, left + _WIDEST) + 1):
            mend = "unmerge them and fill each, since all but the first are empty"
            fault = (top + 1, what, "a value in each cell", mend)
            found.setdefault(column - offset, fault)
    return sorted(found.items())


def _ref(row: int, column: int) -> str:
    """How a spreadsheet names a cell.

    Examples
    --------
    >>> _ref(0, 0), _ref(11, 27)
    ('A1', 'AB12')
    """
    letters, column = "", column + 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return f"{letters}{row + 1}"


def _place(letters: bytes) -> int:
    """The place of a column, from 0.

    Examples
    --------
    >>> _place(b"A"), _place(b"AB")
    (0, 27)
    """
    return functools.reduce(lambda n, letter: n * 26 + letter - 64, letters.upper(), 0) - 1


def _as_parquet(filled: Iterator, names: list[str], numbers: dict) -> Path | None:
    """The rows of a sheet as a Parquet file of text, None if there are none."""
    # a placeholder name here for what `_header` refuses or renames afterwards
    shown = [_named(name, i) for i, name in enumerate(names, 1)]
    schema = pa.schema([(LINE, pa.int64()), *((name, pa.string()) for name in shown)])
    records = _records(filled, len(names), numbers)
    first = next(records, None)
    if first is None:
        return None
    copy = fresh(".parquet")
    with pq.ParquetWriter(copy, schema) as writer:
        for columns in (first, *records):
            writer.write_table(
                pa.Table.from_arrays(
                    [pa.array(c, type=t) for c, t in zip(columns, schema.types, strict=True)],
                    schema=schema,
                )
            )
    return copy


def _records(filled: Iterator, width: int, numbers: dict) -> Iterator[list[list]]:
    """Chunks of rows, column by column, the row in the sheet first; notes possible days."""
    while chunk := list(islice(filled, max(1, min(_CHUNK, _CELLS // width)))):
        for j in set(range(width)) - numbers.keys():
            days = ((i, cells[j]) for i, cells in chunk if type(cells[j]) is float)
            first = next((pair for pair in days if 10_000 <= pair[1] < 100_000), None)
            if first:
                numbers[j] = first
        yield [
            [i for i, _ in chunk],
            *([_cell(cells[j]) for _, cells in chunk] for j in range(width)),
        ]


_TAG = re.compile(rb"<(?:\w+:)?(c|row)(?=[\s/>])(?:[^<>]*?\sr=[\"']([A-Za-z]*)(\d+)[\"'])?")
_ERROR = re.compile(
    rb"<(?:\w+:)?c\s(?=[^<>]*\st=[\"']e[\"'])[^<>]*?r=[\"']([A-Za-z]+)(\d+)[\"'][^<>]*>"
    rb"(?:(?!</(?:\w+:)?c>).)*?<(?:\w+:)?v>([^<]*)<",
    re.S,
)
_UNKNOWN = re.compile(
    rb"<(?:\w+:)?c\s(?![^<>]*\st=[\"']str[\"'])[^<>]*?r=[\"']([A-Za-z]+)(\d+)[\"'][^<>]*>\s*"
    rb"<(?:\w+:)?f(?:\s[^<>]*)?(?:/>|>[^<]*</(?:\w+:)?f>)\s*"
    rb"(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*</(?:\w+:)?c>"
)


_END = re.compile(rb"</(?:\w+:)?si>|<(?:\w+:)?si\s*/>")
_SHARED = re.compile(rb"<(?:\w+:)?c\s[^<>]*?\bt=[\"']s[\"'][^<>]*>\s*<(?:\w+:)?v>\s*(\d+)\s*<")


def _scan(file: Path, name: str) -> list[tuple[int, tuple[int, str, str, str]]]:
    """The first error and the first formula without value of each column of a sheet.

    The sheet's XML is streamed, since the reader gives both as empty cells, and takes memory for
    every cell between the first and the last: more than fit raise here.
    """
    faults: dict[tuple[str, bytes], list] = {}
    try:
        with zipfile.ZipFile(file) as book:
            shared = [p for p in book.namelist() if p.lower().endswith("sharedstrings.xml")]
            lengths = [n for part in shared for n in _lengths(_pieces(book, part))]
            pieces = _noting(_pieces(book, _part(book, name)), faults)
            _bounded_text(_count(pieces), lengths, lambda: _pieces(book, _part(book, name)))
    except (*BAD_ZIP, ElementTree.ParseError, KeyError):
        raise _not_a_book() from None
    return [
        (_place(letters), (row, what, *_FAULTS[kind][1:]) if count == 1 else
         (row, what, _FAULTS[kind][1], _FAULTS[kind][2] + more(count)))
        for (kind, letters), (row, what, count) in faults.items()
    ]  # fmt: skip


_FAULTS = {  # what a cell holds: found, expected, how to mend
    "error": ("the error {}", "a value", "mend the formula, or clear the cell"),
    "formula": (
        "a formula whose value is not stored",
        "the value beside the formula",
        "open the file in a spreadsheet, save it, and copy it again",
    ),
}


def _noting(pieces: Iterable[bytes], faults: dict) -> Iterator[bytes]:
    """The pieces as they are; errors and formulas without value are noted on the way."""
    for piece in pieces:
        found = [("error", *hit) for hit in _ERROR.findall(piece)] if b'"e"' in piece else []
        if b"<f" in piece or b":f" in piece:
            found += [("formula", *hit, b"") for hit in _UNKNOWN.findall(piece)]
        for kind, letters, row, value in found:
            what = _FAULTS[kind][0].format(value[:20].decode("utf-8", "replace"))
            faults.setdefault((kind, letters), [int(row), what, 0])[2] += 1
        yield piece


def sheet_part(file: Path, sheet: str | None) -> str:
    """Where the XML of a sheet lies in a workbook; None is the first that is shown."""
    name = sheet or _sheets(file, file.stat().st_mtime_ns)[0][0]
    with zipfile.ZipFile(file) as book:
        return _part(book, name)


def _part(book: zipfile.ZipFile, sheet: str) -> str:
    """Where the XML of a sheet lies in the workbook."""
    tree = _tree(book, "xl/workbook.xml")
    key = next(
        value
        for node in tree.iter()
        if node.tag.rpartition("}")[2] == "sheet" and node.get("name") == sheet
        for name, value in node.items()
        if name.rpartition("}")[2] == "id"
    )
    links = {
        link.get("Id"): link.get("Target") for link in _tree(book, "xl/_rels/workbook.xml.rels")
    }
    target = links[key]
    return target.lstrip("/") if target.startswith("/") else f"xl/{target}"


def _tree(book: zipfile.ZipFile, part: str):
    if book.getinfo(part).file_size > 16 * _BLOCK:
        raise zipfile.BadZipFile(part)
    return ElementTree.fromstring(book.read(part))


def _pieces(book: zipfile.ZipFile, part: str) -> Iterator[bytes]:
    """The XML of a part in pieces that end after a cell, or at least before a tag."""
    rest = b""
    with book.open(part) as xml:
        while block := xml.read(_BLOCK):
            rest += block
            cut = max(rest.rfind(b"</c>") + 4, 4)
            cut = cut if cut > 4 else rest.rfind(b"<")
            if cut <= 0 and len(rest) > 16 * _BLOCK:
                raise zipfile.BadZipFile(part)
            if cut > 0:
                yield rest[:cut]
                rest = rest[cut:]
    yield rest


def _count(pieces: Iterable[bytes]) -> int:
    """The cells; raises where more, or place for more, would be read into memory than fits."""
    cells, deepest, widest = 0, 1, set()
    for piece in pieces:
        tags = _TAG.findall(piece)
        cells += sum(tag == b"c" for tag, _, _ in tags)
        deepest = max(deepest, *(int(row or 0) for _, _, row in tags), 0)
        widest |= {letters for tag, letters, _ in tags if tag == b"c"}
    # cells without a place follow each other
    width = min(cells, 16_384) if b"" in widest else 1
    width = max(width, *(_place(letters) + 1 for letters in widest if letters), 1)
    if max(cells, deepest * width) > _MOST_SHEET:
        raise _Unreadable(
            f"a sheet of {max(cells, deepest * width):,} cells",
            f"at most {_MOST_SHEET:,}, blank ones between others included",
            "save it as CSV, or clear cells far from the table",
        )
    return cells


def _lengths(pieces: Iterable[bytes]) -> Iterator[int]:
    """How long each text is that cells share, its marks included."""
    length, count = 0, 0
    for piece in pieces:
        *ended, rest = _END.split(piece)
        for text in ended:
            yield length + len(text)
            length, count = 0, count + 1
        length += len(rest)
        if count > _MOST_SHEET:
            found = f"more than {_MOST_SHEET:,} texts in the cells"
            raise _Unreadable(found, "fewer", "save the sheet as CSV")


def _bounded_text(cells: int, lengths: list[int], again: Callable) -> None:
    """Raise where cells that share long texts would be too much; each holds it anew."""
    if cells * max(lengths, default=0) <= _MOST_TEXT:
        return
    size = 0
    for piece in again():
        size += sum(lengths[int(i)] for i in _SHARED.findall(piece) if int(i) < len(lengths))
        if size > _MOST_TEXT:
            raise _Unreadable(
                f"more than {_MOST_TEXT >> 20} MiB of text in a sheet, the same one repeated",
                "less",
                "save the sheet as CSV",
            )


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


# --- JSON


def _json(file: Path, entry: File, raw: Raw) -> Raw:
    is_page = raw.suffix == ".json"
    if is_page and file.stat().st_size > _MOST_PAGE:
        raise _Unreadable(
            f"{file.stat().st_size >> 20:,} MiB in one API page",
            f"at most {_MOST_PAGE >> 20} MiB, since it is read whole",
            "store it as JSON lines (.jsonl), one record in a line",
        )
    longest = _MOST_PAGE if is_page else _LONGEST
    changed = file.stat().st_mtime_ns
    text, encoding = _as_utf8(file, changed, entry.encoding, longest)
    names, parts = _json_parts(text, changed, entry.records, is_page)
    raw = replace(raw, encoding=encoding)
    columns = _header(list(names), raw, has_rows=bool(parts))
    if len(columns) != len(names) or columns != names:
        odd = next(a for a, b in zip(names, columns, strict=True) if a != b)
        mend = "rename it where it is exported"
        raise raw.error(f"the field name {odd!r}", "a name without extra blanks", mend)
    chosen = ", ".join(map(_name, (LINE, *columns)))
    listed = ", ".join(map(_text, parts))
    scan = f"(select {chosen} from read_parquet([{listed}], union_by_name=true))"
    return replace(raw, columns=columns, scan=scan)


@functools.cache
def _json_parts(
    file: Path, changed: int, records: str | None, is_page: bool
) -> tuple[tuple[str, ...], tuple[Path, ...]]:
    """The fields of all records in order of appearance, and Parquet files of the rows."""
    names: dict[str, None] = {}
    parts = []
    flat = _flat_records(_page(file, records) if is_page else _lines(file))
    for chunk in _chunks(flat, names):
        keys = list(dict.fromkeys(key for _, record, _ in chunk for key in record))
        columns = [pa.array([row for row, _, _ in chunk], pa.int64())]
        columns += [pa.array([record.get(k) for _, record, _ in chunk], pa.string()) for k in keys]
        parts.append(fresh(".parquet"))
        pq.write_table(pa.Table.from_arrays(columns, [LINE, *keys]), parts[-1])
    return tuple(names), tuple(parts)


def _chunks(flat: Iterable[tuple[int, dict, int]], names: dict) -> Iterator[list]:
    """So many records at a time as are few in rows, cells and characters."""
    chunk, keys, size = [], set(), 0
    for row, record, length in flat:
        names |= dict.fromkeys(record)
        keys |= record.keys()
        if len(names) > _WIDEST:
            mend = "a field whose name changes with each record belongs into a list of records"
            found = f"more than {_WIDEST:,} different fields"
            raise _Unreadable(found, "the same fields in all records", mend, f"row {row}")
        chunk.append((row, record, length))
        size += length
        if len(chunk) >= _CHUNK or len(chunk) * len(keys) >= _CELLS or size >= 16 * _BLOCK:
            yield chunk
            chunk, keys, size = [], set(), 0
    if chunk:
        yield chunk


def _flat_records(records: Iterable[tuple[int, object, int]]) -> Iterator[tuple[int, dict, int]]:
    """Records as one level of text, those without a field left out."""
    for row, record, length in records:
        if not isinstance(record, dict):
            raise _Unreadable(
                f"{_kind(record)} instead of a record",
                'an object such as {"id": "1"}',
                "export it as JSON lines, or name the list in `records`",
                f"row {row}",
            )
        try:
            flat: dict[str, str | None] = {}
            for key, value in _flat(record, ""):
                if key in flat:
                    mend = "rename one of them where it is exported"
                    found = f"two fields that are called {key!r}"
                    raise _Unreadable(found, "each name once", mend, f"row {row}")
                if value is not None:
                    value.encode()
                flat[key] = value
        except UnicodeEncodeError:
            mend = "clear it, or export it again"
            raise _Unreadable("half a character (\\ud800…)", "text", mend, f"row {row}") from None
        if flat:
            yield row, flat, length


def _flat(record: dict, at: str) -> Iterator[tuple[str, str | None]]:
    """Dotted names and texts of what a record holds; a list stays JSON.

    Examples
    --------
    >>> dict(_flat({"a": {"b": Number("1.50")}, "c": [True]}, ""))
    {'a.b': '1.50', 'c': '[true]'}
    """
    for key, value in record.items():
        name = at + key
        if isinstance(value, dict):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, bool):
            yield name, "true" if value else "false"
        elif isinstance(value, list):
            yield name, dump(value)
        else:
            yield name, None if value is None else str(value)


class Number(str):
    """A number as it was written, so that money never passes through a binary one."""

    __slots__ = ()


def dump(value) -> str:
    """JSON with numbers as they were written."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(dump, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{dump(k)}: {dump(v)}' for k, v in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)


def _kind(value) -> str:
    if isinstance(value, Number):
        return "a number"
    return {str: "a text", list: "a list", dict: "an object"}.get(type(value), "nothing")


def _unique(pairs: list[tuple]) -> dict:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("a key stands twice")
    return record


def _loads(text: str, row: int | None = None):
    """A JSON value, its numbers as text; raises with the row, or the line of the text."""
    try:
        return json.loads(
            text,
            parse_float=Number,
            parse_int=Number,
            parse_constant=Number,
            object_pairs_hook=_unique,
        )
    except json.JSONDecodeError as error:
        what, row = f"no JSON: {error.msg} at character {error.colno}", row or error.lineno
    except ValueError as error:
        what = f"no JSON: {error}"
    except RecursionError:
        what = "brackets nested too deeply"
    mend = "mend the row, or export the file again"
    raise _Unreadable(what, "whole JSON", mend, f"row {row}" if row else "")


def _lines(file: Path) -> Iterator[tuple[int, object, int]]:
    """Row and value of each line that is not blank, and its length."""
    with file.open(encoding="utf-8-sig", newline="\n") as lines:
        for row, line in enumerate(lines, 1):
            if not line.isspace():
                yield row, _loads(line, row), len(line)


def _page(file: Path, records: str | None) -> Iterator[tuple[int, object, int]]:
    """Place and value of each record of an API page."""
    value = _loads(file.read_text(encoding="utf-8-sig"))
    for key in records.split(".") if records else ():
        known = list(value) if isinstance(value, dict) else []
        if key not in known:
            mend = f"mend `records` in {{mapping}}; {did_you_mean(key, known)}"
            raise _Unreadable(f"no {key!r} on the way to the records", f"{records!r}", mend)
        value = value[key]
    if not isinstance(value, list):
        lists = [key for key, inner in value.items() if isinstance(inner, list)] if (
            isinstance(value, dict)) else []  # fmt: skip
        mend = f"write where the list stands as `records` in {{mapping}}; lists are: {_few(lists)}"
        raise _Unreadable(f"{_kind(value)} instead of the records", "a list of records", mend)
    yield from ((row, record, 100) for row, record in enumerate(value, 1))


# --- files that are made aside


@functools.lru_cache
def _workshop() -> tempfile.TemporaryDirectory:
    """Where converted files lie until the process ends: the lazy tables still read them."""
    return tempfile.TemporaryDirectory(prefix="crm-", ignore_cleanup_errors=True)


def fresh(suffix: str) -> Path:
    return Path(_workshop().name) / f"{ibis.util.gen_name('raw')}{suffix}"


# --- SQL


def _text(value) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'
