"""Markdown in the cards that lie beside data sets."""

import re
from collections.abc import Iterable, Sequence
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table. Cells are taken as Markdown: give text from elsewhere through `plain`."""
    lines = [head, ["---"] * len(head), *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def plain_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table of text from elsewhere."""
    return table(head, ([plain(cell) for cell in row] for row in rows))


def plain(cell: Any) -> str:
    """Return text that breaks no table and starts no markup."""
    text = re.sub(r"([\\|`<>*\[\]])", r"\\\1", " ".join(str(cell).split()))
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", text)
