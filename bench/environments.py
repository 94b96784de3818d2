"""Environments for what does not fit beside our own packages: peers with other pins, torchvision beside its own torch.

Each is a virtual environment under .bench/ in the checkout, made once: its folder carries a hash of what was asked for.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).resolve().parent.parent / ".bench"
PIP = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]


def environment(name: str, requirements: Sequence[str], without_deps: Sequence[str] = (), root: Path = ROOT) -> Path:
    """Return the Python of an environment that has these requirements, and then those without what they ask for.

    It is made if the folder `NAME-HASH` is missing or half made; one process makes it, others wait.
    Raises RuntimeError with pip's last lines where pip fails; the next call tries again.
    """
    asked = {"python": list(sys.version_info[:2]), "requirements": [*requirements], "without_deps": [*without_deps]}
    key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:12]
    folder = root / f"{name}-{key}"
    python, ready = folder / "bin" / "python", folder / "ready.json"
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(folder)])
            if requirements:
                _run([str(python), *PIP, *requirements])
            if without_deps:
                _run([str(python), *PIP, "--no-deps", *without_deps])
            ready.write_text(json.dumps(asked, indent=1) + "\n")
    return python


def versions(python: Path, packages: Sequence[str]) -> dict[str, str]:
    """Return the installed versions of these packages in an environment."""
    script = "import sys, json, importlib.metadata as m; print(json.dumps([m.version(n) for n in sys.argv[1:]]))"
    done = subprocess.run([str(python), "-c", script, *packages], stdout=subprocess.PIPE, text=True, check=True)
    return dict(zip(packages, json.loads(done.stdout), strict=True))


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-5:])
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{last}")
