from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier, Lock
from typing import Any

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.graph import Node
from flows.order import run_by_dependency
from flows.runner import State


def node(address: str, *after: str, limits: frozenset[str] = frozenset()) -> Node:
    return Node(address, address, "dvc.yaml", "cmd", (), (), frozenset(after), frozenset(after), limits=limits)


class Clock:
    """Runs stages in threads and keeps what was running at the same time."""

    def __init__(self, work: Callable[[str], None] = lambda _: None) -> None:
        self.running: set[str] = set()
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.together: list[frozenset[str]] = []
        self._work = work
        self._lock = Lock()
        self._threads = ThreadPoolExecutor(32)

    def start(self, stage: Node) -> Future[None]:
        with self._lock:
            self.begun.append(stage.address)
            self.running.add(stage.address)
            self.together.append(frozenset(self.running))
        return self._threads.submit(self._run, stage.address)

    def _run(self, address: str) -> None:
        self._work(address)
        with self._lock:
            self.running.discard(address)
            self.ended.append(address)


def run(
    nodes: list[Node], clock: Clock, jobs: int = 4, decide: Callable[[Node], Any] = lambda _: None
) -> dict[str, State]:
    return run_by_dependency(nodes, jobs=jobs, decide=decide, start=clock.start, ended=lambda _: State.RAN)


def test_a_stage_starts_when_what_it_needs_is_there_and_not_when_a_level_is_done() -> None:
    meet = Barrier(2, timeout=30)  # passes only if the slow stage of level one runs beside the stage of level two
    clock = Clock(lambda address: meet.wait() and None if address in ("slow", "after-quick") else None)
    run([node("slow"), node("quick"), node("after-quick", "quick")], clock)
    assert set(clock.ended) == {"slow", "quick", "after-quick"}


def test_stages_that_share_a_limit_never_run_together_and_others_do() -> None:
    gpu = frozenset({"gpu"})
    meet = Barrier(2, timeout=30)
    clock = Clock(lambda address: meet.wait() and None if address in ("a", "free") else None)
    run([node("a", limits=gpu), node("b", limits=gpu), node("free")], clock)
    assert not any({"a", "b"} <= together for together in clock.together)


def test_of_two_that_could_start_the_one_with_the_longer_chain_behind_it_is_first() -> None:
    clock = Clock()
    run([node("leaf"), node("root"), node("middle", "root"), node("end", "middle")], clock, jobs=1)
    assert clock.begun[0] == "root"


def test_what_ends_without_running_lets_all_behind_it_start_at_once() -> None:
    meet = Barrier(2, timeout=30)
    clock = Clock(lambda _: meet.wait() and None)
    skip = {"source": State.UNCHANGED}
    nodes = [node("other"), node("source"), node("reader", "source")]
    run(nodes, clock, jobs=2, decide=lambda stage: skip.get(stage.address))
    assert set(clock.ended) == {"other", "reader"}


@settings(max_examples=60, deadline=None)
@given(
    edges=st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda e: e[0] < e[1]), max_size=25),
    limited=st.dictionaries(st.integers(0, 11), st.sampled_from(["gpu", "disk"])),
    jobs=st.integers(1, 5),
)
def test_any_graph_is_run_whole_in_an_order_that_networkx_accepts(
    edges: set[tuple[int, int]], limited: dict[int, str], jobs: int
) -> None:
    graph = nx.DiGraph()
    graph.add_nodes_from(range(12))
    graph.add_edges_from(edges)
    nodes = [
        node(str(i), *(str(up) for up in graph.predecessors(i)), limits=frozenset({limited[i]} if i in limited else ()))
        for i in nx.topological_sort(graph)
    ]
    clock = Clock()
    done = run(nodes, clock, jobs=jobs)
    assert done == {str(i): State.RAN for i in range(12)}
    place = {address: i for i, address in enumerate(clock.begun)}
    assert all(place[str(up)] < place[str(down)] for up, down in edges)
    for together in clock.together:
        assert len(together) <= jobs
        busy = [limited[int(address)] for address in together if int(address) in limited]
        assert len(busy) == len(set(busy))
