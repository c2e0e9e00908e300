"""The golden model against PyTorch's results as stored in reference/ (PyTorch isn't needed)."""

from pathlib import Path

import numpy as np
import pytest

CASES = sorted(path.stem for path in Path(__file__).with_name("reference").glob("*.npz"))


def test_every_case_is_stored(comparison):
    assert set(CASES) == set(comparison.CASES)


@pytest.mark.parametrize("format", ["fp32", "bfp8"])
@pytest.mark.parametrize("name", CASES)
def test_equals_the_stored_results(name, format, comparison):
    with np.load(Path(__file__).with_name("reference") / f"{name}.npz") as file:
        given = {key[3:]: file[key] for key in file.files if key.startswith("in_")}
        reference = {key[4:]: file[key] for key in file.files if key.startswith("out_")}
    comparison.compare(name, given, reference, format)
