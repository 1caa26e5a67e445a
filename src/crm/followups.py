"""Who bought A: who comes back for B within some days, and whom to offer it.

A *start* is a customer's first purchase of A in the window. It is *decided* once all days of the
span have passed by `as_of`; B *follows* if it is bought on one of these days, the last included,
and no earlier purchase of B is asked for (ASC-04, Q-13). What is bought on the day of A itself is
a basket, not a follow-up: which of two purchases of one day came first is often not known.

The *follow-on rate* is the share of decided starts that B follows. What is *usual* is the share
of all days on which anybody bought anything that B follows: who buys often counts there as often
as they buy, so the comparison is a strict one. And where people who like A also like B, B stands
as often before A as after it; so a rule is *in order* only if B comes after A more often than
before, against what is so for B after all other products (sequence symmetry, Hallas 1996).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crm import chance, disclosure
from crm.tables import GROUPS, TIERS, lookup

if TYPE_CHECKING:
    import ibis

GROUP = GROUPS[1]  # group 2: buys little and often (CLU-03)
PARTS = ("first", "later", "open")  # of the starts; open ones are not decided yet
SURE = 0.05  # rate of false discoveries up to which B comes after A more than before
REASONS = ("follows", "bought together")  # where an offer comes from (ASC-08)
HELD = ("yes", "in no order", "not later", "neither")  # a rule, after the first part
SIDES = ("antecedent", "consequent")
CODES = ("antecedent_code", "consequent_code")


class FollowupError(ValueError):
    """A parameter of this analysis cannot be used."""


def purchases(
    items: ibis.Table,
    returns: ibis.Table,
    products: ibis.Table,
    permits: ibis.Table,
    *,
    as_of: date,
    within: int = 30,
    days: int = 365,
) -> ibis.Table:
    """One product bought by one customer on one day: customer_id, product_id, day, price.

    Goods with a price, less lines that were cancelled whole by `as_of`, of customers who permit
    analysis. The window is open at its start; the span before it is read, too, so that what came
    before a start is known.
    """
    from ibis import _

    gone = returns.filter(returns.returned_at.date() <= as_of, returns.reverses_line.notnull())
    bought = items.mutate(day=items.ordered_at.date())
    bought = bought.filter(_.amount > 0, _.customer_id.notnull(), _.day <= as_of)
    bought = bought.filter(_.day > as_of - timedelta(days=days + within))
    bought = bought.anti_join(gone, bought.line == gone.reverses_line)
    bought = bought.semi_join(products.filter("is_product"), "product_id")
    may = permits.filter(permits.purpose == "analysis", permits.allowed)
    bought = bought.semi_join(may, "customer_id").group_by("customer_id", "product_id", "day")
    return bought.agg(price=_.unit_price.cast("float64").max())


def goods(
    purchases: ibis.Table,
    products: ibis.Table,
    *,
    as_of: date,
    days: int = 365,
    most: int = 300,
    buyers: int = 20,
) -> ibis.Table:
    """One product that is looked at: product_id, product_name, price (the usual one), buyers.

    Those with at least `buyers` buyers in the window, and of these the `most` with most: pairs
    grow with the square of products, so nobody's basket gives more than the square of `most`.
    """
    import ibis
    from ibis import _

    inside = purchases.filter(_.day > as_of - timedelta(days=days)).group_by("product_id")
    sold = inside.agg(buyers=_.customer_id.nunique(), price=_.price.median())
    place = ibis.row_number().over(order_by=[ibis.desc("buyers"), "product_id"])
    sold = sold.filter(_.buyers >= buyers).mutate(place=place).filter(_.place < most)
    named = sold.inner_join(products, "product_id")
    return named.select("product_id", "product_name", "price", "buyers").order_by("product_id")


def parted(*, as_of: date, days: int = 365, first_share: float = 0.7) -> date:
    """The last day of the first part of the window, in which rules are found.

    Examples
    --------
    >>> str(parted(as_of=date(2023, 12, 31), days=100, first_share=0.7))
    '2023-12-01'
    """
    return as_of - timedelta(days=round(days * (1 - first_share)))


def starts(
    purchases: ibis.Table,
    goods: ibis.Table,
    *,
    as_of: date,
    split: date,
    days: int = 365,
    within: int = 30,
) -> ibis.Table:
    """One customer and product: `start`, the first purchase in the window, and its `part`.

    The part is first or later, by the day it began, and open if fewer than `within` days have
    passed since.
    """
    from ibis import _

    inside = purchases.filter(_.day > as_of - timedelta(days=days))
    begun = inside.semi_join(goods, "product_id").group_by("customer_id", "product_id")
    return _in_parts(begun.agg(start=_.day.min()), as_of=as_of, split=split, within=within)


def occasions(
    purchases: ibis.Table, *, as_of: date, split: date, days: int = 365, within: int = 30
) -> ibis.Table:
    """One day on which a customer bought anything in the window, with its part as in `starts`."""
    from ibis import _

    inside = purchases.filter(_.day > as_of - timedelta(days=days))
    held = inside.select("customer_id", start=_.day).distinct()
    return _in_parts(held, as_of=as_of, split=split, within=within).filter(_.part != PARTS[2])


def counted(
    starts: ibis.Table, purchases: ibis.Table, goods: ibis.Table, *, within: int = 30
) -> ibis.Table:
    """One pair of products and part: customers whom B followed (`n`), and in which order alone.

    `after` counts those who bought B in the span after A and not in the same span before, `before`
    the others way round, `both_before` all who bought B in the span before.
    """
    from ibis import _

    begun = starts.filter(_.part != PARTS[2]).rename(antecedent_code="product_id")
    other = purchases.semi_join(goods, "product_id").select("customer_id", "product_id", "day")
    met = begun.inner_join(other, "customer_id").filter(
        _.antecedent_code != _.product_id,
        _.day != _.start,
        _.day <= _.start + _days(within),
        _.day >= _.start - _days(within),
    )
    met = met.group_by("customer_id", "antecedent_code", "part", consequent_code=_.product_id)
    met = met.agg(after=(_.day > _.start).any(), before=(_.day < _.start).any())
    pairs = met.group_by("antecedent_code", "consequent_code", "part")
    return pairs.agg(
        n=_.after.sum(),
        both_before=_.before.sum(),
        after=(_.after & ~_.before).sum(),
        before=(_.before & ~_.after).sum(),
    )


def buyers(starts: ibis.Table) -> ibis.Table:
    """One product and part: its buyers, by when they bought it first in the window."""
    from ibis import _

    return starts.group_by("product_id", "part").agg(buyers=_.count())


def usual(
    occasions: ibis.Table, purchases: ibis.Table, goods: ibis.Table, *, within: int = 30
) -> ibis.Table:
    """One product and part: days of any purchase that it followed within the span."""
    from ibis import _

    other = purchases.semi_join(goods, "product_id").select("customer_id", "product_id", "day")
    met = occasions.inner_join(other, "customer_id")
    met = met.filter(_.day > _.start, _.day <= _.start + _days(within))
    met = met.select("customer_id", "start", "part", "product_id").distinct()
    return met.group_by("product_id", "part").agg(followed=_.count())


def days_of(occasions: ibis.Table) -> ibis.Table:
    """One part: on how many days a customer bought anything."""
    from ibis import _

    return occasions.group_by("part").agg(occasions=_.count())


def rules(
    pairs: pd.DataFrame,
    buyers: pd.DataFrame,
    usual: pd.DataFrame,
    days: pd.DataFrame,
    goods: pd.DataFrame,
    *,
    count: int = 5,
    rate: float = 0.3,
    lift: float = 1.0,
    false_discoveries: float = 0.05,
) -> pd.DataFrame:
    """One rule, A and then B: how often B follows, how sure it is, and whether it holds later.

    Parameters
    ----------
    pairs, buyers, usual, days
        What `counted`, `buyers`, `usual` and `days_of` give.
    goods
        As `goods` gives it.
    count
        Followers that a rule needs in each part of the window (Q-13).
    rate, lift
        Floors of a rule in both parts (Q-13); lift is the rate divided by what is usual.
    false_discoveries
        Share of chance rules that is put up with, over all pairs of products that were looked at.

    Returns
    -------
    pandas.DataFrame
        As in `features/followups`, the most that A adds to what was before first.
    """
    made = _parts(pairs, buyers, usual, days)
    first, later = ({name: made[f"{part}_{name}"] for name in ("n", "buyers", "usual", "days")}
                    for part in PARTS[:2])  # fmt: skip
    tested = int((buyers["part"] == PARTS[0]).sum()) * max(len(goods) - 1, 0)
    made["p_value"] = _luck(first)
    made["q_value"] = chance.discoveries(made["p_value"], tests=tested)
    made["lift"], made["later_lift"] = _lift(first), _lift(later)
    is_sure = first["n"] >= np.ceil(np.round(rate * first["buyers"], 9))
    is_kept = is_sure & (first["n"] >= count) & (made["lift"] >= lift)
    kept = made[is_kept & (made["q_value"] <= false_discoveries)]
    kept = kept.assign(order_q=_in_order(kept, pairs))
    kept["is_in_order"] = kept["order_q"] <= SURE
    later_rate = kept["later_n"] / kept["later_buyers"].where(kept["later_buyers"] > 0)
    is_close = (kept["later_lift"] >= lift) & (kept["later_lift"] > 1)
    is_close &= kept["later_n"] >= count
    kept = kept.assign(later_rate=later_rate, holds=(later_rate >= rate) & is_close)
    return _told(kept, goods)


def strongest(rules: pd.DataFrame) -> pd.DataFrame:
    """The rules to act on: those that hold later and come in this order."""
    return rules[rules["holds"] & rules["is_in_order"]].reset_index(drop=True)


def settled(rules: pd.DataFrame) -> pd.DataFrame:
    """`rules` as in `features/followups`, sorted by codes."""
    table = lookup("features/followups")
    return rules[table.names].sort_values([*table.key], ignore_index=True)


def members(clusters: pd.DataFrame, tiers: pd.DataFrame) -> pd.DataFrame:
    """One customer and group they belong to: by behaviour (a cluster) and by value (a tier)."""
    parts = [("behaviour", clusters, "cluster"), ("value", tiers, "tier")]
    rows = [frame[["customer_id"]].assign(kind=kind, group=_plain(frame[column]))
            for kind, frame, column in parts]  # fmt: skip
    return pd.concat(rows, ignore_index=True).astype("str")


def in_groups(
    rules: ibis.Table,
    starts: ibis.Table,
    purchases: ibis.Table,
    members: ibis.Table,
    *,
    within: int = 30,
) -> ibis.Table:
    """One rule and group: its decided `buyers` of A, and how many B `followed` (ASC-05)."""
    from ibis import _

    begun = starts.filter(_.part != PARTS[2])
    begun = begun.inner_join(rules, begun.product_id == rules.antecedent_code)
    begun = begun.select("customer_id", "start", "antecedent_code", "consequent_code")
    met = begun.inner_join(purchases, "customer_id").filter(
        _.product_id == _.consequent_code, _.day > _.start, _.day <= _.start + _days(within)
    )
    met = met.select("customer_id", "antecedent_code", "consequent_code").distinct()
    keys = ["customer_id", "antecedent_code", "consequent_code"]
    all_ = begun.left_join(met.mutate(is_met=True), keys).drop([f"{key}_right" for key in keys])
    all_ = all_.inner_join(members, "customer_id")
    cells = all_.group_by("antecedent_code", "consequent_code", "kind", "group")
    return cells.agg(buyers=_.count(), followed=_.is_met.fill_null(False).sum())


def by_group(
    cells: pd.DataFrame,
    members: pd.DataFrame,
    rules: pd.DataFrame,
    *,
    kind: str,
    top: int = 6,
    least: int = 5,
) -> pd.DataFrame:
    """One rule and group: buyers of A, the share that buys B, and that share of the whole group.

    `rate_share` is of the group's buyers of A, `whole_share` of all of the group (Q-13), and
    `all_share` of all customers' buyers of A, to compare.
    """
    sizes = members[members["kind"] == kind].groupby("group").size()
    head = rules.head(top)
    named = head[[*CODES, "rate"]].assign(rule=_words(head), place=range(len(head)))
    rows = cells[cells["kind"] == kind].merge(named, on=[*CODES])
    rows = rows.sort_values(["place", "group"], ignore_index=True)
    rows = rows.assign(rate_share=rows["followed"] / rows["buyers"].where(rows["buyers"] > 0),
                       whole_share=rows["followed"] / rows["group"].map(sizes),
                       all_share=rows["rate"])  # fmt: skip
    columns = ["rule", "group", "buyers", "rate_share", "whole_share", "all_share"]
    shown = rows[[*CODES, *columns]]
    cell = {"by": [*CODES, "group"], "least": least}
    part = cell | {"part": "rate_share", "of": "buyers", "hide": ["whole_share"]}
    shown = disclosure.suppress_part(shown, along=["group"], **part)
    shown = disclosure.suppress(shown, count="buyers", along=["group"],
                                hide=["buyers", "rate_share", "whole_share"], **cell)  # fmt: skip
    shown = disclosure.suppress_part(shown, along=[], **part)  # counts what the first has hidden
    return shown[columns]


def offers(
    purchases: ibis.Table,
    follow: ibis.Table,
    together: ibis.Table,
    goods: ibis.Table,
    permits: ibis.Table,
    *,
    as_of: date,
    within: int = 30,
    days: int = 365,
    most: int = 3,
) -> ibis.Table:
    """One product to offer to one customer, as in `features/crosssell` (ASC-08).

    Parameters
    ----------
    follow
        Rules of this analysis; the customer bought A within the span and B not since.
    together
        `features/association_rules`: of those between customers that hold; B not in the window.
    most
        Offers for a customer, those first to which the purchase of A adds most.
    """
    import ibis
    from ibis import _

    since = as_of - timedelta(days=within)
    may = permits.filter(permits.purpose == "marketing", permits.allowed)
    held = purchases.filter(_.day > as_of - timedelta(days=days)).semi_join(may, "customer_id")
    last = held.group_by("customer_id", antecedent_code=_.product_id).agg(bought_on=_.day.max())
    last = last.filter(_.bought_on > since)
    pairs = together.filter(_.unit == "customer", _.holds)
    pairs = pairs.select(*CODES, rate=_.confidence, usual=_.confidence / _.lift)
    own = follow.select(*CODES, rate=_.rate, usual=_.usual_rate)
    columns = ["customer_id", *CODES, "bought_on", "rate", "usual", "reason"]
    made = [last.inner_join(some, "antecedent_code").mutate(reason=ibis.literal(reason))
            for some, reason in zip((own, pairs), REASONS, strict=True)]  # fmt: skip
    every = made[0].select(columns).union(made[1].select(columns))
    has = held.select(customer="customer_id", product="product_id", day="day")
    every = every.anti_join(has, [
        every.customer_id == has.customer,
        every.consequent_code == has.product,
        (has.day >= every.bought_on) | (every.reason == REASONS[1]),
    ])  # fmt: skip
    every = every.inner_join(goods, every.consequent_code == goods.product_id)
    every = every.mutate(added=(_.rate - _.usual).round(6)).filter(_.added > 0)
    return _best(every, most)


def facts(
    starts: pd.DataFrame, rules: pd.DataFrame, goods: pd.DataFrame, *, least: int = 5
) -> dict:
    """Metrics of starts and rules; `starts` as `buyers` gives them.

    The best is the first that may be shown: neither its followers nor the others are few. Its
    figures are those of the first part, in which it was found, and `best_later` of the rest.
    """
    sizes = starts.groupby("part")["buyers"].sum()
    first = strongest(rules)
    best = next((rule for _, rule in first.iterrows() if _is_open(rule, least)), None)
    told = {"rate": "first_rate", "usual": "first_usual_rate", "before": "first_before_rate",
            "later": "later_rate", "lift": "lift"}  # fmt: skip
    return {
        "products": len(goods),
        **{f"{part}_starts": int(sizes.get(part, 0)) for part in PARTS},
        "pairs": len(goods) * max(len(goods) - 1, 0),
        "rules": len(rules),
        "hold": int(rules["holds"].sum()),
        "in_order": len(first),
        "best_from": "" if best is None else best["antecedent"],
        "best_to": "" if best is None else best["consequent"],
        "best_followers": 0 if best is None else int(best["n"]),
        "best_buyers": 0 if best is None else int(best["n_antecedent"]),
        **{f"best_{name}": 0.0 if best is None else float(best[of]) for name, of in told.items()},
    }


def group_facts(
    cells: pd.DataFrame,
    members: pd.DataFrame,
    clusters: pd.DataFrame,
    tiers: pd.DataFrame,
    permits: pd.DataFrame,
    rules: pd.DataFrame,
    *,
    least: int = 5,
) -> dict:
    """Metrics of group 2: its size, whom to address, and the first of its rules (E3).

    `group_may` leaves out who is of high value, whom their account manager looks after (RPT-09);
    `group_value` is sales ÷ orders of the same customers, since the coupon is theirs.
    What few or no customers share is None; `group_size` is 0 where no group buys little and often.
    """
    ours = members[(members["kind"] == "behaviour") & (members["group"] == GROUP)]["customer_id"]
    may = permits[(permits["purpose"] == "marketing") & permits["allowed"]]["customer_id"]
    dear = tiers.loc[tiers["tier"] == TIERS[0], "customer_id"]
    is_open = ours.isin(may) & ~ours.isin(dear)
    mine = clusters[clusters["customer_id"].isin(ours[is_open]) & (clusters["orders"] > 0)]
    return {
        "group_size": disclosure.few(len(ours), least),
        "group_may": disclosure.few(int(is_open.sum()), least) or None,
        "group_value": float(mine["sales"].sum()) / int(mine["orders"].sum())
        if len(mine) >= least else None,
    } | _group_rule(cells, rules, len(ours), least)  # fmt: skip


def steps(
    rules: pd.DataFrame,
    goods: pd.DataFrame,
    found: dict,
    *,
    as_of: date,
    bundles: int = 3,
    times: list[float] = (1.25, 1.5, 2.0),
    off: float = 0.2,
    round_to: int = 10,
) -> pd.DataFrame:
    """One step of one bundle for group 2 in the month after `as_of`: from what sum, how much off.

    Parameters
    ----------
    rules
        Those to act on; the first `bundles` are proposed.
    found
        Of `group_facts`: whom to address, and their sales ÷ orders; no step without either.
    times
        Thresholds as multiples of the usual order, all above it: a coupon for what is bought
        anyway only costs.
    off
        Part of what the threshold rises above the usual order that comes off (ASC-11).
    round_to
        Thresholds are rounded up to a multiple of it, reductions down to one of half of it.

    Raises
    ------
    FollowupError
        A step that is not above the usual order, or a part that is no part.
    """
    if min(times, default=2) <= 1 or not 0 < off < 1:
        raise FollowupError(
            f"followups.steps: times {list(times)} and off {off}; expected times above 1 and a "
            "part between 0 and 1"
        )
    price = dict(zip(goods["product_id"], goods["price"].astype(float), strict=True))
    usual, month = found["group_value"] or 0.0, (as_of.replace(day=1) + timedelta(days=32))
    rows = []
    for rule in rules.head(bundles).itertuples() if usual and found["group_may"] else ():
        both = price[rule.antecedent_code] + price[rule.consequent_code]
        for least, less in _thresholds(usual, times, off, round_to):
            if least >= both:  # else the pair alone would earn the reduction
                rows.append((month.replace(day=1), f"{rule.antecedent} + {rule.consequent}", both,
                             least, least - usual, less, least - usual - less))  # fmt: skip
    names = ["month", "bundle", "usual_price", "order_from", "more_sales", "reduction",
             "before_goods"]  # fmt: skip
    return pd.DataFrame(rows, columns=names)


def offer_facts(made: ibis.Table) -> ibis.Table:
    """One row: offers and customers with one, of all and by reason."""
    from ibis import _

    followed, together = (made.reason == reason for reason in REASONS)
    return made.aggregate(
        offers=_.count(),
        offered=_.customer_id.nunique(),
        from_follow=followed.sum().fill_null(0),
        from_together=together.sum().fill_null(0),
        offered_follow=_.customer_id.nunique(where=followed),
        offered_together=_.customer_id.nunique(where=together),
    )


def few_offered(row: dict, *, least: int) -> dict:
    """Metrics of `offer_facts`; what goes to a handful is None, since it would name them.

    `most_from` is the reason of most offers. Where one reason has few customers, neither is told:
    the one is the rest of the other.
    """
    told = {name: row[name] for name in ("offers", "offered", "from_follow", "from_together")}
    parts = (row["offered_follow"], row["offered_together"])
    if any(disclosure.few(part, least) is None for part in parts):
        told |= {"from_follow": None, "from_together": None}
    if row["offered"] < least:
        told = dict.fromkeys(told)
    return told | {"most_from": REASONS[row["from_together"] >= row["from_follow"]]}


def shown(rules: pd.DataFrame, *, others: int = 10, least: int = 5) -> pd.DataFrame:
    """One rule for the page: those to act on, then at most `others` that do not hold or come so.

    All figures but `later_share` are those of the first part, to which the floors apply, so that
    the ratio is that of the two shares beside it.
    """
    holds, is_in_order = rules["holds"].astype(bool), rules["is_in_order"].astype(bool)
    said = np.select([holds & is_in_order, holds, is_in_order], HELD[:3], HELD[3])
    place = np.lexsort([range(len(rules)), ~is_in_order, ~holds])
    columns = {"rule": "rule", "n": "followers",
               "first_rate": "follow_share", "first_before_rate": "before_share",
               "first_usual_rate": "usual_share", "lift": "times_usual",
               "later_rate": "later_share", "held": "held"}  # fmt: skip
    rows = rules.assign(held=said, rule=_words(rules)).iloc[place]
    rows = rows.head(int((holds & is_in_order).sum()) + others)
    rows, cell = rows.reset_index(drop=True), {"by": [*CODES], "along": [], "least": least}
    for part, of, hide in (("n", "n_antecedent", ["first_rate", "first_before_rate", "lift"]),
                           ("first_before_rate", "n_antecedent", []),
                           ("later_n", "later_buyers", ["later_rate"])):  # fmt: skip
        rows = disclosure.suppress_part(rows, part=part, of=of, hide=hide, **cell)
    return rows[[*columns]].rename(columns=columns)


def drawn(rules: pd.DataFrame, *, top: int = 10, least: int = 5) -> pd.DataFrame:
    """One of the first rules in words: the share before A and after it."""
    head = shown(rules, least=least).dropna(subset=["follow_share"]).head(top)
    return head[["rule", "before_share", "follow_share"]]


def answer(found: dict) -> str:
    """The sentence that opens the page."""
    if not found["rules"]:
        return (
            "**No product brings customers back for another** within {within:days} surely enough: "
            "none of {pairs} pair[s] reaches the floors."
        )
    if not found["hold"]:
        return (
            "**No product brings customers back for another for long**: of {pairs} pair[s], "
            "{rules} reach[es|] the floors up to {split_on:date}, and none of them after it."
        )
    if not found["in_order"]:
        return (
            "**Of {rules} rule[s] found up to {split_on:date}, {hold} hold[s|] later, but none in "
            "one order**: who likes the one likes the other, and buys it as often before as after."
        )
    if not found["best_from"]:
        return (
            "**Of {rules} rule[s] found up to {split_on:date}, {in_order} hold[s|] later, too, "
            "and in this order**; hardly anybody in [it|them] did not come back."
        )
    return (
        "**Of {rules} rule[s] found up to {split_on:date}, {in_order} hold[s|] later, too, and in "
        "this order.** For one, {best_followers} of {best_buyers} buyer[s] of "
        "*{best_from:text}*, {best_rate:pct}, bought *{best_to:text}* within {within:days}, "
        "where {best_usual:pct} do after any purchase, and {best_before:pct} did in as many days "
        "before. Of those who began later, {best_later:pct} did."
    )


def group_note(found: dict) -> str:
    """How often group 2 comes back for B (E3, Q-13)."""
    if found["group_size"] == 0:
        return "No group of today buys little and often, so there is no rate of it to tell."
    if found["group_rate"] is None:
        return (
            "Of the group that buys little and often, too few bought the first of a rule to tell."
        )
    return (
        "{group_rate:pct} of the buyers of *{group_from:text}* in the group that buys little and "
        "often buy *{group_to:text}* within {within:days}; of the whole group, these are "
        "{group_whole:pct}."
    )


def marketing_note(found: dict) -> str:
    """Whom marketing offer what, and from which page most offers come (ASC-08)."""
    is_few, are_baskets = found["from_follow"] is None, found["most_from"] == REASONS[1]
    if not found["offers"]:
        return (
            "Marketing: nothing to offer. Hardly anybody who may be addressed bought the first of "
            "a rule lately."
        )
    if is_few and are_baskets:
        return (
            "**Marketing: send {offers} offer[s] to {offered} customer[s]**, who may all be "
            "addressed. Most of the offers come from the pairs on the page on baskets, not from "
            "the rules here."
        )
    if is_few:
        return (
            "**Marketing: send {offers} offer[s] to {offered} customer[s]**, who may all be "
            "addressed. Most of the offers come from the rules here."
        )
    if are_baskets:
        return (
            "**Marketing: send {offers} offer[s] to {offered} customer[s]**, who may all be "
            "addressed: {from_together} found on the page on baskets, {from_follow} found here."
        )
    return (
        "**Marketing: send {offers} offer[s] to {offered} customer[s]**, who may all be "
        "addressed: {from_follow} found here, {from_together} found on the page on baskets."
    )


def bundle_note(found: dict) -> str:
    """What sales propose to group 2 next month, or why nothing (ASC-11)."""
    if found["group_size"] == 0:
        return "Sales: no coupon with steps to propose. No group of today buys little and often."
    if not found["in_order"]:
        return (
            "Sales: no coupon with steps to propose. No rule here holds, in one order, to make "
            "one of."
        )
    if not found["group_may"]:
        return (
            "Sales: no coupon with steps to propose. Hardly anybody who buys little and often "
            "may be addressed and is not of high value."
        )
    if not found["bundles"]:
        return (
            "Sales: no coupon with steps to propose. Beside the orders of the group that buys "
            "little and often no pair is cheap enough, or no step leaves a round sum to take off."
        )
    return (
        "**Sales: send {group_may} customer[s] who buy little and often a coupon for a larger "
        "order next month**, good for orders with a bundle in them: {bundles} to choose from. "
        "Their usual order is {group_value:money}, their sales ÷ their orders. Who may not be "
        "addressed, or is of high value and has an account manager, is left out."
    )


def coupon_note() -> str:
    """What the coupon pays for, and what is gained."""
    return (
        "The coupon pays for the larger order, not for the pair: no more than {off_share:pct0} of "
        "what an order rises above the usual {group_value:money} comes off. The gain before the "
        "goods are paid is the difference. Who would have ordered as much anyway only costs what "
        "comes off: leave some of them out, to compare."
    )


def drawn_title(found: dict) -> str:
    """The finding of the chart."""
    if not found["best_from"]:
        return "What is bought before, and what after"
    return "{best_to:text} comes after {best_from:text} more than before it"


def _is_open(rule: pd.Series, least: int) -> bool:
    """Whether no figure of a rule is of few customers, nor of all but few."""
    before = round(rule["first_before_rate"] * rule["n_antecedent"])
    parts = [(rule["n"], rule["n_antecedent"]), (before, rule["n_antecedent"]),
             (rule["later_n"], rule["later_buyers"])]  # fmt: skip
    return all(disclosure.share(int(n), int(of), least) is not None for n, of in parts)


def _group_rule(cells: pd.DataFrame, rules: pd.DataFrame, size: int, least: int) -> dict:
    """The first rule that enough of group 2 follow, and enough do not."""
    part = cells[cells["kind"] == "behaviour"].merge(
        rules[[*CODES, *SIDES]].assign(place=range(len(rules))), on=[*CODES]
    )
    part = part.assign(rate=part["followed"] / part["buyers"].where(part["buyers"] > 0))
    part = part.reset_index(drop=True)
    shown = disclosure.suppress_part(part, part="followed", of="buyers", by=[*CODES, "group"],
                                     along=["group"], least=least)  # fmt: skip
    part = part[shown["followed"].notna().to_numpy() & (part["group"] == GROUP).to_numpy()]
    part = part[(part["followed"] >= least) & (part["buyers"] >= least)]
    best = part.sort_values("place").iloc[0] if len(part) else None
    return {
        "group_from": "" if best is None else best["antecedent"],
        "group_to": "" if best is None else best["consequent"],
        "group_buyers": None if best is None else int(best["buyers"]),
        "group_rate": None if best is None else float(best["rate"]),
        "group_whole": None if best is None else float(best["followed"] / max(size, 1)),
    }


def _thresholds(usual: float, times: list[float], off: float, round_to: int) -> list:
    """Sums from which something comes off, and how much, without those where nothing would."""
    made = {}
    for factor in sorted(times):
        least = float(np.ceil(round(usual * factor / round_to, 9)) * round_to)
        made[least] = float(
            np.floor(round((least - usual) * off / round_to * 2, 9)) * round_to / 2
        )
    return [(least, less) for least, less in made.items() if less > 0]


def _days(number: int):
    import ibis

    return ibis.interval(days=number)


def _in_parts(rows: ibis.Table, *, as_of: date, split: date, within: int) -> ibis.Table:
    """`rows` with the part that their `start` lies in."""
    import ibis
    from ibis import _

    part = ibis.cases(
        (_.start > as_of - timedelta(days=within), PARTS[2]),
        (_.start <= split, PARTS[0]),
        else_=PARTS[1],
    )
    return rows.mutate(part=part)


def _parts(pairs, buyers, usual, days) -> pd.DataFrame:
    """One pair: followers, buyers, usual ones and days of each part and of both together."""
    made = pairs[[*CODES]].drop_duplicates().sort_values([*CODES], ignore_index=True)
    for part in PARTS[:2]:
        some = pairs[pairs["part"] == part].set_index([*CODES])
        known = made.set_index([*CODES]).index
        for name, short in (("n", "n"), ("both_before", "before")):
            made[f"{part}_{short}"] = some[name].reindex(known, fill_value=0).to_numpy("int64")
        for frame, key, column, name in ((buyers, CODES[0], "buyers", "buyers"),
                                         (usual, CODES[1], "followed", "usual")):  # fmt: skip
            values = frame[frame["part"] == part].set_index("product_id")[column]
            made[f"{part}_{name}"] = made[key].map(values).fillna(0).astype("int64")
        made[f"{part}_days"] = int(days.loc[days["part"] == part, "occasions"].sum())
    return made


def _luck(part: dict) -> pd.Series:
    """How likely B would follow so many starts, were these drawn from all days of a purchase."""
    from crm import itemsets

    n, a, b = (part[name].to_numpy() for name in ("n", "buyers", "usual"))
    whole = int(part["days"].max()) if len(part["days"]) else 0
    return pd.Series(itemsets.tails(n, a, b, whole), part["n"].index, float)


def _lift(part: dict) -> pd.Series:
    expected = (part["buyers"] * part["usual"]).where(part["usual"] * part["buyers"] > 0)
    return part["n"] * part["days"] / expected


def _in_order(kept: pd.DataFrame, pairs: pd.DataFrame) -> pd.Series:
    """The q-value that B comes after A more often than it comes after all other products."""
    from scipy.stats import binom

    both = pairs.groupby([*CODES])[["after", "before"]].sum()
    mine = both.reindex(pd.MultiIndex.from_frame(kept[[*CODES]]), fill_value=0)
    whole = both.groupby("consequent_code").sum().reindex(kept["consequent_code"], fill_value=0)
    after, before = (mine[name].to_numpy(float) for name in ("after", "before"))
    others = whole["after"].to_numpy(float) - after, whole["before"].to_numpy(float) - before
    share = np.divide(others[0], sum(others), out=np.full(len(kept), 0.5), where=sum(others) > 0)
    values = binom.sf(after - 1, after + before, share)
    return chance.discoveries(pd.Series(values, kept.index, float).fillna(1.0))


def _told(kept: pd.DataFrame, goods: pd.DataFrame) -> pd.DataFrame:
    """The rules with names, the rates over both parts, and q-values in digits that stay."""
    names = dict(zip(goods["product_id"], goods["product_name"], strict=True))
    for side in SIDES:
        kept = kept.assign(**{side: kept[f"{side}_code"].map(names).astype("str")})
    whole = {name: kept[f"first_{name}"] + kept[f"later_{name}"]
             for name in ("n", "buyers", "before", "usual", "days")}  # fmt: skip
    kept = kept.assign(
        buyers=whole["buyers"], followed=whole["n"],
        rate=whole["n"] / whole["buyers"].where(whole["buyers"] > 0),
        usual_rate=whole["usual"] / whole["days"].where(whole["days"] > 0),
        before_rate=whole["before"] / whole["buyers"].where(whole["buyers"] > 0),
        first_rate=kept["first_n"] / kept["first_buyers"].where(kept["first_buyers"] > 0),
        first_before_rate=kept["first_before"] / kept["first_buyers"].where(
            kept["first_buyers"] > 0),
        first_usual_rate=kept["first_usual"] / kept["first_days"].where(kept["first_days"] > 0),
    ).rename(columns={"first_n": "n", "first_buyers": "n_antecedent"})  # fmt: skip
    for name in ("p_value", "q_value", "order_q"):
        kept[name] = chance.told(kept[name])
    added = (kept["rate"] - kept["before_rate"]).round(9)
    place = np.lexsort([kept[CODES[1]], kept[CODES[0]], -added])
    return kept.iloc[place][lookup("features/followups").names].reset_index(drop=True)


def _best(every: ibis.Table, most: int) -> ibis.Table:
    """The best reason of each offer, and of each customer the best offers."""
    import ibis
    from ibis import _

    order = [ibis.desc("added"), ibis.desc("rate"), "reason", "antecedent_code"]
    turn = ibis.row_number().over(group_by=["customer_id", "consequent_code"], order_by=order)
    every = every.mutate(turn=turn).filter(_.turn == 0)
    order = [ibis.desc("added"), ibis.desc("price"), "consequent_code"]
    rank = ibis.row_number().over(group_by="customer_id", order_by=order)
    every = every.mutate(rank=rank + 1).filter(_.rank <= most)
    return every.select(
        "customer_id", "rank", "product_id", "product_name", "bought_on", "reason", "rate",
        "added", bought_id=_.antecedent_code, value=_.price,
    )[lookup("features/crosssell").names]  # fmt: skip


def _words(rules: pd.DataFrame) -> pd.Series:
    return rules["antecedent"] + " → " + rules["consequent"]


def _plain(names: pd.Series) -> pd.Series:
    """The names without the number of a second group of that name."""
    return names.astype("str").str.replace(r" \d+$", "", regex=True)
