"""Rollouts: against a loop written out, a linear model whose powers are known, and models that blow up."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tasks.physics import metrics
from tasks.physics.networks import build
from tasks.physics.rollout import LIMIT, Rollout, Scaling, mean_step, persistence_step, rollout, surrogate_step

PLAIN = Scaling(torch.zeros(2), torch.ones(2), torch.zeros(2), torch.ones(2))
SCALED = Scaling(
    torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0]), torch.tensor([0.1, 0.0]), torch.tensor([0.2, 0.7])
)


class Linear(nn.Module):
    """The next frame's channels are a matrix times those of the newest of `frames`, at each point."""

    def __init__(self, matrix: np.ndarray, frames: int = 1) -> None:
        super().__init__()
        self.matrix, self.frames = torch.as_tensor(matrix, dtype=torch.float64), frames

    def forward(self, x: Tensor) -> Tensor:
        newest = x[:, 2 * (self.frames - 1) : 2 * self.frames]
        return torch.einsum("ij,bj...->bi...", self.matrix, newest)


def start(batch: int = 3, frames: int = 1, size: tuple[int, ...] = (4, 5)) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn((batch, frames, 2, *size), generator=generator, dtype=torch.float64)


def test_a_linear_model_rolled_out_is_a_power_of_the_matrix() -> None:
    angle, decay = 0.3, 0.9
    turn = decay * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    inputs = start(frames=4)
    found = rollout(surrogate_step(Linear(turn, 4).eval(), PLAIN), inputs, 40, PLAIN)
    assert (found.lost, found.frames_BTCS.shape) == (0, (3, 40, 2, 4, 5))
    for step in (1, 7, 40):
        power = decay**step * np.array(
            [[np.cos(step * angle), -np.sin(step * angle)], [np.sin(step * angle), np.cos(step * angle)]]
        )
        wanted = np.einsum("ij,bjxy->bixy", power, inputs[:, -1].numpy())
        np.testing.assert_allclose(found.frames_BTCS[:, step - 1].numpy(), wanted, rtol=1e-12, atol=1e-12)


def test_a_linear_change_added_each_step_is_the_power_of_one_plus_the_matrix() -> None:
    rate = np.array([[-0.1, 0.2], [0.0, -0.05]])
    inputs = start()
    found = rollout(surrogate_step(Linear(rate).eval(), PLAIN, delta=True), inputs, 25, PLAIN)
    wanted = np.einsum("ij,bjxy->bixy", np.linalg.matrix_power(np.eye(2) + rate, 25), inputs[:, -1].numpy())
    np.testing.assert_allclose(found.frames_BTCS[:, -1].numpy(), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("delta", [False, True])
def test_a_rollout_is_the_loop_written_out(delta: bool) -> None:
    """Frame by frame and trajectory by trajectory, with normalisation, constants and three frames of the past."""
    network = build("cnextunet", {"width": 4, "blocks": 1, "neck_blocks": 1, "padding": "zeros"}, 7, 2, 2, (16, 16))
    network = network.double().eval()
    inputs = start(frames=3, size=(16, 16))
    constants = torch.randn((3, 1, 16, 16), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = rollout(surrogate_step(network, SCALED, constants_BKS=constants, delta=delta), inputs, 5, SCALED)
    mean, std, mean_delta, std_delta = (
        v.double().reshape(2, 1, 1)
        for v in (SCALED.shift_C, SCALED.scale_C, SCALED.delta_shift_C, SCALED.delta_scale_C)
    )
    for number in range(3):
        frames = list(inputs[number])
        for _ in range(5):
            seen = [(frame - mean) / std for frame in frames[-3:]]
            x = torch.cat([*seen, constants[number]])[None]
            with torch.no_grad():
                y = network(x)[0]
            frames.append(frames[-1] + y * std_delta + mean_delta if delta else y * std + mean)
        torch.testing.assert_close(found.frames_BTCS[number], torch.stack(frames[3:]), rtol=1e-10, atol=1e-10)


def test_one_constant_field_serves_all_trajectories() -> None:
    seen = []

    class Watch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return x[:, :2]

    constants = torch.full((1, 1, 4, 5), 7.0, dtype=torch.float64)
    rollout(surrogate_step(Watch().eval(), PLAIN, constants_BKS=constants), start(), 1, PLAIN)
    assert seen[0].shape == (3, 3, 4, 5)
    assert (seen[0][:, 2] == 7).all()


# --- baselines ---


def test_persistence_repeats_the_last_frame_and_has_the_error_of_the_change() -> None:
    inputs = start(frames=4)
    truth = inputs[:, -1:] * torch.tensor([1.0, 1.5, 2.0]).reshape(1, 3, 1, 1, 1)
    found = rollout(persistence_step, inputs, 3, PLAIN).frames_BTCS
    assert torch.equal(found, inputs[:, -1:].expand(-1, 3, -1, -1, -1))
    assert metrics.mse(found, truth, 2)[0, 1, 0] == pytest.approx((0.25 * inputs[0, -1, 0] ** 2).mean().item())


def test_the_mean_has_a_vrmse_of_about_one() -> None:
    inputs = start(frames=4)
    found = rollout(mean_step, inputs, 2, PLAIN).frames_BTCS
    assert metrics.vrmse(found, inputs[:, -1:].expand_as(found), 2) == pytest.approx((19 / 20) ** 0.5, rel=1e-5)


# --- blow-ups ---


class Spoil(nn.Module):
    """Returns the newest frame, but `value` at one point of trajectory 1 from the third call on."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value, self.calls = value, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        y = x[:, :2].clone()
        if self.calls >= 3:
            y[1, 0, 2, 2] = self.value
        return y


@pytest.mark.parametrize("value, nonfinite", [(torch.nan, 1), (torch.inf, 1), (-torch.inf, 1), (2 * LIMIT, 0)])
def test_a_trajectory_that_blows_up_is_counted_bounded_and_hurts_no_other(value: float, nonfinite: int) -> None:
    inputs = start()
    found = rollout(surrogate_step(Spoil(value).eval(), SCALED), inputs, 6, SCALED)
    assert found.lost == 1
    assert found.lost_at_B.tolist() == [6, 2, 6]
    assert found.nonfinite_B.tolist() == [0, nonfinite, 0]
    assert torch.isfinite(found.frames_BTCS).all()
    for number in (0, 2):
        torch.testing.assert_close(found.frames_BTCS[number], inputs[number].expand(6, -1, -1, -1))
    torch.testing.assert_close(found.frames_BTCS[1, :2], inputs[1].expand(2, -1, -1, -1))
    ends = SCALED.shift_C + LIMIT * SCALED.scale_C
    assert (found.frames_BTCS[1, 2:] == ends.double().reshape(2, 1, 1)).all()
    assert (metrics.vrmse(found.frames_BTCS, inputs.expand_as(found.frames_BTCS), 2)[1, 2:] > 1000).all()


def test_a_trajectory_that_once_was_lost_does_not_come_back() -> None:
    class Once(Spoil):
        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x)
            return y if self.calls == 3 else torch.zeros_like(y)

    found = rollout(surrogate_step(Once(torch.nan).eval(), PLAIN), start(), 6, PLAIN)
    assert found.lost_at_B.tolist() == [6, 2, 6]
    assert (found.frames_BTCS[1, 2:] == LIMIT).all()


def test_a_growing_model_is_lost_when_it_passes_the_limit() -> None:
    """Doubling from 1 passes 1000 after 10 steps."""
    inputs = torch.ones((1, 1, 2, 4, 4), dtype=torch.float64)
    found = rollout(surrogate_step(Linear(2 * np.eye(2)).eval(), PLAIN), inputs, 15, PLAIN, limit=1000)
    assert found.lost_at_B.tolist() == [9]
    assert found.frames_BTCS[0, :, 0, 0, 0].tolist() == [2.0**n for n in range(1, 10)] + [1000.0] * 6


# --- masks ---


def masked_start() -> tuple[Tensor, Tensor]:
    inputs, mask = start(), torch.ones(4, 5, dtype=torch.bool)
    mask[1, 1:3] = False
    inputs[..., ~mask] = torch.nan
    return inputs, mask


def test_points_that_do_not_count_are_zero_to_the_network_and_nan_in_frames() -> None:
    inputs, mask = masked_start()
    seen = []

    class Watch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return x[:, :2] + 100 * torch.rand(1)

    found = rollout(surrogate_step(Watch().eval(), SCALED, mask_S=mask), inputs, 3, SCALED, mask_S=mask)
    assert found.lost == 0
    for x in seen:
        assert (x[..., ~mask] == 0).all()
    assert torch.isnan(found.frames_BTCS[..., ~mask]).all()
    assert torch.isfinite(found.frames_BTCS[..., mask]).all()
    for step in (persistence_step, mean_step):
        assert rollout(step, inputs, 3, SCALED, mask_S=mask).lost == 0
    wanted = inputs[0, -1, 0][mask].mean()
    assert rollout(mean_step, inputs, 3, SCALED, mask_S=mask).frames_BTCS[0, 2, 0, 0, 0] == pytest.approx(wanted.item())


def test_what_cannot_be_rolled_out_is_refused() -> None:
    inputs, _ = masked_start()
    with pytest.raises(ValueError, match="hold NaN or infinity: give the mask"):
        rollout(persistence_step, inputs, 3, PLAIN)
    with pytest.raises(ValueError, match=r"call eval\(\)"):
        surrogate_step(Linear(np.eye(2)), PLAIN)
    with pytest.raises(ValueError, match="delta_shift_C"):
        surrogate_step(Linear(np.eye(2)).eval(), Scaling(torch.zeros(2), torch.ones(2)), delta=True)


def test_a_batch_of_trajectories_is_each_alone() -> None:
    network = build("fno", {"modes": 4, "width": 4, "layers": 1}, 4, 2, 2, (8, 8)).eval()
    inputs = start(frames=2, size=(8, 8)).float()
    step = surrogate_step(network, SCALED)
    together: Rollout = rollout(step, inputs, 8, SCALED)
    for number in range(3):
        alone = rollout(step, inputs[number : number + 1], 8, SCALED)
        torch.testing.assert_close(alone.frames_BTCS[0], together.frames_BTCS[number], rtol=1e-4, atol=1e-5)
