"""What was found wrong with a file: rejects and warnings, each with the object, the fault and the remedy."""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar

import h5py
import numpy as np

from tasks.physics.extents import extent_fault, number_type
from tasks.physics.schema import LayoutError, attribute, text, texts

T = TypeVar("T")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: with which object of the file, what, and what to do."""

    severity: Literal["reject", "warn"]
    code: str
    at: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.at}: {self.what}; {self.remedy}"

    def as_dict(self) -> dict[str, str]:
        """Return it as plain values, for the store."""
        return asdict(self)


@dataclass
class Findings:
    """All that was found so far."""

    found: list[Finding] = field(default_factory=list)

    def reject(self, code: str, at: str, what: str, remedy: str) -> None:
        self.found.append(Finding("reject", code, at, what, remedy))

    def warn(self, code: str, at: str, what: str, remedy: str) -> None:
        self.found.append(Finding("warn", code, at, what, remedy))

    def error(self, error: LayoutError) -> None:
        self.reject(error.code, error.at, error.what, error.remedy)

    def tried(self, ask: Callable[[], T]) -> T | None:
        """Return what `ask` returns; a LayoutError becomes a reject, and None."""
        try:
            return ask()
        except LayoutError as error:
            self.error(error)
            return None

    @property
    def rejects(self) -> list[Finding]:
        return [one for one in self.found if one.severity == "reject"]

    @property
    def warnings(self) -> list[Finding]:
        return [one for one in self.found if one.severity == "warn"]

    @property
    def rejected(self) -> bool:
        return bool(self.rejects)


@dataclass
class Declared:
    """The lengths that fields must have; None where the file does not say."""

    trajectories: int | None = None
    steps: int | None = None
    dimensions: tuple[str, ...] = ()
    sizes: dict[str, int] = field(default_factory=dict)
    wrong: list[tuple[str, str, int, int]] = field(default_factory=list)  # field, axis, wanted, found
    having: Counter[str] = field(default_factory=Counter)  # how many fields have this axis


def readable(data: h5py.Dataset, at: str, findings: Findings, *, field: bool = False) -> bool:
    """Say whether the values can be read; of a field, warn where they are no float32 of this machine."""
    if fault := extent_fault(data):
        findings.reject(fault.code, at, fault.what, fault.remedy)
        return False
    if field and 0 in data.shape:
        findings.reject("shape", at, f"shape {data.shape}: there is nothing in it", "write the field")
        return False
    dtype = number_type(data)
    assert dtype is not None, "what has no number type has an extent fault"
    if field and dtype.kind == "f" and dtype.itemsize == 8:
        findings.warn("float64", at, "float64 values", "read as float32; write float32")
    elif field and dtype != np.float32 and dtype.newbyteorder("=") != np.float32:
        findings.warn("other_type", at, f"{dtype.name} values", "read as float32; write float32")
    if field and dtype.itemsize > 1 and not dtype.isnative:
        findings.warn("byte_order", at, f"numbers stored as {dtype.str}", "read rightly here; write them as <f4")
    return True


def text_of(owner: Any, name: str, at: str, findings: Findings) -> str | None:
    return findings.tried(lambda: text(_string(owner, name, at, findings), at=f"{at}@{name}"))


def texts_of(owner: Any, name: str, at: str, findings: Findings) -> tuple[str, ...] | None:
    return findings.tried(lambda: texts(_string(owner, name, at, findings), at=f"{at}@{name}"))


def _string(owner: Any, name: str, at: str, findings: Findings) -> Any:
    """Return an attribute that holds strings; warn of bytes of a fixed length, which break other loaders."""
    value = attribute(owner, name, at=at)
    if isinstance(value, bytes) or (isinstance(value, np.ndarray) and value.dtype.kind == "S"):
        findings.warn("byte_strings", f"{at}@{name}", "bytes of a fixed length", "read as text; write UTF-8 strings")
    return value
