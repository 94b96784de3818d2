"""What the training loop costs beyond a bare one: python -m bench.learning

Both train the same networks on the same batches with AdamW, clipping and one look at the loss a step, as everybody
writes it, a step of the one after a step of the other; CPU seconds are medians over the steps but for the first ones.
Beside it: what a checkpoint costs, against writing as many bytes.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.results import Row
from tasks.learning.batches import IndexBatches, shuffled, stacked
from tasks.learning.checkpoints import Checkpoints
from tasks.learning.config import LearningConfig
from tasks.learning.loop import train
from tasks.learning.task import Loss, Task

ROWS = Path(__file__).resolve().with_suffix(".json")
WARM = 10  # first steps that are left out
TARGET = 0.05  # of a step
BATCH, CHANNELS, SIDE = 8, 4, 32


def convolutions() -> torch.nn.Module:
    """A few layers of 16 channels: a step takes some milliseconds, so what the loop adds shows."""
    layers: list[torch.nn.Module] = [torch.nn.Conv2d(CHANNELS, 16, 3, padding=1)]
    for _ in range(4):
        layers += [torch.nn.BatchNorm2d(16), torch.nn.GELU(), torch.nn.Conv2d(16, 16, 3, padding=1)]
    return torch.nn.Sequential(*layers, torch.nn.Conv2d(16, CHANNELS, 1))


def many_tensors() -> torch.nn.Module:
    """Forty narrow layers: many parameters with little in each, the worst case for work that goes by tensor."""
    layers: list[torch.nn.Module] = [torch.nn.Conv2d(CHANNELS, 8, 1)]
    for _ in range(40):
        layers += [torch.nn.Conv2d(8, 8, 3, padding=1), torch.nn.GroupNorm(2, 8), torch.nn.GELU()]
    return torch.nn.Sequential(*layers, torch.nn.Conv2d(8, CHANNELS, 1))


def batches() -> IndexBatches:
    frames = np.random.default_rng(0).standard_normal((64, CHANNELS, SIDE, SIDE), dtype=np.float32)
    return IndexBatches(stacked([frames, frames[::-1]]), shuffled(64, 0), 64, BATCH)


class Bare:
    """The loop as everybody writes it, a step at a time."""

    def __init__(self, build: Callable[[], torch.nn.Module], steps: int) -> None:
        torch.manual_seed(0)
        self.model, self.source = build().train(), batches()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, weight_decay=1e-4)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, steps)
        self.done = 0

    def step(self) -> None:
        x, y = self.source.read(*divmod(self.done, len(self.source)), 0, 1)
        loss = ((self.model(x) - y) ** 2).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        loss.item()
        self.done += 1


def compare(build: Callable[[], torch.nn.Module], steps: int) -> tuple[float, float]:
    """Return the median CPU seconds of a step of `train`, as a stage calls it, and of a bare one.

    They alternate step by step, so that what else the machine does meets both.
    """
    took: dict[str, list[float]] = {"ours": [], "bare": []}
    sunk: list[Any] = []
    plain = Bare(build, steps)
    begun = 0.0

    def progress(step: int, total: int) -> None:
        nonlocal begun
        ended = time.process_time()
        plain.step()
        after = time.process_time()
        if WARM <= step < total:
            took["ours"].append(ended - begun)
            took["bare"].append(after - ended)
        begun = time.process_time()

    def loss(model: torch.nn.Module, batch: Any) -> Loss:
        return Loss(((model(batch[0]) - batch[1]) ** 2).mean())

    with tempfile.TemporaryDirectory() as store:
        train(
            Task(build, batches(), loss, lambda model: {"nothing": 0.0}),
            settings(steps),
            device="cpu",
            checkpoints=Checkpoints(store, "bench"),
            sink=lambda figures, step: sunk.append((figures, step)),
            progress=progress,
        )
    return statistics.median(took["ours"]), statistics.median(took["bare"])


def settings(steps: int) -> LearningConfig:
    return LearningConfig(
        seed=0,
        max_steps=steps,
        max_epochs=steps,
        micro_batches=1,
        lr=1e-3,
        warmup_steps=0,
        floor_share=0.0,
        weight_decay=1e-4,
        clip_norm=1.0,
        precision="float32",
        validate_every_steps=steps,
        patience=None,
        skip_steps=0,
        log_every_steps=10,
        threads=1,
    )


def overhead(name: str, build: Callable[[], torch.nn.Module], steps: int) -> Row:
    """Measure the loop against the bare one."""
    mine, plain = compare(build, steps)
    return Row(
        f"a training step, {name}",
        f"{1e3 * mine:.2f} ms CPU",
        f"bare loop: {1e3 * plain:.2f} ms CPU",
        f"{mine / plain - 1:+.1%}",
        f"<= +{TARGET:.0%}",
        mine / plain - 1 <= TARGET,
    )


def checkpoint(turns: int) -> Row:
    """Measure a checkpoint of a model of 5 million parameters and AdamW's moments against writing the bytes."""
    state = {f"layer.{n}": torch.randn(500_000) for n in range(30)}
    size = 4 * sum(tensor.numel() for tensor in state.values())
    data = os.urandom(size)
    found: dict[str, list[float]] = {"save": [], "write": []}
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(folder, "bench")
        for turn in range(turns):
            begun = time.process_time()
            checkpoints.save(turn + 1, 0, state, {})
            found["save"].append(time.process_time() - begun)
            begun = time.process_time()
            with (Path(folder) / "plain").open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            found["write"].append(time.process_time() - begun)
    mine, plain = (statistics.median(found[who]) for who in ("save", "write"))
    return Row(
        f"a checkpoint of {size / 1e6:.0f} MB (5 M parameters), one a minute",
        f"{mine:.2f} s CPU",
        f"write and sync as many bytes: {plain:.2f} s CPU",
        f"{mine / 60:.2%} of a minute",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=400)
    args = parser.parse_args()
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    rows = [
        overhead("5 convolutions of 16 channels, 32x32, batch of 8", convolutions, args.steps),
        overhead("40 convolutions of 8 channels, 32x32, batch of 8", many_tensors, args.steps),
        checkpoint(9),
    ]
    for row in rows:
        print(" | ".join(map(str, asdict(row).values())))
    kept = {"cores": os.cpu_count(), "load_before": round(load, 1), "rows": [asdict(row) for row in rows]}
    ROWS.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
