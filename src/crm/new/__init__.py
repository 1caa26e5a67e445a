"""`crm new`: the files and entries of an analysis that runs as it stands, to be made one's own.

The skeleton counts active customers; whatever is to be replaced in it is marked `Replace:`. The
templates lie beside this file; in them `@name@` is the name of the analysis.
"""

from __future__ import annotations

import ast
import builtins
import json
import keyword
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from crm.document import Problem
from crm.project import EXEMPT, ProjectError, load_params, parse_yaml, read_yaml, settings
from crm.tables import TABLES

BASE = "demo"  # the source whose params.yaml is in git
SITE = "\n  site:\n"  # the last stage: a new one stands before it
FILES = {  # place: its template
    "src/crm/@name@.py": "module.txt",
    "notebooks/@name@.ipynb": "notebook.txt",
    "tests/test_@name@.py": "test.txt",
}
NEXT = """\
wrote src/crm/@name@.py, notebooks/@name@.ipynb and tests/test_@name@.py
added @name@ to dvc.yaml, params.yaml, src/crm/tables.py and the READMEs

It runs as it stands and counts active customers:
  dvc repro @name@
  crm test tests/test_@name@.py tests/test_contracts.py

Then make it yours, in this order; `Replace:` marks what is only an example:
  1. notebooks/@name@.ipynb: the question, and what one row is
  2. src/crm/@name@.py: what the words mean, and the functions
  3. src/crm/tables.py: columns of features/@name@, owner, purpose, what customers must permit
  4. dvc.yaml: the tables that it reads, and its desc; then `crm stages`
  5. params.yaml: what the business may change
  6. tests/test_@name@.py: a table of a few rows for each function
The contract tests say, file by file, what does not agree yet.
"""


def new(root: Path, name: str) -> str:
    """Write files and entries of the analysis `name`; returns what to do next.

    Raises
    ------
    ProjectError
        The name cannot be one, or something of that name is there: nothing is written.
    """
    found = reason(root, name)
    if found:
        expected = "one new word of 3 to 20 small letters, such as loyalty"
        problem = Problem("crm new", f"{name!r} {found}", expected, "give another name")
        raise ProjectError(str(problem))
    source = settings(load_params(root))["source"]
    if source != BASE:
        found, expected = f"params.yaml is that of {source}", f"that of {BASE}, which is in git"
        raise ProjectError(str(Problem("crm new", found, expected, f"run `crm use {BASE}`")))
    _write({root / path: text for path, text in (_files(name) | _entries(root, name)).items()})
    return NEXT.replace("@name@", name)


def reason(root: Path, name: str) -> str:
    """Why an analysis cannot have the name; empty if it can."""
    stages = read_yaml(root / "dvc.yaml").get("stages") or {}
    sections = {*EXEMPT, *load_params(root), *(stage.split("_")[0] for stage in stages)}
    places = [root / path.replace("@name@", name) for path in FILES]
    if not re.fullmatch("[a-z]{3,20}", name):
        return "is no name"
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or hasattr(builtins, name):
        return "is a word of Python"
    if name in sys.stdlib_module_names or find_spec(name):
        return "is the name of a package"
    if name in sections or name in stages:
        return "is a stage or a section of params.yaml"
    if (root / "src/crm" / name).exists() or any(place.exists() for place in places):
        return "is there already"
    if name in {table.split("/")[-1] for table in TABLES}:
        return "is a table"
    return "is a word of its notebook or of its test" if name in _words() else ""


def _words() -> set[str]:
    """The names that notebook and test use, so that no import may take one."""
    cells = json.loads(_template("notebook.txt", "a"))["cells"]
    texts = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    trees = map(ast.parse, [*texts, _template("test.txt", "a")])
    return {name for tree in trees for node in ast.walk(tree) for name in _names(node)} - {"a"}


def _names(node: ast.AST) -> Iterator[str]:
    """The names that one place of a program uses or gives."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.FunctionDef):
        yield node.name
    elif isinstance(node, ast.alias):
        yield node.asname or node.name


def _files(name: str) -> dict[str, str]:
    return {
        path.replace("@name@", name): _template(template, name) for path, template in FILES.items()
    }


def _entries(root: Path, name: str) -> dict[str, str]:
    """The files that get an entry, with it."""
    texts = {
        path: (root / path).read_text(encoding="utf-8")
        for path in ("dvc.yaml", "params.yaml", "src/crm/tables.py")
    }
    stages, params, tables = texts.values()
    end = _end_of_tables(tables)
    if stages.count(SITE) != 1 or end is None:
        found = "no stage `site` in dvc.yaml" if end else "no list `_ALL` in src/crm/tables.py"
        raise ProjectError(
            str(Problem("crm new", found, "the place for a new one", "put it back"))
        )
    lines = tables.splitlines(keepends=True)
    made = {
        "dvc.yaml": stages.replace(SITE, f"\n{_template('stage.txt', name)}{SITE}"),
        "params.yaml": f"{params.rstrip()}\n\n{_template('params.txt', name)}",
        "src/crm/tables.py": "".join([*lines[:end], _template("table.txt", name), *lines[end:]]),
    }
    for path in ("dvc.yaml", "params.yaml"):
        parse_yaml(made[path], path)
    ast.parse(made["src/crm/tables.py"])
    return made


def _end_of_tables(text: str) -> int | None:
    """The line before which the last table ends; None if there is no list of tables."""
    for node in ast.parse(text).body:
        named = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_ALL"
        if named and isinstance(node.value, ast.List):
            return node.value.end_lineno - 1
    return None


def _template(file: str, name: str) -> str:
    """A template with the name in its places; imports in the order of the alphabet."""
    text = (Path(__file__).parent / file).read_text(encoding="utf-8")
    for other in ("engine", "plots"):
        text = text.replace(f"@name@+{other}", ", ".join(sorted((name, other))))
    return text.replace("@name@", name)


def _write(texts: dict[Path, str]) -> None:
    """All files or none: what was there is put back if one cannot be written."""
    before = {path: path.read_bytes() if path.exists() else None for path in texts}
    try:
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8", newline="")
    except BaseException:
        for path, kept in before.items():
            if kept is None:
                path.unlink(missing_ok=True)
            elif path.read_bytes() != kept:
                path.write_bytes(kept)
        raise
