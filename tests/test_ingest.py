"""Raw files of every kind become the same staged rows, and each bad input is explained."""

from __future__ import annotations

import os
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import ibis
import pandas as pd
import pytest
import xlsxwriter

from crm import ingest, mapping
from crm.mapping import SourceError
from crm.tables import STRIDE, lookup

ROOT = Path(__file__).parents[1]
PUBLIC = os.environ.get("CRM_PUBLIC_DATA")

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
        self.entries = ""

    def csv(self, *lines: str, file: str = "orders.csv", encoding: str = "utf-8") -> None:
        (self.raw / file).write_bytes("\n".join((*lines, "")).encode(encoding))

    def map(self, file="orders.csv", *, table="order_lines", options="", base=COLUMNS, **columns):
        fed = {field: column for field, column in {**base, **columns}.items() if column}
        lines = "".join(f"      {field}: {column}\n" for field, column in fed.items())
        keep = "    duplicates: keep\n" if table == "order_lines" else ""
        self.entries += (
            f"  - table: {table}\n    path: {file}\n{keep}{options}    columns:\n{lines}"
        )
        self.path.write_text(f"title: A shop\nfiles:\n{self.entries}", encoding="utf-8")

    @property
    def mapping(self) -> mapping.Mapping:
        return mapping.load(self.path)

    def problems(self) -> list[str]:
        return [str(p) for p in ingest.problems(self.con, self.mapping, self.raw)]

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
def test_chinese_text_is_read_in_its_encoding(shop, encoding):
    shop.csv("订单号,商品,数量,单价,时间", "1,茶壶,2,15.00,2024年1月5日", encoding=encoding)
    shop.map(
        base={},
        options="" if encoding.startswith("utf-8") else f"    encoding: {encoding}\n",
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
    listed = ingest.listing(shop.mapping, shop.raw).set_index(["table", "field"])
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
    for name in ("customers", "products"):
        assert list(tables[name].columns) == lookup(f"staged/{name}").names
        assert tables[name].count().execute() == 0
    assert ingest.personal(shop.con, shop.mapping, shop.raw).count().execute() == 0


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
    vault = ingest.personal(shop.con, shop.mapping, shop.raw).order_by("customer_key").to_pandas()
    assert list(vault.columns) == lookup("vault/customers").names
    assert vault["phone"].tolist()[0] == "13800000001"
    assert vault["email"].isna().all()


def test_two_records_of_one_customer_are_a_problem_that_names_both_rows(shop):
    add_people(shop, "K1,2023-05-01,a,,男", "K2,2023-05-01,b,,男", "K1,2023-06-01,c,,女")
    assert shop.problems() == [
        "data/raw/shop/people.csv, column 'id', row 2: customer_key 'K1' stands again in row 4; "
        "expected one record for each customer_key in a source; keep the right one, or map the "
        "column that tells them apart"
    ]


def test_a_customer_without_a_key_is_a_problem(shop):
    add_people(shop, ",2023-05-01,a,,男")
    (message,) = shop.problems()
    assert "people.csv, column 'id', row 2: no customer_key" in message


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
def test_a_file_in_an_undeclared_encoding_is_explained(shop, rows_before):
    shop.csv(HEAD, *[ROWS[0]] * rows_before, "1,茶壶,1,2,2024-01-05,x", encoding="gb18030")
    shop.map()
    message = one_problem(shop)
    assert f"orders.csv, row {rows_before + 2}: bytes that are not" in message
    assert "gb18030" in message


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
    lines = ingest.open_source(con, *online_retail, checked=True)["order_lines"]
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
