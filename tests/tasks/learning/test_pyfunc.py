"""A served model: what it takes to open it where no pipeline runs."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from tasks.learning.models import save_model
from tasks.physics.surrogate import Surrogate, saved_config
from tests.tasks.physics.test_surrogate import DESIGN

SERVED = """
import sys

for name in ("psutil", "dvc", "mlflow.tracking", "prefect"):
    sys.modules[name] = None  # importing it is an error
import numpy as np

import tasks.physics.surrogate
from tasks.learning import pyfunc

model, example, answer = sys.argv[1:]
np.save(answer, pyfunc._load_pyfunc(model).predict(np.load(example)))
"""


def test_a_surrogate_is_served_without_the_tools_that_made_it(tmp_path: Path) -> None:
    design = replace(DESIGN, network="fno", network_config={"modes": 4, "width": 2, "layers": 1})
    model = Surrogate(design, seed=1).eval()
    save_model(tmp_path / "model", model, saved_config(design))
    x_BXS = torch.randn(1, 7, 16, 32, generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / "example.npy", x_BXS.numpy())
    paths = [str(tmp_path / name) for name in ("model", "example.npy", "answer.npy")]
    done = subprocess.run([sys.executable, "-c", SERVED, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with torch.no_grad():
        np.testing.assert_allclose(np.load(tmp_path / "answer.npy"), model(x_BXS).numpy(), atol=1e-5)
