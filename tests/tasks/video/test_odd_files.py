"""Odd files come out right, or are refused with the reason: sizes, turns, times, and what is no video at all."""

import errno
import itertools
import os
import resource
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from tasks.tables import Reject
from tasks.video.probe import MAX_PIXELS, open_video, probe, short_side_px
from tasks.video.scan import scan_video_file
from tasks.video.views import View
from tests.tasks.video import clips, odd
from tests.tasks.video.test_frames import Watcher, watch
from tests.tasks.video.test_scan import every_file_is_the_source, job  # noqa: F401  a fixture

MS = Fraction(1, 1000)


def numbered(frames: int, height: int = 96, width: int = 160) -> list[np.ndarray]:
    """Return frames that each tell their number: by a grey level, 4 apart from the next."""
    return [np.full((height, width, 3), 20 + 4 * number, np.uint8) for number in range(frames)]


def busy(images: list[np.ndarray]) -> list[np.ndarray]:
    """Return images under noise of no mean, so that a frame of them has a usual size in bytes."""
    rng = np.random.default_rng(2)
    noise = [rng.integers(-8, 9, image.shape[:2])[..., None] for image in images]
    return [(image + step - step.mean().round()).astype(np.uint8) for image, step in zip(images, noise, strict=True)]


def pixel_aspect(value: Fraction) -> Callable[[Any], None]:
    def set_up(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = value

    return set_up


def numbers(watcher: Watcher) -> list[int]:
    return [round((float(image.mean()) - 20) / 4) for image in watcher.images]


def reason(act: Callable[[], Any]) -> str:
    with pytest.raises(Reject) as caught:
        act()
    assert caught.value.detail
    return caught.value.reason


# --- sizes and shapes ---


@pytest.mark.parametrize(
    ("width", "height", "codec", "pixels", "suffix"),
    [
        (321, 181, "ffv1", "yuv420p", ".mkv"),
        (321, 181, "libx264", "yuv444p", ".mp4"),
        (322, 182, "libx264", "yuv420p", ".mp4"),
        (33, 601, "ffv1", "yuv420p", ".mkv"),
        (601, 35, "libvpx-vp9", "yuv420p", ".webm"),
        (17, 17, "mpeg4", "yuv420p", ".avi"),
        (3, 3, "png", "rgb24", ".mov"),
        (1, 1, "ffv1", "yuv420p", ".mkv"),
    ],
)
def test_pictures_of_any_size_are_seen_whole(
    tmp_path: Path, width: int, height: int, codec: str, pixels: str, suffix: str
) -> None:
    """The corners keep their colours, in a view of the displayed aspect."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: (height + 1) // 2, : (width + 1) // 2] = 200, 60, 60
    image[(height + 1) // 2 :, (width + 1) // 2 :] = 60, 60, 200
    path = odd.write(tmp_path / f"clip{suffix}", [image] * 2, codec, pixels)
    view = Watcher(view=View("bgr24", short_side=32))
    counts = watch(path, view)
    assert (counts.width, counts.height) == (width, height)
    assert short_side_px(probe(path)) == min(width, height)
    seen = view.images[0].astype(float)
    assert min(seen.shape[:2]) == 32
    assert seen.shape[1] / seen.shape[0] == pytest.approx(width / height, rel=0.05)
    if min(width, height) > 3:
        corners = seen[2, 2], seen[-3, -3], seen[2, -3], seen[-3, 2]
        wanted = image[0, 0, ::-1], image[-1, -1, ::-1], (0, 0, 0), (0, 0, 0)
        assert all(np.abs(corner - color).max() < 30 for corner, color in zip(corners, wanted, strict=True))


@pytest.mark.parametrize(("width", "height"), [(1280, 48), (32, 800)])
def test_shapes_that_no_screen_has_are_refused(tmp_path: Path, width: int, height: int) -> None:
    path = odd.write(tmp_path / "clip.mkv", [np.zeros((height, width, 3), np.uint8)], "ffv1", "yuv420p")
    assert reason(lambda: probe(path)) == "odd_shape"


def test_pixels_are_as_wide_as_the_container_says_where_the_codec_disagrees(tmp_path: Path) -> None:
    """As ISO 14496-12 has it (12.1.4)."""
    path = odd.write(tmp_path / "agreed.mp4", numbered(3), "libx264", "yuv420p", setup=pixel_aspect(Fraction(2)))
    told = [struct.pack(">4sII", b"pasp", *ratio) for ratio in ((2, 1), (4, 3))]
    other = odd.patched(path, tmp_path / "other.mp4", *told)
    for clip, aspect, width in ((path, Fraction(2), 320), (other, Fraction(4, 3), 213)):
        facts, counts = probe(clip), watch(clip, Watcher())
        assert Fraction(facts["aspect_num"], facts["aspect_den"]) == aspect
        assert (counts.width, counts.height) == (width, 96)


def test_a_size_that_changes_is_refused_with_the_count(tmp_path: Path) -> None:
    parts = [
        odd.write(
            tmp_path / f"{width}.h264", clips.moving(1, 30, 2, width=width), "libx264", "yuv420p", options={"bf": "0"}
        )
        for width in (320, 160)
    ]
    path = odd.joined(parts, tmp_path / "clip.ts")
    watcher = Watcher()
    counts = watch(path, watcher)
    assert (counts.decoded_frames, counts.reshaped_frames) == (60, 30)
    assert {image.shape for image in watcher.images} == {(18, 32)}
    with pytest.raises(Reject) as caught:
        scan_video_file(job(path, tmp_path))
    assert (caught.value.reason, caught.value.value) == ("mixed_shapes", 0.5)


def test_a_pixel_aspect_that_changes_is_refused(tmp_path: Path) -> None:
    """As broadcasts do between 4:3 and 16:9, within one coded size."""
    parts = [
        odd.write(tmp_path / f"{number}.m2v", numbered(30), "mpeg2video", "yuv420p", setup=pixel_aspect(value))
        for number, value in enumerate((Fraction(4, 5), Fraction(16, 15)))
    ]
    counts = watch(odd.joined(parts, tmp_path / "clip.ts"), Watcher())
    assert counts.reshaped_frames == pytest.approx(30, abs=2)


# --- turned and mirrored ---

UNIT = 65536
TURNS: dict[str, tuple[list[int], Callable[[np.ndarray], np.ndarray]]] = {
    "left to right": ([-UNIT, 0, 0, UNIT], np.fliplr),
    "upside down": ([UNIT, 0, 0, -UNIT], np.flipud),
    "transposed": ([0, UNIT, UNIT, 0], lambda image: image.transpose(1, 0, 2)),
    "the other diagonal": ([0, -UNIT, -UNIT, 0], lambda image: image[::-1, ::-1].transpose(1, 0, 2)),
    "half": ([-UNIT, 0, 0, -UNIT], lambda image: image[::-1, ::-1]),
}


def display_matrix(a: int, b: int, c: int, d: int) -> Callable[[Any], None]:
    return lambda stream: stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])


@pytest.mark.parametrize("turn", TURNS)
def test_frames_are_mirrored_as_the_container_says(tmp_path: Path, turn: str) -> None:
    """The matrix takes (x, y) to (ax + cy, bx + dy) (14496-12, 8.2.2)."""
    matrix, expected = TURNS[turn]
    images = [clips.texture(5, 96, 160)]
    plain = odd.write(tmp_path / "plain.mp4", images, "libx264", "yuv420p")
    path = odd.write(tmp_path / "turned.mp4", images, "libx264", "yuv420p", setup=display_matrix(*matrix))
    lying, upright = Watcher(view=View("bgr24", short_side=48)), Watcher(view=View("bgr24", short_side=48))
    watch(plain, lying)
    counts = watch(path, upright)
    assert np.array_equal(upright.images[0], expected(lying.images[0]))
    assert (counts.width, counts.height) == ((160, 96) if matrix[0] else (96, 160))


def test_an_askew_picture_is_refused(tmp_path: Path) -> None:
    path = odd.write(
        tmp_path / "clip.mp4", numbered(2), "libx264", "yuv420p", setup=display_matrix(46341, 46341, -46341, 46341)
    )
    assert reason(lambda: watch(path, Watcher())) == "odd_rotation"


# --- times ---


@pytest.mark.parametrize(
    ("suffix", "codec", "container_options"),
    [
        (".mkv", "libx264", {"live": "1"}),
        (".webm", "libvpx-vp9", {"live": "1"}),
        (".flv", "libx264", {"flvflags": "no_duration_filesize"}),
        (".ts", "libx264", {}),
        (".mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
        (".mp4", "libx264", {"movflags": "negative_cts_offsets"}),
        (".mpg", "mpeg1video", {}),
        (".vob", "mpeg2video", {}),
        (".asf", "msmpeg4", {}),
        (".ogv", "libvpx", {}),
        (".mxf", "mpeg2video", {}),
        (".3gp", "libx264", {}),
    ],
)
def test_length_and_rate_are_found_whether_the_container_says_them_or_not(
    tmp_path: Path, suffix: str, codec: str, container_options: dict[str, str]
) -> None:
    """With B-frames, where the codec has them."""
    images = busy(numbered(48))
    options = {"bf": "2"} if codec == "libx264" else {"qmax": "4"}
    if codec == "mpeg2video":
        options["bf"] = "2"
    if "vpx" in codec:
        options = {"crf": "8", "b": "2000000", "deadline": "realtime"}
    path = odd.write(
        tmp_path / f"clip{suffix}", images, codec, "yuv420p", options=options, container_options=container_options
    )
    facts = probe(path)
    assert facts["source_frames"] == 48
    assert facts["duration_s"] == pytest.approx(48 / 25, abs=0.05)
    assert facts["fps"] == pytest.approx(25, rel=0.03)
    watcher = Watcher()
    counts = watch(path, watcher)
    assert counts.decoded_frames == 48
    assert counts.repaired_pts == 0
    assert numbers(watcher) == list(range(48))
    with av.open(str(path)) as container:
        base = container.streams.video[0].time_base
    assert base
    assert float((counts.end_pts - counts.start_pts) * base) == pytest.approx(48 / 25, abs=0.05)


def test_a_clock_that_wraps_goes_on(tmp_path: Path) -> None:
    """Transport streams count 33 bits of 90 kHz: every 26.5 hours they begin anew."""
    times = [2**33 - 90_000 + 3600 * number for number in range(50)]
    path = odd.write(tmp_path / "clip.ts", numbered(50), "libx264", "yuv420p", pts=times, base=Fraction(1, 90_000))
    watcher = Watcher()
    assert watch(path, watcher).repaired_pts == 0
    assert set(np.diff(watcher.pts)) == {3600}
    assert probe(path)["duration_s"] == pytest.approx(2.0)
    assert numbers(watcher) == list(range(50))


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 numbered frames with B-frames; media time begins at 1024, a frame is 512."""
    folder = tmp_path_factory.mktemp("edited")
    return odd.write(folder / "clip.mp4", numbered(50), "libx264", "yuv420p", options={"bf": "2", "g": "12"})


def test_a_head_that_the_edit_list_cuts_is_not_shown(edited: Path, tmp_path: Path) -> None:
    path = odd.with_edits(edited, tmp_path / "cut.mp4", [(1200, 1024 + 20 * 512, 1)])
    watcher = Watcher()
    counts = watch(path, watcher)
    assert numbers(watcher) == list(range(20, 50))
    assert probe(path)["source_frames"] == counts.decoded_frames == 30
    assert probe(path)["duration_s"] == pytest.approx(1.2)
    assert watcher.pts == [512 * number for number in range(30)]


def test_a_tail_that_the_edit_list_cuts_is_not_shown(edited: Path, tmp_path: Path) -> None:
    watcher = Watcher()
    watch(odd.with_edits(edited, tmp_path / "cut.mp4", [(800, 1024, 1)]), watcher)
    assert numbers(watcher) == list(range(20))


def test_an_empty_edit_delays(edited: Path, tmp_path: Path) -> None:
    path = odd.with_edits(edited, tmp_path / "late.mp4", [(500, -1, 1), (2000, 1024, 1)])
    watcher = Watcher()
    counts = watch(path, watcher)
    assert numbers(watcher) == list(range(50))
    assert counts.start_pts == 6400
    assert probe(path)["duration_s"] == pytest.approx(2.0)


@pytest.mark.parametrize(
    "edits",
    [
        [(400, 1024, 1), (400, 1024 + 30 * 512, 1)],
        [(400, 16384, 1), (400, 1024, 1)],
        [(1000, 1024, 2)],
        [(1000, 6144, 0)],
    ],
    ids=["spliced", "turned round", "twice as fast", "frozen"],
)
def test_edits_that_ffmpeg_does_not_follow_are_refused(
    edited: Path, tmp_path: Path, edits: list[tuple[int, int, float]]
) -> None:
    path = odd.with_edits(edited, tmp_path / "clip.mp4", edits)
    assert reason(lambda: probe(path)) == "edit_list"


def test_a_frame_whose_time_is_taken_is_not_shown_and_moves_no_other(tmp_path: Path) -> None:
    times = [40 * number - (40 if number == 7 else 0) for number in range(60)]
    path = odd.write(
        tmp_path / "clip.mkv", numbered(58), "libx264", "yuv420p", pts=times[:58], base=MS, options={"bf": "0"}
    )
    watcher = Watcher()
    counts = watch(path, watcher)
    assert (counts.decoded_frames, counts.repaired_pts) == (58, 1)
    assert watcher.pts == [40 * number for number in range(58) if number != 7]
    assert numbers(watcher) == [number for number in range(58) if number != 7]


def test_streams_joined_at_an_earlier_time_are_refused(tmp_path: Path) -> None:
    bare = odd.write(tmp_path / "clip.h264", numbered(30), "libx264", "yuv420p", options={"bf": "0"})
    late = odd.joined([bare], tmp_path / "late.ts", ticks=range(500, 530))
    early = odd.joined([bare], tmp_path / "early.ts")
    path = tmp_path / "joined.ts"
    path.write_bytes(late.read_bytes() + early.read_bytes())
    assert reason(lambda: scan_video_file(job(path, tmp_path))) == "bad_timestamps"


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video", "libx265"])
def test_a_recording_that_begins_between_i_frames_counts_from_the_first(tmp_path: Path, codec: str) -> None:
    options = {"x265-params": "keyint=25:log-level=none"} if codec == "libx265" else {"g": "25", "bf": "2"}
    whole = odd.write(tmp_path / "whole.ts", busy(numbered(50)) * 4, codec, "yuv420p", options=options)
    data = whole.read_bytes()
    path = tmp_path / "clip.ts"
    path.write_bytes(data[188 * round(len(data) / 188 * 0.07) :])
    facts, counts = probe(path), watch(path, Watcher())
    assert facts["packets"] > facts["source_frames"] >= counts.decoded_frames >= 0.98 * facts["source_frames"]
    assert facts["fps"] == pytest.approx(25, rel=0.01)
    assert scan_video_file(job(path, tmp_path)) == counts.decoded_frames


def test_the_longest_gap_is_told(tmp_path: Path) -> None:
    times = [40 * number + (36_000_000 if number > 14 else 0) for number in range(30)]
    path = odd.write(tmp_path / "clip.mkv", numbered(30), "libx264", "yuv420p", pts=times, base=MS)
    assert probe(path)["longest_gap_s"] == pytest.approx(36_000.04)
    assert watch(path, Watcher(4)).decoded_frames == 30
    even = odd.write(tmp_path / "even.mkv", numbered(30), "libx264", "yuv420p")
    assert probe(even)["longest_gap_s"] == pytest.approx(0.04)


@pytest.mark.parametrize("fps", [1, 240, 100_000])
def test_rates_that_no_camera_has_are_counted_as_they_are(tmp_path: Path, fps: int) -> None:
    path = odd.write(tmp_path / "clip.mp4", numbered(30), "libx264", "yuv420p", fps=fps)
    assert probe(path)["fps"] == pytest.approx(fps)
    assert watch(path, Watcher(), Watcher(4)).repaired_pts == 0


def test_a_rate_that_is_not_so_is_not_believed(tmp_path: Path) -> None:
    """The stream says 25 frames a second, its frames come at 10."""
    path = odd.write(tmp_path / "clip.mkv", numbered(30), "libx264", "yuv420p", pts=range(0, 3000, 100), base=MS)
    assert probe(path)["fps"] == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_one_frame_is_seen_once(tmp_path: Path, suffix: str) -> None:
    path = odd.write(tmp_path / f"clip{suffix}", numbered(1), "libx264", "yuv420p")
    every, sampled = Watcher(), Watcher(4)
    assert watch(path, every, sampled).decoded_frames == probe(path)["source_frames"] == 1
    assert len(every.pts) == len(sampled.pts) == 1


# --- several streams ---


def test_of_several_videos_the_default_one_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    done, cover = cv2.imencode(".jpg", clips.texture(7, 720, 1280))
    assert done
    with av.open(str(path), "w") as container:
        streams: list[Any] = [container.add_stream("libx264", rate=25) for _ in range(2)]
        for stream, (width, height) in zip(streams, ((160, 96), (320, 180)), strict=True):
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        streams[0].disposition, streams[1].disposition = 0, av.stream.Disposition.default
        picture: Any = container.add_stream("mjpeg")
        picture.width, picture.height, picture.pix_fmt = 1280, 720, "yuvj420p"
        picture.disposition = av.stream.Disposition.attached_pic
        packet = av.Packet(cover.tobytes())
        packet.stream, packet.pts, packet.dts = picture, 0, 0
        container.mux(packet)
        for small, large in zip(clips.moving(1, 25, 2, height=96, width=160), clips.moving(2, 25, 6), strict=True):
            for stream, image in zip(streams, (small, large), strict=True):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        for stream in streams:
            container.mux(stream.encode(None))
    counts = watch(path, Watcher())
    assert (counts.width, counts.height, counts.decoded_frames) == (320, 180, 25)
    assert probe(path)["source_frames"] == 25


# --- odd files that are sound are scanned like any other ---


def test_odd_files_that_are_sound_are_scanned(tmp_path: Path) -> None:
    images = clips.moving(1, 50, 2, height=96, width=160)
    fields = [np.ascontiguousarray(image[..., 0] // 2 + 50) for image in images]
    bare = odd.write_field_pictures(tmp_path / "fields.h264", fields)

    def pq(stream: Any) -> None:
        codec = stream.codec_context
        codec.colorspace, codec.color_trc, codec.color_primaries = 9, 16, 9

    paths = [
        odd.joined([bare], tmp_path / "fields.ts", fps=50),
        odd.write(tmp_path / "hdr.mp4", images, "libx265", "yuv420p10le", setup=pq),
        odd.write(tmp_path / "turned.mp4", images, "libx264", "yuv420p", setup=display_matrix(0, UNIT, UNIT, 0)),
        odd.write(tmp_path / "grey.mkv", images, "ffv1", "gray10le"),
        odd.write(tmp_path / "palette.gif", images, "gif", "rgb8"),
        odd.write(tmp_path / "prores.mov", images, "prores_ks", "yuv422p10le"),
    ]
    for path in paths:
        assert scan_video_file(job(path, tmp_path / path.stem)) == 50, path.name


# --- no video, or none that can be read ---


@pytest.mark.parametrize("kind", [".png", ".jpg", ".webp", ".bmp", ".tiff"])
def test_a_still_under_the_name_of_a_video_is_refused(tmp_path: Path, kind: str) -> None:
    done, data = cv2.imencode(kind, clips.texture(1))
    assert done
    path = tmp_path / "clip.mp4"
    path.write_bytes(data.tobytes())
    assert reason(lambda: probe(path)) == "still_image"


LISTS = {
    "clip.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:2,\nother.mp4\n#EXT-X-ENDLIST\n",
    "clip.mp4": "ffconcat version 1.0\nfile other.mp4\n",
    "clip.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
    "clip.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_files_is_named_and_what_it_names_is_not_opened(tmp_path: Path, name: str) -> None:
    """A named pipe would be waited for, for ever."""
    os.mkfifo(tmp_path / "other.mp4")
    path = tmp_path / name
    path.write_text(LISTS[name])
    with pytest.raises(Reject, match="list of other files") as caught:
        probe(path)
    assert caught.value.reason == "unreadable"


@pytest.mark.parametrize("name", ["notes.txt", "notes.nfo", "notes.mp4", "notes.ans"])
def test_text_is_not_painted(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("a line of \x1b[31mtext\n" * 200)
    assert reason(lambda: probe(path)) == "unreadable"


def test_colours_of_dolby_vision_alone_are_refused(tmp_path: Path) -> None:
    """Without a base layer in PQ its colours are in no space that FFmpeg undoes."""
    plain = odd.write(tmp_path / "plain.mp4", numbered(3), "libx265", "yuv420p10le")
    path = odd.patched(plain, tmp_path / "clip.mp4", b"hev1", b"dvhe")
    assert reason(lambda: probe(path)) == "unknown_color"


def test_a_codec_that_nobody_knows_is_named(tmp_path: Path) -> None:
    plain = odd.write(tmp_path / "plain.mp4", numbered(3), "libx264", "yuv420p")
    assert reason(lambda: probe(odd.patched(plain, tmp_path / "clip.mp4", b"avc1", b"drmi"))) == "no_decoder"


def test_a_size_that_cannot_be_learnt_is_not_taken_for_a_small_one(tmp_path: Path) -> None:
    """Its container and its pictures claim 60000x60000, which no decoder takes."""
    path = odd.write(tmp_path / "plain.mov", numbered(3), "png", "rgb24")
    for form in (">HH", ">II"):
        path = odd.patched(
            path, tmp_path / f"{form[1]}.mov", struct.pack(form, 160, 96), struct.pack(form, 60000, 60000)
        )
    assert reason(lambda: probe(path)) in {"unreadable", "too_large"}


def test_encrypted_video_is_named(tmp_path: Path) -> None:
    key = {"encryption_key": "00112233445566778899aabbccddeeff", "encryption_kid": "00112233445566778899aabbccddee00"}
    path = odd.write(
        tmp_path / "clip.mp4",
        numbered(30),
        "libx264",
        "yuv420p",
        container_options={"encryption_scheme": "cenc-aes-ctr", **key},
    )
    assert b"encv" in path.read_bytes()
    assert reason(lambda: probe(path)) == "encrypted"


def test_frames_larger_than_any_screen_are_refused_before_they_cost_memory(tmp_path: Path) -> None:
    """Beside a file of 96x64 whose header says 16384x16000, 0.4 GB a frame."""
    frames = [np.full((64, 96), 100, np.uint8)] * 3
    path = odd.write_field_pictures(tmp_path / "clip.h264", frames, claimed=(16384, 16000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Reject) as caught:
        probe(path)
    assert caught.value.reason == "too_large"
    assert (caught.value.value, caught.value.threshold) == (16384 * 16000, MAX_PIXELS)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_frames_that_grow_beyond_any_screen_are_damage_not_memory(tmp_path: Path) -> None:
    frames = [np.full((64, 96), 100, np.uint8)] * 20
    small = odd.write_field_pictures(tmp_path / "small.h264", frames)
    huge = odd.write_field_pictures(tmp_path / "huge.h264", frames, claimed=(16384, 16000))
    path = odd.joined([small, huge], tmp_path / "clip.ts", fps=50)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts = watch(path, Watcher())
    assert counts.decoded_frames <= 20
    assert counts.decoder_errors > 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


# --- the machine's troubles are not the file's ---


@pytest.fixture
def sound_clip(tmp_path: Path) -> Path:
    return odd.write(tmp_path / "clip.mp4", numbered(10), "libx264", "yuv420p")


def test_a_lack_of_file_handles_is_trouble_of_the_machine(sound_clip: Path) -> None:
    """In a process of its own, which has none left."""
    script = f"""
import os, resource
from tasks.tables import Reject
from tasks.video.probe import probe
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
probe({str(sound_clip)!r})
try:
    while True:
        os.dup(0)
except OSError:
    pass
try:
    probe({str(sound_clip)!r})
except Reject as reject:
    print("reject", reject)
except OSError as error:
    print("trouble", error.errno)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["trouble", str(errno.EMFILE)]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.ENFILE, errno.ESTALE])
def test_what_the_system_refuses_is_trouble_of_the_machine(
    sound_clip: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def failing(*args: object, **kwargs: object) -> None:
        raise av.error.OSError(number, os.strerror(number))

    monkeypatch.setattr(av, "open", failing)
    with pytest.raises(OSError, match=os.strerror(number)) as caught, open_video(sound_clip):
        pass
    assert (caught.value.errno, isinstance(caught.value, av.error.FFmpegError)) == (number, False)


def test_an_input_error_over_a_file_that_can_be_read_is_the_files_own(
    sound_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FFmpeg calls a torn box an input/output error."""

    def failing(*args: object, **kwargs: object) -> None:
        raise av.error.OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(av, "open", failing)
    assert reason(lambda: probe(sound_clip)) == "unreadable"


def test_a_folder_is_not_taken_for_a_bad_video(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        probe(tmp_path)


# --- whatever the bytes ---


def spoilt(path: Path, seed: int) -> Iterator[bytes]:
    """Yield copies of a file with wrong bytes, also in its heads, and torn ones."""
    rng = np.random.default_rng(seed)
    data = path.read_bytes()
    for trial in itertools.count():
        wrong = bytearray(data)
        reach = len(data) if trial % 2 else min(len(data), 1500)
        for place in rng.integers(0, reach, rng.integers(1, 12)):
            at = int(place) if trial % 4 < 2 else len(data) - 1 - int(place)
            wrong[at] = int(rng.integers(0, 256))
        yield bytes(wrong[: int(rng.integers(1, len(data)))] if trial % 5 == 4 else wrong)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".mp4", "libx264"),
        (".mkv", "libx264"),
        (".ts", "libx264"),
        (".avi", "mpeg4"),
        (".webm", "libvpx"),
        (".mov", "prores_ks"),
    ],
)
def test_spoilt_bytes_are_counted_or_refused_and_never_stop_the_pass(tmp_path: Path, suffix: str, codec: str) -> None:
    pixels = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
    images = clips.moving(3, 12, 2, height=64, width=96)
    whole = odd.write(tmp_path / f"whole{suffix}", images, codec, pixels)
    path = tmp_path / f"clip{suffix}"
    for data in itertools.islice(spoilt(whole, 1), 40):
        path.write_bytes(data)
        try:
            facts = probe(path)
            watcher = Watcher(view=View("bgr24", short_side=32))
            counts = watch(path, watcher, Watcher(4))
        except Reject as reject:
            assert reject.reason
            continue
        assert facts["source_frames"] > 0
        assert watcher.pts == sorted(set(watcher.pts))
        assert len(watcher.pts) <= counts.decoded_frames
