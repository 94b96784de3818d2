"""Is what is in a benchmark in our data? Runs of words that both have, as lm-evaluation-harness and datatrove count."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SUFFIXES = (".txt", ".md", ".jsonl", ".ndjson", ".parquet")


class Benchmarks:
    """The texts of files that no record may share `run_words` words in a row with, or a short text whole."""

    def __init__(self, paths: Iterable[Path], run_words: int) -> None:
        """Read the files. Raises ValueError, naming the file, for one that gives no text."""
        self.run_words = run_words
        self._runs: dict[tuple[str, ...], str] = {}
        self._short: dict[tuple[str, ...], str] = {}
        self.texts = 0
        for path in paths:
            before = self.texts
            for text in _texts(path):
                words = _words(text)
                self.texts += bool(words)
                if len(words) < run_words:
                    self._short.setdefault(words, path.name)
                for i in range(len(words) - run_words + 1):
                    self._runs.setdefault(words[i : i + run_words], path.name)
            if self.texts == before:
                raise ValueError(f"{path.name}: no text in it; it cannot be compared with: remove it, or mend it")
        self._short.pop((), None)

    def found_in(self, long: Iterable[str], short: Iterable[str]) -> tuple[str, str] | None:
        """Return the file and the words that one of the texts has in common with it; `short` are compared whole."""
        for text in long:
            words = _words(text)
            for i in range(len(words) - self.run_words + 1):
                run = words[i : i + self.run_words]
                if run in self._runs:
                    return self._runs[run], " ".join(run)
        for text in short:
            words = _words(text)
            if words in self._short:
                return self._short[words], " ".join(words)
        return None


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", text.lower()))


def _texts(path: Path) -> Iterator[str]:
    """Yield every text of a file: whole, or each string of each row."""
    kind = path.suffix.lower()
    try:
        if kind in (".txt", ".md"):
            yield path.read_text(encoding="utf-8-sig")
        elif kind in (".jsonl", ".ndjson"):
            with path.open(encoding="utf-8-sig") as lines:
                for line in lines:
                    if line.strip():
                        yield from _strings(json.loads(line))
        elif kind == ".parquet":
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(1000):
                    yield from _strings(batch.to_pylist())
        else:
            raise ValueError(f"its name ends in none of {', '.join(SUFFIXES)}")
    except (ValueError, OverflowError, RecursionError, pa.ArrowException, OSError) as error:
        raise ValueError(f"{path.name}: {error}; it cannot be compared with: remove it, or mend it") from None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
