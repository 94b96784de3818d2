"""How far training is, as a log shows it."""

import contextlib
import io

import pytest

from tasks.learning.shown import shown


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_steps_and_time_left() -> None:
    log, clock = io.StringIO(), Clock()
    with shown("train_surrogate@fno", stream=log, clock=clock) as progress:
        for step in range(41):
            progress(step, 40)
            clock.now += 1
    assert log.getvalue().splitlines() == [
        "train_surrogate@fno: 10/40 steps, 25 %, ETA 30 s",
        "train_surrogate@fno: 20/40 steps, 50 %, ETA 20 s",
        "train_surrogate@fno: 30/40 steps, 75 %, ETA 10 s",
        "train_surrogate@fno: 40/40 steps, 100 %, took 40 s",
    ]


def test_steps_of_an_earlier_run_say_nothing_about_the_pace() -> None:
    log, clock = io.StringIO(), Clock()
    with shown("train", stream=log, clock=clock) as progress:
        progress(900, 1000)
        clock.now = 20
        progress(910, 1000)
    assert log.getvalue() == "train: 910/1000 steps, 91 %, ETA 3 min 0 s\n"


def test_an_early_end_is_an_end() -> None:
    log, clock = io.StringIO(), Clock()
    with shown("train", stream=log, clock=clock) as progress:
        progress(0, 1000)
        clock.now = 5
        progress(300, 300)
        clock.now = 60  # the model is written meanwhile
    assert log.getvalue() == "train: 300/300 steps, 100 %, took 5 s\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("end", [ValueError, KeyboardInterrupt, None])
def test_the_terminal_has_its_cursor_back_however_training_ends(
    end: type[BaseException] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    expected = pytest.raises(end) if end else contextlib.nullcontext()
    with expected, shown("train", stream=screen) as progress:
        progress(0, 10)
        progress(4, 10)
        if end:
            raise end
        progress(10, 10)
    hidden, back = "\x1b[?25l", "\x1b[?25h"
    assert screen.getvalue().count(hidden) == screen.getvalue().count(back) == 1
    assert f"train: {4 if end else 10}/10 steps" in screen.getvalue().rpartition(back)[2]  # a line that stays


def test_training_that_fails_before_its_first_step_shows_nothing() -> None:
    log = io.StringIO()
    with pytest.raises(ValueError, match="no data"), shown("train", stream=log):
        raise ValueError("no data")
    assert log.getvalue() == ""
