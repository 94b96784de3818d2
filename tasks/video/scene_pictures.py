"""Generated scenes, drawn: backgrounds, a sign, and outlined things on them, to a fraction of a pixel."""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tasks.video.scene_shapes import contours, extent
from tasks.video.scene_words import BACKGROUNDS, COLOURS, FILM, Typeface
from tasks.video.scenes import Background, Scene, Settings, Sign, Track, held_frames

cv2.setNumThreads(1)

DARK, LIGHT = (18, 18, 20), (250, 250, 250)
BOARD = (238, 218, 168)
_SHIFT = 6  # bits of a pixel's fraction, for OpenCV
_LETTER_PX = 160  # of a word before it is brought to its size


class Box(NamedTuple):
    """Rows [top, bottom) and columns [left, right) of a picture, all even."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True)
class Drawn:
    """A picture, uint8 (H, W, 3) in RGB, shown `times` times; it differs from the one before within `boxes` alone.

    It is overwritten when the next one is asked for.
    """

    picture: np.ndarray
    boxes: tuple[Box, ...]
    times: int


def frames_of(scene: Scene, settings: Settings, film: np.ndarray | None) -> Iterator[Drawn]:
    """Yield all frames of a scene; `film` is the picture of the film behind it, RGB."""
    whole = Box(0, settings.height_px, 0, settings.width_px)
    canvas = np.empty((settings.height_px, settings.width_px, 3), np.uint8)
    view, base = -1, canvas
    for clip, held in held_frames(scene):
        if clip.view != view:
            view, base = clip.view, background_picture(scene.background, clip.view, settings, film)
            if scene.sign is not None:
                draw_sign(base, scene.sign, clip.word, scene.typeface)
        still = base.copy()
        for track in clip.tracks:
            if track.is_still:
                draw_thing(still, track, 0, scene.typeface)
        acting = [track for track in clip.tracks if not track.is_still]
        last: list[Box] = [whole]
        for frame in range(clip.frames):
            now = [box_of(track, frame, whole) for track in acting]
            for box in last:
                canvas[box.slices] = still[box.slices]
            for track in acting:
                if track.seen[frame]:
                    draw_thing(canvas, track, frame, scene.typeface)
            yield Drawn(canvas, (*last, *now), 1)
            last = now
        if held:
            for track in acting:
                if track.after.seen:
                    draw_thing(canvas, track, clip.frames - 1, scene.typeface)
            yield Drawn(canvas, tuple(last), held)


# --- things ---


def box_of(track: Track, frame: int, whole: Box) -> Box:
    """Return what a thing may cover in a frame, its outline too."""
    reach = extent(track.before.shape) * float(track.radius[frame]) + 3 + whole.bottom / 150
    x, y = float(track.x[frame]), float(track.y[frame])
    top, bottom, left, right = (
        2 * int(side // 2) + 2 * (n % 2) for n, side in enumerate((y - reach, y + reach, x - reach, x + reach))
    )
    return Box(max(top, 0), min(bottom, whole.bottom), max(left, 0), min(right, whole.right))


def draw_thing(canvas: np.ndarray, track: Track, at: int, typeface: Typeface) -> None:
    """Draw a thing as it is in the frame `at` of its clip."""
    x, y, radius = float(track.x[at]), float(track.y[at]), float(track.radius[at])
    colour = COLOURS[track.colour_at(at)]
    turn = np.radians(float(track.angle[at]))
    cos, sin = np.cos(turn), np.sin(turn)
    matrix = np.array([[cos, sin], [-sin, cos]])  # of rows (x, y), y downwards: clockwise on the screen
    placed = [radius * one @ matrix + np.array([x, y]) for one in contours(track.before.shape)]
    points = [np.rint(one * 2**_SHIFT).astype(np.int32) for one in placed]
    ink = contrasting(colour)
    cv2.fillPoly(canvas, points, colour, cv2.LINE_AA, _SHIFT)
    cv2.polylines(canvas, points, True, ink, max(1, round(canvas.shape[0] / 150)), cv2.LINE_AA, _SHIFT)
    if track.before.word:
        _write(canvas, track.before.word, typeface, (x, y), (1.5 * radius, 0.62 * radius), ink)


def contrasting(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the outline and letters for a colour: dark on light, light on dark."""
    return DARK if 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 110 else LIGHT


# --- words ---


def draw_sign(canvas: np.ndarray, sign: Sign, word: str, typeface: Typeface) -> None:
    """Draw a board with a word."""
    right, bottom = sign.left + sign.width - 1, sign.top + sign.height - 1
    line = max(2, round(canvas.shape[0] / 90))
    cv2.rectangle(canvas, (sign.left, sign.top), (right, bottom), BOARD, cv2.FILLED)
    cv2.rectangle(canvas, (sign.left, sign.top), (right, bottom), DARK, line)
    middle = (sign.left + sign.width / 2, sign.top + sign.height / 2)
    _write(canvas, word, typeface, middle, (0.8 * sign.width, 0.6 * sign.height), DARK)


def _write(
    canvas: np.ndarray,
    word: str,
    typeface: Typeface,
    middle: tuple[float, float],
    room: tuple[float, float],
    ink: tuple[int, int, int],
) -> None:
    """Blend a word into the picture, as large as the room (width, height) allows, about its middle."""
    letters = word_picture(word, typeface)
    scale = min(room[0] / letters.shape[1], room[1] / letters.shape[0])
    left, top = int(middle[0] - room[0] / 2) - 1, int(middle[1] - room[1] / 2) - 1
    width, height = int(room[0]) + 4, int(room[1]) + 4
    small = _shrunk(word, typeface, scale)
    shift = (middle[0] - left - small.shape[1] / 2, middle[1] - top - small.shape[0] / 2)
    moved = cv2.warpAffine(small, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), (width, height))
    part = canvas[top : top + height, left : left + width]
    share = moved[:, :, None].astype(np.float32) / 255
    part[...] = np.rint(part + share * (np.array(ink, np.float32) - part)).astype(np.uint8)


@cache
def _shrunk(word: str, typeface: Typeface, scale: float) -> np.ndarray:
    letters = word_picture(word, typeface)
    size = (max(1, round(letters.shape[1] * scale)), max(1, round(letters.shape[0] * scale)))
    return cv2.resize(letters, size, interpolation=cv2.INTER_AREA)


@cache
def word_picture(word: str, typeface: Typeface) -> np.ndarray:
    """Return a word, uint8 (H, W), 255 where there is ink, cut to its ink."""
    if typeface.is_opencv:
        face, scale, thick = getattr(cv2, typeface.name), _LETTER_PX / 22, round(_LETTER_PX / 11)
        (width, height), below = cv2.getTextSize(word, face, scale, thick)
        picture = np.zeros((height + below + 4 * thick, width + 4 * thick), np.uint8)
        cv2.putText(picture, word, (2 * thick, height + 2 * thick), face, scale, 255, thick, cv2.LINE_AA)
    else:
        font = _font(typeface.name)
        left, top, right, bottom = (int(side) for side in font.getbbox(word))
        image = Image.new("L", (right - left + 8, bottom - top + 8))
        ImageDraw.Draw(image).text((4 - left, 4 - top), word, 255, font=font)
        picture = np.asarray(image)
    rows, columns = np.flatnonzero(picture.any(1)), np.flatnonzero(picture.any(0))
    return np.ascontiguousarray(picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


@cache
def _font(name: str) -> ImageFont.FreeTypeFont:
    package = importlib.util.find_spec("matplotlib")  # its files alone: importing it takes a second
    assert package is not None and package.origin is not None, "matplotlib is installed"
    path = Path(package.origin).parent / "mpl-data" / "fonts" / "ttf" / name
    return ImageFont.truetype(str(path), _LETTER_PX, layout_engine=ImageFont.Layout.BASIC)


# --- backgrounds ---


def background_picture(background: Background, view: int, settings: Settings, film: np.ndarray | None) -> np.ndarray:
    """Return a background as it is in one view, uint8 (H, W, 3): after a cut it is seen from elsewhere."""
    rng = np.random.default_rng([background.seed, view])
    size = settings.height_px, settings.width_px
    if background.texture == FILM:
        if film is None:
            raise ValueError("a scene on a film picture needs that picture")
        return _film_picture(film, background.style, np.random.default_rng(background.seed), rng, size)
    tone = np.array(BACKGROUNDS[background.colour], np.float32)
    kind = np.random.default_rng(background.seed)
    light = _pattern(background.texture, kind, rng, size)  # -1 to 1
    toned = tone + light[..., None] * _CONTRAST
    return np.clip(np.rint(toned), 0, 255).astype(np.uint8)


_CONTRAST = 17.0  # grey levels that a pattern adds and takes


def _pattern(texture: str, kind: np.random.Generator, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Return a pattern between -1 and 1, (H, W) float32; `kind` is the same in each view, `rng` is not."""
    height, width = size
    y, x = (axis.astype(np.float32) / height for axis in np.indices(size))
    pitch, angle = kind.uniform(0.11, 0.2), kind.choice([0, np.pi / 4, np.pi / 2, 3 * np.pi / 4])
    along = x * np.cos(angle) + y * np.sin(angle) + rng.uniform(0, 1)
    across = y * np.cos(angle) - x * np.sin(angle) + rng.uniform(0, 1)
    if texture == "plain":
        return np.full(size, rng.uniform(-0.5, 0.5), np.float32)
    if texture == "gradient":
        turn = rng.uniform(0, 2 * np.pi)
        ramp = x * np.cos(turn) + y * np.sin(turn)
        return 2.4 * ((ramp - ramp.min()) / np.ptp(ramp) * 2 - 1)
    if texture == "stripes":
        return _smooth_square(along / pitch)
    if texture == "checks":
        return _smooth_square(along / (2 * pitch)) * _smooth_square(across / (2 * pitch))
    if texture == "dots":
        distance = np.hypot(along % pitch - pitch / 2, across % pitch - pitch / 2)
        return 2 * np.clip((0.3 * pitch - distance) * height + 0.5, 0, 1) - 0.6
    coarse = rng.standard_normal((height // 4 + 1, width // 4 + 1)).astype(np.float32)
    grown = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(grown, -2, 2) * 0.8


def _smooth_square(turns: np.ndarray) -> np.ndarray:
    """Return a square wave with soft edges, -1 to 1."""
    return np.clip(6 * np.sin(2 * np.pi * turns), -1, 1)


_TINTS = ((70, 110, 190), (190, 120, 60), (80, 150, 90), (140, 90, 160))


def _film_picture(
    film: np.ndarray, style: str, kind: np.random.Generator, rng: np.random.Generator, size: tuple[int, int]
) -> np.ndarray:
    """Return a crop of a film's picture, in the shape of the clip."""
    height, width = film.shape[:2]
    scale = rng.uniform(0.72, 1.0) * min(height / size[0], width / size[1])
    tall, wide = int(size[0] * scale), int(size[1] * scale)
    top, left = (int(rng.integers(spare + 1)) for spare in (height - tall, width - wide))
    crop = cv2.resize(film[top : top + tall, left : left + wide], size[::-1], interpolation=cv2.INTER_CUBIC)
    if style == "blurred":
        return cv2.GaussianBlur(crop, (0, 0), size[0] / 60)
    if style == "tinted":
        tint = np.array(_TINTS[kind.integers(len(_TINTS))], np.float32)
        grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
        return np.rint(np.clip(0.45 * grey + 0.55 * tint, 0, 255)).astype(np.uint8)
    if style == "dimmed":
        return np.rint(crop * np.float32(0.65)).astype(np.uint8)
    return crop
