"""Review by people: sheets to fill in, and what the filled-in ones say: accuracy and agreement.

LLM-Oasis (arXiv 2411.19655, section 3.3): each annotator marks items of their own and some that all of them share;
Fleiss' kappa (Psychological Bulletin 1971) over those that all marked. Gold is what nobody marked as wrong.
"""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

STEPS = ("extraction", "falsification", "factual", "unfactual")
COLUMNS = ("step", "item_id", "title", "passage", "given", "shown", "correct", "comment")
_RIGHT = frozenset({"v", "y", "yes", "1", "true", "ok", "\u2713", "\u2714"})
_WRONG = frozenset({"x", "n", "no", "0", "false", "wrong", "\u2717", "\u2718"})
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would work out


@dataclass(frozen=True)
class Item:
    """Something to be judged. `given` is what it was made from (a claim), `shown` what is to be marked."""

    step: str  # one of STEPS
    item_id: str
    title: str
    passage: str
    given: str
    shown: str


@dataclass(frozen=True)
class Agreement:
    """What the marks of a step say; kappa is None where no item has marks of all."""

    items: int
    marks: int
    accuracy: float  # by majority; a tie counts as wrong
    kappa: float | None
    shared: int  # items that all have marked


def sheets(items: Sequence[Item], annotators: int, shared: int) -> list[list[Item]]:
    """Return the items of each annotator: the first `shared` are everybody's, the others are dealt out in turn."""
    return [[*items[:shared], *items[shared:][n::annotators]] for n in range(annotators)]


def sheet_text(items: Iterable[Item]) -> str:
    """Return a sheet as CSV with a byte order mark, by which spreadsheets know UTF-8; no cell is a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for item in items:
        cells = (item.step, item.item_id, item.title, item.passage, item.given, item.shown)
        writer.writerow([*map(_neutral, cells), "", ""])
    return "\ufeff" + out.getvalue()


def _neutral(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


@dataclass(frozen=True)
class Marks:
    """Marks by step and item, in the order of the sheets. `stale` counts those of what is no longer there as it was."""

    by_step: Mapping[str, Mapping[str, Sequence[bool]]]
    stale: int


def read_marks(paths: Iterable[Path], items: Iterable[Item]) -> Marks:
    """Return the marks of filled-in sheets, one file an annotator; unmarked rows are left out.

    `items` is all that could be judged today: a mark on something that is not among it, or that reads otherwise now,
    is not counted. Raises ValueError, naming file and line, for a mark that is neither right (v, yes, 1) nor wrong (x,
    no, 0) or of no step and item, and for a file that is no CSV or lacks the columns.
    """
    today = {(item.step, item.item_id): _compared(item.shown) for item in items}
    found: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    stale = 0
    for path in paths:
        if path.suffix.lower() != ".csv":
            raise ValueError(f"{path.name}: no CSV: save the sheet as one, or remove it")
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path.name}: {error}: save it as UTF-8") from None
        dialect = ";" if text.partition("\n")[0].count(";") > text.partition("\n")[0].count(",") else ","
        rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=dialect)
        if missing := {"step", "item_id", "shown", "correct"} - set(rows.fieldnames or ()):
            raise ValueError(
                f"{path.name}: no column {', '.join(sorted(missing))}: keep the head of the sheet as it was"
            )
        seen: set[tuple[str, str]] = set()
        for row in _rows(rows, path.name):
            mark = (row["correct"] or "").strip().lower()
            if not mark:
                continue
            if mark not in _RIGHT | _WRONG:
                raise ValueError(f"{path.name}, line {rows.line_num}: correct is '{mark}': v (right) or x (wrong)")
            if row["step"] not in STEPS or not row["item_id"]:
                raise ValueError(
                    f"{path.name}, line {rows.line_num}: marked, but of no step and item: keep the columns of the sheet"
                )
            key = (row["step"], row["item_id"].removeprefix("'"))
            if key in seen:
                raise ValueError(f"{path.name}, line {rows.line_num}: item {key[1]} is marked twice")
            seen.add(key)
            if today.get(key) != _compared((row["shown"] or "").removeprefix("'")):
                stale += 1
                continue
            found[key[0]][key[1]].append(mark in _RIGHT)
    return Marks({step: dict(of_step) for step, of_step in found.items()}, stale)


def _compared(shown: str) -> str:
    """Return a text as spreadsheets leave it alone: without its first sign's guard, blanks and line ends as one."""
    return " ".join(shown.removeprefix("'").split())


def _rows(rows: "csv.DictReader[str]", name: str) -> Iterator[dict[str, str]]:
    try:
        yield from rows
    except csv.Error as error:  # a quotation mark without its other, say
        raise ValueError(f"{name}, from line {rows.line_num} on: {error}: save it as CSV again") from None


def agreement(marks: Mapping[str, Sequence[bool]]) -> Agreement:
    """Return accuracy and kappa of a step's marks, by item."""
    most = max((len(found) for found in marks.values()), default=0)
    shared = [found for found in marks.values() if len(found) == most] if most > 1 else []
    right = sum(2 * sum(found) > len(found) for found in marks.values())
    count = sum(len(found) for found in marks.values())
    return Agreement(len(marks), count, right / len(marks), fleiss_kappa(shared) if shared else None, len(shared))


def fleiss_kappa(items: Sequence[Sequence[object]]) -> float | None:
    """Return Fleiss' kappa of items with the same number (two or more) of ratings; None where all ratings are one."""
    raters = len(items[0])
    counts = [Counter(ratings) for ratings in items]
    agreed = sum(sum(n * (n - 1) for n in count.values()) for count in counts) / (len(items) * raters * (raters - 1))
    total: Counter[object] = sum(counts, Counter())
    chance = sum((n / (len(items) * raters)) ** 2 for n in total.values())
    return (agreed - chance) / (1 - chance) if chance < 1 else None
