"""Clean text, sentences by offsets, windows: against sentences written by hand."""

import random
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.tables import Reject
from tasks.text.cleaning import check_prose, cleaned
from tasks.text.documents import Document
from tasks.text.page_duplicates import duplicates, jaccard, shingle_set
from tasks.text.passages import Page, Settings, page_of, windows_of
from tasks.text.sentences import sentence_spans
from tasks.text.wikitext import HOLE

SETTINGS = Settings("en", 0.5, 600)
SENTENCES = [
    "The mill of St. Mary stands by the river Avon.",
    "It was built in c. 1750 by J. R. Smith, a carpenter.",
    "Its wheel has a diameter of 5.5 metres.",
    '"It never stopped," said the miller.',
    "Nobody knows why (the records were lost).",
    "Visitors come from the U.S. and from Japan.",
    "Today it grinds wheat, rye, etc.",
]


def texts(text: str, title: str = "") -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text, title)]


def page(sentences: list[str], title: str = "Mill") -> Page:
    return page_of(Document("0", title, (" ".join(sentences),)), SETTINGS)


def test_sentences_are_those_that_a_person_sees() -> None:
    assert texts(" ".join(SENTENCES)) == SENTENCES


def test_a_sentence_ends_with_its_paragraph_and_never_inside_the_title() -> None:
    text = "2001: A Space Odyssey is a film.\n\nIt was made in 1968"
    assert texts(text, "2001: A Space Odyssey") == ["2001: A Space Odyssey is a film.", "It was made in 1968"]
    assert texts("Oh! Calcutta! is a revue. It ran long.", "Oh! Calcutta!") == [
        "Oh! Calcutta! is a revue.",
        "It ran long.",
    ]


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=300))
def test_spans_are_in_order_and_leave_out_white_space_alone(text: str) -> None:
    spans = sentence_spans(text)
    left = list(text)
    for start, end in spans:
        assert text[start:end] == text[start:end].strip() != ""
        left[start:end] = " " * (end - start)
    assert spans == sorted(spans)
    assert "".join(left).strip() == ""
    assert all(a[1] <= b[0] for a, b in pairwise(spans))


def test_a_megabyte_without_a_full_stop_is_no_sentence_and_takes_no_time() -> None:
    text = "the mill of the village stands by the river and " * 25_000
    started = time.process_time()
    with pytest.raises(Reject) as caught:
        windows_of(page([text]), 5, 1, 3)
    assert caught.value.reason == "too_short"
    assert time.process_time() - started < 20  # spaCy would refuse it, and take a minute where it did not


def test_controls_and_invisible_marks_go_and_letters_stay() -> None:
    assert cleaned("A\u200b mill\x07\u00a0\u202eby\u202c  the\tsea.\r\n\r\n\r\n\r\nCafe\u0301 \u05d1\u05d9\u05ea.") == (
        "A mill by the sea.\n\nCaf\u00e9 \u05d1\u05d9\u05ea."
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "empty"), (" \n\t", "empty"), ("123 --", "empty"), ("ab\x00\x01" * 9, "control_characters")],
)
def test_what_is_no_text_is_rejected(text: str, reason: str) -> None:
    with pytest.raises(Reject) as caught:
        page_of(Document("0", "t", (text,)), SETTINGS)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<div><p>The mill</p> {{stands}} by the [[river]]</div>", "markup"),
        ("Le moulin se trouve au bord de la rivière depuis le dix-huitième siècle, et il tourne encore.", "language"),
        ("Die Mühle steht seit dem achtzehnten Jahrhundert am Fluss und mahlt noch immer Weizen.", "language"),
    ],
)
def test_markup_and_other_languages_are_rejected(text: str, reason: str) -> None:
    with pytest.raises(Reject) as caught:
        check_prose(text, "en", 0.5)
    assert caught.value.reason == reason


def test_windows_are_five_sentences_in_a_row_at_every_place() -> None:
    found = page(SENTENCES)
    windows = windows_of(found, 5, 1, 3)
    assert [[found.text[s:e] for s, e in window] for window in windows] == [SENTENCES[i : i + 5] for i in range(3)]
    assert [w[0] for w in windows_of(found, 5, 2, 3)] == [windows[0][0], windows[2][0]]


def test_a_short_page_is_one_passage_and_a_shorter_one_none() -> None:
    assert [len(window) for window in windows_of(page(SENTENCES[:4]), 5, 1, 3)] == [4]
    with pytest.raises(Reject) as caught:
        windows_of(page(SENTENCES[:2]), 5, 1, 3)
    assert (caught.value.reason, caught.value.value, caught.value.threshold) == ("too_short", 2, 3)


def test_no_window_goes_over_a_hole_a_section_or_what_is_no_sentence() -> None:
    for broken in (f"Its area is {HOLE} acres.", "The following are mills:", "It " + "very " * 200 + "tall."):
        found = page([*SENTENCES[:5], f"\n\n{broken}\n\n", *SENTENCES[:5]])
        assert len(windows_of(found, 5, 1, 3)) == 2
        assert all(broken not in found.text[w[0][0] : w[-1][1]] for w in windows_of(found, 5, 1, 3))
    two = page_of(Document("0", "Mill", (" ".join(SENTENCES), " ".join(SENTENCES))), SETTINGS)
    assert len(windows_of(two, 5, 1, 3)) == 2 * 3
    assert Page.from_json(two.to_json()) == two


def test_pages_that_say_the_same_are_found_and_others_are_not() -> None:
    generator = random.Random(0)
    words = [f"w{n}" for n in range(400)]
    originals = [[generator.choice(words) for _ in range(120)] for _ in range(60)]
    pages = [(f"p{n}", " ".join(text)) for n, text in enumerate(originals)]
    changed = []
    for n, text in enumerate(originals):
        copy = list(text)
        for place in generator.sample(range(120), 1 + n % 6):
            copy[place] = "new"
        changed.append((f"c{n}", " ".join(copy)))
    shouted = [("shout", pages[0][1].upper() + "!")]
    found = dict(duplicates([*pages, *changed, *shouted], 0.8))
    sets = {name: shingle_set(text.lower().split()) for name, text in [*pages, *changed]}
    truth = {f"c{n}" for n in range(60) if jaccard(sets[f"c{n}"], sets[f"p{n}"]) >= 0.8}
    assert 10 < len(truth) < 50
    assert set(found) - {"shout"} == truth
    assert found["shout"].reason == "duplicate"
    assert {found[name].detail for name in truth} == {f"of page p{name[1:]}" for name in truth}


def test_shingles_are_the_runs_of_five_words() -> None:
    one, other = ["a", "b", "c", "d", "e", "f", "g", "h"], ["a", "b", "c", "d", "e", "f", "g", "x"]
    runs = [{tuple(words[i : i + 5]) for i in range(4)} for words in (one, other)]
    assert jaccard(shingle_set(one), shingle_set(other)) == len(runs[0] & runs[1]) / len(runs[0] | runs[1])
