"""Evaluate a surrogate on the test and validation splits: data/reports/evaluate_surrogate/<network>/.

One step ahead over many windows, and rolled out over whole trajectories, beside persistence and the mean.
rollouts.parquet has every figure of every step, curve.csv their means for `dvc plots`, films/ what a person looks at.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from pydantic import Field

from tasks.keys import StoredFunction
from tasks.learning.exact import choose_device, exactly
from tasks.learning.models import load_model
from tasks.physics.comparison import write_curve
from tasks.physics.evaluation import (
    ROLLOUTS,
    SURROGATE,
    Frames,
    Scores,
    curves,
    figures,
    rollout_rows,
    score,
    step_for,
    with_baselines,
)
from tasks.physics.ingested import Ingested, ingested
from tasks.physics.metrics import EPS
from tasks.physics.movies import Film, write_film, write_still
from tasks.physics.normalisation import Kind
from tasks.physics.rollout import Scaling, rollout
from tasks.physics.roots import OwnPhysics
from tasks.physics.surrogate import Surrogate, from_config
from tasks.physics.well_pictures import spread
from tasks.physics.window_index import Request
from tasks.physics.windows import WellWindows
from tasks.progress import Progress
from tasks.stage import Report, Stage, StageError, StrictModel, stage_main
from tasks.tables import write_table

STORED = StoredFunction(  # what a study's cell keeps in git
    "physics.evaluate_surrogate", "1", "tasks.physics.evaluate_surrogate", ("torch", "neuraloperator", "numpy", "h5py")
)
BATCH = 16  # windows at once, at most
BATCH_BYTES = 256 << 20  # ... and fewer where they are large


class EvaluateSurrogate(StrictModel):
    one_step_windows: int = Field(ge=1, description="of each split, evenly spread; paper all")
    rollout_steps: int = Field(ge=1, description="at most, from each trajectory's start; the paper reports up to 30")
    films: int = Field(ge=0, description="test trajectories that are filmed, evenly spread")


class TrainedOn(StrictModel):
    """What of training says how windows are read."""

    dataset: str
    normalisation: Kind


class Params(StrictModel):
    own: OwnPhysics
    train_surrogate: TrainedOn
    evaluate_surrogate: EvaluateSurrogate


def run(stage: Stage, params: Params) -> Report:
    """Score the surrogate and the baselines on both splits, then write figures, tables, curves and films."""
    surrogate = load_model(stage.dep(f"data/models/surrogate/{stage.member}"), from_config)
    surrogate = surrogate.to(choose_device(stage.knobs.device))
    assert isinstance(surrogate, Surrogate)
    data = ingested(stage, params.own, params.train_surrogate.dataset)
    _check_channels(data, params.train_surrogate, surrogate)
    _warn_of_small_fields(stage, surrogate)
    with exactly(1, surrogate.scaling.shift_C.device):  # sums depend on how many threads share them
        return _evaluated(stage, params, surrogate, data)


def _evaluated(stage: Stage, params: Params, surrogate: Surrogate, data: Ingested) -> Report:
    one_step: dict[str, dict[str, Scores]] = {}
    rollouts: dict[str, dict[str, Scores]] = {}
    for split in ("test", "valid"):
        one_step[split], rollouts[split] = _scores(data, params, surrogate, split, stage)
    out = stage.out(f"data/reports/evaluate_surrogate/{stage.member}")
    out.mkdir(parents=True)
    write_table(out / "rollouts.parquet", rollout_rows(rollouts["test"]), ROLLOUTS)
    write_curve(out / "curve.csv", curves(rollouts["test"]))
    _write_films(stage, data, params, surrogate, out / "films")
    stage.artifact(out / "rollouts.parquet", "tables")
    found = figures(one_step["test"], rollouts["test"])
    valid = figures(one_step["valid"], rollouts["valid"])
    found["valid"] = {f"vrmse_{when}": value for when, value in valid["vrmse"].items()}
    stage.metrics(found)
    count = one_step["test"][SURROGATE].windows
    return Report("window", count, count, {}, f"data/reports/evaluate_surrogate/{stage.member}")


def _check_channels(data: Ingested, trained: TrainedOn, surrogate: Surrogate) -> None:
    design = surrogate.design
    windows = data.windows("test", Request(steps_input=design.frames), kind=trained.normalisation, normalised=False)
    if list(windows.channels) != list(design.channels) or list(windows.constant_channels) != list(design.constants):
        raise StageError(
            f"data set {trained.dataset} has the channels {', '.join(windows.channels)}, the surrogate was trained on "
            f"{', '.join(design.channels)}: train it again"
        )


def _warn_of_small_fields(stage: Stage, surrogate: Surrogate) -> None:
    """Say where a field's variance drowns in the eps that VRMSE adds to it: its figures then say nothing."""
    scale_C = surrogate.scaling.scale_C.double()
    small = [name for name, scale in zip(surrogate.design.channels, scale_C.tolist(), strict=True) if scale**2 < EPS]
    if small:
        stage.log.warning(
            "%s: the variance is below the %g that VRMSE and NRMSE add to it: they are too good there; scale the field",
            ", ".join(small),
            EPS,
        )


def _scores(
    data: Ingested, params: Params, surrogate: Surrogate, split: str, stage: Stage
) -> tuple[dict[str, Scores], dict[str, Scores]]:
    chosen, kind = params.evaluate_surrogate, params.train_surrogate.normalisation
    frames = surrogate.design.frames
    windows = data.windows(split, Request(steps_input=frames), kind=kind, normalised=False)
    whole = _trajectories(data, params, surrogate, split)
    space, scaling, channels = data.space(windows), surrogate.scaling, windows.channels
    models = with_baselines(step_for(surrogate))
    count = min(chosen.one_step_windows, len(windows))
    stage.log.info("%s: %d windows, %d trajectories of %d steps", split, count, len(whole), whole.steps_output)
    device = scaling.shift_C.device

    def found(of: WellWindows, wanted: Sequence[int], what: str, *, keep_rows: bool = False) -> dict[str, Scores]:
        bar = Progress(len(wanted), "windows", f"{stage.info.address} {split} {what}")
        batches = _counted(data.frames(of, wanted, _at_once(of), device), bar)
        try:
            return score(models, batches, channels=channels, scaling=scaling, space=space, keep_rows=keep_rows)
        finally:
            bar.close()

    one_step = found(windows, spread(len(windows), count), "one step")
    return one_step, found(whole, range(len(whole)), "rolled out", keep_rows=split == "test")


def _counted(batches: Iterable[Frames], progress: Progress) -> Iterator[Frames]:
    """Pass batches on, and tell of each when it has been worked on."""
    for frames in batches:
        yield frames
        progress.completed += len(frames.trajectories)
        progress.tick()


def _at_once(windows: WellWindows) -> int:
    """Return how many windows a batch has: their frames, and what is made of them, fit into memory."""
    steps = windows.request.steps_input + windows.steps_output
    one = steps * len(windows.channels) * math.prod(windows.resolution) * 8
    return max(1, min(BATCH, BATCH_BYTES // one))


def _trajectories(data: Ingested, params: Params, surrogate: Surrogate, split: str) -> WellWindows:
    request = Request(
        steps_input=surrogate.design.frames,
        full_trajectory=True,
        max_rollout_steps=params.evaluate_surrogate.rollout_steps,
    )
    return data.windows(split, request, kind=params.train_surrogate.normalisation, normalised=False)


def _write_films(stage: Stage, data: Ingested, params: Params, surrogate: Surrogate, folder: Path) -> None:
    """Film the rollout of some test trajectories, each with a still of its middle."""
    folder.mkdir()
    whole = _trajectories(data, params, surrogate, "test")
    scaling = surrogate.scaling
    count = min(params.evaluate_surrogate.films, len(whole))
    for frames in data.frames(whole, spread(len(whole), count), 1, scaling.shift_C.device):
        _film(surrogate, frames, scaling, whole, folder)
    for path in sorted(folder.iterdir()):
        stage.figure(path, path.name)


def _film(surrogate: Surrogate, frames: Frames, scaling: Scaling, whole: WellWindows, folder: Path) -> None:
    ((frames, mask_S),) = frames.by_mask()
    steps = frames.targets_BTCS.shape[1]
    found = rollout(surrogate.step(frames.constants_BKS, mask_S), frames.inputs_BTCS, steps, scaling, mask_S=mask_S)
    lost = int(found.lost_at_B[0])
    file, number = frames.trajectories[0].rsplit("#", 1)
    stem = f"{PurePosixPath(file).stem}_{number}"
    names = itertools.chain([stem], (f"{stem}_{count}" for count in itertools.count(1)))
    name = next(one for one in names if not (folder / f"{one}.mp4").exists())  # files in other folders may share it
    lengths = [float(grid.max() - grid.min()) * len(grid) / (len(grid) - 1) for grid in whole.files[0].coordinates]
    film = Film(
        truth=frames.targets_BTCS[0].cpu().numpy(),
        prediction=found.frames_BTCS[0].cpu().numpy(),
        channels=whole.channels,
        title=f"{surrogate.design.network}: {PurePosixPath(file).stem}#{number}",
        dimensions=whole.dimensions,
        lengths=lengths,
        lost_at=lost if lost < steps else None,
    )
    write_film(film, folder / f"{name}.mp4")
    write_still(film, folder / f"{name}.png", step=min(12, steps - 1))


if __name__ == "__main__":
    stage_main(run, Params)
