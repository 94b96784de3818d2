"""The corpus curated by the real dvc.yaml: a temporary clone whose own videos are the planted clips."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.corpus.evaluate import SCALED, Result, evaluate, read_found
from tests.corpus.make import cache_folder, lay
from tests.corpus.plan import Clip
from tests.e2e.conftest import Line, clips, fresh_clone

__all__ = ["clips", "fresh_clone"]  # fixtures

CACHE = cache_folder()  # before `clean_environment` hides the user's setting


@pytest.fixture
def curated(fresh_clone: Callable[[], Line]) -> Callable[[Sequence[Clip]], Result]:
    """Curate clips with thresholds of their size; return how well it went."""

    def curate(planted: Sequence[Clip]) -> Result:
        line = fresh_clone()
        shutil.copy(REPOSITORY / "params.yaml", line.root)  # not the thresholds of the other tests
        line.change_all(SCALED)
        lay(planted, line.root / "data/own/video", CACHE)
        line.commit("curate the planted corpus")
        line.repro()
        return evaluate(read_found(line.root), planted)

    return curate


@pytest.fixture(scope="session")
def corpus_cache() -> Path:
    """Where clips that were made are kept from one run of the tests to the next."""
    return CACHE
