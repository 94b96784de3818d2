"""Selection as a query, against the same rules written as a loop over random scores."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.video import selection
from tasks.video.content import Splits, content_clusters, draw_evenly, split_groups, split_of
from tasks.video.find_duplicates import DUPLICATES, MATCHES
from tasks.video.floor import FloorParams
from tasks.video.histograms import histograms
from tasks.video.score_takes import EMBEDDINGS, SCORES
from tasks.video.selection import RULES, TakeSet, active_rules, check_floor_of

OFF: dict[str, Any] = {rule.key: None for rule in RULES}
LOOSE: dict[str, Any] = {
    **OFF,
    "min_width_px": 1000,
    "min_height_px": 480,
    "min_fps": 20,
    "max_fps": 60,
    "min_duration_s": 1,
    "max_color_difference": 80,
    "min_luma": 20,
    "max_luma": 230,
    "max_clipped_share": 0.9,
    "min_sharpness": 0.05,
    "max_frozen_s": 0.9,
    "max_letterbox_area": 0.95,
    "max_overlay_area": 0.9,
    "max_artifact_area": 0.9,
    "max_text_area": 0.9,
    "min_quality": 0.5,
    "min_motion_px_s": 4,
    "min_motion_part_px_s": 3,
    "min_psnr_db": 4,
    "max_psnr_db": 90,
    "min_ssim": 0.02,
    "max_ssim": 0.9,
    "min_perceptual": 0.05,
    "max_perceptual": 0.95,
    "reduce": "mean",
    "near_duplicates": "all",
    "sample": {"takes": 0, "clusters": 4},
}
decide = partial(selection.decide, embeddings=Path("read_only_where_a_sample_is_drawn.parquet"))
NONE = DUPLICATES.empty_table(), MATCHES.empty_table()


def chosen(**changes: Any) -> TakeSet:
    return TakeSet(**LOOSE | changes)


def scores(takes: int, seed: int) -> pa.Table:
    """Return takes of made-up videos, twenty each, with random scores of the right kinds."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(takes):
        source, start = f"{number // 20:04x}".ljust(64, "0"), 1000 * (number % 20)
        row: dict[str, Any] = {}
        for field in SCORES:
            if pa.types.is_floating(field.type):
                row[field.name] = float(rng.uniform(0, 1))
            elif pa.types.is_integer(field.type):
                row[field.name] = 1
            elif pa.types.is_list(field.type):
                row[field.name] = []
            else:
                row[field.name] = "x"
        size = [(1280, 720), (1920, 1080), (640, 480), (1280, 400)][rng.choice(4, p=[0.5, 0.3, 0.1, 0.1])]
        row |= {
            "take_id": f"{source[:16]}-{start}-{start + 900}",
            "source_id": source,
            "name": f"{number // 20 % 3}.mp4",
        }
        row |= {"start_pts": start, "end_pts": start + 900, "width_px": size[0], "height_px": size[1]}
        row |= {"fps": float(rng.choice([12, 25, 30, 60, 120], p=[0.05, 0.4, 0.3, 0.2, 0.05]))}
        row |= {"duration_s": float(rng.uniform(0.9, 9)), "max_color_difference": float(rng.uniform(0, 90))}
        row |= {"luma": float(rng.uniform(10, 245)), "motion_px_s": float(rng.uniform(2, 60))}
        row |= {"motion_part_px_s": float(rng.uniform(2, 40))}
        row |= {f"psnr_db_{how}": float(rng.uniform(2, 100)) for how in ("mean", "min", "max")}
        row |= {"keyframe_pts": [start], "quality": float(rng.uniform(0, 10))}
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=SCORES)


def embeddings(table: pa.Table, kinds: list[int], seed: int) -> pa.Table:
    """Return the content of takes: of each kind much the same."""
    content_BD = np.eye(4)[kinds] + np.random.default_rng(seed).normal(0, 0.02, (len(kinds), 4))
    columns = {"take_id": table.column("take_id"), "embedding": content_BD.astype(np.float32).tolist()}
    return pa.table(columns, schema=EMBEDDINGS)


def by_loop(table: pa.Table, select: TakeSet) -> dict[str, str]:
    """Return take_id -> the first rule that it fails or "": one take and one rule at a time."""
    found = {}
    for row in table.to_pylist():
        found[row["take_id"]] = ""
        for rule in RULES:
            limit, value = getattr(select, rule.key), row[rule.score.format(reduce=select.reduce)]
            if limit is not None and not (value >= limit if rule.keeps == ">=" else value <= limit):
                found[row["take_id"]] = rule.reason
                break
    return found


def test_each_candidate_is_kept_or_rejected_by_the_first_rule_that_it_fails() -> None:
    table, select = scores(2000, seed=1), chosen()
    decided = decide(table, *NONE, select, excluded={}, included={})
    expected = by_loop(table, select)
    assert set(decided.kept.column("take_id").to_pylist()) == {t for t, reason in expected.items() if not reason}
    score_of = {rule.reason: (rule.score, threshold) for rule, threshold in active_rules(select)}
    for row in decided.rejected.to_pylist():
        score, threshold = score_of[row["reason"]]
        assert row["reason"] == expected[row["take_id"]]
        assert (row["score"], row["value"], row["threshold"]) == (score, row[score], threshold)
    assert set(expected.values()) == {"", *(rule.reason for rule in RULES)}
    assert len(decided.kept) + len(decided.rejected) == 2000


def test_a_bound_that_equals_the_score_keeps_the_take() -> None:
    table = scores(200, seed=2)
    value = sorted(table.column("luma").to_pylist())[100]
    low = decide(table, *NONE, chosen(**OFF | {"min_duration_s": 0.1, "min_luma": value}), excluded={}, included={})
    high = decide(table, *NONE, chosen(**OFF | {"min_duration_s": 0.1, "max_luma": value}), excluded={}, included={})
    assert (len(low.kept), len(high.kept)) == (100, 101)


def test_a_quantile_is_that_of_the_candidates_that_its_rule_meets() -> None:
    table = scores(1000, seed=3)
    select = chosen(**OFF | {"min_duration_s": 3, "min_quality": {"quantile": 0.25}, "max_ssim": {"quantile": 0.5}})
    decided = decide(table, *NONE, select, excluded={}, included={})
    met = sorted(row["quality"] for row in table.to_pylist() if row["duration_s"] >= 3)
    assert decided.limits["quality"] in met
    assert sum(value < decided.limits["quality"] for value in met) == pytest.approx(0.25 * len(met), abs=1)
    left = sorted(
        row["ssim_mean"]
        for row in table.to_pylist()
        if row["duration_s"] >= 3 and row["quality"] >= decided.limits["quality"]
    )
    assert len(decided.kept) == pytest.approx(len(left) / 2, abs=1)
    assert {row["threshold"] for row in decided.rejected.to_pylist() if row["reason"] == "quality"} == {
        decided.limits["quality"]
    }


def test_scores_over_pairs_are_reduced_as_asked() -> None:
    table = scores(500, seed=4)
    for how in ("mean", "min", "max"):
        select = chosen(reduce=how)
        decided = decide(table, *NONE, select, excluded={}, included={})
        expected = by_loop(table, select)
        assert set(decided.kept.column("take_id").to_pylist()) == {t for t, reason in expected.items() if not reason}


def test_a_missing_score_that_a_rule_needs_is_named_and_one_that_none_needs_is_not() -> None:
    rows = scores(40, seed=5).to_pylist()
    rows[7]["quality"] = None
    table = pa.Table.from_pylist(rows, schema=SCORES)
    select = chosen(**OFF | {"min_duration_s": 0.1, "min_quality": 0.0})
    with pytest.raises(Exception, match=rf"take {rows[7]['take_id']} has no quality"):
        decide(table, *NONE, select, excluded={}, included={})
    decide(table, *NONE, chosen(**OFF | {"min_duration_s": 0.1}), excluded={}, included={})
    rows[7]["duration_s"] = 0.01
    decide(pa.Table.from_pylist(rows, schema=SCORES), *NONE, select, excluded={}, included={})


def test_overrides_win_over_rules_and_exclusion_over_inclusion() -> None:
    table, select = scores(400, seed=6), chosen()
    plain = decide(table, *NONE, select, excluded={}, included={})
    good, bad = plain.kept.to_pylist()[0], plain.rejected.to_pylist()[0]
    source = plain.rejected.to_pylist()[-1]["source_id"]
    excluded = {good["take_id"]: "a logo", source: "not ours"}
    decided = decide(table, *NONE, select, excluded=excluded, included={bad["take_id"]: "wanted", source: "wanted too"})
    kept = decided.kept.to_pylist()
    assert bad["take_id"] in {row["take_id"] for row in kept}
    assert source not in {row["source_id"] for row in kept}
    why = {row["take_id"]: (row["reason"], row["detail"]) for row in decided.rejected.to_pylist()}
    assert why[good["take_id"]] == ("excluded", "a logo")


def test_what_lies_below_the_floor_cannot_be_included_and_says_so() -> None:
    rows = scores(100, seed=11).to_pylist()
    unscored = ("overlay_area", "artifact_area", "text_area", "quality", "keyframe_pts")
    rows[3] |= dict.fromkeys(unscored) | {"duration_s": 0.2}
    table = pa.Table.from_pylist(rows, schema=SCORES)
    select = chosen(**OFF | {"min_duration_s": 0.9, "sample": {"takes": 5, "clusters": 2}})
    content = embeddings(table, [n % 4 for n in range(100)], seed=11)
    content = content.filter(pa.array([n != 3 for n in range(100)]))
    included = {rows[3]["take_id"]: "wanted", rows[4]["take_id"]: "wanted too"}
    decided = decide(table, *NONE, select, excluded={}, included=included, embeddings=content)
    assert rows[4]["take_id"] in decided.kept.column("take_id").to_pylist()
    (why,) = (row for row in decided.rejected.to_pylist() if row["take_id"] == rows[3]["take_id"])
    assert (why["reason"], why["value"], why["detail"]) == ("duration", 0.2, selection.BELOW_FLOOR)


def copies(table: pa.Table, clusters: list[list[int]], *, alike: bool = True) -> tuple[pa.Table, pa.Table]:
    """Return the tables of near-duplicates in which the rows of each cluster show the same, the first the best.

    Not `alike`: each shows the same as the first, and none the same as another.
    """
    ids, sources = table.column("take_id").to_pylist(), table.column("source_id").to_pylist()
    rows, pairs = [], []
    for cluster in clusters:
        best = ids[cluster[0]]
        for rank, number in enumerate(cluster):
            match = {"distance": 0.01 * rank, "offset_s": 0.0, "overlap_s": 2.0, "mirrored": False}
            row = {"take_id": ids[number], "source_id": sources[number], "cluster_id": best, "rank": rank}
            rows.append(row | match | {"place": len(rows), "linked_id": best, "nearest_take_id": best})
            whole = {"left": 0.0, "right": 1.0, "top": 0.0, "bottom": 1.0}
            for other in cluster[:rank] if alike else cluster[: min(rank, 1)]:
                pairs.append({"take_id": ids[number], "other_take_id": ids[other]} | match | whole)
    return pa.Table.from_pylist(rows, schema=DUPLICATES), pa.Table.from_pylist(pairs, schema=MATCHES)


def test_of_near_duplicates_the_best_that_passes_the_other_rules_is_kept() -> None:
    table = scores(400, seed=7)
    select = chosen(near_duplicates="best", max_color_difference=60)
    passing = [t for t, reason in by_loop(table, select).items() if not reason]
    number = {row["take_id"]: n for n, row in enumerate(table.to_pylist())}
    failing = [t for t, reason in by_loop(table, select).items() if reason]
    one, two = [failing[0], passing[0], passing[1], failing[1]], [passing[2], passing[3]]
    duplicates = copies(table, [[number[t] for t in one], [number[t] for t in two]])
    decided = decide(table, *duplicates, select, excluded={}, included={})
    why = {row["take_id"]: (row["reason"], row["detail"]) for row in decided.rejected.to_pylist()}
    assert why[passing[1]] == ("near_duplicate", f"of {passing[0]}")
    assert why[passing[3]] == ("near_duplicate", f"of {passing[2]}")
    kept = set(decided.kept.column("take_id").to_pylist())
    assert kept == set(passing) - {passing[1], passing[3]}
    wanted = decide(table, *duplicates, select, excluded={}, included={passing[1]: "this one", failing[1]: "and this"})
    kept = set(wanted.kept.column("take_id").to_pylist())
    assert {passing[1], failing[1]} <= kept
    assert passing[0] not in kept


def test_what_only_a_rejected_take_has_in_common_is_no_near_duplicate() -> None:
    table = scores(400, seed=12)
    select = chosen(near_duplicates="best")
    passing = [t for t, reason in by_loop(table, select).items() if not reason]
    failing = [t for t, reason in by_loop(table, select).items() if reason]
    number = {take_id: n for n, take_id in enumerate(table.column("take_id").to_pylist())}
    halves = copies(table, [[number[t] for t in (failing[0], passing[0], passing[1])]], alike=False)
    decided = decide(table, *halves, select, excluded={}, included={})
    assert set(decided.kept.column("take_id").to_pylist()) == set(passing)
    included = {failing[0]: "the whole of which they are the halves"}
    decided = decide(table, *halves, select, excluded={}, included=included)
    why = {row["take_id"]: (row["detail"], row["value"]) for row in decided.rejected.to_pylist()}
    assert [why[passing[rank - 1]] for rank in (1, 2)] == [(f"of {failing[0]}", 0.01 * rank) for rank in (1, 2)]


def test_the_funnel_only_narrows_and_ends_at_what_is_kept() -> None:
    table = scores(600, seed=8)
    select = chosen(near_duplicates="best", sample={"takes": 20, "clusters": 4})
    excluded = {table.column("source_id")[0].as_py(): "not ours"}
    content = embeddings(table, [number % 4 for number in range(600)], seed=8)
    decided = decide(table, *copies(table, [[1, 2, 3]]), select, excluded=excluded, included={}, embeddings=content)
    left = [count for _, count in decided.funnel]
    assert left[0] == 600
    assert left == sorted(left, reverse=True)
    assert left[-1] == len(decided.kept) == 20
    assert len(decided.funnel) == len(RULES) + 4


def test_a_sample_is_drawn_evenly_from_clusters_of_content() -> None:
    table = scores(600, seed=9)  # one kind of content nine times as frequent as each of the other two:
    kind_of = dict(zip(table.column("take_id").to_pylist(), [max(0, n % 11 - 8) for n in range(600)], strict=True))
    content = embeddings(table, list(kind_of.values()), seed=1)
    select = chosen(**OFF | {"min_duration_s": 0.1, "sample": {"takes": 30, "clusters": 3}})
    decided = decide(table, *NONE, select, excluded={}, included={}, embeddings=content)
    kept = decided.kept.to_pylist()
    kinds = [kind_of[row["take_id"]] for row in kept]
    assert sorted(kinds.count(kind) for kind in range(3)) == [10, 10, 10]
    assert len({(kind, row["content_cluster"]) for kind, row in zip(kinds, kept, strict=True)}) == 3
    assert {row["reason"] for row in decided.rejected.to_pylist()} == {"sampled_out"}


def test_drawing_takes_the_best_of_each_cluster_in_turns_and_all_that_is_wanted() -> None:
    clusters, quality = [0, 0, 0, 1, 1, 2], [1.0, 3.0, 2.0, 5.0, 4.0, None]
    nobody = [False] * 6
    assert draw_evenly(clusters, quality, nobody, 3) == [False, True, False, True, False, True]
    assert draw_evenly(clusters, quality, nobody, 5) == [False, True, True, True, True, True]
    assert draw_evenly(clusters, quality, [True, False, False, False, False, False], 2)[0]


def test_clusters_are_the_same_on_every_run() -> None:
    points = np.random.default_rng(2).normal(0, 1, (50, 6)).tolist()
    assert content_clusters(points, 5) == content_clusters(points, 5)
    assert content_clusters([[1.0, 0.0]] * 3, 5) == [0, 0, 0]


def test_what_shares_footage_is_in_one_split_and_others_do_not_move_it() -> None:
    sources = [f"{n:064x}" for n in range(300)]
    pairs = [(sources[1], sources[2]), (sources[2], sources[7])]
    groups = split_groups(sources, pairs)
    assert groups[sources[1]] == groups[sources[2]] == groups[sources[7]] == sources[1]
    assert groups[sources[3]] == sources[3]
    splits = [split_of(groups[s], seed=1, valid=0.2, test=0.1) for s in sources]
    assert splits[1] == splits[2] == splits[7]
    assert 0.12 < splits.count("valid") / 300 < 0.28
    assert 0.04 < splits.count("test") / 300 < 0.16
    assert [split_of(s, seed=1, valid=0.2, test=0.1) for s in sources[10:]] == splits[10:]


def test_shares_of_splits_that_leave_nothing_to_train_on_are_refused() -> None:
    Splits(seed=1, valid=0.5, test=0.5)
    with pytest.raises(ValueError, match=r"valid 0\.7 and test 0\.4 are more than all"):
        Splits(seed=1, valid=0.7, test=0.4)


def test_a_histogram_has_the_candidates_that_its_rule_meets_and_its_threshold_between_bars() -> None:
    table, select = scores(800, seed=10), chosen()
    decided = decide(table, *NONE, select, excluded={}, included={})
    drawn = histograms(select, decided, decided.kept.to_pylist(), decided.rejected.to_pylist())
    left = dict(decided.funnel)
    before = list(left.values())
    for one in drawn:
        counts, edges = one.bins()
        assert counts.sum() == len(one.values) == before[one.number + 1]
        assert np.isclose(edges, one.threshold, rtol=1e-9, atol=1e-12).any()
        right = counts[np.isclose(edges[:-1], one.threshold) | (edges[:-1] > one.threshold)].sum()
        passed = right if one.rule.keeps == ">=" else counts.sum() - right
        assert passed == left[f"{one.rule.step} {one.rule.reason}"]
        assert all(take[one.rule.score] <= one.threshold for take in one.below)
        assert all(take[one.rule.score] >= one.threshold for take in one.above)


def test_thresholds_that_no_take_could_pass_are_named() -> None:
    with pytest.raises(ValueError, match="min_luma is above max_luma"):
        chosen(min_luma=240)


@pytest.mark.parametrize("name, value", [("min_height_px", 200), ("min_duration_s", 0.5), ("min_height_px", None)])
def test_a_threshold_looser_than_the_floor_is_named(name: str, value: float | None) -> None:
    floor = FloorParams(min_height_px=240, min_duration_s=1)
    check_floor_of(floor, chosen(), "pretrain")
    with pytest.raises(ValueError, match=rf"select_takes\.pretrain\.{name} = .* is looser than floor\.{name}"):
        check_floor_of(floor, chosen(**{name: value}), "pretrain")
