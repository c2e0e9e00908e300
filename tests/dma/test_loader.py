# amaranth: UnusedElaboratable=no
"""What the loader puts into the buffers, against a direct statement of the contract."""

import numpy as np
import pytest

from eftrain_hw.dma.commands import DESTINATIONS
from eftrain_hw.dma.loader import Loader
from sim.models.loader import (
    BIASES,
    ELEMENTS,
    EXPONENTS,
    LoaderBench,
    config_of,
    load_and_check,
    strips,
    tensor,
    tile,
)

CASES = {
    "whole map": [tile("scatter")],
    "halo": [tile("scatter", row=-1, rows=9, column=-1, columns=7)],
    "below": [tile("scatter", row=5, rows=4, column=3, columns=4)],
    "outside": [tile("scatter", row=-3, rows=3), tile("scatter", column=5, columns=2, rows=3)],
    "one": [tile("scatter", row=3, rows=1, column=2, columns=1, vector=35)],
    "blocks": [tile("scatter", blocks=2, rows=3, row=2, column=1, columns=3)],
    "image limit": [tile("scatter", images=2, image=2, vector=140, rows=3, column=-1, columns=6)],
    "long row": [tile("scatter", height=1, width=129, columns=129, rows=1, vector=13)],
    "rotate": [tile("rotate", blocks=2, rows=4)],
    "rotate odd": [tile("rotate", height=1, width=17, columns=17, rows=1, vector=3)],
    "in turn": [
        tile("scatter", rows=1), tile("scatter", row=1, rows=2), tile("rotate", row=3, rows=1)
    ],
}


def strip_cases(lanes):
    """Every split of the lanes that differs in kind: rows, columns, images and mixtures."""
    splits = {
        4: [(1, 2, 2), (4, 1, 1)],
        8: [(2, 2, 2), (1, 8, 1)],
        16: [(1, 4, 4), (4, 2, 2)],
        32: [(2, 4, 4), (8, 1, 4)],
    }[lanes]
    cases = []
    for a, b, c in splits:
        small = {"rows": 3} if -(-7 // b) > 4 else {}
        cases.append(strips(a, b, c, row=0, column=0, rows=2, columns=-(-5 // c), **{}))
        cases.append(strips(a, b, c, **small))
    # the second of a pair of image groups lies partly beyond the tensor
    cases.append(strips(lanes, 1, 1, images=2, rows=1, columns=2, image_limit=lanes + 1,
                        image_stride=5))
    return cases


FORMATS = [
    (16, 2, "bfp8", 0.0),
    (4, 2, "bfp8", 0.5),
    (8, 1, "bfp8", 0.9),
    (32, 1, "bfp8", 0.0),
    (4, 1, "fp32", 0.5),
    (8, 2, "fp32", 0.0),
]


@pytest.mark.parametrize("lanes, ports, pause", [(16, 2, 0.0), (4, 2, 0.5), (8, 1, 0.9)])
def test_wide_slots_hold_both_digits(lanes, ports, pause):
    """Slots of two digits, in all modes, in turn with slots of one."""
    config = config_of(lanes, ports, bfp16=True)
    commands = [command for case in CASES.values() for command in case] + strip_cases(lanes)
    long = max(range(len(commands)), key=lambda k: commands[k]["columns"])
    del commands[long]  # too long for a wide slot
    wide = [command | {"wide": 1} for command in commands]
    mixed = [command for pair in zip(wide, commands) for command in pair]

    async def body(bench):
        await load_and_check(bench, bench.moving, mixed, slow=pause == 0.5)

    source = tensor(config, 300 + 70 * lanes, seed=lanes)
    LoaderBench(config, source, pause=pause, seed=ports).run(body)


@pytest.mark.parametrize("lanes, ports, format, pause", FORMATS)
def test_slots_hold_what_the_contract_says(lanes, ports, format, pause):
    config = config_of(lanes, ports, format)
    cases = ["halo", "rotate odd", "image limit"] if lanes == 32 else CASES  # 32: slow to simulate
    commands = [command for case in cases for command in CASES[case]] + strip_cases(lanes)

    async def body(bench):
        await load_and_check(bench, bench.moving, commands, slow=pause == 0.5)
        bench.check_requests(commands)

    source = tensor(config, 300 + 70 * lanes, seed=lanes)
    LoaderBench(config, source, pause=pause, seed=ports).run(body)


@pytest.mark.parametrize(
    "lanes, ports, format", [(4, 4, "bfp8"), (16, 2, "bfp8"), (8, 1, "fp32"), (4, 4, "fp32")]
)
def test_biases_share_the_slot_of_the_weights(lanes, ports, format):
    config = config_of(lanes, ports, format)
    source = tensor(config, 300, seed=5)
    words = source.dram[BIASES * 64:][: 40 * lanes * 4].view(np.uint32)
    # first vector and vectors of the biases; mode and vectors of the weights
    plan = [(3, 2, "rotate", 9), (1, 3, "scatter", 4), (0, 1, "rotate", 7)]
    plan.append((2, 40 // lanes, "rotate", 1))
    weights = [
        tile(mode, "stationary", acquire=0, height=1, rows=1, width=count, columns=count)
        | {"vector": start}
        for start, _, mode, count in plan
    ]

    async def body(bench):
        for (start, count, _, _), command in zip(plan, weights):
            # fields that a bias load must not read are set to nonsense
            bench.send(
                destination=DESTINATIONS["bias"], acquire=1, base=BIASES, vector=start,
                columns=count, mode=1, rows=9, images=0, blocks=3, row=-4, column=7, width=1,
            )
            bench.send(**command)
        for (start, count, _, _), command in zip(plan, weights):
            buffer = bench.stationary
            while not bench.ctx.get(buffer.full):
                await bench.step()
            read = buffer.bias_read
            bench.ctx.set(read.slot, bench.ctx.get(buffer.read_slot))
            for word in range(count * lanes):
                bench.ctx.set(read.word, word)
                for _ in range(buffer.read_latency):
                    await bench.step()
                assert bench.ctx.get(read.value) == words[start * lanes + word]
            await bench.check(buffer, command)
        await bench.idle()
        assert not bench.beats

    LoaderBench(config, source, pause=0.3, seed=lanes).run(body)


def test_exponents_wait_where_zeros_hold_up_the_elements():
    config = config_of(8, 1)
    # a vector in the map, then eleven zeros: data come faster than they are used
    commands = [tile("scatter", height=64, rows=64, column=4, columns=12)]

    async def body(bench):
        await load_and_check(bench, bench.moving, commands)
        assert bench.waited

    LoaderBench(config, tensor(config, 400, seed=1)).run(body)


def test_a_load_without_vectors_only_publishes():
    config = config_of(4, 2)
    commands = [
        tile("scatter", rows=0), tile("rotate", blocks=0), tile("strip"), tile("scatter", rows=1)
    ]

    async def body(bench):
        await load_and_check(bench, bench.moving, commands)
        assert len(bench.requests) == 2

    LoaderBench(config, tensor(config, 100, seed=1)).run(body)


def random_command(rng, lanes, capacity):
    """Any tile of any tensor that fits a slot of `capacity` elements a lane."""
    while True:
        mode = int(rng.integers(3))
        height, width = (int(x) for x in rng.integers(1, rng.choice([3, 20]), 2))
        blocks, images = (int(x) for x in rng.integers(1, 4, 2))
        a, b, c = {4: (1, 2, 2), 8: (2, 1, 4), 16: (2, 4, 2), 32: (8, 2, 2)}[lanes]
        rows, columns = (int(x) for x in rng.integers(1, 24, 2))
        count = images * blocks * rows * columns
        # a strip's vector takes `lanes` addresses of its lane
        if count * (lanes if mode == 1 else 1) > capacity:
            continue
        total = images + int(rng.integers(-1, 2))
        if mode == 1:
            total = images * a - int(rng.integers(a))
        return dict(
            destination=int(rng.integers(2)), mode=mode, acquire=1, publish=1,
            base=ELEMENTS, exponent_base=EXPONENTS, vector=int(rng.integers(40)),
            image=2, image_limit=2 + total, lane_images=a, lane_rows=b, lane_columns=c,
            lane_row_step=int(rng.integers(6)), lane_column_step=int(rng.integers(6)),
            images=images, image_stride=blocks * height * width,
            blocks=blocks, block_stride=height * width,
            row=int(rng.integers(-rows, height + 1)), rows=rows, height=height,
            column=int(rng.choice([0, rng.integers(-columns, width + 1)])), columns=columns,
            width=width,
        )


@pytest.mark.parametrize("lanes, ports, format", [(8, 2, "bfp8"), (4, 1, "bfp8")])
def test_any_tile(lanes, ports, format, count=25):
    config = config_of(lanes, ports, format)
    rng = np.random.default_rng(lanes)
    capacity = min(config.moving_elements, config.stationary_elements)
    commands = [random_command(rng, lanes, capacity) for _ in range(count)]

    async def body(bench):
        for command in commands:
            bench.send(**command)
        for command in commands:
            buffer = (bench.moving, bench.stationary)[command["destination"]]
            while not bench.ctx.get(buffer.full):
                await bench.step()
            await bench.check(buffer, command)
        await bench.idle()
        bench.check_requests(commands)

    LoaderBench(config, tensor(config, 8000, seed=lanes), pause=0.2, seed=ports).run(body)


def test_refuses_what_is_no_configuration():
    with pytest.raises(TypeError, match="Loader config must be an AcceleratorConfig, not 3"):
        Loader(config=3)
