"""What the data can carry, and what their owners should mend first.

Everything is computed from facts up to `as_of`: the figures of earlier months are computed anew
at the ends of those months, so nothing is remembered. A *purchase* is an order with an amount
above zero. A customer is a *prospect* without a purchase, *new* when the first one lies within 90
days, *churned* after 90 days of silence, and otherwise *mature*. An *issue* is one rule that one
row breaks; its owner notes in a hand-kept file when it is handled, and it is open until then.

Examples of rows are shown without personal columns, and whatever looks like a phone, an e-mail
or a number of an identity document is masked all the same.
"""

from __future__ import annotations

import json
import re
import unicodedata
from calendar import monthrange
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

import ibis
import pandas as pd
from ibis import _

from crm import disclosure, rules, wording
from crm.tables import (
    ANALYSES,
    ARRIVING,
    GRADES,
    PERSONAL_STATUSES,
    STRIDE,
    TABLES,
    lookup,
    moment,
)

MEASURES = {  # what a figure says, why it matters, and what its owner does first
    "named_share": (
        "{value:pct} of orders name a customer",
        "each order without a customer is missing from somebody's purchases",
        "find out where orders lose their customer",
    ),
    "named_sales_share": (
        "{value:pct} of sales, before returns, name a customer",
        "few orders without a customer may hold much of the money",
        "find out whose the large orders without a customer are",
    ),
    "sound_share": (
        "{value:pct} of order lines are fit for use, and not held back by a rule",
        "what waits in quarantine is missing, and seldom at random",
        "mend the rows in quarantine, the commonest reason first",
    ),
    "history_days": (
        "orders of {value:days}",
        "before the window is full, everybody seems to buy seldom",
        "load older orders",
    ),
    "buyers": (
        "{value:int} customer[s] bought",
        "groups of a few customers are chance",
        "load more orders, or look at the customers one by one",
    ),
    "repeat_share": (
        "{value:pct} of customers bought more than once",
        "a single purchase shows no behaviour that could be grouped",
        "load older orders, and join the keys of one person",
    ),
    "baskets": (
        "{value:int} order[s] hold[s|] several products",
        "a rule that holds in one order of a hundred needs some twenty cases",
        "load more orders",
    ),
    "basket_share": (
        "{value:pct} of orders hold several products",
        "where people buy one thing at a time, products do not meet",
        "check that all lines of an order carry its number",
    ),
    "stopped": (
        "{value:int} customer[s] stopped buying",
        "a model learns from those who stopped: ten or twenty for each trait it weighs",
        "load older orders",
    ),
    "signal_share": (
        "{value:pct} of customers left a trace besides orders",
        "without visits, complaints or answers nothing warns before the silence",
        "map the records of service and behaviour",
    ),
}
MENDED_IN = {"signal_share": "tickets"}  # the table whose owner mends it; else order lines
SHARES = tuple(name for name in MEASURES if name.endswith("_share"))

STAGES = ("prospect", "new", "mature", "churned")
BASE = ("name", "contact", "registered_on", "industry")  # ING-13; the key is never empty
NOT_FIELDS = ("customer_id", "updated_on", "imputed", *PERSONAL_STATUSES)
GROUPS = {  # what people left behind besides orders
    "behaviour": ("events", "usage", "touchpoints", "campaign_contacts", "leads"),
    "service": ("tickets", "interactions", "surveys", "reviews"),
    "consent": ("consents",),
}
NEEDS = {  # what each stage of life asks for (CLN-15)
    "prospect": {"contact": "to reach them", "acquisition": "which channel brought them",
                 "behaviour": "what they looked at"},
    "new": {"contact": "to welcome them", "acquisition": "which channel brought them",
            "consent": "whether they may be addressed"},
    "mature": {"contact": "to care for them", "industry": "to compare them",
               "behaviour": "what they use and like", "service": "what they asked and said"},
    "churned": {"contact": "to win them back", "service": "why they left",
                "consent": "whether they may be addressed"},
}  # fmt: skip

UNLIMITED = "look for data without this limit"
STATUSES = ("open", "handled", "closed")
HANDLED = ("rule", "table", "line", "status", "handled_on", "note")  # columns of issues.csv
WHOLE = -1  # in place of a line: the entry is about every issue of the rule
UNREADABLE_WHY = "the cell is no number, date or code, as its field asks"
MASK = "***"
TELLTALE = re.compile(
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"  # e-mail
    r"|(?<!\d)\d{14,18}[\dXx](?!\d)"  # identity document, bank card
    r"|(?<!\d)(?:\+?86[-\s]?)?1[3-9]\d[-\s]?\d{4}[-\s]?\d{4}(?!\d)"  # mobile phone
    r"|(?<!\d)1[3-9]\d{8,10}(?!\d)"  # the same with a digit too few or too many
    r"|(?<!\d)0\d{2,3}[-\s]?\d{7,8}(?!\d)"  # landline
    r"|\+\d[\d\s-]{7,}\d"  # abroad
)
PERSONAL = {c.name for table in TABLES.values() for c in table.columns if c.personal}


class QualityError(ValueError):
    """Rows were lost, or the file of handled issues cannot be read."""


# ---- what the data can carry -----------------------------------------------------------------


def placed(orders: ibis.Table, items: ibis.Table, products: ibis.Table) -> ibis.Table:
    """One purchase: `order_id`, `customer_id`, `day`, `amount`, and how many `products` it holds.

    Postage and other entries that are no goods are no products.
    """
    goods = items.semi_join(products.filter("is_product"), "product_id")
    held = goods.group_by("order_id").agg(products=_.product_id.nunique())
    joined = orders.filter(_.amount > 0).left_join(held, "order_id")
    return joined.select(
        "order_id",
        "customer_id",
        "amount",
        day=_.ordered_at.date(),
        products=_.products.fill_null(0),
    )


def facts(
    placed: ibis.Table, traces: ibis.Table, *, as_of: date, churned_days: int = 90
) -> ibis.Table:
    """One row: the figures that decide what is known up to `as_of` can carry.

    Whether order lines are sound is not among them: see `soundness`.
    """
    bought = placed.filter(_.day <= as_of)
    silent = _.last <= ibis.date(as_of - timedelta(days=churned_days))
    named = bought.filter(_.customer_id.notnull()).group_by("customer_id")
    each = named.agg(orders=_.count(), last=_.day.max()).left_join(
        traces.select("customer_id", since=ibis.least(_.behaviour, _.service)), "customer_id"
    )
    people = each.aggregate(
        signal_share=(_.since <= as_of).fill_null(False).cast("float64").mean().fill_null(0),
        buyers=_.count(),
        repeat_share=(_.orders > 1).cast("float64").mean().fill_null(0),
        stopped=silent.sum().fill_null(0),
    )
    all_sales = bought.amount.sum().cast("float64")
    named_sales = bought.amount.sum(where=bought.customer_id.notnull()).cast("float64")
    sums = bought.aggregate(
        until_on=ibis.date(as_of),
        orders=_.count(),
        named_share=_.customer_id.notnull().cast("float64").mean().fill_null(0),
        named_sales_share=(named_sales / all_sales).fill_null(0),
        history_days=(ibis.date(as_of).delta(bought.day.min(), unit="day") + 1).fill_null(0),
        baskets=(_.products > 1).sum().fill_null(0),
        basket_share=(_.products > 1).cast("float64").mean().fill_null(0),
    )
    return sums.cross_join(people)


def limits(
    *,
    churned_days: int = 90,
    window_days: int = 90,
    named: tuple[float, float] = (0.5, 0.9),
    sound: tuple[float, float] = (0.95, 0.99),
    customers: tuple[float, float] = (30, 100),
    grouped: tuple[float, float] = (200, 1000),
    repeated: tuple[float, float] = (0.1, 0.3),
    baskets: tuple[float, float] = (500, 2000),
    mixed: tuple[float, float] = (0.1, 0.3),
    stopped: tuple[float, float] = (100, 200),
    signals: tuple[float, float] = (0, 0.2),
) -> pd.DataFrame:
    """One figure that one analysis needs: below `least` the verdict is no, from `enough` on yes.

    Parameters
    ----------
    churned_days, window_days
        Days of silence that mean churn, and the window of frequency and spend. RFM needs one
        full window; churn two spans (one to look at, one to see who stopped), twice that to test.
    named
        Share of orders, and of sales, with a customer. At one in ten unnamed, a frequent buyer
        lacks one.
    sound
        Share of order lines outside quarantine; the run itself stops at one in twenty (CLN-09).
    customers, grouped
        Buyers for tiers; buyers for behaviour groups, of which small ones should hold dozens.
    repeated
        Share of buyers with a second purchase.
    baskets, mixed
        Orders with several products, and their share: a rule of one order in a hundred then has
        five to twenty cases.
    stopped
        Customers who stopped: ten to twenty for each of ten traits of a model.
    signals
        Share of buyers with records of service or behaviour; without them care is due, no more.
    """
    needs = {
        "RFM": {"history_days": (window_days, 2 * window_days), "named_share": named,
                "named_sales_share": named, "buyers": customers},
        "clusters": {"buyers": grouped, "named_share": named, "named_sales_share": named,
                     "repeat_share": repeated},
        "baskets": {"baskets": baskets, "basket_share": mixed},
        "churn": {"history_days": (2 * churned_days, 4 * churned_days), "stopped": stopped,
                  "named_share": named, "signal_share": signals},
    }  # fmt: skip
    return _long({a: own | {"sound_share": sound} for a, own in needs.items()})


def judge(facts: dict, limits: pd.DataFrame) -> pd.DataFrame:
    """One figure that one analysis needs, as found, with its `grade`; figures not known are out.

    Examples
    --------
    >>> judge({"stopped": 150}, limits())[["analysis", "measure", "grade"]].values.tolist()
    [['churn', 'stopped', 'with care']]
    """
    known = limits[limits["measure"].isin(facts)].reset_index(drop=True)
    value = known["measure"].map(facts).astype("float64")
    place = (value >= known["least"]).astype(int) + (value >= known["enough"]).astype(int)
    return known.assign(value=value, place=place, grade=[GRADES[p] for p in place])


def verdicts(judged: pd.DataFrame) -> pd.DataFrame:
    """One analysis: `verdict`, the `reason` with its figure, and what to `fix` first.

    The worst figure decides; of equally bad ones the first that `limits` names. Where all is
    well the reason is the figure that stands nearest above its limit.
    """
    near = judged["value"] / judged["enough"].where(judged["enough"] > 0, 1)
    order = near.where(judged["place"] == len(GRADES) - 1, 0)
    ranked = judged.assign(order=order).sort_values(["place", "order"], kind="stable")
    worst = ranked.drop_duplicates("analysis").set_index("analysis").reindex(ANALYSES)
    worst = worst.dropna(subset="measure").reset_index()
    is_fine, measures = worst["grade"] == GRADES[-1], worst["measure"]
    fixes = pd.Series([MEASURES[measure][2] for measure in measures], dtype="str")
    return pd.DataFrame(
        {
            "analysis": worst["analysis"],
            "verdict": worst["grade"],
            "reason": [_told(*pair) for pair in zip(measures, worst["value"], strict=True)],
            "yes_from": [_figure(*pair) for pair in zip(measures, worst["enough"], strict=True)],
            "fix": fixes.where(~is_fine, "nothing"),
            "owner": [_owner(MENDED_IN.get(measure, "order_lines")) for measure in measures],
        }
    )


def limited(verdicts: pd.DataFrame, declared: Iterable[tuple[str, str, str]] = ()) -> pd.DataFrame:
    """`verdicts`, none of them better than what the mapping declares of its data.

    Examples
    --------
    >>> one = verdicts(judge({"baskets": 2000}, limits()))
    >>> limited(one, [("baskets", "no", "a sample of lines")])["reason"].tolist()
    ['a sample of lines']
    """
    rows = verdicts.set_index("analysis")
    for analysis, verdict, why in declared:
        found = GRADES.index(rows["verdict"].get(analysis, GRADES[0]))
        if analysis in rows.index and GRADES.index(verdict) <= found:
            told = {"verdict": verdict, "reason": why, "fix": UNLIMITED, "yes_from": "–"}
            rows.loc[analysis] = rows.loc[analysis].to_dict() | told
    return rows.reset_index()


def evidence(judged: pd.DataFrame) -> pd.DataFrame:
    """`judged` as people read it: the figure, its two limits, and why it matters."""
    texts = {
        name: [_figure(m, v) for m, v in zip(judged["measure"], judged[column], strict=True)]
        for name, column in (("found", "value"), ("no_below", "least"), ("yes_from", "enough"))
    }
    low = zip(texts["no_below"], judged["least"], strict=True)
    texts["no_below"] = [text if value else "–" for text, value in low]  # nothing is below zero
    told = [MEASURES[m][1] for m in judged["measure"]]
    shown = judged[["analysis", "measure"]].assign(**texts, grade=judged["grade"], why=told)
    return shown.assign(measure=judged["measure"].str.replace("_", " "))


def headline(verdicts: pd.DataFrame) -> dict:
    """Metrics of the verdict: the analyses by grade, and what to fix first and why.

    Examples
    --------
    >>> headline(verdicts(judge({"stopped": 150}, limits())))["careful"]
    'churn'
    """
    names = dict(zip(("refused", "careful", "carried"), GRADES, strict=True))
    found = {
        name: ", ".join(verdicts.loc[verdicts["verdict"] == grade, "analysis"]) or "nothing"
        for name, grade in names.items()
    }
    words = dict(zip(names, ("No", "With care", "Yes"), strict=True))
    said = [f"{words[n]}: {found[n]}." for n in reversed(names) if found[n] != "nothing"]
    wanting = verdicts.assign(place=verdicts["verdict"].map(GRADES.index))
    wanting = wanting[wanting["verdict"] != GRADES[-1]]
    first = wanting.sort_values("place", kind="stable").head(1)
    return found | {
        "verdict_said": " ".join(said),
        "analyses": len(verdicts),
        "analyses_carried": int((verdicts["verdict"] == GRADES[-1]).sum()),
        "first_fix": first["fix"].iloc[0] if len(first) else "",
        "first_reason": _sentence(first["reason"].iloc[0]) if len(first) else "",
        "first_analysis": first["analysis"].iloc[0] if len(first) else "",
        "first_owner": _sentence(first["owner"].iloc[0]) if len(first) else "",
        "first_enough": first["yes_from"].iloc[0] if len(first) else "",
    }


def first_note(verdicts: pd.DataFrame) -> str:
    """The sentence that tells what to fix first."""
    if (verdicts["verdict"] == GRADES[-1]).all():
        return "Nothing stands in the way of an analysis. Go on with the open issues below."
    if headline(verdicts)["first_enough"] == "–":  # no figure would do: the mapping says so
        return (
            "**First: {first_fix:text}.** {first_reason:text}; that limits {first_analysis:text}."
        )
    return (
        "**{first_owner:text}: {first_fix:text}.** {first_reason:text}; {first_analysis:text} "
        "needs {first_enough:text} for a yes."
    )


# ---- the ledger ------------------------------------------------------------------------------


def tables_ledger(files: pd.DataFrame, ledger: pd.DataFrame) -> pd.DataFrame:
    """One table that a file feeds: who owns it, and what became of the rows that arrived.

    `missing` is arrived − kept − quarantined − removed: zero, or rows were lost.
    """
    fates = ["kept", "quarantined", "removed"]
    booked = ledger.pivot_table("rows", "table", "fate", "sum", fill_value=0, observed=True)
    booked = booked.reindex(columns=fates, fill_value=0)
    arrived = files.groupby("table")["rows"].sum().rename("arrived")
    both = pd.concat([arrived, booked], axis=1).fillna(0).astype("int64")
    names = [name for name in ARRIVING if name in both.index]
    whole = both.reindex(names).rename_axis("table").reset_index()
    missing = whole["arrived"] - whole[fates].sum(axis=1)
    owners = pd.Series([_owner(name) for name in names], dtype="str")
    return whole.assign(missing=missing.astype("int64"), owner=owners)


def assert_balanced(balance: pd.DataFrame) -> None:
    """Raise `QualityError` for a table whose rows do not add up to those that arrived.

    Examples
    --------
    >>> assert_balanced(pd.DataFrame({"table": ["orders"], "missing": [0]}))
    """
    lost = balance[balance["missing"] != 0]
    if len(lost):
        told = ", ".join(f"{t} {n:+,}" for t, n in lost[["table", "missing"]].values.tolist())
        raise QualityError(
            f"rows that arrived and rows in the ledger differ: {told}; run `dvc repro` to rebuild "
            "the staged and the clean tables together"
        )


def totals(balance: pd.DataFrame) -> dict:
    """Metrics of the ledger: rows by fate, sound order lines, and tables that no file feeds."""
    fates = ("arrived", "kept", "quarantined", "removed")
    sums = {name: int(balance[name].sum()) for name in fates}
    lines = balance.loc[balance["table"] == "order_lines", ["arrived", "quarantined"]].sum()
    unfed = [name for name in ARRIVING if name not in set(balance["table"])]
    return sums | {
        "tables_fed": len(balance),
        "kept_share": _ratio(sums["kept"], sums["arrived"]),
        "sound_share": _ratio(lines["arrived"] - lines["quarantined"], lines["arrived"]),
        "unfed": ", ".join(name.replace("_", " ") for name in unfed),
    }


def unfed_note(balance: pd.DataFrame) -> str:
    """The sentence that names the tables that no file feeds."""
    if len(balance) == len(ARRIVING):
        return "Every table is fed by a file."
    return (
        "The ledger balances: in every table, rows that arrived are the rows kept, quarantined "
        "and removed. No file feeds {unfed:text}; these tables are empty, and so is what the "
        "pages say of them."
    )


def retention(
    periods: Iterable[tuple[str, int]], ledger: pd.DataFrame, *, as_of: date
) -> pd.DataFrame:
    """One table with a retention period: its days, the oldest day kept, rows removed (CLN-18)."""
    gone = ledger[ledger["reason"] == rules.EXPIRED].set_index("table")["rows"]
    rows = [
        (table, days, pd.Timestamp(as_of - timedelta(days=days)), int(gone.get(table, 0)))
        for table, days in periods
    ]
    frame = pd.DataFrame(rows, columns=["table", "kept_days", "kept_from_on", "removed"])
    return frame.astype({"table": "str", "kept_from_on": "M8[us]"})


def retention_note(retention: pd.DataFrame) -> str:
    """The sentence on retention, and on what removing a row means."""
    if retention.empty:
        return "The mapping sets no retention period, so nothing is removed for its age."
    return (
        "{expired} row[s] older than the retention period of the table [was|were] removed: no "
        "later table, list or page holds what was removed. The raw files are never changed, and "
        "`data/staged` repeats them, so there it stays until the owner takes it out of the files "
        "and runs the pipeline again."
    )


# ---- quarantine ------------------------------------------------------------------------------


def reasons(quarantine: ibis.Table) -> ibis.Table:
    """One reason for which rows of one table wait in quarantine, the commonest first."""
    return (
        quarantine.group_by("table", "reason")
        .agg(rows=_.count())
        .order_by(_.rows.desc(), "table", "reason")
    )


def examples(quarantine: ibis.Table, *, each: int = 2) -> ibis.Table:
    """The first `each` rows of each reason: table, reason, line, row."""
    place = ibis.row_number().over(group_by=["table", "reason"], order_by=quarantine.line)
    few = quarantine.mutate(place=place).filter(_.place < each)
    return few.order_by("table", "reason", "line").select("table", "reason", "line", "row")


def explained(frame: pd.DataFrame, rule: str, more: Iterable[rules.Rule] = ()) -> pd.DataFrame:
    """`frame` with the `owner` of its table and `why` the rule in column `rule` is there."""
    told = {(r.table, r.id): r.why for r in (*rules.RULES, *more)}
    told |= {(name, rules.UNREADABLE): UNREADABLE_WHY for name in ARRIVING}
    pairs = zip(frame["table"], frame[rule], strict=True)
    return frame.assign(
        owner=pd.Series([_owner(t) for t in frame["table"]], index=frame.index, dtype="str"),
        why=pd.Series([told.get(pair, "") for pair in pairs], index=frame.index, dtype="str"),
    )


def cells(issues: ibis.Table) -> ibis.Table:
    """One field with cells that could not be read: table, field, cells, and the first value."""
    return (
        issues.filter(_.rule == rules.UNREADABLE)
        .group_by("table", "field")
        .agg(cells=_.count(), line=_.line.min(), value=_.value.argmin(_.line))
        .order_by(_.cells.desc(), "table", "field")
    )


def shown(frame: pd.DataFrame, files: pd.DataFrame) -> pd.DataFrame:
    """`frame` with `file` and `record` for `line`, and its texts safe to show.

    `row` is JSON: empty and personal fields are left out. Whatever looks like a phone, an e-mail
    or a number of an identity document is masked, in `value` and `kept` too.
    """
    places = files[["table", "number", "file"]].assign(number=files["number"].astype("int64"))
    number, record = frame["line"] // STRIDE, frame["line"] % STRIDE
    joined = frame.assign(number=number, record=record).merge(
        places, "left", on=["table", "number"]
    )
    texts = {c: joined[c].map(mask) for c in ("kept", "value") if c in frame}
    if "row" in frame:
        texts["row"] = joined["row"].map(told)
    ends = ["file", "record", *texts]
    columns = [c for c in frame.columns if c not in ("line", *ends)] + ends
    return joined.assign(**texts)[columns]


def told(row: str) -> str:
    """A row written as JSON as people read it, without what is empty or personal, and masked.

    Examples
    --------
    >>> told('{"order_id": "A1", "name": "?", "quantity": -3, "city": null, "note": "a@b.cn"}')
    'order_id A1, quantity -3, note ***'
    """
    try:
        fields = json.loads(row)
    except (TypeError, ValueError):
        return mask(row)
    if not isinstance(fields, dict):
        return mask(row)
    hidden = {"line", "source", *PERSONAL}
    filled = {k: v for k, v in fields.items() if k not in hidden and v not in (None, "")}
    return ", ".join(f"{name} {mask(value)}" for name, value in filled.items())


def mask(value) -> str | None:
    """A text in which what looks like a phone, an e-mail or an identity number is hidden.

    Examples
    --------
    >>> mask("call １３８-0013-8000 or a.b@c.cn"), mask("W-20230105-17"), mask(None)
    ('call *** or ***', 'W-20230105-17', None)
    """
    if value is None or value != value:
        return None
    text = unicodedata.normalize("NFKC", str(value))
    return TELLTALE.sub(MASK, text) if TELLTALE.search(text) else str(value)


def waiting_facts(reasons: pd.DataFrame, unread: pd.DataFrame) -> dict:
    """Metrics of the quarantine: reasons, the commonest of them, and cells not read."""
    first = reasons.iloc[0] if len(reasons) else {"reason": "", "rows": 0, "table": ""}
    return {
        "reasons": len(reasons),
        "common_reason": first["reason"],
        "common_rows": int(first["rows"]),
        "common_table": first["table"].replace("_", " "),
        "cells_unread": int(unread["cells"].sum()),
    }


def waiting_note(reasons: pd.DataFrame) -> str:
    """The sentence on the quarantine."""
    if reasons.empty:
        return "No row waits in quarantine. Cells that could not be read: {cells_unread}."
    return (
        "Rows in quarantine: {quarantined}, for {reasons} reason[s]; {common_rows} of them for "
        "*{common_reason:text}* in {common_table:text}. Cells that could not be read: "
        "{cells_unread}. Each row stands whole in `data/clean/quarantine.parquet`."
    )


# ---- issues ----------------------------------------------------------------------------------


def handled(path: Path) -> pd.DataFrame:
    """One entry of the hand-kept file of issues: rule, table, line, status, handled_on, note.

    An entry without a line is about every issue of its rule. The last of several entries about
    the same counts. A file that is not there is an empty one.

    Raises
    ------
    QualityError
        The file is not UTF-8, lacks a column, or a line, a status or a date is none.
    """
    path = Path(path)
    if not path.exists():
        return _checked(pd.DataFrame(columns=list(HANDLED), dtype="str"), path.name)
    try:
        text = pd.read_csv(path, dtype="str", encoding="utf-8-sig", skipinitialspace=True)
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise QualityError(
            f"{path.name} cannot be read: {str(error).splitlines()[0]}; save it as UTF-8 with the "
            f"columns {', '.join(HANDLED)}"
        ) from None
    missing = [name for name in HANDLED if name not in text]
    if missing:
        raise QualityError(f"{path.name} has no column {missing}; it needs {', '.join(HANDLED)}")
    return _checked(text[list(HANDLED)], path.name)


def handled_in(folder: Path) -> dict:
    """Metric of the hand-kept file: where in the project it lies.

    Examples
    --------
    >>> handled_in(Path("/data/sources/shop"))
    {'issues_file': 'data/sources/shop/issues.csv'}
    """
    return {"issues_file": f"data/sources/{folder.name}/issues.csv"}


def tagged(issues: ibis.Table, handled: ibis.Table) -> ibis.Table:
    """One issue with its `status`, `handled_on`; an entry on its line goes before its rule's."""
    keep = ["rule", "table", "line", "status", "handled_on"]
    one = handled.filter(_.line != WHOLE).select(*keep)
    rest = handled.filter(_.line == WHOLE).select(
        "rule", "table", rule_status="status", rule_handled_on="handled_on"
    )
    joined = issues.left_join(one, ["rule", "table", "line"])
    joined = joined.drop("rule_right", "table_right", "line_right")
    joined = joined.left_join(rest, ["rule", "table"])
    is_one = joined.status.notnull()
    status = ibis.coalesce(joined.status, joined.rule_status, STATUSES[0])
    return joined.select(
        *issues.columns,
        status=status,
        handled_on=ibis.ifelse(is_one, joined.handled_on, joined.rule_handled_on),
    )


def idle(handled: ibis.Table, issues: ibis.Table) -> ibis.Table:
    """One row: entries of the hand-kept file that match no issue: a slip, or mended and gone."""
    one = handled.filter(_.line != WHOLE).anti_join(issues, ["rule", "table", "line"])
    rest = handled.filter(_.line == WHOLE).anti_join(issues, ["rule", "table"])
    return one.union(rest).aggregate(entries_idle=_.count())


def by_rule(tagged: ibis.Table, *, as_of: date, recent_months: int = 3) -> ibis.Table:
    """One rule that rows of one table break: how many, by status, since when, and lately.

    `recent` counts the last full months, `before` as many months before them.
    """
    last, middle, first = _spans(as_of, recent_months)
    is_open = tagged.status == STATUSES[0]
    keys = ["table", "rule", "severity", "origin"]
    return tagged.group_by(*keys).agg(
        issues=_.count(),
        open=is_open.sum(),
        handled=(_.status == STATUSES[1]).sum(),
        closed=(_.status == STATUSES[2]).sum(),
        handled_on=_.handled_on.max(),
        since=_.month.min(where=is_open),
        recent=((_.month > middle) & (_.month <= last)).sum().fill_null(0),
        before=((_.month > first) & (_.month <= middle)).sum().fill_null(0),
    )


def volumes(tables: dict[str, ibis.Table], *, as_of: date, recent_months: int = 3) -> ibis.Table:
    """One table with dates: its rows in the last full months, `now`, and in those before, `then`.

    `tables` are staged or later ones by name; the months are those of `by_rule`.
    """
    last, middle, first = _spans(as_of, recent_months)
    parts = []
    for name, rows in tables.items():
        month = rows[moment(lookup(f"staged/{name}"))].strftime("%Y-%m")
        counts = rows.aggregate(
            now=((month > middle) & (month <= last)).sum().fill_null(0),
            then=((month > first) & (month <= middle)).sum().fill_null(0),
        )
        parts.append(counts.select("now", "then", table=ibis.literal(name)))
    return ibis.union(*parts).order_by("table")


def worklist(
    by_rule: pd.DataFrame,
    volumes: pd.DataFrame,
    more: Iterable[rules.Rule] = (),
    *,
    as_of: date,
) -> pd.DataFrame:
    """`by_rule` with owner, why, `age_days` and `trend`, open errors first, then the commonest.

    The age is that of the oldest open issue, from the beginning of its month. A rule rises or
    falls if recent and earlier months share its issues otherwise than the rows of its table, by
    more than twice what chance would.
    """
    weight = by_rule["severity"].map({"error": 0, "warning": 1, "note": 2})
    since = pd.to_datetime(by_rule["since"], format="%Y-%m")
    age = (pd.Timestamp(as_of) - since).dt.days.clip(lower=0)
    frame = explained(by_rule, "rule", more).assign(
        age_days=age.astype("Int64").astype(object).where(age.notna(), None),
        trend=_trends(by_rule, volumes),
        is_done=by_rule["open"] == 0,
        weight=weight,
    )
    order = ["is_done", "weight", "open", "table", "rule"]
    ranked = frame.sort_values(order, ascending=[True, True, False, True, True])
    columns = ["rule", "table", "owner", "open", "age_days", "trend", "why", "severity", "origin",
               "issues", "handled", "closed"]  # fmt: skip
    return ranked[columns].reset_index(drop=True)


def by_month(tagged: ibis.Table) -> ibis.Table:
    """One month and origin: issues, and those still open; issues without a date are left out."""
    dated = tagged.filter(_.month.notnull()).group_by("month", "origin")
    return dated.agg(issues=_.count(), open=(_.status == STATUSES[0]).sum()).order_by(
        "month", "origin"
    )


def calendar(by_month: pd.DataFrame, *, as_of: date, months: int = 24) -> pd.DataFrame:
    """`by_month` as one row a month and origin, gaps filled with zero, `month` as a date.

    Only the last `months` months up to `as_of` are shown; dates outside are errors themselves.
    """
    until = pd.Timestamp(as_of).to_period("M")
    span = pd.period_range(until - months + 1, until, freq="M").strftime("%Y-%m")
    near = by_month[by_month["month"].isin(span)]
    first = min(near["month"], default=f"{until}")
    grid = pd.MultiIndex.from_product(
        [[m for m in span if m >= first], rules.ORIGINS], names=["month", "origin"]
    )
    counted = near.set_index(["month", "origin"])[["issues", "open"]]
    whole = counted.reindex(grid, fill_value=0).astype("int64").reset_index()
    return whole.assign(month=pd.to_datetime(whole["month"], format="%Y-%m").astype("M8[us]"))


def review(calendar: pd.DataFrame) -> pd.DataFrame:
    """One month, latest first: issues by origin, all of them, and those still open (CLN-10)."""
    wide = calendar.pivot_table("issues", "month", "origin", "sum")
    wide = wide.reindex(columns=list(rules.ORIGINS), fill_value=0).astype("int64")
    still = calendar.groupby("month")["open"].sum()
    whole = wide.assign(issues=wide.sum(axis=1), open=still).reset_index()
    return whole.rename_axis(columns=None).sort_values("month", ascending=False, ignore_index=True)


def issue_facts(worklist: pd.DataFrame, by_month: pd.DataFrame) -> dict:
    """Metrics of the issues: how many, by status and origin, and the first on the list."""
    found = {f"issues_{name}": int(worklist[name].sum()) for name in STATUSES}
    found |= {
        f"issues_{origin}": int(worklist.loc[worklist["origin"] == origin, "issues"].sum())
        for origin in rules.ORIGINS
    }
    issues = int(worklist["issues"].sum())
    waiting = worklist[worklist["open"] > 0].head(1)
    first = waiting.iloc[0] if len(waiting) else dict.fromkeys(worklist.columns, "")
    return found | {
        "issues": issues,
        "issues_undated": issues - int(by_month["issues"].sum()),
        "rules_broken": len(worklist),
        "rules_rising": int((worklist["trend"] == "rising").sum()),
        "worst_rule": first["rule"],
        "worst_owner": _sentence(f"{first['owner']}"),
        "worst_table": f"{first['table']}".replace("_", " "),
        "worst_open": int(first["open"] or 0),
        "worst_why": first["why"],
    }


def issue_note(worklist: pd.DataFrame) -> str:
    """The sentence on the issues."""
    if worklist.empty:
        return "No row breaks a rule."
    return (
        "Issues: {issues}; by origin: entry {issues_entry}, interface {issues_interface}, mapping "
        "{issues_mapping}; by status: open {issues_open}, handled {issues_handled}, closed "
        "{issues_closed}. Rules broken: {rules_broken}; more often of "
        "late, for the rows that came: {rules_rising}. Entries of `issues.csv` that match no "
        "issue: {entries_idle}."
    )


def unlisted(items: ibis.Table) -> ibis.Table:
    """One row: sold lines that break no rule and that somebody should know all the same."""
    unnamed, free = items.customer_id.isnull(), items.amount == 0
    return items.aggregate(
        unnamed_lines=unnamed.sum().fill_null(0),
        unnamed_amount=items.amount.sum(where=unnamed).fill_null(0),
        repeated_lines=items.is_duplicate.sum().fill_null(0),
        repeated_amount=items.amount.sum(where=items.is_duplicate).fill_null(0),
        free_lines=free.sum().fill_null(0),
    )


def largest_unnamed(placed: ibis.Table, *, top: int = 10) -> ibis.Table:
    """One order without a customer, of the `top` largest: order_id, day, amount, products."""
    unnamed = placed.filter(_.customer_id.isnull(), _.products > 0)  # postage alone is no order
    best = unnamed.order_by(_.amount.desc(), "order_id").limit(top)
    return best.select("order_id", "day", "amount", "products")


def unlisted_note(found: dict) -> str:
    """The sentence on lines that no rule names."""
    if not found["unnamed_lines"] + found["repeated_lines"] + found["free_lines"]:
        return "Every sold line names a customer, has a price and stands once."
    return (
        "No rule is broken by these, and they are not on the list: {unnamed_lines} sold line[s] "
        "that [names|name] no customer ({unnamed_amount:money}), {repeated_lines} that "
        "[repeats|repeat] another sale exactly and [is|are] kept ({repeated_amount:money}), and "
        "{free_lines} that [has|have] no price."
    )


def issue_action(worklist: pd.DataFrame) -> str:
    """What the owner of the first issue on the list is asked to do."""
    if not worklist["open"].sum():
        return "No issue is open. Keep the file of handled issues as it is."
    return (
        "**{worst_owner:text}: look into `{worst_rule:text}` in {worst_table:text}**, open "
        "issues: {worst_open}; {worst_why:text}. They stand in `data/clean/issues.parquet`; "
        "write what was done into `{issues_file:text}`."
    )


def month_title(by_month: pd.DataFrame) -> str:
    """The finding of the chart of issues by month."""
    if by_month.empty:
        return "No issue has a date"
    return "By their rules {issues_entry} issue[s] of entry and {issues_interface} of an interface"


# ---- completeness ----------------------------------------------------------------------------


def lifecycle(
    customers: ibis.Table,
    placed: ibis.Table,
    *,
    as_of: date,
    new_days: int = 365,
    churned_days: int = 90,
) -> ibis.Table:
    """One customer known at `as_of`, and the `stage` of life: prospect, new, mature or churned."""
    bought = placed.filter(_.day <= as_of, _.customer_id.notnull())
    spans = bought.group_by("customer_id").agg(first=_.day.min(), last=_.day.max())
    joined = customers.left_join(spans, "customer_id")
    since = ibis.date(as_of - timedelta(days=new_days))
    silent = ibis.date(as_of - timedelta(days=churned_days))
    stage = ibis.cases(
        (joined["first"].isnull(), "prospect"),
        (joined["last"] <= silent, "churned"),
        (joined["first"] > since, "new"),
        else_="mature",
    )
    is_later = joined["first"].isnull() & (joined.registered_on > ibis.date(as_of))
    return joined.filter(~is_later.fill_null(False)).select("customer_id", stage=stage)


def traces(records: dict[str, ibis.Table], *, as_of: date) -> ibis.Table:
    """One customer who left records up to `as_of`: first day of behaviour, service, consent."""
    parts = []
    for group, names in GROUPS.items():
        for name in names:
            day = records[name][moment(lookup(f"tables/{name}"))].cast("date")
            seen = records[name].filter(_.customer_id.notnull(), day <= as_of)
            first = seen.group_by("customer_id").agg(first=day.min())
            days = {g: first["first"] if g == group else ibis.null("date") for g in GROUPS}
            parts.append(first.select("customer_id", **days))
    both = ibis.union(*parts).group_by("customer_id")
    return both.agg(**{group: _[group].min() for group in GROUPS})


def known(customers: ibis.Table) -> ibis.Table:
    """One customer, and for each field whether the source said something about it.

    What a policy filled and the answer "unknown" are nothing said (CLN-06). `contact` is a phone
    number, be it one that cannot be called, `email` an address, be it badly formed.
    """
    filled = ";" + customers.imputed.fill_null("") + ";"
    fields = [name for name in customers.columns if name not in NOT_FIELDS]
    said = {
        name: customers[name].notnull()
        & (customers[name].cast("string") != "unknown")
        & ~filled.contains(f";{name};")
        for name in fields
    }
    told = {"contact": "phone_status", "email": "email_status", "name": "name_status"}
    said |= {name: customers[status].isin(["ok", "to_verify"]) for name, status in told.items()}
    return customers.select("customer_id", **{n: v.fill_null(False) for n, v in said.items()})


def lives(known: ibis.Table, stages: ibis.Table, traces: ibis.Table) -> ibis.Table:
    """One stage of life: customers, and the share of them with each field and group of records."""
    joined = stages.inner_join(known, "customer_id").left_join(traces, "customer_id")
    has = {name: joined[name].fill_null(False) for name in known.columns if name != "customer_id"}
    has |= {group: joined[group].notnull() for group in GROUPS}
    shares = {name: said.cast("float64").mean() for name, said in has.items()}
    return joined.group_by("stage").agg(customers=_.count(), **shares)


def completeness(
    lives: pd.DataFrame, *, base_floor: float = 0.95, extended_floor: float = 0.7
) -> pd.DataFrame:
    """One field of customers: the share that has it, the floor, and its state (Q-46).

    A field that nobody has is most likely fed by no file: no gap of entry, but a missing source.
    """
    names = [c for c in lives.columns if c not in ("stage", "customers", *GROUPS)]
    weights = lives["customers"] / max(lives["customers"].sum(), 1)
    rows = []
    for name in sorted(names, key=lambda n: (n not in BASE, n)):
        is_base = name in BASE
        share = float((lives[name] * weights).sum())
        floor = base_floor if is_base else extended_floor
        kind = "base" if is_base else "extended"
        rows.append((name, kind, share, floor, _state(share, floor)))
    columns = ["field", "kind", "filled_share", "floor_share", "state"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame if len(lives) else frame.head(0)


def needs(
    lives: pd.DataFrame, *, base_floor: float = 0.95, extended_floor: float = 0.7
) -> pd.DataFrame:
    """One thing that one stage of life needs: the share that has it, and the floor (CLN-15)."""
    by_stage = lives.set_index("stage")
    rows = []
    for stage in [s for s in STAGES if s in by_stage.index]:
        for need, why in NEEDS[stage].items():
            share = float(by_stage.loc[stage, need])
            floor = base_floor if need in BASE else extended_floor
            people = int(by_stage.loc[stage, "customers"])
            rows.append((stage, people, need, share, floor, _state(share, floor), why))
    columns = ["stage", "customers", "field", "filled_share", "floor_share", "state", "why"]
    return pd.DataFrame(rows, columns=columns)


def told_of(needs: pd.DataFrame, lives: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """`needs` without the stages of under `least` customers, and shares that are of so few."""
    stages = disclosure.suppress(lives[["stage", "customers"]], by=["stage"], least=least)
    people = needs["stage"].map(stages.set_index("stage")["customers"])
    by, hide = ["stage", "field"], ["filled_share", "state"]
    known = disclosure.suppress(
        needs.assign(customers=people), by=by, hide=hide, least=least, along=[]
    )
    return disclosure.suppress_part(
        known, part="filled_share", by=by, hide=["state"], least=least, along=[]
    )


def told_of_all(
    completeness: pd.DataFrame, lives: pd.DataFrame, *, least: int = 5
) -> pd.DataFrame:
    """`completeness` without the share of a field that under `least` customers have, or lack."""
    rows = completeness.assign(_all=lives["customers"].sum())
    known = disclosure.suppress_part(
        rows, part="filled_share", of="_all", by=["field"], least=least, along=[]
    )
    return known.drop(columns="_all")


def filled(customers: ibis.Table) -> ibis.Table:
    """One row: customers, phones to verify, and values that a policy filled (CLN-20)."""
    marks = customers.imputed.nullif("").split(";").length()
    return customers.aggregate(
        customers=_.count(),
        to_verify=(_.phone_status == "to_verify").sum().fill_null(0),
        values_filled=marks.sum().fill_null(0),
    )


def worth_showing(states: pd.DataFrame) -> pd.DataFrame:
    """The rows of `completeness` or `needs`, none of them where nobody has anything.

    Examples
    --------
    >>> len(worth_showing(pd.DataFrame({"state": ["nobody has it", "nobody has it"]})))
    0
    """
    return states.head(0) if (states["state"] == "nobody has it").all() else states


def policy(customers: ibis.Table, missing: Iterable[tuple[str, str]]) -> ibis.Table:
    """One field that a policy fills where it is empty: what it `becomes`, and how often (CLN-06).

    `missing` are pairs of a field and its value, as the mapping has them.
    """
    marks = ";" + customers.imputed.fill_null("") + ";"
    parts = [
        customers.aggregate(
            filled=marks.contains(f";{field};").sum().fill_null(0),
            filled_share=marks.contains(f";{field};").cast("float64").mean().fill_null(0),
        ).select("filled", "filled_share", field=ibis.literal(field), becomes=ibis.literal(value))
        for field, value in missing
    ]
    return (
        ibis.union(*parts).order_by("field").select("field", "becomes", "filled", "filled_share")
    )


def gaps(completeness: pd.DataFrame) -> dict:
    """Metrics of completeness: fields below their floor, and fields that no file feeds."""
    low = completeness[completeness["state"] == "below the floor"]
    none = completeness[completeness["state"] == "nobody has it"]
    return {
        "fields": len(completeness),
        "fields_low": len(low),
        "fields_unfed": len(none),
        "fields_wanting": len(low) + len(none),
        "low_names": ", ".join(low["field"].str.replace("_", " ")) or "none",
    }


def gaps_note(completeness: pd.DataFrame) -> str:
    """The sentence on completeness."""
    if completeness.empty:
        return "No file feeds customers, and no order names one: there is nobody to describe."
    if (completeness["state"] == "nobody has it").all():
        return (
            "No file feeds customer records: {customers} customer[s] [is|are] known by orders "
            "alone, and no field is filled for anybody."
        )
    return (
        "Fields below their floor: {fields_low} of {fields} ({low_names:text}). Fields that "
        "nobody has, most likely since no file feeds them: {fields_unfed}. Phones to verify "
        "before anybody calls: {to_verify}. Values that a policy filled, and that count as empty "
        "here: {values_filled}."
    )


# ---- freshness -------------------------------------------------------------------------------


def freshness(files: pd.DataFrame, *, as_of: date) -> pd.DataFrame:
    """One system and table: its newest record, its age at `as_of`, the expected refresh (CLN-17).

    Stale ones stand first. Of several deliveries the newest counts.
    """
    grouped = files.groupby(["system", "table"], sort=True)
    whole = grouped.agg(
        files=("file", "count"), rows=("rows", "sum"), newest_on=("newest", "max"),
        refresh_days=("refresh_days", "min"),
    ).reset_index()  # fmt: skip
    newest = pd.to_datetime(whole["newest_on"])
    age = (pd.Timestamp(as_of) - newest).dt.days
    states = [_age_state(*pair) for pair in zip(age, whole["refresh_days"], strict=True)]
    days = {"age_days": age.clip(lower=0), "refresh_days": whole["refresh_days"].replace(0, None)}
    texts = {name: [None if pd.isna(v) else int(v) for v in d] for name, d in days.items()}
    frame = whole.assign(
        newest_on=newest.astype("M8[us]"),
        **{name: pd.Series(v, dtype=object) for name, v in texts.items()},
        state=pd.Series(states, dtype="str"),
    )
    frame = frame.assign(is_fine=frame["state"] != "stale")
    ranked = frame.sort_values(["is_fine", "system", "table"], ignore_index=True)
    columns = ["system", "table", "files", "rows", "newest_on", "age_days", "refresh_days",
               "state"]  # fmt: skip
    return ranked[columns]


def stale(freshness: pd.DataFrame) -> dict:
    """Metrics of freshness: how many deliveries are stale, and which."""
    late = freshness[freshness["state"] == "stale"]
    return {
        "deliveries": len(freshness),
        "stale": len(late),
        "stale_names": ", ".join(dict.fromkeys(late["system"])) or "none",
        "refresh_stated": int(freshness["refresh_days"].notna().sum()),
    }


def stale_note(freshness: pd.DataFrame) -> str:
    """The sentence on freshness."""
    if freshness.empty:
        return "No file was read."
    if not freshness["refresh_days"].notna().any():
        return (
            "The mapping states for no delivery how often it comes, so none can be late. Add "
            "`refresh_days` to its files."
        )
    if (freshness["state"] == "stale").any():
        return (
            "**Stale deliveries: {stale} of {deliveries} ({stale_names:text}).** Their newest "
            "record is older than the mapping says it may be."
        )
    return "Of the deliveries with a stated rhythm, {refresh_stated} in number, none is late."


# ---- earlier months --------------------------------------------------------------------------


def history(
    placed: ibis.Table,
    traces: ibis.Table,
    *,
    as_of: date,
    churned_days: int = 90,
    months: int = 12,
) -> ibis.Table:
    """The row of `facts` at `as_of` and at the ends of the `months` months before it."""
    parts = [
        facts(placed, traces, as_of=end, churned_days=churned_days)
        for end in month_ends(as_of, months)
    ]
    return ibis.union(*parts).filter(_.orders > 0).order_by("until_on")


def month_ends(as_of: date, months: int) -> list[date]:
    """The last days of the `months` months before `as_of`, then `as_of`.

    Examples
    --------
    >>> [f"{day}" for day in month_ends(date(2024, 3, 15), 2)]
    ['2024-01-31', '2024-02-29', '2024-03-15']
    """
    ends, day = [as_of], as_of
    for _step in range(months):
        day = day.replace(day=1) - timedelta(days=1)
        ends.append(day)
    return ends[::-1]


def soundness(lines: ibis.Table, quarantine: ibis.Table) -> ibis.Table:
    """One month: order `lines` that arrived, and those `waiting` in quarantine.

    Lines without a date have a month of their own, which is empty.
    """
    bad = quarantine.filter(_.table == "order_lines").select("line", is_bad=True)
    dated = lines.select("line", month=_.ordered_at.strftime("%Y-%m")).left_join(bad, "line")
    return dated.group_by("month").agg(
        lines=_.count(), waiting=_.is_bad.fill_null(False).sum()
    ).order_by("month")  # fmt: skip


def sounded(history: pd.DataFrame, soundness: pd.DataFrame) -> pd.DataFrame:
    """`history` with the share of order lines up to then that are sound.

    A line without a date, or dated after the last row, may belong anywhere: it counts in all rows.
    """
    ends = pd.to_datetime(history["until_on"]).dt.strftime("%Y-%m")
    is_free = soundness["month"].isna() | (soundness["month"] > max(ends, default=""))
    known = [soundness[is_free | (soundness["month"] <= end)] for end in ends]
    sums = [rows[["lines", "waiting"]].sum() for rows in known]
    shares = [_ratio(one["lines"] - one["waiting"], one["lines"]) for one in sums]
    return history.assign(sound_share=pd.Series(shares, index=history.index, dtype="float64"))


def unnamed(placed: ibis.Table) -> ibis.Table:
    """One month: the share of its sales, before returns, that names no customer."""
    # summed as money and divided after that: sums of floats depend on the order of threads
    months = placed.group_by(month=placed.day.strftime("%Y-%m")).agg(
        all_sales=_.amount.sum().cast("float64"),
        nobody=_.amount.sum(where=_.customer_id.isnull()).cast("float64"),
    )
    share = (months.nobody / months.all_sales).fill_null(0)
    return months.select("month", month_unnamed_share=share).order_by("month")


def waiting(issues: ibis.Table) -> ibis.Table:
    """One month: rows of it that went to quarantine."""
    gone = issues.filter(_.action == "quarantine", _.month.notnull())
    rows = gone.select("table", "line", "month").distinct()
    return rows.group_by("month").agg(quarantined=_.count()).order_by("month")


def floors(files: pd.DataFrame) -> pd.DataFrame:
    """One file of order lines that follows another of its system: from which day on it is due.

    `floor_on` is the newest day of the files before it; what is older came late.
    """
    lines = files[files["table"] == "order_lines"].sort_values("number")
    newest = pd.to_datetime(lines["newest"]).groupby(lines["system"])
    seen = newest.transform(lambda days: days.cummax().ffill().shift())
    frame = lines.assign(floor_on=seen.astype("M8[us]"))[["number", "floor_on"]]
    return frame.dropna().reset_index(drop=True).astype({"number": "int64"})


def late(items: ibis.Table, floors: ibis.Table) -> ibis.Table:
    """One month: lines sold in it that came later than the delivery that should have held them."""
    placed = items.select("ordered_at", number=_.line // STRIDE)
    joined = placed.inner_join(floors, "number")
    joined = joined.filter(_.ordered_at.cast("date") < _.floor_on.cast("date"))
    months = joined.mutate(month=_.ordered_at.strftime("%Y-%m")).group_by("month")
    return months.agg(late=_.count()).order_by("month")


def past(
    history: pd.DataFrame,
    counts: Iterable[pd.DataFrame],
    unnamed: pd.DataFrame,
    limits: pd.DataFrame,
    declared: Iterable[tuple[str, str, str]] = (),
) -> pd.DataFrame:
    """`history` with sums of `counts` up to each month, and the verdict of that day.

    Each of `counts` has a month and one number, `unnamed` the share of the month alone;
    sales without a customer are told as a share.

    Raises
    ------
    QualityError
        A figure that has limits is not in `history`, so that its verdicts were others than today.
    """
    absent = sorted(set(limits["measure"]) - set(history))
    if absent:
        raise QualityError(f"the history lacks {absent}, so its verdicts would be too good")
    until = pd.to_datetime(history["until_on"])
    money = 1 - history["named_sales_share"]
    alone = until.dt.strftime("%Y-%m").map(unnamed.set_index("month")["month_unnamed_share"])
    rows = history.assign(
        until_on=until.astype("M8[us]"), unnamed_sales_share=money, month_unnamed_share=alone
    )
    for count in counts:
        (name,) = [c for c in count.columns if c != "month"]
        sums = [count.loc[count["month"] <= f"{day:%Y-%m}", name].sum() for day in until]
        rows = rows.assign(**{name: pd.Series(sums, index=rows.index, dtype="int64")})
    found = [verdicts(judge(row, limits)) for row in history.to_dict("records")]
    graded = [limited(one, declared) for one in found]
    for analysis in ANALYSES:
        said = [one.loc[one["analysis"] == analysis, "verdict"].iloc[0] for one in graded]
        rows[f"can_{analysis.lower()}"] = pd.Series(said, index=rows.index, dtype="str")
    numbers = [c for c in ("quarantined", "late") if c in rows]
    first = [
        "until_on",
        "orders",
        "unnamed_sales_share",
        "month_unnamed_share",
        "buyers",
        "stopped",
        *numbers,
    ]
    return rows[[*first, *(f"can_{analysis.lower()}" for analysis in ANALYSES)]]


def past_note(past: pd.DataFrame) -> str:
    """The sentence that compares the oldest of the months with today."""
    if len(past) < 2:
        return "There are no earlier months to compare with."
    return (
        "At the end of {past_month:month} {past_unnamed_share:pct} of all sales up to then named "
        "no customer; at {as_of:date} it is {unnamed_share:pct}, and {now_unnamed_share:pct} of "
        "the sales of this month alone, {then_unnamed_share:pct} of the one before. Order "
        "lines that came later than the delivery that should have held them: {late}."
    )


def past_facts(past: pd.DataFrame) -> dict:
    """Metrics of `past`: the oldest month beside today."""
    if past.empty:
        shares = ("past_unnamed_share", "unnamed_share", "now_unnamed_share", "then_unnamed_share")
        return {"past_month": "", **dict.fromkeys(shares, 0.0), "late": 0}
    first, last = past.iloc[0], past.iloc[-1]
    return {
        "past_month": f"{first['until_on']:%Y-%m}",
        "past_unnamed_share": float(first["unnamed_sales_share"]),
        "unnamed_share": float(last["unnamed_sales_share"]),
        "now_unnamed_share": float(last["month_unnamed_share"]),
        "then_unnamed_share": float(past["month_unnamed_share"].iloc[-2:].iloc[0]),
        "late": int(last.get("late", 0)),
    }


# ---- several sources -------------------------------------------------------------------------


def disagreements(conflicts: ibis.Table) -> ibis.Table:
    """One field on which records of one customer disagree, and why the kept value was kept.

    `line`, `kept` and `value` are of the first one, as an example.
    """
    return (
        conflicts.group_by("field", "why")
        .agg(
            conflicts=_.count(), customers=_.customer_key.nunique(), line=_.line.min(),
            kept=_.kept.argmin(_.line), value=_.value.argmin(_.line),
        )
        .order_by(_.conflicts.desc(), "field", "why")
    )  # fmt: skip


def suggestions(
    candidates: ibis.Table,
    orders: ibis.Table,
    *,
    stores: list[str] = ("store",),
) -> ibis.Table:
    """One pair of customers that may be one person: both ids, the reason, and where each buys.

    Pairs that a decision keeps apart are left out.
    `is_unjoined` marks a pair of which one bought in stores alone and the other online: most
    likely a membership that was never joined with the account (CLN-19).
    """
    in_store = _.channel.isin(list(stores))
    bought = orders.filter(_.customer_id.notnull(), _.channel.notnull()).group_by("customer_id")
    seen = bought.agg(store=in_store.any(), online=(~in_store).any())
    pairs = candidates.filter(candidates.decision == "open")
    for end in "ab":
        where = seen.select(
            **{
                f"customer_{end}": "customer_id",
                f"store_{end}": "store",
                f"online_{end}": "online",
            }
        )
        pairs = pairs.left_join(where, f"customer_{end}").drop(f"customer_{end}_right")
    both = {f"{n}_{end}": pairs[f"{n}_{end}"].fill_null(False)
            for n in ("store", "online") for end in "ab"}  # fmt: skip
    apart = (_.store_a & ~_.online_a & _.online_b) | (_.store_b & ~_.online_b & _.online_a)
    pairs = pairs.mutate(**both).mutate(is_unjoined=apart)
    return pairs.select("customer_a", "customer_b", "reason", "is_unjoined").order_by(
        _.is_unjoined.desc(), "customer_a", "customer_b"
    )


def unjoined(suggestions: ibis.Table) -> ibis.Table:
    """One row: pairs suggested, pairs that look like an account and its membership, customers."""
    apart = suggestions.filter(_.is_unjoined)
    both = apart.select(c="customer_a").union(apart.select(c="customer_b"))
    return suggestions.aggregate(
        candidates=_.count(), unjoined=_.is_unjoined.sum().fill_null(0)
    ).cross_join(both.aggregate(unjoined_customers=_.c.nunique()))


def several(disagreements: pd.DataFrame, found: dict, *, customers: int) -> dict:
    """Metrics of `disagreements` and of the row of `unjoined`, with its share of customers."""
    return found | {
        "conflicts": int(disagreements["conflicts"].sum()),
        "unjoined_share": _ratio(found["unjoined_customers"], customers),
    }


def several_note(disagreements: pd.DataFrame, found: dict) -> str:
    """The sentence on conflicts and merge suggestions."""
    if not len(disagreements) and not found["candidates"]:
        return "No two records disagree about a customer, and none look like the same person."
    return (
        "Conflicts between records: {conflicts}. Pairs of customers who may be one person: "
        "{candidates}; nothing merges without a decision. Pairs of which one bought in stores "
        "alone and the other online: {unjoined}, or {unjoined_customers} customer[s] "
        "({unjoined_share:pct}) whose picture is most likely incomplete."
    )


# ---- register --------------------------------------------------------------------------------


def register(source) -> pd.DataFrame:
    """One entry of the source register: what it says of the source, licence first (ING-12)."""
    said = {"source": source.title, "licence": source.licence, "origin": source.origin}
    said |= dict(source.register)
    said |= {f"{analysis}: {verdict}": why for analysis, verdict, why in source.limits}
    said |= {f"basis of {purpose}": why for purpose, why in source.basis}
    rows = [(k, v) for k, v in said.items() if v]
    return pd.DataFrame(rows, columns=["criterion", "entry"], dtype="str")


# ---- private ---------------------------------------------------------------------------------


def _long(needs: dict) -> pd.DataFrame:
    rows = [
        (analysis, measure, *map(float, pair))
        for analysis, own in needs.items()
        for measure, pair in own.items()
    ]
    return pd.DataFrame(rows, columns=["analysis", "measure", "least", "enough"])


def _figure(measure: str, value: float) -> str:
    return wording.form(value, "pct" if measure in SHARES else "int")


def _told(measure: str, value: float) -> str:
    return wording.fill(MEASURES[measure][0], {"value": value})


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _ratio(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else 0.0


def _owner(table: str) -> str:
    name = f"staged/{table}"
    return lookup(name).owner if name in TABLES else "data"


def _state(share: float, floor: float) -> str:
    if share == 0:
        return "nobody has it"
    return "below the floor" if share < floor else "good"


def _age_state(age: float, refresh_days: int) -> str:
    if pd.isna(age):
        return "no dates"
    if age < 0:
        return "later than the reference date"
    if not refresh_days:
        return "no rhythm stated"
    return "stale" if age > refresh_days else "fresh"


def _spans(as_of: date, months: int) -> tuple[str, str, str]:
    """The last full month, and the months that end `months` and twice `months` before it."""
    is_full = as_of.day == monthrange(as_of.year, as_of.month)[1]
    last = pd.Timestamp(as_of).to_period("M") - (0 if is_full else 1)
    return f"{last}", f"{last - months}", f"{last - 2 * months}"


def _trends(by_rule: pd.DataFrame, volumes: pd.DataFrame) -> list[str]:
    """The trend of each rule, given how many rows of its table came in the same months."""
    flow = volumes.set_index("table")
    shares = (flow["now"] / (flow["now"] + flow["then"])).where(flow["then"] * flow["now"] > 0)
    expected = by_rule["table"].map(shares).fillna(0.5)
    rows = zip(by_rule["recent"], by_rule["before"], expected, strict=True)
    return [_trend(*row) for row in rows]


def _trend(recent: int, before: int, share: float) -> str:
    """How `recent` stands to the `share` of all that chance would give it."""
    if not recent and not before:
        return "none lately"
    total = recent + before
    if abs(recent - total * share) <= 2 * (total * share * (1 - share)) ** 0.5:
        return "steady"
    return "rising" if recent > total * share else "falling"


def _checked(text: pd.DataFrame, name: str) -> pd.DataFrame:
    """The entries with types, the last one of each kind; raises where a cell cannot be."""
    line = pd.to_numeric(text["line"], errors="coerce")
    day = pd.to_datetime(text["handled_on"], format="%Y-%m-%d", errors="coerce")
    wrong = {
        "line": text["line"].notna() & (line.isna() | (line < 0) | (line % 1 != 0)),
        "status": ~text["status"].isin(STATUSES),
        "handled_on": text["handled_on"].notna() & day.isna(),
        "rule": text["rule"].isna(),
        "table": text["table"].isna(),
    }
    expected = {"line": "the number of a line, or nothing", "status": " or ".join(STATUSES),
                "handled_on": "a date such as 2024-05-31", "rule": "the id of a rule",
                "table": "the name of a table"}  # fmt: skip
    for column, mask in wrong.items():
        if mask.any():
            row = int(mask.to_numpy().argmax())
            raise QualityError(
                f"{name}, row {row + 2}: {column} is {text[column].iloc[row]!r}, expected "
                f"{expected[column]}"
            )
    typed = text.assign(
        line=line.fillna(WHOLE).astype("int64"), handled_on=day.astype("M8[us]")
    ).astype(dict.fromkeys(("rule", "table", "status", "note"), "str"))
    return typed.drop_duplicates(["rule", "table", "line"], keep="last", ignore_index=True)
