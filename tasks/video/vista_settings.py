"""The section `augment_vista` of params.yaml: how VISTA's seven subsets (arXiv 2412.00927) are made at which size."""

from fractions import Fraction
from typing import Literal

from pydantic import Field, model_validator

from tasks.bounds import require_order
from tasks.llm_asking import Asking
from tasks.strict import StrictModel
from tasks.video.composition import Canvas
from tasks.video.encoding import Preset
from tasks.video.items import SUBSETS

MAX_RENDERED = 240  # of a subset: seven of them, and what lies beside, stay below 2,000 files


class Items(StrictModel):
    """How many items of each subset are planned."""

    long_video_caption: int = Field(ge=0)
    event_relationship: int = Field(ge=0)
    temporal_niah: int = Field(ge=0)
    two_needle_niah: int = Field(ge=0)
    spatial_niah: int = Field(ge=0)
    spatiotemporal_niah: int = Field(ge=0)
    hr_video_grid: int = Field(ge=0)


class Pairings(StrictModel):
    """Weights of what is asked of in what: film or generated clips in film or generated ones."""

    film_in_film: float = Field(ge=0)
    film_in_generated: float = Field(ge=0)
    generated_in_film: float = Field(ge=0)
    generated_in_generated: float = Field(ge=0)

    @model_validator(mode="after")
    def _one_at_least(self) -> "Pairings":
        if not any(self.model_dump().values()):
            raise ValueError("one pairing at least must have a weight above 0")
        return self


class Size(StrictModel):
    """Of the videos of all subsets but the grid."""

    width_px: int = Field(ge=64, le=3840, multiple_of=2)
    height_px: int = Field(ge=64, le=2160, multiple_of=2)
    fps: int = Field(ge=2, le=60)
    min_s: float = Field(gt=0, description="of haystacks, and of clips in a row")
    max_s: float = Field(gt=0)

    def canvas(self) -> Canvas:
        """Return the canvas."""
        return Canvas(self.width_px, self.height_px, Fraction(self.fps))


class Grid(StrictModel):
    """Of the grid."""

    rows: int = Field(ge=2, le=16)
    columns: int = Field(ge=2, le=16)
    width_px: int = Field(ge=64, le=7680, multiple_of=2)
    height_px: int = Field(ge=64, le=4320, multiple_of=2)
    fps: int = Field(ge=1, le=60)
    length_s: float = Field(gt=0)

    def canvas(self) -> Canvas:
        """Return the canvas; cells with odd sides are composed in 4:4:4 by `augmentations.grid`."""
        return Canvas(self.width_px, self.height_px, Fraction(self.fps))

    @model_validator(mode="after")
    def _equal_cells(self) -> "Grid":
        if self.width_px % self.columns or self.height_px % self.rows:
            raise ValueError(f"{self.width_px} x {self.height_px} are no {self.columns} x {self.rows} equal cells")
        return self


class Needle(StrictModel):
    """Of needles."""

    mode: Literal["insert", "overwrite"] = Field(description="insert: the video becomes longer")
    min_s: float = Field(gt=0)
    max_s: float = Field(gt=0, description="of a longer clip a part is shown")
    margin_s: float = Field(ge=0, description="of the haystack, before and after needles in time")
    min_gap_s: float = Field(gt=0, description="of the haystack, between the two parts of a needle")
    min_side_share: float = Field(gt=0, lt=1, description="its shorter side, of the haystack's")
    max_side_share: float = Field(gt=0, lt=1)


class Sampler(StrictModel):
    """What will look at the videos: a needle shorter than length / frames may fall between two frames."""

    frames: int = Field(ge=1, description="of a video that the model is shown")
    short_needles: Literal["avoid", "flag"] = Field(description="avoid: each part is as long; flag: told in records")


class Text(StrictModel):
    """Who writes questions."""

    backend: Literal["templates", "llm"]
    sampling: Asking

    @model_validator(mode="after")
    def _a_model_where_one_is_asked(self) -> "Text":
        if self.backend == "llm":
            self.sampling.require_model("backend 'llm'", "augment_vista.text")
        return self


class AugmentVista(StrictModel):
    """All of it."""

    seed: int = Field(ge=0)
    items: Items
    rendered: int = Field(ge=0, le=MAX_RENDERED, description="items of each subset that become files; others are plans")
    valid_share: float = Field(ge=0, lt=1, description="of the items")
    test_share: float = Field(ge=0, lt=1)
    mcq_share: float = Field(ge=0, le=1, description="of items that may have options")
    pairings: Pairings
    film_apart_s: float | None = Field(
        ge=0, description="shots of one film are of two sources where so much is between them; empty: never"
    )
    max_gap_s: float = Field(ge=0, description="between clips of a source in a row")
    size: Size
    grid: Grid
    needle: Needle
    sampler: Sampler
    text_only_limit: float | None = Field(
        ge=0.25, le=1, description="share of choices that text alone may solve; those beyond are dropped; empty: none"
    )
    text: Text
    crf: float = Field(ge=0, le=51, description="of libx264")
    preset: Preset
    shard_items: int = Field(ge=1, le=10_000, description="items in one tar")

    @model_validator(mode="after")
    def _in_order(self) -> "AugmentVista":
        require_order(self.size, "s", of="size.")
        require_order(self.needle, "s", "side_share", of="needle.")
        if self.valid_share + self.test_share > 1:
            raise ValueError("valid_share and test_share are more than all")
        return self

    def count(self, subset: str) -> int:
        """Return how many items of a subset are planned."""
        assert subset in SUBSETS, subset
        return int(getattr(self.items, subset))
