"""The NumPy baseline of a tensor-train step computes the gradients of the matrix it stands for."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "tensor_train_baseline.py"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("tensor_train_baseline", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("reverse", [False, True])
def test_forward_and_gradients(script, reverse):
    rng = np.random.default_rng(0)
    layer = script.TTLayer((3, 4, 2), (2, 3, 5), 3, rng, np.float64)
    layer.reverse = reverse
    cores = [core.copy() for core in layer.cores]
    x, dy = rng.standard_normal((7, 24)), rng.standard_normal((7, 30))
    dense = contracted(cores)
    np.testing.assert_allclose(layer.forward(x), x @ dense.T, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(layer.backward(dy, 0.1), dy @ dense, rtol=1e-9, atol=1e-12)
    for k, (before, after) in enumerate(zip(cores, layer.cores, strict=True)):
        gradient = (before - after) / 0.1
        direction, tiny = rng.standard_normal(before.shape), 1e-4
        losses = []
        for sign in (1, -1):
            moved = [*cores[:k], before + sign * tiny * direction, *cores[k + 1 :]]
            losses.append((x @ contracted(moved).T * dy).sum())
        slope = (losses[0] - losses[1]) / (2 * tiny)
        assert (gradient * direction).sum() == pytest.approx(slope, rel=1e-6)


def contracted(cores):
    """The matrix in float64."""
    total = cores[0]
    for core in cores[1:]:
        total = np.einsum("amnb,bpqc->ampnqc", total, core)
        total = total.reshape(1, total.shape[1] * total.shape[2], -1, total.shape[-1])
    return total[0, :, :, 0]


def test_step_learns_and_reports(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["x", "--batch", "4", "--steps", "60", "--rank", "4"])
    script.main()
    report = json.loads(capsys.readouterr().out)
    assert report["loss"] < 2.0 and report["seconds_per_step"] > 0
    assert report["multiplications_per_step"] == 4 * 3 * (
        28 * 28 * 4 + 28 * 4 * 2 * 4 + 2 * (4 * 8 * 4) + 16 * (4 * 32)
    ) + 4 * 3 * report_second_layer(script)


def report_second_layer(script):
    """10 outputs from (2, 8, 32) inputs, ranks 4, 4: the cheaper end, by hand."""
    first = 512 * 10 * 4 + 256 * 10 * 4 * 4 + 32 * 10 * 4
    last = 512 * 4 + 16 * 4 * 4 + 2 * 4 * 10
    return min(first, last)
