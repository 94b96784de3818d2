"""The triplets of the sheet's 3.5, and windows that share words with a claim but do not tell it."""

from tasks.text.labelled import Told, Window, neutral_elsewhere, neutral_window, retrieval_pairs, triplets

PLACE = {name: name for name in ("passage_id", "page_id", "split", "title", "topic", "source")}
PLACE |= {name: name for name in ("licence", "credit", "url")}
TOLD = Told(
    PLACE, Window("passage_id", "title", "t", 0, 5), [("1", "c1"), ("2", "c2")], "F", "U", "2", "c2'", "sibling"
)


def test_the_triplets_are_those_of_the_paper() -> None:
    found = [
        (row["premise"], row["hypothesis"], row["label"])
        for row in triplets(TOLD, {"1": (Window("x", "other", "n", 7, 9), "same_page")})
    ]
    assert sorted(found) == sorted(
        [
            *[(text, claim, "entailment") for text in ("t", "F") for claim in ("c1", "c2")],
            *[(text, "c2'", "contradiction") for text in ("t", "F")],
            *[("U", "c2'", "entailment"), ("U", "c2", "contradiction"), ("n", "c1", "neutral")],
        ]
    )


def test_a_passage_without_a_false_claim_gives_entailment_and_neutral_alone() -> None:
    told = Told(PLACE, Window("passage_id", "title", "t", 0, 5), [("1", "c1")], "F", "", "", "", "")
    rows = list(triplets(told, {"1": (Window("x", "other", "n", 7, 9), "same_topic")}))
    assert [(row["label"], row["neutral_from"]) for row in rows] == [
        ("entailment", ""),
        ("entailment", ""),
        ("neutral", "same_topic"),
    ]
    assert len({row["triplet_id"] for row in rows}) == 3


def test_each_claim_points_to_the_passage_and_both_texts() -> None:
    found = {(row["query"], row["document_id"]) for row in retrieval_pairs(TOLD)}
    documents = ("passage_id", "passage_id-f", "passage_id-u")
    assert found == {(query, document) for query in ("c1", "c2", "c2'") for document in documents}


def test_a_neutral_window_shares_much_but_not_all_and_no_sentence() -> None:
    claim = "The Aldham mill grinds wheat with granite stones."
    passage = Window("0", "", "anything", 0, 5)
    tells = Window("6", "", "Its granite stones grind wheat.", 6, 7)
    near = Window("7", "", "The granite came from the north.", 7, 8)
    far = Window("8", "", "A flood broke the dam.", 8, 9)
    overlaps = Window("4", "", "The granite stones came late.", 4, 6)
    assert neutral_window(claim, "Aldham mill", [far, tells, near, overlaps], passage) == near
    assert neutral_window(claim, "Aldham mill", [tells, overlaps], passage) is None
    assert neutral_window("It is.", "", [near]) is None  # that says nothing that could be missing


def test_a_window_of_another_page_may_say_the_same_of_something_else_but_not_name_the_subject() -> None:
    names = Window("1", "Rivers", "The Amazon flows east.", 0, 1)
    titled = Window("2", "Amazon basin", "It is wet.", 0, 1)
    other = Window("3", "Rhine", "The Rhine flows north through Germany.", 0, 1)
    assert neutral_elsewhere("amazon", [names, titled, other]) == other
    assert neutral_elsewhere("amazon", [names, titled]) is None
    assert neutral_elsewhere("", [other]) is None


def test_a_premise_comes_with_the_title_of_its_own_page() -> None:
    rows = list(triplets(TOLD, {"1": (Window("x", "other", "n", 7, 9), "same_topic")}))
    assert {(row["premise_kind"], row["premise_title"]) for row in rows} == {
        ("passage", "title"),
        ("factual", "title"),
        ("unfactual", "title"),
        ("window", "other"),
    }
