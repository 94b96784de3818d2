"""A small task for the loop: everything in it that could make two runs differ (dropout, batch norm, complex weights).

Run as `python -m tests.tasks.learning.small STORE OUT [how]`, or by `processes`, it is trained in a process of its
own, which may be killed on the way (`step:7`, `writing:step:2`) or be one of several (torchrun).
"""

import json
import math
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tasks import places
from tasks.learning.batches import IndexBatches, shuffled, stacked
from tasks.learning.checkpoints import Checkpoints, checkpoint_key
from tasks.learning.config import LearningConfig
from tasks.learning.loop import train
from tasks.learning.models import save_model
from tasks.learning.task import Loss, Task, Trained

ITEMS, SIGNAL = 52, 12  # rows, numbers in a row
BASE: dict[str, Any] = {
    "seed": 3,
    "max_steps": 23,
    "max_epochs": 9,
    "micro_batches": 2,
    "lr": 0.01,
    "warmup_steps": 4,
    "floor_share": 0.1,
    "weight_decay": 0.01,
    "clip_norm": 0.5,
    "precision": "float32",
    "validate_every_steps": 4,
    "patience": None,
    "skip_steps": 0,
    "log_every_steps": 3,
    "threads": 1,
}
KEY = checkpoint_key("train_small@net", "1", BASE, {"data/small": "aa"})


def config(**changes: Any) -> LearningConfig:
    return LearningConfig(**{**BASE, **changes})


class Net(torch.nn.Module):
    """Rows to one number: a complex filter, batch normalisation, dropout; its output layer is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = torch.nn.Parameter(torch.randn(SIGNAL // 2 + 1, dtype=torch.complex64))
        self.hidden = torch.nn.Linear(SIGNAL, 16)
        self.norm = torch.nn.BatchNorm1d(16)
        self.drop = torch.nn.Dropout(0.2)
        self.out = torch.nn.Linear(16, 1)
        self.same_out = self.out
        self.never_used = torch.nn.Parameter(torch.ones(2))
        self.register_buffer("scratch", torch.zeros(1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.fft.irfft(torch.fft.rfft(x) * self.filter, n=SIGNAL)
        x = self.drop(torch.relu(self.norm(self.hidden(x))))
        return (self.out(x) + self.same_out(-x))[:, 0]


def data() -> tuple[np.ndarray, np.ndarray]:
    """Return rows (ITEMS, SIGNAL) and what is to be told of each, (ITEMS,)."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((ITEMS, SIGNAL), dtype=np.float32)
    return x, np.sin(x[:, 0]) + x[:, 1] ** 2 + 0.1 * rng.standard_normal(ITEMS, dtype=np.float32)


def batches(batch_size: int = 8, seed: int = 11) -> IndexBatches:
    return IndexBatches(stacked(data()), shuffled(ITEMS, seed), ITEMS, batch_size)


def squared(model: torch.nn.Module, batch: Any) -> Loss:
    x, y = batch
    error = model(x) - y
    return Loss((error**2).mean(), figures={"mae": error.abs().mean().detach()})


def held_out(model: torch.nn.Module) -> dict[str, float]:
    x, y = (torch.from_numpy(array) for array in data())
    error = model(x) - y
    return {"rmse": float((error**2).mean().sqrt()), "mae": float(error.abs().mean())}


TASK = Task(Net, batches(), squared, held_out)


@dataclass(frozen=True)
class SmallTraining:
    """The same, as a stage tells it."""

    config: LearningConfig
    device: str = "cpu"

    def task(self) -> Task:
        return TASK


def follow() -> None:
    """Train beside a process that has checkpoints."""
    train(TASK, config(), device="cpu")


class EveryThird(Checkpoints):
    """Writes a state at each third question, so that a test knows when; and a kill loses steps."""

    asked = 0

    @property
    def due(self) -> bool:
        self.asked += 1
        return self.asked % 3 == 0


def weights(model: torch.nn.Module) -> dict[str, bytes]:
    """Return all of a model's numbers as bytes, by name."""
    return {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}


def report(trained: Trained) -> dict[str, Any]:
    """Return what must not depend on kills and the number of processes, besides the weights."""
    names = ("best_step", "best", "steps", "stopped", "skipped", "curve", "validations")
    return {name: getattr(trained, name) for name in names}


def odd_figures(model: torch.nn.Module, batch: Any) -> Loss:
    """The same loss, with figures that are no number for every batch, for some, and never."""
    mean = squared(model, batch).mean
    some = math.inf if float(batch[0][0, 0]) > 0 else 1 / 3
    return Loss(mean, figures={"never": math.nan, "some": some, "less": -some, "third": 1 / 3})


def kill_at_step(number: int, inner: Callable[[torch.nn.Module, Any], Loss] = squared) -> Task:
    """Return the task that kills this process in the forward pass of the second part of step `number` (from 1)."""
    calls = 0

    def loss(model: torch.nn.Module, batch: Any) -> Loss:
        nonlocal calls
        calls += 1
        if calls == 2 * number:
            os.kill(os.getpid(), signal.SIGKILL)
        return inner(model, batch)

    return Task(Net, batches(), loss, held_out)


def kill_while_writing(kind: str, number: int) -> None:
    """Make the `number`-th file of a kind (step, best) kill this process when half of it is written."""
    put, write = places.Place.put, places._write_synced
    seen = 0

    def watched_put(self: places.Place, path: str, data: Any) -> None:
        nonlocal seen
        seen += Path(path).name.startswith(kind)
        if Path(path).name.startswith(kind) and seen == number:
            places._write_synced = half  # type: ignore[assignment]
        put(self, path, data)

    def half(path: Path, chunks: Any) -> None:
        whole = b"".join(map(bytes, chunks))
        write(path, iter([whole[: len(whole) // 2]]))
        os.kill(os.getpid(), signal.SIGKILL)

    places.Place.put = watched_put  # type: ignore[method-assign]


def main(store: str, out: str, how: str = "") -> None:
    task, given = TASK, config()
    kind, _, rest = how.partition(":")
    if kind == "step":
        task = kill_at_step(int(rest))
    elif kind == "odd_step":
        task, given = kill_at_step(int(rest), odd_figures), config(log_every_steps=4)
    elif kind == "writing":
        kill_while_writing(rest.partition(":")[0], int(rest.partition(":")[2]))
    trained = train(task, given, device="cpu", checkpoints=EveryThird(store, KEY))
    folder = Path(out) / os.environ.get("RANK", "0")
    save_model(folder, trained.model, report(trained))
    (folder / "curve.json").write_text(json.dumps(trained.curve))


def _in_process(store: str, out: str, how: str, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    main(store, out, how)


def processes(jobs: list[tuple[str, str, str, dict[str, str]]]) -> list[int | None]:
    """Run `main` once for each (store, out, how, environment), at the same time, each in a process of its own.

    They come from a server that has imported all of torch, which takes seconds. Returns their exit codes.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "torch._dynamo"])  # which AdamW imports
    started = [context.Process(target=_in_process, args=job) for job in jobs]
    for process in started:
        process.start()
    for process in started:
        process.join(timeout=120)
    return [process.exitcode for process in started]


if __name__ == "__main__":
    main(*sys.argv[1:])
