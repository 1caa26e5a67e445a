"""Recency, frequency and monetary value of every customer, their scores, and the value tier.

*Recency* is days from the last purchase to `as_of`; *frequency* counts purchases and *monetary*
sums spend, net of returns, in a window of days that ends on `as_of` and is open at its start
(Q-04). A *purchase* is an order with an amount above zero that later returns did not cancel whole.
Scores run from 0 to 100, higher is better (RFM-02). The four tiers and "no purchase" follow the
rules RFM-03…06 and RFM-10, tested in that order, so each customer has exactly one.

Who may not be analysed is measured nowhere here, and a *contact list* holds only customers who
may be addressed; `features/permits` decides both (PRV-07).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from crm import disclosure
from crm.tables import PURPOSES, lookup

if TYPE_CHECKING:
    import ibis

SENT_BACK = 0.25  # of sales: from here on a complaint is likelier than a customer who left
LARGEST = 10  # accounts with which to begin
YEAR_DAYS = 365
MONTH_DAYS = 30  # purchases a month = purchases in the window ÷ (window days ÷ 30)
NO_PURCHASE = "no purchase"  # RFM-10
ACTIONS = {  # RPT-09…11, RFM-09: what each tier asks for, and who does it
    "high value": "account manager visits each quarter; early access to new products",
    "potential": "coupon above a spending threshold, good-value bundles: more often, and more",
    "general": "no special action; watch which way they move",
    "at risk": "the valuable ones: learn the reason by a call, then a return voucher; the "
    "others: a recall offer",
    "no purchase": "learn why no order stood, or guide to a first one",
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
        customer_id, first_order_on, last_order_on, recency_days (−1 if never bought), frequency
        and monetary (in the window), orders, spend (all history, net), sales (all history,
        before returns).
    """
    import ibis

    start = as_of - timedelta(days=window_days)
    bought = _purchases(orders, returns, as_of=as_of, start=start)
    undone = _returned(returns, as_of=as_of, start=start)
    joined = customers.select("customer_id").left_join(bought, "customer_id")
    joined = joined.drop("customer_id_right").left_join(undone, "customer_id")
    filled = {
        name: joined[name].fill_null(0)
        for name in (*bought.columns, *undone.columns)
        if name not in ("customer_id", "first_order_on", "last_order_on")
    }
    gap = ibis.literal(as_of).delta(joined.last_order_on, unit="day")
    return joined.select(
        "customer_id",
        "first_order_on",
        "last_order_on",
        recency_days=gap.fill_null(-1).cast("int64"),
        frequency=filled["frequency"].cast("int64"),
        monetary=filled["recent"] - filled["returned_recently"],
        orders=filled["orders"].cast("int64"),
        spend=filled["net"] - filled["returned"],
        sales=filled["sales"],
    )


def permit(raw: pd.DataFrame, permits: pd.DataFrame) -> pd.DataFrame:
    """`raw` less who may not be analysed, with `may_contact`: who may stand on a list (PRV-07).

    Parameters
    ----------
    raw
        One customer.
    permits
        `features/permits`; a customer who is not in it is permitted nothing.

    Examples
    --------
    >>> raw = pd.DataFrame({"customer_id": ["b", "a"]})
    >>> rows = [("a", "analysis", True), ("b", "analysis", True), ("a", "marketing", True)]
    >>> permits = pd.DataFrame(rows, columns=["customer_id", "purpose", "allowed"])
    >>> permit(raw, permits)["may_contact"].tolist()
    [False, True]
    """
    allowed = permits[permits["allowed"]]
    analysed, addressed = (
        allowed.loc[allowed["purpose"] == purpose, "customer_id"] for purpose in PURPOSES[:2]
    )
    known = raw[raw["customer_id"].isin(analysed)].reset_index(drop=True)
    return known.assign(may_contact=known["customer_id"].isin(addressed))


def season(*, as_of: date, days: int = 30, holidays: list[tuple[str, str, float]] = ()) -> dict:
    """The holiday whose factor is in force at `as_of`, and until when (RFM-16, Q-35).

    After a major holiday people buy less, or more, for a while, so the limits of frequency are
    multiplied by a factor from the day after its last day on. Of several in force counts the one
    that ended last, and of those that ended together the one listed first.

    Parameters
    ----------
    as_of
        Reference date.
    days
        Days after the last day of a holiday in which its factor holds: last < date ≤ last + days.
    holidays
        Name, last day and factor; the day as year-month-day, or month-day where it is the same
        every year.

    Raises
    ------
    RfmError
        A day that is no date, or a factor that is not above zero.

    Examples
    --------
    >>> found = season(as_of=date(2023, 10, 31), holidays=[("National Day", "10-07", 1.5)])
    >>> found["season_factor"], found["season_holiday"], str(found["season_until"])
    (1.5, 'National Day', '2023-11-06')
    """
    ends = [(day, name, factor) for name, text, factor in holidays
            for day in _ends(name, text, factor, as_of)]  # fmt: skip
    ends = [end for end in ends if end[0] < as_of <= end[0] + timedelta(days=days)]
    last, name, factor = max(ends, key=lambda end: end[0], default=(as_of, "", 1.0))
    return {
        "season_factor": float(factor),
        "season_holiday": name,
        "season_until": last + timedelta(days=days) if name else "",
        "season_days": days,
        "season_holidays": len({name for name, _, _ in holidays}),
        "season_undated": ", ".join(_undated(holidays, as_of)),
    }


def in_force(params: dict, factor: float) -> dict:
    """`params` of this module with the limits of frequency multiplied by `factor` (RFM-16).

    These are the purchases of the anchors and those a month of the rule by raw values. With a
    factor of 1 nothing is touched.

    Examples
    --------
    >>> params = {"score": {"f_anchors": [[0, 0], [8, 80]]}, "flag": {"monthly_purchases": 3}}
    >>> in_force(params, 1.5)["score"], in_force(params, 1.5)["flag"]
    ({'f_anchors': [[0.0, 0], [12.0, 80]]}, {'monthly_purchases': 4.5})
    """
    if factor == 1:
        return params
    anchors = [[value * factor, points] for value, points in params["score"]["f_anchors"]]
    monthly = params["flag"]["monthly_purchases"] * factor
    return params | {
        "score": params["score"] | {"f_anchors": anchors},
        "flag": params["flag"] | {"monthly_purchases": monthly},
    }


def then(params: dict, at: date) -> dict:
    """The parameters of `score` as they were in force at a date of history (RFM-16, RFM-17)."""
    return in_force(params, season(as_of=at, **params["season"])["season_factor"])["score"]


def score(
    raw: pd.DataFrame,
    *,
    method: Literal["anchor", "percentile"] = "anchor",
    r_anchors: list[tuple[float, float]] = ((0, 100), (11, 90), (56, 70), (108, 30), (180, 0)),
    f_anchors: list[tuple[float, float]] = ((0, 0), (1, 25), (4, 65), (9, 85), (15, 100)),
    m_anchors: list[tuple[float, float]] = (
        (0, 0),
        (800, 20),
        (2500, 40),
        (15000, 88),
        (30000, 100),
    ),
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
    good_score: float = 60,
) -> pd.DataFrame:
    """`scored` with `is_high_rfm_raw`, `is_dormant` and `is_lapsing_valuable`.

    High by raw values (RFM-08): bought within `recent_days`, at least `monthly_purchases` a month
    in the window, order value strictly above `order_value`. Dormant (RFM-09): no purchase for
    `dormant_days` or more. Lapsing, valuable (Q-03): dormant, yet either a frequency or monetary
    score of at least `good_score`, or spend over all history among the top `valuable_share` of
    buyers; the tier rules alone would not tell them from any other.
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
    limit = valuable_from(scored, share=valuable_share)
    good = (scored[["f_score", "m_score"]].max(axis=1) >= good_score) | (
        (scored["spend"] >= limit) & (scored["spend"] > 0)
    )
    dormant = scored["recency_days"] >= dormant_days
    return scored.assign(
        is_high_rfm_raw=raw,
        is_dormant=dormant,
        is_lapsing_valuable=dormant & good,
    )


def valuable_from(scored: pd.DataFrame, *, share: float = 0.2) -> float:
    """Spend over all history from which a buyer is among the top `share`; 0 if nobody bought."""
    spend = scored.loc[scored["recency_days"] >= 0, "spend"]
    return float(spend.quantile(1 - share, interpolation="higher")) if len(spend) else 0.0


def rules(score: dict, tier: dict) -> dict:
    """What the tier limits mean in days, purchases and money; empty for other methods.

    The anchors are read backwards: the value at which each score reaches its limit.

    Examples
    --------
    >>> found = rules({"method": "anchor", "r_anchors": [[0, 100], [100, 0]],
    ...                "f_anchors": [[0, 0], [10, 100]], "m_anchors": [[0, 0], [1000, 100]]},
    ...               {"high": 80, "potential": 60, "at_risk": 40})
    >>> found["high_days"], found["high_orders"], found["high_money"], found["risk_days"]
    (20, 8, 800.0, 60)
    """
    if score["method"] != "anchor":
        return {}
    days, orders, money = (
        _inverse(score[name]) for name in ("r_anchors", "f_anchors", "m_anchors")
    )
    return {
        "high_days": int(days(tier["high"])),
        "high_orders": int(np.ceil(orders(tier["high"]))),
        "high_money": float(money(tier["high"])),
        "potential_days": int(days(tier["potential"])),
        "potential_orders": int(np.ceil(orders(tier["potential"]))),
        "risk_days": int(days(tier["at_risk"])),
    }


def rules_note(score: dict) -> str:
    """The sentence that tells the tier limits in business terms."""
    if score["method"] != "anchor":
        return "Scores are ranks among buyers, so the limits move with the customers themselves."
    return (
        "In plain terms: **high value** means bought within {high_days:days}, at least "
        "{high_orders} purchase[s] and {high_money:money} in {window_days:days}; **potential** "
        "means within {potential_days:days}, at least {potential_orders} purchase[s] and under "
        "{high_money:money}; **at risk** means silent for more than {risk_days:days}."
    )


def season_note(found: dict) -> str:
    """Which factor is in force at the reference date, and why (RFM-16)."""
    if not found["season_holidays"]:
        return "No holidays are listed, so the limits of frequency are the same all year."
    if found["season_undated"]:
        return (
            "**Marketing: add the newest date of {season_undated} to the calendar of holidays.** "
            "The parameters list none in the year before {as_of:date}, so its factor cannot hold."
        )
    if not found["season_holiday"]:
        return (
            "No holiday that is listed ended in the {season_days:days} before {as_of:date}, so "
            "the limits of frequency are those of the whole year."
        )
    if found["season_factor"] == 1:
        return (
            "{season_holiday} ended in the {season_days:days} before {as_of:date}. No factor of "
            "its own is set, so the limits of frequency are those of the whole year."
        )
    return (
        "**After {season_holiday}, until {season_until:date}, the limits of frequency are "
        "multiplied by {season_factor:num2}**; the figures above hold it already."
    )


def raw_note(found: dict) -> str:
    """The rule by raw values in words, and whom it finds (RFM-08)."""
    if not found["raw_high"]:
        return (
            "No customer passes the stricter rule without scores: a purchase within "
            "{recent_days:days}, at least {monthly_purchases} purchase[s] a month and more than "
            "{order_value:money} an order, both on average over the last {window_days:days}."
        )
    if not found["raw_outside"]:
        return (
            "{raw_high} of the {high_value_customers} high-value customer[s] pass[es|] a stricter "
            "rule, too: a purchase within {recent_days:days}, at least {monthly_purchases} "
            "purchase[s] a month and more than {order_value:money} an order, both on average over "
            "the last {window_days:days}. Nobody else does."
        )
    return (
        "A stricter rule without scores asks for a purchase within {recent_days:days}, at least "
        "{monthly_purchases} purchase[s] a month and more than {order_value:money} an order, both "
        "on average over the last {window_days:days}. {raw_high} customer[s] pass[es|] it; "
        "{raw_outside} of them [is|are] outside the high-value tier."
    )


def summarise(tiers: pd.DataFrame) -> pd.DataFrame:
    """One tier: customers, spend and their shares, mean scores, the action (RFM-11).

    `may_be_contacted` counts those of its customers who may stand on a list (PRV-07).
    """
    groups = tiers.groupby("tier").agg(
        customers=("customer_id", "size"), spend=("spend", "sum"), monetary=("monetary", "sum"),
        may_be_contacted=("may_contact", "sum"),
        r_score=("r_score", "mean"), f_score=("f_score", "mean"), m_score=("m_score", "mean"),
    ).reindex([name for name in ACTIONS if (tiers["tier"] == name).any()])  # fmt: skip
    shares = {
        "customer_share": groups["customers"] / max(len(tiers), 1),
        "spend_share": groups["spend"] / groups["spend"].sum(),
    }
    summary = groups.assign(**shares, action=[ACTIONS[name] for name in groups.index])
    columns = ["customers", "customer_share", "spend", "spend_share", "monetary", "r_score",
               "f_score", "m_score", "may_be_contacted", "action"]  # fmt: skip
    return summary[columns].rename_axis("tier").reset_index()


def told(summary: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """`summary` without the tiers of under `least` customers, and those that give them away."""
    return disclosure.suppress(summary, by=["tier"], least=least)


def asked(summary: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """One tier that `told` left: customers, how many of them may be contacted, the action."""
    columns = ["tier", "customers", "may_be_contacted", "action"]
    part = "may_be_contacted"
    return disclosure.suppress_part(summary[columns], part=part, by=["tier"], least=least)


def concentration(amounts: pd.Series) -> pd.DataFrame:
    """One step of the concentration curve: the best `customer_share` make `sales_share` (RFM-12).

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
            "sales_share": running / max(running[-1], 1e-12),
        }
    )


def top_share(amounts: pd.Series, *, share: float = 0.2) -> float:
    """Share of all spend that the best `share` of customers make; 0 if nobody bought."""
    curve = concentration(amounts)
    step = round(share * (len(curve) - 1))
    return float(curve["sales_share"].iloc[step])


def facts(raw: pd.DataFrame) -> dict:
    """Metrics of the raw values: who cancelled everything, the median recency, one-time buyers."""
    bought = raw[raw["recency_days"] >= 0]
    return {
        "cancelled_all": int(((raw["sales"] > 0) & (raw["recency_days"] < 0)).sum()),
        "median_recency": _median(bought["recency_days"]),
        "once_share": float((bought["orders"] == 1).mean()) if len(bought) else 0.0,
    }


def tier_metrics(summary: pd.DataFrame) -> dict:
    """Customers, share of customers and share of spend of each tier, 0 for a tier without any.

    Of a hidden tier there are none of them.
    """
    tiers = summary.set_index("tier")
    found = {}
    for name in ACTIONS:
        row = tiers.loc[name] if name in tiers.index else dict.fromkeys(tiers.columns, 0)
        for column, kind in (
            ("customers", int),
            ("customer_share", float),
            ("spend_share", float),
        ):
            value = None if pd.isna(row[column]) else kind(row[column])
            found[f"{name.replace(' ', '_')}_{column}"] = value
    return found


def flag_metrics(tiers: pd.DataFrame) -> dict:
    """How many customers carry each flag, and what the lapsing ones spent."""
    silent = tiers[tiers["is_lapsing_valuable"]]
    high = tiers["is_high_rfm_raw"]
    spend = float(tiers["spend"].sum())
    return {
        "lapsing": len(silent),
        "lapsing_spend": float(silent["spend"].sum()),
        "lapsing_spend_share": float(silent["spend"].sum()) / spend if spend else 0.0,
        "lapsing_median": _median(silent["spend"]),
        "lapsing_silence": _median(silent["recency_days"]),
        "dormant": int(tiers["is_dormant"].sum()),
        "raw_high": int(high.sum()),
        "raw_outside": int((high & (tiers["tier"] != "high value")).sum()),
        "dormant_at_risk": int((tiers["is_dormant"] & (tiers["tier"] == "at risk")).sum()),
        "high_value_median": _median(tiers.loc[tiers["tier"] == "high value", "spend"]),
        "other_median": _median(
            tiers.loc[(tiers["tier"] != "high value") & (tiers["recency_days"] >= 0), "spend"]
        ),
    }


def contacts(tiers: pd.DataFrame, *, least: int = 5) -> dict:
    """Metrics of the contact lists: who is on them, and who is left out (PRV-07).

    Fewer than `least` who are left out are not counted.
    """
    lists = {
        "called": tiers["is_lapsing_valuable"],
        "cared": tiers["tier"] == "high value",
        "offered": tiers["is_dormant"] & ~tiers["is_lapsing_valuable"],
        "invited": (tiers["orders"] == 1) & (tiers["frequency"] == 1),
    }
    found = {"may_contact": int(tiers["may_contact"].sum())}
    for name, who in lists.items():
        found |= {
            name: int((who & tiers["may_contact"]).sum()),
            f"{name}_left_out": disclosure.few(int((who & ~tiers["may_contact"]).sum()), least),
        }
    calls, visits = lapsing(tiers), best(tiers)
    spend = float(tiers["spend"].sum())
    return found | {
        "called_sent_back": int(calls["sent_back"].sum()),
        "cared_first": min(LARGEST, len(visits)),
        "cared_first_share": float(visits["spend"].head(LARGEST).sum()) / spend if spend else 0.0,
        "called_spend": float(calls["spend"].sum()),
        "called_median": _median(calls["spend"]),
        "called_silence": _median(calls["recency_days"]),
    }


def analysed_note(found: dict) -> str:
    """How many customers are left out of the whole page."""
    if not found["not_analysed"]:
        return "Every customer may be analysed."
    return (
        "{not_analysed} customer[s] may not be analysed, since they refused or never agreed; they "
        "are in no figure and no list of this page."
    )


def consent_note(found: dict) -> str:
    """Who may be contacted, before any list is read (PRV-07)."""
    if not found["may_contact"]:
        return (
            "**Nobody may be contacted yet, so every list is empty.** The page on consent says "
            "what is missing. With permission there would be {called_left_out} customer[s] to "
            "call, {cared_left_out} to visit, {offered_left_out} to recall and "
            "{invited_left_out} to invite."
        )
    return (
        "{may_contact} of {customers} customer[s] may be contacted at {as_of:date}, on the "
        "grounds that the page on consent gives. The lists and counts below hold nobody else. "
        "Left out: {called_left_out} to call, {cared_left_out} to visit, {offered_left_out} to "
        "recall and {invited_left_out} to invite."
    )


def call_note(found: dict) -> str:
    """What sales have to do about lapsing, valuable customers."""
    if not found["called"]:
        return (
            "Sales: nobody to call. {called_left_out} customer[s] [is|are] valuable and "
            "silent, but may not be contacted."
        )
    if not found["called_sent_back"]:
        return (
            "**Sales: call the {called} lapsing, valuable customer[s] who may be contacted**, "
            "those with most spend first. They brought {called_spend:money}; half of them more "
            "than {called_median:money}, and half have been silent for more than "
            "{called_silence:days}."
        )
    return (
        "**Sales: call the {called} lapsing, valuable customer[s] who may be contacted**, those "
        "with most spend first. They brought {called_spend:money}; half of them more than "
        "{called_median:money}, and half have been silent for more than {called_silence:days}. "
        "{called_sent_back} of them sent back a quarter or more of what they bought and stand "
        "last: settle that before you call."
    )


def care_note(found: dict) -> str:
    """What account managers have to do about customers of high value."""
    if not found["cared"]:
        return (
            "Account managers: nobody to visit. {cared_left_out} customer[s] of high value "
            "may not be contacted."
        )
    return (
        "**Account managers: share out the {cared} high-value customer[s] who may be contacted.** "
        "The tier brings {high_value_spend_share:pct} of what named customers spent, the "
        "{cared_first} largest alone {cared_first_share:pct}: begin with these. Its median "
        "customer spent {high_value_median:money}, against {other_median:money} for all other "
        "buyers."
    )


def invite_note(found: dict) -> str:
    """What marketing have to do about new and dormant customers."""
    if not found["invited"] + found["offered"]:
        return (
            "Marketing: nobody to write to. {invited_left_out} new and {offered_left_out} "
            "dormant customer[s] may not be contacted."
        )
    return (
        "**Marketing: invite {invited} customer[s] whose only purchase lies in the last "
        "{window_days:days} to a second one**, and send the {offered} dormant customer[s] who "
        "[is|are] not called a recall offer, once somebody has looked at what it offers. All of "
        "them may be contacted."
    )


def agreement(tiers: pd.DataFrame, other: pd.DataFrame) -> dict:
    """Share of customers, and of high-value ones, whom another method leaves in their tier."""
    same = other["tier"] == tiers["tier"]
    high = tiers["tier"] == "high value"
    return {
        "same_tier_share": float(same.mean()) if len(same) else 1.0,
        "same_high_share": float(same[high].mean()) if high.any() else 1.0,
    }


def lapsing(tiers: pd.DataFrame) -> pd.DataFrame:
    """One once valuable, now silent customer to call, by spend (Q-03, PRV-07).

    Who sent back at least `SENT_BACK` of what they bought stands last: something else is to be
    settled first.
    """
    listed = _listed(tiers[tiers["is_lapsing_valuable"] & tiers["may_contact"]])
    share = 1 - listed["spend"] / listed["sales"].where(listed["sales"] > 0)
    listed = listed.assign(sent_back=share >= SENT_BACK)
    return listed.sort_values("sent_back", kind="stable", ignore_index=True)


def best(tiers: pd.DataFrame) -> pd.DataFrame:
    """One high-value customer to visit, by spend (RFM-13, PRV-07)."""
    high = tiers[(tiers["tier"] == "high value") & tiers["may_contact"]]
    return _listed(high, "rfm", "frequency", "monetary")


def invited(tiers: pd.DataFrame) -> pd.DataFrame:
    """One customer whose only purchase lies in the window, to invite to a second (PRV-07)."""
    once = tiers[(tiers["orders"] == 1) & (tiers["frequency"] == 1) & tiers["may_contact"]]
    return _listed(once)


def offered(tiers: pd.DataFrame) -> pd.DataFrame:
    """One dormant customer to send an offer: not one to call (RFM-09, PRV-07)."""
    return tiers[tiers["is_dormant"] & ~tiers["is_lapsing_valuable"] & tiers["may_contact"]]


def dormant(tiers: pd.DataFrame, recall: pd.DataFrame) -> pd.DataFrame:
    """One dormant customer, by spend, with the products to offer in words (RFM-09).

    Who is on the list of lapsing, valuable customers is called and gets no offer beside.
    """
    unlike = recall.drop_duplicates(["customer_id", "product_name"])  # codes may share a name
    offers = unlike.groupby("customer_id")["product_name"].agg(", ".join)
    listed = _listed(offered(tiers))
    named = [offers.get(customer, "the newest products") for customer in listed["customer_id"]]
    return listed.assign(offer=pd.Series(named, listed.index, dtype="str"))


def quarters(
    raw: pd.DataFrame, *, as_of: date, window_days: int = 90, steps: int = 4
) -> list[date]:
    """`as_of` and the same day every three months before it, `steps` of them, in order.

    A date on which the first purchase is less than a window old would show how the data begin,
    not how customers changed, and is left out.

    Examples
    --------
    >>> raw = pd.DataFrame({"first_order_on": [pd.Timestamp("2023-05-02"), pd.NaT]})
    >>> [str(at) for at in quarters(raw, as_of=date(2023, 10, 31))]
    ['2023-07-31', '2023-10-31']
    """
    dates = [(pd.Timestamp(as_of) - pd.DateOffset(months=3 * k)).date() for k in range(steps + 1)]
    first = raw["first_order_on"].min()
    oldest = as_of if pd.isna(first) else first.date() + timedelta(days=window_days)
    return sorted({as_of, *(at for at in dates if at >= oldest)})


def remembered(scored: dict[date, pd.DataFrame], among: pd.DataFrame) -> pd.DataFrame:
    """One customer and date: scores and tier, as in `features/rfm_quarters` (RFM-17).

    The frames are made by the same functions at each date, from facts up to it; only customers
    who are `among` those analysed stay.
    """
    parts = [tiers.assign(at_on=pd.Timestamp(at)) for at, tiers in scored.items()]
    rows = pd.concat(parts, ignore_index=True)[lookup("features/rfm_quarters").names]
    rows = rows[rows["customer_id"].isin(among["customer_id"])]
    return rows.sort_values(["customer_id", "at_on"], ignore_index=True)


def settled(tiers: pd.DataFrame) -> pd.DataFrame:
    """`tiers` as in `features/rfm`, sorted by customer."""
    return tiers[lookup("features/rfm").names].sort_values("customer_id", ignore_index=True)


def recall(
    dormant: ibis.Table,
    items: ibis.Table,
    returns: ibis.Table,
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
    the `pool` best of the category. Sources without categories have one category for all. A
    product sells as well as in the weaker of two spans: lately, and over the year, brought to as
    many days; so the goods of a season that ends are not offered after it.
    """
    import ibis
    from ibis import _

    sold = _sold_goods(items, returns, products, as_of=as_of)
    theirs = sold.semi_join(dormant, "customer_id")
    start = as_of - timedelta(days=recent_days)
    year = sold.filter(_.ordered_at.date() > as_of - timedelta(days=YEAR_DAYS))
    sellers = _best_sellers(year, start=start, scale=recent_days / YEAR_DAYS)
    sellers = sellers.filter(_.place < pool)
    pairs = _preferred(theirs).inner_join(sellers, "category")
    pairs = pairs.anti_join(theirs, ["customer_id", "product_id"])
    rank = ibis.row_number().over(group_by="customer_id", order_by="place")
    offered = pairs.mutate(rank=rank + 1).filter(_.rank <= offers)
    return offered.select(
        "customer_id", "rank", "product_id", "product_name", category=_.category.nullif("")
    )


class RfmError(ValueError):
    """A parameter of this analysis cannot be used."""


def _ends(name: str, text: str, factor: float, as_of: date) -> list[date]:
    """The last day of a holiday; of one that comes every year, in this year and the last."""
    if not factor > 0:
        raise RfmError(
            f"rfm.season.holidays: the factor of {name} is {factor}; it must be above 0"
        )
    years = [f"{as_of.year - ago}-" for ago in (0, 1)] if len(text) == len("10-07") else [""]
    try:
        return [date.fromisoformat(f"{year}{text}") for year in years]
    except ValueError:
        raise RfmError(
            f"rfm.season.holidays: the last day of {name} is {text!r}; expected a date such as "
            "2023-01-27, or 10-07 for every year"
        ) from None


def _undated(holidays: list[tuple[str, str, float]], as_of: date) -> list[str]:
    """Names of moving holidays whose newest date lies more than a year back."""
    oldest = str(as_of - timedelta(days=YEAR_DAYS + MONTH_DAYS))  # they move by up to a month
    names = {name: [text for other, text, _ in holidays if other == name] for name, *_ in holidays}
    return [
        name
        for name, days in names.items()
        if all(len(text) > len("10-07") and text < oldest for text in days)
    ]


def _purchases(orders: ibis.Table, returns: ibis.Table, *, as_of: date, start: date) -> ibis.Table:
    """One customer with orders: what was bought, less the lines cancelled by `as_of`."""
    import ibis
    from ibis import _

    known = returns.filter(returns.returned_at.date() <= as_of, returns.reverses.notnull())
    cancelled = known.group_by(order_id=_.reverses).agg(cancelled=_.amount.sum())
    placed = orders.filter(
        orders.ordered_at.date() <= as_of, orders.customer_id.notnull(), orders.amount > 0
    ).left_join(cancelled, "order_id")
    net = placed.amount - placed.cancelled.fill_null(0)
    placed = placed.mutate(day=placed.ordered_at.date(), net=net, stands=net > 0)
    is_recent = placed.day > start
    return placed.group_by("customer_id").agg(
        first_order_on=_.day.min(where=_.stands),
        last_order_on=_.day.max(where=_.stands),
        orders=_.stands.sum(),
        frequency=ibis.ifelse(is_recent & placed.stands, 1, 0).sum(),
        net=_.net.sum(),
        recent=_.net.sum(where=is_recent),
        sales=_.amount.sum(),
    )


def _returned(returns: ibis.Table, *, as_of: date, start: date) -> ibis.Table:
    """One customer with returns that cancel no whole line: their sums, booked when they came."""
    from ibis import _

    day = returns.returned_at.date()
    loose = returns.filter(day <= as_of, returns.customer_id.notnull(), returns.reverses.isnull())
    return loose.group_by("customer_id").agg(
        returned=_.amount.sum(),
        returned_recently=_.amount.sum(where=loose.returned_at.date() > start),
    )


def _sold_goods(
    items: ibis.Table, returns: ibis.Table, products: ibis.Table, *, as_of: date
) -> ibis.Table:
    """One line of goods that a named customer bought and, by `as_of`, had not cancelled."""
    from ibis import _

    goods = products.filter("is_product").select("product_id", "product_name", "category")
    cancelled = returns.filter(
        returns.returned_at.date() <= as_of, returns.reverses_line.notnull()
    )
    sold = items.filter(
        items.ordered_at.date() <= as_of, items.amount > 0, items.customer_id.notnull()
    ).anti_join(cancelled, items.line == cancelled.reverses_line)
    return sold.inner_join(goods.mutate(category=_.category.fill_null("")), "product_id")


def _preferred(sold: ibis.Table) -> ibis.Table:
    """One customer and the category with the largest spend, then most lines, then first code."""
    import ibis
    from ibis import _

    liked = sold.group_by("customer_id", "category").agg(spend=_.amount.sum(), lines=_.count())
    order = [ibis.desc("spend"), ibis.desc("lines"), "category"]
    place = ibis.row_number().over(group_by="customer_id", order_by=order)
    return liked.mutate(place=place).filter(_.place == 0).select("customer_id", "category")


def _best_sellers(sold: ibis.Table, *, start: date, scale: float) -> ibis.Table:
    """One product sold after `start` and its place in its category by buyers, ties by code.

    Buyers are those after `start`, or those of all lines times `scale` where they are fewer.
    """
    import ibis
    from ibis import _

    is_recent = sold.ordered_at.date() > start
    sellers = sold.group_by("category", "product_id", "product_name").agg(
        recent=_.customer_id.nunique(where=is_recent), steady=_.customer_id.nunique() * scale
    )
    sellers = sellers.filter(_.recent > 0).mutate(buyers=ibis.least(_.recent, _.steady))
    order = [ibis.desc("buyers"), "product_id"]
    return sellers.mutate(place=ibis.row_number().over(group_by="category", order_by=order))


def _median(values: pd.Series) -> float:
    return float(values.median()) if len(values) else 0.0


def _listed(some: pd.DataFrame, *more: str) -> pd.DataFrame:
    dates = ["customer_id", "first_order_on", "last_order_on", "recency_days"]
    columns = [*dates, "orders", "sales", "spend", *more]
    listed = some.sort_values(["spend", "customer_id"], ascending=[False, True])[columns]
    # beside the purchases in the window, "Orders" alone would not say what it counts
    return listed.rename(columns={"orders": "purchases_in_all"})


def _anchored(values: pd.Series, anchors: list, name: str) -> pd.Series:
    points = np.asarray(anchors, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2 or (np.diff(points[:, 0]) <= 0).any():
        raise RfmError(
            f"rfm.score.{name} must be pairs [value, score] with rising values, found {anchors}"
        )
    scores = np.interp(values.astype(float), points[:, 0], points[:, 1])
    return pd.Series(scores, values.index)


def _inverse(anchors: list):
    """The value at which a score is reached, by the same lines read backwards."""
    points = np.asarray(anchors, dtype=float)
    points = points[np.argsort(points[:, 1])]
    return lambda score: round(float(np.interp(score, points[:, 1], points[:, 0])), 9)


def _midrank(values: pd.Series, buyers: pd.Series) -> pd.Series:
    ranks = values[buyers].rank(method="average")
    return (100 * (ranks - 0.5) / max(len(ranks), 1)).reindex(values.index).fillna(0.0)


def _whole(scores: pd.Series) -> pd.Series:
    return np.floor(scores + 0.5).astype(int).astype("str")
