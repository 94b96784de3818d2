"""What is rendered, sample by sample: against a plain decode of the clips that went in."""

from pathlib import Path

import numpy as np
import pytest

from tasks.video.augmentations import temporal_needle
from tasks.video.composition import Clip
from tasks.video.rendering import render_file
from tests.tasks.video.composed import LOSSLESS, SMALL, clip_of, decoded, same, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def haystack(folder: Path) -> Clip:
    """36 frames inside a file of 48."""
    return clip_of(write(folder / "haystack.mp4", 1, 48), 6, 36)


@pytest.fixture(scope="module")
def needle(folder: Path) -> Clip:
    """10 frames inside a file of 20, of the haystack's size."""
    return clip_of(write(folder / "needle.mp4", 2, 20), 5, 10)


def frames_of(clip: Clip) -> list[list[np.ndarray]]:
    """Return the planes of a clip of these tests' names by a plain decode of its file."""
    first, last = map(int, clip.clip_id.split("-")[1:])
    return decoded(clip.file, first, last - first)


def test_an_inserted_needle_lengthens_the_video_and_every_sample_is_a_clips(
    haystack: Clip, needle: Clip, tmp_path: Path
) -> None:
    starts = set()
    for seed in range(3):
        built = temporal_needle(haystack, needle, SMALL, np.random.default_rng(seed), margin_s=0.5)
        render_file(built.composition, tmp_path / "video.mkv", LOSSLESS)
        found, (span,) = decoded(tmp_path / "video.mkv"), built.truth.spans
        base, hidden = frames_of(haystack), frames_of(needle)
        expected = base[: span.start] + hidden + base[span.start :]
        assert len(found) == len(base) + len(hidden) == built.composition.frames == 46
        assert all(same(one, other) for one, other in zip(found, expected, strict=True))
        assert (span.end - span.start, span.first, span.last) == (10, 0, 10)
        assert built.truth.seconds() == [(span.start / 12, span.end / 12)]
        starts.add(span.start)
    assert len(starts) > 1
