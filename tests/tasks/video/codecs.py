"""The codecs that video comes in, each at an ordinary quality, by the encoders that come with PyAV."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.tasks.video import clips

CODECS = {
    "h264": ("libx264", ".mp4", {"preset": "veryfast", "crf": "23"}),
    "hevc": ("libx265", ".mp4", {"preset": "ultrafast", "crf": "26", "x265-params": "log-level=none:pools=1"}),
    "vp9": ("libvpx-vp9", ".webm", {"deadline": "realtime", "cpu-used": "8", "crf": "32", "b": "0"}),
    "av1": ("libsvtav1", ".mp4", {"preset": "12", "crf": "35"}),
    "mpeg2": ("mpeg2video", ".mpg", {"qmin": "4", "qmax": "4"}),
    "mjpeg": ("mjpeg", ".avi", {"qmin": "4", "qmax": "4", "strict": "unofficial"}),
}


def encode(path: Path, images: Sequence[np.ndarray], codec: str, *, fps: int = 24) -> Path:
    """Encode RGB images by the codec of that name; the suffix is the codec's."""
    encoder, suffix, options = CODECS[codec]
    return clips.write_clip(path.with_suffix(suffix), images, fps=fps, codec=encoder, options=options)
