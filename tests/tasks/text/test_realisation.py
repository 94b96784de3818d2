"""F and U of whole passages: nothing is lost, they differ in one window, and the same seed tells them the same."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc

from tasks.tables import Reject
from tasks.text.parser import load_parser
from tasks.text.realisation import FalseClaim, Passage, Resources, Told, four_grams, overlap, retell
from tasks.text.synonyms import Usage, count_pairs, tokens
from tasks.text.tellings import Choices
from tasks.text.windows import Window, swapped_tokens, window_of
from tasks.text.wordnet import WordNet
from tests.tasks.text.databases import Entry, write_database

FIXTURES = Path(__file__).parents[2] / "fixtures" / "wikipedia"
PASSAGES = 12
FREE = Choices(synonyms=1.0, restructure=1.0)
LAKE = [
    "The Inle is a lake in Laos.",
    "The Inle has a length of 22 km.",
    "The Inle was mapped by Anna Berg in 1890.",
    "The symptoms of malaria include fever.",
    "The symptoms of malaria include fatigue.",
]


class Remembered:
    """The parser, which parses each claim of the tests once."""

    def __init__(self, nlp: Language) -> None:
        self._nlp, self._docs = nlp, dict[str, Doc]()

    def __call__(self, text: str) -> Doc:
        if text not in self._docs:
            self._docs[text] = self._nlp(text)
        return self._docs[text]


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> Resources:
    entries = [Entry("lake", "noun.location", "lake:9"), Entry("fever", "noun.animal", "fever:3")]
    wordnet = WordNet(write_database(tmp_path_factory.mktemp("wordnet"), entries))
    texts = [passage.text for passage, _ in real_passages()]
    return Resources(Remembered(load_parser()), wordnet, Usage(count_pairs(texts)))


def real_passages() -> Iterator[tuple[Passage, list[str]]]:
    """Yield passages of Wikipedia, and their claims as people wrote them down."""
    passages = [json.loads(line) for line in (FIXTURES / "passages.jsonl").read_text().splitlines()]
    told = [json.loads(line) for line in (FIXTURES / "claims_a.jsonl").read_text().splitlines()]
    claims = {one["passage_id"]: [claim["text"] for claim in one["claims"]] for one in told}
    for one in passages[:PASSAGES]:
        yield Passage(one["text"], one["title"]), claims[one["passage_id"]]


REAL = list(real_passages())


def told(resources: Resources, claims: list[str], false: FalseClaim | None = None, seed: int = 0) -> Told:
    found = retell(Passage(" ".join(claims), "Inle"), claims, false, resources, FREE, np.random.default_rng(seed))
    assert isinstance(found, Told)
    return found


def test_every_claim_has_its_place_in_the_order_of_the_claims(resources: Resources) -> None:
    for passage, claims in REAL:
        found = retell(passage, claims, None, resources, FREE, np.random.default_rng(0))
        assert isinstance(found, Told)
        assert len(found.factual_spans) == len(found.ways) == len(claims)
        ends = [end for _, end in found.factual_spans]
        assert ends == sorted(ends)
        assert found.factual.endswith((".", '"'))
        assert (found.unfactual, found.unfactual_spans, found.window) == (None, (), None)


def test_names_and_numbers_of_a_claim_stand_in_the_text_before_its_end(resources: Resources) -> None:
    for passage, claims in REAL:
        found = retell(passage, claims, None, resources, FREE, np.random.default_rng(1))
        assert isinstance(found, Told)
        for claim, (_, end) in zip(claims, found.factual_spans, strict=True):
            there = set(tokens(found.factual[:end]))
            for word in tokens(claim):
                if any(c.isdigit() for c in word):
                    assert word in there, (claim, found.factual)


def test_texts_share_less_with_the_passage_than_the_claims_do(resources: Resources) -> None:
    plain = Choices(synonyms=0.0, restructure=0.0)
    shares = []
    for choices in (FREE, plain):
        found = [retell(p, c, None, resources, choices, np.random.default_rng(0)) for p, c in REAL]
        shares.append(
            sum(overlap(f.factual, p.text) for f, (p, _) in zip(found, REAL, strict=True) if isinstance(f, Told))
        )
    assert shares[0] < 0.9 * shares[1]


def brute_force_overlap(text: str, passage: str) -> float:
    words = [w.strip(".,").lower() for w in text.split()]
    there = " " + " ".join(w.strip(".,").lower() for w in passage.split()) + " "
    runs = [" " + " ".join(words[i : i + 4]) + " " for i in range(len(words) - 3)]
    return sum(run in there for run in runs) / len(runs)


def test_overlap_is_the_share_of_runs_of_four_words() -> None:
    passage, text = (
        "Oslo is the capital of Norway, by the sea.",
        "The capital of Norway by the lake. Oslo is the capital.",
    )
    assert overlap(text, passage) == pytest.approx(brute_force_overlap(text, passage)) == pytest.approx(4 / 8)
    assert overlap("Oslo is small.", passage) == 0
    assert sum(four_grams(passage).values()) == 6


# --- U ---


@st.composite
def swaps(draw: st.DrawFn) -> tuple[Passage, list[str], FalseClaim]:
    """Draw a passage and a claim of it with one word changed, the article before it too."""
    passage, claims = draw(st.sampled_from(REAL))
    number = draw(st.integers(0, len(claims) - 1))
    words = claims[number].rstrip(".").split()
    place = draw(st.integers(1, len(words) - 1))
    new = draw(st.sampled_from(["oak", "pear", "green apple", "X-ray", "1999"]))
    mark = "," if words[place].endswith(",") else ""
    words[place] = new + mark
    if words[place - 1] in ("a", "an"):
        words[place - 1] = "an" if new[0] in "aeioX" else "a"
    return passage, claims, FalseClaim(number, " ".join(words) + ".")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(swap=swaps(), seed=st.integers(0, 5))
def test_u_is_f_but_for_one_window_within_the_claim(
    swap: tuple[Passage, list[str], FalseClaim], seed: int, resources: Resources
) -> None:
    passage, claims, false = swap
    found = retell(passage, claims, false, resources, FREE, np.random.default_rng(seed))
    if isinstance(found, Reject):
        assert found.reason == "false_claim"  # such as a claim of which most is changed
        return
    assert found.unfactual is not None
    assert found.window is not None
    old, new = found.window.old, found.window.new
    replaced = found.unfactual[slice(*new)]
    assert found.factual[: old[0]] + replaced + found.factual[old[1] :] == found.unfactual
    assert found.factual[slice(*old)] != replaced
    for spans, window in ((found.factual_spans, old), (found.unfactual_spans, new)):
        start, end = spans[false.number]
        assert start <= window[0] <= window[1] <= end
    without = [w for n, w in enumerate(found.factual_spans) if n != false.number]
    assert len(without) == len(claims) - 1
    same = retell(passage, claims, false, resources, FREE, np.random.default_rng(seed))
    assert same == found


def test_the_swapped_word_is_never_told_by_another(resources: Resources) -> None:
    for seed in range(8):
        found = told(resources, LAKE, FalseClaim(0, "The Inle is a river in Laos."), seed)
        assert found.window is not None
        assert (found.factual[slice(*found.window.old)], found.unfactual.count("lake")) == ("lake", 0)  # type: ignore[union-attr]
        assert "the lake" not in found.factual.lower()  # else U would tell both


def test_an_article_changes_with_the_word_after_it(resources: Resources) -> None:
    found = told(
        resources, ["Anna Berg was a painter.", "Anna Berg lived in Oslo."], FalseClaim(0, "Anna Berg was an actor.")
    )
    assert found.window is not None
    assert found.unfactual is not None
    assert found.factual[slice(*found.window.old)] == "a painter"
    assert found.unfactual[slice(*found.window.new)] == "an actor"


def test_what_cannot_be_told_is_rejected_with_the_reason(resources: Resources) -> None:
    def reason(claims: list[str], false: FalseClaim | None) -> str:
        found = retell(Passage("", ""), claims, false, resources, FREE, np.random.default_rng(0))
        assert isinstance(found, Reject)
        return found.reason

    assert reason([], None) == "no_claims"
    assert reason(["The lake is deep."], FalseClaim(0, "The lake is deep.")) == "false_claim"
    assert reason(["The lake is deep."], FalseClaim(0, "A town was old.")) == "false_claim"


# --- windows ---


def test_the_window_is_the_smallest_run_of_whole_words() -> None:
    assert window_of("a b c d", "a x c d") == Window((2, 3), (2, 3))
    assert window_of("It is a lake.", "It is an inlet.") == Window((6, 12), (6, 14))
    assert window_of("painters sing", "painter sing") == Window((0, 8), (0, 7))
    assert window_of("a well-known lake", "a well-read lake") == Window((2, 12), (2, 11))
    assert window_of("same", "same") is None


@given(st.lists(st.sampled_from(["a", "an", "lake", "x-y", "12"])), st.lists(st.sampled_from(["a", "lake", "sea"])))
def test_a_window_put_into_the_old_text_gives_the_new(old_words: list[str], new_words: list[str]) -> None:
    old, new = " ".join(old_words), " ".join(new_words)
    window = window_of(old, new)
    if window is None:
        assert old == new
    else:
        assert old[: window.old[0]] + new[slice(*window.new)] + old[window.old[1] :] == new


def test_swapped_tokens_are_those_that_the_false_claim_tells_otherwise(resources: Resources) -> None:
    def swapped(claim: str, false: str) -> dict[str, str] | None:
        doc = resources.parse(claim)
        found = swapped_tokens(doc, false)
        return None if found is None else {doc[at].text: new for at, new in found.items()}

    assert swapped("It is a deep lake.", "It is a flat lake.") == {"deep": "flat"}
    assert swapped("It is an old lake in Laos.", "It is a new lake in Laos.") == {"old": "new"}
    assert swapped("It is a large lake in Laos.", "It is a large salt pan in Laos.") == {"lake": "salt pan"}
    assert swapped("It is an oak.", "It was no fir.") is None


def test_a_surname_that_is_a_word_too_keeps_its_capital(resources: Resources) -> None:
    claims, passage = ["Lake wrote songs.", "Lake lived in Oslo."], "Lake wrote songs. He lived in Oslo."
    for seed in range(8):
        found = retell(Passage(passage, "Anna Lake"), claims, None, resources, FREE, np.random.default_rng(seed))
        assert isinstance(found, Told)
        assert "lake" not in found.factual
