"""Checks of a falsification, each a verdict with its figure: is exactly one claim changed, subtly, and really false?

The table "Validation of a falsification" of the sheet on LLM-Oasis (arXiv 2411.19655), which the paper does by hand.
Contradiction is by construction: what was swapped excludes what it was swapped for, in a slot that has one value.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Final, NamedTuple

from tasks.text.contexts import LEAST_ALIKE, Contexts
from tasks.text.exclusives import are_exclusive
from tasks.text.salience import BOTTOM
from tasks.text.senses import zipf
from tasks.text.slots import Corpus, Parsed, Slot, Word, common_senses
from tasks.text.wordforms import negates
from tasks.text.wordnet import Pos, WordNet


@dataclass(frozen=True)
class Limits:
    """What a pair must keep to."""

    edit_ratio: float = 0.5  # edited tokens to the tokens of the old claim, at most
    zipf_distance: float = 1.8  # between old and new word, at most
    steps_apart: int = 4  # between co-hyponyms, by their hypernyms, at most
    functional: float = 0.8  # share of subjects with the old value in the slot that have not the new too, at least
    standing: float = BOTTOM  # the claim's standing in its passage, more than
    strict: bool = True  # names, dates and numbers may not change; negation is refused in any case


class Verdict(NamedTuple):
    """The outcome of one check. threshold: what value was compared with."""

    name: str
    passed: bool
    value: float
    threshold: float


class Change(NamedTuple):
    """Words of the old claim, [old_first, old_end), and those in their place in the new one."""

    old_first: int
    old_end: int
    new_first: int
    new_end: int


@dataclass(frozen=True)
class Pair:
    """A claim and what was made of it; both parsed."""

    old: Parsed
    new: Parsed
    changes: tuple[Change, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "changes", tuple(_changes(self.old.words, self.new.words)))

    def changed(self) -> tuple[list[Word], list[Word]]:
        """Return the words of the old claim that are not in the new one, and those in their places."""
        old = [word for change in self.changes for word in self.old.words[change.old_first : change.old_end]]
        return old, [word for change in self.changes for word in self.new.words[change.new_first : change.new_end]]

    def swapped(self) -> list[tuple[Word, Word]]:
        """Return the old and new content words that stand for each other, where a change is one for one."""
        found = []
        for change in self.changes:
            old = [w for w in self.old.words[change.old_first : change.old_end] if _is_content(w)]
            new = [w for w in self.new.words[change.new_first : change.new_end] if _is_content(w)]
            if len(old) == len(new):
                found += [(a, b) for a, b in zip(old, new, strict=True) if a.lemma != b.lemma]
        return found


@dataclass(frozen=True)
class Known:
    """What a pair is judged by: WordNet, the corpus, the text of the page, the claims before and after."""

    wordnet: WordNet
    corpus: Corpus
    contexts: Contexts
    page_text: str
    claims: Sequence[str]
    new_claims: Sequence[str]
    standing: float  # of the old claim in its passage (salience.py)


def validate(pair: Pair, known: Known, limits: Limits) -> tuple[Verdict, ...]:
    """Return the verdicts of all checks on a pair.

    Where `limits` are not strict, a changed name, date or number is told and no fault; mere negation is one always.
    """
    told = (
        one_claim(known.claims, known.new_claims),
        one_change(pair),
        real_change(pair, known.wordnet),
        contradiction(pair, known.corpus, known.wordnet, limits.steps_apart),
        functional(pair, known.corpus, limits.functional),
        same_predicate(pair),
        minimal_edit(pair, limits.edit_ratio),
        no_negation(pair),
        forbidden_spans(pair),
        frequency(pair, limits.zipf_distance),
        same_type(pair, known.wordnet),
        same_company(pair, known.contexts),
        not_true_elsewhere(pair, known.corpus, known.wordnet, known.page_text),
        salient(known.standing, limits.standing),
    )
    if limits.strict:
        return told
    return tuple(v._replace(passed=True) if v.name == "forbidden_spans" else v for v in told)


def one_claim(claims: Sequence[str], new_claims: Sequence[str]) -> Verdict:
    """Exactly one claim of the passage is another one; value: how many are."""
    different = sum(a != b for a, b in zip(claims, new_claims, strict=False)) + abs(len(claims) - len(new_claims))
    return Verdict("one_claim", different == 1, different, 1)


def one_change(pair: Pair) -> Verdict:
    """One window of the claim is another one, articles aside; value: how many are."""
    return Verdict("one_change", len(pair.changes) == 1, len(pair.changes), 1)


def real_change(pair: Pair, net: WordNet) -> Verdict:
    """Say something else: value: changed lemmas that only one of both has and that mean something else by WordNet."""
    old, new = ({w.lemma for w in words if _is_content(w)} for words in pair.changed())
    swapped = pair.swapped()
    alike = {w.lemma for a, b in swapped if _is_alike(net, a, b) for w in (a, b)}
    changed = len((old ^ new) - alike)
    return Verdict("real_change", changed > 0, changed, 1)


def contradiction(pair: Pair, corpus: Corpus, net: WordNet, most: int) -> Verdict:
    """Old and new word exclude each other; value: steps between them, 0 of antonyms, 2 or more of co-hyponyms.

    99: they are neither, or a synonym, hypernym or hyponym in some common sense; or more than one word is swapped.
    """
    swapped = pair.swapped()
    steps = 99
    if len(swapped) == 1 and not _is_alike(net, *swapped[0]):
        old, new = swapped[0]
        pos = _pos(old)
        steps = corpus.steps_apart(old.lemma, new.lemma, pos) if pos else 99
    return Verdict("contradiction", steps <= most, steps, most)


def functional(pair: Pair, corpus: Corpus, least: float) -> Verdict:
    """Subjects with the old value in the slot have not the new one there too; value: the share of them (`Corpus`)."""
    slot = _changed_slot(pair)
    share = corpus.functional(slot, pair.swapped()[0][1].lemma) if slot else 0.0
    return Verdict("functional", share >= least, round(share, 4), least)


def same_predicate(pair: Pair) -> Verdict:
    """Subject and main verb are kept; value: words of them that are not, and that do not stand in both claims."""
    touched = {i for change in pair.changes for i in range(change.old_first, change.old_end)}
    lost = len(touched & (pair.old.subject | {pair.old.root}))
    grown = sum(
        c.old_first == c.old_end and bool({c.old_first - 1, c.old_first} <= pair.old.subject) for c in pair.changes
    )
    return Verdict("same_predicate", lost + grown == 0, lost + grown, 0)


def minimal_edit(pair: Pair, most: float) -> Verdict:
    """Few words are edited; value: the edit distance of the words to the number of the old ones (Levenshtein)."""
    from rapidfuzz.distance import Levenshtein

    old, new = ([word.text.lower() for word in claim.words] for claim in (pair.old, pair.new))
    ratio = Levenshtein.distance(old, new) / max(len(old), 1)
    return Verdict("minimal_edit", ratio <= most, round(ratio, 4), most)


def no_negation(pair: Pair) -> Verdict:
    """No negator comes or goes and no word is negated by its prefix or suffix; value: how many do."""
    old, new = (Counter(w.text.lower().replace("\u2019", "'") for w in c.words) for c in (pair.old, pair.new))
    turned = sum(abs(old[word] - new[word]) for word in _NEGATORS)
    turned += sum(negates(a.lemma, b.lemma) for a, b in pair.swapped())
    return Verdict("no_negation", turned == 0, turned, 0)


def forbidden_spans(pair: Pair) -> Verdict:
    """Names, dates and numbers are those of the old claim; value: how many words of them came or went."""
    old, new = (Counter(word.text.lower() for word in words if _is_forbidden(word)) for words in pair.changed())
    changed = ((old - new) + (new - old)).total()
    return Verdict("forbidden_spans", changed == 0, changed, 0)


def frequency(pair: Pair, most: float) -> Verdict:
    """New words are about as common as the old ones; value: the largest distance, zipf (log10 of frequency)."""
    distance = max((abs(zipf(a.lemma) - zipf(b.lemma)) for a, b in pair.swapped()), default=0.0)
    return Verdict("frequency", distance <= most, round(distance, 4), most)


def same_type(pair: Pair, net: WordNet) -> Verdict:
    """Each new word is of the old one's type (lexicographer file, or exclusive set); value: how many are not."""
    unlike = 0
    for old, new in pair.swapped():
        pos = _pos(old)
        alike = pos and (
            are_exclusive(old.lemma, new.lemma, pos)
            or not _files(net, old.lemma, pos).isdisjoint(_files(net, new.lemma, pos))
        )
        unlike += not alike
    return Verdict("same_type", unlike == 0, unlike, 0)


def same_company(pair: Pair, contexts: Contexts) -> Verdict:
    """New words are found beside the words that the old ones are; value: the least cosine of old and new word."""
    least = min((LEAST_ALIKE.get(_pos(a) or "n", 0.0) for a, _ in pair.swapped()), default=0.0)
    alike = min((contexts.similarity(a.lemma, b.lemma) for a, b in pair.swapped()), default=0.0)
    return Verdict("same_company", alike >= least, round(alike, 4), least)


def not_true_elsewhere(pair: Pair, corpus: Corpus, net: WordNet, page_text: str) -> Verdict:
    """Neither the page nor another claim of the subject has the new word or a synonym of one meaning; value: how often.

    Of a word for people: nor one for what both it and no common sense of the old word is a kind of (who is an artist
    may be a painter). Of an adjective before a noun: nor has the page it before this noun, with two words between or
    less.
    """
    times = 0
    for old, new in pair.swapped():
        if old.dep == "amod":
            times += _quality_said(old, new, pair.old, page_text)
        else:
            times += _word_said(old, new, pair.old, corpus, net, page_text)
    return Verdict("not_true_elsewhere", times == 0, times, 0)


def salient(standing: float, least: float) -> Verdict:
    """Take no claim of the bottom quartile; value: the claim's standing in its passage, in (0, 1]."""
    return Verdict("salience", standing > least, round(standing, 4), least)


# --- parts ---

_NEGATORS_WORDS: Final = """
    not n't no never none nobody nothing nowhere neither nor without cannot hardly scarcely barely seldom rarely few
    little
    """
_NEGATORS: Final = frozenset(_NEGATORS_WORDS.split())
_NAMED: Final = ("PROPN", "NUM")
_FILES: Final[Mapping[str, Pos]] = {"NOUN": "n", "ADJ": "a", "VERB": "v", "ADV": "r"}


def _changes(old: Sequence[Word], new: Sequence[Word]) -> list[Change]:
    """Return the windows in which two claims differ, without articles that only follow the next word."""
    matcher = SequenceMatcher(None, [w.text.lower() for w in old], [w.text.lower() for w in new], autojunk=False)
    found = [Change(*places) for kind, *places in matcher.get_opcodes() if kind != "equal"]
    return [c for c in found if not _is_article(old[c.old_first : c.old_end], new[c.new_first : c.new_end])]


def _is_article(old: Sequence[Word], new: Sequence[Word]) -> bool:
    return len(old) == len(new) == 1 and {old[0].text.lower(), new[0].text.lower()} == {"a", "an"}


def _is_content(word: Word) -> bool:
    return word.text[:1].isalnum() and word.text.lower() not in ("a", "an", "the")


def _pos(word: Word) -> Pos | None:
    if word.tag.startswith("JJ"):
        return "a"
    return _FILES.get(word.pos)


def _quality_said(old: Word, new: Word, claim: Parsed, page_text: str) -> int:
    held = re.escape(claim.words[old.head].text.lower())
    return len(re.findall(rf"\b{re.escape(new.text.lower())}\b(?:,? [\w-]+){{0,2}},? {held}\b", page_text.lower()))


def _word_said(old: Word, new: Word, claim: Parsed, corpus: Corpus, net: WordNet, page_text: str) -> int:
    names, own, pos = {new.lemma}, {word.lemma for word in claim.words}, _pos(old)
    if pos:
        names |= {word.lower() for word in net.synonyms(new.lemma, pos) if len(net.senses(word, pos)) == 1}
    if pos == "n":
        names |= set(_kinds_of_people(old.lemma, new.lemma, net))
    names -= own
    told = Counter(re.findall(r"[a-z]+(?:-[a-z]+)*", page_text.lower()))
    said = corpus.said_of(claim.subject_text)
    times = sum(said[name] for name in sorted(names))
    for form, count in told.items():
        bases = net.base_forms(form, pos) if pos else ()
        times += count * (not names.isdisjoint({form, *bases[:2]}))
    return times


def _kinds_of_people(old: str, new: str, net: WordNet) -> Iterator[str]:
    """Yield the words for people that are right above one and not above the other: "artist" of "painter"."""
    above = [s for n in common_senses(net, new, "n") for s in net.hypernyms(net.senses(new, "n")[n])]
    others = {s for n in common_senses(net, old, "n") for s in net.ancestors(net.senses(old, "n")[n])}
    for synset in above:
        if synset.file == "noun.person" and synset not in others:
            yield from (word for word in synset.words if word.isalpha() and len(net.senses(word, "n")) <= 2)


def _files(net: WordNet, lemma: str, pos: Pos) -> set[str]:
    senses = net.senses(lemma, pos)
    return {senses[n].file for n in common_senses(net, lemma, pos)}


def _is_alike(net: WordNet, old: Word, new: Word) -> bool:
    """Say whether one word means the same as the other, or is more general, in a sense of both."""
    kinds: tuple[Pos, ...] = ("n", "v", "a", "r")
    for pos in [p for p in (_pos(old),) if p] or kinds:
        one, other = set(net.senses(old.lemma, pos)), set(net.senses(new.lemma, pos))
        if not one.isdisjoint(other):
            return True
        if any(not one.isdisjoint(net.ancestors(s)) for s in other):
            return True
        if any(not other.isdisjoint(net.ancestors(s)) for s in one):
            return True
    return False


def _changed_slot(pair: Pair) -> Slot | None:
    """Return the slot whose word was changed, where it is one word of one."""
    swapped = pair.swapped()
    if len(swapped) != 1:
        return None
    return next((slot for slot in pair.old.slots if pair.old.words[slot.place] == swapped[0][0]), None)


def _is_forbidden(word: Word) -> bool:
    """Say whether a word is of a name, a date or a number."""
    named = word.entity and word.text[:1].isalnum() and word.pos in ("NOUN", "ADJ")
    in_capitals = word.start > 0 and word.text[:1].isupper()
    return bool(named) or word.pos in _NAMED or in_capitals or any(c.isdigit() for c in word.text)


def failed(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the names of the checks that a pair has not passed."""
    return [verdict.name for verdict in verdicts if not verdict.passed]
