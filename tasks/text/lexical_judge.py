"""The lexical verifier: what a trained one must beat. It knows words and their base forms, and nothing of meaning."""

import functools
import re
from collections.abc import Sequence

from spacy.language import Language

from tasks.text.decision import Label
from tasks.text.slots import Parsed, parse
from tasks.text.wordnet import WordNet

_CONTENT = frozenset({"NOUN", "PROPN", "VERB", "ADJ", "ADV", "NUM"})
_WORD = re.compile(r"\w+")
_CACHED = 1 << 16


class LexicalJudge:
    """Entailment where all content lemmas of the claim stand in the evidence.

    Else contradiction where all those of its subject do, for the evidence then speaks of it and does not say so; else
    neutral. Content words are nouns, names, verbs, adjectives, adverbs and numbers but for the parser's stop words. A
    word stands in the evidence if it shares a base form with one there (WordNet's, of any part of speech, or itself).
    """

    def __init__(self, nlp: Language, wordnet: WordNet) -> None:
        self._nlp = nlp
        self._wordnet = wordnet
        self._parsed: dict[str, tuple[list[frozenset[str]], list[frozenset[str]]]] = {}
        self._bases = functools.lru_cache(_CACHED)(self._base_forms)
        self._standing = functools.lru_cache(_CACHED)(self._evidence_forms)

    def labels(self, claims: Sequence[str], evidences: Sequence[str]) -> list[Label]:
        """Return how each claim stands to the evidence in the same place."""
        new = list(dict.fromkeys(claim for claim in claims if claim not in self._parsed))
        for text, parsed in zip(new, parse(new, self._nlp), strict=True):
            self._parsed[text] = self._content(parsed)
        return [self._label(claim, evidence) for claim, evidence in zip(claims, evidences, strict=True)]

    def _label(self, claim: str, evidence: str) -> Label:
        words, subject = self._parsed[claim]
        there = self._standing(evidence)
        if all(word & there for word in words):
            return "entailment"
        return "contradiction" if all(word & there for word in subject) else "neutral"

    def _content(self, parsed: Parsed) -> tuple[list[frozenset[str]], list[frozenset[str]]]:
        """Return the base forms of each content word of a claim, and of each in its subject."""
        stop = self._nlp.Defaults.stop_words
        forms: dict[int, list[frozenset[str]]] = {}
        for place, word in enumerate(parsed.words):
            if word.pos in _CONTENT and (word.pos == "NUM" or word.text.lower() not in stop):
                forms[place] = [self._bases(part) | {word.lemma} for part in _WORD.findall(word.text.lower())]
        every = [one for found in forms.values() for one in found]
        return every, [one for place, found in forms.items() if place in parsed.subject for one in found]

    def _evidence_forms(self, evidence: str) -> frozenset[str]:
        return frozenset().union(*(self._bases(word) for word in _WORD.findall(evidence.lower())))

    def _base_forms(self, word: str) -> frozenset[str]:
        found = (form for pos in ("n", "v", "a", "r") for form in self._wordnet.base_forms(word, pos))
        return frozenset({word, *found})
