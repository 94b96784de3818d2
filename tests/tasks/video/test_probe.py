"""The probe: what a file says of itself, without decoding a frame, and why a file is no video."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tasks.tables import Reject
from tasks.video.probe import probe, short_side_px
from tests.tasks.video import clips


def test_facts_agree_with_the_encoder_and_with_a_full_decode(tmp_path: Path) -> None:
    path = clips.write_clip(tmp_path / "clip.mp4", clips.moving(1, 72, 4), options={"g": "24", "bf": "3"})
    facts = probe(path)
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    assert facts["source_frames"] == facts["packets"] == len(frames) == 72
    assert facts["i_frames"] == sum(frame.key_frame for frame in frames)
    assert facts["duration_s"] == pytest.approx(3.0)
    assert facts["declared_s"] == pytest.approx(3.0)
    assert facts["fps"] == pytest.approx(24)
    assert (facts["coded_width"], facts["coded_height"], facts["codec"]) == (320, 180, "h264")
    assert 0 < facts["video_bytes"] < path.stat().st_size


def test_nothing_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clips.write_clip(tmp_path / "clip.mp4", clips.still(1, 24))

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the probe decodes nothing")

    monkeypatch.setattr("tasks.video.frames.run_pass", refuse)
    assert probe(path)["source_frames"] == 24


@pytest.mark.parametrize(
    "codec, suffix", [("mpeg4", ".avi"), ("libvpx-vp9", ".webm"), ("mpeg2video", ".ts"), ("mjpeg", ".mkv")]
)
def test_other_codecs_and_containers_have_their_frames_and_length(tmp_path: Path, codec: str, suffix: str) -> None:
    fast = {"deadline": "realtime", "cpu-used": "8"} if "vpx" in codec else {"strict": "-2"}
    path = clips.write_clip(tmp_path / f"clip{suffix}", clips.moving(2, 48, 4), codec=codec, options=fast)
    facts = probe(path)
    assert facts["source_frames"] == 48
    assert facts["duration_s"] == pytest.approx(2.0, abs=0.05)


def test_length_and_rate_of_uneven_frames_go_by_their_times(tmp_path: Path) -> None:
    times = [100, 110, 150, 400, 1000, 1040, 3100]
    facts = probe(clips.write_clip(tmp_path / "clip.mkv", clips.moving(3, 7, 4), pts=times))
    assert facts["duration_s"] == pytest.approx(3.0, abs=0.1)
    assert facts["fps"] == pytest.approx(7 / facts["duration_s"])
    assert facts["declared_s"] == pytest.approx(facts["duration_s"], rel=0.01)  # though it does not begin at 0


def test_a_torn_file_has_less_than_it_declares(tmp_path: Path) -> None:
    fast_start = {"movflags": "faststart"}
    for name, options in (("whole.mp4", fast_start), ("whole.mkv", {})):
        whole = clips.write_clip(tmp_path / name, clips.moving(4, 96, 4), container_options=options)
        facts = probe(clips.cut_short(whole, whole.with_stem("torn"), 0.6))
        assert facts["declared_s"] == pytest.approx(4.0, abs=0.05)
        assert facts["duration_s"] < 0.9 * facts["declared_s"]


def test_height_is_the_shorter_side_as_displayed(tmp_path: Path) -> None:
    lying = clips.write_clip(tmp_path / "lying.mp4", clips.still(5, 2, height=180, width=320))
    upright = clips.write_clip(tmp_path / "upright.mp4", clips.still(5, 2, height=320, width=180))
    narrow = clips.write_clip(tmp_path / "narrow.mp4", clips.still(5, 2, height=320, width=180), aspect=Fraction(1, 2))
    assert [short_side_px(probe(path)) for path in (lying, upright, narrow)] == [180, 180, 90]


def test_files_that_are_no_video_are_rejected_with_the_reason(tmp_path: Path) -> None:
    sound = clips.write_sound(tmp_path / "sound.m4a")
    text = tmp_path / "text.mp4"
    text.write_text("not a video\n" * 100)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    whole = clips.write_clip(tmp_path / "whole.mp4", clips.still(6, 24))
    headless = clips.cut_short(whole, tmp_path / "headless.mp4", 0.5)  # its index stood at the end
    frameless = clips.write_without_frames(tmp_path / "frameless.mp4")
    reasons = {}
    for path in (sound, text, empty, headless, frameless):
        with pytest.raises(Reject) as caught:
            probe(path)
        reasons[path.stem] = caught.value.reason
    assert reasons == {
        "sound": "no_video_stream",
        "text": "unreadable",
        "empty": "unreadable",
        "headless": "unreadable",
        "frameless": "no_video_stream",
    }


def test_cover_art_is_no_video(tmp_path: Path) -> None:
    done, jpeg = cv2.imencode(".jpg", clips.texture(7))
    assert done
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("mp3", rate=44100, layout="mono", format="s16p")
        cover = container.add_stream("mjpeg")
        cover.width, cover.height, cover.pix_fmt = 320, 180, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        packet = av.Packet(jpeg.tobytes())
        packet.stream, packet.pts, packet.dts = cover, 0, 0
        container.mux(packet)
        for i in range(40):
            quiet = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), "s16p", "mono")
            quiet.sample_rate, quiet.pts = 44100, i * 1152
            container.mux(sound.encode(quiet))
        container.mux(sound.encode(None))
    with pytest.raises(Reject, match="audio") as caught:
        probe(path)
    assert caught.value.reason == "no_video_stream"


def test_a_missing_file_is_not_taken_for_a_bad_video(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        probe(tmp_path / "missing.mp4")
