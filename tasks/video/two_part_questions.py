"""Questions that need both parts of a needle: what changed in between, what comes first, how many over both."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tasks.tables import Reject
from tasks.video.captions import Fact, facts_of
from tasks.video.items import Case, Item, subset_name
from tasks.video.question_forms import ASKED, INSTRUCTIONS, LISTED, OF_EVERY_CLIP, OVER_TIME, aspect, clause, is_whole
from tasks.video.sightings import Sighting, sighting, values_at_centres, values_of
from tasks.video.wording import capitalised, cardinal, clashes, normalised

_SAME_SHARE = 0.25
Found = tuple[str, str, tuple[Fact, ...]]  # question, answer, what is asked
_CHANGE = (
    "How does {a} change from the beginning of the first inserted part to the end of the second?",
    "Compare {a} when the first inserted part begins and when the second one ends.",
    "What is different about {a} at the end of the second inserted part, compared with the beginning of the first?",
)
_SAME = (
    "Is {a} the same in both inserted parts?",
    "Does {a} stay the same from the first inserted part to the second?",
)
_ORDER = (
    "Which is seen first in the inserted parts: that {x}, or that {y}?",
    "In the two inserted parts, what comes first: that {x}, or that {y}?",
    "In which order do the inserted parts show that {x} and that {y}?",
)
_COUNT = (
    "How many different {n} do the two inserted parts show altogether?",
    "Counting both inserted parts, how many different {n} are there?",
)


def two_part_item(case: Case, rng: np.random.Generator) -> Item | Reject:
    """Return a free-form question on both parts of a needle.

    What is the same in both is asked now and then, so that "no" is not the answer to every such question, but only
    where something else differs. Reject "parts_alike" where nothing does: one part would tell all.
    """
    seen = [sighting(shown) for shown in case.shown]
    skipped = tuple(dict.fromkeys(one for part in seen for one in part.unclear))
    order = [list(_STYLES)[int(n)] for n in rng.permutation(len(_STYLES))]
    found: Found | None = None
    style = ""
    for style in order:
        if found := _STYLES[style](case, seen, rng):
            break
    if not found:
        reasons = "; ".join(f"{kind} of {subject}: {reason}" for kind, subject, reason in skipped)
        detail = f"clip {case.shown[0].clip['clip_id']}: its parts differ in nothing that can be asked"
        return Reject("parts_alike", f"{detail} ({reasons or 'all is the same'}): split it elsewhere or take another")
    if rng.random() < _SAME_SHARE and (same := _same(seen, rng)):
        style, found = "same", same
    pool = INSTRUCTIONS["two_needle_niah"]
    return Item(
        item_id=case.item_id,
        subset=subset_name(case.subset, "qa"),
        group=case.shown[0].clip["group"],
        style=style,
        instruction=pool[int(rng.integers(len(pool)))],
        question=found[0],
        answer=found[1],
        facts=found[2],
        skipped=skipped,
    )


def _pairs(seen: list[Sighting]) -> list[tuple[Fact, Fact]]:
    """Return the facts of one subject and kind that both parts have."""
    later = {(fact.kind, normalised(fact.subject)): fact for fact in seen[1].facts}
    keys = [(fact, (fact.kind, normalised(fact.subject))) for fact in seen[0].facts if fact.kind not in OVER_TIME]
    return [(fact, later[key]) for fact, key in keys if key in later]


def _changed(case: Case, seen: list[Sighting], rng: np.random.Generator) -> Found | None:
    """Ask for what differs between the begin of the first part and the end of the second.

    That is sure whenever between two centre frames the change falls; that a value holds all through a part is not.
    """
    early, late = (values_at_centres(shown) for shown in case.shown)
    pairs = [
        (early[key][0], late[key][-1])
        for key in early
        if key in late and not clashes(early[key][0].value, late[key][-1].value)
    ]
    pairs += _before_and_after(case)
    if not pairs:
        return None
    first, second = pairs[int(rng.integers(len(pairs)))]
    told = f"hen the first part begins, {_told(first)}; when the second part ends, {_told(second)}."
    if rng.random() < _SAME_SHARE:  # asked as what is the same is: a "no" must be about as likely as a "yes"
        return _drawn(_SAME, rng).format(a=aspect(first)), f"No: w{told}", (first, second)
    return _drawn(_CHANGE, rng).format(a=aspect(first)), f"W{told}", (first, second)


def _before_and_after(case: Case) -> list[tuple[Fact, Fact]]:
    """Return what the clip says of a change as a whole, by kinds X_before and X_after, as facts of the kind object_X.

    Empty where the two parts are not the whole clip.
    """
    first, second = case.shown
    if first.end_s != second.start_s or not replace(first, end_s=second.end_s).is_whole:
        return []
    facts = {(fact.kind, normalised(fact.subject)): fact for fact in facts_of(first.clip)}
    pairs = []
    for (kind, subject), early in facts.items():
        of = kind.removesuffix("_before")
        late = facts.get((f"{of}_after", subject))
        if kind != of and late is not None and f"object_{of}" in ASKED:
            pairs.append((early._replace(kind=f"object_{of}"), late._replace(kind=f"object_{of}")))
    return pairs


def needs_both(case: Case) -> bool:
    """Say whether the parts of a needle differ in what can be asked: else one part tells what both do."""
    seen = [sighting(shown) for shown in case.shown]
    rng = np.random.default_rng(0)
    return any(style(case, seen, rng) for style in _STYLES.values())


def _same(seen: list[Sighting], rng: np.random.Generator) -> Found | None:
    pairs = [pair for pair in _pairs(seen) if normalised(pair[0].value) == normalised(pair[1].value)]
    if not pairs:
        return None
    first, second = pairs[int(rng.integers(len(pairs)))]
    return _drawn(_SAME, rng).format(a=aspect(first)), f"Yes: in both parts {_told(first)}.", (first, second)


def _ordered(case: Case, seen: list[Sighting], rng: np.random.Generator) -> Found | None:
    """Ask which of two facts is seen first: one is never true in the second part, the other never in the first."""
    alone = []
    for number in (0, 1):
        other = case.shown[1 - number]
        facts = dict.fromkeys(fact for told in values_at_centres(case.shown[number]).values() for fact in told)
        alone.append(
            [
                fact
                for fact in facts
                if not any(clashes(fact.value, value) for value in values_of(other, fact.kind).values())
                and (fact.kind not in OF_EVERY_CLIP or values_of(other, fact.kind))
            ]
        )
    if not all(alone):
        return None
    first, second = (mine[int(rng.integers(len(mine)))] for mine in alone)
    x, y = (_told(first), _told(second)) if rng.random() < 0.5 else (_told(second), _told(first))
    question = _drawn(_ORDER, rng).format(x=x, y=y)
    return question, f"First {_told(first)}, later {_told(second)}.", (first, second)


def _counted(case: Case, seen: list[Sighting], rng: np.random.Generator) -> Found | None:
    """Ask how many values of a kind there are over both parts, where neither part shows them all."""
    kinds = []
    for kind in LISTED:
        first, second = (values_of(shown, kind) for shown in case.shown)
        both = second | first
        distinct = not any(clashes(a, b) for a in both for b in both if a != b)
        if distinct and len(both) > max(len(first), len(second)) and min(len(first), len(second)):
            kinds.append((kind, both))
    if not kinds:
        return None
    kind, both = kinds[int(rng.integers(len(kinds)))]
    facts = [fact for part in seen for fact in part.facts if fact.kind == kind]
    *most, last = sorted(both.values())
    noun = LISTED[kind]
    return (
        _drawn(_COUNT, rng).format(n=noun),
        f"{capitalised(cardinal(len(both)))}: {', '.join(most)} and {last}.",
        tuple(dict.fromkeys(facts)),
    )


def _told(fact: Fact) -> str:
    return clause(fact._replace(subject="the picture") if is_whole(fact.subject) else fact)


def _drawn(pool: tuple[str, ...], rng: np.random.Generator) -> str:
    return pool[int(rng.integers(len(pool)))]


_STYLES: dict[str, Callable[[Case, list[Sighting], np.random.Generator], Found | None]] = {
    "change": _changed,
    "order": _ordered,
    "count": _counted,
}
