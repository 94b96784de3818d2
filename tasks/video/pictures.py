"""Pictures for people: contact sheets of takes, and the funnel of a selection."""

import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

_TILE_PX = (160, 90)
_LABEL_PX = 150
_GAP_PX = 8
_INK, _QUIET, _PAPER = (28, 28, 30), (110, 110, 115), (255, 255, 255)


@dataclass(frozen=True)
class Row:
    """One take on a contact sheet: lines of text, and its keyframes as JPEG."""

    label: Sequence[str]
    keyframes: Sequence[bytes]


def contact_sheet(rows: Sequence[Row], title: str, credit: str, path: Path, *, columns: int = 2) -> None:
    """Draw takes with their keyframes, in reading order, and the credit that goes with every picture of them."""
    pictures = max((len(row.keyframes) for row in rows), default=1)
    cell = (_LABEL_PX + pictures * _TILE_PX[0] + 2 * _GAP_PX, _TILE_PX[1] + _GAP_PX)
    lines = -(-len(rows) // columns)
    head, foot = 44, 34
    sheet = Image.new("RGB", (columns * cell[0] + _GAP_PX, head + lines * cell[1] + foot), _PAPER)
    draw = ImageDraw.Draw(sheet)
    small, large = ImageFont.load_default(13), ImageFont.load_default(18)
    draw.text((_GAP_PX, 12), title, _INK, font=large)
    for number, row in enumerate(rows):
        left, top = _GAP_PX + (number % columns) * cell[0], head + (number // columns) * cell[1]
        for line, text in enumerate(row.label):
            draw.text((left, top + 4 + 18 * line), text, _INK if line == 0 else _QUIET, font=small)
        for place, jpeg in enumerate(row.keyframes):
            sheet.paste(_fitted(jpeg), (left + _LABEL_PX + place * _TILE_PX[0], top))
    draw.text((_GAP_PX, sheet.height - foot + 8), credit, _QUIET, font=small)
    sheet.save(path, quality=88)


def examples_sheet(
    kept: Sequence[tuple[Sequence[str], Sequence[bytes]]],
    rejected: Sequence[tuple[Sequence[str], Sequence[bytes]]],
    credit: str,
    path: Path,
) -> None:
    """Draw some takes that were kept, and some that were not under the reason: lines of text and keyframes each."""
    parts = [("kept", kept), ("rejected", rejected)]
    pictures = max((len(frames) for _, rows in parts for _, frames in rows), default=1)
    width = _LABEL_PX + pictures * _TILE_PX[0] + 2 * _GAP_PX
    head, foot, row_px = 34, 34, _TILE_PX[1] + _GAP_PX
    height = sum(head + len(rows) * row_px for _, rows in parts) + foot
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    small, large = ImageFont.load_default(13), ImageFont.load_default(18)
    top = 0
    for title, rows in parts:
        draw.text((_GAP_PX, top + 8), title, _INK, font=large)
        top += head
        for label, frames in rows:
            for line, text in enumerate(label):
                draw.text((_GAP_PX, top + 4 + 18 * line), text, _INK if line == 2 else _QUIET, font=small)
            for place, jpeg in enumerate(frames):
                sheet.paste(_fitted(jpeg), (_GAP_PX + _LABEL_PX + place * _TILE_PX[0], top))
            top += row_px
    draw.text((_GAP_PX, height - foot + 8), credit, _QUIET, font=small)
    sheet.save(path, quality=88)


def _fitted(jpeg: bytes) -> Image.Image:
    """Return a picture in a tile, whole, on black."""
    with Image.open(io.BytesIO(jpeg)) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((_TILE_PX[0] - 2, _TILE_PX[1]))
    tile = Image.new("RGB", (_TILE_PX[0] - 2, _TILE_PX[1]), (0, 0, 0))
    tile.paste(picture, ((tile.width - picture.width) // 2, (tile.height - picture.height) // 2))
    return tile


def funnel_figure(steps: Sequence[tuple[str, int]], title: str, path: Path) -> None:
    """Draw how many candidates are left after each step, and how many each takes away."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    names = [name for name, _ in steps]
    left = [count for _, count in steps]
    lost = [0, *(before - after for before, after in itertools.pairwise(left))]
    figure, axes = plt.subplots(figsize=(8, 0.42 * len(steps) + 1.1), layout="constrained")
    axes.barh(names, left, color="#3b6ea5")
    axes.barh(names, lost, left=left, color="#d9a05b")
    for row, (count, gone) in enumerate(zip(left, lost, strict=True)):
        text = f"{count}" if not gone else f"{count}  (-{gone})"
        axes.text(count + gone, row, f"  {text}", va="center", fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, max([*left, 1]) * 1.14)
    axes.set_xlabel("candidates left (blue) and rejected by this step (orange)")
    axes.set_title(title, fontsize=11, loc="left")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
