"""Run a command so that it cannot outlive the process that asked for it.

    python -I supervise.py PATIENCE_S COMMAND...

Standard input is a pipe that the asking process holds open. When it closes (it was closed on purpose, or its holder
died, by kill -9 too), everything that the command started is told to end with SIGTERM and, 5 s later, with SIGKILL,
also what has left its process group. The command itself is given PATIENCE_S before it is told the same: DVC, whose
own command has just ended under it, needs that moment to put its locks away and must not be cut while it writes
dvc.lock. This file imports nothing of ours, so that starting it costs a few hundredths of a second.
"""

import os
import signal
import subprocess
import sys
import threading
import time

GRACE_S = 5.0
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """On Linux, become the parent of descendants whose own parent ends, so that none is lost from sight."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_all(command_pid: int, patience_s: float) -> None:
    """End every process below this one; return when none is left."""
    import psutil

    told: dict[int, float] = {}
    begun = time.monotonic()
    while True:
        now = time.monotonic()
        left = [process for process in psutil.Process().children(recursive=True) if _lives(process)]
        if not left:
            return
        for process in left:
            if process.pid == command_pid and now - begun < patience_s:
                continue
            try:
                if process.pid not in told:
                    told[process.pid] = now
                    process.terminate()
                elif now - told[process.pid] > GRACE_S:
                    process.kill()
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.05)


def _lives(process: "object") -> bool:
    import psutil

    try:
        return process.status() != psutil.STATUS_ZOMBIE  # type: ignore[attr-defined]
    except psutil.NoSuchProcess:
        return False


def main(patience_s: float, command: list[str]) -> int:
    """Run the command to its end, or to the end of the pipe; return its exit code, as a shell would give it."""
    adopt_orphans()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # the pipe alone says when to end; not ignored, or children would too
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    ending = threading.Event()
    ended = threading.Event()

    def watch() -> None:
        while os.read(0, 4096):
            pass
        ending.set()
        end_all(process.pid, patience_s)
        ended.set()

    threading.Thread(target=watch, daemon=True).start()
    code = process.wait()
    if ending.is_set():
        ended.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    exit_code = main(float(sys.argv[1]), sys.argv[2:])
    sys.stdout.flush()
    os._exit(exit_code)  # the watching thread still reads
