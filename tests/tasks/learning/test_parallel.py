"""Two processes on one batch against one process on the same batch."""

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.learning.loop import train
from tasks.learning.models import load_model
from tasks.learning.parallel import World, _buckets, beside
from tasks.learning.task import Loss, Trained
from tests.tasks.learning.small import KEY, TASK, EveryThird, Net, config, follow, processes, report, squared, weights


@pytest.fixture(scope="module")
def alone() -> Trained:
    return train(TASK, config(), device="cpu")


def world_of(size: int) -> list[dict[str, str]]:
    """Return what torchrun tells each of `size` processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(size)]


def check(folder: Path, expected: Trained) -> None:
    """Each process came to the weights of one alone, bit by bit (a sum of two is the same in either order)."""
    for rank in ("0", "1"):
        model = load_model(folder / rank, lambda config: Net())
        assert weights(model) == weights(expected.model)
    written = json.loads((folder / "0" / "config.json").read_text())
    assert written == json.loads(json.dumps(report(expected)))


def test_two_processes_train_as_one(tmp_path: Path, alone: Trained) -> None:
    store, out = str(tmp_path / "store"), tmp_path / "out"
    assert processes([(store, str(out), "", environment) for environment in world_of(2)]) == [0, 0]
    check(out, alone)


def test_two_killed_processes_go_on_as_two_or_as_one(tmp_path: Path, alone: Trained) -> None:
    store, out = str(tmp_path / "store"), tmp_path / "out"
    # with one part of each batch a process, its 20th loss is of step 20
    codes = processes([(store, str(out), "step:10", environment) for environment in world_of(2)])
    assert codes == [-signal.SIGKILL, -signal.SIGKILL]
    copy = tmp_path / "copy"
    copy.mkdir()
    subprocess.run(["cp", "-r", store, str(copy / "store")], check=True)
    single = train(TASK, config(), device="cpu", checkpoints=EveryThird(str(copy / "store"), KEY))
    assert single.resumed_from == 18
    assert weights(single.model) == weights(alone.model)
    assert report(single) == report(alone)
    assert processes([(store, str(out), "", environment) for environment in world_of(2)]) == [0, 0]
    check(out, alone)


def test_processes_that_are_all_told_to_end_lose_no_step(tmp_path: Path, alone: Trained) -> None:
    """As a terminal tells them with Ctrl-C, and `timeout` or a container with SIGTERM."""
    calls = 0

    def loss(model: torch.nn.Module, batch: Any) -> Loss:
        nonlocal calls
        calls += 1
        if calls == 8:  # one part of each batch is this process's
            for other in multiprocessing.active_children():
                for number in (signal.SIGINT, signal.SIGTERM):
                    os.kill(other.pid or 0, number)
            os.kill(os.getpid(), signal.SIGINT)
        return squared(model, batch)

    store = str(tmp_path)
    with pytest.raises(KeyboardInterrupt), beside(2, follow):
        train(replace(TASK, loss=loss), config(), device="cpu", checkpoints=EveryThird(store, KEY))
    assert multiprocessing.active_children() == []
    with beside(2, follow):
        trained = train(TASK, config(), device="cpu", checkpoints=EveryThird(store, KEY))
    assert trained.resumed_from == 7
    assert weights(trained.model) == weights(alone.model)
    assert report(trained) == report(alone)


@pytest.mark.slow
def test_torchrun_itself(tmp_path: Path, alone: Trained) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "tests.tasks.learning.small", str(tmp_path / "store"), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    check(tmp_path / "out", alone)


def test_parts_that_cannot_be_shared_are_refused() -> None:
    with pytest.raises(ValueError, match="micro_batches=2 for 4 processes: make it a multiple of them"):
        World(0, 4, torch.device("cpu")).share(2)
    shares = [World(rank, 3, torch.device("cpu")).share(6) for rank in range(3)]
    assert [part for share in shares for part in share] == list(range(6))


def test_what_is_sent_together_is_of_one_type_and_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.learning.parallel._BUCKET", 10)
    kinds: list[Any] = [torch.float32, torch.complex64, torch.float64, torch.bfloat16]
    tensors = [torch.zeros(size, dtype=kinds[size % 4]) for size in (*range(1, 9), 40, 4, 3, 11)]
    buckets = list(_buckets(tensors))
    for bucket in buckets:
        assert len({t.dtype.to_real() for t in bucket}) == 1
        assert sum(t.numel() for t in bucket[:-1]) < 10
    assert sorted(id(t) for bucket in buckets for t in bucket) == sorted(map(id, tensors))
