"""Commands of every kind, one after the other, through the shared ports."""

import numpy as np
import pytest

from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.formats import Blocked, format_named
from eftrain_hw.golden import cross_entropy, maxpool_backward, maxpool_forward, sgd
from eftrain_hw.vector.commands import LOSS, POOL_BACKWARD, POOL_FORWARD, UPDATE
from eftrain_hw.vector.ports import read_item_bytes, write_item_bytes


@pytest.mark.parametrize("format", ["bfp8", "fp32"])
def test_commands_of_every_kind_queued_at_once(make_unit, format):
    config = AcceleratorConfig(lanes=4, drain_lanes=4, pool_words=64, loss_words=64, format=format)
    bench = make_unit(config, stall=0.3)
    rng, codec = bench.rng, format_named(format)
    place = iter(range(0, 1 << 16, 0x400))
    lines = {}

    def store(name, array):
        lines[name] = next(place)
        bench.store(lines[name], array)

    def line(name):
        if name not in lines:
            lines[name] = next(place)
        return lines[name] // 64

    def same(name, want):
        if want is not None:
            got = bench.fetch(lines[name], want)
            np.testing.assert_array_equal(got.view(np.uint8), want.view(np.uint8), name)

    parameters = {n: rng.standard_normal((5, 4)).astype(np.float32) for n in ("w", "v", "g")}
    for name, array in parameters.items():
        store(name, array)
    x = Blocked.encode(codec, rng.standard_normal((1, 1, 4, 4, 4)).astype(np.float32))
    y, index = maxpool_forward(x, kernel=(2, 2), relu=True)
    store("x", x.elements)
    store("xe", np.zeros(0) if x.exponents is None else x.exponents)
    store("dy", y.elements)
    store("dye", np.zeros(0) if y.exponents is None else y.exponents)
    store("places", index)
    logits = rng.standard_normal((2, 1, 1, 1, 4)).astype(np.float32)
    labels = np.array([2, 0], np.uint32)
    store("logits", logits)
    store("labels", labels)
    for name, value in (("learning_rate", 0.1), ("momentum", 0.5), ("inverse_images", 0.5)):
        bench.set(name, np.float32(value))
    bench.set("valid_images", 2)

    shape = dict(planes=1, height=4, width=4, out_height=2, out_width=2)
    shape |= dict(kernel_height=2, kernel_width=2)
    for copy in range(2):
        bench.command(
            POOL_FORWARD, relu=1, source=line("x"), source_exponents=line("xe"),
            result=line(f"y{copy}"), result_exponents=line(f"ye{copy}"),
            index=line(f"index{copy}"), **shape,
        )  # fmt: skip
        bench.command(
            LOSS, logits=line("logits"), labels=line("labels"), gradient=line(f"d{copy}"),
            gradient_exponents=line(f"de{copy}"), losses=line(f"loss{copy}"), images=2,
            classes=3, blocks=1,
        )  # fmt: skip
        bench.command(
            POOL_BACKWARD, source=line("dy"), source_exponents=line("dye"),
            result=line(f"dx{copy}"), result_exponents=line(f"dxe{copy}"), index=line("places"),
            **shape,
        )  # fmt: skip
    bench.command(
        UPDATE, copy=1, gradient=line("g"), momentum=line("v"), master=line("w"),
        result=line("copy"), result_exponents=line("copye"), vectors=5,
    )  # fmt: skip
    bench.finish()

    w, v, encoded = sgd(
        parameters["w"], parameters["v"], parameters["g"], lr=0.1, momentum=0.5, format=codec
    )
    same("w", w)
    same("v", v)
    same("copy", encoded.elements)
    same("copye", encoded.exponents)
    losses, loss, gradient = cross_entropy(
        logits, labels, classes=3, valid=2, inv_n=0.5, format=codec
    )
    dx = maxpool_backward(y, index, input_size=(4, 4), kernel=(2, 2))
    for copy in range(2):
        same(f"y{copy}", y.elements)
        same(f"ye{copy}", y.exponents)
        same(f"index{copy}", index)
        same(f"dx{copy}", dx.elements)
        same(f"dxe{copy}", dx.exponents)
        same(f"loss{copy}", losses)
        lines["batch"] = lines[f"loss{copy}"] + 64
        same("batch", np.float32([loss]))
        same(f"d{copy}", gradient.elements)
        same(f"de{copy}", gradient.exponents)
    bench.assert_nothing_else_written()


def test_takes_and_ignores_an_unknown_opcode(make_unit):
    bench = make_unit(AcceleratorConfig(lanes=4, drain_lanes=4))
    bench.commands.items += [{"opcode": 200, "words": 0}, {"opcode": 0, "words": 0}]
    assert bench.finish() < 20
    bench.assert_nothing_else_written()


def test_busy_from_the_cycle_in_which_a_command_is_taken(make_unit):
    bench = make_unit(AcceleratorConfig(lanes=4, drain_lanes=4))
    bench.command(UPDATE, vectors=1, gradient=0, momentum=8, master=16)
    taken = []

    def done(ctx):
        command = bench.dut.command
        if ctx.get(command.valid) and ctx.get(command.ready):
            taken.append(bench.cycles)
        if taken:
            assert ctx.get(bench.dut.busy) or bench.cycles > taken[0] + 4
        return taken and not ctx.get(bench.dut.busy)

    assert bench.run(done) > 30
    assert len(taken) == 1


@pytest.mark.parametrize(
    "options, reads, writes",
    [
        ({}, ((4, 16), (4, 16), (1, 4)), ((4, 16), (4, 16), (1, 1), (1, 1))),
        ({"bfp16": True}, ((4, 16), (4, 16), (1, 4)), ((4, 16), (4, 16), (1, 16), (1, 1))),
        ({"format": "fp32"}, ((4, 16), (4, 4), (1, 4)), ((4, 16), (4, 4), (4, 4), (1, 1))),
        ({"lanes": 4}, ((4, 4), (4, 4), (1, 4)), ((4, 4), (4, 4), (1, 1), (1, 1))),
        (
            {"format": "fp32", "ports": 1},
            ((4, 8), (2, 4), (1, 4)),
            ((4, 8), (2, 4), (4, 4), (1, 1)),
        ),
    ],
    ids=str,
)
def test_item_sizes(options, reads, writes):
    config = AcceleratorConfig(drain_lanes=4, **options)
    assert read_item_bytes(config) == reads
    assert write_item_bytes(config) == writes
