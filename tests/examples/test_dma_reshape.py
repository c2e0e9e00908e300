# amaranth: UnusedElaboratable=no
"""The example of the DMA engine: every vector arrives where NumPy's transpose puts it."""

import numpy as np
import pytest

from eftrain_hw import AcceleratorConfig
from examples import dma_reshape

CONFIGS = {
    "8 bytes": AcceleratorConfig(rows=8, lanes=8, ports=1),
    "4 bytes": AcceleratorConfig(rows=4, lanes=4, ports=1),
    "64 bytes, AXI3": AcceleratorConfig(rows=4, lanes=16, ports=1, format="fp32", axi="axi3"),
}


def tensor_of(config, *shape):
    rng = np.random.default_rng(5)
    return rng.integers(0, 256, (*shape, config.vector_bytes), np.uint8)


@pytest.mark.parametrize("stall", [0, 0.5])
@pytest.mark.parametrize("name", CONFIGS)
def test_transposes(name, stall):
    config = CONFIGS[name]
    tensor, vector = tensor_of(config, 3, 5, 7), config.vector_bytes
    command = {
        "source": 0, "destination": 0, "outer": 35, "inner": 3, "run": 1,
        "outer_step": vector, "inner_step": 35 * vector,
    }  # fmt: skip
    result, _ = dma_reshape.reshape(config, tensor, [command], (35, 3, vector), stall=stall)
    np.testing.assert_array_equal(result, tensor.reshape(3, 35, vector).transpose(1, 0, 2))


def test_several_commands_and_longer_runs():
    """Rows of a window of each map, one after the other; then the whole tensor in one run."""
    config = CONFIGS["8 bytes"]
    tensor, vector = tensor_of(config, 2, 6, 8), config.vector_bytes
    window = {
        "source": (8 + 2) * vector, "destination": 0, "outer": 2, "inner": 4, "run": 5,
        "outer_step": 48 * vector, "inner_step": 8 * vector,
    }  # fmt: skip
    whole = {
        "source": 0, "destination": 40 * vector, "outer": 1, "inner": 1, "run": 96,
        "outer_step": 0, "inner_step": 0,
    }  # fmt: skip
    result, _ = dma_reshape.reshape(config, tensor, [window, whole], (136, vector), stall=0.3)
    np.testing.assert_array_equal(result[:40], tensor[:, 1:5, 2:7].reshape(40, vector))
    np.testing.assert_array_equal(result[40:], tensor.reshape(96, vector))


def test_long_runs_keep_the_bus_busy():
    """One beat a cycle, once the first has come."""
    config = CONFIGS["8 bytes"]
    tensor = tensor_of(config, 1, 1, 512)
    command = {
        "source": 0, "destination": 0, "outer": 1, "inner": 1, "run": 512,
        "outer_step": 0, "inner_step": 0,
    }  # fmt: skip
    result, cycles = dma_reshape.reshape(config, tensor, [command], (512, config.vector_bytes))
    np.testing.assert_array_equal(result, tensor.reshape(512, -1))
    assert 512 < cycles < 512 + 250


def test_wrong_ports():
    with pytest.raises(ValueError, match="Reshaper config.ports must be 1, not 2"):
        dma_reshape.Reshaper(AcceleratorConfig())


def test_main(capsys):
    dma_reshape.main()
    assert "(3, 6, 10) to (rows, columns, blocks) (6, 10, 3)" in capsys.readouterr().out
