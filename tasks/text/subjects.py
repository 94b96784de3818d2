"""What a claim is about: a noun phrase that needs nothing of its passage to be understood."""

from collections.abc import Collection
from dataclasses import dataclass

from spacy.tokens import Token

from tasks.text.inflection import possessive
from tasks.text.phrases import PLACES, Phrase, Piece, cover, is_loose, own, render
from tasks.text.predicates import tense_is_past
from tasks.text.pronouns import (
    PERSONAL,
    Discourse,
    Referent,
    UnsafeError,
    agrees,
    as_topic,
    is_bare_definite,
    is_person_noun,
    is_plural,
    lower_start,
    points_back,
    resolve,
    stand_in,
)

# nouns that say nothing without "of": "members are found worldwide"
_RELATIONAL = {
    "member",
    "species",
    "type",
    "form",
    "example",
    "part",
    "piece",
    "version",
    "kind",
    "other",
    "majority",
    "rest",
    "half",
    "number",
    "variety",
    "exception",
    "date",
    "object",
    "result",
    "reason",
    "purpose",
    "goal",
    "end",
    "beginning",
    "size",
    "name",
    "title",
    "term",
    "area",
    "population",
    "capital",
    "specie",
    "male",
    "female",
    "adult",
    "juvenile",
    "individual",
    "player",
    "visitor",
    "resident",
    "inhabitant",
    "follower",
    "character",
}
_COMPARING = {"other", "another", "same", "similar", "further", "certain", "additional", "remaining", "latter", "former"}  # fmt: skip
_QUANTITIES = {"some", "many", "most", "several", "few", "all", "both", "each", "none", "others", "one", "any", "much",
               "either", "neither", "another", "more", "less", "two", "three", "those", "these", "this", "that"}  # fmt: skip


_UNIQUE = {"world", "earth", "sun", "moon", "sea", "sky", "body", "universe", "war", "atmosphere", "environment", "west",
           "east", "north", "south", "century", "equator", "state", "government", "public", "past", "time", "coast",
           "region", "ocean", "human", "brain", "heart", "blood"}  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """The subject of a claim, and what it stands for."""

    phrase: Phrase
    referent: Referent
    plural: bool


def noun_subject(head: Token, discourse: Discourse, *, without: Collection[int] = ()) -> Subject:
    """Return a noun phrase as a subject that stands alone. Raises UnsafeError with the reason where it cannot."""
    doc = head.doc
    tokens = cover(head, without)
    if head.pos_ == "PRON" and head.lower_ in PERSONAL:
        referent = resolve(head, discourse)
        named = stand_in(referent, [head.i])
        if not any(c.dep_ == "conj" for c in head.children):
            return Subject(named, referent, referent.plural)
        rest = settled(own(doc, (i for i in tokens if i > head.i)), Subject([], referent, True), discourse, head)
        return Subject([*named, *rest], Referent(render(doc, [*named, *rest]), True, False), True)
    if head.lower_ in _QUANTITIES and not any(c.lower_ == "of" for c in head.children):
        raise UnsafeError("elliptic" if head.pos_ != "PRON" else "pronoun")
    if head.pos_ not in ("NOUN", "PROPN", "NUM") and head.lower_ not in _QUANTITIES:
        raise UnsafeError("no_noun_subject")
    topic = discourse.topic.referent
    is_topic = topic is not None and render(doc, own(doc, tokens)).casefold() == topic.name.casefold()
    pointing = points_back(head)
    if not is_topic and (pointing is not None or is_bare_definite(head, without)):
        referent = as_topic(head, discourse)
        if referent is None:
            raise UnsafeError("demonstrative" if pointing is not None else "definite")
        return Subject(stand_in(referent, tokens), referent, referent.plural)
    if not is_topic and head.pos_ == "NOUN" and head.lemma_.lower() in _RELATIONAL and not _is_specified(head, without):
        raise UnsafeError("elliptic")
    if head.pos_ == "PROPN" and any(c.lower_ == "the" for c in head.lefts) and not is_topic:
        of_class = as_topic(head, discourse)  # "the Sultanate"
        if of_class is not None:
            return Subject(stand_in(of_class, tokens), of_class, of_class.plural)
    if any(c.lower_ in _COMPARING or c.tag_ == "JJR" for c in head.lefts) and not any(
        c.lower_ == "than" for c in head.subtree
    ):
        raise UnsafeError("elliptic")
    if (
        head.tag_ == "NN"
        and not is_topic
        and tense_is_past(head)
        and not any(not c.is_punct for c in _kept(head, without))
    ):
        raise UnsafeError("elliptic")  # "filming was delayed": of what?
    if tense_is_past(head) and _is_some(head) and not is_topic and not _is_specified(head, without):
        raise UnsafeError("indefinite_subject")
    for i in tokens:
        inner = doc[i]
        if inner != head and inner.pos_ == "NOUN" and is_bare_definite(inner) and as_topic(inner, discourse) is None:
            raise UnsafeError("definite")
    plural = is_plural(head)
    if (
        topic is not None
        and topic.person
        and len(tokens) == 1
        and head.pos_ == "PROPN"
        and head.text in topic.name.split()
    ):
        return Subject(stand_in(topic, tokens), topic, plural)
    referent = Referent(lower_start(doc, tokens), plural, _is_person(head))
    if topic is not None and is_topic:
        referent = topic
    phrase = settled(own(doc, tokens), Subject([], referent, plural), discourse, head, in_subject=True)
    return Subject(phrase, referent, plural)


def unknown(head: Token) -> Referent:
    """Return what is known of a noun phrase that cannot be named: number and whether a person."""
    return Referent(head.text, is_plural(head), _is_person(head), known=False)


def _is_specified(head: Token, without: Collection[int]) -> bool:
    children = _kept(head, without)
    return any(c.dep_ in ("prep", "relcl", "acl", "poss", "compound") or c.pos_ == "PROPN" for c in children)


def _kept(head: Token, without: Collection[int]) -> list[Token]:
    return [c for c in head.children if c.i not in without and not is_loose(c)]


def _is_some(head: Token) -> bool:
    return head.pos_ == "NOUN" and any(c.dep_ == "det" and c.lower_ in ("a", "an") for c in head.lefts)


def _is_person(head: Token) -> bool | None:
    if head.ent_type_ == "PERSON" or (head.pos_ == "NOUN" and is_person_noun(head.lemma_.lower())):
        return True
    return None if head.pos_ == "PROPN" and head.ent_type_ not in PLACES | {"ORG", "DATE", "NORP"} else False


def settled(phrase: Phrase, subject: Subject, discourse: Discourse, head: Token, *, in_subject: bool = False) -> Phrase:
    """Return a phrase with its pronouns and pointing nouns named, but for those that the claim's own subject binds.

    Raises UnsafeError where one cannot be named.
    """
    doc = head.doc
    out: Phrase = []
    skip_to = -1
    indexes = {p.first for p in phrase}
    for piece in phrase:
        if piece.first < 0 or piece.first != piece.last or piece.text != doc[piece.first].text:
            out.append(piece)
            continue
        if piece.first <= skip_to:
            continue
        token = doc[piece.first]
        word = token.lower_
        if token.pos_ == "PRON" and word in PERSONAL:
            bound = token.tag_ == "PRP$" or (
                token.dep_ in ("nsubj", "nsubjpass") and token.head.pos_ in ("VERB", "AUX")
            )
            if not in_subject and bound and agrees(word, subject.referent):
                out.append(piece)
            else:
                referent = resolve(token, discourse, subject=in_subject)
                if referent.topic and subject.referent.topic and not in_subject:
                    raise UnsafeError("pronoun_ambiguous")  # were it the subject, it would be a reflexive
                if token.tag_ == "PRP$":
                    out.append(Piece(possessive(referent.name, plural=referent.plural), piece.first, piece.last))
                else:
                    out.append(Piece(referent.name, piece.first, piece.last))
            continue
        if token.dep_ == "advmod" and word in ("there", "here") and token.head.i in indexes | {head.i}:
            raise UnsafeError("deictic")
        if token.tag_ == "EX":
            raise UnsafeError("expletive")
        if (
            token.dep_ == "det"
            and token.head.pos_ in ("NOUN", "PROPN")
            and token.head.i in indexes
            and token.i < token.head.i
        ):
            noun = token.head
            pointing = points_back(noun)
            if pointing is not None or is_bare_definite(noun):
                referent_or_none = as_topic(noun, discourse)
                if referent_or_none is not None:
                    if not subject.referent.topic:
                        out.append(Piece(referent_or_none.name, token.i, noun.i))
                        skip_to = noun.i
                        continue
                elif pointing is not None:
                    raise UnsafeError("demonstrative")
                elif not in_subject and _was_said(noun):
                    raise UnsafeError("definite_object")
        if (
            word in ("this", "these", "those", "that")
            and token.pos_ == "PRON"
            and token.dep_ not in ("nsubj", "nsubjpass")
            and token.tag_ not in ("WDT", "WP")
            and not (word == "that" and token.head.dep_ == "relcl")
        ):
            if not (word in ("those", "that") and any(True for _ in token.children)):
                raise UnsafeError("demonstrative")
        if word in ("former", "latter") and token.pos_ == "NOUN":
            raise UnsafeError("demonstrative")
        out.append(piece)
    return out


def _was_said(noun: Token) -> bool:
    """Say whether a definite noun phrase takes up a noun that stands in the passage before it."""
    lemma = noun.lemma_.lower()
    if any(c.dep_ != "det" and c.i < noun.i for c in noun.children):
        return False
    return lemma not in _UNIQUE and any(t.lemma_.lower() == lemma and t.pos_ == "NOUN" for t in noun.doc[: noun.i])
