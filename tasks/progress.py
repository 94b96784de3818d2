"""How far the work is: a bar with the time left on a terminal, plain lines now and then in a log."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

LINE_EVERY_S = 10.0


class Progress:
    """Counts items that end and the fractions of those under way. `unit` is the plural that people read ("videos")."""

    def __init__(
        self,
        total: int,
        unit: str,
        label: str,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self.unit = unit
        self.label = label
        self.completed = 0
        self._stream = stream or sys.stderr
        self._clock = clock
        self._begun = self._said_at = clock()
        self._said = ""
        self._fractions: dict[str, float] = {}
        self._bar = _Bar(self, self._stream) if self._stream.isatty() else None

    def update(self, item_id: str, fraction: float) -> None:
        """Say that `fraction` (0..1) of an item is done."""
        self._fractions[item_id] = fraction
        self.tick()

    def done(self, item_id: str) -> None:
        """Say that an item has ended, kept or rejected."""
        self._fractions.pop(item_id, None)
        self.completed += 1
        self.tick()

    def more(self, items: int) -> None:
        """Say that so many more items have ended, where they have no ids."""
        self.completed += items
        self.tick()

    def tick(self) -> None:
        """Show where things stand, if it is time to."""
        if self._bar is not None:
            self._bar.show()
        elif self._clock() - self._said_at >= LINE_EVERY_S:
            self._say()

    def close(self) -> None:
        """Show the last state and leave the terminal as it was."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self._say()

    @property
    def share(self) -> float:
        """The part of all items that is done, 0..1, with the fractions of those under way."""
        return min(1.0, (self.completed + sum(self._fractions.values())) / self.total) if self.total else 1.0

    @property
    def eta_s(self) -> float | None:
        """Seconds left at the pace so far; None before anything is done."""
        share = self.share
        return (self._clock() - self._begun) * (1 - share) / share if share > 0 else None

    def line(self) -> str:
        """Return e.g. `scan_video: 3/12 videos, 25 %, ETA 1 min 20 s`."""
        text = f"{self.label}: {self.completed}/{self.total} {self.unit}, {100 * self.share:.0f} %"
        if self.completed >= self.total:
            return f"{text}, took {duration(self._clock() - self._begun)}"
        return text if self.eta_s is None else f"{text}, ETA {duration(self.eta_s)}"

    def _say(self) -> None:
        self._said_at = self._clock()
        line = self.line()
        if line != self._said:
            print(line, file=self._stream, flush=True)
            self._said = line


def duration(seconds: float) -> str:
    """Return `seconds` as people say it: `9 s`, `1 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class _Bar:
    def __init__(self, progress: Progress, stream: TextIO) -> None:
        from rich import progress as rich_progress
        from rich.console import Console

        self._progress = progress
        self._rich = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}"),
            rich_progress.BarColumn(),
            rich_progress.TextColumn("{task.fields[text]}"),
            console=Console(file=stream),
            transient=True,
        )
        self._task = self._rich.add_task(progress.label, total=1.0, text="")
        self._rich.start()

    def show(self) -> None:
        text = self._progress.line().partition(": ")[2]
        self._rich.update(self._task, completed=self._progress.share, text=text)

    def close(self) -> None:
        self._rich.stop()
