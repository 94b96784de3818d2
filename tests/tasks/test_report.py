"""A failure is one line: what is wrong, with what, and what to do."""

import errno

import pytest

from tasks.report import failure_line
from tasks.stage import StageError
from tasks.store import StoreError


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (StageError("params.yaml: remove it"), "params.yaml: remove it"),
        (StoreError("blobs/ab is damaged: run again"), "blobs/ab is damaged: run again"),
        (
            OSError(errno.EBUSY, "changed while it was read: run again", "own/film.mp4"),
            "own/film.mp4: changed while it was read: run again",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "[Errno 28] No space left on device"),
        (
            ZeroDivisionError("no water"),
            "ZeroDivisionError: no water; set HEADRACE_DEBUG=1 or add --debug for the traceback",
        ),
    ],
)
def test_an_expected_failure_is_its_message_and_any_other_is_named(error: Exception, line: str) -> None:
    assert failure_line(error) == line
