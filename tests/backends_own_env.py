"""The backends that want torchvision, which does not fit beside the small torch: LPIPS and RAFT.

Not collected by plain pytest: `python -m bench.backends` makes an environment that has them and runs this there.
"""

import importlib.util
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torchvision.models import alexnet
from torchvision.models.optical_flow import raft_large

from tasks.video.flow import Raft
from tasks.video.perceptual import Lpips
from tests.tasks.video import checkpoints

torch.set_num_threads(1)


def picture(seed: int, height: int = 256, width: int = 456) -> np.ndarray:
    rough = np.random.default_rng(seed).integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
    return cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint of torchvision's AlexNet, classifier and all."""
    folder = tmp_path_factory.mktemp("models") / "lpips"
    checkpoints.write(folder / "alexnet.safetensors", checkpoints.random_state(alexnet(weights=None).state_dict()))
    return folder


@pytest.fixture(scope="module")
def raft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint of torchvision's raft_large."""
    folder = tmp_path_factory.mktemp("models") / "raft"
    checkpoints.write(
        folder / "raft_large.safetensors", checkpoints.random_state(raft_large(weights=None).state_dict())
    )
    return folder


# --- lpips ---


def lpips_by_definition(a: np.ndarray, b: np.ndarray, trunk: Path) -> float:
    """Zhang et al. 2018, equation 1, over AlexNet as torchvision has it and the heads in the wheel of lpips."""
    network = alexnet(weights=None).eval()
    network.load_state_dict(load_file(trunk / "alexnet.safetensors"))
    spec = importlib.util.find_spec("lpips")
    assert spec is not None and spec.origin is not None
    heads = torch.load(
        Path(spec.origin).parent / "weights" / "v0.1" / "alex.pth", map_location="cpu", weights_only=True
    )
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    total = 0.0
    with torch.inference_mode():
        x, y = (
            ((torch.from_numpy(i[..., ::-1].copy()).float() / 127.5 - 1 - shift) / scale).permute(2, 0, 1)[None]
            for i in (a, b)
        )
        for layer, module in enumerate(network.features):
            x, y = module(x), module(y)
            if layer in (1, 4, 7, 9, 11):  # after each ReLU
                number = (1, 4, 7, 9, 11).index(layer)
                unit_x, unit_y = (f / (f.square().sum(1, keepdim=True).sqrt() + 1e-10) for f in (x, y))
                weighted = (unit_x - unit_y).square() * heads[f"lin{number}.model.1.weight"]
                total += float(weighted.sum(1).mean())
    return total


def test_lpips_is_that_of_the_definition_in_the_order_of_the_pairs(trunk: Path) -> None:
    images = [picture(1), picture(2), cv2.GaussianBlur(picture(2), (0, 0), 2), picture(2)]
    found = Lpips(trunk).distances(images)
    expected = [lpips_by_definition(images[i], images[i + 1], trunk) for i in range(3)]
    assert all(math.isfinite(distance) and distance > 0 for distance in found)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_lpips_of_equal_pictures_is_zero_and_one_picture_has_no_neighbour(trunk: Path) -> None:
    assert Lpips(trunk).distances([picture(3), picture(3)]) == [0.0]
    assert Lpips(trunk).distances([picture(3)]) == []


def test_lpips_is_the_same_every_time(trunk: Path) -> None:
    images = [picture(seed) for seed in range(5)]
    assert Lpips(trunk).distances(images) == Lpips(trunk).distances(images)


@pytest.mark.parametrize("fault", ["missing", "renamed", "reshaped", "not finite"])
def test_lpips_names_what_is_wrong_with_a_trunk(trunk: Path, tmp_path: Path, fault: str) -> None:
    state = load_file(trunk / "alexnet.safetensors")
    wrong, said = checkpoints.faults(state, "features.6.weight")[fault]
    checkpoints.write(tmp_path / "alexnet.safetensors", wrong)
    with pytest.raises(ValueError, match=f"alexnet.safetensors: {said}"):
        Lpips(tmp_path).prepare()


# --- raft ---


def test_raft_s_field_is_that_of_torchvision(raft: Path) -> None:
    """128x128 need no rim."""
    a, b = picture(4, 128, 128), picture(5, 128, 128)
    network = raft_large(weights=None).eval()
    network.load_state_dict(load_file(raft / "raft_large.safetensors"))
    x, y = (torch.from_numpy(i[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 127.5 - 1 for i in (a, b))
    with torch.inference_mode():
        expected = network(x, y)[-1][0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(Raft(raft).field(a, b), expected, rtol=1e-4, atol=1e-4)


def test_raft_gives_a_finite_speed_of_a_strip_picture_by_the_time_between_at_720p(raft: Path) -> None:
    """Sides that 8 does not divide; half the time, twice the speed."""
    a, b = picture(6, 130, 171), picture(7, 130, 171)
    backend = Raft(raft)
    field = backend.field(a, b)
    assert field.shape == (130, 171, 2)
    speed = backend.speed_px_s(a, b, 0.25)
    assert math.isfinite(speed) and speed > 0
    assert speed == pytest.approx(np.hypot(*np.moveaxis(field.astype(float), 2, 0)).mean() / 0.25 * 720 / 130, rel=1e-6)
    assert backend.speed_px_s(a, b, 0.125) == pytest.approx(2 * speed)
    assert backend.speed_px_s(a, b, 0.25) == speed


def test_raft_names_what_is_wrong_with_a_checkpoint(raft: Path, tmp_path: Path) -> None:
    state = load_file(raft / "raft_large.safetensors")
    for wrong, said in checkpoints.faults(state, "update_block.flow_head.conv2.weight").values():
        checkpoints.write(tmp_path / "raft_large.safetensors", wrong)
        with pytest.raises(ValueError, match=f"raft_large.safetensors: {said}"):
            Raft(tmp_path).prepare()
