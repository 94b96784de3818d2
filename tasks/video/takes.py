"""What is measured of one take from the pictures that the scan kept: nothing here decodes video.

Each score is a stored function of its own, so that a changed one, or another backend, computes only itself.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tasks.keys import StoredFunction, canonical_json, key_of
from tasks.store import Record, Store
from tasks.video import diversity, overlay, perceptual, text_area
from tasks.video.backends import open_backend
from tasks.video.strip import nearest, picture_of, strip_pictures, strip_times

LIBRARIES = ("numpy", "opencv-python-headless")
OVERLAY_VERSION = "1"
EMBEDDING_VERSION = "1"


@dataclass(frozen=True)
class Scoring:
    """How takes are scored: backends by name, and the folder of those that need weights."""

    keyframes: int
    quality: str
    perceptual: str
    motion: str
    models: str


@dataclass(frozen=True)
class Kept:
    """Pictures of a video that the scan kept: blobs in order of time, and the pts at which each begins."""

    blobs: tuple[str, ...]
    first_pts: tuple[int, ...]


@dataclass(frozen=True)
class Take:
    """A stretch [start_pts, end_pts) of a video, and where its pictures are kept."""

    take_id: str
    name: str  # of its video
    start_pts: int
    end_pts: int
    strip: Kept
    luma: Kept
    edges: Kept
    seconds_per_pts: float


class Pictures:
    """The pictures of one take, each read when first asked for."""

    def __init__(self, store: Store, take: Take, keyframes: int):
        self._store, self._take, self._count = store, take, keyframes
        self._keyframes: tuple[list[int], list[np.ndarray]] | None = None

    def keyframes(self) -> tuple[list[int], list[np.ndarray]]:
        """Return (pts, uint8 BGR pictures): of each of the equal segments the strip's nearest to its centre."""
        if self._keyframes is None:
            take = self._take
            times = strip_times(self._store, take.strip.blobs)
            centres = [
                take.start_pts + (i + 0.5) * (take.end_pts - take.start_pts) / self._count for i in range(self._count)
            ]
            pts = nearest(times, centres, take.start_pts, take.end_pts)
            jpegs = strip_pictures(self._store, take.strip.blobs, take.strip.first_pts, sorted(set(pts)))
            images = {at: picture_of(jpeg, cv2.IMREAD_COLOR) for at, jpeg in jpegs.items()}
            self._keyframes = pts, [images[at] for at in pts]
        return self._keyframes

    def strip(self) -> tuple[list[int], list[np.ndarray]]:
        """Return all pictures of the strip in the take, with their pts."""
        return self._inside(self._take.strip, cv2.IMREAD_COLOR)

    def readable(self) -> list[np.ndarray]:
        """Return the full-size luma frames of the take, uint8 (H, W); of one too short for any, a small one."""
        frames = self._inside(self._take.luma, cv2.IMREAD_GRAYSCALE)[1]
        return frames or [cv2.cvtColor(self.keyframes()[1][self._count // 2], cv2.COLOR_BGR2GRAY)]

    def edges(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (dx, dy), the edges of the take's samples, int8 (n, H, W)."""
        take = self._take
        return overlay.read_edge_maps(self._store, take.edges.blobs, take.edges.first_pts, take.start_pts, take.end_pts)

    def _inside(self, chunks: Kept, how: int) -> tuple[list[int], list[np.ndarray]]:
        times = strip_times(self._store, chunks.blobs)
        pts = times[np.searchsorted(times, self._take.start_pts) : np.searchsorted(times, self._take.end_pts)].tolist()
        jpegs = strip_pictures(self._store, chunks.blobs, chunks.first_pts, pts)
        return pts, [picture_of(jpegs[at], how) for at in pts]


@dataclass(frozen=True)
class Score:
    """A stored function of a take: what it is called, what its numbers depend on, and how they are made."""

    name: str
    version: str
    params: dict[str, Any]
    inputs: str  # which pictures of the take it reads: strip, luma or edges
    libraries: tuple[str, ...]
    compute: Callable[[Pictures, Take], dict[str, Any]]

    def key(self, take: Take) -> str:
        """Return the store's key of this score of a take."""
        return key_of(self.name, self.version, self.params, self.input_of(take))

    def input_of(self, take: Take) -> str:
        """Return what the score reads, as text."""
        chunks: Kept = getattr(take, self.inputs)
        return canonical_json([list(chunks.blobs), take.start_pts, take.end_pts])


def scores(scoring: Scoring) -> list[Score]:
    """Return all scores that look at pictures. A new one is added here; it alone is computed for earlier takes."""
    quality = _backend("quality", scoring.quality, scoring.models)
    distance = _backend("perceptual", scoring.perceptual, scoring.models)
    centres = {"keyframes": scoring.keyframes}
    found = [
        Score(
            "video.take_diversity",
            diversity.VERSION,
            centres,
            "strip",
            LIBRARIES,
            lambda pictures, take: _diversity(pictures),
        ),
        Score(
            "video.take_embedding",
            EMBEDDING_VERSION,
            centres,
            "strip",
            LIBRARIES,
            lambda pictures, take: {"embedding": _rounded(perceptual.embedding(pictures.keyframes()[1]))},
        ),
        Score(
            "video.take_perceptual",
            distance.version,
            centres | {"backend": distance.identity},
            "strip",
            distance.libraries,
            lambda pictures, take: diversity.spread("perceptual", distance.distances(pictures.keyframes()[1])),
        ),
        Score(
            "video.take_quality",
            quality.version,
            centres | {"backend": quality.identity},
            "strip",
            quality.libraries,
            lambda pictures, take: {"quality": _mean(quality.scores(pictures.keyframes()[1]))},
        ),
        Score(
            "video.take_text",
            text_area.VERSION,
            centres,
            "luma",
            text_area.LIBRARIES,
            lambda pictures, take: {"text_area": text_area.mean_share(pictures.readable())},
        ),
        Score(
            "video.take_overlay",
            OVERLAY_VERSION,
            {},
            "edges",
            LIBRARIES,
            lambda pictures, take: {"overlay_area": float(overlay.take_overlay(*pictures.edges()).area)},
        ),
    ]
    if scoring.motion != "dis":
        flow = _backend("flow", scoring.motion, scoring.models)
        found.append(
            Score(
                "video.take_motion",
                flow.version,
                {"backend": flow.identity},
                "strip",
                flow.libraries,
                lambda pictures, take: {"motion_px_s": _flow(flow, *pictures.strip(), take.seconds_per_pts)},
            )
        )
    return found


@cache
def _backend(kind: str, name: str, models: str) -> Any:
    return open_backend(kind, name, Path(models))


def identities(scoring: Scoring) -> dict[str, str]:
    """Return what stands beside each score of a backend: its name, version and weights."""
    kinds = {"quality": "quality", "perceptual": "perceptual", "motion": "flow"}
    return {"text_backend": f"rapidocr@{text_area.VERSION}"} | {
        f"{name}_backend": _backend(kind, getattr(scoring, name), scoring.models).identity
        for name, kind in kinds.items()
    }


def stored_functions() -> list[StoredFunction]:
    """Return the scores with their default backends, for the table of versions."""
    some = scores(Scoring(5, "photographic", "hog_lab", "dis", ""))
    return [StoredFunction(s.name, s.version, __name__, s.libraries) for s in some]


def stored_scores(store: Store, takes: Iterable[Take], scoring: Scoring) -> dict[str, dict[str, Record]]:
    """Return what the store has of each take: take_id -> function -> record."""
    takes = list(takes)
    found: dict[str, dict[str, Record]] = {take.take_id: {} for take in takes}
    for score in scores(scoring):
        keys = {take.take_id: score.key(take) for take in takes}  # two that show the same pictures share one
        records = store.get_many(score.name, keys.values())
        for take_id, key in keys.items():
            if key in records:
                found[take_id][score.name] = records[key]
    return found


@dataclass(frozen=True)
class TakeJob:
    """One take for a worker."""

    take: Take
    scoring: Scoring
    missing: tuple[str, ...]  # functions
    store_url: str


def score_take(job: TakeJob) -> int:
    """Compute and keep what is missing of one take; return how many scores that were. Raises StoreError."""
    cv2.setNumThreads(1)
    store = Store(job.store_url)
    pictures = Pictures(store, job.take, job.scoring.keyframes)
    with store.writer() as writer:
        for score in scores(job.scoring):
            if score.name in job.missing:
                value = score.compute(pictures, job.take)
                writer.put(score.name, score.version, score.params, score.input_of(job.take), value)
    return len(job.missing)


def scores_of(records: Mapping[str, Record]) -> dict[str, Any]:
    """Return the scores of a take by name, from all its records."""
    found: dict[str, Any] = {}
    for record in records.values():
        found |= record.value
    return found


def _diversity(pictures: Pictures) -> dict[str, Any]:
    pts, images = pictures.keyframes()
    return {"keyframe_pts": pts, **diversity.neighbours(images)}


def _flow(flow: Any, pts: list[int], images: list[np.ndarray], seconds_per_pts: float) -> float:
    speeds = [
        flow.speed_px_s(images[i], images[i + 1], (pts[i + 1] - pts[i]) * seconds_per_pts) for i in range(len(pts) - 1)
    ]
    return _mean(speeds)


def _mean(values: Iterable[float]) -> float:
    numbers = [float(value) for value in values]
    return sum(numbers) / len(numbers) if numbers else 0.0


def _rounded(vector: np.ndarray) -> list[float]:
    return [round(float(value), 6) for value in vector]
