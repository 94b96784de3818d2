"""H.264 by libx264 in MP4, the same bytes from the same pictures: one thread, no date, no edit list, no sound."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import av
import numpy as np

_MP4 = {
    "fflags": "+bitexact",  # no version and no date in the file
    "movflags": "+negative_cts_offsets+faststart",
    "use_editlist": "0",
}
Preset = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"
]  # of libx264


@dataclass(frozen=True)
class ColorTags:
    """Colour tags, as ITU-T H.273 numbers them; the range as FFmpeg does."""

    matrix: int
    primaries: int
    transfer: int
    range: int


def open_mp4(target: Path, more: Mapping[str, str] = MappingProxyType({})) -> Any:
    """Open an MP4 file to write; `more` are options of the muxer."""
    return av.open(str(target), "w", format="mp4", options={**_MP4, **more})


def add_h264(
    out: Any, rate: Fraction, *, crf: float, preset: str, more: Mapping[str, str] = MappingProxyType({})
) -> Any:
    """Add a stream of H.264 at a rate; `more` are options of the encoder. `shape` sets its shape, before any frame."""
    # mbtree=0: x264's macroblock tree reads memory that it did not write, so bytes would differ from run to run
    options = {"preset": preset, "crf": f"{crf:g}", "threads": "1", "mbtree": "0", **more}
    return out.add_stream("libx264", rate=rate.limit_denominator(100_000), options=options)


def shape(
    stream: Any,
    size: tuple[int, int],
    pixels: str,
    time_base: Fraction,
    tags: ColorTags,
    aspect: Fraction = Fraction(1),
) -> None:
    """Say what a stream's frames are: (width, height), pixel format, unit of time, colours, pixel aspect."""
    codec = stream.codec_context
    stream.width, stream.height = size
    stream.pix_fmt = pixels
    codec.time_base, codec.thread_count = time_base, 1
    codec.sample_aspect_ratio = aspect
    codec.colorspace, codec.color_range = tags.matrix, tags.range
    codec.color_primaries, codec.color_trc = tags.primaries, tags.transfer


def mux(out: Any, stream: Any, packets: list[Any], end_pts: int) -> None:
    """Write the packets of a video that ends at `end_pts`: the first frame is shown at 0.

    Each is decoded at the time that is in its place among the times shown, less what the order of decoding needs.
    """
    shown = sorted(packet.pts for packet in packets)
    delay = max(time - packet.pts for time, packet in zip(shown, packets, strict=True))
    packets[-1].duration = end_pts - shown[-1]  # MP4 has the others' from the times of decoding
    for time, packet in zip(shown, packets, strict=True):
        packet.pts, packet.dts = packet.pts - shown[0], time - delay - shown[0]
        packet.stream = stream
        out.mux(packet)


def samples(plane: Any, sample: type = np.uint8) -> np.ndarray:
    """Return a plane's samples in place, (H, W)."""
    return np.frombuffer(plane, sample).reshape(plane.height, -1)[:, : plane.width]
