"""How values and column names are written for people: one place for pages and notebooks.

A *form* says what kind of value it is; a *message* is a sentence with `{key:form}` places. A
word that agrees with the number before it says how in brackets: `{orders} order[s]`, `[is|are]`.
"""

from __future__ import annotations

import re
from datetime import date, datetime

SYMBOLS = {"GBP": "£", "CNY": "¥", "USD": "$", "EUR": "€"}

LABELS = {  # column id: what a reader sees; an id that is not here is shown with blanks
    "customer_id": "Customer",
    "product_id": "Product code",
    "product_name": "Product",
    "recency_days": "Days since last purchase",
    "until_on": "Up to",
    "unnamed_share": "Orders without a customer",
    "stopped": "Stopped buying",
    "can_rfm": "RFM",
    "can_clusters": "Clusters",
    "can_baskets": "Baskets",
    "can_churn": "Churn",
    "fix": "Fix first",
    "no_below": "No below",
    "yes_from": "Yes from",
    "missing": "Unaccounted for",
    "cells": "Cells not read",
    "kept": "Kept",
    "value": "Value found",
    "record": "Record",
    "newest_on": "Newest record",
    "age_days": "Age in days",
    "refresh_days": "Expected every … days",
    "filled_share": "Filled",
    "kept_days": "Kept for … days",
    "kept_from_on": "Oldest day kept",
    "floor_share": "Floor",
    "is_unjoined": "Card and account not joined",
    "customer_a": "One customer",
    "customer_b": "The other",
    "late": "Late lines",
    "granted_share": "Share granted",
    "first_order_on": "First purchase",
    "last_order_on": "Last purchase",
    "sales": "Sales before returns",
    "sales_share": "Share of sales",
    "spend_per_customer": "Spend a named customer",
    "largest_share": "Largest customer's share of named sales",
    "reason": "Reason",
    "monetary": "Spend in window",
    "frequency": "Purchases in window",
    "spend": "Spend after returns",
    "orders": "Orders",
    "rfm": "R,F,M",
    "is_dormant": "Dormant",
    "amount": "Amount",
    "fate": "What became of them",
    "customer_share": "Share of customers",
    "spend_share": "Share of spend",
    "is_partial": "Partial month",
    "hours": "Hours until cancelled",
    "other": "Postage, fees, corrections",
    "rows": "Rows",
    "chinese": "中文",
    "spend_90d": "Spend in window",
    "at_on": "At",
    "now_new": "Now new",
    "now_old": "Now old",
    "now_churned": "Now churned",
    "type_before": "Type then",
    "kept_share": "Kept it",
    "others_became": "Most others became",
    "core": "In short",
    "later_spend": "Spend each, after",
    "bought_later_share": "Bought after",
    "window_days": "Window, days",
    "may_be_contacted": "May be addressed",
    "what_they_are_like": "What they are like",
    "silent_share": "Silent",
    "road": "Used for",
    "kept_sales": "Sales not cancelled",
    "preferring": "Prefer it",
    "nps": "Would recommend, 0–10",
    "is_omo": "Looks online, buys in a store",
    "omo_orders": "Store purchases after a visit online",
    "known_share": "Known of",
    "earlier_customers": "Customers then",
    "cluster": "Group",
    "earlier": "Group then",
    "churned_share": "Churned",
    "k": "Groups",
    "left_share": "Squares left",
    "jaccard": "Found again",
    "least_jaccard": "Least Jaccard",
    "bic": "BIC, beside one group",
    "is_stable": "All stable",
    "followed_share": "So often",
    "all_groups_share": "So often in all",
    "all_groups_times": "Times chance in all",
    "between": "Between",
    "usual_amount": "Usual amount",
    "orders_without_it": "Orders without it",
    "times_expected": "Times what is expected",
    "of_these_share": "Of these",
    "of_all_share": "Of all",
    "times_expected_later": "Later",
    "one_product": "Product",
    "other_product": "Other product",
    "later_share": "Later",
    "before_share": "Days before",
    "follow_share": "Days after",
    "usual_share": "After any",
    "more_sales": "Above the usual order",
    "reduction": "Comes off",
    "before_goods": "Gain before goods cost",
    "rate_share": "Of its buyers",
    "whole_share": "Of the whole group",
    "all_share": "Of buyers in all groups",
    "thing": "What",
    "bought_share": "Bought by",
    "others_share": "By all others",
    "low_share": "At least",
    "high_share": "At most",
    "not_yet": "Do not buy it yet",
    "usual_spend": "Who does, spends",
    "estimate_share": "Of all the group spent",
    "contacted": "Invitations",
    "answered_share": "Answered",
    "joined_share": "Joined",
    "used_share": "Used",
    "treated": "Addressed",
    "left_out": "Left out",
    "treated_share": "Ordered, addressed",
    "left_out_share": "Ordered, left out",
    "more_share": "Difference",
}

FORMS = {  # column id: its form, where name and type do not tell
    **dict.fromkeys(
        (
            "spend",
            "monetary",
            "amount",
            "sales",
            "returned",
            "net_sales",
            "gross_sales",
            "spend_per_customer",
            "order_value",
            "new_sales",
            "returning_sales",
            "unknown_sales",
            "spend_90d",
            "later_spend",
            "kept_sales",
            "profit",
            "silent_spend",
            "at_most",
            "cautious",
            "usual_price",
            "order_from",
            "reduction",
            "more_sales",
            "before_goods",
            "usual_spend",
            "estimate",
            "at_most",
            "high_value_spend",
            "potential_spend",
            "general_spend",
            "at_risk_spend",
            "no_purchase_spend",
        ),
        "money",
    ),
    "unit_price": "money2",
    "usual_amount": "money2",
    "times_expected": "num2",
    "times_expected_later": "num2",
    "price_level": "num2",
    "other": "money",
    "share": "pct",
    "usual_share": "pct2",  # small, and divided by
    "probability": "pct",
    "silhouette": "num2",
    "jaccard": "pct0",
    "least_jaccard": "num2",
    "bic": "int",
    "line": "int",
    "units": "int",
    "age_days": "int",
    "refresh_days": "int",
    "kept_days": "int",
    "cells": "int",
    **dict.fromkeys(("customers", "now_new", "now_old", "now_churned"), "int"),
}

PLACE = re.compile(r"\{([a-z0-9_]+)(?::([a-z0-9]+))?\}")
_ENDING = re.compile(  # a Markdown link is none
    PLACE.pattern + r"|\[([^\[\]|]*)(?:\|([^\[\]|]*))?\](?!\()"
)
_PLACES = {"pct": 1, "pct0": 0, "pct2": 2}  # of a share in per cent


def keys(message: str) -> list[str]:
    """The keys that a message names, in order."""
    return [match[1] for match in PLACE.finditer(message)]


def fill(message: str, values: dict, currency: str = "") -> str:
    """The message with each place replaced by its value in the form asked for.

    Examples
    --------
    >>> fill("{share:pct} of {customers} customer[s]", {"share": 0.746, "customers": 4338})
    '74.6% of 4,338 customers'
    """
    told = agreed(message, values)
    return PLACE.sub(lambda m: form(values[m[1]], m[2] or "", currency), told)


def agreed(message: str, values: dict) -> str:
    """The message with each word in brackets as the number before it asks; places stay.

    `[s]` is there unless the number is shown as 1; of `[is|are]` the first is for one. A value
    that is no number decides nothing.

    Examples
    --------
    >>> agreed("{n} order[s] [was|were] late", {"n": 1})
    '{n} order was late'
    """
    shown = ""

    def choose(match: re.Match) -> str:
        nonlocal shown
        if match[1]:
            value = values.get(match[1])
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            shown = form(value, match[2] or "") if is_number else shown
            return match[0]
        one, many = ("", match[3]) if match[4] is None else (match[3], match[4])
        return one if shown == "1" else many

    return _ENDING.sub(choose, message)


def form(value, form: str = "", currency: str = "") -> str:
    """One value as text; an empty one is a dash.

    Examples
    --------
    >>> form(8911407.904, "money", "GBP"), form(None, "money"), form(-0.5, "pct")
    ('£8,911,408', '–', '−50.0%')
    """
    if value is None or value != value:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (date, datetime)):
        value = value.isoformat()
    if isinstance(value, str) or form == "text":
        return _dated(str(value), form)
    return _number(value, form or ("int" if isinstance(value, int) else "num"), currency)


def label(column: str) -> str:
    """What a reader sees for a column id.

    Examples
    --------
    >>> label("customer_id"), label("new_customers")
    ('Customer', 'New customers')
    """
    return LABELS.get(column, column.replace("_", " ").capitalize())


def _dated(text: str, form: str) -> str:
    if not text:
        return "–"  # nothing has a date, or it is hidden
    if form == "date":
        day = date.fromisoformat(text[:10])
        return f"{day.day} {day:%b %Y}"
    if form == "month":
        return f"{date.fromisoformat(text[:7] + '-01'):%b %Y}"
    return text


def _number(value: float, form: str, currency: str) -> str:
    if form in _PLACES:
        return _share(value, _PLACES[form])
    symbol = SYMBOLS.get(currency, f"{currency} " if currency else "")
    patterns = {
        "int": "{:,.0f}",
        "num": "{:,.1f}",
        "num2": "{:,.2f}",
        "num3": "{:,.3f}",
        "days": "{:,.0f} days",
        "money": symbol + "{:,.0f}",
        "money2": symbol + "{:,.2f}",
    }
    if form not in patterns:
        raise ValueError(f"unknown form {form!r}; there are {sorted({*patterns, *_PLACES})}")
    text = patterns[form].format(abs(value))
    text = "1 day" if text == "1 days" else text
    is_zero = not re.search("[1-9]", text)
    return text if value >= 0 or is_zero else "−" + text


def _share(value: float, places: int) -> str:
    """A share in per cent; one that is not whole is never written as nothing or as all.

    Examples
    --------
    >>> _share(0.99983, 1), _share(0.00001, 1), _share(-0.00001, 0), _share(1.0, 1)
    ('>99.9%', '<0.1%', '>−1%', '100.0%')
    """
    size, step = round(abs(value), 12), 10 ** -(places + 2)  # metrics keep twelve digits
    sign = "−" if value < 0 and size else ""
    text = f"{size:.{places}%}"
    if size and not re.search("[1-9]", text):
        return f"{'>' if sign else '<'}{sign}{step:.{places}%}"
    if size < 1 and text.startswith("100"):
        return f"{'<' if sign else '>'}{sign}{1 - step:.{places}%}"
    return sign + text


def column_form(column: str, kind: str = "") -> str:
    """The form of a column by its name, else by the kind of its type (f, i, b, M, O).

    Examples
    --------
    >>> column_form("top_share"), column_form("last_order_on"), column_form("spend")
    ('pct', 'date', 'money')
    """
    if column in FORMS:
        return FORMS[column]
    for ending, form in (
        ("_share", "pct"),
        ("_on", "date"),
        ("month", "month"),
        ("_score", "num"),
    ):
        if column.endswith(ending):
            return form
    return {"f": "num", "i": "int", "M": "date"}.get(kind, "text")
