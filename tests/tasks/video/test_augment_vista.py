"""The stage that makes VISTA's subsets: its outs against plain decodes, its splits, and the same bytes every time."""

import html.parser
import itertools
import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import Interpolation
from pydantic import ValidationError

from tasks.keys import canonical_json
from tasks.report import Plan
from tasks.stage import StageError
from tasks.tables import REJECTED, Reject, read_table, write_table
from tasks.video.augment_vista import plan, run
from tasks.video.captions import CLIPS
from tasks.video.composition import from_dict
from tasks.video.items import SUBSETS
from tasks.video.material import Material
from tasks.video.questions import TemplateSynthesiser
from tasks.video.rendering import Encoding, render_file
from tasks.video.vista_plan import located, plan_item
from tasks.video.vista_records import RECORDS
from tests import stages
from tests.conftest import Project
from tests.tasks import llm_server
from tests.tasks.video.composed import Planes, cut, decoded, outside, planes_of, same
from tests.tasks.video.vista_cases import augment, fill, params_of, set_params

OUT = "data/curated/vista"
ROOTS = {"clips": "data/raw/clips", "raw": "data/raw/video", "own": "data/own/video"}
NEEDLES = ("temporal_niah", "two_needle_niah", "spatial_niah", "spatiotemporal_niah")
Row = dict[str, Any]


@pytest.fixture(scope="module")
def filled(module_project: Project) -> Project:
    return fill(module_project)


@pytest.fixture(scope="module")
def made(filled: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project augmented once, for the tests that only look at it."""
    project = copied(filled, tmp_path_factory.mktemp("made"))
    project.report, project.done = augment(project)  # type: ignore[attr-defined]
    return project


@pytest.fixture
def fresh(filled: Project, tmp_path: Path) -> Project:
    return copied(filled, tmp_path)


def copied(project: Project, folder: Path) -> Project:
    shutil.copytree(project.root, folder / "copy", symlinks=True)
    return Project(folder / "copy")


def out(project: Project) -> Path:
    return project.root / OUT


def contents(project: Project) -> dict[str, bytes]:
    return {p.relative_to(out(project)).as_posix(): p.read_bytes() for p in out(project).rglob("*") if p.is_file()}


def records(project: Project) -> list[Row]:
    return list(read_table(out(project) / "records.parquet", RECORDS).to_pylist())


def plans(project: Project) -> list[Row]:
    return [json.loads(line) for line in (out(project) / "plan.jsonl").read_text().splitlines()]


def clips(project: Project) -> dict[str, Row]:
    files = ("data/raw/clips/clips.parquet", "data/curated/captions/captions.parquet")
    return {row["clip_id"]: row for file in files for row in read_table(project.root / file, CLIPS).to_pylist()}


def rejected(project: Project) -> list[Row]:
    return list(read_table(out(project) / "rejected.parquet", REJECTED).to_pylist())


def roots(project: Project) -> dict[str, str]:
    return {name: str(project.root / path) for name, path in ROOTS.items()}


# --- acceptance 1: exactness ------------------------------------------------------------------------------------


def lossless(project: Project, line: Row, folder: Path) -> list[Planes]:
    """Return the frames of an item rendered alone of its line of plan.jsonl, without loss."""
    target = folder / f"{line['id']}.mkv"
    render_file(located(from_dict(line["composition"]), roots(project)), target, Encoding("ffv1"))
    return decoded(target)


def frames_at(project: Project, clip: Row, fps: Fraction) -> list[Any]:
    """Return a clip's frame at each tick of a clock: a plain decode of its file, and the last frame shown by then."""
    folder = project.root / ROOTS[clip["root"]]
    with av.open(str(folder / clip["path"])) as video:
        frames = [f for f in video.decode(video=0) if clip["start_pts"] <= f.pts < clip["end_pts"]]
    base = Fraction(clip["time_base_num"], clip["time_base_den"])
    ticks = round((clip["end_pts"] - clip["start_pts"]) * base * fps + Fraction(499, 1000))
    found = []
    for tick in range(ticks):
        now = clip["start_pts"] + tick / fps / base
        found.append(max((f for f in frames if f.pts <= now), key=lambda f: f.pts))
    return found


def fitted_by_hand(frame: Any, width: int, height: int, pixels: str = "yuv420p") -> Planes:
    """Return a frame scaled by swscale, called plainly, to a size of its own shape."""
    if (frame.width, frame.height, frame.format.name) == (width, height, pixels):
        return planes_of(frame)
    way = "BICUBIC" if width > frame.width else "AREA"
    flags = sum(int(Interpolation[name]) for name in (way, "ACCURATE_RND", "FULL_CHR_H_INP", "FULL_CHR_H_INT"))
    kept = {"src_colorspace": 1, "dst_colorspace": 1, "src_color_range": 1, "dst_color_range": 1}
    return planes_of(frame.reformat(width, height, pixels, interpolation=flags, **kept))


def is_generated(line: Row, project: Project) -> bool:
    """Say whether all clips of an item have the canvas's shape: then nothing is padded."""
    told = clips(project)
    return all(told[one]["kind"] == "generated" for one in (*line["asked_of"], *line["beside"]))


def haystack_frames(project: Project, line: Row) -> list[Planes]:
    """Return the haystack's frames: its clips one after another, from where the plan begins in the first."""
    told, fps = clips(project), Fraction(*line["composition"]["canvas"]["fps"])
    found = [frame for one in line["beside"] for frame in frames_at(project, told[one], fps)]
    names = [clip["clip_id"] for clip in line["composition"]["clips"]]
    first = next(p for p in line["composition"]["pieces"] if names[p["clip"]] == line["beside"][0])
    return [planes_of(frame) for frame in found[first["first"] :]]


def needle_frames(project: Project, line: Row) -> list[Any]:
    fps = Fraction(*line["composition"]["canvas"]["fps"])
    return frames_at(project, clips(project)[line["asked_of"][0]], fps)


@pytest.mark.parametrize("subset", NEEDLES)
def test_outside_the_needle_is_the_haystack_and_inside_the_needle_byte_by_byte(
    made: Project, tmp_path: Path, subset: str
) -> None:
    lines = [line for line in plans(made) if line["subset"] == subset and is_generated(line, made)]
    assert len(lines) >= 2
    for line in lines[:2]:
        shown, spans, box = lossless(made, line, tmp_path), line["truth"]["spans"], line["truth"]["box"]
        needle, haystack = needle_frames(made, line), iter(haystack_frames(made, line))
        inside = {n: span["first"] + n - span["start"] for span in spans for n in range(span["start"], span["end"])}
        width, height = box[2:] if box else (256, 144)
        for number, frame in enumerate(shown):
            if number not in inside:
                assert same(frame, next(haystack))
                continue
            wanted = fitted_by_hand(needle[inside[number] % len(needle)], width, height)
            assert same(cut(frame, box) if box else frame, wanted)
            if box:
                assert same(outside(frame, box), outside(next(haystack), box))


def test_two_parts_of_a_needle_are_the_clip(made: Project) -> None:
    lines = [line for line in plans(made) if line["subset"] == "two_needle_niah"]
    told = clips(made)
    for line in lines:
        one, two = line["truth"]["spans"]
        assert one["last"] == two["first"] and one["end"] < two["start"]
        if told[line["asked_of"][0]]["kind"] == "generated":
            assert (one["first"], two["last"]) == (0, len(needle_frames(made, line)))


def test_each_cell_of_a_grid_is_its_clip(made: Project, tmp_path: Path) -> None:
    lines = [line for line in plans(made) if line["subset"] == "hr_video_grid" and is_generated(line, made)]
    told = clips(made)
    for line in lines[:2]:
        shown, composition = lossless(made, line, tmp_path), line["composition"]
        names = [clip["clip_id"] for clip in composition["clips"]]
        assert len(set(names)) == len(composition["pieces"]) == 4
        for place, piece in enumerate(composition["pieces"]):
            row, column = divmod(place, 2)
            assert piece["box"] == [80 * column, 45 * row, 80, 45]
            frames = frames_at(made, told[names[piece["clip"]]], Fraction(4))
            for number, frame in enumerate(shown):
                wanted = fitted_by_hand(frames[min(number, len(frames) - 1)], 80, 45, "yuv444p")
                assert same(cut(frame, piece["box"]), wanted)
        row, column = line["truth"]["cell"]
        assert composition["pieces"][2 * (row - 1) + column - 1]["box"] == line["truth"]["box"]
        assert names[2 * (row - 1) + column - 1] == line["asked_of"][0]


# --- acceptance 2: lengths --------------------------------------------------------------------------------------


def test_an_insert_adds_its_frames_and_clips_in_a_row_are_their_sum(made: Project) -> None:
    told = clips(made)
    for line in plans(made):
        composition, spans = line["composition"], line["truth"]["spans"]
        names = [clip["clip_id"] for clip in composition["clips"]]
        of = Counter(name for piece in composition["pieces"] for name in [names[piece["clip"]]] * piece["frames"])
        if line["subset"] in ("temporal_niah", "two_needle_niah"):
            haystack = sum(of[one] for one in set(line["beside"]))
            assert composition["frames"] == haystack + sum(span["end"] - span["start"] for span in spans)
        if line["subset"] in ("long_video_caption", "event_relationship"):
            rows = [told[one] for one in line["asked_of"]]
            assert composition["frames"] == sum(of.values()) and len(rows) >= 2
            assert len({row["source_id"] for row in rows}) == 1
            assert all(0 <= late["start_s"] - early["end_s"] <= 5 for early, late in itertools.pairwise(rows))
            lengths = [len(frames_at(made, row, Fraction(8))) for row in rows]
            assert [span["end"] - span["start"] for span in spans] == lengths


# --- acceptance 3: determinism ----------------------------------------------------------------------------------


def test_any_number_of_workers_gives_the_same_bytes(made: Project, fresh: Project) -> None:
    augment(fresh, workers=2)
    assert contents(fresh) == contents(made)


def test_an_item_rebuilt_alone_is_its_line_of_the_plan(made: Project) -> None:
    """Also in any order, and whatever the number of items."""
    rows = list(clips(made).values())
    settings = set_params(made, items__temporal_niah=100).augment_vista
    material = Material.of(reversed(rows), max_gap_s=5, film_apart_s=None)
    templates = TemplateSynthesiser(settings.seed, material.rows.values(), settings.mcq_share)
    said = {row["id"]: row for row in records(made)}
    lines = plans(made)
    for line in lines[::-3]:
        planned = plan_item(line["id"], line["subset"], material, settings, lambda case: templates.write([case])[0])
        assert not isinstance(planned, Reject) and planned.item is not None
        assert planned.record(settings.seed, 16) == line
        assert (planned.item.question, planned.item.key) == (said[line["id"]]["question"], said[line["id"]]["key"])


def test_lines_of_the_plan_are_canonical_and_name_no_folder_of_a_machine(made: Project) -> None:
    text = (out(made) / "plan.jsonl").read_text()
    assert str(made.root) not in text
    for line, text_line in zip(plans(made), text.splitlines(), strict=True):
        assert canonical_json(line) == text_line
        assert {clip["root"] for clip in line["composition"]["clips"]} <= set(ROOTS)


def test_another_seed_gives_other_items(made: Project, fresh: Project) -> None:
    augment(fresh, seed=4, rendered=0)
    assert not {line["plan_id"] for line in plans(fresh)} & {
        line["plan_id"] for line in plans(made) if line["subset"] in NEEDLES
    }


# --- acceptance 4: choices --------------------------------------------------------------------------------------


def test_choices_are_four_different_ones_and_wrong_ones_are_of_the_others(made: Project) -> None:
    choices = [row for row in records(made) if row["answer_type"] == "mcq"]
    assert choices and {row["subset"] for row in records(made) if row["options"]} == {row["subset"] for row in choices}
    told = clips(made)
    for row in choices:
        assert row["key"] in set("ABCD") and len({option.lower() for option in row["options"]}) == 4
        right = "ABCD".index(row["key"])
        wrong = [clip for place, clip in enumerate(row["option_clips"]) if place != right]
        if row["family"] != "event_relationship":
            assert set(wrong) <= set(row["provenance"]["beside"])
            assert row["option_clips"][right] in row["provenance"]["asked_of"]
            assert row["options"][right].lower() in canonical_json(told[row["option_clips"][right]]["facts"]).lower()
        assert row["conversations"][1] == {"from": "gpt", "value": row["key"]}
        assert f"\n{row['key']}. {row['options'][right]}\n" in row["conversations"][0]["value"]


def test_what_text_alone_solves_is_dropped_and_counted(made: Project, fresh: Project) -> None:
    gone = [row for row in rejected(made) if row["reason"] == "text_alone"]
    augment(fresh, text_only_limit=None, rendered=0)
    kept, all_items = ({row["id"]: row for row in records(project)} for project in (made, fresh))
    assert set(all_items) - set(kept) == {row["item_id"] for row in gone} != set()
    assert all(all_items[row["item_id"]]["options"] and row["threshold"] == 0.27 for row in gone)
    figures = json.loads((made.root / "data/metrics/augment_vista.json").read_text())
    assert figures["dropped"]["items"] == len(gone)
    assert figures["vista"]["text_only_acc"] <= 0.27
    by_pairing = Counter(all_items[row["item_id"]]["pairing"] for row in gone)
    assert {name: figures["dropped"][name] for name in by_pairing} == by_pairing


# --- what is drawn ----------------------------------------------------------------------------------------------


def marks(row: Row, made: Project, told: dict[str, Row]) -> set[tuple[str, str]]:
    """Return what an item holds that may be in one split alone."""
    sources = {s["source_id"]: s for s in read_table(made.root / "data/raw/clips/sources.parquet").to_pylist()}
    found = set()
    for name in (*row["provenance"]["asked_of"], *row["provenance"]["beside"]):
        clip = told[name]
        found |= {("source", clip["source_id"]), ("group", clip["group"])}
        if clip["source_id"] in sources:
            source = sources[clip["source_id"]]
            found |= {("typeface", source["typeface"]), ("background", source["film_picture_sha256"] or clip["group"])}
    return found


def test_no_source_group_background_or_typeface_is_in_two_splits(made: Project) -> None:
    told, by_split = clips(made), {split: set[tuple[str, str]]() for split in ("train", "valid", "test")}
    for row in records(made):
        by_split[row["split"]] |= marks(row, made, told)
    assert all(by_split.values())
    assert all(not one & other for one, other in itertools.combinations(by_split.values(), 2))


def test_needle_and_haystack_share_no_source_and_no_footage(made: Project) -> None:
    told, found = clips(made), Counter[str]()
    for row in records(made):
        if not row["provenance"]["beside"]:
            continue
        asked, *_ = (told[name] for name in row["provenance"]["asked_of"])
        for other in (told[name] for name in row["provenance"]["beside"]):
            assert asked["source_id"] != other["source_id"] and asked["group"] != other["group"]
        kinds = {told[name]["kind"] for name in row["provenance"]["beside"]}
        if row["family"] != "hr_video_grid":
            assert row["pairing"] == f"{asked['kind']}_in_{kinds.pop()}" and not kinds
        found[row["pairing"]] += 1
    assert len(found) == 4


def test_intervals_boxes_and_lengths_are_those_of_the_plan(made: Project) -> None:
    lines = {line["id"]: line for line in plans(made)}
    assert len(lines) == len(records(made))
    for row in records(made):
        line = lines[row["id"]]
        composition, truth = line["composition"], line["truth"]
        fps = Fraction(*composition["canvas"]["fps"])
        spans = [(span["start"], span["end"]) for span in truth["spans"]]
        assert [(one["start_s"], one["end_s"]) for one in row["intervals"]] == [
            (float(start / fps), float(end / fps)) for start, end in spans
        ]
        assert row["plan_id"] == line["plan_id"] and row["frames"] == composition["frames"]
        assert [list(box.values()) for box in row["boxes"]] == ([truth["box"]] if truth["box"] else [])
        sampled = (
            {int((n + 0.5) * row["frames"] / 16) for n in range(16)} if row["frames"] > 16 else range(row["frames"])
        )
        assert row["frames_seen"] == [sum(a <= n < b for n in sampled) for a, b in spans]
        assert row["sampler_step_s"] == pytest.approx(row["duration_s"] / 16)
        assert row["may_be_missed"] == any(b - a < row["frames"] / 16 for a, b in spans)


def test_needles_that_a_sampler_may_miss_are_avoided_where_that_is_wished(fresh: Project) -> None:
    flagged = {"sampler__frames": 3, "rendered": 0}
    augment(fresh, **flagged)
    assert any(row["may_be_missed"] for row in records(fresh))
    augment(fresh, **flagged, sampler__short_needles="avoid")
    for row in records(fresh):
        if row["family"] in ("temporal_niah", "two_needle_niah", "spatiotemporal_niah"):
            assert not row["may_be_missed"] and min(row["frames_seen"]) >= 1


def test_a_film_is_one_source_unless_its_shots_are_far_apart(fresh: Project) -> None:
    """With one film in the captions there is no film in film, but for shots of different groups, and seconds apart."""
    path = fresh.root / "data/curated/captions/captions.parquet"
    rows = [row | {"group": row["clip_id"]} for row in read_table(path, CLIPS).to_pylist() if row["clip_id"][5] == "0"]
    write_table(path, rows, CLIPS)
    only = {"rendered": 0, "max_gap_s": 0.0, "size__min_s": 1.5, "items__hr_video_grid": 0}
    augment(fresh, **only)
    assert "film_in_film" not in {row["pairing"] for row in records(fresh)}
    augment(fresh, **{**only, "rendered": 1}, film_apart_s=1.5)
    assert all("shots of one film" in card.read_text() for card in out(fresh).glob("*/README.md"))
    inside = [row["provenance"] for row in records(fresh) if row["pairing"] == "film_in_film"]
    assert inside
    times = {row["clip_id"]: (row["start_s"], row["end_s"]) for row in rows}
    for one in inside:
        for other in one["beside"]:
            early, late = sorted((times[one["asked_of"][0]], times[other]))
            assert late[0] - early[1] >= 1.5


# --- what is left out -------------------------------------------------------------------------------------------


def test_what_is_in_two_splits_excluded_or_changed_is_left_out_and_named(fresh: Project) -> None:
    table = fresh.root / "data/curated/captions/captions.parquet"
    rows = read_table(table, CLIPS).to_pylist()
    rows[0]["split"] = "test"  # its film is in train
    rows[3]["licence"] = "CC BY-ND 4.0"
    rows[6]["source_id"] = "0" * 64
    write_table(table, rows, CLIPS)
    gone = rows[-1]
    fresh.write("data/exclude.csv", f"id,reason\n{gone['source_id']},wished\n")
    augment(fresh, rendered=0)
    reasons = {row["item_id"]: row["reason"] for row in rejected(fresh) if row["unit"] == "clip"}
    assert reasons[rows[0]["clip_id"]] == "two_splits"
    assert reasons[rows[3]["clip_id"]] == "no_derivatives"
    assert reasons[rows[6]["clip_id"]] == "changed"
    assert [reasons[row["clip_id"]] for row in rows if row["source_id"] == gone["source_id"]] == ["excluded"] * 3
    used = {one for row in records(fresh) for one in (*row["provenance"]["asked_of"], *row["provenance"]["beside"])}
    assert used and not used & set(reasons)


def test_a_clip_that_is_not_in_its_file_spoils_its_items_alone(fresh: Project) -> None:
    table = fresh.root / "data/raw/clips/clips.parquet"
    rows = read_table(table, CLIPS).to_pylist()
    rows[0]["frames"] += 1
    write_table(table, rows, CLIPS)
    few = dict.fromkeys(SUBSETS, 0) | {"temporal_niah": 8, "event_relationship": 8}
    augment(fresh, rendered=3, items=few)
    bad = [row for row in rejected(fresh) if row["reason"] == "frames_differ"]
    assert bad and all(rows[0]["clip_id"] in row["detail"] for row in bad)
    assert Counter(row["family"] for row in records(fresh) if row["video"]) == dict.fromkeys(
        ("temporal_niah", "event_relationship"), 3
    )


def test_without_film_all_is_generated(fresh: Project) -> None:
    write_table(fresh.root / "data/curated/captions/captions.parquet", [], CLIPS)
    report, _ = augment(fresh, rendered=0)
    assert report.kept > 40
    assert {row["pairing"] for row in records(fresh)} == {"generated", "generated_in_generated"}


def test_wrong_parameters_and_roots_are_told(fresh: Project) -> None:
    for changed in ({"size__min_s": 9.0}, {"grid__columns": 7}, {"text__backend": "llm"}, {"unknown": 1}):
        with pytest.raises(ValidationError):
            set_params(fresh, **changed)
    table = fresh.root / "data/curated/captions/captions.parquet"
    write_table(table, [row | {"root": "tape"} for row in read_table(table, CLIPS).to_pylist()], CLIPS)
    with pytest.raises(StageError, match="root 'tape'; known are clips, own, raw"):
        augment(fresh)


# --- files ------------------------------------------------------------------------------------------------------


def test_rendered_files_show_what_the_plan_says(made: Project, tmp_path: Path) -> None:
    lines = {line["id"]: line for line in plans(made)}
    files = [row for row in records(made) if row["video"]]
    assert Counter(row["family"] for row in files) == dict.fromkeys({row["family"] for row in records(made)}, 2)
    for row in files:
        with av.open(str(out(made) / row["video"])) as video:
            stream = video.streams.video[0]
            frames = list(video.decode(stream))
            assert (stream.width, stream.height, stream.average_rate) == (row["width_px"], row["height_px"], row["fps"])
        assert len(frames) == row["frames"] and frames[0].pts == 0
        wanted = lossless(made, lines[row["id"]], tmp_path)
        middle = len(frames) // 2
        difference = np.abs(planes_of(frames[middle])[0].astype(int) - wanted[middle][0].astype(int))
        assert difference.mean() < 4  # crf 20


def test_an_item_has_the_licences_and_credits_of_all_its_clips(made: Project) -> None:
    told = clips(made)
    for row in records(made):
        used = [told[name] for name in (*row["provenance"]["asked_of"], *row["provenance"]["beside"])]
        assert row["licence"] == " AND ".join(sorted({clip["licence"] for clip in used}))
        assert all(clip["credit"] in row["credit"] and clip["url"] in row["url"] for clip in used)
        if row["video"]:
            folder = row["video"].split("/")[0]
            assert folder == re.sub(r"[^a-z0-9.]+", "-", row["licence"].lower())
    assert len({row["licence"] for row in records(made)}) >= 4


def test_each_set_is_llava_json_and_tars_of_the_same_items(made: Project) -> None:
    rows = {row["id"]: row for row in records(made) if row["video"]}
    in_json, in_tars = {}, {}
    for file in out(made).glob("*/llava/*/*.json"):
        for item in json.loads(file.read_text()):
            assert (file.parent.name, file.stem) == (item["split"], item["subset"])
            assert (file.parents[2] / item["video"]).is_file()
            assert [turn["from"] for turn in item["conversations"]] == ["human", "gpt"]
            assert item["conversations"][0]["value"].startswith("<video>\n")
            in_json[item["id"]] = item
    for file in out(made).glob("*/shards/*.tar"):
        with tarfile.open(file) as tar:
            names = tar.getnames()
            assert [name.partition(".")[2] for name in names] == ["json", "mp4"] * (len(names) // 2)
            assert 1 <= len(names) // 2 <= 3
            for name in names[::2]:
                item = json.loads(tar.extractfile(name).read())  # type: ignore[union-attr]
                video = tar.extractfile(f"{item['id']}.mp4").read()  # type: ignore[union-attr]
                assert video == (file.parents[1] / item["video"]).read_bytes()
                in_tars[item["id"]] = item
    assert in_json == in_tars
    assert {name: item["conversations"] for name, item in in_json.items()} == {
        name: row["conversations"] for name, row in rows.items()
    }


def test_cards_name_terms_and_their_snippets_run(made: Project) -> None:
    cards = sorted(out(made).glob("*/README.md"))
    assert len(cards) == len({row["licence"] for row in records(made) if row["video"]})
    for card in cards[:1]:
        blocks = re.findall(r"```python\n(.*?)```", card.read_text(), re.S)
        assert len(blocks) == 2
        for block in blocks:
            subprocess.run([sys.executable, "-c", block], cwd=card.parent, check=True, capture_output=True)
    for card in cards:
        text = card.read_text()
        assert "| augment_vista.size.width_px | 256 |" in text and "| data/raw/clips |" in text
        assert "No source, duplicate group, film background or typeface is in two splits." in text
        mine = [row for row in records(made) if row["video"] and row["video"].startswith(card.parent.name + "/")]
        assert all(part in text for row in mine for part in row["credit"].split("; "))
    shared = next(card for card in cards if "by-sa" in card.parent.name)
    assert "stays under CC BY-SA 3.0" in shared.read_text()


def test_a_processor_and_a_collator_of_transformers_eat_a_batch(made: Project) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    from transformers import DataCollatorWithPadding, PreTrainedTokenizerFast, VideoMAEImageProcessor

    items = [item for file in sorted(out(made).glob("*/llava/train/*.json")) for item in json.loads(file.read_text())]
    texts = [turn["value"] for item in items for turn in item["conversations"]]
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(unk_token="?"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.train_from_iterator(texts, tokenizers.trainers.WordLevelTrainer(special_tokens=["?", "<pad>", "<video>"]))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="?", pad_token="<pad>")
    rows = {row["id"]: row for row in records(made)}
    examples, videos = [], []
    for item in items[:3]:
        human, gpt = item["conversations"]
        examples.append(dict(tokenizer(human["value"] + " " + gpt["value"])))
        with av.open(str(out(made) / rows[item["id"]]["video"])) as video:
            videos.append([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)][:4])
    batch = DataCollatorWithPadding(tokenizer)(examples)
    processor = VideoMAEImageProcessor(size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64})
    pixels = processor(videos, return_tensors="pt")["pixel_values"]
    assert batch["input_ids"].shape[0] == len(examples) == 3 and tuple(pixels.shape) == (3, 4, 3, 64, 64)


class _Page(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))


def test_the_gallery_plays_one_item_of_each_subset_and_needs_no_other_file(made: Project) -> None:
    page = _Page()
    text = (out(made) / "gallery.html").read_text()
    page.feed(text)
    videos = [attributes["src"] for tag, attributes in page.found if tag == "video"]
    assert len(videos) == 7 and all(video.startswith("data:video/mp4;base64,") for video in videos)
    assert not [a for tag, a in page.found if tag in ("link", "img") or (tag == "script" and "src" in a)]
    spans = [json.loads(attributes["data-spans"]) for tag, attributes in page.found if tag == "article"]
    rows = [row for row in records(made) if f"<small>{row['id']}," in text]
    assert sorted(spans) == sorted([[one["start_s"], one["end_s"]] for one in row["intervals"]] for row in rows)
    boxes = [a["style"] for tag, a in page.found if a.get("class") == "box"]
    assert len(boxes) == 7
    for row in rows:
        if row["boxes"]:
            assert f"left:{100 * row['boxes'][0]['x'] / row['width_px']:.3f}%" in text
        assert row["credit"] in text


# --- runs -------------------------------------------------------------------------------------------------------


def test_what_is_rendered_is_kept_by_what_is_in_it(made: Project, fresh: Project) -> None:
    shutil.copytree(made.root / "data/store", fresh.root / "data/store", dirs_exist_ok=True)
    params = set_params(fresh)
    assert plan(stages.stage_of(fresh, "augment_vista"), params) == Plan("item", 0, 14)
    assert augment(fresh)[1] == 0
    assert contents(fresh) == contents(made)
    more = set_params(fresh, rendered=3)
    assert plan(stages.stage_of(fresh, "augment_vista"), more).items_todo == 7
    assert plan(stages.stage_of(fresh, "augment_vista"), set_params(fresh, crf=30)).items_stored == 0


def test_more_items_change_none(made: Project, fresh: Project) -> None:
    wanted = params_of()["augment_vista"]["items"] | {"temporal_niah": 11}
    augment(fresh, items=wanted, rendered=0, text_only_limit=None)
    lines = {line["id"]: line for line in plans(fresh)}
    assert len(lines) > len(plans(made))
    assert all(lines[line["id"]] == line for line in plans(made))


def test_report_counts_every_item(made: Project) -> None:
    report = made.report  # type: ignore[attr-defined]
    assert report.items_in == 56 == report.kept + sum(report.rejected.values())
    assert report.kept == len(records(made))
    figures = json.loads((made.root / "data/metrics/augment_vista.json").read_text())["vista"]
    assert figures["items_total"] == report.kept
    assert figures["mean_duration_s"] == pytest.approx(np.mean([row["duration_s"] for row in records(made)]), abs=1e-3)
    for subset, count in Counter(row["subset"] for row in records(made)).items():
        assert figures[f"items_{subset}"] == count


def test_a_language_model_writes_what_is_asked(fresh: Project) -> None:
    """It plays the roles of the paper: a question, its four options, one text of all captions; each is paid once."""

    def writer(handler: llm_server.Handler, body: dict[str, Any]) -> None:
        told = llm_server.passage_texts(body)
        if "right_letter" in told:
            others = told["others"].split("\n")
            texts = [" ".join(other.split()[:6]) + f" {n}" for n, other in enumerate(others * 4)][:4]
            texts["ABCD".index(told["right_letter"])] = told["answer"]
            said: Row = {"options": [f"{letter}. {text}" for letter, text in zip("ABCD", texts, strict=True)]}
        elif "scenes" in told and "Tell them as one" in str(body):
            said = {"caption": told["scenes"]}
        else:
            words = next(iter(told.values())).split()
            said = {"question": f"What is there beside {words[-3]} {words[-2]}?", "answer": "A small grey mouse"}
        llm_server.answer(json.dumps(said))(handler, body)

    with llm_server.running() as server:
        server.default = writer
        asked = {"rendered": 0, "text__backend": "llm", "text__sampling__model": "writer"}
        params = set_params(fresh, **asked)
        knobs = json.loads((fresh.root / "params.yaml").read_text())
        knobs["run"]["llm"] = {"endpoint": {"base_url": server.url}}
        fresh.write("params.yaml", json.dumps(knobs))
        assert "calls to do" in plan(stages.stage_of(fresh, "augment_vista"), params).notes[0]
        report, _ = stages.run_stage(fresh, "augment_vista", run, params)
        calls, rows = server.calls, records(fresh)
        assert {row["text_backend"] for row in rows} == {"llm"} and len(rows) == report.kept
        questions = [row for row in rows if row["family"] == "temporal_niah"]
        assert questions and all(row["question"].startswith("What is there beside ") for row in questions)
        stages.run_stage(fresh, "augment_vista", run, params)
        assert server.calls == calls and records(fresh) == rows


def test_without_an_endpoint_a_language_model_is_not_asked(fresh: Project) -> None:
    with pytest.raises(StageError, match=r"run\.llm\.endpoint is null"):
        augment(fresh, text__backend="llm", text__sampling__model="some-model")
