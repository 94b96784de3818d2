"""The language model as judge of facts: how a claim stands to evidence, and whether a whole text is true.

The two tasks of LLM-Oasis (arXiv 2411.19655, section 4) as it asks language models. A claim with one passage is a
question, and is asked once; so is a text, without any evidence (zero-shot). An answer that fails is counted.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from tasks.llm import Answer, Request, Sampling, Template, Usage, estimate, stored_answers
from tasks.llm_asking import Answers
from tasks.llm_settings import Limits
from tasks.report import Plan
from tasks.store import Store
from tasks.strict import StrictModel
from tasks.tables import Reject
from tasks.text.decision import Judge, Label

Pair = tuple[str, str]  # claim, evidence
# which parameter asks for a model, and how to do without
WHERE = {"setting": "evaluate_factuality.judge is 'llm'", "remedy": "set evaluate_factuality.judge to verifier"}


class Verdict(StrictModel):
    """How a claim stands to its evidence."""

    label: Label


class TextVerdict(StrictModel):
    """Whether a text is true in all that it says."""

    factual: bool


_ROLE = "You check facts. "

VERDICT = Template(
    "oasis.verdict",
    "1",
    _ROLE + "Say how the claim stands to the evidence, going by the evidence alone and not by what else you know. "
    "`entailment`: the evidence says that the claim is true, in whatever words. `contradiction`: the evidence says "
    "what cannot be if the claim is true, as where it gives another value to the same thing. `neutral`: neither; the "
    "evidence speaks of something else, or leaves the claim open. Answer with one JSON object that has one of these "
    "three words as `label`.",
    "$claim\n$evidence",
)
TEXT_VERDICT = Template(
    "oasis.text_verdict",
    "1",
    _ROLE + "Say whether the text is true in all that it states, by what you know. One false statement is enough to "
    "make it false. Answer with one JSON object that has `factual`: true or false.",
    "$text",
)


def verdict_request(claim: str, evidence: str) -> Request[Verdict]:
    """Return what asks how a claim stands to evidence."""
    return Request(claim, VERDICT, {"claim": claim, "evidence": evidence}, Verdict)


def text_request(text_id: str, text: str) -> Request[TextVerdict]:
    """Return what asks whether a text is true."""
    return Request(text_id, TEXT_VERDICT, {"text": text}, TextVerdict)


class LlmJudge:
    """A language model that judges: Judge's `labels`. Each distinct pair is asked about once.

    A pair whose answer fails counts as neutral; `failed` says why, for each.
    """

    def __init__(self, answers: Answers) -> None:
        self.failed: dict[Pair, Reject] = {}
        self._answers = answers
        self._labels: dict[Pair, Label] = {}

    def labels(self, claims: Sequence[str], evidences: Sequence[str]) -> list[Label]:
        """Return how each claim stands to the evidence in the same place. Raises what `ask` raises."""
        pairs = list(zip(claims, evidences, strict=True))
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._labels]
        answers = self._answers([verdict_request(*pair) for pair in new]) if new else []
        for pair, answer in zip(new, answers, strict=True):
            self._labels[pair] = "neutral" if answer.value is None else answer.value.label
            if answer.reject is not None:
                self.failed[pair] = answer.reject
        return [self._labels[pair] for pair in pairs]

    @property
    def pairs(self) -> list[Pair]:
        """The pairs that were asked about, in the order in which they were."""
        return list(self._labels)

    def figures(self) -> dict[str, float]:
        """Return how many pairs were asked about, and how many of their answers failed, by reason."""
        reasons = Counter(reject.reason for reject in self.failed.values())
        counts = {f"failed_{reason}": count for reason, count in sorted(reasons.items())}
        return {"pairs": len(self._labels), "failed": len(self.failed), **counts}


def told_texts(texts: Sequence[tuple[str, str]], answers: Answers) -> tuple[list[bool], dict[str, Reject]]:
    """Return whether each text (id, text) is factual, as the language model says without evidence (zero-shot).

    A text whose answer fails counts as factual, as one of which nothing is known does in Algorithm 1; why, by its id.
    """
    told, failed = [], {}
    for (text_id, _), answer in zip(texts, answers([text_request(*one) for one in texts]), strict=True):
        told.append(answer.value is None or answer.value.factual)
        if answer.reject is not None:
            failed[text_id] = answer.reject
    return told, failed


def judging_plan(
    decide: Callable[[Judge], None],
    texts: Sequence[tuple[str, str]],
    sampling: Sampling,
    store: Store,
    limits: Limits,
) -> Plan:
    """Say how many answers there are to ask for, and about what they cost; `decide` asks a judge all that is asked.

    How many passages a claim needs is known once its answers are: told are the fewest (an answer that is not stored
    decides) and the most (it is neutral).
    """
    others = [text_request(*one) for one in texts]
    found = []
    for unknown in ("contradiction", "neutral"):
        judge = LlmJudge(_foreseen(sampling, store, unknown))
        decide(judge)
        requests: list[Request[Any]] = [verdict_request(*pair) for pair in judge.pairs]
        found.append(estimate([*requests, *others], sampling, store, limits))
    least, most = found
    notes = [least.note()]
    if most.calls > least.calls:
        notes.append(f"if no passage decided before the last one of its claim: {most.note()}")
    return Plan("answer", least.calls, least.stored, notes=tuple(notes))


def _foreseen(sampling: Sampling, store: Store, unknown: Label) -> Answers:
    """Return what gives the answers that are stored, and `unknown` where there is none."""

    def answers(requests: Sequence[Request[Any]]) -> list[Answer[Any]]:
        found = stored_answers(requests, sampling, store)
        return [
            Answer(request, Verdict(label=unknown), None, (), Usage()) if answer is None else answer
            for request, answer in zip(requests, found, strict=True)
        ]

    return answers
