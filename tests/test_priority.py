"""No test leaves its process, and with it all later ones, at real-time priority."""

from pathlib import Path

from tests.priority import has_real_time
from tests.tasks.video import clips, codecs


def test_no_encoder_takes_real_time_priority(tmp_path: Path) -> None:
    codecs.encode(tmp_path / "clip", clips.moving(1, 12, 2), "av1")
    assert not has_real_time()
