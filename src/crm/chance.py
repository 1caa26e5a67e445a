"""What may be chance: q-values of many tests, and the interval around a share."""

from __future__ import annotations

import numpy as np
import pandas as pd

WIDE = 1.96  # standard errors of an interval that holds the truth in 95 of 100 cases
DIGITS = 6  # of a p-value: sums of logarithms differ in the last ones between processors


def discoveries(p_values: pd.Series, *, tests: int = 0) -> pd.Series:
    """The q-value of each p-value: the least rate of false discoveries at which it is one.

    Parameters
    ----------
    tests
        How many tests there were, if more than those given: the others found nothing at all.

    Examples
    --------
    The step-up procedure of Benjamini and Hochberg (1995):

    >>> discoveries(pd.Series([0.01, 0.04, 0.03, 0.2])).round(4).tolist()
    [0.04, 0.0533, 0.0533, 0.2]
    >>> discoveries(pd.Series([0.01]), tests=3).tolist()
    [0.03]
    """
    order = np.argsort(p_values.to_numpy(), kind="stable")[::-1]
    ranks = np.arange(len(p_values), 0, -1)
    values = p_values.to_numpy()[order] * max(tests, len(p_values)) / np.maximum(ranks, 1)
    least = np.empty(len(p_values))
    least[order] = np.minimum.accumulate(values) if len(values) else values
    return pd.Series(np.minimum(least, 1.0), p_values.index)


def told(p_values: pd.Series) -> pd.Series:
    """P- or q-values with the digits that every processor agrees on.

    Examples
    --------
    >>> told(pd.Series([0.12345678])).tolist()
    [0.123457]
    """
    return pd.Series([float(f"{value:.{DIGITS}g}") for value in p_values], p_values.index, float)


def interval(part: np.ndarray, whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the interval around each share `part` ÷ `whole` (Wilson 1927).

    Examples
    --------
    >>> [float(end.round(3)[0]) for end in interval(np.array([13]), np.array([20]))]
    [0.433, 0.819]
    """
    n = np.maximum(np.asarray(whole, float), 1)
    share, square = np.asarray(part, float) / n, WIDE**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = WIDE * np.sqrt(share * (1 - share) / n + square / (4 * n**2)) / (1 + square / n)
    return np.maximum(middle - half, 0), np.minimum(middle + half, 1)
