"""dvc.yaml is the only place that says what a stage reads and writes: what it says is true, for every stage."""

import importlib
import json
import re
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import modify_yaml
from pydantic import BaseModel

from tasks import lineage, parameters
from tests import imports
from tests.conftest import locked_hashes

ROOT = imports.REPOSITORY


@pytest.fixture(scope="module")
def repo() -> Any:
    return lineage.open_repo(ROOT)


def stages() -> list[str]:
    opened = lineage.open_repo(ROOT)
    return [lineage.address_of(opened, s) for s in opened.index.stages if s.cmd and s.path == str(ROOT / "dvc.yaml")]


@pytest.fixture(params=stages())
def info(request: pytest.FixtureRequest, repo: Any) -> lineage.StageInfo:
    return lineage.stage_info(repo, request.param, hashes=False)


def load_stage_module(cmd: str) -> Any:
    """Import the module that a stage's command, `python -m MODULE [member]`, runs."""
    match = re.fullmatch(r"python -m (tasks(?:\.\w+)+)(?: (\S+))?", cmd.strip())
    assert match, f"not the command of a stage of ours: {cmd!r}"
    return importlib.import_module(match[1])


def test_stage_has_the_name_of_its_module_and_its_member_is_the_argument(info: lineage.StageInfo) -> None:
    module = load_stage_module(info.cmd)
    assert module.__name__.rpartition(".")[2] == info.name
    assert info.cmd == f"python -m {module.__name__} {info.member}".strip()


def test_code_deps_are_the_module_and_all_that_it_reaches(info: lineage.StageInfo) -> None:
    module = load_stage_module(info.cmd).__name__
    declared = {path for path in info.deps if path.endswith(".py")}
    assert declared == imports.paths(imports.reached_from(module))


def test_parameters_are_exactly_the_keys_listed(info: lineage.StageInfo) -> None:
    """Each field is required and unknown keys are refused, so a valid model has exactly the listed keys."""
    module = load_stage_module(info.cmd)
    parameters.validate_parameters(module.Params, parameters.declared_parameters(info), info.address)
    for model in models_in(module.Params):
        assert model.model_config.get("extra") == "forbid", model
        loose = [name for name, field in model.model_fields.items() if not field.is_required()]
        assert not loose, f"{model.__name__}: {loose} have defaults outside params.yaml"


def models_in(kind: Any) -> set[type[BaseModel]]:
    """Return all models that a type holds, itself included."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {kind}.union(*(models_in(field.annotation) for field in kind.model_fields.values()))
    return set().union(*(models_in(inner) for inner in typing.get_args(kind)))


def test_every_key_of_params_yaml_is_used(repo: Any) -> None:
    assert parameters.unlisted_parameters(repo) == []
    parameters.read_knobs(ROOT)


def test_metrics_lie_where_dvc_metrics_and_mlflow_expect_them(info: lineage.StageInfo) -> None:
    assert info.metrics == [f"data/metrics/{info.name}{'/' + info.member if info.member else ''}.json"]


def test_every_selection_reads_the_overrides(info: lineage.StageInfo) -> None:
    if info.name.startswith("fetch_"):
        assert "data/exclude.csv" in info.deps
    if info.name.startswith("select_"):
        assert {"data/exclude.csv", "data/include.csv"} <= set(info.deps)


def test_no_out_is_persistent(repo: Any) -> None:
    kept = [out.fs_path for s in repo.index.stages for out in s.outs if out.persist]
    assert all(Path(path).is_relative_to(ROOT / "studies/metrics") for path in kept)  # a study's cell looks at its own


def test_lock_has_every_stage_and_its_present_outs(repo: Any, info: lineage.StageInfo) -> None:
    deps, outs = locked_hashes(ROOT, info.address)
    assert set(outs) == set(info.outs)
    assert set(deps) == set(info.deps)


def test_engines_stay_out_of_flows_and_trackers_out_of_tasks() -> None:
    forbidden = {"flows": {"cv2", "av", "torch", "h5py", "spacy"}, "tasks": {"prefect", "mlflow", "dvc"}}
    for folder, names in forbidden.items():
        for file in (ROOT / folder).rglob("*.py"):
            allowed = {"mlflow", "dvc"} if file.stem in ("stage", "lineage") and file.parent.name == "tasks" else set()
            assert not names - allowed & top_level_imports(file), file


def test_lines_do_not_import_each_other() -> None:
    folders = [p.name for p in (ROOT / "tasks").iterdir() if (p / "__init__.py").exists()]
    lines = [name for name in folders if name != "learning"]  # the one training loop, which all may use
    for line in folders:
        for file in (ROOT / "tasks" / line).rglob("*.py"):
            module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            others = {name.split(".")[1] for name in imports.imports_of(module)} & set(lines) - {line}
            assert not others, f"{file} imports {others}: what two lines need stands one level up"


def top_level_imports(file: Path) -> set[str]:
    import ast

    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def test_a_changed_stored_function_has_a_new_version() -> None:
    """Results are kept by version: code that changed under an unchanged version would answer with old results."""
    committed = json.loads(imports.TABLE.read_text())
    present = {name: imports.describe(function) for name, function in imports.all_functions().items()}
    assert set(committed) == set(present), "run: python -m tests.imports"
    for name, now in present.items():
        then = committed[name]
        changed = [key for key in ("source", "libraries") if now[key] != then[key]]
        assert not (changed and now["version"] == then["version"]), (
            f"{name}: {changed} changed, version {now['version']} did not. Bump it, or update the hash if results "
            f"cannot change: python -m tests.imports"
        )
        assert now == then, f"{name}: run python -m tests.imports"


def test_help_of_every_stage_is_printed(info: lineage.StageInfo) -> None:
    module = load_stage_module(info.cmd).__name__
    done = subprocess.run([sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--plan" in done.stdout


def test_an_experiment_changes_one_line_of_params_yaml(tmp_path: Path) -> None:
    """`dvc exp run -S` rewrites the file: in the form that DVC writes, nothing but the value changes."""
    before = (ROOT / "params.yaml").read_text()
    copy = tmp_path / "params.yaml"
    copy.write_text(before)
    with modify_yaml(str(copy)) as params:
        params["select_takes"]["pretrain"]["min_duration_s"] = 8
    changed = [(a, b) for a, b in zip(before.splitlines(), copy.read_text().splitlines(), strict=True) if a != b]
    assert len(changed) == 1
