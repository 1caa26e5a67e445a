"""The pipeline as its users run it: whole, in clones, from other folders, and when it fails."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from conftest import call, clone

from crm.engine import digest
from crm.project import load_params, load_specs

NOTEBOOKS = ("ingest", "clean", "identity", "rfm", "sales")


def outputs(folder: Path) -> dict[str, str]:
    """Hash of every output of every stage."""
    specs = load_specs(folder, load_params(folder)["run"]["source"])
    paths = [p for s in specs.values() for p in (*s.outs, *([s.metrics] if s.metrics else []))]
    return {path: digest(folder / path) for path in paths}


def test_second_run_runs_no_stage(demo):
    done = call(demo, "crm", "run")
    assert done.returncode == 0
    assert "Running stage" not in done.stdout


def test_committed_lock_is_that_of_this_code(demo, root):
    assert (demo / "dvc.lock").read_text() == (root / "dvc.lock").read_text(), (
        "dvc.lock of the demo differs from the committed one: run `dvc repro` and commit it"
    )


def test_committed_metrics_are_those_of_this_code(demo, root):
    for name in NOTEBOOKS:
        path = f"reports/metrics/{name}.json"
        assert (demo / path).read_text() == (root / path).read_text(), path


def test_two_clones_in_other_folders_and_time_zones_give_the_same_bytes(demo, tmp_path):
    west = clone(tmp_path / "some where else")
    done = call(west, "crm", "run", TZ="America/New_York", LC_ALL="C", PYTHONHASHSEED="7")
    assert done.returncode == 0, done.stdout + done.stderr
    assert outputs(west) == outputs(demo)


def test_a_changed_parameter_reruns_only_what_depends_on_it(demo):
    text = (demo / "params.yaml").read_text()
    try:
        (demo / "params.yaml").write_text(re.sub(r"high: 80", "high: 75", text))
        status = json.loads(call(demo, "dvc", "status", "--json").stdout)
    finally:
        (demo / "params.yaml").write_text(text)
    assert set(status) == {"rfm"}


def test_stored_outputs_match_when_nbval_executes_the_copies_again(demo):
    copies = [f"reports/notebooks/{name}.ipynb" for name in NOTEBOOKS]
    nbval = ["--nbval", "-p", "no:cacheprovider", "-o", "addopts="]
    done = call(demo, "pytest", *nbval, *copies, CRM_CHECK="1")
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 60  # cells


def test_check_mode_sees_a_table_that_was_tampered_with(demo, tmp_path):
    twin = Path(shutil.copytree(demo, tmp_path / "twin", symlinks=True))
    table = twin / "data/features/recall.parquet"
    table.write_bytes(table.read_bytes() + b"x")
    done = call(twin, "pytest", "--nbval", "-p", "no:cacheprovider", "-q",
                "reports/notebooks/rfm.ipynb", CRM_CHECK="1")  # fmt: skip
    assert done.returncode == 1
    assert "features/recall.parquet on disk differs" in done.stdout


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_stripped_notebook_runs_from_jupyterlabs_folder_and_writes_nothing(demo, name):
    before = outputs(demo)
    done = call(demo / "notebooks", "papermill", f"{name}.ipynb", str(demo / ".crm/lab.ipynb"),
                "--no-progress-bar", PYTHONPATH=str(demo / "src"))  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert outputs(demo) == before


def test_plain_papermill_takes_parameters_from_any_folder(demo, tmp_path):
    params = "{params: {score: {method: percentile}}}"
    done = call(tmp_path, "papermill", str(demo / "notebooks/rfm.ipynb"), "out.ipynb",
                "--no-progress-bar", "-y", params, PYTHONPATH=str(demo / "src"))  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert '"value": "percentile"' in (tmp_path / "out.ipynb").read_text()


def test_unknown_parameter_is_refused_before_a_kernel_starts(demo):
    text = (demo / "params.yaml").read_text()
    try:
        (demo / "params.yaml").write_text(text.replace("    high: 80", "    hihg: 80"))
        done = call(demo, "crm", "run", "rfm")
    finally:
        (demo / "params.yaml").write_text(text)
    assert done.returncode == 1
    assert "unknown key rfm.tier.hihg; did you mean rfm.tier.high?" in done.stderr
    assert "Traceback" not in done.stderr


def test_failed_stage_names_the_cell_and_keeps_the_last_good_outputs(demo, tmp_path):
    twin = Path(shutil.copytree(demo, tmp_path / "twin", symlinks=True))
    before = outputs(twin)
    csv = twin / "data/raw/demo/web_orders.csv"
    lines = csv.read_text().splitlines(True)
    lines[3] = re.sub(r",\d+\.\d\d,", ',"1,500.00",', lines[3], count=1)
    csv.write_text("".join(lines))
    done = call(twin, "crm", "run", "ingest")
    assert done.returncode == 1
    for part in ("web_orders.csv", "单价", "row 4", "1,500.00", "thousands"):
        assert part in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert (twin / "reports/failed/ingest.ipynb").exists()
    after = outputs(twin)
    assert {k for k in after if after[k] != before[k]} == {"data/raw/demo"}, "only our own edit"


def test_floor_under_a_metric_fails_the_site_with_its_name(demo):
    text = (demo / "params.yaml").read_text()
    try:
        (demo / "params.yaml").write_text(
            text.replace("floors: {}", "floors: {rfm: {buyers: 999}}")
        )
        done = call(demo, "crm", "run", "site")
    finally:
        (demo / "params.yaml").write_text(text)
    assert done.returncode == 1
    assert "rfm.buyers is 524, below its floor 999" in done.stderr


def test_mlflow_has_one_run_for_each_executed_stage_with_nothing_empty(demo):
    executed = sorted(f.stem[7:] for f in (demo / ".crm/tracked").glob("*.json"))
    assert not list((demo / ".crm/runs").glob("*.json"))
    with sqlite3.connect(demo / "mlflow.db") as store:
        runs = dict(store.execute(
            "SELECT r.run_uuid, r.name FROM runs r WHERE r.run_uuid NOT IN "
            "(SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId')"))  # fmt: skip
        children = store.execute("SELECT count(*) FROM tags WHERE key = 'mlflow.parentRunId'")
        assert children.fetchone()[0] == 2 * executed.count("rfm")
        assert sorted(runs.values()) == executed
        for run, name in runs.items():
            tags = dict(store.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run,)))
            assert all(tags[k] for k in ("stage", "commit", "source", "as_of")), name
            assert any(key.startswith("sha256 data/") or name == "sales" for key in tags)
            params = dict(
                store.execute("SELECT key, value FROM params WHERE run_uuid = ?", (run,))
            )
            metrics = store.execute("SELECT count(*) FROM metrics WHERE run_uuid = ?", (run,))
            assert params["run.as_of"] and metrics.fetchone()[0] > 0, name
            artefacts = demo / "mlartifacts" / run / "artifacts"
            assert (artefacts / f"{name}.ipynb").exists()


def test_ledger_of_the_demo_balances(demo):
    found = json.loads((demo / "reports/metrics/clean.json").read_text())
    assert found["lines"] == found["kept"] + found["quarantined"] + found["removed"]
    assert found["quarantined"] == 1
    assert found["removed"] == 12 + 5  # double exports of the web shop, test orders


def test_no_personal_value_leaves_the_vault(demo):
    from python_calamine import CalamineWorkbook

    rows = CalamineWorkbook.from_path(demo / "data/raw/demo/customers.xlsx")
    head, *people = rows.get_sheet_by_name("客户").to_python()
    secrets = {str(v) for p in people for c, v in zip(head, p, strict=True)
               if c in ("姓名", "手机号", "邮箱") and len(str(v)) > 2}  # fmt: skip
    texts = [*demo.glob("reports/**/*.html"), *demo.glob("reports/**/*.ipynb"),
             *demo.glob("reports/metrics/*.json"), *demo.glob(".crm/tracked/*.json")]  # fmt: skip
    for path in texts:
        text = path.read_text(encoding="utf-8")
        assert not [s for s in secrets if s in text], path
    for path in (p for p in demo.glob("data/*/**/*.parquet") if "raw" not in p.parts):
        blob = path.read_bytes()
        assert not [s for s in secrets if len(s) > 3 and s.encode() in blob], path
