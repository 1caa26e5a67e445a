"""A mapping is checked whole, and each message says where, what, what was expected and how."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from crm import mapping
from crm.mapping import Feed, SourceError

GOOD = """\
title: A shop
files:
  - table: order_lines
    path: orders.csv
    duplicates: keep
    columns:
      order_id: Order
      product_id: Item
      quantity: Units
      unit_price: Price
      ordered_at: Date
"""


@pytest.fixture
def write(tmp_path):
    def _write(text: str, name: str = "shop") -> Path:
        path = tmp_path / "data" / "sources" / name / "mapping.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return _write


@pytest.fixture
def messages(write):
    """The messages about a mapping text."""

    def _messages(text: str) -> list[str]:
        read, problems = mapping.check(write(text))
        assert (read is None) == bool(problems)
        return [str(problem) for problem in problems]

    return _messages


def test_a_good_mapping_is_read_whole(write):
    read = mapping.load(write(GOOD + "non_products: [POST, 00123]\n"))
    assert (read.name, read.title, read.public) == ("shop", "A shop", False)
    assert read.files[0].paths == ("orders.csv",)
    assert read.files[0].feeds[0] == Feed("order_id", column="Order")
    assert read.non_products == ("POST", "00123")  # typed zeros stay


def test_a_feed_keeps_codes_as_typed(write):
    read = mapping.load(write(GOOD + "      kind: {column: T, codes: {0: sale, no: return}}\n"))
    assert read.files[0].feeds[-1].codes == (("0", "sale"), ("no", "return"))


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_key(messages):
    assert messages(GOOD.replace("duplicates: keep", "duplicates: keep\n    encodin: utf-8")) == [
        "data/sources/shop/mapping.yaml, line 6: unknown key 'encodin'; expected one of the keys "
        "there are; did you mean 'encoding'? There are: table, path, sheet, delimiter, encoding, "
        "duplicates, columns"
    ]


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("title: A shop", "titel: A shop", ["line 1", "'titel'", "did you mean 'title'?"]),
        ("table: order_lines", "table: order_line", ["line 3", "did you mean 'order_lines'?"]),
        ("quantity: Units", "quantty: Units", ["line 9", "did you mean 'quantity'?"]),
        ("quantity: Units", "quantity: {colum: U}", ["line 9", "did you mean 'column'?"]),
        ("      quantity: Units\n", "", ["line 6", "required field 'quantity'", "add `quantity:"]),
        ("    duplicates: keep\n", "", ["line 3", "`duplicates`"]),
        ("duplicates: keep", "duplicates: kepp", ["line 5", "keep, drop", "did you mean 'keep'?"]),
        ("path: orders.csv", "path: ../orders.csv", ["line 4", "leads out", "data/raw/"]),
        ("path: orders.csv", "path: /etc/orders.csv", ["line 4", "leads out"]),
        ("path: orders.csv", "path: 'C:\\orders.csv'", ["line 4", "leads out"]),
        ("path: orders.csv", "path: 'a\\..\\..\\orders.csv'", ["line 4", "leads out"]),
        ("path: orders.csv", "path: orders.xls", ["line 4", ".xlsx", "save it"]),
        ("path: orders.csv", "path: orders.csv\n    encoding: utf8x", ["line 5", "gb18030"]),
        ("path: orders.csv", "path: orders.csv\n    sheet: One", ["line 5", "`sheet`", ".xlsx"]),
        ("path: orders.csv", "path: orders.csv\n    delimiter: '||'", ["line 5", "one character"]),
        ("Date", "{column: Date, format: '%d/%q/%Y'}", ["line 11", "%q", "%Y-%m-%d"]),
        ("Date", "{column: Date, format: '%H:%M'}", ["line 11", "no full day"]),
        ("Price", "{column: Price, unit: pence}", ["line 10", "pence", "cent, thousand, wan"]),
        ("Price", "{column: Price, format: '%d%Y'}", ["line 10", "`format`", "type money"]),
        ("Price", "{column: Price, value: 3}", ["line 10", "`column` and `value`"]),
        ("Price", "{value: three}", ["line 10", "'three'", "digits"]),
        ("Price", "{column: Price, thousands: ',', decimal: ','}", ["line 10", "both"]),
        ("Order", "{column: Order, default: x}", ["line 7", "`default` alone", "codes"]),
        ("Order", "[a, b]", ["line 7", "order_id", "name of a column"]),
    ],
)
def test_each_mistake_is_named_with_its_line(messages, old, new, parts):
    found = messages(GOOD.replace(old, new))
    assert any(all(part in message for part in parts) for message in found), found
    assert all(message.startswith("data/sources/shop/mapping.yaml") for message in found)


def test_a_code_that_the_schema_does_not_know_is_named(messages):
    (message,) = messages(GOOD + "      kind: {column: T, starts_with: {C: retrun}}\n")
    assert "'retrun'" in message
    assert "sale, return, adjustment, test" in message
    assert "did you mean 'return'?" in message


def test_a_field_mapped_twice_is_named_with_both_lines(messages):
    (message,) = messages(GOOD + "      quantity: Pieces\n")
    assert "line 12: the key 'quantity' stands twice (first in line 9)" in message


def test_a_column_mapped_twice_is_an_error(messages):
    assert messages(GOOD.replace("Price", "Units")) == [
        "data/sources/shop/mapping.yaml, line 10: column 'Units' is mapped twice, to 'quantity' "
        "and 'unit_price'; expected each column once, unless a field takes `codes` or "
        "`starts_with` from it; name the right column for one of them, or remove it"
    ]


def test_a_column_may_feed_a_second_field_that_reads_a_code_from_it(messages):
    assert not messages(
        GOOD + "      kind: {column: Order, starts_with: {C: return}, default: sale}\n"
    )


def test_all_problems_are_found_at_once(messages):
    text = GOOD.replace("title", "titel").replace("keep", "kepp").replace("Units", "Price")
    assert len(messages(text)) == 4  # the title is missing, too


def test_broken_yaml_is_one_message_with_its_line(messages):
    (message,) = messages(GOOD + "      kind: {column: T\n")
    assert message.startswith("data/sources/shop/mapping.yaml, line 13: not YAML: ")


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n", "just text\n"])
def test_a_file_without_keys_is_one_message(messages, text):
    (message,) = messages(text)
    assert "no keys" in message


def test_a_mapping_that_is_not_there_is_one_message(tmp_path):
    with pytest.raises(SourceError, match=r"data/sources/shop/mapping.yaml: the file is not"):
        mapping.load(tmp_path / "shop" / "mapping.yaml")


def test_a_mapping_not_saved_as_utf8_is_one_message(write):
    path = write(GOOD)
    path.write_bytes(GOOD.replace("A shop", "商店").encode("gb18030"))
    with pytest.raises(SourceError, match="line 1: a byte that is not UTF-8"):
        mapping.load(path)


def test_a_source_without_order_lines_is_an_error(messages):
    text = (
        "title: A\nfiles:\n  - table: products\n    path: p.csv\n    columns: "
        "{product_id: P, product_name: N}\n"
    )
    (message,) = messages(text)
    assert "line 2: no file feeds order_lines" in message


def test_customers_need_a_name_which_is_personal(messages):
    text = (
        GOOD + "  - table: customers\n    path: c.csv\n    columns: "
        "{customer_key: K, registered_on: R}\n"
    )
    (message,) = messages(text)
    assert "required field 'name'" in message


def test_the_mapping_of_online_retail_is_good():
    read = mapping.load(Path(__file__).parents[1] / "data/sources/online-retail/mapping.yaml")
    assert read.public
    assert "23444" in read.non_products
    assert "PADS" not in read.non_products


def test_reading_a_mapping_needs_no_table_library():
    code = (
        "import sys, crm.mapping; print(sorted({'pandas', 'ibis', 'duckdb'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
