"""Windows of packed copies: fields in two blocks, channels first."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from tasks.physics.packed import PACKED, PACKED_CONSTANTS
from tasks.physics.schema import LayoutError
from tasks.physics.window_index import Request
from tasks.physics.windows import WellWindows
from tests.tasks.physics.test_windows import GRIDS, assert_same, write_folder


def pack(source: Path, target: Path) -> None:
    """Write a packed copy, the fields in their order: t0, t1, t2, and the components of each."""
    with h5py.File(source) as file, h5py.File(target, "w") as out:
        B, T = file.attrs["n_trajectories"], file["dimensions/time"].shape[-1]
        space = tuple(file["dimensions"][name].shape[-1] for name in file["dimensions"].attrs["spatial_dims"])
        D = len(space)
        for name, value in file.attrs.items():
            out.attrs[name] = value
        for name in ("dimensions", "boundary_conditions", "scalars"):
            file.copy(name, out)
        blocks: dict[bool, list[tuple[str, np.ndarray]]] = {True: [], False: []}
        for order in range(3):
            group = file[f"t{order}_fields"]
            out.create_group(group.name).attrs["field_names"] = group.attrs["field_names"]
            for name in group.attrs["field_names"]:
                data, moving = group[name], bool(group[name].attrs["time_varying"])
                values = data[()] if data.attrs["sample_varying"] else data[()][None]
                values = np.broadcast_to(values, (B, *((T,) if moving else ()), *space, *(D,) * order))
                values = values.reshape(*values.shape[: values.ndim - order], -1)
                blocks[moving].append((name, np.moveaxis(values, -1, 1 + moving)))
        for path, fields in ((PACKED, blocks[True]), (PACKED_CONSTANTS, blocks[False])):
            block = out.create_dataset(path, data=np.concatenate([values for _, values in fields], -D - 1))
            names = [name for name, _ in fields]
            block.attrs.create("field_names", names, dtype=h5py.string_dtype())


@pytest.fixture(params=GRIDS)
def both(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[Path], list[Path]]:
    files = write_folder(tmp_path / "data", GRIDS[request.param])
    (tmp_path / "packed").mkdir()
    packed = [tmp_path / "packed" / path.name for path in files]
    for source, target in zip(files, packed, strict=True):
        pack(source, target)
    return files, packed


@pytest.mark.parametrize("layout", ["channels_first", "well"])
@pytest.mark.parametrize("stride", [1, 2])
def test_windows_are_those_of_the_file(both: tuple[list[Path], list[Path]], layout: str, stride: int) -> None:
    request = Request(2, 1, min_dt_stride=stride, max_dt_stride=stride)
    plain, packed = (WellWindows(files, request, layout=layout) for files in both)  # type: ignore[arg-type]
    assert packed.channels == plain.channels
    assert packed.constant_channels == plain.constant_channels
    for index in range(len(plain)):
        assert_same(packed[index], plain[index])


def test_a_packed_file_beside_one_that_is_not_or_is_in_another_order(both: tuple[list[Path], list[Path]]) -> None:
    files, packed = both
    plain, mixed = WellWindows(files), WellWindows([files[0], packed[1]])
    for index in range(len(plain)):
        assert_same(mixed[index], plain[index])
    with h5py.File(packed[1], "r+") as file:  # density and pressure change places
        block = file[PACKED]
        names = list(block.attrs["field_names"])
        names[:2] = names[1::-1]
        block.attrs.modify("field_names", np.array(names, dtype=h5py.string_dtype()))
        block[:, :, :2] = block[:, :, :2][:, :, ::-1]
    swapped = WellWindows(packed)
    for index in range(len(plain)):
        assert_same(swapped[index], plain[index])


def test_a_block_that_does_not_fit_what_the_file_declares_is_refused(both: tuple[list[Path], list[Path]]) -> None:
    _, packed = both
    with h5py.File(packed[0], "r+") as file:
        names = file[PACKED].attrs["field_names"][:-1]
        file[PACKED].attrs.create("field_names", names, dtype=h5py.string_dtype())
    with pytest.raises(LayoutError, match=r"packed/fields.*pack the file again"):
        WellWindows(packed)
