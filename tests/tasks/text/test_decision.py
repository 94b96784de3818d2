"""Algorithm 1: the sheet's table, and a judge that is asked no more than it must be."""

import itertools
import random
from collections.abc import Sequence

import pytest

from tasks.text.decision import LABELS, Decision, Label, decide, decide_all, text_is_factual

OF: dict[str, Label] = {"E": "entailment", "C": "contradiction", "N": "neutral"}


@pytest.mark.parametrize(
    ("labels", "factual"), [("NNE", True), ("NCE", False), ("EC", True), ("NN", True), ("", True), ("CE", False)]
)
def test_the_first_label_that_is_not_neutral_decides_and_none_is_true(labels: str, factual: bool) -> None:
    assert decide([OF[label] for label in labels]).factual is factual


@pytest.mark.parametrize(("claims", "factual"), [(["E", "NE"], True), (["E", "NC"], False), ([], True), (["N"], True)])
def test_a_text_is_factual_where_all_claims_are(claims: list[str], factual: bool) -> None:
    assert text_is_factual([decide([OF[label] for label in one]) for one in claims]) is factual


def test_it_is_told_which_passage_decided_and_where_none_did() -> None:
    assert decide([OF[label] for label in "NNC"]).rank == 2
    assert decide([OF[label] for label in "NN"]).rank is None
    assert decide([]).all_neutral
    assert not decide([OF["E"]]).all_neutral
    assert decide([OF[label] for label in "NCE"]) == Decision(("neutral", "contradiction"))


class Told:
    """A judge whose answers are written in the evidence, and who counts the questions."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.calls = 0

    def labels(self, claims: Sequence[str], evidences: Sequence[str]) -> list[Label]:
        self.calls += 1
        self.asked += zip(claims, evidences, strict=True)
        return [OF[evidence[-1]] for evidence in evidences]


def test_all_claims_are_walked_together_and_what_follows_a_decision_is_never_judged() -> None:
    rng = random.Random(3)
    told = [[rng.choice("ECNNNN") for _ in range(rng.randrange(8))] for _ in range(60)]
    evidences = [[f"{n}.{rank}{label}" for rank, label in enumerate(labels)] for n, labels in enumerate(told)]
    judge, decided = Told(), list[int]()
    found = decide_all(judge, [str(n) for n in range(60)], evidences, decided.append)
    assert sum(decided) == 60 and min(decided) >= 0
    assert found == [decide([OF[label] for label in labels]) for labels in told]
    wanted = {
        (str(n), evidence)
        for n, labels in enumerate(told)
        for evidence in evidences[n][: len(list(itertools.takewhile(lambda label: label == "N", labels))) + 1]
    }
    assert len(judge.asked) == len(wanted)
    assert set(judge.asked) == wanted
    assert judge.calls == max(len(decide([OF[label] for label in labels]).labels) for labels in told)


def test_no_claims_ask_nothing() -> None:
    judge = Told()
    assert decide_all(judge, [], []) == []
    assert judge.calls == 0


def test_the_order_of_the_classes_is_that_of_the_paper() -> None:
    assert LABELS == ("entailment", "contradiction", "neutral")
