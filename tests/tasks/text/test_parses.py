"""Stored parses: those of a stage are the next one's, a group is parsed as each alone, nothing is read twice."""

import json
from pathlib import Path
from typing import Any

import pytest
from spacy.lang.en import English
from spacy.language import Language
from spacy.tokens import Doc

from tasks.stage import Stage
from tasks.text import parses
from tasks.text.parser import load_parser
from tasks.text.parses import columns_of, doc_of, parsed_of, parses_of, parses_of_all, parses_of_claims
from tasks.text.slots import parse
from tests.conftest import Project
from tests.stages import set_params, stage_of

FIXTURES = Path(__file__).parents[2] / "fixtures" / "wikipedia"
DVC_YAML = "stages: {falsify_claims: {cmd: python -m tasks.text.falsify_claims}}\n"
TOLD = {"a": ["The Inle is a lake.", "The Inle was mapped in 1890."], "b": ["Bronze is an alloy."]}


@pytest.fixture(scope="module")
def nlp() -> Language:
    return load_parser()


@pytest.fixture(scope="module")
def real() -> list[list[str]]:
    """The claims of eight passages of Wikipedia, as people wrote them down."""
    told = [json.loads(line) for line in (FIXTURES / "claims_a.jsonl").read_text().splitlines()[:8]]
    return [[claim["text"] for claim in one["claims"]] for one in told]


@pytest.fixture
def stage(project: Project) -> Stage:
    project.write("dvc.yaml", DVC_YAML)
    set_params(project, {})
    return stage_of(project, "falsify_claims")


def heard(doc: Doc) -> list[Any]:
    """Everything that the stages ask of a parse."""
    tokens = [
        (
            *(t.text, t.whitespace_, t.idx, t.lemma_, t.lower_, t.pos_, t.tag_, t.dep_, t.head.i, t.ent_type_),
            *(t.ent_iob_, t.is_sent_start, t.sent.start, t.is_alpha, t.is_title, t.is_quote, t.like_num),
            *(t.left_edge.i, t.right_edge.i, [c.i for c in t.children]),
        )
        for t in doc
    ]
    return [doc.text, *tokens, *((ent.start, ent.end, ent.label_) for ent in doc.ents)]


def test_a_parse_that_was_stored_says_what_the_parser_said(nlp: Language, real: list[list[str]]) -> None:
    vocab = English().vocab
    for claim in (claim for told in real for claim in told):
        read = nlp(claim)
        kept = json.loads(json.dumps(columns_of(read)))
        assert heard(doc_of(kept, vocab)) == heard(read)
        assert [parsed_of(kept)] == list(parse([claim], nlp))


def test_claims_parsed_in_a_group_are_parsed_as_alone(real: list[list[str]], monkeypatch, nlp: Language) -> None:
    monkeypatch.setattr(parses, "_parser", lambda: nlp)
    assert parses_of_all(real) == [parses_of(told) for told in real]
    assert parses_of_all([[], real[0]])[0] == {"claims": []}


def test_what_a_stage_has_parsed_no_other_parses_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def map_here(fn: Any, items: Any, **how: Any) -> Any:
        from tasks.workers import Outcome

        for item_id, payload in items:
            asked.extend(payload)
            yield Outcome(item_id, fn(payload), None, 1, 0.0)

    monkeypatch.setattr(stage, "map", map_here)
    names = {key: key for key in TOLD}
    first, _ = parses_of_claims(stage, {"b": TOLD["b"]}, names)
    both, rejects = parses_of_claims(stage, TOLD, names)
    again, _ = parses_of_claims(stage, TOLD, names)
    assert asked == [TOLD["b"], TOLD["a"]]  # each passage once
    assert (both, rejects, list(both)) == (again, {}, list(TOLD))
    assert both["b"] == first["b"]
    assert [[parsed_of(one).text for one in both[key]] for key in TOLD] == list(TOLD.values())
