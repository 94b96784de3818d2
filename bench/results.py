"""What benchmarks leave, and bench/RESULTS.md written from it: python -m bench.results"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
INTRO = """# Speed beside the peers

Written by `python -m bench.results` from `bench/*.json`, the rows of the last runs. Figures depend on the machine; what
carries over are the ratios, each measured in one run against the peer beside it. CPU seconds are user + system; medians
of alternating runs. `make bench` repeats all of it; run it on an idle machine ({cores} cores here).
"""


@dataclass(frozen=True)
class Row:
    """One figure: what was measured, what it is compared to, and the target of the design."""

    figure: str
    ours: str
    beside: str
    result: str
    target: str = ""
    met: bool | None = None


def section(title: str, command: str, rows: dict[str, Any], columns: list[str]) -> str:
    """Return a heading, how to repeat it, and a table of the rows."""
    load = f"Load before: {rows['load_before']:.1f}."
    lines = [f"## {title}", "", f"`{command}`. {load}", ""]
    lines += ["| " + " | ".join(name.replace("_", " ") for name in columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(_cell(row.get(name)) for name in columns) + " |" for row in rows["rows"]]
    return "\n".join([*lines, ""])


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    return "" if value is None else str(value).replace("|", "\\|")


def rows_of(name: str) -> dict[str, Any] | None:
    """Return the rows that a benchmark left, None if it has not run."""
    path = HERE / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def video(rows: dict[str, Any]) -> list[str]:
    what = f"{rows['input']}, first {rows['seconds']:g} s, median of {rows['tries']} tries in turns"
    columns = ["contender", "frames", "frames_per_cpu_s", "of_bare_decode", "peak_mb", "found"]
    return [
        section(f"Video: {what}", "python -m bench.video", rows, columns),
        f"Target: the scan at {rows['target']} of a bare decode or better; met: {_cell(rows['met'])}. In the "
        f"single turns, each beside its own decode: {', '.join(map(str, rows['rows'][1]['of_bare_decode_each']))}.\n",
    ]


def vista(rows: dict[str, Any]) -> list[str]:
    columns = ["figure", "frames", "ours", "beside", "result", "peak_mb", "peak_mb_beside", "target", "met"]
    what = f"{rows['input']}, median of {rows['tries']} tries in turns"
    return [
        section(
            f"VISTA's compositions beside a plain decode and encode: {what}", "python -m bench.vista", rows, columns
        ),
        "Frames per CPU-second; result: ours in parts of the peer's. The peer of a file decodes the same clips and "
        "encodes as many frames by the same settings; that of a loader's frames decodes all and shows none.\n",
    ]


def data_juicer(rows: dict[str, Any]) -> list[str]:
    what = f"{rows['input']}, first {rows['seconds']:g} s, median of {rows['tries']} tries in turns"
    columns = ["contender", "frames", "frames_per_cpu_s", "cpu_s", "scan_is_faster", "peak_mb", "found"]
    return [
        section(f"The scan beside data-juicer as it comes: {what}", "python -m bench.data_juicer", rows, columns),
        "CPU of child processes (ffmpeg) included, imports left out. Target: the scan at "
        f"{rows['target']} times data-juicer's two ops or better: {rows['ratio']}x, met: {_cell(rows['met'])}.\n",
    ]


def video_scale(rows: dict[str, Any]) -> list[str]:
    columns = ["figure", "ours", "beside", "result", "target", "met"]
    return [section("How the video line grows", "python -m bench.video_scale", rows, columns)]


def video_shots(rows: dict[str, Any]) -> list[str]:
    title = f"Shots of {rows['input']}, {rows['frames']} frames, beside other lists (equal within a frame)"
    columns = ["contender", "boundaries", "cpu_s", "found_by_ours_alone", "not_found_by_ours"]
    return [
        section(title, "python -m bench.video_shots", rows, columns),
        f"TransNetV2 saw {rows['network_share']:.0%} of its frames; {rows['network_cpu_s']:g} s CPU of "
        "ours are its own. PySceneDetect's include the decode. Each difference is a row of pictures in "
        "[docs/shots-differences.jpg](../docs/shots-differences.jpg).\n",
    ]


def duplicates(rows: dict[str, Any]) -> list[str]:
    columns = list(rows["rows"][-1])
    return [
        section("Near-duplicates among synthetic takes", "python -m bench.duplicates", rows, columns),
        "Exponent: of CPU seconds, search and comparison, since the size above. "
        f"{rows['compared']} candidates, drawn at random, are compared; the time for all, recall and precision are "
        "reckoned from them. Left out: making and reading pictures and fingerprints.\n",
    ]


def backends(rows: dict[str, Any]) -> list[str]:
    columns = ["backend", "kind", "with", "checks", "failed", "passed", "timed", "cpu_s"]
    title = f"Backends that need weights, each in an environment of its own (weights here: {rows['weights']})"
    return [section(title, "python -m bench.backends", rows, columns)]


def orchestration(rows: dict[str, Any]) -> list[str]:
    columns = ["figure", "ours", "beside", "result", "target", "met"]
    return [section("Orchestration", "python -m bench.orchestration", rows, columns)]


def learning(rows: dict[str, Any]) -> list[str]:
    columns = ["figure", "ours", "beside", "result", "target", "met"]
    return [section("The training loop beside a bare one", "python -m bench.learning", rows, columns)]


def physics(rows: dict[str, Any]) -> list[str]:
    columns = ["data", "what", "contender", "storage", "cpu_ms", "wall_ms", "times_the_well", "of_memory_copy"]
    targets = [
        f"{one['target']} at least {one['at_least']:g}: {one['found']:g}, {_cell(one['met'])}"
        for one in rows["targets"]
    ]
    return [
        section("Windows of The Well's files, milliseconds a sample", "python -m bench.physics", rows, columns),
        f"Values were first proved equal to the last bit. Targets met: {'; '.join(targets)}.\n",
    ]


def physics_solver(rows: dict[str, Any]) -> list[str]:
    what = f"Gray-Scott beside {rows['with']} after {rows['seconds']:g} s: greatest difference by py-pde's points"
    return [section(what, "python -m bench.physics_solver", rows, list(rows["rows"][0]))]


def physics_ingest(rows: dict[str, Any]) -> list[str]:
    columns = ["file", "mb", "plain_read_mb_per_cpu_s", "ingest_mb_per_cpu_s", "ratio", "met"]
    title = f"The ingest pass beside a plain h5py read of the same file (target {rows['target']})"
    return [section(title, "python -m bench.physics_ingest", rows, columns)]


def text_claims(rows: dict[str, Any]) -> list[str]:
    columns = ["claims", "number", "easiness_p", "easiness_r", "easiness_f1", "of_them_found", "of_annotated_found"]
    title = f"Claims of {rows['passages']} passages: rules beside annotation"
    constructions = {**rows, "rows": rows["by"]}
    return [
        section(title, "python -m bench.text_claims", rows, columns),
        f"{rows['passages_per_cpu_s']} passages a CPU second, one at a time. Easiness as in LLM-Oasis, by ROUGE-1; "
        f"found: the nearest claim of the other side is {rows['match']} alike or more.\n",
        section("The same by construction", "python -m bench.text_claims", constructions, list(rows["by"][0])),
    ]


def text_validators(rows: dict[str, Any]) -> list[str]:
    columns = ["kind", "pairs", "rejected", "share", "by_the_check_meant"]
    title = "Checks of falsified claims: seeded pairs, and the share that is judged right (target 0.9 of each kind)"
    return [section(title, "python -m bench.text_validators", rows, columns)]


def text(rows: dict[str, Any]) -> list[str]:
    columns = ["work", "small_cpu_s", "large_cpu_s", "large_per_cpu_s", "times"]
    small, large = rows["small"], rows["large"]
    names = {
        "small_cpu_s": f"cpu s, {small}",
        "large_cpu_s": f"cpu s, {large}",
        "large_per_cpu_s": "passages per cpu s",
    }
    shown = [{names.get(key, key): value for key, value in row.items()} for row in rows["rows"]]
    title = f"The text line: {small} and {large} passages, rules alone"
    store = rows["store"]
    return [
        section(title, "python -m bench.text", {**rows, "rows": shown}, [names.get(name, name) for name in columns]),
        f"The whole of {large} costs {rows['times_whole']} times that of {small}; target at most "
        f"{rows['target_times']:g}: {_cell(rows['met'])}.\n",
        section(
            "Search of evidence over all windows, 30 documents a claim",
            "python -m bench.text",
            {**rows, "rows": rows["search"]},
            ["search", "windows", "queries_per_cpu_s", "same_30_as_exact"],
        ),
        f"Keeping an answer of a language model: {store['keep_ms']} ms of CPU a call, with its file closed before the "
        f"call returns (target 2, one thread); finding one again: {store['find_ms']} ms.\n",
    ]


SECTIONS = (
    video,
    data_juicer,
    video_scale,
    video_shots,
    duplicates,
    vista,
    backends,
    orchestration,
    physics,
    physics_ingest,
    physics_solver,
    learning,
    text_claims,
    text_validators,
    text,
)  # NAME.json's


def main() -> None:
    """Read the rows, write the page. A benchmark that has not run has no section."""
    found = [(part, rows) for part in SECTIONS if (rows := rows_of(part.__name__))]
    cores = max((rows.get("cores", 0) for _, rows in found), default=0)
    sections = [text for part, rows in found for text in part(rows)]
    (HERE / "RESULTS.md").write_text("\n".join([INTRO.format(cores=cores), *sections]))


if __name__ == "__main__":
    main()
