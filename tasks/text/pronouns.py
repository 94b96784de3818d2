"""What a pronoun, or a definite noun phrase that only points back, stands for; where that is not safe, why.

The rule, after centering (Grosz, Joshi, Weinstein 1995): a subject pronoun continues the subject of the clause or
sentence before it. It is resolved where that subject agrees with it in number and person, and where the page's topic,
if it agrees too, is that same subject. Where the subject before does not agree, the topic is taken if it does. Two
agreeing candidates are one too many: the claim is dropped.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from spacy.tokens import Doc, Span, Token

from tasks.text.phrases import PLACES, Phrase, Piece, conjuncts, cover, is_loose, own, render
from tasks.text.topics import FEMALE, MALE, is_place_name, seems_person, spoken_name, title_in
from tasks.text.wordlists import CLASSES, NO_CLASS, PERSON_NOUNS, POINTING

PERSONAL = {
    "it": "thing", "its": "thing", "he": "person", "his": "person", "him": "person", "she": "person",
    "her": "person", "they": "many", "their": "many", "them": "many",
}  # fmt: skip
_PERSON_SUFFIX = re.compile(r"(?:ologist|ician|grapher|wright|[a-z]{4}ist)$")


_WIDER = {
    "capital": {"city"}, "megacity": {"city"}, "metropolis": {"city"}, "novel": {"book", "work", "story"},
    "novella": {"book", "work", "story"}, "sitcom": {"series", "show"}, "footballer": {"player"},
    "treatise": {"work", "book"}, "poem": {"work"}, "play": {"work"}, "epic": {"work", "poem"}, "opera": {"work"},
    "symphony": {"work"}, "painting": {"work"}, "album": {"record"}, "buddhism": {"religion"}, "band": {"group"},
    "company": {"firm"}, "corporation": {"company"}, "conglomerate": {"company"}, "manufacturer": {"company"},
    "college": {"institution", "school"}, "university": {"institution", "school"}, "disorder": {"condition", "disease"},
    "disease": {"condition", "illness"}, "syndrome": {"condition", "disorder"}, "infection": {"disease", "condition"},
    "war": {"conflict"}, "conflict": {"war"}, "tributary": {"river"}, "volcano": {"mountain"}, "state": {"country"},
    "republic": {"country"}, "monarchy": {"country"}, "nation": {"country"}, "kingdom": {"country"},
    "archipelago": {"islands"}, "programme": {"show"}, "program": {"show"}, "newspaper": {"paper"},
    "organisation": {"group"}, "organization": {"group"}, "sport": {"game"}, "game": {"sport"}, "city": {"town"},
}  # fmt: skip
_GENERAL = {"kind", "type", "form", "species", "genus", "member", "one", "part", "breed", "variety", "class", "sort"}
_PLACES = {"country", "city", "state", "town", "island", "province", "municipality", "republic", "nation", "district"}
_WORKS = {"film", "novel", "book", "play", "series", "song", "album", "band", "ship", "poem", "story", "work",
          "painting", "opera", "statue", "sculpture", "character", "city", "company", "family",
          "dynasty", "myth"}  # fmt: skip
_DISTRIBUTIVES = ("each ", "every ", "no ", "any ", "a number ", "a lot ", "a great deal ", "much ")


class UnsafeError(Exception):
    """No claim can be made here; the first argument is the reason."""


@dataclass(frozen=True)
class Referent:
    """What a noun phrase stands for. name is without capital where it does not begin a sentence by right."""

    name: str
    plural: bool
    person: bool | None  # None: not known
    topic: bool = False
    known: bool = True  # else it was a subject that could not be named


@dataclass
class Topic:
    """The thing that a page is about, as its passage names it."""

    referent: Referent | None
    title: str
    classes: frozenset[str] = frozenset()
    genders: frozenset[str] = frozenset()
    is_place: bool = False

    @property
    def is_name(self) -> bool:
        """Say whether the title is a proper name as far as its capitals tell."""
        return all(word[:1].isupper() for word in self.title.split() if len(word) > 3)


@dataclass
class Discourse:
    """Who the sentence before and the clause before were about, as far as a passage has been read."""

    topic: Topic
    sentence: int = -1  # of the subjects that are held
    previous: Referent | None = None
    current: Referent | None = None
    rivals: list[Referent] = field(default_factory=list)  # other things that the sentence before speaks of
    people: bool = False  # whether the sentence before speaks of other people by name
    _heard: list[Referent] = field(default_factory=list)

    def begin(self, sentence: int) -> None:
        """Go on to a sentence; what was the subject before one that was not read is not known."""
        if sentence != self.sentence:
            self.previous = self.current if sentence == self.sentence + 1 else None
            self.rivals = self._heard
            self.people = any(r.person for r in self._heard)
            self._heard = []
            self.current = None
            self.sentence = sentence

    def saw(self, subject: Referent) -> None:
        """Take note of the subject of a main clause, but for "each chapter", which nothing later points back to."""
        if not subject.name.lower().startswith(_DISTRIBUTIVES):
            self.current = subject

    def heard(self, sentence: Span) -> None:
        """Take note of what else a sentence speaks of: what a pronoun after it may stand for."""
        for token in sentence:
            if token.dep_ in ("dobj", "oprd", "nsubj", "nsubjpass") and token.pos_ in ("NOUN", "PROPN"):
                person = token.ent_type_ == "PERSON" or is_person_noun(token.lemma_.lower())
                if not _names_topic(token, self.topic.title) and token.lemma_.lower() not in self.topic.classes:
                    self._heard.append(Referent(token.text, token.tag_ in ("NNS", "NNPS"), person))


def bare_title(title: str) -> str:
    """Return a page's title without what tells it from others: "David (Michelangelo)" is "David"."""
    bare = re.sub(r"\s*\([^()]*\)\s*$", "", title).strip() or title
    bare = re.sub(r"^([^,]+), (?!Jr|Sr|and |or )[^,]+$", r"\1", bare)  # Tripoli, Libya
    return bare.replace("\u2013", "-")


def _key(text: str) -> str:
    return re.sub(r"^(?:the|an?)\s+", "", text.casefold().strip())


def names_topic(head: Token, name: str) -> bool:
    """Say whether a noun phrase is the topic's name, with no complement: the same words, or a fuller name."""
    return bool(name) and _is_name(head, _beyond_name(head), name)


def _names_topic(head: Token, name: str) -> bool:
    """Say whether a noun phrase names the topic: the same words but for article and number, or a fuller name."""
    beyond = _beyond_name(head)
    return _is_name(head, beyond, name) or _is_name(head, beyond | {c.i for c in head.rights if c.dep_ == "prep"}, name)


def _is_name(head: Token, beyond: set[int], name: str) -> bool:
    words = [head.doc[i] for i in cover(head, beyond)]
    if not words or not name:
        return False
    if len(words) == 1 and len(words[0]) > 2 and words[0].is_upper and words[0].text == _initials(name):
        return True
    said, wanted = _key(render(head.doc, own(head.doc, (w.i for w in words)))), _key(name)
    if said == wanted:
        return True
    if words[-1].tag_ == "NNS" and (said in (wanted + "s", wanted + "es") or _lemma_key(words) == wanted):
        return True
    if wanted.endswith("s") and said + "s" == wanted:
        return True
    mine, theirs = said.split(), wanted.split()
    person = any(w.ent_type_ == "PERSON" for w in words)
    if len(mine) == 1 and len(theirs) > 1:
        known = any(t.ent_type_ == "PERSON" and t.text == words[0].text for t in head.doc)
        return known and mine[0] == theirs[-1]  # a surname
    if len(theirs) == 1:
        return person and theirs[0] in (mine[0], mine[-1])
    return person and theirs[-1] in mine and theirs[0] in mine


def _initials(name: str) -> str:
    return "".join(word[0] for word in name.upper().split() if word[0].isalpha())


def _lemma_key(words: list[Token]) -> str:
    return _key(" ".join([*(w.lower_ for w in words[:-1]), words[-1].lemma_.lower()]))


def _beyond_name(head: Token) -> set[int]:
    return {c.i for c in head.children if c.dep_ in ("relcl", "acl", "appos", "cc", "conj", "punct", "advcl")}


def find_topic(doc: Doc, title: str) -> Topic:
    """Return what a page's title names in a passage of it: name, number, whether a person, and its class nouns.

    The name is that of the first subject that names the title; number is told by its verb, class nouns by the
    copulas it is subject of. Where no subject names the title, the topic has no referent.
    """
    name = bare_title(title)
    mentions = [
        t for t in doc if t.dep_ in ("nsubj", "nsubjpass") and t.pos_ in ("NOUN", "PROPN") and _names_topic(t, name)
    ]
    if not mentions:
        return _unmentioned(doc, name)
    classes: set[str] = set()
    for mention in mentions:
        if mention.head.lemma_ == "be":
            for attr in (c for c in mention.head.children if c.dep_ == "attr"):
                classes |= {t.lemma_.lower() for noun in conjuncts(attr) for t in (noun, *_kinds(noun))
                            if t.pos_ in ("NOUN", "PROPN")}  # fmt: skip
    classes = set().union(classes, *(_WIDER[c] for c in classes if c in _WIDER))
    first = mentions[0]
    plural = is_plural(first)
    pronouns = {t.lower_ for t in doc if t.pos_ == "PRON"}
    named_person = any(t.ent_type_ == "PERSON" for t in first.subtree)
    sexed = bool(pronouns & (MALE | FEMALE))
    alone = (
        first.pos_ == "PROPN"
        and not any(c.dep_ == "det" for c in first.children)
        and not any(e.label_ == "PERSON" and not set(e.text.split()) & set(name.split()) for e in doc.ents)
    )
    human = any(is_person_noun(c) for c in classes)
    made = bool(classes & _WORKS)
    person = (
        human
        or (sexed and named_person and not made and first.ent_type_ not in PLACES)
        or (sexed and not classes and first.ent_type_ not in PLACES and (named_person or alone))
    )
    beyond = _beyond_name(first)
    if not _is_name(first, beyond, name):
        beyond |= {c.i for c in first.rights if c.dep_ == "prep"}
    tokens = cover(first, beyond)
    if sum(doc[i].pos_ in ("NOUN", "PROPN", "ADJ") for i in tokens) > 1 and not person:
        classes.add(first.lemma_.lower())  # "the sultanate", of the Funj Sultanate
    text = lower_start(doc, tokens)
    if person and " " in name and (" " not in text or text.count(" ") > max(2, name.count(" "))):
        text = name  # the surname told whose page it is; or all the names that somebody has
    if re.match(r"(?:The|An?) ", name):  # of a work, part of its name
        text = text[:1].upper() + text[1:]
    genders = frozenset(sex for sex, words in (("m", MALE), ("f", FEMALE)) if pronouns & words)
    place = not person and (first.ent_type_ == "GPE" or bool(classes & _PLACES)) and first.pos_ == "PROPN"
    return Topic(
        Referent(text, plural, person and not plural, topic=True), name, frozenset(classes - NO_CLASS), genders, place
    )


def _unmentioned(doc: Doc, name: str) -> Topic:
    """Return the topic of a passage that never has it as a subject by its name."""
    said = spoken_name(doc, name) if name else None
    pronouns = {t.lower_ for t in doc if t.pos_ == "PRON"}
    sexes = frozenset(sex for sex, words in (("m", MALE), ("f", FEMALE)) if pronouns & words)
    if said is None:
        return Topic(None, name, genders=sexes)
    words = title_in(doc, name)
    person = seems_person(doc, name)
    place = not person and is_place_name(doc, name)
    last = name.split()[-1].lower()
    classes = {last} if len(name.split()) > 1 and not person else set()
    if place:
        kinds = {t.lower_ for t in doc if t.i and doc[t.i - 1].lower_ == "the"} & {"city", "town", "country", "island"}
        classes |= kinds if len(kinds) == 1 else set()
    plural = bool(words) and words[-1].tag_ in ("NNS", "NNPS") and not words[-1].lower_.endswith("ics")
    return Topic(Referent(said, plural, person, topic=True), name, frozenset(classes - NO_CLASS), sexes, place)


def _kinds(noun: Token) -> list[Token]:
    """Return the noun that tells the class after one that does not: "one of the cities", "a type of rock"."""
    if noun.lemma_.lower() not in _GENERAL:
        return []
    return [g for c in noun.rights if c.lower_ == "of" for g in c.children if c.dep_ == "prep" and g.dep_ == "pobj"]


def lower_start(doc: Doc, tokens: list[int]) -> str:
    """Return tokens as they would stand inside a sentence."""
    text = render(doc, own(doc, tokens))
    first = doc[tokens[0]]
    opens = first.i == first.sent.start
    if (opens and not first.ent_type_ and first.pos_ != "PROPN") or first.lower_ in ("the", "a", "an"):
        return text[:1].lower() + text[1:]
    return text


def is_person_noun(lemma: str) -> bool:
    """Say whether a common noun is one for people."""
    return lemma in PERSON_NOUNS or bool(_PERSON_SUFFIX.search(lemma))


def is_plural(head: Token) -> bool:
    """Return the number of a subject: told by its finite verb, else by its noun."""
    verb = head.head
    if head.dep_ in ("nsubj", "nsubjpass") and not any(c.lower_ in ("that", "which", "who") for c in [head]):
        finite = next((c for c in verb.children if c.dep_ in ("aux", "auxpass")), verb)
        if finite.lower_ in ("is", "was", "has", "does") or finite.tag_ == "VBZ":
            return False
        if finite.lower_ in ("are", "were", "have", "do") or finite.tag_ == "VBP":
            return True
    return head.tag_ in ("NNS", "NNPS") or any(c.dep_ == "conj" for c in head.children)


def agrees(pronoun: str, referent: Referent) -> bool:
    """Say whether a third person pronoun can stand for a referent."""
    kind = PERSONAL[pronoun]
    if kind == "many":
        return referent.plural
    if referent.plural:
        return False
    return referent.person is True if kind == "person" else referent.person is not True


def _owned_by(topic: Referent) -> tuple[str, ...]:
    """Return how a noun phrase begins that is of the topic."""
    pronouns = ("their ",) if topic.plural else ("his ", "her ") if topic.person else ("its ",)
    return (f"{topic.name.lower()}'s ", *pronouns)


def resolve(token: Token, discourse: Discourse, *, subject: bool = True) -> Referent:
    """Return what a personal pronoun stands for, in the subject of a clause or elsewhere in it.

    Raises UnsafeError where it is not safe to say.
    """
    word = token.lower_
    if word not in PERSONAL:
        raise UnsafeError("pronoun")
    before = (discourse.current if subject else None) or discourse.previous
    topic = discourse.topic.referent
    if before is not None and topic is not None and before.name.lower().startswith(_owned_by(topic)):
        before = topic  # what is said of its parts is said of it
    fits = topic is not None and agrees(word, topic)
    if fits and PERSONAL[word] == "person" and len(discourse.topic.genders) > 1:
        fits = before is not None and before.topic  # two people are spoken of
    vague = before is not None and before.person is None and PERSONAL[word] == "person"
    if vague and fits and not discourse.people and topic is not None:
        return topic
    if before is not None and (agrees(word, before) or vague):
        if before.topic and fits:
            return before
        if not fits and before.known and agrees(word, before):
            return before
        raise UnsafeError("pronoun_ambiguous")
    if topic is not None and fits:
        if any(agrees(word, rival) for rival in discourse.rivals):
            raise UnsafeError("pronoun_ambiguous")
        return topic
    raise UnsafeError("pronoun_unresolved")


def points_back(head: Token) -> Token | None:
    """Return the word by which a noun phrase points to something said before, or None."""
    for child in head.children:
        named = (head.pos_ == "PROPN" and child.is_title and child.i != child.sent.start) or (
            head.pos_ == "PROPN" and (child.i > head.left_edge.i)
        )
        if child.dep_ in ("det", "amod", "predet") and child.lower_ in POINTING and not named:
            if child.lower_ in ("both", "either", "neither") and any(c.dep_ == "conj" for c in head.children):
                continue
            if child.lower_ == "such" and any(c.lower_ == "as" for c in head.children):
                continue
            return child
    return None


def is_bare_definite(head: Token, without: Collection[int] = ()) -> bool:
    """Say whether a noun phrase is "the" and a common noun with nothing that says which, but for what is left out."""
    if head.pos_ != "NOUN" or not any(c.dep_ == "det" and c.lower_ == "the" for c in head.children):
        return False
    telling = {"prep", "relcl", "acl", "poss", "nmod", "compound", "appos"}
    children = [c for c in head.children if c.i not in without and not is_loose(c)]
    return not any(c.dep_ in telling or c.pos_ == "PROPN" or c.ent_type_ == "NORP" or c.tag_ == "JJS" for c in children)


def as_topic(head: Token, discourse: Discourse) -> Referent | None:
    """Return the topic if a definite or pointing noun phrase names its class: "the city" where it is a city."""
    topic = discourse.topic
    simple = all(
        c.dep_ in ("det", "punct", "case", "appos", "relcl", "acl", "prep", "cc", "conj") for c in head.children
    )
    heavy = any(c.dep_ in ("prep", "relcl", "acl", "cc", "conj") and not is_loose(c) for c in head.children)
    if topic.referent is None or not simple or heavy or head.tag_ not in ("NN", "NNP"):
        return None
    lemma = head.lemma_.lower()
    if lemma in topic.classes:
        return topic.referent
    unknown = topic.is_name and not topic.classes and not topic.referent.person and not topic.is_place
    definite = any(c.lower_ == "the" for c in head.lefts)
    before = any(t.lemma_.lower() == lemma and t.pos_ == "NOUN" for t in head.doc[: head.i])
    return topic.referent if unknown and definite and lemma in CLASSES and not before else None


def stand_in(referent: Referent, tokens: list[int], *, genitive: str = "") -> Phrase:
    """Return a referent's name as a piece that stands for tokens of the sentence."""
    return [Piece(referent.name + genitive, tokens[0], tokens[-1])]
