"""All ways in which the next claims of a passage may be told as one sentence; each tells every claim whole."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from tasks.text import merging, orders, unfolding, voices
from tasks.text.frames import Frame, Moved, Word, Wording
from tasks.text.phrasings import rewordings
from tasks.text.references import DEFINITE, PRONOUN, SHORT, Named, after_owner
from tasks.text.synonyms import Usage, synonyms

PASSIVE, ACTIVE, FRONTED, MOVED_BACK, TURNED = "passive", "active", "fronted", "moved_back", "turned"
OWNED, AMONG, ALSO, SYNONYM = "owned", "among", "also", "synonym"
THERE, UNFOLDED, INSERTED = "there", "unfolded", "inserted"
APPOSITION, RELATIVE, PARTICIPLE, COORDINATION, JOINED = (
    "apposition",
    "relative",
    "participle",
    "coordination",
    "joined",
)
# of ways: these are how a subject is called or a sentence connected, the others how a claim is told
REFERENCES = frozenset({PRONOUN, DEFINITE, SHORT, ALSO})
VARIANTS = 6  # choices of other words that are tried for each claim
WORDS_APART = 4  # of a claim there is one other word for so many, at most
LONGEST = 32  # words of a sentence that tells several claims
LONGEST_LIST = 9  # claims
PRONOUNS_IN_A_ROW = 2
PARTED = 0.6  # the penalty of a sentence that leaves out the next item of a list
_CONTENT = frozenset({"NOUN", "PROPN", "VERB", "ADJ", "ADV", "NUM"})
_EMPTY = frozenset({"be", "have", "include", "exist"})  # verbs that a construction may tell without them


@dataclass(frozen=True)
class Choices:
    """How freely claims are told. synonyms, restructure: the shares of claims in which each is tried.

    play: how much chance weighs against what a sentence shares with the passage.
    """

    synonyms: float
    restructure: float
    play: float = 0.06


@dataclass(frozen=True)
class Telling:
    """One sentence. ways: how it tells each claim, by its number; subject: the key of what it is about, "" if unclear.

    called: how the subject is called in it; in_a_row: of how many sentences up to this one the subject is a pronoun.
    """

    words: tuple[Word, ...]
    ways: Mapping[int, tuple[str, ...]]
    subject: str = ""
    called: str = ""
    in_a_row: int = 0
    penalty: float = 0.0
    of_kind: bool = False  # it ends with what its subject is


@dataclass(frozen=True)
class _Reference:
    words: tuple[Word, ...]
    called: str
    penalty: float


def tellings(
    frames: Sequence[Frame],
    at: int,
    called: Mapping[str, Named],
    before: Telling | None,
    usage: Usage,
    choices: Choices,
    rng: np.random.Generator,
) -> list[Telling]:
    """Return the ways to tell the claim at `at`, alone or with those after it; the first tells it as it is."""
    run = _run(frames, at)
    variants = [_variants(f, usage, choices, rng) for f in run]
    free = [bool(rng.random() < choices.restructure) for _ in run]
    plain = Wording(run[0])
    repeated = before is not None and before.subject == run[0].key != ""
    found = [
        Telling(tuple(plain.words((0, run[0].end))), {run[0].number: ()}, run[0].key, penalty=0.2 if repeated else 0.08)
    ]
    told: dict[tuple[int, ...], list[Telling]] = {}  # by the wordings: of several choices many are the same
    for k in range(VARIANTS):
        wordings = [v[k] for v in variants]
        for size in range(1, len(run) + 1):
            if size > 1 and not all(free[:size]):
                break
            group = wordings[:size]
            key = tuple(map(id, group))
            if key not in told:
                made = _single(group[0], called, before, free=free[0]) if size == 1 else _merged(group, called, before)
                told[key] = [t for t in made if _is_whole(t, group)]
            found += told[key]
    of_kind = [f.is_copula and any(p.dep == "attr" for p in f.parts) for f in run]
    parted = {n for n, (a, b) in enumerate(pairwise(run), 1) if merging.are_listed(Wording(a), Wording(b))}
    return [
        replace(t, penalty=t.penalty + (PARTED if len(t.ways) in parted else 0), of_kind=of_kind[len(t.ways) - 1])
        for t in found
    ]


def _run(frames: Sequence[Frame], at: int) -> list[Frame]:
    """Return the claim at `at` and those after it that have the same subject."""
    run = [frames[at]]
    for frame in frames[at + 1 : at + LONGEST_LIST]:
        if not frame.sure or not frame.key or frame.key != run[0].key:
            break
        run.append(frame)
    return run


# --- words ---


def _variants(frame: Frame, usage: Usage, choices: Choices, rng: np.random.Generator) -> list[Wording]:
    """Return the claim's own words, and choices of others for them; choices that are the same are one object."""
    bare = Wording(frame)
    others: list[tuple[frozenset[int], dict[int, str], dict[int, Moved], str]] = [
        (frozenset({i}), {i: text}, {}, SYNONYM) for i, text in synonyms(frame, usage)
    ]
    others += [(r.tokens, dict(r.texts), dict(r.moved), r.way) for r in rewordings(frame)]
    if not others or rng.random() >= choices.synonyms:
        return [bare] * VARIANTS
    most = max(1, len(frame.doc) // WORDS_APART)
    found = [bare]
    for _ in range(VARIANTS - 1):
        taken: set[int] = set()
        texts, moved, ways, count = {}, {}, [], 0
        for place in rng.permutation(len(others)):
            touched, new, order, way = others[int(place)]
            if count == most or taken & (touched | {i + 1 for i in touched} | {i - 1 for i in touched}):
                continue
            taken |= touched
            texts.update(new)
            moved.update(order)
            ways.append(way)
            count += 1
        drawn = Wording(frame, texts, moved, tuple(dict.fromkeys(ways)))
        found.append(next((known for known in found if known == drawn), drawn))
    return found


# --- subjects ---


def _references(wording: Wording, called: Mapping[str, Named], before: Telling | None) -> list[_Reference]:
    """Return what the subject may be called here, its own words first."""
    frame = wording.frame
    repeated = before is not None and before.subject == frame.key != ""
    found = [_Reference(tuple(wording.subject), "", 0.15 if repeated else 0.0)]
    if before is None:
        return found
    owner = called.get(before.subject, Named())
    rest = after_owner(frame, before.subject) if owner.genitive and before.in_a_row < PRONOUNS_IN_A_ROW else None
    if rest is not None:
        found.append(_Reference((*wording.put(owner.genitive), *wording.words(rest)), PRONOUN, 0.0))
    if not repeated:
        return found
    name = called.get(frame.key, Named())
    if name.noun and name.of < frame.number and not _says_kind(frame, name.noun) and before.called != DEFINITE:
        found.append(_Reference(tuple(wording.put("the", name.noun)), DEFINITE, 0.0))
    if name.short:
        found.append(_Reference(tuple(wording.put(name.short)), SHORT, 0.0))
    if name.pronoun and _may_have_pronoun(frame) and before.in_a_row < PRONOUNS_IN_A_ROW:
        found.append(_Reference(tuple(wording.put(name.pronoun)), PRONOUN, 0.0))
    return found


def _says_kind(frame: Frame, noun: str) -> bool:
    return any(t.lemma_.lower() == noun for t in frame.doc[frame.verb[0] : frame.end])


def _may_have_pronoun(frame: Frame) -> bool:
    """Say whether nothing before the subject could be meant by a pronoun in its place."""
    return all(t.pos_ not in ("NOUN", "PROPN") or t.ent_type_ == "DATE" for t in frame.doc[slice(*frame.lead)])


def _in_a_row(reference: _Reference, before: Telling | None) -> int:
    if reference.called != PRONOUN:
        return 0
    return (before.in_a_row if before is not None else 0) + 1


# --- one claim ---


def _single(wording: Wording, called: Mapping[str, Named], before: Telling | None, *, free: bool) -> Iterator[Telling]:
    frame = wording.frame
    number = frame.number
    if not frame.sure:
        yield Telling(tuple(wording.words((0, frame.end))), {number: wording.ways}, "")
        return
    for reference in _references(wording, called, before):
        subject = list(reference.words)
        ways = (*wording.ways, *((reference.called,) if reference.called else ()))
        row = _in_a_row(reference, before)

        def told(words: list[Word] | None, *way: str, penalty: float = 0.0, r: _Reference = reference,
                 w: tuple[str, ...] = ways, n: int = row) -> Iterator[Telling]:  # fmt: skip
            if words:
                yield Telling(tuple(words), {number: (*way, *w)}, frame.key, r.called, n, r.penalty + penalty)

        lead = wording.words(frame.lead)
        yield from told([*lead, *(wording.put(",") if lead else []), *subject, *wording.verb, *wording.rest])
        if free:
            yield from told(orders.fronted(wording, subject), FRONTED)
            yield from told(orders.moved_back(wording, subject), MOVED_BACK)
            if reference.called != PRONOUN:
                yield from told(orders.inserted(wording, subject), INSERTED, penalty=0.1)
            if reference.called in ("", SHORT):
                yield from told(unfolding.unfolded(wording, subject), UNFOLDED)
            if reference.called and before is not None and not lead:
                yield from told(_also(wording, subject, before), ALSO, penalty=0.02)
    if not free:
        return
    for words, way in (
        (voices.active(wording), ACTIVE),
        (voices.passive(wording), PASSIVE),
        (orders.turned(wording), TURNED),
        (orders.owned(wording), OWNED),
        (orders.among(wording), AMONG),
        (orders.there(wording), THERE),
    ):
        if words:
            yield Telling(tuple(words), {number: (way, *wording.ways)}, "")


def _also(wording: Wording, subject: list[Word], before: Telling) -> list[Word] | None:
    """Return "It is also a port" after a sentence that says what it is too."""
    frame = wording.frame
    if not frame.is_copula or not frame.parts or frame.parts[0].dep != "attr" or frame.plural or not before.of_kind:
        return None
    if wording.is_touched((frame.verb[0], frame.verb[1] + 1)):
        return None
    texts = {w.text.lower() for w in before.words}
    if "also" in texts or not texts & {"is", "was"} or frame.doc[frame.verb[1]].lower_ not in ("a", "an"):
        return None
    return [*subject, *wording.verb, *wording.put("also"), *wording.rest]


# --- several claims ---


def _merged(group: Sequence[Wording], called: Mapping[str, Named], before: Telling | None) -> Iterator[Telling]:
    name = called.get(group[0].frame.key, Named())
    for reference in _references(group[0], called, before):
        subject = list(reference.words)
        row = _in_a_row(reference, before)
        by_name = reference.called in ("", SHORT)
        tried: list[tuple[list[Word] | None, str]] = [(merging.joined(group, subject), JOINED)]
        if len(group) == 2:
            tried.append((merging.coordination(group, subject), COORDINATION))
        if len(group) <= 3:
            tried.append((merging.participle(group, subject), PARTICIPLE))
            tried.append((merging.kind_that(group, subject, name.relative), RELATIVE))
            if by_name:
                tried.append((merging.apposition(group, subject), APPOSITION))
                tried.append((merging.relative(group, subject, name.relative), RELATIVE))
        for words, way in tried:
            if words and len(words) <= LONGEST:
                yield _of_group(group, words, way, reference, row)
    words = merging.joined_among(group)
    if words:
        yield Telling(tuple(words), {w.frame.number: (JOINED, AMONG, *w.ways) for w in group}, "")


def _of_group(group: Sequence[Wording], words: list[Word], way: str, reference: _Reference, row: int) -> Telling:
    called = (reference.called,) if reference.called else ()
    ways = {w.frame.number: (way, *w.ways, *called) for w in group}
    long = max(0, len(words) - 24) * 0.02
    return Telling(tuple(words), ways, group[0].frame.key, reference.called, row, reference.penalty + long)


# --- nothing is lost ---


def _is_whole(telling: Telling, group: Sequence[Wording]) -> bool:
    """Say whether a sentence tells each of its claims: every word that says something, and held words as they are."""
    for wording in group:
        frame = wording.frame
        mine = [w for w in telling.words if frame.number in w.claims]
        own = [w for w in mine if w.claims[0] == frame.number]
        for i in frame.held:
            if [w.text for w in own if w.at == i] != [frame.texts[i]]:
                return False
        if any(b != a + 1 for a, b in pairwise([w.at for w in own if w.at in frame.held])):
            return False
        if frame.sure and not telling.called and not any(w.at in range(*frame.subject) for w in own):
            group_subject = range(*group[0].frame.subject)
            if not any(w.at in group_subject and w.claims[0] == group[0].frame.number for w in mine):
                return False
        places, texts = {w.at for w in own}, {w.text for w in mine}
        for token in frame.doc[: frame.end]:
            is_subject = frame.sure and frame.subject[0] <= token.i < frame.subject[1]
            told = token.i in places or wording.texts.get(token.i, token.text) in texts | {""}
            told = told or frame.texts[token.i] in texts or (is_subject and telling.called != "")
            if token.pos_ in _CONTENT and token.lemma_ not in _EMPTY and not told:
                return False
    return True
