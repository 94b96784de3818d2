"""The Prefect and MLflow pages of a checkout, on loopback, until Ctrl-C.

While they stand, `headrace run` in the same checkout reports to this Prefect server instead of starting one.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from flows.runner import start_supervised
from flows.server import START_TIMEOUT_S, ServerError, answers
from tasks import env

PREFECT_PORT, MLFLOW_PORT = 4200, 5000


def serve_pages(root: Path, *, prefect_port: int, mlflow_port: int, say: Callable[[str], None]) -> None:
    """Serve both pages until KeyboardInterrupt or SystemExit, then end both. Logs lie in .dvc/tmp/headrace/.

    Raises ServerError where a port is taken, or a server ends or does not answer.
    """
    from tasks.lineage import client

    env.configure(root)
    logs = root / ".dvc" / "tmp" / "headrace"
    logs.mkdir(parents=True, exist_ok=True)
    tracking = os.environ["MLFLOW_TRACKING_URI"]
    started: list[subprocess.Popen[bytes]] = []
    note = _note()
    try:
        prefect_url = f"http://127.0.0.1:{prefect_port}"
        started.append(_start_prefect(prefect_port, f"{prefect_url}/api", logs / "prefect-ui.log"))
        mlflow_url = tracking
        if not tracking.startswith("http"):
            client().search_experiments(max_results=1)  # a new database gets its schema once, before the server asks
            mlflow_url = f"http://127.0.0.1:{mlflow_port}"
            started.append(_start_mlflow(mlflow_port, tracking, logs / "mlflow-ui.log"))
        _wait(lambda: answers(f"{prefect_url}/api", timeout_s=2), started[0], logs / "prefect-ui.log", say)
        if len(started) > 1:
            _wait(lambda: _is_up(mlflow_url), started[1], logs / "mlflow-ui.log", say)
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({"api": f"{prefect_url}/api"}))
        say(f"Prefect  {prefect_url}\nMLflow   {mlflow_url}\nCtrl-C ends both")
        while all(process.poll() is None for process in started):
            time.sleep(0.3)
        raise ServerError(f"a server has ended by itself, see the logs in {logs}")
    finally:
        note.unlink(missing_ok=True)
        for process in started:
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.close()
        for process in started:
            process.wait()


def running_api() -> str | None:
    """Return the address of the Prefect API that this checkout's pages run on now, None where they do not stand."""
    with suppress(OSError, ValueError, KeyError):
        url = str(json.loads(_note().read_text())["api"])
        if answers(url, timeout_s=5):
            return url
    return None


def _note() -> Path:
    return Path(os.environ["PREFECT_HOME"]) / "headrace-ui.json"


def _start_prefect(port: int, api: str, log: Path) -> subprocess.Popen[bytes]:
    _require_free(port, "prefect-port")
    home = Path(os.environ["PREFECT_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    own = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    own["PREFECT_SERVER_UI_API_URL"] = api  # else the page asks port 4200, whatever the port is
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        return start_supervised(command, cwd=home, env=own, patience_s=0, output=output)


def _start_mlflow(port: int, store: str, log: Path) -> subprocess.Popen[bytes]:
    _require_free(port, "mlflow-port")
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with log.open("wb") as output:
        return start_supervised(
            [*command, "--backend-store-uri", store], cwd=log.parent, env=os.environ, patience_s=0, output=output
        )


def _require_free(port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise ServerError(f"port {port} is taken: choose another with --{option}") from None


def _is_up(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=2) as response:
        return bool(response.status == 200)
    return False


def _wait(up: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, say: Callable[[str], None]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    say(f"starting {log.stem.removesuffix('-ui')} ...")
    while not up():
        if process.poll() is not None:
            raise ServerError(f"a server ended with exit code {process.returncode}, see {log}")
        if time.monotonic() > deadline:
            raise ServerError(f"a server did not answer in {START_TIMEOUT_S:.0f} s, see {log}")
        time.sleep(0.2)
