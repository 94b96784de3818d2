"""Films of rollouts for people: truth, prediction and error side by side, a row for each channel, and one still.

Arrays are (T, C, *S) in two or three spatial axes; of three, the middle of the first is shown. Colours are fixed by
the truth over the whole film, so that films of several models of one trajectory can be compared.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

_MP4 = {"fflags": "+bitexact", "movflags": "+faststart"}  # no version and no date in the file
# mbtree=0: x264's macroblock tree reads memory that it did not write, so bytes would differ from run to run
_X264 = {"preset": "veryfast", "crf": "16", "threads": "1", "mbtree": "0"}
_DPI = 100
_PANEL_IN = 2.3  # the longer side of a panel
_HEAD_IN, _FOOT_IN = 0.35, 0.2  # above and below the panels
_VALUES, _ERRORS, _NOWHERE = "viridis", "RdBu_r", "#b8b8b8"  # the last: masked, or no number


@dataclass(frozen=True)
class Film:
    """What a film shows. `prediction` has the shape of `truth`: (T, C, *S), T steps after the inputs."""

    truth: np.ndarray
    prediction: np.ndarray
    channels: Sequence[str]
    title: str
    dimensions: Sequence[str]  # names of the spatial axes
    lengths: Sequence[float]  # of the domain along them, for the panels' shape
    lost_at: int | None = None  # the step at which the rollout blew up


def write_film(film: Film, path: Path, *, frames_per_s: int = 8) -> None:
    """Write the film as MP4 (H.264, 4:2:0), one picture a step. Equal films give equal bytes."""
    with av.open(str(path), "w", format="mp4", options=_MP4) as out:
        stream = out.add_stream("libx264", rate=frames_per_s, options=_X264)
        stream.pix_fmt, stream.codec_context.thread_count = "yuv420p", 1
        stream.codec_context.colorspace, stream.codec_context.color_range = Colorspace.ITU709, ColorRange.MPEG
        for step, picture in enumerate(_pictures(film, range(len(film.truth)))):
            if step == 0:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            out.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)))
        out.mux(stream.encode(None))


def write_still(film: Film, path: Path, *, step: int) -> None:
    """Write the film's picture of one step (0: the first after the inputs) as PNG. Equal films give equal bytes."""
    from PIL import Image

    (picture,) = _pictures(film, [step])
    Image.fromarray(picture).save(path)


def _pictures(film: Film, steps: Sequence[int]) -> Iterator[np.ndarray]:
    """Yield the film's pictures as uint8 (height, width, 3) of even sizes.

    The figure is laid out and drawn once; for each step the panels alone are drawn anew.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    _check(film)
    panels = [_as_panels(values) for values in (film.truth, film.prediction)]
    figure, images, label = _laid_out(film, *panels)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    figure.set_layout_engine("none")  # where everything lies is settled
    background = canvas.copy_from_bbox(figure.bbox)
    for step in steps:
        canvas.restore_region(background)
        truth, prediction = (values[step] for values in panels)
        for row, shown in enumerate(images):
            for image, values in zip(shown, (truth[row], prediction[row], (prediction - truth)[row]), strict=True):
                image.set_data(np.ma.masked_invalid(values))
                image.axes.draw_artist(image)
        label.set_text(_step_text(film, step))
        figure.draw_artist(label)
        picture = np.asarray(canvas.buffer_rgba())[..., :3]
        yield picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2].copy()


def _check(film: Film) -> None:
    if film.truth.shape != film.prediction.shape or film.truth.ndim not in (4, 5):
        what = f"truth {film.truth.shape} and prediction {film.prediction.shape}"
        raise ValueError(f"{what} must both be (T, C, *S) in two or three spatial axes")
    if film.truth.shape[1] != len(film.channels):
        raise ValueError(f"{film.truth.shape[1]} channels, but {len(film.channels)} names: {', '.join(film.channels)}")


def _as_panels(values: np.ndarray) -> np.ndarray:
    """Return (T, C, height, width): the first axis that is shown goes to the right, the second up."""
    if values.ndim == 5:
        values = values[:, :, values.shape[2] // 2]
    return values.swapaxes(-1, -2).astype(np.float64)


def _step_text(film: Film, step: int) -> str:
    lost = f"   lost at step {film.lost_at}" if film.lost_at is not None and step >= film.lost_at else ""
    return f"step {step:>3}{lost}"


def _laid_out(film: Film, truth: np.ndarray, prediction: np.ndarray) -> tuple[Any, list[list[Any]], Any]:
    """Return the figure, its images by row (truth, prediction, error), and the text of the step."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    across, up = film.lengths[-2:]
    names = film.dimensions[-2:]
    width, height = (_PANEL_IN * side / max(across, up) for side in (across, up))
    rows = len(film.channels)
    height_in = _HEAD_IN + rows * (height + 0.15) + 0.25 + _FOOT_IN
    figure = Figure(figsize=(3 * max(width, 1.2) + 2.6, height_in), dpi=_DPI, layout="constrained")
    layout = figure.get_layout_engine()
    assert layout is not None
    layout.set(rect=(0, _FOOT_IN / height_in, 1, 1 - (_HEAD_IN + _FOOT_IN) / height_in))  # type: ignore[call-arg]
    head = 1 - 0.1 / height_in
    grid = figure.subplots(rows, 3, squeeze=False)
    figure.text(0.012, head, film.title, ha="left", va="top", fontsize=11)
    axes_text = f"{names[0]} to the right, {names[1]} up"
    figure.text(0.012, 0.07 / height_in, axes_text, va="bottom", fontsize=8, color="#555555")
    label = figure.text(0.988, head, "", ha="right", va="top", fontsize=11, family="monospace", animated=True)
    values, errors = (colormaps[name].with_extremes(bad=_NOWHERE) for name in (_VALUES, _ERRORS))
    images = []
    for row, channel in enumerate(film.channels):
        low, high = _limits(truth[:, row])
        half = (high - low) / 2
        shown = []
        for column, (name, cmap, least, most) in enumerate(
            (
                ("truth", values, low, high),
                ("prediction", values, low, high),
                ("error: prediction - truth", errors, -half, half),
            )
        ):
            axes = grid[row, column]
            image = axes.imshow(
                np.ma.masked_invalid(truth[0, row]),
                cmap=cmap,
                vmin=least,
                vmax=most,
                origin="lower",
                extent=(0, across, 0, up),
                interpolation="nearest",
                animated=True,
            )
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            if row == 0:
                axes.set_title(name, fontsize=10)
            shown.append(image)
        grid[row, 0].set_ylabel(channel, fontsize=11, weight="bold")
        for column, ends in ((1, "both"), (2, "both")):
            bar = figure.colorbar(shown[column], ax=grid[row, column], extend=ends, fraction=0.05, pad=0.02)
            bar.ax.tick_params(labelsize=8)
        images.append(shown)
    return figure, images, label


def _limits(truth: np.ndarray) -> tuple[float, float]:
    """Return the colour limits of a channel: all that the truth holds in this film."""
    seen = truth[np.isfinite(truth)]
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, low + 0.5)
