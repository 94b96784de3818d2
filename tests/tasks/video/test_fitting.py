"""Clips of all kinds made to fit: the frame on screen at each tick, upright, in proportion, in the right colours.

Each difficulty is a real file. What a file does not hold is rejected.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from tasks.tables import Reject
from tasks.video.composition import Box, Canvas, Clip, Composition, Piece
from tasks.video.fitting import natural_matrix
from tasks.video.rendering import Encoding, composed_frames, render_file
from tests.tasks.video import clips, odd
from tests.tasks.video.composed import Planes, clip_of, cut, frames_of, noise, planes_of, rgb_of, same, tagged, write
from tests.tasks.video.test_cutting import combs, write_fields

CANVAS = Canvas(320, 180, Fraction(12))
FINE = {"crf": "1", "preset": "veryfast"}


def shown(clip: Clip, canvas: Canvas = CANVAS, *, frames: int | None = None, box: Box | None = None) -> list[Planes]:
    """Return a clip alone on a canvas, or in a box over itself."""
    frames = frames or clip.ticks(canvas.fps)
    pieces = [Piece(clip, canvas.whole, 0, frames)]
    if box:
        pieces.append(Piece(clip, box, 0, frames))
    return [planes_of(frame) for frame in composed_frames(Composition(canvas, frames, tuple(pieces)))]


# --- time ---


def numbered(frames: int, *, height: int = 36, width: int = 64) -> list[av.VideoFrame]:
    """Return frames whose luma is their number, and 20 more."""
    grey = np.full((height // 2, width // 2), 128, np.uint8)
    return [odd.frame_of([np.full((height, width), 20 + n, np.uint8), grey, grey], "yuv420p") for n in range(frames)]


def numbers(found: Sequence[Planes]) -> list[int]:
    return [round(float(planes[0].mean())) - 20 for planes in found]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])  # times in milliseconds, and in fine units
@pytest.mark.parametrize("fps", [10, 12, 24, Fraction(30000, 1001), 60])
def test_each_tick_shows_the_frame_that_is_on_screen(tmp_path: Path, fps: int | Fraction, suffix: str) -> None:
    path = odd.write(
        tmp_path / f"clip{suffix}",
        numbered(100),
        *("libx264", "yuv420p"),
        fps=fps,
        base=1 / Fraction(fps),
        options={"qp": "0", "preset": "ultrafast"},
        setup=tagged(),
    )
    with av.open(str(path)) as container:
        times = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    for first, frames in ((0, 100), (13, 60), (14, 61)):
        clip = clip_of(path, first, frames)
        found = numbers(shown(clip, Canvas(64, 36, Fraction(12))))
        assert found == on_screen(times[: first + frames], clip)
        if fps in (12, 24, 60):
            assert found == list(range(first, first + frames, int(fps) // 12))


def on_screen(times: Sequence[Fraction], clip: Clip) -> list[int]:
    """Return the number of the frame shown at each twelfth of a second of a clip; a frame may be 2 ms late."""
    found = []
    while clip.start_s + Fraction(len(found), 12) < clip.end_s - Fraction(2, 1000):
        now = clip.start_s + Fraction(len(found), 12) + Fraction(2, 1000)
        found.append(max(n for n, time in enumerate(times) if time <= now))
    return found


def test_frames_of_uneven_times_are_shown_when_they_are(tmp_path: Path) -> None:
    times = [100, 110, 150, 400, 1000, 1040, 1500, 1510, 1530, 2000, 2500, 3100, 3101, 3200]

    def in_milliseconds(stream: Any) -> None:
        stream.codec_context.time_base = Fraction(1, 1000)

    base = Fraction(1, 1000)
    frames = numbered(14)
    path = odd.write(tmp_path / "uneven.mkv", frames, "ffv1", "yuv420p", pts=times, base=base, setup=in_milliseconds)
    for first, last in ((0, 13), (2, 11), (4, 12)):
        clip = Clip("c", "s", str(tmp_path), path.name, times[first], times[last], base, last - first, 64, 36)
        expected = on_screen([time * base for time in times[:last]], clip)
        assert numbers(shown(clip, Canvas(64, 36, Fraction(12)))) == expected
        assert len(set(expected)) < len(expected)


def test_a_piece_of_a_clip_is_taken_from_its_first_tick_on_and_loops(tmp_path: Path) -> None:
    path = odd.write(tmp_path / "clip.mkv", numbered(20), "ffv1", "yuv420p", fps=24, setup=tagged())
    canvas = Canvas(64, 36, Fraction(12))
    for end, expected in (
        ("loop", [8, 10, 12, 14, 16, 18, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 0]),
        ("freeze", [8, 10, 12, 14, 16] + 12 * [18]),
    ):
        pieces = (Piece(clip_of(path), canvas.whole, 0, 17, first=4, end=end),)  # type: ignore[arg-type]
        found = [planes_of(frame) for frame in composed_frames(Composition(canvas, 17, pieces))]
        assert numbers(found) == expected


# --- shape ---


def disc(width: int, height: int) -> np.ndarray:
    """Return a white disc left of the middle and a grey square right of it, on dark: (H, W, 3) RGB."""
    image = np.full((height, width, 3), 60, np.uint8)
    cv2.ellipse(image, (width // 3, height // 2), (width // 6, width // 6), 0, 0, 360, (230, 230, 230), -1)
    cv2.rectangle(image, (width * 3 // 4, height // 4), (width * 7 // 8, height // 2), (150, 150, 150), -1)
    return image


def luma(image: np.ndarray) -> np.ndarray:
    """Return the luma of grey RGB, limited range."""
    return 16 + image[..., 0].astype(float) * 219 / 255


def expected_on(canvas: Canvas, upright: np.ndarray, displayed: tuple[int, int]) -> np.ndarray:
    """Return the luma of a picture displayed at a size, scaled to fit and centred on black."""
    scale = min(canvas.width / displayed[0], canvas.height / displayed[1])
    width, height = (2 * round(side * scale / 2) for side in displayed)
    onto = np.full((canvas.height, canvas.width), 16.0)
    x, y = (canvas.width - width) // 4 * 2, (canvas.height - height) // 4 * 2
    onto[y : y + height, x : x + width] = luma(cv2.resize(upright, (width, height), interpolation=cv2.INTER_AREA))
    return onto


@pytest.mark.parametrize(
    ("size", "aspect", "rotation"),
    [
        ((320, 180), None, 0),
        ((240, 180), Fraction(4, 3), 0),  # shown at 320 x 180
        ((320, 180), Fraction(4, 3), 0),  # shown at 427 x 180: bars above and below
        ((160, 120), None, 0),  # 4:3, made larger: bars left and right
        ((640, 360), None, 90),  # upright pictures of a phone
        ((640, 360), None, 180),
        ((640, 360), Fraction(4, 3), 270),
        ((358, 202), None, 0),
    ],
    ids=str,
)
def test_pictures_are_upright_in_proportion_and_centred(
    tmp_path: Path, size: tuple[int, int], aspect: Fraction | None, rotation: int
) -> None:
    image = disc(*size)
    path = clips.write_clip(
        tmp_path / "clip.mp4", [image] * 4, fps=12, aspect=aspect, rotation_deg=rotation, options={"crf": "4"}
    )
    with av.open(str(path)) as container:
        turns = round(next(container.decode(video=0)).rotation / 90) % 4
    assert (rotation != 0) == (turns != 0)
    upright = np.rot90(image, turns)
    displayed = round(size[0] * (aspect or 1)), size[1]
    expected = expected_on(CANVAS, upright, displayed[::-1] if turns % 2 else displayed)
    found = shown(clip_of(path))[0]
    assert np.abs(found[0] - expected).mean() < 2
    assert np.quantile(np.abs(found[0] - expected), 0.95) < 6
    black = expected == 16
    assert not black.any() or (found[0][black] == 16).mean() > 0.99


def test_bars_are_exactly_black_and_lie_on_even_pixels(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", 1, 4, width=160, height=120)
    y, cb, cr = shown(clip_of(path))[0]
    assert {*y[:, :40].ravel(), *y[:, 280:].ravel()} == {16}
    assert {*cb[:, :20].ravel(), *cb[:, 140:].ravel(), *cr[:, :20].ravel(), *cr[:, 140:].ravel()} == {128}
    assert y[:, 40:280].min() > 30


def test_a_size_that_changes_on_the_way_changes_nothing_that_is_seen(tmp_path: Path) -> None:
    parts = [
        odd.write(
            tmp_path / f"{width}.m2v",
            [disc(width, width * 9 // 16)] * 6,
            "mpeg2video",
            "yuv420p",
            options={"qscale": "1"},
        )
        for width in (320, 640)
    ]
    clip = clip_of(odd.joined(parts, tmp_path / "clip.ts"))
    found = shown(clip, Canvas(320, 180, Fraction(25)))
    assert len(found) == 12
    for planes in found:
        assert np.abs(planes[0] - luma(disc(320, 180))).mean() < 3


def test_mirrored_pictures_are_shown_as_they_are_meant(tmp_path: Path) -> None:
    image = disc(320, 180)
    path = clips.write_clip(tmp_path / "clip.mp4", [image] * 4, fps=12, rotation_deg=180, options={"crf": "4"})
    data = path.read_bytes()
    one, minus, zero = (1 << 16).to_bytes(4, "big"), (-(1 << 16)).to_bytes(4, "big", signed=True), bytes(4)
    at = data.rindex(minus + zero * 3 + minus, 0, data.rindex(b"mdia"))  # the track's matrix: x' = -x, y' = -y
    path.write_bytes(data[:at] + minus + zero * 3 + one + data[at + 20 :])  # y' = y
    assert np.abs(shown(clip_of(path))[0][0] - luma(image[:, ::-1])).mean() < 2


def test_a_clip_in_the_canvas_own_format_is_the_very_samples(tmp_path: Path) -> None:
    clip = clip_of(write(tmp_path / "clip.mp4", 1, 10, width=320, height=180))
    assert all(same(a, b) for a, b in zip(shown(clip), frames_of(clip), strict=True))
    old = Canvas(320, 180, Fraction(12), matrix="bt601")
    clip = clip_of(write(tmp_path / "old.mp4", 1, 10, width=320, height=180, matrix=6))
    assert all(same(a, b) for a, b in zip(shown(clip, old), frames_of(clip), strict=True))
    assert not same(shown(clip)[0], frames_of(clip)[0])


@pytest.mark.parametrize(
    ("matrix", "height", "natural"), [(1, 96, "bt709"), (6, 96, "bt601"), (2, 96, "bt601"), (2, 720, "bt709")]
)
def test_the_matrix_that_leaves_a_clip_as_it_is_is_known(
    tmp_path: Path, matrix: int, height: int, natural: str
) -> None:
    clip = clip_of(write(tmp_path / "clip.mp4", 1, 4, width=160, height=height, matrix=matrix))
    assert natural_matrix(clip) == natural
    canvas = Canvas(160, height, Fraction(12), matrix=natural)
    assert all(same(a, b) for a, b in zip(shown(clip, canvas), frames_of(clip), strict=True))


# --- colour ---


def scene(width: int = 320, height: int = 180) -> np.ndarray:
    """Return a soft picture of many colours, none at the edge of the gamut, (H, W, 3) RGB."""
    image = cv2.GaussianBlur(clips.texture(3, height, width), (0, 0), 8).astype(float)
    return np.rint(20 + (image - image.min()) * 210 / (image.max() - image.min())).astype(np.uint8)


def close(found: Planes, rgb: np.ndarray, tolerance: float = 1.5, **weights: float) -> bool:
    """Say whether a frame shows an RGB picture, by the formulas: on average, and without a cast."""
    seen = cv2.GaussianBlur(rgb_of(found, **weights), (0, 0), 2)
    off = seen - cv2.GaussianBlur(rgb.astype(float), (0, 0), 2)
    return bool(np.abs(off).mean() < tolerance and np.abs(off.mean(axis=(0, 1))).max() < 1)


def coded(image: np.ndarray, pixels: str, matrix: int, limited: bool) -> av.VideoFrame:
    """Return an RGB picture as YUV of a matrix and range, by formulas."""
    red, blue = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}.get(matrix, (0.299, 0.114))
    rgb = image / 255
    y = rgb @ np.array([red, 1 - red - blue, blue])
    chroma = [(rgb[..., 2] - y) / (2 * (1 - blue)), (rgb[..., 0] - y) / (2 * (1 - red))]
    if "420" in pixels:
        chroma = [cv2.resize(one, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for one in chroma]
    deep = 4 if "10le" in pixels else 1
    planes = [16 + 219 * y if limited else 255 * y, *(128 + (224 if limited else 255) * one for one in chroma)]
    return odd.frame_of(
        [np.rint(deep * plane).astype(np.uint16 if deep == 4 else np.uint8) for plane in planes], pixels
    )


@pytest.mark.parametrize("canvas_matrix", ["bt709", "bt601"])
@pytest.mark.parametrize(
    ("pixels", "matrix", "limited"),
    [
        ("yuv420p", 1, True),
        ("yuv420p", 6, True),
        ("yuv420p", 2, True),  # says nothing: players take BT.601 for so small a picture
        ("yuv420p", 1, False),
        ("yuv444p", 6, False),
        ("yuv420p10le", 1, True),
        ("yuv444p10le", 6, True),
    ],
)
def test_colours_are_brought_to_those_of_the_canvas(
    tmp_path: Path, pixels: str, matrix: int, limited: bool, canvas_matrix: str
) -> None:
    frames = [coded(scene(), pixels, matrix, limited) for _ in range(2)]
    tag = tagged(matrix, 1 if limited else 2)
    path = odd.write(tmp_path / "clip.mkv", frames, "ffv1", pixels, fps=12, setup=tag)
    weights = {} if canvas_matrix == "bt709" else {"red": 0.299, "blue": 0.114}
    canvas = Canvas(320, 180, Fraction(12), matrix=canvas_matrix)
    assert close(shown(clip_of(path), canvas)[0], scene(), **weights)
    small = shown(clip_of(path), canvas, box=Box(16, 20, 160, 90))[0]
    half = cv2.resize(scene(), (160, 90), interpolation=cv2.INTER_AREA)
    assert close(cut(small, (16, 20, 160, 90)), half, 2.0, **weights)


@pytest.mark.parametrize(
    ("codec", "suffix", "pixels"),
    [
        ("png", ".mov", "rgb24"),
        ("qtrle", ".mov", "rgb24"),
        ("ffv1", ".mkv", "gbrp10le"),
        ("libx264rgb", ".mkv", "rgb24"),
    ],
)
def test_rgb_is_shown_in_its_colours(tmp_path: Path, codec: str, suffix: str, pixels: str) -> None:
    options = {"qp": "0"} if codec == "libx264rgb" else {}
    path = odd.write(tmp_path / f"clip{suffix}", [scene()] * 2, codec, pixels, fps=12, options=options)
    assert close(shown(clip_of(path))[0], scene())


@pytest.mark.parametrize("limited", [True, False])
def test_grey_video_keeps_its_levels(tmp_path: Path, limited: bool) -> None:
    ramp = np.repeat(np.linspace(0, 255, 320)[None], 180, axis=0)
    levels = np.rint(16 + ramp * 219 / 255 if limited else ramp).astype(np.uint8)
    tag = tagged(2, 1 if limited else 2)
    path = odd.write(tmp_path / "clip.mkv", [levels] * 2, "ffv1", "gray", given_as="gray", fps=12, setup=tag)
    y, cb, cr = shown(clip_of(path))[0]
    assert np.abs(y - (16 + ramp * 219 / 255)).max() < 2
    assert {*cb.ravel(), *cr.ravel()} <= {127, 128, 129}


def test_hdr_is_shown_as_an_sdr_screen_has_it(tmp_path: Path) -> None:
    """Greys of known light, coded by PQ (BT.2100, table 4), become the levels of BT.1886 for the same light."""
    levels = np.linspace(0.05, 0.85, 20)  # of the SDR signal, below where highlights are rolled off
    light = 203 * levels**2.4
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = (light / 10_000) ** m1
    signal = ((c1 + c2 * power) / (1 + c3 * power)) ** m2
    y = np.repeat(np.rint(4 * (16 + 219 * signal)).astype(np.uint16), 16)[None].repeat(180, axis=0)
    grey = np.full((90, 160), 512, np.uint16)

    def tag(stream: Any) -> None:
        codec = stream.codec_context
        codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range = 9, 9, 16, 1

    frames = [odd.frame_of([y, grey, grey], "yuv420p10le") for _ in range(2)]
    path = odd.write(tmp_path / "hdr.mkv", frames, "ffv1", "yuv420p10le", fps=12, setup=tag)
    found = shown(clip_of(path))[0]
    assert np.abs(found[0][:, 8::16] - (16 + 219 * levels)).max() < 3
    assert {*found[1].ravel(), *found[2].ravel()} <= {127, 128, 129}


# --- transparency ---


def with_alpha() -> tuple[np.ndarray, np.ndarray]:
    """Return a picture with alpha, (H, W, 4), and what it looks like on black."""
    alpha = np.repeat(np.rint(np.linspace(0, 255, 320))[None], 180, axis=0)
    return np.dstack([scene(), alpha]).astype(np.uint8), scene() * alpha[..., None] / 255


@pytest.mark.parametrize(
    ("codec", "suffix", "pixels"),
    [
        ("png", ".mov", "rgba"),
        ("qtrle", ".mov", "argb"),
        ("prores_ks", ".mov", "yuva444p10le"),
        ("ffv1", ".mkv", "bgra"),
        ("ffv1", ".mkv", "yuva420p"),
    ],
)
def test_what_is_transparent_lies_on_black(tmp_path: Path, codec: str, suffix: str, pixels: str) -> None:
    image, expected = with_alpha()
    path = odd.write(tmp_path / f"clip{suffix}", [image] * 2, codec, pixels, given_as="rgba", fps=12)
    found = shown(clip_of(path))[0]
    seen, wanted = (cv2.GaussianBlur(one, (0, 0), 2) for one in (rgb_of(found), expected))
    assert np.abs(seen - wanted).mean() < 2.5
    assert np.abs(found[0][:, :4] - 16.0).max() <= 4


def test_alpha_that_the_decoder_leaves_out_is_rejected(tmp_path: Path) -> None:
    path = odd.write(tmp_path / "clip.webm", [with_alpha()[0]] * 2, "libvpx-vp9", "yuva420p", given_as="rgba", fps=12)
    with av.open(str(path)) as container:
        if container.streams.video[0].metadata.get("alpha_mode") != "1":
            pytest.fail("the encoder wrote no alpha")
    with pytest.raises(Reject, match=r"clip\.webm") as caught:
        shown(clip_of(path))
    assert caught.value.reason == "alpha_not_decoded"


# --- two fields ---


@pytest.mark.parametrize("coding", ["mpeg2video", "libx264"])
def test_two_fields_leave_no_comb(tmp_path: Path, coding: str) -> None:
    moving = clips.moving(7, 48, 6)
    path = write_fields(tmp_path / "fields.mkv", odd.woven(moving), coding)
    _, combed = clips.read_all(path, combs)
    canvas = Canvas(320, 180, Fraction(24))
    frames = [odd.frame_of(planes, "yuv420p") for planes in shown(clip_of(path), canvas)]
    assert len(frames) == 24
    assert np.median([combs(frame) for frame in frames]) < 0.5 * np.median(combed)


# --- what is not there ---


def refused(clip: Clip, tmp_path: Path) -> str:
    """Return why a clip is rejected when rendered; no file may be left."""
    composition = Composition(CANVAS, clip.ticks(CANVAS.fps), (Piece(clip, CANVAS.whole, 0, clip.ticks(CANVAS.fps)),))
    target = tmp_path / "out" / "video.mp4"
    target.parent.mkdir(exist_ok=True)
    with pytest.raises(Reject) as caught:
        render_file(composition, target, Encoding())
    assert list(target.parent.iterdir()) == []
    assert clip.path in str(caught.value) or caught.value.reason in ("still_image", "unreadable", "no_video_stream")
    return caught.value.reason


def moved(clip: Clip, path: Path) -> Clip:
    """Return a clip that is said to be of another file."""
    return Clip(**{**vars(clip), "root": str(path.parent), "path": path.name})


@pytest.fixture
def whole(tmp_path: Path) -> Clip:
    """A clip of 60 frames that ends with its file."""
    return clip_of(write(tmp_path / "whole.mkv", 1, 60, options={"g": "12", "crf": "20"}))


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2])
def test_a_torn_file_is_rejected(whole: Clip, tmp_path: Path, share: float) -> None:
    torn = clips.cut_short(whole.file, tmp_path / "torn.mkv", share)
    assert refused(moved(whole, torn), tmp_path) in {"frames_differ", "corrupt_frames"}


def test_a_torn_file_is_good_for_what_it_still_holds(whole: Clip, tmp_path: Path) -> None:
    torn = moved(whole, clips.cut_short(whole.file, tmp_path / "torn.mkv", 0.5))
    found = shown(torn, Canvas(160, 96, Fraction(12)), frames=12)
    assert all(same(a, b) for a, b in zip(found, frames_of(whole), strict=False))


def test_damage_inside_a_file_is_rejected(whole: Clip, tmp_path: Path) -> None:
    data = bytearray(whole.file.read_bytes())
    for at in range(len(data) // 3, len(data) * 2 // 3, 40):
        data[at] ^= 0x5A
    (tmp_path / "broken.mkv").write_bytes(data)
    assert refused(moved(whole, tmp_path / "broken.mkv"), tmp_path) in {"frames_differ", "corrupt_frames", "unreadable"}


def test_a_clip_shorter_than_it_claims_is_rejected(whole: Clip, tmp_path: Path) -> None:
    longer = Clip(**{**vars(whole), "end_pts": whole.end_pts + 1000, "frames": 72})
    assert refused(longer, tmp_path) == "frames_differ"
    beyond = Clip(**{**vars(whole), "start_pts": whole.end_pts + 500, "end_pts": whole.end_pts + 1500, "frames": 12})
    assert refused(beyond, tmp_path) == "frames_differ"
    other_times = Clip(**{**vars(whole), "time_base": Fraction(1, 12288)})
    assert refused(other_times, tmp_path) == "frames_differ"


def test_files_without_frames_are_rejected(whole: Clip, tmp_path: Path) -> None:
    empty = clips.write_without_frames(tmp_path / "empty.mkv")
    assert refused(moved(whole, empty), tmp_path) in {"frames_differ", "unreadable", "no_video_stream"}
    assert refused(moved(whole, clips.write_sound(tmp_path / "sound.mp4")), tmp_path) == "no_video_stream"
    (tmp_path / "text.mp4").write_text("not a video")
    assert refused(moved(whole, tmp_path / "text.mp4"), tmp_path) == "unreadable"
    (tmp_path / "zero.mp4").write_bytes(b"")
    assert refused(moved(whole, tmp_path / "zero.mp4"), tmp_path) == "unreadable"
    cv2.imwrite(str(tmp_path / "still.png"), disc(320, 180))
    assert refused(moved(whole, tmp_path / "still.png"), tmp_path) == "still_image"


def test_a_file_that_is_not_there_is_the_machines_trouble(whole: Clip, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"gone\.mp4"):
        shown(moved(whole, tmp_path / "gone.mp4"))


def test_a_picture_that_is_turned_askew_is_rejected(tmp_path: Path) -> None:
    path = clips.write_clip(tmp_path / "clip.mp4", [disc(320, 180)] * 12, fps=12, rotation_deg=30)
    with pytest.raises(Reject) as caught:
        shown(clip_of(path))
    assert caught.value.reason == "odd_rotation"


def test_sound_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=12)
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        audio = container.add_stream("aac", rate=16000, layout="mono")
        for number, frame in enumerate(noise(1, 12)):
            frame.pts, frame.time_base = number, Fraction(1, 12)
            container.mux(video.encode(frame))
        for number in range(16):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1000), np.float32), "fltp", "mono")
            sound.sample_rate, sound.pts = 16000, number * 1000
            container.mux(audio.encode(sound))
        for stream in (video, audio):
            container.mux(stream.encode(None))
    clip = clip_of(path)
    render_file(Composition(CANVAS, 12, (Piece(clip, CANVAS.whole, 0, 12),)), tmp_path / "video.mp4", Encoding())
    with av.open(str(tmp_path / "video.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]
        assert len(list(container.decode(video=0))) == 12
