"""Clips that have captions of their owner's: where they lie in videos that were scanned, and which shots they show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.tables import Reject, read_table
from tasks.video.clip_spans import Span
from tasks.video.film_clips import Film, FilmClip, clip_id, read_films, shots_within
from tasks.video.own_captions import Malformed, OwnCaption, read_captions, span_of, video_of


@dataclass(frozen=True)
class OwnClips:
    """Captions of one's own, by the ids of their clips; `rejects` by where a caption stands that is of none."""

    films: Mapping[str, Film]
    spans: Mapping[str, tuple[str, Span, str]]  # source_id, span, where the caption stands
    captions: Mapping[str, str]
    shots: Mapping[str, Sequence[str]]  # take_ids that a clip shows a part of
    rejects: Mapping[str, Reject]

    def clips(self, groups: Mapping[str, str]) -> dict[str, FilmClip]:
        """Return the clips, in the groups of the shots that they show."""
        return {
            name: FilmClip(name, self.films[source_id], span, where, groups[self.shots[name][0]])
            for name, (source_id, span, where) in self.spans.items()
        }


def read_own(folder: Path, scan: Path, shots: Sequence[Mapping[str, Any]]) -> OwnClips:
    """Read all captions below `folder`, the videos of one's own; `scan` is the folder that scan_video wrote.

    A caption is rejected as `own_captions` does, as "no_shot" where detect_shots knows none there, and as "repeated"
    where another of the same frames came before.
    """
    columns = ["source_id", "root", "path", "name"]
    videos = read_table(scan / "videos.parquet").select(columns).to_pylist()
    found = list(read_captions(folder, [row["path"] for row in videos if row["root"] == "own"]))
    rejects = {one.where: one.reject for one in found if isinstance(one, Malformed)}
    meant: list[tuple[OwnCaption, str]] = []
    for one in found:
        if isinstance(one, OwnCaption):
            try:
                meant.append((one, video_of(one, videos)["source_id"]))
            except Reject as reject:
                rejects[one.where] = reject
    films = read_films(scan, {source_id for _, source_id in meant}) if meant else {}
    spans: dict[str, tuple[str, Span, str]] = {}
    captions: dict[str, str] = {}
    shown: dict[str, Sequence[str]] = {}
    for one, source_id in meant:
        try:
            film = films[source_id]
            span = span_of(one, film.row, film.frame_pts)
            name = f"own-{clip_id(source_id, span)}"
            if name in spans:
                raise Reject("repeated", f"{one.where}: {spans[name][2]} has a caption of the same frames")
            within = shots_within(shots, source_id, span)
            if not within:
                raise Reject("no_shot", f"{one.where}: detect_shots has rejected the video")
        except Reject as reject:
            rejects[one.where] = reject
        else:
            spans[name], captions[name], shown[name] = (source_id, span, one.where), one.caption, within
    return OwnClips(films, spans, captions, shown, rejects)
