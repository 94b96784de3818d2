"""What the checks catch of seeded pairs from the claims of the desk run, where it has run."""

from pathlib import Path

import numpy as np
import pytest

from tasks.sources import downloads_folder, fetch
from tasks.tables import read_table
from tasks.text.falsification import Sources
from tasks.text.parser import load_parser
from tasks.text.records import CLAIMS, PAGES, PASSAGES
from tasks.text.validators import Limits
from tasks.text.wordnet import WordNet
from tasks.text.wordnet_files import wordnet_folder
from tests.tasks.text.falsifications import Claimed, judged, parsed_claims, seeded, table

ROOT = Path(__file__).resolve().parents[3]
RAW = ROOT / "data/raw/passages"
TABLES = ROOT / "data/curated/claims/claims.parquet", RAW / "passages.parquet", RAW / "pages.parquet"


@pytest.mark.slow
@pytest.mark.skipif(not all(path.exists() for path in TABLES), reason="no claims yet: make repro first")
def test_each_kind_of_bad_pair_is_caught_and_good_ones_are_kept() -> None:
    nlp, rows = load_parser(), read_table(TABLES[0], CLAIMS).to_pylist()
    texts = {row["passage_id"]: row for row in read_table(TABLES[1], PASSAGES).to_pylist()}
    pages = {row["page_id"]: row["text"] for row in read_table(TABLES[2], PAGES).to_pylist()}
    claims = {key: tuple(parsed for _, parsed in group) for key, group in parsed_claims(rows, nlp).items()}
    every = [parsed for group in claims.values() for parsed in group]
    downloads = downloads_folder(ROOT)
    wordnet = WordNet(wordnet_folder(downloads, lambda source: fetch(source, downloads)))
    sources = Sources.of(wordnet, every, list(pages.values()))
    passages = [
        Claimed(i, texts[i]["text"], pages[texts[i]["page_id"]], texts[i]["title"], group)
        for i, group in claims.items()
    ]
    cases = list(seeded(passages, np.random.default_rng(0)))
    for row in table(cases, judged(cases, sources, nlp, Limits())):
        assert row["share"] >= 0.9, row
