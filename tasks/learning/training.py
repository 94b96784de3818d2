"""What all stages that train a network do alike: train in one process or several, and write how it went.

A stage tells its training as a `Training`, saves the model that comes out, and gives the rest to the functions here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from pydantic import BaseModel

from tasks.keys import StoredFunction
from tasks.learning.checkpoints import Checkpoints, checkpoint_key
from tasks.learning.config import LearningConfig
from tasks.learning.curves import Look, draw_curves, write_validations
from tasks.learning.loop import train
from tasks.learning.parallel import beside
from tasks.learning.shown import shown
from tasks.learning.task import Task, Trained
from tasks.report import Plan
from tasks.stage import Stage

Figures = Mapping[str, Mapping[str, float]]
# while a checkpoint takes another's place: weights and AdamW's two moments, best weights, twice each
_STORED_MODELS = 8


class Training(Protocol):
    """One training, as each of the processes that do it together is told of it: it is pickled for the others."""

    @property
    def config(self) -> LearningConfig: ...

    @property
    def device(self) -> str: ...  # auto, cpu or cuda

    def task(self) -> Task:
        """Return what is trained: asked for once in each process, the same in all."""


def run_training(training: Training, **more: Any) -> Trained:
    """Train in this process; `more` as for `tasks.learning.loop.train`."""
    return train(training.task(), training.config, device=training.device, **more)


def train_in_stage(stage: Stage, training: Training, checkpoints: Checkpoints) -> Trained:
    """Train in as many processes as run.train_processes says, going on from `checkpoints`, and show how far it is."""
    with shown(stage.info.address) as progress, beside(stage.knobs.train_processes, run_training, training):
        return run_training(training, checkpoints=checkpoints, sink=stage.tracker.metrics, progress=progress)


def checkpoints_of(stage: Stage, stored: StoredFunction, params: BaseModel, data: Sequence[str]) -> Checkpoints:
    """Return where a stage's training is kept: by its version, its parameters and its data deps `data`.

    Raises StageError where one of those is missing.
    """
    for path in data:
        stage.dep(path)
    deps = {path: stage.dep_hash(path) for path in data}
    key = checkpoint_key(stage.info.address, stored.version, params.model_dump(mode="json"), deps)
    return Checkpoints(stage.store.url, key)


def training_plan(checkpoints: Checkpoints, longest: int, model: torch.nn.Module | None = None) -> Plan:
    """Return from which step of at most `longest` training goes on, or that it has ended.

    The disk that its files and checkpoints take is told for the `model` with which it begins, if that is given.
    """
    weights = [] if model is None else list(model.parameters())
    model_bytes = sum(p.numel() * p.element_size() for p in weights)
    found = checkpoints.standing()
    if found is not None and found.ended:
        note = f"training ended at step {found.step}: its best weights are stored, and are written out"
        return Plan("step", 0, found.step, model_bytes, notes=(note, found.address))
    needed = (1 + _STORED_MODELS) * model_bytes
    if found is None:
        return Plan("step", longest, 0, needed, notes=(f"begins at step 0 of at most {longest}",))
    note = f"goes on from step {found.step} of at most {longest}"
    return Plan("step", longest - found.step, found.step, needed, notes=(note, found.address))


def write_training(
    stage: Stage, trained: Trained, look: Look, counts: Mapping[str, int], more: Figures | None = None
) -> None:
    """Write curve.csv and curves.png into data/reports/STAGE[/MEMBER], and tell figures, time and steps of a training.

    The figures are those of the best validation as `valid`, and `train`, to which `counts` belong; then `more`, which
    may have a `valid` of its own.
    """
    folder = stage.out("/".join(filter(None, ("data/reports", stage.name, stage.member))))
    folder.mkdir(parents=True)
    write_validations(trained, folder / "curve.csv")
    draw_curves(trained, stage.member or stage.name.removeprefix("train_"), look, folder / "curves.png")
    stage.figure(folder / "curves.png", "curves.png")
    stage.metrics({**_figures(trained, counts), **(more or {})})
    stage.timing({"time/train_s": trained.seconds})
    stage.count_done(trained.steps_run)
    stage.log.info("best at step %d of %d: %s", trained.best_step, trained.steps, trained.best)


def _figures(trained: Trained, counts: Mapping[str, int]) -> dict[str, dict[str, float]]:
    losses = [row["loss"] for row in trained.curve if row["loss"] is not None]
    last = {"loss_last": losses[-1]} if losses else {}
    steps = {"best_step": trained.best_step, "steps": trained.steps, "skipped_steps": trained.skipped}
    return {"valid": dict(trained.best), "train": {**last, **steps, **counts}}
