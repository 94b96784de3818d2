"""Pictures of an ingested data set: the ranges of its fields for each set of parameters, and a frame of each file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

MOST_SETS = 24  # parameter sets in a picture; of more, those evenly spaced
MOST_FRAMES = 60
_BLUE, _LIGHT = "#3b6ea5", "#b9cbe0"


def spread(total: int, count: int) -> list[int]:
    """Return `count` of the numbers below `total`, evenly spread from the first to the last; all where it has less."""
    return np.unique(np.linspace(0, total - 1, min(count, total)).astype(int)).tolist()


def draw_ranges(title: str, sets: Mapping[str, Mapping[str, tuple[float, float, float, float]]], path: Path) -> None:
    """Draw for each channel and set of parameters: least to greatest (thin), mean plus and minus std (thick).

    `sets` maps parameters, as text, to channel -> (low, high, mean, std).
    """
    plt = _pyplot()
    every = sorted(sets)
    names = [every[place] for place in spread(len(every), MOST_SETS)]
    channels = list(dict.fromkeys(channel for one in sets.values() for channel in one))
    size = (2 + 2.6 * len(channels), 1.1 + 0.3 * len(names))
    figure, axes = plt.subplots(1, len(channels), figsize=size, layout="constrained", sharey=True, squeeze=False)
    for channel, ax in zip(channels, axes[0], strict=True):
        for row, name in enumerate(names):
            if channel not in sets[name]:
                continue
            low, high, mean, std = sets[name][channel]
            ax.plot([low, high], [row, row], color=_LIGHT, linewidth=2, solid_capstyle="butt")
            ax.plot([mean - std, mean + std], [row, row], color=_BLUE, linewidth=6, solid_capstyle="butt")
            ax.plot([mean], [row], color="white", marker="|", markersize=6)
        ax.set_title(channel, fontsize=9)
        ax.tick_params(labelsize=8)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
    axes[0][0].set_yticks(range(len(names)), [name or "no parameters" for name in names])
    axes[0][0].invert_yaxis()
    figure.suptitle(f"{title}: least to greatest, and mean ± std", fontsize=10)
    figure.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(figure)


def draw_frames(title: str, frames: Sequence[tuple[str, np.ndarray]], path: Path, *, columns: int = 6) -> None:
    """Draw a frame of each file (or of some, evenly spaced) under its name, each on its own scale."""
    plt = _pyplot()
    shown = [frames[place] for place in spread(len(frames), MOST_FRAMES)]
    columns = max(1, min(columns, len(shown)))
    lines = max(1, -(-len(shown) // columns))
    size = (1.9 * columns, 2.15 * lines + 0.4)
    figure, axes = plt.subplots(lines, columns, figsize=size, layout="constrained", squeeze=False)
    for ax in axes.ravel():
        ax.axis("off")
    for ax, (name, frame) in zip(axes.ravel(), shown, strict=False):
        ax.imshow(frame.T if frame.shape[0] > 1 else frame, origin="lower", cmap="viridis", aspect="auto")
        ax.set_title(name if len(name) <= 34 else f"{name[:12]}…{name[-20:]}", fontsize=6)
    more = f" ({len(shown)} of {len(frames)} files)" if len(shown) < len(frames) else ""
    figure.suptitle(f"{title}: the first field, mid-time{more}", fontsize=10)
    figure.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(figure)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
