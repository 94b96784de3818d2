"""Forms of the words that a swap puts in: plurals of nouns, comparatives and superlatives, a word's article.

Rules of spelling, and the irregular plurals that encyclopedic prose has.
"""

import re
from typing import Final

_PLURALS: Final = {
    **{"man": "men", "woman": "women", "child": "children", "foot": "feet", "tooth": "teeth", "goose": "geese"},
    **{"mouse": "mice", "louse": "lice", "ox": "oxen", "person": "people", "sheep": "sheep", "fish": "fish"},
    **{"deer": "deer", "species": "species", "series": "series", "aircraft": "aircraft", "spacecraft": "spacecraft"},
    **{"wolf": "wolves", "leaf": "leaves", "calf": "calves", "half": "halves", "knife": "knives", "life": "lives"},
    **{"wife": "wives", "shelf": "shelves", "loaf": "loaves", "thief": "thieves", "elf": "elves", "self": "selves"},
    **{"bacterium": "bacteria", "medium": "media", "datum": "data", "phenomenon": "phenomena", "fungus": "fungi"},
    **{"nucleus": "nuclei", "cactus": "cacti", "stimulus": "stimuli", "alga": "algae", "larva": "larvae"},
    **{"vertebra": "vertebrae", "salmon": "salmon", "trout": "trout", "squid": "squid", "bison": "bison"},
    **{"potato": "potatoes", "tomato": "tomatoes", "hero": "heroes", "echo": "echoes", "cargo": "cargoes"},
    **{"volcano": "volcanoes", "mosquito": "mosquitoes", "torpedo": "torpedoes", "veto": "vetoes", "quiz": "quizzes"},
}
_ADJECTIVES: Final = {"good": ("better", "best"), "bad": ("worse", "worst"), "far": ("farther", "farthest")}
_NOT_COMPARED_BY_ENDINGS: Final = ("ful", "less", "ing", "ed", "ous", "al", "ic", "ive", "able", "ible", "ant", "ent")


def plural(noun: str) -> str:
    """Return the plural of a noun, of the last word of several."""
    before, space, last = noun.rpartition(" ")
    if last in _PLURALS:
        return before + space + _PLURALS[last]
    if re.search(r"[^aeiou]men$|[a-z]man$", last) and last not in ("human", "roman", "german", "shaman", "talisman"):
        return noun[:-2] + "en"
    if last.endswith("sis"):
        return noun[:-2] + "es"
    if re.search(r"(?:s|x|z|ch|sh)$", last) and not last.endswith("arch"):
        return noun + "es"
    if re.search(r"[^aeiou]y$", last):
        return noun[:-1] + "ies"
    return noun + "s"


def compared(adjective: str, tag: str) -> str | None:
    """Return the comparative (Penn tag JJR) or superlative (JJS) of an adjective, or None where it takes more or most.

    Short adjectives and those in -y have endings.
    """
    place = 0 if tag == "JJR" else 1
    if adjective in _ADJECTIVES:
        return _ADJECTIVES[adjective][place]
    syllables = len(re.findall(r"[aeiouy]+", adjective.removesuffix("e")))
    if syllables > 2 or (syllables == 2 and not adjective.endswith(("y", "le", "ow"))):
        return None
    if syllables > 1 and adjective.endswith(_NOT_COMPARED_BY_ENDINGS):
        return None
    ending = ("er", "est")[place]
    if adjective.endswith("e"):
        return adjective + ending[1:]
    if re.search(r"[^aeiou]y$", adjective):
        return adjective[:-1] + "i" + ending
    if re.fullmatch(r"[^aeiou]*[aeiou][^aeiouwxy]", adjective):
        return adjective + adjective[-1] + ending
    return adjective + ending
