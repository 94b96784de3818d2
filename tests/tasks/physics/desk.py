"""A stage without DVC and MLflow, for tests that run `ingest_well` many times: same store, same calls, no workers."""

import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.physics.ingest_well import IngestWell, Params
from tasks.physics.roots import OwnPhysics
from tasks.report import Plan, Report
from tasks.store import Store
from tasks.tables import Reject
from tasks.workers import Outcome


class Desk:
    """Folders as the repository has them, below `root`."""

    name = "ingest_well"

    def __init__(self, root: Path, *, reverse: bool = False, max_reject_fraction: float = 1.0) -> None:
        self.root = root
        self.store = Store(root / "data" / "store")
        self.log = logging.getLogger("headrace")
        self.knobs = SimpleNamespace(max_reject_fraction=max_reject_fraction, workers=1)
        self.figures: dict[str, Any] = {}
        self.worked_on: list[str] = []
        self.artifacts: list[str] = []  # of all runs
        self.excluded = ""  # lines of data/exclude.csv
        self._reverse = reverse  # work in another order, as more workers would
        for folder in ("data/raw/well", "data/own/physics", "data/listings"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        listing = root / "data/listings/physics.csv"
        if not listing.exists():
            listing.write_text("source,url,bytes,version\n")

    def dep(self, path: str) -> Path:
        return self.root / path

    def out(self, path: str) -> Path:
        return self.root / path

    def metrics(self, figures: dict[str, Any]) -> None:
        self.figures = figures

    def timing(self, figures: Mapping[str, float]) -> None:
        assert all(isinstance(value, int | float) for value in figures.values())

    def figure(self, figure: Path, name: str) -> None:
        assert figure.exists()

    def artifact(self, path: Path, folder: str = "") -> None:
        assert path.exists()
        self.artifacts.append(f"{folder}/{path.name}")

    def map(self, fn: Any, items: Iterable[tuple[str, Any]], **_: Any) -> Iterator[Outcome]:
        items = list(items)
        for item_id, payload in reversed(items) if self._reverse else items:
            self.worked_on.append(item_id)
            try:
                yield Outcome(item_id, fn(payload), None, 1, 0.0)
            except Reject as reject:
                yield Outcome(item_id, None, reject, 1, 0.0)

    def check_rejects(self, unit: str, total: int, rejected: int) -> None:
        assert rejected <= total * self.knobs.max_reject_fraction, f"{rejected} of {total} {unit}s"

    def ingest(self, *, pictures: bool = False, **options: Any) -> Report:
        """Run the stage with the defaults of params.yaml, but for `options`; pictures take most of the time."""
        from tasks.physics import ingest_well

        shutil.rmtree(self.curated, ignore_errors=True)
        self.worked_on.clear()
        (self.root / "data/exclude.csv").write_text(f"id,reason\n{self.excluded}")
        with pytest.MonkeyPatch.context() as patched:
            if not pictures:
                for name in ("draw_ranges", "draw_frames"):
                    patched.setattr(ingest_well, name, lambda title, content, path: path.touch())
            return ingest_well.run(self, self.params(**options))  # type: ignore[arg-type]

    def plan(self, **options: Any) -> Plan:
        """Say what `ingest` would do."""
        from tasks.physics import ingest_well

        return ingest_well.plan(self, self.params(**options))  # type: ignore[arg-type]

    def params(self, **options: Any) -> Params:
        defaults = {"sources": [], "repack": "none", "stats_digits": 17, "max_frozen_share": 0.95}
        return Params(own=OwnPhysics(physics="data/own/physics"), ingest_well=IngestWell(**(defaults | options)))

    @property
    def curated(self) -> Path:
        return self.root / "data/curated/well"
