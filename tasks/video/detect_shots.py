"""Find the shots of each video, from the thumbnails that scan_video kept: data/curated/shots/shots.parquet.

Nothing is decoded. Hard cuts that leave no doubt are found by the colour difference; what is doubtful, and only that,
is shown to TransNetV2.
"""

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tasks.stage import Plan, Report, Stage, StrictModel, stage_main
from tasks.tables import REJECTED, Reject, read_table, rejected_row, write_table
from tasks.video.shots import NAME, ShotJob, boundaries_of, find_shots, shot_rows, stored_shots
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


class DetectShots(StrictModel):
    """Differences on the scale of color_difference, 0 to 255."""

    cut_difference: float = Field(gt=0, le=255, description="a frame that differs by more may begin a shot")
    cut_ratio: float = Field(ge=1, description="... and does if by as many times more than the two before and after")
    doubt_difference: float = Field(gt=0, le=255, description="below it there is no cut")
    doubt_ratio: float = Field(ge=1)
    blend_difference: float = Field(gt=0, le=255, description="between what lies before and after a dissolve")
    blend_residual: float = Field(gt=0, lt=1, description="of its frames from the mean of both, as a share of that")
    probability: float = Field(gt=0, lt=1, description="of TransNetV2, above which a shot ends")


class Params(StrictModel):
    detect_shots: DetectShots


def run(stage: Stage, params: Params) -> Report:
    """Find the boundaries that are not stored yet, in worker processes, then write the shots of all videos."""
    rules = Rules(**params.detect_shots.model_dump())
    scan = stage.dep("data/curated/scan")
    videos = _videos(scan)
    rejects = _find_missing(stage, videos, rules)
    found = stored_shots(stage.store, _blobs(videos), rules)
    frames = read_table(scan / "frames.parquet").select(["source_id", "pts"])
    rows: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    for video in videos:
        source_id = video["source_id"]
        if source_id in rejects:
            continue
        record = found[source_id]
        pts = frames.filter(pc.equal(frames.column("source_id"), source_id)).column("pts").to_numpy()
        boundaries = boundaries_of(record)
        rows += shot_rows(source_id, pts, video["end_pts"], boundaries)
        counts.update(boundary.kind for boundary in boundaries)
        counts["frames"] += len(pts)
        counts["judged"] += record.value["judged_frames"]
    out = stage.out("data/curated/shots")
    out.mkdir()
    write_table(out / "shots.parquet", rows, SHOTS)
    names = {video["source_id"]: video["name"] for video in videos}
    rejected = [
        rejected_row(source_id, reject, stage=stage.name, unit="video", parent_id=names[source_id])
        for source_id, reject in sorted(rejects.items())
    ]
    write_table(out / "rejected.parquet", rejected, REJECTED)
    stage.metrics(
        {
            "shots": {
                "in": len(videos),
                "kept": len(videos) - len(rejects),
                "found": len(rows),
                **{kind: counts[kind] for kind in ("cut", "gradual", "blank")},
                "network_frames_per_source_frame": counts["judged"] / counts["frames"] if counts["frames"] else 0.0,
            }
        }
    )
    stage.check_rejects("video", len(videos), len(rejects))
    reasons = Counter(reject.reason for reject in rejects.values())
    return Report("video", len(videos), len(videos) - len(rejects), dict(reasons), "data/curated/shots")


def plan(stage: Stage, params: Params) -> Plan:
    """Count the videos whose shots are still to be found."""
    videos = _videos(stage.dep("data/curated/scan"))
    done = stored_shots(stage.store, _blobs(videos), Rules(**params.detect_shots.model_dump()))
    return Plan("video", len(videos) - len(done), len(done))


def _videos(scan: Any) -> list[dict[str, Any]]:
    columns = ["source_id", "name", "end_pts", "thumbnail_blobs"]
    return list(read_table(scan / "videos.parquet").select(columns).to_pylist())


def _blobs(videos: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {video["source_id"]: video["thumbnail_blobs"] for video in videos}


def _find_missing(stage: Stage, videos: list[dict[str, Any]], rules: Rules) -> dict[str, Reject]:
    known = stored_shots(stage.store, _blobs(videos), rules)
    jobs = [
        (video["source_id"], ShotJob(tuple(video["thumbnail_blobs"]), stage.store.url, rules))
        for video in videos
        if video["source_id"] not in known
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
