"""The card of a data set: what the Hub reads, licence and credits whole, and nothing that differs from run to run."""

from dataclasses import replace
from typing import Any

import pytest
from huggingface_hub import DatasetCard

from tasks.licences import folders_of
from tasks.video.cards import SOURCES_SHOWN, Card, card_text


def take(name: str = "film.mp4", split: str = "train", **changed: Any) -> dict[str, Any]:
    facts = {"credit": "its maker", "url": "https://example.invalid", "licence": "CC BY 3.0", "duration_s": 5.0}
    return {"name": name, "split": split, **facts, **changed}


CARD = Card(
    title="Long takes, pretrain, CC BY 3.0",
    licence="CC BY 3.0",
    mode="encode",
    layout="files",
    takes=[take(), take(), take("other.mp4", "valid")],
    parameters={"export_takes.crf": 18.0},
    made_from={"data/raw/video": "0123.dir"},
    roots={"raw": "../../video"},
)


def hub_data(card: Card) -> Any:
    """Return what the Hub's own library reads from the card's head."""
    return DatasetCard(card_text(card)).data


@pytest.mark.parametrize(
    ("licence", "read"),
    [
        ("CC BY 3.0", ("cc-by-3.0", None)),
        ("CC BY-SA 4.0", ("cc-by-sa-4.0", None)),
        ("CC0 1.0", ("cc0-1.0", None)),
        ("unstated", ("unknown", None)),
        ("Terms of Example Inc.", ("other", "terms-of-example-inc")),
    ],
)
def test_licence_is_named_as_the_hub_names_it(licence: str, read: tuple[str, str | None]) -> None:
    data = hub_data(replace(CARD, licence=licence))
    assert (data.license, data.get("license_name")) == read


def test_head_tells_size_and_the_files_of_each_split() -> None:
    data = hub_data(CARD)
    assert data.size_categories == ["n<1K"]
    assert hub_data(replace(CARD, takes=[take()] * 1000)).size_categories == ["1K<n<10K"]
    files = {"virtual": "train/metadata.parquet", "files": "train/*", "webdataset": "train/*.tar"}
    for layout, expected in files.items():
        card = replace(CARD, mode="virtual") if layout == "virtual" else replace(CARD, layout=layout)
        (config,) = hub_data(card).configs
        assert config["data_files"] == [
            {"split": "train", "path": expected},
            {"split": "valid", "path": expected.replace("train", "valid")},
        ]


def test_card_names_licence_sources_credits_parameters_and_hashes() -> None:
    text = card_text(CARD)
    assert "3 takes (2 train, 1 valid), 0.2 minutes" in text
    assert "| film.mp4 | its maker | https://example.invalid | 2 | 10.0 |" in text
    assert "| other.mp4 | its maker | https://example.invalid | 1 | 5.0 |" in text
    assert "| export_takes.crf | 18.0 |" in text
    assert "| data/raw/video | 0123.dir |" in text
    assert "do not pass it on" not in text
    assert "do not pass it on" in card_text(replace(CARD, licence="unstated"))


def test_sources_beyond_what_a_card_shows_are_counted() -> None:
    many = [take(f"{n:04d}.mp4") for n in range(SOURCES_SHOWN + 7)] + [take("often.mp4")] * 2
    text = card_text(replace(CARD, takes=many))
    assert "and 8 more sources, each credited in `metadata.parquet`" in text
    assert text.index("| often.mp4 |") < text.index("| 0000.mp4 |")


def test_odd_names_break_neither_table_nor_head() -> None:
    odd = take("a_b|c <i>\n# `x`_.mp4", credit="---\n[me](http://example.invalid)")
    card = replace(CARD, title='Takes: "odd" # 1', licence="Terms: \n--- | x", takes=[odd])
    text = card_text(card)
    assert "| a_b\\|c \\<i\\> # \\`x\\`\\_.mp4 | --- \\[me\\](http://example.invalid) |" in text
    assert hub_data(card).pretty_name == 'Takes: "odd" # 1'


def test_card_depends_on_the_data_set_alone() -> None:
    assert card_text(CARD) == card_text(replace(CARD, takes=list(CARD.takes)))
    shuffled = replace(CARD, takes=[CARD.takes[2], CARD.takes[0], CARD.takes[1]])
    assert card_text(shuffled) == card_text(CARD)


def test_no_two_licences_share_a_folder() -> None:
    folders = folders_of(["CC BY 3.0", "cc-by 3.0", "CC BY-SA 3.0", "..", "許可", "CC BY 3.0"])
    assert folders["CC BY 3.0"] == "cc-by-3.0"
    assert folders["CC BY-SA 3.0"] == "cc-by-sa-3.0"
    assert len(set(folders.values())) == len(folders) == 5
    assert all(name and name[0] not in ".-" and "/" not in name for name in folders.values())
