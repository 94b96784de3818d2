"""Films of one difficulty each, made at random: what must be found, and what must not be taken for it."""

from collections.abc import Callable, Sequence

import numpy as np

from tests.tasks.video.scenes import (
    Film,
    Image,
    Scene,
    joined,
    on_twos,
    shaken,
    with_entry,
    with_explosion,
    with_flash,
    with_passer,
    with_whip,
)

Random = np.random.Generator


def _scene(rng: Random, frames: int, **wanted: float) -> Scene:
    free = {
        "pan_px": float(rng.choice([0, 0.5, 1.5, 3])),
        "zoom": float(rng.choice([1, 1.15, 0.9])),
        "things": int(rng.integers(5)),
    }
    return Scene(int(rng.integers(10**9)), frames, **{**free, **wanted})  # type: ignore[arg-type]


def _joined(rng: Random, kind: str, lengths: Sequence[int], **wanted: float) -> Film:
    scenes = [_scene(rng, int(rng.integers(40, 80)) + max(lengths), **wanted) for _ in range(len(lengths) + 1)]
    return joined(scenes, [(kind, length) for length in lengths])


def _slow_dissolves(rng: Random, shortest: int, longest: int, **wanted: float) -> Film:
    first, second = rng.integers(shortest, longest + 1, 2).tolist()
    scenes = [_scene(rng, int(rng.integers(40, 80)) + n, **wanted) for n in (first, first + second, second)]
    return joined(scenes, [("dissolve", first), ("dissolve", second)])


def _cuts(rng: Random, shortest: int, longest: int, **wanted: float) -> Film:
    scenes = [_scene(rng, int(rng.integers(shortest, longest + 1)), **wanted) for _ in range(8)]
    return joined([_scene(rng, 40), *scenes, _scene(rng, 40)], [("cut", 0)] * 9)


def _similar(rng: Random, kind: str, length: int) -> Film:
    """Return three views of one place, as a camera that was set up again gives."""
    seed = int(rng.integers(10**9))
    shifts = [(0.0, 0.0), (110.0, 40.0), (-90.0, -50.0)]
    scenes = [Scene(seed, 60 + length, pan_px=0.5, things=2, shift=shift) for shift in shifts]
    return joined(scenes, [(kind, length)] * 2)


def _flashes(rng: Random) -> Film:
    images = _scene(rng, 160).images
    colors = [(255, 255, 255), (255, 200, 120), (160, 190, 255), (255, 60, 40)]
    for at, frames, strength in zip(
        (20, 55, 90, 125), (1, 2, 3, 4), rng.permutation([0.5, 0.8, 0.9, 1.0]), strict=True
    ):
        images = with_flash(images, at, frames, float(strength), colors[int(rng.integers(4))])
    return Film(images, [])


def _strobe(rng: Random) -> Film:
    images = _scene(rng, 120).images
    for at in range(30, 90, 4):
        images = with_flash(images, at, 2, 0.6)
    return Film(images, [])


def _lightning(rng: Random) -> Film:
    images: list[Image] = _scene(rng, 120, light=0.35).images
    for at in (40, 44, 70):
        for after, strength in enumerate((0.7, 0.9, 0.6, 0.4, 0.25, 0.12)):
            if after < 4 or at != 40:
                images = with_flash(images, at + after, 1, strength, (210, 225, 255))
    return Film(images, [])


def _slideshow(rng: Random) -> Film:
    scenes = [_scene(rng, int(rng.integers(40, 60)), pan_px=0, zoom=1, things=0) for _ in range(5)]
    return joined(scenes, [("dissolve", int(rng.integers(3, 9))) for _ in range(4)])


def _twos(rng: Random) -> Film:
    parts = [on_twos(_scene(rng, 2 * int(rng.integers(15, 30)), pan_px=2, speed=2.0).images) for _ in range(5)]
    return _cut_together(parts)


def _dimmed(rng: Random) -> Film:
    light = 1 + float(rng.uniform(-0.7, 0.3)) * _ramp(200, 60, int(rng.integers(16, 91)))
    tint = 1 + rng.uniform(-0.3, 0.2, 3) * _ramp(200, 60, 40)[:, None]
    images = _scene(rng, 200, pan_px=float(rng.choice([0, 0.5, 1.5]))).images
    return Film(
        [
            np.clip(image * gain * color, 0, 255).astype(np.uint8)
            for image, gain, color in zip(images, light, tint, strict=True)
        ],
        [],
    )


def _zoomed(rng: Random) -> Film:
    zoom, frames = float(rng.choice([0.5, 2, 3])), int(rng.integers(20, 91))
    images = Scene(int(rng.integers(10**9)), frames, pan_px=0, zoom=zoom, things=0).images
    return Film([images[0]] * 60 + images + [images[-1]] * 60, [])


def _entered(rng: Random) -> Film:
    images, share = _scene(rng, 200).images, float(rng.uniform(0.4, 0.7))
    color = tuple(int(c) for c in rng.integers(0, 256, 3))
    return Film(with_entry(images, 50, int(rng.integers(30, 91)), share, color), [])


def _ramp(frames: int, at: int, length: int) -> np.ndarray:
    """Return 0 up to frame `at`, then evenly up to 1."""
    return np.clip((np.arange(frames) - at) / length, 0, 1)


def _fast_frames(rng: Random) -> Film:
    scenes = [_scene(rng, 150, pan_px=0.6, speed=0.4) for _ in range(4)]
    return joined(scenes, [("cut", 0), ("dissolve", 40), ("cut", 0)])


def _cut_together(parts: Sequence[list[Image]]) -> Film:
    edges = np.cumsum([len(part) for part in parts])[:-1]
    return Film([image for part in parts for image in part], [(int(at), int(at)) for at in edges])


# by kind; those of QUIET have no boundary at all
KINDS: dict[str, Callable[[Random], Film]] = {
    "hard cuts": lambda rng: _cuts(rng, 20, 60),
    "close cuts": lambda rng: _cuts(rng, 6, 14),
    "runs of shots of 2 to 5 frames": lambda rng: _cuts(rng, 2, 5),
    "cuts between similar shots": lambda rng: _similar(rng, "cut", 0),
    "cuts in low light": lambda rng: _cuts(rng, 20, 60, light=0.15, noise=2.0),
    "dissolves of 6 to 15 frames": lambda rng: _joined(rng, "dissolve", rng.integers(6, 16, 3).tolist()),
    "dissolves of 16 to 40 frames": lambda rng: _joined(rng, "dissolve", rng.integers(16, 41, 3).tolist()),
    "slow dissolves of 41 to 60 frames": lambda rng: _slow_dissolves(rng, 41, 60),
    "slow dissolves of 60 to 90 frames, the camera almost still": lambda rng: _slow_dissolves(
        rng, 60, 90, pan_px=float(rng.choice([0, 0.2])), zoom=1, things=2
    ),
    "dissolves between similar shots": lambda rng: _similar(rng, "dissolve", int(rng.integers(8, 25))),
    "dissolves in low light": lambda rng: _joined(
        rng, "dissolve", rng.integers(8, 25, 3).tolist(), light=0.15, noise=2.0
    ),
    "slideshows": _slideshow,
    "fades through black": lambda rng: _joined(rng, "fade", rng.integers(10, 40, 3).tolist()),
    "slow fades through black": lambda rng: _joined(rng, "fade", rng.integers(60, 121, 2).tolist()),
    "fades through white": lambda rng: _joined(rng, "white", rng.integers(10, 50, 3).tolist()),
    "wipes": lambda rng: _joined(rng, "wipe", rng.integers(10, 30, 3).tolist()),
    "irises": lambda rng: _joined(rng, "iris", rng.integers(10, 30, 3).tolist()),
    "animation on twos": _twos,
    "60 frames a second": _fast_frames,
    "fast pans": lambda rng: Film(_scene(rng, 100, pan_px=float(rng.integers(8, 25))).images, []),
    "whip pans": lambda rng: Film(with_whip(_scene(rng, 100, pan_px=1), 50, int(rng.integers(5, 12))), []),
    "large things that pass": lambda rng: Film(with_passer(_scene(rng, 100).images, 45, int(rng.integers(8, 16))), []),
    "explosions": lambda rng: Film(with_explosion(_scene(rng, 100, light=0.7).images, 45), []),
    "flashes": _flashes,
    "strobes": _strobe,
    "lightning": _lightning,
    "light that changes slowly": _dimmed,
    "zooms that start and stop": _zoomed,
    "large things that come in slowly": _entered,
    "camera shake": lambda rng: Film(shaken(_scene(rng, 100, pan_px=1)), []),
}
QUIET = list(KINDS)[list(KINDS).index("fast pans") :]
DOUBTFUL = [
    kind
    for kind in KINDS
    if any(word in kind for word in ("dissolves", "slideshows", "through black", "60 frames"))
    or (kind in QUIET and kind not in ("flashes", "strobes"))
]
