"""What the checks catch of seeded pairs from the claims of the desk run, where it has run."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from tasks.sources import downloads_folder, fetch
from tasks.tables import read_table
from tasks.text.falsification import Sources
from tasks.text.parser import load_parser
from tasks.text.records import CLAIMS, PASSAGES
from tasks.text.slots import Parsed, parse
from tasks.text.validators import Limits
from tasks.text.wordnet import WordNet
from tasks.text.wordnet_files import wordnet_folder
from tests.tasks.text.falsifications import Claimed, judged, seeded, table

ROOT = Path(__file__).resolve().parents[3]
TABLES = ROOT / "data/curated/claims/claims.parquet", ROOT / "data/raw/passages/passages.parquet"


@pytest.mark.slow
@pytest.mark.skipif(not all(path.exists() for path in TABLES), reason="no claims yet: make repro first")
def test_each_kind_of_bad_pair_is_caught_and_good_ones_are_kept() -> None:
    nlp, rows = load_parser(), read_table(TABLES[0], CLAIMS).to_pylist()
    texts = {row["passage_id"]: row for row in read_table(TABLES[1], PASSAGES).to_pylist()}
    claims: dict[str, list[Parsed]] = defaultdict(list)
    for row, parsed in zip(rows, parse((row["claim"] for row in rows), nlp), strict=True):
        claims[row["passage_id"]].append(parsed)
    every = [parsed for group in claims.values() for parsed in group]
    downloads = downloads_folder(ROOT)
    wordnet = WordNet(wordnet_folder(downloads, lambda source: fetch(source, downloads)))
    sources = Sources.of(wordnet, every, [row["text"] for row in texts.values()])
    passages = [Claimed(i, texts[i]["text"], texts[i]["title"], tuple(group)) for i, group in claims.items()]
    cases = list(seeded(passages, np.random.default_rng(0)))
    for row in table(cases, judged(cases, sources, nlp, Limits())):
        assert row["share"] >= 0.9, row
