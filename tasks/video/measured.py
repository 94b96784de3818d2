"""What is measured of a clip of real film: colours of its pictures, light and motion of its samples. No model is asked.

Colours are those of `clip_colours`, light and motion those of the scan. Words for them are chosen in
`measured_captions`, so another threshold measures nothing anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.video.captions import SEGMENTS
from tasks.video.picture_facts import Look
from tasks.video.scores import MOTION

SAMPLED = ("luma", *MOTION)  # columns of samples.parquet


@dataclass(frozen=True)
class Measured:
    """A clip's numbers. Times are pts; `centres` are those of the centre frames of its five parts."""

    start_pts: int
    end_pts: int
    centres: tuple[int, ...]  # (5,)
    picture_pts: np.ndarray  # (P,)
    look: Look  # of the pictures
    changes: np.ndarray  # (P - 1, 3), from each picture to the next: left, middle and right third, grey levels
    sample_pts: np.ndarray  # (S,)
    samples: Mapping[str, np.ndarray]  # (S,) each of SAMPLED; motion is NaN where it is not known
    aspect: float  # width by height

    def mean(self, name: str) -> float:
        """Return the mean of one of SAMPLED over what is known of it; 0 where that is nothing."""
        values = self.samples[name][~np.isnan(self.samples[name])]
        return float(values.mean()) if len(values) else 0.0

    def part(self, number: int) -> "Measured":
        """Return one of the five parts: its samples, and the picture nearest to its centre."""
        span = self.end_pts - self.start_pts
        first, last = (self.start_pts + (number + more) * span / SEGMENTS for more in (0, 1))
        inside = (self.sample_pts >= first) & (self.sample_pts < last)
        if not inside.any():
            inside = np.arange(len(self.sample_pts)) == np.argmin(np.abs(self.sample_pts - (first + last) / 2))
        picture = int(np.argmin(np.abs(self.picture_pts - self.centres[number])))
        return Measured(
            *(self.start_pts, self.end_pts, self.centres),
            *(self.picture_pts[[picture]], Look(*(of[[picture]] for of in self.look)), self.changes[:0]),
            self.sample_pts[inside],
            {name: values[inside] for name, values in self.samples.items()},
            self.aspect,
        )


def measured(
    span: tuple[int, int],
    centres: Sequence[int],
    colours: Mapping[str, Any],
    sample_pts: np.ndarray,
    samples: Mapping[str, np.ndarray],
    aspect: float,
) -> Measured:
    """Return a clip's numbers, of what `clip_colours` gave and of its video's samples, in order of time.

    Motion is from the frame before: that of a clip's first frame says nothing of it.
    """
    first, last = (int(place) for place in np.searchsorted(sample_pts, span))
    if first == last:  # shorter than the scan's step: the sample before it, or the first of all
        first, last = max(first - 1, 0), max(first, 1)
    mine = {name: samples[name][first:last].astype(np.float64) for name in SAMPLED}
    for name in MOTION:
        mine[name][sample_pts[first:last] == span[0]] = np.nan
    return Measured(
        *span,
        tuple(centres),
        np.asarray(colours["pts"], np.int64),
        Look(np.asarray(colours["shares"], np.float64), np.asarray(colours["light"], np.float64)),
        np.asarray(colours["changes"], np.float64).reshape(-1, 3),
        sample_pts[first:last],
        mine,
        aspect,
    )
