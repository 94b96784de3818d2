"""Land seen from a moving camera, with things that move over it: pictures of a planted clip, at any time and size.

The land is shaded relief in a few natural colours, with fine detail down to a pixel; its spectrum falls as that of
photographs does. The same seed shows the same land at every size, so a copy of a clip can be made at another one.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

Image = np.ndarray  # uint8, (H, W, 3), RGB

WIDER, TALLER = 2.4, 1.8  # the land, in pictures
MEAN, DEVIATION = 112.0, 50.0  # of the land's luma
GRAIN = 1.0  # of a sensor, standard deviation
GRAINS = 6  # fields of grain, each used again shifted


@dataclass(frozen=True)
class World:
    """A land of `height` x `width` pictures under a camera: "pan", "zoom", "objects", "turns", "still" or "stripes".

    The camera's path takes `path_s` seconds.
    """

    seed: int
    camera: str
    path_s: float
    height: int
    width: int

    def picture(self, time_s: float) -> Image:
        """Return the picture at a time of the path, without grain."""
        x, y, scale = self._eye(time_s / self.path_s)
        land = _land(self.seed, self.height, self.width) if self.camera != "stripes" else self._curtain()
        tall, wide = land.shape[:2]
        left = x * self.width + wide / 2 - self.width / scale / 2
        top = y * self.height + tall / 2 - self.height / scale / 2
        matrix = np.array([[scale, 0, -scale * left], [0, scale, -scale * top]])
        size = self.width, self.height
        image = cv2.warpAffine(land, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        for number in range(self._things()):
            _draw(image, self.seed, number, time_s / self.path_s, self.camera == "still")
        if self.camera == "turns":
            image = cv2.convertScaleAbs(image, alpha=1.0 + 0.22 * np.sin(2 * np.pi * time_s / self.path_s))
        return _sharpened(image)

    def _things(self) -> int:
        return {"objects": 9, "turns": 6, "stripes": 0}.get(self.camera, 3)

    def _eye(self, share: float) -> tuple[float, float, float]:
        """Return the middle of the picture from the middle of the land, in pictures, and the scale."""
        rng = np.random.default_rng([self.seed, 1])
        right = rng.choice([-1.0, 1.0])
        slope, far, sway = rng.uniform(-0.35, 0.35), rng.uniform(0.42, 0.5), rng.uniform(0, 6)
        hand = 0.004 * np.sin(7 * share + sway), 0.004 * np.cos(9 * share + sway)
        at = 2 * share - 1  # -1 to 1
        if self.camera == "pan":
            return right * far * at + hand[0], slope * at + hand[1], 1.0
        if self.camera == "zoom":
            return right * 0.27 * at + hand[0], slope * at + hand[1], float(0.92 * 1.42 ** (right * at))
        if self.camera == "objects":
            return right * 0.22 * at + hand[0], 0.3 * slope * at + hand[1], 1.0
        if self.camera == "turns":
            return 0.3 * right * np.cos(np.pi * share * 1.7 + sway / 9), 0.27 * np.sin(np.pi * share * 2.1), 1.0
        if self.camera == "stripes":
            return right * 0.625 * at, 0.0, 1.0
        assert self.camera == "still"
        return 0.7 * right * far, 0.5 * slope, 1.0

    def _curtain(self) -> Image:
        return _striped(self.seed, self.height, self.width)


def _sharpened(image: Image) -> Image:
    """Return a picture with its finest detail brought out, as cameras do."""
    return cv2.addWeighted(image, 1.7, cv2.GaussianBlur(image, (0, 0), 1.0), -0.7, 0)


@functools.lru_cache(maxsize=4)
def _land(seed: int, height: int, width: int) -> Image:
    """Return the land of a seed: uint8 (TALLER * height, WIDER * width, 3)."""
    tall, wide = round(TALLER * height), round(WIDER * width)
    relief, tint = _hills(seed, 2, height, tall, wide, 0.95), _hills(seed, 3, height, tall, wide, 1.25)
    rng = np.random.default_rng([seed, 4])
    colors = rng.uniform(0, 255, (7, 3)) * 0.5 + rng.uniform(20, 235, (7, 1)) * 0.5
    places = (tint - tint.min()) / (tint.max() - tint.min()) * 6
    index = np.clip(places.astype(np.int32), 0, 5)
    between = np.clip(20 * (places - index - 0.5) + 0.5, 0, 1)[..., None].astype(np.float32)  # steps: edges
    palette = colors.astype(np.float32)
    image = palette[index] * (1 - between) + palette[index + 1] * between
    light = cv2.Sobel(relief, cv2.CV_32F, 1, 0) - cv2.Sobel(relief, cv2.CV_32F, 0, 1)
    light = np.clip(light / light.std(), -2.5, 2.5)
    broad = _hills(seed, 5, height, tall, wide, 2.0)
    image = image * 0.7 + 20 * light[..., None] + 25 * (broad / broad.std())[..., None]
    return _exposed(image)


def _exposed(image: np.ndarray) -> Image:
    """Return an image with the mean and deviation of luma that good exposure gives, its ends rolled off softly."""
    luma = image @ np.array([0.299, 0.587, 0.114], np.float32)
    even = (image - luma.mean()) / luma.std()
    return np.clip(MEAN + 100 * np.tanh(even * DEVIATION / 100), 4, 251).astype(np.uint8)


def _hills(seed: int, which: int, height: int, tall: int, wide: int, slope: float) -> np.ndarray:
    """Return smooth noise whose detail falls by `slope` an octave, float32; coarse parts are equal at all sizes."""
    found = np.zeros((tall, wide), np.float32)
    cells, octave = 3, 0
    while cells <= 1.6 * height:
        rng = np.random.default_rng([seed, which, octave])
        rows, columns = round(TALLER * cells) + 3, round(WIDER * cells * 16 / 9) + 3
        grid = rng.standard_normal((rows, columns)).astype(np.float32)
        step = cells / height  # cells a pixel
        matrix = np.array([[step, 0, 1], [0, step, 1]])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        fine = cv2.warpAffine(grid, matrix, (wide, tall), flags=flags, borderMode=cv2.BORDER_REFLECT)
        found += fine * np.float32(0.5 ** (slope * octave))
        cells, octave = cells * 2, octave + 1
    return found


@functools.lru_cache(maxsize=2)
def _striped(seed: int, height: int, width: int) -> Image:
    """Return a curtain of black and white stripes, a quarter of the picture wide, with folds."""
    land = _land(seed, height, width)
    x = np.arange(land.shape[1]) / width
    edge = np.clip(0.5 + 60 * np.sin(4 * np.pi * x), 0, 1)[None, :, None]
    return np.clip(18 + 216 * edge + (land.astype(np.float32) - MEAN) * 0.12, 10, 245).astype(np.uint8)


@functools.lru_cache(maxsize=64)
def _thing(seed: int, number: int, height: int, width: int) -> tuple[Image, np.ndarray]:
    """Return a thing's picture and how opaque it is, float32 (side, side, 1): a lit, spotted body."""
    rng = np.random.default_rng([seed, 6, number])
    side = 2 * round(height * rng.uniform(0.1, 0.24) / 2)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    angle, bumps, deep = np.arctan2(y, x), rng.integers(3, 8), rng.uniform(0.04, 0.16)
    edge = 0.86 * (1 - deep) + deep * np.cos(bumps * angle + rng.uniform(0, 6))
    far = np.hypot(x, y * rng.uniform(1.0, 1.7))
    body = np.clip((edge - far) * side / 3, 0, 1)[..., None]
    spots = np.sin(x * rng.uniform(4, 16) + rng.uniform(0, 6)) * np.sin(y * rng.uniform(4, 16) + rng.uniform(0, 6))
    base, other = rng.uniform(20, 235, (2, 3))
    color = np.where(spots[..., None] > 0.15, base, other)
    shade = np.clip(1.15 - 0.5 * (x + y + 1) * 0.5, 0.4, 1.25)[..., None]
    return np.clip(color * shade, 8, 245).astype(np.uint8), body.astype(np.float32)


def _draw(image: Image, seed: int, number: int, share: float, rests: bool) -> None:
    """Draw a thing where it is at a share of the path: it crosses the picture again and again, on a swaying line."""
    height, width = image.shape[:2]
    picture, opaque = _thing(seed, number, height, width)
    rng = np.random.default_rng([seed, 7, number])
    x, y, crossings = rng.uniform(), rng.uniform(0.1, 0.9), rng.uniform(1.2, 2.4) * rng.choice([-1, 1])
    up, swing, phase = rng.uniform(-0.25, 0.25), rng.uniform(0.01, 0.08), rng.uniform(0, 6)
    share = 0.0 if rests else share
    side = picture.shape[0]
    room = side / width
    left = ((x + crossings * share) % (1 + 2 * room) - room) * width - side / 2
    top = ((y + up * share + swing * np.sin(9 * share + phase)) % 1.0) * height - side / 2
    column, row = int(np.floor(left)), int(np.floor(top))
    shift = np.array([[1, 0, left - column], [0, 1, top - row]])
    picture = cv2.warpAffine(picture, shift, (side + 1, side + 1), borderMode=cv2.BORDER_REPLICATE)
    opaque = cv2.warpAffine(opaque, shift, (side + 1, side + 1))[..., None]
    high, low = slice(max(0, -row), min(side + 1, height - row)), slice(max(0, -column), min(side + 1, width - column))
    if high.start >= high.stop or low.start >= low.stop:
        return
    part = image[row + high.start : row + high.stop, column + low.start : column + low.stop]
    part[:] = (part + opaque[high, low] * (picture[high, low].astype(np.float32) - part)).astype(np.uint8)


@functools.lru_cache(maxsize=2)
def _grains(height: int, width: int) -> list[tuple[Image, Image]]:
    rng = np.random.default_rng(8)
    fields = [rng.normal(0, GRAIN, (height, width, 3)).round().astype(np.int8) for _ in range(GRAINS)]
    return [(np.maximum(field, 0).astype(np.uint8), np.maximum(-field, 0).astype(np.uint8)) for field in fields]


def grained(image: Image, seed: int, number: int) -> Image:
    """Return frame `number` of a shot with a sensor's grain, which differs from frame to frame."""
    height, width = image.shape[:2]
    rng = np.random.default_rng([seed, 9, number])
    more, less = _grains(height, width)[int(rng.integers(GRAINS))]
    rows = int(rng.integers(height))
    return cv2.subtract(cv2.add(image, np.roll(more, rows, axis=0)), np.roll(less, rows, axis=0))


# --- what spoils a picture; `amount` is in the plan, `seed` says where and how ---


def dimmed(image: Image, amount: float, seed: int) -> Image:
    """Too little light, on the whole: mean luma about `amount`."""
    return cv2.convertScaleAbs(image, alpha=amount / MEAN)


def glaring(image: Image, amount: float, seed: int) -> Image:
    """Too much light, on the whole: mean luma about `amount`, with the whites just kept."""
    gain = (246 - amount) / (246 - MEAN)
    return cv2.convertScaleAbs(image, alpha=gain, beta=246 * (1 - gain))


def crushed(image: Image, amount: float, seed: int) -> Image:
    """Under-exposed: the darkest `amount` of the pixels are black, the rest is well lit."""
    floor = np.quantile(image[::4, ::4].mean(axis=2), amount)
    return np.clip((image - floor) * 2.1, 0, 255).astype(np.uint8)


def blown(image: Image, amount: float, seed: int) -> Image:
    """Over-exposed: against the light, of which the upper `amount` of the picture and more is white."""
    down = np.linspace(0, 1, image.shape[0], dtype=np.float32)[:, None, None]
    gain = 1 + 14 / (1 + np.exp((down - amount) / 0.05))
    return np.clip(image * gain, 0, 255).astype(np.uint8)


def blurred(image: Image, amount: float, seed: int) -> Image:
    """As after a film was enlarged: blurred, grain and all, by a sigma of `amount` picture heights."""
    return cv2.GaussianBlur(image, (0, 0), amount * image.shape[0])


def boxed(image: Image, amount: float, seed: int) -> Image:
    """Black bars above and below, each `amount` of the height."""
    bar = round(amount * image.shape[0])
    found = image.copy()
    found[:bar] = found[-bar:] = 0
    return found


def pillared(image: Image, amount: float, seed: int) -> Image:
    """Black bars to the left and right, each `amount` of the width."""
    bar = round(amount * image.shape[1])
    found = image.copy()
    found[:, :bar] = found[:, -bar:] = 0
    return found


@functools.lru_cache(maxsize=4)
def _logo(seed: int, height: int, width: int) -> tuple[Image, np.ndarray, int, int]:
    """Return a station's logo, how opaque it is, and its place: 8 % of height and width, in a corner."""
    rng = np.random.default_rng([seed, 11])
    tall, wide = round(0.08 * height), round(0.08 * width)
    size = 8 * wide, 8 * tall
    mark = np.zeros((size[1], size[0]), np.uint8)
    thick = size[1] // 9
    middle = size[1] // 2
    cv2.circle(mark, (middle, middle), middle - thick, 255, thick)
    cv2.circle(mark, (middle, middle), middle // 3, 255, -1)
    letters = "".join(rng.choice(list("ABDEHKMNRTXZ"), 2))
    scale = cv2.getFontScaleFromHeight(cv2.FONT_HERSHEY_SIMPLEX, size[1] * 6 // 10, thick)
    cv2.putText(mark, letters, (size[1], size[1] * 8 // 10), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thick)
    opaque = cv2.resize(mark, (wide, tall), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    color = np.array([(245, 245, 245), (235, 205, 40), (30, 30, 30)][int(rng.integers(3))], np.uint8)
    bottom, right = (bool(rng.integers(2)) for _ in range(2))
    top = height - tall - round(0.05 * height) if bottom else round(0.05 * height)
    left = width - wide - round(0.04 * width) if right else round(0.04 * width)
    return np.broadcast_to(color, (tall, wide, 3)), opaque[..., None], top, left


def marked(image: Image, amount: float, seed: int) -> Image:
    """A logo in a corner, opaque by `amount`."""
    picture, opaque, top, left = _logo(seed, *image.shape[:2])
    found = image.copy()
    part = found[top : top + len(picture), left : left + picture.shape[1]]
    part[:] = (part + amount * opaque * (picture.astype(np.float32) - part)).astype(np.uint8)
    return found


WORDS = (
    "the river runs north and we follow it until the light is gone",
    "nobody had crossed these hills before the road was built here",
    "prices start at nine euros and every order is shipped for free",
    "after the storm the harbour was quiet and the boats came home",
    "subscribe to the channel and send us your questions by friday",
    "this is the last bridge that the old company ever put together",
)


@functools.lru_cache(maxsize=8)
def _caption(text: str, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two lines of text at the foot of a picture: how opaque the letters and their outlines are."""
    from PIL import Image as Pictures
    from PIL import ImageDraw, ImageFont

    face = ImageFont.load_default(size=round(0.085 * height))
    words = text.split()
    lines = [" ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])]
    layers = []
    for outline in (0, max(1, round(0.006 * height))):
        layer = Pictures.new("L", (width, height))
        draw = ImageDraw.Draw(layer)
        for number, line in enumerate(lines):
            at = width / 2, height * (0.8 + 0.105 * number)
            draw.text(at, line, 255, face, anchor="mm", stroke_width=outline, stroke_fill=255)
        layers.append(np.asarray(layer, np.float32)[..., None] / 255)
    return layers[0], layers[1]


def captioned(image: Image, text: str) -> Image:
    """White text with a black outline burnt into the lower part."""
    letters, outline = _caption(text, *image.shape[:2])
    return (image * (1 - outline) + 250 * letters).astype(np.uint8)


SPOIL: dict[str, Callable[[Image, float, int], Image]] = {
    "dark": dimmed,
    "bright": glaring,
    "under": crushed,
    "over": blown,
    "blur": blurred,
    "bars": boxed,
    "pillars": pillared,
    "logo": marked,
}
