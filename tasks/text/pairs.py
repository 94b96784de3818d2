"""Retrieval pairs for training: a claim and a document that it is to find, batched so that the others are hard to tell.

Among documents drawn by chance the right one is found without training; so a batch holds claims that are like each
other, each of a page of its own (DPR, arXiv 2004.04906, trains on in-batch negatives and hard ones alike).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.text.search import words


@dataclass(frozen=True)
class Pair:
    """A claim, the sentence of a document that says it, and the page of both."""

    query: str
    sentence: str
    page_id: str


def drawn_pairs(
    rows: Sequence[Mapping[str, Any]], sentences: Mapping[str, Sequence[str]], most: int, rng: np.random.Generator
) -> list[Pair]:
    """Return at most so many of the rows of RETRIEVAL_PAIRS (0: all), drawn by `rng`, none twice.

    `sentences` has those of each document id. Each claim comes once before one comes a second time, with another
    document.
    """
    turns: dict[tuple[str, str], int] = {}
    shuffled = [rows[place] for place in rng.permutation(len(rows)).tolist()]
    numbered = []
    for row in shuffled:
        key = row["page_id"], row["query"]
        numbered.append((turns.get(key, 0), row))
        turns[key] = turns.get(key, 0) + 1
    numbered.sort(key=lambda one: one[0])
    chosen = [row for _, row in numbered[: most or None]]
    return [
        Pair(row["query"], most_alike(row["query"], sentences[row["document_id"]]), row["page_id"]) for row in chosen
    ]


def most_alike(claim: str, sentences: Sequence[str]) -> str:
    """Return the sentence that shares most with a claim, the first of several; a shared word counts by its length."""
    asked = set(words(claim))
    return max(sentences, key=lambda one: sum(map(len, asked & set(words(one)))))


def neighbouring_batches(
    vectors_ND: np.ndarray, pages: Sequence[str], size: int, rng: np.random.Generator
) -> list[list[int]]:
    """Return batches of places: one drawn by `rng`, and those nearest to it, no two of one page, none twice.

    It ends where no whole batch is left. Vectors have unit length.
    """
    free_N = np.ones(len(vectors_ND), np.bool_)
    numbers = {page: number for number, page in enumerate(dict.fromkeys(pages))}
    page_N = np.array([numbers[page] for page in pages], np.int64)
    batches: list[list[int]] = []
    for first in rng.permutation(len(vectors_ND)).tolist():
        if not free_N[first]:
            continue
        likeness_N = np.where(free_N, vectors_ND @ vectors_ND[first], -np.inf)
        likeness_N[first] = np.inf
        order = np.argsort(-likeness_N, kind="stable")[: int(free_N.sum())]
        _, nearest_of_page = np.unique(page_N[order], return_index=True)
        batch = order[np.sort(nearest_of_page)[:size]].tolist()
        if len(batch) < size:
            break
        free_N[batch] = False
        batches.append(batch)
    return batches
