"""What a notebook is given by papermill or JupyterLab is checked like params.yaml."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from crm import engine, vault
from crm.project import ProjectError
from crm.stage import Stage
from crm.tables import TableError, empty, lookup

ROOT = Path(__file__).resolve().parents[1]
DVC = "stages: {rfm: {deps: [notebooks/rfm.ipynb], params: [rfm]}}\n"
RUN = (
    "run: {source: demo, as_of: auto, seed: 7, currency: EUR, time_zone: UTC, language: en, "
    "min_cell: 5}\n"
)
RFM = "rfm:\n  tier: {high: 75}\n  measure: {window_days: 60}\n"


@pytest.fixture
def root(tmp_path, monkeypatch):
    (tmp_path / "dvc.yaml").write_text(DVC)
    (tmp_path / "params.yaml").write_text(RUN + RFM)
    (tmp_path / "src").symlink_to(ROOT / "src")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_notebooks_params_override_those_of_the_file_deeply(root):
    stage = Stage("rfm", {"tier": {"potential": 50}, "score": {"method": "percentile"}})
    assert stage.params == {
        "tier": {"high": 75, "potential": 50}, "measure": {"window_days": 60},
        "score": {"method": "percentile"},
    }  # fmt: skip
    facts = {fact["name"]: (fact["value"], fact["default"]) for fact in stage.facts()["params"]}
    assert facts["tier.high"] == (75, 80)
    assert facts["measure.window_days"] == (60, 90)
    assert stage.seed == 7


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([1], "rfm must be a mapping of functions, found [1]"),
        ("score", 'rfm must be a mapping of functions, found "score"'),
        ({"tier": [1]}, "rfm.tier must be a mapping of keywords, found [1]"),
        ({"tier": {"high": "80"}}, 'rfm.tier.high is "80"; expected a number'),
        ({"tier": {"hihg": 80}}, "unknown key rfm.tier.hihg"),
        ({"measure": {"window_days": 9.5}}, "rfm.measure.window_days is 9.5; expected a whole"),
        ({1: {}}, "unknown key rfm.1"),
    ],
)
def test_what_the_notebook_is_given_is_checked_and_named_as_such(root, given, said):
    with pytest.raises(ProjectError) as error:
        Stage("rfm", given)
    assert str(error.value).startswith(f"params of the notebook: {said}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("given", [None, {}])
def test_nothing_given_is_the_file_as_it_is(root, given):
    assert Stage("rfm", given).params == {"tier": {"high": 75}, "measure": {"window_days": 60}}


def test_a_section_of_the_file_is_checked_in_a_plain_kernel_too(root):
    (root / "params.yaml").write_text(RUN + "rfm: [1]\n")
    with pytest.raises(ProjectError, match=r"^params.yaml: rfm must be a mapping of functions"):
        Stage("rfm", {})
    (root / "params.yaml").write_text(RFM)
    with pytest.raises(ProjectError, match=r"^params.yaml: no `run.source`"):
        Stage("rfm", {})


def test_the_run_is_what_ingest_resolved(root):
    (root / "dvc.yaml").write_text(DVC.replace("[notebooks", "[data/staged/run.json, notebooks"))
    (root / "data/staged").mkdir(parents=True)
    (root / "data/staged/run.json").write_text(json.dumps({"as_of": "2024-12-31"}))
    stage = Stage("rfm")
    assert (str(stage.as_of), stage.currency) == ("2024-12-31", "EUR")


RECALL = DVC.replace(
    "deps: [", "outs: [data/features/recall.parquet], deps: [data/features/permits.parquet, "
)


@pytest.mark.parametrize(
    ("purpose", "allowed", "said"),
    [("marketing", True, ""), ("marketing", False, "1 customers who do not permit marketing"),
     ("analysis", True, "1 customers who do not permit marketing")],
    ids=["permitted", "refused", "permitted for something else"],
)  # fmt: skip
@pytest.mark.parametrize("lazy", [False, True])
def test_a_list_with_somebody_who_may_not_be_addressed_is_not_written(
    root, purpose, allowed, said, lazy
):
    (root / "dvc.yaml").write_text(RECALL)
    permits = pd.DataFrame(
        {"customer_id": ["a"], "purpose": purpose, "allowed": allowed, "ground": "agreed",
         "said_on": pd.Series([None], dtype="datetime64[us]")}
    )  # fmt: skip
    path = root / "data/features/permits.parquet"
    engine.write(engine.connect(threads=1), permits, path, lookup("features/permits"))
    stage = Stage("rfm")
    offers = pd.DataFrame(
        {"customer_id": ["a"], "rank": [1], "product_id": ["P"], "product_name": ["P"],
         "category": ["c"]}
    )  # fmt: skip
    rows = stage.lift(offers) if lazy else offers
    if said:
        with pytest.raises(TableError, match=said):
            stage.write("recall", rows)
    else:
        stage.write("recall", rows)
    stage.write("recall", empty("features/recall"))


LOCKED = "data/vault/customers.parquet"


def test_values_are_unlocked_with_one_line_in_the_log_that_holds_none(root):
    (root / "dvc.yaml").write_text(DVC.replace("deps: [", f"deps: [{LOCKED}, "))
    prints = vault.PUBLISHED.fingerprints()
    (root / "params.yaml").write_text(RUN + f"vault: {json.dumps(prints)}\n" + RFM)
    (root / "data/sources/demo").mkdir(parents=True)
    (root / "data/sources/demo/mapping.yaml").write_text("public: true\n")
    rows = empty("vault/customers").reindex([0, 1]).assign(line=[1, 2], customer_key=["A", "B"])
    for name, value in {"name": "张三", "phone": "13812345678"}.items():
        sealed = vault.encrypt(
            [value, None], key=vault.PUBLISHED.encryption, context=f"vault/customers.{name}"
        )
        rows[name] = pd.Series(sealed, dtype="str")
    rows = rows.astype({"line": "int64"})
    engine.write(engine.connect(threads=1), rows, root / LOCKED, lookup("vault/customers"))
    found = Stage("rfm").unlock("customers", "name", "phone", purpose="to see whether they agree")
    assert found["name"].tolist()[0] == "张三"
    assert list(found.columns) == ["line", "customer_key", "name", "phone"]
    (line,) = (root / ".crm/access.log").read_text(encoding="utf-8").splitlines()
    entry = json.loads(line)
    assert entry.pop("at")
    assert entry.pop("who")
    assert entry == {
        "role": "keeper", "by": "rfm", "fields": ["customers.name", "customers.phone"], "rows": 2,
        "purpose": "to see whether they agree",
    }  # fmt: skip
    assert "张三" not in line
    assert "13812345678" not in line
