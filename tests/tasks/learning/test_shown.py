"""How far training is, as a log shows it."""

import io

from tasks.learning.shown import shown


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_steps_and_time_left() -> None:
    log, clock = io.StringIO(), Clock()
    progress = shown("train_surrogate@fno", stream=log, clock=clock)
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
    progress = shown("train", stream=log, clock=clock)
    progress(900, 1000)
    clock.now = 20
    progress(910, 1000)
    assert log.getvalue() == "train: 910/1000 steps, 91 %, ETA 3 min 0 s\n"


def test_an_early_end_is_an_end() -> None:
    log, clock = io.StringIO(), Clock()
    progress = shown("train", stream=log, clock=clock)
    progress(0, 1000)
    clock.now = 5
    progress(300, 300)
    assert log.getvalue() == "train: 300/300 steps, 100 %, took 5 s\n"
