"""Run the backends that want torchvision in an environment of their own: python -m bench.backends

It makes the environment (about 6 GB under .bench/), runs tests/backends_own_env.py there and times one score of each
with random weights of the true shapes. Rows: which backend, versions, what ran, seconds.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import psutil

from bench.environments import environment, versions

HERE = Path(__file__).resolve().parent
ROWS = HERE / "backends.json"
TESTS = Path("tests/backends_own_env.py")
REQUIREMENTS = [
    "torch==2.14.1",
    "torchvision==0.29.1",
    "lpips==0.1.4",
    "numpy==2.4.6",
    "scipy==1.17.1",
    "opencv-python-headless==5.0.0.93",
    "safetensors==0.8.0",
    "pytest==9.2.0",
]
BACKENDS = {"lpips": ("perceptual", ["lpips", "torch", "torchvision"]), "raft": ("flow", ["torch", "torchvision"])}

# Run there: makes random weights, scores once to warm up, then prints seconds of a second score.
TIMING = """
import sys, time
from pathlib import Path
import numpy as np, torch
from torchvision.models import alexnet
from torchvision.models.optical_flow import raft_large
from tasks.video.flow import Raft
from tasks.video.perceptual import Lpips
from tests.tasks.video import checkpoints

torch.set_num_threads(1)
name, folder = sys.argv[1], Path(sys.argv[2])
make, file = {"lpips": (alexnet, "alexnet.safetensors"), "raft": (raft_large, "raft_large.safetensors")}[name]
checkpoints.write(folder / file, checkpoints.random_state(make(weights=None).state_dict()))
images = list(np.random.default_rng(0).integers(0, 256, (5, 256, 456, 3), dtype=np.uint8))
if name == "lpips":
    backend = Lpips(folder)
    score = lambda: backend.distances(images)
else:
    backend = Raft(folder)
    score = lambda: backend.speed_px_s(images[0], images[1], 0.25)
score()
begun = time.process_time()
score()
print(time.process_time() - begun)
"""
TIMED = {"lpips": "4 pairs of 456x256", "raft": "a pair of 456x256"}


def run_tests(python: Path, name: str) -> tuple[int, int, list[str]]:
    """Run one backend's tests; return how many ran, how many failed, and the failures' names."""
    with tempfile.TemporaryDirectory(prefix="bench-backends-") as folder:
        report = Path(folder) / "report.xml"
        options = ["--noconftest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", f"--junitxml={report}", "-k", name]
        subprocess.run([str(python), "-m", "pytest", *options, str(TESTS)], cwd=HERE.parent, env=_env(), check=False)
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    failed = [case.get("name", "") for case in cases if any(part.tag in ("failure", "error") for part in case)]
    return len(cases), len(failed), failed


def seconds_a_score(python: Path, name: str) -> float:
    """Return CPU seconds of one score, one thread."""
    with tempfile.TemporaryDirectory(prefix="bench-backends-") as folder:
        command = [str(python), "-W", "ignore", "-c", TIMING, name, folder]
        done = subprocess.run(command, cwd=HERE.parent, env=_env(), stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.split()[-1])


def _env() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent), "PYTHONDONTWRITEBYTECODE": "1"}


def main() -> None:
    load = psutil.getloadavg()[0]
    begun = time.monotonic()
    python = environment("torchvision", REQUIREMENTS)
    print(f"environment ready after {time.monotonic() - begun:.0f} s")
    rows: list[dict[str, Any]] = []
    for name, (kind, packages) in BACKENDS.items():
        ran, failed, names = run_tests(python, name)
        rows.append(
            {
                "backend": name,
                "kind": kind,
                "with": ", ".join(f"{package} {v}" for package, v in versions(python, packages).items()),
                "checks": ran,
                "failed": ", ".join(names),
                "passed": ran > 0 and not failed,
                "timed": TIMED[name],
                "cpu_s": round(seconds_a_score(python, name), 2),
            }
        )
        print(rows[-1])
    header = {"weights": "random, of the true shapes", "cores": os.cpu_count(), "load_before": round(load, 1)}
    ROWS.write_text(json.dumps({**header, "rows": rows}, indent=1) + "\n")
    if not all(row["passed"] for row in rows):
        sys.exit("a backend failed its checks")


if __name__ == "__main__":
    main()
