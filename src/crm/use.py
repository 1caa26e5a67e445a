"""Sources from outside: `crm use`, `crm check` and `crm draft`."""

from __future__ import annotations

import difflib
import io
from pathlib import Path

from crm import vault
from crm.document import Problem, printable
from crm.project import (
    RUN,
    ProjectError,
    flattened,
    load_params,
    load_specs,
    merged,
    params_problems,
    parse_yaml,
    read_yaml,
    settings,
)

BASE = "demo"  # the source of the committed params.yaml
KEPT = ".crm/params.base.yaml"  # its text while another source is in use
NO_TAGS = "# Tags of this source beside those of every source: see docs/sources.md.\n"
WRITTEN = ".crm/params.used.yaml"  # what `crm use` wrote, to see later edits


def use(root: Path, name: str) -> str:
    """Make `name` the source of params.yaml; returns the difference as text.

    The base text is kept aside and put back byte for byte by `crm use demo`.

    Raises
    ------
    ProjectError
        There is no such source, its overrides name unknown keys, or params.yaml was edited since
        the last `crm use` (the keys are named).
    """
    folder = _folder(root, name)
    _freezable(folder)
    is_base = settings(load_params(root))["source"] == BASE
    current = _text(root / "params.yaml")
    base = current if is_base else _base_text(root, current)
    text = base if name == BASE else _overridden(root, base, folder)
    _write_tags(folder)
    if name != BASE:  # kept aside first: whatever happens then, the base is not lost
        (root / KEPT).parent.mkdir(exist_ok=True)
        (root / KEPT).write_text(base, encoding="utf-8", newline="")
        (root / WRITTEN).write_text(text, encoding="utf-8", newline="")
    (root / "params.yaml").write_text(text, encoding="utf-8", newline="")
    if name == BASE:
        (root / KEPT).unlink(missing_ok=True)
        (root / WRITTEN).unlink(missing_ok=True)
    lines = difflib.unified_diff(
        current.splitlines(True),
        text.splitlines(True),
        "params.yaml before",
        "params.yaml now",
        n=0,
    )
    return "".join(lines) or f"params.yaml already is that of {name}\n"


def check(root: Path, name: str) -> tuple[list[str], str]:
    """Everything wrong with a source, and a summary: notes on what is left out, and a verdict."""
    from crm import catalogue, engine, ingest, mapping

    folder = _folder(root, name)
    loaded, problems = mapping.check(folder / "mapping.yaml")
    found, told = [str(problem) for problem in problems], []
    base, over = load_params(root), _overrides(folder)
    wrong = params_problems(root, base) + params_problems(root, over, _shown(folder))
    found += map(str, wrong)
    extended = [field.name for field in loaded.extended] if loaded else []
    if loaded and (folder / "tags.yaml").exists():
        found += map(str, catalogue.check(folder / "tags.yaml", extended)[1])
    if loaded and not problems:
        con = engine.connect(spill=root / ".crm/spill")
        try:
            options = {} if wrong else merged(base, over).get("ingest", {}).get("read", {})
            reading = ingest.read(con, loaded, root / "data/raw" / name, **options)
            told = notes(con, reading)
        except mapping.SourceError as error:
            found += [str(problem) for problem in error.problems]
    if loaded and not loaded.public and (folder / "keys.json").exists():
        try:
            vault.keys(folder, public=False)
        except vault.KeyProblem as error:
            found.append(str(error))
    verdict = f"{len(found)} to mend" if found else f"nothing wrong; next: crm use {name}"
    return found, "\n".join([*told, f"{name}: {verdict}"])


def notes(con, reading) -> list[str]:
    """What a good source leaves out: cells that cannot be read, and columns that nothing reads.

    `reading` is what `crm.ingest.read` found with the connection `con`.
    """
    from crm import ingest

    cells = ingest.unread(con, reading)
    groups = cells.group_by("table", "field").agg(
        cells=cells.count(), example=cells["value"].argmin(cells["line"])
    )
    said = [
        f"note: {row['cells']:,} cell{'s' * (row['cells'] > 1)} of {row['table']}.{row['field']}, "
        f"such as {row['example']!r}, cannot be read: left empty, and on the list of issues"
        for row in groups.order_by("table", "field").to_pyarrow().to_pylist()
    ]
    unused = ingest.unmapped(reading).groupby(["table", "file"], sort=False)["column"]
    said += [
        f"note: {file} ({table}): no field names {', '.join(columns)}: not read"
        for (table, file), columns in unused
    ]
    return [printable(note) for note in said]


def draft(root: Path, name: str, files: list[Path]) -> str:
    """Write a proposed mapping for files never seen; returns what to do next."""
    from crm import draft, engine

    if not RUN["source"][0](name):
        found, mend = f"the source {name!r}", "give another name"
        expected = "letters, digits and _ . -, and no folder"
        raise ProjectError(str(Problem("crm draft", found, expected, mend)))
    folder = root / "data/sources" / name
    if (folder / "mapping.yaml").exists():
        raise ProjectError(
            f"data/sources/{name}/mapping.yaml is there already; move it away first"
        )
    missing = [printable(str(file)) for file in files if not file.exists()]
    if missing:
        raise ProjectError(f"no such file: {', '.join(missing)}")
    text = draft.draft(engine.connect(), name, files)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mapping.yaml").write_text(text, encoding="utf-8")
    _empty_files(root, folder)
    return (
        f"wrote data/sources/{name}/mapping.yaml: answer its questions.\n"
        f"Then put the files into data/raw/{name}/, run `crm check {name}` and `crm use {name}`.\n"
    )


def write_stage_table(root: Path) -> int:
    """Put the table of stages between its marks in each README; returns 0."""
    for readme in sorted(root.glob("README*.md")):
        text = readme.read_text(encoding="utf-8")
        head, rest = text.split("<!-- stages -->\n", 1)
        tail = rest.split("<!-- /stages -->", 1)[1]
        table = stage_table(root)
        readme.write_text(
            f"{head}<!-- stages -->\n{table}<!-- /stages -->{tail}", encoding="utf-8"
        )
    return 0


def stage_table(root: Path) -> str:
    """The stages of dvc.yaml as a Markdown table: name, what it answers, what it writes."""
    lines = ["| stage | what it makes | writes |", "|---|---|---|"]
    for name, spec in load_specs(root, BASE).items():
        outs = [p for p in spec.outs if not p.startswith("reports/notebooks")]
        lines.append(f"| `{name}` | {spec.desc} | {_by_folder(outs)} |")
    return "\n".join(lines) + "\n"


def _by_folder(paths: list[str]) -> str:
    """The paths, those of a folder with more than three as a number.

    Examples
    --------
    >>> _by_folder(["a/x", "a/y", "b/1", "b/2", "b/3", "b/4"])
    '`a/x`, `a/y`, 4 files in `b`'
    """
    folders: dict[str, list[str]] = {}
    for path in paths:
        folders.setdefault(path.rpartition("/")[0], []).append(f"`{path}`")
    return ", ".join(
        ", ".join(few) if len(few) <= 3 else f"{len(few)} files in `{folder}`"
        for folder, few in folders.items()
    )


def _folder(root: Path, name: str) -> Path:
    folder = root / "data/sources" / name
    if "/" in name or not (folder / "mapping.yaml").exists():
        known = sorted(p.parent.name for p in (root / "data/sources").glob("*/mapping.yaml"))
        raise ProjectError(f"no source {name!r} in data/sources; there are {', '.join(known)}")
    return folder


def _text(path: Path) -> str:
    """The text with its line ends as they are, so that it can be put back to the byte."""
    return path.read_bytes().decode("utf-8")


def _base_text(root: Path, current: str) -> str:
    """The text of the base, kept aside while another source is in use and nobody edits."""
    kept, written = root / KEPT, root / WRITTEN
    if not kept.exists() or not written.exists():
        raise ProjectError(
            "params.yaml names another source, but the text to go back to is not in .crm: "
            "put it back with `git checkout params.yaml`"
        )
    if current != _text(written):
        raise ProjectError(
            f"params.yaml was edited since `crm use`: {_edited(root, written)}. Move the change "
            "to the source's data/sources/…/params.yaml, or undo it, and try again"
        )
    return _text(kept)


def _edited(root: Path, written: Path) -> str:
    now, then = flattened(load_params(root)), flattened(read_yaml(written))
    keys = [k for k in {**then, **now} if now.get(k, "absent") != then.get(k, "absent")]
    return ", ".join(keys) or "only comments or blanks"


def _shown(folder: Path) -> str:
    """How messages name the overrides of a source."""
    return f"data/sources/{folder.name}/params.yaml"


def _overrides(folder: Path) -> dict:
    path = folder / "params.yaml"
    return read_yaml(path, _shown(folder)) if path.exists() else {}


def _overridden(root: Path, base: str, folder: Path) -> str:
    """The base's text with the source's name, overrides and key fingerprints, comments kept."""
    from crm import mapping

    given = parse_yaml(base, "params.yaml"), _overrides(folder)  # within bounds, or this raises
    problems = params_problems(root, given[0]) + params_problems(root, given[1], _shown(folder))
    if problems:  # before a new source gets its keys
        raise ProjectError("\n".join(map(str, problems)))
    yaml = _yaml()
    document = yaml.load(base)
    if given[1]:
        _write_into(document, yaml.load(folder / "params.yaml"))
    public = mapping.load(folder / "mapping.yaml").public
    found = vault.keys(folder, public=public, create="vault" not in given[1])
    if "vault" in given[1]:
        vault.check_fingerprints(found, given[1]["vault"], where=_shown(folder))
    _write_into(document, {"run": {"source": folder.name}, "vault": _quoted(found)})
    return _dumped(yaml, document)


def with_fingerprints(text: str, found: vault.Keys) -> str:
    """The text of a params.yaml with the fingerprints of these keys, comments kept."""
    yaml = _yaml()
    document = yaml.load(text)
    if document is None:  # comments only, which have no place in a document without keys
        return f"{text}{_dumped(yaml, {'vault': _quoted(found)})}"
    _write_into(document, {"vault": _quoted(found)})
    return _dumped(yaml, document)


def _yaml():
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 99
    return yaml


def _dumped(yaml, document) -> str:
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()


def _quoted(found: vault.Keys) -> dict:
    """The fingerprints in quotes, since one of digits only would be a number."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    return {k: DoubleQuotedScalarString(text) for k, text in found.fingerprints().items()}


def _write_into(document, over: dict) -> None:
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(document.get(key), dict) and document[key]:
            _write_into(document[key], value)
        else:
            document[key] = value


def _write_tags(folder: Path) -> None:
    """The file of a source's own tags, empty, where there is none: a stage depends on it."""
    path = folder / "tags.yaml"
    if not path.exists():
        path.write_text(NO_TAGS, encoding="utf-8")


def _freezable(folder: Path) -> None:
    """A source from before `crm freeze` has no ids to compare with: an empty file."""
    from crm import freeze

    if not (folder / freeze.FILE).exists():
        freeze.write(folder)


def _empty_files(root: Path, folder: Path) -> None:
    """The hand-kept files that every source has, and the ids to compare with: empty until used."""
    from crm import freeze

    for name in ("decisions.csv", "corrections.csv", "tombstones.csv", "issues.csv"):
        header = (root / "data/sources" / BASE / name).read_text(encoding="utf-8").splitlines()[0]
        (folder / name).write_text(header + "\n", encoding="utf-8")
    _write_tags(folder)
    freeze.write(folder)
    (folder / "params.yaml").write_text(
        "# What differs from params.yaml for this source, such as\n"
        "# run: {currency: EUR, time_zone: Europe/Berlin}\n",
        encoding="utf-8",
    )
