"""The list of all videos, fetched and one's own, that fetch_video writes and scan_video reads."""

import pyarrow as pa
from pydantic import Field

from tasks.strict import StrictModel

MANIFEST = pa.schema(
    [
        pa.field(name, pa.string(), nullable=False)
        for name in ("source_id", "root", "path", "name", "licence", "credit", "url", "origin")
    ]
    + [pa.field("bytes", pa.int64(), nullable=False)]
)  # source_id: sha256 of the file; root: "raw" or "own", the folder that `path` is relative to


class Own(StrictModel):
    video: str = Field(description="folder with videos of your own, read in place")


class OwnModels(StrictModel):
    models: str = Field(description="folder with weights of your own, one folder for each model")
