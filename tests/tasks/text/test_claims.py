"""Claims of sentences written for it: what is said, what is not said and why, and where it stands in the passage."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.language import Language

from tasks.text.claims import Extraction, extract
from tasks.text.parser import load_parser


@pytest.fixture(scope="module")
def nlp() -> Language:
    return load_parser()


class Passage(NamedTuple):
    text: str
    title: str
    sentences: list[tuple[int, int]]


def passage(text: str, title: str) -> Passage:
    """Return a passage of sentences that end in a stop before a capital."""
    edges = [0, *(m.end() for m in re.finditer(r"[.?!]\"? (?=[A-Z\"])", text)), len(text)]
    return Passage(text, title, [(a, a + len(text[a:b].rstrip())) for a, b in pairwise(edges)])


def claims(text: str, title: str, nlp: Language) -> list[str]:
    return [c.text for c in said(text, title, nlp).claims]


def said(text: str, title: str, nlp: Language) -> Extraction:
    p = passage(text, title)
    return extract(*p, nlp)


FACTS: dict[str, tuple[str, str, list[str]]] = {  # construction -> title, text, its claims as a person writes them
    "copula": (
        "Nile",
        "The Nile is a river in Africa.",
        ["The Nile is a river.", "The Nile is in Africa."],
    ),
    "verbs": (
        "River Tay",
        "The River Tay rises in the west, flows through Loch Tay, and enters the North Sea near Dundee.",
        [
            "The River Tay rises in the west.",
            "The River Tay flows through Loch Tay.",
            "The River Tay enters the North Sea near Dundee.",
        ],
    ),
    "professions": (
        "Sun Tzu",
        "Sun Tzu was a Chinese writer, strategist, and engineer.",
        ["Sun Tzu was a Chinese writer.", "Sun Tzu was a strategist.", "Sun Tzu was an engineer."],
    ),
    "shared complement": (
        "Vientiane",
        "Vientiane is the capital and largest city of Laos.",
        ["Vientiane is the capital of Laos.", "Vientiane is the largest city of Laos."],
    ),
    "adjectives": (
        "Copper",
        "Copper is soft, malleable, and ductile.",
        ["Copper is soft.", "Copper is malleable.", "Copper is ductile."],
    ),
    "subjects": (
        "Bauhaus",
        "Paul Klee and Wassily Kandinsky taught at the Bauhaus.",
        ["Paul Klee taught at the Bauhaus.", "Wassily Kandinsky taught at the Bauhaus."],
    ),
    "collective": (
        "Jam",
        "The band comprised Paul Weller, Bruce Foxton and Rick Buckler in London.",
        [],
    ),
    "apposition": (
        "Penicillin",
        "Penicillin was discovered in 1928 by Alexander Fleming, a Scottish physician.",
        [
            "Penicillin was discovered in 1928.",
            "Penicillin was discovered by Alexander Fleming.",
            "Alexander Fleming was a Scottish physician.",
        ],
    ),
    "name in apposition": (
        "Squash",
        "The governing body of squash, World Squash, is recognized by the committee in Lausanne.",
        [
            "The governing body of squash is World Squash.",
            "The governing body of squash is recognized by the committee in Lausanne.",
        ],
    ),
    "former": (
        "Kyoto",
        "Kyoto, once the capital, has about 2,000 temples.",
        ["Kyoto was once the capital.", "Kyoto has about 2,000 temples."],
    ),
    "restrictive relative of an attribute": (
        "Gluon",
        "A gluon is a particle that mediates the strong interaction.",
        ["A gluon is a particle.", "A gluon mediates the strong interaction."],
    ),
    "restrictive relative": (
        "Kyoto",
        "Visitors who come in spring see the cherry blossoms.",
        ["Visitors who come in spring see the cherry blossoms."],
    ),
    "non-restrictive relative": (
        "Kyoto",
        "The city of Kyoto, which escaped bombing, keeps its old buildings.",
        ["The city of Kyoto escaped bombing.", "The city of Kyoto keeps its old buildings."],
    ),
    "whose": (
        "Alan Turing",
        "Alan Turing, whose work shaped computer science, was born in London.",
        ["Alan Turing's work shaped computer science.", "Alan Turing was born in London."],
    ),
    "participle of the past": (
        "Ghost",
        "Ghost is a play written by the Norwegian playwright Henrik Ibsen.",
        [
            "Ghost is a play.",
            "Ghost was written by the Norwegian playwright Henrik Ibsen.",
            "Henrik Ibsen was a Norwegian playwright.",
        ],
    ),
    "participle of the present": (
        "Peru",
        "Peru is a country in the west of South America, bordering the Pacific Ocean.",
        ["Peru is a country.", "Peru is in the west of South America.", "Peru borders the Pacific Ocean."],
    ),
    "naming": (
        "Olav",
        "Olav, called the Stout, is the patron of Oslo.",
        ["Olav is called the Stout.", "Olav is the patron of Oslo."],
    ),
    "a name after or": (
        "Gulf War",
        "The Gulf War, or the First Iraq War, was a conflict in the Middle East.",
        ["The Gulf War was a conflict in the Middle East."],
    ),
    "fronted participle": (
        "Kyoto",
        "Built in 794, Kyoto served as the seat of the court.",
        ["Kyoto was built in 794.", "Kyoto served as the seat of the court."],
    ),
    "passive": (
        "Leonberg",
        "Leonberg was founded in 1248 and was destroyed by the Swedes in 1634.",
        [
            "Leonberg was founded in 1248.",
            "Leonberg was destroyed by the Swedes.",
            "Leonberg was destroyed in 1634.",
        ],
    ),
    "modality and negation": (
        "Oslo",
        "Oslo may have been founded in 1049. Oslo does not border Sweden.",
        ["Oslo may have been founded in 1049.", "Oslo does not border Sweden."],
    ),
    "concession": (
        "Okapi",
        "Although the okapi has striped markings, the okapi lives in the forests of Africa.",
        ["The okapi has striped markings.", "The okapi lives in the forests of Africa."],
    ),
    "existence": (
        "Scotland",
        "There are many lakes in Scotland.",
        ["Many lakes exist in Scotland."],
    ),
    "brackets and dashes": (
        "Istanbul",
        "Istanbul (formerly Byzantium) straddles the Bosphorus \u2013 one of the straits of Turkey \u2013 in the west.",
        ["Istanbul straddles the Bosphorus in the west.", "The Bosphorus is one of the straits of Turkey."],
    ),
    "semicolon": (
        "Krypton",
        "Krypton is a noble gas; it was discovered in 1898 by William Ramsay.",
        [
            "Krypton is a noble gas.",
            "Krypton was discovered in 1898.",
            "Krypton was discovered by William Ramsay.",
        ],
    ),
    "not only": (
        "Saraswati",
        "Saraswati is venerated not only in Hinduism but also in Jainism.",
        ["Saraswati is venerated in Hinduism.", "Saraswati is venerated in Jainism."],
    ),
    "adjuncts of a long clause": (
        "The Wild Duck",
        "The Wild Duck premiered at the National Theatre in the old town of Bergen, Norway, on 9 January 1885.",
        [
            "The Wild Duck premiered at the National Theatre in the old town of Bergen, Norway.",
            "The Wild Duck premiered at the National Theatre on 9 January 1885.",
        ],
    ),
}


@pytest.mark.parametrize("construction", FACTS)
def test_each_construction_gives_the_claims_that_a_person_would_write(construction: str, nlp: Language) -> None:
    title, text, expected = FACTS[construction]
    if construction == "collective":  # "the band" is nothing that the passage names
        assert claims(text, title, nlp) == expected
        assert claims(text.replace("The band", "The Jam"), "The Jam", nlp) == [text.replace("The band", "The Jam")]
    else:
        assert claims(text, title, nlp) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("If Oslo grows, Oslo will need more water.", "hypothetical"),
        ("Oslo would need more water.", "hypothetical"),
        ("Critics said that Oslo was too cold.", "reported"),
        ("It is believed that Oslo was founded in 1049.", "reported"),
        ("Oslo is thought to be the oldest town in Norway.", "reported"),
        ("Is Oslo the capital of Norway?", "question"),
        ('"The whole of Oslo was on fire that night," the bishop wrote.', "quotation"),
        ("We recommend the museums of Oslo.", "speaker"),
        ("Visit the museums of Oslo.", "no_subject"),
        ("It was Capablanca who won.", "expletive"),
        ("It is easy to reach Oslo.", "expletive"),
        ("It was Leonhard Euler in 1752 who derived the equation in its usual form.", "expletive"),
        ("There is no university in Oslo.", "existential"),
        ("Oslo burned or flooded every year.", "disjunction"),
        ("The story is set in the north.", "definite"),
        ("This bank was the largest in Europe.", "demonstrative"),
        ("Some continued to Sweden in the summer.", "pronoun"),
        ("Other towns lie in the south.", "elliptic"),
        ("A replica was placed in the square.", "indefinite_subject"),
        ("They attract many tourists.", "pronoun_unresolved"),
        ("Ships arrive there in the summer.", "deictic"),
        ("Filming was delayed by storms.", "elliptic"),
        ("Oslo and Bergen have 709,000 and 290,000 inhabitants, respectively.", "respectively"),
        ("Berlin is the capital.", "definite_attribute"),
        ("The people of Oslo praised the plot.", "definite_object"),
    ],
)
def test_what_is_no_fact_or_does_not_stand_alone_is_dropped_with_the_reason(
    text: str, reason: str, nlp: Language
) -> None:
    extraction = said(text, "Oslo", nlp)
    assert not extraction.claims
    assert reason in {d.reason for d in extraction.dropped}
    assert all(d.text in text for d in extraction.dropped)


def test_a_claim_that_cannot_be_made_short_is_dropped(nlp: Language) -> None:
    text = (
        "All members of the old council of the free and proud merchants of northern towns "
        "always opposed the taxes of the kings of Denmark."
    )
    extraction = said(text, "Hansa", nlp)
    assert [d.reason for d in extraction.dropped] == ["too_long"]
    assert not extraction.claims


PRONOUNS = [
    # title, text, whether the second sentence has a claim, and its subject
    ("Oslo", "Oslo is a city in Norway. It hosts the Nobel Institute.", "Oslo"),
    ("Gluon", "A gluon is a massless particle. It has a spin of 1.", "A gluon"),
    ("Vulture", "Vultures are birds of prey. They feed on carrion.", "Vultures"),
    ("Marie Curie", "Marie Curie was a physicist. She did not patent her discovery.", "Marie Curie"),
    ("Istanbul", "Istanbul is a city in Turkey. Its port lies on the Bosphorus.", "Istanbul's port"),
    ("The Kinks", "The Kinks were a rock band. Their songs influenced many groups.", "The Kinks' songs"),
    ("Vientiane", "Vientiane is a city in Laos. The city lies on the Mekong.", "Vientiane"),
    ("Funj Sultanate", "The Funj Sultanate was a kingdom in Sudan. The sultanate fell in 1821.", "The Funj Sultanate"),
    ("Robert Goddard", "Robert Goddard was an inventor. Goddard launched 34 rockets.", "Robert Goddard"),
    (
        "Robert Goddard",
        "Robert Goddard was an inventor. He and his team launched 34 rockets.",
        "Robert Goddard and his team",
    ),
    ("Robert Goddard", "Robert Goddard was an inventor. It was a great success.", None),  # a person is no "it"
    ("Oslo", "Oslo is a city in Norway. He lived in the north.", None),  # a city is no "he"
    ("Oslo", "Oslo is a city in Norway. They live in the north.", None),  # one is not many
    ("Oslo", "Oslo is a city in Norway. The museum was built in 1900. It was closed in 1950.", None),  # two things
    ("Bauhaus", "The Bauhaus was a school. Gropius designed its building.", "Gropius designed the Bauhaus's"),
    ("Norway", "Norway is a country. The Union elected Frederick as its own king.", "The Union"),
    ("Oslo", "Oslo is a city in Norway. Anders took the photograph of the Earth. It was printed in 1968.", None),
    ("Oslo", "Oslo is a city in Norway. Is it cold? It has a port.", "Oslo"),
    ("Bergen", "In 1349, it was struck by the plague.", None),  # the passage does not name it
    ("Oslo", "Oslo is a city in Norway. The bank has an office in the north.", None),
]


@pytest.mark.parametrize(("title", "text", "subject"), PRONOUNS)
def test_what_points_back_is_named_where_one_thing_agrees(
    title: str, text: str, subject: str | None, nlp: Language
) -> None:
    extraction = said(text, title, nlp)
    last = [c for c in extraction.claims if c.sentence == len(passage(text, title).sentences) - 1]
    if subject is None:
        assert not last
        assert extraction.dropped
    else:
        assert [c.text.startswith(subject + " ") for c in last] == [True]


def test_verbs_agree_with_the_name_that_is_put_in(nlp: Language) -> None:
    text = "The Beatles are an English rock band. The band has many followers in Asia."
    assert claims(text, "The Beatles", nlp)[1] == "The Beatles have many followers in Asia."


def test_a_quote_holds_the_words_of_its_claim_and_begins_and_ends_with_them(nlp: Language) -> None:
    text = "Leonberg, a town in Swabia, was founded (as a fortress) in 1248 and was destroyed by the Swedes in 1634."
    found = said(text, "Leonberg", nlp).claims
    quotes = {c.text: text[c.quote_start : c.quote_end] for c in found}
    assert quotes == {
        "Leonberg was a town in Swabia.": "Leonberg, a town in Swabia",
        "Leonberg was founded in 1248.": "Leonberg, a town in Swabia, was founded (as a fortress) in 1248",
        "Leonberg was destroyed by the Swedes.": text[: text.index(" in 1634")],
        "Leonberg was destroyed in 1634.": text[:-1],
    }


def test_a_pronoun_is_in_the_quote_in_the_place_of_the_name(nlp: Language) -> None:
    text = "Oslo is a city in Norway. It hosts the Nobel Institute."
    last = said(text, "Oslo", nlp).claims[-1]
    assert text[last.quote_start : last.quote_end] == "It hosts the Nobel Institute"
    assert (last.sentence, last.method) == (1, "parse")


def whole(found: Extraction, p: Passage) -> Iterator[bool]:
    for claim in found.claims:
        start, end = p.sentences[claim.sentence]
        yield start <= claim.quote_start < claim.quote_end <= end
        yield claim.text[0] == claim.text[0].upper() and claim.text.endswith(".")
        yield 3 <= len(claim.text.split()) <= 15
        yield not re.search(r"\s,|  |,,|,\.|\.\.$", claim.text)


@pytest.mark.parametrize("construction", FACTS)
def test_every_claim_is_one_short_sentence_with_a_quote_in_its_sentence(construction: str, nlp: Language) -> None:
    title, text, _ = FACTS[construction]
    p = passage(text, title)
    assert all(whole(extract(*p, nlp), p))


def test_a_passage_gives_the_same_claims_whatever_was_read_before_it(nlp: Language) -> None:
    passages = [passage(text, title) for title, text, _ in FACTS.values()]
    first = [extract(*p, nlp) for p in passages]
    assert first[::-1] == [extract(*p, nlp) for p in passages[::-1]]


def test_a_page_without_a_title_has_claims_of_what_is_named(nlp: Language) -> None:
    text = "Alan Turing was an English mathematician. He was born in London."
    assert claims(text, "", nlp) == ["Alan Turing was an English mathematician.", "Alan Turing was born in London."]


def test_only_the_given_sentences_are_read(nlp: Language) -> None:
    text = "Oslo lies in Norway. Bergen lies in the west of Norway. Narvik lies in the north of Norway."
    middle = (text.index("Bergen"), text.index(" Narvik"))
    found = extract(text, "Bergen", [middle], nlp).claims
    assert [(c.text, text[c.quote_start : c.quote_end]) for c in found] == [
        ("Bergen lies in the west of Norway.", "Bergen lies in the west of Norway")
    ]


def test_a_sentence_outside_the_text_is_an_error_that_names_it(nlp: Language) -> None:
    with pytest.raises(ValueError, match=r"sentence 1 is \(3, 99\) of a text of 8 characters"):
        extract("A b c d.", "A", [(0, 2), (3, 99)], nlp)


def test_a_megabyte_without_a_full_stop_is_dropped_at_once(nlp: Language) -> None:
    text = "Oslo lies in Norway. " + "and so on " * 100_000
    found = extract(text, "Oslo", [(0, 20), (21, len(text))], nlp)
    assert [c.text for c in found.claims] == ["Oslo lies in Norway."]
    assert [d.reason for d in found.dropped] == ["long_sentence"]


pieces = st.sampled_from(
    [
        "Oslo",
        "it",
        "the city",
        "which",
        "is",
        "was built",
        "and",
        "or",
        ",",
        ".",
        ";",
        ":",
        "(",
        ")",
        "\u2014",
        "\u2013",
        "who",
        "in 1900",
        "a town",
        "of Norway",
        "both",
        "not only",
        "but also",
        "as well as",
        "if",
        "that",
        "\n",
        "\xa0",
        "\u200f",
        "é",
        "ﬁsh",
        "their",
        "are",
        "there",
        "founded by",
        "?",
        "I",
        "😀",
        "''",
        "-",
        "'s",
        '"',
    ]
)


@given(st.lists(pieces, max_size=25), st.data())
@settings(max_examples=60, deadline=None)
def test_no_text_makes_it_fail(nlp: Language, words: list[str], data: st.DataObject) -> None:
    text = " ".join(words)
    cut = data.draw(st.integers(0, len(text)))
    p = Passage(text, "Oslo", [(0, cut), (cut, len(text))])
    found = extract(*p, nlp)
    assert all(0 <= c.quote_start < c.quote_end <= len(text) for c in found.claims)
    assert all(len(c.text.split()) <= 15 for c in found.claims)
