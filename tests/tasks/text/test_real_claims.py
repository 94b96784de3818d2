"""Claims of four lead sections of Wikipedia against what a person wrote down from the texts."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from tasks.text.claims import Extraction, extract
from tasks.text.parser import load_parser

FIXTURE = Path(__file__).parents[2] / "fixtures" / "wikipedia" / "leads.json"

TRUE = {  # claims that the texts entail, written from them by hand; one line a claim
    "Vientiane": """
        Vientiane is the capital of Laos.
        Vientiane is the largest city of Laos.
        Vientiane comprises the 5 urban districts of Vientiane Prefecture.
        Vientiane is located on the banks of the Mekong, close to the border with Thailand.
        Vientiane was the administrative capital during French rule.
        Vientiane had a population of 840,000 as of the 2023 census.
        Pha That Luang is an icon of Buddhism.
        Pha That Luang is located in Vientiane.
        Haw Phra Kaew is a Buddhist temple in Vientiane.
        Haw Phra Kaew formerly housed the Emerald Buddha.
    """,
    "Krypton": """
        Krypton is a chemical element.
        Krypton has symbol Kr and atomic number 36.
        Krypton is a colorless, odorless noble gas.
        Krypton occurs in trace amounts in the atmosphere.
        Krypton is often used with other rare gases in fluorescent lamps.
        Krypton is chemically inert.
    """,
    "Robert H. Goddard": """
        Robert Hutchings Goddard was an American physicist.
        Robert Hutchings Goddard was an inventor.
        Robert Hutchings Goddard was an engineer.
        Robert Hutchings Goddard was credited with creating and building the world's first liquid-fueled rocket.
        The world's first liquid-fueled rocket was successfully launched on March 16, 1926.
        Robert Hutchings Goddard's pioneering work had dramatically improved the efficiency of the solid-fueled rocket.
        By 1915, Robert Hutchings Goddard's pioneering work had improved the solid-fueled rocket.
        Robert Hutchings Goddard and his team launched 34 rockets between 1926 and 1941.
    """,
    "The Beatles": """
        The Beatles were an English rock band.
        The Beatles were formed in Liverpool in 1960.
        The Beatles comprised John Lennon, Paul McCartney, George Harrison and Ringo Starr.
        The Beatles are regarded as the most influential band in popular music.
        The Beatles were integral to the development of 1960s counterculture.
        The Beatles were integral to the recognition of popular music as an art form.
        The Beatles' sound was rooted in skiffle, beat and 1950s rock 'n' roll.
        The Beatles' sound incorporated elements of classical music.
        The Beatles' sound incorporated elements of traditional pop.
        The Beatles explored styles ranging from folk and Indian music to psychedelia and hard rock.
        The Beatles were pioneers in recording.
        The Beatles revolutionised many aspects of the music industry.
        The Beatles were often publicised as leaders of the era's youth and sociocultural movements.
    """,
}


@pytest.fixture(scope="module")
def found() -> dict[str, tuple[str, Extraction]]:
    nlp, found = load_parser(), {}
    for page in json.loads(FIXTURE.read_text()):
        text = page["text"]
        edges = [0, *(m.end() for m in re.finditer(r"(?<=[a-z0-9)]\.) (?=[A-Z])", text)), len(text)]
        sentences = [(a, a + len(text[a:b].rstrip())) for a, b in pairwise(edges)]
        found[page["title"]] = text, extract(text, page["title"], sentences, nlp)
    return found


def true_of(title: str) -> set[str]:
    return {line.strip() for line in TRUE[title].strip().splitlines()}


@pytest.mark.parametrize("title", TRUE)
def test_nothing_is_claimed_that_a_person_would_not_claim(title: str, found: dict[str, tuple[str, Extraction]]) -> None:
    assert {c.text for c in found[title][1].claims} <= true_of(title)


def test_most_of_what_the_texts_say_is_claimed(found: dict[str, tuple[str, Extraction]]) -> None:
    wanted = sum(len(true_of(title)) for title in TRUE)
    got = sum(len({c.text for c in e.claims} & true_of(title)) for title, (_, e) in found.items())
    assert got >= 0.7 * wanted


def test_a_quote_holds_every_word_of_its_claim_that_the_passage_gave(
    found: dict[str, tuple[str, Extraction]],
) -> None:
    for title, (text, extraction) in found.items():
        named = set(re.findall(r"\w+", "the Robert Hutchings " + title))  # what stands for a pronoun
        formed = {"is", "was", "were", "are", "a", "an", "comprises", "s"}
        for claim in extraction.claims:
            quote = text[claim.quote_start : claim.quote_end]
            words = {w for w in re.findall(r"\w+", claim.text) if w.lower() not in formed and w not in named}
            assert {w.lower() for w in words} <= {w.lower() for w in re.findall(r"\w+", quote)} | {"the"}, claim
