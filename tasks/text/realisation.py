"""The factual text of a passage's claims, and the unfactual one that differs from it in one window.

LLM-Oasis (arXiv 2411.19655), section 3.2, steps 3 and 4. Claims are told in their order, each sentence in the way that
shares least with the passage; U is told by the same choices as F, with the false claim in the place of the true one.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from spacy.tokens import Doc

from tasks.tables import Reject
from tasks.text.frames import Frame, Word, frame_of, lay_out
from tasks.text.references import named, speaks_of_a_person
from tasks.text.synonyms import Usage, tokens
from tasks.text.tellings import Choices, Telling, tellings
from tasks.text.windows import Window, swapped_tokens, window_of
from tasks.text.wordnet import POS_FILES, WordNet

AS_IS = "as_is"
GRAM = 4  # words; the overlap of F with its passage is counted in runs of so many
MOST_TOLD = 6  # claims that one sentence may tell


@dataclass(frozen=True)
class Told:
    """F and U. Spans are [start, end) of each claim; U and what is of it are None or empty without a false claim."""

    factual: str
    factual_spans: tuple[tuple[int, int], ...]
    ways: tuple[str, ...]
    unfactual: str | None = None
    unfactual_spans: tuple[tuple[int, int], ...] = ()
    window: Window | None = None


@dataclass(frozen=True)
class FalseClaim:
    """The claim, by its number, that is falsified, and what it becomes."""

    number: int
    text: str


@dataclass(frozen=True)
class Resources:
    """What the embedded teller knows besides the passage."""

    parse: Callable[[str], Doc]  # of a claim
    wordnet: WordNet
    usage: Usage


@dataclass(frozen=True)
class Passage:
    """The text that claims were taken from, and the title of its page."""

    text: str
    title: str


def retell(
    passage: Passage,
    claims: Sequence[str],
    false_claim: FalseClaim | None,
    resources: Resources,
    choices: Choices,
    rng: np.random.Generator,
) -> Told | Reject:
    """Return F of the claims and, where one of them is falsified, U.

    A Reject where that cannot be: no_claims; false_claim (it does not differ from the claim in one run of words);
    window (F and U would differ elsewhere too).
    """
    if not claims:
        return Reject("no_claims", "the passage has no claim")
    docs = [resources.parse(claim) for claim in claims]
    held, swap = frozenset[int](), dict[tuple[int, int], str]()
    false_claim_at = -1 if false_claim is None else false_claim.number
    if false_claim is not None:
        found = swapped_tokens(docs[false_claim.number], false_claim.text)
        if found is None:
            return Reject("false_claim", f"{false_claim.text!r} is no claim with one run of words changed")
        held = frozenset(found)
        swap = {(false_claim.number, at): text for at, text in found.items()}
    is_common = _common(resources.wordnet, of_people=speaks_of_a_person(passage.text))
    frames = [
        frame_of(n, doc, passage.text, held if n == false_claim_at else frozenset(), is_common)
        for n, doc in enumerate(docs)
    ]
    sentences, ways = _sentences(frames, passage, resources, choices, rng)
    factual = lay_out(sentences)
    spans = tuple(factual.spans[n] for n in range(len(claims)))
    if false_claim is None:
        return Told(factual.text, spans, ways)
    unfactual = lay_out(sentences, swap)
    window = window_of(factual.text, unfactual.text)
    new_spans = tuple(unfactual.spans[n] for n in range(len(claims)))
    start, end = spans[false_claim.number]
    if window is None or not start <= window.old[0] <= window.old[1] <= end:
        return Reject("window", f"{unfactual.text!r} differs from F elsewhere too")
    return Told(factual.text, spans, ways, unfactual.text, new_spans, window)


def _common(wordnet: WordNet, *, of_people: bool) -> Callable[[str], bool | None]:
    """Return what says whether a word is first of all a common noun; False of one that is written as a name alone.

    Where people are spoken of, a common noun may be a surname: then it says nothing (None).
    """

    def is_common(word: str) -> bool | None:
        senses = [sense for pos in POS_FILES for sense in wordnet.senses(word, pos)]
        if senses and not any(word in sense.words for sense in senses):
            return False
        for form in (word, *wordnet.base_forms(word, "n")):
            nouns = wordnet.senses(form, "n")
            if nouns and form in nouns[0].words and not nouns[0].is_instance:
                return None if of_people else True
        return None

    return is_common


def _sentences(
    frames: Sequence[Frame], passage: Passage, resources: Resources, choices: Choices, rng: np.random.Generator
) -> tuple[list[list[Word]], tuple[str, ...]]:
    """Return the sentences, and how each claim is told."""
    called = named(frames, passage.text, passage.title, resources.wordnet)
    grams = four_grams(passage.text)
    ways = [AS_IS] * len(frames)
    sentences: list[list[Word]] = []
    said: list[str] = []  # words so far
    before: Telling | None = None
    at = 0
    while at < len(frames):
        found = tellings(frames, at, called, before, resources.usage, choices, rng)
        one_of = {id(t.words): t for t in found}  # the same words come several times
        shared = {key: _cost(t, grams, said) for key, t in one_of.items()}
        costs = [shared[id(t.words)] + t.penalty + choices.play * float(rng.random()) for t in found]
        best = found[int(np.argmin(costs))]
        sentences.append(list(best.words))
        said += tokens(lay_out([best.words]).text)
        for number, way in best.ways.items():
            ways[number] = "+".join(way) or AS_IS
        before = best
        at += len(best.ways)
    return sentences, tuple(ways)


def four_grams(text: str) -> Counter[tuple[str, ...]]:
    """Return the runs of four words of a text, in lower case."""
    words = tokens(text)
    return Counter(tuple(words[i : i + GRAM]) for i in range(len(words) - GRAM + 1))


def overlap(text: str, passage: str) -> float:
    """Return the share of a text's runs of four words that the passage has too; 0 of a shorter text."""
    mine, theirs = four_grams(text), four_grams(passage)
    total = sum(mine.values())
    return sum(count for gram, count in mine.items() if gram in theirs) / total if total else 0.0


def _cost(telling: Telling, grams: Counter[tuple[str, ...]], said: Sequence[str]) -> float:
    """Return the share of runs of four words that a sentence would have in common with the passage."""
    words = [*said[-GRAM + 1 :], *tokens(lay_out([telling.words]).text)]
    mine = [tuple(words[i : i + GRAM]) for i in range(len(words) - GRAM + 1)]
    return sum(gram in grams for gram in mine) / len(mine) if mine else 0.0
