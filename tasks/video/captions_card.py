"""The card of captioned film: README.md beside captions.parquet, with licences, credits, counts and a snippet.

And the page of pictures with what is said of them.
"""

import io
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from tasks.markdown import plain_table
from tasks.video.card_parts import facts_table, front_matter, splits_of, terms_of

BACKENDS: Mapping[str, str] = {
    "measured": "worked out from the pixels: colours, light, motion, camera, and what of them changes. No model was "
    "asked, and nothing is said of things, persons or faces.",
    "endpoint": "written by the vision model that `caption_takes.sampling.model` names, from five keyframes.",
    "own": "by the owner of the video, as they were found.",
}
SNIPPET = """\
import duckdb

clips = duckdb.sql("select name, start_s, end_s, caption, facts from 'captions.parquet' where split = 'train'")
for name, start_s, end_s, caption, facts in clips.fetchall()[:1]:
    assert end_s > start_s and caption, name
    print(name, start_s, end_s, caption, [(fact["kind"], fact["subject"], fact["value"]) for fact in facts])
"""
_TILE_PX = (176, 99)
_LINE_PX, _GAP_PX = 16, 12
_INK, _QUIET, _PAPER = (28, 28, 30), (110, 110, 115), (255, 255, 255)
_LINE_CHARACTERS = 132


def card_text(
    clips: Sequence[Mapping[str, Any]],
    vocabulary: Mapping[str, Sequence[str]],
    parameters: Mapping[str, Any],
    made_from: Mapping[str, str],
) -> str:
    """Return the card as Markdown; equal data sets have equal cards. `made_from` has DVC's hash by path."""
    seconds = sum(clip["end_s"] - clip["start_s"] for clip in clips)
    counts = ", ".join(f"{len(of)} {split}" for split, of in splits_of(clips).items())
    backends = Counter(clip["backend"].partition(":")[0] for clip in clips)
    parts = [
        front_matter(terms_of(clips), "Captioned clips of film", len(clips), "captions.parquet"),
        "# Captioned clips of film\n",
        f"{len(clips)} clips ({counts or 'none'}), {seconds / 60:.1f} minutes, of "
        f"{len({clip['source_id'] for clip in clips})} videos. Long clips and short ones overlap where they are of one "
        f"take.\n",
        "`captions.parquet` has a row for each clip: frames with start_pts <= pts < end_pts of `path` in the folder "
        "`root` (raw: data/raw/video, own: your own), in units of time_base_num / time_base_den seconds. `segments` "
        "are sub-captions of the centre frames of five equal parts. A fact's subject is unique among its kind's in the "
        "clip. Shots that are near-duplicates have one `group`, and a group is in one split.\n",
        "## Who says it\n",
        "\n".join(f"- `{name}` ({count} clips): {BACKENDS[name]}" for name, count in sorted(backends.items())) + "\n",
        "## Licence and credits\n\nA caption of a clip stands under the terms of its film.\n",
        _sources(clips),
        "## Facts\n",
        facts_table(clips, vocabulary),
        f"## Loading\n\nRuns in the folder of this card.\n\n```python\n{SNIPPET}```\n",
        "## How it was made\n",
        plain_table(("parameter", "value"), parameters.items()),
        plain_table(("made from", "DVC hash"), made_from.items()),
    ]
    return "\n".join(parts)


def _sources(clips: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter((clip["name"], clip["licence"], clip["credit"], clip["url"]) for clip in clips)
    rows = ((*key, count) for key, count in sorted(counts.items()))
    return plain_table(("video", "licence", "credit", "url", "clips"), rows)


# --- pictures ---------------------------------------------------------------------------------------------------


def captions_sheet(
    shown: Sequence[tuple[Mapping[str, Any], Sequence[bytes]]], title: str, credit: str, path: Path
) -> None:
    """Draw clips, rows of captions.CLIPS, with their keyframes (JPEG) and all that is said of them."""
    blocks = [(_lines(clip), frames) for clip, frames in shown]
    wide = max((len(frames) for _, frames in blocks), default=1) * _TILE_PX[0] + 2 * _GAP_PX
    tall = sum(len(lines) * _LINE_PX + _TILE_PX[1] + 2 * _GAP_PX for lines, _ in blocks)
    sheet = Image.new("RGB", (max(wide, 900), tall + 80), _PAPER)
    draw = ImageDraw.Draw(sheet)
    small, large = ImageFont.load_default(12), ImageFont.load_default(18)
    draw.text((_GAP_PX, 12), title, _INK, font=large)
    top = 44
    for lines, frames in blocks:
        for number, line in enumerate(lines):
            draw.text((_GAP_PX, top), line, _QUIET if number == 0 else _INK, font=small)
            top += _LINE_PX
        for place, jpeg in enumerate(frames):
            with Image.open(io.BytesIO(jpeg)) as opened:
                picture = opened.convert("RGB")
            picture.thumbnail((_TILE_PX[0] - 2, _TILE_PX[1]))
            sheet.paste(picture, (_GAP_PX + place * _TILE_PX[0], top + 2))
        top += _TILE_PX[1] + 2 * _GAP_PX
    draw.text((_GAP_PX, sheet.height - 26), credit, _QUIET, font=small)
    sheet.save(path, quality=88)


def _lines(clip: Mapping[str, Any]) -> list[str]:
    facts = "; ".join(f"{fact['kind']} of {fact['subject']}: {fact['value']}" for fact in clip["facts"])
    segments = " | ".join(segment["caption"] for segment in clip["segments"])
    said = [f"{clip['name']}, {clip['start_s']:.1f} to {clip['end_s']:.1f} s, {clip['split']}, {clip['backend']}"]
    for text in (clip["caption"], segments, facts):
        said += textwrap.wrap(text, _LINE_CHARACTERS)
    return said
