"""The text side of VISTA's seven subsets (arXiv 2412.00927) by templates over facts: offline, by seed.

A case says what an item shows; out come its instruction, question, answer and options. The truth of each is that of
the captions' facts.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tasks.tables import Reject
from tasks.video.distractors import Shares
from tasks.video.event_questions import event_item
from tasks.video.items import Case, Form, Item, form_of, rng_of
from tasks.video.long_captions import caption_item
from tasks.video.needle_questions import needle_item
from tasks.video.two_part_questions import two_part_item


class TemplateSynthesiser:
    """Writes questions by templates. An item's text depends on the seed, its case and `clips`, and on nothing else.

    `clips` are rows of CLIPS, all that items are made of: they say how common each value is. `mcq_share` of the items
    whose form is not given have options.
    """

    def __init__(self, seed: int, clips: Iterable[Mapping[str, Any]], mcq_share: float = 0.5) -> None:
        self._seed = seed
        self._shares = Shares(clips)
        self._mcq_share = mcq_share

    def write(self, cases: Sequence[Case]) -> list[Item | Reject]:
        """Return the text of each case, in their order, or why there is none.

        Where options were drawn and not asked for, and none can be made, the question is free-form.
        Raises ValueError for a fact of a kind without question forms.
        """
        return [self._written(case) for case in cases]

    def _written(self, case: Case) -> Item | Reject:
        form = form_of(case, self._mcq_share, rng_of(self._seed, case))
        item = self._in_form(case, form)
        if isinstance(item, Reject) and form == "mcq" and case.form is None:
            return self._in_form(case, "qa")
        return item

    def _in_form(self, case: Case, form: Form) -> Item | Reject:
        rng = rng_of(self._seed, case)
        rng.random()  # the form was drawn by it
        if case.subset == "long_video_caption":
            return caption_item(case, rng)
        if case.subset == "event_relationship":
            return event_item(case, form, rng)
        if case.subset == "two_needle_niah":
            return two_part_item(case, rng)
        return needle_item(case, form, self._shares, rng)
