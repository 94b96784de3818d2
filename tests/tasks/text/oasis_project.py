"""A small data set in the shape of build_oasis's outs, and a project in which the stages that train on it run."""

import random
from pathlib import Path
from typing import Any

from tasks.tables import write_table
from tasks.text.records import (
    CLAIM_FALSIFICATION,
    CLAIMS,
    DOCUMENTS,
    NLI_TRIPLETS,
    OWED,
    PAGES,
    PARAPHRASE_GENERATION,
    RETRIEVAL_PAIRS,
    UNFACTUAL_TEXT_GENERATION,
)

TRADES = ("painter", "sculptor", "composer", "physician", "printer", "sailor", "weaver", "miller")
TOWNS = ("Oslo", "Bergen", "Turku", "Lund", "Riga", "Visby", "Kiel", "Ghent")
FIRST = ("Anna", "Ole", "Kari", "Nils", "Ida", "Jon", "Siri", "Lars", "Else", "Per")
LAST = ("Berg", "Dahl", "Moe", "Lie", "Holm", "Vik", "Ness", "Strand")
OWED_X = dict.fromkeys(OWED, "x")
WORDS = [
    *(word.lower() for words in (TRADES, TOWNS, FIRST, LAST) for word in words),
    *("was", "a", "lived", "in", "worked", "as", "the", "town", "of", ".", "he", "she", "grew", "old", "there"),
]


def span(start: int, text: str) -> dict[str, int]:
    return {"start": start, "end": start + len(text)}


class Person:
    """A page of two sentences, two claims, one false claim, F and U."""

    def __init__(self, number: int, name: str, rng: random.Random) -> None:
        self.page_id, self.passage_id, self.title = f"page{number:03d}", f"page{number:03d}-0", name
        trade, self.new = rng.sample(TRADES, 2)
        town = rng.choice(TOWNS)
        self.old = trade
        self.sentences = [f"{name} was a {trade}.", f"{name} lived in {town}."]
        self.text = " ".join(self.sentences)
        self.told = [f"{name} worked as a {trade}.", self.sentences[1]]
        self.factual = " ".join(self.told)
        self.false_claim = f"{name} was a {self.new}."
        self.unfactual = self.factual.replace(f"a {trade}.", f"a {self.new}.")
        self.split = "test" if number % 4 == 0 else "train"

    @property
    def place(self) -> dict[str, str]:
        names = {"passage_id": self.passage_id, "page_id": self.page_id, "split": self.split, "title": self.title}
        return {**names, "topic": "People" if self.page_id < "page020" else "Others", "source": "x"}

    def claim_id(self, number: int) -> str:
        return f"{self.passage_id}-{number}"


def people(count: int, seed: int = 0) -> list[Person]:
    rng = random.Random(seed)
    names = [f"{first} {last}" for first in FIRST for last in LAST]
    return [Person(number, name, rng) for number, name in enumerate(rng.sample(names, count))]


def write_data(root: Path, count: int = 40) -> list[Person]:
    """Write data/raw/passages/pages, data/curated/claims and data/curated/oasis; return what is in them."""
    told = people(count)
    tables: dict[str, tuple[Any, list[dict[str, Any]]]] = {
        "documents": (DOCUMENTS, [row for one in told for row in _documents(one)]),
        "retrieval_pairs": (RETRIEVAL_PAIRS, [row for one in told for row in _pairs(one)]),
        "nli_triplets": (NLI_TRIPLETS, [row for n, one in enumerate(told) for row in _triplets(one, told[n - 1])]),
        "paraphrase_generation": (PARAPHRASE_GENERATION, [_paraphrase(one) for one in told]),
        "unfactual_text_generation": (UNFACTUAL_TEXT_GENERATION, [_unfactual(one) for one in told]),
        "claim_falsification": (CLAIM_FALSIFICATION, [_falsified(one) for one in told]),
    }
    for name, (schema, rows) in tables.items():
        halves = {"cc-by-sa-3.0": rows[: len(rows) // 2], "cc-by-sa-4.0": rows[len(rows) // 2 :]}
        for folder, part in halves.items():  # two licences
            write_table(root / f"data/curated/oasis/{folder}/{name}.parquet", part, schema)
    pages = [
        {
            **{"page_id": one.page_id, "source": "x", "name": one.title, "title": one.title, "topic": "x"},
            **{"text": one.text, "sentences": [span(one.text.index(s), s) for s in one.sentences], **OWED_X},
        }
        for one in told
    ]
    write_table(root / "data/raw/passages/pages.parquet", pages, PAGES)
    claims = [
        {
            **{"claim_id": one.claim_id(n), "passage_id": one.passage_id, "page_id": one.page_id, "number": n},
            **{"claim": claim, "quote": claim, "quote_start": one.text.index(claim)},
            **{"quote_end": one.text.index(claim) + len(claim), "sentence": n, "construction": "copula"},
            **{"method": "parse", **OWED_X},
        }
        for one in told
        for n, claim in enumerate(one.sentences)
    ]
    write_table(root / "data/curated/claims/claims.parquet", claims, CLAIMS)
    return told


def _documents(one: Person) -> list[dict[str, Any]]:
    window = {"document_id": one.passage_id, **one.place, "kind": "window", "text": one.text}
    kinds = (("f", "factual", one.factual), ("u", "unfactual", one.unfactual))
    others = [
        {"document_id": f"{one.passage_id}-{end}", **one.place, "kind": kind, "text": text, "start": 0, "end": 0}
        for end, kind, text in kinds
    ]
    return [{**row, **OWED_X} for row in ({**window, "start": 0, "end": len(one.text)}, *others)]


def _pairs(one: Person) -> list[dict[str, Any]]:
    kinds = (("", "passage"), ("-f", "factual"), ("-u", "unfactual"))
    return [
        {
            **one.place,
            **{"query": claim, "query_kind": "claim", "claim_id": one.claim_id(n)},
            **{"document_id": f"{one.passage_id}{end}", "document_kind": kind},
        }
        for n, claim in enumerate(one.sentences)
        for end, kind in kinds
    ]


def _triplets(one: Person, other: Person) -> list[dict[str, Any]]:
    true, false = one.sentences[0], one.false_claim
    made = [
        *((text, kind, true, "entailment") for text, kind in ((one.text, "passage"), (one.factual, "factual"))),
        *((text, kind, false, "contradiction") for text, kind in ((one.text, "passage"), (one.factual, "factual"))),
        (one.unfactual, "unfactual", false, "entailment"),
        (one.unfactual, "unfactual", true, "contradiction"),
        (other.text, "window", true, "neutral"),
        (other.text, "window", one.sentences[1], "neutral"),
    ]
    return [
        {
            **{"triplet_id": f"{one.passage_id}-{n}", **one.place, "premise": premise, "premise_kind": kind},
            "premise_title": (other if kind == "window" else one).place["title"],
            **{"hypothesis": claim, "hypothesis_kind": "false_claim" if claim == false else "claim", "label": label},
            **{"claim_id": one.claim_id(0), "neutral_from": "same_topic" if label == "neutral" else ""},
            **{"relation": "sibling", **OWED_X},
        }
        for n, (premise, kind, claim, label) in enumerate(made)
    ]


def _paraphrase(one: Person) -> dict[str, Any]:
    spans = [span(one.factual.index(told), told) for told in one.told]
    texts = {"text": one.text, "claims": one.sentences, "paraphrase": one.factual}
    return {**one.place, **texts, "claim_spans": spans, "ways": ["synonym", "as_is"], **OWED_X}


def _unfactual(one: Person) -> dict[str, Any]:
    told = [one.told[0].replace(f"a {one.old}.", f"a {one.new}."), one.told[1]]
    windows = [span(text.index(word), word) for text, word in ((one.factual, one.old), (one.unfactual, one.new))]
    return {
        **one.place,
        **{"claims": [one.false_claim, one.sentences[1]], "false_place": 0},
        **{"factual_text": one.factual, "unfactual_text": one.unfactual},
        **{"claim_spans": [span(one.unfactual.index(part), part) for part in told]},
        **{"old_window": windows[0], "new_window": windows[1], **OWED_X},
    }


def _falsified(one: Person) -> dict[str, Any]:
    true = one.sentences[0]
    places = {
        **{"old_start": true.index(one.old), "old_end": true.index(one.old) + len(one.old)},
        **{"new_start": one.false_claim.index(one.new), "new_end": one.false_claim.index(one.new) + len(one.new)},
    }
    return {
        **one.place,
        **{"text": one.text, "factual_claim": [true], "unfactual_claim": [one.false_claim]},
        **{"claim_id": one.claim_id(0), "quote_start": 0, "quote_end": len(true), **places},
        **{"old": one.old, "new": one.new, "old_lemma": one.old, "new_lemma": one.new},
        **{"relation": "sibling", "role": "predicate", "backend": "embedded", "verdicts": [], **OWED_X},
    }
