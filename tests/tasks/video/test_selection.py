"""Selection as a query, against the same rules written as a loop over random scores."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.tables import write_table
from tasks.video import detect_shots, scan_video, selection
from tasks.video.floor import FloorParams
from tasks.video.selection import SelectTakes, decide, funnel, rules

SELECT: dict[str, Any] = {
    "min_width_px": 1280,
    "min_height_px": 720,
    "min_fps": 20,
    "max_fps": 60,
    "min_duration_s": 1,
    "max_color_difference": 24,
    "min_luma": 60,
    "max_luma": 180,
    "min_motion_px_s": 25,
    "keyframes": 5,
}


def selected(**changes: Any) -> SelectTakes:
    return SelectTakes(**SELECT | changes)


class Scanned:
    """The tables of made-up videos: uneven times, shots with frames of transitions between, scores at random."""

    def __init__(self, folder: Path, videos: int, seed: int):
        rng = np.random.default_rng(seed)
        self.folder = folder
        self.videos: list[dict[str, Any]] = []
        self.frames: list[dict[str, Any]] = []
        self.samples: list[dict[str, Any]] = []
        self.shots: list[dict[str, Any]] = []
        for number in range(videos):
            source_id = f"{rng.integers(2**63):064x}"
            pts = (int(rng.integers(-500, 500)) + np.cumsum(rng.integers(20, 60, 300))).tolist()
            differences = rng.uniform(0, 6, len(pts))
            differences[rng.integers(1, len(pts), 4)] = rng.uniform(5, 60, 4)
            size = [(1280, 720), (1920, 1080), (640, 360), (1280, 700), (720, 1280)][rng.integers(5)]
            row = {field.name: _blank(field) for field in scan_video.VIDEOS}
            row |= {"source_id": source_id, "name": f"{number % 3}.mp4", "width": size[0], "height": size[1]}
            row |= {"fps": float(rng.choice([12, 24, 30, 60, 120], p=[0.1, 0.4, 0.3, 0.1, 0.1]))}
            row |= {"time_base_num": 1, "time_base_den": 1000, "start_pts": pts[0], "end_pts": pts[-1] + 40}
            self.videos.append(row)
            for i, (time, value) in enumerate(zip(pts, differences, strict=True)):
                difference = None if i == 0 else float(np.float32(value))
                self.frames.append(
                    {"source_id": source_id, "pts": time, "i_frame": i == 0, "color_difference": difference}
                )
            first = 0
            for last in sorted({*rng.integers(20, len(pts) - 20, 4).tolist(), len(pts)}):
                if last <= first:
                    continue
                end = pts[last] if last < len(pts) else row["end_pts"]
                shot = {"source_id": source_id, "start_pts": pts[first], "end_pts": end, "frames": last - first}
                shot |= {"begins": "cut", "ends": "cut", "begins_probability": 1.0, "ends_probability": 1.0}
                self.shots.append(shot)
                first = min(last + int(rng.choice([0, 0, 12])), len(pts) - 1)
            darkest = float(rng.choice([0, 40, 120]))
            for i in range(0, len(pts), 6):
                motion = None if i == 0 else float(np.float32(rng.uniform(0, 60)))
                luma = float(np.float32(rng.uniform(darkest, darkest + 100)))
                known = {"source_id": source_id, "pts": pts[i], "luma": luma, "motion_px_s": motion}
                self.samples.append({field.name: _blank(field) for field in scan_video.SAMPLES} | known)
        folder.mkdir()
        self.write_shots()
        write_table(folder / "videos.parquet", self.videos, scan_video.VIDEOS)
        write_table(folder / "frames.parquet", self.frames, scan_video.FRAMES)
        write_table(folder / "samples.parquet", self.samples, scan_video.SAMPLES)

    def write_shots(self) -> None:
        write_table(self.folder / "shots.parquet", self.shots, detect_shots.SHOTS)


def _blank(field: pa.Field) -> Any:
    if pa.types.is_list(field.type):
        return []
    return "" if pa.types.is_string(field.type) else 0


def by_loop(scanned: Scanned, select: SelectTakes) -> dict[tuple[str, int, int], tuple[str, dict[str, float]]]:
    """Return (source, start, end) -> (first failing rule or "", scores): the rules, one video and frame at a time."""
    found = {}
    for video in scanned.videos:
        frames = [f for f in scanned.frames if f["source_id"] == video["source_id"]]
        for shot in (shot for shot in scanned.shots if shot["source_id"] == video["source_id"]):
            start, end = shot["start_pts"], shot["end_pts"]
            values = [f["color_difference"] for f in frames if start < f["pts"] < end]
            inside = [s for s in scanned.samples if s["source_id"] == video["source_id"] and start <= s["pts"] < end]
            moved = [s["motion_px_s"] for s in inside if s["pts"] > start]
            scores = {
                "width_px": max(video["width"], video["height"]),
                "height_px": min(video["width"], video["height"]),
                "fps": video["fps"],
                "duration_s": (end - start) / 1000,
                "max_color_difference": max(values, default=0.0),
                "luma": float(np.mean([s["luma"] for s in inside])) if inside else 0.0,
                "motion_px_s": float(np.mean(moved)) if moved else 0.0,
            }
            failed = ""
            for reason, score, keeps, limit in rules(select):
                if not (scores[score] >= limit if keeps == ">=" else scores[score] <= limit):
                    failed = reason
                    break
            found[video["source_id"], start, end] = (failed, scores)
    return found


def span(row: dict[str, Any]) -> tuple[str, int, int]:
    return row["source_id"], row["start_pts"], row["end_pts"]


def test_each_candidate_is_kept_or_rejected_by_the_first_rule_that_it_fails(tmp_path: Path) -> None:
    scanned = Scanned(tmp_path / "scan", videos=60, seed=1)
    kept, rejected = decide(scanned.folder, scanned.folder, selected(), excluded={}, included={})
    expected = by_loop(scanned, selected())
    rows = [*kept.to_pylist(), *rejected.to_pylist()]
    assert sorted(map(span, rows)) == sorted(expected)
    assert {span(r) for r in kept.to_pylist()} == {at for at, (reason, _) in expected.items() if not reason}
    limits = {reason: (score, limit) for reason, score, _, limit in rules(selected())}
    for row in rejected.to_pylist():
        reason, scores = expected[span(row)]
        score, limit = limits[reason]
        assert (row["reason"], row["score"], row["threshold"]) == (reason, score, limit)
        assert row["value"] == pytest.approx(scores[score])
    for row in rows:
        _, scores = expected[span(row)]
        for name, value in scores.items():
            assert row[name] == pytest.approx(value), name
    assert len({row["take_id"] for row in rows}) == len(rows)
    assert {"duration", "cut", "width", "fps_low", "fps_high", "dark", "bright", "motion", ""} <= {
        reason for reason, _ in expected.values()
    }


def test_other_thresholds_decide_anew_from_the_same_scores(tmp_path: Path) -> None:
    scanned = Scanned(tmp_path / "scan", videos=8, seed=2)
    for changes in ({"max_color_difference": 5}, {"min_duration_s": 0.2}, {"max_luma": 255}):
        select = selected(**changes)
        kept, _ = decide(scanned.folder, scanned.folder, select, excluded={}, included={})
        expected = {at for at, (reason, _) in by_loop(scanned, select).items() if not reason}
        assert {span(row) for row in kept.to_pylist()} == expected


def test_overrides_win_over_rules_and_exclusion_over_inclusion(tmp_path: Path) -> None:
    scanned = Scanned(tmp_path / "scan", videos=20, seed=3)
    kept, rejected = decide(scanned.folder, scanned.folder, selected(), excluded={}, included={})
    good, bad = kept.to_pylist()[0], rejected.to_pylist()[0]
    source = rejected.to_pylist()[-1]["source_id"]
    excluded = {good["take_id"]: "a logo", source: "not ours"}
    included = {bad["take_id"]: "wanted", source: "wanted too"}
    kept, rejected = decide(scanned.folder, scanned.folder, selected(), excluded=excluded, included=included)
    assert bad["take_id"] in kept.column("take_id").to_pylist() or bad["source_id"] == source
    assert source not in kept.column("source_id").to_pylist()
    why = {row["take_id"]: (row["reason"], row["detail"]) for row in rejected.to_pylist()}
    assert why[good["take_id"]] in {("excluded", "a logo"), ("excluded", "not ours")}


def test_the_funnel_only_narrows_and_ends_at_what_is_kept(tmp_path: Path) -> None:
    scanned = Scanned(tmp_path / "scan", videos=10, seed=5)
    excluded = {scanned.videos[0]["source_id"]: "not ours"}
    kept, rejected = decide(scanned.folder, scanned.folder, selected(), excluded=excluded, included={})
    reasons = rejected.column("reason").to_pylist()
    steps = funnel(selected(), len(kept) + len(rejected), {r: reasons.count(r) for r in reasons})
    left = [count for _, count in steps]
    assert left[0] == len(kept) + len(rejected)
    assert left == sorted(left, reverse=True)
    assert left[-1] == len(kept)


def test_thresholds_that_no_take_could_pass_are_named() -> None:
    with pytest.raises(ValueError, match=r"select_takes\.min_luma is above select_takes\.max_luma"):
        selected(min_luma=190)


@pytest.mark.parametrize("name, value", [("min_height_px", 200), ("min_duration_s", 0.5)])
def test_a_threshold_looser_than_the_floor_is_named(name: str, value: float) -> None:
    floor = FloorParams(min_height_px=240, min_duration_s=1)
    selection.check_floor_of(floor, selected())
    with pytest.raises(ValueError, match=rf"select_takes\.{name} = {value} is looser than floor\.{name}"):
        selection.check_floor_of(floor, selected(**{name: value}))
