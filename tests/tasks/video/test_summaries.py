"""Cheap scores of shots by a query, against the same sums written as a loop over random tables."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.tables import write_table
from tasks.video import detect_shots, scan_video
from tasks.video.summaries import BAR_QUANTILE, take_summaries

FROZEN = 0.5
SEGMENTS = 5
SAMPLED = [field.name for field in scan_video.SAMPLES if field.name not in ("source_id", "pts")]
MOVED = ("motion_px_s", "camera_px_s", "object_px_s", "pan_x_px_s", "pan_y_px_s", "zoom_per_s", "roll_deg_s")


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
            source_id = f"{rng.integers(2**63):064x}"[::-1]
            pts = (int(rng.integers(-500, 500)) + np.cumsum(rng.integers(20, 60, 300))).tolist()
            differences = rng.uniform(0, 6, len(pts))
            frozen = int(rng.integers(1, 250))
            differences[frozen : frozen + int(rng.integers(0, 40))] = 0.1
            size = [(1280, 720), (720, 1280)][rng.integers(2)]
            row = {field.name: _blank(field) for field in scan_video.VIDEOS}
            row |= {"source_id": source_id, "name": f"{number % 3}.mp4", "width": size[0], "height": size[1]}
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
            for i in range(0, len(pts), 6):
                sample: dict[str, Any] = {"source_id": source_id, "pts": pts[i]}
                sample |= {name: float(np.float32(rng.uniform(0, 0.4))) for name in SAMPLED}
                sample |= {name: None for name in MOVED if i == 0}
                self.samples.append(sample)
        folder.mkdir()
        write_table(folder / "shots.parquet", self.shots, detect_shots.SHOTS)
        write_table(folder / "videos.parquet", self.videos, scan_video.VIDEOS)
        write_table(folder / "frames.parquet", self.frames, scan_video.FRAMES)
        write_table(folder / "samples.parquet", self.samples, scan_video.SAMPLES)


def _blank(field: pa.Field) -> Any:
    if pa.types.is_list(field.type):
        return []
    if pa.types.is_boolean(field.type):
        return False
    return "" if pa.types.is_string(field.type) else 0


def mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def longest_still_ms(frames: list[dict[str, Any]], end: int) -> int:
    """Return how long the picture of a frame and those that show the same is shown at most, if more than one does."""
    longest = 0
    for i in range(len(frames)):
        last = i
        while last + 1 < len(frames) and frames[last + 1]["color_difference"] <= FROZEN:
            last += 1
        until = frames[last + 1]["pts"] if last + 1 < len(frames) else end
        if last > i:
            longest = max(longest, until - frames[i]["pts"])
    return longest


def by_loop(scanned: Scanned) -> dict[tuple[str, int, int], dict[str, float]]:
    """Return (source, start, end) -> scores, one shot, frame and sample at a time."""
    found = {}
    for video in scanned.videos:
        frames = [f for f in scanned.frames if f["source_id"] == video["source_id"]]
        samples = [s for s in scanned.samples if s["source_id"] == video["source_id"]]
        for shot in (shot for shot in scanned.shots if shot["source_id"] == video["source_id"]):
            start, end = shot["start_pts"], shot["end_pts"]
            here = [f for f in frames if start <= f["pts"] < end]
            inside = [s for s in samples if start <= s["pts"] < end]
            moved = [s for s in inside if s["pts"] > start]
            bars = {
                side: float(np.quantile([s[f"bar_{side}"] for s in inside], BAR_QUANTILE, method="inverted_cdf"))
                if inside
                else 0.0
                for side in ("top", "bottom", "left", "right")
            }
            parts = [
                [s["motion_px_s"] for s in moved if (s["pts"] - start) * SEGMENTS // (end - start) == part]
                for part in range(SEGMENTS)
            ]
            found[video["source_id"], start, end] = {
                "width_px": max(video["width"], video["height"]),
                "height_px": min(video["width"], video["height"]),
                "duration_s": (end - start) / 1000,
                "start_s": (start - video["start_pts"]) / 1000,
                "end_s": (end - video["start_pts"]) / 1000,
                "max_color_difference": max((f["color_difference"] for f in here if f["pts"] > start), default=0.0),
                "frozen_s": longest_still_ms(here, end) / 1000,
                "luma": mean([s["luma"] for s in inside]),
                "sharpness": float(np.median([s["sharpness"] for s in inside])) if inside else 0.0,
                "clipped_share": mean([s["dark_share"] + s["bright_share"] for s in inside]),
                "letterbox_area": 1 - (1 - bars["top"] - bars["bottom"]) * (1 - bars["left"] - bars["right"]),
                "motion_part_px_s": min((mean(part) for part in parts if part), default=0.0),
                **{name: mean([s[name] for s in moved]) for name in MOVED},
            }
    return found


def test_scores_are_those_of_a_loop_over_frames_and_samples(tmp_path: Path) -> None:
    scanned = Scanned(tmp_path / "scan", videos=25, seed=1)
    table = take_summaries(scanned.folder, scanned.folder, segments=SEGMENTS, frozen_difference=FROZEN)
    expected = by_loop(scanned)
    rows = {(row["source_id"], row["start_pts"], row["end_pts"]): row for row in table.to_pylist()}
    assert set(rows) == set(expected)
    for at, values in expected.items():
        for name, value in values.items():
            assert rows[at][name] == pytest.approx(value, abs=1e-6), (name, at)
    assert max(row["frozen_s"] for row in rows.values()) > 0.5
    assert len({row["take_id"] for row in rows.values()}) == len(rows)
    order = [(row["name"], row["source_id"], row["start_pts"]) for row in table.to_pylist()]
    assert order == sorted(order)
