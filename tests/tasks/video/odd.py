"""Odd files with known content: two fields, HDR, sizes that change, streams joined by copy."""

import struct
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

Image = np.ndarray


def write(
    path: Path,
    images: Iterable[Image | av.VideoFrame],
    codec: str,
    pixels: str,
    *,
    given_as: str = "rgb24",
    fps: int = 25,
    pts: Iterable[int] | None = None,
    base: Fraction | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    setup: Callable[[Any], None] = lambda stream: None,
) -> Path:
    """Encode `images`: frames, or arrays of pixel format `given_as`."""
    frames = [i if isinstance(i, av.VideoFrame) else av.VideoFrame.from_ndarray(i, given_as) for i in images]
    quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=fps, options=quiet | (options or {}))
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, pixels
        setup(stream)
        for frame, time in zip(frames, pts or range(len(frames)), strict=True):
            frame.pts, frame.time_base = time, base or Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def frame_of(planes: Sequence[np.ndarray], pixels: str) -> av.VideoFrame:
    """Return a frame of three planes, of 8 bits or more."""
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, pixels)
    for target, samples in zip(frame.planes, planes, strict=True):
        rows = np.zeros((target.height, target.line_size // samples.itemsize), samples.dtype)
        rows[:, : samples.shape[1]] = samples
        target.update(rows.tobytes())
    return frame


def joined(parts: Sequence[Path], target: Path, *, ticks: Sequence[int] | None = None, fps: int = 25) -> Path:
    """Copy the packets of one-stream files without B-frames behind each other; `ticks` are their times in frames."""
    with av.open(str(target), "w") as out:
        stream: Any = None
        number = 0
        for part in parts:
            with av.open(str(part)) as container:
                source = container.streams.video[0]
                stream = stream or out.add_stream_from_template(source)
                for packet in container.demux(source):
                    if packet.size:
                        packet.stream, packet.time_base, packet.duration = stream, Fraction(1, fps), 1
                        packet.pts = packet.dts = ticks[number] if ticks else number
                        number += 1
                        out.mux(packet)
    return target


def woven(fields: Sequence[Image], *, top_first: bool = True) -> list[Image]:
    """Return frames of pairs of moments: the lines of one moment lie between those of the other."""
    frames = []
    for first, second in zip(fields[::2], fields[1::2], strict=True):
        frame = first.copy()
        start = 1 if top_first else 0
        frame[start::2] = second[start::2]
        frames.append(frame)
    return frames


def write_field_pictures(path: Path, frames: Sequence[Image], *, claimed: tuple[int, int] | None = None) -> Path:
    """Write bare H.264 in which each field is a picture of its own, top first (PAFF), of unpacked samples (I_PCM).

    `frames` are luma, (H, W) in 16..235, sides of whole 32 and 16 pixels; chroma is grey. The header says `claimed`
    (width, height) where that is given. By hand after ITU-T H.264,
    clause 7.3: no encoder here writes such pictures.
    """
    height, width = frames[0].shape
    assert height % 32 == 0, "a field has whole macroblocks"
    assert width % 16 == 0, "a field has whole macroblocks"
    sequence = _Bits().number(77, 8).number(0, 8).number(30, 8).golomb(0, 0, 2, 1).number(0, 1)
    wide, tall = claimed or (width, height)
    sequence.golomb(wide // 16 - 1, tall // 32 - 1).number(0, 1).number(0, 1).number(1, 1).number(0, 2)
    picture = _Bits().golomb(0, 0).number(0, 2).golomb(0, 0, 0).number(0, 3).golomb(0, 0, 0).number(0b100, 3)
    units = [_unit(0x67, sequence), _unit(0x68, picture)]
    for number, frame in enumerate(frames):
        for bottom in (0, 1):
            first = number == 0 and not bottom
            slice_ = _Bits().golomb(0, 7, 0).number(number % 16, 4).number(1, 1).number(bottom, 1)
            if first:
                slice_.golomb(0).number(0, 2)
            else:
                slice_.number(0, 1)
            slice_.golomb(0, 1)
            field = frame[bottom::2]
            for y in range(0, height // 2, 16):
                for x in range(0, width, 16):
                    slice_.golomb(25).aligned(field[y : y + 16, x : x + 16].tobytes() + bytes([128]) * 128)
            units.append(_unit(0x65 if first else 0x61, slice_))
    path.write_bytes(b"".join(units))
    return path


class _Bits:
    """Bits behind each other, as H.264 writes them."""

    def __init__(self) -> None:
        self.done = bytearray()
        self.open = ""

    def number(self, value: int, bits: int) -> "_Bits":
        self.open += format(value, f"0{bits}b")
        return self

    def golomb(self, *values: int) -> "_Bits":
        for value in values:
            code = format(value + 1, "b")
            self.open += "0" * (len(code) - 1) + code
        return self

    def aligned(self, data: bytes) -> "_Bits":
        self.open += "0" * (-len(self.open) % 8)
        self.done += int(self.open, 2).to_bytes(len(self.open) // 8, "big") if self.open else b""
        self.open = ""
        self.done += data
        return self


def _unit(head: int, bits: _Bits) -> bytes:
    body = bytes(bits.number(1, 1).aligned(b"").done)
    escaped, zeros = bytearray(), 0
    for byte in body:
        if zeros >= 2 and byte <= 3:
            escaped.append(3)
            zeros = 0
        escaped.append(byte)
        zeros = 0 if byte else zeros + 1
    return b"\x00\x00\x00\x01" + bytes([head]) + bytes(escaped)


def patched(source: Path, target: Path, old: bytes, new: bytes) -> Path:
    """Copy a file with every `old` replaced by `new` of the same length."""
    data = source.read_bytes()
    assert old in data, "there is what is to be replaced"
    assert len(old) == len(new), "offsets stay"
    target.write_bytes(data.replace(old, new))
    return target


def with_edits(source: Path, target: Path, edits: Sequence[tuple[int, int, float]]) -> Path:
    """Copy an MP4 of one track whose edit list becomes `edits`: (length in movie time, start in media time, rate).

    The file must have its index last and an edit list of its own.
    """
    data = bytearray(source.read_bytes())
    at = data.rindex(b"elst") - 4
    old = struct.unpack_from(">I", data, at)[0]
    body = struct.pack(">4sII", b"elst", 0, len(edits))
    for length, start, rate in edits:
        body += struct.pack(">Iii", length, start, round(rate * 65536))
    grown = len(body) + 4 - old
    data[at : at + old] = struct.pack(">I", len(body) + 4) + body
    for name in (b"edts", b"trak", b"moov"):
        box = data.rindex(name, 0, at) - 4
        struct.pack_into(">I", data, box, struct.unpack_from(">I", data, box)[0] + grown)
    target.write_bytes(data)
    return target
