"""Surrogates side by side: the paper's table (arXiv 2412.00568, tables 2 and 3), the curves, and which one is best.

The best is found on the validation split alone; figures of the test split are shown and decide nothing.
"""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tasks.physics.metrics import WINDOWS
from tasks.physics.rollout import BASELINES

WHENS = ("one_step", *WINDOWS)
When = Literal["one_step", "6_12", "13_30"]
_HEADS = {"one_step": "one step", "6_12": "6:12", "13_30": "13:30"}
_HIGH = 10.0  # what the paper writes as >10
_COLORS = ("#3b6ea5", "#d9822b", "#4f9a5b", "#9b5aa8", "#8a6d3b", "#c0504d")


@dataclass(frozen=True)
class Candidate:
    """A surrogate that was evaluated: its figures {group: {name: number}}, and its curve over steps."""

    name: str
    figures: Mapping[str, Mapping[str, float]]
    curve: Sequence[Mapping[str, float]]

    def vrmse(self, when: str) -> float | None:
        """VRMSE on the test split, or None where rollouts do not reach that far."""
        return self.figures["vrmse"].get(when)

    def valid_vrmse(self, when: str) -> float | None:
        """VRMSE on the validation split, or None."""
        return self.figures["valid"].get(f"vrmse_{when}")


@dataclass(frozen=True)
class Champion:
    """The best surrogate and why."""

    name: str
    by: When
    valid_vrmse: float
    reason: str


def read_candidate(name: str, figures: Path, curve: Path) -> Candidate:
    """Read what evaluate_surrogate wrote. Raises ValueError naming the file and what it lacks."""
    again = f"run 'dvc repro --force --single-item evaluate_surrogate@{name}'"
    try:
        found = json.loads(figures.read_text())
        for group in ("vrmse", "valid", *BASELINES):
            if group not in found:
                raise ValueError(f"no figures of {group}")
    except ValueError as error:
        raise ValueError(f"{figures}: {error}: {again}") from error
    try:
        with curve.open(newline="") as file:
            rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
        if not rows or "step" not in rows[0] or "vrmse" not in rows[0]:
            raise ValueError("no curve of vrmse by step")
    except (TypeError, ValueError) as error:  # TypeError: a line that is cut off
        raise ValueError(f"{curve}: {error}: {again}") from error
    return Candidate(name, found, rows)


def write_curve(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a curve over steps (`evaluation.curves`) as CSV, whose numbers are read back the same."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: repr(float(v)) if key != "step" else int(v) for key, v in row.items()} for row in rows)


def check_same_test(candidates: Sequence[Candidate]) -> None:
    """Raise ValueError where baselines differ: then the surrogates were not evaluated on the same windows."""
    first = candidates[0]
    for other in candidates[1:]:
        for baseline in BASELINES:
            ours, theirs = first.figures[baseline], other.figures[baseline]
            same = ours.keys() == theirs.keys() and all(math.isclose(ours[k], theirs[k], rel_tol=1e-5) for k in ours)
            if not same:
                raise ValueError(
                    f"{first.name} and {other.name} have other figures of {baseline}, {dict(ours)} and "
                    f"{dict(theirs)}: not evaluated on the same windows; run evaluate_surrogate again for both"
                )


def champion(candidates: Sequence[Candidate], by: When) -> Champion:
    """Return the candidate with the lowest VRMSE on the validation split; of equals, the first by name.

    One without a finite figure is passed over. Raises ValueError where that leaves none.
    """
    known = {c.name: value for c in candidates if (value := c.valid_vrmse(by)) is not None and math.isfinite(value)}
    if not known:
        raise ValueError(
            f"no surrogate has a finite VRMSE ({_HEADS[by]}) on the validation split: choose another window by "
            f"compare_surrogates.champion_by, or longer trajectories"
        )
    order = sorted(known, key=lambda name: (known[name], name))
    rest = ", ".join(f"{name} {known[name]:.4f}" for name in order[1:]) or "no other"
    passed = sorted({c.name for c in candidates} - known.keys())
    reason = (
        f"lowest VRMSE ({_HEADS[by]}) on the validation split: {known[order[0]]:.4f}, against {rest}"
        + (f"; without a finite figure there: {', '.join(passed)}" if passed else "")
        + ". The test split took no part."
    )
    return Champion(order[0], by, known[order[0]], reason)


def table_rows(candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    """Return a row for each surrogate and baseline: its VRMSE on test by window, on validation, and lost rollouts."""
    rows: list[dict[str, Any]] = []
    for one in candidates:
        row: dict[str, Any] = {"model": one.name}
        row |= {f"vrmse_{when}": one.vrmse(when) for when in WHENS}
        row |= {f"valid_vrmse_{when}": one.valid_vrmse(when) for when in WHENS}
        rollout = one.figures.get("rollout", {})
        rows.append(row | {"lost": rollout.get("lost"), "trajectories": rollout.get("trajectories")})
    for name in BASELINES:
        baseline = candidates[0].figures[name]
        row = {"model": name} | {f"vrmse_{when}": baseline.get(f"vrmse_{when}") for when in WHENS}
        rows.append({key: row.get(key) for key in rows[0]})
    return rows


def write_table_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the table with all digits; what there is none of stays empty."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def markdown(candidates: Sequence[Candidate], best: Champion) -> str:
    """Return the table as the paper prints it: VRMSE on test, the lowest of each window bold, >10 above 10."""
    rows = table_rows(candidates)
    lines = [
        "# Surrogates compared",
        "",
        "VRMSE on the test split: 1 is as good as predicting the mean of the frame. Windows are steps after the "
        "inputs, counted from 0, the last not included.",
        "",
        "| model | " + " | ".join(_HEADS.values()) + f" | validation, {_HEADS[best.by]} | rollouts lost |",
        "|---|" + "---:|" * (len(_HEADS) + 2),
    ]
    lowest = {
        when: min((v for c in candidates if (v := c.vrmse(when)) is not None and math.isfinite(v)), default=None)
        for when in WHENS
    }
    for row in rows:
        surrogate = row["model"] not in BASELINES
        cells = []
        for when in WHENS:
            value = row[f"vrmse_{when}"]
            text = _as_printed(value)
            cells.append(f"**{text}**" if surrogate and value is not None and value == lowest[when] else text)
        lost = f"{row['lost']:g} of {row['trajectories']:g}" if row["lost"] is not None else ""
        valid = _as_printed(row[f"valid_vrmse_{best.by}"]) if surrogate else ""
        lines.append("| " + " | ".join([row["model"], *cells, valid, lost]) + " |")
    lines += ["", f"Champion: **{best.name}**, {best.reason}", ""]
    return "\n".join(lines)


def _as_printed(value: float | None) -> str:
    if value is None:
        return "-"
    if math.isnan(value):
        return "no number"
    if value > _HIGH:
        return f">{_HIGH:g}"
    return f"{value:.4f}" if value < 1 else f"{value:.2f}"


def curves_figure(candidates: Sequence[Candidate], path: Path) -> None:
    """Draw VRMSE over steps after the inputs, of all surrogates and baselines, with the paper's windows, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.4), dpi=110, layout="constrained")
    axes = figure.subplots()
    for name, window in WINDOWS.items():
        axes.axvspan(window.start - 0.5, window.stop - 0.5, color="#eef1f4", zorder=0)
        middle = (window.start + window.stop - 1) / 2
        axes.annotate(
            _HEADS[name],
            (middle, 0.985),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="top",
            fontsize=8,
            annotation_clip=True,
        )
    steps = [row["step"] for row in candidates[0].curve]
    highest = _HIGH
    for number, one in enumerate(candidates):
        color = _COLORS[number % len(_COLORS)]
        axes.plot([row["step"] for row in one.curve], [row["vrmse"] for row in one.curve], color=color, label=one.name)
    for name, dashes in zip(BASELINES, ("--", ":"), strict=True):
        values = [row[f"vrmse_{name}"] for row in candidates[0].curve]
        axes.plot(steps, values, color="#555555", linestyle=dashes, label=name)
        highest = max(highest, 2 * max((v for v in values if math.isfinite(v)), default=0))
    axes.set_yscale("log")
    axes.set_ylim(top=highest)
    axes.set_xlim(steps[0] - 0.5, steps[-1] + 0.5)
    axes.set_xlabel("step after the inputs")
    axes.set_ylabel("VRMSE, mean over test trajectories and fields")
    axes.legend(frameon=False, fontsize=9, loc="lower right", ncols=2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    FigureCanvasAgg(figure).print_figure(str(path), dpi=110, metadata={"Software": None})
