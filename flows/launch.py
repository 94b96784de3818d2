"""Start a pipeline run from a shell or from Python: with a Prefect API if there is one, or one started for the run."""

import importlib
import logging
import os
import threading
from collections.abc import Callable

from flows.origin import tracking_never_fails
from flows.pipeline_run import PipelineRun, execute, opened
from flows.plan import Request
from flows.server import configured_api, flush, prefect_api, watched
from tasks import lineage

log = logging.getLogger("headrace")


def run_pipeline(request: Request, say: Callable[[str], None] = print) -> PipelineRun:
    """Run the pipeline and return the run with its results; a failed stage is a result, not an error.

    Where nothing has changed and no API is configured, no server is started and Prefect is not imported. Raises
    ProjectError where the project cannot be run, or another run holds the checkout.
    """
    with opened(request, say) as run:
        changed = sum(bool(run.reasons[node.address]) for node in run.stages)
        say(f"pipeline {run.name}: {changed} of {len(run.stages)} stages changed, at most {request.jobs} at a time")
        configured = configured_api() is not None
        if not run.has_work and not configured:
            execute(run)
            return run
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")  # its lines are said by `say`
        os.environ.setdefault("PREFECT_LOGGING_INTERNAL_LEVEL", "CRITICAL")  # a lost server is warned of once, by us
        if not configured:  # while a server starts there is time for what takes seconds
            threading.Thread(target=_import_trackers, daemon=True).start()
        with prefect_api(run.folder / "prefect-server.log", say) as api:
            if api is not None:
                _run_under_prefect(run, api, flushed=not configured)
            if not run.finished:
                execute(run)
    return run


def _run_under_prefect(run: PipelineRun, api: str, *, flushed: bool) -> None:
    """Run the pipeline as a flow; `run.finished` tells whether that brought all stages to their end."""
    from flows.pipeline import run_as_flow

    with watched(api) as run.prefect:
        flow_run_id = run_as_flow(run, api)
        if flow_run_id and flushed and run.prefect.ask():
            with tracking_never_fails("Prefect may lack the last events of this run"):
                flush(api, flow_run_id)
        if not run.finished and not run.prefect.lost:
            log.warning("going on without Prefect; outs are not affected")


def _import_trackers() -> None:
    with tracking_never_fails("MLflow or Prefect cannot be imported"):
        importlib.import_module("flows.pipeline")
        lineage.client()
