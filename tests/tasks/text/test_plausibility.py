"""The most natural false claim comes first and an unnatural one is refused; no text is read twice by one model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spacy.language import Language

from tasks.store import Store
from tasks.tables import Reject
from tasks.text.falsification import Falsified, Sources, falsify
from tasks.text.plausibility import Naturalness, Plausibility, Scorer
from tasks.text.slots import Parsed
from tasks.text.validators import Verdict
from tests.tasks.text.test_falsification import CLAIMS, TEXT
from tests.tasks.text.test_falsification import claims as claims
from tests.tasks.text.test_falsification import nlp as nlp
from tests.tasks.text.test_falsification import sources as sources

PAINTER, HOUSE = CLAIMS[0], CLAIMS[2]
SCULPTOR, ILLUSTRATOR = "Anna Berg was a sculptor.", "Anna Berg was an illustrator."
SMALL = "The house of Anna Berg was small."


def naturalness(most: float = 1.0, candidates: int = 3, sha256: str = "0" * 64, threads: int = 1) -> Naturalness:
    weights = {"kind": "url", "name": "none", "location": "file:///none", "sha256": sha256, "licence": "x"}
    told = {"candidates": candidates, "max_rise_nats": most, "threads": threads}
    return Naturalness.model_validate({**told, "weights": {**weights, "credit": "x", "url": "x"}})


class Reader:
    """A model that finds texts as natural as it was told, and counts what it is asked."""

    def __init__(self, nats: Mapping[str, float]) -> None:
        self.nats, self.asked, self.loaded = nats, list[str](), 0

    def load(self) -> Scorer:
        self.loaded += 1

        def nats_per_token(text: str) -> float:
            self.asked.append(text)
            return self.nats[text]

        return nats_per_token


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def falsified(
    sources: Sources, claims: list[Parsed], nlp: Language, models: Plausibility | None, seed: int = 0
) -> Falsified | Reject:
    return falsify(TEXT, "Anna Berg", claims, sources, nlp, np.random.default_rng(seed), plausibility=models)


def test_what_was_read_once_is_known_to_every_later_run(store: Store) -> None:
    reader = Reader({"a": 2.0, "b": 2.5, "c": 1.0})
    first = Plausibility(store, naturalness(), reader.load)
    assert first.rises("a", []) == [] and reader.loaded == 0
    assert first.rises("a", ["b", "c", "b"]) == [0.5, -1.0, 0.5]
    assert first.order("a", ["b", "c", "a"]) == [1, 2, 0]
    assert first.order("a", ["b", "a", "a"]) == [1, 2, 0]  # of equal ones the order stays
    assert (sorted(reader.asked), reader.loaded, first.read) == (["a", "b", "c"], 1, 3)

    again = Plausibility(Store(store.url), naturalness(most=0.1, candidates=1), reader.load)  # no limit is in a key
    assert again.rises("a", ["b", "c"]) == [0.5, -1.0]
    assert (reader.asked, reader.loaded, again.read) == (reader.asked[:3], 1, 0)
    reader.nats = {**reader.nats, "d": 4.0}
    assert again.rises("a", ["d"]) == [2.0]
    assert (reader.asked[3:], reader.loaded) == (["d"], 2)


@pytest.mark.parametrize("other", [{"sha256": "1" * 64}, {"threads": 2}])
def test_another_model_or_number_of_threads_reads_for_itself(store: Store, other: dict[str, Any]) -> None:
    Plausibility(store, naturalness(), Reader({"a": 2.0, "b": 2.5}).load).rises("a", ["b"])
    reader = Reader({"a": 1.0, "b": 7.0})
    assert Plausibility(store, naturalness(**other), reader.load).rises("a", ["b"]) == [6.0]
    assert reader.asked == ["a", "b"]


def test_texts_read_before_a_kill_are_stored(store: Store) -> None:
    def dies(text: str) -> float:
        if text == "c":
            raise KeyboardInterrupt
        return 1.0

    plausibility = Plausibility(store, naturalness(), lambda: dies)
    plausibility.rises("a", ["b"])
    with pytest.raises(KeyboardInterrupt):
        plausibility.rises("a", ["c"])
    reader = Reader({"c": 1.5})
    assert Plausibility(Store(store.url), naturalness(), reader.load).rises("a", ["b", "c"]) == [0.0, 0.5]


def test_a_verdict_tells_the_rise_and_up_to_the_limit_all_is_natural(store: Store) -> None:
    plausibility = Plausibility(store, naturalness(0.5), Reader({"a": 2.0, "b": 2.5, "c": 2.75}).load)
    assert plausibility.verdict("a", "b") == Verdict("plausibility", True, 0.5, 0.5)
    assert plausibility.verdict("a", "c") == Verdict("plausibility", False, 0.75, 0.5)
    assert (plausibility.judged, plausibility.rejected) == (2, 1)


@pytest.mark.parametrize(("best", "other"), [(SCULPTOR, ILLUSTRATOR), (ILLUSTRATOR, SCULPTOR)])
def test_the_most_natural_candidate_is_taken_whichever_is_drawn_first(
    sources: Sources, claims: list[Parsed], nlp: Language, store: Store, best: str, other: str
) -> None:
    drawn = set()
    for seed in range(10):
        reader = Reader({PAINTER: 3.0, best: 3.2, other: 3.3})
        plain = falsified(sources, claims[:1], nlp, None, seed)
        assert isinstance(plain, Falsified)
        drawn.add(plain.false_claim)
        plausibility = Plausibility(Store(f"{store.url}{seed}"), naturalness(), reader.load)
        found = falsified(sources, claims[:1], nlp, plausibility, seed)
        assert isinstance(found, Falsified)
        assert (found.false_claim, found.tried) == (best, 0)
        [verdict] = [v for v in found.verdicts if v.name == "plausibility"]
        assert verdict == Verdict("plausibility", True, 0.2, 1.0)
        assert len(found.verdicts) == len(plain.verdicts) + 1
        assert sorted(reader.asked) == sorted([PAINTER, best, other])
    assert drawn == {best, other}  # without the model it is the draw that decides


def test_only_the_first_few_are_looked_at(sources: Sources, claims: list[Parsed], nlp: Language, store: Store) -> None:
    for seed in range(6):
        plain = falsified(sources, claims[:1], nlp, None, seed)
        assert isinstance(plain, Falsified)
        reader = Reader({PAINTER: 3.0, plain.false_claim: 9.0})
        models = Plausibility(Store(f"{store.url}{seed}"), naturalness(candidates=1), reader.load)
        found = falsified(sources, claims[:1], nlp, models, seed)
        assert isinstance(found, Reject) and (found.reason, found.value) == ("implausible", 1)


def test_an_unnatural_pair_is_refused_and_the_next_claim_tried(
    sources: Sources, claims: list[Parsed], nlp: Language, store: Store
) -> None:
    nats = {PAINTER: 3.0, HOUSE: 2.0, SMALL: 3.5, SCULPTOR: 3.9, ILLUSTRATOR: 4.5}
    for seed in range(5):
        assert isinstance(plain := falsified(sources, claims, nlp, None, seed), Falsified)
        assert plain.false_claim == SMALL
        found = falsified(sources, claims, nlp, Plausibility(store, naturalness(), Reader(nats).load), seed)
        assert isinstance(found, Falsified)
        assert (found.false_claim, found.tried) == (SCULPTOR, 1)
        refused = falsified(sources, claims, nlp, Plausibility(store, naturalness(0.5), Reader(nats).load), seed)
        assert isinstance(refused, Reject)
        assert (refused.reason, refused.value, refused.threshold) == ("implausible", 3, 3)


def test_what_another_check_rejects_is_not_read(
    sources: Sources, claims: list[Parsed], nlp: Language, store: Store
) -> None:
    page = "The sculptor had a small house."
    reader = Reader({PAINTER: 3.0, ILLUSTRATOR: 3.1})
    models = Plausibility(store, naturalness(), reader.load)
    rng = np.random.default_rng(0)
    found = falsify(TEXT, "Anna Berg", claims, sources, nlp, rng, page_text=page, plausibility=models)
    assert isinstance(found, Falsified) and found.new == "illustrator"
    assert sorted(reader.asked) == sorted([PAINTER, ILLUSTRATOR])
