"""Normalisation of batches by the statistics of the training split (arXiv 2412.00568, `the_well.data.normalization`).

One object serves train, valid and test alike, so none can be left out. Statistics are those of stats.yaml, for each
component of a field; a spread below 1e-4 counts as 1e-4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import yaml

from tasks.physics.schema import Variable

Of = Literal["fields", "constants", "deltas"]
Kind = Literal["zscore", "rms"]
SMALLEST = 1e-4  # The Well's floor of a spread


@dataclass(frozen=True)
class Normalisation:
    """x -> (x - shift) / scale for each channel, float32 (C,); no shift where the kind has none.

    `deltas` is what target steps have changed by since the step before.
    """

    scales: Mapping[Of, torch.Tensor]
    shifts: Mapping[Of, torch.Tensor]

    def apply_(self, values: torch.Tensor, of: Of, axis: int) -> torch.Tensor:
        """Normalise in place; channels are along `axis`. Returns the same tensor."""
        if of in self.shifts:
            values.sub_(_along(self.shifts[of], values, axis))
        return values.div_(_along(self._scale(of), values, axis))

    def invert_(self, values: torch.Tensor, of: Of, axis: int) -> torch.Tensor:
        """Undo `apply_` in place. Returns the same tensor."""
        values.mul_(_along(self._scale(of), values, axis))
        if of in self.shifts:
            values.add_(_along(self.shifts[of], values, axis))
        return values

    def _scale(self, of: Of) -> torch.Tensor:
        if of not in self.scales:
            raise ValueError(f"there are no statistics of {of}: stats.yaml lacks them, write it anew by ingest_well")
        return self.scales[of]


def read_statistics(path: str | Path) -> dict[str, Any]:
    """Return the content of a stats.yaml: statistic -> field -> number, list or matrix.

    Raises ValueError naming the file where it is none (a server's error page has been saved under this name).
    """
    try:
        found = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError:
        raise ValueError(f"{path} is missing: ingest_well writes it") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML: fetch it again, or let ingest_well write it ({error})") from error
    if not isinstance(found, dict) or not all(isinstance(fields, dict) for fields in found.values()):
        raise ValueError(f"{path} maps no statistics to fields: fetch it again, or let ingest_well write it")
    return found


def normalisation(
    statistics: Mapping[str, Any] | str | Path, fields: Sequence[Variable], constants: Sequence[Variable], kind: Kind
) -> Normalisation:
    """Return the normalisation of these fields, channels in this order: "zscore" by mean and std, or "rms".

    Raises ValueError naming field and statistic where one is missing, is no number, or has not the field's components;
    those of deltas may be missing where no delta is asked for.
    """
    name = str(statistics) if isinstance(statistics, str | Path) else "statistics"
    known = read_statistics(statistics) if isinstance(statistics, str | Path) else statistics
    spread = "std" if kind == "zscore" else "rms"
    groups: list[tuple[Of, Sequence[Variable], str]] = [("fields", fields, ""), ("constants", constants, "")]
    if f"{spread}_delta" in known:
        groups.append(("deltas", fields, "_delta"))
    scales: dict[Of, torch.Tensor] = {}
    shifts: dict[Of, torch.Tensor] = {}
    for of, variables, suffix in groups:
        if variables:
            scales[of] = _channels(known, f"{spread}{suffix}", variables, name).clip(min=SMALLEST)
            if kind == "zscore":
                shifts[of] = _channels(known, f"mean{suffix}", variables, name)
    return Normalisation(scales, shifts)


def _channels(known: Mapping[str, Any], statistic: str, variables: Sequence[Variable], name: str) -> torch.Tensor:
    found = []
    for variable in variables:
        at = f"{name}: {statistic} of {variable.name}"
        try:
            values = torch.as_tensor(known[statistic][variable.name], dtype=torch.float32).flatten()
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"{at} is missing or no number: write the file anew by ingest_well") from None
        if len(values) != variable.components or not bool(values.isfinite().all()):
            raise ValueError(f"{at} is {values.tolist()}: {variable.components} finite numbers are needed")
        found.append(values)
    return torch.cat(found)


def _along(values: torch.Tensor, like: torch.Tensor, axis: int) -> torch.Tensor:
    shape = [1] * like.ndim
    shape[axis] = -1
    return values.to(like.device).view(shape)
