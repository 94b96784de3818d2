"""Passages whose truth is known from tables: claims are found, and what is made false contradicts the tables."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tasks.sources import downloads_folder, fetch
from tasks.stage import item_rng
from tasks.text.claims import extract
from tasks.text.falsification import Falsified, Sources, falsify
from tasks.text.parser import load_parser
from tasks.text.slots import parse
from tasks.text.wordnet import WordNet
from tasks.text.wordnet_files import wordnet_folder
from tests.tasks.text.factbook import Country, Fact, bag, contradicts, countries, factbook

ROOT = Path(__file__).resolve().parents[3]
SEEDS = range(5)
NEGATION = re.compile(r"\b(?:not|never|no|none|nor|neither)\b|n't\b|\b(?:non|un|in|im|dis)(?=[a-z]{4})", re.IGNORECASE)
NAME_OR_NUMBER = re.compile(r"\b(?:[A-Z][\w'-]*|\d[\d,.]*)\b")


@pytest.mark.parametrize(
    ("false", "expected"),
    [
        ("Mali is a presidential monarchy.", True),
        ("Mali is a federal republic.", True),
        ("Mali is a republic.", False),  # only leaves out
        ("Mali is a presidential state.", False),  # as good as a republic
        ("Chad is a presidential republic.", False),  # of another country
    ],
)
def test_the_tables_judge_as_a_person_would(false: str, expected: bool) -> None:
    claim = "Mali is a presidential republic."
    country = Country("Mali", (Fact(claim, claim, "government", "presidential republic"),))
    assert contradicts(country, claim, false) is expected


@pytest.mark.slow
def test_claims_of_rendered_passages_are_those_of_the_tables() -> None:
    nlp, profiles = load_parser(), factbook(ROOT)
    told = found = right = 0
    for country in countries(profiles, 0):
        claims = [claim.text for claim in extract(country.text, country.name, country.sentences, nlp).claims]
        expected = {bag(fact.claim) for fact in country.facts}
        told += len(expected)
        found += len({bag(claim) for claim in claims})
        right += len({bag(claim) for claim in claims} & expected)
    assert told > 400
    assert right / told >= 0.9, (right, told)
    assert right / found >= 0.9, (right, found)


@pytest.mark.slow
def test_what_is_made_false_contradicts_the_tables_and_touches_no_name_number_or_negation() -> None:
    nlp, profiles = load_parser(), factbook(ROOT)
    downloads = downloads_folder(ROOT)
    wordnet = WordNet(wordnet_folder(downloads, lambda source: fetch(source, downloads)))
    judged: Counter[bool] = Counter()
    wrong = []
    for seed in SEEDS:
        told = list(countries(profiles, seed))
        claims = [
            [claim.text for claim in extract(country.text, country.name, country.sentences, nlp).claims]
            for country in told
        ]
        parsed = list(parse((claim for group in claims for claim in group), nlp))
        sources = Sources.of(wordnet, parsed, [country.text for country in told])
        at = 0
        for country, group in zip(told, claims, strict=True):
            mine, at = parsed[at : at + len(group)], at + len(group)
            outcome = falsify(
                country.text, country.name, mine, sources, nlp, item_rng(seed, "falsify_claims", country.name)
            )
            if isinstance(outcome, Falsified):
                true = contradicts(country, outcome.claim, outcome.false_claim)
                judged[true] += 1
                wrong += [] if true else [f"{outcome.claim} -> {outcome.false_claim}"]
                assert Counter(NAME_OR_NUMBER.findall(outcome.claim)) == Counter(
                    NAME_OR_NUMBER.findall(outcome.false_claim)
                )
                assert len(NEGATION.findall(outcome.false_claim)) <= len(NEGATION.findall(outcome.claim))
    assert judged.total() >= 100
    assert judged[True] / judged.total() >= 0.95, (judged, wrong[:20])
