"""One run of a DVC project's pipeline, from the status to the last result, with or without Prefect.

One DVC status says what has changed; then every changed stage, and what has then changed below it, runs as soon as
what it needs is there. What can be tracked is tracked; nothing that a tracking server does costs a result.
"""

import json
import logging
import os
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from flows.graph import Node, Project
from flows.links import Links
from flows.lock import pipeline_lock
from flows.order import Future, run_by_dependency
from flows.origin import run_behind, tracking_never_fails
from flows.plan import Request, root_of, set_params, take_status, unset_params
from flows.registry import register_after_run
from flows.runner import Attempt, Interrupted, State, environment, run_stage
from flows.server import Watch
from tasks import env, lineage

log = logging.getLogger("headrace")

EXPERIMENT = "pipeline"
RETRY_DELAY_S = 2.0
KEPT_LOGS = 50


@dataclass(frozen=True)
class StageResult:
    """How a stage ended, and the MLflow run that made its present outs (None: made elsewhere, or not tracked)."""

    address: str
    state: State
    seconds: float = 0.0
    note: str = ""
    run: lineage.RunRef | None = None
    log_path: Path | None = None
    has_outs: bool = True

    @property
    def made_by(self) -> str:
        """The MLflow run of the present outs in words."""
        if self.run is not None:
            return self.run.url
        return "made elsewhere" if self.has_outs and self.state not in (State.FAILED, State.NOT_RUN) else "-"


class PipelineFailed(Exception):
    """Stages failed. The message names each, with the reason and its log."""


class StageFailed(Exception):
    """A stage ended with an error; Prefect may retry it."""


@dataclass
class PipelineRun:
    """One run of the pipeline, from the first status to the last result."""

    name: str
    request: Request
    root: Path
    project: Project
    nodes: list[Node]  # selected, dependencies first
    reasons: dict[str, list[str]]  # address -> why it has changed; empty where it has not
    say: Callable[[str], None]
    user_env: Mapping[str, str]
    tracker: lineage.Tracker | None = None
    flow_run_id: str = ""
    prefect: Watch | None = None  # of the API, where the pipeline is run as a flow of ours
    cancel: threading.Event = field(default_factory=threading.Event)
    results: dict[str, StageResult] = field(default_factory=dict)
    finished: bool = False
    stopped_by: str = ""  # the failed stage after which nothing more is started
    _rechecked: set[str] = field(default_factory=set)
    _cut_short: set[str] = field(default_factory=set)
    _recorded: set[str] = field(default_factory=set)  # ended well, with their MLflow run
    _lookup: threading.Lock = field(default_factory=threading.Lock)

    @property
    def folder(self) -> Path:
        """Where the run keeps its logs."""
        return self.root / ".dvc" / "tmp" / "headrace" / self.name

    @cached_property
    def links(self) -> Links:
        """The remembered MLflow runs of present outs."""
        return Links(self.project)

    @property
    def stages(self) -> list[Node]:
        """The selected stages that have a command."""
        return [node for node in self.nodes if not node.is_source]

    @property
    def has_work(self) -> bool:
        """Whether anything selected has changed."""
        return any(self.reasons.values())

    def table(self) -> list[StageResult]:
        """Results in the order of the pipeline, those of `.dvc` files only where they failed."""
        found = (self.results.get(node.address) for node in self.nodes)
        commands = {node.address for node in self.stages}
        return [row for row in found if row is not None and (row.address in commands or row.state is State.FAILED)]

    def rows(self) -> list[dict[str, Any]]:
        """The table as plain values."""
        return [
            {
                "stage": result.address,
                "state": str(result.state),
                "seconds": round(result.seconds, 1),
                "run": result.made_by,
                "note": result.note,
            }
            for result in self.table()
        ]

    def failed(self) -> list[StageResult]:
        """The stages that failed."""
        return [row for row in self.table() if row.state is State.FAILED]

    @property
    def prefect_lost(self) -> bool:
        """Whether Prefect's API is gone: then nothing more is told to it."""
        return self.prefect is not None and self.prefect.lost

    # --- deciding -------------------------------------------------------------------------------------------------

    def decide(self, node: Node) -> State | None:
        """Say how a stage ends without running, now that all it is after has ended; None where it must run."""
        if node.address in self.results:
            return self.results[node.address].state
        state, note = self._verdict(node)
        if state is not None:
            ref = self.made_by(node.address) if state is State.UNCHANGED and not node.is_source else None
            self.results[node.address] = StageResult(node.address, state, note=note, run=ref, has_outs=bool(node.outs))
        return state

    def _verdict(self, node: Node) -> tuple[State | None, str]:
        broken = [up for up in sorted(node.needs) if self._state(up) in (State.FAILED, State.NOT_RUN)]
        if broken:
            failed = self._state(broken[0]) is State.FAILED
            return State.NOT_RUN, f"needs '{broken[0]}', which {'failed' if failed else 'did not run'}"
        if self.cancel.is_set():
            return State.NOT_RUN, "the run was cancelled"
        if self.stopped_by:
            return State.NOT_RUN, f"stopped after '{self.stopped_by}' failed"
        if node.address not in self._rechecked and any(
            self._state(up) in (State.RAN, State.RESTORED) for up in node.after
        ):
            reasons = self.project.changes([node.address])[node.address]
            self.reasons[node.address] = ["forced"] if self.request.force and not node.is_source else reasons
            self._rechecked.add(node.address)
        return (None, "") if self.reasons[node.address] else (State.UNCHANGED, "")

    def _state(self, address: str) -> State | None:
        result = self.results.get(address)
        return result.state if result else None

    # --- running --------------------------------------------------------------------------------------------------

    def attempt(self, node: Node, on_line: Callable[[str], None]) -> StageResult:
        """Run a stage once, record it in MLflow, and keep and return the result. Raises StageFailed where it failed."""
        self.say(f"  started    {node.address}  ({'; '.join(self.reasons[node.address][:3]) or 'changed'})")
        invocation = str(uuid.uuid4())
        tried = run_stage(
            self.root,
            node.address,
            env=self._stage_env(invocation),
            log_path=self.folder / f"{re.sub(r'[^A-Za-z0-9_.@-]', '_', node.address)}.log",
            on_line=on_line,
            cancel=self.cancel,
            force=self.request.force and not node.is_source,
        )
        result = StageResult(
            node.address,
            tried.state,
            tried.ended - tried.started,
            tried.reason or tried.said.removeprefix(f"{node.address}: "),
            None,
            tried.log_path,
            bool(node.outs),
        )
        self.results[node.address] = result  # stands from now on, whatever becomes of its task in Prefect
        if not node.is_source:
            result = self.results[node.address] = replace(result, run=self._record(node, tried, invocation))
        told = f": {tried.reason} (log: {tried.log_path.relative_to(self.root)})" if tried.reason else ""
        self.say(f"  {tried.state:<10} {node.address}  {result.seconds:.1f} s{told}")
        if tried.state is State.FAILED:
            tail = "\n".join(tried.tail)
            raise StageFailed(f"stage '{node.address}' failed: {tried.reason}\nlog: {tried.log_path}\n{tail}")
        self._recorded.add(node.address)
        return result

    def attempt_with_retries(self, node: Node) -> None:
        """Run a stage without Prefect, with the retries that its meta asks for."""
        for left in range(node.retries, -1, -1):
            try:
                self.attempt(node, lambda _: None)
                return
            except StageFailed:
                if not left or self.cancel.wait(RETRY_DELAY_S):
                    return
            except Interrupted:
                self.interrupted(node)
                return
            except Exception as error:
                log.exception("%s could not be run", node.address)
                note = f"{type(error).__name__}: {error}"
                self.results[node.address] = StageResult(node.address, State.FAILED, note=note)
                return

    def see_to_its_end(self, node: Node, task_run: Future | None) -> None:
        """Wait for the stage's task in Prefect; run the stage here if it has none, or if that came to nothing."""
        if task_run is not None:
            ended = threading.Event()
            task_run.add_done_callback(lambda _: ended.set())
            while not ended.wait(0.2):
                if self.prefect_lost and node.address in self._recorded:
                    break  # what is left of the task is its vain calls; a failed one Prefect may yet retry
        if node.address not in self.results and not self.cancel.is_set():
            self.attempt_with_retries(node)

    def forget_cut_short(self) -> None:
        """Forget what was cancelled while it ran: a flow that Prefect broke off is no reason to leave it so."""
        for address in self._cut_short:
            self.results.pop(address, None)
        self._cut_short.clear()

    def interrupted(self, node: Node) -> None:
        """Keep that the stage was cancelled while it ran."""
        self._cut_short.add(node.address)
        self.results[node.address] = StageResult(node.address, State.FAILED, note="cancelled while it ran")

    def _stage_env(self, invocation: str) -> dict[str, str]:
        tracking = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_")}
        tags = {"headrace.invocation": invocation}
        extra = {lineage.INVOCATION: invocation}
        if self.tracker is not None and self.tracker.run_id:
            extra[lineage.PARENT_RUN] = tags["mlflow.parentRunId"] = self.tracker.run_id
        if self.flow_run_id:
            extra[lineage.FLOW_RUN] = tags["prefect.flow_run_id"] = self.flow_run_id
        return environment(self.user_env, {**tracking, **extra, "MLFLOW_RUN_CONTEXT": json.dumps(tags)})

    # --- tracking -------------------------------------------------------------------------------------------------

    def _record(self, node: Node, tried: Attempt, invocation: str) -> lineage.RunRef | None:
        if tried.state not in (State.RAN, State.FAILED):
            return self.made_by(node.address)
        with self._lookup, tracking_never_fails(f"{node.address}: not recorded in MLflow"):
            return lineage.record_stage(
                self.root,
                node.address,
                experiment=EXPERIMENT,
                parent_run_id=self.tracker.run_id if self.tracker else None,
                invocation=invocation,
                started=tried.started,
                ended=tried.ended,
                state=str(tried.state),
                log_path=tried.log_path,
            )
        return None

    def made_by(self, address: str) -> lineage.RunRef | None:
        """Return the MLflow run that made the stage's outs as dvc.lock has them, from the deps that it has."""
        with self._lookup:
            return self.links.get(address) or run_behind(self.project, address)

    def remember_links(self) -> None:
        """Remember the runs of the present outs for the next time."""
        for row in self.table():
            if row.run is not None and row.state in (State.RAN, State.RESTORED, State.UNCHANGED):
                self.links.put(row.address, row.run)
        self.links.save()

    def start_tracking(self) -> None:
        """Open the parent MLflow run, after closing what killed runs have left open."""
        if self.flow_run_id:
            os.environ[lineage.FLOW_RUN] = self.flow_run_id
        with tracking_never_fails("runs left open in MLflow are not closed"):
            lineage.close_dead_runs(self.root)
        self.tracker = lineage.Tracker.start(
            EXPERIMENT,
            self.name,
            root=self.root,
            params={"targets": " ".join(self.request.targets) or "-", "jobs": self.request.jobs},
            tags={"headrace.pipeline": self.name},
        )

    def end_tracking(self, status: str) -> None:
        """Close the parent MLflow run, with the table of stages."""
        if self.tracker is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "stages.json"
        path.write_text(json.dumps(self.rows(), indent=1) + "\n")
        states = [result.state for result in self.table()]
        self.tracker.metrics({f"stages/{state.replace(' ', '_')}": states.count(state) for state in State})
        self.tracker.artifact(path)
        self.tracker.end(status)
        os.environ.pop(lineage.FLOW_RUN, None)


# --- one run --------------------------------------------------------------------------------------------------------


@contextmanager
def opened(request: Request, say: Callable[[str], None] = lambda _: None) -> Iterator[PipelineRun]:
    """Hold the checkout, take the one DVC status, and give the run. Raises ProjectError where that cannot be done."""
    from flows.server import configured_api

    user_env = dict(os.environ)
    root = root_of(request)
    configured_api()  # while PREFECT_HOME is still the user's
    env.configure(root)
    _keep_out_of_git(root)
    name = new_name()
    with pipeline_lock(root, name, wait=request.wait, say=say):
        before = set_params(root, request.changes)
        try:
            project, nodes, reasons = take_status(root, request)
        except BaseException:  # nothing has run with the new values: the project may be unreadable with them
            unset_params(before)
            raise
        yield PipelineRun(name, request, root, project, nodes, reasons, say, user_env)


def new_name() -> str:
    """Return a name for a run that sorts by time (UTC)."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:4]}"


def _keep_out_of_git(root: Path) -> None:
    """Give state folders that do not exist yet a .gitignore of their own: the project may not know of them."""
    for folder in (Path(os.environ["PREFECT_HOME"]).expanduser(), env.main_checkout(root) / "mlruns"):
        if folder.is_relative_to(root) and not folder.exists():
            folder.mkdir(parents=True)
            (folder / ".gitignore").write_text("*\n")


def execute(run: PipelineRun, submit: Callable[[Node], Future] | None = None) -> None:
    """Run what has changed, as tasks of `submit` (default: plain threads), with one parent MLflow run over all."""
    status = "KILLED"
    begun: set[str] = set()
    run.cancel.clear()
    run.forget_cut_short()
    with ThreadPoolExecutor(run.request.jobs, "stage") as threads:
        if run.has_work:
            _forget_old_logs(run.folder.parent)
            run.start_tracking()

        def start(node: Node) -> Future:
            task_run = None
            if submit is not None and not node.is_source and not run.prefect_lost:
                with tracking_never_fails(f"{node.address}: no task in Prefect"):
                    task_run = submit(node)
            begun.add(node.address)
            future = threads.submit(run.see_to_its_end, node, task_run)
            future.add_done_callback(lambda _: begun.discard(node.address))
            return future

        def ended(node: Node) -> State:
            state = run.results[node.address].state
            if state is State.FAILED and not run.request.keep_going:
                run.stopped_by = run.stopped_by or node.address
            return state

        try:
            run_by_dependency(run.nodes, jobs=run.request.jobs, decide=run.decide, start=start, ended=ended)
            run.finished = True
            with tracking_never_fails("models are not registered; try 'headrace register'"):
                register_after_run(run.project, run.links, run.say)
            with tracking_never_fails("links to MLflow are not remembered"):
                run.remember_links()
            status = "FAILED" if run.failed() else "FINISHED"
        finally:
            if not run.finished:
                run.cancel.set()
                run.say("  stopping: ending every process of the stages that run")
                while begun:
                    time.sleep(0.05)
            run.end_tracking(status)


def _forget_old_logs(folder: Path) -> None:
    runs = sorted(path for path in folder.glob("*-*-*") if path.is_dir())
    for old in runs[:-KEPT_LOGS]:
        shutil.rmtree(old, ignore_errors=True)


# Which run a flow is of. They stand here because Prefect pickles the flow's own module, and these cannot be pickled.
PREPARED: ContextVar[PipelineRun | None] = ContextVar("headrace_prepared", default=None)
CURRENT: ContextVar[PipelineRun] = ContextVar("headrace_current")
