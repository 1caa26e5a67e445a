"""What a stage costs before it computes anything, and what a run costs that has nothing to do.

    python benchmarks/overhead.py

A stage whose analysis is empty is run by `crm run`, the same notebook by plain `papermill`, in
turn. Exit code 1 if the stage takes more than 1.5 times the CPU, or the idle run 4 s or more.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
RUNS = 5
MOST_TIMES, MOST_SECONDS = 1.5, 4.0
STAGES = """
stages:
  empty:
    desc: Nothing is analysed
    cmd: crm run empty
    deps: [notebooks/empty.ipynb, data/staged/run.json]
    outs: [reports/notebooks/empty.ipynb]
    metrics: [reports/metrics/empty.json]
  site:
    cmd: crm run site
    deps: [reports/notebooks, reports/metrics]
    outs: [reports/index.html, reports/pages]
"""
SETUP = 'from crm.stage import Stage\n\nstage = Stage("empty", params)'
CELLS = [("parameters", "params = {}"), ("plumbing", SETUP), (None, "one = 1"),
         (None, "two = one + 1"), (None, "stage.metrics(two=two)")]  # fmt: skip
RUN = {
    "source": "demo", "as_of": "2023-12-31", "seed": 1, "currency": "GBP",
    "time_zone": "Europe/London",
}  # fmt: skip
PROBE = """
import resource, sys
from crm import run

def seconds():
    used = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)

import papermill
from nbclient import exceptions
marks = [seconds()]
execute = run._execute
def timed(*arguments):
    marks.append(seconds())
    done = execute(*arguments)
    marks.append(seconds())
    return done
run._execute = timed
assert run.main(["run", "empty"]) == 0
marks.append(seconds())
print(*marks, file=sys.stderr)
"""


def project(folder: Path) -> None:
    """A project of one stage in which nothing is analysed."""
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    more = {"language": "en", "threads": 0, "min_cell": 5, "memory": "1GB"}
    params = "run: " + json.dumps(RUN | more)
    texts = {
        "dvc.yaml": STAGES,
        "params.yaml": params,
        "data/staged/run.json": json.dumps(RUN | {"title": "Nothing"}),
        "notebooks/empty.ipynb": json.dumps(_notebook()),
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def cpu(folder: Path, *command: str) -> float:
    """User and system seconds of a command and all that it starts."""
    before = os.times()
    _call(folder, *command)
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


def parts(folder: Path) -> dict[str, float]:
    """What the CPU of one stage consists of."""
    text = _call(folder, "python", "-c", PROBE).stderr.splitlines()[-1]
    imported, begun, ended, done = map(float, text.split())
    return {
        "interpreter and imports": imported,
        "kernel, its imports, and the cells": ended - begun,
        "checking parameters, settling and recording": begun - imported + done - ended,
    }


def idle() -> float:
    """Wall seconds of `make run` when everything is up to date, in a copy of the project."""
    with tempfile.TemporaryDirectory(prefix="crm-idle-") as place:
        copy = Path(place) / "project"
        _call(ROOT, "git", "clone", "--quiet", str(ROOT), str(copy))
        for name in ("src", "notebooks", "params.yaml", "dvc.yaml"):  # also what is not committed
            source, target = ROOT / name, copy / name
            (shutil.rmtree if target.is_dir() else Path.unlink)(target)
            (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
        _call(copy, "make", "setup")  # its own: sharing ours would turn our install to the copy
        _call(copy, str(copy / ".venv/bin/crm"), "use", "demo")
        _call(copy, "make", "run")
        walls = []
        for _ in range(3):
            started = time.perf_counter()
            _call(copy, "make", "run")
            walls.append(time.perf_counter() - started)
    return min(walls)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="crm-overhead-") as place:
        folder = Path(place)
        project(folder)
        plain = ("papermill", "empty.ipynb", str(folder / "plain.ipynb"), "--no-progress-bar")
        cpu(folder, "crm", "run", "empty")  # compiles the copied modules
        pairs = [
            (cpu(folder, "crm", "run", "empty"), cpu(folder / "notebooks", *plain))
            for _ in range(RUNS)
        ]
        ours, peer = (min(column) for column in zip(*pairs, strict=True))
        found = [parts(folder) for _ in range(3)]
        pipeline = {
            "rendering the site (once a pipeline, one page)": cpu(folder, "crm", "run", "site"),
            f"tracking in MLflow (once a pipeline, {len(found) + RUNS + 1} runs)": cpu(
                folder, "crm", "track"
            ),
        }
    consists = {name: min(one[name] for one in found) for name in found[0]}
    return _report(ours, peer, consists, pipeline, idle())


def _report(ours: float, peer: float, consists: dict, pipeline: dict, wall: float) -> int:
    print(f"| CPU, best of {RUNS} runs | s |\n| :-- | --: |")
    rows = {"plain `papermill`": peer, "`crm run` of an empty stage": ours}
    rows |= {f"– {name}": value for name, value in consists.items()} | pipeline
    for name, value in rows.items():
        print(f"| {name} | {value:.2f} |")
    bad = [ours / peer > MOST_TIMES, wall >= MOST_SECONDS]
    words = ["**missed**" if one else "met" for one in bad]
    print("\n| | measured | target | |\n| :-- | --: | --: | :-- |")
    print(f"| `crm run` ÷ `papermill`, CPU | {ours / peer:.2f} | ≤ {MOST_TIMES} | {words[0]} |")
    print(f"| `make run`, nothing to do, wall s | {wall:.1f} | < {MOST_SECONDS:g} | {words[1]} |")
    return int(any(bad))


def _notebook() -> dict:
    cells = [
        {"cell_type": "code", "id": f"cell-{i}", "source": source, "outputs": [],
         "execution_count": None, "metadata": {"tags": [tag]} if tag else {}}
        for i, (tag, source) in enumerate(CELLS)
    ]  # fmt: skip
    title = {"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# Nothing?\n\nNo."}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"nbformat": 4, "nbformat_minor": 5, "cells": [title, *cells],
            "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}}}  # fmt: skip


def _call(folder: Path, *command: str):
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    env |= {"PATH": f"{BIN}{os.pathsep}{env['PATH']}", "PYTHONPATH": str(_source(folder))}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)[:80]} failed:\n{done.stdout}{done.stderr}")
    return done


def _source(folder: Path) -> Path:
    """The package beside the project that is measured, not the installed one."""
    return next(p / "src" for p in (folder, *folder.parents) if (p / "src").is_dir())


if __name__ == "__main__":
    sys.exit(main())
