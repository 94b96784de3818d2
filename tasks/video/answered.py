"""What a model answered to VISTA's choices: one row for each, and figures by subset, pairing, needle and type.

The types are HRVideoBench's ten (arXiv 2412.00927, section 4).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.video.choice_items import ChoiceItem

NEEDLES = ("temporal_niah", "spatial_niah", "spatiotemporal_niah")
HIGH_RESOLUTION = "hr_video_grid"
TYPES: dict[str, tuple[str, ...]] = {  # of HRVideoBench: the sorts of our questions that are of it
    "counting": ("object_count", "person_count", "face_count"),
    "ocr": ("glyph", "text"),
    "object_recognition": ("object_shape",),
    "entity_recognition": ("background_texture", "object_texture"),
    "property_recognition": (
        *("object_colour", "object_size", "background_colour", "dominant_colour"),
        *("brightest_part", "darkest_part", "brightness", "object_position"),
    ),
    "status_change": ("colour_before", "colour_after"),
    "action": ("change", "event", "motion"),
    "moving_direction": ("object_motion", "camera_motion"),
    "interaction": ("collides_with",),
    "temporal_sequence": ("before", "after", "first", "last", "between", "order"),
}
_TYPE_OF = {style: name for name, styles in TYPES.items() for style in styles}
ANSWERS = pa.schema(
    [
        pa.field(name, pa.string(), nullable=False)
        for name in ("id", "family", "pairing", "style", "type", "key", "answer")
    ]
    + [
        pa.field(name, pa.float64(), nullable=False)  # 1 right, 0 wrong, 1/k where k options are equally best
        for name in ("right", "right_one_frame", "right_no_video")
    ]
    + [pa.field(name, pa.float64(), nullable=False) for name in ("needle_share", "needle_position", "duration_s")]
    + [pa.field(name, pa.int32(), nullable=False) for name in ("width_px", "height_px")]
)
LENGTHS = 3  # rows of the map: as many items in each
POSITIONS = 4  # columns: equal parts of the video


def answer_rows(items: Sequence[ChoiceItem], answers: Sequence[str], right: Mapping[str, np.ndarray]) -> list[Any]:
    """Return rows of ANSWERS; `right` has how right each item is by the whole video, `one_frame` and `no_video`."""
    rows = []
    for number, item in enumerate(items):
        canvas = item.composition.canvas
        rows.append(
            {
                "id": item.item_id,
                **{name: getattr(item, name) for name in ("family", "pairing", "style", "key")},
                "type": _TYPE_OF.get(item.style, "other"),
                "answer": answers[number],
                "right": float(right["video"][number]),
                "right_one_frame": float(right["one_frame"][number]),
                "right_no_video": float(right["no_video"][number]),
                "needle_share": item.needle_share,
                "needle_position": item.needle_position,
                "duration_s": item.composition.duration_s,
                "width_px": canvas.width,
                "height_px": canvas.height,
            }
        )
    return rows


def figures_of(rows: Sequence[Mapping[str, Any]], failed_answers: int = 0) -> dict[str, dict[str, float]]:
    """Return accuracies by group; `eval` has those that the paper's claim is read by.

    An answer that failed is a wrong one, and is counted.
    """
    needles = [row for row in rows if row["family"] in NEEDLES]
    grids = [row for row in rows if row["family"] == HIGH_RESOLUTION]
    figures: dict[str, dict[str, float]] = {
        "eval": {
            "accuracy": _mean(rows),
            **{f"{name}_acc": _mean([r for r in rows if r["family"] == name]) for name in _values(rows, "family")},
            **({"needles_acc": _mean(needles), "needles_by_pairing_acc": _by_pairing(needles)} if needles else {}),
            **({"hrvideobench_acc": _mean(grids)} if grids else {}),
        },
        "one_frame": {name: _mean(of, "right_one_frame") for name, of in _sets(rows, needles, grids).items()},
        "no_video": {name: _mean(of, "right_no_video") for name, of in _sets(rows, needles, grids).items()},
        "choices": {
            "total": len(rows),
            "failed_answers": failed_answers,
            **{name: _count(rows, "family", name) for name in _values(rows, "family")},
        },
    }
    for family in NEEDLES:
        mine = [row for row in rows if row["family"] == family]
        if mine:
            figures[f"pairing_{family}"] = {
                name: _mean([row for row in mine if row["pairing"] == name]) for name in _values(mine, "pairing")
            }
    if grids:
        figures["hr_type"] = {name: _mean([r for r in grids if r["type"] == name]) for name in _values(grids, "type")}
        figures["hr_choices"] = {name: _count(grids, "type", name) for name in _values(grids, "type")}
    return {group: {name: round(value, 6) for name, value in of.items()} for group, of in figures.items()}


def _sets(rows: Sequence[Any], needles: Sequence[Any], grids: Sequence[Any]) -> dict[str, Sequence[Any]]:
    return {name: of for name, of in (("all", rows), ("needles", needles), ("hrvideobench", grids)) if of}


def _by_pairing(rows: Sequence[Mapping[str, Any]]) -> float:
    """Return the mean of pairings: film and generated clips count alike, however many items there are of each."""
    return float(np.mean([_mean([r for r in rows if r["pairing"] == name]) for name in _values(rows, "pairing")]))


def _mean(rows: Sequence[Mapping[str, Any]], name: str = "right") -> float:
    return float(np.mean([row[name] for row in rows]))


def _values(rows: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    return sorted({row[name] for row in rows})


def _count(rows: Sequence[Mapping[str, Any]], name: str, value: str) -> int:
    return sum(row[name] == value for row in rows)


def heat_map(rows: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Return accuracy and count by needle length and position, (LENGTHS, POSITIONS) each, and the lengths' upper edges.

    Of needles in time. Lengths are shares of the video, parted so that each row has as many items; where there is no
    item, accuracy is NaN.
    """
    needles = [row for row in rows if row["family"] in ("temporal_niah", "spatiotemporal_niah")]
    shares = np.array([row["needle_share"] for row in needles])
    edges = np.quantile(shares, np.arange(1, LENGTHS + 1) / LENGTHS) if needles else np.zeros(LENGTHS)
    sums, counts = np.zeros((LENGTHS, POSITIONS)), np.zeros((LENGTHS, POSITIONS))
    for row in needles:
        length = min(int(np.searchsorted(edges, row["needle_share"])), LENGTHS - 1)
        position = min(int(row["needle_position"] * POSITIONS), POSITIONS - 1)
        sums[length, position] += row["right"]
        counts[length, position] += 1
    with np.errstate(invalid="ignore"):
        return sums / counts, counts, [float(edge) for edge in edges]


def draw_heat_map(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw `heat_map` as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    accuracy, counts, edges = heat_map(rows)
    figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    image = axes.imshow(accuracy, vmin=0, vmax=1, cmap="viridis", aspect="auto")
    for length, position in np.ndindex(accuracy.shape):
        value, count = accuracy[length, position], int(counts[length, position])
        told = f"{value:.2f}\nof {count}" if count else "none"
        light = count and value > 0.6
        axes.text(position, length, told, ha="center", va="center", color="black" if light else "white", fontsize=9)
    parts = [f"{100 * n // POSITIONS} to {100 * (n + 1) // POSITIONS} %" for n in range(POSITIONS)]
    axes.set_xticks(range(POSITIONS), parts)
    axes.set_yticks(range(LENGTHS), [f"up to {100 * edge:.0f} %" for edge in edges])
    axes.set_xlabel("where in the video the needle is")
    axes.set_ylabel("length of the needle")
    axes.set_title("Accuracy on needles in time (chance 0.25)")
    figure.colorbar(image, ax=axes)
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)
