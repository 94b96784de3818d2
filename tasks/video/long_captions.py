"""One caption out of those of a source's clips: in their order, each thing by one name, what repeats said once."""

import re
from collections.abc import Sequence

import numpy as np

from tasks.tables import Reject
from tasks.video.captions import Fact, facts_of
from tasks.video.items import Case, Item, subset_name
from tasks.video.question_forms import INSTRUCTIONS, clause, is_whole, noun_phrase
from tasks.video.sightings import Row
from tasks.video.wording import capitalised, content_words, normalised, vocabulary, words_of

_NEXT = ("Then", "Next", "After that", "Afterwards", "Later on")
_SMALL = vocabulary("the a an there it he she they in on at 2 3 several his her its")
_ADJECTIVE = re.compile(r"is (?!an? |the |mostly |of )(?!\w+ing\b)")
_SAME_SENTENCE = 0.8  # of the words of two sentences in common: they say the same


def caption_item(case: Case, rng: np.random.Generator) -> Item | Reject:
    """Return a description of all clips as one text. Reject "no_caption" where there is nothing to tell."""
    clips = [shown.clip for shown in case.shown]
    text, facts = merged(clips, rng)
    if not text:
        return Reject("no_caption", f"the {len(clips)} clips have neither facts nor captions")
    pool = INSTRUCTIONS["long_video_caption"]
    return Item(
        item_id=case.item_id,
        subset=subset_name(case.subset, "caption"),
        group=clips[0]["group"],
        style="caption",
        instruction="",
        question=pool[int(rng.integers(len(pool)))],
        answer=text,
        facts=tuple(facts),
    )


def merged(clips: Sequence[Row], rng: np.random.Generator) -> tuple[str, list[Fact]]:
    """Return the text of chronological clips, and the facts that it tells.

    A clip with facts is told by them, another by the sentences of its caption.
    """
    state: dict[tuple[str, str], str] = {}  # what is known to be so, by kind and subject
    once: set[tuple[str, str, str]] = set()
    names: dict[str, str] = {}  # normalised subject -> how the text calls it
    sentences: list[set[str]] = []
    parts: list[str] = []
    told: list[Fact] = []
    for clip in clips:
        if clip["facts"]:
            names |= _names(facts_of(clip), names)
            facts = [fact._replace(subject=names[normalised(fact.subject)]) for fact in facts_of(clip)]
            fresh = [fact for fact in dict.fromkeys(facts) if _is_news(fact, state)]
            back = {fact for fact in fresh if (fact.kind, normalised(fact.subject), normalised(fact.value)) in once}
            state |= {(fact.kind, normalised(fact.subject)): normalised(fact.value) for fact in facts}
            once |= {(fact.kind, normalised(fact.subject), normalised(fact.value)) for fact in facts}
            told += fresh
            said = _sentences(fresh, back)
        else:
            said = [one for one in _split(clip["caption"]) if not _is_said(one, sentences)]
            sentences += [set(content_words(one)) for one in said]
        if said and parts:
            opening = _NEXT[int(rng.integers(len(_NEXT)))]
            said = [f"{opening}, {_lowered(said[0])}", *said[1:]]
        parts += said
    return " ".join(parts), told


def _names(facts: Sequence[Fact], known: dict[str, str]) -> dict[str, str]:
    """Return how the text calls each subject of a clip: by the name of the earlier thing that it can only be.

    It is that thing if the words of one name are among the other's, both end in the same noun, one earlier thing does
    for it, and that thing has no other name in this clip.
    """
    mine = {normalised(fact.subject): noun_phrase(fact.subject) for fact in facts}
    found: dict[str, str] = {}
    for subject, phrase in mine.items():
        if subject in known:
            found[subject] = known[subject]
            continue
        earlier = {known[key] for key in known if key not in mine and _may_be(subject, key)}
        rivals = [other for other in mine if other != subject and any(_may_be(other, normalised(e)) for e in earlier)]
        found[subject] = earlier.pop() if len(earlier) == 1 and not rivals else phrase
    return found


def _may_be(one: str, other: str) -> bool:
    first, second = one.split(), other.split()
    return first[-1:] == second[-1:] and (set(first) <= set(second) or set(second) <= set(first))


def _is_news(fact: Fact, state: dict[tuple[str, str], str]) -> bool:
    return state.get((fact.kind, normalised(fact.subject))) != normalised(fact.value)


def _sentences(facts: Sequence[Fact], back: set[Fact]) -> list[str]:
    """Return a sentence for each subject, in the order in which they come: "The circle is red and moves left."."""
    by_subject: dict[str, list[Fact]] = {}
    for fact in facts:
        by_subject.setdefault(normalised(fact.subject), []).append(fact)
    sentences = []
    for group in by_subject.values():
        clauses = []
        for fact in group:
            named = fact._replace(subject="the picture") if is_whole(fact.subject) else fact
            clauses.append(clause(named) + (" again" if fact in back else ""))
        opening = "the picture" if is_whole(group[0].subject) else noun_phrase(group[0].subject)
        if not all(one.startswith(f"{opening} ") for one in clauses):
            opening = ""
        rest = clauses if not opening else [clauses[0], *(one.removeprefix(f"{opening} ") for one in clauses[1:])]
        sentences.append(f"{capitalised(_joined(_shortened(rest, opening)))}.")
    return sentences


def _shortened(parts: Sequence[str], opening: str) -> list[str]:
    """Return predicates of one subject with "is" said once before adjectives that follow each other."""
    found, before = [parts[0]], parts[0].removeprefix(f"{opening} ")
    for part in parts[1:]:
        found.append(part.removeprefix("is ") if _ADJECTIVE.match(before) and _ADJECTIVE.match(part) else part)
        before = part
    return found


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _split(text: str) -> list[str]:
    return [one.strip() for one in re.split(r"(?<=[.!?])\s+", text) if one.strip()]


def _is_said(sentence: str, said: Sequence[set[str]]) -> bool:
    words = set(content_words(sentence))
    return any(words <= other or len(words & other) >= _SAME_SENTENCE * len(words | other) for other in said)


def _lowered(sentence: str) -> str:
    """Return a sentence to stand after "Then,": only its article or pronoun loses the capital, a name keeps it."""
    first = words_of(sentence.partition(" ")[0])
    return sentence[:1].lower() + sentence[1:] if first and first[0] in _SMALL else sentence
