"""The stage that generates clips: files and tables that agree, splits that share nothing, each source made once."""

import copy
import hashlib
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import duckdb
import pyarrow as pa
import pytest
from pydantic import ValidationError

from tasks.report import Plan, Report
from tasks.stage import StageError
from tasks.store import Store
from tasks.tables import read_table, write_table
from tasks.video.captions import CLIPS, facts_of
from tasks.video.film_pictures import film_shots
from tasks.video.make_clips import SOURCES, Params, plan, run
from tasks.video.scene_words import TYPEFACES, WORDS
from tasks.video.strip import SCHEMA
from tasks.video.virtual import read_take
from tests import stages
from tests.conftest import REPOSITORY, Project
from tests.tasks.video.clips import flat, texture

DVC_YAML = """
    stages:
      make_clips:
        cmd: python -m tasks.video.make_clips
        deps: [data/curated/scan, data/curated/scores, data/curated/duplicates]
        params: [make_clips, splits]
        outs: [data/raw/clips]
        metrics: [{data/metrics/make_clips.json: {cache: false}}]
"""
SETTINGS: dict[str, Any] = {
    "make_clips": {
        "seed": 2,
        "sources": 12,
        "valid_share": 0.25,
        "test_share": 0.25,
        "width_px": 320,
        "height_px": 180,
        "fps": 8,
        "min_events": 2,
        "max_events": 3,
        "min_clip_s": 1.0,
        "max_clip_s": 1.5,
        "max_gap_s": 1.0,
        "film_share": 0.6,
        "film_licences": ["CC BY 3.0", "CC0-1.0"],
        "crf": 22,
        "preset": "ultrafast",
    },
    "splits": {"seed": 0, "valid": 0.3, "test": 0.3},
}
SHOTS = 16
TWINS = {"shot-02": "shot-01", "shot-09": "shot-01"}  # near-duplicates, linked to the best of them
UNFIT = {"shot-03": "shows text", "shot-04": "is dark", "shot-05": "has bars", "shot-06": "is below the floor"}
UNSTATED = "shot-07"
TERMS = ("licence", "credit", "url")


def set_params(project: Project, workers: int = 1, **changed: Any) -> Params:
    settings = copy.deepcopy(SETTINGS)
    settings["make_clips"] |= changed
    stages.set_params(project, settings, workers=workers)
    return Params.model_validate(settings)


def make(project: Project, workers: int = 1, **changed: Any) -> tuple[Report, int]:
    """Run the stage; return its report and how many sources it made."""
    return stages.run_stage(project, "make_clips", run, set_params(project, workers, **changed))


def fill(project: Project) -> Project:
    """Write dvc.yaml, and a scanned film of one keyframe a shot."""
    project.write("dvc.yaml", DVC_YAML)
    store = Store(project.root / "data/store")
    rows, pictures = [], []
    for number in range(SHOTS):
        name = f"shot-{number:02d}"
        image = texture(number, 144, 256) if UNFIT.get(name) != "is dark" else flat(10, 1, height=144, width=256)[0]
        pictures.append({"pts": 100 * number, "jpeg": cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()})
        rows.append(
            {
                "take_id": name,
                "source_id": "f" * 64,
                "name": "film.mp4",
                "luma": 10.0 if UNFIT.get(name) == "is dark" else 120.0,
                "letterbox_area": 0.2 if UNFIT.get(name) == "has bars" else 0.0,
                "text_area": None
                if UNFIT.get(name) == "is below the floor"
                else 0.1 * (UNFIT.get(name) == "shows text"),
                "keyframe_pts": None if UNFIT.get(name) == "is below the floor" else [100 * number],
                "licence": "unstated" if name == UNSTATED else "CC BY 3.0",
                "credit": "(c) the maker of the film",
                "url": "https://example.invalid/film",
            }
        )
    blob = store.table_blob(pa.Table.from_pylist(pictures, schema=SCHEMA))
    video = {"source_id": "f" * 64, "strip_blobs": [blob], "strip_first_pts": [0]}
    links = [{"take_id": name, "linked_id": linked} for name, linked in {**TWINS, "shot-01": "shot-01"}.items()]
    for path, table in {"scan/videos": [video], "scores/scores": rows, "duplicates/duplicates": links}.items():
        made = pa.Table.from_pylist(table)
        write_table(project.root / f"data/curated/{path}.parquet", made, made.schema)
    return project


@pytest.fixture
def filled(project: Project) -> Project:
    return fill(project)


@pytest.fixture(scope="module")
def made(module_project: Project) -> Project:
    """Clips made once, for the tests that only look at them."""
    project = fill(module_project)
    project.report, project.done = make(project)  # type: ignore[attr-defined]
    return project


def out(project: Project) -> Path:
    return project.root / "data/raw/clips"


def contents(project: Project) -> dict[str, bytes]:
    return {p.relative_to(out(project)).as_posix(): p.read_bytes() for p in out(project).rglob("*") if p.is_file()}


def clips(project: Project) -> list[dict[str, Any]]:
    return list(read_table(out(project) / "clips.parquet", CLIPS).to_pylist())


def sources(project: Project) -> list[dict[str, Any]]:
    return list(read_table(out(project) / "sources.parquet", SOURCES).to_pylist())


def by_split(rows: list[dict[str, Any]], key: str) -> list[set[Any]]:
    return [{row[key] for row in rows if row["split"] == split} - {""} for split in ("train", "valid", "test")]


def apart(sets: list[set[Any]]) -> bool:
    return all(not one & other for one, other in itertools.combinations(sets, 2))


def test_each_clip_is_in_its_file_as_the_table_says(made: Project) -> None:
    assert made.report == Report("source", 12, 12, {}, "data/raw/clips")  # type: ignore[attr-defined]
    rows = clips(made)
    assert len({row["clip_id"] for row in rows}) == len(rows) == sum(row["clips"] for row in sources(made))
    for row in rows:
        file = out(made) / row["path"]
        assert row["source_id"] == hashlib.sha256(file.read_bytes()).hexdigest()
        base = row["time_base_num"] / row["time_base_den"]
        assert row["start_s"] == pytest.approx(row["start_pts"] * base)
        assert row["end_s"] == pytest.approx(row["end_pts"] * base)
        frames = list(read_take(file, row["start_pts"], row["end_pts"]))
        assert len(frames) == row["frames"] == round((row["end_s"] - row["start_s"]) * row["fps"])
        assert (frames[0][1].width, frames[0][1].height) == (row["width_px"], row["height_px"]) == (320, 180)
        assert len(row["segments"]) == 5 and facts_of(row) and row["kind"] == "generated"


def test_splits_share_no_source_film_word_or_typeface(made: Project) -> None:
    rows = sources(made)
    for key in ("source_id", "group", "film_take_id", "film_picture_sha256", "typeface"):
        assert apart(by_split(rows, key)), key
    assert all(len(names) > 1 for names in by_split(rows, "source_id"))
    assert sum(len(shots) for shots in by_split(rows, "film_take_id")) >= 3
    words = [set[str]().union(*(row["words"] for row in rows if row["split"] == s)) for s in ("train", "valid", "test")]
    assert apart(words) and words[0]
    for row in rows:
        assert set(row["words"]) <= set(WORDS[row["split"]])
        assert row["typeface"] in {face.name for face in TYPEFACES[row["split"]]}
    assert {row["clip_id"]: row["split"] for row in clips(made)} == {
        row["clip_id"]: next(s["split"] for s in rows if s["source_id"] == row["source_id"]) for row in clips(made)
    }


def test_pictures_of_film_carry_their_terms_and_only_fit_ones_are_used(made: Project) -> None:
    used = {row["film_take_id"] for row in sources(made)} - {""}
    assert not used & {*UNFIT, UNSTATED}
    for row in sources(made):
        on_film = bool(row["film_take_id"])
        assert (row["background_texture"] == "film picture") == on_film
        assert row["licence"] == ("CC BY 3.0" if on_film else "CC0-1.0")
        assert ("(c) the maker of the film" in row["credit"]) == on_film
    for row in clips(made):
        source = next(s for s in sources(made) if s["source_id"] == row["source_id"])
        assert [row[name] for name in TERMS] == [source[name] for name in TERMS]


def test_near_duplicates_of_a_shot_are_one_group(made: Project) -> None:
    curated = made.root / "data/curated"
    shots = film_shots(curated / "scores/scores.parquet", curated / "duplicates/duplicates.parquet", ["CC BY 3.0"])
    groups = {shot.take_id: shot.group for shot in shots}
    assert groups["shot-01"] == groups["shot-02"] == groups["shot-09"] == "shot-01"
    assert len(set(groups.values())) == len(groups) - 2 == SHOTS - len(UNFIT) - 1 - 2


def test_the_card_names_terms_and_its_snippet_runs(made: Project) -> None:
    card = (out(made) / "README.md").read_text()
    assert "(c) the maker of the film" in card and "CC0-1.0" in card and "license: other" in card
    assert "| make_clips.seed | 2 |" in card and "| data/curated/scan |" in card
    blocks = re.findall(r"```python\n(.*?)```", card, re.S)
    assert len(blocks) == 1
    subprocess.run([sys.executable, "-c", blocks[0]], cwd=out(made), check=True)


def test_the_table_opens_in_duckdb_to_the_facts(made: Project) -> None:
    query = f"select fact.kind, fact.value from (select unnest(facts) as fact from '{out(made) / 'clips.parquet'}')"
    found = duckdb.sql(query).fetchall()
    assert ("change", "moves") in found and len(found) == sum(len(row["facts"]) for row in clips(made))


@pytest.mark.parametrize("workers", [2])
def test_any_number_of_workers_gives_the_same_bytes(made: Project, filled: Project, workers: int) -> None:
    assert make(filled, workers)[1] == 12
    assert contents(filled) == contents(made)


def test_more_sources_cost_only_the_new_ones_and_change_no_other(made: Project, filled: Project) -> None:
    assert make(filled, sources=10)[1] == 10
    assert plan(stages.stage_of(filled, "make_clips"), set_params(filled)).items_todo == 2
    assert make(filled)[1] == 2
    assert contents(filled) == contents(made)
    done = plan(stages.stage_of(filled, "make_clips"), set_params(filled))
    assert done == Plan("source", 0, 12)
    assert make(filled, sources=3)[1] == 0
    assert len(list((out(filled) / "videos").iterdir())) == 3


def test_a_killed_run_goes_on_where_it_was(filled: Project, made: Project) -> None:
    params = set_params(filled)
    command = [sys.executable, "-m", "tasks.video.make_clips"]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    killed = subprocess.Popen(command, cwd=filled.root, env=env, stderr=subprocess.DEVNULL, start_new_session=True)
    records = filled.root / "data/store/records/video.scene"
    until = time.monotonic() + 120
    while not list(records.glob("*.parquet")) and killed.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not out(filled).exists()
    stored = plan(stages.stage_of(filled, "make_clips"), params).items_stored
    assert 1 <= stored < 12
    assert make(filled)[1] == 12 - stored
    assert contents(filled) == contents(made)


def test_without_film_the_backgrounds_are_generated(filled: Project, caplog: pytest.LogCaptureFixture) -> None:
    make(filled, film_licences=[], sources=4)
    assert {row["licence"] for row in sources(filled)} == {"CC0-1.0"}
    assert "no film shot" in caplog.text
    assert "license: cc0-1.0" in (out(filled) / "README.md").read_text()


def test_pictures_that_are_not_in_the_store_are_told_with_the_remedy(filled: Project) -> None:
    for blob in (filled.root / "data/store/blobs").rglob("*"):
        if blob.is_file():
            blob.unlink()
    with pytest.raises(StageError, match="dvc repro --force --single-item scan_video"):
        make(filled)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"min_events": 4}, "min_events 4 is more than max_events 3"),
        ({"valid_share": 0.8}, "leave nothing to train on"),
        ({"height_px": 300}, "too narrow for height_px 300"),
        ({"sources": 5000}, "less than or equal to 1990"),
    ],
)
def test_settings_that_do_not_fit_are_told(filled: Project, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        set_params(filled, **changed)
