"""Forms of the words that a swap puts in: plurals of nouns, comparatives and superlatives; prefixes that negate.

Rules of spelling, and the irregular plurals that encyclopedic prose has. Where sound or origin decides and spelling
does not tell (stomach, larch; caiman, fireman), the form that texts have more often is taken.
"""

import re
from typing import Final

from tasks.text.senses import zipf

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
    **{"dwarf": "dwarfs", "hoof": "hooves", "scarf": "scarves", "sheaf": "sheaves", "midwife": "midwives"},
    **{"stratum": "strata", "spectrum": "spectra", "quantum": "quanta", "ovum": "ova", "criterion": "criteria"},
    **{"radius": "radii", "locus": "loci", "bacillus": "bacilli", "nebula": "nebulae", "supernova": "supernovae"},
    **{"antenna": "antennae", "vertex": "vertices", "matrix": "matrices", "genus": "genera", "corps": "corps"},
}
_ADJECTIVES: Final = {"good": ("better", "best"), "bad": ("worse", "worst"), "far": ("farther", "farthest")}
_NOT_COMPARED_BY_ENDINGS: Final = ("ful", "less", "ing", "ed", "ous", "al", "ic", "ive", "able", "ible", "ant", "ent")


def plural(noun: str) -> str:
    """Return the plural of a noun, of the last word of several."""
    before, space, last = noun.rpartition(" ")
    if last in _PLURALS:
        return before + space + _PLURALS[last]
    if last.endswith("man"):
        return noun[:-2] + "en" if zipf(last[:-2] + "en") >= zipf(last + "s") else noun + "s"
    if last.endswith("sis"):
        return noun[:-2] + "es"
    if last.endswith("ch"):
        return noun + "es" if zipf(last + "es") >= zipf(last + "s") else noun + "s"
    if re.search(r"(?:s|x|z|sh)$", last):
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


_NEGATIONS: Final = ("un", "in", "im", "il", "ir", "dis", "non", "non-", "anti", "a", "ab", "mis", "counter", "de")


def negates(one: str, other: str) -> bool:
    """Say whether one word is the other with a prefix or a suffix that negates: "unhappy", "useless" of "useful"."""
    short, long = sorted((one, other), key=len)
    if any(long == prefix + short for prefix in _NEGATIONS):
        return True
    stems = {re.sub(r"(?:ful|less)$", "", word) for word in (one, other)}
    return len(stems) == 1 and one != other
