import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.flows import projects
from tests.flows.processes import gone


@pytest.mark.slow
def test_a_pipeline_on_an_interval_is_run_by_the_schedule(matrix: Path, prefect_api: str) -> None:
    """With SQLAlchemy 2.1 the server's scheduler dies at every pass and no run is ever made; `pip check` is silent."""
    code = (
        "from pathlib import Path; from flows.deployments import serve_pipeline;"
        f"serve_pipeline(Path({str(matrix)!r}), interval_s=10, name='smoke', targets=['sample@small'])"
    )
    served = DeploymentFilter(name=DeploymentFilterName(any_=["smoke"]))
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen([sys.executable, "-c", code], env=env, cwd=matrix.parent)
    try:
        with temporary_settings({PREFECT_API_URL: prefect_api}), get_client(sync_client=True) as client:
            done = []
            while not done:
                assert process.poll() is None
                time.sleep(0.5)
                flow_runs = client.read_flow_runs(deployment_filter=served)
                assert not [run for run in flow_runs if run.state_name in ("Failed", "Crashed")]
                done = [run for run in flow_runs if run.auto_scheduled and run.state_name == "Completed"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert [stage for stage, _, _ in projects.journal(matrix)][:1] == ["sample@small"]
    assert gone(matrix)
