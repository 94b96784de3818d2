"""How far a predicted frame is from the true one: The Well's metrics (arXiv 2412.00568, section 4 and appendix).

Shapes: B batch, T time, C channels, S space (D axes). Tensors are (B, T, C, *S); a figure is reduced over space alone
and stays (B, T, C). Reported numbers are means over batch, time, then channels: components of a vector count singly.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

EPS = 1e-7
BANDS = 3

# Steps after the inputs over which rollouts are read. The paper writes 6:12 and 13:30; here these are Python's slices
# of the predicted frames: step 0 is the first frame after the inputs, the end is not in it (6:12 is frames 6 to 11).
# The reference trainer cuts its own windows so, from step 0 on; the paper itself does not say.
WINDOWS = {"6_12": slice(6, 12), "13_30": slice(13, 30)}


@dataclass(frozen=True)
class Region:
    """Which points of a frame count, and how much.

    `weights_S` (*S) is each point's share of space (`quadrature.point_weights`); None: all weigh the same.
    `mask_S` (*S), or of any shape that broadcasts to the fields, is True where a point counts; what the fields hold
    elsewhere, NaN too, changes nothing. None: all count.
    """

    weights_S: Tensor | None = None
    mask_S: Tensor | None = None


Metric = Callable[[Tensor, Tensor, int, Region | None], Tensor]


def mse(x: Tensor, y: Tensor, dims: int, region: Region | None = None) -> Tensor:
    """Mean squared error of prediction `x` against target `y`, (B, T, C, *S) with `dims` spatial axes -> (B, T, C)."""
    return _mean((x - y) ** 2, dims, region)


def rmse(x: Tensor, y: Tensor, dims: int, region: Region | None = None) -> Tensor:
    """Root of the mean squared error, (B, T, C)."""
    return mse(x, y, dims, region).sqrt()


def mae(x: Tensor, y: Tensor, dims: int, region: Region | None = None) -> Tensor:
    """Mean absolute error, (B, T, C)."""
    return _mean((x - y).abs(), dims, region)


def nmae(x: Tensor, y: Tensor, dims: int, region: Region | None = None) -> Tensor:
    """Mean absolute error over the mean of |y|, (B, T, C)."""
    return mae(x, y, dims, region) / (_mean(y.abs(), dims, region) + EPS)


def nmse(x: Tensor, y: Tensor, dims: int, region: Region | None = None) -> Tensor:
    """Mean squared error over the mean of y squared, (B, T, C)."""
    return mse(x, y, dims, region) / (_mean(y**2, dims, region) + EPS)


def nrmse(x: Tensor, y: Tensor, dims: int, region: Region | None = None) -> Tensor:
    """Root of `nmse`, (B, T, C)."""
    return nmse(x, y, dims, region).sqrt()


def vmse(x: Tensor, y: Tensor, dims: int, region: Region | None = None) -> Tensor:
    """Mean squared error over the unbiased variance of the target frame, (B, T, C).

    With weights or a mask, the variance is the weighted one times N / (N - 1) for the N points that count.
    """
    return mse(x, y, dims, region) / (_variance(y, dims, region) + EPS)


def vrmse(x: Tensor, y: Tensor, dims: int, region: Region | None = None) -> Tensor:
    """Root of `vmse`, (B, T, C), the headline: sqrt((N - 1) / N) for a prediction of the frame's mean."""
    return vmse(x, y, dims, region).sqrt()


def linfinity(x: Tensor, y: Tensor, dims: int, region: Region | None = None) -> Tensor:
    """Largest absolute error, (B, T, C)."""
    return _visible((x - y).abs(), region).amax(_space(dims))


def pearson_r(x: Tensor, y: Tensor, dims: int, region: Region | None = None) -> Tensor:
    """Correlation over space, (B, T, C): biased covariance over unbiased deviations, as in the paper's code.

    So equal frames of N points have (N - 1) / N, not 1.
    """
    x, y = _visible(x, region), _visible(y, region)
    x_off, y_off = (v - _mean(v, dims, region)[(..., *(None,) * dims)] for v in (x, y))
    spread = _variance(x, dims, region).sqrt() * _variance(y, dims, region).sqrt()
    return _mean(x_off * y_off, dims, region) / (spread + EPS)


METRICS: dict[str, Metric] = {
    "mse": mse,
    "rmse": rmse,
    "mae": mae,
    "nmae": nmae,
    "nmse": nmse,
    "nrmse": nrmse,
    "vmse": vmse,
    "vrmse": vrmse,
    "linfinity": linfinity,
    "pearson_r": pearson_r,
}


def spectral(x: Tensor, y: Tensor, dims: int, region: Region | None = None) -> tuple[Tensor, Tensor]:
    """Return (mse, nmse) of three bands of isotropic wavenumber, low to high, each (B, T, C, 3).

    Band edges in rad/pixel: 0, then logspace from 2 pi / max(S) to pi sqrt(D) without its first. The bands' mse sum to
    the mean squared error; nmse is over the target's energy in the band. Points that a mask leaves out have neither
    error nor energy. Raises ValueError for weights: a grid whose points weigh differently has no such transform.
    """
    if region is not None and region.weights_S is not None:
        raise ValueError("spectral bands need evenly spaced points: leave them out on this grid")
    x, y = _visible(x, region), _visible(y, region)
    sizes = tuple(x.shape[-dims:])
    bands_KN = _band_members(sizes, x.device)

    def energy(v: Tensor) -> Tensor:
        power = torch.fft.rfftn(v, dim=_space(dims)).abs().flatten(-dims) ** 2
        return power @ bands_KN.to(power.dtype).T / float(np.prod(sizes)) ** 2

    error = energy(x - y)
    return error, error / (energy(y) + EPS)


def _band_members(sizes: tuple[int, ...], device: torch.device) -> Tensor:
    """Return how often each coefficient of the half spectrum counts in each band, (3, N)."""
    # in float32, operation by operation as the paper's code: on some sizes wavenumbers lie exactly on an edge
    edges = torch.logspace(np.log10(2 * np.pi / max(sizes)), np.log10(np.pi * np.sqrt(len(sizes)) + 1e-6), BANDS + 1)
    edges[0] = 0
    squares = torch.zeros(sizes)
    for axis, size in enumerate(sizes):
        along = (2 * np.pi * torch.fft.fftfreq(size)) ** 2
        squares += along.reshape(-1, *(1,) * (len(sizes) - axis - 1))
    last = sizes[-1]
    half = last // 2 + 1
    bands = torch.bucketize(squares.sqrt()[..., :half].flatten(), edges, right=True) - 1
    twice = torch.full((half,), 2.0)  # each stands for its conjugate too, but for the mean and Nyquist's
    twice[0] = 1
    if last % 2 == 0:
        twice[-1] = 1
    often = twice.expand(*sizes[:-1], half).flatten()
    return torch.stack([torch.where(bands == band, often, 0) for band in range(BANDS)]).to(device)


def frame_mean(y: Tensor, dims: int, region: Region | None = None) -> Tensor:
    """Return the target with each frame replaced by its mean over space, (B, T, C, *S): its VRMSE is about 1."""
    return _mean(_visible(y, region), dims, region)[(..., *(None,) * dims)].expand_as(y)


def frame_scores(
    x: Tensor, y: Tensor, dims: int, names: Sequence[str], region: Region | None = None
) -> dict[str, Tensor]:
    """Return figures by name, each (B, T, C). `spectral` among the names gives spectral_mse_bin_0 to _nmse_bin_2.

    Raises ValueError for shapes that differ, and for a name that is none of METRICS.
    """
    if x.shape != y.shape or x.ndim != dims + 3:
        raise ValueError(
            f"prediction {tuple(x.shape)} and target {tuple(y.shape)} must both be (B, T, C) and {dims} axes"
        )
    found: dict[str, Tensor] = {}
    for name in names:
        if name == "spectral":
            for kind, bands in zip(("mse", "nmse"), spectral(x, y, dims, region), strict=True):
                found |= {f"spectral_{kind}_bin_{band}": bands[..., band] for band in range(BANDS)}
        elif name in METRICS:
            found[name] = METRICS[name](x, y, dims, region)
        else:
            raise ValueError(f"no metric is called {name!r}: one of {', '.join(METRICS)}, spectral")
    return found


def _space(dims: int) -> tuple[int, ...]:
    return tuple(range(-dims, 0))


def _visible(v: Tensor, region: Region | None) -> Tensor:
    """Return `v` with 0 where a mask leaves points out, so that NaN there meets nothing."""
    if region is None or region.mask_S is None:
        return v
    return torch.where(region.mask_S, v, torch.zeros((), dtype=v.dtype, device=v.device))


def _mean(v: Tensor, dims: int, region: Region | None) -> Tensor:
    if region is None or (region.weights_S is None and region.mask_S is None):
        return v.mean(_space(dims))
    weights = _weights(v, dims, region)
    return (_visible(v, region) * weights).sum(_space(dims)) / weights.sum(_space(dims))


def _variance(v: Tensor, dims: int, region: Region | None) -> Tensor:
    if region is None or (region.weights_S is None and region.mask_S is None):
        return v.var(_space(dims), unbiased=True)
    v = _visible(v, region)
    count = (_weights(v, dims, Region(mask_S=region.mask_S)) > 0).sum(_space(dims))
    off = v - _mean(v, dims, region)[(..., *(None,) * dims)]
    return _mean(off**2, dims, region) * count / (count - 1)


def _weights(v: Tensor, dims: int, region: Region) -> Tensor:
    """Return the weights that count, which broadcast to `v` and have all its spatial axes."""
    weights = torch.ones(v.shape[-dims:], dtype=v.dtype, device=v.device)
    if region.weights_S is not None:
        weights = region.weights_S.to(v)
    return weights if region.mask_S is None else weights * region.mask_S


# --- means over many batches ---


class Means:
    """Means of figures over batch and time, per channel, in one pass: sums in float64, by step of the prediction.

    A figure that is no number makes the means that it belongs to NaN, and is counted: nothing is left out silently.
    """

    def __init__(self, channels: Sequence[str]) -> None:
        self.channels = tuple(channels)
        self._sums: dict[str, np.ndarray] = {}  # (T, C)
        self._counts: dict[str, np.ndarray] = {}  # (T,)
        self._nonfinite: dict[str, int] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The figures that were added."""
        return tuple(self._sums)

    def add(self, scores: Mapping[str, Tensor], first_step: int = 0) -> None:
        """Add figures (B, T, C) of predictions that begin with step `first_step` after the inputs (0: the next)."""
        for name, figure in scores.items():
            values = figure.detach().to("cpu", torch.float64).numpy()
            batch, steps, channels = values.shape
            if channels != len(self.channels):
                raise ValueError(f"{name} has {channels} channels, not those of {', '.join(self.channels)}")
            self._grow(name, first_step + steps)
            self._sums[name][first_step : first_step + steps] += values.sum(0)
            self._counts[name][first_step : first_step + steps] += batch
            self._nonfinite[name] += int((~np.isfinite(values)).sum())

    def _grow(self, name: str, steps: int) -> None:
        sums, counts = self._sums.get(name, np.zeros((0, len(self.channels)))), self._counts.get(name, np.zeros(0, int))
        more = max(0, steps - len(sums))
        self._sums[name] = np.pad(sums, ((0, more), (0, 0)))
        self._counts[name] = np.pad(counts, (0, more))
        self._nonfinite.setdefault(name, 0)

    def nonfinite(self, name: str) -> int:
        """Return how many figures of this name were NaN or infinite."""
        return self._nonfinite[name]

    def by_step(self, name: str) -> np.ndarray:
        """Return the mean over batch of each step and channel, (T, C); NaN where nothing was added."""
        counts = self._counts[name][:, None]
        return np.divide(self._sums[name], counts, out=np.full_like(self._sums[name], np.nan), where=counts > 0)

    def by_channel(self, name: str, window: slice | None = None) -> dict[str, float] | None:
        """Return the mean over batch and the steps of `window` (None: all) by channel.

        None where not every step of the window was predicted: a part of a window is not the window.
        """
        window = window or slice(0, len(self._counts[name]))
        counts = self._counts[name][window]
        if len(counts) != window.stop - window.start or not counts.all():
            return None
        sums = self._sums[name][window].sum(0) / counts.sum()
        return dict(zip(self.channels, sums.tolist(), strict=True))

    def overall(self, name: str, window: slice | None = None) -> float | None:
        """Return the mean over batch, time, then channels; None as `by_channel`."""
        found = self.by_channel(name, window)
        return None if found is None else float(np.mean(list(found.values())))
