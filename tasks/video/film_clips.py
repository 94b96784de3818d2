"""Clips of real film that can be captioned: where they lie, and which share footage.

A near-duplicate has its original's group, and a group is in one split: the rule by which `film_pictures` deals out
backgrounds, so that no shot is behind a scene in one split and a clip in another.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from tasks.video.captions import centre_frames
from tasks.video.clip_spans import Lengths, Span, clip_spans
from tasks.video.content import Splits, split_groups, split_of
from tasks.video.measured import SAMPLED

_TERMS = ("licence", "credit", "url")


@dataclass(frozen=True)
class Film:
    """A video as the scan saw it: its row of videos.parquet, its frames, its samples. Times are pts, growing."""

    row: Mapping[str, Any]
    frame_pts: np.ndarray
    sample_pts: np.ndarray
    samples: Mapping[str, np.ndarray]  # each of SAMPLED; NaN where it is not known

    @property
    def seconds_per_pts(self) -> float:
        """How long a unit of pts is."""
        return float(self.row["time_base_num"] / self.row["time_base_den"])

    @property
    def aspect(self) -> float:
        """Width by height, as displayed."""
        return float(self.row["width"] / self.row["height"])

    def seconds(self, pts: int) -> float:
        """Return the time since the video's first frame."""
        return (pts - self.row["start_pts"]) * self.row["time_base_num"] / self.row["time_base_den"]


@dataclass(frozen=True)
class FilmClip:
    """A clip [start_pts, end_pts) of a film. Clips of one `group` share footage."""

    clip_id: str
    film: Film
    span: Span
    parent: str  # the take that it is of, or where its caption stands
    group: str

    @property
    def frame_pts(self) -> np.ndarray:
        """Times of its frames."""
        first, last = np.searchsorted(self.film.frame_pts, (self.span.start_pts, self.span.end_pts))
        return self.film.frame_pts[first:last]

    @property
    def centres(self) -> tuple[int, ...]:
        """Times of the centre frames of its five segments."""
        frame_pts = self.frame_pts
        return tuple(int(frame_pts[number]) for number in centre_frames(len(frame_pts)))

    @property
    def duration_s(self) -> float:
        """How long it is shown."""
        return (self.span.end_pts - self.span.start_pts) * self.film.seconds_per_pts

    def row(self, splits: Splits) -> dict[str, Any]:
        """Return what a row of captions.CLIPS says of it, but for what it shows."""
        video = self.film.row
        return {
            "clip_id": self.clip_id,
            **{name: video[name] for name in ("source_id", "root", "path", "name", *_TERMS)},
            "start_pts": self.span.start_pts,
            "end_pts": self.span.end_pts,
            "time_base_num": video["time_base_num"],
            "time_base_den": video["time_base_den"],
            "frames": self.span.frames,
            "start_s": self.film.seconds(self.span.start_pts),
            "end_s": self.film.seconds(self.span.end_pts),
            "fps": video["fps"],
            "width_px": video["width"],
            "height_px": video["height"],
            "kind": "film",
            "split": split_of(self.group, **splits.model_dump()),
            "group": self.group,
        }


def read_films(scan: Path, source_ids: Iterable[str]) -> dict[str, Film]:
    """Return the films with these ids, as scan_video wrote them into the folder `scan`."""
    wanted = sorted(set(source_ids))
    with duckdb.connect(config={"threads": 1}) as con:

        def rows_of(table: str, columns: str, order: str) -> Any:
            query = f"select {columns} from read_parquet($path) where source_id in $wanted order by {order}"
            return con.sql(query, params={"path": str(scan / f"{table}.parquet"), "wanted": wanted}).to_arrow_table()

        videos = rows_of("videos", "*", "source_id").to_pylist()
        frames = _by_source(rows_of("frames", "source_id, pts", "source_id, pts"))
        samples = _by_source(rows_of("samples", ", ".join(("source_id", "pts", *SAMPLED)), "source_id, pts"))
    return {
        video["source_id"]: Film(
            video,
            frames[video["source_id"]]["pts"],
            samples[video["source_id"]].pop("pts"),
            samples[video["source_id"]],
        )
        for video in videos
    }


def _by_source(table: Any) -> dict[str, dict[str, np.ndarray]]:
    """Return the columns of each source, of a table in their order."""
    ids = table.column("source_id").to_numpy(zero_copy_only=False)
    bounds = [0, *(np.flatnonzero(ids[1:] != ids[:-1]) + 1).tolist(), len(ids)]
    columns = {
        name: np.asarray(table.column(name).to_numpy(zero_copy_only=False), np.int64 if name == "pts" else np.float64)
        for name in table.column_names
        if name != "source_id"
    }
    return {
        str(ids[first]): {name: values[first:last] for name, values in columns.items()}
        for first, last in itertools.pairwise(bounds)
        if last > first
    }


def take_clips(
    takes: Sequence[Mapping[str, Any]], films: Mapping[str, Film], groups: Mapping[str, str], lengths: Lengths
) -> dict[str, list[FilmClip]]:
    """Return the clips that each take gives, by take_id; none where it is too short. Takes that overlap share clips."""
    found: dict[str, list[FilmClip]] = {}
    seen: set[str] = set()
    for take in takes:
        film = films[take["source_id"]]
        first, last = np.searchsorted(film.frame_pts, (take["start_pts"], take["end_pts"]))
        spans = clip_spans(film.frame_pts[first:last], take["end_pts"], film.seconds_per_pts, lengths)
        clips = [
            FilmClip(clip_id(take["source_id"], span), film, span, take["take_id"], groups[take["take_id"]])
            for span in spans
        ]
        found[take["take_id"]] = [clip for clip in clips if clip.clip_id not in seen]
        seen |= {clip.clip_id for clip in clips}
    return found


def clip_id(source_id: str, span: Span) -> str:
    """Return the id of a clip, which is that of a take of the same stretch."""
    return f"{source_id[:16]}-{span.start_pts}-{span.end_pts}"


def shot_groups(
    shots: Sequence[Mapping[str, Any]], links: Mapping[str, str], joined: Iterable[Sequence[str]] = ()
) -> dict[str, str]:
    """Return the group of each shot, by take_id: its first near-duplicate's id, or its own.

    `links` has the linked_id of shots that have one; `joined` are lists of shots that one clip shows.
    """
    names = {shot["take_id"]: links.get(shot["take_id"], shot["take_id"]) for shot in shots}
    pairs = [(names[of[0]], names[other]) for of in joined for other in of[1:]]
    groups = split_groups(names.values(), pairs)
    return {shot: groups[name] for shot, name in names.items()}


def shots_within(shots: Sequence[Mapping[str, Any]], source_id: str, span: Span) -> list[str]:
    """Return the take_id of each shot of a video that a span shows a part of."""
    return [
        shot["take_id"]
        for shot in shots
        if shot["source_id"] == source_id and shot["start_pts"] < span.end_pts and shot["end_pts"] > span.start_pts
    ]
