"""The consumers of the pass, each against an oracle of its own: known motion, known cuts, a brute-force loop."""

import itertools
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow as pa
import pytest

from tasks.video import strip
from tasks.video.frames import Consumer, Keep, run_pass
from tasks.video.letterbox import Letterbox
from tasks.video.overlay import EdgeMaps
from tasks.video.scores import Exposure, Motion, mean_length
from tasks.video.sharpness import Sharpness
from tasks.video.strip import LumaPictures, Strip
from tasks.video.thumbnails import ColorDifference
from tests.tasks.video import clips, codecs
from tests.tasks.video.consumed import Shelf, consume


def color_difference(path: Path) -> pa.Table:
    return consume(path, ColorDifference)[1]


def motion(path: Path, **options: Any) -> list[float | None]:
    found = consume(path, lambda keep: Motion(keep, per_s=4, short_side_px=144, **options))[1]
    return found.column("motion_px_s").to_pylist()


# --- colour difference ---


def test_hard_cuts_stand_far_above_every_other_frame(tmp_path: Path) -> None:
    lengths = [30, 9, 25, 41, 12]
    images = [image for seed, n in enumerate(lengths) for image in clips.moving(seed, n, 3)]
    table = color_difference(clips.write_clip(tmp_path / "cuts.mp4", images, options={"bf": "3"}))
    cuts = np.cumsum(lengths)[:-1]
    values = table.column("color_difference").to_numpy(zero_copy_only=False)
    assert set(np.argsort(np.nan_to_num(values))[-len(cuts) :]) == set(cuts)
    assert values[cuts].min() > 2 * np.delete(values[1:], cuts - 1).max()


def test_difference_is_the_mean_change_of_small_rgb_pictures(tmp_path: Path) -> None:
    """Grey, since the scaler halves the colour's resolution, as the codec does."""
    grey = [np.repeat(i[..., :1], 3, axis=2) for i in clips.moving(1, 20, 8, height=432, width=768)]
    path = clips.write_clip(tmp_path / "clip.mp4", grey)
    table = color_difference(path)
    pts, full = clips.read_all(path, lambda frame: frame.to_ndarray(format="rgb24").astype(float))
    small = [image.reshape(27, 16, 48, 16, 3).mean(axis=(1, 3)) for image in full]
    expected = [np.abs(b - a).mean() for a, b in itertools.pairwise(small)]
    assert table.column("pts").to_pylist() == pts
    assert table.column("color_difference")[0].as_py() is None
    np.testing.assert_allclose(table.column("color_difference").to_pylist()[1:], expected, atol=0.5)


def test_i_frames_are_those_that_the_encoder_made(tmp_path: Path) -> None:
    path = clips.write_clip(tmp_path / "clip.mp4", clips.still(2, 50), options={"g": "10", "sc_threshold": "0"})
    assert np.flatnonzero(color_difference(path).column("i_frame").to_numpy(zero_copy_only=False)).tolist() == [
        0,
        10,
        20,
        30,
        40,
    ]


# --- exposure ---


def exposure(path: Path) -> pa.Table:
    return consume(path, lambda keep: Exposure(keep, per_s=4, short_side_px=144))[1]


@pytest.mark.parametrize("grey", [0, 30, 128, 200, 255])
def test_luma_is_the_grey_level(tmp_path: Path, grey: int) -> None:
    table = exposure(clips.write_clip(tmp_path / "clip.mp4", clips.flat(grey, 24)))
    assert len(table) == 4
    np.testing.assert_allclose(table.column("luma").to_pylist(), grey, atol=2)
    assert table.column("dark_share").to_pylist() == [float(grey == 0)] * 4
    assert table.column("bright_share").to_pylist() == [float(grey == 255)] * 4


@pytest.mark.parametrize("codec", codecs.CODECS)
def test_crushed_and_blown_out_shares_are_those_of_the_picture(tmp_path: Path, codec: str) -> None:
    """A texture whose lowest 30 % is black and highest 20 % white, as it was before the encoder."""
    soft = cv2.resize(clips.texture(1, 90, 160), (640, 360), interpolation=cv2.INTER_CUBIC)[..., :1].astype(float)
    low, high = np.quantile(soft, [0.3, 0.8])
    image = np.repeat(np.clip((soft - low) / (high - low) * 255, 0, 255).astype(np.uint8), 3, axis=2)
    table = exposure(codecs.encode(tmp_path / "clip", [image] * 24, codec))
    np.testing.assert_allclose(table.column("dark_share").to_pylist(), (image <= 8).mean(), atol=0.03)
    np.testing.assert_allclose(table.column("bright_share").to_pylist(), (image >= 247).mean(), atol=0.03)
    np.testing.assert_allclose(table.column("luma").to_pylist(), image.mean(), atol=3)


# --- motion ---


@pytest.mark.parametrize("step_px", [1, 2, 4, 8])
@pytest.mark.parametrize("fps", [24, 60])
def test_motion_of_a_sliding_picture_is_its_speed_at_720p(tmp_path: Path, step_px: int, fps: int) -> None:
    path = clips.write_clip(tmp_path / "clip.mp4", clips.moving(3, fps, step_px, height=360, width=640), fps=fps)
    first, *rest = motion(path)
    assert first is None
    np.testing.assert_allclose(rest, step_px * fps * 720 / 360, rtol=0.2)


def test_motion_does_not_depend_on_size_or_orientation(tmp_path: Path) -> None:
    small = clips.moving(4, 24, 4, height=360, width=640)
    large = [cv2.resize(image, (1280, 720), interpolation=cv2.INTER_CUBIC) for image in small]
    upright = [np.ascontiguousarray(np.rot90(image)) for image in small]
    speeds = [
        np.mean([v for v in motion(clips.write_clip(tmp_path / f"{i}.mp4", images)) if v is not None])
        for i, images in enumerate((small, large, upright))
    ]
    np.testing.assert_allclose(speeds, speeds[0], rtol=0.05)


def test_motion_goes_by_the_time_between_frames(tmp_path: Path) -> None:
    """The same 4 px a frame, first at 50 frames a second, then at 10: a fifth of the speed."""
    times = [*range(0, 1000, 20), *range(1000, 3000, 100)]
    path = clips.write_clip(tmp_path / "clip.mkv", clips.moving(5, len(times), 4, height=360, width=640), pts=times)
    table = consume(path, lambda keep: Motion(keep, per_s=4, short_side_px=144))[1]
    for pts, speed in zip(table.column("pts").to_pylist(), table.column("motion_px_s").to_pylist(), strict=True):
        if speed is not None:
            assert speed == pytest.approx(4 * 2 * (50 if pts <= 1000 else 10), rel=0.15)


def test_a_still_picture_does_not_move(tmp_path: Path) -> None:
    _, *rest = motion(clips.write_clip(tmp_path / "clip.mp4", clips.still(6, 48, height=360, width=640)))
    assert max(rest) < 1


# --- strip ---


def strip_of(path: Path) -> tuple[dict[str, Any], pa.Table, list[pa.Table]]:
    shelf = Shelf()
    consumer = Strip(shelf, per_s=4, short_side_px=256, jpeg_quality=92)
    run_pass(path, [consumer], frame_s=1 / 24)
    summary, names = consumer.finish()
    tables = [shelf.tables[int(name)] for name in names]
    return summary, pa.concat_tables(tables), tables


def test_strip_shows_the_frames_at_its_times(tmp_path: Path) -> None:
    path = clips.write_clip(tmp_path / "clip.mp4", clips.moving(10, 72, 5, height=360, width=640))
    summary, table, _ = strip_of(path)
    pts, full = clips.read_all(path, lambda frame: frame.to_ndarray(format="rgb24"))
    assert summary["frames"] == len(table) == 12
    for time, jpeg in zip(table.column("pts").to_pylist(), table.column("jpeg").to_pylist(), strict=True):
        picture = cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        expected = cv2.resize(full[pts.index(time)], (456, 256), interpolation=cv2.INTER_AREA)
        assert picture.shape == (256, 456, 3)
        assert cv2.PSNR(picture, expected) > 30


def test_strip_is_written_in_chunks_as_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clips.write_clip(tmp_path / "clip.mp4", clips.moving(11, 96, 5))
    whole_summary, whole, _ = strip_of(path)
    monkeypatch.setattr(strip, "CHUNK_BYTES", 40_000)
    summary, joined, chunks = strip_of(path)
    assert len(chunks) > 2
    assert joined.equals(whole)
    assert summary["first_pts"] == [chunk.column("pts")[0].as_py() for chunk in chunks]
    assert summary["bytes"] == whole_summary["bytes"] == sum(len(j) for j in whole.column("jpeg").to_pylist())


def test_strip_chunks_stay_below_64_mb() -> None:
    assert strip.CHUNK_BYTES < 64e6


# --- luma pictures ---


@pytest.mark.parametrize("rotation_deg", [0, 90])
def test_luma_pictures_are_the_luma_at_full_size_upright_every_two_seconds(tmp_path: Path, rotation_deg: int) -> None:
    path = clips.write_clip(tmp_path / "clip.mp4", clips.moving(10, 120, 2), rotation_deg=rotation_deg)
    summary, table = consume(path, lambda keep: LumaPictures(keep, per_s=0.5, jpeg_quality=80))
    pts, full = clips.read_all(path, lambda frame: np.rot90(frame.to_ndarray(format="gray"), frame.rotation // 90 % 4))
    assert summary["frames"] == len(table) == 3
    assert table.column("pts").to_pylist() == [pts[0], pts[48], pts[96]]
    for time, jpeg in zip(table.column("pts").to_pylist(), table.column("jpeg").to_pylist(), strict=True):
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED)
        expected = full[pts.index(time)]
        assert picture.shape == expected.shape == ((320, 180) if rotation_deg else (180, 320))
        assert cv2.PSNR(picture, np.ascontiguousarray(expected)) > 35


# --- all of them ---


def test_scores_are_the_same_alone_and_together_and_every_time(tmp_path: Path) -> None:
    path = clips.write_clip(tmp_path / "clip.mp4", clips.moving(12, 60, 3, height=360, width=640))

    def all_of(keep: Keep) -> list[Consumer]:
        return [
            ColorDifference(keep),
            Exposure(keep, per_s=4, short_side_px=144),
            Motion(keep, per_s=4, short_side_px=144),
            Sharpness(keep, per_s=4),
            Letterbox(keep, per_s=4, short_side_px=144),
            Strip(keep, per_s=4, short_side_px=256, jpeg_quality=92),
            EdgeMaps(keep, per_s=2, short_side_px=90),
            LumaPictures(keep, per_s=0.5, jpeg_quality=80),
        ]

    runs = []
    for groups in ([[*range(8)]], [[4, 7], [2, 0, 5], [3, 1, 6]], [[i] for i in range(8)]):
        results: dict[str, pa.Table] = {}
        for group in groups:
            shelf = Shelf()
            chosen = [all_of(shelf)[i] for i in group]
            counts = run_pass(path, chosen, frame_s=1 / 24)
            assert counts.decoded_frames == 60
            for consumer in chosen:
                results[consumer.name] = pa.concat_tables([shelf.tables[int(n)] for n in consumer.finish()[1]])
        runs.append(results)
    for results in runs[1:]:
        assert all(results[name].equals(table) for name, table in runs[0].items())


def test_frames_of_other_pixel_formats_are_scored(tmp_path: Path) -> None:
    """Ten bits a channel and full chroma give the same brightness as eight and a quarter."""
    images = clips.flat(90, 24)
    lumas = []
    for number, pixels in enumerate(("yuv420p", "yuv420p10le", "yuv444p")):
        path = tmp_path / f"{number}.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("ffv1", rate=24)
            stream.width, stream.height, stream.pix_fmt = 320, 180, pixels
            for image in images:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
            container.mux(stream.encode(None))
        lumas.append(exposure(path).column("luma").to_numpy())
    np.testing.assert_allclose(lumas, 90, atol=1.5)


def test_mean_length_does_not_depend_on_where_in_memory_the_field_lies() -> None:
    field = np.random.default_rng(0).normal(0, 1e-3, (144, 256, 2)).astype(np.float32)
    found = set()
    for offset in range(0, 64, 4):
        room = np.empty(field.nbytes + 64, np.uint8)
        moved = room[offset : offset + field.nbytes].view(np.float32).reshape(field.shape)
        moved[:] = field
        found.add(mean_length(moved))
    exact = np.hypot(field[..., 0].astype(np.float64), field[..., 1].astype(np.float64)).mean()
    assert len(found) == 1
    assert found.pop() == pytest.approx(exact, rel=1e-12)
