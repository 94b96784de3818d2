"""What a passage costs in each stage of the text line, how that grows, and what search and store cost.

python -m bench.text [--small 500 --large 5000]: passages are windows of the desk run's pages (`dvc repro
train_retriever` first), drawn by seed, of two numbers that differ tenfold; CPU seconds, one process, one thread.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ROWS = HERE / "text.json"
RAW = ROOT / "data/raw/passages"
RETRIEVER = ROOT / "data/models/oasis_retriever"
QUERIES = 64
K = 30
ANSWERS = 400

Rows = Sequence[Mapping[str, Any]]


def drawn(number: int, seed: int) -> list[dict[str, Any]]:
    """Return so many windows of the pages as passages, with the offsets of their sentences."""
    pages = {row["page_id"]: row for row in pq.read_table(RAW / "pages.parquet").to_pylist()}
    windows = pq.read_table(RAW / "windows.parquet").to_pylist()
    rng = np.random.default_rng(seed)
    places = sorted(rng.choice(len(windows), min(number, len(windows)), replace=False).tolist())
    found = []
    for window in (windows[place] for place in places):
        page, start, end = pages[window["page_id"]], window["start"], window["end"]
        spans = [(s["start"], s["end"]) for s in page["sentences"] if start <= s["start"] and s["end"] <= end]
        found.append(
            {
                "passage_id": window["passage_id"],
                "page_id": window["page_id"],
                "title": page["title"],
                "text": page["text"][start:end],
                "page": page["text"],
                "sentences": [(s - start, e - start) for s, e in spans],
            }
        )
    return found


class Clock:
    """CPU seconds of this process by the name of what was done."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, work: Callable[[], Any]) -> Any:
        """Do the work; return what it returns."""
        begun = time.process_time()
        result = work()
        self.seconds[name] = time.process_time() - begun
        return result


def line(passages: Rows, seed: int) -> dict[str, float]:
    """Take passages through the stages; return the CPU seconds of each."""
    from tasks.sources import downloads_folder, fetch
    from tasks.stage import item_rng
    from tasks.stored import GROUP
    from tasks.text.claims import extract_all
    from tasks.text.documents import Document
    from tasks.text.falsification import Falsified, Sources
    from tasks.text.falsify_claims import falsify_all
    from tasks.text.fetch_passages import Job, split_page
    from tasks.text.page_duplicates import duplicates
    from tasks.text.parser import load_parser
    from tasks.text.parses import doc_of, parsed_of, parses_of_all
    from tasks.text.passages import Settings
    from tasks.text.realisation import FalseClaim, Passage, Resources, retell
    from tasks.text.synonyms import Usage, count_pairs
    from tasks.text.tellings import Choices
    from tasks.text.validators import Limits
    from tasks.text.wordnet import WordNet
    from tasks.text.wordnet_files import wordnet_folder

    clock, nlp, settings = Clock(), load_parser(), Settings("en", 0.0, 10_000)
    downloads = downloads_folder(ROOT)
    wordnet = WordNet(wordnet_folder(downloads, lambda source: fetch(source, downloads)))
    nlp("The mill grinds.")
    documents = [Document(row["passage_id"], row["title"], (row["text"],)) for row in passages]
    clock("fetch_passages: clean, split", lambda: [split_page(Job(document, settings)) for document in documents])
    clock(
        "fetch_passages: duplicates",
        lambda: list(duplicates(((row["passage_id"], row["text"]) for row in passages), 0.8)),
    )
    given = [(row["text"], row["title"], row["sentences"]) for row in passages]

    def extracted() -> list[list[str]]:
        groups = (given[first : first + GROUP] for first in range(0, len(given), GROUP))
        return [[claim.text for claim in one.claims] for group in groups for one in extract_all(group, nlp)]

    found = clock("extract_claims", extracted)
    told_of = {row["passage_id"]: mine for row, mine in zip(passages, found, strict=True) if mine}
    parses_of_all([["The mill grinds."]])

    def parsed() -> list[Any]:
        texts = list(told_of.values())
        groups = (texts[first : first + GROUP] for first in range(0, len(texts), GROUP))
        return [one["claims"] for group in groups for one in parses_of_all(group)]

    parses = dict(zip(told_of, clock("falsify_claims: parse", parsed), strict=True))
    by_passage = {key: [(f"{key}-{n}", parsed_of(one)) for n, one in enumerate(mine)] for key, mine in parses.items()}
    every = [parsed for group in by_passage.values() for _, parsed in group]
    pages = {row["page_id"]: row["page"] for row in passages}
    sources = clock("falsify_claims: corpus", lambda: Sources.of(wordnet, every, list(pages.values())))
    by_id = {row["passage_id"]: row for row in passages}
    outcomes = clock(
        "falsify_claims: swap, check",
        lambda: dict(
            falsify_all(by_passage, by_id, pages, sources, nlp, lambda i: item_rng(seed, "falsify", i), Limits())
        ),
    )
    usage = clock("write_texts: corpus", lambda: Usage(count_pairs(pages.values())))
    choices, vocab = Choices(1.0, 1.0), nlp.vocab

    def told() -> None:
        for key, texts in told_of.items():
            outcome, row = outcomes[key], by_id[key]
            false = FalseClaim(outcome.number, outcome.false_claim) if isinstance(outcome, Falsified) else None
            docs = {claim: doc_of(columns, vocab) for claim, columns in zip(texts, parses[key], strict=True)}
            resources = Resources(docs.__getitem__, wordnet, usage)
            retell(Passage(row["text"], row["title"]), texts, false, resources, choices, item_rng(seed, "texts", key))

    clock("write_texts: tell", told)
    return clock.seconds


def searches(seed: int) -> list[dict[str, Any]]:
    """Return queries a CPU second over all windows: ours, exact search by a plain loop over them, and BM25."""
    import safetensors.numpy

    from tasks.text.oasis_tables import read_oasis
    from tasks.text.retriever import DOCUMENT_IDS, INDEX, Searcher
    from tasks.text.search import Index, WordIndex

    oasis = ROOT / "data/curated/oasis"
    windows = [row for row in read_oasis(oasis, "documents") if row["kind"] == "window"]
    claims = [row["query"] for row in read_oasis(oasis, "retrieval_pairs")]
    rng = np.random.default_rng(seed)
    queries = [claims[place] for place in rng.choice(len(claims), QUERIES, replace=False)]
    searcher, clock = Searcher(RETRIEVER, "cpu"), Clock()
    ids = json.loads((RETRIEVER / DOCUMENT_IDS).read_text())
    index = safetensors.numpy.load((RETRIEVER / INDEX).read_bytes())
    by_words = WordIndex([row["document_id"] for row in windows], [row["text"] for row in windows])
    vectors = searcher.vectors(queries)
    whole = clock("ours, claims encoded", lambda: searcher.search(queries, K))
    ours = clock("ours, vectors given", lambda: Index(ids, index["vectors"], index["members"]).search(vectors, K))
    assert whole == ours

    def loop() -> list[list[str]]:
        found = []
        for vector in vectors:
            by_sentence = index["vectors"] @ vector
            scores = [float(by_sentence[members].max()) for members in index["members"]]
            order = sorted(range(len(ids)), key=lambda place: (-scores[place], ids[place]))
            found.append([ids[place] for place in order[:K]])
        return found

    exact = clock("exact, window by window", loop)
    clock("BM25", lambda: by_words.search(queries, K))
    same = sum(set(one) == set(other) for one, other in zip(ours, exact, strict=True)) / len(queries)
    return [
        {
            "search": name,
            "windows": len(ids),
            "queries_per_cpu_s": round(len(queries) / seconds, 1),
            "same_30_as_exact": round(same, 4) if name.startswith("ours") else None,
        }
        for name, seconds in clock.seconds.items()
    ]


def kept(seed: int) -> dict[str, Any]:
    """Return the CPU milliseconds that keeping and finding one answer of a language model takes."""
    from tasks.llm_answers import Keeper, Question, find_answers
    from tasks.llm_budget import Usage
    from tasks.llm_response import Said
    from tasks.store import Store

    messages = [{"role": "system", "content": "x" * 1500}, {"role": "user", "content": "y" * 1000}]
    first = Question({"template": "bench", "model": "none"}, messages, 0, 0)
    questions = [replace(first, sample=n) for n in range(ANSWERS)]
    said = Said(content="z" * 1200, finish_reason="stop", model="none", fingerprint="", usage=Usage(600, 300))
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"{folder}/store")
        begun = time.process_time()
        with store.writer() as writer:
            keeper = Keeper(writer)
            for question in questions:
                keeper.keep(question, said)
        keeping, begun = time.process_time() - begun, time.process_time()
        again = Store(store.url)
        assert len(find_answers(again, [question.key for question in questions])) == ANSWERS
        finding = time.process_time() - begun
    return {
        "answers": ANSWERS,
        "keep_ms": round(1000 * keeping / ANSWERS, 2),
        "find_ms": round(1000 * finding / ANSWERS, 3),
    }


def main() -> None:
    """Measure, print, write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=500)
    parser.add_argument("--large", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    load = psutil.getloadavg()[0]
    few, many = (line(drawn(number, told.seed), told.seed) for number in (told.small, told.large))
    times = told.large / told.small
    rows = [
        {
            "work": name,
            "small_cpu_s": round(few[name], 2),
            "large_cpu_s": round(many[name], 2),
            "large_per_cpu_s": round(told.large / many[name], 1) if many[name] else None,
            "times": round(many[name] / few[name], 2) if few[name] else None,
        }
        for name in many
    ]
    whole = round(sum(many.values()) / sum(few.values()), 2)
    result = {
        "small": told.small,
        "large": told.large,
        "rows": rows,
        "times_whole": whole,
        "target_times": 1.1 * times,
        "met": whole <= 1.1 * times,
        "search": searches(told.seed),
        "store": kept(told.seed),
        "cores": os.cpu_count(),
        "load_before": round(load, 1),
    }
    ROWS.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
