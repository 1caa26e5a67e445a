"""What was sold, when, where and to whom: the descriptive page every other one rests on.

*Gross sales* are the amounts of all lines sold; *returned* are the amounts of returned or
cancelled lines of goods; *net sales* are the difference. Postage, fees, vouchers and manual
entries are no goods: they are counted apart as *other*, charges less corrections, so that no fee
is mistaken for a return. A customer is *new* in the month of the first purchase in the data and
*returning* afterwards; early months cannot tell, since earlier purchases are not in the data.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date
from typing import TYPE_CHECKING

import pandas as pd

from crm import disclosure

if TYPE_CHECKING:
    import ibis


CENT = 0.01
HALF = 0.5  # of the sales of a product
NAMED = "= spend of named customers"
SEASON = 1.25  # a month that sells this many times the median belongs to the season


class SalesError(ValueError):
    """The sums of this page do not hang together."""


def movements(
    items: ibis.Table,
    returns: ibis.Table,
    products: ibis.Table,
    orders: ibis.Table,
    *,
    as_of: date,
) -> ibis.Table:
    """One line that moved money up to `as_of`: sold (`gross`), `returned`, or `other`.

    Columns: month (first day), customer_id, product_id, product_name, category, is_product,
    country, units (negative when returned), gross, returned, other, and `swift`: the part of
    gross that was cancelled within a day, so most likely never shipped.
    """
    import ibis
    from ibis import _

    named = products.select("product_id", "product_name", "category", "is_product")
    moved = _sold(items, returns, orders).union(_back(returns))
    moved = moved.filter(_.at.date() <= as_of).inner_join(named, "product_id")
    is_sold = moved.is_product & (moved.amount >= 0)
    is_back = moved.is_product & (moved.amount < 0)
    is_swift = is_sold & (moved.reversed_at <= moved.at + ibis.interval(days=1))
    return moved.select(
        "customer_id", "product_id", "product_name", "category", "is_product", "country",
        "units", "at", "order_id",
        month=_.at.truncate("M").date(),
        gross=ibis.ifelse(is_sold, moved.amount, 0),
        returned=ibis.ifelse(is_back, -moved.amount, 0),
        other=ibis.ifelse(moved.is_product, 0, moved.amount),
        swift=ibis.ifelse(is_swift & (_.reversed_at.date() <= as_of), moved.amount, 0),
    )  # fmt: skip


def bridge(moved: ibis.Table) -> ibis.Table:
    """One step from the goods sold to the spend that RFM counts: `step`, `amount`.

    A step that begins with = is the sum of all steps above it that do not. The sum of all kept
    lines is that of the ledger's kept rows; the last is what named customers spent.
    """
    import ibis
    from ibis import _

    net, other, nobody = moved.gross - moved.returned, moved.other, moved.customer_id.isnull()
    sums = {
        "goods sold": moved.gross,
        "goods returned or cancelled": -moved.returned,
        "= net sales of goods": net,
        "postage, fees and corrections charged": ibis.ifelse(other > 0, other, 0),
        "postage, fees and corrections credited": ibis.ifelse(other < 0, other, 0),
        "= all kept lines": net + other,
        "take out net sales of goods to nobody named": ibis.ifelse(nobody, -net, 0),
        "take out postage, fees and corrections of nobody named": ibis.ifelse(nobody, -other, 0),
        NAMED: ibis.ifelse(nobody, 0, net + other),
    }
    steps = [
        moved.aggregate(amount=value.sum().fill_null(0)).select(
            "amount", step=ibis.literal(name), place=ibis.literal(place)
        )
        for place, (name, value) in enumerate(sums.items())
    ]
    return ibis.union(*steps).order_by(_.place).select("step", "amount")


def assert_whole(steps: pd.DataFrame) -> None:
    """Raise `SalesError` unless each sum of the bridge is that of the steps above it.

    Examples
    --------
    >>> steps = [("goods sold", 5.0), ("returned", -2.0), ("= net", 3.0)]
    >>> assert_whole(pd.DataFrame(steps, columns=["step", "amount"]))
    """
    is_sum = steps["step"].str.startswith("=")
    running = steps["amount"].where(~is_sum, 0).cumsum()
    torn = steps[is_sum & ((running - steps["amount"]).abs() >= CENT)]
    if len(torn):
        raise SalesError(
            f"the step {torn['step'].iloc[0]!r} of the bridge is {torn['amount'].iloc[0]:.2f}, "
            f"but the steps above it make {running[torn.index[0]]:.2f}"
        )


def named_spend(steps: pd.DataFrame) -> float:
    """The last step of the bridge: what named customers spent, whoever may be analysed."""
    return float(steps.loc[steps["step"] == NAMED, "amount"].sum())


def monthly(moved: ibis.Table, orders: ibis.Table, *, as_of: date) -> ibis.Table:
    """One month: gross_sales, returned, net_sales, other, swift, orders, buyers.

    Every month from the first to the last has a row only if something moved in it; `settle` fills
    the gaps.
    """
    from ibis import _

    money = moved.group_by("month").agg(
        gross_sales=_.gross.sum(),
        returned=_.returned.sum(),
        other=_.other.sum(),
        swift=_.swift.sum(),
    )
    placed = orders.filter(_.ordered_at.date() <= as_of, _.amount > 0).mutate(
        month=_.ordered_at.truncate("M").date()
    )
    counts = placed.group_by("month").agg(orders=_.count(), buyers=_.customer_id.nunique())
    joined = money.left_join(counts, "month").drop("month_right")
    return joined.select(
        "month",
        "gross_sales",
        "returned",
        "other",
        "swift",
        net_sales=_.gross_sales - _.returned,
        orders=_.orders.fill_null(0),
        buyers=_.buyers.fill_null(0),
    ).order_by("month")


def settle(months: pd.DataFrame, *, as_of: date) -> pd.DataFrame:
    """`months` without gaps, with `is_partial` for a last month that `as_of` cuts short.

    Examples
    --------
    >>> months = pd.DataFrame({"month": pd.to_datetime(["2023-01-01", "2023-03-01"]),
    ...                        "net_sales": [5.0, 7.0]})
    >>> settle(months, as_of=date(2023, 3, 9))[["net_sales", "is_partial"]].values.tolist()
    [[5.0, False], [0.0, False], [7.0, True]]
    """
    if months.empty:
        return months.assign(is_partial=False)
    span = pd.date_range(months["month"].min(), months["month"].max(), freq="MS")
    filled = months.set_index("month").reindex(span, fill_value=0)
    whole = filled.rename_axis("month").reset_index()
    is_last = whole["month"].dt.strftime("%Y-%m") == f"{as_of:%Y-%m}"
    is_cut = as_of.day < monthrange(as_of.year, as_of.month)[1]
    return whole.assign(is_partial=is_last & is_cut)


def shown(months: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """`months` without the sums of those in which under `least` customers bought."""
    return disclosure.suppress(months, count="buyers", by=["month"], least=least)


def newcomers(moved: ibis.Table) -> ibis.Table:
    """One month: customers and net sales by `who`: new, returning, earlier, unknown (none named).

    A customer is new in the month of the first purchase in the data: a line charged, of goods or
    of postage alone, so that pages agree on who bought. What comes back is subtracted in the month
    it came back; where nothing was bought up to then, the purchase lies before the data:
    *earlier*. The four add up to the net sales of the month.

    Columns: month, who, customers (who bought in the month), net_sales, and `people`: all whose
    money is in it, each line that names nobody taken for a person.
    """
    import ibis
    from ibis import _

    bought = moved.filter(_.customer_id.notnull(), _.gross + _.other > 0)
    first = bought.group_by("customer_id").agg(first_month=_.month.min())
    joined = moved.left_join(first, "customer_id")
    who = ibis.cases(
        (joined.customer_id.isnull(), "unknown"),
        (joined.month == joined.first_month, "new"),
        (joined.month > joined.first_month, "returning"),
        else_="earlier",
    )
    buyer = ibis.ifelse(joined.gross + joined.other > 0, joined.customer_id, None)
    return (
        joined.mutate(who=who, net=joined.gross - joined.returned, buyer=buyer)
        .group_by("month", "who")
        .agg(
            customers=_.buyer.nunique(),
            net_sales=_.net.sum(),
            people=_.customer_id.nunique() + _.customer_id.isnull().sum(),
        )
        .order_by("month", "who")
    )


def unnamed(orders: ibis.Table, *, as_of: date) -> ibis.Table:
    """One row: orders that name no customer, their share, and their value beside named ones."""
    from ibis import _

    placed = orders.filter(_.ordered_at.date() <= as_of, _.amount > 0)
    placed = placed.mutate(nobody=_.customer_id.isnull(), value=_.amount.cast("float64"))
    return placed.aggregate(
        unnamed_orders=_.nobody.sum().fill_null(0),
        unnamed_orders_share=_.nobody.cast("float64").mean().fill_null(0),
        unnamed_value=_.value.median(where=_.nobody).fill_null(0),
        named_value=_.value.median(where=~_.nobody).fill_null(0),
    )


def best_products(moved: ibis.Table, *, top: int = 15) -> ibis.Table:
    """One product of the `top` by net sales: units, net_sales, buyers, returned share.

    `largest_order_share` is the part of gross sales that one order brought: where it is large, a
    price or a quantity may have been mistyped, and the correction booked as something else.
    Postage, fees and other entries that are no goods are left out.
    """
    from ibis import _

    goods = moved.filter("is_product")
    sold = goods.group_by("product_id", "product_name").agg(
        units=_.units.sum(),
        gross=_.gross.sum(),
        returned=_.returned.sum(),
        buyers=_.customer_id.nunique(),
    )
    sold = sold.mutate(
        net_sales=_.gross - _.returned,
        returned_share=_.returned.cast("float64") / _.gross.cast("float64").nullif(0),
    )
    best = sold.order_by(_.net_sales.desc(), _.product_id).limit(top)
    each = goods.semi_join(best, "product_id").group_by("product_id", "order_id")
    orders = each.agg(order=_.gross.sum()).group_by("product_id").agg(largest=_.order.max())
    joined = best.left_join(orders, "product_id").drop("product_id_right")
    share = joined.largest.cast("float64") / joined.gross.cast("float64").nullif(0)
    joined = joined.mutate(largest_order_share=share)
    return joined.order_by(_.net_sales.desc(), _.product_id).select(
        "product_id", "product_name", "units", "net_sales", "buyers", "returned_share",
        "largest_order_share",
    )  # fmt: skip


def most_returned(moved: ibis.Table, *, top: int = 10, least: float = 0) -> ibis.Table:
    """One product of the `top` by money returned, among those with gross sales of `least`."""
    from ibis import _

    sold = (
        moved.filter("is_product")
        .group_by("product_id", "product_name")
        .agg(gross_sales=_.gross.sum(), returned=_.returned.sum())
    )
    share = _.returned.cast("float64") / _.gross_sales.cast("float64")
    lost = sold.filter(_.gross_sales > least, _.returned > 0).mutate(returned_share=share)
    return lost.order_by(_.returned.desc(), _.product_id).limit(top)


def countries(moved: ibis.Table) -> ibis.Table:
    """One country, best first: net_sales of goods, named buyers, what each of them spent.

    A buyer was charged for something there. `largest_share` is the part of the buyers' sales that
    the largest alone brings: where it is large, the mean tells of one account and not of a market.
    `people` counts all named customers whose money is in it, be it a return alone.
    """
    from ibis import _

    goods = moved.mutate(country=_.country.fill_null("unknown"), net=_.gross - _.returned)
    by_country = goods.group_by("country").agg(
        net_sales=_.net.sum(), people=_.customer_id.nunique()
    )
    each = goods.filter(_.customer_id.notnull()).group_by("country", "customer_id")
    bought = each.agg(net=_.net.sum(), most=(_.gross + _.other).max()).filter(_.most > 0)
    named = bought.group_by("country").agg(
        buyers=_.count(), named=_.net.sum(), largest=_.net.max()
    )
    joined = by_country.left_join(named, "country").drop("country_right")
    spend = joined.named.cast("float64")
    return joined.select(
        "country",
        "net_sales",
        buyers=_.buyers.fill_null(0),
        spend_per_customer=spend / joined.buyers.cast("float64"),
        largest_share=joined.largest.cast("float64") / spend.nullif(0),
        people=_.people,
    ).order_by(_.net_sales.desc(), _.country)


def travellers(moved: ibis.Table) -> ibis.Table:
    """One row: named buyers, and how many of them bought from more than one country."""
    from ibis import _

    bought = moved.filter(_.customer_id.notnull(), _.gross + _.other > 0)
    places = bought.mutate(country=_.country.fill_null("unknown")).group_by("customer_id")
    each = places.agg(countries=_.country.nunique())
    return each.aggregate(buyers=_.count(), travellers=(_.countries > 1).sum().fill_null(0))


def totals(months: pd.DataFrame, *, least: int = 5) -> dict:
    """Metrics over all months: sales, returns, orders, and the best full month.

    A month of under `least` buyers is not the best one.
    """
    sums = months[["gross_sales", "returned", "net_sales", "other", "swift", "orders"]].sum()
    open_ones = shown(months, least=least).dropna(subset=["net_sales"])
    full = open_ones[~open_ones["is_partial"].astype(bool)]
    full = full if len(full) else open_ones
    found = {name: float(value) for name, value in sums.items()} | {
        "orders": int(sums["orders"]),
        "returned_share": _ratio(sums["returned"], sums["gross_sales"]),
        "slow_share": _ratio(
            sums["returned"] - sums["swift"], sums["gross_sales"] - sums["swift"]
        ),
        "swift_share": _ratio(sums["swift"], sums["returned"]),
        "months": len(months),
    }
    ends = {"first_month": months["month"].min(), "last_month": months["month"].max()}
    found |= {name: "" if pd.isna(day) else f"{day:%Y-%m}" for name, day in ends.items()}
    return found | _peak(full)


def _peak(full: pd.DataFrame) -> dict:
    """The best of some months, and those that belong to its season."""
    if full.empty:
        names = ("peak_month", "peak_name", "season")
        return dict.fromkeys(names, "") | {"peak_sales": 0.0, "peak_ratio": 0.0}
    peak = full.loc[full["net_sales"].idxmax()]
    return {
        "peak_month": f"{peak['month']:%Y-%m}",
        "peak_name": f"{peak['month']:%B}",
        "peak_sales": float(peak["net_sales"]),
        "peak_ratio": _ratio(peak["net_sales"], full["net_sales"].median()),
        "season": _season(full),
    }


def last_month_note(months: pd.DataFrame) -> str:
    """The sentence that tells whether the last month can be compared with the others."""
    if months["is_partial"].any():
        return (
            "The last month, {last_month:month}, is counted up to {as_of:date} only: its bar is "
            "short for that reason and must not be read as a fall."
        )
    return "Every month is complete, so they can be compared as they stand."


def ordered(newcomers: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """`newcomers` to be drawn: returning customers first, then new ones, then the others.

    Credits for earlier purchases are few, so they stand with the sales that name nobody; what is
    then still of under `least` people is hidden.
    """
    who = newcomers["who"].replace({"unknown": "other", "earlier": "other"})
    merged = newcomers.assign(who=who).groupby(["month", "who"], as_index=False)[
        ["customers", "net_sales", "people"]
    ]
    rows = disclosure.suppress(merged.sum(), count="people", by=["month", "who"], least=least)
    place = rows["who"].map({"returning": 0, "new": 1, "other": 2})
    by_place = rows.assign(place=place).sort_values(["place", "month"], ignore_index=True)
    return by_place.drop(columns=["place", "people"])


def loyalty(
    newcomers: pd.DataFrame, *, as_of: date, recent_months: int = 3, least: int = 5
) -> dict:
    """Metrics of the last `recent_months` full months: share of returning customers' sales.

    Empty where new customers are fewer than `least`.
    """
    is_full = newcomers["month"].dt.strftime("%Y-%m") != f"{as_of:%Y-%m}"
    if as_of.day == monthrange(as_of.year, as_of.month)[1]:
        is_full |= True
    full = newcomers[is_full]
    recent = full[full["month"].isin(sorted(full["month"].unique())[-recent_months:])]
    by_who = (
        recent.groupby("who")[["customers", "net_sales"]]
        .sum()
        .reindex(["new", "returning", "unknown"], fill_value=0)
    )
    named = by_who.loc["new", "net_sales"] + by_who.loc["returning", "net_sales"]
    months = recent["month"].nunique()
    new = disclosure.few(int(by_who.loc["new", "customers"]), least)
    unknown = newcomers.loc[newcomers["who"] == "unknown", "net_sales"].sum()
    return {
        "recent_months": months,
        "returning_share": (
            None if new is None else _ratio(by_who.loc["returning", "net_sales"], named)
        ),
        "new_customers": new,
        "new_per_month": None if new is None else _ratio(new, months),
        "unknown_sales": float(unknown),
        "unknown_sales_share": _ratio(unknown, newcomers["net_sales"].sum()),
    }


def leaders(best: pd.DataFrame, months: pd.DataFrame) -> dict:
    """Metrics of the best product: its name, net sales and share of all net sales."""
    if best["net_sales"].isna().all():
        return {"best_product": "no product", "best_product_sales": 0.0, "best_product_share": 0.0}
    first = best.iloc[0]
    return {
        "best_product": first["product_name"],
        "best_product_sales": float(first["net_sales"]),
        "best_product_share": _ratio(first["net_sales"], months["net_sales"].sum()),
    }


def single_order_note(best: pd.DataFrame) -> str:
    """What to look at where one order makes most of the sales of a product."""
    if best.empty or not (best["largest_order_share"] > HALF).any():
        return "None of these owes more than half of its sales to one order."
    return (
        "{one_order_products} of these owe[s|] more than half of [its|their] sales to a single "
        "order, first **{one_order_product:text}**: look for a mistyped price or quantity, and "
        "for its credit among the corrections."
    )


def single_orders(best: pd.DataFrame) -> dict:
    """Metrics of the best products that owe more than half of their sales to one order."""
    found = best[best["largest_order_share"] > HALF]
    first = found["product_name"].iloc[0] if len(found) else ""
    return {"one_order_products": len(found), "one_order_product": first}


def entry_note(found: dict) -> str:
    """What whoever enters orders has to do about those cancelled within a day."""
    if not found["swift_share"]:
        return "Order entry: nothing to mend. No order was cancelled within a day."
    return (
        "**Order entry: ask back before a very large order is booked.** Orders cancelled within "
        "a day make {swift:money}, {swift_share:pct} of all that came back; the two largest alone "
        "are {swift_largest:money}, and may have been mistyped."
    )


def swiftest(moved: ibis.Table, *, top: int = 2) -> ibis.Table:
    """One row: what the `top` largest orders that were cancelled within a day were worth."""
    from ibis import _

    each = moved.filter(_.swift > 0).group_by("order_id").agg(swift=_.swift.sum())
    first = each.order_by(_.swift.desc(), "order_id").limit(top)
    return first.aggregate(swift_largest=_.swift.sum().fill_null(0))


def returned_most(returned: pd.DataFrame, months: pd.DataFrame) -> dict:
    """Metrics of the product whose returns cost most, and its share of all returns."""
    if returned.empty:
        return {"most_returned": "no product"} | dict.fromkeys(
            ("most_returned_amount", "most_returned_share", "most_returned_of_all"), 0.0
        )
    first = returned.iloc[0]
    return {
        "most_returned": first["product_name"],
        "most_returned_amount": float(first["returned"]),
        "most_returned_share": float(first["returned_share"]),
        "most_returned_of_all": _ratio(first["returned"], months["returned"].sum()),
    }


def home(places: pd.DataFrame) -> dict:
    """Metrics of the best country and of the one after it, with sales a customer."""
    found: dict = {"countries": len(places)}
    open_ones = places.dropna(subset=["net_sales"])
    for rank, name in enumerate(("home", "second")):
        row = open_ones.iloc[rank] if rank < len(open_ones) else None
        found |= {
            f"{name}_country": "no other country" if row is None else row["country"],
            f"{name}_sales": 0.0 if row is None else float(row["net_sales"]),
            f"{name}_share": 0.0 if row is None else float(row["sales_share"]),
            f"{name}_buyers": 0 if row is None else int(row["buyers"]),
            f"{name}_largest_share": 0.0 if row is None else float(row["largest_share"]),
        }
    return found


def season_note(found: dict) -> str:
    """What buyers have to know of the strong months, if there are any."""
    if not found["season"]:
        return "Buyers and stock: no month stands out, so no season has to be prepared."
    return (
        "**Buyers and stock: the strong months were {season:text}.** Each sold at least a "
        "quarter more than the median month, {peak_month:month} {peak_ratio:num} times it. If "
        "it is a season, its goods have to be in stock before the first of them begins."
    )


def unnamed_note(found: dict) -> str:
    """What the owner of the order system has to do about orders without a customer, if any."""
    if not found["unnamed_orders"]:
        return "Sales: keep it so. Every order names its customer."
    return (
        "**Sales: find out what the {unnamed_orders} order[s] ({unnamed_orders_share:pct}) "
        "without a customer [is|are]**, lost names or collective bookings. They are worth "
        "{unknown_sales:money} of goods, {unknown_sales_share:pct} of net sales; half of them "
        "are above {unnamed_value:money}, half of the named ones above {named_value:money}."
    )


def returned_note(returned: pd.DataFrame) -> str:
    """What came back most, if anything did."""
    if returned.empty:
        return "The source has no returns."
    return (
        "**{most_returned:text}** alone is {most_returned_amount:money}, "
        "{most_returned_of_all:pct} of all that came back. Orders cancelled within a day, "
        "which most likely never left the house, make {swift:money} of the {returned:money}; "
        "leaving those orders out on both sides, {slow_share:pct} of goods sold came back."
    )


def told_apart(products: pd.DataFrame) -> pd.DataFrame:
    """`products` with the code behind a name that several of them have."""
    twice = products["product_name"].duplicated(keep=False)
    coded = products["product_name"] + " (" + products["product_id"] + ")"
    return products.assign(product_name=products["product_name"].where(~twice, coded))


def home_note(places: pd.DataFrame) -> str:
    """The sentence that compares the best country with the one after it, if there is one."""
    if places["country"].isin(["unknown"]).all():
        return "The source names no country."
    if len(places) < 2:
        return "All sales are in one country, {home_country:text}."
    if places["net_sales"].notna().sum() < 2:
        return "No two countries have customers enough to be compared."
    return (
        "{home_country:text} brings {home_share:pct} of net sales. Outside it, of the countries "
        "whose figures may be shown, {second_country:text} leads with {second_sales:money} from "
        "{second_buyers} named buyer[s], the largest of whom alone spent "
        "{second_largest_share:pct0} of it."
    )


def travellers_note(places: pd.DataFrame) -> str:
    """Whom the column of buyers counts, and whom it counts more than once."""
    if len(places) < 2:
        return "{buyers} named customer[s] bought something."
    return (
        "{buyers} named customer[s] bought something; {travellers} of them bought from more than "
        "one country and count[s|] in each."
    )


def abroad(places: pd.DataFrame, *, top: int = 10) -> pd.DataFrame:
    """The best `top` countries after the first, which would dwarf them; the first if alone.

    Hidden ones are left out.
    """
    open_ones = places.dropna(subset=["net_sales"])
    return open_ones.iloc[1 : top + 1] if len(open_ones) > 1 else open_ones


def abroad_title(places: pd.DataFrame) -> str:
    """The finding of the chart of countries."""
    if places["country"].isin(["unknown"]).all():
        return "The source names no country."
    if len(places) < 2:
        return "All sales are in {home_country:text}"
    if places["net_sales"].notna().sum() < 2:
        return "No two countries have customers enough to be compared"
    if places["net_sales"].isna().any():
        return (
            "Outside {home_country:text}, {second_country:text} leads of the countries shown, "
            "with {second_sales:money}"
        )
    return "Outside {home_country:text}, {second_country:text} leads with {second_sales:money}"


def shares(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """`frame` with the share of each row in the sum of `column`.

    Examples
    --------
    >>> shares(pd.DataFrame({"net_sales": [3.0, 1.0]}), "net_sales")["sales_share"].tolist()
    [0.75, 0.25]
    """
    return frame.assign(sales_share=frame[column] / frame[column].sum())


def _season(full: pd.DataFrame) -> str:
    """The names of the full months that sold a quarter more than the median month."""
    strong = full[full["net_sales"] >= SEASON * full["net_sales"].median()]
    return ", ".join(dict.fromkeys(f"{month:%B}" for month in strong["month"]))


def _sold(items: ibis.Table, returns: ibis.Table, orders: ibis.Table) -> ibis.Table:
    from ibis import _

    places = orders.select("order_id", "country")
    cancelled = returns.filter(_.reverses_line.notnull()).select(
        line=_.reverses_line, reversed_at=_.returned_at
    )
    return items.inner_join(places, "order_id").left_join(cancelled, "line").select(
        "customer_id", "product_id", "country", "reversed_at", "order_id",
        at=_.ordered_at, units=_.quantity, amount=_.amount,
    )  # fmt: skip


def _back(returns: ibis.Table) -> ibis.Table:
    import ibis
    from ibis import _

    return returns.select(
        "customer_id", "product_id", "country", reversed_at=ibis.null("timestamp(6)"),
        order_id=ibis.null("string"), at=_.returned_at, units=-_.quantity, amount=-_.amount,
    )  # fmt: skip


def _ratio(part, whole) -> float:
    return float(part) / float(whole) if whole else 0.0
