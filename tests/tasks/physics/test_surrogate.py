"""A surrogate: what is saved predicts physical frames as the network it was trained as does."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from tasks.physics.rollout import Scaling, rollout
from tasks.physics.surrogate import Design, Surrogate, from_config, saved_config, training_loss

DESIGN = Design(
    network="cnextunet",
    network_config={"width": 2, "blocks": 1, "neck_blocks": 1, "padding": "boundary"},
    channels=("B", "velocity_x"),
    constants=("speed",),
    frames=3,
    delta=False,
    dimensions=("x", "y"),
    resolution=(16, 32),
    periodic=(True, False),
    dataset="shear_flow",
)
SCALING = Scaling(
    torch.tensor([5.0, -2.0]), torch.tensor([0.5, 3.0]), torch.tensor([0.1, 0.0]), torch.tensor([0.2, 0.7])
)


def surrogate(**changed: Any) -> Surrogate:
    made = Surrogate(replace(DESIGN, **changed), seed=3)
    made.set_scaling(SCALING, torch.tensor([10.0]), torch.tensor([4.0]))
    return made.eval()


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def normalised(past: Tensor, constants: Tensor) -> Tensor:
    frames = [
        torch.stack([(past[:, n, 0] - 5.0) / 0.5, (past[:, n, 1] + 2.0) / 3.0], dim=1) for n in range(past.shape[1])
    ]
    return torch.cat([*frames, (constants - 10.0) / 4.0], dim=1)


@pytest.mark.parametrize("delta", [False, True])
def test_physical_frames_go_in_and_the_next_comes_out(delta: bool) -> None:
    model, past, constants = surrogate(delta=delta), noise(2, 3, 2, 16, 32), noise(2, 1, 16, 32, seed=1)
    y = model.network(normalised(past, constants))
    if delta:
        wanted = past[:, -1] + torch.stack([y[:, 0] * 0.2 + 0.1, y[:, 1] * 0.7], dim=1)
    else:
        wanted = torch.stack([y[:, 0] * 0.5 + 5.0, y[:, 1] * 3.0 - 2.0], dim=1)
    x = torch.cat([past.flatten(1, 2), constants], dim=1)
    torch.testing.assert_close(model(x), wanted)
    stepped = rollout(model.step(constants), past, 1, model.scaling)
    torch.testing.assert_close(stepped.frames_BTCS[:, 0], wanted)


def test_masked_points_are_the_mean_to_the_network() -> None:
    model, past = surrogate(), noise(1, 3, 2, 16, 32)
    x = torch.cat([past.flatten(1, 2), noise(1, 1, 16, 32)], dim=1)
    hole = x.clone()
    hole[..., 3:5, 7] = torch.nan
    filled = x.clone()
    filled[..., 3:5, 7] = torch.tensor([5.0, -2.0] * 3 + [10.0]).reshape(1, 7, 1)
    torch.testing.assert_close(model(hole), model(filled))


def test_config_and_weights_are_all_that_it_takes() -> None:
    for delta in (False, True):
        model = surrogate(delta=delta)
        other = from_config(json.loads(json.dumps(saved_config(model.design))))
        x = noise(2, 7, 16, 32)
        assert not torch.equal(other.eval()(x), model(x))
        other.load_state_dict(load(save(model.state_dict())))
        assert torch.equal(other.eval()(x), model(x))
    assert saved_config(DESIGN)["build"] == "tasks.physics.surrogate:from_config"


def test_the_loss_is_the_mean_squared_error_of_the_normalised_network() -> None:
    model = surrogate()
    batch = {"input": noise(2, 3, 2, 16, 32), "target": noise(2, 1, 2, 16, 32, seed=1)}
    batch["constants"] = noise(2, 1, 16, 32, seed=2)
    y = model.network(torch.cat([*batch["input"].unbind(1), batch["constants"]], dim=1))
    errors = (y - batch["target"][:, 0]) ** 2
    torch.testing.assert_close(training_loss(model, batch), errors.mean())
    mask = noise(2, 1, 2, 16, 32, seed=4) > 0
    torch.testing.assert_close(training_loss(model, {**batch, "mask": mask}), errors[mask[:, 0]].mean())
    spoilt = torch.where(mask, batch["target"], torch.nan)
    loss = training_loss(model, {**batch, "target": spoilt, "mask": mask})
    torch.testing.assert_close(loss, errors[mask[:, 0]].mean())
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.network.parameters() if p.grad is not None)


def test_a_small_network_learns_a_shift_that_a_pointwise_one_cannot() -> None:
    """The next frame is the newest one moved by two points: only what acts across points can learn it."""
    found = {}
    for pointwise in (False, True):
        design = replace(
            DESIGN,
            network="fno",
            network_config={"modes": 12, "width": 8, "layers": 1, "discard_blocks": pointwise},
            constants=(),
            frames=1,
            resolution=(16, 16),
        )
        model = Surrogate(design, seed=0)
        optimizer = torch.optim.Adam(model.network.parameters(), 1e-2)
        for step in range(200):
            wave = torch.fft.irfft2(torch.fft.rfft2(noise(8, 1, 2, 16, 16, seed=step))[..., :4], s=(16, 16))
            wave = wave / wave.std()
            optimizer.zero_grad()
            loss = training_loss(model, {"input": wave, "target": wave.roll(2, -1)})
            loss.backward()
            optimizer.step()
        found[pointwise] = loss.item()
    assert found[False] < 0.5 * found[True]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(batch, 7, x, y\) is expected: 3 frames of B, velocity_x.*then speed"):
        surrogate()(noise(1, 6, 16, 32))
    made = Surrogate(DESIGN)
    with pytest.raises(ValueError, match="constant_shift are missing"):
        made.set_scaling(SCALING, None, None)
    with pytest.raises(ValueError, match=r"field_scale are of 3 channels: 2 are needed \(shear_flow\)"):
        made.set_scaling(Scaling(torch.zeros(2), torch.ones(3)), torch.zeros(1), torch.ones(1))
    with pytest.raises(ValueError, match="delta_shift are missing"):
        plain = Scaling(torch.zeros(2), torch.ones(2))
        Surrogate(replace(DESIGN, delta=True)).set_scaling(plain, torch.zeros(1), torch.ones(1))
