"""Find takes that show the same as others, whatever file, size or crop: data/curated/duplicates/.

Nothing is decoded: takes are recognised by the thumbnails that scan_video kept. duplicates.parquet has a row for each
take with a near-duplicate, matches.parquet a row for each pair.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tasks.stage import Plan, Report, Stage, StageError, StrictModel, stage_main
from tasks.store import Record, Store
from tasks.tables import REJECTED, Reject, read_table, rejected_row, write_table
from tasks.video.duplicates import Candidates, Match, Quality, Rules, Samples, clusters, compare, rank_key, search
from tasks.video.fingerprints import (
    NAME,
    FingerprintJob,
    make_fingerprints,
    read_pictures,
    stored_fingerprints,
)
from tasks.video.floor import FloorParams
from tasks.video.strip import gone

PAIRS = 2000  # compared by a worker at once
QUERIES = 500_000  # looked up at once
PICTURES = 64  # videos whose pictures a worker holds


def _field(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


DUPLICATES = pa.schema(
    [_field(n, pa.string()) for n in ("take_id", "source_id", "cluster_id")]
    + [_field("rank", pa.int32()), _field("place", pa.int32())]
    + [_field("linked_id", pa.string()), _field("nearest_take_id", pa.string())]
    + [_field(n, pa.float64()) for n in ("distance", "offset_s", "overlap_s")]
    + [_field("mirrored", pa.bool_())]
)  # cluster_id: the take of rank 0 in it; place: among all takes here, the best first; linked_id: the best take of all
# linked by matches, however far; offset_s: when this take starts, from the start of the nearest

MATCHES = pa.schema(
    [_field(n, pa.string()) for n in ("take_id", "other_take_id")]
    + [_field(n, pa.float64()) for n in ("distance", "offset_s", "overlap_s")]
    + [_field("mirrored", pa.bool_())]
    + [_field(n, pa.float64()) for n in ("left", "right", "top", "bottom")]
)  # other shows what lies within left .. bottom (shares of the picture without bars) of take


class FindDuplicates(StrictModel):
    """What makes two takes near-duplicates."""

    max_distance: float = Field(gt=0, lt=1, description="1 less the correlation of aligned pictures, in place and time")
    min_overlap_s: float = Field(ge=1, description="that both show; shorter takes are not compared")
    min_overlap_share: float = Field(ge=0, le=1, description="of the shorter of both")


class Params(StrictModel):
    floor: FloorParams
    find_duplicates: FindDuplicates


@dataclass(frozen=True)
class Take:
    """A shot that may have near-duplicates: its time in its video, from the first frame."""

    take_id: str
    source_id: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class CompareJob:
    """Pairs for a worker: numbers in `takes`, which say in which video each lies and as which of its takes."""

    pairs: tuple[tuple[int, int, int], ...]  # take, other, view
    takes: Mapping[int, tuple[str, int, float, float]]  # key of its video's fingerprints, place there, start_s, end_s
    rules: Rules
    store_url: str


def run(stage: Stage, params: Params) -> Report:
    """Make the fingerprints that are not stored yet, search, compare, then write clusters and matches."""
    found = params.find_duplicates
    rules = Rules(**found.model_dump())
    scan = stage.dep("data/curated/scan")
    videos, takes, jobs = _jobs(stage, scan, stage.dep("data/curated/shots"), params)
    rejects = _make_missing(stage, jobs, videos)
    records = stored_fingerprints(stage.store, jobs)
    jobs = {source_id: job for source_id, job in jobs.items() if source_id not in rejects}
    takes = [take for take in takes if take.source_id not in rejects]
    qualities = _qualities(takes, videos, records)
    candidates = _search(stage, jobs, records, qualities)
    matches = _compare(stage, candidates, takes, jobs, records, rules)
    rows = _rows(takes, matches, qualities)
    out = stage.out("data/curated/duplicates")
    out.mkdir()
    write_table(out / "duplicates.parquet", rows, DUPLICATES)
    write_table(out / "matches.parquet", [_match_row(takes, pair, match) for pair, match in matches.items()], MATCHES)
    rejected = [
        rejected_row(source_id, reject, stage=stage.name, unit="video", parent_id=videos[source_id]["name"])
        for source_id, reject in sorted(rejects.items())
    ]
    write_table(out / "rejected.parquet", rejected, REJECTED)
    duplicates = sum(row["rank"] > 0 for row in rows)
    stage.timing({"duplicates/probes": candidates.probes, "duplicates/candidates": len(candidates.take)})
    stage.metrics(
        {
            "duplicates": {
                "in": len(takes),
                "clusters": len({row["cluster_id"] for row in rows if row["rank"] > 0}),
                "duplicates": duplicates,
                "matches": len(matches),
            }
        }
    )
    stage.check_rejects("video", len(videos), len(rejects))
    reasons = Counter(reject.reason for reject in rejects.values())
    return Report("video", len(videos), len(videos) - len(rejects), dict(reasons), "data/curated/duplicates")


def plan(stage: Stage, params: Params) -> Plan:
    """Count the videos whose takes have no fingerprints yet."""
    _, _, jobs = _jobs(stage, stage.dep("data/curated/scan"), stage.dep("data/curated/shots"), params)
    done = stored_fingerprints(stage.store, jobs)
    return Plan("video", len(jobs) - len(done), len(done))


def _jobs(
    stage: Stage, scan: Path, shots: Path, params: Params
) -> tuple[dict[str, dict[str, Any]], list[Take], dict[str, FingerprintJob]]:
    """Return the videos, the takes in the order of (source_id, time), and a job for each video."""
    columns = ["source_id", "name", "width", "height", "duration_s", "video_bytes", "start_pts", "end_pts"]
    columns += ["time_base_num", "time_base_den", "thumbnail_blobs"]
    videos = {row["source_id"]: row for row in read_table(scan / "videos.parquet").select(columns).to_pylist()}
    least_s = max(params.floor.min_duration_s, params.find_duplicates.min_overlap_s)
    spans: dict[str, list[tuple[int, int]]] = {source_id: [] for source_id in videos}
    columns = ["source_id", "start_pts", "end_pts"]
    for shot in read_table(shots / "shots.parquet").select(columns).to_pylist():
        video = videos[shot["source_id"]]
        if (shot["end_pts"] - shot["start_pts"]) * video["time_base_num"] / video["time_base_den"] >= least_s:
            spans[shot["source_id"]].append((shot["start_pts"], shot["end_pts"]))
    times = _frame_times(scan)
    takes: list[Take] = []
    jobs: dict[str, FingerprintJob] = {}
    for source_id in sorted(videos):
        video = videos[source_id]
        pts = np.append(times[source_id], video["end_pts"])
        edges_s = (pts - video["start_pts"]) * (video["time_base_num"] / video["time_base_den"])
        frames = [
            (int(np.searchsorted(pts, start)), int(np.searchsorted(pts, end)))
            for start, end in sorted(spans[source_id])
        ]
        for (start, end), (first, last) in zip(sorted(spans[source_id]), frames, strict=True):
            take_id = f"{source_id[:16]}-{start}-{end}"
            takes.append(Take(take_id, source_id, float(edges_s[first]), float(edges_s[last])))
        jobs[source_id] = FingerprintJob(tuple(video["thumbnail_blobs"]), edges_s, tuple(frames), stage.store.url)
    return videos, takes, jobs


def _frame_times(scan: Path) -> dict[str, np.ndarray]:
    """Return the pts of each video's frames, which lie together in frames.parquet."""
    table = read_table(scan / "frames.parquet").select(["source_id", "pts"])
    if not len(table):
        return {}
    runs = pc.run_end_encode(table.column("source_id").combine_chunks())
    pts = np.split(table.column("pts").to_numpy(), runs.run_ends.to_numpy()[:-1])
    return dict(zip(runs.values.to_pylist(), pts, strict=True))


def _make_missing(
    stage: Stage, jobs: Mapping[str, FingerprintJob], videos: Mapping[str, Mapping[str, Any]]
) -> dict[str, Reject]:
    known = stored_fingerprints(stage.store, jobs)
    todo = [(source_id, job) for source_id, job in jobs.items() if source_id not in known]
    for source_id, job in todo:
        for blob in job.thumbnail_blobs if job.takes else ():
            if not stage.store.has_blob(blob):
                raise StageError(gone(videos[source_id]["name"], f"{blob[:12]}..."))
    rejects = {}
    for outcome in stage.map(make_fingerprints, todo, unit="video", total=len(todo)):
        if outcome.reject is not None:
            rejects[outcome.item_id] = outcome.reject
    stage.store.compact(NAME)
    return rejects


def _search(
    stage: Stage, jobs: Mapping[str, FingerprintJob], records: Mapping[str, Record], qualities: Sequence[Quality]
) -> Candidates:
    """Search among the takes, the best first; return candidates by their numbers in the order of `jobs`."""
    first = dict(zip(jobs, np.cumsum([0, *(len(job.takes) for job in jobs.values())]).tolist(), strict=False))
    order = np.array(sorted(range(len(qualities)), key=lambda number: rank_key(qualities[number])), np.int32)
    place = np.argsort(order).astype(np.int32)

    def tables(blob: int) -> Iterator[pa.Table]:
        for source_id in jobs:
            table = stage.store.read_table_blob(records[source_id].blobs[blob])
            take = place[table.column("take").to_numpy() + first[source_id]]
            yield table.set_column(0, table.schema.field("take"), pa.array(take))

    if not jobs:
        empty = np.empty(0, np.int32)
        return Candidates(empty, empty, empty, empty, 0, 0)
    found = search(pa.concat_tables(tables(1)).combine_chunks(), _joined(tables(2)))
    return replace(found, take=order[found.take], other=order[found.other])


def _joined(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Join small tables to ones of QUERIES rows or more."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        if sum(map(len, held)) >= QUERIES:
            yield pa.concat_tables(held).combine_chunks()
            held = []
    if held:
        yield pa.concat_tables(held).combine_chunks()


def _compare(
    stage: Stage,
    candidates: Candidates,
    takes: Sequence[Take],
    jobs: Mapping[str, FingerprintJob],
    records: Mapping[str, Record],
    rules: Rules,
) -> dict[tuple[int, int, int], Match]:
    """Compare each pair, in worker processes; return those that match by (take, other, view), sorted."""
    places: list[tuple[str, int]] = [
        (records[source_id].key, number) for source_id, job in jobs.items() for number in range(len(job.takes))
    ]
    chosen: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    columns = (candidates.take.tolist(), candidates.other.tolist(), candidates.view.tolist())
    for take, other, view in zip(*columns, strict=True):
        chosen.setdefault((min(take, other), max(take, other)), []).append((take, other, view))
    pairs = sorted(chosen)
    payloads: list[tuple[str, CompareJob]] = []
    for first in range(0, len(pairs), PAIRS):
        batch = pairs[first : first + PAIRS]
        tried = tuple(itertools.chain.from_iterable(chosen[pair] for pair in batch))
        involved = {number for take, other, _ in tried for number in (take, other)}
        about = {number: (*places[number], takes[number].start_s, takes[number].end_s) for number in involved}
        payloads.append((str(len(payloads)), CompareJob(tried, about, rules, stage.store.url)))
    matches: dict[tuple[int, int, int], Match] = {}
    for outcome in stage.map(compare_pairs, payloads, unit="group", total=len(payloads)):
        if outcome.reject is not None:
            raise StageError(f"takes could not be compared: {outcome.reject.reason}, {outcome.reject.detail}")
        matches.update(outcome.value)
    return dict(sorted(matches.items()))


def compare_pairs(job: CompareJob) -> dict[tuple[int, int, int], Match]:
    """Compare pairs, in both orders where both were found; return the better order of those that match."""
    store = Store(job.store_url)
    records = store.get_many(NAME, sorted({key for key, _, _, _ in job.takes.values()}))
    held: dict[str, list[np.ndarray]] = {}

    def samples(number: int) -> Samples:
        key, place, start_s, end_s = job.takes[number]
        if key not in held:
            while len(held) >= PICTURES:
                del held[next(iter(held))]
            held[key] = read_pictures(store, records[key])
        return Samples(start_s, end_s, records[key].value["takes"][place][1], held[key][place])

    best: dict[tuple[int, int], tuple[float, tuple[int, int, int], Match]] = {}
    for take, other, view in job.pairs:
        pair = min(take, other), max(take, other)
        match = compare(samples(take), samples(other), view, job.rules)
        if match and (pair not in best or match.distance < best[pair][0]):
            best[pair] = match.distance, (take, other, view), match
    return {key: match for _, key, match in best.values()}


def _qualities(
    takes: Sequence[Take], videos: Mapping[str, Mapping[str, Any]], records: Mapping[str, Record]
) -> list[Quality]:
    found = []
    for source_id, of_source in itertools.groupby(takes, key=lambda take: take.source_id):
        video = videos[source_id]
        pixels = video["width"] * video["height"]
        bits = 8 * video["video_bytes"] / video["duration_s"] / pixels
        for take, (_, _, area) in zip(of_source, records[source_id].value["takes"], strict=True):
            left, right, top, bottom = area
            shown = pixels * (right - left) * (bottom - top)
            found.append(Quality(take.take_id, shown, bits, take.end_s - take.start_s))
    return found


def _rows(
    takes: Sequence[Take], matches: Mapping[tuple[int, int, int], Match], qualities: Sequence[Quality]
) -> list[dict[str, Any]]:
    """Return a row for each take that has a match, in the order of takes."""
    nearest: dict[int, tuple[float, int, Match, bool, int]] = {}
    for (take, other, view), match in matches.items():
        for one, beside, sign in ((take, other, 1), (other, take, -1)):
            if one not in nearest or (match.distance, beside) < nearest[one][:2]:
                nearest[one] = (match.distance, beside, match, bool(view & 1), sign)
    numbers = sorted(nearest)
    place = {number: i for i, number in enumerate(numbers)}
    pairs = [(place[take], place[other]) for take, other, _ in matches]
    best_first = sorted(numbers, key=lambda number: rank_key(qualities[number]))
    places = {number: i for i, number in enumerate(best_first)}
    rows = []
    for number, (centre, rank, linked) in zip(
        numbers, clusters([qualities[number] for number in numbers], pairs), strict=True
    ):
        _, beside, match, mirrored, sign = nearest[number]
        rows.append(
            {
                "take_id": takes[number].take_id,
                "source_id": takes[number].source_id,
                "cluster_id": takes[numbers[centre]].take_id,
                "rank": rank,
                "place": places[number],
                "linked_id": takes[numbers[linked]].take_id,
                "nearest_take_id": takes[beside].take_id,
                "distance": match.distance,
                "offset_s": sign * match.offset_s + 0.0,
                "overlap_s": match.overlap_s,
                "mirrored": mirrored,
            }
        )
    return rows


def _match_row(takes: Sequence[Take], pair: tuple[int, int, int], match: Match) -> dict[str, Any]:
    take, other, view = pair
    return {
        "take_id": takes[take].take_id,
        "other_take_id": takes[other].take_id,
        **{name: getattr(match, name) for name in ("distance", "offset_s", "overlap_s")},
        "mirrored": bool(view & 1),
        **dict(zip(("left", "right", "top", "bottom"), match.window, strict=True)),
    }


if __name__ == "__main__":
    stage_main(run, Params, plan=plan)
