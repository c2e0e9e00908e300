"""Stimulus, simulation and binary32 oracle of the arithmetic tests."""

import gc
import warnings

import numpy as np
import pytest

CORNERS = [
    0x00000000, 0x80000000,  # zeros
    0x00000001, 0x807FFFFF,  # subnormals
    0x00800000, 0x80800000, 0x00800001, 0x00FFFFFF, 0x01000000,  # smallest normals
    0x3F800000, 0xBF800000, 0x3F800001, 0x3F7FFFFF, 0xBF7FFFFF, 0x40000000, 0x40400000,
    0x34000000, 0x33800000, 0x33800001, 0x337FFFFF, 0xB3800000,  # halfway against 1.0
    0x4B000000, 0x4B800000, 0x4B7FFFFF,
    0x7F000000, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F7FFFFE, 0x73000000, 0x1F800000, 0x20000000,
    0x7F800000, 0xFF800000,  # infinities
    0x7FC00000, 0xFF800001, 0x7FFFFFFF,  # NaN
]  # fmt: skip


class Binary32:
    """Operations of docs/numerics.md in float64, which holds every sum and product of binary32
    closely enough that the second rounding is innocuous."""

    corners = CORNERS

    @staticmethod
    def flushed(bits):
        bits = np.asarray(bits, np.uint32)
        return np.where(bits & 0x7F800000 == 0, bits & 0x80000000, bits).astype(np.uint32)

    @classmethod
    def exact(cls, bits):
        quiet = cls.flushed(bits)
        nan = (quiet & 0x7FFFFFFF) > 0x7F800000
        with np.errstate(invalid="ignore"):
            return np.where(nan, np.nan, quiet.view(np.float32).astype(np.float64))

    @classmethod
    def rounded(cls, exact):
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            bits = exact.astype(np.float32).view(np.uint32)
        tiny = np.abs(exact) < 2.0**-126
        bits = np.where(tiny, np.signbit(exact).astype(np.uint32) << 31, bits)
        return np.where(np.isnan(exact), np.uint32(0x7FC00000), bits).astype(np.uint32)

    @classmethod
    def apply(cls, operation, *operands):
        with np.errstate(all="ignore"):
            return cls.rounded(operation(*(cls.exact(bits) for bits in operands)))

    @staticmethod
    def pairs(rng, count):
        """All pairs of corners, then random pairs: any bits, near exponents, near magnitudes."""
        a, b = (grid.ravel() for grid in np.meshgrid(CORNERS, CORNERS))
        sets = [(a, b)]
        part = count // 4
        any_a, any_b = rng.integers(0, 1 << 32, (2, part))
        sets.append((any_a, any_b))
        near = (any_a >> 23 & 0xFF) + rng.integers(-26, 27, part)
        sets.append((any_a, (any_b & 0x807FFFFF) | (np.clip(near, 0, 255) << 23)))
        sets.append((any_a, (any_a ^ 0x80000000) + rng.integers(-3, 4, part) & 0xFFFFFFFF))
        exponent = rng.integers(1, 255, (2, part))
        few = rng.integers(0, 8, (2, part)) << rng.integers(0, 21, (2, part))
        sign = rng.integers(0, 2, (2, part)) << 31
        simple = sign | exponent << 23 | few & 0x7FFFFF
        product_near = np.clip(127 - exponent[0] + rng.choice([0, 1, 127, 128, 254], part), 1, 254)
        simple[1] = (simple[1] & 0x807FFFFF) | product_near << 23
        sets.append(tuple(simple))
        return tuple(np.concatenate(side).astype(np.uint32) for side in zip(*sets))


@pytest.fixture
def binary32():
    return Binary32


@pytest.fixture
def pipeline(simulate):
    """Function that sends one item a cycle through a pipeline and returns what comes out
    `dut.latency` cycles later, item by item."""

    def run(dut, inputs, outputs):
        """`inputs`: name -> sequence; `outputs`: names. Returns name -> list."""
        count = len(next(iter(inputs.values())))
        results = {name: [] for name in outputs}
        ports = {name: getattr(dut, name) for name in (*inputs, *outputs)}

        async def bench(ctx):
            for cycle in range(count + dut.latency):
                if cycle < count:
                    for name, values in inputs.items():
                        ctx.set(ports[name], values[cycle])
                if cycle >= dut.latency:
                    for name in outputs:
                        value = ctx.get(ports[name])
                        results[name].append(value if isinstance(value, int) else list(value))
                await ctx.tick()

        simulate(dut, bench, cycles=count + dut.latency + 10)
        return results

    return run


@pytest.fixture
def rejects():
    """Function that asserts the whole message with which a constructor refuses its parameters."""

    def check(component, parameters, error, message):
        with warnings.catch_warnings():
            # a component that was refused is never elaborated, which Amaranth points out
            warnings.simplefilter("ignore")
            with pytest.raises(error) as caught:
                component(**parameters)
            text = str(caught.value)
            del caught
            gc.collect()
        assert text == message

    return check
