"""What is wrong between files that are each sound: fields, grids and orders that differ, trajectories in two splits.

A data set is all files of one name (@dataset_name). What most of its files have is taken for right.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from tasks.physics.findings import Finding, Findings
from tasks.physics.roots import SPLITS
from tasks.physics.schema import ORDERS

NEAR = 1e-4  # of an axis' length: so near are coordinates that are the same
_SPELT = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "test": "test",
}


@dataclass(frozen=True)
class Item:
    """A file, where it lies and what it comes with. `path` is relative to its root, or an address."""

    file_id: str
    root: str  # raw, own or remote
    path: str
    location: str
    bytes: int
    identity: tuple[int, ...] | None = None  # of a local file before it was hashed
    version: str = ""  # of a listed one, as its server tells
    licence: str = "unstated"
    credit: str = ""
    url: str = ""

    @property
    def split(self) -> str:
        """train, valid or test, by the name of a folder; "" where none tells."""
        folders = reversed(PurePosixPath(self.path).parts[:-1])
        return next((_SPELT[folder.lower()] for folder in folders if folder.lower() in _SPELT), "")

    @property
    def order(self) -> tuple[int, str, str]:
        """Where it comes among all files: train first, then by path."""
        return SPLITS.index(self.split or "train"), self.root, self.path


@dataclass
class Judged:
    """A file with what was found of it: all rejects and warnings, its own and those beside others."""

    item: Item
    value: Mapping[str, Any]  # as the store has it: findings, facts, trajectories
    findings: Findings

    @property
    def facts(self) -> Mapping[str, Any]:
        facts: Mapping[str, Any] = self.value["facts"]
        return facts

    @property
    def rejected(self) -> bool:
        return self.findings.rejected


def judged(item: Item, value: Mapping[str, Any], max_frozen_share: float) -> Judged:
    """Return a file with its own findings; one that is frozen for more than a share of its steps is rejected."""
    found = Judged(item, value, Findings([Finding(**one) for one in value["findings"]]))
    if value["facts"] is None:
        return found
    steps = max(1, found.facts["trajectories"] * (found.facts["steps"] - 1))
    share = sum(one["frozen_steps"] for one in value["trajectories"]) / steps
    if share > max_frozen_share:
        what = f"{share:.1%} of all frames are equal to the one before, more than max_frozen_share allows"
        found.findings.reject("frozen", "/", what, "simulate it again, or raise ingest_well.max_frozen_share")
    if not item.split:
        remedy = "taken as train; put it into a folder named train, valid or test"
        found.findings.warn("no_split", "/", "no folder of its path names a split", remedy)
    return found


def judge_together(files: Sequence[Judged]) -> dict[str, list[str]]:
    """Add what is wrong between files; return the order of fields of each data set, by which all are to be read."""
    files = sorted(files, key=lambda one: one.item.order)
    _duplicate_files([one for one in files if not one.rejected])
    orders = {}
    for name in sorted({one.facts["dataset"] for one in files if not one.rejected}):
        own = [one for one in files if not one.rejected and one.facts["dataset"] == name]
        _unlike_fields(own)
        own = [one for one in own if not one.rejected]
        orders[name] = _field_order(own)
        _unlike_grids(own)
        _leaks(own)
    return orders


def _duplicate_files(files: Sequence[Judged]) -> None:
    first: dict[str, Judged] = {}
    for one in files:
        kept = first.setdefault(one.item.file_id, one)
        if kept is not one:
            other = f"{kept.item.path} ({kept.item.split or 'train'})"
            code = "duplicate_file" if kept.item.order[0] == one.item.order[0] else "leak"
            one.findings.reject(code, "/", f"the same bytes as {other}", "remove one of the two")


def _most(files: Sequence[Judged], key: Callable[[Judged], Any]) -> Any:
    """Return what most files have; of two that are as frequent, what the first file has."""
    return Counter(key(one) for one in files).most_common(1)[0][0]


def _same_grid(one: Judged, other: Judged) -> bool:
    """Say whether two files have the same coordinates, but for their rounding."""
    for own, others in zip(one.facts["grid"], other.facts["grid"], strict=True):
        apart = NEAR * ((max(others) - min(others)) or abs(max(others)))
        if len(own) != len(others) or any(abs(a - b) > apart for a, b in zip(own, others, strict=True)):
            return False
    return True


def _most_alike(files: Sequence[Judged], alike: Callable[[Judged, Judged], bool]) -> Judged:
    """Return the first of the files that most are like."""
    heads: list[Judged] = []
    count: Counter[int] = Counter()
    for one in files:
        place = next((place for place, head in enumerate(heads) if alike(one, head)), len(heads))
        if place == len(heads):
            heads.append(one)
        count[place] += 1
    return heads[count.most_common(1)[0][0]]


def _signature(one: Judged) -> dict[str, Any]:
    """Return what all files of a data set have alike, by what people call it."""
    facts = one.facts
    fields = {
        f["name"]: f"{ORDERS[f['order']]}, {'in time' if f['time_varying'] else 'constant'}" for f in facts["fields"]
    }
    return {
        "dimensions": " x ".join(facts["dimensions"]),
        "resolution": " x ".join(map(str, facts["resolution"])),
        "grid type": facts["grid_type"],
        "fields": ", ".join(f"{name} ({what})" for name, what in sorted(fields.items())),
        "scalars": ", ".join(sorted(s["name"] for s in facts["scalars"])),
    }


def _unlike_fields(files: Sequence[Judged]) -> None:
    common = _most(files, lambda one: tuple(_signature(one).values()))
    for one in files:
        for (name, own), most in zip(_signature(one).items(), common, strict=True):
            if own != most:
                what = f"{name}: {own or 'none'}, where most files of the data set have {most or 'none'}"
                one.findings.reject(
                    "fields_differ", "/", what, "give it a @dataset_name of its own, or write it like the others"
                )


def _field_order(files: Sequence[Judged]) -> list[str]:
    """Return the order of fields that most files have, and warn of the others."""

    def order(one: Judged) -> tuple[str, ...]:
        return tuple(f["name"] for f in one.facts["fields"])

    common = _most(files, order) if files else ()
    for one in files:
        if order(one) != common:
            what = f"lists its fields as {', '.join(order(one))}, most others as {', '.join(common)}"
            remedy = "read by name here; The Well's loader would swap channels: write @field_names alike"
            one.findings.warn("field_order", "/", what, remedy)
    return list(common)


def _unlike_grids(files: Sequence[Judged]) -> None:
    """Warn of coordinates, boundary conditions and names of parameters that most files do not have."""
    checks: dict[str, tuple[str, str, Callable[[Judged, Judged], bool]]] = {
        "coordinates_differ": ("/dimensions", "coordinates", _same_grid),
        "boundaries_differ": (
            "/boundary_conditions",
            "boundary conditions",
            lambda one, other: bool(one.facts["boundary_keys"] == other.facts["boundary_keys"]),
        ),
        "parameters_differ": (
            "/@simulation_parameters",
            "names of parameters",
            lambda one, other: set(one.facts["parameters"]) == set(other.facts["parameters"]),
        ),
    }
    for code, (at, called, alike) in checks.items():
        common = _most_alike(files, alike) if files else None
        for one in files:
            if common is not None and not alike(one, common):
                remedy = "read as its own; The Well's loader takes those of the first file for all"
                one.findings.warn(code, at, f"its {called} are not those of most files of the data set", remedy)


def _leaks(files: Sequence[Judged]) -> None:
    """Reject a file with a trajectory that an earlier split has; warn of one that its own split has in another file."""
    first: dict[str, Judged] = {}
    for one in files:
        for trajectory in one.value["trajectories"]:
            kept = first.get(trajectory["content_hash"])
            if kept is None or kept is one:
                continue
            here, there = one.item.split or "train", kept.item.split or "train"
            what = f"trajectory {trajectory['number']} is also in {kept.item.path}"
            if here != there:
                remedy = f"take it out of one of the two: {here} must hold nothing of {there}"
                one.findings.reject("leak", "/", f"{what}, which is in {there}", remedy)
            else:
                one.findings.warn("repeated_trajectory", "/", what, "both are kept; remove one")
        if not one.rejected:
            for trajectory in one.value["trajectories"]:
                first.setdefault(trajectory["content_hash"], one)
