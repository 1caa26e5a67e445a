"""The pipeline as its users run it: whole, in clones, from other folders, and when it fails."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from pathlib import Path

import duckdb
import pytest
from conftest import call, clone
from sklearn.metrics import adjusted_rand_score

from crm.engine import digest
from crm.project import load_params, load_specs

NOTEBOOKS = (
    *("ingest", "clean", "identity", "consent", "quality", "sales", "profiles", "rfm"),
    *("tags", "segments"),
)


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
        (demo / "params.yaml").write_text(re.sub(r"high: 80", "high: 75", text, count=1))
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
    assert (
        "unknown key rfm.tier.hihg; expected one of those there are; did you mean 'high'?"
        in done.stderr
    )
    assert "Traceback" not in done.stderr


def test_failed_stage_names_the_cell_and_keeps_the_last_good_outputs(demo, tmp_path):
    twin = Path(shutil.copytree(demo, tmp_path / "twin", symlinks=True))
    before = outputs(twin)
    csv = twin / "data/raw/demo/web_lines_2022-05.csv"
    head, *lines = csv.read_text(encoding="gb18030").splitlines(True)
    lines = [re.sub(r",(\d\d\.\d\d),", r',"1,\1",', line, count=1) for line in lines]
    csv.write_text("".join([head, *lines]), encoding="gb18030")
    done = call(twin, "crm", "run", "ingest")
    assert done.returncode == 1
    for part in ("web_lines_2022-05.csv", "单价", "row 4", "1,63.90", "thousands"):
        assert part in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert (twin / "reports/failed/ingest.ipynb").exists()
    after = outputs(twin)
    assert {k for k in after if after[k] != before[k]} == {"data/raw/demo"}, "only our own edit"


def test_floor_under_a_metric_fails_the_site_with_its_name(demo):
    text = (demo / "params.yaml").read_text()
    try:
        (demo / "params.yaml").write_text(
            text.replace("floors: {}", "floors: {rfm: {buyers: 9999}}")
        )
        done = call(demo, "crm", "run", "site")
    finally:
        (demo / "params.yaml").write_text(text)
    assert done.returncode == 1
    buyers = json.loads((demo / "reports/metrics/rfm.json").read_text())["buyers"]
    assert f"rfm.buyers is {buyers}, below its floor 9999" in done.stderr


def test_mlflow_has_one_run_for_each_executed_stage_with_nothing_empty(demo):
    executed = sorted(f.stem[7:] for f in (demo / ".crm/tracked").glob("*.json"))
    assert not list((demo / ".crm/runs").glob("*.json"))
    with sqlite3.connect(demo / "mlflow.db") as store:
        runs = dict(store.execute(
            "SELECT r.run_uuid, r.name FROM runs r WHERE r.run_uuid NOT IN "
            "(SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId')"))  # fmt: skip
        children = store.execute("SELECT count(*) FROM tags WHERE key = 'mlflow.parentRunId'")
        tried = 2 * executed.count("rfm") + executed.count("clusters")  # candidates
        assert children.fetchone()[0] == tried
        assert sorted(runs.values()) == executed
        for run, name in runs.items():
            tags = dict(store.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run,)))
            assert all(tags[k] for k in ("stage", "commit", "source", "as_of")), name
            writes_none = name in ("sales", "quality")
            assert writes_none or any(key.startswith("sha256 data/") for key in tags)
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
    planted = json.loads((demo / "data/truth/demo/truth.json").read_text())["planted"]
    gone = ("duplicate_line", "test_flag", "test_account", "test_amount")
    assert found["removed"] == sum(planted[kind] for kind in gone)
    assert found["quarantined"] >= planted["negative_amount"] + planted["after_end"]


def test_visits_past_their_retention_are_removed_and_counted(demo):
    planted = json.loads((demo / "data/truth/demo/truth.json").read_text())["planted"]
    with duckdb.connect() as db:
        (removed,) = db.execute(
            f"SELECT rows FROM read_parquet('{demo}/data/clean/ledger.parquet') "
            "WHERE \"table\" = 'events' AND reason = 'past its retention'"
        ).fetchone()
        oldest = [
            db.execute(
                f"SELECT min(e.at)::DATE::TEXT FROM '{demo}/data/{layer}/events/*/*.parquet' AS e"
            ).fetchone()[0]
            for layer in ("staged", "clean", "tables")
        ]
    assert removed == planted["kept_too_long"] > 0
    assert oldest[0] < "2021-10-31" <= min(oldest[1:])  # 730 days before 2023-10-31


@pytest.mark.parametrize(
    ("rule", "mishap", "staged", "key"),
    [
        ("name missing", "name_empty", "customers.parquet", "customer_key"),
        ("e-mail badly formed", "email_bad", "customers.parquet", "customer_key"),
        ("customer without a record", "unknown_customer", "order_lines/*/*.parquet", "order_id"),
        ("phone missing", "phone_empty", "customers.parquet", "customer_key"),
        ("answered before opened", "answered_before_opened", "tickets.parquet", "ticket_id"),
    ],
)
def test_the_rows_that_break_a_rule_are_those_that_were_planted(demo, rule, mishap, staged, key):
    with duckdb.connect() as db:
        found = db.execute(
            f"SELECT DISTINCT s.{key} FROM read_parquet('{demo}/data/clean/issues.parquet') AS i "
            f"JOIN read_parquet('{demo}/data/staged/{staged}') AS s USING (line) "
            "WHERE rule = ? AND i.table = ?",
            [rule, staged.partition("/")[0].removesuffix(".parquet")],
        ).fetchall()
        planted = db.execute(
            f"SELECT key FROM read_parquet('{demo}/data/truth/demo/dirt.parquet') WHERE kind = ?",
            [mishap],
        ).fetchall()
    assert sorted(found) == sorted(set(planted)) != []


def test_no_personal_value_leaves_the_vault(demo):
    from python_calamine import CalamineWorkbook

    book = CalamineWorkbook.from_path(demo / "data/raw/demo/crm_customers.xlsx")
    head, *people = book.get_sheet_by_name("客户").to_python()
    secrets = {str(v) for p in people for c, v in zip(head, p, strict=True)
               if c in ("姓名", "手机号", "邮箱") and len(str(v)) > 2}  # fmt: skip
    assert len(secrets) > 5_000
    texts = [*demo.glob("reports/**/*.html"), *demo.glob("reports/**/*.ipynb"),
             *demo.glob("reports/metrics/*.json"), *demo.glob(".crm/tracked/*.json")]  # fmt: skip
    for path in texts:
        assert not secrets & words(path.read_text(encoding="utf-8")), path
    tables = [p for p in demo.glob("data/*/**/*.parquet") if not {"raw", "truth"} & {*p.parts}]
    for path in tables:
        assert not secrets & words(" ".join(texts_of(path))), path


def words(text: str) -> set[str]:
    """What could be a phone, an e-mail or a name of three or four characters."""
    chinese = re.findall(r"[\u4e00-\u9fff]{3,}", text)
    names = {run[i : i + n] for run in chinese for n in (3, 4) for i in range(len(run) - n + 1)}
    return names | {*re.findall(r"\+?\d[\d -]{5,}\d|[\w.+-]+@[\w.-]+", text)}


def texts_of(path: Path) -> list[str]:
    """Every text in a table, each once."""
    with duckdb.connect() as db:
        columns = db.execute("DESCRIBE FROM read_parquet(?)", [str(path)]).fetchall()
        names = [name for name, kind, *_ in columns if kind == "VARCHAR"]
        found = [
            db.execute(f'SELECT DISTINCT "{n}" FROM read_parquet(?)', [str(path)]).fetchall()
            for n in names
        ]
    return [text for rows in found for (text,) in rows if text]


PLANTED = """
    SELECT r.tag, count(*) AS found, count(*) FILTER (WHERE p.overtime) AS overtime,
           count(*) FILTER (WHERE p.persona = 'loyal') AS loyal
    FROM read_parquet('{0}/data/features/tag_rows.parquet') AS r
    JOIN read_parquet('{0}/data/tables/identity_map.parquet') AS m USING (customer_id)
    JOIN read_parquet('{0}/data/truth/demo/keys.parquet') AS k
        ON k.customer_key = m.customer_key AND k.relation = 'own'
    JOIN read_parquet('{0}/data/truth/demo/people.parquet') AS p USING (person)
    WHERE r.tag IN ('healthy_overtime_worker', 'high_net_worth_prospect') GROUP BY r.tag
"""


def test_most_customers_with_a_persona_are_those_that_were_planted(demo):
    with duckdb.connect() as db:
        rows = db.execute(PLANTED.format(demo)).fetchall()
    found = {tag: {"found": n, "overtime": o, "loyal": loyal} for tag, n, o, loyal in rows}
    late, rich = found["healthy_overtime_worker"], found["high_net_worth_prospect"]
    assert late["overtime"] >= 30  # of 100 planted, 11 refused a profile and half buy no more
    assert late["overtime"] / late["found"] >= 0.85
    assert rich["loyal"] / rich["found"] >= 0.7  # who spends much and often is mostly loyal


GROUPED = """
    SELECT DISTINCT ON (c.customer_id) c.cluster, p.persona
    FROM read_parquet('{0}/data/features/clusters.parquet') AS c
    JOIN read_parquet('{0}/data/tables/identity_map.parquet') AS m USING (customer_id)
    JOIN read_parquet('{0}/data/truth/demo/keys.parquet') AS k
        ON k.customer_key = m.customer_key AND k.relation = 'own'
    JOIN read_parquet('{0}/data/truth/demo/people.parquet') AS p USING (person)
    WHERE c.cluster <> 'quiet' ORDER BY c.customer_id, k.customer_key
"""


def test_groups_by_behaviour_agree_with_the_planted_personas_as_far_as_these_behave_apart(demo):
    with duckdb.connect() as db:
        found = db.execute(GROUPED.format(demo)).df()
    active = found[found["cluster"] == "active, not converted"]
    assert (active["persona"] == "browser").mean() >= 0.95  # measured: 99 %
    apart = found[found["persona"].isin(["browser", "bargain", "quality"])]
    whole = adjusted_rand_score(found["persona"], found["cluster"])
    assert whole >= 0.18  # measured: 0.20, since the regular and the impulsive buy like others
    assert adjusted_rand_score(apart["persona"], apart["cluster"]) >= 0.45  # measured: 0.50


DECIDED = """
    SELECT r.persona, p.persona, r.orders >= {1}, count(*)
    FROM read_parquet('{0}/data/features/personas.parquet') AS r
    JOIN read_parquet('{0}/data/tables/identity_map.parquet') AS m USING (customer_id)
    JOIN read_parquet('{0}/data/truth/demo/keys.parquet') AS k
        ON k.customer_key = m.customer_key AND k.relation = 'own'
    JOIN read_parquet('{0}/data/truth/demo/people.parquet') AS p USING (person)
    GROUP BY ALL
"""


@pytest.mark.parametrize(
    ("persona", "planted", "precision", "recall"),
    [  # the limits are the business's; measured: 0.75 and 0.76, 0.82 and 0.67, 0.95 and 0.68
        ("price-sensitive", "bargain", 0.65, 0.65),
        ("quality-seeking", "quality", 0.70, 0.55),
        ("impulse", "impulse", 0.85, 0.55),
    ],
)
def test_how_customers_decide_is_found_as_it_was_planted(
    demo, persona, planted, precision, recall
):
    fewest = json.loads((demo / "reports/metrics/personas.json").read_text())["fewest"]
    with duckdb.connect() as db:
        rows = db.execute(DECIDED.format(demo, fewest)).fetchall()
    hit = sum(n for found, true, _, n in rows if (found, true) == (persona, planted))
    found = sum(n for found, *_, n in rows if found == persona)
    there = sum(n for _, true, judged, n in rows if true == planted and judged)
    assert hit / found >= precision
    assert hit / there >= recall  # of those with enough orders to be judged
