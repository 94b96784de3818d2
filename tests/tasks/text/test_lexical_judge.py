"""The lexical verifier: words and their base forms, and nothing more."""

import pytest

from tasks.text.lexical_judge import LexicalJudge
from tasks.text.parser import load_parser
from tasks.text.wordnet import WordNet
from tests.tasks.text.databases import write_database
from tests.tasks.text.test_falsification import ENTRIES


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> LexicalJudge:
    return LexicalJudge(load_parser(), WordNet(write_database(tmp_path_factory.mktemp("wordnet"), ENTRIES)))


PASSAGE = "Anna Berg. She was a Norwegian painter who moved to Oslo in 1890."


@pytest.mark.parametrize(
    ("claim", "evidence", "label"),
    [
        ("Anna Berg was a painter.", PASSAGE, "entailment"),
        ("Anna Berg was a sculptor.", PASSAGE, "contradiction"),
        ("Anna Berg moved to Oslo in 1891.", PASSAGE, "contradiction"),
        ("Ole Dahl was a painter.", PASSAGE, "neutral"),
        ("Anna Berg was a painter.", "", "neutral"),
        ("Painters moved to Oslo.", "Many painters have moved to Oslo.", "entailment"),
        ("The painter moved.", "Painters moved.", "entailment"),  # a base form is shared
        ("Anna Berg was the painter of Oslo.", PASSAGE, "entailment"),  # it sees words, not what they say together
    ],
)
def test_a_claim_is_entailed_by_its_words_alone(judge: LexicalJudge, claim: str, evidence: str, label: str) -> None:
    assert judge.labels([claim], [evidence]) == [label]


def test_each_pair_is_judged_by_itself(judge: LexicalJudge) -> None:
    claims = ["Anna Berg was a painter.", "Anna Berg was a sculptor.", "Anna Berg was a painter."]
    assert judge.labels(claims, [PASSAGE, PASSAGE, "Rain fell."]) == ["entailment", "contradiction", "neutral"]
    assert judge.labels([], []) == []
