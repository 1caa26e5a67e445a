"""`crm new`: an analysis that runs as it stands, or one message and nothing written."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
from conftest import ROOT, call

from crm import new, run
from crm.project import ProjectError, load_specs, params_problems, read_yaml

TOUCHED = ("dvc.yaml", "params.yaml", "src/crm/tables.py", "README.md", "README.zh.md")


@pytest.fixture
def root(tmp_path):
    """The files of the project that `crm new` reads and writes."""
    for name in ("src/crm", "notebooks", "data/sources/demo"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "tests").mkdir()
    for name in (*TOUCHED, "tests/test_rfm.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def state(root) -> dict:
    """Every file below a folder, and its bytes."""
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Loyalty", "is no name"), ("loyal-ty", "is no name"), ("loyal_ty", "is no name"),
        ("ab", "is no name"), ("", "is no name"), ("../odd", "is no name"),
        ("忠诚度", "is no name"),
        ("a" * 21, "is no name"), ("loyalty\n", "is no name"),
        ("lambda", "is a word of Python"), ("match", "is a word of Python"),
        ("filter", "is a word of Python"), ("json", "is the name of a package"),
        ("statistics", "is the name of a package"), ("pandas", "is the name of a package"),
        ("rfm", "is a stage"), ("simulate", "is a stage"), ("floors", "is a stage"),
        ("plots", "is there already"), ("site", "is the name of a package"),
        ("wording", "is there already"), ("orders", "is a table"), ("permits", "is a table"),
        ("params", "is a word of its notebook"), ("least", "is a word of its notebook"),
        ("shown", "or of its test"), ("found", "or of its test"), ("measured", "or of its test"),
        ("date", "or of its test"), ("active", "or of its test"), ("literal", "or of its test"),
    ],
)  # fmt: skip
def test_a_name_that_cannot_be_is_refused_and_nothing_is_written(root, name, said):
    before = state(root)
    with pytest.raises(ProjectError, match="such as loyalty") as error:
        new.new(root, name)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert state(root) == before


@pytest.mark.parametrize(
    "place", ["src/crm/loyalty.py", "tests/test_loyalty.py", "notebooks/loyalty.ipynb"]
)
def test_a_file_that_is_there_is_never_written_over(root, place):
    (root / place).write_text("mine")
    with pytest.raises(ProjectError, match="'loyalty' is there already"):
        new.new(root, "loyalty")
    assert (root / place).read_text() == "mine"


def test_while_another_source_is_in_use_nothing_is_added(root):
    text = (root / "params.yaml").read_text(encoding="utf-8")
    (root / "params.yaml").write_text(text.replace("source: demo", "source: shop"), "utf-8")
    before = state(root)
    with pytest.raises(ProjectError, match=r"params.yaml is that of shop.*`crm use demo`"):
        new.new(root, "loyalty")
    assert state(root) == before


def test_a_write_that_fails_leaves_everything_as_it_was(root):
    before = state(root)
    shutil.rmtree(root / "tests")
    (root / "tests").write_text("a file where the folder should be")
    with pytest.raises(OSError):
        new.new(root, "loyalty")
    left = state(root)
    assert left.pop(root / "tests") == b"a file where the folder should be"
    assert left == {path: text for path, text in before.items() if path in left}
    assert {path.name for path in left} >= {"dvc.yaml", "params.yaml", "tables.py"}
    assert not (root / "src/crm/loyalty.py").exists()


def test_entries_are_added_and_not_a_byte_beside_them_changes(root):
    before = state(root)
    new.new(root, "loyalty")
    after = state(root)
    for name in ("dvc.yaml", "params.yaml", "src/crm/tables.py"):
        old, made = (s[root / name].decode().splitlines() for s in (before, after))
        assert len(made) > len(old)
        rest = iter(made)
        assert all(line in rest for line in old), name  # the old lines, in their order
    stages = list(read_yaml(root / "dvc.yaml")["stages"])
    assert stages[-2:] == ["loyalty", "site"]
    assert params_problems(root, read_yaml(root / "params.yaml")) == []
    assert load_specs(root, "demo")["loyalty"].notebook == "notebooks/loyalty.ipynb"


@pytest.mark.parametrize("name", ["aaa", "zebra", "q" * 20])
def test_what_is_written_has_the_style_of_the_project_whatever_the_name(root, name):
    new.new(root, name)
    files = [f"src/crm/{name}.py", f"tests/test_{name}.py", f"notebooks/{name}.ipynb"]
    shutil.copy(ROOT / "pyproject.toml", root)
    for check in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        tools = ["ruff", *check, *(files if check[0] == "check" else files[:2])]
        done = call(root, *tools)
        assert done.returncode == 0, done.stdout


def test_a_new_analysis_runs_at_once_and_keeps_every_contract(demo, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(demo, folder, symlinks=True)
    told = call(folder, "crm", "new", "loyalty")
    assert told.returncode == 0, told.stderr
    assert "dvc repro loyalty" in told.stdout
    again = call(folder, "crm", "new", "loyalty")
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
    planned = call(folder, "dvc", "repro", "--dry", "--single-item", "loyalty")
    assert "Running stage 'loyalty'" in planned.stdout, planned.stderr
    for stage in ("loyalty", "site"):
        done = call(folder, "crm", "run", stage)
        assert done.returncode == 0, done.stdout + done.stderr
    metrics = json.loads((folder / "reports/metrics/loyalty.json").read_text())
    assert metrics["customers"] > 100
    assert f"{metrics['customers']:,}" in (folder / "reports/pages/loyalty.html").read_text(
        "utf-8"
    )
    tests = ["tests/test_contracts.py", "tests/test_loyalty.py"]
    done = call(folder, "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
    assert done.returncode == 0, done.stdout[-3000:]
    shown = subprocess.run(
        ["git", "status", "--short"], cwd=folder, capture_output=True, text=True
    )
    changed = {line[3:] for line in shown.stdout.splitlines()}
    assert changed >= {*TOUCHED, "src/crm/loyalty.py", "notebooks/loyalty.ipynb"}


def test_the_command_stands_in_the_help():
    assert "new" in run._parser().format_help()
