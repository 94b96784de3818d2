"""Train a surrogate of one step on the training windows of a data set: data/models/surrogate/<network>/.

The network sees a few normalised frames and gives the next one; the best weights by one-step VRMSE on the validation
split are kept, as safetensors with the config from which `tasks.physics.surrogate` builds it again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pydantic import Field, field_validator

from tasks.keys import StoredFunction
from tasks.learning.checkpoints import Checkpoints, checkpoint_key
from tasks.learning.config import LearningConfig, Regime
from tasks.learning.loop import train
from tasks.learning.models import save_model
from tasks.learning.parallel import beside
from tasks.learning.pyfunc import EXAMPLE
from tasks.learning.shown import shown
from tasks.learning.task import Loss, Task, Trained
from tasks.physics.comparison import write_curve
from tasks.physics.evaluation import SURROGATE, score, step_for
from tasks.physics.ingested import Ingested, ingested
from tasks.physics.networks import checked_config, parameter_count
from tasks.physics.normalisation import Kind
from tasks.physics.roots import OwnPhysics
from tasks.physics.sampling import window_batches
from tasks.physics.surrogate import Design, Surrogate, points_that_count, saved_config, training_loss
from tasks.physics.training_pictures import curves_figure
from tasks.physics.well_pictures import spread
from tasks.physics.window_index import Request
from tasks.physics.windows import PERIODIC, WellWindows, boundary_codes
from tasks.stage import Plan, Report, Stage, StrictModel, stage_main

STORED = StoredFunction(
    "physics.train_surrogate", "1", "tasks.physics.train_surrogate", ("torch", "neuraloperator", "numpy", "h5py")
)

_STORED_MODELS = (
    8  # while a checkpoint takes another's place: weights and AdamW's two moments, best weights, twice each
)


class Network(StrictModel):
    """One of the surrogates: how it is built, and what of its training is its own."""

    lr: float = Field(gt=0)
    max_steps: int = Field(ge=1)
    config: dict[str, Any] = Field(description="see tasks.physics.networks")


class TrainSurrogate(StrictModel):
    dataset: str
    frames: int = Field(ge=1, description="that the network sees; paper 4")
    delta: bool = Field(description="predict the change since the newest frame; paper false")
    normalisation: Kind
    batch_size: int = Field(ge=1)
    by_file: bool = Field(description="a batch's windows lie in one file: for compressed files, read by chunk")
    valid_windows: int = Field(ge=1, description="of the validation split, evenly spread, that each validation takes")
    learning: Regime
    networks: dict[str, Network]

    @field_validator("networks")
    @classmethod
    def _each_config_is_its_networks(cls, networks: dict[str, Network]) -> dict[str, Network]:
        for name, network in networks.items():
            checked_config(name, network.config)
        return networks


class Params(StrictModel):
    own: OwnPhysics
    train_surrogate: TrainSurrogate


def run(stage: Stage, params: Params) -> Report:
    """Train, then write the model, its curves and its figures."""
    chosen, knobs = params.train_surrogate, stage.knobs
    data = ingested(stage, params.own, chosen.dataset)
    training = Training(stage.member, chosen, data, knobs.device)
    checkpoints = _checkpoints(stage, params)
    with shown(stage.info.address) as progress, beside(knobs.train_processes, training.follow):
        trained, windows = training.run(
            checkpoints=checkpoints,
            sink=stage.tracker.metrics,
            progress=progress,
        )
    surrogate = trained.model.cpu()
    assert isinstance(surrogate, Surrogate)
    out = stage.out(f"data/models/surrogate/{stage.member}")
    save_model(out, surrogate, saved_config(surrogate.design))
    np.save(out / EXAMPLE, _example(data, chosen))
    report = stage.out(f"data/reports/train_surrogate/{stage.member}")
    report.mkdir(parents=True)
    write_curve(report / "curve.csv", [row for row in trained.validations if row["vrmse"] is not None])
    curves_figure(trained, stage.member, report / "curves.png")
    stage.figure(report / "curves.png", "curves.png")
    stage.metrics(_figures(trained, surrogate, len(windows)))
    stage.timing({"time/train_s": trained.seconds})
    stage.count_done(trained.steps_run)
    stage.log.info("best at step %d of %d: %s", trained.best_step, trained.steps, trained.best)
    return Report("window", len(windows), len(windows), {}, f"data/models/surrogate/{stage.member}")


def plan(stage: Stage, params: Params) -> Plan:
    """Say from which step training goes on, or that it has ended."""
    longest = params.train_surrogate.networks[stage.member].max_steps
    found = _checkpoints(stage, params).standing()
    if found is not None and found.ended:
        note = f"training ended at step {found.step}: its best weights are stored, and are written out"
        return Plan("step", 0, found.step, _model_bytes(stage, params), notes=(note, found.address))
    needed = (1 + _STORED_MODELS) * _model_bytes(stage, params)
    if found is None:
        return Plan("step", longest, 0, needed, notes=(f"begins at step 0 of at most {longest}",))
    notes = (f"goes on from step {found.step} of at most {longest}", found.address)
    return Plan("step", longest - found.step, found.step, needed, notes=notes)


def _model_bytes(stage: Stage, params: Params) -> int:
    chosen = params.train_surrogate
    data = ingested(stage, params.own, chosen.dataset)
    surrogate = Training(stage.member, chosen, data, "cpu").untrained()
    return sum(p.numel() * p.element_size() for p in surrogate.parameters())


def _checkpoints(stage: Stage, params: Params) -> Checkpoints:
    paths = ("data/curated/well", "data/raw/well", params.own.physics)
    for path in paths:
        stage.dep(path)  # or it is missing
    deps = {path: stage.dep_hash(path) for path in paths}
    key = checkpoint_key(stage.info.address, STORED.version, params.model_dump(), deps)
    return Checkpoints(stage.store.url, key)


@dataclass(frozen=True)
class Training:
    """One training, as each of the processes that do it together is told of it."""

    member: str
    chosen: TrainSurrogate
    data: Ingested
    device: str

    def run(self, **more: Any) -> tuple[Trained, WellWindows]:
        """Train; return what came out and the windows it was trained on. `more` as for `tasks.learning.loop.train`."""
        chosen, network = self.chosen, self.chosen.networks[self.member]
        windows = self._windows()
        design = _design(self.member, network, chosen, windows)
        config = LearningConfig(**chosen.learning.model_dump(), lr=network.lr, max_steps=network.max_steps)
        task = _task(self.data, chosen, design, windows, config)
        return train(task, config, device=self.device, **more), windows

    def untrained(self) -> Surrogate:
        """Return the surrogate as training begins with it, without scaling."""
        chosen = self.chosen
        design = _design(self.member, chosen.networks[self.member], chosen, self._windows())
        return Surrogate(design, seed=chosen.learning.seed)

    def _windows(self) -> WellWindows:
        request = Request(steps_input=self.chosen.frames, delta=self.chosen.delta)
        kind, seed = self.chosen.normalisation, self.chosen.learning.seed
        return self.data.windows("train", request, kind=kind, seed=seed)

    def follow(self) -> None:
        """Train beside the process that runs the stage."""
        self.run()


def _design(name: str, network: Network, chosen: TrainSurrogate, windows: WellWindows) -> Design:
    codes = boundary_codes(windows.files[0])
    for file in windows.files[1:]:
        if not np.array_equal(boundary_codes(file), codes):
            raise ValueError(
                f"{file.path}: its boundaries are others than those of {windows.files[0].path}, and a surrogate is of "
                f"one kind: make it a data set of its own (another dataset_name, another folder)"
            )
    return Design(
        network=name,
        network_config=network.config,
        channels=windows.channels,
        constants=windows.constant_channels,
        frames=chosen.frames,
        delta=chosen.delta,
        dimensions=windows.dimensions,
        resolution=windows.resolution,
        periodic=[bool((ends == PERIODIC).all()) for ends in codes],
        dataset=chosen.dataset,
    )


def _task(data: Ingested, chosen: TrainSurrogate, design: Design, windows: WellWindows, config: LearningConfig) -> Task:
    scaling = data.scaling(windows, chosen.normalisation)
    found = windows.normalisation
    assert found is not None
    constant_scale = found.scales.get("constants")
    constant_shift = found.shifts.get("constants", None if constant_scale is None else constant_scale * 0)
    validate = _validation(data, chosen)

    def built() -> Surrogate:
        surrogate = Surrogate(design, seed=config.seed)
        surrogate.set_scaling(scaling, constant_shift, constant_scale)
        return surrogate

    def loss(model: torch.nn.Module, batch: Mapping[str, torch.Tensor]) -> Loss:
        assert isinstance(model, Surrogate)
        return Loss(training_loss(model, batch), weight=points_that_count(batch))

    batches = window_batches(windows, chosen.batch_size, config.seed, by_file=chosen.by_file)
    return Task(built, batches, loss, validate)


def _validation(data: Ingested, chosen: TrainSurrogate) -> Callable[[torch.nn.Module], dict[str, float]]:
    """Return what is asked of a model on the validation split: one-step VRMSE, as evaluate_surrogate has it."""
    windows = data.windows("valid", Request(steps_input=chosen.frames), kind=chosen.normalisation, normalised=False)
    wanted = spread(len(windows), chosen.valid_windows)

    def validate(model: torch.nn.Module) -> dict[str, float]:
        assert isinstance(model, Surrogate)
        batches = data.frames(windows, wanted, chosen.batch_size, next(model.parameters()).device)
        models = {SURROGATE: step_for(model)}
        found = score(models, batches, channels=windows.channels, scaling=model.scaling, space=None)
        vrmse = found[SURROGATE].means.overall("vrmse", slice(0, 1))
        assert vrmse is not None
        return {"vrmse": vrmse}

    return validate


def _example(data: Ingested, chosen: TrainSurrogate) -> np.ndarray:
    """Return an input of the surrogate in physical units, float32 (1, X, *S), as MLflow shows it to callers."""
    windows = data.windows("valid", Request(steps_input=chosen.frames), kind=chosen.normalisation, normalised=False)
    batch = windows.batch([0])
    parts = [batch["input"].flatten(1, 2), *([batch["constants"]] if "constants" in batch else [])]
    return torch.cat(parts, dim=1).numpy()


def _figures(trained: Trained, model: torch.nn.Module, windows: int) -> dict[str, dict[str, float]]:
    losses = [row["loss"] for row in trained.curve if row["loss"] is not None]
    last = {"loss_last": losses[-1]} if losses else {}
    return {
        "valid": {f"{name}_one_step_sample": value for name, value in trained.best.items()},
        "train": {
            **last,
            "best_step": trained.best_step,
            "steps": trained.steps,
            "skipped_steps": trained.skipped,
            "windows": windows,
            "parameters": parameter_count(model),
        },
    }


if __name__ == "__main__":
    stage_main(run, Params, plan=plan)
