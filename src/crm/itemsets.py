"""Frequent itemsets, exact and fast: which items stand together in many baskets.

Items are numbered from the rarest to the commonest, and each basket is put in that order. One pass
over the baskets counts all pairs in a table. A second one counts, for each frequent pair, only the
items behind it that are frequent with its first: triples that may be frequent. Both read baskets
one after another, which a processor does many times faster than jumping between lists of baskets.
Where the counts would not fit, they are made in several passes, so memory is bounded at any
support. Sets of more than three items are found the same way in the baskets of each item that
leads a triple.

The loops are compiled by Numba, and what it compiled is kept beside the module. All of it is
counting in whole numbers, so the result depends on neither processor nor number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numba
import numpy as np

CELLS = 1 << 24  # counts that are made in one pass over the baskets: 64 MiB
BLOCK = 1 << 13  # baskets that are put in order together, in the cache of a processor
BITS = 1 << 15  # baskets whose bits are compared together, for the same reason
WORTH = 100_000  # items in baskets from which a further thread pays
_compiled = numba.njit(nogil=True, cache=True)


class ItemsetError(ValueError):
    """The itemsets that a support asks for would not fit, or the support is none.

    `fits` is the number of baskets from which they would, 0 if that is not what is wrong.
    """

    def __init__(self, told: str, fits: int = 0) -> None:
        super().__init__(told)
        self.fits = fits


@dataclass(frozen=True)
class Baskets:
    """Baskets of items: `items[starts[b]:starts[b + 1]]` are the item numbers of basket `b`.

    An item stands once in a basket; numbers run from 0 to `kinds` − 1.
    """

    starts: np.ndarray
    items: np.ndarray
    kinds: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    @classmethod
    def of(cls, basket: np.ndarray, item: np.ndarray, *, baskets: int, kinds: int) -> Baskets:
        """Of rows sorted by basket, none twice; `baskets` counts those without an item, too."""
        starts = np.searchsorted(basket, np.arange(baskets + 1))
        return cls(starts.astype(np.int64), np.ascontiguousarray(item, np.int32), kinds)


@dataclass(frozen=True)
class Itemsets:
    """Itemsets by length: `sets[k]` has a row of k + 1 item numbers for each, `counts[k]` baskets.

    Numbers ascend in a row, and rows are sorted.
    """

    baskets: int
    sets: tuple[np.ndarray, ...]
    counts: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return sum(map(len, self.counts))


def mine(
    baskets: Baskets, *, least: int, longest: int = 3, most: int = 2_000_000, threads: int = 1
) -> Itemsets:
    """All itemsets of up to `longest` items that stand in at least `least` baskets.

    Parameters
    ----------
    baskets
        Where to look.
    least
        Number of baskets from which a set is frequent; at least 1.
    longest
        Items in a set at most.
    most
        Sets of two items and more that may be found; others would fill the memory.
    threads
        The result does not depend on it.

    Raises
    ------
    ItemsetError
        More than `most` sets are frequent, with their number and a count that would fit (the
        least one, with three items at most); or `least` or `longest` is below 1.

    Examples
    --------
    >>> basket, item = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 1])
    >>> found = mine(Baskets.of(basket, item, baskets=3, kinds=2), least=2)
    >>> [rows.tolist() for rows in found.sets], [counts.tolist() for counts in found.counts]
    ([[[0], [1]], [[0, 1]], []], [[2, 3], [2], []])
    """
    if least < 1 or longest < 1:
        raise ItemsetError(f"least is {least}, longest {longest}; both must be at least 1")
    counts = np.bincount(baskets.items, minlength=baskets.kinds)
    kept = np.flatnonzero(counts >= least)
    order = kept[np.argsort(counts[kept], kind="stable")].astype(np.int32)
    sets, found = [kept[:, None].astype(np.int32)], [counts[kept].astype(np.int64)]
    if longest > 1:
        lists = _Lists.of(baskets.starts, baskets.items, order, baskets.kinds, threads)
        for rows in _fitting(lists, least, longest, most, threads):
            named = np.sort(order[rows[:, :-1]], axis=1)
            place = np.lexsort(named.T[::-1])
            sets.append(named[place])
            found.append(rows[place, -1].astype(np.int64))
    return Itemsets(len(baskets), tuple(sets), tuple(found))


def count(baskets: Baskets, sets: np.ndarray) -> np.ndarray:
    """In how many baskets each of some itemsets stands: one number for each row of `sets`.

    A row may end in −1, for sets that are shorter.

    Examples
    --------
    >>> two = Baskets.of(np.array([0, 0, 1]), np.array([0, 1, 1]), baskets=2, kinds=2)
    >>> count(two, np.array([[0, 1], [1, -1]])).tolist()
    [1, 2]
    """
    sets = np.ascontiguousarray(sets, np.int32)
    used, place = np.unique(sets[sets >= 0], return_inverse=True)
    column = np.full(baskets.kinds, -1, np.int32)
    column[used] = np.arange(len(used), dtype=np.int32)
    columns = np.full(sets.shape, -1, np.int32)
    columns[sets >= 0] = place
    return _together(baskets.starts, baskets.items, column, len(used), columns)


def tails(n: np.ndarray, a: np.ndarray, b: np.ndarray, baskets: int) -> np.ndarray:
    """The chance that two items that know nothing of each other meet in `n` baskets or more.

    The upper tail of the hypergeometric distribution, Fisher's exact test with one side (Fisher
    1935): of `baskets`, `a` hold the one and `b` the other.

    Examples
    --------
    >>> tails(np.array([6]), np.array([10]), np.array([9]), 20).round(4).tolist()
    [0.1849]
    """
    whole = np.asarray(n, np.int64), np.asarray(a, np.int64), np.asarray(b, np.int64)
    return _tails(*whole, baskets)


def warm() -> None:
    """Compile what this module needs, so that the first run does not wait for it."""
    few = Baskets.of(np.repeat(np.arange(3), 4), np.tile(np.arange(4), 3), baskets=3, kinds=4)
    found = mine(few, least=1, longest=4)
    n = count(few, found.sets[2])
    tails(n, n, n, len(few))


@dataclass(frozen=True)
class _Lists:
    """Baskets with new numbers, in their order: `items[starts[b]:ends[b]]` are those of `b`.

    Numbers run from 0 to `kinds` − 1. The last of `starts` is where nothing begins.
    """

    starts: np.ndarray
    ends: np.ndarray
    items: np.ndarray
    kinds: int

    @classmethod
    def of(
        cls, starts: np.ndarray, items: np.ndarray, order: np.ndarray, kinds: int, threads: int
    ) -> _Lists:
        """Baskets of `kinds` items, without those that are not in `order`, which numbers them."""
        rank = np.full(kinds, -1, np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        made = cls(starts, starts[:-1].copy(), np.empty(len(items), np.int32), len(order))
        part = partial(_ordered, starts, items, rank, len(order), made.ends, made.items)
        _shared(part, starts, threads)
        return made

    def counted(self, kernel: Callable, cells: int, threads: int, *given) -> np.ndarray:
        """What a compiled loop counts in one pass; each thread counts for itself."""

        def part(begin: int, stop: int) -> np.ndarray:
            counts = np.zeros(cells, np.int32)
            kernel(self.starts, self.ends, self.items, *given, counts, begin, stop)
            return counts

        together = max(1, min(threads, 2 * CELLS // max(cells, 1)))
        counts, *others = _shared(part, self.starts, together)
        for other in others:
            counts += other
        return counts


@dataclass
class _Found:
    """Sets of two and of three items as long as there is room, and how many of each count."""

    room: int
    sizes: np.ndarray
    totals: list[int] = field(default_factory=lambda: [0, 0])
    sets: tuple[list[np.ndarray], ...] = field(default_factory=lambda: ([], []))

    def add(self, *columns: np.ndarray) -> None:
        """Sets, a column for each of their items and one for their counts."""
        size = len(columns) - 3
        self.totals[size] += len(columns[-1])
        if sum(self.totals) <= self.room:
            self.sets[size].append(np.column_stack(columns))
        if len(columns[-1]):
            more = np.bincount(columns[-1])
            self.sizes[: len(more)] += more

    def rows(self, items: int) -> np.ndarray:
        """All sets of so many items, one a row."""
        return np.concatenate([np.empty((0, items + 1), np.int32), *self.sets[items - 2]])

    def check(self, least: int) -> None:
        """Refuse more sets than there is room for, with the least count at which they fit."""
        total, what = sum(self.totals), "two or three"
        if self.totals[0] > self.room:
            total, what = self.totals[0], "two alone"
        if total <= self.room:
            return
        above = np.cumsum(self.sizes[::-1])[::-1]  # sets with at least so many baskets
        raise ItemsetError(
            f"{total:,} itemsets of {what} stand in at least {least:,} baskets, "
            f"more than the {self.room:,} that there is room for",
            int(np.argmax(above <= self.room)),
        )


def _shared(work: Callable, starts: np.ndarray, threads: int) -> list:
    """What `work` returns for each part of the baskets, of which each thread has one."""
    parts = max(1, min(threads, int(starts[-1]) // WORTH))
    edges = np.searchsorted(starts, np.linspace(0, starts[-1], parts + 1)[1:-1])
    edges = [0, *edges.tolist(), len(starts) - 1]
    if parts == 1:
        return [work(*edges)]
    with ThreadPoolExecutor(parts) as pool:
        return list(pool.map(work, edges[:-1], edges[1:]))


def _fitting(lists: _Lists, least: int, longest: int, room: int, threads: int) -> list[np.ndarray]:
    """What `_deeper` finds; if that is too much, it is tried from which count on it fits."""
    try:
        return _deeper(lists, least, longest, room, threads)
    except ItemsetError as error:
        told, fits = str(error), error.fits
    try:
        _fitting(lists, fits, longest, room, threads)
    except ItemsetError as error:
        fits = error.fits
    raise ItemsetError(f"{told}; ask for at least {fits:,}", fits)


def _deeper(lists: _Lists, least: int, longest: int, room: int, threads: int) -> list[np.ndarray]:
    """The frequent sets of 2, 3 … items, each length an array of item numbers and a count."""
    found = _two_and_three(lists, least, longest, room, threads)
    if longest < 4:
        return found
    room -= sum(map(len, found))
    start, held = _holders(lists.starts, lists.ends, lists.items, lists.kinds)
    for item in np.unique(found[1][:, 0]):
        partners = found[0][found[0][:, 0] == item, 1]
        behind = _behind(lists.starts, lists.ends, lists.items, start, held, item)
        inner = _Lists.of(*behind, partners, lists.kinds, threads)
        for size, rows in enumerate(_deeper(inner, least, longest - 1, room, threads)[1:], 2):
            led = np.column_stack([np.full(len(rows), item), partners[rows[:, :-1]], rows[:, -1]])
            found += [led[:0]] * (size + 1 - len(found))
            found[size] = np.concatenate([found[size], led])
            room -= len(led)
    return found


def _two_and_three(
    lists: _Lists, least: int, longest: int, room: int, threads: int
) -> list[np.ndarray]:
    """The frequent sets of two items, and those of three unless `longest` is less."""
    found = _Found(max(room, 0), np.zeros(len(lists.starts) + 1, np.int64))
    for first, last in _spans(np.arange(lists.kinds + 1) * lists.kinds):
        cells = (last - first) * lists.kinds
        table = lists.counted(_count_pairs, cells, threads, lists.kinds, first, last)
        frequent = np.flatnonzero(table >= least)
        one, other = (side.astype(np.int32) for side in np.divmod(frequent, lists.kinds))
        found.add(one + np.int32(first), other, table[frequent])
        if longest > 2 and found.totals[0] <= found.room:  # of more, triples may be billions
            table[:] = -1
            table[frequent] = np.arange(len(frequent), dtype=np.int32)
            _add_threes(found, lists, least, threads, (first, last), table, one, other)
    found.check(least)
    return [found.rows(items) for items in range(2, min(longest, 3) + 1)]


def _add_threes(found, lists, least, threads, span, table, one, other) -> None:
    """The frequent sets of three whose first item lies in a span, of its frequent pairs.

    Pairs are numbered in their order, and `table` holds the number of each, −1 if it is not
    frequent. A pair has a count for each pair behind it with the same first item.
    """
    first, last = span
    begins = np.searchsorted(one, np.arange(last - first + 1))
    widths = begins[one + 1] - np.arange(len(one)) - 1
    offset = np.concatenate([[0], np.cumsum(widths)])
    low = np.full(last - first, lists.kinds, np.int32)  # the first partner, if there are two
    several = np.flatnonzero(np.diff(begins) > 1)
    low[several] = other[begins[several]]
    for begin, stop in _spans(offset):
        cells = int(offset[stop] - offset[begin])
        if not cells:
            continue
        shift = offset[begin:stop] - offset[begin] - np.arange(begin, stop) - 1
        given = (lists.kinds, first, last, table, low, shift, begin)
        counts = lists.counted(_count_threes, cells, threads, *given)
        frequent = np.flatnonzero(counts >= least)
        pair = np.searchsorted(offset[begin : stop + 1] - offset[begin], frequent, "right") - 1
        next_ = frequent - shift[pair]
        pair += begin
        found.add(one[pair] + np.int32(first), other[pair], other[next_], counts[frequent])


def _spans(offset: np.ndarray) -> Iterator[tuple[int, int]]:
    """Spans of what begins at each offset, of at most `CELLS` each, or of a single one."""
    begin = 0
    while begin < len(offset) - 1:
        stop = int(np.searchsorted(offset, offset[begin] + CELLS, "right")) - 1
        yield begin, max(stop, begin + 1)
        begin = max(stop, begin + 1)


@_compiled
def _ordered(starts, items, rank, kinds, ends, out, begin, stop):
    """The new numbers of items, in order, of a part of the baskets: counting sort by blocks.

    `fill` tells where each number begins in `held`, its baskets, and at last where it ends.
    """
    fill = np.zeros(kinds + 1, np.int64)
    held = np.empty(0, np.int64)
    for first in range(begin, stop, BLOCK):
        last = min(first + BLOCK, stop)
        size = starts[last] - starts[first]
        if len(held) < size:
            held = np.empty(size, np.int64)
        fill[:] = 0
        for p in range(starts[first], starts[last]):
            if rank[items[p]] >= 0:
                fill[rank[items[p]] + 1] += 1
        for item in range(kinds):
            fill[item + 1] += fill[item]
        for basket in range(first, last):
            for p in range(starts[basket], starts[basket + 1]):
                item = rank[items[p]]
                if item >= 0:
                    held[fill[item]] = basket
                    fill[item] += 1
        w = 0
        for item in range(kinds):
            while w < fill[item]:
                out[ends[held[w]]] = item
                ends[held[w]] += 1
                w += 1


@_compiled
def _count_pairs(starts, ends, items, kinds, first, last, counts, begin, stop):
    """Baskets of a part that hold each pair whose first item lies in a span."""
    for basket in range(begin, stop):
        p, end = starts[basket], ends[basket]
        while p < end and items[p] < first:
            p += 1
        while p < end and items[p] < last:
            row = (items[p] - first) * kinds
            for q in range(p + 1, end):
                counts[row + items[q]] += 1
            p += 1


@_compiled
def _count_threes(
    starts, ends, items, kinds, first, last, table, low, shift, pairs, counts, begin, stop
):
    """Baskets of a part that hold each triple: of pairs with one first item, two at a time."""
    held = np.empty(kinds + 1, np.int32)
    for basket in range(begin, stop):
        p, end = starts[basket], ends[basket]
        while p < end and items[p] < first:
            p += 1
        while p < end and items[p] < last:
            row, lowest = (items[p] - first) * kinds, low[items[p] - first]
            q, size = end - 1, 0
            while items[q] >= lowest:
                held[size] = table[row + items[q]]
                size += held[size] >= 0  # without a branch, which no processor could foresee
                q -= 1
            for x in range(1, size):
                pair = held[x] - pairs
                if 0 <= pair < len(shift):
                    for y in range(x):
                        counts[shift[pair] + held[y]] += 1
            p += 1


@_compiled
def _holders(starts, ends, items, kinds):
    """Where each item begins in `held`, which holds the baskets with it, in order."""
    start = np.zeros(kinds + 1, np.int64)
    for basket in range(len(ends)):
        for p in range(starts[basket], ends[basket]):
            start[items[p] + 1] += 1
    for item in range(kinds):
        start[item + 1] += start[item]
    fill = start[:-1].copy()
    held = np.empty(start[kinds], np.int32)
    for basket in range(len(ends)):
        for p in range(starts[basket], ends[basket]):
            held[fill[items[p]]] = basket
            fill[items[p]] += 1
    return start, held


@_compiled
def _behind(starts, ends, items, start, held, item):
    """What stands behind an item in each basket that holds it: where each begins, and items."""
    owners = held[start[item] : start[item + 1]]
    begins = np.zeros(len(owners) + 1, np.int64)
    for number, basket in enumerate(owners):
        p = starts[basket]
        while items[p] != item:
            p += 1
        begins[number + 1] = begins[number] + ends[basket] - p - 1
    out = np.empty(begins[-1], np.int32)
    for number, basket in enumerate(owners):
        size = begins[number + 1] - begins[number]
        out[begins[number] : begins[number + 1]] = items[ends[basket] - size : ends[basket]]
    return begins, out


@_compiled
def _together(starts, items, column, used, sets):
    """How many baskets hold all items of each row: a column of bits an item, 64 baskets a word."""
    counts = np.zeros(len(sets), np.int64)
    bits = np.empty((used, BITS // 64), np.uint64)
    for first in range(0, len(starts) - 1, BITS):
        last = min(first + BITS, len(starts) - 1)
        bits[:] = 0
        for basket in range(first, last):
            word, bit = (basket - first) >> 6, np.uint64(1) << np.uint64((basket - first) & 63)
            for p in range(starts[basket], starts[basket + 1]):
                if column[items[p]] >= 0:
                    bits[column[items[p]], word] |= bit
        words = (last - first + 63) >> 6
        both = np.empty(words, np.uint64)
        for row in range(len(sets)):
            if sets[row, 0] < 0:
                continue
            both[:] = bits[sets[row, 0], :words]
            for k in range(1, sets.shape[1]):
                if sets[row, k] >= 0:
                    both &= bits[sets[row, k], :words]
            for word in range(words):
                counts[row] += _ones(both[word])
    return counts


@_compiled
def _ones(word):
    """The number of ones in a word, in the steps that compilers know as one instruction."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    fours = np.uint64(0x3333333333333333)
    word = (word & fours) + ((word >> np.uint64(2)) & fours)
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@_compiled
def _tails(n, a, b, whole):
    """Terms of the tail that begins nearer to an end, from its largest on until they vanish."""
    out = np.ones(len(n))
    for row in range(len(n)):
        k, draws, good = n[row], a[row], b[row]
        least = max(0, draws + good - whole)
        if k <= least:
            continue
        above = k * whole > draws * good  # else the terms below k are the fewer
        at = k if above else k - 1
        term = math.exp(_ways(good, at) + _ways(whole - good, draws - at) - _ways(whole, draws))
        total = 0.0
        while term > total * 1e-17 and term > 0.0:
            total += term
            if above:
                term *= (good - at) * (draws - at) / ((at + 1.0) * (whole - good - draws + at + 1))
                at += 1
            else:
                term *= at * (whole - good - draws + at) / ((good - at + 1.0) * (draws - at + 1))
                at -= 1
        out[row] = min(1.0, total) if above else max(0.0, 1.0 - total)
    return out


@_compiled
def _ways(size, some):
    """The logarithm of the number of ways to take some of a size."""
    return math.lgamma(size + 1.0) - math.lgamma(some + 1.0) - math.lgamma(size - some + 1.0)
