"""Pictures of real film behind generated scenes: one of each shot that shows no text, from the strip of the scan.

Shots that are near-duplicates are one group, and a group is in one split: no footage is behind scenes of two.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.store import Store
from tasks.tables import read_table
from tasks.video.content import Splits, split_of
from tasks.video.strip import strip_pictures

MOST_TEXT = 0.003  # share of a shot's area: what is read in a clip shall be its words
LEAST_LUMA, MOST_LUMA = 35, 200
MOST_BARS = 0.02  # share of a shot's area that is letterbox
_COLUMNS = ("take_id", "source_id", "name", "luma", "letterbox_area", "text_area", "keyframe_pts")
_TERMS = ("licence", "credit", "url")


@dataclass(frozen=True)
class FilmShot:
    """A shot whose picture at `pts` may be behind a scene. Shots of one `group` show the same."""

    take_id: str
    group: str
    source_id: str
    name: str
    pts: int
    licence: str
    credit: str
    url: str


def film_shots(scores: Path, duplicates: Path, licences: Collection[str]) -> list[FilmShot]:
    """Return the shots of scores.parquet whose licence is among `licences` and whose middle keyframe will do.

    `duplicates` is duplicates.parquet. Raises TableError where a table cannot be read.
    """
    links = read_table(duplicates).select(["take_id", "linked_id"]).to_pylist()
    groups = {row["take_id"]: row["linked_id"] for row in links}
    return [
        FilmShot(
            row["take_id"],
            groups.get(row["take_id"], row["take_id"]),
            row["source_id"],
            row["name"],
            row["keyframe_pts"][len(row["keyframe_pts"]) // 2],
            *(row[name] for name in _TERMS),
        )
        for row in read_table(scores).select([*_COLUMNS, *_TERMS]).to_pylist()
        if row["licence"] in licences and _will_do(row)
    ]


def _will_do(row: Mapping[str, Any]) -> bool:
    return bool(
        row["keyframe_pts"]
        and row["text_area"] is not None
        and row["text_area"] <= MOST_TEXT
        and LEAST_LUMA <= row["luma"] <= MOST_LUMA
        and row["letterbox_area"] <= MOST_BARS
    )


def shots_by_split(shots: Sequence[FilmShot], splits: Splits) -> dict[str, list[FilmShot]]:
    """Deal shots out to the splits, by a hash of their group: new shots move none."""
    found: dict[str, list[FilmShot]] = {"train": [], "valid": [], "test": []}
    for shot in shots:
        found[split_of(shot.group, **splits.model_dump())].append(shot)
    return found


def shot_for(name: str, seed: int, shots: Sequence[FilmShot]) -> FilmShot:
    """Return the shot behind the source `name`: a new shot becomes that of a few sources, and changes no others."""
    return min(shots, key=lambda shot: hashlib.sha256(f"{seed}\0{name}\0{shot.take_id}".encode()).digest())


def read_pictures(store: Store, videos: Path, shots: Collection[FilmShot]) -> dict[FilmShot, bytes]:
    """Return the JPEG picture of each shot, by the scan's videos.parquet. Raises StoreError where one is gone."""
    strips = {
        row["source_id"]: row
        for row in read_table(videos).select(["source_id", "strip_blobs", "strip_first_pts"]).to_pylist()
    }
    found: dict[FilmShot, bytes] = {}
    for source_id in sorted({shot.source_id for shot in shots}):
        here = [shot for shot in shots if shot.source_id == source_id]
        strip = strips[source_id]
        wanted = sorted({shot.pts for shot in here})
        pictures = strip_pictures(store, strip["strip_blobs"], strip["strip_first_pts"], wanted)
        found |= {shot: pictures[shot.pts] for shot in here}
    return found
