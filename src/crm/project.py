"""The two files that describe the project: dvc.yaml (stages, paths) and params.yaml (call sheet).

params.yaml is a call sheet: `<module>.<function>.<keyword>: value`. The signature of the function
is the schema, types included, read from the syntax tree: a wrong key or value is found before
anything runs. A keyword whose type YAML cannot write, such as `date`, is no parameter: the
notebook gives it.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from crm import document
from crm.document import Document, Problem, did_you_mean, short

EXEMPT = ("run", "floors", "vault")  # sections that are no call sheet
NOTEBOOK = "params of the notebook"  # where messages see what papermill or JupyterLab gave


def _is_whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63


def _is_number(value) -> bool:
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def _is_day(value) -> bool:
    try:
        return value == "auto" or bool(date.fromisoformat(str(value)))
    except ValueError:
        return False


def _is_zone(value) -> bool:
    try:
        return isinstance(value, str) and bool(ZoneInfo(value))
    except (ValueError, OSError, KeyError):
        return False


def _looks(pattern: str) -> Callable:
    return lambda value: isinstance(value, str) and bool(re.fullmatch(pattern, value))


RUN = {  # key: whether a value fits, what is expected, an example
    "source": (_looks(r"\w[\w .-]*"), "the name of a folder of data/sources", "demo"),
    "as_of": (_is_day, "auto or a day", "2024-12-31"),
    "seed": (_is_whole, "a whole number", "1"),
    "currency": (_looks("[A-Z]{3}"), "the code of a currency", "EUR"),
    "time_zone": (_is_zone, "the name of a time zone", "Asia/Shanghai"),
    "language": (_looks("[a-z]{2}(-[A-Za-z]+)?"), "the code of a language", "en"),
    "min_cell": (lambda v: _is_whole(v) and v >= 1, "a number, 1 to hide nothing", "5"),
    "engine": (lambda value: value == "duckdb", "the one engine there is", "duckdb"),
    "threads": (lambda v: _is_whole(v) and 0 <= v < 10_000, "a number, 0 for all cores", "0"),
    "memory": (_looks(r"(?i)(\d{1,9}(\.\d+)? ?([kmgt]i?)?b?)?"), "a size", "4GB"),
}
VAULT = dict.fromkeys(
    ("pseudonym", "encryption"),
    (_looks("[0-9a-f]{16}"), "a fingerprint of 16 digits in quotes", '"4fa0989f56a16d31"'),
)
_YAML = {  # what a signature may ask for: whether a value fits, one in words, several
    "int": (_is_whole, "a whole number", "whole numbers"),
    "float": (_is_number, "a number", "numbers"),
    "str": (lambda value: isinstance(value, str), "a text", "texts"),
    "bool": (lambda value: isinstance(value, bool), "true or false", "true or false"),
    "list": (lambda value: isinstance(value, list), "a list", "lists"),
    "dict": (lambda value: isinstance(value, dict), "a mapping", "mappings"),
}


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
    """The schema name of a path: `data/features/rfm.parquet` is `features/rfm`.

    Tables that a source keeps in git have no layer but `sources`, whatever the source.
    """
    name = path.removeprefix("data/").removesuffix(".parquet")
    kept = name.startswith("sources/") and path.endswith(".parquet")
    return f"sources/{name.split('/')[-1]}" if kept else name


def find_root(start: Path | None = None) -> Path:
    """The folder that holds dvc.yaml: upward from the working folder, else from this package."""
    for origin in (start or Path.cwd(), Path(__file__).resolve()):
        for folder in (origin, *origin.parents):
            if (folder / "dvc.yaml").exists() and (folder / "params.yaml").exists():
                return folder
    raise ProjectError("found no dvc.yaml and params.yaml above the working folder")


def load_params(root: Path) -> dict:
    """params.yaml as a dict; whatever is wrong with the file is one line."""
    return read_yaml(root / "params.yaml")


def read_yaml(path: Path, shown: str = "") -> dict:
    """The keys of a YAML file, none where it is empty; `shown` is how messages name it."""
    doc = Document(shown or path.name)
    try:
        return _keys(document.load(path, doc, typed=True), doc)
    except FileNotFoundError:
        raise ProjectError(f"{doc.shown}: the file is not there; put it back") from None


def parse_yaml(text: str, shown: str) -> dict:
    """The same of a text."""
    doc = Document(shown)
    return _keys(document.parse(text.encode(), doc, typed=True), doc)


def _keys(data, doc: Document) -> dict:
    if not doc.problems and not isinstance(data, dict | None):
        found = f"{_kind(data)} in place of keys and values"
        doc.add((), found, "a mapping", "write `key: value`, a line each")
    if doc.problems:
        raise ProjectError("\n".join(map(str, doc.problems)))
    return data or {}


def settings(params: dict) -> dict:
    """The section `run` of params.yaml; raises unless it has every key that a run needs."""
    run = params.get("run")
    missing = [key for key in RUN if key not in ("engine", "threads", "memory")]
    missing = [key for key in missing if not isinstance(run, dict) or key not in run]
    if missing:
        example = f"such as `{missing[0]}: {RUN[missing[0]][2]}`"
        found = "no " + ", ".join(f"`run.{key}`" for key in missing)
        raise ProjectError(str(Problem("params.yaml", found, "every key of a run", example)))
    return run


def load_specs(root: Path, source: str) -> dict[str, Spec]:
    """The stages of dvc.yaml in order, `${run.source}` resolved."""
    stages = read_yaml(root / "dvc.yaml").get("stages") or {}
    problems = list(_stage_problems(stages))
    if problems:
        raise ProjectError("\n".join(map(str, problems)))
    return {name: _spec(name, stage, source) for name, stage in stages.items()}


def _stage_problems(stages) -> Iterator[Problem]:
    """What is no stage, or no list of paths in one."""
    if not isinstance(stages, dict):
        yield Problem("dvc.yaml", f"stages is {_kind(stages)}", "a mapping", "write `name: …`")
        return
    for name, stage in stages.items():
        if not isinstance(stage, dict):
            yield Problem("dvc.yaml", f"{name} is {_kind(stage)}", "a stage", "write its keys")
            continue
        for key in ("deps", "outs", "metrics", "params"):
            entries = stage.get(key, [])
            if not isinstance(entries, list) or not all(map(_is_entry, entries)):
                found = f"{name}.{key} is no list of names"
                yield Problem("dvc.yaml", found, "`- path`, a line each", "mend it")


def _is_entry(entry) -> bool:
    return isinstance(entry, str) or (isinstance(entry, dict) and len(entry) == 1)


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


@dataclass(frozen=True)
class Keyword:
    """A keyword of a function: its default, None where it has none, and its type."""

    default: object
    type: ast.expr | None


FLOORS = Keyword(  # of the metrics of each stage
    {"rfm": {"customers": 100}}, ast.parse("dict[str, dict[str, float]]", mode="eval").body
)


@cache
def signatures(module: Path) -> dict[str, dict[str, Keyword]]:
    """The keywords of each public function of a module that params.yaml may set."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
    return {f.name: _keywords(f) for f in functions if not f.name.startswith("_")}


def module_path(root: Path, name: str) -> Path:
    """The file that holds the public functions of a module or package of `crm`."""
    package = root / "src/crm" / name / "__init__.py"
    path = package if package.exists() else root / "src/crm" / f"{name}.py"
    return path.resolve()  # a link to a module that was read before is the same one


def params_problems(root: Path, params: dict, where: str = "params.yaml") -> list[Problem]:
    """Every key of a params.yaml that is not there, and every value of a wrong type."""
    modules = {p.stem for p in (root / "src/crm").glob("[a-z]*.py")} | set(EXEMPT)
    modules |= {p.parent.name for p in (root / "src/crm").glob("*/__init__.py")}
    found = list(_unknown(params, "", modules, where))
    found += _exempt_problems(params.get("run", {}), "run", RUN, where)
    found += _exempt_problems(params.get("vault", {}), "vault", VAULT, where)
    found += _value_problems("floors", params.get("floors", {}), FLOORS, where)
    for section, functions in params.items():
        if section in modules and section not in EXEMPT:
            found += section_problems(root, section, functions, where)
    return found


def section_problems(root: Path, section: str, functions, where: str) -> list[Problem]:
    """What one section names that its module does not have, or gives a value that does not fit."""
    if not isinstance(functions, dict):
        return [_no_mapping(section, functions, "functions", where)]
    known = signatures(module_path(root, section))
    found = list(_unknown(functions, f"{section}.", known, where))
    for function, keywords in functions.items():
        at = f"{section}.{function}"
        if not isinstance(keywords, dict):
            found += [_no_mapping(at, keywords, "keywords", where)] if function in known else []
            continue
        asked = known.get(function, keywords)
        found += _unknown(keywords, f"{at}.", asked, where)
        for key in filter(known.get(function, {}).__contains__, keywords):
            found += _value_problems(f"{at}.{key}", keywords[key], asked[key], where)
    return found


def _exempt_problems(section, name: str, known: dict, where: str) -> Iterator[Problem]:
    """The same of a section that is no call sheet."""
    if not isinstance(section, dict):
        yield _no_mapping(name, section, "keys", where)
        return
    yield from _unknown(section, f"{name}.", known, where)
    for key, value in section.items():
        fits, expected, example = known.get(key, (lambda _: True, "", ""))
        if not fits(value):
            found = f"{name}.{key} is {_said(value)}"
            yield Problem(where, found, expected, f"mend it, as in {example}")


def _value_problems(at: str, value, keyword: Keyword, where: str) -> Iterator[Problem]:
    """A value, or a part of it, that is not of the type of its keyword."""
    misfit = None if keyword.type is None else _misfit(value, keyword.type, at)
    if misfit:
        place, part, kind = misfit
        default = "" if keyword.default is None else f", as in {_said(keyword.default)}"
        yield Problem(where, f"{place} is {_said(part)}", _worded(kind), f"mend it{default}")


def _no_mapping(at: str, value, of: str, where: str) -> Problem:
    found = f"{at} must be a mapping of {of}, found {_said(value)}"
    return Problem(where, found, f"`{at}:` and its {of} below", "write them, or remove it")


def _unknown(given: Iterable, prefix: str, known: Iterable, where: str) -> Iterator[Problem]:
    known = sorted(known)
    for key in given:
        if key not in known:
            found = f"unknown key {prefix}{key}"
            yield Problem(where, found, "one of those there are", did_you_mean(str(key), known))


# --- types


def _misfit(value, kind: ast.expr, at: str) -> tuple[str, object, ast.expr] | None:
    """The first part of a value that is not of its type: its place, itself and its type."""
    match kind:
        case ast.Subscript(ast.Name("list"), item) if isinstance(value, list):
            parts = (_misfit(part, item, f"{at}[{i}]") for i, part in enumerate(value))
        case ast.Subscript(ast.Name("tuple"), ast.Tuple(items)) if _is_row(value, items):
            parts = (_misfit(value[i], item, f"{at}[{i}]") for i, item in enumerate(items))
        case ast.Subscript(ast.Name("dict"), ast.Tuple([_, item])) if isinstance(value, dict):
            parts = (_misfit(part, item, f"{at}.{key}") for key, part in value.items())
        case _:
            return None if _fits(value, kind) else (at, value, kind)
    return next(filter(None, parts), None)


def _is_row(value, items: list[ast.expr]) -> bool:
    return isinstance(value, list) and len(value) == len(items)


def _fits(value, kind: ast.expr) -> bool:
    match kind:
        case ast.Constant(None):
            return value is None
        case ast.Name(name):
            return _YAML[name][0](value)
        case ast.BinOp(one, ast.BitOr(), other):
            return not (_misfit(value, one, "") and _misfit(value, other, ""))
        case ast.Subscript(ast.Name("Literal")):
            return value in _choices(kind)
    return False


def _is_writable(kind: ast.expr) -> bool:
    """Whether YAML can write a value of the type."""
    match kind:
        case ast.Constant(None) | ast.Subscript(ast.Name("Literal")):
            return True
        case ast.Name(name):
            return name in _YAML
        case ast.BinOp(one, ast.BitOr(), other):
            return _is_writable(one) and _is_writable(other)
        case ast.Subscript(ast.Name("list"), item):
            return _is_writable(item)
        case ast.Subscript(ast.Name("tuple"), ast.Tuple(items)):
            return all(map(_is_writable, items))
        case ast.Subscript(ast.Name("dict"), ast.Tuple([ast.Name("str"), item])):
            return _is_writable(item)
    return False


def _worded(kind: ast.expr, number: int = 1) -> str:
    """A type in words; `number` 2 gives several.

    Examples
    --------
    >>> _worded(ast.parse("list[tuple[float, float]] | None", mode="eval").body)
    'a list of lists of 2 numbers or nothing'
    """
    match kind:
        case ast.Name(name):
            return _YAML[name][number]
        case ast.BinOp(one, _, other):
            return f"{_worded(one, number)} or {_worded(other, number)}"
        case ast.Subscript(ast.Name("Literal")):
            return " or ".join(map(str, _choices(kind)))
        case ast.Subscript(ast.Name("tuple"), ast.Tuple([item, *_] as items)):
            return f"{_YAML['list'][number]} of {len(items)} {_worded(item, 2)}"
        case ast.Subscript(ast.Name(name), item):
            of = item.elts[1] if name == "dict" else item
            return f"{_YAML[name][number]} of {_worded(of, 2)}"
    return "nothing"


def _choices(kind: ast.Subscript) -> tuple:
    return tuple(map(ast.literal_eval, getattr(kind.slice, "elts", [kind.slice])))


def _kind(value) -> str:
    """What a value of YAML is, in words."""
    return next((one for fits, one, _ in _YAML.values() if fits(value)), "nothing of use")


def _said(value) -> str:
    """A value as YAML writes it, or its beginning."""
    return short(json.dumps(value, ensure_ascii=False, default=str))


def _keywords(function: ast.FunctionDef) -> dict[str, Keyword]:
    arguments = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    return {
        argument.arg: Keyword(_literal(default), argument.annotation)
        for argument, default in arguments
        if argument.annotation is None or _is_writable(argument.annotation)
    }


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
