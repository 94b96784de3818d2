"""The whole planted corpus through the whole pipeline; its figures stand in RESULTS.md.

`HEADRACE_CORPUS_RESULTS=FILE` writes them to FILE, whether they are good or not.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.corpus.evaluate import Result, as_markdown, plan_hash
from tests.corpus.plan import CLIPS, Clip

WRITE_TO = os.environ.get("HEADRACE_CORPUS_RESULTS")  # before `clean_environment` hides it
RESULTS = Path(__file__).parent / "RESULTS.md"


@pytest.mark.slow
@pytest.mark.timeout(2700)
def test_every_clip_is_kept_or_rejected_as_planted(curated: Callable[[Sequence[Clip]], Result]) -> None:
    result = curated(CLIPS)
    if WRITE_TO:
        Path(WRITE_TO).write_text(as_markdown(result))
    assert result.shortfalls() == [], as_markdown(result)


def test_the_committed_figures_are_of_this_corpus() -> None:
    assert f"(plan {plan_hash(CLIPS)})" in RESULTS.read_text()
