"""The one wrapper that makes a function a stage: parameters, declared paths, MLflow run, closing line.

dvc.yaml is the only place that says what a stage reads and writes; here that is looked up with DVC's own parser,
and anything used but not declared is an error that names the line to add.
"""

import argparse
import contextlib
import importlib
import json
import logging
import os
import re
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import psutil
from pydantic import BaseModel

from tasks import env, lineage
from tasks.lineage import StageInfo, Tracker
from tasks.parameters import Knobs, StageError, StrictModel, checked_parameters, declared_parameters, read_knobs
from tasks.progress import duration

if TYPE_CHECKING:
    import numpy as np

    from tasks.store import Store
    from tasks.workers import Outcome

__all__ = ["Plan", "Report", "Stage", "StageError", "StrictModel", "item_rng", "stage_main"]

log = logging.getLogger("headrace")

_SECONDS_PER_ITEM = "time/seconds_per_item"


@dataclass(frozen=True)
class Report:
    """What a stage did: `items_in` = `kept` + all `rejected`, counted in `unit` (singular)."""

    unit: str
    items_in: int
    kept: int
    rejected: Mapping[str, int]
    look_at: str


@dataclass(frozen=True)
class Plan:
    """What a stage would do now. Disk in bytes, beyond what is there already."""

    unit: str
    items_todo: int
    items_stored: int
    disk_needed_bytes: int = 0
    notes: tuple[str, ...] = ()


@dataclass
class Stage:
    """A running stage: its declared paths, store, knobs and MLflow run."""

    info: StageInfo
    root: Path
    knobs: Knobs
    tracker: Tracker
    _staged: dict[str, Path] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set)
    _seen: dict[str, Any] = field(default_factory=dict)  # what lay in each folder when it was asked for
    _items_done: int = 0

    @property
    def name(self) -> str:
        """The stage's name before `@`."""
        return self.info.name

    @property
    def member(self) -> str:
        """The matrix member, or an empty string."""
        return self.info.member

    @property
    def log(self) -> logging.Logger:
        """The stage's logger."""
        return log

    @property
    def store(self) -> "Store":
        """The store of item results, shared by all stages of the main checkout."""
        from tasks.store import Store

        return Store(env.store_url(self.root))

    def dep(self, path: str) -> Path:
        """Return where the declared dep `path` lies.

        Raises StageError if dvc.yaml does not declare it, or it is missing.
        """
        path = self._require(path, self.info.deps, "deps")
        self._asked.add(path)
        found = self.root / path
        if not found.exists():
            raise StageError(
                f"{path} is missing: make it with 'dvc repro {self.info.address}', which runs what it needs first"
            )
        self._seen.setdefault(path, _listing(found))
        return found

    def out(self, path: str) -> Path:
        """Return where to write the declared out `path`; it gets its final name when the whole stage has succeeded.

        A folder is not made here. Raises StageError if dvc.yaml does not declare the out.
        """
        path = self._require(path, self.info.outs, "outs")
        if path not in self._staged:
            final = self.root / path
            final.parent.mkdir(parents=True, exist_ok=True)
            self._staged[path] = final.with_name(f".{final.name}.{os.getpid()}.partial")
        return self._staged[path]

    def metrics(self, figures: Mapping[str, Mapping[str, float]]) -> None:
        """Write deterministic figures, {"group": {"name": number}}, for `dvc metrics`, and log them to MLflow."""
        path = f"data/metrics/{self.name}{'/' + self.member if self.member else ''}.json"
        target = self.out(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")
        self.tracker.metrics({key.replace(".", "/"): value for key, value in lineage.flatten(figures).items()})

    def timing(self, figures: Mapping[str, float], step: int | None = None) -> None:
        """Log times, throughputs and counts of work done, `group/name` -> number: they go to MLflow alone."""
        self.tracker.metrics(figures, step)

    def figure(self, figure: Any, name: str) -> None:
        """Keep a picture file or a figure object with the MLflow run."""
        if isinstance(figure, (str, Path)):
            self.tracker.artifact(Path(figure), "figures")
        else:
            self.tracker.figure(figure, f"figures/{name}")

    def artifact(self, path: Path, folder: str = "") -> None:
        """Keep a file or folder with the MLflow run."""
        self.tracker.artifact(path, folder)

    def rng(self, seed: int, item_id: str) -> "np.random.Generator":
        """Return the generator for one item's random choices, seeded by (seed, stage, item)."""
        return item_rng(seed, self.name, item_id)

    def map(
        self, fn: Callable[..., Any], items: Iterable[tuple[str, Any]], *, unit: str, total: int
    ) -> "Iterator[Outcome]":
        """Work on `items` (id, payload) in worker processes as the knobs say; see `tasks.workers.map_items`."""
        from tasks.workers import Progress, default_workers, map_items

        progress = Progress(total=total, unit=f"{unit}s", label=self.info.address)
        workers = self.knobs.workers or default_workers()
        for outcome in map_items(fn, items, workers=workers, timeout_s=self.knobs.item_timeout_s, progress=progress):
            self._items_done += 1
            yield outcome

    def check_rejects(self, unit: str, total: int, rejected: int) -> None:
        """Raise StageError if more than `run.max_reject_fraction` of the items are bad."""
        limit = self.knobs.max_reject_fraction
        if total and rejected / total > limit:
            raise StageError(
                f"{rejected} of {total} {unit}s are bad, more than run.max_reject_fraction={limit:g} of params.yaml "
                f"allows: mend them, list them in data/exclude.csv, or raise the fraction"
            )

    def _require(self, path: str, declared: Mapping[str, str], key: str) -> str:
        """Return the path as dvc.yaml's parser writes it, however it is spelt."""
        spelt = {os.path.normpath(self.root / name): name for name in declared}
        known = spelt.get(os.path.normpath(self.root / path))
        if known is None:
            raise StageError(
                f"stage '{self.info.address}' uses {path}, which dvc.yaml does not declare: add the line '- {path}' "
                f"under 'stages: {self.name}: {key}:' (declared: {', '.join(declared) or 'nothing'})"
            )
        return known

    def _require_unchanged(self) -> None:
        """Fail if files came or went under a dep meanwhile: DVC, which hashes deps last, would take them as read."""
        for path, before in self._seen.items():
            now = _listing(self.root / path)
            changed = sorted({name for name, _ in before ^ now})
            if changed:
                raise StageError(f"{path} changed while the stage ran ({', '.join(changed[:5])}): run it again")

    def _publish(self) -> None:
        """Give each staged out its final name; what was declared and not used fails the stage."""
        unread = sorted(path for path in self.info.deps if path not in self._asked and not path.endswith(".py"))
        if unread:
            raise StageError(
                f"stage '{self.info.address}' did not read {', '.join(unread)}, which dvc.yaml declares as deps: "
                f"remove the line, or read it by stage.dep()"
            )
        missing = sorted(set(self.info.outs) - {path for path, staged in self._staged.items() if staged.exists()})
        if missing:
            raise StageError(
                f"stage '{self.info.address}' did not write {', '.join(missing)}, which dvc.yaml declares as outs"
            )
        for path, staged in self._staged.items():
            final = self.root / path
            if final.is_dir() and not final.is_symlink():
                shutil.rmtree(final)
            staged.replace(final)
        self._staged.clear()

    def _discard(self) -> None:
        for staged in self._staged.values():
            _remove(staged)

    def _clear_leftovers(self) -> None:
        """Remove what a killed run of this stage left half written."""
        for path in self.info.outs:
            final = self.root / path
            for partial in final.parent.glob(f".{final.name}.*.partial"):
                owner = partial.name.removesuffix(".partial").rpartition(".")[2]
                if owner.isdigit() and not psutil.pid_exists(int(owner)):
                    _remove(partial)


def item_rng(seed: int, stage: str, item_id: str) -> "np.random.Generator":
    """Return a generator seeded by (seed, stage, item id): the same whatever else was drawn, and in which order."""
    import hashlib

    import numpy as np

    digest = hashlib.sha256(f"{seed}\0{stage}\0{item_id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _listing(path: Path) -> frozenset[tuple[str, tuple[int, ...]]]:
    """Return the files of a dep with what tells a changed one, without reading them."""
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    stats = [(p.relative_to(path).as_posix() if p != path else p.name, p.stat()) for p in files]
    return frozenset((name, (stat.st_size, stat.st_ino, stat.st_mtime_ns)) for name, stat in stats)


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(p.is_file() and not p.name.startswith(".") for p in folder.rglob("*"))


def _require_own_data(repo: Any, info: StageInfo, root: Path) -> None:
    """Stop where a temporary copy sees a folder of own data empty that has files in the main checkout.

    Looks at all that the stage stands on: DVC may have restored the stages that read the folder from its run cache.
    """
    main = env.main_checkout(root)
    if main == root:
        return
    import networkx

    stage = lineage.find_stage(repo, info.address)
    for upstream in {stage} | networkx.descendants(repo.index.graph, stage):
        for path in lineage.describe(repo, upstream, hashes=False).deps:
            if path.startswith("data/own/") and not _has_files(root / path) and _has_files(main / path):
                raise StageError(
                    f"{path} is empty in this temporary copy, but has files in the main checkout: git ignores them, so "
                    f"DVC did not copy them. Run it in place: 'dvc exp run -S KEY=VALUE' without --temp or --queue"
                )


# --- running ----------------------------------------------------------------------------------------------------


def stage_main(
    run: Callable[[Stage, Any], Report],
    model: type[BaseModel],
    *,
    plan: Callable[[Stage, Any], Plan] | None = None,
    argv: list[str] | None = None,
) -> NoReturn:
    """Run the module's stage from the command line and exit: 0 done, 1 failed with one clear line, 130 interrupted."""
    module = _module_name(run)
    args = _arguments(module, run.__doc__ or "", argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    log.setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, _interrupt)
    debug = args.debug or os.environ.get("HEADRACE_DEBUG") == "1"
    try:
        _run(module, args.member, run, model, plan, plan_only=args.plan)
    except KeyboardInterrupt:
        print(f"{_stage_name(module)}: interrupted; finished items are stored, run it again to go on", file=sys.stderr)
        sys.exit(130)
    except Exception as error:  # noqa: BLE001  each failure becomes one clear line
        if debug:
            traceback.print_exc()
        print(f"{_stage_name(module)}: failed: {failure_line(error)}", file=sys.stderr)
        sys.exit(1)
    sys.exit(0)


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def failure_line(error: BaseException) -> str:
    """Return one line for a person: the message of an expected failure, or what broke where for any other."""
    if isinstance(error, StageError):
        return str(error)
    text = " ".join(str(error).split()) or "no message"
    if isinstance(error, (ValueError, OSError)) and len(text) > 20:
        return text
    frames = traceback.extract_tb(error.__traceback__)
    where = f" (at {Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{where}; set HEADRACE_DEBUG=1 or add --debug for the traceback"


def _arguments(module: str, doc: str, argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=doc.split("\n\n")[0])
    parser.add_argument("member", nargs="?", default="", help="matrix member, e.g. 'fno' for stage@fno")
    parser.add_argument(
        "--plan", action="store_true", help="say what there is to do, how long and how much disk, and stop"
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of a failure")
    return parser.parse_args(argv)


def _module_name(run: Callable[..., Any]) -> str:
    main = sys.modules[run.__module__]
    spec = getattr(main, "__spec__", None)
    return str(spec.name) if spec else run.__module__


def _stage_name(module: str) -> str:
    return module.rpartition(".")[2]


def line_of(module: str) -> str:
    """Return a stage module's line, which names its MLflow experiment: tasks.video.scan_video -> video."""
    parts = module.split(".")
    return parts[1] if len(parts) > 2 else parts[0]


def _run(
    module: str,
    member: str,
    run: Callable[[Stage, Any], Report],
    model: type[BaseModel],
    plan: Callable[[Stage, Any], Plan] | None,
    *,
    plan_only: bool,
) -> None:
    root = env.checkout_root()
    os.chdir(root)
    env.configure(root)
    repo = lineage.open_repo(root)
    info = _declaration(repo, module, member)
    nested = declared_parameters(info)
    if plan_only:
        params = checked_parameters(repo, model, nested, info)
        _print_plan(Stage(info, root, read_knobs(root), Tracker()), plan, params)
        return
    _close_dead_runs(root)
    started = time.time()
    tags = {"dvc.stage": info.address}
    if invocation := os.environ.get(lineage.INVOCATION):
        tags["headrace.invocation"] = invocation
    tracker = Tracker.start(
        line_of(module),
        info.address,
        root=root,
        tags=tags,
        parent_run_id=os.environ.get(lineage.PARENT_RUN),
        started=started,
        outs=lineage.outs_of(repo),
    )
    status = "FAILED"
    stage: Stage | None = None
    try:
        params = checked_parameters(repo, model, nested, info)
        tracker.params(nested)
        _require_own_data(repo, info, root)
        stage = Stage(info, root, read_knobs(root), tracker)
        log.setLevel(stage.knobs.log_level.upper())
        stage._clear_leftovers()
        if plan is not None:
            _check_disk(stage, plan(stage, params))
        report = run(stage, params)
        _check_report(report)
        stage._publish()
        _record(stage, report, time.time() - started)
        stage._require_unchanged()
        status = "FINISHED"
        print(closing_line(info.address, report, time.time() - started), file=sys.stderr)
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    except Exception as error:
        tracker.set_tags({"headrace.failure": failure_line(error)[:4000]})
        raise
    finally:
        if stage is not None:
            stage._discard()
        tracker.end(status)


def _declaration(repo: Any, module: str, member: str) -> StageInfo:
    """Return what dvc.yaml declares for this module and member; DVC_STAGE names it where DVC runs it."""
    name = _stage_name(module)
    address = os.environ.get("DVC_STAGE") or (f"{name}@{member}" if member else name)
    try:
        info = lineage.stage_info(repo, address, hashes=False)
    except KeyError:
        known = sorted(
            i for i in (lineage.address_of(repo, s) for s in repo.index.stages) if re.split("[@:]", i)[0] == name
        )
        hint = (
            f"its members are {', '.join(known)}" if known else f"add 'stages: {name}:' with 'cmd: python -m {module}'"
        )
        raise StageError(f"dvc.yaml has no stage '{address}': {hint}") from None
    if info.name.rpartition(":")[2] != name:
        raise StageError(f"dvc.yaml: stage '{address}' runs {module}: a stage has the name of its module, '{name}'")
    if info.member != member:
        raise StageError(
            f"dvc.yaml: stage '{address}' runs '{module} {member}': its argument must be its member, '{info.member}'"
        )
    return info


def _close_dead_runs(root: Path) -> None:
    try:
        lineage.close_dead_runs(root)
    except Exception as error:  # noqa: BLE001  tracking never costs a result; the tracker warns if it stays away
        log.debug("could not look for runs of dead processes: %s", error)


def _record(stage: Stage, report: Report, seconds: float) -> None:
    """Tie the run to DVC's hashes, and keep the counts and times of this run."""
    info = lineage.stage_info(lineage.open_repo(stage.root), stage.info.address, hashes=True)
    tags = lineage.data_tags(info)
    stage.tracker.set_tags(tags)
    for path, digest in info.deps.items():
        if f"dvc.deps.{path}" in tags:  # a source file has none
            stage.tracker.dataset(path, digest)
    figures: dict[str, float] = {"items/in": report.items_in, "items/kept": report.kept, "time/seconds": seconds}
    figures |= {f"items/rejected_{reason}": count for reason, count in report.rejected.items()}
    if stage._items_done:
        figures |= {"items/done": stage._items_done, _SECONDS_PER_ITEM: seconds / stage._items_done}
    stage.tracker.metrics(figures)


def _check_report(report: Report) -> None:
    rejected = sum(report.rejected.values())
    assert report.items_in == report.kept + rejected, (
        f"{report.items_in} in, but {report.kept} kept and {rejected} rejected"
    )


def closing_line(address: str, report: Report, seconds: float) -> str:
    """Return the line that ends a stage, for a person."""
    reasons = ", ".join(
        f"{reason} {count}" for reason, count in sorted(report.rejected.items(), key=lambda rc: (-rc[1], rc[0]))
    )
    rejected = f"{sum(report.rejected.values())} rejected" + (f" ({reasons})" if reasons else "")
    counts = f"{_count(report.items_in, report.unit)} in, {report.kept} kept, {rejected}"
    return f"{address}: {counts}, {duration(seconds)}; see {report.look_at}"


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def format_bytes(count: float) -> str:
    """Return a size as a person writes it, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _check_disk(stage: Stage, plan: Plan) -> None:
    free = _free_bytes(stage.root)
    if plan.disk_needed_bytes > free:
        raise StageError(
            f"{stage.root}: {format_bytes(plan.disk_needed_bytes)} of disk needed, {format_bytes(free)} free: "
            f"free some, or move the store with HEADRACE_STORE"
        )


def _free_bytes(root: Path) -> int:
    return shutil.disk_usage(env.main_checkout(root)).free


def _print_plan(stage: Stage, plan: Callable[[Stage, Any], Plan] | None, params: Any) -> None:
    if plan is None:
        print(f"{stage.info.address}: runs as a whole, nothing is kept by item")
        return
    todo = plan(stage, params)
    expected = _expected_seconds(stage, todo.items_todo)
    time_text = "time unknown (no earlier run)" if expected is None else f"about {duration(expected)}"
    print(
        f"{stage.info.address}: {_count(todo.items_todo, todo.unit)} to do, {todo.items_stored} stored; {time_text}; "
        f"disk {format_bytes(todo.disk_needed_bytes)} needed, {format_bytes(_free_bytes(stage.root))} free"
    )
    for note in todo.notes:
        print(f"  {note}")
    _check_disk(stage, todo)


def _expected_seconds(stage: Stage, items: int) -> float | None:
    """Return the median of the earlier runs' seconds per item, times `items`."""
    with contextlib.suppress(Exception):  # a plan without a forecast is still a plan
        rates = sorted(
            r.metrics[_SECONDS_PER_ITEM]
            for r in lineage.runs_of_stage(stage.info.address)
            if _SECONDS_PER_ITEM in r.metrics
        )
        if rates:
            return rates[len(rates) // 2] * items
    return None


def load_stage_module(cmd: str) -> Any:
    """Import the module that a stage's command, `python -m MODULE [member]`, runs. Raises ValueError for any other."""
    match = re.fullmatch(r"(?:\S*python\S*) -m (tasks(?:\.\w+)+)(?: (\S+))?", cmd.strip())
    if not match:
        raise ValueError(f"not the command of a stage of ours: {cmd!r}")
    return importlib.import_module(match.group(1))
