"""Which windows the trajectories of The Well's files have (arXiv 2412.00568, `WellDataset` of the_well 1.2.0).

A window is a few input steps of one trajectory and the steps that follow. Windows are numbered by file, trajectory and
first step.
"""

import bisect
import itertools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tasks.physics.schema import WellFile
from tasks.stage import item_rng


class Draw(NamedTuple):
    """A window as a sampler asks for it: random choices depend on the epoch too."""

    epoch: int
    window: int


class Window(NamedTuple):
    """Where a window lies: its first step, and how far its steps are apart."""

    file: int
    trajectory: int
    start: int
    stride: int


@dataclass(frozen=True)
class Request:
    """Which windows are wanted; names and meaning as in The Well.

    A stride is drawn from `min_dt_stride` to `max_dt_stride`, as far as the trajectory reaches. `restrict_samples` and
    `restrict_trajectories` keep a number (int) or a share (float) of them; with one seed a smaller set lies in a
    larger, and with both, samples are of the trajectories that are kept. `full_trajectory` gives one window for each
    trajectory: all that follows the input or, if given, all from step `start_output_at` on; every window is as long as
    the shortest file allows. At most `max_rollout_steps` follow the input in any window. `delta` makes targets of what
    changes from step to step.
    """

    steps_input: int = 1
    steps_output: int = 1
    min_dt_stride: int = 1
    max_dt_stride: int = 1
    restrict_samples: int | float | None = None
    restrict_trajectories: int | float | None = None
    restriction_seed: int = 0
    full_trajectory: bool = False
    start_output_at: int = -1
    max_rollout_steps: int = 100
    delta: bool = False

    def __post_init__(self) -> None:
        for name in ("steps_input", "steps_output", "min_dt_stride", "max_rollout_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give 1 or more")
        if self.max_dt_stride < self.min_dt_stride:
            raise ValueError(f"max_dt_stride={self.max_dt_stride} is below min_dt_stride={self.min_dt_stride}")
        if self.full_trajectory and self.max_dt_stride > self.min_dt_stride:
            raise ValueError("a full trajectory has one stride: make max_dt_stride and min_dt_stride equal")
        if self.delta and self.max_dt_stride > 1:
            raise ValueError("delta targets are of steps that follow one another: make both strides 1")
        if self.start_output_at >= 0:
            first = self.steps_input * self.min_dt_stride
            if not self.full_trajectory:
                raise ValueError(f"start_output_at={self.start_output_at} is of full trajectories: set full_trajectory")
            if self.start_output_at < first:
                raise ValueError(
                    f"start_output_at={self.start_output_at} leaves too few steps for the input: give {first} or more"
                )
        for name in ("restrict_samples", "restrict_trajectories"):
            _check_restriction(name, getattr(self, name))


class WindowIndex:
    """The windows of some files that a request admits, in The Well's order, or those that a restriction keeps.

    Strides are functions of (seed, epoch, window). Raises ValueError naming the file that has too few steps.
    """

    def __init__(self, files: Sequence[WellFile], request: Request, seed: int = 0):
        self.files, self.request, self.seed = files, request, seed
        wanted, stride = request, request.min_dt_stride
        shortest = min(self.files, key=lambda file: file.steps)
        if wanted.full_trajectory:
            before = max(wanted.steps_input * stride, wanted.start_output_at)
            follow = (shortest.steps - before) // stride
            if follow < 1:
                raise ValueError(f"{shortest.path}: {shortest.steps} steps leave none to follow the first {before}")
            self._windows = [1] * len(self.files)
        else:
            follow = wanted.steps_output
            span = 1 + stride * (wanted.steps_input + follow - 1)
            if shortest.steps < span:
                raise ValueError(
                    f"{shortest.path}: {shortest.steps} steps are too few for a window of {span}: ask for fewer steps "
                    "or a smaller stride, or leave the file out"
                )
            self._windows = [file.steps - span + 1 for file in self.files]
        self._follow = follow
        self.steps_output = min(follow, wanted.max_rollout_steps)
        counts = [file.trajectories * windows for file, windows in zip(self.files, self._windows, strict=True)]
        self._offsets = [0, *itertools.accumulate(counts)]
        self._kept = self._restricted()

    def _restricted(self) -> np.ndarray | None:
        """Return the places of the windows that are kept, None for all. Prefixes of one shuffle lie in one another."""
        wanted = self.request
        if wanted.restrict_samples is None and wanted.restrict_trajectories is None:
            return None
        rng = np.random.default_rng(wanted.restriction_seed)
        kept = np.arange(self._offsets[-1])
        if wanted.restrict_trajectories is not None:
            windows = np.repeat(self._windows, [file.trajectories for file in self.files])
            ends = np.cumsum(windows)
            order = np.arange(len(windows))
            rng.shuffle(order)
            chosen = np.sort(order[: _how_many(wanted.restrict_trajectories, len(order), "restrict_trajectories")])
            kept = np.concatenate([np.arange(ends[one] - windows[one], ends[one]) for one in chosen])
        if wanted.restrict_samples is not None:
            rng.shuffle(kept)
            kept = kept[: _how_many(wanted.restrict_samples, len(kept), "restrict_samples")]
        return kept

    def __len__(self) -> int:
        return self._offsets[-1] if self._kept is None else len(self._kept)

    def file_numbers(self) -> np.ndarray:
        """Return for each window the number of its file: what a sampler groups by."""
        kept = np.arange(self._offsets[-1]) if self._kept is None else self._kept
        return np.searchsorted(self._offsets, kept, side="right") - 1

    def window(self, index: int, epoch: int = 0) -> Window:
        """Return where a window lies. Raises IndexError beyond the last."""
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        index %= len(self)
        place = index if self._kept is None else int(self._kept[index])
        file = bisect.bisect_right(self._offsets, place) - 1
        trajectory, start = divmod(place - self._offsets[file], self._windows[file])
        wanted = self.request
        stride = wanted.min_dt_stride
        if wanted.full_trajectory and wanted.start_output_at >= 0:
            start = wanted.start_output_at - wanted.steps_input * stride
        elif wanted.max_dt_stride > stride:
            gaps = wanted.steps_input + self._follow - 1
            most = min(wanted.max_dt_stride, (self.files[file].steps - start - 1) // gaps)
            if most > stride:
                rng = item_rng(self.seed, "windows", f"{epoch}/{index}")
                stride = int(rng.integers(stride, most, endpoint=True))
        return Window(file, trajectory, start, stride)


def _check_restriction(name: str, value: int | float | None) -> None:
    share = isinstance(value, float)
    if value is not None and not (0 < value <= 1 if share else value >= 1):
        raise ValueError(f"{name}={value}: give a number from 1 on, or a share between 0.0 and 1.0")


def _how_many(wanted: int | float, there: int, name: str) -> int:
    count = int(there * wanted) if isinstance(wanted, float) else min(wanted, there)
    if count < 1:
        raise ValueError(f"{name}={wanted} of {there} is none: give a larger share, or a number")
    return count
