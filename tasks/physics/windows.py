"""Windows of The Well's trajectories as training samples (arXiv 2412.00568, `WellDataset` of the_well 1.2.0).

A window is a few input steps of one trajectory and the steps that follow. It comes as channels-first tensors, or as
the dictionary that The Well's own loader gives.
Shapes: B batch, Ni and No input and output steps, C channels, Cc channels of constants, S space, D dimensions.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch.utils.data import Dataset

from tasks.physics.augmentation import Augmentation
from tasks.physics.buffers import Buffers
from tasks.physics.normalisation import Normalisation
from tasks.physics.reading import Reader, places
from tasks.physics.schema import KINDS, Variable, WellFile
from tasks.physics.window_index import Draw, Request, Window, WindowIndex

Batch = dict[str, torch.Tensor]
Layout = Literal["channels_first", "well"]
OPEN, PERIODIC = KINDS.index("OPEN"), KINDS.index("PERIODIC")


def split_files(dataset: str | Path, split: str) -> list[Path]:
    """Return the files of a split, DATASET/data/SPLIT. Raises ValueError where there are none."""
    folder = Path(dataset) / "data" / split
    found = sorted(path for path in folder.glob("*") if path.suffix in (".h5", ".hdf5"))
    if not found:
        raise ValueError(f"{folder} has no .hdf5 or .h5 files: name a folder in The Well's layout")
    return found


def boundary_codes(file: WellFile, *, as_the_well: bool = False) -> np.ndarray:
    """Return the code of each face, float32 (D, 2): WALL 0, OPEN 1 where nothing is said, PERIODIC 2.

    A face is WALL if all of its mask is, OPEN or PERIODIC if any is. A PERIODIC mask that is False everywhere says
    nothing to the_well 1.2.0 (its issue 79: MHD_64 reads as OPEN). Here the name is believed, unless another condition
    claims the face, since an axis repeats at both ends or not at all; `as_the_well` reads it as 1.2.0 does.
    """
    codes = np.full((len(file.dimensions), 2), OPEN, np.float32)
    if not as_the_well:
        for boundary in file.boundaries:
            if boundary.kind == "PERIODIC" and not boundary.mask.any():
                for dimension in boundary.dimensions:
                    codes[file.dimensions.index(dimension)] = PERIODIC
    for boundary in file.boundaries:
        holds = np.all if boundary.kind == "WALL" else np.any
        for axis, dimension in enumerate(boundary.dimensions):
            for face, end in enumerate((0, -1)):
                if holds(boundary.mask.take(end, axis)):
                    codes[file.dimensions.index(dimension), face] = KINDS.index(boundary.kind)
    return codes


class WellWindows(Dataset[Batch]):
    """The windows of a list of files, in the order of The Well: file by path, trajectory, start.

    `windows[i]` is a sample, `windows.batch([...])` a batch of indices or `Draw`s. In "channels_first":
    `input` (Ni, C, *S), `target` (No, C, *S), `constants` (Cc, *S), `scalars` (constant ones), `input_scalars` (Ni,
    ...), `target_scalars` (No, ...), `boundary` (D, 2), `stride` (); float32 but for the stride, with a leading B in
    a batch, without what the files lack. `channels`, `constant_channels`, `scalar_names` and `time_scalar_names` name
    them; a model that stacks steps takes `input.flatten(1, 2)`.
    In "well": the keys, shapes and values of `WellDataset`; its `space_grid` is shared between samples.

    Channels have the order of `order`, the names of all fields, whatever the files' own; where it is None, that of the
    first file, which another split's first file need not have. Normalisation and augmentation are applied to
    the batch. With `mask_nan` what is no number becomes 0 after normalisation, and where a target has some, `mask`
    (No, C, *S) tells True where it is a number. Random choices are functions of (seed, epoch, window).
    Raises ValueError naming the file where files do not fit together, have too few steps or other fields than `order`.
    """

    def __init__(
        self,
        files: Sequence[str | Path | WellFile],
        request: Request | None = None,
        *,
        order: Sequence[str] | None = None,
        layout: Layout = "channels_first",
        normalisation: Normalisation | None = None,
        augmentation: Augmentation | None = None,
        mask_nan: bool = False,
        seed: int = 0,
        max_open: int = 64,
    ):
        if not files:
            raise ValueError("no files: name at least one")
        if layout == "well" and (augmentation or mask_nan):
            raise ValueError("augmentation and mask_nan work on channels: use layout='channels_first'")
        ordered = sorted(files, key=lambda one: one.path if isinstance(one, WellFile) else str(one))
        self.request = request or Request()
        self.layout, self.seed, self.mask_nan = layout, seed, mask_nan
        self.reader = Reader(ordered, max_open=max_open)
        _check_distinct(self.reader.layouts)
        self.files = self.reader.layouts
        self.normalisation, self.augmentation = normalisation, augmentation
        first = self.files[0]
        for file in self.files[1:]:
            _check_alike(first, file)
        self.resolution, self.dimensions = first.resolution, first.dimensions
        fields = _ordered(first, order)
        self.fields = tuple(field for field in fields if field.time_varying)
        self.constants = tuple(field for field in fields if not field.time_varying)
        self.channels = tuple(name for field in self.fields for name in field.channels(first.dimensions))
        self.constant_channels = tuple(name for field in self.constants for name in field.channels(first.dimensions))
        self.scalar_names = tuple(scalar.name for scalar in first.scalars if not scalar.time_varying)
        self.time_scalar_names = tuple(scalar.name for scalar in first.scalars if scalar.time_varying)
        self._places = [places(file, [field.name for field in self.fields]) for file in self.files]
        self._constant_places = [places(file, [field.name for field in self.constants]) for file in self.files]
        self._codes = np.stack([boundary_codes(file, as_the_well=layout == "well") for file in self.files])
        self._buffers = Buffers()
        self._tables: dict[tuple[int, tuple[str, ...]], np.ndarray] = {}
        self._grids: dict[tuple[int, int], torch.Tensor] = {}
        self._twins = [_first_alike(self.files, number) for number in range(len(self.files))]
        self.index = WindowIndex(self.files, self.request, seed)
        self.steps_output = self.index.steps_output
        self._allowed = augmentation.allowed(self.files) if augmentation is not None else None

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, at: int | Draw) -> Batch:
        return {name: values[0] for name, values in self.batch([at]).items()}

    def __getitems__(self, draws: Sequence[int | Draw]) -> Batch:
        return self.batch(draws)

    def batch(self, draws: Sequence[int | Draw]) -> Batch:
        """Return these windows as one batch, in this order. A plain index is of epoch 0.

        Files are read one after another, whatever the order. Raises LayoutError where a file turns out not to be as
        it was when it was listed.
        """
        asked = [draw if isinstance(draw, Draw) else Draw(0, draw) for draw in draws]
        windows = [self.index.window(draw.window, draw.epoch) for draw in asked]
        source, target = self._steps(windows)
        batch: Batch = self._well(windows, source, target) if self.layout == "well" else {}
        if self.layout == "channels_first":
            batch = {"input": source, "target": target, **self._beside(windows)}
            if self.augmentation is not None and self._allowed is not None:
                self.augmentation.apply(batch, self, asked, self._allowed)
        if self.request.delta:
            _to_deltas(source, target)
        missing = torch.isnan(target) if self.mask_nan else None
        if missing is not None and bool(missing.any()):
            batch["mask"] = ~missing
        self._normalise(batch, source, target)
        if self.mask_nan:
            for name in ("input", "target", "constants"):
                if name in batch:
                    batch[name].nan_to_num_(nan=0.0, posinf=math.inf, neginf=-math.inf)
        return batch

    def _steps(self, windows: Sequence[Window]) -> tuple[torch.Tensor, torch.Tensor]:
        """Read the fields. Returns (B, Ni, C, *S) and (B, No, C, *S), of "well" (B, Ni, *S, C) and (B, No, *S, C)."""
        inputs, outputs = self.request.steps_input, self.steps_output
        source, target = self._empty(len(windows), inputs), self._empty(len(windows), outputs)
        source_np, target_np = source.numpy(), target.numpy()
        if self.layout == "well":
            axes = (0, 1, source.ndim - 1, *range(2, source.ndim - 1))
            source_np, target_np = source_np.transpose(axes), target_np.transpose(axes)
        rows = sorted(range(len(windows)), key=windows.__getitem__)
        wanted = [(file, trajectory, self._span(start, stride)) for file, trajectory, start, stride in windows]
        for row in rows:
            file, trajectory, steps = wanted[row]
            self.reader.ahead(file, self._places[file], trajectory, steps)
        for row in rows:
            file, trajectory, steps = wanted[row]
            self.reader.read(file, self._places[file], trajectory, steps, (source_np[row], target_np[row]))
        return source, target

    def _span(self, start: int, stride: int) -> range:
        return range(start, start + (self.request.steps_input + self.steps_output) * stride, stride)

    def _empty(self, rows: int, steps: int) -> torch.Tensor:
        channels = len(self.channels)
        frame = (*self.resolution, channels) if self.layout == "well" else (channels, *self.resolution)
        return self._buffers.empty((rows, steps, *frame))

    def _beside(self, windows: Sequence[Window]) -> Batch:
        """Return what stands beside the fields, channels first."""
        found: Batch = {}
        if self.constants:
            found["constants"] = self._constants(windows)
        found |= self._scalars(windows, ("input_scalars", "target_scalars", "scalars"))
        found["boundary"] = torch.from_numpy(self._codes[[window.file for window in windows]])
        found["stride"] = torch.from_numpy(np.array([window.stride for window in windows]))
        return found

    def _well(self, windows: Sequence[Window], source: torch.Tensor, target: torch.Tensor) -> Batch:
        """Return the dictionary of `WellDataset`: without what is empty, in its order."""
        found: Batch = {"input_fields": source, "output_fields": target}
        if self.constants:
            found["constant_fields"] = self._constants(windows)
        found |= self._scalars(windows, ("input_scalars", "output_scalars", "constant_scalars"))
        found["boundary_conditions"] = torch.from_numpy(self._codes[[window.file for window in windows]])
        grids = [self._grid(window) for window in windows]
        found["space_grid"] = grids[0][None] if len(grids) == 1 else torch.stack(grids)
        times = torch.from_numpy(np.array([self._times(window) for window in windows]))
        inputs = self.request.steps_input
        found["input_time_grid"], found["output_time_grid"] = times[:, :inputs], times[:, inputs:]
        return found

    def _constants(self, windows: Sequence[Window]) -> torch.Tensor:
        last = self.layout == "well"
        channels = len(self.constant_channels)
        frame = (*self.resolution, channels) if last else (channels, *self.resolution)
        values = torch.empty(len(windows), *frame)
        frames = np.moveaxis(values.numpy(), -1, 1) if last else values.numpy()
        for row, window in enumerate(windows):
            for place in self._constant_places[window.file]:
                self.reader.constant(window.file, place, window.trajectory, frames[row])
        return values

    def _scalars(self, windows: Sequence[Window], names: tuple[str, str, str]) -> Batch:
        inputs, outputs = self.request.steps_input, self.steps_output
        found: Batch = {}
        if self.time_scalar_names:
            rows = []
            for file, trajectory, start, stride in windows:
                values = self._scalar_table(file, self.time_scalar_names)[trajectory]
                rows.append(values[start : start + (inputs + outputs) * stride : stride])
            together = np.array(rows)
            found[names[0]] = torch.from_numpy(together[:, :inputs])
            found[names[1]] = torch.from_numpy(together[:, inputs:])
        if self.scalar_names:
            fixed = [self._scalar_table(window.file, self.scalar_names)[window.trajectory, 0] for window in windows]
            found[names[2]] = torch.from_numpy(np.array(fixed))
        return found

    def _scalar_table(self, number: int, names: tuple[str, ...]) -> np.ndarray:
        """Return scalars of a file for each trajectory and step, (B, T or 1, len(names)), read once."""
        key = (number, names)
        if key not in self._tables:
            file = self.files[number]
            scalars = {scalar.name: scalar for scalar in file.scalars}
            shape = (file.trajectories, file.steps if scalars[names[0]].time_varying else 1)
            values = [np.broadcast_to(self.reader.scalar(number, scalars[name]), shape) for name in names]
            self._tables[key] = np.stack(values, -1)
        return self._tables[key]

    def _grid(self, window: Window) -> torch.Tensor:
        """Return the coordinates of each point, (*S, D), one tensor for all files with the same grid."""
        file = self.files[window.file]
        varies = any(grid.ndim == 2 for grid in file.coordinates)
        key = (self._twins[window.file], window.trajectory if varies else -1)
        if key not in self._grids:
            if len(self._grids) > 1:
                self._grids.clear()
            lines = [torch.from_numpy(_of(grid, window.trajectory).astype(np.float32)) for grid in file.coordinates]
            self._grids[key] = torch.stack(torch.meshgrid(*lines, indexing="ij"), -1)
        return self._grids[key]

    def _times(self, window: Window) -> np.ndarray:
        """Return the time of each step, from that of the first on, as float32."""
        count = self.request.steps_input + self.steps_output
        times = _of(self.files[window.file].time, window.trajectory)
        times = times[window.start : window.start + count * window.stride : window.stride]
        return (times - times.min()).astype(np.float32)

    def _normalise(self, batch: Batch, source: torch.Tensor, target: torch.Tensor) -> None:
        if self.normalisation is None:
            return
        axis = -1 if self.layout == "well" else 2
        self.normalisation.apply_(source, "fields", axis)
        self.normalisation.apply_(target, "deltas" if self.request.delta else "fields", axis)
        constants = batch.get("constant_fields" if self.layout == "well" else "constants")
        if constants is not None:
            self.normalisation.apply_(constants, "constants", -1 if self.layout == "well" else 1)


def _of(values: np.ndarray, trajectory: int) -> np.ndarray:
    return values[trajectory] if values.ndim == 2 else values


def _to_deltas(source: torch.Tensor, target: torch.Tensor) -> None:
    """Make of each target step what it adds to the step before, (B, No, ...) in place."""
    for step in reversed(range(1, target.shape[1])):
        target[:, step] -= target[:, step - 1]
    target[:, 0] -= source[:, -1]


def _ordered(file: WellFile, order: Sequence[str] | None) -> list[Variable]:
    """Return the fields of a file in this order. Raises ValueError unless it names each of them once."""
    if order is None:
        return list(file.fields)
    fields = {field.name: field for field in file.fields}
    if sorted(order) != sorted(fields):
        raise ValueError(
            f"{file.path}: its fields are {', '.join(fields)}, the order that is asked for has {', '.join(order)}: "
            "name each field once"
        )
    return [fields[name] for name in order]


def _check_distinct(files: Sequence[WellFile]) -> None:
    paths = [file.path for file in files]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice:
        raise ValueError(f"{twice} is named twice: its windows would count double")


def _check_alike(first: WellFile, file: WellFile) -> None:
    """Raise ValueError unless both have the same grid, fields and scalars, in whatever order."""
    for what, of in (("dimensions", _dimensions), ("fields", _declared_fields), ("scalars", _declared_scalars)):
        if of(first) != of(file):
            raise ValueError(
                f"{file.path}: its {what} are {of(file)}, those of {first.path} are {of(first)}: files of one data set "
                "have the same; leave one of the two out"
            )


def _dimensions(file: WellFile) -> tuple[object, ...]:
    return (*zip(file.dimensions, file.resolution, strict=True), file.grid_type)


def _declared_fields(file: WellFile) -> list[tuple[str, int, bool]]:
    return sorted((field.name, field.order, field.time_varying) for field in file.fields)


def _declared_scalars(file: WellFile) -> list[tuple[str, bool]]:
    return sorted((scalar.name, scalar.time_varying) for scalar in file.scalars)


def _first_alike(files: Sequence[WellFile], number: int) -> int:
    """Return the first file with the grid of this one; itself where a grid varies between trajectories."""
    grid = files[number].coordinates
    if any(line.ndim == 2 for line in grid):
        return number
    same = (all(map(np.array_equal, other.coordinates, grid)) for other in files)
    return next(one for one, alike in enumerate(same) if alike)
