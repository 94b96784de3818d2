"""The model from which every model of parameters comes. It stands by itself: trained networks are served with it."""

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """A model of parameters: an unknown key is an error, and values do not change after reading.

    Nothing is converted but a whole number where any number may stand: `true` and "5" are no numbers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)
