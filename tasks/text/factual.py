"""What is plainly a fact: no condition, report, wish or alternative, and no parse with signs of being wrong."""

from spacy.tokens import Token

from tasks.text.brevity import is_indefinite
from tasks.text.phrases import (
    conjuncts,
    is_loose,
)
from tasks.text.pronouns import UnsafeError
from tasks.text.wordlists import (
    CONDITIONS,
    NAMING,
    REPORTING,
)

_IRREAL = {"would", "should", "might", "shall", "'d", "ought"}


def check_factual(head: Token) -> None:
    """Raise UnsafeError where a clause is a condition, a report or a wish, or stands inside one."""
    token = head
    while True:
        if token.dep_ in ("ccomp", "csubj", "pcomp") or (token.dep_ == "xcomp" and token.head.lemma_ in REPORTING):
            raise UnsafeError("reported" if token.head.lemma_ in REPORTING else "")
        if is_verb(token):
            for child in token.children:
                if child.dep_ in ("mark", "advmod") and child.lower_ in CONDITIONS:
                    raise UnsafeError("hypothetical")
                if child.dep_ == "advcl" and any(c.lower_ in CONDITIONS for c in child.children if c.dep_ == "mark"):
                    raise UnsafeError("hypothetical")
                if child.dep_ == "aux" and child.lower_ in _IRREAL:
                    raise UnsafeError("hypothetical")
                if token.lemma_ in REPORTING and (
                    child.dep_ == "ccomp" or child.dep_ == "xcomp" or (child.dep_ == "prep" and child.lower_ == "as")
                ):
                    raise UnsafeError("reported")
            if token.dep_ == "relcl" and token != head and head.dep_ != "appos" and _is_framed(token):
                raise UnsafeError("relative_object")
        if token.dep_ == "ROOT":
            return
        token = token.head


def _is_framed(clause: Token) -> bool:
    """Say whether a relative clause says what is so only "where" or "in which" its antecedent is."""
    return any(t.tag_ in ("WDT", "WRB", "WP") and not t.dep_.startswith("nsubj") for t in clause.subtree)


def check_lists(head: Token) -> None:
    """Raise UnsafeError where a list under a verb has no end."""
    if any(_is_broken_list(t) for c in head.children if c.dep_ not in ("conj", "advcl", "ccomp") for t in c.subtree):
        raise UnsafeError("parse")


def _is_broken_list(first: Token) -> bool:
    """Say whether a list has lost its last member, and its "and" with it, to another reading."""
    if first.dep_ == "conj" or first.pos_ not in ("NOUN", "PROPN") or not any(c.dep_ == "conj" for c in first.children):
        return False
    heads = conjuncts(first)
    commas = any(c.text == "," for t in heads for c in t.children)
    return commas and not any(c.dep_ == "cc" for t in heads for c in t.children)


def check_disjunction(head: Token) -> None:
    """Raise UnsafeError where one of several verbs is said to be true. "Can A or B" says that both can be."""
    first = head
    while first.dep_ == "conj":
        first = first.head
    verbs = [t for t in conjuncts(first) if t.pos_ in ("VERB", "AUX")]
    free = any(c.lower_ in ("can", "may", "could") for c in first.children if c.dep_ == "aux")
    alternatives = any(c.dep_ == "cc" and c.lower_ in ("or", "nor") for t in verbs for c in t.children)
    if len(verbs) > 1 and alternatives and not free:
        raise UnsafeError("disjunction")


def check_parse(head: Token, subject: Token) -> None:
    """Raise UnsafeError where a parse has signs of being wrong."""
    words = head.doc
    # a compound with a hyphen may be several attributes, which are one word again when they are written
    roles = [c.dep_ for c in head.children if c.text != "-" and words[min(c.i + 1, len(words) - 1)].text != "-"]
    if any(roles.count(role) > 1 for role in ("dobj", "attr", "acomp", "nsubj")):
        raise UnsafeError("parse")
    ands = [c.i for c in head.rights if c.dep_ == "cc"]
    if ands and any(c.dep_ == "conj" and c.pos_ == "ADP" for c in head.rights):
        raise UnsafeError("parse")
    others = [c for c in head.rights if c.dep_ == "conj" and not is_verb(c)]
    if ands and others and words[ands[-1] - 1].text != ",":
        raise UnsafeError("parse")  # "named after the mathematician and physicist X": X was taken from them
    finite_first = head.tag_ in ("VBN", "VBD", "VBZ", "VBG") and not any(c.tag_ in ("MD", "TO") for c in head.children)
    if finite_first and any(c.dep_ == "conj" and c.tag_ == "VB" and not list(c.lefts) for c in head.rights):
        raise UnsafeError("parse")  # the same, X taken for a verb
    check_lists(head)
    if any(t.lower_ == "respectively" for t in head.subtree):
        raise UnsafeError("respectively")
    bare = not any(c.dep_ in ("aux", "auxpass") for c in head.children) and head.lemma_ != "be"
    if head.tag_ in ("VBD", "VBN") and bare and subject.head == head:
        # "X, called Y, is Z": the participle was taken for the main verb
        set_off = head.doc[head.i - 1].text == "," and not any(is_loose(c) for c in subject.subtree)
        if set_off or head.lemma_ in NAMING:
            raise UnsafeError("parse")


def is_empty(head: Token) -> bool:
    """Say whether "it" with this verb stands for nothing: "it is easy to", "it was he who", "it is known that"."""
    clauses = {"ccomp", "csubj", "xcomp", "csubjpass"}
    if head.lemma_ in ("seem", "appear", "happen", "follow", "turn") and any(c.dep_ in clauses for c in head.children):
        return True
    if any(c.dep_ == "auxpass" for c in head.children):
        return any(c.dep_ in ("ccomp", "csubjpass", "csubj") for c in head.children)
    if head.lemma_ != "be":
        return False
    if any(
        c.dep_ in clauses or (c.dep_ == "acomp" and any(g.dep_ in clauses for g in c.children)) for c in head.children
    ):
        return True
    attribute = next((c for c in head.children if c.dep_ == "attr"), None)
    if attribute is None:
        return False
    if attribute.ent_type_ == "PERSON":
        return True
    if attribute.pos_ == "PROPN" and any(t.tag_ in ("WP", "WDT") and t.i > attribute.i for t in head.subtree):
        return True
    if not any(c.dep_ == "relcl" for c in attribute.children):
        return False
    ordered = any(c.tag_ == "JJS" or c.ent_type_ == "ORDINAL" or c.lower_ == "only" for c in attribute.children)
    return not is_indefinite(attribute) and not ordered


def is_verb(token: Token) -> bool:
    return token.tag_.startswith(("VB", "MD")) and token.pos_ in ("VERB", "AUX")
