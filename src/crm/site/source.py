"""What the site is made from: the stages, their executed notebooks and their metrics."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from crm.project import Spec, load_specs


class SiteError(ValueError):
    """The site cannot be built, or would show a number that is not true."""


@dataclass(frozen=True)
class Site:
    """Everything the pages show: facts of the run, stages in order, notebooks, metrics."""

    run: dict
    stages: dict[str, Spec]
    notebooks: dict[str, dict]
    metrics: dict[str, dict]

    def number(self, stage: str, key: str, shown) -> None:
        """Raise unless the stage's metrics hold `shown` under `key`: the number ledger."""
        if stage not in self.metrics:
            raise SiteError(
                f"stage {stage!r} shows {key!r} = {shown!r}, but reports/metrics/{stage}.json "
                f"is not there: run `dvc repro {stage}`"
            )
        metrics = self.metrics[stage]
        if key not in metrics or not _same(metrics[key], shown):
            stored = repr(metrics[key]) if key in metrics else "nothing"
            raise SiteError(
                f"stage {stage!r}, key {key!r}: the page would show {shown!r}, but "
                f"reports/metrics/{stage}.json says {stored}: run `dvc repro {stage}`"
            )


def _same(stored, shown) -> bool:
    if type(stored) is bool or type(shown) is bool:  # 1 == True, but reads otherwise
        return stored is shown
    return stored == shown or (stored != stored and shown != shown)


def read(root: Path) -> Site:
    """The site's material; a stage that has a notebook must have run."""
    run = _json(root, "data/staged/run.json")
    stages = load_specs(root, run.get("source", ""))
    shown = [name for name, stage in stages.items() if executed(stage)]
    metrics = sorted((root / "reports/metrics").glob("*.json"))
    return Site(
        run=run,
        stages=stages,
        notebooks={name: _json(root, executed(stages[name]), name) for name in shown},
        metrics={path.stem: json.loads(path.read_text(encoding="utf-8")) for path in metrics},
    )


def executed(stage: Spec) -> str | None:
    """Path of the stage's executed notebook; a stage without one has no page."""
    return next((out for out in stage.outs if out.startswith("reports/notebooks/")), None)


def _json(root: Path, path: str, stage: str = "") -> dict:
    file = root / path
    if not file.exists():
        raise SiteError(f"{path} is not there: run `dvc repro{f' {stage}' if stage else ''}`")
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise SiteError(f"{path} is no JSON ({error}): run `dvc repro --force`") from None
