"""The export of takes: files, tars and spans, each licence apart, with manifests and cards that open as they say."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import av
import duckdb
import numpy as np
import pyarrow as pa
import pytest

from tasks.report import Plan, Report
from tasks.stage import StageError
from tasks.store import Store, StoreError
from tasks.tables import read_table, write_table
from tasks.video.export_takes import MAX_FILES, Params, plan, run
from tasks.video.manifest import MANIFEST
from tasks.video.virtual import read_take
from tests import stages
from tests.conftest import Project, locked_hashes
from tests.tasks.video import clips

DVC_YAML = """
    stages:
      export_takes:
        matrix: {set: [pretrain]}
        cmd: python -m tasks.video.export_takes ${item.set}
        deps: ["data/curated/takes/${item.set}", data/raw/video, "${own.video}"]
        params: [export_takes, own.video]
        outs: ["data/curated/export/${item.set}"]
        metrics: [{"data/metrics/export_takes/${item.set}.json": {cache: false}}]
"""
EXPORT = {
    "mode": "encode",
    "layout": "files",
    "shard_takes": 2,
    "crf": 8,
    "preset": "ultrafast",
    "max_short_side_px": 0,
    "min_copied_share": 0.5,
}
SOURCES = {  # file -> (root, licence)
    "one.mp4": ("raw", "CC BY 3.0"),
    "two.mkv": ("raw", "CC BY-SA 4.0"),
    "mine.mp4": ("own", "unstated"),
}
FOLDERS = {"raw": "data/raw/video/files", "own": "data/own/video"}
TAKES = pa.schema(
    [("take_id", pa.string()), ("source_id", pa.string()), ("name", pa.string())]
    + [(n, pa.int64()) for n in ("start_pts", "end_pts", "time_base_num", "time_base_den", "frames")]
    + [(n, pa.float64()) for n in ("start_s", "end_s", "duration_s", "fps", "motion_px_s", "text_share")]
    + [("width_px", pa.int32()), ("height_px", pa.int32()), ("keyframe_pts", pa.list_(pa.int64()))]
    + [(n, pa.string()) for n in ("licence", "credit", "url", "split")]
)


ADDRESS = "export_takes@pretrain"


def set_params(project: Project, workers: int = 1, **changed: Any) -> Params:
    params = {"own": {"video": "data/own/video"}, "export_takes": {**EXPORT, **changed}}
    stages.set_params(project, params, workers=workers)
    return Params.model_validate(params)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sources of three licences, and takes of them."""
    root = tmp_path_factory.mktemp("data")
    manifest, takes = [], []
    for seed, (name, (kind, licence)) in enumerate(SOURCES.items()):
        images = [image for n in range(4) for image in clips.moving(4 * seed + n, 24, 3)]
        path = clips.write_clip(root / FOLDERS[kind] / name, images, options={"g": "12", "bf": "2"})
        source_id = hashlib.sha256(path.read_bytes()).hexdigest()
        url = f"https://example.invalid/{name}"
        facts = {"name": name, "licence": licence, "credit": f"{name} | its maker", "url": url}
        where = {"root": kind, "path": f"files/{name}" if kind == "raw" else name}
        manifest.append({"source_id": source_id, "origin": "test", "bytes": path.stat().st_size, **where, **facts})
        takes += takes_of(path, source_id, facts)
    write_table(root / "data/raw/video/manifest.parquet", manifest, MANIFEST)
    write_table(root / "data/curated/takes/pretrain/takes.parquet", takes, TAKES)
    return root


@pytest.fixture
def filled(project: Project, data: Path) -> Project:
    project.write("dvc.yaml", DVC_YAML)
    set_params(project)
    shutil.copytree(data, project.root, dirs_exist_ok=True)
    return project


def takes_of(path: Path, source_id: str, facts: dict[str, str]) -> list[dict[str, Any]]:
    """Return a take for each of the first three shots of 24 frames."""
    times, _ = clips.read_all(path, lambda frame: np.zeros(0))
    with av.open(str(path)) as container:
        base = container.streams.video[0].time_base
    found = []
    for shot in range(3):
        start, end = times[24 * shot], times[24 * shot + 24]
        found.append(
            {
                "take_id": f"{source_id[:16]}-{start}-{end}",
                "source_id": source_id,
                "start_pts": start,
                "end_pts": end,
                "time_base_num": base.numerator,
                "time_base_den": base.denominator,
                "frames": 24,
                "start_s": float(start * base),
                "end_s": float(end * base),
                "duration_s": float((end - start) * base),
                "fps": 24.0,
                "motion_px_s": 40.0 + shot,
                "text_share": None if shot == 1 else 0.25,
                "width_px": 320,
                "height_px": 180,
                "keyframe_pts": [start],
                "split": ("train", "train", "valid")[shot],
                **facts,
            }
        )
    return found


def export(project: Project, *, workers: int = 1, **changed: Any) -> tuple[Report, int]:
    """Run the stage with these parameters; return its report, and how many takes it cut."""
    params = set_params(project, workers, **changed)
    return stages.run_stage(project, ADDRESS, run, params)


def out_of(project: Project) -> Path:
    return project.root / "data/curated/export/pretrain"


def figures(project: Project) -> dict[str, float]:
    return json.loads((project.root / "data/metrics/export_takes/pretrain.json").read_text())["export"]


def source_frames(project: Project, take: dict[str, Any]) -> list[np.ndarray]:
    """Return the take's frames by a plain decode of its whole source."""
    root = SOURCES[take["name"]][0]
    path = project.root / FOLDERS[root] / take["name"]
    times, frames = clips.read_all(path, lambda frame: frame.to_ndarray(format="gray").astype(int))
    return [f for pts, f in zip(times, frames, strict=True) if take["start_pts"] <= pts < take["end_pts"]]


def assert_same_frames(project: Project, take: dict[str, Any], file: Any) -> None:
    with av.open(file) as container:
        found = [frame.to_ndarray(format="gray").astype(int) for frame in container.decode(video=0)]
    expected = source_frames(project, take)
    assert len(found) == len(expected) == take["file_frames"]
    assert max(np.abs(a - b).mean() for a, b in zip(found, expected, strict=True)) < 3


def manifests(project: Project) -> list[dict[str, Any]]:
    """Return the rows of all manifests as DuckDB reads them, with the folder that each stands in."""
    found = duckdb.read_parquet(f"{out_of(project)}/*/*/metadata.parquet", filename=True).to_arrow_table().to_pylist()
    return [{**row, "folder": Path(row["filename"]).parent} for row in found]


RUN_BLOCKS = """
import os, re, sys
from pathlib import Path
sys.path.insert(0, "")
for card in map(Path, sys.argv[1:]):
    os.chdir(card.parent)
    blocks = re.findall(r"```python\\n(.*?)```", card.read_text(), re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(block, {})
"""


def run_cards(cards: list[Path], home: Path) -> str:
    """Run all Python blocks of cards where they lie; return what they print."""
    own = {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    run = [sys.executable, "-c", RUN_BLOCKS, *map(str, cards)]
    done = subprocess.run(run, env={**os.environ, **own}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_block_of_a_card_runs_where_it_lies(filled: Project, tmp_path: Path) -> None:
    cards = []
    for changed in ({"layout": "files"}, {"layout": "webdataset"}, {"mode": "virtual"}):
        export(filled, **changed)
        kept = out_of(filled).with_name(changed.get("layout", "virtual"))
        out_of(filled).rename(kept)
        cards.append(kept / "unstated/README.md")
    printed = run_cards(cards, tmp_path)
    for of_layout in ("'video': {", "'__key__': ", "'source_path': 'mine.mp4'"):
        assert of_layout in printed
    assert printed.count("'motion_px_s': 40.0") == 3


def test_files_show_the_takes_frames_and_lie_apart_by_licence_and_split(filled: Project) -> None:
    report, _ = export(filled)
    assert (report.items_in, report.kept) == (9, 9)
    rows = manifests(filled)
    assert {row["folder"].relative_to(out_of(filled)).as_posix(): row["licence"] for row in rows} == {
        f"{folder}/{split}": licence
        for folder, licence in (("cc-by-3.0", "CC BY 3.0"), ("cc-by-sa-4.0", "CC BY-SA 4.0"), ("unstated", "unstated"))
        for split in ("train", "valid")
    }
    for row in rows:
        file = row["folder"] / row["file_name"]
        assert row["split"] == row["folder"].name
        assert hashlib.sha256(file.read_bytes()).hexdigest() == row["file_sha256"]
        assert (file.stat().st_size, row["start_pts"]) == (row["file_bytes"], row["file_start_pts"])
        assert_same_frames(filled, row, str(file))
    total = sum(row["file_bytes"] for row in rows)
    expected = {"in": 9, "kept": 9, "licences": 3, "frames": 216, "seconds": 9.0, "seconds_share": 1.0, "bytes": total}
    assert figures(filled) == {**expected, "takes_train": 6, "takes_valid": 3}


def test_tars_hold_the_same_files(filled: Project) -> None:
    export(filled, layout="webdataset", shard_takes=1)
    rows = manifests(filled)
    assert sorted(p.name for p in (out_of(filled) / "cc-by-3.0/train").iterdir()) == [
        "metadata.parquet",
        "train-00000.tar",
        "train-00001.tar",
    ]
    for row in rows:
        with tarfile.open(row["folder"] / row["shard"]) as tar:
            names = [entry.name for entry in tar]
            assert names == [f"{row['take_id']}.json", f"{row['take_id']}.mp4"]
            assert {(e.mtime, e.uid, e.gid, e.uname, e.gname) for e in tar} == {(0, 0, 0, "", "")}
            facts = json.load(tar.extractfile(names[0]))
            assert facts["licence"] == row["licence"]
            assert facts["keyframe_pts"] == row["keyframe_pts"]
            assert "text_share" not in facts  # one of the takes has none
            assert_same_frames(filled, row, tar.extractfile(names[1]))


def test_spans_are_read_from_their_sources(filled: Project) -> None:
    export(filled, mode="virtual")
    rows = manifests(filled)
    assert len(rows) == 9
    assert {(row["source_root"], row["source_path"]) for row in rows} == {
        ("raw", "files/one.mp4"),
        ("raw", "files/two.mkv"),
        ("own", "mine.mp4"),
    }
    for row in rows:
        root = {"raw": "data/raw/video", "own": "data/own/video"}[row["source_root"]]
        path = filled.root / root / row["source_path"]
        found = [frame.to_ndarray(format="gray") for _, frame in read_take(path, row["start_pts"], row["end_pts"])]
        assert np.array_equal(found, source_frames(filled, row))


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_bytes_are_the_same_for_any_number_of_workers(filled: Project) -> None:
    export(filled, layout="webdataset")
    one = contents(out_of(filled))
    store = filled.root / "data/store"
    store.rename(store.with_name("store-of-one"))
    export(filled, workers=2, layout="webdataset")
    assert contents(out_of(filled)) == one


def test_a_take_is_cut_once_whatever_is_made_of_it_later(filled: Project) -> None:
    assert export(filled)[1] == 9
    assert export(filled, layout="webdataset")[1] == 0
    takes = filled.root / "data/curated/takes/pretrain/takes.parquet"
    rows = read_table(takes).to_pylist()
    write_table(takes, [{**row, "credit": "another", "split": "test"} for row in rows[1:]], TAKES)
    assert export(filled, layout="webdataset")[1] == 0
    card = (out_of(filled) / "cc-by-3.0/README.md").read_text()
    assert "another" in card
    assert "its maker" not in card
    assert export(filled, crf=20)[1] == 8


def test_a_lost_blob_is_made_again(filled: Project) -> None:
    export(filled)
    before = contents(out_of(filled))
    store = Store(filled.root / "data/store")
    blob = store.table("video.cut_encode").column("blobs").to_pylist()[0][0]
    path = store.blob_path(blob)
    assert path is not None
    path.unlink()
    assert export(filled)[1] == 1
    assert contents(out_of(filled)) == before


@pytest.mark.parametrize("layout", ["files", "webdataset"])
def test_a_damaged_blob_is_told_and_made_again(filled: Project, layout: str) -> None:
    export(filled, layout=layout)
    before = contents(out_of(filled))
    store = Store(filled.root / "data/store")
    path = store.blob_path(store.table("video.cut_encode").column("blobs").to_pylist()[0][0])
    assert path is not None
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StoreError, match=r"is damaged .* run again, makes it anew"):
        export(filled, layout=layout)
    for partial in out_of(filled).parent.glob(".*.partial"):  # as the wrapper does with a failed stage's outs
        shutil.rmtree(partial)
    export(filled, layout=layout)
    assert contents(out_of(filled)) == before


def test_a_copy_keeps_what_lies_between_i_frames_and_refuses_what_is_too_little(filled: Project) -> None:
    export(filled, mode="copy", min_copied_share=0.1)
    rows = manifests(filled)
    assert rows
    for row in rows:
        assert row["start_pts"] <= row["file_start_pts"] < row["file_end_pts"] <= row["end_pts"]
        kept = {**row, "start_pts": row["file_start_pts"], "end_pts": row["file_end_pts"]}
        assert_same_frames(filled, kept, str(row["folder"] / row["file_name"]))
    shares = [(r["file_end_pts"] - r["file_start_pts"]) / (r["end_pts"] - r["start_pts"]) for r in rows]
    assert figures(filled)["seconds_share"] == pytest.approx(np.mean(shares), abs=1e-3)
    limit = float(np.mean([min(shares), max(shares)])) if min(shares) < max(shares) else 1.0
    assert export(filled, mode="copy", min_copied_share=limit)[1] == 0
    rejected = read_table(out_of(filled) / "rejected.parquet").to_pylist()
    assert len(rejected) == sum(share < limit for share in shares)
    assert {row["reason"] for row in rejected} <= {"too_little_survives"}
    assert len(manifests(filled)) + len(rejected) == len(rows)


def test_a_source_that_changed_or_is_not_listed_costs_its_takes_alone(filled: Project) -> None:
    with (filled.root / "data/own/video/mine.mp4").open("ab") as file:
        file.write(b"more")
    export(filled)
    rejected = read_table(out_of(filled) / "rejected.parquet").to_pylist()
    assert [(row["reason"], row["unit"]) for row in rejected] == [("changed", "take")] * 3
    assert not (out_of(filled) / "unstated").exists()
    manifest = filled.root / "data/raw/video/manifest.parquet"
    write_table(manifest, read_table(manifest).to_pylist()[:2], MANIFEST)
    export(filled, mode="virtual")
    rejected = read_table(out_of(filled) / "rejected.parquet").to_pylist()
    assert {row["reason"] for row in rejected} == {"source_missing"}
    assert figures(filled)["rejected_source_missing"] == 3


def test_more_files_than_dvc_bears_are_refused_with_the_remedy(filled: Project) -> None:
    takes = filled.root / "data/curated/takes/pretrain/takes.parquet"
    one = read_table(takes).to_pylist()[0]
    write_table(takes, [{**one, "take_id": f"{n}"} for n in range(MAX_FILES + 1)], TAKES)
    with pytest.raises(StageError, match=r"set export_takes\.layout: webdataset"):
        export(filled)


def test_the_card_names_the_hashes_of_dvc_lock(filled: Project) -> None:
    set_params(filled, mode="virtual")
    filled.command("git", "add", "-A")
    filled.dvc("repro", "-q")
    deps, _ = locked_hashes(filled.root, "export_takes@pretrain")
    fetched, own = ((out_of(filled) / folder / "README.md").read_text() for folder in ("cc-by-3.0", "unstated"))
    for path in ("data/curated/takes/pretrain", "data/raw/video"):
        assert deps[path].endswith(".dir")
        assert deps[path] in fetched
        assert deps[path] in own
    assert deps["data/own/video"] in own
    assert deps["data/own/video"] not in fetched


def test_a_plan_counts_what_is_still_to_be_cut(filled: Project) -> None:
    todo = plan(stages.stage_of(filled, ADDRESS), set_params(filled))
    assert (todo.items_todo, todo.items_stored) == (9, 0)
    assert todo.disk_needed_bytes > 0
    export(filled)
    assert plan(stages.stage_of(filled, ADDRESS), set_params(filled)) == Plan("take", 0, 9)
