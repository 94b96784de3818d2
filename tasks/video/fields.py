"""Which packets of H.264 hold a single field: two of them make a frame, and FFmpeg does not join them (PAFF).

Read from the slice headers (ITU-T H.264, clauses 7.3.2 and 7.3.3), so that nothing is decoded.
"""

from collections.abc import Iterator
from typing import Any

_HEAD = 64  # bytes of a slice that hold the part of its header that is read
_HIGH_PROFILES = {44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244}
_SLICE, _IDR_SLICE, _SEQUENCE, _PICTURE = 1, 5, 7, 8  # nal_unit_type


class FieldReader:
    """Tells fields from frames, packet by packet, in the order of the stream."""

    def __init__(self, extradata: bytes | None):
        extradata = extradata or b""
        self._length_bytes = extradata[4] % 4 + 1 if extradata[:1] == b"\x01" and len(extradata) > 6 else 0
        self._sequences: dict[int, tuple[bool, int, bool]] = {}
        self._pictures: dict[int, int] = {}
        units = _configured(extradata) if self._length_bytes else _separated(extradata)
        for unit in units:
            self._learn(unit)

    def is_field(self, packet: Any) -> bool:
        """Say whether a packet holds one field alone. What cannot be read is a frame."""
        data = memoryview(packet).tobytes()
        seen = set()
        for unit in _prefixed(data, self._length_bytes) if self._length_bytes else _separated(data):
            if unit and unit[0] & 31 in (_SLICE, _IDR_SLICE):
                seen.add(self._field_of(unit))
            else:
                self._learn(unit)
        return seen in ({"top"}, {"bottom"})

    def _field_of(self, unit: bytes) -> str:
        try:
            bits = _Bits(unit[1:_HEAD])
            bits.golomb(), bits.golomb()  # first_mb_in_slice, slice_type
            frames_only, frame_number_bits, three_planes = self._sequences[self._pictures[bits.golomb()]]
            bits.number(2 * three_planes + frame_number_bits)
            is_field = not frames_only and bits.number(1)
            return ("bottom" if bits.number(1) else "top") if is_field else ""
        except (KeyError, EOFError):
            return ""

    def _learn(self, unit: bytes) -> None:
        try:
            if unit and unit[0] & 31 == _SEQUENCE:
                number, facts = _sequence(_Bits(unit[1:]))
                self._sequences[number] = facts
            elif unit and unit[0] & 31 == _PICTURE:
                bits = _Bits(unit[1:_HEAD])
                self._pictures[bits.golomb()] = bits.golomb()
        except EOFError:
            return


class _Bits:
    def __init__(self, data: bytes):
        data = data.replace(b"\x00\x00\x03", b"\x00\x00")  # emulation prevention
        self._bits = len(data) * 8
        self._value = int.from_bytes(data, "big")

    def number(self, bits: int) -> int:
        self._bits -= bits
        if self._bits < 0:
            raise EOFError
        return self._value >> self._bits & ((1 << bits) - 1)

    def golomb(self) -> int:
        zeros = 0
        while not self.number(1):
            zeros += 1
        return (1 << zeros) - 1 + self.number(zeros)

    def signed(self) -> int:
        value = self.golomb()
        return (value + 1) // 2 if value % 2 else -value // 2


def _sequence(bits: _Bits) -> tuple[int, tuple[bool, int, bool]]:
    """Return a sequence parameter set's number, and (only frames, bits of frame_num, separate colour planes)."""
    profile = bits.number(24) >> 16
    number, chroma, separate = bits.golomb(), 1, False
    if profile in _HIGH_PROFILES:
        chroma = bits.golomb()
        separate = chroma == 3 and bits.number(1) == 1
        bits.golomb(), bits.golomb(), bits.number(1)  # bit depths, lossless
        if bits.number(1):
            for index in range(12 if chroma == 3 else 8):
                if bits.number(1):
                    _skip_scaling_list(bits, 16 if index < 6 else 64)
    frame_number_bits = bits.golomb() + 4
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.number(1), bits.golomb(), bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    bits.golomb(), bits.number(1), bits.golomb(), bits.golomb()  # references, gaps, width, height
    return number, (bits.number(1) == 1, frame_number_bits, separate)


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _separated(data: bytes) -> Iterator[bytes]:
    """Yield the units between start codes."""
    start = data.find(b"\x00\x00\x01")
    while start >= 0:
        end = data.find(b"\x00\x00\x01", start + 3)
        yield data[start + 3 : end if end >= 0 else len(data)]
        start = end


def _prefixed(data: bytes, length_bytes: int) -> Iterator[bytes]:
    """Yield the units that each follow their length, as in MP4 and Matroska."""
    at = 0
    while at + length_bytes < len(data):
        length = int.from_bytes(data[at : at + length_bytes], "big")
        at += length_bytes
        yield data[at : at + length]
        at += length


def _configured(extradata: bytes) -> Iterator[bytes]:
    """Yield the parameter sets of an avcC box (ISO 14496-15, 5.3.3)."""
    at = 5
    for mask in (31, 255):  # sequences, pictures
        if at >= len(extradata):
            return
        count, at = extradata[at] & mask, at + 1
        for _ in range(count):
            length = int.from_bytes(extradata[at : at + 2], "big")
            yield extradata[at + 2 : at + 2 + length]
            at += 2 + length
