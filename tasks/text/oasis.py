"""The data set that build_oasis writes: its tables, a folder for each licence, and how they are read together."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from tasks.tables import read_table
from tasks.text.records import (
    CLAIM_EXTRACTION,
    CLAIM_FALSIFICATION,
    DOCUMENTS,
    NLI_TRIPLETS,
    PARAPHRASE_GENERATION,
    RETRIEVAL_PAIRS,
    UNFACTUAL_TEXT_GENERATION,
)

TABLES: Mapping[str, pa.Schema] = {
    "claim_extraction": CLAIM_EXTRACTION,
    "claim_falsification": CLAIM_FALSIFICATION,
    "paraphrase_generation": PARAPHRASE_GENERATION,
    "unfactual_text_generation": UNFACTUAL_TEXT_GENERATION,
    "nli_triplets": NLI_TRIPLETS,
    "documents": DOCUMENTS,
    "retrieval_pairs": RETRIEVAL_PAIRS,
}


def read_oasis(folder: Path, name: str) -> pa.Table:
    """Return a table of all licences together, in the order of their folders.

    Raises ValueError where there is no such table.
    """
    parts = sorted(folder.glob(f"*/{name}.parquet"))
    if not parts:
        raise ValueError(f"{folder}: no {name}.parquet in it or below: run 'dvc repro build_oasis'")
    return pa.concat_tables([read_table(part, TABLES[name]) for part in parts])
