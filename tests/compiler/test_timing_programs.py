"""The analytical model of vector programs beside the RTL: cycles and traffic of each command."""

from dataclasses import replace

import pytest

from eftrain_hw import AcceleratorConfig, nn, optim
from eftrain_hw.compiler.plan import plan_step
from eftrain_hw.compiler.timing import descriptor_time, program_time
from eftrain_hw.vector.commands import PROCESS
from sim.models.program_networks import PROGRAM_NETWORKS
from sim.models.step_bench import StepBench

CONFIG = AcceleratorConfig.preset("sim-small").replace(vector_programs=True)
LONG = 5000  # cycles: shorter programs are mostly their own loading


def network():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.LeakyReLU(),
        nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2), nn.Dropout(),
        nn.Flatten(), nn.Linear(16 * 16, 4), input_shape=(3, 16, 16),
    )  # fmt: skip


@pytest.mark.rtl
def test_model_agrees_with_rtl():
    optimizer = optim.SGD(lr=0.1, momentum=0.9, nesterov=True)
    bench = StepBench(network(), CONFIG, 4, optimizer=optimizer)
    whole = bench.run("train")
    program, seen = bench.program, set()
    step = program_time(CONFIG, program.descriptors["train"])
    assert step == pytest.approx(whole.cycles, rel=0.03)
    program.addresses["alone"] = program.addresses["train"]
    for descriptor in program.descriptors["train"]:
        if any(command.layout is not PROCESS for command in descriptor.commands):
            continue
        name = program.tags[descriptor.tag]
        program.descriptors["alone"] = [replace(descriptor, last=True)]
        words = program.words("alone", bench.base)
        bench.simulation.write(bench.base + program.addresses["alone"], words.tobytes())
        result = bench.run("alone")
        time = descriptor_time(CONFIG, program.descriptors["alone"][0])
        beats = result.counters["read_beats"] + result.counters["write_beats"]
        assert time.dram_beats * CONFIG.ports == pytest.approx(beats, rel=0.03), name
        tolerance = 0.06 if result.cycles > LONG else 0.15
        assert time.cycles == pytest.approx(result.cycles, rel=tolerance), name
        seen.add(name.partition(" ")[0].split(".")[1])
    assert len(seen) == 7


def test_a_plan_accounts_for_vector_programs():
    plan = plan_step(PROGRAM_NETWORKS["residual"](), CONFIG, 3)
    passes = {(each.layer, each.pass_name): each for each in plan.passes}
    for key in (("1.BatchNorm2d", "forward"), ("3.Add", "fan-out backward")):
        each = passes[key]
        assert each.limit == "vector" and each.dram_bytes > 0 and each.model_cycles > 1000
    assert plan.step_cycles > sum(each.model_cycles for each in plan.passes if not each.macs) / 2
