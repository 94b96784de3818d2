"""Put passages, claims, false claims and texts together as a data set in LLM-Oasis's shape: data/curated/oasis/.

A folder for each licence has claim_extraction, claim_falsification, paraphrase_generation, unfactual_text_generation,
nli_triplets, documents, retrieval_pairs and a card; review/ has sheets for people. Sections 3.3, 3.5 and 3.6 of
LLM-Oasis (arXiv 2411.19655).
"""

import csv
import hashlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import Field

from tasks import sources
from tasks.licences import folders_of
from tasks.stage import Plan, Report, Stage, StageError, StrictModel, stage_main
from tasks.tables import REJECTED, Reject, read_overrides, read_table, rejected_rows, write_table
from tasks.text.contamination import Benchmarks
from tasks.text.labelled import (
    NEAREST,
    Told,
    Window,
    neutral_elsewhere,
    neutral_window,
    retrieval_pairs,
    stems,
    triplets,
)
from tasks.text.leakage import Pairs, claim_pairs, probes, text_pairs
from tasks.text.oasis_card import card_text
from tasks.text.oasis_tables import TABLES
from tasks.text.records import CLAIMS, FALSIFIED, OWED, PAGES, PASSAGES, TEXTS, VERDICTS, WINDOWS
from tasks.text.review import STEPS, Item, agreement, read_marks, sheet_text, sheets
from tasks.text.search import WordIndex
from tasks.text.splits import Split, alike, page_groups, split_pages

Rows = list[dict[str, Any]]

REVIEW, REJECTS = "review", "rejected.parquet"  # what lies beside the folders of licences


class Review(StrictModel):
    annotators: int = Field(ge=1, description="a sheet each; paper 5")
    passages: int = Field(ge=0, description="drawn by seed of those with an unfactual text; paper 1750")
    shared: int = Field(ge=0, description="items of each step that everybody marks; paper 100")


class BuildOasis(StrictModel):
    seed: int
    test_share: float = Field(gt=0, lt=1, description="of the pages, and of the pairs; paper 0.2")
    max_jaccard: float = Field(gt=0, le=1, description="of two texts' five-word shingles, on different sides at most")
    contamination_words: int = Field(
        ge=5, description="in a row that a record may not share with a benchmark; usual 13"
    )
    review: Review


class Own(StrictModel):
    benchmarks: str = Field(description="folder of texts that the data set may not hold")
    reviews: str = Field(description="folder of filled-in review sheets, one file an annotator")


class Params(StrictModel):
    own: Own
    build_oasis: BuildOasis


def run(stage: Stage, params: Params) -> Report:
    """Reject what a benchmark holds, split by page, and write the tables, the sheets and the cards."""
    chosen = params.build_oasis
    data = _Data(stage)
    benchmarks = _benchmarks(stage, params)
    rejects = _rejected(data, read_overrides(stage.dep("data/exclude.csv")), benchmarks)
    kept = {key: row for key, row in data.passages.items() if key not in rejects}
    splits = _splits(data, kept, chosen)
    windows = _windows(data)
    told = {key: _told(data, row, splits, windows) for key, row in kept.items()}
    tables = _tables(data, told, splits, windows)
    leaks = _probes(tables)
    out = stage.out("data/curated/oasis")
    _write(stage, params, out, tables, leaks)
    marks = _review(stage, params, out / REVIEW, told)
    parents = {key: row["page_id"] for key, row in data.passages.items()}
    rows = rejected_rows(rejects, stage=stage.name, unit="passage", parents=parents)
    write_table(out / REJECTS, rows, REJECTED)
    counts = Counter(reject.reason for reject in rejects.values())
    figures = _figures(tables, splits, counts) | {"benchmark_texts": benchmarks.texts}
    stage.metrics({"oasis": figures, "probe": leaks, **({"review": marks} if marks else {})})
    return Report("passage", len(data.passages), len(kept), dict(counts), "data/curated/oasis")


def plan(stage: Stage, params: Params) -> Plan:
    """Count the passages: all are put together again when one changes."""
    return Plan("passage", read_table(stage.dep("data/raw/passages") / "passages.parquet", PASSAGES).num_rows, 0)


# --- what is read -----------------------------------------------------------------------------------------------


class _Data:
    """The tables of the stages before, by passage."""

    def __init__(self, stage: Stage) -> None:
        raw = stage.dep("data/raw/passages")
        curated = {name: stage.dep(f"data/curated/{name}") for name in ("claims", "falsified", "texts")}
        self.pages = {row["page_id"]: row for row in read_table(raw / "pages.parquet", PAGES).to_pylist()}
        self.windows: Rows = read_table(raw / "windows.parquet", WINDOWS).to_pylist()
        claims: dict[str, Rows] = defaultdict(list)
        for row in read_table(curated["claims"] / "claims.parquet", CLAIMS).to_pylist():
            claims[row["passage_id"]].append(row)
        self.claims = claims
        passages = read_table(raw / "passages.parquet", PASSAGES).to_pylist()
        self.passages = {row["passage_id"]: row for row in passages if row["passage_id"] in claims}
        falsified = read_table(curated["falsified"] / "falsified.parquet", FALSIFIED).to_pylist()
        self.falsified = {row["passage_id"]: row for row in falsified}
        self.texts = {
            row["passage_id"]: row for row in read_table(curated["texts"] / "texts.parquet", TEXTS).to_pylist()
        }
        self.verdicts: dict[str, Rows] = defaultdict(list)
        for row in read_table(curated["falsified"] / "verdicts.parquet", VERDICTS).to_pylist():
            self.verdicts[row.pop("passage_id")].append(row)


def _benchmarks(stage: Stage, params: Params) -> Benchmarks:
    folder = stage.dep(params.own.benchmarks)
    try:
        return Benchmarks(sources.own_files(folder), params.build_oasis.contamination_words)
    except ValueError as error:
        raise StageError(f"{params.own.benchmarks}/{error}") from None


def _rejected(data: _Data, excluded: Mapping[str, str], benchmarks: Benchmarks) -> dict[str, Reject]:
    rejects = {}
    for key, passage in data.passages.items():
        text, falsified = data.texts.get(key), data.falsified.get(key)
        long = [passage["text"], *([text["factual"], text["unfactual"] or ""] if text else [])]
        short = [row["claim"] for row in data.claims[key]] + ([falsified["false_claim"]] if falsified else [])
        if key in excluded:
            rejects[key] = Reject("excluded", excluded[key])
        elif common := benchmarks.found_in(long, short):
            rejects[key] = Reject("contaminated", f"{common[0]} has: {common[1]}")
    return rejects


# --- what is made -----------------------------------------------------------------------------------------------


def _splits(data: _Data, kept: Mapping[str, Mapping[str, Any]], chosen: BuildOasis) -> dict[str, Split]:
    """Return the split of each page. Pages that share a swapped pair of values, in either order, stay together."""
    pages = data.pages
    texts = [(row["page_id"], pages[row["page_id"]]["text"][row["start"] : row["end"]]) for row in data.windows]
    for key, row in kept.items():
        told = data.texts.get(key)
        texts += [(row["page_id"], text) for text in (told["factual"], told["unfactual"]) if text] if told else []
    values: dict[frozenset[str], list[str]] = defaultdict(list)
    weights: Counter[str] = Counter()
    for key, row in kept.items():
        if pair := data.falsified.get(key):
            values[frozenset((pair["old_lemma"], pair["new_lemma"]))].append(row["page_id"])
            weights[row["page_id"]] += 1
    groups = page_groups(pages, [*alike(texts, chosen.max_jaccard), *values.values()])
    return split_pages(groups, weights, chosen.test_share, chosen.seed)


def _windows(data: _Data) -> dict[str, list[Window]]:
    found: dict[str, list[Window]] = defaultdict(list)
    for row in data.windows:
        page = data.pages[row["page_id"]]
        title, text = page["title"], page["text"][row["start"] : row["end"]]
        first = row["first_sentence"]
        found[row["page_id"]].append(Window(row["passage_id"], title, text, first, first + row["sentence_count"]))
    return found


def _place(row: Mapping[str, Any], split: Split, passage_id: str) -> dict[str, str]:
    names = ("page_id", "title", "topic", "source", *OWED)
    return {"passage_id": passage_id, "split": split, **{name: row[name] for name in names}}


def _told(
    data: _Data, row: Mapping[str, Any], splits: Mapping[str, Split], windows: Mapping[str, list[Window]]
) -> Told:
    key = row["passage_id"]
    text, pair = data.texts.get(key), data.falsified.get(key)
    return Told(
        place=_place(row, splits[row["page_id"]], key),
        window=next(window for window in windows[row["page_id"]] if window.document_id == key),
        claims=[(claim["claim_id"], claim["claim"]) for claim in data.claims[key]],
        factual=text["factual"] if text else "",
        unfactual=(text["unfactual"] or "") if text else "",
        false_id=pair["claim_id"] if pair else "",
        false_claim=pair["false_claim"] if pair else "",
        relation=pair["relation"] if pair else "",
    )


def _tables(
    data: _Data,
    told: Mapping[str, Told],
    splits: Mapping[str, Split],
    windows: Mapping[str, list[Window]],
) -> dict[str, Rows]:
    tables: dict[str, Rows] = {name: [] for name in TABLES}
    elsewhere = _Elsewhere(data, splits, windows)
    for key, one in told.items():
        passage, text, pair = data.passages[key], data.texts.get(key), data.falsified.get(key)
        claims = dict(one.claims)
        common = {**one.place, "text": passage["text"]}
        tables["claim_extraction"].append({**common, "claims": list(claims.values())})
        if pair:
            tables["claim_falsification"].append(
                {**common, **_pair_columns(pair, data.claims[key], data.verdicts[key])}
            )
        if text:
            tables["paraphrase_generation"].append(
                {
                    **common,
                    "claims": [claims[claim_id] for claim_id in text["claim_ids"]],
                    "paraphrase": text["factual"],
                    "claim_spans": text["factual_spans"],
                    "ways": text["ways"],
                }
            )
        if text and text["unfactual"]:
            tables["unfactual_text_generation"].append({**one.place, **_unfactual_columns(text, claims, one)})
        tables["nli_triplets"] += triplets(one, _neutrals(one, windows, elsewhere))
        tables["retrieval_pairs"] += retrieval_pairs(one)
        for suffix, kind, words in (("f", "factual", one.factual), ("u", "unfactual", one.unfactual)):
            if words:
                spot = {"document_id": f"{key}-{suffix}", "kind": kind, "text": words, "start": 0, "end": 0}
                tables["documents"].append({**one.place, **spot})
    for row in data.windows:
        page = data.pages[row["page_id"]]
        spot = {"document_id": row["passage_id"], "kind": "window", "start": row["start"], "end": row["end"]}
        place = _place(page, splits[row["page_id"]], row["passage_id"])
        tables["documents"].append({**place, **spot, "text": page["text"][row["start"] : row["end"]]})
    tables["documents"].sort(key=lambda row: row["document_id"])
    return tables


def _pair_columns(pair: Mapping[str, Any], claims: Rows, verdicts: Rows) -> dict[str, Any]:
    quoted = next(row for row in claims if row["claim_id"] == pair["claim_id"])
    names = ("claim_id", "old_start", "old_end", "new_start", "new_end", "old", "new", "old_lemma", "new_lemma")
    return {
        "factual_claim": [pair["claim"]],
        "unfactual_claim": [pair["false_claim"]],
        **{name: pair[name] for name in (*names, "relation", "role")},
        **{name: quoted[name] for name in ("quote_start", "quote_end")},
        "backend": "language_model" if pair["relation"] == "language_model" else "rules",
        "verdicts": verdicts,
    }


def _unfactual_columns(text: Mapping[str, Any], claims: Mapping[str, str], one: Told) -> dict[str, Any]:
    place = text["false_place"]
    told = [claims[claim_id] for claim_id in text["claim_ids"]]
    return {
        "claims": [*told[:place], one.false_claim, *told[place + 1 :]],
        "false_place": place,
        "factual_text": text["factual"],
        "unfactual_text": text["unfactual"],
        "claim_spans": text["unfactual_spans"],
        **{name: text[name] for name in ("old_window", "new_window")},
    }


class _Elsewhere:
    """The windows of other pages of a topic, split and licence, by how near their words are to a claim."""

    def __init__(self, data: _Data, splits: Mapping[str, Split], windows: Mapping[str, list[Window]]) -> None:
        self._pages_with = Counter(
            stem for page in data.pages.values() for stem in stems(f"{page['title']} {page['text']}")
        )
        self._windows = {window.document_id: window for mine in windows.values() for window in mine}
        self._page_of = {window.document_id: page_id for page_id, mine in windows.items() for window in mine}
        grouped: dict[tuple[str, ...], list[Window]] = defaultdict(list)
        for page_id, page in sorted(data.pages.items()):
            grouped[page["topic"], splits[page_id], page["licence"]] += windows.get(page_id, [])
        self._indexes = {
            place: WordIndex([w.document_id for w in mine], [f"{w.title}. {w.text}" for w in mine])
            for place, mine in grouped.items()
            if mine
        }

    def neutral(self, claim: str, place: Mapping[str, str]) -> Window | None:
        """Return the nearest window of another page that does not name what the claim is about."""
        title = sorted(stems(place["title"]) or stems(claim), key=lambda stem: (self._pages_with[stem], stem))
        index = self._indexes.get((place["topic"], place["split"], place["licence"]))
        if not title or index is None:
            return None
        found = index.search([claim], NEAREST)[0]
        others = (self._windows[key] for key in found if self._page_of[key] != place["page_id"])
        return neutral_elsewhere(title[0], others)


def _neutrals(told: Told, windows: Mapping[str, list[Window]], elsewhere: _Elsewhere) -> dict[str, tuple[Window, str]]:
    """Return a neutral window for each claim that has one: of its page, or of a page of the same topic."""
    place = told.place
    found = {}
    for claim_id, claim in told.claims:
        home = neutral_window(claim, place["title"], windows[place["page_id"]], told.window)
        if home is not None:
            found[claim_id] = (home, "same_page")
        elif away := elsewhere.neutral(claim, place):
            found[claim_id] = (away, "same_topic")
    return found


def _probes(tables: Mapping[str, Rows]) -> dict[str, float]:
    def pairs(split: str) -> dict[str, Pairs]:
        claims = [row for row in tables["claim_falsification"] if row["split"] == split]
        texts = [row for row in tables["unfactual_text_generation"] if row["split"] == split]
        return {"claim_only": claim_pairs(claims), "text_only": text_pairs(texts)}

    return {name: round(value, 4) for name, value in probes(pairs("train"), pairs("test")).items()}


# --- what is written --------------------------------------------------------------------------------------------


def _write(stage: Stage, params: Params, out: Path, tables: Mapping[str, Rows], leaks: Mapping[str, float]) -> None:
    """Write a folder for each licence: its rows of each table, and a card."""
    stated = (row["licence"] for rows in tables.values() for row in rows if "licence" in row)
    beside = {REVIEW, REJECTS}  # no other folder's name ends in a low line
    licences = {name: f"{folder}_" if folder in beside else folder for name, folder in folders_of(stated).items()}
    homes = {row["document_id"]: row["licence"] for row in tables["documents"]}
    paths = ("data/raw/passages", "data/curated/claims", "data/curated/falsified", "data/curated/texts")
    made_from = {path: stage.dep_hash(path) for path in paths}
    probed = ", ".join(f"{name} {value:.3f}" for name, value in leaks.items())
    note = f"Leakage probes over the whole set (balanced accuracy without evidence, 0.5 is chance): {probed or 'none'}."
    for licence, folder in licences.items():
        mine: dict[str, Rows] = {}
        for name, rows in tables.items():
            mine[name] = [row for row in rows if (row.get("licence") or homes[row["document_id"]]) == licence]
            write_table(out / folder / f"{name}.parquet", mine[name], TABLES[name])
        parameters = params.build_oasis.model_dump(mode="json")
        (out / folder / "README.md").write_text(card_text(licence, mine, parameters, made_from, [note]))


def _review(stage: Stage, params: Params, folder: Path, told: Mapping[str, Told]) -> dict[str, float]:
    """Write the sheets, and what filled-in ones say; return the figures of these."""
    chosen = params.build_oasis
    folder.mkdir(parents=True)
    for step, items in _items(chosen, told, chosen.review.passages).items():
        for number, mine in enumerate(sheets(items, chosen.review.annotators, chosen.review.shared), 1):
            (folder / f"{step}.annotator_{number}.csv").write_text(sheet_text(mine), encoding="utf-8", newline="")
    try:
        all_items = itertools.chain(*_items(chosen, told, len(told)).values())
        read = read_marks(sources.own_files(stage.dep(params.own.reviews)), all_items)
    except ValueError as error:
        raise StageError(f"{params.own.reviews}/{error}") from None
    marks, figures = read.by_step, dict[str, float]()
    if read.stale:
        figures["stale_marks"] = read.stale
        stage.log.warning(
            "%s: %d marks in %s are of what is no longer there, or reads otherwise now: not counted",
            *(stage.name, read.stale, params.own.reviews),
        )
    for step, by_item in sorted(marks.items()):
        figures |= {
            f"{step}_{name}": round(value, 4) for name, value in asdict(agreement(by_item)).items() if value is not None
        }
    if marks:
        gold = _gold(marks, told)
        figures["gold"] = len(gold)
        with (folder / "gold.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([["passage_id"], *([key] for key in gold)])
    return figures


def _items(chosen: BuildOasis, told: Mapping[str, Told], passages: int) -> dict[str, list[Item]]:
    """Return what is to be judged of so many passages, by step: the same in each, in an order drawn by seed."""
    able = [key for key, one in told.items() if one.unfactual]
    drawn = sorted(able, key=lambda key: hashlib.sha256(f"{chosen.seed}:{key}".encode()).digest())
    items: dict[str, list[Item]] = {step: [] for step in STEPS}
    for key in drawn[:passages]:
        one = told[key]
        title, text, claims = one.place["title"], one.window.text, dict(one.claims)
        listed = "\n".join(claims.values())
        altered = "\n".join(one.false_claim if number == one.false_id else claim for number, claim in one.claims)
        items["extraction"] += [Item("extraction", number, title, text, "", claim) for number, claim in one.claims]
        items["falsification"].append(Item("falsification", key, title, text, claims[one.false_id], one.false_claim))
        items["factual"].append(Item("factual", key, title, text, listed, one.factual))
        items["unfactual"].append(Item("unfactual", key, title, text, altered, one.unfactual))
    return items


def _gold(marks: Mapping[str, Mapping[str, Sequence[bool]]], told: Mapping[str, Told]) -> list[str]:
    """Return the passages that were judged at every step and in which nobody marked an error."""

    def clean(step: str, items: Iterable[str]) -> bool:
        return all(marks.get(step, {}).get(item, [False]).count(False) == 0 for item in items)

    def judged() -> Iterator[str]:
        for key, one in told.items():
            steps = all(clean(step, [key]) for step in ("falsification", "factual", "unfactual"))
            if one.unfactual and steps and clean("extraction", [number for number, _ in one.claims]):
                yield key

    return list(judged())


def _figures(tables: Mapping[str, Rows], splits: Mapping[str, Split], rejects: Mapping[str, int]) -> dict[str, float]:
    pairs = tables["claim_falsification"]
    labels = Counter(row["label"] for row in tables["nli_triplets"])
    neutral = Counter(row["neutral_from"] for row in tables["nli_triplets"] if row["neutral_from"])
    test_pages = sum(split == "test" for split in splits.values())
    return {
        **{name: len(rows) for name, rows in tables.items()},
        **{f"triplets_{label}": count for label, count in sorted(labels.items())},
        **{f"neutral_{come}": count for come, count in sorted(neutral.items())},
        "test_share_pages": round(test_pages / len(splits), 4) if splits else 0.0,
        "test_share_pairs": round(sum(row["split"] == "test" for row in pairs) / len(pairs), 4) if pairs else 0.0,
        **{f"reject_{reason}": count for reason, count in sorted(rejects.items())},
    }


if __name__ == "__main__":
    stage_main(run, Params, plan=plan)
