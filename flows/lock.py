"""One pipeline at a time on a checkout."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from flows.graph import ProjectError


@contextmanager
def pipeline_lock(
    root: Path, run: str, *, wait: bool = False, say: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Hold the checkout at `root` for the pipeline run named `run`. The lock ends with its process, however that ends.

    Raises ProjectError, naming the run that holds it, unless `wait` is set.
    """
    folder = root / ".dvc" / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / "headrace.json"
    lock = FileLock(folder / "headrace.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise ProjectError(f"{_told(holder)} on this checkout; add --wait to wait for its end") from None
        say(f"waiting: {_told(holder)} on this checkout")
        lock.acquire()
    try:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        partial = holder.with_suffix(".partial")
        partial.write_text(json.dumps({"run": run, "pid": os.getpid(), "since": now}))
        partial.replace(holder)
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _told(holder: Path) -> str:
    try:
        told = json.loads(holder.read_text())
        return f"pipeline run {told['run']} (pid {told['pid']}, since {told['since']}) is running"
    except (OSError, ValueError, KeyError):  # it has just begun or just ended
        return "another pipeline run is running"
