"""Our Gray-Scott solver beside py-pde, in an environment of its own: python -m bench.physics_solver

py-pde takes finite differences of second order, so what it finds has to come nearer to ours by the square of its cell,
at every regime. Rows: how far apart, by which order it falls, and the CPU seconds of both.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from bench.environments import environment, versions
from tasks.physics import gray_scott
from tasks.physics.etdrk4 import Grid, coefficients, step

HERE = Path(__file__).resolve().parent
ROWS = HERE / "physics_solver.json"
REQUIREMENTS = ["py-pde==0.59.0"]
POINTS, SIDE, END_S, STEP_S = 128, 0.5, 60.0, 1.0  # ours; with 64 points its own error, up to 1e-3, hides the order
PEER_POINTS = (64, 128, 256)
ORDER = (1.7, 2.3)  # between the two finest
TARGET = 2e-3  # largest difference of B at the finest, where B goes up to about 0.5

# Run there: solves from the A and B in a file, writes them at the end, prints CPU seconds. Without numba, whose
# compilation takes minutes on two cores: py-pde's Laplacian by scipy, steps of scipy's DOP853.
PEER = """
import sys, time
import numpy as np, pde

given = np.load(sys.argv[1])
side, end, feed, kill = (float(given[n]) for n in ("side", "end", "feed", "kill"))

class GrayScott(pde.PDEBase):
    def evolution_rate(self, state, t=0):
        a, b = state
        lap_a, lap_b = (field.laplace("periodic", backend="scipy") for field in state)
        reaction = a * b**2
        rates = [2e-5 * lap_a - reaction + feed * (1 - a), 1e-5 * lap_b + reaction - (feed + kill) * b]
        return pde.FieldCollection(rates)

grid = pde.CartesianGrid([[0, side]] * 2, given["a"].shape, periodic=True)
state = pde.FieldCollection([pde.ScalarField(grid, given[n]) for n in "ab"])
options = {"solver": "scipy", "method": "DOP853", "rtol": 1e-8, "atol": 1e-9, "tracker": None, "backend": "numpy"}
begun = time.process_time()
found = GrayScott().solve(state, t_range=end, **options)
print(time.process_time() - begun)
np.savez(sys.argv[2], a=found[0].data, b=found[1].data)
"""


def at_centres(grid: Grid, values: torch.Tensor, points: int) -> np.ndarray:
    """Return a field (S) at the centres of `points` cells along each axis, by its Fourier series."""
    modes = np.fft.fftfreq(POINTS, 1 / POINTS)
    waves = np.exp(2j * math.pi * np.outer((np.arange(points) + 0.5) / points, modes))
    series: np.ndarray = (waves @ np.fft.fft2(values.numpy()) @ waves.T).real / POINTS**2
    return series


def ours(grid: Grid, regime: gray_scott.Regime, start: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Return the state at the end, and CPU seconds."""
    of, nonlinear = coefficients(gray_scott.linear(grid, regime), STEP_S), gray_scott.nonlinear(grid)
    begun, state = time.process_time(), start
    for _ in range(round(END_S / STEP_S)):
        state = step(state, nonlinear, of)
    return state, time.process_time() - begun


def peer(python: Path, a: np.ndarray, b: np.ndarray, regime: gray_scott.Regime) -> tuple[np.ndarray, float]:
    """Return py-pde's B at the end, and CPU seconds."""
    with tempfile.TemporaryDirectory(prefix="bench-solver-") as folder:
        given, found = Path(folder) / "given.npz", Path(folder) / "found.npz"
        np.savez(given, a=a, b=b, side=SIDE, end=END_S, feed=regime.feed, kill=regime.kill)
        env = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": ""}
        command = [str(python), "-W", "ignore", "-c", PEER, str(given), str(found)]
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
        return np.load(found)["b"], float(done.stdout.split()[-1])


def compare(python: Path, name: str) -> dict[str, Any]:
    """Return the row of a regime."""
    grid, regime = Grid((POINTS, POINTS), (SIDE, SIDE)), gray_scott.REGIMES[name]
    start = gray_scott.initial(grid, np.random.default_rng(0), kinds=["fourier"], filled_share=0.4)[None]
    before = gray_scott.concentrations(grid, start)
    end, seconds = ours(grid, regime, start)
    b_S = gray_scott.concentrations(grid, end)["B"][0]
    differences, peer_s = [], 0.0
    for points in PEER_POINTS:
        a, b = (at_centres(grid, before[field][0], points) for field in "AB")
        found, peer_s = peer(python, a, b, regime)
        differences.append(float(np.abs(found - at_centres(grid, b_S, points)).max()))
    order = math.log2(differences[-2] / differences[-1])
    return {
        "regime": name,
        **{f"apart_at_{n}": f"{apart:.1e}" for n, apart in zip(PEER_POINTS, differences, strict=True)},
        "order": round(order, 2),
        "ours_cpu_s": round(seconds, 2),
        f"py_pde_cpu_s_at_{PEER_POINTS[-1]}": round(peer_s, 2),
        "passed": ORDER[0] < order < ORDER[1] and differences[-1] < TARGET,
    }


def main() -> None:
    load = psutil.getloadavg()[0]
    torch.set_num_threads(1)
    python = environment("py-pde", REQUIREMENTS)
    rows = []
    for name in gray_scott.REGIMES:
        rows.append(compare(python, name))
        print(rows[-1], flush=True)
    header = {
        "with": ", ".join(f"{package} {v}" for package, v in versions(python, ["py-pde", "scipy"]).items()),
        "points": POINTS,
        "seconds": END_S,
        "step_s": STEP_S,
        "target": TARGET,
        "cores": os.cpu_count(),
        "load_before": round(load, 1),
    }
    ROWS.write_text(json.dumps({**header, "rows": rows}, indent=1) + "\n")
    if not all(row["passed"] for row in rows):
        sys.exit("py-pde finds something else")


if __name__ == "__main__":
    main()
