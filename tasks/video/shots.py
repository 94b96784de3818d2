"""The shots of one video, found once and kept: stretches between cuts, without the frames of dissolves and fades."""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from tasks.keys import StoredFunction, canonical_json, key_of
from tasks.store import Record, Store
from tasks.video import transnet
from tasks.video.thumbnails import read_thumbnails
from tasks.video.transitions import Boundary, Rules, find_boundaries

NAME, VERSION = "video.shots", "5"
GAP_S, GAP_FRAMES = 1.0, 10  # a recording that pauses for more than both of seconds and usual frames is two
STORED = StoredFunction(NAME, VERSION, __name__, libraries=("numpy", "opencv-python-headless", "torch", transnet.NAME))


@dataclass(frozen=True)
class Seen:
    """What the boundaries of a video are found from, whatever file it is of."""

    thumbnail_blobs: tuple[str, ...]
    i_frames: bytes  # a bit for each frame, as by `packed`
    gaps: tuple[int, ...] = ()  # the frames that long gaps in time lie before, as by `gaps_in`

    @property
    def hash(self) -> str:
        """The input of the store's key."""
        return canonical_json([*self.thumbnail_blobs, hashlib.sha256(self.i_frames).hexdigest(), *self.gaps])


@dataclass(frozen=True)
class ShotJob:
    """One video for a worker."""

    seen: Seen
    store_url: str
    rules: Rules


def packed(i_frame: np.ndarray) -> bytes:
    """Return flags as bits."""
    return np.packbits(np.asarray(i_frame, bool)).tobytes()


def gaps_in(pts: np.ndarray, time_base: Fraction) -> tuple[int, ...]:
    """Return the frames of a video, shown at `pts`, that begin another recording: nothing was shown for long before."""
    steps = np.diff(pts)
    if not len(steps):
        return ()
    longest = max(GAP_S / time_base, GAP_FRAMES * float(np.median(steps)))
    return tuple((1 + np.flatnonzero(steps > longest)).tolist())


def stored_shots(store: Store, videos: Mapping[str, Seen], rules: Rules) -> dict[str, Record]:
    """Return what is stored of `videos` by source_id."""
    keys = {source_id: key_of(NAME, VERSION, asdict(rules), seen.hash) for source_id, seen in videos.items()}
    found = store.get_many(NAME, keys.values())
    return {source_id: found[key] for source_id, key in keys.items() if key in found}


def find_shots(job: ShotJob) -> int:
    """Find and keep the boundaries of one video; return how many frames the network saw. Raises StoreError."""
    store = Store(job.store_url)
    frames = np.ascontiguousarray(read_thumbnails(store, job.seen.thumbnail_blobs)[..., ::-1])
    i_frame = np.unpackbits(np.frombuffer(job.seen.i_frames, np.uint8), count=len(frames)).astype(bool)
    difference = color_difference(frames)
    boundaries, judged = find_boundaries(difference, i_frame, frames, job.rules, transnet.judge, job.seen.gaps)
    value = {
        "frames": len(frames),
        "judged_frames": judged,
        "boundaries": [[b.end, b.start, b.kind, round(b.probability, 4)] for b in boundaries],
    }
    with store.writer() as writer:
        writer.put(NAME, VERSION, asdict(job.rules), job.seen.hash, value)
    return judged


def color_difference(frames: np.ndarray) -> np.ndarray:
    """Return the mean absolute difference of each frame from the one before (0 for the first), float64 (N,)."""
    found = np.zeros(len(frames))
    for at in range(1, len(frames)):
        before, now = frames[at - 1], frames[at]
        found[at] = (np.maximum(before, now) - np.minimum(before, now)).mean()
    return found


def boundaries_of(record: Record) -> list[Boundary]:
    """Return the boundaries that a record holds, in order of time."""
    return [Boundary(*row) for row in record.value["boundaries"]]


def shot_rows(source_id: str, pts: np.ndarray, end_pts: int, boundaries: Sequence[Boundary]) -> list[dict[str, Any]]:
    """Return a row for each shot of a video whose frames are shown at `pts`; frames of transitions are in none."""
    edges = [Boundary(0, 0, "start", 1.0), *boundaries, Boundary(len(pts), len(pts), "end", 1.0)]
    rows = []
    for begins, ends in itertools.pairwise(edges):
        if begins.start >= ends.end:
            continue
        rows.append(
            {
                "source_id": source_id,
                "start_pts": int(pts[begins.start]),
                "end_pts": int(pts[ends.end]) if ends.end < len(pts) else end_pts,
                "frames": ends.end - begins.start,
                "begins": begins.kind,
                "begins_probability": begins.probability,
                "ends": ends.kind,
                "ends_probability": ends.probability,
            }
        )
    return rows
