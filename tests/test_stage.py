"""What a notebook is given by papermill or JupyterLab is checked like params.yaml."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crm.project import ProjectError
from crm.stage import Stage

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
