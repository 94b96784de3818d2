"""Questions on the order of events: what comes first, last, before, after, between, and in which order.

An event is a clip of a source, named by something that is true of it and of no other clip of the video. Right answers
follow from the clips' starts alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.tables import Reject
from tasks.video.captions import Fact
from tasks.video.choices import Choice, choice
from tasks.video.items import Case, Form, Item, subset_name
from tasks.video.question_forms import INSTRUCTIONS, OF_EVERY_CLIP, clause, is_at_rest, is_whole
from tasks.video.sightings import Shown, sighting
from tasks.video.wording import capitalised, holds_too, normalised, vocabulary, words_of

_MOTION_KINDS = ("change", "collides_with")  # may say that something moves
_NO_EVENT = frozenset({"object_shape", "object_size", "colour_before"})  # lasts longer, or is said of a beginning
_ANY_THING = vocabulary("object thing shape one item")
STYLES = ("first", "last", "before", "after", "between", "order")
_OPTIONS = 4
_LISTED = 3  # events that an order question names, and a free-form one chooses from at least
_FORMS: dict[str, tuple[str, ...]] = {  # {x}, {z}: clauses of events
    "first": ("Which of these comes first in the video?", "What is seen before all the others?"),
    "last": ("Which of these comes last in the video?", "What is seen after all the others?"),
    "before": (
        "Which of these comes directly before the part in which {x}?",
        "What is seen right before the part of the video in which {x}?",
    ),
    "after": (
        "Which of these comes directly after the part in which {x}?",
        "What is seen right after the part of the video in which {x}?",
    ),
    "between": (
        "Which of these is seen after the part in which {x} and before the part in which {z}?",
        "What comes between the part in which {x} and the later part in which {z}?",
    ),
    "order": (
        "In which order are these seen? {list}",
        "Put these into the order in which the video shows them: {list}",
    ),
}


@dataclass(frozen=True)
class Event:
    """A clip of the video, by its place in the order of starts, and a fact that is true of it alone."""

    place: int
    clip_id: str
    fact: Fact

    @property
    def clause(self) -> str:
        """The fact as a clause."""
        fact = self.fact
        return clause(fact._replace(subject="the picture") if is_whole(fact.subject) else fact)


def telling_facts(shown: Sequence[Shown]) -> list[list[Fact]]:
    """Return of each clip the facts that tell it from every other clip of the video.

    No other clip says at any time what may be the same of what may be the same thing. What every clip has (brightness,
    camera motion) tells clips apart only where all others state it.
    """
    told = [list(dict.fromkeys(fact for facts in one.facts.values() for fact in facts)) for one in shown]
    colours = {word for facts in told for fact in facts if "colour" in fact.kind for word in words_of(fact.value)}
    found = []
    for place, one in enumerate(shown):
        others = [facts for number, facts in enumerate(told) if number != place]
        mine = [fact for fact in sighting(one).facts if fact.kind not in _NO_EVENT and not is_at_rest(fact)]
        found.append([fact for fact in mine if _tells_apart(fact, others, colours)])
    return found


def _tells_apart(fact: Fact, others: Sequence[Sequence[Fact]], colours: set[str]) -> bool:
    kinds = {fact.kind, *(_MOTION_KINDS if fact.kind == "object_motion" else ())}
    for facts in others:
        if fact.kind in OF_EVERY_CLIP and not any(other.kind == fact.kind for other in facts):
            return False
        alike = (other for other in facts if other.kind in kinds and _may_hold(fact, other))
        if any(not _are_two(fact.subject, other.subject, colours) for other in alike):
            return False
    return True


def _may_hold(fact: Fact, other: Fact) -> bool:
    """Say whether a fact may hold where another does, of the same thing: what collides has moved some way before."""
    if other.kind != fact.kind:
        return other.kind == "collides_with" or (normalised(other.value) != "moves" and holds_too("moves", other.value))
    return fact.kind == other.kind and holds_too(fact.value, other.value)


def _are_two(one: str, other: str, colours: set[str]) -> bool:
    """Say whether two noun phrases are surely not of one thing: other nouns, or other colours of one noun."""
    first, second = words_of(one), words_of(other)
    if not first or not second or is_whole(one) or is_whole(other) or {first[-1], second[-1]} & _ANY_THING:
        return False
    mine, theirs = colours & set(first), colours & set(second)
    return first[-1] != second[-1] or bool(mine and theirs and not mine & theirs)


def event_item(case: Case, form: Form, rng: np.random.Generator) -> Item | Reject:
    """Return a question on the order of a video's clips. Reject "few_events" where too few can be told apart."""
    shown = case.shown
    events = _named(shown, rng)
    skipped = []
    for style in (STYLES[int(n)] for n in rng.permutation(len(STYLES))):
        found = _asked(style, events, form, rng)
        if found is None:
            skipped.append(("event", style, "few_events"))
            continue
        question, answer, facts, options = found
        pool = INSTRUCTIONS["event_relationship"]
        return Item(
            item_id=case.item_id,
            subset=subset_name(case.subset, form),
            group=shown[0].clip["group"],
            style=style,
            instruction=pool[int(rng.integers(len(pool)))],
            question=question,
            answer=answer,
            facts=facts,
            options=options.options if options else (),
            key=options.key if options else "",
            option_clips=options.sources if options else (),
            skipped=tuple(skipped),
        )
    return Reject(
        "few_events",
        f"of {len(shown)} clips {len(events)} can be told from all others by a fact: take more clips of the source",
        value=float(len(events)),
    )


def _named(shown: Sequence[Shown], rng: np.random.Generator) -> list[Event]:
    """Return an event for each clip that can be told apart, in order; of one kind, if one tells enough of them apart.

    Events of one kind look alike but for their value, so that the wording tells nothing of the order.
    """
    telling = telling_facts(shown)
    kinds = sorted({fact.kind for facts in telling for fact in facts})
    reach = {kind: sum(any(f.kind == kind for f in facts) for facts in telling) for kind in kinds}
    best = [kind for kind in kinds if reach[kind] >= min(_OPTIONS + 1, len(shown))]
    preferred = best[int(rng.integers(len(best)))] if best else ""
    events = []
    for place, facts in enumerate(telling):
        chosen = [fact for fact in facts if fact.kind == preferred] or facts
        pick = int(rng.integers(max(len(chosen), 1)))
        if chosen:
            events.append(Event(place, shown[place].clip["clip_id"], chosen[pick]))
    return events


_Found = tuple[str, str, tuple[Fact, ...], Choice | None]


def _asked(style: str, events: Sequence[Event], form: Form, rng: np.random.Generator) -> _Found | None:
    """Return question, answer, facts and options of a style, None where the events do not do for it."""
    forms = _FORMS[style]
    wording = forms[int(rng.integers(len(forms)))]
    if style == "order":
        return _order(wording, events, form, rng)
    anchors, right, wrong = _chosen(style, events, rng)
    wanted = _OPTIONS - 1 if form == "mcq" else _LISTED - 1
    if right is None or len(wrong) < wanted:
        return None
    wrong = [wrong[int(n)] for n in rng.permutation(len(wrong))[:wanted]]
    question = wording.format(**{name: event.clause for name, event in zip("xz", anchors, strict=False)})
    facts = (*(event.fact for event in anchors), right.fact)
    if form == "mcq":
        pairs = [(capitalised(event.clause), event.clip_id) for event in (right, *wrong)]
        return question, pairs[0][0], facts, choice(pairs[0], pairs[1:], rng)
    among = [right, *wrong]
    listed = _listed([among[int(n)] for n in rng.permutation(len(among))])
    return f"{question} Choose from: {listed}", f"{capitalised(right.clause)}.", facts, None


def _chosen(
    style: str, events: Sequence[Event], rng: np.random.Generator
) -> tuple[tuple[Event, ...], Event | None, list[Event]]:
    """Return the events that a question names, the right one and those that are wrong.

    "Directly" before and after are of neighbours in the video, whatever of it can be named.
    """
    if style in ("first", "last"):
        if len(events) < 2:
            return (), None, []
        # the first of some of the events: which one it is must not always be the video's own first
        size = min(_OPTIONS, len(events))
        some = sorted((events[int(n)] for n in rng.permutation(len(events))[:size]), key=lambda event: event.place)
        return (), *((some[0], some[1:]) if style == "first" else (some[-1], some[:-1]))
    if style == "between":
        triples = [
            (x, y, z)
            for x in events
            for y in events
            for z in events
            if x.place < y.place < z.place and _outside(events, x, z)
        ]
        if not triples:
            return (), None, []
        x, y, z = triples[int(rng.integers(len(triples)))]
        return (x, z), y, _outside(events, x, z)
    step = -1 if style == "before" else 1
    at = {event.place: event for event in events}
    pairs = [(event, at[event.place + step]) for event in events if event.place + step in at]
    if not pairs:
        return (), None, []
    x, right = pairs[int(rng.integers(len(pairs)))]
    return (x,), right, [event for event in events if event not in (x, right)]


def _outside(events: Sequence[Event], first: Event, last: Event) -> list[Event]:
    return [event for event in events if event.place < first.place or event.place > last.place]


def _order(wording: str, events: Sequence[Event], form: Form, rng: np.random.Generator) -> _Found | None:
    """Ask for the order of three events; wrong options are other orders of the same three."""
    if len(events) < _LISTED:
        return None
    three = [events[int(n)] for n in rng.permutation(len(events))[:_LISTED]]
    true = sorted(three, key=lambda event: event.place)
    numbers = {event: number for number, event in enumerate(three, start=1)}
    question = wording.format(list=_listed(three))
    facts = tuple(event.fact for event in true)
    answer = _sequence([numbers[event] for event in true])
    if form != "mcq":
        told = "; then ".join(event.clause for event in true)
        return question, f"{answer}: first {told}.", facts, None
    orders = [[a, b, c] for a in (1, 2, 3) for b in (1, 2, 3) for c in (1, 2, 3) if len({a, b, c}) == _LISTED]
    wrong = [_sequence(order) for order in orders if _sequence(order) != answer]
    picked = [(wrong[int(n)], true[0].clip_id) for n in rng.permutation(len(wrong))[: _OPTIONS - 1]]
    return question, answer, facts, choice((answer, true[0].clip_id), picked, rng)


def _listed(events: Sequence[Event]) -> str:
    """Return "(1) the camera pans left; (2) the background is green"."""
    return "; ".join(f"({number}) {event.clause}" for number, event in enumerate(events, start=1)) + "."


def _sequence(numbers: Sequence[int]) -> str:
    return ", ".join(f"({number})" for number in numbers)
