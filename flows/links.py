"""What a checkout's present outs are in MLflow, remembered, so that an unchanged pipeline need not ask it.

What is remembered holds only for the same tracking address and the same entry of dvc.lock; it may be deleted at will.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from flows.graph import Project
from tasks.lineage import RunRef, without_password


class Links:
    """Remembered runs, by stage, and which models are registered. Read at once, written by `save`."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._path = project.root / ".dvc" / "tmp" / "headrace" / "links.json"
        tracking = os.environ.get("MLFLOW_TRACKING_URI", "")
        self._tracking = hashlib.sha256(without_password(tracking).encode()).hexdigest()  # it may hold a secret
        self._runs: dict[str, dict[str, str]] = {}
        self._registered = ""
        database = tracking.removeprefix("sqlite:///")
        if database != tracking and not Path(database).exists():
            return
        try:
            told = json.loads(self._path.read_text())
            if told["tracking"] == self._tracking:
                self._runs, self._registered = told["runs"], told.get("registered", "")
        except (OSError, ValueError, KeyError, TypeError):
            return

    def get(self, address: str) -> RunRef | None:
        """Return the run remembered for what dvc.lock has of the stage now."""
        told = self._runs.get(address)
        if told is None or told.get("entry") != self._entry(address):
            return None
        return RunRef(
            run_id=told["run_id"],
            experiment_id=told["experiment_id"],
            name=told["name"],
            status="FINISHED",
            url=told["url"],
            tags={},
            params={},
            metrics={},
        )

    def put(self, address: str, run: RunRef) -> None:
        """Remember the run that made what dvc.lock has of the stage now."""
        told = {"run_id": run.run_id, "experiment_id": run.experiment_id, "name": run.name, "url": run.url}
        self._runs[address] = {"entry": self._entry(address), **told}

    def registered(self, addresses: Iterable[str]) -> bool:
        """Say whether what dvc.lock has of these stages now is what was registered last."""
        return self._registered == self._entries(addresses)

    def put_registered(self, addresses: Iterable[str]) -> None:
        """Remember that what dvc.lock has of these stages now is registered."""
        self._registered = self._entries(addresses)

    def save(self) -> None:
        """Write what is remembered."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        told = {"tracking": self._tracking, "runs": self._runs, "registered": self._registered}
        partial.write_text(json.dumps(told, indent=0, sort_keys=True))
        partial.replace(self._path)

    def _entries(self, addresses: Iterable[str]) -> str:
        return hashlib.sha256(" ".join(f"{one} {self._entry(one)}" for one in addresses).encode()).hexdigest()

    def _entry(self, address: str) -> str:
        locked = json.dumps(asdict(self._project.locked(address)), sort_keys=True, default=str)
        return hashlib.sha256(locked.encode()).hexdigest()
