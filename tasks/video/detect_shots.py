"""Find the shots of each video, from the thumbnails that scan_video kept: data/curated/shots/shots.parquet.

Nothing is decoded. What the colour difference and the encoder's I-frames leave in doubt, and only that, is shown to
TransNetV2; videos.parquet says of each video how many of its frames that were.
"""

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field

from tasks.stage import Plan, Report, Stage, StrictModel, stage_main
from tasks.tables import REJECTED, Reject, read_parts, read_table, rejected_rows, write_table
from tasks.video.shots import NAME, Seen, ShotJob, boundaries_of, find_shots, gaps_in, packed, shot_rows, stored_shots
from tasks.video.transitions import Rules


def _field(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


SHOTS = pa.schema(
    [
        _field("source_id", pa.string()),
        _field("start_pts", pa.int64()),
        _field("end_pts", pa.int64()),
        _field("frames", pa.int64()),
        _field(
            "begins", pa.string()
        ),  # start, cut, gradual (dissolve, wipe), blank (fade); `ends`: end in place of start
        _field("begins_probability", pa.float64()),  # of the network; 1 where it was not asked
        _field("ends", pa.string()),
        _field("ends_probability", pa.float64()),
    ]
)


VIDEOS = pa.schema(
    [
        _field("source_id", pa.string()),
        _field("frames", pa.int64()),
        _field("judged_frames", pa.int64()),  # that TransNetV2 saw
        _field("shots", pa.int64()),
    ]
)


class DetectShots(StrictModel):
    """Differences on the scale of color_difference, 0 to 255."""

    cut_difference: float = Field(gt=0, le=255, description="a frame that differs by more may begin a shot")
    cut_ratio: float = Field(ge=1, description="... and does if by as many times more than the two before and after")
    doubt_difference: float = Field(gt=0, le=255, description="below it there is no cut")
    doubt_ratio: float = Field(ge=1)
    doubt_strangeness: float = Field(gt=0, le=1, description="to the frame before (1: unrelated); below it no cut")
    blend_strangeness: float = Field(gt=0, le=1, description="between what lies before and after a dissolve")
    blend_residual: float = Field(gt=0, lt=1, description="of its frames from a mixture of both, as a share of that")
    probability: float = Field(gt=0, lt=1, description="of TransNetV2, above which a shot ends")


class Params(StrictModel):
    detect_shots: DetectShots


def run(stage: Stage, params: Params) -> Report:
    """Find the boundaries that are not stored yet, in worker processes, then write the shots of all videos."""
    rules = Rules(**params.detect_shots.model_dump())
    scan = stage.dep("data/curated/scan")
    videos = _videos(scan)
    seen = _seen(scan, videos)
    rejects = _find_missing(stage, seen, rules)
    found = stored_shots(stage.store, seen, rules)
    end_pts = {video["source_id"]: video["end_pts"] for video in videos}
    rows: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    for source_id, part in _by_video(scan, ["pts"]):
        if source_id in rejects:
            continue
        record, boundaries = found[source_id], boundaries_of(found[source_id])
        shots = shot_rows(source_id, part.column("pts").to_numpy(), end_pts[source_id], boundaries)
        rows += shots
        counts.update(boundary.kind for boundary in boundaries)
        judged = {name: record.value[name] for name in ("frames", "judged_frames")}
        counts.update(judged)
        told.append({"source_id": source_id, **judged, "shots": len(shots)})
    out = stage.out("data/curated/shots")
    out.mkdir()
    write_table(out / "shots.parquet", rows, SHOTS)
    write_table(out / "videos.parquet", told, VIDEOS)
    names = {video["source_id"]: video["name"] for video in videos}
    rejected = rejected_rows(rejects, stage=stage.name, unit="video", parents=names)
    write_table(out / "rejected.parquet", rejected, REJECTED)
    stage.metrics(
        {
            "shots": {
                "in": len(videos),
                "kept": len(videos) - len(rejects),
                "found": len(rows),
                **{kind: counts[kind] for kind in ("cut", "gradual", "blank")},
                "network_frames_per_source_frame": counts["judged_frames"] / counts["frames"]
                if counts["frames"]
                else 0.0,
            }
        }
    )
    stage.check_rejects("video", len(videos), len(rejects))
    reasons = Counter(reject.reason for reject in rejects.values())
    return Report("video", len(videos), len(videos) - len(rejects), dict(reasons), "data/curated/shots")


def plan(stage: Stage, params: Params) -> Plan:
    """Count the videos whose shots are still to be found."""
    scan = stage.dep("data/curated/scan")
    videos = _videos(scan)
    done = stored_shots(stage.store, _seen(scan, videos), Rules(**params.detect_shots.model_dump()))
    return Plan("video", len(videos) - len(done), len(done))


def _videos(scan: Path) -> list[dict[str, Any]]:
    columns = ["source_id", "name", "end_pts", "time_base_num", "time_base_den", "thumbnail_blobs"]
    return list(read_table(scan / "videos.parquet").select(columns).to_pylist())


def _by_video(scan: Path, columns: list[str]) -> Iterator[tuple[str, pa.Table]]:
    """Yield columns of the frames of each video: scan_video writes its frames as one part."""
    for part in read_parts(scan / "frames.parquet", ["source_id", *columns]):
        yield part.column("source_id")[0].as_py(), part


def _seen(scan: Path, videos: list[dict[str, Any]]) -> dict[str, Seen]:
    by_id = {video["source_id"]: video for video in videos}
    seen = {}
    for source_id, part in _by_video(scan, ["pts", "i_frame"]):
        video = by_id[source_id]
        gaps = gaps_in(part.column("pts").to_numpy(), Fraction(video["time_base_num"], video["time_base_den"]))
        seen[source_id] = Seen(tuple(video["thumbnail_blobs"]), packed(part.column("i_frame").to_numpy()), gaps)
    return seen


def _find_missing(stage: Stage, seen: dict[str, Seen], rules: Rules) -> dict[str, Reject]:
    known = stored_shots(stage.store, seen, rules)
    jobs = [
        (source_id, ShotJob(one, stage.store.url, rules)) for source_id, one in seen.items() if source_id not in known
    ]
    rejects: dict[str, Reject] = {}
    judged = 0
    for outcome in stage.map(find_shots, jobs, unit="video", total=len(jobs)):
        if outcome.reject is not None:
            rejects[outcome.item_id] = outcome.reject
        judged += outcome.value or 0
    stage.timing({"shots/network_frames": judged})
    stage.store.compact(NAME)
    return rejects


if __name__ == "__main__":
    stage_main(run, Params, plan=plan)
