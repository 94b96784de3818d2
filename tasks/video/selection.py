"""Which candidates are takes worth training on: LongTake-HD steps 1 to 6, near-duplicates and sampling, as a query.

A candidate is a shot with its scores, as score_takes wrote them. It is kept, or rejected by the first rule that it
fails, in the paper's order (arXiv 2412.01316; the sheet's table); nothing here looks at a picture.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, model_validator

from tasks.strict import StrictModel
from tasks.video.floor import FloorParams


class Rule(NamedTuple):
    """Keeps a candidate whose `score` is on the right side of the threshold that `key` names, or on it."""

    step: int
    reason: str
    score: str  # {reduce}: mean, min or max over neighbouring keyframes
    keeps: Literal[">=", "<="]
    key: str


RULES = (
    # 1: what the file says of itself
    Rule(1, "width", "width_px", ">=", "min_width_px"),
    Rule(1, "height", "height_px", ">=", "min_height_px"),
    Rule(1, "fps_low", "fps", ">=", "min_fps"),
    Rule(1, "fps_high", "fps", "<=", "max_fps"),
    # 2: one take, long enough once it is cut out
    Rule(2, "duration", "duration_s", ">=", "min_duration_s"),
    Rule(2, "cut", "max_color_difference", "<=", "max_color_difference"),
    # 3: low level
    Rule(3, "dark", "luma", ">=", "min_luma"),
    Rule(3, "bright", "luma", "<=", "max_luma"),
    Rule(3, "clipped", "clipped_share", "<=", "max_clipped_share"),
    Rule(3, "blurred", "sharpness", ">=", "min_sharpness"),
    Rule(3, "frozen", "frozen_s", "<=", "max_frozen_s"),
    Rule(3, "letterbox", "letterbox_area", "<=", "max_letterbox_area"),
    Rule(3, "overlay", "overlay_area", "<=", "max_overlay_area"),
    Rule(3, "artifacts", "artifact_area", "<=", "max_artifact_area"),
    Rule(3, "text", "text_area", "<=", "max_text_area"),
    # 4: aesthetics
    Rule(4, "quality", "quality", ">=", "min_quality"),
    # 5: motion, also in the stillest of the segments
    Rule(5, "motion", "motion_px_s", ">=", "min_motion_px_s"),
    Rule(5, "motion_part", "motion_part_px_s", ">=", "min_motion_part_px_s"),
    # 6: diversity of content between neighbouring keyframes: neither the same nor unrelated
    Rule(6, "psnr_low", "psnr_db_{reduce}", ">=", "min_psnr_db"),
    Rule(6, "psnr_high", "psnr_db_{reduce}", "<=", "max_psnr_db"),
    Rule(6, "ssim_low", "ssim_{reduce}", ">=", "min_ssim"),
    Rule(6, "ssim_high", "ssim_{reduce}", "<=", "max_ssim"),
    Rule(6, "perceptual_low", "perceptual_{reduce}", ">=", "min_perceptual"),
    Rule(6, "perceptual_high", "perceptual_{reduce}", "<=", "max_perceptual"),
)
NEAR_DUPLICATE, SAMPLED_OUT = "near_duplicate", "sampled_out"  # steps 7 and 8, which compare takes
BELOW_FLOOR = "included, but below the floor: it has no scores and no keyframes"


class Quantile(StrictModel):
    """A threshold by rank: the value below which lies this share of the candidates that its rule meets."""

    quantile: float = Field(ge=0, le=1)


Threshold = float | Quantile | None  # None: the rule is off


class Sample(StrictModel):
    """How many takes to keep at most, drawn evenly from clusters of content."""

    takes: int = Field(ge=0, description="0: all")
    clusters: int = Field(ge=1, le=10_000)


class TakeSet(StrictModel):
    """The thresholds of one set of takes; a score that equals a threshold keeps the take."""

    min_width_px: Threshold = Field(description="the longer side as displayed")
    min_height_px: Threshold = Field(description='as in "720p": the shorter side as displayed')
    min_fps: Threshold
    max_fps: Threshold
    min_duration_s: float = Field(gt=0)
    max_color_difference: Threshold = Field(description="0 to 255, within a take: above it a cut may have been missed")
    min_luma: Threshold = Field(description="0 to 255, mean over the take's samples")
    max_luma: Threshold
    max_clipped_share: Threshold = Field(description="of pixels that are black or white")
    min_sharpness: Threshold
    max_frozen_s: Threshold = Field(description="longest stretch without any change")
    max_letterbox_area: Threshold = Field(description="share of the picture")
    max_overlay_area: Threshold = Field(description="share of the picture: what stands still while the rest moves")
    max_artifact_area: Threshold = Field(description="both together")
    max_text_area: Threshold
    min_quality: Threshold = Field(description="on the scale of score_takes.quality's backend")
    min_motion_px_s: Threshold = Field(description="mean over the take's samples, at 720p")
    min_motion_part_px_s: Threshold = Field(description="the same over the stillest of the segments")
    min_psnr_db: Threshold = Field(description="between neighbouring keyframes")
    max_psnr_db: Threshold
    min_ssim: Threshold
    max_ssim: Threshold
    min_perceptual: Threshold = Field(description="on the scale of score_takes.perceptual's backend")
    max_perceptual: Threshold
    reduce: Literal["mean", "min", "max"] = Field(description="over the pairs of neighbouring keyframes")
    near_duplicates: Literal["best", "all"] = Field(description="which of a cluster to keep")
    sample: Sample

    @model_validator(mode="after")
    def _bands(self) -> "TakeSet":
        for name in ("fps", "luma", "psnr_db", "ssim", "perceptual"):
            low, high = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if isinstance(low, float | int) and isinstance(high, float | int) and low > high:
                raise ValueError(f"min_{name} is above max_{name}: no take could be kept")
        return self


@dataclass(frozen=True)
class Decided:
    """What became of the candidates.

    Both have all columns of the scores; `kept` content_cluster too, `rejected` reason, score, value, threshold, detail.
    """

    kept: pa.Table
    rejected: pa.Table
    limits: dict[str, float]  # reason -> threshold, quantiles resolved
    funnel: list[tuple[str, int]]  # step, candidates left after it


def check_floor_of(floor: FloorParams, chosen: TakeSet, name: str) -> None:
    """Raise ValueError for a threshold that would keep what the floor has never let be scored."""
    for key in ("min_height_px", "min_duration_s"):
        threshold, gate = getattr(chosen, key), getattr(floor, key)
        if not isinstance(threshold, float | int) or threshold < gate:
            given = f"{threshold:g}" if isinstance(threshold, float | int) else "no number"
            raise ValueError(
                f"params.yaml: select_takes.{name}.{key} = {given} is looser than floor.{key} = {gate:g}, below which "
                f"nothing was decoded or scored: lower floor.{key} too, or raise the threshold"
            )


def active_rules(chosen: TakeSet) -> list[tuple[Rule, float | Quantile]]:
    """Return the rules that have a threshold, with it; `{reduce}` filled in."""
    found = []
    for rule in RULES:
        threshold = getattr(chosen, rule.key)
        if threshold is not None:
            found.append((rule._replace(score=rule.score.format(reduce=chosen.reduce)), threshold))
    return found


def decide(
    scores: Path | pa.Table,
    duplicates: Path | pa.Table,
    matches: Path | pa.Table,
    chosen: TakeSet,
    *,
    excluded: Mapping[str, str],
    included: Mapping[str, str],
    embeddings: Path | pa.Table,
) -> Decided:
    """Decide on each candidate; kept and rejected are in the order of `scores`.

    `scores` is what score_takes wrote, `duplicates` and `matches` what find_duplicates wrote. `excluded` and `included`
    overrule every rule, by take_id or source_id; exclusion wins, and what lies below the floor cannot be included.
    `embeddings` (take_id, embedding) is read only where a sample is drawn. Raises ValueError where a candidate that a
    rule meets has no such score.
    """
    table, copies, pairs = (t if isinstance(t, pa.Table) else pq.read_table(t) for t in (scores, duplicates, matches))
    with duckdb.connect(config={"threads": 1}) as con:  # the order of rows, and so of ties, is fixed
        con.register("scores", table.append_column("row", pa.array(np.arange(len(table)))))
        con.register("duplicates", copies)
        con.register("matches", pairs)
        for name, overrides in (("excluded", excluded), ("included", included)):
            con.register(name, _reasons(overrides))
        con.execute(_OVERRULED)
        limits = _limits(con, active_rules(chosen))
        con.execute(f"create temp table decided as {_decisions(active_rules(chosen), limits)}")
        if chosen.near_duplicates == "best":
            con.register("copies", _copies(con))
            con.execute(_LEAVE_OUT_COPIES)
        con.register("clusters", _sample(con, chosen.sample, embeddings))
        # numbers of rows alone: so the wide columns are neither sorted nor joined
        left = "row, content_cluster from decided join clusters using (take_id) where reason is null"
        out = "row, reason, score, value, threshold, detail from decided where reason is not null"
        kept, rejected = (con.sql(f"select {query} order by row").to_arrow_table() for query in (left, out))
    counts = Counter(rejected.column("reason").to_pylist())
    return Decided(
        _with(table, kept), _with(table, rejected), limits, funnel(chosen, len(kept) + len(rejected), counts)
    )


def _with(scores: pa.Table, told: pa.Table) -> pa.Table:
    """Return the rows of `scores` whose numbers `told` has, with its other columns."""
    found = scores.take(told.column("row"))
    for name in told.column_names[1:]:
        found = found.append_column(told.schema.field(name), told.column(name))
    return found


def _reasons(overrides: Mapping[str, str]) -> pa.Table:
    return pa.table({"id": pa.array(overrides, pa.string()), "why": pa.array(overrides.values(), pa.string())})


_OVERRULED = """
create temp table overruled as
select s.* exclude (keyframe_pts, name, licence, credit, url),
    coalesce(et.why, es.why) as out_why,
    case when s.keyframe_pts is not null then coalesce(it.why, si.why) end as in_why,
    s.keyframe_pts is null and coalesce(it.why, si.why) is not null as too_short
from scores s
left join excluded et on et.id = s.take_id left join excluded es on es.id = s.source_id
left join included it on it.id = s.take_id left join included si on si.id = s.source_id
"""


def _limits(con: duckdb.DuckDBPyConnection, rules: Sequence[tuple[Rule, float | Quantile]]) -> dict[str, float]:
    """Return the threshold of each rule as a number: a quantile is that of the candidates that the rule meets."""
    limits: dict[str, float] = {}
    met = "out_why is null and in_why is null"
    for rule, threshold in rules:
        if isinstance(threshold, Quantile):
            query = f"select quantile_disc({rule.score}, {threshold.quantile!r}) from overruled where {met}"
            ((value,),) = con.execute(query).fetchall()
            limits[rule.reason] = 0.0 if value is None else float(value)
        else:
            limits[rule.reason] = float(threshold)
        met += f" and {rule.score} {rule.keeps} {limits[rule.reason]!r}"
    return limits


def _decisions(rules: Sequence[tuple[Rule, Any]], limits: Mapping[str, float]) -> str:
    """Return the query that finds for each candidate the first rule it fails."""
    checks = "".join(
        f" when not ({rule.score} {rule.keeps} {limits[rule.reason]!r}) then {number}"
        f" when {rule.score} is null then error('take ' || take_id || ' has no {rule.score}')"
        for number, (rule, _) in enumerate(rules)
    )
    failed = f"case when out_why is null and in_why is null then case{checks} end end" if checks else "null::integer"

    def of_failed(what: Callable[[Rule], str]) -> str:
        cases = "".join(f" when {number} then {what(rule)}" for number, (rule, _) in enumerate(rules))
        return f"case failed{cases} end" if cases else "null"

    return f"""
    select row, take_id, out_why is null and in_why is not null as wanted,
        case when out_why is not null then 'excluded' else {of_failed(lambda rule: f"'{rule.reason}'")} end as reason,
        {of_failed(lambda rule: f"'{rule.score}'")} as score,
        {of_failed(lambda rule: f"{rule.score}::double")} as value,
        {of_failed(lambda rule: f"{limits[rule.reason]!r}::double")} as threshold,
        coalesce(out_why, case when too_short then '{BELOW_FLOOR}' end, '') as detail
    from (select *, {failed} as failed from overruled)
    """


_LEFT_MATCHES = """
select least(a.row, b.row) as one, greatest(a.row, b.row) as other, min(matches.distance) as distance
from matches join decided a on a.take_id = matches.take_id join decided b on b.take_id = matches.other_take_id
where a.reason is null and b.reason is null group by all
"""

_LEAVE_OUT_COPIES = f"""
update decided set reason = '{NEAR_DUPLICATE}', score = 'duplicate_distance', value = copies.distance,
    detail = 'of ' || best.take_id
from copies join decided best on best.row = copies.best where decided.row = copies.row
"""


def _copies(con: duckdb.DuckDBPyConnection) -> pa.Table:
    """Return the takes to leave out, as row, best (the row of the one that stays for it) and their distance.

    Among what the other rules have left, the best take leaves out all that match it, then the best of the rest, and so
    on; what is wanted comes first and is never left out. So nothing is left out for a take that it does not match.
    """
    pairs = con.sql(_LEFT_MATCHES).fetchnumpy()
    near: dict[int, list[tuple[int, float]]] = {}
    for one, other, distance in zip(*(pairs[name].tolist() for name in ("one", "other", "distance")), strict=True):
        near.setdefault(one, []).append((other, distance))
        near.setdefault(other, []).append((one, distance))
    query = "select row, wanted from decided join duplicates using (take_id) where reason is null"
    order = con.sql(f"{query} order by wanted desc, place").fetchnumpy()
    wanted = dict(zip(order["row"].tolist(), order["wanted"].tolist(), strict=True))
    out: dict[int, tuple[int, float]] = {}
    for best in wanted:
        if best not in out:
            for copy, distance in near.get(best, ()):
                if not wanted[copy]:
                    out.setdefault(copy, (best, distance))
    return pa.table(
        {
            "row": pa.array(list(out), pa.int64()),
            "best": pa.array([best for best, _ in out.values()], pa.int64()),
            "distance": pa.array([distance for _, distance in out.values()], pa.float64()),
        }
    )


def _sample(con: duckdb.DuckDBPyConnection, sample: Sample, embeddings: Path | pa.Table) -> pa.Table:
    """Mark as sampled out what is too many; return take_id, content_cluster (null where none was asked for)."""
    from tasks.video.content import content_clusters, draw_evenly

    if not sample.takes:
        query = "select take_id, null::integer as content_cluster from decided where reason is null"
        return con.sql(query).to_arrow_table()
    con.register("embeddings", embeddings if isinstance(embeddings, pa.Table) else pq.read_table(embeddings))
    query = "select take_id, embedding, quality, wanted from decided join scores using (take_id)"
    rows = con.sql(f"{query} join embeddings using (take_id) where reason is null order by take_id").to_arrow_table()
    ids = rows.column("take_id").to_pylist()
    clusters = content_clusters(rows.column("embedding").to_pylist(), sample.clusters)
    drawn = draw_evenly(clusters, rows.column("quality").to_pylist(), rows.column("wanted").to_pylist(), sample.takes)
    left_out = [take_id for take_id, here in zip(ids, drawn, strict=True) if not here]
    con.register("left_out", pa.table({"take_id": pa.array(left_out, pa.string())}))
    con.execute(
        f"update decided set reason = '{SAMPLED_OUT}', score = 'sample_takes', threshold = {sample.takes}, "
        f"detail = 'its content cluster is well represented' from left_out where decided.take_id = left_out.take_id"
    )
    return pa.table({"take_id": pa.array(ids, pa.string()), "content_cluster": pa.array(clusters, pa.int32())})


def funnel(chosen: TakeSet, candidates: int, rejected: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return (step, candidates left after it), from all candidates down to what is kept."""
    reasons = [f"{rule.step} {rule.reason}" for rule, _ in active_rules(chosen)]
    steps = [("candidates", candidates)]
    for name in ["0 excluded", *reasons, f"7 {NEAR_DUPLICATE}", f"8 {SAMPLED_OUT}"]:
        steps.append((name, steps[-1][1] - rejected.get(name.partition(" ")[2], 0)))
    return steps
