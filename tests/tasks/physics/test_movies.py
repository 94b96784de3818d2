"""Films of rollouts: what is seen is the truth, the prediction and their difference, in colours that the truth sets."""

import hashlib
from pathlib import Path

import av
import matplotlib
import numpy as np
import pytest
from PIL import Image

from tasks.physics.movies import Film, write_film, write_still


def rgb(cmap: str, share: float) -> tuple[int, ...]:
    return tuple(matplotlib.colormaps[cmap](share, bytes=True)[:3])


LOW, HIGH, MIDDLE = rgb("viridis", 0.0), rgb("viridis", 1.0), rgb("viridis", 0.5)
WHITE, RED, BLUE = rgb("RdBu_r", 0.5), rgb("RdBu_r", 1.0), rgb("RdBu_r", 0.0)
GREY = (0xB8, 0xB8, 0xB8)


def halves(left: float, right: float, steps: int = 4, size: tuple[int, ...] = (16, 16)) -> np.ndarray:
    """Return one channel that is `left` where the first axis is low and `right` where it is high, (T, 1, *S)."""
    values = np.full((steps, 1, *size), float(left))
    values[:, :, size[0] // 2 :] = right
    return values


def film(truth: np.ndarray, prediction: np.ndarray, lost_at: int | None = None) -> Film:
    dims = truth.ndim - 2
    names = [f"field{number}" for number in range(truth.shape[1])]
    return Film(truth, prediction, names, "a film", ["z", "x", "y"][-dims:], [1.0] * dims, lost_at)


def still(shown: Film, tmp_path: Path, step: int = 0) -> np.ndarray:
    write_still(shown, tmp_path / "still.png", step=step)
    return np.asarray(Image.open(tmp_path / "still.png"))


def panels(picture: np.ndarray) -> list[np.ndarray]:
    """Return a line of pixels through each of the three panels: the wide stretches that are not paper."""
    line = picture[picture.shape[0] // 2]
    edges = np.flatnonzero(np.diff(np.r_[False, (line != 255).any(-1), False]))
    wide = [line[start:stop] for start, stop in edges.reshape(-1, 2) if stop - start > 100]
    assert len(wide) == 3
    return wide


def test_truth_prediction_and_error_stand_side_by_side_in_colours_of_the_truth(tmp_path: Path) -> None:
    """Truth from 0 to 2: colours from 0 to 2, errors from -1 to 1. The prediction is 1 too much on the left."""
    truth, prediction, error = panels(still(film(halves(0, 2), halves(1, 2)), tmp_path))
    ends = [(tuple(panel[2]), tuple(panel[-3])) for panel in (truth, prediction, error)]
    assert ends[0] == (LOW, HIGH)
    assert ends[1] == (MIDDLE, HIGH)
    assert ends[2] == (RED, WHITE)


def test_colours_do_not_follow_the_prediction(tmp_path: Path) -> None:
    calm = panels(still(film(halves(0, 2), halves(0, 2)), tmp_path))
    wild = panels(still(film(halves(0, 2), halves(-50, 70)), tmp_path))
    np.testing.assert_array_equal(calm[0], wild[0])
    assert (tuple(wild[1][2]), tuple(wild[1][-3])) == (LOW, HIGH)
    assert (tuple(wild[2][2]), tuple(wild[2][-3])) == (BLUE, RED)


def test_colours_are_those_of_the_whole_film(tmp_path: Path) -> None:
    truth = halves(0, 1)
    truth[3] *= 2
    at_first = panels(still(film(truth, truth), tmp_path, step=0))[0]
    at_last = panels(still(film(truth, truth), tmp_path, step=3))[0]
    assert tuple(at_first[-3]) == MIDDLE
    assert tuple(at_last[-3]) == HIGH


def test_what_is_no_number_is_grey_and_a_constant_field_is_drawn(tmp_path: Path) -> None:
    truth = halves(np.nan, 2)
    truth[1:] = 3  # so that 2 is the lowest
    seen = panels(still(film(truth, halves(2, np.inf)), tmp_path))
    assert [(tuple(panel[2]), tuple(panel[-3])) for panel in seen] == [(GREY, LOW), (LOW, GREY), (GREY, GREY)]
    assert tuple(panels(still(film(halves(3, 3), halves(3, 3)), tmp_path))[2][5]) == WHITE


def test_of_three_dimensions_the_middle_of_the_first_is_shown(tmp_path: Path) -> None:
    truth = np.zeros((2, 1, 6, 16, 16))
    truth[:, :, 3] = halves(0, 2, steps=2)
    flat = still(film(halves(0, 2, steps=2), halves(1, 2, steps=2)), tmp_path)
    prediction = np.zeros_like(truth)
    prediction[:, :, 3] = halves(1, 2, steps=2)
    deep = Film(truth, prediction, ["field0"], "a film", ["z", "x", "y"], [1.0, 1.0, 1.0])
    np.testing.assert_array_equal(still(deep, tmp_path), flat)


def moving(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(5, 2, 12, 20))


def test_a_film_has_a_picture_for_each_step_that_shows_what_the_still_does(tmp_path: Path) -> None:
    shown = Film(moving(0), moving(1), ["A", "velocity_x"], "two fields", ["x", "y"], [1.0, 2.0])
    write_film(shown, tmp_path / "film.mp4", frames_per_s=8)
    with av.open(str(tmp_path / "film.mp4")) as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt, stream.average_rate) == ("h264", "yuv420p", 8)
        decoded = [frame.to_ndarray(format="rgb24") for frame in video.decode(stream)]
    assert len(decoded) == 5
    stills = [still(shown, tmp_path, step) for step in range(5)]
    gaps = np.array([[np.abs(a.astype(int) - b).mean() for b in stills] for a in decoded])
    assert (gaps.argmin(1) == np.arange(5)).all()
    assert gaps.diagonal().max() < 4
    assert stills[0].shape[0] % 2 == stills[0].shape[1] % 2 == 0


def test_equal_films_have_equal_bytes(tmp_path: Path) -> None:
    found = set()
    for number in range(2):
        shown = Film(moving(0), moving(1), ["A", "B"], "two fields", ["x", "y"], [1.0, 2.0])
        write_film(shown, tmp_path / f"{number}.mp4")
        write_still(shown, tmp_path / f"{number}.png", step=3)
        found.add(tuple(hashlib.sha256((tmp_path / f"{number}.{k}").read_bytes()).hexdigest() for k in ("mp4", "png")))
    assert len(found) == 1


def test_the_step_and_a_blow_up_are_written_on_the_picture(tmp_path: Path) -> None:
    """What changes between pictures of the same frames is the text alone, at the top right."""
    steady = halves(0, 2, steps=12)
    pictures = {
        key: still(film(steady, steady, lost_at), tmp_path, step)
        for key, step, lost_at in (("first", 0, None), ("tenth", 10, None), ("lost", 10, 9), ("not yet", 8, 9))
    }
    for one, other in (("first", "tenth"), ("tenth", "lost")):
        rows, columns = np.nonzero((pictures[one] != pictures[other]).any(-1))
        assert len(rows)
        assert rows.max() < 30
        assert columns.min() > pictures[one].shape[1] / 2
    eighth = still(film(steady, steady), tmp_path, 8)
    np.testing.assert_array_equal(pictures["not yet"], eighth)


def test_films_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    for shown, message in (
        (film(halves(0, 1), halves(0, 1)[:, :, :8]), r"\(4, 1, 8, 16\)"),
        (Film(halves(0, 1), halves(0, 1), ["A", "B"], "", ["x", "y"], [1, 1]), "1 channels, but 2 names"),
    ):
        with pytest.raises(ValueError, match=message):
            write_still(shown, tmp_path / "no.png", step=0)
