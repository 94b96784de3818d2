"""The cards, README.md, of the folders of claims and of false claims: what they hold, on which terms, how it was made.

Equal data sets have equal cards: no date, commit or host.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tasks.markdown import plain, table
from tasks.text.records import OWED

Rows = Iterable[Mapping[str, Any]]


def claims_card(claims: Sequence[Mapping[str, Any]], passages: int, made_from: Mapping[str, str]) -> str:
    """Return the card of a folder of claims. `made_from`: path -> DVC's hash."""
    constructions = Counter(row["construction"] for row in claims)
    return "\n".join(
        [
            "# Atomic claims\n",
            f"{len(claims)} claims of {len({row['passage_id'] for row in claims})} of {passages} passages, in English: "
            "each says one thing in at most 15 words, with a noun as its subject, and names the span of the passage "
            "that it is quoted from. Made by rules on a parse, after LLM-Oasis (arXiv 2411.19655), step 1.\n",
            _table(("file", "what"), _CLAIM_FILES),
            "Offsets count characters (Unicode code points) of the passage's text.\n",
            _table(("construction", "claims"), sorted(constructions.items(), key=lambda item: (-item[1], item[0]))),
            _terms(claims, "claims"),
            _loading("claims.parquet", "passage_id, claim, quote"),
            _making({}, made_from),
        ]
    )


def falsified_card(
    pairs: Sequence[Mapping[str, Any]],
    passages: int,
    parameters: Mapping[str, Any],
    made_from: Mapping[str, str],
    wordnet_licence: str,
) -> str:
    """Return the card of a folder of false claims of so many passages with claims. `made_from`: path -> DVC's hash."""
    relations = Counter((row["relation"], row["role"]) for row in pairs)
    licence = "\n".join(f"> {plain(line)}  " for line in wordnet_licence.strip().splitlines())
    return "\n".join(
        [
            "# Claims and their false forms\n",
            f"{len(pairs)} claims, one of a passage ({passages} passages had claims), each with a form that is false: "
            "one word is swapped for another of its kind, names, dates and numbers stay, and nothing is negated; after "
            "LLM-Oasis (arXiv 2411.19655), step 2. That the new claim is false is taken from the words, by WordNet, "
            "lists of words that exclude each other, and the corpus; no person has judged each pair.\n",
            _table(("file", "what"), _FALSIFIED_FILES),
            "Offsets count characters (Unicode code points) of the claim and of the false claim.\n",
            _table(
                ("the new word is to the old", "which is", "pairs"),
                ((*key, count) for key, count in sorted(relations.items(), key=lambda item: (-item[1], item[0]))),
            ),
            _terms(pairs, "pairs"),
            "The new words were chosen with WordNet, whose licence goes with what is made of it:\n",
            f"{licence}\n",
            _loading("falsified.parquet", "claim, false_claim, old, new"),
            _making(parameters, made_from),
        ]
    )


_REJECTED = ("rejected.parquet", "the passages that gave none, each with the reason")
_CLAIM_FILES = (
    ("claims.parquet", "a row a claim, in the order of the text"),
    ("dropped.parquet", "clauses that gave no claim, each with the reason"),
    _REJECTED,
)
_FALSIFIED_FILES = (
    ("falsified.parquet", "a row a pair: claim, false claim, the two words with their spans and how they are related"),
    ("verdicts.parquet", "a row for every check of every pair: what was measured, and what it was compared with"),
    _REJECTED,
)


def _terms(rows: Rows, what: str) -> str:
    owed = Counter(tuple(row[name] for name in OWED) for row in rows)
    told = _table((*OWED, what), ((*key, count) for key, count in sorted(owed.items())))
    shared = "Text under a share-alike licence stays under it in whatever is made of it.\n"
    return f"## Licences and credits\n\n{told}\n{shared}"


def _loading(file: str, columns: str) -> str:
    block = f'import duckdb\n\nrows = duckdb.read_parquet("{file}")\nrows.project("{columns}").limit(3).show()\n'
    return f"## Loading\n\nThe block runs in the folder of this card.\n\n```python\n{block}```\n"


def _making(parameters: Mapping[str, Any], made_from: Mapping[str, str]) -> str:
    rows = ((name, json.dumps(value)) for name, value in parameters.items())
    told = [_table(("parameter", "value"), rows)] if parameters else []
    return "\n".join(["## How it was made\n", *told, _table(("made from", "DVC hash"), made_from.items())])


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    return table(head, ([plain(cell) for cell in row] for row in rows))
