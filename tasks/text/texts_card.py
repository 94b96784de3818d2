"""The card of the folder of texts: what F and U are, how claims are told, licences and credits, how to load it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tasks import markdown


def card_text(
    rows: Sequence[Mapping[str, Any]],
    passages: Sequence[Mapping[str, Any]],
    figures: Mapping[str, float],
    rejected: Mapping[str, int],
) -> str:
    """Return the card as Markdown; `rows` are those of texts.parquet, `passages` theirs, `figures` the metrics."""
    owed = Counter((row["source"], row["licence"], row["credit"]) for row in passages)
    ways = [(name.removeprefix("way_"), count) for name, count in figures.items() if name.startswith("way_")]
    left_out = ", ".join(f"{reason} {count}" for reason, count in sorted(rejected.items())) or "nothing"
    lines = [
        "# Factual and unfactual texts",
        "",
        f"{len(rows)} texts (`factual`) that tell the claims of a passage in other words, and "
        f"{figures['texts_unfactual']} (`unfactual`) that tell one of them falsely: they differ from their factual "
        "text in one window. Spans count characters (Unicode code points); `factual_spans` has one for each of "
        "`claim_ids`. The texts are made by rules from the claims, without a language model.",
        "",
        "`unfactual` = `factual` with `old_window` replaced by what stands in `new_window`.",
        "",
        f"Of the runs of four words of a factual text, {figures['four_gram_overlap_median']:.0%} stand in its passage "
        f"(median); {figures['share_retold']:.0%} of the claims are told by other words or another sentence.",
        "",
        markdown.table(("way", "claims"), sorted(ways, key=lambda pair: (-pair[1], pair[0]))),
        "",
        markdown.table(("source", "licence", "credit", "texts"), [(*key, n) for key, n in sorted(owed.items())]),
        "",
        "Text under a share-alike licence stays under it here. Synonyms are pairs of WordNet 3.1 (c) 2011 Princeton "
        "University.",
        "",
        f"Left out: {left_out}.",
        "",
        "```python",
        "import duckdb",
        "",
        "duckdb.sql(\"SELECT factual, unfactual FROM 'texts.parquet' WHERE unfactual IS NOT NULL LIMIT 3\").show()",
        "```",
        "",
    ]
    return "\n".join(lines)
