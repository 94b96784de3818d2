"""Which sense of a word is meant: the one that counted texts nearly always mean, or that the text around it speaks for.

In doubt there is no answer: a word taken in a wrong sense makes nonsense of what is put for it.
"""

import math
import re
from functools import cache

from tasks.text.wordnet import Pos, Synset, WordNet

# without a text around it a word is taken in its first sense, where counted texts leave little doubt that it is meant
CLEAR_SHARE, CLEAR_COUNT = 0.85, 2
# with a text: how strongly it must speak for a sense, and how much more than for one of another kind (see `_evidence`)
EVIDENCE, EVIDENCE_MARGIN = 0.3, 0.2
LIKELY_SHARE = 0.6  # of the first sense, where the text speaks for it but weakly
LAST_SENSE = 5  # later ones are so rare that a text which seems to speak for them mostly speaks of something else
RARE_SHARE, RARE_EVIDENCE = 0.1, 0.8  # a sense that counted texts hardly have must be spoken for loudly


class Senses:
    """Tells the senses of words apart with a WordNet database; what it has once worked out it keeps."""

    def __init__(self, wordnet: WordNet) -> None:
        self._net = wordnet
        self._bags: dict[Synset, tuple[frozenset[str], frozenset[str]]] = {}

    def clear_sense(self, word: str, pos: Pos) -> int | None:
        """Return the sense that a word nearly always has, from 1, or None where there are several common ones.

        Meanings of one lexicographer file count as one: "painter" as an artist and as a worker.
        """
        return 1 if self._first_share(word, pos) >= CLEAR_SHARE else None

    def _first_share(self, word: str, pos: Pos) -> float:
        """Return what share of a word's counted occurrences is of the kind of its first sense."""
        senses, counts = self._net.senses(word, pos), self._net.tag_counts(word, pos)
        if sum(counts) < CLEAR_COUNT:  # too few to say: all senses count alike
            counts = (1,) * len(senses)
        first = sum(count for sense, count in zip(senses, counts, strict=True) if sense.file == senses[0].file)
        return first / max(sum(counts), 1)

    def sense_in(self, word: str, pos: Pos, text: str) -> int | None:
        """Return the sense that a word has in a text, from 1, or None where that is in doubt.

        After Lesk (SIGDOC 1986), with the words of related synsets: the sense whose explanation shares most with the
        text, rare words counting most. Where the text says little, the first sense must be the one nearly always meant.
        """
        senses, counts = self._net.senses(word, pos), self._net.tag_counts(word, pos)
        around = _tokens(text) - _tokens(word)
        if not senses:
            return None
        if not around:
            return self.clear_sense(word, pos)
        scores = [self._evidence(sense, around) for sense in senses]

        def elsewhere(n: int) -> float:
            others = (score for sense, score in zip(senses, scores, strict=True) if sense.file != senses[n].file)
            return max(others, default=0.0)

        best = max(range(len(senses)), key=lambda n: (scores[n], counts[n], -n))
        rare = counts[best] < RARE_SHARE * sum(counts) >= RARE_SHARE * CLEAR_COUNT
        if scores[best] >= (RARE_EVIDENCE if rare else EVIDENCE) and scores[best] - elsewhere(best) >= EVIDENCE_MARGIN:
            return best + 1 if best < LAST_SENSE else None
        share = LIKELY_SHARE if scores[0] > elsewhere(0) else CLEAR_SHARE
        return 1 if self._first_share(word, pos) >= share and elsewhere(0) < EVIDENCE else None

    def _evidence(self, synset: Synset, around: frozenset[str]) -> float:
        if synset not in self._bags:
            near, kinds = [synset, *self._net.hypernyms(synset)], self._net.hyponyms(synset)
            told = _tokens(" ".join(text for s in near for text in (s.gloss, *s.words)))
            names = [s.words for kind in kinds for s in (kind, *self._net.hyponyms(kind))]
            names += [self._net.synset(p.pos, p.offset).words for p in synset.pointers if p.symbol[0] in "#%+;=-"]
            far = _tokens(" ".join([*(kind.definition for kind in kinds), *(w for words in names for w in words)]))
            self._bags[synset] = told, far - told
        told, far = self._bags[synset]
        score = sum(map(_weight, sorted(told & around))) + 0.5 * sum(map(_weight, sorted(far & around)))
        return score / math.log(10 + len(told) + len(far))


@cache
def zipf(word: str) -> float:
    """Return how often a word stands in English texts: log10 of its occurrences in 1e9 words; 0 where unknown."""
    from wordfreq import zipf_frequency

    return zipf_frequency(word, "en")


def _tokens(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]{3,}", text.lower()))


def _weight(token: str) -> float:
    """Return how much a word of a text tells: nothing where it stands in every text."""
    return max(0.0, 6 - zipf(token))
