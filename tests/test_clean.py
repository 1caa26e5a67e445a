"""Every line meets one fate, for one reason, and the ledger proves it."""

from __future__ import annotations

import random

import ibis
import pandas as pd
import pytest
from test_engine import found, literal

from crm import clean, engine
from crm.tables import lookup


def reversals(judged):
    """The pairs that the notebook finds."""
    rest = clean.rest(judged)
    return clean.reversals(clean.equals(judged, rest), rest)


def booking(judged):
    """The ledger that the notebook makes."""
    return clean.ledger(clean.orders(clean.drafts(judged)), clean.rest(judged))


HEAD = "line order_id kind customer_key product_id quantity unit_price ordered_at\n"


@pytest.fixture(scope="module")
def con():
    return engine.connect(threads=2)


@pytest.fixture
def arrive(con):
    """Order lines as they arrived, and what became of them."""

    def _arrive(text: str, policies=("keep",), mixed=True, **same):
        lines = literal(con, "staged/order_lines", HEAD + text, source="shop", **same)
        dropped = clean.dropped(clean.duplicates(lines), list(policies))
        first = clean.judge(lines, dropped)
        torn = clean.mixed_orders(clean.drafts(first))
        judged = clean.judge(lines, dropped, torn)
        return lines, judged if mixed else first

    return _arrive


@pytest.fixture
def reasons(con, arrive):
    """The reason of each line by its number, None for a kept one."""

    def _reasons(text: str, **options):
        return dict(found(con, arrive(text, **options)[1], "line", "reason"))

    return _reasons


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
    other = {"quantity": "2.0001", "unit_price": "5.0001", "ordered_at": "2023-01-02T00:00:01"}
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
    items = clean.items(judged, clean.duplicates(lines))
    assert found(con, items, "line", "is_duplicate") == [
        (1, False), (1000000001, False), (2, True),
    ]  # fmt: skip


def test_duplicates_are_kept_where_no_file_drops_them(reasons):
    assert set(reasons(TWO_FILES).values()) == {None}


# --- rules (CLN-02, CLN-07, CLN-08)

ONE_OF_EACH = """
1  A  adjustment  -  debt  1  -90.00  2023-01-02
2  B  test        1  mug   1  5.00    2023-01-02
3  C  sale        1  -     1  5.00    2023-01-02
4  D  sale        1  mug   1  -1.00   2023-01-02
5  E  sale        1  mug   0  5.00    2023-01-02
6  F  sale        1  mug   1  5.00    2023-01-02
7  F  sale        2  mug   1  5.00    2023-01-02
8  C  sale        1  -     1  5.00    2023-01-02
"""


def test_each_reason_has_its_line(reasons):
    given = reasons(ONE_OF_EACH, policies=["drop"])
    assert given == {
        1: "adjustment", 2: "test", 3: "missing", 4: "price below zero",
        5: "quantity not above zero", 6: "order of two customers", 7: "order of two customers",
        8: "duplicate",
    }  # fmt: skip
    assert set(given.values()) == {*clean.REMOVED, *clean.QUARANTINED}


@pytest.mark.parametrize("field", clean.REQUIRED)
def test_a_line_without_a_required_field_is_quarantined(con, arrive, field):
    lines, _ = arrive("1 A sale 1 mug 1 5.00 2023-01-02")
    torn = lines.mutate(**{field: ibis.null(lines[field].type())})
    judged = clean.judge(torn, clean.duplicates(torn).filter(False))
    assert found(con, judged, "fate", "reason") == [("quarantined", "missing")]


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
        1: "missing", 2: "duplicate", 3: "test", 4: "price below zero",
        5: "quantity not above zero", 6: "order of two customers",
        7: "order of two customers",
    }  # fmt: skip


def test_an_amount_of_minus_one_is_quarantined_and_of_zero_kept(reasons):
    text = "1 A sale 1 mug 1 -1 2023-01-02\n2 B sale 1 mug 1 0 2023-01-02"  # E13
    assert reasons(text) == {1: "price below zero", 2: None}


def test_a_return_may_have_units_of_either_sign_but_not_none(reasons):
    text = "1 A return 1 mug -2 5 2023-01-02\n2 B return 1 mug 2 5 2023-01-02\n"
    text += "3 C return 1 mug 0 5 2023-01-02\n4 D sale 1 mug -2 5 2023-01-02"
    wrong = "quantity not above zero"
    assert reasons(text) == {1: None, 2: None, 3: wrong, 4: wrong}


def test_an_order_is_mixed_if_it_names_two_customers_not_one_and_none(con, arrive):
    text = "3 B sale 2 mug 1 5 2023-01-02\n1 A sale 1 mug 1 5 2023-01-02\n"
    text += "4 B sale 1 mug 1 5 2023-01-02\n2 A sale - mug 1 5 2023-01-02"
    assert found(con, clean.mixed_orders(clean.drafts(arrive(text, mixed=False)[1]))) == [("B",)]


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
    items = clean.items(shop[1], clean.duplicates(shop[0]))
    assert found(con, items, "line", "amount") == [(1, 10.0), (2, 3.5), (4, 7.0), (6, 0.0)]


def test_returns_are_positive_and_tell_whether_their_sale_was_found(con, shop):
    back = clean.returns(clean.rest(shop[1]), shop[2])
    columns = ["return_id", "quantity", "amount", "reverses", "reverses_line"]
    assert found(con, back, *columns) == [("R", 2.0, 10.0, "A", 1), ("S", 1.0, 9.0, None, None)]
    assert found(con, shop[2], "reversed_at") == [(pd.Timestamp("2023-01-03 10:00"),)]


def test_an_order_sums_its_lines_before_returns(con, shop):
    placed = clean.orders(clean.drafts(shop[1]))
    assert found(con, placed, "order_id", "customer_key", "lines", "amount") == [
        ("A", "1", 2, 13.5), ("B", "2", 1, 7.0), ("C", None, 1, 0.0),
    ]  # fmt: skip
    assert found(con, placed.filter(placed.order_id == "A"), "ordered_at") == [
        (pd.Timestamp("2023-01-02 10:00"),)
    ]


def test_orders_and_items_written_have_the_same_sum_to_the_last_decimal(con, arrive, tmp_path):
    text = "1 A sale 1 tea 0.125 9.99 2023-01-02\n2 A sale 1 tea 0.125 9.99 2023-01-02"
    lines, judged = arrive(text)  # 1.24875 each, 2.4975 together
    made = {
        "orders": clean.orders(clean.drafts(judged)),
        "order_items": clean.items(judged, clean.duplicates(lines)),
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


def test_customers_are_those_of_records_and_of_lines_each_once(con, arrive):
    _, judged = arrive("2 B sale 2 mug 1 5 2023-01-02\n1 A return 2 mug -1 5 2023-01-02")
    orders, rest = clean.orders(clean.drafts(judged)), clean.rest(judged)
    head = "customer_key city\n"
    records = literal(con, "staged/customers", head + "3 Paris\n2 Rome", source="shop")
    made = clean.customers(records, orders, rest)
    assert found(con, made, "customer_key", "city") == [("2", "Rome"), ("3", "Paris")]


def test_quarantine_keeps_the_line_whole_with_its_reason(con, shop, tmp_path):
    waiting = clean.quarantine(clean.rest(shop[1]))
    assert sorted(waiting.columns) == sorted(lookup("clean/quarantine").names)
    assert found(con, waiting, "line", "quantity", "unit_price", "reason") == [
        (7, 1.0, -2.0, "price below zero")
    ]


# --- ledger and other counts


def test_the_ledger_books_every_line_once(con, shop):
    assert found(con, booking(shop[1]), "fate", "reason", "rows", "amount") == [
        ("kept", "return", 2, -19.0), ("kept", "sale", 4, 20.5),
        ("quarantined", "price below zero", 1, -2.0), ("removed", "test", 1, 2.0),
    ]  # fmt: skip


def test_the_ledger_agrees_with_the_tables(con, shop):
    lines, judged, reversed = shop
    booked = engine.frame(con, booking(judged))
    rows = {
        name: int(table.count().execute())
        for name, table in {
            "sale": clean.items(judged, clean.duplicates(lines)),
            "returned": clean.returns(clean.rest(judged), reversed),
            "quarantined": clean.quarantine(clean.rest(judged)),
        }.items()
    }
    clean.balance(booked, rows_in=8, max_share=0.125, **rows)
    assert rows == {"sale": 4, "returned": 2, "quarantined": 1}


def test_facts_count_lines_of_each_fate(con, shop):
    facts = engine.frame(con, clean.facts(shop[1])).iloc[0].to_dict()
    assert facts.items() >= {
        "lines": 8, "sale_lines": 4, "return_lines": 2, "quarantined": 1, "removed": 1,
        "unknown_lines": 1, "unknown_share": 0.125, "kept": 6, "kept_share": 0.75,
    }.items()  # fmt: skip


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
    ways = engine.frame(con, clean.choices(judged, clean.duplicates(lines)))
    assert ways[["lines", "customers", "sales"]].values.tolist() == [
        [3, 1, 27.0], [2, 1, 17.0], [2, 1, 20.0], [1, 1, 10.0],
    ]  # fmt: skip
    assert clean.named(ways)["known_unique_sales"] == 10.0


def test_cancelled_sales_are_listed_by_amount_with_the_hours_between(con, shop):
    undone = clean.undone(*shop[1:])
    assert found(con, clean.largest(undone), "order_id", "amount", "hours") == [("A", 10.0, 24.0)]
    assert found(con, clean.undone_facts(undone)) == [(1, 10.0, 10.0, 24.0)]


def test_equal_cancelled_sales_are_listed_by_line(con, arrive):
    text = "2 B sale 1 cup 2 5 2023-01-02\n1 A sale 1 mug 2 5 2023-01-02\n"
    text += "9 R return 1 mug -2 5 2023-01-03\n8 R return 1 cup -2 5 2023-01-03"
    _, judged = arrive(text)
    best = clean.largest(clean.undone(judged, reversals(judged)), top=1)
    assert found(con, best, "order_id") == [("A",)]


# --- balance


def ledger(**rows: int) -> pd.DataFrame:
    fates = {"sale": "kept", "return": "kept", "test": "removed"}
    booked = [(fates.get(r, "quarantined"), r, n) for r, n in rows.items()]
    return pd.DataFrame(booked, columns=["fate", "reason", "rows"])


GOOD = {"rows_in": 100, "sale": 90, "returned": 4, "quarantined": 5}


def test_a_ledger_that_accounts_for_every_line_balances():
    clean.balance(ledger(sale=90, **{"return": 4}, missing=5, test=1), **GOOD)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows_in": 101}, "101 lines came in, the ledger accounts for 100"),
        ({"rows_in": 99}, "99 lines came in, the ledger accounts for 100"),
        ({"sale": 89}, "the ledger has 90 rows of 'sale', its table has 89"),
        ({"returned": 5}, "the ledger has 4 rows of 'return', its table has 5"),
        ({"quarantined": 4}, "the ledger has 5 rows of 'quarantined', its table has 4"),
    ],
    ids=["lost", "doubled", "sale lost", "return doubled", "quarantine lost"],
)
def test_a_row_lost_or_doubled_stops_the_run(change, message):
    booked = ledger(sale=90, **{"return": 4}, missing=5, test=1)
    with pytest.raises(clean.LedgerError, match=message):
        clean.balance(booked, **{**GOOD, **change})


def test_too_many_lines_in_quarantine_stop_the_run_with_the_commonest_reason():
    booked = ledger(sale=94, missing=2, **{"price below zero": 4})
    message = (
        r"6 of 100 order lines are quarantined, more than clean.balance.max_share 5.0% allows; "
        r"most of them \(4\) because: an amount may not be negative"
    )
    with pytest.raises(clean.LedgerError, match=message):
        clean.balance(booked, rows_in=100, sale=94, returned=0, quarantined=6)


# --- nothing in, nothing out

NOTHING_IN = {
    "clean/order_items": lambda lines, judged, none: clean.items(judged, clean.duplicates(lines)),
    "clean/returns": lambda lines, judged, none: clean.returns(clean.rest(judged), none),
    "clean/orders": lambda lines, judged, none: clean.orders(clean.drafts(judged)),
    "clean/quarantine": lambda lines, judged, none: clean.quarantine(clean.rest(judged)),
    "clean/ledger": lambda lines, judged, none: booking(judged),
    "clean/products": lambda lines, judged, none: clean.products(
        lines, lines.select("source", "product_id", "product_name", "category"), non_products=[]
    ),
    "clean/customers": lambda lines, judged, none: clean.customers(
        lines.select(
            "source",
            "customer_key",
            registered_on=lines.ordered_at.date(),
            **dict.fromkeys(("industry", "gender", "city", "acquisition"), lines.country),
        ),
        clean.orders(clean.drafts(judged)),
        clean.rest(judged),
    ),
}


@pytest.mark.parametrize("name", NOTHING_IN)
def test_no_lines_make_an_empty_table_of_the_right_types(con, arrive, tmp_path, name):
    lines, judged = arrive("")
    made = NOTHING_IN[name](lines, judged, reversals(judged))
    assert engine.write(con, made, tmp_path / "t", lookup(name)) == 0
    schema = engine.scan(con, tmp_path / "t").schema()
    types = {column: str(kind) for column, kind in schema.items()}
    money = [c.name for c in lookup(name).columns if c.type in ("money", "quantity")]
    assert list(types) == lookup(name).names
    assert {types[c] for c in money} <= {"decimal(18, 4)"}


def test_no_lines_balance_and_have_zero_counts(con, arrive):
    lines, judged = arrive("")
    none = reversals(judged)
    undone = clean.undone(judged, none)
    clean.balance(engine.frame(con, booking(judged)), rows_in=0, sale=0, returned=0, quarantined=0)
    assert set(engine.frame(con, clean.facts(judged)).iloc[0]) == {0}
    assert engine.frame(con, clean.choices(judged, clean.duplicates(lines)))["sales"].tolist() == [
        0,
        0,
        0,
        0,
    ]
    assert found(con, clean.undone_facts(undone)) == [(0, 0.0, 0.0, 0.0)]
    assert found(con, clean.largest(undone)) == found(con, clean.duplicates(lines)) == []
