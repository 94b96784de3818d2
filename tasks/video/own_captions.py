"""Captions that the owner of videos has: read from the folder of videos of one's own, and taken as they are.

CSV with a header and JSONL: `name` or `path` of a video, `caption`, and start_s and end_s where it is of a part. SRT
(SubRip) and WebVTT beside a video: a caption for each cue. A .txt beside a video: one caption of the whole.
"""

import csv
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.sources import own_files
from tasks.tables import Reject
from tasks.video.clip_spans import Span

_TIME = r"(?:(\d+):)?([0-5]?\d):([0-5]?\d)[.,](\d{1,3})"
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<\d[\d:.]*>|\{\\[^{}]*\}")  # of SubRip, WebVTT and ASS
_LANGUAGE = re.compile(r"\.[a-z]{2,3}(?:-[A-Za-z]{2,4})?$")  # film.en.srt
_OVERSHOOT_S = 0.5  # that a caption may end after its video
MAX_CHARACTERS = 8000


@dataclass(frozen=True)
class OwnCaption:
    """A caption and where it stands. `video` is a path from the folder, or a name; no times: it is of the whole."""

    where: str  # file and line
    video: str
    caption: str
    start_s: float | None
    end_s: float | None


@dataclass(frozen=True)
class Malformed:
    """What stands where a caption should, and why it is none."""

    where: str
    reject: Reject


def read_captions(folder: Path, videos: Iterable[str]) -> Iterator[OwnCaption | Malformed]:
    """Yield all captions below a folder, in the order of files and lines. `videos` are the videos' paths in it.

    Tables without a column `caption`, and texts with no video beside them, are other people's and are passed over.
    """
    beside = {str(Path(path).with_suffix("")): path for path in sorted(videos, reverse=True)}
    readers = {".csv": _csv_captions, ".jsonl": _jsonl_captions, ".srt": _cues, ".vtt": _cues, ".txt": _text_caption}
    for file in own_files(folder):
        reader = readers.get(file.suffix.lower())
        if reader is None:
            continue
        path = file.relative_to(folder).as_posix()
        stem = str(Path(path).with_suffix(""))
        video = beside.get(stem) or beside.get(_LANGUAGE.sub("", stem), "")
        if file.suffix.lower() == ".txt" and not video:
            continue
        try:
            text = file.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            yield Malformed(path, Reject("not_text", f"{path}: not UTF-8 ({error.reason} at byte {error.start})"))
            continue
        yield from reader(path, text.replace("\r\n", "\n").replace("\r", "\n"), video)


# --- files ------------------------------------------------------------------------------------------------------


def _csv_captions(path: str, text: str, video: str) -> Iterator[OwnCaption | Malformed]:
    lines = csv.reader(text.splitlines(keepends=True), strict=True)
    header = [cell.strip() for cell in next(lines, [])]
    if "caption" not in header:
        return
    while True:
        where = f"{path}, line {lines.line_num + 1}"
        try:
            cells = next(lines, None)
        except csv.Error as error:
            yield _malformed(where, str(error))
            continue
        if cells is None:
            return
        if not cells:
            continue
        if len(cells) != len(header):
            yield _malformed(where, f"{len(cells)} cells, where the header has {len(header)}: quote texts with commas")
            continue
        yield _of_columns(where, dict(zip(header, (cell.strip() for cell in cells), strict=True)))


def _jsonl_captions(path: str, text: str, video: str) -> Iterator[OwnCaption | Malformed]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield _malformed(where, f"not JSON ({error})"[:300])
            continue
        if not isinstance(found, dict):
            yield _malformed(where, "not a JSON object")
        elif "caption" in found:
            yield _of_columns(where, found)


def _of_columns(where: str, cells: Mapping[str, Any]) -> OwnCaption | Malformed:
    video, caption = cells.get("path") or cells.get("name") or "", cells["caption"]
    if not isinstance(video, str) or not isinstance(caption, str):
        return _malformed(where, "name or path, and caption, are texts")
    if not video:
        return _malformed(where, "neither name nor path of a video")
    times: list[float | None] = []
    for name in ("start_s", "end_s"):
        cell = cells.get(name)
        try:
            times.append(None if cell is None or cell == "" else float(cell))
        except (TypeError, ValueError):
            return _malformed(where, f"{name} is {cell!r:.40}, not a number of seconds")
    return _checked(where, video, caption, times[0], times[1])


def _cues(path: str, text: str, video: str) -> Iterator[OwnCaption | Malformed]:
    """Yield the cues of SubRip or WebVTT: a line of times, and the lines up to the next empty one."""
    lines = [*text.split("\n"), ""]
    number = 0
    while number < len(lines):
        if not lines[number].strip():
            number += 1
            continue
        first = number
        while lines[number].strip():
            number += 1
        block = lines[first:number]
        if re.match(r"(WEBVTT|NOTE|STYLE|REGION)\b", block[0]) and not any("-->" in line for line in block):
            continue
        at = next((place for place, line in enumerate(block[:2]) if "-->" in line), None)
        times = _TIMES.fullmatch(block[at]) if at is not None else None
        where = f"{path}, line {first + (at or 0) + 1}"
        if at is None or times is None:
            yield _malformed(where, "no line of times, as 00:00:01,000 --> 00:00:03,500")
        elif not video:
            yield Malformed(where, Reject("no_video", f"{where}: no video of that name stands beside it"))
        else:
            said = " ".join(_TAG.sub("", " ".join(block[at + 1 :])).split())
            yield _checked(where, video, said, _seconds(times.groups()[:4]), _seconds(times.groups()[4:]))


def _text_caption(path: str, text: str, video: str) -> Iterator[OwnCaption | Malformed]:
    yield _checked(path, video, text, None, None)


def _seconds(cells: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, parts = cells
    return (
        int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0) + int((parts or "0").ljust(3, "0")) / 1000
    )


def _checked(
    where: str, video: str, caption: str, start_s: float | None, end_s: float | None
) -> OwnCaption | Malformed:
    caption = " ".join(caption.split())
    if not caption:
        return Malformed(where, Reject("empty", f"{where}: the caption is empty"))
    if len(caption) > MAX_CHARACTERS:
        return Malformed(
            where,
            Reject("too_long", f"{where}: cut it", "characters", float(len(caption)), float(MAX_CHARACTERS)),
        )
    for name, time in (("start_s", start_s), ("end_s", end_s)):
        if time is not None and not (math.isfinite(time) and time >= 0):
            return _malformed(where, f"{name} is {time:g}")
    return OwnCaption(where, video, caption, start_s, end_s)


def _malformed(where: str, why: str) -> Malformed:
    return Malformed(where, Reject("malformed", f"{where}: {why}"))


# --- places -----------------------------------------------------------------------------------------------------


def video_of(caption: OwnCaption, videos: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the row of videos.parquet that a caption means, by path or name. Raises Reject no_video, ambiguous."""
    found = [row for row in videos if caption.video == row["path"] and row["root"] == "own"]
    found = found or [row for row in videos if caption.video in (row["name"], row["path"])]
    if not found:
        why = f"{caption.where}: no scanned video is called {caption.video!r:.80} (see rejected.parquet of scan_video)"
        raise Reject("no_video", why)
    if len(found) > 1:
        paths = ", ".join(sorted(row["path"] for row in found))
        raise Reject("ambiguous", f"{caption.where}: {caption.video!r:.80} may be {paths}: give its path"[:500])
    return found[0]


def span_of(caption: OwnCaption, video: Mapping[str, Any], frame_pts: np.ndarray) -> Span:
    """Return the frames that a caption is of: those that begin in [start_s, end_s), counted from the first frame.

    Raises Reject "backwards" or "outside" (of the video, or between two frames).
    """
    seconds = video["time_base_num"] / video["time_base_den"]
    length_s = (video["end_pts"] - video["start_pts"]) * seconds
    start_s = caption.start_s or 0.0
    end_s = length_s if caption.end_s is None else caption.end_s
    if end_s <= start_s:
        raise Reject("backwards", f"{caption.where}: from {start_s:g} to {end_s:g} s")
    told = f"{caption.where}: from {start_s:g} to {end_s:g} s of a video of {length_s:.2f} s"
    if start_s >= length_s or end_s > length_s + _OVERSHOOT_S:
        raise Reject("outside", told, "end_s", end_s, length_s)
    half = 0.5  # of a tick: times in seconds are rounded
    bounds = [video["start_pts"] + time / seconds - half for time in (start_s, end_s)]
    first, last = (int(place) for place in np.searchsorted(frame_pts, bounds))
    if last <= first:
        raise Reject("outside", f"{told}: no frame begins there")
    end_pts = int(frame_pts[last]) if last < len(frame_pts) else int(video["end_pts"])
    return Span(int(frame_pts[first]), end_pts, last - first)
