"""Facts that a clause tells beside its own: where a thing is, what it has, what a named person is.

"X, with a population of 9, is a town in Y" is that X is a town, that X is in Y, and that X has a population of 9; "the
painter Z" that Z is a painter.
"""

from collections.abc import Iterable
from dataclasses import replace

from spacy.tokens import Token

from tasks.text import inflection
from tasks.text.assembly import Draft, drafted, fits
from tasks.text.brevity import is_indefinite
from tasks.text.phrases import Piece, conjuncts, cover, is_comma_before, own
from tasks.text.predicates import Part, Predicate, tense_is_past
from tasks.text.pronouns import Discourse, UnsafeError, is_person_noun
from tasks.text.subjects import Subject
from tasks.text.wordlists import GATHERING, HAD, PLACED, RELATIONAL

_WHERE = {"in", "on", "near", "within", "off"}


def located(subject: Subject, predicate: Predicate, discourse: Discourse) -> list[Draft]:
    """Return "X is in Y" of "X is a town in Y", and take it out of the predicate."""
    head = predicate.head
    plain = head.lemma_ == "be" and not predicate.is_narrow and not any(c.dep_ == "aux" for c in head.children)
    if not plain or subject.referent.person:
        return []
    drafts: list[Draft] = []
    for k, part in enumerate(predicate.parts):
        if part.dep != "attr" or part.root < 0:
            continue
        noun = head.doc[part.root]
        if not _is_place(noun):
            continue
        gone = set()
        for place in noun.rights:
            if place.dep_ != "prep" or place.lower_ not in _WHERE or is_comma_before(place) or not _is_named(place):
                continue
            others = [p for p in predicate.parts if p.dep == "verb"]
            said = Part(own(head.doc, cover(place)), place.i, "prep", "core")
            drafts += _said(subject, [*others, said], "copula", predicate, discourse)
            gone.add(place.i)
        if gone:
            phrase = own(head.doc, cover(noun, gone | part.gone))
            predicate.parts[k] = replace(part, phrase=phrase, gone=part.gone | gone)
    return drafts


def _is_place(noun: Token) -> bool:
    """Say whether a noun phrase is "a town", and not "the largest town", which it is but in its place."""
    if noun.lemma_.lower() not in PLACED or len(conjuncts(noun)) > 1:
        return False
    ranked = any(
        t.tag_ in ("JJS", "RBS", "JJR", "RBR") or t.ent_type_ == "ORDINAL" for c in noun.lefts for t in c.subtree
    )
    return any(c.lower_ in ("a", "an") for c in noun.lefts) and not ranked


def _is_named(place: Token) -> bool:
    noun = next((c for c in place.children if c.dep_ == "pobj"), None)
    return noun is not None and any(t.pos_ == "PROPN" and t.ent_type_ != "DATE" for t in noun.subtree)


def plainly(subject: Subject, predicate: Predicate, discourse: Discourse) -> list[Draft]:
    """Return "X is a novel" of "X is a novel by Y with Z", which is said whole as well."""
    head = predicate.head
    if head.lemma_ != "be" or predicate.is_narrow or any(c.dep_ == "aux" for c in head.children):
        return []
    part = next((p for p in predicate.parts if p.dep == "attr" and p.root >= 0), None)
    if part is None:
        return []
    noun = head.doc[part.root]
    ranked = any(t.tag_ in ("JJS", "RBS", "JJR", "RBR") or t.ent_type_ == "ORDINAL" for t in noun.subtree)
    gone = {c.i for c in noun.rights if c.dep_ == "prep" and c.lower_ not in ("of", "between", "as", "like", "than")}
    plain = is_indefinite(noun) and len(conjuncts(noun)) == 1 and noun.lemma_.lower() not in RELATIONAL | GATHERING
    if not plain or ranked or not gone - part.gone or noun.tag_ != "NN":
        return []
    short = replace(part, phrase=own(head.doc, cover(noun, gone | part.gone)))
    return _said(subject, [p for p in predicate.parts if p.dep == "verb"] + [short], "copula", predicate, discourse)


def had(subject: Subject, predicate: Predicate, discourse: Discourse) -> list[Draft]:
    """Return "X has a population of 9" of "with a population of 9", and take it out of the predicate."""
    head = predicate.head
    if predicate.is_narrow or subject.referent.person:
        return []
    drafts: list[Draft] = []
    for part in list(predicate.parts):
        if part.dep != "prep" or part.root < 0 or head.doc[part.root].lower_ != "with":
            continue
        noun = next((c for c in head.doc[part.root].children if c.dep_ == "pobj"), None)
        if noun is None or noun.lemma_.lower() not in HAD or not (part.comma or part.kind == "lead"):
            continue
        past = tense_is_past(head) or any(t.ent_type_ == "DATE" and t.like_num for t in noun.subtree)
        form = inflection.past("have", plural=False) if past else inflection.present("have", plural=subject.plural)
        verb = Part([Piece(form)], -1, "verb", "core")
        what = Part(own(head.doc, cover(noun)), noun.i, "dobj", "core")
        new = _said(subject, [verb, what], "active", predicate, discourse)
        if new:
            predicate.parts.remove(part)
            drafts += new
    return drafts


def _said(subject: Subject, parts: list[Part], how: str, predicate: Predicate, discourse: Discourse) -> list[Draft]:
    try:
        draft = drafted(subject, parts, how, predicate, discourse)
    except UnsafeError:
        return []
    return [draft] if fits(draft, predicate) else []


def titled(sentence: Iterable[Token]) -> list[Draft]:
    """Return "Z is a painter" of "the painter Z"."""
    drafts = []
    for noun in sentence:
        name = _name_after(noun)
        if name is None:
            continue
        start = noun.i
        while start > noun.sent.start and noun.doc[start - 1].pos_ in ("ADJ", "NOUN", "PROPN") and (
            noun.doc[start - 1].tag_ not in ("JJS", "JJR") and noun.doc[start - 1].ent_type_ != "PERSON"
        ):  # fmt: skip
            start -= 1
        before = noun.doc[start - 1] if start > noun.sent.start else None
        if before is None or before.pos_ in ("CCONJ", "PUNCT") or before.text in ("-", "'s", "\u2019s"):
            continue
        if before.lower_ in ("of", "former", "then") or before.tag_ in ("PRP$", "CD"):
            continue
        if any(noun.doc[i].lower_ in ("former", "late", "fellow", "other", "first", "future", "fictional", "same")
               for i in range(start, noun.i)):  # fmt: skip
            continue
        role = own(noun.doc, range(start, noun.i + 1))
        said_of = next((t for t in noun.ancestors if t.pos_ in ("VERB", "AUX")), None)
        if said_of is None or not (said_of.tag_ in ("VBN", "VBD") or tense_is_past(noun)):
            continue  # of the dead as of the living
        verb = inflection.be(past=True, plural=False)
        article = inflection.article(role[0].text)
        drafts.append(Draft([*own(noun.doc, name), Piece(verb), Piece(article), *role], "apposition"))
    return drafts


def _name_after(noun: Token) -> list[int] | None:
    """Return the tokens of the person's name that stands behind a noun for people, if it is one person's."""
    doc = noun.doc
    if (
        noun.pos_ != "NOUN"
        or noun.tag_ != "NN"
        or noun.ent_type_ == "PERSON"
        or not is_person_noun(noun.lemma_.lower())
    ):
        return None
    if noun.i + 1 >= len(doc) or doc[noun.i + 1].ent_type_ != "PERSON":
        return None
    person = next(e for e in doc.ents if e.start <= noun.i + 1 < e.end)
    if person.start != noun.i + 1 or len(person) < 2 or any(t.pos_ != "PROPN" for t in person):
        return None
    after = doc[person.end] if person.end < len(doc) else None
    if after is not None and (after.lower_ in ("and", "&", "'s", "\u2019s", "'", "or") or after.pos_ == "PROPN"):
        return None
    return list(range(person.start, person.end))
