"""The customer view: everything known of each customer by the end of a day, in one row.

A *block* is one kind of fact summed up by customer: purchases, visits, contacts, cases. All blocks
are computed on facts by the engine and meet in `view`, which has exactly one row for each customer
of the source. Facts after the day are never seen, nor what a record said only after it: the view
of an earlier day is the same function, asked for that day. A count of nothing is 0, a mean of
nothing is empty.

A *purchase* is an order with an amount above zero that later returns did not cancel whole. The
*window* is the span of counts that should be fresh, the *short window* that of recent purchases;
both end on the day and are open at their start (Q-04). A customer is *churned* after a span
without a purchase, else *new* within a span of the registration, else *old* (Q-19); who never
bought is a *prospect* in the stages of life, where old means mature (Q-20). *OMO* customers looked
online and then bought in a store (C360-06).
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import ibis
from ibis import _

from crm import disclosure, wording
from crm.tables import GOODS, LIFECYCLE, PROFILE, TABLES, Column, lookup

if TYPE_CHECKING:
    import pandas as pd


AVERAGES = ("order_value", "window_order_value", "margin")  # money that is empty, not 0
CHANGING = ("province", "city", "industry", "contract_status", "assets", "points")
DAY = 24 * 60 * 60  # seconds
OLDEST = 110  # years; an older customer has a placeholder for a birth date
VISITS = {
    "views": "view",
    "searches": "search",
    "clicks": "click",
    "favourites": "favourite",
    "carts": "cart",
    "checkouts": "checkout",
    "shares": "share",
    "logins": "login",
}
UNKNOWN = "unknown"  # a channel that the source does not name
NPS = "nps"  # the instrument that asks whether one would recommend
FACTS = ("customers", "orders", "order_items", "returns", "products", "finance", "discounts",
         "points", "events", "usage", "interactions", "campaign_contacts", "touchpoints", "traits",
         "tickets", "surveys", "reviews")  # fmt: skip
PERMISSIONS = {"may_analyse": "analysis", "may_market": "marketing", "may_profile": "profiling"}
_SEEN = ("placed", "returned", "tickets", "surveys", "reviews", "campaigns", "contacts")
DIMENSIONS = tuple(name for name in PROFILE if name != "permission")  # C360-12

SIGNS = {  # what may be known of a customer: dimension, feature that shows it, who collects it
    "gender": ("customer information", "gender", "sales"),
    "age": ("customer information", "age", "sales"),
    "province": ("customer information", "province", "sales"),
    "industry": ("customer information", "industry", "sales"),
    "purchases": ("purchase history", "orders", "sales"),
    "category liked": ("purchase history", "top_category", "product"),
    "margin": ("purchase history", "margin", "finance"),
    "member points": ("purchase history", "points", "marketing"),
    "visits": ("behaviour records", "last_visit_on", "product"),
    "use": ("behaviour records", "last_used_on", "product"),
    "communications": ("interaction and marketing", "last_contact_on", "service"),
    "campaigns": ("interaction and marketing", "campaigns", "marketing"),
    "social traits": ("interaction and marketing", "traits", "marketing"),
    "cases": ("service and satisfaction", "tickets", "service"),
    "survey answers": ("service and satisfaction", "surveys", "service"),
    "reviews": ("service and satisfaction", "reviews", "product"),
}


class ProfileError(ValueError):
    """A customer was lost or doubled on the way into the view."""


# ---- the view ----------------------------------------------------------------------------------


def view(
    tables: dict[str, ibis.Table],
    *,
    as_of: date,
    recent_days: int = 30,
    window_days: int = 90,
    new_days: int = 365,
    churned_days: int = 90,
    omo_days: int = 30,
    stores: list[str] = ("store",),
    asset_limits: list[float] = (10_000, 50_000, 200_000),
) -> ibis.Table:
    """One customer: the features of `features/profiles` but the permissions (C360-04).

    Parameters
    ----------
    tables
        The facts named in `FACTS`, of the layer `tables`.
    as_of
        The day of the view; facts up to its end count.
    recent_days, window_days
        The short window and the window.
    new_days, churned_days
        Spans of the type of customer (Q-19).
    omo_days
        A store purchase within this span of a visit online makes an OMO customer (C360-06).
    stores
        Channels of purchase that are no online ones.
    asset_limits
        Limits of the bands of assets (PRV-05).
    """
    t, start = tables, as_of - timedelta(days=window_days)
    spans = {"recent_days": recent_days, "window_days": window_days}
    placed = purchases(t["orders"], t["returns"], as_of=as_of)
    sold = goods(t["order_items"], t["returns"], t["products"], t["finance"], as_of=as_of)
    used = channels(placed, t["interactions"], as_of=as_of, window_days=window_days)
    blocks = [
        bought(placed, as_of=as_of, stores=stores, **spans),
        returned(t["returns"], as_of=as_of, **spans),
        liked(sold),
        given_back(t["returns"], t["finance"], as_of=as_of),
        other_costs(t["finance"], placed, as_of=as_of),
        discounts(t["discounts"], placed, as_of=as_of),
        preferred(used, "purchase"),
        preferred(used, "contact"),
        omo(placed, t["events"], as_of=as_of, omo_days=omo_days, stores=stores),
        *_traces(t, as_of=as_of, start=start),
    ]
    whole = merge(people(t["customers"], as_of=as_of, asset_limits=asset_limits), blocks)
    ages = {"recent_days": recent_days, "new_days": new_days, "churned_days": churned_days}
    return typed(spanned(whole, as_of=as_of), **ages)


def use_of_channels(
    tables: dict[str, ibis.Table], *, as_of: date, window_days: int = 90, **_others
) -> ibis.Table:
    """One channel of one customer, as in `features/channels`; other parameters of `view` pass."""
    placed = purchases(tables["orders"], tables["returns"], as_of=as_of)
    return channels(placed, tables["interactions"], as_of=as_of, window_days=window_days)


def before(as_of: date, *, window_days: int = 90, **_others) -> date:
    """The day at which the window of `as_of` begins, and the one before it ends."""
    return as_of - timedelta(days=window_days)


def spans(view: dict) -> dict:
    """Metrics: the spans of the view in days.

    Examples
    --------
    >>> spans({"omo_days": 30, "stores": ["store"]})
    {'omo_days': 30}
    """
    return {name: days for name, days in view.items() if name.endswith("_days")}


def _traces(t: dict[str, ibis.Table], *, as_of: date, start: date) -> list[ibis.Table]:
    """The blocks of everything but purchases."""
    return [
        balances(t["points"], as_of=as_of),
        visits(t["events"], as_of=as_of, start=start),
        carts_left(t["events"], t["order_items"], as_of=as_of, start=start),
        use(t["usage"], as_of=as_of, start=start),
        contacts(t["interactions"], as_of=as_of, start=start),
        campaigns(t["campaign_contacts"], as_of=as_of),
        advertising(t["touchpoints"], t["traits"], as_of=as_of, start=start),
        service(t["tickets"], as_of=as_of, start=start),
        satisfaction(t["surveys"], as_of=as_of),
        reviews(t["reviews"], as_of=as_of),
    ]


def merge(people: ibis.Table, blocks: list[ibis.Table]) -> ibis.Table:
    """One customer of `people` with the columns of every block, empty where it has no row."""
    whole = people
    for number, block in enumerate(blocks):  # one chain: a select between would double the query
        whole = whole.left_join(block, "customer_id", rname=f"{{name}}_{number}")
    return whole.drop(*(f"customer_id_{number}" for number in range(len(blocks))))


def spanned(whole: ibis.Table, *, as_of: date) -> ibis.Table:
    """The merged blocks with spans of days, spend and what is known; nothing counted is 0."""
    day = ibis.literal(as_of)
    w = whole.mutate(**_filled(whole))
    is_seen = ibis.or_(*(w[name] > 0 for name in _SEEN))
    last = ibis.coalesce(w.last_visit_on, w.last_used_on, w.last_contact_on)
    is_costed = ibis.coalesce(w.sold_costed, w.back_costed).notnull()
    costed = w.sold_costed.fill_null(0) - w.back_costed.fill_null(0)
    cost = w.sold_cost.fill_null(0) - w.back_cost.fill_null(0) + w.more.fill_null(0)
    return w.mutate(
        is_known=w.is_known | is_seen | last.notnull(),
        registered_days=day.delta(w.registered_on, unit="day"),
        tenure=day.delta(w.registered_on.fill_null(w.first_order_on), unit="day"),
        recency_days=day.delta(w.last_order_on, unit="day"),
        inactive_months=_months(w.last_order_on, as_of),
        costed=ibis.ifelse(is_costed, costed, None),
        margin=ibis.ifelse(is_costed, costed - cost, None),
        spend=w.net - w.loose,
        recent_spend=w.recent_net - w.recent_loose,
        window_spend=w.window_net - w.window_loose,
    )


def typed(
    spanned: ibis.Table, *, recent_days: int = 30, new_days: int = 365, churned_days: int = 90
) -> ibis.Table:
    """One customer with the type, the stage of life and all shares (Q-19, Q-20).

    Churned first, then new, then old: a customer whose registration is missing is as new as the
    first purchase (Q-52). Who is not known yet has no type.
    """
    w = spanned
    is_churned = (w.recency_days >= churned_days).fill_null(False)
    is_new = (w.tenure < new_days).fill_null(False)
    kind = ibis.cases((~w.is_known, None), (is_churned, "churned"), (is_new, "new"), else_="old")
    stage = ibis.cases(
        (kind.isnull(), None), (w.orders == 0, "prospect"), (kind == "old", "mature"), else_=kind
    )
    w = w.mutate(
        customer_type=kind,
        lifecycle=stage,
        is_dormant=is_churned,
        is_recent=w.recency_days.between(0, recent_days - 1).fill_null(False),
        **_ratios(w),
    )
    columns = [c for c in TABLES["features/profiles"].columns if c.name not in PERMISSIONS]
    floats = {c.name: w[c.name].cast("float64") for c in columns if c.type == "float"}
    return w.select(**{c.name: floats.get(c.name, w[c.name]) for c in columns})


def permitted(view: ibis.Table, permits: ibis.Table) -> ibis.Table:
    """The view with `may_analyse`, `may_market` and `may_profile`, as in `features/profiles`.

    Permission is not a fact of the past: whatever day the view is of, what holds now counts.
    """
    allowed = permits.group_by("customer_id").agg(
        **{column: (_.allowed & (_.purpose == purpose)).max()
           for column, purpose in PERMISSIONS.items()}
    )  # fmt: skip
    joined = view.left_join(allowed, "customer_id").drop("customer_id_right")
    return joined.mutate(**{column: joined[column].fill_null(False) for column in PERMISSIONS})


def assert_whole(customers: int, rows: int, distinct: int) -> None:
    """Raise `ProfileError` unless every customer has exactly one row.

    Examples
    --------
    >>> assert_whole(customers=2, rows=2, distinct=2)
    """
    if not customers == rows == distinct:
        raise ProfileError(
            f"{customers} customers went into the view, {rows} rows of {distinct} customers came "
            "out: a block has a customer twice, or lost one"
        )


# ---- blocks: customer information and purchases -------------------------------------------------


def people(
    customers: ibis.Table,
    *,
    as_of: date,
    asset_limits: list[float] = (10_000, 50_000, 200_000),
) -> ibis.Table:
    """One customer: what the record says, as far as it was known by the day.

    What can change is empty if the record was last changed after the day; what cannot, such as
    the birth date, is not. A registration after the day has not happened yet.
    """
    day = ibis.literal(as_of)
    is_later = (customers.updated_on > day).fill_null(False)
    c = customers.mutate(**{n: ibis.ifelse(is_later, None, customers[n]) for n in CHANGING})
    is_here = (c.registered_on <= day).fill_null(True)
    years = as_of.year - c.birth_date.year()
    is_before = c.birth_date.month() * 100 + c.birth_date.day() > as_of.month * 100 + as_of.day
    age = years - is_before.cast("int64")
    return c.select(
        "customer_id", "gender", "acquisition", "province", "city", "industry", "contract_status",
        is_known=(is_here & c.registered_on.notnull()) | (c.updated_on <= day).fill_null(False),
        registered_on=ibis.ifelse(is_here, c.registered_on, None),
        age=ibis.ifelse(age.between(0, OLDEST), age, None),
        assets_band=banded(c.assets, asset_limits),
        stated_points=c.points,
    )  # fmt: skip


def banded(values: ibis.Column, limits: list[float]) -> ibis.Column:
    """The band of each value as text, such as `10,000 to 50,000`; a limit begins its band."""
    texts = [f"{limit:,.0f}" for limit in limits]
    named = [f"under {texts[0]}"]
    named += [f"{low} to {high}" for low, high in pairwise(texts)]
    cases = [(values < limit, name) for limit, name in zip(limits, named, strict=True)]
    return ibis.cases((values.isnull(), None), *cases, else_=f"{texts[-1]} and more")


def purchases(orders: ibis.Table, returns: ibis.Table, *, as_of: date) -> ibis.Table:
    """One order of a customer: `net` of the lines cancelled by the day, and if it `stands`."""
    known = returns.filter(returns.returned_at.date() <= as_of, returns.reverses.notnull())
    cancelled = known.group_by(order_id=_.reverses).agg(cancelled=_.amount.sum())
    placed = _past(orders, "ordered_at", as_of)
    joined = placed.left_join(cancelled, "order_id").drop("order_id_right")
    net = joined.amount - joined.cancelled.fill_null(0)
    return joined.select(
        "order_id", "customer_id", "ordered_at", "amount", day=joined.ordered_at.date(), net=net,
        channel=joined.channel.fill_null(UNKNOWN), stands=net > 0,
    )  # fmt: skip


def bought(
    placed: ibis.Table,
    *,
    as_of: date,
    recent_days: int = 30,
    window_days: int = 90,
    stores: list[str] = ("store",),
) -> ibis.Table:
    """One customer with orders: their days, number and money, in all and in both windows."""
    is_recent = placed.day > as_of - timedelta(days=recent_days)
    is_within = placed.day > as_of - timedelta(days=window_days)
    is_store = placed.channel.isin(list(stores))
    return placed.group_by("customer_id").agg(
        first_order_on=_.day.min(where=_.stands),
        last_order_on=_.day.max(where=_.stands),
        placed=_.count(),
        orders=_.stands.sum(),
        recent_orders=(is_recent & placed.stands).sum(),
        window_orders=(is_within & placed.stands).sum(),
        sales=_.amount.sum(),
        net=_.net.sum(),
        recent_net=_.net.sum(where=is_recent),
        window_net=_.net.sum(where=is_within),
        store_sales=_.net.sum(where=is_store),
        online_sales=_.net.sum(where=~is_store),
    )


def returned(
    returns: ibis.Table, *, as_of: date, recent_days: int = 30, window_days: int = 90
) -> ibis.Table:
    """One customer with returns: all of them, and those that cancel no whole line.

    The latter are booked when they came back, the others reduce the order they cancel.
    """
    back = _past(returns, "returned_at", as_of)
    day, is_loose = back.returned_at.date(), back.reverses.isnull()
    spans = {"loose": is_loose}
    for name, days in (("recent_loose", recent_days), ("window_loose", window_days)):
        spans[name] = is_loose & (day > as_of - timedelta(days=days))
    sums = {name: back.amount.sum(where=which) for name, which in spans.items()}
    return back.group_by("customer_id").agg(returned=_.amount.sum(), **sums)


def goods(
    items: ibis.Table,
    returns: ibis.Table,
    products: ibis.Table,
    finance: ibis.Table,
    *,
    as_of: date,
) -> ibis.Table:
    """One line of goods that a known customer bought and had not cancelled by the day."""
    known = products.filter("is_product").select("product_id", "category")
    gone = returns.filter(returns.returned_at.date() <= as_of, returns.reverses_line.notnull())
    sold = _past(items, "ordered_at", as_of)
    sold = sold.anti_join(gone, sold.line == gone.reverses_line)
    named = sold.inner_join(known.mutate(category=_.category.fill_null("")), "product_id")
    columns = ["customer_id", "product_id", "category", "quantity", "amount"]
    sold = named.select(*columns, day=_.ordered_at.date()).filter(_.amount > 0)
    return priced(sold, finance, as_of=as_of)


def priced(lines: ibis.Table, finance: ibis.Table, *, as_of: date) -> ibis.Table:
    """The lines with what their goods `cost` on their day; empty if finance does not say."""
    unit = costs(finance, as_of=as_of)
    same = [lines.product_id == unit.product_id, lines.day >= unit.since, lines.day < unit.until]
    joined = lines.left_join(unit, same)
    return joined.select(*lines.columns, cost=joined.quantity * joined.cost)


def liked(sold: ibis.Table) -> ibis.Table:
    """One customer: different products, and the category with the largest spend (TAG-23).

    Ties go to the category with more lines, then to the first by name.
    """
    is_costed = sold.cost.notnull()
    each = sold.group_by("customer_id", "category", "product_id").agg(  # keeps no set of products
        money=_.amount.sum(),
        lines=_.count(),
        costed=sold.amount.sum(where=is_costed),
        cost=_.cost.sum(),
    )
    sums = {name: each[name].sum() for name in ("money", "lines", "costed", "cost")}
    by = each.group_by("customer_id", "category").agg(number=_.count(), **sums)
    mine = ibis.window(group_by="customer_id")
    order = [ibis.desc("money"), ibis.desc("lines"), "category"]
    by = by.mutate(
        whole=by.money.sum().over(mine),
        products=by.number.sum().over(mine),  # a product is in one category
        sold_costed=by.costed.sum().over(mine),
        sold_cost=by.cost.sum().over(mine),
        place=_place(["customer_id"], order),
    )
    best = by.filter(_.place == 0)
    named = best.category != ""
    return best.select(
        "customer_id", "products", "sold_costed", "sold_cost",
        top_category=best.category.nullif(""),
        top_category_share=ibis.ifelse(named, _share(best.money, best.whole), None),
    )  # fmt: skip


def given_back(returns: ibis.Table, finance: ibis.Table, *, as_of: date) -> ibis.Table:
    """One customer with returns that cancel no whole line: their money and known cost."""
    back = _past(returns, "returned_at", as_of).filter(_.reverses.isnull())
    lines = back.select("customer_id", "product_id", "quantity", "amount",
                        day=_.returned_at.date())  # fmt: skip
    known = priced(lines, finance, as_of=as_of).filter(_.cost.notnull())
    return known.group_by("customer_id").agg(back_costed=_.amount.sum(), back_cost=_.cost.sum())


def costs(finance: ibis.Table, *, as_of: date) -> ibis.Table:
    """One cost of goods of one product and the days for which it holds, `since` to `until`."""
    known = finance.filter(_.kind == GOODS, _.product_id.notnull(), _.day <= as_of)
    last = known.mutate(place=_place(["product_id", "day"], [ibis.desc("line")]))
    last = last.filter(_.place == 0)
    after = last.day.lead().over(ibis.window(group_by="product_id", order_by="day"))
    return last.select("product_id", "cost", since=_.day, until=after.fill_null(date.max))


def other_costs(finance: ibis.Table, placed: ibis.Table, *, as_of: date) -> ibis.Table:
    """One customer: what their orders and they themselves cost besides the goods."""
    known = finance.filter(_.product_id.isnull(), _.day <= as_of)
    whose = placed.select("order_id", who=_.customer_id)
    joined = known.left_join(whose, "order_id")
    named = joined.select(customer_id=joined.customer_id.fill_null(joined.who), cost=joined.cost)
    return named.filter(_.customer_id.notnull()).group_by("customer_id").agg(more=_.cost.sum())


def discounts(discounts: ibis.Table, placed: ibis.Table, *, as_of: date) -> ibis.Table:
    """One customer: discounts and their money, coupons used, purchases with a discount.

    A discount belongs to the customer of its order, or to the one it names.
    """
    given = discounts.filter(discounts.given_at.date() <= as_of)
    whose = placed.select("order_id", "stands", who=_.customer_id)
    joined = given.left_join(whose, "order_id")
    named = joined.mutate(customer_id=joined.who.fill_null(joined.customer_id))
    return (
        named.filter(_.customer_id.notnull())
        .group_by("customer_id")
        .agg(
            discounts=_.count(),
            discounted=_.amount.sum(),
            coupons=_.coupon_id.count(),
            discounted_orders=_.order_id.nunique(where=_.stands),
        )
    )


def channels(
    placed: ibis.Table, interactions: ibis.Table, *, as_of: date, window_days: int = 90
) -> ibis.Table:
    """One channel that one customer uses for purchases or contacts (TAG-31, TAG-34, C360-07)."""
    within = _within(interactions, "at", as_of, as_of - timedelta(days=window_days))
    begun = (within.direction == "in").fill_null(False)
    talks = within.group_by("customer_id", "channel").agg(times=_.count(), begun=begun.sum())
    talked = talks.mutate(spend=0)
    stands = placed.filter("stands").group_by("customer_id", "channel")
    buys = stands.agg(times=_.count(), begun=_.count(), spend=_.net.sum())
    names = ["customer_id", "channel", "times", "begun"]
    roads = [
        rows.select(*names, road=ibis.literal(road), spend=_.spend.cast("decimal(18, 4)"))
        for road, rows in (("purchase", buys), ("contact", talked))
    ]
    both = ibis.union(*roads)
    mine = both.times.sum().over(ibis.window(group_by=["customer_id", "road"]))
    return both.mutate(times_share=_share(both.times, mine))


def preferred(channels: ibis.Table, road: str) -> ibis.Table:
    """One customer and the channel of most purchases, or the one they write on.

    Of contacts those count first that the customer began; ties go to more contacts or purchases,
    to more spend, then to the first by name.
    """
    order = [ibis.desc("begun"), ibis.desc("times"), ibis.desc("spend"), "channel"]
    mine = channels.filter(_.road == road).mutate(place=_place(["customer_id"], order))
    number = mine.channel.count().over(ibis.window(group_by="customer_id"))
    best = mine.mutate(channels=number).filter(_.place == 0)
    if road == "contact":
        return best.select("customer_id", preferred_contact=_.channel)
    return best.select("customer_id", "channels", preferred_channel=_.channel,
                       preferred_channel_share=_.times_share)  # fmt: skip


def omo(
    placed: ibis.Table,
    events: ibis.Table,
    *,
    as_of: date,
    omo_days: int = 30,
    stores: list[str] = ("store",),
) -> ibis.Table:
    """One customer with a store purchase within `omo_days` after a visit online (C360-06).

    A purchase of which only the day is known follows all visits of that day.
    """
    seen = _past(events, "at", as_of).select("customer_id", "at")
    sold = placed.filter(_.stands, _.channel.isin(list(stores)))
    sold = sold.mutate(by=_latest(sold.ordered_at))
    pairs = sold.asof_join(seen, on=sold.by > seen.at, predicates="customer_id")
    since = pairs.ordered_at - ibis.interval(days=omo_days)
    hits = pairs.filter(pairs.at > since).group_by("customer_id")
    return hits.agg(omo_orders=_.count(), is_omo=_.count() > 0)


def balances(points: ibis.Table, *, as_of: date) -> ibis.Table:
    """One customer: points on all their accounts together (C360-03).

    A movement does not say on which account it was, so the last balance is that of one account:
    what is left is the sum of the changes, and what the first balance says was there before, as
    the record may begin later than the account. Without balances, changes are summed from
    nothing; where nothing ever changes, a source gives balances alone, and the last one counts.
    A movement that the record lacks is missing here, too.
    """
    ways = {"first": ["at", "line"], "last": [ibis.desc("at"), ibis.desc("line")]}
    places = {name: _place(["customer_id"], order) for name, order in ways.items()}
    sums = _past(points, "at", as_of).mutate(**places).group_by("customer_id").agg(
        moved=_.change.abs().sum(),
        change=_.change.sum(),
        before=(_.balance - _.change).sum(where=_.first == 0),
        after=_.balance.sum(where=_.last == 0),
    )  # fmt: skip
    told = ibis.ifelse(sums.moved > 0, sums.change + sums.before.fill_null(0), sums.after)
    return sums.select("customer_id", points=told)


# ---- blocks: behaviour -------------------------------------------------------------------------


def visits(events: ibis.Table, *, as_of: date, start: date) -> ibis.Table:
    """One customer with visits: what was done in the window, for how long and on which device."""
    seen = _past(events, "at", as_of)
    is_within = seen.at.date() > start
    done = seen.group_by("customer_id").agg(
        visit_days=seen.at.date().nunique(where=is_within),
        dwell_minutes=seen.dwell_seconds.sum(where=is_within) / 60,
        devices=seen.device.nunique(where=is_within),
        last_visit_on=seen.at.date().max(),
        **{name: (is_within & (seen.kind == kind)).sum() for name, kind in VISITS.items()},
    )
    used = seen.filter(is_within, _.device.notnull()).group_by("customer_id", "device")
    used = used.agg(times=_.count())
    used = used.mutate(place=_place(["customer_id"], [ibis.desc("times"), "device"]))
    main = used.filter(_.place == 0).select("customer_id", main_device=_.device)
    return done.left_join(main, "customer_id").drop("customer_id_right")


def carts_left(events: ibis.Table, items: ibis.Table, *, as_of: date, start: date) -> ibis.Table:
    """One customer: products put into the cart in the window and not bought by the day.

    A purchase of which only the day is known follows all carts of that day.
    """
    put = _within(events, "at", as_of, start).filter(_.kind == "cart", _.product_id.notnull())
    put = put.group_by("customer_id", "product_id").agg(at=_.at.max())
    sold = _past(items, "ordered_at", as_of).filter(_.ordered_at.date() > start)
    same = [put.customer_id == sold.customer_id, put.product_id == sold.product_id,
            put.at <= _latest(sold.ordered_at)]  # fmt: skip
    return put.anti_join(sold, same).group_by("customer_id").agg(carts_left=_.count())


def use(usage: ibis.Table, *, as_of: date, start: date) -> ibis.Table:
    """One customer who uses the product: sessions, minutes and modules in the window."""
    used = _past(usage, "day", as_of)
    is_within = used.day > start
    return used.group_by("customer_id").agg(
        use_sessions=_.sessions.sum(where=is_within),
        use_minutes=_.minutes.sum(where=is_within),
        use_modules=_.module.nunique(where=is_within),
        last_used_on=_.day.max(),
    )


# ---- blocks: interaction and marketing ---------------------------------------------------------


def contacts(interactions: ibis.Table, *, as_of: date, start: date) -> ibis.Table:
    """One customer with communications: how many in the window, who began, the last day."""
    talked = _past(interactions, "at", as_of)
    is_within = talked.at.date() > start
    begun = (talked.direction == "in").fill_null(False)
    return talked.group_by("customer_id").agg(
        contacts=is_within.sum(),
        contacts_begun=(is_within & begun).sum(),
        last_contact_on=talked.at.date().max(),
    )


def campaigns(sent: ibis.Table, *, as_of: date) -> ibis.Table:
    """One customer whom a campaign addressed: sent, delivered, opened, clicked, joined.

    Who was left out for comparison was not addressed. Each step counts from its own time.
    """
    reached = _past(sent, "sent_at", as_of).filter((_.arm != "control").fill_null(True))
    steps = {f"campaigns_{name}": (reached[f"{name}_at"].date() <= as_of).fill_null(False)
             for name in ("delivered", "opened", "clicked", "joined")}  # fmt: skip
    return reached.group_by("customer_id").agg(
        campaigns=_.count(),
        last_campaign_on=reached.sent_at.date().max(),
        **{name: is_done.sum() for name, is_done in steps.items()},
    )


def advertising(
    touchpoints: ibis.Table, traits: ibis.Table, *, as_of: date, start: date
) -> ibis.Table:
    """One customer: touchpoints in the window, and social traits seen by the day or undated."""
    seen = _within(touchpoints, "at", as_of, start).group_by("customer_id").agg(n=_.count())
    known = traits.filter(_.customer_id.notnull(), (_.seen_on <= as_of).fill_null(True))
    known = known.group_by("customer_id").agg(n=_.count())
    nothing = ibis.literal(0).cast("int64")
    both = ibis.union(
        seen.select("customer_id", touchpoints=_.n, traits=nothing),
        known.select("customer_id", touchpoints=nothing, traits=_.n),
    )
    return both.group_by("customer_id").agg(touchpoints=_.touchpoints.sum(), traits=_.traits.sum())


# ---- blocks: service and satisfaction ----------------------------------------------------------


def service(tickets: ibis.Table, *, as_of: date, start: date) -> ibis.Table:
    """One customer with cases: how many of each kind, how long they took, the last complaint.

    An answer or an end after the day has not happened yet. One before the case was opened has
    happened, but at which time is not known: the case is closed and counts in no mean.
    """
    opened = _past(tickets, "opened_at", as_of)
    t = opened.mutate(
        is_over=(opened.resolved_at.date() <= as_of).fill_null(False),
        answered=_seconds(opened.opened_at, opened.first_response_at, as_of),
        ended=_seconds(opened.opened_at, opened.resolved_at, as_of),
    )
    kinds = {"enquiries": "enquiry", "complaints": "complaint", "praises": "praise",
             "repairs": "repair"}  # fmt: skip
    done = t.group_by("customer_id").agg(
        tickets=_.count(),
        window_tickets=(t.opened_at.date() > start).sum(),
        open_tickets=(~_.is_over).sum(),
        response_hours=_hours(t.answered.sum(), t.answered.count()),
        resolution_hours=_hours(t.ended.sum(), t.ended.count()),
        last_complaint_on=t.opened_at.date().max(where=t.kind == "complaint"),
        **{name: (t.kind == kind).sum() for name, kind in kinds.items()},
    )
    last = t.filter(_.kind == "complaint").mutate(
        place=_place(["customer_id"], [ibis.desc("opened_at"), ibis.desc("line")])
    )
    waited = last.filter(_.place == 0).select(
        "customer_id", last_complaint_hours=_hours(_.answered, 1)
    )
    return done.left_join(waited, "customer_id").drop("customer_id_right")


def satisfaction(surveys: ibis.Table, *, as_of: date) -> ibis.Table:
    """One customer who answered: sheets, the last NPS answer, the mean of all other questions."""
    said = _past(surveys, "answered_at", as_of)
    is_nps = (said.instrument.lower() == NPS).fill_null(False)
    part = (said.score / said.scale_max.nullif(0)).cast("decimal(18, 9)")
    done = (
        said.mutate(part=ibis.ifelse(is_nps, None, part))
        .group_by("customer_id")
        .agg(
            surveys=_.survey_id.nunique(),
            satisfaction_share=_share(_.part.sum(), _.part.count()),
            last_survey_on=_.answered_at.date().max(),
        )
    )
    last = said.filter(is_nps, _.score.notnull()).mutate(
        place=_place(["customer_id"], [ibis.desc("answered_at"), ibis.desc("line")])
    )
    nps = last.filter(_.place == 0).select("customer_id", nps=_.score)
    return done.left_join(nps, "customer_id").drop("customer_id_right")


def reviews(reviews: ibis.Table, *, as_of: date) -> ibis.Table:
    """One customer who wrote reviews: how many, their mean score, the last day."""
    said = _past(reviews, "written_at", as_of)
    return said.group_by("customer_id").agg(
        reviews=_.count(),
        review_score=_share(_.score.sum(), _.score.count()),
        last_review_on=_.written_at.date().max(),
    )


# ---- the time line -----------------------------------------------------------------------------


def timeline(tables: dict[str, ibis.Table], *, as_of: date) -> ibis.Table:
    """One moment between a customer and the company, as in `features/timeline` (C360-10).

    Visits and use are one row a day, so that the file does not grow with every click. Nothing
    that a person wrote is in it.

    Parameters
    ----------
    tables
        The facts named in `FACTS` and `consents`, `leads` and `campaigns`.
    as_of
        The day up to whose end moments count.
    """
    t = tables
    parts = [
        _registrations(t["customers"], as_of), _statements(t["consents"], as_of),
        _leads(t["leads"], as_of), _visits(t["events"], as_of), _uses(t["usage"], as_of),
        _touches(t["touchpoints"], as_of),
        _addressed(t["campaign_contacts"], t["campaigns"], as_of),
        _orders(t["orders"], as_of), _returns(t["returns"], as_of),
        _talks(t["interactions"], as_of), _cases(t["tickets"], as_of),
        _answers(t["surveys"], as_of), _opinions(t["reviews"], t["products"], as_of),
    ]  # fmt: skip
    return ibis.union(*parts)


def _registrations(customers: ibis.Table, as_of: date) -> ibis.Table:
    seen = _past(customers, "registered_on", as_of)
    return _moment(seen, "registration", at=_.registered_on, channel=_.acquisition)


def _statements(consents: ibis.Table, as_of: date) -> ibis.Table:
    said = _past(consents, "at", as_of)
    return _moment(said, "consent", at=_.at, reference=_.line, what=_.purpose + ": " + _.granted)


def _leads(leads: ibis.Table, as_of: date) -> ibis.Table:
    come = _past(leads, "created_at", as_of)
    is_there = (come.stage_at.date() <= as_of).fill_null(True)
    return _moment(come, "lead", at=_.created_at, reference=_.lead_id, channel=_.channel,
                   what=ibis.ifelse(is_there, come.stage, "lead"))  # fmt: skip


def _visits(events: ibis.Table, as_of: date) -> ibis.Table:
    seen = _past(events, "at", as_of).mutate(device=_.device.fill_null(UNKNOWN))
    days = seen.group_by("customer_id", "device", day=seen.at.date()).agg(
        at=_.at.min(), n=_.count(), carts=(_.kind == "cart").sum()
    )
    carts = ibis.ifelse(days.carts > 0, ", " + _text(days.carts) + " into the cart", "")
    return _moment(days, "visit", at=_.at, reference=_.device, channel=_.device,
                   what="actions: " + _text(days.n) + carts)  # fmt: skip


def _uses(usage: ibis.Table, as_of: date) -> ibis.Table:
    used = _past(usage, "day", as_of)
    days = used.group_by("customer_id", "day").agg(
        n=_.module.nunique(), minutes=_.minutes.sum().fill_null(0)
    )
    told = "modules: " + _text(days.n) + ", minutes: " + _text(days.minutes)
    return _moment(days, "use", at=_.day, what=told)


def _touches(touchpoints: ibis.Table, as_of: date) -> ibis.Table:
    seen = _past(touchpoints, "at", as_of)
    return _moment(seen, "touchpoint", at=_.at, reference=_.line, channel=_.channel)


def _addressed(sent: ibis.Table, campaigns: ibis.Table, as_of: date) -> ibis.Table:
    reached = _past(sent, "sent_at", as_of).filter((_.arm != "control").fill_null(True))
    names = campaigns.select("campaign_id", "campaign_name")
    named = reached.left_join(names, "campaign_id")
    steps = [((named[f"{step}_at"].date() <= as_of).fill_null(False), step)
             for step in ("joined", "clicked", "opened", "delivered")]  # fmt: skip
    title = ibis.coalesce(named.campaign_name, named.campaign_id)
    return _moment(named, "campaign", at=_.sent_at, reference=_.line, channel=_.channel,
                   what=title + ": " + ibis.cases(*steps, else_="sent"))  # fmt: skip


def _orders(orders: ibis.Table, as_of: date) -> ibis.Table:
    placed = _past(orders, "ordered_at", as_of)
    return _moment(placed, "order", at=_.ordered_at, reference=_.order_id, channel=_.channel,
                   what="lines: " + _text(placed.lines), amount=_.amount)  # fmt: skip


def _returns(returns: ibis.Table, as_of: date) -> ibis.Table:
    back = _past(returns, "returned_at", as_of)
    name = back.return_id.fill_null(_text(back.line))
    whole = back.group_by("customer_id", name=name).agg(
        at=_.returned_at.min(), n=_.count(), amount=_.amount.sum()
    )
    return _moment(whole, "return", at=_.at, reference=_.name,
                   what="lines: " + _text(whole.n), amount=_.amount)  # fmt: skip


def _talks(interactions: ibis.Table, as_of: date) -> ibis.Table:
    said = _past(interactions, "at", as_of)
    way = ibis.cases((said.direction == "in", "from the customer: "),
                     (said.direction == "out", "to the customer: "), else_="")  # fmt: skip
    return _moment(said, "interaction", at=_.at, reference=_.line, channel=_.channel,
                   what=way + said.topic.fill_null(UNKNOWN))  # fmt: skip


def _cases(tickets: ibis.Table, as_of: date) -> ibis.Table:
    come = _past(tickets, "opened_at", as_of)
    is_over = (come.resolved_at.date() <= as_of).fill_null(False)
    topic = ibis.ifelse(come.topic.notnull(), ": " + come.topic, "").fill_null("")
    state = ibis.ifelse(is_over, ", closed", ", open")
    return _moment(come, "ticket", at=_.opened_at, reference=_.ticket_id,
                   what=come.kind + topic + state)  # fmt: skip


def _answers(surveys: ibis.Table, as_of: date) -> ibis.Table:
    said = _past(surveys, "answered_at", as_of)
    sheets = said.group_by("customer_id", "survey_id").agg(
        at=_.answered_at.min(), n=_.count(),
        nps=said.score.max(where=said.instrument.lower() == NPS),
    )  # fmt: skip
    nps = ibis.ifelse(sheets.nps.notnull(), ", would recommend: " + _text(sheets.nps), "")
    return _moment(sheets, "survey", at=_.at, reference=_.survey_id,
                   what="answers: " + _text(sheets.n) + nps.fill_null(""))  # fmt: skip


def _opinions(reviews: ibis.Table, products: ibis.Table, as_of: date) -> ibis.Table:
    said = _past(reviews, "written_at", as_of)
    named = said.left_join(products.select("product_id", "product_name"), "product_id")
    about = named.product_name.fill_null(UNKNOWN)
    score = ibis.ifelse(named.score.notnull(), ", score: " + _text(named.score), "").fill_null("")
    return _moment(named, "review", at=_.written_at, reference=_.review_id, channel=_.platform,
                   what=about + score)  # fmt: skip


# ---- the page ----------------------------------------------------------------------------------


def features() -> list[str]:
    """The features of `features/profiles`, in order; none identifies a person (PRV-16)."""
    return [name for name in lookup("features/profiles").names if name != "customer_id"]


def catalogue(profiles: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """One feature: its dimension, both names, type, unit, and the share that has it (TAG-23).

    Examples
    --------
    >>> from crm.tables import empty
    >>> catalogue(empty("features/profiles")).loc[1, ["feature", "chinese"]].tolist()
    ['age', '年龄']
    """
    import pandas as pd

    rows = []
    for dimension, columns in PROFILE.items():
        for column in columns:
            meaning, _, rest = column.about.partition(" (")
            chinese = rest.rstrip(")").split(",")[0]
            has = _has(profiles[column.name])
            share = disclosure.share(int(has.sum()), len(has), least)
            rows.append((dimension, column.name, chinese, meaning, column.unit, share))
    names = ["dimension", "feature", "chinese", "meaning", "unit", "known_share"]
    return pd.DataFrame(rows, columns=names)


def coverage(known: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """One kind of record: customers who left any, and their share; gaps steer what to collect."""
    import pandas as pd

    rows = [
        (dimension, sign, int(_has(known[column]).sum()), owner)
        for sign, (dimension, column, owner) in SIGNS.items()
    ]
    found = pd.DataFrame(rows, columns=["dimension", "record", "customers", "owner"])
    return _of_all(found, "record", known, least)


def dimensions(known: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """One dimension of the view: customers of whom anything in it is known (C360-12)."""
    counts = _dimension_flags(known).sum().astype("int64")
    frame = counts.rename("customers").rename_axis("dimension").reset_index()
    return _of_all(frame, "dimension", known, least)


def analysed(profiles: pd.DataFrame) -> pd.DataFrame:
    """The customers of the page: known by the day, and permitted to be analysed (PRV-07)."""
    return profiles[profiles["is_known"] & profiles["may_analyse"]].reset_index(drop=True)


def facts(profiles: pd.DataFrame, known: pd.DataFrame, *, least: int = 5) -> dict:
    """Metrics: who is in the view, what is known of them, and the widest gap."""
    covered, kinds = dimensions(known, least=least), coverage(known, least=least)
    asked = kinds[kinds["dimension"] == DIMENSIONS[0]]
    gap = asked.sort_values("customer_share", kind="stable").iloc[0]
    thin = covered.sort_values("customer_share", kind="stable").iloc[0]
    every = _dimension_flags(known).all(axis=1)
    whole = disclosure.few(int(every.sum()), least)
    return {
        "customers": len(profiles),
        "known": len(known),
        "not_analysed": disclosure.few(int((~profiles["may_analyse"]).sum()), least),
        "features": len(features()),
        "dimensions_fed": int(_fed(covered).sum()),
        "whole": whole,
        "whole_share": whole / max(len(known), 1) if whole is not None else None,
        "kinds": len(kinds),
        "kinds_unfed": int((~_fed(kinds)).sum()),
        "unfed_names": ", ".join(kinds.loc[~_fed(kinds), "record"]) or "none",
        "gap_name": gap["record"],
        "gap_share": _number(gap["customer_share"]),
        "thin_name": thin["dimension"],
        "thin_share": _number(thin["customer_share"]),
    }


def departments(known: pd.DataFrame, *, least: int = 5) -> dict:
    """Metrics of what each department can do now: whom it concerns, and who may be addressed.

    A number of few customers is empty, and so is the money of such. Of those who use several
    channels the share is empty, too, where all but a few do.
    """
    may = known["may_market"]
    groups = {
        "waiting": known["open_tickets"] > 0,
        "left": known["carts_left"] > 0,
        "looking": (known["orders"] == 0) & (known["visit_days"] > 0),
        "omo": known["is_omo"],
    }
    found = {"buyers": disclosure.few(int((known["orders"] > 0).sum()), least)}
    for name, who in groups.items():
        found[name] = disclosure.few(int(who.sum()), least)
        if name != "waiting":  # who waits for an answer gets one, whatever they permit
            found[f"{name}_permitted"] = disclosure.few(int((who & may).sum()), least)
    spend, both = known["spend"], known["channels"] > 1
    told = {name: found[name] is not None for name in groups}
    both_share = disclosure.share(int(both.sum()), len(both), least)
    return found | {
        "waiting_spend": float(spend[groups["waiting"]].sum()) if told["waiting"] else None,
        "left_products": int(known["carts_left"].sum()) if told["left"] else None,
        "omo_spend_share": _part(spend, groups["omo"]) if told["omo"] else None,
        "both_share": both_share,
        "both_spend_share": None if both_share is None else _part(spend, both),
    }


def answer(found: dict) -> str:
    """The sentence that opens the page."""
    if found["dimensions_fed"] < len(DIMENSIONS):
        return (
            "**The data know {dimensions_fed} of the five dimensions of a customer.** The view "
            "holds {known} customer[s]; nothing is known of: {unfed_names}."
        )
    return (
        "**All five dimensions are known of {whole_share:pct} of {known} customer[s]**: who they "
        "are, what they bought, what they looked at, how we talked, and how they judged us. "
        "Least is known of {thin_name}: {thin_share:pct} of customers left any."
    )


def dimension_title(found: dict) -> str:
    """The finding of the chart of dimensions."""
    if not found["whole"]:
        return "No customer is known in all five dimensions; the data know {dimensions_fed}"
    return (
        "{whole_share:pct} of customers are known in all five dimensions; least is known of "
        "{thin_name}"
    )


def channel_note(found: dict) -> str:
    """What several channels are worth."""
    if found["both_share"] is None and not found["omo"]:
        return "A few customers bought through several channels, or all but a few."
    if found["both_share"] is None:
        return (
            "A few customers bought through several channels, or all but a few. {omo} customer[s] "
            "bought in a store within {omo_days:days} after a visit online, and bring "
            "{omo_spend_share:pct} of spend."
        )
    if not found["both_share"]:
        return "No customer is known to have bought through more than one channel."
    if not found["omo"]:
        return (
            "{both_share:pct} of customers bought through several channels; they bring "
            "{both_spend_share:pct} of spend."
        )
    return (
        "{both_share:pct} of customers bought through several channels; they bring "
        "{both_spend_share:pct} of spend. {omo} customer[s] bought in a store within "
        "{omo_days:days} after a visit online, and bring {omo_spend_share:pct}."
    )


def service_note(found: dict) -> str:
    """What service has to do first."""
    if found["waiting"] is None:
        return (
            "**Service: a few customers wait for an answer.** Close their cases first, with the "
            "card of each beside the phone."
        )
    if not found["waiting"]:
        return "Service: nobody waits. The data hold no open case of a customer."
    return (
        "**Service: close the cases of the {waiting} customer[s] who wait for an answer**, with "
        "the card of each beside the phone; they spent {waiting_spend:money} so far."
    )


def product_note(found: dict) -> str:
    """What product and e-commerce have to do first."""
    if found["left"] is None:
        return "**Product: a few customers left something in the cart.** Too few to say more here."
    if not found["left"]:
        return (
            "**Product: bring what people look at.** The data hold no cart that was left, so "
            "nobody can be reminded of one."
        )
    return (
        "**Product: remind the {left_permitted} customer[s] who may be addressed of what they "
        "left in the cart** in the last {window_days:days}, and find out why. In all {left} "
        "customer[s] left {left_products} product[s] and did not buy [it|them] since."
    )


def marketing_note(found: dict) -> str:
    """What marketing has to do first."""
    if found["omo"] is None:
        return (
            "**Marketing: a few customers look online and buy in a store.** They are too few for "
            "an offer of its own."
        )
    if not found["omo"]:
        return (
            "**Marketing: bring visits and the channel of each order.** Nobody is known to look "
            "online and buy in a store, so no offer can join the two."
        )
    return (
        "**Marketing: offer the {omo_permitted} customer[s] who look online, buy in a store and "
        "may be addressed to order online and collect in the store.** In all {omo} do so; they "
        "bring {omo_spend_share:pct} of spend."
    )


def sales_note(found: dict) -> str:
    """What sales has to do first."""
    if found["looking"] is None:
        return (
            "**Sales: a few customers look and never bought.** At every contact ask for "
            "{gap_name}, known of {gap_share:pct}."
        )
    if not found["looking"]:
        return (
            "**Sales: ask for what is missing at the next contact.** {kinds_unfed} of {kinds} "
            "kind[s] of knowledge [is|are] missing for everybody."
        )
    return (
        "**Sales: invite the {looking_permitted} customer[s] who look and never bought**, as far "
        "as they may be addressed ({looking} in all). At every contact ask for {gap_name}, known "
        "of {gap_share:pct}."
    )


def people_note(known: pd.DataFrame, *, least: int) -> str:
    """The sentence above the tables of age, gender and region."""
    if not _has(known["age"]).any() and not _has(known["gender"]).any():
        return "No file says how old customers are, or of which gender or province."
    if people_facts(known, least=least)["median_age"] is None:
        return (
            "Of too few customers the birth date is known to say how old they are. Cells of fewer "
            "than {least} customer[s] are hidden."
        )
    return (
        "Half of the customers whose birth date is known are {median_age:int} or younger. "
        "Cells of fewer than {least} customer[s] are hidden."
    )


def people_facts(known: pd.DataFrame, *, least: int) -> dict:
    """Metrics of who the customers are; no age where it is known of few."""
    ages = known["age"].dropna()
    is_told = bool(disclosure.few(len(ages), least))
    return {"median_age": float(ages.median()) if is_told else None, "least": least}


def structure(
    known: pd.DataFrame, *, ages: list[int] = (18, 26, 36, 46, 56), least: int = 5
) -> pd.DataFrame:
    """One band of age and one gender: customers; no rows if neither is known of anybody.

    Each number of `ages` begins a band (TAG-02).
    """
    bands = aged(known["age"], ages)
    counted = known.assign(age_band=bands, gender=known["gender"].fillna(UNKNOWN))
    if (counted["age_band"] == UNKNOWN).all() and (counted["gender"] == UNKNOWN).all():
        counted = counted.head(0)
    order = [*_age_names(ages), UNKNOWN]
    cells = counted.groupby(["age_band", "gender"]).size().rename("customers").reset_index()
    place = cells["age_band"].map(order.index)
    cells = cells.assign(place=place).sort_values(["place", "gender"]).drop(columns="place")
    return disclosure.suppress(cells, by=["age_band", "gender"], least=least)


def aged(years: pd.Series, ages: list[int]) -> pd.Series:
    """The band of each age as text, `unknown` if the age is.

    Examples
    --------
    >>> import pandas as pd
    >>> aged(pd.Series([17, 18, 25, 56, None]), [18, 26, 56]).tolist()
    ['under 18', '18–25', '18–25', '56 and over', 'unknown']
    """
    import pandas as pd

    names = _age_names(ages)
    places = pd.cut(years, [-1, *(a - 1 for a in ages), OLDEST], labels=names)
    return places.astype("str").where(years.notna(), UNKNOWN)


def regions(known: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """One province: customers, their spend and its share; no rows if it is known of nobody."""
    there = known[_has(known["province"])]
    cells = there.groupby("province").agg(
        customers=("customer_id", "size"), spend=("spend", "sum")
    )
    share = cells["spend"] / max(float(known["spend"].sum()), 1e-12)
    whole = cells.assign(spend_share=share).reset_index()
    whole = whole.sort_values(
        ["customers", "province"], ascending=[False, True], ignore_index=True
    )
    return disclosure.suppress(whole, by=["province"], least=least)


def roads(channels: pd.DataFrame, known: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """One use of a channel: customers who use it, who prefer it, times, and sales (C360-07)."""
    theirs = channels[channels["customer_id"].isin(known["customer_id"])]
    cells = theirs.groupby(["road", "channel"]).agg(
        customers=("customer_id", "size"), times=("times", "sum"), kept_sales=("spend", "sum")
    )  # fmt: skip
    liked = {"purchase": "preferred_channel", "contact": "preferred_contact"}
    preferring = [int((known[liked[road]] == name).sum()) for road, name in cells.index]
    whole = cells.assign(preferring=preferring).reset_index()
    whole["kept_sales"] = whole["kept_sales"].where(whole["road"] == "purchase")  # no talk earns
    order = ["road", "customers", "channel"]
    whole = whole.sort_values(order, ascending=[False, False, True], ignore_index=True)
    counts = ["customers", "preferring"]
    return disclosure.suppress(whole, count=counts, by=["road", "channel"], least=least)


def stages(now: pd.DataFrame, then: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """One stage of life: customers at the earlier day, who may be analysed today, and now."""
    permitted = set(now["customer_id"])
    before = then[then["is_known"] & then["customer_id"].isin(permitted)]
    counts = {"earlier_customers": before["lifecycle"], "customers": now["lifecycle"]}
    columns = {name: values.value_counts() for name, values in counts.items()}
    frame = now.head(0)[[]].reindex(list(LIFECYCLE)).assign(**columns)
    frame = frame.fillna(0).astype("int64").rename_axis("lifecycle").reset_index()
    return disclosure.suppress(frame, count=list(counts)[::-1], by=["lifecycle"], least=least)


def example(timeline: ibis.Table, view: ibis.Table) -> ibis.Table:
    """One row: the customer with most kinds of contact, then most moments, then the first id.

    Only who may be analysed and profiled is shown as an example.
    """
    allowed = view.filter(_.may_analyse, _.may_profile)
    met = timeline.semi_join(allowed, "customer_id").group_by("customer_id")
    counted = met.agg(kinds=_.kind.nunique(), moments=_.count())
    order = [ibis.desc("kinds"), ibis.desc("moments"), "customer_id"]
    return counted.order_by(order).limit(1)


def moments(timeline: ibis.Table, example: ibis.Table, *, latest: int = 15) -> ibis.Table:
    """One of the `latest` moments of the example, the newest first; whose it is stays out."""
    theirs = timeline.semi_join(example, "customer_id")
    order = [ibis.desc("at"), "kind", "reference"]
    return theirs.order_by(order).limit(latest).select("at", "kind", "channel", "what", "amount")


def key_facts(one: pd.DataFrame, *, currency: str = "") -> pd.DataFrame:
    """One feature of the example that says something; nothing by which a person could be found."""
    import pandas as pd

    rows = [
        (wording.label(column.name), _told(one[column.name].iloc[0], column, currency))
        for dimension in DIMENSIONS[1:]
        for column in PROFILE[dimension]
        if len(one) and bool(_has(one[column.name]).iloc[0])
    ]
    return pd.DataFrame(rows, columns=["feature", "content"], dtype="str")


def example_facts(example: pd.DataFrame) -> dict:
    """Metrics of the example; 0 if nobody is shown."""
    kinds, number = (int(example[n].sum()) for n in ("kinds", "moments"))
    return {"example_kinds": kinds, "example_moments": number}


def example_note(example: pd.DataFrame) -> str:
    """The sentence above the example."""
    if example.empty:
        return "Nobody may be profiled, so no customer is shown."
    return (
        "This customer has most kinds of contact, {example_kinds} of them in {example_moments} "
        "moment[s]. Name, contact, age and region stay out of the page; "
        "`crm card` with the pseudonym writes the card, masked, for who may see it."
    )


# ---- private -----------------------------------------------------------------------------------


def _past(rows: ibis.Table, time: str, as_of: date) -> ibis.Table:
    """The rows of known customers up to the end of the day."""
    return rows.filter(rows.customer_id.notnull(), rows[time].cast("date") <= as_of)


def _within(rows: ibis.Table, time: str, as_of: date, start: date) -> ibis.Table:
    """The rows of known customers in the window that begins after `start`."""
    return _past(rows, time, as_of).filter(rows[time].cast("date") > start)


def _place(group: list[str], order: list) -> ibis.Column:
    return ibis.row_number().over(ibis.window(group_by=group, order_by=order))


def _share(part, whole) -> ibis.Column:
    return part.cast("float64") / whole.nullif(0).cast("float64")


def _hours(seconds, number) -> ibis.Column:
    return seconds.cast("float64") / (number * 3600)


def _seconds(start: ibis.Column, end: ibis.Column, as_of: date) -> ibis.Column:
    """Whole seconds from start to end; empty if the end lies after the day, or is not known.

    An end before the start is a mistake of the record and says nothing of how long it took.
    """
    is_span = (end.date() <= as_of) & (end >= start)
    return ibis.ifelse(is_span, end.delta(start, unit="second"), None)


def _latest(time: ibis.Column) -> ibis.Column:
    """The time; where only the day is known, which midnight means, the last second of the day."""
    day = time.truncate("D")
    return ibis.ifelse(time == day, day + ibis.interval(seconds=DAY - 1), time)


def _months(day: ibis.Column, as_of: date) -> ibis.Column:
    """Whole months from a day to `as_of`; the last day of a month completes it (Q-06)."""
    last = monthrange(as_of.year, as_of.month)[1]
    reached = 31 if as_of.day == last else as_of.day
    months = 12 * (as_of.year - day.year()) + (as_of.month - day.month())
    return months - (day.day() > reached).cast("int64")


def _ratios(w: ibis.Table) -> dict[str, ibis.Column]:
    """Means and shares by customer; empty where there is nothing to divide by."""
    return {
        "order_value": w.spend / w.orders.nullif(0),
        "window_order_value": w.window_spend / w.window_orders.nullif(0),
        "returned_share": _share(w.returned, w.sales),
        "margin_share": _share(w.margin, w.costed),
        "discounted_share": _share(w.discounted_orders, w.orders),
        "opened_share": _share(w.campaigns_opened, w.campaigns_delivered),
        "joined_share": _share(w.campaigns_joined, w.campaigns),
    }


def _filled(whole: ibis.Table) -> dict[str, ibis.Column]:
    """Counts and sums that are 0 where a block has nothing of the customer; means stay empty."""
    sums = ["net", "loose", "recent_net", "recent_loose", "window_net", "window_loose",
            "discounted_orders", "placed"]  # fmt: skip
    zero, no = [], []
    for column in TABLES["features/profiles"].columns:
        if column.name in whole.columns and column.name not in AVERAGES:
            zero += [column.name] * (column.type in ("int", "money", "quantity"))
            no += [column.name] * (column.type == "bool")
    made = {name: whole[name].fill_null(0) for name in [*sums, *zero]}
    made |= {name: whole[name].fill_null(False) for name in no}
    return made | {"points": ibis.coalesce(whole.points, whole.stated_points, 0)}


def _text(number: ibis.Column) -> ibis.Column:
    """A whole number as text."""
    return number.cast("int64").cast("string")


def _moment(rows: ibis.Table, kind: str, **columns) -> ibis.Table:
    """One moment of the time line; what is not given is empty."""
    empty = {"reference": ibis.literal(""), "channel": ibis.null("string"),
             "what": ibis.literal(""), "amount": ibis.null("decimal(18, 4)")}  # fmt: skip
    types = {c.name: c.type for c in lookup("features/timeline").columns}
    casts = {"string": "string", "timestamp": "timestamp(6)", "money": "decimal(18, 4)"}
    made = rows.select("customer_id", kind=ibis.literal(kind), **(empty | columns))
    names = lookup("features/timeline").names
    return made.select(**{name: made[name].cast(casts[types[name]]) for name in names})


def _dimension_flags(known: pd.DataFrame) -> pd.DataFrame:
    """Whether anything is known of each customer in each dimension."""
    import pandas as pd

    flags = {}
    for dimension in DIMENSIONS:
        columns = [column for where, column, _ in SIGNS.values() if where == dimension]
        flags[dimension] = pd.concat([_has(known[c]) for c in columns], axis=1).any(axis=1)
    return pd.DataFrame(flags)


def _of_all(found: pd.DataFrame, by: str, known: pd.DataFrame, least: int) -> pd.DataFrame:
    """The rows with the share of all customers, small parts and small rests hidden."""
    whole = found.assign(customer_share=found["customers"] / max(len(known), 1), all=len(known))
    shown = disclosure.suppress_part(
        whole, part="customers", of="all", by=[by], hide=["customer_share"], least=least, along=[]
    )
    return shown.drop(columns="all")


def _fed(found: pd.DataFrame) -> pd.Series:
    """Whether anybody left such a record; a hidden number is of somebody."""
    return found["customers"].fillna(1) > 0


def _number(value) -> float | None:
    """A share, None if it is hidden."""
    return None if value != value else float(value)


def _age_names(ages: list[int]) -> list[str]:
    between = [f"{low}–{high - 1}" for low, high in pairwise(ages)]
    return [f"under {ages[0]}", *between, f"{ages[-1]} and over"]


def _part(values: pd.Series, which: pd.Series) -> float:
    """Share of a sum that some rows make; 0 of nothing."""
    whole = float(values.sum())
    return float(values[which].sum()) / whole if whole else 0.0


def _told(value, column: Column, currency: str) -> str:
    """A value of the example as people read it."""
    if column.type == "bool":
        return "yes" if value else "no"
    if column.type in ("string", "date"):
        return wording.form(value, "date" if column.type == "date" else "")
    form = "money" if column.type == "money" else wording.column_form(column.name, "f")
    whole = form == "num" and float(value).is_integer()
    return wording.form(float(value), "int" if whole else form, currency)


def _has(values: pd.Series) -> pd.Series:
    """Whether each customer has a value that says something: not empty, none, or unknown.

    A count or a sum of nothing is zero; a mean, a share or a span is empty where there is none,
    so a zero of these is known.
    """
    if lookup("features/profiles")[values.name].type == "float":
        return values.notna()
    if values.dtype.kind in "if":
        return values.notna() & (values != 0)
    if values.dtype.kind == "b":
        return values
    return values.notna() & (values != UNKNOWN)
