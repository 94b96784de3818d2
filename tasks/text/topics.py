"""A page's topic where no sentence of the passage has it as its subject: as the title and other mentions tell it."""

import re

from spacy.tokens import Doc, Token

MALE, FEMALE = {"he", "his", "him"}, {"she", "her"}
_MASS = re.compile(r"(?:ism|ics|graphy|ology|tion|ity|ness|ment|ing|ture|ance|ence|onomy|cracy|sophy)$")


def title_in(doc: Doc, title: str) -> list[Token]:
    """Return the words of the title where the passage has all of them in a row, but for the case of the first one."""
    words = title.split()
    for start in range(len(doc) - len(words) + 1):
        found = doc[start : start + len(words)]
        said = [t.text for t in found]
        same = said[1:] == words[1:] and said[0].lower() == words[0].lower()
        if same and (start + len(words) == len(doc) or doc[start + len(words)].text != "-"):
            return list(found)
    return []


def spoken_name(doc: Doc, title: str) -> str | None:
    """Return the title as it stands in a sentence, with its article; None where that is not sure."""
    words = title.split()
    mention = title_in(doc, title)
    proper = len(words) > 1 and all(w[:1].isupper() for w in words if len(w) > 3)
    if mention:
        before = doc[mention[0].i - 1] if mention[0].i else None
        named = mention[-1].pos_ == "PROPN" or proper
        definite = before is not None and before.lower_ == "the" and mention[-1].dep_ not in ("compound", "nmod")
        if named and mention[-1].dep_ not in ("compound", "amod"):
            return f"the {title}" if definite and not title.startswith("The ") else title
        if named:
            return title if proper or mention[-1].ent_type_ in ("PERSON", "GPE") else None
        small = title[:1].lower() + title[1:]
        if before is not None and before.lower_ in ("a", "an") and mention[-1].tag_ == "NN":
            return f"{before.lower_} {small}"
        return small if _MASS.search(title) or mention[-1].tag_ == "NNS" else None
    if proper and not title.startswith(("List of", "History of")):
        return title
    if len(words) == 1 and title[:1].isupper() and (is_place_name(doc, title) or seems_person(doc, title)):
        return title
    surname = len(words) > 1 and any(t.text == words[-1] and t.pos_ == "PROPN" for t in doc)
    return title if surname else None


def seems_person(doc: Doc, title: str) -> bool:
    """Say whether the passage speaks of one person, whose name the title can be: he or she, and no other name."""
    pronouns = {t.lower_ for t in doc if t.pos_ == "PRON"}
    sexes = bool(pronouns & MALE) + bool(pronouns & FEMALE)
    if sexes != 1 or title.startswith(("The ", "List ")):
        return False
    words = set(title.split())
    own = any(e.label_ == "PERSON" and set(e.text.split()) & words for e in doc.ents)
    others = [e for e in doc.ents if e.label_ == "PERSON" and not set(e.text.split()) & words]
    placed = any(t.ent_type_ in ("GPE", "LOC", "FAC", "ORG") for t in title_in(doc, title))
    return (own or (not others and bool(title_in(doc, title)) < len(words))) and not placed


def is_place_name(doc: Doc, title: str) -> bool:
    """Say whether the passage calls a named thing of the title a city or a country."""
    words = title_in(doc, title)
    if words and any(t.ent_type_ == "GPE" for t in words):
        return True
    bare = {t.lower_ for t in doc if t.i and doc[t.i - 1].lower_ == "the" and t.dep_.startswith("nsubj")}
    return bool(bare & {"city", "town", "country", "island"})
