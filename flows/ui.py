"""The Prefect and MLflow pages of a checkout on the loopback, for as long as somebody looks at them."""

import os
import sys
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from socket import create_connection
from threading import Event

from flows.graph import ProjectError
from flows.server import ServerError, announced, configured_api, served, started_server
from tasks import env, lineage


def serve_pages(root: Path, *, prefect_port: int, mlflow_port: int, say: Callable[[str], None]) -> None:
    """Serve both pages until interrupted; what the user's own servers serve already is only named.

    Pipeline runs on the checkout use the Prefect server meanwhile. Raises ProjectError where a port is taken or a
    server does not start.
    """
    prefect = configured_api()
    env.configure(root)
    prefect = prefect or configured_api()
    tracking = os.environ["MLFLOW_TRACKING_URI"]
    logs = root / ".dvc" / "tmp" / "headrace"
    try:
        with ExitStack() as stack:
            if prefect is None:
                _refuse_taken(prefect_port, "--prefect-port")
                prefect = stack.enter_context(started_server(logs / "ui-prefect.log", say, prefect_port))
                stack.enter_context(announced(prefect))
            if not tracking.startswith("http"):
                _refuse_taken(mlflow_port, "--mlflow-port")
                say("starting an MLflow server")
                lineage.client()  # makes the database, if there is none, before the server looks for it
                stack.enter_context(_mlflow(root, tracking, mlflow_port, logs / "ui-mlflow.log"))
                tracking = f"http://127.0.0.1:{mlflow_port}"
            shown = lineage.public_address(prefect).removesuffix("/api"), lineage.public_address(tracking)
            say(f"Prefect  {shown[0]}\nMLflow   {shown[1]}\nCtrl-C ends what was started")
            Event().wait()
    except ServerError as error:
        raise ProjectError(str(error)) from error


def _mlflow(root: Path, tracking: str, port: int, log_path: Path) -> AbstractContextManager[None]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    told = {**os.environ, "MLFLOW_BACKEND_STORE_URI": tracking}  # it may hold a password; all users see command lines
    return served(command, cwd=root, env=told, log_path=log_path, ready=lambda: _healthy(port))


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _refuse_taken(port: int, option: str) -> None:
    try:
        create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return
    raise ProjectError(f"port {port} is taken by another program: end that, or give another with {option}")
