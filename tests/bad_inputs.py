"""What is put to the readers on purpose: one entry for each kind of bad input and its outcome.

    python tests/bad_inputs.py

writes `docs/bad-input.md` anew. A *kind* is one thing that goes wrong, in one or more formats: a
raw file, the mapping, `params.yaml` or `pull.yaml`. Its outcome is a message that holds certain
words, quarantine for a reason, a cell that is left unread, or that it is read as it is.
Kinds that end in a message stand in a source of their own; all others of a format stand side by
side in one source, each in a row or in a file, and go through ingest and clean together.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cache
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import xlsxwriter
from locked import locked

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/bad-input.md"
NIGHTLY = os.environ.get("CRM_NIGHTLY") == "1"
MOST_MIB, MOST_SECONDS, ADDRESSES = 1024, 30, 8 << 30  # of a heavy kind

TEXT, PAGES = ("csv", "tsv"), ("jsonl", "json")
DATA = (*TEXT, "xlsx", "parquet", *PAGES)
TYPED = ("csv", "xlsx", "parquet", "jsonl")  # one of each way of reading
SOURCE = """\
title: A shop
licence: our own
register: {kind: internal, relevance: sales, reliability: high, timeliness: daily}
period: {from: 2024-01-01, to: 2024-12-31}
"""
RUN = (
    "run: {source: demo, as_of: auto, seed: 1, currency: EUR, time_zone: UTC, language: en, "
    "min_cell: 5}\n"
)
LINES = ("Order", "Item", "Name", "Units", "Price", "Date", "Who")
PEOPLE = ("id", "since", "name", "town", "sex")
FEEDS = {
    "order_lines": {
        "order_id": "Order", "product_id": "Item", "product_name": "Name", "quantity": "Units",
        "unit_price": "Price", "ordered_at": "Date", "customer_key": "Who",
    },
    "customers": {
        "customer_key": "id", "registered_on": "since", "name": "name", "city": "town",
        "gender": "sex",
    },
}  # fmt: skip
GOOD = {  # one good row of each table; the first cell is a key that each row has for itself
    "order_lines": ("O1", "A1", "mug", "2", "2.50", "2024-01-05 08:26:00", "K1"),
    "customers": ("K1", "2023-05-01", "name one", "Rome", "male"),
}


# --- outcomes


@dataclass(frozen=True)
class Message:
    """One message that holds the words; `count` where one cause breaks several things."""

    words: tuple[str, ...]
    count: int = 1


@dataclass(frozen=True)
class Quarantine:
    """The row waits in quarantine for the reason."""

    reason: str


@dataclass(frozen=True)
class Unread:
    """The row stays, without the field; the cell is on the list of issues."""

    field: str


@dataclass(frozen=True)
class AsIs:
    """Read, and the field holds the value; without a field, the rows are those of a good file."""

    field: str = ""
    value: object = None


Outcome = Message | Quarantine | Unread | AsIs


def says(*words: str, count: int = 1) -> Message:
    return Message(words, count)


@dataclass(frozen=True)
class Kind:
    """One kind of bad input.

    `cell` is table, column and value where one cell of a good file is bad; else `make` puts the
    source together, given the shop and the path of the file. `heavy` kinds run in a process of
    their own with limits.
    """

    name: str
    formats: tuple[str, ...]
    outcome: Outcome
    make: Callable[[Shop, str], None] | None = None
    cell: tuple[str, str, object] | None = None
    heavy: bool = False

    @property
    def slug(self) -> str:
        return re.sub(r"\W+", "_", self.name.lower()).strip("_")[:60]


# --- a source in a folder


class Shop:
    """A project with the source `shop`, put together file by file."""

    def __init__(self, root: Path):
        self.root = root
        self.raw, self.folder = root / "data/raw/shop", root / "data/sources/shop"
        for folder in (self.raw, self.folder):
            folder.mkdir(parents=True)
        (root / "src").symlink_to(ROOT / "src")
        (root / "params.yaml").write_text(RUN)
        (root / "dvc.yaml").touch()
        self.entries: list[str] = []
        self.keyed = False  # whether orders of several files are told apart
        self.top = SOURCE

    def entry(self, path: str, table: str = "order_lines", options: str = "", **columns) -> None:
        """An entry of the mapping with the usual options of the format; a column may be None."""
        fed = {f: c for f, c in {**FEEDS[table], **columns}.items() if c}
        if self.keyed and "order_id" in fed:
            fed["order_id"] = f"{{column: {fed['order_id']}, prefix: {path}-}}"
        options = {"tsv": 'delimiter: "\\t"\n', "json": "records: data.items\n"}.get(
            path.rpartition(".")[2], ""
        ) + options
        options += "duplicates: keep\n" if table == "order_lines" else ""
        text = f"table: {table}\npath: {json.dumps(path)}\n{options}columns:\n"
        text += "".join(f"  {name}: {_yaml(column)}\n" for name, column in fed.items())
        self.entries.append("  - " + text.replace("\n", "\n    ").rstrip(" "))

    def save(self) -> None:
        """Write the mapping, unless the kind has written one itself."""
        path = self.folder / "mapping.yaml"
        if not path.exists():
            text = f"{self.top}files:\n{''.join(self.entries)}"
            path.write_text(text, encoding="utf-8")


def _yaml(column: str) -> str:
    return column if column.startswith("{") else json.dumps(column, ensure_ascii=False)


def write(path: Path, header: tuple[str, ...], rows: list[tuple]) -> None:
    """Rows of text and other values as a file of the kind that its name says."""
    {
        ".csv": _write_text, ".tsv": _write_text, ".xlsx": _write_sheet,
        ".parquet": _write_parquet, ".jsonl": _write_json, ".json": _write_json,
    }[path.suffix](path, header, rows)  # fmt: skip


def _write_text(path: Path, header, rows) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        mark = "\t" if path.suffix == ".tsv" else ","
        csv.writer(file, delimiter=mark, lineterminator="\n").writerows([header, *rows])


def _write_sheet(path: Path, header, rows) -> None:
    options = {"default_date_format": "yyyy-mm-dd hh:mm", "strings_to_urls": False}
    with xlsxwriter.Workbook(path, options) as book:
        page = book.add_worksheet("Orders")
        for i, row in enumerate([header, *rows]):
            for j, value in enumerate(row):
                put = page.write_string if isinstance(value, str) and value else page.write
                put(i, j, value)


def _write_parquet(path: Path, header, rows) -> None:
    pq.write_table(pa.table(dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))),
                   path)  # fmt: skip


def _write_json(path: Path, header, rows) -> None:
    records = [json.dumps(dict(zip(header, row, strict=True))) for row in rows]
    page = f'{{"data": {{"items": [{",".join(records)}]}}}}'
    path.write_text(page if path.suffix == ".json" else "\n".join(records), encoding="utf-8")


def good(count: int = 3, table: str = "order_lines", **changed) -> list[tuple]:
    """Good rows, each with a key of its own; a column may be changed in all of them."""
    header = LINES if table == "order_lines" else PEOPLE
    return [
        tuple(changed.get(name, value) for name, value in zip(header, row, strict=True))
        for i in range(count)
        for row in [(f"{GOOD[table][0][0]}{i + 1}", *GOOD[table][1:])]
    ]


# --- how kinds are made


KINDS: list[Kind] = []


def add(name: str, formats, outcome: Outcome, make, *, heavy: bool = False) -> None:
    """A kind that a function makes."""
    formats = (formats,) if isinstance(formats, str) else formats
    KINDS.append(Kind(name, formats, outcome, make, heavy=heavy))


def cell(name: str, column: str, value, outcome: Outcome, formats=DATA) -> None:
    """One bad cell in a good file."""
    table = "order_lines" if column in LINES else "customers"
    KINDS.append(Kind(name, formats, outcome, cell=(table, column, value)))


def column(name: str, which: str, values, outcome: Outcome, formats=TYPED) -> None:
    """A column in which every cell, or every second, is bad."""
    values = values if isinstance(values, list) else [values]
    place = LINES.index(which)

    def make(shop: Shop, path: str) -> None:
        rows = [
            (*row[:place], values[i % len(values)], *row[place + 1 :])
            for i, row in enumerate(good(4))
        ]
        write(shop.raw / path, LINES, rows)
        shop.entry(path)

    add(name, formats, outcome, make)


def text(name: str, content, outcome: Outcome, formats=TEXT, options="", heavy=False, **columns):
    """A text file written out, with commas that become the delimiter of the format.

    `content` is text, bytes or a function that gives either.
    """

    def make(shop: Shop, path: str) -> None:
        data = content() if callable(content) else content
        mark = "\t" if path.endswith(".tsv") else ","
        data = data.replace(",", mark).encode() if isinstance(data, str) else data
        (shop.raw / path).write_bytes(data)
        shop.entry(path, options=options, **columns)

    add(name, formats, outcome, make, heavy=heavy)


def typed(name: str, outcome: Outcome, formats="parquet", **columns) -> None:
    """A Parquet file in which columns have other types than text, or other names."""

    def make(shop: Shop, path: str) -> None:
        table = pa.table(dict(zip(LINES, map(list, zip(*good(3), strict=True)), strict=True)))
        for which, values in columns.items():
            if which in LINES:
                table = table.set_column(LINES.index(which), which, values)
            else:
                table = table.append_column(which, values)
        pq.write_table(table, shop.raw / path)
        shop.entry(path)

    add(name, formats, outcome, make)


def sheet(name: str, outcome: Outcome, fill=None, options="", then=None, heavy=False, **columns):
    """A workbook with three good rows, to which `fill` does something; `then` damages the file.

    `fill` is given the book and its sheet.
    """

    def make(shop: Shop, path: str) -> None:
        with xlsxwriter.Workbook(shop.raw / path) as book:
            page = book.add_worksheet("Orders")
            for i, row in enumerate([LINES, *good(3)]):
                page.write_row(i, 0, row)
            if fill:
                fill(book, page)
        if then:
            then(shop.raw / path)
        shop.entry(path, options=options, **columns)

    add(name, "xlsx", outcome, make, heavy=heavy)


def mapped(name: str, outcome: Outcome, *changes: tuple[str, str], top="", heavy=False) -> None:
    """A good source whose mapping is changed: pairs of old and new text, or text at its end."""

    def make(shop: Shop, path: str) -> None:
        write(shop.raw / "orders.csv", LINES, good(3))
        shop.entry("orders.csv")
        shop.save()
        file = shop.folder / "mapping.yaml"
        content = file.read_text(encoding="utf-8")
        for old, new in changes:
            assert old in content, old
            content = content.replace(old, new, 1)
        file.write_bytes((content + top).encode("utf-8", "surrogateescape"))

    add(name, "mapping", outcome, make, heavy=heavy)


def rule(name: str, outcome: Outcome, **keys: str) -> None:
    """A good source with one rule of its own that is bad."""
    keys = {"id": "mine", "table": "order_lines", "why": "a test", **keys}
    listed = ", ".join(f"{key}: {json.dumps(value)}" for key, value in keys.items())
    mapped(name, outcome, top=f"rules:\n  - {{{listed}}}\n")


WRITTEN = {  # by format: a file beside the raw ones, from the root
    "params": "data/sources/shop/params.yaml", "pull": "data/sources/shop/pull.yaml",
    "own": "params.yaml", "dvc": "dvc.yaml",
}  # fmt: skip


def beside(name: str, formats, content: str | bytes, outcome: Outcome, *, heavy=False) -> None:
    """A good source beside which another file is bad: params.yaml, pull.yaml or dvc.yaml."""

    def make(shop: Shop, path: str) -> None:
        write(shop.raw / "orders.csv", LINES, good(3))
        shop.entry("orders.csv")
        data = content if isinstance(content, bytes) else content.encode()
        (shop.root / WRITTEN[path.rpartition(".")[2]]).write_bytes(data)

    add(name, formats, outcome, make, heavy=heavy)


def closed(name: str, formats, outcome: Outcome) -> None:
    """A good source of which one file may not be read, after a good one was."""

    def make(shop: Shop, path: str) -> None:
        form = path.rpartition(".")[2]
        file = shop.raw / (path if form in DATA else "orders.csv")
        write(file, LINES, good(3))
        shop.entry(file.name)
        shop.save()
        shutil.copytree(shop.folder, shop.folder.with_name("first"))
        shutil.copytree(shop.raw, shop.raw.with_name("first"))
        file = {"mapping": shop.folder / "mapping.yaml", **dict.fromkeys(DATA, file)}.get(form)
        file = file or shop.root / WRITTEN[form]
        file.touch()
        file.chmod(0)
        for folder in (shop.root, shop.raw, shop.folder):
            folder.chmod(0o755)

    add(name, formats, outcome, make, heavy=True)


# --- what becomes of them


def cases(kind: type | None = None) -> list[tuple[Kind, str]]:
    """Each kind in each of its formats."""
    wanted = [k for k in KINDS if kind is None or isinstance(k.outcome, kind)]
    return [(k, form) for k in wanted for form in k.formats]


@cache
def tried(kind: Kind, form: str) -> list[str]:
    """The messages with which a kind ends, alone in a source."""
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder))
        kind.make(shop, f"orders.{form}")
        shop.save()
        if kind.heavy:
            return in_child(shop.root, form)[0]
        return messages(shop.root, form)


COMMANDS = {  # what reads the file of a format, where it is not `crm check shop`
    "pull": ["pull", "shop"], "own": ["run", "ingest"], "dvc": ["run", "ingest"],
}  # fmt: skip


def messages(root: Path, form: str = "") -> list[str]:
    """What `crm check shop`, or what else reads the format, says is to be mended."""
    from crm.run import main

    said = io.StringIO()
    with chdir(root), redirect_stderr(said), redirect_stdout(io.StringIO()):
        code = main(COMMANDS.get(form, ["check", "shop"]))
    lines = said.getvalue().splitlines()
    assert code == bool(lines), (code, lines)
    return lines


_CHILD = """
import ctypes, os, resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))
from crm.run import main
if os.path.exists("data/sources/first"):  # imports what is needed while that is allowed
    assert main(["check", "first"]) == 0
if os.path.exists("data/sources/first") and os.geteuid() == 0:  # to whom rights mean nothing
    # give up the power to overrule them (capset of version 3, no bit set): another user would be
    # kept out of a project in a private folder, too
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None).capset(header, none) == 0
code = main({command})
try:  # ru_maxrss may be that of the process which started this one
    status = open("/proc/self/status").read()
    print(int(status.split("VmHWM:")[1].split()[0]) >> 10)
except OSError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 20)
sys.exit(code)
"""


def in_child(root: Path, form: str = "") -> tuple[list[str], int, float]:
    """What the same says in a process with limits, its MiB and its seconds."""
    command = COMMANDS.get(form, ["check", "shop"])
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _CHILD.format(limit=ADDRESSES, command=command)],
        cwd=root, capture_output=True, text=True, timeout=MOST_SECONDS, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in (0, 1), (done.returncode, done.stderr)
    mib = int(done.stdout.splitlines()[-1])
    assert mib < MOST_MIB, f"{mib} MiB"
    return done.stderr.splitlines(), mib, time.monotonic() - started


def read() -> Read:
    """Every kind that is read, side by side in one source, after ingest and clean."""
    done = _read()
    if isinstance(done, Exception):
        raise done
    return done


@cache
def _read() -> Read | Exception:
    with tempfile.TemporaryDirectory() as folder:
        shop, places = Shop(Path(folder)), {}
        shop.keyed = True
        for form in DATA:
            kinds = [k for k, f in cases() if f == form and not isinstance(k.outcome, Message)]
            for table in GOOD:
                places |= _put_cells(shop, form, table, [kind for kind in kinds if kind.cell])
            for kind in filter(lambda kind: kind.make, kinds):
                kind.make(shop, f"{kind.slug}.{form}")
                places[kind.name, form] = ("order_lines", f"{kind.slug}.{form}", 0)
        shop.save()
        try:
            return _ran(shop, places)
        except Exception as error:  # kept, so that it is not tried again for each kind
            return error


def _put_cells(shop: Shop, form: str, table: str, kinds: list[Kind]) -> dict[str, tuple]:
    """A good file with one bad cell for each kind; table, path and row of each."""
    kinds = [kind for kind in kinds if kind.cell[0] == table]
    header, path = (LINES if table == "order_lines" else PEOPLE), f"{table}.{form}"
    rows = good(max(200, 40 * len(kinds)), table)  # so that few cells of a column are unread
    for i, kind in enumerate(kinds):
        at = header.index(kind.cell[1])
        rows[i] = (*rows[i][:at], kind.cell[2], *rows[i][at + 1 :])
    write(shop.raw / path, header, rows)
    shop.entry(path, table)
    first = 1 if form in ("parquet", *PAGES) else 2
    return {(kind.name, form): (table, path, i + first) for i, kind in enumerate(kinds)}


@dataclass
class Read:
    """A source after ingest and clean: staged rows, what waits and what is an issue."""

    staged: dict[tuple[str, int], dict] = field(default_factory=dict)
    waiting: dict[tuple[str, int], str] = field(default_factory=dict)
    unread: set[tuple[str, int, str]] = field(default_factory=set)
    files: dict[tuple[str, str], int] = field(default_factory=dict)
    places: dict[tuple[str, str], tuple] = field(default_factory=dict)

    def rows(self, kind: Kind, form: str) -> dict[tuple[str, int], dict]:
        """The staged rows of a kind: one where it is a cell, else all of its file."""
        from crm.tables import STRIDE

        table, path, row = self.places[kind.name, form]
        number = self.files[table, path]
        if row:
            return {k: v for k, v in self.staged.items() if k == (table, number * STRIDE + row)}
        return {k: v for k, v in self.staged.items() if k[0] == table and k[1] // STRIDE == number}


def _ran(shop: Shop, places: dict) -> Read:
    """The notebooks ingest and clean on a source; the ledger balances, or this raises."""
    from types import SimpleNamespace

    from conftest import Bench

    from crm import clean, engine, ingest, mapping
    from crm.tables import RECORDS

    bench = Bench(engine.connect(threads=1), shop.root, {}, {"read": {}, "balance": {}})
    bench.source = SimpleNamespace(mapping=shop.folder / "mapping.yaml", raw=shop.raw)
    bench.run["time_zone"] = "UTC"
    bench.execute("ingest", ingest=ingest, mapping=mapping)
    names = (*GOOD, "products", *RECORDS, "files", "unread")
    bench.tables = {f"staged/{name}": bench.out(f"staged/{name}") for name in names}
    bench.execute("clean", clean=clean, mapping=mapping)
    listed = {
        name: bench.out(place).to_pyarrow().to_pylist()
        for name, place in (
            *((name, f"staged/{name}") for name in (*GOOD, "files", "unread")),
            ("quarantine", "clean/quarantine"),
        )
    }
    return Read(
        staged={(name, row["line"]): row for name in GOOD for row in listed[name]},
        waiting={(row["table"], row["line"]): row["reason"] for row in listed["quarantine"]},
        unread={(row["table"], row["line"], row["field"]) for row in listed["unread"]},
        files={(row["table"], row["file"]): row["number"] for row in listed["files"]},
        places=places,
    )


# fmt: off
# --- cells


cell("thousands separators in one price", "Price", "1,234.50", Quarantine("unit_price missing"))
cell("a decimal comma in one price", "Price", "12,50", Quarantine("unit_price missing"))
cell("a currency sign in one price", "Price", "¥12.50", Quarantine("unit_price missing"))
cell("a percent sign in a number", "Price", "50%", Quarantine("unit_price missing"))
cell("full-width digits", "Price", "１２．５０", AsIs("unit_price", Decimal("12.5")))
cell("blanks around a number", "Price", " \u3000 12.5\u00a0", AsIs("unit_price", Decimal("12.5")))
cell("the text of a spreadsheet error", "Price", "#REF!", Quarantine("unit_price missing"))
cell("a word where a number belongs", "Units", "two", Quarantine("quantity missing"))
cell("the text NULL where a number belongs", "Units", "NULL", Quarantine("quantity missing"))
cell("the text true where a number belongs", "Units", "true", Quarantine("quantity missing"))
cell("a bare boolean where a number belongs", "Units", True, Quarantine("quantity missing"),
     ("xlsx", *PAGES))
cell("the number 1e300", "Price", "1e300", Quarantine("unit_price missing"))
cell("a bare number 1e300", "Price", 1e300, Quarantine("unit_price missing"), ("xlsx", *PAGES))
cell("a number of 20 digits", "Price", "12345678901234567890", Quarantine("unit_price missing"))
cell("NaN in a number", "Price", "NaN", Quarantine("unit_price missing"))
cell("a bare NaN", "Price", float("nan"), Quarantine("unit_price missing"), PAGES)
cell("Infinity in a number", "Price", "Infinity", Quarantine("unit_price missing"))
cell("a bare Infinity", "Price", float("inf"), Quarantine("unit_price missing"), PAGES)
cell("hexadecimal digits", "Units", "0x1F", Quarantine("quantity missing"))
cell("a price below zero", "Price", "-2.50", Quarantine("price below zero"))
cell("a sale of nothing", "Units", "0", Quarantine("quantity not above zero"))
cell("a nested value where a number belongs", "Units", [2, 3], Quarantine("quantity missing"),
     PAGES)
cell("an empty cell in a required field", "Item", "", Quarantine("product_id missing"))
cell("an invisible cell in a required field", "Item", "\u200b\u3000",
     Quarantine("product_id missing"))
cell("30 February", "Date", "2024-02-30", Quarantine("ordered_at missing"))
cell("1899-12-30, the zero of spreadsheets", "Date", "1899-12-30",
     Quarantine("outside the period"))
cell("1900-01-00, a day that only spreadsheets know", "Date", "1900-01-00",
     Quarantine("ordered_at missing"))
cell("a day in the far future", "Date", "9999-12-31", Quarantine("outside the period"))
cell("the year 20244", "Date", "20244-01-05", Quarantine("ordered_at missing"))
cell("a time with a zone", "Date", "2024-01-05T08:26:00+08:00", Quarantine("ordered_at missing"))
cell("a year of two digits", "Date", "05/01/24", Quarantine("ordered_at missing"))
cell("a date in another format than its column", "Date", "05.01.2024",
     Quarantine("ordered_at missing"))
cell("25 o'clock", "Date", "2024-01-05 25:00", Quarantine("ordered_at missing"))
cell("a date as the number of a spreadsheet", "Date", "45296", Quarantine("ordered_at missing"),
     tuple(f for f in DATA if f != "xlsx"))
cell("a date in full-width digits", "Date", "２０２４－０１－０５ ０８：２６",
     AsIs("ordered_at", datetime(2024, 1, 5, 8, 26)))
cell("30 February of a registration", "since", "2023-02-30", Unread("registered_on"))
cell("a code that nobody knows", "sex", "yes", Unread("gender"))
cell("a customer without a key", "id", "", Quarantine("customer_key missing"))
for _sign in "=+-@":
    cell(f"a product name that begins with {_sign}, as a formula does", "Name",
         f"{_sign}HYPERLINK(1)", AsIs("product_name", f"{_sign}HYPERLINK(1)"))
for _name, _column, _value in (
    ("HTML in a product name", "Name", "<script>alert(1)</script><b>mug</b>&amp;"),
    ("a template in a product name", "Name", "{{ 7*7 }} ${x} {% x %}"),
    ("SQL in a key", "Who", "K'; drop table order_lines; --\""),
    ("delimiters and quotes in a cell", "Name", 'a "red", blue; green\tmug'),
    ("emoji", "Name", "😀 mug 👨‍👩‍👧"),
    ("text that runs from right to left", "Name", "كوب أحمر"),
    ("a mark that turns the direction of text", "Name", "mug\u202egnp.exe"),
    ("characters beyond the basic plane", "Name", "𠮷野 𝔐ug"),
    ("control characters in a cell", "Name", "m\x07u\x1bg"),
    ("a line break in a customer's key", "Who", "K\n1"),
    ("a key with leading zeros", "Who", "00123"),
    ("a key like a number with an exponent", "Who", "1E5"),
    ("the text NA in a key, which may be a code", "Who", "NA"),
    ("a key that only begins like a word for nothing", "Who", "nana-none"),
    ("a cell of 30,000 characters", "Name", "x" * 30_000),
):
    cell(_name, _column, _value,
         AsIs({"Name": "product_name", "Who": "customer_key"}[_column], _value))
cell("a cell of 1 MB", "Name", "x" * 1_000_000, AsIs("product_name", "x" * 1_000_000),
     ("parquet", "json"))
for _name, _value in (
    ("zero-width characters around a key", "\ufeffK1\u200b"),
    ("a zero-width character within a key", "K\u200b1"),
    ("a joiner and a soft hyphen within a key", "\u2060K\u200d\u00ad1"),
    ("marks of direction around a key", "\u202aK1\u202c\u200e"),
    ("blanks of other languages around a key", "\u2003\u3000K1\u00a0\u2028"),
):
    cell(_name, "Who", _value, AsIs("customer_key", "K1"))
for _word in ("NULL", "(null)", "<NULL>", "N/A", "#N/A", "<NA>", "NaN", "None", "nil", "\\N", "-",
              "--", "—", "无", "空", "暂无"):
    cell(f"the word {_word} for no customer", "Who", _word, AsIs("customer_key", None))
cell("a word for nothing with what is not seen", "Who", " Nu\u200bll\u3000",
     AsIs("customer_key", None))
cell("a word for nothing in a required key", "Order", "NULL", Quarantine("order_id missing"))
cell("a word for nothing as a product", "Item", "#N/A", Quarantine("product_id missing"))
cell("a word for nothing as a customer's own key", "id", "None",
     Quarantine("customer_key missing"))
cell("a word for nothing in a name, which may be one", "Name", "None",
     AsIs("product_name", "None"))
cell("zero-width characters around a name", "Name", "\u200d\u200b 😀\u200d👩 \u2060",
     AsIs("product_name", "😀\u200d👩"))
cell("names of people from right to left", "town", "القاهرة", AsIs("city", "القاهرة"))


# --- columns

column("thousands separators in a column", "Price", "1,234.50",
       says("'1,234.50' is not a number", 'write thousands: ","', "(4 rows like it)"))
column("a decimal comma in a column", "Price", "12,5",
       says("'12,5' is not a number", 'write decimal: ","'))
column("currency signs in a column", "Price", "€ 12.50", says("'€ 12.50' is not a number"))
column("percent signs in a column", "Price", "12.5%", says("'12.5%' is not a number"))
column("words in a column of numbers", "Units", "two", says("'two' is not a number"))
column("booleans in a column of numbers", "Units", "true", says("'true' is not a number"))
column("a long text in a column of numbers", "Units", "x" * 30_000,
       says(f"'{'x' * 60}…' is not a number"))
column("numbers too large in a column", "Units", "9" * 20, says("is not a number", "at most 14"))
column("days before months in a column", "Date", "31/12/2024",
       says("row", "is not a date of the expected format", 'format: "%d/%m/%Y"'))
column("days that may be months in a column", "Date", "01/02/2024",
       says('format: "%m/%d/%Y"', '(or "%d/%m/%Y" if the day comes first)'))
column("years of two digits in a column", "Date", "31/12/24", says('format: "%d/%m/%y"'))
column("two formats of dates in a column", "Date", ["2024-01-05", "05.01.2024"],
       says("the column has two formats: list both"))
column("times with a zone in a column of text", "Date", "2024-01-05T08:26:00Z",
       says("'2024-01-05T08:26:00Z' is not a date"))
column("dates as the numbers of a spreadsheet in a column", "Date", "45296",
       says("'45296' is not a date"), tuple(f for f in TYPED if f != "xlsx"))
column("seconds since 1970 in a column of dates", "Date", "1704443160",
       says("'1704443160' is not a date"), tuple(f for f in TYPED if f != "xlsx"))


# --- text files

HEAD, ROW = ",".join(LINES) + "\n", ",".join(GOOD["order_lines"]) + "\n"
ROWS = "".join(",".join(row) + "\n" for row in good(3))
WIDE = [f"c{i}" for i in range(10_000)]
CHINESE = (HEAD + ROWS).replace("mug", "紫砂茶壶")
_LONG = 20 << 20  # bytes of a line; 200 MB every night


def _long_line(before: str, after: str = "") -> Callable[[], bytes]:
    return lambda: f"{before}{'x' * (200_000_000 if NIGHTLY else _LONG)}{after}\n".encode()


def _encoded(encoding: str, content: str = CHINESE, mark: bytes = b"") -> Callable[[], bytes]:
    return lambda: mark + content.encode(encoding)


text("a mark of the order of bytes (BOM)", "\ufeff" + HEAD + ROWS, AsIs())
for _encoding in ("gb18030", "utf-16", "utf-16-le", "utf-16-be", "utf-32"):
    _mark = "out" if _encoding[-2:] in ("le", "be") else ""
    text(f"{_encoding.upper()} with{_mark} a mark, not declared", _encoded(_encoding),
         AsIs("product_name", "紫砂茶壶"), "csv")
text("UTF-8 declared as GB 18030", _encoded("utf-8"),
     says("bytes that look like utf-8, not gb18030", "write `encoding: utf-8`"), "csv",
     "encoding: gb18030\n")
text("GB 18030 declared as UTF-8", _encoded("gb18030"),
     says("row 2: bytes that are not utf-8", "it looks like gb18030"), "csv",
     "encoding: utf-8\n")
text("UTF-16 declared as Latin 1", _encoded("utf-16"),
     says("bytes that look like utf-16, not iso8859-1"), "csv", "encoding: latin-1\n")
text("two encodings in one file", lambda: CHINESE.encode() * 9 + b"O9,A\xff\xff,,,,,\n",
     says("bytes that are not utf-8", "whole characters"), "csv")
text("a file cut within a character", lambda: (CHINESE + "O4,茶").encode()[:-1],
     says("row 5: bytes that are not utf-8"), "csv")
text(
    "NUL bytes", HEAD + ROWS + "\0\0\0\n", says("row 5: a NUL byte (00)", "export the file again")
)
text("a file of NUL bytes, as a crash leaves it", "\0" * 4096, says("row 1: a NUL byte"))
text("an empty file", "", says("the file is empty", "a header and at least one row"))
text("a file of blank lines", "\n\n\n", says("the file is empty"))
text("a header without rows", HEAD, says("only a header and no rows", "at least one row"))
text("a blank first line", "\n" + HEAD + ROWS, AsIs())
text("blank lines among the rows", HEAD + ROWS.replace("\n", "\n\n"), AsIs())
text("rows of delimiters alone", HEAD + ROWS + ",,,,,,\n" * 5, AsIs())
text("a title above the header", "Orders of May,,,,,,\n" + HEAD + ROWS,
     says("no column", count=7))
text("line ends of several systems", f"{HEAD}{ROW.strip()}\r\n{ROW.strip()}\r{ROW}", AsIs())
text("line ends of old Macs", (HEAD + ROWS).replace("\n", "\r"), AsIs())
text("no line end at the end", (HEAD + ROWS).rstrip("\n"), AsIs())
text("a row with too many cells", HEAD + ROWS + ROW.strip() + ",x\n",
     says("row 5: 8 cells; expected 7", "in double quotes"))
text("a row with too few cells", HEAD + ROWS + "O4,A1,mug\n",
     says("row 5: 3 cells; expected 7", "complete the row"))
text("a row with too many cells, beyond the columns that are used",
     HEAD + ROWS + ROW.strip() + ",x\n", says("row 5: 8 cells; expected 7"),
     product_name=None, customer_key=None)
text("a delimiter at the end of each row", HEAD + ROWS.replace("\n", ",\n"), AsIs())
text("a quote that is not closed", HEAD + 'O1,A1,"mug,2,2.50,2024-01-05,K1\n' + ROWS,
     says("row 2", "a double quote that is not closed or not doubled"))
text("a quote in the midst of a cell", HEAD + ROWS + ROW.replace("mug", '"5" mug"'),
     says("row 5", "a double quote that is not closed or not doubled"))
text("a quote that is not closed in the header", '"' + HEAD + ROWS * 9_000,
     says("a cell of more than 131,072 characters", "a double quote is not closed"))
text("inches, a quote at the end of a bare cell", HEAD + ROW.replace("mug", '5" mug'),
     AsIs("product_name", '5" mug'))
text("the wrong delimiter", (HEAD + ROWS).replace(",", ";"), says("no column", count=7), "csv")
text("a delimiter declared that the file has not", HEAD + ROWS, says("no column", count=7), "csv",
     'delimiter: ";"\n')
text(
    "two columns of one name",
    HEAD.replace("Name", "Item") + ROWS,
    says("the name 'Item' stands over columns 2 and 3", "rename one"),
    product_name=None,
)
text("two names that differ in case", HEAD.replace("Name", "ITEM") + ROWS,
     says("the name 'Item' stands over columns 2 and 3", "upper or lower case"),
     product_name=None)
text("a column without a name", HEAD.replace("Name", "") + ROWS, AsIs(), product_name=None)
text("a column name that is almost right", HEAD.replace("Price", "Prices") + ROWS,
     says("no column 'Price', which feeds unit_price", "did you mean 'Prices'?"))
text("1,900 columns, none of them right", lambda: ",".join(WIDE[:1_900]) + "\n1" + ",1" * 1_899,
     says("no column 'Order', which feeds order_id", count=7), "csv")
text("a column name that steers the terminal", HEAD.replace("Price", "\x1b[2JPrice") + ROWS,
     says("no column 'Price', which feeds unit_price", "\\x1b[2JPrice"))
text("blanks and line breaks in a column name", HEAD.replace("Name", '"  The\n  name "') + ROWS,
     AsIs("product_name", "mug"), product_name="The name")
for _what, _header in (
    ("SQL in a column name", "x\"; drop table order_lines; --'"),
    ("quotes and semicolons in a column name", "a;'b'"),
    ("emoji in a column name", "😀"),
    ("a column name from right to left", "اسم"),
    ("braces and percent signs in a column name", "{0} %s ${x}"),
    ("the column name #line, which the reader uses itself", "#line"),
    ("a column name with a backslash", "C:\\new"),
):

    def _named(shop: Shop, path: str, name=_header) -> None:
        write(shop.raw / path, tuple(name if c == "Name" else c for c in LINES), good(3))
        shop.entry(path, product_name="{column: " + json.dumps(name, ensure_ascii=False) + "}")

    _reserved = says("the column name '#line'", "rename it")
    add(_what, DATA, _reserved if _header == "#line" else AsIs("product_name", "mug"), _named)


def _wide(shop: Shop, path: str) -> None:
    write(shop.raw / path, tuple(WIDE), [("1",) * len(WIDE)])
    shop.entry(path)


add("10,000 columns", ("csv", "xlsx", "parquet", "jsonl"), says("2,000"),
    _wide, heavy=True)
text("a line of 20 MB, every night of 200 MB", _long_line(HEAD + "O1,A1,"),
     says("row 2: a line of more than 500,000 characters"), "csv", heavy=True)
text("a cell of 1 MB in a line", HEAD + ROW.replace("mug", "x" * 1_000_000),
     says("row 2: a cell of more than 131,072 characters"))
text("a row of totals at the end", HEAD + ROWS * 40 + "Total,,,240,300.00,,\n",
     Quarantine("product_id missing"))
for _what, _start in (
    ("a zip file or a workbook", b"PK\x03\x04" + bytes(99)),
    ("an old workbook (.xls)", b"\xd0\xcf\x11\xe0" + bytes(99)),
    ("a Parquet file", b"PAR1" + bytes(99)), ("a PDF document", b"%PDF-1.7\n" + bytes(99)),
    ("a file packed with gzip", gzip.compress((HEAD + ROWS).encode(), mtime=0)),
    ("an SQLite database", b"SQLite format 3\0" + bytes(99)),
):
    text(f"{_what} renamed to text", _start, says(f"it is {_what}", "a text file"))
text("a web page renamed to text", "<!DOCTYPE html>\n<html><body>Log in</body></html>\n",
     says("no column", count=7), "csv")
text("a picture renamed to text", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)),
     says("bytes that are not cp1252"), "csv")


# --- files that are none


def _aside(shop: Shop, path: str) -> Path:
    """A good file outside of the raw folder."""
    write(shop.root / path, LINES, good(3))
    shop.entry(path)
    return shop.root / path


def _folder(shop: Shop, path: str) -> None:
    (shop.raw / path).mkdir()
    shop.entry(path)


def _dangling(shop: Shop, path: str) -> None:
    (shop.raw / path).symlink_to("nowhere.csv")
    shop.entry(path)


def _loop(shop: Shop, path: str) -> None:
    (shop.raw / path).symlink_to(path)
    shop.entry(path)


def _pipe(shop: Shop, path: str) -> None:
    os.mkfifo(shop.raw / path)
    shop.entry(path)


closed("a file without the right to read it", (*TYPED, "mapping", "params"),
       says("it cannot be opened: Permission denied", "look at its rights"))
add("no file", "csv", says("the file is not there", "there is nothing in that folder"),
    lambda shop, path: shop.entry(path))
add("a folder in place of a file", DATA, says("it is a folder", "the file that feeds"), _folder)
add("a link that leads nowhere", "csv", says("it is a link that leads nowhere"), _dangling)
add("a link to itself", "csv", says("it is a link that leads nowhere"), _loop)
add("a pipe in place of a file", "csv", says("it is a pipe or a device"), _pipe)
add("a link to a file elsewhere", DATA, AsIs(),
    lambda shop, path: (shop.raw / path).symlink_to(_aside(shop, path)))


def _product(shop: Shop, path: str) -> None:
    rows = good(3, Units="99999999999999", Price="99999999999999")
    write(shop.raw / path, LINES, rows)
    shop.entry(path)


add("quantity and price whose product is too large", TYPED, Quarantine("amount missing"),
    _product)


# --- workbooks


def _repacked(part: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Write a workbook anew with one part changed, or added."""

    def then(path: Path) -> None:
        with zipfile.ZipFile(path) as book:
            parts = {name: book.read(name) for name in book.namelist()}
        parts[part] = change(parts.get(part, b""))
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
            for name, data in parts.items():
                book.writestr(name, data)

    return then


def _zeros_in(mib: int) -> Callable[[Path], None]:
    def then(path: Path) -> None:
        with (
            zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as book,
            book.open("xl/media/x.bin", "w", force_zip64=True) as part,
        ):
            for _ in range(mib):
                part.write(bytes(1 << 20))

    return then


SHEET = "xl/worksheets/sheet1.xml"
LAUGHS = b'<!DOCTYPE x [<!ENTITY a "ha">' + b"".join(
    f'<!ENTITY {new} "{f"&{old};" * 10}">'.encode() for old, new in pairwise("abcdefghij")
) + b"]>"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(5_000)

sheet("merged cells", says("column 'Name', row 2: cells C2:C4 are merged into one", "unmerge"),
      lambda book, page: page.merge_range("C2:C4", "mug"))
sheet("formulas with their value", AsIs(),
      lambda book, page: page.write_formula("E3", "=5/2", None, 2.5))
sheet("a formula whose value is not stored", says("column 'Price', row 3: a formula whose value"),
      lambda book, page: page.write_formula("E3", "=5/2", None, ""))
sheet("an error in a cell", says("column 'Price', row 3: the error #REF!", "mend the formula"),
      lambda book, page: page.write_formula("E3", "=Old!A1", None, "#REF!"))
sheet("dates as numbers", says("column 'Date', row 2: the number 45296", "it is 2024-01-05"),
      lambda book, page: page.write_column("F2", [45296, 45297, 45298]))
sheet("a hidden sheet before the table", AsIs(),
      lambda book, page: (book.add_worksheet("Old").hide(), page.activate()))
sheet(
    "only hidden sheets",
    says("only hidden sheets", "there are: Orders"),
    then=_repacked(
        "xl/workbook.xml", lambda xml: xml.replace(b'sheetId="1"', b'sheetId="1" state="hidden"')
    ),
)
sheet("a sheet of another name", says("no sheet 'Order'", "did you mean 'Orders'?"),
      options="sheet: Order\n")
sheet("an empty sheet", says("the file is empty"),
      lambda book, page: book.add_worksheet("Blank"), options="sheet: Blank\n")
sheet("a table that begins away from A1", AsIs(),
      then=_repacked(SHEET, lambda xml: re.sub(
          rb'r="([A-G]?)(\d)"', lambda m: b'r="%b%d"' % (m[1], int(m[2]) + 4), xml)))
sheet("a cell far from the table", says("a sheet of", "cells; expected at most 5,000,000"),
      lambda book, page: page.write("XFD1048576", "x"), heavy=True)
sheet("a zip bomb", says("MiB when unpacked", "may be meant to do harm"), then=_zeros_in(100),
      heavy=True)
sheet("an entity bomb in its XML", says("it cannot be read as .xlsx"),
      then=_repacked("xl/workbook.xml", lambda xml: xml.replace(
          b"<workbook", LAUGHS + b"<workbook", 1).replace(b'"Orders"', b'"&j;"', 1)),
      heavy=True)
sheet("an external entity in its XML", says("it cannot be read as .xlsx"),
      then=_repacked("xl/workbook.xml", lambda xml: xml.replace(
          b"<workbook", b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><workbook', 1,
      ).replace(b'"Orders"', b'"&e;"', 1)))
sheet("a part that would be written outside of the file", AsIs(),
      then=_repacked("../../../evil.txt", lambda _: b"x"))
sheet("a workbook under a password",
      says("it is protected by a password", "take the password off and save it"),
      then=lambda path: path.write_bytes(locked(path.read_bytes(), "secret")))
sheet("an old workbook (.xls) renamed", says("it is an old workbook (.xls)", "save it as .xlsx"),
      then=lambda path: path.write_bytes(OLE))
sheet("text renamed to a workbook", says("it cannot be read as .xlsx"),
      then=lambda path: path.write_text(HEAD + ROWS))
sheet("a truncated workbook", says("it cannot be read as .xlsx"),
      then=lambda path: path.write_bytes(path.read_bytes()[:-99]))
sheet("a zip file that is no workbook", says("it cannot be read as .xlsx"),
      then=lambda path: path.write_bytes(_zip("a.txt", b"x")))
sheet("broken XML in a sheet", says("cannot be read"),
      then=_repacked(SHEET, lambda xml: xml[: len(xml) // 2]))
sheet("days counted from 1904", AsIs("ordered_at", datetime(2024, 1, 5, 8, 26)),
      lambda book, page: page.write_datetime(
          "F2", datetime(2024, 1, 5, 8, 26), book.add_format({"num_format": 22})))


def _zip(name: str, data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr(name, data)
    return stream.getvalue()


# --- Parquet


def _strings(*values) -> pa.Array:
    return pa.array(values, pa.string())


typed("a column of floats with NaN", Quarantine("unit_price missing"), "parquet",
      Price=pa.array([2.5, float("nan"), 3.5]))
typed("a column of floats with Infinity", says("'inf' is not a number"),
      Price=pa.array([2.5, float("inf"), 3.5]))
typed("a column of huge floats", says("is not a number"), Price=pa.array([1e300, -1e300, 2.5]))
typed("a column of booleans as numbers", says("is not a number"),
      Units=pa.array([True, True, False]))
typed("a column of lists", AsIs("product_name", '["a","b"]'),
      Name=pa.array([["a", "b"], [], None]))
typed("a column of lists as numbers", says("'[2]' is not a number"),
      Units=pa.array([[2], [3], [4]]))
typed("a column of structs", says("no column 'Name'", "Name.a"),
      Name=pa.array([{"a": 1}, {"a": 2}, None]))
typed("a column of maps", AsIs("product_name", '{"a":1}'),
      Name=pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int64())))
typed(
    "a column of bytes",
    says("bytes of no known character set"),
    Name=pa.array([b"mug", b"\xff\xfe", b"\0"]),
)
typed("a column of times with a zone", says("times with a time zone", "local business time"),
      Date=pa.array([datetime(2024, 1, 5)] * 3, pa.timestamp("us", "UTC")))
typed("a column of times of day as dates", says("is not a date"),
      Date=pa.array([1, 2, 3], pa.time64("us")))
typed("a column of numbers as dates", says("is not a date"), Date=pa.array([45296, 45297, 45298]))
typed("days beyond the calendar", says("is not a date"),
      Date=pa.array([2**31 - 2, 2**31 - 3, 3], pa.date32()))
typed("nanoseconds", AsIs("ordered_at", datetime(2024, 1, 5)),
      Date=pa.array([datetime(2024, 1, 5)] * 3, pa.timestamp("ns")))
typed("numbers of 38 digits", says("is not a number"),
      Price=pa.array([Decimal("9" * 38)] * 3, pa.decimal128(38, 0)))
typed("numbers of 60 digits", says("is not a number"),
      Price=pa.array([Decimal("9" * 60)] * 3, pa.decimal256(60, 0)))
typed("a column of nothing", AsIs("product_name", None), Name=pa.nulls(3))
typed("categories", AsIs("product_name", "mug"), Name=_strings(*["mug"] * 3).dictionary_encode())
typed(
    "a column named as the reader's own",
    says("the column name 'file_row_number'"),
    file_row_number=pa.array([7, 8, 9]),
)
typed("two columns of one name in Parquet", says("the name 'Item' stands over columns"),
      item=_strings("a", "b", "c"))


def _parquet_file(name: str, outcome: Outcome, change) -> None:
    def make(shop: Shop, path: str) -> None:
        write(shop.raw / path, LINES, good(3))
        change(shop.raw / path)
        shop.entry(path)

    add(name, "parquet", outcome, make)


_parquet_file("a truncated Parquet file", says("it cannot be read as Parquet"),
              lambda path: path.write_bytes(path.read_bytes()[:-20]))
_parquet_file("a damaged page in a Parquet file", says("it cannot be read"),
              lambda path: path.write_bytes(
                  path.read_bytes()[:4] + b"\xff" * 200 + path.read_bytes()[204:]))
_parquet_file("text renamed to Parquet", says("it cannot be read as Parquet"),
              lambda path: path.write_text(HEAD + ROWS))
_parquet_file("a Parquet file without rows", says("only a header and no rows"),
              lambda path: pq.write_table(pq.read_table(path)[:0], path))
_parquet_file("an empty Parquet file", says("the file is empty"),
              lambda path: path.write_bytes(b""))


# --- JSON

ITEM = json.dumps(dict(zip(LINES, GOOD["order_lines"], strict=True)))


def _page(*items: str) -> str:
    return f'{{"data": {{"items": [{", ".join(items)}]}}}}'


for _what, _item, _words in (
    ("a broken JSON value", ITEM[:-1], ("no JSON",)),
    ("a comma at the end of an object", ITEM[:-1] + ",}", ("no JSON",)),
    ("single quotes in JSON", ITEM.replace('"', "'"), ("no JSON",)),
    ("a key that stands twice in JSON", ITEM[:-1] + ', "Item": "B"}', ("a key stands twice",)),
    ("a list in place of a record", "[1, 2]", ("a list instead of a record",)),
    ("a number in place of a record", "7", ("a number instead of a record",)),
    ("half a character in JSON", ITEM.replace("mug", "\\ud800"), ("half a character",)),
    ("names that differ in case in JSON", ITEM[:-1] + ', "item": "B"}',
     ("the name 'Item' stands",)),
):

    def _broken_item(shop: Shop, path: str, item=_item) -> None:
        is_page = path.endswith(".json")
        content = _page(ITEM, item) if is_page else f"{ITEM}\n{item}\n"
        (shop.raw / path).write_text(content, encoding="utf-8")
        shop.entry(path)

    add(_what, PAGES, says(*_words), _broken_item)


def _jsons(
    name: str, content, outcome: Outcome, formats=PAGES, options="", heavy=False, **columns
):
    """JSON written out; not through `text`, whose commas change."""

    def make(shop: Shop, path: str) -> None:
        data = content() if callable(content) else content
        (shop.raw / path).write_bytes(data if isinstance(data, bytes) else data.encode())
        shop.entry(path, options=options, **columns)

    add(name, formats, outcome, make, heavy=heavy)


_jsons("brackets nested 100,000 deep", '{"a":' * 100_000, says("nested too deeply"), heavy=True)
_jsons("a JSON line of 20 MB, every night of 200 MB", _long_line('{"Name": "', '"}'),
       says("row 1: a line of more than 500,000 characters"), "jsonl", heavy=True)
_jsons("an API page without the list", '{"error": "token expired"}',
       says("no 'data' on the way to the records", "There are: error"), "json")
_jsons("an API page whose list is elsewhere", '{"data": {"rows": [1]}}',
       says("no 'items' on the way to the records", "There are: rows"), "json")
_jsons("an API page with an object for the list", '{"data": {"items": {"a": []}}}',
       says("an object instead of the records", "lists are: a"), "json")
_jsons("an API page with an empty list", _page(), says("only a header and no rows"), "json")
_jsons("JSON lines named as a page", f"{ITEM}\n{ITEM}\n", says("no JSON: Extra data"), "json")
_jsons("a page named as JSON lines", json.dumps(json.loads(_page(ITEM)), indent=1),
       says("row 1: no JSON"), "jsonl")
_jsons("empty JSON", "", says("the file is empty"))
_jsons("JSON lines without a record", "\n{}\n", says("only a header and no rows"), "jsonl")
_jsons("a JSON file of blanks", " \n", says("row"), "json")
_jsons("JSON with a mark (BOM)", "\ufeff" + f"{ITEM}\n" * 3, AsIs(), "jsonl")
_jsons("JSON in UTF-16", (f"{ITEM}\n" * 3).encode("utf-16"), AsIs(), "jsonl")
_jsons("NUL bytes in JSON", f"{ITEM}\n\0\0\n", says("row 2: a NUL byte"), "jsonl")
_jsons("fields within fields", (ITEM[:-1] + ', "deep": {"a": {"b": "red"}}}\n') * 3,
       AsIs("product_name", "red"), "jsonl", product_name="deep.a.b")
_jsons("2,001 fields of as many names", "".join(f'{{"k{i}": 1}}\n' for i in range(2_001)),
       says("more than 2,000 different fields"), "jsonl")


# --- the mapping

mapped("an unknown key", says("line", "unknown key 'encodin'", "did you mean 'encoding'?"),
       ("duplicates: keep", "duplicates: keep\n    encodin: utf-8"))
mapped("an unknown table", says("`table: order_line`", "did you mean 'order_lines'?", count=2),
       ("table: order_lines", "table: order_line"))
mapped("an unknown field", says("unknown field 'quantty'", "did you mean 'quantity'?", count=2),
       ("quantity:", "quantty:"))
mapped("an unknown unit", says("`unit: pence`", "cent, thousand, wan"),
       ('"Price"', "{column: Price, unit: pence}"))
mapped("an option of another type of field", says("`unit` for a field of type timestamp"),
       ('"Date"', "{column: Date, unit: cent}"))
mapped("a column mapped twice", says("column 'Units' is mapped twice, to 'quantity' and"),
       ('"Price"', '"Units"'))
mapped("a required field that nothing feeds", says("no column feeds the required field 'quant"),
       ('      quantity: "Units"\n', ""))
mapped("a constant of a wrong type", says("the value 'three'", "digits"),
       ('"Price"', "{value: three}"))
mapped("a constant that is no day", says("the value '2024-02-30'", "a date such as"),
       ('"Date"', "{value: 2024-02-30}"))
mapped("a constant too large", says("the value '99999999999999999999'", "at most 14"),
       ('"Price"', "{value: 99999999999999999999}"))
mapped("a code that the schema does not know", says("'retrun'", "did you mean 'return'?"),
       ('"Who"', "Who\n      kind: {column: Order, starts_with: {C: retrun}}"))
mapped("a date format without a day", says("names no full day"),
       ('"Date"', '{column: Date, format: "%H:%M"}'))
mapped("a date format with an unknown sign", says("%q, which is unknown"),
       ('"Date"', '{column: Date, format: "%d/%q/%Y"}'))
mapped("one mark for thousands and decimals", says("for both `thousands` and `decimal`"),
       ('"Price"', '{column: Price, thousands: ",", decimal: ","}'))
mapped("a delimiter of two characters", says("delimiter '||'", "one character"),
       ("duplicates: keep", 'duplicates: keep\n    delimiter: "||"'))
for _name in ("utf8x", "rot13", "zlib", "undefined", "idna", "punycode", "unicode_escape"):
    mapped(f"the encoding {_name}", says(f"encoding '{_name}'", "gb18030"),
           ("duplicates: keep", f"duplicates: keep\n    encoding: {_name}"))
mapped("no licence", says("no `licence`", "on what terms"), ("licence: our own\n", ""))
mapped("no entry in the source register", says("no entry in the source register"),
       (SOURCE.splitlines()[2] + "\n", ""))
mapped("a period that ends before it begins", says("two dates in order"),
       ("from: 2024-01-01", "from: 2025-01-01"))
for _what, _path, _words in (
    ("a path that climbs out with ..", "../orders.csv", "leads out of the raw folder"),
    ("a path that climbs out further down", "a/../../orders.csv", "leads out of the raw folder"),
    ("an absolute path", "/etc/orders.csv", "leads out of the raw folder"),
    ("a path with backslashes", "..\\orders.csv", "leads out of the raw folder"),
    ("a path with a drive", "C:\\orders.csv", "leads out of the raw folder"),
    ("a glob that climbs out", "../*.csv", "leads out of the raw folder"),
    ("an address in place of a path", "https://example.com/a.csv", "the file is not there"),
    ("a glob that matches nothing", "lines_*.csv", "there are orders.csv in that folder"),
    ("a glob with stars within a name", "a**b.csv", "the file is not there"),
    ("a path with a NUL", "a\\0.csv", "is no name of a file"),
    ("a path of 5,000 characters", "x" * 5_000 + ".csv", "is no name of a file"),
    ("a file of a kind that is not read", "orders.xls", "of a kind that is not read"),
    ("a home folder", "~/orders.csv", "the file is not there"),
):
    _yaml_path = f'"{_path}"' if "\\0" in _path else f"'{_path}'"
    mapped(_what, says(_words), ('path: "orders.csv"', f"path: {_yaml_path}"))


def _joined(name: str, outcome: Outcome, second: str | None, join: str) -> None:
    def make(shop: Shop, path: str) -> None:
        write(shop.raw / path, LINES, good(3))
        if second is not None:
            (shop.raw / "second.csv").write_text(second)
        shop.entry(path, options=f"join: {join}\n")

    add(name, ("csv", "xlsx", "parquet", "jsonl"), outcome, make)


_ON = "{path: second.csv, on: Order}"
_joined("a file to join that is not there", says("second.csv: the file is not there"), None, _ON)
_joined("a key that stands twice in the file to join",
        says("column 'Order', row 2: the key 'O1' stands again in row 3"),
        "Order,city\nO1,Rome\nO1,Oslo\n", _ON)
_joined("a file to join without the key", says("no column 'Order', on which", "'Order no'?"),
        "Order no,city\nO1,Rome\n", _ON)
_joined("a ragged row in the file to join", says("second.csv, row 3: 3 cells; expected 2"),
        "Order,city\nO1,Rome\nO2,Oslo,x\n", _ON)
_joined("a file joined to itself", AsIs(), "Order,city\nO1,Rome\n", _ON)
_joined("a join out of the folder", says("leads out of the raw folder"), None,
        "{path: ../second.csv, on: Order}")
_joined("an empty file to join", says("second.csv: the file is empty"), "", _ON)

mapped("a list as a key in YAML", says("a key in brackets"), top="[a, b]: c\n")
mapped("a tab in YAML", says("line 6: not YAML"), ("files:\n", "files:\n\t- a: b\n"))
mapped("a bracket that is not closed in YAML", says("not YAML"), top="test_accounts: [a\n")
mapped("a key that stands twice", says("the key 'title' stands twice (first in line 1)"),
       top="title: another\n")
mapped("two documents in one file", says("a second document"), top="---\ntitle: another\n")
mapped("an anchor and its alias", says("the alias *a", "write the text out"),
       top="test_accounts: &a [x]\nnon_products: *a\n")
mapped("a merge key", says("the alias *a"),
       top="fields:\n  - &a {name: x, about: y, purpose: z}\n  - {<<: *a, name: w}\n")
_BOMB = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}]\n" for i in range(1, 12))
mapped("an alias bomb", says("the alias *a0", "no aliases"), top=_BOMB, heavy=True)
mapped("a Python object in YAML", says("the tag tag:yaml.org,2002:python"),
       top="about: !!python/object/apply:os.system [touch pwned]\n")
mapped("a type of one's own in YAML", says("the tag !secret", "no tags"), top="about: !secret x\n")
mapped("YAML nested 100,000 deep", says("nested too deeply"), top="about: " + "[" * 100_000,
       heavy=True)
mapped("a mapping that is not UTF-8", says("a byte that is not UTF-8", "save it as UTF-8"),
       top="about: \udcff\n")
mapped("a NUL in the mapping", says("not YAML"), top="about: a\0b\n")
mapped("a mapping of 2 MB", says("more than 1,000,000 bytes"),
       top="# " + "x" * 2_000_000 + "\n")
for _what, _content in (("nothing", ""), ("a list", "- a\n"), ("a sentence", "just text\n")):

    def _instead(shop: Shop, path: str, content=_content) -> None:
        (shop.folder / "mapping.yaml").write_text(content)

    add(f"{_what} in place of a mapping", "mapping", says("no keys", "write the mapping"),
        _instead)
mapped("SQL in the name of a field of one's own", says("the name 'x\"; drop table y", "small le"),
       top="fields:\n  - {name: 'x\"; drop table y', type: string, about: z, purpose: w}\n")
mapped("a field of one's own without a purpose", says("no value for `purpose`"),
       top="fields:\n  - {name: x, type: string, about: y, purpose: }\n")
mapped("a source without order lines", says("no file feeds order_lines", count=7),
       ("table: order_lines", "table: products"))


# --- rules of a source

rule("a rule that looks at no field", says("`field: prize`", "choose one of them"),
     field="prize", check="present")
rule("a rule with an unknown check", says("`check: equals`", "at_least"), field="kind",
     check="equals", value="sale")
rule("a rule with a pattern that is none", says("the pattern '(a'", "RE2"), field="order_id",
     check="matches", value="(a")
rule("a rule with a pattern of another language", says("the pattern '(?=a)b'", "RE2"),
     field="order_id", check="matches", value="(?=a)b")
rule("a rule with a pattern that explodes elsewhere", AsIs(), field="order_id", check="matches",
     value="^(a|O+)+[0-9]*$")
rule("a rule with a day that is none", says("the value '2024-02-30' for a timestamp"),
     field="ordered_at", check="at_least", value="2024-02-30")
rule("a rule with a number too large", says("for a money"), field="unit_price", check="at_most",
     value="9" * 20)
rule("a rule about a person", says("`field: phone`"), table="customers", field="phone",
     check="present")
rule("a rule that compares a date with a text", says("the value 'order_id'", "as_of"),
     field="ordered_at", check="not_after", value="order_id")
rule("a rule that looks into no table", says("the value 'nothing.here'"), field="product_id",
     check="known", value="nothing.here")
rule("a rule of the same name as another", says("has two rules 'test'"), id="test",
     field="product_id", check="present")
rule("SQL in the value of a rule", AsIs(), field="product_id", check="none_of",
     value="x'); drop table y; --")
rule("a rule with a condition that is none", says("`when: kind`", "such as kind=sale"),
     field="product_id", check="present", when="kind")
mapped("a rule that is a text", says("no rule", "the keys id"), top="rules: [present]\n")


# --- params.yaml, of a source and of the project itself, and dvc.yaml

PARAMS = ("params", "own")
_READ = "ingest: {{read: {{max_unread: {}}}}}\n"
_NOT_TYPED = "params.yaml: ingest.read.max_unread is "
for _what, _content, _words in (
    ("an unknown section", "ingst: {read: {}}\n", ("unknown key ingst", "mean 'ingest'?")),
    ("an unknown function", "ingest: {reed: {}}\n", ("ingest.reed", "did you mean 'read'?")),
    ("an unknown parameter", "ingest: {read: {max_unred: 1}}\n", ("mean 'max_unread'?",)),
    ("an unknown key of the run", "run: {curency: EUR}\n", ("did you mean 'currency'?",)),
    ("a parameter of a wrong type", _READ.format("lots"), (_NOT_TYPED + '"lots"', "a number")),
    ("a word in a list of numbers", "rfm: {score: {r_anchors: [[0, 100], [1, x]]}}\n",
     ('r_anchors[1][1] is "x"', "a number")),
    ("a list in place of parameters", "- ingest\n", ("params.yaml: a list in place of keys",)),
    ("a sentence in place of parameters", "just text\n", ("a text in place of keys",)),
    ("a text in place of a section", "ingest: read\n", ("ingest must be a mapping",)),
    ("a section of which nothing is left", "run:\nfloors: {}\n", ("run must be a mapping",)),
    ("a day that is none", "run: {as_of: 2024-02-30}\n", ("line 1: '2024-02-30', which",)),
    ("an unknown time zone", "run: {time_zone: Asia/Nowhere}\n", ("run.time_zone", "time zone")),
    ("parameters with a tab", "ingest:\n\tread: {}\n", ("params.yaml, line 2: not YAML",)),
    ("parameters with a key twice", "run: {seed: 1, seed: 2}\n",
     ("params.yaml, line 1: the key 'seed' stands twice",)),
    ("parameters with a Python object", "run: !!python/name:os.system\n",
     ("params.yaml, line 1: the tag",)),
    ("parameters with an alias", "run: &a {seed: 1}\nvault: *a\n", ("line 2: the alias *a",)),
    ("two documents of parameters", "run: {}\n---\nrun: {}\n", ("line 2: a second document",)),
    ("parameters that are not UTF-8", b"run: {currency: \xff}\n",
     ("params.yaml, line 1: a byte that is not UTF-8", "save it as UTF-8")),
    ("a NUL in parameters", "run: {currency: a\0b}\n", ("params.yaml: not YAML",)),
    ("parameters of 2 MB", "# " + "x" * 2_000_000, ("more than 1,000,000 bytes",)),
):
    beside(_what, PARAMS, _content, says(*_words))
for _what, _content, _words in (  # the same for those of a source
    ("a parameter that the notebook gives", "rfm: {measure: {as_of: 2024-01-01}}\n",
     ("unknown key rfm.measure.as_of",)),
    ("a number in quotes", _READ.format('"0.05"'), (_NOT_TYPED + '"0.05"', "as in 0.05")),
    ("true for a number", _READ.format("true"), (_NOT_TYPED + "true", "a number")),
    ("NaN for a number", _READ.format(".nan"), (_NOT_TYPED + "NaN", "a number")),
    ("Infinity for a number", _READ.format("1e999"), (_NOT_TYPED + "Infinity",)),
    ("nothing for a number", _READ.format(""), (_NOT_TYPED + "null", "a number")),
    ("a list for a number", _READ.format("[0.05]"), (_NOT_TYPED + "[0.05]", "a number")),
    ("a fraction for a whole number", "rfm: {measure: {window_days: 90.5}}\n",
     ("window_days is 90.5", "a whole number", "as in 90")),
    ("a number beyond 64 bits", f"rfm: {{measure: {{window_days: {2**63}}}}}\n",
     ("a whole number",)),
    ("a number of 5,000 digits", f"rfm: {{measure: {{window_days: {'9' * 5_000}}}}}\n",
     ("line 1: '999", "which cannot be")),
    ("a method that nobody knows", "rfm: {score: {method: anchors}}\n",
     ('method is "anchors"', "expected anchor or percentile")),
    ("three numbers for two", "rfm: {score: {r_anchors: [[0, 100, 1]]}}\n",
     ("r_anchors[0] is [0, 100, 1]", "a list of 2 numbers")),
    ("a number for a list", "quality: {suggestions: {stores: 5}}\n", ("a list of texts",)),
    ("one number for two", "quality: {limits: {named: [0.5]}}\n", ("a list of 2 numbers",)),
    ("a list in place of a section", "ingest: [read]\n", ("ingest must be a mapping",)),
    ("a number in place of a function", "ingest: {read: 5}\n", ("ingest.read must be a map",)),
    ("a time for a day", "run: {as_of: 2024-02-01 10:00:00}\n", ("run.as_of", "auto or a day")),
    ("a seed that is a word", "run: {seed: lucky}\n", ('run.seed is "lucky"', "a whole number")),
    ("a sign for a currency", 'run: {currency: "€"}\n', ("run.currency", "as in EUR")),
    ("SQL for a size of memory", "run: {memory: \"4GB'; drop table x\"}\n", ("run.memory",)),
    ("threads below zero", "run: {threads: -1}\n", ("run.threads is -1", "0 for all cores")),
    ("an unknown engine", "run: {engine: sparc}\n", ("run.engine", "as in duckdb")),
    ("a source that climbs out", "run: {source: ../demo}\n", ("run.source", "data/sources")),
    ("a fingerprint that YAML reads as a number", "vault: {pseudonym: 1234567890123456}\n",
     ("vault.pseudonym is 1234567890123456", "in quotes")),
    ("a floor that is a word", "floors: {rfm: {customers: many}}\n",
     ('floors.rfm.customers is "many"', "a number")),
):
    beside(_what, "own", _content, says(*_words))
beside("an alias bomb in parameters", PARAMS, _BOMB + "ingest: *a11\n",
       says("params.yaml, line 2: the alias *a0"), heavy=True)
beside("parameters nested 100,000 deep", PARAMS, "run: " + "[" * 100_000,
       says("params.yaml, line 1: brackets nested too deeply"), heavy=True)
beside("parameters without those that a run needs", "own", "run: {seed: 1}\n",
       says("params.yaml: no `run.source`", "such as `source: demo`"))


def _no_file_but_a_folder(shop: Shop, path: str) -> None:
    beside_it = shop.root / WRITTEN[path.rpartition(".")[2]]
    beside_it.unlink(missing_ok=True)
    beside_it.mkdir()
    write(shop.raw / "orders.csv", LINES, good(3))
    shop.entry("orders.csv")


add("a folder in place of parameters", "params", says("params.yaml: it is a folder"),
    _no_file_but_a_folder)
for _what, _content, _words in (
    ("stages that are a list", "stages: [ingest]\n", ("dvc.yaml: stages is a list",)),
    ("a stage that is a text", "stages: {ingest: crm run}\n", ("dvc.yaml: ingest is a text",)),
    ("paths that are no list", "stages: {ingest: {deps: a.csv}}\n", ("ingest.deps is no list",)),
    ("a list in place of stages", "- ingest\n", ("dvc.yaml: a list in place of keys",)),
    ("stages that are not UTF-8", b"stages: {\xff: {}}\n", ("dvc.yaml, line 1: a byte that",)),
    ("stages with a bracket that is not closed", "stages: {a: [\n", ("dvc.yaml, line 2: not Y",)),
):
    beside(_what, "dvc", _content, says(*_words))
beside("an alias bomb in dvc.yaml", "dvc", _BOMB + "stages: *a11\n",
       says("dvc.yaml, line 2: the alias *a0"), heavy=True)


# --- pull.yaml

_API = "- into: a.json\n  get: https://desk.example.com/a\n"
_SQL = "- into: a.parquet\n  sql: select 1\n  url: env:CRM_NO_SUCH_VARIABLE\n"
for _what, _content, _words in (
    ("a pull of nothing", "", ("no list of files",)),
    ("a pull with an unknown key", _API + "  record: data\n", ("did you mean 'records'?",)),
    ("a pull to another folder", _API.replace("a.json", "../a.json"), ("a plain file name",)),
    ("a pull to an absolute path", _API.replace("a.json", "/a.json"), ("a plain file name",)),
    ("a pull to a file of another kind", _API.replace("a.json", "a.sh"), ("ends with .json",)),
    ("a pull from a file of this machine", _API.replace("https", "file"), ("without an address",)),
    ("a pull with a password in its address", _API.replace("desk.", "me:secret@desk."),
     ("without user and password",)),
    ("a pull with a secret in the clear",
     _API.replace("https", "http") + "  parameters: {key: env:KEY}\n", ("travel in the clear",)),
    ("a pull with the address of a database", _SQL.replace("env:CRM_NO_SUCH_VARIABLE", "x://y"),
     ("a `url` that is no variable",)),
    ("a pull with a variable that is not set", _SQL, ("CRM_NO_SUCH_VARIABLE", "export")),
    ("a pull of both kinds", _SQL + "  get: https://x.example.com\n", ("`sql`", "`get`")),
    ("a pull into one file twice", _API * 2, ("`into: a.json` stands twice",)),
    ("a pull with an unknown time zone", _SQL + "  timezone: Asia/Nowhere\n", ("Asia/Shanghai",)),
    ("a pull with an alias", _API.replace("a.json", "&a a.json") + "  records: *a\n",
     ("the alias *a",)),
    ("a pull with a line break in a header", _API + '  headers: {A: "b\\r\\nC: d"}\n',
     ("an address or a header that cannot be read",)),
):
    beside(_what, "pull", _content, says(*_words))
# fmt: on


# --- the page

_FORMATS = {
    "params": "params.yaml of a source", "own": "params.yaml", "pull": "pull.yaml",
    "mapping": "mapping.yaml", "dvc": "dvc.yaml",
}  # fmt: skip
_LONGEST = 230  # characters of a message on the page


def page() -> str:
    """The catalogue as a page of Markdown."""
    rows = [
        f"| {_plain(kind.name)} | {_formats(kind.formats)} | {_outcome(kind.outcome)} |"
        f" {_plain(_shown(kind))} |"
        for kind in KINDS
    ]
    return "\n".join([
        "# Bad input", "",
        f"{len(KINDS)} kinds of bad input and what becomes of each, {len(cases())} cases with "
        "their formats. Written by `python", "tests/bad_inputs.py`, proved by "
        "`tests/test_bad_inputs.py`: none of them ends in a traceback, a hang or", "more than "
        "1 GiB.", "",
        "- **message**: the run stops before anything is written; the message is that of the "
        "first format, shortened.",
        "- **quarantine**: the row waits for its owner, whole and with the reason; all others are "
        "used.",
        "- **unread**: the row is used without the field; the cell is on the list of issues.",
        "- **read**: it is read as it is, as data and nothing else.", "",
        "| kind | formats | outcome | what is shown |", "|---|---|---|---|", *rows, "",
    ])  # fmt: skip


def _formats(formats: tuple[str, ...]) -> str:
    return "all" if formats == DATA else ", ".join(_FORMATS.get(f, f".{f}") for f in formats)


def _outcome(outcome: Outcome) -> str:
    return {Message: "message", Quarantine: "quarantine", Unread: "unread", AsIs: "read"}[
        type(outcome)
    ]


def _shown(kind: Kind) -> str:
    if isinstance(kind.outcome, Quarantine):
        return kind.outcome.reason
    if isinstance(kind.outcome, Unread):
        return f"{kind.outcome.field}: unreadable"
    if isinstance(kind.outcome, AsIs):
        value = str(kind.outcome.value)
        value = value if len(value) < 60 else f"{value[:3]}… ({len(value):,} characters)"
        return f"{kind.outcome.field}: {value}" if kind.outcome.field else ""
    said = tried(kind, kind.formats[0])
    first = re.sub(r"data/(raw|sources)/shop/", "", said[0])
    first = first if len(first) <= _LONGEST else first[: first.rfind(" ", 0, _LONGEST)] + " …"
    return first + (f" ({len(said) - 1} more)" if len(said) > 1 else "")


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, in one cell of a table."""
    text = re.sub(r"([\\`*_{}\[\]<>#|~$&])", r"\\\1", text)
    return "".join(char if char.isprintable() else f"U+{ord(char):04X}" for char in text)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE.relative_to(ROOT)}: {len(KINDS)} kinds\n")
