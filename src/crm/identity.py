"""Who is who: every source key and the one customer it belongs to.

For now one source key is one customer. A key is unique within the source: a mapping that reads
several systems says how their keys differ. The customer id is opaque: a keyed hash of source and
key, so it stays the same on every run and tells nothing to somebody without it (C360-01).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crm.vault import pseudonyms

if TYPE_CHECKING:
    import ibis
    import pandas as pd

OWN_KEY = "own key"  # the rule: a source key stands for itself


class IdentityError(ValueError):
    """Two source keys fell on one id, or a fact lost its customer."""


def link(keys: pd.Series, *, source: str, key: bytes) -> pd.DataFrame:
    """One source key and its customer, as in `tables/identity_map` (C360-02).

    Parameters
    ----------
    keys
        The source's keys of customers, each once.
    source
        Name of the source.
    key
        The pseudonym key.

    Raises
    ------
    IdentityError
        Two keys have the same id; at 64 bits this is not expected below 10^8 customers.

    Examples
    --------
    >>> import pandas as pd
    >>> linked = link(pd.Series(["10001"]), source="shop", key=b"k")
    >>> linked[["customer_key", "rule", "confidence"]].values.tolist()
    [['10001', 'own key', 1.0]]
    """
    import pandas as pd

    ids = pseudonyms(source, keys.tolist(), key=key)
    linked = pd.DataFrame({"source": source, "customer_key": keys, "customer_id": ids})
    linked = linked.assign(rule=OWN_KEY, confidence=1.0)
    if linked["customer_id"].duplicated().any():
        raise IdentityError("two source keys have the same customer id: use a longer id")
    return linked


def attach(rows: ibis.Table, identity_map: ibis.Table) -> ibis.Table:
    """The rows with `customer_id` in place of `customer_key`; rows without a customer stay."""
    known = identity_map.select("customer_key", "customer_id")
    return rows.left_join(known, "customer_key").drop("customer_key", "customer_key_right")


def attach_all(tables: dict[str, ibis.Table], identity_map: ibis.Table) -> dict[str, ibis.Table]:
    """Each table by name with `customer_id` in place of `customer_key`, if it has one."""
    return {
        name: attach(rows, identity_map) if "customer_key" in rows.columns else rows
        for name, rows in tables.items()
    }


def coverage(before: ibis.Table, after: ibis.Table) -> ibis.Table:
    """One row: orders, orders with a customer before and after the join, and their share."""
    sums = before.aggregate(
        orders=before.count(),
        free_orders=(before.amount == 0).sum().fill_null(0),
        free_unnamed=((before.amount == 0) & before.customer_key.isnull()).sum().fill_null(0),
        keyed_orders=before.customer_key.notnull().sum().fill_null(0),
    )
    named = after.aggregate(
        joined_orders=after.count(),
        named_orders=after.customer_id.notnull().sum().fill_null(0),
        named_share=after.customer_id.notnull().cast("float64").mean().fill_null(0),
    )
    return sums.cross_join(named)


def assert_whole(found: dict) -> None:
    """Raise `IdentityError` if the join lost or doubled an order, or left a key without customer.

    Examples
    --------
    >>> assert_whole({"orders": 2, "joined_orders": 2, "keyed_orders": 1, "named_orders": 1})
    """
    if found["orders"] != found["joined_orders"]:
        raise IdentityError(
            f"{found['orders']} orders went into the join, {found['joined_orders']} came out"
        )
    if found["keyed_orders"] != found["named_orders"]:
        raise IdentityError(
            f"{found['keyed_orders']} orders name a source key, {found['named_orders']} a customer"
        )
