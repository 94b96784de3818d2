"""Contradiction as an entailment model sees it, in the place of contradiction by construction."""

from collections.abc import Sequence

from tasks.text.nli import Judge, contradicts
from tasks.text.validators import Verdict

BY_CONSTRUCTION = frozenset({"contradiction", "functional"})  # checks that a model's verdict replaces
ENTAILED = 0.5  # probability that the passage entails the false claim, below


class Entailment:
    """A model that judges pairs, and how often it agrees with the checks by construction that it replaces."""

    def __init__(self, judge: Judge, threshold: float) -> None:
        """`threshold`: probability of contradiction, both ways, at least."""
        self._judge, self._threshold = judge, threshold
        self.judged = self.agreed = 0

    def verdicts(self, text: str, claim: str, false_claim: str, known: Sequence[Verdict]) -> tuple[Verdict, Verdict]:
        """Return two verdicts: the claims contradict each other, and the passage does not entail the false one."""
        least, entailed = contradicts(self._judge, text, claim, false_claim)
        contradiction = Verdict("nli_contradiction", least >= self._threshold, round(least, 4), self._threshold)
        held = Verdict("nli_not_entailed", entailed < ENTAILED, round(entailed, 4), ENTAILED)
        constructed = all(verdict.passed for verdict in known if verdict.name in BY_CONSTRUCTION)
        self.judged += 1
        self.agreed += constructed == (contradiction.passed and held.passed)
        return contradiction, held

    @property
    def agreement(self) -> float:
        """The share of judged pairs on which the model and the checks by construction say the same."""
        return self.agreed / self.judged if self.judged else 0.0
