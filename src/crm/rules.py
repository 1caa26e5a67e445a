"""What a row must fulfil, as data: one list of rules, and one function that finds what breaks.

A *rule* names a table, a field and a *check*; a row breaks it or does not. Its *action* says what
becomes of the row: `quarantine` (it waits for its owner, whole), `drop` (it is well-formed but
irrelevant), `fix` (the value is replaced and the old one noted) or `flag` (it stays as it is).
An empty field breaks no rule but `present` and `either`. A source may add rules of its own in its
mapping.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import TYPE_CHECKING

from crm.tables import RECORDS, lookup, moment

if TYPE_CHECKING:
    import ibis
    from ibis.expr.types import BooleanValue, Value

SEVERITIES = ("error", "warning", "note")
ORIGINS = ("entry", "interface", "mapping")  # who can mend it (CLN-10)
EXPIRED = "past its retention"
OUTSIDE = "outside the period"
UNREADABLE = "unreadable"  # a cell that its field could not read, found when it was staged


@dataclass(frozen=True)
class Rule:
    """One rule: what it is called, what it looks at, what becomes of a row that breaks it.

    `value` is what `check` compares with; `when` limits the rule to rows in which another field
    has one of some values, as in `kind=sale|return`.
    """

    id: str
    table: str
    field: str
    check: str
    value: str = ""
    when: str = ""
    action: str = "flag"
    severity: str = "warning"
    origin: str = "entry"
    requirement: str = ""
    why: str = ""


def _present(cell: Value, rule: Rule, given: Given) -> BooleanValue:
    return cell.isnull()


def _either(cell: Value, rule: Rule, given: Given) -> BooleanValue:
    """The field or another one of the row is filled."""
    return cell.isnull() & given.row[rule.value].isnull()


def _at_least(cell: Value, rule: Rule, given: Given) -> BooleanValue:
    return cell < _literal(cell, rule.value)


def _at_most(cell: Value, rule: Rule, given: Given) -> BooleanValue:
    return cell > _literal(cell, rule.value)


def _above(cell: Value, rule: Rule, given: Given) -> BooleanValue:
    return cell <= _literal(cell, rule.value)


def _not_zero(cell: Value, rule: Rule, given: Given) -> BooleanValue:
    return cell == 0


def _one_of(cell: Value, rule: Rule, given: Given) -> BooleanValue:
    return cell.notin(rule.value.split("|"))


def _none_of(cell: Value, rule: Rule, given: Given) -> BooleanValue:
    return cell.isin(rule.value.split("|"))


def _matches(cell: Value, rule: Rule, given: Given) -> BooleanValue:
    return ~cell.re_search(rule.value)


def _in_period(cell: Value, rule: Rule, given: Given) -> BooleanValue:
    import ibis

    if given.period is None:
        return ibis.literal(False)
    return (cell.cast("date") < ibis.date(given.period[0])) | _not_over(cell, rule, given)


def _not_over(cell: Value, rule: Rule, given: Given) -> BooleanValue:
    import ibis

    if given.period is None:
        return ibis.literal(False)
    return cell.cast("date") > ibis.date(given.period[1])


def _not_after(cell: Value, rule: Rule, given: Given) -> BooleanValue:
    """The day of the field comes no later than `as_of`, or than another field of the row."""
    import ibis

    if rule.value == "as_of":
        return cell.cast("date") > ibis.date(given.as_of)
    return cell > given.row[rule.value].cast(cell.type())


def _known(cell: Value, rule: Rule, given: Given) -> BooleanValue:
    """The value stands in a column of another table, if that table has any rows."""
    import ibis

    table, column = rule.value.split(".")
    listed = given.tables.get(table)
    if listed is None:
        return ibis.literal(False)
    return cell.notin(listed.filter(listed[column].notnull())[column])


CHECKS: dict[str, Callable[[Value, Rule, Given], BooleanValue]] = {
    "present": _present,
    "either": _either,
    "at_least": _at_least,
    "at_most": _at_most,
    "above": _above,
    "not_zero": _not_zero,
    "one_of": _one_of,
    "none_of": _none_of,
    "matches": _matches,
    "in_period": _in_period,
    "not_over": _not_over,
    "not_after": _not_after,
    "known": _known,
}
FOUND = "found"  # the check of a rule whose rows are found by a function of `crm.clean`
NEEDS_VALUE = (
    "either",
    "at_least",
    "at_most",
    "above",
    "one_of",
    "none_of",
    "matches",
    "not_after",
    "known",
)


@dataclass(frozen=True)
class Given:
    """What checks compare with: the row, other tables (those with rows), period, `as_of`."""

    row: ibis.Table
    tables: dict[str, ibis.Table]
    period: tuple[str, str] | None = None
    as_of: date | None = None


def _rule(id: str, table: str, field: str, check: str, value: str = "", **more) -> Rule:
    return Rule(id, table, field, check, value, **more)


def _wrong(id: str, table: str, field: str, check: str, value: str = "", **more) -> Rule:
    """A row that breaks it waits in quarantine."""
    given = {"action": "quarantine", "severity": "error", "requirement": "CLN-08", **more}
    return Rule(id, table, field, check, value, **given)


def _odd(id: str, table: str, field: str, check: str, value: str = "", **more) -> Rule:
    """A row that breaks it stays, and stands on the list of issues."""
    return Rule(id, table, field, check, value, **{"requirement": "CLN-08", **more})


def _stranger(table: str) -> Rule:
    return _odd("customer without a record", table, "customer_key", "known",
                "customers.customer_key", origin="interface",
                why="files of customers are mapped, and none of them has this key")  # fmt: skip


_DROP = {"action": "drop", "severity": "note", "origin": "interface"}
_SALE = {"when": "kind=sale"}

# The first rule that a row breaks is its reason, so their order matters.
_ORDER_LINES = [
    _rule("duplicate", "order_lines", "line", FOUND, **_DROP, requirement="CLN-05",
          why="the same line stands earlier, and the mapping says to drop it"),
    _rule("adjustment", "order_lines", "kind", "none_of", "adjustment", **_DROP,
          requirement="CLN-05", why="an entry of the accounts, not a sale"),
    _rule("test", "order_lines", "kind", "none_of", "test", **_DROP, requirement="CLN-07",
          why="an order marked as a test"),
    _rule("test account", "order_lines", "customer_key", FOUND, **_DROP, requirement="CLN-07",
          why="an order of an account that the mapping lists as a test account (Q-45)"),
    *(_wrong(f"{field} missing", "order_lines", field, "present", requirement="CLN-06",
             why=f"a line needs its {field}")
      for field in ("order_id", "product_id", "quantity", "unit_price", "ordered_at")),
    _wrong("amount missing", "order_lines", "amount", FOUND,
           why="quantity × price has more than 14 digits, so one of them is wrong"),
    _wrong("price below zero", "order_lines", "unit_price", "at_least", "0",
           requirement="CLN-02", why="an amount may not be negative; a refund is a return (Q-16)"),
    _wrong("quantity not above zero", "order_lines", "quantity", "above", "0", **_SALE,
           why="a return or a write-off should come as its own kind, not as a sale"),
    _wrong("quantity is zero", "order_lines", "quantity", "not_zero", when="kind=return",
           why="a return needs a quantity"),
    _wrong(OUTSIDE, "order_lines", "ordered_at", "in_period", origin="interface",
           why="the mapping says which days the source covers"),
    _wrong("order of two customers", "order_lines", "order_id", FOUND, origin="interface",
           why="one order number names two customers"),
    _rule("test amount", "order_lines", "amount", FOUND, **_DROP, requirement="CLN-07",
          why="an order worth one cent or less, but not free, is a test (Q-45)"),
    _stranger("order_lines"),
]  # fmt: skip

_CUSTOMERS = [
    _wrong("customer_key missing", "customers", "customer_key", "present", requirement="CLN-06",
           why="a record needs its key"),
    _rule("older record", "customers", "customer_key", FOUND, **_DROP, requirement="ING-25",
          why="a newer record has the same key"),
    _odd("gender not known", "customers", "gender", "present", action="fix", severity="note",
         requirement="CLN-03", why="an empty gender is set to unknown (Q-14)"),
    _odd("phone to verify", "customers", "phone_status", "none_of", "to_verify",
         requirement="CLN-01", why="a phone has 11 digits (Q-18); else nobody calls it"),
    _odd("phone missing", "customers", "phone_status", "none_of", "missing", severity="note",
         requirement="CLN-06", why="a customer without a phone cannot be called"),
    _odd("e-mail badly formed", "customers", "email_status", "none_of", "to_verify",
         why="an address has one @ and a domain; no message arrives at any other"),
    _odd("name missing", "customers", "name_status", "none_of", "missing", requirement="CLN-06",
         why="a record needs the customer's name (ING-13)"),
    _odd("registered_on missing", "customers", "registered_on", "present", requirement="CLN-06",
         why="a record needs the day of registration (ING-13)"),
    _odd("registered after as_of", "customers", "registered_on", "not_after", "as_of",
         why="registration comes before as_of"),
    _odd("born after registration", "customers", "birth_date", "not_after", "registered_on",
         why="nobody registers before being born"),
    _odd("born before 1900", "customers", "birth_date", "at_least", "1900-01-01",
         why="nobody is that old"),
    _odd("order before registration", "customers", "registered_on", FOUND,
         why="registration comes before the first order"),
]  # fmt: skip

_PRODUCTS = [
    _wrong("product_id missing", "products", "product_id", "present", requirement="CLN-06",
           why="a product needs its code"),
    _rule("older product", "products", "product_id", FOUND, **_DROP, requirement="ING-25",
          why="a newer record has the same code"),
    _wrong("list_price below zero", "products", "list_price", "at_least", "0",
           requirement="CLN-02", why="a price may not be negative"),
]  # fmt: skip


def _of_records() -> list[Rule]:
    """What every kind of record must fulfil, from its schema."""
    made = []
    for name in RECORDS:
        table = lookup(f"staged/{name}")
        made += [
            _wrong(f"{c.name} missing", name, c.name, "present", requirement="CLN-06",
                   why=f"{table.row.split(' (')[0]} needs its {c.name}")
            for c in table.columns if c.required
        ]  # fmt: skip
        when = next((c.name for c in table.columns if c.type == "timestamp" and c.required), "")
        if when:
            # what somebody refused years ago still holds when the period begins (PRV-07)
            check = "not_over" if name == "consents" else "in_period"
            made.append(
                _wrong(OUTSIDE, name, when, check, origin="interface",
                       why="the mapping says which days the source covers")
            )  # fmt: skip
        made.append(
            _rule(
                "duplicate",
                name,
                "line",
                FOUND,
                **_DROP,
                requirement="CLN-05",
                why="the same record stands again later, and the mapping says to drop it",
            )
        )
        if table.same:
            made.append(
                _rule(
                    "older version",
                    name,
                    table.same[0],
                    FOUND,
                    **_DROP,
                    requirement="ING-25",
                    why="a later record has the same key",
                )
            )
        made += [_stranger(name)] if "customer_key" in table.names else []
    return made  # fmt: skip


_RECORDS = [
    _rule("repeated click", "events", "at", FOUND, **_DROP, requirement="CLN-07",
          why="the same customer did the same to the same target a moment before (Q-45)"),
    _odd("answered before opened", "tickets", "opened_at", "not_after", "first_response_at",
         origin="interface", why="a case is opened before it is answered"),
    _odd("resolved before opened", "tickets", "opened_at", "not_after", "resolved_at",
         origin="interface", why="a case is opened before it is closed"),
    _wrong("ends before it starts", "campaigns", "starts_on", "not_after", "ends_on",
           why="a campaign starts before it ends"),
    _odd("opened before sent", "campaign_contacts", "sent_at", "not_after", "opened_at",
         origin="interface", why="a message is sent before it is opened"),
    _odd("unknown campaign", "campaign_contacts", "campaign_id", "known",
         "campaigns.campaign_id", origin="interface", why="no file has this campaign"),
    _wrong("order and customer missing", "discounts", "order_id", "either", "customer_key",
           requirement="CLN-06",
           why="a discount belongs to an order, or to the customer who used a coupon"),
    _odd("unknown coupon", "discounts", "coupon_id", "known", "coupons.coupon_id",
         origin="interface", why="no file has this coupon"),
    _wrong("cost below zero", "spend", "cost", "at_least", "0", requirement="CLN-02",
           why="a cost may not be negative"),
    _wrong("cost below zero", "finance", "cost", "at_least", "0", requirement="CLN-02",
           why="a cost may not be negative"),
    _wrong("score above the scale", "surveys", "score", "not_after", "scale_max",
           why="no score is above the best there is"),
    _wrong("score below zero", "surveys", "score", "at_least", "0", why="no score is negative"),
    _wrong("score below zero", "reviews", "score", "at_least", "0", why="no score is negative"),
    _odd("lead followed up before it came", "leads", "created_at", "not_after",
         "first_follow_up_at", origin="interface", why="a lead comes before its follow-up"),
]  # fmt: skip

RULES: tuple[Rule, ...] = (
    *_ORDER_LINES, *_CUSTOMERS, *_PRODUCTS, *_of_records(), *_RECORDS,
)  # fmt: skip


def of(table: str, more: tuple[Rule, ...] = ()) -> list[Rule]:
    """The rules of one table in the order in which they are tried, those of the source last.

    Examples
    --------
    >>> [rule.id for rule in of("products")][:2]
    ['product_id missing', 'older product']
    """
    return [rule for rule in (*RULES, *more) if rule.table == table]


def expiry(table: str, days: int, as_of: date) -> Rule:
    """The rule that removes what is older than `days` at `as_of` (CLN-18); undated rows stay.

    Examples
    --------
    >>> rule = expiry("events", 400, date(2024, 3, 5))
    >>> rule.field, rule.check, rule.value
    ('at', 'at_least', '2023-01-30')
    """
    first = as_of - timedelta(days=days)
    field = moment(lookup(f"staged/{table}"))
    why = f"the mapping lets rows of this table be kept for {days} days"
    return _rule(EXPIRED, table, field, "at_least", f"{first}", **_DROP, requirement="CLN-18",
                 why=why)  # fmt: skip


def breaks(rule: Rule, given: Given, marked: Value | None = None) -> BooleanValue:
    """Whether a row breaks the rule; `marked` answers for a rule whose rows are found elsewhere.

    Parameters
    ----------
    rule
        The rule.
    given
        The row and what it is compared with.
    marked
        Of a rule with the check `found`: whether the row is one of those found.
    """
    import ibis

    if rule.check == FOUND:
        return ibis.literal(False) if marked is None else marked
    broken = CHECKS[rule.check](given.row[rule.field], rule, given).fill_null(False)
    if rule.when:
        field, values = rule.when.split("=")
        broken = broken & given.row[field].isin(values.split("|")).fill_null(False)
    return broken


def read_rule(entry, known: dict[str, dict]) -> tuple[Rule | None, list[tuple[str, str, str]]]:
    """A rule of a mapping, and what is wrong with it: found, expected, how to mend.

    Parameters
    ----------
    entry
        The entry as plain data.
    known
        Fields by table.
    """
    names = [f.name for f in fields(Rule)]
    if not isinstance(entry, dict) or not all(isinstance(v, str) for v in entry.values()):
        return None, [("no rule", "the keys " + ", ".join(names), "write `id`, `table`, …")]
    wrong = [
        (f"unknown key {key!r}", "one of " + ", ".join(names), "mend or remove it")
        for key in entry if key not in names
    ]  # fmt: skip
    choices = {
        "table": list(known), "field": list(known.get(entry.get("table", ""), ())),
        "check": list(CHECKS), "action": ("quarantine", "drop", "flag"),
        "severity": SEVERITIES, "origin": ORIGINS,
    }  # fmt: skip
    needed = ("id", "table", "field", "check", "why")
    wrong += [(f"no `{key}`", "a text", f"add `{key}: …`") for key in needed if not entry.get(key)]
    wrong += [
        (f"`{key}: {entry[key]}`", "one of " + ", ".join(choices[key]), "choose one of them")
        for key in choices if entry.get(key) and entry[key] not in choices[key]
    ]  # fmt: skip
    wrong += [] if wrong else list(_wrong_value(entry, known[entry["table"]]))
    return (None if wrong else Rule(**entry)), wrong


_NUMBERS, _DAYS = ("int", "money", "quantity", "float"), ("date", "timestamp")
_TYPES_OF = {  # the types of field that a check can look at
    "at_least": (*_NUMBERS, *_DAYS), "at_most": (*_NUMBERS, *_DAYS), "above": (*_NUMBERS, *_DAYS),
    "not_zero": _NUMBERS, "one_of": ("string",), "none_of": ("string",), "matches": ("string",),
    "in_period": _DAYS, "not_over": _DAYS, "not_after": (*_NUMBERS, *_DAYS), "known": ("string",),
}  # fmt: skip


def _wrong_value(entry: dict, known: dict):
    """What is wrong with the value of a rule, given that its other keys are right."""
    check, value, kind = entry["check"], entry.get("value", ""), known[entry["field"]].type
    types = _TYPES_OF.get(check, (kind,))
    if kind not in types:
        yield f"check {check!r} of a {kind}", "a field of type " + ", ".join(types), "mend it"
    elif bool(value) != (check in NEEDS_VALUE):
        needs = "a value" if check in NEEDS_VALUE else "no value"
        yield f"check {check!r} with the value {value!r}", needs, "mend it"
    elif check in ("at_least", "at_most", "above") and not _fits(value, kind):
        yield f"the value {value!r} for a {kind}", "a number or a date to compare", "mend it"
    elif check == "matches" and (error := _pattern_error(value)):
        yield f"the pattern {value!r}: {error}", "a regular expression (RE2)", "mend it"
    elif check == "known" and not _is_listed(value):
        yield f"the value {value!r}", "such as products.product_id", "name a table and a column"
    elif check == "either" and (value not in known or value == entry["field"]):
        yield f"the value {value!r}", "another field of the table", "mend it"
    elif check == "not_after" and not _is_comparable(value, kind, known):
        yield f"the value {value!r}", "as_of, or another field of the same type", "mend it"
    yield from _wrong_when(entry.get("when", ""), known)


def _wrong_when(when: str, known: dict):
    if not when:
        return
    field, _, values = when.partition("=")
    if not values or "=" in values:
        yield f"`when: {when}`", "such as kind=sale", "write field=value"
    elif field not in known or known[field].type != "string":
        yield f"`when: {when}`", "a text field of the table", "mend it"


def _fits(value: str, kind: str) -> bool:
    if kind in _NUMBERS:
        return bool(re.fullmatch(r"-?\d{1,14}(\.\d{1,4})?", value))
    try:
        return bool(date.fromisoformat(value))
    except ValueError:
        return False


def _pattern_error(pattern: str) -> str:
    """What the engine has against a pattern; empty if nothing."""
    import duckdb

    try:
        duckdb.execute("SELECT regexp_matches('', ?)", [pattern]).fetchall()
    except duckdb.Error as error:
        return str(error).splitlines()[0]
    return ""


def _is_listed(value: str) -> bool:
    table, _, column = value.partition(".")
    if table not in ("products", "customers", *RECORDS):
        return False
    return any(c.name == column and c.type == "string" for c in lookup(f"staged/{table}").columns)


def _is_comparable(value: str, kind: str, known: dict) -> bool:
    other = "date" if value == "as_of" else known[value].type if value in known else ""
    return other in (_NUMBERS if kind in _NUMBERS else _DAYS)


def _literal(cell: Value, text: str) -> Value:
    """The text as a value of the cell's type."""
    import ibis

    return ibis.literal(text).cast(cell.type())
