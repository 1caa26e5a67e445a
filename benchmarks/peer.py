"""The pandas contender of lines.py: clean and RFM as a notebook would do them with pandas alone.

It knows no quarantine rule less and no column less than ours. Money is float64, as is usual; text
is pandas' own `str`, kept by Arrow. Decimals are cast by Arrow on reading, since frames would hold
them as Python objects, a hundred times slower.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

SAME = ["customer_key", "product_id", "unit_price", "units"]
WINDOW = 90


def run(source: Path, out: Path) -> None:
    lines = read(source)
    judge(lines)
    booked = ledger(lines)
    kept = lines["fate"] == "kept"
    sales = lines[kept & (lines["kind"] == "sale")]
    back = lines[kept & (lines["kind"] == "return")]
    back = back.assign(units=back["quantity"].abs(), amount=back["amount"].abs())
    pairs = reversals(sales, back)
    orders = total(sales)
    returns = returned(back, pairs)
    quarantine = lines[lines["fate"] == "quarantined"]
    columns = ["order_id", "line", "customer_key", "product_id", "ordered_at", "quantity",
               "unit_price", "amount", "is_duplicate"]  # fmt: skip
    months(sales[columns], "ordered_at", ["line"], out / "order_items")
    months(orders, "ordered_at", ["order_id"], out / "orders")
    months(returns, "returned_at", ["line"], out / "returns")
    whole = quarantine.drop(columns=["fate", "is_duplicate"])
    file(whole, ["line"], out / "quarantine.parquet")
    customers = lines[["customer_key"]].dropna().drop_duplicates()
    file(customers, ["customer_key"], out / "customers.parquet")
    file(products(lines), ["product_id"], out / "products.parquet")
    file(booked, ["fate", "reason"], out / "ledger.parquet")
    assert booked["rows"].sum() == len(lines)
    del lines, sales, back
    scored = rfm(customers["customer_key"], orders, returns)
    file(scored, ["customer_id"], out / "rfm.parquet")


def read(source: Path) -> pd.DataFrame:
    files = ds.dataset(sorted(source.glob("*/part.parquet")), format="parquet")
    money = {"quantity": pa.float64(), "unit_price": pa.float64()}
    schema = pa.schema([(f.name, money.get(f.name, f.type)) for f in files.schema])
    return files.to_table().cast(schema).to_pandas(split_blocks=True, self_destruct=True)


def judge(lines: pd.DataFrame) -> None:
    """Add amount, is_duplicate, reason and fate."""
    content = [c for c in lines.columns if c != "line"]
    lines["is_duplicate"] = lines.duplicated(content)
    lines["amount"] = lines["quantity"] * lines["unit_price"]
    named = lines[["order_id", "customer_key"]].dropna().drop_duplicates()
    mixed = named.loc[named["order_id"].duplicated(), "order_id"]
    required = ["order_id", "product_id", "quantity", "unit_price", "ordered_at"]
    rules = {
        "adjustment": lines["kind"] == "adjustment",
        "test": lines["kind"] == "test",
        "missing": lines[required].isna().any(axis=1),
        "price below zero": lines["unit_price"] < 0,
        "quantity not above zero": ((lines["kind"] == "sale") & (lines["quantity"] <= 0))
        | (lines["quantity"] == 0),
        "order of two customers": lines["order_id"].isin(mixed),
    }
    number = np.select(list(rules.values()), range(len(rules)), -1)
    lines["reason"] = pd.Categorical.from_codes(number, list(rules))
    fates = np.select([number < 0, number < 2], [0, 1], 2)
    lines["fate"] = pd.Categorical.from_codes(fates, ["kept", "removed", "quarantined"])


def ledger(lines: pd.DataFrame) -> pd.DataFrame:
    reason = lines["reason"].astype("str").where(lines["reason"].notna(), lines["kind"])
    groups = lines.groupby(["fate", reason], observed=True)["amount"].agg(["size", "sum"])
    return groups.set_axis(["rows", "amount"], axis=1).reset_index()


def reversals(sales: pd.DataFrame, back: pd.DataFrame) -> pd.DataFrame:
    """Each return takes the latest equal sale before it that none has taken, by a stack."""
    theirs = back[back["customer_key"].notna()].assign(sale=False)
    known = sales[sales["customer_key"].isin(theirs["customer_key"])]
    known = known.assign(units=known["quantity"], sale=True)
    keys = pd.MultiIndex.from_frame(known[SAME])
    known = known[keys.isin(pd.MultiIndex.from_frame(theirs[SAME].drop_duplicates()))]
    events = pd.concat([known, theirs]).sort_values(
        ["ordered_at", "sale", "line"], ascending=[True, False, True]
    )
    group = events.groupby(SAME).ngroup()
    stacks, pairs = {}, []
    rows = zip(group, events["sale"], events["line"], events["order_id"], strict=True)
    for number, is_sale, line, order in rows:
        if is_sale:
            stacks.setdefault(number, []).append((line, order))
        elif stacks.get(number):
            pairs.append((*stacks[number].pop(), line))
    return pd.DataFrame(pairs, columns=["line", "order_id", "line_back"])


def total(sales: pd.DataFrame) -> pd.DataFrame:
    return sales.groupby("order_id", as_index=False).agg(
        customer_key=("customer_key", "first"), ordered_at=("ordered_at", "min"),
        channel=("channel", "first"), country=("country", "first"), lines=("line", "size"),
        amount=("amount", "sum"),
    )  # fmt: skip


def returned(back: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    columns = ["order_id", "line", "customer_key", "product_id", "ordered_at", "country",
               "units", "unit_price", "amount"]  # fmt: skip
    found = pairs.set_index("line_back")
    orders, places = (back["line"].map(found[c]) for c in ("order_id", "line"))
    names = {"order_id": "return_id", "ordered_at": "returned_at", "units": "quantity"}
    return back[columns].rename(columns=names).assign(reverses=orders, reverses_line=places)


def products(lines: pd.DataFrame) -> pd.DataFrame:
    """The commonest name and category of each product."""
    keys = ["product_id", "product_name", "category"]
    said = lines.groupby(keys, dropna=False).size().reset_index(name="times")
    said = said.dropna(subset="product_id").sort_values(
        ["times", "product_name", "category"], ascending=[False, True, True]
    )
    named = said.drop_duplicates("product_id").drop(columns="times")
    return named.assign(is_product=True)


def months(rows: pd.DataFrame, time: str, key: list[str], folder: Path) -> None:
    """One sorted file per month."""
    folder.mkdir()
    by_month = rows.groupby(rows[time].dt.to_period("M")) if len(rows) else [("none", rows)]
    for month, some in by_month:
        part = folder / f"month={month}"
        part.mkdir()
        file(some, key, part / "part.parquet")


def file(rows: pd.DataFrame, key: list[str], path: Path) -> None:
    rows.sort_values(key).to_parquet(path, compression="zstd", index=False)


def rfm(customers: pd.Series, orders: pd.DataFrame, returns: pd.DataFrame) -> pd.DataFrame:
    as_of = orders["ordered_at"].max().normalize()
    day = orders["ordered_at"].dt.normalize()
    bought = orders[orders["customer_key"].notna() & (orders["amount"] > 0)].assign(day=day)
    matched = returns["reverses"].notna()
    cancelled = returns[matched].groupby("reverses")["amount"].sum()
    bought["net"] = bought["amount"] - bought["order_id"].map(cancelled).fillna(0)
    stands = bought["net"] > 1e-9
    recent = bought["day"] > as_of - pd.Timedelta(days=WINDOW)
    who = bought["customer_key"]
    undone = returns[
        returns["customer_key"].notna()
        & ~matched
        & (returns["returned_at"].dt.normalize() <= as_of)
    ]
    lately = undone["returned_at"].dt.normalize() > as_of - pd.Timedelta(days=WINDOW)
    everyone = pd.Index(customers.drop_duplicates(), name="customer_id")
    sums = {
        "orders": stands.groupby(who).sum(),
        "frequency": (stands & recent).groupby(who).sum(),
        "bought": bought["net"].groupby(who).sum(),
        "bought_recently": bought["net"].where(recent, 0.0).groupby(who).sum(),
        "sales": bought["amount"].groupby(who).sum(),
        "returned": undone.groupby("customer_key")["amount"].sum(),
        "returned_recently": undone[lately].groupby("customer_key")["amount"].sum(),
    }
    raw = pd.DataFrame({k: v.reindex(everyone).fillna(0) for k, v in sums.items()}, everyone)
    last = bought["day"].where(stands).groupby(who).max().reindex(everyone)
    raw["last_order_on"] = last
    raw["recency_days"] = (as_of - last).dt.days.fillna(-1).astype("int64")
    raw["monetary"] = raw["bought_recently"] - raw["returned_recently"]
    raw["spend"] = raw["bought"] - raw["returned"]
    return flagged(scored(raw)).reset_index()


def scored(raw: pd.DataFrame) -> pd.DataFrame:
    anchors = {
        "r_score": ("recency_days", [0, 11, 56, 108, 180], [100, 90, 70, 30, 0]),
        "f_score": ("frequency", [0, 1, 4, 9, 15], [0, 25, 65, 85, 100]),
        "m_score": ("monetary", [0, 800, 2500, 15000, 30000], [0, 20, 40, 88, 100]),
    }
    buyers = raw["recency_days"] >= 0
    for name, (column, x, y) in anchors.items():
        points = np.interp(raw[column].astype(float).round(4), x, y)
        raw[name] = np.where(buyers, points, 0.0).round(6)
    whole = [np.floor(raw[n] + 0.5).astype(int).astype("str") for n in anchors]
    raw["rfm"] = whole[0] + "," + whole[1] + "," + whole[2]
    return raw


def flagged(raw: pd.DataFrame) -> pd.DataFrame:
    r, f, m = raw["r_score"], raw["f_score"], raw["m_score"]
    bought = raw["recency_days"] >= 0
    rules = {
        "no purchase": ~bought,
        "high value": (r >= 80) & (f >= 80) & (m >= 80),
        "potential": (r >= 60) & (f >= 60) & (m < 80),
        "at risk": (r < 40) & (f < 40) & (m < 40),
    }
    raw["tier"] = np.select(list(rules.values()), list(rules), "general")
    monetary, spend = raw["monetary"].round(4), raw["spend"].round(4)
    per_order = monetary / raw["frequency"].where(raw["frequency"] > 0)
    often = raw["frequency"] / (WINDOW / 30) >= 3
    raw["is_high_rfm_raw"] = bought & (raw["recency_days"] <= 30) & often & (per_order > 2000)
    raw["is_dormant"] = raw["recency_days"] >= 90
    top = spend[bought].quantile(0.8, interpolation="higher")
    good = (raw[["f_score", "m_score"]].max(axis=1) >= 60) | (spend >= top)
    raw["is_lapsing_valuable"] = raw["is_dormant"] & good
    return raw
