"""Quotes are found where they stand, whatever happened to their characters, and nowhere else."""

import time
import unicodedata

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rapidfuzz import fuzz

from tasks.text.alignment import MIN_FUZZY_LENGTH, MIN_SCORE, Alignment, align

PASSAGE = (
    "The Café de Flore — one of the oldest coffeehouses in Paris — is known for its “famous clientele”. "
    "Its main rival, Les\u00a0Deux\u00a0Magots, stands next to it; both are efﬁcient. "
    "It has changed little since World War II."
)


def quoted(found: Alignment | None, text: str = PASSAGE) -> str | None:
    return None if found is None else text[found.start : found.end]


@pytest.mark.parametrize(
    ("quote", "span", "method"),
    [
        ("one of the oldest coffeehouses in Paris", "one of the oldest coffeehouses in Paris", "exact"),
        ("Cafe\u0301 de Flore - one", "Café de Flore — one", "normalised"),
        ('is known for its "famous clientele"', "is known for its “famous clientele”", "normalised"),
        ("Les Deux Magots", "Les\u00a0Deux\u00a0Magots", "normalised"),
        ("LES  DEUX\n MAGOTS", "Les\u00a0Deux\u00a0Magots", "normalised"),
        ("both are efficient", "both are efﬁcient", "normalised"),
        ("\u200fLes Deux\u200e Magots", "Les\u00a0Deux\u00a0Magots", "normalised"),
        ("It has changed litle since the World War II", "It has changed little since World War II", "fuzzy"),
        ("one of oldest cofeehouses in Paris", "one of the oldest coffeehouses in Paris", "fuzzy"),
    ],
)
def test_a_quote_is_found_and_the_way_is_told(quote: str, span: str, method: str) -> None:
    found = align(quote, PASSAGE)
    assert found is not None
    assert (quoted(found), found.method) == (span, method)
    assert found.score == 100 or method == "fuzzy"
    assert MIN_SCORE <= found.score <= 100


@pytest.mark.parametrize(
    "quote",
    ["", "  ", "\u200f", "offee", "Paris is the capital of France", "Les Trois Magots", PASSAGE + " And more of it."],
)
def test_what_does_not_stand_there_is_not_found(quote: str) -> None:
    assert align(quote, PASSAGE) is None


def test_a_word_is_not_found_inside_another() -> None:
    assert quoted(align("art", "The party made art."), "The party made art.") == "art"
    assert align("art", "The party.") is None


def test_a_base_character_is_not_cut_from_its_mark() -> None:
    text = "resume\u0301 of work, resume of play"
    found = align("resume", text)
    assert found is not None
    assert (found.start, found.method) == (text.index("resume of play"), "exact")
    assert align("resume", "a resume\u0301") is None


def test_half_a_ligature_is_not_found() -> None:
    assert align("ef", "ef\ufb01") is None  # the ligature fi goes on
    found = align("of fi", "of \ufb01")
    assert (found and (found.start, found.end)) == (0, 4)


def test_scripts_without_spaces_have_words_everywhere() -> None:
    found = align("東京", "私は東京に住む")
    assert found == Alignment(2, 4, "exact", 100.0)


words = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "Mn", "P", "Zs", "Cf", "Sm")), min_size=1, max_size=8
)
texts = st.lists(words, min_size=3, max_size=25).map(" ".join)


@given(texts, st.data())
@settings(max_examples=300, deadline=None)
def test_a_run_of_whole_words_is_always_found_as_it_is(text: str, data: st.DataObject) -> None:
    parts = text.split(" ")
    first = data.draw(st.integers(0, len(parts) - 1))
    last = data.draw(st.integers(first, len(parts) - 1))
    quote = " ".join(parts[first : last + 1])
    assume(quote.strip())
    assume(not any(unicodedata.category(part[0]) in ("Mn", "Cf") for part in parts if part))
    found = align(quote, text)
    assert found is not None
    assert found.method == "exact"
    assert text[found.start : found.end] == quote


latin = st.text("abcdeéüßﬁåñ", min_size=2, max_size=9)


def spoil(text: str, kinds: set[str]) -> str:
    """Change what normalisation is to forgive, by rules of Unicode and none of ours."""
    for kind in sorted(kinds):
        if kind == "decomposed":
            text = unicodedata.normalize("NFD", text)
        elif kind == "spaces":
            text = text.replace(" ", " \u00a0\n")
        elif kind == "marks":
            text = "\u200f" + text.replace(" ", "\u200e ")
        else:
            text = text.upper() if "ß" not in text else text
    return text


@given(
    st.lists(latin, min_size=4, max_size=20),
    st.sets(st.sampled_from(["decomposed", "spaces", "marks", "upper"])),
    st.booleans(),
    st.data(),
)
@settings(max_examples=300, deadline=None)
def test_what_only_looks_different_is_found_in_both_directions(
    parts: list[str], kinds: set[str], spoil_text: bool, data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, len(parts) - 1))
    last = data.draw(st.integers(first, len(parts) - 1))
    plain = [" ".join(p) for p in (parts[:first], parts[first : last + 1], parts[last + 1 :])]
    if spoil_text:
        text, quote = " ".join(spoil(p, kinds) for p in plain if p), plain[1]
    else:
        text, quote = " ".join(p for p in plain if p), spoil(plain[1], kinds)
    found = align(quote, text)
    assert found is not None
    assert found.score == 100

    def bare(s: str) -> str:
        kept = "".join(c for c in s if c not in "\u200e\u200f")
        return " ".join(unicodedata.normalize("NFKD", kept).casefold().split())

    assert bare(text[found.start : found.end]) == bare(quote)


@given(st.text(max_size=200), st.text(max_size=60))
@settings(max_examples=400, deadline=None)
def test_an_answer_is_a_span_that_resembles_the_quote(text: str, quote: str) -> None:
    found = align(quote, text)
    if found is None:
        return
    assert 0 <= found.start < found.end <= len(text)
    if found.method == "exact":
        assert text[found.start : found.end] == quote
    if found.method == "fuzzy":
        assert len(quote) >= MIN_FUZZY_LENGTH / 4  # one character may decompose to several
        assert found.score >= MIN_SCORE


@given(
    st.lists(st.sampled_from(["ab", "cd", "ef", "gh", "ij", "kl", "mn", "op", "qr", "st"]), min_size=30, max_size=60),
    st.data(),
)
@settings(max_examples=100, deadline=None)
def test_a_quote_with_a_typing_error_is_found_at_a_place_as_good_as_any(parts: list[str], data: st.DataObject) -> None:
    text = " ".join(f"{part}{i % 7}" for i, part in enumerate(parts))
    start = data.draw(st.integers(0, len(parts) - 16))
    quote = " ".join(text.split(" ")[start : start + 15])
    at = data.draw(st.integers(1, len(quote) - 2))
    wrong = quote[:at] + "X" + quote[at + 1 :]
    found = align(wrong, text)
    assert found is not None
    assert fuzz.ratio(wrong.casefold(), text[found.start : found.end]) >= fuzz.ratio(wrong.casefold(), quote) - 3


@pytest.mark.parametrize("text", ["word" * 5000, "a " * 10000, "é" * 20000, "e\u0301" * 10000, ("the cat sat " * 1700)])
@pytest.mark.parametrize("quote", ["the dog sat on the mat and ate " * 10, "a b " * 300, "the cat sax" * 20])
def test_no_text_of_20_000_characters_takes_long(text: str, quote: str) -> None:
    start = time.process_time()
    align(quote, text)
    assert time.process_time() - start < 0.25  # ten times what it takes
