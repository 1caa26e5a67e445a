"""Every line meets one fate, for one reason, and the ledger proves it."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace

import ibis
import pandas as pd
import pytest
from conftest import Bench
from test_engine import found, literal

from crm import clean, engine, rules
from crm.clean import Source
from crm.rules import Rule
from crm.tables import RECORDS, lookup

STAGED = ("order_lines", "customers", "products", *RECORDS)
LINES = Source()  # without rules of its own


def reversals(judged):
    """The pairs that the notebook finds."""
    rest = clean.rest(judged)
    return clean.reversals(clean.equals(judged, rest), rest)


HEAD = "line order_id kind customer_key product_id quantity unit_price ordered_at\n"


@pytest.fixture(scope="module")
def con():
    return engine.connect(threads=2)


def order_lines(con, text: str, **same) -> ibis.Table:
    """Order lines as they arrived; the amount is computed where it is not written."""
    lines = literal(con, "staged/order_lines", text, source="shop", **same)
    quantity, price = (lines[c].cast("decimal(22, 4)") for c in ("quantity", "unit_price"))
    product = (quantity * price).try_cast("decimal(18, 4)")
    return lines.mutate(amount=lines.amount.fill_null(product))


@pytest.fixture
def arrive(con):
    """Order lines as they arrived, and what became of them."""

    def _arrive(text: str, policies=("keep",), whole=True, source=LINES, **same):
        lines = order_lines(con, HEAD + text, **same)
        dropped = clean.dropped(clean.duplicates(lines), list(policies))
        first = clean.judge(lines, dropped, source=source)
        odd = clean.odd_orders(clean.drafts(first))
        judged = clean.judge(lines, dropped, odd, source=source)
        return lines, judged if whole else first

    return _arrive


@pytest.fixture
def reasons(con, arrive):
    """The reason of each line by its number, None for a kept one."""

    def _reasons(text: str, **options):
        return dict(found(con, arrive(text, **options)[1], "line", "reason"))

    return _reasons


@pytest.fixture
def booking(con):
    """The ledger of order lines alone, as a frame."""

    def _booking(judged, arrived: int):
        drafts, rest = clean.drafts(judged), clean.rest(judged)
        orders = clean.orders(drafts, clean.odd_orders(drafts))
        suspects = clean.all_suspects(judged, rest, {}, orders, LINES)
        return engine.frame(con, clean.ledger(orders, rest, suspects, {"order_lines": arrived}))

    return _booking


@pytest.fixture
def cleaned(con, tmp_path):
    """The cells of the notebook run on tables written as text; the others are empty."""

    def _cleaned(
        *more: Rule, policies=None, unread="line", share=1, retention=(),
        missing=Source.missing, **texts: str,
    ) -> Bench:  # fmt: skip
        policies, same = policies or {}, {"source": "shop"}
        period = texts.pop("period", None)
        mapped = SimpleNamespace(
            rules=more, period=period, retention=retention, missing=missing,
            test_accounts=("T",), non_products=("P0",), extended=(),
        )  # fmt: skip
        rows = {n: literal(con, f"staged/{n}", texts.get(n, "line"), **same) for n in STAGED}
        rows["order_lines"] = order_lines(con, texts.get("order_lines", "line"))
        count = {name: int(table.count().execute()) for name, table in rows.items()}
        files = "table file number duplicates rows\n" + "".join(
            f"{name} file{number} {number} {policy} {count[name]}\n"
            for name in texts
            for number, policy in enumerate(policies.get(name, ["keep"]))
        )
        rows |= {
            "files": literal(con, "staged/files", files),
            "unread": literal(con, "staged/unread", unread),
        }
        tables = {f"staged/{name}": table for name, table in rows.items()}
        bench = Bench(con, tmp_path, tables, {"balance": {"max_share": share}})
        bench.source = SimpleNamespace(mapping=None)
        bench.execute("clean", clean=clean, mapping=SimpleNamespace(load=lambda path: mapped))
        return bench

    return _cleaned


# --- exact duplicates (CLN-05)

THREE_COPIES = """
3  A  sale  1  mug  2  5.00  2023-01-02T10:00
1  A  sale  1  mug  2  5.00  2023-01-02T10:00
2  A  sale  1  mug  2  5.00  2023-01-02T10:00
4  A  sale  1  mug  3  5.00  2023-01-02T10:00
"""


def test_lines_that_differ_only_in_their_number_are_duplicates_of_the_first(con, arrive):
    lines, _ = arrive(THREE_COPIES)
    assert found(con, clean.duplicates(lines)) == [(2,), (3,)]


@pytest.mark.parametrize("column", clean.CONTENT)
def test_lines_that_differ_in_one_column_are_no_duplicates(con, arrive, column):
    lines, _ = arrive("1 A sale 1 mug 2 5 2023-01-02\n2 A sale 1 mug 2 5 2023-01-02")
    kind = lines[column].type()
    other = {"quantity": "2.0001", "unit_price": "5.0001", "amount": "10.0001"}
    other["ordered_at"] = "2023-01-02T00:00:01"
    changed = ibis.literal(other.get(column, "other")).cast(kind)
    torn = lines.mutate(**{column: (lines.line == 2).ifelse(changed, lines[column])})
    assert found(con, clean.duplicates(lines)) == [(2,)]
    assert found(con, clean.duplicates(torn)) == []


def test_two_empty_cells_are_equal_but_no_cell_equals_an_empty_one(con, arrive):
    text = "1 A sale - mug 2 5 -\n2 A sale - mug 2 5 -\n3 A sale 1 mug 2 5 -"
    assert found(con, clean.duplicates(arrive(text)[0])) == [(2,)]


def test_empty_text_is_not_an_empty_cell(con, arrive):
    lines, _ = arrive("1 A sale - mug 2 5 2023-01-02\n2 A sale - mug 2 5 2023-01-02")
    blank = lines.mutate(customer_key=(lines.line == 2).ifelse("", lines.customer_key))
    assert found(con, clean.duplicates(blank)) == []


TWO_FILES = """
1           A  sale  1  mug  2  5.00  2023-01-02
2           A  sale  1  mug  2  5.00  2023-01-02
1000000001  B  sale  1  mug  2  5.00  2023-01-02
1000000002  B  sale  1  mug  2  5.00  2023-01-02
"""


def test_duplicates_are_dropped_from_the_files_that_say_so_and_flagged_elsewhere(con, arrive):
    lines, judged = arrive(TWO_FILES, policies=["keep", "drop"])
    assert found(con, judged, "line", "fate", "reason") == [
        (1, "kept", None),
        (1000000001, "kept", None),
        (1000000002, "removed", "duplicate"),
        (2, "kept", None),
    ]
    items = clean.items(lines, clean.rest(judged), clean.duplicates(lines))
    assert found(con, items, "line", "is_duplicate") == [
        (1, False), (1000000001, False), (2, True),
    ]  # fmt: skip


def test_duplicates_are_kept_where_no_file_drops_them(reasons):
    assert set(reasons(TWO_FILES).values()) == {None}


# --- rules (CLN-02, CLN-07, CLN-08)

ONE_OF_EACH = """
1   A  adjustment  -  debt  1  -90.00  2023-01-02
2   B  test        1  mug   1  5.00    2023-01-02
3   C  sale        1  -     1  5.00    2023-01-02
4   D  sale        1  mug   1  -1.00   2023-01-02
5   E  sale        1  mug   0  5.00    2023-01-02
6   F  sale        1  mug   1  5.00    2023-01-02
7   F  sale        2  mug   1  5.00    2023-01-02
8   C  sale        1  -     1  5.00    2023-01-02
9   G  sale        T  mug   1  5.00    2023-01-02
10  -  sale        1  mug   1  5.00    2023-01-02
11  H  sale        1  mug   -  5.00    2023-01-02
12  I  sale        1  mug   1  -       2023-01-02
13  J  sale        1  mug   1  5.00    -
14  K  return      1  mug   0  5.00    2023-01-02
15  L  sale        1  mug   1  5.00    2024-01-01
16  M  sale        1  mug   1  0.01    2023-01-02
17  N  sale        1  mug   9999999999  99999  2023-01-02
"""
STRICT = Source(period=("2023-01-01", "2023-12-31"), test_accounts=("T",))


def test_each_reason_has_its_line(reasons):
    given = reasons(ONE_OF_EACH, policies=["drop"], source=STRICT)
    assert given == {
        1: "adjustment", 2: "test", 3: "product_id missing", 4: "price below zero",
        5: "quantity not above zero", 6: "order of two customers", 7: "order of two customers",
        8: "duplicate", 9: "test account", 10: "order_id missing", 11: "quantity missing",
        12: "unit_price missing", 13: "ordered_at missing", 14: "quantity is zero",
        15: "outside the period", 16: "test amount", 17: "amount missing",
    }  # fmt: skip
    keep_back = {rule.id for rule in rules.of("order_lines") if rule.action != "flag"}
    assert set(given.values()) == keep_back


@pytest.mark.parametrize(
    "field", ["order_id", "product_id", "quantity", "unit_price", "ordered_at"]
)
def test_a_line_without_a_required_field_is_quarantined_and_the_field_is_named(con, arrive, field):
    assert lookup("staged/order_lines")[field].required
    lines, _ = arrive("1 A sale 1 mug 1 5.00 2023-01-02")
    torn = lines.mutate(**{field: ibis.null(lines[field].type())})
    judged = clean.judge(torn, clean.duplicates(torn).filter(False), source=LINES)
    assert found(con, judged, "fate", "reason") == [("quarantined", f"{field} missing")]


def test_an_amount_that_overflows_breaks_one_rule_and_a_missing_price_another(con, arrive):
    _, judged = arrive("1 A sale 1 mug 9999999999 99999 2023-01-02\n2 B sale 1 mug 1 - 2023-01-02")
    rows = clean.suspects("order_lines", judged, LINES)
    assert found(con, rows, "line", "broken") == [
        (1, ["amount missing"]), (2, ["unit_price missing"]),
    ]  # fmt: skip


def test_a_line_without_a_customer_is_kept(reasons):
    assert reasons("1 A sale - mug 1 5.00 2023-01-02") == {1: None}


FIRST_RULE_WINS = """
1  A  sale  1  -    0  -5.00  2023-01-02
2  A  sale  1  -    0  -5.00  2023-01-02
3  B  test  1  -    0  -5.00  2023-01-02
4  C  sale  1  mug  0  -5.00  2023-01-02
5  D  sale  1  mug  0  5.00   2023-01-02
6  D  sale  2  mug  1  5.00   2023-01-02
7  D  sale  1  mug  1  5.00   2023-01-02
"""


def test_the_first_rule_that_a_line_breaks_is_its_reason(reasons):
    assert reasons(FIRST_RULE_WINS, policies=["drop"]) == {
        1: "product_id missing", 2: "duplicate", 3: "test", 4: "price below zero",
        5: "quantity not above zero", 6: "order of two customers",
        7: "order of two customers",
    }  # fmt: skip


def test_an_amount_of_minus_one_is_quarantined_and_of_zero_kept(reasons):
    text = "1 A sale 1 mug 1 -1 2023-01-02\n2 B sale 1 mug 1 0 2023-01-02"  # E13
    assert reasons(text) == {1: "price below zero", 2: None}


def test_a_return_may_have_units_of_either_sign_but_not_none(reasons):
    text = "1 A return 1 mug -2 5 2023-01-02\n2 B return 1 mug 2 5 2023-01-02\n"
    text += "3 C return 1 mug 0 5 2023-01-02\n4 D sale 1 mug -2 5 2023-01-02"
    assert reasons(text) == {1: None, 2: None, 3: "quantity is zero", 4: "quantity not above zero"}


def test_days_outside_the_period_are_quarantined_and_both_its_ends_are_in_it(reasons):
    text = "1 A sale 1 mug 1 5 2022-12-31T23:59\n2 B sale 1 mug 1 5 2023-01-01T00:00\n"
    text += "3 C sale 1 mug 1 5 2023-12-31T23:59\n4 D sale 1 mug 1 5 2024-01-01T00:00"
    wrong = "outside the period"
    assert reasons(text, source=STRICT) == {1: wrong, 2: None, 3: None, 4: wrong}
    assert set(reasons(text).values()) == {None}


def test_orders_of_test_accounts_and_of_a_cent_are_removed_and_free_ones_kept(reasons):
    """Q-45: an order worth 0.01 or less is a test, but a gift is not."""
    text = "1 A sale T mug 1 5 2023-01-02\n2 B sale 1 mug 1 0.01 2023-01-02\n"
    text += "3 C sale 1 mug 1 0 2023-01-02\n4 D sale 1 mug 1 0.02 2023-01-02\n"
    text += "5 E sale 1 mug 1 0.005 2023-01-02\n6 E sale 1 mug 1 0.005 2023-01-02\n"
    text += "7 F sale 1 mug 1 0.01 2023-01-02\n8 F sale 1 mug 1 5 2023-01-02"
    cent = "test amount"
    assert reasons(text, source=STRICT) == {
        1: "test account", 2: cent, 3: None, 4: None, 5: cent, 6: cent, 7: None, 8: None,
    }  # fmt: skip


def test_an_order_is_odd_if_it_names_two_customers_not_one_and_none(con, arrive):
    text = "3 B sale 2 mug 1 5 2023-01-02\n1 A sale 1 mug 1 5 2023-01-02\n"
    text += "4 B sale 1 mug 1 5 2023-01-02\n2 A sale - mug 1 5 2023-01-02"
    odd = clean.odd_orders(clean.drafts(arrive(text, whole=False)[1]))
    assert found(con, odd) == [("B", "order of two customers")]


CAP = Rule("price cap", "order_lines", "unit_price", "at_most", "100", action="quarantine")
UNKNOWN = Rule(
    "no such product", "order_lines", "product_id", "known", "products.product_id",
    action="quarantine",
)  # fmt: skip


def test_a_source_may_add_rules_and_they_come_last(reasons):
    text = "1 A sale 1 mug 1 100 2023-01-02\n2 B sale 1 mug 1 100.01 2023-01-02\n"
    text += "3 C sale 1 mug 0 101 2023-01-02"
    assert reasons(text, source=Source(rules=(CAP,))) == {
        1: None, 2: "price cap", 3: "quantity not above zero",
    }  # fmt: skip


def test_a_rule_of_a_source_may_look_into_another_table(con, reasons):
    text = "1 A sale 1 mug 1 5 2023-01-02\n2 B sale 1 cup 1 5 2023-01-02"
    catalogue = literal(con, "staged/products", "line product_id\n1 mug")
    known = Source(rules=(UNKNOWN,), tables={"products": catalogue})
    assert reasons(text, source=known) == {1: None, 2: "no such product"}
    assert set(reasons(text, source=Source(rules=(UNKNOWN,))).values()) == {None}  # no catalogue


# --- returns that cancel a sale


@pytest.fixture
def matched(con, arrive):
    """Pairs of sale and return lines."""
    return lambda text: found(con, reversals(arrive(text)[1]), "sale_line", "return_line")


def test_a_return_cancels_the_latest_of_two_equal_sales(matched):
    text = """
    9  R  return  1  mug  -2  5.00  2023-01-05
    1  A  sale    1  mug  2   5.00  2023-01-02
    2  B  sale    1  mug  2   5.00  2023-01-03
    3  C  sale    1  mug  2   5.00  2023-01-06
    """
    assert matched(text) == [(2, 9)]


def test_of_two_equal_sales_at_one_time_the_later_line_is_cancelled(matched):
    text = """
    2  A  sale    1  mug  2   5.00  2023-01-02
    1  A  sale    1  mug  2   5.00  2023-01-02
    9  R  return  1  mug  -2  5.00  2023-01-02
    """
    assert matched(text) == [(2, 9)]


def test_two_returns_cancel_the_two_latest_of_three_equal_sales(matched):
    text = """
    1  A  sale    1  mug  2   5.00  2023-01-01
    2  B  sale    1  mug  2   5.00  2023-01-02
    3  C  sale    1  mug  2   5.00  2023-01-03
    8  R  return  1  mug  -2  5.00  2023-01-04
    9  S  return  1  mug  -2  5.00  2023-01-05
    """
    assert matched(text) == [(2, 9), (3, 8)]


def test_what_is_returned_later_never_changes_an_earlier_match(matched):
    """A sale after a return is taken by a later return only; a surplus return takes nothing."""
    text = """
    7  Q  return  1  mug  -2  5.00  2022-12-31
    1  A  sale    1  mug  2   5.00  2023-01-01
    8  R  return  1  mug  -2  5.00  2023-01-02
    9  S  return  1  mug  -2  5.00  2023-01-03
    2  B  sale    1  mug  2   5.00  2023-01-04
    10 T  return  1  mug  -2  5.00  2023-01-05
    """
    assert matched(text) == [(1, 8), (2, 10)]


def brackets(events):
    """The pairs that a stack finds: a return takes the sale on top, if there is one."""
    stack, pairs = [], []
    for line, sale in events:
        if sale:
            stack.append(line)
        elif stack:
            pairs.append((stack.pop(), line))
    return sorted(pairs)


@pytest.mark.parametrize("seed", range(5))
def test_matches_are_those_of_a_stack(matched, seed):
    kinds = random.Random(seed).choices([True, False], k=20)
    rows = [
        f"{i} {'A' if sale else 'R'}{i} {'sale' if sale else 'return'} 1 mug "
        f"{2 if sale else -2} 5.00 2023-01-{i + 1:02}"
        for i, sale in enumerate(kinds)
    ]
    assert sorted(matched("\n".join(rows))) == brackets(enumerate(kinds))


def test_a_return_before_the_sale_matches_nothing(matched):
    text = "1 R return 1 mug -2 5 2023-01-02\n2 A sale 1 mug 2 5 2023-01-03"
    assert matched(text) == []


def test_of_two_returns_of_one_sale_only_the_first_matches(matched):
    text = """
    9  S  return  1  mug  -2  5.00  2023-01-05
    8  R  return  1  mug  -2  5.00  2023-01-04
    1  A  sale    1  mug  2   5.00  2023-01-02
    """
    assert matched(text) == [(1, 8)]


@pytest.mark.parametrize(
    "sale",
    ["2 mug 2 5.00", "1 cup 2 5.00", "1 mug 3 5.00", "1 mug 2 5.01", "- mug 2 5.00"],
    ids=["customer", "product", "units", "price", "no customer"],
)
def test_a_return_matches_only_a_sale_that_is_the_same_in_all(matched, sale):
    assert matched(f"1 A sale {sale} 2023-01-02\n9 R return 1 mug -2 5 2023-01-05") == []


def test_a_quarantined_sale_is_never_reversed(matched):
    text = "1 A sale 1 mug 2 -5 2023-01-02\n9 R return 1 mug -2 -5 2023-01-05"
    assert matched(text) == []


# --- facts

SHOP = """
4  B  sale    2  mug  1   7.00  2023-01-04T09:00
2  A  sale    1  cup  1   3.50  2023-01-02T11:00
1  A  sale    1  mug  2   5.00  2023-01-02T10:00
3  R  return  1  mug  -2  5.00  2023-01-03T10:00
5  S  return  2  cup  -1  9.00  2023-01-05T10:00
6  C  sale    -  mug  1   0.00  2023-01-06T10:00
7  D  sale    3  mug  1   -2.00 2023-01-06T10:00
8  T  test    3  mug  1   2.00  2023-01-06T10:00
"""


@pytest.fixture
def shop(con, arrive):
    lines, judged = arrive(SHOP, product_name="named")
    return lines, judged, reversals(judged)


def test_items_are_the_kept_sales_with_their_amount(con, shop):
    items = clean.items(shop[0], clean.rest(shop[1]), clean.duplicates(shop[0]))
    assert found(con, items, "line", "amount") == [(1, 10.0), (2, 3.5), (4, 7.0), (6, 0.0)]


def test_returns_are_positive_and_tell_whether_their_sale_was_found(con, shop):
    back = clean.returns(clean.rest(shop[1]), shop[2])
    columns = ["return_id", "quantity", "amount", "reverses", "reverses_line"]
    assert found(con, back, *columns) == [("R", 2.0, 10.0, "A", 1), ("S", 1.0, 9.0, None, None)]
    assert found(con, shop[2], "reversed_at") == [(pd.Timestamp("2023-01-03 10:00"),)]


def test_an_order_sums_its_lines_before_returns(con, shop):
    drafts = clean.drafts(shop[1])
    placed = clean.orders(drafts, clean.odd_orders(drafts))
    assert found(con, placed, "order_id", "customer_key", "lines", "amount") == [
        ("A", "1", 2, 13.5), ("B", "2", 1, 7.0), ("C", None, 1, 0.0),
    ]  # fmt: skip
    assert found(con, placed.filter(placed.order_id == "A"), "ordered_at") == [
        (pd.Timestamp("2023-01-02 10:00"),)
    ]


def test_orders_and_items_written_have_the_same_sum_to_the_last_decimal(con, arrive, tmp_path):
    text = "1 A sale 1 tea 0.125 9.99 2023-01-02\n2 A sale 1 tea 0.125 9.99 2023-01-02"
    lines, judged = arrive(text)  # 1.24875 each, 2.4975 together
    drafts = clean.drafts(judged)
    made = {
        "orders": clean.orders(drafts, clean.odd_orders(drafts)),
        "order_items": clean.items(lines, clean.rest(judged), clean.duplicates(lines)),
    }
    for name, rows in made.items():
        engine.write(con, rows, tmp_path / name, lookup(f"clean/{name}"))
    sums = [engine.scan(con, tmp_path / n).amount.sum() for n in ("orders", "order_items")]
    assert con.execute(sums[0]) == con.execute(sums[1])


def test_a_product_has_the_catalogue_name_else_the_commonest_else_its_code(con):
    lines = literal(
        con,
        "staged/order_lines",
        "line product_id product_name category\n1 p new home\n2 q rare -\n3 q usual home\n"
        "4 q usual home\n5 r - -\n6 t beta -\n7 t alpha -",
        source="shop",
    )
    catalogue = literal(
        con, "staged/products", "product_id product_name category\np mug -\nz lamp light",
        source="shop",
    )  # fmt: skip
    made = clean.products(lines, catalogue, non_products=["r"])
    assert found(con, made, "product_id", "product_name", "category", "is_product") == [
        ("p", "mug", "home", True), ("q", "usual", "home", True), ("r", "r", None, False),
        ("t", "alpha", None, True), ("z", "lamp", "light", True),
    ]  # fmt: skip


def test_customers_are_those_of_records_and_of_all_rows_each_once(con, cleaned):
    done = cleaned(
        order_lines=HEAD + "2 B sale 2 mug 1 5 2023-01-02\n1 A return 4 mug -1 5 2023-01-02",
        customers="line customer_key city phone_status\n1 3 Paris ok\n2 2 Rome to_verify",
        tickets="line ticket_id customer_key opened_at kind\n1 T 5 2023-01-02 other",
    ).out("clean/customers")
    assert found(con, done, "customer_key", "city", "phone_status") == [
        ("2", "Rome", "to_verify"), ("3", "Paris", "ok"), ("4", None, "missing"),
        ("5", None, "missing"),
    ]  # fmt: skip


def test_an_empty_gender_is_set_to_unknown_and_said_to_be(con, cleaned):
    done = cleaned(
        customers="line customer_key gender registered_on\n1 A male 2020-01-01\n"
        "2 B - 2020-01-01\n3 C unknown 2020-01-01"
    )
    assert found(con, done.out("clean/customers"), "customer_key", "gender", "imputed") == [
        ("A", "male", None), ("B", "unknown", "gender"), ("C", "unknown", None),
    ]  # fmt: skip
    issues = done.out("clean/issues")
    assert found(con, issues.filter(issues.rule == "gender not known"), "line", "action") == [
        (2, "fix")
    ]


def test_fields_that_the_mapping_names_are_filled_and_said_to_be(con, cleaned):
    missing = (("gender", "unknown"), ("industry", "other"), ("city", "nowhere"))
    done = cleaned(
        customers="line customer_key gender industry city registered_on\n"
        "3 C - - - 2020-01-01\n1 A male retail Rome 2020-01-01\n2 B - retail - 2020-01-01",
        missing=missing,
    ).out("clean/customers")
    assert found(con, done, "customer_key", "gender", "industry", "city", "imputed") == [
        ("A", "male", "retail", "Rome", None),
        ("B", "unknown", "retail", "nowhere", "gender;city"),
        ("C", "unknown", "other", "nowhere", "gender;industry;city"),
    ]  # fmt: skip


def test_quarantine_keeps_rows_of_all_tables_whole_with_the_reason(con, cleaned):
    waiting = cleaned(
        order_lines=HEAD + "7 D sale 3 mug 1 -2 2023-01-06T10:00",
        products="line product_id product_name list_price\n9 P1 Pot -1",
    ).out("clean/quarantine")
    rows = {(t, n, why): json.loads(row) for t, n, why, row in found(
        con, waiting, "table", "line", "reason", "row")}  # fmt: skip
    assert set(rows) == {
        ("order_lines", 7, "price below zero"), ("products", 9, "list_price below zero"),
    }  # fmt: skip
    assert list(rows["products", 9, "list_price below zero"]) == lookup("staged/products").names
    line = rows["order_lines", 7, "price below zero"]
    assert list(line) == lookup("staged/order_lines").names
    assert (line["order_id"], line["customer_key"], line["category"]) == ("D", "3", None)
    assert float(line["unit_price"]) == -2


# --- records: versions, copies, clicks

PEOPLE = "line customer_key city gender updated_on registered_on\n"


def test_of_two_records_of_a_customer_the_newest_counts_and_the_other_is_told(con, cleaned):
    done = cleaned(
        customers=PEOPLE + "2 K Rome male 2023-02-01 2020-01-01\n"
        "3 K Bonn male 2023-01-01 2020-01-01\n4 L Rome - - 2020-01-01"
    )
    people = found(con, done.out("clean/customers"), "customer_key", "city")
    assert people == [("K", "Rome"), ("L", "Rome")]
    columns = ("customer_key", "field", "line", "value", "kept")
    assert found(con, done.out("clean/conflicts"), *columns) == [("K", "city", 3, "Bonn", "Rome")]
    booked = found(con, done.out("clean/ledger"), "fate", "reason", "rows")
    assert booked == [("kept", "record", 2), ("removed", "older record", 1)]


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [("2023-01-01", "-", "Rome"), ("-", "2023-01-01", "Bonn"), ("-", "-", "Bonn")],
    ids=["no date", "a date", "the later line"],
)
def test_a_record_with_a_date_of_change_is_newer_than_one_without(
    con, cleaned, first, second, kept
):
    rows = f"2 K Rome male {first} 2020-01-01\n3 K Bonn male {second} 2020-01-01"
    done = cleaned(customers=PEOPLE + rows).out("clean/customers")
    assert found(con, done, "city") == [(kept,)]


def test_a_field_that_the_newest_record_lacks_stays_as_it_was(con, cleaned):
    done = cleaned(
        customers=PEOPLE + "2 K Rome male 2022-01-01 2020-01-01\n"
        "3 K - female 2023-01-01 2020-01-01"
    )
    assert found(con, done.out("clean/customers"), "city", "gender", "imputed") == [
        ("Rome", "female", None)
    ]
    assert found(con, done.out("clean/conflicts"), "field", "value", "kept") == [
        ("gender", "male", "female")
    ]


def test_records_and_products_without_a_key_are_quarantined(con, cleaned):
    done = cleaned(
        customers=PEOPLE + "2 - Rome male 2022-01-01 2020-01-01\n3 - Bonn male - 2020-01-01",
        products="line product_id product_name\n2 - Pot\n3 P1 Pot",
        tickets="line ticket_id opened_at kind\n2 - 2023-01-01 other",
    )
    assert found(con, done.out("clean/quarantine"), "table", "line", "reason") == [
        ("customers", 2, "customer_key missing"), ("customers", 3, "customer_key missing"),
        ("products", 2, "product_id missing"), ("tickets", 2, "ticket_id missing"),
    ]  # fmt: skip
    assert found(con, done.out("clean/products"), "product_id") == [("P1",)]
    assert done.written["customers"] == 0


def test_the_later_version_of_a_record_replaces_the_earlier(con, cleaned):
    done = cleaned(
        tickets="line ticket_id opened_at kind outcome\n2 T 2023-01-01 other open\n"
        "3 T 2023-01-01 other closed\n4 U 2023-01-01 other open",
        products="line product_id product_name\n2 P1 Pot\n1000000002 P1 Kettle",
        spend="line day channel campaign_id cost\n2 2023-01-01 web - 1\n"
        "3 2023-01-01 web - 2\n4 2023-01-01 web H1 3",
    )
    assert found(con, done.out("clean/tickets"), "line") == [(3,), (4,)]
    assert found(con, done.out("clean/products"), "product_name") == [("Kettle",)]
    assert found(con, done.out("clean/spend"), "line") == [(3,), (4,)]
    booked = done.frame(done.out("clean/ledger"))
    assert set(booked.loc[booked["fate"] == "removed", "reason"]) == {
        "older version", "older product",
    }  # fmt: skip


def test_a_later_version_that_lacks_what_is_needed_replaces_none(con, cleaned):
    done = cleaned(tickets="line ticket_id opened_at kind\n2 T 2023-01-01 other\n3 T - other")
    assert found(con, done.out("clean/tickets"), "line") == [(2,)]


COPIES = "line customer_key at channel\n2 K 2023-01-01 web\n3 K 2023-01-01 web\n"
COPIES += "1000000002 L 2023-01-01 web\n1000000003 L 2023-01-01 web\n"


@pytest.mark.parametrize(
    ("policies", "kept"), [(["keep", "drop"], 3), (["drop", "drop"], 2), (["keep", "keep"], 4)]
)
def test_copies_of_a_record_are_dropped_from_the_files_that_say_so(con, cleaned, policies, kept):
    done = cleaned(touchpoints=COPIES, policies={"touchpoints": policies})
    assert done.written["touchpoints"] == kept
    copies = [] if kept == 4 else [("removed", "duplicate", 4 - kept)]
    booked = found(con, done.out("clean/ledger"), "fate", "reason", "rows")
    assert booked == [("kept", "record", kept), *copies]


def test_one_of_two_copies_stays_where_records_have_a_key_too(con, cleaned):
    rows = "line ticket_id opened_at kind\n2 T 2023-01-01 other\n3 T 2023-01-01 other"
    done = cleaned(tickets=rows, policies={"tickets": ["drop"]})
    assert found(con, done.out("clean/tickets"), "ticket_id") == [("T",)]


CLICKS = """line customer_key target kind at
2   K  p  click  2023-01-01T10:00:00
3   K  p  click  2023-01-01T10:00:01
4   K  p  click  2023-01-01T10:00:02.001
5   K  p  view   2023-01-01T10:00:02.001
6   K  q  click  2023-01-01T10:00:02.001
7   L  p  click  2023-01-01T10:00:02.001
8   -  p  click  2023-01-01T10:00:05
9   -  p  click  2023-01-01T10:00:05
10  M  -  click  2023-01-01T10:00:05
11  M  -  click  2023-01-01T10:00:05
"""


def test_the_second_of_two_equal_clicks_within_a_second_is_dropped(con, cleaned):
    """Q-45: the same customer, target and kind; at most one second apart."""
    done = cleaned(events=CLICKS)
    lines = [line for (line,) in found(con, done.out("clean/events"), "line")]
    assert sorted(lines) == [2, 4, 5, 6, 7, 8, 9, 10, 11]
    assert ("removed", "repeated click", 1) in found(
        con, done.out("clean/ledger"), "fate", "reason", "rows"
    )


def test_a_coupon_used_needs_no_order_but_then_a_customer(con, cleaned):
    done = cleaned(
        discounts="line order_id customer_key coupon_id given_at\n2 A1 K Q 2023-01-01\n"
        "3 A1 - Q 2023-01-01\n4 - K Q 2023-01-01\n5 - - Q 2023-01-01"
    )
    assert found(con, done.out("clean/discounts"), "line") == [(2,), (3,), (4,)]
    waiting = found(con, done.out("clean/quarantine"), "line", "reason")
    assert waiting == [(5, "order and customer missing")]


# --- retention (CLN-18); as_of is 2024-12-31

VISITS = """
line  customer_key  at                kind   target
7     K             2024-12-30T23:59  click  p
6     K             2024-12-21T00:00  click  p
5     L             2024-12-20T23:59  click  p
4     -             -                 click  p
3     L             1066-10-14        -      p
"""


def test_what_is_older_than_its_retention_is_removed_and_counted(con, cleaned):
    """Ten days before 2024-12-31 is 2024-12-21; a row without a date has no age."""
    done = cleaned(events=VISITS, retention=[("events", 10)], period=("2023-01-01", "2024-12-31"))
    assert found(con, done.out("clean/events"), "line") == [(6,), (7,)]
    assert found(con, done.out("clean/ledger"), "fate", "reason", "rows") == [
        ("kept", "record", 2), ("quarantined", "at missing", 1),
        ("removed", "past its retention", 2),
    ]  # fmt: skip
    assert found(con, done.out("clean/customers"), "customer_key") == [("K",)]
    assert found(con, done.out("clean/issues"), "line", "rule") == [(4, "at missing")]


def test_without_a_retention_period_a_row_of_any_age_is_kept(con, cleaned):
    assert cleaned(events=VISITS).written["events"] == 3


def test_order_lines_past_their_retention_leave_no_order_customer_or_cell_behind(con, cleaned):
    text = "2 A sale 1 mug 1 5 2024-12-21\n3 B sale 2 mug 1 5 2024-12-20\n"
    text += "4 C return 3 mug -1 -5 2024-12-20\n5 D sale 1 mug 0 5 2024-12-20"
    unread = "table line field value\norder_lines 3 category ?\norder_lines 2 category ?"
    done = cleaned(order_lines=HEAD + text, unread=unread, retention=[("order_lines", 10)])
    assert found(con, done.out("clean/orders"), "order_id") == [("A",)]
    assert found(con, done.out("clean/customers"), "customer_key") == [("1",)]
    assert found(con, done.out("clean/issues"), "line", "rule") == [(2, "unreadable")]
    assert (done.written["quarantine"], done.written["returns"]) == (0, 0)
    booked = found(con, done.out("clean/ledger"), "fate", "reason", "rows", "amount")
    assert booked == [("kept", "sale", 1, 5.0), ("removed", "past its retention", 3, 10.0)]


# --- issues (CLN-08…10)


def test_all_rules_that_a_row_breaks_are_told_unless_it_is_removed(con, cleaned):
    done = cleaned(
        order_lines=HEAD + "2 A sale K - 0 -5 2023-02-03\n3 B test K - 1 5 2023-02-03",
        unread="table line field value\norder_lines 3 quantity two",
        customers="line customer_key registered_on birth_date phone_status gender updated_on\n"
        "5 K 2020-01-01 2021-01-01 to_verify male 2023-03-01",
    )
    columns = ("table", "line", "rule", "field", "value", "action", "month")
    assert found(con, done.out("clean/issues"), *columns) == [
        ("customers", 5, "born after registration", "birth_date", "2021-01-01", "flag", "2023-03"),
        ("customers", 5, "phone to verify", "phone_status", "to_verify", "flag", "2023-03"),
        ("order_lines", 2, "price below zero", "unit_price", "-5.0", "quarantine", "2023-02"),
        ("order_lines", 2, "product_id missing", "product_id", None, "quarantine", "2023-02"),
        ("order_lines", 2, "quantity not above zero", "quantity", "0.0", "quarantine", "2023-02"),
    ]  # fmt: skip


def test_cells_that_could_not_be_read_are_issues(con, cleaned):
    done = cleaned(
        customers="line customer_key registered_on phone_status\n5 K 2020-01-01 ok",
        unread="table line field value\ncustomers 5 gender M\ncustomers 5 birth_date x\n"
        "order_lines 7 quantity two",
    )
    issues = done.out("clean/issues")
    unread = issues.filter(issues.rule == "unreadable")
    assert found(con, unread, "table", "line", "field", "value", "severity", "action") == [
        ("customers", 5, "birth_date", "x", "error", "flag"),
        ("customers", 5, "gender", "M", "error", "fix"),
        ("order_lines", 7, "quantity", "two", "error", "quarantine"),
    ]  # fmt: skip


def test_an_order_before_registration_is_flagged_and_both_are_kept(con, cleaned):
    done = cleaned(
        order_lines=HEAD + "2 A sale K mug 1 5 2023-02-03\n3 B sale L mug 1 5 2023-02-03",
        customers="line customer_key registered_on phone_status gender\n"
        "5 K 2023-02-04 ok male\n6 L 2023-02-03 ok male",
    )
    assert found(con, done.out("clean/issues"), "line", "rule") == [
        (5, "order before registration")
    ]
    assert (done.written["customers"], done.written["orders"]) == (2, 2)


STRANGERS = """
2  A  sale    K  mug  1   5  2023-02-03
3  B  sale    X  mug  1   5  2023-02-03
4  B  sale    -  cup  1   5  2023-02-03
5  C  sale    -  mug  1   5  2023-02-03
6  D  return  Y  mug  -1  5  2023-02-03
7  T  sale    T  mug  1   5  2023-02-03
8  E  sale    Z  mug  0   5  2023-02-03
"""


def test_a_row_of_a_customer_without_a_record_is_flagged_and_keeps_its_fate(con, cleaned):
    """Line 7 is of a test account, and what is removed is not told."""
    visits = "line customer_key at channel\n2 K 2023-01-01 web\n3 X 2023-01-01 web"
    people = "line customer_key registered_on\n5 K 2020-01-01"
    done = cleaned(order_lines=HEAD + STRANGERS, touchpoints=visits, customers=people)
    issues = done.out("clean/issues")
    told = issues.filter(issues.rule == "customer without a record")
    assert found(con, told, "table", "line", "value", "origin") == [
        ("order_lines", 3, "X", "interface"), ("order_lines", 6, "Y", "interface"),
        ("order_lines", 8, "Z", "interface"), ("touchpoints", 3, "X", "interface"),
    ]  # fmt: skip
    assert (done.written["order_items"], done.written["returns"]) == (4, 1)
    assert found(con, done.out("clean/quarantine"), "line") == [(8,)]


def test_where_no_file_feeds_customers_every_key_stands_for_itself(con, cleaned):
    issues = cleaned(order_lines=HEAD + STRANGERS).out("clean/issues")
    assert found(con, issues, "line", "rule") == [(8, "quantity not above zero")]


def test_a_missing_name_and_a_bad_e_mail_are_flagged_and_the_record_is_kept(con, cleaned):
    head = "line customer_key registered_on gender phone_status email_status name_status\n"
    rows = "2 A 2020-01-01 male ok ok missing\n3 B 2020-01-01 male ok to_verify ok\n"
    done = cleaned(customers=head + rows + "4 C 2020-01-01 male ok missing ok")
    assert found(con, done.out("clean/issues"), "line", "rule", "value", "action") == [
        (2, "name missing", "missing", "flag"), (3, "e-mail badly formed", "to_verify", "flag"),
    ]  # fmt: skip
    assert done.written["customers"] == 3


def test_a_status_comes_from_the_newest_record_that_has_the_contact(con, cleaned):
    head = "line customer_key updated_on phone_status email_status name_status\n"
    rows = "2 A 2023-01-01 to_verify ok ok\n3 A 2023-02-01 ok missing missing\n"
    done = cleaned(customers=head + rows + "4 B 2023-01-01 missing missing missing")
    columns = ("customer_key", "phone_status", "email_status", "name_status")
    assert found(con, done.out("clean/customers"), *columns) == [
        ("A", "ok", "ok", "ok"), ("B", "missing", "missing", "missing"),
    ]  # fmt: skip


def test_a_flag_of_the_source_reaches_kept_lines(con, cleaned):
    cheap = Rule("cheap", "order_lines", "unit_price", "at_least", "5", when="kind=sale|test")
    text = "2 A sale 1 mug 1 4 2023-02-03\n3 B sale 1 mug 1 5 2023-02-03\n"
    text += "4 C return 1 mug -1 4 2023-02-03"
    done = cleaned(cheap, order_lines=HEAD + text)
    assert found(con, done.out("clean/issues"), "line", "rule") == [(2, "cheap")]
    assert done.written["order_items"] == 2


def test_quarantine_by_a_rule_across_tables_is_booked_once(con, cleaned):
    cheap = Rule("cheap", "order_lines", "unit_price", "at_least", "9")
    done = cleaned(
        UNKNOWN, cheap,
        order_lines=HEAD + "2 A sale 1 mug 1 4 2023-02-03\n3 B sale 1 cup 1 5 2023-02-03",
        products="line product_id product_name\n2 mug Mug",
    )  # fmt: skip
    assert found(con, done.out("clean/quarantine"), "line", "reason") == [(3, "no such product")]


# --- ledger and other counts


def test_the_ledger_books_every_line_once(shop, booking):
    booked = booking(shop[1], 8).sort_values(["fate", "reason"])
    assert booked.values.tolist() == [
        ["order_lines", "kept", "return", 2, -19.0], ["order_lines", "kept", "sale", 4, 20.5],
        ["order_lines", "quarantined", "price below zero", 1, -2.0],
        ["order_lines", "removed", "test", 1, 2.0],
    ]  # fmt: skip


def test_the_ledger_of_all_tables_agrees_with_what_is_written(con, cleaned):
    """in = kept + quarantined + removed, for each table; the notebook asserts it, too."""
    done = cleaned(
        order_lines=HEAD + ONE_OF_EACH + "20 Z sale 9 mug 1 5 2023-01-02",
        customers=PEOPLE + "2 K R male - 2020-01-01\n3 K R male - 2020-01-01\n4 - R - - -",
        products="line product_id product_name\n2 P1 Pot\n3 P1 Kettle\n4 - Pot",
        events=CLICKS + "12 K p click -\n",
        touchpoints=COPIES,
        reviews="line review_id written_at score\n2 R 2023-01-01 -1\n3 S 2023-01-01 5",
        policies={"touchpoints": ["drop", "keep"], "order_lines": ["drop"]},
    )
    booked = done.frame(done.out("clean/ledger"))
    rows = booked.groupby("table")["rows"].sum().to_dict()
    assert rows == {
        "order_lines": 18, "customers": 3, "products": 3, "events": 11, "touchpoints": 4,
        "reviews": 2,
    }  # fmt: skip
    assert booked.loc[booked["fate"] == "quarantined", "rows"].sum() == done.written["quarantine"]
    for name in RECORDS:
        kept = booked[(booked["table"] == name) & (booked["fate"] == "kept")]["rows"].sum()
        assert kept == done.written[name]


def test_facts_count_lines_of_each_fate(con, shop):
    facts = engine.frame(con, clean.facts(shop[0], clean.rest(shop[1]))).iloc[0].to_dict()
    assert facts.items() >= {
        "lines": 8, "sale_lines": 4, "return_lines": 2, "quarantined": 1, "removed": 1,
        "unknown_lines": 1, "unknown_share": 0.125, "kept": 6, "kept_share": 0.75,
    }.items()  # fmt: skip


def test_lines_without_a_customer_are_sales_only_if_they_are_kept_ones(con, arrive):
    text = """
    4  R  return      -  mug  -1  5.00  2023-01-03
    1  A  sale        -  mug  2   5.00  2023-01-02
    3  C  adjustment  -  fee  1   5.00  2023-01-02
    2  B  sale        1  mug  2   5.00  2023-01-02
    """
    lines, judged = arrive(text)
    facts = engine.frame(con, clean.facts(lines, clean.rest(judged))).iloc[0]
    names = ["unknown_lines", "unknown_sale_lines", "unknown_sale_share"]
    assert facts[names].tolist() == [3, 1, 0.5]


CHOICES = """
1  A  sale    1  mug  2   5.00  2023-01-02
2  A  sale    1  mug  2   5.00  2023-01-02
3  B  sale    -  mug  1   7.00  2023-01-02
4  C  sale    2  mug  1   0.00  2023-01-02
5  R  return  1  mug  -2  5.00  2023-01-03
"""


@pytest.mark.parametrize("policy", ["keep", "drop"])
def test_the_four_choices_do_not_depend_on_what_the_mapping_says(con, arrive, policy):
    lines, judged = arrive(CHOICES, policies=[policy])
    ways = engine.frame(con, clean.choices(lines, clean.rest(judged), clean.duplicates(lines)))
    assert ways[["lines", "customers", "sales"]].values.tolist() == [
        [3, 1, 27.0], [2, 1, 17.0], [2, 1, 20.0], [1, 1, 10.0],
    ]  # fmt: skip
    assert clean.named(ways)["known_unique_sales"] == 10.0


def test_cancelled_sales_are_listed_by_amount_with_the_hours_between(con, shop):
    undone = clean.undone(*shop[1:])
    assert found(con, clean.largest(undone), "order_id", "amount", "hours") == [("A", 10.0, 24.0)]
    assert found(con, clean.undone_facts(undone)) == [(1, 10.0, 10.0, 24.0, 1, 1440, 1.0)]


@pytest.mark.parametrize(
    ("hours", "told", "after"),
    [
        (0.0, "0 minutes", "minutes"), (1 / 60, "1 minute", "minutes"),
        (1.99, "119 minutes", "minutes"),
        (2.0, "2.0 hours", "hours"), (47.9, "47.9 hours", "hours"), (48.0, "2.0 days", "days"),
        (29_000.0, "1,208.3 days", "days"),
    ],
)  # fmt: skip
def test_a_long_time_until_a_sale_was_cancelled_is_told_in_days(hours, told, after):
    shown = clean.told(pd.DataFrame({"order_id": ["A"], "hours": [hours]}))
    assert shown.values.tolist() == [["A", told]]
    note = clean.largest_note({"reversed_lines": 1, "largest_reversed_hours": hours})
    assert f"largest_reversed_{after}:" in note


def test_no_cancelled_sale_makes_no_row():
    assert clean.told(pd.DataFrame({"order_id": [], "hours": []})).empty
    assert "{" not in clean.largest_note({"reversed_lines": 0, "largest_reversed_hours": 0.0})


def test_equal_cancelled_sales_are_listed_by_line(con, arrive):
    text = "2 B sale 1 cup 2 5 2023-01-02\n1 A sale 1 mug 2 5 2023-01-02\n"
    text += "9 R return 1 mug -2 5 2023-01-03\n8 R return 1 cup -2 5 2023-01-03"
    _, judged = arrive(text)
    best = clean.largest(clean.undone(judged, reversals(judged)), top=1)
    assert found(con, best, "order_id") == [("A",)]


# --- balance


def ledger(table="order_lines", **rows: int) -> pd.DataFrame:
    fates = {"sale": "kept", "return": "kept", "record": "kept", "test": "removed"}
    booked = [(table, fates.get(r, "quarantined"), r, n) for r, n in rows.items()]
    return pd.DataFrame(booked, columns=["table", "fate", "reason", "rows"])


BOOKED = pd.concat(
    [ledger(sale=90, **{"return": 4}, missing=5, test=1), ledger("tickets", record=19, missing=1)]
)
ARRIVED = {"order_lines": 100, "tickets": 20, "events": 0}
WRITTEN = {"order_items": 90, "returns": 4, "quarantine": 6, "tickets": 19, "events": 0}


def test_a_ledger_that_accounts_for_every_row_balances():
    clean.balance(BOOKED, arrived=ARRIVED, written=WRITTEN)


@pytest.mark.parametrize(
    ("arrived", "written", "message"),
    [
        ({"order_lines": 101}, {}, "101 rows of order_lines came in, the ledger accounts for 100"),
        ({"order_lines": 99}, {}, "99 rows of order_lines came in, the ledger accounts for 100"),
        ({"tickets": 21}, {}, "21 rows of tickets came in, the ledger accounts for 20"),
        ({"events": 1}, {}, "1 rows of events came in, the ledger accounts for 0"),
        ({}, {"order_items": 89}, "has 90 rows of 'order_items', its table has 89"),
        ({}, {"returns": 5}, "has 4 rows of 'returns', its table has 5"),
        ({}, {"quarantine": 5}, "has 6 rows of 'quarantine', its table has 5"),
        ({}, {"tickets": 20}, "has 19 rows of 'tickets', its table has 20"),
        ({}, {"events": 1}, "has 0 rows of 'events', its table has 1"),
    ],
)
def test_a_row_lost_or_doubled_stops_the_run(arrived, written, message):
    with pytest.raises(clean.LedgerError, match=message):
        clean.balance(BOOKED, arrived=ARRIVED | arrived, written=WRITTEN | written)


def test_too_many_rows_in_quarantine_stop_the_run_with_the_commonest_reason():
    booked = ledger(sale=94, missing=2, **{"price below zero": 4})
    message = (
        r"6 of 100 rows of order_lines are quarantined, more than clean.balance.max_share 5.0% "
        r"allows; most of them \(4\) because: price below zero"
    )
    written = {"order_items": 94, "returns": 0, "quarantine": 6}
    with pytest.raises(clean.LedgerError, match=message):
        clean.balance(booked, arrived={"order_lines": 100}, written=written)
    clean.balance(booked, arrived={"order_lines": 100}, written=written, max_share=0.06)


def test_the_share_is_that_of_each_table_not_of_all():
    booked = pd.concat([ledger(sale=1000), ledger("tickets", record=9, missing=1)])
    written = {"order_items": 1000, "returns": 0, "tickets": 9, "quarantine": 1}
    with pytest.raises(clean.LedgerError, match="1 of 10 rows of tickets are quarantined"):
        clean.balance(booked, arrived={"order_lines": 1000, "tickets": 10}, written=written)


# --- nothing in, nothing out


def test_no_rows_anywhere_make_empty_tables_of_the_right_types(con, cleaned):
    done = cleaned()
    made = ("orders", "order_items", "returns", "customers", "products", *RECORDS, "quarantine",
            "issues", "conflicts", "ledger")  # fmt: skip
    assert done.written == dict.fromkeys(made, 0)
    for name in made:
        types = {c: str(kind) for c, kind in done.out(f"clean/{name}").schema().items()}
        columns = lookup(f"clean/{name}").columns
        assert list(types) == [column.name for column in columns]
        numbers = {types[c.name] for c in columns if c.type in ("money", "quantity")}
        assert numbers <= {"decimal(18, 4)"}
    facts = {name: done.facts[name] for name in ("lines", "kept", "all_sales", "reversed_amount")}
    assert set(facts.values()) == {0}
