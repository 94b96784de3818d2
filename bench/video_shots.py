"""Our shot list of a film beside PySceneDetect's and TransNetV2's on every frame: python -m bench.video_shots

Where lists differ, a picture shows the frames around (docs/shots-differences.jpg), so that a person can say who is
right. It reads what `dvc repro` made of the film, and decodes the film again only for PySceneDetect.
"""

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import duckdb
import numpy as np
import psutil

from tasks import env
from tasks.store import Store
from tasks.video.mixtures import runs
from tasks.video.thumbnails import read_thumbnails

HERE = Path(__file__).resolve().parent
ROWS = HERE / "video_shots.json"
PICTURE = HERE.parent / "docs" / "shots-differences.jpg"
SHOTS, SCAN = Path("data/curated/shots/shots.parquet"), Path("data/curated/scan")
NEAR = 1  # frames by which two lists may differ on one boundary
TILE = (100, 56)


@dataclass(frozen=True)
class Found:
    """What one contender found: (first frame that is not of the shot before, first of the next) for each boundary."""

    label: str
    boundaries: list[tuple[int, int]]
    cpu_s: float | None


def ours(name: str) -> tuple[Found, list[str], list[int], np.ndarray, float]:
    """Return our boundaries, the thumbnails' blobs, pts and I-frame flags of all frames, and the network's share."""
    query = f"select source_id, thumbnail_blobs from '{SCAN}/videos.parquet' where name = $1"
    videos = duckdb.sql(query, params=[name]).fetchall()
    if not videos:
        raise SystemExit(f"{name} is not in {SCAN}/videos.parquet: run 'dvc repro'")
    source_id, blobs = videos[0]
    frames = _of_source("pts, i_frame", f"{SCAN}/frames.parquet", source_id)
    pts, i_frame = [p for p, _ in frames], np.array([bool(i) for _, i in frames])
    place = {p: number for number, p in enumerate(pts)}
    shots = _of_source("start_pts, end_pts", str(SHOTS), source_id)
    starts = [place[start] for start, _ in shots]
    ends = [place.get(end, len(pts)) for _, end in shots]
    boundaries = list(zip(ends[:-1], starts[1:], strict=True))
    if starts and starts[0]:
        boundaries.insert(0, (0, starts[0]))
    query = f"select judged_frames / frames from '{SHOTS.parent}/videos.parquet' where source_id = $1"
    ((share,),) = duckdb.sql(query, params=[source_id]).fetchall()
    return Found("detect_shots", boundaries, None), blobs, pts, i_frame, share


def _of_source(columns: str, table: str, source_id: str) -> list[tuple[int, ...]]:
    order = columns.partition(",")[0]
    query = f"select {columns} from '{table}' where source_id = $1 order by {order}"
    return duckdb.sql(query, params=[source_id]).fetchall()


def timed_ours(i_frame: np.ndarray, frames: np.ndarray) -> tuple[float, float]:
    """Return CPU seconds of finding the boundaries from thumbnails: in all, and of the network alone."""
    import yaml

    from tasks.video import transnet
    from tasks.video.shots import color_difference
    from tasks.video.transitions import Rules, find_boundaries

    rules = Rules(**yaml.safe_load((HERE.parent / "params.yaml").read_text())["detect_shots"])
    network = 0.0

    def judge(window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        nonlocal network
        begun = time.process_time()
        answer = transnet.judge(window)
        network += time.process_time() - begun
        return answer

    transnet.judge(frames[np.zeros(100, int)])  # loads the weights
    begun = time.process_time()
    find_boundaries(color_difference(frames), i_frame, frames, rules, judge)
    return time.process_time() - begun, network


def network_on_every_frame(frames: np.ndarray) -> Found:
    """Return what TransNetV2 finds on all windows of a film."""
    from tasks.video import transnet

    begun = time.process_time()
    ends = np.zeros(len(frames), np.float32)
    for first in range(0, len(frames), 50):
        window = np.arange(first - 25, first + 75).clip(0, len(frames) - 1)
        answer = transnet.judge(frames[window])[0]
        ends[first : first + 50] = answer[: len(ends) - first]
    found = [low + int(np.argmax(ends[low:high])) + 1 for low, high in runs(ends > 0.5)]
    return Found("TransNetV2 on every frame", [(at, at) for at in found], time.process_time() - begun)


def scenedetect(path: Path, detector: str) -> Found:
    """Return PySceneDetect's cuts, with its defaults."""
    import scenedetect as sd

    begun = time.process_time()
    video, manager = sd.open_video(str(path), backend="pyav"), sd.SceneManager()
    manager.add_detector(getattr(sd, detector)())
    manager.detect_scenes(video)
    cuts = [scene[0].frame_num for scene in manager.get_scene_list()[1:]]
    return Found(f"PySceneDetect {detector}", [(cut, cut) for cut in cuts], time.process_time() - begun)


def unmatched(these: Found, those: Found) -> list[int]:
    """Return the boundaries of `these` that none of `those` lies at, each by a frame."""
    return [
        (end + start) // 2
        for end, start in these.boundaries
        if not any(e - NEAR <= start and s + NEAR >= end for e, s in those.boundaries)
    ]


def draw(frames: np.ndarray, parts: list[tuple[str, list[int]]], pts_s: list[float]) -> None:
    """Draw for each difference the ten frames around it, under a line that says who found it."""
    rows = []
    for title, places in parts:
        for number, at in enumerate(places):
            if number == 0:
                rows.append(_line(title))
            around = np.arange(at - 5, at + 5).clip(0, len(frames) - 1)
            tiles = [cv2.resize(frames[i][..., ::-1], TILE, interpolation=cv2.INTER_CUBIC) for i in around]
            rows.append(_line(f"{pts_s[min(at, len(pts_s) - 1)]:.2f} s, frame {at}", small=True))
            rows.append(np.hstack(tiles))
    rows.append(_line("(c) 2008 Blender Foundation | www.bigbuckbunny.org, CC BY 3.0", small=True))
    PICTURE.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(PICTURE), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 85])


def _line(text: str, small: bool = False) -> np.ndarray:
    strip = np.full((20 if small else 32, 10 * TILE[0], 3), 255, np.uint8)
    size = 0.42 if small else 0.6
    cv2.putText(strip, text, (4, 14 if small else 23), cv2.FONT_HERSHEY_SIMPLEX, size, (30, 30, 30), 1, cv2.LINE_AA)
    return strip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--name", default="big_buck_bunny.mp4", help="a video that fetch_video fetched")
    told = parser.parse_args()
    load = psutil.getloadavg()[0]
    here, blobs, pts, i_frame, share = ours(told.name)
    frames = np.ascontiguousarray(read_thumbnails(Store(env.store_url(HERE.parent)), blobs)[..., ::-1])
    in_all, network = timed_ours(i_frame, frames)
    here = Found("**detect_shots**, from stored thumbnails", here.boundaries, in_all)
    path = Path("data/raw/video/files") / told.name
    every = network_on_every_frame(frames)
    peers = [every, *(scenedetect(path, d) for d in ("ContentDetector", "AdaptiveDetector"))]
    rows = [
        {
            "contender": found.label,
            "boundaries": len(found.boundaries),
            "cpu_s": round(found.cpu_s or 0.0, 1),
            "found_by_ours_alone": len(unmatched(here, found)) if found is not here else 0,
            "not_found_by_ours": len(unmatched(found, here)) if found is not here else 0,
        }
        for found in [here, *peers]
    ]
    kept = {
        "input": told.name,
        "frames": len(frames),
        "network_share": round(share, 3),
        "network_cpu_s": round(network, 1),
    }
    ROWS.write_text(
        json.dumps({**kept, "cores": os.cpu_count(), "load_before": round(load, 1), "rows": rows}, indent=1) + "\n"
    )
    query = f"select time_base_num / time_base_den from '{SCAN}/videos.parquet' where name = $1"
    ((base,),) = duckdb.sql(query, params=[told.name]).fetchall()
    pts_s = [(p - pts[0]) * float(base) for p in pts]
    content = peers[1]
    draw(
        frames,
        [
            ("Found by detect_shots, not by TransNetV2 on every frame", unmatched(here, every)),
            ("Found by TransNetV2 on every frame, not by detect_shots", unmatched(every, here)),
            ("Found by PySceneDetect's ContentDetector, not by detect_shots", unmatched(content, here)),
            ("Found by detect_shots, not by PySceneDetect's ContentDetector", unmatched(here, content)),
        ],
        pts_s,
    )
    print("| shot list | boundaries | CPU s | found by ours alone | not found by ours |\n|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['contender']} | {row['boundaries']} | {row['cpu_s']} | {row['found_by_ours_alone']} "
            f"| {row['not_found_by_ours']} |"
        )
    print(f"\nTransNetV2 saw {share:.0%} of the frames, {network:.0f} s CPU of ours; differences: {PICTURE}")


if __name__ == "__main__":
    main()
