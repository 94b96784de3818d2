"""Write bench/RESULTS.md from the rows that the benchmarks left beside it: python -m bench.results"""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
INTRO = """# Speed beside the peers

Written by `python -m bench.results` from `bench/*.json`, the rows of the last runs. Figures depend on the machine; what
carries over are the ratios, each measured in one run against the peer beside it. CPU seconds are user + system; medians
of alternating runs. `make bench` repeats all of it; run it on an idle machine ({cores} cores here).
"""


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


def main() -> None:
    """Read the rows, write the page."""
    video = json.loads((HERE / "video.json").read_text())
    shots = json.loads((HERE / "video_shots.json").read_text())
    orchestration = json.loads((HERE / "orchestration.json").read_text())
    what = f"{video['input']}, first {video['seconds']:g} s, median of {video['tries']} tries in turns"
    page = [
        INTRO.format(cores=video["cores"]),
        section(
            f"Video: {what}",
            "python -m bench.video",
            video,
            ["contender", "frames", "frames_per_cpu_s", "of_bare_decode", "peak_mb", "found"],
        ),
        f"Target: the scan at {video['target']} of a bare decode or better; met: {_cell(video['met'])}.\n",
        section(
            f"Shots of {shots['input']}, {shots['frames']} frames, beside other lists (equal within a frame)",
            "python -m bench.video_shots",
            shots,
            ["contender", "boundaries", "cpu_s", "found_by_ours_alone", "not_found_by_ours"],
        ),
        f"TransNetV2 saw {shots['network_share']:.0%} of its frames; {shots['network_cpu_s']:g} s CPU of "
        "ours are its own. PySceneDetect's include the decode. Each difference is a row of pictures in "
        "[docs/shots-differences.jpg](../docs/shots-differences.jpg).\n",
        section(
            "Orchestration",
            "python -m bench.orchestration",
            orchestration,
            ["figure", "ours", "beside", "result", "target", "met"],
        ),
    ]
    (HERE / "RESULTS.md").write_text("\n".join(page))


if __name__ == "__main__":
    main()
