"""Pictures of simulated data sets: a sheet of frames over time, and a film of all sets of parameters side by side."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import h5py
import hdf5plugin  # noqa: F401  registers the filters of compressed files
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tasks.physics.schema import read_layout

_SHEET_FRAMES = 8
_TILE_PX, _FILM_TILE_PX = 128, 192  # the longer side of a frame
_GAP_PX, _LABEL_PX, _LINE_PX = 4, 118, 18
_INK, _PAPER = (28, 28, 30), (255, 255, 255)
_FILM_FPS = 12
_MP4 = {"fflags": "+bitexact", "movflags": "+faststart"}  # no version and no date in the file


def frames_sheet(files: Mapping[str, Path], field: str, path: Path) -> None:
    """Draw frames of the first trajectory of each file, a row each, from its first to its last frame.

    `field` has order 0; the first axis goes to the right, the second upwards.
    """
    rows = [_first_trajectory(file, field) for file in files.values()]
    tile = _tile_size(rows[0][0], _TILE_PX)
    step = (tile[0] + _GAP_PX, tile[1] + _LINE_PX + _GAP_PX)
    sheet = Image.new("RGB", (_LABEL_PX + _SHEET_FRAMES * step[0], len(rows) * step[1] + _GAP_PX), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for row, (label, (values, times)) in enumerate(zip(files, rows, strict=True)):
        top = _GAP_PX + row * step[1]
        draw.text((_GAP_PX, top + tile[1] // 2), label, _INK, font=font)
        shown = np.unique(np.linspace(0, len(values) - 1, _SHEET_FRAMES).round().astype(int))
        for column, (frame, picture) in enumerate(zip(shown, _colored(values[shown], tile), strict=True)):
            left = _LABEL_PX + column * step[0]
            sheet.paste(picture, (left, top))
            draw.text((left, top + tile[1]), f"t = {times[frame]:g}", _INK, font=font)
    sheet.save(path)


def film(files: Mapping[str, Path], field: str, path: Path) -> None:
    """Write a film (H.264) of the first trajectory of each file, all beside each other, a frame for each stored one."""
    rows = [_first_trajectory(file, field) for file in files.values()]
    tile = _tile_size(rows[0][0], _FILM_TILE_PX)
    pictures = [_colored(values, tile) for values, _ in rows]
    columns = math.ceil(math.sqrt(len(rows) * tile[1] / tile[0]))
    step = (tile[0] + _GAP_PX, tile[1] + _LINE_PX)
    size = (columns * step[0] + _GAP_PX, math.ceil(len(rows) / columns) * step[1] + _GAP_PX)
    size = (size[0] + size[0] % 2, size[1] + size[1] % 2)  # 4:2:0 wants even sides
    font = ImageFont.load_default(13)
    # mbtree=0: x264's macroblock tree reads memory that it did not write, so bytes would differ from run to run
    options = {"preset": "medium", "crf": "18", "threads": "1", "mbtree": "0"}
    with av.open(str(path), "w", format="mp4", options=_MP4) as out:
        stream: Any = out.add_stream("libx264", rate=_FILM_FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in range(max(len(values) for values, _ in rows)):
            image = Image.new("RGB", size, _PAPER)
            draw = ImageDraw.Draw(image)
            for place, (label, of_file) in enumerate(zip(files, pictures, strict=True)):
                left, top = _GAP_PX + place % columns * step[0], place // columns * step[1]
                draw.text((left, top), label, _INK, font=font)
                image.paste(of_file[min(frame, len(of_file) - 1)], (left, top + _LINE_PX))
            out.mux(stream.encode(av.VideoFrame.from_image(image)))
        out.mux(stream.encode(None))


def _first_trajectory(path: Path, field: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the values (T, H, W) and times (T,)."""
    layout = read_layout(path)
    with h5py.File(path) as file:
        values = file[f"t0_fields/{field}"][0]
    return values, np.atleast_2d(layout.time)[0]


def _tile_size(values: np.ndarray, longer_px: int) -> tuple[int, int]:
    """Return width and height of a frame, whose first axis goes to the right."""
    width, height = values.shape[1:]
    return round(longer_px * width / max(width, height)), round(longer_px * height / max(width, height))


def _colored(values: np.ndarray, size: tuple[int, int]) -> Sequence[Image.Image]:
    """Return pictures of frames on one scale of colours: the range of all but the outermost thousandths."""
    low, high = np.quantile(values, [0.001, 0.999])
    scaled = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    colors = (matplotlib.colormaps["magma"](scaled)[..., :3] * 255).round().astype(np.uint8)
    upright = np.swapaxes(colors, 1, 2)[:, ::-1]
    return [Image.fromarray(np.ascontiguousarray(one)).resize(size, Image.Resampling.BICUBIC) for one in upright]
