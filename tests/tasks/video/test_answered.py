"""Figures of answers, against counts by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.video.answered import TYPES, draw_heat_map, figures_of, heat_map
from tasks.video.question_forms import sort_of


def row(family: str, pairing: str, right: float, **more: Any) -> dict[str, Any]:
    return {
        **{"family": family, "pairing": pairing, "right": right, "right_one_frame": 0.0, "right_no_video": 0.5},
        **{"type": "counting", "needle_share": 0.2, "needle_position": 0.5, **more},
    }


def test_pairings_count_alike_however_many_items_they_have() -> None:
    rows = [row("temporal_niah", "film_in_film", 1.0)] + [row("temporal_niah", "film_in_generated", 0.0)] * 3
    figures = figures_of(rows)
    assert figures["eval"]["needles_acc"] == 0.25
    assert figures["eval"]["needles_by_pairing_acc"] == 0.5
    assert figures["pairing_temporal_niah"] == {"film_in_film": 1.0, "film_in_generated": 0.0}
    assert figures["one_frame"]["needles"] == 0.0
    assert figures["no_video"]["all"] == 0.5


def test_grids_are_told_by_type_and_needles_are_not_among_them() -> None:
    rows = [
        row("hr_video_grid", "film_in_film", 1.0, type="ocr"),
        row("hr_video_grid", "film_in_film", 0.0, type="counting"),
        row("spatial_niah", "film_in_film", 1.0),
    ]
    figures = figures_of(rows)
    assert figures["hr_type"] == {"counting": 0.0, "ocr": 1.0}
    assert figures["hr_choices"] == {"counting": 1, "ocr": 1}
    assert figures["eval"]["hrvideobench_acc"] == 0.5
    assert "pairing_hr_video_grid" not in figures


def test_hrvideobench_has_ten_types_and_no_sort_is_of_two() -> None:
    assert len(TYPES) == 10
    styles = [style for of_type in TYPES.values() for style in of_type]
    assert len(styles) == len(set(styles))
    assert all(sort_of(style) for style in styles)


def test_the_map_parts_lengths_evenly_and_places_by_quarters(tmp_path: Path) -> None:
    rows = [
        row("temporal_niah", "film_in_film", float(number % 2), needle_share=0.01 * number, needle_position=place)
        for number, place in enumerate(np.linspace(0.05, 0.95, 12))
    ]
    rows.append(row("spatial_niah", "film_in_film", 1.0, needle_position=0.5))  # is there all the time: not shown
    accuracy, counts, edges = heat_map(rows)
    assert counts.sum(axis=1).tolist() == [4, 4, 4]
    assert counts[0].tolist() == [3, 1, 0, 0]
    assert accuracy[0, 0] == pytest.approx(1 / 3)
    assert np.isnan(accuracy[0, 3])
    assert edges == sorted(edges)
    draw_heat_map(rows, tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.size[0] > 400
