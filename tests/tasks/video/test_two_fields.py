"""Interlaced video: frames keep their count and times, and no view shows a comb."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tasks.tables import Reject
from tasks.video.frames import run_pass
from tasks.video.probe import probe
from tasks.video.views import View
from tests.tasks.video import clips, odd
from tests.tasks.video.test_frames import Watcher, watch

STEP_PX = 6  # from one field to the next
HEIGHT, WIDTH = 288, 352
VIEWS = [View("gray", short_side=144), View("gray", short_side=200), View("gray", short_side=288)]
KINDS = [
    ("mpeg2video", ".ts", {"flags": "+ildct+ilme", "qscale": "2", "bf": "2"}, True),
    ("libx264", ".mp4", {"flags": "+ildct", "x264-params": "tff=1", "crf": "10"}, True),
    ("libx264", ".ts", {"flags": "+ildct", "x264-params": "bff=1", "crf": "10"}, False),
]


@pytest.fixture(scope="module")
def moments() -> list[np.ndarray]:
    """The moments that the fields are of: a picture that slides by STEP_PX."""
    return clips.moving(1, 24, STEP_PX, height=HEIGHT, width=WIDTH)


def comb(image: np.ndarray) -> float:
    """Return how much each line differs from the mean of its neighbours."""
    lines = image.astype(float)
    return float(np.abs(lines[1:-1] - (lines[:-2] + lines[2:]) / 2).mean())


def shift_px(images: Sequence[np.ndarray]) -> float:
    """Return the median shift to the left of a view from one frame to the next."""
    planes = [image.astype(np.float32) for image in images]
    window = cv2.createHanningWindow(planes[0].shape[::-1], cv2.CV_32F)
    return -float(np.median([cv2.phaseCorrelate(a, b, window)[0][0] for a, b in itertools.pairwise(planes)]))


@pytest.mark.parametrize(("codec", "suffix", "options", "top_first"), KINDS, ids=["MPEG-2", "MBAFF", "bottom first"])
def test_views_of_two_fields_have_no_comb_and_the_right_motion(
    tmp_path: Path, moments: list[np.ndarray], codec: str, suffix: str, options: dict[str, str], top_first: bool
) -> None:
    frames = odd.woven(moments, top_first=top_first)
    path = odd.write(tmp_path / f"woven{suffix}", frames, codec, "yuv420p", options=options)
    options = {name: value for name, value in options.items() if name not in {"flags", "x264-params"}}
    plain = odd.write(tmp_path / f"plain{suffix}", moments[::2], codec, "yuv420p", options=options)
    for view in VIEWS:
        two, one = Watcher(view=view), Watcher(view=view)
        assert watch(path, two).decoded_frames == watch(plain, one).decoded_frames == 12
        assert max(map(comb, two.images)) < 1.25 * max(map(comb, one.images))
        assert shift_px(two.images) == pytest.approx(shift_px(one.images), rel=0.05)
        assert shift_px(one.images) == pytest.approx(2 * STEP_PX * view.short_side / HEIGHT, rel=0.05)  # type: ignore[operator]
    _, full = clips.read_all(path, lambda frame: frame.to_ndarray(format="gray"))
    assert max(map(comb, full)) > 5 * comb(moments[0][..., 1])  # as decoded, it is combed


@pytest.mark.parametrize(("codec", "suffix", "options", "top_first"), KINDS, ids=["MPEG-2", "MBAFF", "bottom first"])
def test_the_probe_tells_fields_and_counts_frames(
    tmp_path: Path, moments: list[np.ndarray], codec: str, suffix: str, options: dict[str, str], top_first: bool
) -> None:
    frames = odd.woven(moments, top_first=top_first)
    facts = probe(odd.write(tmp_path / f"woven{suffix}", frames, codec, "yuv420p", options=options))
    assert facts["source_frames"] == 12
    assert facts["fps"] == pytest.approx(25, rel=0.01)
    assert facts["field_order"] in {"tt", "bb", "tb", "bt"}
    if codec == "libx264":
        assert facts["field_order"][1] == ("t" if top_first else "b")
    plain = odd.write(tmp_path / "plain.mp4", moments[:4], "libx264", "yuv420p")
    assert probe(plain)["field_order"] == "progressive"


def field_pictures(tmp_path: Path) -> tuple[list[np.ndarray], Path]:
    frames = list(np.random.default_rng(1).integers(16, 236, (20, 64, 96), dtype=np.uint8))
    return frames, odd.write_field_pictures(tmp_path / "fields.h264", frames)


@pytest.mark.parametrize("suffix", [".ts", ".mkv"])
def test_two_packets_of_a_field_each_are_one_frame(tmp_path: Path, suffix: str) -> None:
    frames, bare = field_pictures(tmp_path)
    path = odd.joined([bare], tmp_path / f"fields{suffix}", fps=50)
    facts = probe(path)
    assert (facts["packets"], facts["source_frames"]) == (40, 20)
    assert facts["fps"] == pytest.approx(25, rel=0.05)
    _, decoded = clips.read_all(path, lambda frame: frame.to_ndarray()[:64])
    assert np.array_equal(decoded, frames)  # so the file is what it is meant to be
    watcher = Watcher(view=View("gray", size=(96, 32)))
    assert watch(path, watcher).decoded_frames == 20
    full = np.clip((np.array(frames).astype(float) - 16) * 255 / 219, 0, 255)
    assert np.abs(np.array(watcher.images) - (full[:, ::2] + full[:, 1::2]) / 2).max() <= 2


def test_one_packet_of_two_fields_is_one_frame(tmp_path: Path) -> None:
    _, bare = field_pictures(tmp_path)
    path = tmp_path / "fields.mkv"
    with av.open(str(bare)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        fields = [bytes(packet) for packet in source.demux(video=0) if packet.size]
        for number, (top, bottom) in enumerate(zip(fields[::2], fields[1::2], strict=True)):
            packet = av.Packet(top + bottom)
            packet.stream, packet.pts, packet.dts, packet.duration = stream, 40 * number, 40 * number, 40
            packet.time_base = stream.time_base
            packet.is_keyframe = number == 0
            out.mux(packet)
    assert (probe(path)["packets"], probe(path)["source_frames"]) == (20, 20)
    assert watch(path, Watcher()).decoded_frames == 20


def test_field_pictures_that_are_not_joined_are_refused(tmp_path: Path, moments: list[np.ndarray]) -> None:
    """HEVC has fields as pictures of half the height; FFmpeg gives them one by one."""
    fields = [moment[number % 2 :: 2] for number, moment in enumerate(moments)]
    tags = {"x265-params": "interlace=tff:log-level=none"}
    path = odd.write(tmp_path / "fields.mkv", fields, "libx265", "yuv420p", options=tags)
    with pytest.raises(Reject) as caught:
        run_pass(path, [], frame_s=1 / 50)
    assert caught.value.reason == "field_pictures"
