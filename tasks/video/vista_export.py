"""VISTA's rendered items as data sets, each licence apart: MP4 files, LLaVA's JSON, and tars for WebDataset."""

import io
import json
import shutil
import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.licences import folders_of, hub_licence
from tasks.markdown import plain, plain_table
from tasks.store import Store
from tasks.tars import add_member
from tasks.video.card_parts import front_matter, splits_of
from tasks.video.terms import is_free

Row = Mapping[str, Any]

FILES = """\
import json
from pathlib import Path
import av
import numpy as np
from transformers import default_data_collator


def frames_of(path, count=8, side=224):
    with av.open(str(path)) as video:
        frames = [frame.reformat(side, side, "rgb24").to_ndarray() for frame in video.decode(video=0)]
    middle = [(2 * n + 1) * len(frames) // (2 * count) for n in range(count)]
    return np.stack([frames[n] for n in middle]).transpose(0, 3, 1, 2) / np.float32(255)


items = [item for path in sorted(Path("llava/{split}").glob("*.json")) for item in json.loads(path.read_text())]
batch = default_data_collator([{{"pixel_values": frames_of(item["video"])}} for item in items[:2]])
questions = [item["conversations"][0]["value"] for item in items[:2]]
assert batch["pixel_values"].shape == (len(questions), 8, 3, 224, 224)
"""
SHARDS = """\
import io
import json
import tarfile
from pathlib import Path
import av

for shard in sorted(Path("shards").glob("{split}-*.tar")):
    with tarfile.open(shard) as tar:
        for entry in tar:  # ITEM.json, then ITEM.mp4
            content = tar.extractfile(entry).read()
            if entry.name.endswith(".json"):
                item = json.loads(content)
                continue
            with av.open(io.BytesIO(content)) as video:
                first = next(video.decode(video=0)).to_ndarray(format="rgb24")
            assert first.shape == (item["height_px"], item["width_px"], 3)
"""
TOLD = (
    *("id", "subset", "answer_type", "split", "pairing", "options", "key", "answer", "boxes", "intervals", "cells"),
    *("width_px", "height_px", "frames", "fps", "duration_s", "plan_id", "video_sha256", "licence", "credit", "url"),
)


def video_paths(rows: Sequence[Row]) -> dict[str, str]:
    """Return where the file of each rendered item lies in the out, by id."""
    folders = folders_of(row["licence"] for row in rows)
    return {row["id"]: f"{folders[row['licence']]}/videos/{row['id']}.mp4" for row in rows}


def write_exports(
    store: Store, out: Path, rows: Sequence[Row], parameters: Row, made_from: Mapping[str, str], shard_items: int
) -> None:
    """Write a folder for each licence; `rows` are of RECORDS, with videos that the store has."""
    for licence, folder in folders_of(row["licence"] for row in rows).items():
        mine = [row for row in rows if row["licence"] == licence]
        (out / folder / "videos").mkdir(parents=True)
        for row in mine:
            with (
                store.open_blob(row["video_sha256"], checked=True) as source,
                (out / folder / "videos" / f"{row['id']}.mp4").open("wb") as target,
            ):
                shutil.copyfileobj(source, target)
        for split, of_split in splits_of(mine).items():
            _write_llava(out / folder / "llava" / split, of_split)
            _write_shards(store, out / folder / "shards", split, of_split, shard_items)
        (out / folder / "README.md").write_text(card_text(licence, mine, parameters, made_from))


def llava(row: Row) -> dict[str, Any]:
    """Return an item as LLaVA's JSON has it, and what else is known of it."""
    turns = {"id": row["id"], "video": f"videos/{row['id']}.mp4", "conversations": row["conversations"]}
    return turns | {name: row[name] for name in TOLD if name not in turns}


def _write_llava(folder: Path, rows: Sequence[Row]) -> None:
    folder.mkdir(parents=True)
    subsets = sorted({row["subset"] for row in rows})
    for subset in subsets:
        items = [llava(row) for row in rows if row["subset"] == subset]
        (folder / f"{subset}.json").write_text(json.dumps(items, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def _write_shards(store: Store, folder: Path, split: str, rows: Sequence[Row], shard_items: int) -> None:
    folder.mkdir(exist_ok=True)
    for number, members in enumerate(_batches(rows, shard_items)):
        with tarfile.open(folder / f"{split}-{number:05d}.tar", "w") as tar:
            for row in members:
                text = json.dumps(llava(row), sort_keys=True, ensure_ascii=False).encode()
                add_member(tar, f"{row['id']}.json", io.BytesIO(text), len(text))
                with store.open_blob(row["video_sha256"]) as file:
                    content = file.read()
                add_member(tar, f"{row['id']}.mp4", io.BytesIO(content), len(content))


def _batches(rows: Sequence[Row], size: int) -> list[Sequence[Row]]:
    return [rows[at : at + size] for at in range(0, len(rows), size)]


# --- the card ---------------------------------------------------------------------------------------------------


def card_text(licence: str, rows: Sequence[Row], parameters: Row, made_from: Mapping[str, str]) -> str:
    """Return the card of a licence's folder as Markdown; equal data sets have equal cards."""
    splits = splits_of(rows)
    counts = ", ".join(f"{len(of)} {split}" for split, of in splits.items())
    first = next(iter(splits))
    parts = [
        front_matter(
            hub_licence(licence),
            f"Long and large videos made of short clips, {licence}",
            len(rows),
            {split: f"llava/{split}/*.json" for split in splits},
            ["task_categories: [visual-question-answering, video-text-to-text]"],
        ),
        f"# Long and large videos made of short clips, {plain(licence)}\n",
        f"{len(rows)} items ({counts}), {sum(row['duration_s'] for row in rows) / 60:.1f} minutes, in the subsets of "
        "VISTA (arXiv 2412.00927): captioned clips joined in time and space, with questions made of captions alone.\n",
        "`llava/SPLIT/SUBSET.json` has conversations as LLaVA's tools read them, with `video` below this folder; "
        "`shards/` has the same items as tars for WebDataset. `../records.parquet` has these and many more, without "
        "a file; each line of `../plan.jsonl` says all that is needed to render one.\n",
        "`boxes` are pixels (x, y from the left upper corner), `intervals` seconds, `cells` row and column from 1: "
        f"where and when is what is asked of. {_parted(parameters)} Choices that a classifier solved by their text "
        "alone were left out.\n",
        f"## Licence and credits\n\n{_terms(licence)}\n",
        plain_table(("credit", "url", "items"), _credits(rows)),
        "## Subsets\n",
        plain_table(("subset", "pairing", "items", "mean seconds"), _subsets(rows)),
        "## Loading\n\nEach block runs in the folder of this card.\n",
        *(f"```python\n{block.format(split=first)}```\n" for block in (FILES, SHARDS)),
        "## How it was made\n",
        plain_table(("parameter", "value"), parameters.items()),
        plain_table(("made from", "DVC hash"), made_from.items()),
    ]
    return "\n".join(parts)


def _parted(parameters: Row) -> str:
    """Return what no two splits share. Of films, sources are files, or shots where those count as sources."""
    if parameters["augment_vista.film_apart_s"] is None:
        return "No source, duplicate group, film background or typeface is in two splits."
    return (
        "No duplicate group, generated source, film background or typeface is in two splits; shots of one film that "
        "share no footage may be."
    )


def _terms(licence: str) -> str:
    names = licence.split(" AND ")
    told = f"Licence: {plain(licence)}." + (
        " Each item holds clips under all of these terms." if len(names) > 1 else ""
    )
    if "unstated" in names:
        return told + " Owners of some clips have not stated terms: do not pass it on."
    bound = [name for name in names if not is_free(name)]
    return told + (f" What is made of it stays under {plain(bound[0])}." if bound else "")


def _credits(rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    counts = Counter((row["credit"], row["url"]) for row in rows)
    return [(*key, count) for key, count in sorted(counts.items())]


def _subsets(rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    found: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        found.setdefault((row["subset"], row["pairing"]), []).append(row["duration_s"])
    return [(*key, len(of), f"{sum(of) / len(of):.1f}") for key, of in sorted(found.items())]
