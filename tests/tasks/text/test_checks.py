"""Single checks of a falsification and single rules for candidates, each by a case made for it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spacy.language import Language
from spacy.tokens import Doc, Span
from wordfreq import zipf_frequency

from tasks.tables import Reject
from tasks.text.contexts import Contexts
from tasks.text.exclusives import IN_DOUBT, are_exclusive, exclusives, is_meant_so
from tasks.text.falsification import Falsified, Sources, falsify, most_of_a_value
from tasks.text.falsify_claims import _figures
from tasks.text.parser import load_parser
from tasks.text.slots import Corpus, Parsed, parse
from tasks.text.swaps import Swap
from tasks.text.validators import (
    Pair,
    contradiction,
    forbidden_spans,
    frequency,
    functional,
    not_true_elsewhere,
    one_change,
    same_type,
)
from tasks.text.wordforms import negates
from tasks.text.wordnet import WordNet
from tests.tasks.text.databases import Entry, write_database
from tests.tasks.text.test_falsification import CLAIMS, ENTRIES, TEXT, TEXTS

NAMES = ("Ole Dahl", "Kari Moe", "Per Lie", "Ida Aas", "Liv Vik", "Jon Moen", "Eva Lund", "Tor Dahl")


@pytest.fixture(scope="module")
def nlp() -> Language:
    return load_parser()


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> WordNet:
    return WordNet(write_database(tmp_path_factory.mktemp("wordnet"), ENTRIES))


def pair(nlp: Language, old: str, new: str) -> Pair:
    return Pair(*parse([old, new], nlp))


def sources_of(
    folder: Path,
    nlp: Language,
    claims: Sequence[str],
    texts: Sequence[str],
    *more: Entry,
    base: Sequence[Entry] = ENTRIES,
) -> Sources:
    return Sources.of(WordNet(write_database(folder, [*base, *more])), parse(claims, nlp), texts)


def swaps_of(sources: Sources, claim: str, nlp: Language, text: str = "", **options: Any) -> list[Swap]:
    return sources.candidates.swaps(next(parse([claim], nlp)), text, np.random.default_rng(0), **options)


# --- checks ---


def test_subjects_that_are_both_make_a_slot_no_place_for_a_falsehood(net: WordNet, nlp: Language) -> None:
    swapped = pair(nlp, "Anna Berg was a painter.", "Anna Berg was a sculptor.")
    both = [f"{name} was a {trade}." for name in NAMES for trade in ("painter", "sculptor")]
    one = [f"{name} was a painter." for name in NAMES]
    told = functional(swapped, Corpus(parse(both, nlp), net), 0.8)
    assert (told.passed, told.threshold) == (False, 0.8)
    assert functional(swapped, Corpus(parse(one, nlp), net), 0.8).passed
    assert functional(swapped, Corpus(parse(both, nlp), net), told.value).passed  # the limit itself is enough
    assert not functional(pair(nlp, "Anna Berg slept.", "Anna Berg woke."), Corpus(parse(one, nlp), net), 0.8).passed


def test_a_word_that_is_far_rarer_or_commoner_is_told_with_the_distance(nlp: Language) -> None:
    swapped = pair(nlp, "Anna Berg was a painter.", "Anna Berg was an illustrator.")
    apart = abs(zipf_frequency("painter", "en") - zipf_frequency("illustrator", "en"))
    assert apart > 0.1
    assert frequency(swapped, apart + 0.01).passed
    assert not frequency(swapped, apart - 0.01).passed
    assert frequency(swapped, 1).value == pytest.approx(apart, abs=1e-4)


def test_a_change_in_two_places_is_more_than_one(nlp: Language) -> None:
    two = one_change(pair(nlp, "The old mill was a tower.", "The new mill was a house."))
    assert (two.passed, two.value) == (False, 2)
    assert one_change(pair(nlp, "The old mill was a tower.", "The old mill was an inn.")).passed


def test_a_quality_is_said_elsewhere_only_of_the_same_noun(net: WordNet, nlp: Language) -> None:
    swapped = pair(nlp, "Anna Berg had a large house.", "Anna Berg had a small house.")
    corpus = Corpus([], net)
    assert not not_true_elsewhere(swapped, corpus, net, "It was a small, very old house.").passed
    assert not not_true_elsewhere(swapped, corpus, net, "The small house burned.").passed
    assert not_true_elsewhere(swapped, corpus, net, "The house had a small garden. It was small.").passed


def test_a_synonym_on_the_page_says_the_same(net: WordNet, nlp: Language) -> None:
    swapped = pair(nlp, "Ole Dahl was a sculptor.", "Ole Dahl was a painter.")
    assert not not_true_elsewhere(swapped, Corpus([], net), net, "Dahl lived as a limner.").passed
    assert not not_true_elsewhere(swapped, Corpus([], net), net, "He taught painters.").passed
    assert not_true_elsewhere(swapped, Corpus([], net), net, "Dahl lived in Oslo, an artist.").passed  # both are


def test_who_is_an_artist_on_the_page_may_be_a_painter(tmp_path: Path, nlp: Language) -> None:
    net = WordNet(write_database(tmp_path, [*ENTRIES, Entry("maker", "noun.person", "filmmaker:5", ["@ worker"])]))
    swapped = pair(nlp, "Ole Dahl was a filmmaker.", "Ole Dahl was a painter.")
    assert not not_true_elsewhere(swapped, Corpus([], net), net, "Dahl was a filmmaker and artist.").passed
    assert not_true_elsewhere(swapped, Corpus([], net), net, "Dahl was a filmmaker and worker.").passed  # all are


def test_what_another_claim_says_of_the_subject_is_not_false(net: WordNet, nlp: Language) -> None:
    swapped = pair(nlp, "Ole Dahl was a sculptor.", "Ole Dahl was a painter.")
    said = Corpus(parse(["Ole Dahl became a painter."], nlp), net)
    assert not not_true_elsewhere(swapped, said, net, "").passed


def test_names_that_stay_are_no_change_however_the_new_claim_is_parsed(nlp: Language) -> None:
    old, new = parse(["Anna Berg was an Oslo painter.", "Anna Berg was an Oslo sculptor."], nlp)
    unread = Parsed(new.text, tuple(w._replace(entity="", pos="NOUN") for w in new.words))
    assert forbidden_spans(Pair(old, unread)).passed
    assert not forbidden_spans(Pair(old, next(parse(["Anna Berg was a Bergen painter."], nlp)))).passed


def test_prefixes_and_suffixes_that_negate() -> None:
    assert negates("happy", "unhappy") and negates("useless", "useful") and negates("symmetric", "asymmetric")
    assert not negates("large", "small") and not negates("useful", "useful")


# --- closed classes ---


def test_words_of_a_closed_class_exclude_each_other(net: WordNet, nlp: Language) -> None:
    assert are_exclusive("novel", "film", "n") and are_exclusive("film", "novel", "n")
    assert not are_exclusive("novel", "novel", "n") and not are_exclusive("novel", "village", "n")
    assert not are_exclusive("solid", "liquid", "v")
    swapped = pair(nlp, "The Trial is a novel.", "The Trial is a film.")  # words that this WordNet lacks
    assert contradiction(swapped, Corpus([], net), net, 4)[1:3] == (True, 2)
    assert same_type(swapped, net).passed
    assert not contradiction(
        pair(nlp, "The Trial is a novel.", "The Trial is a house."), Corpus([], net), net, 4
    ).passed


def test_a_word_in_doubt_is_of_its_class_where_the_text_speaks_of_the_field() -> None:
    assert is_meant_so("order", "n", frozenset(["insects", "genus"]))
    assert not is_meant_so("order", "n", frozenset(["army", "soldiers"]))
    assert is_meant_so("novel", "n", frozenset())
    assert all(exclusives(word, "n") or exclusives(word, "a") for word in IN_DOUBT)


# --- candidates ---

TRADES = ["Anna Berg was a painter.", *(f"{name} was a sculptor." for name in NAMES[:3])]


def test_a_word_of_the_same_slot_is_taken_where_wordnet_has_no_sibling(tmp_path: Path, nlp: Language) -> None:
    known = [Entry(f"i{n}", "noun.person", f"Name{n}", ["@i artist"], "a French painter") for n in range(3)]
    only = [entry for entry in ENTRIES if entry.name != "illustrator"]
    with_slot = sources_of(tmp_path / "a", nlp, TRADES, TEXTS * 3, *known, base=only)
    assert [(s.new, s.relation) for s in swaps_of(with_slot, TRADES[0], nlp)] == [("sculptor", "slot")]
    without = sources_of(tmp_path / "b", nlp, TRADES[:1], TEXTS * 3, *known, base=only)
    assert swaps_of(without, TRADES[0], nlp) == []


def test_a_fixed_expression_is_not_broken(tmp_path: Path, nlp: Language) -> None:
    claim = "Anna Berg was a house painter."
    texts = [*TEXTS * 3, "A house painter met a house sculptor and a house illustrator."]
    free = sources_of(tmp_path / "a", nlp, [claim], texts)
    assert {s.new for s in swaps_of(free, claim, nlp)} == {"sculptor", "illustrator"}
    fixed = sources_of(tmp_path / "b", nlp, [claim], texts, Entry("term", "noun.person", "house_painter", ["@ worker"]))
    assert swaps_of(fixed, claim, nlp) == []


def test_a_compound_that_nobody_says_is_not_made(tmp_path: Path, nlp: Language) -> None:
    claim = "Anna Berg was a house painter."
    told = sources_of(tmp_path, nlp, [claim], [*TEXTS * 3, "A house painter met a house sculptor."])
    assert {s.new for s in swaps_of(told, claim, nlp)} == {"sculptor"}


def test_trades_that_some_people_have_both_of_are_not_swapped(tmp_path: Path, nlp: Language) -> None:
    both = Entry("i", "noun.person", "Name", ["@i artist"], "a painter and sculptor (1840-1917)")
    illustrator = Entry("j", "noun.person", "Other", ["@i artist"], "an illustrator")
    found = sources_of(tmp_path / "a", nlp, TRADES[:1], TEXTS * 3, both, illustrator)
    assert {s.new for s in swaps_of(found, TRADES[0], nlp)} == {"illustrator"}
    told = [*TRADES[:1], "Ole Dahl was a painter.", "Ole Dahl was a sculptor."]
    assert {s.new for s in swaps_of(sources_of(tmp_path / "b", nlp, told, TEXTS * 3), TRADES[0], nlp)} == {
        "illustrator"
    }


QUARTER_TEXTS = [f"The {quarter} coast of Turkey is a {quarter} coast." for quarter in ("northern", "southern")] * 3
QUARTER_TEXTS += [f"A {quarter} tradition grew in {quarter} Turkey." for quarter in ("northern", "southern")] * 3


def test_parts_of_places_are_swapped_and_not_of_traditions(tmp_path: Path, nlp: Language) -> None:
    found = sources_of(tmp_path, nlp, [], QUARTER_TEXTS)
    made = swaps_of(found, "Adana is a city in southern Turkey.", nlp)
    assert "Adana is a city in northern Turkey." in {s.new_claim.text for s in made}
    assert {s.relation for s in made} == {"exclusive"}
    assert swaps_of(found, "The dance is a southern tradition.", nlp) == []
    assert swaps_of(found, "Adana is a city in Southern Turkey.", nlp) == []


def test_superlatives_with_most_and_other_names_are_no_hedges(tmp_path: Path, nlp: Language) -> None:
    found = sources_of(tmp_path, nlp, [], TEXTS * 3)
    for claim in ("Anna Berg was the most popular painter.", "Anna Berg, or Anna of Oslo, was a painter."):
        assert {s.new for s in swaps_of(found, claim, nlp)} == {"sculptor", "illustrator"}
    for claim in ("Most settlers were painters.", "Anna Berg was a painter or a farmer.", "She may be a painter."):
        assert swaps_of(found, claim, nlp) == []


def test_a_measure_and_what_is_compared_by_have_no_opposite(tmp_path: Path, nlp: Language) -> None:
    more = [Entry("wide", "adj.all", "wide:9", ["! wide>narrow"]), Entry("narrow", "adj.all", "narrow:9")]
    found = sources_of(
        tmp_path, nlp, [], ["A wide road and a narrow road meet a wide path and a narrow path."] * 3, *more
    )
    assert {s.new for s in swaps_of(found, "The road is wide.", nlp)} == {"narrow"}
    assert swaps_of(found, "The road is 20 metres wide.", nlp) == []
    assert swaps_of(found, "The road is longer than it is wide.", nlp) == []


def test_neighbours_are_counted_by_base_forms(net: WordNet) -> None:
    told = Contexts(["The large towers. A tower of large stones, a stone tower.", "Large and small tower."], net)
    assert told.beside("large", "tower") == told.beside("towers", "large") == 6  # within three words, "of" not counted
    assert [told.before(*words) for words in (("large", "tower"), ("tower", "large"), ("stone", "tower"))] == [1, 0, 1]
    assert told.beside("large", "unknown") == 0
    alike = Contexts(TEXTS * 3, net)
    assert alike.similarity("painters", "sculptor") == alike.similarity("painter", "sculptors") > 0.1
    assert alike.similarity("sculptor", "painter") == alike.similarity("painter", "sculptor")


def test_the_likeness_of_two_words_is_that_of_the_formula(tmp_path: Path) -> None:
    net = WordNet(write_database(tmp_path, [Entry("red", "noun.attribute", "red", (), "")]))
    words = [f"w{chr(97 + number)}x" for number in range(12)]
    rng = np.random.default_rng(0)
    told = Contexts([" ".join(rng.choice(words, 9)) for _ in range(40)], net)
    counts = np.array([[float(told.beside(one, other)) for other in words] for one in words])
    near = counts.sum(0) ** 0.75
    with np.errstate(divide="ignore"):
        rows = np.maximum(np.log(counts / (counts.sum(1)[:, None] * near[None] / near.sum())), 0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for one, ours in zip(words, rows, strict=True):
        for other, theirs in zip(words, rows, strict=True):
            assert told.similarity(one, other) == pytest.approx(float(ours @ theirs))


# --- a passage ---


class Misreading:
    """The parser, which takes one word for somebody's name."""

    def __init__(self, nlp: Language, word: str) -> None:
        self._nlp, self._word = nlp, word

    def pipe(self, texts: Sequence[str], **options: Any) -> Iterator[Doc]:
        for doc in self._nlp.pipe(texts, **options):
            doc.set_ents([Span(doc, t.i, t.i + 1, "PERSON") for t in doc if t.text == self._word])
            yield doc


def test_a_pair_is_checked_as_it_reads_and_the_next_one_tried(tmp_path: Path, nlp: Language) -> None:
    claims = list(parse(CLAIMS[:1], nlp))
    found = sources_of(tmp_path, nlp, CLAIMS[:1], TEXTS * 3)
    for seed in range(6):
        made = falsify(
            *(CLAIMS[0], "Anna Berg", claims, found, Misreading(nlp, "sculptor"), np.random.default_rng(seed))  # type: ignore[arg-type]
        )
        assert isinstance(made, Falsified) and made.new == "illustrator"
    refused = falsify(
        *(CLAIMS[0], "Anna Berg", claims, sources_of(tmp_path / "b", nlp, CLAIMS[:1], TEXTS[:2] * 3)),
        *(Misreading(nlp, "sculptor"), np.random.default_rng(0)),  # type: ignore[arg-type]
    )
    assert isinstance(refused, Reject) and refused.reason == "forbidden_spans"


def test_two_words_are_not_swapped_in_more_passages_than_may_be(tmp_path: Path, nlp: Language) -> None:
    claims, found = list(parse(CLAIMS[:1], nlp)), sources_of(tmp_path, nlp, CLAIMS[:1], TEXTS * 3)

    def made(taken: Counter[tuple[str, str]], seed: int = 0) -> Falsified | Reject:
        rng = np.random.default_rng(seed)
        return falsify(CLAIMS[0], "Anna Berg", claims, found, nlp, rng, taken=taken, most=3)

    for seed in range(6):
        one = made(Counter({("painter", "sculptor"): 3, ("painter", "illustrator"): 2}), seed)
        assert isinstance(one, Falsified) and one.new == "illustrator"
    both = made(Counter({("painter", "sculptor"): 3, ("painter", "illustrator"): 3}))
    assert isinstance(both, Reject) and both.reason == "value_share"
    assert [most_of_a_value(passages) for passages in (0, 200, 1000, 1734)] == [3, 3, 10, 17]


def test_of_two_swaps_the_one_that_was_taken_less_often_comes_first(tmp_path: Path, nlp: Language) -> None:
    found = sources_of(tmp_path, nlp, CLAIMS[:1], TEXTS * 3)
    often = Counter({("painter", "sculptor"): 10**9})
    assert [s.new for s in swaps_of(found, CLAIMS[0], nlp, taken=often)] == ["illustrator", "sculptor"]
    often = Counter({("painter", "illustrator"): 10**9})
    assert [s.new for s in swaps_of(found, CLAIMS[0], nlp, taken=often)] == ["sculptor", "illustrator"]


def test_what_changed_that_strict_limits_forbid_is_counted(tmp_path: Path, nlp: Language) -> None:
    claims, found = list(parse(CLAIMS, nlp)), sources_of(tmp_path, nlp, CLAIMS, TEXTS * 3)
    made = falsify(TEXT, "Anna Berg", claims, found, nlp, np.random.default_rng(0))
    assert isinstance(made, Falsified)
    figures = _figures({"a": made}, {}, 1)
    assert (figures["negation_rate"], figures["forbidden_edit_rate"]) == (0, 0)
    told = tuple(v._replace(value=2.0) if v.name in ("no_negation", "forbidden_spans") else v for v in made.verdicts)
    other = Falsified(**{**made.__dict__, "verdicts": told})
    figures = _figures({"a": made, "b": other}, {}, 2)
    assert (figures["negation_rate"], figures["forbidden_edit_rate"]) == (0.5, 0.5)
