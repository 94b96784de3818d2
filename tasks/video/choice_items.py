"""VISTA's four-way choices as a model is taught and tried on them: of the composed video, or of the raw clip asked of.

Both arms of the paper's claim (arXiv 2412.00927, last row of its ablation) have the same questions.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tasks.tables import read_table
from tasks.video.choices import LETTERS
from tasks.video.composition import Composition, Piece, from_dict
from tasks.video.items import Subset
from tasks.video.vista_records import RECORDS

VISTA = "data/curated/vista"  # what augment_vista writes
Arm = Literal["vista", "raw"]
FINE: tuple[Subset, ...] = ("spatial_niah", "hr_video_grid")  # what is asked of is small: seen large, in fewer frames


@dataclass(frozen=True)
class ChoiceItem:
    """A question with four options on a video, and where in it is what is asked of."""

    item_id: str
    family: Subset
    split: str
    pairing: str
    style: str  # what sort of question it is
    question: str
    options: tuple[str, ...]
    key: str
    composition: Composition
    raw: Composition  # the clip asked of, alone
    needle_share: float  # of the video's length
    needle_position: float  # the middle of it, as a share of the length
    conversation: str  # what a language model is asked

    @property
    def label(self) -> int:
        """The place of the right option."""
        return LETTERS.index(self.key)

    def shown(self, arm: Arm) -> Composition:
        """Return the video of an arm."""
        return self.composition if arm == "vista" else self.raw


def read_choices(folder: Path) -> list[ChoiceItem]:
    """Return the items of augment_vista that have options, in the order of their records.

    Raises FileNotFoundError, or ValueError where records and plans do not belong together.
    """
    rows = {row["id"]: row for row in read_table(folder / "records.parquet", RECORDS).to_pylist() if row["options"]}
    plans = {}
    with (folder / "plan.jsonl").open(encoding="utf-8") as file:
        for line in file:
            plan = json.loads(line)
            if plan["id"] in rows:
                plans[plan["id"]] = plan
    if missing := sorted(set(rows) - set(plans)):
        raise ValueError(f"{folder}/plan.jsonl has no plan of {missing[0]}: run augment_vista again")
    return [_item(row, plans[item_id]) for item_id, row in rows.items()]


def _item(row: Mapping[str, Any], plan: Mapping[str, Any]) -> ChoiceItem:
    composition = from_dict(plan["composition"])
    same = {name: row[name] for name in ("family", "split", "pairing", "style", "question", "key")}
    return ChoiceItem(
        item_id=row["id"],
        **same,
        options=tuple(row["options"]),
        composition=composition,
        raw=raw_of(composition, plan),
        needle_share=row["needle_share"],
        needle_position=row["needle_position"],
        conversation=row["conversations"][0]["value"],
    )


def raw_of(composition: Composition, plan: Mapping[str, Any]) -> Composition:
    """Return the clip asked of, as much of it as the item shows, on the item's canvas: of several the first."""
    clip_id, span = plan["asked_of"][0], plan["truth"]["spans"][0]
    clip = next(piece.clip for piece in composition.pieces if piece.clip.clip_id == clip_id)
    canvas, frames = composition.canvas, span["last"] - span["first"]
    return Composition(canvas, frames, (Piece(clip, canvas.whole, 0, frames, first=span["first"]),))


def without(items: Sequence[ChoiceItem], families: Sequence[Subset]) -> list[ChoiceItem]:
    """Return the items of the other families."""
    return [item for item in items if item.family not in families]
