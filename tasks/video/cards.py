"""The card of an exported data set: README.md with what the Hub reads on top (hub-docs, "Dataset Cards").

Licence, credits, counts by source, parameters and hashes of what it was made from; no date, commit or host. Each
Python block on it runs where the card lies.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.licences import hub_licence
from tasks.markdown import plain, plain_table
from tasks.video.card_parts import front_matter, splits_of

SOURCES_SHOWN = 200  # on a card; of more, those with the most takes


@dataclass(frozen=True)
class Card:
    """What a card tells. `takes` have name, url, licence, credit, split and duration_s."""

    title: str
    licence: str
    mode: str  # virtual, copy or encode
    layout: str  # files or webdataset; of no matter where mode is virtual
    takes: Sequence[Mapping[str, Any]]
    parameters: Mapping[str, Any]
    made_from: Mapping[str, str]  # path -> DVC's hash
    roots: Mapping[str, str]  # of sources, seen from the card's folder


def card_text(card: Card) -> str:
    """Return the card as Markdown; equal data sets have equal cards."""
    splits = splits_of(card.takes)
    seconds = sum(take["duration_s"] for take in card.takes)
    counts = ", ".join(f"{len(of)} {split}" for split, of in splits.items())
    files = {split: data_files(card.mode, card.layout, split) for split in splits}
    parts = [
        front_matter(hub_licence(card.licence), card.title, len(card.takes), files),
        f"# {card.title}\n",
        f"{len(card.takes)} takes ({counts}), {seconds / 60:.1f} minutes: stretches of video without a cut, chosen by "
        f"thresholds. {_what_it_holds(card)}\n",
        "No video, and no near-duplicate of one, is in two splits. Near-duplicates are known after another encoding, "
        "size, crop, mirroring or start; not in black and white, at another speed or played backwards.\n",
        f"## Licence and credits\n\nLicence: {plain(card.licence)}\n",
        *(["Its owner has not stated terms: do not pass it on.\n"] if card.licence == "unstated" else []),
        _sources(card.takes),
        "## Loading\n\nEach block runs in the folder of this card.\n",
        *(f"```python\n{snippet}```\n" for snippet in snippets(card, next(iter(splits)))),
        "## How it was made\n",
        plain_table(("parameter", "value"), card.parameters.items()),
        plain_table(("made from", "DVC hash"), card.made_from.items()),
    ]
    return "\n".join(parts)


def data_files(mode: str, layout: str, split: str) -> str:
    """Return the glob of a split's files that `datasets` reads."""
    if mode == "virtual":
        return f"{split}/metadata.parquet"
    return f"{split}/*.tar" if layout == "webdataset" else f"{split}/*"


def snippets(card: Card, split: str) -> list[str]:
    """Return the Python blocks of a card: DuckDB, `datasets`, and what reads the frames."""
    if card.mode == "virtual":
        column, frames = "", _VIRTUAL.format(split=split, roots=json.dumps(dict(card.roots)))
    elif card.layout == "webdataset":
        column, frames = _PATHS.format(column="mp4"), _TAR.format(split=split)
    else:
        column, frames = _PATHS.format(column="video"), _FILES.format(split=split)
    imported = "Video, load_dataset" if column else "load_dataset"
    return [_DUCKDB, _DATASETS.format(split=split, column=column, imported=imported), frames]


_DUCKDB = """\
import duckdb

takes = duckdb.read_parquet("*/metadata.parquet")
takes.aggregate("split, count(*) as takes, sum(duration_s) as seconds").show()
"""

_DATASETS = """\
from pathlib import Path
from datasets import {imported}

takes = load_dataset(str(Path.cwd()), split="{split}")
{column}print(takes[0])
"""

_PATHS = """\
takes = takes.cast_column("{column}", Video(decode=False))  # leave this out where torchcodec is installed
"""

_FILES = """\
import av
import duckdb

files = duckdb.sql("select file_name, file_frames from '{split}/metadata.parquet'").fetchall()
for name, frames in files[:1]:
    with av.open(f"{split}/{{name}}") as video:
        shown = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(shown) == frames
"""

_TAR = """\
import io
import json
import tarfile
from pathlib import Path
import av

for shard in sorted(Path("{split}").glob("*.tar")):
    with tarfile.open(shard) as tar:
        take = {{}}
        for entry in tar:  # TAKE.json, then TAKE.mp4
            take[entry.name.rpartition(".")[2]] = tar.extractfile(entry).read()
            if "mp4" in take:
                facts = json.loads(take["json"])
                with av.open(io.BytesIO(take["mp4"])) as video:
                    first = next(video.decode(video=0)).to_ndarray(format="rgb24")
                take = {{}}
"""

_VIRTUAL = """\
import duckdb
from take_reader import read_take  # beside this card; needs PyAV alone

roots = {roots}  # where the videos lie
takes = duckdb.sql("select source_root, source_path, start_pts, end_pts, frames from '{split}/metadata.parquet'")
for root, path, start_pts, end_pts, frames in takes.fetchall()[:1]:
    take = read_take(f"{{roots[root]}}/{{path}}", start_pts, end_pts)
    shown = [frame.to_ndarray(format="rgb24") for pts, frame in take]
    assert len(shown) == frames
"""


def _what_it_holds(card: Card) -> str:
    if card.mode == "virtual":
        return (
            "It holds no video: `metadata.parquet` says of each take which file it is in (`source_path`, sha256 "
            "`source_id`, `url`) and when: frames with start_pts <= pts < end_pts of its main video stream, pts in "
            "units of time_base_num / time_base_den seconds; start_s and end_s count from the file's first frame."
        )
    how = {
        "copy": "The packets are the source's own, from the first I-frame inside a take on (`file_start_pts` to "
        "`file_end_pts`, in the source's time base): some frames at its ends are missing. A rotation flag is kept",
        "encode": "Re-encoded as H.264, exactly the frames of each take, upright",
    }[card.mode]
    where = {"files": "Each take is an MP4 file", "webdataset": "Takes lie in tars, as TAKE.json and TAKE.mp4"}
    return f"{where[card.layout]}, without sound; time begins at 0. {how}. `metadata.parquet` has all scores."


def _sources(takes: Iterable[Mapping[str, Any]]) -> str:
    by_source: dict[tuple[str, str, str], list[float]] = {}
    for take in takes:
        by_source.setdefault((take["name"], take["credit"], take["url"]), []).append(take["duration_s"])
    ordered = sorted(by_source.items(), key=lambda item: (-len(item[1]), item[0]))
    rows = [(*key, len(of), f"{sum(of):.1f}") for key, of in ordered[:SOURCES_SHOWN]]
    more = len(ordered) - SOURCES_SHOWN
    rest = f"\nand {more} more sources, each credited in `metadata.parquet`.\n" if more > 0 else ""
    return plain_table(("source", "credit", "url", "takes", "seconds"), rows) + rest
