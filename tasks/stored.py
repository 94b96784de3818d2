"""Items whose results are worked out once and kept: what the store lacks is done by workers, the rest is read.

For results that come back from a worker as plain JSON; what is large is put into the store by the worker itself.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tasks.keys import StoredFunction, key_of
from tasks.stage import Plan, Stage
from tasks.tables import Reject

if TYPE_CHECKING:
    from tasks.workers import Outcome

AT_ONCE = 128  # results in one file of the store: so many are worked out again after a kill
GROUP = 16  # items that a worker is given at once, where it can do several for less


def stored_values(
    stage: Stage,
    function: StoredFunction,
    params: Mapping[str, Any],
    work: Callable[[Any], dict[str, Any]],
    jobs: Mapping[str, tuple[str, Any]],
    *,
    unit: str,
    names: Mapping[str, str],
    together: Callable[[Sequence[Any]], Sequence[dict[str, Any]]] | None = None,
) -> tuple[dict[str, dict[str, Any]], dict[str, Reject]]:
    """Return what `function` gives of each item, and why others could not be done; both by id, in the order of `jobs`.

    `jobs` has for an id the hash of its input and what `work` is given in a worker; `params` are those that the results
    depend on, `names` what people call an id. `together` does several items at once, with what `work` gives of each; a
    group of which one cannot be done is done one by one.
    """
    store = stage.store
    keys = {item_id: _key(function, params, digest) for item_id, (digest, _) in jobs.items()}
    todo = {item_id: payload for item_id, (_, payload) in jobs.items() if not store.has(function.name, keys[item_id])}
    rejects: dict[str, Reject] = {}
    with store.writer() as writer:
        waiting: list[tuple[str, dict[str, Any], Sequence[str]]] = []
        for outcome in _outcomes(stage, work, together, todo, unit, names):
            if outcome.reject is not None:
                rejects[outcome.item_id] = outcome.reject
                continue
            waiting.append((jobs[outcome.item_id][0], outcome.value, ()))
            if len(waiting) == AT_ONCE:
                writer.put_many(function.name, function.version, params, waiting)
                waiting = []
        if waiting:
            writer.put_many(function.name, function.version, params, waiting)
    records = store.get_many(function.name, (key for item_id, key in keys.items() if item_id not in rejects))
    values = {item_id: records[key].value for item_id, key in keys.items() if item_id not in rejects}
    return values, {item_id: rejects[item_id] for item_id in jobs if item_id in rejects}


def _outcomes(
    stage: Stage,
    work: Callable[[Any], dict[str, Any]],
    together: Callable[[Sequence[Any]], Sequence[dict[str, Any]]] | None,
    todo: Mapping[str, Any],
    unit: str,
    names: Mapping[str, str],
) -> "Iterator[Outcome]":
    """Yield the outcome of each item, done alone or in groups."""
    alone = dict(todo)
    if together is not None and todo:
        ids = list(todo)
        groups = {ids[at]: ids[at : at + GROUP] for at in range(0, len(ids), GROUP)}
        given = ((first, [todo[item_id] for item_id in group]) for first, group in groups.items())
        for outcome in stage.map(together, given, unit=f"{unit} group", total=len(groups), names=names):
            if outcome.reject is not None:
                continue
            group = groups[outcome.item_id]
            assert len(outcome.value) == len(group)
            stage.count_done(len(group) - 1)
            for item_id, value in zip(group, outcome.value, strict=True):
                del alone[item_id]
                yield replace(outcome, item_id=item_id, value=value)
    if alone:
        yield from stage.map(work, alone.items(), unit=unit, total=len(alone), names=names)


def stored_plan(
    stage: Stage, function: StoredFunction, params: Mapping[str, Any], hashes: Sequence[str], unit: str
) -> Plan:
    """Count the items, by the hashes of their inputs, that the store lacks and has."""
    store = stage.store
    stored = sum(store.has(function.name, _key(function, params, digest)) for digest in hashes)
    return Plan(unit, len(hashes) - stored, stored)


def _key(function: StoredFunction, params: Mapping[str, Any], digest: str) -> str:
    return key_of(function.name, function.version, params, digest)
