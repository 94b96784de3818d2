"""Wide colours as an SDR screen shows them: PQ and HLG (ITU-R BT.2100) and the primaries of BT.2020 or P3.

Light is worked out for each colour channel, relative to the white of a page: 203 cd/m2 (ITU-R BT.2408). It is brought
to the primaries of BT.709 and coded for a display of gamma 2.4 (BT.1886). In HDR what is brighter than 0.9 of the
signal is rolled off towards white, so highlights keep some shape and a scene within SDR keeps its levels.
"""

from functools import cache
from typing import Literal

import cv2
import numpy as np

WHITE_CD_M2 = 203.0
_KNEE = 0.9  # of the SDR signal
_STEPS = 4096  # of a coded channel, in the table of its light

Transfer = Literal["pq", "hlg", "gamma"]

_CHROMATICITIES = {  # x and y of red, green and blue (ITU-T H.273, table 2); white is D65
    "bt709": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    "bt2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    "p3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
_D65 = (0.3127, 0.3290)


def shown(signal: np.ndarray, transfer: Transfer, primaries: str) -> np.ndarray:
    """Return coded R, G, B (H, W, 3), float32 in 0..1, as SDR: float32 in 0..1."""
    index = np.clip(signal * (_STEPS - 1) + 0.5, 0, _STEPS - 1).astype(np.uint16)
    light = _light_of(transfer)[index]
    if transfer == "hlg":
        luminance = cv2.transform(light, _luminance(primaries))
        light *= (1000 / WHITE_CD_M2) * np.maximum(luminance, 0)[..., None] ** np.float32(
            0.2
        )  # a display of 1000 cd/m2
    if primaries != "bt709":
        light = cv2.transform(light, _to_bt709(primaries))
    coded = np.maximum(light, 0, out=light) ** np.float32(1 / 2.4)
    if transfer != "gamma":
        over = np.maximum(coded - _KNEE, 0) / (1 - _KNEE)
        coded = np.minimum(coded, _KNEE) + (1 - _KNEE) * (1 - np.exp(-over))
    return np.minimum(coded, 1)


@cache
def greys(transfer: Transfer, black: int, white: int) -> np.ndarray:
    """Return the SDR level (uint8) of a grey coded from `black` to `white`, for each of 65,536 codes."""
    signal = np.clip((np.arange(65_536) - black) / (white - black), 0, 1).astype(np.float32)
    shades = shown(np.repeat(signal[None, :, None], 3, axis=2), transfer, "bt709")
    return np.rint(shades[0, :, 1] * 255).astype(np.uint8)


@cache
def _light_of(transfer: Transfer) -> np.ndarray:
    """Return the light of each step of a coded channel, float32; 1 is white (for HLG, 1 is the scene's peak)."""
    signal = np.linspace(0, 1, _STEPS)
    if transfer == "pq":  # BT.2100, table 4
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        power = signal ** (1 / m2)
        light = 10_000 / WHITE_CD_M2 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    elif transfer == "hlg":  # BT.2100, table 5
        a = 0.17883277
        b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
        light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    else:
        light = signal**2.4
    return light.astype(np.float32)


@cache
def _to_xyz(primaries: str) -> np.ndarray:
    def xyz(x: float, y: float) -> tuple[float, float, float]:
        return x / y, 1.0, (1 - x - y) / y

    columns = np.array([xyz(*point) for point in _CHROMATICITIES[primaries]]).T
    return columns * np.linalg.solve(columns, np.array(xyz(*_D65)))


@cache
def _to_bt709(primaries: str) -> np.ndarray:
    return (np.linalg.inv(_to_xyz("bt709")) @ _to_xyz(primaries)).astype(np.float32)


@cache
def _luminance(primaries: str) -> np.ndarray:
    return _to_xyz(primaries)[1:2].astype(np.float32)
