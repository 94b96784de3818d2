"""The data set that build_oasis writes: its tables, a folder for each licence, and how they are read together."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

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


def read_oasis(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the rows of a table, of all licences together, in the order of their folders.

    Raises FileNotFoundError where no folder has it.
    """
    files = sorted(folder.glob(f"*/{name}.parquet"))
    if not files:
        raise FileNotFoundError(f"{folder} has no {name}.parquet in any folder: run 'dvc repro build_oasis'")
    return [row for file in files for row in read_table(file, TABLES[name]).to_pylist()]
