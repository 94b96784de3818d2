"""What a clip's pictures look like, and where they change: worked out once from the strip, kept in the store."""

import itertools
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from tasks.keys import StoredFunction, canonical_json
from tasks.store import Store
from tasks.video.picture_facts import look_at
from tasks.video.strip import nearest, picture_of, strip_pictures, strip_times

STORED = StoredFunction("video.clip_colours", "3", __name__, ("numpy", "opencv-python-headless"))


@dataclass(frozen=True)
class Pictured:
    """A clip for a worker: where its pictures are kept."""

    store_url: str
    strip_blobs: tuple[str, ...]
    strip_first_pts: tuple[int, ...]
    start_pts: int
    end_pts: int

    @property
    def digest(self) -> str:
        """What the pictures are."""
        return canonical_json([list(self.strip_blobs), self.start_pts, self.end_pts])


def clip_colours(clip: Pictured) -> dict[str, Any]:
    """Return the times of a clip's pictures, what `picture_facts.look_at` gives of each, and where they change.

    `changes` has for each picture but the first the mean difference to the one before, in grey levels, of its left,
    middle and right third.
    """
    store = Store(clip.store_url)
    times = strip_times(store, clip.strip_blobs)
    inside = times[np.searchsorted(times, clip.start_pts) : np.searchsorted(times, clip.end_pts)].tolist()
    wanted = inside or nearest(times, [(clip.start_pts + clip.end_pts) / 2], clip.start_pts, clip.end_pts)
    found = strip_pictures(store, clip.strip_blobs, clip.strip_first_pts, wanted)
    pictures = [picture_of(found[pts], cv2.IMREAD_COLOR) for pts in wanted]
    looks = [look_at(picture) for picture in pictures]
    return {
        "pts": wanted,
        "shares": [shares.round(4).tolist() for shares, _ in looks],
        "light": [light.round(3).tolist() for _, light in looks],
        "changes": [_by_thirds(before, now) for before, now in itertools.pairwise(pictures)],
    }


def _by_thirds(before: np.ndarray, now: np.ndarray) -> list[float]:
    greys = [cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in (before, now)]
    differences = cv2.absdiff(*greys).mean(axis=0, dtype=np.float64)
    return [round(float(third.mean()), 3) for third in np.array_split(differences, 3)]
