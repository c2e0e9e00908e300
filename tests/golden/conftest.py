"""Helper modules of this folder, as fixtures."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest


def _load(name):
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"golden_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def scalar():
    """The number-by-number model."""
    return _load("scalar_model")


@pytest.fixture(scope="session")
def comparison():
    """The comparison with PyTorch's results."""
    return _load("torch_comparison")


@pytest.fixture(scope="session")
def pairs():
    """Networks trained side by side with PyTorch."""
    return _load("torch_network")


@pytest.fixture(scope="session")
def runs():
    """Networks on the golden model, and the runs whose results by PyTorch are stored."""
    return _load("network_run")


def _bits(array):
    array = np.ascontiguousarray(array)
    return array.view(np.uint32) if array.dtype == np.float32 else array


@pytest.fixture(scope="session")
def same_bits():
    """Assert that two arrays are equal in shape, type and every bit."""

    def check(actual, expected):
        assert actual.dtype == expected.dtype
        np.testing.assert_array_equal(_bits(actual), _bits(expected), strict=True)

    return check
