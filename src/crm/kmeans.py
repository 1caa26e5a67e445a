"""K-means in whole numbers, and what tells how many groups there are.

Each feature is scaled to a mean of 0 and a standard deviation of 1,024, cut off at four of them,
and rounded. Distances and sums are then whole numbers far below 2⁵³, so a result depends on
neither processor, order of sums nor number of threads; centres are rounded, too. Starts are drawn
by k-means++ (Arthur, Vassilvitskii 2007) and run on a sample; the best goes on with all points.

The loops are compiled by Numba, and what it compiled is kept beside the module.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numba
import numpy as np

UNIT = 1024  # of the scale: one standard deviation
CUT = 4  # standard deviations: beyond, one point would draw a centre to itself
STABLE = 0.75  # Jaccard coefficient from which a group comes back (Hennig 2007)
NEAR = 0.05  # of the fall of the BIC: a group that brings less is not worth its name
STARTS_OF_DRAW = 5  # of each sample with replacement
FEWER = 4  # … which is of so many times fewer points: there are many, and all are grouped anew
BLOCK = 1 << 17  # points looked at together
ROUNDS = 300  # of Lloyd's algorithm at most, as in scikit-learn
_compiled = numba.njit(nogil=True, cache=True)


class KMeansError(ValueError):
    """There are fewer different points than groups asked for."""


@dataclass(frozen=True)
class Groups:
    """Groups of points: the number of each point's, the centres, and the sum of squares left."""

    labels: np.ndarray
    centres: np.ndarray
    inertia: int


def scaled(values: np.ndarray) -> np.ndarray:
    """Each column as whole numbers: 0 the mean, 1,024 a standard deviation, none beyond four.

    A column that is the same everywhere becomes 0 and so tells nothing apart.

    Examples
    --------
    >>> scaled(np.array([[0.0, 7.0], [2.0, 7.0]])).tolist()
    [[-1024, 0], [1024, 0]]
    """
    values = np.asarray(values, float)
    spread = values.std(axis=0) if len(values) else np.zeros(values.shape[1])
    is_constant = spread <= 1e-9 * np.abs(values).max(axis=0, initial=0)
    off = values - values.mean(axis=0) if len(values) else values
    far = np.divide(off, spread, out=np.zeros_like(off), where=~is_constant)
    return np.rint(np.clip(far, -CUT, CUT) * UNIT).astype(np.int32)


def fit(
    points: np.ndarray,
    k: int,
    *,
    seed: int,
    starts: int = 10,
    sampled: int = 20_000,
    threads: int = 1,
) -> Groups:
    """`k` groups of points that are near each other, numbered by their centres.

    Parameters
    ----------
    points
        One point a row, as `scaled` makes them.
    k
        Number of groups.
    seed
        Of the sample and the starts.
    starts
        Of which the one with the least sum of squares is kept.
    sampled
        Points that starts are run on, if there are more.
    threads
        The result does not depend on it.

    Raises
    ------
    KMeansError
        Fewer than `k` points are different.

    Examples
    --------
    >>> line = np.array([[0], [1], [10], [11]], np.int32)
    >>> fit(line, 2, seed=1).labels.tolist()
    [0, 0, 1, 1]
    """
    if k > len(points):
        raise KMeansError(f"{k:,} groups of {len(points):,} points")
    if not k:
        return Groups(np.empty(0, np.int32), np.empty((0, points.shape[1]), np.int32), 0)
    rng = np.random.default_rng([seed, k])
    part = sample(points, sampled, rng)
    runs = [_lloyd(part, _start(part, k, rng), 1) for _ in range(starts)]
    best = min(runs, key=lambda run: run.inertia)
    if len(part) < len(points):
        best = _lloyd(points, best.centres, threads)
    return _numbered(best)


@dataclass(frozen=True)
class Scan:
    """What one number of groups is like: a row of the scan.

    `silhouette` is the mean over a sample; `jaccard` that of each group with its like in samples
    drawn with replacement; `bic` that of the groups as normal clouds.
    """

    k: int
    groups: Groups
    inertia: int
    silhouette: float
    jaccard: np.ndarray
    bic: float

    @property
    def is_stable(self) -> bool:
        """Whether every group comes back when the customers are drawn anew."""
        return bool((self.jaccard >= STABLE).all())


def scan(
    points: np.ndarray,
    ks: Sequence[int],
    *,
    seed: int,
    starts: int = 10,
    sampled: int = 20_000,
    draws: int = 20,
    threads: int = 1,
) -> list[Scan]:
    """One number of groups and what speaks for it, for each of `ks` that the points allow.

    Parameters
    ----------
    points, seed, starts, threads
        As of `fit`.
    ks
        Numbers of groups; those above the number of different points are left out.
    sampled
        Points at most that silhouettes are taken of (Rousseeuw 1987) and starts are run on.
    draws
        Samples with replacement, of at most a quarter as many points, for the Jaccard coefficient
        of each group with the group of the sample that is most like it (Hennig 2007).
    """
    most = different(points, max(ks))
    ks = [k for k in ks if k <= most]
    if not ks:
        return []
    found = [fit(points, k, seed=seed, starts=starts, sampled=sampled, threads=threads)
             for k in ks]  # fmt: skip
    widths = silhouettes(points, found, seed=seed, sampled=sampled, threads=threads)
    few = sample(np.arange(len(points)), sampled // FEWER, np.random.default_rng([seed, 0]))

    def back(groups):
        return stability(points[few], groups.labels[few], len(groups.centres), seed=seed,
                         draws=draws)  # fmt: skip

    with ThreadPoolExecutor(threads) as pool:
        same = list(pool.map(back, found))
    rows = zip(ks, found, widths, same, strict=True)
    return [Scan(k, g, g.inertia, width, jaccards, bic(points, g))
            for k, g, width, jaccards in rows]  # fmt: skip


def advised(scans: list[Scan]) -> Scan | None:
    """The scan of the number of groups to take; None where nothing was scanned.

    Of those that are stable, the fewest groups whose BIC has fallen as far as the least, but for
    a twentieth, from that of the first scanned. The silhouette alone says two where six were
    planted, and the BIC alone divides a cloud on and on.
    """
    stable = [one for one in scans if one.is_stable]
    if not stable:
        return None
    least = min(one.bic for one in stable)
    room = NEAR * max(scans[0].bic - least, 0.0)
    return min((one for one in stable if one.bic <= least + room), key=lambda one: one.k)


def different(points: np.ndarray, most: int) -> int:
    """How many different points there are, counted up to `most`.

    Examples
    --------
    >>> different(np.array([[1, 2], [1, 2], [3, 4]]), 9)
    2
    """
    seen: set = set()
    for begin in range(0, len(points), BLOCK):
        seen.update(map(tuple, np.unique(points[begin : begin + BLOCK], axis=0).tolist()))
        if len(seen) >= most:
            return most
    return len(seen)


def bic(points: np.ndarray, found: Groups) -> float:
    """The Bayesian information criterion of groups as normal clouds (Fraley, Raftery 2002).

    Each feature has one variance in all groups; less is better.
    """
    n, d = points.shape
    counts = np.bincount(found.labels, minlength=len(found.centres))
    squares = [sum(_squares(points[begin : begin + BLOCK, j].astype(np.int64),
                            found.centres[found.labels[begin : begin + BLOCK], j])
                   for begin in range(0, n, BLOCK)) for j in range(d)]  # fmt: skip
    spread = sum(math.log(max(square / n, 1.0)) for square in squares)
    mixed = sum(m * math.log(m / n) for m in counts.tolist() if m)
    free = len(found.centres) * (d + 1) - 1 + d
    return n * spread - 2 * mixed + free * math.log(n)


def silhouettes(
    points: np.ndarray, found: list[Groups], *, seed: int, sampled: int = 20_000, threads: int = 1
) -> list[float]:
    """The mean silhouette of each grouping over the same sample of points (Rousseeuw 1987)."""
    rng = np.random.default_rng([seed, 0])
    rows = sample(np.arange(len(points)), sampled, rng)
    part = np.ascontiguousarray(points[rows])
    labels = np.stack([groups.labels[rows] for groups in found])
    ks = np.array([len(groups.centres) for groups in found])
    out = np.empty(labels.shape)
    edges = np.linspace(0, len(rows), threads + 1).astype(np.int64)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda span: _silhouettes(part, labels, ks, *span, out), pairwise(edges)))
    return [math.fsum(row) / max(len(row), 1) for row in out]


def stability(
    points: np.ndarray, labels: np.ndarray, k: int, *, seed: int, draws: int = 20
) -> np.ndarray:
    """How much of each of `k` groups comes back in samples drawn with replacement: 0 none, 1 all.

    The mean Jaccard coefficient with the most similar group of each sample; of 0.75 or more
    a group is called stable, below 0.6 it should not be trusted (Hennig 2007).
    """
    rng = np.random.default_rng([seed, k, draws])
    total = np.zeros(k)
    for draw in range(draws):
        rows = np.unique(rng.integers(len(points), size=len(points)))
        if different(points[rows], k) < k:
            continue  # a group that the sample does not even hold has not come back
        again = fit(points[rows], k, seed=seed + draw, starts=STARTS_OF_DRAW).labels
        total += jaccard(labels[rows], again, k)
    return total / draws


def jaccard(one: np.ndarray, other: np.ndarray, k: int) -> np.ndarray:
    """Of each group in `one`, the Jaccard coefficient with the most similar group in `other`.

    Examples
    --------
    >>> jaccard(np.array([0, 0, 1, 1]), np.array([1, 1, 1, 0]), 2).round(3).tolist()
    [0.667, 0.5]
    """
    both = np.zeros((k, k))
    np.add.at(both, (one, other), 1)
    either = both.sum(1, keepdims=True) + both.sum(0, keepdims=True) - both
    return (both / np.maximum(either, 1)).max(1)


def warm() -> None:
    """Compile what this module needs, so that the first run does not wait for it."""
    line = np.arange(64, dtype=np.int32)[:, None] * UNIT
    scan(line, [2, 3], seed=0, draws=1, sampled=32)


def _squares(values: np.ndarray, centres: np.ndarray) -> int:
    gaps = values - centres
    return int(gaps @ gaps)


def sample(points: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """At most so many of the points, in their order."""
    if len(points) <= most:
        return points
    return points[np.sort(rng.choice(len(points), most, replace=False))]


def _start(points: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Centres drawn one by one, each with the weight of its squared distance to the nearest.

    Of a few drawn at once the one that leaves least is taken, as in scikit-learn.
    """
    centres = np.empty((k, points.shape[1]), np.int32)
    centres[0] = points[rng.integers(len(points))]
    nearest = np.full(len(points), np.iinfo(np.int64).max)
    _nearer(points, centres[0], nearest)
    for c in range(1, k):
        above = np.cumsum(nearest)
        if not above[-1]:
            raise KMeansError(f"only {c:,} different points for {k:,} groups")
        drawn = rng.integers(above[-1], size=2 + int(math.log(k)))
        rows = np.searchsorted(above, drawn, side="right")
        left = [nearest.copy() for _ in rows]
        sums = [_nearer(points, points[row], rest) for row, rest in zip(rows, left, strict=True)]
        best = int(np.argmin(sums))
        centres[c], nearest = points[rows[best]], left[best]
    return centres


def _lloyd(points: np.ndarray, centres: np.ndarray, threads: int) -> Groups:
    """Points to the nearest centre, centres to the middle, until no point moves (Lloyd 1982)."""
    labels = np.full(len(points), -1, np.int32)
    edges = np.linspace(0, len(points), threads + 1).astype(np.int64)
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(ROUNDS):
            part = partial(_assign, points, centres, labels)
            made = list((pool.map if threads > 1 else map)(part, edges[:-1], edges[1:]))
            sums, counts, moved, inertia = (sum(each) for each in zip(*made, strict=True))
            if not moved:
                break
            centres = _middle(sums, counts, centres)
    return Groups(labels, centres, int(inertia))


def _middle(sums: np.ndarray, counts: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The rounded mean of each group; who lost all points stays where it was."""
    whole = np.maximum(counts, 1)[:, None]
    middle = (2 * sums + whole) // (2 * whole)
    return np.where(counts[:, None] > 0, middle, centres).astype(np.int32)


def _numbered(found: Groups) -> Groups:
    """Groups in the order of their centres, so that their numbers do not hang on the start."""
    order = np.lexsort(found.centres.T[::-1])
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    return Groups(place[found.labels], found.centres[order], found.inertia)


@_compiled
def _nearer(points, centre, nearest):
    """Lowers the squared distances to what the new centre gives; their sum."""
    total = 0
    for i in range(len(points)):
        far = 0
        for j in range(points.shape[1]):
            gap = points[i, j] - centre[j]
            far += gap * gap
        if far < nearest[i]:
            nearest[i] = far
        total += nearest[i]
    return total


@_compiled
def _assign(points, centres, labels, first, last):
    """Gives each point its nearest centre; sums and counts by centre, moves, and squares."""
    k, d = centres.shape
    sums = np.zeros((k, d), np.int64)
    counts = np.zeros(k, np.int64)
    moved, inertia = 0, 0
    for i in range(first, last):
        best, nearest = 0, np.int64(1) << 62
        for c in range(k):
            far = 0
            for j in range(d):
                gap = points[i, j] - centres[c, j]
                far += gap * gap
            if far < nearest:
                best, nearest = c, far
        if labels[i] != best:
            labels[i] = best
            moved += 1
        inertia += nearest
        counts[best] += 1
        for j in range(d):
            sums[best, j] += points[i, j]
    return sums, counts, moved, inertia


@_compiled
def _silhouettes(points, labels, ks, first, last, out):
    """The silhouette of each point under each labelling: one pass over the distances for all."""
    ways, n = labels.shape
    sums = np.empty((ways, ks.max()))
    counts = np.zeros((ways, ks.max()), np.int64)
    for w in range(ways):
        for i in range(n):
            counts[w, labels[w, i]] += 1
    for i in range(first, last):
        sums[:] = 0.0
        for o in range(n):
            far = 0
            for j in range(points.shape[1]):
                gap = points[i, j] - points[o, j]
                far += gap * gap
            root = math.sqrt(far)
            for w in range(ways):
                sums[w, labels[w, o]] += root
        for w in range(ways):
            own = labels[w, i]
            out[w, i] = 0.0
            if counts[w, own] > 1:
                inside = sums[w, own] / (counts[w, own] - 1)
                outside = math.inf
                for c in range(ks[w]):
                    if c != own and counts[w, c] > 0:
                        outside = min(outside, sums[w, c] / counts[w, c])
                if max(inside, outside) > 0.0 and outside < math.inf:
                    out[w, i] = (outside - inside) / max(inside, outside)
