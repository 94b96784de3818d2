"""Items done in worker processes: a dead worker is replaced, its item tried once more and then quarantined.

Each worker is a pebble pool of one, so that what a dying process leaves behind (a held lock, half a message) can
only harm itself. Whatever happens to an item ends as one `Outcome`; nothing outlives the process that asked.

A bad item is a `Reject`, which stands. A full disk is no item's fault and passes: that is `trouble`, and the item is
to be done again.
"""

import contextlib
import itertools
import multiprocessing
import os
import queue
import signal
import struct
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import FrameType
from typing import Any

from pebble import ProcessExpired, ProcessPool

from tasks.progress import Progress
from tasks.segments import StoreError
from tasks.tables import Reject

__all__ = ["Outcome", "Progress", "Reject", "default_workers", "is_trouble", "map_items", "reporter"]

TRIES = 2  # of an item whose worker dies
_START_TRIES = 3  # of a worker that ends before it takes an item
_REPORT_EVERY_S = 0.2
_MESSAGE = struct.Struct("!Qd")  # seat or item number, fraction; far below PIPE_BUF, so written whole or not at all
_STARTED, _CLOSE = -1.0, -2.0


@dataclass(frozen=True)
class Outcome:
    """What became of one item: `value` from the function, or `reject`, or `trouble` of the machine (else "").

    `seconds` is the time of the last try.
    """

    item_id: str
    value: Any
    reject: Reject | None
    attempts: int
    seconds: float
    trouble: str = ""


def default_workers() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_items(
    fn: Callable[[Any], Any],
    items: Iterable[tuple[str, Any]],
    *,
    workers: int,
    timeout_s: float | None = None,
    progress: Progress | None = None,
) -> Generator[Outcome, None, None]:
    """Call `fn(payload)` for each (item_id, payload) in worker processes; yield outcomes as they complete.

    `fn` is a function of a module. `items` is read only as workers come free. An item ends with `fn`'s value, or
    with the `Reject` that `fn` raised, or with trouble (see `is_trouble`), or with a `Reject` of reason "error" (any
    other exception), "worker_died" (twice: a signal, a crash, out of memory) or "timeout" (longer than `timeout_s`;
    its worker is killed). Ctrl-C and SIGTERM end the workers and raise KeyboardInterrupt. Raises ValueError for
    `workers` below 1, TypeError for what cannot be sent to a process, RuntimeError where workers cannot start.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}, must be at least 1")
    if timeout_s is not None and timeout_s <= 0:
        raise ValueError(f"timeout_s is {timeout_s}, must be above 0")
    with _interrupt_on_sigterm(), contextlib.closing(_Crew(fn, timeout_s, progress)) as crew:
        yield from crew.run(iter(items), workers)


def is_trouble(error: BaseException) -> bool:
    """Say whether an error is the machine's and not its item's: of the system, of memory or of the store.

    An OSError without a number is not the system's: so libraries (h5py, Pillow, pyarrow) call a damaged file. FFmpeg's
    errors have numbers even then: whoever opens a video turns them into `Reject` (`tasks.video.probe`).
    """
    if isinstance(error, OSError):
        return error.errno is not None
    return isinstance(error, (MemoryError, StoreError))


def reporter() -> Callable[[float], None]:
    """Return `report(fraction)` for the item that this worker is doing; outside a worker it does nothing."""
    return _report


# --- in the worker ---

_channel: Connection | None = None
_item = 0
_reported_at = 0.0


def _begin(channel: Connection, seat: int) -> None:
    global _channel
    _channel = channel
    threading.Thread(target=_end_with_parent, daemon=True).start()
    channel.send_bytes(_MESSAGE.pack(seat, _STARTED))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _report(fraction: float) -> None:
    global _reported_at
    now = time.monotonic()
    if _channel is not None and now - _reported_at >= _REPORT_EVERY_S:
        _reported_at = now
        _channel.send_bytes(_MESSAGE.pack(_item, min(max(fraction, 0.0), 1.0)))


def _work(number: int, job: bytes) -> bytes:
    """Do one item; what `fn` does comes back as (value, reject, trouble, seconds), pickled here so that it can be."""
    global _item
    _item = number
    begun = time.perf_counter()
    reject, trouble = None, ""
    try:
        fn, payload = ForkingPickler.loads(job)
        value = fn(payload)
        return bytes(ForkingPickler.dumps((value, None, "", time.perf_counter() - begun)))
    except Reject as raised:
        reject = raised
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is not swallowed: it is told of the item
        told = f"{type(error).__name__}: {error} at {_place(error)}"
        if is_trouble(error):
            trouble = told
        else:
            reject = Reject("error", told)
    return bytes(ForkingPickler.dumps((None, reject, trouble, time.perf_counter() - begun)))


def _place(error: BaseException) -> str:
    """Return file:line of the raise, with the file's folder but without the path of this machine."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{'/'.join(Path(last.filename).parts[-2:])}:{last.lineno}"


# --- in the parent ---


@dataclass
class _Job:
    number: int
    item_id: str
    data: bytes
    attempts: int = 0
    begun: float = 0.0


@dataclass
class _Seat:
    number: int
    pool: ProcessPool
    started: bool = False
    job: _Job | None = field(default=None)


class _Crew:
    def __init__(self, fn: Callable[[Any], Any], timeout_s: float | None, progress: Progress | None) -> None:
        self._fn = fn
        self._timeout_s = timeout_s
        self._progress = progress
        self._context = multiprocessing.get_context("spawn")
        self._reader, self._writer = self._context.Pipe(duplex=False)
        self._events: queue.SimpleQueue[tuple[str, int, Any]] = queue.SimpleQueue()
        self._seats: dict[int, _Seat] = {}
        self._numbers = itertools.count()
        self._failed_starts = 0
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def run(self, items: Iterator[tuple[str, Any]], workers: int) -> Iterator[Outcome]:
        job_numbers = itertools.count()
        jobs = (self._job(next(job_numbers), *item) for item in items)
        for job in itertools.islice(jobs, workers):
            self._give(self._new_seat(), job)
        while self._seats:
            done = self._next_done()
            if done is None:
                continue
            seat, outcome = done
            following = next(jobs, None)
            if following is not None:
                self._give(seat if seat.number in self._seats else self._new_seat(), following)
            elif seat.number in self._seats:
                self._dismiss(seat)
            if self._progress is not None:
                self._progress.done(outcome.item_id)
            yield outcome

    def close(self) -> None:
        seats = list(self._seats.values())
        self._seats.clear()
        for seat in seats:
            seat.pool.stop()
        for seat in seats:
            seat.pool.join()
        self._writer.send_bytes(_MESSAGE.pack(0, _CLOSE))
        self._listener.join()
        self._reader.close()
        self._writer.close()
        if self._progress is not None:
            self._progress.close()

    def _job(self, number: int, item_id: str, payload: Any) -> _Job:
        try:
            return _Job(number, item_id, bytes(ForkingPickler.dumps((self._fn, payload))))
        except Exception as error:
            raise TypeError(
                f"item {item_id!r} cannot be sent to a worker process: {error}; give a function of a module "
                "and a payload of plain values"
            ) from error

    def _new_seat(self) -> _Seat:
        number = next(self._numbers)
        pool = ProcessPool(max_workers=1, initializer=_begin, initargs=(self._writer, number), context=self._context)
        self._seats[number] = seat = _Seat(number, pool)
        return seat

    def _dismiss(self, seat: _Seat) -> None:
        del self._seats[seat.number]
        seat.pool.stop()
        seat.pool.join()

    def _give(self, seat: _Seat, job: _Job) -> None:
        seat.job = job
        job.attempts += 1
        job.begun = time.perf_counter()
        try:
            future = seat.pool.schedule(_work, args=(job.number, job.data), timeout=self._timeout_s)
        except RuntimeError:
            if not seat.started:
                raise
            self._dismiss(seat)  # the worker died while it had nothing to do, and pebble gave its pool up
            job.attempts -= 1
            self._give(self._new_seat(), job)
            return
        number = seat.number
        future.add_done_callback(lambda ended: self._events.put(("ended", number, ended)))

    def _next_done(self) -> tuple[_Seat, Outcome] | None:
        """Wait for one event; return the seat and outcome if it ended an item for good."""
        try:
            kind, number, what = self._events.get(timeout=1.0)
        except queue.Empty:
            kind, number, what = "tick", 0, None
        if kind == "report":
            jobs = (seat.job for seat in self._seats.values() if seat.job is not None)
            item_id = next((job.item_id for job in jobs if job.number == number), None)
            if self._progress is not None and item_id is not None:
                self._progress.update(item_id, what)
            return None
        if self._progress is not None:
            self._progress.tick()
        seat = self._seats.get(number)
        if kind == "tick" or seat is None:
            return None
        if kind == "started":
            if seat.started:  # pebble replaced a worker that ended with status 0 and forgot its item
                return self._died(seat)
            seat.started = True
            self._failed_starts = 0
            return None
        return self._ended(seat, what)

    def _ended(self, seat: _Seat, future: "Future[bytes]") -> tuple[_Seat, Outcome] | None:
        job = seat.job
        assert job is not None
        try:
            value, reject, trouble, seconds = ForkingPickler.loads(future.result())
        except TimeoutError:
            self._dismiss(seat)
            assert self._timeout_s is not None
            reject = Reject(
                "timeout",
                f"took longer than {self._timeout_s:g} s",
                score="seconds",
                value=self._timeout_s,  # the limit, not the clock: tables stay equal from run to run
                threshold=self._timeout_s,
            )
            return seat, Outcome(job.item_id, None, reject, job.attempts, time.perf_counter() - job.begun)
        except (ProcessExpired, BrokenProcessPool):
            return self._died(seat)
        seat.job = None
        return seat, Outcome(job.item_id, value, reject, job.attempts, seconds, trouble)

    def _died(self, seat: _Seat) -> tuple[_Seat, Outcome] | None:
        job = seat.job
        self._dismiss(seat)
        if not seat.started:
            self._failed_starts += 1
            if self._failed_starts >= _START_TRIES:
                raise RuntimeError(f"worker processes ended {_START_TRIES} times before they took an item: see above")
            if job is not None:
                job.attempts -= 1  # it had no part in this
        if job is None:
            return None
        if job.attempts >= TRIES:
            reject = Reject("worker_died", f"its worker process died {job.attempts} times")
            return seat, Outcome(job.item_id, None, reject, job.attempts, time.perf_counter() - job.begun)
        self._give(self._new_seat(), job)
        return None

    def _listen(self) -> None:
        while True:
            number, fraction = _MESSAGE.unpack(self._reader.recv_bytes())
            if fraction == _CLOSE:
                return
            self._events.put(("started", number, None) if fraction == _STARTED else ("report", number, fraction))


@contextlib.contextmanager
def _interrupt_on_sigterm() -> Iterator[None]:
    """Make SIGTERM end the same way as Ctrl-C; signals can only be taken in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt("SIGTERM")

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
