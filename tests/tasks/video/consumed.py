"""Runs one consumer over a file, for tests of what it finds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.video.frames import Consumer, Keep, run_pass


class Shelf:
    """Keeps tables by a running number."""

    def __init__(self) -> None:
        self.tables: list[pa.Table] = []

    def __call__(self, table: pa.Table) -> str:
        self.tables.append(table)
        return str(len(self.tables) - 1)


def consume(path: Path, make: Callable[[Keep], Consumer]) -> tuple[dict[str, Any], pa.Table]:
    """Run one consumer over a file; return its summary and its tables, joined."""
    shelf = Shelf()
    consumer = make(shelf)
    run_pass(path, [consumer], frame_s=1 / 24)
    summary, names = consumer.finish()
    return summary, pa.concat_tables([shelf.tables[int(name)] for name in names])
