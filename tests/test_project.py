"""The two files that describe the project are checked before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from crm import project
from crm.project import ProjectError

ROOT = Path(__file__).parents[1]
RFM = '''
def score(raw, *, method="anchor", anchors=((0, 1),)):
    """Scores."""

def tier(scored, *, high: float = 80):
    """Tiers."""

def _hidden(*, secret=1):
    pass
'''
DVC = """\
stages:
  rfm:
    desc: Value tiers
    deps:
      - notebooks/rfm.ipynb
      - src/crm/rfm.py
      - data/sources/${run.source}/mapping.yaml
      - data/tables/orders
      - data/tables/customers.parquet
    params: [rfm, run.seed]
    outs:
      - data/features/rfm.parquet: {persist: true}
      - data/clean/orders
    metrics:
      - reports/metrics/rfm.json: {cache: false}
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "src/crm").mkdir(parents=True)
    (tmp_path / "src/crm/rfm.py").write_text(RFM)
    (tmp_path / "dvc.yaml").write_text(DVC)
    (tmp_path / "params.yaml").write_text("run: {source: demo}\n")
    return tmp_path


@pytest.fixture
def spec(root):
    return project.load_specs(root, "shop")["rfm"]


# --- dvc.yaml


def test_a_stage_is_read_as_declared_with_its_source(spec):
    assert (spec.desc, spec.module, spec.notebook) == ("Value tiers", "rfm", "notebooks/rfm.ipynb")
    assert "data/sources/shop/mapping.yaml" in spec.deps
    assert spec.metrics == "reports/metrics/rfm.json"
    assert spec.params == ("rfm", "run.seed")


def test_tables_are_found_by_name_with_or_without_their_layer(spec):
    assert spec.dep("orders") == spec.dep("tables/orders") == "data/tables/orders"
    assert spec.out("rfm") == "data/features/rfm.parquet"
    assert spec.out("orders") == "data/clean/orders"


def test_a_table_that_is_not_declared_is_named_with_those_that_are(spec):
    with pytest.raises(ProjectError) as error:
        spec.dep("returns")
    assert "'returns' is not declared by stage 'rfm' in dvc.yaml; it reads" in str(error.value)
    assert "'customers'" in str(error.value)
    assert "'orders'" in str(error.value)
    with pytest.raises(ProjectError, match=r"'customers' is not declared .* it writes .*'rfm'"):
        spec.out("customers")


def test_no_stages_are_no_specs(root):
    (root / "dvc.yaml").write_text("")
    assert project.load_specs(root, "demo") == {}


def test_every_declared_stage_of_the_project_can_be_read():
    specs = project.load_specs(ROOT, "demo")
    assert {"simulate", "ingest", "clean", "identity", "rfm", "sales", "site"} <= set(specs)
    for spec in specs.values():
        assert spec.desc, spec.name
        assert not [path for path in (*spec.deps, *spec.outs) if "${" in path]


def test_the_root_is_found_from_below(root):
    (root / "notebooks/deep").mkdir(parents=True)
    assert project.find_root(root / "notebooks/deep") == root


# --- params.yaml


def test_the_committed_params_name_only_what_there_is():
    assert project.params_problems(ROOT, project.load_params(ROOT)) == []


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"rmf": {}}, "params.yaml: unknown key rmf; did you mean rfm?"),
        ({"rfm": {"scor": {}}}, "params.yaml: unknown key rfm.scor; did you mean rfm.score?"),
        (
            {"rfm": {"score": {"metod": 1}}},
            "params.yaml: unknown key rfm.score.metod; did you mean rfm.score.method?",
        ),
        (
            {"run": {"sorce": "demo"}},
            "params.yaml: unknown key run.sorce; did you mean run.source?",
        ),
        ({"rfm": {"_hidden": {"secret": 2}}}, "params.yaml: unknown key rfm._hidden"),
        ({"rfm": [1]}, "params.yaml: rfm must be a mapping of functions, found [1]"),
        ({"rfm": {"score": 5}}, "params.yaml: rfm.score must be a mapping of keywords"),
    ],
    ids=["section", "function", "keyword", "run", "private", "no functions", "no keywords"],
)
def test_an_unknown_key_is_named_with_the_nearest_one(root, params, message):
    (found,) = project.params_problems(root, params)
    assert found.startswith(message)


def test_an_unknown_key_lists_those_there_are(root):
    (found,) = project.params_problems(root, {"rfm": {"score": {"zzz": 1}}})
    assert found == "params.yaml: unknown key rfm.score.zzz; there are anchors, method"


def test_all_unknown_keys_are_found_at_once(root):
    params = {"run": {"x": 1}, "zzz": {}, "rfm": {"score": {"a": 1, "method": "m"}, "t": {}}}
    assert len(project.params_problems(root, params)) == 4


@pytest.mark.parametrize("params", [{}, {"run": {}}, {"run": None}, {"floors": {}, "vault": {}}])
def test_nothing_said_is_nothing_wrong(root, params):
    assert project.params_problems(root, params) == []


def test_a_signature_is_read_without_importing_the_module(root):
    found = project.signatures(root / "src/crm/rfm.py")
    assert found == {
        "score": {"method": "anchor", "anchors": ((0, 1),)}, "tier": {"high": 80},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("base", "over", "result"),
    [
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 3}}, {"a": {"x": 3, "y": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"x": 1}}, {"a": 5}, {"a": 5}),
        ({"a": 5}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, None, {"a": 1}),
    ],
)
def test_overrides_merge_mappings_and_replace_all_else(base, over, result):
    before = repr(base)
    assert project.merged(base, over) == result
    assert repr(base) == before


def test_leaves_have_dotted_names_in_order():
    assert project.flattened({"b": {"y": 1, "x": {"z": [2]}}, "a": {}, "c": None}) == {
        "b.y": 1, "b.x.z": [2], "a": {}, "c": None,
    }  # fmt: skip
    assert project.flattened({}) == {}


# --- YAML


def test_broken_yaml_is_one_line_with_file_and_place(root):
    (root / "params.yaml").write_text("run:\n  source: [demo\nrfm: {}\n")
    with pytest.raises(ProjectError) as error:
        project.load_params(root)
    assert str(error.value).startswith("params.yaml, line 3: ")
    assert "\n" not in str(error.value)


def test_a_key_that_stands_twice_is_refused_with_its_line(root):
    (root / "params.yaml").write_text("rfm:\n  tier:\n    high: 80\n    high: 75\n")
    with pytest.raises(ProjectError, match=r"^params.yaml, line 4: .*duplicate key \"high\"") as e:
        project.load_params(root)
    assert "\n" not in str(e.value)


def test_a_character_that_yaml_does_not_allow_is_one_line_too(root):
    (root / "params.yaml").write_text("run: {source: demo\x07}\n")
    with pytest.raises(ProjectError, match=r"^params.yaml"):
        project.load_params(root)


def test_an_empty_params_file_is_no_params(root):
    (root / "params.yaml").write_text("# nothing\n")
    assert project.load_params(root) == {}
