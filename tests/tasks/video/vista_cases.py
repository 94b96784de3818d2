"""Projects with captioned clips to augment: generated sources, and films of another size, rate and captioner."""

import copy
import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from tasks.report import Report
from tasks.tables import write_table
from tasks.video.augment_vista import Params, run
from tasks.video.captions import CLIPS, Fact
from tasks.video.items import SUBSETS
from tasks.video.make_clips import SOURCES
from tasks.video.scene_files import encode_scene, scene_of, told
from tasks.video.scenes import Settings
from tests import stages
from tests.conftest import Project
from tests.tasks.video.clips import moving, write_clip
from tests.tasks.video.scene_jobs import job_of

DVC_YAML = """
    stages:
      augment_vista:
        cmd: python -m tasks.video.augment_vista
        deps: [data/raw/clips, data/curated/captions, data/raw/video, data/own/video, data/exclude.csv]
        params: [own.video, augment_vista]
        outs: [data/curated/vista]
        metrics: [{data/metrics/augment_vista.json: {cache: false}}]
"""
SETTINGS: dict[str, Any] = {
    "own": {"video": "data/own/video"},
    "augment_vista": {
        "seed": 3,
        "items": dict.fromkeys(SUBSETS, 8),
        "rendered": 2,
        "valid_share": 0.25,
        "test_share": 0.25,
        "mcq_share": 0.5,
        "pairings": {
            "film_in_film": 0.2,
            "film_in_generated": 0.2,
            "generated_in_film": 0.2,
            "generated_in_generated": 0.4,
        },
        "film_apart_s": None,
        "max_gap_s": 5.0,
        "size": {"width_px": 256, "height_px": 144, "fps": 8, "min_s": 2.5, "max_s": 6.0},
        "grid": {"rows": 2, "columns": 2, "width_px": 160, "height_px": 90, "fps": 4, "length_s": 1.0},
        "needle": {
            "mode": "insert",
            "min_s": 1.0,
            "max_s": 2.0,
            "margin_s": 0.25,
            "min_gap_s": 0.5,
            "min_side_share": 0.2,
            "max_side_share": 0.4,
        },
        "sampler": {"frames": 16, "short_needles": "flag"},
        "text_only_limit": 0.27,
        "text": {
            "backend": "templates",
            "sampling": {
                **{"model": "", "revision": "", "temperature": 0.0, "top_p": None, "max_tokens": 500, "seed": 0},
                **{"response_format": "json_schema", "repairs": 0},
            },
        },
        "crf": 20,
        "preset": "ultrafast",
        "shard_items": 3,
    },
}
SCENES = Settings(256, 144, 8, 3, 4, 1.0, 2.0, 1.0)
SOURCES_MADE, FILMS = 9, 6
FILM_COLOURS = ("brown", "green", "grey", "blue", "white", "black")
LIGHT = ("dark", "dim", "bright", "very bright")


def params_of(**changed: Any) -> dict[str, Any]:
    """Return the parameters; `changed` has values by path, with "__" between names."""
    settings = copy.deepcopy(SETTINGS)
    for path, value in changed.items():
        at = settings["augment_vista"]
        *way, name = path.split("__")
        for step in way:
            at = at[step]
        at[name] = value
    return settings


def set_params(project: Project, workers: int = 1, **changed: Any) -> Params:
    settings = params_of(**changed)
    stages.set_params(project, settings, workers=workers)
    return Params.model_validate(settings)


def augment(project: Project, workers: int = 1, **changed: Any) -> tuple[Report, int]:
    """Run the stage; return its report and how many items it rendered."""
    return stages.run_stage(project, "augment_vista", run, set_params(project, workers, **changed))


def fill(project: Project, *, films: int = FILMS, sources: int = SOURCES_MADE) -> Project:
    """Write dvc.yaml, generated clips, and captions of films."""
    project.write("dvc.yaml", DVC_YAML)
    project.write("data/exclude.csv", "id,reason\n")
    for folder in ("data/own/video", "data/raw/video", "data/curated/captions"):
        (project.root / folder).mkdir(parents=True, exist_ok=True)
    write_generated(project.root / "data/raw/clips", sources)
    rows = [row for number in range(films) for row in film_rows(project.root, number)]
    write_table(project.root / "data/curated/captions/captions.parquet", rows, CLIPS)
    return project


def write_generated(folder: Path, count: int) -> None:
    (folder / "videos").mkdir(parents=True)
    clips: list[dict[str, Any]] = []
    sources: list[dict[str, Any]] = []
    for number in range(count):
        job = job_of(number, SCENES)
        scene = scene_of(job)
        path = f"videos/{job.name}.mp4"
        looks = encode_scene(scene, job, folder / path)
        licence = "CC BY 3.0" if number >= count - 3 else "CC0-1.0"
        shared = {
            "source_id": hashlib.sha256((folder / path).read_bytes()).hexdigest(),
            "name": job.name,
            "path": path,
            "split": job.split,
            "group": job.name,
            "licence": licence,
            "credit": f"the maker of {licence}",
            "url": "",
        }
        made: dict[str, Any] = {field.name: 0 if str(field.type) == "int64" else "" for field in SOURCES}
        sources.append({**made, **shared, "typeface": scene.typeface.name, "words": []})
        of_clip = {"root": "clips", "kind": "generated", "backend": "make_clips"}
        of_clip |= {"fps": 8.0, "width_px": 256, "height_px": 144}
        clips += [
            {"clip_id": f"{job.name}-{n:02d}", **shared, **of_clip, **told(clip, scene, 8, looks[n])}
            for n, clip in enumerate(scene.clips)
        ]
    write_table(folder / "clips.parquet", clips, CLIPS)
    write_table(folder / "sources.parquet", sources, SOURCES)


def film_rows(root: Path, number: int) -> list[dict[str, Any]]:
    """Write a film of three shots at 12 frames a second and 4:3, and return its captioned shots."""
    shots = [moving(100 * number + n, frames, 1 + n, height=96, width=128) for n, frames in enumerate((30, 24, 40))]
    path = f"film_{number}.mp4"
    file = write_clip(root / "data/raw/video" / path, [image for shot in shots for image in shot], fps=12)
    rng = np.random.default_rng(number)
    source_id = hashlib.sha256(file.read_bytes()).hexdigest()
    rows, begin = [], 0
    for n, shot in enumerate(shots):
        end = begin + len(shot)
        colour, light = (str(rng.choice(pool)) for pool in (FILM_COLOURS, LIGHT))
        facts = [Fact("dominant_colour", "the picture", colour), Fact("brightness", "the picture", light)]
        facts += [Fact("glyph", "the sign", f"WORD{number}{n}"), Fact("background_colour", "the background", colour)]
        tick = 1024  # of a time base of 1/12288 s, which FFmpeg chooses for 12 frames a second
        rows.append(
            {
                **{"clip_id": f"film-{number}-{n}", "source_id": source_id, "root": "raw", "path": path},
                **{"name": path, "licence": "CC BY-SA 3.0" if number == 0 else "CC BY 3.0"},
                **{"credit": f"the maker of film {number}", "url": f"https://example.invalid/{number}"},
                **{"start_pts": begin * tick, "end_pts": end * tick, "time_base_num": 1, "time_base_den": 12288},
                **{"frames": len(shot), "start_s": begin / 12, "end_s": end / 12, "fps": 12.0},
                **{"width_px": 128, "height_px": 96, "kind": "film", "backend": "test"},
                "caption": f"The picture is mostly {colour} and {light}.",
                **{"facts": [fact._asdict() for fact in facts], "segments": []},
                **{"split": ("train", "valid", "test")[number % 3], "group": f"film-{number}"},
            }
        )
        begin = end
    return rows
