"""The two files that describe the project: dvc.yaml (stages, paths) and params.yaml (call sheet).

params.yaml is a call sheet: `<module>.<function>.<keyword>: value`. The signature of the function
is the schema, read from the syntax tree, so that a wrong key is found before anything runs.
"""

from __future__ import annotations

import ast
import difflib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

RUN_KEYS = (
    "source",
    "as_of",
    "seed",
    "currency",
    "time_zone",
    "language",
    "engine",
    "threads",
    "memory",
)
EXEMPT = ("run", "floors", "vault")  # sections that are no call sheet


class ProjectError(ValueError):
    """dvc.yaml or params.yaml says something that cannot be."""


@dataclass(frozen=True)
class Spec:
    """One stage as dvc.yaml declares it; paths are relative to the project."""

    name: str
    desc: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    metrics: str | None
    params: tuple[str, ...]

    @property
    def module(self) -> str:
        """The stage's first word: the name of its module and of its params section."""
        return self.name.split("_")[0]

    @property
    def notebook(self) -> str | None:
        return next((d for d in self.deps if d.startswith("notebooks/")), None)

    def dep(self, name: str) -> str:
        """Path of the declared input table or file `name`."""
        return self._declared(name, self.deps, "reads")

    def out(self, name: str) -> str:
        """Path of the declared output table `name`."""
        return self._declared(name, self.outs, "writes")

    def _declared(self, name: str, paths: tuple[str, ...], verb: str) -> str:
        """The path of a table by its name, or by `layer/name` where two layers share a name."""
        full = {table_name(path): path for path in paths if path.startswith("data/")}
        short = [layered.split("/")[-1] for layered in full]
        names = {
            n if short.count(n) == 1 else f: p
            for n, (f, p) in zip(short, full.items(), strict=True)
        }
        if name not in names | full:
            raise ProjectError(
                f"{name!r} is not declared by stage {self.name!r} in dvc.yaml; it {verb} "
                f"{sorted(names)}"
            )
        return (names | full)[name]


def table_name(path: str) -> str:
    """The schema name of a path: `data/features/rfm.parquet` is `features/rfm`."""
    return path.removeprefix("data/").removesuffix(".parquet")


def find_root(start: Path | None = None) -> Path:
    """The folder that holds dvc.yaml: upward from the working folder, else from this package."""
    for origin in (start or Path.cwd(), Path(__file__).resolve()):
        for folder in (origin, *origin.parents):
            if (folder / "dvc.yaml").exists() and (folder / "params.yaml").exists():
                return folder
    raise ProjectError("found no dvc.yaml and params.yaml above the working folder")


def load_params(root: Path) -> dict:
    """params.yaml as a dict; a syntax error becomes one line with its place."""
    return read_yaml(root / "params.yaml") or {}


def read_yaml(path: Path):
    """A YAML file, duplicate keys refused, errors as one line with file and place."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise ProjectError(f"{path.name}, line {line}: {error.problem}; mend the YAML") from None
    except YAMLError as error:
        raise ProjectError(f"{path.name}: {str(error).splitlines()[0]}; mend the YAML") from None


def load_specs(root: Path, source: str) -> dict[str, Spec]:
    """The stages of dvc.yaml in order, `${run.source}` resolved."""
    stages = (read_yaml(root / "dvc.yaml") or {}).get("stages", {})
    return {name: _spec(name, stage, source) for name, stage in stages.items()}


def merged(params: dict, over: dict | None) -> dict:
    """`params` overridden deeply by `over`; a list or a value replaces, a mapping merges.

    Examples
    --------
    >>> merged({"a": {"x": 1, "y": 2}}, {"a": {"x": 3}})
    {'a': {'x': 3, 'y': 2}}
    """
    result = dict(params)
    for key, value in (over or {}).items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def flattened(params: dict, prefix: str = "") -> dict:
    """The leaves by dotted name, in order.

    Examples
    --------
    >>> flattened({"a": {"x": 1}, "b": [2]})
    {'a.x': 1, 'b': [2]}
    """
    flat = {}
    for key, value in params.items():
        if isinstance(value, dict) and value:
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


@cache
def signatures(module: Path) -> dict[str, dict[str, object]]:
    """Keyword-only arguments of each public function of a module, with literal defaults."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
    return {f.name: _keywords(f) for f in functions if not f.name.startswith("_")}


def module_path(root: Path, name: str) -> Path:
    """The file that holds the public functions of a module or package of `crm`."""
    package = root / "src/crm" / name / "__init__.py"
    return package if package.exists() else root / "src/crm" / f"{name}.py"


def params_problems(root: Path, params: dict) -> list[str]:
    """Everything in params.yaml that names no section, function or keyword there is."""
    found = [
        f"params.yaml: {_unknown('run.', key, RUN_KEYS)}"
        for key in params.get("run") or {}
        if key not in RUN_KEYS
    ]
    modules = {p.stem for p in (root / "src/crm").glob("*.py")} | set(EXEMPT)
    modules |= {p.parent.name for p in (root / "src/crm").glob("*/__init__.py")}
    for section, functions in params.items():
        if section not in modules:
            found.append(f"params.yaml: {_unknown('', section, modules)}")
        elif section not in EXEMPT:
            found += section_problems(root, section, functions)
    return found


def section_problems(root: Path, section: str, functions) -> list[str]:
    """What one section names that its module does not have."""
    known = signatures(module_path(root, section))
    if not isinstance(functions, dict):
        return [f"params.yaml: {section} must be a mapping of functions, found {functions!r}"]
    found = []
    for function, keywords in functions.items():
        if function not in known:
            found.append(f"params.yaml: {_unknown(section + '.', function, known)}")
        elif not isinstance(keywords, dict):
            found.append(f"params.yaml: {section}.{function} must be a mapping of keywords")
        else:
            prefix = f"{section}.{function}."
            found += [
                f"params.yaml: {_unknown(prefix, keyword, known[function])}"
                for keyword in keywords
                if keyword not in known[function]
            ]
    return found


def _unknown(prefix: str, key: str, known) -> str:
    close = difflib.get_close_matches(str(key), [str(k) for k in known], n=1)
    hint = f"; did you mean {prefix}{close[0]}?" if close else ""
    return f"unknown key {prefix}{key}{hint or ';'} there are {', '.join(sorted(map(str, known)))}"


def _keywords(function: ast.FunctionDef) -> dict[str, object]:
    arguments = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    return {argument.arg: _literal(default) for argument, default in arguments}


def _literal(node):
    try:
        return ast.literal_eval(node) if node is not None else None
    except ValueError:
        return ast.unparse(node)


def _spec(name: str, stage: dict, source: str) -> Spec:
    def paths(key):
        entries = stage.get(key, [])
        names = [next(iter(e)) if isinstance(e, dict) else e for e in entries]
        return tuple(n.replace("${run.source}", source) for n in names)

    return Spec(
        name=name,
        desc=stage.get("desc", ""),
        deps=paths("deps"),
        outs=paths("outs"),
        metrics=next(iter(paths("metrics")), None),
        params=tuple(p for p in stage.get("params", []) if isinstance(p, str)),
    )
