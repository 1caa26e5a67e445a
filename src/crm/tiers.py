"""How customers move between value tiers, where they stand in life, and where the effort goes.

A *move* compares the tier of a customer at two dates, both by the same rules and from facts up to
each, so nothing but purchases moves anybody: up or down the order of tiers, or not at all. Who had
bought nothing by the earlier date *began* to buy. *Spend* of a move is what its customers spent
over all history, net of returns (RFM-17).

*Effort* is what customers are given: cases of service, messages of campaigns, and their cost where
the source brings it. It is set beside spend in a window of days that ends on `as_of`, so that
resources can be moved to where they are worth more (RFM-15, KPI-20); no customer is served worse
for it. Small cells are hidden, and totals are sums of what may be shown. Who may not be analysed
is in no figure (PRV-07).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crm import disclosure, wording
from crm.tables import LIFECYCLE, MOVES, NO_MOVE, TIERS, lookup

if TYPE_CHECKING:
    import ibis

NO_PURCHASE = TIERS[-1]
UP, STAYED, DOWN, BEGAN = MOVES[:4]
GROUPS = ("highest spend", "middle", "lowest spend", "nothing net in the window")  # RFM-15
LEAST = GROUPS[2]
ORDERS = {"tier_before": TIERS, "tier": TIERS, "lifecycle": LIFECYCLE}
EFFORTS = ("cases", "messages", "marketing_cost", "service_cost")
SERVICE = "service"  # the kind of cost in finance
HALF = 0.5  # of buyers whose registration must be known, to take new at its word
UPPER = TIERS[:2]  # whoever leaves these is won back first (RFM-17)


def moved(
    tiers: pd.DataFrame, history: pd.DataFrame, *, as_of: date, quarters: int = 1
) -> pd.DataFrame:
    """One customer: tier at `as_of`, tier some quarters before (`tier_before`), and the move.

    Parameters
    ----------
    tiers, history
        `features/rfm` and `features/rfm_quarters`.
    as_of
        The later date.
    quarters
        Quarters between the two dates; where the history is shorter nobody has an earlier tier.

    Returns
    -------
    pandas.DataFrame
        customer_id, spend, tier, tier_before (empty without a history) and move.
    """
    now = tiers[["customer_id", "tier", "spend"]].sort_values("customer_id", ignore_index=True)
    before = history[history["at_on"] == pd.Timestamp(earlier(as_of, quarters))]
    before = before[["customer_id", "tier"]].rename(columns={"tier": "tier_before"})
    made = now.merge(before, "left", "customer_id")
    if len(before):
        made = made.fillna({"tier_before": NO_PURCHASE})
    return made.assign(move=_move(made["tier_before"], made["tier"]))


def earlier(as_of: date, quarters: int) -> date:
    """The same day some quarters before, or the last day of a month that has no such day.

    Examples
    --------
    >>> str(earlier(date(2023, 5, 31), 1))
    '2023-02-28'
    """
    return (pd.Timestamp(as_of) - pd.DateOffset(months=3 * quarters)).date()


def matrix(moved: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """One pair of tiers, then and now: customers, spend and its share, empty cells too (RFM-17).

    The share is that of the tier then, empty where a tier had no spend. Since `moves` tells the
    total of each move, too, more cells may be hidden beside small ones.
    """
    pairs = pd.MultiIndex.from_product([TIERS, TIERS], names=["tier_before", "tier"])
    cells = moved.groupby(["tier_before", "tier"]).agg(
        customers=("customer_id", "size"), spend=("spend", "sum")
    )
    made = cells.reindex(pairs, fill_value=0).reset_index()
    move = _move(made["tier_before"], made["tier"])
    whole = made.groupby("tier_before")["spend"].transform("sum")
    made["spend_share"] = made["spend"] / whole.where(whole > 0)
    made = made.assign(move=move.where(move != NO_MOVE))  # of these no total is told
    by = ["tier_before", "tier"]
    return disclosure.suppress(made, by=by, least=least, groups=["move"])


def moves(moved: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """One move: customers who have bought by now or then, their spend, and shares of both."""
    told = moved[moved["move"] != NO_MOVE].groupby("move")
    made = told.agg(customers=("customer_id", "size"), spend=("spend", "sum"))
    made = made.reindex(MOVES[:4], fill_value=0).rename_axis("move").reset_index()
    made = made.assign(
        customer_share=made["customers"] / (made["customers"].sum() or 1),
        spend_share=made["spend"] / (made["spend"].sum() or 1),
    )
    return disclosure.suppress(made, by=["move"], least=least)


def wide(matrix: pd.DataFrame, rows: str, columns: str, values: str = "customers") -> pd.DataFrame:
    """`matrix` with a row for each of `rows` and a column for each of `columns`.

    Columns of other values than customers are named by the last word of the measure.
    """
    order = [[v for v in ORDERS[name] if v in set(matrix[name])] for name in (rows, columns)]
    made = matrix.set_index([rows, columns])[values].unstack()  # noqa: PD010, a cell stands once
    made = made.reindex(index=order[0], columns=order[1])
    if values != "customers":
        made = made.add_suffix("_" + values.split("_")[-1])
    made.columns = [str(name).replace(" ", "_") for name in made.columns]
    return disclosure.again(made.reset_index(), matrix)


def staged(tiers: pd.DataFrame, profiles: pd.DataFrame) -> pd.DataFrame:
    """`tiers` with `lifecycle`, the stage of life; who is not known yet is a prospect, too."""
    known = profiles[["customer_id", "lifecycle"]]
    return tiers.merge(known, "left", "customer_id").fillna({"lifecycle": LIFECYCLE[0]})


def stages(staged: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """One tier and stage of life: customers and spend, empty cells too (RFM-19)."""
    pairs = pd.MultiIndex.from_product([TIERS, LIFECYCLE], names=["tier", "lifecycle"])
    cells = staged.groupby(["tier", "lifecycle"]).agg(
        customers=("customer_id", "size"), spend=("spend", "sum")
    )
    made = cells.reindex(pairs, fill_value=0).reset_index()
    return disclosure.suppress(made, by=["tier", "lifecycle"], least=least)


def effort(
    items: ibis.Table,
    returns: ibis.Table,
    tickets: ibis.Table,
    contacts: ibis.Table,
    campaigns: ibis.Table,
    finance: ibis.Table,
    *,
    as_of: date,
    days: int = 365,
) -> ibis.Table:
    """One customer who bought or was given something in the window: spend and effort (RFM-15).

    A message costs what its campaign cost, shared out over all whom it addressed. A measure that
    the source says nothing of is empty; who was left out of a campaign on purpose got no message.

    Parameters
    ----------
    items, returns, tickets, contacts, campaigns, finance
        Tables of the layer `tables`; what happened after `as_of` is ignored.
    as_of
        Reference date.
    days
        Length of the window: `as_of − days < date ≤ as_of`.
    """
    from ibis import _

    sent = _messages(contacts, campaigns, as_of=as_of)
    served = finance.filter(
        finance.kind == SERVICE, finance.product_id.isnull(), finance.day <= as_of
    )
    opened = tickets.filter(tickets.opened_at.date() <= as_of)
    window = {"as_of": as_of, "days": days}
    parts = [
        _part(items, items.ordered_at.date(), spend=items.amount, **window),
        _part(returns, returns.returned_at.date(), spend=-returns.amount, **window),
        _part(opened, opened.opened_at.date(), cases=1, **window),
        _part(sent, sent.day, messages=1, marketing_cost=sent.each, **window),
        _part(served, served.day, service_cost=served.cost, **window),
    ]
    rows = parts[0].union(*parts[1:])
    names = ("spend", *EFFORTS)
    total = rows.group_by("customer_id").agg(**{name: rows[name].sum() for name in names})
    known = opened.agg(knows_cases=_.count()).cross_join(
        sent.agg(knows_messages=_.count(), knows_marketing_cost=_.each.count())
    ).cross_join(served.agg(knows_service_cost=_.count()))  # fmt: skip
    total = total.cross_join(known)
    told = {name: (total[f"knows_{name}"] > 0).ifelse(total[name], None) for name in EFFORTS}
    return total.select("customer_id", "spend", **told).order_by("customer_id")


def grouped(tiers: pd.DataFrame, effort: pd.DataFrame, *, lowest: float = 0.1) -> pd.DataFrame:
    """`tiers` with effort and the group of spend in the window (RFM-15).

    The lowest group are the buyers whose spend in the window is at most that of the `lowest` share
    of them, the highest as many at the other end; equal amounts are never parted, so a group may
    be larger than its share.

    Examples
    --------
    >>> tiers = pd.DataFrame({"customer_id": ["a", "b", "c", "d"], "tier": ["general"] * 4})
    >>> effort = pd.DataFrame({"customer_id": ["a", "b", "c"], "spend": [9.0, 5.0, 1.0],
    ...     **{name: [None] * 3 for name in EFFORTS}})
    >>> grouped(tiers, effort, lowest=0.3)["group"].tolist()
    ['highest spend', 'middle', 'lowest spend', 'nothing net in the window']
    """
    who = tiers[["customer_id", "tier"]].sort_values("customer_id", ignore_index=True)
    made = who.merge(effort, "left", "customer_id")
    told = [name for name in EFFORTS if effort[name].notna().any()]
    made = made.fillna(dict.fromkeys(["spend", *told], 0)).astype({"spend": "float64"})
    buyers = made.loc[made["spend"] > 0, "spend"]
    low, high = (
        buyers.quantile(share, interpolation=way) if len(buyers) else 0.0
        for share, way in ((lowest, "lower"), (1 - lowest, "higher"))
    )
    rules = [made["spend"] <= 0, made["spend"] <= low, made["spend"] >= high]
    names = np.select(rules, [GROUPS[3], LEAST, GROUPS[0]], GROUPS[1])
    return made.assign(group=pd.Series(names, made.index, "str"))


def resources(grouped: pd.DataFrame, by: str, *, least: int = 5) -> pd.DataFrame:
    """One group of spend, or one tier: its shares of customers, of spend and of effort."""
    told = [name for name in EFFORTS if grouped[name].notna().any()]
    sums = grouped.groupby(by)[["spend", *told]].sum()
    made = grouped.groupby(by).agg(customers=("customer_id", "size"))
    made["customer_share"] = made["customers"] / max(len(grouped), 1)
    for name in sums:
        made[f"{name}_share"] = sums[name] / (sums[name].sum() or 1)
    order = [name for name in (GROUPS if by == "group" else TIERS) if name in made.index]
    made = made.reindex(order).rename_axis(by).reset_index()
    return disclosure.suppress(made, by=[by], least=least)


def facts(
    moved: pd.DataFrame, matrix: pd.DataFrame, moves: pd.DataFrame, *, as_of: date,
    quarters: int = 1,
) -> dict:  # fmt: skip
    """Metrics of the moves: customers, and shares of customers and spend."""
    rows = moves.set_index("move")
    found = {"customers": len(moved), "has_history": bool(moved["tier_before"].notna().any())}
    found["before_on"] = earlier(as_of, quarters) if found["has_history"] else ""
    for name, key in ((UP, "up"), (STAYED, "stayed"), (DOWN, "down"), (BEGAN, "began")):
        for column, kind in (
            ("customers", int),
            ("customer_share", float),
            ("spend_share", float),
        ):
            value = rows.loc[name, column]
            found[f"{key}_{column}"] = None if pd.isna(value) else kind(value)
    return found | {"hidden_cells": disclosure.hidden(matrix)}


def falls(
    moved: pd.DataFrame, matrix: pd.DataFrame, permits: pd.DataFrame, *, least: int = 5
) -> pd.DataFrame:
    """One pair of tiers that customers fell between, whom to win back first at the top (RFM-17).

    `contacts` may be addressed (PRV-07), empty where they, or the others, are few. First stand
    pairs with `least` contacts or more, of these such as begin in an upper tier, of these such
    with most spend a customer (`each`). What `matrix` hides is left out.
    """
    is_down = _move(matrix["tier_before"], matrix["tier"]) == DOWN
    made = matrix[is_down & (matrix["customers"].fillna(0) > 0)].reset_index(drop=True)
    may = permits[(permits["purpose"] == "marketing") & permits["allowed"]]["customer_id"]
    by = ["tier_before", "tier"]
    inside = moved[moved["customer_id"].isin(may)].groupby(by).size()
    numbers = [int(inside.get(pair, 0)) for pair in made[by].itertuples(index=False, name=None)]
    told = [disclosure.share(n, int(whole), least) is not None
            for n, whole in zip(numbers, made["customers"], strict=True)]  # fmt: skip
    contacts = pd.Series(numbers, made.index, "float64").where(told)
    made = made.assign(contacts=contacts, each=made["spend"] / made["customers"].astype("float64"),
                       is_upper=made["tier_before"].isin(UPPER))  # fmt: skip
    reached = (contacts >= least).to_numpy()
    place = np.lexsort([-made["each"].round(9), ~made["is_upper"], ~reached])
    return made.iloc[place].reset_index(drop=True)


def fall_facts(falls: pd.DataFrame) -> dict:
    """Metrics of the first of `falls`: who fell, their money, and how many may be contacted."""
    first = falls.iloc[0] if len(falls) else None
    is_none = first is None
    contacts = None if is_none or pd.isna(first["contacts"]) else int(first["contacts"])
    return {
        "fell_from": "" if is_none else first["tier_before"],
        "fell_to": "" if is_none else first["tier"],
        "fell_customers": 0 if is_none else int(first["customers"]),
        "fell_spend": 0.0 if is_none else float(first["spend"]),
        "fell_each": 0.0 if is_none else float(first["each"]),
        "fell_is_upper": not is_none and bool(first["is_upper"]),
        "fell_contacts": contacts,
    }


def registered(profiles: pd.DataFrame, *, as_of: date, new_days: int = 365) -> dict:
    """Metrics: how many buyers have a day of registration, and how far back purchases go.

    The data are young if they do not go back twice `new_days` (Q-19, Q-52): then who is new by
    the first purchase may have bought before the data begin.
    """
    buyers = profiles[profiles["first_order_on"].notna()]
    begin = buyers["first_order_on"].min()
    known = float(buyers["registered_on"].notna().mean()) if len(buyers) else 0.0
    return {
        "registered_share": known,
        "data_from": pd.Timestamp(begin).date() if len(buyers) else "",
        "is_young": bool(len(buyers)) and (pd.Timestamp(as_of) - begin).days < 2 * new_days,
    }


def effort_facts(grouped: pd.DataFrame, groups: pd.DataFrame) -> dict:
    """Metrics of effort: what is known of it, and the shares of the buyers who spent least."""
    row = groups.set_index("group").reindex([LEAST]).iloc[0]
    found = {"least_customers": 0 if LEAST not in set(groups["group"]) else row["customers"]}
    for name in ("spend", *EFFORTS):
        column = f"{name}_share"
        found[f"least_{column}"] = float(row[column]) if column in groups else None
    told = [name.replace("_", " ") for name in EFFORTS if grouped[name].notna().any()]
    number = found["least_customers"]
    given = {name.replace("_", " "): found[f"least_{name}_share"] for name in EFFORTS}
    given = {name: share for name, share in given.items() if share is not None}
    takes = [f"{wording.form(share, 'pct')} of {name}" for name, share in given.items()]
    brought = found["least_spend_share"]
    return found | {
        "least_takes": " and ".join(takes),
        "least_takes_more": any(share > brought for share in given.values()),
        "least_customers": None if pd.isna(number) else int(number),
        "known_effort": ", ".join(told),
        "unknown_effort": ", ".join(
            name.replace("_", " ") for name in EFFORTS if grouped[name].isna().all()
        ),
    }


def answer(found: dict) -> str:
    """The sentence that opens the page."""
    if not found["has_history"]:
        return (
            "**How customers move cannot be told yet**: the data are too young for an earlier "
            "date with a full window before it."
        )
    if any(found[f"{key}_customers"] is None for key in ("up", "stayed", "down", "began")):
        return (
            "**Few customers moved since {before_on:date}**, or all but a few did: too few to "
            "tell how many."
        )
    return (
        "**Since {before_on:date}, {down_customer_share:pct} of customers moved down and "
        "{up_customer_share:pct} moved up**; those who fell have brought "
        "{down_spend_share:pct} of all spend so far. {stayed_customer_share:pct} stayed, and "
        "{began_customers} began to buy."
    )


def title(found: dict) -> str:
    """The title of the chart of moves."""
    if not found["has_history"]:
        return "Moves cannot be told yet"
    if found["stayed_customers"] is None:
        return "Moves since {before_on:date}, where enough customers share one"
    return "{stayed_customer_share:pct} of customers stayed in their tier since {before_on:date}"


def history_note(found: dict) -> str:
    """Which two dates are compared, and what is hidden."""
    if not found["has_history"]:
        return "There is no earlier date to compare with, so the tables below are empty."
    if not found["hidden_cells"]:
        return "Then is {before_on:date}, now is {as_of:date}."
    return (
        "Then is {before_on:date}, now is {as_of:date}. Cells of fewer than {min_cell} "
        "customer[s] are hidden, and others that would give them away: {hidden_cells} in all."
    )


def fell_note(found: dict) -> str:
    """What sales have to do about the costliest move down."""
    if not found["fell_from"]:
        return "Sales: nobody to win back, since no group that may be told moved down."
    if not found["fell_contacts"]:
        return (
            "**Sales: ask for permission to call those who fell from {fell_from} to {fell_to}.** "
            "{fell_customers} customer[s] did, who spent {fell_spend:money}, {fell_each:money} "
            "each; hardly anybody of them may be contacted, or all but a few."
        )
    if not found["fell_is_upper"]:
        return (
            "**Sales: call those who fell from {fell_from} to {fell_to} since "
            "{before_on:date}**: {fell_customers} customer[s] who spent {fell_spend:money}, "
            "{fell_each:money} each. {fell_contacts} of them may be contacted; ask what changed. "
            "No group that fell from the two upper tiers is large enough to name and to call."
        )
    return (
        "**Sales: call those who fell from {fell_from} to {fell_to} since {before_on:date}**, of "
        "the moves down from the two upper tiers with enough to call the one with most money a "
        "customer: "
        "{fell_customers} customer[s] who spent {fell_spend:money}, {fell_each:money} each. "
        "{fell_contacts} of them may be contacted; ask what changed. The lapsing, valuable "
        "customers whom the RFM page lists may be among them: begin with that list, and call "
        "nobody twice."
    )


def new_note(found: dict) -> str:
    """What new means here, and what to keep in mind where the data are young (Q-52)."""
    if not found["data_from"]:
        return "Nobody has bought yet, so all are prospects."
    if found["registered_share"] >= HALF or not found["is_young"]:
        return (
            "New is who registered in the last {new_days:days}, or first bought then where no "
            "registration is known."
        )
    if not found["registered_share"]:
        return (
            "No registration is known, so a customer is new by the first purchase in the data, "
            "which begin on {data_from:date}: **some of the new may be older than the data**, and "
            "only who bought before the last {new_days:days} can be mature. Read new and mature "
            "together until the data go back twice as far as that."
        )
    return (
        "Registration is known of {registered_share:pct} of the buyers; everybody else is new by "
        "the first purchase in the data, which begin on {data_from:date}: **some of the new may "
        "be older than the data**, and of these buyers only who bought before the last "
        "{new_days:days} can be mature. Read new and mature together until the data go back twice "
        "as far as that."
    )


def effort_note(found: dict) -> str:
    """What the lowest buyers take of the effort, and what to do with it (RFM-15)."""
    if not found["known_effort"]:
        return (
            "**Service and marketing: record cases and messages by customer.** The source says "
            "nothing of either, nor of their cost, so nobody can tell where the effort goes."
        )
    if not found["least_customers"]:
        return "Service and marketing: no group of low spend that may be told."
    if not found["least_takes_more"]:
        return (
            "Service and marketing: nothing to move. The {least_customers} buyer[s] who spent "
            "least take no larger share of {known_effort:text} than they bring of spend."
        )
    return (
        "**Service and marketing: let routine carry what it can for the {least_customers} "
        "buyer[s] who spent least**: they bring {least_spend_share:pct} of spend and take "
        "{least_takes}. Good help pages and sparing mail serve them as well; the hours belong to "
        "those of high value."
    )


def cost_note(found: dict) -> str:
    """What is counted as effort on this page, and what is missing."""
    if not found["known_effort"]:
        return "Nothing is known of the effort: no cases, no messages, no costs by customer."
    if not found["unknown_effort"]:
        return "All of it is known here: {known_effort}."
    return (
        "Known here: {known_effort}. Not known: {unknown_effort}; where a cost is missing, cases "
        "and messages are counted in its place."
    )


def settled(moved: pd.DataFrame, staged: pd.DataFrame, grouped: pd.DataFrame) -> pd.DataFrame:
    """All of them as in `features/tiers`, sorted by customer."""
    made = moved.merge(staged[["customer_id", "lifecycle"]], "left", "customer_id")
    made = made.merge(grouped[["customer_id", "group"]], "left", "customer_id")
    made = made.rename(columns={"group": "spend_group"})
    return made[lookup("features/tiers").names].sort_values("customer_id", ignore_index=True)


def _move(before: pd.Series, now: pd.Series) -> pd.Series:
    """The move between two tiers; none where there is no earlier tier, or no purchase in both."""
    was, is_ = (
        tier.map(TIERS.index, na_action="ignore").astype("float64") for tier in (before, now)
    )
    none = float(TIERS.index(NO_PURCHASE))
    rules = [was.isna() | ((was == none) & (is_ == none)), was == none, is_ < was, is_ > was]
    names = np.select(rules, [NO_MOVE, BEGAN, UP, DOWN], STAYED)
    return pd.Series(names, before.index, "str")


def _part(rows: ibis.Table, day, *, as_of: date, days: int, **values) -> ibis.Table:
    """The rows of named customers in the window, with one measure or more, the others zero."""
    import ibis

    kinds = {"cases": "int64", "messages": "int64"}
    measures = {
        name: ibis.literal(0).cast(kinds.get(name, "decimal(18, 4)"))
        for name in ("spend", *EFFORTS)
    }
    for name, value in values.items():
        kind = kinds.get(name, "decimal(18, 4)")
        measures[name] = ibis.coalesce(value, 0).cast(kind)
    inside = rows.mutate(**measures, _day=day).filter(
        lambda t: t._day > as_of - timedelta(days=days),
        lambda t: t._day <= as_of,
        lambda t: t.customer_id.notnull(),
    )
    return inside.select("customer_id", *measures)


def _messages(contacts: ibis.Table, campaigns: ibis.Table, *, as_of: date) -> ibis.Table:
    """One message that was sent by `as_of`: customer, day, and its part of the campaign's cost.

    Where a source does not say when it was sent, it was on the first day of its campaign.
    """
    from ibis import _

    about = campaigns.group_by("campaign_id").agg(cost=_.cost.max(), starts_on=_.starts_on.min())
    sent = contacts.filter(contacts.arm.fill_null("treated") == "treated")
    sent = sent.left_join(about, "campaign_id").select(
        "campaign_id", "customer_id", "cost", day=_.sent_at.date().coalesce(_.starts_on)
    )
    sent = sent.filter(_.day <= as_of)
    sizes = sent.group_by("campaign_id").agg(addressed=_.count())
    each = (_.cost / _.addressed).cast("decimal(18, 4)")
    return sent.left_join(sizes, "campaign_id").select("customer_id", "day", each=each)
