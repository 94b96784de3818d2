"""Training, then evaluation, over what data sets may be: figures against frames that h5py alone read."""

import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tasks.learning.models import load_model, save_model
from tasks.learning.training import run_training
from tasks.physics import evaluate_surrogate
from tasks.physics.evaluate_surrogate import Params, run
from tasks.physics.ingested import Ingested
from tasks.physics.surrogate import Surrogate, from_config, saved_config
from tasks.physics.train_surrogate import SurrogateTraining
from tests.tasks.physics import well_files
from tests.tasks.physics.desk import Desk
from tests.tasks.physics.test_train_surrogate import chosen

CHANNELS = ["density", "pressure", "velocity_x", "velocity_y", "C_xx", "C_xy", "C_yx", "C_yy"]
CONSTANTS = ["speed_of_sound", "mask", "gravity_x", "gravity_y"]


class EvaluationDesk(Desk):
    """A desk at which a surrogate is trained and evaluated."""

    member = "unet"
    info = SimpleNamespace(address="evaluate_surrogate@unet")

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.knobs.device = "cpu"
        self.pictures: list[str] = []

    def figure(self, figure: Path, name: str) -> None:
        super().figure(figure, name)
        self.pictures.append(name)

    def artifact(self, path: Path, folder: str = "") -> None:
        assert path.exists()

    def train(self, **options: Any) -> Surrogate:
        data = Ingested("noise", self.curated, {"own": self.root / "data/own/physics"})
        parameters = chosen().model_copy(update={"frames": 2, "batch_size": 4, **options})
        trained = run_training(SurrogateTraining("unet", parameters, data, "cpu"))
        assert isinstance(trained.model, Surrogate)
        (self.root / "data/models/surrogate").mkdir(parents=True)
        save_model(self.root / "data/models/surrogate/unet", trained.model, saved_config(trained.model.design))
        return trained.model

    def evaluate(self, normalisation: str, films: int = 0) -> dict[str, Any]:
        params = {
            "own": {"physics": "data/own/physics"},
            "train_surrogate": {"dataset": "noise", "normalisation": normalisation},
            "evaluate_surrogate": {"one_step_windows": 1000, "rollout_steps": 8, "films": films},
        }
        shutil.rmtree(self.root / "data/reports", ignore_errors=True)
        run(self, Params.model_validate(params))  # type: ignore[arg-type]
        return self.figures


@pytest.fixture
def desk(tmp_path: Path) -> EvaluationDesk:
    return EvaluationDesk(tmp_path / "desk")


def write(desk: Desk, **options: Any) -> None:
    for place, name in enumerate(("train/a", "train/b", "valid/a", "test/a", "test/b")):
        path = desk.root / f"data/own/physics/{name}.hdf5"
        well_files.write_random(path, sizes=(16, 16), steps=12, seed=place, **options)


def frames(file: h5py.File, trajectory: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (steps, channels, 16, 16) and the constants (channels, 16, 16), read by names."""
    fields = [file["t0_fields/density"][trajectory], file["t0_fields/pressure"][trajectory]]
    fields += list(np.moveaxis(file["t1_fields/velocity"][trajectory], -1, 0))
    fields += list(np.moveaxis(file["t2_fields/C"][trajectory], (-2, -1), (0, 1)).reshape(4, 12, 16, 16))
    constants = [file["t0_fields/speed_of_sound"][trajectory], np.broadcast_to(file["t0_fields/mask"][()], (16, 16))]
    constants += list(np.moveaxis(file["t1_fields/gravity"][()], -1, 0))
    return np.stack(fields, 1), np.stack(constants)


def vrmse_by_hand(desk: Desk, model: Surrogate) -> float:
    """One step ahead over all test windows, from the formula."""
    found = []
    for path in sorted((desk.root / "data/own/physics/test").iterdir()):
        with h5py.File(path) as file:
            for trajectory in range(2):
                values, constants = frames(file, trajectory)
                for start in range(10):
                    seen = np.concatenate([values[start], values[start + 1], constants]).astype(np.float32)
                    with torch.no_grad():
                        predicted = model(torch.from_numpy(seen)[None])[0].double().numpy()
                    truth = values[start + 2].astype(np.float64)
                    error = ((predicted - truth) ** 2).mean((1, 2))
                    found.append(np.sqrt(error / (truth.var((1, 2), ddof=1) + 1e-7)))
    return float(np.mean(found))


@pytest.mark.parametrize(
    ("options", "files"),
    [
        ({"normalisation": "zscore", "delta": True}, {}),
        ({"normalisation": "rms", "delta": False, "by_file": True}, {"nonuniform": ("y",), "kinds": "WALL"}),
        ({"normalisation": "zscore", "delta": False}, {"storage": {"chunks": True, "compression": "gzip"}}),
    ],
)
def test_figures_are_those_of_the_formula_over_frames_read_by_h5py(
    desk: EvaluationDesk, options: dict[str, Any], files: dict[str, Any]
) -> None:
    write(desk, **files)
    desk.ingest()
    model = desk.train(**options)
    assert list(model.design.channels) == CHANNELS
    assert list(model.design.constants) == CONSTANTS
    found = desk.evaluate(options["normalisation"])
    assert found["vrmse"]["one_step"] == pytest.approx(vrmse_by_hand(desk, model), rel=1e-5)
    assert found["rollout"]["one_step_windows"] == 40
    assert found["persistence"]["vrmse_one_step"] == pytest.approx(math.sqrt(2), rel=0.05)  # noise twice
    assert found["mean"]["vrmse_one_step"] == pytest.approx(1, rel=0.01)
    uneven = "nonuniform" in files
    assert ("vrmse_area" in found) == uneven
    assert ("spectral" in found) != uneven
    json.dumps(found, allow_nan=False)


def test_large_windows_are_worked_on_a_few_at_a_time(desk: EvaluationDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    write(desk)
    desk.ingest()
    desk.train()
    at_once = desk.evaluate("zscore")
    monkeypatch.setattr(evaluate_surrogate, "BATCH_BYTES", 1)
    one_by_one = desk.evaluate("zscore")
    for group, figures in at_once.items():
        assert one_by_one[group] == pytest.approx(figures, rel=1e-6)


def test_films_of_files_with_one_name_are_all_there(desk: EvaluationDesk) -> None:
    for place, name in enumerate(("train/a", "valid/a", "test/a", "one/test/a", "two/test/a", "test/b")):
        noise = well_files.field("density", 0, np.random.default_rng(place), sizes=(16, 16), trajectories=1, steps=12)
        path = desk.root / f"data/own/physics/{name}.hdf5"
        well_files.write_random(path, sizes=(16, 16), steps=12, fields=[noise])
    desk.ingest()
    desk.train()
    desk.evaluate("zscore", films=100)
    films = sorted(path.name for path in (desk.root / "data/reports/evaluate_surrogate/unet/films").glob("*.mp4"))
    assert films == ["a_0.mp4", "a_0_1.mp4", "a_0_2.mp4", "b_0.mp4"]
    assert {name for name in desk.pictures if name.endswith("mp4")} == set(films)
    rows = pq.read_table(desk.root / "data/reports/evaluate_surrogate/unet/rollouts.parquet").to_pylist()
    assert len({row["trajectory"] for row in rows}) == 4


def test_fields_whose_variance_drowns_are_told(desk: EvaluationDesk, caplog: pytest.LogCaptureFixture) -> None:
    write(desk)
    for path in (desk.root / "data/own/physics").rglob("*.hdf5"):
        with h5py.File(path, "r+") as file:
            file["t0_fields/density"][()] *= np.float32(1e-6)
    desk.ingest()
    desk.train()
    with caplog.at_level("WARNING", logger="headrace"):
        desk.evaluate("zscore")
    assert "density: the variance is below the 1e-07" in caplog.text
    assert "pressure" not in caplog.text


def test_a_damaged_or_foreign_model_is_told(desk: EvaluationDesk) -> None:
    write(desk)
    desk.ingest()
    desk.train()
    folder = desk.root / "data/models/surrogate/unet"
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "chanels": []}))
    with pytest.raises(ValueError, match="lacks nothing, has besides chanels: train it again"):
        load_model(folder, from_config)
    del config["channels"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="it lacks channels"):
        load_model(folder, from_config)
