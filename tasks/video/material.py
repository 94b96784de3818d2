"""What VISTA's items are made of: captioned clips by split and kind, and chains of those that follow each other.

Clips that would bring footage, a background or a typeface into two splits are found here, and left out.
"""

import hashlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from tasks.tables import Reject
from tasks.video.captions import facts_of
from tasks.video.composition import Clip
from tasks.video.content import SPLITS
from tasks.video.footage import Footage, Part
from tasks.video.sightings import Shown
from tasks.video.terms import forbids_changes

KINDS = ("film", "generated")
Row = Mapping[str, Any]


def left_out(
    rows: Sequence[Row], excluded: Mapping[str, str], sources: Mapping[str, Row], *, film_is_one: bool
) -> dict[str, Reject]:
    """Return the clips that no item may be made of, by id, and why.

    `excluded` are ids or hashes with reasons, `sources` the rows of make_clips' sources.parquet by source_id. With
    `film_is_one` a film file is one source, else its duplicate groups are.
    Reasons: "excluded", "no_derivatives", "two_splits" (what it shows is in another split too, where more of it is).
    """
    found: dict[str, Reject] = {}
    for row in rows:
        named = [name for name in (row["clip_id"], row["source_id"], row["group"]) if name in excluded]
        if named:
            found[row["clip_id"]] = Reject("excluded", excluded[named[0]])
        elif forbids_changes(row["licence"]):
            found[row["clip_id"]] = Reject("no_derivatives", f"nothing may be made of it: {row['licence']}")
    left = [row for row in rows if row["clip_id"] not in found]
    splits: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in left:
        for key in marks_of(row, sources, film_is_one=film_is_one):
            splits[key][row["split"]] += 1
    homes = {key: min(counts, key=lambda split: (-counts[split], split)) for key, counts in splits.items()}
    for row in left:
        for key in marks_of(row, sources, film_is_one=film_is_one):
            if homes[key] != row["split"]:
                detail = f"its {key[0]} {key[1]} is in {homes[key]} too: put clips that share footage into one split"
                found[row["clip_id"]] = Reject("two_splits", detail)
    return found


def marks_of(row: Row, sources: Mapping[str, Row], *, film_is_one: bool) -> list[tuple[str, str]]:
    """Return what of a clip may be in one split alone, as (kind, name): footage, film behind it, typeface."""
    marks = [("group", row["group"])]
    if row["kind"] == "film":
        marks.append(("shot", row["clip_id"]))
    if film_is_one or row["kind"] != "film":
        marks.append(("source", row["source_id"]))
    if made_of := sources.get(row["source_id"]):
        marks += [
            ("shot", made_of["film_take_id"]),
            ("background", made_of["film_picture_sha256"]),
            ("typeface", made_of["typeface"]),
        ]
    return [mark for mark in marks if mark[1]]


@dataclass(frozen=True)
class Material:
    """Clips that items are made of.

    `film_apart_s`: two shots of one film file are of two sources where so many seconds lie between them; None: never.
    """

    rows: Mapping[str, Row]  # by clip_id
    clips: Mapping[str, Clip]
    followed_by: Mapping[str, str]  # the clip of the same source that comes within `max_gap_s`
    pools: Mapping[tuple[str, str], tuple[str, ...]]  # by split and kind
    film_apart_s: float | None = None
    _shown: dict[tuple[str, int, int, Fraction], Shown] = field(default_factory=dict)
    _ticks: dict[tuple[str, Fraction], int] = field(default_factory=dict)
    _told: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    _starts: dict[tuple[str, str, Fraction, int], list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[Row], *, max_gap_s: float, film_apart_s: float | None) -> "Material":
        """Return the material of rows of CLIPS. Raises ValueError where two have one id."""
        ordered = sorted(rows, key=lambda row: (row["source_id"], row["start_pts"], row["clip_id"]))
        by_id = {row["clip_id"]: row for row in ordered}
        if len(by_id) != len(ordered):
            raise ValueError("two captioned clips have one clip_id: ids must differ between tables too")
        pools: dict[tuple[str, str], list[str]] = defaultdict(list)
        for clip_id in sorted(by_id):
            pools[by_id[clip_id]["split"], by_id[clip_id]["kind"]].append(clip_id)
        follows = {
            early["clip_id"]: late["clip_id"]
            for early, late in itertools.pairwise(ordered)
            if (early["source_id"], early["split"]) == (late["source_id"], late["split"])
            and 0 <= late["start_s"] - early["end_s"] <= max_gap_s
        }
        clips = {clip_id: Clip.of(row) for clip_id, row in by_id.items()}
        return cls(by_id, clips, follows, {key: tuple(ids) for key, ids in pools.items()}, film_apart_s)

    @property
    def splits(self) -> list[str]:
        """The splits that have clips."""
        named = {split for split, _ in self.pools}
        return [split for split in SPLITS if split in named] + sorted(named - set(SPLITS))

    def ids(self, split: str, kind: str) -> tuple[str, ...]:
        """Return the clips of a kind in a split."""
        return self.pools.get((split, kind), ())

    def told_of(self, split: str, kind: str) -> frozenset[str]:
        """Return the kinds of facts that clips of a kind have in a split."""
        if (split, kind) not in self._told:
            facts = (fact for one in self.ids(split, kind) for fact in facts_of(self.rows[one]))
            self._told[split, kind] = frozenset(fact.kind for fact in facts)
        return self._told[split, kind]

    def chain(self, clip_id: str) -> list[str]:
        """Return a clip and those that follow it."""
        found = [clip_id]
        while found[-1] in self.followed_by:
            found.append(self.followed_by[found[-1]])
        return found

    def ticks(self, clip_id: str, fps: Fraction) -> int:
        """Return how many frames a clip has at a frame rate."""
        if (clip_id, fps) not in self._ticks:
            self._ticks[clip_id, fps] = self.clips[clip_id].ticks(fps)
        return self._ticks[clip_id, fps]

    def starts(self, split: str, kind: str, fps: Fraction, least: int) -> list[str]:
        """Return the clips from which on clips in a row have `least` ticks or more."""
        key = split, kind, fps, least
        if key not in self._starts:
            self._starts[key] = [
                one
                for one in self.ids(split, kind)
                if sum(self.ticks(clip_id, fps) for clip_id in self.chain(one)) >= least
            ]
        return self._starts[key]

    def apart(self, one_id: str, other_id: str) -> bool:
        """Say whether two clips are of two sources and share no footage."""
        one, other = self.rows[one_id], self.rows[other_id]
        if one["group"] == other["group"]:
            return False
        if one["source_id"] != other["source_id"]:
            return True
        if self.film_apart_s is None or one["kind"] != "film":
            return False
        early, late = sorted((one, other), key=lambda row: float(row["start_s"]))
        return bool(late["start_s"] - early["end_s"] >= self.film_apart_s)

    def shown(self, part: Part, fps: Fraction) -> Shown:
        """Return what of a clip a part shows."""
        key = part.clip.clip_id, part.first, part.ticks, fps
        if key not in self._shown:
            end = part.first + part.ticks
            to_end = end >= self.ticks(part.clip.clip_id, fps)
            end_s = float("inf") if to_end else float(end / fps)
            self._shown[key] = Shown(self.rows[part.clip.clip_id], float(part.first / fps), end_s)
        return self._shown[key]

    def footage(self, clip_ids: Sequence[str], ticks: int, fps: Fraction, first: int = 0) -> Footage:
        """Return the first `ticks` of clips one after another, from tick `first` of the first one on."""
        parts: list[Part] = []
        for clip_id in clip_ids:
            clip = self.clips[clip_id]
            taken = min(self.ticks(clip_id, fps) - first, ticks)
            parts.append(Part(clip, first, taken))
            ticks, first = ticks - taken, 0
            if not ticks:
                break
        return Footage(tuple(parts), fps)


def ranked(names: Iterable[str], draw: str) -> list[str]:
    """Return names in a random order of `draw`'s own. A name more or less leaves the order of the others as it is."""
    return sorted(names, key=lambda name: hashlib.blake2b(f"{draw}\0{name}".encode(), digest_size=8).digest())
