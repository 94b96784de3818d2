"""What cards of video data sets have in common: what the Hub reads on top (hub-docs, "Dataset Cards"), and tables."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tasks.licences import hub_licence
from tasks.markdown import plain, table

_LISTED = 20  # values of a kind of fact
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def front_matter(
    terms: Sequence[str], title: str, items: int, files: str | Mapping[str, str], more: Sequence[str] = ()
) -> str:
    """Return what the Hub reads of a card: `terms` are lines on its licence, `files` its data, in all or by split."""
    lines = [
        *terms,
        f"pretty_name: {json.dumps(title)}",
        f"size_categories: [{json.dumps(next((name for below, name in _SIZES if items < below), 'n>1M'))}]",
        "tags: [video]",
        *more,
        "configs:",
        "- config_name: default",
    ]
    if isinstance(files, str):
        lines.append(f"  data_files: {json.dumps(files)}")
    else:
        lines.append("  data_files:")
        for split, path in files.items():
            lines += [f"  - split: {split}", f"    path: {json.dumps(path)}"]
    return "\n".join(["---", *lines, "---\n"])


def terms_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the lines on the licence of a set: that of all its rows, or that each has its own."""
    licences = sorted({row["licence"] for row in rows})
    return hub_licence(licences[0]) if len(licences) == 1 else ["license: other", "license_name: by-clip"]


def facts_table(clips: Iterable[Mapping[str, Any]], vocabulary: Mapping[str, Sequence[str]]) -> str:
    """Return kind, values and number of the facts of clips, rows of captions.CLIPS, as a table.

    Of many values, and of kinds without a closed vocabulary, it says how many there are.
    """
    found: dict[str, Counter[str]] = {}
    for clip in clips:
        for fact in clip["facts"]:
            found.setdefault(fact["kind"], Counter())[fact["value"]] += 1

    def row(kind: str) -> tuple[str, str, int]:
        counts = found.get(kind, Counter())
        values = vocabulary.get(kind, ())
        shown = ", ".join(values) if 0 < len(values) <= _LISTED else f"{len(values) or len(counts)} values"
        return f"`{kind}`", plain(shown), counts.total()

    return table(("kind", "values", "facts"), map(row, [*vocabulary, *sorted(set(found) - set(vocabulary))]))


def splits_of(takes: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Return the takes of each split: train, valid, test and then others by name."""
    known = ("train", "valid", "test")
    found: dict[str, list[Mapping[str, Any]]] = {}
    for take in takes:
        found.setdefault(take["split"], []).append(take)
    order = sorted(found, key=lambda name: (known.index(name) if name in known else len(known), name))
    return {name: found[name] for name in order}
