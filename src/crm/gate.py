"""The gate: no personal value of the vault, and nothing that looks like one, in any output.

Scanned are all tables, executed notebooks, pages, metrics and models that dvc.yaml declares, what
lies in `reports`, the notebooks themselves, the run records and logs in `.crm`, and everything
that MLflow keeps here. Not scanned are `data/raw` and `data/truth`, which came so, and
`data/vault`, which is encrypted: they are no outputs, and nothing of them is published or tracked
(PRV-03).

A *name*, an *address* or another value of the vault is found as a sequence of words; each Chinese
character is a word of its own. A Chinese name of two characters counts only where it stands by
itself, since two characters meet by chance in ordinary words. Not looked for is what would be
found everywhere and says nothing: a name, or an address without a number, that is a word of the
catalogue, of a column of places, of the lists of codes or of the prose of a notebook; words for
nothing; numbers of few digits. The result says how many those are, and names each text of the
catalogue or place that is the whole name of a customer, since a column of persons may stand where
the products should.

Phones, e-mails and numbers of identity documents are found by their form too, whoever they
belong to; only an order number may have it. The vault is that of the source in params.yaml: after
a change of source only the form tells what an old record in MLflow holds of the last one.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import sqlite3
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from crm import tables, traces
from crm.project import load_params, load_specs, read_yaml, settings
from crm.tables import NO_NAME, TABLES
from crm.wording import fill

UNSCANNED = ("data/raw/", "data/truth/", "data/vault/")
WORDS = (  # columns of data/tables in which no person is named: of the catalogue, and of places
    *("products.product_name", "products.category", "campaigns.campaign_name"),
    *("customers.province", "customers.city", "customers.district"),
    *("orders.country", "returns.country"),
)
PASSED = ".crm/gate.json"  # hashes of what passed last and what was said of it, masked
SHOWN = 20  # hits told one by one
SHORT = 2  # characters of a Chinese name that may be part of a word
WHOLE_LETTERS = 5  # below it a single word or number is no evidence outside a cell of its own
LEAST_DIGITS = 7  # of a number that stands for one person
SUM = 1e10  # below it a number with decimals may be any sum; a phone has eleven digits
GARBLED = 0.01  # more of a text that cannot be read, and it is not written in that encoding
BATCH = 10_000  # cells of a table looked at in one go
CACHED = 100_000  # texts of which the result is kept
CHINESE = "\u3400-\u9fff"
WORD = re.compile(rf"[{CHINESE}]|[^\W_{CHINESE}]+")
# `\w` would hide a number next to a Chinese character, which needs no blank there
PHONE = re.compile(
    r"(?<![0-9A-Za-z.+-])(?:\+?86[- ]?)?(1[3-9]\d[- ]?\d{4}[- ]?\d{4})(?![0-9A-Za-z-]|\.\d)"
)
MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
IDENTITY = re.compile(r"(?<![0-9A-Za-z.])(\d{17}[\dXx])(?![0-9A-Za-z]|\.\d)")
PLACE = re.compile(r'"line": ?\d+')  # of a row in its source, in quarantine: no phone
ORDER = re.compile(r'"(?:order_id|reverses)": ?"[^"]*"')  # of such a row
ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
LINES = ("line", "reverses_line")  # columns of places of rows
ORDERS = ("order_id", "reverses", "reference")  # columns of order numbers, which may be any
ORDER_FORM = r"^(?:1[3-9]\d{9}|\d{17}[\dXx])$"
PSEUDONYM = "^[0-9a-f]{16}$"
MAY_HOLD = (  # cells worth a look: any other script (classes of letters are three times as slow)
    r"[^\x00-\x7f]|@|[A-Za-z][ .'-]{0,2}[A-Za-z]|[0-9][0-9 ().-]{5,}"
)

WORD_NAMES = "{n} name[s] that [is an ordinary word|are ordinary words]"
WORD_ADDRESSES = "{n} address[es] that [is an ordinary word|are ordinary words]"
NOTHING = "{n} value[s] that [stands|stand] for nothing"
ORDER_NUMBERS = "{n} order number[s] with the form of a phone or identity number"


class GateError(ValueError):
    """Personal values stand in an output; the message lists where."""


@dataclass(frozen=True)
class Leak:
    """One personal value in one output: where, what kind it is, and the value, masked."""

    file: str
    place: str
    kind: str
    hint: str

    def __str__(self) -> str:
        return f"{self.file}, {self.place}: {self.kind} {self.hint}, unmasked"


class Text(NamedTuple):
    """A text of a file, where it stands, and whether the form of a contact tells anything."""

    place: str
    text: str
    by_form: bool = True


class Values:
    """The personal values to look for, by their first two words.

    Parameters
    ----------
    known
        Kind of value (`name`, `phone`, …) → values in the clear.
    words
        Texts in which no person is named, each with where it stands: what of the values is in
        one of them may be a word.

    Attributes
    ----------
    left_out
        How many values are not looked for, by the reason.
    alike
        The texts that are the whole of a name, masked, with where they stand.
    """

    def __init__(self, known: dict[str, set[str]], words: Iterable[tuple[str, str]] = ()):
        self._starts: dict[tuple, list[tuple[tuple, str]]] = {}
        self._whole: dict[tuple, str] = {}
        self.left_out: Counter[str] = Counter()
        for kind, values in sorted(known.items()):
            for value in sorted(values):
                self._add(tuple(_words(value)), kind)
        self.count = len(self._whole)
        self._words: set[tuple] = set()
        alike = {text for where, text in words for text in self._pass(where, text)}
        self.alike = sorted(alike)
        reasons = {"name": WORD_NAMES, "address": WORD_ADDRESSES}
        self.left_out.update(reasons[self._whole[found]] for found in self._words)

    def _add(self, words: tuple, kind: str) -> None:
        if words and _is_nothing(words, kind):
            self.left_out[NOTHING] += 1
        elif words and words not in self._whole:
            self._whole[words] = kind
            self._starts.setdefault(words[:2], []).append((words, kind))

    def _pass(self, where: str, text: str) -> Iterator[str]:
        """Take what is in a text for words; the text, masked, if it is the whole of a name."""
        for found, _at in self._sequences(_plain(text)):
            kind = self._whole[found]
            if kind == "name" or (kind == "address" and not _has_digit(found)):
                self._words.add(found)
                if kind == "name" and found == tuple(_words(text)):
                    yield f"{where}: {found[0][:1]}***"

    def find(self, text: str, *, by_form: bool = True) -> Iterator[tuple[str, str, int]]:
        """Each personal value in a text: its kind, the value, and where it begins."""
        plain = _plain(text)
        taken = set()
        for words, at in self._sequences(plain):
            if words not in self._words:
                taken.add(at)
                yield self._whole[words], words[0], at
        for kind, value, at in _by_form(plain) if by_form else ():
            if at not in taken:
                yield kind, value, at

    def _sequences(self, plain: str) -> Iterator[tuple[tuple, int]]:
        """Each sequence of words of the vault in a text, and where it begins."""
        if not self._starts:
            return
        spans = [(m[0], m.start(), m.end()) for m in WORD.finditer(plain)]
        tokens = [word for word, _first, _last in spans]
        for i, pair in enumerate(pairwise([*tokens, None])):
            for start in (pair[:1], pair):
                for words, kind in self._starts.get(start, ()):
                    if tuple(tokens[i : i + len(words)]) == words:
                        whole = len(tokens) == len(words)  # a cell of its own
                        edges = (spans[i][1], spans[i + len(words) - 1][2])
                        if whole or self._counts(words, kind, plain, edges):
                            yield words, edges[0]

    def _counts(self, words: tuple, kind: str, plain: str, edges: tuple[int, int]) -> bool:
        """Whether a sequence within a longer text is evidence, not chance."""
        if len(words) == 1:
            return kind != "name" and len(words[0]) >= WHOLE_LETTERS
        chinese = all("\u3400" <= word <= "\u9fff" for word in words)
        if kind == "name" and chinese and len(words) <= SHORT:
            before, after = plain[max(edges[0] - 1, 0) : edges[0]], plain[edges[1] : edges[1] + 1]
            return not (_is_chinese(before) or _is_chinese(after))
        return True


def gate(root: Path) -> str:
    """Scan every output; the sentence that says what was scanned.

    What had these bytes when it last passed, with the same vault and words, passes unread.

    Raises
    ------
    GateError
        Something personal was found; the message names file, place and kind, never the value.
    """
    from crm import vault
    from crm.engine import digest

    prints = {path: digest(path) for path in sorted(_files(root))}
    basis = _basis(root, prints)
    last = _last(root, basis)
    changed = [path for path, print_ in prints.items() if print_ not in last["passed"]]
    if changed or not last["passed"]:
        last = _scanned(root, changed)
    log = root / vault.LOG  # has the line of this look by now, which holds no value
    known = {*prints.values(), *([digest(log)] if log.exists() else ())}
    passed = {"basis": basis, **last, "passed": sorted(known)}
    (root / PASSED).parent.mkdir(exist_ok=True)
    (root / PASSED).write_text(json.dumps(passed), encoding="utf-8")
    return (
        f"gate: {len(prints)} files hold none of {last['values']} personal values and no "
        f"unmasked phone, e-mail or identity number{last['told']}"
    )


def _basis(root: Path, prints: dict[Path, str]) -> str:
    """What the result of a scan hangs on beside the file: vault, ordinary words, these rules."""
    from crm.engine import digest

    rules = (Path(__file__), Path(traces.__file__), Path(tables.__file__))
    places = [root / "data/vault", *sorted({*_word_files(root)}), *_notebooks(root), *rules]
    known = [prints.get(path) or digest(path) for path in places if path.exists()]
    return hashlib.sha256(" ".join(known).encode()).hexdigest()


def _last(root: Path, basis: str) -> dict:
    """What passed at the last call, nothing if the basis is another."""
    try:
        last = json.loads((root / PASSED).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        last = {}
    return last if last.get("basis") == basis else {"passed": [], "values": 0, "told": ""}


def _scanned(root: Path, files: list[Path]) -> dict:
    """How many values were looked for in the files, and what was left out, in words."""
    from crm import engine

    con = engine.connect(spill=root / ".crm/spill")
    values = Values(_known(root, con), _ordinary(root, con))
    found = (leak for path in files for leak in _scan(root, con, path, values))
    leaks = list(dict.fromkeys(found))
    if leaks:
        more = [f"… and {len(leaks) - SHOWN} more"] if len(leaks) > SHOWN else []
        mend = (
            "gate: personal values stand in outputs. Find the stage that writes the file, take "
            "the value out there and run again; until then nothing may be published"
        )
        raise GateError("\n".join([mend, *map(str, leaks[:SHOWN]), *more]))
    left_out = values.left_out + Counter({ORDER_NUMBERS: _orders_by_form(root, con)})
    return {"values": values.count, "told": _told(left_out, values.alike)}


def _told(left_out: Counter[str], alike: list[str]) -> str:
    """The end of the result: what was left out, and what somebody should look at."""
    order = (WORD_NAMES, WORD_ADDRESSES, NOTHING, ORDER_NUMBERS)
    counts = [fill(reason, {"n": left_out[reason]}) for reason in order if left_out[reason]]
    told = f"; left out: {', '.join(counts)}" if counts else ""
    if alike:
        told += (
            "\nThese texts are whole names of customers, which are not looked for; if their "
            "column should hold no persons, mend the mapping:"
        )
    more = [f"… and {len(alike) - SHOWN} more"] if len(alike) > SHOWN else []
    return "\n  ".join([told, *alike[:SHOWN], *more])


# ---- what is looked for ----------------------------------------------------------------------


def _known(root: Path, con) -> dict[str, set[str]]:
    """Kind → values of the vault in the clear; the look into it is logged (PRV-15)."""
    from crm import engine, vault

    params = load_params(root)
    folder = root / "data/sources" / settings(params)["source"]
    public = read_yaml(folder / "mapping.yaml").get("public") is True
    key = vault.checked_keys(folder, params.get("vault", {}), public=public).encryption
    found: dict[str, set[str]] = {}
    for path in sorted((root / "data/vault").glob("*.parquet")):
        rows, name = engine.scan(con, path), f"vault/{path.stem}"
        columns = [c.name for c in TABLES[name].columns if c.personal]
        fields = [f"{name}.{column}" for column in columns]
        vault.log(root, by="gate", fields=fields, purpose="look for leaks",
                  rows=int(rows.count().execute()))  # fmt: skip
        for column in columns:
            sealed = engine.frame(con, rows.select(column).distinct())[column].dropna()
            plain = vault.decrypt(sealed.tolist(), key=key, context=f"{name}.{column}")
            found.setdefault(column.replace("_", " "), set()).update(plain)
    return found


def _ordinary(root: Path, con) -> Iterator[tuple[str, str]]:
    """Texts in which no person is named: catalogue, places, codes, prose of the notebooks."""
    from crm import engine

    for entry, path in zip(WORDS, _word_files(root), strict=True):
        column = entry.split(".")[1]
        rows = engine.scan(con, path) if path.exists() else None
        if rows is not None and column in rows.columns:
            texts = engine.frame(con, rows.select(column).distinct())[column].dropna()
            yield from ((entry, text) for text in texts)
    for table in TABLES.values():
        yield from (("codes", code) for column in table.columns for code in column.codes)
    for path in _notebooks(root):
        yield from ((path.name, text) for text in _prose(path))


def _prose(path: Path) -> Iterator[str]:
    """The cells of a notebook that are prose; code and its outputs may name anybody."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError):
        return
    for cell in cells:
        if cell.get("cell_type") == "markdown":
            yield "".join(cell["source"])


def _notebooks(root: Path) -> list[Path]:
    return sorted((root / "notebooks").glob("*.ipynb"))


def _word_files(root: Path) -> list[Path]:
    """The table of each column of words: a folder of months, or one file."""
    places = [root / "data/tables" / entry.split(".")[0] for entry in WORDS]
    return [place if place.is_dir() else place.with_suffix(".parquet") for place in places]


def _orders_by_form(root: Path, con) -> int:
    """How many order numbers have the form of a contact."""
    from crm import engine

    place = root / "data/tables/orders"
    path = place if place.is_dir() else place.with_suffix(".parquet")
    if not path.exists():
        return 0
    numbers = engine.scan(con, path).order_id
    return int(numbers.nunique(where=numbers.re_search(ORDER_FORM)).execute())


def _by_form(plain: str) -> Iterator[tuple[str, str, int]]:
    if '"order_id":' in plain:
        plain = ORDER.sub(lambda match: " " * len(match[0]), plain)
    for kind, pattern in (("phone", PHONE), ("e-mail", MAIL), ("identity number", IDENTITY)):
        for match in pattern.finditer(plain):
            if kind != "identity number" or _is_identity(match[0]):
                yield kind, match[0], match.start()


def _is_identity(text: str) -> bool:
    """Whether 18 characters are a number of an identity document: GB 11643-1999, check digit."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(int(digit) * weight for digit, weight in zip(text, weights, strict=False))
    return text[17].upper() == "10X98765432"[total % 11]


# ---- where it is looked for ------------------------------------------------------------------


def _files(root: Path) -> Iterator[Path]:
    """Every file that is an output, or that a run leaves behind."""
    specs = load_specs(root, settings(load_params(root))["source"])
    outs = {path for spec in specs.values() for path in (*spec.outs, spec.metrics) if path}
    places = [path for path in outs if not f"{path}/".startswith(UNSCANNED)]
    places += ["reports", ".crm", "mlartifacts", "mlflow.db"]
    found = {file for place in places for file in _below(root / place)}
    found |= {*root.glob("data/sources/*/*.parquet"), *_notebooks(root)}
    return iter(found - {root / PASSED})


def _below(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir() and any(path.glob("month=*")):
        yield path  # one table
    elif path.is_dir():
        yield from (file for file in path.rglob("*") if file.is_file())


def _scan(root: Path, con, path: Path, values: Values) -> Iterator[Leak]:
    """The leaks of one file; a text that was scanned before is not scanned again."""
    shown = path.relative_to(root).as_posix()
    kind = ".parquet" if path.is_dir() else path.suffix
    reader = {".parquet": _cells, ".db": _entries, ".ipynb": _outputs}.get(kind, _lines)
    for place, text, by_form in reader(con, path):
        for kind, value, at in _found(values, text, by_form):
            row = text.count("\n", 0, at) + 1
            where = f"{place}, line {row}" if place and row > 1 else place or f"line {row}"
            yield Leak(shown, where, kind, f"{value[:1]}***")


@lru_cache(maxsize=CACHED)  # the layers of tables and the runs of MLflow repeat most texts
def _found(values: Values, text: str, by_form: bool) -> tuple[tuple[str, str, int], ...]:
    return tuple(values.find(text, by_form=by_form))


def _cells(con, path: Path) -> Iterator[Text]:
    """Each distinct text of a table that may hold a person, by the column it stands in.

    The engine finds them, so that a table of any size is never held whole.
    """
    from crm import engine

    rows = engine.scan(con, path)
    large = _large(con, rows)
    for column, kind in rows.schema().items():
        cells = rows[column]
        if column in large:  # what became a number with decimals lost nothing by it
            found = rows.filter(cells >= SUM, cells < SUM * SUM, cells == cells.floor())
            texts = found.select(text=cells.try_cast("int64").cast("string")).distinct()
        elif kind.is_string() or (kind.is_integer() and column not in LINES):
            texts = rows.select(text=cells.cast("string")).distinct()
        else:
            continue
        looked = texts.filter(texts.text.re_search(MAY_HOLD), ~texts.text.re_search(PSEUDONYM))
        by_form = column not in ORDERS and not kind.is_decimal()  # sums of money may be large
        for batch in engine.batches(con, looked, BATCH):
            yield from (Text(f"column {column}", text, by_form) for (text,) in batch)


def _large(con, rows) -> set[str]:
    """Columns of numbers with decimals in which one is as large as a phone."""
    from crm import engine

    kinds = rows.schema().items()
    columns = [name for name, kind in kinds if kind.is_floating() or kind.is_decimal()]
    most = {f"most_{i}": rows[name].max() >= SUM for i, name in enumerate(columns)}
    if not most:
        return set()
    found = engine.frame(con, rows.aggregate(**most)).to_dict("records")[0]
    return {name for i, name in enumerate(columns) if found[f"most_{i}"] is True}


def _entries(con, path: Path) -> Iterator[Text]:
    """Each text in a SQLite database, by table and column."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        for (table,) in tables.fetchall():
            cursor = db.execute(f'SELECT * FROM "{table}"')
            names = [column[0] for column in cursor.description]
            for row in cursor:
                for name, value in zip(names, row, strict=True):
                    if isinstance(value, str | bytes):
                        text = value if isinstance(value, str) else value.decode(errors="replace")
                        yield Text(f"table {table}, column {name}", text)


def _outputs(con, path: Path) -> Iterator[Text]:
    """Each text in a notebook, by cell; one that is no notebook is read as lines."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError):
        yield from _lines(con, path)
        return
    for number, cell in enumerate(cells, 1):
        for text in _strings(cell):
            yield Text(f"cell {number}", text)


def _strings(value) -> Iterator[str]:
    """Every text within plain data, lists of lines joined."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and value and all(isinstance(line, str) for line in value):
        yield "".join(value) if any(line.endswith("\n") for line in value) else "\n".join(value)
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def _lines(con, path: Path) -> Iterator[Text]:
    """A file as text, whatever it is written in; of an archive, as a workbook is, each part."""
    try:
        for part, stream, codec in traces.streams(path):
            text = stream.read().decode(codec, errors="replace")
            if codec == "utf-8" or text.count("\ufffd") <= GARBLED * len(text):
                yield Text(part and f"part {part}", text)
    except traces.SealedError:
        raise GateError(
            f"gate: {path.name} is an archive that is torn or has a password, so nobody knows "
            "what it holds: delete it or write it anew"
        ) from None


# ---- private ---------------------------------------------------------------------------------


def _plain(text: str) -> str:
    """A text as it is compared: escapes undone, full-width as usual, small letters."""
    if "\\u" in text:
        text = ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    if '"line":' in text:
        text = PLACE.sub("", text)
    if "&" in text:
        text = html.unescape(text)
    return text.casefold() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def _words(value: str) -> list[str]:
    return WORD.findall(_plain(value))


def _is_nothing(words: tuple, kind: str) -> bool:
    """Whether a value stands for nobody: a word of forms and typists, or a number of many."""
    if {"".join(words), " ".join(words)} & set(NO_NAME):
        return True
    number = "".join(words)
    is_weak = len(number) < LEAST_DIGITS or len(set(number)) == 1 or kind == "name"
    return number.isdigit() and is_weak


def _has_digit(words: tuple) -> bool:
    return any(character.isdigit() for word in words for character in word)


def _is_chinese(text: str) -> bool:
    return bool(text) and "\u3400" <= text <= "\u9fff"
