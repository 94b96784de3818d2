"""A model's tensors by name: which ones are kept, and filling them from a file with every misfit named."""

import difflib
from collections.abc import Mapping, Sequence

import torch

_SHOWN = 4  # keys named in a message


def model_tensors(model: torch.nn.Module, *, frozen: bool = True) -> dict[str, torch.Tensor]:
    """Return parameters and persistent buffers by name, each once also where it is shared.

    Without `frozen`, only parameters that are trained, and buffers. (state_dict of some libraries holds other things.)
    """
    found: dict[str, torch.Tensor] = {n: p.detach() for n, p in model.named_parameters() if frozen or p.requires_grad}
    persistent = torch.nn.Module.state_dict(model)
    return found | {name: buffer for name, buffer in model.named_buffers() if name in persistent}


def fill(targets: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor], where: str, remedy: str) -> None:
    """Copy `found` into `targets`. Raises ValueError naming the keys that are missing, unknown, or do not fit.

    Nothing is copied then.
    """
    missing = [key for key in targets if key not in found]
    unknown = [key for key in found if key not in targets]
    if missing:
        near = difflib.get_close_matches(missing[0], unknown, n=_SHOWN, cutoff=0.5) or unknown
        instead = f" (it has {_named(near)})" if near else ""
        raise ValueError(f"{where}: {_named(missing)} is missing{instead}. {remedy}")
    if unknown:
        raise ValueError(f"{where}: the model has no {_named(unknown)}. {remedy}")
    for key, target in targets.items():
        there, wanted = found[key], target
        if there.shape != wanted.shape or there.dtype != wanted.dtype:
            raise ValueError(
                f"{where}: {key} is {_kind(there)}, the model's is {_kind(wanted)}. {remedy}",
            )
    with torch.no_grad():
        for key, target in targets.items():
            target.copy_(found[key])


def _named(keys: Sequence[str]) -> str:
    more = len(keys) - _SHOWN
    return ", ".join(keys[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _kind(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
