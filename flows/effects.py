"""What a study says: figures as mean and interval over seeds, and claims of effects beside what was found."""

import itertools
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from flows.graph import ProjectError

EFFECTS = "studies/effects.yaml"
_SEED = "seed"  # the axis that is repeated, not compared


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95 % interval (Student's t), which is infinite for a single seed."""

    mean: float
    half_width: float
    count: int

    def __str__(self) -> str:
        spread = f"± {self.half_width:.3g}" if math.isfinite(self.half_width) else "(one seed)"
        return f"{self.mean:.4g} {spread}"


class Against(BaseModel):
    """What a figure is compared with: another figure, of other cells, or both."""

    model_config = ConfigDict(extra="forbid")

    figure: str | None = None
    cells: dict[str, str] | None = None


class Effect(BaseModel):
    """A claim: the mean over seeds of figure / other figure is at most, or at least, a bound.

    With `each` it is made of each combination of these values, which {AXIS} stands for in `claim`.
    """

    model_config = ConfigDict(extra="forbid")

    claim: str
    cells: dict[str, str] = {}
    each: dict[str, list[str]] = {}
    figure: str
    against: Against
    at_most: float | None = None
    at_least: float | None = None

    def single(self) -> "list[Effect]":
        """Return the claims that it makes, one for each combination."""
        found = []
        for values in itertools.product(*self.each.values()):
            cells = self.cells | dict(zip(self.each, values, strict=True))
            found.append(self.model_copy(update={"claim": self.claim.format(**cells), "cells": cells, "each": {}}))
        return found


@dataclass(frozen=True)
class Verdict:
    """What became of a claim; `ratio` is None where a cell that it needs is not finished."""

    effect: Effect
    ratio: Estimate | None
    missing: str = ""

    @property
    def word(self) -> str:
        """Say "holds", "fails", or "open": no cells, or the interval reaches over the bound."""
        if self.ratio is None:
            return f"open: {self.missing}"
        low, high = self.ratio.mean - self.ratio.half_width, self.ratio.mean + self.ratio.half_width
        most = math.inf if self.effect.at_most is None else self.effect.at_most
        least = -math.inf if self.effect.at_least is None else self.effect.at_least
        if not least <= self.ratio.mean <= most:
            return "fails"
        return "holds" if least <= low and high <= most else "holds in the mean; its interval reaches over the bound"


def estimate(values: Sequence[float]) -> Estimate:
    """Return mean and 95 % interval of at least one value."""
    mean = statistics.fmean(values)
    if len(values) == 1:
        return Estimate(mean, math.inf, 1)
    from scipy.stats import t

    half = float(t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return Estimate(mean, half, len(values))


def figures_by_setting(cells: Iterable[Mapping[str, Any]], names: Sequence[str]) -> dict[tuple[str, ...], list[str]]:
    """Return for each setting, which is all axes but the seed, the named figures as text; "-" where a cell has none."""
    grouped: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for cell in cells:
        setting = tuple(value for axis, value in cell["axes"].items() if axis != _SEED)
        grouped.setdefault(setting, []).append(cell)
    return {
        setting: [_told([value for one in group if (value := figure_of(one, name)) is not None]) for name in names]
        for setting, group in grouped.items()
    }


def _told(values: Sequence[float]) -> str:
    return str(estimate(values)) if values else "-"


def figure_of(cell: Mapping[str, Any], name: str) -> float | None:
    """Return the figure "stage.group.name" of a finished cell."""
    stage, _, figure = name.partition(".")
    value = cell["figures"].get(stage, {}).get(figure)
    return None if value is None else float(value)


def judge(effect: Effect, cells: Sequence[Mapping[str, Any]]) -> Verdict:
    """Compare seed by seed: other things that a seed decides are the same on both sides."""
    ours = _by_seed(cells, effect.cells)
    theirs = _by_seed(cells, effect.cells | (effect.against.cells or {}))
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds:
        lacking = effect.cells if not ours else effect.cells | (effect.against.cells or {})
        return Verdict(effect, None, f"no finished cells of {', '.join(map(' '.join, lacking.items()))}")
    ratios = []
    for seed in seeds:
        sides = ((ours[seed], effect.figure), (theirs[seed], effect.against.figure or effect.figure))
        value, other = (figure_of(cell, name) for cell, name in sides)
        if value is None or other is None:
            return Verdict(effect, None, f"no figure {sides[value is not None][1]}")
        if other == 0:
            return Verdict(effect, None, f"{sides[1][1]} is 0")
        ratios.append(value / other)
    return Verdict(effect, estimate(ratios))


def _by_seed(cells: Iterable[Mapping[str, Any]], wanted: Mapping[str, str]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for cell in cells:
        if all(cell["axes"].get(axis) == value for axis, value in wanted.items()):
            seed = str(cell["axes"].get(_SEED, ""))
            if seed in found:
                both = " and ".join(" ".join(one["axes"].values()) for one in (found[seed], cell))
                raise ProjectError(f"{EFFECTS}: cells {wanted} are more than one of a seed: {both}; name all axes")
            found[seed] = cell
    return found


class StudyReport(BaseModel):
    """What studies/effects.yaml says of a study."""

    model_config = ConfigDict(extra="forbid")

    figures: dict[str, str]  # heading of a column -> "stage.group.name"
    effects: list[Effect]


def read_effects(root: Path) -> dict[str, StudyReport]:
    """Read what is to be told of each study. Raises ProjectError naming what is wrong in the file."""
    from dvc.utils.serialize import load_yaml

    file = root / EFFECTS
    if not file.is_file():
        raise ProjectError(f"{file} is missing: it says which figures and effects of a study are told")
    try:
        return {name: StudyReport.model_validate(told) for name, told in load_yaml(str(file)).items()}
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise ProjectError(f"{file}: {where}: {problem['msg']}") from None
