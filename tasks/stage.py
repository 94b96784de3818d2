"""The one wrapper that makes a function a stage: parameters, declared paths, workers, MLflow run.

dvc.yaml is the only place that says what a stage reads and writes; here that is looked up with DVC's own parser,
and anything used but not declared is an error that names the line to add.
"""

import argparse
import contextlib
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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import psutil
from pydantic import BaseModel

from tasks import env, lineage
from tasks.lineage import StageInfo, Tracker
from tasks.parameters import Knobs, StageError, checked_parameters, declared_parameters, read_knobs
from tasks.report import Plan, Report, check_report, closing_line, failure_line, format_bytes, plan_lines
from tasks.strict import StrictModel

if TYPE_CHECKING:
    import numpy as np

    from tasks.store import Store
    from tasks.workers import Outcome

__all__ = ["Plan", "Report", "Stage", "StageError", "StrictModel", "item_rng", "stage_main"]

log = logging.getLogger("headrace")

T = TypeVar("T")
_SECONDS_PER_ITEM = "time/seconds_per_item"
_GIVE_UP_AFTER = 10  # items in a row that trouble of the machine kept from being done: so will it the others


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
    _dep_hashes: dict[str, str] = field(default_factory=dict)
    _repo: Any = None  # DVC's Repo with its stages read, which takes a second
    _made: dict[str, Any] = field(default_factory=dict)

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

    def dep_hash(self, path: str) -> str:
        """Return DVC's hash of the declared dep `path` as it is now: what dvc.lock will say of it."""
        path = self._require(path, self.info.deps, "deps")
        if not self._dep_hashes:
            self._dep_hashes = self._hashed().deps
        return self._dep_hashes[path]

    def _hashed(self) -> StageInfo:
        self._repo = self._repo or lineage.open_repo(self.root)
        return lineage.stage_info(self._repo, self.info.address, hashes=True)

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

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return what `make` gives; it is called the first time that `name` is asked for.

        A run makes its plan first: what both work out, they share.
        """
        if name not in self._made:
            self._made[name] = make()
        made: T = self._made[name]
        return made

    def count_done(self, items: int) -> None:
        """Say how many items of the plan's unit this run did, for the time that the next plan expects."""
        self._items_done += items

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
        self,
        fn: Callable[..., Any],
        items: Iterable[tuple[str, Any]],
        *,
        unit: str,
        total: int,
        names: Mapping[str, str] | None = None,
    ) -> "Iterator[Outcome]":
        """Work on `items` (id, payload) in worker processes as the knobs say; see `tasks.workers.map_items`.

        `names` says what people call an id. Raises StageError at the end where trouble of the machine kept items from
        being done: DVC must not take outs without them as made.
        """
        from tasks.workers import Progress, default_workers, map_items

        progress = Progress(total=total, unit=f"{unit}s", label=self.info.address)
        workers, timeout_s = self.knobs.workers or default_workers(), self.knobs.item_timeout_s
        troubles: list[str] = []
        in_a_row = 0
        outcomes = map_items(fn, items, workers=workers, timeout_s=timeout_s, progress=progress)
        with contextlib.closing(outcomes):
            for outcome in outcomes:
                if not outcome.trouble:
                    in_a_row = 0
                    self._items_done += 1
                    yield self._with_remedy(outcome)
                    continue
                in_a_row += 1
                troubles.append(f"{unit} {(names or {}).get(outcome.item_id, outcome.item_id)}: {outcome.trouble}")
                log.warning("%s: %s", self.info.address, troubles[-1])
                if in_a_row == _GIVE_UP_AFTER:
                    break
        if troubles:
            more = f" (and {len(troubles) - 1} more, named above)" if len(troubles) > 1 else ""
            raise StageError(f"{troubles[0]}{more}: mend that and run again; what is finished is stored")

    def _with_remedy(self, outcome: "Outcome") -> "Outcome":
        """Say how to try an item again that may have been stopped by the machine: its rejection stays until then."""
        reject = outcome.reject
        if reject is None or reject.reason not in ("timeout", "worker_died"):
            return outcome
        from tasks.tables import Reject

        longer = "raise run.item_timeout_s and " if reject.reason == "timeout" else ""
        again = f"; to try again {longer}run 'dvc repro --force --single-item {self.info.address}'"
        told = Reject(reject.reason, reject.detail + again, reject.score, reject.value, reject.threshold)
        return replace(outcome, reject=told)

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
        """Fail if a dep changed meanwhile: DVC, which hashes deps last, would take what is there now as read."""
        for path, before in self._seen.items():
            changed = sorted({name for name, _ in before ^ _listing(self.root / path)})
            if changed:
                more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
                raise StageError(
                    f"{path} changed while the stage ran ({', '.join(changed[:5])}{more}): when nothing writes there "
                    f"any more, run it again; what is finished is stored"
                )

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
    found = set()
    for file in path.rglob("*") if path.is_dir() else [path]:
        with contextlib.suppress(FileNotFoundError):  # gone since it was listed
            if file.is_file():
                stat = file.stat()
                name = file.relative_to(path).as_posix() if file != path else file.name
                found.add((name, (stat.st_size, stat.st_ino, stat.st_mtime_ns)))
    return frozenset(found)


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
    """Run the module's stage from the command line and exit: 0 done, 1 failed with one clear line, 130 interrupted.

    Before a run its plan is made, to see that the disk is large enough.
    """
    module = _module_name(run)
    args = _arguments(module, run.__doc__ or "", argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    log.setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, _interrupt)
    debug = args.debug or os.environ.get("HEADRACE_DEBUG") == "1"
    try:
        _require_one_process()
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


def _require_one_process() -> None:
    """Refuse to be one of several processes of torchrun: each would have its own MLflow run and write the same outs."""
    size, rank = os.environ.get("WORLD_SIZE", "1"), os.environ.get("RANK")
    if rank is not None and size != "1":
        raise StageError(
            f"this is process {rank} of {size} that torchrun started, and each of them would run the whole stage: "
            f"start it without torchrun (RANK and WORLD_SIZE unset), and set run.train_processes: {size} in params.yaml"
        )


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


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
        _print_plan(Stage(info, root, read_knobs(root), Tracker(), _repo=repo), plan, params)
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
        stage = Stage(info, root, read_knobs(root), tracker, _repo=repo)
        log.setLevel(stage.knobs.log_level.upper())
        stage._clear_leftovers()
        if plan is not None:
            _check_disk(stage, plan(stage, params))
        report = run(stage, params)
        check_report(report)
        stage._require_unchanged()
        stage._publish()
        _record(stage, report, time.time() - started)
        stage._require_unchanged()  # once more: hashing the deps for the record may have taken long
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
    info = stage._hashed()
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
    for line in plan_lines(stage.info.address, todo, expected_s=expected, free_bytes=_free_bytes(stage.root)):
        print(line)
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
