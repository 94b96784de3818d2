"""The card of a folder of passages: what it holds, under which licences, whom to credit, and how to load it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tasks import markdown


def card_text(
    pages: Sequence[Mapping[str, Any]], passages: int, windows: int, rejected: Mapping[str, int], sentences: int
) -> str:
    """Return the card as Markdown; `pages` are rows of pages.parquet."""
    by_source = Counter((row["source"], row["licence"], row["credit"], row["url"]) for row in pages)
    topics = Counter(row["topic"] or "none stated" for row in pages)
    lines = [
        "# Passages",
        "",
        f"{len(pages)} pages, {passages} passages of up to {sentences} sentences (one a page, drawn by seed), "
        f"{windows} windows in all. Offsets count characters (Unicode code points).",
        "",
        markdown.table(
            ("source", "licence", "credit", "url", "pages"), [(*key, count) for key, count in sorted(by_source.items())]
        ),
        "",
        "Text under a share-alike licence stays under it in whatever is made of it.",
        "",
        markdown.table(("topic", "pages"), sorted(topics.items(), key=lambda pair: (-pair[1], pair[0]))),
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
    ]
    return "\n".join(lines)
