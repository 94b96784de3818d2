"""The card of one licence's part of the Oasis data set, with what the Hub reads on top."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tasks.licences import hub_licence
from tasks.markdown import plain, plain_table

_WHAT = {
    "claim_extraction": "passages with their atomic claims",
    "claim_falsification": "a true claim and its false form, with spans and the verdict of each check",
    "paraphrase_generation": "a factual text that tells a passage's claims in other words",
    "unfactual_text_generation": "the same text with one claim made false; it differs in one window",
    "nli_triplets": "premise, hypothesis, label (entailment, contradiction, neutral)",
    "documents": "every window of every page, and the texts: what is searched",
    "retrieval_pairs": "a claim and a document that speaks of it",
}
_MAKERS = {
    "rules": "Made by rules, not by a language model and not by people.",
    "language_model": "Made by a language model and checked by rules, not by people.",
}
_SNIPPETS = (
    """\
import duckdb

duckdb.sql("SELECT title, factual_claim[1], unfactual_claim[1] FROM 'claim_falsification.parquet' LIMIT 3").show()
""",
    """\
from pathlib import Path
from datasets import load_dataset

pairs = load_dataset(str(Path.cwd()), "claim_falsification", split="both")
print(pairs.filter(lambda row: row["split"] == "test"))
""",
)


def card_text(
    licence: str,
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
    parameters: Mapping[str, Any],
    made_from: Mapping[str, str],
    notes: Iterable[str] = (),
) -> str:
    """Return the card as Markdown; `tables` are the rows of this licence by table, `made_from` paths and hashes."""
    filled = [name for name, rows in tables.items() if rows]
    sources = Counter((row["source"], row["credit"], row["url"]) for row in tables["claim_extraction"])
    counts = [(name, *_by_split(tables[name]), _WHAT[name]) for name in tables]
    made = _backend(tables)
    parts = [
        _front_matter(licence, filled),
        "# Claims made false, and texts that tell them\n",
        "In the shape of LLM-Oasis (arXiv 2411.19655): passages of an encyclopedia, their atomic claims, one claim of "
        f"each passage made false{' by one word' if made == 'rules' else ''}, a factual and an unfactual text, "
        "triplets and retrieval pairs. Column `split` says train or test; no page, near-duplicate or swapped pair of "
        "values is in both. Spans count characters (Unicode code points), [start, end). "
        f"{_MAKERS[made]}\n",
        plain_table(("table", "train", "test", "what a row is"), counts),
        f"## Licence and credits\n\nLicence: {plain(licence)}\n",
        *(["Its owner has not stated terms: do not pass it on.\n"] if licence == "unstated" else []),
        "Text under a share-alike licence stays under it in whatever is made of it. Swapped words come from Princeton "
        "WordNet 3.1 (WordNet licence).\n",
        plain_table(("source", "credit", "url", "passages"), [(*key, n) for key, n in sorted(sources.items())]),
        "## Loading\n\nEach block runs in the folder of this card.\n",
        *(f"```python\n{snippet}```\n" for snippet in snippets(filled)),
        *(f"{note}\n" for note in notes),
        "## How it was made\n",
        plain_table(("parameter", "value"), parameters.items()),
        plain_table(("made from", "DVC hash"), made_from.items()),
    ]
    return "\n".join(parts)


def _backend(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return who wrote the false claims; rules where there is none."""
    return next((row["backend"] for row in tables["claim_falsification"]), "rules")


def snippets(filled: Sequence[str]) -> Sequence[str]:
    """Return the Python blocks of a card whose tables `filled` have rows."""
    return _SNIPPETS if "claim_falsification" in filled else ()


def _front_matter(licence: str, filled: Sequence[str]) -> str:
    lines = [*hub_licence(licence), "language: en", "tags: [text, factuality]", "configs:"]
    for name in filled:
        path = json.dumps(f"{name}.parquet")
        lines += [f"- config_name: {name}", "  data_files:", "  - split: both", f"    path: {path}"]
    return "\n".join(["---", *lines, "---\n"])


def _by_split(rows: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    counts = Counter(row["split"] for row in rows)
    return counts["train"], counts["test"]
