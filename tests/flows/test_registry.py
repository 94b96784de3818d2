"""Models in MLflow's registry, from what dvc.yaml declares: by the hashes of outs, wherever these came from."""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.graph import Project as DvcProject
from flows.graph import ProjectError
from flows.registry import Registered, register
from tasks import env, lineage
from tests.conftest import REPOSITORY, Project
from tests.flows import projects
from tests.flows.conftest import run

LOADER = """
import json
from pathlib import Path

import numpy as np


class Times:
    def __init__(self, factor):
        self.factor = factor

    def predict(self, model_input, params=None):
        return np.asarray(model_input) * self.factor


def _load_pyfunc(path):
    return Times(json.loads((Path(path) / "config.json").read_text())["factor"])


def input_example(path):
    return np.array([[1.0, 2.0]])
"""
FIT = """
import json, sys
from pathlib import Path

name = sys.argv[1]
factor = float(Path(f"factor-{name}").read_text())
folder = Path("models") / name
folder.mkdir(parents=True, exist_ok=True)
(folder / "config.json").write_text(json.dumps({"factor": factor}))
"""
CHOOSE = """
import json, sys
from pathlib import Path

Path("report").mkdir(exist_ok=True)
Path("report/best.json").write_text(json.dumps({"stage": f"fit@{sys.argv[1]}"}))
"""
DVC_YAML = f"""
stages:
  fit:
    matrix: {{name: [double, triple]}}
    cmd: {sys.executable} fit.py ${{item.name}}
    deps: [fit.py, "factor-${{item.name}}"]
    outs: ["models/${{item.name}}"]
    meta: {{model: {{name: times, path: "models/${{item.name}}", loader_module: served.times, requirements: [numpy]}}}}
  choose:
    cmd: {sys.executable} choose.py ${{best}}
    deps: [choose.py, models/double, models/triple]
    params: [best]
    outs: [report]
    meta: {{alias: {{name: champion, of: times, read: report/best.json}}}}
  other:
    cmd: echo other > other.txt
    outs: [other.txt]
"""


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, empty_project: Path) -> Project:
    """A project whose stages have run. Not to be changed: see `models`."""
    root = tmp_path_factory.mktemp("models") / "project"
    shutil.copytree(empty_project, root, symlinks=True)
    made = Project(root)
    made.write("dvc.yaml", DVC_YAML)
    for name, factor in (("double", 2), ("triple", 3)):
        made.write(f"factor-{name}", f"{factor}\n")
    made.write("params.yaml", "best: triple\n")
    made.write("fit.py", FIT)
    made.write("choose.py", CHOOSE)
    made.write("served/__init__.py", "")
    made.write("served/times.py", LOADER)
    made.dvc("repro", "-q")
    projects.commit(root)
    return made


@pytest.fixture
def models(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished project, for one test."""
    shutil.copytree(finished.root, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")


def registered(root: Path, said: Callable[[str], None] = lambda _: None) -> list[Registered]:
    os.environ["MLFLOW_TRACKING_URI"] = env.default_tracking_uri(root)
    env.configure(root)
    return register(DvcProject.open(root), said)


def champion() -> str:
    return str(lineage.client().get_model_version_by_alias("times", "champion").tags["dvc.stage"])


def test_each_model_becomes_a_version_once_and_the_chosen_one_gets_the_alias(models: Project) -> None:
    first = registered(models.root)
    assert [(one.address, one.new, one.aliases) for one in first] == [
        ("fit@double", True, ()),
        ("fit@triple", True, ("champion",)),
    ]
    again = registered(models.root)
    assert [(one.version, one.new) for one in again] == [(one.version, False) for one in first]
    import mlflow

    loaded = mlflow.pyfunc.load_model("models:/times@champion")
    assert loaded.predict(np.array([[5.0, 7.0]])).tolist() == [[15.0, 21.0]]
    assert loaded.metadata.signature.inputs.to_dict()[0]["tensor-spec"]["shape"] == (-1, 2)


def test_a_new_choice_moves_the_alias_and_a_new_out_is_a_new_version(models: Project) -> None:
    before = {one.address: one.version for one in registered(models.root)}
    models.write("params.yaml", "best: double\n")
    models.write("factor-double", "2.5\n")
    models.dvc("repro", "-q")
    after = {one.address: one for one in registered(models.root)}
    assert (after["fit@triple"].version, after["fit@triple"].new) == (before["fit@triple"], False)
    assert after["fit@double"].new
    assert champion() == "fit@double"


def test_registering_that_was_killed_leaves_no_version_that_is_made_again(
    models: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in turn at each later call that writes to a version: what is there then is found by the next try."""
    from mlflow.tracking import MlflowClient

    for name in ("set_model_version_tag", "set_registered_model_alias"):
        with monkeypatch.context() as killed, contextlib.suppress(KeyboardInterrupt):
            killed.setattr(MlflowClient, name, _kill)
            registered(models.root)
    registered(models.root)
    versions = lineage.client().search_model_versions("name = 'times'")
    assert sorted(version.tags["dvc.stage"] for version in versions) == ["fit@double", "fit@triple"]
    assert all(version.run_id for version in versions)
    assert champion() == "fit@triple"


def _kill(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_alias_that_cannot_be_moved_to_the_chosen_model_is_named_and_stays(models: Project) -> None:
    registered(models.root)
    models.write("params.yaml", "best: double\n")
    models.dvc("repro", "-q")
    shutil.rmtree(models.root / "models/double")
    said: list[str] = []
    registered(models.root, said.append)
    remedy = "models/double is missing: run 'dvc pull models/double', or the stage fit@double"
    assert said == [f"times of fit@double not registered: {remedy}", f"alias champion not moved: {remedy}"]
    assert champion() == "fit@triple"
    models.write("params.yaml", "best: none\n")
    models.dvc("repro", "-q")
    registered(models.root, said.append)
    assert said[2:] == ["alias champion not moved: report/best.json names 'fit@none', which makes no version of times"]
    assert champion() == "fit@triple"


def test_requirements_are_pinned_to_versions_that_an_index_has(
    models: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "site" / "localbuild-1.2.3+cpu.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: localbuild\nVersion: 1.2.3+cpu\n")
    monkeypatch.syspath_prepend(str(info.parent))
    models.write("dvc.yaml", (models.root / "dvc.yaml").read_text().replace("[numpy]", "[numpy, localbuild]"))
    registered(models.root)
    import mlflow

    folder = Path(mlflow.artifacts.download_artifacts("models:/times@champion", dst_path=str(tmp_path / "model")))
    assert {"localbuild==1.2.3", f"numpy=={np.__version__}"} <= set((folder / "requirements.txt").read_text().split())


LOADED = """
import sys

sys.path[:] = [path for path in sys.path if path != sys.argv[1]]
import mlflow
import numpy as np

print(mlflow.pyfunc.load_model("models:/times@champion").predict(np.array([[5.0, 7.0, 9.0]])).tolist())
"""


@pytest.mark.parametrize("package", ["served", "tasks"])  # as the project before has it, and as ours is called
def test_a_loader_is_of_its_own_project_whatever_its_package_is_called(
    package: str, models: Project, tmp_path: Path
) -> None:
    shutil.copytree(models.root, tmp_path / "other", symlinks=True)
    registered(models.root)
    other = Project(tmp_path / "other")
    other.write("dvc.yaml", (other.root / "dvc.yaml").read_text().replace("served.times", f"{package}.times"))
    other.write(f"{package}/__init__.py", "")
    other.write(f"{package}/times.py", LOADER.replace("* self.factor", "* self.factor + 1").replace("2.0", "2.0, 3.0"))
    registered(other.root)
    done = other.command(sys.executable, "-P", "-c", LOADED, str(REPOSITORY))
    assert done.stdout.splitlines()[-1] == "[[16.0, 22.0, 28.0]]"


@pytest.fixture
def clone(models: Project, tmp_path: Path, empty_database: Path) -> Project:
    """A clone of `models` without outs, which `dvc pull` brings."""
    models.dvc("remote", "add", "-d", "shelf", str(tmp_path / "shelf"))
    projects.commit(models.root)
    models.dvc("push", "-q")
    models.command("git", "clone", "-q", str(models.root), str(tmp_path / "clone"))
    (tmp_path / "clone" / "mlruns").mkdir()
    shutil.copy(empty_database, tmp_path / "clone" / "mlruns" / "mlflow.db")
    return Project(tmp_path / "clone")


def test_a_clone_with_its_outs_pulled_registers_the_same(models: Project, clone: Project) -> None:
    here = registered(models.root)
    said: list[str] = []
    assert registered(clone.root, said.append) == []
    assert [line.split(" is missing")[0] for line in said] == [
        "times of fit@double not registered: models/double",
        "times of fit@triple not registered: models/triple",
        "alias champion not moved: report/best.json",
    ]
    clone.dvc("pull", "-q")
    there = registered(clone.root)
    assert [(one.model, one.address, one.digest, one.aliases) for one in there] == [
        (one.model, one.address, one.digest, one.aliases) for one in here
    ]
    assert all(one.new for one in there)


def test_a_pipeline_run_registers_at_its_end_and_asks_no_more_while_nothing_changes(
    models: Project, no_prefect: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(models.root)
    env.configure(models.root)
    assert champion() == "fit@triple"
    monkeypatch.setattr("flows.registry.register", None)  # not called again
    run(models.root)
    models.write("params.yaml", "best: double\n")
    monkeypatch.undo()
    run(models.root)
    env.configure(models.root)
    assert champion() == "fit@double"


def test_models_whose_outs_come_after_a_run_are_registered_by_the_next(clone: Project, no_prefect: None) -> None:
    run(clone.root, "other")
    clone.dvc("pull", "-q")
    run(clone.root)
    env.configure(clone.root)
    assert champion() == "fit@triple"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            ("path: ", "folder: "),
            "stage 'fit@double': meta.model is .*: give name, path, loader_module, ",
        ),
        (('path: "models/', 'path: "model/'), "meta.model.path is 'model/double', which is none of its outs"),
        (("report/best.json}", "best.json}"), "meta.alias.read is 'best.json', which is in none of its outs"),
        (("[numpy]", "[nampy]"), "stage 'fit@double': meta.model.requirements: no package 'nampy' is installed"),
        (("served.times", "served"), "meta.model.loader_module: served has no function _load_pyfunc"),
        (("served.times", "served.tomes"), "stage 'fit@double': meta.model.loader_module: No module named"),
    ],
)
def test_a_declaration_that_cannot_be_followed_is_named(models: Project, change: tuple[str, str], told: str) -> None:
    models.write("dvc.yaml", (models.root / "dvc.yaml").read_text().replace(*change))
    with pytest.raises(ProjectError, match=told):
        registered(models.root)


def test_register_prints_what_is_there_and_refuses_a_project_without_models(
    models: Project, make_project: Callable[[str], Project]
) -> None:
    done = CliRunner().invoke(app, ["register", "--repo", str(models.root)])
    assert done.exit_code == 0
    rows = [line.split() for line in done.output.splitlines() if line.startswith("times")]
    assert [(row[2], row[3]) for row in rows] == [("new", "fit@double"), ("new", "fit@triple")]
    assert rows[1][-1] == "champion"
    assert "champion" not in rows[0]
    none = make_project("none")
    none.write("dvc.yaml", "stages: {a: {cmd: touch a, outs: [a]}}\n")
    done = CliRunner().invoke(app, ["register", "--repo", str(none.root)])
    assert done.exit_code == 1
    assert "no stage declares a model" in done.output


def test_sources_are_listed_anew_by_the_commands_that_stages_declare(models: Project) -> None:
    text = (models.root / "dvc.yaml").read_text()
    models.write("dvc.yaml", text.replace("meta: {alias:", "meta: {refresh: echo found >> listing, alias:"))
    done = CliRunner().invoke(app, ["sources", "refresh", "--repo", str(models.root)])
    assert (done.exit_code, (models.root / "listing").read_text()) == (0, "found\n")
    models.write("dvc.yaml", text.replace("meta: {alias:", "meta: {refresh: 'exit 3', alias:"))
    done = CliRunner().invoke(app, ["sources", "refresh", "--repo", str(models.root)])
    assert done.exit_code == 1
    assert "not refreshed: exit 3" in done.output
