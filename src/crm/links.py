"""What goes together with silence and value: events and what followed, tags and tiers.

An *event* is something that happened to a customer in a window of days before a *cut*: a
complaint, a slow answer, a campaign joined. An *outcome* is what the same customer did in the days
after the cut: nothing (*silent*), a purchase (*bought again*), or spend among the best (*high
value*). Events end where outcomes begin, so an outcome never precedes its event (ASC-09). A
*combination of tags* is looked at beside the value tier of the same day; tags from which the tier
is computed say nothing new and are left out (ASC-10).

Who buys often has more of everything, complaints and tags too. So a rule is weighed among
customers who bought about as often: what is expected is summed over bands of purchases, and the
test is that of Mantel and Haenszel (1959). All of it is association: what goes together, not what
causes what.

Looked at are customers who may be analysed and profiled. No rule is made of a group that is small,
nor of one that the other groups of the page would give away.
"""

from __future__ import annotations

from datetime import date, timedelta
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crm import disclosure, wording
from crm.chance import discoveries
from crm.tables import HELD, lookup

if TYPE_CHECKING:
    import ibis

    from crm.itemsets import Baskets

BANDS = (2, 4, 8, 16, 32, 64)  # purchases at which a band of customers alike begins
DAY = 24 * 60 * 60  # seconds
DIGITS = 6  # of a p-value: the last ones differ between processors
NONE = -1
PAIR = 2  # events in a rule
NPS, PROMOTER, DETRACTOR = "nps", 9, 6  # from, up to, of ten (Reichheld 2003)
STRONG = 1.2  # times what is expected from which a rule is worth acting on (as ASC-07)
GOOD, POOR = 4, 2  # stars of a review, from and up to
OFTEN = 0.5  # share of mails, campaigns or purchases from which it is a habit
SERVICE = ("complaint", "slow answer", "enquiry", "repair", "NPS detractor")
GOODS = ("return", "poor review")  # events that the product answers for
EVENTS = (
    *("first order", "visit online", "cart filled", "campaign joined", "coupon used"),
    *("points used", "contact begun by the customer", "contact begun by us", "praise"),
    *("NPS promoter", "good review"),
    *SERVICE,
    *GOODS,
)
SILENT, AGAIN, MUCH = "silent", "bought again", "spent much"
OUTCOMES = (SILENT, AGAIN, MUCH)
VALUED = "high value"  # the name of a tier alone
AT_RISK = "at risk"
TAGS = (  # tags with one value that may stand in a combination
    *("gender", "age_band", "province", "country", "industry", "acquisition", "contract_status"),
    *("top_category", "active_time", "preferred_channel", "purchase_channel"),
)
HABITS = {  # column of tags: what a customer with so much of it is called, and from how much on
    "complaints_n": ("has complained", 1),
    "praise_n": ("has praised", 1),
    "enquiries_90d": ("enquired lately", 1),
    "email_open_rate": ("opens mails", OFTEN),
    "campaign_rate": ("joins campaigns", OFTEN),
    "overtime_order_share": ("buys in overtime", OFTEN),
}
DEFINING = (  # tags that value or silence are computed from: they would find their own definition
    *("customer_type", "loyalty", "active_quarters", "behaviour", "core", "core_zh"),
    *("spend_level", "frequency_level", "orders", "spend", "spend_90d", "aov"),
    *("freq_30d", "freq_90d", "first_order_on", "last_order_on"),
)
SAME = ("channel_contacts", "channel_share")  # rows of tags that a tag with one value says, too
UNKNOWN = "unknown"


# ---- events and what followed --------------------------------------------------------------


def cuts(as_of: date, *, after: int = 90) -> tuple[date, date]:
    """The two days between events and outcomes: rules are found at one, looked at at the other.

    Examples
    --------
    >>> [str(day) for day in cuts(date(2023, 10, 31), after=90)]
    ['2023-05-04', '2023-08-02']
    """
    return as_of - timedelta(days=2 * after), as_of - timedelta(days=after)


def people(
    orders: ibis.Table,
    returns: ibis.Table,
    permits: ibis.Table,
    *,
    cut: date,
    days: int = 180,
    after: int = 90,
) -> ibis.Table:
    """One customer who bought before the cut and may be profiled: purchases then and after.

    Parameters
    ----------
    cut
        Last day of events; outcomes begin on the next.
    days
        Window of events, open at its start: `cut − days < day ≤ cut`.
    after
        Window of outcomes: `cut < day ≤ cut + after`.

    Returns
    -------
    ibis.Table
        customer_id, basket (its number by id), before, later (purchases) and spend (after the
        cut). A purchase is an order with an amount that returns of its window did not cancel.
    """
    import ibis
    from ibis import _

    end = cut + timedelta(days=after)
    then = _purchases(orders, returns, start=cut - timedelta(days=days), end=cut)
    then = then.group_by("customer_id").agg(before=_.count())
    for purpose in ("analysis", "profiling"):
        allowed = permits.filter(permits.purpose == purpose, permits.allowed)
        then = then.semi_join(allowed, "customer_id")
    next_ = _purchases(orders, returns, start=cut, end=end).group_by("customer_id")
    both = then.left_join(next_.agg(later=_.count(), spend=_.net.sum()), "customer_id")
    return both.select(
        "customer_id", "before", later=_.later.fill_null(0), spend=_.spend.fill_null(0),
        basket=ibis.row_number().over(order_by="customer_id"),
    ).order_by("basket")  # fmt: skip


def happened(
    tables: dict[str, ibis.Table],
    *,
    cut: date,
    days: int = 180,
    slow_hours: float = 24,
) -> ibis.Table:
    """One kind of event that one customer had in the window before the cut.

    Parameters
    ----------
    tables
        The facts that events are read from, by name.
    cut, days
        As of `people`.
    slow_hours
        An answer that takes longer is slow; one that is still awaited at the cut counts by then.
    """
    import ibis
    from ibis import _

    start = cut - timedelta(days=days)
    parts = [
        _of(_within(tables[table], time, start, cut), name, condition)
        for name, table, time, condition in _sayings(slow_hours, cut)
    ]
    firsts = _within(_firsts(tables["orders"], days), "day", start, cut)
    parts.append(_of(firsts, "first order"))
    answers = _within(tables["surveys"], "answered_at", start, cut)
    answers = answers.filter(_.instrument.lower() == NPS, _.score.notnull())
    newest = ibis.window(
        group_by="customer_id", order_by=[ibis.desc("answered_at"), ibis.desc("line")]
    )
    last = answers.mutate(place=ibis.row_number().over(newest)).filter(_.place == 0)
    parts.append(_of(last, "NPS promoter", _.score >= PROMOTER))
    parts.append(_of(last, "NPS detractor", _.score <= DETRACTOR))
    return ibis.union(*parts, distinct=True)


def numbered(happened: ibis.Table, people: ibis.Table) -> ibis.Table:
    """One event of one customer of `people` as two numbers, sorted: `basket` and `item`."""
    import ibis

    places = [(happened.event == name, place) for place, name in enumerate(EVENTS)]
    rows = happened.mutate(item=ibis.cases(*places)).inner_join(people, "customer_id")
    return rows.select("basket", "item").order_by("basket", "item").distinct()


def outcomes(people: pd.DataFrame, *, top_share: float = 0.2) -> pd.DataFrame:
    """One customer: whether each of `OUTCOMES` came true after the cut.

    High value is spend among the best `top_share` of the customers looked at; equal spend at the
    limit is in.

    Examples
    --------
    >>> rows = pd.DataFrame({"later": [0, 1, 2, 1, 1], "spend": [0.0, 9, 5, 1, 2]})
    >>> outcomes(rows, top_share=0.2)["spent much"].tolist()
    [False, True, False, False, False]
    """
    spend = people["spend"].astype(float)
    best = np.sort(spend.to_numpy())[::-1][: max(int(round(top_share * len(spend), 9)), 1)]
    limit = best[-1] if len(best) else 0.0
    bought = people["later"] > 0
    return pd.DataFrame({SILENT: ~bought, AGAIN: bought, MUCH: (spend >= limit) & (spend > 0)})


def alike(purchases: pd.Series) -> np.ndarray:
    """The band of purchases of each customer, among whom rules are weighed.

    Examples
    --------
    >>> alike(pd.Series([1, 2, 3, 4, 8, 99])).tolist()
    [0, 1, 1, 2, 3, 6]
    """
    return np.digitize(purchases.to_numpy(), BANDS)


# ---- tags and tiers ------------------------------------------------------------------------


def recent(tags: pd.DataFrame, tiers: pd.DataFrame, *, as_of: date, days: int = 365):
    """One profiled customer with a purchase in the last `days`: the tags, and the `tier`.

    Tags of purchases are empty for who has not bought for long: among all customers, having one
    would do for a sign of value.
    """
    start = pd.Timestamp(as_of - timedelta(days=days))
    both = tags.merge(tiers[["customer_id", "tier"]], on="customer_id", validate="one_to_one")
    both = both[both["last_order_on"] > start]
    return both.sort_values("customer_id", ignore_index=True)


def traits(people: pd.DataFrame, rows: pd.DataFrame, catalogue: pd.DataFrame) -> pd.DataFrame:
    """One tag of one customer of `recent` in words: basket (its place) and `item`.

    Parameters
    ----------
    people
        Of `recent`.
    rows
        `features/tag_rows`: tags that can have several values.
    catalogue
        `features/tag_catalogue`: a tag whose rule names one of `DEFINING` is left out, too.
    """
    told_by = catalogue["rule"].str.findall(r"\w+").map(lambda words: bool({*words} & {*DEFINING}))
    out = {*SAME, *catalogue.loc[told_by.astype(bool), "tag"]}
    held = [people[name].where(people[name] != UNKNOWN).dropna().map(_said(name)) for name in TAGS]
    for name, (words, limit) in HABITS.items():
        has = people[name] >= limit
        held.append(pd.Series(words, people.index[has], dtype="str"))
    place = pd.Series(people.index, people["customer_id"])
    more = rows[rows["customer_id"].isin(place.index) & ~rows["tag"].isin(out)]
    told = [_said(tag)(value) for tag, value in zip(more["tag"], more["value"], strict=True)]
    held.append(pd.Series(told, place.loc[more["customer_id"]].to_numpy(), dtype="str"))
    made = pd.concat(held).rename("item").rename_axis("basket").reset_index()
    return made.drop_duplicates().sort_values(["basket", "item"], ignore_index=True)


def vocabulary(traits: pd.DataFrame) -> tuple[str, ...]:
    """The words of `traits`, sorted: an item's number is its place."""
    return tuple(sorted(traits["item"].unique()))


def tiers(people: pd.DataFrame) -> pd.DataFrame:
    """One customer of `recent`: whether the tier is high value, and whether it is at risk."""
    return pd.DataFrame({name: people["tier"] == name for name in (VALUED, AT_RISK)})


# ---- rules ---------------------------------------------------------------------------------


def packed(rows: dict | pd.DataFrame, names: tuple[str, ...], *, customers: int) -> Baskets:
    """Customers and what is true of them as baskets of items, numbered as in `names`."""
    from crm import itemsets

    item = np.asarray(rows["item"])
    if item.dtype.kind not in "iu":
        item = pd.Index(names).get_indexer(item)
    basket = np.asarray(rows["basket"]).astype(np.int64)
    place = np.lexsort([item, basket])
    return itemsets.Baskets.of(basket[place], item[place], baskets=customers, kinds=len(names))


def rules(
    held: Baskets,
    results: pd.DataFrame,
    bands: np.ndarray,
    names: tuple[str, ...],
    *,
    support: float = 0.01,
    count: int = 5,
    confidence: float = 0.3,
    lift: float = 1.0,
    longest: int = 2,
    improvement: float = 0.0,
    false_discoveries: float = 0.05,
    least: int = 5,
) -> pd.DataFrame:
    """One rule: what is true of customers, and what goes with it more often than expected.

    Parameters
    ----------
    held
        What is true of each customer.
    results
        One customer and outcome a cell: whether it came true.
    bands
        The band of each customer; what is expected is summed over bands.
    names
        Of the items, by number.
    support, count, confidence, lift
        Floors (Q-13); support and count of the customers with all that the rule names.
    longest
        Items that a rule goes from, at most.
    improvement
        Confidence that a rule must have more than each of its parts.
    false_discoveries
        Rate of Benjamini and Hochberg (1995) over all rules that were tested.
    least
        Customers in the smallest group that may be told of (Q-41).

    Returns
    -------
    pandas.DataFrame
        items (tuple), consequent, n, n_antecedent, n_consequent, base, expected, support,
        confidence, lift, alike_lift, p_value and q_value; the strongest first.
    """
    from crm import itemsets

    floor = max(int(np.ceil(round(support * len(held), 9))), count, least, 1)
    found = itemsets.mine(held, least=floor, longest=longest)
    made = weighed(_padded(found.sets, longest), held, results, bands)
    made = made.assign(q_value=discoveries(made["p_value"]))
    enough = (made["n"] >= floor) & (made["n"] >= np.round(confidence * made["n_antecedent"], 9))
    more = enough & (made["alike_lift"] >= max(lift, 1)) & (made["alike_lift"] > 1)
    kept = made[more & (made["q_value"] <= false_discoveries)]
    known = {(r.items, r.consequent): (r.n, r.n_antecedent) for r in made.itertuples()}
    new = [_is_new(rule, known, improvement, least) for rule in kept.itertuples()]
    kept = kept[pd.Series(new, kept.index, bool)]
    kept = kept.assign(_lift=-kept["alike_lift"].round(DIGITS), _n=-kept["n"])
    kept = kept.sort_values(["_lift", "_n", "consequent", "items"], ignore_index=True)
    told = [" + ".join(names[item] for item in items) for items in kept["items"]]
    return kept.drop(columns=["_lift", "_n"]).assign(antecedent=pd.Series(told, dtype="str"))


def weighed(
    sets: np.ndarray, held: Baskets, results: pd.DataFrame, bands: np.ndarray
) -> pd.DataFrame:
    """One set of items and outcome: its counts, what is expected of customers alike, its test."""
    items = [tuple(int(item) for item in row if item != NONE) for row in sets]
    parts = [
        _in_bands(sets, held, results[name].to_numpy(bool), bands).assign(
            consequent=name, items=items, n_consequent=int(results[name].sum())
        )
        for name in results.columns
    ]
    made = pd.concat(parts, ignore_index=True)
    n, a, b = (made[name] for name in ("n", "n_antecedent", "n_consequent"))
    return made.assign(
        base=len(held), support=n / max(len(held), 1), confidence=n / a.where(a > 0),
        lift=n * len(held) / (a * b).where(a * b > 0),
        alike_lift=n / made["expected"].where(made["expected"] > 0),
    )  # fmt: skip


def confirmed(
    made: pd.DataFrame,
    held: Baskets,
    results: pd.DataFrame,
    bands: np.ndarray,
    *,
    confidence: float,
    lift: float,
    least: int,
) -> pd.DataFrame:
    """`made` with what became of each rule at a later cut (ASC-12): the share then, and `held`.

    It holds where confidence and lift among customers alike reach the floors again. A share is
    empty, and the rule not judged, where the group or what it leaves is too few.
    """
    width = max(map(len, made["items"]), default=1)
    rows = [(*items, *[NONE] * (width - len(items))) for items in made["items"]]
    sets = np.array(rows, np.int32).reshape(len(rows), width)
    then = weighed(np.unique(sets, axis=0), held, results, bands)
    keys = ["items", "consequent"]
    again = made[keys].merge(then, on=keys, how="left", validate="one_to_one")
    share = pd.Series(
        [disclosure.share(int(n), int(a), least) if a else None
         for n, a in zip(again["n"], again["n_antecedent"], strict=True)], made.index, float,
    )  # fmt: skip
    more = again["alike_lift"].to_numpy() > max(lift, 1)
    good = more & (share >= confidence).to_numpy()
    held_ = np.select([share.isna(), good], [HELD[2], HELD[0]], HELD[1])
    return made.assign(
        later_confidence=share, later_lift=again["alike_lift"].where(share.notna().to_numpy()),
        held=held_,
    )  # fmt: skip


def settled(events: pd.DataFrame, tags: pd.DataFrame) -> pd.DataFrame:
    """All rules as in `features/links`; of tags nothing is known of another day."""
    table = lookup("features/links")
    tags = tags.assign(later_confidence=np.nan, later_lift=np.nan, held=HELD[3])
    parts = [part.assign(kind=kind) for kind, part in (("event", events), ("tags", tags))]
    both = pd.concat(parts, ignore_index=True)
    for name in ("p_value", "q_value"):
        both[name] = [float(f"{value:.{DIGITS}g}") for value in both[name]]
    texts = dict.fromkeys(("kind", "antecedent", "consequent", "held"), "str")
    return both[table.names].astype(texts).sort_values([*table.key], ignore_index=True)


# ---- what the page says --------------------------------------------------------------------


def shown(made: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """One rule in the words of the page: the strongest first; of events those that held."""
    first, second = ("what_happened", "what_followed") if "held" in made else ("tags", "tier")
    columns = {"antecedent": first, "consequent": second, "n_antecedent": "customers",
               "confidence": "of_these_share", "usual": "of_all_share",
               "alike_lift": "times_expected"}  # fmt: skip
    if "held" in made:
        columns |= {"later_confidence": "later_share", "held": "held_again"}
        made = made.sort_values("held", key=lambda held: held != HELD[0], kind="stable")
    made = made.assign(usual=made["n_consequent"] / made["base"].where(made["base"] > 0))
    told = made[[*columns]].rename(columns=columns).reset_index(drop=True)
    return disclosure.suppress(told, by=[first, second], along=[], least=least)


def facts(
    events: pd.DataFrame, tags: pd.DataFrame, base: int, tagged: int, *, least: int = 5
) -> dict:
    """Metrics: how many rules of each kind, and the strongest for each department.

    What departments are told was seen twice, or is of tags, and is `STRONG`. What goes wrong is no
    reason to sell, whatever it goes with.
    """
    sure = events[(events["held"] == HELD[0]) & (events["alike_lift"] >= STRONG)]
    of_tags = tags[tags["alike_lift"] >= STRONG]
    names = sure["antecedent"].str.split(" + ", regex=False)
    of = [names.map(lambda found, part=part: bool({*found} & {*part})).astype(bool)
          for part in (SERVICE, GOODS)]  # fmt: skip
    is_silent = sure["consequent"] == SILENT
    chosen = {
        "silent": sure[is_silent],
        "service": sure[is_silent & of[0]],
        "goods": sure[is_silent & of[1]],
        "good": sure[~is_silent & ~of[0] & ~of[1]],
        "valued": of_tags[of_tags["consequent"] == VALUED],
        "risky": of_tags[of_tags["consequent"] == AT_RISK],
    }
    counts = {
        "event_rules": len(events),
        "event_hold": int((events["held"] == HELD[0]).sum()),
        "tag_rules": len(tags),
    }
    sizes = {"base": disclosure.few(base, least), "tagged": disclosure.few(tagged, least)}
    found = sizes | {"strong": STRONG} | counts
    for name, some in chosen.items():
        found |= _first(some, name)
    return found


def answer(found: dict) -> str:
    """The sentence that opens the page."""
    if found["silent_rules"]:
        return (
            "**Silence goes with {silent_from:text}**: of {silent_customers} customer[s] with it, "
            "{silent_share:pct} did not buy in the {after:days} that followed, against "
            "{silent_usual:pct} of all, and {silent_lift:num} times as many as among customers "
            "who bought as often before."
        )
    if found["good_rules"]:
        return (
            "**{good_from:text} goes with {good_to:text}**: {good_share:pct} of {good_customers} "
            "customer[s] with it, against {good_usual:pct} of all. No event goes with silence as "
            "strongly."
        )
    if found["event_hold"] + found["tag_rules"]:
        return (
            "**No event goes strongly with what customers do next.** {event_hold} rule[s] of "
            "events [was|were] seen twice, and {tag_rules} combination[s] of tags [goes|go] with "
            "a tier, but no event reaches {strong:num} times what is expected and gives a reason "
            "to act."
        )
    return (
        "**Nothing goes together surely enough**: neither an event with what customers did next, "
        "nor tags with their tier."
    )


def service_note(found: dict) -> str:
    """What service has to do."""
    if not found["service_rules"]:
        return "Service: nothing to single out. No event of service goes strongly with silence."
    return (
        "**Service: call back within a week** after *{service_from:text}*: {service_share:pct} of "
        "{service_customers} such customer[s] bought nothing in the {after:days} that followed, "
        "against {service_usual:pct} of all. Take half of them by lot: only then it shows what "
        "the call does."
    )


def product_note(found: dict) -> str:
    """What product managers have to do."""
    if not found["goods_rules"]:
        return (
            "Product: nothing to single out. Neither returns nor poor reviews go strongly with "
            "silence."
        )
    return (
        "**Product: read what came back and why**, beginning with *{goods_from:text}*: "
        "{goods_share:pct} of {goods_customers} such customer[s] fell silent, against "
        "{goods_usual:pct} of all."
    )


def sales_note(found: dict) -> str:
    """What sales have to do."""
    if found["good_rules"]:
        return (
            "**Sales: write soon after *{good_from:text}***: {good_share:pct} of "
            "{good_customers} such customer[s] came out as *{good_to:text}*, against "
            "{good_usual:pct} of all. Write while they are warm, and let a test tell whether a "
            "discount adds anything."
        )
    if found["valued_rules"]:
        return (
            "**Sales: look for more of one kind**, *{valued_from:text}*: {valued_share:pct} of "
            "{valued_customers} such customer[s] [is|are] of high value, against "
            "{valued_usual:pct} of all."
        )
    return "Sales: nothing to single out. No event or tags to act on go strongly with value."


def marketing_note(found: dict) -> str:
    """What marketing has to do."""
    if not found["risky_rules"]:
        return "Marketing: nothing to single out. No combination of tags goes strongly with risk."
    return (
        "**Marketing: win back one kind of customer first**, *{risky_from:text}*: "
        "{risky_share:pct} of {risky_customers} [is|are] at risk, against {risky_usual:pct} of "
        "all who bought lately."
    )


def window_note(found: dict) -> str:
    """Who is looked at, and when."""
    if not found["base"]:
        return (
            "Hardly anybody who may be profiled bought in the {window_days:days} up to "
            "{cut_on:date}: nothing can be told of so few."
        )
    return (
        "{base} customer[s] bought in the {window_days:days} up to {cut_on:date}. What happened "
        "to them in these is set beside what they did in the {after:days} that followed; then "
        "once more at {later_cut_on:date}."
    )


def events_note(found: dict) -> str:
    """How many rules between events and outcomes there are, and how many held."""
    if not found["event_rules"] and not found["base"]:
        return "Among so few customers no event can be set beside what followed."
    if not found["event_rules"]:
        return (
            "None of the events goes with what {base} customer[s] did next more often than among "
            "customers who bought as often."
        )
    return (
        "{event_rules} rule[s] passed among {base} customer[s]; {event_hold} [was|were] seen "
        "again a period later."
    )


def tags_note(found: dict) -> str:
    """How many combinations of tags go with a tier."""
    if not found["tag_rules"] and not found["tagged"]:
        return "Too few customers who may be profiled bought lately to set tags beside a tier."
    if not found["tag_rules"]:
        return (
            "No combination of tags goes with high value or risk surely enough among {tagged} "
            "customer[s] who bought lately."
        )
    return (
        "{tag_rules} combination[s] of tags passed among {tagged} customer[s] who bought lately. "
        "A longer one is kept only if it says more than each of its parts."
    )


# ---- private -------------------------------------------------------------------------------


def _purchases(orders: ibis.Table, returns: ibis.Table, *, start: date, end: date) -> ibis.Table:
    """Orders of a window with an amount that returns up to its end did not cancel whole."""
    from ibis import _

    known = returns.filter(returns.returned_at.date() <= end, returns.reverses.notnull())
    cancelled = known.group_by(order_id=_.reverses).agg(cancelled=_.amount.sum())
    placed = _within(orders, "ordered_at", start, end).filter(_.amount > 0)
    placed = placed.left_join(cancelled, "order_id")
    placed = placed.mutate(net=placed.amount - placed.cancelled.fill_null(0))
    return placed.filter(_.net > 0)


def _within(rows: ibis.Table, time: str, start: date, end: date) -> ibis.Table:
    """The rows of known customers after the day `start`, up to the end of the day `end`."""
    day = rows[time].cast("date")
    return rows.filter(rows.customer_id.notnull(), day > start, day <= end)


def _firsts(orders: ibis.Table, days: int) -> ibis.Table:
    """One customer and the day of the first order, of those that the source could know.

    Who orders within the first `days` of the source may be an old customer.
    """
    import ibis
    from ibis import _

    paid = orders.filter(_.amount > 0)
    begun = paid.aggregate(begun=_.ordered_at.min().date())
    firsts = paid.filter(_.customer_id.notnull()).group_by("customer_id")
    firsts = firsts.agg(day=_.ordered_at.min().date()).cross_join(begun)
    return firsts.filter(firsts.day > firsts.begun + ibis.interval(days=days))


def _of(rows: ibis.Table, name: str, condition=None) -> ibis.Table:
    """The customers of rows that fulfil a condition, with the event that this makes."""
    import ibis

    chosen = rows if condition is None else rows.filter(condition)
    return chosen.select("customer_id", event=ibis.literal(name))


def _sayings(slow_hours: float, cut: date) -> list[tuple]:
    """Of each event that one row of a table shows: name, table, its time, and the condition."""
    import ibis
    from ibis import _

    over = ibis.timestamp(str(cut + timedelta(days=1)))
    answered = ibis.least(ibis.coalesce(_.first_response_at, over), over)
    waited = answered.delta(_.opened_at, unit="second")
    kinds = ("complaint", "praise", "enquiry", "repair")
    return [
        *((kind, "tickets", "opened_at", _.kind == kind) for kind in kinds),
        ("slow answer", "tickets", "opened_at", waited > int(slow_hours * 60 * 60)),
        ("return", "returns", "returned_at", _.amount > 0),
        ("visit online", "events", "at", None),
        ("cart filled", "events", "at", _.kind == "cart"),
        ("campaign joined", "campaign_contacts", "joined_at", None),
        ("coupon used", "campaign_contacts", "used_at", None),
        ("coupon used", "discounts", "given_at", _.coupon_id.notnull()),
        ("points used", "points", "at", _.change < 0),
        ("contact begun by the customer", "interactions", "at", _.direction == "in"),
        ("contact begun by us", "interactions", "at", _.direction == "out"),
        ("good review", "reviews", "written_at", _.score >= GOOD),
        ("poor review", "reviews", "written_at", _.score <= POOR),
    ]


def _said(tag: str):
    """How a tag and its value are told: `Industry: tea`, or the tag alone where it says all."""
    words = wording.label(tag)
    return lambda value: words if value == "yes" else f"{words}: {value}"


def _in_bands(
    sets: np.ndarray, held: Baskets, came: np.ndarray, bands: np.ndarray
) -> pd.DataFrame:
    """One set: customers with it (n_antecedent), with the outcome, too (n), expected, p_value."""
    from crm import itemsets

    n, a = np.zeros(len(sets), np.int64), np.zeros(len(sets), np.int64)
    expected, spread = np.zeros(len(sets)), np.zeros(len(sets))
    for band in np.unique(bands):
        mine = bands == band
        has = itemsets.count(_some(held, mine), sets)
        size, good = int(mine.sum()), int((mine & came).sum())
        n, a = n + itemsets.count(_some(held, mine & came), sets), a + has
        expected = expected + has * good / size
        ways = size**2 * max(size - 1, 1)
        spread = spread + has * (size - has) * good * (size - good) / ways
    made = {"n": n, "n_antecedent": a, "expected": expected}
    return pd.DataFrame(made | {"p_value": _tail(n, expected, spread)})


def _padded(sets: tuple[np.ndarray, ...], width: int) -> np.ndarray:
    """All sets below each other, −1 behind shorter ones."""
    rows = [np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=NONE)
            for part in sets if part.shape[1] <= width]  # fmt: skip
    return np.concatenate(rows).astype(np.int32)


def _some(held: Baskets, chosen: np.ndarray) -> Baskets:
    """The baskets that are chosen."""
    from crm import itemsets

    owner = np.repeat(np.arange(len(held)), np.diff(held.starts))
    inside = chosen[owner]
    place = np.cumsum(chosen) - 1
    number = int(chosen.sum())
    return itemsets.Baskets.of(
        place[owner[inside]], held.items[inside], baskets=number, kinds=held.kinds
    )


def _tail(n: np.ndarray, expected: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """The chance of `n` or more in bands where an item knows nothing of the outcome.

    Mantel and Haenszel (1959), one-sided, with the correction for whole numbers.
    """
    from scipy.special import ndtr

    steps = (n - expected - 0.5) / np.sqrt(np.where(spread > 0, spread, 1.0))
    return np.where(spread > 0, ndtr(-steps), 1.0)


def _is_new(rule, counts: dict, improvement: float, least: int) -> bool:
    """Whether a rule says more than each of its parts, and gives no small group away.

    Customers of a part less those of the rule are a group that a reader can work out, and so are
    all customers less those of either side.
    """
    n, a, b = rule.n, rule.n_antecedent, rule.n_consequent
    cells = [n, a - n, b - n, rule.base - a - b + n]
    for size in range(1, len(rule.items)):
        for part in combinations(rule.items, size):
            more, whole = counts[part, rule.consequent]
            if round(n / a - more / whole, 9) <= improvement:
                return False
            cells += [more - n, (whole - more) - (a - n)]
    return all(disclosure.few(cell, least) is not None for cell in cells)


def _first(some: pd.DataFrame, name: str) -> dict:
    """Metrics of the strongest of some rules; empty if there is none."""
    one = some.iloc[0] if len(some) else None
    return {
        f"{name}_rules": len(some),
        f"{name}_from": "" if one is None else one["antecedent"],
        f"{name}_to": "" if one is None else one["consequent"],
        f"{name}_customers": 0 if one is None else int(one["n_antecedent"]),
        f"{name}_share": 0.0 if one is None else float(one["confidence"]),
        f"{name}_usual": 0.0 if one is None else float(one["n_consequent"] / one["base"]),
        f"{name}_lift": 0.0 if one is None else float(one["alike_lift"]),
    }
