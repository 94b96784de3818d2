"""Motion by an optical-flow network (LongTake-HD, step 5): RAFT in UniMatch's place, from weights of yours.

RAFT: Teed and Deng 2020, arXiv 2003.12039, as torchvision has it. The default, `dis`, is no work of this module: it
is the flow that the decode pass keeps of every sampled frame.
"""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tasks.video.checkpoints import Weights, identity

_LEAST_PX = 128  # a side of what RAFT sees: its coarsest correlations would be empty below


class Raft:
    """`raft`: torchvision's raft_large, 12 updates.

    The folder holds raft_large.safetensors, the state dict of torchvision's raft_large. Raises ValueError where it is
    missing or wrong, or where torchvision is not installed.
    """

    name = "raft"
    version = "1"
    libraries: tuple[str, ...] = ("numpy", "torch", "torchvision")
    _file = "raft_large.safetensors"

    def __init__(self, folder: Path):
        remedy = f"raft needs {folder / self._file}: the state dict of torchvision's raft_large, as safetensors"
        self._weights = Weights(folder, [self._file], remedy)

    @property
    def identity(self) -> str:
        """NAME@VERSION+SHA256 of the weights."""
        return identity(self.name, self.version, self._weights)

    def prepare(self) -> None:
        """Load the network."""
        assert self._network

    def speed_px_s(self, before: np.ndarray, after: np.ndarray, seconds: float) -> float:
        """Return the mean speed of the picture's points between two pictures (uint8, BGR, of one size).

        Pixels a second as at 720p: mean |(u, v)| / seconds * 720 / short side, as the pass says it of its own flow.
        """
        if seconds <= 0 or before.shape != after.shape:
            raise ValueError(f"no speed between {before.shape} and {after.shape} in {seconds} s")
        flow = self.field(before, after)
        u, v = flow[..., 0], flow[..., 1]
        length = float(np.sqrt(u * u + v * v).mean(dtype=np.float64))
        return length / seconds * 720 / min(before.shape[:2])

    def field(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Return the flow from one picture to the other, float32 (H, W, 2), u and v in pixels."""
        import torch

        height, width = before.shape[:2]
        # RAFT takes sides that 8 divides; the rim repeats the picture's last row and column
        down, right = (max(-(-side // 8) * 8, _LEAST_PX) - side for side in (height, width))
        pair = np.pad(np.stack([before, after]), ((0, 0), (0, down), (0, right), (0, 0)), mode="edge")
        rgb = np.ascontiguousarray(pair[..., ::-1].transpose(0, 3, 1, 2))
        pair_BCHW = torch.from_numpy(rgb).to(torch.float32) / 127.5 - 1
        with torch.inference_mode():
            flow_CHW = self._network(pair_BCHW[:1], pair_BCHW[1:], num_flow_updates=12)[-1][0]
        return np.ascontiguousarray(flow_CHW[:, :height, :width].permute(1, 2, 0).numpy())

    @cached_property
    def _network(self) -> Any:
        try:
            import torch
            from torchvision.models.optical_flow import raft_large
        except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision of another torch
            raise ValueError(f"the backend 'raft' needs torchvision beside the torch it fits ({error})") from error
        torch.set_num_threads(1)  # results depend on how many threads share a sum
        network = raft_large(weights=None)
        counters = ("num_batches_tracked",)  # not read by a network at rest
        shapes = {k: tuple(v.shape) for k, v in network.state_dict().items() if not k.endswith(counters)}
        left = network.load_state_dict(self._weights.tensors(self._file, shapes), strict=False)
        assert not left.unexpected_keys
        return network.eval()


BACKENDS: dict[str, Callable[[Path], Raft]] = {"raft": Raft}
