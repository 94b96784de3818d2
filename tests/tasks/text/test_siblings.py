"""What may be put for a word: of its type and false, by small databases that each hold one trap."""

from collections.abc import Callable
from pathlib import Path

import pytest
from wordfreq import zipf_frequency

from tasks.text.senses import Senses
from tasks.text.siblings import Swaps
from tasks.text.wordnet import Pos, WordNet
from tests.tasks.text.databases import Entry, write_database

ARTISTS = [
    Entry("person", "noun.Tops", "person"),
    Entry("artist", "noun.person", "artist:9", ["@ person"]),
    Entry("painter", "noun.person", "painter:15", ["@ artist"]),
    Entry("sculptor", "noun.person", "sculptor:3", ["@ artist"]),
    Entry("photographer", "noun.person", "photographer:4", ["@ artist"]),
]
Make = Callable[..., Swaps]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make_swaps(*entries: Entry, **exceptions: str) -> Swaps:
        return Swaps(WordNet(write_database(tmp_path, entries, exceptions)))

    return make_swaps


def words(swaps: Swaps, word: str, pos: Pos = "n", **options: object) -> list[str]:
    return [c.word for c in swaps.siblings_for_swap(word, pos, **options)]  # type: ignore[arg-type]


def test_siblings_come_by_closeness_of_frequency_and_say_what_links_them(make: Make) -> None:
    found = make(*ARTISTS).siblings_for_swap("painter", "n")
    far = {
        word: abs(zipf_frequency(word, "en") - zipf_frequency("painter", "en")) for word in ("sculptor", "photographer")
    }
    assert [c.word for c in found] == sorted(far, key=lambda word: far[word])
    for c in found:
        assert (c.relation, c.sense, c.candidate_sense) == ("sibling", 1, 1)
        assert c.zipf_distance == pytest.approx(far[c.word])


@pytest.mark.parametrize(
    ("trap", "more"),
    [
        (Entry("trap", "noun.person", "carver:5 painter", ["@ artist"]), []),  # a synonym in another sense
        (Entry("trap", "noun.person", "carver:5", ["@ sculptor"]), [Entry("x", "noun.person", "carver:1 painter")]),
        (Entry("trap", "noun.person", "carver:5", ["@ painter"]), []),  # more special
        (
            Entry("trap", "noun.person", "carver:5", ["@ artist"]),  # more general, in other senses of both
            [Entry("x", "noun.person", "carver:1"), Entry("y", "noun.person", "painter:1", ["@ x"])],
        ),
        (
            Entry("trap", "noun.person", "carver:5", ["@ artist"]),  # a class with many kinds
            [Entry(f"k{n}", "noun.person", f"kind{n}", ["@ trap"]) for n in range(70)],
        ),
        (Entry("trap", "noun.person", "carver:5", ["@ artist"], "a painter of wood"), []),  # explained by it
        (Entry("trap", "noun.person", "house_painter:5", ["@ artist"]), []),  # has it as a part
        (Entry("trap", "noun.person", "carver:5", ["@ artist"], "(slang) who carves"), []),
        (Entry("trap", "noun.person", "carver:5", ["@ artist"], "offensive word for one who carves"), []),
        (
            Entry("trap", "noun.person", "carver:5", ["@ artist", ";u slang"]),
            [Entry("slang", "noun.communication", "slang")],
        ),
        (Entry("trap", "noun.person", "Rodin:5", ["@i artist"], "French sculptor"), []),  # a name
        (Entry("trap", "noun.person", "Carver:5", ["@ artist"]), []),  # written as one
        (Entry("trap", "noun.artifact", "carver:5", ["@ artist"]), []),  # of another type
        (Entry("trap", "noun.person", "master:5", ["@ artist"]), []),  # what a painter may be called besides
        (Entry("trap", "noun.person", "carver", ["@ artist"]), []),  # not met in any text or gloss
        (Entry("trap", "noun.person", "ceramicist:5", ["@ artist"]), []),  # too rare
        (Entry("trap", "noun.person", "man:5", ["@ artist"]), []),  # far too frequent
    ],
)
def test_a_trap_is_no_candidate(make: Make, trap: Entry, more: list[Entry]) -> None:
    assert set(words(make(*ARTISTS, trap, *more), "painter")) == {"sculptor", "photographer"}


def test_what_is_no_trap_is_a_candidate(make: Make) -> None:
    """The words of the traps above are taken where nothing is wrong with them."""
    carver = Entry("carver", "noun.person", "carver:5", ["@ artist"], "who carves, unlike a painter")
    assert "carver" in words(make(*ARTISTS, carver), "painter")


def test_a_word_that_explains_the_word_itself_is_no_candidate(make: Make) -> None:
    told = Entry("engraver", "noun.person", "illustrator:5", ["@ artist"], "a photographer of books")
    assert set(words(make(*ARTISTS, told), "illustrator")) == {"painter", "sculptor"}


def test_rare_words_are_left_out_also_where_the_word_is_rare(make: Make) -> None:
    assert zipf_frequency("sculptor", "en") - zipf_frequency("stonecutter", "en") < 1.7
    rare = Entry("cutter", "noun.person", "stonecutter:5", ["@ artist"])
    assert "stonecutter" not in words(make(*ARTISTS, rare), "sculptor")


def test_words_of_things_that_hurt_are_left_out_too(make: Make) -> None:
    things = [Entry("thing", "noun.artifact", "structure:9")]
    things += [Entry(word, "noun.artifact", f"{word}:9", ["@ thing"]) for word in ("bridge", "tower")]
    things += [Entry("castle", "noun.artifact", "castle:9", ["@ thing"], "an obscene building")]
    assert words(make(*things), "bridge") == ["tower"]


def test_kinds_of_acts_are_taken_where_they_have_one_meaning(make: Make) -> None:
    acts = [Entry("contest", "noun.act", "contest:9")]
    acts += [Entry(word, "noun.act", f"{word}:9", ["@ contest"]) for word in ("boxing", "wrestling", "fencing")]
    assert words(make(*acts, Entry("fence", "noun.artifact", "fencing:1")), "boxing") == ["wrestling"]


def test_kinds_of_attributes_are_not_apart(make: Make) -> None:
    entries = [Entry("standing", "noun.attribute", "standing:9")]
    entries += [Entry(word, "noun.attribute", f"{word}:9", ["@ standing"]) for word in ("prominence", "prestige")]
    assert words(make(*entries), "prominence") == []


def test_a_word_that_means_something_else_more_often_is_no_candidate(make: Make) -> None:
    chest = Entry("chest", "noun.artifact", "drawer:20")
    assert "drawer" not in words(make(*ARTISTS, chest, Entry("d", "noun.person", "drawer:5", ["@ artist"])), "painter")


def test_a_word_met_in_no_counted_text_is_taken_if_glosses_use_it(make: Make) -> None:
    potter = Entry("potter", "noun.person", "carver", ["@ artist"])
    using = [Entry(f"g{n}", "noun.artifact", f"thing{n}", [], "made by a carver") for n in range(2)]
    assert "carver" in words(make(*ARTISTS, potter, *using), "painter")


def test_people_are_called_what_the_glosses_of_people_call_them(make: Make) -> None:
    known = [
        Entry(f"i{n}", "noun.person", f"Name{n}", ["@i artist"], f"French {role} (1840-1917)")
        for n, role in enumerate(("painter", "painter", "sculptor"))
    ]
    assert words(make(*ARTISTS, *known), "painter") == ["sculptor"]


def test_an_antonym_comes_first_and_says_what_type_is_meant(make: Make) -> None:
    """A wife is a woman and a spouse: what tells her from a husband is not that she is a lady."""
    swaps = make(
        Entry("woman", "noun.person", "woman:5"),
        Entry("spouse", "noun.person", "spouse:5"),
        Entry("wife", "noun.person", "wife:9", ["@ woman", "@ spouse", "! wife>husband"]),
        Entry("husband", "noun.person", "husband:9", ["@ spouse"]),
        Entry("consort", "noun.person", "widow:9", ["@ spouse"]),
        Entry("lady", "noun.person", "lady:9", ["@ woman"]),
    )
    found = swaps.siblings_for_swap("wife", "n")
    assert [(c.word, c.relation) for c in found] == [("husband", "antonym"), ("widow", "sibling")]


def test_cousins_come_where_siblings_are_few(make: Make) -> None:
    rivers = [
        Entry("water", "noun.artifact", "waters", ["@ top"]),
        Entry("top", "noun.Tops", "thing"),
        Entry("stream", "noun.artifact", "stream:9", ["@ water"]),
        Entry("river", "noun.artifact", "river:9", ["@ stream"]),
        Entry("lake", "noun.artifact", "lake:9", ["@ water"]),
    ]
    assert [(c.word, c.relation) for c in make(*rivers).siblings_for_swap("river", "n")] == [("lake", "cousin")]
    siblings = [
        Entry(w, "noun.artifact", f"{w}:9", ["@ stream"]) for w in ("road", "bridge", "tower", "castle", "church")
    ]
    assert set(words(make(*rivers, *siblings), "river")) == {"road", "bridge", "tower", "castle", "church"}


def test_a_plural_of_the_same_word_is_no_candidate(make: Make) -> None:
    swaps = make(
        Entry("life", "noun.animal", "organism:9"),
        Entry("virus", "noun.animal", "virus:9", ["@ life"]),
        Entry("bacterium", "noun.animal", "bacterium:9 bacteria:9", ["@ life"]),
    )
    assert words(swaps, "virus") == ["bacterium"]


def test_names_numbers_and_dates_have_no_candidates(make: Make) -> None:
    entries = [Entry("top", "noun.Tops", "thing")]
    for name, file, pair in (
        ("q", "noun.quantity", ("dozen", "hundred")),
        ("t", "noun.time", ("winter", "summer")),
        ("p", "noun.person", ("Christian", "Buddhist")),
    ):
        entries.append(Entry(name, file, f"top{name}", ["@ top"]))
        entries += [Entry(word, file, f"{word}:9", [f"@ {name}"]) for word in pair]
    entries += [
        Entry("cardinal", "adj.all", "cardinal:3"),
        Entry("three", "adj.all", "three:9", ["& cardinal", "! three>four"], satellite=True),
        Entry("four", "adj.all", "four:9", ["& cardinal"], satellite=True),
    ]
    entries += [Entry("i", "noun.person", "carver:9", ["@i p"])]  # an instance in lower case
    entries += [Entry("sailor", "noun.person", "sailor:9", ["@ p"])]
    swaps = make(*entries)
    for word in ("carver", "dozen", "winter", "christian", "Christian"):
        assert words(swaps, word) == []
    assert words(swaps, "three", "a") == []


def test_adjectives_have_antonyms_but_no_mere_negations(make: Make) -> None:
    swaps = make(
        Entry("hot", "adj.all", "hot:9 torrid", ["! hot>cold"]),
        Entry("cold", "adj.all", "cold:9"),
        Entry("happy", "adj.all", "happy:9", ["! happy>unhappy"]),
        Entry("unhappy", "adj.all", "unhappy:9"),
        Entry("useful", "adj.all", "useful:9", ["! useful>useless"]),
        Entry("useless", "adj.all", "useless:9"),
        Entry("male", "adj.all", "male:9", ["! male>female"]),
        Entry("female", "adj.all", "female:9"),
        Entry("same", "adj.all", "same:9", ["! same>different"]),
        Entry("different", "adj.all", "different:9"),
    )
    assert [(c.word, c.relation) for c in swaps.siblings_for_swap("hot", "a")] == [("cold", "antonym")]
    assert words(swaps, "male", "a") == ["female"]
    for word in ("happy", "unhappy", "useful", "useless", "same", "torrid"):
        assert words(swaps, word, "a") == []


def test_colours_have_the_other_colours(make: Make) -> None:
    colours = ("red", "blue", "green")
    swaps = make(
        Entry("colour", "noun.attribute", "chromatic_color"),
        *(Entry(f"{c}.n", "noun.attribute", f"{c}:5", ["@ colour"]) for c in colours),
        Entry("chromatic", "adj.all", "chromatic:1"),
        *(Entry(f"{c}.a", "adj.all", f"{c}:9", ["& chromatic"], satellite=True) for c in colours),
        Entry("bronze", "adj.all", "bronze:2", ["& chromatic"], satellite=True),
        Entry("heavy", "adj.all", "heavy:2"),
        Entry("achromatic", "noun.attribute", "achromatic_color"),
        Entry("white.n", "noun.attribute", "white:5", ["@ achromatic"]),
        Entry("white.a", "adj.all", "white:9"),
        Entry("ivory.a", "adj.all", "ivory:9", ["& white.a"], satellite=True),
        Entry("ivory.n", "noun.attribute", "ivory:5", ["@ achromatic"]),
    )
    assert set(words(swaps, "red", "a")) == {"blue", "green", "white", "ivory"}
    assert set(words(swaps, "bronze", "a")) == {"red", "blue", "green", "white", "ivory"}
    assert set(words(swaps, "ivory", "a")) == {"red", "blue", "green"}  # white is what it is near to
    assert words(swaps, "heavy", "a") == []


# --- senses ---


@pytest.fixture
def capital(make: Make, tmp_path: Path) -> Swaps:
    """A word with two common meanings, and a word of each type beside it."""
    return make(
        Entry("top", "noun.Tops", "thing"),
        Entry("assets", "noun.communication", "assets:2", ["@ top"]),
        Entry("money", "noun.communication", "capital:6", ["@ assets"], "wealth for the production of further wealth"),
        Entry("loan", "noun.communication", "loan:6", ["@ assets"]),
        Entry("place", "noun.location", "seat:2", ["@ top"]),
        Entry("city", "noun.location", "capital:5", ["@ place"], "the town where a government sits"),
        Entry("port", "noun.location", "port:9", ["@ place"]),
        Entry("Paris", "noun.location", "Paris", ["@i city"]),
    )


def test_a_word_of_several_common_meanings_is_left_alone_without_a_text(capital: Swaps) -> None:
    assert words(capital, "capital") == []
    assert words(capital, "capital", sense=1) == ["loan"]
    assert words(capital, "capital", sense=2) == ["port"]
    with pytest.raises(ValueError, match="'capital' has 2 senses"):
        words(capital, "capital", sense=3)


def test_the_text_says_which_meaning_stands_there(capital: Swaps, tmp_path: Path) -> None:
    assert words(capital, "capital", text="In Paris, the capital, the government sits.") == ["port"]
    assert words(capital, "capital", text="The wealth put into production is called capital.") == ["loan"]
    assert words(capital, "capital", text="It has a capital.") == []
    assert words(capital, "capital", text="The government sits, counts wealth, production and capital.") == []
    assert Senses(WordNet(tmp_path)).sense_in("capital", "n", "In Paris, the capital, the government sits.") == 2


def test_a_sense_far_down_the_list_is_not_believed(make: Make, tmp_path: Path) -> None:
    rare = [Entry(f"s{n}", "noun.artifact", "column:1", [], f"thing{n}") for n in range(4)]
    for place in (4, 5):  # how many senses come first
        told = Entry("told", "noun.communication", "column:1", [], "essay printed regularly in a newspaper")
        first = [*rare, Entry("s4", "noun.artifact", "column:1", [], "thing")][:place]
        make(*first, told)
        found = Senses(WordNet(tmp_path)).sense_in("column", "n", "Her essay, a regularly printed newspaper column.")
        assert found == (5 if place == 4 else None)


def test_the_first_sense_is_clear_where_it_has_nearly_all_occurrences(make: Make, tmp_path: Path) -> None:
    make(
        Entry("a", "noun.person", "painter:15"),
        Entry("b", "noun.person", "painter:2"),
        Entry("c", "noun.artifact", "painter:3 whale bishop:84"),
        Entry("d", "noun.animal", "whale bishop:16"),
    )
    senses = Senses(WordNet(tmp_path))
    assert senses.clear_sense("painter", "n") == 1  # 17 of 20 are people
    assert senses.clear_sense("bishop", "n") is None  # 84 of 100
    assert senses.clear_sense("whale", "n") is None  # nothing was counted
    assert senses.clear_sense("plumber", "n") is None
