"""Which Prefect API a flow talks to: the one that the user has configured, or a server started for it alone."""

import json
import logging
import os
import socket
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

import psutil

from flows.runner import start_supervised

log = logging.getLogger("headrace")

START_TIMEOUT_S = 180.0  # a fresh database takes half a minute, more on a busy machine
_MARKER = "headrace-ui.json"
_PROFILE_KEYS = ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_CLIENT_CUSTOM_HEADERS")


def configured_api() -> str | None:
    """Return the address of the user's Prefect API: of the environment, the active profile, or a running `headrace ui`.

    None without one. What the profile says of it is put into the environment, because a checkout's own PREFECT_HOME
    hides the profile.
    """
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    path = Path(os.environ.get("PREFECT_PROFILES_PATH", home / "profiles.toml")).expanduser()
    try:
        profiles = tomllib.loads(path.read_text()) if path.exists() else {}
    except (OSError, tomllib.TOMLDecodeError) as error:
        log.warning("%s cannot be read (%s): no Prefect profile is used", path, error)
        profiles = {}
    active = os.environ.get("PREFECT_PROFILE") or profiles.get("active", "")
    settings = profiles.get("profiles", {}).get(active, {})
    if settings.get("PREFECT_API_URL"):
        for key in _PROFILE_KEYS:
            if key in settings:
                os.environ.setdefault(key, str(settings[key]))
    return os.environ.get("PREFECT_API_URL") or _announced(home)


@contextmanager
def announced(url: str) -> Iterator[None]:
    """Let pipeline runs with the same PREFECT_HOME use the server at `url` while this process lives."""
    marker = Path(os.environ["PREFECT_HOME"]).expanduser() / _MARKER
    started = psutil.Process().create_time()
    marker.write_text(json.dumps({"url": url, "pid": os.getpid(), "pid_started": started}))
    try:
        yield
    finally:
        marker.unlink(missing_ok=True)


def _announced(home: Path) -> str | None:
    try:
        told = json.loads((home / _MARKER).read_text())
        lives = abs(psutil.Process(told["pid"]).create_time() - told["pid_started"]) < 1
        return str(told["url"]) if lives else None
    except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
        return None


@contextmanager
def prefect_api(log_path: Path, say: Callable[[str], None]) -> Iterator[str | None]:
    """Give the address of a Prefect API that answers; None, after one warning, where there is none.

    A server that had to be started keeps its database in PREFECT_HOME and ends with this context, or with this process.
    """
    url = configured_api()
    if url:
        alive = answers(url, timeout_s=10)
        if not alive:
            log.warning("Prefect at %s does not answer: going on without it; outs are not affected", url)
        yield url if alive else None
        return
    try:
        with started_server(log_path, say) as url:
            yield url
    except ServerError as error:
        log.warning("%s: going on without Prefect; outs are not affected", error)
        yield None


class ServerError(Exception):
    """A server did not start."""


@contextmanager
def started_server(log_path: Path, say: Callable[[str], None] = lambda _: None, port: int = 0) -> Iterator[str]:
    """Start a Prefect server on the loopback (on a free port, if none is given), give its API's address, and end it.

    Raises ServerError where it does not answer in time.
    """
    port = port or free_port()
    url = f"http://127.0.0.1:{port}/api"
    env = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    env["PREFECT_SERVER_UI_API_URL"] = url
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    home.mkdir(parents=True, exist_ok=True)
    new = "" if (home / "prefect.db").exists() else ", with a new database: about half a minute"
    say(f"starting a Prefect server{new} (set PREFECT_API_URL to use one that runs)")
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with served(command, cwd=home, env=env, log_path=log_path, ready=lambda: answers(url, timeout_s=2)):
        try:
            yield url
        finally:
            _drain()


@contextmanager
def served(
    command: list[str], *, cwd: Path, env: Mapping[str, str], log_path: Path, ready: Callable[[], bool]
) -> Iterator[None]:
    """Run a server until the context, or this process, ends. Raises ServerError where it is not `ready` in time."""
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("wb") as output:
        process = start_supervised(command, cwd=cwd, env=env, patience_s=0, output=output)
    assert process.stdin is not None
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        name = f"'{' '.join(command[2:5])}'"
        while not ready():
            if process.poll() is not None:
                raise ServerError(f"{name} ended with exit code {process.returncode}, see {log_path}")
            if time.monotonic() > deadline:
                raise ServerError(f"{name} did not answer in {START_TIMEOUT_S:.0f} s, see {log_path}")
            time.sleep(0.1)
        yield
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()


def answers(url: str, *, timeout_s: float) -> bool:
    """Whether a Prefect API at `url` is healthy."""
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=timeout_s) as response:
            return json.load(response) is True
    except (OSError, ValueError, urllib.error.URLError):
        return False


def flush(api_url: str, flow_run_id: str, timeout_s: float = 10.0) -> None:
    """Wait until the API has the logs, events and final states of a flow run's tasks: its server may end after that."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.settings import PREFECT_API_URL, temporary_settings

    _drain(timeout_s)
    deadline = time.monotonic() + timeout_s
    this_run = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run_id)]))
    with temporary_settings({PREFECT_API_URL: api_url}), get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            runs = client.read_task_runs(flow_run_filter=this_run)
            if all(run.state is not None and run.state.is_final() for run in runs):
                return
            time.sleep(0.1)


def _drain(timeout_s: float = 10.0) -> None:
    """Send what this process still has for the API; at its exit it would be retried long after the server's end."""
    if "prefect" not in sys.modules:
        return
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all(timeout=timeout_s)
    EventsWorker.drain_all(timeout=timeout_s)


def free_port() -> int:
    """Return a port of the loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
