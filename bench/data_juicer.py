"""The scan beside data-juicer's scene split and motion score as they come, on one excerpt: python -m bench.data_juicer

data-juicer gets an environment of its own, with all that it would install by itself at its first call. Its ops are
called one after the other on the file, as its executor does with a sample: `video_split_by_scene_mapper` writes a clip
for each scene, `video_motion_score_filter` scores each clip. CPU is user + system time, child processes (ffmpeg)
included, imports left out. Run it on an idle machine with 16 GB free: the motion score keeps every flow field of a
sample as Python floats, 130 MB each at 720p, so that 30 s take 9 GB.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROWS = HERE / "data_juicer.json"
TARGET = 10  # times the frames per CPU-second
# The ops' own imports, and what those do not declare: aiohttp and ray are asked for by the executor behind every op.
REQUIREMENTS = [
    "py-data-juicer==1.6.1",
    "aiohttp",
    "av==13.1.0",
    "imageio-ffmpeg==0.8.1",  # the ffmpeg that PySceneDetect splits with
    "opencv-contrib-python-headless==5.0.0.93",
    "ray==2.60.0",
    "scenedetect-headless==0.7.2",
]
OFFLINE = {"UV_OFFLINE": "1", "PIP_NO_INDEX": "1"}  # an install within the clock would fail, not be timed


def cpu_s() -> float:
    """Return user + system seconds of this process and of the children that it waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def run_ops(path: str, folder: str) -> dict[str, Any]:
    """Split a video by scene into a folder and score the motion of each clip, all at defaults; say what each cost."""
    from data_juicer.ops.filter.video_motion_score_filter import VideoMotionScoreFilter
    from data_juicer.ops.mapper.video_split_by_scene_mapper import VideoSplitBySceneMapper
    from data_juicer.utils.constant import Fields, StatsKeys

    split, motion = VideoSplitBySceneMapper(save_dir=folder), VideoMotionScoreFilter()
    begun = cpu_s()
    sample = split.process_single({"videos": [path], "text": "", Fields.stats: {}})
    splitted = cpu_s()
    sample = motion.compute_stats_single(sample)
    scored = cpu_s()
    scores = [float(score) for score in sample[Fields.stats][StatsKeys.video_motion_score]]
    if len(sample["videos"]) < 2 or len(scores) != len(sample["videos"]) or min(scores) < 0:
        raise SystemExit(f"data-juicer did not do its work: {len(sample['videos'])} clips, scores {scores}")
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak
    return {
        "clips": len(scores),
        "split_s": splitted - begun,
        "motion_s": scored - splitted,
        "peak_mb": int(peak[1]) / 1024,
    }


def measure(python: Path, path: Path) -> dict[str, Any]:
    """Run the ops in a process of data-juicer's environment."""
    with tempfile.TemporaryDirectory(prefix="bench-data-juicer-") as folder:
        command = [str(python), "-m", "bench.data_juicer", "--ops", str(path), folder]
        env = {**os.environ, **OFFLINE, "RAY_USAGE_STATS_ENABLED": "0"}
        done = subprocess.run(command, env=env, cwd=HERE.parent, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"data-juicer ended with {done.returncode}:\n{done.stderr[-2000:]}")
        return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--input", type=Path, help="a video (default: the film that fetch_video fetched)")
    parser.add_argument("--seconds", type=float, default=30, help="only its first seconds")
    parser.add_argument("--tries", type=int, default=3)
    parser.add_argument("--ops", nargs=2, metavar=("VIDEO", "FOLDER"), help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.ops:
        print(json.dumps(run_ops(*told.ops)))
        return

    import psutil

    from bench import video
    from bench.environments import environment, versions

    source = told.input or video.FILM
    if not source.exists():
        raise SystemExit(f"{source} is missing: make it with 'dvc repro fetch_video', or name a file by --input")
    python = environment("data-juicer", REQUIREMENTS)
    load = psutil.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-data-juicer-") as folder:
        excerpt = video.shortened(source, told.seconds, Path(folder))
        ours, theirs = [], []
        for _ in range(told.tries):
            ours.append(video.measure("scan", excerpt))
            theirs.append(measure(python, excerpt))
    frames = ours[0].frames
    median = {key: statistics.median(t[key] for t in theirs) for key in ("split_s", "motion_s")}
    both = statistics.median(t["split_s"] + t["motion_s"] for t in theirs)
    mine = statistics.median(t.cpu_s for t in ours)

    def row(contender: str, seconds: float, peak_mb: float, found: str) -> dict[str, Any]:
        return {
            "contender": contender,
            "frames": frames,
            "frames_per_cpu_s": round(frames / seconds, 1),
            "cpu_s": round(seconds, 1),
            "scan_is_faster": f"{seconds / mine:.1f}x",
            "peak_mb": round(peak_mb),
            "found": found,
        }

    peak, clips = max(t["peak_mb"] for t in theirs), theirs[0]["clips"]
    version = versions(python, ["py-data-juicer"])["py-data-juicer"]
    rows = [
        row("**this scan**, all consumers", mine, max(t.peak_mb for t in ours), ours[0].found),
        row(f"data-juicer {version}: scene split + motion score", both, peak, f"{clips} clips, a score each"),
        row("of these, video_split_by_scene_mapper (detect, re-encode)", median["split_s"], peak, f"{clips} clips"),
        row("of these, video_motion_score_filter (2 pictures a second)", median["motion_s"], peak, ""),
    ]
    ratio = both / mine
    header = {
        "input": source.name,
        "seconds": told.seconds,
        "tries": told.tries,
        "ratio": round(ratio, 1),
        "target": TARGET,
        "met": ratio >= TARGET,
        "cores": os.cpu_count(),
        "load_before": round(load, 1),
    }
    ROWS.write_text(json.dumps({**header, "rows": rows}, indent=1) + "\n")
    print("| same excerpt, in turns | frames / CPU-s | CPU s | scan is faster | peak memory | found |")
    print("|---|---|---|---|---|---|")
    for r in rows:
        print(
            f"| {r['contender']} | {r['frames_per_cpu_s']} | {r['cpu_s']} | {r['scan_is_faster']} | {r['peak_mb']} MB "
            f"| {r['found']} |"
        )
    print(f"\nTarget: the scan at {TARGET}x data-juicer: {ratio:.1f}x, {'met' if header['met'] else 'not met'}")


if __name__ == "__main__":
    sys.exit(main())
