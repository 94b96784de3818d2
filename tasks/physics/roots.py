"""Where files of The Well lie: simulated here, your own, and what ingest_well made of both."""

from pydantic import Field

from tasks.stage import StrictModel

RAW = "data/raw/well"
CURATED = "data/curated/well"
SPLITS = ("train", "valid", "test")
RAW_LICENCE, RAW_CREDIT = "CC0-1.0", "simulated by Headrace"  # of what simulate_well makes


class OwnPhysics(StrictModel):
    physics: str = Field(description="folder with files of your own in The Well's layout, read in place")
