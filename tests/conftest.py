"""Shared by all tests: the project, the public data, one whole run of the demo, and `Bench`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The project these tests belong to."""
    return ROOT


@pytest.fixture(scope="session")
def public_data() -> Path:
    """The folder of the public data sets; tests that need it skip where it is unset."""
    folder = os.environ.get("CRM_PUBLIC_DATA")
    if not folder:
        pytest.skip("CRM_PUBLIC_DATA is not set: it names the folder of the public data sets")
    return Path(folder)


def clone(target: Path) -> Path:
    """The project as it stands, committed or not, in a repository of its own without outputs."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com"]
    subprocess.run([*git, "init", "-q"], cwd=target, check=True)
    subprocess.run([*git, "add", "-A"], cwd=target, check=True)
    subprocess.run([*git, "commit", "-qm", "copy"], cwd=target, check=True)
    return target


def call(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run `crm` (or another tool of the environment) in a clone, on the clone's own code."""
    tools = Path(sys.executable).parent
    command = [str(tools / arguments[0]), *arguments[1:]]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CRM_", "PYTEST_"))}
    env |= {"PATH": f"{tools}{os.pathsep}{env['PATH']}", "PYTHONPATH": str(folder / "src")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.run(
        command, cwd=folder, env=env | environment, capture_output=True, text=True, timeout=900
    )


@dataclass
class Bench:
    """Stands in for `Stage` where a test runs the cells of a notebook on tables of its own.

    `tables` are what the notebook reads, by place; what it writes goes through the engine into
    `folder`, so that schema and key are checked, and can be read with `out`.
    """

    con: object
    folder: Path
    tables: dict = field(default_factory=dict)
    params: dict = field(default_factory=dict)
    run: dict = field(default_factory=lambda: {"as_of": "auto", "currency": "CNY", "min_cell": 5})
    source: object = None
    extended: tuple = ()
    as_of: date = date(2024, 12, 31)
    seed: int = 1
    written: dict = field(default_factory=dict)
    facts: dict = field(default_factory=dict)
    keys: object = field(default_factory=lambda: SimpleNamespace(pseudonym=b"k"))

    def layer(self, layer: str) -> dict:
        places = {place.partition("/"): rows for place, rows in self.tables.items()}
        return {name: rows for (at, _, name), rows in places.items() if at == layer}

    def table(self, name: str):
        return next(r for place, r in self.tables.items() if f"/{place}".endswith(f"/{name}"))

    def read(self, name: str):
        return self.frame(self.table(name))

    def unlock(self, name: str, *columns: str, purpose: str):
        """The columns as they stand in the test: nothing is encrypted there."""
        rows = self.table(name)
        return self.frame(rows.select("line", "customer_key", *columns))

    def write(self, name: str, rows) -> None:
        from crm import engine
        from crm.tables import lookup

        place = name if "/" in name else f"{self.at}/{name}"
        schema = lookup(place, self.extended)
        short = place.split("/")[-1]
        self.written[short] = engine.write(self.con, rows, self.folder / place, schema)

    def write_all(self, layer: str, tables: dict) -> None:
        for name, rows in tables.items():
            self.write(f"{layer}/{name}", rows)

    def out(self, place: str):
        """A table that was written."""
        from crm import engine

        return engine.scan(self.con, self.folder / place)

    def frame(self, expr):
        from crm import engine

        return engine.frame(self.con, expr)

    def row(self, expr) -> dict:
        return self.frame(expr).to_dict("records")[0]

    def hold(self, expr):
        from crm import engine

        self.names = getattr(self, "names", 0) + 1
        return engine.hold(self.con, expr, f"_{self.at}_{id(self)}_{self.names}")

    def lift(self, frame):
        from crm import engine

        self.names = getattr(self, "names", 0) + 1
        return engine.lift(self.con, frame, f"_{self.at}_{id(self)}_{self.names}")

    def counts(self, tables: dict) -> dict:
        return {name: int(rows.count().execute()) for name, rows in tables.items()}

    def metrics(self, **values) -> None:
        self.facts |= values

    def save_run(self, **facts) -> None:
        self.run |= facts

    def show(self, *arguments, **options) -> None:
        """Pages have tests of their own."""

    say = tiles = chart = show

    def execute(self, name: str, **names) -> dict:
        """Run the cells of a notebook but its setup; returns the names that they define."""
        from crm import disclosure

        names = {"disclosure": disclosure, **names}
        self.at = {"ingest": "staged", "identity": "tables"}.get(name, name)
        book = json.loads((ROOT / f"notebooks/{name}.ipynb").read_text(encoding="utf-8"))
        names |= {"stage": self}
        for cell in book["cells"]:
            text = "".join(cell["source"])
            is_setup = "import Stage" in text or text.strip() == "params = {}"
            if cell["cell_type"] == "code" and not is_setup:
                exec(compile(text, f"notebooks/{name}.ipynb", "exec"), names)
        return names


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> Path:
    """A clone in which the whole pipeline has run on the demo source, far to the east."""
    folder = clone(tmp_path_factory.mktemp("east") / "project")
    done = call(folder, "crm", "run", TZ="Asia/Tokyo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "reports/index.html").as_uri() in done.stdout
    return folder
