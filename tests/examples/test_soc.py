# amaranth: UnusedElaboratable=no
"""The example of a SoC: the package's runtime trains on it, bit by bit as the golden model."""

import pytest

from eftrain_hw import compile_network, nn, optim
from examples import soc


def test_main(capsys):
    soc.main()
    output = capsys.readouterr().out
    assert "one training step in" in output
    assert "the weights are the golden model's, bit by bit" in output


def test_memory_that_is_too_small():
    network = nn.Sequential(nn.Linear(64, 40), input_shape=(64,))
    program = compile_network(network, soc.CONFIG, batch_size=8, loss=nn.CrossEntropyLoss(),
                              optimizer=optim.SGD(lr=0.1))  # fmt: skip
    with pytest.raises(ValueError, match="the program takes .* bytes, the RAM has 16384"):
        soc.check_size(program)
