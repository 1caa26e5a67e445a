"""The mapping of one source: which column of which raw file feeds which canonical field.

A *source* is a folder `data/sources/<name>/`; its `mapping.yaml` names the raw files in
`data/raw/<name>/` and, for each, the columns that feed a staged table of `crm.tables`.
A *feed* is one field and where its values come from. Every scalar of a mapping is the text that
was typed. All problems of a mapping are found before any is shown (ING-03).
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath, PureWindowsPath

from crm import document
from crm.document import Document, Problem, did_you_mean, short
from crm.rules import RULES, Rule, read_rule
from crm.tables import (
    ANALYSES,
    ARRIVING,
    DUPLICATES,
    GRADES,
    MISSING,
    PERSONAL_STATUSES,
    PURPOSES,
    RECORDS,
    Column,
    lookup,
)

UNITS = {"cent": "0.01", "thousand": "1000", "wan": "10000"}  # ING-24; wan is 万
TEXTS = (".csv", ".txt", ".tsv")
SUFFIXES = (*TEXTS, ".xlsx", ".parquet", ".jsonl", ".ndjson", ".json")
PRODUCED = ("source", "line", *PERSONAL_STATUSES)  # columns that ingest writes
STAGED = ARRIVING
REGISTER = {  # why a source was accepted (ING-12)
    "internal": ("relevance", "reliability", "timeliness"),
    "external": ("accuracy", "coverage", "legality"),
}

_TOP_KEYS = (
    "title", "about", "origin", "licence", "public", "register", "period", "retention", "missing",
    "basis", "limits", "fields", "files", "rules", "test_accounts", "non_products",
)  # fmt: skip
_FILE_KEYS = (
    "table", "path", "sheet", "delimiter", "encoding", "records", "join", "duplicates", "system",
    "refresh_days", "columns",
)  # fmt: skip
_NO_FILES = ("undefined", "idna", "punycode", "unicode-escape", "raw-unicode-escape")  # encodings
_FIELD_TYPES = ("string", "int", "money", "quantity", "date")
_OPTIONS = {  # option of a feed: the types of field that take it
    "format": ("date", "timestamp"),
    "thousands": ("money", "quantity", "int"),
    "decimal": ("money", "quantity"),
    "unit": ("money", "quantity"),
    "starts_with": ("string",),
    "codes": ("string",),
    "default": ("string",),
    "strip_suffix": ("string",),
    "prefix": ("string",),
    "strict": ("string",),
}
_FEED_KEYS = ("column", "value", *_OPTIONS)
_DIRECTIVES = set("YymdbBHIMSfpaAj%")
_DAYS = (  # date formats that `formats` recognises, the likelier first
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y.%m.%d",
    "%Y年%m月%d日",
    "%Y%m%d",
    "%d %b %Y",
    "%d-%b-%Y",
    "%b %d, %Y",
)
_TIMES = ("", " %H:%M", " %H:%M:%S", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_FORMATS = (*(day + time for day in _DAYS for time in _TIMES), "%Y%m%d%H%M%S")


class SourceError(ValueError):
    """A mapping or a raw file has problems; the message lists all of them, one a line."""

    def __init__(self, *problems: Problem):
        self.problems = list(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True)
class Feed:
    """One canonical field and where its values come from.

    `column` is a column of the raw file, or None when `value` is a constant. `codes` and
    `starts_with` are pairs of what is found and what it means; `default` stands for anything
    they do not list, empty cells included. A `strict` phone is judged as typed: separators and a
    leading +86 are not removed before its digits are counted (Q-18).
    """

    field: str
    column: str | None = None
    value: str | None = None
    format: tuple[str, ...] = ()
    thousands: str | None = None
    decimal: str = "."
    unit: str | None = None
    starts_with: tuple[tuple[str, str], ...] = ()
    codes: tuple[tuple[str, str], ...] = ()
    default: str | None = None
    strip_suffix: str | None = None
    prefix: str | None = None
    strict: bool = False


@dataclass(frozen=True)
class Join:
    """A second raw file, and the column by which its columns are joined to each row."""

    path: str
    on: str


@dataclass(frozen=True)
class File:
    """One entry below `files`: the table it feeds, the names it may have, its feeds.

    `paths` are alternatives, each perhaps a pattern with `*`; `encoding` None means that it is
    found out; `records` says where an API page holds its list; `refresh_days` is how often the
    file is expected anew.
    """

    table: str
    paths: tuple[str, ...]
    feeds: tuple[Feed, ...] = ()
    sheet: str | None = None
    delimiter: str = ","
    encoding: str | None = None
    records: str | None = None
    join: Join | None = None
    duplicates: str = "keep"
    system: str = ""
    refresh_days: int = 0


@dataclass(frozen=True)
class Mapping:
    """One source: how it is presented and why it was accepted, its files, rules and codes.

    `period` holds the first and last day that the source says to cover; `retention` pairs of a
    table and the days its rows may be kept, measured from `as_of` (CLN-18); `missing` what an
    empty field of customers becomes (CLN-06); `basis` pairs a purpose with the legal basis that
    permits it for who said nothing (PRV-08); `limits` name an analysis, the best verdict that
    these data allow it, and why; `extended` are fields of customers that the source declares;
    `test_accounts` are customers whose orders are tests.
    """

    name: str
    title: str
    about: str = ""
    origin: str = ""
    licence: str = ""
    public: bool = False
    register: tuple[tuple[str, str], ...] = ()
    period: tuple[str, str] | None = None
    retention: tuple[tuple[str, int], ...] = ()
    missing: tuple[tuple[str, str], ...] = tuple(MISSING.items())
    basis: tuple[tuple[str, str], ...] = ()
    limits: tuple[tuple[str, str, str], ...] = ()
    extended: tuple[Column, ...] = ()
    files: tuple[File, ...] = ()
    rules: tuple[Rule, ...] = ()
    test_accounts: tuple[str, ...] = ()
    non_products: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """Where the mapping lies, as messages name it."""
        return f"data/sources/{self.name}/mapping.yaml"


def load(path: str | Path) -> Mapping:
    """The mapping in a file; raises `SourceError` with every problem it has."""
    mapping, problems = check(path)
    if mapping is None or problems:
        raise SourceError(*problems)
    return mapping


def check(path: str | Path) -> tuple[Mapping | None, list[Problem]]:
    """The mapping in `data/sources/<name>/mapping.yaml`, or None, and all its problems.

    The source is named by the folder of the file.
    """
    path = Path(path)
    name = path.resolve().parent.name
    doc = Document(f"data/sources/{name}/mapping.yaml")
    try:
        data = document.load(path, doc)
    except FileNotFoundError:
        doc.add(
            (),
            "the file is not there",
            "one mapping for each source",
            f"write one by hand, or let `crm draft {name} FILES` propose it",
        )
        data = None
    if not isinstance(data, dict):
        if not doc.problems:
            doc.add((), "no keys", "the keys " + ", ".join(_TOP_KEYS), "write the mapping")
        return None, doc.problems
    mapping = _mapping(name, data, doc)
    return (None if doc.problems else mapping), doc.problems


def declared(mapping: Mapping) -> list[dict]:
    """The extended fields as plain data, for data/staged/run.json."""
    return [{"name": c.name, "type": c.type, "about": c.about} for c in mapping.extended]


def fields(table: str, extended: tuple[Column, ...] = ()) -> dict[str, Column]:
    """The fields that a mapping may feed in a table, personal and `extended` ones included.

    Examples
    --------
    >>> sorted(fields("products"))
    ['category', 'list_price', 'product_id', 'product_name']
    """
    columns = list(lookup(f"staged/{table}").columns)
    if table == "customers":
        columns += [c for c in lookup("vault/customers").columns if c.personal]
        columns += extended
    return {column.name: column for column in columns if column.name not in PRODUCED}


def formats(values: Iterable[str]) -> list[str]:
    """The date formats that read every one of the values, the likelier first.

    Examples
    --------
    >>> formats(["12/1/2010 8:26", "12/31/2010 17:00"])
    ['%m/%d/%Y %H:%M']
    """
    values = list(values)
    return [f for f in _FORMATS if values and all(_reads(value, f) for value in values)]


def _reads(value: str, pattern: str) -> bool:
    try:
        datetime.strptime(value, pattern)
    except ValueError:
        return False
    return True


# --- from plain data to the mapping


def _mapping(name: str, data: dict, doc: Document) -> Mapping:
    _known(data, _TOP_KEYS, (), doc)
    texts = {
        key: _text(data, key, (), doc, required=key == "title") or ""
        for key in ("title", "about", "origin", "licence")
    }
    if not texts["licence"]:
        doc.add((), "no `licence`", "on what terms the data may be used (PRV-13)", "add it")
    public = _choice(data, "public", ("true", "false"), (), doc) == "true"
    extended = _extended(data.get("fields"), doc)
    return Mapping(
        name=name,
        **texts,
        public=public,
        register=_register(data.get("register"), doc),
        period=_period(data.get("period"), doc),
        retention=_retention(data.get("retention"), doc),
        missing=_missing(data.get("missing"), extended, doc),
        basis=_basis(data.get("basis"), doc),
        limits=_limits(data.get("limits"), doc),
        extended=extended,
        files=_files(data.get("files"), extended, doc),
        rules=_rules(data.get("rules"), extended, doc),
        test_accounts=tuple(_list(data, "test_accounts", (), doc)),
        non_products=tuple(_list(data, "non_products", (), doc)),
    )


def _register(entry, doc: Document) -> tuple[tuple[str, str], ...]:
    """The entry of the source register; a source without one is refused (ING-12)."""
    at = ("register",)
    expected = "; ".join(f"{kind}: {', '.join(rest)}" for kind, rest in REGISTER.items())
    if not isinstance(entry, dict):
        mend = "add `register:` with `kind` and one sentence for each criterion"
        doc.add(at if at in doc.lines else (), "no entry in the source register", expected, mend)
        return ()
    kind = _choice(entry, "kind", REGISTER, at, doc, required=True)
    criteria = REGISTER.get(kind or "", ())
    _known(entry, ("kind", *criteria), at, doc, what="criterion", expected=expected)
    texts = {name: _text(entry, name, at, doc, required=True) or "" for name in criteria}
    return (("kind", kind or ""), *texts.items())


def _period(entry, doc: Document) -> tuple[str, str] | None:
    if entry is None:
        return None
    at = ("period",)
    if not isinstance(entry, dict) or set(entry) != {"from", "to"}:
        doc.add(at, "no `from` and `to`", "the first and the last day", "write both")
        return None
    days = str(entry["from"]), str(entry["to"])
    if not all(map(_is_iso, days)) or days[0] > days[1]:
        doc.add(at, f"{days[0]} to {days[1]}", "two dates in order, as 2024-12-31", "mend it")
        return None
    return days


def _retention(entry, doc: Document) -> tuple[tuple[str, int], ...]:
    """How many days the rows of a table may be kept; of a table that is not named, for ever.

    Customers are not removed by age: their names would stay in the vault.
    """
    if entry is None:
        return ()
    at, dated = ("retention",), ("order_lines", *RECORDS)
    if not isinstance(entry, dict) or not all(isinstance(v, str) for v in entry.values()):
        doc.add(at, "no mapping of texts", "such as `{events: 400 days}`", "write table and days")
        return ()
    _known(entry, dated, at, doc, what="table", expected="a table of dated facts")
    made = []
    for table, text in entry.items():
        if re.fullmatch(r"[1-9]\d{0,4} days?", text):
            made.append((table, int(text.split()[0])))
        else:
            doc.add((*at, table), f"{text!r}", "a number of days, as 400 days", "mend it")
    return tuple(made)


def _missing(entry, extended: tuple[Column, ...], doc: Document) -> tuple[tuple[str, str], ...]:
    """What an empty field of customers becomes, those that every source fills among them (CLN-06).

    A field that is not named stays empty; where a row without it must wait, a rule says so.
    """
    if entry is None:
        return tuple(MISSING.items())
    at = ("missing",)
    known = {c.name: c for c in fields("customers", extended).values()
             if c.type == "string" and not c.personal and c.name != "customer_key"}  # fmt: skip
    if not isinstance(entry, dict):
        doc.add(at, "no mapping", "such as `{industry: unknown}`", "write field and value")
        return tuple(MISSING.items())
    _known(entry, known, at, doc, what="field", expected="a text field of customers")
    for name, value in entry.items():
        codes = known[name].codes if name in known else ()
        if not value or not isinstance(value, str) or (codes and value not in codes):
            expected = f"one of {', '.join(codes)}" if codes else "a text"
            doc.add((*at, name), short(repr(value)), expected, "mend it, or leave the field empty")
    return tuple((MISSING | entry).items())


def _basis(entry, doc: Document) -> tuple[tuple[str, str], ...]:
    """On what legal ground customers who said nothing may be analysed or addressed (PRV-08).

    A purpose that is not named needs the customer's own consent.
    """
    if entry is None:
        return ()
    at = ("basis",)
    if not isinstance(entry, dict):
        doc.add(at, "no mapping", "such as `{analysis: TEXT}`", "write purpose and legal basis")
        return ()
    _known(entry, PURPOSES, at, doc, what="purpose", expected=", ".join(PURPOSES))
    for purpose, why in entry.items():
        if not why or not isinstance(why, str):
            expected = "the legal basis in a few words"
            mend = "write it, or leave the purpose out: then only consent permits it"
            doc.add((*at, purpose), short(repr(why)), expected, mend)
    return tuple(entry.items())


def _limits(entry, doc: Document) -> tuple[tuple[str, str, str], ...]:
    """What keeps an analysis from working on these data, whatever their figures say.

    A text alone means no; `{with care: TEXT}` leaves the analysis running.
    """
    if entry is None:
        return ()
    at, names = ("limits",), {name.lower(): name for name in ANALYSES}
    if not isinstance(entry, dict):
        doc.add(at, "no mapping", "such as `{baskets: TEXT}`", "write analysis and reason")
        return ()
    _known(entry, names, at, doc, what="analysis", expected="an analysis that has a verdict")
    made = []
    for name, given in entry.items():
        said = given if isinstance(given, dict) else {GRADES[0]: given}
        verdict, why = next(iter(said.items()), ("", None))
        if len(said) == 1 and verdict in GRADES[:-1] and why and isinstance(why, str):
            made.append((names.get(name, name), verdict, why))
        else:
            expected = "a reason, or `{with care: REASON}`"
            mend = "write why in a few words, in quotes if they hold a comma"
            doc.add((*at, name), short(repr(given)), expected, mend)
    return tuple(made)


def _extended(entries, doc: Document) -> tuple[Column, ...]:
    """Fields of customers that the source declares (ING-14); without a purpose none is read."""
    if entries is None:
        return ()
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        doc.add(("fields",), "no list of fields", "entries with `name`", "write `- name: …`")
        return ()
    keys, taken, made = ("name", "type", "about", "purpose"), set(fields("customers")), []
    for i, entry in enumerate(entries):
        at = ("fields", i)
        _known(entry, keys, at, doc)
        name, _, about, _ = (_text(entry, key, at, doc, required=True) or "" for key in keys)
        kind = _choice(entry, "type", _FIELD_TYPES, at, doc) or "string"
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in {*taken, *PRODUCED, "imputed"}:
            expected = "a new name of small letters, digits and _"
            doc.add(at, f"the name {name!r}", expected, "choose another name")
        taken.add(name)
        made.append(Column(name, kind, about))
    return tuple(made)


def _rules(entries, extended: tuple[Column, ...], doc: Document) -> tuple[Rule, ...]:
    """Rules that the source adds to those of `crm.rules`."""
    if entries is None:
        return ()
    if not isinstance(entries, list):
        doc.add(("rules",), "no list of rules", "entries with `id`", "write `- id: …`")
        return ()
    known = {
        name: {c.name: c for c in lookup(f"staged/{name}", extended).columns} for name in STAGED
    }
    made = []
    for i, entry in enumerate(entries):
        rule, wrong = read_rule(entry, known)
        for found, expected, mend in wrong:
            doc.add(("rules", i), found, expected, mend)
        made += [rule] if rule else []
    taken = Counter((rule.table, rule.id) for rule in (*RULES, *made))
    for table, name in sorted({(r.table, r.id) for r in made if taken[r.table, r.id] > 1}):
        found = f"{table} has two rules {name!r}"
        doc.add(("rules",), found, "each id once in a table", "rename yours")
    return tuple(made)


def _files(entries, extended: tuple[Column, ...], doc: Document) -> tuple[File, ...]:
    at = ("files",)
    if not isinstance(entries, list) or not entries:
        found = "no list of files below `files`"
        doc.add(at, found, "one entry for each raw file", "write `- table: order_lines` below it")
        return ()
    files = tuple(_file(entry, extended, (*at, i), doc) for i, entry in enumerate(entries))
    if all(file.table != "order_lines" for file in files):
        mend = "add an entry with `table: order_lines`"
        doc.add(at, "no file feeds order_lines", "at least one", mend)
    return files


def _file(entry, extended: tuple[Column, ...], at: tuple, doc: Document) -> File:
    if not isinstance(entry, dict):
        doc.add(
            at,
            f"{entry!r} is no entry",
            "the keys " + ", ".join(_FILE_KEYS),
            "write them below the dash",
        )
        return File("", ())
    _known(entry, _FILE_KEYS, at, doc)
    table = _choice(entry, "table", STAGED, at, doc, required=True) or ""
    paths = _paths(entry, at, doc)
    feeds = _feeds(entry.get("columns"), table, extended, (*at, "columns"), doc)
    return File(
        table=table,
        paths=paths,
        feeds=feeds,
        sheet=_only_for(entry, "sheet", (".xlsx",), paths, at, doc),
        delimiter=_delimiter(entry, paths, at, doc),
        encoding=_encoding(entry, paths, at, doc),
        records=_only_for(entry, "records", (".json",), paths, at, doc),
        join=_join(entry, at, doc),
        duplicates=_duplicates(entry, table, at, doc),
        system=_text(entry, "system", at, doc) or "",
        refresh_days=_days(entry, at, doc),
    )


def _join(entry: dict, at: tuple, doc: Document) -> Join | None:
    """The file that is joined to each row, as a web shop's orders to their lines."""
    if "join" not in entry:
        return None
    given, at = entry["join"], (*at, "join")
    if not isinstance(given, dict):
        doc.add(at, "`join` is no mapping", "`{path: FILE, on: COLUMN}`", "write both")
        return None
    _known(given, ("path", "on"), at, doc)
    paths = _paths(given, at, doc)
    on = _text(given, "on", at, doc, required=True)
    return Join(paths[0], on) if paths and on else None


def _days(entry: dict, at: tuple, doc: Document) -> int:
    text = _text(entry, "refresh_days", at, doc) or "0"
    if not re.fullmatch(r"\d{1,5}", text):
        doc.add((*at, "refresh_days"), f"{text!r}", "a number of days", "write digits alone")
        return 0
    return int(text)


def _paths(entry: dict, at: tuple, doc: Document) -> tuple[str, ...]:
    paths = _list(entry, "path", at, doc)
    if not paths:
        doc.add(at, "no `path`", "the name of a file in the raw folder", "add `path: FILE`")
    for path in paths:
        parts = (*PurePosixPath(path).parts, *PureWindowsPath(path).parts)
        if ".." in parts or PurePosixPath(path).is_absolute() or PureWindowsPath(path).anchor:
            doc.add(
                (*at, "path"),
                f"path {path!r} leads out of the raw folder",
                "a name below data/raw/<source>/",
                "copy the file there and write its name",
            )
        elif not path.isprintable() or any(len(part.encode()) > 255 for part in parts):
            found = f"path {short(path)!r} is no name of a file"
            doc.add((*at, "path"), found, "at most 255 bytes of plain characters", "mend it")
        elif PurePosixPath(path).suffix.lower() not in SUFFIXES:
            doc.add(
                (*at, "path"),
                f"path {path!r} is of a kind that is not read",
                "a file that ends with " + ", ".join(SUFFIXES),
                "save it as one of these",
            )
    return tuple(paths)


def _only_for(entry: dict, key: str, suffixes, paths, at: tuple, doc: Document) -> str | None:
    text = _text(entry, key, at, doc)
    if text and paths and not any(p.lower().endswith(tuple(suffixes)) for p in paths):
        doc.add(
            (*at, key),
            f"`{key}` for {paths[0]!r}",
            f"it only with {', '.join(suffixes)}",
            "remove it",
        )
    return text


def _delimiter(entry: dict, paths, at: tuple, doc: Document) -> str:
    text = _only_for(entry, "delimiter", TEXTS, paths, at, doc)
    if text is None:
        return ","
    if len(text) != 1 or text in '"\r\n':
        doc.add(
            (*at, "delimiter"),
            f"delimiter {text!r}",
            "one character",
            'write it in double quotes, as ";" or "\\t" for the tabulator',
        )
    return text


def _encoding(entry: dict, paths, at: tuple, doc: Document) -> str | None:
    text = _only_for(entry, "encoding", TEXTS, paths, at, doc)
    if text is None:
        return None
    try:
        info = codecs.lookup(text)
    except (LookupError, ValueError):
        info = None
    if info is None or not info._is_text_encoding or info.name in _NO_FILES:
        doc.add(
            (*at, "encoding"),
            f"unknown encoding {text!r}",
            "a name that Python knows",
            "try utf-8, gb18030 (Chinese Excel), latin-1 or utf-16",
        )
        return None
    return info.name


def _duplicates(entry: dict, table: str, at: tuple, doc: Document) -> str:
    """What becomes of rows that repeat another in every column; of order lines it must be said."""
    if table in ("customers", "products") and "duplicates" in entry:
        found = f"`duplicates` for table {table!r}"
        doc.add((*at, "duplicates"), found, "it only with other tables", "remove it")
    is_lines = table == "order_lines"
    return _choice(entry, "duplicates", DUPLICATES, at, doc, required=is_lines) or "keep"


def _feeds(
    columns, table: str, extended: tuple[Column, ...], at: tuple, doc: Document
) -> tuple[Feed, ...]:
    if not isinstance(columns, dict) or not columns:
        doc.add(
            at if at in doc.lines else at[:-1],
            "no `columns`",
            "`field: column` for each field",
            "add `columns:` and below it one line a field",
        )
        return ()
    if table not in STAGED:
        return ()
    known = fields(table, extended)
    _known(columns, known, at, doc, what="field", expected=f"a field of {table}")
    for name, column in known.items():
        is_made = name == "unit_price" and "amount" in columns  # amount ÷ quantity
        if column.required and name not in columns and not is_made:
            found = f"no column feeds the required field {name!r} ({column.about})"
            doc.add(at, found, f"all required fields of {table}", f"add `{name}: COLUMN`")
    for rule in RULES:
        pair = (rule.field, rule.value)
        if rule.table == table and rule.check == "either" and not {*pair} & set(columns):
            found = f"no column feeds {pair[0]!r} or {pair[1]!r}"
            doc.add(at, found, f"one of them: {rule.why}", f"add `{pair[0]}: COLUMN`")
    feeds = [
        _feed(known[name], entry, (*at, name), doc)
        for name, entry in columns.items()
        if name in known
    ]
    _mapped_twice(feeds, at, doc)
    return tuple(feeds)


def _mapped_twice(feeds: list[Feed], at: tuple, doc: Document) -> None:
    """A column may feed two fields only where one of them reads a code out of it."""
    uses = Counter(feed.column for feed in feeds if feed.column)
    for column, count in uses.items():
        users = [feed for feed in feeds if feed.column == column]
        if count > 1 and not any(feed.codes or feed.starts_with for feed in users):
            names = " and ".join(repr(feed.field) for feed in users)
            doc.add(
                (*at, users[-1].field),
                f"column {column!r} is mapped twice, to {names}",
                "each column once, unless a field takes `codes` or `starts_with` from it",
                "name the right column for one of them, or remove it",
            )


def _feed(column: Column, entry, at: tuple, doc: Document) -> Feed:
    if entry and isinstance(entry, str):
        return Feed(column.name, column=entry)
    if not isinstance(entry, dict):
        expected = "the name of a column, or a mapping with `column` or `value`"
        found = f"nothing usable for field {column.name!r}"
        doc.add(at, found, expected, "write the column's name after the colon")
        return Feed(column.name)
    _known(entry, _FEED_KEYS, at, doc)
    feed = _read_feed(column, entry, at, doc)
    for found, expected, mend in _feed_problems(feed, entry, column):
        doc.add(at, f"field {column.name!r}: {found}", expected, mend)
    return feed


def _read_feed(column: Column, entry: dict, at: tuple, doc: Document) -> Feed:
    return Feed(
        column.name,
        column=_text(entry, "column", at, doc),
        value=_text(entry, "value", at, doc),
        format=tuple(_list(entry, "format", at, doc)),
        thousands=_text(entry, "thousands", at, doc),
        decimal=_text(entry, "decimal", at, doc) or ".",
        unit=_choice(entry, "unit", UNITS, at, doc),
        starts_with=_pairs(entry, "starts_with", at, doc),
        codes=_pairs(entry, "codes", at, doc),
        default=_text(entry, "default", at, doc),
        strip_suffix=_text(entry, "strip_suffix", at, doc),
        prefix=_text(entry, "prefix", at, doc),
        strict=_choice(entry, "strict", ("true", "false"), at, doc) == "true",
    )


def _feed_problems(feed: Feed, entry: dict, column: Column) -> Iterator[tuple[str, str, str]]:
    for option, types in _OPTIONS.items():
        if option in entry and column.type not in types:
            yield (
                f"`{option}` for a field of type {column.type}",
                f"it only with {' or '.join(types)}",
                "remove it",
            )
    if "strict" in entry and column.name != "phone":
        yield "`strict`", "it only with phone", "remove it"
    if ("column" in entry) == ("value" in entry):
        yield (
            "both or neither of `column` and `value`",
            "exactly one of them",
            "`column` names a column, `value` is a constant",
        )
    if feed.codes and feed.starts_with:
        yield "both `codes` and `starts_with`", "one of them", "remove one"
    if feed.default is not None and not (feed.codes or feed.starts_with):
        yield "`default` alone", "it with `codes` or `starts_with`", "list the codes"
    yield from _mark_problems(feed)
    for pattern in feed.format:
        yield from _format_problems(pattern)
    yield from _value_problems(feed, column)


def _mark_problems(feed: Feed) -> Iterator[tuple[str, str, str]]:
    for mark in (feed.thousands, feed.decimal):
        if mark and (len(mark) != 1 or mark.isalnum() or mark in "+-"):
            yield f"the mark {mark!r}", "one character such as , or .", "write it in quotes"
    if feed.thousands == feed.decimal:
        yield f"{feed.decimal!r} for both `thousands` and `decimal`", "two marks", "mend one"


def _format_problems(pattern: str) -> Iterator[tuple[str, str, str]]:
    found = re.findall(r"%(.?)", pattern)
    unknown = [f"%{letter}" for letter in found if letter not in _DIRECTIVES or not letter]
    day = {"d", "j"} & set(found) and {"Y", "y"} & set(found)
    if unknown or not day:
        what = f" has {unknown[0]}, which is unknown" if unknown else " names no full day"
        yield (
            f"date format {pattern!r}{what}",
            "such as %Y-%m-%d or %m/%d/%Y %H:%M",
            "%Y year, %m month, %d day, %H hour, %M minute, %S second",
        )


def _value_problems(feed: Feed, column: Column) -> Iterator[tuple[str, str, str]]:
    """Constants and code values must fit the field."""
    values = [value for _, value in (*feed.codes, *feed.starts_with)]
    values += [value for value in (feed.value, feed.default) if value is not None]
    for value in dict.fromkeys(values):
        if column.codes and value not in column.codes:
            yield (
                f"the value {value!r}",
                "one of " + ", ".join(column.codes),
                did_you_mean(value, column.codes),
            )
    if feed.value is None:
        return
    whole = r"-?\d{1,14}"
    if column.type == "int" and not re.fullmatch(whole, feed.value):
        yield f"the value {feed.value!r}", "at most 14 digits", "mend it"
    if column.type in ("money", "quantity") and not re.fullmatch(
        rf"{whole}(\.\d{{1,4}})?", feed.value
    ):
        expected = "digits, with . as decimal sign, at most 14 before it and 4 behind"
        yield f"the value {feed.value!r}", expected, "mend it"
    if column.type in ("date", "timestamp") and not _is_iso(feed.value):
        yield f"the value {feed.value!r}", "a date such as 2024-12-31", "mend it"


def _is_iso(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return bool(re.match(r"\d{4}-\d\d-\d\d", text))


# --- single values


def _known(
    data: dict,
    keys: Iterable[str],
    at: tuple,
    doc: Document,
    *,
    what: str = "key",
    expected: str = "one of the keys there are",
) -> None:
    for key in data:
        if key not in keys:
            doc.add((*at, key), f"unknown {what} {key!r}", expected, did_you_mean(key, keys))


def _text(data: dict, key: str, at: tuple, doc: Document, *, required: bool = False) -> str | None:
    value = data.get(key)
    if isinstance(value, (dict, list)):
        doc.add(
            (*at, key),
            f"`{key}` is a {'mapping' if isinstance(value, dict) else 'list'}",
            "a single text",
            "write one text after the colon",
        )
        return None
    if not value and (required or (key in data and key in _FEED_KEYS)):
        doc.add(
            (*at, key) if key in data else at, f"no value for `{key}`", "a text", f"add `{key}: …`"
        )
    return value


def _choice(
    data: dict,
    key: str,
    choices: Iterable[str],
    at: tuple,
    doc: Document,
    *,
    required: bool = False,
) -> str | None:
    value = _text(data, key, at, doc, required=required)
    if value and value not in choices:
        doc.add(
            (*at, key),
            f"`{key}: {value}`",
            "one of " + ", ".join(choices),
            did_you_mean(value, choices),
        )
    return value


def _list(data: dict, key: str, at: tuple, doc: Document) -> list[str]:
    """The texts of a list, or a single text as a list of one."""
    value = data.get(key)
    items = value if isinstance(value, list) else [] if value is None else [value]
    texts = [item for item in items if isinstance(item, str) and item]
    if len(texts) != len(items):
        doc.add(
            (*at, key),
            f"`{key}` holds something that is no text",
            "a text or a list of texts",
            "write `[a, b]`",
        )
    return texts


def _pairs(data: dict, key: str, at: tuple, doc: Document) -> tuple[tuple[str, str], ...]:
    value = data.get(key)
    if value is None and key not in data:
        return ()
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        doc.add(
            (*at, key),
            f"`{key}` is no mapping of texts",
            "such as `{C: return}`",
            "write what is found, a colon and what it means",
        )
        return ()
    return tuple(value.items())
