"""A mapping is checked whole, and each message says where, what, what was expected and how."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from crm import mapping
from crm.mapping import Feed, SourceError
from crm.rules import Rule
from crm.tables import RECORDS, lookup

GOOD = """\
title: A shop
licence: our own
register: {kind: internal, relevance: all sales, reliability: the till, timeliness: daily}
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
        "data/sources/shop/mapping.yaml, line 8: unknown key 'encodin'; expected one of the keys "
        "there are; did you mean 'encoding'? There are: table, path, sheet, delimiter, encoding, "
        "records, join, duplicates, system, refresh_days, columns"
    ]


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("title: A shop", "titel: A shop", ["line 1", "'titel'", "did you mean 'title'?"]),
        ("table: order_lines", "table: order_line", ["line 5", "did you mean 'order_lines'?"]),
        ("quantity: Units", "quantty: Units", ["line 11", "did you mean 'quantity'?"]),
        ("quantity: Units", "quantity: {colum: U}", ["line 11", "did you mean 'column'?"]),
        ("      quantity: Units\n", "", ["line 8", "required field 'quantity'", "add `quantity:"]),
        ("    duplicates: keep\n", "", ["line 5", "`duplicates`"]),
        ("duplicates: keep", "duplicates: kepp", ["line 7", "keep, drop", "did you mean 'keep'?"]),
        ("path: orders.csv", "path: ../orders.csv", ["line 6", "leads out", "data/raw/"]),
        ("path: orders.csv", "path: /etc/orders.csv", ["line 6", "leads out"]),
        ("path: orders.csv", "path: 'C:\\orders.csv'", ["line 6", "leads out"]),
        ("path: orders.csv", "path: 'a\\..\\..\\orders.csv'", ["line 6", "leads out"]),
        ("path: orders.csv", "path: orders.xls", ["line 6", ".xlsx", "save it"]),
        ("path: orders.csv", "path: orders.csv\n    encoding: utf8x", ["line 7", "gb18030"]),
        ("path: orders.csv", "path: orders.csv\n    sheet: One", ["line 7", "`sheet`", ".xlsx"]),
        ("path: orders.csv", "path: orders.csv\n    delimiter: '||'", ["line 7", "one character"]),
        ("Date", "{column: Date, format: '%d/%q/%Y'}", ["line 13", "%q", "%Y-%m-%d"]),
        ("Date", "{column: Date, format: '%H:%M'}", ["line 13", "no full day"]),
        ("Price", "{column: Price, unit: pence}", ["line 12", "pence", "cent, thousand, wan"]),
        ("Price", "{column: Price, format: '%d%Y'}", ["line 12", "`format`", "type money"]),
        ("Price", "{column: Price, value: 3}", ["line 12", "`column` and `value`"]),
        ("Price", "{value: three}", ["line 12", "'three'", "digits"]),
        ("Price", "{column: Price, thousands: ',', decimal: ','}", ["line 12", "both"]),
        ("Order", "{column: Order, strict: true}", ["line 9", "`strict`", "only with phone"]),
        ("Price", "{column: Price, strict: true}", ["line 12", "`strict`", "type money"]),
        ("Order", "{column: Order, default: x}", ["line 9", "`default` alone", "codes"]),
        ("Order", "[a, b]", ["line 9", "order_id", "name of a column"]),
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
    assert "line 14: the key 'quantity' stands twice (first in line 11)" in message


def test_a_column_mapped_twice_is_an_error(messages):
    assert messages(GOOD.replace("Price", "Units")) == [
        "data/sources/shop/mapping.yaml, line 12: column 'Units' is mapped twice, to 'quantity' "
        "and 'unit_price'; expected each column once, unless a field takes `codes` or "
        "`starts_with` from it; name the right column for one of them, or remove it"
    ]


def test_a_column_may_feed_a_second_field_that_reads_a_code_from_it(messages):
    assert not messages(
        GOOD + "      kind: {column: Order, starts_with: {C: return}, default: sale}\n"
    )


# --- the source register (ING-12, PRV-13)


def test_a_source_without_licence_is_refused(messages):
    (message,) = messages(GOOD.replace("licence: our own\n", ""))
    assert "no `licence`; expected on what terms the data may be used (PRV-13)" in message


def test_a_source_without_an_entry_in_the_register_is_refused(messages):
    (message,) = messages("\n".join(line for line in GOOD.splitlines() if "register" not in line))
    assert message == (
        "data/sources/shop/mapping.yaml: no entry in the source register; expected internal: "
        "relevance, reliability, timeliness; external: accuracy, coverage, legality; add "
        "`register:` with `kind` and one sentence for each criterion"
    )


REGISTER = "{kind: internal, relevance: all sales, reliability: the till, timeliness: daily}"


@pytest.mark.parametrize(
    ("register", "parts"),
    [
        ("{kind: internal, relevance: a, reliability: b}", ["no value for `timeliness`"]),
        ("{kind: internal, relevance: '', reliability: b, timeliness: c}", ["`relevance`"]),
        ("{kind: intern, relevance: a}", ["line 3", "did you mean 'internal'?"]),
        ("{relevance: a}", ["no value for `kind`"]),
        ("{kind: external, accuracy: a, coverage: b}", ["no value for `legality`"]),
        (
            "{kind: external, accuracy: a, coverage: b, legality: c, relevance: d}",
            ["unknown criterion 'relevance'", "accuracy, coverage, legality"],
        ),
        ("yes", ["no entry in the source register"]),
    ],
)
def test_each_criterion_of_the_register_is_asked_for(messages, register, parts):
    found = messages(GOOD.replace(REGISTER, register))
    assert any(all(part in message for part in parts) for message in found), found


def test_the_register_is_kept_as_written(write):
    external = "{kind: external, accuracy: a, coverage: b, legality: c}"
    read = mapping.load(write(GOOD.replace(REGISTER, external)))
    assert dict(read.register) == {
        "kind": "external", "accuracy": "a", "coverage": "b", "legality": "c",
    }  # fmt: skip


# --- what a file may say beside its columns


def entry(line: str) -> str:
    """The good mapping with a line more in its only file."""
    return GOOD.replace("    duplicates: keep\n", f"    duplicates: keep\n    {line}\n")


def test_a_file_says_how_it_is_read_whence_it_comes_and_when_the_next_is_due(write):
    lines = "encoding: GB18030\n    system: the web shop\n    refresh_days: 31\n"
    lines += "    join: {path: heads.csv, on: Order}"
    (file,) = mapping.load(write(entry(lines))).files
    assert (file.encoding, file.system, file.refresh_days) == ("gb18030", "the web shop", 31)
    assert file.join == mapping.Join("heads.csv", "Order")
    (plain,) = mapping.load(write(GOOD)).files
    assert (plain.encoding, plain.system, plain.refresh_days, plain.join) == (None, "", 0, None)


def test_an_api_page_says_where_its_records_stand(write):
    text = entry("records: data.items").replace("orders.csv", "orders.json")
    assert mapping.load(write(text)).files[0].records == "data.items"


@pytest.mark.parametrize("path", ["orders_*.csv", "2024/orders_??.jsonl", "orders.NDJSON"])
def test_a_path_may_be_a_pattern_and_of_any_kind_that_is_read(write, path):
    assert mapping.load(write(GOOD.replace("orders.csv", path))).files[0].paths == (path,)


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("records: data.items", ["`records` for 'orders.csv'", "it only with .json"]),
        ("refresh_days: monthly", ["'monthly'", "a number of days"]),
        ("refresh_days: -1", ["'-1'", "a number of days"]),
        ("join: heads.csv", ["`join` is no mapping", "{path: FILE, on: COLUMN}"]),
        ("join: {path: heads.csv}", ["no value for `on`"]),
        ("join: {on: Order}", ["no `path`"]),
        ("join: {path: ../heads.csv, on: Order}", ["leads out"]),
        ("join: {path: heads.csv, in: Order, on: Order}", ["unknown key 'in'"]),
    ],
)
def test_each_mistake_in_what_a_file_says_is_named(messages, line, parts):
    found = messages(entry(line))
    assert any(all(part in message for part in parts) for message in found), found


def test_records_say_nothing_of_duplicates_and_then_keep_them(write):
    text = GOOD + "  - table: touchpoints\n    path: t.csv\n    columns: {at: A, channel: C}\n"
    assert [file.duplicates for file in mapping.load(write(text)).files] == ["keep", "keep"]


@pytest.mark.parametrize(
    ("table", "columns"),
    [("customers", "customer_key: K, registered_on: R, name: N"),
     ("products", "product_id: P, product_name: N")],
)  # fmt: skip
def test_customers_and_products_have_no_say_on_duplicates(messages, table, columns):
    text = GOOD + f"  - table: {table}\n    path: x.csv\n    duplicates: drop\n"
    (message,) = messages(text + f"    columns: {{{columns}}}\n")
    assert f"line 16: `duplicates` for table '{table}'; expected it only with other" in message


def test_every_kind_of_record_can_be_fed(write):
    text = GOOD
    for name in RECORDS:
        fields = lookup(f"staged/{name}").columns
        needed = [c.name for c in fields if c.required or c.name == "order_id"]
        columns = ", ".join(f"{field}: c_{field}" for field in needed)
        text += f"  - table: {name}\n    path: {name}.csv\n    columns: {{{columns}}}\n"
    assert len(mapping.load(write(text)).files) == 1 + len(RECORDS)


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_needs_its_required_fields(messages, name):
    some = next(c.name for c in lookup(f"staged/{name}").columns if not c.required
                and c.name not in ("source", "line"))  # fmt: skip
    text = GOOD + f"  - table: {name}\n    path: x.csv\n    columns: {{{some}: S}}\n"
    needed = [c.name for c in lookup(f"staged/{name}").columns if c.required]
    found = messages(text)
    assert len(found) == len(needed)
    for field, message in zip(needed, found, strict=True):
        assert f"no column feeds the required field '{field}'" in message


def test_a_discount_needs_its_order_or_its_customer(write, messages):
    entry = """  - table: discounts
    path: used.csv
    columns: {given_at: Day, amount: Off}
"""
    (message,) = messages(GOOD + entry)
    assert "line 16: no column feeds 'order_id' or 'customer_key'; expected one of them" in message
    for who in ("order_id", "customer_key"):
        assert mapping.load(write(GOOD + entry.replace("{", f"{{{who}: Who, ")))


def test_the_amount_may_stand_for_the_price_and_one_of_them_must_be_there(write, messages):
    assert mapping.load(write(GOOD.replace("unit_price: Price", "amount: Total")))
    (message,) = messages(GOOD.replace("      unit_price: Price\n", ""))
    assert "no column feeds the required field 'unit_price'" in message


def test_a_prefix_is_for_texts_only(write, messages):
    feed = mapping.load(
        write(GOOD.replace(": Order", ": {column: Order, prefix: W-}"))
    ).files[0].feeds[0]  # fmt: skip
    assert (feed.column, feed.prefix) == ("Order", "W-")
    (message,) = messages(GOOD.replace(": Price", ": {column: Price, prefix: W-}"))
    assert "`prefix` for a field of type money" in message


# --- period, test accounts, extended fields, rules


def test_period_and_test_accounts_are_read_as_typed(write):
    text = GOOD + "period: {from: 2024-01-01, to: 2024-12-31}\ntest_accounts: [K1, 007]\n"
    read = mapping.load(write(text))
    assert read.period == ("2024-01-01", "2024-12-31")
    assert read.test_accounts == ("K1", "007")


@pytest.mark.parametrize(
    "period",
    ["2024", "{from: 2024-01-01}", "{from: 2024-12-31, to: 2024-01-01}", "{from: a, to: b}",
     "{from: 2024-02-30, to: 2024-12-31}", "{from: 2024-01-01, to: 2024-12-31, on: x}"],
)  # fmt: skip
def test_a_period_is_two_days_in_order(messages, period):
    (message,) = messages(GOOD + f"period: {period}\n")
    assert "mapping.yaml, line 14" in message


EXTENDED = "fields:\n  - {name: favourite_store, type: string, about: store, purpose: profiles}\n"
PEOPLE = """\
  - table: customers
    path: c.csv
    columns: {customer_key: K, registered_on: R, name: N, favourite_store: S}
"""


def test_a_table_may_have_a_retention_period_in_days(write):
    text = GOOD + "retention: {events: 400 days, order_lines: 1 day}\n"
    assert mapping.load(write(text)).retention == (("events", 400), ("order_lines", 1))
    assert mapping.load(write(GOOD)).retention == ()


@pytest.mark.parametrize(
    ("retention", "parts"),
    [
        ("400 days", ["no mapping of texts", "{events: 400 days}"]),
        ("{event: 400 days}", ["unknown table 'event'", "did you mean 'events'?"]),
        ("{customers: 400 days}", ["unknown table 'customers'", "a table of dated facts"]),
        ("{products: 400 days}", ["unknown table 'products'"]),
        ("{events: 400}", ["'400'", "a number of days, as 400 days"]),
        ("{events: 0 days}", ["'0 days'"]),
        ("{events: 2 years}", ["'2 years'"]),
        ("{events: [400 days]}", ["no mapping of texts"]),
    ],
)
def test_each_mistake_in_a_retention_period_is_named(messages, retention, parts):
    (message,) = messages(GOOD + f"retention: {retention}\n")
    assert "line 14" in message
    assert all(part in message for part in parts), message


def test_a_source_may_say_what_empty_fields_of_customers_become(write):
    base = GOOD.replace("files:\n", "files:\n" + PEOPLE, 1)
    text = EXTENDED + base + "missing: {favourite_store: none, gender: female}\n"
    assert mapping.load(write(text)).missing == (("gender", "female"), ("favourite_store", "none"))
    assert mapping.load(write(GOOD)).missing == (("gender", "unknown"),)


@pytest.mark.parametrize(
    ("missing", "parts"),
    [
        ("unknown", ["no mapping", "{industry: unknown}"]),
        ("{industri: unknown}", ["unknown field 'industri'", "did you mean 'industry'?"]),
        ("{birth_date: 1900-01-01}", ["unknown field 'birth_date'", "a text field of customers"]),
        ("{name: nobody}", ["unknown field 'name'"]),
        ("{customer_key: x}", ["unknown field 'customer_key'"]),
        ("{gender: W}", ["'W'", "one of male, female, unknown"]),
        ("{industry: }", ["None", "a text"]),
        ("{industry: [a]}", ["['a']", "a text"]),
    ],
)
def test_each_mistake_in_what_empty_fields_become_is_named(messages, missing, parts):
    (message,) = messages(GOOD + f"missing: {missing}\n")
    assert "line 14" in message
    assert all(part in message for part in parts), message


def test_a_source_may_say_what_its_data_cannot_carry(write):
    text = GOOD + "limits:\n  baskets: a sample of lines\n  rfm: {with care: sums are small}\n"
    assert mapping.load(write(text)).limits == (
        ("baskets", "no", "a sample of lines"), ("RFM", "with care", "sums are small"),
    )  # fmt: skip
    assert mapping.load(write(GOOD)).limits == ()


@pytest.mark.parametrize(
    ("limits", "parts"),
    [
        ("baskets", ["no mapping", "{baskets: TEXT}"]),
        ("{basket: why}", ["unknown analysis 'basket'", "did you mean 'baskets'?"]),
        ("{baskets: }", ["None", "a reason, or `{with care: REASON}`"]),
        ("{baskets: {}}", ["{}", "a reason"]),
        ("{baskets: [why]}", ["['why']", "a reason"]),
        ("{baskets: {yes: why}}", ["{'yes': 'why'}", "a reason"]),
        ("{baskets: {no: why, with care: why}}", ["with care", "a reason"]),
        ("{baskets: {no: [why]}}", ["['why']", "a reason"]),
    ],
)
def test_each_mistake_in_a_limit_is_named(messages, limits, parts):
    (message,) = messages(GOOD + f"limits: {limits}\n")
    assert "line 14" in message
    assert all(part in message for part in parts), message


def test_a_legal_basis_is_read_for_the_purposes_that_it_names(write):
    text = GOOD + "basis:\n  analysis: contract\n"
    assert mapping.load(write(text)).basis == (("analysis", "contract"),)
    assert mapping.load(write(GOOD)).basis == ()


@pytest.mark.parametrize(
    ("basis", "parts"),
    [
        ("contract", ["basis", "no mapping", "purpose and legal basis"]),
        ("{marketting: contract}", ["marketting", "marketing"]),
        ("{marketing: }", ["legal basis in a few words", "leave the purpose out"]),
        ("{marketing: [a]}", ["legal basis in a few words", "leave the purpose out"]),
    ],
    ids=["a text", "no purpose", "empty", "a list"],
)
def test_each_mistake_in_a_basis_is_named(messages, basis, parts):
    (message,) = messages(GOOD + f"basis: {basis}\n")
    assert all(part in message for part in parts)


def with_people(fields: str) -> str:
    return GOOD.replace("files:\n", fields + "files:\n") + PEOPLE


def test_an_extended_field_is_declared_and_fed_without_code(write):
    read = mapping.load(write(with_people(EXTENDED)))
    assert [(c.name, c.type, c.about) for c in read.extended] == [
        ("favourite_store", "string", "store")
    ]
    assert mapping.declared(read) == [
        {"name": "favourite_store", "type": "string", "about": "store"}
    ]
    assert read.files[1].feeds[-1] == Feed("favourite_store", column="S")


def test_a_field_that_nobody_declared_is_unknown(messages):
    (message,) = messages(with_people(""))
    assert "unknown field 'favourite_store'" in message


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        (", purpose: profiles", "", ["no value for `purpose`"]),  # PRV-06: not read without one
        ("about: store, ", "", ["no value for `about`"]),
        ("type: string", "type: text", ["string, int, money, quantity, date"]),
        ("name: favourite_store", "name: city", ["the name 'city'", "a new name"]),
        ("name: favourite_store", "name: phone", ["the name 'phone'", "a new name"]),
        ("name: favourite_store", "name: phone_status", ["the name 'phone_status'"]),
        ("name: favourite_store", "name: imputed", ["the name 'imputed'"]),
        ("name: favourite_store", "name: Favourite store", ["small letters"]),
        ("purpose: profiles", "purpose: profiles, unit: x", ["unknown key 'unit'"]),
        ("  - {", "  - x\n  - {", ["no list of fields"]),
    ],
)
def test_each_mistake_in_an_extended_field_is_named(messages, old, new, parts):
    found = messages(with_people(EXTENDED.replace(old, new)))
    assert any(all(part in message for part in parts) for message in found), found


def test_an_extended_field_stands_once(messages):
    found = messages(with_people(EXTENDED + EXTENDED.split("fields:\n")[1]))
    assert any("the name 'favourite_store'" in message for message in found)


CAP = "{id: price cap, table: order_lines, field: unit_price, check: at_most, value: 100, why: w}"


def test_rules_of_a_source_are_read(write):
    read = mapping.load(write(GOOD + f"rules:\n  - {CAP}\n"))
    assert read.rules == (
        Rule("price cap", "order_lines", "unit_price", "at_most", "100", why="w"),
    )


@pytest.mark.parametrize(
    ("rules", "parts"),
    [
        ("yes", ["line 14", "no list of rules"]),
        ("\n  - price cap", ["no rule"]),
        (f"\n  - {CAP}\n  - {CAP}", ["order_lines has two rules 'price cap'", "rename yours"]),
        (f"\n  - {CAP.replace('price cap', 'duplicate')}", ["two rules 'duplicate'"]),
        (f"\n  - {CAP.replace('at_most', 'atmost')}", ["line 15", "`check: atmost`"]),
    ],
)
def test_a_mistake_in_the_rules_is_named(messages, rules, parts):
    found = messages(GOOD + f"rules: {rules}\n")
    assert any(all(part in message for part in parts) for message in found), found


def test_rules_of_two_tables_may_share_a_name(write):
    other = "{id: price cap, table: products, field: list_price, check: at_most, value: 9, why: w}"
    assert len(mapping.load(write(GOOD + f"rules:\n  - {CAP}\n  - {other}\n")).rules) == 2


def test_all_problems_are_found_at_once(messages):
    text = GOOD.replace("title", "titel").replace("keep", "kepp").replace("Units", "Price")
    assert len(messages(text)) == 4  # the title is missing, too


def test_broken_yaml_is_one_message_with_its_line(messages):
    (message,) = messages(GOOD + "      kind: {column: T\n")
    assert message.startswith("data/sources/shop/mapping.yaml, line 15: not YAML: ")


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
    text = GOOD.split("files:")[0] + (
        "files:\n  - table: products\n    path: p.csv\n    columns: "
        "{product_id: P, product_name: N}\n"
    )
    (message,) = messages(text)
    assert "line 4: no file feeds order_lines" in message


def test_customers_need_a_name_which_is_personal(messages):
    text = (
        GOOD + "  - table: customers\n    path: c.csv\n    columns: "
        "{customer_key: K, registered_on: R}\n"
    )
    (message,) = messages(text)
    assert "required field 'name'" in message


SOURCES = sorted((Path(__file__).parents[1] / "data/sources").glob("*/mapping.yaml"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.parent.name)
def test_the_mappings_of_the_project_are_good(path):
    assert mapping.check(path)[1] == []


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
