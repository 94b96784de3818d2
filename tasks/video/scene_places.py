"""Places of the things in a generated scene while it is drawn: inside the picture, off its sign, off each other."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tasks.video.scene_shapes import extent
from tasks.video.scene_words import COLOURS, SIZES, UNLIKE
from tasks.video.scenes import Background, Settings, Sign, Thing, Track

TRIES = 60  # of a layout, of a place, and of an event
_GAP = 0.035  # in heights, that things keep from each other and from the edge


@dataclass
class Draft:
    """A scene while it is drawn."""

    rng: np.random.Generator
    settings: Settings
    background: Background
    sign: Sign | None
    cast: dict[str, Thing] = field(default_factory=dict)
    done: set[tuple[str, str, str]] = field(default_factory=set)
    colours: set[str] = field(default_factory=set)  # that were seen

    @property
    def height(self) -> int:
        return self.settings.height_px

    def radius(self, size: str) -> float:
        """Return the radius of a thing of that size, in pixels."""
        return SIZES[size] * self.height

    def seen(self) -> list[Thing]:
        """Return the things that are seen now."""
        return [thing for thing in self.cast.values() if thing.seen]

    def spare(self) -> list[str]:
        """Return the colours that were not seen yet and that the background does not hide."""
        hidden = {self.background.colour, *UNLIKE.get(self.background.colour, ())}
        return [name for name in COLOURS if name not in self.colours | hidden]


def lay_out(draft: Draft) -> None:
    """Give each thing that is seen a place of its own. Raises ValueError where the picture is too small."""
    for _ in range(TRIES):
        placed: list[Thing] = []
        for thing in sorted(draft.seen(), key=lambda thing: thing.size):  # the large ones first
            place = free_place(draft, thing, placed)
            if place is None:
                break
            placed.append(replace(thing, x=place[0], y=place[1]))
        else:
            draft.cast |= {thing.shape: thing for thing in placed}
            return
    raise ValueError("the picture is too small for the things: raise make_clips.width_px")


def free_place(draft: Draft, thing: Thing, others: Sequence[Thing]) -> tuple[float, float] | None:
    """Return a place (x, y) for a thing that is off all others, or None where none is found."""
    reach = _reach(draft, thing)
    for _ in range(TRIES):
        x = float(draft.rng.uniform(reach, draft.settings.width_px - reach))
        y = float(draft.rng.uniform(reach, draft.height - reach))
        track = resting_track(draft, replace(thing, x=x, y=y), 1)
        if is_clear(draft, track, [resting_track(draft, other, 1) for other in others]):
            return x, y
    return None


def _reach(draft: Draft, thing: Thing) -> float:
    return extent(thing.shape) * draft.radius(thing.size) + _GAP * draft.height


def is_clear(draft: Draft, track: Track, others: Sequence[Track]) -> bool:
    """Say whether a thing stays inside the picture, off the sign and off the other things, in all frames."""
    reach = extent(track.before.shape) * track.radius + _GAP * draft.height
    width, height = draft.settings.width_px, draft.height
    if (track.x < reach).any() or (track.x > width - reach).any():
        return False
    if (track.y < reach).any() or (track.y > height - reach).any():
        return False
    if draft.sign is not None:
        aside = np.maximum(np.maximum(draft.sign.left - track.x, track.x - draft.sign.left - draft.sign.width), 0)
        above = np.maximum(np.maximum(draft.sign.top - track.y, track.y - draft.sign.top - draft.sign.height), 0)
        if (np.hypot(aside, above) < reach).any():
            return False
    for other in others:
        apart = reach + extent(other.before.shape) * other.radius
        if (np.hypot(track.x - other.x, track.y - other.y) < apart).any():
            return False
    return True


def resting_track(draft: Draft, thing: Thing, frames: int) -> Track:
    """Return the track of a thing that does nothing."""
    ones = np.ones(frames)
    seen = np.full(frames, thing.seen)
    return Track(thing, thing, thing.x * ones, thing.y * ones, draft.radius(thing.size) * ones, 0 * ones, seen, 0)
