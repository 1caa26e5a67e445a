"""Products bought together: rules of association, and whether they hold later.

A *basket* is a set of products: of one order, or of all orders of one customer in a window. The
*support* of a rule A → B is the share of baskets with all of its products, its *confidence* the
share of baskets with A that have B, too, and its *lift* that share divided by the share of B in
all baskets (Agrawal, Imieliński and Swami 1993; ASC-01). Rules are found in the first part of the
window and looked at again in the rest (ASC-12): what held by chance does not hold twice.

Postage and other entries that are no goods are in no basket, nor are lines that were cancelled
whole, nor the orders of customers who may not be analysed. Orders that name nobody are baskets of
orders, and of no customer.
"""

from __future__ import annotations

import os
from datetime import date, timedelta
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from crm.chance import discoveries
from crm.tables import lookup

if TYPE_CHECKING:
    import ibis

    from crm.itemsets import Baskets, Itemsets

DIGITS = 6  # of a p-value: sums of logarithms differ in the last ones between processors
NONE = -1
PAIR = 2  # products of a rule between customers' baskets (ASC-02)
SIDES = ("antecedent", "consequent")
MEASURES = ("support", "confidence", "lift", "leverage", "conviction")
UNITS = {"order": "order_id", "customer": "customer_id"}  # ASC-02, ASC-03
SURE = 0.5  # confidence from which one product is offered to who bought the other
COMPLEMENT = 1.2  # lift from which products go together (ASC-07)


class BasketError(ValueError):
    """A parameter of this analysis cannot be used."""


def lines(
    items: ibis.Table,
    returns: ibis.Table,
    products: ibis.Table,
    permits: ibis.Table,
    *,
    as_of: date,
    days: int = 365,
) -> ibis.Table:
    """One product in one order of the window: order_id, customer_id, product_id, day.

    Goods with a price, less lines that were cancelled whole by `as_of`; the window is open at its
    start. A customer who may not be analysed is left out with all orders.
    """
    from ibis import _

    cancelled = returns.filter(
        returns.returned_at.date() <= as_of, returns.reverses_line.notnull()
    )
    bought = items.mutate(day=items.ordered_at.date()).filter(_.amount > 0)
    bought = bought.filter(_.day > as_of - timedelta(days=days), _.day <= as_of)
    bought = bought.anti_join(cancelled, bought.line == cancelled.reverses_line)
    bought = bought.semi_join(products.filter("is_product"), "product_id")
    may = permits.filter(permits.purpose == "analysis", permits.allowed)
    named = bought.filter(_.customer_id.notnull()).semi_join(may, "customer_id")
    free = bought.filter(_.customer_id.isnull())
    return named.union(free).select("order_id", "customer_id", "product_id", "day").distinct()


def goods(lines: ibis.Table, products: ibis.Table) -> ibis.Table:
    """One product of the lines: `item`, its number by code, with code, name and category."""
    import ibis
    from ibis import _

    sold = products.semi_join(lines, "product_id")
    item = ibis.row_number().over(order_by="product_id")
    return sold.select("product_id", "product_name", "category", item=item).order_by(_.item)


def parted(*, as_of: date, days: int = 365, first_share: float = 0.7) -> date:
    """The last day of the first part of the window, in which rules are found.

    Examples
    --------
    >>> str(parted(as_of=date(2023, 12, 31), days=100, first_share=0.7))
    '2023-12-01'
    """
    return as_of - timedelta(days=round(days * (1 - first_share)))


def numbered(
    lines: ibis.Table,
    goods: ibis.Table,
    unit: Literal["order", "customer"],
    *,
    largest: int = 1000,
) -> ibis.Table:
    """One product in one basket, as two numbers, sorted: `basket` and `item`.

    Baskets of more than `largest` products are a stock-taking or a wholesaler, whose millions of
    pairs say nothing of what goes together: they are left out, and `giants` counts them.
    """
    import ibis
    from ibis import _

    key = UNITS[unit]
    held = lines.filter(lines[key].notnull()).select(key, "product_id").distinct()
    sizes = held.group_by(key).agg(size=_.count()).filter(_.size <= largest)
    held = held.semi_join(sizes, key).inner_join(goods, "product_id")
    basket = ibis.dense_rank().over(order_by=key)
    return held.select("item", basket=basket).order_by("basket", "item")


def giants(lines: ibis.Table, *, largest: int = 1000) -> ibis.Table:
    """One row: orders and customers with baskets of more than `largest` products."""
    from ibis import _

    counts = []
    for unit, key in UNITS.items():
        held = lines.filter(lines[key].notnull()).group_by(key).agg(size=_.product_id.nunique())
        counts.append(held.filter(_.size > largest).aggregate(**{f"giant_{unit}s": _.count()}))
    return counts[0].cross_join(counts[1])


def packed(rows: dict[str, np.ndarray], *, kinds: int) -> Baskets:
    """The rows of `numbered` as baskets of items."""
    from crm import itemsets

    count = int(rows["basket"].max(initial=-1)) + 1
    return itemsets.Baskets.of(rows["basket"], rows["item"], baskets=count, kinds=kinds)


def mine(
    baskets: Baskets,
    *,
    support: float = 0.01,
    count: int = 5,
    longest: int = 3,
    most: int = 2_000_000,
    method: Literal["own", "fpgrowth", "apriori"] = "own",
    threads: int = 0,
) -> Itemsets:
    """Itemsets in at least `support` of the baskets, and in at least `count` of them (Q-13).

    Parameters
    ----------
    longest
        Products in a set at most.
    most
        Sets that may be found; see `itemsets.mine`.
    method
        `own`: compiled, exact and bounded in memory. `fpgrowth` and `apriori` are those of
        mlxtend, for comparison: the same sets, a hundred times slower.
    threads
        0: as many as there are cores. The result does not depend on it.

    Raises
    ------
    BasketError
        An unknown method.
    crm.itemsets.ItemsetError
        More sets than there is room for, with the number and the count that would fit.
    """
    from crm import itemsets

    least = max(int(np.ceil(round(support * len(baskets), 9))), count, 1)
    if method == "own":
        threads = threads or os.cpu_count() or 1
        return itemsets.mine(baskets, least=least, longest=longest, most=most, threads=threads)
    if method not in ("fpgrowth", "apriori"):
        raise BasketError(f"baskets.mine.method is {method!r}; expected own, fpgrowth or apriori")
    return _by_mlxtend(baskets, least, longest, method)


def rules(
    found: Itemsets,
    *,
    confidence: float = 0.3,
    lift: float = 1.0,
    false_discoveries: float = 0.05,
) -> pd.DataFrame:
    """One rule: the products it goes from and to, how often it holds, and how sure it is.

    Parameters
    ----------
    found
        Frequent itemsets with all of their subsets, as `itemsets.mine` finds them.
    confidence, lift
        Floors of a rule (Q-13), compared as whole numbers of baskets, so that a rule at the floor
        stays.
    false_discoveries
        Share of chance rules among those kept that is put up with: the rate of Benjamini and
        Hochberg (1995), over all rules that were tested, not only those above the floors.

    Returns
    -------
    pandas.DataFrame
        antecedent and consequent (tuples of item numbers), n, n_antecedent and n_consequent
        (baskets), support, confidence, lift, leverage (support less what chance gives), conviction
        (how often A would miss B by chance, divided by how often it does; infinite if never),
        p_value (of Fisher's exact test that B is no likelier with A) and q_value; the
        strongest lift first, then most baskets, then the numbers.

    Examples
    --------
    The worked example E7: ten customers bought A, six of them B; three more bought B alone.

    >>> from crm.itemsets import Itemsets
    >>> sets = np.array([[0], [1]]), np.array([[0, 1]])
    >>> found = Itemsets(20, sets, (np.array([10, 9]), np.array([6])))
    >>> made = rules(found, false_discoveries=1).round(3)
    >>> made.loc[made["antecedent"] == (0,), ["support", "confidence", "lift"]].values.tolist()
    [[0.3, 0.6, 1.333]]
    """
    parts = [_split(found, size, left) for size in range(1, len(found.sets))
             for left in range(1, size + 1)]  # fmt: skip
    made = pd.concat(parts, ignore_index=True) if parts else _rows(*[np.empty((0, 1), int)] * 2)
    made["p_value"] = chance(made, found.baskets)
    made["q_value"] = discoveries(made["p_value"])
    n, a, b = (made[name] for name in ("n", "n_antecedent", "n_consequent"))
    is_sure = n >= np.ceil(np.round(confidence * a, 9))
    is_close = n * found.baskets >= np.round(lift * a * b, 6)
    kept = made[is_sure & is_close & (made["q_value"] <= false_discoveries)]
    kept = _ordered(measure(kept, found.baskets))
    kept = kept.assign(**{side: _tuples(kept, side) for side in SIDES})
    for name in ("p_value", "q_value"):
        kept[name] = [float(f"{value:.{DIGITS}g}") for value in kept[name]]
    return kept[[*SIDES, "n", "n_antecedent", "n_consequent", *MEASURES, "p_value", "q_value"]]


def confirmed(
    rules: pd.DataFrame, later: Baskets, *, confidence: float, lift: float
) -> pd.DataFrame:
    """`rules` with what became of them in `later` baskets: does each hold? (ASC-12)

    `holds` where the later confidence and lift reach the floors of `rules`, too; the later lift
    must lie above 1 at any floor, since at 1 the products know nothing of each other.
    """
    from crm import itemsets

    whole = [_padded(rules, [*SIDES]), _padded(rules, SIDES[:1]), _padded(rules, SIDES[1:])]
    n, a, b = (itemsets.count(later, sets) for sets in whole)
    counts = pd.DataFrame({"n": n, "n_antecedent": a, "n_consequent": b}, rules.index)
    then = measure(counts, len(later))
    holds = (then["confidence"] >= confidence) & (then["lift"] >= lift) & (then["lift"] > 1)
    return rules.assign(
        later_n=then["n"], later_confidence=then["confidence"], later_lift=then["lift"],
        holds=holds,
    )  # fmt: skip


def named(rules: pd.DataFrame, goods: pd.DataFrame, unit: str) -> pd.DataFrame:
    """`rules` as in `features/association_rules`: codes and names in place of numbers.

    Codes of several products are joined by a bar, names by a plus sign. The suggestion (ASC-06) is
    a *bundle* where each side leads to the other, *offer* where one does, and *show nearby* where
    none of the two leads surely.
    """
    texts = {}
    for side in SIDES:
        for column, name, sign in (("product_id", "code", "|"), ("product_name", "", " + ")):
            values = goods[column].to_numpy()
            told = [sign.join(values[list(items)]) for items in rules[side]]
            texts[f"{side}_{name}".rstrip("_")] = pd.Series(told, rules.index, dtype="str")
    made = rules.assign(**texts, unit=unit)
    both = set(zip(rules["antecedent"], rules["consequent"], strict=True))
    pairs = zip(rules["consequent"], rules["antecedent"], strict=True)
    mirrored = np.array([pair in both for pair in pairs], bool)
    leads = rules["confidence"].to_numpy() >= SURE
    advice = np.select([mirrored, leads], ["bundle", "offer"], "show nearby")
    relation = np.where(rules["lift"] >= COMPLEMENT, "complement", "none")
    made = made.assign(suggestion=advice, relation=relation)
    made[["conviction"]] = made[["conviction"]].replace(np.inf, np.nan)
    return made[lookup("features/association_rules").names]


def settled(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """All rules as in `features/association_rules`, sorted by unit and codes."""
    key = lookup("features/association_rules").key
    return pd.concat(parts, ignore_index=True).sort_values([*key], ignore_index=True)


def measure(counts: pd.DataFrame, baskets: int) -> pd.DataFrame:
    """`counts` of rules (`n`, `n_antecedent`, `n_consequent`) with the measures of each."""
    n, a, b = (counts[name] for name in ("n", "n_antecedent", "n_consequent"))
    misses = (a - n).where(a > n)
    return counts.assign(
        support=n / max(baskets, 1),
        confidence=n / a.where(a > 0),
        lift=n * baskets / (a * b).where(a * b > 0),
        leverage=n / max(baskets, 1) - a * b / max(baskets, 1) ** 2,
        conviction=(a * (baskets - b) / max(baskets, 1) / misses).fillna(np.inf),
    )


def chance(counts: pd.DataFrame, baskets: int) -> pd.Series:
    """The p-value of each rule: Fisher's exact test, one-sided (Fisher 1935).

    How likely `n` or more of the `n_antecedent` baskets would hold the consequent if the
    `n_consequent` that do were drawn from all baskets.
    """
    from crm import itemsets

    n, a, b = (counts[name].to_numpy() for name in ("n", "n_antecedent", "n_consequent"))
    return pd.Series(itemsets.tails(n, a, b, baskets), counts.index, float)


def facts(packs: dict[tuple[str, str], Baskets], goods: pd.DataFrame) -> dict:
    """Metrics of the baskets: how many in each part and of each unit, and how many products."""
    counts = {f"{part}_{unit}s": len(pack) for (part, unit), pack in packs.items()}
    return counts | {"products": len(goods)}


def rule_facts(made: pd.DataFrame, unit: str) -> dict:
    """Metrics of the rules between baskets of one unit: how many, how many hold, the strongest.

    The strongest is the one with most lift of those that hold.
    """
    sure = made[made["holds"]]
    first = sure.iloc[0] if len(sure) else None
    return {
        f"{unit}_rules": len(made),
        f"{unit}_hold": len(sure),
        f"{unit}_hold_share": len(sure) / len(made) if len(made) else 0.0,
        f"{unit}_from": "" if first is None else first["antecedent"],
        f"{unit}_to": "" if first is None else first["consequent"],
        f"{unit}_confidence": 0.0 if first is None else float(first["confidence"]),
        f"{unit}_later": 0.0 if first is None else float(first["later_confidence"]),
        f"{unit}_lift": 0.0 if first is None else float(first["lift"]),
    }


def shown(made: pd.DataFrame) -> pd.DataFrame:
    """One set of products: its surest rule, those that hold first, then by lift.

    The other rules of the same products stand in `features/association_rules` only.
    """
    codes = made["antecedent_code"] + "|" + made["consequent_code"]
    sets = codes.str.split("|").map(lambda parts: "|".join(sorted(parts)))
    order = ["holds", "confidence"]
    surest = made.assign(_set=sets, _at=range(len(made))).sort_values(
        order, ascending=False, kind="stable"
    )
    surest = surest.drop_duplicates("_set").sort_values("_at", kind="stable")
    surest = surest.sort_values("holds", ascending=False, kind="stable", ignore_index=True)
    columns = {"antecedent": "who_bought", "consequent": "also_bought", "n": "baskets_with_both",
               "confidence": "followed_share", "later_confidence": "later_share",
               "lift": "times_chance", "holds": "held", "suggestion": "suggestion"}  # fmt: skip
    return surest[[*columns]].rename(columns=columns)


def strongest(made: pd.DataFrame, *, top: int = 12) -> pd.DataFrame:
    """One of the `top` rules that `shown` begins with, in words: its confidence then and later."""
    lines = shown(made)
    sure = lines[lines["held"]].head(top)
    words = sure["who_bought"] + " → " + sure["also_bought"]
    return sure.assign(rule=words)[["rule", "followed_share", "later_share"]]


def answer(found: dict) -> str:
    """The sentence that opens the page."""
    if not found["order_rules"]:
        return (
            "**No two products go together surely enough** in {first_orders} order[s]: no rule "
            "reaches the floors."
        )
    if not found["order_hold"]:
        return (
            "**None of the {order_rules} rule[s] holds**: what was found up to {split_on:date} "
            "was not seen again in the orders after it."
        )
    return (
        "**{order_hold} of {order_rules} rule[s] hold[s|] in later orders, too.** The strongest: "
        "of the orders with *{order_from:text}*, {order_confidence:pct} also had "
        "*{order_to:text}*, {order_lift:num} times as many as by chance, and {order_later:pct} "
        "in the orders after {split_on:date}."
    )


def sales_note(found: dict) -> str:
    """What sales have to do with the rules between orders."""
    if not found["order_hold"]:
        return "Sales: nothing to bundle. No rule between orders held."
    return (
        "**Sales: bundle what holds**, first *{order_from:text}* with *{order_to:text}*: both in "
        "one listing, at one price, and the second shown wherever the first is put into the "
        "cart. The table below has one line for each set of products."
    )


def marketing_note(found: dict) -> str:
    """What marketing have to do with the rules between customers."""
    if not found["customer_hold"]:
        return "Marketing: nothing to offer. No rule between customers held."
    return (
        "**Marketing: offer the second to who bought the first.** Of the customers who bought "
        "*{customer_from:text}*, {customer_confidence:pct} also bought *{customer_to:text}*; "
        "{customer_hold} such rule[s] held among customers later, too."
    )


def giants_note(found: dict) -> str:
    """How many baskets were too large to tell anything."""
    if not found["giant_orders"] + found["giant_customers"]:
        return "No basket is too large to be looked at."
    return (
        "Left out as too large: {giant_orders} order[s] and {giant_customers} customer[s] with "
        "more than {largest} product[s]."
    )


def simplest(made: pd.DataFrame, *, improvement: float = 0.0) -> pd.DataFrame:
    """`made` without rules that a simpler one makes needless (Bayardo, Agrawal, Gunopulos 1999).

    A rule is needless if another, with the same consequent and only some of its products to go
    from, has a confidence that is not lower by more than `improvement`.
    """
    best = dict(zip(zip(made["antecedent"], made["consequent"], strict=True), made["confidence"],
                    strict=True))  # fmt: skip

    def needless(rule) -> bool:
        shorter = (part for size in range(1, len(rule.antecedent))
                   for part in combinations(rule.antecedent, size))  # fmt: skip
        known = [
            best[part, rule.consequent] for part in shorter if (part, rule.consequent) in best
        ]
        return bool(known) and rule.confidence <= max(known) + improvement

    kept = [not needless(rule) for rule in made.itertuples()]
    return made[pd.Series(kept, made.index, bool)].reset_index(drop=True)


def _padded(rules: pd.DataFrame, sides: list[str]) -> np.ndarray:
    """The items of some sides of each rule together, −1 behind shorter sets."""
    rows = [sum(row, ()) for row in zip(*(rules[side] for side in sides), strict=True)]
    width = max(map(len, rows), default=1)
    return np.array([(*row, *[NONE] * (width - len(row))) for row in rows], np.int32).reshape(
        len(rows), width
    )


def _by_mlxtend(baskets: Baskets, least: int, longest: int, method: str) -> Itemsets:
    """What mlxtend's miner of that name finds, in the form of ours."""
    from mlxtend import frequent_patterns
    from scipy.sparse import csr_array

    from crm import itemsets

    held = np.ones(len(baskets.items), bool)
    shape = len(baskets), baskets.kinds
    table = csr_array((held, baskets.items, baskets.starts), shape=shape)
    frame = pd.DataFrame.sparse.from_spmatrix(table)
    share = (least - 0.5) / max(len(baskets), 1)  # it compares shares: half a basket is safe
    miner = getattr(frequent_patterns, method)
    found = miner(frame, min_support=min(share, 1.0), max_len=longest)
    found = found[(found["support"] * len(baskets)).round() >= least]
    sizes = found["itemsets"].map(len)
    sets, counts = [], []
    for size in range(1, max(int(sizes.max()) if len(sizes) else 1, min(longest, 3)) + 1):
        mine = found[sizes == size]
        rows = np.array([sorted(items) for items in mine["itemsets"]], np.int32)
        rows = rows.reshape(len(mine), size)
        place = np.lexsort(rows.T[::-1])
        sets.append(rows[place])
        counts.append((mine["support"].to_numpy()[place] * len(baskets)).round().astype(np.int64))
    return itemsets.Itemsets(len(baskets), tuple(sets), tuple(counts))


def _split(found: Itemsets, size: int, left: int) -> pd.DataFrame:
    """Every way to part the sets of `size` + 1 items into `left` items and the rest."""
    rows = found.sets[size]
    parts = []
    for way in combinations(range(size + 1), left):
        rest = [place for place in range(size + 1) if place not in way]
        from_, to = rows[:, list(way)], rows[:, rest]
        counts = {"n": found.counts[size], "n_antecedent": _counts(found, from_),
                  "n_consequent": _counts(found, to)}  # fmt: skip
        parts.append(_rows(from_, to).assign(**counts))
    return pd.concat(parts, ignore_index=True)


def _rows(from_: np.ndarray, to: np.ndarray) -> pd.DataFrame:
    """Both sides of rules, an item number a column; shorter sides get no further columns."""
    sides = zip(SIDES, (from_, to), strict=True)
    return pd.DataFrame({f"{name}_{k}": side[:, k] for name, side in sides
                         for k in range(side.shape[1])})  # fmt: skip


def _ordered(rules: pd.DataFrame) -> pd.DataFrame:
    """The strongest lift first, then most baskets, then the item numbers, shorter sides first."""
    numbers = [
        name for name in rules.columns if name.rpartition("_")[0] in SIDES and name[-1].isdigit()
    ]
    keys = [rules[name].fillna(NONE).to_numpy() for name in sorted(numbers, reverse=True)]
    place = np.lexsort([*keys, -rules["n"].to_numpy(), -rules["lift"].round(DIGITS).to_numpy()])
    return rules.iloc[place].reset_index(drop=True)


def _tuples(rules: pd.DataFrame, side: str) -> pd.Series:
    """One side of each rule as a tuple of item numbers."""
    columns = [name for name in rules.columns if name.rpartition("_")[0] == side]
    table = rules[columns].fillna(NONE).astype("int64").to_numpy()
    lengths = (table != NONE).sum(axis=1)  # what is missing stands behind
    made = [tuple(row[:n]) for row, n in zip(table.tolist(), lengths.tolist(), strict=True)]
    return pd.Series(made, rules.index, dtype=object)


def _counts(found: Itemsets, rows: np.ndarray) -> np.ndarray:
    """The baskets of itemsets that were found, by looking them up in the sorted rows."""
    sets, counts = found.sets[rows.shape[1] - 1], found.counts[rows.shape[1] - 1]
    base = int(found.sets[0].max(initial=0)) + 1
    return counts[np.searchsorted(_keys(sets, base), _keys(rows, base))]


def _keys(rows: np.ndarray, base: int) -> np.ndarray:
    """One value for each row, in the order of the rows: a number, or bytes where none fits."""
    width = rows.shape[1]
    if base**width >= 1 << 63:
        return np.ascontiguousarray(rows.astype(">i4")).view(f"S{4 * width}").ravel()
    keys = np.zeros(len(rows), np.int64)
    for k in range(width):
        keys = keys * base + rows[:, k]
    return keys
