"""What a model sees of choices: patches of their videos, made of pictures of clips that workers keep in the store."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from pydantic import Field, model_validator

from tasks.learning.batches import IndexBatches
from tasks.learning.exact import on_device
from tasks.stage import Stage, StageError
from tasks.strict import StrictModel
from tasks.tables import Reject
from tasks.video.choice_items import FINE, Arm, ChoiceItem
from tasks.video.choices import LETTERS
from tasks.video.composition import Composition
from tasks.video.glimpses import (
    GLIMPSES,
    GlimpseJob,
    Glimpses,
    Sight,
    Want,
    keep_glimpses,
    kept_glimpses,
    located_want,
    wanted,
)
from tasks.video.patches import FEATURES, HEIGHT, WIDTH, grid_of, patch_features
from tasks.video.videoqa import Asked, Words


class SightSize(StrictModel):
    """How a video is looked at. Sides are whole patches, two by two, as the model takes them."""

    frames: int = Field(ge=1, le=256, description="by `middle` sampling")
    width_px: int = Field(ge=2 * WIDTH, le=4096, multiple_of=2 * WIDTH)
    height_px: int = Field(ge=2 * HEIGHT, le=2304, multiple_of=2 * HEIGHT)

    @property
    def sight(self) -> Sight:
        """The same as `glimpses` takes it."""
        return Sight(self.frames, self.width_px, self.height_px)

    @property
    def patches(self) -> int:
        """How many patches a model is shown."""
        rows, columns = grid_of(self.width_px, self.height_px)
        return self.frames * rows * columns


class Sights(StrictModel):
    """How videos are looked at, each with as many patches as the other."""

    wide: SightSize = Field(description="many frames")
    fine: SightSize = Field(description="many pixels: where a small part of the picture is asked of")

    @model_validator(mode="after")
    def _equal(self) -> "Sights":
        if self.wide.patches != self.fine.patches:
            raise ValueError(f"wide has {self.wide.patches} patches, fine {self.fine.patches}: make them equal")
        return self

    def of(self, item: ChoiceItem) -> Sight:
        """Return how an item is looked at, in either arm."""
        return (self.fine if item.family in FINE else self.wide).sight


Seen = tuple[Composition, Sight]


def seen_in(items: Sequence[ChoiceItem], arm: Arm, sights: Sights) -> list[Seen]:
    """Return what is looked at of each item, and how."""
    return [(item.shown(arm), sights.of(item)) for item in items]


def unreadable(stage: Stage, shown: Sequence[tuple[ChoiceItem, Seen]], roots: Mapping[str, str]) -> dict[str, Reject]:
    """Let workers make what the store lacks of all clips that are shown; return the items of which one cannot be read.

    By item_id, with the reason. `Glimpses` of what is wanted of the same `shown` finds it.
    """
    wants = wanted([one for _, one in shown])
    known = kept_glimpses(stage.store, wants)
    _require_roots(wants, roots)
    jobs = [
        (name, GlimpseJob(located_want(want, roots), stage.store.url))
        for name, want in wants.items()
        if name not in known
    ]
    broken: dict[str, Reject] = {}
    decoded = 0
    for outcome in stage.map(keep_glimpses, jobs, unit="clip", total=len(jobs)):
        decoded += outcome.value or 0
        if outcome.reject is not None:
            broken[wants[outcome.item_id].clip.clip_id] = outcome.reject
    stage.store.compact(GLIMPSES.name)
    stage.timing({"vista/glimpse_frames_decoded": decoded})
    rejects: dict[str, Reject] = {}
    for item, (composition, _) in shown:
        for piece in composition.pieces:
            if piece.clip.clip_id in broken:
                rejects[item.item_id] = broken[piece.clip.clip_id]
    return rejects


def _require_roots(wants: Mapping[str, Want], roots: Mapping[str, str]) -> None:
    if strange := sorted({want.clip.root for want in wants.values()} - set(roots)):
        raise StageError(f"plan.jsonl names clips in {strange[0]!r}, and only {', '.join(sorted(roots))} are known")


class Looked(NamedTuple):
    """Patches of videos of one sight: uint8 (N, T, R, C, F), and which items they are of."""

    patches_NTRCF: np.ndarray
    places: tuple[int, ...]


def look(glimpses: Glimpses, seen: Sequence[Seen], *, still: bool = False) -> list[Looked]:
    """Return the patches of all videos, those of one sight together. Raises KeyError for clips that are not kept.

    With `still` a video is its middle frame, for as long as it is.
    """
    found = []
    for sight in dict.fromkeys(sight for _, sight in seen):
        places = [place for place, (_, one) in enumerate(seen) if one == sight]
        rows, columns = grid_of(sight.width_px, sight.height_px)
        patches = np.empty((len(places), sight.frames, rows, columns, FEATURES), np.uint8)
        for number, place in enumerate(places):
            video = glimpses.video(*seen[place])
            patches[number] = patch_features(video[[sight.frames // 2] * sight.frames] if still else video)
        found.append(Looked(patches, tuple(places)))
    return found


class Batch(NamedTuple):
    """Choices of one sight for the model: patches in [0, 1], what is asked, the places of the right options (B,)."""

    patches_BTRCF: torch.Tensor
    asked: Asked
    labels_B: torch.Tensor


def batch_of(looked: Looked, rows: np.ndarray, items: Sequence[ChoiceItem], words: Words) -> Batch:
    """Return a batch of the given rows of what was looked at."""
    chosen = [items[looked.places[int(row)]] for row in rows]
    patches = torch.from_numpy(looked.patches_NTRCF[rows]).float().div_(255)
    asked = words.asked([item.question for item in chosen], [item.options for item in chosen])
    return Batch(patches, asked, torch.tensor([item.label for item in chosen]))


def choice_batches(
    looked: Callable[[int], Sequence[Looked]],
    read: Callable[[Looked, np.ndarray], Batch],
    size: int,
    seed: int,
) -> IndexBatches:
    """Return batches of choices, each of one sight.

    `looked(epoch)` is what is seen of them in an epoch, the same items in the same order in all. What is left of a
    sight and is less than a batch is not read. Raises ValueError where there is no whole batch.
    """
    counts = [len(one.places) for one in looked(0)]
    starts = np.cumsum([0, *counts])
    whole = sum(count // size * size for count in counts)
    if not whole:
        raise ValueError(f"batch_size={size}, and there are {max(counts, default=0)} choices of a sight: lower it")

    def order(epoch: int) -> np.ndarray:
        rng = np.random.default_rng([seed, epoch])
        drawn = [start + rng.permutation(count) for start, count in zip(starts, counts, strict=False)]
        batches = np.concatenate([rows[: len(rows) // size * size].reshape(-1, size) for rows in drawn])
        return np.asarray(rng.permutation(batches).ravel())

    def part(indices: np.ndarray, epoch: int) -> Batch:
        number = int(np.searchsorted(starts, indices[0], side="right")) - 1
        return read(looked(epoch)[number], indices - starts[number])

    return IndexBatches(part, order, whole, size)


@torch.no_grad()
def scores_of(
    model: torch.nn.Module, looked: Sequence[Looked], items: Sequence[ChoiceItem], words: Words, size: int = 64
) -> np.ndarray:
    """Return how much speaks for each option of each item, float32 (N, 4), in the order of `items`."""
    scores = np.zeros((len(items), len(LETTERS)), np.float32)
    device = next(model.parameters()).device
    for one in looked:
        for first in range(0, len(one.places), size):
            rows = np.arange(first, min(first + size, len(one.places)))
            batch = on_device(batch_of(one, rows, items, words), device)
            scores[[one.places[row] for row in rows]] = model(batch.patches_BTRCF, batch.asked).float().cpu().numpy()
    return scores


def right_of(scores_NO: np.ndarray, items: Sequence[ChoiceItem]) -> np.ndarray:
    """Return how right each choice is, float64 (N,): 1 for the right option, 1/k where k options are equally best."""
    best = scores_NO >= scores_NO.max(axis=1, keepdims=True)
    labels = np.array([item.label for item in items], np.int64)
    return np.asarray(best[np.arange(len(items)), labels] / best.sum(axis=1))
