"""A stage that trains a network: what the functions for all of them make of one small training."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.keys import StoredFunction
from tasks.learning.checkpoints import Checkpoints
from tasks.learning.config import LearningConfig
from tasks.learning.curves import Look, draw_curves, write_validations
from tasks.learning.loop import train
from tasks.learning.task import Trained
from tasks.learning.training import checkpoints_of, run_training, train_in_stage, training_plan, write_training
from tasks.report import Report
from tasks.stage import Stage, StageError, StrictModel
from tests.conftest import Project
from tests.stages import run_stage, set_params, stage_of
from tests.tasks.learning.small import BASE, TASK, Net, SmallTraining, config, weights

DVC_YAML = """stages:
  train_small:
    matrix: {net: [one, two]}
    cmd: python -m tasks.train_small ${item.net}
    deps: [data/small]
    params: [learning]
    outs: ["data/reports/train_small/${item.net}"]
    metrics: [{"data/metrics/train_small/${item.net}.json": {cache: false}}]
"""
STORED = StoredFunction("small", "1", "tasks.train_small", ())
LOOK = Look("error on rows that were seen", error=True)


class Params(StrictModel):
    learning: LearningConfig


@pytest.fixture
def small(project: Project) -> Project:
    project.write("dvc.yaml", DVC_YAML)
    project.write("data/small/rows.txt", "1 2 3")
    set_params(project, {"learning": BASE})
    return project


def run(stage: Stage, params: Params) -> Report:
    trained = train_in_stage(
        stage, SmallTraining(params.learning), checkpoints_of(stage, STORED, params, ["data/small"])
    )
    write_training(stage, trained, LOOK, {"rows": 52}, {"other": {"figure": 1.5}})
    return Report("row", 52, 52, {}, "data/reports/train_small")


def outs(project: Project, net: str) -> list[bytes]:
    report = project.root / "data/reports/train_small" / net
    return [(report / name).read_bytes() for name in ("curve.csv", "curves.png")]


def test_a_stage_tells_how_its_training_went_and_writes_it_out_again_without_a_step(small: Project) -> None:
    params = Params(learning=config())
    alone = train(TASK, config(), device="cpu")
    assert run_stage(small, "train_small@one", run, params)[1] == alone.steps == 23
    told = json.loads((small.root / "data/metrics/train_small/one.json").read_text())
    assert told["valid"] == alone.best
    assert told["other"] == {"figure": 1.5}
    assert told["train"] == {
        "loss_last": alone.curve[-1]["loss"],
        "best_step": alone.best_step,
        "steps": 23,
        "skipped_steps": 0,
        "rows": 52,
    }
    with (small.root / "data/reports/train_small/one/curve.csv").open(newline="") as file:
        read = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert read == alone.validations
    first = outs(small, "one")
    assert run_stage(small, "train_small@one", run, params)[1] == 0
    assert outs(small, "one") == first


def test_two_processes_write_what_one_does(small: Project) -> None:
    params = Params(learning=config())
    run_stage(small, "train_small@one", run, params)
    set_params(small, {"learning": BASE}, train_processes=2)
    assert run_stage(small, "train_small@two", run, params)[1] == 23
    assert outs(small, "one")[0] == outs(small, "two")[0]


def test_a_plan_tells_where_training_stands_and_the_disk_that_it_takes(tmp_path: Path) -> None:
    store = Checkpoints(str(tmp_path / "store"), "key")
    training = SmallTraining(config())

    def planned() -> tuple[int, int, str]:
        found = training_plan(store, 23, Net())
        assert found.unit == "step"
        return found.items_todo, found.items_stored, found.notes[0]

    def stop(step: int, total: int) -> None:
        if step == 9:
            raise KeyboardInterrupt

    assert planned() == (23, 0, "begins at step 0 of at most 23")
    with pytest.raises(KeyboardInterrupt):
        run_training(training, checkpoints=store, progress=stop)
    assert planned() == (14, 9, "goes on from step 9 of at most 23")
    assert training_plan(store, 23).disk_needed_bytes == 0  # nothing is known of the model
    trained = run_training(training, checkpoints=store)
    assert (trained.resumed_from, trained.steps_run) == (9, 14)
    assert weights(trained.model) == weights(train(TASK, config(), device="cpu").model)
    assert planned() == (0, 23, "training ended at step 23: its best weights are stored, and are written out")
    needed = training_plan(store, 23, Net()).disk_needed_bytes
    assert needed == sum(p.nbytes for p in Net().parameters())


def test_a_training_goes_on_with_its_own_data_parameters_and_version_alone(small: Project) -> None:
    def folder(params: Params, stored: StoredFunction = STORED, net: str = "one") -> str:
        return checkpoints_of(stage_of(small, f"train_small@{net}"), stored, params, ["data/small"])._folder

    params = Params(learning=config())
    ours = folder(params)
    others = {folder(Params(learning=config(lr=0.02))), folder(params, replace(STORED, version="2"))}
    others.add(folder(params, net="two"))
    small.write("data/small/rows.txt", "1 2 4")
    others.add(folder(params))
    assert len(others | {ours}) == 5
    small.write("data/small/rows.txt", "1 2 3")
    assert folder(params) == ours


def test_data_that_are_missing_are_told_with_how_to_make_them(small: Project) -> None:
    (small.root / "data/small/rows.txt").unlink()
    (small.root / "data/small").rmdir()
    with pytest.raises(StageError, match=r"data/small is missing: make it with 'dvc repro train_small@one'"):
        checkpoints_of(stage_of(small, "train_small@one"), STORED, Params(learning=config()), ["data/small"])


def judged(*figures: tuple[float | None, float | None], best: int) -> Trained:
    """Return a training with these two figures at steps 1, 2, ..."""
    rows: list[dict[str, Any]] = [{"step": n, "one": one, "two": two} for n, (one, two) in enumerate(figures, 1)]
    kept = {name: value for name, value in rows[best - 1].items() if name != "step" and value is not None}
    losses: list[dict[str, Any]] = [{"step": 1, "loss": 0.5}, {"step": 2, "loss": None}, {"step": 3, "loss": 0.25}]
    return Trained(torch.nn.Identity(), best, kept, 3, "length", 0, losses, rows, None, 3, 0.0)


def test_a_validation_whose_figure_that_counts_is_not_finite_is_neither_written_nor_drawn(tmp_path: Path) -> None:
    trained = judged((1 / 3, 2.0), (None, 1.0), (0.25, None), best=3)
    write_validations(trained, tmp_path / "curve.csv")
    assert (tmp_path / "curve.csv").read_bytes() == b"step,one,two\n1,0.3333333333333333,2.0\n3,0.25,\n"
    for look in (LOOK, Look("share")):
        draw_curves(trained, "net", look, tmp_path / "curves.png")
        without = replace(trained, validations=[trained.validations[0], trained.validations[2]])
        draw_curves(without, "net", look, tmp_path / "without.png")
        assert (tmp_path / "curves.png").read_bytes() == (tmp_path / "without.png").read_bytes()
