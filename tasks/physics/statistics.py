"""What a file of The Well holds, from one pass over it: statistics, hashes of its trajectories, faults of its content.

Statistics are those of The Well's stats.yaml (its compute_statistics): population moments of each component and of its
steps in time. Memory does not grow with the file.
"""

import contextlib
import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import h5py
import numpy as np
import xxhash

from tasks.physics.faults import inspect
from tasks.physics.findings import Finding, Findings
from tasks.physics.moments import Moments, merged
from tasks.physics.opening import open_well, told_by_hdf5
from tasks.physics.schema import LayoutError, Variable, WellFile, read_layout
from tasks.physics.sweep import NotFinite, Scratch, Sweep, not_finite, sweep

SMALL_STD = 1e-4  # The Well's normalisation divides by no less
MAX_MASK_BYTES = 256 << 20
THUMBNAIL_PX = 96
SHARED = -1  # for a trajectory, of a field that is the same for all


@dataclass(frozen=True)
class Trajectory:
    """One trajectory: a hash of all its fields that vary in time, and how many of its frames are no new ones."""

    number: int
    content_hash: str  # 32 hex digits
    frozen_steps: int  # frames equal to the one before, in all fields
    repeated_frames: int  # frames equal to an earlier one that is not the one before


@dataclass(frozen=True)
class FieldMoments:
    """Moments of a component of a field in one trajectory (or `SHARED`)."""

    trajectory: int
    field: str
    component: int
    values: Moments
    deltas: Moments  # of its steps in time; none for a constant


@dataclass
class Examined:
    """All that one pass over a file gives. `layout` is None, and the lists are empty, where it was rejected."""

    findings: list[Finding]
    layout: WellFile | None = None
    trajectories: list[Trajectory] = field(default_factory=list)
    moments: list[FieldMoments] = field(default_factory=list)
    scalars: dict[str, np.ndarray] = field(default_factory=dict)  # float64, () or (B,): those that time does not change
    thumbnail: np.ndarray | None = None  # float32 (height, width)

    @property
    def rejected(self) -> bool:
        return any(one.severity == "reject" for one in self.findings)


def declared(location: str) -> WellFile | None:
    """Return what a file declares (a path, or an fsspec URL), None where its structure is not sound.

    No field is read. Raises OSError with a number where the system cannot read it.
    """
    findings = Findings()
    with _told(findings), open_well(location) as file:
        return _structure(location, file, findings)
    return None


def examine(location: str, progress: Callable[[float], None] = lambda share: None) -> Examined:
    """Look at all of a file (a path, or an fsspec URL): its structure, and where that is sound its content, once.

    Raises OSError with a number where the system cannot read it.
    """
    findings = Findings()
    with _told(findings), open_well(location) as file:
        layout = _structure(location, file, findings)
        if layout is not None:
            return _Pass(file, layout, findings, progress).run()
    return Examined(findings.found)


def _structure(location: str, file: h5py.File, findings: Findings) -> WellFile | None:
    findings.found += inspect(file)
    return None if findings.rejected else read_layout(location, file)


@contextlib.contextmanager
def _told(findings: Findings) -> Iterator[None]:
    """Make a reject of what shows that a file is damaged; trouble of the system, and faults of our own, are raised."""
    try:
        yield
    except LayoutError as error:
        findings.error(error)
    except OSError as error:
        if error.errno is not None:
            raise
        findings.reject("damaged", "/", f"cannot be read ({error})", "fetch or write it again")
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        if not told_by_hdf5(error):
            raise
        findings.reject("damaged", "/", f"HDF5 cannot make sense of it ({error})", "fetch or write it again")


class _Pass:
    """The pass over the fields of one file."""

    def __init__(
        self, file: h5py.File, layout: WellFile, findings: Findings, progress: Callable[[float], None]
    ) -> None:
        self._file, self._layout, self._findings, self._progress = file, layout, findings, progress
        self._frames: list[dict[str, list[bytes]]] = [{} for _ in range(layout.trajectories)]
        self._moments: list[FieldMoments] = []
        self._told: dict[tuple[str, str, str], list[tuple[int, str, str]]] = defaultdict(list)
        self._masks = [one for one in layout.constants() if one.order == 0 and "mask" in one.name.lower()]
        self._scratch = Scratch()
        self._sizes = [math.prod(one.shape) for one in layout.fields]

    def run(self) -> Examined:
        done = 0
        for variable, size in zip(self._layout.fields, self._sizes, strict=True):
            numbers = range(self._layout.trajectories) if variable.sample_varying else range(1)
            data = self._file[variable.path]
            for number in numbers:
                self._one(data, variable, number)
                self._progress((done + size * (number + 1) / len(numbers)) / sum(self._sizes))
            done += size
        self._tell()
        if self._findings.rejected:
            return Examined(self._findings.found)
        trajectories = [self._trajectory(number) for number in range(self._layout.trajectories)]
        self._judge(trajectories)
        found, layout = self._findings.found, self._layout
        return Examined(found, layout, trajectories, self._moments, self._scalars(), self._thumbnail())

    def _one(self, data: h5py.Dataset, variable: Variable, number: int) -> None:
        at = f"/{variable.path}"
        try:
            found = self._swept(data, variable, number)
        except NotFinite as error:
            self._note(
                "reject", "non_finite", at, number, error.what, "write numbers, or a mask that is constant in time"
            )
            return
        except OSError as error:
            if error.errno is not None:
                raise
            self._note("reject", "damaged", at, number, f"cannot be read ({error})", "fetch or write the file again")
            return
        shown = number if variable.sample_varying else SHARED
        deltas = found.deltas if variable.time_varying else [Moments()] * len(found.values)
        for component, (values, steps) in enumerate(zip(found.values, deltas, strict=True)):
            self._moments.append(FieldMoments(shown, variable.name, component, values, steps))
        if not variable.time_varying:
            return
        if all(one.low == one.high for one in found.values):
            remedy = "read as it is; look whether the simulation failed"
            self._note("warn", "constant", at, number, "one value in all of space and time", remedy)
        for trajectory in [number] if variable.sample_varying else range(self._layout.trajectories):
            self._frames[trajectory][variable.name] = found.frames

    def _swept(self, data: h5py.Dataset, variable: Variable, number: int) -> Sweep:
        keep = self._keep(data, variable, number) if self._masks else None
        found = sweep(data, variable, number, keep, self._scratch)
        if keep is not None:
            what = f"NaN at {int((~keep).sum())} masked points"
            remedy = "left out of the statistics; a reader gives them as they are"
            self._note("warn", "masked", f"/{variable.path}", number, what, remedy)
        return found

    def _keep(self, data: h5py.Dataset, variable: Variable, number: int) -> np.ndarray | None:
        """Return where values count, if the first frame has NaN just where a mask has one of its two values."""
        bad = not_finite(data, variable, number)
        if not bad.any():
            return None
        for mask in self._masks:
            if 4 * math.prod(mask.shape) > MAX_MASK_BYTES or mask.space != variable.space:
                continue
            values = np.asarray(self._file[mask.path][number if mask.sample_varying else ()]).ravel()
            levels = np.unique(values)
            if len(levels) == 2 and any(np.array_equal(bad, values == level) for level in levels):
                return ~bad
        return None

    def _note(self, severity: str, code: str, at: str, number: int, what: str, remedy: str) -> None:
        self._told[severity, code, at].append((number, what, remedy))

    def _tell(self) -> None:
        """Make one finding of what was noted of several trajectories."""
        for (severity, code, at), notes in self._told.items():
            number, what, remedy = notes[0]
            more = f" (and {len(notes) - 1} more)" if len(notes) > 1 else ""
            tell = self._findings.reject if severity == "reject" else self._findings.warn
            tell(code, at, f"trajectory {number}{more}: {what}", remedy)

    def _trajectory(self, number: int) -> Trajectory:
        fields = self._frames[number]
        digest = xxhash.xxh3_128(f"{self._layout.steps} {self._layout.resolution}".encode())
        for name in sorted(fields):
            digest.update(f"\n{name}\n".encode())
            digest.update(b"".join(fields[name]))
        frames = [b"".join(parts) for parts in zip(*fields.values(), strict=True)]
        frozen = sum(one == before for before, one in itertools.pairwise(frames))
        return Trajectory(number, digest.hexdigest(), frozen, len(frames) - len(set(frames)) - frozen)

    def _judge(self, trajectories: list[Trajectory]) -> None:
        """Warn of what is strange in the whole."""
        warn, steps = self._findings.warn, self._layout.steps
        for count, code, what in (
            ([one.frozen_steps for one in trajectories], "frozen", "equal to the frame before"),
            ([one.repeated_frames for one in trajectories], "repeated_frames", "equal to an earlier frame"),
        ):
            having = [one.number for one, number in zip(trajectories, count, strict=True) if number]
            if having:
                shown = f"trajectory {having[0]}" + (f" (and {len(having) - 1} more)" if having[1:] else "")
                told = f"{shown}: {count[having[0]]} of {steps} frames are {what}, in all fields"
                warn(code, "/", told, "kept; look whether the simulation hung, or its writer")
        seen: dict[str, int] = {}
        for one in trajectories:
            first = seen.setdefault(one.content_hash, one.number)
            if first != one.number:
                what = f"trajectory {one.number} is the same as trajectory {first}"
                warn("repeated_trajectory", "/", what, "both are kept; remove one")
        for variable in self._layout.fields:
            whole = totals(self._moments, variable.name, self._layout.trajectories)
            for (values, deltas), channel in zip(whole, variable.channels(self._layout.dimensions), strict=True):
                if 0 < values.std < SMALL_STD:
                    remedy = "The Well's normalisation divides by at least 1e-4: scale the field"
                    warn("small_std", f"/{variable.path}", f"{channel} has std {values.std:.3g}", remedy)
                if variable.time_varying and values.std >= SMALL_STD > deltas.std > 0:
                    remedy = "targets that are differences are divided by at least 1e-4: take a larger time step"
                    warn("small_std", f"/{variable.path}", f"steps of {channel} have std {deltas.std:.3g}", remedy)
            self._judge_symmetry(variable, [values for values, _ in whole])

    def _judge_symmetry(self, variable: Variable, whole: list[Moments]) -> None:
        dims = len(self._layout.dimensions)
        for word, sign in (("symmetric", 1.0), ("antisymmetric", -1.0)):
            if variable.order != 2 or not getattr(variable, word):
                continue
            for row in range(dims):
                for column in range(row + 1):
                    one, other = whole[row * dims + column], whole[column * dims + row]
                    tolerance = 1e-5 * max(one.rms, other.rms)
                    unlike = abs(one.mean - sign * other.mean) > tolerance or abs(one.std - other.std) > tolerance
                    if unlike:
                        what = f"@{word} is True, the components [{row},{column}] and [{column},{row}] say otherwise"
                        remedy = "read as stored; correct the attribute"
                        self._findings.warn("not_symmetric", f"/{variable.path}", what, remedy)
                        return

    def _scalars(self) -> dict[str, np.ndarray]:
        wanted = [one for one in self._layout.scalars if not one.time_varying]
        return {one.name: np.asarray(self._file[one.path][()], np.float64) for one in wanted}

    def _thumbnail(self) -> np.ndarray | None:
        """Return a small picture of the first field that varies in time, in the middle of time and of further axes."""
        variable = next(self._layout.of_time())
        place: list[int | slice] = [0] if variable.sample_varying else []
        place.append(self._layout.steps // 2)
        lengths = variable.shape[len(place) : len(variable.shape) - variable.order]
        for axis, length in enumerate(lengths):
            place.append(slice(0, length, -(-length // THUMBNAIL_PX)) if axis < 2 else length // 2)
        picture = np.asarray(self._file[variable.path][(*place, *[0] * variable.order)], np.float32)
        return np.atleast_2d(picture)


def totals(moments: list[FieldMoments], name: str, trajectories: int) -> list[tuple[Moments, Moments]]:
    """Return moments of values and of steps of each component of a field, over all trajectories of a file.

    What is the same for all trajectories counts once for each.
    """
    components = 1 + max((one.component for one in moments if one.field == name), default=-1)
    found = []
    for component in range(components):
        own = [one for one in moments if one.field == name and one.component == component]
        repeats = [trajectories if one.trajectory == SHARED else 1 for one in own]
        values = merged(one.values.times(count) for one, count in zip(own, repeats, strict=True))
        deltas = merged(one.deltas.times(count) for one, count in zip(own, repeats, strict=True))
        found.append((values, deltas))
    return found
