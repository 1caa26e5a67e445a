"""Data of databases and APIs, brought once into `data/raw/<name>`: `crm pull NAME`.

A run reads files alone, so that it can be repeated; this fetches them. What to fetch stands in
`data/sources/<name>/pull.yaml`, a list with one entry for each file:

    - into: orders.parquet          # SQL goes into Parquet, types kept
      sql: select no, customer, amount, placed_at from orders order by no
      url: env:SHOP_DB_URL          # such as postgresql://user:password@host/database
      timezone: Asia/Shanghai       # of columns that hold times with a zone; without, refused

    - into: tickets.jsonl           # one record in a line; .json: one page, at most 64 MiB
      get: https://desk.example.com/api/tickets?state=closed
      headers: {Authorization: "Bearer env:TICKETS_TOKEN"}
      parameters: {key: env:TICKETS_KEY}
      records: data.items           # where a page holds its list; it is there in .json as well
      pages: {next: links.next}     # where a page names the next one; or
      pages: {parameter: page, first: 1}    # a parameter that counts up until a page is empty

`env:NAME` is the value of an environment variable, the only place for a secret: it is written to
no file, and cut out of every message. Rows and records stay in the order in which they come, so a
query needs `order by` for the same bytes on every pull. Nothing else enters a file, no clock
either. The files of a source are put in place together: a pull that fails leaves the old ones.

The database is asked in a read-only transaction and streamed with a cursor on its side. Other
databases than PostgreSQL work with SQLAlchemy's URL and driver for them; their types are those of
the first rows.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from http.client import HTTPException
from pathlib import Path
from zoneinfo import ZoneInfo

from crm import document, wording
from crm.document import Document, Problem, did_you_mean
from crm.mapping import SourceError
from crm.raw import Number, dump

_SQL_KEYS = ("into", "sql", "url", "timezone")
_API_KEYS = ("into", "get", "headers", "parameters", "records", "pages")
_ENV = re.compile(r"\benv:([A-Za-z_]\w*)")
_BATCH = 20_000  # rows that are in memory at a time
_MOST_PAGE = 64 << 20  # bytes of an answer, and of a .json file
_MOST_PAGES = 100_000
_TRIES = 4
_WAIT = 0.5  # seconds before the second try, then twice as long each time
_LONGEST_WAIT = 30.0
_SECONDS = 30  # without an answer
_STATES = {  # of PostgreSQL: found, how to mend
    "28P01": ("the database refuses user or password", "mend the URL in the variable"),
    "28000": ("the database refuses the user", "mend the URL, or ask for the right to connect"),
    "3D000": ("there is no such database", "mend the database in the URL"),
    "42P01": ("a table that is not there", "mend the table in `sql`"),
    "42703": ("a column that is not there", "mend the column in `sql`"),
    "42601": ("SQL that the database does not understand", "mend `sql`: one select"),
    "42501": ("no right to read", "ask for the right to select"),
    "25006": ("SQL that would change data", "write a select: a pull only reads"),
}


@dataclass(frozen=True)
class Pulled:
    """One file that was written: its name, its rows, and whether it changed."""

    file: str
    rows: int
    changed: bool

    def __str__(self) -> str:
        rows = wording.fill("{rows} row[s]", {"rows": self.rows})
        return f"{self.file}: {rows}{'' if self.changed else ', as before'}"


class _Failed(Exception):
    """What kept one file from being pulled: found, expected, how to mend."""


@dataclass
class _Secrets:
    """Values of environment variables; `scrub` takes them out of a text."""

    values: set[str] = field(default_factory=set)

    def fill(self, text: str) -> str:
        """The text with the value of each `env:NAME` in place."""
        return _ENV.sub(lambda found: self._value(found[1]), text)

    def _value(self, name: str) -> str:
        value = os.environ.get(name, "")
        if not value:
            raise _Failed(f"no environment variable {name}", "its value", f"export {name}=…")
        if not value.isprintable():
            raise _Failed(f"{name} holds line breaks or the like", "one line", "set it again")
        self.values |= {value, urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value)}
        self.values |= _parts(value)
        return value

    def scrub(self, text: str) -> str:
        for value in sorted(self.values, key=len, reverse=True):
            text = text.replace(value, "***")
        return text


def _parts(value: str) -> set[str]:
    """The secrets within a URL: its password, and the values of its query."""
    if "://" not in value:
        return set()
    query = value.rpartition("?")[2] if "?" in value else ""
    found = [part.partition("=")[2] for part in query.split("&")]
    user = value.partition("://")[2].rpartition("@")[0]
    found.append(user.partition(":")[2])
    return {text for part in found for text in (part, urllib.parse.unquote(part)) if text}


def pull(source: str | Path, raw: str | Path) -> list[Pulled]:
    """One entry for each file that was written.

    Raises `SourceError` with what is wrong, secrets cut out; then no file has changed.

    Parameters
    ----------
    source
        The folder of the source, `data/sources/<name>`.
    raw
        The folder of its raw files, `data/raw/<name>`.
    """
    source, raw = Path(source), Path(raw)
    doc = Document(f"data/sources/{source.resolve().name}/pull.yaml")
    entries = _entries(source / "pull.yaml", doc)
    if doc.problems:
        raise SourceError(*doc.problems)
    raw.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=raw.parent, prefix=f".{raw.name}-") as aside:
        rows = [_pulled(entry, i, Path(aside), doc) for i, entry in enumerate(entries)]
        raw.mkdir(exist_ok=True)
        return [
            _in_place(Path(aside) / entry["into"], raw / entry["into"], count)
            for entry, count in zip(entries, rows, strict=True)
        ]


def _pulled(entry: dict, number: int, aside: Path, doc: Document) -> int:
    secrets = _Secrets()
    fetch = _from_database if "sql" in entry else _from_api
    try:
        return fetch(entry, aside / entry["into"], secrets)
    except _Failed as failed:
        found, expected, mend = map(secrets.scrub, failed.args)
    except ValueError:  # of the standard library, about an address or a header
        found, expected = "an address or a header that cannot be read", "https://host/path"
        mend = "mend `get`, `headers` or `parameters`, or the variables that they name"
    where = f"{doc.shown}, line {doc.lines.get((number,), 1)}, {entry['into']}"
    raise SourceError(Problem(where, found, expected, mend))


def _in_place(new: Path, old: Path, rows: int) -> Pulled:
    changed = not old.is_file() or not _same(new, old)
    if changed:
        os.replace(new, old)
    return Pulled(old.name, rows, changed)


def _same(one: Path, other: Path) -> bool:
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as a, other.open("rb") as b:
        while block := a.read(1 << 20):
            if block != b.read(1 << 20):
                return False
    return True


# --- pull.yaml


def _entries(path: Path, doc: Document) -> list[dict]:
    """The entries of the file; what is wrong with them is noted in `doc`."""
    try:
        data = document.load(path, doc)
    except FileNotFoundError:
        mend = "write it, as the text at the top of src/crm/pull.py shows"
        doc.add((), "the file is not there", "what to fetch from where", mend)
        return []
    if doc.problems:
        return []
    if not isinstance(data, list) or not data or not all(isinstance(e, dict) for e in data):
        doc.add((), "no list of files", "one entry for each", "write `- into: orders.parquet`")
        return []
    for i, entry in enumerate(data):
        for found, expected, mend in _wrong(entry):
            doc.add((i,), found, expected, mend)
    names = [str(entry.get("into")).casefold() for entry in data]
    for i, name in enumerate(names):
        if name in names[:i]:
            doc.add((i,), f"`into: {name}` stands twice", "each file once", "rename one")
    return data


def _wrong(entry: dict) -> Iterator[tuple[str, str, str]]:
    """What is wrong with one entry."""
    if ("sql" in entry) == ("get" in entry):
        yield "both or neither of `sql` and `get`", "one of them", "split or complete the entry"
        return
    is_sql = "sql" in entry
    known = _SQL_KEYS if is_sql else _API_KEYS
    for key in entry:
        if key not in known:
            yield f"unknown key {key!r}", "one of the keys there are", did_you_mean(key, known)
    for key in ("into", "sql", "url") if is_sql else ("into", "get"):
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            yield f"no `{key}`", "a text", f"add `{key}: …`"
            return
    endings = (".parquet",) if is_sql else (".json", ".jsonl", ".ndjson")
    if not re.fullmatch(r"\w[\w .()-]*", entry["into"]) or not entry["into"].endswith(endings):
        expected = f"a plain file name that ends with {' or '.join(endings)}"
        yield f"`into: {entry['into']}`", expected, "without folders"
    yield from _wrong_sql(entry) if is_sql else _wrong_api(entry)


def _wrong_sql(entry: dict) -> Iterator[tuple[str, str, str]]:
    if not _ENV.fullmatch(entry["url"]):
        yield "a `url` that is no variable", "env:NAME", "keep the URL out of the file"
    try:
        ZoneInfo(entry.get("timezone") or "UTC")
    except (ValueError, OSError, KeyError, TypeError):
        yield f"`timezone: {entry['timezone']}`", "such as Asia/Shanghai", "mend it"


def _wrong_api(entry: dict) -> Iterator[tuple[str, str, str]]:
    if not re.match(r"https?://[^/?#\s@]+([/?]|$)", entry["get"]):
        yield "`get` without an address", "https://…, without user and password", "mend it"
    for key in ("headers", "parameters"):
        texts = entry.get(key) or {}
        if not isinstance(texts, dict) or not all(isinstance(v, str) for v in texts.values()):
            yield f"`{key}` is no mapping of texts", "`{Name: value}`", "mend it"
            return
    try:
        is_safe = _is_safe(entry["get"])
    except ValueError:
        yield "`get` with an address that is none", "https://host/path", "mend it"
        return
    if not is_safe and _ENV.search(json.dumps(entry)):
        yield "a secret that would travel in the clear", "https", "write https in `get`"
    pages = entry.get("pages")
    if pages is None:
        return
    kinds = ({"next"}, {"parameter"}, {"parameter", "first"})
    if not isinstance(pages, dict) or set(pages) not in kinds:
        yield "`pages` of no known kind", "`{next: …}` or `{parameter: …}`", "mend it"
    elif not str(pages.get("first", "1")).isdecimal():
        yield f"`first: {pages['first']}`", "a number such as 1", "mend it"


def _is_safe(address: str) -> bool:
    """Whether what is sent there can be read by nobody else."""
    parts = urllib.parse.urlsplit(address)
    return parts.scheme == "https" or parts.hostname in ("localhost", "127.0.0.1", "::1")


# --- SQL


def _from_database(entry: dict, file: Path, secrets: _Secrets) -> int:
    """Write what the query gives as Parquet; returns the rows."""
    import pyarrow as pa
    import sqlalchemy

    engine = _engine(entry, secrets)
    try:
        with engine.connect() as con:
            return _stream(con, entry, file)
    except sqlalchemy.exc.DBAPIError as error:
        failure = _database_failure(error.orig, secrets)
    except pa.ArrowException as error:
        found = f"values that do not fit: {str(error).splitlines()[0]}"
        mend = "cast the column in `sql`, such as cast(price as numeric(18, 4))"
        failure = _Failed(found, "one type in each column", mend)
    raise failure from None


def _engine(entry: dict, secrets: _Secrets):
    """What connects to the database of an entry, without connecting yet."""
    import sqlalchemy

    address = _address(secrets.fill(entry["url"]))
    options = {"connect_timeout": 10} if address.startswith("postgresql") else {}
    try:
        return sqlalchemy.create_engine(
            address, connect_args=options, poolclass=sqlalchemy.pool.NullPool, hide_parameters=True
        )
    except ModuleNotFoundError as error:
        found, mend = f"no driver {error.name!r} for the database", f"pip install {error.name}"
        failure = _Failed(found, "its package", mend)
    except (sqlalchemy.exc.SQLAlchemyError, ValueError):
        mend = "such as postgresql://user:password@host:5432/database; quote @ : / in a password"
        failure = _Failed("a URL that cannot be read", "the URL of a database", mend)
    raise failure from None


def _address(url: str) -> str:
    """The URL with the driver that is installed."""
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)


def _database_failure(error: BaseException, secrets: _Secrets) -> _Failed:
    """What the database or its driver said, by its code where that is known."""
    state = getattr(error, "sqlstate", None)
    said = getattr(getattr(error, "diag", None), "message_primary", None) or str(error)
    said = secrets.scrub(" ".join(said.split()))[:300]
    for code, (found, mend) in _STATES.items():
        if state == code or (state is None and _SAYS[code] and _SAYS[code] in said):
            return _Failed(f"{found} ({said})", "a query that can be answered", mend)
    kind = type(error)
    if kind.__name__ == "OperationalError" and kind.__module__.startswith("psycopg") and not state:
        found = f"the database cannot be reached ({said})"
        return _Failed(found, "a server that answers", "look at host and port in the URL")
    return _Failed(f"the database says: {said}", "a query that can be answered", "mend `sql`")


_SAYS = dict.fromkeys(_STATES, "") | {  # before a session there is no code, only English
    "28P01": "password authentication failed",
    "28000": "no pg_hba.conf entry",
    "3D000": "does not exist",
}


def _stream(con, entry: dict, file: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    options = {"stream_results": True, "no_parameters": True}
    if con.dialect.name == "postgresql":
        options["postgresql_readonly"] = True
    con = con.execution_options(**options)
    result = con.exec_driver_sql(entry["sql"])
    if not result.returns_rows:
        raise _Failed("SQL that gives no rows", "a select", "mend `sql`")
    described, rows = result.cursor.description, 0
    _unique([column[0] for column in described])
    batch = result.fetchmany(_BATCH)
    makers = [_maker(column, _first(batch, i), entry) for i, column in enumerate(described)]
    schema = pa.schema([(c[0], kind) for c, (kind, _) in zip(described, makers, strict=True)])
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        while batch:
            columns = [
                pa.array([None if row[i] is None else make(row[i]) for row in batch], kind)
                for i, (kind, make) in enumerate(makers)
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            rows += len(batch)
            batch = result.fetchmany(_BATCH)
    return rows


def _unique(names: list[str]) -> None:
    for i, name in enumerate(names):
        if name.casefold() in [other.casefold() for other in names[:i]]:
            mend = f"name them apart in `sql`, as `x as {name}_2`"
            raise _Failed(f"two columns that are called {name!r}", "each name once", mend)


def _first(batch: list, place: int):
    return next((row[place] for row in batch if row[place] is not None), None)


def _plain(value):
    return value


def _maker(column, value, entry: dict) -> tuple[object, Callable]:
    """The Parquet type of a column, and what makes it of a value of the driver.

    PostgreSQL says the type by a number; of other databases the first value tells it.
    """
    import pyarrow as pa

    name, code = column[0], column[1]
    if code == 1184 or getattr(value, "tzinfo", None) is not None:
        return pa.timestamp("us"), _local(name, entry.get("timezone"))
    types = {
        16: pa.bool_(), 20: pa.int64(), 21: pa.int16(), 23: pa.int32(), 700: pa.float32(),
        701: pa.float64(), 1082: pa.date32(), 1114: pa.timestamp("us"), 1700: _decimal(column),
    }  # fmt: skip
    if code == 17 or isinstance(value, (bytes, memoryview)):
        mend = "leave it out of `sql`, or encode it there"
        raise _Failed(f"column {name!r} holds bytes", "text, numbers and dates", mend)
    if isinstance(code, int):
        return (types[code], _plain) if code in types else (pa.string(), _as_text)
    if isinstance(value, Decimal):
        return _decimal(column), _plain
    known = pa.string() if value is None else pa.infer_type([value])
    return known, _as_text if known == pa.string() else _plain


def _local(name: str, zone: str | None) -> Callable:
    if not zone:
        mend = "write `timezone: Asia/Shanghai` (or yours) into the entry, or convert in `sql`"
        raise _Failed(f"column {name!r} holds times with a zone", "local time", mend)
    place = ZoneInfo(zone)
    return lambda moment: moment.astimezone(place).replace(tzinfo=None)


def _decimal(column) -> object:
    """A numeric column's own precision; 20 digits before and 18 after the point without one."""
    import pyarrow as pa

    precision, scale = (getattr(column, key, None) for key in ("precision", "scale"))
    if precision and scale is not None and 0 <= scale <= precision <= 38:
        return pa.decimal128(precision, scale)
    return pa.decimal128(38, 18)


def _as_text(value) -> str:
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


# --- an API


def _from_api(entry: dict, file: Path, secrets: _Secrets) -> int:
    """Write the records of all pages; returns how many."""
    rows, size, is_page = 0, 0, file.suffix == ".json"
    path = entry["records"].split(".") if entry.get("records") else []
    before = "".join(f"{{{dump(key)}: " for key in path) + "["
    with file.open("w", encoding="utf-8", newline="\n") as out:
        out.write(before if is_page else "")
        for record in _records(entry, path, secrets):
            text = dump(record)
            size += len(text.encode("utf-8", "replace")) + 2
            if is_page and size > _MOST_PAGE:
                mend = "write `into` with the ending .jsonl: one record in a line"
                raise _Failed("more than 64 MiB of records", "less in a .json file", mend)
            out.write((",\n" if rows else "\n") + text if is_page else text + "\n")
            rows += 1
        out.write("\n]" + "}" * len(path) + "\n" if is_page else "")
    return rows


def _records(entry: dict, path: list[str], secrets: _Secrets) -> Iterator:
    """The records of all pages, in order."""
    parameters = {k: secrets.fill(v) for k, v in (entry.get("parameters") or {}).items()}
    headers = {key: secrets.fill(value) for key, value in (entry.get("headers") or {}).items()}
    start, pages = _with(entry["get"], parameters), entry.get("pages") or {}
    if "parameter" in pages:
        yield from _counted(start, headers, path, pages)
        return
    address: str | None = start
    seen: set[str] = set()
    while address is not None:
        page = _parsed(_get(address, headers))
        yield from _list(page, path)
        seen.add(address)
        address = _next(page, pages.get("next"), address, parameters, seen)


def _counted(start: str, headers: dict, path: list[str], pages: dict) -> Iterator:
    """The records of pages that are asked for by number, until one is empty."""
    first, before = int(pages.get("first", 1)), None
    for number in range(first, first + _MOST_PAGES):
        answer = _get(_with(start, {pages["parameter"]: str(number)}), headers)
        records = _list(_parsed(answer), path)
        if not records:
            return
        if answer == before:
            mend = f"look whether {pages['parameter']!r} is the name of the parameter"
            raise _Failed("the same page twice", "another page for each number", mend)
        before = answer
        yield from records
    raise _Failed(f"more than {_MOST_PAGES:,} pages", "an end", "narrow the request")


def _list(page, path: list[str]) -> list:
    """The records of a page."""
    for key in path:
        known = list(page) if isinstance(page, dict) else []
        if key not in known:
            found = f"no {key!r} in the answer, on the way to the records"
            raise _Failed(found, ".".join(path), did_you_mean(key, known))
        page = page[key]
    if isinstance(page, list):
        return page
    mend = "write where the list stands as `records`, such as data.items"
    raise _Failed("no list of records in the answer", "a list", mend)


def _with(address: str, parameters: dict[str, str]) -> str:
    """The address with query parameters set."""
    parts = urllib.parse.urlsplit(address)
    query = urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
    query = [pair for pair in query if pair[0] not in parameters] + list(parameters.items())
    return parts._replace(query=urllib.parse.urlencode(query)).geturl()


def _next(page, path: str | None, asked: str, parameters: dict, seen: set[str]) -> str | None:
    """The address of the next page; None where the page names none."""
    value = page if path else None
    for key in (path or "").split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if not value:
        return None
    if not isinstance(value, str):
        raise _Failed("a next page that is no address", "a link", f"look at {path!r} in an answer")
    address = _with(urllib.parse.urljoin(asked, value), parameters)
    if _origin(address) != _origin(asked):
        mend = "fetch it from its own host; secrets are not sent to another"
        raise _Failed("a next page on another host", "the host of `get`", mend)
    if address in seen or len(seen) >= _MOST_PAGES:
        raise _Failed("a next page that was read before", "another one", "report it to the API")
    return address


def _origin(address: str) -> tuple:
    parts = urllib.parse.urlsplit(address)
    try:
        return parts.scheme, parts.hostname, parts.port
    except ValueError:
        return ("", "", None)


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows no redirect to another host, since the headers would go there too."""

    def redirect_request(self, request, answer, code, message, headers, address):
        if _origin(address) != _origin(request.full_url):
            mend = "write the address to which it leads in `get`"
            raise _Failed("a redirect to another host", "an answer of the host of `get`", mend)
        return super().redirect_request(request, answer, code, message, headers, address)


def _get(address: str, headers: dict[str, str]) -> bytes:
    """One answer; what may pass by itself is tried again."""
    opener = urllib.request.build_opener(_SameHost)
    request = urllib.request.Request(
        urllib.parse.quote(address, safe="%/:=&?~#+!$,;'@()*[]"),
        headers={"Accept": "application/json", "User-Agent": "crm", **headers},
    )
    for attempt in range(_TRIES):
        try:
            return _answer(opener, request)
        except urllib.error.HTTPError as error:
            failure, asked = _status(error.code), (error.headers or {}).get("Retry-After", "")
            error.close()
            if error.code != 429 and error.code < 500:
                break
        except (OSError, HTTPException) as error:
            failure, asked = _unreached(address, error), ""
        if attempt < _TRIES - 1:
            wait = float(asked) if asked.isdecimal() else _WAIT * 2**attempt
            time.sleep(min(wait, _LONGEST_WAIT))
    raise failure from None


def _answer(opener, request) -> bytes:
    with opener.open(request, timeout=_SECONDS) as answer:
        body = answer.read(_MOST_PAGE + 1)
    if len(body) > _MOST_PAGE:
        mend = "ask for fewer records in a page"
        raise _Failed("an answer of more than 64 MiB", "a smaller page", mend)
    return body


def _status(code: int) -> _Failed:
    mend = {
        401: "look at the token in `headers` or `parameters`",
        403: "ask for the right to read it",
        404: "mend the address in `get`",
        429: "wait, and pull again",
    }.get(code, "pull again later" if code >= 500 else "look at the API's description")
    return _Failed(f"the API answers with HTTP status {code}", "200", mend)


def _unreached(address: str, error: BaseException) -> _Failed:
    reason = getattr(error, "reason", None) or error
    said = " ".join(str(reason).split())[:200] or type(error).__name__
    host = urllib.parse.urlsplit(address).netloc
    found = f"no answer from {host} ({said})"
    return _Failed(found, "the API to answer", "look at the address in `get` and at the network")


def _parsed(answer: bytes):
    try:
        text = answer.decode("utf-8-sig")
        return json.loads(text, parse_float=Number, parse_int=Number, parse_constant=Number)
    except (ValueError, RecursionError):
        mend = "look at the address in a browser: it may be a page for people"
        raise _Failed("an answer that is no JSON", "JSON in UTF-8", mend) from None
