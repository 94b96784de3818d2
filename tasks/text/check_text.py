"""Judge the facts of a text of one's own against the indexed corpus: `python -m tasks.text.check_text FILE`.

Its claims are extracted by rules, evidence is found by the trained retriever, the judge that
evaluate_factuality.judge of params.yaml names decides. What the corpus does not speak of counts as true, as in
Algorithm 1 of LLM-Oasis, and is told as such.
"""

import argparse
import contextlib
import io
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from tasks import env, lineage
from tasks.learning.exact import exactly
from tasks.llm import Ledger, LlmError
from tasks.llm_asking import asking, endpoint_of
from tasks.parameters import StageError, read_knobs, validate_parameters
from tasks.progress import Progress
from tasks.segments import StoreError
from tasks.store import Store
from tasks.tables import Reject, TableError
from tasks.text.claims import extract
from tasks.text.cleaning import check_prose, cleaned
from tasks.text.decision import Decision, Judge, decide_all, text_is_factual
from tasks.text.documents import read_documents
from tasks.text.evidence import evidence_text
from tasks.text.highlights import best_sentence
from tasks.text.llm_judge import WHERE, LlmJudge
from tasks.text.oasis_tables import read_oasis
from tasks.text.sentences import sentence_spans
from tasks.text.wikitext import sections_of

if TYPE_CHECKING:
    from tasks.text.evaluate_factuality import EvaluateFactuality

RETRIEVER, VERIFIER = Path("data/models/oasis_retriever"), Path("data/models/oasis_verifier")
CORPUS = Path("data/curated/oasis")
K = 30
LANGUAGE = "en"  # that the rules read
_SURE = 0.9  # probability of another language; of a short text's language nobody is
_NAMES = {"entailment": "true", "contradiction": "FALSE", "neutral": "no evidence"}
_COLUMNS = 14  # of the verdict


class CheckError(ValueError):
    """A text that cannot be checked: what is missing, and the remedy."""


@dataclass(frozen=True)
class Checked:
    """A claim of a text, what was decided, and the evidence that decided: a title and a sentence, "" where none did."""

    claim: str
    decision: Decision
    title: str
    sentence: str

    @property
    def verdict(self) -> str:
        """What is printed of it."""
        return _NAMES["neutral" if self.decision.rank is None else self.decision.labels[self.decision.rank]]


def check(root: Path, file: Path) -> Iterator[tuple[str, list[Checked]]]:
    """Yield each document of a file with its claims and what was decided of them.

    Raises CheckError where models or corpus are not there or not whole, or nothing of the file can be read;
    StageError for a parameter that is wrong; of a language model, what `ask` raises.
    """
    from tasks.text.evaluate_factuality import Params
    from tasks.text.parser import load_parser
    from tasks.text.retriever import Searcher

    section = {"evaluate_factuality": lineage.read_params_file(root).get("evaluate_factuality", {})}
    chosen = validate_parameters(Params, section, "evaluate_factuality").evaluate_factuality
    needed = {RETRIEVER: "train_retriever", VERIFIER: "train_verifier", CORPUS: "build_oasis"}
    for path, stage in needed.items():
        if not (root / path).exists() and (path != VERIFIER or chosen.judge == "verifier"):
            raise CheckError(f"{path} is missing: run 'dvc repro {stage}'")
    texts = list(_texts(file))
    windows = {row["document_id"]: row for row in read_oasis(root / CORPUS, "documents") if row["kind"] == "window"}
    nlp = load_parser()
    progress = Progress(0, "claims", "check_text")
    with exactly(1, torch.device("cpu")), _judge(root, chosen) as judge, contextlib.closing(progress):
        with _whole(RETRIEVER, "train_retriever"):
            searcher = Searcher(root / RETRIEVER)
        for title, text in texts:
            if doubt := _doubt(text):
                print(f"check_text: {title}: {doubt}: claims are found in English prose alone", file=sys.stderr)
            claims = [claim.text for claim in extract(text, title, sentence_spans(text, title), nlp).claims]
            progress.total += len(claims)
            yield title, checked(claims, searcher.search(claims, K) if claims else [], judge, windows, progress.more)


@contextlib.contextmanager
def _judge(root: Path, chosen: "EvaluateFactuality") -> Iterator[Judge]:
    """Yield the judge that params.yaml chooses; answers of a language model that failed are told at the end."""
    from tasks.text.verifier import load_judge

    if chosen.judge == "verifier":
        with _whole(VERIFIER, "train_verifier"):
            trained = load_judge(root / VERIFIER, torch.device("cpu"))
        yield trained
        return
    llm, store = read_knobs(root).llm, Store(env.store_url(root))
    sampling, endpoint = chosen.sampling.settings, endpoint_of(llm, **WHERE)
    with asking(sampling, endpoint, store, Ledger(llm.limits), "check_text", "answers") as answers:
        judge = LlmJudge(answers)
        yield judge
    if judge.failed:
        reasons = ", ".join(sorted({reject.reason for reject in judge.failed.values()}))
        told = f"{len(judge.failed)} of {len(judge.pairs)} answers failed ({reasons}) and count as no evidence"
        print(f"check_text: {told}", file=sys.stderr)


@contextlib.contextmanager
def _whole(folder: Path, stage: str) -> Iterator[None]:
    """Turn what is raised where a model's folder lacks a file, or has a broken one, into a CheckError."""
    remedy = f"run 'dvc repro {stage}'"
    try:
        yield
    except FileNotFoundError as error:
        raise CheckError(f"{folder} has no {Path(error.filename).name}: {remedy}") from error
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckError(f"{folder} cannot be read ({type(error).__name__}: {error}): {remedy}") from error


def _doubt(text: str) -> str:
    """Return why a text may be no English prose, "" where nothing speaks against it."""
    try:
        check_prose(text, LANGUAGE, 0.0)
    except Reject as reject:
        return str(reject) if reject.reason != "language" or (reject.value or 0) > _SURE else ""
    return ""


def checked(
    claims: Sequence[str],
    found: Sequence[Sequence[str]],
    judge: Judge,
    windows: Mapping[str, Mapping[str, Any]],
    decided: Callable[[int], None] = lambda claims: None,
) -> list[Checked]:
    """Return what a judge makes of claims, given the ids of the windows found for each; `windows` are rows by id.

    `decided` is told of how many claims that was, again and again. Raises CheckError for a window that is not in the
    corpus.
    """
    unknown = sorted({name for names in found for name in names if name not in windows})
    if unknown:
        raise CheckError(f"{CORPUS} has no window {unknown[0]} that {RETRIEVER} knows: run 'dvc repro train_retriever'")
    evidences = [
        [evidence_text("window", windows[name]["title"], windows[name]["text"]) for name in names] for names in found
    ]
    made = []
    for claim, names, decision in zip(claims, found, decide_all(judge, claims, evidences, decided), strict=True):
        row = None if decision.rank is None else windows[names[decision.rank]]
        sentence = best_sentence(claim, row["text"]) if row else ""
        made.append(Checked(claim, decision, row["title"] if row else "", sentence))
    return made


def _texts(file: Path) -> Iterator[tuple[str, str]]:
    """Yield (title, text) of each document of a file; of several, those that cannot be read are told and left out.

    Raises CheckError for a file of which nothing can be read.
    """
    read, bad = 0, None
    try:
        for document in read_documents(file):
            try:
                if document.reject is not None:
                    raise document.reject
                sections = tuple(sections_of(document.sections[0])) if document.wikitext else document.sections
                text = _prose(sections)
            except Reject as reject:
                if bad is None:
                    bad = CheckError(f"{file}, {document.title or document.name}: {reject}")
                print(f"check_text: {document.title or document.name}: {reject}", file=sys.stderr)
                continue
            read += 1
            yield document.title, text
    except Reject as reject:
        raise CheckError(f"{file}: {reject}") from reject
    except OSError as error:
        raise CheckError(f"{file}: {error.strerror or error}") from error
    if not read:
        raise bad or CheckError(f"{file}: there is no text in it")


def _prose(sections: Sequence[str]) -> str:
    """Return sections as one text, without those that have no letter, as marks that part others."""
    kept = []
    for section in sections:
        try:
            kept.append(cleaned(section))
        except Reject as reject:
            if len(sections) == 1 or reject.reason != "empty":
                raise
    if not kept:
        raise Reject("empty", "no text")
    return "\n\n".join(kept)


def lines(title: str, found: Sequence[Checked], width: int) -> Iterator[str]:
    """Yield a report in plain columns: verdict, claim, and below it the evidence."""
    if not found:
        yield f"{title}: no claim was found in it"
        return
    factual = text_is_factual([one.decision for one in found])
    yield f"{title}: {'factual' if factual else 'NOT FACTUAL'}, {len(found)} claims"
    gap = " " * (_COLUMNS + 2)
    for one in found:
        yield from textwrap.wrap(one.claim, width, initial_indent=f"  {one.verdict:<{_COLUMNS}}", subsequent_indent=gap)
        if one.title:
            said = f"{one.title}: {' '.join(one.sentence.split())}"
            yield from textwrap.wrap(said, width, initial_indent=f"{gap}> ", subsequent_indent=f"{gap}  ")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the file that is named on the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="check_text", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path, help="a text, JSONL, Parquet or dump, as fetch_passages reads them")
    file = parser.parse_args(arguments).file
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may not know every character
    width = max(60, shutil.get_terminal_size((100, 24)).columns)
    try:
        root = env.checkout_root()
        env.configure(root)
        for title, found in check(root, file):
            print("\n".join(lines(title, found, width)), flush=True)
    except (CheckError, TableError, FileNotFoundError, LlmError, StageError, StoreError) as error:
        print(f"check_text: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("check_text: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # who reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
