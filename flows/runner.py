"""One DVC stage as a process of its own: started, watched line by line, ended with all that it started.

The process is `dvc --wait-for-lock repro -s ADDRESS`, under `supervise.py`. What DVC prints before the stage's own
command says whether the stage ran, was restored from DVC's cache, or had not changed.
"""

import os
import re
import select
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Event
from typing import IO

DVC_PATIENCE_S = 15.0  # for DVC to put its locks away after its command has ended; see supervise.py
LOCK_RETRIES = 8
_TAIL_LINES = 20
_SUPERVISOR = Path(__file__).with_name("supervise.py")
_LOCKED = ("Unable to acquire lock", "is busy, it is being blocked by", "Unable to read RWLock-file")
_DVC_ERROR = "ERROR: "
_LOCK_WRITTEN = ("Updating lock file '", "Generating lock file '")


class State(StrEnum):
    """How a stage ended."""

    RAN = "ran"
    UNCHANGED = "unchanged"
    RESTORED = "restored"  # outs came back from DVC's cache
    FAILED = "failed"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Attempt:
    """One try at a stage. Times in seconds since 1970."""

    state: State
    started: float
    ended: float
    exit_code: int
    reason: str  # why it failed, in one line; "" if it did not
    said: str  # the last line of the stage's own command, where it ran
    tail: tuple[str, ...]  # its last lines of output
    log_path: Path


class Interrupted(Exception):
    """The pipeline was cancelled while the stage ran."""


def environment(base: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a stage: that of the user, with `extra`, and its output unbuffered."""
    env = {"PYTHONUNBUFFERED": "1", **base, **extra}
    env.pop("MLFLOW_RUN_ID", None)  # it would win over the parent of a run
    return env


def run_stage(
    root: Path,
    address: str,
    *,
    env: Mapping[str, str],
    log_path: Path,
    on_line: Callable[[str], None],
    cancel: Event,
    force: bool = False,
) -> Attempt:
    """Bring one stage up to date and return how it ended. A lock that another DVC process holds is waited for.

    Each line of output goes to `on_line` as it comes and to `log_path`. Raises Interrupted when `cancel` is set, after
    every process of the stage has ended.
    """
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "-s", *(["--force"] if force else []), address]
    started = time.time()
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("a", encoding="utf-8") as log:
        for retry in range(LOCK_RETRIES + 1):
            lines = _Lines(log, on_line)
            code = _watch(command, root, env, lines, cancel)
            if code == 0 or not lines.was_locked or retry == LOCK_RETRIES:
                break
            pause = min(0.5 * 2**retry, 15.0)
            lines(f"headrace: another DVC process holds what '{address}' needs; trying again in {pause:g} s")
            if cancel.wait(pause):
                raise Interrupted(address)
    return Attempt(
        state=lines.state if code == 0 else State.FAILED,
        started=started,
        ended=time.time(),
        exit_code=code,
        reason=lines.reason if code else "",
        said=lines.said if lines.state is State.RAN else "",
        tail=tuple(lines.tail),
        log_path=log_path,
    )


def start_supervised(
    command: list[str], *, cwd: Path, env: Mapping[str, str], patience_s: float, output: int | IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a command that ends, with all that it started, when the `stdin` of the returned process closes."""
    return subprocess.Popen(
        [sys.executable, "-I", str(_SUPERVISOR), str(patience_s), *command],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        env=dict(env),
        start_new_session=True,
    )


def _watch(command: list[str], root: Path, env: Mapping[str, str], on_line: "_Lines", cancel: Event) -> int:
    process = start_supervised(command, cwd=root, env=env, patience_s=DVC_PATIENCE_S, output=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    try:
        _read_lines(process, process.stdout.fileno(), on_line, cancel)
    finally:
        process.stdin.close()
        code = process.wait()
        process.stdout.close()
    if cancel.is_set() and code != 0:
        raise Interrupted
    return code


def _read_lines(process: subprocess.Popen[bytes], output: int, on_line: "_Lines", cancel: Event) -> None:
    """Pass on lines until the command has ended; something that it left running may still hold its output open."""
    rest = b""
    while True:
        readable = bool(select.select([output], [], [], 0.2)[0])
        chunk = os.read(output, 65536) if readable else b""
        if chunk:
            *lines, rest = re.split(rb"\r\n|\n|\r", rest + chunk)
            for line in lines:
                on_line(line.decode(errors="replace"))
        elif readable or process.poll() is not None:
            break
        if cancel.is_set() and process.stdin is not None and not process.stdin.closed:
            process.stdin.close()
    if rest:
        on_line(rest.decode(errors="replace"))


class _Lines:
    """Where the output of a stage goes, and what it says of the state."""

    def __init__(self, log: IO[str], on_line: Callable[[str], None]) -> None:
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._state: State | None = None
        self._said = ""  # the last line of the stage's own command
        self._after = False  # DVC speaks again
        self._dvc_error = ""  # the last error of DVC: it comes after all that the stage says
        self._log = log
        self._on_line = on_line

    @property
    def state(self) -> State:
        return self._state or State.RAN

    @property
    def said(self) -> str:
        return self._said

    @property
    def was_locked(self) -> bool:
        return any(sign in self._dvc_error for sign in _LOCKED)

    @property
    def reason(self) -> str:
        if "failed to run:" in self._dvc_error and self._said:
            return f"{self._said} ({self._dvc_error.rpartition(', ')[2]})"
        return self._dvc_error or self._said or "ended without a word"

    def __call__(self, line: str) -> None:
        self._log.write(line + "\n")
        self._log.flush()
        if line.strip():
            self.tail.append(line)
        if self._state is None:  # from here on the lines are the stage's own
            if line.startswith("Running stage '"):
                self._state = State.RAN
            elif "is cached - skipping run, checking out outputs" in line:
                self._state = State.RESTORED
            elif "didn't change, skipping" in line or line.startswith("Verifying "):
                self._state = State.UNCHANGED
            elif line.startswith(_DVC_ERROR):
                self._dvc_error = line.removeprefix(_DVC_ERROR)
        elif line.startswith(_DVC_ERROR):
            self._dvc_error = line.removeprefix(_DVC_ERROR)
        elif line.startswith(_LOCK_WRITTEN):
            self._after = True
        elif line.strip() and not line.startswith("> ") and not self._after:
            self._said = line.strip()
        self._on_line(line)
