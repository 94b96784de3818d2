"""Models in MLflow's registry, from what dvc.yaml declares: the same outs, the same versions and aliases everywhere.

A stage that makes a model says `meta: {model: {name, path, loader_module, requirements}}`: its out `path` becomes a
version of the registered model `name`, loaded by `loader_module._load_pyfunc(path)`. A stage that chooses one says
`meta: {alias: {name, of, read}}`: of the versions of the registered model `of`, that one gets the alias `name` whose
stage's address stands under "stage" in the JSON file `read`, an out or in one. All follows from the hashes of outs, so
it is the same whether stages ran, were restored or pulled; a version that is there is not made again.
"""

import contextlib
import importlib.metadata
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from flows.graph import Node, Project, ProjectError
from flows.links import Links
from flows.origin import run_behind
from tasks import lineage

_OUT, _STAGE = "dvc.out", "dvc.stage"  # tags of a version


@dataclass(frozen=True)
class Registered:
    """A version in the registry. `new` is False where it was there before."""

    model: str
    version: str
    address: str  # of the stage that made it
    digest: str  # of the out
    new: bool
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Model:
    name: str
    path: str
    loader_module: str
    requirements: tuple[str, ...]


@dataclass(frozen=True)
class _Alias:
    name: str
    of: str
    read: str


def has_models(project: Project) -> bool:
    """Say whether any stage declares a model."""
    return any("model" in node.meta for node in project.nodes.values())


def register(project: Project, say: Callable[[str], None] = lambda _: None) -> list[Registered]:
    """Bring the registry to what the outs in this checkout are; return all versions that they are.

    A model or an alias whose out is missing, or is not what dvc.lock says, is left out: `say` gets a line for each.
    Raises ProjectError for a declaration that cannot be followed.
    """
    found: dict[str, Registered] = {}
    absent: dict[str, str] = {}  # address -> what is wrong with its out, and the remedy
    with _LoaderProcess(project.root) as process:
        for node in project.nodes.values():
            if "model" not in node.meta:
                continue
            model = _model(node)
            present, wrong = _standing(project, node, model.path, model.path)
            if wrong:
                absent[node.address] = wrong
                say(f"{model.name} of {node.address} not registered: {wrong}")
            else:
                found[node.address] = _registered(project, node, model, present, process)
    for node in project.nodes.values():
        if "alias" in node.meta:
            _follow(project, node, found, absent, say)
    return list(found.values())


def _standing(project: Project, node: Node, out: str, path: str) -> tuple[str, str]:
    """Return the hash of a file now, and what is wrong with it, with the remedy; "" where it is as recorded."""
    present, recorded = project.hashes_of(node.address, out, path)
    if present and present == recorded:
        return present, ""
    why = "is not what dvc.lock says" if present else "is missing"
    return present, f"{path} {why}: run 'dvc pull {out}', or the stage {node.address}"


def _registered(project: Project, node: Node, model: _Model, digest: str, process: "_LoaderProcess") -> Registered:
    client = lineage.client()
    name = lineage.quoted(model.name)
    for version in client.search_model_versions(f"name = {name}"):
        if version.tags.get(_OUT) == digest and version.tags.get(_STAGE) == node.address:
            return Registered(model.name, str(version.version), node.address, digest, new=False)
    import mlflow

    logging.getLogger("mlflow.tracking._model_registry.fluent").setLevel(logging.WARNING)  # we say what is registered
    logging.getLogger("mlflow.store.model_registry.abstract_store").setLevel(logging.WARNING)
    tags = {_OUT: digest, _STAGE: node.address, "dvc.path": model.path}
    # with its tags in one go: by them it is found again, also where this is killed
    made = mlflow.register_model(_log(project, node, model, process), model.name, tags=tags)
    return Registered(model.name, str(made.version), node.address, digest, new=True)


def _log(project: Project, node: Node, model: _Model, process: "_LoaderProcess") -> str:
    """Put the model into the run that made it, or into one of its own where it was made elsewhere; return its URI."""
    requirements = _pinned(node, model)
    run = run_behind(project, node.address)
    own = None if run else lineage.Tracker.start(node.line or "models", f"register {node.address}", root=project.root)
    run_id = run.run_id if run else own.run_id if own else None
    if run_id is None:
        raise ProjectError(f"{model.path}: MLflow cannot be reached, so that it cannot be registered")
    answer = process.log({**asdict(model), "requirements": requirements, "run_id": run_id})
    if "error" in answer:
        if own is not None:
            own.end("FAILED")
        raise ProjectError(f"{node.file}: stage '{node.address}': {answer['error']}")
    return answer["uri"]


class _LoaderProcess:
    """Logs models in a process of the project's own, which starts with the first one: see log_models.py."""

    def __init__(self, root: Path) -> None:
        self._command = [sys.executable, "-P", str(Path(__file__).with_name("log_models.py")), str(root)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "_LoaderProcess":
        return self

    def log(self, job: Mapping[str, Any]) -> dict[str, str]:
        """Return {"uri": of the logged model}, or {"error": why there is none}."""
        if self._process is None:
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
        line = self._process.stdout.readline()
        if not line:
            return {"error": f"the process that loads the model ended ({self._process.wait()}); see what it said above"}
        return dict(json.loads(line))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._process is None:
            return
        if kind is not None:
            self._process.kill()
        with self._process:  # its input ends, and so does it
            pass


def _pinned(node: Node, model: _Model) -> list[str]:
    """Return the requirements with the versions that are installed here, but for what no index has: the `+cpu` part."""
    pins = []
    for name in model.requirements:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            raise ProjectError(
                f"{node.file}: stage '{node.address}': meta.model.requirements: no package '{name}' is installed: "
                f"correct the name, or install it"
            ) from None
        pins.append(f"{name}=={version.partition('+')[0]}")
    return pins


def _follow(
    project: Project, node: Node, found: dict[str, Registered], absent: dict[str, str], say: Callable[[str], None]
) -> None:
    """Give the alias that a stage declares to the version that it chose, or say why it is not moved."""
    alias = _alias(node)
    _, wrong = _standing(project, node, _out_of(node, alias.read), alias.read)
    if not wrong:
        choice = json.loads((project.root / alias.read).read_text()).get("stage")
        chosen = found.get(choice)
        if chosen is not None and chosen.model == alias.of:
            lineage.client().set_registered_model_alias(chosen.model, alias.name, chosen.version)
            found[choice] = replace(chosen, aliases=(*chosen.aliases, alias.name))
            return
        wrong = absent.get(choice, f"{alias.read} names {choice!r}, which makes no version of {alias.of}")
    say(f"alias {alias.name} not moved: {wrong}")


def register_after_run(project: Project, links: Links, say: Callable[[str], None]) -> None:
    """Do `register` at the end of a pipeline run, unless all was registered and nothing has changed since.

    What was left out is not remembered: its out may come by `dvc pull`, which changes nothing in dvc.lock.
    """
    addresses = [node.address for node in project.nodes.values() if {"model", "alias"} & set(node.meta)]
    if not addresses or links.registered(addresses):
        return
    left_out: list[str] = []
    for one in register(Project.open(project.root), left_out.append):  # anew: dvc.lock has changed since the run began
        if one.new:
            say(f"  registered {one.model} version {one.version}, made by {one.address}")
        for alias in one.aliases:
            say(f"  models:/{one.model}@{alias} is version {one.version}, made by {one.address}")
    for line in left_out:
        say(f"  {line}")
    if not left_out:
        links.put_registered(addresses)


def _model(node: Node) -> _Model:
    told = _declared(node, "model", ("name", "path", "loader_module"), ("requirements",))
    if told["path"] not in node.outs:
        raise ProjectError(
            f"{node.file}: stage '{node.address}': meta.model.path is {told['path']!r}, which is none of its outs"
        )
    return _Model(told["name"], told["path"], told["loader_module"], tuple(told.get("requirements") or ()))


def _alias(node: Node) -> _Alias:
    told = _declared(node, "alias", ("name", "of", "read"))
    if not _out_of(node, told["read"]):
        raise ProjectError(
            f"{node.file}: stage '{node.address}': meta.alias.read is {told['read']!r}, which is in none of its outs"
        )
    return _Alias(told["name"], told["of"], told["read"])


def _out_of(node: Node, path: str) -> str:
    return next((out for out in node.outs if path == out or path.startswith(f"{out}/")), "")


def _declared(node: Node, key: str, needed: tuple[str, ...], more: tuple[str, ...] = ()) -> dict[str, Any]:
    told = node.meta[key]
    keys = set(told) if isinstance(told, Mapping) else set()
    if not set(needed) <= keys <= {*needed, *more}:
        wanted = ", ".join((*needed, *(f"[{name}]" for name in more)))
        raise ProjectError(f"{node.file}: stage '{node.address}': meta.{key} is {told!r}: give {wanted}")
    return dict(told)
