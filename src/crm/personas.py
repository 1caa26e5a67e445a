"""How customers decide: by price, by quality or on impulse; a persona by rule, and what it gets.

A *purchase* is a line of goods, with an amount above zero and not cancelled, in a window of days
that ends on `as_of`. *Coupon share* is the share of a customer's orders with a coupon or discount
on them, *discounted share* the money taken off in parts of the list value. *Price level* is the
median over purchases of the unit price in parts of the typical (median) price of its category.
*Decision hours* run from the first look at a product to its purchase, in the median, and *look
seconds* are the time spent looking at it meanwhile; a look long before belongs to another
decision. What a source does not tell is empty, and decides nothing.

The rules are tried in order, so each customer has one persona (CLU-07, Q-11): whom a coupon or a
low price moves is price-sensitive, whatever else fits, since money given up is surer evidence than
time; who pays above the typical price is quality-seeking; who decides at once is on impulse.
Everyone else, and whoever bought too rarely to have a habit, has none. Customers are judged only
if they permit analysis and profiling (PRV-07).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crm import disclosure
from crm.tables import NO_PERSONA, PERSONAS, lookup

if TYPE_CHECKING:
    import ibis

NEEDED = ("analysis", "profiling")  # what a customer must permit to be judged (PRV-07)
MEASURES = {  # column: what it is, and what a source must bring for it
    "coupon_share": ("share of orders with a coupon or discount", "coupons or discounts by order"),
    "discounted_share": ("money off, in parts of list value", "discounts with their amount"),
    "price_level": ("price in parts of what is typical of the category", "products by category"),
    "decision_hours": ("hours from first look to purchase", "views of products by customer"),
    "look_seconds": ("seconds spent looking before it", "views of products with their duration"),
}
JUDGED = {  # persona: the measures of its rule, one of which must be known to find anybody
    "price": ("coupon_share", "discounted_share", "price_level"),
    "quality": ("price_level",),
    "impulse": ("decision_hours",),
}
ACTIONS = {  # CLU-08: what each persona gets; the last needs no words of its own
    "price-sensitive": "coupon above a spending threshold, news of promotions",
    "quality-seeking": "high-end features, and what the brand stands for",
    "impulse": "limited editions, while they last",
    NO_PERSONA: "nothing of its own: what the tier gets",
}


def bought(
    items: ibis.Table,
    returns: ibis.Table,
    products: ibis.Table,
    permits: ibis.Table,
    *,
    as_of: date,
    days: int = 365,
) -> ibis.Table:
    """One line of goods that a customer who may be judged bought and had not cancelled by `as_of`.

    Parameters
    ----------
    items, returns, products, permits
        Tables of the layers `tables` and `features`.
    as_of
        Reference date; purchases of that day count.
    days
        Length of the window: `as_of − days < date ≤ as_of`.
    """
    from ibis import _

    day = items.ordered_at.date()
    cancelled = returns.filter(
        returns.returned_at.date() <= as_of, returns.reverses_line.notnull()
    )
    goods = products.filter(_.is_product).select("product_id", "category", "list_price")
    sold = items.filter(day > as_of - timedelta(days=days), day <= as_of, items.amount > 0)
    sold = sold.anti_join(cancelled, sold.line == cancelled.reverses_line)
    for purpose in NEEDED:
        may = permits.filter(permits.purpose == purpose, permits.allowed)
        sold = sold.semi_join(may, "customer_id")
    return sold.inner_join(goods, "product_id").mutate(
        day=_.ordered_at.date(), list_value=_.quantity * _.list_price.fill_null(_.unit_price)
    )


def measure(
    lines: ibis.Table,
    discounts: ibis.Table,
    events: ibis.Table,
    *,
    as_of: date,
    looked_days: int = 30,
) -> ibis.Table:
    """One customer with a purchase: orders, sales, and what the persona is judged by.

    Parameters
    ----------
    lines
        Purchases, as `bought` gives them.
    discounts, events
        Tables of the layer `tables`; what happened after `as_of` is ignored.
    looked_days
        Days before a purchase within which a look at the product belongs to its decision, unless
        the product was bought in between.
    """
    from ibis import _

    whole = lines.group_by("customer_id").agg(
        orders=_.order_id.nunique(), kept_sales=_.amount.sum(), list_value=_.list_value.sum()
    )
    parts = (
        _discounted(lines, discounts, as_of=as_of),
        _price_levels(lines),
        _decisions(lines, events, as_of=as_of, looked_days=looked_days),
    )
    for part in parts:
        whole = whole.left_join(part, "customer_id").drop("customer_id_right")
    given = discounts.filter(_.given_at.date() <= as_of)
    whole = whole.cross_join(given.agg(given=_.count(), priced=_.amount.count()))
    with_coupon = whole.with_coupon.fill_null(0) / whole.orders
    off = whole.off.fill_null(0).cast("float64") / whole.list_value.cast("float64").nullif(0)
    return whole.select(
        "customer_id", "orders", "kept_sales",
        coupon_share=(whole.given > 0).ifelse(with_coupon, None).cast("float64").round(6),
        discounted_share=(whole.priced > 0).ifelse(off, None).cast("float64").round(6),
        price_level=whole.price_level,
        decision_hours=(whole.seconds / 3600).round(6),
        look_seconds=whole.looked.cast("float64").round(6),
    ).order_by("customer_id")  # fmt: skip


def decide(
    measured: pd.DataFrame,
    *,
    fewest: int = 3,
    coupons: float = 0.25,
    discounted: float = 0.1,
    low_price: float = 0.9,
    high_price: float = 1.1,
    hours: float = 1,
    seconds: float = 30,
) -> pd.DataFrame:
    """`measured` with `persona` and `action`; the rules in the order in which they are tried.

    Parameters
    ----------
    measured
        One customer, as `measure` gives them.
    fewest
        Orders from which on there is a habit to judge.
    coupons, discounted, low_price
        Price-sensitive: coupon share or discounted share at least, or price level at most this.
    high_price
        Quality-seeking: price level at least this.
    hours, seconds
        Impulse: decision hours at most this, and look seconds under this where they are known.

    Examples
    --------
    >>> measured = pd.DataFrame({"orders": [4, 4, 2], "coupon_share": [0.25, 0.0, 1.0],
    ...     "discounted_share": [0.0, 0.0, 0.0], "price_level": [1.2, 1.1, 1.0],
    ...     "decision_hours": [0.2, 5.0, 0.2], "look_seconds": [9.0, 90.0, 9.0]})
    >>> decide(measured)["persona"].tolist()
    ['price-sensitive', 'quality-seeking', 'none']
    """
    one = measured
    saves = (
        (one["coupon_share"] >= coupons)
        | (one["discounted_share"] >= discounted)
        | (one["price_level"] <= low_price)
    )
    at_once = (one["decision_hours"] <= hours) & ~(one["look_seconds"] >= seconds)
    rules = [one["orders"] < fewest, saves, one["price_level"] >= high_price, at_once]
    found = np.select(rules, [NO_PERSONA, *PERSONAS[:3]], NO_PERSONA)
    made = one.assign(persona=pd.Series(found, one.index, "str"))
    return made.assign(action=made["persona"].map(ACTIONS).astype("str"))


def addressable(decided: pd.DataFrame, permits: pd.DataFrame) -> pd.DataFrame:
    """`decided` with `may_contact`: who may be addressed (PRV-07).

    Examples
    --------
    >>> decided = pd.DataFrame({"customer_id": ["b", "a"]})
    >>> rows = [("a", "marketing", True), ("b", "marketing", False), ("b", "analysis", True)]
    >>> permits = pd.DataFrame(rows, columns=["customer_id", "purpose", "allowed"])
    >>> addressable(decided, permits)["may_contact"].tolist()
    [False, True]
    """
    may = permits[(permits["purpose"] == "marketing") & permits["allowed"]]
    return decided.assign(may_contact=decided["customer_id"].isin(may["customer_id"]))


def summarise(decided: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """One persona: customers, sales, their shares, and the medians of what it is judged by.

    A median is empty where fewer than `least` customers of the persona have the measure; a measure
    that nobody has is left out.
    """
    told = [name for name in MEASURES if decided[name].notna().any()]
    groups = decided.groupby("persona")
    made = groups.agg(customers=("customer_id", "size"), kept_sales=("kept_sales", "sum"))
    made = made.assign(
        customer_share=made["customers"] / max(len(decided), 1),
        sales_share=made["kept_sales"] / (made["kept_sales"].sum() or 1),
    )[["customers", "customer_share", "kept_sales", "sales_share"]]
    for name in told:
        made[name] = groups[name].median().where(groups[name].count() >= least)
    made = made.reindex([name for name in PERSONAS if name in made.index])
    return disclosure.suppress(
        made.rename_axis("persona").reset_index(), by=["persona"], least=least
    )


def asked(decided: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """One persona: what it gets, its customers, and how many of them may be contacted (CLU-08)."""
    groups = decided.groupby("persona").agg(
        customers=("customer_id", "size"), may_be_contacted=("may_contact", "sum")
    )
    made = groups.reindex([name for name in PERSONAS if name in groups.index])
    made = made.rename_axis("persona").reset_index()
    made = made.assign(action=made["persona"].map(ACTIONS))
    told = disclosure.suppress(made, by=["persona"], least=least)
    part = "may_be_contacted"
    return disclosure.suppress_part(told, part=part, by=["persona"], least=least)


def coverage(decided: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """One measure: what it tells, the share of customers who have it, what it takes."""
    known = [
        disclosure.share(int(decided[name].notna().sum()), len(decided), least)
        for name in MEASURES
    ]
    tells, takes = zip(*MEASURES.values(), strict=True)
    made = {"judged_by": tells, "known_share": known, "it_takes": takes}
    return pd.DataFrame(made).astype({"known_share": "float64"})


def facts(
    decided: pd.DataFrame,
    summary: pd.DataFrame,
    asked: pd.DataFrame,
    *,
    fewest: int,
    least: int = 5,
) -> dict:
    """Metrics: customers and their shares by persona, who is unjudged, and what is not known.

    `summary` and `asked` say what may be told of each persona; of a hidden one there are none.
    """
    told = summary.set_index("persona").join(asked.set_index("persona")["may_be_contacted"])
    columns = {"customers": int, "customer_share": float, "sales_share": float}
    found = {"customers": len(decided), "sales": float(decided["kept_sales"].sum())}
    for name in PERSONAS:
        row = told.loc[name] if name in told.index else dict.fromkeys(told.columns, 0)
        key = "unmoved" if name == NO_PERSONA else name.split("-")[0]
        for column, kind in (columns | {"may_be_contacted": int}).items():
            value = None if pd.isna(row[column]) else kind(row[column])
            found[f"{key}_{column.replace('may_be_contacted', 'contacts')}"] = value
    missing = [name for name in MEASURES if not decided[name].notna().any()]
    rare = int((decided["orders"] < fewest).sum())
    is_told = disclosure.share(rare, len(decided), least) is not None
    return found | {
        "rare": rare if is_told else None,
        "unknown": "; ".join(MEASURES[name][1] for name in missing),
        "known_kinds": len(MEASURES) - len(missing),
        **{f"{key}_judged": not set(by) <= set(missing) for key, by in JUDGED.items()},
    }


def answer(found: dict) -> str:
    """The sentence that opens the page."""
    if not found["customers"]:
        return "**No customer with a purchase in the last {days:days} may be judged.**"
    if not found["known_kinds"]:
        return (
            "**How customers decide cannot be told from this source.** It knows what they bought, "
            "but nothing of coupons, of prices within a category, or of looks before a purchase."
        )
    if _hidden(found):
        return (
            "**Of {customers} customer[s], some decide by a habit that too few share to be "
            "told**; the table shows what may be shown."
        )
    return (
        "**{price_customers} of {customers} customer[s] decide by price**, {quality_customers} by "
        "quality and {impulse_customers} on impulse; they bring {price_sales_share:pct}, "
        "{quality_sales_share:pct} and {impulse_sales_share:pct} of what was bought in the last "
        "{days:days}. The other {unmoved_customers} show no such habit in what this source tells."
    )


def title(found: dict) -> str:
    """The title of the chart."""
    if not found["known_kinds"]:
        return "Nothing tells how the {customers} customer[s] decide"
    if _hidden(found):
        return "Personas, where enough customers share one"
    return "Who decides by price brings {price_sales_share:pct} of what was bought"


def summary_title(found: dict) -> str:
    """The title of the table of personas."""
    if not found["known_kinds"]:
        return "Customers who bought in the last {days:days}; of how they decide nothing is known"
    return "Customers who bought in the last {days:days} by persona; measures are medians"


def price_tile(found: dict) -> tuple[str, str]:
    """How many decide by price, or that nothing tells."""
    if not found["price_judged"]:
        return ("not known", "no coupons, discounts or prices by category")
    return ("{price_customers}", "{price_sales_share:pct} of what was bought")


def quality_tile(found: dict) -> tuple[str, str]:
    """How many decide by quality, or that nothing tells."""
    if not found["quality_judged"]:
        return ("not known", "no prices by category")
    return ("{quality_customers}", "{quality_sales_share:pct} of what was bought")


def impulse_tile(found: dict) -> tuple[str, str]:
    """How many decide on impulse, or that nothing tells."""
    if not found["impulse_judged"]:
        return ("not known", "no looks before a purchase")
    return ("{impulse_customers}", "{impulse_sales_share:pct} of what was bought")


def unmoved_tile(found: dict) -> tuple[str, str]:
    """How many have no persona, and why."""
    if not found["known_kinds"]:
        return ("{unmoved_customers}", "nothing to judge them by")
    return ("{unmoved_customers}", "no such habit, or too few orders")


def rules_note(found: dict) -> str:
    """The rules in words, with the limits of this run."""
    return (
        "In plain terms, from {fewest} order[s] on: **price-sensitive** is who used a coupon or "
        "discount on {coupons:pct0} of orders or more, got {discounted:pct0} or more off, or pays "
        "up to {low_price:num2} times the typical price; **quality-seeking** who pays "
        "{high_price:num2} times the typical price or more; **impulse** who buys within "
        "{hours} hour[s] of the first look and looked for less than {seconds} second[s], "
        "where the source tells how long."
    )


def rare_note(found: dict) -> str:
    """How many customers are not judged for want of orders."""
    if found["rare"] == 0:
        return "Each of them placed at least {fewest} order[s], enough to show a habit."
    if found["rare"] is None:
        return (
            "A few of them, or all but a few, placed fewer than {fewest} order[s]: too few to "
            "show a habit, so they have no persona."
        )
    return (
        "{rare} of them placed fewer than {fewest} order[s]: too few to show a habit, so they "
        "have no persona."
    )


def unknown_note(found: dict) -> str:
    """What could not be judged, and what would have to be brought."""
    if not found["unknown"]:
        return "This source tells all that the rules ask for."
    if not found["known_kinds"]:
        return "Nothing that the rules ask for is known here, so nobody has a persona."
    return (
        "Not known here, so nobody is judged by it: {unknown}. A persona that needs it is found "
        "less often than it is there."
    )


def price_note(found: dict) -> str:
    """What marketing send to the price-sensitive; who brings what is missing, if all of it is."""
    if not found["known_kinds"]:
        return (
            "**IT: bring one of these, and the page fills**, beginning with what any system holds "
            "already: {unknown}."
        )
    if not found["price_contacts"]:
        return "Marketing: hardly anybody to send coupons to."
    return (
        "**Marketing: send coupons above a spending threshold, and news of promotions, to the "
        "{price_contacts} price-sensitive customer[s] who may be contacted**, and to them first: "
        "whoever buys without a coupon is given money away."
    )


def quality_note(found: dict) -> str:
    """What marketing send to the quality-seeking."""
    if not found["known_kinds"]:
        return "Marketing: until then the value tiers alone say what to send to whom."
    if not found["quality_contacts"]:
        return "Marketing: hardly anybody to tell of high-end features."
    return (
        "**Marketing: tell the {quality_contacts} quality-seeking customer[s] who may be "
        "contacted what the finer model does better**, and what the brand stands for; leave "
        "discounts out."
    )


def impulse_note(found: dict) -> str:
    """What marketing send to those who buy on impulse."""
    if not found["known_kinds"]:
        return (
            "**Shop: note on each order the coupon or discount that was given.** Of all that is "
            "missing it is the quickest to begin with."
        )
    if not found["impulse_contacts"]:
        return "Marketing: hardly anybody to offer limited editions to."
    return (
        "**Marketing: offer limited editions to the {impulse_contacts} customer[s] on impulse who "
        "may be contacted**, in one short message with a link to the product."
    )


def settled(decided: pd.DataFrame) -> pd.DataFrame:
    """`decided` as in `features/personas`, sorted by customer."""
    made = decided[lookup("features/personas").names]
    return made.sort_values("customer_id", ignore_index=True)


def _hidden(found: dict) -> bool:
    """Whether one of the personas may not be told, being too few or giving such away."""
    return any(
        found[f"{key}_customers"] is None for key in ("price", "quality", "impulse", "unmoved")
    )


def _discounted(lines: ibis.Table, discounts: ibis.Table, *, as_of: date) -> ibis.Table:
    """One customer: orders with a coupon or discount on them, and the money taken off.

    A discount that names no order belongs to the customer's first order of its day.
    """
    from ibis import _

    orders = lines.group_by("customer_id", "order_id").agg(day=_.day.min())
    given = discounts.filter(discounts.given_at.date() <= as_of)
    first = orders.group_by("customer_id", "day").agg(order_id=_.order_id.min())
    loose = given.filter(given.order_id.isnull()).select(
        "customer_id", "amount", day=given.given_at.date()
    )
    loose = loose.inner_join(first, ["customer_id", "day"]).select("order_id", "amount")
    sure = given.filter(given.order_id.notnull()).select("order_id", "amount")
    by_order = sure.union(loose).group_by("order_id").agg(off=_.amount.sum())
    held = orders.inner_join(by_order, "order_id")
    return held.group_by("customer_id").agg(with_coupon=_.count(), off=_.off.sum())


def _price_levels(lines: ibis.Table) -> ibis.Table:
    """One customer: the median of unit prices in parts of the typical price of the category."""
    from ibis import _

    known = lines.filter(lines.category.notnull())
    typical = known.group_by("category").agg(typical=_.unit_price.median())
    priced = known.inner_join(typical, "category").filter(_.typical > 0)
    level = priced.unit_price.cast("float64") / priced.typical.cast("float64")
    priced = priced.mutate(level=level.round(6))
    return priced.group_by("customer_id").agg(price_level=_.level.median().round(6))


def _decisions(
    lines: ibis.Table, events: ibis.Table, *, as_of: date, looked_days: int
) -> ibis.Table:
    """One customer: median seconds from the first look to the purchase, and of looking."""
    import ibis
    from ibis import _

    pair = ["customer_id", "product_id"]
    times = lines.select(*pair, "ordered_at").distinct()
    before = times.ordered_at.lag().over(group_by=pair, order_by="ordered_at")
    times = times.mutate(since=before)
    seen = events.filter(
        events.kind == "view", events.at.date() <= as_of, events.product_id.notnull()
    ).select(*pair, "at", "dwell_seconds")
    oldest = times.ordered_at - ibis.interval(days=looked_days)
    times = times.mutate(oldest=ibis.greatest(oldest, times.since.fill_null(oldest)))
    looks = times.inner_join(seen, [*pair, seen.at <= times.ordered_at, seen.at > times.oldest])
    each = looks.group_by(*pair, "ordered_at").agg(
        first=_["at"].min(), looked=_.dwell_seconds.sum()
    )
    gap = each.ordered_at.delta(each.first, unit="second")
    each = each.mutate(gap=gap.cast("float64"), looked=each.looked.cast("float64"))
    return each.group_by("customer_id").agg(seconds=_.gap.median(), looked=_.looked.median())
