"""What describes a simulated data set to people: its card, README.md.

Equal data sets have equal cards: no date, commit or host.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.markdown import table
from tasks.physics.roots import RAW_LICENCE, SPLITS
from tasks.physics.schema import WellFile, read_layout

_ABOUT = {
    "gray_scott_reaction_diffusion": (
        "Gray-Scott reaction-diffusion",
        "Two species that diffuse and react in a box that repeats: A' = dA lap A - A B^2 + F (1 - A), "
        "B' = dB lap B + A B^2 - (F + k) B, with dA = 2e-5 and dB = 1e-5. Each pair of F and k has its own patterns. "
        "Frames of each regime are as far apart as its patterns need to change, so files differ in their time step. "
        "Cells of 1/64, as in The Well, are coarse: with half of them B differs by 3 to 14 % (rms, of its deviation) "
        "after 60 s already, so these are solutions of the discrete equations, true to the others in kind.",
    ),
    "shear_flow": (
        "Periodic shear flow",
        "Layers of an incompressible fluid that slide past each other and roll up, in a box that repeats: "
        "u' = nu lap u - u . grad u - grad p, div u = 0, and a tracer s' = D lap s - u . grad s, with nu = 1 / Re and "
        "D = nu / Sc. As in The Well, the parameter `Rayleigh` is the Reynolds number.",
    ),
}

Files = Mapping[str, Sequence[Path]]  # of each split


def card_text(dataset: str, files: Files, parameters: Mapping[str, Any]) -> str:
    """Return README.md: what it is, licence and credit, counts, how to load it, and the parameters it was made with."""
    title, what = _ABOUT[dataset]
    layouts = {split: [read_layout(path) for path in paths] for split, paths in files.items()}
    rows = [
        (
            path.name,
            *(sum(one.trajectories for one in of if Path(one.path).name == path.name) for of in layouts.values()),
            layout.steps,
            f"{layout.time[1] - layout.time[0]:g}",
            ", ".join(f"{name} {value:g}" for name, value in layout.parameters.items()),
        )
        for path, layout in zip(files["train"], layouts["train"], strict=True)
    ]
    example = layouts["train"][0]
    shape = " x ".join(map(str, example.resolution))
    return "\n".join(
        [
            f"---\nlicense: {RAW_LICENCE.lower()}\npretty_name: {title}, simulated\ntags: [physics]\n---\n",
            f"# {title}, simulated\n",
            f"{what}\n",
            f"Fields {', '.join(field.name for field in example.fields)} on {shape} points, float32, in the layout, "
            "folders and file names of The Well's data set of the same name (arXiv 2412.00568). This is not its data: "
            "it was computed here, smaller, with the same equations and parameters as far as the table below says. "
            "No trajectory is in two splits.\n",
            "![frames](frames.png)\n",
            f"## Licence and credits\n\nLicence: {RAW_LICENCE}: computed from equations, free for any use. Simulated "
            "by Headrace's stage simulate_well (ETDRK4, pseudo-spectral, float64).\n",
            "## Files\n",
            table(("file", *SPLITS, "steps", "time step", "parameters"), rows),
            "## Loading\n\nThe block runs in the folder of this card.\n",
            f"```python\n{_LOADING.format(name=Path(example.path).name, path=_path_in_file(example))}```\n",
            "## How it was made\n",
            table(("parameter", "value"), ((name, json.dumps(value)) for name, value in _flat(parameters))),
        ]
    )


_LOADING = """\
import h5py

with h5py.File("data/train/{name}") as file:
    values = file["{path}"][0, :5]  # trajectory, times, then space
    print(values.shape, file["dimensions/time"][:5])
"""


def _path_in_file(layout: WellFile) -> str:
    return layout.fields[0].path


def _flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        found += _flat(value, f"{before}{name}.") if isinstance(value, Mapping) else [(f"{before}{name}", value)]
    return found
