"""What a killed, cancelled or second pipeline leaves behind. The flows here are real `headrace run` processes."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from flows.server import started_server
from tests.flows import projects
from tests.flows.conftest import run, states
from tests.flows.processes import below, commands, gone
from tests.flows.test_pipeline import load, runs


def headrace(root: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start `headrace` from elsewhere, so that only what it starts works in the project."""
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *arguments, "--repo", str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=root.parent,
    )


def wait_until_working(root: Path, process: subprocess.Popen[str], stage: str) -> None:
    while not any("tool.py" in line for line in commands(root)) or not (root / f"here-{stage}").exists():
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        time.sleep(0.02)


def no_stale_locks(root: Path) -> bool:
    """DVC can go on at once, and dvc.lock can be read."""
    if (root / "dvc.lock").exists():
        load(root / "dvc.lock")
    return projects.dvc(root, "status").returncode == 0


def hang(root: Path, stage: str) -> None:
    """Let `stage` wait for what never comes, with a process of its own session beside it."""
    projects.set_knobs(root, {stage: {"meets": "nobody", "leaves": 300}})


def test_a_flow_killed_outright_leaves_no_process_and_no_lock(
    matrix: Path, no_prefect: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang(matrix, "sample@small")
    process = headrace(matrix, "run", "sample")
    wait_until_working(matrix, process, "sample@small")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert gone(matrix)
    assert no_stale_locks(matrix)
    assert [ref.status for ref in runs(matrix, monkeypatch) if "headrace.pipeline" in ref.tags] == ["RUNNING"]
    projects.set_knobs(matrix, {})
    again = run(matrix, "sample")
    assert set(states(again).values()) <= {"ran", "restored", "unchanged"}
    parents = [ref.status for ref in runs(matrix, monkeypatch) if "headrace.pipeline" in ref.tags]
    assert sorted(parents) == ["FINISHED", "KILLED"]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_cancelled_flow_ends_its_stages_and_says_so(
    matrix: Path, no_prefect: None, number: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang(matrix, "sample@small")
    process = headrace(matrix, "run", "sample")
    wait_until_working(matrix, process, "sample@small")
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert "stopping: ending every process" in said
    assert not below(matrix)
    assert json.loads((matrix / ".dvc/tmp/rwlock").read_text()) == {}
    assert no_stale_locks(matrix)
    assert {ref.status for ref in runs(matrix, monkeypatch) if "headrace.pipeline" in ref.tags} == {"KILLED"}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_same_holds_under_prefect(matrix: Path, prefect_api: str, number: signal.Signals) -> None:
    hang(matrix, "sample@small")
    process = headrace(matrix, "run", "sample")
    wait_until_working(matrix, process, "sample@small")
    process.send_signal(number)
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0, said
    assert gone(matrix)
    assert no_stale_locks(matrix)
    projects.set_knobs(matrix, {})
    assert set(states(run(matrix, "sample")).values()) <= {"ran", "restored", "unchanged"}


@pytest.mark.slow
def test_killed_at_any_moment_the_next_run_ends_with_the_same_outs(
    finished: Path, matrix: Path, no_prefect: None
) -> None:
    for moment in range(6):
        process = headrace(matrix, "run", "--all-pipelines")
        until = time.monotonic() + 0.5 + moment
        while time.monotonic() < until and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert gone(matrix)
        assert no_stale_locks(matrix)
    run(matrix, everything=True)
    for name in ("dvc.lock", "reports/dvc.lock"):
        assert load(matrix / name) == load(finished / name)


@pytest.mark.slow
def test_a_server_started_for_a_run_ends_with_it_also_when_that_is_killed(
    matrix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_HOME")  # then it is the project's
    hang(matrix, "sample@small")
    process = headrace(matrix, "run", "sample")
    wait_until_working(matrix, process, "sample@small")
    assert any("prefect server start" in line for line in commands(matrix))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert gone(matrix)


def server_below(pid: int, port: str = "") -> psutil.Process:
    """Return the Prefect server itself, not what supervises it."""
    lines = {process: process.cmdline() for process in psutil.Process(pid).children(recursive=True)}
    servers = [process for process, line in lines.items() if "-m prefect server start" in " ".join(line)]
    (server,) = [process for process in servers if "-I" not in lines[process] and lines[process][-1].endswith(port)]
    return server


@pytest.mark.slow
@pytest.mark.parametrize("configured", [False, True])
def test_a_prefect_server_that_dies_amid_a_run_costs_no_stage_and_no_time(
    matrix: Path, finished: Path, configured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    projects.set_knobs(matrix, {f"sample@{size}": {"seconds": 8} for size in ("small", "large")})
    with ExitStack() as stack:
        port = ""
        if configured:
            url = stack.enter_context(started_server(matrix.parent / "server.log"))
            monkeypatch.setenv("PREFECT_API_URL", url)
            port = url.removesuffix("/api").rpartition(":")[2]
        process = headrace(matrix, "run", "fit@ridge-*", "--jobs", "2")
        while sum("tool.py" in line and "-c" not in line.split() for line in commands(matrix)) < 2:
            assert process.poll() is None, process.stdout.read() if process.stdout else ""
            time.sleep(0.05)
        server_below(os.getpid() if configured else process.pid, port).kill()
        said, _ = process.communicate(timeout=120)
        ended = time.time()
    assert process.returncode == 0, said
    ran = projects.journal(matrix)
    assert sorted(stage for stage, _, _ in ran) == [
        "fit@ridge-large",
        "fit@ridge-small",
        "sample@large",
        "sample@small",
    ]
    assert ended - ran[-1][2] < 30, said
    assert said.count("no longer answers: going on without it") == 1
    assert not [word for word in ("Error", "Traceback", "failed") if word in said], said
    lock, expected = (load(root / "dvc.lock")["stages"] for root in (matrix, finished))
    assert {stage: lock[stage] for stage, _, _ in ran} == {stage: expected[stage] for stage, _, _ in ran}


def test_a_second_pipeline_waits_if_asked_and_is_refused_else(matrix: Path, no_prefect: None) -> None:
    hang(matrix, "sample@small")
    first = headrace(matrix, "run", "sample@small")
    wait_until_working(matrix, first, "sample@small")
    second = headrace(matrix, "run", "sample@large")
    said, _ = second.communicate(timeout=60)
    assert second.returncode == 1
    assert f"(pid {first.pid}, since" in said
    assert "add --wait" in said
    third = headrace(matrix, "run", "sample@large", "--wait")
    assert third.stdout is not None
    assert "waiting: pipeline run" in third.stdout.readline()
    (matrix / "here-nobody").touch()  # lets the first go on
    assert first.wait(60) == 0
    third.communicate(timeout=60)
    assert third.returncode == 0
    (small, begun, ended), (large, later, _) = projects.journal(matrix)
    assert (small, large) == ("sample@small", "sample@large")
    assert later > ended > begun
