"""The four surrogates: their Fourier blocks act, they are as big as the paper's, and the same seed gives the same."""

import itertools
from typing import Any

import pytest
import torch
from neuralop.models import FNO, TFNO
from safetensors.torch import load, save
from torch import nn

from tasks.physics.networks import CONFIGS, PAPER, build, parameter_count

SMALL: dict[str, dict[str, Any]] = {
    "fno": {"modes": 6, "width": 8, "layers": 3},
    "tfno": {"modes": 6, "width": 8, "layers": 3, "rank": 0.5},
    "unet": {"width": 4, "padding": "zeros"},
    "cnextunet": {"width": 4, "blocks": 1, "neck_blocks": 1, "padding": "zeros"},
}
POINTWISE = {"modes": 6, "width": 8, "layers": 3, "discard_blocks": True}  # the published fault: no block acts
FOURIER = ("fno", "tfno")
CONVOLUTIONAL = ("unet", "cnextunet")


def small(name: str, dimensions: int = 2, size: int = 16, seed: int = 0, **options: Any) -> nn.Module:
    config = SMALL[name] | {key: options.pop(key) for key in list(options) if key in SMALL[name]}
    return build(name, config, 3, 2, dimensions, (size,) * dimensions, seed=seed, **options).eval()


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("name", SMALL)
def test_float32_frames_go_in_and_come_out(name: str, dimensions: int) -> None:
    network = small(name, dimensions)
    y = network(noise(2, 3, *(16,) * dimensions))
    assert (y.shape, y.dtype) == ((2, 2, *(16,) * dimensions), torch.float32)
    assert torch.isfinite(y).all()
    assert y.std() > 0


@pytest.mark.parametrize("name", SMALL)
def test_axes_may_differ_and_a_network_takes_other_resolutions(name: str) -> None:
    network = build(name, SMALL[name], 3, 2, 2, (32, 48))
    assert network(noise(1, 3, 32, 48)).shape == (1, 2, 32, 48)
    assert network(noise(1, 3, 64, 16)).shape == (1, 2, 64, 16)


@pytest.mark.parametrize("name", SMALL)
def test_the_same_seed_gives_the_same_network_whatever_was_drawn_before(name: str) -> None:
    first = small(name, seed=7)
    torch.rand(5)
    before = torch.get_rng_state()
    again, other = small(name, seed=7), small(name, seed=8)
    assert torch.equal(torch.get_rng_state(), before)
    x = noise(2, 3, 16, 16)
    assert torch.equal(first(x), again(x))
    assert not torch.equal(first(x), other(x))


@pytest.mark.parametrize("name", SMALL)
def test_the_state_is_tensors_that_safetensors_gives_back(name: str) -> None:
    network, other = small(name, seed=1).train(), small(name, seed=2)
    network(noise(4, 3, 16, 16))  # moves the running means of batch normalisation
    other.load_state_dict(load(save(network.state_dict())))
    x = noise(2, 3, 16, 16, seed=3)
    assert torch.equal(network.eval()(x), other(x))


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_is_reached_by_the_gradient(name: str) -> None:
    network = small(name).train()
    if name == "cnextunet":  # where the scale is 1e-6 so are the gradients behind it
        for key, value in network.named_parameters():
            if key.endswith("scale"):
                nn.init.ones_(value)
    (network(noise(2, 3, 32, 32)) ** 2).mean().backward()
    for key, value in network.named_parameters():
        assert value.grad is not None and value.grad.abs().max() > 0, key


# --- Fourier blocks ---


def spectral_weights(network: nn.Module) -> list[torch.Tensor]:
    return [value for value in network.parameters() if value.is_complex()]


@pytest.mark.parametrize("name", FOURIER)
def test_the_output_changes_when_spectral_weights_are_zeroed(name: str) -> None:
    network, x = small(name), noise(2, 3, 16, 16)
    before = network(x)
    assert len(spectral_weights(network)) >= 3  # layers
    for weight in spectral_weights(network):
        kept = weight.detach().clone()
        with torch.no_grad():
            weight.zero_()
            assert (network(x) - before).abs().max() > 1e-3 * before.abs().max()
            weight.copy_(kept)
    assert torch.equal(network(x), before)


@pytest.mark.parametrize("name", FOURIER)
@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_changed_point_is_felt_far_away(name: str, dimensions: int) -> None:
    x = noise(1, 3, *(16,) * dimensions)
    moved = x.clone()
    moved[(0, 0, *(3,) * dimensions)] += 1
    change = (small(name, dimensions)(moved) - small(name, dimensions)(x)).abs().amax(1)[0]
    assert change[(11,) * dimensions] > 1e-6
    pointwise = build("fno", POINTWISE, 3, 2, dimensions, (16,) * dimensions).eval()
    change = (pointwise(moved) - pointwise(x)).abs().amax(1)[0]
    assert change[(3,) * dimensions] > 0
    assert change.count_nonzero() == 1


def linear_fourier(name: str, width: int = 4) -> nn.Module:
    """Return a network of one block whose every other layer is turned off: what is left is the spectral convolution."""
    network: Any = build(name, SMALL[name] | {"layers": 1, "width": width}, 1, 1, 2, (32, 32), seed=5)
    nn.init.zeros_(network.blocks.fno_skips[0].conv.weight)
    nn.init.zeros_(network.blocks.convs[0].bias)
    return network


@pytest.mark.parametrize("name", FOURIER)
def test_frequency_response_a_block_shifts_the_phase_of_low_modes_and_stops_high_ones(name: str) -> None:
    """Of a wave of 2 cycles the block makes another phase; of 10 cycles (beyond 6 modes) nothing is left.

    A pointwise function of cos(kx) is even about x = 0, as the wave is: it cannot make a sine of it.
    """
    points = torch.arange(32) * 2 * torch.pi / 32
    network: Any = linear_fourier(name)
    spectral = network.blocks.convs[0]

    weight = spectral.weight.to_tensor()  # (in, out, modes -3 to 2, modes 0 to 3)

    def response(waves: int) -> torch.Tensor:
        """Return by how much each channel answers to a wave in all: real, of cos; imaginary, of sin."""
        hidden = torch.cos(waves * points)[:, None].expand(32, 32)[None, None].repeat(1, 4, 1, 1)
        return torch.fft.fft2(spectral(hidden))[0, :, waves, 0] / 512

    wanted = (weight[:, :, 3 + 2, 0].sum(0) + weight[:, :, 3 - 2, 0].sum(0).conj()) / 2  # the field is real
    torch.testing.assert_close(response(2), wanted, rtol=1e-4, atol=1e-6)
    assert response(2).imag.abs().max() > 0.05
    assert response(10).abs().max() < 1e-6

    sine = torch.sin(2 * points)[:, None].expand(32, 32)
    wave = torch.cos(2 * points)[:, None].expand(32, 32)[None, None].contiguous()
    with torch.no_grad():
        share = ((network(wave)[0, 0] * sine).mean() / network(wave)[0, 0].std()).abs()
        pointwise = build("fno", POINTWISE, 1, 1, 2, (32, 32), seed=5)
        nothing = ((pointwise(wave)[0, 0] * sine).mean() / pointwise(wave)[0, 0].std()).abs()
    assert share > 0.05
    assert nothing < 1e-6


@pytest.mark.parametrize("name, kind", [("fno", FNO), ("tfno", TFNO)])
def test_a_fourier_surrogate_computes_what_neuraloperators_own_does(name: str, kind: Any) -> None:
    torch.manual_seed(0)
    options = {"rank": 0.5} if name == "tfno" else {}
    theirs = kind(
        (6, 6),
        in_channels=3,
        out_channels=2,
        hidden_channels=8,
        n_layers=3,
        positional_embedding=None,
        use_channel_mlp=False,
        **options,
    )
    x = noise(2, 3, 16, 16)
    assert torch.equal(small(name)(x), theirs(x))  # same seed, same draws


@pytest.mark.parametrize("name", FOURIER)
@pytest.mark.parametrize("dimensions", [2, 3])
def test_mixed_precision_trains_a_fourier_surrogate(
    name: str, dimensions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Autocast on CPU makes float32 of what a Fourier transform gets; on CUDA it does not, and the transform refuses.

    Here it refuses on CPU too.
    """
    transform = torch.fft.rfftn

    def as_on_cuda(x: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        if x.dtype == torch.bfloat16:
            raise RuntimeError("Unsupported dtype BFloat16")
        return transform(x, *args, **options)

    monkeypatch.setattr(torch.fft, "rfftn", as_on_cuda)
    network, x = small(name, dimensions).train(), noise(2, 3, *(16,) * dimensions)
    whole = network(x)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = network(x)
    assert mixed.dtype == torch.bfloat16
    assert (mixed - whole).abs().max() < 0.05 * whole.abs().max()
    (mixed**2).mean().backward()
    for key, value in network.named_parameters():
        assert value.grad is not None and torch.isfinite(torch.view_as_real(value.grad + 0j)).all(), key
        assert value.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", FOURIER)
def test_fourier_blocks_compute_in_float32_under_mixed_precision(name: str) -> None:
    network: Any = small(name)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    watch = network.blocks.register_forward_hook(lambda module, args, out: seen.append((args[0], out)))
    with torch.autocast("cpu", torch.bfloat16):
        network(noise(2, 3, 16, 16))
    watch.remove()
    assert len(seen) == 3  # layers
    for layer, (given, found) in enumerate(seen):
        assert given.dtype == found.dtype == torch.float32
        assert torch.equal(network.blocks(given, layer), found)


@pytest.mark.parametrize("name", FOURIER)
def test_a_fourier_surrogate_commutes_with_shifts(name: str) -> None:
    network, x = small(name), noise(1, 3, 16, 16)
    torch.testing.assert_close(network(x.roll((3, 5), (2, 3))), network(x).roll((3, 5), (2, 3)), rtol=1e-4, atol=1e-5)


# --- U-Nets ---


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_periodic_padding_makes_a_u_net_commute_with_shifts_by_16(name: str, dimensions: int) -> None:
    """Pooling keeps shifts by 2**4 only; zeros beyond the boundary break these too, and only on their own axis."""
    size = (48, 32) if dimensions == 2 else (32, 32, 32)
    x = noise(1, 3, *size)
    for periodic in itertools.product((True, False), repeat=2) if dimensions == 2 else [(True, False, True)]:
        network = build(name, SMALL[name] | {"padding": "boundary"}, 3, 2, dimensions, size, periodic=periodic)
        network.eval()
        for axis, wraps in enumerate(periodic):
            with torch.no_grad():
                gap = (network(x.roll(16, axis + 2)) - network(x).roll(16, axis + 2)).abs().max()
                assert (gap < 1e-4 * network(x).abs().max()) == wraps, (periodic, axis)


def test_zeros_are_the_default_of_the_paper_even_where_the_boundary_is_periodic() -> None:
    for name in CONVOLUTIONAL:
        assert PAPER[name]["padding"] == "zeros"
        x = noise(1, 3, 16, 16)
        assert torch.equal(small(name, periodic=(True, True))(x), small(name)(x))
        assert not torch.equal(small(name, periodic=(True, True), padding="boundary")(x), small(name)(x))


def test_what_a_u_net_saw_on_the_way_down_reaches_the_output() -> None:
    for name in CONVOLUTIONAL:
        network: Any = small(name)
        x = noise(1, 3, 16, 16)
        joined = network.merge[-1][0] if name == "unet" else network.join[-1]
        before = network(x)
        with torch.no_grad():
            joined.weight[:, SMALL[name]["width"] :] = 0  # what came from the way down at full resolution
        assert (network(x) - before).abs().max() > 1e-3 * before.abs().max()


# --- sizes ---


def test_papers_sizes_have_15_to_20_million_parameters() -> None:
    """Four frames of two fields in, one out; at the settings that the paper states."""
    counts = {name: parameter_count(build(name, config, 8, 2, 2, (128, 128))) for name, config in PAPER.items()}
    millions = {name: round(count / 1e6, 1) for name, count in counts.items()}
    assert millions == {"fno": 19.0, "tfno": 19.3, "unet": 17.5, "cnextunet": 18.6}


def test_a_u_nets_parameters_are_those_of_its_drawing() -> None:
    """Counted by hand: 3x3 without bias and batch normalisation twice a level, 2x2 up with bias, 1x1 out."""
    widths = [4, 8, 16, 32, 64]
    count = 0
    for before, after in zip([3, *widths[:-1]], widths, strict=True):
        count += 9 * before * after + 9 * after * after + 4 * after
    for wide in widths[:-1]:
        count += 4 * 2 * wide * wide + wide + 9 * 2 * wide * wide + 9 * wide * wide + 4 * wide
    assert parameter_count(small("unet")) == count + 4 * 2 + 2


# --- what is refused ---


def test_what_a_network_cannot_take_is_refused_with_the_remedy() -> None:
    for name, config, resolution, message in (
        ("unet", {}, (64, 66), "axis 1 has 66 points.*multiple of 16.*crop it to 64"),
        ("cnextunet", {}, (8, 16), "axis 0 has 8 points.*crop it to 16"),
        ("fno", {}, (4, 16), "modes 6, but axis 0 has 4 points"),
        ("tfno", {}, (15, 16), "axis 0 has 15 points.*even.*crop it to 14"),
        ("fno", {"modes": 1}, (16, 16), "fno: modes: .*greater than or equal to 2"),
        ("fno", {"mode": 1}, (16, 16), "mode: Extra inputs"),
        ("unet", {"padding": "reflect"}, (16, 16), "unet: padding"),
        ("unet", {}, (16, 16, 16), "2 dimensions"),
    ):
        with pytest.raises(ValueError, match=message):
            build(name, SMALL[name] | config, 3, 2, 2, resolution)
    with pytest.raises(ValueError, match="no surrogate is called 'vit': one of fno, tfno"):
        build("vit", {}, 3, 2, 2, (16, 16))
    with pytest.raises(ValueError, match="periodic says 3 axes of 2"):
        build("unet", SMALL["unet"], 3, 2, 2, (16, 16), periodic=(True,) * 3)
    with pytest.raises(ValueError, match="axis 0 has 24 points"):
        small("unet")(noise(1, 3, 24, 16))
    with pytest.raises(ValueError, match="axis 0 has 17 points"):
        small("fno")(noise(1, 3, 17, 16))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_one_window_with_one_point_at_the_bottom_is_too_few_to_train_a_u_net(dimensions: int) -> None:
    network, axes = small("unet", dimensions).train(), (16,) * dimensions
    sizes = ", ".join(map(str, axes))
    message = rf"one window of resolution \({sizes}\) has one point .* raise batch_size, or lower micro_batches"
    with pytest.raises(ValueError, match=message):
        network(noise(1, 3, *axes))
    network(noise(2, 3, *axes))
    network(noise(1, 3, *axes[:-1], 32))
    network.eval()(noise(1, 3, *axes))  # its statistics are known
    small("cnextunet", dimensions).train()(noise(1, 3, *axes))


def test_odd_sizes_on_the_last_axis_are_taken_rightly() -> None:
    """Refused on the others: there neuraloperator 2.0 mixes modes. On the last a wave stays the wave that it was."""
    network: Any = linear_fourier("fno")
    points = torch.arange(15) * 2 * torch.pi / 15
    wave = torch.cos(2 * points)[None].expand(16, 15)[None, None].repeat(1, 4, 1, 1)
    found = torch.fft.fft2(network.blocks.convs[0](wave))[0, 0].abs()
    assert sorted(found.flatten().argsort(descending=True)[:2].tolist()) == [2, 13]
    assert found.flatten().sort(descending=True).values[2] < 1e-5 * found.max()


def test_every_config_says_what_the_paper_took() -> None:
    for name, kind in CONFIGS.items():
        for key, field in kind.model_fields.items():
            assert "paper" in (field.description or ""), f"{name}.{key}"
