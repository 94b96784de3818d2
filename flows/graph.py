"""A DVC project as the pipeline sees it: its stages, what each needs, and whether and why each has changed.

Any project that `dvc repro` runs: several dvc.yaml files, matrix, foreach, `wdir`, frozen and always-changed
stages, `.dvc` files. Paths and addresses are relative to the repository's root, whatever the working directory is.
"""

import fnmatch
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.lineage import address_of, flatten

if TYPE_CHECKING:
    from dvc.stage import Stage as DvcStage


class ProjectError(Exception):
    """A project, or a request made of it, that cannot be run as it stands. One clear line, with the remedy."""


@dataclass(frozen=True)
class Node:
    """A stage of dvc.yaml, or a `.dvc` file (then `cmd` is empty), and what the pipeline must know of it."""

    address: str  # as `dvc repro` takes it at the root: "train@big", "sub/dvc.yaml:fit", "raw.csv.dvc"
    name: str  # "train"
    file: str  # "dvc.yaml", "sub/dvc.yaml", "raw.csv.dvc"
    cmd: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    after: frozenset[str]  # what writes its deps: must not run at the same time
    needs: frozenset[str]  # what `dvc repro` brings up to date first; nothing where the stage is frozen
    frozen: bool = False
    line: str = ""  # meta.line: the group that a target may name
    limits: frozenset[str] = frozenset()  # meta.limits: stages that share one never run together
    retries: int = 0  # meta.retries
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False)  # whole

    @property
    def is_source(self) -> bool:
        """Whether it is a `.dvc` file: data with no command."""
        return not self.cmd


@dataclass(frozen=True)
class Locked:
    """What dvc.lock (or a `.dvc` file) has of a stage: path -> hash, and parameter file -> key -> value."""

    deps: dict[str, str]
    outs: dict[str, str]
    params: dict[str, dict[str, Any]]


@dataclass
class Project:
    """A DVC repository opened for one pipeline run."""

    root: Path
    _mutex: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _parsed: dict[Path, tuple[Any, Any]] = field(default_factory=dict, repr=False)
    _stages: dict[str, "DvcStage"] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, root: Path) -> "Project":
        """Read every dvc.yaml and `.dvc` file below `root`. Raises ProjectError where DVC refuses them."""
        return cls(root.resolve())

    @cached_property
    def _repo(self) -> Any:
        from dvc.repo import Repo

        return Repo(str(self.root), _wait_for_lock=True)

    @contextmanager
    def _quiet_repo(self) -> Iterator[Any]:
        """Give the repository while no other DVC process reads or writes it: dvc.lock is rewritten in place."""
        with self._mutex, self._repo.lock:
            yield self._repo

    @cached_property
    def nodes(self) -> dict[str, Node]:
        """All stages and `.dvc` files by address, each after what it depends on, else in the order of dvc.yaml."""
        from dvc.exceptions import DvcException

        try:
            with self._quiet_repo() as repo:
                graph = repo.index.graph
        except DvcException as error:
            raise ProjectError(f"{self.root}: DVC cannot read the project: {_told(error)}") from error
        addresses = {stage: address_of(self._repo, stage) for stage in graph}
        self._stages = {address: stage for stage, address in addresses.items()}
        nodes = {
            address: _node(stage, address, self.root, frozenset(addresses[up] for up in graph.successors(stage)))
            for stage, address in addresses.items()
        }
        return _dependencies_first(nodes)

    def select(self, targets: Iterable[str] = (), *, everything: bool = False) -> list[str]:
        """Return the addresses of the targets and all that they need, dependencies first.

        A target is a stage's address, a stage's name (with all members of its matrix), a glob of either, a
        `meta: {line: ...}` group, a dvc.yaml or `.dvc` file, or an out. Without targets: what `dvc repro` takes at the
        root, which is dvc.yaml there; with `everything`, or where the root has none, all of the repository.
        Raises ProjectError for a target that names nothing.
        """
        targets = list(targets)
        if targets:
            wanted = {address for target in targets for address in self._match(target)}
        else:
            at_root = {address for address, node in self.nodes.items() if node.file == "dvc.yaml"}
            wanted = set(self.nodes) if everything or not at_root else at_root
        closure: set[str] = set()
        while wanted:
            address = wanted.pop()
            closure.add(address)
            wanted |= self.nodes[address].needs - closure
        return [address for address in self.nodes if address in closure]

    def _match(self, target: str) -> list[str]:
        if target in self.nodes:
            return [target]
        path = Path(target).as_posix().removeprefix("./")
        found = [
            address
            for address, node in self.nodes.items()
            if target in (node.name, node.line, f"{node.file}:{node.name}")
            or path in (node.file, *node.outs)
            or fnmatch.fnmatchcase(address, target)
            or (node.cmd and fnmatch.fnmatchcase(node.name, target))
        ]
        if not found:
            stages = [address for address, node in self.nodes.items() if not node.is_source]
            known = ", ".join(stages[:12]) + (", ..." if len(stages) > 12 else "")
            raise ProjectError(
                f"'{target}' names no stage, line, file or out of {self.root}; stages: {known or 'none'}"
            )
        return found

    def changes(self, addresses: Iterable[str]) -> dict[str, list[str]]:
        """Return for each address why `dvc repro` would run it, and nothing for what is up to date.

        One status under DVC's lock. It may be asked again after stages below have run: hashes are taken afresh, and
        what dvc.lock says of a stage changes only when that stage runs.
        """
        from dvc.exceptions import DvcException

        self.nodes  # noqa: B018  reads the graph
        try:
            with self._quiet_repo():
                return {address: self._why(self._stages[address]) for address in addresses}
        except DvcException as error:
            raise ProjectError(f"{self.root}: no DVC status: {_told(error)}") from error

    def locked(self, address: str) -> Locked:
        """Return what dvc.lock says of a stage now; empty where it never ran. Its paths there begin at `wdir`."""
        node = self.nodes[address]
        stage = self._stages[address]
        file = self.root / node.file
        if not node.is_source:
            file = file.with_name("dvc.lock")
        with self._quiet_repo():
            content = self._load(file)
        entry = content if node.is_source else (content.get("stages") or {}).get(stage.name, {})

        def hashes(key: str) -> dict[str, str]:
            items = entry.get(key) or []
            return {self._below(Path(stage.wdir) / item["path"]): str(item.get("md5", "")) for item in items}

        params = {self._below(Path(stage.wdir) / name): keys for name, keys in (entry.get("params") or {}).items()}
        return Locked(hashes("deps"), hashes("outs"), params)

    def _load(self, file: Path) -> Any:
        """Return the content of a YAML file, parsed anew only when the file has changed; {} without one."""
        from dvc.utils.serialize import load_yaml

        if not file.exists():
            return {}
        stat = file.stat()
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if self._parsed.get(file, (None, None))[0] != stamp:
            self._parsed[file] = (stamp, load_yaml(str(file)))
        return self._parsed[file][1]

    def hashes_of(self, address: str, out: str, path: str) -> tuple[str, str]:
        """Return the hashes of a file, now and as dvc.lock has it; `path` is `out` of the stage or lies below it.

        "" stands for a missing file, and for one of which dvc.lock, or DVC's cache of a folder's listing, has nothing.
        """
        from dvc_data.hashfile.hash import hash_file

        self.nodes  # noqa: B018  reads the graph
        with self._quiet_repo() as repo:
            entry = next(o for o in self._stages[address].outs if self._path(o) == out)
            if path == out:
                return str(entry.get_hash().value) if entry.exists else "", str(entry.hash_info.value or "")
            file = self.root / path
            present = hash_file(str(file), entry.fs, "md5", state=repo.state)[1].value if file.is_file() else ""
            listing = entry.get_obj() if entry.hash_info else None
            key = Path(path).relative_to(out).parts
            found = listing.get(key) if listing is not None and hasattr(listing, "get") else None
            return str(present), str(found[1].value) if found else ""

    def _below(self, path: Path) -> str:
        path = Path(os.path.normpath(path))
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)

    def _why(self, stage: "DvcStage") -> list[str]:
        from dvc.dependency.param import ParamsDependency

        reasons = []
        entries = [*stage.deps, *stage.outs]
        if entries and not any(entry.hash_info for entry in entries):
            return ["never run"]
        if stage.is_callback or stage.always_changed:
            reasons.append("always changed")
        if stage.changed_stage():
            reasons.append("command changed")
        for dep in [] if stage.frozen else stage.deps:
            if isinstance(dep, ParamsDependency):
                reasons += self._changed_params(dep)
            else:
                reasons += [f"{self._path(dep)} {word}" for word in dep.status().values()]
        for out in stage.outs:
            reasons += [f"out {self._path(out)} {word}" for word in out.status().values()]
        return reasons

    def _changed_params(self, dep: Any) -> list[str]:
        reasons = []
        for status in dep.status().values():
            if isinstance(status, str):
                reasons.append(f"{self._path(dep)} {status}")
                continue
            before, now = dep.hash_info.value or {}, dep.read_params()
            for key, word in status.items():
                old, new = flatten({key: before.get(key)}), flatten({key: now.get(key)})
                for name in [key] if word != "modified" else [n for n in {**old, **new} if old.get(n) != new.get(n)]:
                    values = f"{old.get(name)!r} -> {new.get(name)!r}"
                    reasons.append(f"param {name} {values if word == 'modified' and len(values) < 60 else word}")
        return reasons

    def _path(self, dep: Any) -> str:
        if dep.protocol != "local":
            return str(dep)
        return self._below(Path(dep.fs_path))


def _node(stage: "DvcStage", address: str, root: Path, upstream: frozenset[str]) -> Node:
    cmd = "\n".join(stage.cmd) if isinstance(stage.cmd, list) else (stage.cmd or "")
    file = Path(stage.path).relative_to(root).as_posix()
    meta = stage.meta if isinstance(stage.meta, Mapping) else {}
    limits, retries = meta.get("limits", []), meta.get("retries", 0)
    limits = [limits] if isinstance(limits, str) else limits
    if not isinstance(limits, list) or not all(isinstance(name, str) for name in limits):
        raise ProjectError(f"{file}: stage '{address}': meta.limits is {limits!r}: give a list of names, such as [gpu]")
    if not isinstance(retries, int) or isinstance(retries, bool) or retries < 0:
        raise ProjectError(f"{file}: stage '{address}': meta.retries is {retries!r}: give a whole number from 0")
    return Node(
        address=address,
        name=(getattr(stage, "name", None) or address).split("@")[0],
        file=file,
        cmd=cmd,
        deps=_below_root(stage.deps, root),
        outs=_below_root(stage.outs, root),
        after=upstream,
        needs=frozenset() if stage.frozen else upstream,
        frozen=bool(stage.frozen),
        line=str(meta.get("line", "")),
        limits=frozenset(limits),
        retries=retries,
        meta=meta,
    )


def _below_root(entries: Iterable[Any], root: Path) -> tuple[str, ...]:
    paths = [Path(entry.fs_path) for entry in entries if entry.protocol == "local"]
    return tuple(path.relative_to(root).as_posix() for path in paths if path.is_relative_to(root))


def _dependencies_first(nodes: Mapping[str, Node]) -> dict[str, Node]:
    """Order nodes so that each follows what it is after, keeping the given order where that leaves a choice."""
    ordered: dict[str, Node] = {}

    def visit(address: str) -> None:
        stack = [(address, iter(sorted(nodes[address].after)))]
        while stack:
            current, rest = stack[-1]
            following = next((up for up in rest if up not in ordered), None)
            if following is None:
                ordered.setdefault(current, nodes[current])
                stack.pop()
            else:
                stack.append((following, iter(sorted(nodes[following].after))))

    for address in nodes:
        if address not in ordered:
            visit(address)
    return ordered


def _told(error: BaseException) -> str:
    """Return an error of DVC with its causes, on one line."""
    parts: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(parts) < 4:
        text = " ".join(str(cause).split())
        if text and text not in parts:
            parts.append(text)
        cause = cause.__cause__ or cause.__context__
    return ": ".join(parts)
