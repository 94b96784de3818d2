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
    images: list[Image] = field(default_factory=list, compare=False, repr=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        backdrop = _backdrop(rng, 2 * self.height, 2 * self.width)
        angle = rng.uniform(0, 2 * np.pi)
        step = self.pan_px * np.array([np.cos(angle), np.sin(angle) * self.height / self.width])
        start = np.array([self.width, self.height]) - step * self.frames / 2
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
                thing.draw(image, number)
            self.images.append(np.clip(image * self.light, 0, 255).astype(np.uint8))


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

    def draw(self, image: Image, number: int) -> None:
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
    """Join scenes by ("cut", 0), ("dissolve", frames) or ("fade", frames through black); `frames` long each."""
    images = list(scenes[0].images)
    boundaries = []
    for scene, (kind, length) in zip(scenes[1:], transitions, strict=True):
        if kind == "cut":
            boundaries.append((len(images), len(images)))
            images += scene.images
        elif kind == "dissolve":
            mixed = [
                cv2.addWeighted(a, 1 - share, b, share, 0)
                for share, a, b in zip(_shares(length), images[-length:], scene.images[:length], strict=True)
            ]
            boundaries.append((len(images) - length, len(images)))
            images[-length:] = mixed
            images += scene.images[length:]
        elif kind == "fade":
            half = length // 2
            out = [_dimmed(image, 1 - share) for share, image in zip(_shares(half), images[-half:], strict=True)]
            back = [_dimmed(image, share) for share, image in zip(_shares(half), scene.images[:half], strict=True)]
            black = [np.zeros_like(images[0])] * 4
            boundaries.append((len(images) - half, len(images) + 4 + half))
            images[-half:] = out
            images += [*black, *back, *scene.images[half:]]
        else:
            raise ValueError(kind)
    return Film(images, boundaries)


def _shares(length: int) -> list[float]:
    return [(i + 1) / (length + 1) for i in range(length)]


def _dimmed(image: Image, share: float) -> Image:
    return (image * share).astype(np.uint8)


def with_flash(images: Sequence[Image], at: int, frames: int = 2, strength: float = 0.8) -> list[Image]:
    """Return the frames with a flash of light that shows the same picture, brighter."""
    found = list(images)
    for i in range(at, at + frames):
        found[i] = (found[i] + strength * (255.0 - found[i])).astype(np.uint8)
    return found
