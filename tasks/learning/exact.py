"""What makes two runs equal to the last bit: threads, algorithms, random numbers, where tensors lie in memory.

And that an interrupt comes between two changes of state, never within one.
"""

import contextlib
import hashlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import torch


def choose_device(wanted: str) -> torch.device:
    """Return the device that `auto`, `cpu`, `cuda` or `cuda:1` means here. Raises ValueError for one that is not."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ValueError(f"device is {wanted!r}: auto, cpu, cuda or cuda:NUMBER is expected") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device is {wanted!r}, but torch sees {torch.cuda.device_count()} CUDA devices: set it to auto"
        )
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device is {wanted!r}: auto, cpu, cuda or cuda:NUMBER is expected")
    return device


@contextlib.contextmanager
def exactly(threads: int, device: torch.device) -> Iterator[None]:
    """Fix the number of threads and ask for deterministic algorithms; leave all of torch's settings as they were."""
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    filled, tuned = _fill().fill_uninitialized_memory, torch.backends.cudnn.benchmark
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # CUDA's matrix products ask for it
    cards = [device.index or 0] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cards):
        try:
            torch.set_num_threads(threads)
            # Some of CUDA's operations have no deterministic form: they are told, and training goes on. The same as
            # use_deterministic_algorithms(True, warn_only=True), which imports torch's compiler: seconds of each stage.
            torch.set_deterministic_debug_mode("warn")
            _fill().fill_uninitialized_memory = False  # it costs time, and nothing here reads such memory
            torch.backends.cudnn.benchmark = False
            yield
        finally:
            torch.set_num_threads(before[0])
            torch.set_deterministic_debug_mode(before[1])
            _fill().fill_uninitialized_memory = filled
            torch.backends.cudnn.benchmark = tuned


def _fill() -> Any:
    return torch.utils.deterministic


class Interrupts:
    """Ctrl-C and SIGTERM inside `with interrupts:`; those that come inside `with interrupts.held():` wait for its end.

    After the first that raised, others are passed over until the outer `with` ends: what it stopped can be put away.
    Signals reach the main thread alone; in another one all this does nothing.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._waits = False
        self._came: int | None = None

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            numbers = (signal.SIGINT, signal.SIGTERM)
            self._before = {number: signal.getsignal(number) or signal.SIG_DFL for number in numbers}
            for number in numbers:
                signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Do what is in `with` whole."""
        nested, self._waits = self._waits, True
        yield  # where it fails, an interrupt that came meanwhile says nothing new
        self._waits = nested
        if self._came is not None and not nested:
            came, self._came = self._came, None
            self._take(came, None)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._waits:
            self._came = number
            return
        before = self._before[number]
        self._waits = True
        if callable(before):
            before(number, frame)
        elif before == signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)  # it ends the process
        self._waits = False


def seed_for(device: torch.device, *names: int | str) -> None:
    """Seed torch's generators from `names`, e.g. (seed, step, part): no stream is shared, so none has to be kept.

    (torch.manual_seed would do the same, but takes 0.2 ms, since it looks for devices of every kind.)
    """
    text = "\0".join(map(str, names))
    seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def on_device(batch: Any, device: torch.device) -> Any:
    """Return a batch with its tensors, in dicts, lists and tuples, on the device; other values stay as they are."""
    if isinstance(batch, torch.Tensor):
        if device.type == "cpu" and batch.device.type == "cpu":
            # matrix products may add in another order where memory is not aligned: NumPy aligns to 16 bytes only
            return batch if batch.data_ptr() % 64 == 0 else batch.clone()
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: on_device(value, device) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(on_device(value, device) for value in batch))
    if isinstance(batch, (list, tuple)):
        return type(batch)(on_device(value, device) for value in batch)
    return batch
