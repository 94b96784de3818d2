"""What a stage tells a person: what it would do (`--plan`), what it has done, or in one line why it failed."""

import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.parameters import StageError
from tasks.progress import duration


@dataclass(frozen=True)
class Report:
    """What a stage did: `items_in` = `kept` + all `rejected`, counted in `unit` (singular)."""

    unit: str
    items_in: int
    kept: int
    rejected: Mapping[str, int]
    look_at: str


@dataclass(frozen=True)
class Plan:
    """What a stage would do now. Disk in bytes, beyond what is there already."""

    unit: str
    items_todo: int
    items_stored: int
    disk_needed_bytes: int = 0
    notes: tuple[str, ...] = ()


def plan_lines(address: str, plan: Plan, *, expected_s: float | None, free_bytes: int) -> Iterator[str]:
    """Yield the lines of `--plan`; `expected_s` is None where no earlier run tells."""
    time_text = "time unknown (no earlier run)" if expected_s is None else f"about {duration(expected_s)}"
    yield (
        f"{address}: {_count(plan.items_todo, plan.unit)} to do, {plan.items_stored} stored; {time_text}; "
        f"disk {format_bytes(plan.disk_needed_bytes)} needed, {format_bytes(free_bytes)} free"
    )
    for note in plan.notes:
        yield f"  {note}"


def check_report(report: Report) -> None:
    """Make sure that no item was lost: all that came in were kept or rejected."""
    rejected = sum(report.rejected.values())
    assert report.items_in == report.kept + rejected, (
        f"{report.items_in} in, but {report.kept} kept and {rejected} rejected"
    )


def closing_line(address: str, report: Report, seconds: float) -> str:
    """Return the line that ends a stage."""
    reasons = ", ".join(
        f"{reason} {count}" for reason, count in sorted(report.rejected.items(), key=lambda rc: (-rc[1], rc[0]))
    )
    rejected = f"{sum(report.rejected.values())} rejected" + (f" ({reasons})" if reasons else "")
    counts = f"{_count(report.items_in, report.unit)} in, {report.kept} kept, {rejected}"
    return f"{address}: {counts}, {duration(seconds)}; see {report.look_at}"


def failure_line(error: BaseException) -> str:
    """Return the message of an expected failure, or what broke where for any other."""
    from tasks.segments import StoreError

    if isinstance(error, (StageError, StoreError)):
        return str(error)
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    text = " ".join(str(error).split()) or "no message"
    if isinstance(error, (ValueError, OSError)) and len(text) > 20:
        return text
    frames = traceback.extract_tb(error.__traceback__)
    where = f" (at {Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{where}; set HEADRACE_DEBUG=1 or add --debug for the traceback"


def format_bytes(count: float) -> str:
    """Return a size as a person writes it, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
