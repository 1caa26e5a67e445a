"""Raw files without some of their rows: every other row keeps its bytes, or at least its values.

Rows are numbered as `crm.raw` numbers them. Text files and API pages are cut where the rows
stand. Of a workbook the rows are cut out of the XML of their sheet, with the links and comments of
their cells, and texts that no cell shows any more are emptied; all else in it stays packed as it
was. Parquet is written anew, row group by
row group, since it stores values column by column.
"""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urljoin

import pyarrow as pa
import pyarrow.parquet as pq

from crm.mapping import File
from crm.raw import Raw, codec_of, sheet_part

_SPACE = re.compile(r"[\s,:]*")  # what stands between the values of JSON
_ROW = re.compile(rb"<((?:\w+:)?row)\b([^>]*?)(?:/>|>.*?</\1>)", re.DOTALL)
_NUMBER = re.compile(rb"\br=[\"'](\d+)[\"']")
_SHARED = re.compile(rb"<(?:\w+:)?c\b[^>]*?\bt=[\"']s[\"'][^>]*>\s*<(?:\w+:)?v>\s*(\d+)\s*<")
_TEXT = re.compile(rb"<((?:\w+:)?si)\b[^>]*?(?:/>|>.*?</\1>)", re.DOTALL)
_LINK = re.compile(rb"<((?:\w+:)?hyperlink)\b([^>]*?)(?:/>|>.*?</\1>)", re.DOTALL)
_NO_LINKS = re.compile(rb"<((?:\w+:)?hyperlinks)\b[^>]*>\s*</\1>")
_RELATION = re.compile(rb"<((?:\w+:)?Relationship)\b([^>]*?)(?:/>|>.*?</\1>)", re.DOTALL)
_ATTRIBUTE = re.compile(rb"\s(?:\w+:)?(id|Id|Type|Target)=[\"']([^\"']*)[\"']")
_COMMENT = re.compile(
    rb"<((?:\w+:)?(?:comment|threadedComment))\b([^>]*?)(?:/>|>.*?</\1>)", re.DOTALL
)
_CELLS = re.compile(rb"\sref=[\"'][A-Z]+(\d+)(?::[A-Z]+(\d+))?[\"']")
_SHAPE = re.compile(rb"<((?:\w+:)?shape)\b.*?</\1>", re.DOTALL)  # the box of a comment
_SHAPE_ROW = re.compile(rb"<(?:\w+:)?Row>\s*(\d+)\s*<")  # counted from 0
_NOTES = ("/comments", "/threadedComment", "/vmlDrawing")  # ends of the types of such parts


def without(file: Path, raw: Raw, entry: File, rows: set[int], target: Path) -> None:
    """Write the file without these rows to `target`.

    Parameters
    ----------
    file
        The raw file.
    raw
        The same file, open.
    entry
        The entry of the mapping by which it was opened.
    rows
        Rows to leave out, numbered as in `raw`.
    target
        Where to write.
    """
    writers = {".parquet": _parquet, ".xlsx": _xlsx, ".json": _page}
    writers |= dict.fromkeys((".jsonl", ".ndjson"), _lines)
    writers.get(raw.suffix, _csv)(file, raw, entry, rows, target)


def cut_parquet(file: Path, drop: Callable[[pa.Table, int], list[bool]], target: Path) -> None:
    """A Parquet file without the rows that `drop` names, given a row group and its first row."""
    with pq.ParquetFile(file) as old:
        schema, group = old.schema_arrow, old.metadata.num_row_groups and old.metadata.row_group(0)
        packed = group.column(0).compression.lower() if group and group.num_columns else "snappy"
        options = {"compression": "none" if packed == "uncompressed" else packed}
        first = 0
        with pq.ParquetWriter(target, schema, **options) as new:
            for number in range(old.metadata.num_row_groups):
                table = old.read_row_group(number)
                stays = pa.array([not gone for gone in drop(table, first)], pa.bool_())
                kept = table.filter(stays)
                first += table.num_rows
                new.write_table(_without_spare(kept, schema))


def cut_records(
    file: Path,
    codec: str,
    delimiter: str,
    change: Callable[[list[str]], bool | str],
    target: Path,
    *,
    blanks: bool = True,
) -> None:
    """A text file of which `change` is asked for each record: drop it (True), keep it (False).

    A text that it gives stands in place of the record. Blank records are kept. Without `blanks`
    those at the beginning of a cell are no part of it.
    """
    held: list[bytes] = []

    def texts() -> Iterator[str]:
        for number, (piece, text) in enumerate(_pieces(file, codec)):
            held.append(piece)
            yield text if number else text.removeprefix("\ufeff")

    with target.open("wb") as new:
        for record in csv.reader(texts(), delimiter=delimiter, skipinitialspace=not blanks):
            whole = b"".join(held)
            held.clear()
            made = change(record) if record else False
            if made is not True:
                new.write(made.encode(codec) if made else whole)


def _csv(file: Path, raw: Raw, entry: File, rows: set[int], target: Path) -> None:
    row = 0

    def change(record: list[str]) -> bool:
        nonlocal row
        if row == 0:  # blank lines and rows of empty cells may stand above the header
            row = raw.header if any(record) else 0
            return False
        row += 1
        return row in rows

    cut_records(file, codec_of(file, raw.encoding), entry.delimiter, change, target)


def _lines(file: Path, raw: Raw, entry: File, rows: set[int], target: Path) -> None:
    pieces = _pieces(file, codec_of(file, raw.encoding))
    with target.open("wb") as new:
        new.writelines(piece for row, (piece, _) in enumerate(pieces, 1) if row not in rows)


def _pieces(file: Path, codec: str) -> Iterator[tuple[bytes, str]]:
    """Each line of a text file with its end, as bytes and as text; a mark is part of the first."""
    if codec.startswith(("utf-16", "utf-32")):  # a byte of a character may look like a line end
        with file.open("rb") as start:
            is_big = start.read(2) in (b"\xfe\xff", b"\0\0")
        wide = codec if codec.endswith("e") else f"{codec}-{'be' if is_big else 'le'}"
        with file.open(encoding=wide, newline="") as lines:
            yield from ((text.encode(wide), text) for text in lines)
        return
    with file.open("rb") as lines:
        for line in lines:
            yield from ((piece, piece.decode(codec)) for piece in line.splitlines(keepends=True))


# --- API pages


def _page(file: Path, raw: Raw, entry: File, rows: set[int], target: Path) -> None:
    codec = codec_of(file, raw.encoding)
    text = file.read_bytes().decode(codec)
    at = _list_at(text, 1 if text.startswith("\ufeff") else 0, entry.records)
    spans = list(_spans(text, at))
    kept = [i for i in range(len(spans)) if i + 1 not in rows]
    made = [text[: spans[0][0]]]
    for i in kept:
        made.append(text[spans[i - 1][1] : spans[i][0]] if i != kept[0] else "")
        made.append(text[slice(*spans[i])])
    target.write_bytes("".join([*made, text[spans[-1][1] :]]).encode(codec))


def _list_at(text: str, at: int, records: str | None) -> int:
    """Where the list of records begins."""
    at = _SPACE.match(text, at).end()
    for wanted in records.split(".") if records else ():
        for key, start, _ in _members(text, at):
            if key == wanted:
                at = start
                break
    return at


def _members(text: str, at: int) -> Iterator[tuple[str, int, int]]:
    """Key, begin and end of each value of an object."""
    read = json.JSONDecoder().raw_decode
    at = _SPACE.match(text, at + 1).end()
    while text[at] != "}":
        key, end = read(text, at)
        start = _SPACE.match(text, end).end()
        end = read(text, start)[1]
        yield key, start, end
        at = _SPACE.match(text, end).end()


def _spans(text: str, at: int) -> Iterator[tuple[int, int]]:
    """Begin and end of each value of a list."""
    read = json.JSONDecoder().raw_decode
    at = _SPACE.match(text, at + 1).end()
    while text[at] != "]":
        end = read(text, at)[1]
        yield at, end
        at = _SPACE.match(text, end).end()


# --- Parquet


def _parquet(file: Path, raw: Raw, entry: File, rows: set[int], target: Path) -> None:
    def drop(table: pa.Table, first: int) -> list[bool]:
        return [first + i + 1 in rows for i in range(table.num_rows)]

    cut_parquet(file, drop, target)


def _without_spare(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with dictionaries of only those values that its rows have."""
    for i, field in enumerate(schema):
        if pa.types.is_dictionary(field.type):
            plain = table.column(i).cast(field.type.value_type)
            table = table.set_column(i, field, plain.dictionary_encode().cast(field.type))
    return table


# --- workbooks


def _xlsx(file: Path, raw: Raw, entry: File, rows: set[int], target: Path) -> None:
    with zipfile.ZipFile(file) as book:
        part = sheet_part(file, entry.sheet)
        changed = _without_notes(book, part, rows)
        changed[part] = _without_rows(changed[part], rows)
        sheets = [name for name in book.namelist() if "/worksheets/" in name or name == part]
        before = _used(book.read(name) for name in sheets)
        after = _used(changed.get(name) or book.read(name) for name in sheets)
        for name in book.namelist():
            if name.lower().endswith("sharedstrings.xml"):
                changed[name] = _without_texts(book.read(name), before - after)
        with zipfile.ZipFile(target, "w") as new:
            for item in book.infolist():
                new.writestr(item, changed.get(item.filename, book.read(item.filename)))


def _without_rows(xml: bytes, rows: set[int]) -> bytes:
    """The XML of a sheet without these rows; the others keep their numbers."""
    row = 0

    def kept(found: re.Match) -> bytes:
        nonlocal row
        number = _NUMBER.search(found[2])
        row = int(number[1]) if number else row + 1
        if row not in rows:
            return found[0]
        return b'<%b r="%d"/>' % (found[1], row)

    return _ROW.sub(kept, xml)


def _without_notes(book: zipfile.ZipFile, part: str, rows: set[int]) -> dict[str, bytes]:
    """The sheet and the parts beside it without links and comments of the cells of these rows."""
    folder, _, name = part.rpartition("/")
    beside = f"{folder}/_rels/{name}.rels"
    sheet, gone = _without_links(book.read(part), rows)
    if beside not in book.namelist():
        return {part: sheet}
    relations = book.read(beside)
    changed = {part: sheet, beside: _without_relations(relations, gone)}
    for found in _RELATION.finditer(relations):
        about = dict(_ATTRIBUTE.findall(found[2]))
        place = urljoin(part, about[b"Target"].decode()).lstrip("/")
        if about[b"Type"].decode().endswith(_NOTES) and place in book.namelist():
            changed[place] = _without_comments(book.read(place), rows)
    return changed


def _without_links(xml: bytes, rows: set[int]) -> tuple[bytes, set[bytes]]:
    """The XML of a sheet without the links of these rows, and the ids that nothing uses now."""
    gone: set[bytes] = set()

    def kept(found: re.Match) -> bytes:
        if not _is_within(found[2], rows):
            return found[0]
        gone.update(value for _, value in _ATTRIBUTE.findall(found[2]))
        return b""

    left = _LINK.sub(kept, xml)
    used = {value for _, value in _ATTRIBUTE.findall(left)}
    return _NO_LINKS.sub(b"", left), gone - used


def _without_relations(xml: bytes, gone: set[bytes]) -> bytes:
    """The XML of relations without those of these ids."""
    return _RELATION.sub(
        lambda m: b"" if dict(_ATTRIBUTE.findall(m[2])).get(b"Id") in gone else m[0], xml
    )


def _without_comments(xml: bytes, rows: set[int]) -> bytes:
    """The XML of comments, or of their boxes, without those of these rows."""

    def is_of_them(shape: bytes) -> bool:
        row = _SHAPE_ROW.search(shape)
        return row is not None and int(row[1]) + 1 in rows

    left = _COMMENT.sub(lambda m: b"" if _is_within(m[2], rows) else m[0], xml)
    return _SHAPE.sub(lambda m: b"" if is_of_them(m[0]) else m[0], left)


def _is_within(attributes: bytes, rows: set[int]) -> bool:
    """Whether all cells that an element is about stand in these rows."""
    cells = _CELLS.search(attributes)
    if cells is None:
        return False
    return all(row in rows for row in range(int(cells[1]), int(cells[2] or cells[1]) + 1))


def _used(sheets: Iterator[bytes]) -> set[int]:
    """Places of the shared texts that some cell shows."""
    return {int(place) for xml in sheets for place in _SHARED.findall(xml)}


def _without_texts(xml: bytes, places: set[int]) -> bytes:
    place = -1

    def kept(found: re.Match) -> bytes:
        nonlocal place
        place += 1
        return b"<%b><t></t></%b>" % (found[1], found[1]) if place in places else found[0]

    return _TEXT.sub(kept, xml)
