"""The writer leaves the same bytes for the same rows, and never half a table.

`literal` and `found` are how the other tests write and read their small tables.
"""

from __future__ import annotations

import itertools

import ibis
import pandas as pd
import pytest

from crm import engine
from crm.tables import TableError, lookup

TYPES = {
    "string": "string", "int": "int64", "money": "decimal(18, 4)", "quantity": "decimal(18, 4)",
    "float": "float64", "date": "date", "timestamp": "timestamp(6)", "bool": "boolean",
}  # fmt: skip
_numbers = itertools.count()


def literal(con, table: str, text: str, **same) -> ibis.Table:
    """A table written as text, typed by its schema; `-` and columns not named are empty."""
    head, *body = (line.split() for line in text.splitlines() if line.strip())
    cells = [[None if cell == "-" else cell for cell in row] for row in body]
    raw = engine.lift(
        con, pd.DataFrame(cells, columns=head, dtype="str"), f"literal_{next(_numbers)}"
    )
    columns = {column.name: TYPES[column.type] for column in lookup(table).columns}
    assert set(head) | set(same) <= set(columns), f"no such columns in {table}"
    given = {name: raw[name] for name in head}
    given |= {name: ibis.literal(value, "string") for name, value in same.items()}
    empty = ibis.null("string")
    return raw.select(**{n: given.get(n, empty).cast(kind) for n, kind in columns.items()})


def found(con, expr: ibis.Table, *columns: str) -> list[tuple]:
    """The rows of a result as sorted tuples, an empty value as None."""
    frame = engine.frame(con, expr)
    chosen = frame[list(columns) or list(frame.columns)].astype(object)
    rows = chosen.where(chosen.notna(), None).itertuples(index=False, name=None)
    return sorted(rows, key=lambda row: [(value is not None, str(value)) for value in row])


@pytest.fixture(scope="module")
def con():
    return engine.connect(threads=2)


ORDERS = """
order_id  customer_key  ordered_at        lines  amount
B         2             2023-02-01T00:00  1      20.00
A         1             2023-01-31T23:59  2      10.00
C         -             2023-02-28T10:00  1      0.333333
"""


def orders(con, text=ORDERS):
    return literal(con, "clean/orders", text)


def identities(con, text):
    return literal(con, "tables/identity_map", text, source="shop", rule="own", confidence="1")


def query(con, name: str, select: str) -> ibis.Table:
    con.con.execute(f"CREATE VIEW {name} AS {select}")
    return con.table(name)


def many(con, order: str) -> ibis.Table:
    """300,000 orders in one month, more than two row groups, in an order of one's own."""
    return query(
        con,
        "many",
        "SELECT i::VARCHAR AS order_id, (i % 999)::VARCHAR AS customer_key, "
        "TIMESTAMP '2023-01-01' + INTERVAL (i % 31) DAY AS ordered_at, NULL::VARCHAR AS channel, "
        "'France' AS country, 1 AS lines, i / 7 AS amount "
        f"FROM range(300000) t(i) ORDER BY {order}",
    )


def test_bytes_depend_neither_on_threads_nor_on_the_order_of_rows(tmp_path):
    digests = set()
    for threads, order in [(1, "i"), (2, "i"), (1, "hash(i)"), (2, "-i")]:
        con = engine.connect(threads=threads)
        target = tmp_path / f"{threads}{order}"
        assert engine.write(con, many(con, order), target, lookup("clean/orders")) == 300_000
        digests.add(engine.digest(target))
    held = engine.hold(con, engine.scan(con, target), "held")
    for name, rows in (("held", held), ("scanned", engine.scan(con, target))):
        engine.write(con, rows, tmp_path / name, lookup("clean/orders"))
        digests.add(engine.digest(tmp_path / name))
    assert len(digests) == 1


def test_facts_lie_in_one_folder_a_month_sorted_by_key(con, tmp_path):
    assert engine.write(con, orders(con), tmp_path / "orders", lookup("clean/orders")) == 3
    parts = {p.parent.name: pd.read_parquet(p) for p in tmp_path.rglob("part.parquet")}
    ids = {month: part["order_id"].tolist() for month, part in parts.items()}
    assert ids == {"month=2023-01": ["A"], "month=2023-02": ["B", "C"]}
    assert "_month" not in parts["month=2023-01"]


def test_a_fact_table_without_rows_is_a_folder_with_its_schema(con, tmp_path):
    assert engine.write(con, orders(con).limit(0), tmp_path / "o", lookup("clean/orders")) == 0
    read = engine.scan(con, tmp_path / "o")
    assert [p.name for p in (tmp_path / "o").iterdir()] == [engine.EMPTY_MONTH]
    assert str(read["amount"].type()) == "decimal(18, 4)"
    assert engine.frame(con, read).empty


def test_a_fact_without_a_time_is_written_too(con, tmp_path):
    text = ORDERS.replace("2023-02-01T00:00", "-")
    rows = orders(con, text)
    for name, given in (("lazy", rows), ("held", engine.hold(con, rows, "without_time"))):
        wrote = engine.write(con, given, tmp_path / name, lookup("clean/orders"))
        read = found(con, engine.scan(con, tmp_path / name), "order_id")
        assert (wrote, read) == (3, [("A",), ("B",), ("C",)])


@pytest.mark.parametrize(("day", "months"), [("2023-01-31", ["01"]), ("2022-12-31", [])])
def test_a_month_of_which_no_row_is_chosen_has_no_folder(con, tmp_path, day, months):
    held = engine.hold(con, orders(con), "chosen")
    some = held.filter(held.ordered_at.date() <= ibis.date(day))
    assert engine.write(con, some, tmp_path / "o", lookup("clean/orders")) == len(months)
    folders = [p.name for p in (tmp_path / "o").iterdir()]
    assert folders == ([f"month=2023-{m}" for m in months] or [engine.EMPTY_MONTH])


def test_a_table_without_rows_is_a_file_with_its_schema(con, tmp_path):
    none = identities(con, "customer_key customer_id")
    target = tmp_path / "map.parquet"
    assert engine.write(con, none, target, lookup("tables/identity_map")) == 0
    assert str(engine.scan(con, target).schema()["confidence"]) == "float64"


def test_unsorted_rows_are_sorted_by_key(con, tmp_path):
    rows = identities(con, "customer_key customer_id\n3 c\n1 a\n2 b")
    engine.write(con, rows, tmp_path / "map", lookup("tables/identity_map"))
    assert pd.read_parquet(tmp_path / "map")["customer_key"].tolist() == ["1", "2", "3"]


def test_two_rows_with_one_key_are_refused_and_named(con, tmp_path):
    rows = identities(con, "customer_key customer_id\n1 a\n2 b\n1 c")
    with pytest.raises(TableError, match=r"identity_map': 2 rows share the key .*'1'"):
        engine.write(con, rows, tmp_path / "map", lookup("tables/identity_map"))
    assert not (tmp_path / "map").exists()


def test_two_facts_with_one_key_are_refused_and_named(con, tmp_path):
    rows = orders(con, ORDERS.replace("C ", "B "))
    with pytest.raises(TableError, match=r"clean/orders': 2 rows share the key .*'B'"):
        engine.write(con, rows, tmp_path / "orders", lookup("clean/orders"))


@pytest.mark.parametrize("as_frame", [True, False])
def test_missing_and_unknown_columns_are_named(con, tmp_path, as_frame):
    rows = orders(con).rename(cuntry="country")
    rows = engine.frame(con, rows) if as_frame else rows
    with pytest.raises(TableError, match=r"missing.*'country'.*'cuntry'"):
        engine.write(con, rows, tmp_path / "orders", lookup("clean/orders"))


def test_floats_keep_twelve_digits_and_money_four_decimals(con, tmp_path):
    third = identities(con, "customer_key customer_id\n1 a").mutate(confidence=ibis.literal(1) / 3)
    engine.write(con, third, tmp_path / "map", lookup("tables/identity_map"))
    assert pd.read_parquet(tmp_path / "map")["confidence"].tolist() == [0.333333333333]
    engine.write(con, orders(con), tmp_path / "orders", lookup("clean/orders"))
    money = engine.frame(con, engine.scan(con, tmp_path / "orders")).set_index("order_id")
    assert money.loc["C", "amount"] == 0.3333


def test_frames_have_float_money_and_microsecond_dates(con):
    raw = literal(con, "features/rfm", "customer_id last_order_on monetary\na 2023-01-05 1.5")
    kinds = engine.frame(con, raw).dtypes.astype("str")
    assert kinds[["last_order_on", "monetary"]].tolist() == ["datetime64[us]", "float64"]


def test_a_held_expression_is_computed_once(con):
    draw = query(con, "draw", "SELECT random() AS x FROM range(3)")
    held = engine.hold(con, draw, "held")
    assert found(con, held) == found(con, held)


def test_replace_puts_a_file_or_a_folder_where_the_old_one_was(tmp_path):
    for name in ("file", "folder"):
        new, target = tmp_path / f"{name}.new", tmp_path / "deep" / name
        for text in ("old", "new"):
            content = new if name == "file" else new / "part"
            content.parent.mkdir(exist_ok=True)
            content.write_text(text)
            engine.replace(new, target)
        assert (target if name == "file" else target / "part").read_text() == "new"
        assert not new.exists()
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_replace_that_fails_leaves_the_old_target(tmp_path, kind):
    target = tmp_path / "target"
    content = target if kind == "file" else target / "part"
    content.parent.mkdir(exist_ok=True)
    content.write_text("old")
    with pytest.raises(OSError):
        engine.replace(tmp_path / "never made", target)
    assert content.read_text() == "old"


def test_a_digest_tells_names_and_bytes_and_nothing_else(tmp_path):
    def folder(name: str, **files: str):
        (tmp_path / name).mkdir()
        for file, text in files.items():
            (tmp_path / name / file).write_text(text)
        return engine.digest(tmp_path / name)

    assert folder("one", a="1", b="2") == folder("two", b="2", a="1")
    assert len({folder("x", a="1"), folder("y", b="1"), folder("z", a="2")}) == 3
