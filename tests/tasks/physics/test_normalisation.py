"""Normalised batches beside The Well's own normalisation, to the last bit, and back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from the_well.data.datasets import DeltaWellDataset, WellDataset
from the_well.data.normalization import RMSNormalization, ZScoreNormalization

from tasks.physics.normalisation import normalisation, read_statistics
from tasks.physics.window_index import Request
from tasks.physics.windows import WellWindows
from tests.tasks.physics.test_windows import assert_same, write_folder

KINDS: dict[str, Any] = {"zscore": ZScoreNormalization, "rms": RMSNormalization}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return write_folder(tmp_path / "data", (8, 6))


@pytest.fixture
def statistics(files: list[Path], tmp_path: Path) -> Path:
    """A stats.yaml of random numbers, some of them too small to divide by."""
    rng = np.random.default_rng(8)
    windows = WellWindows(files)
    found: dict[str, dict[str, Any]] = {}
    for name in ("mean", "std", "rms", "mean_delta", "std_delta", "rms_delta"):
        found[name] = {}
        for one in windows.fields if "delta" in name else (*windows.fields, *windows.constants):
            values = rng.random((2,) * one.order) if "mean" in name else 2 * rng.random((2,) * one.order) + 0.1
            found[name][one.name] = np.round(values, 5).tolist()
    found["std"]["pressure"] = found["rms"]["pressure"] = 3e-6
    found["std"]["velocity"][1] = 0.0
    (tmp_path / "stats.yaml").write_text(yaml.safe_dump(found))
    return tmp_path / "stats.yaml"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", ["well", "channels_first"])
@pytest.mark.parametrize("delta", [False, True])
def test_values_are_those_of_the_wells_normalisation(
    files: list[Path], statistics: Path, kind: Any, layout: Any, delta: bool
) -> None:
    theirs = (DeltaWellDataset if delta else WellDataset)(
        path=str(files[0].parent),
        normalization_path=str(statistics),
        use_normalization=True,
        normalization_type=KINDS[kind],
        n_steps_input=2,
        n_steps_output=2,
    )
    plain = WellWindows(files)
    scaled = normalisation(statistics, plain.fields, plain.constants, kind)
    windows = WellWindows(files, Request(2, 2, delta=delta), layout=layout, normalisation=scaled)
    for index in range(0, len(windows), 4):
        sample = theirs[index]
        if layout == "channels_first":
            sample = {
                "input": sample["input_fields"].movedim(-1, 1),
                "target": sample["output_fields"].movedim(-1, 1),
                "constants": sample["constant_fields"].movedim(-1, 0),
            }
        ours = {name: values for name, values in windows[index].items() if name in sample}
        assert_same(ours, sample)


@pytest.mark.parametrize("kind", KINDS)
def test_normalising_is_undone(files: list[Path], statistics: Path, kind: Any) -> None:
    plain = WellWindows(files, Request(2, 2))
    scaled = normalisation(statistics, plain.fields, plain.constants, kind)
    values = plain.batch([0, 7])["target"]
    oracle = KINDS[kind](read_statistics(statistics), *names_of(plain))
    channels_last = values.movedim(2, -1)
    for of, apply, invert in (
        ("fields", oracle.normalize_flattened, oracle.denormalize_flattened),
        ("deltas", oracle.delta_normalize_flattened, oracle.delta_denormalize_flattened),
    ):
        there = scaled.apply_(values.clone(), of, 2)  # type: ignore[arg-type]
        assert torch.equal(there.movedim(2, -1), apply(channels_last, "variable"))
        back = scaled.invert_(there.clone(), of, 2)  # type: ignore[arg-type]
        assert torch.equal(back.movedim(2, -1), invert(there.movedim(2, -1), "variable"))
        assert torch.allclose(back, values, rtol=1e-5, atol=1e-5)


def names_of(windows: WellWindows) -> tuple[list[str], list[str]]:
    return [field.name for field in windows.fields], [field.name for field in windows.constants]


def test_each_split_is_normalised_by_the_same_object(files: list[Path], statistics: Path) -> None:
    plain = WellWindows(files)
    scaled = normalisation(statistics, plain.fields, plain.constants, "zscore")
    mean, std = (torch.tensor(read_statistics(statistics)[name]["density"]) for name in ("mean", "std"))
    for path in files:  # say, train and valid
        raw, split = WellWindows([path])[0], WellWindows([path], normalisation=scaled)[0]
        assert torch.equal(split["input"][:, 0], (raw["input"][:, 0] - mean) / std)
        assert torch.equal(split["target"][:, 0], (raw["target"][:, 0] - mean) / std)


def test_constants_that_are_kept_are_normalised_once(files: list[Path], statistics: Path) -> None:
    plain = WellWindows(files)
    scaled = normalisation(statistics, plain.fields, plain.constants, "zscore")
    for layout in ("well", "channels_first"):
        windows = WellWindows(files, layout=layout, normalisation=scaled)  # type: ignore[arg-type]
        assert_same(windows[0], windows[0])


def test_masked_values_are_the_mean_after_normalisation(files: list[Path], statistics: Path) -> None:
    import h5py

    with h5py.File(files[0], "r+") as file:
        file["t0_fields/density"][:, :, 3] = np.nan
    plain = WellWindows(files)
    scaled = normalisation(statistics, plain.fields, plain.constants, "zscore")
    sample = WellWindows(files, normalisation=scaled, mask_nan=True)[0]
    assert not sample["mask"][0, 0, 3].any()
    assert torch.equal(sample["target"][0, 0, 3], torch.zeros(6))
    assert sample["mask"].sum() == sample["mask"].numel() - 6


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        ({"std": {}}, "std of density is missing"),
        ({"mean": {"density": "high"}}, "mean of density is missing or no number"),
        ({"std": {"velocity": [1.0, 2.0, 3.0]}}, "std of velocity is .*2 finite numbers"),
        ({"mean": {"density": float("nan")}}, "mean of density is .*1 finite"),
    ],
)
def test_statistics_that_do_not_fit_name_field_and_statistic(
    files: list[Path], statistics: Path, spoil: dict[str, Any], told: str
) -> None:
    found = read_statistics(statistics)
    for name, fields in spoil.items():
        found[name] = {**found[name], **fields} if fields else {}
    statistics.write_text(yaml.safe_dump(found))
    windows = WellWindows(files)
    with pytest.raises(ValueError, match=rf"stats\.yaml: {told}"):
        normalisation(statistics, windows.fields, windows.constants, "zscore")


def test_a_file_without_statistics_of_deltas_serves_where_none_are_asked_for(
    files: list[Path], statistics: Path
) -> None:
    found = {name: fields for name, fields in read_statistics(statistics).items() if "delta" not in name}
    windows = WellWindows(files)
    scaled = normalisation(found, windows.fields, windows.constants, "rms")
    WellWindows(files, normalisation=scaled)[0]
    with pytest.raises(ValueError, match="no statistics of deltas"):
        WellWindows(files, Request(delta=True), normalisation=scaled)[0]


@pytest.mark.parametrize("content", ["<html>503</html>", "mean: [1", "- 1", "mean: 3"])
def test_a_file_that_holds_no_statistics_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "stats.yaml").write_text(content)
    for path in (tmp_path / "stats.yaml", tmp_path / "none.yaml"):
        with pytest.raises(ValueError, match=path.name):
            read_statistics(path)
