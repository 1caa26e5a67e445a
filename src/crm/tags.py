"""Tags: what is known of each customer, in words that people can act on, and how each is made.

A *tag* is a value of one customer by a written rule. One value each stands in `features/tags`, a
row a customer; what can have several values (interests, channels, personas) is a row each in
`features/tag_rows`. A *window* of n days is `as_of − n < date ≤ as_of`. A *purchase* is an order
with an amount above zero that returns up to `as_of` did not cancel whole, as on the page on tiers.

Every tag has an entry in the catalogue (TAG-32), whose rule is filled from the parameters; its
*version* is a number kept by hand and a hash of the rule, so it changes with either (TAG-29).
A source adds tags of its own in `tags.yaml`: preferences for products (TAG-17), personas (TAG-20,
TAG-21) and extended fields. Who did not permit profiling has no tags (PRV-07).
"""

from __future__ import annotations

import hashlib
import inspect
import re
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crm import disclosure
from crm.catalogue import CATALOGUE, COLUMNS, Declared, Preference
from crm.catalogue import read as read  # the notebook reads the tags of its source with it
from crm.tables import lookup

if TYPE_CHECKING:
    import ibis

MAIL = "email"  # the channel whose open rate is a tag (TAG-12)
CONTROL = "control"  # the arm of a campaign that is left out, so not invited (TAG-13)
INTEREST = "interest"  # the trait that says the same as the field `interests` (TAG-18)
QUARTER_DAYS = 91  # four of them are a year, all but a day (TAG-26)
UNKNOWN = "unknown"
PARTS = ((5, "night"), (12, "morning"), (18, "afternoon"), (24, "evening"))  # of a day, up to hour
LEVELS = ("high", "middle", "low")  # TAG-16
TYPES = ("new", "old", "churned")  # TAG-05
NEEDED_PURPOSES = ("analysis", "profiling")  # a profile is made by analysing (PRV-07)
COUNTS = ("enquiries_90d", "complaints_n", "praise_n", "interactions_n")  # 0 where nothing came
OLDEST = 120  # years; above it a date of birth is a mistake
CHINESE = {  # values in the words of the business
    "male": "男", "female": "女", "unknown": "未知",
    "new": "新客户", "old": "老客户", "churned": "流失客户",
    "signed": "已签约", "unsigned": "未签约", "suspended": "暂停合作",
    "high": "高", "middle": "中", "low": "低",
    "loyal": "忠诚", "occasional": "偶尔购买", "inactive": "近一年未购买",
    "morning": "上午", "afternoon": "下午", "evening": "晚上", "night": "夜间",
    "web": "网上", "store": "门店", "under": "{0}岁以下", "over": "{0}岁及以上",
}  # fmt: skip


# --- the catalogue (TAG-32)


def catalogue(params: dict, declared: Declared | None = None) -> pd.DataFrame:
    """One tag: names, meaning, source, rule, window, owner and version (TAG-32).

    Parameters
    ----------
    params
        The section `tags` of params.yaml: what it leaves out is the function's default.
    declared
        The tags that the source adds.

    Examples
    --------
    >>> row = catalogue({"label": {"high": 90}}).set_index("tag").loc["spend_level"]
    >>> row["rule"], row["version"][:2]
    ('by M score: high from 90, middle from 60, else low', '1-')
    """
    values = _settings(params)
    tags = [*CATALOGUE, *(declared.entries() if declared else ())]
    rows = [
        {
            "tag": tag.name,
            "chinese": tag.chinese,
            "meaning": tag.meaning,
            "sources": tag.sources,
            "rule": tag.rule.format_map(values),
            "window_days": int(values[tag.window]) if tag.window else 0,
            "owner": tag.owner,
            "requirement": tag.requirement,
        }
        for tag in tags
    ]
    versions = [f"{t.revision}-{_hash(r['rule'])}" for t, r in zip(tags, rows, strict=True)]
    return pd.DataFrame(rows).assign(version=versions)[lookup("features/tag_catalogue").names]


def version(entries: pd.DataFrame) -> str:
    """The version of all tags that stand in `features/tags`: it changes with any of theirs."""
    own = entries[entries["tag"].isin(COLUMNS)]
    return _hash(" ".join(own["tag"] + "=" + own["version"]))


# --- one customer, from the facts


def purchases(
    customers: ibis.Table,
    orders: ibis.Table,
    returns: ibis.Table,
    *,
    as_of: date,
    frequency_days: int = 30,
    spend_days: int = 90,
    habit_days: int = 365,
    overtime: list[int] = (18, 24),
) -> ibis.Table:
    """One customer known by `as_of`: registration, and what they bought (TAG-08…10, TAG-19).

    A customer who registered later, or whose first order came later, is not known yet; one of
    whom neither date is known always is. `overtime` are the first hour and the one after the last.
    """
    import ibis
    from ibis import _

    placed = _placed(orders, returns, as_of=as_of)
    age = ibis.literal(as_of).delta(placed.day, unit="day")
    placed = placed.mutate(age=age, late=_overtime(placed.ordered_at, overtime))
    bought = placed.group_by("customer_id").agg(
        first_order_on=_.day.min(where=_.stands),
        last_order_on=_.day.max(where=_.stands),
        orders=_.count(where=_.stands),
        net=_.net.sum(),
        freq_30d=_.count(where=_.stands & (_.age < frequency_days)),
        freq_90d=_.count(where=_.stands & (_.age < spend_days)),
        recent=_.net.sum(where=_.age < spend_days),
        habit=_.count(where=_.stands & (_.age < habit_days)),
        habit_late=_.count(where=_.stands & (_.age < habit_days) & _.late),
        active_quarters=(_.age // QUARTER_DAYS).nunique(
            where=_.stands & (_.age < 4 * QUARTER_DAYS)
        ),
    )
    undone = _returned(returns, as_of=as_of, start=as_of - timedelta(days=spend_days))
    ever = orders.filter(_.customer_id.notnull()).group_by("customer_id")
    ever = ever.agg(seen_on=_.ordered_at.date().min())
    return _settled(together(customers, bought, undone, ever), as_of=as_of)


def channels(
    orders: ibis.Table, returns: ibis.Table, *, as_of: date, days: int = 365
) -> ibis.Table:
    """One customer and channel: purchases, spend, share; place 1 is preferred (TAG-34)."""
    import ibis
    from ibis import _

    stands = _placed(orders, returns, as_of=as_of).filter("stands", _.channel.notnull())
    recent = stands.filter(_.day > as_of - timedelta(days=days))
    each = recent.group_by("customer_id", "channel").agg(orders=_.count(), spend=_.net.sum())
    order = [ibis.desc("orders"), ibis.desc("spend"), "channel"]
    return _shared(each, "orders", order)


def countries(orders: ibis.Table, returns: ibis.Table, *, as_of: date) -> ibis.Table:
    """One customer and the country of most of their purchases."""
    import ibis
    from ibis import _

    stands = _placed(orders, returns, as_of=as_of).filter("stands", _.country.notnull())
    each = stands.group_by("customer_id", "country").agg(orders=_.count())
    ranked = _shared(each, "orders", [ibis.desc("orders"), "country"])
    return ranked.filter(_.place == 1).select("customer_id", "country")


def liked(
    items: ibis.Table,
    returns: ibis.Table,
    products: ibis.Table,
    *,
    as_of: date,
    days: int = 365,
) -> ibis.Table:
    """One customer: the category with the largest share of spend, and that share (TAG-11)."""
    import ibis
    from ibis import _

    goods = _goods(items, returns, products, as_of=as_of, days=days)
    each = goods.group_by("customer_id", "category").agg(
        spend=_.amount.sum(), orders=_.order_id.nunique()
    )
    order = [_.category.isnull(), ibis.desc("spend"), ibis.desc("orders"), "category"]
    best = _shared(each, "spend", order).filter(_.place == 1, _.category.notnull())
    return best.select("customer_id", top_category=_.category, top_category_share=_.share)


def answered(contacts: ibis.Table, *, as_of: date, days: int = 365) -> ibis.Table:
    """One customer addressed: open and click rate of mails, participation rate (TAG-12, TAG-13).

    What was opened, clicked or joined after `as_of` is not yet.
    """
    import ibis
    from ibis import _

    start = as_of - timedelta(days=days)

    def done(column):
        return column.notnull() & (column.date() <= as_of)

    def within(column):
        return (done(column) & (column.date() > start)).fill_null(False)

    mailed = within(contacts.delivered_at) & (contacts.channel == MAIL).fill_null(False)
    invited = within(contacts.sent_at) & (contacts.arm.fill_null("") != CONTROL)
    known = contacts.filter(contacts.customer_id.notnull()).mutate(
        mailed=mailed,
        invited=invited,
        opened=mailed & done(contacts.opened_at),
        clicked=mailed & done(contacts.clicked_at),
        joined=invited & done(contacts.joined_at),
    )
    sums = known.group_by("customer_id").agg(
        **{n: _.count(where=_[n]) for n in ("mailed", "invited", "opened", "clicked", "joined")}
    )
    return sums.select(
        "customer_id",
        email_open_rate=_rate(ibis, sums.opened, sums.mailed),
        email_click_rate=_rate(ibis, sums.clicked, sums.mailed),
        campaign_rate=_rate(ibis, sums.joined, sums.invited),
    )


def served(
    tickets: ibis.Table,
    interactions: ibis.Table,
    *,
    as_of: date,
    days: int = 90,
    topics: list[str] = ("enquiry", "咨询"),
) -> ibis.Table:
    """One customer who wrote: enquiries, complaints and praise (TAG-14, TAG-15)."""
    from ibis import _

    start = as_of - timedelta(days=days)
    asked = interactions.filter(
        (interactions.direction == "in") & interactions.topic.isin(list(topics))
    )
    cases = tickets.select("customer_id", "kind", day=_.opened_at.date()).union(
        asked.select("customer_id", kind=_ibis().literal("enquiry"), day=_.at.date())
    )
    known = cases.filter(_.customer_id.notnull(), _.day <= as_of)
    return known.group_by("customer_id").agg(
        enquiries_90d=_.count(where=(_.kind == "enquiry") & (_.day > start)),
        complaints_n=_.count(where=_.kind == "complaint"),
        last_complaint_on=_.day.max(where=_.kind == "complaint"),
        praise_n=_.count(where=_.kind == "praise"),
        last_praise_on=_.day.max(where=_.kind == "praise"),
    )


def reached(interactions: ibis.Table, *, as_of: date, days: int = 365) -> ibis.Table:
    """One customer and channel: communications in the window, 1 is preferred (TAG-31)."""
    import ibis
    from ibis import _

    start = as_of - timedelta(days=days)
    known = interactions.filter(
        _.customer_id.notnull(), _.channel.notnull(), _.at.date() > start, _.at.date() <= as_of
    )
    each = known.group_by("customer_id", "channel").agg(contacts=_.count())
    return _shared(each, "contacts", [ibis.desc("contacts"), "channel"])


def active_time(
    orders: ibis.Table,
    returns: ibis.Table,
    interactions: ibis.Table,
    *,
    as_of: date,
    days: int = 365,
) -> ibis.Table:
    """One customer and the part of the day in which they buy and write most (TAG-31)."""
    import ibis
    from ibis import _

    start = as_of - timedelta(days=days)
    bought = _placed(orders, returns, as_of=as_of).filter("stands")
    said = interactions.filter(_.direction == "in", _.customer_id.notnull())
    times = bought.select("customer_id", at=_.ordered_at).union(said.select("customer_id", "at"))
    times = times.filter(_.at.date() > start, _.at.date() <= as_of)
    steps = [(times.at.hour() < until, number) for number, (until, _name) in enumerate(PARTS)]
    each = times.mutate(part=ibis.cases(*steps)).group_by("customer_id", "part").agg(n=_.count())
    best = _shared(each, "n", [ibis.desc("n"), "part"]).filter(_.place == 1)
    names = [(best.part == number, name) for number, (_until, name) in enumerate(PARTS)]
    return best.select("customer_id", active_time=ibis.cases(*names))


def preferred(ranked: ibis.Table, name: str, *, total: str = "", share: str = "") -> ibis.Table:
    """One customer and the preferred of the channels, as `name`, with total and share if asked."""
    from ibis import _

    best = ranked.filter(_.place == 1)
    more = {total: best.total} if total else {}
    more |= {share: best.share} if share else {}
    return best.select("customer_id", **{name: best.channel}, **more)


def together(base: ibis.Table, *parts: ibis.Table) -> ibis.Table:
    """The base with the columns of each part, joined by customer; none lost, none doubled."""
    for part in parts:
        base = base.left_join(part, "customer_id").drop("customer_id_right")
    return base


def permitted(base: ibis.Table, permits: ibis.Table) -> ibis.Table:
    """The customers who permit analysis and profiling: nobody else has tags (PRV-07)."""
    from ibis import _

    for purpose in NEEDED_PURPOSES:
        base = base.semi_join(permits.filter(_.purpose == purpose, _.allowed), "customer_id")
    return base


# --- labels


def label(
    raw: pd.DataFrame,
    scores: pd.DataFrame,
    *,
    as_of: date,
    new_days: int = 365,
    churned_days: int = 90,
    high: float = 80,
    middle: float = 60,
    ages: list[int] = (18, 26, 36, 46, 56),
    loyal_quarters: int = 3,
) -> pd.DataFrame:
    """`raw` with age, customer type, levels, loyalty and average order value.

    Parameters
    ----------
    raw
        One customer, with `customer_id` and the columns of `purchases`.
    scores
        One customer, with `f_score` and `m_score`; who is missing there scores 0.

    Examples
    --------
    >>> raw = pd.DataFrame({"customer_id": ["a"], "birth_date": [pd.Timestamp("1997-11-01")],
    ...     "registered_on": [pd.Timestamp("2023-01-10")], "first_order_on": [pd.NaT],
    ...     "last_order_on": [pd.Timestamp("2023-09-05")], "spend_90d": [2500.0],
    ...     "freq_90d": [2], "active_quarters": [1], "gender": ["male"]})
    >>> scores = pd.DataFrame({"customer_id": ["a"], "f_score": [65.0], "m_score": [40.0]})
    >>> found = label(raw, scores, as_of=date(2023, 10, 31))
    >>> found[["age", "customer_type", "behaviour"]].values.tolist()
    [[25, 'new', 'low spend, middle frequency']]
    """
    raw = raw.sort_values("customer_id", ignore_index=True)  # so that sums of floats repeat
    at = pd.Series(pd.Timestamp(as_of), raw.index)
    known = raw[["customer_id"]].merge(scores, "left", "customer_id").set_index(raw.index)
    age = _age(raw["birth_date"], as_of)
    spend = level(known["m_score"], high=high, middle=middle)
    frequency = level(known["f_score"], high=high, middle=middle)
    steady = raw["active_quarters"].to_numpy()
    loyalty = [steady >= loyal_quarters, steady > 0]
    loyalty = np.select(loyalty, ["loyal", "occasional"], "inactive")
    counts = {n: raw[n].fillna(0).astype("int64") for n in COUNTS if n in raw.columns}
    return raw.assign(
        **counts,
        gender=raw["gender"].fillna(UNKNOWN),
        age=age,
        age_band=bands(age, ages=ages),
        customer_type=customer_type(raw, at, new_days=new_days, churned_days=churned_days),
        spend_level=spend,
        frequency_level=frequency,
        behaviour=behaviour(spend, frequency),
        aov=raw["spend_90d"] / raw["freq_90d"].where(raw["freq_90d"] > 0),
        loyalty=pd.Series(loyalty, raw.index, dtype="str"),
    )


def customer_type(
    raw: pd.DataFrame, at: pd.Series, *, new_days: int = 365, churned_days: int = 90
) -> pd.Series:
    """Each customer's type at the date `at`: churned, else new, else old (TAG-05, Q-19).

    Registration decides who is new, and the first order where it is missing (Q-52). Who has
    neither is new: nothing tells of an older tie.
    """
    silent = (at - raw["last_order_on"]).dt.days >= churned_days
    since = raw["registered_on"].fillna(raw["first_order_on"]).fillna(at)
    new = (at - since).dt.days < new_days
    return pd.Series(np.select([silent, new], ["churned", "new"], "old"), raw.index, dtype="str")


def level(scores: pd.Series, *, high: float = 80, middle: float = 60) -> pd.Series:
    """High, middle or low by score; no score is low (TAG-16, Q-21).

    Examples
    --------
    >>> level(pd.Series([80, 79.9, 60, 59.9])).tolist()
    ['high', 'middle', 'middle', 'low']
    """
    found = np.select([scores >= high, scores >= middle], LEVELS[:2], LEVELS[2])
    return pd.Series(found, scores.index, dtype="str")


def behaviour(spend: pd.Series, frequency: pd.Series) -> pd.Series:
    """Both levels in one label, such as `high spend, high frequency` (TAG-16)."""
    return spend + " spend, " + frequency + " frequency"


def bands(age: pd.Series, *, ages: list[int] = (18, 26, 36, 46, 56)) -> pd.Series:
    """The band of each age; −1 is unknown (TAG-02).

    Examples
    --------
    >>> bands(pd.Series([17, 18, 25, 26, 56, -1])).tolist()
    ['under 18', '18–25', '18–25', '26–35', '56 and over', 'unknown']
    """
    names = [f"under {ages[0]}", *(f"{a}–{b - 1}" for a, b in pairwise(ages))]
    names.append(f"{ages[-1]} and over")
    place = np.searchsorted(np.asarray(ages), age.to_numpy(), side="right")
    found = np.where(age < 0, UNKNOWN, np.asarray(names)[place])
    return pd.Series(found, age.index, dtype="str")


def chinese(value: str) -> str:
    """A value in the words of the business; one that has none stays as it is.

    Examples
    --------
    >>> chinese("high spend, middle frequency"), chinese("26–35"), chinese("under 18")
    ('高消费、中频次', '26–35岁', '18岁以下')
    """
    if found := re.fullmatch(r"(\w+) spend, (\w+) frequency", value):
        return f"{CHINESE[found[1]]}消费、{CHINESE[found[2]]}频次"
    if found := re.fullmatch(r"under (\d+)|(\d+) and over", value):
        return CHINESE["under" if found[1] else "over"].format(found[1] or found[2])
    return f"{value}岁" if re.fullmatch(r"\d+–\d+", value) else CHINESE.get(value, value)


def describe(tags: pd.DataFrame, *, as_of: date) -> pd.DataFrame:
    """`tags` with `core` and `core_zh`: the few things to know of a customer (TAG-22).

    Examples
    --------
    >>> tags = pd.DataFrame({"customer_id": ["a"], "behaviour": ["high spend, high frequency"],
    ...     "customer_type": ["old"], "last_order_on": [pd.Timestamp("2023-10-20")],
    ...     "top_category": ["茶叶"], "top_category_share": [0.4], "purchase_channel": [None],
    ...     "complaints_n": [0]})
    >>> describe(tags, as_of=date(2023, 10, 31))[["core", "core_zh"]].values.tolist()[0]
    ['old customer; high spend, high frequency; last bought 11 days ago; mostly 茶叶 (40%)', \
'老客户；高消费、高频次；11天前购买；偏好茶叶（40%）']
    """
    texts = [_core(row, as_of) for row in tags.to_dict("records")]
    made = pd.DataFrame(texts, tags.index, ["core", "core_zh"], dtype="str")
    return tags.assign(**made)


# --- tags with several values


def rows(
    customers: ibis.Table,
    traits: ibis.Table,
    bought: ibis.Table,
    contacts: ibis.Table,
    *,
    as_of: date,
) -> ibis.Table:
    """One customer, tag and value, of the tags that can have several (TAG-18, TAG-31, TAG-34).

    `bought` and `contacts` are what `channels` and `reached` gave.
    """
    from ibis import _

    parts = _.interests.re_replace("[；、]", ";").split(";")  # as Chinese forms separate them
    said = customers.select("customer_id", value=parts.unnest())
    said = _row(said, INTEREST, _.value)
    seen = traits.filter(
        _.customer_id.notnull(), _.seen_on.isnull() | (_.seen_on <= as_of)
    ).mutate(since=_.seen_on)
    hobbies = _row(seen.filter(_.trait == INTEREST), INTEREST, _.value, since=_.since)
    social = seen.filter(_.trait != INTEREST)
    social = _row(social, "social", social.trait + ": " + social.value, since=_.since)
    through = _row(bought, "channel_share", _.channel, number=_.share)
    spoken = _row(contacts, "channel_contacts", _.channel, number=_.contacts)
    every = said.union(hobbies, social, through, spoken).mutate(value=_.value.strip())
    return (
        every.filter(_.value != "")
        .group_by("customer_id", "tag", "value")
        .agg(number=_.number.max(), since=_.since.min())
    )


def buyers(
    items: ibis.Table,
    returns: ibis.Table,
    products: ibis.Table,
    preference: Preference,
    *,
    as_of: date,
) -> ibis.Table:
    """One customer with a preference, as rows of tags; the number is that of orders (TAG-17)."""
    from ibis import _

    goods = _goods(items, returns, products, as_of=as_of, days=preference.days)
    codes, groups = list(preference.products), list(preference.categories)
    chosen = goods.filter(goods.product_id.isin(codes) | goods.category.isin(groups))
    each = chosen.group_by("customer_id").agg(orders=_.order_id.nunique())
    enough = each.filter(_.orders >= preference.at_least)
    return _row(enough, preference.tag, _ibis().literal("yes"), number=_.orders)


def declared_rows(
    declared: Declared,
    customers: ibis.Table,
    items: ibis.Table,
    returns: ibis.Table,
    products: ibis.Table,
    *,
    as_of: date,
) -> list[ibis.Table]:
    """The rows of each preference and field that the source declares; personas come later."""
    from ibis import _

    found = [buyers(items, returns, products, one, as_of=as_of) for one in declared.preferences]
    for one in declared.fields:
        text = customers[one.field].cast("string")
        found.append(_row(customers.filter(text.notnull()), one.tag, _[one.field].cast("string")))
    return found


def personas(tags: pd.DataFrame, many: pd.DataFrame, declared: Declared) -> pd.DataFrame:
    """One customer and persona whose conditions all hold, as rows of tags (TAG-20, TAG-21)."""
    found = []
    for one in declared.personas:
        holds = pd.Series(True, tags.index)
        for condition in one.conditions:
            holds &= condition.holds(tags, many)
        found += [(customer, one.tag, "yes") for customer in tags.loc[holds, "customer_id"]]
    made = pd.DataFrame(found, columns=["customer_id", "tag", "value"], dtype="str")
    return made.assign(number=np.nan, since=pd.NaT)[list(many.columns)]


def settled(tags: pd.DataFrame, entries: pd.DataFrame) -> pd.DataFrame:
    """`tags` as in `features/tags`, sorted by customer, with the version of their rules."""
    made = tags.assign(rules=version(entries))[lookup("features/tags").names]
    return made.sort_values("customer_id", ignore_index=True)


def among(known: ibis.Table, several: list[ibis.Table]) -> ibis.Table:
    """All rows of tags of the customers who are known and permit them."""
    import ibis

    return ibis.union(*several).semi_join(known, "customer_id")


def versioned(several: list[pd.DataFrame], entries: pd.DataFrame) -> pd.DataFrame:
    """Rows of tags as in `features/tag_rows`, sorted, each with the version of its rule."""
    many = pd.concat(several, ignore_index=True)
    versions = entries.set_index("tag")["version"]
    made = many.assign(
        version=many["tag"].map(versions).astype("str"),
        number=many["number"].astype("float64"),
        since_on=pd.to_datetime(many["since"]).astype("datetime64[us]"),
    )[lookup("features/tag_rows").names]
    return made.sort_values(["customer_id", "tag", "value"], ignore_index=True)


def extended(run: dict) -> list[str]:
    """Names of the fields that the mapping of the source declares, from the facts of the run."""
    return [field["name"] for field in run.get("fields", ())]


# --- history, recomputed (TAG-29)


def cutoffs(moments: pd.DataFrame, *, as_of: date) -> list[date]:
    """The dates at which scores were computed, in order, and `as_of`: those of the history."""
    return sorted({as_of, *(moment.date() for moment in moments["at_on"])})


def history(
    customers: ibis.Table,
    orders: ibis.Table,
    returns: ibis.Table,
    scores: ibis.Table,
    *,
    dates: list[date],
) -> ibis.Table:
    """One customer known at one of the dates: purchases and scores up to then.

    The same function as for today, from facts up to each date; `scores` are the scores of
    `features/rfm_quarters`. Nothing is remembered between runs.
    """
    import ibis
    from ibis import _

    parts = []
    for at in dates:
        known = purchases(customers, orders, returns, as_of=at)
        then = scores.filter(_.at_on == at).select("customer_id", "f_score", "m_score")
        columns = ["customer_id", "registered_on", "first_order_on", "last_order_on", "orders",
                   "spend"]  # fmt: skip
        part = together(known.select(*columns), then)
        parts.append(part.mutate(at_on=ibis.literal(at), f_score=_.f_score.fill_null(0.0),
                                 m_score=_.m_score.fill_null(0.0)))  # fmt: skip
    return ibis.union(*parts) if len(parts) > 1 else parts[0]


def relabel(
    panel: pd.DataFrame,
    *,
    new_days: int = 365,
    churned_days: int = 90,
    high: float = 80,
    middle: float = 60,
) -> pd.DataFrame:
    """`panel` with type and levels at its dates, and what each customer did until the next.

    `later_spend` and `bought_later` are about the time up to the next date, and empty for the
    last one.
    """
    spend = level(panel["m_score"], high=high, middle=middle)
    frequency = level(panel["f_score"], high=high, middle=middle)
    types = customer_type(panel, panel["at_on"], new_days=new_days, churned_days=churned_days)
    made = panel.assign(customer_type=types, behaviour=behaviour(spend, frequency),
                        spend_level=spend, frequency_level=frequency)  # fmt: skip
    made = made.sort_values(["customer_id", "at_on"], ignore_index=True)
    after = made.groupby("customer_id", sort=False)
    later = after["last_order_on"].shift(-1)
    has_next = after["at_on"].shift(-1).notna()
    return made.assign(
        next_on=after["at_on"].shift(-1),
        next_type=after["customer_type"].shift(-1),
        next_behaviour=after["behaviour"].shift(-1),
        later_spend=after["spend"].shift(-1) - made["spend"],
        bought_later=(later > made["at_on"]).where(has_next),
    )


def stock(panel: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """One date and customer type: customers."""
    each = _every(panel, {"at_on": sorted(panel["at_on"].unique()), "customer_type": TYPES})
    by = ["at_on", "customer_type"]
    return disclosure.suppress(each, by=by, along=["customer_type"], least=least)


def movement(panel: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """One pair of customer types, before and after the last step: customers who went that way."""
    last = panel[panel["next_on"] == panel["next_on"].max()]
    pairs = _every(last, {"customer_type": TYPES, "next_type": TYPES})
    return disclosure.suppress(pairs, by=["customer_type", "next_type"], least=least)


def crossed(pairs: pd.DataFrame) -> pd.DataFrame:
    """One type before, with the customers of each type after: `movement` as a matrix."""
    wide = pairs.set_index(["customer_type", "next_type"])["customers"].unstack()  # noqa: PD010
    wide = wide.reindex(index=list(TYPES), columns=list(TYPES))
    named = wide.add_prefix("now_").rename_axis(columns=None)
    return disclosure.again(named.rename_axis("type_before").reset_index(), pairs)


def kept(panel: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """One behaviour label at the start of the last step: who kept it, and where most others went.

    Of equal numbers the first label by name is given.
    """
    last = panel[panel["next_on"] == panel["next_on"].max()]
    same = last.assign(kept=last["behaviour"] == last["next_behaviour"])
    stay = same.groupby("behaviour").agg(customers=("kept", "size"), kept_share=("kept", "mean"))
    left = same[~same["kept"]].groupby(["behaviour", "next_behaviour"]).size().rename("n")
    most = left.reset_index().sort_values(["n", "next_behaviour"], ascending=[False, True])
    most = most.drop_duplicates("behaviour").set_index("behaviour")["next_behaviour"]
    made = stay.assign(others_became=most).reset_index()
    made = made.sort_values(["customers", "behaviour"], ascending=[False, True], ignore_index=True)
    made = disclosure.suppress(made, by=["behaviour"], least=least)
    more = {"part": "kept_share", "hide": ["others_became"]}
    return disclosure.suppress_part(made, by=["behaviour"], least=least, **more)


def review(panel: pd.DataFrame, *, fewest: int = 30, least: int = 5) -> pd.DataFrame:
    """One date and level of one score: do the levels still tell customers apart? (TAG-29)

    For each level the customers, the share who bought until the next date and their mean spend in
    that time; both empty where few bought, or few did not. The verdict of a date is *pass* where
    higher levels buy more often and spend more, *revise* where they do not, and *too few* where
    a level has fewer than `fewest` customers.
    """
    past = panel[panel["next_on"].notna()]
    parts = [_reviewed(past, kind, fewest) for kind in ("spend_level", "frequency_level")]
    judged = pd.concat(parts, ignore_index=True)
    by = ["at_on", "score", "level"]
    shown = disclosure.suppress(judged, by=by, along=["level"], least=least)
    more = {"part": "bought_later_share", "hide": ["later_spend"], "along": ["level"]}
    return disclosure.suppress_part(shown, by=by, least=least, **more)


# --- the notes of the page


def facts(
    tags: pd.DataFrame, many: pd.DataFrame, *, as_of: date, days: int = 90, least: int = 5
) -> dict:
    """Metrics of the customer base: types and levels, complaints, and how much is known.

    Who complained in the last `days` complained lately. Numbers of under `least` customers are
    empty, and so is what tells of them.
    """
    best = tags["behaviour"] == "high spend, high frequency"
    best_spend = _over(tags.loc[best, "spend_90d"].sum(), tags["spend_90d"].sum())
    high_high = disclosure.few(int(best.sum()), least)
    often = (tags["frequency_level"] == "high") & (tags["spend_level"] != "high")
    found = {
        "tagged": len(tags),
        "known_registration": _over(tags["registered_on"].notna().sum(), len(tags)),
        "data_from": tags["first_order_on"].min()
        if tags["first_order_on"].notna().any()
        else None,
        "never_bought": disclosure.few(int(tags["last_order_on"].isna().sum()), least),
        "high_high": high_high,
        "high_high_spend_share": None if high_high is None else best_spend,
        "frequent_customers": disclosure.few(int(often.sum()), least),
        "tag_rows": len(many),
        **_complaint_facts(tags, as_of - timedelta(days=days), least),
    }
    for name in TYPES:
        count = int((tags["customer_type"] == name).sum())
        share = disclosure.share(count, len(tags), least)
        found |= {f"{name}_customers": disclosure.few(count, least), f"{name}_share": share}
    liking, social = (many.loc[many["tag"] == n, "customer_id"] for n in (INTEREST, "social"))
    return found | {
        "known_age": _over((tags["age"] >= 0).sum(), len(tags)),
        "known_gender": _over((tags["gender"] != UNKNOWN).sum(), len(tags)),
        "known_interest": _over(tags["customer_id"].isin(liking).sum(), len(tags)),
        "known_social": _over(tags["customer_id"].isin(social).sum(), len(tags)),
    }


def base(tags: pd.DataFrame, by: str, *, least: int = 5) -> pd.DataFrame:
    """One value of a tag: customers, their share, spend in the window and its share."""
    sums = {"customers": ("customer_id", "size"), "spend_90d": ("spend_90d", "sum")}
    groups = tags.groupby(by).agg(**sums)
    whole = max(groups["customers"].sum(), 1), groups["spend_90d"].sum() or 1.0
    made = groups.assign(
        customer_share=groups["customers"] / whole[0], spend_share=groups["spend_90d"] / whole[1]
    )
    named = made.rename_axis(by).reset_index()
    named = named.sort_values(["customers", by], ascending=[False, True], ignore_index=True)
    columns = ["customers", "customer_share", "spend_90d", "spend_share"]
    named = named.assign(chinese=named[by].map(chinese))[[by, "chinese", *columns]]
    return disclosure.suppress(named, by=[by], least=least)


def filled(
    tags: pd.DataFrame, entries: pd.DataFrame, *, empty: tuple[str, ...] = ()
) -> pd.DataFrame:
    """One tag of `features/tags`: the share of customers of whom it is known.

    Nothing is known of a tag whose source tables are all `empty`: no case of service on file is
    no customer without a complaint.
    """
    text = tags[list(COLUMNS)].astype(object)
    known = text.notna() & (text != UNKNOWN) & ~((text == -1) & (text.columns == "age"))
    share = known.mean() if len(tags) else known.sum().astype(float)
    found = share.rename("filled_share").rename_axis("tag").reset_index()
    unfed = entries["sources"].str.split(", ").map(lambda names: set(names) <= set(empty))
    found.loc[found["tag"].isin(entries.loc[unfed, "tag"]), "filled_share"] = 0.0
    named = entries[["tag", "chinese"]].merge(found, on="tag")
    return named.sort_values(["filled_share", "tag"], ignore_index=True)


def found_personas(
    many: pd.DataFrame, declared: Declared, permits: pd.DataFrame, *, least: int = 5
) -> pd.DataFrame:
    """One persona: customers, those who may be addressed, and the action for them (PRV-07).

    The list itself is shown, so of a persona of which few are left out all are not told.
    """
    may = many["customer_id"].isin(permits["customer_id"])
    rows_ = [
        {
            "persona": one.tag.replace("_", " "),
            "chinese": one.chinese,
            "customers": int((many["tag"] == one.tag).sum()),
            "may_be_contacted": int((may & (many["tag"] == one.tag)).sum()),
            "action": one.action,
        }
        for one in declared.personas
    ]
    columns = ["persona", "chinese", "customers", "may_be_contacted", "action"]
    made = pd.DataFrame(rows_, columns=columns)
    alone = {"by": ["persona"], "along": [], "least": least}  # no persona is the rest of another
    made = disclosure.suppress(made, **alone)
    few = (made["customers"] - made["may_be_contacted"]).between(1, least - 1)
    return disclosure.again(made.assign(customers=made["customers"].mask(few)), made)


def invited(
    tags: pd.DataFrame, many: pd.DataFrame, declared: Declared, permits: pd.DataFrame
) -> pd.DataFrame:
    """One customer with a persona who agreed to marketing: the list to act on (PRV-07)."""
    names = [one.tag for one in declared.personas]
    mine = many[many["tag"].isin(names) & many["customer_id"].isin(permits["customer_id"])]
    made = mine.merge(tags, "left", "customer_id").sort_values(
        ["tag", "spend_90d", "customer_id"], ascending=[True, False, True], ignore_index=True
    )
    made = made.assign(persona=made["tag"].str.replace("_", " "))
    return made[["persona", "customer_id", "spend_90d", "core"]]


def read_out(entries: pd.DataFrame) -> pd.DataFrame:
    """The catalogue as a page shows it; the table also has window and requirement."""
    named = entries["tag"] + " " + entries["chinese"]
    told = entries["meaning"] + ": " + entries["rule"]
    return entries.assign(tag=named, rule=told)[["tag", "rule", "sources", "owner", "version"]]


def base_note(found: dict) -> str:
    """The answer of the page: how many fell silent, and how often that is the end."""
    if not found["tagged"]:
        return "**No customer permits a profile, so nobody has tags.**"
    if found["back_share"] is None:
        return (
            "**{churned_share:pct} of the {tagged} customer[s] with tags bought before, but not "
            "in the last {churned_days:days}**, and count[s|] as churned; whether they come back "
            "these data cannot tell yet. {high_high} [is|are] high in both spend and frequency."
        )
    return (
        "**{churned_share:pct} of the {tagged} customer[s] with tags bought before, but not in "
        "the last {churned_days:days}**, and count[s|] as churned; of those who did at "
        "{since_on:date}, {back_share:pct} bought again since. {high_high} [is|are] high in both "
        "spend and frequency."
    )


def types_note(found: dict) -> str:
    """What to keep in mind where nothing tells when customers registered (Q-52)."""
    if found["known_registration"]:
        return (
            "{never_bought} of them never made a purchase that stands: they are new or old by "
            "their registration alone."
        )
    return (
        "No registration is known, so a customer is new by the first purchase in the data, which "
        "begin on {data_from:date}: **some of the new are older than the data**, and old can only "
        "be who bought before the last {new_days:days}. Read new and old together until the data "
        "go back twice as far. Who never made a purchase that stands ({never_bought}) counts as "
        "new."
    )


def known_note(found: dict) -> str:
    """How much is known of customers beyond what they bought."""
    known = [found[f"known_{name}"] for name in ("age", "gender", "interest", "social")]
    if not any(known):
        return (
            "**Data owners: this source says nothing of its customers but what they bought.** "
            "Age, gender and interests are unknown for all of them; bring registrations, or join "
            "a source that has them."
        )
    return (
        "**Data owners: ask for what is least known.** Age is known of {known_age:pct} of "
        "customers, gender of {known_gender:pct}, an interest of {known_interest:pct}, another "
        "social or demographic trait of {known_social:pct}."
    )


def left_out(counts: dict, *, least: int = 5) -> dict:
    """Metrics: customers known, and those who have no tags since they did not permit it."""
    missing = disclosure.few(counts["all"] - counts["tagged"], least)
    return {"known": counts["all"], "not_permitted": missing}


def contactable(permits: pd.DataFrame) -> pd.DataFrame:
    """One customer who may be addressed: the only ones on a list (PRV-07)."""
    may = permits[(permits["purpose"] == "marketing") & permits["allowed"]]
    return may[["customer_id"]].sort_values("customer_id", ignore_index=True)


def persona_metrics(
    many: pd.DataFrame, declared: Declared, may: pd.DataFrame, *, least: int = 5
) -> dict:
    """Customers with a persona: all, those who may be addressed, and those left out."""
    mine = many.loc[many["tag"].isin([one.tag for one in declared.personas]), "customer_id"]
    mine = mine.drop_duplicates()
    allowed = int(mine.isin(may["customer_id"]).sum())
    left_out = disclosure.few(len(mine) - allowed, least)
    every = None if left_out is None else len(mine)
    return {"with_persona": every, "persona_contacts": allowed,
            "persona_left_out": left_out}  # fmt: skip


def permit_note(found: dict) -> str:
    """Who has no tags, since they did not permit profiling (PRV-07)."""
    if found["not_permitted"] == 0:
        return "All {known} customer[s] permit analysis and profiling: nobody is left out."
    if found["not_permitted"] is None:
        return (
            "A few of {known} customer[s] did not permit analysis and profiling: they have no "
            "tags, belong to no segment and are counted nowhere below."
        )
    return (
        "{not_permitted} of {known} customer[s] did not permit analysis and profiling: they have "
        "no tags, belong to no segment and are counted nowhere below."
    )


def persona_note(people: pd.DataFrame, found: dict) -> str:
    """What marketing have to do with the personas that were found."""
    if not len(people):
        return (
            "**Marketing: begin with the behaviour labels.** No persona is declared for this "
            "source; once it brings interests or social tags, write the first rule into its "
            "`tags.yaml`."
        )
    if not found["persona_contacts"]:
        return (
            "Marketing: nobody to write to. {with_persona} customer[s] [fits|fit] a persona, "
            "and none of them may be addressed."
        )
    if found["persona_left_out"] is None:
        return (
            "**Marketing: write to the {persona_contacts} customer[s] with a persona**, each "
            "group with the offer beside it in the table below. The few others who fit may not "
            "be addressed: they are on no list."
        )
    return (
        "**Marketing: write to the {persona_contacts} customer[s] with a persona**, each group "
        "with the offer beside it in the table below. {persona_left_out} more [fits|fit] and may "
        "not be addressed: they are on no list."
    )


def found_note(people: pd.DataFrame, found: dict) -> str:
    """How many fit a persona, above the table of personas."""
    if not len(people):
        return "The `tags.yaml` of this source declares no persona."
    if found["persona_left_out"] is None:
        return "{persona_contacts} customer[s] with a persona may be addressed; a few others fit."
    return (
        "{with_persona} customer[s] [fits|fit] a persona; {persona_contacts} of them may be "
        "addressed."
    )


def sales_note(found: dict) -> str:
    """What sales have to do about customers who buy often."""
    if not found["frequent_customers"]:
        if not found["high_high"]:
            return "Sales: hardly anybody buys often. The labels give nobody to begin with."
        return (
            "**Sales: know the {high_high} customer[s] high in both levels by name**: they bring "
            "{high_high_spend_share:pct} of the window's spend."
        )
    if not found["high_high"]:
        return (
            "**Sales: raise what buyers spend.** Hardly anybody is high in both levels; "
            "{frequent_customers} customer[s] [buys|buy] often and [spends|spend] less: offer "
            "them bundles above their usual order."
        )
    return (
        "**Sales: know the {high_high} customer[s] high in both levels by name**: they bring "
        "{high_high_spend_share:pct} of the window's spend. {frequent_customers} more "
        "[buys|buy] often and [spends|spend] less: offer them bundles above their usual order."
    )


def service_note(found: dict) -> str:
    """What service have to do: who complained lately and still buys."""
    if found["complained"] == 0:
        return "Service: nothing to follow up. The source tells of no complaint."
    if not found["complained_lately"]:
        return (
            "Service: hardly anybody complained lately and still buys. The lists on profiles "
            "name who waits for an answer."
        )
    if found["complained_churned_share"] is None:
        return (
            "**Service: call the {complained_lately} customer[s] who complained lately and still "
            "[buys|buy]**, whatever became of the case."
        )
    return (
        "**Service: call the {complained_lately} customer[s] who complained lately and still "
        "[buys|buy]**, whatever became of the case. Of the {complained} who ever complained "
        "{complained_churned_share:pct} have churned, against {churned_share:pct} of all."
    )


def stock_title(found: dict) -> str:
    """The finding of the chart of types at the end of each quarter."""
    if not found["turned_churned"] or found["came_back"] is None:
        return "Customers of each type at the end of each quarter"
    return "{turned_churned} customer[s] fell silent in the last quarter, {came_back} came back"


def moved_note(found: dict) -> str:
    """What the history says of the last quarter."""
    if found["quarters"] < 2:
        return "The data are too short for a history: there is no earlier date to compare with."
    if None in (found["turned_churned"], found["came_back"]):
        return "{kept_share:pct} of customers kept their type since {since_on:date}."
    return (
        "{kept_share:pct} of customers kept their type since {since_on:date}. "
        "{turned_churned} fell silent and {came_back} came back; who is on the way out is best "
        "asked while they can still be reached."
    )


def limits(options: dict) -> dict:
    """Of the parameters of `label` those that types and levels need, for `relabel`."""
    return {key: options[key] for key in inspect.signature(relabel).parameters if key in options}


def review_note(found: pd.DataFrame) -> str:
    """What the quarterly review says (TAG-29)."""
    if not len(found):
        return "There is no full quarter yet to review the limits by."
    if (found["verdict"] == "revise").any():
        return (
            "**Analysis: look at the limits of levels.** In {revise} of {reviewed} review[s] a "
            "higher level did not buy more often or spend more in the quarter that followed."
        )
    return (
        "The limits still separate: in {passed} of {reviewed} review[s] the higher level bought "
        "more often and spent more in the quarter that followed; {too_few} had too few customers "
        "in a level to tell."
    )


def review_metrics(found: pd.DataFrame) -> dict:
    """How many reviews passed: one for each date and score."""
    each = found.drop_duplicates(["at_on", "score"]) if len(found) else found
    verdicts = each["verdict"].value_counts() if len(each) else {}
    return {
        "reviewed": len(each),
        "passed": int(verdicts.get("pass", 0)),
        "revise": int(verdicts.get("revise", 0)),
        "too_few": int(verdicts.get("too few", 0)),
    }


def moved_metrics(panel: pd.DataFrame, *, least: int = 5) -> dict:
    """Who left and who came back in the last step of the history.

    `back_share` is the part of those then churned who are so no more; empty if either part of
    them is under `least`, or if nobody was.
    """
    last = panel[panel["next_on"] == panel["next_on"].max()]
    was, now = last["customer_type"], last["next_type"]
    gone = was == "churned"
    back = int((gone & (now != "churned")).sum())
    turned = int(((was != "churned") & (now == "churned")).sum())
    return {
        "quarters": int(panel["at_on"].nunique()),
        "since_on": last["at_on"].min() if len(last) else None,
        "turned_churned": disclosure.few(turned, least),
        "came_back": disclosure.few(back, least),
        "kept_share": float((was == now).mean()) if len(last) else 0.0,
        "back_share": disclosure.share(back, int(gone.sum()), least) if gone.any() else None,
    }


# --- private


def _ibis():
    import ibis

    return ibis


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _settings(params: dict) -> dict:
    """Every parameter as `function_keyword`, those that params.yaml leaves out by default."""
    found = {}
    for function in (purchases, channels, liked, answered, served, reached, label):
        name = function.__name__
        for key, one in inspect.signature(function).parameters.items():
            if one.default is not one.empty:
                value = params.get(name, {}).get(key, one.default)
                is_list = isinstance(value, (list, tuple))
                found[f"{name}_{key}"] = ", ".join(map(str, value)) if is_list else value
    return found


def _placed(orders: ibis.Table, returns: ibis.Table, *, as_of: date) -> ibis.Table:
    """One order of a named customer up to `as_of`: what is left of it, and whether it stands."""
    from ibis import _

    known = returns.filter(returns.returned_at.date() <= as_of, returns.reverses.notnull())
    cancelled = known.group_by(order_id=_.reverses).agg(cancelled=_.amount.sum())
    placed = orders.filter(
        orders.ordered_at.date() <= as_of, orders.customer_id.notnull(), orders.amount > 0
    ).left_join(cancelled, "order_id")
    net = placed.amount - placed.cancelled.fill_null(0)
    return placed.select("customer_id", "order_id", "ordered_at", "channel", "country",
                         day=placed.ordered_at.date(), net=net, stands=net > 0)  # fmt: skip


def _returned(returns: ibis.Table, *, as_of: date, start: date) -> ibis.Table:
    """One customer with returns that cancel no whole line: their sums, booked when they came."""
    from ibis import _

    day = returns.returned_at.date()
    loose = returns.filter(day <= as_of, returns.customer_id.notnull(), returns.reverses.isnull())
    return loose.group_by("customer_id").agg(
        returned=_.amount.sum(), returned_recently=_.amount.sum(where=day > start)
    )


def _settled(joined: ibis.Table, *, as_of: date) -> ibis.Table:
    """The customers known by `as_of`, their sums filled and less returns."""
    import ibis

    sums = ("net", "recent", "returned", "returned_recently")
    counts = ("orders", "freq_30d", "freq_90d", "active_quarters")
    zero = {name: joined[name].fill_null(0) for name in (*sums, *counts)}
    first = ibis.least(joined.registered_on, joined.seen_on)
    made = joined.mutate(
        spend=zero["net"] - zero["returned"],
        spend_90d=zero["recent"] - zero["returned_recently"],
        overtime_order_share=_rate(ibis, joined.habit_late, joined.habit),
        **{name: zero[name].cast("int64") for name in counts},
    )
    return made.filter(first.isnull() | (first <= as_of)).drop(
        *sums, "habit", "habit_late", "seen_on"
    )


def _overtime(at, hours: list[int]):
    """Whether a time lies on Monday to Friday, from the first hour to before the last."""
    first, last = hours
    is_weekday = at.date().day_of_week.index() < 5
    return is_weekday & (at.hour() >= first) & (at.hour() < last)


def _rate(ibis, some, every):
    """A share as a number; empty where there is nothing to share."""
    return some.cast("float64") / every.cast("float64").nullif(ibis.literal(0.0))


def _shared(each: ibis.Table, measure: str, order: list) -> ibis.Table:
    """`each` with its place among those of the customer, from 1, with the sum and its share."""
    import ibis

    place = ibis.row_number().over(group_by="customer_id", order_by=order)
    total = each[measure].sum().over(group_by="customer_id")
    ranked = each.mutate(place=place + 1, total=total)
    return ranked.mutate(share=_rate(ibis, ranked[measure], ranked.total))


def _goods(
    items: ibis.Table, returns: ibis.Table, products: ibis.Table, *, as_of: date, days: int
) -> ibis.Table:
    """One line of goods in the window that a named customer bought and had not cancelled."""
    from ibis import _

    goods = products.filter("is_product").select("product_id", "category")
    cancelled = returns.filter(
        returns.returned_at.date() <= as_of, returns.reverses_line.notnull()
    )
    day = items.ordered_at.date()
    sold = items.filter(
        day <= as_of, day > as_of - timedelta(days=days), items.amount > 0,
        items.customer_id.notnull(),
    ).anti_join(cancelled, items.line == cancelled.reverses_line)  # fmt: skip
    joined = sold.inner_join(goods, "product_id")
    return joined.select("customer_id", "order_id", "product_id", "category", amount=_.amount)


def _row(rows_: ibis.Table, tag: str, value, *, number=None, since=None) -> ibis.Table:
    """Customers of a table as rows of one tag."""
    import ibis

    return rows_.select(
        "customer_id",
        tag=ibis.literal(tag),
        value=value,
        number=ibis.null("float64") if number is None else number.cast("float64"),
        since=ibis.null("date") if since is None else since,
    )


def _age(birth: pd.Series, as_of: date) -> pd.Series:
    """Whole years at a date; −1 where the date of birth is missing or cannot be true."""
    day = pd.to_datetime(birth)
    before = (day.dt.month * 100 + day.dt.day) > as_of.month * 100 + as_of.day
    years = as_of.year - day.dt.year - before
    return years.where((years >= 0) & (years <= OLDEST), -1).fillna(-1).astype("int64")


def _every(rows_: pd.DataFrame, values: dict) -> pd.DataFrame:
    """Customers of every combination of the values, 0 where there are none."""
    full = pd.MultiIndex.from_product(values.values(), names=list(values))
    counts = rows_.groupby(list(values)).size().reindex(full, fill_value=0)
    return counts.rename("customers").reset_index()


def _complaint_facts(tags: pd.DataFrame, start: date, least: int) -> dict:
    complained = tags["complaints_n"] > 0
    late = complained & (tags["last_complaint_on"] > pd.Timestamp(start))
    churned = complained & (tags["customer_type"] == "churned")
    return {
        "complained": disclosure.few(int(complained.sum()), least),
        "complained_lately": disclosure.few(int((late & (tags["freq_90d"] > 0)).sum()), least),
        "complained_churned_share": disclosure.share(
            int(churned.sum()), int(complained.sum()), least
        ),
    }


def _over(some, every) -> float:
    return float(some) / float(every) if every else 0.0


def _core(row: dict, as_of: date) -> tuple[str, str]:
    """The core description of one customer, in English and in Chinese."""
    kind, label_ = row["customer_type"], row["behaviour"]
    english, own = [f"{kind} customer", label_], [chinese(kind), chinese(label_)]
    if (last := row["last_order_on"]) is not pd.NaT and last == last:
        days = (as_of - last.date()).days
        english.append(f"last bought {days} day{'s' * (days != 1)} ago")
        own.append(f"{days}天前购买")
    else:
        english.append("no purchase")
        own.append("未购买")
    if isinstance(category := row["top_category"], str):
        english.append(f"mostly {category} ({row['top_category_share']:.0%})")
        own.append(f"偏好{category}（{row['top_category_share']:.0%}）")
    if isinstance(channel := row["purchase_channel"], str):
        english.append(f"mostly through {channel}")
        own.append(f"偏好{chinese(channel)}购买")
    if (n := row["complaints_n"]) > 0:
        english.append(f"{int(n)} complaint{'s' * (n != 1)}")
        own.append(f"投诉{int(n)}次")
    return "; ".join(english), "；".join(own)


def _reviewed(past: pd.DataFrame, kind: str, fewest: int) -> pd.DataFrame:
    """The review of one kind of level, a row for each date and level, high first."""
    made = past.assign(level=past[kind], bought=past["bought_later"].astype("float64"))
    groups = made.groupby(["at_on", "level"]).agg(
        customers=("customer_id", "size"),
        bought_later_share=("bought", "mean"),
        later_spend=("later_spend", "mean"),
    )
    every = pd.MultiIndex.from_product(
        [sorted(made["at_on"].unique()), LEVELS], names=["at_on", "level"]
    )
    table = groups.reindex(every).reset_index()
    table = table.assign(customers=table["customers"].fillna(0).astype("int64"))
    verdicts = {at: _verdict(rows_, fewest) for at, rows_ in table.groupby("at_on")}
    score = kind.removesuffix("_level")
    return table.assign(score=score, verdict=table["at_on"].map(verdicts).astype("str"))[
        ["at_on", "score", "level", "customers", "bought_later_share", "later_spend", "verdict"]
    ]


def _verdict(levels: pd.DataFrame, fewest: int) -> str:
    """Whether higher levels bought more often and spent more afterwards."""
    if (levels["customers"] < fewest).any():
        return "too few"
    falls = [
        levels[name].is_monotonic_decreasing for name in ("bought_later_share", "later_spend")
    ]
    return "pass" if all(falls) else "revise"
