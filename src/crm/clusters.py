"""Groups of customers who behave alike, found by K-means and named by written rules.

*Behaviour* is what a customer did in a window that ends on `as_of` and is open at its start:
purchases, the value of one (0 without any, Q-10), and *interactions*: contacts the customer
began, days with a visit, and campaign messages clicked or joined. Who did none of these has no
behaviour to group and is *quiet*. A *group* is named from its centre, never from its number
(CLU-05), so a rerun cannot swap names; a centre that fits no rule is called other.

Groups of an earlier date are found anew from the facts of that date and matched with those of
today so that the centres lie together as closely as can be.
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crm import disclosure, kmeans, wording
from crm.tables import GROUPS, TIERS, lookup

if TYPE_CHECKING:
    import ibis

    from crm.kmeans import Groups, Scan

FEATURES = ("order_value", "orders", "interactions")  # E6
NEAR_NONE = 0.5  # purchases of the median customer below which a group has near none (CLU-04)
CLEAR = 0.1  # of the mean: a centre nearer to it is neither high nor low, but usual
ACTIVE = 0.75  # quantile of interactions from which a group counts as active
DIGITS = 9  # of logarithms, whose last bit differs between processors
MAIN = 0.5  # share of a group from which a tag is named in its description
RIVAL = 4_000  # customers at most that the rival groups: it needs all distances
QUIET = "quiet"
MOVES = ("stayed", "changed", "fell quiet", "woke", "remained quiet")  # between two dates
SHOWN = {"sales": "kept_sales"}  # as it is called where all lines cancelled whole are left out
ADVICE = {  # CLU-08, CLU-11, CLU-12, E2: what a group asks of marketing and of product
    GROUPS[0]: (
        "show quality and novelties before price",
        "add high-end functions",
    ),
    GROUPS[1]: (
        "full-reduction coupon, good-value bundles",
        "simplify the steps of an order",
    ),
    GROUPS[2]: (
        "invite to try a product",
        "find the step at which they stop",
    ),
    "other: high order value, high frequency": (
        "a named contact, early access to novelties",
        "ask them first what is missing",
    ),
    "other: usual order value, high frequency": (
        "points and early access, no discounts",
        "ask them first what is missing",
    ),
    "other: high order value, usual frequency": (
        "a reason to come once more",
        "ask them first what is missing",
    ),
    "other: usual order value, usual frequency": (
        "nothing of its own",
        "nothing of its own",
    ),
    "other: low order value, usual frequency": (
        "good-value bundles that make an order larger",
        "nothing of its own",
    ),
    "other: usual order value, low frequency": (
        "a reason for a second purchase: what others bought along",
        "nothing of its own",
    ),
    "other: low order value, low frequency": (
        "a reason for a second purchase: what others bought along",
        "nothing of its own",
    ),
    "other: little activity": (
        "one message a season",
        "nothing of its own",
    ),
    QUIET: (
        "the recall offers of the RFM page",
        "nothing of its own",
    ),
}


def measure(
    orders: ibis.Table,
    returns: ibis.Table,
    interactions: ibis.Table,
    events: ibis.Table,
    contacts: ibis.Table,
    *,
    as_of: date,
    window_days: int = 90,
) -> ibis.Table:
    """One customer who did something in the window: purchases, their value, interactions.

    Parameters
    ----------
    orders, returns, interactions, events, contacts
        Tables of the layer `tables`; what came after `as_of` is ignored.
    as_of
        Reference date; what happened that day counts.
    window_days
        Length of the window: `as_of − window < date ≤ as_of`.

    Returns
    -------
    ibis.Table
        customer_id, orders, sales (of them, less lines cancelled whole), order_value (sales ÷
        orders, 0 without orders) and interactions.
    """
    import ibis
    from ibis import _

    since = as_of - timedelta(days=window_days)
    bought = _bought(orders, returns, as_of=as_of, since=since)
    seen = _within(events, events.at, since, as_of)
    visits = seen.group_by("customer_id").agg(n=_.day.nunique())
    began = _within(interactions, interactions.at, since, as_of).filter(_.direction == "in")
    answers = [_within(contacts, contacts[name], since, as_of) for name in ("clicked_at",
               "joined_at")]  # fmt: skip
    answered = (
        answers[0]
        .select("customer_id", "line")
        .union(answers[1].select("customer_id", "line"), distinct=True)
    )
    counted = [each.group_by("customer_id").agg(n=_.count()) for each in (began, answered)]
    parts = [bought.select("customer_id", "orders", "sales", n=ibis.literal(0).cast("int64"))]
    nothing = {"orders": ibis.literal(0).cast("int64"),
               "sales": ibis.literal(0).cast(bought.sales.type())}  # fmt: skip
    parts += [each.mutate(**nothing).select("customer_id", "orders", "sales", "n")
              for each in (visits, *counted)]  # fmt: skip
    every = ibis.union(*parts).group_by("customer_id")
    every = every.agg(orders=_.orders.sum(), sales=_.sales.sum(), interactions=_.n.sum())
    value = ibis.ifelse(every.orders > 0, every.sales.cast("float64") / every.orders, 0.0)
    return every.mutate(order_value=value).filter((_.orders > 0) | (_.interactions > 0))


def permitted(rows: ibis.Table, permits: ibis.Table) -> ibis.Table:
    """The customers who permit analysis and profiling (PRV-07)."""
    from ibis import _

    for purpose in ("analysis", "profiling"):
        rows = rows.semi_join(permits.filter(_.purpose == purpose, _.allowed), "customer_id")
    return rows


def before(as_of: date, *, window_days: int = 90) -> date:
    """The earlier date: one window before `as_of`, so that no day lies in both windows."""
    return as_of - timedelta(days=window_days)


def quiet(permits: pd.DataFrame, behaviour: pd.DataFrame) -> pd.Series:
    """The ids of customers who permit analysis and profiling and did nothing in the window."""
    asked = permits[permits["purpose"].isin(["analysis", "profiling"]) & permits["allowed"]]
    both = asked.groupby("customer_id").size()
    both = both.index[both == 2].to_series()
    return both[~both.isin(behaviour["customer_id"])].reset_index(drop=True).astype("str")


def ordered(behaviour: pd.DataFrame) -> pd.DataFrame:
    """`behaviour` sorted by customer, so that the order of rows decides nothing."""
    return behaviour.sort_values("customer_id", ignore_index=True)


def points(behaviour: pd.DataFrame, *, features: list[str] = FEATURES) -> np.ndarray:
    """The behaviour of each customer as a point: logarithms, since a few buy most, then scaled.

    Raises
    ------
    ClusterError
        A feature is none of `FEATURES`, by which groups are named.
    """
    _check(features)
    values = np.maximum(behaviour[[*features]].to_numpy(float), 0)
    usual = [np.median(column[column > 0]) if (column > 0).any() else 1.0 for column in values.T]
    return kmeans.scaled(np.round(np.log1p(values / usual), DIGITS))


def scan(points: np.ndarray, *, up_to: int = 8, seed: int) -> list[Scan]:
    """One number of groups from 1 on, and what speaks for it (CLU-06).

    Raises
    ------
    ClusterError
        `up_to` is below 1.
    """
    if up_to < 1:
        raise ClusterError(f"clusters.scan.up_to is {up_to}; expected 1 or more groups")
    return kmeans.scan(points, range(1, up_to + 1), seed=seed, threads=os.cpu_count() or 1)


def group(points: np.ndarray, *, k: int = 3, seed: int) -> Groups:
    """The customers in `k` groups, or in one for each different behaviour, if these are fewer.

    Raises
    ------
    ClusterError
        `k` is below 1.
    """
    if k < 1:
        raise ClusterError(f"clusters.group.k is {k}; expected 1 or more groups")
    k = min(k, kmeans.different(points, k))
    return kmeans.fit(points, k, seed=seed, threads=os.cpu_count() or 1)


def centres(behaviour: pd.DataFrame, groups: Groups) -> pd.DataFrame:
    """One group: customers, the mean of each feature, and the median of purchases.

    The order value is the mean of orders, not of customers: sales ÷ purchases of the group.
    """
    rows = behaviour[[*FEATURES]].astype(float)
    rows = rows.assign(paid=rows["order_value"] * rows["orders"])
    means = rows.groupby(groups.labels).mean()
    means["order_value"] = (means["paid"] / means["orders"].where(means["orders"] > 0)).fillna(0)
    means = means.drop(columns="paid")
    sizes = np.bincount(groups.labels, minlength=len(groups.centres))
    usual = behaviour["orders"].astype(float).groupby(groups.labels).median()
    means = means.assign(usual_orders=usual).reindex(range(len(groups.centres)))
    return means.assign(customers=sizes).round(DIGITS)


def named(centres: pd.DataFrame, behaviour: pd.DataFrame, *, quiet: int = 0) -> list[str]:
    """The name of each group by the rules for centres (CLU-02…05).

    High is a tenth or more above the mean of all orders (order value) or of all who bought in the
    window (frequency), low as much below, and usual what lies between. Not converted is a group
    whose median customer bought nothing, active a centre at or above the upper quartile of
    interactions of all, the `quiet` ones included (Q-39). Of several groups with one name, all
    but the first by order value carry a number.

    Examples
    --------
    >>> behaviour = pd.DataFrame({"order_value": [900.0, 100.0, 0.0], "orders": [1, 9, 0],
    ...                           "interactions": [0, 0, 20]})
    >>> named(behaviour.assign(usual_orders=behaviour["orders"]), behaviour)
    ['high order value, low frequency', 'low order value, high frequency', 'active, not converted']
    """
    buyers = behaviour[behaviour["orders"] > 0]
    placed = float(buyers["orders"].sum())
    paid = (buyers["order_value"].astype(float) * buyers["orders"]).sum()
    value, often = float(paid) / max(placed, 1), placed / max(len(buyers), 1)
    every = np.append(behaviour["interactions"].to_numpy(float), np.zeros(quiet))
    active = float(np.quantile(every, ACTIVE)) if len(every) else 0.0
    names = [_name(row, value, often, active) for row in centres.itertuples()]
    by = [-centres["interactions"], -centres["orders"], -centres["order_value"]]
    met: Counter = Counter()
    for place in np.lexsort(by):
        met[names[place]] += 1
        if met[names[place]] > 1:
            names[place] += f" {met[names[place]]}"
    return names


def _name(centre, value: float, often: float, active: float) -> str:
    if centre.usual_orders < NEAR_NONE:
        is_active = active > 0 and centre.interactions >= active
        return GROUPS[2] if is_active else "other: little activity"
    sizes = _level(centre.order_value, value), _level(centre.orders, often)
    name = f"{sizes[0]} order value, {sizes[1]} frequency"
    return name if name in GROUPS else f"other: {name}"


def _level(value: float, mean: float) -> str:
    """High, low or usual, beside a mean."""
    if value >= round(mean * (1 + CLEAR), DIGITS):
        return "high"
    return "low" if value <= round(mean * (1 - CLEAR), DIGITS) else "usual"


def assigned(behaviour: pd.DataFrame, points: np.ndarray, groups: Groups, names: list[str]):
    """`behaviour` with each customer's group, and how far from its centre the customer lies.

    `distance` is in standard deviations of the logarithms; `is_outlier` marks who was cut back
    to four of them, so that a single customer does not draw a centre to itself.
    """
    far = points.astype(np.int64) - groups.centres[groups.labels]
    return behaviour.assign(
        cluster_id=groups.labels,
        cluster=np.array(names, object)[groups.labels] if len(names) else "",
        distance=np.sqrt((far**2).sum(axis=1)) / kmeans.UNIT,
        is_outlier=(np.abs(points) >= kmeans.CUT * kmeans.UNIT).any(axis=1),
    )


def settled(grouped: pd.DataFrame, earlier: pd.DataFrame, quiet: pd.Series) -> pd.DataFrame:
    """All customers as in `features/clusters`: those in groups, and the quiet.

    Parameters
    ----------
    grouped, earlier
        As `assigned` gives them, of today and of the earlier date.
    quiet
        Ids of the customers without behaviour in the window.
    """
    rest = pd.DataFrame({"customer_id": quiet, "cluster": QUIET, "cluster_id": -1})
    nothing = dict.fromkeys(("orders", "interactions", "sales", "order_value"), 0)
    rest = rest.assign(**nothing, distance=np.nan, is_outlier=False)
    every = pd.concat([grouped, rest.astype({"customer_id": "str"})], ignore_index=True)
    was = dict(zip(earlier["customer_id"], earlier["cluster"], strict=True))
    every = every.assign(earlier=[was.get(who, QUIET) for who in every["customer_id"]])
    every = every.astype(dict.fromkeys(["cluster_id", "orders", "interactions"], "int64"))
    every = every.astype({"cluster": "str", "earlier": "str", "is_outlier": "bool"})
    return ordered(every)[lookup("features/clusters").names]


def same(one: list[str], labels: np.ndarray, other: list[str], again: np.ndarray) -> float:
    """The share of customers with the same name in two groupings of them."""
    if not len(labels):
        return 1.0
    return float((np.array(one, object)[labels] == np.array(other, object)[again]).mean())


def reseeded(
    behaviour: pd.DataFrame,
    points: np.ndarray,
    names: list[str],
    groups: Groups,
    *,
    seed: int,
    times: int = 5,
    quiet: int = 0,
) -> dict:
    """Metrics of other starts: the least share of customers who keep their name (CLU-14)."""
    shares = []
    for turn in range(1, times + 1) if names else ():
        again = group(points, k=len(names), seed=seed + turn)
        told = named(centres(behaviour, again), behaviour, quiet=quiet)
        shares.append(same(names, groups.labels, told, again.labels))
    return {"reseeded_share": min(shares, default=1.0)}


def rival(points: np.ndarray, groups: Groups, *, seed: int) -> dict:
    """Metrics of the same groups found by Ward's method instead (Ward 1963).

    Over a sample of customers: the adjusted Rand index between both, and the silhouette of each.
    """
    from sklearn.cluster import AgglomerativeClustering
    from sklearn.metrics import adjusted_rand_score

    rows = kmeans.sample(np.arange(len(points)), RIVAL, np.random.default_rng([seed, 1]))
    part, ours = points[rows], groups.labels[rows]
    k = len(groups.centres)
    if len(part) <= k or k < 2:
        nothing = dict.fromkeys(("rival_rand", "rival_silhouette", "own_silhouette"))
        return {"rival_customers": len(part), **nothing}
    theirs = AgglomerativeClustering(k).fit_predict(part.astype(float)).astype(np.int32)
    both = [kmeans.Groups(labels, groups.centres, 0) for labels in (ours, theirs)]
    own, other = kmeans.silhouettes(part, both, seed=seed)
    rand = round(float(adjusted_rand_score(ours, theirs)), DIGITS)
    return {"rival_customers": len(part), "rival_rand": rand, "rival_silhouette": other,
            "own_silhouette": own}  # fmt: skip


def matched(now: pd.DataFrame, then: pd.DataFrame, names: list[str]) -> list[str]:
    """The names of today's groups for the groups of an earlier date, so that centres fit best.

    Of all ways to pair them the one with the least sum of squared distances between the
    logarithms of centres (Kuhn 1955). Where there were more groups than today, those that are
    left are called other.
    """
    from scipy.optimize import linear_sum_assignment

    logs = [np.log1p(part[[*FEATURES]].to_numpy(float)) for part in (then, now)]
    far = ((logs[0][:, None, :] - logs[1][None, :, :]) ** 2).sum(axis=2).round(DIGITS)
    told = ["other: no group of today"] * len(then)
    for old, new in zip(*linear_sum_assignment(far), strict=True):
        told[old] = names[new]
    return told


def migration(every: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """One cell, group then and group now: customers, and their sales now (CLU-14).

    Since `moved` tells how many stayed, changed, fell quiet and woke, more cells may be hidden
    beside small ones; so are those of which few bought, whose money would be theirs.
    """
    cells = every.assign(move=_move(every), buys=every["orders"] > 0)
    cells = cells.groupby(["earlier", "cluster", "move"], as_index=False).agg(
        customers=("customer_id", "size"), buyers=("buys", "sum"), sales=("sales", "sum")
    )
    cells = cells.sort_values(["earlier", "cluster"], ignore_index=True).rename(columns=SHOWN)
    shown = disclosure.suppress(cells, count=["customers", "buyers"], by=["earlier", "cluster"],
                                least=least, groups=["move"])  # fmt: skip
    return shown[["earlier", "cluster", "customers", "kept_sales"]]


def moved(every: pd.DataFrame, *, least: int = 5) -> dict:
    """Metrics of the two dates: who had behaviour at both, and how many are in the same group.

    All are None where few stayed, changed, woke, fell or remained quiet.
    """
    from sklearn.metrics import adjusted_rand_score

    counts = _move(every).value_counts()
    stayed, changed, fell, woke = (int(counts.get(move, 0)) for move in MOVES[:4])
    both = every[(every["cluster"] != QUIET) & (every["earlier"] != QUIET)]
    rand = adjusted_rand_score(both["earlier"], both["cluster"]) if len(both) else 1.0
    made = {
        "both_dates": len(both),
        "stayed_share": stayed / max(stayed + changed, 1),
        "stayed_all": stayed / max(stayed + changed + fell, 1),
        "chance_share": _by_chance(both["earlier"], both["cluster"]),
        "moved_rand": round(float(rand), DIGITS),
        "woken": woke,
        "fell_quiet": fell,
    }
    is_open = all(disclosure.few(int(number), least) is not None for number in counts)
    return made if is_open else dict.fromkeys(made)


def firmness(scans: list[Scan], names: list[str]) -> dict[str, float]:
    """How much of each named group comes back when customers are drawn anew (Jaccard)."""
    ours = next((one for one in scans if one.k == len(names)), None)
    return {} if ours is None else dict(zip(names, ours.jaccard.tolist(), strict=True))


def _by_chance(then: pd.Series, now: pd.Series) -> float:
    """The share that would be in one group at both dates if groups were dealt out by lot."""
    shares = [each.value_counts(normalize=True) for each in (then, now)]
    return float(shares[0].mul(shares[1], fill_value=0).sum()) if len(now) else 0.0


def profile(
    every: pd.DataFrame,
    tags: pd.DataFrame,
    tiers: pd.DataFrame,
    firm: dict[str, float],
    *,
    least: int = 5,
) -> pd.DataFrame:
    """One group: size, means, money, the churned, its main tier, how firm (CLU-09, CLU-10).

    Parameters
    ----------
    every
        `features/clusters`.
    tags, tiers
        `features/tags` and `features/rfm`, for the type of customer and the value tier.
    firm
        As `firmness` gives it.
    """
    wide = every.merge(tags[["customer_id", "customer_type"]], "left", "customer_id")
    wide = wide.merge(tiers[["customer_id", "tier"]], "left", "customer_id")
    wide = wide.assign(churned=wide["customer_type"] == "churned", buys=wide["orders"] > 0)
    rows = wide.groupby("cluster").agg(
        customers=("customer_id", "size"), buyers=("buys", "sum"), placed=("orders", "sum"),
        orders=("orders", "mean"), interactions=("interactions", "mean"),
        sales=("sales", "sum"), churned_share=("churned", "mean"),
        main_tier=("tier", lambda values: _commonest(values)),
    ).reset_index()  # fmt: skip
    rows = rows.assign(order_value=rows["sales"].astype(float) / rows["placed"].clip(lower=1),
                       customer_share=rows["customers"] / max(len(wide), 1),
                       sales_share=_of(rows["sales"]),
                       jaccard=rows["cluster"].map(firm).astype(float))  # fmt: skip
    order = ["cluster", "customers", "customer_share", "order_value", "orders", "interactions",
             "sales", "sales_share", "churned_share", "main_tier", "jaccard"]  # fmt: skip
    rows = rows.sort_values(["sales", "cluster"], ascending=[False, True], ignore_index=True)
    shown = disclosure.suppress(rows, count=["customers", "buyers"], by=["cluster"],
                                hide=order[2:], least=least)  # fmt: skip
    shown = disclosure.suppress_part(shown, part="churned_share", by=["cluster"], least=least)
    return shown[order].rename(columns=SHOWN)


def tiered(every: pd.DataFrame, tiers: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """One group and value tier: customers, and their sales in the window (CLU-09)."""
    wide = every.merge(tiers[["customer_id", "tier"]], "left", "customer_id")
    wide = wide.assign(buys=wide["orders"] > 0)
    cells = wide.groupby(["cluster", "tier"], as_index=False).agg(
        customers=("customer_id", "size"), buyers=("buys", "sum"), sales=("sales", "sum")
    )
    cells = cells.sort_values(["cluster", "tier"], ignore_index=True).rename(columns=SHOWN)
    shown = disclosure.suppress(cells, count=["customers", "buyers"], by=["cluster", "tier"],
                                least=least)  # fmt: skip
    return shown[["cluster", "tier", "customers", "kept_sales"]]


def cards(
    profile: pd.DataFrame,
    every: pd.DataFrame,
    tags: pd.DataFrame,
    *,
    currency: str = "",
    least: int = 5,
) -> pd.DataFrame:
    """One group in words: what it is like, and what it asks of marketing and of product."""
    columns = ["customer_id", "top_category", "purchase_channel"]
    wide = every.merge(tags[columns], "left", "customer_id")
    if wide["purchase_channel"].nunique() < 2:
        wide = wide.assign(purchase_channel=None)  # told on each card, it would tell nothing
    rows = []
    for name in profile.loc[profile["customers"].notna(), "cluster"]:
        part = describe(wide[wide["cluster"] == name], currency, least=least)
        rows.append((name, part, *ADVICE[_plain(name)]))
    return pd.DataFrame(rows, columns=["cluster", "what_they_are_like", "marketing", "product"])


def described(profile: pd.DataFrame, cards: pd.DataFrame) -> pd.DataFrame:
    """`profile` with its `cards`, as in `features/cluster_profile` (CLU-10)."""
    both = profile.merge(cards, "left", "cluster").sort_values("cluster", ignore_index=True)
    both = both.rename(columns={"kept_sales": "sales"})
    kinds = {"string": "str", "float": "float64"}  # a hidden cell has no number
    schema = lookup("features/cluster_profile")
    return both.astype({c.name: kinds[c.type] for c in schema.columns})[schema.names]


def facts(
    behaviour: pd.DataFrame,
    quiet: pd.Series,
    *,
    k: int = 3,
    window_days: int = 90,
    least: int = 5,
) -> dict:
    """Metrics of the customers: those with behaviour in the window, and the quiet if not few."""
    every = len(behaviour) + len(quiet)
    return {
        "grouped": len(behaviour),
        "quiet_share": disclosure.share(len(quiet), every, least),
        "asked_k": k,
        "days": window_days,
    }


def scan_facts(scans: list[Scan], groups: Groups) -> dict:
    """Metrics of the scan: how many groups were made and are advised, and how firm they are.

    What was not scanned is None.
    """
    k = len(groups.centres)
    ours = next((one for one in scans if one.k == k), None)
    best = kmeans.advised(scans)
    apart = [one for one in scans if one.k > 1]
    widest = max(apart, key=lambda one: (round(one.silhouette, 2), -one.k), default=None)
    return {
        "k": k,
        "advised_k": 0 if best is None else best.k,
        "is_edge": best is not None and best.k == scans[-1].k > 1 and scans[-1].inertia > 0,
        "stable": sum(one.is_stable for one in apart),
        "widest_k": 0 if widest is None else widest.k,
        "silhouette": None if ours is None else ours.silhouette,
        "least_jaccard": None if ours is None else float(ours.jaccard.min()),
        "inertia": groups.inertia,
    }


def scanned(scans: list[Scan]) -> pd.DataFrame:
    """One number of groups: what speaks for it (CLU-06).

    `left_share` is the sum of squares left, of that of one group; `jaccard` that of the group that
    comes back least.
    """
    rows = [(one.k, one.inertia / max(scans[0].inertia, 1), one.silhouette,
             float(one.jaccard.min()), one.bic - scans[0].bic, one.is_stable)
            for one in scans]  # fmt: skip
    names = ["k", "left_share", "silhouette", "least_jaccard", "bic", "is_stable"]
    return pd.DataFrame(rows, columns=names)


def group_facts(
    every: pd.DataFrame,
    profile: pd.DataFrame,
    tiers: pd.DataFrame,
    permits: pd.DataFrame,
    *,
    least: int = 5,
) -> dict:
    """Metrics of the three groups that ask for something, and of the one that brings most.

    `_may` counts who may be addressed and is not of high value, whom their account manager looks
    after (RPT-09). What `profile` hides, and a part that is few or all but few, is None; a group
    that is not there is 0.
    """
    may = permits[(permits["purpose"] == "marketing") & permits["allowed"]]["customer_id"]
    best = tiers.loc[tiers["tier"] == TIERS[0], "customer_id"]
    is_open = every["customer_id"].isin(may) & ~every["customer_id"].isin(best)
    plain = profile["cluster"].map(_plain)
    made = {}
    for short, name in zip(("dear", "frequent", "active"), GROUPS, strict=True):
        is_in = every["cluster"].map(_plain) == name
        part, is_told = every[is_in], profile.loc[plain == name, "customers"].notna().all()
        size, number = int(is_in.sum()), int((is_in & is_open).sum())
        has_part = is_told and disclosure.share(number, size, least) is not None
        buys = part[part["orders"] > 0]
        made |= {
            short: size if is_told else None,
            f"{short}_may": number if has_part else None,
            f"{short}_orders": float(part["orders"].mean()) if size and is_told else None,
            f"{short}_value": _each_order(buys) if len(buys) and is_told else None,
            f"{short}_interactions": float(part["interactions"].mean())
            if size and is_told else None,
        }  # fmt: skip
    outliers = disclosure.few(int(every["is_outlier"].sum()), least)
    return made | _best(profile) | {"outliers": outliers}


def answer(found: dict) -> str:
    """The sentence that opens the page."""
    if not found["grouped"]:
        return "**Nobody did anything in the {days:days}**, so there is no behaviour to group."
    if found["k"] < 2 and found["asked_k"] < 2:
        return "**{grouped} customer[s] in one group**, since params.yaml asks for one."
    if found["k"] < 2:
        return (
            "**Nothing parts the {grouped} customer[s]** who did something in the {days:days}: "
            "there are no groups to tell apart."
        )
    if found["best_share"] is None:
        return "**{grouped} customer[s] fall[s|] into {k} group[s]** by what they did."
    return (
        "**{grouped} customer[s] fall[s|] into {k} group[s] by what they did in {days:days}.** "
        "Most sales, {best_share:pct}, come from {best_customers:pct} of the customers: "
        "*{best:text}*."
    )


def alike(behaviour: pd.DataFrame, *, features: list[str] = FEATURES) -> dict:
    """Metrics of features that are the same for all, and so part nobody: their names.

    `is_seen` says whether anybody interacted at all.
    """
    _check(features)
    same = [name for name in features if behaviour[name].nunique() < 2]
    return {
        "idle": ", ".join(wording.label(name).lower() for name in same),
        "idle_n": len(same),
        "is_seen": bool((behaviour["interactions"] > 0).any()),
    }


def alike_note(found: dict) -> str:
    """Which features tell nothing."""
    if not found["grouped"]:
        return "Nobody did anything, so no feature tells anything."
    if not found["idle_n"]:
        return "Every feature differs between customers."
    return "The same for all, so without a say in the groups: *{idle:text}*."


def curves(scans: list[Scan]) -> dict:
    """What was measured for each number of groups, for MLflow (CLU-06)."""
    table = scanned(scans)
    return {name: table[name].tolist() for name in ("left_share", "silhouette", "bic")}


def share_title(found: dict) -> str:
    """The finding of the chart of groups."""
    if found["best_share"] is None:
        return "Shares of customers and of sales"
    return "{best_customers:pct0} of the customers bring {best_share:pct0} of the sales"


def scan_title(found: dict) -> str:
    """The finding of the chart of the scan."""
    if found["widest_k"] < 2:
        return "There is nothing to part"
    return "No number of groups lies further apart than {widest_k}"


def scan_note(found: dict) -> str:
    """How many groups the scan advises, and whether customers are parted at all."""
    if found["k"] < 2:
        return "With one behaviour there is nothing to choose."
    if not found["stable"]:
        return "No number of groups comes back surely enough to be advised."
    if found["advised_k"] < 2:
        return "The scan advises one group: nothing parts these customers."
    if found["is_edge"]:
        return (
            "The scan advises {advised_k} group[s], the most that were tried: customers shade "
            "into one another, so take as many groups as somebody looks after."
        )
    if found["advised_k"] < found["k"]:
        return (
            "The scan advises {advised_k} group[s] and finds no gap that parts more. The further "
            "ones, which params.yaml asks for, cut through customers who shade into one another: "
            "useful to act on, but no discovery."
        )
    return "The scan advises {advised_k} group[s]."


def firm_note(found: dict) -> str:
    """How much of the groups of this page comes back when customers are drawn anew."""
    if found["least_jaccard"] is None:
        return "This page has {k} group[s], more than the scan looks at."
    return (
        "This page has {k} group[s]. When customers are drawn anew, {least_jaccard:pct0} of the "
        "group that is found worst is found again."
    )


def firm_names_note(found: dict) -> str:
    """How firm the names are against other starts and another method."""
    if found["k"] < 2:
        return "One group cannot change its name."
    if found["rival_rand"] is None:
        return "With other random starts at least {reseeded_share:pct} of customers keep theirs."
    return (
        "With other random starts at least {reseeded_share:pct} of customers keep their name. "
        "Ward's method, which joins the nearest instead, agrees by a Rand index of "
        "{rival_rand:num2}, where one is the same and zero chance."
    )


def stay_note(found: dict) -> str:
    """Who is where they were at the earlier date."""
    if found["both_dates"] is None:
        return (
            "Hardly anybody stayed, changed or fell quiet since the earlier date: too few to tell."
        )
    if not found["both_dates"]:
        return "Nobody was grouped at both dates, so nothing can be said of who stayed."
    return (
        "Of {both_dates} customer[s] grouped at both dates {stayed_share:pct} are in the same "
        "group, where chance gives {chance_share:pct}; {fell_quiet} fell quiet since, so of all "
        "grouped then {stayed_all:pct} are where they were. {woken} woke up or came new."
    )


def stay_tile(found: dict) -> tuple[str, str]:
    """The tile of who stayed."""
    if not found["both_dates"]:
        return "not known", "hardly anybody was grouped at both dates"
    return "{stayed_share:pct}", "of those grouped at both dates"


def active_note(found: dict) -> str:
    """What marketing has to do with those who look but do not buy (CLU-04, CLU-12)."""
    if not found["is_seen"]:
        return (
            "Marketing: whether anybody looks in without buying is not known. No visit, contact "
            "or answer of a customer is on record for the window."
        )
    if found["active"] == 0:
        return "Marketing: no group looks in without buying."
    if not found["active_may"]:
        return "Marketing: a group looks in without buying, but hardly anybody is left to address."
    return (
        "**Marketing: invite {active_may} customer[s] to try a product.** They may be addressed, "
        "of {active} who looked in, wrote or answered {active_interactions:num} times each in "
        "{days:days} and hardly bought; product looks for the step at which they stop."
    )


def frequent_note(found: dict) -> str:
    """What marketing and product have to do for those who buy little and often (CLU-03)."""
    if found["frequent"] == 0:
        return "Marketing: no group buys little and often."
    if not found["frequent_may"]:
        return "Marketing: one group buys little and often, but hardly anybody is left to address."
    return (
        "**Marketing: a stepped full-reduction coupon for {frequent_may} customer[s]**: of the "
        "{frequent} who buy {frequent_orders:num} times in {days:days} for "
        "{frequent_value:money} an order, those who may be addressed and are not of high value. "
        "Product: fewer steps in an order."
    )


def dear_note(found: dict) -> str:
    """What sales and product have to do for those who buy dear and seldom (CLU-02)."""
    if found["dear"] == 0:
        return "Sales: no group buys dear and seldom."
    if not found["dear_may"]:
        return "Sales: one group buys dear and seldom, but hardly anybody is left to address."
    return (
        "**Sales: show quality before price to {dear_may} customer[s]**: of the {dear} who spend "
        "{dear_value:money} an order but order only {dear_orders:num} times in {days:days}, "
        "those who may be addressed and are not of high value. Product: high-end functions."
    )


def outlier_note(found: dict) -> str:
    """What was done about customers far from all others."""
    if found["outliers"] is None:
        return "Hardly anybody lies beyond four standard deviations."
    if not found["outliers"]:
        return "No customer lies beyond four standard deviations."
    return (
        "{outliers} customer[s] lie[s|] beyond four standard deviations and [was|were] drawn in "
        "to them, so that no single one moves a centre; they stay in their group."
    )


def describe(part: pd.DataFrame, currency: str = "", *, least: int = 5) -> str:
    """What the customers of a group are like, in one sentence (CLU-10).

    Examples
    --------
    >>> part = pd.DataFrame({"orders": [2] * 5, "sales": [120.0] * 5, "interactions": [4] * 5,
    ...     "top_category": ["茶叶"] * 5, "purchase_channel": [None] * 5})
    >>> describe(part, "CNY")
    '5 customers: ¥60 an order, 2.0 purchases and 4.0 interactions in the window; most like 茶叶 \
best (100%)'
    """
    buyers = part[part["orders"] > 0]
    size = f"{len(part):,} customer{'s' * (len(part) != 1)}"
    money = wording.form(_each_order(buyers), "money", currency) if len(buyers) else ""
    bought = f"{money} an order, {part['orders'].mean():.1f} purchases" if money else "no purchase"
    seen = part["interactions"].mean()
    did = (
        f"{size}: {bought}" + (f" and {seen:.1f} interactions" if seen else "") + " in the window"
    )
    liked = _mainly(part["top_category"], "most like {} best ({:.0%})", least)
    through = _mainly(part["purchase_channel"], "most buy through {} ({:.0%})", least)
    return "; ".join(text for text in (did, liked, through) if text)


class ClusterError(ValueError):
    """A parameter of this analysis cannot be used."""


def _bought(orders: ibis.Table, returns: ibis.Table, *, as_of: date, since: date) -> ibis.Table:
    """One customer with purchases in the window: how many, and their money."""
    from ibis import _

    known = returns.filter(returns.returned_at.date() <= as_of, returns.reverses.notnull())
    cancelled = known.group_by(order_id=_.reverses).agg(cancelled=_.amount.sum())
    placed = _within(orders, orders.ordered_at, since, as_of).filter(_.amount > 0)
    placed = placed.left_join(cancelled, "order_id")
    placed = placed.mutate(net=placed.amount - placed.cancelled.fill_null(0))
    standing = placed.filter(_.net > 0).group_by("customer_id")
    return standing.agg(orders=_.count(), sales=_.net.sum())


def _within(rows: ibis.Table, at, since: date, as_of: date) -> ibis.Table:
    """The rows of known customers in the window, with the `day`."""
    from ibis import _

    dated = rows.mutate(day=at.date()).filter(_.customer_id.notnull())
    return dated.filter(_.day > since, _.day <= as_of)


def _best(profile: pd.DataFrame) -> dict:
    """The group with most sales, and its shares; None where one that may have more is hidden."""
    first = profile.iloc[0] if profile["kept_sales"].notna().all() and len(profile) else None
    told = first is not None and float(first["kept_sales"]) > 0
    return {
        "best": first["cluster"].removeprefix("other: ") if told else "",
        "best_share": float(first["sales_share"]) if told else None,
        "best_customers": float(first["customer_share"]) if told else None,
    }


def _each_order(buyers: pd.DataFrame) -> float:
    """Sales of customers, by purchase."""
    return float(buyers["sales"].sum()) / int(buyers["orders"].sum())


def _move(every: pd.DataFrame) -> pd.Series:
    """Where each customer went from the earlier date to today."""
    was, is_ = every["earlier"] != QUIET, every["cluster"] != QUIET
    same = every["earlier"] == every["cluster"]
    moves = np.select([was & is_ & same, was & is_, was, is_], MOVES[:4], MOVES[4])
    return pd.Series(moves, every.index, dtype="str")


def _check(features: list[str]) -> None:
    odd = [name for name in features if name not in FEATURES]
    if odd or not len(features):
        raise ClusterError(
            f"clusters.points.features: {odd[0] if odd else 'nothing'} is no feature; there are "
            f"{', '.join(FEATURES)}"
        )


def _plain(name: str) -> str:
    """The name without the number of a second group of that name."""
    head, _, number = name.rpartition(" ")
    return head if number.isdigit() else name


def _commonest(values: pd.Series) -> str:
    counts = values.value_counts()
    return min(counts[counts == counts.max()].index) if len(counts) else ""


def _mainly(values: pd.Series, message: str, least: int) -> str:
    """The commonest value, told if half of all who have one share it, and these are not few."""
    counts = values.value_counts()
    if not len(counts) or counts.iloc[0] < max(least, MAIN * counts.sum()):
        return ""
    return message.format(_commonest(values), counts.iloc[0] / counts.sum())


def _of(amounts: pd.Series) -> pd.Series:
    whole = float(amounts.sum())
    return amounts.astype(float) / whole if whole else amounts.astype(float) * 0
