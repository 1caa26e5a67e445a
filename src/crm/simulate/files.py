"""The files of the demo's systems, written batch by batch: the same bytes on any machine.

No file is compressed, since compressors differ between versions, and none holds a clock.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from datetime import datetime, time
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import pyarrow as pa
import pyarrow.parquet as pq
import xlsxwriter

from crm.simulate.world import END

TYPES = {"text": pa.string(), "int": pa.int32(), "time": pa.timestamp("ms"), "day": pa.date32(),
         "long": pa.int64(), "bool": pa.bool_(), "float": pa.float64()}  # fmt: skip


class Folder:
    """Files of one folder that grow batch by batch; use it as a context manager."""

    def __init__(self, path: Path):
        self.path = path
        self._open: dict[str, object] = {}
        path.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *failure) -> None:
        for name, file in self._open.items():
            if name.endswith(".json"):
                file.write("\n]}}\n")
            file.close()

    def csv(self, name: str, head: str, rows: Iterable, *, encoding: str = "utf-8") -> None:
        """Append rows to a CSV file; the first call writes its head."""
        file = self._open.get(name)
        if file is None:
            file = self._text(name, encoding)
            csv.writer(file, lineterminator="\r\n").writerow(head.split())
        csv.writer(file, lineterminator="\r\n").writerows(rows)

    def jsonl(self, name: str, records: Iterable[dict]) -> None:
        """Append one JSON object a line."""
        file = self._open.get(name) or self._text(name, "utf-8")
        file.writelines(_json(record) + "\n" for record in records)

    def page(self, name: str, records: Iterable[dict]) -> None:
        """Append to the stored page of an API: the list `data.items`."""
        file, between = self._open.get(name), ",\n"
        if file is None:
            file, between = self._text(name, "utf-8"), "\n"
            file.write('{"code": 0, "msg": "success", "data": {"items": [')
        for record in records:
            file.write(between + _json(record))
            between = ",\n"

    def parquet(self, name: str, columns: dict[str, str], rows: Sequence[tuple]) -> None:
        """Append one row group; `columns` says the type of each."""
        schema = pa.schema([(column, TYPES[kind]) for column, kind in columns.items()])
        file = self._open.get(name)
        if file is None:
            options = {"compression": "none", "store_schema": False}
            file = self._open[name] = pq.ParquetWriter(self.path / name, schema, **options)
        values = list(zip(*rows, strict=True)) or [()] * len(schema)
        arrays = [_array(v, field.type) for v, field in zip(values, schema, strict=True)]
        file.write_table(pa.Table.from_arrays(arrays, schema=schema))

    def _text(self, name: str, encoding: str):
        file = (self.path / name).open("w", encoding=encoding, newline="")
        self._open[name] = file
        return file


def _array(values: tuple, kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(kind):  # milliseconds since 1970
        return pa.array(values, pa.int64()).cast(kind)
    return pa.array(values, kind)


def _json(record: dict) -> str:
    return json.dumps(record, ensure_ascii=False)


def write_json(path: Path, record: dict) -> None:
    """One JSON document, as people read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, ensure_ascii=False, indent=1) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")


def write_xlsx(path: Path, sheet: str, head: str, rows: Iterable[Sequence]) -> None:
    """A workbook, then packed anew: uncompressed and without the time of writing."""
    packed = io.BytesIO()
    options = {"in_memory": True, "default_date_format": "yyyy-mm-dd hh:mm:ss",
               "strings_to_formulas": False, "strings_to_urls": False}  # fmt: skip
    with xlsxwriter.Workbook(packed, options) as book:
        book.set_properties({"created": datetime.combine(END, time(23))})
        page = book.add_worksheet(sheet)
        for number, row in enumerate([head.split(), *rows]):
            page.write_row(number, 0, row)
    with ZipFile(packed) as book, ZipFile(path, "w") as plain:
        for name in book.namelist():
            entry = ZipInfo(name)  # stored, dated 1980
            entry.create_system = 3  # else it names the operating system
            plain.writestr(entry, book.read(name))
