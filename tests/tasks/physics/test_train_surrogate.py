"""Training a surrogate on what ingest admitted: the same weights from one process or several."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from dvc.utils.serialize import load_yaml

from tasks.learning.parallel import beside
from tasks.physics.ingested import Ingested
from tasks.physics.train_surrogate import Training, TrainSurrogate
from tests.conftest import REPOSITORY
from tests.tasks.physics import well_files
from tests.tasks.physics.desk import Desk


@pytest.fixture
def data(tmp_path: Path) -> Ingested:
    desk = Desk(tmp_path / "desk")
    for place, split in enumerate(("train", "valid")):
        target = desk.root / "data/own/physics" / split / f"{split}.hdf5"
        well_files.write_random(target, sizes=(16, 16), trajectories=2, steps=6, seed=place)
    desk.ingest()
    return Ingested("noise", desk.curated, {"own": desk.root / "data/own/physics"})


def chosen(**learning: Any) -> TrainSurrogate:
    """The repository's own parameters, but three steps of a small network."""
    params = load_yaml(str(REPOSITORY / "params.yaml"))["train_surrogate"]
    small = {"lr": 0.003, "max_steps": 3, "config": {"width": 4, "padding": "boundary"}}
    params |= {"dataset": "noise", "frames": 1, "batch_size": 4, "valid_windows": 4, "networks": {"unet": small}}
    params["learning"] = params["learning"] | {"micro_batches": 2, "warmup_steps": 1} | learning
    return TrainSurrogate.model_validate(params)


def test_two_processes_train_the_surrogate_that_one_does(data: Ingested) -> None:
    training = Training("unet", chosen(), data, "cpu")
    alone, _ = training.run()
    with beside(2, training.follow):
        together, _ = training.run()
    assert together.steps == 3
    ours, theirs = alone.model.state_dict(), together.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    other, _ = Training("unet", chosen(seed=1), data, "cpu").run()
    assert any(not torch.equal(ours[name], other.model.state_dict()[name]) for name in ours)


def test_a_batch_that_processes_cannot_share_is_told(data: Ingested) -> None:
    training = Training("unet", chosen(micro_batches=1), data, "cpu")
    with pytest.raises(ValueError, match="micro_batches=1 for 2 processes: make it"), beside(2, training.follow):
        training.run()


def _fail() -> None:
    raise SystemExit(3)


@pytest.mark.slow
def test_a_process_that_fails_beside_ends_training_and_is_told(data: Ingested, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.learning.parallel._JOINED_WITHIN", timedelta(seconds=20))
    training = Training("unet", chosen(), data, "cpu")
    with pytest.raises(RuntimeError, match="one of 2 training processes failed"), beside(2, _fail):
        training.run()
