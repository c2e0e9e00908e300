"""The golden model against PyTorch itself, on other random inputs than the stored ones."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip(
    "torch",
    reason="PyTorch isn't installed: test_against_reference.py ran the same comparison with its"
    " results stored in tests/golden/reference instead",
)

SCRIPT = Path(__file__).parents[2] / "scripts" / "make_reference_vectors.py"
NAMES = [
    "conv_3x3", "conv_stride", "conv_5x5", "linear", "maxpool", "maxpool_3x1", "cross_entropy",
    "network",
]  # fmt: skip


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_reference_vectors", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_case_is_listed(comparison):
    assert set(NAMES) == set(comparison.CASES)


@pytest.mark.parametrize("format", ["fp32", "bfp8"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", [1, 2])
def test_equals_autograd(name, format, seed, comparison, script):
    given = comparison.inputs(name, seed)
    comparison.compare(name, given, script.reference(name, given), format)
