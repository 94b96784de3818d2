"""Claims as a dependency parse gives them: each clause of a sentence said on its own, with its own subject.

Labels are those of spaCy's English models (ClearNLP). Whatever is not plainly a fact with a plain subject is refused,
with a reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spacy.tokens import Token

from tasks.text import inflection
from tasks.text.appositions import FORMER, apposition
from tasks.text.assembly import Draft, said
from tasks.text.borders import sides
from tasks.text.brevity import is_indefinite
from tasks.text.coordination import split_subject
from tasks.text.details import had, located, plainly, titled
from tasks.text.factual import check_disjunction, check_factual, check_lists, check_parse, is_empty, is_verb
from tasks.text.phrases import (
    Piece,
    conjuncts,
    coordination_words,
    cover,
    is_comma_before,
    is_loose,
    own,
    render,
)
from tasks.text.predicates import Part, Predicate, predicate_of, tense_is_past
from tasks.text.pronouns import Discourse, Referent, UnsafeError, is_person_noun, is_plural
from tasks.text.relatives import antecedent_phrase, relative_word, with_antecedent
from tasks.text.subjects import Subject, noun_subject, unknown
from tasks.text.wordlists import (
    CIRCUMSTANCES,
    EVENT_RELATIVES,
    EVENTS,
    NO_CLASS,
    NO_PARTICIPLE,
    OUTCOMES,
    RELATIONAL,
    STATES,
)

_CONCESSIONS = {"although", "though", "whereas", "while"}


@dataclass(frozen=True)
class Refused:
    """The tokens first..last of a clause that gave no claim."""

    first: int
    last: int
    reason: str


def sentence_claims(heads: Sequence[Token], discourse: Discourse) -> tuple[list[Draft], list[Refused]]:
    """Return the claims of a sentence's clauses, and what gave none. heads are all tokens of the sentence, in order."""
    drafts: list[Draft] = []
    refused: list[Refused] = []
    for head in heads:
        if not _is_clause(head):
            continue
        try:
            drafts += _claims_of(head, discourse)
        except UnsafeError as unsafe:
            if unsafe.args[0]:
                refused.append(Refused(head.left_edge.i, head.right_edge.i, unsafe.args[0]))
    return [*drafts, *titled(heads)], refused


def _is_clause(head: Token) -> bool:
    dep = head.dep_
    if dep == "ROOT":
        return True
    if dep == "appos":
        return is_loose(head)
    if not is_verb(head):
        return False
    if dep == "conj":
        return is_verb(head.head) and _is_clause(head.head)
    return dep in ("relcl", "acl", "advcl")


def _claims_of(head: Token, discourse: Discourse) -> list[Draft]:
    if head.dep_ == "ROOT" and not is_verb(head):
        raise UnsafeError("no_verb")
    check_factual(head)
    if head.dep_ == "appos":
        subject, predicate = apposition(head, discourse, lambda verb: _subject_token(verb)[0])
        return _said(subject, predicate, "apposition", discourse)
    if head.dep_ == "acl" or (head.dep_ == "advcl" and not _has_subject(head)):
        return _participle(head, discourse)
    if head.dep_ == "advcl" and not any(c.dep_ == "mark" and c.lower_ in _CONCESSIONS for c in head.children):
        raise UnsafeError("")  # it stays in the claim of its main clause
    return _finite(head, discourse)


def _has_subject(head: Token) -> bool:
    return any(c.dep_ in ("nsubj", "nsubjpass", "csubj", "csubjpass", "expl") for c in head.children)


def _subject_token(head: Token) -> tuple[Token, str]:
    """Return the token that a finite clause is about and how it comes by it: own, coordination, relative."""
    subjects = [c for c in head.children if c.dep_ in ("nsubj", "nsubjpass", "csubj", "csubjpass", "expl")]
    if not subjects:
        if head.dep_ == "conj":
            token, how = _subject_token(head.head)
            return token, "coordination" if how == "own" else how
        raise UnsafeError("no_subject" if head.dep_ in ("ROOT", "conj") else "")
    if len(subjects) > 1 and subjects[0].dep_ != "expl":
        raise UnsafeError("parse")
    subject = subjects[0]
    if subject.dep_.startswith("csubj"):
        raise UnsafeError("clausal_subject")
    if subject.tag_ in ("WDT", "WP") or (head.dep_ == "relcl" and subject.lower_ == "that"):
        first = head
        while first.dep_ == "conj":
            first = first.head
        if first.dep_ != "relcl":
            raise UnsafeError("parse")
        return first.head, "relative"
    return subject, "own"


def _antecedent(clause: Token, noun: Token, discourse: Discourse) -> Subject:
    """Return the subject of a clause that modifies a noun: the noun, or what a copula says the noun is.

    Raises UnsafeError without a reason where the modifier says which noun is meant: it stays with it.
    """
    first = noun
    while first.dep_ == "conj":
        first = first.head
    if first.dep_ == "attr" and first.head.lemma_ == "be":
        copula = first.head
        if any(c.dep_ == "neg" for c in copula.children):
            raise UnsafeError("")
        token, _ = _subject_token(copula)
        if token.dep_ == "expl":
            return _existing(noun, clause, discourse)
        if not is_comma_before(clause) and not is_indefinite(noun) and clause.dep_ == "acl":
            raise UnsafeError("")
        return noun_subject(token, discourse)
    if not is_comma_before(clause):
        raise UnsafeError("")
    if clause.dep_ == "relcl" and clause.lemma_ in EVENT_RELATIVES:
        raise UnsafeError("relative_to_event")
    if first.pos_ not in ("NOUN", "PROPN") or first != noun:
        raise UnsafeError("antecedent")
    if not _is_known(noun):
        raise UnsafeError("antecedent_indefinite")
    if _is_nearest_only(noun, clause) and not _agrees_with_nearest(noun, clause):
        raise UnsafeError("relative_ambiguous")
    return noun_subject(noun, discourse, without={clause.i})


def _is_nearest_only(noun: Token, clause: Token) -> bool:
    """Say whether a clause may be about the noun that governs its nearest one: "her home in Coyoacán, which"."""
    if noun.dep_ != "pobj" or noun.head.head.pos_ not in ("NOUN", "PROPN"):
        return False
    if any(c.lower_ == "who" for c in clause.children):
        return not (noun.ent_type_ == "PERSON" or is_person_noun(noun.lemma_.lower()))
    partitive = noun.head.lower_ == "of" and noun.head.head.lemma_.lower() in RELATIONAL | NO_CLASS
    return not partitive and noun.head.lower_ not in ("as", "like", "including")


def _agrees_with_nearest(noun: Token, clause: Token) -> bool:
    """Say whether the number of a clause's verb tells that it is about the nearest noun."""
    finite = next((c for c in clause.children if c.dep_ in ("aux", "auxpass")), clause)
    one = finite.lower_ in ("is", "was", "has") or finite.tag_ == "VBZ"
    many = finite.lower_ in ("are", "were", "have") or finite.tag_ == "VBP"
    near, far = (t.tag_ in ("NNS", "NNPS") for t in (noun, noun.head.head))
    return near != far and ((one and not near) or (many and near))


def _is_known(noun: Token) -> bool:
    """Say whether a noun phrase can be a subject where it is not one: a name, the definite, a kind in the plural."""
    if noun.pos_ == "PROPN" or noun.dep_ in ("nsubj", "nsubjpass"):
        return True
    determiners = {c.lower_ for c in noun.lefts if c.dep_ == "det"}
    if "the" in determiners or any(c.dep_ == "poss" and c.pos_ == "PROPN" for c in noun.lefts):
        return True
    return noun.tag_ == "NNS" and not determiners and not tense_is_past(noun)


def _existing(noun: Token, clause: Token, discourse: Discourse) -> Subject:
    if any(c.lower_ in ("no", "any", "a", "an", "one") for c in noun.lefts):
        raise UnsafeError("existential")
    subject = noun_subject(noun, discourse, without={clause.i})
    return replace(subject, plural=noun.tag_ in ("NNS", "NNPS"))


def _finite(head: Token, discourse: Discourse) -> list[Draft]:
    whose = _misread_whose(head)
    token, how = (head.doc[whose.i + 1], "own") if whose is not None else _subject_token(head)
    if how == "own" and whose is None:
        whose = next((c for c in token.children if c.dep_ == "poss" and c.lower_ == "whose"), None)
    if token.dep_ == "expl":
        return _existential(head, token, discourse)
    if token.lower_ == "it" and is_empty(head):
        raise UnsafeError("expletive")
    if how == "relative":
        clause = head
        while clause.dep_ == "conj":
            clause = clause.head
        subject = _antecedent(clause, token, discourse)
        _check_number(head, subject)
    elif whose is not None:
        if head.dep_ != "relcl":
            raise UnsafeError("parse")
        owner = _antecedent(head, head.head, discourse)
        subject = _possessed(token, whose, owner)
        how = "possessive"
    elif head.dep_ == "relcl":
        return _relative_object(head, token, discourse)
    else:
        try:
            subject = noun_subject(token, discourse)
        except UnsafeError:
            if how == "own" and head.dep_ in ("ROOT", "conj"):
                discourse.saw(unknown(token))
            raise
        if how == "own":
            if head.dep_ in ("ROOT", "conj"):
                discourse.saw(subject.referent)
            how = "clause" if head.dep_ != "advcl" else "adverbial_clause"
    neighbours = sides(subject, head)
    if neighbours:
        return neighbours
    predicate = predicate_of(head, token if token.head == head else None)
    check_parse(head, token)
    if whose is not None:
        predicate.parts = [p for p in predicate.parts if p.root not in (whose.i, token.i)]
    check_disjunction(head)
    if how == "relative":
        predicate.drop_relative(head)
    if head.lemma_ == "be" and not subject.referent.topic and any(_is_partial(c) for c in head.children):
        raise UnsafeError("definite_attribute")
    if how == "clause":
        copular = head.lemma_ == "be" and any(p.dep in ("attr", "acomp", "prep") for p in predicate.parts)
        passive = any(c.dep_ == "auxpass" for c in head.children)
        how = "copula" if copular else "passive" if passive else "active"
    subjects = split_subject(token, subject, head, predicate) if how in ("copula", "passive", "active") else None
    if subjects:
        return [d for s in subjects for d in _said(s, predicate, "subject_coordination", discourse)]
    return _said(subject, predicate, how, discourse)


def _relative_object(head: Token, token: Token, discourse: Discourse) -> list[Draft]:
    """Return the claims of a relative clause with a subject of its own, with its antecedent put in."""
    if not is_comma_before(head):
        raise UnsafeError("")
    word = relative_word(head)
    if word is None:
        raise UnsafeError("relative_object")
    antecedent = antecedent_phrase(head, word, discourse)
    subject = noun_subject(token, discourse)
    predicate = predicate_of(head, token)
    check_parse(head, token)
    check_disjunction(head)
    with_antecedent(predicate, word, antecedent)
    return _said(subject, predicate, "relative", discourse)


def _is_partial(attribute: Token) -> bool:
    """Say whether an attribute says "the capital" and not of what."""
    if attribute.dep_ != "attr" or not any(c.dep_ == "det" and c.lower_ == "the" for c in attribute.lefts):
        return False
    telling = ("prep", "relcl", "acl", "poss", "compound", "advcl")
    heads = conjuncts(attribute)
    return (
        not any(c.dep_ in telling or c.pos_ == "PROPN" for t in heads for c in t.children) and attribute.pos_ == "NOUN"
    )


def _misread_whose(head: Token) -> Token | None:
    """Return the "whose" that a parser gave to the verb, with its noun as an adverbial: "X, whose work shaped Y"."""
    whose = next((c for c in head.children if c.lower_ == "whose" and c.i + 1 < head.i), None)
    if whose is None or _has_subject(head):
        return None
    return whose if head.doc[whose.i + 1].pos_ == "NOUN" and head.doc[whose.i + 1].head == head else None


def _check_number(head: Token, subject: Subject) -> None:
    finite = next((c for c in head.children if c.dep_ in ("aux", "auxpass")), head)
    one = finite.lower_ in ("is", "was", "has", "does") or finite.tag_ == "VBZ"
    many = finite.lower_ in ("are", "were", "have", "do") or finite.tag_ == "VBP"
    if (one and subject.plural) or (many and not subject.plural):
        raise UnsafeError("agreement")


def _possessed(token: Token, whose: Token, owner: Subject) -> Subject:
    rest = [i for i in cover(token, {whose.i}) if i != whose.i]
    text = inflection.possessive(render(token.doc, owner.phrase), plural=owner.plural)
    first = min(p.first for p in owner.phrase if p.first >= 0)
    last = max(p.last for p in owner.phrase)
    phrase = [Piece(text, first, last), *own(token.doc, rest)]
    return Subject(phrase, Referent(text, is_plural(token), False), is_plural(token))


def _existential(head: Token, there: Token, discourse: Discourse) -> list[Draft]:
    if there.lower_ != "there" or head.lemma_ != "be":
        raise UnsafeError("expletive")
    noun = next((c for c in head.children if c.dep_ in ("attr", "nsubj")), None)
    if noun is None or noun.pos_ not in ("NOUN", "PROPN") or any(c.lower_ in ("no", "any") for c in noun.lefts):
        raise UnsafeError("existential")
    if any(c.dep_ == "neg" for c in head.children):
        raise UnsafeError("existential")
    if any(c.dep_ == "relcl" and any(g.tag_ in ("WDT", "WP") and g.dep_.startswith("nsubj") for g in c.children)
           for c in noun.children):  # fmt: skip
        raise UnsafeError("")  # the relative clause has the claim
    if any(c.dep_ == "aux" for c in head.children):
        raise UnsafeError("existential")
    if any(c.lower_ in ("a", "an", "one") for c in noun.lefts):
        raise UnsafeError("existential")
    places = [c for c in noun.rights if c.dep_ == "prep" and c.lower_ in CIRCUMSTANCES]
    subject = noun_subject(noun, discourse, without={c.i for c in places})
    plural = head.lower_ in ("are", "were") or noun.tag_ in ("NNS", "NNPS") or bool(coordination_words([noun]))
    past = tense_is_past(head)
    verb = "existed" if past else inflection.present("exist", plural=plural)
    predicate = predicate_of(head, there)
    predicate.parts = [p for p in predicate.parts if p.root not in (noun.i, head.i)]
    predicate.parts.insert(0, Part([Piece(verb, head.i, head.i)], head.i, "verb", "core"))
    predicate.parts += [Part(own(head.doc, cover(c)), c.i, "prep", "core") for c in places]
    return _said(subject, predicate, "existential", discourse)


def _participle(head: Token, discourse: Discourse) -> list[Draft]:
    """Return the claims of a participial clause: finite, in the tense of its main clause."""
    if head.tag_ not in ("VBN", "VBG", "VBD") or any(c.dep_ in ("aux", "auxpass", "mark") for c in head.children):
        raise UnsafeError("")
    if any(c.dep_ == "neg" for c in head.children) or head.lemma_ in NO_PARTICIPLE:
        raise UnsafeError("")
    if head.dep_ == "advcl":
        main = head.head
        token, _ = _subject_token(main)
        fronted = head.right_edge.i < token.left_edge.i and head.left_edge.i == main.left_edge.i
        if not is_comma_before(head) and not fronted:
            raise UnsafeError("")
        if head.tag_ == "VBG" and not fronted and not _is_of_subject(head, main):
            raise UnsafeError("participle_subject")
        if token.dep_ == "expl" or (fronted and any(c.tag_ == "PRP$" for c in token.lefts)):
            raise UnsafeError("participle_subject")  # "situated on a river, its area"
        subject = noun_subject(token, discourse)
    else:
        if head.lemma_ in ("know", "call", "name") and not is_comma_before(head) and head.head.dep_ != "attr":
            raise UnsafeError("")
        subject = _antecedent(head, head.head, discourse)
    past = tense_is_past(head.head)
    if head.tag_ == "VBG":
        form = (inflection.past if past else inflection.present)(head.lemma_.lower(), plural=subject.plural)
        verb = [Piece(form, head.i, head.i)]
    else:
        past = past or _is_event(head) or any(c.lower_ in FORMER for c in head.children)
        verb = [Piece(inflection.be(past=past, plural=subject.plural)), Piece(head.text, head.i, head.i)]
    predicate = predicate_of(head, None)
    check_disjunction(head)
    check_lists(head)
    predicate.set_verb(head.i, verb)
    return _said(subject, predicate, "participle", discourse)


def _is_of_subject(head: Token, main: Token) -> bool:
    """Say whether a participle at the end of a clause tells of its subject, and not of what happened."""
    if head.lemma_ in STATES:
        return True
    passive = any(c.dep_ in ("auxpass", "nsubjpass") for c in main.children)
    consequence = any(c.lower_ in ("thus", "thereby", "hence", "mostly") for c in head.lefts)
    return not passive and not consequence and head.lemma_ not in OUTCOMES


def _is_event(head: Token) -> bool:
    agent = any(c.dep_ == "agent" and any(g.ent_type_ == "PERSON" for g in c.children) for c in head.children)
    year = any(t.ent_type_ == "DATE" and t.like_num for t in head.subtree)
    return agent or year or head.lemma_ in EVENTS


def _said(subject: Subject, predicate: Predicate, how: str, discourse: Discourse) -> list[Draft]:
    _shorten_attribute(predicate, discourse)
    details = [*had(subject, predicate, discourse), *located(subject, predicate, discourse)]
    details += plainly(subject, predicate, discourse)
    try:
        return [*said(subject, predicate, how, discourse), *details]
    except UnsafeError:
        if not details:
            raise
        return details


def _shorten_attribute(predicate: Predicate, discourse: Discourse) -> None:
    """Take the clauses that have claims of their own out of an indefinite attribute."""
    head = predicate.head
    if head.lemma_ != "be":
        return
    doc = head.doc
    for k, part in enumerate(predicate.parts):
        if part.dep != "attr" or part.root < 0:
            continue
        gone = set()
        for noun in conjuncts(doc[part.root]):
            for clause in noun.children:
                if clause.dep_ in ("relcl", "acl") and _is_clause(clause) and is_indefinite(noun):
                    try:
                        _claims_of(clause, discourse)
                    except UnsafeError:
                        continue
                    gone.add(clause.i)
        if gone:
            predicate.parts[k] = replace(part, phrase=own(doc, cover(doc[part.root], gone)), gone=frozenset(gone))
