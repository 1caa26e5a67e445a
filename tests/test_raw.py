"""Raw files of every kind and encoding are read as they are, and each bad one is explained."""

from __future__ import annotations

import json
import zipfile
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st
from locked import locked

from crm import raw
from crm.mapping import Feed, File, Join, SourceError

CHINESE = "订单号,商品,城市\n1,茶壶,深圳\n2,紫砂杯,上海\n"


class Folder:
    """The raw files of one source, and what is read of them."""

    def __init__(self, path: Path):
        self.path, self.con = path, ibis.duckdb.connect()

    def write(self, name: str, content: str | bytes, encoding: str = "utf-8") -> None:
        data = content if isinstance(content, bytes) else content.encode(encoding)
        (self.path / name).write_bytes(data)

    def open(self, name: str, **options) -> raw.Raw:
        entry = File("order_lines", (name,), **options)
        return raw.open_file(self.con, entry, "shop", self.path, name)

    def rows(self, name: str, **options) -> list[tuple]:
        table = self.open(name, **options).table.order_by(raw.LINE)
        return [tuple(row.values()) for row in table.to_pyarrow().to_pylist()]

    def message(self, name: str, **options) -> str:
        with pytest.raises(SourceError) as error:
            opened = self.open(name, **options)
            raise SourceError(*raw.broken_rows(self.con, opened))
        (problem,) = error.value.problems
        text = str(problem)
        assert text.startswith(f"data/raw/shop/{name}"), text
        assert "; expected " in text
        return text.removeprefix(f"data/raw/shop/{name}")


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def book(path: Path, fill, **options) -> None:
    with xlsxwriter.Workbook(path, options) as made:
        fill(made)


def sheet(path: Path, rows: list[list], **cells) -> None:
    """A workbook with one sheet; further cells by reference."""

    def fill(made):
        page = made.add_worksheet("Orders")
        for i, row in enumerate(rows):
            page.write_row(i, 0, row)
        for place, value in cells.items():
            page.write(place, value)

    book(path, fill)


# --- which files


def test_a_pattern_finds_all_files_that_fit_in_order_of_name(folder):
    for name in ("web_02.csv", "web_01.csv", "store.csv", "~$web_03.csv", ".web_04.csv"):
        folder.write(name, "a\n1\n")
    entry = File("order_lines", ("none_*.csv", "*web_??.csv", "store.csv"))
    assert raw.find(entry, "shop", folder.path) == ["web_01.csv", "web_02.csv"]


def test_brackets_in_a_name_are_plain_characters(folder):
    folder.write("orders [1].csv", "a\n1\n")
    for pattern in ("orders [1].csv", "orders [?].csv"):
        assert raw.find(File("order_lines", (pattern,)), "shop", folder.path) == ["orders [1].csv"]


@pytest.mark.parametrize("pattern", ["../x.csv", "../*.csv", "/etc/host*"])
def test_a_pattern_never_leaves_the_folder(tmp_path, pattern):
    (tmp_path / "x.csv").write_text("a\n1\n")
    (tmp_path / "raw").mkdir()
    with pytest.raises(SourceError, match="the file is not there"):
        raw.find(File("order_lines", (pattern,)), "shop", tmp_path / "raw")


# --- encodings


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("gb18030", "gb18030"),
        ("gbk", "gb18030"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("utf-32", "utf-32"),
    ],
)
def test_the_encoding_of_a_chinese_file_is_found_and_said(folder, encoding, said):
    folder.write("a.csv", CHINESE, encoding)
    assert folder.open("a.csv").encoding == said
    assert folder.rows("a.csv") == [(2, "1", "茶壶", "深圳"), (3, "2", "紫砂杯", "上海")]


@pytest.mark.parametrize(
    ("text", "encoding", "said"),
    [
        ("訂單號,商品\n1,茶壺\n2,臺北市信義區\n", "big5", "big5"),
        ("注文番号,商品\n1,急須セット\n2,東京都\n", "shift_jis", "shift_jis"),
        ("commande,article\n1,Théière émaillée\n2,Garçon\n", "cp1252", "cp1252"),
        ("Nr,Artikel\n1,Müller\n", "cp1252", "cp1252"),
        ("no,price\n1,£5 – “new”\n", "cp1252", "cp1252"),
        ("a,b\n1,王芳\n", "gb18030", "gb18030"),
        ("a,b\n1,茶壶\n", "gb18030", "gb18030"),
        ("a,b\n1,男\n", "gb18030", "gb18030"),
        ("заказ,город\n1,москва\n2,новосибирск\n3,санкт-петербург\n", "cp1251", "cp1251"),
    ],
)
def test_few_characters_are_enough_to_tell_an_encoding(folder, text, encoding, said):
    folder.write("a.csv", text, encoding)
    assert folder.open("a.csv").encoding == said
    assert folder.rows("a.csv")[0][1:] == tuple(text.splitlines()[1].split(","))


def test_what_is_far_down_in_a_file_decides_its_encoding(folder):
    lines = ["id,city", *(f"{i},nowhere" for i in range(200_000)), "x,广州", ""]
    folder.write("a.csv", "\n".join(lines), "gb18030")
    opened = folder.open("a.csv")
    assert opened.encoding == "gb18030"
    last = opened.table.filter(opened.table["id"] == "x").to_pyarrow().to_pylist()
    assert last == [{raw.LINE: 200_002, "id": "x", "city": "广州"}]


def test_names_in_any_script_survive(folder):
    folder.write("a.csv", "name\n😀 حسن\n𠮷野\n")
    assert folder.rows("a.csv") == [(2, "😀 حسن"), (3, "𠮷野")]


def test_a_declared_encoding_takes_in_what_its_programs_write(folder):
    folder.write("a.csv", "名\n镕\n", "gbk")  # no character of GB 2312
    assert folder.rows("a.csv", encoding="gb2312") == [(2, "镕")]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_line_ends_of_all_systems_are_read(folder, ends):
    folder.write("a.csv", f"a,b{ends}1,x{ends}2,y{ends}")
    assert folder.rows("a.csv") == [(2, "1", "x"), (3, "2", "y")]


def test_line_ends_of_several_kinds_in_one_file_are_read(folder):
    folder.write("a.csv", 'a,b\r\n1,"x\r\ny"\n2,z\r3,\r\n')
    assert folder.rows("a.csv") == [(2, "1", "x\ny"), (3, "2", "z"), (4, "3", None)]
    text = "a,b\r\n" + "1,2\r\n" * 400_000  # a line end is cut by the blocks of reading
    folder.write("b.csv", text + "1,2\n")
    assert folder.open("b.csv").table.count().execute() == 400_001


def test_a_wrong_declared_encoding_is_named_with_what_it_looks_like(folder):
    folder.write("a.csv", CHINESE, "gb18030")
    assert folder.message("a.csv", encoding="utf-8") == (
        ", row 1: bytes that are not utf-8; expected the encoding that the mapping declares; "
        "write the right `encoding` for the file in data/sources/shop/mapping.yaml, such as "
        "utf-8, gb18030 (Chinese Excel) or latin-1; it looks like gb18030"
    )


@pytest.mark.parametrize(
    ("written", "declared"),
    [
        ("gb18030", "latin-1"),
        ("utf-8", "latin-1"),
        ("utf-8", "gb18030"),
        ("utf-8", "utf-16"),
        ("utf-16", "gb18030"),
        ("utf-8-sig", "gb18030"),
    ],
)
def test_a_declared_encoding_that_would_give_rubbish_is_refused(folder, written, declared):
    folder.write("a.csv", CHINESE, written)
    message = folder.message("a.csv", encoding=declared)
    looks = written.removesuffix("-sig")
    assert f": bytes that look like {looks}, not {declared}; expected" in message
    assert f"write `encoding: {looks}` in data/sources/shop/mapping.yaml, or leave" in message


def test_an_encoding_that_is_none_is_refused(folder):
    folder.write("a.csv", "a\n1\n")
    for name in ("zlib", "rot13", "no-such"):
        assert f"no text encoding '{name}'" in folder.message("a.csv", encoding=name)


def test_one_broken_character_in_a_long_file_is_named_with_its_row(folder):
    good = "".join(f"{i},茶壶\n" for i in range(100_000))
    for encoding in ("utf-8", "gb18030"):
        data = f"id,商品\n{good}".encode(encoding) + b"1,\xff\xff\n" + good.encode(encoding)
        folder.write("a.csv", data)
        message = folder.message("a.csv")
        assert f", row 100002: bytes that are not {encoding}; expected whole" in message


def test_a_file_cut_within_a_character_is_named(folder):
    folder.write("a.csv", f"{CHINESE}3,茶".encode()[:-1])
    assert ", row 4: bytes that are not utf-8" in folder.message("a.csv")


# --- bad text


def test_nul_bytes_are_named(folder):
    folder.write("a.csv", b"a,b\n1,2\n" + b"\0" * 10 + b"\n" + b"1,2\n" * 100)
    assert folder.message("a.csv").startswith(", row 3: a NUL byte (00); expected text;")


def test_a_line_of_200_mb_ends_in_a_message(folder):
    for start in (b"", b"a,b\n1,"):
        with (folder.path / "a.csv").open("wb") as file:
            file.write(start)
            for _ in range(200):
                file.write(b"x" * 1_000_000)
        message = folder.message("a.csv")
        assert f"row {start.count(10) + 1}: a line of more than 500,000 characters" in message


def test_ten_thousand_columns_end_in_a_message(folder):
    names = [f"c{i}" for i in range(10_000)]
    folder.write("a.csv", ",".join(names) + "\n" + ",".join("1" * 10_000) + "\n")
    folder.write("a.jsonl", json.dumps(dict.fromkeys(names, 1)) + "\n")
    pq.write_table(pa.table({name: [1] for name in names}), folder.path / "a.parquet")
    sheet(folder.path / "a.xlsx", [names, [1] * 10_000])
    for suffix in ("csv", "jsonl", "parquet", "xlsx"):
        message = folder.message(f"a.{suffix}")
        assert "10,000 columns; expected at most 2,000" in message or "2,000 different" in message


@pytest.mark.parametrize("rows", [3, 60_000])
def test_a_quote_that_is_never_closed_is_named(folder, rows):
    folder.write("a.csv", 'a,b\n1,2\n1,"x\n' + "1,some more text that follows\n" * rows)
    message = folder.message("a.csv")
    assert "row 3" in message
    assert "a double quote that is not closed" in message


def test_a_quote_that_is_not_closed_in_the_header_is_named(folder):
    folder.write("a.csv", 'a,"b\n' + "1,2\n" * 100_000)
    assert "a cell of more than 131,072 characters" in folder.message("a.csv")


def test_ragged_rows_are_counted_and_the_first_is_named(folder):
    folder.write("a.csv", "a,b\n1,2\n" + "1,2,3\n" * 12)
    assert folder.message("a.csv").startswith(", row 3: 3 cells; expected 2, as in the header")
    assert "(12 rows like it)" in folder.message("a.csv")


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"PK\x03\x04", "a zip file or a workbook"),
        (b"PAR1", "a Parquet file"),
        (b"\xd0\xcf\x11\xe0", "an old workbook"),
        (b"\x1f\x8b\x08", "a file packed with gzip"),
    ],
)
def test_a_file_of_another_kind_with_the_ending_of_text_is_named(folder, start, kind):
    folder.write("a.csv", start + bytes(100))
    assert f": it is {kind}" in folder.message("a.csv")


def test_sql_in_a_column_name_is_a_name(folder):
    name = "a\"; drop table x; --'"
    folder.write("a.csv", 'b,"a""; drop table x; --\'"\n1,2\n')
    folder.write("a.jsonl", json.dumps({"b": "1", name: "2"}) + "\n")
    assert folder.open("a.csv").columns == folder.open("a.jsonl").columns == ("b", name)
    assert folder.rows("a.csv") == [(2, "1", "2")]
    assert folder.rows("a.jsonl") == [(1, "1", "2")]


# --- .xlsx


def test_the_first_sheet_that_is_shown_is_read_and_a_hidden_one_by_its_name(folder):
    def fill(made):
        hidden, shown = made.add_worksheet("Old"), made.add_worksheet("New")
        hidden.hide()
        shown.activate()
        for page, value in ((hidden, "old"), (shown, "new")):
            page.write_column(0, 0, ["a", value])

    book(folder.path / "a.xlsx", fill)
    assert folder.rows("a.xlsx") == [(2, "new")]
    assert folder.rows("a.xlsx", sheet="Old") == [(2, "old")]


def test_merged_cells_in_the_table_are_named(folder):
    def fill(made):
        page = made.add_worksheet()
        page.merge_range("A1:C1", "Report of May")
        page.write_row("A2", ["a", "b", "c"])
        page.merge_range("B3:B5", "red")
        page.write_column("A3", [1, 2, 3])
        page.merge_range("A9:C9", "")

    book(folder.path / "a.xlsx", fill)
    rows = "Report of May"
    message = folder.message("a.xlsx", feeds=(Feed("order_id", rows),))
    assert f", column '{rows}', row 1: cells A1:C1 are merged into one; expected a" in message


def test_merged_cells_in_a_column_that_is_not_used_do_no_harm(folder):
    def fill(made):
        page = made.add_worksheet()
        page.write_row("B2", ["a", "b"])
        page.merge_range("C3:C4", "red")
        page.write_column("B3", [1, 2])

    book(folder.path / "a.xlsx", fill)
    assert folder.rows("a.xlsx", feeds=(Feed("order_id", "a"),)) == [
        (3, "1", "red"),
        (4, "2", None),
    ]
    message = folder.message("a.xlsx", feeds=(Feed("order_id", "b"),))
    assert ", column 'b', row 3: cells C3:C4 are merged" in message


def test_error_cells_and_formulas_without_a_value_are_named(folder):
    def fill(made):
        page = made.add_worksheet()
        page.write_row("A1", ["a", "b", "c", "d"])
        for row in range(2, 5):
            page.write_row(f"A{row}", [row, 1])
        page.write_formula("B3", "=1/0", None, "#DIV/0!")
        page.write_formula("B4", "=Old!A1", None, "#REF!")
        page.write_formula("C3", "=A1", None, "")
        page.write_formula("D3", "=A2", None, 2)

    book(folder.path / "a.xlsx", fill)
    used = {name: (Feed("order_id", name),) for name in "abcd"}
    message = folder.message("a.xlsx", feeds=used["b"])
    assert message.startswith(", column 'b', row 3: the error #DIV/0!; expected a value; mend")
    assert "(2 rows like it)" in message
    message = folder.message("a.xlsx", feeds=used["c"])
    assert ", column 'c', row 3: a formula whose value is not stored; expected" in message
    assert folder.rows("a.xlsx", feeds=used["d"])[1] == (3, "3", None, None, "2")


def test_numbers_in_a_date_column_are_named_with_the_day_they_may_be(folder):
    sheet(folder.path / "a.xlsx", [["id", "at", "n"], [1, 45296, 45296]])
    feeds = (Feed("ordered_at", "at"), Feed("quantity", "n"))
    assert folder.message("a.xlsx", feeds=feeds) == (
        ", column 'at', row 2: the number 45296 where ordered_at asks for a date; expected cells "
        "with the format of a date; if it counts days it is 2024-01-05: give the column a date "
        "format and save"
    )
    feeds = (Feed("order_id", "at"), Feed("quantity", "n"))
    assert folder.rows("a.xlsx", feeds=feeds) == [(2, "1", "45296", "45296")]


def test_a_zip_bomb_is_refused_before_it_is_unpacked(folder):
    sheet(folder.path / "a.xlsx", [["a"], [1]])
    with zipfile.ZipFile(folder.path / "a.xlsx", "a", zipfile.ZIP_DEFLATED) as made:
        made.writestr("xl/media/x.bin", bytes(100 << 20))
    message = folder.message("a.xlsx")
    assert "100 MiB when unpacked" in message
    assert "expected at most 512 MiB, and 200 times" in message


def test_a_sheet_with_one_cell_far_away_is_refused(folder):
    sheet(folder.path / "a.xlsx", [["a"], [1]], XFD1048576="x")
    assert ": a sheet of 17,179,869,184 cells; expected at most" in folder.message("a.xlsx")


def test_a_long_text_that_many_cells_share_is_refused(folder):
    long = "x" * 30_000
    sheet(folder.path / "a.xlsx", [["a"], *[[long]] * 10_000])
    assert ": more than 256 MiB of text in a sheet" in folder.message("a.xlsx")


def test_what_is_no_workbook_of_today_is_named(folder):
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(5_000)
    folder.write("old.xlsx", ole)
    folder.write("text.xlsx", "a,b\n1,2\n")
    with zipfile.ZipFile(folder.path / "other.xlsx", "w") as made:
        made.writestr("word/document.xml", "<x/>")
    assert ": it is an old workbook (.xls), so it cannot be" in folder.message("old.xlsx")
    for name in ("text.xlsx", "other.xlsx"):
        assert ": it cannot be read as .xlsx; expected a workbook" in folder.message(name)


@pytest.mark.parametrize("size", [10_000, 3_000_000])
def test_a_workbook_under_a_password_is_named_however_large_it_is(folder, size):
    folder.write("locked.xlsx", locked(b"PK\x03\x04" + bytes(size), "secret"))
    said = folder.message("locked.xlsx")
    assert ": it is protected by a password, so it cannot be read; expected" in said
    assert "take the password off" in said


def test_an_old_file_whose_header_is_nonsense_is_a_message(folder):
    folder.write("old.xlsx", b"\xd0\xcf\x11\xe0" + b"\xff" * 600)
    assert ": it is an old workbook (.xls)" in folder.message("old.xlsx")


def test_a_damaged_part_of_a_workbook_is_a_message(folder):
    sheet(folder.path / "a.xlsx", [["a", "b"], *([i, f"text {i * 7919}"] for i in range(2_000))])
    data = bytearray((folder.path / "a.xlsx").read_bytes())
    with zipfile.ZipFile(folder.path / "a.xlsx") as made:
        start = made.getinfo("xl/worksheets/sheet1.xml").header_offset
    data[start + 200 : start + 400] = bytes(200)
    folder.write("a.xlsx", bytes(data))
    assert ": it cannot be read as .xlsx" in folder.message("a.xlsx")


# --- JSON


def test_json_lines_become_columns_of_text_with_dotted_names(folder):
    folder.write(
        "a.jsonl",
        '\ufeff{"id": 1, "who": {"key": "K1", "tags": ["a", 1.50]}, "ok": true}\n\n'
        '{"id": "x", "price": 12345678901234.0001, "who": null, "at": {}}\n{}\n',
    )
    opened = folder.open("a.jsonl")
    assert opened.columns == ("id", "who.key", "who.tags", "ok", "price", "who")
    assert folder.rows("a.jsonl") == [
        (1, "1", "K1", '["a", 1.50]', "true", None, None),
        (3, "x", None, None, None, "12345678901234.0001", None),
    ]


def test_json_lines_in_another_encoding_are_read(folder):
    folder.write("a.ndjson", '{"城市": "深圳"}\n', "gb18030")
    assert folder.rows("a.ndjson") == [(1, "深圳")]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"id": 1', "no JSON: Expecting ',' delimiter at character"),
        ('{"id": 1} {"id": 2}', "no JSON: Extra data at character 11"),
        ('{"id": 1, "id": 2}', "no JSON: a key stands twice"),
        ('{"a.b": 1, "a": {"b": 2}}', "two fields that are called 'a.b'"),
        ("[1, 2]", "a list instead of a record"),
        ("7", "a number instead of a record"),
        ('{"a": "\\ud800"}', "half a character"),
        ("[" * 100_000, "brackets nested too deeply"),
    ],
)
def test_a_broken_line_is_named_with_its_row(folder, line, found):
    folder.write("a.jsonl", '{"id": 1}\n' * 3 + line + "\n")
    assert folder.message("a.jsonl").startswith(f", row 4: {found}")


def test_names_that_differ_only_in_case_are_refused_in_json(folder):
    folder.write("a.jsonl", '{"id": 1}\n{"ID": 2}\n')
    assert "the name 'id' stands over columns 1 and 2" in folder.message("a.jsonl")


def test_json_without_records_is_explained(folder):
    folder.write("a.jsonl", "\n{}\n")
    assert "only a header and no rows" in folder.message("a.jsonl")


def test_many_chunks_of_json_lines_keep_their_rows(folder):
    lines = (json.dumps({"n": i, **({"late": i} if i > 60_000 else {})}) for i in range(70_000))
    folder.write("a.jsonl", "\n".join(lines))
    rows = folder.rows("a.jsonl")
    assert len(rows) == 70_000
    assert rows[0] == (1, "0", None)
    assert rows[-1] == (70_000, "69999", "69999")


def test_the_records_of_an_api_page_are_read(folder):
    folder.write("a.json", '{"data": {"items": [{"id": 1.50}, {"id": null}], "total": 2}}')
    assert folder.rows("a.json", records="data.items") == [(1, "1.50"), (2, None)]
    folder.write("b.json", '[{"id": 1}]')
    assert folder.rows("b.json") == [(1, "1")]


def test_a_page_whose_records_are_elsewhere_is_explained(folder):
    folder.write("a.json", '{"data": {"items": [{"id": 1}]}, "rest": [1]}')
    message = folder.message("a.json", records="data.item")
    assert ": no 'item' on the way to the records; expected 'data.item'; mend `records`" in message
    assert "did you mean 'items'?" in message
    assert "an object instead of the records" in folder.message("a.json")
    assert "lists are: rest" in folder.message("a.json")


def test_a_page_that_is_too_large_is_refused(folder):
    with (folder.path / "a.json").open("wb") as file:
        file.truncate(65 << 20)
    assert ": 65 MiB in one API page; expected at most 64 MiB" in folder.message("a.json")


# --- Parquet


def test_nested_columns_of_parquet_get_dotted_names(folder):
    table = pa.table(
        {
            "id": [1],
            "who": [{"key": "K1", "place": {"city": "深圳"}}],
            "tags": [["a", "b"]],
            "price": [Decimal("1.50")],
        }
    )
    pq.write_table(table, folder.path / "a.parquet")
    assert folder.open("a.parquet").columns == ("id", "who.key", "who.place.city", "tags", "price")
    assert folder.rows("a.parquet") == [(1, 1, "K1", "深圳", '["a","b"]', Decimal("1.50"))]


def test_a_damaged_parquet_file_is_a_message(folder):
    pq.write_table(pa.table({"a": [1, 2]}), folder.path / "a.parquet")
    whole = (folder.path / "a.parquet").read_bytes()
    folder.write("a.parquet", whole[:-20])
    assert ": it cannot be read as Parquet" in folder.message("a.parquet")


# --- two files joined


def test_the_columns_of_a_second_file_are_joined_by_its_key(folder):
    folder.write("lines.csv", "no,item,city\n1,A,x\n2,B,y\n1 ,C,z\n9,D,q\n,E,r\n")
    folder.write("orders.csv", "no,City,who\n 1,深圳,K1\n2,上海,K2\n,none,K3\n", "gb18030")
    opened = folder.open("lines.csv", join=Join("orders.csv", "no"))
    assert opened.columns == ("no", "item", "city", "who")
    assert folder.rows("lines.csv", join=Join("orders.csv", "no")) == [
        (2, "1", "A", "x", "K1"),
        (3, "2", "B", "y", "K2"),
        (4, "1 ", "C", "z", "K1"),
        (5, "9", "D", "q", None),
        (6, None, "E", "r", None),
    ]


def test_keys_are_joined_without_what_nobody_sees(folder):
    folder.write("lines.csv", "no,item\n\u200b1\u3000,A\n2\u00ad3,B\n")
    folder.write("orders.csv", "no,who\n\u20031\u200e,K1\n\ufeff2\u200d3,K2\n")
    rows = folder.rows("lines.csv", join=Join("orders.csv", "no"))
    assert [(item, who) for _, _, item, who in rows] == [("A", "K1"), ("B", "K2")]


def test_files_of_two_kinds_are_joined(folder):
    pq.write_table(pa.table({"no": [1, 2], "item": ["A", "B"]}), folder.path / "lines.parquet")
    sheet(folder.path / "orders.xlsx", [["no", "who"], [1, "K1"]])
    join = Join("orders.xlsx", "no")
    assert folder.rows("lines.parquet", join=join) == [(1, 1, "A", "K1"), (2, 2, "B", None)]


def test_a_key_that_stands_twice_in_the_joined_file_is_named(folder):
    folder.write("a.csv", "no\n1\n")
    folder.write("b.csv", "no,who\n1,x\n2,y\n1 ,z\n")
    with pytest.raises(SourceError) as error:
        folder.open("a.csv", join=Join("b.csv", "no"))
    assert str(error.value) == (
        "data/raw/shop/b.csv, column 'no', row 2: the key '1' stands again in row 4; expected "
        "each key once in a file that is joined; keep the right row, or join on another column in "
        "data/sources/shop/mapping.yaml"
    )


def test_a_missing_key_column_or_file_of_a_join_is_named(folder):
    folder.write("a.csv", "no\n1\n")
    folder.write("b.csv", "No.,who\n1,x\n")
    with pytest.raises(SourceError, match=r"b\.csv, column 'no', row 1: no column 'no', on which"):
        folder.open("a.csv", join=Join("b.csv", "no"))
    with pytest.raises(SourceError, match=r"data/raw/shop/c\.csv: the file is not there"):
        folder.open("a.csv", join=Join("c.csv", "no"))


def test_bad_rows_of_a_joined_file_are_named(folder):
    folder.write("a.csv", "no\n1\n")
    folder.write("b.csv", "no,who\n1,x\n2,y,z\n")
    with pytest.raises(SourceError, match=r"b\.csv, row 3: 3 cells; expected 2"):
        folder.open("a.csv", join=Join("b.csv", "no"))


# --- anything


@pytest.fixture(scope="module")
def heap(tmp_path_factory):
    return Folder(tmp_path_factory.mktemp("heap"))


PIECES = st.sampled_from(
    [
        *',;"\n\r\t{}[]:',
        '""',
        "a",
        "1",
        "订单",
        "\0",
        '{"a": 1}\n',
        "a,b\n",
        "PK\x03\x04",
        "\ufeff",
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    suffix=st.sampled_from(["csv", "jsonl", "json", "xlsx", "parquet"]),
    content=st.one_of(
        st.binary(min_size=1, max_size=200),
        st.builds(
            lambda pieces, encoding: "".join(pieces).encode(encoding, "replace"),
            st.lists(PIECES, min_size=1, max_size=30),
            st.sampled_from(["utf-8", "gb18030", "utf-16", "big5", "latin-1"]),
        ),
    ),
    encoding=st.sampled_from([None, "utf-8", "gb18030", "latin-1", "utf-16"]),
)
def test_any_bytes_end_in_a_table_or_in_a_message(heap, suffix, content, encoding):
    heap.write(f"a.{suffix}", content)
    raw._as_utf8.cache_clear()  # files of one instant are told apart by their time alone
    raw._json_parts.cache_clear()
    raw._sheets.cache_clear()
    try:
        opened = heap.open(f"a.{suffix}", encoding=encoding)
        if not raw.broken_rows(heap.con, opened):
            opened.table.to_pyarrow()
    except SourceError as error:
        assert all(str(problem) for problem in error.problems)


@settings(max_examples=60, deadline=None)
@given(damage=st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=4)), max_size=4))
def test_a_damaged_workbook_or_parquet_file_ends_in_a_table_or_in_a_message(heap, damage):
    rows = [["a", "b"], *([f"text {i}", i] for i in range(30))]
    sheet(heap.path / "a.xlsx", rows)
    pq.write_table(pa.table({"a": ["x", "y"], "b": [1, 2]}), heap.path / "a.parquet")
    for name in ("a.xlsx", "a.parquet"):
        data = bytearray((heap.path / name).read_bytes())
        for at, piece in damage:
            data[at % len(data) : at % len(data) + len(piece)] = piece
        heap.write(name, bytes(data))
        raw._sheets.cache_clear()
        raw._sheet.cache_clear()
        try:
            heap.open(name)  # what is damaged within a Parquet file shows where it is read
        except SourceError as error:
            assert all(str(problem) for problem in error.problems)


# --- one table


def test_dates_and_numbers_of_a_sheet_are_short_text(folder):
    def fill(made):
        page = made.add_worksheet()
        page.write_row("A1", ["at", "n"])
        page.write_datetime("A2", datetime(2024, 1, 5, 8, 26), made.add_format({"num_format": 22}))
        page.write("B2", 2.5)

    book(folder.path / "a.xlsx", fill)
    assert folder.rows("a.xlsx") == [(2, "2024-01-05 08:26:00", "2.5")]
