"""Made-up captioned clips for tests of questions: drawn objects on backgrounds, and film of which less is known.

A source is a chain of clips. In a clip some things change half-way, so that facts of its parts differ.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tasks.video.captions import CLIPS, Fact
from tasks.video.sightings import Shown

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "white", "black", "grey", "pink")
SHAPES = ("circle", "square", "triangle", "star", "hexagon", "cross")
MOTIONS = ("moving left", "moving right", "moving up", "moving down", "spinning", "bouncing", "standing still")
CAMERA = ("static", "panning left", "panning right", "zooming in", "zooming out", "shaking")
TEXTURES = ("plain", "striped", "checkered", "dotted", "noisy")
LIGHT = ("very dark", "dim", "medium", "bright", "very bright")
COUNTS = ("one", "two", "three", "four", "five", "six")
SIZES = ("small", "medium-sized", "large", "huge")
FILM_COLOURS = ("brown", "green", "grey", "blue", "white", "black", "red")
WORDS = ("EXIT", "The End", "STOP", "Open 24 hours", "Big Buck Bunny", "NO ENTRY", "Platform 9", "SALE")
SEGMENTS = 5


def clip_row(
    clip_id: str,
    facts: Sequence[Fact],
    segments: Sequence[Sequence[Fact]] = (),
    *,
    source: str = "",
    start_s: float = 0.0,
    duration_s: float = 5.0,
    kind: str = "generated",
    caption: str = "",
) -> dict[str, Any]:
    """Return a row of CLIPS with the given facts; all else is made up."""
    source = source or f"source-{clip_id}"
    empty: dict[str, Any] = {field.name: "" for field in CLIPS if str(field.type) == "string"}
    frames = round(duration_s * 12)
    told = [
        {
            "frame_s": (i + 0.5) * duration_s / len(segments),
            "caption": told_caption(one),
            "facts": [fact._asdict() for fact in one],
        }
        for i, one in enumerate(segments)
    ]
    return empty | {
        **{"clip_id": clip_id, "source_id": source, "group": source, "kind": kind, "split": "train"},
        **{"start_pts": round(start_s * 12), "end_pts": round(start_s * 12) + frames, "frames": frames},
        **{"time_base_num": 1, "time_base_den": 12, "fps": 12.0, "width_px": 320, "height_px": 180},
        **{"start_s": start_s, "end_s": start_s + duration_s, "caption": caption or told_caption(facts)},
        **{"facts": [fact._asdict() for fact in facts], "segments": told},
    }


def told_caption(facts: Sequence[Fact]) -> str:
    return " ".join(f"Of {fact.subject} the {fact.kind.replace('_', ' ')} is {fact.value}." for fact in facts)


def drawn_clip(rng: np.random.Generator, clip_id: str, source: str, start_s: float) -> dict[str, Any]:
    """Return a clip of two or three drawn objects, each of a size of its own, a letter and a background."""

    def one(pool: Sequence[str]) -> str:
        return pool[int(rng.integers(len(pool)))]

    sizes = [SIZES[int(i)] for i in rng.permutation(len(SIZES))[: int(rng.integers(2, 4))]]
    whole = [Fact("object_count", "objects", COUNTS[len(sizes) - 1])]
    first, second = [], []
    for size in sizes:
        shape, colour, later = one(SHAPES), one(COLOURS), one(COLOURS)
        name = f"the {size} {shape}"
        whole += [Fact("object_shape", f"the {size} object", shape)]
        whole += [Fact("object_motion", name, one(MOTIONS))]
        if rng.random() < 0.3 and later != colour:
            whole += [Fact("change", name, f"from {colour} to {later}")]
            first += [Fact("object_colour", name, colour)]
            second += [Fact("object_colour", name, later)]
        else:
            whole += [Fact("object_colour", name, colour)]
    whole += [Fact("object_size", f"the {one(COLOURS[:5])} thing", sizes[0])]
    whole += [Fact("background_colour", "the background", one(COLOURS))]
    whole += [Fact("background_texture", "the background", one(TEXTURES))]
    whole += [Fact("camera_motion", "the camera", one(CAMERA)), Fact("brightness", "the picture", one(LIGHT))]
    letters = "ABCDEFGHKLMNPRSTUVWXYZ"
    first += [Fact("glyph", "the letter", one(letters))]
    second += [Fact("glyph", "the letter", first[-1].value if rng.random() < 0.5 else one(letters))]
    whole += [first[-1]] if first[-1] == second[-1] else []
    whole += [Fact("event", "the video", f"the {sizes[0]} object {one(('enters', 'leaves', 'blinks', 'vanishes'))}")]
    return clip_row(clip_id, whole, [first, first, [], second, second], source=source, start_s=start_s)


def film_clip(rng: np.random.Generator, clip_id: str, source: str, start_s: float) -> dict[str, Any]:
    """Return a clip of which light, colour, motion, faces and perhaps a text are known, common values more often."""

    def one(pool: Sequence[str]) -> str:
        weights = np.array([0.5**i for i in range(len(pool))]) + 0.1
        return pool[int(rng.choice(len(pool), p=weights / weights.sum()))]

    def segment() -> list[Fact]:
        return [Fact("brightness", "the picture", light if rng.random() < 0.8 else one(LIGHT))]

    light = one(LIGHT)
    facts = [
        *(Fact("dominant_colour", "the picture", one(FILM_COLOURS)), Fact("brightness", "the picture", light)),
        *(Fact("camera_motion", "the camera", one(CAMERA)), Fact("face_count", "faces", one(COUNTS))),
        Fact("object_motion", "the main object", one(MOTIONS)),
    ]
    if rng.random() < 0.3:
        facts.append(Fact("text", "the text", WORDS[int(rng.integers(len(WORDS)))]))
    parts = [segment() for _ in range(SEGMENTS)]
    return clip_row(clip_id, facts, parts, source=source, start_s=start_s, kind="film")


def chains(seed: int, sources: int, clips: int = 6, *, film: bool = False) -> list[list[dict[str, Any]]]:
    """Return sources of chained clips."""
    make = film_clip if film else drawn_clip
    found = []
    for source in range(sources):
        name = f"{'film' if film else 'drawn'}-{seed}-{source}"
        rng = np.random.default_rng([seed, source, film])
        found.append([make(rng, f"{name}-{i}", name, 5.0 * i) for i in range(clips)])
    return found


def whole(rows: Sequence[dict[str, Any]]) -> tuple[Shown, ...]:
    return tuple(Shown(row) for row in rows)
