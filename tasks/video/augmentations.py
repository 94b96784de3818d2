"""The seven ways in which VISTA (arXiv 2412.00927, section 3) makes a long or a large video of short ones.

Each is a pure function of clips, a canvas and a random generator. It returns a composition and what is true of it.
Points of time and place are uniform over all that the rules allow, in whole frames and in steps of chroma. Lengths
without a unit are in frames of the canvas. What does not go together raises ValueError, what is too short Reject.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

import numpy as np

from tasks.tables import Reject
from tasks.video.composition import Box, Built, Canvas, Clip, Composition, End, Piece, Span, Truth, distinct, fitted

Mode = Literal["insert", "overwrite"]


def concatenation(clips: Sequence[Clip], canvas: Canvas, *, max_gap_s: float = 5.0) -> Built:
    """Show clips of one source one after another (subsets 1 and 2), gaps in the source at most `max_gap_s`.

    Raises ValueError where they are fewer than two, of several sources, out of order, or too far apart.
    """
    if len(clips) < 2:
        raise ValueError(f"{len(clips)} clip to concatenate: there must be two or more")
    for before, after in itertools.pairwise(clips):
        if before.source_id != after.source_id:
            raise ValueError(f"clips {before.clip_id} and {after.clip_id} are of different sources")
        gap_s = float(after.start_s - before.end_s)
        if not 0 <= gap_s <= max_gap_s:
            apart = f"{gap_s:g} s apart, not 0 to {max_gap_s:g}" if gap_s >= 0 else "not in their order of time"
            raise ValueError(f"clips {before.clip_id} and {after.clip_id} are {apart}")
    pieces, at = [], 0
    for clip in clips:
        pieces.append(_whole(clip, canvas, at))
        at += pieces[-1].frames
    return _built(canvas, at, pieces, pieces)


def temporal_needle(
    haystack: Clip,
    needle: Clip,
    canvas: Canvas,
    rng: np.random.Generator,
    *,
    margin_s: float,
    mode: Mode = "insert",
) -> Built:
    """Show a short clip at some time in a long one (subset 3), `margin_s` or more from its ends.

    An inserted needle makes the video longer; one that overwrites takes the place of as many frames.
    """
    _of_two(haystack, needle)
    total, short = haystack.ticks(canvas.fps), needle.ticks(canvas.fps)
    margin = _frames(margin_s, canvas)
    at = _uniform(rng, margin, total - margin - (short if mode == "overwrite" else 0), haystack)
    shown = _whole(needle, canvas, at)
    return _with_needles(haystack, canvas, [shown], mode)


def two_needles(
    haystack: Clip,
    needle: Clip,
    canvas: Canvas,
    rng: np.random.Generator,
    *,
    margin_s: float,
    min_gap_s: float,
    split_share: tuple[float, float] = (0.4, 0.6),
    mode: Mode = "insert",
) -> Built:
    """Split a short clip in two and show the parts, in their order, at two times in a long one (subset 4).

    The split is drawn from `split_share` of the needle; at least `min_gap_s` of the haystack lies between the parts.
    """
    _of_two(haystack, needle)
    total, short = haystack.ticks(canvas.fps), needle.ticks(canvas.fps)
    if short < 2:
        raise Reject("needle_too_short", "one frame cannot be split in two")
    low, high = (min(max(round(share * short), 1), short - 1) for share in split_share)
    split = int(rng.integers(low, high + 1))
    margin, gap = _frames(margin_s, canvas), max(1, _frames(min_gap_s, canvas))
    taken = (split, short - split) if mode == "overwrite" else (0, 0)
    last = total - margin - sum(taken) - gap
    if last < margin:
        raise _too_short(haystack, total)
    # two of one number more, in order, less 1 for the later: each pair of times a <= b is as likely
    early, late = sorted(int(n) for n in rng.choice(last - margin + 2, 2, replace=False))
    starts = margin + early, margin + late - 1 + gap + taken[0]
    box = canvas.whole
    parts = [Piece(needle, box, starts[0], split), Piece(needle, box, starts[1], short - split, first=split)]
    return _with_needles(haystack, canvas, parts, mode)


def spatial_needle(
    haystack: Clip,
    needle: Clip,
    canvas: Canvas,
    rng: np.random.Generator,
    *,
    short_side_share: tuple[float, float] = (0.15, 0.30),
    end: End = "loop",
) -> Built:
    """Show a clip small, somewhere on another, as long as that is (subset 5); `end` where it is shorter.

    Its short side is drawn from `short_side_share` of the haystack's; it lies wholly on the haystack's picture.
    """
    _of_two(haystack, needle)
    base = _whole(haystack, canvas, 0)
    box = _small_box(haystack, needle, canvas, rng, short_side_share)
    shown = Piece(needle, box, 0, base.frames, end=end)
    if end != "loop" and needle.ticks(canvas.fps) >= base.frames:
        shown = dataclasses.replace(shown, end="exact")
    return _built(canvas, base.frames, [base, shown], [shown], box=box)


def spatiotemporal_needle(
    haystack: Clip,
    needle: Clip,
    canvas: Canvas,
    rng: np.random.Generator,
    *,
    margin_s: float,
    short_side_share: tuple[float, float] = (0.15, 0.30),
) -> Built:
    """Show a clip small, once and whole, at some time and place in another (subset 6); it does not move."""
    _of_two(haystack, needle)
    base = _whole(haystack, canvas, 0)
    short, margin = needle.ticks(canvas.fps), _frames(margin_s, canvas)
    at = _uniform(rng, margin, base.frames - margin - short, haystack)
    box = _small_box(haystack, needle, canvas, rng, short_side_share)
    shown = Piece(needle, box, at, short)
    return _built(canvas, base.frames, [base, shown], [shown], box=box)


def grid(
    clips: Sequence[Clip],
    canvas: Canvas,
    rng: np.random.Generator,
    *,
    rows: int = 8,
    columns: int = 8,
    length_s: float = 3.0,
    asked: int | None = None,
) -> Built:
    """Show clips in a grid, row by row, and choose the one to ask of (subset 7); `clips` has rows x columns.

    `asked` is that one's number, drawn where it is None. Each is cut to `length_s`; the last frame of a shorter one
    stays. Cells with an odd side are composed in 4:4:4.
    """
    if len(clips) != rows * columns or not distinct(clips):
        raise ValueError(f"{rows} x {columns} cells want as many distinct clips, not {len(clips)}")
    if canvas.width % columns or canvas.height % rows:
        raise ValueError(f"{canvas.width} x {canvas.height} pixels are no {columns} x {rows} equal cells")
    width, height = canvas.width // columns, canvas.height // rows
    if width % 2 or height % 2:
        canvas = dataclasses.replace(canvas, pixels="yuv444p")
    frames = max(1, _frames(length_s, canvas))
    pieces = []
    for number, clip in enumerate(clips):
        row, column = divmod(number, columns)
        end: End = "exact" if clip.ticks(canvas.fps) >= frames else "freeze"
        pieces.append(Piece(clip, Box(column * width, row * height, width, height), 0, frames, end=end))
    asked = int(rng.integers(len(clips))) if asked is None else asked
    cell = asked // columns + 1, asked % columns + 1
    return _built(canvas, frames, pieces, [pieces[asked]], box=pieces[asked].box, cell=cell)


def _of_two(haystack: Clip, needle: Clip) -> None:
    if haystack.source_id == needle.source_id:
        raise ValueError(f"needle {needle.clip_id} is of the haystack's own source: it would not stand out")


def _frames(seconds: float, canvas: Canvas) -> int:
    """Return as many frames as last `seconds` or longer."""
    return math.ceil(Fraction(seconds).limit_denominator(1_000_000) * canvas.fps)


def _uniform(rng: np.random.Generator, low: int, high: int, haystack: Clip) -> int:
    if high < low:
        raise _too_short(haystack, high)
    return int(rng.integers(low, high + 1))


def _too_short(haystack: Clip, frames: int) -> Reject:
    length_s = float(haystack.end_s - haystack.start_s)
    detail = f"haystack {haystack.clip_id} of {length_s:g} s has no room for margins, needle and gap"
    return Reject("haystack_too_short", detail, "haystack_s", length_s)


def _whole(clip: Clip, canvas: Canvas, at: int) -> Piece:
    return Piece(clip, canvas.whole, at, clip.ticks(canvas.fps))


def _small_box(
    haystack: Clip, needle: Clip, canvas: Canvas, rng: np.random.Generator, share: tuple[float, float]
) -> Box:
    """Draw a box of the needle's shape on the haystack's picture, on even pixels."""
    picture = fitted(haystack.width, haystack.height, canvas.whole, 2)
    room = min(Fraction(picture.width, needle.width), Fraction(picture.height, needle.height))
    short = min(needle.width, needle.height)
    side = float(rng.uniform(*share)) * min(picture.width, picture.height)
    side = min(side, float(short * room))  # where the needle is long and narrow
    narrow = max(2, 2 * round(side / 2))  # rounded first: then the long side follows it within a pixel
    sides = [max(2, 2 * round(narrow * length / short / 2)) for length in (needle.width, needle.height)]
    width, height = min(sides[0], picture.width), min(sides[1], picture.height)
    x, y = (
        2 * int(rng.integers(0, (room - side) // 2 + 1))
        for room, side in ((picture.width, width), (picture.height, height))
    )
    return Box(picture.x + x, picture.y + y, width, height)


def _with_needles(haystack: Clip, canvas: Canvas, needles: Sequence[Piece], mode: Mode) -> Built:
    """Insert whole pieces in the haystack before the frames of it that they are `at`, or lay them over it there."""
    total = haystack.ticks(canvas.fps)
    if mode == "overwrite":
        return _built(canvas, total, [_whole(haystack, canvas, 0), *needles], needles)
    pieces: list[Piece] = []
    shown: list[Piece] = []
    at = done = 0
    for needle in needles:
        pieces += _part(haystack, canvas, at, done, needle.at)
        at, done = at + needle.at - done, needle.at
        shown.append(dataclasses.replace(needle, at=at))
        pieces.append(shown[-1])
        at += needle.frames
    pieces += _part(haystack, canvas, at, done, total)
    return _built(canvas, total + sum(needle.frames for needle in needles), pieces, shown)


def _part(clip: Clip, canvas: Canvas, at: int, first: int, last: int) -> list[Piece]:
    return [Piece(clip, canvas.whole, at, last - first, first=first)] if last > first else []


def _built(
    canvas: Canvas,
    frames: int,
    pieces: Sequence[Piece],
    asked: Sequence[Piece],
    box: Box | None = None,
    cell: tuple[int, int] | None = None,
) -> Built:
    spans = []
    for piece in asked:
        ticks = piece.clip.ticks(canvas.fps)
        spans.append(Span(piece.at, piece.at + piece.frames, piece.first, min(piece.first + piece.frames, ticks)))
    truth = Truth(canvas.fps, tuple(piece.clip.clip_id for piece in asked), tuple(spans), box, cell)
    return Built(Composition(canvas, frames, tuple(pieces)), truth)
