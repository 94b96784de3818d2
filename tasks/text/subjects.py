"""What a claim is about: a noun phrase that needs nothing of its passage to be understood."""

from collections.abc import Collection
from dataclasses import dataclass, replace

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
    names_topic,
    points_back,
    resolve,
    stand_in,
)
from tasks.text.wordlists import (
    ANAPHORIC,
    COMPARING,
    NAMING,
    OF_PLACE,
    QUANTITIES,
    RELATIONAL,
    TERMS,
    UNIQUE,
    VAGUE_ADJECTIVES,
)


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
        return _pronoun_subject(head, tokens, discourse)
    if head.lower_ in QUANTITIES and not any(c.lower_ == "of" for c in head.children):
        raise UnsafeError("elliptic" if head.pos_ != "PRON" else "pronoun")
    language = head.ent_type_ in ("LANGUAGE", "NORP")
    if head.pos_ not in ("NOUN", "PROPN", "NUM") and head.lower_ not in QUANTITIES and not language:
        raise UnsafeError("no_noun_subject")
    if any(doc[i].tag_ in ("WP", "WDT", "WP$") and not _is_inside_relative(doc[i], tokens) for i in tokens):
        raise UnsafeError("relative_object")  # "not all of which"
    plural = is_plural(head)
    topic = discourse.topic.referent
    if topic is not None and render(doc, own(doc, tokens)).casefold() == topic.name.casefold():
        return Subject(own(doc, tokens), topic, plural)
    if topic is not None and len(tokens) > 1 and names_topic(head, discourse.topic.title):
        long = len(tokens) > len(topic.name.split()) + 1
        return Subject(stand_in(topic, tokens) if long else own(doc, tokens), topic, plural)
    pointing = points_back(head)
    bare = pointing is not None or is_bare_definite(head, without)
    named = head.pos_ == "PROPN" and any(c.lower_ == "the" for c in head.lefts)  # "the Sultanate"
    ranked = _is_of_place(head, discourse) and not any(c.dep_ in ("prep", "relcl", "acl", "poss") for c in head.rights)
    if bare or named or ranked:
        of_class = as_topic(head, discourse)
        if of_class is not None:
            return Subject(stand_in(of_class, tokens), of_class, of_class.plural)
        of_itself = _of_topic(head, tokens, discourse) if pointing is None else None
        if of_itself is not None:
            return Subject(of_itself, Referent(render(doc, of_itself), plural, False), plural)
        if bare and not (pointing is None and (names_kind(head, discourse) or _is_kind(head, discourse))):
            raise UnsafeError("demonstrative" if pointing is not None else "definite")
    surname = len(tokens) == 1 and head.pos_ == "PROPN"
    if topic is not None and topic.person and surname and head.text in topic.name.split():
        return Subject(stand_in(topic, tokens), topic, plural)
    _check_stands_alone(head, without, [doc[i] for i in tokens if i != head.i], discourse)
    referent = Referent(lower_start(doc, tokens), plural, _is_person(head))
    phrase = settled(own(doc, tokens), Subject([], referent, plural), discourse, head, in_subject=True)
    if any(doc[i].tag_ == "PRP$" for i in tokens):
        referent = replace(referent, name=render(doc, phrase))
    return Subject(phrase, referent, plural)


def names_kind(head: Token, discourse: Discourse) -> bool:
    """Say whether a definite noun is the kind that the page is about: "the camera" on the page Camera."""
    return head.lemma_.lower() == discourse.topic.title.lower() and all(c.dep_ == "det" for c in head.lefts)


def _is_kind(head: Token, discourse: Discourse) -> bool:
    """Say whether a definite noun phrase with an adjective means a kind, as it is so: "the sweet orange has seeds"."""
    topic = discourse.topic.referent
    special = topic is None or topic.person or discourse.topic.is_place or discourse.topic.is_name
    told = [c for c in head.lefts if c.dep_ == "amod"]
    if special or tense_is_past(head) or not told or head.lemma_.lower() in RELATIONAL | ANAPHORIC:
        return False
    vague = any(c.lower_ in COMPARING | VAGUE_ADJECTIVES or c.tag_ in ("JJR", "JJS") or c.ent_type_ for c in told)
    return not vague and head.dep_ in ("nsubj", "nsubjpass")


def _is_of_place(head: Token, discourse: Discourse) -> bool:
    """Say whether a definite noun phrase is of the place that the page is about: "the capital and largest city"."""
    topic = discourse.topic
    definite = head.pos_ == "NOUN" and any(c.dep_ == "det" and c.lower_ == "the" for c in head.lefts)
    if not definite or topic.referent is None or not topic.is_place or head.lemma_.lower() not in OF_PLACE:
        return False
    bare = is_bare_definite(head) and head.lemma_.lower() not in (
        "city",
        "town",
        "language",
        "religion",
        "municipality",
    )
    return bare or any(
        t.tag_ in ("JJS", "RBS") or t.lower_ in ("official", "main") for c in head.lefts for t in c.subtree
    )


def _of_topic(head: Token, tokens: list[int], discourse: Discourse) -> Phrase | None:
    """Return a definite noun phrase with what it is of, or with the word that it is, where the topic surely is that."""
    doc, topic = head.doc, discourse.topic
    if topic.referent is None and head.lemma_.lower() not in TERMS:
        return None
    others = discourse.previous is not None and not discourse.previous.topic and discourse.previous.person is None
    if _is_of_place(head, discourse) and topic.referent is not None and not others:
        return [*own(doc, tokens), Piece("of"), Piece(topic.referent.name)]
    if head.lemma_.lower() not in TERMS or len(tokens) != 2 or not topic.title:
        return None
    called = any(t.is_quote or t.lemma_.lower() in NAMING or t.pos_ == "SYM" for t in doc[: head.i])
    title = topic.title if topic.title.isupper() or topic.is_name else topic.title[:1].lower() + topic.title[1:]
    return None if called else [*own(doc, tokens), Piece(f'"{title}"')]


def _pronoun_subject(head: Token, tokens: list[int], discourse: Discourse) -> Subject:
    """Return what a pronoun stands for, with what is coordinated with it: "he and his team"."""
    referent = resolve(head, discourse)
    named = stand_in(referent, [head.i])
    if not any(c.dep_ == "conj" for c in head.children):
        return Subject(named, referent, referent.plural)
    rest = own(head.doc, (i for i in tokens if i > head.i))
    phrase = [*named, *settled(rest, Subject([], referent, True), discourse, head)]
    return Subject(phrase, Referent(render(head.doc, phrase), True, False), True)


def _check_stands_alone(head: Token, without: Collection[int], inner: list[Token], discourse: Discourse) -> None:
    """Raise UnsafeError where a noun phrase says too little without its passage."""
    told = _kept(head, without)
    specified = any(c.dep_ in ("prep", "relcl", "acl", "poss", "compound") or c.pos_ == "PROPN" for c in told)
    rest = head.lower_ in ("rest", "remainder", "others")
    if rest or (head.pos_ == "NOUN" and head.lemma_.lower() in RELATIONAL and not specified):
        raise UnsafeError("elliptic")
    compared = any(c.lower_ in COMPARING or c.tag_ == "JJR" for c in head.lefts)
    if compared and not any(c.lower_ == "than" for c in head.subtree):
        raise UnsafeError("elliptic")
    past = tense_is_past(head)
    if past and head.tag_ == "NN" and all(c.is_punct for c in told):
        raise UnsafeError("elliptic")  # "filming was delayed": of what?
    indefinite = head.pos_ == "NOUN" and any(c.dep_ == "det" and c.lower_ in ("a", "an") for c in head.lefts)
    if past and indefinite and not specified:
        raise UnsafeError("indefinite_subject")
    for noun in inner:
        if noun.pos_ == "NOUN" and is_bare_definite(noun) and as_topic(noun, discourse) is None:
            if names_kind(noun, discourse):
                continue
            raise UnsafeError("definite")


def unknown(head: Token) -> Referent:
    """Return what is known of a noun phrase that cannot be named: number and whether a person."""
    first = next((c.text for c in head.lefts if c.dep_ in ("det", "poss")), "")
    return Referent(f"{first} {head.text}".strip(), is_plural(head), _is_person(head), known=False)


def _is_inside_relative(token: Token, tokens: list[int]) -> bool:
    return any(t.dep_ == "relcl" and t.i in tokens for t in token.ancestors)


def _kept(head: Token, without: Collection[int]) -> list[Token]:
    return [c for c in head.children if c.i not in without and not is_loose(c)]


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
            if not in_subject and _is_bound(token, subject.referent, discourse):
                out.append(piece)
            else:
                rival = discourse.topic.referent
                if not in_subject and rival is not None and not subject.referent.topic and token.tag_ == "PRP$":
                    known = subject.referent.person is not None
                    if known and agrees(word, subject.referent) and agrees(word, rival):
                        raise UnsafeError("pronoun_ambiguous")
                referent = resolve(token, discourse, subject=in_subject)
                if referent.topic and in_subject and head.lemma_.lower() in discourse.topic.classes:
                    raise UnsafeError("definite")  # "the empire at its height"
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
                elif not in_subject and _was_said(noun) and not names_kind(noun, discourse):
                    raise UnsafeError("definite_object")
        relative = token.tag_ in ("WDT", "WP") or (word == "that" and token.head.dep_ == "relcl")
        told = word in ("those", "that") and any(True for _ in token.children)  # "those of"
        alone = token.pos_ == "PRON" and token.dep_ not in ("nsubj", "nsubjpass")
        pointed = word in ("these", "those", "this") and token.pos_ == "PRON"
        if word in ("this", "these", "those", "that") and (alone or pointed) and not relative and not told:
            raise UnsafeError("demonstrative")
        if word in ("former", "latter") and token.pos_ == "NOUN":
            raise UnsafeError("demonstrative")
        out.append(piece)
    return out


def _is_bound(token: Token, subject: Referent, discourse: Discourse) -> bool:
    """Say whether a pronoun of a predicate can only stand for the claim's own subject."""
    word = token.lower_
    possessive_or_clause = token.tag_ == "PRP$" or (
        token.dep_ in ("nsubj", "nsubjpass") and token.head.pos_ in ("VERB", "AUX")
    )
    if not possessive_or_clause or not agrees(word, subject):
        return False
    if PERSONAL[word] == "thing" and subject.person is None:
        return False
    topic = discourse.topic.referent
    rival = topic is not None and not subject.topic and agrees(word, topic)
    if rival and topic is not None and subject.name.lower().endswith(f"of {topic.name.lower()}"):
        return True  # "the city of Kyoto"
    return not rival or token.nbor(1).lower_ == "own"


def _was_said(noun: Token) -> bool:
    """Say whether a definite noun phrase takes up a noun that stands in the passage before it."""
    lemma = noun.lemma_.lower()
    if any(c.dep_ != "det" and c.i < noun.i for c in noun.children):
        return False
    if lemma in ANAPHORIC or (noun.dep_ == "poss" and lemma not in UNIQUE):
        return True
    return lemma not in UNIQUE and any(t.lemma_.lower() == lemma and t.pos_ == "NOUN" for t in noun.doc[: noun.i])
