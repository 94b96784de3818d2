"""Each way to tell a claim, against sentences written by hand."""

from collections.abc import Callable

import pytest
from spacy.language import Language

from tasks.text import inflection, merging, orders, unfolding, voices
from tasks.text.frames import Frame, Word, Wording, frame_of, lay_out
from tasks.text.parser import load_parser
from tasks.text.phrasings import rewordings
from tasks.text.references import named
from tasks.text.synonyms import ENTRIES, Usage, count_pairs, inflected, synonyms
from tasks.text.wordnet import WordNet
from tests.tasks.text.databases import Entry, write_database


@pytest.fixture(scope="module")
def nlp() -> Language:
    return load_parser()


@pytest.fixture(scope="module")
def wordnet(tmp_path_factory: pytest.TempPathFactory) -> WordNet:
    entries = [
        *(Entry(word, "noun.person", f"{word}:9") for word in ("painter", "king")),
        *(Entry(word, "noun.location", f"{word}:9") for word in ("city", "lake")),
        *(Entry(word, "noun.animal", f"{word}:9") for word in ("owl", "bird")),
    ]
    return WordNet(write_database(tmp_path_factory.mktemp("wordnet"), entries))


def wording(nlp: Language, claim: str, number: int = 0, known: str = "") -> Wording:
    return Wording(frame_of(number, nlp(claim), known))


def text(words: list[Word] | None) -> str | None:
    return None if words is None else lay_out([words]).text


# --- one claim ---

PASSIVES = {
    "Mary Shelley wrote Frankenstein.": "Frankenstein was written by Mary Shelley.",
    "Marie Curie discovered radium in 1898.": "Radium was discovered by Marie Curie in 1898.",
    "Bees produce honey.": "Honey is produced by bees.",
    "Smoking can cause lung cancer.": "Lung cancer can be caused by smoking.",
    "Reformers have adopted new laws.": "New laws have been adopted by reformers.",
}


@pytest.mark.parametrize("claim", PASSIVES)
def test_a_claim_is_told_in_the_passive(claim: str, nlp: Language) -> None:
    assert text(voices.passive(wording(nlp, claim))) == PASSIVES[claim]


@pytest.mark.parametrize(
    "claim",
    [
        "The lake has many islands.",  # a state
        "Anna Berg painted her mother.",  # whose mother would that be
        "The play takes place in Rome.",
        "Anna Berg did not paint the ship.",
        "Most painters use oil.",
        "The king ruled more cities than his father.",
        "The lake covers 20 square kilometres.",
    ],
)
def test_what_is_no_act_or_would_change_its_meaning_has_no_passive(claim: str, nlp: Language) -> None:
    assert voices.passive(wording(nlp, claim)) is None


ACTIVES = {
    "The bridge was built by the Romans in 120 AD.": "The Romans built the bridge in 120 AD.",
    "The book was written by Mary Shelley.": "Mary Shelley wrote the book.",
    "Malaria is transmitted by mosquitoes.": "Mosquitoes transmit malaria.",
    "The region is governed by an emir.": "An emir governs the region.",
    "The disease can be caused by many viruses.": "Many viruses can cause the disease.",
    "The theory has been criticized by historians.": "Historians have criticized the theory.",
}


@pytest.mark.parametrize("claim", ACTIVES)
def test_a_passive_claim_is_told_in_the_active(claim: str, nlp: Language) -> None:
    assert text(voices.active(wording(nlp, claim, known="and malaria"))) == ACTIVES[claim]


@pytest.mark.parametrize(
    "claim",
    [
        "Lace can be made by hand.",
        "The lake was created by damming a river.",
        "The bridge was finished by 1890.",
        "The tower was not built by the Romans.",
    ],
)
def test_where_nobody_does_it_there_is_no_active(claim: str, nlp: Language) -> None:
    assert voices.active(wording(nlp, claim)) is None


Told = Callable[[Wording], list[Word] | None]


def subject_kept(function: Callable[[Wording, list[Word]], list[Word] | None]) -> Told:
    return lambda one: function(one, one.subject)


ORDERS: dict[str, tuple[Told, str | None]] = {
    "Anna Berg moved to Oslo in 1890.": (subject_kept(orders.fronted), "In 1890, Anna Berg moved to Oslo."),
    "Anna Berg was a painter in 1890.": (subject_kept(orders.fronted), None),
    "The novel dates from 1890.": (subject_kept(orders.fronted), None),
    "In 1907, Anna Berg received the prize.": (
        subject_kept(orders.moved_back),
        "Anna Berg received the prize in 1907.",
    ),
    "In 1907, Anna Berg died, possibly by poison.": (subject_kept(orders.moved_back), None),
    "In mathematics, a ring is a set.": (subject_kept(orders.inserted), "A ring, in mathematics, is a set."),
    "From France, the style spread to Spain.": (subject_kept(orders.inserted), None),
    "Vientiane is the capital of Laos.": (orders.turned, "The capital of Laos is Vientiane."),
    "Vientiane is a city in Laos.": (orders.turned, None),
    "Vientiane is the capital.": (orders.turned, None),
    "Antigua has a total area of 440 km2.": (orders.owned, "The total area of Antigua is 440 km2."),
    "Antigua has a fleet of ships.": (orders.owned, None),
    "The symptoms of malaria include fever.": (orders.among, "Among the symptoms of malaria is fever."),
    "The band's members included two drummers.": (
        orders.among,
        "Among the band's members were two drummers.",
    ),
    "The family includes the murres.": (orders.among, None),
    "Pockets of speakers exist in Java.": (orders.there, "There are pockets of speakers in Java."),
    "The pockets exist in Java.": (orders.there, None),
    "Laos is a landlocked country in Southeast Asia.": (
        subject_kept(unfolding.unfolded),
        "Laos, a landlocked country, lies in Southeast Asia.",
    ),
    "The cyprus is a tree native to Iran.": (
        subject_kept(unfolding.unfolded),
        "The cyprus, a tree, is native to Iran.",
    ),
    "The Tempest is a play by William Shakespeare.": (
        subject_kept(unfolding.unfolded),
        "The Tempest, a play, is by William Shakespeare.",
    ),
    "Malaria is a disease that is transmitted by mosquitoes.": (
        subject_kept(unfolding.unfolded),
        "Malaria, a disease, is transmitted by mosquitoes.",
    ),
    "The Nile is a river in Africa.": (subject_kept(unfolding.unfolded), None),  # it flows
    "A toy car is a car with a motor.": (subject_kept(unfolding.unfolded), None),  # "a toy car, a car"
}


@pytest.mark.parametrize("claim", ORDERS)
def test_a_claim_is_told_in_another_order_where_its_parse_is_plain(claim: str, nlp: Language) -> None:
    function, expected = ORDERS[claim]
    assert text(function(wording(nlp, claim))) == expected


# --- several claims ---

Merging = Callable[[list[Wording]], list[Word] | None]


def named_so(function: Callable[..., list[Word] | None], *rest: str) -> Merging:
    return lambda group: function(group, group[0].subject, *rest)


MERGED: list[tuple[Merging, list[str], str | None]] = [
    (
        named_so(merging.apposition),
        ["Anna Berg was a Norwegian painter.", "Anna Berg lived in Oslo."],
        "Anna Berg, a Norwegian painter, lived in Oslo.",
    ),
    (  # the time of the first would be lost
        named_so(merging.apposition),
        ["Troy was an ancient city.", "Troy is located in Turkey."],
        None,
    ),
    (
        named_so(merging.apposition),
        ["Anna Berg was a painter.", "Anna Berg lived in Oslo.", "Anna Berg painted ships."],
        "Anna Berg, a painter, lived in Oslo and painted ships.",
    ),
    (
        named_so(merging.relative, "which"),
        ["Vientiane lies on the Mekong.", "Vientiane has a port."],
        "Vientiane, which lies on the Mekong, has a port.",
    ),
    (named_so(merging.relative, ""), ["Anna Berg sang.", "Anna Berg painted ships."], None),
    (
        named_so(merging.kind_that, "which"),
        ["Malaria is a disease.", "Malaria affects humans."],
        "Malaria is a disease that affects humans.",
    ),
    (
        named_so(merging.participle),
        ["Vientiane is located on the Mekong.", "Vientiane has a port."],
        "Located on the Mekong, Vientiane has a port.",
    ),
    (
        named_so(merging.coordination),
        ["Anna Berg lived in Oslo.", "Anna Berg painted ships."],
        "Anna Berg lived in Oslo and painted ships.",
    ),
    (  # a list: see below
        named_so(merging.coordination),
        ["Anna Berg painted ships.", "Anna Berg painted lakes."],
        None,
    ),
    (
        named_so(merging.joined),
        ["Anna Berg was a painter.", "Anna Berg was an architect.", "Anna Berg was a poet."],
        "Anna Berg was a painter, an architect and a poet.",
    ),
    (
        named_so(merging.joined),
        ["The gas is colorless.", "The gas is odorless."],
        "The gas is colorless and odorless.",
    ),
    (named_so(merging.joined), ["Anna Berg was a painter.", "Anna Berg lived in Oslo."], None),
    (
        merging.joined_among,
        ["The symptoms of malaria include fever.", "The symptoms of malaria include fatigue."],
        "Among the symptoms of malaria are fever and fatigue.",
    ),
]


@pytest.mark.parametrize(("function", "claims", "expected"), MERGED)
def test_claims_of_one_subject_are_told_in_one_sentence(
    function: Merging, claims: list[str], expected: str | None, nlp: Language
) -> None:
    group = [wording(nlp, claim, number) for number, claim in enumerate(claims)]
    words = function(group)
    assert text(words) == expected
    if words is not None:
        assert {claim for word in words for claim in word.claims} == set(range(len(claims)))


def test_the_span_of_a_claim_is_the_clause_that_tells_it(nlp: Language) -> None:
    group = [wording(nlp, "Anna Berg was a painter.", 0), wording(nlp, "Anna Berg lived in Oslo.", 1)]
    words = merging.apposition(group, group[0].subject)
    assert words is not None
    laid = lay_out([words, wording(nlp, "Oslo is a city.", 2).words((0, 4))])
    assert laid.text == "Anna Berg, a painter, lived in Oslo. Oslo is a city."
    assert {n: laid.text[slice(*span)] for n, span in laid.spans.items()} == {
        0: "Anna Berg, a painter,",
        1: "Anna Berg, a painter, lived in Oslo",
        2: "Oslo is a city.",
    }


# --- words ---

REWORDED = {
    "Paracelsus is also known as Theophrastus.": "Paracelsus is also called Theophrastus.",
    "Vientiane is located on the Mekong.": "Vientiane lies on the Mekong.",
    "The lakes are located in Laos.": "The lakes lie in Laos.",
    "Vientiane was located on the Mekong.": "Vientiane was situated on the Mekong.",
    "Anna Berg is considered the greatest painter.": "Anna Berg is regarded as the greatest painter.",
    "Anna Berg was considered to be a painter.": "Anna Berg was seen as a painter.",
    "Bronze consists of copper and tin.": "Bronze is made up of copper and tin.",
    "Gold is often used as a currency.": "Gold often serves as a currency.",
    "Oslo is one of the oldest cities.": "Oslo is among the oldest cities.",
    "Anna Berg won the Nobel Prize in Physics.": "Anna Berg was awarded the Nobel Prize in Physics.",
    "The style originated in France.": "The style had its origins in France.",
    "The lake is similar to a sea.": "The lake resembles a sea.",
    "Anna Berg reigned from 1890 to 1895.": "Anna Berg reigned between 1890 and 1895.",
    "The team launched rockets between 1926 and 1941.": "The team launched rockets from 1926 to 1941.",
    "Lamps use rare gases such as krypton.": "Lamps use rare gases like krypton.",
    "The bridge has more than 200 arches.": "The bridge has over 200 arches.",
    "The bridge collapsed due to rain.": "The bridge collapsed because of rain.",
    "Mombasa lies in southeastern Kenya.": "Mombasa lies in the southeast of Kenya.",
    "Vientiane is the capital of Laos.": None,  # "Laos's"
    "Oslo is the capital of Norway.": "Oslo is Norway's capital.",
    "Goddard's pioneering work improved rockets.": "The pioneering work of Goddard improved rockets.",
    "Hubble's law describes galaxies.": None,  # its name
    "Mesopotamia has one of the two rivers.": None,
    "The Euphrates is one of the two great rivers.": None,
}


@pytest.mark.parametrize("claim", REWORDED)
def test_a_phrase_is_said_in_other_words(claim: str, nlp: Language) -> None:
    frame = frame_of(0, nlp(claim), "")
    found = [Wording(frame, r.texts, r.moved) for r in rewordings(frame)]
    told = [text(one.words((0, frame.end))) for one in found]
    expected = REWORDED[claim]
    assert expected in told if expected else told == []


def test_a_word_that_is_held_is_never_told_otherwise(nlp: Language) -> None:
    doc = nlp("Vientiane is often located on the Mekong.")
    held = frozenset({next(t.i for t in doc if t.text == "located")})
    assert rewordings(frame_of(0, doc, "", held)) == []
    often = frozenset({next(t.i for t in doc if t.text == "often")})
    usage = Usage(count_pairs(["is frequently located"]))
    assert [form for _, form in synonyms(frame_of(0, doc, ""), usage)] == ["frequently"]
    assert synonyms(frame_of(0, doc, "", often), usage) == []


def synonyms_of(nlp: Language, claim: str, *corpus: str) -> set[str]:
    return {form for _, form in synonyms(frame_of(0, nlp(claim), ""), Usage(count_pairs(corpus)))}


def test_a_synonym_has_the_form_of_the_word_and_company_in_the_corpus(nlp: Language) -> None:
    assert synonyms_of(nlp, "The bridge was built in 1890.", "it was constructed there") == {"constructed"}
    assert synonyms_of(nlp, "The bridge was built in 1890.", "bridges are made there") == set()
    assert synonyms_of(nlp, "The bridge was completed in 1890.", "was finished") == {"finished"}
    assert synonyms_of(nlp, "Oslo is the largest city.", "the biggest") == {"biggest"}
    assert synonyms_of(nlp, "Laos has two countries.", "two nations") == {"nations"}
    assert synonyms_of(nlp, "Ann is an author.", "a writer") == {"writer"}


def test_names_quotations_and_terms_have_no_synonyms(nlp: Language) -> None:
    corpus = ["the big country", "a big writer country", "big car"]
    assert synonyms_of(nlp, 'Ann sang "the large country" in Oslo.', *corpus) == set()
    assert synonyms_of(nlp, "Ann works for the Large Country Bank.", *corpus) == set()
    assert synonyms_of(nlp, "Ann is a large-country author.", "large nation country") == set()


def test_forms_of_synonyms_are_right() -> None:
    expected = {
        ("begin", "VBD"): "began",
        ("begin", "VBN"): "begun",
        ("study", "VBZ"): "studies",
        ("dub", "VBN"): "dubbed",
        ("utilize", "VBG"): "utilizing",
        ("nation", "NNS"): "nations",
        ("class", "NNS"): "classes",
        ("big", "JJS"): "biggest",
        ("vast", "JJR"): None,
    }
    assert {pair: inflected(*pair) for pair in expected} == expected
    assert voices.participle("get") is None  # got or gotten
    assert inflection.past("split", plural=False) == voices.participle("split") == "split"
    assert all(entry.old != entry.new for entries in ENTRIES.values() for entry in entries)


# --- subjects ---


def frames(nlp: Language, *claims: str) -> list[Frame]:
    return [frame_of(n, nlp(claim), "") for n, claim in enumerate(claims)]


def test_a_pronoun_is_only_where_number_and_gender_are_sure(nlp: Language, wordnet: WordNet) -> None:
    anna = frames(nlp, "Anna Berg was a painter.", "Anna Berg lived in Oslo.")

    def of(passage: str, *found: Frame, title: str = "Anna Berg") -> str:
        return named(found or anna, passage, title, wordnet)[(found or anna)[0].key].pronoun

    assert of("Anna Berg was a painter. She lived in Oslo.") == "she"
    assert of("Anna Berg was a painter. He lived in Oslo.") == "he"
    assert of("Anna Berg was a painter and lived in Oslo.") == ""
    assert of("Anna Berg was a painter. She met him in Oslo.") == ""
    assert of("A painter. She lived in Oslo.", title="Edvard Munch") == ""
    assert of("", *frames(nlp, "Oslo is a city.")) == "it"
    assert of("", *frames(nlp, "Owls are birds.")) == "they"
    assert of("It is. He was.", *frames(nlp, "Zorban was seen in 1890.")) == ""


def test_a_kind_tells_of_a_thing_and_a_surname_of_a_person(nlp: Language, wordnet: WordNet) -> None:
    oslo = named(frames(nlp, "Oslo is a city.", "Oslo has a port."), "", "Oslo", wordnet)["oslo"]
    assert (oslo.noun, oslo.of, oslo.short, oslo.relative) == ("city", 0, "", "which")
    anna = named(frames(nlp, "Anna Berg was a painter."), "", "Anna Berg", wordnet)["anna berg"]
    assert (anna.noun, anna.short, anna.relative) == ("", "Berg", "who")
    ibn = named(frames(nlp, "Ibn Rushd was a painter."), "", "Ibn Rushd", wordnet)["ibn rushd"]
    assert ibn.short == ""


def test_the_first_word_of_a_claim_has_its_capital_only_if_it_is_a_name(nlp: Language) -> None:
    def inside(claim: str, known: str = "", common: bool | None = None) -> str:
        return frame_of(0, nlp(claim), known, is_common=lambda word: common).texts[0]

    assert inside("The lake is deep.") == "the"
    assert inside("Owls are birds.") == "owls"
    assert inside("Anna Berg sang.") == "Anna"
    assert inside("Western Sahara is a region.", "The region of Western Sahara") == "Western"
    assert inside("Spinach is a plant.", "They eat spinach there.") == "spinach"
    assert inside("Saturn orbits the Sun.", common=False) == "Saturn"
