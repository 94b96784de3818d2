"""What is wrong with the structure of a file in The Well's layout (arXiv 2412.00568): all of it, not the first thing.

Each finding is a reject (the file cannot be used, or what it means cannot be known) or a warning (read as it was meant,
but a person should hear of it). Nothing is allocated by a shape that the file only declares.
"""

import re
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from tasks.physics.field_faults import boundary_faults, field_faults, length_faults, scalar_faults
from tasks.physics.findings import Declared, Finding, Findings, readable, text_of, texts_of
from tasks.physics.schema import GRIDS, ORDERS, LayoutError, attribute, flag, member
from tasks.physics.schema import whole as whole_number

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")
MAX_OBJECTS = 2_000  # links that are looked at; The Well's files have some thirty
MAX_COORDINATES = 1 << 22  # of one axis
_GROUPS = ("boundary_conditions", "dimensions", "scalars", *ORDERS)


def inspect(file: h5py.File) -> list[Finding]:
    """Return all findings about the structure of an open file. No field is read."""
    findings, declared = Findings(), Declared()
    groups = _links(file, findings)
    _root(file, findings, declared)
    if "dimensions" in groups:
        _dimensions(groups["dimensions"], findings, declared)
    names: dict[str, str] = {}
    fields = 0
    for order, group in enumerate(ORDERS):
        for name, data in _listed(groups, group, findings, names):
            fields += field_faults(data, order, f"/{group}/{name}", findings, declared)
    for name, data in _listed(groups, "scalars", findings, names):
        scalar_faults(data, f"/scalars/{name}", file, findings, declared)
    if "boundary_conditions" in groups:
        boundary_faults(groups["boundary_conditions"], findings, declared)
    if not fields and not findings.rejected:
        findings.reject("no_fields", "/", "no field varies in time", "write the fields that are simulated")
    length_faults(findings, declared)
    return findings.found


# --- links ------------------------------------------------------------------------------------------------------


def _links(file: h5py.File, findings: Findings) -> dict[str, h5py.Group]:
    """Look at all links without following one to another file; return the layout's groups that can be opened."""
    groups: dict[str, h5py.Group] = {}
    count = 0
    todo: list[tuple[str, h5py.Group]] = [("", file)]
    seen = {h5py.h5o.get_info(file.id).addr}
    while todo:
        path, owner = todo.pop()
        for name in owner:
            count += 1
            if count > MAX_OBJECTS:
                findings.reject("too_many", "/", f"more than {MAX_OBJECTS} objects", "write only The Well's groups")
                return groups
            at = f"{path}/{name}"
            found = _linked(owner, name, at, findings)
            if path == "" and name in _GROUPS and isinstance(found, h5py.Group):
                groups[name] = found
            if path == "" and name not in _GROUPS:
                findings.warn("unlisted", at, "no object of The Well's layout", "it is left out: nothing reads it")
            if isinstance(found, h5py.Group):
                address = h5py.h5o.get_info(found.id).addr
                if address not in seen:  # hard links may form rings
                    seen.add(address)
                    todo.append((at, found))
    for name in _GROUPS:
        if name not in groups and not any(one.at == f"/{name}" for one in findings.found):
            what = "is no group" if name in file else "is missing"
            findings.reject("missing", f"/{name}", f"the group {what}", "write it, empty where there is nothing in it")
    return groups


def _linked(owner: h5py.Group, name: str, at: str, findings: Findings) -> Any:
    """Return the object behind a link, None where there is none or it lies in another file."""
    link = owner.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        what = f"a link to {link.path} of another file, {link.filename}"
        findings.reject("external_link", at, what, "copy the object into this file")
        return None
    if isinstance(link, h5py.SoftLink) and not _leads_to_object(owner, link.path):
        what = f"a link to {link.path}, which is no object of this file"
        findings.reject("soft_link", at, what, "write the object itself")
        return None
    try:
        found = owner.get(name)
    except (OSError, RuntimeError, ValueError) as error:
        findings.reject("damaged", at, f"cannot be opened ({error})", "fetch or write the file again")
        return None
    if isinstance(link, h5py.SoftLink):
        findings.warn("soft_link", at, f"a link to {link.path}", "it is read as that; better write the object itself")
    elif found is None:
        findings.reject("damaged", at, "cannot be opened", "fetch or write the file again")
    return found


def _leads_to_object(owner: h5py.Group, path: str) -> bool:
    """Say whether a link's path leads to an object over hard links alone: none that could end in another file."""
    place: Any = owner.file if path.startswith("/") else owner
    for name in filter(None, path.split("/")):
        if not isinstance(place, h5py.Group) or not isinstance(place.get(name, getlink=True), h5py.HardLink):
            return False
        place = place.get(name)
    return isinstance(place, h5py.Group | h5py.Dataset)


def _listed(
    groups: dict[str, h5py.Group], group: str, findings: Findings, names: dict[str, str]
) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield the datasets that @field_names of a group lists; `names` has what was listed before, and where."""
    if group not in groups:
        return
    owner, at = groups[group], f"/{group}"
    listed = texts_of(owner, "field_names", at, findings)
    if listed is None:
        return
    for name in listed:
        if name in names:
            what = f"{name} stands in {names[name]} and in {at}"
            if names[name] == at:
                what = f"{name} is listed twice in @field_names"
            findings.reject("duplicate_name", f"{at}/{name}", what, "give each field and scalar a name of its own")
            continue
        names[name] = at
        if any(one.at == f"{at}/{name}" for one in findings.found if one.severity == "reject"):
            continue  # what its link is was told
        data = findings.tried(lambda name=name: member(owner, name, h5py.Dataset, at=at))  # type: ignore[misc]
        if data is not None:
            yield name, data
    for name in sorted(set(owner) - set(listed)):
        findings.warn("unlisted", f"{at}/{name}", "stands in no @field_names", "add it there, or it is left out")


# --- root and dimensions ----------------------------------------------------------------------------------------


def _root(file: h5py.File, findings: Findings, declared: Declared) -> None:
    name = text_of(file, "dataset_name", "/", findings)
    if name is not None and not NAME.fullmatch(name):
        remedy = "letters, digits and . _ - : a folder is named so"
        findings.reject("dataset_name", "/@dataset_name", f"is {name!r:.80}", remedy)
    grid = text_of(file, "grid_type", "/", findings)
    if grid is not None and grid not in GRIDS:
        findings.warn("grid_type", "/@grid_type", f"{grid!r} is none that is known", f"one of {', '.join(GRIDS)}")
    declared.trajectories = findings.tried(lambda: whole_number(file, "n_trajectories", at="/"))
    if declared.trajectories is not None and declared.trajectories < 1:
        what = f"{declared.trajectories} trajectories"
        findings.reject("n_trajectories", "/@n_trajectories", what, "write at least one")
        declared.trajectories = None
    for name in texts_of(file, "simulation_parameters", "/", findings) or ():
        value = findings.tried(lambda name=name: attribute(file, name, at="/"))  # type: ignore[misc]
        if value is None:
            continue
        number = np.asarray(value)
        if number.size != 1 or number.dtype.kind not in "biuf":
            findings.warn("parameter", f"/@{name}", f"{value!r:.40} is no number", "it is left out of the catalog")
        elif not np.isfinite(number.ravel()[0]):
            findings.reject("non_finite", f"/@{name}", f"the parameter is {number.ravel()[0]}", "write its value")


def _dimensions(owner: h5py.Group, findings: Findings, declared: Declared) -> None:
    names = texts_of(owner, "spatial_dims", "/dimensions", findings)
    count = findings.tried(lambda: whole_number(owner.file, "n_spatial_dims", at="/"))
    if names is not None:
        declared.dimensions = names
        if len(set(names)) < len(names) or "time" in names or not 1 <= len(names) <= 3:
            what = f"the dimensions are {', '.join(names) or 'none'}"
            findings.reject("dimensions", "/dimensions@spatial_dims", what, "name one, two or three, each once")
            declared.dimensions = ()
        elif count is not None and count != len(names):
            what = f"is {count}, but spatial_dims names {len(names)}"
            findings.reject("dimensions", "/@n_spatial_dims", what, "make them agree")
    time = _axis(owner, "time", findings, declared)
    if time is not None:
        declared.steps = time.shape[-1]
        _check_time(time, findings)
    for name in declared.dimensions:
        grid = _axis(owner, name, findings, declared)
        if grid is not None:
            declared.sizes[name] = grid.shape[-1]
            _check_grid(grid, name, findings)
    known = {"time", *(names or ())}
    for name in sorted(set(owner) - known):
        findings.warn("unlisted", f"/dimensions/{name}", "no axis that spatial_dims names", "it is left out")


def _axis(owner: h5py.Group, name: str, findings: Findings, declared: Declared) -> np.ndarray | None:
    """Return the coordinates of time or of a spatial dimension, (length,) or (B, length); None where there are none."""
    at = f"/dimensions/{name}"
    if any(one.at == at and one.severity == "reject" for one in findings.found):
        return None
    data = findings.tried(lambda: member(owner, name, h5py.Dataset, at="/dimensions"))
    if data is None or not readable(data, at, findings):
        return None
    if data.ndim not in (1, 2) or not data.shape[-1]:
        what = f"shape {data.shape}"
        findings.reject("axis_shape", at, what, "write a coordinate for each point: (length,) or (B, length)")
        return None
    if data.shape[-1] > MAX_COORDINATES:
        findings.reject("absurd_shape", at, f"{data.shape[-1]} points along one axis", "write the axis of the fields")
        return None
    if data.ndim == 2 and declared.trajectories is not None and data.shape[0] != declared.trajectories:
        what = f"coordinates of {data.shape[0]} trajectories, but n_trajectories is {declared.trajectories}"
        findings.reject("axis_shape", at, what, "write a row for each trajectory, or one for all")
    wanted = {"sample_varying": data.ndim == 2, "time_varying": name == "time"}
    for attr, value in wanted.items():
        try:
            stated = flag(data, attr, at=at)
        except LayoutError:
            findings.warn("flag", f"{at}@{attr}", "is missing or no boolean", f"taken as {value}, by the shape")
            continue
        if stated != value and attr == "time_varying" and name != "time":
            findings.reject("moving_grid", f"{at}@{attr}", "a grid that moves in time", "write one that is fixed")
        elif stated != value:
            findings.warn("flag", f"{at}@{attr}", f"is {stated}, the shape {data.shape}", f"taken as {value}")
    return np.asarray(data[()]).astype(np.float64)


def _check_time(time: np.ndarray, findings: Findings) -> None:
    at = "/dimensions/time"
    bad = np.flatnonzero(~np.isfinite(np.atleast_2d(time)).all(axis=0))
    if len(bad):
        findings.reject("time_not_finite", at, f"NaN or Inf at step {bad[0]}", "write the time of every frame")
        return
    steps = np.diff(time, axis=-1)
    if (steps <= 0).any():
        first = int(np.argwhere(np.atleast_2d(steps) <= 0)[0][-1])
        what = f"does not increase from step {first} to {first + 1}"
        findings.reject("time_order", at, what, "write frames in the order of time, each once")


def _check_grid(grid: np.ndarray, name: str, findings: Findings) -> None:
    at = f"/dimensions/{name}"
    if not np.isfinite(grid).all():
        findings.reject("grid_not_finite", at, "NaN or Inf among the coordinates", "write where each point lies")
        return
    steps = np.atleast_2d(np.diff(grid, axis=-1))
    rising, falling = (steps > 0).all(), (steps < 0).all()
    if not rising and not falling:
        signs = np.sign(steps) != np.sign(np.median(steps))
        first = int(np.argwhere(signs)[0][-1]) if signs.any() else 0
        what = f"the coordinates are not in order (points {first} and {first + 1})"
        findings.reject("grid_order", at, what, "sort the axis, and the fields along it")
    elif falling and steps.size:
        findings.warn("grid_falling", at, "the coordinates fall", "read as they are; The Well's own grids rise")
