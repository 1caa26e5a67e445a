"""Every rule is broken by a row that it speaks of and by no good row, and each is well-formed."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date

import ibis
import pytest
from test_engine import TYPES, found

from crm import clean, engine, rules
from crm.clean import Source
from crm.mapping import STAGED
from crm.rules import CHECKS, FOUND, RULES, Given, Rule, breaks, read_rule
from crm.tables import RECORDS, lookup

AS_OF = date(2024, 6, 30)
PERIOD = ("2024-01-01", "2024-12-31")
COLUMNS = {name: {c.name: c for c in lookup(f"staged/{name}").columns} for name in STAGED}
named = pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.table}: {rule.id}")


@pytest.fixture(scope="module")
def con():
    return engine.connect(threads=2)


# --- what a rule is


@named
def test_a_rule_names_what_there_is_and_says_why(rule):
    assert rule.table in STAGED
    assert rule.field in COLUMNS[rule.table]
    assert rule.check in (*CHECKS, FOUND)
    assert rule.action in ("quarantine", "drop", "fix", "flag")
    assert rule.severity in rules.SEVERITIES
    assert rule.origin in rules.ORIGINS
    assert re.fullmatch(r"(ING|CLN|PRV)-\d\d", rule.requirement)
    assert len(rule.why.split()) >= 3
    assert bool(rule.value) == (rule.check in rules.NEEDS_VALUE)
    if rule.when:
        field, _, values = rule.when.partition("=")
        assert set(values.split("|")) <= set(COLUMNS[rule.table][field].codes)
    if rule.check == "not_after" and rule.value != "as_of":
        assert rule.value in COLUMNS[rule.table]
    if rule.check == "either":
        assert rule.value in COLUMNS[rule.table]
    if rule.check == "known":
        table, _, column = rule.value.partition(".")
        assert column in COLUMNS[table]


def test_ids_are_unique_in_each_table():
    times = Counter((rule.table, rule.id) for rule in RULES)
    assert [key for key, count in times.items() if count > 1] == []


def test_every_table_has_rules_and_every_required_field_one():
    for name in STAGED:
        present = {rule.field for rule in rules.of(name) if rule.check == "present"}
        required = {c.name for c in COLUMNS[name].values() if c.required}
        assert required - present <= {"product_name"}  # a product without a name shows its code


def test_rules_of_the_source_come_last():
    mine = Rule("mine", "products", "list_price", "at_most", "9")
    other = Rule("other", "events", "at", "present")
    assert [rule.id for rule in rules.of("products", (mine, other))][-1] == "mine"
    assert "other" not in {rule.id for rule in rules.of("products", (mine, other))}


# --- each check on a good and on a bad row

GOOD = {
    "string": "x", "int": 3, "money": "5", "quantity": "5", "date": "2024-03-05",
    "timestamp": "2024-03-05 10:00:00",
}  # fmt: skip


def good(name: str) -> dict:
    """A row that breaks no rule: every field is filled, in order of time."""
    row = {c.name: c.codes[0] if c.codes else GOOD[c.type] for c in COLUMNS[name].values()}
    times = [c.name for c in COLUMNS[name].values() if c.type == "timestamp"]
    row |= {field: f"2024-03-{5 + i:02} 10:00:00" for i, field in enumerate(times)}
    row |= {"birth_date": "1990-01-01"} if name == "customers" else {}
    row |= {"ends_on": "2024-03-09"} if name == "campaigns" else {}
    return row


def bad(rule: Rule) -> dict:
    """The good row, spoilt for one check."""
    row, kind = good(rule.table), COLUMNS[rule.table][rule.field].type
    if rule.when:
        field, _, values = rule.when.partition("=")
        row[field] = values.split("|")[0]
    low, high = ("-99999", "99999") if kind not in ("date", "timestamp") else (
        "1800-01-01", "2999-01-01")  # fmt: skip
    values = {
        "present": None, "either": None, "at_least": low, "at_most": high,
        "above": rule.value, "not_zero": "0", "one_of": "no such",
        "none_of": rule.value.split("|")[0], "matches": "no such", "in_period": "2025-01-01",
        "not_over": "2025-01-01",
        "not_after": high, "known": "no such",
    }  # fmt: skip
    others = {rule.value: None} if rule.check == "either" else {}
    return row | others | {rule.field: values[rule.check]}


def _table(con, name: str, *rows: dict) -> ibis.Table:
    columns = COLUMNS[name].values()
    schema = ibis.schema({c.name: TYPES[c.type] for c in columns})
    view = con.create_table(ibis.util.gen_name("rows"), schema=schema, temp=True)
    for number, row in enumerate(rows):
        cells = row | {"line": number}
        texts = ["NULL" if cells.get(c.name) is None else f"'{cells[c.name]}'" for c in columns]
        con.raw_sql(f"INSERT INTO {view.get_name()} VALUES ({', '.join(texts)})")
    return view


def broken(con, rule: Rule, *rows: dict, period=PERIOD, **tables) -> list[bool]:
    """Whether each of the rows breaks the rule."""
    view = _table(con, rule.table, *rows)
    flag = breaks(rule, Given(view, tables, period, AS_OF))
    return [flag for _, flag in found(con, view.select("line", flag=flag))]


def listed(con, rule: Rule) -> dict:
    """The other table that a rule looks into, with the good value in it."""
    if rule.check != "known":
        return {}
    table = rule.value.split(".")[0]
    return {table: _table(con, table, good(table))}


CHECKED = [rule for rule in RULES if rule.check != FOUND]
checked = pytest.mark.parametrize("rule", CHECKED, ids=lambda rule: f"{rule.table}: {rule.id}")


@checked
def test_a_rule_is_broken_by_a_bad_row_and_not_by_a_good_or_an_empty_one(con, rule):
    """One row of each kind; an empty cell breaks no rule but `present`."""
    empty = good(rule.table) | {rule.field: None}
    others = listed(con, rule)
    flags = broken(con, rule, bad(rule), good(rule.table), empty, **others)
    assert flags == [True, False, rule.check == "present"]


@pytest.mark.parametrize(
    "rule", [r for r in CHECKED if r.when], ids=lambda rule: f"{rule.table}: {rule.id}"
)
def test_a_rule_speaks_only_of_the_rows_it_is_meant_for(con, rule):
    field, _, values = rule.when.partition("=")
    other = next(c for c in COLUMNS[rule.table][field].codes if c not in values.split("|"))
    rows = [bad(rule) | {field: value} for value in (other, None)]
    assert broken(con, rule, *rows) == [False, False]


def test_the_good_row_of_each_table_breaks_nothing(con):
    for name in STAGED:
        row = good(name) | ({"kind": "sale"} if name == "order_lines" else {})
        for rule in rules.of(name):
            if rule.check != FOUND:
                assert broken(con, rule, row, **listed(con, rule)) == [False], rule


def flags(con, check: str, value: str, field: str, *cells, table="order_lines", **given):
    rule = Rule("r", table, field, check, value)
    rows = [good(table) | {field: cell} for cell in cells]
    return broken(con, rule, *rows, **given)


@pytest.mark.parametrize(
    ("check", "value", "field", "cells", "expected"),
    [
        ("at_least", "0", "unit_price", ["-0.0001", "0", "1"], [True, False, False]),
        ("at_most", "5", "unit_price", ["5", "5.0001"], [False, True]),
        ("above", "0", "quantity", ["0", "0.0001", "-1"], [True, False, True]),
        ("not_zero", "", "quantity", ["0", "-1", "1"], [True, False, False]),
        ("one_of", "a|b", "channel", ["a", "b", "c", "a|b"], [False, False, True, True]),
        ("none_of", "a|b", "channel", ["a", "b", "c"], [True, True, False]),
        ("matches", "^K[0-9]+$", "customer_key", ["K12", "K", "xK1"], [False, True, True]),
        ("matches", "^茶", "product_name", ["茶壶", "壶"], [False, True]),
        ("at_least", "2024-01-01", "ordered_at", ["2023-12-31", "2024-01-01"], [True, False]),
        (
            "in_period", "", "ordered_at",
            ["2023-12-31 23:59:59", "2024-01-01", "2024-12-31 23:59:59", "2025-01-01"],
            [True, False, False, True],
        ),
        (
            "not_after", "as_of", "ordered_at", ["2024-06-30 23:59:59", "2024-07-01"],
            [False, True],
        ),
        ("not_after", "amount", "unit_price", ["5", "5.0001"], [False, True]),
    ],
)  # fmt: skip
def test_checks_at_their_edges(con, check, value, field, cells, expected):
    assert flags(con, check, value, field, *cells) == expected


def test_one_of_two_fields_is_enough(con):
    rule = next(r for r in RULES if r.id == "order and customer missing")
    pairs = [("A1", "K1"), ("A1", None), (None, "K1"), (None, None)]
    rows = [good("discounts") | {"order_id": a, "customer_key": b} for a, b in pairs]
    assert broken(con, rule, *rows) == [False, False, False, True]


def test_without_a_period_no_day_is_outside_it(con):
    assert flags(con, "in_period", "", "ordered_at", "1066-10-14", period=None) == [False]


def test_a_statement_of_consent_holds_however_early_it_was_made(con):
    rule = next(r for r in RULES if (r.table, r.check) == ("consents", "not_over"))
    days = ["1900-01-01", "2023-12-31", "2024-12-31", "2025-01-01"]
    rows = [good("consents") | {"at": f"{day} 10:00:00"} for day in days]
    assert broken(con, rule, *rows) == [False, False, False, True]


def test_a_time_is_compared_with_another_of_the_row_to_the_second(con):
    rule = next(r for r in RULES if r.id == "answered before opened")
    opened = {"opened_at": "2024-03-05 10:00:00"}
    rows = [
        good("tickets") | opened | {"first_response_at": at}
        for at in ("2024-03-05 09:59:59", "2024-03-05 10:00:00", None)
    ]
    assert broken(con, rule, *rows) == [True, False, False]


def test_a_value_is_known_if_another_table_has_it_and_any_is_if_that_has_no_rows(con):
    rule = Rule("r", "order_lines", "product_id", "known", "products.product_id")
    some = _table(con, "products", good("products") | {"product_id": "P1"}, {"product_id": None})
    rows = [good("order_lines") | {"product_id": value} for value in ("P1", "P2", None)]
    assert broken(con, rule, *rows, products=some) == [False, True, False]
    assert broken(con, rule, *rows) == [False, False, False]


def test_a_rule_whose_rows_are_found_elsewhere_is_broken_by_those_alone(con):
    rule = next(rule for rule in RULES if rule.check == FOUND)
    view = _table(con, rule.table, good(rule.table), good(rule.table))
    given = Given(view, {})
    assert found(con, view.select(flag=breaks(rule, given, view.line == 1))) == [(False,), (True,)]
    assert found(con, view.select(flag=breaks(rule, given))) == [(False,), (False,)]


@pytest.mark.parametrize("name", ["customers", "products", *RECORDS])
def test_of_two_equal_records_all_rules_that_are_found_elsewhere_are_told(con, name):
    """Copies, older versions and repeated clicks, in each table that has such rules."""
    source = Source(policies={name: ["drop"]})
    rows = clean.marks(name, _table(con, name, good(name), good(name)), source)
    if name == "customers":
        rows = rows.mutate(early=ibis.literal(True))
    told = {rule for _, row in found(con, clean.suspects(name, rows, source), "line", "broken")
            for rule in row}  # fmt: skip
    assert told >= {rule.id for rule in rules.of(name) if rule.check == FOUND}


# --- rules of a source

KNOWN = COLUMNS
ENTRY = {
    "id": "price cap", "table": "order_lines", "field": "unit_price", "check": "at_most",
    "value": "100", "why": "no article costs more",
}  # fmt: skip


def test_a_good_rule_is_read_as_written():
    more = {"action": "quarantine", "severity": "error", "origin": "entry", "when": "kind=sale"}
    assert read_rule(ENTRY | more, KNOWN) == (Rule(**ENTRY, **more), [])


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"id": None}, ["no `id`"]),
        ({"why": ""}, ["no `why`", "add `why: …`"]),
        ({"table": "order_line"}, ["`table: order_line`", "one of order_lines, customers"]),
        ({"field": "price"}, ["`field: price`", "unit_price"]),
        ({"check": "atmost"}, ["`check: atmost`", "at_most"]),
        ({"check": "found"}, ["`check: found`"]),
        ({"action": "fix"}, ["`action: fix`", "quarantine, drop, flag"]),
        ({"severity": "bad"}, ["`severity: bad`", "error, warning, note"]),
        ({"origin": "you"}, ["`origin: you`", "entry, interface, mapping"]),
        ({"acton": "flag"}, ["unknown key 'acton'"]),
        ({"value": None}, ["check 'at_most'"]),
        ({"check": "present"}, ["check 'present'", "'100'"]),
        ({"value": "1,000"}, ["the value '1,000'", "a number or a date"]),
        ({"value": "2024-01-01"}, ["the value '2024-01-01' for a money"]),
        ({"field": "ordered_at"}, ["the value '100' for a timestamp"]),
        ({"field": "ordered_at", "value": "2024-02-30"}, ["'2024-02-30'"]),
        ({"field": "product_id"}, ["of a string"]),
        ({"field": "product_id", "check": "matches", "value": "(a"}, ["the pattern '(a'"]),
        ({"field": "product_id", "check": "matches", "value": "(?=a)b"}, ["'(?=a)b'"]),
        ({"check": "matches", "value": "^1"}, ["of a money"]),
        ({"check": "known", "value": "products.list_price"}, []),
        ({"field": "product_id", "check": "known", "value": "goods.id"}, ["products.product_id"]),
        ({"field": "product_id", "check": "known", "value": "products"}, ["products.product_id"]),
        ({"check": "not_after", "value": "as_of"}, []),
        ({"check": "either", "value": "price"}, ["the value 'price'", "another field"]),
        ({"check": "either", "value": "unit_price"}, ["another field of the table"]),
        ({"field": "ordered_at", "check": "not_after", "value": "asof"}, ["as_of"]),
        ({"when": "sale"}, ["`when: sale`", "such as kind=sale"]),
        ({"when": "kinds=sale"}, ["`when: kinds=sale`", "field of the table"]),
        ({"table": "customers", "field": "phone"}, ["`field: phone`"]),  # it lies in the vault
    ],
)
def test_each_mistake_in_a_rule_is_named(change, parts):
    entry = {key: value for key, value in (ENTRY | change).items() if value is not None}
    rule, wrong = read_rule(entry, KNOWN)
    assert rule is None
    told = ["; ".join(texts) for texts in wrong]
    assert any(all(part in text for part in parts) for text in told), told
    assert all(len(texts) == 3 and all(texts) for texts in wrong)


@pytest.mark.parametrize("entry", ["price cap", None, ["a"], {"id": ["a"]}, {"value": {"a": "b"}}])
def test_what_is_no_rule_is_told(entry):
    rule, wrong = read_rule(entry, KNOWN)
    assert rule is None
    assert wrong[0][0] == "no rule"


VALUES = {
    "either": ("amount", "registered_on", "offer", "nothing"),
    "at_least": ("5", "2024-01-01"), "at_most": ("5", "2024-01-01"), "above": ("5", "2024-01-01"),
    "one_of": ("a|b", "1"), "none_of": ("a", "1"), "matches": ("^a", r"\p{Han}"),
    "not_after": ("as_of", *sorted({field for name in STAGED for field in COLUMNS[name]})),
    "known": ("products.product_id", "products.list_price", "customers.registered_on"),
}  # fmt: skip


@pytest.mark.parametrize("name", ["order_lines", "customers", "campaigns"])
def test_whatever_rule_is_accepted_can_be_evaluated(con, name):
    """Each check on each field with each sort of value: refused in words, or it runs."""
    table = _table(con, name, good(name), {})
    others = {n: _table(con, n, good(n)) for n in ("products", "customers")}
    given, accepted = Given(table, others, PERIOD, AS_OF), []
    for field in COLUMNS[name]:
        for check in CHECKS:
            for value in VALUES.get(check, ("",)):
                entry = {"id": "r", "table": name, "field": field, "check": check, "why": "w"}
                rule, wrong = read_rule(entry | ({"value": value} if value else {}), KNOWN)
                assert bool(rule) != bool(wrong)
                accepted += [rule] if rule else []
    assert {rule.check for rule in accepted} == set(CHECKS)
    for start in range(0, len(accepted), 50):  # many at once: each alone would take minutes
        some = accepted[start : start + 50]
        table.select(**{f"f{i}": breaks(rule, given) for i, rule in enumerate(some)}).to_pyarrow()
