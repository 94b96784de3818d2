"""Captions of one's own: read as they stand, found in their videos by frame, or rejected with file, line and reason."""

from pathlib import Path

import numpy as np
import pytest

from tasks.tables import Reject
from tasks.video.own_captions import Malformed, OwnCaption, read_captions, span_of, video_of

VIDEOS = ["film.mp4", "trips/sea.mkv"]


def read(folder: Path, **files: str) -> list[tuple[str, str, str, float | None, float | None]]:
    """Write files, named with `__` for a dot and `_in_` for a slash, and return what is read as plain rows."""
    for name, text in files.items():
        path = folder / name.replace("_in_", "/").replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return [
        (one.where, one.video, one.caption, one.start_s, one.end_s)
        if isinstance(one, OwnCaption)
        else (one.where, "", f"{one.reject.reason}!", None, None)
        for one in read_captions(folder, VIDEOS)
    ]


def test_a_table_names_videos_and_times(tmp_path: Path) -> None:
    table = 'name,start_s,end_s,caption\nfilm.mp4,1.5,3,"A cat, asleep."\n\nsea.mkv,,,Waves\n'
    assert read(tmp_path, captions__csv=table) == [
        ("captions.csv, line 2", "film.mp4", "A cat, asleep.", 1.5, 3.0),
        ("captions.csv, line 4", "sea.mkv", "Waves", None, None),
    ]


def test_json_lines_say_the_same(tmp_path: Path) -> None:
    lines = '{"path": "trips/sea.mkv", "start_s": 0, "end_s": 2.5, "caption": "Waves\\n break."}\r\n\r\n'
    assert read(tmp_path, a__jsonl=lines) == [("a.jsonl, line 1", "trips/sea.mkv", "Waves break.", 0.0, 2.5)]


SRT = """\ufeff1
00:00:01,000 --> 00:00:03,500
<i>A cat</i>
sleeps. {\\an8}

2
01:00:04,20 --> 01:00:05,000 X1:0
It wakes.
"""
VTT = """WEBVTT - made by hand

NOTE
a remark --
of two lines

STYLE
::cue { color: red }

intro
00:01.000 --> 00:03.500 align:start
<v Ann>A cat sleeps.

01:00:04.200 --> 01:00:05.000
It <00:19.000>wakes.
"""


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [("film__srt", SRT, (2, 7)), ("film__en__srt", SRT, (2, 7)), ("film__vtt", VTT, (11, 14))],
)
def test_subtitles_beside_a_video_are_its_captions(
    name: str, text: str, lines: tuple[int, int], tmp_path: Path
) -> None:
    file = name.replace("__", ".")
    assert read(tmp_path, **{name: text}) == [
        (f"{file}, line {lines[0]}", "film.mp4", "A cat sleeps.", 1.0, 3.5),
        (f"{file}, line {lines[1]}", "film.mp4", "It wakes.", 3604.2, 3605.0),
    ]


def test_a_text_beside_a_video_is_of_the_whole(tmp_path: Path) -> None:
    assert read(tmp_path, trips_in_sea__txt="Waves\nbreak.\n", README__txt="of no video") == [
        ("trips/sea.txt", "trips/sea.mkv", "Waves break.", None, None)
    ]


def test_what_is_of_others_is_passed_over(tmp_path: Path) -> None:
    assert read(tmp_path, index__csv="file,size\na,1\n", log__jsonl='{"level": "info"}\n', a__md="# A") == []


@pytest.mark.parametrize(
    ("name", "text", "where", "reason"),
    [
        ("a__csv", "name,caption\nfilm.mp4\n", "a.csv, line 2", "malformed"),
        ("a__csv", "name,start_s,caption\nfilm.mp4,soon,A cat\n", "a.csv, line 2", "malformed"),
        ("a__csv", "name,start_s,caption\nfilm.mp4,-1,A cat\n", "a.csv, line 2", "malformed"),
        ("a__csv", "name,start_s,caption\nfilm.mp4,nan,A cat\n", "a.csv, line 2", "malformed"),
        ("a__csv", 'name,caption\nfilm.mp4,"A "cat\n', "a.csv, line 2", "malformed"),
        ("a__csv", "name,caption\n,A cat\n", "a.csv, line 2", "malformed"),
        ("a__csv", "name,caption\nfilm.mp4,\n", "a.csv, line 2", "empty"),
        ("a__csv", f"name,caption\nfilm.mp4,{'a' * 9000}\n", "a.csv, line 2", "too_long"),
        ("a__jsonl", '{"name": "film.mp4", "caption": "A cat"\n', "a.jsonl, line 1", "malformed"),
        ("a__jsonl", '["caption"]\n', "a.jsonl, line 1", "malformed"),
        ("a__jsonl", '{"name": "film.mp4", "caption": 3}\n', "a.jsonl, line 1", "malformed"),
        ("a__jsonl", f"{'[' * 100_000}\n", "a.jsonl, line 1", "malformed"),
        ("film__srt", "1\n00:00:01,000 -> 00:00:02,000\nA cat\n", "film.srt, line 1", "malformed"),
        ("film__srt", "1\n00:00:61,000 --> 00:01:02,000\nA cat\n", "film.srt, line 2", "malformed"),
        ("film__srt", "1\n00:00:01,000 --> 00:00:02,000\n\n", "film.srt, line 2", "empty"),
        ("other__srt", "1\n00:00:01,000 --> 00:00:02,000\nA cat\n", "other.srt, line 2", "no_video"),
    ],
)
def test_what_is_no_caption_is_told_with_file_line_and_reason(
    name: str, text: str, where: str, reason: str, tmp_path: Path
) -> None:
    assert read(tmp_path, **{name: text}) == [(where, "", f"{reason}!", None, None)]


def test_good_lines_beside_a_bad_one_are_taken(tmp_path: Path) -> None:
    rows = read(tmp_path, a__csv='name,caption\nfilm.mp4,One\nfilm.mp4,"T"wo\nsea.mkv,Three\n')
    assert [row[2] for row in rows] == ["One", "malformed!", "Three"]


def test_text_that_is_no_utf_8_is_told(tmp_path: Path) -> None:
    (tmp_path / "film.txt").write_bytes("Große Wellen".encode("latin-1"))
    (one,) = read_captions(tmp_path, VIDEOS)
    assert isinstance(one, Malformed)
    assert (one.where, one.reject.reason) == ("film.txt", "not_text")


# --- places ---


def caption(video: str = "film.mp4", start_s: float | None = None, end_s: float | None = None) -> OwnCaption:
    return OwnCaption("a.csv, line 2", video, "A cat", start_s, end_s)


ROWS = [
    {"root": "own", "path": "film.mp4", "name": "film.mp4"},
    {"root": "raw", "path": "files/film.mp4", "name": "film.mp4"},
    {"root": "own", "path": "a/sea.mkv", "name": "sea.mkv"},
    {"root": "own", "path": "b/sea.mkv", "name": "sea.mkv"},
]


def test_a_path_in_ones_own_folder_wins_over_a_name() -> None:
    assert video_of(caption("film.mp4"), ROWS) is ROWS[0]
    assert video_of(caption("files/film.mp4"), ROWS) is ROWS[1]
    assert video_of(caption("b/sea.mkv"), ROWS) is ROWS[3]


@pytest.mark.parametrize(("video", "reason"), [("sea.mkv", "ambiguous"), ("lake.mp4", "no_video")])
def test_a_name_of_no_video_or_of_two_is_rejected(video: str, reason: str) -> None:
    with pytest.raises(Reject, match=r"a\.csv, line 2") as caught:
        video_of(caption(video), ROWS)
    assert caught.value.reason == reason


FILM = {"time_base_num": 1, "time_base_den": 600, "start_pts": 1200, "end_pts": 1200 + 6000}
FRAMES = 1200 + np.arange(250) * 24  # 25 a second, 10 s


@pytest.mark.parametrize(
    ("start_s", "end_s"),
    [(None, None), (0, 10), (2, 4), (2.01, 4.01), (0.04, 0.08), (9.5, 10.4), (3.3333333, 6.6666667)],
)
def test_a_clip_holds_the_frames_that_begin_within_its_times(start_s: float | None, end_s: float | None) -> None:
    span = span_of(caption("film.mp4", start_s, end_s), FILM, FRAMES)
    first, last = start_s or 0, 10 if end_s is None else end_s
    inside = [pts for pts in FRAMES if first - 1e-3 <= (pts - 1200) / 600 < last - 1e-3]
    assert (span.start_pts, span.frames) == (inside[0], len(inside))
    assert span.end_pts == min(inside[-1] + 24, 7200)


@pytest.mark.parametrize(
    ("start_s", "end_s", "reason"),
    [(4, 2, "backwards"), (4, 4, "backwards"), (10, 11, "outside"), (2, 12, "outside"), (2.001, 2.03, "outside")],
)
def test_times_of_no_frame_are_rejected(start_s: float, end_s: float, reason: str) -> None:
    with pytest.raises(Reject, match=r"a\.csv, line 2") as caught:
        span_of(caption("film.mp4", start_s, end_s), FILM, FRAMES)
    assert caught.value.reason == reason
