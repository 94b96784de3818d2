"""Exact search over documents, by vectors and by words (BM25, Robertson and Zaragoza 2009): what retrieval is made of.

Ranks are a function of documents and query: equal scores come in the order of document ids.
"""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

_WORD = re.compile(r"\w+")
_AT_ONCE = 256  # queries: memory holds the scores of so many


class Index:
    """Documents by the vectors of their sentences: a document is as near as its nearest sentence."""

    def __init__(self, document_ids: Sequence[str], vectors_SD: np.ndarray, members_NP: np.ndarray) -> None:
        """`members` are the sentences of each document, places in `vectors`; one may stand twice.

        Raises ValueError where they are of another number of documents.
        """
        if len(document_ids) != len(members_NP):
            raise ValueError(f"{len(document_ids)} documents, but the sentences of {len(members_NP)}")
        order = sorted(range(len(document_ids)), key=lambda place: document_ids[place])
        self.document_ids = [document_ids[place] for place in order]
        self._vectors_SD = vectors_SD
        self._members_NP = members_NP[order]

    def search(self, queries_QD: np.ndarray, k: int) -> list[list[str]]:
        """Return for each query the ids of the k documents with the largest dot product, best first."""
        found: list[list[str]] = []
        for first in range(0, len(queries_QD), _AT_ONCE):
            scores_QS = queries_QD[first : first + _AT_ONCE] @ self._vectors_SD.T
            for scores_S in scores_QS:
                scores_N = scores_S[self._members_NP].max(1) if self.document_ids else scores_S[:0]
                found.append([self.document_ids[place] for place in best(scores_N, k)])
        return found


class WordIndex:
    """Documents by their words, BM25 as bm25s has it by default (Lucene's variant, k1 1.5, b 0.75)."""

    def __init__(self, document_ids: Sequence[str], texts: Sequence[str]) -> None:
        import bm25s

        logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets itself to DEBUG, and tells of each index
        order = sorted(range(len(document_ids)), key=lambda place: document_ids[place])
        self.document_ids = [document_ids[place] for place in order]
        self._index: Any = bm25s.BM25()
        self._index.index([words(texts[place]) for place in order], show_progress=False)

    def search(self, queries: Sequence[str], k: int) -> list[list[str]]:
        """Return for each query the ids of the k documents with the largest score, best first."""
        return [[self.document_ids[place] for place in best(self._scores(query), k)] for query in queries]

    def _scores(self, query: str) -> np.ndarray:
        known = [word for word in words(query) if word in self._index.vocab_dict]
        if not known:
            return np.zeros(len(self.document_ids), np.float32)
        return np.asarray(self._index.get_scores(known))


def words(text: str) -> list[str]:
    """Return the words of a text, in lower case."""
    return _WORD.findall(text.lower())


def best(scores_N: np.ndarray, k: int) -> list[int]:
    """Return the places of the k largest scores, best first; equal ones in their order."""
    k = min(k, len(scores_N))
    if not k:
        return []
    least = np.partition(scores_N, len(scores_N) - k)[len(scores_N) - k]
    candidates = np.flatnonzero(scores_N >= least)
    return candidates[np.argsort(-scores_N[candidates], kind="stable")][:k].tolist()


def recall_at(k: int, found: Iterable[Sequence[str]], right: Iterable[frozenset[str]]) -> float:
    """Return the share of queries that have a right document among their first k; 0 without any query."""
    hits = [bool(ranked and not there.isdisjoint(ranked[:k])) for ranked, there in zip(found, right, strict=True)]
    return sum(hits) / len(hits) if hits else 0.0


def windows_of_claims(
    claims: Iterable[Mapping[str, Any]], windows: Iterable[Mapping[str, Any]]
) -> dict[str, frozenset[str]]:
    """Return for each claim the windows of its page that hold its whole quote: those are right for it.

    `claims` are rows of CLAIMS, `windows` rows of DOCUMENTS; claims of passages without a window are left out.
    """
    by_page: dict[str, list[Mapping[str, Any]]] = {}
    starts: dict[str, int] = {}
    for window in windows:
        by_page.setdefault(window["page_id"], []).append(window)
        starts[window["document_id"]] = window["start"]
    found = {}
    for claim in claims:
        if claim["passage_id"] not in starts:
            continue
        start, end = (starts[claim["passage_id"]] + claim[name] for name in ("quote_start", "quote_end"))
        found[claim["claim_id"]] = frozenset(
            window["document_id"]
            for window in by_page[claim["page_id"]]
            if window["start"] <= start and end <= window["end"]
        )
    return found
