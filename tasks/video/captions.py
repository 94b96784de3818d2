"""Captioned clips: what a clip shows, as text and as atomic facts; the schema that VISTA's stages share.

A fact is said of one thing by one word of its kind's vocabulary, so a question about it has one right answer and
other clips give wrong ones. Sub-captions are LongTake-HD's (arXiv 2412.01316), keyed by their segment's centre frame.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa


class Fact(NamedTuple):
    """One thing that a clip shows. `subject` is a noun phrase, unique among the clip's facts of that kind."""

    kind: str  # object_colour, glyph, camera_motion, ...
    subject: str  # "the large circle"
    value: str  # "red"


SEGMENTS = 5  # of a clip, each with a sub-caption
FACT = pa.struct([pa.field(name, pa.string(), nullable=False) for name in Fact._fields])
SEGMENT = pa.struct(
    [
        pa.field("frame_s", pa.float64(), nullable=False),  # of the segment's centre frame, since the clip's beginning
        pa.field("caption", pa.string(), nullable=False),
        pa.field("facts", pa.list_(pa.field("item", FACT, nullable=False)), nullable=False),
    ]
)
CLIPS = pa.schema(
    [
        pa.field(name, pa.string(), nullable=False)
        for name in ("clip_id", "source_id", "root", "path", "name", "licence", "credit", "url")
    ]
    + [
        pa.field(name, pa.int64(), nullable=False)
        for name in ("start_pts", "end_pts", "time_base_num", "time_base_den", "frames")
    ]
    + [pa.field(name, pa.float64(), nullable=False) for name in ("start_s", "end_s", "fps")]
    + [pa.field(name, pa.int32(), nullable=False) for name in ("width_px", "height_px")]  # as displayed
    + [
        pa.field("kind", pa.string(), nullable=False),  # generated or film
        pa.field("backend", pa.string(), nullable=False),  # who said what it shows
        pa.field("caption", pa.string(), nullable=False),
        pa.field("facts", pa.list_(pa.field("item", FACT, nullable=False)), nullable=False),
        pa.field("segments", pa.list_(pa.field("item", SEGMENT, nullable=False)), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),  # clips that share footage have one
    ]
)  # source_id: sha256 of the file; root: the folder that `path` is relative to


def centre_frames(frames: int) -> list[int]:
    """Return the centre frame of each of the equal segments of a clip of so many frames."""
    return [math.floor((number + 0.5) * frames / SEGMENTS) for number in range(SEGMENTS)]


def facts_of(row: Mapping[str, Any]) -> list[Fact]:
    """Return the facts of a clip or of a segment, a row of CLIPS or SEGMENT."""
    return [Fact(**one) for one in row["facts"]]
