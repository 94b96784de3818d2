"""What a training sample costs to read beside The Well's loader and a copy in memory: python -m bench.physics

The same windows, drawn at random, no workers, files in the page cache; every contender first proves that its values
are those of The Well's loader, to the last bit. Contenders take turns; the figure is the median CPU time (user +
system) of a sample. The contenders `memory copy` copy the same windows from an array in memory, into new memory or
into memory that is used again, as WellWindows does; targets are judged by the faster. Run it on an idle machine.
"""

import argparse
import gc
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import psutil
import torch
from the_well.data.datasets import WellDataset
from torch.utils.data import default_collate

from tasks.physics.schema import Boundary, NewField, periodic, write_file
from tasks.physics.window_index import Request
from tasks.physics.windows import WellWindows

ROWS = Path(__file__).with_suffix(".json")
INPUTS, OUTPUTS, BATCH = 4, 1, 8
TARGETS = {"batch": 20.0, "sample": 8.0, "packed": 0.5}
STORAGES: dict[str, dict[str, Any]] = {"contiguous": {}, "blosc-zstd": dict(hdf5plugin.Blosc(cname="zstd"))}
Take = Callable[[list[int]], Any]


@dataclass(frozen=True)
class Case:
    """A data set of noise: its grid, size, and fields as name and order of the tensor."""

    name: str
    sizes: tuple[int, ...]
    files: int
    trajectories: int
    steps: int
    fields: tuple[tuple[str, int], ...]

    @property
    def channels(self) -> int:
        return sum(len(self.sizes) ** order for _, order in self.fields)


CASES = (
    Case("2-D, 128x128, 4 channels", (128, 128), 2, 8, 80, (("A", 0), ("B", 0), ("velocity", 1))),
    Case("3-D, 32x32x32, 13 channels", (32, 32, 32), 2, 2, 30, (("density", 0), ("velocity", 1), ("D", 2))),
)


def write(case: Case, folder: Path) -> tuple[dict[str, Path], list[np.ndarray]]:
    """Write the data set in each storage; return the folders and all values, (B, T, C, *S) of each file.

    Values are smooth waves and a little noise, so that compression has something to do.
    """
    folders = {name: folder / name for name in (*STORAGES, "packed")}
    for one in folders.values():
        one.mkdir(parents=True)
    dimensions = {name: np.arange(size) / size for name, size in zip("xyz", case.sizes, strict=False)}
    packed = []
    for number in range(case.files):
        rng = np.random.default_rng(number)
        fields = [NewField(name, order, _waves(case, order, rng)) for name, order in case.fields]
        for storage, options in STORAGES.items():
            chunked = {"chunks": (1, 1, *case.sizes), **options} if options else None
            path = folders[storage] / f"{number}.hdf5"
            _write(path, case, dimensions, fields, periodic(dimensions), chunked)
        packed.append(_pack(folders["packed"] / f"{number}.hdf5", folders["contiguous"] / f"{number}.hdf5", fields))
    return folders, packed


def _waves(case: Case, order: int, rng: np.random.Generator) -> np.ndarray:
    D = len(case.sizes)
    waves: np.ndarray = np.zeros((1,), np.float32)
    for size in case.sizes:
        waves = np.add.outer(waves, np.sin(2 * np.pi * np.arange(size, dtype=np.float32) / size))
    shape = (case.trajectories, case.steps, *case.sizes, *(D,) * order)
    noise = rng.standard_normal(shape, np.float32)
    noise *= 0.01
    noise += waves[0].reshape(*case.sizes, *(1,) * order)
    return np.round(noise, 3)


def _write(
    path: Path,
    case: Case,
    dimensions: dict[str, np.ndarray],
    fields: list[NewField],
    boundaries: list[Boundary],
    storage: dict[str, Any] | None,
) -> None:
    # a frame is a chunk: its components too, so fields of one order are written together
    with tempfile.TemporaryDirectory() as name:
        plain = Path(name) / "plain.hdf5" if storage else path
        write_file(
            plain,
            dataset_name="waves",
            dimensions=dimensions,
            time=np.arange(case.steps) * 0.1,
            parameters={"F": 0.03, "k": 0.06},
            fields=fields,
            boundaries=boundaries,
        )
        if not storage:
            return
        with h5py.File(plain) as source, h5py.File(path, "w") as target:
            target.attrs.update(source.attrs)
            for group in source:
                source.copy(group, target)
            for field in fields:
                at = f"t{field.order}_fields/{field.name}"
                attributes = dict(target[at].attrs)
                del target[at]
                chunks = (1, 1, *field.values.shape[2:])
                target.create_dataset(at, data=field.values, **{**storage, "chunks": chunks})
                target[at].attrs.update(attributes)


def _pack(path: Path, plain: Path, fields: list[NewField]) -> np.ndarray:
    parts = []
    for field in fields:
        space = field.values.ndim - field.order
        parts.append(np.moveaxis(field.values.reshape(*field.values.shape[:space], -1), -1, 2))
    block = np.ascontiguousarray(np.concatenate(parts, 2))
    with h5py.File(plain) as source, h5py.File(path, "w") as target:
        target.attrs.update(source.attrs)
        for name in ("dimensions", "boundary_conditions", "scalars"):
            source.copy(name, target)
        for order in range(3):
            name = f"t{order}_fields"
            target.create_group(name).attrs["field_names"] = source[name].attrs["field_names"]
        names = [field.name for field in fields]
        data = target.create_dataset("packed/fields", data=block)
        data.attrs.create("field_names", names, dtype=h5py.string_dtype())
    return block


# --- contenders -------------------------------------------------------------------------------------------------------


def the_well_batch(folder: Path) -> Take:
    """The Well's loader, collated by torch and brought to channels first: what its trainer does for each batch."""
    dataset = the_well(folder)

    def take(draws: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        batch = default_collate([dataset[draw] for draw in draws])
        last = batch["input_fields"].ndim - 1
        order = (0, 1, last, *range(2, last))
        return batch["input_fields"].permute(order).contiguous(), batch["output_fields"].permute(order).contiguous()

    return take


def the_well(folder: Path) -> WellDataset:
    return WellDataset(
        path=str(folder), use_normalization=False, n_steps_input=INPUTS, n_steps_output=OUTPUTS, return_grid=True
    )


def ours(folder: Path, layout: Any = "channels_first") -> WellWindows:
    return WellWindows(sorted(folder.iterdir()), Request(INPUTS, OUTPUTS), layout=layout)


def ours_batch(folder: Path) -> Take:
    windows = ours(folder)

    def take(draws: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        batch = windows.batch(draws)
        return batch["input"], batch["target"]

    return take


def by_field(case: Case, open_field: Callable[[int, str, int], Any]) -> Take:
    """Slices of each field, read by `open_field(file, name, order)`, put into a channels-first batch."""
    fields = [[(order, open_field(file, name, order)) for name, order in case.fields] for file in range(case.files)]
    windows = case.steps - INPUTS - OUTPUTS + 1

    def take(draws: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        source = np.empty((len(draws), INPUTS, case.channels, *case.sizes), np.float32)
        target = np.empty((len(draws), OUTPUTS, case.channels, *case.sizes), np.float32)
        for row, draw in enumerate(draws):
            place, start = divmod(draw, windows)
            file, trajectory = divmod(place, case.trajectories)
            first = 0
            for order, data in fields[file]:
                values = data[trajectory, start : start + INPUTS + OUTPUTS]
                values = values.reshape(len(values), *case.sizes, -1)
                for component in range(len(case.sizes) ** order):
                    source[row, :, first] = values[:INPUTS, ..., component]
                    target[row, :, first] = values[INPUTS:, ..., component]
                    first += 1
        return torch.from_numpy(source), torch.from_numpy(target)

    return take


def h5py_open(case: Case, folder: Path) -> Take:
    files = [h5py.File(path) for path in sorted(folder.iterdir())]
    return by_field(case, lambda file, name, order: files[file][f"t{order}_fields/{name}"])


def memory_maps(case: Case, folder: Path) -> Take:
    paths = sorted(folder.iterdir())

    def open_field(file: int, name: str, order: int) -> np.ndarray:
        with h5py.File(paths[file]) as opened:
            data = opened[f"t{order}_fields/{name}"]
            return np.memmap(paths[file], np.float32, "r", data.id.get_offset(), data.shape)

    return by_field(case, open_field)


def memory_copy(case: Case, arrays: Sequence[np.ndarray], *, again: bool) -> Take:
    """Copy the windows from arrays (B, T, C, *S) in memory, into the same memory each time if `again`."""
    windows = case.steps - INPUTS - OUTPUTS + 1
    shapes = [(BATCH, steps, case.channels, *case.sizes) for steps in (INPUTS, OUTPUTS)]
    kept = [torch.empty(shape) for shape in shapes]

    def take(draws: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        source, target = kept if again else [torch.empty(shape) for shape in shapes]
        source_np, target_np = source.numpy(), target.numpy()
        for row, draw in enumerate(draws):
            place, start = divmod(draw, windows)
            file, trajectory = divmod(place, case.trajectories)
            frames = arrays[file][trajectory]
            source_np[row] = frames[start : start + INPUTS]
            target_np[row] = frames[start + INPUTS : start + INPUTS + OUTPUTS]
        return source, target

    return take


@dataclass(frozen=True)
class Contender:
    """`take` reads some windows at once: of a batch, or one."""

    what: str  # batch or sample
    name: str
    storage: str
    take: Take


def contenders(case: Case, folders: dict[str, Path], arrays: Sequence[np.ndarray]) -> list[Contender]:
    found = [
        Contender("batch", "memory copy, new memory", "memory", memory_copy(case, arrays, again=False)),
        Contender("batch", "memory copy, memory used again", "memory", memory_copy(case, arrays, again=True)),
    ]
    for storage in STORAGES:
        folder = folders[storage]
        found += [
            Contender("batch", "the_well 1.2.0, collated, channels first", storage, the_well_batch(folder)),
            Contender("batch", "h5py, files kept open", storage, h5py_open(case, folder)),
            Contender("batch", "**WellWindows**", storage, ours_batch(folder)),
            Contender("sample", "the_well 1.2.0", storage, _single(the_well(folder))),
            Contender("sample", "**WellWindows**, The Well's dictionary", storage, _single(ours(folder, "well"))),
        ]
    found.append(Contender("batch", "memory map", "contiguous", memory_maps(case, folders["contiguous"])))
    found.append(Contender("batch", "**WellWindows**", "packed", ours_batch(folders["packed"])))
    return found


def _single(dataset: Any) -> Take:
    return lambda draws: dataset[draws[0]]


def prove_equal(found: Sequence[Contender], length: int, rng: np.random.Generator) -> int:
    """Compare all contenders on the same windows, bit by bit; return how many values were compared.

    Raises SystemExit naming the one that differs.
    """
    compared = 0
    for what, many in (("batch", BATCH), ("sample", 1)):
        draws = [int(draw) for draw in rng.integers(length, size=many)]
        expected: list[torch.Tensor] | None = None
        for one in (one for one in found if one.what == what):
            values = one.take(draws)
            values = list(values.values()) if isinstance(values, dict) else list(values)
            expected = expected or values
            same = len(values) == len(expected) and all(
                torch.equal(a.contiguous().view(torch.int32), b.contiguous().view(torch.int32))
                for a, b in zip(values, expected, strict=True)
            )
            if not same:
                raise SystemExit(f"{one.name}, {one.storage}: its values are not those of the others")
            compared += sum(value.numel() for value in values)
    return compared


def measure(found: Sequence[Contender], length: int, tries: int, seconds: float) -> list[dict[str, Any]]:
    """Run all in turns; return a row for each, with CPU and wall milliseconds of a sample in each try."""
    rng = np.random.default_rng(1)
    counts = []
    for one in found:  # warm, and find how many calls take long enough to be timed
        begun = time.process_time()
        for _ in range(2):
            one.take([int(draw) for draw in rng.integers(length, size=BATCH if one.what == "batch" else 1)])
        counts.append(max(2, int(seconds / max((time.process_time() - begun) / 2, 1e-4))))
    cpu: list[list[float]] = [[] for _ in found]
    wall: list[list[float]] = [[] for _ in found]
    gc.disable()
    for _ in range(tries):
        for number, one in enumerate(found):
            many = BATCH if one.what == "batch" else 1
            draws = rng.integers(length, size=(counts[number], many)).tolist()
            begun, clock = time.process_time(), time.perf_counter()
            for each in draws:
                one.take(each)
            cpu[number].append((time.process_time() - begun) / len(draws) / many * 1e3)
            wall[number].append((time.perf_counter() - clock) / len(draws) / many * 1e3)
        gc.collect()
    gc.enable()
    return [
        {
            "what": f"batch of {BATCH}" if one.what == "batch" else "single",
            "contender": one.name,
            "storage": one.storage,
            "cpu_ms": round(statistics.median(cpu[number]), 3),
            "wall_ms": round(statistics.median(wall[number]), 3),
            "each": [round(each, 4) for each in cpu[number]],
        }
        for number, one in enumerate(found)
    ]


def add_ratios(rows: list[dict[str, Any]]) -> None:
    """Add how many times faster than The Well's loader on the same storage, and the speed as a part of a memory copy.

    Ratios are medians over the turns, each beside its neighbours in time. The packed layout, which The Well cannot
    read, stands beside its contiguous one.
    """
    for row in rows:
        beside = "contiguous" if row["storage"] in ("packed", "memory") else row["storage"]
        theirs = next(
            one
            for one in rows
            if one["contender"].startswith("the_well") and one["what"] == row["what"] and one["storage"] == beside
        )
        row["times_the_well"] = round(_ratio(theirs, row), 2)
        if row["what"] != "single":
            copies = (one for one in rows if one["contender"].startswith("memory copy"))
            row["of_memory_copy"] = round(min(_ratio(copy, row) for copy in copies), 3)


def _ratio(beside: dict[str, Any], row: dict[str, Any]) -> float:
    return statistics.median(theirs / own for theirs, own in zip(beside["each"], row["each"], strict=True))


def judged(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the targets of DESIGN.md, which are of the first case, and whether they are met."""

    def find(what: str, storage: str) -> dict[str, Any]:
        own = (one for one in rows if "WellWindows" in one["contender"] and one["data"] == CASES[0].name)
        return next(one for one in own if one["what"].startswith(what) and one["storage"] == storage)

    figures = {
        "batch": find("batch", "contiguous")["times_the_well"],
        "sample": find("single", "contiguous")["times_the_well"],
        "packed": find("batch", "packed")["of_memory_copy"],
    }
    return [
        {"target": name, "at_least": TARGETS[name], "found": figure, "met": figure >= TARGETS[name]}
        for name, figure in figures.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--tries", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.4, help="of CPU that each contender has in a turn")
    told = parser.parse_args()
    torch.set_num_threads(1)
    load = psutil.getloadavg()[0]
    rows, compared = [], 0
    for case in CASES:
        with tempfile.TemporaryDirectory(prefix="bench-physics-") as name:
            folders, arrays = write(case, Path(name))
            found = contenders(case, folders, arrays)
            length = len(ours(folders["contiguous"]))
            compared += prove_equal(found, length, np.random.default_rng(0))
            part = measure(found, length, told.tries, told.seconds)
        add_ratios(part)
        rows += [{"data": case.name, **row} for row in part]
    targets = judged(rows)
    header = {"window": f"{INPUTS}+{OUTPUTS}", "tries": told.tries, "values_compared": compared, "targets": targets}
    ROWS.write_text(
        json.dumps({**header, "cores": os.cpu_count(), "load_before": round(load, 1), "rows": rows}, indent=1) + "\n"
    )
    print("| data | what | contender | storage | CPU ms | wall ms | x The Well | of memory copy |\n" + "|---" * 8 + "|")
    for row in rows:
        print(
            f"| {row['data']} | {row['what']} | {row['contender']} | {row['storage']} | {row['cpu_ms']} "
            f"| {row['wall_ms']} | {row['times_the_well']} | {row.get('of_memory_copy', '')} |"
        )
    for one in targets:
        print(
            f"{one['target']}: {one['found']} where {one['at_least']} is wanted: {'met' if one['met'] else 'not met'}"
        )


if __name__ == "__main__":
    main()
