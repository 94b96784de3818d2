"""Studies: the same stages again with other parameters, cell by cell. What a cell found is kept in git.

A cell is a target of dvc.yaml and the parameters that differ from params.yaml. It runs by `dvc repro` in a copy of the
checkout that shares its cache, store and MLflow runs, and leaves studies/metrics/<study>/<cell>.json. That file says
from which parameters, versions and data its figures are; where it says what would be run now, nothing is run.
"""

import importlib.metadata
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from flows.graph import Project, ProjectError
from flows.runner import DVC_PATIENCE_S, start_supervised
from tasks import lineage

log = logging.getLogger("headrace")

FOLDER = "studies/metrics"
TABLE = "tests/functions.json"  # which functions have which version; a test keeps it true
_COPIES = Path(".dvc/tmp/studies")
_OWN = Path("data/own")
_STDOUT = 1
_MATCHED = ("target", "parameters", "versions", "data")  # what a finished cell must have in common with what would run


@dataclass(frozen=True)
class Cell:
    """One point of a study: a target with all that it needs, and the parameters that are other than params.yaml's."""

    study: str
    axes: dict[str, str]  # in the order of its name: {"data": "maze", "network": "fno", "seed": "0"}
    target: str
    files: tuple[str, ...] = ()  # YAML: dotted key -> value, put in place of the whole value there
    changes: tuple[str, ...] = ()  # "dotted.key=value", after the files

    @property
    def name(self) -> str:
        """The values of its axes: "maze-fno-0"."""
        return "-".join(self.axes.values())

    @property
    def path(self) -> Path:
        """Where its figures lie, below the root."""
        return Path(FOLDER) / self.study / f"{self.name}.json"


def run_cell(root: Path, cell: Cell) -> bool:
    """Run a cell unless its file says that it has been; say whether it ran.

    Raises ProjectError where it cannot be run, another process runs it, or a stage failed.
    """
    copy = root / _COPIES / cell.study / cell.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(copy.with_name(f"{cell.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ProjectError(f"{cell.path}: another process runs this cell") from None
    try:
        _make_copy(root, copy)
        _set_parameters(copy, _values(root, cell))
        project = Project.open(copy)
        addresses = project.select([cell.target])
        wanted = _identity(copy, cell, addresses)
        there = _read(root / cell.path)
        if there is not None and all(there.get(key) == wanted[key] for key in _MATCHED):
            return False
        if there is not None:
            log.info("%s: run again, since %s", cell.path, _difference(there, wanted))
        begun = time.monotonic()
        _repro(root, copy, cell)
        seconds = round(time.monotonic() - begun, 1)
        _write(root / cell.path, {**wanted, **_found(copy, project, addresses), "seconds": seconds})
        return True
    finally:
        shutil.rmtree(copy, ignore_errors=True)  # what is left where it is killed, the next run of this cell removes
        lock.release()


# --- the copy ---


def _make_copy(root: Path, copy: Path) -> None:
    """Copy what git has or would add, link folders of own data, share DVC's cache."""
    from dvc.config import Config
    from dvc.repo import Repo

    shutil.rmtree(copy, ignore_errors=True)
    listing = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        files = subprocess.run(listing, capture_output=True, check=True, text=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError) as error:
        raise ProjectError(f"{root}: a study needs a git repository: {error}") from error
    for name in filter(None, files):
        source, target = root / name, copy / name
        if source.is_file() and not name.startswith(f"{FOLDER}/"):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    for own in (root / _OWN).iterdir() if (root / _OWN).is_dir() else ():
        if own.is_dir():
            shutil.rmtree(copy / _OWN / own.name, ignore_errors=True)
            (copy / _OWN).mkdir(parents=True, exist_ok=True)
            (copy / _OWN / own.name).symlink_to(own)
    with Config(str(copy / ".dvc")).edit("local") as settings:
        settings["core"]["no_scm"] = True
        settings["cache"]["dir"] = str(Repo(str(root)).cache.local.path)


def _values(root: Path, cell: Cell) -> dict[str, Any]:
    """Return what the cell sets: dotted key -> value."""
    from dvc.utils.serialize import load_yaml, parse_yaml

    found: dict[str, Any] = {}
    for name in cell.files:
        if not (root / name).is_file():
            raise ProjectError(f"{root / name}: there is no such file of parameters")
        found |= load_yaml(str(root / name))
    for change in cell.changes:
        key, sign, text = change.partition("=")
        if not sign:
            raise ProjectError(f"'{change}' sets nothing: write KEY=VALUE")
        found[key] = parse_yaml(f"value: {text}", change)["value"]
    return found


def _set_parameters(copy: Path, values: Mapping[str, Any]) -> None:
    from dvc.utils.serialize import dump_yaml, load_yaml

    file = copy / "params.yaml"
    params = load_yaml(str(file))
    for key, value in values.items():
        *parents, last = key.split(".")
        level = params
        for parent in parents:
            level = level.get(parent) if isinstance(level, dict) else None
        if not isinstance(level, dict):
            raise ProjectError(f"params.yaml has no {'.'.join(parents)}, so {key} cannot be set there")
        level[last] = value
    dump_yaml(str(file), params)


# --- what it is and what came out ---


def _identity(copy: Path, cell: Cell, addresses: Iterable[str]) -> dict[str, Any]:
    """Return what a cell's figures depend on: parameters, versions of functions and libraries, data from outside."""
    from dvc.exceptions import DvcException

    try:
        repo = lineage.open_repo(copy)
        infos = [lineage.stage_info(repo, address, hashes=False) for address in addresses]
        made = [Path(out) for info in infos for out in info.outs]
        outside = sorted(
            {
                (path, address)
                for address, info in zip(addresses, infos, strict=True)
                for path in info.deps
                if not path.endswith(".py") and not any(Path(path).is_relative_to(out) for out in made)
            }
        )
        data = {path: lineage.stage_info(repo, address, hashes=True).deps[path] for path, address in outside}
    except DvcException as error:
        raise ProjectError(f"{copy}: DVC cannot read the project: {error}") from error
    params: dict[str, Any] = {}
    for info in infos:
        for file, values in info.params.items():
            params |= lineage.flatten(values, "" if file == "params.yaml" else f"{file}:")
    modules = sorted({path for info in infos for path in info.deps if path.endswith(".py")})
    return {
        "study": cell.study,
        "axes": cell.axes,
        "target": cell.target,
        "parameters": dict(sorted(params.items())),
        "versions": _versions(copy, modules),
        "data": data,
    }


def _versions(root: Path, modules: Iterable[str]) -> dict[str, str]:
    """Return the versions of the functions that these files make, by the project's table, and of their libraries.

    A project without a table is known by its parameters and data alone.
    """
    table = json.loads((root / TABLE).read_text()) if (root / TABLE).is_file() else {}
    files = set(modules)
    used = {name: told for name, told in table.items() if f"{told['module'].replace('.', '/')}.py" in files}
    libraries = {library for told in used.values() for library in told["libraries"]}
    found = {name: told["version"] for name, told in used.items()}
    return dict(sorted((found | {name: importlib.metadata.version(name) for name in libraries}).items()))


def _repro(root: Path, copy: Path, cell: Cell) -> None:
    paths = [str(copy), *filter(None, [os.environ.get("PYTHONPATH")])]
    told = {"HEADRACE_HOME": str(root), lineage.STUDY_CELL: f"{cell.study}/{cell.name}"}
    env = {**os.environ, **told, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "dvc", "repro", cell.target]
    with start_supervised(command, cwd=copy, env=env, patience_s=DVC_PATIENCE_S, output=_STDOUT) as process:
        code = process.wait()  # where this process ends, the command and all that it started end too
    if code:
        raise ProjectError(
            f"{cell.path}: '{cell.target}' failed with exit code {code}, see above; "
            "what is finished is stored, run it again to go on"
        )


def _found(copy: Path, project: Project, addresses: Iterable[str]) -> dict[str, Any]:
    """Return hashes of all outs, and the metrics of all stages, by their names; by address where members share one."""
    from dvc.fs import localfs
    from dvc.utils.serialize import load_path

    names = [project.nodes[address].name for address in addresses]
    outs: dict[str, str] = {}
    figures: dict[str, Any] = {}
    repo = lineage.open_repo(copy)
    for address, name in zip(addresses, names, strict=True):
        outs |= project.locked(address).outs
        for path in lineage.stage_info(repo, address, hashes=False).metrics:
            key = name if names.count(name) == 1 else address
            figures.setdefault(key, {}).update(lineage.flatten(load_path(str(copy / path), localfs)))
    return {"outs": dict(sorted(outs.items())), "figures": figures}


def _difference(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Say what of a finished cell is not what would be run now, a few keys of it."""
    then, now = (lineage.flatten({key: one.get(key) for key in _MATCHED}) for one in (there, wanted))
    names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    told = [f"{name} was {then.get(name)!r}, is {now.get(name)!r}" for name in names]
    more = f" and {len(told) - 4} more" if len(told) > 4 else ""
    return "; ".join(told[:4]) + more


def _read(file: Path) -> dict[str, Any] | None:
    """Return a finished cell; None where there is none."""
    if not file.exists():
        return None
    try:
        content: dict[str, Any] = json.loads(file.read_text())
    except ValueError as error:
        log.warning("%s is no JSON (%s): it is made anew", file, error)
        return None
    return content


def _write(file: Path, content: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(file)


def finished_cells(root: Path, study: str) -> list[dict[str, Any]]:
    """Return what the finished cells of a study left, in the order of their names."""
    found = [_read(file) for file in sorted((root / FOLDER / study).glob("*.json"))]
    return [one for one in found if one is not None]
