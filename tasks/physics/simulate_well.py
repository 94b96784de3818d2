"""Simulate data sets of The Well at desk size: data/raw/well/DATASET/ in The Well's layout and folders.

data/{train,valid,test}/*.hdf5, a file for each set of parameters and split, with the same names in the three folders;
DATASET.yaml and README.md, which describe them; frames.png and film.mp4, which show them. A file is simulated once and
kept in the store.
"""

import itertools
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from tasks.physics import gray_scott, shear_flow
from tasks.physics.metadata_card import metadata_text
from tasks.physics.roots import SPLITS
from tasks.physics.schema import read_layout
from tasks.physics.simulation_card import card_text
from tasks.physics.simulation_job import STORED, Job, simulate_job
from tasks.stage import Plan, Report, Stage, StageError, StrictModel, stage_main
from tasks.store import Record, Store

Positive = Annotated[float, Field(gt=0)]
Even = Annotated[int, Field(ge=2, multiple_of=2)]
Count = Annotated[int, Field(ge=1)]
Points = Annotated[int, Field(ge=8, le=2048)]


class RegimeSettings(StrictModel):
    interval_s: float = Field(gt=0, description="between stored frames")
    warm_up_s: float = Field(ge=0, description="before the first")
    initial: list[Literal["clusters", "fourier"]] = Field(min_length=1, description="kinds of initial states, drawn")
    filled_share: float = Field(gt=0, lt=1, description="of the box where a fourier series begins to react")


class GrayScott(StrictModel):
    trajectories: int = Field(ge=3, description="of each regime")
    frames: int = Field(ge=2, description="stored of each trajectory")
    points: Points = Field(description="along each side of the box")
    side: float = Field(gt=0, description="of the box")
    step_s: float = Field(gt=0, description="of the solver")
    regimes: dict[str, RegimeSettings] = Field(min_length=1)


class ShearFlow(StrictModel):
    trajectories: int = Field(ge=3, description="of each pair of numbers")
    frames: int = Field(ge=2, description="stored of each trajectory")
    points_x: Points
    points_y: Points
    step: float = Field(gt=0, description="of the solver, in units of length over velocity")
    interval: float = Field(gt=0, description="between stored frames")
    reynolds: list[Positive] = Field(min_length=1)
    schmidt: list[Positive] = Field(min_length=1)
    shears: list[Even] = Field(min_length=1)
    waves: list[Count] = Field(min_length=1, description="along x")
    thicknesses: list[Positive] = Field(min_length=1, description="of a shear")


class SimulateWell(StrictModel):
    seed: int = Field(ge=0)
    valid_share: float = Field(gt=0, lt=0.5, description="of the trajectories of each set of parameters")
    test_share: float = Field(gt=0, lt=0.5)
    datasets: list[Literal["gray_scott_reaction_diffusion", "shear_flow"]] = Field(min_length=1)
    gray_scott_reaction_diffusion: GrayScott
    shear_flow: ShearFlow


class Params(StrictModel):
    simulate_well: SimulateWell


def run(stage: Stage, params: Params) -> Report:
    """Simulate the files that are not stored yet, in worker processes, then lay out the data sets from the store."""
    jobs = list(_jobs(params.simulate_well, stage.store.url))
    _simulate_missing(stage, jobs)
    records = _stored(stage.store, jobs)
    out = stage.out("data/raw/well")
    for job in jobs:
        target = out / job.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with stage.store.open_blob(records[job.path].blobs[0]) as blob, target.open("wb") as file:
            shutil.copyfileobj(blob, file)
    figures: dict[str, dict[str, float]] = {}
    for dataset in params.simulate_well.datasets:
        own = [job for job in jobs if job.dataset == dataset]
        _describe(stage, params.simulate_well, out / dataset, own)
        figures[dataset] = _figures([records[job.path].value for job in own])
    stage.metrics(figures)
    return Report("file", len(jobs), len(jobs), {}, "data/raw/well")


def plan(stage: Stage, params: Params) -> Plan:
    """Count the files that are still to be simulated, and the disk for them in the store and in the out."""
    jobs = list(_jobs(params.simulate_well, stage.store.url))
    known = _stored(stage.store, jobs)
    todo = [job for job in jobs if job.path not in known]
    size = sum(_bytes_of(params.simulate_well, job) for job in todo)
    return Plan("file", len(todo), len(known), disk_needed_bytes=2 * size)


# --- what there is to do ---


def splits_of(trajectories: int, valid_share: float, test_share: float) -> dict[str, tuple[int, ...]]:
    """Return the numbers of the trajectories in each split, of one set of parameters: at least one in each.

    Raises ValueError where none is left to train on.
    """
    valid, test = (max(1, round(share * trajectories)) for share in (valid_share, test_share))
    train = trajectories - valid - test
    if train < 1:
        raise ValueError(
            f"{trajectories} trajectories are too few for {valid} valid and {test} test: raise trajectories"
        )
    bounds = dict(zip(SPLITS, itertools.pairwise([0, train, train + valid, trajectories]), strict=True))
    return {split: tuple(range(first, end)) for split, (first, end) in bounds.items()}


def _jobs(params: SimulateWell, store_url: str) -> Iterator[Job]:
    """Yield the files of all data sets, in the order of their folders."""
    if repeated := sorted({name for name in params.datasets if params.datasets.count(name) > 1}):
        raise StageError(f"params.yaml: simulate_well.datasets names {repeated[0]} twice: remove one")
    for dataset in params.datasets:
        settings = getattr(params, dataset)
        sets = _gray_scott_sets(settings) if dataset == gray_scott.NAME else _shear_flow_sets(settings)
        splits = splits_of(settings.trajectories, params.valid_share, params.test_share)
        for (stem, label, of_set), (split, numbers) in itertools.product(sets, splits.items()):
            yield Job(dataset, stem, label, split, numbers, params.seed, of_set, store_url)


def _gray_scott_sets(settings: GrayScott) -> list[tuple[str, str, dict[str, Any]]]:
    found = []
    for name, of_regime in settings.regimes.items():
        where = f"simulate_well.{gray_scott.NAME}.regimes.{name}"
        if name not in gray_scott.REGIMES:
            raise StageError(f"params.yaml: {where} is no regime: one of {', '.join(gray_scott.REGIMES)}")
        regime = gray_scott.REGIMES[name]
        values = {
            "points": settings.points,
            "side": settings.side,
            "step": settings.step_s,
            "frames": settings.frames,
            "between": _whole_steps(of_regime.interval_s, settings.step_s, f"{where}.interval_s"),
            "warm_up": _whole_steps(of_regime.warm_up_s, settings.step_s, f"{where}.warm_up_s"),
            "initial": list(of_regime.initial),
            "filled_share": of_regime.filled_share,
            "F": regime.feed,
            "k": regime.kill,
        }
        found.append((f"{gray_scott.NAME}_{name}_F_{regime.feed:g}_k_{regime.kill:g}", name, values))
    return found


def _shear_flow_sets(settings: ShearFlow) -> list[tuple[str, str, dict[str, Any]]]:
    found = []
    for reynolds, schmidt in itertools.product(settings.reynolds, settings.schmidt):
        values = {
            "points": [settings.points_x, settings.points_y],
            "step": settings.step,
            "frames": settings.frames,
            "between": _whole_steps(settings.interval, settings.step, f"simulate_well.{shear_flow.NAME}.interval"),
            "shears": list(settings.shears),
            "waves": list(settings.waves),
            "thicknesses": list(settings.thicknesses),
            "Re": reynolds,
            "Sc": schmidt,
        }
        stem = f"{shear_flow.NAME}_Reynolds_{_short(reynolds)}_Schmidt_{_short(schmidt)}"
        found.append((stem, f"Re {reynolds:g}, Sc {schmidt:g}", values))
    return found


def _short(value: float) -> str:
    """Return a number as the names of The Well's shear flow files have it: 1e4, 5e-1."""
    digits, _, power = f"{value:.15e}".partition("e")
    return f"{float(digits):g}e{int(power)}"


def _whole_steps(time: float, step: float, where: str) -> int:
    steps = round(time / step)
    if abs(steps * step - time) > 1e-9 * max(time, step) or (time > 0 and steps < 1):
        raise StageError(f"params.yaml: {where} = {time:g} is no multiple of the solver's step, {step:g}")
    return steps


def _bytes_of(params: SimulateWell, job: Job) -> int:
    points = job.settings["points"]
    values = points**2 * 2 if isinstance(points, int) else points[0] * points[1] * 4
    return len(job.trajectories) * int(job.settings["frames"]) * int(values) * 4


# --- simulating ---


def _stored(store: Store, jobs: Sequence[Job]) -> dict[str, Record]:
    """Return what is stored of `jobs`, by path."""
    keys = {job.path: job.key for job in jobs}
    store.refresh(STORED.name)
    found = store.get_whole(STORED.name, keys.values())
    return {path: found[key] for path, key in keys.items() if key in found}


def _simulate_missing(stage: Stage, jobs: Sequence[Job]) -> None:
    known = _stored(stage.store, jobs)
    todo = sorted((job for job in jobs if job.path not in known), key=_steps, reverse=True)  # the longest first
    frames = 0.0
    failed = []
    for outcome in stage.map(simulate_job, ((job.path, job) for job in todo), unit="file", total=len(todo)):
        frames += outcome.value or 0
        if outcome.reject is not None:
            failed.append(f"{outcome.item_id}: {outcome.reject}")
    stage.timing({"simulate/frames": frames})
    stage.store.compact(STORED.name)
    if failed:
        more = f" (and {len(failed) - 1} more files)" if len(failed) > 1 else ""
        raise StageError(f"{failed[0]}{more}: see simulate_well in params.yaml; what is finished is stored")


def _steps(job: Job) -> int:
    return len(job.trajectories) * int(job.settings["between"]) * int(job.settings["frames"])


# --- describing ---


def _describe(stage: Stage, params: SimulateWell, folder: Path, jobs: Sequence[Job]) -> None:
    """Write the cards and the pictures of a data set beside its data."""
    from tasks.physics.simulation_pictures import film, frames_sheet

    dataset = folder.name
    files = {split: [folder / "data" / split / f"{j.stem}.hdf5" for j in jobs if j.split == split] for split in SPLITS}
    (folder / f"{dataset}.yaml").write_text(metadata_text([read_layout(path) for path in files["train"]]))
    parameters = {"seed": params.seed, **getattr(params, dataset).model_dump()}
    (folder / "README.md").write_text(card_text(dataset, files, parameters))
    field = {"gray_scott_reaction_diffusion": "B", "shear_flow": "tracer"}[dataset]
    shown = {j.label: folder / j.path.removeprefix(f"{dataset}/") for j in jobs if j.split == "train"}
    frames_sheet(shown, field, folder / "frames.png")
    film(shown, field, folder / "film.mp4")
    for name in ("frames.png", "film.mp4", "README.md"):
        stage.artifact(folder / name, f"figures/{dataset}")


def _figures(summaries: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return what the files of a data set hold together; a mean weighs each trajectory alike."""
    count = sum(summary["trajectories"] for summary in summaries)
    fields = {
        f"{name}_{what}": value
        for name in summaries[0]["fields"]
        for what, value in (
            ("min", min(s["fields"][name]["min"] for s in summaries)),
            ("max", max(s["fields"][name]["max"] for s in summaries)),
            ("mean", sum(s["trajectories"] * s["fields"][name]["mean"] for s in summaries) / count),
        )
    }
    errors = [summary["persistence_vrmse"] for summary in summaries]
    return {
        "files": len(summaries),
        "trajectories": count,
        "steps": max(summary["steps"] for summary in summaries),
        "dead_share": sum(summary["dead"] for summary in summaries) / count,
        "persistence_vrmse_least": min(errors),
        "persistence_vrmse": sum(s["trajectories"] * s["persistence_vrmse"] for s in summaries) / count,
        **fields,
    }


if __name__ == "__main__":
    stage_main(run, Params, plan=plan)
