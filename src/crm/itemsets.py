"""Frequent itemsets, exact and fast: which items stand together in many baskets.

Items are numbered from the rarest to the commonest. For each item, in turn the rarest of a set,
the baskets that hold it are read once to count its partners, and once more to count pairs of those
partners that are frequent with it, in a square that is small since rare items have few frequent
partners. No candidate is ever generated, so memory does not grow with the support asked for. Sets
of more than three items are found the same way in the baskets of each item that leads a triple.

The loops are compiled by Numba, and what it compiled is kept beside the module. All of it is
counting in whole numbers, so the result depends on neither processor nor number of threads.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numba
import numpy as np

PARTS = 64  # of the items, for the threads; more parts, evener work
_compiled = numba.njit(nogil=True, cache=True)


class ItemsetError(ValueError):
    """The itemsets that a support asks for would not fit, or the support is none."""


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
        Sets that may be found; more would fill the memory.
    threads
        The result does not depend on it.

    Raises
    ------
    ItemsetError
        More than `most` sets are frequent, with their number and the count that would fit; or
        `least` or `longest` is below 1.

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
    order = kept[np.argsort(counts[kept], kind="stable")]
    rank = np.full(baskets.kinds, -1, np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    sets, found = [kept[:, None].astype(np.int32)], [counts[kept].astype(np.int64)]
    if longest > 1:
        lists = _Lists.of(_packed(baskets.starts, baskets.items, rank), len(order))
        for rows in _deeper(lists, least, longest, most - len(kept), threads):
            named = np.sort(order.astype(np.int32)[rows[:, :-1]], axis=1)
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
    owner = np.repeat(np.arange(len(baskets), dtype=np.int32), np.diff(baskets.starts))
    held = owner[np.argsort(baskets.items, kind="stable")]
    start = np.zeros(baskets.kinds + 1, np.int64)
    start[1:] = np.cumsum(np.bincount(baskets.items, minlength=baskets.kinds))
    return _together(start, held, np.ascontiguousarray(sets, np.int32))


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
    """Baskets one after another, −1 behind each, and where in them each item stands."""

    items: np.ndarray
    start: np.ndarray
    where: np.ndarray

    @classmethod
    def of(cls, items: np.ndarray, kinds: int) -> _Lists:
        return cls(items, *_index(items, kinds))

    @property
    def kinds(self) -> int:
        return len(self.start) - 1


def _deeper(lists: _Lists, least: int, longest: int, room: int, threads: int) -> list[np.ndarray]:
    """The frequent sets of 2, 3 … items, each length an array of item numbers and a count."""
    both = _two_and_three(lists, least, longest, room, threads)
    found = [both[both[:, 2] < 0][:, [0, 1, 3]]]
    if longest > 2:
        found.append(both[both[:, 2] >= 0])
    if longest > 3:
        room -= len(both)
        for item in np.unique(found[1][:, 0]):
            inner = _Lists.of(_behind(lists.items, lists.start, lists.where, item), lists.kinds)
            for size, rows in enumerate(_deeper(inner, least, longest - 1, room, threads)[1:], 2):
                led = np.column_stack([np.full(len(rows), item, rows.dtype), rows])
                found += [led[:0]] * (size + 1 - len(found))
                found[size] = np.concatenate([found[size], led])
                room -= len(led)
    return found


def _two_and_three(lists: _Lists, least: int, longest: int, room: int, threads: int) -> np.ndarray:
    """The frequent sets of 2 and 3 items as rows of three numbers and a count; −1 for none."""
    edges = np.unique(np.linspace(0, lists.kinds, PARTS + 1).astype(np.int64))
    spans = list(pairwise(edges))
    none = np.zeros(1, np.int64)

    def part(span):
        return _mined(*_arrays(lists), least, *span, min(longest, 3), max(room, 0), none)

    with ThreadPoolExecutor(threads) as pool:
        made = list(pool.map(part, spans))
    total = sum(number for _, number in made)
    if total > room:
        raise ItemsetError(_refusal(lists, least, longest, room, total))
    return np.concatenate([rows for rows, _ in made]) if made else np.empty((0, 4), np.int32)


def _refusal(lists: _Lists, least: int, longest: int, room: int, total: int) -> str:
    """What is asked for, and the least count that would fit, counted in a second pass."""
    largest = int(np.diff(lists.start).max(initial=0))
    sizes = np.zeros(largest + 1, np.int64)
    _mined(*_arrays(lists), least, 0, lists.kinds, min(longest, 3), 0, sizes)
    above = np.cumsum(sizes[::-1])[::-1]  # sets with at least so many baskets
    fits = int(np.argmax(above <= room)) if (above <= room).any() else largest + 1
    return (
        f"{total:,} itemsets of two or three stand in at least {least:,} baskets, "
        f"more than the {max(room, 0):,} that there is room for; ask for at least {fits:,}"
    )


def _arrays(lists: _Lists) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return lists.items, lists.start, lists.where


@_compiled
def _packed(starts, items, rank):
    """The baskets with the new numbers of their items, in order, and −1 behind each."""
    out = np.empty(len(items) + len(starts), np.int32)
    end = 0
    for basket in range(len(starts) - 1):
        begin = end
        for p in range(starts[basket], starts[basket + 1]):
            if rank[items[p]] >= 0:
                out[end] = rank[items[p]]
                end += 1
        out[begin:end].sort()
        out[end] = -1
        end += 1
    return out[:end].copy()


@_compiled
def _index(items, kinds):
    """Where each item begins in `where`, which holds its places in `items`."""
    start = np.zeros(kinds + 1, np.int64)
    for item in items:
        if item >= 0:
            start[item + 1] += 1
    for item in range(kinds):
        start[item + 1] += start[item]
    fill = start[:-1].copy()
    where = np.empty(start[kinds], np.int64)
    for place, item in enumerate(items):
        if item >= 0:
            where[fill[item]] = place
            fill[item] += 1
    return start, where


@_compiled
def _behind(items, start, where, item):
    """What stands behind an item in each basket that holds it, −1 behind each."""
    size = 0
    for w in range(start[item], start[item + 1]):
        p = where[w] + 1
        while items[p] >= 0:
            p += 1
        size += p - where[w]
    out = np.empty(size, np.int32)
    end = 0
    for w in range(start[item], start[item + 1]):
        p = where[w] + 1
        while items[p] >= 0:
            out[end] = items[p]
            end += 1
            p += 1
        out[end] = -1
        end += 1
    return out


@_compiled
def _mined(items, start, where, least, first, last, longest, room, sizes):
    """Sets of 2 and 3 whose first item lies in a span: the first `room` of them, and how many.

    `sizes`, if it is longer than one, is filled with the number of sets of each count.
    """
    kinds = len(start) - 1
    count = np.zeros(kinds, np.int32)
    local = np.full(kinds, -1, np.int32)
    names, held = np.empty(kinds, np.int32), np.empty(kinds, np.int32)
    square = np.zeros(1, np.int32)
    rows = np.empty((256, 4), np.int32)
    found = 0
    for item in range(first, last):
        for w in range(start[item], start[item + 1]):
            p = where[w] + 1
            while items[p] >= 0:
                count[items[p]] += 1
                p += 1
        side = 0
        for other in range(item + 1, kinds):
            if count[other] >= least:
                local[other] = side
                names[side] = other
                side += 1
                if found < room:
                    if found == len(rows):
                        rows = _doubled(rows)
                    rows[found, 0], rows[found, 1] = item, other
                    rows[found, 2], rows[found, 3] = -1, count[other]
                if len(sizes) > 1:
                    sizes[count[other]] += 1
                found += 1
            count[other] = 0
        if longest > 2 and side > 1:
            if len(square) < side * side:
                square = np.zeros(side * side, np.int32)
            for w in range(start[item], start[item + 1]):
                p = where[w] + 1
                size = 0
                while items[p] >= 0:
                    place = local[items[p]]
                    if place >= 0:
                        held[size] = place
                        size += 1
                    p += 1
                for x in range(size - 1):
                    row = held[x] * side
                    for y in range(x + 1, size):
                        square[row + held[y]] += 1
            for x in range(side - 1):
                for y in range(x + 1, side):
                    together = square[x * side + y]
                    if together >= least:
                        if found < room:
                            if found == len(rows):
                                rows = _doubled(rows)
                            rows[found, 0], rows[found, 1] = item, names[x]
                            rows[found, 2], rows[found, 3] = names[y], together
                        if len(sizes) > 1:
                            sizes[together] += 1
                        found += 1
                    square[x * side + y] = 0
        for x in range(side):
            local[names[x]] = -1
    return rows[: min(found, room)].copy(), found


@_compiled
def _doubled(rows):
    more = np.empty((2 * len(rows), rows.shape[1]), rows.dtype)
    more[: len(rows)] = rows
    return more


@_compiled
def _together(start, held, sets):
    """How many baskets hold all items of each row: their sorted lists, walked side by side."""
    counts = np.zeros(len(sets), np.int64)
    width = sets.shape[1]
    at = np.zeros(width, np.int64)
    for row in range(len(sets)):
        size = 0
        while size < width and sets[row, size] >= 0:
            at[size] = start[sets[row, size]]
            size += 1
        basket, agree = -1, 0
        k = 0
        while size > 0:
            end = start[sets[row, k] + 1]
            while at[k] < end and held[at[k]] < basket:
                at[k] += 1
            if at[k] == end:
                break
            if held[at[k]] == basket:
                agree += 1
            else:
                basket, agree = held[at[k]], 1
            if agree == size:
                counts[row] += 1
                basket, agree = basket + 1, 0
            k = (k + 1) % size
    return counts


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
