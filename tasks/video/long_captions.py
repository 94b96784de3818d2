"""One caption out of those of a source's clips: in their order, each thing by one name, what repeats said once."""

import re
from collections.abc import Sequence

import numpy as np

from tasks.tables import Reject
from tasks.video.captions import Fact, facts_of
from tasks.video.items import Case, Item, subset_name
from tasks.video.question_forms import INSTRUCTIONS, clause, is_whole, noun_phrase
from tasks.video.sightings import Row
from tasks.video.wording import capitalised, listed, may_be, normalised, vocabulary, words_of

_NEXT = ("Then", "Next", "After that", "Afterwards", "Later on")
_SMALL = vocabulary("the a an there it he she they in on at 2 3 several his her its")
_ADJECTIVE = re.compile(r"is (?!an? |the |mostly |of )(?!\w+ing\b)")
_SETTING = re.compile(r"(?:On|In|At|Before|Under|Against|In front of) [^,.:;]*?(?=,? there (?:is|are)\b)")


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
    """Return the text of chronological clips, and the facts that it was made of, if any.

    Captions are merged as they are written; where one is empty, all clips are told by their facts.
    """
    if all(clip["caption"].strip() for clip in clips):
        return _joined_captions(clips, rng), []
    return _told_facts(clips, rng)


# --- captions ---------------------------------------------------------------------------------------------------


def _joined_captions(clips: Sequence[Row], rng: np.random.Generator) -> str:
    """Return captions one after another: a sentence or a setting that still holds is not said again.

    One that was said before the last clip is said "again"; a thing that was introduced gets "the".
    """
    things = _thing_pattern(clips)
    parts: list[str] = []
    ever: set[str] = set()
    last: set[str] = set()
    known: list[frozenset[str]] = []
    setting = ""
    for clip in clips:
        mine, said = set(), []
        for sentence in _split(clip["caption"]):
            key = normalised(sentence)
            mine.add(key)
            if key in last:
                continue
            sentence = f"{sentence[:-1]} again{sentence[-1]}" if key in ever and sentence[-1] in ".!" else sentence
            text = _introduced_once(sentence, things, known)
            if found := _SETTING.match(text):
                if found[0] == setting and not _has_new(text, things):
                    continue  # the same place with the same things
                text = capitalised(text[found.end() :].lstrip(" ,")) if found[0] == setting else text
                setting = found[0]
            said.append(text)
        ever |= mine
        last = mine
        known += [_modifiers(found) for one in said for found in things.finditer(one)] if things else []
        parts += _opened(said, bool(parts), rng)
    return " ".join(parts)


def _thing_pattern(clips: Sequence[Row]) -> re.Pattern[str] | None:
    """Return what finds the things that facts are said of, with article and modifiers; None where there are none."""
    subjects = {fact.subject for clip in clips for fact in facts_of(clip) if fact.kind.startswith("object_")}
    shapes = {fact.value for clip in clips for fact in facts_of(clip) if fact.kind == "object_shape"}
    nouns = {words[-1] for words in map(words_of, subjects | shapes) if words}
    if not nouns:
        return None
    known = "|".join(sorted(map(re.escape, nouns)))
    return re.compile(rf"(?<!\bin )\b([Aa]n?|[Tt]he) ((?:[\w-]+ ){{0,3}}?(?:{known}))\b")


def _modifiers(found: re.Match[str]) -> frozenset[str]:
    return frozenset(words_of(found[2]))


def _introduced_once(sentence: str, things: re.Pattern[str] | None, known: Sequence[frozenset[str]]) -> str:
    """Return a sentence in which a thing of an earlier clip has the definite article."""
    if things is None:
        return sentence

    def named(found: re.Match[str]) -> str:
        mine = _modifiers(found)
        if found[1].lower() == "the" or not any(mine <= one or one <= mine for one in known):
            return found[0]
        return f"{'The' if found[1][0] == 'A' else 'the'} {found[2]}"

    return things.sub(named, sentence)


def _has_new(sentence: str, things: re.Pattern[str] | None) -> bool:
    return things is None or any(found[1].lower() != "the" for found in things.finditer(sentence))


def _split(text: str) -> list[str]:
    return [one.strip() for one in re.split(r"(?<=[.!?])\s+", text) if one.strip()]


def _opened(said: list[str], goes_on: bool, rng: np.random.Generator) -> list[str]:
    """Return the sentences of a clip, the first after a word that says that time goes on."""
    if not said or not goes_on:
        return said
    opening = _NEXT[int(rng.integers(len(_NEXT)))]
    return [f"{opening}, {_lowered(said[0])}", *said[1:]]


def _lowered(sentence: str) -> str:
    """Return a sentence to stand after "Then,": only its article or pronoun loses the capital, a name keeps it."""
    first = words_of(sentence.partition(" ")[0])
    return sentence[:1].lower() + sentence[1:] if first and first[0] in _SMALL else sentence


# --- facts ------------------------------------------------------------------------------------------------------


def _told_facts(clips: Sequence[Row], rng: np.random.Generator) -> tuple[str, list[Fact]]:
    state: dict[tuple[str, str], str] = {}  # what is known to be so, by kind and subject
    once: set[tuple[str, str, str]] = set()
    names: dict[str, str] = {}  # normalised subject -> how the text calls it
    parts: list[str] = []
    told: list[Fact] = []
    for clip in clips:
        names |= _names(facts_of(clip), names)
        facts = [fact._replace(subject=names[normalised(fact.subject)]) for fact in facts_of(clip)]
        fresh = [fact for fact in dict.fromkeys(facts) if _is_news(fact, state)]
        back = {fact for fact in fresh if (fact.kind, normalised(fact.subject), normalised(fact.value)) in once}
        state |= {(fact.kind, normalised(fact.subject)): normalised(fact.value) for fact in facts}
        once |= {(fact.kind, normalised(fact.subject), normalised(fact.value)) for fact in facts}
        told += fresh
        parts += _opened(_sentences(fresh, back), bool(parts), rng)
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
        earlier = {known[key] for key in known if key not in mine and may_be(subject, key)}
        rivals = [other for other in mine if other != subject and any(may_be(other, normalised(e)) for e in earlier)]
        found[subject] = earlier.pop() if len(earlier) == 1 and not rivals else phrase
    return found


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
        sentences.append(f"{capitalised(listed(_shortened(rest, opening)))}.")
    return sentences


def _shortened(parts: Sequence[str], opening: str) -> list[str]:
    """Return predicates of one subject with "is" said once before adjectives that follow each other."""
    found, before = [parts[0]], parts[0].removeprefix(f"{opening} ")
    for part in parts[1:]:
        found.append(part.removeprefix("is ") if _ADJECTIVE.match(before) and _ADJECTIVE.match(part) else part)
        before = part
    return found
