"""Which Prefect API a flow talks to: the one that the user has configured, or a server started for it alone."""

import json
import logging
import os
import socket
import sys
import threading
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
from tasks.lineage import without_password

log = logging.getLogger("headrace")

START_TIMEOUT_S = 180.0  # a fresh database takes half a minute, more on a busy machine
ASK_EVERY_S = 2.0
PATIENCE_S = 10.0  # a server that is started anew within it is not missed
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
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):  # a process that cannot be seen is not ours
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
            told = without_password(url)
            log.warning("Prefect at %s does not answer: going on without it; outs are not affected", told)
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
            if answers(url, timeout_s=5):
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


class Watch:
    """Asks in the background whether a Prefect API still answers; once it is `lost`, nothing more is told to it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lost = threading.Event()
        self._ended = threading.Event()
        self._mutex = threading.Lock()

    @property
    def lost(self) -> bool:
        """Whether the API has been given up."""
        return self._lost.is_set()

    def ask(self) -> bool:
        """Ask now, and give the API up, with one warning for all callers, where it does not answer."""
        with self._mutex:
            if not self.lost and not answers(self._url, timeout_s=5):
                self._lost.set()
                told = without_password(self._url)
                log.warning("Prefect at %s no longer answers: going on without it; outs are not affected", told)
        return not self.lost

    def end(self) -> None:
        """Ask no more."""
        self._ended.set()

    def run(self) -> None:
        """Ask until the end; an API that is silent for PATIENCE_S is given up."""
        answered = time.monotonic()
        while not self.lost and not self._ended.wait(ASK_EVERY_S):
            if answers(self._url, timeout_s=5):
                answered = time.monotonic()
            elif time.monotonic() - answered > PATIENCE_S:
                self.ask()


@contextmanager
def watched(url: str) -> Iterator[Watch]:
    """Watch the API at `url` meanwhile; if it is lost at the end, drop what this process still has for it."""
    watch = Watch(url)
    shown, logging.raiseExceptions = logging.raiseExceptions, False  # else Prefect prints each batch that is not sent
    threading.Thread(target=watch.run, daemon=True, name="prefect-watch").start()
    try:
        yield watch
    finally:
        watch.end()
        if watch.ask():
            logging.raiseExceptions = shown
        else:
            _abandon()


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


def _abandon() -> None:
    """Let this process end without sending what it still has for an API that is gone.

    At exit Prefect waits for its workers, which try for minutes to send each log and event. It offers no way to drop
    these, so the workers are marked as done; where a later Prefect has no such mark, only the wait comes back.
    """
    if "prefect" not in sys.modules:
        return
    from prefect._internal.concurrency import services

    for worker in list(getattr(services, "_active_services", ())):
        loop, done = getattr(worker, "_loop", None), getattr(worker, "_done_event", None)
        if loop is not None and done is not None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(done.set)


def free_port() -> int:
    """Return a port of the loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
