"""Forms that are put into claims are those of a dictionary."""

import pytest

from tasks.text.inflection import agree, article, be, past, possessive, present


@pytest.mark.parametrize(
    ("following", "expected"),
    [
        ("apple", "an"),
        ("river", "a"),
        ("hour", "an"),
        ("house", "a"),
        ("university", "a"),
        ("uninhabited", "an"),
        ("unimportant", "an"),
        ("European", "a"),
        ("one-party", "a"),
        ("honorary", "an"),
        ("8th", "an"),
        ("18th", "an"),
        ("11-year", "an"),
        ("110", "a"),
        ("180", "a"),
        ("MP", "an"),
        ("NGO", "an"),
        ("UN", "a"),
        ("US", "a"),
        ("useful", "a"),
        ("umbrella", "an"),
        ("UNESCO", "a"),
        ("Xhosa", "a"),
        ("X-ray", "an"),
    ],
)
def test_the_article_follows_the_sound(following: str, expected: str) -> None:
    assert article(following) == expected


@pytest.mark.parametrize(
    ("lemma", "singular", "in_the_past"),
    [
        ("border", "borders", "bordered"),
        ("comprise", "comprises", "comprised"),
        ("pass", "passes", "passed"),
        ("carry", "carries", "carried"),
        ("play", "plays", "played"),
        ("have", "has", "had"),
        ("span", "spans", "spanned"),
        ("lie", "lies", "lay"),
        ("become", "becomes", "became"),
        ("go", "goes", "went"),
        ("reach", "reaches", "reached"),
        ("fix", "fixes", "fixed"),
        ("occur", "occurs", "occurred"),
        ("cover", "covers", "covered"),
        ("bring", "brings", "brought"),
        ("write", "writes", "wrote"),
        ("travel", "travels", "traveled"),
    ],
)
def test_verbs_are_inflected(lemma: str, singular: str, in_the_past: str) -> None:
    assert present(lemma, plural=False) == singular
    assert present(lemma, plural=True) == lemma
    assert past(lemma, plural=False) == in_the_past


def test_forms_of_be_follow_tense_and_number() -> None:
    assert [be(past=p, plural=n) for p in (False, True) for n in (False, True)] == ["is", "are", "was", "were"]
    assert [present("be", plural=True), past("be", plural=True)] == ["are", "were"]


@pytest.mark.parametrize(
    ("form", "tag", "lemma", "plural", "expected"),
    [
        ("are", "VBP", "be", False, "is"),
        ("was", "VBD", "be", True, "were"),
        ("has", "VBZ", "have", True, "have"),
        ("flows", "VBZ", "flow", True, "flow"),
        ("flow", "VBP", "flow", False, "flows"),
        ("ran", "VBD", "run", True, "ran"),
        ("can", "MD", "can", False, "can"),
        ("is", "VBZ", "be", False, "is"),
    ],
)
def test_a_finite_verb_agrees_with_its_subject(form: str, tag: str, lemma: str, plural: bool, expected: str) -> None:
    assert agree(form, tag, lemma, plural=plural) == expected


def test_the_genitive_of_a_plural_has_no_second_s() -> None:
    assert possessive("Oslo") == "Oslo's"
    assert possessive("Charles") == "Charles's"
    assert possessive("the Beatles", plural=True) == "the Beatles'"
