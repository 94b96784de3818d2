"""Training and evaluation of the video question-answering model, as stages on a small project of VISTA's items."""

import copy
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tasks.report import Report
from tasks.stage import StageError
from tasks.tables import read_table
from tasks.video import evaluate_videoqa, train_videoqa
from tasks.video.answered import ANSWERS
from tasks.video.choice_items import ChoiceItem, read_choices, without
from tasks.video.choice_views import Looked, Sights, choice_batches, seen_in
from tests import stages
from tests.conftest import Project
from tests.tasks import llm_server
from tests.tasks.video import vista_cases

DVC_YAML = """
      train_videoqa:
        cmd: python -m tasks.video.train_videoqa
        deps: [data/curated/vista, data/raw/clips, data/raw/video, data/own/video]
        params: [own.video, train_videoqa]
        outs: [data/models/videoqa, data/reports/train_videoqa]
        metrics: [{data/metrics/train_videoqa.json: {cache: false}}]
      evaluate_videoqa:
        cmd: python -m tasks.video.evaluate_videoqa
        deps: [data/curated/vista, data/models/videoqa, data/raw/clips, data/raw/video, data/own/video]
        params: [own.video, evaluate_videoqa]
        outs: [data/reports/evaluate_videoqa]
        metrics: [{data/metrics/evaluate_videoqa.json: {cache: false}}]
"""
WIDE, FINE = ({"frames": n, "width_px": w, "height_px": h} for n, w, h in ((8, 32, 18), (2, 64, 36)))
LEARNING = {
    **{"seed": 0, "max_epochs": 100, "micro_batches": 1, "warmup_steps": 1, "floor_share": 0.0, "weight_decay": 0.0},
    **{"clip_norm": 1.0, "precision": "float32", "validate_every_steps": 2, "patience": None, "skip_steps": 0},
    **{"log_every_steps": 1, "threads": 1, "max_steps": 4, "lr": 0.001},
}
SETTINGS: dict[str, Any] = {
    "train_videoqa": {
        **{
            "arm": "vista",
            "raw_epochs": 1,
            "leave_out": [],
            "sights": {"wide": WIDE, "fine": FINE},
            "width": 16,
            "layers": 1,
        },
        **{"dropout": 0.0, "batch_size": 2, "learning": LEARNING},
    },
    "evaluate_videoqa": {
        **{"judge": "model", "threads": 1, "shown": {"frames": 3, "width_px": 64, "height_px": 36}},
        "sampling": {
            **{"model": "", "revision": "", "temperature": 0.0, "top_p": None, "max_tokens": 50, "seed": 0},
            **{"response_format": "json_schema", "repairs": 0},
        },
    },
}


@pytest.fixture(scope="module")
def filled(module_project: Project) -> Project:
    project = vista_cases.fill(module_project)
    project.write("dvc.yaml", vista_cases.DVC_YAML.rstrip() + DVC_YAML)
    set_params(project)
    changed = {f"items__{name}": 12 for name in ("temporal_niah", "spatial_niah", "hr_video_grid")}
    settings = vista_cases.params_of(mcq_share=1.0, text_only_limit=None, rendered=0, **changed)
    params = vista_cases.Params.model_validate(settings)
    stages.run_stage(project, "augment_vista", vista_cases.run, params)
    return project


def settings_of(**changed: Any) -> dict[str, Any]:
    settings = copy.deepcopy(SETTINGS)
    for path, value in changed.items():
        stage, _, name = path.partition("__")
        settings[stage][name] = value
    return settings


def set_params(project: Project, llm: dict[str, Any] | None = None, **changed: Any) -> dict[str, Any]:
    settings = {**vista_cases.params_of(), **settings_of(**changed)}
    stages.set_params(project, settings, **({"llm": llm} if llm else {}))
    return settings


def train(project: Project, **changed: Any) -> int:
    """Run the stage; return how many clips and steps it did."""
    settings = set_params(project, **{f"train_videoqa__{name}": value for name, value in changed.items()})
    params = {"own": settings["own"], "train_videoqa": settings["train_videoqa"]}
    _, done = stages.run_stage(project, "train_videoqa", train_videoqa.run, train_videoqa.Params.model_validate(params))
    return done


def evaluate(project: Project, llm: dict[str, Any] | None = None, **changed: Any) -> Report:
    settings = set_params(project, llm, **{f"evaluate_videoqa__{name}": value for name, value in changed.items()})
    params = {"own": settings["own"], "evaluate_videoqa": settings["evaluate_videoqa"]}
    report, _ = stages.run_stage(
        project, "evaluate_videoqa", evaluate_videoqa.run, evaluate_videoqa.Params.model_validate(params)
    )
    return report


def metrics(project: Project, stage: str) -> dict[str, Any]:
    return dict(json.loads((project.root / f"data/metrics/{stage}.json").read_text()))


def choices(project: Project) -> list[ChoiceItem]:
    return read_choices(project.root / "data/curated/vista")


def test_both_arms_have_the_same_questions_frames_and_patches(filled: Project) -> None:
    items, sights = choices(filled), Sights(**SETTINGS["train_videoqa"]["sights"])
    assert {item.family for item in items} >= {"temporal_niah", "spatial_niah", "hr_video_grid"}
    for item, vista, raw in zip(items, seen_in(items, "vista", sights), seen_in(items, "raw", sights), strict=True):
        assert vista[1] == raw[1]
        assert vista[1].frames * vista[1].width_px * vista[1].height_px == 8 * 32 * 18
        shown = {piece.clip.clip_id for piece in raw[0].pieces}
        assert len(shown) == 1
        assert shown <= {piece.clip.clip_id for piece in vista[0].pieces}
        assert raw[0].canvas == item.composition.canvas


def test_the_raw_clip_is_as_much_of_it_as_the_item_shows(filled: Project) -> None:
    asked = [item for item in choices(filled) if item.family == "temporal_niah"]
    assert asked
    for item in asked:
        needle = item.raw.pieces[0]
        shown = [piece for piece in item.composition.pieces if piece.clip == needle.clip]
        assert sum(piece.frames for piece in shown) == item.raw.frames
        assert min(piece.first for piece in shown) == needle.first


def test_the_stages_train_and_evaluate_and_say_how_well(filled: Project) -> None:
    train(filled)
    told = metrics(filled, "train_videoqa")
    items = choices(filled)
    assert told["train"]["choices"] == sum(item.split == "train" for item in items)
    assert 0 <= told["valid"]["accuracy"] <= 1
    report = evaluate(filled)
    rows = read_table(filled.root / "data/reports/evaluate_videoqa/answers.parquet", ANSWERS).to_pylist()
    tests = [item for item in items if item.split == "test"]
    assert [row["id"] for row in rows] == [item.item_id for item in tests]
    assert report.kept == len(tests)
    found = metrics(filled, "evaluate_videoqa")
    assert found["eval"]["accuracy"] == pytest.approx(np.mean([row["right"] for row in rows]), abs=1e-6)
    assert found["choices"]["total"] == len(tests)
    assert (filled.root / "data/reports/evaluate_videoqa/heat_map.png").stat().st_size > 1000


def test_training_again_gives_the_same_weights_and_decodes_nothing(filled: Project) -> None:
    train(filled)
    weights = filled.root / "data/models/videoqa/model.safetensors"
    first = weights.read_bytes()
    shutil.rmtree(filled.root / "data/store/checkpoints")
    done = train(filled)
    assert weights.read_bytes() == first
    assert done == LEARNING["max_steps"]  # the steps alone, no clip


def test_the_other_arm_and_a_family_left_out_train_on_other_things(filled: Project) -> None:
    train(filled, leave_out=["hr_video_grid"], raw_epochs=0)
    left = metrics(filled, "train_videoqa")
    assert "accuracy_hr_video_grid" not in left["valid"]
    items = without([item for item in choices(filled) if item.split == "train"], ["hr_video_grid"])
    assert left["train"]["choices"] == len(items)
    first = (filled.root / "data/models/videoqa/model.safetensors").read_bytes()
    train(filled, leave_out=["hr_video_grid"], raw_epochs=0, arm="raw")
    assert (filled.root / "data/models/videoqa/model.safetensors").read_bytes() != first


def test_batches_are_of_one_sight_and_each_item_comes_once_an_epoch() -> None:
    looked = [Looked(np.zeros((count, 1, 2, 2, 1), np.uint8), tuple(range(count))) for count in (7, 4)]
    drawn: list[tuple[int, int]] = []

    def read(one: Looked, rows: np.ndarray) -> Any:
        number = len(one.places)
        drawn.extend((number, int(row)) for row in rows)
        return rows

    batches = choice_batches(lambda epoch: looked, read, 2, seed=1)
    assert len(batches) == 3 + 2
    for position in range(5):
        batches.read(0, position, 0, 1)
    assert Counter(number for number, _ in drawn) == {7: 6, 4: 4}
    assert len(set(drawn)) == 10
    whole = batches.read(3, 2, 0, 1).tolist()
    assert [*batches.read(3, 2, 0, 2), *batches.read(3, 2, 1, 2)] == whole
    with pytest.raises(ValueError, match="batch_size=9, and there are 7 choices of a sight"):
        choice_batches(lambda epoch: looked, read, 9, seed=1)


def test_sights_of_unequal_patches_are_refused() -> None:
    with pytest.raises(ValidationError, match="wide has 64 patches, fine 128: make them equal"):
        Sights(wide=WIDE, fine={**FINE, "frames": 4})


def test_an_endpoint_is_asked_in_the_models_place_and_its_letter_read(filled: Project) -> None:
    train(filled)
    with llm_server.running() as server:
        server.default = llm_server.answer(json.dumps({"reply": "The answer is B."}), usage=None)
        llm = {"endpoint": {"base_url": server.url}}
        sampling = SETTINGS["evaluate_videoqa"]["sampling"] | {"model": "tiny"}
        evaluate(filled, llm, judge="llm", sampling=sampling)
        rows = read_table(filled.root / "data/reports/evaluate_videoqa/answers.parquet", ANSWERS).to_pylist()
        assert {row["answer"] for row in rows} == {"B"}
        assert [row["right"] for row in rows] == [float(row["key"] == "B") for row in rows]
        pictures = Counter(
            sum(part["type"] == "image_url" for part in parts)
            for body in server.bodies
            for parts in [body["messages"][-1]["content"]]
            if isinstance(parts, list)
        )
        assert pictures[3] == len(rows)
        assert pictures[1] == len(rows)
        calls = server.calls
        evaluate(filled, llm, judge="llm", sampling=sampling)
        assert server.calls == calls  # each answer is paid for once


def test_what_is_missing_is_told_with_its_remedy(filled: Project, tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"no choices of split train: raise augment_vista\.items"):
        train(
            filled,
            leave_out=["temporal_niah", "spatial_niah", "hr_video_grid", "spatiotemporal_niah", "event_relationship"],
        )
    with pytest.raises(ValidationError, match=r"evaluate_videoqa\.sampling\.model"):
        evaluate(filled, judge="llm")
