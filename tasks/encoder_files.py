"""Where the three files of a sentence encoder come from; `tasks.embed` reads them."""

from pydantic import Field

from tasks.sources import Source
from tasks.strict import StrictModel


class EncoderSources(StrictModel):
    """The three files of an encoder."""

    weights: Source = Field(description="safetensors of a BERT model, single precision")
    tokenizer: Source = Field(description="tokenizer.json")
    config: Source = Field(description="config.json")
