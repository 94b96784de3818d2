"""Words of which a thing can be called but one: classes that science, the map and the library know, each closed.

WordNet counts senses in novels and newspapers, where an order is a command and a class is of pupils. The sets here are
for the senses that encyclopedias have. Words in `IN_DOUBT` are taken so only where the text has another of the set, or
of the words that tell the field. Professions are those that few people have two of.
"""

from collections.abc import Mapping
from functools import cache
from typing import Final

from tasks.text.wordnet import Pos

# a line a set
_NOUNS: Final = """
    genus family order class phylum subfamily
    city village
    gas liquid solid
    metal metalloid gas
    mammal bird reptile amphibian fish insect
    insect arachnid crustacean mollusc
    carnivore herbivore omnivore
    fungus alga bacterium virus
    tree vine grass fern
    planet star moon comet asteroid galaxy nebula constellation
    novel film opera ballet symphony album play
    painting sculpture mosaic tapestry
    newspaper magazine encyclopedia dictionary
    republic kingdom
    republic monarchy
    north south east west
    northeast northwest southeast southwest
    strait isthmus peninsula bay
    mountain valley desert plain
    birth death
    beginning end
    president chancellor emperor
    president monarch
    empire republic
    museum library hospital
    cathedral mosque synagogue
    bridge tunnel dam
    leaf root stem flower seed fruit
    river lake canal
    protein carbohydrate lipid
    enzyme hormone
    proton neutron electron photon quark
    boson fermion
    vein artery
    muscle bone gland
    vowel consonant
    noun verb adjective
    theorem axiom conjecture
    band duo orchestra choir
    violinist cellist pianist trumpeter saxophonist drummer
    goalkeeper midfielder defender
    poet composer architect chemist astronomer botanist
    politician architect painter geologist
    writer composer physician architect
    author composer architect
    businessman architect philologist
    director dancer violinist
    actor composer
"""
_ADJECTIVES: Final = """
    ancient medieval modern
    igneous sedimentary metamorphic
    solid liquid gaseous
    carnivorous herbivorous omnivorous
    bacterial viral fungal
    infectious genetic
    infectious autoimmune
    tropical temperate polar
    landlocked coastal
    landlocked archipelagic
    freshwater saltwater
    terrestrial aquatic
    terrestrial marine
    arboreal aquatic
    analog digital
    parliamentary presidential
    federal unitary
    monotheistic polytheistic
    bipedal quadrupedal
    eukaryotic prokaryotic
    nomadic sedentary
    military civilian
    civil criminal
    edible poisonous
    solar lunar
    northern southern eastern western central
    northeastern northwestern southeastern southwestern
    theoretical experimental
    mechanical electrical
    active dormant
    brittle ductile
    early late
    national regional municipal
    acoustic electric
    indoor outdoor
    left right
"""
_SETS: Final[Mapping[Pos, tuple[frozenset[str], ...]]] = {
    "n": tuple(frozenset(line.split()) for line in _NOUNS.strip().splitlines()),
    "a": tuple(frozenset(line.split()) for line in _ADJECTIVES.strip().splitlines()),
}
# words that mean more than their set, and what else tells that they are meant so
IN_DOUBT: Final[Mapping[str, frozenset[str]]] = {
    word: frozenset(telling.split())
    for words, telling in (
        ("family order class", "genus genera species taxon taxonomic suborder"),
        ("solid liquid gas", "temperature pressure melting boiling odour odor formula flammable element"),
        ("star", "sky orbit astronomy astronomical"),
        ("play", "act scene stage comedy tragedy playwright"),
        ("band", "album song rock"),
        ("director", "film films"),
        ("defender", "football"),
        ("polar", "climate forest region latitude latitudes"),
        ("root stem flower seed fruit", "plant plants tree species"),
        ("late", "period"),
        ("left right", "bank side"),
        ("civil criminal", "law court trial legal"),
        ("active", "volcano eruption"),
    )
    for word in words.split()
}


@cache
def exclusives(word: str, pos: Pos) -> tuple[str, ...]:
    """Return the words of a word's sets, itself left out, in the order of the alphabet."""
    return tuple(sorted({other for of in _SETS.get(pos, ()) if word in of for other in of if other != word}))


def are_exclusive(one: str, other: str, pos: Pos) -> bool:
    """Say whether a thing that is called one word cannot be called the other."""
    return one != other and any(one in of and other in of for of in _SETS.get(pos, ()))


def is_meant_so(word: str, pos: Pos, told: frozenset[str]) -> bool:
    """Say whether a word has the sense of its set in a text, of which `told` are the words in lower case."""
    if word not in IN_DOUBT:
        return True
    return not told.isdisjoint(IN_DOUBT[word] | set(exclusives(word, pos)))
