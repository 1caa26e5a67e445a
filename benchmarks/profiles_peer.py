"""The contenders of profiles.py; each reads the tables of a folder and writes one file beside.

python benchmarks/profiles_peer.py ours|pandas FOLDER
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

AS_OF = date(2023, 12, 31)
RECENT, WINDOW, NEW, CHURNED = 30, 90, 365, 90
READ = ("order_items", "orders", "returns", "products", "finance", "customers")
SETTINGS = {"threads": 2, "memory": "4GB"}  # memory: as in params.yaml


def ours(folder: Path) -> None:
    """The view, as the notebook of the stage computes and writes it."""
    import ibis

    from crm import engine, profiles
    from crm.tables import TYPES, lookup

    con = engine.connect(**SETTINGS, spill=folder / "spill-ours")
    read = {}
    for name in profiles.FACTS:
        types = {c.name: TYPES[c.type][0] for c in lookup(f"tables/{name}").columns}
        nulls = ", ".join(f'NULL::{kind} AS "{column}"' for column, kind in types.items())
        con.con.execute(f'CREATE TABLE "no_{name}" AS SELECT {nulls} WHERE false')
        read[name] = con.table(f"no_{name}")
        if name in READ:
            found = engine.scan(con, folder / f"{name}.parquet")
            empty = {c: ibis.null(read[name].schema()[c]) for c in types}
            read[name] = found.select(**(empty | {c: found[c] for c in found.columns}))
    view = profiles.view(read, as_of=AS_OF)
    no = {name: ibis.literal(False) for name in profiles.PERMISSIONS}
    held = engine.hold(con, view.mutate(**no), "view")
    engine.write(con, held, folder / "ours.parquet", lookup("features/profiles"))


def pandas(folder: Path) -> None:
    """The same in the pandas that an experienced analyst would write; money is float64."""
    import pandas as pd

    t = {name: read(folder / f"{name}.parquet") for name in READ}
    orders = purchases(t["orders"], t["returns"])
    whole = t["customers"].set_index("customer_id")
    blocks = [money(orders), back(t["returns"]), channels(orders), *goods(t, orders)]
    whole = whole.join(blocks)
    whole = derived(whole)
    whole.reset_index().to_parquet(folder / "pandas.parquet", index=False)
    assert isinstance(whole, pd.DataFrame)


def read(path: Path):
    """Decimals are cast by Arrow on reading, since frames would hold them as Python objects."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    kinds = [pa.float64() if pa.types.is_decimal(f.type) else f.type for f in table.schema]
    schema = pa.schema([(f.name, kind) for f, kind in zip(table.schema, kinds, strict=True)])
    return table.cast(schema).to_pandas(split_blocks=True, self_destruct=True)


def purchases(orders, returns):
    """Orders of known customers less what was cancelled, with their day and whether they stand."""
    cancelled = returns.dropna(subset="reverses").groupby("reverses")["amount"].sum()
    orders = orders[orders["customer_id"].notna() & (orders["amount"] > 0)].copy()
    orders["net"] = orders["amount"] - orders["order_id"].map(cancelled).fillna(0.0)
    orders["net"] = orders["net"].round(4)
    orders["stands"] = orders["net"] > 0
    orders["day"] = orders["ordered_at"].dt.normalize()
    return orders


def money(orders):
    """Days, numbers and money of purchases by customer."""
    import pandas as pd

    as_of = pd.Timestamp(AS_OF)
    stands = orders[orders["stands"]]
    ages, all_ages = (as_of - stands["day"]).dt.days, (as_of - orders["day"]).dt.days
    by = stands.groupby("customer_id")
    found = pd.DataFrame({
        "first_order_on": by["day"].min(), "last_order_on": by["day"].max(), "orders": by.size(),
    })  # fmt: skip
    found = found.reindex(orders["customer_id"].unique())
    for name, days in (("recent", RECENT), ("window", WINDOW)):
        found[f"{name}_orders"] = stands[ages < days].groupby("customer_id").size()
        found[f"{name}_net"] = orders[all_ages < days].groupby("customer_id")["net"].sum()
    every = orders.groupby("customer_id")
    found["sales"], found["net"] = every["amount"].sum(), every["net"].sum()
    is_store = orders["channel"] == "store"
    found["store_sales"] = orders[is_store].groupby("customer_id")["net"].sum()
    found["online_sales"] = orders[~is_store].groupby("customer_id")["net"].sum()
    return found


def back(returns):
    """Money of returns by customer: of all, and of those that cancel no whole line."""
    import pandas as pd

    returns = returns[returns["customer_id"].notna()]
    ages = (pd.Timestamp(AS_OF) - returns["returned_at"].dt.normalize()).dt.days
    loose = returns["reverses"].isna()
    parts = {"returned": loose | True, "loose": loose, "recent_loose": loose & (ages < RECENT),
             "window_loose": loose & (ages < WINDOW)}  # fmt: skip
    return pd.DataFrame(
        {
            name: returns[which].groupby("customer_id")["amount"].sum()
            for name, which in parts.items()
        }
    )


def channels(orders):
    """Channels of purchase by customer, the preferred one and its share."""
    import pandas as pd

    stands = orders[orders["stands"]]
    by = stands.groupby(["customer_id", "channel"], as_index=False).agg(
        times=("order_id", "size"), spend=("net", "sum")
    )
    by = by.sort_values(
        ["customer_id", "times", "spend", "channel"], ascending=[True, False, False, True]
    )
    first = by.drop_duplicates("customer_id").set_index("customer_id")
    groups = by.groupby("customer_id")["times"]
    return pd.DataFrame({
        "channels": groups.size(), "preferred_channel": first["channel"],
        "preferred_channel_share": first["times"] / groups.sum(),
    })  # fmt: skip


def goods(t: dict, orders):
    """Products, liked category and margin by customer."""
    items = t["order_items"]
    gone = t["returns"]["reverses_line"].dropna()
    sold = items[items["customer_id"].notna() & (items["amount"] > 0) & ~items["line"].isin(gone)]
    names = t["products"].loc[t["products"]["is_product"], ["product_id", "category"]]
    sold = sold.merge(names, on="product_id")
    by = sold.groupby(["customer_id", "category"], as_index=False).agg(
        money=("amount", "sum"), times=("order_id", "size"), products=("product_id", "nunique")
    )
    by["money"] = by["money"].round(4)
    by = by.sort_values(
        ["customer_id", "money", "times", "category"], ascending=[True, False, False, True]
    )
    first = by.drop_duplicates("customer_id").set_index("customer_id")
    sums = by.groupby("customer_id")[["money", "products"]].sum()
    liked = sums[["products"]].assign(
        top_category=first["category"], top_category_share=first["money"] / sums["money"]
    )
    cost = t["finance"].set_index("product_id")["cost"]
    loose = t["returns"][t["returns"]["reverses"].isna() & t["returns"]["customer_id"].notna()]
    parts = []
    for rows, sign in ((sold, 1), (loose, -1)):
        made = rows[["customer_id"]].assign(
            costed=sign * rows["amount"],
            goods=sign * rows["quantity"] * rows["product_id"].map(cost),
        )
        parts.append(made.groupby("customer_id").sum())
    margin = parts[0].add(parts[1], fill_value=0)
    margin["margin"] = margin["costed"] - margin["goods"]
    return liked, margin[["costed", "margin"]]


def derived(whole):
    """Spans, shares, the type of customer and the stage of life."""
    import numpy as np
    import pandas as pd

    counts = ["orders", "recent_orders", "window_orders", "products", "channels"]
    sums = ["net", "recent_net", "window_net", "sales", "store_sales", "online_sales", "returned",
            "loose", "recent_loose", "window_loose"]  # fmt: skip
    w = whole.assign(**whole[[*counts, *sums]].fillna(0))
    w = w.astype(dict.fromkeys(counts, "int64"))
    as_of, last = pd.Timestamp(AS_OF), w["last_order_on"]
    w["recency_days"] = (as_of - last).dt.days
    months = 12 * (as_of.year - last.dt.year) + as_of.month - last.dt.month
    w["inactive_months"] = months  # the day of the view is the last of its month
    for name in ("", "recent_", "window_"):
        w[f"{name}spend"] = w[f"{name}net"] - w[f"{name}loose"]
    w["order_value"] = w["spend"] / w["orders"].replace(0, np.nan)
    w["window_order_value"] = w["window_spend"] / w["window_orders"].replace(0, np.nan)
    w["returned_share"] = w["returned"] / w["sales"].replace(0, np.nan)
    w["margin_share"] = w["margin"] / w["costed"].replace(0, np.nan)
    w["is_dormant"], w["is_recent"] = w["recency_days"] >= CHURNED, w["recency_days"] < RECENT
    is_new = (as_of - pd.to_datetime(w["registered_on"])).dt.days < NEW
    w["customer_type"] = np.select([w["is_dormant"], is_new], ["churned", "new"], "old")
    stage = w["customer_type"].replace("old", "mature")
    w["lifecycle"] = stage.where(w["orders"] > 0, "prospect")
    return w


if __name__ == "__main__":
    {"ours": ours, "pandas": pandas}[sys.argv[1]](Path(sys.argv[2]))
