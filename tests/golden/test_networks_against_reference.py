"""Whole networks against the stored results of PyTorch's autograd."""

from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).with_name("reference")


@pytest.mark.parametrize("name", ["mixed_sgd", "mixed_adam", "autoencoder"])
def test_trains_like_stored_results(name, runs):
    with np.load(FOLDER / f"network_{name}.npz") as file:
        stored = dict(file)
    run = runs.STORED[name]()
    for number in range(1, runs.STEPS + 1):
        run.batch_of(run.batch - 1)
        loss = run.golden_step(number, run.batch - 1)
        assert loss == pytest.approx(float(stored["losses"][number - 1]), rel=1e-5), number
    for parameter, value in run.results().items():
        runs.close(parameter, value, stored[f"out_{parameter}"].astype(np.float64), 1e-5, 1.0)


def test_every_run_is_stored(runs):
    names = {path.stem.removeprefix("network_") for path in FOLDER.glob("network_*.npz")}
    assert names == set(runs.STORED)
