"""Sources as tests of generated scenes make them."""

from typing import Any

import numpy as np

from tasks.video.colour_names import COLOURS, PARTS
from tasks.video.picture_facts import Look
from tasks.video.scene_files import Encoding, Job
from tasks.video.scenes import Settings

SETTINGS = Settings(640, 360, 12, 4, 8, 2.0, 4.0, 5.0)
SPLITS = ("train", "valid", "test")
Told = dict[str, Any]
UNSEEN = Look(np.zeros((1, len(PARTS), len(COLOURS))), np.zeros((1, 9)))  # of clips that are not drawn


def job_of(number: int, settings: Settings = SETTINGS, picture: bytes | None = None) -> Job:
    split = SPLITS[number % 3]
    return Job(f"source_{number:05d}", split, 5, picture, settings, Encoding(20, "ultrafast"), "")


def facts(clip: Told, kind: str) -> dict[str, str]:
    return {fact["subject"]: fact["value"] for fact in clip["facts"] if fact["kind"] == kind}
