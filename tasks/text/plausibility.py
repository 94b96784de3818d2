"""Is a false claim as natural as the true one? By how much a language model finds it less likely, in nats per token.

Frequency (validators.py) sees words alone, this the sentence that they stand in. What a model says of a text is kept in
the store, by the model's hash: a claim is read by it once, and where all are known no model is loaded or fetched.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import Field

from tasks.keys import key_of
from tasks.sources import Source
from tasks.store import Store
from tasks.strict import StrictModel
from tasks.text.language_model import STORED, LanguageModel
from tasks.text.validators import Verdict

CHECK, FAULT = "plausibility", "implausible"  # the verdict, and what a pair is that fails it

Scorer = Callable[[str], float]  # text -> its mean negative log-likelihood, nats per token


class Naturalness(StrictModel):
    """The language model that candidates are shown to. candidates 0: none is, and frequency alone decides."""

    candidates: int = Field(ge=0, description="of a claim, of those that pass the other checks, at most; 0: off")
    max_rise_nats: float = Field(description="per token, from the claim to the false one, of the mean over its tokens")
    threads: int = Field(ge=1, description="sums depend on how many share them")
    weights: Source = Field(description="GGUF file of a causal language model, with its tokenizer")


class Plausibility:
    """Orders the false forms of a claim by how natural they are, and judges them."""

    def __init__(self, store: Store, chosen: Naturalness, load: Callable[[], Scorer]) -> None:
        """`load` gives what reads texts; it is called once, and only for a text that the store lacks."""
        self._store, self._chosen, self._load = store, chosen, load
        self._scorer: Scorer | None = None
        self._known: dict[str, float] = {}
        self.judged = self.rejected = 0
        self.read = 0  # texts that the model had to read

    @property
    def candidates(self) -> int:
        """How many of a claim's candidates are looked at."""
        return self._chosen.candidates

    def order(self, claim: str, others: Sequence[str]) -> list[int]:
        """Return the places of a claim's false forms, the most natural first; equal ones stay in their order."""
        rises = self.rises(claim, others)
        return sorted(range(len(others)), key=lambda place: (rises[place], place))

    def verdict(self, claim: str, false_claim: str) -> Verdict:
        """The false claim is about as natural; value: by how much it is less likely, nats per token."""
        [rise] = self.rises(claim, [false_claim])
        passed = rise <= self._chosen.max_rise_nats
        self.judged += 1
        self.rejected += not passed
        return Verdict(CHECK, passed, round(rise, 4), self._chosen.max_rise_nats)

    def rises(self, claim: str, others: Sequence[str]) -> list[float]:
        """Return by how much the negative log-likelihood a token of each is above the claim's, nats; below: negative.

        What the model had to read is stored before this returns.
        """
        if not others:
            return []
        self._read([claim, *others])
        return [self._known[other] - self._known[claim] for other in others]

    def _read(self, texts: Sequence[str]) -> None:
        hashes = {text: hashlib.sha256(text.encode()).hexdigest() for text in texts if text not in self._known}
        params = {"model": self._chosen.weights.sha256, "threads": self._chosen.threads}
        keys = {text: key_of(STORED.name, STORED.version, params, digest) for text, digest in hashes.items()}
        stored = self._store.get_many(STORED.name, keys.values()) if keys else {}
        self._known.update({text: stored[key].value["nats"] for text, key in keys.items() if key in stored})
        lacking = [text for text, key in keys.items() if key not in stored]
        if not lacking:
            return
        if self._scorer is None:
            self._scorer = self._load()
        found = {text: self._scorer(text) for text in lacking}
        with self._store.writer() as writer:
            results = [(hashes[text], {"nats": nats}, ()) for text, nats in found.items()]
            writer.put_many(STORED.name, STORED.version, params, results)
        self._known.update(found)
        self.read += len(found)


def scorer_of(file: Path, threads: int) -> Scorer:
    """Return what reads texts by the model in a GGUF file. Raises ValueError as `LanguageModel` does."""
    return LanguageModel(file, threads).nats_per_token
