"""Train the retriever on retrieval pairs, and write the vectors of the corpus: data/models/oasis_retriever/.

Upper layers of an encoder from a package are trained with DPR's loss; the best by recall@1 on held-out pages of the
training split is kept. What is found for test claims among all windows is told beside BM25 and the untrained encoder.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from tasks.content import HashMemory
from tasks.downloads import fetched_for
from tasks.embed import TOKENIZER, Texts, fetched_encoder, load_body, padded
from tasks.encoder_files import EncoderSources
from tasks.keys import StoredFunction
from tasks.learning.batches import IndexBatches
from tasks.learning.config import LearningConfig
from tasks.learning.curves import Look
from tasks.learning.exact import choose_device, exactly
from tasks.learning.models import save_model
from tasks.learning.task import Loss, Task
from tasks.learning.training import checkpoints_of, train_in_stage, training_plan, write_training
from tasks.progress import Progress
from tasks.stage import Plan, Report, Stage, StrictModel, item_rng, stage_main
from tasks.tables import read_table
from tasks.text.drawn_triplets import held_out_pages
from tasks.text.evidence import evidence_text
from tasks.text.oasis_tables import read_oasis
from tasks.text.pairs import Pair, drawn_pairs, neighbouring_batches
from tasks.text.records import CLAIMS, PAGES
from tasks.text.retriever import (
    Design,
    Retriever,
    Sentences,
    about_passages,
    documents_searched,
    in_batch_loss,
    saved_config,
    sentences_of,
    vectors_of,
    write_index,
)
from tasks.text.search import Index, WordIndex, recall_at, windows_of_claims
from tasks.text.sentences import sentence_spans

STORED = StoredFunction(
    "text.train_retriever", "1", "tasks.text.train_retriever", ("torch", "transformers", "tokenizers", "numpy", "bm25s")
)
OUT = "data/models/oasis_retriever"
DATA = ("data/curated/oasis", "data/curated/claims", "data/raw/passages")
RANKS = (1, 10, 30)


class TrainRetriever(StrictModel):
    pairs: int = Field(ge=0, description="at most; 0: all")
    valid_share: float = Field(gt=0, lt=1, description="of the pages of the training split, held out for validation")
    valid_claims: int = Field(ge=1, description="of held-out pages, at most")
    valid_rivals: int = Field(ge=0, description="sentences of other pages for each of them, the most alike by words")
    page_windows: int = Field(ge=0, description="of a page that are searched, about its passage, at most; 0: all")
    trained_layers: int = Field(ge=1, description="of the encoder, from above; the others stay as they are")
    tokens: int = Field(ge=8, le=512, description="word pieces of a claim or a sentence that are read, at most")
    scale: float = Field(gt=0, description="of the dot product of unit vectors in the loss, 1 / temperature")
    batch_size: int = Field(ge=2)
    learning: LearningConfig


class Params(StrictModel):
    encoder: EncoderSources
    train_retriever: TrainRetriever


@dataclass(frozen=True)
class Corpus:
    """What the stage reads: documents to search, claims, and pairs of the training split in two parts."""

    windows: list[Mapping[str, Any]]  # those that are searched
    sentences: Sentences  # ... and theirs
    claims: list[Mapping[str, Any]]  # of the test split
    right: dict[str, frozenset[str]]  # windows by claim, of all splits
    train: tuple[Pair, ...]
    valid: tuple[Pair, ...]
    others: tuple[str, ...]  # sentences of other pages of the training split, among which those are to be found


def run(stage: Stage, params: Params) -> Report:
    """Train, then write model, vectors, curves and figures."""
    chosen = params.train_retriever
    corpus = _corpus(stage, chosen)
    training = _training(stage, params, corpus)
    trained = train_in_stage(stage, training, checkpoints_of(stage, STORED, params, DATA))
    device = choose_device(stage.knobs.device)
    tuned, texts = trained.model.to(device), Texts(training.tokenizer, chosen.tokens)
    untuned = training.untrained().to(device)
    assert isinstance(tuned, Retriever)
    with exactly(chosen.learning.threads, device):
        told = Progress(len(corpus.sentences.texts), "sentences", stage.info.address)
        before, after = vectors_of([untuned, tuned], texts, corpus.sentences.texts, told.more)
        told.close()
        found = _found(corpus, texts, {"untuned": (untuned, before), "tuned": (tuned, after)})
    out = stage.out(OUT)
    save_model(out, tuned.cpu(), saved_config(tuned.design))
    (out / TOKENIZER).write_text(training.tokenizer)
    write_index(out, [window["document_id"] for window in corpus.windows], corpus.sentences.members_NP, after)
    counts = {"pairs": len(corpus.train), "windows": len(corpus.windows), "test_claims": len(corpus.claims)}
    write_training(stage, trained, Look("recall@1 on held-out pages"), counts, {"retriever": found})
    stage.log.info("recall@1 of test claims: %.3f, untuned %.3f", found["recall@1"], found["untuned_recall@1"])
    return Report("pair", len(corpus.train), len(corpus.train), {}, OUT)


def plan(stage: Stage, params: Params) -> Plan:
    """Say from which step training goes on, or that it has ended."""
    return training_plan(checkpoints_of(stage, STORED, params, DATA), params.train_retriever.learning.max_steps)


def _corpus(stage: Stage, chosen: TrainRetriever) -> Corpus:
    oasis, curated, raw = (stage.dep(path) for path in DATA)
    documents = read_oasis(oasis, "documents")
    pairs = read_oasis(oasis, "retrieval_pairs")
    claims = read_table(curated / "claims.parquet", CLAIMS).to_pylist()
    spans = {row["page_id"]: row["sentences"] for row in read_table(raw / "pages.parquet", PAGES).to_pylist()}
    windows = documents_searched(documents)
    sentences = sentences_of(windows, spans)
    told = {
        window["document_id"]: [sentences.texts[place] for place in mine]
        for window, mine in zip(windows, sentences.members_NP.tolist(), strict=True)
    }
    for row in documents:
        if row["kind"] != "window" and row["split"] == "train":
            told[row["document_id"]] = [row["text"][slice(*span)] for span in sentence_spans(row["text"], row["title"])]
    split = {row["page_id"]: row["split"] for row in documents}
    rows = [row for row in pairs if row["split"] == "train"]
    seed = chosen.learning.seed
    pages = (row["page_id"] for row in rows)
    held_out = held_out_pages(pages, chosen.valid_share, item_rng(seed, stage.name, "held_out"))
    train, valid = (
        drawn_pairs(part, told, most, item_rng(seed, stage.name, name))
        for name, part, most in (
            ("train", [row for row in rows if row["page_id"] not in held_out], chosen.pairs),
            ("valid", [row for row in rows if row["page_id"] in held_out], chosen.valid_claims),
        )
    )
    others = {
        sentence
        for window in windows
        if window["split"] == "train" and window["page_id"] not in held_out
        for sentence in told[window["document_id"]]
    }
    rivals = _rivals([pair.query for pair in valid], sorted(others), chosen.valid_rivals)
    searched = about_passages(windows, {row["passage_id"] for row in claims}, chosen.page_windows)
    right = windows_of_claims(claims, searched)
    tested = [row for row in claims if row["claim_id"] in right and split[row["page_id"]] == "test"]
    return Corpus(searched, sentences_of(searched, spans), tested, right, tuple(train), tuple(valid), rivals)


def _rivals(claims: list[str], sentences: list[str], each: int) -> tuple[str, ...]:
    """Return the sentences that BM25 finds for claims: among those drawn by chance a right one is found at once."""
    if not sentences or not each:
        return ()
    found = WordIndex(sentences, sentences).search(claims, each)
    return tuple(sorted({sentence for ranked in found for sentence in ranked}))


def _found(corpus: Corpus, texts: Texts, models: Mapping[str, tuple[Retriever, np.ndarray]]) -> dict[str, float]:
    """Return recall at each rank of test claims among all windows: tuned plain, the others with their name before.

    `untuned_window` is the encoder as it came with one vector a window, the mean of its sentences'.
    """
    ids = [window["document_id"] for window in corpus.windows]
    queries = [claim["claim"] for claim in corpus.claims]
    right = [corpus.right[claim["claim_id"]] for claim in corpus.claims]
    texts_of_windows = [evidence_text("window", one["title"], one["text"]) for one in corpus.windows]
    ranked = {"bm25_": WordIndex(ids, texts_of_windows).search(queries, max(RANKS))}
    members = corpus.sentences.members_NP
    asked_by_each = vectors_of([model for model, _ in models.values()], texts, queries)
    for (name, (_, vectors)), asked in zip(models.items(), asked_by_each, strict=True):
        ranked["" if name == "tuned" else f"{name}_"] = Index(ids, vectors, members).search(asked, max(RANKS))
        if name == "untuned":
            means = vectors[members].mean(1)
            means /= np.linalg.norm(means, axis=1, keepdims=True)
            alone = np.arange(len(ids), dtype=np.int32)[:, None]
            ranked["untuned_window_"] = Index(ids, means, alone).search(asked, max(RANKS))
    recalls = {f"{name}recall@{k}": recall_at(k, found, right) for name, found in ranked.items() for k in RANKS}
    return recalls | {f"{name}missed@1": 1 - recalls[f"{name}recall@1"] for name in ranked}


@dataclass(frozen=True)
class RetrieverTraining:
    """A `tasks.learning.training.Training`: an encoder, and the pairs of both parts."""

    chosen: TrainRetriever
    encoder: Mapping[str, Any]
    tokenizer: str
    weights: Path
    train: tuple[Pair, ...]
    valid: tuple[Pair, ...]
    others: tuple[str, ...]
    device: str

    @property
    def config(self) -> LearningConfig:
        """The parameters of training."""
        return self.chosen.learning

    def untrained(self) -> Retriever:
        """Return the retriever as training begins with it: the encoder as it came."""
        retriever = Retriever(Design(dict(self.encoder), self.chosen.trained_layers, self.chosen.tokens))
        retriever.body.load_state_dict(load_body(self.weights, self.encoder).state_dict())
        return retriever.eval()

    def task(self) -> Task:
        """Return what is trained."""
        chosen, texts = self.chosen, Texts(self.tokenizer, self.chosen.tokens)
        untrained = self.untrained()
        size, seed = chosen.batch_size, chosen.learning.seed
        with exactly(chosen.learning.threads, torch.device("cpu")):
            (vectors,) = vectors_of([untrained], texts, [pair.query for pair in self.train])
        rng = item_rng(seed, "train_retriever", "batches")
        batches = neighbouring_batches(vectors, [pair.page_id for pair in self.train], size, rng)
        if not batches:
            raise ValueError(f"batch_size={size}: the pairs for training are of fewer pages: make it smaller")
        queries, sentences = (texts([getattr(pair, name) for pair in self.train]) for name in ("query", "sentence"))
        numbers = {page: number for number, page in enumerate(dict.fromkeys(pair.page_id for pair in self.train))}

        def built() -> Retriever:
            retriever = Retriever(untrained.design)
            retriever.load_state_dict(untrained.state_dict())
            return retriever

        def read(places: np.ndarray, epoch: int) -> tuple[Any, Any, torch.Tensor]:
            pages_B = torch.tensor([numbers[self.train[place].page_id] for place in places])
            return padded([queries[place] for place in places]), padded([sentences[place] for place in places]), pages_B

        def order(epoch: int) -> np.ndarray:
            turns = np.random.default_rng([seed, epoch]).permutation(len(batches))
            return np.array([place for turn in turns.tolist() for place in batches[turn]])

        def loss(model: torch.nn.Module, batch: tuple[Any, Any, torch.Tensor]) -> Loss:
            asked, right, pages_B = batch
            return Loss(in_batch_loss(model(*asked), model(*right), pages_B, chosen.scale), len(pages_B))

        return Task(
            built,
            IndexBatches(read, order, len(batches) * size, size),
            loss,
            lambda model: self._validated(model, texts),
            better="higher",
        )

    def _validated(self, model: torch.nn.Module, texts: Texts) -> dict[str, float]:
        """Return recall of held-out claims among the sentences of all of them and those of other pages."""
        assert isinstance(model, Retriever)
        sentences = sorted({*(pair.sentence for pair in self.valid), *self.others})
        pages: dict[str, set[str]] = {}
        for pair in self.valid:
            pages.setdefault(pair.page_id, set()).add(pair.sentence)
        (vectors,) = vectors_of([model], texts, sentences)
        (asked,) = vectors_of([model], texts, [pair.query for pair in self.valid])
        index = Index(sentences, vectors, np.arange(len(sentences), dtype=np.int32)[:, None])
        found = index.search(asked, max(RANKS))
        right = [frozenset(pages[pair.page_id]) for pair in self.valid]
        return {f"recall@{k}": recall_at(k, found, right) for k in RANKS[:2]}


def _training(stage: Stage, params: Params, corpus: Corpus) -> RetrieverTraining:
    memory = HashMemory(stage.store)
    encoder, tokenizer, weights = fetched_encoder(params.encoder, lambda source: fetched_for(stage, source, memory))
    return RetrieverTraining(
        params.train_retriever,
        encoder,
        tokenizer,
        weights,
        corpus.train,
        corpus.valid,
        corpus.others,
        stage.knobs.device,
    )


if __name__ == "__main__":
    stage_main(run, Params, plan=plan)
