"""Segments of four kinds, how they cross, and a card for each with what to do.

*Descriptive*: who customers are (gender and band of age, or country where neither is known).
*Need*: what they say or show to need: the preference they state, else an interest, else the scene
in which they buy; unknown if nothing tells. *Value*: the tier and the profit of a window, where
the source brings costs. *Behaviour*: level of frequency, channel of purchase and loyalty (TAG-24…
27). Each customer who permits profiling has one segment of each kind, from the tags and tiers.

*Profit* is sales less returns, the cost of goods sold and of orders, and what service cost.
*Silent* is a customer whom the tags call churned.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crm import disclosure, wording
from crm.tables import GOODS, TIERS, lookup

if TYPE_CHECKING:
    import ibis

UNKNOWN = "unknown"
KINDS = ("descriptive", "need", "value", "behaviour")  # TAG-24
TOLD = 5  # values of a habit that fewer customers share are not named in a description
HALF = 0.5
USES = ("marketing", "recommendation", "care")  # of a profile (TAG-33)
SUGGESTED = {  # (kind, what the segment begins with): one suggestion for each use
    ("value", "high value"): (
        "early access to new products",  # RPT-09
        "the finest of the preferred category",
        "account manager visits each quarter",
    ),
    ("value", "potential"): (
        "coupon above a spending threshold",  # RPT-10
        "good-value bundles",
        "thank them for the second and third order",
    ),
    ("value", "general"): (
        "no campaign of their own",
        "best sellers of the preferred category",
        "answer quickly when they ask",
    ),
    ("value", "at risk"): (
        "return voucher to those who were called, a recall offer to the others",  # RPT-11
        "best sellers never bought before",
        "call the valuable ones to learn the reason",
    ),
    ("value", "no purchase"): (
        "newcomer coupon",  # RPT-10
        "the plainest best seller",
        "ask what kept them from ordering",
    ),
    ("behaviour", "high"): (
        "points and tiers, no discounts",
        "refills at the time they run out",
        "name a contact person",
    ),
    ("behaviour", "middle"): (
        "a reason to come once more a month",
        "what others bought along with theirs",
        "tell them when an order is late before they ask",
    ),
    ("behaviour", "low"): (
        "one message a season besides the lists of tiers",
        "novelties of the category they know",
        "ask once whether something went wrong",
    ),
    ("need", "states"): (
        "campaigns of the category they name",
        "novelties of the category they name",
        "ask after the last purchase of it",
    ),
    ("need", "interest"): (
        "events around the interest",
        "goods that go with the interest",
        "mention it in conversation",
    ),
    ("need", "scene"): (
        "messages before the end of work",
        "what is ready at once",
        "answer in the evening, too",
    ),
    ("need", UNKNOWN): (
        "ask in one question what they need",
        "best sellers of all",
        "note what they ask about",
    ),
    ("descriptive", "young"): (
        "social media and mobile advertising",  # TAG-30
        "novelties and small sizes",
        "chat, at any hour",
    ),
    ("descriptive", "middle"): (
        "messages and mail",
        "goods for the whole household",
        "chat and telephone",
    ),
    ("descriptive", "old"): (
        "traditional media and offline events",  # TAG-30
        "well-known goods, easily returned",
        "telephone, and help in the store",
    ),
    ("descriptive", UNKNOWN): (
        "ask in one question who buys: a household or a business",
        "best sellers of the preferred category",
        "the channel they order through",
    ),
}  # fmt: skip


def worth(
    items: ibis.Table,
    returns: ibis.Table,
    finance: ibis.Table,
    *,
    as_of: date,
    days: int = 365,
) -> ibis.Table:
    """One customer who bought or returned in the window: sales and costs (TAG-25).

    `costed` is the part of sales whose goods have a cost; the cost of a unit is the newest one up
    to the day of the sale. Goods that come back are worth their cost again.
    """
    import ibis
    from ibis import _

    columns = ["customer_id", "product_id", "quantity", "amount"]
    sold = _within(items, items.ordered_at.date(), as_of, days).select(
        *columns, "order_id", day=_.ordered_at.date(), sign=ibis.literal(1)
    )
    back = _within(returns, returns.returned_at.date(), as_of, days).select(
        *columns, order_id=ibis.null("string"), day=_.returned_at.date(), sign=ibis.literal(-1)
    )
    lines = _costed(sold.union(back), finance).group_by("customer_id")
    goods = lines.agg(
        sales=(_.amount * _.sign).sum(),
        goods=(_.cost * _.quantity * _.sign).sum(),
        costed=(_.amount * _.sign).sum(where=_.cost.notnull()),
    )
    other = _other_costs(sold, finance, as_of, days)
    joined = goods.left_join(other, "customer_id").drop("customer_id_right")
    cost = joined.goods.fill_null(0) + joined.other.fill_null(0)
    is_known = joined.goods.notnull() | joined.other.notnull()
    profit = ibis.ifelse(is_known, joined.sales - cost, ibis.null(cost.type()))
    return joined.select("customer_id", "sales", "costed", profit=profit)


def permitted(rows: ibis.Table, permits: ibis.Table) -> ibis.Table:
    """The customers who permit analysis and profiling (PRV-07)."""
    from ibis import _

    for purpose in ("analysis", "profiling"):
        rows = rows.semi_join(permits.filter(_.purpose == purpose, _.allowed), "customer_id")
    return rows


def settle(
    tags: pd.DataFrame,
    tiers: pd.DataFrame,
    needs: pd.DataFrame,
    worth: pd.DataFrame,
    *,
    overtime: float = 0.5,
    top_share: float = 0.2,
) -> pd.DataFrame:
    """`tags` with tier, profit and the segment of each of the four kinds (TAG-24).

    Parameters
    ----------
    tags, tiers
        `features/tags` and `features/rfm`; who is not in `tags` has no segment.
    needs
        One customer: `states` and `interest`, what they say to need.
    worth
        One customer: `profit` in the window.
    overtime
        Share of orders in overtime hours from which these are the scene of a customer's need.
    top_share
        Of the customers with a profit, those whose profit is called high.
    """
    wide = tags.sort_values("customer_id", ignore_index=True)  # so that sums of floats repeat
    for part in (tiers[["customer_id", "tier"]], needs, worth[["customer_id", "profit"]]):
        wide = wide.merge(part, "left", "customer_id")
    wide = wide.astype({"profit": "float64"})
    return wide.assign(
        descriptive=_descriptive(wide),
        need=_need(wide, overtime),
        value=_value(wide, top_share),
        behaviour=wide["frequency_level"] + " frequency, "
        + wide["purchase_channel"].fillna("no channel") + ", " + wide["loyalty"],
        silent=wide["customer_type"] == "churned",
    )  # fmt: skip


def addressable(segments: pd.DataFrame, permits: pd.DataFrame) -> pd.DataFrame:
    """`segments` with `may_contact`: who may be addressed (PRV-07)."""
    may = permits[(permits["purpose"] == "marketing") & permits["allowed"]]
    return segments.assign(may_contact=segments["customer_id"].isin(may["customer_id"]))


def needs(customers: ibis.Table, rows: ibis.Table) -> ibis.Table:
    """One customer with a stated preference or an interest, the most common one (TAG-27)."""
    import ibis
    from ibis import _

    liking = rows.filter(_.tag == "interest").select("customer_id", interest=_.value)
    many = liking.group_by("interest").agg(n=_.count())
    order = [ibis.desc("n"), "interest"]
    place = ibis.row_number().over(group_by="customer_id", order_by=order)
    ranked = liking.inner_join(many, "interest").mutate(place=place).filter(_.place == 0)
    said = customers.filter(_.consumption_preference.notnull())
    said = said.select("customer_id", states=_.consumption_preference)
    joined = said.outer_join(ranked.select("customer_id", "interest"), "customer_id")
    who = ibis.coalesce(joined.customer_id, joined.customer_id_right)
    return joined.select("states", "interest", customer_id=who)


def settled(segments: pd.DataFrame) -> pd.DataFrame:
    """`segments` as in `features/segments`, sorted by customer."""
    made = segments[lookup("features/segments").names]
    return made.sort_values("customer_id", ignore_index=True)


def summarise(segments: pd.DataFrame, kind: str, *, least: int = 5) -> pd.DataFrame:
    """One segment of one kind: customers, spend, profit if known, the silent and their spend."""
    made = _cells(segments, [kind]).sort_values(
        ["customers", kind], ascending=[False, True], ignore_index=True
    )
    return _shown(made, [kind], least)


def cross(
    segments: pd.DataFrame, *, by: list[str] = ("tier", "loyalty"), least: int = 5
) -> pd.DataFrame:
    """One cell of two or more crossed columns: customers, spend, the silent (TAG-28).

    Any columns of segments and tags may be crossed; a value that is missing is called unknown.
    Of the silent there are their share and their spend, where neither they nor the others are few.

    Raises
    ------
    SegmentError
        A column is not there, or fewer than two are named.
    """
    odd = [name for name in by if name not in segments.columns]
    if odd or len(set(by)) < 2:
        found = f"{odd} is no column" if odd else f"{list(by)} names fewer than two columns"
        raise SegmentError(f"segments.cross.by: {found}; there are {sorted(segments.columns)}")
    return _shown(_cells(segments, list(by)), list(by), least)


def cards(
    segments: pd.DataFrame,
    kind: str,
    *,
    least: int,
    young_to: int = 35,
    old_from: int = 56,
    currency: str = "",
) -> pd.DataFrame:
    """One segment that may be shown: what it is like, and what to do (TAG-22).

    One suggestion each for marketing, recommendation and care (TAG-33); those of descriptive
    segments go by the median age, up to `young_to` and from `old_from` (TAG-30). A suggestion
    that needs the preferred category gives way where hardly anybody has one; where all buy
    through one channel, it is not told again on each card.
    """
    one_channel = segments["purchase_channel"].nunique() < 2
    open_ones = summarise(segments, kind, least=least)
    open_ones = set(open_ones.loc[open_ones["customers"].notna(), kind])
    rows = []
    for name, group in segments.groupby(kind, sort=True):
        if name in open_ones:
            begins = _begins(kind, str(name), group, young_to, old_from)
            known = group["top_category"].notna().mean() >= HALF
            ideas = [
                what if known else _without_category(what) for what in SUGGESTED[(kind, begins)]
            ]
            told = zip(USES, ideas, strict=True)
            advice = "; ".join(f"{use}: {what}" for use, what in told)
            size = f"{len(group):,} customer{'s' * (len(group) != 1)}"
            shown = group.assign(purchase_channel=None) if one_channel else group
            rows.append((len(group), name, f"{size}: {describe(shown, currency)}", advice))
    rows = [row[1:] for row in sorted(rows, key=lambda row: (-row[0], row[1]))]
    return pd.DataFrame(rows, columns=["segment", "what_they_are_like", "what_to_do"])


def describe(group: pd.DataFrame, currency: str = "") -> str:
    """What the customers of a segment are like: gender, age and habits in one sentence (TAG-22).

    Examples
    --------
    >>> group = pd.DataFrame({"gender": ["female"] * 5, "age": [30] * 5, "freq_90d": [2] * 5,
    ...     "spend_90d": [100.0] * 5, "top_category": ["茶叶"] * 5, "silent": [False] * 5,
    ...     "purchase_channel": ["web"] * 5})
    >>> describe(group, "CNY")
    'all female, half of them up to 30 years old; 2.0 purchases in the window on average, ¥50 an \
order; most like 茶叶 best (100%); most buy through web (100%); 0% silent'
    """
    parts = [", ".join(part for part in (_gender(group), _years(group)) if part)]
    orders = float(group["freq_90d"].mean())
    if orders:
        per = group["spend_90d"].sum() / group["freq_90d"].sum()
        money = wording.form(per, "money", currency)
        parts.append(f"{orders:.1f} purchases in the window on average, {money} an order")
    else:
        parts.append("no purchase in the window")
    parts.append(_most(group["top_category"], "most like {} best"))
    parts.append(_most(group["purchase_channel"], "most buy through {}"))
    parts.append(f"{group['silent'].mean():.0%} silent")
    return "; ".join(part for part in parts if part)


def facts(segments: pd.DataFrame, worth: pd.DataFrame, *, least: int = 5) -> dict:
    """Metrics of all segments: customers, kinds, profit, and how much of sales has a cost.

    What few customers share, or all but few, is None, and so is what they bring.
    """
    worth = worth.sort_values("customer_id")
    sales, costed = float(worth["sales"].sum()), float(worth["costed"].sum())
    is_best = segments["tier"] == "high value"
    best = None if _share(is_best, least) is None else int(is_best.sum())
    brought = float(segments.loc[is_best, "profit"].sum())
    profit = float(segments["profit"].sum())
    losses = disclosure.few(int((segments["profit"] < 0).sum()), least)
    return {
        "customers": len(segments),
        **{f"{kind}_kinds": int(segments[kind].nunique()) for kind in KINDS},
        "need_unknown": _share(segments["need"] == UNKNOWN, least) if len(segments) else 1.0,
        "described": _share(segments["age"] >= 0, least),
        "profit": profit,
        "costed_share": costed / sales if sales else 0.0,
        "losses": losses,
        "loss": None if losses is None else float(-segments["profit"].clip(upper=0).sum()),
        "best": best,
        "best_profit_share": None if best is None else brought / profit if profit else 0.0,
        "silent_share": _share(segments["silent"], least),
    }


def answer(found: dict) -> str:
    """The sentence that opens the page."""
    if not found["customers"]:
        return "**No customer permits a profile, so there are no segments.**"
    if found["best"] is None:
        return (
            "**A few customers are of high value, or all but a few**: too few to tell what they "
            "bring."
        )
    is_told = found["silent_share"] is not None
    if not found["costed_share"] and is_told:
        return (
            "**{best} of {customers} customer[s] [is|are] of high value**; {silent_share:pct} of "
            "all are silent. What customers are worth in profit is unknown: the source brings no "
            "costs."
        )
    if not found["costed_share"]:
        return (
            "**{best} of {customers} customer[s] [is|are] of high value**. What customers are "
            "worth in profit is unknown: the source brings no costs."
        )
    if not is_told:
        return (
            "**{best} customer[s] of high value [brings|bring] {best_profit_share:pct} of the "
            "profit of {profit:money}** in the window."
        )
    return (
        "**{best} customer[s] of high value [brings|bring] {best_profit_share:pct} of the profit "
        "of {profit:money}** in the window; {silent_share:pct} of all customers are silent."
    )


def value_title(found: dict) -> str:
    """The finding of the chart of value segments."""
    if found["best"] is None:
        return "A few customers are of high value, or all but a few"
    return "{best} of {customers} customer[s] [is|are] of high value"


def profit_note(found: dict) -> str:
    """What finance and sales have to know of profit (TAG-25)."""
    if not found["costed_share"]:
        return (
            "**Finance: bring the costs** (table `finance` of the mapping): without them a "
            "customer of much spend and no profit looks like the best."
        )
    if not found["losses"]:
        return (
            "Finance: nothing to stop. Hardly a customer costs more than they bring; "
            "{costed_share:pct} of sales have a cost. Discounts are not among the costs."
        )
    return (
        "**Sales and finance: look at the {losses} customer[s] at a loss**, {loss:money} in the "
        "window. {costed_share:pct} of sales have a cost; check discounts, shipping and returns "
        "before anybody is told to buy more."
    )


def need_note(found: dict) -> str:
    """What to do where the need is unknown (TAG-27)."""
    if found["need_unknown"] is None:
        return (
            "**Marketing: ask one question** where the need is unknown; campaigns by need reach "
            "nobody of these."
        )
    if found["need_unknown"] == 1:
        return (
            "**Marketing: ask one question.** Nothing tells what any customer needs: no stated "
            "preference, no interest, no scene."
        )
    return (
        "**Marketing: ask one question** where the need is unknown, which is {need_unknown:pct} "
        "of customers; campaigns by need reach nobody of them."
    )


def cell_note(found: dict) -> str:
    """What the crossed table points to."""
    if not found["quiet_cell"]:
        return "No cell of the crossed table is large enough to act on."
    if not found["quiet_contacts"]:
        return (
            "**Marketing: ask for permission first.** Of the groups crossed here, customers who "
            "fell silent spent most, {quiet_spend:money}, in {quiet_cell}; hardly anybody there "
            "may be addressed."
        )
    return (
        "**Marketing: begin with {quiet_cell}**: of the groups crossed here it is where "
        "customers who fell silent once spent most, {quiet_spend:money}. {quiet_contacts} "
        "customer[s] there may be addressed; nobody else goes on the list, and who stands on a "
        "list of the page on tiers is not written to twice."
    )


def quietest(
    segments: pd.DataFrame, cells: pd.DataFrame, by: list[str], *, least: int = 5
) -> dict:
    """Metrics of the shown cell with most spend among silent customers."""
    lost = cells["silent_spend"].dropna().astype("float64").round(6)
    if not len(lost) or not lost.max() > 0:
        return {"quiet_cell": "", "quiet_spend": 0.0, "quiet_contacts": 0}
    names = cells[by].astype("str").loc[lost.idxmax()]  # as text: one row of numbers is all floats
    inside = (_named(segments, by)[by].astype("str") == names).all(axis=1)
    return {
        "quiet_cell": " × ".join(names),
        "quiet_spend": float(lost.max()),
        "quiet_contacts": disclosure.few(int((inside & segments["may_contact"]).sum()), least),
    }


def _without_category(suggestion: str) -> str:
    """A suggestion for customers whose preferred category is not known."""
    without = suggestion.replace("best sellers of the preferred category", "best sellers of all")
    return without.replace("the finest of the preferred category", "the finest of what they buy")


class SegmentError(ValueError):
    """A parameter of this analysis cannot be used."""


def _share(which: pd.Series, least: int) -> float | None:
    """The share of customers who are meant; None if these are few, or those who are left."""
    return disclosure.share(int(which.sum()), len(which), least)


def _within(rows: ibis.Table, day, as_of: date, days: int) -> ibis.Table:
    """The rows of named customers whose day lies in the window."""
    from ibis import _

    recent = rows.filter(day > as_of - timedelta(days=days), day <= as_of)
    return recent.filter(_.customer_id.notnull())


def _other_costs(sold: ibis.Table, finance: ibis.Table, as_of: date, days: int) -> ibis.Table:
    """One customer: costs of the orders in the window, and of the customer in it.

    Of an order that counts is what was booked for it up to the day of the view.
    """
    from ibis import _

    finance = finance.filter(finance.day <= as_of)
    orders = sold.select("customer_id", "order_id").distinct()
    sent = finance.filter(_.order_id.notnull(), _.product_id.isnull()).select("order_id", "cost")
    sent = orders.inner_join(sent, "order_id").select("customer_id", "cost")
    own = finance.filter(_.order_id.isnull(), _.product_id.isnull())
    own = _within(own, own.day, as_of, days).select("customer_id", "cost")
    return sent.union(own).group_by("customer_id").agg(other=_.cost.sum())


def _costed(lines: ibis.Table, finance: ibis.Table) -> ibis.Table:
    """The lines with the cost of one unit on their day, empty where none is known."""
    from ibis import _

    units = finance.filter(_.kind == GOODS, _.product_id.notnull())
    units = units.group_by("product_id", "day").agg(cost=_.cost.max())
    return lines.asof_join(units, on=lines.day >= units.day, predicates="product_id")


def _named(segments: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """The segments with a name for every value of `by`: what is missing is unknown.

    A column in which something is missing becomes text, whatever it holds.
    """
    gaps = [name for name in by if segments[name].isna().any()]
    return segments.assign(**{n: segments[n].astype("str").fillna(UNKNOWN) for n in gaps})


def _cells(segments: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    quiet = segments["spend"].where(segments["silent"].astype("bool"), 0.0)
    rows = _named(segments, by).assign(_quiet=quiet)
    groups = rows.groupby(by, observed=True, sort=True).agg(
        customers=("customer_id", "size"), spend=("spend", "sum"),
        profit=("profit", lambda values: values.sum(min_count=1)), silent_share=("silent", "mean"),
        silent_spend=("_quiet", "sum"),
    )  # fmt: skip
    made = groups.assign(spend_per_customer=groups["spend"] / groups["customers"]).reset_index()
    return made if made["profit"].notna().any() else made.drop(columns="profit")


def _shown(cells: pd.DataFrame, by: list[str], least: int) -> pd.DataFrame:
    """The cells without small ones, nor the silent of a cell where they or the others are few.

    Of the silent the one total that is told is that of all customers, so their cells are one line.
    They come first, while every cell is known: a hidden one would count as empty.
    """
    line = cells.assign(_cell=range(len(cells)))
    quiet = {"part": "silent_share", "hide": ["silent_spend"], "by": ["_cell"]}
    told = disclosure.suppress_part(line, least=least, **quiet).drop(columns="_cell")
    shown = disclosure.suppress(told, by=by, least=least)
    shown.attrs[disclosure.MARK]["hidden"] = int(shown["silent_share"].isna().sum())  # of both
    return shown


def _descriptive(wide: pd.DataFrame) -> pd.Series:
    """Gender and band of age, else the country, else unknown."""
    gender, band = (wide[name].where(wide[name] != UNKNOWN) for name in ("gender", "age_band"))
    both = (gender + ", " + band).fillna(band).fillna(gender)
    return both.fillna(wide["country"]).fillna(UNKNOWN).astype("str")


def _need(wide: pd.DataFrame, overtime: float) -> pd.Series:
    """What customers state, else an interest, else the scene, else unknown."""
    scene = pd.Series("scene: after work", wide.index).where(
        wide["overtime_order_share"] >= overtime
    )
    states, interest = "states: " + wide["states"], "interest: " + wide["interest"]
    return states.fillna(interest).fillna(scene).fillna(UNKNOWN).astype("str")


def _value(wide: pd.DataFrame, top_share: float) -> pd.Series:
    """Tier and profit; the tier alone where no cost is known."""
    profit = wide["profit"]
    gains = profit[profit > 0]
    limit = gains.quantile(1 - top_share, interpolation="higher") if len(gains) else 0.0
    is_high = (profit >= limit) & (profit > 0)  # where nobody gains, no profit is high
    level = np.select([is_high, profit > 0, profit <= 0], [", high profit", ", profit",
                      ", no profit"], "")  # fmt: skip
    tier = pd.Categorical(wide["tier"], TIERS).astype(object)
    return (pd.Series(tier, wide.index).fillna(UNKNOWN) + level).astype("str")


def _begins(kind: str, name: str, group: pd.DataFrame, young_to: int, old_from: int) -> str:
    """The part of a segment's name that decides the suggestions."""
    if kind == "descriptive":
        known = group.loc[group["age"] >= 0, "age"]
        if len(known) * 2 < len(group):
            return UNKNOWN
        middle = known.median()
        return "young" if middle <= young_to else "old" if middle >= old_from else "middle"
    names = [begin for of, begin in SUGGESTED if of == kind]
    return next((begin for begin in names if name.startswith(begin)), names[-1])


def _gender(group: pd.DataFrame) -> str:
    known = group.loc[group["gender"] != UNKNOWN, "gender"]
    if len(known) < TOLD or len(known) * 2 < len(group):
        return ""
    first = known.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    share = first.iloc[0] / len(known)
    return f"all {first.index[0]}" if share == 1 else f"{share:.0%} {first.index[0]}"


def _years(group: pd.DataFrame) -> str:
    known = group.loc[group["age"] >= 0, "age"]
    if len(known) < TOLD or len(known) * 2 < len(group):
        return ""
    return f"half of them up to {known.median():.0f} years old"


def _most(values: pd.Series, text: str) -> str:
    """The value that most have, with its share; nothing where few have any."""
    counts = values.dropna().value_counts().sort_index()
    if counts.sum() < TOLD:
        return ""
    best = counts.sort_values(ascending=False, kind="stable")
    text = text if best.iloc[0] * 2 > counts.sum() else text.replace("most", "more than others")
    return f"{text.format(best.index[0])} ({best.iloc[0] / counts.sum():.0%})"
