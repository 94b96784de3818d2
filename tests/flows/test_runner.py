import json
import os
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread

import psutil
import pytest

from flows.runner import Attempt, Interrupted, State, run_stage
from tests.flows import projects
from tests.flows.processes import below, commands, gone


def run(root: Path, address: str, cancel: Event | None = None) -> tuple[Attempt, list[str]]:
    lines: list[str] = []
    attempt = run_stage(
        root,
        address,
        env=dict(os.environ),
        log_path=root / ".dvc" / "tmp" / "log.txt",
        on_line=lines.append,
        cancel=cancel or Event(),
    )
    return attempt, lines


def test_a_stage_runs_then_is_unchanged_then_comes_back_from_the_cache(matrix: Path) -> None:
    first, lines = run(matrix, "sample@small")
    assert first.state is State.RAN
    assert "working on sample@small" in lines
    assert "working on sample@small\n" in first.log_path.read_text()
    again, _ = run(matrix, "sample@small")
    assert again.state is State.UNCHANGED
    (matrix / "data/small.csv").unlink()
    restored, _ = run(matrix, "sample@small")
    assert restored.state is State.RESTORED
    assert [stage for stage, _, _ in projects.journal(matrix)] == ["sample@small"]


def test_a_failed_stage_says_the_last_thing_that_it_said_itself(matrix: Path) -> None:
    projects.set_knobs(matrix, {"sample@small": {"fails": 9}})
    attempt, _ = run(matrix, "sample@small")
    assert attempt.state is State.FAILED
    assert attempt.reason == "no luck at try 1 (exited with 3)"


def test_where_the_stage_did_not_begin_the_reason_is_that_of_dvc(matrix: Path) -> None:
    attempt, _ = run(matrix, "fit@tree-small")  # its dep is not there yet
    assert attempt.state is State.FAILED
    assert attempt.reason.startswith("failed to reproduce 'fit@tree-small': ")
    assert "data/small.csv" in attempt.reason


def test_a_path_that_another_dvc_process_holds_is_waited_for(matrix: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    held = {"write": {str(matrix / "data/small.csv"): {"pid": holder.pid, "cmd": "dvc repro"}}, "read": {}}
    (matrix / ".dvc/tmp").mkdir(exist_ok=True)
    (matrix / ".dvc/tmp/rwlock").write_text(json.dumps(held))
    lines: list[str] = []

    def release() -> None:
        holder.kill()
        holder.wait()

    def on_line(line: str) -> None:
        lines.append(line)
        if line.startswith("headrace: another DVC process holds"):
            release()

    try:
        attempt = run_stage(
            matrix,
            "sample@small",
            env=dict(os.environ),
            log_path=matrix / "log.txt",
            on_line=on_line,
            cancel=Event(),
        )
    finally:
        release()
    assert attempt.state is State.RAN
    assert any("is busy, it is being blocked by" in line for line in lines)


def test_what_a_stage_leaves_running_does_not_hold_up_its_end(matrix: Path) -> None:
    projects.set_knobs(matrix, {"sample@small": {"leaves": 300}})
    attempt, _ = run(matrix, "sample@small")
    left = below(matrix)
    assert attempt.state is State.RAN
    assert len(left) == 1  # as under plain DVC
    left[0].kill()


def test_cancelling_ends_every_process_also_those_with_a_session_of_their_own(matrix: Path) -> None:
    projects.set_knobs(matrix, {"sample@small": {"leaves": 300, "seconds": 300}})
    cancel = Event()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            run(matrix, "sample@small", cancel)
        except Interrupted as error:
            failed.append(error)

    thread = Thread(target=work)
    thread.start()
    while not any(line.startswith("sleep") for line in commands(matrix)):
        time.sleep(0.02)
    cancel.set()
    thread.join(60)
    assert failed
    assert gone(matrix)
    assert json.loads((matrix / ".dvc/tmp/rwlock").read_text()) == {}  # DVC put its own locks away
    projects.set_knobs(matrix, {})
    assert run(matrix, "sample@small")[0].state is State.RAN


@pytest.mark.parametrize("how", ["stubborn", "willing"])
def test_a_command_ends_when_the_process_that_asked_for_it_is_killed(tmp_path: Path, how: str) -> None:
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " if how == "stubborn" else ""
    sleeper = f"{ignore}open('up', 'w').close(); import time; time.sleep(300)"
    asker = (
        "import os, subprocess, sys, time; from pathlib import Path; from flows.runner import start_supervised;"
        f"start_supervised([sys.executable, '-c', {sleeper!r}], cwd=Path({str(tmp_path)!r}), env=os.environ,"
        " patience_s=0, output=subprocess.DEVNULL); time.sleep(300)"
    )
    process = subprocess.Popen([sys.executable, "-c", asker])
    while not (tmp_path / "up").exists():
        assert process.poll() is None
        time.sleep(0.02)
    assert below(tmp_path)
    psutil.Process(process.pid).kill()
    process.wait()
    assert gone(tmp_path)
