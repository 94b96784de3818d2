"""Which part of evidence a person should look at: the sentence that shares most with a claim."""

from tasks.text.pairs import most_alike
from tasks.text.sentences import sentence_spans


def best_sentence(claim: str, text: str) -> str:
    """Return the sentence of `text` that shares most with the claim, the first of several."""
    return most_alike(claim, [text[slice(*span)] for span in sentence_spans(text)] or [text])
