"""Takes as files and as spans: against a full decode, frame by frame and time by time."""

import hashlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tasks.tables import Reject
from tasks.video.cutting import EncodeSettings, cut_copy, cut_encode
from tasks.video.virtual import read_take
from tests.tasks.video import clips

FINE = EncodeSettings(crf=4, preset="veryfast", max_short_side_px=0)
FRAMES = 96
SOURCES = {
    "h264_open_gop.mp4": ("libx264", {"x264-params": "keyint=24:min-keyint=24:scenecut=0:open-gop=1:bframes=5:b-pyramid=2"}),
    "h264_open_gop.mkv": ("libx264", {"x264-params": "keyint=24:min-keyint=24:scenecut=0:open-gop=1:bframes=3:b-adapt=0"}),
    "h264.ts": ("libx264", {"x264-params": "keyint=24:min-keyint=24:scenecut=0:bframes=2"}),
    "h264.avi": ("libx264", {"x264-params": "keyint=24:scenecut=0:bframes=0"}),
    "hevc_open_gop.mp4": ("libx265", {"x265-params": "keyint=24:min-keyint=24:open-gop=1:bframes=4:log-level=none"}),
    "hevc_radl.mkv": ("libx265", {"x265-params": "keyint=24:min-keyint=24:open-gop=0:radl=2:log-level=none"}),
    "vp9.webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "g": "24", "auto-alt-ref": "1", "lag-in-frames": "8"}),
    "av1.mkv": ("libsvtav1", {"preset": "12", "g": "24", "svtav1-params": "scd=0"}),
    "mpeg2.ts": ("mpeg2video", {"g": "12", "bf": "2", "qscale": "2"}),
    "mpeg4.avi": ("mpeg4", {"g": "12", "qscale": "2"}),
    "mjpeg.avi": ("mjpeg", {"strict": "-2"}),
}  # fmt: skip


def images(count: int = FRAMES) -> list[clips.Image]:
    """Return frames that all differ, over one cut in the middle."""
    return clips.moving(1, count // 2, 3) + clips.moving(2, count - count // 2, 3)


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sources")
    return {
        name: clips.write_clip(folder / name, images(), codec=codec, options=options)
        for name, (codec, options) in SOURCES.items()
    }


def decoded(path: Path) -> list[tuple[int, str]]:
    """Return (pts, hash of the samples) of every frame: the oracle."""
    times, hashes = clips.read_all(path, fingerprint)
    return list(zip(times, hashes, strict=True))


def fingerprint(frame: av.VideoFrame) -> str:
    return hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest()


def seconds(path: Path, times: Sequence[int]) -> list[float]:
    with av.open(str(path)) as container:
        return [float(time * container.streams.video[0].time_base) for time in times]


def spans(frames: Sequence[tuple[int, str]]) -> list[tuple[int, int]]:
    """Return spans [start, end) in pts that begin and end everywhere in a group of pictures."""
    times = [pts for pts, _ in frames]
    return [(times[a], times[b]) for a, b in [(0, 30), (1, 50), (22, 71), (24, 72), (25, 49), (47, 95), (70, 90)]]


@pytest.mark.parametrize("name", SOURCES)
def test_virtual_take_is_exactly_the_frames_of_a_full_decode(sources: dict[str, Path], name: str) -> None:
    frames = decoded(sources[name])
    assert len(frames) == FRAMES
    for start, end in spans(frames):
        found = [(pts, fingerprint(frame)) for pts, frame in read_take(sources[name], start, end)]
        assert found == [f for f in frames if start <= f[0] < end]


@pytest.mark.parametrize("name", SOURCES)
def test_copy_shows_a_run_of_the_takes_own_frames_each_at_its_time(
    sources: dict[str, Path], name: str, tmp_path: Path
) -> None:
    frames = decoded(sources[name])
    kept = 0
    for start, end in spans(frames):
        target = tmp_path / f"{start}.mp4"
        try:
            facts = cut_copy(sources[name], start, end, target)
        except Reject as reject:
            assert reject.reason == "too_little_survives"
            continue
        assert start <= facts.start_pts < facts.end_pts <= end
        expected = [f for f in frames if facts.start_pts <= f[0] < facts.end_pts]
        found = decoded(target)
        assert [h for _, h in found] == [h for _, h in expected]
        assert facts.frames == len(found) > 0
        assert found[0][0] == 0
        then = seconds(sources[name], [pts - facts.start_pts for pts, _ in expected])
        assert seconds(target, [pts for pts, _ in found]) == pytest.approx(then, abs=1e-4)
        assert b"elst" not in target.read_bytes()
        kept += 1
    assert kept >= 5


@pytest.mark.parametrize("name", SOURCES)
def test_encode_shows_exactly_the_takes_frames_each_at_its_time(
    sources: dict[str, Path], name: str, tmp_path: Path
) -> None:
    times, pictures = clips.read_all(sources[name], lambda f: f.to_ndarray(format="gray").astype(int))
    start, end = times[22], times[71]
    facts = cut_encode(sources[name], start, end, tmp_path / "take.mp4", FINE)
    found, copies = clips.read_all(tmp_path / "take.mp4", lambda f: f.to_ndarray(format="gray").astype(int))
    expected = [(pts, picture) for pts, picture in zip(times, pictures, strict=True) if start <= pts < end]
    assert (facts.frames, facts.start_pts, facts.end_pts) == (len(expected), start, end)
    assert found[0] == 0
    then = seconds(sources[name], [pts - start for pts, _ in expected])
    assert seconds(tmp_path / "take.mp4", found) == pytest.approx(then, abs=1e-4)
    for copy, (_, picture) in zip(copies, expected, strict=True):
        assert np.abs(copy - picture).mean() < 1.5  # a frame beside it differs by more than 4
    assert b"elst" not in (tmp_path / "take.mp4").read_bytes()
