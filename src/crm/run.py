"""The `crm` command and the runner: the only place that knows papermill.

Everything heavy is imported inside the command that needs it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from crm import vault
from crm.document import Problem, did_you_mean, printable
from crm.project import (
    ProjectError,
    Spec,
    find_root,
    flattened,
    load_params,
    load_specs,
    params_problems,
    read_yaml,
    settings,
)

CELL_LIMIT = 3600  # seconds that one cell may take before the run is ended
FAILED = "reports/failed"
VOLATILE_CELL = ("papermill", "execution", "iopub")  # metadata that changes with each run
VOLATILE_NOTEBOOK = ("papermill", "language_info", "widgets")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; an expected error is one message on standard error and exit code 1."""
    options = _parser().parse_args(arguments)
    try:
        vault.settle(find_root())
        return options.command(options) or 0
    except ValueError as error:
        if not type(error).__module__.startswith("crm."):
            raise
        _write(sys.stderr, str(error))
    except PermissionError as error:
        found, mend = f"{error.strerror or error}", "look at its rights, or whose it is"
        expected = "a file or folder that may be read and written"
        _write(sys.stderr, str(Problem(str(error.filename), found, expected, mend)))
    return 1


def _write(stream, text: str) -> None:
    """Lines for people: a name in them may not steer the terminal."""
    lines = text.removesuffix("\n").split("\n") if text else []
    stream.write("".join(f"{printable(line)}\n" for line in lines))


# ---- the pipeline ------------------------------------------------------------------------


def run(options) -> int:
    """`crm run`: the whole pipeline; `crm run NAME`: one stage, as dvc.yaml calls it."""
    root = find_root()
    params = load_params(root)
    problems = params_problems(root, params)
    if problems:
        raise ProjectError("\n".join(map(str, problems)))
    specs = load_specs(root, settings(params)["source"])
    if options.name is not None and options.name not in specs:
        raise ProjectError(f"no stage {options.name!r} in dvc.yaml; it has {sorted(specs)}")
    if options.name is None or _needs_keys(specs[options.name]):
        _check_keys(root, params)
    if options.name is None:
        return _everything(root)
    spec = specs[options.name]
    if spec.notebook:
        return run_notebook(root, spec, params)
    return {"simulate": _simulate, "site": _site}[spec.name](root, params)


def _needs_keys(spec: Spec) -> bool:
    """Whether a stage makes pseudonyms, or reads or writes the vault."""
    return "vault" in spec.params or any(
        path.startswith("data/vault/") for path in (*spec.deps, *spec.outs)
    )


def _check_keys(root: Path, params: dict) -> None:
    """Raise `KeyProblem` before any work unless both keys are there and the right ones."""
    folder = root / "data/sources" / settings(params)["source"]
    is_public = read_yaml(folder / "mapping.yaml").get("public") is True
    vault.checked_keys(folder, params.get("vault", {}), public=is_public)


def run_notebook(root: Path, spec: Spec, params: dict) -> int:
    """Execute the stage's notebook, put its outputs in place, leave a run record.

    Outputs are written aside and renamed only when the whole notebook has ended well, so a
    failed stage leaves the last good outputs as they were.
    """
    started = time.monotonic()
    aside = root / ".crm/run" / spec.name
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    executed = aside / "executed.ipynb"
    failure = _execute(root, spec, params, aside, executed)
    if failure:
        kept = root / FAILED / f"{spec.name}.ipynb"
        kept.parent.mkdir(parents=True, exist_ok=True)
        if executed.exists():
            executed.replace(kept)
        _write(
            sys.stderr,
            f"stage {spec.name} failed {failure}\n"
            f"The partly executed notebook: {kept.relative_to(root)}",
        )
        return 1
    _settle_copy(executed, aside / f"reports/notebooks/{spec.name}.ipynb")
    _commit(root, spec, aside)
    (root / FAILED / f"{spec.name}.ipynb").unlink(missing_ok=True)
    record(root, spec, params, aside)
    shutil.rmtree(aside)
    sys.stdout.write(f"{spec.name}: done in {time.monotonic() - started:.1f} s\n")
    return 0


def _execute(root: Path, spec: Spec, params: dict, aside: Path, executed: Path) -> str:
    """Run the notebook by papermill; returns what went wrong, empty if nothing."""
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each kernel compiles its imports again
    os.environ |= {"CRM_RUN": str(aside), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    try:
        papermill.execute_notebook(
            root / spec.notebook,
            executed,
            parameters={"params": params.get(spec.module, {})},
            progress_bar=sys.stderr.isatty(),
            cwd=root / "notebooks",
            execution_timeout=CELL_LIMIT,
            request_save_on_cell_execute=False,
            config=_kernel_config(),
            shutdown_kernel="immediate",
        )
    except papermill.PapermillExecutionError as error:
        return f"in code cell {error.exec_count}: {error.ename}: {error.evalue}"
    except DeadKernelError:
        return "because its kernel died, most often for want of memory: lower run.memory"
    except CellTimeoutError:
        return f"because a cell took longer than {CELL_LIMIT} s"
    finally:
        del os.environ["CRM_RUN"]
    return ""


def _kernel_config():
    """Kernels talk over local sockets where there are any: nothing listens on a port."""
    from traitlets.config import Config

    if os.name == "nt":
        return Config()
    return Config({"KernelManager": {"transport": "ipc"}})


def _settle_copy(executed: Path, target: Path) -> None:
    """The executed copy without anything that differs between two runs or machines."""
    notebook = json.loads(executed.read_text(encoding="utf-8"))
    for key in VOLATILE_NOTEBOOK:
        notebook["metadata"].pop(key, None)
    for cell in notebook["cells"]:
        for key in VOLATILE_CELL:
            cell["metadata"].pop(key, None)
        if "injected-parameters" in cell["metadata"].get("tags", []):
            cell["id"] = "injected-parameters"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(
        json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8"
    )


def _commit(root: Path, spec: Spec, aside: Path) -> None:
    """Rename every declared output into place; one that was not written is an error."""
    from crm.engine import replace

    outputs = [*spec.outs, *([spec.metrics] if spec.metrics else [])]
    missing = [path for path in outputs if not (aside / path).exists()]
    if missing:
        raise ProjectError(
            f"stage {spec.name!r} declares {missing} in dvc.yaml but its notebook wrote none of it"
        )
    for path in outputs:
        replace(aside / path, root / path)


def record(root: Path, spec: Spec, params: dict, aside: Path) -> None:
    """Leave what was run as plain text, for `crm track` to mirror."""
    from crm.engine import digest

    run_file = root / "data/staged/run.json"
    candidates = aside / "candidates.json"
    folder = root / ".crm/runs"
    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "stage": spec.name,
        "commit": _git_commit(root),
        "run": json.loads(run_file.read_text(encoding="utf-8")),
        "params": flattened({spec.module: params.get(spec.module, {})}),
        "metrics": json.loads((root / spec.metrics).read_text(encoding="utf-8")),
        "outputs": {path: digest(root / path) for path in spec.outs},
        "candidates": json.loads(candidates.read_text()) if candidates.exists() else [],
    }
    number = 1 + max([int(f.name[:6]) for f in (root / ".crm").glob("*/??????-*.json")], default=0)
    text = json.dumps(facts, indent=1, ensure_ascii=False)
    (folder / f"{number:06}-{spec.name}.json").write_text(text, encoding="utf-8")


def _git_commit(root: Path) -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True)
    return done.stdout.strip() or "not committed"


def _everything(root: Path) -> int:
    """`dvc repro`, the gate, then where to look."""
    code = _call("dvc", "repro", root=root)
    if code == 0:
        gate(None)
        page = root / "reports/index.html"
        sys.stdout.write(f"\nThe report is ready. Open {page.as_uri()}\n")
    return code


def _call(*command: str, root: Path, **extra: str) -> int:
    """Run a tool of the project's environment, whether or not it is activated."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run(command, cwd=root, env=env | {"PATH": path} | extra).returncode


def _simulate(root: Path, params: dict) -> int:
    """The demo company: its exports, and the planted truth in a folder of its own."""
    options = params.get("simulate", {}).get("write", {})
    _write_company(root, "demo", seed=params["run"]["seed"], **options)
    return 0


def _write_company(root: Path, name: str, **options) -> None:
    """Written aside and put in place by renaming, so that no half company is left."""
    from crm.engine import replace
    from crm.simulate import write

    aside = root / ".crm/run/simulate"
    shutil.rmtree(aside, ignore_errors=True)
    write(aside / "raw", aside / "truth", **options)
    replace(aside / "raw", root / "data/raw" / name)
    replace(aside / "truth", root / "data/truth" / name)


def _site(root: Path, params: dict) -> int:
    """Render every page; metrics below their floor fail first."""
    from crm.site import build

    floors = params.get("floors", {})
    below = [line for stage in floors for line in _below(root, stage, floors[stage])]
    if below:
        raise ProjectError("\n".join(below))
    build(root, language=params["run"]["language"])
    return 0


def _below(root: Path, stage: str, floors: dict) -> list[str]:
    """Metrics of a stage that do not reach their floors, or are no numbers."""
    path = root / f"reports/metrics/{stage}.json"
    if not path.exists():
        mend = did_you_mean(stage, sorted(file.stem for file in path.parent.glob("*.json")))
        found = f"floors.{stage}, which has no metrics"
        return [str(Problem("params.yaml", found, "a stage that has some", mend))]
    metrics = json.loads(path.read_text(encoding="utf-8"))
    return [
        f"floors: {stage}.{key} is {metrics.get(key)}, below its floor {floor}"
        for key, floor in floors.items()
        if not isinstance(metrics.get(key), int | float) or metrics[key] < floor
    ]


# ---- sources -----------------------------------------------------------------------------


def use(options) -> int:
    """`crm use NAME`: make another source the one of params.yaml."""
    from crm.use import use

    _write(sys.stdout, use(find_root(), options.name))
    return 0


def check(options) -> int:
    """`crm check NAME`: everything wrong with mapping, parameters and files, before any run."""
    from crm.use import check

    problems, summary = check(find_root(), options.name)
    _write(sys.stderr, "\n".join(problems))
    _write(sys.stdout, summary)
    return 1 if problems else 0


def rotate(options) -> int:
    """`crm rotate`: another encryption key for the source in use, its vault encrypted anew."""
    from crm.rotate import rotate

    _write(sys.stdout, rotate(find_root()))
    return 0


def pull(options) -> int:
    """`crm pull NAME`: bring tables of a database or an API into data/raw/NAME, once."""
    from crm.pull import pull

    root = find_root()
    written = pull(root / "data/sources" / options.name, root / "data/raw" / options.name)
    _write(sys.stdout, "\n".join(map(str, written)))
    return 0


def simulate(options) -> int:
    """`crm simulate --customers N --into NAME`: an invented company of any size as a source."""
    root = find_root()
    _source_named(root, options.into)
    seed = settings(load_params(root))["seed"]
    _write_company(root, options.into, customers=options.customers, seed=seed)
    sys.stdout.write(
        f"wrote data/raw/{options.into} and what was planted, data/truth/{options.into}; "
        f"next: crm use {options.into}\n"
    )
    return 0


def _source_named(root: Path, name: str) -> None:
    """A source with the demo's mapping, unless there is one of that name; the demo stays as is."""
    folder = root / "data/sources" / name
    if name == "demo" or not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise ProjectError(
            f"--into {name!r}: give a new name of small letters, digits and hyphens"
        )
    mapping = (root / "data/sources/demo/mapping.yaml").read_bytes()
    if (folder / "mapping.yaml").exists():
        if (folder / "mapping.yaml").read_bytes() != mapping:
            raise ProjectError(f"data/sources/{name} is another source; give a new name")
        return
    shutil.copytree(root / "data/sources/demo", folder, dirs_exist_ok=True)


def freeze(options) -> int:
    """`crm freeze`: keep today's customer ids in git, to tell later which of them moved."""
    from crm.freeze import freeze

    _write(sys.stdout, freeze(find_root()))
    return 0


def draft(options) -> int:
    """`crm draft NAME FILES…`: propose a mapping for files that were never seen."""
    from crm.use import draft

    _write(sys.stdout, draft(find_root(), options.name, [Path(f) for f in options.files]))
    return 0


def card(options) -> int:
    """`crm card ID`: the card of one customer, contact masked, in reports/cards."""
    from crm.card import read
    from crm.site import card

    root = find_root()
    text = card.render(read(root, options.customer))
    path = root / "reports/cards" / f"{options.customer}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8"))
    _write(sys.stdout, f"wrote {path.relative_to(root)}")
    return 0


# ---- the code ----------------------------------------------------------------------------


def new(options) -> int:
    """`crm new NAME`: write an analysis that runs as it stands, to be made one's own."""
    from crm.new import new
    from crm.use import write_stage_table

    root = find_root()
    told = new(root, options.name)
    write_stage_table(root)
    _write(sys.stdout, told)
    return 0


def forget(options) -> int:
    """`crm forget KEY`: take one customer out of the raw files and all that is made from them."""
    from functools import partial

    from crm.forget import forget

    root = find_root()
    return forget(
        root,
        options.customer,
        ask=(lambda question: True) if options.yes else _agree,
        tell=partial(_write, sys.stdout),
        tool=partial(_call, root=root),
    )


def _agree(question: str) -> bool:
    """Whether somebody at the keyboard says yes; where there is nobody, the answer is no."""
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


# ---- the rest ----------------------------------------------------------------------------


def track(options) -> int:
    """`crm track`: mirror new run records to MLflow; a failure to do so only warns."""
    from crm.track import track

    try:
        sys.stdout.write(track(find_root()) + "\n")
    except Exception as error:  # a mirror must never break the pipeline
        _write(sys.stderr, f"warning: the runs were not mirrored to MLflow: {error}")
    return 0


def test(options) -> int:
    """`crm test`: all tests, on all cores; or what is named, as pytest takes it."""
    chosen = options.rest or ("-n", "auto", "--dist", "loadscope")  # a module's clone is made once
    return _call(sys.executable, "-m", "pytest", *chosen, root=find_root())


def publish(options) -> int:
    """`crm publish DIR`: copy the site, and only it, to a folder to hand over."""
    root, target = find_root(), Path(options.folder)
    if not (root / "reports/index.html").exists():
        raise ProjectError("there is no report yet: run `make run` first")
    if target.exists() and any(target.iterdir()):
        raise ProjectError(f"{target} is not empty; give a new or an empty folder")
    gate(options)
    shutil.copytree(root / "reports/pages", target / "pages", dirs_exist_ok=True)
    shutil.copy(root / "reports/index.html", target / "index.html")
    sys.stdout.write(f"published to {target}\n")
    return 0


def gate(options) -> int:
    """`crm gate`: scan every output for personal values; fails if there are any."""
    from crm.gate import gate

    _write(sys.stdout, gate(find_root()))
    return 0


def stages(options) -> int:
    """`crm stages`: write the stage table of the READMEs anew from dvc.yaml."""
    from crm.use import write_stage_table

    return write_stage_table(find_root())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="crm", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(function, *arguments: tuple[str, dict]):
        one = commands.add_parser(function.__name__, help=function.__doc__.split(": ", 1)[1])
        one.set_defaults(command=function)
        for name, options in arguments:
            one.add_argument(name, **options)

    add(run, ("name", {"nargs": "?", "help": "a stage of dvc.yaml; none: the whole pipeline"}))
    add(use, ("name", {"help": "a folder of data/sources"}))
    add(check, ("name", {"help": "a folder of data/sources"}))
    add(draft, ("name", {"help": "name of the new source"}), ("files", {"nargs": "+"}))
    add(rotate)
    add(pull, ("name", {"help": "a folder of data/sources with a pull.yaml"}))
    add(
        simulate,
        ("--customers", {"type": int, "required": True, "help": "156,000 give 10 million lines"}),
        ("--into", {"required": True, "help": "name of the source to write"}),
    )
    add(new, ("name", {"help": "one word, such as loyalty"}))
    add(card, ("customer", {"help": "pseudonym of a customer, as the pages show it"}))
    add(freeze)
    add(
        forget,
        ("customer", {"help": "a source key or a customer_id"}),
        ("--yes", {"action": "store_true", "help": "ask nothing"}),
    )
    add(track)
    add(test, ("rest", {"nargs": argparse.REMAINDER, "help": "handed to pytest"}))
    add(publish, ("folder", {"help": "a new folder"}))
    add(gate)
    add(stages)
    return parser


if __name__ == "__main__":
    sys.exit(main())
