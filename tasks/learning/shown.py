"""How far training is, for people: steps, and the time left at the pace of this run alone."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from tasks.progress import Progress


class StepProgress(Progress):
    """Counts steps. Those that an earlier run took say nothing about the pace."""

    first = 0  # steps that were taken before this run

    @property
    def eta_s(self) -> float | None:
        """Seconds left at the pace so far; None before anything is done."""
        done = self.completed - self.first
        return (self._clock() - self._begun) * (self.total - self.completed) / done if done > 0 else None


@contextlib.contextmanager
def shown(label: str, **options: Any) -> Iterator[Callable[[int, int], None]]:
    """Give a `progress` for `train` that shows a bar or plain lines; `options` are those of `Progress`.

    However `with` ends, the terminal is as it was.
    """
    bar: StepProgress | None = None
    closed = False

    def progress(step: int, total: int) -> None:
        nonlocal bar, closed
        if bar is None:
            bar = StepProgress(total, "steps", label, **options)
            bar.first = step
        bar.completed, bar.total = step, total
        if step < total:
            bar.tick()
        elif not closed:
            closed = True
            bar.close()

    try:
        yield progress
    finally:
        if bar is not None and not closed:
            bar.close()
