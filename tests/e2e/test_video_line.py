"""The video line through the real dvc.yaml: what is decoded, what is kept, and what a person sees."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import psutil
import pytest
from dvc.utils.serialize import load_yaml

from tasks.store import Store
from tasks.video import scan
from tasks.video.scan_video import ScanVideo
from tests.conftest import locked_hashes
from tests.e2e.conftest import STAGES, TO_PRETRAIN, VIDEO, Line, sha256
from tests.tasks.video import clips as making

TAKES, REJECTED = "data/curated/takes/pretrain/takes.parquet", "data/curated/takes/pretrain/rejected.parquet"


def take_spans(line: Line) -> list[tuple[str, float, float]]:
    return [(row["name"], round(row["start_s"], 3), round(row["end_s"], 3)) for row in line.table(TAKES)]


def test_first_run_finds_the_takes_and_everything_says_so(finished: Line) -> None:
    line = finished
    assert take_spans(line) == [("film.mp4", 0.0, 2.0), ("film.mp4", 4.0, 6.0)]
    (still,) = line.table(REJECTED)
    assert (still["reason"], still["score"], still["threshold"]) == ("motion", "motion_px_s", 20)
    assert still["value"] < 20
    assert sorted((r.name, r.status) for r in line.runs()) == [(name, "FINISHED") for name in sorted(STAGES)]
    for run in line.runs():
        deps, outs = locked_hashes(line.root, run.name)
        tags = {key: value for key, value in run.tags.items() if key.startswith(("dvc.deps.", "dvc.outs."))}
        expected = {f"dvc.deps.{p}": h for p, h in deps.items() if not p.endswith(".py")}
        assert tags == expected | {f"dvc.outs.{p}": h for p, h in outs.items()}
    (scan,) = line.stage_runs("scan_video")
    assert scan.metrics["curate/decoded_videos"] == 1
    assert scan.metrics["curate/decoded_frames_per_source_frame"] == 1.0
    assert scan.metrics["curate/decoded_frames"] == 144
    (shots,) = line.stage_runs("detect_shots")
    assert (shots.metrics["shots/found"], shots.metrics["shots/cut"]) == (3, 2)
    assert shots.metrics["shots/network_frames"] < 144  # only what is in doubt


def test_takes_carry_licence_and_credit_and_their_keyframes(finished: Line) -> None:
    for take in finished.table(TAKES):
        assert (take["licence"], take["credit"]) == ("CC0", "made by the test")
        assert len(take["keyframe_pts"]) == 5
        assert take["keyframe_pts"] == sorted(take["keyframe_pts"])
        step = (take["end_pts"] - take["start_pts"]) / 5
        base = take["time_base_num"] / take["time_base_den"]
        for i, pts in enumerate(take["keyframe_pts"]):
            centre = take["start_pts"] + (i + 0.5) * step
            assert abs(pts - centre) * base <= 0.5
    made = {p.name for p in (finished.root / TAKES).parent.iterdir()}
    assert made >= {"contact_sheet.jpg", "examples.jpg", "funnel.png", "histograms", "keyframes"}


def test_numbers_in_equal_numbers_out_at_every_stage(finished: Line) -> None:
    raw, scan = "data/raw/video", "data/curated/scan"
    for made, kept, rejected in (
        ("fetch_video", f"{raw}/manifest.parquet", f"{raw}/rejected.parquet"),
        ("scan_video", f"{scan}/videos.parquet", f"{scan}/rejected.parquet"),
        ("select_takes@pretrain", TAKES, REJECTED),
    ):
        (run,) = finished.stage_runs(made)
        assert run.metrics["items/in"] == len(finished.table(kept)) + len(finished.table(rejected))


def test_nothing_changed_means_nothing_runs(line: Line) -> None:
    runs = len(line.runs())
    done = line.dvc("repro", *VIDEO)
    assert "Data and pipelines are up to date." in done.stdout
    assert len(line.runs()) == runs


@pytest.mark.slow
def test_a_new_video_is_the_only_one_decoded_and_leaves_when_it_is_deleted(line: Line, clips: dict[str, Path]) -> None:
    before = line.out_hashes()
    shutil.copy(clips["walk"], line.own("walk.mp4"))
    line.repro()
    assert line.decoded_videos() == [1, 1]
    assert ("walk.mp4", 0.0, 2.5) in take_spans(line)
    assert [run.metrics["items/done"] for run in line.stage_runs("detect_shots")] == [1, 1]
    assert not list((line.root / "data/raw/video").rglob("walk*"))
    line.own("walk.mp4").unlink()
    line.repro()
    assert line.out_hashes() == before
    assert line.decoded_videos() == [1, 1]  # what dvc restored from its cache did not run at all


@pytest.mark.slow
def test_a_changed_threshold_decodes_nothing_and_leaves_the_excluded_out(line: Line, clips: dict[str, Path]) -> None:
    for name in ("walk", "run"):
        shutil.copy(clips[name], line.own(f"{name}.mp4"))
    line.write("data/exclude.csv", f"id,reason\n{sha256(clips['run'])},not ours to use\n")
    line.dvc("exp", "run", "-q", "-S", "select_takes.pretrain.min_duration_s=2.2", "select_takes@pretrain")
    assert {name for name, *_ in take_spans(line)} == {"walk.mp4"}
    line.dvc("exp", "run", "-q", "-S", "select_takes.pretrain.min_duration_s=1.8", "select_takes@pretrain")
    assert {name for name, *_ in take_spans(line)} == {"walk.mp4", "film.mp4"}
    assert line.decoded_videos() == [1, 1]
    runs = line.stage_runs("select_takes@pretrain")
    assert [r.params["select_takes.pretrain.min_duration_s"] for r in runs] == ["1.8", "2.2", "1.5"]
    for path in ("data/raw/video/manifest.parquet", "data/curated/scan/videos.parquet", TAKES):
        assert "run.mp4" not in line.names(path)
    (gone,) = line.table("data/raw/video/rejected.parquet")
    assert (gone["item_id"], gone["reason"], gone["detail"]) == (sha256(clips["run"]), "excluded", "not ours to use")
    # the same in a temporary copy, which cannot see the own files, must not answer without them
    done = line.dvc(
        "exp", "run", "--temp", "-S", "select_takes.pretrain.min_duration_s=1.7", "select_takes@pretrain", check=False
    )
    assert done.returncode != 0
    assert "data/own/video is empty in this temporary copy" in done.stdout + done.stderr


@pytest.mark.slow
def test_an_experiment_in_a_temporary_copy_uses_the_main_store_and_database(line: Line) -> None:
    line.dvc("exp", "run", "--temp", "-q", "-S", "select_takes.pretrain.min_motion_px_s=0", "select_takes@pretrain")
    newest = line.stage_runs("select_takes@pretrain")[0]
    assert newest.params["select_takes.pretrain.min_motion_px_s"] == "0"
    assert newest.metrics["curate/kept"] == 3
    assert line.decoded_videos() == [1]
    assert [p.relative_to(line.root) for p in line.root.rglob("mlflow.db")] == [Path("mlruns/mlflow.db")]


@pytest.mark.slow
def test_bad_files_are_listed_with_the_reason_and_stop_nothing(line: Line, clips: dict[str, Path]) -> None:
    own = line.own("")
    (own / "garbage.mp4").write_bytes(b"this is no video" * 400)
    (own / "empty.mp4").write_bytes(b"")
    making.write_sound(own / "sound.m4a")
    making.write_clip(own / "short.mp4", making.moving(7, 6, 2))
    making.write_clip(own / "small.mp4", making.moving(8, 24, 2, height=60, width=80))
    stream = making.write_clip(own / "whole.mkv", making.moving(9, 240, 3))
    making.cut_short(stream, own / "torn.mkv", 0.6)
    stream.unlink()
    shutil.copy(clips["film"], own / "same as film.mp4")
    (own / "notes.txt").write_text("about these videos")
    line.change(run__max_reject_fraction=0.9)
    line.repro()
    reasons = {row["parent_id"]: row["reason"] for row in line.table("data/curated/scan/rejected.parquet")}
    reasons |= {row["parent_id"]: row["reason"] for row in line.table("data/raw/video/rejected.parquet")}
    assert reasons == {
        "garbage.mp4": "unreadable",
        "empty.mp4": "unreadable",
        "sound.m4a": "no_video_stream",
        "short.mp4": "floor_duration",
        "small.mp4": "floor_height",
        "torn.mkv": "truncated",
        "same as film.mp4": "duplicate_file",
        "notes.txt": "not_video",
    }
    assert take_spans(line) == [("film.mp4", 0.0, 2.0), ("film.mp4", 4.0, 6.0)]
    line.change(run__max_reject_fraction=0.5)
    (own / "more.mp4").write_bytes(b"nor is this")
    done = line.dvc("repro", "select_takes@pretrain", check=False)
    assert "7 of 8 videos are bad, more than run.max_reject_fraction=0.5" in done.stderr + done.stdout


@pytest.mark.slow
def test_a_loosened_floor_decodes_only_what_it_newly_admits(line: Line) -> None:
    making.write_clip(line.own("small.mp4"), making.moving(8, 48, 2, height=90, width=160))
    line.repro()
    line.change(floor__min_height_px=80)
    line.repro()
    assert line.decoded_videos() == [1, 0, 1]


def test_a_threshold_looser_than_the_floor_is_refused_by_name(line: Line) -> None:
    line.change(select_takes__pretrain__min_height_px=90)
    done = line.dvc("repro", "select_takes@pretrain", check=False)
    assert done.returncode != 0
    told = "select_takes.pretrain.min_height_px = 90 is looser than floor.min_height_px = 100"
    assert told in done.stdout + done.stderr


@pytest.mark.slow
def test_overrides_keep_a_take_in_and_another_out(line: Line) -> None:
    kept, dropped = line.table(REJECTED)[0]["item_id"], line.table(TAKES)[0]["take_id"]
    line.write("data/include.csv", f"id,reason\n{kept},a still life\n")
    line.write("data/exclude.csv", f"id,reason\n{dropped},dull\n")
    line.repro()
    assert kept in {row["take_id"] for row in line.table(TAKES)}
    (gone,) = line.table(REJECTED)
    assert (gone["item_id"], gone["reason"], gone["detail"]) == (dropped, "excluded", "dull")


def test_the_tables_open_in_duckdb_and_dvc_shows_metrics_and_plots(finished: Line) -> None:
    counted = duckdb.sql(f"select count(*), sum(end_s - start_s) from '{finished.root / TAKES}'").fetchall()
    assert counted == [(2, 4.0)]
    shown = finished.dvc("metrics", "show").stdout
    assert "curate.kept" in shown
    html = finished.dvc("plots", "show", "funnels", "-o", str(finished.root / "dvc_plots")).stdout.strip()
    assert "funnel" in Path(html.removeprefix("file://")).read_text()


def test_a_clone_with_its_cache_pulled_needs_the_scan_again_for_pictures_and_says_so(line: Line) -> None:
    shutil.rmtree(line.root / "data/store/blobs")
    line.change(score_takes__keyframes=3)
    done = line.dvc("repro", "select_takes@pretrain", check=False)
    assert "the pictures of film.mp4 are not in the store" in done.stdout + done.stderr
    assert "dvc repro --force --single-item scan_video" in done.stdout + done.stderr


@pytest.mark.slow
def test_trouble_of_the_store_fails_the_scan_by_name_and_the_next_run_needs_no_force(
    line: Line, clips: dict[str, Path]
) -> None:
    shutil.copy(clips["walk"], line.own("walk.mp4"))
    partial = line.root / "data/store/partial"
    shutil.rmtree(partial)
    partial.touch()  # where each new file of the store begins
    done = line.dvc("repro", "select_takes@pretrain", check=False)
    assert done.returncode != 0
    assert "scan_video: failed: video walk.mp4: FileExistsError: [Errno 17]" in done.stderr
    assert "mend that and run again; what is finished is stored" in done.stderr
    partial.unlink()
    line.repro()
    assert ("walk.mp4", 0.0, 2.5) in take_spans(line)
    assert line.decoded_videos() == [1, 1]


def test_plan_counts_what_is_to_decode(line: Line, clips: dict[str, Path]) -> None:
    shutil.copy(clips["walk"], line.own("walk.mp4"))
    line.dvc("repro", "-q", "fetch_video")
    done = line.command("python", "-m", "tasks.video.scan_video", "--plan")
    assert "scan_video: 1 video to do, 1 stored; about" in done.stdout


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_bytes(
    finished: Line, fresh_clone: Callable[[], Line], clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for workers in (1, 2, 3):
        made = fresh_clone()
        monkeypatch.setenv("PYTHONPATH", str(made.root))
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # set by reading the runs of the clone before
        for name in ("walk", "run"):
            shutil.copy(clips[name], made.own(f"{name}.mp4"))
        made.change(run__workers=workers)
        made.repro()
        assert made.decoded_videos() == [3]
        found.append(made.out_hashes(TO_PRETRAIN))
    assert found[0] == found[1] == found[2]


@pytest.mark.slow
def test_killed_at_any_moment_the_scan_goes_on_where_it_was(
    fresh_clone: Callable[[], Line], clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After kill -9 the outs are byte-equal to an undisturbed run, and only what was under way is done again."""
    undisturbed, killed = fresh_clone(), fresh_clone()
    for made in (undisturbed, killed):
        for name in ("walk", "run"):
            shutil.copy(clips[name], made.own(f"{name}.mp4"))
    monkeypatch.setenv("PYTHONPATH", str(undisturbed.root))
    undisturbed.repro()
    monkeypatch.setenv("PYTHONPATH", str(killed.root))
    killed.dvc("repro", "-q", "fetch_video")
    blobs = killed.root / "data/store/blobs"

    def written(wanted: int) -> Callable[[], bool]:
        return lambda: sum(p.is_file() for p in blobs.rglob("*")) >= wanted

    # strips, tables and records are written all along: kill where so many lie there, at last where a video is whole
    for reached in (written(0), written(1), written(9), lambda: complete_videos(killed) > 0):
        command = ["dvc", "repro", "-q", "select_takes@pretrain"]
        process = subprocess.Popen(command, cwd=killed.root, start_new_session=True)
        while process.poll() is None and not reached():
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        wait_until_workers_have_ended(killed.root)
    complete = complete_videos(killed)
    killed.repro()
    assert killed.out_hashes(TO_PRETRAIN) == undisturbed.out_hashes(TO_PRETRAIN)
    assert complete > 0  # the kills came late enough to prove something
    assert killed.decoded_videos()[0] == 3 - complete
    assert not list((killed.root / "data").rglob("*.partial"))
    assert "RUNNING" not in {run.status for run in killed.runs()}


def complete_videos(line: Line) -> int:
    values = ScanVideo.model_validate(load_yaml(str(line.root / "params.yaml"))["scan_video"])
    settings = scan.Settings(**values.model_dump())
    sources = [row["source_id"] for row in line.table("data/raw/video/manifest.parquet")]
    records = scan.stored(Store(line.root / "data/store"), sources, settings)
    return sum(scan.is_complete(found, settings) for found in records.values())


def wait_until_workers_have_ended(root: Path) -> None:
    deadline = time.monotonic() + 30
    while any(p.info["cwd"] == str(root) for p in psutil.process_iter(["cwd"])):
        assert time.monotonic() < deadline, "a process of the killed run lives on"
        time.sleep(0.05)
