"""A composed video as a plan: clips on a canvas, each in a box, for a run of frames, as VISTA's seven kinds have it.

A plan says all that is needed to render its video, and is plain data: rendering.py makes the video, augmentations.py
the plans. What lies later in the list of pieces lies on top.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

MATRICES = ("bt709", "bt601")
PIXELS = ("yuv420p", "yuv444p")
End = Literal["exact", "freeze", "loop"]
_ROUNDING_S = Fraction(1, 500)  # containers round times to a millisecond, and a clip's begin and end are two of them


class Box(NamedTuple):
    """A rectangle of the canvas in pixels; x and y are its left upper corner."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Canvas:
    """What clips are laid on: its size in pixels, both sides even, its frames a second, and its colours.

    Samples are of 8 bits in limited range, made with the matrix of BT.709 or BT.601. `pixels` is what is composed in:
    yuv444p where boxes have odd sides, which is subsampled once, when all is in place.
    """

    width: int
    height: int
    fps: Fraction
    matrix: str = "bt709"
    pixels: str = "yuv420p"

    def __post_init__(self) -> None:
        if self.width < 2 or self.height < 2 or self.width % 2 or self.height % 2:
            raise ValueError(f"a canvas of {self.width} x {self.height}: both sides must be even, 2 or more")
        if self.fps <= 0:
            raise ValueError(f"a canvas of {self.fps} frames a second: there must be more than none")
        if self.matrix not in MATRICES or self.pixels not in PIXELS:
            raise ValueError(f"a canvas of {self.matrix}, {self.pixels}: known are {MATRICES} and {PIXELS}")

    @property
    def whole(self) -> Box:
        """The box that covers it."""
        return Box(0, 0, self.width, self.height)

    @property
    def unit(self) -> int:
        """What sides and corners of boxes must be multiples of, in pixels: chroma's step."""
        return 2 if self.pixels == "yuv420p" else 1

    def seconds(self, frames: int) -> float:
        """Return how long so many frames are shown."""
        return float(frames / self.fps)


@dataclass(frozen=True)
class Clip:
    """The frames with start_pts <= pts < end_pts of a video's main stream; `frames` counts them.

    Sizes are as displayed: upright, with square pixels. `path` is relative to the folder `root`, `source_id` the
    sha256 of the file.
    """

    clip_id: str
    source_id: str
    root: str
    path: str
    start_pts: int
    end_pts: int
    time_base: Fraction
    frames: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if not (self.start_pts < self.end_pts and self.frames > 0 and self.width > 0 and self.height > 0):
            raise ValueError(f"clip {self.clip_id}: no frame, no length or no size ({self})")
        if self.time_base <= 0:
            raise ValueError(f"clip {self.clip_id}: a time base of {self.time_base} s")

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Clip":
        """Return the clip of a row of captions.CLIPS."""
        same = ("clip_id", "source_id", "root", "path", "start_pts", "end_pts", "frames")
        base = Fraction(row["time_base_num"], row["time_base_den"])
        return cls(**{name: row[name] for name in same}, time_base=base, width=row["width_px"], height=row["height_px"])

    @property
    def file(self) -> Path:
        """Where the video is."""
        return Path(self.root) / self.path

    @property
    def start_s(self) -> Fraction:
        """When it begins in its file's time."""
        return self.start_pts * self.time_base

    @property
    def end_s(self) -> Fraction:
        """When it is over in its file's time."""
        return self.end_pts * self.time_base

    def ticks(self, fps: Fraction) -> int:
        """Return how many frames it has at `fps`: tick k is at k / fps since its beginning."""
        return max(1, math.ceil((self.end_s - self.start_s - look_ahead_s(fps)) * fps))


def look_ahead_s(fps: Fraction) -> Fraction:
    """Return by how much later than a tick a frame may begin to be shown at it: times in files are rounded."""
    return min(_ROUNDING_S, 1 / fps / 4)


@dataclass(frozen=True)
class Piece:
    """A clip in a box, on the canvas frames [at, at + frames). The first shows the clip's tick `first`.

    Where the clip is over before the piece is, it begins anew (`loop`) or its last frame stays (`freeze`); an `exact`
    piece ends no later than its clip. The clip is scaled to fit the box and centred on black, never stretched.
    """

    clip: Clip
    box: Box
    at: int
    frames: int
    first: int = 0
    end: End = "exact"

    def tick(self, canvas_frame: int, fps: Fraction) -> int:
        """Return the clip's tick that is shown at a frame of the canvas."""
        tick, ticks = self.first + canvas_frame - self.at, self.clip.ticks(fps)
        return tick % ticks if self.end == "loop" else min(tick, ticks - 1)


@dataclass(frozen=True)
class Composition:
    """`frames` frames of a canvas and the pieces on it, the later ones on top.

    Raises ValueError for what cannot be composed: a box off the canvas or off its chroma's grid, a piece longer than
    the video, an `exact` one longer than its clip, a frame on which nothing is shown.
    """

    canvas: Canvas
    frames: int
    pieces: tuple[Piece, ...]

    def __post_init__(self) -> None:
        shown = [False] * self.frames
        for number, piece in enumerate(self.pieces):
            trouble = self._trouble(piece)
            if trouble:
                raise ValueError(f"piece {number} ({piece.clip.clip_id}): {trouble}")
            shown[piece.at : piece.at + piece.frames] = [True] * piece.frames
        if not all(shown) or not shown:
            missing = shown.index(False) if shown else 0
            raise ValueError(f"nothing is shown on frame {missing} of {self.frames}")

    def _trouble(self, piece: Piece) -> str:
        box, canvas = piece.box, self.canvas
        if min(box) < 0 or 0 in box[2:] or box.x + box.width > canvas.width or box.y + box.height > canvas.height:
            return f"{box} is not on a canvas of {canvas.width} x {canvas.height}"
        if any(side % canvas.unit for side in box):
            return f"{box} must lie on even pixels, as {canvas.pixels} halves chroma"
        if piece.at < 0 or piece.frames < 1 or piece.at + piece.frames > self.frames:
            return f"frames {piece.at} to {piece.at + piece.frames} of {self.frames}"
        ticks = piece.clip.ticks(canvas.fps)
        if piece.end not in get_args(End):
            return f"end is one of {get_args(End)}, not {piece.end!r}"
        if not 0 <= piece.first < ticks or (piece.end == "exact" and piece.first + piece.frames > ticks):
            return f"ticks {piece.first} to {piece.first + piece.frames} of a clip that has {ticks}"
        return ""

    def visible(self, frame: int) -> list[int]:
        """Return the numbers of the pieces seen on a frame, those on top last; what the topmost whole one hides is out.

        A piece that covers the canvas hides all below it, its black bars too.
        """
        found: list[int] = []
        for number, piece in enumerate(self.pieces):
            if piece.at <= frame < piece.at + piece.frames:
                found = [number] if piece.box == self.canvas.whole else [*found, number]
        return found

    @property
    def duration_s(self) -> float:
        """How long the video is."""
        return self.canvas.seconds(self.frames)


def fitted(width: int, height: int, box: Box, unit: int) -> Box:
    """Return where in a box a picture shown at `width` x `height` lies: as large as fits, in the middle, on `unit`.

    Sides are rounded to `unit`; one that misses the box's by less than that is the box's.
    """
    scale = min(Fraction(box.width, width), Fraction(box.height, height))
    sides = []
    for side, room in ((width, box.width), (height, box.height)):
        exact = side * scale
        sides.append(room if room - exact < unit else max(unit, unit * round(exact / unit)))
    left, top = ((room - side) // 2 // unit * unit for room, side in zip((box.width, box.height), sides, strict=True))
    return Box(box.x + left, box.y + top, sides[0], sides[1])


# --- as plain data ---


def to_dict(composition: Composition) -> dict[str, Any]:
    """Return a composition as plain JSON data, each clip once; `from_dict` makes it again."""
    clips = list(dict.fromkeys(piece.clip for piece in composition.pieces))
    numbers = {clip: number for number, clip in enumerate(clips)}
    return {
        "canvas": _plain(composition.canvas),
        "frames": composition.frames,
        "clips": [_plain(clip) for clip in clips],
        "pieces": [
            {**_plain(piece), "clip": numbers[piece.clip], "box": list(piece.box)} for piece in composition.pieces
        ],
    }


def from_dict(data: Mapping[str, Any]) -> Composition:
    """Return the composition that `to_dict` made `data` of. Raises ValueError where it is not such data."""
    try:
        canvas = Canvas(**{**data["canvas"], "fps": Fraction(*data["canvas"]["fps"])})
        clips = [Clip(**{**clip, "time_base": Fraction(*clip["time_base"])}) for clip in data["clips"]]
        pieces = tuple(
            Piece(**{**piece, "clip": clips[piece["clip"]], "box": Box(*piece["box"])}) for piece in data["pieces"]
        )
        if set(data) != {"canvas", "frames", "clips", "pieces"}:
            raise ValueError(f"keys {sorted(data)}")
        return Composition(canvas, data["frames"], pieces)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"not a composition as to_dict writes it ({error!r}): {str(data)[:200]}") from error


def _plain(one: Canvas | Clip | Piece) -> dict[str, Any]:
    plain = dict(vars(one))
    for name, value in plain.items():
        if isinstance(value, Fraction):
            plain[name] = [value.numerator, value.denominator]
    return plain


# --- what is true of it ---


class Span(NamedTuple):
    """Frames [start, end) of the canvas, and ticks [first, last) of the clip that is seen on them."""

    start: int
    end: int
    first: int
    last: int


@dataclass(frozen=True)
class Truth:
    """What is asked of: on which frames it is seen, in which box, in which cell of a grid.

    `spans` are one for each time that a clip comes on; those of a concatenation are its clips in order, of a needle
    that is split its parts in order. A looped clip's ticks are all of its own. `clips` names each span's clip. Row and
    column of `cell` count from 1.
    """

    fps: Fraction
    clips: tuple[str, ...]
    spans: tuple[Span, ...]
    box: Box | None = None
    cell: tuple[int, int] | None = None

    def seconds(self) -> list[tuple[float, float]]:
        """Return from when to when each span is shown."""
        return [(float(span.start / self.fps), float(span.end / self.fps)) for span in self.spans]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        return {
            "fps": [self.fps.numerator, self.fps.denominator],
            "clips": list(self.clips),
            "spans": [
                {**span._asdict(), "start_s": start_s, "end_s": end_s}
                for span, (start_s, end_s) in zip(self.spans, self.seconds(), strict=True)
            ],
            "box": list(self.box) if self.box else None,
            "cell": list(self.cell) if self.cell else None,
        }


class Built(NamedTuple):
    """A composition and what is true of it."""

    composition: Composition
    truth: Truth


def distinct(clips: Sequence[Clip]) -> bool:
    """Say whether no clip is there twice."""
    return len({clip.clip_id for clip in clips}) == len(clips)
