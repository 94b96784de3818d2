"""Search is exact, and its order is a function of documents and query."""

import math

import numpy as np
import pytest

from tasks.text.search import Index, WordIndex, best, recall_at, windows_of_claims, words


def single(count: int) -> np.ndarray:
    """Documents of one sentence each."""
    return np.arange(count, dtype=np.int32)[:, None]


def test_the_nearest_are_those_of_a_loop_over_all_sentences() -> None:
    rng = np.random.default_rng(0)
    vectors, queries = (rng.standard_normal((count, 8)).astype(np.float32) for count in (900, 300))
    members = rng.integers(0, 900, (700, 4))
    ids = [f"d{number:03d}" for number in rng.permutation(700)]
    found = Index(ids, vectors, members).search(queries, 30)
    for query, ranked in zip(queries, found, strict=True):
        dots = [float(np.dot(query.astype(np.float64), vector)) for vector in vectors]
        scores = {name: max(dots[place] for place in mine) for name, mine in zip(ids, members.tolist(), strict=True)}
        wanted = sorted(ids, key=lambda name: -scores[name])[:30]
        assert [round(scores[name], 4) for name in ranked] == [round(scores[name], 4) for name in wanted]


def test_equal_scores_come_in_the_order_of_ids_whatever_order_documents_have() -> None:
    vectors = np.array([[1, 0], [1, 0], [2, 0], [1, 0], [0, 1]], np.float32)
    ids = ["d", "b", "z", "a", "c"]
    query = np.array([[1, 0]], np.float32)
    assert Index(ids, vectors, single(5)).search(query, 3) == [["z", "a", "b"]]
    order = [3, 1, 4, 0, 2]
    assert Index([ids[place] for place in order], vectors[order], single(5)).search(query, 3) == [["z", "a", "b"]]
    sharing = np.array([[2, 0], [4, 2], [1, 3]], np.int32)  # two windows with the best sentence
    assert Index(["y", "x", "w"], vectors, sharing).search(query, 3) == [["x", "y", "w"]]


def test_a_few_documents_are_all_found() -> None:
    eye, query = np.eye(2, dtype=np.float32), np.array([[0.5, 1]], np.float32)
    assert Index(["a", "b"], eye, single(2)).search(query, 30) == [["b", "a"]]
    assert best(np.zeros(0), 3) == []
    assert Index([], eye[:0], np.zeros((0, 0), np.int32)).search(query, 5) == [[]]
    with pytest.raises(ValueError, match="1 documents, but the sentences of 2"):
        Index(["a"], eye, single(2))


def test_words_are_ranked_by_bm25() -> None:
    texts = {"a": "the cat sat", "b": "the dog sat on the mat", "c": "cats and dogs", "d": "the cat and the cat"}
    found = WordIndex(list(texts), list(texts.values())).search(["the cat", "zebra", ""], 4)
    documents = {name: words(text) for name, text in texts.items()}
    mean = sum(map(len, documents.values())) / 4

    def score(name: str) -> float:
        total = 0.0
        for word in ("the", "cat"):
            holders = sum(word in one for one in documents.values())
            idf = math.log(1 + (4 - holders + 0.5) / (holders + 0.5))
            count = documents[name].count(word)
            total += idf * count / (count + 1.5 * (1 - 0.75 + 0.75 * len(documents[name]) / mean))
        return total

    assert found[0] == sorted(texts, key=lambda name: -score(name))
    assert found[1] == found[2] == ["a", "b", "c", "d"]


def test_recall_counts_queries_with_a_right_document_among_the_first() -> None:
    found = [["a", "b"], ["c", "d"], [], ["x"]]
    right = [frozenset({"b"}), frozenset({"c"}), frozenset({"a"}), frozenset[str]()]
    assert recall_at(1, found, right) == 0.25
    assert recall_at(2, found, right) == 0.5
    assert recall_at(1, [], []) == 0


def test_a_window_is_right_where_it_holds_the_whole_quote() -> None:
    spans = {"p-0": (0, 50), "p-1": (10, 60), "p-2": (30, 80), "p-3": (100, 150)}
    windows = [
        {"document_id": name, "page_id": name[0], "start": start, "end": end} for name, (start, end) in spans.items()
    ]
    windows.append({"document_id": "q-0", "page_id": "q", "start": 0, "end": 200})
    claims = [
        {"claim_id": "one", "passage_id": "p-1", "page_id": "p", "quote_start": 20, "quote_end": 40},  # 30..50
        {"claim_id": "two", "passage_id": "p-1", "page_id": "p", "quote_start": 20, "quote_end": 45},  # 30..55
        {"claim_id": "lost", "passage_id": "r-0", "page_id": "r", "quote_start": 0, "quote_end": 1},
    ]
    assert windows_of_claims(claims, windows) == {"one": {"p-0", "p-1", "p-2"}, "two": {"p-1", "p-2"}}
