"""Cases of a parametrised test that `make test` leaves to `make test-slow`."""

from typing import Any

import pytest


def rest(*cases: Any) -> list[Any]:
    """Return each case, the only argument of a test, marked slow."""
    return [pytest.param(case, marks=pytest.mark.slow) for case in cases]
