"""Selection as a query, against the same rules written as a plain loop."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from tasks.tables import write_table
from tasks.video.floor import FloorParams
from tasks.video.scan_video import FRAMES, SAMPLES, VIDEOS
from tasks.video.selection import SelectTakes, check_floor_of, decide, funnel, rules

SELECT = SelectTakes(
    cut_color_difference=8,
    cut_ratio=2,
    min_width_px=640,
    min_height_px=360,
    min_fps=23.9,
    max_fps=60,
    min_duration_s=2,
    max_color_difference=24,
    min_luma=20,
    max_luma=180,
    min_motion_px_s=10,
    keyframes=5,
)


def video(source_id: str, frames: int, **changes: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        field.name: 0 if pa.types.is_integer(field.type) else 0.0 if pa.types.is_floating(field.type) else ""
        for field in VIDEOS
    }
    facts |= {"strip_blobs": [], "strip_first_pts": [], "source_id": source_id, "name": f"{source_id}.mp4"}
    facts |= {"width": 640, "height": 360, "fps": 24.0, "time_base_num": 1, "time_base_den": 24, "end_pts": frames}
    return facts | changes


def random_scan(folder: Path, seed: int) -> tuple[Path, list[Any], list[Any], list[Any]]:
    rng = np.random.default_rng(seed)
    videos, frames, samples = [], [], []
    for number in range(6):
        source, length = f"{number:064d}", int(rng.integers(40, 900))
        start = int(rng.integers(0, 50))
        portrait = bool(rng.integers(0, 2))
        size = {"width": 360, "height": 640} if portrait else {}
        small = {"width": 500, "height": 300} if number == 5 else {}
        videos.append(
            video(source, start + length, start_pts=start, fps=float(rng.choice([12, 24, 60, 90])), **size | small)
        )
        level, speed = float(rng.uniform(0, 255)), float(rng.uniform(0, 60))
        for i in range(length):
            difference = float(rng.gamma(2, 2)) + (float(rng.uniform(10, 60)) if rng.random() < 0.02 else 0)
            frames.append((source, start + i, i % 12 == 0, None if i == 0 else difference))
            if i % 6 == 0:
                moved = None if i == 0 else abs(speed + float(rng.normal(0, 5)))
                samples.append((source, start + i, min(max(level + float(rng.normal(0, 9)), 0), 255), moved, 7))
            if rng.random() < 0.01:
                level, speed = float(rng.uniform(0, 255)), float(rng.uniform(0, 60))

    def rows(found: list[Any], schema: pa.Schema) -> list[dict[str, Any]]:
        return [dict(zip(schema.names, row, strict=True)) for row in found]

    write_table(folder / "videos.parquet", videos, VIDEOS)
    write_table(folder / "frames.parquet", rows(frames, FRAMES), FRAMES)
    write_table(folder / "samples.parquet", rows(samples, SAMPLES), SAMPLES)
    return folder, videos, frames, samples


def plain_loop(videos: list[Any], frames: list[Any], samples: list[Any]) -> dict[tuple[str, int, int], Any]:
    """The oracle: (source, start, end) -> None if kept, else the first rule that fails."""
    decided = {}
    for v in videos:
        of_video = [
            (pts, None if d is None else float(np.float32(d))) for s, pts, _, d in frames if s == v["source_id"]
        ]
        starts = []
        for i, (pts, d) in enumerate(of_video):
            around = [x for _, x in of_video[max(0, i - 2) : i] + of_video[i + 1 : i + 3] if x is not None]
            if d is None or (d > 8 and d > 2 * max(around, default=0)):
                starts.append(pts)
        for start, end in zip(starts, [*starts[1:], v["end_pts"]], strict=True):
            inside = [d for pts, d in of_video if start < pts < end and d is not None]
            seen = [s for s in samples if s[0] == v["source_id"] and start <= s[1] < end]
            luma = float(np.mean([np.float32(s[2]) for s in seen])) if seen else 0
            moved = [np.float32(s[3]) for s in seen if s[1] > start and s[3] is not None]
            score = {
                "width_px": max(v["width"], v["height"]),
                "height_px": min(v["width"], v["height"]),
                "fps": v["fps"],
                "duration_s": (end - start) / 24,
                "max_color_difference": max(inside, default=0),
                "luma": luma,
                "motion_px_s": float(np.mean(moved)) if moved else 0,
            }
            failed = [
                reason
                for reason, name, keeps, limit in rules(SELECT)
                if not (score[name] >= limit if keeps == ">=" else score[name] <= limit)
            ]
            decided[v["source_id"], start, end] = failed[0] if failed else None
    return decided


@pytest.mark.parametrize("seed", range(4))
def test_the_query_decides_as_a_plain_loop_does(tmp_path: Path, seed: int) -> None:
    scan, videos, frames, samples = random_scan(tmp_path, seed)
    kept, rejected = decide(scan, SELECT, excluded={}, included={})
    found = {(r["source_id"], r["start_pts"], r["end_pts"]): None for r in kept.to_pylist()}
    found |= {(r["source_id"], r["start_pts"], r["end_pts"]): r["reason"] for r in rejected.to_pylist()}
    expected = plain_loop(videos, frames, samples)
    assert found == expected
    assert len(set(expected.values())) >= 5  # the case is worth something: many rules decide


def test_every_rejected_candidate_has_its_score_beyond_its_threshold(tmp_path: Path) -> None:
    scan, *_ = random_scan(tmp_path, 9)
    kept, rejected = decide(scan, SELECT, excluded={}, included={})
    keeps = {reason: comparison for reason, _, comparison, _ in rules(SELECT)}
    for row in rejected.to_pylist():
        assert row["value"] < row["threshold"] if keeps[row["reason"]] == ">=" else row["value"] > row["threshold"]
        assert row["value"] == row[row["score"]]
    reasons = [row["reason"] for row in rejected.to_pylist()]
    steps = funnel(SELECT, len(kept) + len(rejected), {r: reasons.count(r) for r in set(reasons)})
    counts = [count for _, count in steps]
    assert counts == sorted(counts, reverse=True)
    assert (counts[0], counts[-1]) == (len(kept) + len(rejected), len(kept))


def test_overrides_win_over_rules_and_exclusion_over_inclusion(tmp_path: Path) -> None:
    scan, *_ = random_scan(tmp_path, 3)
    kept, rejected = decide(scan, SELECT, excluded={}, included={})
    source = rejected.to_pylist()[0]["source_id"]
    take = kept.to_pylist()[0]["take_id"]
    now, gone = decide(scan, SELECT, excluded={take: "dull"}, included={source: "wanted", take: "wanted"})
    assert source not in {r["source_id"] for r in gone.to_pylist() if r["take_id"] != take}
    (dull,) = [r for r in gone.to_pylist() if r["take_id"] == take]
    assert (dull["reason"], dull["detail"], dull["value"]) == ("excluded", "dull", None)
    assert len(now) + len(gone) == len(kept) + len(rejected)


def test_takes_of_a_video_do_not_overlap_and_fill_it(tmp_path: Path) -> None:
    scan, videos, *_ = random_scan(tmp_path, 5)
    kept, rejected = decide(scan, SELECT, excluded={}, included={})
    for v in videos:
        both = [*kept.to_pylist(), *rejected.to_pylist()]
        spans = sorted((r["start_pts"], r["end_pts"]) for r in both if r["source_id"] == v["source_id"])
        assert [spans[0][0], spans[-1][1]] == [v["start_pts"], v["end_pts"]]
        assert all(end == start for (_, end), (start, _) in itertools.pairwise(spans))


def test_an_empty_scan_selects_nothing(tmp_path: Path) -> None:
    for name, schema in (("videos", VIDEOS), ("frames", FRAMES), ("samples", SAMPLES)):
        write_table(tmp_path / f"{name}.parquet", [], schema)
    kept, rejected = decide(tmp_path, SELECT, excluded={}, included={})
    assert (len(kept), len(rejected)) == (0, 0)


def test_a_band_without_inside_and_a_threshold_below_the_floor_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"select_takes.min_luma is above select_takes.max_luma"):
        SelectTakes(**{**SELECT.model_dump(), "min_luma": 200})
    with pytest.raises(ValueError, match=r"select_takes.min_duration_s = 2 is looser than floor.min_duration_s = 2.5"):
        check_floor_of(FloorParams(min_height_px=240, min_duration_s=2.5), SELECT)


def test_a_hundred_thousand_frames_are_decided_by_one_query(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    count = 100_000
    pts = np.arange(count)
    frames = pa.table(
        {
            "source_id": pa.array(["a" * 64] * count),
            "pts": pts,
            "i_frame": pts % 12 == 0,
            "color_difference": pa.array(np.where(pts % 50 == 0, 40, rng.random(count)).astype("f4"), mask=pts == 0),
        }
    )
    write_table(tmp_path / "videos.parquet", [video("a" * 64, count)], VIDEOS)
    write_table(tmp_path / "frames.parquet", frames, FRAMES)
    write_table(tmp_path / "samples.parquet", [], SAMPLES)
    kept, rejected = decide(tmp_path, SELECT, excluded={}, included={})
    assert len(kept) + len(rejected) == count // 50
