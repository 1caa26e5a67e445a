"""Recency, frequency and monetary value of every customer, their scores, and the value tier.

*Recency* is days from the last purchase to `as_of`; *frequency* counts purchases and *monetary*
sums spend, net of returns, in a window of days that ends on `as_of` and is open at its start
(Q-04). A *purchase* is an order with an amount above zero that later returns did not cancel whole.
Scores run from 0 to 100, higher is better (RFM-02). The four tiers and "no purchase" follow the
rules RFM-03…06 and RFM-10, tested in that order, so each customer has exactly one.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crm.tables import lookup

if TYPE_CHECKING:
    import ibis

MONTH_DAYS = 30  # purchases a month = purchases in the window ÷ (window days ÷ 30)
NO_PURCHASE = "no purchase"  # RFM-10
ACTIONS = {  # RPT-09…11, RFM-09: what each tier asks for, and who does it
    "high value": "account manager visits each quarter; early access to new products",
    "potential": "full-reduction coupon and good-value bundles to raise frequency and amount",
    "general": "no special action; watch which way they move",
    "at risk": "call to learn the reason, then offer a return voucher",
    "no purchase": "guide to the first order",
}


def measure(
    customers: ibis.Table,
    orders: ibis.Table,
    returns: ibis.Table,
    *,
    as_of: date,
    window_days: int = 90,
) -> ibis.Table:
    """One customer: raw recency, frequency and monetary value at `as_of`.

    Parameters
    ----------
    customers, orders, returns
        Tables of the layer `tables`; orders and returns after `as_of` are ignored.
    as_of
        Reference date; orders of that day count.
    window_days
        Length of the window of `frequency` and `monetary`: `as_of − window < date ≤ as_of`.

    Returns
    -------
    ibis.Table
        customer_id, last_order_on, recency_days (−1 if never bought), frequency and monetary (in
        the window), orders, spend (all history, net), sales (all history, before returns).
    """
    import ibis
    from ibis import _

    start = as_of - timedelta(days=window_days)
    day = orders.ordered_at.date()
    bought = orders.filter(day <= as_of, orders.customer_id.notnull(), orders.amount > 0).mutate(
        day=day, net=orders.amount - orders.reversed, stands=orders.amount > orders.reversed
    )
    per_customer = bought.group_by("customer_id").agg(
        last_order_on=_.day.max(where=_.stands),
        orders=_.stands.sum(),
        frequency=(_.stands & (_.day > start)).sum(),
        bought=_.net.sum(),
        bought_recently=_.net.sum(where=_.day > start),
        sales=_.amount.sum(),
    )
    day = returns.returned_at.date()
    undone = returns.filter(day <= as_of, returns.customer_id.notnull(), ~returns.is_matched)
    undone = (
        undone.mutate(day=undone.returned_at.date())
        .group_by("customer_id")
        .agg(returned=_.amount.sum(), returned_recently=_.amount.sum(where=_.day > start))
    )
    joined = (
        customers.select("customer_id")
        .left_join(per_customer, "customer_id")
        .drop("customer_id_right")
        .left_join(undone, "customer_id")
        .drop("customer_id_right")
    )

    def filled(name):
        return joined[name].fill_null(0)

    gap = ibis.literal(as_of).delta(joined.last_order_on, unit="day")
    return joined.select(
        "customer_id",
        "last_order_on",
        recency_days=gap.fill_null(-1).cast("int64"),
        frequency=filled("frequency").cast("int64"),
        monetary=filled("bought_recently") - filled("returned_recently"),
        orders=filled("orders").cast("int64"),
        spend=filled("bought") - filled("returned"),
        sales=filled("sales"),
    )


def score(
    raw: pd.DataFrame,
    *,
    method: str = "anchor",
    r_anchors: list = ((0, 100), (11, 90), (56, 70), (108, 30), (180, 0)),
    f_anchors: list = ((0, 0), (1, 25), (4, 65), (9, 85), (15, 100)),
    m_anchors: list = ((0, 0), (800, 20), (2500, 40), (15000, 88), (30000, 100)),
) -> pd.DataFrame:
    """`raw` with `r_score`, `f_score`, `m_score` (0–100) and the text `rfm` (RFM-02, RFM-18).

    Parameters
    ----------
    method
        `anchor`: piecewise linear through declared points, flat outside (Q-02, the default).
        `percentile`: midrank among buyers, 100 × (rank − 0.5) ÷ buyers; equal values share the
        mean of their ranks, so no tie is ever split.
    r_anchors, f_anchors, m_anchors
        Points (value, score): days, purchases in the window, money in the window.

    Raises
    ------
    RfmError
        An unknown method, or anchors that are not in ascending order of value.

    Examples
    --------
    >>> raw = pd.DataFrame({"recency_days": [30], "frequency": [9], "monetary": [800.0]})
    >>> score(raw)[["r_score", "f_score", "m_score", "rfm"]].values.tolist()
    [[81.555556, 85.0, 20.0, '82,85,20']]
    """
    buyers = raw["recency_days"] >= 0
    if method == "anchor":
        values = {
            "r_score": _anchored(raw["recency_days"], r_anchors, "r_anchors"),
            "f_score": _anchored(raw["frequency"], f_anchors, "f_anchors"),
            "m_score": _anchored(raw["monetary"], m_anchors, "m_anchors"),
        }
    elif method == "percentile":
        values = {
            "r_score": _midrank(-raw["recency_days"], buyers),
            "f_score": _midrank(raw["frequency"], buyers),
            "m_score": _midrank(raw["monetary"], buyers),
        }
    else:
        raise RfmError(f"rfm.score.method is {method!r}; expected anchor or percentile")
    scored = raw.assign(**{name: v.where(buyers, 0.0).round(6) for name, v in values.items()})
    text = [_whole(scored[name]) for name in ("r_score", "f_score", "m_score")]
    return scored.assign(rfm=text[0] + "," + text[1] + "," + text[2])


def tier(
    scored: pd.DataFrame, *, high: float = 80, potential: float = 60, at_risk: float = 40
) -> pd.DataFrame:
    """`scored` with `tier`: exactly one of high value, potential, at risk, general, no purchase.

    High value: all three scores at least `high`. Potential: R and F at least `potential` and M
    under `high`. At risk: all three under `at_risk`. Everyone else is general (RFM-03…06, Q-03);
    who never bought is "no purchase" (RFM-10).

    Examples
    --------
    >>> scored = pd.DataFrame({"recency_days": [5, 5], "r_score": [80, 60.0],
    ...                        "f_score": [80, 60.0], "m_score": [80, 79.9]})
    >>> tier(scored)["tier"].tolist()
    ['high value', 'potential']
    """
    r, f, m = scored["r_score"], scored["f_score"], scored["m_score"]
    rules = [
        scored["recency_days"] < 0,
        (r >= high) & (f >= high) & (m >= high),
        (r >= potential) & (f >= potential) & (m < high),
        (r < at_risk) & (f < at_risk) & (m < at_risk),
    ]
    names = [NO_PURCHASE, "high value", "potential", "at risk"]
    return scored.assign(tier=pd.Series(np.select(rules, names, "general"), scored.index, "str"))


def flag(
    scored: pd.DataFrame,
    *,
    window_days: int = 90,
    recent_days: int = 30,
    monthly_purchases: float = 3,
    order_value: float = 2000,
    dormant_days: int = 90,
    valuable_share: float = 0.2,
    low_recency: float = 40,
    good_score: float = 60,
) -> pd.DataFrame:
    """`scored` with `is_high_rfm_raw`, `is_dormant` and `is_lapsing_valuable`.

    High by raw values (RFM-08): bought within `recent_days`, at least `monthly_purchases` a month
    in the window, order value strictly above `order_value`. Dormant (RFM-09): no purchase for
    `dormant_days` or more. Lapsing, valuable (Q-03): recency score under `low_recency`, yet either
    a frequency or monetary score of at least `good_score`, or spend over all history among the top
    `valuable_share` of buyers; the tier rules alone would not tell them from any other.
    """
    bought = scored["recency_days"] >= 0
    months = window_days / MONTH_DAYS
    per_order = scored["monetary"] / scored["frequency"].where(scored["frequency"] > 0)
    raw = (
        bought
        & (scored["recency_days"] <= recent_days)
        & (scored["frequency"] / months >= monthly_purchases)
        & (per_order > order_value)
    )
    limit = scored.loc[bought, "spend"].quantile(1 - valuable_share, interpolation="higher")
    good = (scored[["f_score", "m_score"]].max(axis=1) >= good_score) | (scored["spend"] >= limit)
    return scored.assign(
        is_high_rfm_raw=raw,
        is_dormant=scored["recency_days"] >= dormant_days,
        is_lapsing_valuable=bought & (scored["r_score"] < low_recency) & good,
    )


def summarise(tiers: pd.DataFrame) -> pd.DataFrame:
    """One tier: customers, spend and their shares, mean scores, the action (RFM-11)."""
    groups = tiers.groupby("tier").agg(
        customers=("customer_id", "size"), spend=("spend", "sum"), monetary=("monetary", "sum"),
        r_score=("r_score", "mean"), f_score=("f_score", "mean"), m_score=("m_score", "mean"),
    ).reindex([name for name in ACTIONS if (tiers["tier"] == name).any()])  # fmt: skip
    shares = {
        "customer_share": groups["customers"] / max(len(tiers), 1),
        "spend_share": groups["spend"] / groups["spend"].sum(),
    }
    summary = groups.assign(**shares, action=[ACTIONS[name] for name in groups.index])
    columns = ["customers", "customer_share", "spend", "spend_share", "monetary", "r_score",
               "f_score", "m_score", "action"]  # fmt: skip
    return summary[columns].rename_axis("tier").reset_index()


def concentration(amounts: pd.Series) -> pd.DataFrame:
    """One step of the concentration curve: the best `customer_share` make `spend_share` (RFM-12).

    Customers without a positive amount are left out; equal amounts need no tie rule, since the
    curve is the same in either order.

    Examples
    --------
    >>> concentration(pd.Series([60.0, 10.0, 30.0, 0.0])).round(3).values.tolist()
    [[0.0, 0.0], [0.333, 0.6], [0.667, 0.9], [1.0, 1.0]]
    """
    best = np.sort(amounts[amounts > 0].to_numpy())[::-1]
    running = np.concatenate([[0.0], np.cumsum(best)])
    return pd.DataFrame(
        {
            "customer_share": np.arange(len(best) + 1) / max(len(best), 1),
            "spend_share": running / max(running[-1], 1e-12),
        }
    )


def top_share(amounts: pd.Series, *, share: float = 0.2) -> float:
    """Share of all spend that the best `share` of customers make; 0 if nobody bought."""
    curve = concentration(amounts)
    step = round(share * (len(curve) - 1))
    return float(curve["spend_share"].iloc[step])


def facts(raw: pd.DataFrame) -> dict:
    """Metrics of the raw values: who cancelled everything, the median recency, one-time buyers."""
    bought = raw[raw["recency_days"] >= 0]
    return {
        "cancelled_all": int(((raw["sales"] > 0) & (raw["recency_days"] < 0)).sum()),
        "median_recency": float(bought["recency_days"].median()) if len(bought) else 0.0,
        "once_share": float((bought["orders"] == 1).mean()) if len(bought) else 0.0,
    }


def tier_metrics(summary: pd.DataFrame) -> dict:
    """Customers, share of customers and share of spend of each tier, 0 for a tier without any."""
    rows = summary.set_index("tier").reindex(list(ACTIONS))
    filled = rows[["customers", "customer_share", "spend_share"]].fillna(0)
    return {
        f"{name.replace(' ', '_')}_{column}": int(v) if column == "customers" else float(v)
        for name, row in filled.iterrows()
        for column, v in row.items()
    }


def flag_metrics(tiers: pd.DataFrame) -> dict:
    """How many customers carry each flag, and what the lapsing ones spent."""
    silent = tiers[tiers["is_lapsing_valuable"]]
    high = tiers["is_high_rfm_raw"]
    spend = float(tiers["spend"].sum())
    return {
        "lapsing": len(silent),
        "lapsing_spend": float(silent["spend"].sum()),
        "lapsing_spend_share": float(silent["spend"].sum()) / spend if spend else 0.0,
        "lapsing_each": float(silent["spend"].mean()) if len(silent) else 0.0,
        "lapsing_silence": float(silent["recency_days"].median()) if len(silent) else 0.0,
        "fresh_once": int(((tiers["orders"] == 1) & (tiers["frequency"] == 1)).sum()),
        "dormant": int(tiers["is_dormant"].sum()),
        "raw_high": int(high.sum()),
        "raw_and_tier": int((high & (tiers["tier"] == "high value")).sum()),
    }


def lapsing(tiers: pd.DataFrame) -> pd.DataFrame:
    """One once valuable, now silent customer, by spend: the first to call (Q-03)."""
    return _listed(tiers[tiers["is_lapsing_valuable"]])


def best(tiers: pd.DataFrame) -> pd.DataFrame:
    """One high-value customer, by spend (RFM-13)."""
    return _listed(tiers[tiers["tier"] == "high value"], "rfm", "frequency", "monetary")


def dormant(tiers: pd.DataFrame, recall: pd.DataFrame) -> pd.DataFrame:
    """One dormant customer, by spend, with the products to offer in words (RFM-09)."""
    offers = recall.groupby("customer_id")["product_name"].agg(", ".join)
    listed = _listed(tiers[tiers["is_dormant"]])
    return listed.assign(offer=listed["customer_id"].map(offers).fillna("the newest products"))


def settled(tiers: pd.DataFrame) -> pd.DataFrame:
    """`tiers` as in `features/rfm`, sorted by customer."""
    return tiers[lookup("features/rfm").names].sort_values("customer_id", ignore_index=True)


def recall(
    dormant: ibis.Table,
    items: ibis.Table,
    products: ibis.Table,
    *,
    as_of: date,
    recent_days: int = 90,
    offers: int = 3,
    pool: int = 50,
) -> ibis.Table:
    """One product to offer to one dormant customer, as in `features/recall` (RFM-09).

    The best sellers of the last `recent_days` in the customer's preferred category (largest spend,
    then most lines, then code) that the customer never bought; `offers` of them at most, out of
    the `pool` best of the category. Sources without categories have one category for all.
    """
    import ibis
    from ibis import _

    goods = products.filter("is_product").select("product_id", "product_name", "category")
    goods = goods.mutate(category=_.category.fill_null(""))
    sold = items.filter(_.ordered_at.date() <= as_of, _.amount > 0, ~_.is_reversed).inner_join(
        goods, "product_id"
    )
    theirs = sold.semi_join(dormant, "customer_id")
    liked = theirs.group_by("customer_id", "category").agg(s=_.amount.sum(), n=_.count())
    first = ibis.row_number().over(
        group_by="customer_id", order_by=[ibis.desc("s"), ibis.desc("n"), "category"]
    )
    liked = liked.mutate(place=first).filter(_.place == 0).select("customer_id", "category")
    recent = sold.filter(
        _.ordered_at.date() > as_of - timedelta(days=recent_days), _.customer_id.notnull()
    )
    sellers = recent.group_by("category", "product_id", "product_name").agg(
        buyers=_.customer_id.nunique()
    )
    order = ibis.row_number().over(
        group_by="category", order_by=[ibis.desc("buyers"), "product_id"]
    )
    sellers = sellers.mutate(place=order).filter(_.place < pool)
    pairs = liked.inner_join(sellers, "category").anti_join(theirs, ["customer_id", "product_id"])
    rank = ibis.row_number().over(group_by="customer_id", order_by="place")
    return pairs.mutate(rank=rank + 1).filter(_.rank <= offers).select(
        "customer_id", "rank", "product_id", "product_name",
        category=_.category.nullif(""),
    )  # fmt: skip


class RfmError(ValueError):
    """A parameter of this analysis cannot be used."""


def _listed(some: pd.DataFrame, *more: str) -> pd.DataFrame:
    columns = ["customer_id", "last_order_on", "recency_days", "orders", "spend", *more]
    return some.sort_values(["spend", "customer_id"], ascending=[False, True])[columns]


def _anchored(values: pd.Series, anchors: list, name: str) -> pd.Series:
    points = np.asarray(anchors, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2 or (np.diff(points[:, 0]) <= 0).any():
        raise RfmError(
            f"rfm.score.{name} must be pairs [value, score] with rising values, found {anchors}"
        )
    scores = np.interp(values.astype(float), points[:, 0], points[:, 1])
    return pd.Series(scores, values.index)


def _midrank(values: pd.Series, buyers: pd.Series) -> pd.Series:
    ranks = values[buyers].rank(method="average")
    return (100 * (ranks - 0.5) / max(len(ranks), 1)).reindex(values.index).fillna(0.0)


def _whole(scores: pd.Series) -> pd.Series:
    return np.floor(scores + 0.5).astype(int).astype("str")
