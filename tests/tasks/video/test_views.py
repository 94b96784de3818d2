"""Views: the fast way for 8-bit YUV and the general one by swscale show the same picture."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from tasks.video.views import Planes, Scaler, View, is_planar_8_bit
from tests.tasks.video import clips

VIEWS = [
    View("gray", short_side=144),
    View("gray", size=(9, 8)),
    View("bgr24", size=(48, 27)),
    View("bgr24", short_side=256),
]


def frame_as(pixels: str, image: np.ndarray, matrix: int, color_range: int) -> av.VideoFrame:
    """Return an RGB image as a frame of a pixel format, tagged with the matrix and range that it was made with."""
    frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(
        format=pixels, dst_colorspace=matrix, dst_color_range=color_range
    )
    frame.colorspace, frame.color_range = matrix, color_range
    return frame


def shown(frame: av.VideoFrame, view: View) -> np.ndarray:
    scaler = Scaler(Fraction(1))
    return scaler.image(frame, scaler.planes(frame), view)


def expected(image: np.ndarray, view: View) -> np.ndarray:
    size = view.fit(image.shape[1], image.shape[0])
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2BGR if view.format == "bgr24" else cv2.COLOR_RGB2GRAY)


@pytest.mark.parametrize("view", VIEWS, ids=str)
@pytest.mark.parametrize("matrix", [Colorspace.ITU601, Colorspace.ITU709])
@pytest.mark.parametrize("color_range", [ColorRange.MPEG, ColorRange.JPEG])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "nv12", "p010le", "yuva420p"])
def test_colours_are_those_of_the_picture(view: View, matrix: int, color_range: int, pixels: str) -> None:
    image = cv2.GaussianBlur(clips.texture(1, 720, 1280), (0, 0), 30)
    image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX)
    seen = shown(frame_as(pixels, image, matrix, color_range), view).astype(float)
    wanted = expected(image, view).astype(float)
    if view.format == "gray" and matrix == Colorspace.ITU709:
        return  # grey is luma as coded, and OpenCV's is that of ITU-R 601
    assert np.abs(seen - wanted).mean() < 1.5
    assert np.quantile(np.abs(seen - wanted), 0.99) <= 6


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv420p10le"])
def test_the_matrix_of_ntsc_has_a_number_of_its_own(pixels: str) -> None:
    """Six in ITU-T H.273, the same matrix as five, under which PyAV has its name."""
    image = cv2.GaussianBlur(clips.texture(1, 480, 640), (0, 0), 15)
    frame = frame_as(pixels, image, Colorspace.ITU601, ColorRange.MPEG)
    wanted = [shown(frame, view) for view in VIEWS]
    frame.colorspace = 6
    for view, seen in zip(VIEWS, wanted, strict=True):
        np.testing.assert_array_equal(shown(frame, view), seen)


@pytest.mark.parametrize("pixels", ["rgb24", "gbrp", "pal8", "gray", "ya8", "gray10le"])
def test_pictures_that_are_not_yuv_are_shown(pixels: str) -> None:
    image = cv2.merge([cv2.GaussianBlur(clips.texture(1, 360, 640), (0, 0), 15)[..., 0]] * 3)
    frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format=pixels if pixels != "pal8" else "rgb8")
    for view in VIEWS:
        assert np.abs(shown(frame, view).astype(float) - expected(image, view)).mean() < (20 if pixels == "pal8" else 2)


def test_which_frames_take_the_fast_way() -> None:
    image = clips.texture(2, 180, 320)
    fast = {
        p: is_planar_8_bit(av.VideoFrame.from_ndarray(image, "rgb24").reformat(format=p))
        for p in (
            "yuv420p",
            "yuvj420p",
            "yuv444p",
            "gray",
            "yuv420p10le",
            "nv12",
            "rgb24",
            "gbrp",
            "yuva420p",
            "yuyv422",
        )
    }
    assert {name for name, is_fast in fast.items() if is_fast} == {"yuv420p", "yuvj420p", "yuv444p"}


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1920, 1080), (853, 480), (321, 181), (720, 576), (64, 48)])
def test_shrinking_keeps_what_is_where(width: int, height: int) -> None:
    """A bright spot stays in its place, and the mean stays the mean, whatever the sizes."""
    image = np.full((height, width), 20, np.uint8)
    x, y = round(0.7 * width), round(0.3 * height)
    cv2.circle(image, (x, y), height // 8, 220, -1)
    frame = av.VideoFrame.from_ndarray(cv2.merge([image] * 3), "rgb24").reformat(
        format="yuv444p", dst_color_range=ColorRange.JPEG
    )
    small = Planes(frame, Colorspace.ITU601, False).shrunk(0, 48, 27).astype(float)
    weights = small - small.min()
    rows, columns = np.mgrid[:27, :48]
    assert small.mean() == pytest.approx(image.mean(), abs=1)
    assert (weights * (columns + 0.5)).sum() / weights.sum() / 48 == pytest.approx((x + 0.5) / width, abs=0.01)
    assert (weights * (rows + 0.5)).sum() / weights.sum() / 27 == pytest.approx((y + 0.5) / height, abs=0.01)


@pytest.mark.parametrize(
    ("size", "whole_halves"),
    [((1280, 720), (640, 360)), ((853, 480), (426, 240)), ((320, 180), (320, 180)), ((3840, 2160), (480, 270))],
)
def test_a_view_halved_to_a_side_is_the_frame_or_whole_halves_of_it(
    size: tuple[int, int], whole_halves: tuple[int, int]
) -> None:
    assert View("gray", halved_to=240).fit(*size) == whole_halves
    assert View("gray").fit(*size) == size


def test_each_plane_is_halved_once_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = av.VideoFrame.from_ndarray(clips.texture(3, 720, 1280), "rgb24").reformat(format="yuv420p")
    halvings = 0
    resize = cv2.resize

    def counted(image: np.ndarray, size: tuple[int, int], interpolation: int) -> np.ndarray:
        nonlocal halvings
        halvings += image.shape[1] == 2 * size[0] and interpolation == cv2.INTER_AREA
        return resize(image, size, interpolation=interpolation)

    monkeypatch.setattr(cv2, "resize", counted)
    scaler = Scaler(Fraction(1))
    planes = scaler.planes(frame)
    for view in VIEWS:
        scaler.image(frame, planes, view)
    assert halvings == 4 + 2 * 3  # all to 80x45
