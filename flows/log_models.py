"""Log models in MLflow, as a process of a project's own: `python -P flows/log_models.py ROOT`.

A loader module is the project's code: its packages may be named as ours are, and what one project has imported is not
what the next one means by the same name. So this file imports nothing of ours. For each line of JSON that it reads it
answers with one: {"uri": ...} of the logged model, or {"error": ...}.
"""

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import mlflow  # before the project's folder is searched for modules


class Unusable(Exception):
    """A loader module that cannot be used, in one line."""


def log_model(root: Path, job: dict[str, Any]) -> str:
    """Put the model in folder `path` into the MLflow run `run_id`; return its URI."""
    loader = _imported(job["loader_module"])
    folder = root / job["path"]
    example = loader.input_example(str(folder)) if hasattr(loader, "input_example") else None
    signature = None
    if example is not None:
        signature = mlflow.models.infer_signature(example, loader._load_pyfunc(str(folder)).predict(example))
    # a run that has ended is opened again for a moment, and closed as it was
    with mlflow.start_run(run_id=job["run_id"]):
        logged = mlflow.pyfunc.log_model(
            name=job["name"],
            loader_module=job["loader_module"],
            data_path=str(folder),
            code_paths=[str(root / job["loader_module"].split(".")[0])],
            input_example=example,
            signature=signature,
            pip_requirements=job["requirements"],
        )
    return str(logged.model_uri)


def _imported(module: str) -> Any:
    try:
        loader = importlib.import_module(module)
    except ImportError as error:
        raise Unusable(f"meta.model.loader_module: {error}") from error
    if not hasattr(loader, "_load_pyfunc"):
        raise Unusable(f"meta.model.loader_module: {module} has no function _load_pyfunc(path)")
    return loader


def main() -> None:
    """Answer each line of standard input. What loaders print goes to standard error: it is no answer."""
    root = Path(sys.argv[1])
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        sys.path.insert(0, str(root))
        for line in sys.stdin:
            try:
                answer = {"uri": log_model(root, json.loads(line))}
            except Unusable as error:
                answer = {"error": str(error)}
            except Exception as error:  # noqa: BLE001  any failure of a loader or of MLflow, and it is told
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
