"""Records of VISTA's items, as records.parquet has them: what is asked, of what, and where and when it is seen."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from tasks.video.conversations import conversation
from tasks.video.items import Item
from tasks.video.vista_plan import Planned

_TURN = pa.struct([pa.field("from", pa.string(), nullable=False), pa.field("value", pa.string(), nullable=False)])
_INTERVAL = pa.struct(
    [pa.field("start_s", pa.float64(), nullable=False), pa.field("end_s", pa.float64(), nullable=False)]
)
_CELL = pa.struct([pa.field("row", pa.int32(), nullable=False), pa.field("column", pa.int32(), nullable=False)])
_BOX = pa.struct([pa.field(name, pa.int32(), nullable=False) for name in ("x", "y", "width", "height")])


def _list(name: str, of: pa.DataType) -> pa.Field:
    return pa.field(name, pa.list_(pa.field("item", of, nullable=False)), nullable=False)


_PROVENANCE = pa.struct([_list(name, pa.string()) for name in ("asked_of", "beside", "sources", "groups")])
RECORDS = pa.schema(
    [
        pa.field(name, pa.string(), nullable=False)
        for name in ("id", "subset", "family", "answer_type", "split", "pairing", "plan_id")
    ]
    + [pa.field("video", pa.string()), pa.field("video_sha256", pa.string())]  # of items that are plans alone: null
    + [_list("conversations", _TURN)]
    + [pa.field(name, pa.string(), nullable=False) for name in ("instruction", "question", "answer", "style", "key")]
    + [_list("options", pa.string()), _list("option_clips", pa.string())]
    + [_list("boxes", _BOX), _list("intervals", _INTERVAL), _list("cells", _CELL)]
    + [pa.field(name, pa.int32(), nullable=False) for name in ("width_px", "height_px", "frames")]
    + [
        pa.field(name, pa.float64(), nullable=False)
        for name in ("fps", "duration_s", "needle_s", "needle_share", "needle_position", "sampler_step_s")
    ]
    + [_list("frames_seen", pa.int32()), pa.field("may_be_missed", pa.bool_(), nullable=False)]
    + [pa.field("seed", pa.int64(), nullable=False), pa.field("provenance", _PROVENANCE, nullable=False)]
    + [pa.field(name, pa.string(), nullable=False) for name in ("text_backend", "licence", "credit", "url")]
)
# subset: as the paper's folders; family: without the form. boxes: pixels of the canvas. intervals: seconds since the
# beginning, one for each time that what is asked of comes on. cells: from 1. needle_position: the middle of it, as a
# share of the length. sampler_step_s, frames_seen, may_be_missed: of `middle` sampling with augment_vista.sampler


def record_of(
    planned: Planned, item: Item, rows: Mapping[str, Mapping[str, Any]], seed: int, sampler_frames: int
) -> dict[str, Any]:
    """Return an item as a row of RECORDS that has no video; `rows` are the captioned clips by id."""
    composition, truth = planned.built.composition, planned.built.truth
    spans, canvas = truth.seconds(), composition.canvas
    used = [rows[clip_id] for clip_id in (*planned.asked_of, *planned.beside)]
    shown_s = sum(end - start for start, end in spans)
    sampler = planned.sampler(sampler_frames)
    return {
        "id": planned.item_id,
        "subset": item.subset,
        "family": planned.subset,
        "answer_type": "mcq" if item.options else "caption" if item.subset == "long_video_caption" else "qa",
        "split": planned.split,
        "pairing": planned.pairing,
        "plan_id": planned.plan_id,
        "video": None,
        "video_sha256": None,
        "conversations": conversation(item),
        **{name: getattr(item, name) for name in ("instruction", "question", "answer", "style", "key")},
        "options": list(item.options),
        "option_clips": list(item.option_clips),
        "boxes": [truth.box._asdict()] if truth.box else [],
        "intervals": [{"start_s": start, "end_s": end} for start, end in spans],
        "cells": [{"row": truth.cell[0], "column": truth.cell[1]}] if truth.cell else [],
        "width_px": canvas.width,
        "height_px": canvas.height,
        "frames": composition.frames,
        "fps": float(canvas.fps),
        "duration_s": composition.duration_s,
        "needle_s": shown_s,
        "needle_share": shown_s / composition.duration_s,
        "needle_position": (spans[0][0] + spans[-1][1]) / 2 / composition.duration_s,
        "sampler_step_s": sampler["step_s"],
        "frames_seen": sampler["seen"],
        "may_be_missed": sampler["may_be_missed"],
        "seed": seed,
        "provenance": {
            "asked_of": list(planned.asked_of),
            "beside": list(planned.beside),
            **{
                f"{name}s": sorted({row[key] for row in used})
                for name, key in (("source", "source_id"), ("group", "group"))
            },
        },
        "text_backend": item.backend,
        "licence": planned.licence,
        **{name: "; ".join(sorted({row[name] for row in used} - {""})) for name in ("credit", "url")},
    }
