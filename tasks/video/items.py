"""What is asked of whom, and what comes of it: the text side of one VISTA item, whoever writes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol, get_args

import numpy as np

from tasks.stage import item_rng
from tasks.tables import Reject
from tasks.video.captions import Fact
from tasks.video.sightings import Shown

Subset = Literal[
    "long_video_caption",
    "event_relationship",
    "temporal_niah",
    "two_needle_niah",
    "spatial_niah",
    "spatiotemporal_niah",
    "hr_video_grid",
]
Form = Literal["caption", "qa", "mcq"]
SUBSETS: tuple[Subset, ...] = get_args(Subset)
FORMS: dict[str, tuple[Form, ...]] = {name: ("qa", "mcq") for name in SUBSETS} | {
    "long_video_caption": ("caption",),
    "two_needle_niah": ("qa",),
}
_SHOWN = {"two_needle_niah": 2, "long_video_caption": None, "event_relationship": None}  # None: two or more


@dataclass(frozen=True)
class Case:
    """An item to write a question for.

    `shown` is what is asked of: the needle (of two_needle_niah its two parts), the cell's clip, or the clips of one
    source. `others` are the haystack's clips, or the clips of all other cells: wrong options come from there.
    `cell` is row and column, from 1. `form` None: drawn, `mcq_share` of the items have options.
    """

    item_id: str
    subset: Subset
    shown: tuple[Shown, ...]
    others: tuple[Shown, ...] = ()
    cell: tuple[int, int] | None = None
    form: Form | None = None

    def __post_init__(self) -> None:
        if self.subset not in FORMS:
            raise ValueError(f"item {self.item_id}: no subset {self.subset!r}; there are {', '.join(SUBSETS)}")
        if self.form is not None and self.form not in FORMS[self.subset]:
            raise ValueError(f"item {self.item_id}: {self.subset} is asked as {FORMS[self.subset]}, not {self.form!r}")
        wanted = _SHOWN.get(self.subset, 1)
        if len(self.shown) != wanted if wanted else len(self.shown) < 2:
            raise ValueError(f"item {self.item_id}: {self.subset} shows {wanted or '2 or more'}, not {len(self.shown)}")
        if (self.cell is None) == (self.subset == "hr_video_grid"):
            raise ValueError(f"item {self.item_id}: a cell is given for hr_video_grid and for it alone")
        if self.subset == "two_needle_niah" and len({shown.clip["clip_id"] for shown in self.shown}) != 1:
            raise ValueError(f"item {self.item_id}: the two parts are of different clips")
        if self.subset in ("long_video_caption", "event_relationship"):
            if len({shown.clip["source_id"] for shown in self.shown}) != 1:
                raise ValueError(f"item {self.item_id}: the clips are of different sources")
            starts = [shown.clip["start_s"] for shown in self.shown]
            if any(late <= early for early, late in pairwise(starts)):
                raise ValueError(f"item {self.item_id}: the clips are not in the order of their starts")


@dataclass(frozen=True)
class Item:
    """A question with its answer. `options` is empty where there are none, `key` then too.

    `facts` are what is asked: the needle's fact, or those that an order is asked of. `option_clips` says
    of which clip's caption each option is. `skipped` are facts that were tried in vain: (kind, subject, reason).
    """

    item_id: str
    subset: str  # as the released folders are called: temporal_niah_mcq, long_video_caption, ...
    group: str  # what shares footage with the clip asked of
    style: str  # what sort of question: the fact's kind, or before, after, first, last, between, order, change, ...
    instruction: str
    question: str
    answer: str
    facts: tuple[Fact, ...]
    options: tuple[str, ...] = ()
    key: str = ""
    option_clips: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str, str], ...] = ()
    backend: str = "templates"


class Synthesiser(Protocol):
    """Who writes the text of items."""

    def write(self, cases: Sequence[Case]) -> list[Item | Reject]:
        """Return the text of each case, in their order, or why there is none."""
        ...


def rng_of(seed: int, case: Case) -> np.random.Generator:
    """Return the generator of an item's random choices in its text."""
    return item_rng(seed, "vista_text", f"{case.subset}/{case.item_id}")


def form_of(case: Case, mcq_share: float, rng: np.random.Generator) -> Form:
    """Return the form that a case asks for, or draw one."""
    drawn = float(rng.random())
    if case.form is not None:
        return case.form
    forms = FORMS[case.subset]
    if len(forms) == 1:
        return forms[0]
    return "mcq" if drawn < mcq_share else "qa"


def subset_name(subset: str, form: Form) -> str:
    """Return the name of a subset as the paper's data set has it."""
    return subset if form == "caption" else f"{subset}_{form}"
