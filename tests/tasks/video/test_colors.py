"""Colours and greys of real files, whatever they are coded in: those of the scene, as an SDR screen shows it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from tasks.tables import Reject
from tasks.video.probe import probe
from tasks.video.views import View
from tests.tasks.video import clips, odd
from tests.tasks.video.test_frames import Watcher, watch

GRAY, COLOR = View("gray", size=(80, 48)), View("bgr24", size=(80, 48))
SIZE = {"height": 192, "width": 320}
FINE = {
    "libx264": {"crf": "5"},
    "libx265": {"x265-params": "crf=5:log-level=none:pools=1:frame-threads=1"},
    "libsvtav1": {"preset": "11", "crf": "10"},
    "libvpx-vp9": {"deadline": "realtime", "crf": "8"},
}


def scene() -> np.ndarray:
    """Return a soft picture of full range, (H, W, 3) RGB."""
    image = cv2.GaussianBlur(clips.texture(3, **SIZE), (0, 0), 6).astype(float)
    image = (image - image.min()) * 255 / (image.max() - image.min())
    return np.rint(image).astype(np.uint8)


def seen(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return a file's first frame, gray and BGR, as float."""
    gray, color = Watcher(view=GRAY), Watcher(view=COLOR)
    assert watch(path, gray, color).decoded_frames
    return gray.images[0].astype(float), color.images[0].astype(float)


def small(image: np.ndarray) -> np.ndarray:
    """Return an RGB image as BGR of the views' size."""
    return cv2.resize(image[..., ::-1].astype(np.float64), (80, 48), interpolation=cv2.INTER_AREA)


def grey_of(bgr: np.ndarray) -> np.ndarray:
    return bgr @ np.array([0.114, 0.587, 0.299])


@pytest.mark.parametrize(
    ("codec", "suffix", "pixels"),
    [
        ("libx265", ".mp4", "yuv420p10le"),
        ("libx265", ".mp4", "yuv420p12le"),
        ("libsvtav1", ".mp4", "yuv420p10le"),
        ("libx264", ".mkv", "yuv422p10le"),
        ("prores_ks", ".mov", "yuv422p10le"),
        ("prores_ks", ".mov", "yuva444p10le"),
        ("ffv1", ".mkv", "yuv444p16le"),
    ],
)
def test_deep_pictures_equal_their_twins_of_8_bits(tmp_path: Path, codec: str, suffix: str, pixels: str) -> None:
    images = [scene()] * 3
    deep = odd.write(tmp_path / f"deep{suffix}", images, codec, pixels, options=FINE.get(codec, {}))
    twin = odd.write(tmp_path / "twin.mkv", images, "ffv1", "yuv444p")
    for one, two in zip(seen(deep), seen(twin), strict=True):
        assert np.abs(one - two).mean() < 1.5
        assert abs(one.mean() - two.mean()) < 0.5


@pytest.mark.parametrize(
    ("codec", "suffix", "pixels"),
    [
        ("gif", ".gif", "rgb8"),
        ("qtrle", ".mov", "rgb24"),
        ("png", ".mov", "rgba"),
        ("ffv1", ".mkv", "bgra"),
        ("ffv1", ".mkv", "gbrp10le"),
        ("ffv1", ".mkv", "yuv410p"),
        ("ffv1", ".mkv", "yuv411p"),
        ("ffv1", ".mkv", "yuv440p"),
        ("ffv1", ".mkv", "yuva420p"),
        ("libvpx-vp9", ".webm", "yuva420p"),
        ("libx264rgb", ".mkv", "rgb24"),
        ("mjpeg", ".avi", "yuvj422p"),
        ("rawvideo", ".mov", "uyvy422"),
        ("rawvideo", ".nut", "nv12"),
        ("rawvideo", ".nut", "bgr565le"),
        ("rawvideo", ".avi", "bgr24"),
    ],
)
def test_other_pixels_show_the_same_scene(tmp_path: Path, codec: str, suffix: str, pixels: str) -> None:
    path = odd.write(tmp_path / f"clip{suffix}", [scene()] * 2, codec, pixels, options=FINE.get(codec, {}))
    gray, color = seen(path)
    coarse = pixels in {"rgb8", "bgr565le"}  # a palette, 5 bits
    assert np.abs(color - small(scene())).mean() < (20 if coarse else 4)
    assert np.abs(gray - grey_of(small(scene()))).mean() < (20 if coarse else 2.5)


@pytest.mark.parametrize(
    "codec, pixels", [("libx265", "gray"), ("libx265", "gray10le"), ("ffv1", "gray"), ("ffv1", "gray10le")]
)
@pytest.mark.parametrize("limited", [True, False], ids=["limited", "full"])
def test_grey_video_keeps_its_levels_in_either_range(tmp_path: Path, codec: str, pixels: str, limited: bool) -> None:
    ramp = np.repeat(np.linspace(0, 255, 320)[None], 192, axis=0)
    coded = 16 + ramp * 219 / 255 if limited else ramp
    deep = pixels == "gray10le"
    samples = (
        np.rint(coded * (4 if limited else 1023 / 255)).astype(np.uint16) if deep else np.rint(coded).astype(np.uint8)
    )

    def tag(stream: Any) -> None:
        stream.codec_context.color_range = 1 if limited else 2

    path = odd.write(tmp_path / "clip.mkv", [samples] * 2, codec, pixels, given_as=pixels, setup=tag)
    gray, color = seen(path)
    wanted = cv2.resize(ramp, (80, 48), interpolation=cv2.INTER_AREA)
    assert np.abs(gray - wanted).max() < 4
    assert np.abs(color - wanted[..., None]).max() < 4


# --- wide colours: the scene's light, coded anew by the formulas of BT.2100 and BT.2087 ---

TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])  # BT.2087, 3


def pq(light: np.ndarray) -> np.ndarray:
    """Return the PQ signal of light in cd/m2 (the inverse EOTF)."""
    power = (np.clip(light, 0, None) / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def hlg(light: np.ndarray) -> np.ndarray:
    """Return the HLG signal of light in cd/m2 on a display of 1000 cd/m2 (the inverse OOTF, then the OETF)."""
    luminance = light @ np.array([0.2627, 0.6780, 0.0593]) / 1000
    scene_light = light / 1000 * np.maximum(luminance, 1e-9)[..., None] ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    high = a * np.log(np.maximum(12 * scene_light - b, 1e-9)) + c
    return np.where(scene_light <= 1 / 12, np.sqrt(3 * np.clip(scene_light, 0, None)), high)


def gamma(light: np.ndarray) -> np.ndarray:
    return np.clip(light / 203, 0, 1) ** (1 / 2.4)


def wide_frame(rgb: np.ndarray, code: Callable[[np.ndarray], np.ndarray], pixels: str, white: float) -> av.VideoFrame:
    """Return an SDR picture (0..1, gamma 2.4, BT.709) as a frame of BT.2020, its white at `white` cd/m2."""
    signal = np.clip(code(rgb**2.4 * white @ TO_BT2020.T), 0, 1)
    luma = signal @ np.array([0.2627, 0.6780, 0.0593])
    blue, red = (signal[..., 2] - luma) / 1.8814, (signal[..., 0] - luma) / 1.4746
    planes = [64 + 876 * luma, 512 + 896 * blue, 512 + 896 * red]
    width, height = rgb.shape[1] // 2, rgb.shape[0] // 2
    rows = height if "420" in pixels else rgb.shape[0]
    planes[1:] = [cv2.resize(plane, (width, rows), interpolation=cv2.INTER_AREA) for plane in planes[1:]]
    return odd.frame_of([np.rint(plane).astype(np.uint16) for plane in planes], pixels)


def tagged(transfer: int, primaries: int = 9, matrix: int = 9) -> Callable[[Any], None]:
    def tag(stream: Any) -> None:
        codec = stream.codec_context
        codec.color_trc, codec.color_primaries, codec.colorspace, codec.color_range = transfer, primaries, matrix, 1

    return tag


def write_wide(
    path: Path, rgb: np.ndarray, code: Callable[[np.ndarray], np.ndarray], tag: int, codec: str, white: float = 203
) -> Path:
    pixels = "yuv422p10le" if codec == "prores_ks" else "yuv420p10le"
    frames = [wide_frame(rgb, code, pixels, white) for _ in range(2)]
    return odd.write(path, frames, codec, pixels, options=FINE.get(codec, {}), setup=tagged(tag))


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("libx265", ".mp4"), ("libx265", ".ts"), ("libsvtav1", ".mkv"), ("prores_ks", ".mov"), ("ffv1", ".mkv")],
)
@pytest.mark.parametrize(("code", "tag"), [(pq, 16), (hlg, 18), (gamma, 14)], ids=["PQ", "HLG", "BT.2020 SDR"])
def test_a_scene_is_the_same_in_wide_colours_and_in_sdr(
    tmp_path: Path, codec: str, suffix: str, code: Callable[[np.ndarray], np.ndarray], tag: int
) -> None:
    """ProRes tells its colours in the container alone."""
    rgb = scene()
    wide = write_wide(tmp_path / f"wide{suffix}", rgb / 255, code, tag, codec)
    sdr = odd.write(tmp_path / "sdr.mkv", [rgb] * 2, "ffv1", "yuv444p")
    gray, color = seen(wide)
    _, plain = seen(sdr)
    grey = plain @ np.array([0.0722, 0.7152, 0.2126])
    assert abs(gray.mean() - grey.mean()) < 2
    assert np.abs(gray - grey).mean() < 4
    assert np.abs(color - plain).mean() < 5
    dark = plain.max(axis=2) < 0.85 * 255  # below the roll-off
    assert np.abs(color - plain)[dark].mean() < 2.5


def test_the_probe_tells_depth_and_colours(tmp_path: Path) -> None:
    names = ("bit_depth", "transfer", "primaries", "matrix", "color_range")
    hdr = probe(write_wide(tmp_path / "hdr.mp4", scene() / 255, pq, 16, "libx265"))
    assert [hdr[name] for name in names] == [10, "smpte2084", "bt2020", "bt2020nc", "limited"]
    glow = probe(write_wide(tmp_path / "hlg.mov", scene() / 255, hlg, 18, "prores_ks"))
    assert [glow[name] for name in names] == [10, "arib-std-b67", "bt2020", "bt2020nc", "limited"]
    plain = probe(odd.write(tmp_path / "plain.mkv", [scene()], "ffv1", "yuv420p"))
    assert [plain[name] for name in names] == [8, "", "", "", ""]


@pytest.mark.parametrize(("code", "tag"), [(pq, 16), (hlg, 18)], ids=["PQ", "HLG"])
def test_hdr_of_8_bits_is_shown_too(tmp_path: Path, code: Callable[[np.ndarray], np.ndarray], tag: int) -> None:
    """As coarse as it is."""
    deep = wide_frame(scene() / 255, code, "yuv420p10le", 203)
    shallow = [np.frombuffer(p, np.uint16).reshape(p.height, -1)[:, : p.width] for p in deep.planes]
    frames = [odd.frame_of([np.rint(plane / 4).astype(np.uint8) for plane in shallow], "yuv420p")]
    gray, color = seen(odd.write(tmp_path / "clip.mkv", frames, "ffv1", "yuv420p", setup=tagged(tag)))
    plain = small(scene())
    assert np.abs(gray - plain @ np.array([0.0722, 0.7152, 0.2126])).mean() < 4
    assert np.abs(color - plain).mean() < 6


def test_what_is_brighter_than_white_keeps_its_order(tmp_path: Path) -> None:
    steps = np.repeat(np.repeat(np.array([1, 10, 50, 100, 203, 260, 320, 400]), 40)[None, :, None], 192, axis=0)
    rgb = (np.repeat(steps, 3, axis=2) / 10_000) ** (1 / 2.4)
    gray, _ = seen(write_wide(tmp_path / "bright.mkv", rgb, pq, 16, "ffv1", white=10_000))
    levels = gray[24, 5::10]
    sdr = 255 * (np.array([1, 10, 50, 100]) / 203) ** (1 / 2.4)
    assert np.abs(levels[:4] - sdr).max() < 2  # as a display of gamma 2.4 codes them
    assert (np.diff(levels) > 0).all()
    assert 240 < levels[4] < 250


def test_a_large_grey_view_of_hdr_has_the_levels_of_a_small_one(tmp_path: Path) -> None:
    grey = cv2.resize(np.repeat(scene()[..., 1:2], 3, axis=2), (1280, 800))
    path = write_wide(tmp_path / "clip.mkv", grey / 255, pq, 16, "ffv1")
    large, small_one = Watcher(view=View("gray", short_side=800)), Watcher(view=View("gray", size=(160, 100)))
    watch(path, large, small_one)
    shrunk = cv2.resize(large.images[0].astype(float), (160, 100), interpolation=cv2.INTER_AREA)
    assert large.images[0].shape == (800, 1280)
    assert np.abs(shrunk - small_one.images[0]).max() < 3


def test_saturated_colours_of_hdr_keep_hue_and_value(tmp_path: Path) -> None:
    patches = np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200], [200, 200, 30]], np.uint8)
    rgb = np.repeat(np.repeat(patches, 80, axis=0)[None], 192, axis=0)
    for code, tag in ((pq, 16), (hlg, 18)):
        _, color = seen(write_wide(tmp_path / f"{tag}.mkv", rgb / 255, code, tag, "ffv1"))
        assert np.abs(color[24, 10::20] - patches[:, ::-1]).max() <= 6


@pytest.mark.parametrize(
    ("transfer", "matrix"), [(8, 9), (9, 9), (16, 14), (16, 10)], ids=["linear", "log", "ICtCp", "CL"]
)
def test_colours_that_cannot_be_shown_right_are_refused(tmp_path: Path, transfer: int, matrix: int) -> None:
    frames = [wide_frame(scene() / 255, pq, "yuv420p10le", 203)]
    path = odd.write(tmp_path / "clip.mkv", frames, "ffv1", "yuv420p10le", setup=tagged(transfer, 9, matrix))
    with pytest.raises(Reject) as caught:
        seen(path)
    assert caught.value.reason == "unknown_color"


def test_ycgco_is_shown_in_its_colours(tmp_path: Path) -> None:
    red, green, blue = np.moveaxis(scene().astype(float), 2, 0)
    luma, cg, co = (red + 2 * green + blue) / 4, (2 * green - red - blue) / 4, (red - blue) / 2
    planes = [np.clip(np.rint(p), 0, 255).astype(np.uint8) for p in (luma, cg + 128, co + 128)]

    def tag(stream: Any) -> None:
        stream.codec_context.colorspace, stream.codec_context.color_range = 8, 2

    frames = [odd.frame_of(planes, "yuv444p")]
    path = odd.write(tmp_path / "clip.mkv", frames, "libx264", "yuv444p", options={"qp": "0"}, setup=tag)
    _, color = seen(path)
    assert np.abs(color - small(scene())).mean() < 3
