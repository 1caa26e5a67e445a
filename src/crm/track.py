"""`crm track`: run records on disk mirrored to MLflow, one run per executed stage (PIPE-04).

MLflow is a mirror. Nothing is ever read back from it by a stage, so it can be deleted at any time.
Opening it costs more than a stage, which is why all new records are mirrored in one process.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

STORE = "sqlite:///mlflow.db"
ARTEFACTS = "mlartifacts"
EXPERIMENT = "crm"
LONGEST = 500  # characters of a parameter's value that the store takes


def track(root: Path) -> str:
    """Mirror every record not yet mirrored; returns one line that says how many."""
    waiting = sorted((root / ".crm/runs").glob("*.json"))
    if not waiting:
        return "MLflow: nothing new"
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_TRACKING_URI": STORE}
    import logging

    logging.getLogger("alembic").setLevel(logging.WARNING)
    before = Path.cwd()
    os.chdir(root)  # the store's address is relative, so that the folder can be moved
    try:
        import mlflow

        _experiment(mlflow)
        for path in waiting:
            _mirror(mlflow, root, json.loads(path.read_text(encoding="utf-8")))
            tracked = root / ".crm/tracked" / path.name
            tracked.parent.mkdir(exist_ok=True)
            path.replace(tracked)
    finally:
        os.chdir(before)
    return f"MLflow: {len(waiting)} runs mirrored; look with `make ui`"


def _experiment(mlflow) -> None:
    mlflow.set_tracking_uri(STORE)
    if mlflow.get_experiment_by_name(EXPERIMENT) is None:
        mlflow.create_experiment(EXPERIMENT, artifact_location=ARTEFACTS)
    mlflow.set_experiment(EXPERIMENT)


def _mirror(mlflow, root: Path, record: dict) -> None:
    """One run: parameters, `as_of`, data version, metrics, the executed notebook and figures."""
    with mlflow.start_run(run_name=record["stage"]):
        run = record["run"]
        mlflow.set_tags(
            {
                "stage": record["stage"],
                "commit": record["commit"],
                "source": run["source"],
                "as_of": run["as_of"],
            }
            | {f"sha256 {path}"[:250]: made for path, made in record["outputs"].items()}
        )
        facts = {f"run.{key}": run[key] for key in ("source", "as_of", "seed", "currency")}
        mlflow.log_params(_short(facts | record["params"]))
        mlflow.log_metrics(_numbers(record["metrics"]))
        notebook = root / f"reports/notebooks/{record['stage']}.ipynb"
        mlflow.log_artifact(str(notebook))
        for name, picture in _figures(notebook).items():
            mlflow.log_text(picture, f"figures/{name}.svg")
        for candidate in record["candidates"]:
            _child(mlflow, candidate)


def _child(mlflow, candidate: dict) -> None:
    with mlflow.start_run(run_name=candidate["name"], nested=True):
        mlflow.log_params(_short(candidate["params"]))
        mlflow.log_metrics(_numbers(candidate["metrics"]))
        for name, values in candidate["curves"].items():
            for step, value in enumerate(values):
                mlflow.log_metric(name, value, step=step)
        if candidate["model"] is not None:
            mlflow.log_dict(candidate["model"], "model.json")


def _short(params: dict) -> dict:
    return {key: str(value)[:LONGEST] for key, value in params.items()}


def _numbers(metrics: dict) -> dict:
    return {k: float(v) for k, v in metrics.items() if isinstance(v, (int, float))}


def _figures(notebook: Path) -> dict[str, str]:
    """The charts of an executed notebook, by the place they stand in."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    outputs = [out.get("data", {}) for cell in cells for out in cell.get("outputs", [])]
    pictures = ["".join(data["image/svg+xml"]) for data in outputs if "image/svg+xml" in data]
    return {f"{number:02}": picture for number, picture in enumerate(pictures, 1)}
