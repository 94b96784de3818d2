"""How thresholds are chosen: for each rule the histogram of its score, the threshold, and frames from either side."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tasks.video.selection import Decided, Rule, TakeSet, active_rules

BINS = 24
NEIGHBOURS = 4  # takes shown from either side of a threshold
_KEPT, _REJECTED = "#3b6ea5", "#d9a05b"


@dataclass(frozen=True)
class Histogram:
    """The scores of the candidates that a rule meets, and the takes nearest to its threshold on either side."""

    number: int
    rule: Rule
    threshold: float
    values: list[float]
    below: list[Mapping[str, Any]]
    above: list[Mapping[str, Any]]

    def bins(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (counts, edges); the threshold is an edge, so that no bin holds both kept and rejected."""
        low, high = min(*self.values, self.threshold), max(*self.values, self.threshold)
        step = (high - low) / BINS or 1.0
        first = self.threshold - np.ceil((self.threshold - low) / step) * step
        edges = first + step * np.arange(BINS + 2)
        values = np.nextafter(self.values, -np.inf if self.rule.keeps == "<=" else np.inf)  # equal is kept
        counts, _ = np.histogram(values, edges)
        return counts, edges


def histograms(
    chosen: TakeSet, decided: Decided, kept: Sequence[Mapping[str, Any]], rejected: Sequence[Mapping[str, Any]]
) -> list[Histogram]:
    """Return one histogram for each rule that met a candidate, in the order of the rules."""
    rules = [rule for rule, _ in active_rules(chosen)]
    place = {rule.reason: number for number, rule in enumerate(rules)}
    place["excluded"] = -1
    found = []
    for number, rule in enumerate(rules):
        limit = decided.limits[rule.reason]
        met = [*kept, *(row for row in rejected if place.get(row["reason"], len(rules)) >= number)]
        met = sorted((take for take in met if take[rule.score] is not None), key=lambda take: take[rule.score])
        if not met:
            continue
        values = [float(take[rule.score]) for take in met]
        at = int(np.searchsorted(values, limit, side="left" if rule.keeps == ">=" else "right"))
        with_pictures = [take["keyframe_pts"] is not None for take in met]
        below = [take for take, has in zip(met[:at], with_pictures[:at], strict=True) if has][-NEIGHBOURS:]
        above = [take for take, has in zip(met[at:], with_pictures[at:], strict=True) if has][:NEIGHBOURS]
        found.append(Histogram(number, rule, limit, values, below, above))
    return found


def write_histograms(drawn: Sequence[Histogram], path: Path) -> None:
    """Write the bars of all as one table, for `dvc plots`."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("rule", "score", "bin_from", "bin_to", "count", "threshold", "keeps"))
        for one in drawn:
            counts, edges = one.bins()
            for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
                name = f"{one.number:02d} {one.rule.reason}"
                writer.writerow(
                    (
                        name,
                        one.rule.score,
                        f"{low:.6g}",
                        f"{high:.6g}",
                        int(count),
                        f"{one.threshold:.6g}",
                        one.rule.keeps,
                    )
                )


def draw_histogram(one: Histogram, pictures: Mapping[str, list[bytes]], path: Path) -> None:
    """Draw the histogram with its threshold, and under it the middle keyframes of the takes nearest to it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import MaxNLocator

    counts, edges = one.bins()
    centres, kept_above = (edges[:-1] + edges[1:]) / 2, one.rule.keeps == ">="
    figure = plt.figure(figsize=(9, 3.9), layout="constrained")
    grid = figure.add_gridspec(2, 2 * NEIGHBOURS, height_ratios=(2.4, 1))
    axes = figure.add_subplot(grid[0, :])
    colors = [_KEPT if (centre > one.threshold) == kept_above else _REJECTED for centre in centres]
    axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=colors, edgecolor="white", linewidth=0.5)
    axes.axvline(one.threshold, color="#222222", linewidth=1.4)
    axes.set_xlabel(f"{one.rule.score}   (kept where {one.rule.keeps} {one.threshold:.4g}: blue)", fontsize=9)
    axes.set_ylabel("candidates", fontsize=9)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(
        f"step {one.rule.step}, {one.rule.reason}: {len(one.values)} candidates met it", fontsize=10, loc="left"
    )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    near = [None] * (NEIGHBOURS - len(one.below)) + list(one.below) + list(one.above)
    for column, take in enumerate(near):
        cell = figure.add_subplot(grid[1, column])
        cell.axis("off")
        if take is not None and (frames := pictures.get(take["take_id"])):
            with Image.open(io.BytesIO(frames[len(frames) // 2])) as opened:
                cell.imshow(opened.convert("RGB"))
            kept = (column >= NEIGHBOURS) == kept_above
            cell.set_title(f"{take[one.rule.score]:.3g}", fontsize=8, color=_KEPT if kept else "#a8681e")
    figure.savefig(path, dpi=80, metadata={"Software": None})
    plt.close(figure)
