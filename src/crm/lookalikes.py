"""Customers with no purchase, or one, who are like the best customers were before they bought.

The *best* are those of high value, by tier. A *trait* is what was known before any purchase: what
a form asks, the channel that brought somebody, interests and what they follow. Spend and orders
are never used, nor is anything that comes of them. A trait *tells* if the best have it more often
than other buyers beyond chance; its *weight* is the logarithm of how many times more often, drawn
towards nothing where few have it (weights of evidence; Good 1950). The *score* of a customer is
the sum of their weights.

All is learned from the buyers who came first, by registration or else by the first purchase, and
put to the test on those who came later. Only if it finds more of the best there than chance does
is there a list.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from crm import chance, disclosure
from crm.tables import LOOKALIKE_OFFERS, TIERS, lookup

COLUMNS = ("gender", "age_band", "province", "industry", "acquisition")  # of features/tags
ROWS = ("interest", "social")  # of features/tag_rows
UNKNOWN = "unknown"
TESTED = ("later_best", "top", "top_best", "top_share", "found_share", "lift", "lift_low",
          "lift_high", "p_value")  # fmt: skip
SURE = 0.05  # p-value up to which the list beats chance
MOST_PURCHASES = 1  # of a prospect
DIGITS = 6  # of a weight, so that sums agree on every processor


def buyers(tags: pd.DataFrame, tiers: pd.DataFrame, profiles: pd.DataFrame) -> pd.DataFrame:
    """One buyer who permits profiling, by day of registration: `is_best` if of high value.

    Who has no day of registration counts from the first purchase.
    """
    wide = tags[["customer_id", "orders", "first_order_on"]].merge(
        profiles[["customer_id", "registered_on"]], "left", "customer_id"
    )
    wide = wide.merge(tiers[["customer_id", "tier"]], "inner", "customer_id")
    wide = wide[wide["orders"] > 0]
    since = wide["registered_on"].fillna(wide["first_order_on"])
    made = wide[["customer_id"]].assign(since_on=since, is_best=wide["tier"] == TIERS[0])
    return made.sort_values(["since_on", "customer_id"], ignore_index=True)


def traits(tags: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """One customer and trait that was known before any purchase; what is unknown is none.

    An interest or a like that is dated after the first purchase is left out; what no date is
    known of is taken to come from the form that customers fill in when they register.

    Examples
    --------
    >>> tags = pd.DataFrame({"customer_id": ["a"], "gender": ["unknown"], "age_band": [None],
    ...                      "province": ["浙江"], "industry": [None], "acquisition": [None],
    ...                      "first_order_on": [None]})
    >>> names = ["customer_id", "tag", "value", "since_on"]
    >>> traits(tags, pd.DataFrame(columns=names)).values.tolist()
    [['a', 'province: 浙江']]
    """
    parts = [tags[["customer_id"]].assign(tag=name, value=tags[name]) for name in COLUMNS]
    bought_on = dict(zip(tags["customer_id"], tags["first_order_on"], strict=True))
    first = pd.to_datetime(rows["customer_id"].map(bought_on))
    is_late = pd.to_datetime(rows["since_on"]) > first
    kept = rows["tag"].isin(ROWS) & ~is_late
    parts.append(rows.loc[kept, ["customer_id", "tag", "value"]])
    every = pd.concat([part.astype("object") for part in parts], ignore_index=True)
    every = every[every["value"].notna() & (every["value"] != UNKNOWN) & (every["value"] != "")]
    name = every["tag"].astype("str").str.replace("_", " ") + ": " + every["value"].astype("str")
    made = pd.DataFrame({"customer_id": every["customer_id"].astype("str"), "trait": name})
    return made.drop_duplicates().sort_values(["customer_id", "trait"], ignore_index=True)


def parted(buyers: pd.DataFrame, *, first_share: float = 0.7) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The buyers who came first, to learn from, and those later, to test on."""
    cut = round(len(buyers) * first_share)
    return buyers.iloc[:cut], buyers.iloc[cut:]


def learn(
    buyers: pd.DataFrame,
    traits: pd.DataFrame,
    *,
    least: int = 20,
    keep: float = 0.2,
    pull: float = 20.0,
) -> pd.DataFrame:
    """One trait that tells: buyers with it, the best among them, weight, and how sure it is.

    Parameters
    ----------
    least
        Buyers who must have a trait, to look at it.
    keep
        Share of chance traits that is put up with: generous, as the later buyers are the test.
    pull
        Buyers as the average that are added to each trait, which draws the weight of a rare one
        towards nothing.
    """
    from crm import itemsets

    whole, best = len(buyers), int(buyers["is_best"].sum())
    known = traits.merge(buyers[["customer_id", "is_best"]], on="customer_id")
    made = known.groupby("trait")["is_best"].agg(["size", "sum"]).reset_index()
    made = made.rename(columns={"size": "buyers", "sum": "best"})
    made = made.astype({"buyers": "int64", "best": "int64"})
    made = made[made["buyers"] >= least].reset_index(drop=True)
    counts = [made[name].to_numpy("int64") for name in ("best", "buyers")]
    p = itemsets.tails(*counts, np.full(len(made), best, np.int64), whole)
    made["q_value"] = chance.told(chance.discoveries(pd.Series(p, made.index, float)))
    share = best / whole if whole else 0.0
    others = made["buyers"] - made["best"] + pull * (1 - share)
    odds = (made["best"] + pull * share) / others.where(others > 0)
    made["weight"] = np.log(odds / (share / (1 - share))).round(DIGITS) if 0 < share < 1 else 0.0
    made["times_all"] = (made["best"] / made["buyers"]) / share if share else 0.0
    kept = made[(made["q_value"] <= keep) & (made["weight"] > 0)]
    return kept.sort_values(["weight", "trait"], ascending=[False, True], ignore_index=True)


def score(
    customers: pd.DataFrame, traits: pd.DataFrame, weights: pd.DataFrame, *, reasons: int = 3
) -> pd.DataFrame:
    """`customers` with `score` and `reasons`, their strongest traits; nobody is left out."""
    told = traits.merge(weights[["trait", "weight"]], on="trait")
    told = told.sort_values(["customer_id", "weight", "trait"], ascending=[True, False, True])
    whole = told.groupby("customer_id")["weight"].sum()
    words = told.groupby("customer_id").head(reasons).groupby("customer_id")["trait"]
    words = words.agg("; ".join)
    ids = customers["customer_id"]
    points = ids.map(whole).astype("float64").fillna(0.0).round(DIGITS)
    return customers.assign(score=points, reasons=[words.get(who, "") for who in ids])


def tested(scored: pd.DataFrame, *, top_share: float = 0.1, least: int = 5) -> dict:
    """Metrics of the test: how many times more of the best stand at the top than by chance.

    All but `later` are None where a part of it, or what it leaves, is of few customers.

    The top is the first `top_share` by score, with all who share the last score, and without those
    of score zero, whom nothing tells from others. `low` and `high` are the interval of the lift.
    """
    from crm import itemsets

    whole, best = len(scored), int(scored["is_best"].sum())
    points = np.sort(scored["score"].to_numpy(float))[::-1]
    place = min(max(round(whole * top_share), 1), whole) - 1
    cut = max(points[place], 10.0**-DIGITS) if whole else 1.0
    top = scored[scored["score"] >= cut]
    n, hits = len(top), int(top["is_best"].sum())
    low, high = chance.interval(np.array([hits]), np.array([n]))
    share = best / whole if whole else 0.0
    p = itemsets.tails(*(np.array([number]) for number in (hits, n, best)), whole)
    told = {"later": whole} | dict.fromkeys(TESTED)
    parts = (best, whole), (n, whole), (hits, n), (best - hits, best)
    if any(disclosure.share(part, of, least) is None for part, of in parts):
        return told
    return {
        "later": whole,
        "later_best": best,
        "top": n,
        "top_best": hits,
        "top_share": n / whole if whole else 0.0,
        "found_share": hits / best if best else 0.0,
        "lift": hits / n / share if n and best else 0.0,
        "lift_low": float(low[0]) / share if n and best else 0.0,
        "lift_high": float(high[0]) / share if n and best else 0.0,
        "p_value": float(f"{p[0]:.{DIGITS}g}") if n and best else 1.0,
    }


def beats_chance(found: dict) -> bool:
    """Whether there may be a list: more of the best at the top than luck explains."""
    return bool(found["lift"] and found["lift"] > 1 and found["p_value"] <= SURE)


def prospects(tags: pd.DataFrame, permits: pd.DataFrame) -> pd.DataFrame:
    """One customer with at most one purchase who may be profiled and addressed, by id."""
    may = permits[(permits["purpose"] == "marketing") & permits["allowed"]]["customer_id"]
    rows = tags[(tags["orders"] <= MOST_PURCHASES) & tags["customer_id"].isin(may)]
    return rows[["customer_id", "orders", "industry"]].sort_values(
        "customer_id", ignore_index=True
    )


def listed(
    scored: pd.DataFrame,
    traits: pd.DataFrame,
    *,
    is_sound: bool,
    most: int = 500,
    business: str = "social: type: 企业客户",
) -> pd.DataFrame:
    """One prospect like the best, as in `features/lookalikes`; none unless the test `is_sound`.

    Parameters
    ----------
    scored
        Of `score`, with orders and industry.
    traits
        Of `traits`.
    most
        Prospects on the list; those of score zero are on none.
    business
        The trait of a business customer, who gets the white paper of their industry (CLU-15).
    """
    first = scored[scored["score"] > 0] if is_sound else scored.iloc[:0]
    first = first.sort_values(["score", "customer_id"], ascending=[False, True]).head(most)
    firms = traits.loc[traits["trait"] == business, "customer_id"]
    is_firm = first["customer_id"].isin(firms) & first["industry"].notna()
    offer = np.select([is_firm, first["orders"] == 0], LOOKALIKE_OFFERS[:2], LOOKALIKE_OFFERS[2])
    made = first.assign(rank=range(1, len(first) + 1), offer=offer)
    made = made.astype({"rank": "int64", "offer": "str", "reasons": "str"})
    return made[lookup("features/lookalikes").names].reset_index(drop=True)


def facts(
    buyers: pd.DataFrame, traits: pd.DataFrame, prospects: pd.DataFrame, weights: pd.DataFrame
) -> dict:
    """Metrics of what there is to learn from."""
    known = traits[traits["customer_id"].isin(buyers["customer_id"])]
    return {
        "buyers": len(buyers),
        "best": int(buyers["is_best"].sum()),
        "traits": int(known["trait"].nunique()),
        "telling": len(weights),
        "prospects": len(prospects),
        "first_trait": str(weights["trait"].iloc[0]) if len(weights) else "",
    }


def list_facts(made: pd.DataFrame, *, least: int = 5) -> dict:
    """Metrics of the list: how long it is, and how many get which offer; None if some are few."""
    counts = made["offer"].value_counts()
    sizes = [int(counts.get(offer, 0)) for offer in LOOKALIKE_OFFERS]
    names = ("white_papers", "newcomers", "seconds")
    told = {name: disclosure.few(size, least) for name, size in zip(names, sizes, strict=True)}
    if None in told.values():  # with the others it could be worked out
        told = dict.fromkeys(names)
    return {"listed": disclosure.few(len(made), least), **told}


def shown(weights: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """One trait that tells, for the page: buyers with it, and the share of them that are best."""
    rows = weights.assign(best_share=weights["best"] / weights["buyers"])
    rows = rows[["trait", "buyers", "best_share", "times_all", "weight"]]
    rows = disclosure.suppress(rows, count="buyers", by=["trait"], along=[], least=least)
    return disclosure.suppress_part(rows, part="best_share", of="buyers", by=["trait"], along=[],
                                    hide=["times_all", "weight"], least=least)  # fmt: skip


def answer(found: dict) -> str:
    """The sentence that opens the page."""
    if not found["traits"]:
        return (
            "**Nothing is known of customers before they buy**, so nobody can be found who is "
            "like the best: the source brings neither forms nor interests."
        )
    if not found["telling"]:
        return (
            "**No trait tells the best from other buyers among those who came first**: of "
            "{traits} that were known before a purchase, none stands out beyond chance. So there "
            "is no list."
        )
    if found["lift"] is None:
        return (
            "**Too few came later to test what the best share**, or too few of them are of high "
            "value. So there is no list."
        )
    if not found["is_sound"]:
        return (
            "**What the best share does not find new ones**: among {later} buyer[s] who "
            "came later, those most like the best were of high value {lift:num} times as "
            "often as any, which luck explains as well. So there is no list."
        )
    if not found["listed"]:
        return (
            "**Hardly any prospect is like our best customers**, though what these share finds "
            "new ones: {lift:num} times as many of high value as among any who came later."
        )
    return (
        "**{listed} prospect[s] [is|are] like our best customers.** Put to the test on {later} "
        "buyer[s] who came later, customers like these were of high value {lift:num} times "
        "as often as any; the true figure lies between {lift_low:num} and {lift_high:num}."
    )


def test_note(found: dict) -> str:
    """What the test found."""
    if not found["telling"]:
        return "With no trait to go by there is nothing to test."
    if found["lift"] is None:
        return "Too few came later, or are of high value, to tell of the test."
    return (
        "Of the {later} buyer[s] who came later, {top_share:pct} stand at the top by score; "
        "{found_share:pct} of those of high value are among them. By luck alone as many would be "
        "there with a probability of {p_value:num3}."
    )


def traits_tile(found: dict) -> tuple[str, str]:
    """How many traits tell, or that none is known."""
    if not found["traits"]:
        return ("none known", "nothing is recorded of customers before they buy")
    return ("{telling}", "of {traits} known before a purchase")


def lift_tile(found: dict) -> tuple[str, str]:
    """How well the list finds the best, or that it was not put to the test."""
    if not found["top"] or not found["later_best"]:  # none, or few
        return ("not tested", "no later buyers whom a trait tells from others")
    return ("{lift:num}", "among buyers who came later")


def list_tile(found: dict) -> tuple[str, str]:
    """How many are on the list, or that there is none."""
    if not found["listed"]:
        return ("no list", "nobody is surely like the best, or hardly anybody")
    return ("{listed}", "like the best")


def marketing_note(found: dict) -> str:
    """What marketing send to whom."""
    if not found["listed"]:
        return "Marketing: nothing to send. There is no list, or hardly anybody on it."
    if found["newcomers"] is None:
        return (
            "**Marketing: write to the {listed} prospect[s] of the list, from the top**: to who "
            "has not bought with a newcomer coupon, to who bought once with a reason for the "
            "second purchase, to businesses with the white paper on their industry "
            "(行业解决方案白皮书). Leave a part without a message, to see what it does."
        )
    return (
        "**Marketing: write to the {listed} prospect[s] of the list, from the top.** {newcomers} "
        "who [has|have] not bought get[s|] a newcomer coupon, {seconds} who bought once a reason "
        "for the second purchase, {white_papers} who buy for a company get the white paper "
        "on its industry (行业解决方案白皮书). Leave a part without a message, to see what it "
        "does."
    )
