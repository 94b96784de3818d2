"""What happens in a generated source video: a setting, a cast of things, and a chain of events.

Each clip says where each thing is in each of its frames, and what it does: pictures and captions follow from that.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tasks.video.scene_words import Typeface


@dataclass(frozen=True)
class Settings:
    """What all sources have in common."""

    width_px: int
    height_px: int
    fps: int
    min_events: int
    max_events: int
    min_clip_s: float
    max_clip_s: float
    max_gap_s: float  # most gaps between clips of a source are no longer


@dataclass(frozen=True)
class Background:
    """`colour` is empty for a film picture, whose look is `style`."""

    texture: str
    colour: str
    style: str = ""
    seed: int = 0


@dataclass(frozen=True)
class Sign:
    """A board with a word, its left top corner and size in pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Thing:
    """A member of the cast as it is between events; x and y in pixels, of its centre."""

    shape: str
    colour: str
    size: str
    word: str = ""
    seen: bool = True
    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True)
class Track:
    """One thing over the N frames of a clip; arrays are (N,)."""

    before: Thing
    after: Thing
    x: np.ndarray
    y: np.ndarray
    radius: np.ndarray  # pixels
    angle: np.ndarray  # degrees, clockwise
    seen: np.ndarray  # bool
    recoloured_at: int  # the first frame in its last colour; 0 where that is its only one

    @property
    def is_still(self) -> bool:
        """Say whether all frames show the thing in the same place and as it was."""
        moved = any(np.ptp(values) for values in (self.x, self.y, self.radius, self.angle))
        return bool(self.seen.all()) and not moved and self.before == self.after

    def colour_at(self, frame: int) -> str:
        """Return the name of the colour in a frame."""
        return self.before.colour if frame < self.recoloured_at else self.after.colour


@dataclass(frozen=True)
class Action:
    """What a thing does in a clip. `frame` is the first frame of what happens at once, or of contact."""

    actor: str  # its shape
    verb: str
    motion: str = ""  # of "moves"
    other: str = ""  # shape of what it collides with
    frame: int = 0


@dataclass(frozen=True)
class Clip:
    """An event: frames [start, start + frames) of the source. `view` counts the cuts before it."""

    start: int
    frames: int
    tracks: tuple[Track, ...]  # of the things that are seen in it at some time
    actions: tuple[Action, ...]
    view: int
    word: str  # on the sign, empty where there is none


@dataclass(frozen=True)
class Scene:
    """A source video. Frames in no clip show the end of the clip before, held."""

    background: Background
    typeface: Typeface
    sign: Sign | None
    clips: tuple[Clip, ...]

    @property
    def frames(self) -> int:
        last = self.clips[-1]
        return last.start + last.frames


def held_frames(scene: Scene) -> Iterator[tuple[Clip, int]]:
    """Yield for each clip how many frames after it show its end."""
    for clip, following in itertools.zip_longest(scene.clips, scene.clips[1:]):
        yield clip, 0 if following is None else following.start - clip.start - clip.frames
