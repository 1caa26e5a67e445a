"""A drawing of the pipeline: which stage needs which, from dvc.yaml."""

from __future__ import annotations

from collections.abc import Callable

from crm.project import Spec

HEIGHT = 34  # of a box
WIDTHS = {True: 116, False: 104}  # of a box in the lying and the standing drawing
GAPS = {True: (40, 14), False: (28, 10)}  # between levels, and between boxes of a level


def draw(stages: dict[str, Spec], label: Callable[[str], str], linked: set[str]) -> dict:
    """Boxes and arrows, lying (`wide`) and standing (`narrow`)."""
    needs = _direct(_needs(stages))
    levels = _levels(needs)
    return {
        "wide": _laid(levels, needs, label, linked, lying=True),
        "narrow": _laid(levels, needs, label, linked, lying=False),
    }


def _needs(stages: dict[str, Spec]) -> dict[str, set[str]]:
    """Stage: the stages whose outputs it reads, each out or metric counted with its folder."""
    made = {
        out: name
        for name, stage in stages.items()
        for out in (*stage.outs, *filter(None, [stage.metrics]))
    }
    return {
        name: {
            maker
            for out, maker in made.items()
            for dep in stage.deps
            if maker != name
            and (
                dep == out
                or out.startswith(dep.rstrip("/") + "/")
                or dep.startswith(out.rstrip("/") + "/")
            )
        }
        for name, stage in stages.items()
    }


def _direct(needs: dict[str, set[str]]) -> dict[str, set[str]]:
    """Without the arrows that a longer way already tells."""
    reach: dict[str, set[str]] = {}

    def behind(name: str) -> set[str]:
        if name not in reach:
            reach[name] = set()  # a cycle, which DVC refuses, ends here
            reach[name] = needs[name].union(*(behind(n) for n in sorted(needs[name])))
        return reach[name]

    return {
        name: {n for n in before if not any(n in behind(o) for o in before if o != n)}
        for name, before in needs.items()
    }


def _levels(needs: dict[str, set[str]]) -> list[list[str]]:
    """Stages by the longest way to them, each level in the order of dvc.yaml."""
    depth: dict[str, int] = {}
    for _ in needs:
        depth = {
            n: max((depth.get(b, 0) + 1 for b in before), default=0) for n, before in needs.items()
        }
    return [
        [n for n in needs if depth[n] == d] for d in range(max(depth.values(), default=-1) + 1)
    ]


def _laid(levels, needs, label, linked, *, lying: bool) -> dict:
    at = _places(levels, lying)
    boxes = [
        {"name": name, "label": label(name), "linked": name in linked, "x": x, "y": y}
        for name, (x, y) in at.items()
    ]
    draw_arrow = _lying_arrow if lying else _standing_arrow
    return {
        "boxes": boxes,
        "w": WIDTHS[lying],
        "h": HEIGHT,
        "arrows": [draw_arrow(at[n], at[name]) for name in needs for n in sorted(needs[name])],
        "width": max((box["x"] for box in boxes), default=0) + WIDTHS[lying] + 2,
        "height": max((box["y"] for box in boxes), default=0) + HEIGHT + 2,
    }


def _places(levels: list[list[str]], lying: bool) -> dict[str, tuple[int, int]]:
    """Upper left corner of each box; levels follow each other, their boxes are centred."""
    width, (gap_along, gap_across) = WIDTHS[lying], GAPS[lying]
    along, across = (width, HEIGHT) if lying else (HEIGHT, width)
    widest = max(map(len, levels), default=1)
    at = {}
    for depth, level in enumerate(levels):
        start = (widest - len(level)) / 2
        for place, name in enumerate(level):
            far, wide = depth * (along + gap_along), round((start + place) * (across + gap_across))
            at[name] = (far, wide) if lying else (wide, far)
    return at


def _lying_arrow(start: tuple, end: tuple) -> dict:
    """A line that bends in the gap before the next box, and the arrow's point."""
    x, y = start[0] + WIDTHS[True], start[1] + HEIGHT / 2
    to_x, to_y = end[0] - 8, end[1] + HEIGHT / 2
    bend = end[0] - GAPS[True][0]
    middle = (bend + to_x) / 2
    line = f"M{x:.0f},{y:.0f}H{bend:.0f}C{middle:.0f},{y:.0f} {middle:.0f},{to_y:.0f} "
    return {
        "line": f"{line}{to_x:.0f},{to_y:.0f}",
        "point": f"M{to_x:.0f},{to_y - 4:.0f}l7,4l-7,4z",
    }


def _standing_arrow(start: tuple, end: tuple) -> dict:
    """The same, downward."""
    x, y = start[0] + WIDTHS[False] / 2, start[1] + HEIGHT
    to_x, to_y = end[0] + WIDTHS[False] / 2, end[1] - 8
    bend = end[1] - GAPS[False][0]
    middle = (bend + to_y) / 2
    line = f"M{x:.0f},{y:.0f}V{bend:.0f}C{x:.0f},{middle:.0f} {to_x:.0f},{middle:.0f} "
    return {
        "line": f"{line}{to_x:.0f},{to_y:.0f}",
        "point": f"M{to_x - 4:.0f},{to_y:.0f}l4,7l4,-7z",
    }
