"""What single commands cost, against sums over vectors and beats that are done by hand."""

import gc
import warnings

import pytest
from amaranth.hdl import UnusedElaboratable

from eftrain_hw import AcceleratorConfig
from eftrain_hw.array.commands import COMPUTE
from eftrain_hw.array.compute_engine import ComputeEngine
from eftrain_hw.buffers.moving import MovingBuffer
from eftrain_hw.compiler.timing.bus import Bus, rates
from eftrain_hw.compiler.timing.constants import UPDATE_SPACING, compute_latency
from eftrain_hw.compiler.timing.engines import compute_cost, drain_cost, load_cost
from eftrain_hw.compiler.timing.kernel import Event, Kernel
from eftrain_hw.dma.commands import DESTINATIONS, LOAD, MODES
from eftrain_hw.vector.commands import DRAIN

CONFIG = AcceleratorConfig()


def load(config=CONFIG, **values):
    fields = dict.fromkeys(LOAD.fields, 0)
    ones = "images blocks rows height columns width lane_images lane_rows lane_columns".split()
    fields |= dict.fromkeys(ones, 1) | {"image_limit": 65535}
    return load_cost(config, fields | values)


def drain(config=CONFIG, **values):
    fields = dict.fromkeys(DRAIN.fields, 0) | {"blocks": 1, "images": 1, "run": 1}
    return drain_cost(config, fields | values)


def gateware_latencies(config):
    """(latency, update latency) of an engine that is never elaborated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedElaboratable)
        engine = ComputeEngine(config, read_latency=MovingBuffer.read_latency)
        found = engine.latency, engine.update_latency
        del engine
        gc.collect()  # its parts complain when they are collected
    return found


@pytest.mark.parametrize("format", ["bfp8", "fp32"])
@pytest.mark.parametrize("lanes", [4, 8, 16, 32])
def test_constants_are_those_of_the_gateware(lanes, format):
    config = AcceleratorConfig(rows=4, lanes=lanes, format=format, drain_lanes=4)
    assert (compute_latency(config), UPDATE_SPACING) == gateware_latencies(config)


def touched(vectors, size, bus):
    """Bus beats that vectors of some bytes touch, run by run."""
    return len({v * size // bus + part for v in vectors for part in range(max(1, size // bus))})


@pytest.mark.parametrize("name", ["pynq-z2", "sim-small", "pynq-z2-fp32"])
@pytest.mark.parametrize("row", [-1, 0, 3])
@pytest.mark.parametrize("columns", [5, 9, 11])
def test_load_reads_each_row_inside_the_map(name, row, columns):
    config = AcceleratorConfig.preset(name)
    height, width, blocks, first = 7, 9, 3, 37
    cost = load(
        config,
        vector=first,
        row=row,
        rows=4,
        height=height,
        column=-1 if columns == 11 else 0,
        columns=columns,
        width=width,
        blocks=blocks,
        block_stride=height * width,
    )
    beats = 0
    rows = [r for r in range(row, row + 4) if 0 <= r < height]
    inside = min(columns, width)
    for block in range(blocks):
        start = first + block * height * width
        if inside == width:  # rows without a gap are one run
            runs = [range(start + rows[0] * width, start + (rows[-1] + 1) * width)]
        else:
            runs = [range(start + r * width, start + r * width + inside) for r in rows]
        for run in runs:
            beats += touched(run, config.vector_bytes, config.bus_bytes)
            if config.has_exponents:
                beats += touched(run, 1, config.bus_bytes)
    assert cost.beats == beats
    assert cost.fill == blocks * 4 * columns * config.beats_per_vector
    assert sum(request.words for request in cost.requests) == beats
    filled = sum(request.fill + request.padding for request in cost.requests) + cost.padding
    assert filled == pytest.approx(cost.fill)


def test_bias_is_fp32_without_exponents():
    cost = load(destination=DESTINATIONS["bias"], columns=4)
    assert cost.destination == "stationary"
    assert cost.beats == cost.fill == 4 * 4


def test_strips_stop_at_the_last_image():
    values = {"mode": MODES["strip"], "lane_images": 16, "columns": 8, "width": 8}
    whole = load(image_limit=16, **values)
    part = load(image_limit=5, **values)
    assert part.fill == whole.fill == 16 * 8
    assert (len(whole.requests), len(part.requests)) == (2 * 16, 2 * 5)
    assert part.padding == 11 * 8


def test_compute_sweeps_are_stretched():
    fields = dict.fromkeys(COMPUTE.fields, 0) | dict.fromkeys(
        "m_tiles outer0 outer1 outer2 inner0 inner1 inner2 inner3".split(), 1
    )
    cost = compute_cost(CONFIG, fields | {"m_tiles": 2, "outer1": 3, "outer2": 3, "inner3": 28})
    assert (cost.sweeps, cost.length, cost.stride) == (18, 28, 28)
    cost = compute_cost(CONFIG, fields | {"inner3": 5})
    assert (cost.length, cost.stride) == (5, CONFIG.rows)
    cost = compute_cost(CONFIG.replace(rows=8), fields | {"inner3": 5, "ones": 1})
    assert (cost.length, cost.stride) == (6, UPDATE_SPACING)


def test_drain_writes_every_run():
    cost = drain(blocks=2, images=3, run=10, vector=3, image_stride=10, block_stride=100)
    groups = CONFIG.lanes // CONFIG.drain_lanes
    assert len(cost.runs) == 2 * 3
    steps = sum(part.steps for run in cost.runs for part in run.parts)
    assert steps == pytest.approx(2 * 3 * 10 * groups)
    exponents = sum(
        touched(range(3 + b * 100 + n * 10, 13 + b * 100 + n * 10), 1, 16)
        for b in range(2)
        for n in range(3)
    )
    assert cost.write_beats == 60 + exponents
    masked = drain(blocks=2, images=3, run=10, image_stride=10, block_stride=100, mask=1)
    assert masked.mask_beats == 60
    assert drain(raw=1, run=10).write_beats == 40


class TestBus:
    """Bursts of (direction, port, not before, beats); when each begins and ends."""

    @staticmethod
    def moved(bursts, ports=2, beats=2):
        kernel, found = Kernel(), {}
        bus = Bus(kernel, ports, beats)
        for number, (direction, port, due, count) in enumerate(bursts):
            def done(start, end, number=number):
                found[number] = start, end

            getattr(bus, direction)(port, due, count, done)
        kernel.run()
        return [found[number] for number in range(len(bursts))]

    def test_a_channel_moves_a_beat_a_cycle(self):
        assert self.moved([("read", 0, 10, 64)]) == [(10, 74)]

    def test_bursts_of_a_port_are_serial(self):
        assert self.moved([("read", 0, 0, 10), ("read", 0, 0, 10)]) == [(0, 10), (10, 20)]

    def test_two_ports_read_at_full_speed(self):
        assert self.moved([("read", 0, 0, 10), ("read", 1, 0, 10)]) == [(0, 10), (0, 10)]

    def test_reads_and_writes_share_the_memory(self):
        bursts = [("read", 0, 0, 10), ("read", 1, 0, 10), ("write", 0, 0, 10), ("write", 1, 0, 10)]
        assert self.moved(bursts) == [(0, 20)] * 4

    def test_one_write_port_gets_half_of_itself(self):
        bursts = [("read", 0, 0, 30), ("read", 1, 0, 30), ("write", 0, 0, 10)]
        reads = self.moved(bursts)
        assert reads[2] == (0, 20)
        assert reads[0] == reads[1] == (0, pytest.approx(35))

    @pytest.mark.parametrize("reads", range(5))
    @pytest.mark.parametrize("writes", range(5))
    def test_nothing_is_moved_for_free(self, reads, writes):
        read, write = rates(reads, writes, 2)
        assert reads * read + writes * write <= min(2, reads + writes)
        assert 0 <= read <= 1 and 0 <= write <= 1


def test_processes_wait_for_times_and_events():
    kernel, seen = Kernel(), []
    event = Event(kernel)

    def first():
        yield 5
        seen.append(("first", kernel.now))
        event.fire()
        yield 3  # past: goes on at once
        seen.append(("again", kernel.now))

    def second():
        yield event
        seen.append(("second", kernel.now))

    kernel.start(second())
    kernel.start(first())
    kernel.run()
    assert seen == [("first", 5), ("again", 5), ("second", 5)]
