"""How a training went, as a table and a picture: its validations, its loss, the figure by which the best is kept."""

import csv
from dataclasses import dataclass
from pathlib import Path

from tasks.learning.task import Trained


@dataclass(frozen=True)
class Look:
    """What stands over the two curves, and how they are drawn."""

    judged: str  # the validations' title: which figure, and on what
    loss: str = "training loss"
    error: bool = False  # the figure falls as a model gets better: drawn on logarithmic axes, told to four digits


def write_validations(trained: Trained, path: Path) -> None:
    """Write the validations as CSV, numbers as they are; those whose figure that counts is not finite are left out."""
    counts = next(iter(trained.best))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(trained.validations[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for row in trained.validations if row[counts] is not None)


def draw_curves(trained: Trained, name: str, look: Look, path: Path) -> None:
    """Draw loss and the figure that counts over steps, with the validation that was kept; `name` stands above."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    counts = next(iter(trained.best))
    scale, which = ("log", "both") if look.error else ("linear", "major")
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    loss = [(row["step"], row["loss"]) for row in trained.curve if row["loss"] is not None]
    left.plot(*zip(*loss, strict=True), color="#3b6ea5", linewidth=1.2)
    left.set(title=look.loss, xlabel="step", yscale=scale)
    seen = [(row["step"], row[counts]) for row in trained.validations if row[counts] is not None]
    right.plot(*zip(*seen, strict=True), color="#d9822b", linewidth=1.2, marker="o", markersize=3)
    best = trained.best[counts]
    right.plot([trained.best_step], [best], "o", color="#222222", markersize=6, fillstyle="none")
    right.annotate(
        f"kept: {best:.4f}" if look.error else f"kept: {best:.3f}",
        (trained.best_step, best),
        xytext=(-4, 10 if look.error else -12),
        textcoords="offset points",
        ha="right",
    )
    right.set(title=look.judged, xlabel="step", yscale=scale)
    for axes in (left, right):
        axes.grid(alpha=0.25, which=which)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(name, fontsize=11)
    FigureCanvasAgg(figure).print_png(str(path), metadata={"Software": None})
