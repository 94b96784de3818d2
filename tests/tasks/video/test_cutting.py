"""Takes as files and as spans: against a full decode, frame by frame and time by time."""

import hashlib
import os
import subprocess
import sys
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
X264 = "keyint=24:min-keyint=24:scenecut=0"
X265 = "keyint=24:min-keyint=24:log-level=none"
SOURCES = {
    "h264_open_gop.mp4": ("libx264", {"x264-params": f"{X264}:open-gop=1:bframes=5:b-pyramid=2"}),
    "h264_open_gop.mkv": ("libx264", {"x264-params": f"{X264}:open-gop=1:bframes=3:b-adapt=0"}),
    "h264.ts": ("libx264", {"x264-params": f"{X264}:bframes=2"}),
    "h264.avi": ("libx264", {"x264-params": f"{X264}:bframes=0"}),
    "hevc_open_gop.mp4": ("libx265", {"x265-params": f"{X265}:open-gop=1:bframes=4"}),
    "hevc_radl.mkv": ("libx265", {"x265-params": f"{X265}:open-gop=0:radl=2"}),
    "vp9.webm": ("libvpx-vp9", {"cpu-used": "8", "g": "24", "auto-alt-ref": "1", "lag-in-frames": "8"}),
    "av1.mkv": ("libsvtav1", {"preset": "12", "g": "24", "svtav1-params": "scd=0"}),
    "mpeg2.ts": ("mpeg2video", {"g": "12", "bf": "2", "qscale": "2"}),
    "mpeg4.avi": ("mpeg4", {"g": "12", "qscale": "2"}),
    "mjpeg.avi": ("mjpeg", {"strict": "-2"}),
}


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
    times.append(2 * times[-1] - times[-2])  # when the last frame is over
    return [
        (times[a], times[b]) for a, b in [(0, 30), (1, 50), (22, 71), (24, 72), (25, 49), (47, 95), (70, 90), (60, 96)]
    ]


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


# --- sources with a difficulty ---


@pytest.mark.parametrize("name", ["h264_open_gop.mp4", "h264_open_gop.mkv", "hevc_open_gop.mp4", "mpeg2.ts"])
def test_the_open_groups_above_are_open(sources: dict[str, Path], name: str) -> None:
    with av.open(str(sources[name])) as container:
        packets = [(p.pts, p.is_keyframe) for p in container.demux(video=0) if p.size]
    starts = [n for n, (_, key) in enumerate(packets) if key][1:]
    assert any(packets[n + 1][0] < packets[n][0] for n in starts)  # shown before the I-frame, coded after it


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    times = [100, 110, 150, 400, 1000, 1040, 1500, 1510, 1530, 2000, 2500, 3100, 3101, 3200]
    path = clips.write_clip(tmp_path / "uneven.mkv", clips.moving(3, 14, 4), pts=times, options={"g": "4", "bf": "2"})
    facts = cut_encode(path, 1000, 3101, tmp_path / "encoded.mp4", FINE)
    pts, _ = clips.read_all(tmp_path / "encoded.mp4", fingerprint)
    assert facts.frames == len(pts) == 8
    assert seconds(tmp_path / "encoded.mp4", pts) == pytest.approx([0.0, 0.04, 0.5, 0.51, 0.53, 1.0, 1.5, 2.1])
    assert length_s(tmp_path / "encoded.mp4") == pytest.approx(2.101)
    facts = cut_copy(path, 1000, 3101, tmp_path / "copied.mp4")
    assert length_s(tmp_path / "copied.mp4") == pytest.approx((facts.end_pts - facts.start_pts) / 1000)
    pts, _ = clips.read_all(tmp_path / "copied.mp4", fingerprint)
    then = [(t - facts.start_pts) / 1000 for t in times if facts.start_pts <= t < facts.end_pts]
    assert facts.frames == len(pts) > 2
    assert seconds(tmp_path / "copied.mp4", pts) == pytest.approx(then)


def length_s(path: Path) -> float:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return float(stream.duration * stream.time_base)


@pytest.mark.parametrize("coding", ["mpeg2video", "libx264"])
def test_two_fields_become_one_picture_without_combs(coding: str, tmp_path: Path) -> None:
    moving = clips.moving(7, 48, 6)
    woven = [first.copy() for first in moving[::2]]
    for picture, later in zip(woven, moving[1::2], strict=True):
        picture[1::2] = later[1::2]
    path = write_fields(tmp_path / "fields.mkv", woven, coding)
    assert first_frame(path).interlaced_frame
    times, combed = clips.read_all(path, combs)
    facts = cut_encode(path, times[4], times[20], tmp_path / "take.mp4", FINE)
    pts, clean = clips.read_all(tmp_path / "take.mp4", combs)
    assert facts.frames == len(pts) == 16
    assert seconds(tmp_path / "take.mp4", pts) == pytest.approx(seconds(path, [t - times[4] for t in times[4:20]]))
    assert not first_frame(tmp_path / "take.mp4").interlaced_frame
    assert np.median(clean) < 0.5 * np.median(combed[4:20])


def combs(frame: av.VideoFrame) -> np.ndarray:
    """Return by how much lines differ from the mean of those above and below them."""
    grey = frame.to_ndarray(format="gray").astype(float)
    return np.abs(grey[1:-1] - (grey[:-2] + grey[2:]) / 2).mean()


def write_fields(path: Path, woven: Sequence[clips.Image], coding: str) -> Path:
    """Encode pictures of two fields, the upper first, and say so in the stream."""
    options = {"x264-params": "tff=1"} if coding == "libx264" else {"flags": "+ildct+ilme", "top": "1", "qscale": "2"}
    return clips.write_clip(path, woven, codec=coding, options={"g": "12", **options})


def with_edit_list(source: Path, target: Path, hidden: int) -> Path:
    """Copy a file so that an edit list hides its first frames, which the others need."""
    options = {"use_editlist": "1", "avoid_negative_ts": "disabled"}
    with av.open(str(source)) as container, av.open(str(target), "w", options=options) as out:
        stream = container.streams.video[0]
        copied = out.add_stream_from_template(stream, opaque=True)
        for packet in container.demux(stream):
            if packet.size:
                packet.pts, packet.dts = packet.pts - hidden * packet.duration, packet.dts - hidden * packet.duration
                packet.stream = copied
                out.mux(packet)
    return target


def test_frames_that_an_edit_list_hides_are_in_no_take(sources: dict[str, Path], tmp_path: Path) -> None:
    path = with_edit_list(sources["h264_open_gop.mp4"], tmp_path / "edited.mp4", hidden=10)
    assert b"elst" in path.read_bytes()
    frames = decoded(path)
    assert len(frames) == FRAMES - 10
    start, end = frames[0][0], frames[40][0]
    assert [(pts, fingerprint(f)) for pts, f in read_take(path, start, end)] == frames[:40]
    assert cut_encode(path, start, end, tmp_path / "encoded.mp4", FINE).frames == 40
    facts = cut_copy(path, start, end, tmp_path / "copied.mp4")
    expected = [h for pts, h in frames if facts.start_pts <= pts < facts.end_pts]
    assert [h for _, h in decoded(tmp_path / "copied.mp4")] == expected
    assert facts.start_pts == frames[14][0]  # the first I-frame that is shown


def test_a_copy_that_keeps_too_little_is_refused(sources: dict[str, Path], tmp_path: Path) -> None:
    times = [pts for pts, _ in decoded(sources["h264.ts"])]
    span = times[1], times[49]
    kept = cut_copy(sources["h264.ts"], *span, tmp_path / "take.mp4", min_share=0.4)
    assert kept.frames <= 25
    with pytest.raises(Reject, match="mode: encode") as caught:
        cut_copy(sources["h264.ts"], *span, tmp_path / "take.mp4", min_share=0.6)
    assert (caught.value.reason, caught.value.score) == ("too_little_survives", "copied_share")
    with pytest.raises(Reject, match="no I-frame lies inside"):
        cut_copy(sources["h264.ts"], times[1], times[23], tmp_path / "take.mp4")
    assert caught.value.value == pytest.approx((kept.end_pts - kept.start_pts) / (span[1] - span[0]))


def test_a_gradual_refresh_is_no_place_to_begin_a_copy(tmp_path: Path) -> None:
    refresh = {"x264-params": "keyint=24:min-keyint=24:scenecut=0:intra-refresh=1:bframes=0"}
    path = clips.write_clip(tmp_path / "refresh.ts", images(), options=refresh)
    frames = decoded(path)
    start, end = frames[30][0], frames[90][0]
    assert [(pts, fingerprint(f)) for pts, f in read_take(path, start, end)] == frames[30:90]
    with pytest.raises(Reject):
        cut_copy(path, start, end, tmp_path / "take.mp4")


def test_what_mp4_cannot_hold_is_not_copied(tmp_path: Path) -> None:
    path = clips.write_clip(tmp_path / "clip.mkv", images(24), codec="ffv1")
    end = decoded(path)[-1][0]
    with pytest.raises(Reject, match="cannot hold ffv1") as caught:
        cut_copy(path, 0, end, tmp_path / "take.mp4")
    assert caught.value.reason == "not_copyable"
    assert cut_encode(path, 0, end, tmp_path / "take.mp4", FINE).frames == 23


def test_a_span_of_another_file_is_refused(sources: dict[str, Path], tmp_path: Path) -> None:
    start = decoded(sources["h264_open_gop.mp4"])[10][0]
    with pytest.raises(ValueError, match="not the file that this take is of"):
        list(read_take(sources["h264_open_gop.mp4"], start + 1, start + 5000))
    with pytest.raises(Reject) as caught:
        cut_encode(sources["h264_open_gop.mp4"], start + 1, start + 5000, tmp_path / "take.mp4", FINE)
    assert caught.value.reason == "frames_differ"


# --- what the picture is ---


def first_frame(path: Path) -> av.VideoFrame:
    with av.open(str(path)) as container:
        return next(container.decode(video=0))


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_encoded_takes_are_upright_and_copied_ones_keep_the_flag(degrees: int, tmp_path: Path) -> None:
    path = clips.write_clip(
        tmp_path / "turned.mp4", images(24), rotation_deg=degrees, aspect=Fraction(4, 3), options={"g": "8", "bf": "0"}
    )
    source = first_frame(path)
    end = decoded(path)[16][0]
    facts = cut_encode(path, 0, end, tmp_path / "encoded.mp4", FINE)
    upright = np.rot90(source.to_ndarray(format="gray"), round(source.rotation / 90) % 4).astype(int)
    encoded = first_frame(tmp_path / "encoded.mp4")
    assert encoded.rotation == 0
    assert np.abs(encoded.to_ndarray(format="gray").astype(int) - upright).mean() < 1.5
    assert (facts.height_px, facts.width_px) == upright.shape
    cut_copy(path, 0, end, tmp_path / "copied.mp4")
    assert first_frame(tmp_path / "copied.mp4").rotation == source.rotation != 0
    with av.open(str(tmp_path / "encoded.mp4")) as encoded_file, av.open(str(tmp_path / "copied.mp4")) as copied_file:
        aspects = [c.streams.video[0].sample_aspect_ratio for c in (encoded_file, copied_file)]
    assert aspects == [Fraction(3, 4) if degrees % 180 else Fraction(4, 3), Fraction(4, 3)]


def test_a_mirrored_picture_is_encoded_as_it_is_shown(tmp_path: Path) -> None:
    path = clips.write_clip(tmp_path / "clip.mp4", images(24), rotation_deg=180)
    data = path.read_bytes()
    one, minus = (1 << 16).to_bytes(4, "big"), (-(1 << 16)).to_bytes(4, "big", signed=True)
    zero = bytes(4)
    turned = minus + zero * 3 + minus
    at = data.rindex(turned, 0, data.rindex(b"mdia"))  # the track's matrix: x' = -x, y' = -y
    path.write_bytes(data[:at] + minus + zero * 3 + one + data[at + len(turned) :])  # y' = y
    cut_encode(path, 0, 6000, tmp_path / "take.mp4", FINE)
    expected = first_frame(path).to_ndarray(format="gray")[:, ::-1].astype(int)
    assert np.abs(first_frame(tmp_path / "take.mp4").to_ndarray(format="gray").astype(int) - expected).mean() < 1.5


def test_an_odd_size_loses_its_last_row_and_column_and_nothing_is_scaled(tmp_path: Path) -> None:
    odd = [image[:179, :319] for image in images(24)]
    path = clips.write_clip(tmp_path / "odd.mkv", odd, codec="ffv1", options={"g": "1"})
    facts = cut_encode(path, 0, 500, tmp_path / "take.mp4", FINE)
    assert (facts.width_px, facts.height_px) == (318, 178)
    expected = first_frame(path).to_ndarray(format="gray")[:178, :318].astype(int)
    assert np.abs(first_frame(tmp_path / "take.mp4").to_ndarray(format="gray").astype(int) - expected).mean() < 1.5


def test_short_side_is_brought_down_to_what_is_asked_and_never_up(sources: dict[str, Path], tmp_path: Path) -> None:
    path = sources["h264_open_gop.mp4"]
    end = decoded(path)[8][0]
    sizes = []
    for side in (90, 180, 720, 0):
        facts = cut_encode(path, 0, end, tmp_path / "take.mp4", EncodeSettings(20, "veryfast", side))
        sizes.append((facts.width_px, facts.height_px))
    assert sizes == [(160, 90), (320, 180), (320, 180), (320, 180)]


def write_tagged(path: Path, pixels: str, codec: str, **tags: int) -> Path:
    """Write 24 frames of `pixels` with colour tags, as ITU-T H.273 numbers them."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24, options={"crf": "10", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, pixels
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for number, image in enumerate(clips.moving(5, 24, 3)):
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format=pixels)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


PQ = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}
SDR = {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 1}


@pytest.mark.parametrize(
    ("pixels", "codec", "tags", "encoded_as"),
    [
        ("yuv420p10le", "libx265", PQ, "yuv420p10le"),
        ("yuv420p10le", "libx264", SDR, "yuv420p"),
        ("yuv444p", "libx264", SDR, "yuv420p"),
        ("yuvj420p", "libx264", {**SDR, "color_range": 2}, "yuvj420p"),
    ],
)
def test_colour_tags_are_kept_and_only_hdr_stays_in_ten_bits(
    pixels: str, codec: str, tags: dict[str, int], encoded_as: str, tmp_path: Path
) -> None:
    path = write_tagged(tmp_path / "clip.mp4", pixels, codec, **tags)
    source = first_frame(path)
    assert {name: int(getattr(source, name)) for name in tags} == tags
    end = decoded(path)[12][0]
    cut_encode(path, 0, end, tmp_path / "encoded.mp4", FINE)
    cut_copy(path, 0, decoded(path)[-1][0], tmp_path / "copied.mp4")
    encoded, copied = first_frame(tmp_path / "encoded.mp4"), first_frame(tmp_path / "copied.mp4")
    assert encoded.format.name == encoded_as
    assert copied.format.name == pixels
    for frame in (encoded, copied):
        assert {name: int(getattr(frame, name)) for name in tags} == tags
    grey = [frame.to_ndarray(format="gray16le").astype(int) / 257 for frame in (source, encoded)]
    assert np.abs(grey[0] - grey[1]).mean() < 1.5


CUT = """
import sys
from pathlib import Path
from tasks.video.cutting import EncodeSettings, cut_copy, cut_encode
path, target, start, end = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
cut_copy(path, start, end, target.with_suffix(".copied.mp4"))
cut_encode(path, start, end, target.with_suffix(".encoded.mp4"), EncodeSettings(4, "veryfast", 0))
"""


def test_the_same_take_has_the_same_bytes_whatever_lies_in_memory(sources: dict[str, Path], tmp_path: Path) -> None:
    path = sources["h264_open_gop.mp4"]
    start, end = (decoded(path)[n][0] for n in (20, 80))
    for filled_with in ("0", "1", "85"):
        run = [sys.executable, "-c", CUT, str(path), str(tmp_path / filled_with), str(start), str(end)]
        subprocess.run(run, check=True, env={**os.environ, "MALLOC_PERTURB_": filled_with})
    for kind in ("copied", "encoded"):
        assert len({(tmp_path / f"{n}.{kind}.mp4").read_bytes() for n in ("0", "1", "85")}) == 1
