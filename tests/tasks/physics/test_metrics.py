"""The Well's metrics: equal to those of its own package, and to what can be worked out by hand."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from the_well.benchmark import metrics as oracle

from tasks.physics import metrics
from tasks.physics.metrics import METRICS, WINDOWS, Means, Region, frame_mean, frame_scores, spectral

SIZES: list[tuple[int, ...]] = [(16,), (33,), (64,), (16, 24), (15, 17), (32, 32), (8, 12, 10), (9, 8, 7)]
THEIRS = {
    "mse": oracle.MSE,
    "rmse": oracle.RMSE,
    "mae": oracle.MAE,
    "nmae": oracle.NMAE,
    "nmse": oracle.NMSE,
    "nrmse": oracle.NRMSE,
    "vmse": oracle.VMSE,
    "vrmse": oracle.VRMSE,
    "linfinity": oracle.LInfinity,
    "pearson_r": oracle.PearsonR,
}


def fields(sizes: tuple[int, ...], kind: str = "random") -> tuple[torch.Tensor, torch.Tensor]:
    """Return (prediction, target), float32 (2, 3, 4, *S)."""
    generator = torch.Generator().manual_seed(sum(sizes))
    x, y = (torch.randn((2, 3, 4, *sizes), generator=generator) for _ in range(2))
    if kind == "constant target":
        y = torch.full_like(y, 0.5)
    if kind == "zero target":
        y = torch.zeros_like(y)
    if kind == "large offset":
        x, y = 3 * x + 100, 2 * y + 100
    return x, y


def theirs(name: str, x: torch.Tensor, y: torch.Tensor, dims: int) -> torch.Tensor:
    meta: Any = SimpleNamespace(n_spatial_dims=dims)
    return THEIRS[name].eval(x.movedim(2, -1), y.movedim(2, -1), meta)


@pytest.mark.parametrize("kind", ["random", "constant target", "zero target", "large offset"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_every_metric_equals_the_wells(sizes: tuple[int, ...], kind: str) -> None:
    x, y = fields(sizes, kind)
    assert set(THEIRS) == set(METRICS)
    for name, metric in METRICS.items():
        ours = metric(x, y, len(sizes), None)
        assert ours.shape == (2, 3, 4)
        torch.testing.assert_close(ours, theirs(name, x, y, len(sizes)), rtol=1e-5, atol=1e-9, msg=name)


@pytest.mark.parametrize("kind", ["random", "constant target", "zero target"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_spectral_bands_equal_the_wells(sizes: tuple[int, ...], kind: str) -> None:
    x, y = fields(sizes, kind)
    dims = len(sizes)
    meta: Any = SimpleNamespace(n_spatial_dims=dims)
    wanted = oracle.binned_spectral_mse.eval(x.movedim(2, -1), y.movedim(2, -1), meta)
    found = frame_scores(x, y, dims, ["spectral"])
    for kind_ in ("mse", "nmse"):
        for band in range(3):
            ours, one = found[f"spectral_{kind_}_bin_{band}"], wanted[f"spectral_error_{kind_}_per_bin_{band}"]
            # a band without energy: both are rounding over 1e-7
            torch.testing.assert_close(ours, one, rtol=1e-5, atol=1e-5 * one.abs().max().item())


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_spectral_bands_sum_to_the_mean_squared_error(sizes: tuple[int, ...]) -> None:
    x, y = fields(sizes)
    bands, _ = spectral(x, y, len(sizes))
    torch.testing.assert_close(bands.sum(-1), ((x - y) ** 2).mean(tuple(range(-len(sizes), 0))), rtol=1e-5, atol=0)


def test_the_error_of_one_wave_is_in_the_band_of_its_wavenumber() -> None:
    """Edges on 64 points in one dimension: 0, 2 pi/64 * 32**(1/3) = 3.17 waves, 10.08 waves, 32 waves."""
    points = torch.arange(64) * 2 * torch.pi / 64
    for waves, band in ((1, 0), (3, 0), (4, 1), (10, 1), (11, 2), (32, 2)):
        error = torch.cos(waves * points)[None, None, None]
        shares, _ = spectral(error, torch.zeros_like(error), 1)
        wanted = torch.zeros(3)
        wanted[band] = 1.0 if waves == 32 else 0.5
        torch.testing.assert_close(shares[0, 0, 0], wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_vrmse_of_the_frames_mean_is_root_of_n_minus_1_over_n(sizes: tuple[int, ...]) -> None:
    _, y = fields(sizes)
    count = int(np.prod(sizes))
    found = metrics.vrmse(frame_mean(y, len(sizes)), y, len(sizes))
    torch.testing.assert_close(found, torch.full_like(found, np.sqrt((count - 1) / count)), rtol=1e-5, atol=0)


def test_pearson_is_scipys_times_n_minus_1_over_n() -> None:
    x, y = (v.double() for v in fields((6, 7)))
    found = metrics.pearson_r(x, y, 2)
    for place in np.ndindex(2, 3, 4):
        wanted = stats.pearsonr(x[place].flatten().numpy(), y[place].flatten().numpy())[0] * 41 / 42
        assert found[place].item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("name", METRICS)
def test_equal_weights_and_a_full_mask_change_nothing(name: str) -> None:
    x, y = fields((8, 9))
    plain = METRICS[name](x, y, 2, None)
    for region in (
        Region(torch.full((8, 9), 0.37)),
        Region(mask_S=torch.ones(8, 9, dtype=torch.bool)),
        Region(torch.ones(8, 9), torch.ones(8, 9, dtype=torch.bool)),
    ):
        torch.testing.assert_close(METRICS[name](x, y, 2, region), plain, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("name", METRICS)
def test_a_whole_number_weight_counts_a_point_that_often(name: str) -> None:
    """Brute force: the weighted figure is the plain one of a list in which each point stands weight times."""
    x, y = (v.double() for v in fields((5, 6)))
    weights = torch.randint(1, 5, (5, 6), generator=torch.Generator().manual_seed(3))
    often = weights.flatten().tolist()
    repeated = [torch.repeat_interleave(v.flatten(-2), torch.tensor(often), -1) for v in (x, y)]
    wanted = METRICS[name](*repeated, 1, None)
    total, count = sum(often), 30
    # the unbiased factor is that of the 30 points, not of the repeated ones
    factor = (count / (count - 1)) / (total / (total - 1))
    wanted = wanted / {"vmse": factor, "vrmse": factor**0.5, "pearson_r": factor}.get(name, 1.0)
    torch.testing.assert_close(METRICS[name](x, y, 2, Region(weights.double())), wanted, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", METRICS)
def test_what_lies_under_a_mask_is_not_seen(name: str) -> None:
    x, y = (v.double() for v in fields((7, 8)))
    mask = torch.rand((7, 8), generator=torch.Generator().manual_seed(5)) > 0.3
    wanted = METRICS[name](x[..., mask], y[..., mask], 1, None)
    x[..., ~mask], y[..., ~mask] = 1e30, torch.nan
    torch.testing.assert_close(METRICS[name](x, y, 2, Region(mask_S=mask)), wanted, rtol=1e-9, atol=1e-12)


def test_a_mask_may_differ_from_frame_to_frame() -> None:
    x, y = fields((6, 6))
    mask = torch.rand((2, 3, 4, 6, 6), generator=torch.Generator().manual_seed(5)) > 0.3
    found = metrics.vrmse(x, y, 2, Region(mask_S=mask))
    for place in np.ndindex(2, 3, 4):
        seen_x, seen_y = x[place][mask[place]], y[place][mask[place]]
        wanted = (((seen_x - seen_y) ** 2).mean() / (seen_y.var() + 1e-7)).sqrt()
        assert found[place].item() == pytest.approx(wanted.item(), rel=1e-5)


def test_spectral_bands_are_refused_where_points_weigh_differently() -> None:
    x, y = fields((8, 8))
    with pytest.raises(ValueError, match="evenly spaced"):
        spectral(x, y, 2, Region(torch.ones(8, 8)))


def test_unknown_names_and_shapes_that_differ_are_refused() -> None:
    x, y = fields((8, 8))
    with pytest.raises(ValueError, match="'rmsee': one of mse"):
        frame_scores(x, y, 2, ["rmsee"])
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 8, 7\)"):
        frame_scores(x[..., :7], y, 2, ["mse"])
    with pytest.raises(ValueError, match="3 axes"):
        frame_scores(x, y, 3, ["mse"])


# --- means ---


def test_means_over_batches_are_means_over_all_of_them() -> None:
    scores = torch.rand((7, 31, 2), generator=torch.Generator().manual_seed(0))
    means = Means(["A", "B"])
    for part in (scores[:3], scores[3:4], scores[4:]):
        means.add({"vrmse": part})
    values = scores.double().numpy()
    np.testing.assert_allclose(means.by_step("vrmse"), values.mean(0), rtol=1e-12)
    assert means.overall("vrmse") == pytest.approx(values.mean(), rel=1e-12)
    for window, frames in (("6_12", range(6, 12)), ("13_30", range(13, 30))):
        wanted = np.mean([values[:, step] for step in frames], axis=(0, 1))
        found = means.by_channel("vrmse", WINDOWS[window])
        assert found == pytest.approx({"A": wanted[0], "B": wanted[1]}, rel=1e-12)
        assert means.overall("vrmse", WINDOWS[window]) == pytest.approx(wanted.mean(), rel=1e-12)


def test_steps_may_come_in_parts_and_trajectories_may_end_early() -> None:
    means = Means(["A"])
    means.add({"mse": torch.tensor([[[1.0], [3.0]]])})
    means.add({"mse": torch.tensor([[[5.0]]])}, first_step=1)
    means.add({"mse": torch.tensor([[[7.0]]])}, first_step=3)
    np.testing.assert_array_equal(means.by_step("mse")[:, 0], [1, 4, np.nan, 7])
    assert means.overall("mse", slice(0, 2)) == pytest.approx(3.0)
    assert means.overall("mse") is None


def test_a_window_that_was_not_wholly_predicted_has_no_mean() -> None:
    means = Means(["A"])
    means.add({"vrmse": torch.ones((2, 29, 1))})
    assert means.overall("vrmse", WINDOWS["6_12"]) == 1
    assert means.overall("vrmse", WINDOWS["13_30"]) is None
    means.add({"vrmse": torch.ones((1, 1, 1))}, first_step=29)
    assert means.overall("vrmse", WINDOWS["13_30"]) == 1


def test_a_figure_that_is_no_number_is_counted_and_not_left_out() -> None:
    means = Means(["A", "B"])
    scores = torch.ones((2, 3, 2))
    scores[0, 1, 1] = torch.inf
    means.add({"vrmse": scores})
    assert means.nonfinite("vrmse") == 1
    assert means.by_channel("vrmse") == {"A": 1.0, "B": np.inf}
    assert means.overall("vrmse") == np.inf
