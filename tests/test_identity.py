"""One source key, one customer, the same on every run; no fact loses its customer."""

from __future__ import annotations

import pandas as pd
import pytest
from conftest import Bench
from test_engine import found, literal

from crm import engine, identity, vault
from crm.tables import RECORDS, lookup


@pytest.fixture(scope="module")
def con():
    return engine.connect(threads=2)


def link(*keys: str, source="shop", key=b"k") -> pd.DataFrame:
    return identity.link(pd.Series(keys, dtype="str"), source=source, key=key)


def test_each_key_is_one_customer_and_that_of_another_source_another_one():
    linked = link("1", "2")
    assert linked["customer_id"].str.fullmatch("[0-9a-f]{16}").all()
    assert linked[["source", "customer_key"]].values.tolist() == [["shop", "1"], ["shop", "2"]]
    assert {*linked["customer_id"]}.isdisjoint(link("1", "2", source="app")["customer_id"])


def test_ids_depend_neither_on_the_order_nor_on_the_other_keys():
    both, one = link("2", "9", "1"), link("1")
    assert both["customer_id"].iloc[2] == one["customer_id"].iloc[0]
    assert one["customer_id"].tolist() == vault.pseudonyms("shop", ["1"], key=b"k")


def test_another_key_makes_other_ids():
    one, other = (link("1", key=k) for k in (b"k", b"l"))
    assert one["customer_id"].iloc[0] != other["customer_id"].iloc[0]


def test_two_keys_on_one_id_stop_the_run(monkeypatch):
    monkeypatch.setattr(vault, "ID_LENGTH", 1)
    with pytest.raises(identity.IdentityError, match="use a longer id"):
        link(*map(str, range(17)))


def test_no_keys_make_an_empty_map(con, tmp_path):
    linked = link()
    assert engine.write(con, linked, tmp_path / "map", lookup("tables/identity_map")) == 0


MAP = "customer_key customer_id\n1 a\n2 b\n3 c\n"
ORDERS = """
order_id  customer_key
3         -
1         1
4         9
2         3
"""


@pytest.fixture
def joined(con):
    def _joined(orders=ORDERS, identities=MAP):
        before = literal(con, "clean/orders", orders)
        return before, identity.attach(before, literal(con, "tables/identity_map", identities))

    return _joined


def test_rows_have_the_customer_in_place_of_the_key_and_stay_without_one(con, joined):
    _, after = joined()
    assert sorted(after.columns) == sorted(lookup("tables/orders").names)
    assert found(con, after, "order_id", "customer_id") == [
        ("1", "a"), ("2", "c"), ("3", None), ("4", None),
    ]  # fmt: skip


def test_a_key_without_customer_stops_the_run(con, joined):
    facts = engine.frame(con, identity.coverage(*joined())).to_dict("records")[0]
    assert facts == {
        "orders": 4, "free_orders": 0, "free_unnamed": 0, "keyed_orders": 3, "joined_orders": 4,
        "named_orders": 2, "named_share": 0.5,
    }  # fmt: skip
    with pytest.raises(identity.IdentityError, match="3 orders name a source key, 2 a customer"):
        identity.assert_whole(facts)


def test_a_doubled_key_stops_the_run(con, joined):
    facts = engine.frame(con, identity.coverage(*joined(identities=MAP + "1 z")))
    with pytest.raises(identity.IdentityError, match="4 orders went into the join, 5 came out"):
        identity.assert_whole(facts.to_dict("records")[0])


def test_every_table_that_names_a_customer_gets_the_pseudonym_and_the_others_stay(con):
    ids = literal(con, "tables/identity_map", MAP)
    facts = {
        "tickets": literal(con, "clean/tickets", "line ticket_id customer_key\n1 T 1\n2 U -"),
        "campaigns": literal(con, "clean/campaigns", "line campaign_id\n1 H"),
    }
    joined = identity.attach_all(facts, ids)
    assert found(con, joined["tickets"], "ticket_id", "customer_id") == [("T", "a"), ("U", None)]
    for name, rows in joined.items():
        assert sorted(rows.columns) == sorted(lookup(f"tables/{name}").names)


def test_all_tables_of_the_notebook_lose_their_key_and_no_row(con, tmp_path):
    names = ("orders", "order_items", "returns", "customers", "products", *RECORDS)
    rows = {name: literal(con, f"clean/{name}", _one_row(name)) for name in names}
    bench = Bench(con, tmp_path, {f"clean/{name}": table for name, table in rows.items()})
    bench.run["source"] = "shop"
    bench.execute("identity", identity=identity)
    (whose,) = found(con, bench.out("tables/customers"), "customer_id")[0]
    for name in names:
        written = bench.out(f"tables/{name}")
        assert "customer_key" not in written.columns
        assert written.count().execute() == 1
        if "customer_id" in written.columns:
            assert found(con, written, "customer_id") == [(whose,)]


def _one_row(name: str) -> str:
    """A row of the table with its key, its time and the customer K."""
    table = lookup(f"clean/{name}")
    values = {"int": "1", "date": "2023-01-01", "timestamp": "2023-01-01", "bool": "true"}
    wanted = {*table.key, table.time, "customer_key"} & set(table.names)
    cells = {c.name: values.get(c.type, "K") for c in table.columns if c.name in wanted}
    return f"{' '.join(cells)}\n{' '.join(cells.values())}"


def test_no_orders_are_whole(con, joined):
    before, after = joined(orders="order_id customer_key", identities=MAP)
    facts = engine.frame(con, identity.coverage(before, after)).to_dict("records")[0]
    identity.assert_whole(facts)
    assert set(facts.values()) == {0}
