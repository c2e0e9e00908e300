# amaranth: UnusedElaboratable=no
"""The example of the PE array: exact, whatever pauses."""

import numpy as np
import pytest

from eftrain_hw import AcceleratorConfig
from eftrain_hw.formats import Blocked, format_named
from eftrain_hw.golden.conv import conv_forward
from examples import pe_array

CONFIGS = {
    "bfp8": AcceleratorConfig(rows=8, lanes=4, accumulator_depth=32),
    "fp32": AcceleratorConfig(rows=4, lanes=4, accumulator_depth=32, format="fp32"),
    "one group": AcceleratorConfig(rows=4, lanes=8, accumulator_depth=32),
}


def expected(config, weights, x):
    """bfp8: the sum of a vector's products is exact. fp32: the golden model's tree."""
    if config.has_exponents:
        return (x.decode().astype(np.float64) @ weights.decode().astype(np.float64).T).astype(
            np.float32
        )
    lanes = config.lanes
    matrix = np.zeros((1, 1, 1, 1, lanes, lanes), np.float32)
    matrix[0, 0, 0, 0, :, : config.rows] = weights.elements.T
    images = Blocked(x.format, x.elements.reshape(-1, 1, 1, 1, lanes), None)
    stored = Blocked(x.format, matrix, None)
    return conv_forward(images, stored, None, encode=False).reshape(-1, lanes)[:, : config.rows]


@pytest.mark.parametrize("stall", [0, 0.5])
@pytest.mark.parametrize("name", CONFIGS)
def test_products(name, stall):
    config = CONFIGS[name]
    rng, format = np.random.default_rng(3), format_named(config.format)
    packets = []
    for count in (1, 5, 32):
        size = 2.0 ** rng.integers(-3, 4, (config.rows, 1))
        weights = rng.normal(0, 1, (config.rows, config.lanes)) * size
        x = rng.normal(0, 1, (count, config.lanes))
        packets.append(
            tuple(Blocked.encode(format, values.astype(np.float32)) for values in (weights, x))
        )
    results = pe_array.multiply(config, packets, stall=stall, seed=7)
    for (weights, x), y in zip(packets, results, strict=True):
        np.testing.assert_array_equal(y, expected(config, weights, x))


def test_main(capsys):
    pe_array.main()
    assert "12 vectors times a 8x8 matrix" in capsys.readouterr().out
