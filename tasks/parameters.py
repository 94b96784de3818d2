"""A stage's parameters: read by DVC from params.yaml, checked against the stage's model before any work."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from tasks import lineage
from tasks.credentials import is_credential, without_queries
from tasks.lineage import StageInfo
from tasks.llm_settings import Llm
from tasks.strict import StrictModel

RUN_SECTION = "run"  # params.yaml: knobs that cannot change outs
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


class StageError(Exception):
    """What stops a stage, in one line: the file, the reason and the remedy."""


class Knobs(StrictModel):
    """The `run:` section of params.yaml: how a stage runs. Nothing here can change an out."""

    engine: Literal["local"] = Field(description="where items are worked on: 'local' is worker processes")
    workers: int = Field(ge=0, le=1024, description="worker processes; 0 is one for each core")
    item_timeout_s: float = Field(gt=0, description="an item that takes longer is quarantined, seconds")
    max_reject_fraction: float = Field(ge=0, le=1, description="above this share of bad items a stage fails")
    device: str = Field(
        pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="of networks: auto is CUDA where there is some, else the CPU"
    )
    train_processes: int = Field(
        ge=1, le=1024, description="that train one network together, each with its part of every batch and its own card"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(description="what is written to the log")
    llm: Llm = Field(default=Llm(), description="language models of stages that ask some")


def declared_parameters(info: StageInfo) -> dict[str, Any]:
    """Return the keys that a stage lists under `params:`, as the nested mapping that its model reads."""
    nested: dict[str, Any] = {}
    for values in info.params.values():
        for key, value in values.items():
            *parents, last = key.split(".")
            level = nested
            for parent in parents:
                level = level.setdefault(parent, {})
            level[last] = value
    return nested


def validate_parameters(model: type[BaseModel], nested: Mapping[str, Any], address: str) -> Any:
    """Return the stage's parameters. Raises StageError that names each wrong key, its value and what is allowed."""
    try:
        return model.model_validate(nested)
    except ValidationError as error:
        lines = [_explain(problem, address, model) for problem in error.errors()]
        raise StageError("; ".join(lines)) from None


def _explain(problem: Any, address: str, model: type[BaseModel]) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"params.yaml: '{key}' is no parameter of stage '{address}': remove it, or its line under 'params:'"
    if problem["type"] == "missing":
        return f"params.yaml: stage '{address}' needs '{key}': set it there and list it under 'params:' in dvc.yaml"
    told = "***" if is_credential(key.rpartition(".")[2]) else without_queries(repr(problem["input"]))
    where = f"{key} = {told}: " if key else ""
    limits = _range_of(model, problem["loc"])
    return lineage.without_password(f"params.yaml: {where}{problem['msg']}{f' ({limits})' if limits else ''}")


def _range_of(model: type[BaseModel], loc: tuple[Any, ...]) -> str:
    """Return the bounds of the number at `loc`, as in "at least 1, at most 20"; "" where it has none."""
    field = None
    kind: Any = model
    for name in loc:
        if not (isinstance(kind, type) and issubclass(kind, BaseModel) and name in kind.model_fields):
            return ""
        field = kind.model_fields[name]
        kind = field.annotation
    bounds = [
        f"{word} {getattr(bound, name)}"
        for bound in (field.metadata if field else [])
        for name, word in _BOUNDS.items()
        if hasattr(bound, name)
    ]
    return ", ".join(bounds)


def read_knobs(root: Path) -> Knobs:
    """Read the `run:` section of params.yaml. Raises StageError that names key, value and range."""
    values = lineage.read_params_file(root)
    return validate_parameters(_RunSection, {RUN_SECTION: values.get(RUN_SECTION, {})}, "run").run


class _RunSection(StrictModel):
    run: Knobs


def unlisted_parameters(repo: Any) -> list[str]:
    """Return the keys of params.yaml, dotted, that nothing uses: no stage, no `${...}` of dvc.yaml, nor `run:`."""
    root = Path(repo.root_dir)
    keys = lineage.flatten(lineage.read_params_file(root))
    used: set[str] = {RUN_SECTION}
    for stage in repo.index.stages:
        used.update(lineage.listed_parameters(repo, stage, "params.yaml", keys))
        if Path(stage.path).name == "dvc.yaml":
            used.update(re.findall(r"\$\{\s*([\w.-]+)", Path(stage.path).read_text()))
    unused = [key for key in keys if not any(key == name or key.startswith(f"{name}.") for name in used)]
    return list(dict.fromkeys(_whole_member(key, keys, unused) for key in unused))


def _whole_member(key: str, keys: Collection[str], unused: Collection[str]) -> str:
    """Return `group.member` for a key of a member of which nothing is used, else the key."""
    member = ".".join(key.split(".")[:2])
    return member if all(one in unused for one in keys if one.startswith(f"{member}.")) else key


def checked_parameters(repo: Any, model: type[BaseModel], nested: Mapping[str, Any], info: StageInfo) -> Any:
    """Return the stage's parameters. Raises StageError also for a key of params.yaml that nothing uses."""
    unlisted = unlisted_parameters(repo)
    if unlisted:
        raise StageError(
            f"params.yaml: no stage lists {', '.join(unlisted)}: remove it, or list it under 'params:' of the stage "
            f"that uses it (a new member of a group: also under 'matrix:' of each stage that has the others)"
        )
    return validate_parameters(model, nested, info.address)
