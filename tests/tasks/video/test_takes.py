"""Scores of takes in the store."""

from dataclasses import replace
from pathlib import Path

from tasks.store import Store
from tasks.video.takes import Kept, Scoring, Take, scores, stored_scores

SCORING = Scoring(keyframes=3, quality="photographic", perceptual="hog_lab", motion="dis", models="")


def test_takes_that_show_the_same_pictures_share_their_scores(tmp_path: Path) -> None:
    """As two files of the same packets have, or two takes without any edge."""
    store = Store(tmp_path)
    kept = Kept(("a" * 64,), (0,))
    one = Take("one", "one.mp4", 0, 100, kept, kept, kept, 0.01)
    twin, other = replace(one, take_id="twin", name="twin.mp4"), replace(one, take_id="other", end_pts=90)
    with store.writer() as writer:
        for score in scores(SCORING):
            writer.put(score.name, score.version, score.params, score.input_of(one), {"of": score.name})
    store.refresh()
    found = stored_scores(store, iter([one, twin, other]), SCORING)
    assert found["twin"] == found["one"]
    assert list(found["one"]) == [score.name for score in scores(SCORING)]
    assert found["other"] == {}
