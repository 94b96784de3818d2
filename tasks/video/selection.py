"""Which stretches of video are takes worth training on: LongTake-HD steps 1 to 5 as one query over stored scores.

A candidate is a shot, as detect_shots found them. It is kept, or rejected by the first rule that it fails, in
the paper's order; nothing here looks at a picture.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pydantic import Field, model_validator

from tasks.parameters import StrictModel
from tasks.video.floor import FloorParams


class SelectTakes(StrictModel):
    """Thresholds; a bound that equals the score keeps the take."""

    min_width_px: int = Field(ge=1, description="the longer side as displayed")
    min_height_px: int = Field(ge=1, description='as in "720p": the shorter side as displayed')
    min_fps: float = Field(ge=0)
    max_fps: float = Field(gt=0)
    min_duration_s: float = Field(gt=0)
    max_color_difference: float = Field(gt=0, le=255, description="within a take: above it a cut may have been missed")
    min_luma: float = Field(ge=0, le=255, description="mean over the take's samples")
    max_luma: float = Field(ge=0, le=255)
    min_motion_px_s: float = Field(ge=0, description="mean over the take's samples, at 720p")
    keyframes: int = Field(ge=1, le=100, description="at the centres of as many equal segments")

    @model_validator(mode="after")
    def _bands(self) -> "SelectTakes":
        for low, high in (("min_fps", "max_fps"), ("min_luma", "max_luma")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"select_takes.{low} is above select_takes.{high}: no take could be kept")
        return self


def check_floor_of(floor: FloorParams, select: SelectTakes) -> None:
    """Raise ValueError for a threshold that would keep what the floor has never let be decoded."""
    for name in ("min_height_px", "min_duration_s"):
        threshold, gate = getattr(select, name), getattr(floor, name)
        if threshold < gate:
            raise ValueError(
                f"params.yaml: select_takes.{name} = {threshold:g} is looser than floor.{name} = {gate:g}, and smaller "
                f"videos were never decoded: lower floor.{name} too, or raise the threshold"
            )


def rules(select: SelectTakes) -> list[tuple[str, str, str, float]]:
    """Return (reason, score, comparison that keeps, threshold) in the order of the paper's steps 1 to 5."""
    return [
        ("width", "width_px", ">=", select.min_width_px),
        ("height", "height_px", ">=", select.min_height_px),
        ("fps_low", "fps", ">=", select.min_fps),
        ("fps_high", "fps", "<=", select.max_fps),
        ("duration", "duration_s", ">=", select.min_duration_s),
        ("cut", "max_color_difference", "<=", select.max_color_difference),
        ("dark", "luma", ">=", select.min_luma),
        ("bright", "luma", "<=", select.max_luma),
        ("motion", "motion_px_s", ">=", select.min_motion_px_s),
    ]


CANDIDATES = """
with inside as (
    -- the first frame of a shot differs from the shot before: that says nothing of this take
    select shots.source_id, shots.start_pts, max(frames.color_difference) as max_color_difference
    from frames asof join shots on frames.source_id = shots.source_id and frames.pts >= shots.start_pts
    where frames.pts > shots.start_pts and frames.pts < shots.end_pts
    group by all
), spans as (
    select shots.source_id, shots.start_pts, shots.end_pts, shots.frames, shots.begins, shots.ends,
           coalesce(inside.max_color_difference, 0) as max_color_difference,
           v.name, v.licence, v.credit, v.url, v.time_base_num, v.time_base_den, v.fps,
           greatest(v.width, v.height) as width_px, least(v.width, v.height) as height_px,
           v.start_pts as video_start_pts
    from shots join videos v using (source_id)
    left join inside on inside.source_id = shots.source_id and inside.start_pts = shots.start_pts
), sampled as (
    select spans.source_id, spans.start_pts, avg(luma) as luma, count(*) as samples,
           avg(motion_px_s) filter (samples.pts > spans.start_pts) as motion_px_s
    from samples asof join spans on samples.source_id = spans.source_id and samples.pts >= spans.start_pts
    where samples.pts < spans.end_pts
    group by all
)
select left(source_id, 16) || '-' || start_pts || '-' || end_pts as take_id, spans.*,
       (start_pts - video_start_pts) * time_base_num / time_base_den::double as start_s,
       (end_pts - video_start_pts) * time_base_num / time_base_den::double as end_s,
       (end_pts - start_pts) * time_base_num / time_base_den::double as duration_s,
       coalesce(luma, 0) as luma, coalesce(motion_px_s, 0) as motion_px_s, coalesce(samples, 0) as samples
from spans left join sampled using (source_id, start_pts)
"""


def decide(
    scan: Path, shots: Path, select: SelectTakes, *, excluded: Mapping[str, str], included: Mapping[str, str]
) -> tuple[pa.Table, pa.Table]:
    """Return (kept, rejected) candidates by name and time; rejected ones with reason, score, value and threshold.

    `scan` is the folder that scan_video wrote, `shots` that of detect_shots. `excluded` and `included` overrule every
    rule, by take_id or source_id; exclusion wins.
    """
    with duckdb.connect(config={"threads": 1}) as con:  # sums of floats depend on how many threads share them
        for name in ("videos", "frames", "samples"):
            con.read_parquet(str(scan / f"{name}.parquet")).create_view(name)
        con.read_parquet(str(shots / "shots.parquet")).create_view("shots")
        for name, overrides in (("excluded", excluded), ("included", included)):
            ids, reasons = list(overrides), list(overrides.values())
            con.register(name, pa.table({"id": pa.array(ids, pa.string()), "why": pa.array(reasons, pa.string())}))
        con.execute(f"create temp table candidates as {CANDIDATES}")
        con.execute(f"create temp table decided as {_decisions(select)}")
        order = "order by name, source_id, start_pts"
        chosen = "select * exclude (reason, score, value, threshold, detail) from decided where reason is null"
        kept = con.sql(f"{chosen} {order}").to_arrow_table()
        rejected = con.sql(f"select * from decided where reason is not null {order}").to_arrow_table()
    return kept, rejected


def _decisions(select: SelectTakes) -> str:
    """Return the query that finds for each candidate the first rule it fails."""
    listed = rules(select)

    def first(what: Any) -> str:
        cases = "".join(
            f" when not ({score} {keeps} {limit}) then {what(reason, score, limit)}"
            for reason, score, keeps, limit in listed
        )
        return f"case{cases} end"

    reason = first(lambda reason, score, limit: f"'{reason}'")
    score = first(lambda reason, score, limit: f"'{score}'")
    value = first(lambda reason, score, limit: f"{score}::double")
    threshold = first(lambda reason, score, limit: f"{limit}::double")
    return f"""
    with looked_up as (
        select c.*, coalesce(et.why, es.why) as out_why, coalesce(it.why, si.why) as in_why
        from candidates c
        left join excluded et on et.id = c.take_id left join excluded es on es.id = c.source_id
        left join included it on it.id = c.take_id left join included si on si.id = c.source_id
    )
    select * exclude (out_why, in_why),
        case when out_why is not null then 'excluded' when in_why is null then {reason} end as reason,
        case when out_why is null and in_why is null then {score} end as score,
        case when out_why is null and in_why is null then {value} end as value,
        case when out_why is null and in_why is null then {threshold} end as threshold,
        coalesce(out_why, '') as detail
    from looked_up
    """


def funnel(select: SelectTakes, candidates: int, rejected: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return (step, candidates left after it), from all candidates down to what is kept."""
    steps = [("candidates", candidates)]
    for reason in ["excluded", *(rule[0] for rule in rules(select))]:
        steps.append((reason, steps[-1][1] - rejected.get(reason, 0)))
    return steps
