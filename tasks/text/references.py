"""What a subject may be called when it is told of again: a pronoun, "the river", a surname.

A pronoun only where number and gender are sure: of persons by the only gender of the passage's pronouns, of things by
what a claim says they are (WordNet's lexicographer file) or by the kind of name.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tasks.text.frames import Frame, subject_key
from tasks.text.pronouns import bare_title, is_person_noun
from tasks.text.wordlists import NO_CLASS, RELATIONAL
from tasks.text.wordnet import WordNet

PRONOUN, DEFINITE, SHORT = "pronoun", "definite", "short_name"
_GENITIVES: Final = {"it": "its", "he": "his", "she": "her", "they": "their"}
_HE: Final = re.compile(r"\b(?:he|his|him|himself)\b", re.I)
_SHE: Final = re.compile(r"\b(?:she|her|hers|herself)\b", re.I)
_PLACES: Final = frozenset({"GPE", "LOC", "FAC", "PRODUCT", "EVENT", "WORK_OF_ART", "LAW", "LANGUAGE"})
_PEOPLE_FILES: Final = frozenset({"noun.person", "noun.group"})
_SUFFIX: Final = re.compile(r"(?:Jr|Sr|II|III|IV|V|VI|VII|VIII|IX|X)\.?$")
_PARTICLES: Final = frozenset({"Ibn", "Abu", "Al", "El", "De", "Da", "Van", "Von", "Saint", "St", "King", "Queen"})
_PLAIN: Final = re.compile(r"[a-z]{3,}")
# nouns that say too little, or of which a text has many, to tell which thing is meant
_UNTOLD_WORDS: Final = """
    place thing way time year work area person people man woman member group part use concept idea word name total unit
    number amount lot series set pair source subject feature aspect element practice activity process state
    """
_UNTOLD: Final = NO_CLASS | RELATIONAL | frozenset(_UNTOLD_WORDS.split())


@dataclass(frozen=True)
class Named:
    """How a subject may be called. noun: what a claim, `of`, says it is; short: a person's surname."""

    pronoun: str = ""
    noun: str = ""
    of: int = -1
    short: str = ""
    person: bool | None = None

    @property
    def genitive(self) -> str:
        """The pronoun as owner."""
        return _GENITIVES.get(self.pronoun, "")

    @property
    def relative(self) -> str:
        """ "who" or "which", "" where it is not sure which."""
        return "" if self.person is None else "who" if self.person else "which"


def named(frames: Sequence[Frame], text: str, title: str, wordnet: WordNet) -> dict[str, Named]:
    """Return how each subject of a passage's claims may be called, by `Frame.key`."""
    by_key: dict[str, list[Frame]] = {}
    for frame in frames:
        if frame.key:
            by_key.setdefault(frame.key, []).append(frame)
    found = {key: _named(key, mine, text, title, wordnet) for key, mine in by_key.items()}
    nouns = Counter(one.noun for one in found.values() if one.noun)
    return {key: one if nouns[one.noun] <= 1 else _without_noun(one) for key, one in found.items()}


def _without_noun(one: Named) -> Named:
    return Named(one.pronoun, "", -1, one.short, one.person)


def _named(key: str, frames: Sequence[Frame], text: str, title: str, wordnet: WordNet) -> Named:
    head = frames[0].subject_head
    many = {f.plural for f in frames}
    if len(many) > 1:
        return Named()
    classes = [(c, f.number) for f in frames for c in _classes(f) if not f.lead[1]]
    person = _is_person([c for f in frames for c in _kinds(f)], frames, text, wordnet)
    if many.pop():
        return Named("they", person=person)
    noun, of = next(((c, n) for c, n in classes if _is_telling(c, wordnet)), ("", -1))
    if person:
        he, she = bool(_HE.search(text)), bool(_SHE.search(text))
        topical = subject_key(bare_title(title)).split()[-1:] == key.split()[-1:] or set(key.split()) & set(
            bare_title(title).casefold().split()
        )
        pronoun = ("he" if he else "she") if topical and he != she else ""
        return Named(pronoun, short=_surname(frames[0], title), person=True)
    if person is None:
        return Named("", noun if head.pos_ != "PROPN" else "", of)
    return Named("it", noun, of, "", False)


def _kinds(frame: Frame) -> list[str]:
    """Return the noun by which a claim says of what kind the subject is."""
    if not frame.is_copula or not frame.parts or frame.parts[0].dep != "attr" or frame.lead[1]:
        return []
    head = frame.parts[0].root
    return [head.lemma_.lower()] if head.pos_ == "NOUN" and head.i not in frame.held else []


def _classes(frame: Frame) -> list[str]:
    """Return the nouns that a claim says the subject is one of."""
    if not frame.is_copula or not frame.parts or frame.parts[0].dep != "attr":
        return []
    head = frame.parts[0].root
    determiners = {c.lower_ for c in head.lefts if c.dep_ == "det"}
    if head.tag_ != "NN" or not determiners & {"a", "an", "the"} or head.i in frame.held:
        return []
    if any(c.dep_ in ("compound", "nmod") for c in head.lefts) or any(c.lower_ == "of" for c in head.rights):
        return []
    return [head.lemma_.lower()]


def _is_telling(noun: str, wordnet: WordNet) -> bool:
    senses = wordnet.senses(noun, "n")
    return bool(_PLAIN.fullmatch(noun)) and noun not in _UNTOLD and bool(senses)


def _file(noun: str, wordnet: WordNet) -> str:
    senses = wordnet.senses(noun, "n")
    return senses[0].file if senses else ""


def _is_person(classes: Sequence[str], frames: Sequence[Frame], text: str, wordnet: WordNet) -> bool | None:
    """Say whether a subject is a person (True) or a thing (False); None where neither is sure."""
    head = frames[0].subject_head
    files = {_file(c, wordnet) for c in classes} - {""}
    if any(is_person_noun(c) for c in classes) or "noun.person" in files:
        return True
    if head.pos_ == "NOUN" and files and not files & _PEOPLE_FILES:
        return None if is_person_noun(head.lemma_.lower()) else False
    if head.pos_ == "NOUN":
        file = _file(head.lemma_.lower(), wordnet)
        if is_person_noun(head.lemma_.lower()) or file in _PEOPLE_FILES or not file:
            return None
        return False
    sexed = bool(_HE.search(text) or _SHE.search(text))
    if files:
        return False if not sexed or head.ent_type_ != "PERSON" else None
    definite = any(c.dep_ == "det" and c.lower_ == "the" for c in head.lefts)
    file = _file(head.lower_, wordnet)
    if definite and file and file != "noun.person" and not is_person_noun(head.lower_):
        return False  # "the Kingdom of Kongo"
    if sexed or head.ent_type_ in ("PERSON", "NORP"):
        return None
    if head.ent_type_ in _PLACES or re.search(r"\bits?\b", text):
        return False
    return None


def _surname(frame: Frame, title: str) -> str:
    """Return the last name of a person whose page it is, or "" where it is not sure."""
    tokens = frame.doc[slice(*frame.subject)]
    words = [t.text for t in tokens]
    last = bare_title(title).split()[-1:]
    plain = all(w[:1].isupper() and (w.isalpha() or "-" in w) for w in words) and not _PARTICLES & {*words[:-1]}
    if len(words) < 2 or not plain or words[-1:] != last or _SUFFIX.search(words[-1]) or len(words[-1]) < 4:
        return ""
    return words[-1]


def after_owner(frame: Frame, owner: str) -> tuple[int, int] | None:
    """Return the tokens after "X's" where the subject begins so and X is the given subject, else None."""
    for token in frame.doc[slice(*frame.subject)]:
        owns = token.tag_ == "POS" and token.head.dep_ == "poss" and token.head.head == frame.subject_head
        if owns and token.i + 1 < frame.subject[1]:
            named_so = subject_key(frame.doc[frame.subject[0] : token.i].text) == owner
            return (token.i + 1, frame.subject[1]) if named_so else None
    return None
