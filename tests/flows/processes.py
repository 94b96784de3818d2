"""Which processes work in a project, so that tests can say that none is left."""

import time
from pathlib import Path

import psutil


def below(root: Path) -> list[psutil.Process]:
    """Return the living processes whose working directory is in `root`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(root):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def gone(root: Path, within_s: float = 60) -> bool:
    """Say whether the last of them ends; the time is only there so that a failing test ends."""
    until = time.monotonic() + within_s
    while below(root):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def commands(root: Path) -> list[str]:
    """Return the command lines of those processes."""
    lines = []
    for process in below(root):
        try:
            lines.append(" ".join(process.cmdline()))
        except psutil.NoSuchProcess:
            continue
    return lines
