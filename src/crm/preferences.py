"""What each group of customers likes, where a market is open, and what the groups answer to.

A *preference* is a category that more customers of a group bought in the window than of all
others, both among who bought anything. Who buys often buys more of everything, so that alone is
no preference: of all that the group chose, counted as pairs of customer and category, the category
must also be more than of what the others chose. Both are tested exactly, and the larger of the two
p-values counts (Berger 1982). Where a source has no categories, products take their place.

A *chance* is a preference that most of the group do not follow yet (CLU-17). A *response* is an
invitation of a campaign that was joined or used (CLU-13). An *effect* is how many more of those
addressed bought than of those left out on purpose, whether or not they answered.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crm import chance, disclosure
from crm.tables import lookup

if TYPE_CHECKING:
    import ibis

NO_OFFER = "without an offer"
KINDS = ("behaviour", "value", "stage")  # clusters, tiers and life-cycle stages (CMP-02)
TREATED, CONTROL = "treated", "control"
WORTH = 0.01  # of a group's purchases, from which an open market is worth a campaign (CLU-17)
HALF = 0.5  # of purchases that must have a category, to go by categories


def members(clusters: pd.DataFrame, tiers: pd.DataFrame, profiles: pd.DataFrame) -> pd.DataFrame:
    """One customer who permits profiling and one of their groups; `earlier`: a window before."""
    stages = profiles.dropna(subset=["lifecycle"])
    parts = [("behaviour", clusters, "cluster"), ("value", tiers, "tier"),
             ("stage", stages, "lifecycle"), ("earlier", clusters, "earlier")]  # fmt: skip
    rows = [frame[["customer_id"]].assign(kind=kind, group=_plain(frame[column]))
            for kind, frame, column in parts]  # fmt: skip
    every = pd.concat(rows, ignore_index=True).astype("str")
    return every[every["customer_id"].isin(clusters["customer_id"])].reset_index(drop=True)


def bought(
    items: ibis.Table,
    returns: ibis.Table,
    products: ibis.Table,
    members: ibis.Table,
    *,
    as_of: date,
    days: int = 90,
) -> ibis.Table:
    """One line of goods that a member bought in the window: customer, product, category, amount.

    Lines cancelled whole by `as_of` were not bought; the window is open at its start.
    """
    from ibis import _

    gone = returns.filter(returns.returned_at.date() <= as_of, returns.reverses_line.notnull())
    lines = items.mutate(day=items.ordered_at.date()).filter(_.amount > 0, _.day <= as_of)
    lines = lines.filter(_.day > as_of - timedelta(days=days))
    lines = lines.anti_join(gone, lines.line == gone.reverses_line)
    lines = lines.semi_join(members, "customer_id").select("customer_id", "product_id", "amount")
    goods = products.filter("is_product").select("product_id", "product_name", "category")
    return lines.inner_join(goods, "product_id")


def known(bought: ibis.Table) -> ibis.Table:
    """One row: the share of lines whose product has a category."""
    from ibis import _

    return bought.aggregate(category_share=_.category.notnull().mean().fill_null(0.0))


def spent(bought: ibis.Table, category_share: float, *, top: int = 50) -> ibis.Table:
    """One customer and category, or product where categories are not known, and what was spent.

    Of products there are the `top` with most buyers.
    """
    import ibis
    from ibis import _

    if category_share >= HALF:
        rows = bought.filter(_.category.notnull()).mutate(thing=_.category)
    else:
        sizes = bought.group_by("product_id").agg(n=_.customer_id.nunique())
        order = [ibis.desc("n"), "product_id"]
        place = ibis.row_number().over(order_by=order)
        best = sizes.mutate(place=place).filter(_.place < top)
        rows = bought.semi_join(best, "product_id").mutate(thing=_.product_name)
    made = rows.group_by("customer_id", "thing").agg(spend=_.amount.sum())
    return made.mutate(spend=_.spend.cast("float64"))


def cells(spent: ibis.Table, members: ibis.Table) -> ibis.Table:
    """One group by behaviour and thing: customers who bought it, and what one usually spends."""
    from ibis import _

    rows = spent.inner_join(members.filter(_.kind == KINDS[0]), "customer_id")
    return rows.group_by("group", "thing").agg(customers=_.count(), usual_spend=_.spend.median())


def sizes(bought: ibis.Table, members: ibis.Table) -> ibis.Table:
    """One group by behaviour: its members who bought anything, and what they spent in all."""
    from ibis import _

    rows = bought.group_by("customer_id").agg(amount=_.amount.sum())
    rows = rows.inner_join(members.filter(_.kind == KINDS[0]), "customer_id")
    made = rows.group_by("group").agg(buyers=_.count(), bought=_.amount.sum())
    return made.mutate(bought=_.bought.cast("float64"))


def measured(cells: pd.DataFrame, sizes: pd.DataFrame) -> pd.DataFrame:
    """One group and thing: shares of the group and of all others, lift, and how sure it is.

    `times_others` is the share of the group's buyers who bought the thing, divided by that of all
    others; `choice` the same of what they chose in all. `low` and `high` are the interval of the
    group's share.
    """
    names = pd.MultiIndex.from_product(
        [sorted(sizes["group"]), sorted(set(cells["thing"]))], names=["group", "thing"]
    )
    made = cells.set_index(["group", "thing"]).reindex(names).reset_index()
    made = made.assign(customers=made["customers"].fillna(0).astype("int64"))
    made = made.merge(sizes, "left", "group")
    k, n = made["customers"], made["buyers"]
    everybody, of_thing = (
        int(sizes["buyers"].sum()),
        made.groupby("thing")["customers"].transform("sum"),
    )
    chosen, choices = made.groupby("group")["customers"].transform("sum"), int(k.sum())
    made = made.assign(
        share=k / n, others_share=(of_thing - k) / (everybody - n).where(everybody > n),
        choice=(k / chosen.where(chosen > 0))
        / ((of_thing - k) / (choices - chosen).where(choices > chosen)).where(of_thing > k),
    )  # fmt: skip
    made["times_others"] = made["share"] / made["others_share"].where(made["others_share"] > 0)
    made["low"], made["high"] = chance.interval(k, n)
    p = np.maximum(_tails(k, n, of_thing, everybody), _tails(k, chosen, of_thing, choices))
    made["p_value"] = chance.told(pd.Series(p, made.index, float))
    made["q_value"] = chance.told(chance.discoveries(pd.Series(p, made.index, float)))
    return made


def preferred(
    measured: pd.DataFrame,
    *,
    false_discoveries: float = 0.05,
    coverage: float = 0.5,
    won: float = 0.1,
    least: int = 5,
) -> pd.DataFrame:
    """One preference of a group, the largest lift first, with the chance in it (CLU-16, CLU-17).

    Parameters
    ----------
    false_discoveries
        Share of chance findings that is put up with, over all groups and things.
    coverage
        Share of the group up to which the market is called open.
    won
        Share of those who do not buy it yet for whom `estimate` is reckoned; `at_most` is all.
    least
        Customers from which a cell may be told; others are left out, and what gives them away.
    """
    by = ["group", "thing"]
    shown = disclosure.suppress_part(
        measured, part="customers", of="buyers", by=by, hide=["share"], along=["group"],
        least=least,
    )  # fmt: skip
    rows = shown[(measured["q_value"] <= false_discoveries) & shown["customers"].notna()]
    rows = rows[(rows["times_others"] > 1) & (rows["choice"] > 1)].astype({"customers": "int64"})
    open_ones = (rows["buyers"] - rows["customers"]).where(rows["share"] <= coverage, 0)
    rows = rows.assign(not_yet=open_ones, is_chance=open_ones >= max(least, 1),
                       at_most=open_ones * rows["usual_spend"])  # fmt: skip
    rows = rows.assign(estimate=rows["at_most"] * won)
    place = np.lexsort([rows["thing"], rows["group"], -rows["times_others"].round(9)])
    return rows.iloc[place].reset_index(drop=True)


def settled(preferred: pd.DataFrame) -> pd.DataFrame:
    """`preferred` as in `features/preferences`, sorted by group and thing."""
    made = preferred[lookup("features/preferences").names]
    return made.sort_values(["group", "thing"], ignore_index=True)


def likes(preferred: pd.DataFrame) -> pd.DataFrame:
    """One preference for the page."""
    columns = ["group", "thing", "share", "others_share", "times_others", "low_share",
               "high_share"]  # fmt: skip
    rows = preferred.rename(columns={"low": "low_share", "high": "high_share"})
    return rows[columns].rename(columns={"share": "bought_share"})


def drawn(preferred: pd.DataFrame, *, top: int = 10) -> pd.DataFrame:
    """One of the first preferences in words: bought by the group and by all others."""
    head = likes(preferred).head(top)
    return head.assign(what=head["group"] + ": " + head["thing"])[
        ["what", "bought_share", "others_share"]
    ]


def chances(preferred: pd.DataFrame) -> pd.DataFrame:
    """One chance for the page, the largest estimate first; it is also set beside all they bought.

    `estimate_share` is the estimate in parts of what the group spent in the window.
    """
    rows = preferred[preferred["is_chance"]]
    order = np.lexsort([rows["thing"], rows["group"], -rows["estimate"].round(6)])
    whole = rows["bought"].where(rows["bought"] > 0)
    rows = rows.assign(estimate_share=rows["estimate"] / whole).iloc[order]
    columns = ["group", "thing", "share", "not_yet", "usual_spend", "estimate", "estimate_share",
               "at_most"]  # fmt: skip
    rows = rows[columns].rename(columns={"share": "bought_share"})
    return rows.reset_index(drop=True)


def answers(
    contacts: ibis.Table,
    campaigns: ibis.Table,
    members: ibis.Table,
    *,
    as_of: date,
    days: int = 365,
) -> ibis.Table:
    """One campaign and group: invitations, and how many were joined, used, and either.

    Who was left out on purpose was not invited. An invitation without a day is not counted.
    """
    from ibis import _

    sent = _sent(contacts, as_of=as_of, days=days).filter(_.arm != CONTROL)
    rows = sent.inner_join(members, "customer_id")
    named = campaigns.select("campaign_id", "campaign_name", "offer").distinct(
        on="campaign_id", keep="first"
    )
    made = rows.group_by("campaign_id", "kind", "group").agg(
        contacted=_.count(), joined=_.joined.sum(), used=_.used.sum(),
        answered=(_.joined | _.used).sum(),
    )  # fmt: skip
    return made.left_join(named, "campaign_id").drop("campaign_id_right")


def responses(answers: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """One kind of group, offer and group: invitations, and the share answered, with its interval.

    Small cells are hidden, and what would give them away.
    """
    rows = answers[answers["kind"].isin(KINDS)]
    rows = rows.assign(offer=rows["offer"].fillna(NO_OFFER))
    made = rows.groupby(["kind", "offer", "group"], as_index=False)[
        ["contacted", "joined", "used", "answered"]
    ].sum()
    made = made.iloc[np.argsort(made["kind"].map(KINDS.index), kind="stable")]
    made = made.reset_index(drop=True)
    low, high = chance.interval(made["answered"], made["contacted"])
    whole = made["contacted"].where(made["contacted"] > 0)
    made = made.assign(answered_share=made["answered"] / whole, low_share=low, high_share=high,
                       joined_share=made["joined"] / whole,
                       used_share=made["used"] / whole)  # fmt: skip
    made = made.drop(columns=["joined", "used", "answered"]).astype({"contacted": "int64"})
    cell = {"by": ["kind", "offer", "group"], "along": ["group"], "least": least}
    hide = ["low_share", "high_share"]
    part = {"of": "contacted", **cell}
    for name in ("joined_share", "used_share"):
        made = disclosure.suppress_part(made, part=name, **part)
    made = disclosure.suppress_part(made, part="answered_share", hide=hide, **part)
    shares = [name for name in made if name.endswith("_share")]
    return disclosure.suppress(made, count="contacted", hide=["contacted", *shares], **cell)


def effects(
    contacts: ibis.Table,
    orders: ibis.Table,
    campaigns: ibis.Table,
    members: ibis.Table,
    *,
    as_of: date,
    days: int = 365,
    within: int = 14,
) -> ibis.Table:
    """One campaign, arm and group: customers, and those who ordered `within` days of the sending.

    Sendings of which fewer days have passed are not decided and left out. Everybody stands once
    more under the kind `all`. `sent_on` is the day of the first sending.
    """
    import ibis
    from ibis import _

    sent = _sent(contacts, as_of=as_of - timedelta(days=within), days=days - within)
    placed = orders.filter(_.amount > 0).select("customer_id", "ordered_at")
    met = sent.inner_join(placed, "customer_id").filter(
        _.ordered_at > _.sent_at, _.ordered_at <= _.sent_at + ibis.interval(days=within)
    )
    met = met.select("customer_id", "campaign_id").distinct().mutate(is_met=True)
    keys = ["customer_id", "campaign_id"]
    every = sent.left_join(met, keys).drop([f"{key}_right" for key in keys])
    is_in = members.select("customer_id").distinct()
    groups = members.filter(_.kind == "earlier").union(
        is_in.mutate(kind=ibis.literal("all"), group=ibis.literal("all"))
    )
    rows = every.inner_join(groups, "customer_id")
    made = rows.group_by("campaign_id", "arm", "kind", "group").agg(
        invited=_.count(), met=_.is_met.fill_null(False).sum(), sent_on=_.sent_at.date().min()
    )
    named = campaigns.select("campaign_id", "campaign_name", "offer").distinct(
        on="campaign_id", keep="first"
    )
    return made.left_join(named, "campaign_id").drop("campaign_id_right")


def compared(effects: pd.DataFrame, *, kind: str, since: date, least: int = 5) -> pd.DataFrame:
    """One campaign and group with both arms: share that ordered in each, and the difference.

    The interval of the difference is the hybrid one of Newcombe (1998). Campaigns of which the
    first sending was up to `since` are left out, so that no group was found after its sending. A
    group of few in either arm is hidden, and others of its campaign with it until the hidden ones
    cannot be told from everybody less those that are shown.
    """
    rows = effects[(effects["kind"] == kind) & (effects["sent_on"] > pd.Timestamp(since))]
    keys, told = ["campaign_id", "group"], ["sent_on", "campaign_name", "offer"]
    wide = rows.pivot_table(index=keys, columns="arm", values=["invited", "met"], fill_value=0)
    arms = {"": TREATED, "_control": CONTROL}
    columns = {f"{name}{end}": wide.get((name, arm), 0)
               for end, arm in arms.items() for name in ("invited", "met")}  # fmt: skip
    both = pd.DataFrame(columns, wide.index).reset_index()
    about = rows.sort_values("sent_on").groupby("campaign_id", as_index=False)[told].first()
    both = both.merge(about, on="campaign_id")
    both = both.sort_values(["sent_on", "campaign_id", "group"], ignore_index=True)
    shown = [_told(part[[*columns]], least) for _, part in both.groupby("campaign_id")]
    is_told = pd.concat(shown).reindex(both.index) if shown else pd.Series(dtype="bool")
    both = both[is_told].reset_index(drop=True)
    t, c = both["met"] / both["invited"], both["met_control"] / both["invited_control"]
    (t_low, t_high), (c_low, c_high) = (chance.interval(both[f"met{s}"], both[f"invited{s}"])
                                        for s in ("", "_control"))  # fmt: skip
    name = both["campaign_name"].astype("object").fillna(both["campaign_id"])
    return pd.DataFrame({
        "campaign": name + " " + both["sent_on"].dt.strftime("%Y-%m"), "offer": both["offer"],
        "group": both["group"], "treated": both["invited"], "left_out": both["invited_control"],
        "treated_share": t, "left_out_share": c, "more_share": t - c,
        "low_share": t - c - np.sqrt((t - t_low) ** 2 + (c_high - c) ** 2),
        "high_share": t - c + np.sqrt((t_high - t) ** 2 + (c - c_low) ** 2),
    })  # fmt: skip


def _told(groups: pd.DataFrame, least: int) -> pd.Series:
    """Which groups of one campaign may be told, when everybody is: the rest is never of few."""
    parts = groups.assign(
        rest=groups["invited"] - groups["met"],
        rest_control=groups["invited_control"] - groups["met_control"],
    )
    hidden = (parts < least).any(axis=1)
    for place in parts.sum(axis=1).sort_values(kind="stable").index:
        left = parts[hidden].sum()
        if not ((left > 0) & (left < least)).any():
            break
        hidden[place] = True
    return ~hidden


def together(whole: pd.DataFrame, parts: pd.DataFrame) -> pd.DataFrame:
    """The rows of `compared` over everybody, then those by group, in one table for the page."""
    every = whole.assign(group="everybody")
    return pd.concat([every, parts], ignore_index=True) if len(parts) else every


def first_day(as_of: date, *, days: int = 365) -> date:
    """The day before the window of campaigns."""
    return as_of - timedelta(days=days)


def before(as_of: date, *, group_days: int = 90) -> date:
    """The date of the earlier groups: one window of behaviour before `as_of` (Q-04)."""
    return as_of - timedelta(days=group_days)


def facts(measured: pd.DataFrame, preferred: pd.DataFrame, category_share: float) -> dict:
    """Metrics of preferences and chances: how many, the strongest, and the largest chance."""
    best = preferred.iloc[0] if len(preferred) else None
    largest = chances(preferred)
    worth = largest[largest["estimate_share"] >= WORTH]
    top = pd.concat([worth, largest]).iloc[0] if len(largest) else None
    return {
        "by_category": category_share >= HALF,
        "category_share": category_share,
        "things": int(measured["thing"].nunique()),
        "groups": int(measured["group"].nunique()),
        "preferences": len(preferred),
        "chances": len(largest),
        "chances_worth": len(worth),
        "worth": WORTH,
        "like_group": "" if best is None else best["group"],
        "like_thing": "" if best is None else best["thing"],
        "like_share": 0.0 if best is None else float(best["share"]),
        "like_others": 0.0 if best is None else float(best["others_share"]),
        "chance_group": "" if top is None else top["group"],
        "chance_thing": "" if top is None else top["thing"],
        "chance_share": 0.0 if top is None else float(top["bought_share"]),
        "chance_not_yet": 0 if top is None else int(top["not_yet"]),
        "chance_spend": 0.0 if top is None else float(top["usual_spend"]),
        "chance_estimate": 0.0 if top is None else float(top["estimate"]),
        "chance_estimate_share": 0.0 if top is None else float(top["estimate_share"]),
        "chance_most": 0.0 if top is None else float(top["at_most"]),
    }


def response_facts(offers: pd.DataFrame, whole: pd.DataFrame) -> dict:
    """Metrics of responses and effects: the offer and group with the surest answer; one campaign.

    Groups are those by behaviour. `offers` is of `responses`, `whole` of `compared` over
    everybody; the newest campaign is told.
    """
    told = offers[offers["kind"] == KINDS[0]].dropna(subset=["low_share"])
    told = told[(told["answered_share"] > 0) & (told["offer"] != NO_OFFER)]
    place = np.lexsort([told["group"], told["offer"], -told["low_share"].round(9)])
    best = told.iloc[place[0]] if len(told) else None
    last = whole.iloc[-1] if len(whole) else None
    sure = whole[whole["low_share"] > 0]
    return {
        "invited": len(offers),
        "cells": len(told),
        "answer_offer": "" if best is None else best["offer"],
        "answer_group": "" if best is None else best["group"],
        "answer_share": None if best is None else float(best["answered_share"]),
        "answer_low": 0.0 if best is None else float(best["low_share"]),
        "answer_high": 0.0 if best is None else float(best["high_share"]),
        "answer_contacted": 0 if best is None else int(best["contacted"]),
        "compared": len(whole),
        "sure": len(sure),
        "last_campaign": "" if last is None else last["campaign"],
        "last_treated": 0.0 if last is None else float(last["treated_share"]),
        "last_left_out": 0.0 if last is None else float(last["left_out_share"]),
        "last_low": 0.0 if last is None else float(last["low_share"]),
        "last_high": 0.0 if last is None else float(last["high_share"]),
    }


def answer(found: dict) -> str:
    """The sentence that opens the page."""
    if not found["preferences"]:
        return (
            "**No group likes anything surely more than the others do**: of {things} thing[s] in "
            "{groups} group[s], none stands out beyond chance."
        )
    return (
        "**The group *{like_group:text}* is drawn to *{like_thing:text}* most**: {like_share:pct} "
        "of its buyers bought it, {like_others:pct} of all others. In all groups there "
        "[is|are] {preferences} sure preference[s]."
    )


def drawn_title(found: dict) -> str:
    """The finding of the chart."""
    if not found["preferences"]:
        return "No group stands out"
    return "{like_share:pct0} of one group buy {like_thing:text}, of the others {like_others:pct0}"


def things_note(found: dict) -> str:
    """What stands for what people like."""
    if not found["things"]:
        return "Nothing was bought in the window."
    if found["by_category"]:
        return "Preferences are told by category: {things} of them in {groups} group[s]."
    return (
        "The source names a category for {category_share:pct} of what was bought, so preferences "
        "are told by product, in {groups} group[s]: for each of the {things} that most people buy."
    )


def chance_note(found: dict) -> str:
    """Where a market is open (CLU-17)."""
    if not found["chances"]:
        return "Product: no open market. What groups prefer most of them buy already."
    if not found["chances_worth"]:
        return (
            "Product and marketing: no open market is worth a campaign of its own. The largest is "
            "*{chance_thing:text}* for *{chance_group:text}*: if {won:pct0} of the "
            "{chance_not_yet} who did not buy it came, that would be {chance_estimate:money}, "
            "{chance_estimate_share:pct} of what the group spent in {days:days}; a campaign "
            "is worth it from {worth:pct0} on. Show it where the group is written to anyway."
        )
    return (
        "**Product and marketing: win *{chance_group:text}* for *{chance_thing:text}*.** "
        "{chance_share:pct} of its buyers bought it, more than of others, and {chance_not_yet} "
        "did not; who does spends {chance_spend:money} on it in {days:days}. If {won:pct0} of "
        "the rest came, that would be {chance_estimate:money}, {chance_estimate_share:pct} of "
        "what the group spent; if all, {chance_most:money}."
    )


def invited_note(found: dict) -> str:
    """How to read the table of invitations, or that there is none."""
    if not found["invited"]:
        return "No invitation of the last {campaign_days:days} is known, so the table is empty."
    return (
        "Invitations of the last {campaign_days:days}; each stands once by behaviour, by value "
        "and by stage of life, where the group of its customer is known."
    )


def answer_tile(found: dict) -> tuple[str, str]:
    """The best answer, or that none is known."""
    if not found["cells"]:
        return ("not known", "no offer that enough were invited to and answered")
    return ("{answer_share:pct}", "of invitations, {answer_offer:text}")


def compared_tile(found: dict) -> tuple[str, str]:
    """How many campaigns can be compared, or that none can."""
    if not found["compared"]:
        return ("none", "left out enough customers on purpose")
    return ("{compared}", "with a group left out")


def response_note(found: dict) -> str:
    """Which group answers to which offer (CLU-13)."""
    if not found["cells"]:
        return (
            "Marketing: no offer to send first. No campaign of the window had one that enough "
            "were invited to and answered."
        )
    return (
        "**Marketing: send *{answer_offer:text}* to the group *{answer_group:text}* first.** "
        "{answer_share:pct} of {answer_contacted} invitation[s] to it [was|were] joined or used; "
        "the true share lies between {answer_low:pct} and {answer_high:pct}."
    )


def effect_note(found: dict) -> str:
    """Whether being addressed made customers buy (CMP-03)."""
    if not found["compared"]:
        return (
            "No campaign of the window left anybody out on purpose and has enough of both to "
            "compare, so whether campaigns make customers buy is not known."
        )
    return (
        "Of {compared} campaign[s] with a group left out on purpose, {sure} made surely more "
        "customers order within {within:days}. In the newest, {last_campaign:text}, "
        "{last_treated:pct} of those addressed ordered and {last_left_out:pct} of those left out: "
        "the difference lies between {last_low:pct} and {last_high:pct}."
    )


def _sent(contacts: ibis.Table, *, as_of: date, days: int) -> ibis.Table:
    """One customer and campaign in the window: arm, first sending, and whether joined and used."""
    import ibis
    from ibis import _

    rows = contacts.filter(_.customer_id.notnull(), _.sent_at.notnull())
    day = rows.sent_at.date()
    rows = rows.filter(day > as_of - timedelta(days=days), day <= as_of)
    return rows.group_by("customer_id", "campaign_id").agg(
        arm=_.arm.fill_null(TREATED).max(),
        sent_at=_.sent_at.min(),
        joined=(_.joined_at.date() <= ibis.literal(as_of)).any().fill_null(False),
        used=(_.used_at.date() <= ibis.literal(as_of)).any().fill_null(False),
    )


def _tails(k, n, of_thing, whole: int) -> np.ndarray:
    from crm import itemsets

    return itemsets.tails(*(part.to_numpy("int64") for part in (k, n, of_thing)), whole)


def _plain(names: pd.Series) -> pd.Series:
    """The names without the number of a second group of that name."""
    return names.astype("str").str.replace(r" \d+$", "", regex=True)
