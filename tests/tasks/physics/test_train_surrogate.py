"""Training a surrogate on what ingest admitted: the same weights from one process or several."""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from dvc.utils.serialize import load_yaml
from pydantic import ValidationError

from tasks.learning.parallel import beside
from tasks.learning.training import run_training
from tasks.physics.ingested import Ingested, OwnPhysics
from tasks.physics.schema import NewField
from tasks.physics.train_surrogate import Params, SurrogateTraining, TrainSurrogate, _checkpoints, _design, plan
from tasks.physics.windows import WellWindows
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
    training = SurrogateTraining("unet", chosen(), data, "cpu")
    alone = run_training(training)
    with beside(2, run_training, training):
        together = run_training(training)
    assert together.steps == 3
    ours, theirs = alone.model.state_dict(), together.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    other = run_training(SurrogateTraining("unet", chosen(seed=1), data, "cpu"))
    assert any(not torch.equal(ours[name], other.model.state_dict()[name]) for name in ours)


def test_a_batch_that_processes_cannot_share_is_told(data: Ingested) -> None:
    training = SurrogateTraining("unet", chosen(micro_batches=1), data, "cpu")
    with pytest.raises(ValueError, match="micro_batches=1 for 2 processes: make it"), beside(2, run_training, training):
        run_training(training)


def test_files_of_other_boundaries_are_not_trained_as_one(data: Ingested, tmp_path: Path) -> None:
    other = tmp_path / "desk/data/own/physics/train/walls.hdf5"
    well_files.write_random(other, sizes=(16, 16), trajectories=2, steps=6, seed=5, kinds="WALL")
    windows = WellWindows([*data.files("train"), other])
    with pytest.raises(ValueError, match=r"walls\.hdf5: its boundaries are others than those of"):
        _design("unet", chosen().networks["unet"], chosen(), windows)


def test_validation_takes_windows_whose_masks_differ(tmp_path: Path) -> None:
    """Files with holes at other places are admitted: each window is scored where it is a number."""
    desk = Desk(tmp_path / "holes")
    for place, (split, row) in enumerate((("train", 2), ("valid", 2), ("valid", 9))):
        rng = np.random.default_rng(place)
        mask = np.zeros((16, 16), np.float32)
        mask[row : row + 3, 3] = 1
        values = rng.standard_normal((2, 6, 16, 16)).astype(np.float32)
        values[:, :, mask == 1] = np.nan
        fields = [NewField("mask", 0, mask, False, False), NewField("A", 0, values)]
        path = desk.root / f"data/own/physics/{split}/hole_{row}.hdf5"
        well_files.write_random(path, sizes=(16, 16), steps=6, fields=fields)
    desk.ingest()
    data = Ingested("noise", desk.curated, {"own": desk.root / "data/own/physics"})
    assert len(data.files("valid")) == 2
    trained = run_training(SurrogateTraining("unet", chosen(), data, "cpu"))
    assert np.isfinite(trained.best["vrmse"])


def test_a_network_that_cannot_be_built_is_refused_with_the_parameters() -> None:
    wrong = chosen().model_dump()
    wrong["networks"]["unet"]["config"]["width"] = 0
    with pytest.raises(ValidationError, match=r"unet: width: Input should be greater than or equal to 1, got 0"):
        TrainSurrogate.model_validate(wrong)


def test_parts_that_a_u_net_cannot_be_trained_on_are_told_before_the_first_step(data: Ingested) -> None:
    steps: list[int] = []
    with pytest.raises(ValueError, match=r"resolution \(16, 16\) .* raise batch_size, or lower micro_batches"):
        run_training(
            SurrogateTraining("unet", chosen(micro_batches=4), data, "cpu"),
            progress=lambda step, total: steps.append(step),
        )
    assert steps == [0]


class Planned:
    """A stage of which only its address, store and hashes of deps are asked."""

    member = "unet"
    info = SimpleNamespace(address="train_surrogate@unet")

    def __init__(self, root: Path) -> None:
        self.store = SimpleNamespace(url=str(root / "store"))
        self.hashes = dict.fromkeys(("data/curated/well", "data/raw/well", "data/own/physics"), "aa")

    def dep(self, path: str) -> Path:
        assert path in self.hashes
        return Path(path)

    def dep_hash(self, path: str) -> str:
        return self.hashes[path]


def test_a_plan_says_from_which_step_training_goes_on_or_that_it_has_ended(
    data: Ingested, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage: Any = Planned(tmp_path)
    monkeypatch.setattr("tasks.physics.train_surrogate.ingested", lambda *_: data)
    params = Params(own=OwnPhysics(physics="data/own/physics"), train_surrogate=chosen(validate_every_steps=2))
    training = SurrogateTraining("unet", params.train_surrogate, data, "cpu")

    needed: list[int] = []

    def planned() -> tuple[int, int, str]:
        found = plan(stage, params)
        assert found.unit == "step"
        needed.append(found.disk_needed_bytes)
        return found.items_todo, found.items_stored, found.notes[0]

    def stop(step: int, total: int) -> None:
        if step == 2:
            raise KeyboardInterrupt

    assert planned() == (3, 0, "begins at step 0 of at most 3")
    assert list(tmp_path.glob("store/*")) == []
    with pytest.raises(KeyboardInterrupt):
        run_training(training, checkpoints=_checkpoints(stage, params), progress=stop)
    assert planned() == (1, 2, "goes on from step 2 of at most 3")
    trained = run_training(training, checkpoints=_checkpoints(stage, params))
    assert trained.resumed_from == 2
    assert planned() == (0, 3, "training ended at step 3: its best weights are stored, and are written out")
    stored = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    weights = sum(p.numel() * p.element_size() for p in trained.model.parameters())
    assert needed[2] == weights
    assert stored <= needed[0] == needed[1]
    stage.hashes["data/raw/well"] = "bb"
    assert planned() == (3, 0, "begins at step 0 of at most 3")


def _fail() -> None:
    raise SystemExit(3)


@pytest.mark.slow
def test_a_process_that_fails_beside_ends_training_and_is_told(data: Ingested, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.learning.parallel._JOINED_WITHIN", timedelta(seconds=20))
    training = SurrogateTraining("unet", chosen(), data, "cpu")
    with pytest.raises(RuntimeError, match="one of 2 training processes failed"), beside(2, _fail):
        run_training(training)
