"""The bound of DRAM traffic by hand, and how near the emitted schedules come."""

import pytest

from eftrain_hw import AcceleratorConfig
from eftrain_hw.compiler.least_traffic import least_bytes, least_of
from eftrain_hw.compiler.plan import plan_step
from eftrain_hw.compiler.timing import descriptor_time
from eftrain_hw.networks import cifar_cnn, vgg16
from eftrain_hw.runtime.benchmark.layer import Layer, layer_program

SLOTS, SUMS = (100, 100), 64


def test_operands_that_fit_are_read_once():
    assert least_of(100, 5000, 8, 1000, SLOTS, SUMS) == 5100
    assert least_of(5000, 100, 8, 1000, SLOTS, SUMS) == 5100


def test_part_of_an_operand_stays():
    # the stationary operand in three parts; sums for a row at a time would read it 1000 / 64 times
    assert least_of(300, 1000, 3, 1000, SLOTS, SUMS) == 300 + 3 * 1000


def test_sums_stay():
    # two large operands: 8 x 8 sums at a time
    assert least_of(4000, 4000, 16, 16, SLOTS, SUMS) == 2 * 4000 + 2 * 4000


@pytest.mark.parametrize("slot", [50, 100, 400])
@pytest.mark.parametrize("sums", [16, 64, 256])
def test_more_buffer_never_needs_more_traffic(slot, sums):
    least = least_of(900, 700, 30, 50, (slot, slot), sums)
    assert least >= 900 + 700
    assert least >= least_of(900, 700, 30, 50, (2 * slot, slot), sums)
    assert least >= least_of(900, 700, 30, 50, (slot, 2 * slot), sums)
    assert least >= least_of(900, 700, 30, 50, (slot, slot), 2 * sums)


@pytest.mark.parametrize(("network", "most"), [(cifar_cnn, 1.45), (vgg16, 1.75)])
def test_emitted_schedules(network, most):
    """Forward and backward lie near the bound; weight gradients read halos and short rows, and the
    tile search takes what costs no cycles: docs/model.md lists them."""
    plan = plan_step(network(), AcceleratorConfig(drain_lanes=8), 16)
    for p in plan.passes:
        assert p.dram_bytes >= p.least_bytes * 0.999, p
    assert plan.total()["traffic"] < most


@pytest.mark.parametrize(
    "layer",
    [
        Layer(in_channels=32, out_channels=32, height=14, width=14, kernel=3, dilation=2),
        Layer(in_channels=64, out_channels=64, height=14, width=14, kernel=3, groups=64),
        Layer(in_channels=32, out_channels=48, height=8, width=8, kernel=4, padding=1, stride=2,
              transposed=True),
        Layer(in_channels=32, out_channels=32, height=14, width=14, kernel=3, raw=True),
    ],
    ids=str,
)  # fmt: skip
def test_other_convolutions_move_little_more(layer):
    config = AcceleratorConfig()
    program = layer_program(layer, config, alone=False)
    for name in layer.passes:
        descriptors = program.descriptors[name]
        moved = sum(descriptor_time(config, each).dram_beats for each in descriptors)
        titles = [program.tags[each.tag].removeprefix("layer ") for each in descriptors]
        least = sum(least_bytes(config, program.ops[0], layer.batch, title) for title in titles)
        assert 1 <= moved * config.bus_bytes / least < 2.5, name
