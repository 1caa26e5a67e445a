"""A draft proposes a mapping that can be used, masks what is personal and asks where unsure."""

from __future__ import annotations

import json
import os
from pathlib import Path

import ibis
import pandas as pd
import pytest
import xlsxwriter

from crm import ingest, mapping
from crm.draft import draft, mask
from crm.mapping import SourceError
from crm.tables import lookup

PUBLIC = os.environ.get("CRM_PUBLIC_DATA")

ORDERS = """\
订单号,客户ID,商品编码,商品名称,数量,单价,下单时间,渠道,收货地址,备注
A1,C1,P1,茶壶,2,"1,200.50",2024/1/5 8:26,门店,某路1号,请打13812345678
A2,C2,P2,茶杯,1,15,2024/1/25 18:05,网店,某路2号,
"""
PEOPLE = """\
客户ID,姓名,手机号,邮箱,性别,城市,注册时间
C1,测试甲,13812345678,one@example.org,男,北京,2023-05-01
C2,测试乙,13987654321,two@example.org,女,上海,2023-06-01
"""


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()

    def _raw(file: str, text: str, encoding: str = "utf-8") -> Path:
        (folder / file).write_bytes(text.encode(encoding))
        return folder / file

    return _raw


@pytest.fixture
def usable(tmp_path):
    """Draft, answer what only a person knows, load: the mapping and the staged tables."""

    def _usable(*files: Path):
        con = ibis.duckdb.connect()
        text = draft(con, "shop", list(files))
        path = tmp_path / "shop" / "mapping.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace('""', "answered"), encoding="utf-8")
        read = mapping.load(path)
        return text, read, ingest.open_source(con, read, files[0].parent)

    return _usable


ANY_ORDERS = "Order ID,SKU,Qty,Price,Order Date\n1,A1,1,2,2024-01-05\n"


def feeds(read: mapping.Mapping, place: int = 0) -> dict[str, mapping.Feed]:
    return {feed.field: feed for feed in read.files[place].feeds}


@pytest.mark.parametrize(
    "odd",
    [
        "\x1b[2J",
        "a\u2028path: x",
        "\u202e",
        "\x7f",
        "\x85",
        "\ufeff",
        "# x: [",
        "*a",
        "\U000e0001",
    ],
)
def test_any_name_of_a_column_or_sheet_gives_yaml_that_is_only_text(tmp_path, odd):
    header = ["Order ID", f"SKU {odd}", "Qty", "Price", "Order Date", f"my {odd}"]
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        page = book.add_worksheet()
        page.write_row(0, 0, header)
        page.write_row(1, 0, ["1", f"A{odd}", 1, 2, "2024-01-05", "x"])
        book.add_worksheet("Other" + "".join(c for c in odd if c >= " " and c not in "[:*"))
    text = draft(ibis.duckdb.connect(), "shop", [tmp_path / "a.xlsx"])
    assert all(line.isprintable() for line in text.split("\n"))
    path = tmp_path / "shop" / "mapping.yaml"
    path.parent.mkdir()
    path.write_text(text.replace('""', "answered"), encoding="utf-8")
    feed = feeds(mapping.load(path))["product_id"]
    assert feed.column == " ".join(f"SKU {odd}".split())


def test_chinese_orders_and_customers_give_a_mapping_that_works(usable, raw):
    text, read, tables = usable(raw("orders.csv", ORDERS), raw("people.csv", PEOPLE))
    assert [file.table for file in read.files] == ["order_lines", "customers"]
    orders, people = feeds(read), feeds(read, 1)
    assert {name: feed.column for name, feed in orders.items()} == {
        "order_id": "订单号",
        "customer_key": "客户ID",
        "product_id": "商品编码",
        "product_name": "商品名称",
        "quantity": "数量",
        "unit_price": "单价",
        "ordered_at": "下单时间",
        "channel": "渠道",
    }
    assert orders["unit_price"].thousands == ","
    assert orders["ordered_at"].format == ("%Y/%m/%d %H:%M",)
    assert people["name"].column == "姓名"
    assert people["phone"].column == "手机号"
    assert dict(people["gender"].codes) == {"男": "male", "女": "female"}
    assert tables["order_lines"].count().execute() == 2
    assert "not mapped: 备注" in text


def test_why_and_on_what_terms_are_asked_and_a_draft_without_answers_is_refused(raw, tmp_path):
    text = draft(ibis.duckdb.connect(), "shop", [raw("orders.csv", ANY_ORDERS)])
    for asked in ("on what terms may the data be used?", "why is this source accepted?"):
        assert f"# QUESTION: {asked}" in text
    path = tmp_path / "shop" / "mapping.yaml"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    read, problems = mapping.check(path)
    assert read is None
    assert [problem.found for problem in problems] == [
        "no `licence`", "no value for `relevance`", "no value for `reliability`",
        "no value for `timeliness`",
    ]  # fmt: skip


def test_no_personal_value_stands_in_a_draft(usable, raw):
    text, _, _ = usable(raw("orders.csv", ORDERS), raw("people.csv", PEOPLE))
    for secret in ("13812345678", "13987654321", "测试甲", "one@", "某路"):
        assert secret not in text
    for masked in ("138****5678", "测*", "o***@example.org"):
        assert masked in text


def test_personal_columns_without_a_telling_header_are_known_by_their_cells(usable, raw):
    text, read, _ = usable(
        raw("orders.csv", ORDERS),
        raw("people.csv", PEOPLE.replace("手机号,邮箱", "X1,X2")),
    )
    assert feeds(read, 1)["phone"].column == "X1"
    assert feeds(read, 1)["email"].column == "X2"
    assert "138****5678" in text


def test_a_personal_column_in_orders_is_not_mapped_and_masked(usable, raw):
    text, read, _ = usable(raw("orders.csv", ORDERS.replace("商品名称", "联系人")))
    assert "product_name" not in feeds(read)
    assert "# not mapped: 联系人      # personal: 茶*" in text


def test_a_catalogue_is_told_from_orders(usable, raw):
    _, read, _ = usable(
        raw("orders.csv", ORDERS),
        raw("goods.csv", "sku,name,category,price\nP1,Pot,Tea,12\nP2,Cup,Tea,3\n"),
    )
    assert read.files[1].table == "products"
    assert feeds(read, 1)["product_name"].column == "name"


def test_encoding_and_delimiter_are_guessed(usable, raw):
    text, read, _ = usable(
        raw("orders.csv", ORDERS.replace('"1,200.50"', "7").replace(",", ";"), "gb18030")
    )
    assert (read.files[0].encoding, read.files[0].delimiter) == ("gb18030", ";")
    assert "the encoding is a guess" not in text


def test_a_western_encoding_is_a_guess_that_asks(usable, raw):
    text, read, tables = usable(
        raw("orders.csv", "Order,SKU,Qty,Price,Date\n1,Café crème,1,2,31.12.2024\n", "latin-1")
    )
    assert read.files[0].encoding == "cp1252"
    assert "QUESTION: the encoding is a guess" in text
    assert tables["order_lines"].to_pandas()["product_id"].tolist() == ["Café crème"]


def test_a_day_that_may_come_first_is_a_question(usable, raw):
    orders = raw("orders.csv", "Order ID,SKU,Qty,Price,Order Date\n1,A,1,2,03/04/2024\n")
    text, read, _ = usable(orders)
    assert feeds(read)["ordered_at"].format == ("%m/%d/%Y",)
    assert "QUESTION: the day may come first: %m/%d/%Y or %d/%m/%Y?" in text


def test_two_date_formats_are_both_listed(usable, raw):
    dates = ["2024-12-31", "31.12.2024", "2024-12-30"]
    rows = "".join(f"{i},A,1,2,{day}\n" for i, day in enumerate(dates))
    text, read, tables = usable(raw("orders.csv", "Order ID,SKU,Qty,Price,Order Date\n" + rows))
    assert feeds(read)["ordered_at"].format == ("%Y-%m-%d", "%d.%m.%Y")
    assert "QUESTION: several date formats" in text
    assert tables["order_lines"].ordered_at.isnull().sum().execute() == 0


def test_a_missing_required_field_is_a_question_and_no_guess(raw):
    text = draft(
        ibis.duckdb.connect(),
        "shop",
        [raw("orders.csv", "Order ID,SKU,Qty,Order Date\n1,A,1,2024-01-05\n")],
    )
    assert "# unit_price: ?      # QUESTION: required, price of one unit: which?" in text


def test_returns_told_by_a_letter_are_proposed_with_a_question(usable, raw):
    rows = "".join(f"{i},A{i},1,2,2024-01-05\n" for i in range(9)) + "C7,A7,-1,2,2024-01-06\n"
    text, read, tables = usable(raw("orders.csv", "InvoiceNo,SKU,Qty,Price,InvoiceDate\n" + rows))
    assert feeds(read)["kind"].starts_with == (("C", "return"),)
    assert "QUESTION: does the letter before the number mean this?" in text
    assert tables["order_lines"].filter(ibis._.kind == "return").count().execute() == 1


def test_codes_without_a_digit_are_asked_about(raw):
    rows = "".join(f"{i},A{i},1,2,2024-01-05\n" for i in range(3)) + "3,POST,1,5,2024-01-05\n"
    text = draft(
        ibis.duckdb.connect(),
        "shop",
        [raw("orders.csv", "Order ID,SKU,Qty,Price,Order Date\n" + rows)],
    )
    assert "# non_products: [POST]" in text


def test_a_sheet_with_dates_is_drafted_like_any_file(usable, tmp_path):
    file = tmp_path / "orders.xlsx"
    with xlsxwriter.Workbook(file, {"default_date_format": "yyyy-mm-dd"}) as book:
        page = book.add_worksheet("一月")
        page.write_row(0, 0, ["Order ID", "SKU", "Qty", "Price", "Order Date"])
        page.write_row(1, 0, [1, "A", 1, 2.5])
        page.write_datetime(1, 4, pd.Timestamp("2024-01-05").to_pydatetime())
    _, read, tables = usable(file)
    assert feeds(read)["ordered_at"].format == ()
    assert tables["order_lines"].count().execute() == 1


def test_a_workbook_of_several_sheets_asks_which(usable, tmp_path):
    file = tmp_path / "orders.xlsx"
    with xlsxwriter.Workbook(file) as book:
        for sheet in ("一月", "二月"):
            page = book.add_worksheet(sheet)
            page.write_row(0, 0, ["Order ID", "SKU", "Qty", "Price", "Order Date"])
            page.write_row(1, 0, [1, "A", 1, 2.5, "2024-01-05"])
    text, read, _ = usable(file)
    assert read.files[0].sheet == "一月"
    assert "QUESTION: is it this sheet? There are also: 二月" in text


def test_kinds_of_lines_are_proposed_with_a_question_and_no_default(usable, raw):
    rows = "1,A,1,2,2024-01-05,销售\n2,A,1,2,2024-01-05,退货\n3,A,1,2,2024-01-05,测试\n"
    text, read, _ = usable(raw("orders.csv", "Order ID,SKU,Qty,Price,Order Date,类型\n" + rows))
    kind = feeds(read)["kind"]
    assert dict(kind.codes) == {"销售": "sale", "退货": "return", "测试": "test"}
    assert kind.default is None
    assert "QUESTION: does each value mean this?" in text


def test_codes_are_proposed_where_their_meaning_is_known(usable, raw):
    people = PEOPLE.replace("女", "M").replace("男", "保密")
    _, read, _ = usable(raw("orders.csv", ORDERS), raw("people.csv", people))
    gender = feeds(read, 1)["gender"]
    assert dict(gender.codes) == {"保密": "unknown", "M": "male"}
    assert gender.default is None  # what is not listed is unread, and told


def test_a_code_without_a_known_meaning_is_left_out_and_asked_about(raw):
    people = raw("people.csv", PEOPLE.replace("女", "X"))
    text = draft(ibis.duckdb.connect(), "shop", [people])
    assert 'codes: {"男": male}' in text
    assert '# QUESTION: add to `codes` what this means: "X"' in text


def test_prices_in_cents_are_asked_about(usable, raw):
    text, read, _ = usable(raw("orders.csv", ANY_ORDERS.replace("Price", "price_fen")))
    assert feeds(read)["unit_price"].unit == "cent"
    assert "# QUESTION: is it in cents?" in text


def test_an_amount_may_stand_for_the_price(usable, raw):
    text, read, tables = usable(
        raw("orders.csv", "订单号,商品编码,数量,金额,下单时间\n1,A1,2,5,2024-01-05\n")
    )
    assert feeds(read)["amount"].column == "金额"
    assert "unit_price" not in text
    assert tables["order_lines"].to_pandas()["unit_price"].tolist() == [2.5]


def test_a_missing_required_field_may_stand_in_a_second_file(raw):
    head = "订单号,商品编码,数量,单价\n1,A1,2,5\n"
    text = draft(ibis.duckdb.connect(), "shop", [raw("lines.csv", head)])
    assert "join: {path: FILE, on: COLUMN}" in text


# --- records and further kinds of files

TICKET = {
    "ticket_no": "T1",
    "customer": {"id": "C1"},
    "type": "投诉",
    "times": {"opened": "2024-01-05 10:00:00", "closed": "2024-01-06 10:00:00"},
    "content": "call 110",
}


@pytest.mark.parametrize("file", ["tickets.jsonl", "tickets.ndjson"])
def test_tickets_in_json_lines_are_known_by_their_number(usable, raw, file):
    _, read, tables = usable(raw("orders.csv", ORDERS), raw(file, json.dumps(TICKET)))
    assert read.files[1].table == "tickets"
    assert {name: feed.column for name, feed in feeds(read, 1).items()} == {
        "ticket_id": "ticket_no", "customer_key": "customer.id", "kind": "type",
        "opened_at": "times.opened", "resolved_at": "times.closed", "text": "content",
    }  # fmt: skip
    assert tables["tickets"].to_pandas()["kind"].tolist() == ["complaint"]


def test_the_records_of_an_api_page_are_found(usable, raw):
    page = {"code": 0, "data": {"items": [TICKET, TICKET | {"ticket_no": "T2"}], "page": {"n": 1}}}
    _, read, tables = usable(raw("orders.csv", ORDERS), raw("tickets.json", json.dumps(page)))
    assert read.files[1].records == "data.items"
    assert tables["tickets"].count().execute() == 2


def test_an_api_page_with_two_lists_asks_which(usable, raw):
    page = {"people": [{"id": 1}], "tickets": [TICKET, TICKET | {"ticket_no": "T2"}]}
    text, read, _ = usable(raw("orders.csv", ORDERS), raw("tickets.json", json.dumps(page)))
    assert read.files[1].records == "tickets"
    assert "QUESTION: are these the records? There are also: people" in text


RECORDS = {
    "events": "user_id,event_time,event,page\nC1,2024-01-05 10:00:00,pageview,p\n",
    "reviews": "评价编号,客户编号,商品编码,评价时间,星级,内容\nR1,C1,P1,2024-01-05,5,好\n",
    "surveys": "答卷编号,客户编号,提交时间,问卷,得分\nD1,C1,2024-01-05,NPS,9\n",
    "campaigns": "活动编号,活动名称,开始日期,结束日期\nH1,年货节,2024-01-05,2024-01-09\n",
    "campaign_contacts": "campaign,member,send_time,group\nH1,C1,2024-01-05 10:00:00,T\n",
    "coupons": "券编号,券名称,使用门槛,面额\nQ1,满减,300,40\n",
    "discounts": "订单号,券编号,核销时间,优惠金额\nA1,Q1,2024-01-05,40\n",
    "spend": "day,channel,cost,impressions\n2024-01-05,web,3.5,100\n",
    "touchpoints": "客户编号,触点时间,渠道\nC1,2024-01-05 10:00:00,web\n",
    "leads": "lead_id,created_at,stage,source\nL1,2024-01-05 10:00:00,won,web\n",
    "consents": "客户编号,授权目的,是否同意,时间\nC1,营销推送,是,2024-01-05\n",
    "points": "客户编号,变动时间,变动积分\nC1,2024-01-05 10:00:00,-5\n",
    "usage": "客户编号,日期,模块,会话数\nC1,2024-01-05,报表,3\n",
    "interactions": "客户编号,时间,沟通方式,发起方\nC1,2024-01-05 10:00:00,电话,客户发起\n",
}


@pytest.mark.parametrize("table", RECORDS)
def test_records_that_the_columns_make_plain_are_proposed_and_can_be_used(usable, raw, table):
    _, read, tables = usable(raw("orders.csv", ORDERS), raw(f"{table}.csv", RECORDS[table]))
    assert read.files[1].table == table
    (row,) = tables[table].to_pyarrow().to_pylist()
    needed = [c.name for c in lookup(f"staged/{table}").columns if c.required]
    assert all(row[name] is not None for name in needed)


def test_orders_with_a_coupon_stay_orders(usable, raw):
    head = "Order ID,SKU,Qty,Price,Order Date,Coupon Code,Customer ID\n1,A1,1,2,2024-01-05,Q1,C1\n"
    _, read, _ = usable(raw("orders.csv", head))
    assert read.files[0].table == "order_lines"


def test_a_date_of_birth_is_proposed_and_its_samples_are_masked(usable, raw):
    people = (
        PEOPLE.replace("城市", "出生日期")
        .replace("北京", "1990-01-02")
        .replace("上海", "1991-01-02")
    )
    text, read, _ = usable(raw("orders.csv", ORDERS), raw("people.csv", people))
    assert feeds(read, 1)["birth_date"].column == "出生日期"
    assert "1990" not in text


def test_odd_headers_are_quoted(usable, raw):
    _, read, _ = usable(
        raw("orders.csv", '"Order ID: #",SKU,Qty,Price,"Date [local]"\n1,A,1,2,2024-01-05\n')
    )
    assert feeds(read)["order_id"].column == "Order ID: #"
    assert feeds(read)["ordered_at"].column == "Date [local]"


def test_a_file_that_is_not_there_is_explained(tmp_path):
    with pytest.raises(SourceError, match=r"orders.csv: the file is not there"):
        draft(ibis.duckdb.connect(), "shop", [tmp_path / "orders.csv"])


def test_a_broken_file_is_explained(raw):
    with pytest.raises(SourceError, match=r"orders.csv, row 2: 3 cells; expected 2"):
        draft(ibis.duckdb.connect(), "shop", [raw("orders.csv", "a,b\n1,2,3\n")])


@pytest.mark.parametrize(
    ("text", "kind", "masked"),
    [
        ("13812345678", "phone", "138****5678"),
        ("110", "phone", "****"),
        ("张三丰", "name", "张*"),
        ("ann@example.org", "email", "a***@example.org"),
        ("anything", "other", "***"),
    ],
)
def test_masks_keep_only_what_helps_to_recognise(text, kind, masked):
    assert mask(text, kind) == masked


def test_the_draft_of_online_retail_works_and_asks(usable):
    if not PUBLIC:
        pytest.skip("CRM_PUBLIC_DATA is not set to the folder of the public data")
    text, read, tables = usable(Path(PUBLIC) / "online-retail" / "online_retail.parquet")
    assert feeds(read)["kind"].starts_with == (("A", "adjustment"), ("C", "return"))
    assert feeds(read)["customer_key"].strip_suffix == ".0"
    assert tables["order_lines"].count().execute() == 541_909
    assert text.count("# QUESTION") == 6
