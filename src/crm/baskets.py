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

import math
import os
import re
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from itertools import chain, combinations, pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from crm.chance import discoveries
from crm.tables import lookup

if TYPE_CHECKING:
    import ibis

    from crm.itemsets import Baskets, Itemsets

DIGITS = 6  # of a p-value: sums of logarithms differ in the last ones between processors
EXACT = 22  # powers of ten up to this one are exact as floating-point numbers
NONE = -1
PAIR = 2  # products of a rule between customers' baskets (ASC-02)
SIDES = ("antecedent", "consequent")
COUNTS = ("n", "n_antecedent", "n_consequent")
MEASURES = ("support", "confidence", "lift", "leverage", "conviction")
UNITS = {"order": "order_id", "customer": "customer_id"}  # ASC-02, ASC-03
SURE = 0.5  # confidence from which one product is offered to who bought the other
BELONG = 2  # times as often as any two products: what a bundle needs
COMPLEMENT = 1.2  # lift from which products go together (ASC-07)
SUBSTITUTE = 0.8  # lift up to which products of one category replace each other (ASC-07)
ENOUGH = 5  # meetings that chance gives: where it gives fewer, a lack of them tells nothing
NEAR = 0.4  # share of words in common from which two names are of variants of one article
VARIANTS, DIFFERENT = "variants", "different goods"
WORD = r"[a-z]{2,}|[\u4e00-\u9fff]"  # of a name: Latin letters, or one Chinese character
VARYING = """  colours and the like, in which variants differ, and words that say nothing
red green blue pink white black ivory cream purple lilac yellow orange brown grey gray silver gold
golden clear design designs asst assorted set and of the with in on for to 红 绿 蓝 粉 白 黑 黄 紫
橙 灰 棕 金 银 色 装 款
"""


class BasketError(ValueError):
    """A parameter of this analysis cannot be used."""


@dataclass(frozen=True)
class Ways:
    """Every way to part itemsets in two, from A to B, as columns: one row is one way.

    `n` baskets hold both sides, `a` the side A and `b` the side B. Rows stand in `parts`: the
    items of a set less one, and which of its places are side A. Items are looked up only for the
    rows that are asked for, since most ways reach no floor.
    """

    found: Itemsets
    parts: list[tuple[int, tuple[int, ...]]]
    n: np.ndarray
    a: np.ndarray
    b: np.ndarray

    @classmethod
    def of(cls, found: Itemsets) -> Ways:
        """All ways of itemsets with all of their subsets, the sets of two items first."""
        parts, counts = [], [np.empty((3, 0), np.int64)]
        for size in range(1, len(found.sets)):
            rows, n = found.sets[size], found.counts[size]
            ways = [way for left in range(1, size + 1)
                    for way in combinations(range(size + 1), left)]  # fmt: skip
            held = {way: _counts(found, rows[:, way]) for way in ways}
            counts += [np.stack([n, held[way], held[_rest(size, way)]]) for way in ways]
            parts += [(size, way) for way in ways]
        return cls(found, parts, *np.concatenate(counts, axis=1))

    def reach(self, *, confidence: float, lift: float) -> np.ndarray:
        """Whether each way reaches the floors, compared as whole numbers of baskets."""
        is_sure = self.n >= np.ceil(np.round(confidence * self.a, 9))
        return is_sure & (self.n * self.found.baskets >= np.round(lift * self.a * self.b, 6))

    def chance(self) -> np.ndarray:
        """The p-value of each way: Fisher's exact test, one-sided (Fisher 1935).

        How likely as many baskets of the antecedent would hold the consequent if those that do
        were drawn from all; the other way round it is the same.
        """
        from crm import itemsets

        known: dict[tuple[int, tuple[int, ...]], np.ndarray] = {}
        for (size, way), rows in zip(self.parts, self._slices(), strict=True):
            other = known.get((size, _rest(size, way)))
            counts = self.n[rows], self.a[rows], self.b[rows]
            fresh = other is None
            known[size, way] = itemsets.tails(*counts, self.found.baskets) if fresh else other
        return np.concatenate([np.empty(0), *known.values()])

    def measured(self, kept: np.ndarray) -> dict[str, np.ndarray]:
        """Counts and measures of some rows, a column each."""
        counts = self.n[kept], self.a[kept], self.b[kept]
        made = dict(zip(COUNTS, counts, strict=True))
        return made | _measured(*counts, self.found.baskets)

    def sides(self, kept: np.ndarray) -> np.ndarray:
        """The items of side A and of side B of some rows in order, −1 behind each side."""
        width = max(len(self.found.sets) - 1, 1)
        made = np.full((len(kept), 2, width), NONE, np.int32)
        for (size, way), rows in zip(self.parts, self._slices(), strict=True):
            begin, end = np.searchsorted(kept, (rows.start, rows.stop))
            items = self.found.sets[size][kept[begin:end] - rows.start]
            made[begin:end, 0, : len(way)] = items[:, way]
            made[begin:end, 1, : size + 1 - len(way)] = items[:, _rest(size, way)]
        return made

    def _slices(self) -> list[slice]:
        edges = np.cumsum([0, *(len(self.found.counts[size]) for size, _ in self.parts)]).tolist()
        return [slice(*pair) for pair in pairwise(edges)]


def lines(
    items: ibis.Table,
    returns: ibis.Table,
    products: ibis.Table,
    permits: ibis.Table,
    *,
    as_of: date,
    days: int = 365,
) -> ibis.Table:
    """One product in one order of the window: order_id, customer_id, product_id, day, amount.

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
    by = ("order_id", "customer_id", "product_id", "day")
    return named.union(free).group_by(*by).agg(amount=_.amount.sum())


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
        try:
            return itemsets.mine(baskets, least=least, longest=longest, most=most, threads=threads)
        except itemsets.ItemsetError as error:
            if not error.fits:
                raise
            raise itemsets.ItemsetError(f"{error} {_advice(error.fits, len(baskets))}") from None
    if method not in ("fpgrowth", "apriori"):
        raise BasketError(f"baskets.mine.method is {method!r}; expected own, fpgrowth or apriori")
    return _by_mlxtend(baskets, least, longest, method)


def _advice(fits: int, baskets: int) -> str:
    """What to ask for when too much was, after the number of baskets."""
    if fits > baskets:
        return f"of {baskets:,} baskets: no support fits, so lower baskets.mine.longest"
    share = math.ceil(fits / baskets * 10**DIGITS) / 10**DIGITS
    return f"of {baskets:,} baskets, a support of {share:g}"


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
    ways = Ways.of(found)
    p_values = ways.chance()
    q_values = discoveries(pd.Series(p_values)).to_numpy()
    reach = ways.reach(confidence=confidence, lift=lift) & (q_values <= false_discoveries)
    kept = np.flatnonzero(reach)
    sides = ways.sides(kept)
    lifts = ways.measured(kept)["lift"].round(DIGITS)
    keys = _keys(np.hstack([sides[:, 0], sides[:, 1]]))
    place = np.lexsort([keys, -ways.n[kept], -lifts])
    sides, kept = sides[place], kept[place]
    texts = {name: _tuples(sides[:, k]) for k, name in enumerate(SIDES)}
    chances = {"p_value": _rounded(p_values[kept]), "q_value": _rounded(q_values[kept])}
    return pd.DataFrame(texts | ways.measured(kept) | chances)


def confirmed(
    rules: pd.DataFrame, later: Baskets, *, confidence: float, lift: float, count: int
) -> pd.DataFrame:
    """`rules` with what became of them in `later` baskets: does each hold? (ASC-12)

    `holds` where later count, confidence and lift reach the floors of `mine` and `rules`, too;
    the later lift must lie above 1 at any floor, since at 1 the products know nothing of each
    other.
    """
    from crm import itemsets

    whole = [_padded(rules, [*SIDES]), _padded(rules, SIDES[:1]), _padded(rules, SIDES[1:])]
    n, a, b = (itemsets.count(later, sets) for sets in whole)
    counts = pd.DataFrame({"n": n, "n_antecedent": a, "n_consequent": b}, rules.index)
    then = measure(counts, len(later))
    holds = (then["confidence"] >= confidence) & (then["lift"] >= lift) & (then["lift"] > 1)
    holds &= then["n"] >= count
    return rules.assign(
        later_n=then["n"], later_confidence=then["confidence"], later_lift=then["lift"],
        holds=holds,
    )  # fmt: skip


def of_group(lines: ibis.Table, clusters: ibis.Table, group: str) -> ibis.Table:
    """The `lines` of the customers of one group of `features/clusters`."""
    return lines.semi_join(clusters.filter(clusters.cluster == group), "customer_id")


def groups(clusters: pd.DataFrame, *, least: int = 5) -> list[str]:
    """The groups of `features/clusters` that are not small, by name."""
    sizes = clusters["cluster"].value_counts()
    return sorted(sizes.index[sizes >= least])


def in_groups(
    inside: dict[str, Baskets],
    goods: pd.DataFrame,
    *,
    mine_options: dict,
    rule_options: dict,
    least: int = 5,
) -> pd.DataFrame:
    """One rule that is stronger in one group than in all, as in `features/group_rules` (ASC-05).

    The rules of each group are mined anew in its own baskets, one a customer. Who buys more has
    more of every pair, so it is lifts that are compared: a rule is kept if both products meet more
    often than their lift among all customers gives for how common they are in the group, with the
    rate of false discoveries over the rules of all groups.

    Parameters
    ----------
    inside
        The baskets of the customers of each group.
    mine_options, rule_options
        Keywords of `mine` and `rules`; sets are pairs.
    least
        Customers who must have both products (Q-41).
    """
    floor = {**mine_options, "longest": PAIR, "count": max(mine_options.get("count", 5), least)}
    parts = []
    for group, pack in inside.items():
        made = rules(mine(pack, **floor), **rule_options)
        parts.append(made.assign(cluster=group)[_GROUPED])
    made = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=_GROUPED)
    made = _beside_all(made, inside)
    made = made.assign(q_value=_rounded(discoveries(made["p_value"]).to_numpy()))
    kept = made[made["q_value"] <= rule_options.get("false_discoveries", 0.05)]
    texts = {}
    for side in SIDES:
        items = [row[0] for row in kept[side]]
        for column, name in (("product_id", f"{side}_code"), ("product_name", side)):
            texts[name] = pd.Series(goods[column].to_numpy()[items], kept.index, dtype="str")
    table = lookup("features/group_rules")
    kept = kept.assign(**texts).astype({"cluster": "str", "n": "int64", "n_antecedent": "int64"})
    return kept[table.names].sort_values([*table.key], ignore_index=True)


def in_groups_shown(made: pd.DataFrame, *, each: int = 5) -> pd.DataFrame:
    """One of the `each` rules of each group that stand out most from all customers."""
    wide = made.assign(times_all=made["lift"] / made["all_lift"])
    wide = wide.sort_values(["cluster", "times_all", "n", "antecedent_code", "consequent_code"],
                            ascending=[True, False, False, True, True])  # fmt: skip
    columns = {"cluster": "cluster", "antecedent": "who_bought", "consequent": "also_bought",
               "n": "baskets_with_both", "confidence": "followed_share",
               "all_confidence": "all_groups_share", "lift": "times_chance",
               "all_lift": "all_groups_times"}  # fmt: skip
    top = wide.groupby("cluster").head(each)[[*columns]].rename(columns=columns)
    return top.reset_index(drop=True)


def in_groups_note(found: dict) -> str:
    """How many rules are stronger in one group than in all."""
    if not found["groups"]:
        return "No group by behaviour is large enough to look into."
    if not found["group_rules"]:
        return (
            "In none of {groups} group[s] is a rule stronger than among all customers: what goes "
            "together does so for everybody, or each group has too few customers to tell."
        )
    return (
        "{group_rules} rule[s] [is|are] stronger in one of {groups} group[s] than among all "
        "customers; nothing tells the others apart."
    )


def named(
    rules: pd.DataFrame, goods: pd.DataFrame, unit: str, crowded: float = 1.0
) -> pd.DataFrame:
    """`rules` as in `features/association_rules`: codes and names in place of numbers.

    Codes of several products are joined by a bar, names by a plus sign. The suggestion (ASC-06) is
    a *bundle* where each side leads to the other, *offer* where one does, *show nearby* where none
    of the two leads surely, and *none* where any two products meet as often. `between` says
    whether a rule joins variants. `crowded` is what `crowding` says of the baskets: of complements
    the lift exceeds that of any two products in baskets of these sizes, too.
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
    relation = np.where(rules["lift"] >= COMPLEMENT * max(crowded, 1), "complement", "none")
    ways = [relation == "none", mirrored, leads]
    bundle = "bundle" if unit == "order" else "offer"  # weeks may lie between two purchases
    advice = np.select(ways, ["none", bundle, "offer"], "show nearby")
    made = made.assign(suggestion=advice, relation=relation, between=_between(rules, goods))
    made[["conviction"]] = made[["conviction"]].replace(np.inf, np.nan)
    return made[lookup("features/association_rules").names]


def are_variants(name: str, other: str, category: str = "", others: str = "") -> bool:
    """Whether two products are variants of one article, by their names and categories.

    At least `NEAR` of the words of both names are in both, not counting colours, sizes and words
    that say nothing; of Chinese each character is a word. Products of two categories are none.

    Examples
    --------
    >>> are_variants("PINK REGENCY TEACUP", "Green Regency Teacups")
    True
    >>> are_variants("RED RETROSPOT CAKE STAND", "RED RETROSPOT LUNCH BAG")
    False
    """
    if category and others and category != others:
        return False
    one, two = _words(name), _words(other)
    return bool(one | two) and len(one & two) >= NEAR * len(one | two)


def crowding(baskets: Baskets) -> float:
    """How many times as often as by chance any two products meet, for the sizes of the baskets.

    Chance, as lift takes it, deals each product to baskets that are all alike. Where a few baskets
    are large, any two products meet in those; where most hold one product, hardly any two meet.

    Examples
    --------
    >>> from crm.itemsets import Baskets
    >>> items = np.array([0, 1, 0, 1, 2, 3])
    >>> crowding(Baskets.of(np.array([0, 0, 1, 2, 3, 4]), items, baskets=5, kinds=4))
    0.2777777777777778
    """
    sizes = np.diff(baskets.starts)
    whole = int(sizes.sum())
    return len(baskets) * int((sizes * (sizes - 1)).sum()) / whole**2 if whole else 1.0


def relations(
    found: Itemsets,
    packs: dict[tuple[str, str], Baskets],
    goods: pd.DataFrame,
    *,
    false_discoveries: float = 0.05,
) -> pd.DataFrame:
    """One pair of products that meet clearly more often, or less often, than they should (ASC-07).

    Parameters
    ----------
    found
        Frequent itemsets of the orders: its pairs may be complements.
    packs
        Baskets by part (`first`, `later`) and unit (`order`, `customer`).
    goods
        Products by item number, as `goods` gives them. Pairs of one category that should meet
        `ENOUGH` times may be substitutes, however seldom they do.
    false_discoveries
        As of `rules`, over all pairs looked at.

    Returns
    -------
    pandas.DataFrame
        As `features/product_relations`. `expected` are the meetings by chance, or those that
        baskets of these sizes give (`crowding`), whichever makes the claim harder, and `lift` is
        `n` over them. A pair that is seldom in one order but often with one customer is bought *in
        turn*, and no substitute.
    """
    first, later = packs["first", "order"], packs["later", "order"]
    pairs = found.sets[1] if len(found.sets) > 1 else np.empty((0, 2), np.int32)
    rivals = _rivals(first, goods["category"])
    kinds = (("complement", pairs, COMPLEMENT), ("substitute", rivals, SUBSTITUTE))
    parts = []
    for relation, looked_at, limit in kinds:
        is_more = limit > 1
        then, now = (_met(pack, looked_at, is_more) for pack in (later, first))
        q_value = discoveries(_by_meetings(now, is_more))
        enough = is_more | (then["expected"] >= ENOUGH)
        holds = enough & _beyond(then["lift"], limit)
        made = now.assign(q_value=[float(f"{q:.{DIGITS}g}") for q in q_value], relation=relation,
                          later_n=then["n"], later_lift=then["lift"], holds=holds)  # fmt: skip
        parts.append(made[_beyond(now["lift"], limit) & (q_value <= false_discoveries)])
    made = pd.concat(parts, ignore_index=True)
    by_customer = _met(packs["first", "customer"], made[["a", "b"]].to_numpy(np.int32), False)
    in_turn = (made["relation"] == "substitute") & (by_customer["lift"] > 1)
    made = made.assign(by_customer=by_customer["lift"],
                       relation=made["relation"].mask(in_turn, "in turn"))  # fmt: skip
    return _with_names(made, goods)


def missed(rules: pd.DataFrame, packs: list[Baskets]) -> pd.Series:
    """For each rule the baskets of all `packs` with its antecedent, yet not all it leads to."""
    from crm import itemsets

    all_of, from_ = _padded(rules, [*SIDES]), _padded(rules, SIDES[:1])
    left = sum(itemsets.count(pack, from_) - itemsets.count(pack, all_of) for pack in packs)
    return pd.Series(left, rules.index, dtype="int64")


def candidates(made: pd.DataFrame, missed: pd.Series, crowded: float = 1.0) -> pd.DataFrame:
    """One bundle that could be offered: a rule of `named` that holds and leads to one product.

    Only where the products meet at least twice as often as any two do in baskets of these sizes
    (`crowding`): else it is the best seller, which everybody buys anyway.
    """
    is_one = ~made["consequent_code"].str.contains("|", regex=False)
    names = ["antecedent", "consequent", "antecedent_code", "consequent_code", "between",
             "confidence", "later_confidence", "lift"]  # fmt: skip
    texts = dict.fromkeys(names[:5], "str")
    belong = made["lift"] >= BELONG * max(crowded, 1)
    kept = made["holds"] & is_one & (missed > 0) & belong
    return made.loc[kept, names].assign(missed=missed[kept]).astype(texts)


def usual(lines: ibis.Table) -> ibis.Table:
    """One product: `usual_amount`, the median of what one order pays for it, before returns."""
    from ibis import _

    paid = lines.filter(_.order_id.notnull()).group_by("order_id", "product_id")
    paid = paid.agg(amount=_.amount.sum())
    return paid.group_by("product_id").agg(usual_amount=_.amount.median().cast("decimal(18, 4)"))


def bundles(candidates: ibis.Table, usual: ibis.Table, *, taken_up: float = 0.1) -> ibis.Table:
    """One bundle of `candidates` with the money it would move, as in `features/bundles` (ASC-06).

    Parameters
    ----------
    candidates, usual
        Of the functions of these names.
    taken_up
        Share of the orders with the first product alone that are assumed to take the second, too,
        once it is offered with it. An assumption, not a finding: a test tells.

    Returns
    -------
    ibis.Table
        `at_most` is the money if every such order took the second product at its usual amount,
        `cautious` that if `taken_up` of them did.
    """
    from ibis import _, literal

    share = literal(Decimal(str(taken_up))).cast("decimal(9, 4)")
    priced = candidates.inner_join(usual, candidates.consequent_code == usual.product_id)
    priced = priced.mutate(at_most=(_.missed * _.usual_amount).cast("decimal(18, 4)"))
    priced = priced.mutate(cautious=(_.at_most * share).cast("decimal(18, 4)"))
    return priced.select(lookup("features/bundles").names)


def settled(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """All rules as in `features/association_rules`, sorted by unit and codes."""
    key = lookup("features/association_rules").key
    return pd.concat(parts, ignore_index=True).sort_values([*key], ignore_index=True)


def measure(counts: pd.DataFrame, baskets: int) -> pd.DataFrame:
    """`counts` of rules (`n`, `n_antecedent`, `n_consequent`) with the measures of each."""
    values = (counts[name].to_numpy() for name in COUNTS)
    return counts.assign(**_measured(*values, baskets))


def facts(packs: dict[tuple[str, str], Baskets], goods: pd.DataFrame) -> dict:
    """Metrics of the baskets: how many in each part and of each unit, and how many products."""
    counts = {f"{part}_{unit}s": len(pack) for (part, unit), pack in packs.items()}
    return counts | {"products": len(goods)}


def rule_facts(made: pd.DataFrame, unit: str) -> dict:
    """Metrics of the rules between baskets of one unit: how many, how many hold, the strongest.

    The strongest is the one that `shown` begins with: the surest way round of the products with
    most lift, of those that hold between different goods if there are any.
    """
    sure = made[made["holds"]]
    apart = sure[sure["between"] == DIFFERENT]
    first = next(iter(shown(apart if len(apart) else sure).itertuples()), None)
    return {
        f"{unit}_different": len(apart),
        f"{unit}_variants": len(sure) - len(apart),
        f"{unit}_rules": len(made),
        f"{unit}_hold": len(sure),
        f"{unit}_hold_share": len(sure) / len(made) if len(made) else 0.0,
        f"{unit}_from": "" if first is None else first.who_bought,
        f"{unit}_to": "" if first is None else first.also_bought,
        f"{unit}_confidence": 0.0 if first is None else float(first.followed_share),
        f"{unit}_later": 0.0 if first is None else float(first.later_share),
        f"{unit}_lift": 0.0 if first is None else float(first.times_chance),
    }


def shown(made: pd.DataFrame) -> pd.DataFrame:
    """One set of products: its surest rule; those that hold first, different goods, then by lift.

    The other rules of the same products stand in `features/association_rules` only.
    """
    codes = made["antecedent_code"] + "|" + made["consequent_code"]
    sets = codes.str.split("|").map(lambda parts: "|".join(sorted(parts)))
    order = ["holds", "confidence"]
    surest = made.assign(_set=sets, _at=range(len(made))).sort_values(
        order, ascending=False, kind="stable"
    )
    surest = surest.drop_duplicates("_set").assign(_apart=surest["between"] == DIFFERENT)
    order = ["holds", "_apart", "_at"]
    surest = surest.sort_values(order, ascending=[False, False, True], ignore_index=True)
    columns = {"antecedent": "who_bought", "consequent": "also_bought", "n": "baskets_with_both",
               "confidence": "followed_share", "later_confidence": "later_share",
               "lift": "times_chance", "holds": "held", "suggestion": "suggestion",
               "between": "between"}  # fmt: skip
    return surest[[*columns]].rename(columns=columns)


def links(made: pd.DataFrame, *, top: int = 10) -> pd.DataFrame:
    """One pair of products of a rule that holds, the `top` strongest of each kind, for a picture.

    Different goods come first; of the two rules of a pair the surer one.
    """
    is_pair = ~(made["antecedent_code"] + made["consequent_code"]).str.contains("|", regex=False)
    lines = [shown(made[made["holds"] & is_pair & (made["between"] == kind)]).head(top)
             for kind in (DIFFERENT, VARIANTS)]  # fmt: skip
    return pd.concat(lines, ignore_index=True)


def strongest(made: pd.DataFrame, *, top: int = 12) -> pd.DataFrame:
    """One of the `top` rules that `shown` begins with, in words: its confidence then and later."""
    lines = shown(made)
    sure = lines[lines["held"]].head(top)
    words = sure["who_bought"] + " → " + sure["also_bought"]
    return sure.assign(rule=words)[["rule", "followed_share", "later_share"]]


def relation_facts(made: pd.DataFrame, goods: pd.DataFrame, crowded: float) -> dict:
    """Metrics of `relations`: pairs of each kind that hold, and the first that is no bundle."""
    sure = made[made["holds"]]
    rivals = sure[sure["relation"] != "complement"]  # substitutes before what is bought in turn
    rivals = rivals.sort_values(["relation", "lift"], ascending=[False, True], kind="stable")
    first = rivals.iloc[0] if len(rivals) else None
    kinds = sure["relation"].value_counts()
    return {
        "crowded": crowded,
        "categorised": int(goods["category"].notna().sum()),
        "complements": int(kinds.get("complement", 0)),
        "substitutes": int(kinds.get("substitute", 0)),
        "in_turn": int(kinds.get("in turn", 0)),
        "rival_one": "" if first is None else first["name_a"],
        "rival_other": "" if first is None else first["name_b"],
        "rival_lift": 0.0 if first is None else float(first["lift"]),
    }


def bundle_facts(priced: pd.DataFrame) -> dict:
    """Metrics of `bundles`: how many, and the one with most money between different goods."""
    first = next(iter(bundles_shown(priced).itertuples()), None)
    return {
        "bundles": len(bundles_shown(priced)),
        "bundle_from": "" if first is None else first.who_bought,
        "bundle_to": "" if first is None else first.also_bought,
        "bundle_missed": 0 if first is None else int(first.orders_without_it),
        "bundle_at_most": 0.0 if first is None else float(first.at_most),
        "bundle_cautious": 0.0 if first is None else float(first.cautious),
    }


def bundles_shown(priced: pd.DataFrame) -> pd.DataFrame:
    """One set of products: the way round that moves most money, different goods first.

    The other ways round stand in `features/bundles` only.
    """
    codes = priced["antecedent_code"] + "|" + priced["consequent_code"]
    sets = codes.str.split("|").map(lambda parts: "|".join(sorted(parts)))
    order = ["between", "at_most", "antecedent_code", "consequent_code"]
    best = priced.assign(_set=sets).sort_values(order, ascending=[True, False, True, True])
    best = best.drop_duplicates("_set").reset_index(drop=True)
    columns = {"antecedent": "who_bought", "consequent": "also_bought",
               "missed": "orders_without_it", "usual_amount": "usual_amount",
               "cautious": "cautious", "at_most": "at_most", "confidence": "followed_share",
               "between": "between"}  # fmt: skip
    return best[[*columns]].rename(columns=columns)


def relations_shown(made: pd.DataFrame) -> pd.DataFrame:
    """One pair of products whose relation holds: what replaces what first, then by lift."""
    sure = made[made["holds"]]
    rank = sure["relation"].map(["substitute", "in turn", "complement"].index)
    away = sure["lift"].where(sure["relation"] != "complement", -sure["lift"])
    sure = sure.assign(_rank=rank, _away=away).sort_values(["_rank", "_away", "code_a", "code_b"])
    columns = {"name_a": "one_product", "name_b": "other_product", "category": "category",
               "relation": "relation", "n": "orders_with_both", "expected": "expected_orders",
               "lift": "times_expected", "later_lift": "times_expected_later"}  # fmt: skip
    return sure[[*columns]].rename(columns=columns).reset_index(drop=True)


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
    if not found["order_different"]:
        return (
            "**{order_hold} of {order_rules} rule[s] hold[s|] in later orders, too, all between "
            "variants of one article.** The strongest: of the orders with *{order_from:text}*, "
            "{order_confidence:pct} also had *{order_to:text}*, and {order_later:pct} in the "
            "orders after {split_on:date}."
        )
    return (
        "**{order_hold} of {order_rules} rule[s] hold[s|] in later orders, too.** The strongest "
        "between different goods: of the orders with *{order_from:text}*, {order_confidence:pct} "
        "also had *{order_to:text}*, {order_lift:num} times as many as by chance, and "
        "{order_later:pct} in the orders after {split_on:date}."
    )


def sales_note(found: dict) -> str:
    """What sales have to do with the rules between orders."""
    if not found["order_hold"]:
        return "Sales: nothing to bundle. No rule between orders held."
    if not found["bundles"]:
        return (
            "**Sales: put together what holds**, first *{order_from:text}* with "
            "*{order_to:text}*: both in one listing, and the second shown wherever the first is "
            "put into the cart."
        )
    return (
        "**Sales: try one bundle**, *{bundle_from:text}* with *{bundle_to:text}*, in one listing "
        "and in the cart: {bundle_missed} order[s] had what comes first without the other. If "
        "{taken_up:pct0} of them had taken it at its usual amount, that is "
        "{bundle_cautious:money}; if all had, {bundle_at_most:money}, which nobody should expect."
    )


def product_note(found: dict) -> str:
    """What product managers have to do with pairs that are seldom in one order."""
    if not found["categorised"]:
        return "Product: nothing can be told of substitutes, since no product has a category."
    if not found["substitutes"] + found["in_turn"]:
        return (
            "Product: nothing to keep apart. No pair of one category is in one order clearly less "
            "often than it should."
        )
    if not found["substitutes"]:
        return (
            "**Product: offer in turn what is bought in turn**, such as *{rival_one:text}* and "
            "*{rival_other:text}*: seldom in one order, but by the same customers. The second "
            "belongs into the next message rather than into a bundle."
        )
    return (
        "**Product: show substitutes side by side, and bundle neither**, such as "
        "*{rival_one:text}* and *{rival_other:text}*: whoever finds one sold out can be offered "
        "the other."
    )


def crowding_note(found: dict) -> str:
    """What the sizes of orders alone do to two products."""
    if found["crowded"] == 1:
        return "The sizes of orders alone bring no two products together, and keep none apart."
    if found["crowded"] > 1:
        return (
            "Orders differ in size, so any two products meet {crowded:num} times as often as by "
            "chance, in the large ones. Complements have to exceed that, too."
        )
    return (
        "Most orders are small, so any two products meet {crowded:num2} times as often as by "
        "chance. Substitutes have to stay below that, too."
    )


def relations_note(found: dict) -> str:
    """How many pairs are of which relation."""
    if not found["categorised"]:
        return (
            "{complements} pair[s] of products [is|are] complements, in later orders, too. No "
            "product of this source has a category, so which products replace each other cannot "
            "be told here: only goods of one kind can."
        )
    return (
        "{complements} pair[s] of products [is|are] complements, in later orders, too; "
        "{substitutes} of one category [is|are] substitutes, and {in_turn} more [is|are] bought "
        "in turn: seldom in one order, yet by the same customers."
    )


def variants_note(found: dict) -> str:
    """What rules between variants of one article are good for."""
    if not found["order_variants"]:
        return "No rule that holds is between variants of one article."
    return (
        "{order_variants} rule[s] that hold[s|] [is|are] between variants of one article, by "
        "their names. Whoever collects a set knows it already: offer the whole set at one click, "
        "and expect no new demand."
    )


def marketing_note(found: dict) -> str:
    """What marketing have to do with the rules between customers."""
    if not found["customer_hold"]:
        return "Marketing: nothing to offer. No rule between customers held."
    return (
        "**Marketing: offer the second to who bought the first.** Of the customers who bought "
        "*{customer_from:text}*, {customer_confidence:pct} also bought *{customer_to:text}*; "
        "{customer_hold} of {customer_rules} such rule[s] held among customers later, too; the "
        "others are not to be used."
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
    from_, to = (_padded(made, [side]) for side in SIDES)
    confidence, lengths = made["confidence"].to_numpy(), (from_ != NONE).sum(axis=1)
    base = int(max(from_.max(initial=0), to.max(initial=0))) + 1
    keys = _keys(np.hstack([from_, to]), base)
    order = np.argsort(keys)
    best = np.full(len(made), -np.inf)
    for length in range(2, from_.shape[1] + 1):
        rows = np.flatnonzero(lengths == length)
        ways = chain.from_iterable(combinations(range(length), n) for n in range(1, length))
        for way in ways:
            wanted = np.full((len(rows), from_.shape[1]), NONE)
            wanted[:, : len(way)] = from_[rows][:, way]
            at, is_known = _found(keys, order, _keys(np.hstack([wanted, to[rows]]), base))
            told = np.where(is_known, confidence[at], -np.inf)
            best[rows] = np.maximum(best[rows], told)
    return made[confidence > best + improvement].reset_index(drop=True)


def _found(
    keys: np.ndarray, order: np.ndarray, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where wanted keys stand among `keys`, which `order` sorts, and whether they do."""
    place = np.searchsorted(keys, wanted, sorter=order)
    at = order[np.minimum(place, len(keys) - 1)]
    return at, keys[at] == wanted


def _padded(rules: pd.DataFrame, sides: list[str]) -> np.ndarray:
    """The items of some sides of each rule together, −1 behind shorter sets."""
    lengths = [np.fromiter(map(len, rules[side]), np.int64, len(rules)) for side in sides]
    used = np.zeros(len(rules), np.int64)
    made = np.full((len(rules), max(int(sum(lengths).max(initial=1)), 1)), NONE, np.int32)
    for side, length in zip(sides, lengths, strict=True):
        items = np.fromiter(chain.from_iterable(rules[side]), np.int32, int(length.sum()))
        place = np.arange(len(items)) - np.repeat(np.cumsum(length) - length - used, length)
        made[np.repeat(np.arange(len(rules)), length), place] = items
        used += length
    return made


_GROUPED = ["cluster", *SIDES, *COUNTS]


def _beside_all(made: pd.DataFrame, inside: dict[str, Baskets]) -> pd.DataFrame:
    """`made` with the lift in the group and in all, and how likely chance gives as much (Poisson).

    Expected are as many as the lift among all gives for how common both products are in the group.
    """
    from crm import itemsets

    sides = [[*SIDES], SIDES[:1], SIDES[1:]]
    n, a, b = (sum((itemsets.count(pack, _padded(made, side)) for pack in inside.values()),
                   np.zeros(len(made), np.int64)) for side in sides)  # fmt: skip
    whole = sum(map(len, inside.values()))
    all_lift = n * whole / np.maximum(a * b, 1)
    sizes = made["cluster"].map({group: len(pack) for group, pack in inside.items()}).astype(float)
    chance = (made["n_antecedent"] * made["n_consequent"] / sizes).astype(float)
    met = pd.DataFrame({"n": made["n"], "expected": chance * all_lift}).astype(float)
    return made.assign(
        confidence=(made["n"] / made["n_antecedent"]).astype(float),
        all_confidence=n / np.maximum(a, 1), lift=(met["n"] / chance), all_lift=all_lift,
        p_value=_rounded(_by_meetings(met, is_more=True).to_numpy()),
    )  # fmt: skip


@cache
def _words(name: str) -> frozenset[str]:
    """The words of a name that tell an article from others, without the s of a plural."""
    found = re.findall(WORD, str(name).lower().replace("'", ""))
    left = set(found) - set(re.findall(WORD, VARYING.partition("\n")[2]))
    return frozenset(word.removesuffix("s") if len(word) > 3 else word for word in left)


def _between(rules: pd.DataFrame, goods: pd.DataFrame) -> list[str]:
    """`VARIANTS` where each product that a rule leads to is a variant of one it goes from."""
    told = list(zip(goods["product_name"], goods["category"].fillna(""), strict=True))
    known: dict[tuple[int, int], bool] = {}

    def near(one: int, other: int) -> bool:
        if (one, other) not in known:
            (name, category), (names, others) = told[one], told[other]
            known[one, other] = are_variants(name, names, category, others)
        return known[one, other]

    sides = zip(rules["antecedent"], rules["consequent"], strict=True)
    return [VARIANTS if all(any(near(a, b) for a in from_) for b in to) else DIFFERENT
            for from_, to in sides]  # fmt: skip


def _rivals(baskets: Baskets, categories: pd.Series) -> np.ndarray:
    """The pairs of one category that should meet `ENOUGH` times: two item numbers a row."""
    counts = np.bincount(baskets.items, minlength=baskets.kinds)
    crowded = min(crowding(baskets), 1.0)  # 0 if each basket holds one product: nothing can meet
    needed = ENOUGH * max(len(baskets), 1) / crowded if crowded else np.inf
    pairs = [np.empty((0, 2), np.int64)]
    for _, items in categories.dropna().groupby(categories):
        mine = items.index.to_numpy()
        mine = mine[np.argsort(-counts[mine], kind="stable")]
        sold = counts[mine]
        for place in range(len(mine) - 1):
            partners = mine[place + 1 :][sold[place + 1 :] * sold[place] >= max(needed, 1)]
            if not len(partners):
                break  # whoever comes later is sold less, and so are its partners
            both = np.column_stack([np.full(len(partners), mine[place]), partners])
            pairs.append(np.sort(both, axis=1))
    made = np.concatenate(pairs)
    return made[np.lexsort(made.T[::-1])].astype(np.int32)


def _met(baskets: Baskets, pairs: np.ndarray, is_more: bool) -> pd.DataFrame:
    """One pair: a, b, how often they meet (n) and should by the harder measure (expected), lift.

    `is_more` where the claim is that they meet often.
    """
    from crm import itemsets

    counts = np.bincount(baskets.items, minlength=baskets.kinds).astype(float)
    a, b = pairs[:, 0], pairs[:, 1]
    crowded = max(crowding(baskets), 1.0) if is_more else min(crowding(baskets), 1.0)
    expected = crowded * counts[a] * counts[b] / max(len(baskets), 1)
    n = itemsets.count(baskets, np.ascontiguousarray(pairs, np.int32))
    made = pd.DataFrame({"a": a, "b": b, "n": n.astype("int64"), "expected": expected})
    return made.assign(lift=made["n"] / made["expected"].where(made["expected"] > 0))


def _by_meetings(met: pd.DataFrame, is_more: bool) -> pd.Series:
    """How likely chance gives that many meetings or more, or that many or fewer (Poisson)."""
    from scipy.special import pdtr, pdtrc

    n, expected = met["n"].to_numpy(float), met["expected"].to_numpy()
    tail = np.where(n > 0, pdtrc(np.maximum(n - 1, 0), expected), 1.0)
    return pd.Series(tail if is_more else pdtr(n, expected), met.index, float)


def _beyond(lift: pd.Series, limit: float) -> pd.Series:
    """Whether a lift lies on the far side of a limit that is above or below 1."""
    return lift >= limit if limit > 1 else lift <= limit


def _with_names(made: pd.DataFrame, goods: pd.DataFrame) -> pd.DataFrame:
    """Pairs as in `features/product_relations`: codes and names, sorted by code."""
    columns = {}
    for side in ("a", "b"):
        mine = goods.loc[made[side]]
        for name, column in (("code", "product_id"), ("name", "product_name")):
            columns[f"{name}_{side}"] = mine[column].astype("str").to_numpy()
    same = goods.loc[made["a"], "category"].to_numpy(), goods.loc[made["b"], "category"].to_numpy()
    category = [x if x == y else None for x, y in zip(*same, strict=True)]
    table = lookup("features/product_relations")
    made = made.assign(**columns, category=pd.Series(category, made.index, dtype="str"))
    return made[table.names].sort_values([*table.key], ignore_index=True)


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


def _measured(n: np.ndarray, a: np.ndarray, b: np.ndarray, baskets: int) -> dict[str, np.ndarray]:
    """The measures of rules that stand in `n` baskets, with sides that stand in `a` and `b`."""
    some = max(baskets, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = (
            n / some,
            np.where(a > 0, n / a, np.nan),
            np.where(a * b > 0, n * baskets / (a * b), np.nan),
            n / some - a * b / some**2,
            np.where(a > n, a * (baskets - b) / some / (a - n), np.inf),
        )
    return dict(zip(MEASURES, values, strict=True))


def _rest(size: int, way: tuple[int, ...]) -> tuple[int, ...]:
    """The places of a set of `size` + 1 items that are not in `way`."""
    return tuple(place for place in range(size + 1) if place not in way)


def _tuples(side: np.ndarray) -> np.ndarray:
    """One side of each rule as a tuple of item numbers, without the −1 behind it."""
    lengths = (side != NONE).sum(axis=1)
    made = np.empty(len(side), object)
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        columns = (side[rows, k].tolist() for k in range(length))
        made[rows] = np.fromiter(zip(*columns, strict=True), object, len(rows))
    return made


def _rounded(values: np.ndarray) -> np.ndarray:
    """Chances to `DIGITS` digits, each the number that is nearest to what would be printed."""
    places = DIGITS - 1 - np.floor(np.log10(np.where(values > 0, values, 1.0))).astype(np.int64)
    powers = np.array([float(f"1e{place}") for place in range(EXACT + 1)])
    power = powers[np.minimum(places, EXACT)]
    made = np.rint(values * power) / power  # both are exact, so that their quotient is nearest
    for row in np.flatnonzero(places > EXACT).tolist():
        made[row] = float(f"{values[row]:.{DIGITS}g}")
    return made


def _counts(found: Itemsets, rows: np.ndarray) -> np.ndarray:
    """The baskets of itemsets that were found, by looking them up in the sorted rows."""
    sets, counts = found.sets[rows.shape[1] - 1], found.counts[rows.shape[1] - 1]
    base = int(found.sets[0].max(initial=0)) + 1
    return counts[np.searchsorted(_keys(sets, base), _keys(rows, base))]


def _keys(rows: np.ndarray, base: int = 0) -> np.ndarray:
    """One value for each row, in the order of the rows: a number, or bytes where none fits.

    Items lie from −1 to below `base`, of which 0 is the least that does.
    """
    width, base = rows.shape[1], (base or int(rows.max(initial=0)) + 1) + 1
    if base**width >= 1 << 63:
        return np.ascontiguousarray(rows.astype(">i4") + 1).view(f"S{4 * width}").ravel()
    keys = np.zeros(len(rows), np.int64)
    for k in range(width):
        keys = keys * base + (rows[:, k] + 1)
    return keys
