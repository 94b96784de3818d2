"""Made-up films with known faults: scenes with a camera and moving things, joined by cuts, dissolves and fades."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

Image = np.ndarray  # uint8, (H, W, 3), RGB


@dataclass(frozen=True)
class Scene:
    """A painted backdrop, larger than the picture, a camera that pans and zooms over it, and things that move."""

    seed: int
    frames: int
    height: int = 180
    width: int = 320
    pan_px: float = 1.5  # a frame
    zoom: float = 1.0  # by the end
    things: int = 3
    light: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)  # of the camera's path, px: another view of the same backdrop
    speed: float = 1.0  # of the things
    noise: float = 0.0  # of the sensor, standard deviation
    images: list[Image] = field(default_factory=list, compare=False, repr=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        backdrop = _backdrop(rng, 2 * self.height, 2 * self.width)
        angle = rng.uniform(0, 2 * np.pi)
        step = self.pan_px * np.array([np.cos(angle), np.sin(angle) * self.height / self.width])
        start = np.array([self.width, self.height]) + np.array(self.shift) - step * self.frames / 2
        things = [_Thing.at_random(rng, self.height, self.width) for _ in range(self.things)]
        for number in range(self.frames):
            share = number / max(1, self.frames - 1)
            scale = self.zoom**share
            centre = start + step * number
            size = self.width / scale, self.height / scale
            left, top = centre - np.array(size) / 2
            matrix = np.array([[scale, 0, -scale * left], [0, scale, -scale * top]])
            image = cv2.warpAffine(
                backdrop, matrix, (self.width, self.height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
            )
            for thing in things:
                thing.draw(image, number * self.speed)
            grain = rng.normal(0, self.noise, image.shape) if self.noise else 0.0
            self.images.append(np.clip(image * self.light + grain, 0, 255).astype(np.uint8))


@dataclass(frozen=True)
class _Thing:
    place: np.ndarray
    speed: np.ndarray
    radius: int
    color: tuple[int, int, int]
    sway: float

    @classmethod
    def at_random(cls, rng: np.random.Generator, height: int, width: int) -> "_Thing":
        return cls(
            rng.uniform((0, 0), (width, height)),
            rng.normal(0, width / 200, 2),
            int(rng.integers(height // 18, height // 6)),
            tuple(int(c) for c in rng.integers(0, 256, 3)),  # type: ignore[arg-type]
            float(rng.uniform(0, height / 30)),
        )

    def draw(self, image: Image, number: float) -> None:
        x, y = self.place + self.speed * number + [0, self.sway * np.sin(number / 5)]
        height, width = image.shape[:2]
        centre = round(x % (width + 2 * self.radius)) - self.radius, round(y % height)
        cv2.circle(image, centre, self.radius, self.color, -1, cv2.LINE_AA)
        cv2.circle(image, centre, self.radius // 2, tuple(255 - c for c in self.color), -1, cv2.LINE_AA)


def _backdrop(rng: np.random.Generator, height: int, width: int) -> Image:
    """Return sky and ground of random colours, with soft and hard patches and fine grain."""
    top, bottom = rng.integers(20, 236, (2, 3))
    horizon = rng.uniform(0.3, 0.7)
    ramp = 1 / (1 + np.exp(-(np.linspace(0, 1, height) - horizon) * rng.uniform(4, 60)))
    image = (top + (bottom - top) * ramp[:, None, None]) * np.ones((1, width, 1))
    for _ in range(12):
        color = rng.integers(0, 256, 3)
        corner = rng.uniform((0, 0), (width, height))
        shape = np.array([corner + rng.normal(0, height / 5, 2) for _ in range(5)], np.int32)
        layer = np.zeros((height, width), np.float32)
        cv2.fillConvexPoly(layer, cv2.convexHull(shape), 1.0)
        if rng.random() < 0.5:
            layer = cv2.GaussianBlur(layer, (0, 0), height / 60)
        image += layer[..., None] * (color - image) * rng.uniform(0.4, 1.0)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (height, width, 1)), (0, 0), 1.2)[..., None]
    return np.clip(image + 12 * grain / grain.std(), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Film:
    """Frames, and where its shots change: [end of one, start of the next), equal for a hard cut."""

    images: list[Image]
    boundaries: list[tuple[int, int]]


def joined(scenes: Sequence[Scene], transitions: Sequence[tuple[str, int]]) -> Film:
    """Join scenes by ("cut", 0), or a dissolve, wipe, iris, fade (through black) or white (through white) of n frames.

    The black or white stands for four frames more.
    """
    images = list(scenes[0].images)
    boundaries = []
    for scene, (kind, length) in zip(scenes[1:], transitions, strict=True):
        if kind == "cut":
            boundaries.append((len(images), len(images)))
            images += scene.images
        elif kind == "dissolve":
            mixed = [
                _mixed(a, b, share)
                for share, a, b in zip(_shares(length), images[-length:], scene.images[:length], strict=True)
            ]
            boundaries.append((len(images) - length, len(images)))
            images[-length:] = mixed
            images += scene.images[length:]
        elif kind in ("wipe", "iris"):
            shown = _wiped if kind == "wipe" else _opened
            parts = zip(_shares(length), images[-length:], scene.images[:length], strict=True)
            boundaries.append((len(images) - length, len(images)))
            images[-length:] = [shown(share, a, b) for share, a, b in parts]
            images += scene.images[length:]
        elif kind in ("fade", "white"):
            half = length // 2
            blank = np.full_like(images[0], 0 if kind == "fade" else 255)
            out = [_mixed(image, blank, share) for share, image in zip(_shares(half), images[-half:], strict=True)]
            back = [
                _mixed(blank, image, share) for share, image in zip(_shares(half), scene.images[:half], strict=True)
            ]
            boundaries.append((len(images) - half, len(images) + 4 + half))
            images[-half:] = out
            images += [blank] * 4 + back + scene.images[half:]
        else:
            raise ValueError(kind)
    return Film(images, boundaries)


def _shares(length: int) -> list[float]:
    return [(i + 1) / (length + 1) for i in range(length)]


def _mixed(a: Image, b: Image, share: float) -> Image:
    return cv2.addWeighted(a, 1 - share, b, share, 0)


def _wiped(share: float, a: Image, b: Image) -> Image:
    """Return b from the left, and the rest of a."""
    edge = round(share * a.shape[1])
    return np.hstack([b[:, :edge], a[:, edge:]])


def _opened(share: float, a: Image, b: Image) -> Image:
    """Return b within a circle that grows, and a around it."""
    height, width = a.shape[:2]
    y, x = np.ogrid[:height, :width]
    inside = np.hypot(x - width / 2, y - height / 2) < share * np.hypot(width, height) / 2
    return np.where(inside[..., None], b, a)


def with_flash(
    images: Sequence[Image], at: int, frames: int = 2, strength: float = 0.8, color: tuple[int, int, int] = (255,) * 3
) -> list[Image]:
    """Return the frames with a flash of light that shows the same picture, brighter (strength 1: nothing but light)."""
    found = list(images)
    light = np.full_like(images[0], color)
    for i in range(at, at + frames):
        found[i] = np.maximum(found[i], _mixed(found[i], light, strength))
    return found


def with_whip(scene: Scene, at: int, frames: int = 8, px: int = 300) -> list[Image]:
    """Return a scene whose camera swings aside within some frames, blurred by its speed."""
    there = Scene(scene.seed, scene.frames, pan_px=scene.pan_px, things=scene.things, shift=(px, 0))
    found = [*scene.images[:at]]
    for i in range(frames):
        share = (i + 1) / (frames + 1)
        way = px * (3 * share**2 - 2 * share**3)
        blur = max(1, round(px * 6 * share * (1 - share) / frames / 2))
        moved = Scene(scene.seed, scene.frames, pan_px=scene.pan_px, things=scene.things, shift=(way, 0)).images[at + i]
        found.append(cv2.blur(moved, (blur, 1)))
    return found + there.images[at + frames :]


def with_passer(images: Sequence[Image], at: int, frames: int = 10, share: float = 0.8) -> list[Image]:
    """Return the frames with something large that passes close to the camera."""
    found = list(images)
    height, width = images[0].shape[:2]
    size = round(share * width)
    for i in range(frames):
        left = round((width + size) * (i + 1) / (frames + 1)) - size
        found[at + i] = found[at + i].copy()
        cv2.rectangle(found[at + i], (left, 0), (left + size, height), (40, 60, 110), -1)
        cv2.circle(found[at + i], (left + size // 2, height // 2), height // 3, (180, 60, 40), -1)
    return found


def with_entry(images: Sequence[Image], at: int, frames: int, share: float, color: tuple[int, ...]) -> list[Image]:
    """Return the frames with something as wide as a share of the picture that comes in from the left and stays."""
    found = list(images)
    height, width = images[0].shape[:2]
    size = round(share * width)
    for i in range(at, len(found)):
        left = round(size * (min(1.0, (i - at + 1) / frames) - 1))
        found[i] = found[i].copy()
        cv2.rectangle(found[i], (left, 0), (left + size, height), color, -1)
        cv2.circle(found[i], (left + size // 2, height // 2), height // 3, tuple(255 - c for c in color), -1)
    return found


def with_explosion(images: Sequence[Image], at: int, frames: int = 30) -> list[Image]:
    """Return the frames with a fire that bursts within four frames, then dies down."""
    found = list(images)
    height, width = images[0].shape[:2]
    for i in range(frames):
        light = np.zeros((height, width), np.float32)
        cv2.circle(light, (width // 2, height // 2), round(width * min(1, (i + 1) / 4) * 0.7), 1.0, -1)
        light = cv2.GaussianBlur(light, (0, 0), width / 16) * max(0.0, 1 - i / frames)
        found[at + i] = np.clip(found[at + i] + light[..., None] * (255, 190, 90), 0, 255).astype(np.uint8)
    return found


def shaken(scene: Scene, px: float = 8) -> list[Image]:
    """Return a scene from a camera that shakes."""
    rng = np.random.default_rng(scene.seed)
    return [np.roll(image, rng.normal(0, px, 2).round().astype(int), (0, 1)) for image in scene.images]


def on_twos(images: Sequence[Image]) -> list[Image]:
    """Return every other frame, shown twice, as animation is drawn."""
    return [images[i - i % 2] for i in range(len(images))]
