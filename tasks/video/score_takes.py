"""Score each shot as a take, from what the scan kept: data/curated/scores/. Nothing is decoded.

scores.parquet has the scores of all shots; embeddings.parquet, apart since it is as big as all of them together many
times over and few read it, the content of those above the floor.

Cheap scores follow from the tables by a query; those that look at pictures are made for shots above the floor, each
kept in the store by itself.
"""

from collections import Counter
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from tasks.stage import Plan, Report, Stage, StageError, StrictModel, stage_main
from tasks.tables import REJECTED, Reject, read_table, rejected_rows, write_table
from tasks.video.floor import FloorParams
from tasks.video.manifest import OwnModels
from tasks.video.strip import gone
from tasks.video.summaries import take_summaries
from tasks.video.takes import Kept, Scoring, Take, TakeJob, identities, score_take, scores, scores_of, stored_scores

_KINDS = {"strip": "strip", "luma": "luma", "edges": "edge"}  # of pictures, and their columns in videos.parquet


def _field(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


_REDUCED = [f"{score}_{how}" for score in ("psnr_db", "ssim", "perceptual") for how in ("mean", "min", "max")]

SCORES = pa.schema(
    [_field(n, pa.string()) for n in ("take_id", "source_id", "name")]
    + [_field(n, pa.int64()) for n in ("start_pts", "end_pts", "time_base_num", "time_base_den", "frames")]
    + [_field(n, pa.float64()) for n in ("start_s", "end_s", "duration_s", "fps")]
    + [_field(n, pa.int32()) for n in ("width_px", "height_px")]
    + [_field(n, pa.string()) for n in ("begins", "ends", "licence", "credit", "url")]
    + [_field(n, pa.float64()) for n in ("max_color_difference", "frozen_s", "luma", "dark_share", "bright_share")]
    + [_field(n, pa.float64()) for n in ("clipped_share", "sharpness", "letterbox_area")]
    + [_field(n, pa.float64()) for n in ("motion_px_s", "motion_part_px_s", "camera_px_s", "object_px_s")]
    + [_field(n, pa.float64()) for n in ("pan_x_px_s", "pan_y_px_s", "zoom_per_s", "roll_deg_s")]
    # null below the floor:
    + [pa.field(n, pa.float64()) for n in ("overlay_area", "artifact_area", "text_area", "quality", *_REDUCED)]
    + [pa.field("keyframe_pts", pa.list_(_field("element", pa.int64())))]
    + [_field(n, pa.string()) for n in ("motion_backend", "text_backend", "quality_backend", "perceptual_backend")]
)  # a virtual take: [start_pts, end_pts) of the source's video stream; start_s, end_s count from its first frame


EMBEDDINGS = pa.schema([_field("take_id", pa.string()), _field("embedding", pa.list_(_field("element", pa.float32())))])


class ScoreTakes(StrictModel):
    keyframes: int = Field(ge=2, le=100, description="at the centres of as many equal segments")
    frozen_difference: float = Field(ge=0, le=255, description="frames that differ by no more show the same picture")
    quality: Literal["photographic", "laion"] = Field(description="backend of quality")
    perceptual: Literal["hog_lab", "lpips"] = Field(description="backend of the perceptual distance")
    motion: Literal["dis", "raft"] = Field(description="backend of motion_px_s; dis is that of the scan")


class Params(StrictModel):
    own: OwnModels
    floor: FloorParams
    score_takes: ScoreTakes


def run(stage: Stage, params: Params) -> Report:
    """Score what is not stored yet, in worker processes, then write the scores of all shots."""
    scoring = _scoring(stage, params)
    summaries, takes = _candidates(stage, params)
    rejects = _score_missing(stage, takes, scoring)
    found = stored_scores(stage.store, [take for take in takes if take.take_id not in rejects], scoring)
    _require_scores(stage, found, scoring)
    scored = {take_id: scores_of(records) for take_id, records in found.items()}
    embeddings = [{"take_id": take_id, "embedding": one.pop("embedding")} for take_id, one in scored.items()]
    backends = identities(scoring)
    rows = [_row(row | backends, scored.get(row["take_id"], {})) for row in summaries if row["take_id"] not in rejects]
    out = stage.out("data/curated/scores")
    out.mkdir()
    write_table(out / "scores.parquet", rows, SCORES)
    write_table(out / "embeddings.parquet", embeddings, EMBEDDINGS)
    parents = {row["take_id"]: row["source_id"] for row in summaries}
    rejected = rejected_rows(rejects, stage=stage.name, unit="take", parents=parents)
    write_table(out / "rejected.parquet", rejected, REJECTED)
    reasons = Counter(reject.reason for reject in rejects.values())
    stage.metrics(
        {
            "scores": {
                "in": len(summaries),
                "kept": len(rows),
                "above_floor": len(takes),
                **{f"rejected_{reason}": count for reason, count in sorted(reasons.items())},
            }
        }
    )
    stage.check_rejects("take", len(takes), len(rejects))
    return Report("take", len(summaries), len(rows), dict(reasons), "data/curated/scores")


def plan(stage: Stage, params: Params) -> Plan:
    """Count the shots above the floor that are still to be scored."""
    scoring = _scoring(stage, params)
    _, takes = _candidates(stage, params)
    todo = len(_jobs(stage, takes, scoring))
    return Plan("take", todo, len(takes) - todo)


def _scoring(stage: Stage, params: Params) -> Scoring:
    chosen = params.score_takes
    models = str(stage.dep(params.own.models))
    return Scoring(chosen.keyframes, chosen.quality, chosen.perceptual, chosen.motion, models)


def _candidates(stage: Stage, params: Params) -> tuple[list[dict[str, Any]], list[Take]]:
    """Return the cheap scores of all shots, and the takes above the floor."""
    scan, shots, chosen = stage.dep("data/curated/scan"), stage.dep("data/curated/shots"), params.score_takes
    table = take_summaries(scan, shots, segments=chosen.keyframes, frozen_difference=chosen.frozen_difference)
    summaries = table.to_pylist()
    columns = [f"{kind}_{what}" for kind in _KINDS.values() for what in ("blobs", "first_pts")]
    videos = read_table(scan / "videos.parquet").select(["source_id", *columns]).to_pylist()
    chunks = {
        video["source_id"]: {
            name: Kept(tuple(video[f"{kind}_blobs"]), tuple(video[f"{kind}_first_pts"]))
            for name, kind in _KINDS.items()
        }
        for video in videos
    }
    takes = [
        Take(
            row["take_id"],
            row["name"],
            row["start_pts"],
            row["end_pts"],
            **chunks[row["source_id"]],
            seconds_per_pts=row["time_base_num"] / row["time_base_den"],
        )
        for row in summaries
        if row["duration_s"] >= params.floor.min_duration_s
    ]
    return summaries, takes


def _jobs(stage: Stage, takes: list[Take], scoring: Scoring) -> list[tuple[str, TakeJob]]:
    known = stored_scores(stage.store, takes, scoring)
    wanted = [score.name for score in scores(scoring)]
    jobs = []
    for take in takes:
        missing = tuple(name for name in wanted if name not in known[take.take_id])
        if missing:
            jobs.append((take.take_id, TakeJob(take, scoring, missing, stage.store.url)))
    return jobs


def _score_missing(stage: Stage, takes: list[Take], scoring: Scoring) -> dict[str, Reject]:
    jobs = _jobs(stage, takes, scoring)
    _require_pictures(stage, [job.take for _, job in jobs])
    rejects: dict[str, Reject] = {}
    done = 0
    for outcome in stage.map(score_take, jobs, unit="take", total=len(jobs)):
        if outcome.reject is not None:
            rejects[outcome.item_id] = outcome.reject
        done += outcome.value or 0
    stage.timing({"scores/computed": done})
    for score in scores(scoring):
        stage.store.compact(score.name)
    return rejects


def _require_pictures(stage: Stage, takes: list[Take]) -> None:
    """Raise StageError where what the scan kept of these takes is not in the store."""
    blobs = {name: take.name for take in takes for kept in (take.strip, take.luma, take.edges) for name in kept.blobs}
    for name, video in blobs.items():
        if not stage.store.has_blob(name):
            raise StageError(gone(video, f"{name[:12]}..."))


def _require_scores(stage: Stage, found: dict[str, dict[str, Any]], scoring: Scoring) -> None:
    """Raise StageError for a take that was scored, and of which the store lacks a score all the same."""
    for take_id, records in found.items():
        missing = [score.name for score in scores(scoring) if score.name not in records]
        if missing:
            raise StageError(
                f"take {take_id}: the store at {stage.store.url} has no {', '.join(missing)} of it, though it was "
                f"scored: run the stage again"
            )


def _row(row: dict[str, Any], scored: dict[str, Any]) -> dict[str, Any]:
    row = {name: None for name in SCORES.names} | row | scored
    if row["overlay_area"] is not None:
        row["artifact_area"] = row["letterbox_area"] + row["overlay_area"]
    return row


if __name__ == "__main__":
    stage_main(run, Params, plan=plan)
