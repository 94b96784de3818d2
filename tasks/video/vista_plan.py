"""What each item of VISTA's seven subsets (arXiv 2412.00927) is made of: drawn by (seed, subset, item), laid out, told.

An item is planned alone: it depends on the clips and on no other item. What cannot be laid out or asked of is drawn
again, a few times, before the item is given up.
"""

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from tasks.keys import canonical_json
from tasks.stage import item_rng
from tasks.tables import Reject
from tasks.video import augmentations
from tasks.video.composition import Built, Clip, Composition, to_dict
from tasks.video.footage import Footage, Part, laid
from tasks.video.items import FORMS, Case, Form, Item, Subset
from tasks.video.material import KINDS, Material, ranked
from tasks.video.question_forms import sort_of
from tasks.video.sampling import middle, seen
from tasks.video.terms import joined
from tasks.video.two_part_questions import needs_both
from tasks.video.vista_settings import AugmentVista

STAGE = "augment_vista"
TRIES = 12  # draws of needle and haystack in each pairing
LEAST_OF_KIND = 1 / 8  # of a grid's other cells, that are of the kind in the pairing; others fill up what is missing
IN_A_ROW: tuple[Subset, ...] = ("long_video_caption", "event_relationship")
IN_TIME: tuple[Subset, ...] = ("temporal_niah", "two_needle_niah", "spatiotemporal_niah")
Write = Callable[[Case], Item | Reject]


@dataclass(frozen=True)
class Planned:
    """An item: what its video is, what it shows, and what is asked (None where a language model is still to write).

    `asked_of` and `beside` name clips: the needle and the haystack, the cell's and the others', the clips in a row.
    """

    item_id: str
    subset: Subset
    split: str
    pairing: str  # film_in_generated, ...; film or generated where clips are in a row
    built: Built
    case: Case
    asked_of: tuple[str, ...]
    beside: tuple[str, ...]
    licence: str
    item: Item | None

    @property
    def plan_id(self) -> str:
        """What its video is, by content."""
        return plan_id(to_dict(self.built.composition))

    def sampler(self, frames: int) -> dict[str, Any]:
        """Return what `middle` sampling of so many frames sees: frames of each span, and what it may miss."""
        composition, spans = self.built.composition, self.built.truth.spans
        sampled = middle(composition.frames, frames)
        step = Fraction(composition.frames, frames)
        return {
            "frames": frames,
            "step_s": float(step / composition.canvas.fps),
            "seen": [seen(sampled, span.start, span.end) for span in spans],
            "may_be_missed": any(span.end - span.start < step for span in spans),
        }

    def record(self, seed: int, sampler_frames: int) -> dict[str, Any]:
        """Return its line of plan.jsonl: all that is needed to render it."""
        return {
            "id": self.item_id,
            "subset": self.subset,
            "split": self.split,
            "pairing": self.pairing,
            "seed": seed,
            "plan_id": self.plan_id,
            "asked_of": list(self.asked_of),
            "beside": list(self.beside),
            "licence": self.licence,
            "truth": self.built.truth.to_dict(),
            "sampler": self.sampler(sampler_frames),
            "composition": to_dict(self.built.composition),
        }


def plan_id(composition: Mapping[str, Any]) -> str:
    """Return the sha256 of a composition's plain data, without the names of its clips and where their files lie."""
    clips = [
        {name: value for name, value in clip.items() if name not in ("clip_id", "root", "path")}
        for clip in composition["clips"]
    ]
    return hashlib.sha256(canonical_json({**composition, "clips": clips}).encode()).hexdigest()


def located(composition: Composition, roots: Mapping[str, str]) -> Composition:
    """Return a composition whose files can be opened: `roots` says where the folders lie that clips name.

    Raises ValueError for a folder that is not among them.
    """
    if strange := sorted({piece.clip.root for piece in composition.pieces} - set(roots)):
        raise ValueError(f"clips lie in {strange[0]!r}, and only {', '.join(sorted(roots))} are known")
    clips = {clip: replace(clip, root=roots[clip.root]) for clip in {piece.clip for piece in composition.pieces}}
    pieces = tuple(replace(piece, clip=clips[piece.clip]) for piece in composition.pieces)
    return Composition(composition.canvas, composition.frames, pieces)


def item_ids(settings: AugmentVista, subset: str) -> list[str]:
    """Return the ids of a subset's items: more of them change none."""
    return [f"{subset}-{number:05d}" for number in range(settings.count(subset))]


def plan_item(
    item_id: str, subset: Subset, material: Material, settings: AugmentVista, write: Write | None
) -> Planned | Reject:
    """Return the plan of an item, or why there is none: of the last draw that failed.

    With `write`, an item is drawn again until there is a question for it, in the form that was drawn if any draw
    allows it.
    """
    rng = item_rng(settings.seed, STAGE, item_id)
    split = _drawn_split(rng, material, settings)
    forms = _forms(rng, subset, settings.mcq_share)
    draws = _in_a_row if subset in IN_A_ROW else _in_a_grid if subset == "hr_video_grid" else _with_a_needle
    pairings = _pairings(rng, subset, settings)
    last = Reject("no_clips", f"split {split} has no clips that go together")
    for form in forms if write else forms[:1]:
        for pairing in pairings:
            draw = _Draw(item_id, subset, split, pairing, form)
            if write and _without_wrong_options(draw, material):
                last = Reject("no_distractors", f"clips of {pairing} in split {split} have no facts of one kind")
                continue
            drawn = draws(draw, material, settings)
            for found in itertools.islice(drawn, TRIES):
                planned = found if isinstance(found, Reject) else _told(found, settings, write)
                if isinstance(planned, Planned):
                    return planned
                last = planned
    return last


def _without_wrong_options(draw: "_Draw", material: Material) -> bool:
    """Say whether no choice can be made in a pairing: wrong options are facts of the haystack of the needle's kinds."""
    if draw.form != "mcq" or draw.subset in IN_A_ROW or draw.subset == "hr_video_grid":
        return False
    asked, others = (material.told_of(draw.split, kind) for kind in draw.kinds())
    shared = {sort_of(kind) for kind in asked} & {sort_of(kind) for kind in others}
    return bool(material.ids(draw.split, draw.kinds()[1])) and not shared


def _told(found: Planned, settings: AugmentVista, write: Write | None) -> Planned | Reject:
    """Return an item with its question, or why this draw will not do."""
    if found.subset in IN_TIME and settings.sampler.short_needles == "avoid":
        sampler = found.sampler(settings.sampler.frames)
        if sampler["may_be_missed"]:
            spans = found.built.truth.seconds()
            shortest = min(end - start for start, end in spans)
            detail = f"a needle of {shortest:g} s may fall between two of {sampler['frames']} frames"
            return Reject("needle_missed", detail, "needle_s", shortest, sampler["step_s"])
    if write is None:
        return found
    if found.subset == "two_needle_niah" and not needs_both(found.case):
        return Reject("one_part_tells", "one part of the needle tells what both do")
    item = write(found.case)
    return item if isinstance(item, Reject) else replace(found, item=item)


# --- what is drawn of an item's own generator -------------------------------------------------------------------


@dataclass(frozen=True)
class _Draw:
    item_id: str
    subset: Subset
    split: str
    pairing: str
    form: Form

    def kinds(self) -> tuple[str, str]:
        """Return the kind of clip that is asked of, and that of the others."""
        asked, _, others = self.pairing.partition("_in_")
        return asked, others or asked

    def order(self, names: Sequence[str], what: str, seed: int) -> list[str]:
        return ranked(names, f"{seed}\0{self.item_id}\0{what}")

    def rng(self, seed: int, number: int) -> np.random.Generator:
        return item_rng(seed, STAGE, f"{self.item_id}/{self.pairing}/{number}")


def _drawn_split(rng: np.random.Generator, material: Material, settings: AugmentVista) -> str:
    shares = {"test": settings.test_share, "valid": settings.valid_share}
    shares["train"] = 1 - sum(shares.values())
    known = [split for split in material.splits if shares.get(split, 0) > 0]
    if not known:
        raise ValueError(f"no clips in a split that items are wanted of; clips are in: {', '.join(material.splits)}")
    weights = np.array([shares[split] for split in known])
    return known[int(rng.choice(len(known), p=weights / weights.sum()))]


def _forms(rng: np.random.Generator, subset: Subset, mcq_share: float) -> tuple[Form, ...]:
    """Return the forms of a subset, that first which was drawn."""
    drawn: Form = "mcq" if rng.random() < mcq_share else "qa"
    return tuple(sorted(FORMS[subset], key=lambda form: form != drawn))


def _pairings(rng: np.random.Generator, subset: Subset, settings: AugmentVista) -> list[str]:
    """Return the pairings in an order drawn by their weights."""
    weights = {name: weight for name, weight in settings.pairings.model_dump().items() if weight > 0}
    if subset in IN_A_ROW:
        of_kind = {kind: sum(w for name, w in weights.items() if name.startswith(f"{kind}_in_")) for kind in KINDS}
        weights = {kind: weight for kind, weight in of_kind.items() if weight > 0}
    keys = {name: float(rng.random()) ** (1 / weight) for name, weight in weights.items()}
    return sorted(keys, key=lambda name: -keys[name])


# --- the subsets ------------------------------------------------------------------------------------------------


def _in_a_row(draw: _Draw, material: Material, settings: AugmentVista) -> Iterator[Planned | Reject]:
    """Yield items of clips of one source in a row, whole ones."""
    canvas, size = settings.size.canvas(), settings.size
    most = math.floor(size.max_s * canvas.fps)
    for number, first in enumerate(draw.order(material.ids(draw.split, draw.kinds()[0]), "first", settings.seed)):
        clips = [material.clips[clip_id] for clip_id in material.chain(first)]
        lengths = list(itertools.accumulate(material.ticks(clip.clip_id, canvas.fps) for clip in clips))
        able = [n for n, ticks in enumerate(lengths, 1) if n > 1 and size.min_s * canvas.fps <= ticks <= most]
        if not able:
            continue
        rng = draw.rng(settings.seed, number)
        chosen = clips[: able[int(rng.integers(len(able)))]]
        built = augmentations.concatenation(chosen, canvas, max_gap_s=settings.max_gap_s)
        parts = [Part(clip, 0, material.ticks(clip.clip_id, canvas.fps)) for clip in chosen]
        yield _planned(draw, built, material, parts, [], canvas.fps)


def _with_a_needle(draw: _Draw, material: Material, settings: AugmentVista) -> Iterator[Planned | Reject]:
    """Yield items of a clip in time or place of others."""
    canvas, size, wanted = settings.size.canvas(), settings.size, settings.needle
    least, most = (math.ceil(size.min_s * canvas.fps), math.floor(size.max_s * canvas.fps))
    kinds = draw.kinds()
    short_ones = material.starts(draw.split, kinds[0], canvas.fps, 0)
    long_ones = material.starts(draw.split, kinds[1], canvas.fps, least)
    haystacks = draw.order(long_ones, "haystack", settings.seed)
    for number, needle_id in enumerate(draw.order(short_ones if long_ones else (), "needle", settings.seed)):
        rng = draw.rng(settings.seed, number)
        needle = _needle(material, needle_id, settings, rng)
        if needle is None:
            yield Reject("needle_too_short", f"clip {needle_id} is shorter than {wanted.min_s:g} s")
            continue
        away = (one for one in haystacks if material.apart(one, needle_id))
        able = ((one, _room(one, material, needle_id, canvas.fps)) for one in away)
        fit = next(itertools.islice((one for one in able if one[1] >= least), number, None), None)
        if fit is None:
            yield Reject("no_haystack", f"no {kinds[1]} clips of another source are long enough for {needle_id}")
            continue
        haystack = _haystack(material, fit[0], fit[1], least, most, canvas.fps, rng)
        stands = {footage.stand_in(): footage for footage in (haystack, Footage((needle,), canvas.fps))}
        long, short = stands
        try:
            built = _hidden(draw.subset, long, short, settings, rng)
        except Reject as reject:
            yield reject
            continue
        built = laid(built, stands)
        asked_of = [needle]
        if draw.subset == "two_needle_niah":
            asked_of = [Part(needle.clip, span.first, span.last - span.first) for span in built.truth.spans]
        yield _planned(draw, built, material, asked_of, haystack.parts, canvas.fps)


def _hidden(subset: Subset, haystack: Clip, needle: Clip, settings: AugmentVista, rng: np.random.Generator) -> Built:
    """Return a needle in a haystack, as the subset hides it."""
    canvas, wanted = settings.size.canvas(), settings.needle
    margin, mode, share = wanted.margin_s, wanted.mode, (wanted.min_side_share, wanted.max_side_share)
    if subset == "temporal_niah":
        return augmentations.temporal_needle(haystack, needle, canvas, rng, margin_s=margin, mode=mode)
    if subset == "two_needle_niah":
        gap = wanted.min_gap_s
        return augmentations.two_needles(haystack, needle, canvas, rng, margin_s=margin, min_gap_s=gap, mode=mode)
    if subset == "spatial_niah":
        return augmentations.spatial_needle(haystack, needle, canvas, rng, short_side_share=share)
    return augmentations.spatiotemporal_needle(haystack, needle, canvas, rng, margin_s=margin, short_side_share=share)


def _needle(material: Material, needle_id: str, settings: AugmentVista, rng: np.random.Generator) -> Part | None:
    """Return the clip, a part of it where it is long, or None where it is too short."""
    fps, clip = Fraction(settings.size.fps), material.clips[needle_id]
    ticks = material.ticks(needle_id, fps)
    least, most = (math.ceil(settings.needle.min_s * fps), math.floor(settings.needle.max_s * fps))
    if ticks < least:
        return None
    if ticks <= most:
        return Part(clip, 0, ticks)
    length = int(rng.integers(least, most + 1))
    return Part(clip, int(rng.integers(ticks - length + 1)), length)


def _room(first: str, material: Material, needle_id: str, fps: Fraction) -> int:
    """Return how many ticks the clips in a row have, as far as they share nothing with the needle."""
    clear = itertools.takewhile(lambda one: material.apart(one, needle_id), material.chain(first))
    return sum(material.ticks(one, fps) for one in clear)


def _haystack(
    material: Material, first: str, room: int, least: int, most: int, fps: Fraction, rng: np.random.Generator
) -> Footage:
    """Return clips in a row, cut to a length that is drawn; of one that is longer, some part."""
    length = int(rng.integers(least, min(room, most) + 1))
    spare = material.ticks(first, fps) - length
    begin = int(rng.integers(spare + 1)) if spare > 0 else 0
    return material.footage(material.chain(first), length, fps, begin)


def _in_a_grid(draw: _Draw, material: Material, settings: AugmentVista) -> Iterator[Planned | Reject]:
    """Yield grids: one clip that is asked of among others, of as many sources as there are."""
    canvas, grid = settings.grid.canvas(), settings.grid
    cells = grid.rows * grid.columns
    kinds = draw.kinds()
    others = draw.order(material.ids(draw.split, kinds[1]), "cells", settings.seed)
    fill = draw.order(material.ids(draw.split, KINDS[1 - KINDS.index(kinds[1])]), "cells", settings.seed)
    for number, asked_id in enumerate(draw.order(material.ids(draw.split, kinds[0]), "asked", settings.seed)):
        rng = draw.rng(settings.seed, number)
        beside = _each_source_in_turn(others, asked_id, material)
        if len(beside) < (cells - 1) * LEAST_OF_KIND:
            yield Reject("too_few_clips", f"{len(beside)} {kinds[1]} clips of other sources for {cells} cells")
            continue
        beside += _each_source_in_turn(fill, asked_id, material)
        if len(beside) < cells - 1:
            yield Reject("too_few_clips", f"{len(beside) + 1} clips in split {draw.split} for {cells} cells")
            continue
        place = int(rng.integers(cells))
        beside = [beside[int(n)] for n in rng.permutation(cells - 1)]
        clips = [material.clips[one] for one in (*beside[:place], asked_id, *beside[place:])]
        shape = {"rows": grid.rows, "columns": grid.columns}
        built = augmentations.grid(clips, canvas, rng, **shape, length_s=grid.length_s, asked=place)
        frames = built.composition.frames
        parts = [Part(clip, 0, min(material.ticks(clip.clip_id, canvas.fps), frames)) for clip in clips]
        yield _planned(draw, built, material, [parts[place]], parts[:place] + parts[place + 1 :], canvas.fps)


def _each_source_in_turn(ids: Sequence[str], asked_id: str, material: Material) -> list[str]:
    """Return clips that share nothing with the one asked of: one of each source, then a second of each, and so on."""
    turns: dict[str, int] = {}
    found = []
    for one in ids:
        if material.apart(one, asked_id):
            source = material.rows[one]["source_id"]
            turns[source] = turns.get(source, 0) + 1
            found.append((turns[source], one))
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def _planned(
    draw: _Draw, built: Built, material: Material, asked_of: Sequence[Part], beside: Sequence[Part], fps: Fraction
) -> Planned | Reject:
    ids = tuple(dict.fromkeys(part.clip.clip_id for part in asked_of))
    others = tuple(part.clip.clip_id for part in beside)
    licences = {material.rows[one]["licence"] for one in (*ids, *others)}
    licence = joined(licences)
    if licence is None:
        return Reject("terms_do_not_mix", f"nothing is made of clips under {', '.join(sorted(licences))}")
    case = Case(
        draw.item_id,
        draw.subset,
        tuple(material.shown(part, fps) for part in asked_of),
        tuple(material.shown(part, fps) for part in beside),
        built.truth.cell,
        draw.form,
    )
    return Planned(draw.item_id, draw.subset, draw.split, draw.pairing, built, case, ids, others, licence, item=None)
