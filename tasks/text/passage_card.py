"""The card of a folder of passages: what it holds, under which licences, whom to credit, and how to load it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.markdown import plain_table


def card_text(
    pages: Sequence[Mapping[str, Any]],
    passages: int,
    windows: int,
    rejected: Mapping[str, int],
    parameters: Mapping[str, Any],
    made_from: Mapping[str, str],
) -> str:
    """Return the card as Markdown; `pages` are rows of pages.parquet, `made_from` paths with DVC's hashes."""
    by_source = Counter((row["source"], row["licence"], row["credit"], row["url"]) for row in pages)
    topics = Counter(row["topic"] or "none stated" for row in pages)
    lines = [
        "# Passages",
        "",
        f"{len(pages)} pages, {passages} passages of up to {parameters['sentences']} sentences (one a page, drawn by "
        f"seed), "
        f"{windows} windows in all. Offsets count characters (Unicode code points).",
        "",
        plain_table(
            ("source", "licence", "credit", "url", "pages"), [(*key, count) for key, count in sorted(by_source.items())]
        ),
        "",
        "Text under a share-alike licence stays under it in whatever is made of it.",
        "",
        plain_table(("topic", "pages"), sorted(topics.items(), key=lambda pair: (-pair[1], pair[0]))),
        "",
        "Left out: "
        + (", ".join(f"{reason} {count}" for reason, count in sorted(rejected.items())) or "nothing")
        + ".",
        "",
        "```python",
        "import duckdb",
        "",
        "duckdb.sql(\"SELECT title, text FROM 'passages.parquet' LIMIT 3\").show()",
        "```",
        "",
        "## How it was made",
        "",
        plain_table(("parameter", "value"), parameters.items()),
        plain_table(("made from", "DVC hash"), made_from.items()),
    ]
    return "\n".join(lines)
