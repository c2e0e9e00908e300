# amaranth: UnusedElaboratable=no
"""The drain against the formats' encoders, for every shape of array and both formats."""

import numpy as np
import pytest

from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.formats import format_named
from eftrain_hw.vector.commands import DRAIN
from eftrain_hw.vector.drain import Drain

LATENCY = 3
ELEMENTS, EXPONENTS, MASK = 0, 0x4000, 0x8000


class Accumulators:
    """Two banks with a fixed latency, and the drain's side of their slot controller."""

    def __init__(self, dut, config, values):
        self.dut, self.lanes, self.values = dut, config.drain_lanes, values
        self.full, self.pointer, self.reads, self.line = [1, 1], 0, 0, []

    def drive(self, ctx):
        port = self.dut.accumulator
        rows = slice(ctx.get(port.group) * self.lanes, (ctx.get(port.group) + 1) * self.lanes)
        bank, position = ctx.get(port.bank), ctx.get(port.position)
        self.line.append(self.values[bank, position, rows])
        if len(self.line) > LATENCY:
            bits = self.line.pop(0).view(np.uint32)
            ctx.set(port.values, [int(bit) for bit in bits])
        ctx.set(self.dut.accumulator_full, self.full[self.pointer])

    def sample(self, ctx):
        if ctx.get(self.dut.accumulator_release):
            assert self.full[self.pointer]
            self.full[self.pointer] = 0
            self.pointer ^= 1


def random_values(rng, shape):
    values = rng.standard_normal(shape).astype(np.float32)
    values *= np.exp2(rng.integers(-12, 12, shape)).astype(np.float32)
    values[rng.random(shape) < 0.2] = 0
    return values


def command(**fields):
    words = DRAIN.pack(**fields)
    return DRAIN.struct.from_bits(sum(word << 32 * k for k, word in enumerate(words)))


def expected(config, values, fields, mask=None):
    """(index of the vector, its fp32 values after ReLU or mask) in the order of the walk."""
    rows, lanes = config.rows, config.lanes
    for block in range(fields["blocks"]):
        channels = np.arange(block * lanes, (block + 1) * lanes)
        for image in range(fields["images"]):
            for p in range(fields["run"]):
                place = fields["accumulator_base"] + p
                place += image * fields["accumulator_image_step"]
                place = place + channels // rows * fields["accumulator_m_step"]
                vector = values[place, channels % rows]
                index = fields["vector"] + p
                index += image * fields["image_stride"] + block * fields["block_stride"]
                if fields.get("relu"):
                    vector = np.where(vector > 0, vector, np.float32(0))
                if fields.get("mask"):
                    vector = np.where(mask[index] > 0, vector, np.float32(0))
                yield index, vector


def build(make_bench, config, *, seed=1, stall=0.0, values=None):
    dut = Drain(config, accumulator_latency=LATENCY)
    bench = make_bench(dut, seed=seed, stall=stall)
    if values is None:
        values = random_values(bench.rng, (2, config.accumulator_depth, config.rows))
    accumulators = bench._add(Accumulators(dut, config, values))
    lanes = config.drain_lanes
    narrow = lanes * config.element_bytes
    bench.commands = bench.source(dut.command)
    bench.writer(dut.element_run, dut.element_items, (narrow, lanes * 4))
    bench.writer(dut.exponent_run, dut.exponent_items, (1,))
    bench.reader(dut.mask_run, dut.mask_items, (narrow,))
    bench.accumulators = accumulators
    return dut, bench


def finish(dut, bench, limit=20000):
    return bench.run(lambda ctx: not bench.commands.items and not ctx.get(dut.busy), limit)


def fetch_vector(bench, config, index, raw=False):
    if raw or not config.has_exponents:
        like = np.zeros(config.lanes, np.float32)
        return bench.fetch(ELEMENTS + index * like.nbytes, like), None
    elements = bench.fetch(ELEMENTS + index * config.lanes, np.zeros(config.lanes, np.int8))
    return elements, bench.fetch(EXPONENTS + index, np.zeros(1, np.uint8))


def check(bench, config, values, fields, mask=None):
    for index, vector in expected(config, values, fields, mask):
        elements, exponent = fetch_vector(bench, config, index, fields.get("raw"))
        if exponent is None:
            np.testing.assert_array_equal(elements.view(np.uint32), vector.view(np.uint32))
        else:
            mantissas, expected_exponent = format_named(config.format).encode(vector[None])
            np.testing.assert_array_equal(elements, mantissas[0])
            assert exponent[0] == expected_exponent
    bench.assert_nothing_else_written()


BASES = {"base": ELEMENTS // 64, "exponent_base": EXPONENTS // 64, "mask_base": MASK // 64}
TILE = {
    "blocks": 3, "images": 2, "run": 5, "accumulator_base": 3, "accumulator_image_step": 7,
    "accumulator_m_step": 17, "vector": 2, "image_stride": 6, "block_stride": 13,
}  # fmt: skip


@pytest.mark.parametrize("format", ["bfp8", "fp32"])
@pytest.mark.parametrize(
    "rows, lanes, drain_lanes",
    [
        (8, 8, 2),
        (24, 16, 4),
        (6, 4, 2),
        (4, 16, 4),
        (8, 4, 4),
        (16, 8, 1),
        (8, 8, 8),
        (16, 16, 8),
    ],
)
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_every_shape(make_bench, format, rows, lanes, drain_lanes, stall):
    config = AcceleratorConfig(
        rows=rows, lanes=lanes, drain_lanes=drain_lanes, format=format, accumulator_depth=256
    )
    dut, bench = build(make_bench, config, seed=rows + lanes, stall=stall)
    fields = {**BASES, **TILE, "relu": 1, "acquire": 1, "release": 1}
    bench.commands.items.append(command(**fields))
    finish(dut, bench)
    check(bench, config, bench.accumulators.values[0], fields)
    assert bench.accumulators.full == [0, 1]


@pytest.mark.parametrize("format", ["bfp8", "fp32"])
@pytest.mark.parametrize("stall", [0.0, 0.9])
def test_mask_reads_the_stored_elements(make_bench, format, stall):
    config = AcceleratorConfig(rows=8, lanes=8, drain_lanes=4, format=format, accumulator_depth=128)
    dut, bench = build(make_bench, config, stall=stall)
    mask = random_values(bench.rng, (60, 8))
    if format == "bfp8":
        mask = format_named(format).encode(mask)[0]
    bench.store(MASK, mask)
    fields = {**BASES, **TILE, "mask": 1, "relu": 0}
    bench.commands.items.append(command(**fields))
    finish(dut, bench)
    check(bench, config, bench.accumulators.values[0], fields, mask)


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_commands_of_every_kind_follow_each_other(make_bench, stall):
    config = AcceleratorConfig(rows=8, lanes=8, drain_lanes=4, accumulator_depth=128)
    dut, bench = build(make_bench, config, stall=stall)
    kinds = [{"raw": 1}, {"relu": 1}, {}, {"raw": 1, "relu": 1}, {"raw": 1}, {}]
    plan, vector = [], 0
    for k, kind in enumerate(kinds):
        # raw vectors are four times as long: keep the two kinds apart
        fields = {**BASES, "blocks": 1, "images": 1, "run": 3, "accumulator_base": 5 * k, **kind}
        fields.update(vector=(64 if kind.get("raw") else 0) + vector, accumulator_image_step=0)
        fields.update(accumulator_m_step=0, image_stride=0, block_stride=0)
        fields.update(acquire=k % 2 == 0, release=k % 2)
        plan.append((k // 2 % 2, fields))
        vector += 3
        bench.commands.items.append(command(**fields))
    bench.accumulators.full = [1, 1]
    released = []

    def done(ctx):
        if bench.accumulators.pointer != len(released) % 2:
            released.append(bench.accumulators.pointer)
            bench.accumulators.full[bench.accumulators.pointer ^ 1] = 1  # refilled
        return not bench.commands.items and not ctx.get(dut.busy)

    bench.run(done)
    assert len(released) == 3
    for bank, fields in plan:
        values = bench.accumulators.values[bank]
        for index, vector in expected(config, values, fields):
            elements, exponent = fetch_vector(bench, config, index, fields.get("raw"))
            want = vector if fields.get("raw") else format_named("bfp8").encode(vector[None])[0][0]
            np.testing.assert_array_equal(elements, want)
    bench.assert_nothing_else_written()


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_high_and_low_digits(make_bench, stall):
    """A tile in bfp16: two commands, back to back; the mask holds for both."""
    config = AcceleratorConfig(rows=8, lanes=8, drain_lanes=4, accumulator_depth=128, bfp16=True)
    dut, bench = build(make_bench, config, stall=stall)
    mask = format_named("bfp8").encode(random_values(bench.rng, (60, 8)))[0]
    bench.store(MASK, mask)
    fields = {**BASES, **TILE, "mask": 1, "relu": 0}
    below = fields | {"low": 1, "base": ELEMENTS // 64 + 8}
    bench.commands.items += [command(**fields), command(**below)]
    finish(dut, bench)
    for index, vector in expected(config, bench.accumulators.values[0], fields, mask):
        elements, exponents = format_named("bfp16").encode(vector[None])
        high, exponent = fetch_vector(bench, config, index)
        place = ELEMENTS + 512 + index * config.lanes
        low = bench.fetch(place, np.zeros(config.lanes, np.int8))
        np.testing.assert_array_equal(256 * high.astype(int) + low, elements[0])
        assert exponent[0] == exponents[0]
    bench.assert_nothing_else_written()


def test_a_command_is_taken_when_its_bank_is_there(make_bench):
    config = AcceleratorConfig(rows=8, lanes=8, drain_lanes=4, accumulator_depth=128)
    dut, bench = build(make_bench, config)
    bench.accumulators.full = [0, 0]
    fields = {**BASES, **TILE, "acquire": 1, "release": 1}
    bench.commands.items.append(command(**fields))

    def done(ctx):
        if bench.cycles == 100:
            assert not ctx.get(dut.busy) and len(bench.commands.items) == 1
            bench.accumulators.full[0] = 1
        return bench.cycles > 110 and not bench.commands.items and not ctx.get(dut.busy)

    bench.run(done)
    check(bench, config, bench.accumulators.values[0], fields)


@pytest.mark.parametrize("pace", range(8))
def test_a_pace_leaves_cycles_to_others(make_bench, pace):
    config = AcceleratorConfig(rows=8, lanes=8, drain_lanes=4, accumulator_depth=128)
    dut, bench = build(make_bench, config)
    fields = {**BASES, **TILE, "acquire": 1, "release": 1, "pace": pace}
    bench.commands.items.append(command(**fields))
    groups, around = 3 * 2 * 5 * 2, LATENCY + 12 + 9
    cycles = finish(dut, bench)
    assert (groups - 1) << pace <= cycles <= ((groups - 1) << pace) + around
    check(bench, config, bench.accumulators.values[0], fields)


@pytest.mark.parametrize("format", ["bfp8", "fp32"])
def test_never_pauses_between_vectors_runs_and_commands(make_bench, format):
    config = AcceleratorConfig(rows=8, lanes=8, drain_lanes=4, format=format, accumulator_depth=128)
    dut, bench = build(make_bench, config)
    for k in range(4):
        fields = {**BASES, **TILE, "vector": 45 * k, "run": 5}
        bench.commands.items.append(command(**fields))
    groups = 4 * 3 * 2 * 5 * 2
    latency = LATENCY + 12 + (2 + 7 if format == "bfp8" else 0)
    assert finish(dut, bench) <= groups + latency
    for k in range(4):
        fields = {**TILE, "vector": 45 * k}
        for index, _ in expected(config, bench.accumulators.values[0], fields):
            fetch_vector(bench, config, index)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_reports_infinities_and_nans(make_bench, value):
    config = AcceleratorConfig(rows=8, lanes=8, drain_lanes=4, accumulator_depth=128)
    dut, bench = build(make_bench, config)
    bench.accumulators.values[0, 4, 2] = value
    reports = 0

    def done(ctx):
        nonlocal reports
        reports += ctx.get(dut.nonfinite)
        return not bench.commands.items and not ctx.get(dut.busy)

    fields = {**BASES, **TILE, "relu": 1, "blocks": 1, "images": 1, "run": 4}
    bench.commands.items.append(command(**fields))
    bench.run(done)
    assert reports == 1


@pytest.mark.parametrize("latency, error", [(0, ValueError), ("3", TypeError), (True, TypeError)])
def test_rejects_a_wrong_latency(latency, error):
    with pytest.raises(error, match="Drain accumulator_latency must be"):
        Drain(AcceleratorConfig(), accumulator_latency=latency)
