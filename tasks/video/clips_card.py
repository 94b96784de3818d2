"""The card of generated clips: README.md beside clips.parquet, with licences, credits, counts and a loading snippet."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.markdown import plain_table
from tasks.video.card_parts import facts_table, front_matter, splits_of, terms_of

SNIPPET = """\
import av
import duckdb

clips = duckdb.sql("select path, start_pts, end_pts, frames, caption from 'clips.parquet' where split = 'train'")
for path, start, end, frames, caption in clips.fetchall()[:1]:
    with av.open(path) as video:
        video.seek(start, stream=video.streams.video[0])  # a clip begins with an I-frame
        shown = [f.to_ndarray(format="rgb24") for f in video.decode(video=0) if start <= f.pts < end]
    assert len(shown) == frames, caption
"""


def card_text(
    clips: Sequence[Mapping[str, Any]],
    sources: Sequence[Mapping[str, Any]],
    vocabulary: Mapping[str, Sequence[str]],
    parameters: Mapping[str, Any],
    made_from: Mapping[str, str],
) -> str:
    """Return the card as Markdown; equal data sets have equal cards. `made_from` has DVC's hash by path."""
    seconds = sum(clip["end_s"] - clip["start_s"] for clip in clips)
    counts = ", ".join(f"{len(of)} {split}" for split, of in splits_of(clips).items())
    parts = [
        front_matter(terms_of(sources), "Generated clips with exact captions", len(clips), "clips.parquet"),
        "# Generated clips with exact captions\n",
        f"{len(clips)} clips ({counts}), {seconds / 60:.1f} minutes, in {len(sources)} source videos. In a source, "
        f"things of named shapes, colours and sizes do one thing after the other; each event is a clip. Captions, "
        f"facts and sub-captions are told from what was drawn: no model was asked.\n",
        "`clips.parquet` has a row for each clip: frames with start_pts <= pts < end_pts of `path`, in units of "
        "time_base_num / time_base_den seconds. Clips of a source follow each other at once or within seconds, some "
        "later. `segments` are sub-captions of the centre frames of five equal parts, and say what has changed since "
        "the one before. A fact's subject is unique among its kind's in the clip, and its value is one of the kind's "
        "words (below). `sources.parquet` says what each source was made of.\n",
        "A source is in one split. Film shots and their near-duplicates, words and typefaces are in one split too.\n",
        "## Licence and credits\n\nWhat is generated is dedicated to the public domain (CC0 1.0). A source drawn on a "
        "picture of a film stands under that film's licence; `licence` and `credit` of each clip say so.\n",
        _sources(sources),
        "## Facts\n",
        facts_table(clips, vocabulary),
        f"## Loading\n\nRuns in the folder of this card.\n\n```python\n{SNIPPET}```\n",
        "## How it was made\n",
        plain_table(("parameter", "value"), parameters.items()),
        plain_table(("made from", "DVC hash"), made_from.items()),
    ]
    return "\n".join(parts)


def _sources(sources: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter((source["licence"], source["credit"], source["url"]) for source in sources)
    return plain_table(
        ("licence", "credit", "url", "sources"), ((*key, count) for key, count in sorted(counts.items()))
    )
