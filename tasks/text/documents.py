"""Documents out of files: plain text, JSONL, Parquet, a JSON of summaries by title, or a MediaWiki dump.

A document is a page: a title and sections of text. What cannot be read is told, page by page or file by
file, and stops nothing else.
"""

import bz2
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.tables import Reject
from tasks.text.cleaning import one_line

SUFFIXES = (".txt", ".md", ".jsonl", ".ndjson", ".json", ".parquet", ".xml", ".xml.bz2", ".bz2")
_COLUMNS = ("id", "title", "topic", "licence", "credit", "url")  # besides `text`, where a row has them
MAX_TEXT_BYTES = 1 << 28  # of one text file or line of JSONL: more is no page


@dataclass(frozen=True)
class Document:
    """A page as it was read. `name` is its place in the file; `reject` says why there is no text.

    With `wikitext` there is one section, the page with its markup (see `tasks.text.wikitext`).
    """

    name: str
    title: str
    sections: tuple[str, ...]
    topic: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)  # licence, credit and url where the file gives its own
    wikitext: bool = False
    reject: Reject | None = None


def read_documents(path: Path, name: str | None = None) -> Iterator[Document]:
    """Yield the documents of a file, whose kind its suffix says (`name` stands for a file that is called otherwise).

    Text files are one document with the file's name as title, in sections at blank lines of three or more line ends.
    JSONL and Parquet have `text`, and where they like `id`, `title`, `topic`, `licence`, `credit`, `url`. A JSON file
    is {title: {"extract": text, "topic": ...}}, a dump is MediaWiki's XML. Raises Reject for a file that is not what
    its suffix says.
    """
    called = (name or path.name).lower()
    if called.endswith((".txt", ".md")):
        yield _plain(path, Path(name or path.name).stem)
    elif called.endswith((".jsonl", ".ndjson")):
        yield from _jsonl(path)
    elif called.endswith(".parquet"):
        yield from _parquet(path)
    elif called.endswith(".json"):
        yield from _summaries(path)
    elif called.endswith((".xml", ".bz2")):
        yield from _dump(path, packed=called.endswith(".bz2"))
    else:
        raise Reject("unknown_format", f"its name ends in none of {', '.join(SUFFIXES)}")


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Reject("not_utf8", f"byte {error.start} is no UTF-8: save it as UTF-8") from None


def _plain(path: Path, title: str) -> Document:
    if path.stat().st_size > MAX_TEXT_BYTES:
        raise Reject("too_large", f"{path.stat().st_size} bytes in one text: split it, or give JSONL or Parquet")
    text = _decoded(path.read_bytes()).replace("\r\n", "\n")
    called = one_line(title.encode(errors="replace").decode())  # a file's name may be no Unicode
    return Document("0", called, tuple(part for part in text.split("\n\n\n") if part.strip()) or ("",))


def _jsonl(path: Path) -> Iterator[Document]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_TEXT_BYTES):
            number += 1
            if not line.endswith(b"\n") and len(line) == MAX_TEXT_BYTES:
                raise Reject("too_large", f"line {number} has over {MAX_TEXT_BYTES} bytes")
            if line.strip():
                yield _from_line(line, number)


def _from_line(line: bytes, number: int) -> Document:
    name = f"line {number}"
    try:
        row = json.loads(_decoded(line))
    except Reject as reject:
        return Document(name, "", (), reject=reject)
    except (ValueError, RecursionError) as error:
        return Document(name, "", (), reject=Reject("not_json", f"line {number}: {error}"))
    return _from_row(row, name)


def _from_row(row: Any, name: str) -> Document:
    if not isinstance(row, Mapping) or not isinstance(row.get("text"), str):
        return Document(name, "", (), reject=Reject("no_text", "an object with 'text' is expected"))
    known: dict[str, str] = {key: str(row[key]) for key in _COLUMNS if _is_given(row.get(key))}
    if (torn := _torn([row["text"], *known.values()])) is not None:
        return Document(name, "", (), reject=torn)
    known |= {key: one_line(value) for key, value in known.items() if key != "id"}
    facts = {key: value for key, value in known.items() if key in ("licence", "credit", "url") and value}
    return Document(known.get("id", name), known.get("title", ""), (row["text"],), known.get("topic", ""), facts)


def _is_given(value: Any) -> bool:
    """Say whether a cell holds something: 0 is an id, NaN is what pandas writes where there is nothing."""
    return value is not None and value != "" and not (isinstance(value, float) and math.isnan(value))


def _parquet(path: Path) -> Iterator[Document]:
    try:
        with pq.ParquetFile(path) as file:
            if "text" not in file.schema_arrow.names:
                raise Reject("no_text", f"no column 'text' (there are {', '.join(file.schema_arrow.names)})")
            known = [name for name in ("text", *_COLUMNS) if name in file.schema_arrow.names]
            number = 0
            for batch in file.iter_batches(1000, columns=known):
                for place in range(batch.num_rows):
                    yield _from_record(batch.slice(place, 1), f"row {number}")
                    number += 1
    except (pa.ArrowException, OSError) as error:
        raise Reject("unreadable", f"no whole Parquet file: {error}") from None


def _from_record(record: pa.RecordBatch, name: str) -> Document:
    try:
        return _from_row(record.to_pylist()[0], name)
    except UnicodeDecodeError as error:  # Parquet holds any bytes as text
        return Document(name, "", (), reject=Reject("not_utf8", f"{name}: byte {error.start} of a text is no UTF-8"))
    except (ValueError, OverflowError) as error:  # a time beyond the year 9999, say
        return Document(name, "", (), reject=Reject("no_text", f"{name}: {error}"))


def _summaries(path: Path) -> Iterator[Document]:
    try:
        pages = json.loads(_decoded(path.read_bytes()))
    except (ValueError, RecursionError) as error:
        raise Reject("not_json", str(error)) from None
    if not isinstance(pages, dict):
        raise Reject("not_json", "an object of pages by title is expected; rows go into .jsonl")
    for title, page in pages.items():
        safe = title.encode(errors="backslashreplace").decode()
        if not isinstance(page, dict) or not isinstance(page.get("extract"), str):
            yield Document(safe, safe, (), reject=Reject("no_text", "a page has no 'extract'"))
            continue
        texts = (str(page.get("title") or title), page["extract"], str(page.get("topic") or ""))
        if (torn := _torn([title, *texts])) is not None:
            yield Document(safe, safe, (), reject=torn)
        else:
            yield Document(title, one_line(texts[0]), (texts[1],), one_line(texts[2]))


def _torn(texts: Iterable[str]) -> Reject | None:
    """Return why a row of JSON is no text: halves of a character (lone surrogates), that no file of text can hold."""
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            return Reject("not_utf8", f"half a character at {error.start}: write it whole, or as UTF-8")
    return None


def _dump(path: Path, *, packed: bool) -> Iterator[Document]:
    with bz2.open(path) if packed else path.open("rb") as file:
        try:
            for _, element in ElementTree.iterparse(cast(IO[bytes], file)):
                if element.tag.rpartition("}")[2] == "page":
                    yield _page(element)
                    element.clear()
        except (ElementTree.ParseError, OSError, EOFError) as error:
            raise Reject("unreadable", f"no whole MediaWiki dump: {error}") from None


def _page(element: ElementTree.Element) -> Document:
    def text(name: str) -> str:
        return element.findtext(f".//{{*}}{name}") or ""

    title, name = one_line(text("title")), text("id")
    if text("ns") != "0":
        return Document(name, title, (), reject=Reject("no_article", f"namespace {text('ns')}"))
    if element.find(".//{*}redirect") is not None:
        return Document(name, title, (), reject=Reject("redirect", "the page leads to another"))
    return Document(name, title, (text("text"),), wikitext=True)
