"""Gray-Scott beside scipy on the same modes, and its symmetries."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from tasks.physics import gray_scott
from tasks.physics.etdrk4 import Grid, coefficients, step, trajectory

SIZES, LENGTHS = (18, 12), (0.3, 0.2)


def kept_modes(n: int) -> np.ndarray:
    """Return which modes of a whole spectrum two thirds are: |m| < n / 3."""
    return np.abs(np.fft.fftfreq(n, 1 / n)) < n / 3


def reference(a: np.ndarray, b: np.ndarray, regime: gray_scott.Regime, end: float) -> tuple[np.ndarray, np.ndarray]:
    """Solve for A and B at the points themselves, with complex transforms of numpy and steps of scipy."""
    kx, ky = (2 * np.pi * np.fft.fftfreq(n, length / n) for n, length in zip(SIZES, LENGTHS, strict=True))
    k2 = kx[:, None] ** 2 + ky[None, :] ** 2
    mask = kept_modes(SIZES[0])[:, None] & kept_modes(SIZES[1])[None, :]

    def filtered(values: np.ndarray, factor: np.ndarray) -> np.ndarray:
        return np.fft.ifft2(np.fft.fft2(values) * factor).real

    def slope(_: float, state: np.ndarray) -> np.ndarray:
        a, b = state.reshape(2, *SIZES)
        reaction = filtered(a * b**2, mask)
        da = 2e-5 * filtered(a, -k2) - reaction + regime.feed * (1 - a)
        db = 1e-5 * filtered(b, -k2) + reaction - (regime.feed + regime.kill) * b
        return np.concatenate([da.ravel(), db.ravel()])

    done = solve_ivp(slope, (0, end), np.concatenate([a.ravel(), b.ravel()]), method="DOP853", rtol=1e-11, atol=1e-12)
    return tuple(done.y[:, -1].reshape(2, *SIZES))


def solved(grid: Grid, regime: gray_scott.Regime, state: torch.Tensor, dt: float, steps: int) -> dict[str, np.ndarray]:
    of, nonlinear = coefficients(gray_scott.linear(grid, regime), dt), gray_scott.nonlinear(grid)
    for _ in range(steps):
        state = step(state, nonlinear, of)
    return {name: values.numpy() for name, values in gray_scott.concentrations(grid, state).items()}


def some_state(grid: Grid, seed: int = 0, batch: int = 1) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    kinds = ["fourier"]
    return torch.stack([gray_scott.initial(grid, rng, kinds=kinds, filled_share=0.4) for _ in range(batch)])


@pytest.mark.parametrize("name", ["gliders", "bubbles", "worms"])
def test_solution_equals_scipys(name: str) -> None:
    regime, grid = gray_scott.REGIMES[name], Grid(SIZES, LENGTHS)
    start = some_state(grid)
    before = gray_scott.concentrations(grid, start)
    a, b = reference(before["A"][0].numpy(), before["B"][0].numpy(), regime, end=40)
    errors = []
    for dt in (1.0, 0.5):
        found = solved(grid, regime, start, dt, round(40 / dt))
        errors.append(max(np.abs(found["A"][0] - a).max(), np.abs(found["B"][0] - b).max()))
    assert np.abs(a - before["A"][0].numpy()).max() > 0.1  # something happened
    assert errors[1] < 2e-6
    assert errors[0] / errors[1] > 12  # of fourth order


def test_regimes_are_those_of_the_well() -> None:
    rates = {name: (regime.feed, regime.kill) for name, regime in gray_scott.REGIMES.items()}
    assert rates == {
        "gliders": (0.014, 0.054),
        "bubbles": (0.098, 0.057),
        "maze": (0.029, 0.057),
        "worms": (0.058, 0.065),
        "spirals": (0.018, 0.051),
        "spots": (0.03, 0.062),
    }


MOVES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "flip": lambda s: s.flip(-2),
    "rotation": lambda s: torch.rot90(s, 1, (-2, -1)),
    "permutation": lambda s: s.transpose(-2, -1),
    "roll": lambda s: s.roll((3, -5), (-2, -1)),
}


@pytest.mark.parametrize("move", MOVES)
def test_a_step_commutes_with(move: str) -> None:
    grid, regime = Grid((24, 24), (0.4, 0.4)), gray_scott.REGIMES["maze"]
    before = gray_scott.concentrations(grid, some_state(grid))
    moved = gray_scott.spectrum(grid, *(MOVES[move](before[name]) for name in "AB"))
    straight = solved(grid, regime, gray_scott.spectrum(grid, before["A"], before["B"]), 4.0, 5)
    turned = solved(grid, regime, moved, 4.0, 5)
    for name in "AB":
        expected = MOVES[move](torch.from_numpy(straight[name])).numpy()
        np.testing.assert_allclose(turned[name], expected, atol=1e-10)
        assert np.abs(expected - straight[name]).max() > 1e-3  # the move is one


def test_trajectories_of_a_batch_do_not_touch_each_other() -> None:
    grid, regime = Grid((16, 16), (0.25, 0.25)), gray_scott.REGIMES["spots"]
    states = some_state(grid, batch=3)
    together = solved(grid, regime, states, 2.0, 10)["B"]
    for number in range(3):
        alone = solved(grid, regime, states[number : number + 1], 2.0, 10)["B"][0]
        np.testing.assert_allclose(together[number], alone, atol=1e-12)


@pytest.mark.parametrize("kind", ["clusters", "fourier"])
def test_initial_states_repeat_at_the_faces_and_lie_between_rest_and_one_half(kind: str) -> None:
    grid = Grid((64, 64), (1.0, 1.0))
    state = torch.stack(
        [gray_scott.initial(grid, np.random.default_rng(n), kinds=[kind], filled_share=0.2) for n in range(4)]
    )
    found = {name: values.numpy() for name, values in gray_scott.concentrations(grid, state).items()}
    np.testing.assert_allclose(found["A"], 1 - found["B"], atol=1e-12)
    # a little beyond: waves of high number are left out
    assert -0.02 < found["B"].min() < 0.05
    assert 0.4 < found["B"].max() < 0.52
    across = np.abs(np.diff(found["B"], axis=1, append=found["B"][:, :1])).max((0, 2))
    assert across[-1] < 1.5 * across[:-1].max()  # from the last point on to the first is a step as any other
    assert len({values.tobytes() for values in found["B"]}) == 4


def test_all_regimes_live_and_differ_at_the_size_of_the_defaults() -> None:
    grid = Grid((64, 64), (1.0, 1.0))
    means = {}
    for name, regime in gray_scott.REGIMES.items():
        kind, share = ("fourier", 0.84) if name == "bubbles" else ("clusters", 0.12)
        start = gray_scott.initial(grid, np.random.default_rng(7), kinds=[kind], filled_share=share)[None]
        of = coefficients(gray_scott.linear(grid, regime), 4.0)
        *_, last = trajectory(start, gray_scott.nonlinear(grid), of, steps_between=50, frames=6)
        b = gray_scott.concentrations(grid, last)["B"]
        assert float(b.std()) > 0.02, name
        means[name] = float(b.mean())
    assert len({round(mean, 3) for mean in means.values()}) == len(means)
