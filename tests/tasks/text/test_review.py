"""Sheets that no spreadsheet can be harmed by, and the agreement of those who fill them in."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.text.review import Item, agreement, fleiss_kappa, read_marks, sheet_text, sheets

ITEMS = [
    Item("falsification", f"p{n}", "=cmd|' /C calc'!A0", "It grinds, slowly.\nYes.", "@a", "-b") for n in range(12)
]


def test_kappa_is_that_of_the_worked_example_of_fourteen_raters() -> None:
    # ten items, fourteen raters, five categories: the table that texts on Fleiss' kappa work through, 0.210
    table = [
        *([0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1]),
        *([7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]),
    ]
    ratings = [[kind for kind, count in enumerate(row) for _ in range(count)] for row in table]
    kappa = fleiss_kappa(ratings)
    assert kappa is not None
    assert round(kappa, 3) == 0.210


def test_everybody_gets_the_shared_items_and_each_other_item_goes_to_one() -> None:
    dealt = sheets(ITEMS, 3, 3)
    assert all(mine[:3] == ITEMS[:3] for mine in dealt)
    assert sorted(item.item_id for mine in dealt for item in mine[3:]) == sorted(item.item_id for item in ITEMS[3:])


def test_no_cell_of_a_sheet_is_a_formula_and_text_comes_back_whole() -> None:
    rows = list(csv.DictReader(io.StringIO(sheet_text(ITEMS).removeprefix("\ufeff"), newline="")))
    assert rows[0]["passage"] == ITEMS[0].passage
    assert [rows[0][name] for name in ("title", "given", "shown")] == ["'=cmd|' /C calc'!A0", "'@a", "'-b"]


def marked(path: Path, marks: list[str], *, delimiter: str = ",") -> Path:
    rows = list(csv.reader(io.StringIO(sheet_text(ITEMS).removeprefix("\ufeff"), newline="")))
    for row, mark in zip(rows[1:], marks, strict=False):
        row[6] = mark
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    path.write_text("\ufeff" + out.getvalue(), newline="")
    return path


def test_filled_in_sheets_give_accuracy_by_majority_and_kappa_over_what_all_marked(tmp_path: Path) -> None:
    one = marked(tmp_path / "1.csv", ["v", "v", "x", "v"])
    two = marked(tmp_path / "2.csv", ["V", "x", "No", "", "1"], delimiter=";")
    read = read_marks([one, two], ITEMS)
    found = agreement(read.by_step["falsification"])
    assert read.stale == 0
    assert (found.items, found.marks, found.shared) == (5, 8, 3)
    assert found.accuracy == 3 / 5  # p0, p3 and p4; p1 is a tie
    assert found.kappa == pytest.approx((2 / 3 - 1 / 2) / (1 - 1 / 2))  # 2 of 3 agree; half of all marks are right


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"step,item_id,shown,correct\nfactual,p0,a,maybe\n",
            r"a\.csv, line 2: correct is 'maybe': v \(right\) or x \(wrong\)",
        ),
        (b"step,item_id,shown,correct\nfactual,p0,a,v\nfactual,p0,a,x\n", r"line 3: item p0 is marked twice"),
        (b"step,item_id\nfactual,p0\n", "no column correct, shown"),
        (b"correct,step,shown,item_id\nv,factual,a\n", "line 2: marked, but of no step and item"),
        (b"step,item_id,shown,correct\nfact,p0,a,v\n", "line 2: marked, but of no step and item"),
        (b'step,item_id,shown,correct\nfactual,"' + b"p" * 200_000, r"a\.csv, from line 1 on: field larger than"),
        (b"step,item_id,correct\n\xff", "save it as UTF-8"),
    ],
)
def test_a_sheet_that_cannot_be_read_is_an_error_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_marks([tmp_path / "a.csv"], [])


def test_a_sheet_in_another_form_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"a\.xlsx: no CSV"):
        read_marks([tmp_path / "a.xlsx"], [])
    (tmp_path / "A.CSV").write_text("step,item_id,shown,correct\nfactual,p0,Rain fell.,v\n")
    items = [Item("factual", "p0", "", "", "", "Rain fell.")]
    assert read_marks([tmp_path / "A.CSV"], items).by_step == {"factual": {"p0": [True]}}


def test_a_mark_on_what_reads_otherwise_now_or_is_gone_is_not_counted(tmp_path: Path) -> None:
    sheet = marked(tmp_path / "1.csv", ["v", "x", "v", "x"])
    others = [replace(ITEMS[0], shown="-b  "), replace(ITEMS[1], shown="-c"), *ITEMS[2:3]]  # the fourth is gone
    read = read_marks([sheet], others)
    assert read.by_step == {"falsification": {"p0": [True], "p2": [True]}}
    assert read.stale == 2
