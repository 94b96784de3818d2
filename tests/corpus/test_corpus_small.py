"""Forty planted clips through the whole pipeline: every fault, all six codecs."""

from collections.abc import Callable, Sequence

from tests.corpus.evaluate import Result, as_markdown
from tests.corpus.plan import SMALL, Clip


def test_forty_clips_are_kept_and_rejected_as_planted(curated: Callable[[Sequence[Clip]], Result]) -> None:
    result = curated(SMALL)
    assert result.shortfalls() == [], as_markdown(result)
