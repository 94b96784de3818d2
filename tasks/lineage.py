"""Who made what: the hashes of DVC beside the runs of MLflow.

Only this module and `stage.py` import mlflow or dvc. Hashes come from DVC's own library through its state
cache, so a tag here equals the entry of dvc.lock. Trouble with tracking warns once and never costs a result.
"""

import functools
import json
import logging
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import psutil
from filelock import FileLock

from tasks import env
from tasks.credentials import WORDS

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage as DvcStage

log = logging.getLogger("headrace")

PARENT_RUN = "HEADRACE_PARENT_RUN_ID"
INVOCATION = "HEADRACE_INVOCATION"
FLOW_RUN = "HEADRACE_FLOW_RUN_ID"
STUDY_CELL = "HEADRACE_STUDY_CELL"

_SOURCE_CODE = (".py", ".sh", ".ipynb", ".r", ".R", ".jl")  # told by the git commit
_SECRET = "|".join(sorted(WORDS))  # in names of parameters
_FLUSH_EVERY = 500  # metrics a batch
_MAX_PLOT_BYTES = 50_000_000


# --- DVC: what a stage declares, and the hashes of it -------------------------------------------------------


@dataclass(frozen=True)
class StageInfo:
    """A stage as DVC declares it. Paths are relative to the repository's root, with forward slashes."""

    address: str
    name: str
    member: str
    wdir: str
    cmd: str
    deps: dict[str, str]  # path -> hash, "" where it was not asked for or the path is missing
    outs: dict[str, str]
    params: dict[str, dict[str, Any]]  # file -> key -> value
    metrics: list[str]
    plots: list[str]
    meta: dict[str, Any]
    frozen: bool
    always_changed: bool


def open_repo(root: Path) -> "Repo":
    """Open the DVC repository at `root`, with its stages read.

    While stages run, other DVC processes rewrite dvc.lock in place: one that is caught half-written is read again.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    for _ in range(4):
        repo = Repo(str(root))
        try:
            _ = repo.index.stages
            return repo
        except DvcException:
            time.sleep(0.2)
    return Repo(str(root))


def address_of(repo: "Repo", stage: "DvcStage") -> str:
    """Return the stage's address as seen from the repository's root, whatever the working directory is."""
    path = _relative(repo, stage.path)
    name = getattr(stage, "name", None)
    if not name:
        return path
    return str(name) if path == "dvc.yaml" else f"{path}:{name}"


def find_stage(repo: "Repo", address: str) -> "DvcStage":
    """Return the stage with this address. Raises KeyError where dvc.yaml has none."""
    for stage in repo.index.stages:
        if address_of(repo, stage) == address:
            return stage
    raise KeyError(f"no stage '{address}' in any dvc.yaml of {repo.root_dir}")


def stage_info(repo: "Repo", address: str, *, hashes: bool) -> StageInfo:
    """Return what DVC declares for a stage, with present hashes of deps and outs if asked for."""
    return describe(repo, find_stage(repo, address), hashes=hashes)


def describe(repo: "Repo", stage: "DvcStage", *, hashes: bool) -> StageInfo:
    """Return what DVC declares for this stage object; see `stage_info`."""
    from dvc.dependency.param import ParamsDependency

    address = address_of(repo, stage)
    name, _, member = (getattr(stage, "name", None) or "").partition("@")
    deps: dict[str, str] = {}
    params: dict[str, dict[str, Any]] = {}
    for dep in stage.deps:
        if isinstance(dep, ParamsDependency):
            params.setdefault(_relative(repo, dep.fs_path), {}).update(dep.read_params(flatten=True))
        elif dep.protocol == "local":
            deps[_relative(repo, dep.fs_path)] = _present_hash(dep) if hashes else ""
        else:
            deps[str(dep)] = ""
    outs = {_relative(repo, out.fs_path): _present_hash(out) if hashes else "" for out in stage.outs}
    return StageInfo(
        address=address,
        name=name or address,
        member=member,
        wdir=_relative(repo, stage.wdir),
        cmd="\n".join(stage.cmd) if isinstance(stage.cmd, list) else (stage.cmd or ""),
        deps=deps,
        outs=outs,
        params=params,
        metrics=[_relative(repo, out.fs_path) for out in stage.outs if out.metric],
        plots=[_relative(repo, out.fs_path) for out in stage.outs if out.plot],
        meta=dict(stage.meta or {}),
        frozen=bool(stage.frozen),
        always_changed=bool(stage.always_changed),
    )


def _relative(repo: "Repo", path: str) -> str:
    rel = os.path.relpath(path, repo.root_dir)
    return Path(path).as_posix() if rel.startswith("..") else Path(rel).as_posix()


def _present_hash(out: Any) -> str:
    return str(out.get_hash().value) if out.exists else ""


def listed_parameters(repo: "Repo", stage: "DvcStage", file: str, keys: Iterable[str]) -> list[str]:
    """Return what a stage lists of a parameter file, which is not read: all its `keys` where it lists it whole."""
    from dvc.dependency.param import ParamsDependency

    listed = [d for d in stage.deps if isinstance(d, ParamsDependency) and _relative(repo, d.fs_path) == file]
    return [name for dep in listed for name in (dep.params or keys)]


def read_params_file(root: Path) -> dict[str, Any]:
    """Return the content of params.yaml, as DVC parses it; empty where there is none."""
    from dvc.utils.serialize import load_yaml

    path = root / "params.yaml"
    return dict(load_yaml(str(path)) or {}) if path.exists() else {}


# --- MLflow ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunRef:
    """An MLflow run, as far as lineage needs it. `start_time` in milliseconds since 1970."""

    run_id: str
    experiment_id: str
    name: str
    status: str
    url: str
    tags: dict[str, str] = field(repr=False)
    params: dict[str, str] = field(repr=False)
    metrics: dict[str, float] = field(repr=False)
    start_time: int = 0


def run_url(run_id: str, experiment_id: str) -> str:
    """Return the address of a run in the MLflow UI: on the user's server, or where `make ui` serves ours."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    base = uri if uri.startswith("http") else os.environ.get("HEADRACE_MLFLOW_UI", "http://127.0.0.1:5000")
    return f"{public_address(base)}/#/experiments/{experiment_id}/runs/{run_id}"


def public_address(url: str) -> str:
    """Return an address without user, password, query and fragment: links to it are kept and shown."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


@functools.cache
def _client(uri: str) -> Any:
    """Return a client for `uri`. A database is first opened under a lock: concurrent migrations of a new one race."""
    from mlflow.tracking import MlflowClient

    if not uri.startswith("sqlite:///"):
        return MlflowClient(uri)
    database = Path(uri.removeprefix("sqlite:///"))
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{database}.lock"):
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
        return client


def client() -> Any:
    """Return the MLflow client of this process. Raises mlflow's own errors where it cannot be reached."""
    return _client(os.environ["MLFLOW_TRACKING_URI"])


def _experiment_id(name: str, root: Path) -> str:
    from mlflow.exceptions import MlflowException

    mlflow_client = client()
    found = mlflow_client.get_experiment_by_name(name)
    if found is None:
        ours = os.environ["MLFLOW_TRACKING_URI"] == env.default_tracking_uri(root)
        folder = env.main_checkout(root) / "mlruns" / "artifacts" / re.sub(r"[^\w.-]", "_", name)
        try:
            return str(mlflow_client.create_experiment(name, artifact_location=folder.as_uri() if ours else None))
        except MlflowException:  # another process was first
            found = mlflow_client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise RuntimeError(f"MLflow experiment '{name}' is deleted: restore it with 'mlflow experiments restore'")
    return str(found.experiment_id)


def outs_of(repo: "Repo") -> list[str]:
    """Return the paths of all outs of all stages: what a run itself changes."""
    return [_relative(repo, out.fs_path) for stage in repo.index.stages for out in stage.outs]


def git_tags(root: Path, outs: Collection[str] = ()) -> dict[str, str]:
    """Return the commit, and whether the tree has changes besides dvc.lock and `outs`, which runs make themselves."""

    def git(*args: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *args], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    commit = git("rev-parse", "HEAD")
    if not commit:
        return {}
    changed = git("diff", "--name-only", "--relative", "-z", "HEAD").split("\0")
    own = [path for path in changed if path and Path(path).name != "dvc.lock"]
    dirty = any(not any(Path(path).is_relative_to(out) for out in outs) for path in own)
    return {"mlflow.source.git.commit": commit, "git.dirty": str(dirty).lower()}


def process_tags() -> dict[str, str]:
    """Return tags that tell later whether the process that opened a run still lives."""
    started = psutil.Process().create_time()
    return {
        "headrace.host": socket.gethostname(),
        "headrace.pid": str(os.getpid()),
        "headrace.pid_started": f"{started:.2f}",
    }


def _guarded(method: Callable[..., None]) -> Callable[..., None]:
    """Turn trouble of the tracking server into one warning; after it the tracker keeps silent."""

    @functools.wraps(method)
    def call(self: "Tracker", *args: Any, **kwargs: Any) -> None:
        if self.run_id is None or self.lost is not None:
            self.untracked += 1
            return
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  any failure of tracking, and it is told
            self._lose(error)

    return call


class Tracker:
    """One MLflow run. Metrics are sent in batches. What cannot be tracked is warned of once and then counted."""

    def __init__(self) -> None:
        self.run_id: str | None = None
        self.experiment_id = ""
        self.lost: Exception | None = None
        self.untracked = 0
        self._metrics: list[Any] = []

    @classmethod
    def start(
        cls,
        experiment: str,
        run_name: str,
        *,
        root: Path,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        parent_run_id: str | None = None,
        started: float | None = None,
        outs: Collection[str] = (),
    ) -> "Tracker":
        """Open a run (with a start in seconds since 1970, default now). Never raises: see `lost`.

        A change of `outs`, which runs make themselves, does not make the tree dirty.
        """
        tracker = cls()
        all_tags = {
            "mlflow.source.type": "LOCAL",
            "mlflow.user": _user(),
            **git_tags(root, outs),
            **process_tags(),
            **(tags or {}),
        }
        if parent_run_id:
            all_tags["mlflow.parentRunId"] = parent_run_id
        for variable, tag in ((FLOW_RUN, "prefect.flow_run_id"), (STUDY_CELL, "headrace.study_cell")):
            if value := os.environ.get(variable):
                all_tags[tag] = value
        try:
            tracker.experiment_id = _experiment_id(experiment, root)
            start_ms = int((started or time.time()) * 1000)
            run = client().create_run(tracker.experiment_id, start_time=start_ms, tags=all_tags, run_name=run_name)
            tracker.run_id = run.info.run_id
        except Exception as error:  # noqa: BLE001  any failure of tracking, and it is told
            tracker._lose(error)
        if params:
            tracker.params(params)
        return tracker

    def _lose(self, error: Exception) -> None:
        self.lost = error
        self.untracked += 1
        uri = os.environ.get("MLFLOW_TRACKING_URI", "")
        log.warning(
            "MLflow at %s cannot be used (%s): going on untracked; outs are not affected. "
            "Check MLFLOW_TRACKING_URI or unset it to use mlruns/mlflow.db",
            without_password(uri),
            _first_line(error),
        )

    @property
    def url(self) -> str | None:
        """The run's address in the MLflow UI, None where it is not tracked."""
        return run_url(self.run_id, self.experiment_id) if self.run_id else None

    @_guarded
    def params(self, params: Mapping[str, Any]) -> None:
        """Log flat parameters; nested ones become dotted keys."""
        from mlflow.entities import Param

        flat = {key: value if isinstance(value, str) else json.dumps(value) for key, value in flatten(params).items()}
        items = [Param(mlflow_name(key), value[:6000]) for key, value in flat.items()]
        for start in range(0, len(items), 100):
            client().log_batch(self.run_id, params=items[start : start + 100])

    def metric(self, key: str, value: float, step: int | None = None) -> None:
        """Add one metric to the buffer; see `flush`."""
        self.metrics({key: value}, step)

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Add metrics, `group/name` -> number, to the buffer; it is sent when full and at the end."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._metrics.extend(Metric(mlflow_name(key), float(value), now, step or 0) for key, value in values.items())
        if len(self._metrics) >= _FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Send the buffered metrics."""
        batch, self._metrics = self._metrics, []
        if batch:
            self._send(batch)

    @_guarded
    def _send(self, batch: list[Any]) -> None:
        client().log_batch(self.run_id, metrics=batch)

    @_guarded
    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags on the run."""
        from mlflow.entities import RunTag

        client().log_batch(self.run_id, tags=[RunTag(mlflow_name(key), str(value)) for key, value in tags.items()])

    @_guarded
    def dataset(self, path: str, digest: str, context: str = "input") -> None:
        """Record that the run read the data set at `path`, whose DVC hash is `digest`."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = json.dumps({"dvc_path": path, "md5": digest})
        data = Dataset(name=path[-500:], digest=digest[:36] or "missing", source_type="dvc", source=source)
        client().log_inputs(self.run_id, [DatasetInput(data, [InputTag("mlflow.data.context", context)])])

    @_guarded
    def artifact(self, path: Path, folder: str = "") -> None:
        """Keep a file or a folder with the run."""
        if Path(path).is_dir():
            client().log_artifacts(self.run_id, str(path), folder or Path(path).name)
        else:
            client().log_artifact(self.run_id, str(path), folder or None)

    @_guarded
    def figure(self, figure: Any, name: str) -> None:
        """Keep a matplotlib or plotly figure with the run under `name` (with its suffix)."""
        client().log_figure(self.run_id, figure, name)

    def end(self, status: str = "FINISHED", *, ended: float | None = None) -> None:
        """Send what is buffered and close the run as FINISHED, FAILED or KILLED."""
        self.flush()
        if self.run_id is None:
            return
        try:  # also where something else was lost: a run that has ended must not look alive
            self._terminate(status, ended)
        except Exception as error:  # noqa: BLE001  any failure of tracking, and it is told
            if self.lost is None:
                self._lose(error)

    def _terminate(self, status: str, ended: float | None) -> None:
        client().set_terminated(self.run_id, status=status, end_time=int((ended or time.time()) * 1000))


def mlflow_name(key: str) -> str:
    """Return a key as MLflow takes it: other signs than letters, digits and _-. :/ become _."""
    return re.sub(r"[^\w\-. :/]", "_", key)[:250]


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one with dotted keys. Lists stay values."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _user() -> str:
    try:
        return psutil.Process().username()
    except (psutil.Error, KeyError):
        return "unknown"


def without_password(text: str) -> str:
    """Return the text with user and password, and what looks like a credential in the query, of each URL left out."""
    text = re.sub(r"//[^/\s]*@", "//***@", text)  # up to the last @: a password may hold one
    return re.sub(rf"([?&][\w.-]*(?:{_SECRET})[\w.-]*=)[^&#\s'\"]+", r"\1***", text, flags=re.IGNORECASE)


def _first_line(error: BaseException) -> str:
    text = without_password(str(error).strip())
    return f"{type(error).__name__}: {text.splitlines()[0][:200]}" if text else type(error).__name__


# --- looking up runs ------------------------------------------------------------------------------------------


def _search(filter_string: str, *, limit: int = 50) -> list[RunRef]:
    experiments = [e.experiment_id for e in client().search_experiments(max_results=1000)]
    if not experiments:
        return []
    runs = client().search_runs(experiments, filter_string, max_results=limit, order_by=["attributes.start_time DESC"])
    return [_ref(run) for run in runs]


def _ref(run: Any) -> RunRef:
    return RunRef(
        run_id=run.info.run_id,
        experiment_id=run.info.experiment_id,
        name=run.info.run_name or "",
        status=run.info.status,
        url=run_url(run.info.run_id, run.info.experiment_id),
        tags=dict(run.data.tags),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        start_time=run.info.start_time or 0,
    )


def quoted(value: str) -> str:
    return "'" + value.replace("'", "\\'") + "'"


def runs_of_invocation(invocation: str) -> list[RunRef]:
    """Return the runs that were opened under this invocation of a stage, newest first."""
    return _search(f"tags.`headrace.invocation` = {quoted(invocation)}")


def run_of_out(path: str, out_hash: str) -> RunRef | None:
    """Return the newest finished run that made `path` with this hash; None if it was made elsewhere."""
    tag = mlflow_name(f"dvc.outs.{path}")
    found = _search(f"tags.`{tag}` = {quoted(out_hash)} and attributes.status = 'FINISHED'", limit=1)
    return found[0] if found else None


def runs_of_stage(address: str, *, limit: int = 5) -> list[RunRef]:
    """Return the newest finished runs of a stage."""
    return _search(f"tags.`dvc.stage` = {quoted(address)} and attributes.status = 'FINISHED'", limit=limit)


def close_dead_runs(root: Path) -> int:
    """Mark as KILLED each run left RUNNING by a process of this host that is gone; return how many."""
    env.configure(root)
    dead = [
        ref
        for ref in _search(
            f"attributes.status = 'RUNNING' and tags.`headrace.host` = {quoted(socket.gethostname())}", limit=1000
        )
        if not _alive(ref.tags)
    ]
    for ref in dead:
        client().set_terminated(ref.run_id, status="KILLED")
    return len(dead)


def _alive(tags: Mapping[str, str]) -> bool:
    try:
        process = psutil.Process(int(tags["headrace.pid"]))
        return (
            abs(process.create_time() - float(tags["headrace.pid_started"])) < 1
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except (psutil.NoSuchProcess, KeyError, ValueError):
        return False


# --- recording a stage ----------------------------------------------------------------------------------------


def data_tags(info: StageInfo) -> dict[str, str]:
    """Return the tags that tie a run to DVC: the stage, and the hash of each dep and out that is not source code."""
    deps = {path: value for path, value in info.deps.items() if value and not path.endswith(_SOURCE_CODE)}
    return {
        "dvc.stage": info.address,
        **{mlflow_name(f"dvc.deps.{path}"): value for path, value in deps.items()},
        **{mlflow_name(f"dvc.outs.{path}"): value for path, value in info.outs.items() if value},
    }


def record_stage(
    root: Path,
    address: str,
    *,
    experiment: str,
    parent_run_id: str | None,
    invocation: str,
    started: float,
    ended: float,
    state: str,
    log_path: Path | None = None,
) -> RunRef | None:
    """Make sure that a stage which ran has an MLflow run; return it, or None where tracking cannot be reached.

    A stage that opened runs of its own under `invocation` is not recorded twice: the newest of them gets the tags
    that it lacks. Any other gets a run from what DVC declares: params, metrics, plots, deps and outs with hashes.
    `started` and `ended` in seconds since 1970; `state` is "ran" or "failed".
    """
    try:
        repo = open_repo(root)
        info, outs = stage_info(repo, address, hashes=state == "ran"), outs_of(repo)
        own = runs_of_invocation(invocation)
        if own:
            missing = {key: value for key, value in data_tags(info).items() if key not in own[0].tags}
            for key, value in missing.items():
                client().set_tag(own[0].run_id, key, value)
            return _ref(client().get_run(own[0].run_id))
    except Exception as error:  # noqa: BLE001  any failure of tracking, and it is told
        log.warning("%s: not recorded in MLflow (%s); outs are not affected", address, _first_line(error))
        return None
    params = {
        key if file == "params.yaml" else f"{file}:{key}": value
        for file, values in info.params.items()
        for key, value in values.items()
    }
    tags = {**data_tags(info), "headrace.invocation": invocation}
    tracker = Tracker.start(
        experiment,
        address,
        root=root,
        params=params,
        tags=tags,
        parent_run_id=parent_run_id,
        started=started,
        outs=outs,
    )
    if state == "ran":
        for path, digest in info.deps.items():
            if mlflow_name(f"dvc.deps.{path}") in tags:
                tracker.dataset(path, digest)
        tracker.metrics(_declared_metrics(root, info.metrics))
        for path in info.plots:
            if _bytes_below(root / path) <= _MAX_PLOT_BYTES:
                tracker.artifact(root / path, "plots")
    if log_path is not None and log_path.exists():
        tracker.artifact(log_path, "logs")
    tracker.end("FINISHED" if state == "ran" else "FAILED", ended=ended)
    if tracker.run_id is None or tracker.lost is not None:
        return None
    return _ref(client().get_run(tracker.run_id))


def _declared_metrics(root: Path, paths: Iterable[str]) -> dict[str, float]:
    """Return the numbers in the declared metrics files, with `group/name` keys; a file prefix where several clash."""
    from dvc.fs import localfs
    from dvc.utils.serialize import load_path

    found: dict[str, float] = {}
    for path in paths:
        content = load_path(str(root / path), localfs)
        if not isinstance(content, Mapping):
            content = {Path(path).stem: content}
        for key, value in flatten(content).items():
            name = key.replace(".", "/")
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                found[name if name not in found else f"{Path(path).stem}/{name}"] = value
    return found


def _bytes_below(path: Path) -> int:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(p.stat().st_size for p in files)
