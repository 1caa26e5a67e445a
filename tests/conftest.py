"""Shared by all tests: the project, the public data, and one whole run of the demo."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

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


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> Path:
    """A clone in which the whole pipeline has run on the demo source, far to the east."""
    folder = clone(tmp_path_factory.mktemp("east") / "project")
    done = call(folder, "crm", "run", TZ="Asia/Tokyo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "reports/index.html").as_uri() in done.stdout
    return folder
