"""One source key, one customer, the same on every run; no fact loses its customer."""

from __future__ import annotations

import pandas as pd
import pytest
from test_engine import found, literal

from crm import engine, identity, vault
from crm.tables import lookup


@pytest.fixture(scope="module")
def con():
    return engine.connect(threads=2)


def keys(*pairs: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["source", "customer_key"], dtype="str")


def test_the_same_key_of_two_sources_is_two_customers():
    linked = identity.link(keys(("shop", "1"), ("app", "1"), ("shop", "2")), key=b"k")
    assert linked["customer_id"].nunique() == 3
    assert linked["customer_id"].str.fullmatch("[0-9a-f]{16}").all()
    assert linked[["source", "customer_key"]].values.tolist() == [
        ["shop", "1"], ["app", "1"], ["shop", "2"],
    ]  # fmt: skip


def test_ids_depend_neither_on_the_order_nor_on_the_other_keys():
    both = identity.link(keys(("shop", "2"), ("app", "9"), ("shop", "1")), key=b"k")
    one = identity.link(keys(("shop", "1")), key=b"k")
    assert both["customer_id"].iloc[2] == one["customer_id"].iloc[0]
    assert one["customer_id"].tolist() == vault.pseudonyms("shop", ["1"], key=b"k")


def test_another_key_makes_other_ids():
    one, other = (identity.link(keys(("shop", "1")), key=k) for k in (b"k", b"l"))
    assert one["customer_id"].iloc[0] != other["customer_id"].iloc[0]


def test_two_keys_on_one_id_stop_the_run(monkeypatch):
    monkeypatch.setattr(vault, "ID_LENGTH", 1)
    with pytest.raises(identity.IdentityError, match="use a longer id"):
        identity.link(keys(*[("shop", str(i)) for i in range(17)]), key=b"k")


def test_no_keys_make_an_empty_map(con, tmp_path):
    linked = identity.link(keys(), key=b"k")
    assert engine.write(con, linked, tmp_path / "map", lookup("tables/identity_map")) == 0


MAP = "source customer_key customer_id\nshop 1 a\nshop 2 b\napp 1 c\n"
ORDERS = """
order_id  source  customer_key
3         shop    -
1         shop    1
4         shop    9
2         app     1
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
    facts = engine.frame(con, identity.coverage(*joined(identities=MAP + "shop 1 z")))
    with pytest.raises(identity.IdentityError, match="4 orders went into the join, 5 came out"):
        identity.assert_whole(facts.to_dict("records")[0])


def test_no_orders_are_whole(con, joined):
    before, after = joined(orders="order_id source customer_key", identities=MAP)
    facts = engine.frame(con, identity.coverage(before, after)).to_dict("records")[0]
    identity.assert_whole(facts)
    assert set(facts.values()) == {0}
