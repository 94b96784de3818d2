"""Where the folders lie that captioned clips name as their `root`."""

from tasks.stage import Stage

CLIPS_PATH, VIDEO_PATH = "data/raw/clips", "data/raw/video"


def clip_roots(stage: Stage, own_video: str) -> dict[str, str]:
    """Return the folder of each root, of a stage that declares all three as deps."""
    paths = {"clips": CLIPS_PATH, "raw": VIDEO_PATH, "own": own_video}
    return {root: str(stage.dep(path)) for root, path in paths.items()}
