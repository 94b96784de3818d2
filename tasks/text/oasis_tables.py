"""Reading the data set that build_oasis wrote: a folder for each licence, the same tables in each."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.tables import read_table


def read_oasis(folder: Path, name: str, schema: pa.Schema) -> list[dict[str, Any]]:
    """Return the rows of a table, of all licences together, in the order of their folders.

    Raises FileNotFoundError where no folder has it.
    """
    files = sorted(folder.glob(f"*/{name}.parquet"))
    if not files:
        raise FileNotFoundError(f"{folder} has no {name}.parquet in any folder: run 'dvc repro build_oasis'")
    return [row for file in files for row in read_table(file, schema).to_pylist()]
