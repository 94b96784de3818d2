"""Exponential time differencing of fourth order for periodic problems: v' = L v + N(v), L diagonal in Fourier space.

The scheme is Cox and Matthews' ETDRK4 (J. Comput. Phys. 176, 2002, eqs. 26-29); its coefficients are means over a
circle in the complex plane (Kassam and Trefethen, SIAM J. Sci. Comput. 26, 2005, section 3). Real FFTs, float64.

Axes: B batch, C unknowns, S space (physical), K space (half spectrum, as torch.fft.rfftn gives it).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

CONTOUR_POINTS = 64  # of the means, on a circle of radius 1; 32 is what Kassam and Trefethen take

Nonlinear = Callable[[Tensor], Tensor]  # v_BCK -> N(v)_BCK


@dataclass(frozen=True)
class Grid:
    """A box that repeats along each axis: points and side of each, the first axis as arrays are stored."""

    sizes: tuple[int, ...]
    lengths: tuple[float, ...]

    def __post_init__(self) -> None:
        assert len(self.sizes) == len(self.lengths)
        assert all(size >= 4 and length > 0 for size, length in zip(self.sizes, self.lengths, strict=True))

    @property
    def axes(self) -> tuple[int, ...]:
        """The spatial axes of a tensor, counted from its end."""
        return tuple(range(-len(self.sizes), 0))

    def coordinates(self, origin: Sequence[float] | None = None) -> tuple[Tensor, ...]:
        """Return the points of each axis, which may be broadcast against each other; `origin` is the first point."""
        starts = [0.0] * len(self.sizes) if origin is None else origin
        points = [
            start + torch.arange(size, dtype=torch.float64) * (length / size)
            for start, size, length in zip(starts, self.sizes, self.lengths, strict=True)
        ]
        return self._broadcast(points)

    def modes(self) -> tuple[Tensor, ...]:
        """Return the whole number of waves along each axis, of the half spectrum."""
        whole = [torch.fft.fftfreq(n, 1 / n, dtype=torch.float64) for n in self.sizes[:-1]]
        half = torch.fft.rfftfreq(self.sizes[-1], 1 / self.sizes[-1], dtype=torch.float64)
        return self._broadcast([*whole, half])

    def wavenumbers(self) -> tuple[Tensor, ...]:
        """Return the angular wavenumber along each axis: d/dx is i times it."""
        return tuple(2 * math.pi / length * m for m, length in zip(self.modes(), self.lengths, strict=True))

    def laplacian(self) -> Tensor:
        """Return what the Laplacian multiplies each mode by: -|k|^2 (K)."""
        first, *others = [k**2 for k in self.wavenumbers()]
        return -sum(others, first)

    def resolved(self, degree: int) -> Tensor:
        """Return which modes a product of `degree` factors leaves unspoilt (K, 0 or 1).

        Of n points an axis keeps |m| < n / (degree + 1): what the product puts above half the points folds back beyond
        that. For two factors that is the rule of two thirds (Orszag, J. Atmos. Sci. 28, 1971).
        """
        kept = torch.ones((), dtype=torch.float64)
        for modes, size in zip(self.modes(), self.sizes, strict=True):
            kept = kept * (modes.abs() * (degree + 1) < size)
        return kept

    def spectrum(self, values_S: Tensor) -> Tensor:
        """Return the Fourier coefficients of real values, over the last axes."""
        return torch.fft.rfftn(values_S, dim=self.axes)

    def values(self, spectrum_K: Tensor) -> Tensor:
        """Return the real values of Fourier coefficients."""
        return torch.fft.irfftn(spectrum_K, s=self.sizes, dim=self.axes)

    def _broadcast(self, of_axes: Sequence[Tensor]) -> tuple[Tensor, ...]:
        shapes = [[-1 if axis == own else 1 for axis in range(len(of_axes))] for own in range(len(of_axes))]
        return tuple(one.reshape(shape) for one, shape in zip(of_axes, shapes, strict=True))


@dataclass(frozen=True)
class Coefficients:
    """What a step of `dt` multiplies by, for each unknown and mode: real, with a last axis of 1 for (re, im)."""

    dt: float
    whole: Tensor  # exp(L dt)
    half: Tensor  # exp(L dt / 2)
    middle: Tensor  # of N in the stages at half a step
    first: Tensor  # of N at the beginning, in the middle (their sum) and at the end
    between: Tensor
    last: Tensor


def coefficients(linear: Tensor, dt: float, points: int = CONTOUR_POINTS) -> Coefficients:
    """Return the coefficients for a real, diagonal L.

    Near 0 the formulas lose all digits by cancellation; over a circle around L dt they do not, and the mean over it is
    the value in its centre. Raises ValueError for a `dt` that is not above 0.
    """
    if not dt > 0:
        raise ValueError(f"dt is {dt}: a step is above 0")
    scaled = linear.to(torch.float64) * dt
    # points in the upper half plane: those below are their conjugates, so that the real part is the mean of both
    angles = math.pi * (torch.arange(1, points + 1, dtype=torch.float64) - 0.5) / points
    z = scaled[..., None] + torch.polar(torch.ones_like(angles), angles)
    ez, ez2 = torch.exp(z), torch.exp(z / 2)

    def mean(of: Tensor) -> Tensor:
        return dt * of.real.mean(-1)[..., None]

    return Coefficients(
        dt,
        torch.exp(scaled)[..., None],
        torch.exp(scaled / 2)[..., None],
        mean((ez2 - 1) / z),
        mean((-4 - z + ez * (4 - 3 * z + z**2)) / z**3),
        mean((2 + z + ez * (z - 2)) / z**3) * 2,
        mean((-4 - 3 * z - z**2 + ez * (4 - z)) / z**3),
    )


def step(v: Tensor, nonlinear: Nonlinear, of: Coefficients) -> Tensor:
    """Return the state a step later (BCK)."""
    # a product of a complex and a real tensor makes the real one complex first: as pairs of reals it costs half
    pairs = torch.view_as_real(v)
    n_v = torch.view_as_real(nonlinear(v))
    decayed = of.half * pairs
    a = torch.addcmul(decayed, of.middle, n_v)
    n_a = torch.view_as_real(nonlinear(torch.view_as_complex(a)))
    n_b = torch.view_as_real(nonlinear(torch.view_as_complex(torch.addcmul(decayed, of.middle, n_a))))
    c = torch.addcmul(of.half * a, of.middle, 2 * n_b - n_v)
    n_c = torch.view_as_real(nonlinear(torch.view_as_complex(c)))
    after = torch.addcmul(of.whole * pairs, of.first, n_v)
    after.addcmul_(of.between, n_a + n_b).addcmul_(of.last, n_c)
    return torch.view_as_complex(after)


def trajectory(
    v: Tensor, nonlinear: Nonlinear, of: Coefficients, *, steps_between: int, frames: int, warm_up: int = 0
) -> Iterator[Tensor]:
    """Yield `frames` states (BCK), the first after `warm_up` steps, the others `steps_between` apart."""
    for _ in range(warm_up):
        v = step(v, nonlinear, of)
    yield v
    for _ in range(frames - 1):
        for _ in range(steps_between):
            v = step(v, nonlinear, of)
        yield v
