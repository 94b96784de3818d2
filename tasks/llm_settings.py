"""How language models are asked, as params.yaml holds it: what changes answers apart from what cannot.

`Sampling` belongs to the stage that asks, and to the key of its answers. `Llm` belongs under `run:`.
"""

import urllib.parse
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator

from tasks.credentials import without_credentials
from tasks.strict import StrictModel

DEFAULT_KEY_VARIABLE = "HEADRACE_LLM_API_KEY"
_KEPT_IN = "the environment variable that key_variable names, which is sent as a bearer's token"
ResponseFormat = Literal["json_schema", "json_object", "none"]


class Sampling(StrictModel):
    """What decides an answer, besides the messages: it is in the key of the stored answer.

    But for `repairs`: with more of them, the answers that are stored are gone on from.
    """

    model: str = Field(min_length=1, description="its name at the endpoint")
    revision: str = Field(default="", description="tells two models of one name apart; kept, not sent")
    temperature: float | None = Field(default=0.0, ge=0, le=2, description="null: not sent")
    top_p: float | None = Field(default=None, gt=0, le=1, description="null: not sent")
    max_tokens: int = Field(default=2048, ge=1, description="of one answer")
    seed: int | None = Field(default=0, ge=0, description="of the first sample; sample n has seed + n; null: not sent")
    response_format: ResponseFormat = Field(
        default="json_schema", description="how JSON is asked for; json_object and none tell the schema in words"
    )
    repairs: int = Field(default=2, ge=0, le=10, description="times that an answer which fails is asked for again")

    def body(self, sample: int) -> dict[str, Any]:
        """Return the fields of a request that these settings give."""
        seed = None if self.seed is None else self.seed + sample
        values = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_tokens, "seed": seed}
        return {"model": self.model} | {name: value for name, value in values.items() if value is not None}


class Endpoint(StrictModel):
    """Where answers come from, and how long they are waited for. Nothing here can change an answer."""

    model_config = ConfigDict(hide_input_in_errors=True)

    base_url: str = Field(pattern=r"^https?://", description="up to /v1; what follows is /chat/completions")
    key_variable: str = Field(
        default=DEFAULT_KEY_VARIABLE,
        pattern=r"^[A-Z_][A-Z0-9_]*$",
        description="environment variable that holds the key; not set: none is sent",
    )
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens", description="what the endpoint calls the limit of an answer"
    )
    concurrency: int = Field(default=8, ge=1, le=1024, description="requests at a time")
    connect_timeout_s: float = Field(default=10.0, gt=0, description="for a connection")
    answer_timeout_s: float = Field(
        default=300.0, gt=0, description="for a whole answer, from the connection to the last byte"
    )
    tries: int = Field(
        default=6, ge=1, le=100, description="of one request; HTTP 429 is none while others are answered"
    )
    first_wait_s: float = Field(default=1.0, ge=0, description="before the second try, doubled for each that follows")
    longest_wait_s: float = Field(default=120.0, ge=0, description="an endpoint that asks for more is given up")
    failures_in_a_row: int = Field(default=5, ge=1, description="failed requests with no answer between: all stops")

    @field_validator("base_url")
    @classmethod
    def _an_address(cls, value: str) -> str:
        parts = urllib.parse.urlsplit(without_credentials(value, kept_in=_KEPT_IN))
        if not parts.hostname or parts.port == 0 or parts.fragment:  # .port raises ValueError for what is none
            raise ValueError("an address with a host is expected, as http://127.0.0.1:8080/v1")
        return value

    @property
    def chat_url(self) -> str:
        """Where requests go."""
        parts = urllib.parse.urlsplit(self.base_url)
        return parts._replace(path=f"{parts.path.rstrip('/')}/chat/completions").geturl()


class Limits(StrictModel):
    """What a run may spend, and what that costs. Stored answers cost nothing. Nothing here can change an answer."""

    prompt_usd_per_million_tokens: float = Field(default=0.0, ge=0, description="price of what is sent, US dollars")
    completion_usd_per_million_tokens: float = Field(default=0.0, ge=0, description="price of answers, US dollars")
    max_calls: int | None = Field(default=None, ge=0, description="requests sent in a run, retries too; null: no limit")
    max_tokens: int | None = Field(default=None, ge=0, description="tokens sent and answered in a run; null: no limit")
    max_cost_usd: float | None = Field(default=None, ge=0, description="cost of a run, US dollars; null: no limit")


class Llm(StrictModel):
    """The section `llm:` under `run:`."""

    endpoint: Endpoint | None = Field(default=None, description="null: no stage may ask")
    limits: Limits = Field(default=Limits())
