"""Relative clauses whose pronoun is no subject, said with their antecedent: of "X, where Y stands", Y stands in X."""

from spacy.tokens import Token

from tasks.text.phrases import Piece, is_comma_before
from tasks.text.predicates import Part, Predicate
from tasks.text.pronouns import Discourse, UnsafeError
from tasks.text.subjects import Subject, noun_subject
from tasks.text.wordlists import PLACED

_PREPOSITIONS = {"in", "at", "on", "for", "during", "under", "near", "through", "within", "by", "to", "from", "after"}


def relative_word(head: Token) -> Token | None:
    """Return the word by which a relative clause takes up its antecedent elsewhere than as subject.

    It is "where" or "which", "whom" as object, or the preposition before them. None where it is deeper in the clause.
    """
    for child in head.lefts:
        if child.lower_ == "where" and child.dep_ == "advmod":
            return child
        of_which = any(c.dep_ == "pobj" and c.lower_ in ("which", "whom") for c in child.children)
        if child.dep_ == "prep" and child.lower_ in _PREPOSITIONS and of_which:
            return child
        if child.dep_ == "dobj" and child.lower_ in ("which", "whom"):
            return child
    return None


def antecedent_phrase(head: Token, word: Token, discourse: Discourse) -> Subject:
    """Return the antecedent of a relative clause that a comma sets off. Raises UnsafeError where it is not sure."""
    noun = head.head
    if not is_comma_before(head) or noun.pos_ not in ("NOUN", "PROPN"):
        raise UnsafeError("relative_object")
    outer = noun.head.head if noun.dep_ == "pobj" else noun
    sure = noun.pos_ == "PROPN" and outer.lemma_.lower() in PLACED and outer.tag_ == "NN"  # "the town of Hamar, where"
    if outer.pos_ in ("NOUN", "PROPN") and outer != noun and not sure:
        raise UnsafeError("relative_ambiguous")
    if noun.pos_ == "NOUN" and not any(c.dep_ == "poss" or c.lower_ == "the" for c in noun.lefts):
        raise UnsafeError("antecedent_indefinite")
    if word.lower_ == "where" and noun.ent_type_ in ("PERSON", "DATE"):
        raise UnsafeError("relative_object")
    heads = {c.i for c in noun.children if c.dep_ in ("cc", "conj")}
    return noun_subject(noun, discourse, without={head.i, *heads})


def with_antecedent(predicate: Predicate, word: Token, antecedent: Subject) -> None:
    """Put the antecedent into the predicate of its relative clause, in the place that its pronoun has."""
    predicate.parts = [p for p in predicate.parts if p.root != word.i]
    phrase = [Piece(p.text[:1].lower() + p.text[1:], p.first, p.last) if p.text in ("The", "A", "An") else p
              for p in antecedent.phrase]  # fmt: skip
    if word.dep_ == "dobj":
        at = next(k for k, p in enumerate(predicate.parts) if p.dep == "verb") + 1
        predicate.parts.insert(at, Part(phrase, word.i, "dobj", "core"))
        return
    preposition = Piece("in") if word.lower_ == "where" else Piece(word.lower_, word.i, word.i)
    at = next(k for k, p in enumerate(predicate.parts) if p.dep == "verb") + 1
    while at < len(predicate.parts) and predicate.parts[at].kind == "core":
        at += 1
    predicate.parts.insert(at, Part([preposition, *phrase], word.i, "prep", "core"))
