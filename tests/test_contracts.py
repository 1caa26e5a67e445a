"""The conventions of the project as tests: static, quick, without a kernel.

Each check returns what it found as sentences that say file, cell and line, so that planted faults
can be put to it as well as the project itself.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import json
import re
import subprocess
from collections import Counter
from dataclasses import dataclass, replace
from dataclasses import fields as dataclass_fields
from functools import cache, cached_property
from pathlib import Path
from statistics import median

import pytest

from crm.mapping import fields
from crm.project import (
    EXEMPT,
    ProjectError,
    Spec,
    flattened,
    load_params,
    load_specs,
    module_path,
    params_problems,
    read_yaml,
    table_name,
)
from crm.rules import CHECKS, ORIGINS, RULES, SEVERITIES, Rule
from crm.tables import ARRIVING, PURPOSES, RECORDS, TABLES, TYPES, Column, Table, check, empty
from crm.use import stage_table
from crm.wording import keys

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src/crm"
PARAMS = load_params(ROOT)
SOURCE = PARAMS["run"]["source"]
SPECS = load_specs(ROOT, SOURCE)
STAGES = read_yaml(ROOT / "dvc.yaml")["stages"]
OVERRIDES = sorted((ROOT / "data/sources").glob("*/params.yaml"))

BARE = ("simulate", "site")  # stages without a notebook: one makes the demo, one the pages
KEYED = {name: spec for name, spec in SPECS.items() if name not in BARE}
ANALYSES = sorted({spec.module for spec in KEYED.values()} | {"simulate"})
RUN_FILE = "data/staged/run.json"

STAGE_KEYS = ["desc", "cmd", "deps", "params", "outs", "metrics"]
INTERPOLATED = (
    "ingest",
    "clean",
    "identity",
    "consent",
    "quality",
    "tags",
)  # may say ${run.source}
UNTRACKED = ("run.engine", "run.threads", "run.memory")  # no result may depend on them
UNLISTED = ("stage", "engine", "run", "project")  # no deps on purpose: architecture, section 4

MOST_CELLS, MOST_LINES, MEDIAN_LINES = 20, 15, 5
NOT_IN_CELLS = {
    ast.FunctionDef: "a def: put it in the module",
    ast.AsyncFunctionDef: "a def: put it in the module",
    ast.ClassDef: "a class: put it in the module",
    ast.Lambda: "a lambda: put it in the module",
    ast.For: "a loop: put it in the module",
    ast.AsyncFor: "a loop: put it in the module",
    ast.While: "a loop: put it in the module",
    ast.JoinedStr: "an f-string: a computed sentence is a message for stage.say",
}
NOT_CALLED = {
    "print": "print: use stage.say or stage.show",
    "filterwarnings": "a warnings filter: mend the cause",
    "simplefilter": "a warnings filter: mend the cause",
}
FORM = re.compile(r"(int|num[23]?|pct0?|money2?|days|date|month|text)?")
PLURAL = re.compile(r"\{[a-z0-9_]+(:int)?\}\**(?: [a-z-]+,?){0,2} [a-z-]+s\b(?!\[)")  # no "1 rows"
TYPED = {  # digits that a text may contain: all other numbers are metrics
    r"\b[A-Z][A-Z0-9]*-\d+\b": "the id of a rule or of a decision",
    r"\b0 to 100\b": "the scale of all scores (RFM-02)",
    r"\b20% off\b": "the offer that the business wrote down (RFM-09)",
    r"\bbest 20%": "the definition of the concentration figure: the best fifth",
    r"^#+ List \d:": "a heading that counts, not a value",
}

MAY_IMPORT = {  # architecture, section 2; modules that are not here are held by the tests below
    "chart": {"wording"},
    "disclosure": set(),
    "document": set(),
    "engine": {"tables"},
    "plots": {"disclosure", "wording"},
    "project": {"document"},
    "stage": {"tables", "engine", "vault", "wording", "project", "chart", "disclosure"},
    "site": {"tables", "wording", "chart", "project", "site"},
    "tables": set(),
    "wording": set(),
}
ONLY_RUN = {  # imported by run.py alone
    *("run", "site", "track", "use", "simulate", "stage", "pull", "new", "rotate", "gate"),
    "forget",
}
HOME_OF = {"papermill": "run.py", "mlflow": "track.py"}
HEAVY = {"pandas", "ibis", "duckdb", "mlflow", "papermill", "altair", "vl_convert"}
LIGHT = ("run", "project", "wording", "mapping", "use", "track")  # start without the above
PARQUET = re.compile(
    r"\b(read|to|write|scan)_parquet|\bparquet_scan|pyarrow\.parquet|format +parquet", re.I
)
OPENS_PARQUET = {
    "engine.py": "the one reader and writer of our tables",
    "raw.py": "what a source system sent",
    "pull.py": "what a source system gave when asked",
    "ingest.py": "the values of a raw file, converted once and thrown away",
    "rewrite.py": "a raw file without the rows of a customer who is forgotten",
    "traces.py": "looks for a customer in every file that there is, DVC's cache included",
    "simulate/files.py": "what the demo's source systems would send",
}

LARGEST = 1024 * 1024
OURS = (  # looked at even before `git add`; other files that lie about are the user's
    *("src", "tests", "notebooks", "benchmarks", ".ci", "data/sources"),
    *("README.md", "README.zh.md", "CHANGELOG.md", "Makefile", "pyproject.toml"),
    *("dvc.yaml", "dvc.lock", "params.yaml", "requirements.lock", "roles.yaml"),
)
REGISTRY = re.compile(r"pypi\.org|pythonhosted\.org|anaconda\.org|npmjs\.org|registry\.npm")
MACHINE = re.compile(r"(?<![\w.*~}\])])/(?:home|work|Users)/\w|\b[A-Z]:\\+Users\\")


def none(findings) -> None:
    """Fail with one finding a line."""
    found = list(findings)
    if found:
        pytest.fail("\n".join(found), pytrace=False)


# ---- reading notebooks and modules ---------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """One cell, and how to name its place in a message."""

    file: str
    number: int
    id: str
    kind: str
    source: str
    tags: tuple[str, ...] = ()

    @cached_property
    def parsed(self) -> ast.Module | None:
        """The syntax tree; None if the cell is no Python."""
        try:
            return ast.parse(self.source)
        except SyntaxError:
            return None

    @property
    def tree(self) -> ast.Module:
        """The syntax tree, empty if there is none: `code_problems` reports that."""
        return self.parsed or ast.Module([], [])

    def at(self, node=None) -> str:
        """The place of the cell, or of a node in it, for a message."""
        line = getattr(node, "lineno", node)
        place = f"notebooks/{self.file}.ipynb, cell {self.number} ({self.id})"
        return f"{place}, line {line}" if line else place


def cells_of(notebook: dict, file: str) -> list[Cell]:
    return [
        Cell(
            file,
            number,
            cell.get("id", ""),
            cell["cell_type"],
            "".join(cell["source"]),
            tuple(cell["metadata"].get("tags", ())),
        )
        for number, cell in enumerate(notebook["cells"])
    ]


RAW = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
}
BOOKS = {name: cells_of(notebook, name) for name, notebook in RAW.items()}
IN_BOTH = sorted(set(BOOKS) & set(KEYED))
each_book = pytest.mark.parametrize("name", sorted(BOOKS))
each_stage = pytest.mark.parametrize("name", list(SPECS))
each_keyed = pytest.mark.parametrize("name", IN_BOTH)


def code(cells: list[Cell]) -> list[Cell]:
    return [cell for cell in cells if cell.kind == "code"]


def calls(tree: ast.AST, owner: str, *methods: str) -> list[ast.Call]:
    """Calls such as `stage.table(…)`; without methods, all of the owner."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == owner
        and (not methods or node.func.attr in methods)
    ]


def walk(node: ast.AST, *, only_top: bool = False):
    """The nodes that run, without TYPE_CHECKING branches; `only_top`: those run at import."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if only_top and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        yield child
        yield from walk(child, only_top=only_top)


def imports(tree: ast.AST, package: tuple[str, ...] = (), *, only_top: bool = False):
    """Each imported name, dotted and whole, with its line: `from crm import rfm` is `crm.rfm`."""
    for node in walk(tree, only_top=only_top):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def files_of(module: str, src: Path = SRC) -> list[Path]:
    """The files of a module: one, or all of a package."""
    single = src / f"{module}.py"
    return [single] if single.exists() else sorted((src / module).rglob("*.py"))


def module_of(dotted: str, src: Path = SRC) -> str | None:
    """The module of ours that a dotted name lies in: `crm.site.text.Writer` is `site`."""
    parts = dotted.split(".")
    is_ours = parts[0] == src.name and len(parts) > 1 and files_of(parts[1], src)
    return parts[1] if is_ours else None


@cache
def ours(path: Path, src: Path = SRC, *, only_top: bool = False) -> list[tuple[str, int]]:
    """Modules of ours that a file imports, with the line."""
    package = path.relative_to(src.parent).parent.parts
    found = imports(parsed(path), package, only_top=only_top)
    named = [(module_of(dotted, src), line) for dotted, line in found]
    return [(module, line) for module, line in named if module]


def reached(start: set[str], src: Path = SRC) -> dict[str, str]:
    """All modules that `start` leads to, not through `stage`, each with what imports it."""
    why = dict.fromkeys(start, "the stage itself")
    waiting = sorted(start - {"stage"})
    while waiting:
        module = waiting.pop()
        for path in files_of(module, src):
            for found, line in ours(path, src):
                if found not in why:
                    why[found] = f"{path.relative_to(src.parent)}, line {line}"
                    waiting += [found] if found != "stage" else []
    return why


def place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}, line {line}"


MODULES = sorted(
    {path.stem for path in SRC.glob("[a-z]*.py")}
    | {path.parent.name for path in SRC.glob("*/__init__.py")}
)


# ---- stages --------------------------------------------------------------------------------


def test_stage_notebook_and_module_share_one_name():
    wrong = [f"dvc.yaml: stage {n!r} is not one plain word" for n in SPECS if not _is_plain(n)]
    for name, spec in SPECS.items():
        if not files_of(spec.module):
            wrong.append(f"dvc.yaml: stage {name} has no src/crm/{spec.module}.py")
        expected = None if name in BARE else f"notebooks/{name}.ipynb"
        if spec.notebook != expected:
            wrong.append(f"dvc.yaml: stage {name} depends on {spec.notebook}, not on {expected}")
        if expected and not (ROOT / expected).exists():
            wrong.append(f"{expected} is missing")
    orphans = sorted(set(BOOKS) - set(KEYED))
    none(wrong + [f"notebooks/{name}.ipynb has no stage in dvc.yaml" for name in orphans])


def _is_plain(name: str) -> bool:
    return re.fullmatch(r"[a-z]+(_[a-z]+)*", name) is not None


@each_stage
def test_a_stage_has_its_keys_in_order_and_runs_by_its_name(name):
    stage = STAGES[name]
    expected = [key for key in STAGE_KEYS if key in stage]
    wrong = []
    if list(stage) != expected:  # foreach, matrix, wdir and the like are not in the list
        wrong.append(f"dvc.yaml, {name}: keys are {list(stage)}, expected {expected}")
    if not stage.get("desc", "").strip():
        wrong.append(f"dvc.yaml, {name}: no desc")
    command = ["crm run site", "crm track"] if name == "site" else f"crm run {name}"
    if stage["cmd"] != command:
        wrong.append(f"dvc.yaml, {name}: cmd is {stage['cmd']!r}, expected {command!r}")
    none(wrong)


def test_dvc_yaml_holds_stages_and_one_interpolation():
    assert list(read_yaml(ROOT / "dvc.yaml")) == ["stages"]
    wrong = []
    for name, stage in STAGES.items():
        for key, value in stage.items():
            for found in re.findall(r"\$\{[^}]*\}", json.dumps(value)):
                if found != "${run.source}" or name not in INTERPOLATED or key != "deps":
                    wrong.append(f"dvc.yaml, {name}, {key}: {found}; write the path out")
    none(wrong)


@each_stage
def test_outputs_outlive_a_failed_run(name):
    entries = [*STAGES[name].get("outs", []), *STAGES[name].get("metrics", [])]
    wrong = []
    for entry in entries:
        path, flags = next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})
        if flags.get("persist") is not True:
            wrong.append(f"dvc.yaml, {name}: {path} lacks persist: true")
        if path.startswith("reports/metrics/") and flags.get("cache") is not False:
            wrong.append(f"dvc.yaml, {name}: {path} lacks cache: false; it belongs in git")
    none(wrong)


@each_keyed
def test_one_executed_copy_and_one_metrics_file(name):
    copies = [path for path in SPECS[name].outs if path.endswith(".ipynb")]
    metrics = [next(iter(entry)) for entry in STAGES[name].get("metrics", [])]
    none(
        f"dvc.yaml, {name}, {key}: lists {found or 'none'}, expected {[expected]}"
        for key, found, expected in (
            ("outs", copies, f"reports/notebooks/{name}.ipynb"),
            ("metrics", metrics, f"reports/metrics/{name}.json"),
        )
        if found != [expected]
    )


def test_every_analysis_has_tests_of_its_name():
    modules = sorted({spec.module for spec in KEYED.values()})
    none(
        f"tests/test_{module}.py is missing: a table of a few rows for each function of {module}"
        for module in modules
        if not (ROOT / f"tests/test_{module}.py").exists()
    )


def params_there_are() -> set[str]:
    """Sections, functions and leaves of params.yaml by dotted name."""
    parts = [leaf.split(".") for leaf in flattened(PARAMS)]
    return {".".join(part[:depth]) for part in parts for depth in range(1, len(part) + 1)}


@each_stage
def test_params_are_those_of_the_stages_own_module(name):
    only_site = ("run.language", "floors")
    wrong = []
    for listed in map(str, STAGES[name].get("params", [])):
        section = listed.split(".")[0]
        where = f"dvc.yaml, {name}, params: {listed}"
        if section not in (SPECS[name].module, *EXEMPT) or listed == "run":
            wrong.append(f"{where} is not of its own module, nor a key of run, nor vault")
        if listed not in params_there_are():
            wrong.append(f"{where} is not in params.yaml")
        if listed in UNTRACKED or (listed in only_site) != (name == "site"):
            wrong.append(
                f"{where} is tracked {'for others' if name == 'site' else 'by site'} alone"
            )
    none(wrong)


def test_every_section_of_params_yaml_is_tracked_by_its_stage():
    listed = {(s.module, str(p).split(".")[0]) for s in SPECS.values() for p in s.params}
    sections = [section for section in PARAMS if section not in EXEMPT]
    none(
        f"params.yaml: {section} is listed by no stage of it: a change would rerun nothing"
        for section in sections
        if (section, section) not in listed
    )


@each_keyed
def test_every_function_in_params_yaml_is_called_with_them(name):
    module = SPECS[name].module
    cells = [c for book in IN_BOTH if SPECS[book].module == module for c in code(BOOKS[book])]
    subscripts = [n.slice for c in cells for n in ast.walk(c.tree) if isinstance(n, ast.Subscript)]
    used = {s.value for s in subscripts if isinstance(s, ast.Constant)}
    none(
        f"params.yaml: {module}.{function} is used by no notebook of {module}"
        for function in PARAMS.get(module, {})
        if function not in used
    )


@each_stage
def test_every_input_is_made_before_it_is_read(name):
    order = list(SPECS)
    made = {path for earlier in order[: order.index(name)] for path in SPECS[earlier].outs}
    read = [d for d in SPECS[name].deps if d.startswith("data/")]
    wrong = [
        f"dvc.yaml, {name}: no earlier stage writes {path}"
        for path in read
        if not path.startswith(("data/raw/", "data/sources/", "data/pinned/")) and path not in made
    ]
    if name not in ("simulate", "ingest") and RUN_FILE not in SPECS[name].deps:
        wrong.append(f"dvc.yaml, {name}: does not depend on {RUN_FILE}")
    none(wrong)


@pytest.mark.parametrize("file", sorted(path.name for path in ROOT.glob("README*.md")))
def test_the_readme_shows_the_stages_of_dvc_yaml(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    if "<!-- stages -->" not in text:
        pytest.skip(f"{file} has no stage table yet")
    table = text.split("<!-- stages -->\n")[1].split("<!-- /stages -->")[0]
    assert table == stage_table(ROOT), "run `crm stages`"


def record_table() -> str:
    """The tables that files feed as a Markdown table: what one row is, and the fields it needs."""
    lines = ["| table | one row is | needs |", "|---|---|---|"]
    for name in ARRIVING:
        needs = [f"`{c.name}`" for c in fields(name).values() if c.required]
        pairs = [(r.field, r.value) for r in RULES if r.table == name and r.check == "either"]
        needs += [f"`{one}` or `{other}`" for one, other in pairs]
        lines.append(f"| `{name}` | {TABLES[f'staged/{name}'].row} | {', '.join(needs)} |")
    return "\n".join(lines) + "\n"


def test_the_page_on_sources_shows_the_tables_that_files_feed():
    text = (ROOT / "docs/sources.md").read_text(encoding="utf-8")
    found = text.split("<!-- records -->\n")[1].split("<!-- /records -->")[0]
    assert found == record_table(), f"write this between the marks:\n{record_table()}"


def test_the_page_on_sources_names_every_check_and_key_of_a_rule():
    text = (ROOT / "docs/sources.md").read_text(encoding="utf-8")
    named = {*CHECKS, *SEVERITIES, *ORIGINS, *(f.name for f in dataclass_fields(Rule))}
    assert sorted(named - {"requirement"} - set(re.findall(r"[a-z_]+", text))) == []


# ---- params --------------------------------------------------------------------------------


def test_every_leaf_of_params_yaml_is_a_keyword_of_a_public_function():
    none(map(str, params_problems(ROOT, PARAMS)))


@pytest.mark.parametrize("path", OVERRIDES, ids=lambda p: p.parent.name)
def test_so_is_every_override_of_a_source(path):
    where = str(path.relative_to(ROOT))
    none(map(str, params_problems(ROOT, read_yaml(path), where)))


def untyped(tree: ast.Module) -> list[str]:
    """Keywords of public functions whose type the signature leaves out."""
    public = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name[0] != "_"]
    return [
        f"{function.name}.{argument.arg}"
        for function in public
        for argument in function.args.kwonlyargs
        if argument.annotation is None
    ]


@pytest.mark.parametrize("module", ANALYSES)
def test_every_keyword_of_an_analysis_has_its_type_since_it_is_the_schema(module):
    path = module_path(ROOT, module)
    none(f"{path.relative_to(ROOT)}: {name} has no type" for name in untyped(parsed(path)))


def test_a_keyword_without_a_type_is_found():
    text = "def f(a, *, b, c: int = 1): ...\ndef g(a): ...\ndef _h(*, d): ...\n"
    assert untyped(ast.parse(text)) == ["f.b"]


@pytest.fixture
def small(tmp_path):
    """A project with one module, to plant wrong keys in."""
    module = tmp_path / "src/crm/rfm.py"
    module.parent.mkdir(parents=True)
    module.write_text(
        "def score(raw, *, method='anchor', top):\n    pass\n\n"
        "def _secret(raw, *, depth=1):\n    pass\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        ({"rfms": {"score": {"top": 1}}}, "did you mean 'rfm'?"),
        ({"rfm": {"scor": {"top": 1}}}, "did you mean 'score'?"),
        ({"rfm": {"score": {"tob": 1}}}, "did you mean 'top'?"),
        ({"run": {"sede": 1}}, "did you mean 'seed'?"),
        ({"rfm": {"score": {"raw": 1}}}, "unknown key rfm.score.raw"),  # no keyword: the table
        ({"rfm": {"_secret": {"depth": 1}}}, "unknown key rfm._secret"),  # not public
        ({"rfm": 3}, "rfm must be a mapping"),
        ({"rfm": {"score": 3}}, "rfm.score must be a mapping"),
    ],
)
def test_a_wrong_key_is_named_with_the_nearest_right_one(small, planted, said):
    (problem,) = params_problems(small, planted)
    assert said in str(problem)


def test_right_keys_pass_at_any_depth(small):
    mapping = {"a": {"b": 1}}  # the third level is a keyword; its value may be a mapping
    params = {"run": {"seed": 1}, "floors": {"rfm": {"x": 1}}, "rfm": {"score": {"top": mapping}}}
    assert params_problems(small, params) == []


# ---- deps ----------------------------------------------------------------------------------


def starts_of(name: str) -> set[str]:
    if name in BARE:
        return {name}
    found = [module_of(d) for c in code(BOOKS[name]) for d, _ in imports(c.tree)]
    return {module for module in found if module}


@pytest.mark.parametrize("name", [*BARE, *IN_BOTH])
def test_deps_are_all_modules_that_the_stage_runs_and_no_other(name):
    why = reached(starts_of(name))
    if name not in BARE:  # Stage holds every table against its schema
        why["tables"] = "stage.table, stage.write"
    needed = {
        f"src/crm/{m}{'.py' if (SRC / f'{m}.py').exists() else ''}": reason
        for m, reason in why.items()
        if m not in UNLISTED
    }
    listed = [path for path in SPECS[name].deps if path.startswith("src/")]
    missing = [f"{path} is missing ({needed[path]})" for path in needed if path not in listed]
    extra = [f"{path} is not used" for path in listed if path not in needed]
    none(f"dvc.yaml, {name}, deps: {finding}" for finding in missing + extra)


def test_imports_are_followed_into_functions_and_not_through_stage(tmp_path):
    src = tmp_path / "crm"
    (src / "pages").mkdir(parents=True)
    texts = {
        "rfm.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import crm.never\n"
        "def f():\n    from crm import plots, stage\n",
        "plots.py": "import crm.words as w\nfrom crm.pages.text import Writer\n",
        "stage.py": "from crm import chart\n",
        "pages/__init__.py": "",
        "pages/text.py": "from . import other\nfrom ..deep import thing\n",
    }
    for name in ("words.py", "chart.py", "never.py", "deep.py", "pages/other.py"):
        texts[name] = ""
    for name, text in texts.items():
        (src / name).write_text(text)
    assert set(reached({"rfm"}, src)) == {"rfm", "plots", "stage", "words", "pages", "deep"}


# ---- what a notebook reads and writes ------------------------------------------------------


def named(cell: Cell, *methods: str) -> list[tuple[str | None, str]]:
    """Names in `stage.table("…")` and the like with their place; None if it is no literal.

    A name that a comprehension takes from a literal, as in `stage.table(n) for n in ("a", "b")`,
    counts as a literal.
    """
    bound: dict[str, list] = {}
    for node in ast.walk(cell.tree):
        if isinstance(node, ast.comprehension) and isinstance(node.target, ast.Name):
            bound.setdefault(node.target.id, []).extend(getattr(node.iter, "elts", [node.iter]))
    found = []
    for call in calls(cell.tree, "stage", *methods):
        first = call.args[0] if call.args else None
        options = bound.get(first.id, [first]) if isinstance(first, ast.Name) else [first]
        for option in options:
            is_text = isinstance(option, ast.Constant) and isinstance(option.value, str)
            found.append((option.value if is_text else None, cell.at(call)))
    return found


def layer_of(paths: tuple[str, ...], layer: str) -> set[str]:
    """The declared tables of one layer, as `stage.layer` and `stage.write_all` take them."""
    return {p for p in paths if p.startswith(f"data/{layer}/") and table_name(p) in TABLES}


def catalogue_problems(spec: Spec, cells: list[Cell]) -> list[str]:
    """Tables used and not declared, or declared and not used.

    `stage.layer("clean")` reads every declared table of the layer, and `stage.write_all` may
    write each of them.
    """
    wrong = []
    for key, methods, whole, resolve in (
        ("deps", ("table", "read", "unlock"), "layer", spec.dep),
        ("outs", ("write", "save"), "write_all", spec.out),
    ):
        paths = spec.deps if key == "deps" else spec.outs
        declared = {p for p in paths if p.startswith("data/") and p != RUN_FILE}
        declared = {p for p in declared if not p.startswith(("data/raw/", "data/sources/"))}
        used = set()
        for name, where in (found for cell in code(cells) for found in named(cell, *methods)):
            try:
                used.add(resolve(name) if name else None)
            except ProjectError as error:
                wrong.append(f"{where}: {error}")
            if name is None:
                wrong.append(f"{where}: the name of a table must be a literal")
        for name, where in (found for cell in code(cells) for found in named(cell, whole)):
            tables = layer_of(paths, name) if name else set()
            used |= tables
            if not tables:
                said = (
                    f"no table of the layer {name!r} is declared" if name else "no literal layer"
                )
                wrong.append(f"{where}: {said}")
        wrong += [
            f"dvc.yaml, {spec.name}, {key}: no cell of the notebook uses {path}"
            for path in sorted(declared - used)
        ]
    return wrong


@each_keyed
def test_a_notebook_uses_exactly_the_tables_it_declares(name):
    none(catalogue_problems(SPECS[name], BOOKS[name]))


def test_undeclared_unused_and_computed_names_are_found():
    spec = Spec("rfm", "", ("data/tables/orders", "data/tables/old"), ("data/x/out",), None, ())
    text = "a = [stage.table(n) for n in ('orders', 'odd')]\nstage.write(name, a)"
    said = " | ".join(catalogue_problems(spec, [Cell("rfm", 0, "a", "code", text)]))
    assert "line 1: 'odd' is not declared by stage 'rfm'" in said
    assert "deps: no cell of the notebook uses data/tables/old" in said
    assert "line 2: the name of a table must be a literal" in said
    assert "outs: no cell of the notebook uses data/x/out" in said
    assert said.count("|") == 3


def test_a_layer_stands_for_its_declared_tables_and_must_have_some():
    deps = ("data/staged/events", "data/staged/tickets.parquet", "data/clean/orders")
    spec = Spec("clean", "", deps, ("data/clean/events", "data/clean/ledger.parquet"), None, ())
    text = 'a = stage.layer("staged")\nstage.write_all("clean", a)\nstage.table("clean/orders")'
    assert catalogue_problems(spec, [Cell("clean", 0, "a", "code", text)]) == []
    odd = 'stage.layer("stage")\nstage.write_all(name, a)\nstage.read("orders")'
    said = " | ".join(catalogue_problems(spec, [Cell("clean", 0, "a", "code", odd)]))
    assert "line 1: no table of the layer 'stage' is declared" in said
    assert "line 2: no literal layer" in said
    assert "deps: no cell of the notebook uses data/staged/events" in said
    assert "outs: no cell of the notebook uses data/clean/events" in said


@each_keyed
def test_facts_are_never_read_whole_into_a_frame(name):
    read = [found for cell in code(BOOKS[name]) for found in named(cell, "read")]
    tables = [(table_name(SPECS[name].dep(n)), where) for n, where in read if n]
    none(
        f"{where}: {table} grows with transactions: use stage.table"
        for table, where in tables
        if table in TABLES and TABLES[table].time
    )


@each_keyed
def test_the_files_of_a_source_are_declared_by_who_reads_them(name):
    text = "\n".join(ast.unparse(cell.tree) for cell in code(BOOKS[name]))
    spec, mapping, raw = SPECS[name], f"data/sources/{SOURCE}/mapping.yaml", f"data/raw/{SOURCE}"
    uses = {
        mapping: "stage.source.mapping" in text or "stage.keys" in text,
        raw: "stage.source.raw" in text,
        f"data/sources/{SOURCE}/tombstones.csv": "tombstones.csv" in text,
        RUN_FILE: name != "ingest",
    }
    wrong = [
        f"dvc.yaml, {name}, deps: {path} is {'missing' if is_used else 'not used'}"
        for path, is_used in uses.items()
        if is_used != (path in spec.deps)
    ]
    if "stage.keys" in text and "vault" not in spec.params:
        wrong.append(f"dvc.yaml, {name}, params: vault is missing: the notebook uses stage.keys")
    if ("stage.save_run" in text) != (RUN_FILE in spec.outs):
        wrong.append(f"dvc.yaml, {name}, outs: {RUN_FILE} and stage.save_run do not agree")
    none(wrong)


# ---- the form of a notebook ----------------------------------------------------------------


@each_book
def test_a_notebook_is_stripped(name):
    notebook, file, wrong = RAW[name], f"notebooks/{name}.ipynb", []
    if list(notebook["metadata"]) != ["kernelspec"]:
        wrong.append(f"{file}: metadata has {list(notebook['metadata'])}, kernelspec alone may be")
    times = Counter(cell.id for cell in BOOKS[name])
    wrong += [f"{file}: {times[i]} cells have the id {i!r}" for i in times if times[i] > 1]
    wrong += [f"{cell.at()}: no id" for cell in BOOKS[name] if not cell.id]
    for cell, raw in zip(BOOKS[name], notebook["cells"], strict=True):
        if raw.get("outputs") or raw.get("execution_count") is not None:
            wrong.append(f"{cell.at()}: has outputs; run nbstripout as `make lint` does")
        if set(raw["metadata"]) - {"tags"}:
            wrong.append(f"{cell.at()}: has metadata {sorted(raw['metadata'])}; tags alone may be")
    none(wrong)


def frame_problems(name: str, cells: list[Cell]) -> list[str]:
    """Title, parameters, setup, answer and saving: the cells that every notebook has."""
    file, wrong = f"notebooks/{name}.ipynb", []
    if cells[0].kind != "markdown" or not re.match(r"# .+\?\n\n[^#\s]", cells[0].source):
        wrong.append(f"{cells[0].at()}: begins with no `# …?` title and opening paragraph")
    params = [cell for cell in cells if "parameters" in cell.tags]
    if [cell.source.strip() for cell in params] != ["params = {}"]:
        wrong.append(f"{file}: needs one cell `params = {{}}` tagged parameters")
    made = [(c, n) for c in code(cells) for n in ast.walk(c.tree) if _is_call(n, "Stage")]
    if [ast.unparse(node) for _, node in made] != [f"Stage({name!r}, params)"]:
        wrong.append(f'{file}: needs one `Stage("{name}", params)`')
    tagged = {id(cell): "plumbing" in cell.tags for cell in cells}
    writes = ("write", "write_all", "save", "save_run")
    saving = [c for c in code(cells) if calls(c.tree, "stage", *writes)]
    plumbing = [cell for cell, _ in made] + saving
    wrong += [f"{c.at()}: is not tagged plumbing" for c in plumbing if not tagged[id(c)]]
    answers = [cell for cell in cells if "answer" in cell.tags]
    if len(answers) != 1 or not calls(answers[0].tree, "stage", "say"):
        wrong.append(f"{file}: needs one cell tagged answer that calls stage.say")
    if saving and not tagged[id(code(cells)[-1])]:
        wrong.append(f"{code(cells)[-1].at()}: the last code cell is not the one that saves")
    if not any(cell.source.strip() == "stage" for cell in code(cells)):
        wrong.append(f"{file}: no cell shows `stage`, its inputs and parameters")
    return wrong


def _is_call(node, name: str) -> bool:
    is_name = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    return is_name and node.func.id == name


@each_book
def test_a_notebook_has_title_parameters_setup_and_answer(name):
    none(frame_problems(name, BOOKS[name]))


def size_problems(name: str, cells: list[Cell]) -> list[str]:
    """Too much code for the prose, or too much in one cell.

    A cell that only says a computed sentence is prose; plumbing is neither.
    """
    file, wrong = f"notebooks/{name}.ipynb", []
    lengths = [sum(1 for line in c.source.splitlines() if line.strip()) for c in code(cells)]
    told = [c for c in code(cells) if c.source.lstrip().startswith("stage.say(")]
    prose = sum(cell.kind == "markdown" for cell in cells) + len(told)
    argued = [
        c for c in code(cells) if c not in told and not {"plumbing", "parameters"} & set(c.tags)
    ]
    if len(lengths) > MOST_CELLS:
        wrong.append(f"{file}: {len(lengths)} code cells, at most {MOST_CELLS}")
    if median(lengths or [0]) > MEDIAN_LINES:
        wrong.append(
            f"{file}: median of {median(lengths or [0])} lines a cell, at most {MEDIAN_LINES}"
        )
    if prose < len(argued):
        wrong.append(f"{file}: {prose} prose cells for {len(argued)} code cells, want as many")
    return wrong + [
        f"{cell.at()}: {length} lines, at most {MOST_LINES}"
        for cell, length in zip(code(cells), lengths, strict=True)
        if length > MOST_LINES
    ]


@each_book
def test_a_notebook_is_short_and_has_as_much_prose_as_code(name):
    none(size_problems(name, BOOKS[name]))


def code_problems(cells: list[Cell]) -> list[str]:
    """What belongs in a module and not in a cell."""
    wrong = []
    for cell in code(cells):
        if re.search(r"^\s*[%!]|^[\w.]+\?+$", cell.source, re.M):
            wrong.append(f"{cell.at()}: a magic, which is no Python")
        elif cell.parsed is None:
            wrong.append(f"{cell.at()}: is no Python")
        is_setup = any(_is_call(node, "Stage") for node in ast.walk(cell.tree))
        for node in ast.walk(cell.tree):
            said = NOT_IN_CELLS.get(type(node))
            if isinstance(node, ast.Call):
                function = node.func
                said = NOT_CALLED.get(getattr(function, "attr", getattr(function, "id", "")))
            if isinstance(node, ast.Import | ast.ImportFrom) and not is_setup:
                said = "an import: it belongs in the setup cell"
            wrong += [f"{cell.at(node)}: {said}"] if said else []
    return wrong


@each_book
def test_cells_hold_an_argument_and_no_machinery(name):
    none(code_problems(BOOKS[name]))


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        ("x = 1\ndef f():\n    return x", "line 2: a def"),
        ("class A:\n    pass", "line 1: a class"),
        ("f = lambda x: x", "a lambda"),
        ("for x in y:\n    x", "a loop"),
        ("while x:\n    y", "a loop"),
        ("print(x)", "print"),
        ("x = f'{y}'", "an f-string"),
        ("warnings.filterwarnings('ignore')", "a warnings filter"),
        ("%matplotlib inline", "a magic"),
        ("!ls", "a magic"),
        ("import pandas as pd", "an import"),
        ("x = = 1", "no Python"),
    ],
)
def test_machinery_in_a_cell_is_found(planted, said):
    (found,) = code_problems([Cell("rfm", 3, "abc", "code", planted)])
    assert found.startswith("notebooks/rfm.ipynb, cell 3 (abc)")
    assert said in found


def test_comprehensions_are_no_loops():
    text = "x = [y for y in z if y]\nw = {k: v for k, v in x}"
    assert code_problems([Cell("rfm", 0, "a", "code", text)]) == []


def chart_problems(cells: list[Cell]) -> list[str]:
    """Charts that nobody was told what to expect of."""
    wrong, is_told = [], False
    for cell in cells:
        if cell.kind == "markdown":
            has_heading = re.search(r"^#+ ", cell.source, re.M) is not None
            has_prose = re.search(r"^[^#\s]", cell.source, re.M) is not None
            is_told = has_prose or (is_told and not has_heading)
        for call in calls(cell.tree, "stage", "chart") if cell.kind == "code" else []:
            if not is_told:
                wrong.append(f"{cell.at(call)}: no prose in this section before the chart")
            is_told = False
    return wrong


@each_book
def test_before_each_chart_stands_what_we_expect(name):
    none(chart_problems(BOOKS[name]))


def test_a_chart_under_a_bare_heading_or_after_another_is_found():
    kinds = {"m": "markdown", "c": "code"}
    cells = ["mSee.", "cstage.chart(x)", "cstage.chart(x)", "mSee.", "m## Next", "cstage.chart(x)"]
    built = [Cell("rfm", n, "a", kinds[text[0]], text[1:]) for n, text in enumerate(cells)]
    assert [found.split(" (")[0][-1] for found in chart_problems(built)] == ["2", "5"]


# ---- texts ---------------------------------------------------------------------------------


def digits(text: str) -> str:
    """The line of a text with a digit that is neither a place for a metric nor allowed."""
    for line in text.splitlines():
        rest = re.sub(r"\{[a-z0-9_]+(:[a-z0-9]+)?\}", "", line)
        for pattern in TYPED:
            rest = re.sub(pattern, "", rest)
        if re.search(r"\d", rest):
            return line.strip()
    return ""


def texts(node: ast.AST | None) -> list[ast.Constant] | None:
    """The literal texts that an argument can be; None if one of them is computed."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node]
    parts: list[ast.AST] = []
    if isinstance(node, ast.Tuple):
        parts = node.elts
    elif isinstance(node, ast.IfExp):
        parts = [node.body, node.orelse]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return returned(ast.unparse(node.func.value), node.func.attr)
    found = [texts(part) for part in parts]
    return [one for some in found for one in some] if found and None not in found else None


def returned(module: str, function: str) -> list[ast.Constant] | None:
    """The literal messages that a function of an analysis can return."""
    if module not in ANALYSES:
        return None
    functions = [n for n in parsed(SRC / f"{module}.py").body if isinstance(n, ast.FunctionDef)]
    for one in functions:
        if one.name == function:
            values = [n.value for n in ast.walk(one) if isinstance(n, ast.Return)]
            found = [texts(value) for value in values]
            return [t for some in found for t in some] if found and None not in found else None
    return None


def messages(cell: Cell) -> list[tuple[str, ast.AST]]:
    """All arguments of a cell that people read as sentences: say, tiles, titles, alt texts."""
    found = []
    for call in calls(cell.tree, "stage", "say"):
        found += [("say", node) for node in (*call.args, *(w.value for w in call.keywords))]
    for call in calls(cell.tree, "stage", "tiles"):
        found += [(f"tile {word.arg}", word.value) for word in call.keywords]
    for call in calls(cell.tree, "stage", "show"):
        found += [("title", argument) for argument in call.args[1:2]]
        found += [("title", word.value) for word in call.keywords if word.arg == "title"]
    for call in calls(cell.tree, "plots"):
        found += [(w.arg, w.value) for w in call.keywords if w.arg in ("title", "alt")]
    return found


def message_problems(cells: list[Cell]) -> list[str]:
    """Messages that are computed, contain a typed number or a place that is none."""
    wrong = []
    for cell in code(cells):
        for what, node in messages(cell):
            where = f"{cell.at(node)}, {what}"
            literals = texts(node)
            if literals is None:
                wrong.append(f"{where}: must be a literal message")
            for text in (literal.value for literal in literals or []):
                if digits(text):
                    wrong.append(f"{where}: a number is typed, not computed: {digits(text)!r}")
                places = re.findall(r"\{[^}]*\}?|\}", text)
                forms = [p[1:-1].partition(":")[2] for p in places]
                if len(keys(text)) != len(places) or not all(map(FORM.fullmatch, forms)):
                    wrong.append(f"{where}: not a place of the kind {{key:form}} in {places}")
                if many := PLURAL.search(text):
                    wrong.append(f"{where}: would say 1 rows: write {many[0][:-1]}[s]")
    return wrong


@each_book
def test_numbers_in_computed_sentences_are_metrics(name):
    none(message_problems(BOOKS[name]))


@each_book
def test_no_number_is_typed_in_prose(name):
    prose = [cell for cell in BOOKS[name] if cell.kind == "markdown"]
    none(
        f"{cell.at(cell.source.splitlines().index(line) + 1)}: a number is typed: {line!r}"
        for cell in prose
        for line in [text for text in cell.source.splitlines() if digits(text)]
    )


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        ("stage.say('{n} of 4338 customers')", "say: a number is typed"),
        ("stage.say(text)", "say: must be a literal message"),
        ("stage.say('**{n} new rows** came')", "say: would say 1 rows: write {n} new row[s]"),
        ("stage.show(x, 'The {n:int} rows')", "title: would say 1 rows: write {n:int} row[s]"),
        ("stage.say('{n:percent} of all')", "not a place"),
        ("stage.say('{N} of all')", "not a place"),
        ("stage.tiles(customers=('{n}', 'of 12'))", "tile customers: a number is typed"),
        ("stage.show(x, 'The 10 best')", "title: a number is typed"),
        ("stage.chart(plots.bars(x, title='Top 5', alt='Bars'))", "title: a number is typed"),
        ("stage.chart(plots.bars(x, title='Top', alt='Steps of 5'))", "alt: a number is typed"),
    ],
)
def test_a_typed_number_or_a_wrong_place_is_found(planted, said):
    (found,) = message_problems([Cell("rfm", 0, "a", "code", planted)])
    assert said in found


def test_places_rule_ids_and_named_constants_are_no_typed_numbers():
    text = "The best 20% bring {top20:pct0} (RFM-09, C360-02): 20% off, scored from 0 to 100."
    assert digits(text) == ""
    assert digits("We gave 25% off.") == "We gave 25% off."


# ---- who imports whom ----------------------------------------------------------------------


def all_ours() -> list[tuple[str, Path, str, int]]:
    """Every import among our modules: who, in which file, whom, in which line."""
    return [
        (module, path, found, line)
        for module in MODULES
        for path in files_of(module)
        for found, line in ours(path)
    ]


def test_no_analysis_imports_another_or_what_shows_it():
    never = {*ANALYSES, "stage", "run", "plots", "track", "use", "site"}
    none(
        f"{place(path, line)}: {module} imports {found}; analyses meet as Parquet"
        for module, path, found, line in all_ours()
        if module in ANALYSES and found in never - {module}
    )


def test_the_shared_modules_import_downward_only():
    none(
        f"{place(path, line)}: {module} may import {sorted(MAY_IMPORT[module]) or 'nothing'}"
        f" of ours, not {found}"
        for module, path, found, line in all_ours()
        if module in MAY_IMPORT and found not in MAY_IMPORT[module]
    )


def test_only_run_imports_what_has_a_command():
    none(
        f"{place(path, line)}: only run.py imports {found}"
        for module, path, found, line in [*all_ours(), *_of_main()]
        if found in ONLY_RUN and module not in ("run", found)  # a package imports its own parts
        and (module, found) not in (("__main__", "run"), ("rotate", "use"))
    )  # fmt: skip


def _of_main() -> list[tuple[str, Path, str, int]]:
    path = SRC / "__main__.py"
    return [("__main__", path, found, line) for found, line in ours(path)]


@each_book
def test_a_notebook_imports_its_analysis_plots_and_stage(name):
    module = SPECS[name].module if name in SPECS else name
    allowed = {f"crm.{module}", "crm.disclosure", "crm.plots", "crm.stage.Stage"}
    if any(path.endswith("/mapping.yaml") for path in (SPECS[name].deps if name in SPECS else ())):
        allowed.add("crm.mapping")  # who reads the mapping of the source
    found = [(cell, *one) for cell in code(BOOKS[name]) for one in imports(cell.tree)]
    none(f"{c.at(line)}: imports {what}" for c, what, line in found if what not in allowed)


def test_the_runner_alone_knows_papermill_and_track_alone_mlflow():
    wrong = []
    for path in sorted(SRC.rglob("*.py")):
        for dotted, line in imports(parsed(path)):
            home = HOME_OF.get(dotted.split(".")[0])
            if home and path != SRC / home:
                wrong.append(f"{place(path, line)}: only {home} imports {dotted}")
    none(wrong)


def test_parquet_is_opened_by_the_engine_and_at_the_source_alone():
    wrong = []
    for path in sorted(SRC.rglob("*.py")):
        if path.relative_to(SRC).as_posix() in OPENS_PARQUET:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            wrong += [f"{place(path, number)}: {line.strip()}"] if PARQUET.search(line) else []
    for cells in BOOKS.values():
        wrong += [
            f"{c.at()}: opens Parquet itself" for c in code(cells) if PARQUET.search(c.source)
        ]
    none(wrong)


@pytest.mark.parametrize("module", LIGHT)
def test_the_command_starts_light(module):
    waiting, seen, wrong = [module], set(), []
    while waiting:
        for path in files_of(waiting.pop()):
            seen.add(path)
            package = path.relative_to(SRC.parent).parent.parts
            for dotted, line in imports(parsed(path), package, only_top=True):
                if dotted.split(".")[0] in HEAVY:
                    wrong.append(f"{place(path, line)}: import {dotted} inside the function")
            found = {m for m, _ in ours(path, only_top=True)}
            waiting += [m for m in sorted(found) if not seen & {*files_of(m)}]
    none(wrong)


# ---- tables --------------------------------------------------------------------------------


def table_problems(table) -> list[str]:
    """What a schema leaves out or contradicts."""
    wrong = [f"no {w}" for w in ("row", "owner", "purpose", "key") if not getattr(table, w)]
    wrong += [f"key {name!r} is no column" for name in table.key if name not in table.names]
    wrong += [f"column {n!r} twice" for n, times in Counter(table.names).items() if times > 1]
    days = [column.name for column in table.columns if column.type in ("timestamp", "date")]
    if table.time and table.time not in days:
        wrong.append(f"time {table.time!r} is no column of dates")
    wrong += [f"same {name!r} is no column" for name in table.same if name not in table.names]
    for column in table.columns:
        wrong += [f"column {column.name!r} has no about"] * (not column.about.strip())
        wrong += [f"column {column.name!r} is of no known type"] * (column.type not in TYPES)
        if column.personal and not table.name.startswith("vault/"):
            wrong.append(f"column {column.name!r} is personal, outside the vault")
        if (column.codes or column.free) and column.type != "string":
            wrong.append(f"column {column.name!r} has codes or free text but is no string")
        if column.codes and column.free:
            wrong.append(f"column {column.name!r} has codes and free text")
        if column.unit and column.type in ("string", "bool", "date", "timestamp"):
            wrong.append(f"column {column.name!r} has a unit but is no number")
    return [f"src/crm/tables.py, {table.name}: {finding}" for finding in wrong]


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_table_says_what_it_is_and_an_empty_one_passes(name):
    assert TABLES[name].name == name
    none(table_problems(TABLES[name]))
    check(name, empty(name))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"owner": ""}, "no owner"),
        ({"purpose": ""}, "no purpose"),
        ({"row": ""}, "no row"),
        ({"key": ("odd",)}, "key 'odd' is no column"),
        ({"time": "n"}, "time 'n' is no column of dates"),
        ({"same": ("odd",)}, "same 'odd' is no column"),
        ({"columns": (Column("id", "int", ""),)}, "column 'id' has no about"),
        ({"columns": (Column("id", "text", "x"),)}, "column 'id' is of no known type"),
        ({"columns": (Column("id", "int", "x", codes=("a",)),)}, "has codes or free text but"),
        ({"columns": (Column("id", "string", "x", unit="m"),)}, "has a unit but is no number"),
        ({"columns": (Column("id", "string", "x", personal=True),)}, "is personal, outside"),
        ({"columns": (Column("id", "string", "x", codes=("a",), free=True),)}, "codes and free"),
    ],
)
def test_a_schema_that_leaves_something_out_is_found(change, said):
    columns = (Column("id", "string", "x"), Column("n", "int", "x"))
    made = Table("clean/x", "one x", "sales", "to see", ("id",), columns)
    assert table_problems(made) == []
    assert any(said in finding for finding in table_problems(replace(made, **change)))


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_has_the_same_columns_in_each_layer_but_for_who_it_is_about(name):
    staged, clean, final = (TABLES[f"{layer}/{name}"] for layer in ("staged", "clean", "tables"))
    assert staged.names[:2] == ["source", "line"]
    assert clean.names == staged.names[1:]
    whose = [n.replace("customer_key", "customer_id") for n in clean.names]
    assert final.names == whose
    same = {(table.row, table.owner, table.time) for table in (staged, clean, final)}
    assert len(same) == 1


def unlogged(tree: ast.AST) -> list[int]:
    """Lines that decrypt in a function which writes no line into the access log before."""
    found = []
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            calls = [n for n in ast.walk(function) if isinstance(n, ast.Call)]
            named = [(ast.unparse(call.func).split(".")[-1], call.lineno) for call in calls]
            logged = min([line for name, line in named if name == "log"], default=10**9)
            found += [line for name, line in named if name == "decrypt" and line < logged]
    return found


def test_nothing_is_decrypted_without_a_line_in_the_access_log():
    files = [path for path in sorted(SRC.rglob("*.py")) if path.name != "vault.py"]
    none(
        f"{place(path, line)}: call vault.log before vault.decrypt, in the same function"
        for path in files
        for line in unlogged(parsed(path))
    )
    none(
        f"{place(path, line)}: only vault.py knows {name}; call vault.decrypt by that name"
        for path in files
        for name, line in imports(parsed(path))
        if name.startswith("cryptography") or name == "crm.vault.decrypt"
    )
    none(
        f"{c.at()}: a notebook decrypts with stage.unlock alone"
        for cells in BOOKS.values()
        for c in code(cells)
        if "decrypt" in c.source
    )


def test_a_decryption_without_or_before_its_line_in_the_log_is_found():
    bare = "def f():\n    vault.decrypt(x)\n"
    late = "def f():\n    vault.decrypt(x)\n    vault.log(y)\n"
    right = "def f():\n    vault.log(y)\n    vault.decrypt(x)\n"
    assert [unlogged(ast.parse(text)) for text in (bare, late, right)] == [[2], [2], []]


def test_no_analysis_sees_a_key_of_the_source():
    """Facts of the last layer name customers by pseudonym; only the map knows both."""
    none(
        f"src/crm/tables.py, {name}: has customer_key"
        for name, table in TABLES.items()
        if name.startswith(("tables/", "features/")) and "customer_key" in table.names
        and name != "tables/identity_map"
    )  # fmt: skip


SERVING = {  # about everybody: they decide, or show one customer to who serves them
    "features/permits", "features/profiles", "features/timeline",
}  # fmt: skip


def test_every_table_of_single_customers_says_what_they_must_permit():
    wrong = []
    for name, table in TABLES.items():
        if not name.startswith("features/") or "customer_id" not in table.names:
            continue
        if name not in SERVING and table.needs not in PURPOSES:
            wrong.append(f"{name}: say in `needs` which of {PURPOSES} its customers must permit")
        makers = [n for n, s in STAGES.items() if any(name in json.dumps(o) for o in s["outs"])]
        deps = [STAGES[n].get("deps", []) for n in makers]
        if table.needs and any("data/features/permits.parquet" not in d for d in deps):
            wrong.append(f"dvc.yaml, {makers}: writes {name}, so it needs features/permits")
    none(wrong)


def test_every_record_goes_through_every_layer_as_declared():
    wrong = []
    for stage, read, written in (
        ("ingest", "", "staged"), ("clean", "staged", "clean"), ("identity", "clean", "tables"),
    ):  # fmt: skip
        for key, layer in (("deps", read), ("outs", written)):
            paths = {table_name(p) for p in getattr(SPECS[stage], key) if p.startswith("data/")}
            wrong += [
                f"dvc.yaml, {stage}, {key}: {layer}/{name} is missing"
                for name in RECORDS
                if layer and f"{layer}/{name}" not in paths
            ]
    none(wrong)


def test_every_written_table_has_a_schema_and_every_schema_is_written():
    exempt = ("data/models/", "data/raw/", "data/truth/", RUN_FILE)
    outs = [(stage, path) for stage, spec in SPECS.items() for path in spec.outs]
    written = {p: s for s, p in outs if p.startswith("data/") and not p.startswith(exempt)}
    names = {table_name(path): path for path in written}
    wrong = [
        f"dvc.yaml, {written[path]}: {path} has no schema in tables.py"
        for name, path in names.items()
        if name not in TABLES
    ]
    wrong += [f"src/crm/tables.py: no stage writes {name}" for name in {*TABLES} - {*names}]
    for name in names.keys() & TABLES.keys():
        if bool(TABLES[name].time) == names[name].endswith(".parquet"):
            wrong.append(
                f"dvc.yaml: {names[name]}: a table with `time` is a folder, others a file"
            )
    none(wrong)


# ---- the repository ------------------------------------------------------------------------


def listed_by_git(*arguments: str) -> list[Path]:
    command = ["git", "ls-files", "-z", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    return [ROOT / name for name in done.stdout.split("\0") if name]


@pytest.fixture(scope="module")
def kept() -> list[Path]:
    """The files in git, and what lies in our folders and will be."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git repository")
    found = {*listed_by_git(), *listed_by_git("-o", "--exclude-standard", "--", *OURS)}
    return sorted(path for path in found if path.is_file())


def test_no_file_in_git_is_large(kept):
    sizes = [(path, path.stat().st_size) for path in kept]
    none(
        f"{path.relative_to(ROOT)}: {size / LARGEST:.1f} MiB; data is for DVC"
        for path, size in sizes
        if size > LARGEST
    )


def test_no_file_names_a_registry_or_a_place_on_a_machine(kept):
    wrong = []
    for path in kept:
        text = path.read_bytes().decode("utf-8", "ignore")
        if not (REGISTRY.search(text) or MACHINE.search(text)):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            for found in (REGISTRY.search(line), MACHINE.search(line)):
                wrong += [f"{place(path, number)}: {found[0]}"] if found else []
    none(wrong)


def test_registries_and_places_are_told_from_words_and_web_addresses():
    for place_name in ("home/ann", "work/crm", "Users/ann"):
        assert MACHINE.search(f'path = "/{place_name}/x"')
        assert MACHINE.search(f"see file:///{place_name}")
        assert not MACHINE.search(f"https://example.com/{place_name} and data/{place_name}")
    assert REGISTRY.search("https://files.python" + "hosted.org/x")
    assert not REGISTRY.search("aiohttp, pypiserver and https://doi.org/x")


@pytest.mark.parametrize("path", sorted(ROOT.glob("requirements*.lock")), ids=lambda p: p.name)
def test_the_lock_names_versions_and_hashes_and_no_address(path):
    package, wrong, hashed = re.compile(r"[a-z0-9][\w.-]*(\[[\w,-]+\])?==\S+"), [], {}
    owner = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if re.search(r"://|index-url|find-links", line):
            wrong.append(f"{path.name}, line {number}: an address: {line.strip()}")
        if line.lstrip().startswith("--hash=sha256:"):
            hashed[owner] = True
        elif line.strip() and not line.lstrip().startswith("#"):
            owner = f"{path.name}, line {number}: {line.split()[0]}"
            hashed[owner] = "--hash=sha256:" in line
            wrong += [] if package.match(line) else [f"{owner} is not one exact version"]
    none(wrong + [f"{owner} has no hash" for owner, has in hashed.items() if not has])


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_docstrings_run(name):
    found = doctest.testmod(importlib.import_module(f"crm.{name}"))
    assert found.failed == 0, f"{found.failed} of {found.attempted} examples fail"
