"""Falsification of a passage: candidates, checks and the retry, with a small WordNet and the real parser."""

from collections.abc import Callable

import numpy as np
import pytest
from spacy.language import Language

from tasks.tables import Reject
from tasks.text.falsification import Falsified, Sources, falsify
from tasks.text.parser import load_parser
from tasks.text.salience import ranked
from tasks.text.slots import Parsed, parse
from tasks.text.validators import Known, Limits, Pair, Verdict, failed, validate
from tasks.text.wordforms import compared, plural
from tasks.text.wordnet import WordNet
from tests.tasks.text.databases import Entry, write_database

ENTRIES = [
    Entry("worker", "noun.person", "worker:30"),
    Entry("artist", "noun.person", "artist:20", ["@ worker"]),
    Entry("painter", "noun.person", "painter:15 limner", ["@ artist"]),
    Entry("sculptor", "noun.person", "sculptor:15", ["@ artist"]),
    Entry("illustrator", "noun.person", "illustrator:10", ["@ artist"]),
    Entry("watercolourist", "noun.person", "miniaturist:5", ["@ painter"]),
    Entry("building", "noun.artifact", "building:9"),
    Entry("tower", "noun.artifact", "tower:9", ["@ building"]),
    Entry("large", "adj.all", "large:9 big:5", ["! large>small"]),
    Entry("small", "adj.all", "small:9"),
]
TEXTS = [
    f"The {word} made works in the studio of the town, and a {word} sold works." for word in ("painter", "sculptor")
]
TEXTS += [f"The {word} made works in the studio, and an {word} sold works." for word in ("illustrator", "miniaturist")]
TEXTS += [f"A {word} house stands in a {word} garden with a {word} wall." for word in ("large", "small")]
TEXTS += ["The artist made works in the studio of the town, and an artist sold works."] * 3
TEXTS += ["The tower stands high."] * 3
CLAIMS = [
    "Anna Berg was a painter.",
    "Berg lived in Oslo in 1890.",
    "The house of Anna Berg was large.",
    "Her house burned.",
]
TEXT = "Anna Berg was a painter. Berg lived in Oslo in 1890. The house of Anna Berg was large. Her house burned."


@pytest.fixture(scope="module")
def nlp() -> Language:
    return load_parser()


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory, nlp: Language) -> Sources:
    net = WordNet(write_database(tmp_path_factory.mktemp("wordnet"), ENTRIES))
    others = [
        "Ole Dahl was a sculptor.",
        "Kari Moe was a painter.",
        "Per Lie was a sculptor.",
        "Ida Aas was a sculptor.",
    ]
    return Sources.of(net, parse([*CLAIMS, *others], nlp), TEXTS * 3)


@pytest.fixture(scope="module")
def claims(nlp: Language) -> list[Parsed]:
    return list(parse(CLAIMS, nlp))


Judge = Callable[..., tuple[Verdict, ...]]


@pytest.fixture(scope="module")
def judge(sources: Sources, nlp: Language, claims: list[Parsed]) -> Judge:
    def verdicts(new: str, number: int = 0, page: str = TEXT, standing: float = 1.0, also: str = "", **limits: bool):
        told = [claim.text for claim in claims]
        after = [*told[:number], new, *told[number + 1 :]]
        if also:
            after[-1] = also
        known = Known(sources.wordnet, sources.corpus, sources.contexts, page, told, after, standing)
        return validate(Pair(claims[number], next(parse([new], nlp))), known, Limits(**limits))

    return verdicts


def test_a_swap_of_one_kind_for_another_passes_every_check(judge: Judge) -> None:
    assert failed(judge("Anna Berg was a sculptor.")) == []
    assert failed(judge("Anna Berg was an illustrator.")) == []


@pytest.mark.parametrize(
    ("new", "check"),
    [
        ("Anna Berg was a limner.", "real_change"),
        ("Anna Berg was a limner.", "contradiction"),
        ("Anna Berg was an artist.", "contradiction"),
        ("Anna Berg was a miniaturist.", "contradiction"),
        ("Anna Berg was not a painter.", "no_negation"),
        ("Anna Berg was never a painter.", "no_negation"),
        ("Anna Dahl was a painter.", "forbidden_spans"),
        ("Anna Berg was a tower.", "same_type"),
        ("Anna Berg was a tower.", "same_company"),
        ("Anna Berg became a sculptor.", "same_predicate"),
        ("Ole Dahl was long ago in Spain a very great sculptor of stone.", "minimal_edit"),
        ("Anna Berg was a painter.", "real_change"),
        ("Anna Berg was a painter.", "one_claim"),
    ],
)
def test_what_is_wrong_with_a_pair_is_found(judge: Judge, new: str, check: str) -> None:
    assert check in failed(judge(new))


def test_mere_negation_is_refused_also_where_limits_are_not_strict(judge: Judge) -> None:
    assert "no_negation" in failed(judge("Anna Berg was not a painter.", strict=False))


def test_numbers_are_kept_unless_limits_are_not_strict(judge: Judge) -> None:
    assert "forbidden_spans" in failed(judge("Berg lived in Oslo in 1895.", 1))
    told = judge("Berg lived in Oslo in 1895.", 1, strict=False)
    assert "forbidden_spans" not in failed(told)
    assert [v.value for v in told if v.name == "forbidden_spans"] == [2]  # one number went, one came


def test_what_the_page_says_too_is_not_false(judge: Judge) -> None:
    assert failed(judge("Anna Berg was a sculptor.", page=f"{TEXT} She worked with other sculptors.")) == [
        "not_true_elsewhere"
    ]


def test_a_second_claim_that_changed_is_found(judge: Judge) -> None:
    assert failed(judge("Anna Berg was a sculptor.", also="Her house stood.")) == ["one_claim"]


def test_a_claim_of_the_bottom_quartile_is_not_taken(judge: Judge) -> None:
    assert failed(judge("Anna Berg was a sculptor.", standing=0.25)) == ["salience"]


def test_claims_that_name_the_title_and_share_more_words_are_more_salient() -> None:
    told = ranked(CLAIMS, TEXT, "Anna Berg")
    assert [one.rank for one in told] == [1, 2, 0, 3]  # of the first two in full, the third has more words of the text
    assert [one.standing for one in told] == [0.75, 0.5, 1.0, 0.25]


def test_a_passage_has_one_claim_made_false_with_spans_in_both(
    sources: Sources, claims: list[Parsed], nlp: Language
) -> None:
    for seed in range(10):
        found = falsify(TEXT, "Anna Berg", claims, sources, nlp, np.random.default_rng(seed))
        assert isinstance(found, Falsified)
        assert found.claim == CLAIMS[found.number]
        assert found.claim[slice(*found.old_span)] == found.old
        assert found.false_claim[slice(*found.new_span)] == found.new
        assert failed(found.verdicts) == []
        assert (found.number, found.old, found.new) == (2, "large", "small")  # the most salient claim (see above)
        assert found == falsify(TEXT, "Anna Berg", claims, sources, nlp, np.random.default_rng(seed))


def test_the_article_follows_the_new_word(sources: Sources, claims: list[Parsed]) -> None:
    news = {s.new_claim.text for s in sources.candidates.swaps(claims[0], TEXT, np.random.default_rng(0))}
    assert news == {"Anna Berg was a sculptor.", "Anna Berg was an illustrator."}


def test_the_next_candidate_is_taken_where_the_first_is_true_too(
    sources: Sources, claims: list[Parsed], nlp: Language
) -> None:
    for seed in range(10):
        page = "The sculptor had a small house."
        found = falsify(TEXT, "Anna Berg", claims, sources, nlp, np.random.default_rng(seed), page_text=page)
        assert isinstance(found, Falsified) and found.new == "illustrator"


def test_a_passage_whose_candidates_are_all_rejected_says_what_stood_in_the_way(
    sources: Sources, claims: list[Parsed], nlp: Language
) -> None:
    page = "The sculptor and the illustrator had a small house."
    found = falsify(TEXT, "Anna Berg", claims, sources, nlp, np.random.default_rng(0), page_text=page)
    assert isinstance(found, Reject) and (found.reason, found.value) == ("not_true_elsewhere", 3)
    bare = falsify(TEXT, "Anna Berg", claims[1:2], sources, nlp, np.random.default_rng(0))
    assert isinstance(bare, Reject) and bare.reason == "no_candidate"
    assert "antonym" in bare.detail and "more passages" in bare.detail  # what was sought, and what helps


def test_names_dates_numbers_subjects_and_what_is_hedged_are_no_candidates(sources: Sources, nlp: Language) -> None:
    texts = ["The painter lived in Oslo in 1890.", "Anna Berg was not a painter.", "Anna Berg may be a painter."]
    for claim in parse(texts, nlp):
        assert sources.candidates.swaps(claim, "", np.random.default_rng(0)) == []


def test_slots_are_predicates_objects_and_qualities(nlp: Language) -> None:
    claim = next(parse(["The old mill is a large tower of stone."], nlp))
    assert [(claim.words[s.place].text, s.frame) for s in claim.slots] == [
        ("large", "modifier of tower"),
        ("tower", "predicate of be"),
        ("stone", "object of tower of"),
    ]


@pytest.mark.parametrize(
    ("one", "many"),
    [
        *(("city", "cities"), ("church", "churches"), ("woman", "women"), ("human", "humans"), ("day", "days")),
        *(("caiman", "caimans"), ("ottoman", "ottomans"), ("shaman", "shamans"), ("fireman", "firemen")),
        *(("larch", "larches"), ("monarch", "monarchs"), ("stomach", "stomachs"), ("epoch", "epochs")),
        *(("arch", "arches"), ("swordsman", "swordsmen"), ("patriarch", "patriarchs"), ("finch", "finches")),
        *(("criterion", "criteria"), ("genus", "genera"), ("scarf", "scarves"), ("dwarf planet", "dwarf planets")),
    ],
)
def test_plurals(one: str, many: str) -> None:
    assert plural(one) == many


def test_comparison_takes_endings_where_english_does() -> None:
    assert [compared(word, "JJS") for word in ("small", "big", "dry", "wide", "good")] == [
        *("smallest", "biggest", "driest", "widest", "best")
    ]
    assert compared("important", "JJR") is None


def test_no_verdict_is_without_a_figure(judge: Judge) -> None:
    told = judge("Anna Berg was a sculptor.")
    assert len({v.name for v in told}) == len(told) == 14
    assert all(np.isfinite([v.value, v.threshold]).all() for v in told)
