"""Appositions as sentences: "X, a Y," is that X is a Y; "Norway's capital, Oslo," that the capital is Oslo."""

from collections.abc import Callable

from spacy.tokens import Token

from tasks.text import inflection
from tasks.text.phrases import Piece, cover, own
from tasks.text.predicates import Part, Predicate, tense_is_past
from tasks.text.pronouns import Discourse, UnsafeError, is_person_noun
from tasks.text.subjects import Subject, noun_subject

_STYLES = {"officially", "formally"}
FORMER = {"once", "formerly", "previously", "originally", "then"}


def apposition(head: Token, discourse: Discourse, subject_of: Callable[[Token], Token]) -> tuple[Subject, Predicate]:
    """Return what says "X is a Y" of "X, a Y,", or "the Y is X" of "the Y, X,"."""
    noun = head.head
    if head.pos_ not in ("NOUN", "PROPN", "NUM") or noun.pos_ not in ("NOUN", "PROPN"):
        raise UnsafeError("apposition")
    determiners = {c.lower_ for c in head.lefts if c.dep_ in ("det", "poss", "nummod")}
    kind = (bool(determiners & {"a", "an", "the"}) and head.pos_ == "NOUN") or head.lower_ == "one"
    styled = any(c.lower_ in _STYLES for c in head.lefts) and head.pos_ == "PROPN"  # "officially the Republic of X"
    kind |= styled or _is_office(head, noun)
    owned = any(c.dep_ == "poss" or (c.dep_ == "det" and c.lower_ == "the") for c in noun.lefts)
    named = (
        head.pos_ == "PROPN"
        and noun.pos_ == "NOUN"
        and noun.tag_ == "NN"
        and owned
        and (noun.dep_.startswith("nsubj") or noun.dep_ in ("dobj", "pobj"))
    )
    first = noun
    while first.dep_ == "conj":
        first = first.head
    if not (kind or named) or first != noun or any(c.dep_ == "conj" for c in noun.children):
        raise UnsafeError("apposition")
    if noun.dep_ == "attr" and noun.head.lemma_ == "be":
        if any(c.dep_ == "neg" for c in noun.head.children):
            raise UnsafeError("apposition")
        if head.doc[max(head.left_edge.i - 2, 0)].pos_ == "PROPN" and head.left_edge.i - 2 > noun.i:
            raise UnsafeError("apposition_ambiguous")  # "a city in the Zhongyuan region, an area"
        subject = noun_subject(subject_of(noun.head), discourse)
    elif noun.pos_ == "NOUN" and not owned:
        raise UnsafeError("antecedent_indefinite")
    elif _is_ambiguous(noun, determiners):
        raise UnsafeError("apposition_ambiguous")
    else:
        subject = noun_subject(noun, discourse, without={head.i})
    past = tense_is_past(noun) or any(c.lower_ in FORMER for c in head.lefts)
    if (head.tag_ in ("NNS", "NNPS")) != subject.plural and head.lower_ != "one":
        raise UnsafeError("agreement")
    verb = Part([Piece(inflection.be(past=past, plural=subject.plural))], -1, "verb", "core")
    said = Part(own(head.doc, cover(head)), head.i, "attr", "core")
    return subject, Predicate([verb, said], head)


def _is_office(head: Token, noun: Token) -> bool:
    """Say whether an office without article is in apposition to a person: "Bismarck, Chancellor of Germany"."""
    of = any(c.lower_ == "of" for c in head.rights)
    return noun.ent_type_ == "PERSON" and of and is_person_noun(head.lemma_.lower()) and head.tag_ in ("NN", "NNP")


def _is_ambiguous(noun: Token, determiners: set[str]) -> bool:
    """Say whether what is in apposition to a noun may be so to the noun before: "the capital of Laos, a city"."""
    if noun.dep_ != "pobj" or noun.head.dep_ != "prep" or noun.head.head.pos_ not in ("NOUN", "PROPN"):
        return False
    if noun.pos_ == "PROPN" and is_person_noun(noun.head.head.lemma_.lower()):
        return noun.ent_type_ == "PERSON" or _names_people(noun)  # "the founder of Jeet Kune Do, a philosophy"
    return noun.pos_ != "PROPN" or "the" not in determiners


def _names_people(noun: Token) -> bool:
    """Say whether what is in apposition to a noun is a noun for people."""
    return any(c.dep_ == "appos" and is_person_noun(c.lemma_.lower()) for c in noun.children)
