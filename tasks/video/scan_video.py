"""Decode each video once and keep what every later decision needs: data/curated/scan/.

videos.parquet (one row a video), frames.parquet (colour difference of every frame), samples.parquet (exposure,
sharpness, bars and motion a few times a second). The strip of small pictures, the thumbnails of all frames, the edge
maps and the full-size luma pictures lie in the store, named by videos.parquet.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field

from tasks.stage import Plan, Report, Stage, StrictModel, stage_main
from tasks.store import Record, Store
from tasks.tables import REJECTED, Reject, TableWriter, read_table, rejected_row, write_table
from tasks.video import probe
from tasks.video.floor import FloorParams
from tasks.video.letterbox import SIDES
from tasks.video.manifest import MANIFEST, Own
from tasks.video.overlay import EdgeMaps
from tasks.video.scan import (
    SAMPLED,
    Floor,
    Job,
    Settings,
    check_floor,
    check_whole,
    is_complete,
    joined,
    path_of,
    scan_video_file,
    stored,
)
from tasks.video.scores import MOTION
from tasks.video.strip import LumaPictures, Strip
from tasks.video.thumbnails import ColorDifference, Thumbnails

STORED_BYTES_PER_S = 200_000  # about, for --plan: all pictures of 720p at 24 frames a second


def _field(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


VIDEOS = pa.schema(
    [_field(n, pa.string()) for n in ("source_id", "name", "root", "path", "licence", "credit", "url")]
    + [_field(n, pa.string()) for n in ("container", "codec", "pixel_format", "transfer", "primaries", "field_order")]
    + [_field(n, pa.int32()) for n in ("width", "height", "rotation_deg", "bit_depth")]
    + [_field("mirrored", pa.bool_())]
    + [_field(n, pa.float64()) for n in ("pixel_aspect", "fps", "duration_s", "longest_gap_s")]
    + [_field(n, pa.int64()) for n in ("time_base_num", "time_base_den", "start_pts", "end_pts")]
    + [_field(n, pa.int64()) for n in ("source_frames", "decoded_frames", "corrupt_frames", "decoder_errors")]
    + [_field(n, pa.int64()) for n in ("repaired_pts", "i_frames", "video_bytes", "strip_frames", "strip_bytes")]
    + [
        pa.field("strip_blobs", pa.list_(_field("element", pa.string())), nullable=False),
        pa.field("strip_first_pts", pa.list_(_field("element", pa.int64())), nullable=False),
        pa.field("thumbnail_blobs", pa.list_(_field("element", pa.string())), nullable=False),
        pa.field("edge_blobs", pa.list_(_field("element", pa.string())), nullable=False),
        pa.field("edge_first_pts", pa.list_(_field("element", pa.int64())), nullable=False),
        pa.field("luma_blobs", pa.list_(_field("element", pa.string())), nullable=False),
        pa.field("luma_first_pts", pa.list_(_field("element", pa.int64())), nullable=False),
    ]
)  # width, height: as displayed, upright and with square pixels

FRAMES = pa.schema(
    [
        _field("source_id", pa.string()),
        _field("pts", pa.int64()),
        _field("i_frame", pa.bool_()),
        pa.field("color_difference", pa.float32()),  # 0..255; null for a video's first frame
    ]
)

SAMPLES = pa.schema(
    [
        _field("source_id", pa.string()),
        _field("pts", pa.int64()),
        _field("luma", pa.float32()),  # 0..255
        _field("dark_share", pa.float32()),  # of pixels <= 8
        _field("bright_share", pa.float32()),  # of pixels >= 247
        pa.field("sharpness", pa.float32()),  # null for every second sample, and where all is flat
    ]
    + [_field(side, pa.float32()) for side in SIDES]  # shares of height and width that are black bars
    + [pa.field(name, pa.float32()) for name in MOTION]  # pixels at 720p; null for a video's first frame
)


class ScanVideo(StrictModel):
    sample_per_s: float = Field(gt=0, le=60, description="samples of exposure, sharpness, bars and motion a second")
    sample_short_side_px: int = Field(ge=64, le=1080, description="size at which they are measured")
    strip_per_s: float = Field(gt=0, le=60, description="pictures of the strip a second")
    strip_short_side_px: int = Field(ge=64, le=1080, description="size of the strip's pictures")
    strip_jpeg_quality: int = Field(ge=1, le=100)
    edges_per_s: float = Field(gt=0, le=60, description="maps of what stands still a second, for overlays")
    edges_short_side_px: int = Field(ge=45, le=360, description="size of these maps")
    luma_per_s: float = Field(gt=0, le=60, description="grey pictures of full size a second, for text")
    luma_jpeg_quality: int = Field(ge=1, le=100)


class Params(StrictModel):
    own: Own
    floor: FloorParams
    scan_video: ScanVideo


def run(stage: Stage, params: Params) -> Report:
    """Scan what is not stored yet, in worker processes, then write the tables from the store."""
    rows = read_table(stage.dep("data/raw/video") / "manifest.parquet", MANIFEST).to_pylist()
    roots = {"raw": stage.dep("data/raw/video"), "own": stage.dep(params.own.video)}
    settings, floor = Settings(**params.scan_video.model_dump()), Floor(**params.floor.model_dump())
    rejects = _scan_missing(stage, rows, roots, settings, floor)
    store = stage.store
    figures: Counter[str] = Counter()
    videos: list[dict[str, Any]] = []
    out = stage.out("data/curated/scan")
    with (
        TableWriter(out / "frames.parquet", FRAMES) as frames,
        TableWriter(out / "samples.parquet", SAMPLES) as samples,
    ):
        for row in rows:
            source_id = row["source_id"]
            records = stored(store, [source_id], settings)[source_id]
            if source_id not in rejects and (reject := _judge(records, settings, floor)):
                rejects[source_id] = reject
            if source_id in rejects:
                continue
            videos.append(_video(row, records))
            frames.write(_with_source(source_id, joined(store, [records[ColorDifference.name]]), FRAMES))
            sampled = [records[c.name] for c in SAMPLED]
            samples.write(_with_source(source_id, joined(store, sampled), SAMPLES))
    write_table(out / "videos.parquet", videos, VIDEOS)
    parents = {row["source_id"]: row["path"] for row in rows}
    rejected = [
        rejected_row(source_id, reject, stage=stage.name, unit="video", parent_id=parents[source_id])
        for source_id, reject in sorted(rejects.items())
    ]
    write_table(out / "rejected.parquet", rejected, REJECTED)
    figures.update(reject.reason for reject in rejects.values())
    stage.metrics({"curate": _figures(rows, videos, figures)})
    stage.check_rejects("video", len(rows), len(rejects))
    return Report("video", len(rows), len(videos), dict(figures), "data/curated/scan")


def plan(stage: Stage, params: Params) -> Plan:
    """Count the videos that are still to be decoded, and the disk that their pictures will take."""
    rows = read_table(stage.dep("data/raw/video") / "manifest.parquet", MANIFEST).to_pylist()
    stage.dep(params.own.video)
    settings, floor = Settings(**params.scan_video.model_dump()), Floor(**params.floor.model_dump())
    known = stored(stage.store, [row["source_id"] for row in rows], settings)
    todo = [row for row in rows if _needs_worker(known[row["source_id"]], settings, floor)]
    # a video's length is not known before it is probed: 3 Mbit/s is the low end of what 720p comes in
    seconds = sum(row["bytes"] for row in todo) * 8 / 3e6
    return Plan("video", len(todo), len(rows) - len(todo), disk_needed_bytes=int(seconds * STORED_BYTES_PER_S))


def _needs_worker(records: Mapping[str, Record], settings: Settings, floor: Floor) -> bool:
    return not is_complete(records, settings) and not (probe.NAME in records and _judge_floor(records, floor))


def _judge_floor(records: Mapping[str, Record], floor: Floor) -> Reject | None:
    try:
        check_floor(records[probe.NAME].value, floor)
    except Reject as reject:
        return reject
    return None


def _judge(records: Mapping[str, Record], settings: Settings, floor: Floor) -> Reject | None:
    """Return why a video is not to be used, from what is stored of it."""
    if reject := _judge_floor(records, floor):
        return reject
    assert is_complete(records, settings), "a scanned video has all records"
    try:
        check_whole(records[probe.NAME].value, records[ColorDifference.name].value["pass"])
    except Reject as reject:
        return reject
    return None


def _scan_missing(
    stage: Stage, rows: list[dict[str, Any]], roots: Mapping[str, Path], settings: Settings, floor: Floor
) -> dict[str, Reject]:
    """Scan each video that the store does not hold whole; return those that could not be scanned."""
    known = stored(stage.store, [row["source_id"] for row in rows], settings)
    jobs = [
        (row["source_id"], Job(row["source_id"], path_of(row, roots), stage.store.url, settings, floor))
        for row in rows
        if _needs_worker(known[row["source_id"]], settings, floor)
    ]
    rejects: dict[str, Reject] = {}
    decoded = {"videos": 0, "frames": 0}
    names = {row["source_id"]: row["path"] for row in rows}
    for outcome in stage.map(scan_video_file, jobs, unit="video", total=len(jobs), names=names):
        if outcome.reject is not None:
            rejects[outcome.item_id] = outcome.reject
        decoded["videos"] += bool(outcome.value)
        decoded["frames"] += outcome.value or 0
    stage.timing({f"curate/decoded_{name}": count for name, count in decoded.items()})
    _compact(stage.store, settings)
    return rejects


def _compact(store: Store, settings: Settings) -> None:
    from tasks.video.scan import keys

    for function in keys("", settings):
        store.compact(function)


def _video(row: Mapping[str, Any], records: Mapping[str, Record]) -> dict[str, Any]:
    facts = records[probe.NAME].value
    counts = records[ColorDifference.name].value["pass"]
    strip, edges, luma = (records[c.name] for c in (Strip, EdgeMaps, LumaPictures))
    known = {**row, **facts, **counts}
    return {
        **{name: known[name] for name in VIDEOS.names if name in known},
        "pixel_aspect": float(Fraction(facts["aspect_num"], facts["aspect_den"])),
        "mirrored": bool(counts["mirrored"]),
        "strip_frames": strip.value["summary"]["frames"],
        "strip_bytes": strip.value["summary"]["bytes"],
        "strip_blobs": strip.blobs,
        "strip_first_pts": strip.value["summary"]["first_pts"],
        "thumbnail_blobs": records[Thumbnails.name].blobs,
        "edge_blobs": edges.blobs,
        "edge_first_pts": edges.value["summary"]["first_pts"],
        "luma_blobs": luma.blobs,
        "luma_first_pts": luma.value["summary"]["first_pts"],
    }


def _with_source(source_id: str, table: pa.Table, schema: pa.Schema) -> pa.Table:
    ids = pa.array([source_id], pa.string()).take(pa.array([0] * len(table), pa.int32()))
    return table.append_column("source_id", ids).select(schema.names)


def _figures(rows: list[Any], videos: Iterable[Mapping[str, Any]], reasons: Mapping[str, int]) -> dict[str, float]:
    """Return the deterministic figures; frames decoded for a video are counted in its stored pass."""
    videos = list(videos)
    total = {n: sum(v[n] for v in videos) for n in ("source_frames", "decoded_frames", "strip_bytes", "duration_s")}
    hours = total["duration_s"] / 3600
    return {
        "in": len(rows),
        "kept": len(videos),
        **{f"rejected_{reason}": count for reason, count in reasons.items()},
        "source_frames": total["source_frames"],
        "decoded_frames_per_source_frame": _ratio(total["decoded_frames"], total["source_frames"]),
        "hours": round(hours, 6),
        "strip_bytes_per_hour": round(_ratio(total["strip_bytes"], hours)),
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


if __name__ == "__main__":
    stage_main(run, Params, plan=plan)
