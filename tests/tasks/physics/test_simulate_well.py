"""The stage that simulates: The Well's folders and files, each made once, the same bytes however many workers."""

import copy
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from tasks.physics.schema import read_layout
from tasks.physics.simulate_well import Params, plan, run, splits_of
from tasks.report import Report
from tasks.stage import StageError
from tasks.store import Store
from tests import stages
from tests.conftest import REPOSITORY, Project

DVC_YAML = """
    stages:
      simulate_well:
        cmd: python -m tasks.physics.simulate_well
        params: [simulate_well]
        outs: [data/raw/well]
        metrics: [{data/metrics/simulate_well.json: {cache: false}}]
"""
SETTINGS: dict[str, Any] = {
    "seed": 3,
    "valid_share": 0.1,
    "test_share": 0.1,
    "datasets": ["gray_scott_reaction_diffusion", "shear_flow"],
    "gray_scott_reaction_diffusion": {
        "trajectories": 4,
        "frames": 5,
        "points": 16,
        "side": 0.25,
        "step_s": 4,
        "regimes": {
            "maze": {"interval_s": 16, "warm_up_s": 8, "initial": ["clusters", "fourier"], "filled_share": 0.2},
            "spots": {"interval_s": 24, "warm_up_s": 0, "initial": ["clusters"], "filled_share": 0.2},
        },
    },
    "shear_flow": {
        "trajectories": 3,
        "frames": 4,
        "points_x": 16,
        "points_y": 24,
        "step": 0.05,
        "interval": 0.2,
        "reynolds": [200, 1000],
        "schmidt": [0.5],
        "shears": [2, 4],
        "waves": [1, 2],
        "thicknesses": [0.1],
    },
}
MAZE = "gray_scott_reaction_diffusion/data/{}/gray_scott_reaction_diffusion_maze_F_0.029_k_0.057.hdf5"
SHEAR = "shear_flow/data/{}/shear_flow_Reynolds_2e2_Schmidt_5e-1.hdf5"


def set_params(project: Project, workers: int = 1, **changed: Any) -> Params:
    """Write params.yaml; `changed` are values by dotted key, with __ for the dot."""
    settings = copy.deepcopy(SETTINGS)
    for key, value in changed.items():
        *parents, last = key.split("__")
        level = settings
        for parent in parents:
            level = level[parent]
        level[last] = value
    stages.set_params(project, {"simulate_well": settings}, workers=workers)
    return Params.model_validate({"simulate_well": settings})


def simulate(project: Project, workers: int = 1, **changed: Any) -> tuple[Report, int]:
    """Run the stage; return its report and how many files it simulated."""
    project.write("dvc.yaml", DVC_YAML)
    params = set_params(project, workers, **changed)
    return stages.run_stage(project, "simulate_well", run, params)


@pytest.fixture(scope="module")
def made(module_project: Project) -> Project:
    """Both data sets, made once for the tests that only look at them."""
    project = module_project
    project.report, project.done = simulate(project)  # type: ignore[attr-defined]
    return project


def well(project: Project) -> Path:
    return project.root / "data/raw/well"


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_folders_and_names_are_the_wells(made: Project) -> None:
    expected = set()
    for dataset, stems in {
        "gray_scott_reaction_diffusion": ("maze_F_0.029_k_0.057", "spots_F_0.03_k_0.062"),
        "shear_flow": ("Reynolds_2e2_Schmidt_5e-1", "Reynolds_1e3_Schmidt_5e-1"),
    }.items():
        expected |= {f"{dataset}/{name}" for name in (f"{dataset}.yaml", "README.md", "frames.png", "film.mp4")}
        expected |= {f"{dataset}/data/{s}/{dataset}_{stem}.hdf5" for s in ("train", "valid", "test") for stem in stems}
    assert set(contents(well(made))) == expected
    assert made.report == Report("file", 12, 12, {}, "data/raw/well")  # type: ignore[attr-defined]


@pytest.mark.parametrize(("dataset", "file"), [("gray_scott_reaction_diffusion", MAZE), ("shear_flow", SHEAR)])
def test_the_wells_loader_reads_every_window_as_h5py_does(made: Project, dataset: str, file: str) -> None:
    module = pytest.importorskip("the_well.data.datasets")
    for split, trajectories in {"train": {MAZE: 2, SHEAR: 1}[file], "valid": 1, "test": 1}.items():
        loader = module.WellDataset(
            path=str(well(made) / dataset), well_split_name=split, n_steps_input=2, n_steps_output=1
        )
        names = [Path(path).name for path in loader.files_paths]
        with h5py.File(well(made) / file.format(split)) as opened:
            scalars = [opened[f"t0_fields/{name}"][()] for name in opened["t0_fields"].attrs["field_names"]]
            vectors = [opened[f"t1_fields/{name}"][()] for name in opened["t1_fields"].attrs["field_names"]]
            time_s, parameters = opened["dimensions/time"][()], [float(v[()]) for v in opened["scalars"].values()]
        values = np.concatenate([*(one[..., None] for one in scalars), *vectors], -1)
        assert len(values) == trajectories
        windows = values.shape[1] - 2
        first = names.index(Path(file).name) * trajectories * windows
        for number in range(trajectories * windows):
            row, start = divmod(number, windows)
            sample = loader[first + number]
            np.testing.assert_array_equal(sample["input_fields"].numpy(), values[row, start : start + 2])
            np.testing.assert_array_equal(sample["output_fields"].numpy(), values[row, start + 2 : start + 3])
            np.testing.assert_allclose(np.diff(sample["input_time_grid"]), np.diff(time_s)[:1], rtol=1e-6)
            np.testing.assert_allclose(sorted(sample["constant_scalars"].numpy()), sorted(parameters))
            assert sample["boundary_conditions"].numpy().tolist() == [[2, 2], [2, 2]]


def test_the_metadata_card_says_what_the_loader_finds(made: Project) -> None:
    module = pytest.importorskip("the_well.data.datasets")
    for dataset in ("gray_scott_reaction_diffusion", "shear_flow"):
        card = YAML(typ="safe").load(well(made) / dataset / f"{dataset}.yaml")
        found = module.WellDataset(path=str(well(made) / dataset), well_split_name="train", n_steps_input=2).metadata
        for key, value in vars(found).items():
            told = tuple(card[key]) if isinstance(value, tuple) else card[key]
            assert told == value, key


def test_files_hold_what_the_parameters_say(made: Project) -> None:
    maze, shear = (read_layout(well(made) / name.format("train")) for name in (MAZE, SHEAR))
    assert maze.parameters == {"F": pytest.approx(0.029), "k": pytest.approx(0.057)}
    assert maze.time.tolist() == [8, 24, 40, 56, 72]
    assert maze.coordinates[0].tolist() == [-0.125 + n / 64 for n in range(16)]
    assert [field.name for field in maze.fields] == ["A", "B"]
    assert shear.parameters == {"Rayleigh": 200.0, "Schmidt": 0.5}
    assert [(field.name, field.order) for field in shear.fields] == [("tracer", 0), ("pressure", 0), ("velocity", 1)]
    np.testing.assert_allclose(shear.time, [0, 0.2, 0.4, 0.6], rtol=1e-6)
    assert (shear.coordinates[0][0], shear.coordinates[1][0]) == (0, -1)
    assert shear.resolution == (16, 24)


def test_no_two_trajectories_are_alike_in_any_file_or_split(made: Project) -> None:
    seen = []
    for path in sorted(well(made).rglob("*.hdf5")):
        with h5py.File(path) as file:
            name = "B" if "B" in file["t0_fields"] else "tracer"
            seen += [row.tobytes() for row in file[f"t0_fields/{name}"][:, 0]]
    assert len(seen) == len(set(seen)) == 2 * 4 + 2 * 3


def test_metrics_are_those_of_the_files(made: Project) -> None:
    figures = json.loads((made.root / "data/metrics/simulate_well.json").read_text())
    values, errors = [], []
    for path in sorted((well(made) / "gray_scott_reaction_diffusion").rglob("*.hdf5")):
        with h5py.File(path) as file:
            values.append(file["t0_fields/B"][()])
            for name in ("A", "B"):
                of = file[f"t0_fields/{name}"][()].astype(np.float64)
                mse = ((of[:, 1:] - of[:, :-1]) ** 2).mean((2, 3))
                errors += np.sqrt(mse / of[:, 1:].var((2, 3), ddof=1)).ravel().tolist()
    every = np.concatenate(values).astype(np.float64)
    found = figures["gray_scott_reaction_diffusion"]
    assert (found["files"], found["trajectories"], found["steps"], found["dead_share"]) == (6, 8, 5, 0)
    assert found["B_min"] == every.min()
    assert found["B_max"] == every.max()
    assert found["B_mean"] == pytest.approx(every.mean(), rel=1e-6)
    assert found["persistence_vrmse"] == pytest.approx(np.mean(errors), rel=1e-6)
    assert figures["shear_flow"]["trajectories"] == 6


def test_a_trajectory_that_died_is_counted(project: Project) -> None:
    regimes = {"spots": {"interval_s": 400, "warm_up_s": 0, "initial": ["fourier"], "filled_share": 0.99}}
    simulate(project, datasets=["gray_scott_reaction_diffusion"], gray_scott_reaction_diffusion__regimes=regimes)
    figures = json.loads((project.root / "data/metrics/simulate_well.json").read_text())
    assert figures["gray_scott_reaction_diffusion"]["dead_share"] == 1
    with h5py.File(next(well(project).rglob("train/*.hdf5"))) as file:
        assert np.ptp(file["t0_fields/A"][:, -1]) < 1e-3


def test_bytes_are_the_same_for_any_number_of_workers(made: Project, project: Project) -> None:
    simulate(project, workers=2)
    assert contents(well(project)) == contents(well(made))


def test_a_file_is_simulated_once(project: Project) -> None:
    only = {"datasets": ["gray_scott_reaction_diffusion"]}
    assert simulate(project, **only)[1] == 6
    before = contents(well(project))
    assert simulate(project, **only)[1] == 0
    assert contents(well(project)) == before
    store = Store(project.root / "data/store")
    rows = store.table("physics.simulation").to_pylist()
    blob = store.blob_path(next(row["blobs"][0] for row in rows if json.loads(row["params"])["F"] == 0.03))
    assert blob is not None
    blob.unlink()  # of spots: it is made again, with what a changed maze needs and nothing else
    changed = {**only, "gray_scott_reaction_diffusion__regimes__maze__interval_s": 20}
    assert _todo(project, **only) == (1, 5)
    assert simulate(project, **changed)[1] == 4
    after = contents(well(project))
    assert {name for name in after if name.endswith(".hdf5") and after[name] != before[name]} == {
        MAZE.format(split) for split in ("train", "valid", "test")
    }
    assert _todo(project, **only) == (0, 6)
    assert _todo(project, **only, seed=4) == (6, 0)


def _todo(project: Project, **changed: Any) -> tuple[int, int]:
    found = plan(stages.stage_of(project, "simulate_well"), set_params(project, **changed))
    return found.items_todo, found.items_stored


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(project: Project) -> None:
    project.write("dvc.yaml", DVC_YAML)
    slow = {"gray_scott_reaction_diffusion__frames": 500, "datasets": ["gray_scott_reaction_diffusion"]}
    params = set_params(project, **slow)
    command = [sys.executable, "-m", "tasks.physics.simulate_well"]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    killed = subprocess.Popen(command, cwd=project.root, env=env, stderr=subprocess.DEVNULL, start_new_session=True)
    records = project.root / "data/store/records/physics.simulation"
    until = time.monotonic() + 120
    while not list(records.glob("*.parquet")) and killed.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not well(project).exists()
    stored = plan(stages.stage_of(project, "simulate_well"), params).items_stored
    assert 1 <= stored < 6
    assert simulate(project, **slow)[1] == 6 - stored


def test_a_step_that_is_too_long_is_told_with_its_remedy(project: Project) -> None:
    with pytest.raises(StageError, match=r"shear_flow/data/\S+hdf5: blew_up: not finite at t=\S+: a smaller solver"):
        simulate(project, datasets=["shear_flow"], shear_flow__step=4, shear_flow__interval=400)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"gray_scott_reaction_diffusion__step_s": 5}, r"regimes\.maze\.interval_s = 16 is no multiple .* step, 5"),
        ({"shear_flow__interval": 0.01}, r"shear_flow\.interval = 0\.01 is no multiple"),
        ({"datasets": ["shear_flow", "shear_flow"]}, r"datasets names shear_flow twice"),
        (
            {
                "gray_scott_reaction_diffusion__regimes": {
                    "mazes": SETTINGS["gray_scott_reaction_diffusion"]["regimes"]["maze"]
                }
            },
            r"regimes\.mazes is no regime: one of gliders, bubbles, maze",
        ),
    ],
)
def test_settings_that_do_not_fit_are_told_by_their_key(project: Project, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(StageError, match=told):
        simulate(project, **changed)


def test_splits_are_eight_one_one_of_ten_and_never_empty() -> None:
    sizes = {total: tuple(map(len, splits_of(total, 0.1, 0.1).values())) for total in (3, 5, 10, 40, 200)}
    assert sizes == {3: (1, 1, 1), 5: (3, 1, 1), 10: (8, 1, 1), 40: (32, 4, 4), 200: (160, 20, 20)}
    numbers = [n for split in splits_of(40, 0.1, 0.1).values() for n in split]
    assert numbers == list(range(40))
    with pytest.raises(ValueError, match="3 trajectories are too few"):
        splits_of(3, 0.4, 0.49 * 2)


def test_the_cards_block_runs_where_it_lies_and_names_the_licence(made: Project) -> None:
    for dataset in ("gray_scott_reaction_diffusion", "shear_flow"):
        card = (well(made) / dataset / "README.md").read_text()
        (block,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
        done = subprocess.run(
            [sys.executable, "-c", block], cwd=well(made) / dataset, capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith("(5, 16, 16)" if dataset.startswith("gray") else "(4, 16, 24)")
        assert "license: cc0-1.0" in card
        assert "| seed | 3 |" in card


def test_pictures_show_every_set_of_parameters_over_time(made: Project) -> None:
    for dataset, frames in (("gray_scott_reaction_diffusion", 5), ("shear_flow", 4)):
        with av.open(str(well(made) / dataset / "film.mp4")) as film:
            shown = [frame.to_ndarray(format="gray") for frame in film.decode(video=0)]
        assert len(shown) == frames
        assert np.abs(shown[0].astype(float) - shown[-1]).mean() > 1
        with Image.open(well(made) / dataset / "frames.png") as sheet:
            pixels = np.asarray(sheet.convert("L"))
        assert pixels.shape[1] > 600
        assert pixels.std() > 20
