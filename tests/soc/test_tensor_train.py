"""Tensor-train layers on the RTL: memory as the golden model says, cycles as the model says."""

import pytest

from eftrain_hw import AcceleratorConfig, compile_network, nn, optim
from eftrain_hw.compiler.timing import program_time
from sim.models.step_bench import StepBench
from sim.models.tensor_train_networks import TENSOR_TRAIN_NETWORKS, convolution, full_lanes

pytestmark = pytest.mark.rtl

CONFIG = AcceleratorConfig.preset("sim-small").replace(vector_programs=True)
NETWORKS = TENSOR_TRAIN_NETWORKS | {
    make.__name__: lambda make=make: make(CONFIG.lanes) for make in (convolution, full_lanes)
}


@pytest.mark.parametrize("name", NETWORKS)
def test_steps_and_inference_equal_golden(name):
    bench = StepBench(NETWORKS[name](), CONFIG, 3, valid=2, seed=1)
    bench.step("infer")
    bench.step()
    bench.new_batch(seed=100)
    bench.step()


def test_adam():
    optimizer = optim.Adam(lr=0.01)
    bench = StepBench(NETWORKS["first_on"](), CONFIG, 4, optimizer=optimizer, step={"number": 3})
    bench.step()


@pytest.mark.parametrize("name", ["first_on", "wide_ranks"])
def test_model_agrees_with_rtl(name):
    bench = StepBench(NETWORKS[name](), CONFIG, 32)
    cycles = bench.step().cycles
    modelled = program_time(CONFIG, bench.program.descriptors["train"])
    assert modelled == pytest.approx(cycles, rel=0.02), (modelled, cycles)


PACKED = CONFIG.replace(packed_programs=True, ports=1, vector_programs=False)


def on_chip(rank):
    """No vector programs: the layers have no biases."""
    return nn.Sequential(
        nn.Flatten(),
        nn.TTLinear(60, 48, in_shape=(12, 5), out_shape=(6, 8), rank=rank, bias=False),
        nn.ReLU(),
        nn.TTLinear(48, 5, in_shape=(6, 8), out_shape=(5, 1), rank=2, bias=False),
        input_shape=(1, 6, 10),
    )


@pytest.mark.parametrize("stall", [0, 0.4])
def test_packed_programs(stall):
    bench = StepBench(on_chip(5), PACKED, 3, valid=2, seed=1, stall=stall)
    bench.step("infer")
    bench.step()
    bench.new_batch(seed=100)
    bench.step()
    plain = compile_network(
        on_chip(5), PACKED.replace(packed_programs=False), batch_size=3,
        loss=nn.CrossEntropyLoss(), optimizer=optim.SGD(lr=0.1),
    )  # fmt: skip
    assert 3 * bench.program.words("train").nbytes < plain.words("train").nbytes


def test_packed_programs_lie_at_zero():
    message = "the packed program 'train' takes .* bytes at memory base 0x10000000; at 0 it takes"
    with pytest.raises(ValueError, match=message):
        StepBench(on_chip(5), PACKED, 3, memory_base=0x1000_0000)


@pytest.mark.parametrize("batch", [1, 16])
def test_model_agrees_with_rtl_on_packed_programs(batch):
    bench = StepBench(on_chip(8), PACKED, batch)
    cycles = bench.step().cycles
    modelled = program_time(PACKED, bench.program.descriptors["train"])
    assert modelled == pytest.approx(cycles, rel=0.02), (modelled, cycles)
