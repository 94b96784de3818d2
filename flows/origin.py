"""Where a file came from: the stage, commit, data and parameters that made it, and whether it has changed since."""

import difflib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flows.graph import Locked, Project, ProjectError
from tasks import env, lineage

log = logging.getLogger("headrace")


@dataclass(frozen=True)
class Origin:
    """What is known of a file that a DVC stage made. Paths are relative to the repository's root."""

    path: str
    out: str  # the declared out: the file itself, or a folder that it lies in
    address: str
    command: str
    recorded: str  # its hash in dvc.lock; "" where the stage has not run
    present: str  # its hash now; "" where it is missing
    locked: Locked  # of the stage
    made_by: dict[str, str]  # data dep -> address of the stage that makes it
    run: lineage.RunRef | None

    @property
    def standing(self) -> str:
        """In words whether the file is what its stage left."""
        if not self.recorded:
            return "not recorded: its stage has not run, or did not leave it"
        if not self.present:
            return "missing: 'dvc checkout' brings it back if the cache has it"
        return "as recorded" if self.present == self.recorded else "changed since its stage ran"

    @property
    def commit(self) -> str:
        """The git commit that the run was made from."""
        if self.run is None:
            return ""
        dirty = " with uncommitted changes" if self.run.tags.get("git.dirty") == "true" else ""
        return self.run.tags.get("mlflow.source.git.commit", "") + dirty


def origin_of(file: Path) -> Origin:
    """Return where `file` came from. Raises ProjectError where no stage or `.dvc` file makes it."""
    file = file.absolute()
    existing = next(folder for folder in (file.parent, *file.parents) if folder.is_dir())
    try:
        root = env.checkout_root(existing)
    except FileNotFoundError as error:
        raise ProjectError(str(error)) from error
    env.configure(root)
    project = Project.open(root)
    path = file.parent.resolve() / file.name  # the file itself may be a link into DVC's cache
    if not path.is_relative_to(root):
        raise ProjectError(f"{path} is not in the repository {root}")
    relative = path.relative_to(root)
    makers = {out: node for node in project.nodes.values() for out in node.outs}
    out = next((p.as_posix() for p in (relative, *relative.parents) if p.as_posix() in makers), None)
    if out is None:
        raise ProjectError(_no_out(project, relative.as_posix(), list(makers)))
    node = makers[out]
    present, recorded = project.hashes_of(node.address, out, relative.as_posix())
    if not present and not recorded and out != relative.as_posix():
        raise ProjectError(f"{relative} is not in the folder {out} that '{node.address}' makes, nor was it recorded")
    locked = project.locked(node.address)
    return Origin(
        path=relative.as_posix(),
        out=out,
        address=node.address,
        command=node.cmd,
        recorded=recorded,
        present=present,
        locked=locked,
        made_by={dep: makers[dep].address for dep in locked.deps if dep in makers},
        run=run_behind(project, node.address),
    )


def _no_out(project: Project, path: str, outs: list[str]) -> str:
    readers = [node.address for node in project.nodes.values() if any(Path(path).is_relative_to(d) for d in node.deps)]
    there = (project.root / path).exists()
    if readers:
        more = ", ..." if len(readers) > 5 else ""
        state = "git knows its history" if there else "and it does not exist"
        return f"{path} is made by no stage: it is a source that {', '.join(readers[:5])}{more} read; {state}"
    inside = [out for out in outs if Path(out).is_relative_to(path)]
    near = inside[:5] or difflib.get_close_matches(path, outs, n=3, cutoff=0.4)
    told = "exists, but no stage makes or reads it" if there else "does not exist, and no stage makes it"
    return f"{path} {told}; outs {'in' if inside else 'like'} it: {', '.join(near) or 'none'}"


def run_behind(project: Project, address: str) -> lineage.RunRef | None:
    """Return the MLflow run that made a stage's outs as dvc.lock has them; None if unknown.

    Of several runs that made these bytes the newest that read the same deps is meant, best with the same parameters.
    Trouble with MLflow is warned of and counts as unknown.
    """
    with tracking_never_fails(f"{address}: its MLflow run is not known"):
        locked = project.locked(address)
        tags = {lineage.mlflow_name(f"dvc.deps.{path}"): digest for path, digest in locked.deps.items()}
        tags |= {lineage.mlflow_name(f"dvc.outs.{path}"): digest for path, digest in locked.outs.items()}
        found = [ref for ref in lineage.runs_of_stage(address, limit=100) if _agrees(ref.tags, tags)]
        if found:
            params = _as_logged(locked)
            return next((ref for ref in found if not params or _agrees(ref.params, params)), found[0])
        for path, digest in locked.outs.items():  # the same bytes, made under another name
            if digest and (ref := lineage.run_of_out(path, digest)):
                return ref
    return None


def _agrees(told: dict[str, str], expected: dict[str, str]) -> bool:
    known = told.keys() & expected.keys()
    return bool(known) and all(told[name] == expected[name] for name in known)


def _as_logged(locked: Locked) -> dict[str, str]:
    flat = {
        name if file == "params.yaml" else f"{file}:{name}": value
        for file, keys in locked.params.items()
        for name, value in lineage.flatten(keys).items()
    }
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in flat.items()}


@contextmanager
def tracking_never_fails(what: str) -> Iterator[None]:
    """Turn any failure within into one warning that begins with `what`."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  any failure of tracking, and it is told
        log.warning("%s (%s: %s); outs are not affected", what, type(error).__name__, error)
