"""Worker processes: whatever happens to an item is one outcome, and nothing outlives the parent."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from errno import EACCES, EDQUOT, EIO, EMFILE, ENOSPC, EROFS
from pathlib import Path

import psutil
import pytest

from tasks.store import StoreError
from tasks.workers import Outcome, Reject, default_workers, map_items, reporter

HERE = str(Path(__file__).parent.parent.parent)


# --- what the workers do ---


def double(number: int) -> int:
    return number * 2


def pid(_: object) -> int:
    return os.getpid()


def refuse(_: object) -> None:
    raise Reject("static", "hardly moves", "flow_px_s", 0.4, 1.0)


def break_down(_: object) -> None:
    raise ValueError("no such frame")


def fail_with(error: BaseException) -> None:
    raise error


def open_video_file(path: Path) -> None:
    import av

    with av.open(str(path)) as container:
        for _ in container.decode(video=0):
            pass


def leave(status: int) -> None:
    sys.exit(status)


def unpicklable(_: object) -> object:
    return lambda: None


def die(how: str) -> None:
    if how == "SIGKILL":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "SIGSEGV":
        os.kill(os.getpid(), signal.SIGSEGV)
    os._exit(int(how))


def die_once(trace: Path) -> str:
    with trace.open("a") as file:
        file.write("x")
    if len(trace.read_text()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def die_for_negative(number: int) -> int:
    if number < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_while_sending(size: int) -> bytes:
    threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return bytes(size)


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def sleep_and_tell(folder: Path) -> None:
    (folder / str(os.getpid())).touch()
    time.sleep(600)


def report_halves(_: object) -> None:
    report = reporter()
    report(0.5)
    time.sleep(0.3)
    report(0.75)
    time.sleep(0.3)


class BreaksWhenRead:
    def __reduce__(self):
        return int, ("not a number",)


def run(fn, payloads, **options) -> dict[str, Outcome]:
    items = [(f"item {i}", payload) for i, payload in enumerate(payloads)]
    outcomes = {outcome.item_id: outcome for outcome in map_items(fn, items, **{"workers": 2, **options})}
    assert list(sorted(outcomes)) == sorted(name for name, _ in items)
    return outcomes


def one(fn, payload, **options) -> Outcome:
    return run(fn, [payload], **options)["item 0"]


def gone(pids, within_s: float) -> bool:
    _, alive = psutil.wait_procs([psutil.Process(p) for p in pids if psutil.pid_exists(p)], timeout=within_s)
    return not alive


# --- outcomes ---


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_item_has_one_outcome_with_its_value(workers):
    outcomes = run(double, range(50), workers=workers)
    assert [outcomes[f"item {i}"].value for i in range(50)] == [2 * i for i in range(50)]
    assert all(o.reject is None and o.attempts == 1 and o.seconds >= 0 for o in outcomes.values())


def test_items_are_done_in_other_processes_even_by_one_worker():
    assert one(pid, None, workers=1).value != os.getpid()
    assert len({outcome.value for outcome in run(pid, range(20), workers=1).values()}) == 1


def test_outcomes_come_as_items_end():
    order = [outcome.value for outcome in map_items(sleep, [("long", 1.5), ("a", 0.0), ("b", 0.1)], workers=2)]
    assert order == [0.0, 0.1, 1.5]


def test_nothing_to_do_starts_nothing():
    assert list(map_items(double, [], workers=2)) == []


def test_a_reject_comes_back_with_all_it_said():
    outcome = one(refuse, None)
    assert outcome.reject == Reject("static", "hardly moves", "flow_px_s", 0.4, 1.0)
    assert outcome.value is None
    assert outcome.attempts == 1


def test_a_reject_equals_itself_after_pickling():
    reject = Reject("static", "hardly moves", "flow_px_s", 0.4, 1.0)
    assert pickle.loads(pickle.dumps(reject)) == reject != Reject("static")  # noqa: S301


def test_an_error_says_type_message_and_place_without_paths_of_the_machine():
    reject = one(break_down, None).reject
    line = next(i for i, text in enumerate(Path(__file__).read_text().splitlines(), 1) if "no such frame" in text)
    assert reject == Reject("error", f"ValueError: no such frame at tasks/test_workers.py:{line}")


@pytest.mark.parametrize(
    "error",
    [
        *(OSError(number, os.strerror(number), "/data/x") for number in (ENOSPC, EIO, EMFILE, EDQUOT, EROFS, EACCES)),
        MemoryError("90 GiB"),
        StoreError("/data/store/blobs/x is damaged"),
    ],
)
def test_trouble_of_the_machine_is_no_reject(error):
    outcome = one(fail_with, error)
    assert (outcome.value, outcome.reject) == (None, None)
    assert outcome.trouble.startswith(f"{type(error).__name__}: {error} at tasks/test_workers.py:")


@pytest.mark.parametrize("error", [OSError("truncated file"), ValueError("no such frame"), RuntimeError("odd")])
def test_what_libraries_say_of_a_damaged_file_is_its_own_fault(error):
    outcome = one(fail_with, error)
    assert (outcome.trouble, outcome.reject.reason) == ("", "error")


def test_a_damaged_video_is_a_reject_also_where_nobody_made_it_one(tmp_path):
    (tmp_path / "garbage.mp4").write_bytes(b"this is no video" * 400)
    (tmp_path / "empty.mp4").touch()
    for outcome in run(open_video_file, tmp_path.iterdir()).values():
        assert (outcome.trouble, outcome.reject.reason) == ("", "error")
    assert "FileNotFoundError" in one(open_video_file, tmp_path / "missing.mp4").trouble


@pytest.mark.parametrize(
    ("fn", "payload", "said"),
    [
        (leave, 3, "SystemExit: 3"),
        (leave, 0, "SystemExit: 0"),
        (unpicklable, 0, "pickle"),
        (double, BreaksWhenRead(), "not a number"),
    ],
)
def test_what_cannot_come_back_is_an_error_of_its_item_alone(fn, payload, said):
    reject = one(fn, payload).reject
    assert reject.reason == "error"
    assert said in reject.detail


def test_what_cannot_be_sent_is_refused_by_name():
    with pytest.raises(TypeError, match="'film' cannot be sent"):
        list(map_items(double, [("film", lambda: None)], workers=1))
    with pytest.raises(TypeError, match="function of a module"):
        list(map_items(lambda x: x, [("film", 1)], workers=1))


@pytest.mark.parametrize(
    ("options", "said"), [({"workers": 0}, "workers"), ({"workers": 1, "timeout_s": 0}, "timeout_s")]
)
def test_settings_out_of_range_are_named(options, said):
    with pytest.raises(ValueError, match=said):
        list(map_items(double, [("a", 1)], **options))


# --- death ---


@pytest.mark.parametrize("how", ["SIGKILL", "SIGSEGV", "1", "0"])
def test_an_item_whose_worker_dies_twice_is_quarantined(how):
    outcome = one(die, how)
    assert outcome.reject.reason == "worker_died"
    assert outcome.attempts == 2


def test_an_item_whose_worker_dies_once_is_done_by_the_next(tmp_path):
    outcome = one(die_once, tmp_path / "trace")
    assert (outcome.value, outcome.attempts, outcome.reject) == ("done", 2, None)
    assert (tmp_path / "trace").read_text() == "xx"


def test_deadly_items_harm_no_other():
    numbers = [1, -1, 2, 3, -2, 4, 5, 6, 7, 8]
    outcomes = run(die_for_negative, numbers)
    for i, number in enumerate(numbers):
        outcome = outcomes[f"item {i}"]
        assert (outcome.attempts, outcome.value) == ((2, None) if number < 0 else (1, number))


def test_a_worker_that_dies_amid_its_answer_blocks_nobody():
    for outcome in run(die_while_sending, [300_000_000, 300_000_000]).values():
        assert (outcome.reject is not None and outcome.reject.reason == "worker_died") or len(
            outcome.value
        ) == 300_000_000


def test_workers_killed_from_outside_between_items_are_replaced():
    done = []
    for outcome in map_items(pid, [(str(i), i) for i in range(8)], workers=1):
        done.append(outcome)
        if outcome.item_id in ("2", "5"):
            time.sleep(0.2)  # by then it has answered the next item too, and waits
            os.kill(outcome.value, signal.SIGKILL)
            time.sleep(0.3)
    assert sorted(outcome.item_id for outcome in done) == [str(i) for i in range(8)]
    assert all(outcome.reject is None for outcome in done)
    assert len({outcome.value for outcome in done}) == 3


def test_an_item_over_its_time_is_ended_with_its_worker_and_the_others_go_on(tmp_path):
    outcomes = {
        outcome.item_id: outcome
        for outcome in map_items(sleep, [("stuck", 600.0), ("a", 0.0), ("b", 0.1)], workers=2, timeout_s=1.0)
    }
    assert outcomes["stuck"].reject == Reject("timeout", "took longer than 1 s", "seconds", 1.0, 1.0)
    assert outcomes["stuck"].attempts == 1
    assert outcomes["stuck"].seconds > 1.0
    assert (outcomes["a"].value, outcomes["b"].value) == (0.0, 0.1)
    children = [p for p in psutil.Process().children() if "multiprocessing.spawn" in " ".join(p.cmdline())]
    assert children == []


def test_workers_that_cannot_start_are_an_error_not_a_hang(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(
        "import os, sys\n"
        "from tests.tasks.test_workers import double\n"
        "from tasks.workers import map_items\n"
        "if __name__ != '__main__':\n"
        "    os._exit(7)\n"
        "list(map_items(double, [('a', 1)], workers=1))\n"
    )
    ended = subprocess.run([sys.executable, script], cwd=HERE, capture_output=True, text=True, timeout=60)
    assert "RuntimeError: worker processes ended 3 times before they took an item" in ended.stderr
    assert ended.returncode == 1


# --- feeding ---


def test_items_are_read_as_they_are_needed():
    read = 0

    def items() -> Iterator[tuple[str, int]]:
        nonlocal read
        for number in range(500):
            read += 1
            yield str(number), number

    workers = 3
    for done, _ in enumerate(map_items(double, items(), workers=workers), 1):
        assert read - done <= 2 * workers
    assert read == 500


def test_whoever_stops_listening_ends_the_workers(tmp_path):
    outcomes = map_items(pid, ((str(i), i) for i in range(1000)), workers=2)
    first = next(outcomes)
    outcomes.close()
    assert gone([first.value], 5)
    assert psutil.pid_exists(os.getpid())


# --- the end of the parent ---

PARENT = """
import sys
from pathlib import Path
from tasks.workers import map_items
from tests.tasks.test_workers import sleep_and_tell
if __name__ == "__main__":
    try:
        for outcome in map_items(sleep_and_tell, [(str(i), Path(sys.argv[1])) for i in range(5)], workers=2):
            print("outcome", flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_its_parent(tmp_path, how):
    (tmp_path / "pids").mkdir()
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, script, tmp_path / "pids"], cwd=HERE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    until = time.monotonic() + 60
    while len(list((tmp_path / "pids").iterdir())) < 2:
        assert time.monotonic() < until
        assert parent.poll() is None
        time.sleep(0.05)
    family = [child.pid for child in psutil.Process(parent.pid).children(recursive=True)]
    assert {int(path.name) for path in (tmp_path / "pids").iterdir()} <= set(family)
    parent.send_signal(how)
    said = parent.communicate(timeout=30)[0]
    assert said == ("" if how == signal.SIGKILL else "interrupted\n")
    assert gone(family, 5)


def test_the_handler_of_sigterm_is_put_back():
    before = signal.getsignal(signal.SIGTERM)
    outcomes = map_items(double, [("a", 1)], workers=1)
    next(outcomes)
    assert signal.getsignal(signal.SIGTERM) is not before
    assert list(outcomes) == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_thread_may_map_items_too():
    found: list[Outcome] = []
    thread = threading.Thread(target=lambda: found.extend(map_items(double, [("a", 4)], workers=1)))
    thread.start()
    thread.join()
    assert [outcome.value for outcome in found] == [8]


# --- progress ---


class Heard:
    def __init__(self) -> None:
        self.said: list[tuple] = []

    def update(self, item_id: str, fraction: float) -> None:
        self.said.append((item_id, fraction))

    def done(self, item_id: str) -> None:
        self.said.append((item_id, "done"))

    def tick(self) -> None:
        pass

    def close(self) -> None:
        self.said.append(("closed",))


def test_a_worker_reports_how_far_its_item_is():
    heard = Heard()
    run(report_halves, [None], workers=1, progress=heard)
    assert heard.said == [("item 0", 0.5), ("item 0", 0.75), ("item 0", "done"), ("closed",)]


def test_a_report_outside_a_worker_does_nothing():
    reporter()(0.5)


def test_the_default_is_the_cores_that_this_process_may_use():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert default_workers() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert default_workers() == len(before)
