"""What tests share: an MLflow database made once, and small DVC projects in temporary folders."""

import importlib.util
import os
import runpy
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tasks import env, lineage
from tests.priority import give_up_real_time

REPOSITORY = Path(__file__).resolve().parent.parent
give_up_real_time()
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell script starts its background jobs without it

_OURS = ("MLFLOW_", "PREFECT_", "HEADRACE_", "DVC_STAGE", "DVC_ROOT")


@pytest.fixture(autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's settings out of a test, and a test's traces out of the machine."""
    for name in list(os.environ):
        if name.startswith(_OURS):
            monkeypatch.delenv(name)
    site_cache = tmp_path_factory.getbasetemp() / "dvc-site-cache"
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(site_cache))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "test")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "test@example.invalid")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    # what env.configure sets by default in this process must not outlive the test
    for name in ("HF_HUB_OFFLINE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "DO_NOT_TRACK"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_HOME"):
        monkeypatch.setenv(name, "unset")
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its schema and no runs, made once: making one takes seconds."""
    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    lineage._client(f"sqlite:///{database}").search_experiments(max_results=1)
    return database


@pytest.fixture(scope="session")
def empty_project(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """A git and DVC repository with nothing in it but an MLflow database."""
    root = tmp_path_factory.mktemp("template") / "project"
    root.mkdir()
    subprocess.run(["git", "init", "-q", "-b", "main", str(root)], check=True)
    quiet = {**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(root.parent / "site-cache")}
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=root, check=True, env=quiet)
    (root / "mlruns").mkdir()
    shutil.copy(empty_database, root / "mlruns" / "mlflow.db")
    (root / ".gitignore").write_text("/mlruns\n/.prefect\n/data/store\n__pycache__\n*.partial\n")
    return root


def locked_hashes(root: Path, address: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return (deps, outs) of a stage of the root's dvc.yaml, path -> hash, read from dvc.lock with nothing of ours."""
    entry = YAML(typ="safe").load(root / "dvc.lock")["stages"][address]
    deps, outs = ({i["path"]: i["md5"] for i in entry.get(key, [])} for key in ("deps", "outs"))
    return deps, outs


class Project:
    """A small DVC project of a test, with stages written by the test."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        if file.suffix == ".py":  # bytecode is taken for that of a file of the same second and size
            Path(importlib.util.cache_from_source(file)).unlink(missing_ok=True)
        return file

    def commit(self, message: str = "test") -> None:
        self.command("git", "add", "-A")
        self.command("git", "commit", "-q", "-m", message)

    def command(self, *args: str, check: bool = True, **kwargs: object) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(args, cwd=self.root, capture_output=True, text=True, **kwargs)  # type: ignore[call-overload]
        if check and done.returncode:
            raise AssertionError(f"{' '.join(args)} exited {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def dvc(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.command(sys.executable, "-m", "dvc", *args, check=check)

    def stage(self, module: str, *args: str) -> int:
        """Run a stage as `python -m` would, in this process; return its exit code."""
        argv, path, cwd = sys.argv, list(sys.path), Path.cwd()
        sys.argv, sys.path[:0] = [module, *args], [str(self.root)]
        os.chdir(self.root)
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as stop:
            return int(stop.code or 0)
        finally:
            sys.argv, sys.path[:] = argv, path
            os.chdir(cwd)
            for name in [n for n in sys.modules if n.partition(".")[0] == module.partition(".")[0]]:
                del sys.modules[name]
        raise AssertionError("a stage must end with an exit code")

    def runs(self) -> list[lineage.RunRef]:
        """All MLflow runs of the project, newest first."""
        env.configure(self.root)
        return lineage._search("", limit=1000)


@pytest.fixture
def project(tmp_path: Path, empty_project: Path) -> Iterator[Project]:
    root = tmp_path / "project"
    shutil.copytree(empty_project, root, symlinks=True)
    yield Project(root)


@pytest.fixture(scope="module")
def module_project(tmp_path_factory: pytest.TempPathFactory, empty_project: Path) -> Project:
    """A project that all tests of a module look at: what one of them changes, the others see."""
    root = tmp_path_factory.mktemp("module") / "project"
    shutil.copytree(empty_project, root, symlinks=True)
    return Project(root)


@pytest.fixture
def make_project(tmp_path: Path, empty_project: Path) -> Callable[[str], Project]:
    def make(name: str) -> Project:
        shutil.copytree(empty_project, tmp_path / name, symlinks=True)
        return Project(tmp_path / name)

    return make
