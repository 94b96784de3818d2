"""Which part of evidence a person should look at: the sentence that shares most with a claim."""

from tasks.text.search import words
from tasks.text.sentences import Span, sentence_spans


def best_sentence(claim: str, text: str) -> Span:
    """Return the (start, end) of the sentence of `text` that shares most with the claim, the first of several.

    A shared word counts by its length: long ones say more.
    """
    asked = set(words(claim))
    spans = sentence_spans(text) or [(0, len(text))]
    return max(spans, key=lambda span: sum(map(len, asked & set(words(text[slice(*span)])))))
