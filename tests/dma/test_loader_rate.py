"""When the loader asks and writes: rate, run-ahead, slots."""

import pytest

from sim.models.loader import ELEMENTS, EXPONENTS, LoaderBench, config_of, strips, tensor, tile


@pytest.mark.parametrize(
    "lanes, ports, format", [(16, 2, "bfp8"), (8, 2, "bfp8"), (32, 2, "bfp8"), (8, 2, "fp32")]
)
def test_a_beat_is_taken_every_cycle_across_commands(lanes, ports, format):
    config = config_of(lanes, ports, format)
    count = 100
    commands = [
        tile(mode, "moving" if i % 2 else "stationary", height=1, rows=1)
        | {"width": count, "columns": count, "vector": 3 + 8 * i}
        for i, mode in enumerate(["rotate", "scatter", "scatter", "rotate"])
    ]

    async def body(bench):
        for command in commands:
            bench.send(**command)
        await bench.idle()
        span = bench.writes[-1] - bench.writes[0] + 1
        if config.vectors_per_beat == 1:
            # memory's one beat a cycle is the limit, exponents included
            assert bench.waited == 0
            assert bench.taken[-1] - bench.taken[0] + 1 == len(bench.taken)
        else:
            # a vector a cycle is
            assert span <= len(commands) * (count + 3)
        assert len(bench.writes) == len(commands) * count * config.beats_per_vector

    config = config.replace(stationary_words=256)
    LoaderBench(config, tensor(config, 200, seed=1), latency=40).run(body)


def test_short_rows_keep_the_memory_busy():
    config = config_of(16, 2)
    command = strips(
        16, 1, 1, blocks=2, image_limit=16, row=0, rows=3, column=1, columns=3, image_stride=70
    )

    async def body(bench):
        for _ in range(2):
            bench.send(**command)
        await bench.idle()
        # rows of 3 vectors, each with its beat or two of exponents
        exponents = sum(beats for _, _, beats in bench.requests[::2])
        assert len(bench.taken) == len(bench.requests) // 2 * 3 + exponents
        assert bench.taken[-1] - bench.taken[0] + 1 == len(bench.taken) and not bench.waited

    LoaderBench(config, tensor(config, 1200, seed=1), latency=40).run(body)


def test_zeros_and_data_are_written_at_one_rate():
    config = config_of(16, 2)

    async def body(bench):
        bench.send(**strips(1, 4, 4))
        await bench.idle()
        gaps = [b - a for a, b in zip(bench.writes, bench.writes[1:]) if b - a > 1]
        assert len(bench.writes) == 256 and len(gaps) <= 1  # the first data's latency

    LoaderBench(config, tensor(config, 300, seed=1)).run(body)


def test_rows_as_wide_as_the_map_are_one_run():
    config = config_of(16, 2)

    async def body(bench):
        bench.send(**tile("scatter", row=-1, rows=9, column=-1, columns=7, vector=1))
        await bench.idle()
        assert [(address, beats) for _, address, beats in bench.requests] == [
            (EXPONENTS * 64, 3), (ELEMENTS * 64 + 16, 35)
        ]
        # zeros and data together: a vector a cycle once data come
        assert sum(b - a > 1 for a, b in zip(bench.writes, bench.writes[1:])) <= 1

    LoaderBench(config, tensor(config, 300, seed=1)).run(body)


def test_nothing_is_requested_for_a_slot_that_is_not_free():
    config = config_of(8, 2)
    commands = [tile("scatter", rows=1, row=i) for i in range(4)]

    async def body(bench):
        for command in commands:
            bench.send(**command)
        for _ in range(150):
            await bench.step()
        assert len(bench.requests) == 4  # exponents and elements of two commands
        assert bench.ctx.get(bench.loader.stall_moving) and not bench.ctx.get(bench.moving.free)
        assert bench.ctx.get(bench.loader.busy) and not bench.ctx.get(bench.loader.stall_memory)
        for command in commands:
            while not bench.ctx.get(bench.moving.full):
                await bench.step()
            await bench.check(bench.moving, command)
        await bench.idle()

    LoaderBench(config, tensor(config, 100, seed=1)).run(body)


def test_the_second_slot_is_requested_while_the_first_is_filled():
    config = config_of(16, 2)
    commands = [tile("scatter"), tile("scatter", rows=2)]

    async def body(bench):
        for command in commands:
            bench.send(**command)
        while not bench.ctx.get(bench.moving.full):
            await bench.step()
        assert len(bench.requests) == 4
        for command in commands:
            while not bench.ctx.get(bench.moving.full):
                await bench.step()
            await bench.check(bench.moving, command)
        await bench.idle()

    LoaderBench(config, tensor(config, 100, seed=1), latency=60).run(body)
