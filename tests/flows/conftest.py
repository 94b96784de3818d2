"""Projects made once and copied for each test, one Prefect server for all, and nothing of the user's own settings."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.launch import run_pipeline
from flows.pipeline_run import PipelineRun
from flows.plan import Request
from flows.server import started_server
from tests.flows import projects


@pytest.fixture(scope="session", autouse=True)
def own_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give DVC, Prefect and MLflow homes of their own, and undo what the tests put into the environment."""
    before = dict(os.environ)
    for name in list(os.environ):
        if name.startswith(("PREFECT_", "MLFLOW_", "HEADRACE_", "DVC_")):
            del os.environ[name]
    home = tmp_path_factory.mktemp("home")
    os.environ["DVC_SITE_CACHE_DIR"] = str(home / "dvc")
    os.environ["PREFECT_HOME"] = str(home / "prefect")
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def clean_environment(own_settings: None) -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def prefect_server(own_settings: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with started_server(tmp_path_factory.mktemp("server") / "log.txt") as url:
        yield url


@pytest.fixture
def prefect_api(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    return prefect_server


@pytest.fixture
def no_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run without Prefect, quickly: its API is configured and does not answer."""
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")


@pytest.fixture(scope="session")
def mlflow_database(own_settings: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracking database with no runs; making one takes seconds."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="session")
def templates(
    own_settings: None, tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path
) -> Callable[[str], Path]:
    """Make a project of `projects.py` once and give its folder."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            made[name] = getattr(projects, name)(tmp_path_factory.mktemp("template") / name)
            (made[name] / "mlruns").mkdir()
            (made[name] / "mlruns" / ".gitignore").write_text("*\n")
            shutil.copy(mlflow_database, made[name] / "mlruns" / "mlflow.db")
        return made[name]

    return make


@pytest.fixture
def matrix(templates: Callable[[str], Path], tmp_path: Path) -> Path:
    """A fresh copy of the matrix project, in which nothing has run."""
    return Path(shutil.copytree(templates("model_matrix"), tmp_path / "matrix", symlinks=True))


@pytest.fixture(scope="session")
def first_run(
    templates: Callable[[str], Path], prefect_server: str, tmp_path_factory: pytest.TempPathFactory
) -> PipelineRun:
    """The first pipeline run of the matrix project, with all its dvc.yaml files. Tests only look at it."""
    root = Path(shutil.copytree(templates("model_matrix"), tmp_path_factory.mktemp("first") / "matrix"))
    before = dict(os.environ)
    os.environ["PREFECT_API_URL"] = prefect_server
    try:
        return run_pipeline(Request(repo=root, everything=True, jobs=3), say=lambda _: None)
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def finished(first_run: PipelineRun, tmp_path: Path) -> Path:
    """A copy of the matrix project after its first run."""
    (root := tmp_path / "finished").mkdir()
    shutil.copytree(first_run.root, root, symlinks=True, dirs_exist_ok=True)
    (root / "journal.txt").unlink()
    return root


def run(root: Path, *targets: str, jobs: int = 2, **more: bool) -> PipelineRun:
    return run_pipeline(Request(repo=root, targets=list(targets), jobs=jobs, **more), say=lambda _: None)


def states(done: PipelineRun) -> dict[str, str]:
    return {row.address: str(row.state) for row in done.table()}
