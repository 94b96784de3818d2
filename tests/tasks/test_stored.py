"""Items done in groups: each has what it has alone, and one that fails takes no other with it."""

from collections.abc import Sequence
from typing import Any

import pytest

from tasks.keys import StoredFunction
from tasks.stored import GROUP, stored_values
from tasks.tables import Reject
from tests.conftest import Project
from tests.stages import set_params, stage_of

DOUBLED = StoredFunction("tests.doubled", "1", "tests.tasks.test_stored", ())
BAD = GROUP + 3


def doubled(number: int) -> dict[str, Any]:
    if number == BAD:
        raise Reject("odd_one", "cannot be doubled")
    return {"value": 2 * number, "alone": True}


def all_doubled(numbers: Sequence[int]) -> list[dict[str, Any]]:
    return [doubled(number) | {"alone": False} for number in numbers]


@pytest.mark.parametrize("count", [1, 3 * GROUP + 1])
def test_a_group_is_done_at_once_and_one_with_a_bad_item_one_by_one(project: Project, count: int) -> None:
    project.write("dvc.yaml", "stages: {doubling: {cmd: python -m doubling}}\n")
    set_params(project, {})
    stage = stage_of(project, "doubling")
    jobs = {f"item {n}": (str(n), n) for n in range(count)}
    found, rejects = stored_values(stage, DOUBLED, {}, doubled, jobs, unit="number", names={}, together=all_doubled)
    good = [n for n in range(count) if n != BAD]
    with_the_bad_one = range(GROUP, 2 * GROUP)
    assert found == {f"item {n}": {"value": 2 * n, "alone": n in with_the_bad_one} for n in good}
    assert list(found) == [f"item {n}" for n in good]
    assert {key: reject.reason for key, reject in rejects.items()} == dict.fromkeys(
        (f"item {n}" for n in range(count) if n == BAD), "odd_one"
    )
