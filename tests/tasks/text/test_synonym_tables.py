"""The words that may stand for each other are synonyms in WordNet too, which the lists were not made of."""

from pathlib import Path

import pytest

from tasks.sources import downloads_folder, fetch
from tasks.text.synonyms import ENTRIES
from tasks.text.wordnet import WordNet
from tasks.text.wordnet_files import wordnet_folder

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow  # fetches WordNet
def test_each_pair_of_words_is_in_one_synset() -> None:
    downloads = downloads_folder(ROOT)
    wordnet = WordNet(wordnet_folder(downloads, lambda source: fetch(source, downloads)))
    pairs = [(pos, entry.old, entry.new) for pos, entries in ENTRIES.items() for entry in entries]
    assert len(pairs) > 100
    assert [
        pair for pair in pairs if not {*wordnet.senses(pair[1], pair[0])} & {*wordnet.senses(pair[2], pair[0])}
    ] == []
