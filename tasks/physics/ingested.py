"""What ingest_well admitted, for the stages that read it: files of a split, wherever they lie, and their statistics."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tasks.physics.catalog import FILES
from tasks.physics.evaluation import Frames, Space, space_of
from tasks.physics.normalisation import Kind, Normalisation, normalisation, read_statistics
from tasks.physics.rollout import Scaling
from tasks.physics.roots import CURATED, RAW, OwnPhysics
from tasks.physics.window_index import Request
from tasks.physics.windows import WellWindows
from tasks.stage import Stage
from tasks.tables import read_table


@dataclass(frozen=True)
class Ingested:
    """One data set as data/curated/well has it. `roots` says where the files of each root lie: raw, own, curated."""

    name: str
    curated: Path
    roots: Mapping[str, Path]

    @property
    def statistics(self) -> Path:
        """The statistics of its training split."""
        return self.curated / self.name / "stats.yaml"

    def files(self, split: str) -> list[Path]:
        """Return the files of a split. Raises ValueError naming what there is where it has none."""
        return sorted(self._path(row) for row in self._rows(split))

    def _path(self, row: Mapping[str, Any]) -> Path:
        lies_in: dict[str, Path | None] = {**self.roots, "curated": self.curated, "remote": None}
        root = lies_in[row["root"]]
        if root is None:
            raise ValueError(f"{row['path']} is remote, and training reads local files: set ingest_well.repack")
        return root / row["path"]

    def field_order(self, split: str) -> list[str]:
        """Return the order in which fields are read, the same for all splits of a data set."""
        order: list[str] = self._rows(split)[0]["field_order"]
        return order

    def _rows(self, split: str | None = None) -> list[dict[str, Any]]:
        """Return the rows of a split's files, or of all. Raises ValueError naming what there is where it has none."""
        table = read_table(self.curated / "files.parquet", FILES)
        rows = table.select(["dataset", "split", "root", "path", "field_order"]).to_pylist()
        found = [row for row in rows if row["dataset"] == self.name and split in (None, row["split"])]
        if not found:
            there = sorted({f"{row['dataset']}/{row['split']}" for row in rows})
            raise ValueError(
                f"{self.curated / 'files.parquet'} has no file of {self.name}/{split}: there are "
                f"{', '.join(there) or 'none'}; see rejected.parquet beside it"
            )
        return found

    def windows(
        self, split: str, request: Request, *, kind: Kind, normalised: bool = True, seed: int = 0
    ) -> WellWindows:
        """Return the windows of a split, normalised by the training split, or in physical units.

        Their channels have the data set's order, whatever that of a split's first file.
        """
        order = self.field_order(split)
        plain = WellWindows(self.files(split), request, order=order, mask_nan=normalised, seed=seed)
        if normalised:
            plain.normalisation = self.normalisation(plain, kind)
        return plain

    def normalisation(self, windows: WellWindows, kind: Kind) -> Normalisation:
        """Return the normalisation of these windows' channels."""
        return normalisation(self.statistics, windows.fields, windows.constants, kind)

    def scaling(self, windows: WellWindows, kind: Kind) -> Scaling:
        """Return the same as rollouts take it: no shift is a shift of 0."""
        found = self.normalisation(windows, kind)
        zeros = {of: scale * 0 for of, scale in found.scales.items()}
        shifts = zeros | dict(found.shifts)
        return Scaling(shifts["fields"], found.scales["fields"], shifts.get("deltas"), found.scales.get("deltas"))

    def space(self, windows: WellWindows) -> Space:
        """Return the grid that all files have. Raises ValueError naming a file whose grid varies, or is another."""
        spaces: list[Space] = []
        for file in windows.files:
            if any(grid.ndim == 2 for grid in file.coordinates):
                raise ValueError(f"{file.path}: its grid varies between trajectories, which evaluation does not take")
            spaces.append(space_of(file.dimensions, file.coordinates, file.grid_type))
            first, last = spaces[0].weights_S, spaces[-1].weights_S
            same = first is last if first is None or last is None else torch.allclose(first, last, rtol=1e-6, atol=0)
            if not same:
                raise ValueError(
                    f"{file.path}: its points share space otherwise than those of {windows.files[0].path}: figures are "
                    f"of one grid; make it a data set of its own (another dataset_name, another folder)"
                )
        return spaces[0]

    def frames(
        self, windows: WellWindows, wanted: Sequence[int], batch_size: int, device: torch.device | None = None
    ) -> Iterator[Frames]:
        """Yield some windows, in physical units, as evaluation takes them.

        A window is named by its trajectory: ROOT/PATH#NUMBER, by which it is found in catalog.parquet.
        """
        names = {str(self._path(row)): f"{row['root']}/{row['path']}" for row in self._rows()}
        for first in range(0, len(wanted), batch_size):
            numbers = list(wanted[first : first + batch_size])
            batch = {name: values.to(device) for name, values in windows.batch(numbers).items()}
            where = [windows.index.window(number) for number in numbers]
            trajectories = [f"{names[windows.files[one.file].path]}#{one.trajectory}" for one in where]
            yield Frames(batch["input"], batch["target"], trajectories, batch.get("constants"))

    def check(self) -> None:
        """Raise ValueError where there are no statistics: the training split was not ingested."""
        read_statistics(self.statistics)


def ingested(stage: Stage, own: OwnPhysics, dataset: str) -> Ingested:
    """Return a data set as the stage's deps have it."""
    roots = {"raw": stage.dep(RAW), "own": stage.dep(own.physics)}
    return Ingested(dataset, stage.dep(CURATED), roots)
