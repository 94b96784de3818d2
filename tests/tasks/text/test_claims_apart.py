"""Claims that a sentence makes beside one another: adjuncts, members of lists, names, places; and where it does not."""

import re
from itertools import pairwise

import pytest
from spacy.language import Language

from tasks.text.claims import extract
from tasks.text.parser import load_parser


@pytest.fixture(scope="module")
def nlp() -> Language:
    return load_parser()


def claims(text: str, title: str, nlp: Language) -> list[str]:
    edges = [0, *(m.end() for m in re.finditer(r"[.?!]\"? (?=[A-Z\"])", text)), len(text)]
    sentences = [(a, a + len(text[a:b].rstrip())) for a, b in pairwise(edges)]
    return [c.text for c in extract(text, title, sentences, nlp).claims]


WHOLE = [  # title, text, all its claims as a person writes them
    (
        "Oslo",
        "Oslo was founded in 1049 by Harald Hardrada.",
        ["Oslo was founded in 1049.", "Oslo was founded by Harald Hardrada."],
    ),
    (
        "The Wild Duck",
        "The Wild Duck was published in Copenhagen in 1884 by Gyldendal.",
        [
            "The Wild Duck was published in Copenhagen.",
            "The Wild Duck was published in 1884.",
            "The Wild Duck was published by Gyldendal.",
        ],
    ),
    (
        "Norway",
        "Norway shares borders with Sweden, Finland, and Russia.",
        [
            "Norway shares borders with Sweden.",
            "Norway shares borders with Finland.",
            "Norway shares borders with Russia.",
        ],
    ),
    (
        "Cameras",
        "Cameras have played a role in the progression of science, media, and entertainment.",
        [
            "Cameras have played a role in the progression of science.",
            "Cameras have played a role in the progression of media.",
            "Cameras have played a role in the progression of entertainment.",
        ],
    ),
    (
        "Rostov-on-Don",
        "Rostov-on-Don is an important cultural, educational, and economic centre of Russia.",
        [
            "Rostov-on-Don is an important cultural centre of Russia.",
            "Rostov-on-Don is an important educational centre of Russia.",
            "Rostov-on-Don is an important economic centre of Russia.",
        ],
    ),
    (
        "Oslo",
        "Oslo is considered one of the most beautiful and prosperous cities of Europe.",
        [
            "Oslo is considered one of the most beautiful cities of Europe.",
            "Oslo is considered one of the most prosperous cities of Europe.",
        ],
    ),
    (
        "Narvik",
        "Narvik is a town in northern Norway, with a population of 14,000.",
        ["Narvik is a town.", "Narvik is in northern Norway.", "Narvik has a population of 14,000."],
    ),
    (
        "Yemen",
        "Yemen is a country in Asia. It borders Saudi Arabia to the north, Oman to the east, and Egypt to the west.",
        [
            "Yemen is a country.",
            "Yemen is in Asia.",
            "Yemen borders Saudi Arabia to the north.",
            "Yemen borders Oman to the east.",
            "Yemen borders Egypt to the west.",
        ],
    ),
    (
        "Zambia",
        "Zambia, officially the Republic of Zambia, is a country in Africa.",
        ["Zambia is officially the Republic of Zambia.", "Zambia is a country.", "Zambia is in Africa."],
    ),
    (
        "Samoa",
        "Samoa is a country in Polynesia. The capital is Apia.",
        ["Samoa is a country.", "Samoa is in Polynesia.", "The capital of Samoa is Apia."],
    ),
    (
        "Scandinavia",
        "The term has been in use since 1750.",
        ['The term "Scandinavia" has been in use since 1750.'],
    ),
    (
        "Oslo",
        "Olaf died in the Norwegian town of Hamar, where Harald was born.",
        ["Olaf died in the Norwegian town of Hamar.", "Harald was born in Hamar."],
    ),
    (
        "Ghost",
        "Ghost was staged by the Danish actor August Lindberg.",
        ["Ghost was staged by the Danish actor August Lindberg.", "August Lindberg was a Danish actor."],
    ),
    (
        "Meryl Streep",
        "Meryl Streep studied drama at Yale, holding a degree of the arts.",
        ["Meryl Streep studied drama at Yale.", "Meryl Streep held a degree of the arts."],
    ),
    (
        "Tianjin",
        "Tianjin, previously romanized as Tientsin, is a municipality in China.",
        ["Tianjin was previously romanized as Tientsin.", "Tianjin is a municipality.", "Tianjin is in China."],
    ),
    (
        "Jane Addams",
        "Jane Addams was an American activist, reformer, social worker, sociologist, and author.",
        [
            "Jane Addams was an American activist.",
            "Jane Addams was a reformer.",
            "Jane Addams was a social worker.",
            "Jane Addams was a sociologist.",
            "Jane Addams was an author.",
        ],
    ),
    (
        "Boniface VIII",
        "Pope Boniface was head of the Catholic Church and leader of the Papal States.",
        ["Pope Boniface was head of the Catholic Church.", "Pope Boniface was leader of the Papal States."],
    ),
    (
        "Bruce Lee",
        "Lee was the founder of Jeet Kune Do, a martial arts philosophy.",
        ["Bruce Lee was the founder of Jeet Kune Do.", "Jeet Kune Do was a martial arts philosophy."],
    ),
]


@pytest.mark.parametrize(("title", "text", "expected"), WHOLE, ids=[text[:40] for _, text, _ in WHOLE])
def test_what_a_sentence_says_at_once_is_claimed_one_by_one(
    title: str, text: str, expected: list[str], nlp: Language
) -> None:
    assert claims(text, title, nlp) == expected


NOT = [  # title, text, what a careless reader would make of it
    ("Oslo", "Oslo was not destroyed in 1624 by the Swedes.", "Oslo was not destroyed in 1624."),
    ("Oslo", "Few ships were built in 1900 by the town.", "Few ships were built in 1900."),
    ("Oslo", "Oslo was only visited in 1905 by the king.", "Oslo was only visited in 1905."),
    ("Oslo", "If Oslo was founded in 1049 by Harald, Oslo is old.", "Oslo was founded in 1049."),
    ("Oslo", "Oslo would be ruled by Denmark in 1600.", "Oslo would be ruled by Denmark."),
    ("Java", "Only Sumatra, Borneo and Papua lie in the west.", "Papua lies in the west."),
    ("Bronze", "Bronze is an alloy of copper and tin.", "Bronze is an alloy of copper."),
    ("Oslo", "Oslo is the largest city in Norway.", "Oslo is the largest city."),
    ("Oslo", "Oslo is not a town in Sweden.", "Oslo is in Sweden."),
    ("Saga", "The Saga is a mixture of prose and poetry.", "The Saga is a mixture of prose."),
    ("Saga", "The Saga is a black and white film.", "The Saga is a black film."),
    ("Saga", "The Saga was fought between Norway and Sweden in 1814.", "The Saga was fought between Norway in 1814."),
    ("Bosnia", "Sarajevo is the capital of Bosnia and Herzegovina.", "Sarajevo is the capital of Bosnia."),
    ("Oslo", "Oslo bought two ships and boats.", "Oslo bought boats."),
    ("Oslo", "The dam broke in 1900, killing many people.", "The dam killed many people."),
    ("Oslo", "Oslo lies in Norway. Hamar is a city in Norway. The mayor is Erik.", "The mayor of Oslo is Erik."),
    ("Oslo", "Harald was born in a town, where Olaf died.", "Olaf died in a town."),
    ("Oslo", "Harald was followed by the former actor Erik Hansen.", "Erik Hansen was an actor."),
    ("Norse", "The trade lasted from the 9th to the 10th century.", "The trade lasted from the 9th."),
    ("Narvik", "Narvik was dominated by the 9th and 10th brigades.", "Narvik was dominated by the 9th brigades."),
]


@pytest.mark.parametrize(("title", "text", "wrong"), NOT, ids=[wrong[:40] for _, _, wrong in NOT])
def test_nothing_is_taken_apart_that_is_only_so_together(title: str, text: str, wrong: str, nlp: Language) -> None:
    found = claims(text, title, nlp)
    assert wrong not in found
    assert all(len(claim.split()) <= 15 for claim in found)


POINTING = [  # title, text, a claim of the last sentence that has its name put in
    (
        "Augusto Pinochet",
        "Augusto José Ramón Pinochet Ugarte was a general. He led the army.",
        "Augusto Pinochet led the army.",
    ),
    ("China", "China is a country in Asia. Its geography is varied. It has 33 divisions.", "China has 33 divisions."),
    ("Srinagar", "The city is known for its gardens. It lies in a valley.", "Srinagar lies in a valley."),
    ("Tripoli, Libya", "Tripoli is a city in Libya. It has a port.", "Tripoli has a port."),
    ("The Art of War", "The Art of War is a treatise. The work has 13 chapters.", "The Art of War has 13 chapters."),
]


@pytest.mark.parametrize(("title", "text", "expected"), POINTING)
def test_a_pronoun_is_the_topic_by_any_of_its_names(title: str, text: str, expected: str, nlp: Language) -> None:
    assert claims(text, title, nlp)[-1] == expected


def test_a_pronoun_that_may_be_of_two_people_is_not_named(nlp: Language) -> None:
    text = "Andrei Tarkovsky was a director. Grigori Chukhrai offered him a role in his film."
    assert not any("Tarkovsky's film" in claim for claim in claims(text, "Andrei Tarkovsky", nlp))


def test_a_claim_that_is_too_long_loses_what_does_not_restrict_it(nlp: Language) -> None:
    text = (
        "Narvik developed a large harbour with modern piers for the heavy ore trains that came down from the "
        "old mines of the high mountains near the Swedish border."
    )
    assert claims(text, "Narvik", nlp) == ["Narvik developed a large harbour with modern piers."]
