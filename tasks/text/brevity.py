"""Predicates made shorter by what may be left out of them, so that what is left is less and still so."""

from dataclasses import replace

from spacy.tokens import Token

from tasks.text.phrases import conjuncts, coordination_words, cover, own
from tasks.text.predicates import Predicate, tense_is_past
from tasks.text.wordlists import GATHERING, NO_SPLIT_DETERMINERS, RELATIONAL, TAKEN_AS, VAGUE

_SHORTENED = {"attr", "dobj", "prep", "oprd", "agent", "xcomp", "acomp", "range"}
_KEPT = {"of", "than", "like", "except", "between", "as", "without", "but", "among", "from", "to"}


def make_brief(predicate: Predicate) -> bool:
    """Take the clauses that say which out of indefinite nouns: what is said is less, and still so."""
    doc = predicate.head.doc
    changed = False
    for k, part in enumerate(predicate.parts):
        if part.root < 0 or part.dep not in _SHORTENED:
            continue
        inside = [doc[p.first] for p in part.phrase if p.first >= 0 and p.text == doc[p.first].text]
        gone = {
            t.i
            for t in inside
            if (t.dep_ == "relcl" or (t.dep_ == "acl" and t.tag_ != "VB"))
            and not any(c.tag_ == "TO" for c in t.children)
            and t.head in inside
            and (is_indefinite(t.head) or _is_mass(t.head) or t.head.pos_ == "PROPN")
            and not (t.head.i == part.root and any(c.lower_ in VAGUE for c in t.head.lefts))
        }
        if gone:
            predicate.parts[k] = replace(part, phrase=own(doc, cover(doc[part.root], gone | part.gone)),
                                         gone=part.gone | gone)  # fmt: skip
            changed = True
    return changed


def is_indefinite(noun: Token) -> bool:
    """Say whether a noun phrase means some thing, or a kind in the plural; a coordinated noun is as the first is."""
    while noun.dep_ == "conj" and not any(c.dep_ in ("det", "poss") for c in noun.lefts):
        noun = noun.head
    determiners = {c.lower_ for c in noun.lefts if c.dep_ in ("det", "poss", "nummod")}
    return bool(determiners & {"a", "an"}) or (noun.tag_ == "NNS" and not determiners)


def _is_mass(noun: Token) -> bool:
    return noun.tag_ == "NN" and not any(c.dep_ in ("det", "poss", "nummod") for c in noun.lefts)


def make_plain(predicate: Predicate) -> bool:
    """Take what says where, with what or what for out of a noun that means something without it."""
    doc = predicate.head.doc
    for k, part in reversed(list(enumerate(predicate.parts))):
        if part.root < 0 or part.dep not in _SHORTENED:
            continue
        inside = {p.first for p in part.phrase}
        gone = {
            t.i
            for t in (doc[i] for i in sorted(inside) if i >= 0)
            if t.dep_ == "prep"
            and t.lower_ not in _KEPT
            and t.head.i in inside
            and t.i > t.head.i
            and _means_enough(t.head, t)
            and not any(c.dep_ in ("cc", "conj") for c in t.children)
        }
        if gone:
            gone = {max(gone), *part.gone}  # one at a time, the last first
            predicate.parts[k] = replace(part, phrase=own(doc, cover(doc[part.root], gone)), gone=frozenset(gone))
            return True
    return False


def make_bare(predicate: Predicate) -> bool:
    """Take the last "for B" out of "made A for B": what was made was made."""
    head = predicate.head
    if not any(p.dep == "dobj" for p in predicate.parts) or head.lemma_ in TAKEN_AS or not tense_is_past(head):
        return False
    for k, part in reversed(list(enumerate(predicate.parts))):
        if part.dep == "prep" and part.kind == "core" and part.root > head.i and head.doc[part.root].lower_ == "for":
            del predicate.parts[k]
            return True
    return False


def make_first(predicate: Predicate) -> bool:
    """Leave of "A, B of C, and D" the first, where the verb may be said of each of them."""
    doc = predicate.head.doc
    if not predicate.may_split or any(t.lower_ in ("respectively", "together", "between", "among", "from")
                                      for t in predicate.head.subtree):  # fmt: skip
        return False
    for k, part in reversed(list(enumerate(predicate.parts))):
        if part.root < 0 or part.dep not in _SHORTENED or part.dep == "range":
            continue
        inside = {p.first for p in part.phrase}
        for noun in (doc[i] for i in sorted(inside) if i >= 0):
            heads = [t for t in conjuncts(noun) if t.i in inside]
            words = {c.lower_ for t in heads for c in t.children if c.dep_ == "cc"}
            counted = any(c.dep_ == "nummod" or c.lower_ in NO_SPLIT_DETERMINERS for c in noun.lefts)
            outer = noun.head.head.lemma_.lower() if noun.dep_ == "pobj" else ""
            bare = any(c.lower_ == "the" for c in noun.lefts) and not any(c.dep_ == "prep" for c in noun.rights)
            if bare and noun.pos_ == "NOUN":
                continue  # "the capital and largest city of Laos"
            if len(heads) < 2 or words != {"and"} or counted or outer in GATHERING | RELATIONAL:
                continue
            if noun.pos_ not in ("NOUN", "PROPN") or noun.dep_ == "conj" or heads[-1].i < noun.i + 2:
                continue
            gone = part.gone | coordination_words(heads)
            phrase = own(doc, cover(doc[part.root], gone))
            predicate.parts[k] = replace(part, phrase=phrase, gone=frozenset(gone))
            return True
    return False


def _means_enough(noun: Token, without: Token) -> bool:
    """Say whether a noun phrase means something that is so without one of its complements."""
    if noun.pos_ not in ("NOUN", "PROPN") or noun.lemma_.lower() in RELATIONAL:
        return False
    ranked = any(t.tag_ in ("JJS", "RBS", "JJR", "RBR") or t.ent_type_ == "ORDINAL" or t.lower_ in ("only", "same")
                 for c in noun.lefts for t in c.subtree)  # fmt: skip
    if ranked or any(c.lower_ in VAGUE for c in noun.lefts):
        return False
    if noun.pos_ == "PROPN" or is_indefinite(noun) or _is_mass(noun):
        return True
    return any(c.dep_ == "prep" and c.lower_ == "of" and c.i < without.i for c in noun.rights)
