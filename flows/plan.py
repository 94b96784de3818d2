"""What is asked of a pipeline run, and what it would do, from one DVC status."""

import contextlib
import logging
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from flows.graph import Node, Project, ProjectError
from tasks import env

log = logging.getLogger("headrace")

OWN = "data/own"  # where people put files by hand; all else is written by stages


class Request(BaseModel):
    """What to run, where and how. JSON-serialisable, so that it can be the parameters of a deployment."""

    model_config = ConfigDict(extra="forbid")

    repo: Path = Path()
    targets: list[str] = []
    everything: bool = Field(default=False, description="All dvc.yaml files, not only the one at the root")
    jobs: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, description="Stages at the same time")
    keep_going: bool = Field(default=True, description="After a failure, run what does not depend on it")
    force: bool = Field(default=False, description="Run stages also where nothing has changed")
    changes: list[str] = Field(default=[], description="Parameters to set before, as `dvc exp run -S` takes them")
    wait: bool = Field(default=False, description="Wait for another pipeline run on the checkout to end")


@dataclass(frozen=True)
class Foreseen:
    """What a run would do with a stage."""

    address: str
    would: str  # "run", "maybe run" (if what it needs comes out different), "-"
    why: str
    command: str


def foreseen(request: Request) -> list[Foreseen]:
    """Say for each selected stage what a run would do, from one status; nothing runs and nothing is locked for long."""
    root = root_of(request)
    _, nodes, reasons = take_status(root, request)
    rows: list[Foreseen] = []
    moving: set[str] = set()
    for node in nodes:
        above = sorted(node.needs & moving)
        if reasons[node.address]:
            would, why = "run", "; ".join(reasons[node.address])
        elif above:
            would, why = "maybe run", f"needs {', '.join(above)}"
        else:
            would, why = "-", ""
        if would != "-":
            moving.add(node.address)
        if not node.is_source:
            rows.append(Foreseen(node.address, would, why, node.cmd.replace("\n", "; ")))
    return rows


def root_of(request: Request) -> Path:
    """Return the root of the repository that a request names. Raises ProjectError outside of one."""
    try:
        return env.checkout_root(request.repo)
    except FileNotFoundError as error:
        raise ProjectError(str(error)) from error


def set_params(root: Path, changes: list[str]) -> dict[Path, bytes]:
    """Set parameters in the project's files as `dvc exp run -S` does: "train.lr=0.1", "other.toml:train.lr=0.1".

    Returns what each of these files held before. Raises ProjectError for a change that cannot be made, and then makes
    none at all.
    """
    from dvc.exceptions import DvcException
    from dvc.utils.cli_parse import to_path_overrides
    from dvc.utils.hydra import apply_overrides

    before: dict[Path, bytes] = {}
    for name, overrides in to_path_overrides(changes).items():
        if not (root / name).is_file():
            unset_params(before)
            raise ProjectError(f"{root / name} does not exist, so {' '.join(overrides)} cannot be set in it")
        before[root / name] = (root / name).read_bytes()
        try:
            apply_overrides(root / name, overrides)
        except (DvcException, KeyError) as error:
            unset_params(before)
            cause = error.__cause__ or error
            told = " ".join(str(cause).split())
            raise ProjectError(f"{name}: {' '.join(overrides)} cannot be set: {told}") from error
    return before


def unset_params(before: dict[Path, bytes]) -> None:
    """Undo what `set_params` did."""
    for path, content in before.items():
        path.write_bytes(content)


def take_status(root: Path, request: Request) -> tuple[Project, list[Node], dict[str, list[str]]]:
    """Select stages and take the one status. Raises ProjectError where there is nothing to select from."""
    project = Project.open(root)
    addresses = project.select(request.targets, everything=request.everything)
    nodes = [project.nodes[address] for address in addresses]
    if all(node.is_source for node in nodes):
        raise ProjectError(f"{root} has no stages to run: write a dvc.yaml ('dvc stage add --help' tells how)")
    _check_own_files(root, nodes)
    reasons = project.changes(addresses)
    if request.force:
        reasons |= {node.address: [*reasons[node.address], "forced"] for node in nodes if not node.is_source}
    return project, nodes, reasons


def _check_own_files(root: Path, nodes: list[Node]) -> None:
    """Raise ProjectError for what DVC cannot hash among the files of one's own: at a pipe it would wait for ever."""
    found = [odd for dep in _own_deps(nodes) for odd in _odd_paths(root / dep)]
    if not found:
        return
    from dvc.repo import Repo

    ignored = Repo(str(root)).dvcignore.is_ignored_file
    odd = [f"{_printable(os.path.relpath(path, root))} {what}" for path, what in found if not ignored(path)]
    if odd:
        more = f" (and {len(odd) - 3} more)" if len(odd) > 3 else ""
        raise ProjectError(f"{'; '.join(odd[:3])}{more}: DVC cannot hash that, so rename it or take it out of there")


def _own_deps(nodes: list[Node]) -> list[str]:
    return sorted({dep for node in nodes for dep in node.deps if f"{dep}/".startswith(f"{OWN}/")})


def _odd_paths(dep: Path) -> Iterator[tuple[str, str]]:
    """Yield each path below `dep` that DVC cannot hash, and what is wrong. As DVC does, follow no link to a folder."""
    todo = [str(dep)] if dep.is_dir() else []
    while todo:
        with contextlib.suppress(PermissionError), os.scandir(todo.pop()) as entries:  # DVC tells of that by name
            for entry in entries:
                if what := _oddity(entry):
                    yield entry.path, what
                elif entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)


def _oddity(entry: "os.DirEntry[str]") -> str:
    if _printable(entry.name) != entry.name:
        return "has a name that is not UTF-8"
    if entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False):  # told without a look at the disk
        return ""
    try:
        mode = entry.stat().st_mode
    except OSError:
        return "is a link to nothing"
    if stat.S_ISDIR(mode):
        log.warning("%s: left out, as DVC does not follow a link to a folder", entry.path)
        return ""
    return "" if stat.S_ISREG(mode) else "is a pipe, a socket or a device"


def _printable(path: str) -> str:
    return os.fsencode(path).decode(errors="backslashreplace")
