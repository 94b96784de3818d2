"""A surrogate's figures: against loops over frames written out with The Well's own metrics."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from the_well.benchmark import metrics as oracle
from torch import Tensor, nn

from tasks.physics.evaluation import (
    ROLLOUTS,
    SURROGATE,
    Frames,
    Scores,
    StepFor,
    curves,
    figures,
    rollout_rows,
    score,
    space_of,
    with_baselines,
)
from tasks.physics.rollout import LIMIT, Scaling, surrogate_step
from tasks.tables import read_table, write_table

CHANNELS = ("A", "velocity_x")
SCALING = Scaling(torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0]))
EVEN = np.arange(8) / 8


class Damped(nn.Module):
    """The next normalised frame is 0.9 of the newest, turned by one point."""

    def forward(self, x: Tensor) -> Tensor:
        return 0.9 * x[:, 2:4].roll(1, 2)


def step_for(network: nn.Module, scaling: Scaling = SCALING) -> StepFor:
    network.eval()
    return lambda frames, mask_S: surrogate_step(network, scaling, constants_BKS=frames.constants_BKS, mask_S=mask_S)


def trajectory(seed: int, steps: int = 34, batch: int = 1) -> Tensor:
    return torch.randn((batch, steps, 2, 8, 8), generator=torch.Generator().manual_seed(seed)).double().cumsum(1)


def windows(*, steps: int) -> list[Frames]:
    """Return two batches of rollout windows, two frames in, of 2 and 1 trajectories."""
    return [
        Frames(values[:, :2], values[:, 2 : 2 + steps], names)
        for values, names in ((trajectory(0, batch=2), ["t0", "t1"]), (trajectory(1), ["t2"]))
    ]


def scored(*, steps: int, batches: list[Frames] | None = None, **options: Any) -> dict[str, Scores]:
    models = with_baselines(step_for(Damped()))
    space = options.pop("space", space_of(["x", "y"], [EVEN, EVEN], "cartesian"))
    batches = windows(steps=steps) if batches is None else batches
    return score(models, batches, channels=CHANNELS, scaling=SCALING, space=space, **options)


def predictions(values: Tensor, steps: int) -> Tensor:
    """Roll the damped model out by hand, (B, steps, 2, 8, 8)."""
    mean, std = SCALING.shift_C.reshape(2, 1, 1), SCALING.scale_C.reshape(2, 1, 1)
    newest, frames = values[:, 1], []
    for _ in range(steps):
        newest = 0.9 * ((newest - mean) / std).roll(1, 2) * std + mean
        frames.append(newest)
    return torch.stack(frames, 1)


def theirs(metric: Any, x: Tensor, y: Tensor) -> np.ndarray:
    meta: Any = SimpleNamespace(n_spatial_dims=2)
    return metric.eval(x.movedim(2, -1), y.movedim(2, -1), meta).numpy()


def test_figures_are_means_of_the_wells_metrics_over_batch_time_then_channels() -> None:
    found = figures(scored(steps=1), scored(steps=32))
    values = torch.cat([trajectory(0, batch=2), trajectory(1)])
    x, y = predictions(values, 32), values[:, 2:34]
    for name, metric in (
        ("vrmse", oracle.VRMSE),
        ("nrmse", oracle.NRMSE),
        ("pearson_r", oracle.PearsonR),
        ("linfinity", oracle.LInfinity),
    ):
        frames = theirs(metric, x, y)  # (B, T, C)
        for window, wanted in (
            ("one_step", frames[:, :1]),
            ("6_12", np.stack([frames[:, step] for step in (6, 7, 8, 9, 10, 11)], 1)),
            ("13_30", np.stack([frames[:, step] for step in range(13, 30)], 1)),
        ):
            assert found[name][window] == pytest.approx(wanted.mean(), rel=1e-6), (name, window)
            if name == "vrmse":
                for column, channel in enumerate(CHANNELS):
                    assert found[f"vrmse_{channel}"][window] == pytest.approx(wanted[..., column].mean(), rel=1e-6)
    bands = oracle.binned_spectral_mse.eval(x.movedim(2, -1), y.movedim(2, -1), SimpleNamespace(n_spatial_dims=2))
    for band in range(3):
        frames = bands[f"spectral_error_nmse_per_bin_{band}"].numpy()
        assert found["spectral"][f"nmse_bin_{band}"] == pytest.approx(frames[:, :1].mean(), rel=1e-6)
        assert found["spectral"][f"nmse_bin_{band}_6_12"] == pytest.approx(frames[:, 6:12].mean(), rel=1e-6)
    assert found["rollout"] == {
        "trajectories": 3,
        "lost": 0,
        "steps": 32,
        "one_step_windows": 3,
        "one_step_lost": 0,
    }
    persistence = theirs(oracle.VRMSE, values[:, 1:2].expand_as(y), y)
    assert found["persistence"]["vrmse_one_step"] == pytest.approx(persistence[:, :1].mean(), rel=1e-6)
    assert found["persistence"]["vrmse_13_30"] == pytest.approx(persistence[:, 13:30].mean(), rel=1e-6)
    flat = values[:, 1:2].mean((-1, -2), keepdim=True).expand_as(y)
    assert found["mean"]["vrmse_6_12"] == pytest.approx(theirs(oracle.VRMSE, flat, y)[:, 6:12].mean(), rel=1e-6)


def test_a_window_that_rollouts_do_not_reach_is_left_out() -> None:
    found = figures(scored(steps=1), scored(steps=20))
    assert set(found["vrmse"]) == {"one_step", "6_12"}
    assert set(found["persistence"]) == {"vrmse_one_step", "vrmse_6_12"}
    assert "nmse_bin_0_13_30" not in found["spectral"]


def test_how_windows_are_batched_does_not_matter() -> None:
    values = torch.cat([trajectory(0, batch=2), trajectory(1)])
    one_by_one = [Frames(values[n : n + 1, :2], values[n : n + 1, 2:], [f"t{n}"]) for n in range(3)]
    together, alone = (figures(scored(steps=32), scored(steps=32, batches=b)) for b in (None, one_by_one))
    for group, numbers in together.items():
        assert alone[group] == pytest.approx(numbers, rel=1e-12)


def test_each_trajectorys_figures_are_kept_as_a_table(tmp_path: Any) -> None:
    found = scored(steps=5, keep_rows=True)
    write_table(tmp_path / "rollouts.parquet", rollout_rows(found), ROLLOUTS)
    table = read_table(tmp_path / "rollouts.parquet", ROLLOUTS).to_pandas()
    assert len(table) == 3 * 3 * 5 * 2  # models, trajectories, steps, channels
    values = trajectory(1)
    wanted = theirs(oracle.VRMSE, predictions(values, 5), values[:, 2:7])
    rows = table[(table.model == SURROGATE) & (table.trajectory == "t2") & (table.channel == "velocity_x")]
    np.testing.assert_allclose(rows.sort_values("step").vrmse, wanted[0, :, 1], rtol=1e-6)
    assert not table.lost.any()
    assert table.vrmse_area.isna().all()
    drawn = curves(found)
    assert [row["step"] for row in drawn] == [0, 1, 2, 3, 4]
    for row in drawn:
        of_step = table[table.step == row["step"]].groupby("model").mean(numeric_only=True)
        assert row["vrmse"] == pytest.approx(of_step.vrmse[SURROGATE])
        assert row["vrmse_persistence"] == pytest.approx(of_step.vrmse["persistence"])
        assert row["pearson_r"] == pytest.approx(of_step.pearson_r[SURROGATE])


def test_on_an_uneven_grid_area_weighted_figures_stand_beside_the_plain_ones_and_spectra_do_not() -> None:
    chebyshev = -np.cos(np.pi * (np.arange(8) + 0.5) / 8)
    space = space_of(["x", "y"], [EVEN, chebyshev], "cartesian")
    found = figures(scored(steps=1, space=space), scored(steps=13, space=space))
    assert "spectral" not in found
    values = torch.cat([trajectory(0, batch=2), trajectory(1)])
    x, y = predictions(values, 1), values[:, 2:3]
    assert found["vrmse"]["one_step"] == pytest.approx(theirs(oracle.VRMSE, x, y).mean(), rel=1e-6)
    # Fejer's weights by integrating the cardinal polynomials
    weights = np.array(
        [
            np.polynomial.Polynomial(np.polynomial.polynomial.polyfit(chebyshev, np.eye(8)[n], 7)).integ()(1.0)
            - np.polynomial.Polynomial(np.polynomial.polynomial.polyfit(chebyshev, np.eye(8)[n], 7)).integ()(-1.0)
            for n in range(8)
        ]
    )
    share = torch.from_numpy(weights / weights.sum() / 8).expand(8, 8)

    def over_space(v: Tensor) -> Tensor:
        return (v * share).sum((-1, -2), keepdim=True)

    variance = over_space((y - over_space(y)) ** 2) * 64 / 63
    wanted = (over_space((x - y) ** 2) / (variance + 1e-7)).sqrt().mean()
    assert found["vrmse_area"]["one_step"] == pytest.approx(wanted.item(), rel=1e-6)
    assert "6_12" in found["vrmse_area"]


def test_points_that_are_no_number_do_not_count() -> None:
    hole = torch.zeros(8, 8, dtype=torch.bool)
    hole[2:4, 3:6] = True
    batches = []
    for frames in windows(steps=13):
        for values in (frames.inputs_BTCS, frames.targets_BTCS):
            values[..., hole] = torch.nan
        batches.append(frames)
    found = scored(steps=13, batches=batches)
    assert all(scores.lost == 0 for scores in found.values())
    still = torch.cat([b.inputs_BTCS[:, 1:2].expand_as(b.targets_BTCS) for b in batches])[..., ~hole]
    true = torch.cat([b.targets_BTCS for b in batches])[..., ~hole]
    wanted = (((still - true) ** 2).mean(-1) / (true.var(-1) + 1e-7)).sqrt().mean()
    assert found["persistence"].means.overall("vrmse") == pytest.approx(wanted.item(), rel=1e-9)


def test_windows_with_different_masks_are_scored_as_one_by_one() -> None:
    frames = windows(steps=3)[0]
    frames.inputs_BTCS[1, :, :, 0, 0] = torch.nan
    one_by_one = [
        Frames(frames.inputs_BTCS[row : row + 1], frames.targets_BTCS[row : row + 1], [f"t{row}"]) for row in range(2)
    ]
    ours = scored(steps=3, batches=[frames], keep_rows=True)
    theirs = scored(steps=3, batches=one_by_one, keep_rows=True)

    def by_place(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted(rows, key=lambda row: (row["trajectory"], row["step"], row["channel"]))

    for name, scores in ours.items():
        assert scores.windows == 2
        assert by_place(scores.rows) == by_place(theirs[name].rows)
        assert np.isfinite(scores.means.overall("vrmse"))
    masks = {of.trajectories[0]: mask_S for of, mask_S in frames.by_mask()}
    assert masks["t0"] is None
    assert not masks["t1"][0, 0]


def test_figures_of_fields_whose_squares_are_no_numbers_in_float32() -> None:
    unit = 1e20
    batches = [
        Frames((of.inputs_BTCS * unit).float(), (of.targets_BTCS * unit).float(), of.trajectories)
        for of in windows(steps=3)
    ]
    models = with_baselines(step_for(Damped()))
    scaling = Scaling(SCALING.shift_C * unit, SCALING.scale_C * unit)
    space = space_of(["x", "y"], [EVEN, EVEN], "cartesian")
    ours = score(models, batches, channels=CHANNELS, scaling=scaling, space=space)["persistence"].means
    plain = scored(steps=3, batches=windows(steps=3))["persistence"].means
    for name in ("vrmse", "nrmse", "pearson_r", "spectral_nmse_bin_2"):
        assert ours.overall(name) == pytest.approx(plain.overall(name), rel=1e-5)


def test_a_surrogate_that_blows_up_is_counted_and_its_figures_are_very_large_numbers() -> None:
    class Explodes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, 2:4] * torch.nan

    models = with_baselines(step_for(Explodes()))
    space = space_of(["x", "y"], [EVEN, EVEN], "cartesian")
    found = score(models, windows(steps=13), channels=CHANNELS, scaling=SCALING, space=space, keep_rows=True)
    told = figures(found, found)
    assert told["rollout"]["lost"] == 3
    assert LIMIT / 100 < told["vrmse"]["6_12"] < np.inf
    assert all(row["lost"] for row in found[SURROGATE].rows)
    assert found["persistence"].lost == 0


def test_constants_reach_the_network_of_their_own_windows() -> None:
    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, 4:5].expand(-1, 2, -1, -1)

    plain = Scaling(torch.zeros(2), torch.ones(2))
    batches = []
    for frames in windows(steps=2):
        constants = trajectory(len(frames.trajectories), 1, len(frames.trajectories))[:, 0, :1]
        truth = constants[:, None].expand(-1, 2, 2, -1, -1)
        batches.append(Frames(frames.inputs_BTCS, truth, frames.trajectories, constants))
    models = {SURROGATE: step_for(Constant(), plain)}
    space = space_of(["x", "y"], [EVEN, EVEN], "cartesian")
    found = score(models, batches, channels=CHANNELS, scaling=plain, space=space)
    assert found[SURROGATE].means.overall("vrmse") == 0
