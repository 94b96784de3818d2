"""The gates before the decode (`floor` in params.yaml), which no threshold of selection may undercut."""

from pydantic import Field

from tasks.strict import StrictModel


class FloorParams(StrictModel):
    """What a video must have to be decoded at all; it must also be readable."""

    min_height_px: int = Field(ge=1, description='height as in "720p": the shorter side as displayed')
    min_duration_s: float = Field(ge=0)
