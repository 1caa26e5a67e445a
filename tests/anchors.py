"""Published figures, derived again from the public data by the product's own code.

    CRM_PUBLIC_DATA=… python tests/anchors.py

Nothing is written: each data set is read, cleaned and measured in memory, once, and every figure
is compared with what was published. The exit code is 1 if one is out. A further figure is one
line in `ANCHORS`; a further data set is one function that computes what its figures share.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import ibis
from ibis import _

from crm import clean, engine, ingest, mapping, rfm

ROOT = Path(__file__).parents[1]
VARIABLE = "CRM_PUBLIC_DATA"

COUNT, MONEY, SHARE = 0, 0.005, 0.0005  # tolerances: none, half a cent, half of 0.1 %


@dataclass(frozen=True)
class Anchor:
    """One published figure: its value, how far ours may be off, how it is computed, its origin.

    `compute` is given what the data set's function returns.
    """

    name: str
    published: float
    tolerance: float
    compute: Callable[[SimpleNamespace], float]
    source: str


README = "description of the data set"
COMMON = "common filter: customer known, not cancelled, price and quantity above zero"
UNIQUE = "common filter, exact duplicates dropped"

ONLINE_RETAIL = [
    Anchor("lines read", 541_909, COUNT, lambda d: d.facts["lines"], README),
    Anchor("lines without a customer", 135_080, COUNT, lambda d: d.facts["unknown_lines"], README),
    Anchor("lines cancelled", 9_288, COUNT, lambda d: d.arrived["cancelled"], README),
    Anchor("exact duplicate lines", 5_268, COUNT, lambda d: d.duplicates, README),
    Anchor("invoices", 25_900, COUNT, lambda d: d.arrived["invoices"], README),
    Anchor("stock codes", 4_070, COUNT, lambda d: d.arrived["codes"], README),
    Anchor("countries", 38, COUNT, lambda d: d.arrived["countries"], README),
    Anchor("customers named", 4_372, COUNT, lambda d: d.arrived["customers"], README),
    Anchor("sum of all lines", 9_747_747.934, MONEY, lambda d: d.arrived["amount"], README),
    Anchor("known lines", 397_884, COUNT, lambda d: d.choices["known_lines"], COMMON),
    Anchor("known customers", 4_338, COUNT, lambda d: d.choices["known_customers"], COMMON),
    Anchor("known sales", 8_911_407.904, MONEY, lambda d: d.choices["known_sales"], COMMON),
    Anchor("share of the top 20 %", 0.746, SHARE, lambda d: rfm.top_share(d.sales), COMMON),
    Anchor("unique lines", 392_692, COUNT, lambda d: d.choices["known_unique_lines"], UNIQUE),
    Anchor("unique sales", 8_887_208.89, MONEY, lambda d: d.choices["known_unique_sales"], UNIQUE),
]  # fmt: skip


def online_retail(data: Path) -> SimpleNamespace:
    """What the figures of Online Retail share."""
    con, lines, repeats, judged = _judged("online-retail", data)
    arrived = lines.aggregate(
        cancelled=(_.kind == "return").sum(),
        invoices=_.order_id.nunique(),
        codes=_.product_id.nunique(),
        countries=_.country.nunique(),
        customers=_.customer_key.nunique(),
        amount=(_.quantity * _.unit_price).sum(),
    )
    is_sale = (judged.fate == "kept") & (judged.kind == "sale") & (judged.amount > 0)
    sold = judged.filter(is_sale, judged.customer_key.notnull())
    sales = sold.group_by("customer_key").agg(sales=_.amount.sum())
    return SimpleNamespace(
        arrived=_row(con, arrived),
        facts=_row(con, clean.facts(judged)),
        duplicates=_row(con, repeats.aggregate(rows=repeats.count()))["rows"],
        choices=clean.named(engine.frame(con, clean.choices(judged, repeats))),
        sales=engine.frame(con, sales)["sales"],
    )


ANCHORS = {"online-retail": (online_retail, ONLINE_RETAIL)}  # folder of the data set: its figures


def _judged(name: str, data: Path) -> tuple[object, ibis.Table, ibis.Table, ibis.Table]:
    """Connection, order lines as they arrived, exact duplicates, each line with its fate."""
    con = engine.connect()
    source = mapping.load(ROOT / f"data/sources/{name}/mapping.yaml")
    lines = engine.hold(con, ingest.open_source(con, source, data / name)["order_lines"], "lines")
    repeats = engine.hold(con, clean.duplicates(lines), "repeats")
    policies = [entry.duplicates for entry in source.files if entry.table == "order_lines"]
    dropped = engine.hold(con, clean.dropped(repeats, policies), "dropped")
    drafts = clean.drafts(clean.judge(lines, dropped))
    judged = clean.judge(lines, dropped, clean.mixed_orders(drafts))
    return con, lines, repeats, engine.hold(con, judged, "judged")


def _row(con, expr: ibis.Table) -> dict:
    return engine.frame(con, expr).to_dict("records")[0]


@cache
def _shared(name: str, data: Path) -> SimpleNamespace:
    return ANCHORS[name][0](data)


def main() -> int:
    """Print each figure beside what was published; returns 1 if one is out."""
    given = os.environ.get(VARIABLE, "")
    data = Path(given)
    absent = [name for name in ANCHORS if not (data / name).is_dir()]
    if not given or absent:
        sys.stderr.write(
            f"set {VARIABLE} to the folder that holds the public data sets, each in a folder "
            f"named like its source: {', '.join(sorted(ANCHORS))}. "
            + (f"In {given} there is no {', '.join(absent)}.\n" if given else "It is not set.\n")
        )
        return 1
    outside = 0
    for name, (_compute, anchors) in ANCHORS.items():
        print(f"\n{name}\n{'figure':<26}{'published':>16}{'ours':>16}{'tolerance':>11}  verdict")
        for anchor in anchors:
            ours = float(anchor.compute(_shared(name, data)))
            is_in = abs(ours - anchor.published) <= anchor.tolerance + 1e-9
            outside += not is_in
            print(
                f"{anchor.name:<26}{_text(anchor.published, anchor):>16}{_text(ours, anchor):>16}"
                f"{anchor.tolerance:>11g}  {'ok' if is_in else 'OUT':<4} {anchor.source}"
            )
    figures = sum(len(anchors) for _compute, anchors in ANCHORS.values())
    print(f"\n{figures - outside} of {figures} figures agree")
    return int(outside > 0)


def _text(value: float, anchor: Anchor) -> str:
    return f"{value:,.{ {COUNT: 0, MONEY: 3, SHARE: 4}[anchor.tolerance] }f}"


if __name__ == "__main__":
    sys.exit(main())
