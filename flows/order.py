"""In which order stages run: each as soon as what it needs is there, by dependency and not by level."""

import queue
from collections.abc import Callable, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Any, Protocol

from flows.graph import Node
from flows.runner import State


class Future(Protocol):
    """What starting a stage gives: concurrent.futures' futures and Prefect's both do."""

    def add_done_callback(self, fn: Callable[[Any], None], /) -> None:
        """Call `fn` when the stage has ended."""


def run_by_dependency(
    nodes: Sequence[Node],
    *,
    jobs: int,
    decide: Callable[[Node], State | None],
    start: Callable[[Node], Future],
    ended: Callable[[Node], State],
) -> dict[str, State]:
    """Run stages, at most `jobs` at the same time, and return how each ended.

    Once all that a stage is after has ended, `decide` says how it ends without running, or None: then `start` starts it
    as soon as there is room and no running stage shares one of its limits, and `ended` says how it ended. `decide` is
    asked again while the stage waits. Of several that could start, the one with the longest chain of stages behind it
    is first. All callbacks are called from the calling thread; futures may end in any.
    """
    by_address = {node.address: node for node in nodes}
    order = TopologicalSorter({node.address: node.after & by_address.keys() for node in nodes})
    behind = _chain_behind(nodes)
    order.prepare()
    states: dict[str, State] = {}
    waiting: list[Node] = []
    running: dict[str, Node] = {}
    done: queue.SimpleQueue[str] = queue.SimpleQueue()

    def settle(node: Node, state: State) -> None:
        states[node.address] = state
        order.done(node.address)

    while order.is_active():
        while ready := order.get_ready():  # what ends without running may make others ready
            for address in ready:
                if (state := decide(by_address[address])) is not None:
                    settle(by_address[address], state)
                else:
                    waiting.append(by_address[address])
        waiting.sort(key=lambda node: -behind[node.address])
        for node in list(waiting):
            busy = {limit for other in running.values() for limit in other.limits}
            if len(running) < jobs and not node.limits & busy:
                waiting.remove(node)
                running[node.address] = node
                start(node).add_done_callback(_putting(done, node.address))
        if running:
            node = running.pop(done.get())
            settle(node, ended(node))
            for node in list(waiting):  # a failure or a cancellation may end what has waited for room
                if (state := decide(node)) is not None:
                    waiting.remove(node)
                    settle(node, state)
    return states


def _putting(done: queue.SimpleQueue[str], address: str) -> Callable[[Any], None]:
    return lambda _: done.put(address)


def _chain_behind(nodes: Sequence[Node]) -> Mapping[str, int]:
    """Return for each stage how many others, one after another, wait for it."""
    length = {node.address: 0 for node in nodes}
    for node in reversed(nodes):  # dependencies come first in `nodes`
        for up in node.after:
            if up in length:
                length[up] = max(length[up], length[node.address] + 1)
    return length
