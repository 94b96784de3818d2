"""What is asked of a pipeline run, and what it would do, from one DVC status."""

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from flows.graph import Node, Project, ProjectError
from tasks import env


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


def set_params(root: Path, changes: list[str]) -> None:
    """Set parameters in the project's files as `dvc exp run -S` does: "train.lr=0.1", "other.toml:train.lr=0.1".

    Raises ProjectError for a change that cannot be made, and then makes none in that file.
    """
    from dvc.exceptions import DvcException
    from dvc.utils.cli_parse import to_path_overrides
    from dvc.utils.hydra import apply_overrides

    for name, overrides in to_path_overrides(changes).items():
        if not (root / name).is_file():
            raise ProjectError(f"{root / name} does not exist, so {' '.join(overrides)} cannot be set in it")
        try:
            apply_overrides(root / name, overrides)
        except (DvcException, KeyError) as error:
            cause = error.__cause__ or error
            told = " ".join(str(cause).split())
            raise ProjectError(f"{name}: {' '.join(overrides)} cannot be set: {told}") from error


def take_status(root: Path, request: Request) -> tuple[Project, list[Node], dict[str, list[str]]]:
    """Select stages and take the one status. Raises ProjectError where there is nothing to select from."""
    project = Project.open(root)
    addresses = project.select(request.targets, everything=request.everything)
    nodes = [project.nodes[address] for address in addresses]
    if all(node.is_source for node in nodes):
        raise ProjectError(f"{root} has no stages to run: write a dvc.yaml ('dvc stage add --help' tells how)")
    reasons = project.changes(addresses)
    if request.force:
        reasons |= {node.address: [*reasons[node.address], "forced"] for node in nodes if not node.is_source}
    return project, nodes, reasons
