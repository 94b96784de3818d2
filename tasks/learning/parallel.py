"""Several processes that train one model, each on its part of every batch, as torchrun starts them (gloo, NCCL)."""

import contextlib
import json
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from tasks.learning.exact import choose_device

_BUCKET = 1 << 23  # numbers that are sent at once: few messages, little memory
_JOINED_WITHIN = timedelta(minutes=5)  # of the first one's start, all must be there
_PATIENCE = timedelta(hours=6)  # the others wait while the first one validates


@dataclass(frozen=True)
class World:
    """The processes that train together, seen from one of them."""

    rank: int
    size: int
    device: torch.device
    group: dist.ProcessGroup | None = None

    @property
    def first(self) -> bool:
        """Whether this is the process that validates, writes checkpoints and tells how far it is."""
        return self.rank == 0

    def share(self, parts: int) -> range:
        """Return which of a batch's parts are this process's. Raises ValueError where they cannot be shared evenly."""
        if parts % self.size:
            raise ValueError(
                f"micro_batches={parts} for {self.size} processes: make it a multiple of them, or start fewer"
            )
        own = parts // self.size
        return range(self.rank * own, (self.rank + 1) * own)

    def sum_(self, tensors: Sequence[torch.Tensor]) -> None:
        """Put the sum over all processes into each process's tensors: the same bits in all."""
        if self.size == 1:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([_real(tensor).reshape(-1) for tensor in bucket])
            dist.all_reduce(flat, group=self.group)
            for tensor, part in zip(bucket, flat.split([_real(t).numel() for t in bucket]), strict=True):
                _real(tensor).copy_(part.view_as(_real(tensor)))

    def sums(self, numbers: Sequence[float]) -> list[float]:
        """Return each number's sum over all processes."""
        if self.size == 1:
            return list(numbers)
        packed = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        dist.all_reduce(packed, group=self.group)
        return packed.tolist()

    def copy_(self, tensors: Sequence[torch.Tensor]) -> None:
        """Put what the first process's tensors hold into those of all."""
        if self.size == 1:
            return
        for tensor in tensors:
            sent = _real(tensor.detach()).to(self.device).contiguous()
            dist.broadcast(sent, src=0, group=self.group)
            _real(tensor.detach()).copy_(sent)

    def told(self, value: Any) -> Any:
        """Return the first process's value (plain JSON) in all."""
        if self.size == 1:
            return value
        text = json.dumps(value).encode() if self.first else b""
        length = torch.tensor([len(text)], device=self.device)
        dist.broadcast(length, src=0, group=self.group)
        sent = torch.zeros(int(length), dtype=torch.uint8, device=self.device)
        if self.first:
            sent.copy_(torch.frombuffer(bytearray(text), dtype=torch.uint8))
        dist.broadcast(sent, src=0, group=self.group)
        return json.loads(bytes(sent.tolist()))


@contextlib.contextmanager
def connected(device: str) -> Iterator[World]:
    """Join the processes that torchrun started, for the time of `with`; without torchrun this one is alone.

    `device` is auto, cpu or cuda; of several cards each process takes that of its LOCAL_RANK.
    """
    chosen = choose_device(device)
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1 or "RANK" not in os.environ
    if chosen.type == "cuda":
        if not alone:
            chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(chosen.index or 0)  # whose generator is seeded
    if alone:
        yield World(0, 1, chosen)
        return
    ours = not dist.is_initialized()
    if ours:
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=_JOINED_WITHIN)
    try:
        yield World(dist.get_rank(), dist.get_world_size(), chosen, dist.new_group(timeout=_PATIENCE))
    finally:
        if ours:
            dist.destroy_process_group()


@contextlib.contextmanager
def beside(processes: int, work: Callable[..., object], *args: Any) -> Iterator[None]:
    """Run `work(*args)` in as many more processes as make `processes`, as torchrun would start them all.

    Inside `with` this process is the first of them, and must train what they train. `work` and `args` are pickled.
    Raises RuntimeError where one of the others failed; what it printed says why.
    """
    if processes == 1:
        yield
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    spawn = multiprocessing.get_context("spawn")  # a fork would share this one's threads and CUDA
    others = [
        spawn.Process(target=_as_rank, args=(shared, rank, work, args), daemon=True) for rank in range(1, processes)
    ]
    try:
        for other in others:
            other.start()
        with _environment({**shared, "RANK": "0", "LOCAL_RANK": "0"}):
            yield
        for other in others:
            other.join()
    except RuntimeError as error:  # of gloo or NCCL, where one that it waits for has gone
        for other in others:
            other.join(timeout=5)
        if any(other.exitcode for other in others):
            raise RuntimeError(f"one of {processes} training processes failed, see above") from error
        raise
    finally:
        for other in others:
            if other.is_alive():
                other.kill()
                other.join()
    if any(other.exitcode for other in others):
        raise RuntimeError(f"one of {processes} training processes failed, see above")


def _as_rank(shared: dict[str, str], rank: int, work: Callable[..., object], args: Sequence[Any]) -> None:
    os.environ.update({**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)})
    for number in (signal.SIGINT, signal.SIGTERM):  # a terminal tells all: the first puts its state away and ends us
        signal.signal(number, signal.SIG_IGN)
    work(*args)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _real(tensor: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _buckets(tensors: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Yield tensors of one type together, in their order, about `_BUCKET` numbers at a time."""
    for dtype in dict.fromkeys(_real(tensor).dtype for tensor in tensors):
        bucket, held = [], 0
        for tensor in tensors:
            if _real(tensor).dtype == dtype:
                bucket.append(tensor)
                held += tensor.numel()
            if held >= _BUCKET:
                yield bucket
                bucket, held = [], 0
        if bucket:
            yield bucket


class BatchStatistics:
    """Running means and variances of batch normalisation, kept independent of who works on which part of a batch.

    Each of a batch's `parts` moves them from where they stood before the batch; after it they are the mean over the
    parts. `undo` puts back what else a forward pass changes, too: all persistent buffers.
    """

    def __init__(self, model: torch.nn.Module, parts: int) -> None:
        norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
        self._moments = [t for m in norms for t in (m.running_mean, m.running_var) if t is not None]
        self._counts = [m.num_batches_tracked for m in norms if m.num_batches_tracked is not None]
        known = {id(tensor) for tensor in self._all}
        kept = torch.nn.Module.state_dict(model, keep_vars=True)
        self._others = [b for n, b in model.named_buffers() if n in kept and id(b) not in known]
        self._parts = parts
        self._before = [tensor.clone() for tensor in self._all]
        self._others_before = [tensor.clone() for tensor in self._others]
        self._sums: list[torch.Tensor] = []
        self._counted: list[torch.Tensor] = []

    @property
    def _all(self) -> list[torch.Tensor]:
        return [*self._moments, *self._counts]

    def note(self) -> None:
        """Note where they stand: before the first batch, and after each."""
        _copy(self._before, self._all)
        _copy(self._others_before, self._others)
        self._sums = []

    def part_done(self) -> None:
        """Take in what a part made of them, and put them back for the next one."""
        if self._parts == 1 or not self._before:
            return
        if self._sums:
            torch._foreach_add_(self._sums, self._moments)
        else:
            self._sums = [moment.clone() for moment in self._moments]
        self._counted = [count.clone() for count in self._counts]
        _copy(self._all, self._before)

    def end(self, world: World) -> None:
        """Move them: by the mean over all parts of all processes."""
        if self._parts == 1 or not self._before:
            return
        world.sum_(self._sums)
        torch._foreach_div_(self._sums, self._parts)
        torch._foreach_copy_([*self._moments, *self._counts], [*self._sums, *self._counted])

    def undo(self) -> None:
        """Put all back to where it was noted to stand."""
        _copy(self._all, self._before)
        _copy(self._others, self._others_before)
        self._sums = []


def _copy(targets: list[torch.Tensor], sources: list[torch.Tensor]) -> None:
    if targets:
        torch._foreach_copy_(targets, sources)
