"""What the frames and samples of a shot come to: one row of cheap scores for each take candidate, by a query."""

from pathlib import Path

import duckdb
import pyarrow as pa

BAR_QUANTILE = 0.1  # of its samples' bars a take has the narrow ones: a dark sample says nothing of bars

_SUMMARIES = """
with spans as (
    select left(shots.source_id, 16) || '-' || shots.start_pts || '-' || shots.end_pts as take_id,
           shots.source_id, v.name, shots.start_pts, shots.end_pts, v.time_base_num, v.time_base_den, shots.frames,
           (shots.start_pts - v.start_pts) * v.time_base_num / v.time_base_den::double as start_s,
           (shots.end_pts - v.start_pts) * v.time_base_num / v.time_base_den::double as end_s,
           (shots.end_pts - shots.start_pts) * v.time_base_num / v.time_base_den::double as duration_s,
           v.fps, greatest(v.width, v.height) as width_px, least(v.width, v.height) as height_px,
           shots.begins, shots.ends, v.licence, v.credit, v.url
    from shots join videos v using (source_id)
), inside as (
    -- the first frame of a shot differs from the shot before: that says nothing of this take
    select spans.take_id, frames.pts, frames.color_difference,
           lead(frames.pts, 1, spans.end_pts) over (partition by spans.take_id order by frames.pts) as next_pts,
           sum(case when frames.color_difference <= $frozen_difference then 0 else 1 end)
               over (partition by spans.take_id order by frames.pts) as picture
    from frames asof join spans on frames.source_id = spans.source_id and frames.pts >= spans.start_pts
    where frames.pts >= spans.start_pts and frames.pts < spans.end_pts
), changes as (
    select inside.take_id, max(color_difference) filter (pts > start_pts) as max_color_difference
    from inside join spans using (take_id) group by all
), stills as (
    -- frames that do not differ from the one before show the same picture: how long is the longest shown?
    select take_id, max(shown) as frozen_pts
    from (select take_id, max(next_pts) - min(pts) as shown from inside group by take_id, picture having count(*) > 1)
    group by all
), seen as (
    select spans.take_id, samples.*, samples.pts > spans.start_pts as moved,
           (samples.pts - spans.start_pts) * $segments // greatest(spans.end_pts - spans.start_pts, 1) as segment
    from samples asof join spans on samples.source_id = spans.source_id and samples.pts >= spans.start_pts
    where samples.pts < spans.end_pts
), parts as (
    select take_id, min(motion) as motion_part_px_s
    from (select take_id, segment, avg(motion_px_s) filter (moved) as motion from seen group by take_id, segment)
    group by all
), sampled as (
    select take_id, avg(luma) as luma, avg(dark_share) as dark_share, avg(bright_share) as bright_share,
           median(sharpness) as sharpness,
           1 - (1 - quantile_disc(bar_top, $bars) - quantile_disc(bar_bottom, $bars))
             * (1 - quantile_disc(bar_left, $bars) - quantile_disc(bar_right, $bars)) as letterbox_area,
           avg(motion_px_s) filter (moved) as motion_px_s, avg(camera_px_s) filter (moved) as camera_px_s,
           avg(object_px_s) filter (moved) as object_px_s, avg(pan_x_px_s) filter (moved) as pan_x_px_s,
           avg(pan_y_px_s) filter (moved) as pan_y_px_s, avg(zoom_per_s) filter (moved) as zoom_per_s,
           avg(roll_deg_s) filter (moved) as roll_deg_s
    from seen group by all
)
select spans.*, coalesce(max_color_difference, 0) as max_color_difference,
       coalesce(frozen_pts, 0) * time_base_num / time_base_den::double as frozen_s,
       coalesce(luma, 0) as luma, coalesce(dark_share, 0) as dark_share, coalesce(bright_share, 0) as bright_share,
       coalesce(dark_share + bright_share, 0) as clipped_share, coalesce(sharpness, 0) as sharpness,
       greatest(coalesce(letterbox_area, 0), 0) as letterbox_area, coalesce(motion_px_s, 0) as motion_px_s,
       coalesce(motion_part_px_s, 0) as motion_part_px_s, coalesce(camera_px_s, 0) as camera_px_s,
       coalesce(object_px_s, 0) as object_px_s, coalesce(pan_x_px_s, 0) as pan_x_px_s,
       coalesce(pan_y_px_s, 0) as pan_y_px_s, coalesce(zoom_per_s, 0) as zoom_per_s,
       coalesce(roll_deg_s, 0) as roll_deg_s
from spans left join changes using (take_id) left join stills using (take_id)
left join sampled using (take_id) left join parts using (take_id)
order by name, source_id, start_pts
"""


def take_summaries(scan: Path, shots: Path, *, segments: int, frozen_difference: float) -> pa.Table:
    """Return a row for each shot: what it is, where it lies, and the scores that follow from frames and samples.

    `scan` is the folder that scan_video wrote, `shots` that of detect_shots. Motion counts from a shot's second
    sample on; `motion_part_px_s` is that of the stillest of `segments` equal parts. Frames whose color_difference is
    at most `frozen_difference` show the picture before. In the order of name and time.
    """
    with duckdb.connect(config={"threads": 1}) as con:  # sums of floats depend on how many threads share them
        for name in ("videos", "frames", "samples"):
            con.read_parquet(str(scan / f"{name}.parquet")).create_view(name)
        con.read_parquet(str(shots / "shots.parquet")).create_view("shots")
        values = {"segments": segments, "frozen_difference": frozen_difference, "bars": BAR_QUANTILE}
        return con.sql(_SUMMARIES, params=values).to_arrow_table()
