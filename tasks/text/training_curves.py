"""How a training of the text line went: curves as a table and a picture, figures, and a plan of what is left."""

import csv
from collections.abc import Mapping
from pathlib import Path

from tasks.learning.checkpoints import Standing
from tasks.learning.task import Trained
from tasks.report import Plan


def training_figures(trained: Trained, counts: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """Return what is told of a training for `dvc metrics`."""
    losses = [row["loss"] for row in trained.curve if row["loss"] is not None]
    last = {"loss_last": losses[-1]} if losses else {}
    steps = {"best_step": trained.best_step, "steps": trained.steps, "skipped_steps": trained.skipped}
    return {"valid": dict(trained.best), "train": {**last, **steps, **counts}}


def training_plan(standing: Standing | None, longest: int) -> Plan:
    """Return from which step training goes on, or that it has ended."""
    if standing is None:
        return Plan("step", longest, 0, notes=(f"begins at step 0 of at most {longest}",))
    if standing.ended:
        note = f"training ended at step {standing.step}: its best weights are stored, and are written out"
        return Plan("step", 0, standing.step, notes=(note, standing.address))
    note = f"goes on from step {standing.step} of at most {longest}"
    return Plan("step", longest - standing.step, standing.step, notes=(note, standing.address))


def draw_training(trained: Trained, name: str, folder: Path) -> None:
    """Write curve.csv, the validations, and curves.png: the loss, and the figure by which the best is kept."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    counts = next(iter(trained.best))
    with (folder / "curve.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(trained.validations[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(trained.validations)
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    loss = [(row["step"], row["loss"]) for row in trained.curve if row["loss"] is not None]
    left.plot(*zip(*loss, strict=True), color="#3b6ea5", linewidth=1.2)
    left.set(title="training loss", xlabel="step")
    seen = [(row["step"], row[counts]) for row in trained.validations if row[counts] is not None]
    right.plot(*zip(*seen, strict=True), color="#d9822b", linewidth=1.2, marker="o", markersize=3)
    best = trained.best[counts]
    right.plot([trained.best_step], [best], "o", color="#222222", markersize=6, fillstyle="none")
    right.annotate(
        f"kept: {best:.3f}", (trained.best_step, best), xytext=(-4, -12), textcoords="offset points", ha="right"
    )
    right.set(title=f"{counts.replace('_', ' ')} on held-out pages", xlabel="step")
    for axes in (left, right):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(name, fontsize=11)
    FigureCanvasAgg(figure).print_png(str(folder / "curves.png"), metadata={"Software": None})
