"""Sources as tests of generated scenes make them."""

from typing import Any

from tasks.video.scene_files import Encoding, Job
from tasks.video.scenes import Settings

SETTINGS = Settings(640, 360, 12, 4, 8, 2.0, 4.0, 5.0)
SPLITS = ("train", "valid", "test")
Told = dict[str, Any]


def job_of(number: int, settings: Settings = SETTINGS, picture: bytes | None = None) -> Job:
    split = SPLITS[number % 3]
    return Job(f"source_{number:05d}", split, 5, picture, settings, Encoding(20, "ultrafast"), "")


def facts(clip: Told, kind: str) -> dict[str, str]:
    return {fact["subject"]: fact["value"] for fact in clip["facts"] if fact["kind"] == kind}
