"""The pipeline of a DVC project as a Prefect flow: each changed stage is a task, a process and an MLflow run.

What happens in it is said in `pipeline_run.py`; here is what Prefect adds: a flow run, task runs with retries and
logs, links to MLflow, a table. Prefect is imported only where it is used: `headrace plan` must not wait for it.
"""

import logging
import os
import re
from collections.abc import Callable
from typing import Annotated, Any

from prefect import flow, task
from prefect.artifacts import create_link_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    get_current_settings,
    temporary_settings,
)
from pydantic import Field

from flows import pipeline_run
from flows.graph import Node, ProjectError
from flows.pipeline_run import (
    RETRY_DELAY_S,
    PipelineFailed,
    PipelineRun,
    StageResult,
    execute,
    opened,
)
from flows.plan import Request
from flows.runner import Interrupted

log = logging.getLogger("headrace")

CLIENT_RETRIES = 2  # 6 s in all: Prefect's own 5 would hold up the run for a minute at each call to a lost server


def _flow_run_name() -> str:
    run = pipeline_run.PREPARED.get()
    return run.name if run else f"scheduled-{pipeline_run.new_name()}"


@flow(name="pipeline", flow_run_name=_flow_run_name, persist_result=False)
def pipeline(
    repo: str = ".",
    targets: list[str] | None = None,
    everything: bool = False,
    jobs: Annotated[int, Field(ge=1)] | None = None,
    keep_going: bool = True,
    force: bool = False,
    changes: list[str] | None = None,
    wait: bool = False,
) -> list[dict[str, Any]]:
    """Bring a DVC project up to date and return a row for each stage. See `Request` for the parameters.

    Raises PipelineFailed where a stage failed, ProjectError where the project cannot be run.
    """
    if (prepared := pipeline_run.PREPARED.get()) is not None:
        return _run(prepared)
    given = {
        "repo": repo,
        "targets": targets,
        "everything": everything,
        "jobs": jobs,
        "keep_going": keep_going,
        "force": force,
        "changes": changes,
        "wait": wait,
    }
    request = Request.model_validate({name: value for name, value in given.items() if value is not None})
    with opened(request, say=get_run_logger().info) as run:
        return _run(run)


def _run(run: PipelineRun) -> list[dict[str, Any]]:
    context = FlowRunContext.get()
    if context is not None and context.flow_run is not None:
        run.flow_run_id = str(context.flow_run.id)
    pipeline_run.CURRENT.set(run)
    execute(run, submit=lambda node: _stage_task(node).submit(node.address))
    rows = run.rows()
    description = f"Stages of pipeline run {run.name}"
    _tell(run, "no table", lambda: create_table_artifact(key="stages", table=rows, description=description))
    if run.prefect_lost:
        get_current_settings().client.max_retries = 0  # of this run's own copy: the flow's last state cannot be told
    if failed := run.failed():
        raise PipelineFailed("; ".join(f"'{row.address}' failed: {row.note}" for row in failed))
    return rows


@task(name="stage", task_run_name="{address}", cache_policy=NO_CACHE, persist_result=False)
def stage(address: str) -> str:
    """Bring one stage up to date with `dvc repro -s`; its output is the log of the task run."""
    run = pipeline_run.CURRENT.get()
    node = run.project.nodes[address]
    logger = get_run_logger()
    try:
        result = run.attempt(node, lambda line: None if run.prefect_lost else logger.info(line))
    except Interrupted:
        run.interrupted(node)
        raise
    finally:
        if address in run.results:
            _link(run, run.results[address])
    return str(result.state)


def _stage_task(node: Node) -> Any:
    """Return the task for a stage. Its limits are its tags, so that a limit set in Prefect holds between checkouts."""
    return stage.with_options(
        tags=sorted(node.limits),
        retries=node.retries,
        retry_delay_seconds=RETRY_DELAY_S,
        retry_condition_fn=lambda *_: not pipeline_run.CURRENT.get().cancel.is_set(),
    )


def _link(run: PipelineRun, result: StageResult) -> None:
    if result.run is None:
        return
    link, text = result.run.url, f"MLflow run of {result.address}"
    key = re.sub(r"[^a-z0-9]+", "-", result.address.lower()).strip("-")
    _tell(
        run,
        f"{result.address}: no link",
        lambda: create_link_artifact(key=key, link=link, link_text=text, description=str(result.state)),
    )


def _tell(run: PipelineRun, failed: str, tell: Callable[[], object]) -> None:
    """Tell Prefect something if its API is there; a failure is warned of, as `failed`, unless it is why the API is."""
    if run.prefect_lost:
        return
    try:
        tell()
    except Exception as error:  # noqa: BLE001  any failure of tracking, and it is told
        if run.prefect is None or run.prefect.ask():
            log.warning("%s in Prefect (%s: %s); outs are not affected", failed, type(error).__name__, error)


def run_as_flow(run: PipelineRun, api_url: str) -> str | None:
    """Run a prepared pipeline as a flow of the API at `api_url`; return the flow run's id.

    Trouble that Prefect has around the flow is warned of: `run.finished` tells whether the stages are done.
    """
    pipeline_run.PREPARED.set(run)
    request = run.request
    retries = int(os.environ.get("PREFECT_CLIENT_MAX_RETRIES", CLIENT_RETRIES))
    settings = {PREFECT_API_URL: api_url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_CLIENT_MAX_RETRIES: retries}
    with temporary_settings(settings):
        try:
            pipeline(
                repo=str(run.root),
                targets=request.targets,
                everything=request.everything,
                jobs=request.jobs,
                keep_going=request.keep_going,
                force=request.force,
                changes=request.changes,
                wait=request.wait,
            )
        except ProjectError:
            raise
        except PipelineFailed:
            log.debug("told by the results")
        except Exception as error:  # noqa: BLE001  Prefect's own trouble, and it is told
            if run.prefect is None or run.prefect.ask():
                log.warning("Prefect: %s: %s; outs are not affected", type(error).__name__, error)
        finally:
            pipeline_run.PREPARED.set(None)
    return run.flow_run_id or None
