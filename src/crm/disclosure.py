"""Statistical disclosure control: tables over customers that give no small group away.

A *cell* is one row of a table in long form: a combination of the values of `by`, its count of
customers and its measures. A cell of 1 to `least` − 1 customers is *small* and hidden, count and
measures (PRV-03, TAG-28, Q-41; minimum frequency rule). A cell of none stays. A *line* is the
cells that add up to a total: the hidden ones of a line are two or more and hold `least` customers
or more together, and no combination of lines gives one of them away; other cells are hidden beside
them until that holds (secondary suppression). A total is taken as known even where its table does
not show it: another page may.

Willenborg & de Waal, *Elements of Statistical Disclosure Control* (2001), chapters 1 and 6;
Hundepool et al., *Statistical Disclosure Control* (2012), chapter 4.

Lists of single customers under their pseudonyms are no aggregates, and none of this is for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

COUNTS = ("customers", "buyers")  # columns that count customers: shown after `suppress` alone
MOST_TRIED = 2000  # sets of cells to hide, before the first good one is taken
TINY = 1e-9  # below it a number of a solution is zero
MARK = "disclosure"  # where a frame says what was hidden in it, in `attrs`
NOTE = (
    "{hidden} cell[s] [is|are] hidden (–): under {least} customers, or needed to keep such from "
    "being worked out."
)


class DisclosureError(ValueError):
    """A table that counts customers would be shown with its small cells."""


def suppress(
    frame: pd.DataFrame,
    *,
    count: str | Sequence[str] = "customers",
    by: Sequence[str],
    hide: Sequence[str] | None = None,
    least: int = 5,
    along: Sequence[str] | None = None,
    total: str = "",
    groups: Sequence[str] = (),
) -> pd.DataFrame:
    """`frame` with its small cells empty, and those that would give them away.

    Parameters
    ----------
    frame
        One cell a row, in any order.
    count
        The column that counts customers; of several, each makes a cell small, and the first is
        what totals are formed of.
    by
        The columns whose values name a cell, each combination once.
    hide
        Columns that are emptied in a hidden cell: all but text, if not given.
    least
        Customers from which a cell is shown; 1 hides nothing.
    along
        Columns of `by` along which cells add up to a total that may be known: all, if not given;
        none for a selection such as the ten best.
    total
        The value that marks a total of a column of `by`, where the frame holds totals itself.
    groups
        Further columns: the cells with one value of such a column add up to a total that is told
        somewhere, those without a value do not. With them the cells to hide beside small ones are
        those of fewest customers together, looked for among `MOST_TRIED` sets.

    Returns
    -------
    pandas.DataFrame
        Hidden cells stand last unless rows are in the order of `by`: their place in a ranking
        would tell their size. `hidden(frame)` is their number.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"city": ["a", "b", "c"], "customers": [40, 3, 9]})
    >>> suppress(frame, by=["city"])["customers"].tolist()
    [40, <NA>, <NA>]
    """
    counts = [count] if isinstance(count, str) else list(count)
    shape = _Shape.of(frame, by, along, total).also(frame, groups)
    gone = _gone(frame[counts], shape, least, sparing=bool(groups))
    measures = _measures(frame, by) if hide is None else hide
    emptied = _emptied(frame, gone, dict.fromkeys([*counts, *measures]))
    return _marked(_unranked(emptied, gone, shape.names), int(gone.sum()), least)


def suppress_part(
    frame: pd.DataFrame,
    *,
    part: str,
    of: str = "customers",
    by: Sequence[str],
    hide: Sequence[str] = (),
    least: int = 5,
    along: Sequence[str] | None = None,
) -> pd.DataFrame:
    """`frame` with `part` and `hide` empty where the part of a cell, or what it leaves, is small.

    `part` is a number of customers among the `of` customers of the cell, or a share of them. Goes
    after `suppress`: a cell that is hidden there is hidden here.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"tier": ["a", "b"], "customers": [40, 60], "agreed": [38, 30]})
    >>> suppress_part(frame, part="agreed", by=["tier"])["agreed"].tolist()
    [<NA>, <NA>]
    """
    import pandas as pd

    whole, some = frame[of].astype("float64"), frame[part].astype("float64")
    some = (some * whole).round() if frame[part].dtype.kind == "f" else some
    some = some.mask(whole == 0, 0)  # a part of nobody is nobody, and hides nothing
    halves = [frame[[*by]].assign(_half=h, _n=n) for h, n in (("a", some), ("b", whole - some))]
    both = pd.concat(halves)
    lines = [*(by if along is None else along), "_half"]
    gone = _gone(both[["_n"]], _Shape.of(both, [*by, "_half"], lines, ""), least)[: len(frame)]
    emptied = _emptied(frame, gone, [part, *hide])
    return _marked(emptied, hidden(frame) + int((gone & whole.notna()).sum()), least)


def again(frame: pd.DataFrame, looked_at: pd.DataFrame) -> pd.DataFrame:
    """`frame` with the mark of a table it was made of, which was looked at in another shape."""
    return _marked(frame, hidden(looked_at), looked_at.attrs[MARK]["least"])


def few(number: float, least: int) -> float | None:
    """A number of customers that stands alone, None if it is small.

    Examples
    --------
    >>> few(12, 5), few(0, 5), few(3, 5)
    (12, 0, None)
    """
    return None if 0 < number < least else number


def share(part: int, whole: int, least: int) -> float | None:
    """A part of some customers as a share, None if the part, or what it leaves, is small.

    Examples
    --------
    >>> share(10, 40, 5), share(0, 40, 5), share(38, 40, 5), share(0, 0, 5)
    (0.25, 0.0, None, 0.0)
    """
    if few(part, least) is None or few(whole - part, least) is None:
        return None
    return part / whole if whole else 0.0


def hidden(frame: pd.DataFrame) -> int:
    """How many cells of the frame are hidden; 0 if none was looked at."""
    return frame.attrs.get(MARK, {}).get("hidden", 0)


def note(frame: pd.DataFrame) -> dict:
    """The message below a table with hidden cells, and its values; nothing if all are shown."""
    values = frame.attrs.get(MARK, {})
    return {"note": {"message": NOTE, "values": values}} if values.get("hidden") else {}


def refuse(frame: pd.DataFrame, least: int = 0) -> None:
    """Raise unless columns that count customers have been through `suppress`, by `least` or more.

    Raises
    ------
    DisclosureError
        The frame counts customers and was never looked at, or with a smaller limit.
    """
    counts = [name for name in COUNTS if name in frame.columns]
    done = frame.attrs.get(MARK, {}).get("least", 0)
    if counts and done < max(least, 1):
        raise DisclosureError(
            f"column {counts[0]!r} counts customers, and small cells would be shown: pass the "
            f'table through disclosure.suppress(…, count="{counts[0]}", by=[…], '
            'least=stage.run["min_cell"]) last, before it is shown or drawn'
        )


def audit(
    frame: pd.DataFrame,
    shown: pd.DataFrame,
    *,
    count: str = "customers",
    by: Sequence[str],
    along: Sequence[str] | None = None,
    total: str = "",
    groups: Sequence[str] = (),
) -> pd.DataFrame:
    """One hidden cell: the least and the most customers that what is shown allows (`low`, `high`).

    Solves two linear programs a cell over the totals of `frame` and the cells left in `shown`,
    as somebody would who knows all totals and that no count is below zero.
    """
    keys = list(by)
    left = shown.set_index(keys)[count].reindex(frame.set_index(keys).index)
    gone = left.isna().to_numpy()
    shape = _Shape.of(frame, by, along, total).also(frame, groups)
    low, high = shape.bounds(frame[count].to_numpy("float64"), gone)
    cells = frame.loc[gone, [*keys, count]].reset_index(drop=True)
    return cells.assign(low=low, high=high)


@dataclass(frozen=True)
class _Line:
    """Cells that add up to a total: a cell of the frame, or one that is taken as known."""

    cells: tuple[int, ...]
    total: int | None


@dataclass(frozen=True)
class _Shape:
    """The lines of a table, and the names of its cells."""

    lines: list[_Line]
    names: list[tuple[str, ...]]

    @classmethod
    def of(cls, frame: pd.DataFrame, by: Sequence[str], along: Sequence[str] | None, total: str):
        names = list(zip(*(frame[name].astype("str") for name in by), strict=True))
        if len(set(names)) < len(names):
            raise DisclosureError(f"a combination of {list(by)} stands twice in the table")
        groups: dict[tuple, list[int]] = {}
        for place in [list(by).index(name) for name in (by if along is None else along)]:
            for cell, name in enumerate(names):
                groups.setdefault((place, name[:place], name[place + 1 :]), []).append(cell)
        lines = []
        for place, *rest in sorted(groups):
            cells = sorted(groups[(place, *rest)], key=names.__getitem__)
            totals = [c for c in cells if total and names[c][place] == total]
            inner = tuple(c for c in cells if c not in totals)
            lines.append(_Line(inner, totals[0] if totals else None))
        return cls(lines, names)

    def also(self, frame: pd.DataFrame, groups: Sequence[str]) -> _Shape:
        """The same with a line for each value of some further columns."""
        lines = list(self.lines)
        for name in groups:
            for value in sorted(frame[name].dropna().unique()):
                cells = (frame[name] == value).to_numpy().nonzero()[0].tolist()
                lines.append(_Line(tuple(sorted(cells, key=self.names.__getitem__)), None))
        return _Shape(lines, self.names)

    def exposed(self, numbers: np.ndarray, gone: np.ndarray, least: int) -> int | None:
        """The cell to hide next, beside one that would be given away; None if all are safe."""
        for lines in self.broken(numbers, gone, least):
            found = self.smallest(lines, numbers, gone)
            if found is not None:
                return found
        return None

    def sparing(self, numbers: np.ndarray, gone: np.ndarray, least: int) -> np.ndarray | None:
        """The cells to hide so that all are safe and fewest customers are hidden; None if no luck.

        Every set that is safe hides another cell of a line that gives one away, so trying these,
        the cheapest set first, misses none.
        """
        start = tuple(sorted((self.names[c], int(c)) for c in gone.nonzero()[0]))
        waiting, seen = [(0.0, start)], {start}
        for _ in range(MOST_TRIED):
            if not waiting:
                return None
            cost, cells = heappop(waiting)
            tried = gone.copy()
            tried[[cell for _, cell in cells]] = True
            choices = (
                self.candidates(lines, tried) for lines in self.broken(numbers, tried, least)
            )
            more = next((found for found in choices if found), None)
            if more is None:
                return tried
            for cell in more:
                longer = tuple(sorted((*cells, (self.names[cell], cell))))
                if longer not in seen:
                    seen.add(longer)
                    heappush(waiting, (cost + numbers[cell] + 1, longer))
        return None

    def broken(self, numbers: np.ndarray, gone: np.ndarray, least: int) -> Iterator[list[_Line]]:
        """The lines that give a hidden cell away: one, or together those of a cell."""
        for line in self.lines:
            inside = [c for c in line.cells if gone[c]]
            is_open = line.total is None or not gone[line.total]
            is_alone = len(inside) + (not is_open) == 1
            are_few = is_open and inside and sum(numbers[c] for c in inside) < least
            if is_alone or are_few:
                yield [line]
        for cell in self.fixed(numbers, gone):
            yield [line for line in self.lines if cell in (*line.cells, line.total)]

    def candidates(self, lines: list[_Line], gone: np.ndarray) -> set[int]:
        """The cells of some lines that are not hidden; totals only if nothing else is."""
        inner = {c for line in lines for c in line.cells if not gone[c]}
        totals = {line.total for line in lines if line.total is not None and not gone[line.total]}
        return inner or totals

    def smallest(self, lines: list[_Line], numbers, gone) -> int | None:
        """The smallest cell of some lines that is not hidden; a total only if nothing else is.

        Cells come first whose other lines have hidden cells already, as less is hidden then, and
        empty ones last, as nobody expects these to hide something.
        """
        untouched = [line for line in self.lines if not gone[[*line.cells]].any()]
        order = {
            c: (numbers[c] == 0, sum(c in line.cells for line in untouched), numbers[c])
            for c in self.candidates(lines, gone)
        }
        return min(order, key=lambda c: (order[c], self.names[c]), default=None)

    def fixed(self, numbers: np.ndarray, gone: np.ndarray) -> np.ndarray:
        """The hidden cells that all lines together give away.

        Where all hidden counts are above zero, these are the cells that no solution of the
        equations moves. A count of zero can only rise, so there bounds are needed, as in more
        than two dimensions, where a solution need not be whole.
        """
        import numpy as np

        cells = np.flatnonzero(gone)
        if not len(cells) or not self.lines:
            return cells[:0]
        _, sizes, basis = np.linalg.svd(self.equations(cells))
        free = np.abs(basis[int((sizes > TINY).sum()) :]).max(axis=0, initial=0)
        if (free < TINY).any() or ((numbers[cells] > 0).all() and len(self.names[0]) < 3):
            return cells[free < TINY]
        low, high = self.bounds(numbers, gone)
        return cells[high - low < 1 - TINY]

    def bounds(self, numbers: np.ndarray, gone: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For each hidden cell the least and the most that the lines allow, nothing below zero."""
        import numpy as np
        from scipy.optimize import linprog

        cells = np.flatnonzero(gone)
        equations = self.equations(cells)
        given = {"A_eq": equations, "b_eq": equations @ numbers[cells]} if self.lines else {}
        ends = np.full((2, len(cells)), np.inf)
        for place, aim in enumerate(np.eye(len(cells))):
            for end, sign in ((0, 1), (1, -1)):
                solved = linprog(sign * aim, bounds=(0, None), **given)
                ends[end, place] = sign * solved.fun if solved.status == 0 else np.inf
        return ends[0], ends[1]

    def equations(self, cells: np.ndarray) -> np.ndarray:
        """One line a row, one hidden cell a column: with which sign it counts in the line."""
        import numpy as np

        place = {cell: column for column, cell in enumerate(cells)}
        made = np.zeros((len(self.lines), len(place)))
        for row, line in enumerate(self.lines):
            made[row, [place[c] for c in line.cells if c in place]] = 1
            if line.total in place:
                made[row, place[line.total]] = -1
        return made


def _gone(counts: pd.DataFrame, shape: _Shape, least: int, *, sparing: bool = False) -> np.ndarray:
    """Which cells are hidden in the end: the small ones, those already empty, and others.

    The next cell to hide is the best for its line, unless `sparing` looks for the best of all.
    """
    numbers = counts.astype("float64")
    small = numbers.isna() | ((numbers > 0) & (numbers < least))
    gone, first = small.any(axis=1).to_numpy(copy=True), numbers.iloc[:, 0].fillna(0).to_numpy()
    best = shape.sparing(first, gone, least) if sparing else None
    gone = gone if best is None else best
    while (more := shape.exposed(first, gone, least)) is not None:
        gone[more] = True
    return gone


def _measures(frame: pd.DataFrame, by: Sequence[str]) -> list[str]:
    is_text = {
        name: str(kind) in ("str", "string", "object") for name, kind in frame.dtypes.items()
    }
    return [name for name in frame if name not in by and not is_text[name]]


def _emptied(frame: pd.DataFrame, gone: np.ndarray, columns: Iterable[str]) -> pd.DataFrame:
    """The frame without the values of hidden cells; whole numbers stay whole numbers."""
    made = {}
    for name in columns if gone.any() else ():
        kind = {"i": "Int64", "b": "boolean"}.get(frame[name].dtype.kind)
        made[name] = (frame[name].astype(kind) if kind else frame[name]).mask(gone)
    return frame.assign(**made)


def _unranked(frame: pd.DataFrame, gone: np.ndarray, names: list) -> pd.DataFrame:
    """Hidden rows last, in the order of their names, unless all rows are in that order."""
    if names == sorted(names):
        return frame
    order = sorted(range(len(names)), key=lambda row: names[row] if gone[row] else ())
    order.sort(key=gone.__getitem__)
    return frame.iloc[order].reset_index(drop=True)


def _marked(frame: pd.DataFrame, number: int, least: int) -> pd.DataFrame:
    marked = frame.copy()
    marked.attrs[MARK] = {"hidden": number, "least": least}
    return marked
