"""The stage that captions takes: a real file of known shots, its scan as tables, and what is said of its clips."""

import copy
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from tasks.report import Plan, Report
from tasks.stage import StageError
from tasks.store import Store
from tasks.tables import REJECTED, read_table, write_table
from tasks.video.caption_takes import Params, plan, run
from tasks.video.captions import CLIPS, facts_of
from tasks.video.content import Splits, split_of
from tasks.video.film_pictures import film_shots, shots_by_split
from tasks.video.scores import MOTION
from tasks.video.strip import SCHEMA
from tasks.video.virtual import read_take
from tests import stages
from tests.conftest import REPOSITORY, Project
from tests.tasks import llm_server
from tests.tasks.text.small_encoder import write_encoder
from tests.tasks.video.clips import write_clip
from tests.tasks.video.test_vision_captions import obliging

DVC_YAML = """
    stages:
      caption_takes:
        cmd: python -m tasks.video.caption_takes
        deps:
          - data/curated/scan
          - data/curated/scores
          - data/curated/duplicates
          - "data/curated/takes/${caption_takes.set}"
          - ${own.video}
        params: [own.video, encoder, splits, caption_takes]
        outs: [data/curated/captions]
        metrics: [{data/metrics/caption_takes.json: {cache: false}}]
"""
SETTINGS: dict[str, Any] = {
    "own": {"video": "data/own/video"},
    "splits": {"seed": 4, "valid": 0.3, "test": 0.3},
    "caption_takes": {
        **{"set": "some", "backend": "measured"},
        **{"min_clip_s": 2, "max_clip_s": 4, "min_long_s": 6, "max_long_s": 20},
        **{"min_luma": 30, "min_motion_px_s": 3},
        **{"max_text_similarity": None, "similarity_pairs": "adjacent", "similarity_reduce": "mean"},
        "sampling": {
            **{"model": "tiny", "revision": "", "temperature": 0.0, "top_p": None, "max_tokens": 512, "seed": 0},
            **{"response_format": "json_schema", "repairs": 1},
        },
    },
}
NO_ENCODER = {
    name: {
        **{"kind": "url", "name": name, "location": "file:///nowhere", "sha256": "0" * 64},
        **{"licence": "CC0", "credit": "nobody", "url": "https://example.invalid"},
    }
    for name in ("weights", "tokenizer", "config")
}
FPS = 12
SHOTS = {  # name: seconds, sRGB, motion in px/s
    "meadow": (7, (60, 140, 50), 50),
    "night": (3, (8, 8, 12), 50),
    "board": (3, (60, 90, 210), 0.5),
    "glimpse": (1, (60, 90, 210), 50),
    "sky": (9, (70, 120, 220), 12),
    "copy": (3, (60, 140, 50), 50),
}
FILM, TWIN = "f" * 64, ("copy", "meadow")


def edges() -> dict[str, tuple[float, float]]:
    ends = list(itertools.accumulate(seconds for seconds, _, _ in SHOTS.values()))
    return dict(zip(SHOTS, zip([0, *ends], ends, strict=False), strict=True))


def set_params(
    project: Project,
    workers: int = 1,
    llm: dict[str, Any] | None = None,
    encoder: dict[str, Any] | None = None,
    **changed: Any,
) -> Params:
    settings = copy.deepcopy(SETTINGS)
    settings["encoder"] = encoder or NO_ENCODER
    settings["caption_takes"] |= changed
    stages.set_params(project, settings, workers=workers, **({"llm": llm} if llm else {}))
    return Params.model_validate(settings)


def make(project: Project, **how: Any) -> tuple[Report, int]:
    return stages.run_stage(project, "caption_takes", run, set_params(project, **how))


def fill(project: Project) -> Project:
    """Write a film of the shots, and what scan, shots and scores say of it."""
    project.write("dvc.yaml", DVC_YAML)
    images = []
    for number, (seconds, colour, _) in enumerate(SHOTS.values()):
        image = np.full((180, 320, 3), colour, np.uint8)
        image[20:40, 30 * number : 30 * number + 20] = 200
        images += [image] * seconds * FPS
    path = write_clip(project.root / "data/own/video/film.mp4", images, fps=FPS)
    with av.open(str(path)) as video:
        base = video.streams.video[0].time_base
        shown = [(frame.pts, frame.to_ndarray(format="bgr24")) for frame in video.decode(video=0)]
    assert base is not None
    frame_pts = [pts for pts, _ in shown]
    step = frame_pts[1]
    jpegs = [{"pts": pts, "jpeg": cv2.imencode(".jpg", image)[1].tobytes()} for pts, image in shown[:: FPS // 2]]
    blob = Store(project.root / "data/store").table_blob(pa.Table.from_pylist(jpegs, schema=SCHEMA))
    terms = {"licence": "CC BY 3.0", "credit": "(c) its maker", "url": "https://example.invalid/film"}
    video_row = {
        **{"source_id": FILM, "root": "own", "path": "film.mp4", "name": "film.mp4", **terms, "fps": float(FPS)},
        **{"width": 320, "height": 180, "time_base_num": base.numerator, "time_base_den": base.denominator},
        **{"start_pts": 0, "end_pts": len(shown) * step, "strip_blobs": [blob], "strip_first_pts": [0]},
    }
    samples, takes = [], []
    for name, (first, last) in edges().items():
        _, colour, motion = SHOTS[name]
        places = range(first * FPS, last * FPS)
        luma = float(np.dot(colour, (0.299, 0.587, 0.114)))
        moves = dict.fromkeys(MOTION, 0.0) | {"motion_px_s": float(motion), "object_px_s": float(motion)}
        samples += [{"source_id": FILM, "pts": frame_pts[n], "luma": luma, **moves} for n in places if n % 3 == 0]
        start, end = first * FPS * step, last * FPS * step
        takes.append(
            {
                **{"take_id": f"{FILM[:16]}-{start}-{end}", "source_id": FILM, "name": "film.mp4"},
                **{"start_pts": start, "end_pts": end, "luma": luma, "letterbox_area": 0.0, "text_area": 0.0},
                **{"keyframe_pts": [frame_pts[(first + last) * FPS // 2]], **terms},
            }
        )
    samples[0] |= dict.fromkeys(MOTION)
    by_name = dict(zip(SHOTS, takes, strict=True))
    links = [{"take_id": by_name[name]["take_id"], "linked_id": by_name[TWIN[1]]["take_id"]} for name in TWIN]
    tables = {
        **{"scan/videos": [video_row], "scan/frames": [{"source_id": FILM, "pts": pts} for pts in frame_pts]},
        **{"scan/samples": samples, "scores/scores": takes, "duplicates/duplicates": links, "takes/some/takes": takes},
    }
    for name, rows in tables.items():
        made = pa.Table.from_pylist(rows)
        write_table(project.root / f"data/curated/{name}.parquet", made, made.schema)
    return project


@pytest.fixture
def filled(project: Project) -> Project:
    return fill(project)


@pytest.fixture(scope="module")
def made(module_project: Project) -> Project:
    """Captions made once, for the tests that only look at them."""
    project = fill(module_project)
    project.report, project.done = make(project)  # type: ignore[attr-defined]
    return project


def out(project: Project) -> Path:
    return project.root / "data/curated/captions"


def clips(project: Project) -> list[dict[str, Any]]:
    return list(read_table(out(project) / "captions.parquet", CLIPS).to_pylist())


def rejected(project: Project) -> list[dict[str, Any]]:
    return list(read_table(out(project) / "rejected.parquet", REJECTED).to_pylist())


def of_shot(project: Project, name: str) -> list[dict[str, Any]]:
    first, last = edges()[name]
    return [row for row in clips(project) if first <= row["start_s"] + 1e-6 and row["end_s"] - 1e-6 <= last]


def contents(project: Project) -> dict[str, bytes]:
    return {p.relative_to(out(project)).as_posix(): p.read_bytes() for p in out(project).rglob("*") if p.is_file()}


# --- what there is ---


def test_takes_become_short_and_long_clips(made: Project) -> None:
    lengths = {name: [row["end_s"] - row["start_s"] for row in of_shot(made, name)] for name in SHOTS}
    assert lengths["meadow"] == pytest.approx([3.5, 7, 3.5])
    assert lengths["sky"] == pytest.approx([3, 9, 3, 3])
    assert lengths["copy"] == pytest.approx([3])
    assert lengths["glimpse"] == []


def test_a_clip_is_in_its_file_as_the_table_says(made: Project) -> None:
    for row in clips(made):
        frames = list(read_take(made.root / "data/own/video" / row["path"], row["start_pts"], row["end_pts"]))
        assert len(frames) == row["frames"] == round((row["end_s"] - row["start_s"]) * FPS)
        base = row["time_base_num"] / row["time_base_den"]
        assert row["start_s"] == pytest.approx(row["start_pts"] * base)
        assert (row["root"], row["kind"], row["width_px"], row["height_px"]) == ("own", "film", 320, 180)
        assert row["licence"] == "CC BY 3.0"


def test_dark_and_static_clips_are_rejected_by_score(made: Project) -> None:
    found = {row["reason"]: row for row in rejected(made)}
    assert set(found) == {"dark", "static"}
    assert found["dark"]["value"] == pytest.approx(8.456)
    assert (found["static"]["score"], found["static"]["value"], found["static"]["threshold"]) == ("motion_px_s", 0.5, 3)
    assert found["dark"]["parent_id"] == found["dark"]["item_id"]  # the whole take is a clip
    report: Report = made.report  # type: ignore[attr-defined]
    assert report.items_in == report.kept + len(rejected(made))


def test_what_is_said_is_what_the_film_shows(made: Project) -> None:
    meadow = facts_of(of_shot(made, "meadow")[0])
    assert {(fact.kind, fact.subject): fact.value for fact in meadow}[("dominant_colour", "the picture")] == "green"
    for row in of_shot(made, "sky"):
        assert row["caption"].startswith("The picture is mostly blue.")
        assert "There is little motion. The camera is still." in row["caption"]
        assert row["backend"] == "measured"


def test_sub_captions_are_keyed_by_the_centre_frames_of_five_parts(made: Project) -> None:
    for row in clips(made):
        wanted = [np.floor((n + 0.5) * row["frames"] / 5) / FPS for n in range(5)]
        assert [segment["frame_s"] for segment in row["segments"]] == pytest.approx(wanted, abs=1e-3)
        assert row["segments"][1]["caption"] == "Colours, light and motion stay as they were."


def test_shots_are_dealt_out_as_the_backgrounds_of_generated_clips(made: Project) -> None:
    curated = made.root / "data/curated"
    shots = film_shots(curated / "scores/scores.parquet", curated / "duplicates/duplicates.parquet", ["CC BY 3.0"])
    splits = Splits(**SETTINGS["splits"])
    behind = {shot.take_id: split for split, of in shots_by_split(shots, splits).items() for shot in of}
    for name, (_, _, _) in SHOTS.items():
        for row in of_shot(made, name):
            first, last = (round(time * row["time_base_den"]) for time in edges()[name])
            assert behind[f"{FILM[:16]}-{first}-{last}"] == row["split"]
    assert {row["group"] for row in of_shot(made, "copy")} == {row["group"] for row in of_shot(made, "meadow")}


def test_the_card_names_terms_and_its_snippet_runs(made: Project) -> None:
    card = (out(made) / "README.md").read_text()
    assert "| film.mp4 | CC BY 3.0 | (c) its maker | https://example.invalid/film | 8 |" in card
    assert "No model was asked" in card
    snippet = card.split("```python\n")[1].split("```")[0]
    done = subprocess.run([sys.executable, "-c", snippet], cwd=out(made), capture_output=True, text=True, check=True)
    assert "film.mp4" in done.stdout


def test_metrics_count_what_is_in_the_table(made: Project) -> None:
    figures = json.loads((made.root / "data/metrics/caption_takes.json").read_text())["caption"]
    rows = clips(made)
    assert figures["kept"] == len(rows) == sum(figures[f"clips_{split}"] for split in ("train", "valid", "test"))
    assert figures["in"] == figures["kept"] + figures["rejected_dark"] + figures["rejected_static"]
    assert figures["facts"] == sum(len(row["facts"]) for row in rows)


# --- how it is made ---


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_gives_the_same_bytes(made: Project, filled: Project, workers: int) -> None:
    make(filled, workers=workers)
    assert contents(filled) == contents(made)


def test_other_thresholds_measure_nothing_anew(filled: Project) -> None:
    _, first = make(filled)
    _, again = make(filled, min_luma=0, min_motion_px_s=0)
    assert (first, again) == (10, 0)
    assert rejected(filled) == []


def test_a_plan_counts_what_is_to_be_measured(filled: Project) -> None:
    params = set_params(filled)
    assert plan(stages.stage_of(filled, "caption_takes"), params) == Plan("clip", 10, 0)
    make(filled)
    assert plan(stages.stage_of(filled, "caption_takes"), params) == Plan("clip", 0, 10)


def test_clips_whose_sub_captions_say_the_same_are_rejected(filled: Project) -> None:
    encoder = write_encoder(filled.root / "encoder", ["colours", "light", "and", "motion", "stay"])
    make(filled, encoder=encoder, max_text_similarity=0.99, similarity_reduce="max")
    found = rejected(filled)
    assert {row["reason"] for row in found} == {"dark", "static", "text_similarity_high"}
    alike = [row for row in found if row["reason"] == "text_similarity_high"]
    assert {(row["score"], row["threshold"]) for row in alike} == {("text_similarity_adjacent_max", 0.99)}
    assert all(row["value"] == 1.0 for row in alike)  # "... stay as they were." twice in a row
    assert clips(filled) == []


def test_pictures_that_are_not_in_the_store_are_told_with_the_remedy(filled: Project) -> None:
    for blob in (filled.root / "data/store/blobs").rglob("*"):
        if blob.is_file():
            blob.unlink()
    with pytest.raises(StageError, match="dvc repro --force --single-item scan_video"):
        make(filled)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"min_clip_s": 5}, "min_clip_s 5 is more than max_clip_s 4"),
        ({"backend": "endpoint", "sampling": SETTINGS["caption_takes"]["sampling"] | {"model": ""}}, "sampling.model"),
        ({"similarity_pairs": "some"}, "adjacent"),
    ],
)
def test_settings_that_do_not_fit_are_told(filled: Project, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        set_params(filled, **changed)


# --- captions of one's own ---


def test_captions_of_ones_own_are_taken_as_they_are(filled: Project) -> None:
    filled.write("data/own/video/captions.csv", "name,start_s,end_s,caption\nfilm.mp4,1,3,A meadow in May.\n")
    filled.write("data/own/video/film.srt", "1\n00:00:08,000 --> 00:00:09,500\nNight falls.\n\n2\n00:50 --> x\nNo.\n")
    make(filled, backend="none")
    rows = clips(filled)
    assert [(row["caption"], row["start_s"], row["frames"]) for row in rows] == [
        ("A meadow in May.", pytest.approx(1), 24),
        ("Night falls.", pytest.approx(8), 18),
    ]
    assert all(row["facts"] == row["segments"] == [] and row["backend"] == "own" for row in rows)
    (bad,) = rejected(filled)
    assert (bad["unit"], bad["item_id"], bad["reason"]) == ("caption", "film.srt, line 6", "malformed")
    assert bad["parent_id"] == "film.srt"


def test_a_caption_over_several_shots_joins_their_groups(filled: Project) -> None:
    filled.write("data/own/video/film.txt", "A film of a meadow, a night and a sky.\n")
    make(filled)
    rows = clips(filled)
    assert len({row["group"] for row in rows}) == 1
    assert {row["split"] for row in rows} == {split_of(rows[0]["group"], **SETTINGS["splits"])}
    whole = next(row for row in rows if row["backend"] == "own")
    assert (whole["frames"], whole["end_s"]) == (26 * FPS, pytest.approx(26))


def test_a_second_caption_of_the_same_frames_is_told(filled: Project) -> None:
    lines = "name,start_s,end_s,caption\nfilm.mp4,1,3,One.\nfilm.mp4,1,3,Two.\nfilm.mp4,1,3.5,Three.\n"
    filled.write("data/own/video/captions.csv", lines)
    make(filled, backend="none")
    assert [row["caption"] for row in clips(filled)] == ["One.", "Three."]
    (bad,) = rejected(filled)
    assert (bad["reason"], bad["item_id"]) == ("repeated", "captions.csv, line 3")


def test_a_table_of_nothing_but_bad_lines_fails_the_stage(filled: Project) -> None:
    filled.write("data/own/video/captions.csv", "name,caption\nother.mp4,One.\nother.mp4,Two.\n")
    with pytest.raises(StageError, match="2 of 2 captions are bad"):
        make(filled)


# --- a vision model ---


@pytest.fixture
def server() -> Iterator[llm_server.Server]:
    with llm_server.running() as told:
        told.default = obliging
        yield told


def test_an_endpoint_captions_the_clips_and_is_asked_once(filled: Project, server: llm_server.Server) -> None:
    llm = {"endpoint": {"base_url": server.url}}
    make(filled, backend="endpoint", llm=llm)
    rows = clips(filled)
    assert {row["backend"] for row in rows} == {"endpoint:tiny"}
    assert all(row["segments"][1]["caption"].startswith("Then: It wakes.") for row in rows)
    assert all(
        "The camera is still." in segment["caption"] for row in of_shot(filled, "sky") for segment in row["segments"]
    )
    assert facts_of(rows[0])[0].value == "red"
    calls = server.calls
    make(filled, backend="endpoint", llm=llm)
    assert server.calls == calls
    todo = plan(stages.stage_of(filled, "caption_takes"), set_params(filled, backend="endpoint", llm=llm))
    assert "answers stored" in todo.notes[0]


def test_without_an_endpoint_the_remedy_is_told(filled: Project) -> None:
    with pytest.raises(StageError, match=r"set caption_takes\.backend to measured"):
        make(filled, backend="endpoint")


@pytest.mark.slow
def test_the_stage_runs_as_dvc_runs_it(filled: Project) -> None:
    set_params(filled)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "tasks.video.caption_takes"]
    done = subprocess.run(command, cwd=filled.root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "8 kept, 2 rejected" in done.stderr
