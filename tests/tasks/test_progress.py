"""Progress: what stands in a log, and what a terminal shows."""

import io
import re

from tasks.progress import Progress, duration


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_a_plain_line_at_most_every_ten_seconds_and_one_at_the_end():
    log, clock = io.StringIO(), Clock()
    progress = Progress(12, "videos", "scan_video", stream=log, clock=clock)
    for number in range(12):
        clock.now += 4
        progress.done(str(number))
    progress.close()
    assert log.getvalue().splitlines() == [
        "scan_video: 3/12 videos, 25 %, ETA 36 s",
        "scan_video: 6/12 videos, 50 %, ETA 24 s",
        "scan_video: 9/12 videos, 75 %, ETA 12 s",
        "scan_video: 12/12 videos, 100 %, took 48 s",
    ]


def test_items_without_ids_are_counted_many_at_a_time():
    log, clock = io.StringIO(), Clock()
    progress = Progress(40, "sentences", "train_retriever", stream=log, clock=clock)
    clock.now = 20
    progress.more(30)
    progress.more(10)
    progress.close()
    assert log.getvalue().splitlines() == [
        "train_retriever: 30/40 sentences, 75 %, ETA 7 s",
        "train_retriever: 40/40 sentences, 100 %, took 20 s",
    ]


def test_fractions_of_long_items_count():
    log, clock = io.StringIO(), Clock()
    progress = Progress(2, "videos", "scan_video", stream=log, clock=clock)
    assert progress.line() == "scan_video: 0/2 videos, 0 %"
    clock.now = 40
    progress.update("film", 0.5)
    progress.update("film", 0.75)
    progress.update("trailer", 0.25)
    assert progress.line() == "scan_video: 0/2 videos, 50 %, ETA 40 s"
    progress.done("film")
    assert progress.line() == "scan_video: 1/2 videos, 62 %, ETA 24 s"


def test_a_quiet_while_is_broken_by_a_tick():
    log, clock = io.StringIO(), Clock()
    progress = Progress(4, "videos", "scan_video", stream=log, clock=clock)
    clock.now = 1
    progress.done("a")
    assert log.getvalue() == ""
    clock.now = 30
    progress.tick()
    assert log.getvalue() == "scan_video: 1/4 videos, 25 %, ETA 1 min 30 s\n"


def test_an_interrupted_run_says_how_far_it_came():
    log, clock = io.StringIO(), Clock()
    progress = Progress(4, "videos", "scan_video", stream=log, clock=clock)
    clock.now = 5
    progress.done("a")
    progress.close()
    progress.close()
    assert log.getvalue() == "scan_video: 1/4 videos, 25 %, ETA 15 s\n"


def test_nothing_to_do_is_all_done():
    log = io.StringIO()
    Progress(0, "videos", "scan_video", stream=log, clock=Clock()).close()
    assert log.getvalue() == "scan_video: 0/0 videos, 100 %, took 0 s\n"


def test_a_terminal_shows_a_bar_with_the_time_left_and_ends_with_the_line():
    terminal, clock = Terminal(), Clock()
    progress = Progress(4, "videos", "scan_video", stream=terminal, clock=clock)
    clock.now = 60
    progress.done("a")
    progress.close()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())
    assert "1/4 videos, 25 %, ETA 3 min 0 s" in text
    assert text.endswith("scan_video: 1/4 videos, 25 %, ETA 3 min 0 s\n")


def test_durations_are_said_as_people_do():
    assert [duration(s) for s in (0.2, 59.4, 80, 3599.6, 7500)] == [
        "0 s",
        "59 s",
        "1 min 20 s",
        "1 h 0 min",
        "2 h 5 min",
    ]
