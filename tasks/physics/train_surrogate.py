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
from tasks.learning.checkpoints import Checkpoints
from tasks.learning.config import LearningConfig, Regime
from tasks.learning.curves import Look
from tasks.learning.models import save_model
from tasks.learning.pyfunc import EXAMPLE
from tasks.learning.task import Loss, Task
from tasks.learning.training import checkpoints_of, train_in_stage, training_plan, write_training
from tasks.physics.evaluation import SURROGATE, score, step_for
from tasks.physics.ingested import Ingested, ingested
from tasks.physics.networks import checked_config, parameter_count
from tasks.physics.normalisation import Kind
from tasks.physics.roots import OwnPhysics
from tasks.physics.sampling import window_batches
from tasks.physics.surrogate import Design, Surrogate, points_that_count, saved_config, training_loss
from tasks.physics.well_pictures import spread
from tasks.physics.window_index import Request
from tasks.physics.windows import PERIODIC, WellWindows, boundary_codes
from tasks.stage import Plan, Report, Stage, StrictModel, stage_main

STORED = StoredFunction(
    "physics.train_surrogate", "1", "tasks.physics.train_surrogate", ("torch", "neuraloperator", "numpy", "h5py")
)
LOOK = Look("validation VRMSE, one step", loss="training loss (normalised)", error=True)


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
    chosen = params.train_surrogate
    data = ingested(stage, params.own, chosen.dataset)
    training = SurrogateTraining(stage.member, chosen, data, stage.knobs.device)
    trained = train_in_stage(stage, training, _checkpoints(stage, params))
    surrogate = trained.model.cpu()
    assert isinstance(surrogate, Surrogate)
    out = stage.out(f"data/models/surrogate/{stage.member}")
    save_model(out, surrogate, saved_config(surrogate.design))
    np.save(out / EXAMPLE, _example(data, chosen))
    windows = len(training.windows())
    counts = {"windows": windows, "parameters": parameter_count(surrogate)}
    valid = {f"{name}_one_step_sample": value for name, value in trained.best.items()}
    write_training(stage, trained, LOOK, counts, {"valid": valid})
    return Report("window", windows, windows, {}, f"data/models/surrogate/{stage.member}")


def plan(stage: Stage, params: Params) -> Plan:
    """Say from which step training goes on, or that it has ended."""
    chosen = params.train_surrogate
    training = SurrogateTraining(stage.member, chosen, ingested(stage, params.own, chosen.dataset), "cpu")
    longest = chosen.networks[stage.member].max_steps
    return training_plan(_checkpoints(stage, params), longest, training.untrained())


def _checkpoints(stage: Stage, params: Params) -> Checkpoints:
    return checkpoints_of(stage, STORED, params, ("data/curated/well", "data/raw/well", params.own.physics))


@dataclass(frozen=True)
class SurrogateTraining:
    """A `tasks.learning.training.Training`: a network, and the data set that it is trained on."""

    member: str
    chosen: TrainSurrogate
    data: Ingested
    device: str

    @property
    def config(self) -> LearningConfig:
        """The regime of all networks, with what is this one's own."""
        network = self.chosen.networks[self.member]
        return LearningConfig(**self.chosen.learning.model_dump(), lr=network.lr, max_steps=network.max_steps)

    def task(self) -> Task:
        """Return what is trained."""
        windows = self.windows()
        return _task(self.data, self.chosen, self._design(windows), windows)

    def untrained(self) -> Surrogate:
        """Return the surrogate as training begins with it, without scaling."""
        return Surrogate(self._design(self.windows()), seed=self.chosen.learning.seed)

    def windows(self) -> WellWindows:
        """Return the windows that it is trained on."""
        request = Request(steps_input=self.chosen.frames, delta=self.chosen.delta)
        kind, seed = self.chosen.normalisation, self.chosen.learning.seed
        return self.data.windows("train", request, kind=kind, seed=seed)

    def _design(self, windows: WellWindows) -> Design:
        return _design(self.member, self.chosen.networks[self.member], self.chosen, windows)


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


def _task(data: Ingested, chosen: TrainSurrogate, design: Design, windows: WellWindows) -> Task:
    scaling = data.scaling(windows, chosen.normalisation)
    found = windows.normalisation
    assert found is not None
    constant_scale = found.scales.get("constants")
    constant_shift = found.shifts.get("constants", None if constant_scale is None else constant_scale * 0)
    validate = _validation(data, chosen)

    def built() -> Surrogate:
        surrogate = Surrogate(design, seed=chosen.learning.seed)
        surrogate.set_scaling(scaling, constant_shift, constant_scale)
        return surrogate

    def loss(model: torch.nn.Module, batch: Mapping[str, torch.Tensor]) -> Loss:
        assert isinstance(model, Surrogate)
        return Loss(training_loss(model, batch), weight=points_that_count(batch))

    batches = window_batches(windows, chosen.batch_size, chosen.learning.seed, by_file=chosen.by_file)
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


if __name__ == "__main__":
    stage_main(run, Params, plan=plan)
