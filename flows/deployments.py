"""Pipelines on a schedule: a process that serves the pipeline flow of a checkout and runs it when its time comes."""

from collections.abc import Sequence
from pathlib import Path

from prefect.flows import EntrypointType

from flows.pipeline import pipeline


def serve_pipeline(
    repo: Path, *, interval_s: float, name: str = "pipeline", targets: Sequence[str] = (), jobs: int | None = None
) -> None:
    """Serve the pipeline of `repo` as the deployment `name` until interrupted, a run every `interval_s` seconds.

    The Prefect API must be configured (PREFECT_API_URL or the active profile). Runs do not overlap; one that comes
    while somebody runs the pipeline by hand waits. The schedule stays on when this process ends.
    """
    parameters = {"repo": str(repo.resolve()), "targets": list(targets), "jobs": jobs, "wait": True}
    pipeline.serve(
        name=name,
        interval=interval_s,
        parameters=parameters,
        limit=1,
        pause_on_shutdown=False,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
