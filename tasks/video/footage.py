"""Parts of clips, one after another, that an augmentation takes for one clip: long haystacks of short clips.

The augmentations are laid out with a stand-in, a clip of no file; then its pieces are replaced by those of the parts.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from tasks.video.composition import Built, Clip, Composition, Piece, Span


class Part(NamedTuple):
    """The ticks [first, first + ticks) of a clip, at the frame rate of a canvas."""

    clip: Clip
    first: int
    ticks: int

    def is_whole(self, fps: Fraction) -> bool:
        """Say whether it is all of the clip."""
        return self.first == 0 and self.ticks == self.clip.ticks(fps)


@dataclass(frozen=True)
class Footage:
    """Parts of one source's clips, in their order of time, at `fps`."""

    parts: tuple[Part, ...]
    fps: Fraction

    def __post_init__(self) -> None:
        if not self.parts or len({(part.clip.source_id, part.clip.width, part.clip.height) for part in self.parts}) > 1:
            raise ValueError("footage is of one source and of one size")

    @property
    def ticks(self) -> int:
        """How many frames it has."""
        return sum(part.ticks for part in self.parts)

    @property
    def seconds(self) -> float:
        """How long it is shown."""
        return float(self.ticks / self.fps)

    def stand_in(self) -> Clip:
        """Return a clip of its length and size, named by what it stands for; it has no file.

        Its source is named with the time of its beginning: whether two parts of one file may be needle and haystack of
        each other is for who draws them to decide.
        """
        first = self.parts[0]
        name = f"{first.clip.source_id}@{first.clip.start_pts}+{first.first}"
        size = first.clip.width, first.clip.height
        return Clip(name, name, "", "", 0, self.ticks, 1 / self.fps, self.ticks, *size)


def laid(built: Built, footage: Mapping[Clip, Footage]) -> Built:
    """Return what was built with stand-ins, with the parts in their place. What is asked of is one part alone."""
    composition, truth = built.composition, built.truth
    pieces = [one for piece in composition.pieces for one in _spread(piece, footage.get(piece.clip))]
    asked = {clip.clip_id: held.parts[0] for clip, held in footage.items() if len(held.parts) == 1}
    names, spans = [], []
    for name, span in zip(truth.clips, truth.spans, strict=True):
        part = asked.get(name)
        names.append(part.clip.clip_id if part else name)
        shift = part.first if part else 0
        spans.append(Span(span.start, span.end, span.first + shift, span.last + shift))
    whole = Composition(composition.canvas, composition.frames, tuple(pieces))
    return Built(whole, dataclasses.replace(truth, clips=tuple(names), spans=tuple(spans)))


def _spread(piece: Piece, footage: Footage | None) -> Iterator[Piece]:
    if footage is None:
        yield piece
        return
    only = footage.parts[0]
    if len(footage.parts) == 1 and only.is_whole(footage.fps):
        yield dataclasses.replace(piece, clip=only.clip)
        return
    assert piece.end in ("exact", "loop"), "a part of a clip has no last frame that could stay"
    done = 0
    while done < piece.frames:
        tick = (piece.first + done) % footage.ticks
        for part in footage.parts:
            if tick < part.ticks:
                break
            tick -= part.ticks
        run = min(piece.frames - done, part.ticks - tick)
        yield Piece(part.clip, piece.box, piece.at + done, run, first=part.first + tick)
        done += run
