"""What can be asked of a clip as an item shows it: facts that hold all the while, of things named without doubt.

A clip's facts are of its whole, those of its segments of their time: what changes, is shown for another time, or is
told by its own name has no one answer, and says why.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tasks.video.captions import Fact, facts_of
from tasks.video.question_forms import COUNTS, OVER_TIME, require_forms, unnamed
from tasks.video.wording import normalised

Row = Mapping[str, Any]
_BLINKING = ("blinks", "flickers", "blinking", "flickering")
_SLACK_S = 1e-6


@dataclass(frozen=True)
class Shown:
    """A clip, a row of CLIPS, and the part of it that an item shows, in seconds since its beginning."""

    clip: Row
    start_s: float = 0.0
    end_s: float = float("inf")

    @property
    def duration_s(self) -> float:
        """Of the whole clip."""
        return float(self.clip["end_s"] - self.clip["start_s"])

    @property
    def is_whole(self) -> bool:
        """Whether all of the clip is shown, but for less than a frame at either end."""
        frame_s = 1.0 / self.clip["fps"] if self.clip["fps"] > 0 else 0.0
        return self.start_s <= frame_s + _SLACK_S and self.end_s >= self.duration_s - frame_s - _SLACK_S

    @cached_property
    def facts(self) -> dict[str, list[Fact]]:
        """By kind all facts of what is shown at any time, those of the whole clip first."""
        covered = [index for index, (start, end) in enumerate(_segment_times(self)) if _overlap(self, start, end)]
        found: dict[str, list[Fact]] = {}
        for fact in facts_of(self.clip) + [f for i in covered for f in facts_of(self.clip["segments"][i])]:
            found.setdefault(fact.kind, []).append(fact)
        return found


@dataclass(frozen=True)
class Sighting:
    """The facts that may be asked of what is shown, and why the others may not: (kind, subject, reason)."""

    facts: tuple[Fact, ...]
    unclear: tuple[tuple[str, str, str], ...] = ()


@dataclass
class _Told:
    """What a clip says of one subject of one kind: as a whole, and segment by segment."""

    subject: str
    whole: list[str] = field(default_factory=list)
    segments: dict[int, list[str]] = field(default_factory=dict)


def sighting(shown: Shown) -> Sighting:
    """Return what may be asked of a clip as it is shown; the order is that of the clip's facts.

    Reasons: "not_shown", "changes" (several values while it is shown), "ambiguous" (two facts of one subject, or a
    whole that its segments deny), "cut" (only the whole clip shows it), "told_by_name" (the subject says the answer).
    Raises ValueError for a kind without question forms.
    """
    told = _told(shown.clip)
    times = _segment_times(shown)
    facts, unclear = [], []
    subjects: dict[str, set[str]] = {}
    for kind, key in told:
        subjects.setdefault(kind, set()).add(key)
    for (kind, _), one in told.items():
        require_forms(kind)
        reason, value = _value(shown, kind, one, times)
        if not reason and kind != "event" and _tells(one.subject, value):
            reason = "told_by_name"
        if not reason and len(subjects[kind]) > 1 and unnamed(kind, one.subject):
            reason = "ambiguous"
        if reason:
            unclear.append((kind, one.subject, reason))
        else:
            facts.append(Fact(kind, one.subject, value))
    return Sighting(tuple(facts), tuple(unclear))


def values_of(shown: Shown, kind: str) -> dict[str, str]:
    """Return all values of a kind that what is shown has at any time, as they are normalised and as they stand."""
    return {normalised(fact.value): fact.value for fact in reversed(shown.facts.get(kind, []))}


def _told(clip: Row) -> dict[tuple[str, str], _Told]:
    told: dict[tuple[str, str], _Told] = {}
    for fact in facts_of(clip):
        told.setdefault((fact.kind, normalised(fact.subject)), _Told(fact.subject)).whole.append(fact.value)
    for index, segment in enumerate(clip["segments"]):
        for fact in facts_of(segment):
            one = told.setdefault((fact.kind, normalised(fact.subject)), _Told(fact.subject))
            one.segments.setdefault(index, []).append(fact.value)
    return told


def _segment_times(shown: Shown) -> list[tuple[float, float]]:
    """Return from when to when each of the clip's segments, which are of equal length, lasts."""
    count = len(shown.clip["segments"])
    return [(shown.duration_s * i / count, shown.duration_s * (i + 1) / count) for i in range(count)]


def _overlap(shown: Shown, start: float, end: float) -> bool:
    return min(end, shown.end_s) - max(start, shown.start_s) > _SLACK_S


def _value(shown: Shown, kind: str, one: _Told, times: list[tuple[float, float]]) -> tuple[str, str]:
    """Return why there is no one value, or the value."""
    if len(_distinct(one.whole)) > 1 or any(len(_distinct(values)) > 1 for values in one.segments.values()):
        return "ambiguous", ""
    if not shown.is_whole and kind in OVER_TIME:
        return "cut", ""
    if not one.segments:
        return "", one.whole[0]
    if kind in COUNTS and not one.whole and _blinks(shown.clip):
        return "changes", ""
    centres = [(start + end) / 2 for start, end in times]
    if not any(shown.start_s <= centres[i] < shown.end_s for i in one.segments):
        return "not_shown", ""
    # what the next segment denies may have ended already, between two centre frames: it is not true all the while
    near = {i + step for i, time in enumerate(times) if _overlap(shown, *time) for step in (-1, 0, 1)}
    seen = {i: values[0] for i, values in one.segments.items() if i in near}
    values = _distinct(list(seen.values()))
    if len(values) > 1:
        return "changes", ""
    if shown.is_whole and one.whole and normalised(one.whole[0]) not in values:
        return "ambiguous", ""
    return "", one.whole[0] if one.whole and normalised(one.whole[0]) in values else next(iter(seen.values()))


def _blinks(clip: Row) -> bool:
    return any(fact.kind == "change" and normalised(fact.value) in _BLINKING for fact in facts_of(clip))


def _distinct(values: list[str]) -> set[str]:
    return {normalised(value) for value in values}


def _tells(subject: str, value: str) -> bool:
    """Say whether a subject names its value: "the red circle" is asked for no colour, "the circle" for no shape."""
    told, named = set(normalised(value).split()), normalised(subject).split()
    return told <= set(named) or not told.isdisjoint(named[:-1])


def values_at_centres(shown: Shown) -> dict[tuple[str, str], list[Fact]]:
    """Return by kind and subject the facts of the segments whose centre frame is shown, in their order."""
    found: dict[tuple[str, str], list[Fact]] = {}
    for (start, end), segment in zip(_segment_times(shown), shown.clip["segments"], strict=True):
        if shown.start_s <= (start + end) / 2 < shown.end_s:
            for fact in facts_of(segment):
                if fact.kind in COUNTS and _blinks(shown.clip):
                    continue  # what is not seen in this frame may be there in the next
                found.setdefault((fact.kind, normalised(fact.subject)), []).append(fact)
    return found
