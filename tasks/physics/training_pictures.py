"""How a training went, as a picture: the loss by step, and the validations with the one that was kept."""

from pathlib import Path

from tasks.learning.task import Trained


def curves_figure(trained: Trained, name: str, path: Path) -> None:
    """Draw training loss and validation VRMSE over steps, with logarithmic y axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    loss = [(row["step"], row["loss"]) for row in trained.curve if row["loss"] is not None]
    left.plot(*zip(*loss, strict=True), color="#3b6ea5", linewidth=1.2)
    left.set(title="training loss (normalised)", xlabel="step", yscale="log")
    seen = [(row["step"], row["vrmse"]) for row in trained.validations if row["vrmse"] is not None]
    right.plot(*zip(*seen, strict=True), color="#d9822b", linewidth=1.2, marker="o", markersize=3)
    best = trained.best["vrmse"]
    right.plot([trained.best_step], [best], "o", color="#222222", markersize=6, fillstyle="none")
    right.annotate(
        f"kept: {best:.4f}", (trained.best_step, best), xytext=(-4, 10), textcoords="offset points", ha="right"
    )
    right.set(title="validation VRMSE, one step", xlabel="step", yscale="log")
    for axes in (left, right):
        axes.grid(alpha=0.25, which="both")
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(name, fontsize=11)
    FigureCanvasAgg(figure).print_png(str(path), metadata={"Software": None})
