"""The two files that describe the project are checked before anything runs."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest

from crm import project
from crm.project import ProjectError

ROOT = Path(__file__).parents[1]
RFM = '''
def score(raw, *, method: str = "anchor", anchors: list[list[float]] = ((0, 1),), top: int = 3):
    """Scores."""

def tier(scored, *, as_of: date, high: float = 80):
    """Tiers."""

def typed(
    raw, *, top: int, share: float, label: str, exact: bool, limit: int | None = None,
    method: Literal["anchor", "rank"], anchors: list[list[float]], names: dict[str, str],
    pairs: list[tuple[float, float]], anything: list, untyped=1,
    key: bytes, day: date, file: Path | None = None,
):
    """Every type."""

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


def problems(root, params) -> list[str]:
    return [str(problem) for problem in project.params_problems(root, params)]


@pytest.mark.parametrize(
    ("params", "found", "mend"),
    [
        ({"rmf": {}}, "unknown key rmf", "did you mean 'rfm'?"),
        ({"rfm": {"scor": {}}}, "unknown key rfm.scor", "did you mean 'score'?"),
        ({"rfm": {"score": {"metod": 1}}}, "unknown key rfm.score.metod", "mean 'method'?"),
        ({"run": {"sorce": "demo"}}, "unknown key run.sorce", "did you mean 'source'?"),
        (
            {"rfm": {"_hidden": {"secret": 2}}},
            "unknown key rfm._hidden",
            "are: score, tier, typed",
        ),
        ({"rfm": {"tier": {"as_of": "2024-01-01"}}}, "unknown key rfm.tier.as_of", "are: high"),
        ({"rfm": [1]}, "rfm must be a mapping of functions, found [1]", "remove it"),
        ({"rfm": {"score": 5}}, "rfm.score must be a mapping of keywords, found 5", "remove it"),
        ({"run": None}, "run must be a mapping of keys, found null", "remove it"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_key_that_is_not_there_is_named_with_the_nearest_one(root, params, found, mend):
    (said,) = problems(root, params)
    assert said.startswith(f"params.yaml: {found}; expected ")
    assert mend in said


def test_all_problems_are_found_at_once_in_order(root):
    params = {
        "run": {"x": 1, "seed": "1"}, "zzz": {},
        "rfm": {"score": {"a": 1, "method": "m", "top": "x"}, "t": {}, "tier": {"high": "x"}},
    }  # fmt: skip
    said = [text.split(": ")[1].split(";")[0] for text in problems(root, params)]
    assert said == [
        "unknown key zzz", "unknown key run.x", 'run.seed is "1"', "unknown key rfm.t",
        "unknown key rfm.score.a", 'rfm.score.top is "x"', 'rfm.tier.high is "x"',
    ]  # fmt: skip


@pytest.mark.parametrize("params", [{}, {"run": {}}, {"floors": {}, "vault": {}, "rfm": {}}])
def test_nothing_said_is_nothing_wrong(root, params):
    assert problems(root, params) == []


# --- types: the signature is the schema


def test_a_value_of_a_wrong_type_says_where_what_and_how_to_mend_it(root):
    assert problems(root, {"rfm": {"tier": {"high": "lots"}}}) == [
        'params.yaml: rfm.tier.high is "lots"; expected a number; mend it, as in 80'
    ]
    (said,) = problems(root, {"rfm": {"score": {"anchors": [[0, 1], [2, "x"]]}}})
    assert said == (
        'params.yaml: rfm.score.anchors[1][1] is "x"; expected a number; mend it, as in [[0, 1]]'
    )


@pytest.mark.parametrize(
    ("keyword", "good", "bad"),
    [
        ("top", [3, -1], [3.0, True, "3", None, [3], {"a": 3}, 1 << 63]),
        ("share", [3, 0.5], [False, "0.5", None, float("nan"), float("inf"), 10**400]),
        ("label", ["", "a"], [3, None, True, ["a"]]),
        ("exact", [True, False], [0, 1, "true", None]),
        ("limit", [3, None], [3.5, "3", True]),
        ("method", ["anchor", "rank"], ["rnk", "", 1, None]),
        ("anchors", [[], [[]], [[1, 2.5]]], [[1], [["a"]], [[None]], "a", {}, None]),
        ("pairs", [[], [[1, 2.5], [2, 3]]], [[1, 2], [[1]], [[1, 2, 3]], [[1, "2"]], "ab"]),
        ("names", [{}, {"a": "b"}], [{"a": 1}, [], "a"]),
        ("anything", [[1, "a", {}], []], [{}, "a", None]),
        ("untyped", [1, "a", None, []], []),
    ],
)
def test_a_value_fits_its_keyword_or_is_refused(root, keyword, good, bad):
    for value in good:
        assert problems(root, {"rfm": {"typed": {keyword: value}}}) == [], value
    for value in bad:
        (said,) = problems(root, {"rfm": {"typed": {keyword: value}}})
        assert said.startswith(f"params.yaml: rfm.typed.{keyword}"), value
        assert "\n" not in said


@pytest.mark.parametrize("keyword", ["key", "day", "file"])
def test_what_yaml_cannot_write_is_no_parameter(root, keyword):
    (said,) = problems(root, {"rfm": {"typed": {keyword: "a"}}})
    assert said.startswith(f"params.yaml: unknown key rfm.typed.{keyword}")


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("source", ["demo", "online-retail"], ["", "a/b", "../demo", 5, None, ["demo"]]),
        ("as_of", ["auto", "2024-12-31", date(2024, 12, 31)],
         ["today", "2024-13-01", datetime(2024, 1, 5, 8), None, True, 7]),
        ("seed", [1, 0, -5], ["1", 1.5, True, None]),
        ("currency", ["CNY"], ["cny", "", 5, None, "€"]),
        ("time_zone", ["Asia/Shanghai", "UTC"], ["Asia/Nowhere", "Asia", "", "../x", 8, None]),
        ("language", ["en", "zh", "zh-Hans"], ["English", "", 5, "../x"]),
        ("min_cell", [5, 1, 30], [0, -5, "5", 2.5, None, True]),
        ("engine", ["duckdb"], ["spark", None, 1]),
        ("threads", [0, 8], [-1, 1.5, "2", True, 10_000_000]),
        ("memory", ["4GB", "1.5 GiB", ""], ["lots", 4, None, "4GB'; drop table x", "-1GB"]),
    ],
)  # fmt: skip
def test_a_setting_of_the_run_fits_or_is_refused(root, key, good, bad):
    for value in good:
        assert problems(root, {"run": {key: value}}) == [], value
    for value in bad:
        (said,) = problems(root, {"run": {key: value}})
        assert said.startswith(f"params.yaml: run.{key} is "), value
        assert "; mend it, as in " in said


@pytest.mark.parametrize("value", [1234567890123456, "4FA0989F56A16D31", "abc", None])
def test_a_fingerprint_is_sixteen_digits_in_quotes(root, value):
    (said,) = problems(root, {"vault": {"encryption": value}})
    assert "expected a fingerprint of 16 digits in quotes" in said
    assert problems(root, {"vault": {"encryption": "4fa0989f56a16d31"}}) == []


@pytest.mark.parametrize("floors", [5, {"rfm": 5}, {"rfm": {"customers": "many"}}, [1], None])
def test_floors_are_numbers_of_metrics_of_stages(root, floors):
    (said,) = problems(root, {"floors": floors})
    assert said.startswith("params.yaml: floors")
    assert said.endswith('mend it, as in {"rfm": {"customers": 100}}')
    assert problems(root, {"floors": {"rfm": {"customers": 100, "share": 0.5}}}) == []


def test_a_run_needs_its_settings(root):
    run = project.load_params(ROOT)["run"]
    assert project.settings({"run": run}) == run
    for params in ({}, {"run": None}, {"run": []}, {"run": {}}):
        with pytest.raises(ProjectError, match=r"no `run.source`, .*such as `source: demo`"):
            project.settings(params)
    del run["engine"], run["threads"], run["memory"], run["seed"]
    with pytest.raises(ProjectError, match=r"^params.yaml: no `run.seed`; expected every key"):
        project.settings({"run": run})


def test_a_signature_is_read_without_importing_the_module(root):
    found = project.signatures(root / "src/crm/rfm.py")
    defaults = {f: {k: word.default for k, word in words.items()} for f, words in found.items()}
    assert defaults["tier"] == {"high": 80}
    assert defaults["score"] == {"method": "anchor", "anchors": ((0, 1),), "top": 3}


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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run:\n  source: [demo\nrfm: {}\n", "line 3: not YAML: "),
        ("rfm:\n  tier:\n    high: 80\n    high: 75\n",
         "line 4: the key 'high' stands twice (first in line 3)"),
        ("run: {source: demo\x07}\n", "not YAML: "),
        ("- run\n", "a list in place of keys and values"),
        ("just text\n", "a text in place of keys and values"),
        ("run: {as_of: 2024-02-30}\n", "line 1: '2024-02-30', which cannot be"),
    ],
)  # fmt: skip
def test_a_broken_file_is_one_line_with_file_and_place(root, text, said):
    (root / "params.yaml").write_text(text)
    with pytest.raises(ProjectError) as error:
        project.load_params(root)
    assert str(error.value).startswith("params.yaml")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_one_line(root):
    with pytest.raises(ProjectError, match=r"^a/b.yaml: the file is not there"):
        project.read_yaml(root / "gone.yaml", "a/b.yaml")


def test_an_empty_params_file_is_no_params(root):
    (root / "params.yaml").write_text("# nothing\n")
    assert project.load_params(root) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stages: [rfm]\n", "stages is a list"),
        ("stages: {rfm: [a]}\n", "rfm is a list"),
        ("stages: {rfm: {deps: a}}\n", "rfm.deps is no list of names"),
        ("stages: {rfm: {outs: [{a: {}, b: {}}]}}\n", "rfm.outs is no list of names"),
        ("stages: {rfm: {params: [[a]]}}\n", "rfm.params is no list of names"),
    ],
)
def test_a_dvc_yaml_of_another_shape_is_one_line(root, text, said):
    (root / "dvc.yaml").write_text(text)
    with pytest.raises(ProjectError) as error:
        project.load_specs(root, "demo")
    assert str(error.value).startswith(f"dvc.yaml: {said}; expected ")
    assert "\n" not in str(error.value)
