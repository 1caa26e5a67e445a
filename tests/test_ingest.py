"""Raw files of every kind become the same staged rows, and each bad input is explained."""

from __future__ import annotations

import json
import os
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import ibis
import pandas as pd
import pytest
import xlsxwriter
from conftest import Bench
from test_engine import TYPES, found

from crm import clean, engine, ingest, mapping
from crm.mapping import SourceError
from crm.tables import RECORDS, STRIDE, lookup

ROOT = Path(__file__).parents[1]
PUBLIC = os.environ.get("CRM_PUBLIC_DATA")

HEADING = """
title: A shop
licence: our own
register: {kind: internal, relevance: sales, reliability: high, timeliness: daily}
"""
HEAD = "Order,Item,Units,Price,Date,Who"
ROWS = [
    "1001,A1,2,2.55,2024-01-05 08:26,17850",
    "1001,B2,1,3.39,2024-01-05 08:26,17850",
    "C1002,A1,-2,2.55,2024-01-06 09:00,",
]
COLUMNS = {
    "order_id": "Order",
    "product_id": "Item",
    "quantity": "Units",
    "unit_price": "Price",
    "ordered_at": "Date",
    "customer_key": "Who",
    "kind": "{column: Order, starts_with: {C: return}, default: sale}",
}


class Shop:
    """A source in a temporary folder, written file by file."""

    def __init__(self, root: Path):
        self.con = ibis.duckdb.connect()
        self.raw = root / "data" / "raw" / "shop"
        self.path = root / "data" / "sources" / "shop" / "mapping.yaml"
        for folder in (self.raw, self.path.parent):
            folder.mkdir(parents=True)
        self.entries = self.extra = ""

    def csv(self, *lines: str, file: str = "orders.csv", encoding: str = "utf-8") -> None:
        (self.raw / file).write_bytes("\n".join((*lines, "")).encode(encoding))

    def map(self, file="orders.csv", *, table="order_lines", options="", base=COLUMNS, **columns):
        fed = {field: column for field, column in {**base, **columns}.items() if column}
        lines = "".join(f"      {field}: {column}\n" for field, column in fed.items())
        keep = "    duplicates: keep\n" if table == "order_lines" else ""
        self.entries += (
            f"  - table: {table}\n    path: {file}\n{keep}{options}    columns:\n{lines}"
        )
        self.path.write_text(f"{HEADING}{self.extra}files:\n{self.entries}", encoding="utf-8")

    @property
    def mapping(self) -> mapping.Mapping:
        return mapping.load(self.path)

    def problems(self, **options) -> list[str]:
        return [str(p) for p in ingest.problems(self.con, self.mapping, self.raw, **options)]

    def read(self, **options) -> ingest.Reading:
        return ingest.read(self.con, self.mapping, self.raw, **options)

    def unread(self, **options) -> list[tuple]:
        cells = ingest.unread(self.con, self.read(**options))
        rows = cells.select(*lookup("staged/unread").names).to_pyarrow().to_pylist()
        return sorted(tuple(row.values()) for row in rows)

    def staged(self, table: str = "order_lines") -> pd.DataFrame:
        tables = ingest.open_source(self.con, self.mapping, self.raw)
        return tables[table].order_by("line").to_pandas()


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


def write_sheet(
    path: Path, *, sheet: str = "Orders", rows: list[list], date_column: int | None = 4
):
    with xlsxwriter.Workbook(path, {"default_date_format": "yyyy-mm-dd hh:mm"}) as book:
        page = book.add_worksheet(sheet)
        for i, row in enumerate(rows):
            for j, value in enumerate(row):
                if i and j == date_column and isinstance(value, datetime):
                    page.write_datetime(i, j, value)
                elif value is not None:
                    page.write(i, j, value)


# --- good files


def test_a_csv_file_is_staged_in_the_columns_and_types_of_the_schema(shop):
    shop.csv(HEAD, *ROWS)
    shop.map()
    lines = ingest.open_source(shop.con, shop.mapping, shop.raw)["order_lines"]
    assert list(lines.columns) == lookup("staged/order_lines").names
    assert lines.schema()["unit_price"] == ibis.dtype("decimal(18, 4)")
    assert lines.schema()["ordered_at"] == ibis.dtype("timestamp(6)")
    frame = lines.order_by("line").to_pandas()
    assert frame["line"].tolist() == [2, 3, 4]  # the header is row 1
    assert frame["kind"].tolist() == ["sale", "sale", "return"]
    assert frame["unit_price"].tolist() == [
        Decimal("2.5500"),
        Decimal("3.3900"),
        Decimal("2.5500"),
    ]
    assert frame["ordered_at"][2] == pd.Timestamp("2024-01-06 09:00")
    assert frame["customer_key"].isna().tolist() == [False, False, True]
    assert set(frame["source"]) == {"shop"}


def test_csv_xlsx_and_parquet_give_the_same_rows(shop):
    shop.csv(HEAD, *ROWS)
    cells = [row.split(",") for row in ROWS]
    typed = [
        [
            c[0],
            c[1],
            int(c[2]),
            float(c[3]),
            datetime.fromisoformat(c[4]),
            float(c[5]) if c[5] else None,
        ]
        for c in cells
    ]
    typed[0][0] = typed[1][0] = 1001.0  # a sheet holds numbers where it can
    write_sheet(shop.raw / "orders.xlsx", rows=[HEAD.split(","), *typed])
    frame = pd.DataFrame(typed, columns=HEAD.split(",")).astype({"Order": str})
    frame["Order"] = frame["Order"].str.removesuffix(".0")
    frame.to_parquet(shop.raw / "orders.parquet")
    staged = []
    for file in ("orders.csv", "orders.xlsx", "orders.parquet"):
        shop.entries = ""
        shop.map(file)
        assert shop.problems() == []
        staged.append(shop.staged())
    pd.testing.assert_frame_equal(staged[0], staged[1])
    assert staged[2]["line"].tolist() == [1, 2, 3]  # Parquet has no header row
    pd.testing.assert_frame_equal(staged[0].drop(columns="line"), staged[2].drop(columns="line"))


def test_the_first_file_that_is_there_is_read(shop):
    shop.csv(HEAD, *ROWS, file="second.csv")
    shop.map("[first.csv, second.csv]")
    assert len(shop.staged()) == 3


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("is_declared", [True, False], ids=["declared", "found"])
def test_chinese_text_is_read_in_its_encoding(shop, encoding, is_declared):
    shop.csv("订单号,商品,数量,单价,时间", "1,茶壶,2,15.00,2024年1月5日", encoding=encoding)
    shop.map(
        base={},
        options=f"    encoding: {encoding}\n" if is_declared else "",
        order_id="订单号",
        product_id="商品",
        quantity="数量",
        unit_price="单价",
        ordered_at='{column: 时间, format: "%Y年%m月%d日"}',
    )
    assert shop.problems() == []
    frame = shop.staged()
    assert frame["product_id"].tolist() == ["茶壶"]
    assert frame["ordered_at"].tolist() == [pd.Timestamp("2024-01-05")]
    assert frame["kind"].tolist() == ["sale"]


def test_numbers_dates_and_codes_are_converted_as_the_mapping_says(shop):
    shop.csv(
        "Order;Item;Units;Price;Date;T;Sex",
        "7;  A1 ;1.200,5;15,000;01/02/2024;X9; 男",
        "7;B2;3;99;2024-02-03;9;",
    )
    shop.map(
        base={},
        options='    delimiter: ";"\n',
        order_id="Order",
        product_id="Item",
        quantity='{column: Units, thousands: ".", decimal: ","}',
        unit_price='{column: Price, thousands: ",", unit: cent}',
        ordered_at='{column: Date, format: ["%d/%m/%Y", "%Y-%m-%d"]}',
        kind="{column: T, starts_with: {X: return, X9: test}, default: sale}",
        category="{column: Sex, codes: {男: men}, default: all}",
        channel="{value: web}",
    )
    assert shop.problems() == []
    frame = shop.staged()
    assert frame["product_id"].tolist() == ["A1", "B2"]
    assert frame["quantity"].tolist() == [Decimal("1200.5"), Decimal(3)]
    assert frame["unit_price"].tolist() == [Decimal(150), Decimal("0.99")]
    assert frame["ordered_at"].dt.strftime("%m-%d").tolist() == ["02-01", "02-03"]
    assert frame["kind"].tolist() == ["test", "sale"]  # the longest start decides
    assert frame["category"].tolist() == ["men", "all"]
    assert frame["channel"].tolist() == ["web", "web"]


def test_money_from_text_never_passes_through_a_binary_number(shop):
    shop.csv(HEAD, "1,A,1,12345678901234.0001,2024-01-05,x", "1,A,1,0.00005,2024-01-05,x")
    shop.map()
    prices = shop.staged()["unit_price"].tolist()
    assert prices == [Decimal("12345678901234.0001"), Decimal("0.0001")]


def test_blank_cells_are_empty_and_no_problem(shop):
    shop.csv(HEAD, "1,A, ,,,\u3000")
    shop.map()
    frame = shop.staged()
    assert frame[["quantity", "unit_price", "ordered_at", "customer_key"]].isna().all().all()


def test_words_for_nothing_are_empty_keys_and_neither_unread_nor_a_problem(shop):
    shop.csv(HEAD, *(f"{i},A,1,1,2024-01-05,{word}" for i, word in enumerate(
        ["NULL", "n/a", "-", "\u65e0", "nul\u200bl", "NULL1", "NA", "K\u200b1"], 1
    )))  # fmt: skip
    shop.map()
    frame = shop.staged()
    assert frame["customer_key"].isna().tolist() == [True] * 5 + [False] * 3
    assert frame["customer_key"].tolist()[5:] == ["NULL1", "NA", "K1"]
    assert frame["order_id"].tolist() == [str(i) for i in range(1, 9)]


def test_rows_without_any_value_are_left_out_and_lines_stay_right(shop):
    shop.csv(HEAD, ROWS[0], ",,,,,", ROWS[1])
    shop.map()
    assert shop.staged()["line"].tolist() == [2, 4]


def test_parquet_numbers_become_ids_and_money_as_they_are_read(shop):
    pd.DataFrame(
        {
            "Order": [1001, 1002],
            "Item": [7.0, 7.5],
            "Units": [2.0, float("nan")],
            "Price": [0.1 + 0.2, 3.39],
            "Date": pd.to_datetime(["2024-01-05", "2024-01-06"]),
            "Who": [17850.0, None],
        }
    ).to_parquet(shop.raw / "orders.parquet")
    shop.map("orders.parquet")
    frame = shop.staged()
    assert frame["order_id"].tolist() == ["1001", "1002"]
    assert frame["product_id"].tolist() == ["7", "7.5"]
    assert frame["customer_key"].tolist()[0] == "17850"
    assert frame["unit_price"].tolist() == [Decimal("0.3"), Decimal("3.39")]
    assert frame[["quantity", "customer_key"]].iloc[1].isna().all()


def test_times_with_a_zone_are_refused(shop):
    shop.csv(HEAD, ROWS[0])
    frame = pd.read_csv(shop.raw / "orders.csv", parse_dates=["Date"])
    frame.assign(Date=frame["Date"].dt.tz_localize("UTC")).to_parquet(shop.raw / "orders.parquet")
    shop.map("orders.parquet")
    (message,) = shop.problems()
    assert "column 'Date': times with a time zone; expected local business time" in message


def test_odd_headers_and_line_ends_are_read(shop):
    head = """ Or'der ,"It""em","Un{its}","Price \n per unit",Date;x,"""
    (shop.raw / "orders.csv").write_bytes(f"\r\n{head}\r\n1,A,2,3,2024-01-05,\r\n".encode())
    shop.map(base={}, order_id='"Or\'der"', product_id="'It\"em'", quantity='"Un{its}"',
             unit_price="Price per unit", ordered_at="Date;x")  # fmt: skip
    assert shop.problems() == []
    assert shop.staged()[["line", "product_id"]].values.tolist() == [[3, "A"]]


def test_rows_are_those_of_the_file_below_a_blank_first_line(shop):
    shop.csv("", HEAD, ROWS[0], "1,A,x,2,2024-01-05,", ROWS[1] + ",1")
    shop.map()
    assert "orders.csv, row 5: 7 cells" in one_problem(shop)
    shop.csv("", HEAD, ROWS[0], "1,A,x,2,2024-01-05,")
    assert "column 'Units', row 4: 'x' is not a number" in one_problem(shop)


def test_cells_with_delimiters_quotes_and_line_breaks_are_whole(shop):
    shop.csv(HEAD, '1,"A ""1"", red\nand blue",1,2,2024-01-05,x', ROWS[0])
    shop.map()
    frame = shop.staged()
    assert frame["product_id"].tolist() == ['A "1", red\nand blue', "A1"]
    assert frame["line"].tolist() == [2, 3]  # records, as a spreadsheet counts them


def test_rows_are_not_counted_where_their_order_is_not_kept(shop):
    shop.csv(HEAD, *ROWS)
    shop.map()
    shop.con.raw_sql("set preserve_insertion_order = false")
    with pytest.raises(ValueError, match="preserve_insertion_order is off"):
        shop.problems()


def test_the_fields_of_a_source_are_listed_and_personal_ones_go_to_the_vault(shop):
    add_people(shop, "K1,2023-05-01,a,,男")
    listed = ingest.listing(shop.read()).set_index(["table", "field"])
    assert listed.loc[("order_lines", "quantity"), "column"] == "Units"
    assert listed.loc[("customers", "phone"), "goes_to"] == "vault, encrypted"
    assert listed.loc[("customers", "gender"), "goes_to"] == "analysis"


def test_facts_count_lines_and_days(shop):
    shop.csv(HEAD, *ROWS)
    shop.map()
    lines = ingest.open_source(shop.con, shop.mapping, shop.raw)["order_lines"]
    row = ingest.facts(lines).to_pandas().iloc[0]
    assert row[["lines", "unknown_lines", "return_lines"]].tolist() == [3, 1, 1]


def test_several_files_feed_one_table_and_lines_stay_unique(shop):
    shop.csv(HEAD, *ROWS)
    shop.csv("No,Art,N,P,D", "S1,A1,1,2,2024-03-01", file="store.csv")
    shop.map(channel="{value: web}")
    shop.map(
        "store.csv",
        base={},
        order_id="No",
        product_id="Art",
        quantity="N",
        unit_price="P",
        ordered_at="D",
        channel="{value: store}",
    )
    frame = shop.staged()
    assert frame["line"].tolist() == [2, 3, 4, STRIDE + 2]
    assert frame["channel"].tolist() == ["web", "web", "web", "store"]


def test_tables_that_no_file_feeds_are_empty_with_the_right_columns(shop):
    shop.csv(HEAD, *ROWS)
    shop.map()
    tables = ingest.open_source(shop.con, shop.mapping, shop.raw)
    assert set(tables) == {"order_lines", "customers", "products", *RECORDS}
    for name in {*tables} - {"order_lines"}:
        schema = tables[name].schema()
        assert list(schema) == lookup(f"staged/{name}").names
        assert tables[name].count().execute() == 0
        types = {c.name: TYPES[c.type] for c in lookup(f"staged/{name}").columns}
        assert {c: str(kind) for c, kind in schema.items()} == types
    assert ingest.personal(shop.con, shop.read()).count().execute() == 0
    assert shop.unread() == []


def test_as_of_is_the_day_of_the_last_sale(shop):
    shop.csv(HEAD, *ROWS)
    shop.map()
    tables = ingest.open_source(shop.con, shop.mapping, shop.raw)
    assert ingest.as_of(tables["order_lines"]) == date(2024, 1, 5)  # the later line is a return


def test_as_of_without_a_sale_is_explained(shop):
    shop.csv(HEAD, ROWS[2])
    shop.map()
    lines = ingest.open_source(shop.con, shop.mapping, shop.raw)["order_lines"]
    with pytest.raises(ValueError, match="no sale with a date"):
        ingest.as_of(lines)


# --- customers


PEOPLE = {
    "customer_key": "id",
    "registered_on": "since",
    "name": "name",
    "phone": "tel",
    "gender": "{column: sex, codes: {男: male, 女: female}, default: unknown}",
}


def add_people(shop: Shop, *lines: str, **columns) -> None:
    shop.csv(HEAD, *ROWS)
    shop.map()
    shop.csv("id,since,name,tel,sex", *lines, file="people.csv")
    shop.map("people.csv", table="customers", base=PEOPLE, **columns)


def test_personal_columns_go_to_the_vault_and_are_never_staged(shop):
    add_people(shop, "K1,2023-05-01,name one,13800000001,男", "K2,2023-05-02,name two,,x")
    assert shop.problems() == []
    tables = ingest.open_source(shop.con, shop.mapping, shop.raw)
    staged = tables["customers"].order_by("customer_key").to_pandas()
    assert list(staged.columns) == lookup("staged/customers").names
    assert not {"name", "phone", "email"} & set(staged.columns)
    assert "13800000001" not in staged.to_string()
    assert staged["gender"].tolist() == ["male", "unknown"]
    vault = ingest.personal(shop.con, shop.read()).order_by("customer_key").to_pandas()
    assert list(vault.columns) == lookup("vault/customers").names
    assert vault["phone"].tolist()[0] == "13800000001"
    assert vault["email"].isna().all()


def test_all_records_of_a_customer_and_those_without_a_key_arrive(shop):
    """Which of them counts is decided when the data are cleaned."""
    add_people(shop, "K1,2023-05-01,a,,男", "K1,2023-06-01,c,,女", ",2023-05-01,a,,男")
    assert shop.problems() == []
    keys = shop.staged("customers")["customer_key"]
    assert keys.fillna("none").tolist() == ["K1", "K1", "none"]


def test_an_unknown_code_without_default_is_a_problem(shop):
    add_people(
        shop,
        "K1,2023-05-01,a,,男",
        "K2,2023-05-01,b,,M",
        gender="{column: sex, codes: {男: male}}",
    )
    assert shop.problems() == [
        "data/raw/shop/people.csv, column 'sex', row 3: 'M' is not a known code; expected one of "
        "男; add it to `codes` of gender, or give a `default`, in data/sources/shop/mapping.yaml"
    ]


def test_a_value_outside_the_code_list_of_the_schema_is_a_problem(shop):
    add_people(shop, "K1,2023-05-01,a,,man", gender="sex")
    (message,) = shop.problems()
    assert "row 2: 'man' is not a known code; expected one of male, female, unknown" in message


# --- cells that cannot be read (CLN-09)


def many(count: int, *odd: str) -> list[str]:
    """Good rows, and then the odd ones."""
    return [f"{i},A{i},1,2.50,2024-01-05,K{i}" for i in range(count)] + list(odd)


def test_a_cell_that_cannot_be_read_is_listed_and_its_field_stays_empty(shop):
    shop.csv(HEAD, *many(40, "X,A,two,2.50,2024-02-30,K", "Y,A,1,£3,2024-01-05,K"))
    shop.map()
    assert shop.problems() == []
    assert shop.unread() == [
        ("order_lines", 42, "ordered_at", "2024-02-30"),
        ("order_lines", 42, "quantity", "two"),
        ("order_lines", 43, "unit_price", "£3"),
    ]
    last = shop.staged().iloc[-2:]
    assert last["quantity"].isna().tolist() == [True, False]
    assert last["ordered_at"].isna().tolist() == [True, False]
    assert last[["unit_price", "amount"]].isna().values.tolist() == [[False, True], [True, True]]
    assert last["order_id"].tolist() == ["X", "Y"]


@pytest.mark.parametrize(("good", "is_listed"), [(19, True), (18, False)])
def test_up_to_one_cell_in_twenty_may_be_unread_and_more_is_a_wrong_mapping(shop, good, is_listed):
    shop.csv(HEAD, *many(good, "X,A,two,2.50,2024-01-05,K"))
    shop.map()
    assert bool(shop.problems()) != is_listed
    assert shop.problems(max_unread=0.06) == []


def test_the_share_is_of_the_filled_cells_of_each_column(shop):
    blank = [f"{i},A,,2.50,2024-01-05,K" for i in range(40)]
    shop.csv(HEAD, *blank, *many(18, "X,A,two,2.50,2024-01-05,K"))
    shop.map()
    (message,) = shop.problems()
    assert "column 'Units', row 60: 'two' is not a number" in message
    shop.entries = ""
    shop.csv(HEAD, *many(38, "X,A,two,2.50,2024-01-05,K", "Y,A,1,three,2024-01-05,K"))
    shop.map()
    assert shop.problems() == []  # two cells of two columns, each one in forty


def test_cells_of_the_second_file_are_listed_with_their_own_line(shop):
    shop.csv(HEAD, *many(20, "X,A,two,2.50,2024-01-05,K"), file="a_1.csv")
    shop.csv(HEAD, *many(20, "X,A,three,2.50,2024-01-05,K"), file="a_2.csv")
    shop.map("a_*.csv")
    assert shop.unread() == [
        ("order_lines", 22, "quantity", "two"),
        ("order_lines", STRIDE + 22, "quantity", "three"),
    ]


def test_a_gender_without_a_meaning_is_unread_and_a_value_of_the_list_is_not(shop):
    codes = "{column: sex, codes: {男: male, 女: female, 未知: unknown}}"
    rows = [f"K{i},2023-05-01,n,,{'男女'[i % 2]}" for i in range(30)]
    add_people(shop, *rows, "K,2023-05-01,n,,M", "L,2023-05-01,n,,", gender=codes)
    assert shop.unread() == [("customers", 32, "gender", "M")]
    assert shop.staged("customers")["gender"].isna().tolist() == [False] * 30 + [True, True]


def test_contacts_in_a_cell_that_is_unread_are_masked(shop):
    shop.csv(HEAD, *many(20, "X,A,tel 13800001111,2.50,2024-01-05,K"))
    shop.map()
    assert shop.unread() == [("order_lines", 22, "quantity", "tel [phone]")]


# --- phones, free text, keys of several systems


PHONES_E13 = [  # phone, its status with separators removed, its status in the strict mode
    ("13800001111", "ok", "ok"),
    ("1380000111", "to_verify", "to_verify"),
    ("138000011112", "to_verify", "to_verify"),
    ("1380000abcd", "to_verify", "to_verify"),
    ("138-0000-1111", "ok", "to_verify"),
    ("", "missing", "missing"),
]
OTHER_PHONES = [
    ("138 0000 1111", "ok", "to_verify"),
    ("+86 138-0000-1111", "ok", "to_verify"),
    ("008613800001111", "ok", "to_verify"),
    ("8613800001111", "to_verify", "to_verify"),  # no + in front: 13 digits
    ("１３８００００１１１１", "ok", "ok"),  # another character, the same digit (ING-24)
    ("＋８６１３８００００１１１１", "ok", "to_verify"),
    ("(138)00001111", "to_verify", "to_verify"),
    ("010-12345678", "ok", "to_verify"),  # a landline has 11 digits, too
]
NO_PHONES = [("无", "to_verify", "to_verify"), (" ", "missing", "missing"),
             ("\u3000", "missing", "missing"), (" 13800001111\t", "ok", "ok")]  # fmt: skip


@pytest.mark.parametrize("cases", [PHONES_E13, OTHER_PHONES, NO_PHONES])
@pytest.mark.parametrize("strict", [False, True])
def test_a_phone_has_eleven_digits_and_the_strict_mode_counts_all_that_was_typed(
    shop, cases, strict
):
    phones, *modes = zip(*cases, strict=True)
    people = [f"K{n},2023-05-01,name,{phone},男" for n, phone in enumerate(phones)]
    add_people(shop, *people, phone=f"{{column: tel, strict: {str(strict).lower()}}}")
    staged = shop.staged("customers")
    assert tuple(staged["phone_status"]) == modes[strict]
    assert not [phone for phone in phones if phone.strip() and phone in staged.to_string()]


def test_separators_are_removed_where_the_mapping_does_not_say_strict(shop):
    add_people(shop, "K,2023-05-01,name,138-0000-1111,男")
    assert shop.staged("customers")["phone_status"].tolist() == ["ok"]


MAILS = [
    ("a.b+c@example.com", "ok"),
    ("客服@例子.公司", "ok"),
    ("a@b@example.com", "to_verify"),
    ("a@example", "to_verify"),
    ("a b@example.com", "to_verify"),
    ("example.com", "to_verify"),
    ("无", "to_verify"),
    ("", "missing"),
]


def test_an_e_mail_is_well_formed_with_one_at_and_a_domain_and_never_shown(shop):
    people = [f"K{n},2023-05-01,,{mail},男" for n, (mail, _) in enumerate(MAILS)]
    add_people(shop, *people, phone=None, email="tel")
    staged = shop.staged("customers")
    assert staged["email_status"].tolist() == [status for _, status in MAILS]
    assert not [mail for mail, _ in MAILS if mail and mail in staged.to_string()]


def test_a_name_is_there_or_missing_and_stays_in_the_vault(shop):
    add_people(shop, "K1,2023-05-01,张三,,男", "K2,2023-05-01,,,男", "K3,2023-05-01, \u3000,,男")
    staged = shop.staged("customers")
    assert staged["name_status"].tolist() == ["ok", "missing", "missing"]
    assert set(staged["email_status"]) == {"missing"}  # no column feeds it
    assert "张三" not in staged.to_string()


def test_without_a_column_of_phones_all_are_missing(shop):
    add_people(shop, "K,2023-05-01,name,13800001111,男", phone=None)
    assert shop.staged("customers")["phone_status"].tolist() == ["missing"]


TICKETS = {"ticket_id": "no", "opened_at": "at", "kind": "{value: other}", "text": "said"}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("请打13812345678谢谢", "请打[phone]谢谢"),
        ("tel +86 138-1234-5678!", "tel [phone]!"),
        ("a 138 1234 5678 b 13912345678", "a [phone] b [phone]"),
        ("write to Ann.O+x@mail.example.org now", "write to [e-mail] now"),
        ("110101199001011234 and 11010119900101123X", "[ID] and [ID]"),
        ("order 4711, room 1204, 2024-01-05", "order 4711, room 1204, 2024-01-05"),
        ("", None),
    ],
)
def test_contacts_in_free_text_are_masked(shop, said, kept):
    shop.csv(HEAD, *ROWS)
    shop.map()
    shop.csv("no,at,said", f'T,2024-01-05,"{said}"', file="tickets.csv")
    shop.map("tickets.csv", table="tickets", base=TICKETS)
    (found,) = shop.staged("tickets")["text"].tolist()
    assert (found if found == found else None) == kept


def test_full_width_phones_in_free_text_are_masked(shop):
    shop.csv(HEAD, *ROWS)
    shop.map()
    shop.csv("no,at,said", "T,2024-01-05,请打１３８１２３４５６７８谢谢", file="tickets.csv")
    shop.map("tickets.csv", table="tickets", base=TICKETS)
    assert shop.staged("tickets")["text"].tolist() == ["请打[phone]谢谢"]


def test_a_prefix_keeps_the_numbers_of_two_systems_apart_and_empty_ones_empty(shop):
    shop.csv(HEAD, "7,A,1,2,2024-01-05,K", ",A,1,2,2024-01-05,K", file="web.csv")
    shop.csv(HEAD, "7,A,1,2,2024-01-05,K", file="store.csv")
    shop.map("web.csv", order_id="{column: Order, prefix: W-}")
    shop.map("store.csv", order_id="{column: Order, prefix: S-, strip_suffix: .0}")
    assert shop.staged()["order_id"].fillna("none").tolist() == ["W-7", "none", "S-7"]


# --- extended fields, columns that are not read (ING-14, PRV-06)


def test_fields_that_the_source_declares_follow_those_of_the_schema(shop):
    fields = {"store": "string", "visits": "int", "limit": "money", "born": "date"}
    shop.extra = "fields:\n" + "".join(
        f"  - {{name: {name}, type: {kind}, about: a, purpose: p}}\n"
        for name, kind in fields.items()
    )
    shop.csv(HEAD, *ROWS)
    shop.map()
    shop.csv("id,since,name,S,V,L,B", 'K,2023-05-01,n,Bund,3,"1,200.5",1990-02-03', file="p.csv")
    shop.map("p.csv", table="customers", base={}, customer_key="id", registered_on="since",
             name="name", store="S", visits="V", born="B",
             limit='{column: L, thousands: ","}')  # fmt: skip
    staged = shop.staged("customers")
    assert list(staged.columns) == [*lookup("staged/customers").names, *fields]
    assert staged[list(fields)].astype(str).values.tolist() == [
        ["Bund", "3", "1200.5000", "1990-02-03"]
    ]
    assert shop.unread() == []


def test_a_whole_number_has_no_fraction(shop):
    shop.extra = "fields: [{name: visits, type: int, about: a, purpose: p}]\n"
    shop.csv(HEAD, *ROWS)
    shop.map()
    people = [f"K{i},2023-05-01,n,{i}.0" for i in range(30)]
    shop.csv("id,since,name,V", *people, "K,2023-05-01,n,1.5", file="p.csv")
    shop.map("p.csv", table="customers", base={}, customer_key="id", registered_on="since",
             name="name", visits="V")  # fmt: skip
    assert shop.unread() == [("customers", 32, "visits", "1.5")]


def test_columns_that_no_field_names_are_listed_and_not_read(shop):
    shop.csv("id,since,name,tel,sex,remarks,salary", "K,2023-05-01,n,,男,VIP,x", file="p.csv")
    shop.map("p.csv", table="customers", base=PEOPLE)
    shop.csv(HEAD, *ROWS)
    shop.map()
    left = ingest.unmapped(shop.read())
    assert left.values.tolist() == [
        ["customers", "p.csv", "remarks"], ["customers", "p.csv", "salary"],
    ]  # fmt: skip
    assert "VIP" not in shop.staged("customers").to_string()
    assert shop.problems() == []  # what is not read cannot be wrong


def test_a_file_that_feeds_two_tables_lists_what_neither_reads(shop):
    shop.csv("Order,Item,Units,Price,Date,Name,Shelf", "1,A,1,2,2024-01-05,Pot,7")
    shop.map(base=COLUMNS, customer_key=None)
    shop.map(table="products", base={}, product_id="Item", product_name="Name")
    assert ingest.unmapped(shop.read())["column"].tolist() == ["Shelf"]


# --- amounts


@pytest.mark.parametrize(
    ("line", "units", "price", "amount"),
    [
        ("2,2.50,", 2, "2.5", "5"),  # neither is missing: computed
        ("2,,5", 2, "2.5", "5"),
        ("3,,10", 3, "3.3333", "10"),
        ("0,,10", 0, "10", "10"),  # a quantity of zero is found out later
        ("-2,,-5", -2, "2.5", "-5"),
        (",,5", None, None, "5"),
        ("2,,", 2, None, None),
    ],
)
def test_amount_and_price_are_computed_each_from_the_other(shop, line, units, price, amount):
    given = {k: v for k, v in COLUMNS.items() if k not in ("unit_price", "customer_key")}
    shop.csv("Order,Item,Units,Price,Total,Date", f"1,A,{line},2024-01-05")
    has_price = line.split(",")[1]
    both = {"unit_price": "Price"} if has_price else {"amount": "Total"}
    shop.map(base=given | both)
    (row,) = shop.staged()[["quantity", "unit_price", "amount"]].values.tolist()
    wanted = [None if v is None else Decimal(v) for v in (units, price, amount)]
    assert [None if v is None or v != v else v for v in row] == wanted


@pytest.mark.parametrize(
    ("units", "price", "amount"),
    [
        ("99999", "999999999.9999", "99998999999990.0001"),  # the largest of the short way
        ("-99999", "999999999.9999", "-99998999999990.0001"),
        ("100000", "999999999.9999", "99999999999990.0000"),  # the long way
        ("100000", "1000000000", None),  # fifteen digits do not fit
        ("-100000", "1000000000", None),
        ("99999999999999", "99999999999999", None),
        ("0.5", "0.0001", "0.0001"),  # half of the last place, rounded away from nothing
        ("1.25", "3.3333", "4.1666"),
    ],
)
def test_an_amount_is_exact_up_to_its_last_place_or_empty(shop, units, price, amount):
    shop.csv("Order,Item,Units,Price,Date,Who", f"1,A,{units},{price},2024-01-05,K")
    shop.map()
    (found,) = shop.staged()["amount"]
    assert (None if found != found else found) == (Decimal(amount) if amount else None)


def test_where_both_are_given_the_amount_is_what_was_charged(shop):
    shop.csv("Order,Item,Units,Price,Total,Date", "1,A,2,2.50,4.50,2024-01-05",
             "1,A,2,2.50,,2024-01-05")  # fmt: skip
    shop.map(customer_key=None, amount="Total")
    assert shop.staged()["amount"].tolist() == [Decimal("4.5"), Decimal(5)]


def test_a_return_of_a_negative_amount_has_a_price_above_zero(shop):
    shop.csv("Order,Item,Units,Total,Date", "C1,A,1,-5,2024-01-05", "C2,A,-1,-5,2024-01-05")
    shop.map(customer_key=None, unit_price=None, amount="Total")
    assert shop.staged()["unit_price"].tolist() == [Decimal(5), Decimal(5)]


# --- several files of one kind, other kinds of files


def test_monthly_drops_are_one_table_whose_lines_stay_unique_and_tell_their_file(shop):
    for month in (2, 1, 3):
        shop.csv(HEAD, f"{month},A,1,2,2024-0{month}-05,K", file=f"web_0{month}.csv")
    shop.csv(HEAD, "9,A,1,2,2024-09-05,K", file="store.csv")
    shop.map("web_*.csv", options="    system: web\n    refresh_days: 31\n")
    shop.map("store.csv")
    staged = shop.staged()
    assert staged["line"].tolist() == [2, STRIDE + 2, 2 * STRIDE + 2, 3 * STRIDE + 2]
    assert staged["order_id"].tolist() == ["1", "2", "3", "9"]
    reading = shop.read()
    files = ingest.files(shop.con, reading, ingest.tables(shop.con, reading))
    assert list(files.columns) == lookup("staged/files").names
    shown = files.assign(newest=files["newest"].dt.strftime("%m-%d"))
    assert shown.drop(columns="table").values.tolist() == [
        ["web_01.csv", 0, "web", "utf-8", 31, "keep", 1, "01-05"],
        ["web_02.csv", 1, "web", "utf-8", 31, "keep", 1, "02-05"],
        ["web_03.csv", 2, "web", "utf-8", 31, "keep", 1, "03-05"],
        ["store.csv", 3, "store.csv", "utf-8", 0, "keep", 1, "09-05"],
    ]


def test_a_column_that_one_of_the_drops_lacks_is_told_with_that_file(shop):
    shop.csv(HEAD, ROWS[0], file="web_01.csv")
    shop.csv(HEAD.replace("Price", "Cost"), ROWS[0], file="web_02.csv")
    shop.map("web_*.csv")
    assert "data/raw/shop/web_02.csv, column 'Price', row 1" in one_problem(shop)


def test_orders_are_joined_to_their_lines(shop):
    shop.csv("Order,Item,Units,Price", "1,A,1,2", "2,B,1,3", "9,C,1,4", file="lines.csv")
    shop.csv("Order,Date,Who,Till", "1,2024-01-05,K1,x", "2,2024-01-06,K2,x", file="orders.csv")
    shop.map("lines.csv", options="    join: {path: orders.csv, on: Order}\n")
    frame = shop.staged()
    assert frame["customer_key"].fillna("none").tolist() == ["K1", "K2", "none"]
    assert frame["ordered_at"].isna().tolist() == [False, False, True]
    assert ingest.unmapped(shop.read())["column"].tolist() == ["Till"]


def test_json_lines_and_an_api_page_give_the_rows_of_the_csv_file(shop):
    shop.csv(HEAD, *ROWS)
    shop.map()
    wanted = shop.staged().drop(columns="line")
    names = HEAD.split(",")
    records = [dict(zip(names, row.split(","), strict=True)) for row in ROWS]
    records[0] |= {"Units": 2, "Price": 2.55}  # numbers as numbers
    text = "\n".join(json.dumps(record) for record in records)
    (shop.raw / "orders.jsonl").write_text(text, encoding="utf-8")
    page = {"data": {"items": records, "page": {"next": None}}}
    (shop.raw / "orders.json").write_text(json.dumps(page), encoding="utf-8")
    for file, options in (("orders.jsonl", ""), ("orders.json", "    records: data.items\n")):
        shop.entries = ""
        shop.map(file, options=options)
        pd.testing.assert_frame_equal(shop.staged().drop(columns="line"), wanted)


def test_every_kind_of_record_arrives_in_the_columns_and_types_of_its_schema(shop):
    shop.csv(HEAD, *ROWS)
    shop.map()
    values = {"timestamp": "2024-01-05 10:00:00", "date": "2024-01-05", "string": "x"}
    for name in RECORDS:
        columns = [c for c in lookup(f"staged/{name}").columns if c.name not in ("source", "line")]
        cells = [c.codes[0] if c.codes else values.get(c.type, "1.5") for c in columns]
        shop.csv(",".join(c.name for c in columns), ",".join(cells), file=f"{name}.csv")
        shop.map(f"{name}.csv", table=name, base={c.name: c.name for c in columns})
    tables = ingest.open_source(shop.con, shop.mapping, shop.raw)
    for name in RECORDS:
        columns = lookup(f"staged/{name}").columns
        types = {c: str(kind) for c, kind in tables[name].schema().items()}
        assert types == {c.name: TYPES[c.type] for c in columns}
        (row,) = tables[name].to_pyarrow().to_pylist()
        assert None not in row.values()
    assert ingest.unmapped(shop.read()).empty


def test_as_of_is_the_day_of_the_last_sale_in_the_period(shop):
    shop.csv(HEAD, "1,A,1,2,2024-01-05,K", "2,A,1,2,2204-01-05,K", "3,A,1,2,2023-12-31,K")
    shop.map()
    lines = ingest.open_source(shop.con, shop.mapping, shop.raw)["order_lines"]
    assert ingest.as_of(lines) == date(2204, 1, 5)
    assert ingest.as_of(lines, period=("2024-01-01", "2024-12-31")) == date(2024, 1, 5)


# --- bad files


def one_problem(shop: Shop) -> str:
    (message,) = shop.problems()
    with pytest.raises(SourceError):
        ingest.open_source(shop.con, shop.mapping, shop.raw)
    return message


def test_a_missing_file_is_explained(shop):
    shop.csv("x", "1", file="order.csv")
    shop.map()
    assert one_problem(shop) == (
        "data/raw/shop/orders.csv: the file is not there; expected the file that feeds "
        "order_lines; copy it to data/raw/shop/ or mend `path` in data/sources/shop/mapping.yaml; "
        "there are order.csv in that folder"
    )


def test_a_wrong_sheet_lists_the_sheets_there_are(shop):
    write_sheet(shop.raw / "orders.xlsx", sheet="Orders 2024", rows=[HEAD.split(",")])
    shop.map("orders.xlsx", options="    sheet: Orders\n")
    assert one_problem(shop) == (
        "data/raw/shop/orders.xlsx: no sheet 'Orders'; expected a sheet of the workbook; mend "
        "`sheet` in data/sources/shop/mapping.yaml; did you mean 'Orders 2024'? There are: "
        "Orders 2024"
    )


def test_a_missing_column_is_named_with_the_nearest_one(shop):
    shop.csv(HEAD, *ROWS)
    shop.map(unit_price="price")
    assert one_problem(shop) == (
        "data/raw/shop/orders.csv, column 'price', row 1: no column 'price', which feeds "
        "unit_price; expected every mapped column in the header; mend `unit_price` in "
        "data/sources/shop/mapping.yaml; did you mean 'Price'? There are: Order, Item, Units, "
        "Price, Date, Who"
    )


def test_a_date_in_two_formats_asks_for_both(shop):
    shop.csv(
        HEAD,
        "1,A,1,2,12/31/2024 10:00,x",
        "1,A,1,2,2024-12-31 10:00,x",
        "1,A,1,2,2024-12-30 10:00,x",
    )
    shop.map(ordered_at='{column: Date, format: "%m/%d/%Y %H:%M"}')
    assert one_problem(shop) == (
        "data/raw/shop/orders.csv, column 'Date', row 3: '2024-12-31 10:00' is not a date of the "
        "expected format; expected %m/%d/%Y %H:%M; the column has two formats: list both, as "
        'format: ["%m/%d/%Y %H:%M", "%Y-%m-%d %H:%M"], in data/sources/shop/mapping.yaml '
        "(2 rows like it)"
    )


def test_a_second_date_format_beside_iso_asks_for_both(shop):
    shop.csv(HEAD, "1,A,1,2,2024-12-31,x", "1,A,1,2,31.12.2024,x")
    shop.map()
    assert 'format: ["%Y-%m-%d", "%d.%m.%Y"]' in one_problem(shop)


def test_a_day_that_is_not_in_the_calendar_is_a_problem(shop):
    shop.csv(HEAD, "1,A,1,2,2024-02-30,x")
    shop.map()
    message = one_problem(shop)
    assert "row 2: '2024-02-30' is not a date" in message
    assert "correct the cell" in message


def test_an_amount_with_a_thousands_separator_is_explained(shop):
    shop.csv(HEAD, *ROWS, '1,A,1,"15,000",2024-01-05,x', '1,A,1,"1,000",2024-01-05,x')
    shop.map()
    assert one_problem(shop) == (
        "data/raw/shop/orders.csv, column 'Price', row 5: '15,000' is not a number; expected "
        "digits with '.' as decimal sign; if ',' separates thousands, write thousands: \",\" for "
        "it in data/sources/shop/mapping.yaml (2 rows like it)"
    )


@pytest.mark.parametrize("cell", ["£2", "n/a", "1e5", "--1", "2.5.5", "1234567890123456789"])
def test_what_is_no_number_is_a_problem(shop, cell):
    shop.csv(HEAD, f"1,A,1,{cell},2024-01-05,x")
    shop.map()
    assert f"column 'Price', row 2: {cell!r} is not a number" in one_problem(shop)


def test_an_empty_file_is_explained(shop):
    shop.csv()
    (shop.raw / "orders.csv").write_bytes(b"")
    shop.map()
    assert one_problem(shop) == (
        "data/raw/shop/orders.csv: the file is empty; expected a header and at least one row; "
        "export it again"
    )


@pytest.mark.parametrize("suffix", ["csv", "xlsx", "parquet"])
def test_a_file_with_only_a_header_is_explained(shop, suffix):
    file = shop.raw / f"orders.{suffix}"
    if suffix == "csv":
        shop.csv(HEAD)
    elif suffix == "xlsx":
        write_sheet(file, rows=[HEAD.split(",")])
    else:
        pd.DataFrame(columns=HEAD.split(","), dtype=str).to_parquet(file)
    shop.map(file.name)
    assert one_problem(shop) == (
        f"data/raw/shop/orders.{suffix}, row 2: only a header and no rows; expected at least one "
        "row below the header; export it again, or remove the entry from "
        "data/sources/shop/mapping.yaml"
    )


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_a_column_name_that_stands_twice_is_explained(shop, suffix):
    head = f"{HEAD},price"
    shop.csv(head, ROWS[0] + ",1")
    write_sheet(shop.raw / "orders.xlsx", rows=[head.split(","), ["1", "A", 1, 2, "2024-01-05"]])
    shop.map(f"orders.{suffix}")
    assert one_problem(shop) == (
        f"data/raw/shop/orders.{suffix}, column 'Price', row 1: the name 'Price' stands over "
        "columns 4 and 7; expected each column name once, in upper or lower case; rename one of "
        "them in the file or where it is exported"
    )


def test_a_row_with_too_many_cells_is_named(shop):
    shop.csv(HEAD, ROWS[0], ROWS[1] + ",1", ROWS[0] + ",1")
    shop.map()
    assert one_problem(shop) == (
        "data/raw/shop/orders.csv, row 3: 7 cells; expected 6, as in the header; put cells that "
        "contain the delimiter in double quotes, or write the right `delimiter` (2 rows like it)"
    )


def test_a_row_with_too_few_cells_is_named(shop):
    shop.csv(HEAD, ROWS[0], "1001,A")
    shop.map()
    assert "orders.csv, row 3: 2 cells; expected 6, as in the header" in one_problem(shop)


def test_a_quote_that_is_not_closed_is_named(shop):
    shop.csv(HEAD, ROWS[0], '1001,"A1,2,2.55,2024-01-05 08:26,17850', ROWS[1])
    shop.map()
    assert "orders.csv, row 3: a double quote that is not closed" in one_problem(shop)


@pytest.mark.parametrize("rows_before", [1, 3000])
def test_a_file_that_is_not_in_its_declared_encoding_is_explained(shop, rows_before):
    shop.csv(HEAD, *[ROWS[0]] * rows_before, "1,茶壶,1,2,2024-01-05,x", encoding="gb18030")
    shop.map(options="    encoding: utf-8\n")
    message = one_problem(shop)
    assert f"orders.csv, row {rows_before + 2}: bytes that are not utf-8" in message
    assert "it looks like gb18030" in message


def test_a_file_that_is_not_what_its_name_says_is_explained(shop):
    for file in ("orders.xlsx", "orders.parquet"):
        (shop.raw / file).write_bytes(b"no such thing" * 10)
        shop.entries = ""
        shop.map(file)
        assert f"data/raw/shop/{file}: it cannot be read as" in one_problem(shop)


def test_all_problems_of_all_files_are_found_in_one_pass(shop):
    shop.csv(HEAD, "1,A,one,2;5,31.12.2024,x")
    shop.map()
    shop.map("store.csv")
    found = shop.problems()
    assert [m.split(":")[0] for m in found] == [
        "data/raw/shop/orders.csv, column 'Units', row 2",
        "data/raw/shop/orders.csv, column 'Price', row 2",
        "data/raw/shop/orders.csv, column 'Date', row 2",
        "data/raw/shop/store.csv",
    ]


def test_dates_in_a_sheet_are_read_beside_text_in_the_declared_format(shop):
    rows = [
        HEAD.split(","),
        ["1", "A", 1, 2, datetime(2024, 1, 5, 8, 26), "x"],
        ["1", "A", 1, 2, "12/31/2024 10:00", "x"],
    ]
    write_sheet(shop.raw / "orders.xlsx", rows=rows)
    shop.map("orders.xlsx", ordered_at='{column: Date, format: "%m/%d/%Y %H:%M"}')
    assert shop.staged()["ordered_at"].dt.strftime("%d %H:%M").tolist() == ["05 08:26", "31 10:00"]


# --- the cleaning cases of E13, through both notebooks

SHOPPERS = """\
key,since,name,tel,sex
1,2023-01-01,一,13800001111,男
2,2023-01-01,二,1380000111,女
3,2023-01-01,三,138000011112,未知
4,2023-01-01,四,1380000abcd,M
5,2023-01-01,五,138-0000-1111,男
6,2023-01-01,六,,男
7,2023-01-01,七,13900001111,男
8,2023-01-01,七,13900001111,男
9,2023-01-01,九,13900002222,男
10,2023-01-01,九,13900003333,男"""
SALES = """\
no,who,what,units,total,at,flag
A,1,mug,1,"15,000",2023-05-01,
B,1,mug,1,-1,2023-05-01,
C,1,mug,1,0,2023-05-01,
D,1,mug,1,5,2023-05-01,test"""
CLICKS = """\
who,at,what,page
1,2023-05-01 10:00:00,click,p
1,2023-05-01 10:00:01,click,p"""


@pytest.fixture
def cleaned(shop, tmp_path):
    """A source through the cells of the notebooks `ingest` and `clean`."""

    def _cleaned(max_unread=1, max_share=1) -> Bench:
        con = engine.connect(threads=2)
        first = Bench(con, tmp_path, params={"read": {"max_unread": max_unread}})
        first.source = SimpleNamespace(mapping=shop.path, raw=shop.raw)
        first.run |= {"time_zone": "Asia/Shanghai"}
        first.extended = shop.mapping.extended
        first.execute("ingest", ingest=ingest, mapping=mapping)
        names = [f"staged/{p.stem}" for p in (tmp_path / "staged").iterdir()]
        tables = {name: first.out(name) for name in names}
        second = Bench(con, tmp_path, tables, {"balance": {"max_share": max_share}})
        second.source, second.extended = first.source, first.extended
        second.as_of = date.fromisoformat(str(first.run["as_of"]))
        second.execute("clean", clean=clean, mapping=mapping)
        return second

    return _cleaned


def test_each_case_of_e13_ends_as_expected(shop, cleaned):
    shop.csv(*SHOPPERS.splitlines(), file="people.csv")
    shop.csv(*SALES.splitlines())
    shop.csv(*CLICKS.splitlines(), file="clicks.csv")
    shop.map("people.csv", table="customers", base={}, customer_key="key", registered_on="since",
             name="name", phone="tel",
             gender="{column: sex, codes: {男: male, 女: female, 未知: unknown}}")  # fmt: skip
    shop.map(base={}, order_id="no", customer_key="who", product_id="what", quantity="units",
             amount='{column: total, thousands: ","}', ordered_at="at",
             kind="{column: flag, codes: {test: test}, default: sale}")  # fmt: skip
    shop.map("clicks.csv", table="events", base={}, customer_key="who", at="at", kind="what",
             target="page")  # fmt: skip
    done = cleaned()

    people = found(done.con, done.out("clean/customers"), "customer_key", "phone_status", "gender",
                   "imputed")  # fmt: skip
    assert {key: rest for key, *rest in people} == {
        "1": ["ok", "male", None],
        "2": ["to_verify", "female", None],
        "3": ["to_verify", "unknown", None],
        "4": ["to_verify", "unknown", "gender"],
        "5": ["ok", "male", None],
        "6": ["missing", "male", None],
        **{key: ["ok", "male", None] for key in ("7", "8", "9", "10")},
    }
    issues = found(done.con, done.out("clean/issues"), "table", "line", "rule", "value")
    assert issues == [
        ("customers", 3, "phone to verify", "to_verify"),
        ("customers", 4, "phone to verify", "to_verify"),
        ("customers", 5, "gender not known", None),
        ("customers", 5, "phone to verify", "to_verify"),
        ("customers", 5, "unreadable", "M"),
        ("customers", 7, "phone missing", "missing"),
        ("order_lines", 3, "price below zero", "-1.0"),
    ]
    assert found(done.con, done.out("clean/orders"), "order_id", "amount") == [
        ("A", 15000.0), ("C", 0.0),
    ]  # fmt: skip
    waiting = found(done.con, done.out("clean/quarantine"), "table", "line", "reason")
    assert waiting == [("order_lines", 3, "price below zero")]
    assert found(done.con, done.out("clean/ledger"), "table", "fate", "reason", "rows") == [
        ("customers", "kept", "record", 10),
        ("events", "kept", "record", 1),
        ("events", "removed", "repeated click", 1),
        ("order_lines", "kept", "sale", 2),
        ("order_lines", "quarantined", "price below zero", 1),
        ("order_lines", "removed", "test", 1),
    ]


def test_an_unread_cell_of_a_required_field_sends_its_row_to_quarantine(shop, cleaned):
    shop.csv(HEAD, *many(40, "X,A,two,2.50,2024-01-05,K", "Y,A,1,2.50,2024-02-30,K"))
    shop.map()
    done = cleaned(max_unread=0.05, max_share=0.05)
    assert found(done.con, done.out("clean/quarantine"), "line", "reason") == [
        (42, "quantity missing"), (43, "ordered_at missing"),
    ]  # fmt: skip
    assert found(done.con, done.out("clean/issues"), "line", "rule", "value", "action") == [
        (42, "quantity missing", None, "quarantine"), (42, "unreadable", "two", "quarantine"),
        (43, "ordered_at missing", None, "quarantine"),
        (43, "unreadable", "2024-02-30", "quarantine"),
    ]  # fmt: skip


def test_extended_fields_reach_the_customers_and_their_conflicts(shop, cleaned):
    shop.extra = "fields: [{name: store, type: string, about: a, purpose: p}]\n"
    add_people(shop, "K,2023-05-01,n,13800001111,男", "K,2023-05-01,n,13800001111,男")
    shop.csv("id,since,name,tel,sex,store", "K,2023-05-01,n,13800001111,男,Bund",
             "K,2023-05-01,n,13800001111,男,Pudong", file="people.csv")  # fmt: skip
    shop.entries = ""
    shop.map()
    shop.map("people.csv", table="customers", base=PEOPLE, store="store")
    done = cleaned()
    people = done.out("clean/customers")
    assert people.columns[-1] == "store"
    known = people.filter(people.customer_key == "K")
    assert found(done.con, known, "store") == [("Pudong",)]
    told = found(done.con, done.out("clean/conflicts"), "field", "line", "value", "kept")
    assert told == [("store", 2, "Bund", "Pudong")]


def test_policies_reach_the_cleaning_file_by_file(shop, cleaned):
    shop.csv(HEAD, ROWS[0], ROWS[0], file="a.csv")
    shop.csv(HEAD, ROWS[1], ROWS[1], file="b.csv")
    shop.map("a.csv")
    shop.map("b.csv")
    shop.path.write_text(shop.path.read_text().replace("duplicates: keep", "duplicates: drop", 1))
    done = cleaned()
    items = found(done.con, done.out("clean/order_items"), "line", "is_duplicate")
    assert sorted(items) == [(2, False), (STRIDE + 2, False), (STRIDE + 3, True)]


# --- the public data


@pytest.fixture(scope="module")
def online_retail() -> tuple[mapping.Mapping, Path]:
    if not PUBLIC:
        pytest.skip("CRM_PUBLIC_DATA is not set to the folder of the public data")
    read = mapping.load(ROOT / "data/sources/online-retail/mapping.yaml")
    return read, Path(PUBLIC) / "online-retail"


def test_the_figures_of_online_retail_are_the_known_ones(online_retail):
    con = ibis.duckdb.connect()
    assert ingest.problems(con, *online_retail) == []
    lines = ingest.open_source(con, *online_retail)["order_lines"]
    sold = (lines["kind"] == "sale") & (lines["quantity"] > 0) & (lines["unit_price"] > 0)
    amount = lines["quantity"] * lines["unit_price"]
    row = (
        lines.aggregate(
            rows=lines.count(),
            nobody=lines["customer_key"].isnull().sum(),
            returns=(lines["kind"] == "return").sum(),
            sales=amount.sum(where=sold & lines["customer_key"].notnull()),
        )
        .to_pandas()
        .iloc[0]
    )
    assert row[["rows", "nobody", "returns"]].tolist() == [541_909, 135_080, 9_288]
    assert row["sales"] == Decimal("8911407.904")
    assert ingest.as_of(lines) == date(2011, 12, 9)


def test_online_retail_as_a_sheet_gives_the_same_rows_as_parquet(online_retail, tmp_path):
    read, folder = online_retail
    rows = pd.read_parquet(folder / "online_retail.parquet").head(2_000)
    con = ibis.duckdb.connect()
    as_sheet = rows.assign(
        CustomerID=rows["CustomerID"].astype(float),
        InvoiceNo=[int(n) if n.isdigit() else n for n in rows["InvoiceNo"]],
        StockCode=[int(n) if n.isdigit() else n for n in rows["StockCode"]],
    )
    with pd.ExcelWriter(tmp_path / "Online Retail.xlsx", engine="xlsxwriter") as book:
        as_sheet.to_excel(book, sheet_name="Online Retail", index=False)
    staged = [
        ingest.open_source(con, read, place)["order_lines"]
        .order_by("line")
        .limit(2_000)
        .to_pandas()
        .drop(columns="line")
        for place in (folder, tmp_path)
    ]
    pd.testing.assert_frame_equal(*staged)
