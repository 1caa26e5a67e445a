"""Where the values of one customer still stand: a search through files of every kind.

A *needle* is one value to look for. What others bear too proves nothing and is told apart, as is
a short name within a longer word. A key of a few digits cannot be told from other numbers, so it
is looked for in columns of keys alone.
"""

from __future__ import annotations

import codecs
import html
import json
import os
import re
import shutil
import subprocess
import sys
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

from crm.raw import BAD_ZIP
from crm.wording import fill

PLACES = ("data", "reports", ".crm", ".dvc", "mlartifacts", "mlflow.db", "params.yaml", "dvc.lock")
OF_SOURCES = ("data/raw", "data/sources", "data/truth")  # where each source has its own folder
KEY_COLUMNS = {"customer_key", "customer_id", "key_a", "key_b"}
SHORT_NAME = 3  # characters up to which a name may be part of an ordinary word
SHORT_KEY = 8  # characters below which a key of digits may be any number
_BLOCK = 8 << 20
ZIP = b"PK\x03\x04"  # how an archive begins
_OVERLAP = 1_000
_ELSE = ("gb18030", "cp950", "cp932")  # what text may be that is not UTF-8


class TraceError(ValueError):
    """There is no way to look everywhere."""


class SealedError(TraceError):
    """An archive is torn or has a password, so nobody can say what it holds."""


def plain_phone(text: str) -> str:
    """A phone number without blanks, hyphens or leading +86 (Q-18).

    Examples
    --------
    >>> plain_phone("+86 138-0000-1111"), plain_phone("１３８００００１１１１")
    ('13800001111', '13800001111')
    """
    text = re.sub(r"[\s-]", "", unicodedata.normalize("NFKC", text))
    return re.sub(r"^(\+86|0086)", "", text)


def streams(path: Path, encoding: str | None = None) -> Iterator[tuple[str, BinaryIO, str]]:
    """A file as the texts that it may be: part, bytes, and what they may be written in.

    Parameters
    ----------
    path
        The file. Only one that is a zip archive, as a workbook is, has several parts.
    encoding
        What it is written in, if that is known.

    Raises
    ------
    SealedError
        The file is an archive of which a part cannot be read; before anything is given.
    """
    with path.open("rb") as start:
        is_archive = start.read(len(ZIP)) == ZIP
    try:
        archive = zipfile.ZipFile(path)
    except BAD_ZIP:
        if is_archive:
            raise SealedError(path.name) from None
        yield from _streams("", partial(path.open, "rb"), encoding)
        return
    with archive:
        if not _is_whole(archive):
            raise SealedError(path.name)
        for part in archive.infolist():
            if not part.is_dir():
                yield from _streams(part.filename, partial(archive.open, part), None)


def _is_whole(archive: zipfile.ZipFile) -> bool:
    """Whether every part can be read to its end."""
    try:
        return archive.testzip() is None
    except BAD_ZIP:
        return False


def _streams(
    part: str, opened: Callable[[], BinaryIO], encoding: str | None
) -> Iterator[tuple[str, BinaryIO, str]]:
    for codec in _codecs(opened, encoding):
        with opened() as text:
            yield part, text, codec


@dataclass(frozen=True)
class Needle:
    """One value to look for: what it is, its text, and how many other customers bear it."""

    kind: str
    text: str
    others: int = 0

    @property
    def is_number(self) -> bool:
        """Whether it is a key that may be any number."""
        is_key = self.kind in ("source key", "customer id")
        return is_key and len(self.text) < SHORT_KEY and not re.search(r"[^\W\d_]", self.text)

    @property
    def is_short_name(self) -> bool:
        return self.kind == "name" and len(self.text) <= SHORT_NAME

    @property
    def forms(self) -> set[str]:
        """The text as files of different kinds may write it."""
        plain = {self.text, *([plain_phone(self.text)] if self.kind == "phone" else ())}
        return plain | {f(t) for t in plain for f in (html.escape, lambda t: json.dumps(t)[1:-1])}


@dataclass(frozen=True)
class Found:
    """What a search found: hits and doubtful ones by place, and the files it looked into."""

    files: int
    hits: Counter = field(default_factory=Counter)
    doubtful: Counter = field(default_factory=Counter)
    shared: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """The result in words; no value is in it."""
        files = {"files": self.files, "hits": sum(self.hits.values())}
        said = [fill("{hits} hit[s] in {files} file[s].", files)]
        said += [f"  {place}: {kind}, {count:,} times" for (place, kind), count in
                 sorted(self.hits.items())]  # fmt: skip
        said += [f"  perhaps only a part of a word, in {place}: {kind}, {count:,} times"
                 for (place, kind), count in sorted(self.doubtful.items())]  # fmt: skip
        return said + [f"  not looked for: {text}" for text in self.shared]


def search(
    con,
    root: Path,
    source: str,
    needles: list[Needle],
    *,
    key_columns: set[str],
    encodings: dict,
    dvc_cache: Path | None,
) -> Found:
    """Look for the needles in everything that the project made or read for a source.

    Parameters
    ----------
    con
        An Ibis DuckDB connection.
    root
        The project.
    source
        Name of the source; folders of other sources are left out.
    needles
        What to look for.
    key_columns
        Columns of raw files that hold source keys.
    encodings
        The encoding of text files of which it is known.
    dvc_cache
        The folder of DVC's cache, as of `cache`.
    """
    names = Counter((n.kind, n.others) for n in needles if n.others)
    shared = tuple(f"a {kind}, also the {kind} of {others:,} others" for kind, others in names)
    haystack = _Haystack(con, [n for n in needles if not n.others], KEY_COLUMNS | key_columns)
    paths = list(_files(root, source, dvc_cache))
    for path in paths:
        within = path.is_relative_to(root)
        shown = path.relative_to(root).as_posix() if within else str(path)
        try:
            haystack.look(path, shown, encodings.get(path))
        except SealedError:
            haystack.hits[shown, "an archive that cannot be read, so nobody knows"] += 1
    return Found(len(paths), haystack.hits, haystack.doubtful, shared)


def _files(root: Path, source: str, dvc_cache: Path | None) -> Iterator[Path]:
    """Every file that may hold something, DVC's cache wherever it lies included."""
    others = {
        folder
        for place in OF_SOURCES
        for folder in (root / place).glob("*")
        if folder.name != source
    }
    places = [root / place for place in PLACES]
    if dvc_cache is not None and not dvc_cache.is_relative_to(root):
        places.append(dvc_cache)
    for place in places:
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            if path.is_file() and path.stat().st_size and not others & set(path.parents):
                yield path


def cache(root: Path) -> Path | None:
    """The folder of DVC's cache; None where the project is none of DVC.

    DVC is asked that lies beside this Python, whether or not its environment is activated.
    """
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    dvc = shutil.which("dvc", path=places)
    if dvc is None:
        raise TraceError("no dvc beside this Python: run `make setup`; nothing was changed")
    done = subprocess.run([dvc, "cache", "dir"], cwd=root, capture_output=True, text=True)
    return (root / done.stdout.strip()).resolve() if done.returncode == 0 else None


class _Haystack:
    """Files of every kind, one after the other; what is found is counted by place and kind."""

    def __init__(self, con, needles: list[Needle], key_columns: set[str]):
        self.con, self.key_columns = con, key_columns
        self.hits, self.doubtful = Counter(), Counter()
        self.numbers = {n.text: n for n in needles if n.is_number}
        self.forms = {form: n for n in needles if not n.is_number for form in n.forms}
        longest = sorted(self.forms, key=len, reverse=True)
        self.pattern = re.compile("|".join(map(re.escape, longest)) or r"(?!)")

    def look(self, path: Path, shown: str, encoding: str | None) -> None:
        """Count what one file holds."""
        with path.open("rb") as start:
            head = start.read(4)
        if head == b"PAR1":
            self._table(path, shown)
        else:
            for _part, text, codec in streams(path, encoding):
                self._read(text, codec, shown)

    def _table(self, path: Path, shown: str) -> None:
        """A Parquet file, column by column; nested ones as text."""
        place = str(path).replace("'", "''")
        scan = f"read_parquet('{place}', hive_partitioning=false)"
        columns = self.con.raw_sql(f"describe select * from {scan}").fetchall()
        for column, kind, *_ in columns:
            if not re.search(r"VARCHAR|INT|STRUCT|MAP|\[|JSON|BLOB", kind):
                continue
            name = '"' + column.replace('"', '""') + '"'
            is_key = column in self.key_columns
            wanted = [*self.forms, *(self.numbers if is_key else ())]
            if not wanted:
                continue
            query = (f"select v, count(*) from (select {name}::varchar as v from {scan}) where "
                     f"len(list_filter(?, lambda x: contains(v, x))) > 0 group by v")  # fmt: skip
            for value, count in self.con.con.execute(query, [wanted]).fetchall():
                self._judge(value, f"{shown}, column {column}", count)
                if is_key and value in self.numbers:
                    self.hits[f"{shown}, column {column}", self.numbers[value].kind] += count

    def _read(self, stream, codec: str, shown: str) -> None:
        """Text block by block; the end of one is looked at again with the next."""
        decoder, rest = codecs.getincrementaldecoder(codec)("replace"), ""
        while block := stream.read(_BLOCK):
            text = rest + decoder.decode(block)
            self._judge(text, shown, 1, upto=len(text) - _OVERLAP)
            rest = text[max(len(text) - _OVERLAP, 0) :]
        self._judge(rest, shown, 1)

    def _judge(self, text: str, shown: str, count: int, upto: int | None = None) -> None:
        """Count each needle in a text that begins before `upto`."""
        for found in self.pattern.finditer(text):
            if upto is not None and found.start() >= upto:
                return
            needle = self.forms[found[0]]
            before, after = text[: found.start()][-1:], text[found.end() :][:1]
            if _runs_on(before, found[0][0]) or _runs_on(found[0][-1], after):
                continue
            is_part = needle.is_short_name and re.search(r"\w", before + after)
            (self.doubtful if is_part else self.hits)[shown, needle.kind] += count


def _runs_on(one: str, other: str) -> bool:
    """Whether two characters belong to one number or Latin word."""
    return all(re.fullmatch(r"[0-9A-Za-z]", c) for c in (one, other))


def _codecs(opened: Callable[[], BinaryIO], encoding: str | None) -> tuple[str, ...]:
    """What a text may be written in."""
    with opened() as start:
        head = start.read(2)
    if head in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return ("utf-16", "utf-8")
    if encoding and not encoding.startswith("utf-8"):
        return (encoding,)
    if b"\0" in head:
        return ("utf-16-le", "utf-16-be", "utf-8")
    decoder = codecs.getincrementaldecoder("utf-8")()
    with opened() as text:
        try:
            while block := text.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return ("utf-8", *_ELSE)
    return ("utf-8",)
