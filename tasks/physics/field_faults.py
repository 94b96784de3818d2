"""What is wrong with fields, scalars and boundary conditions of a file: types, shapes, masks. No field is read."""

from collections.abc import Sequence

import h5py
import numpy as np

from tasks.physics.findings import Declared, Findings, readable, text_of, texts_of
from tasks.physics.schema import KINDS, attribute, flag, member, stored_space


def field_faults(data: h5py.Dataset, order: int, at: str, findings: Findings, declared: Declared) -> bool:
    """Check a field; say whether it varies in time."""
    sample = findings.tried(lambda: flag(data, "sample_varying", at=at))
    time = findings.tried(lambda: flag(data, "time_varying", at=at))
    along = findings.tried(lambda: attribute(data, "dim_varying", at=at))
    can_be_read = readable(data, at, findings, field=True)
    if order == 2:
        for name in ("symmetric", "antisymmetric"):
            if name not in data.attrs:
                findings.warn("flag", f"{at}@{name}", "is missing", "taken as False")
    if along is None or sample is None or time is None or not can_be_read:
        return bool(time)
    varying = np.asarray(along).ravel()
    if varying.dtype.kind not in "biu" or not np.isin(varying, (0, 1)).all():
        findings.reject("attribute", f"{at}@dim_varying", f"{varying!r:.60} are no booleans", "write True or False")
        return time
    if declared.dimensions and len(varying) != len(declared.dimensions):
        what = f"{len(varying)} entries for {len(declared.dimensions)} dimensions"
        findings.reject("attribute", f"{at}@dim_varying", what, "give one for each dimension")
        return time
    if declared.dimensions:
        _check_shape(data, at, [bool(one) for one in varying], sample, time, order, findings, declared)
    return time


def _check_shape(
    data: h5py.Dataset,
    at: str,
    varying: Sequence[bool],
    sample: bool,
    time: bool,
    order: int,
    findings: Findings,
    declared: Declared,
) -> None:
    """Compare a shape with what the file declares; note axes of another length, which may be wrong in all fields."""
    dims = len(declared.dimensions)
    before = [*(["trajectory"] if sample else []), *(["time"] if time else [])]
    known: dict[str, int | None] = {"trajectory": declared.trajectories, "time": declared.steps}
    known |= {name: declared.sizes.get(name) for name in declared.dimensions}
    names = [*before, *declared.dimensions, *["component"] * order]
    lengths = [*(known[name] for name in (*before, *declared.dimensions)), *[dims] * order]
    if None not in lengths:
        sizes = [declared.sizes[name] for name in declared.dimensions]
        leading = [length for length in lengths[: len(before)] if length is not None]
        space = stored_space(data.shape, leading, sizes, varying, (dims,) * order)
        if space is not None:
            whole = [name for name, stored in zip(declared.dimensions, space, strict=True) if stored == "full"]
            declared.having.update([*before, *whole])
            return
    dropped = {name for name, varies in zip(declared.dimensions, varying, strict=True) if not varies}
    for leave_out in (set(), dropped):
        axes = [(name, length) for name, length in zip(names, lengths, strict=True) if name not in leave_out]
        if len(axes) == data.ndim:
            break
    else:
        told = ", ".join(name for name in names if name not in dropped)
        what = f"{data.ndim} axes, shape {data.shape}, where ({told}) are declared"
        findings.reject("shape", at, what, "write these axes, or correct @sample_varying, @time_varying, @dim_varying")
        return
    for (name, wanted), found in zip(axes, data.shape, strict=True):
        if name in dropped and found == 1:
            continue
        declared.having[name] += 1
        if wanted is not None and found != wanted:
            declared.wrong.append((at, name, wanted, found))


def length_faults(findings: Findings, declared: Declared) -> None:
    """Tell of axes with a wrong length: once, where all fields agree on another than the file declares."""
    for axis in dict.fromkeys(name for _, name, _, _ in declared.wrong):
        wrong = [one for one in declared.wrong if one[1] == axis]
        wanted, found = wrong[0][2], wrong[0][3]
        if axis != "component" and len({one[3] for one in wrong}) == 1 and len(wrong) == declared.having[axis]:
            where = {"trajectory": "/@n_trajectories"}.get(axis, f"/dimensions/{axis}")
            code = {"trajectory": "n_trajectories", "time": "time_length"}.get(axis, "axis_length")
            unit = {"trajectory": "trajectories", "time": "steps"}.get(axis, "points")
            what = f"{wanted} {unit} are declared, the fields have {found}"
            findings.reject(code, where, what, "correct what is wrong of the two")
            continue
        for at, _, wanted, found in wrong:
            what = f"{found} along {axis} where {wanted} are declared"
            findings.reject("shape", at, what, "write the field whole, with the axes that the file declares")


def scalar_faults(data: h5py.Dataset, at: str, file: h5py.File, findings: Findings, declared: Declared) -> None:
    sample = findings.tried(lambda: flag(data, "sample_varying", at=at))
    time = findings.tried(lambda: flag(data, "time_varying", at=at))
    if sample is None or time is None or not readable(data, at, findings):
        return
    lengths = [*([declared.trajectories] if sample else []), *([declared.steps] if time else [])]
    if None in lengths:
        return
    if tuple(data.shape) != tuple(lengths):
        what = f"shape {data.shape} where {tuple(lengths)} is declared"
        findings.reject("shape", at, what, "axes are [trajectory], [time], as @sample_varying and @time_varying say")
        return
    values = np.asarray(data[()], np.float64)
    if not np.isfinite(values).all():
        findings.reject("non_finite", at, "NaN or Inf", "write its value")
        return
    name = at.rpartition("/")[2]
    stated = np.asarray(file.attrs[name]) if name in file.attrs else None
    if stated is None or stated.size != 1 or stated.dtype.kind not in "biuf":
        return
    if not np.allclose(values, float(stated.ravel()[0]), rtol=1e-5, atol=0):
        what = f"{values.ravel()[0]:g}, but the root's attribute {name} is {float(stated.ravel()[0]):g}"
        findings.warn("parameter_differs", at, what, "the catalog has the attribute, a sample the scalar: correct one")


def boundary_faults(owner: h5py.Group, findings: Findings, declared: Declared) -> None:
    if not len(owner):
        remedy = "read as OPEN on all sides, as The Well's loader does; write one for each axis"
        findings.warn("no_boundaries", "/boundary_conditions", "no boundary condition", remedy)
    for name in owner:
        at = f"/boundary_conditions/{name}"
        if any(one.at == at and one.severity == "reject" for one in findings.found):
            continue
        group = findings.tried(lambda name=name: member(owner, name, h5py.Group, at="/boundary_conditions"))  # type: ignore[misc]
        if group is None:
            continue
        kind = text_of(group, "bc_type", at, findings)
        if kind is not None and kind.upper() not in KINDS:
            findings.reject("boundary_type", f"{at}@bc_type", f"is {kind!r}", f"one of {', '.join(KINDS)}")
        if "associated_fields" in group.attrs:
            texts_of(group, "associated_fields", at, findings)
        else:
            findings.warn("flag", f"{at}@associated_fields", "is missing", "taken as all fields")
        _mask(group, at, kind, findings, declared)


def _mask(group: h5py.Group, at: str, kind: str | None, findings: Findings, declared: Declared) -> None:
    on = texts_of(group, "associated_dims", at, findings)
    if any(one.at == f"{at}/mask" and one.severity == "reject" for one in findings.found):
        return
    data = findings.tried(lambda: member(group, "mask", h5py.Dataset, at=at))
    if on is None or data is None or not declared.dimensions:
        return
    unknown = [name for name in on if name not in declared.dimensions]
    if unknown or not on or len(set(on)) < len(on):
        what = f"{', '.join(on) or 'none'}, of {', '.join(declared.dimensions)}"
        findings.reject("boundary_dims", f"{at}@associated_dims", what, "name dimensions of the file, each once")
        return
    lengths = [declared.sizes.get(name) for name in on]
    if None in lengths or not readable(data, f"{at}/mask", findings):
        return
    if tuple(data.shape) != tuple(lengths):
        what = f"shape {data.shape} where {tuple(lengths)} is wanted, the length of {', '.join(on)}"
        findings.reject("boundary_mask", f"{at}/mask", what, "write a value for each point of these axes")
        return
    mask = np.asarray(data[()])
    if not np.isin(mask, (0, 1)).all():
        findings.reject("boundary_mask", f"{at}/mask", "values other than 0 and 1", "write True where it holds")
        return
    if mask.dtype.kind != "b":
        findings.warn("boundary_mask_type", f"{at}/mask", f"{mask.dtype} where booleans belong", "read as booleans")
    if not mask.any():
        read = "read as OPEN where no other condition holds"
        if kind is not None and kind.upper() == "PERIODIC":
            read = "read as PERIODIC where no other condition holds; The Well's loader reads OPEN (the_well, issue 79)"
        remedy = f"{read}: write True at the end points where it holds"
        findings.warn("boundary_empty", f"{at}/mask", "False everywhere, so it holds on no face", remedy)
    _mask_values(group, at, int(mask.astype(bool).sum()), findings)


def _mask_values(group: h5py.Group, at: str, wanted: int, findings: Findings) -> None:
    if "values" not in group:
        findings.warn("boundary_values", f"{at}/values", "is missing", "nothing here reads it; write one for each True")
        return
    data = findings.tried(lambda: member(group, "values", h5py.Dataset, at=at))
    if data is not None and data.shape is not None and (data.shape[-1] if data.shape else 1) != wanted:
        what = f"shape {data.shape}, but the mask is True at {wanted} points"
        findings.warn("boundary_values", f"{at}/values", what, "nothing here reads it; write one for each True")
