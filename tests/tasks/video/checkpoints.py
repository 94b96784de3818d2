"""Checkpoints of random numbers in the true shapes, and faults in them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file


def random_state(shapes: Mapping[str, torch.Tensor], seed: int = 0, dtype: Any = torch.float32) -> dict[str, Any]:
    """Return small random numbers for every key; scales and variances of norms are near 1."""
    draw = torch.Generator().manual_seed(seed)
    state = {}
    for key, like in shapes.items():
        if not like.is_floating_point():
            state[key] = torch.zeros(like.shape, dtype=like.dtype)
            continue
        values = torch.randn(like.shape, generator=draw, dtype=torch.float32)
        fan_in = max(1, like[0].numel()) if like.ndim > 1 else 100
        is_scale = like.ndim == 1 and key.endswith(("weight", "running_var"))
        state[key] = (1 + values.abs() / 10 if is_scale else values / fan_in**0.5).to(dtype)
    return state


def write(path: Path, state: Mapping[str, torch.Tensor]) -> Path:
    """Write a state dict as safetensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, path)
    return path


def faults(state: Mapping[str, Any], key: str) -> dict[str, tuple[dict[str, Any], str]]:
    """Return checkpoints with one fault each, and what the message must say of it."""
    others = {name: tensor for name, tensor in state.items() if name != key}
    renamed = {**others, f"module.{key}": state[key]}
    reshaped = {**state, key: state[key].flatten()[:-1].clone()}
    broken = {**state, key: torch.full_like(state[key], float("nan"))}
    return {
        "missing": (others, f"{key} is missing"),
        "renamed": (renamed, f"{key} is missing .it has .*module.{key}"),
        "reshaped": (reshaped, f"{key} is .{reshaped[key].numel()}., not "),
        "not finite": (broken, f"{key} has values that are not finite"),
    }
