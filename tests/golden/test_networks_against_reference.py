"""Whole networks against the stored results of PyTorch's autograd."""

from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).with_name("reference") / "networks"


@pytest.mark.parametrize("name", ["mixed_sgd", "mixed_adam", "autoencoder"])
def test_trains_like_stored_results(name, runs):
    with np.load(FOLDER / f"{name}.npz") as file:
        stored = dict(file)
    run = runs.STORED[name]()
    for number in range(1, runs.STEPS + 1):
        run.batch_of(run.batch - 1)
        loss = run.golden_step(number, run.batch - 1)
        assert loss == pytest.approx(float(stored["losses"][number - 1]), rel=1e-5), number
    for parameter, value in run.results().items():
        runs.close(parameter, value, stored[f"out_{parameter}"].astype(np.float64), 1e-5, 1.0)


def test_every_run_is_stored(runs):
    assert {path.stem for path in FOLDER.glob("*.npz")} == set(runs.STORED)
