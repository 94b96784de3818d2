"""The simulation of one file, done in a worker process and kept in the store."""

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tasks.keys import StoredFunction, canonical_json, key_of
from tasks.physics import gray_scott, shear_flow
from tasks.physics.etdrk4 import Grid
from tasks.physics.simulation import Clock, simulate_file
from tasks.stage import item_rng
from tasks.store import Store
from tasks.workers import reporter

STORED = StoredFunction("physics.simulation", "1", __name__, libraries=("h5py", "numpy", "torch"))


@dataclass(frozen=True)
class Job:
    """One file for a worker: trajectories of one set of parameters in one split."""

    dataset: str
    stem: str  # of the file, the same in each split
    label: str  # of its parameters, for people
    split: str
    trajectories: tuple[int, ...]  # numbers within the set of parameters: they seed the initial states
    seed: int
    settings: Mapping[str, Any]  # what the file depends on besides
    store_url: str

    @property
    def path(self) -> str:
        """Where it lies in the out."""
        return f"{self.dataset}/data/{self.split}/{self.stem}.hdf5"

    @property
    def key(self) -> str:
        """Return the store's key."""
        return key_of(STORED.name, STORED.version, dict(self.settings), self.input_hash)

    @property
    def input_hash(self) -> str:
        """Return what stands for the content of an input, which a simulation has none of: the seeds."""
        seeds = canonical_json([self.dataset, self.stem, list(self.trajectories), self.seed])
        return hashlib.sha256(seeds.encode()).hexdigest()


def simulate_job(job: Job) -> float:
    """Simulate one file and keep it; return how many frames it has, of all trajectories.

    Raises Reject as `simulate_file` does.
    """
    torch.set_num_threads(1)
    of = job.settings
    clock = Clock(of["step"], of["between"], of["frames"], of.get("warm_up", 0))
    if job.dataset == gray_scott.NAME:
        grid = Grid((of["points"],) * 2, (of["side"],) * 2)
        problem = gray_scott.problem(grid, gray_scott.Regime(of["F"], of["k"]), of["step"])
        parameters = {"F": of["F"], "k": of["k"]}

        def initial(rng: Any) -> torch.Tensor:
            return gray_scott.initial(grid, rng, kinds=of["initial"], filled_share=of["filled_share"])
    else:
        grid = Grid(tuple(of["points"]), shear_flow.LENGTHS)
        problem = shear_flow.problem(grid, of["Re"], of["Sc"], of["step"])
        parameters = {"Rayleigh": of["Re"], "Schmidt": of["Sc"]}  # the Reynolds number has that name in The Well
        choices = shear_flow.Choices(of["shears"], of["waves"], of["thicknesses"])

        def initial(rng: Any) -> torch.Tensor:
            return shear_flow.initial(grid, rng, choices)

    rngs = [item_rng(job.seed, "simulate_well", f"{job.stem}/{number}") for number in job.trajectories]
    store = Store(job.store_url)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.hdf5"
        summary = simulate_file(
            path,
            problem,
            initial,
            clock,
            rngs,
            dataset_name=job.dataset,
            parameters=parameters,
            progress=reporter(),
        )
        with path.open("rb") as file:
            blob = store.put_blob(file)
    with store.writer() as writer:
        writer.put(STORED.name, STORED.version, dict(job.settings), job.input_hash, summary, [blob])
    return float(len(job.trajectories) * clock.frames)
