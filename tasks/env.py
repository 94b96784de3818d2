"""Where a checkout keeps its state, and quiet defaults for Prefect, DVC and MLflow.

Everything here is a default: a variable that the user has set wins. In the temporary copies that
`dvc exp run --temp` and its queue work in, state still resolves to the main checkout.
"""

import os
from pathlib import Path

_TEMPORARY_COPY = (".dvc", "tmp", "exps")


def checkout_root(start: Path | None = None) -> Path:
    """Return the nearest folder at or above `start` (default: the working directory) that holds `.dvc/`.

    Raises FileNotFoundError where there is none.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / ".dvc").is_dir():
            return folder
    raise FileNotFoundError(f"{start} is not inside a DVC repository: go into one, or make one with 'dvc init'")


def main_checkout(root: Path) -> Path:
    """Return the checkout that owns the state of `root`: itself, or where DVC made the temporary copy from.

    `HEADRACE_HOME` wins, for copies that DVC did not make.
    """
    if home := os.environ.get("HEADRACE_HOME"):
        return Path(home).resolve()
    parts = root.resolve().parts
    for i in range(len(parts) - len(_TEMPORARY_COPY)):
        if parts[i : i + len(_TEMPORARY_COPY)] == _TEMPORARY_COPY:
            return Path(*parts[:i])
    return root.resolve()


def is_temporary_copy(root: Path) -> bool:
    """Say whether `root` is a copy that keeps its state in another checkout."""
    return main_checkout(root) != root.resolve()


def store_url(root: Path) -> str:
    """Return the URL of the item store: `HEADRACE_STORE`, or data/store in the main checkout."""
    return os.environ.get("HEADRACE_STORE") or str(main_checkout(root) / "data" / "store")


def default_tracking_uri(root: Path) -> str:
    """Return the MLflow database of the main checkout as a URI."""
    return f"sqlite:///{main_checkout(root) / 'mlruns' / 'mlflow.db'}"


def configure(root: Path) -> None:
    """Set this process's defaults (and so its children's) for tracking, scheduling, telemetry and downloads."""
    defaults = {
        "MLFLOW_TRACKING_URI": default_tracking_uri(root),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        "PREFECT_HOME": str(main_checkout(root) / ".prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "DVC_NO_ANALYTICS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",  # results must not depend on the number of cores
        "OPENBLAS_NUM_THREADS": "1",
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16",  # torch keeps memory for each size of input: windows have many
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
