"""The encoder against rational arithmetic, with and without gaps."""

from fractions import Fraction

import numpy as np
import pytest

from eftrain_hw.arith import VectorQuantise
from eftrain_hw.formats import BFP8, BFP16

SHAPES = [(1, 1), (4, 4), (4, 1), (8, 2), (16, 4), (16, 16), (32, 8)]
OUTPUTS = ("o_first", "o_last", "o_nonfinite", "o_exponent", "o")


def encode(bits):
    """Mantissas, exponent and `nonfinite` of a vector of raw words, from docs/numerics.md."""
    magnitudes = [word & 0x7FFFFFFF if word >> 23 & 0xFF else 0 for word in bits]
    largest = max(magnitudes)
    exponent = (largest >> 23) + (largest >> 16 & 0x7F == 0x7F) if largest else 0
    exponent = min(exponent, 254)
    mantissas = []
    for word, magnitude in zip(bits, magnitudes):
        if magnitude >= 0x7F800000:
            mantissa = 127
        else:
            exact = Fraction(float(np.uint32(magnitude).view(np.float32)))
            mantissa = min(127, round(exact * Fraction(2) ** (133 - exponent)))
        mantissas.append(-mantissa if word >> 31 else mantissa)
    return mantissas, exponent, largest >= 0x7F800000


def vectors(rng, lanes, count):
    """Raw words: near exponents, halfway cases, rounding up to 128, specials, tiny, huge."""
    base = rng.choice([1, 3, 9, 100, 127, 250, 254], (count, 1)) + rng.integers(-1, 2, (count, 1))
    exponent = np.clip(base - rng.integers(0, 12, (count, lanes)), 0, 254)
    fraction = rng.integers(0, 1 << 23, (count, lanes))
    round_number = rng.integers(0, 256, (count, lanes)) << 15
    edges = [0x7F0000, 0x7EFFFF, 0x7FFFFF, 0x7E0000, 0x008000, 0x018000, 0]
    edge = rng.choice(edges, (count, lanes))
    fraction = np.choose(rng.integers(0, 3, (count, lanes)), [fraction, round_number, edge])
    words = rng.integers(0, 2, (count, lanes)) << 31 | exponent << 23 | fraction
    specials = [0, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00001, 0xFFFFFFFF, 1]
    rare = rng.random(words.shape) < 0.3 / lanes
    words = np.where(rare, rng.choice(specials, words.shape), words)
    words[0] = 0
    words[1] = 0x80000001
    words[2] = 0x7F7FFFFF
    return words.astype(np.uint32)


def run(simulate, dut, words, rng, idle, low=()):
    """Beats out with their cycle, and the cycle in which each vector was complete."""
    beats = words.reshape(-1, dut.parallel).tolist()
    received, complete = [], []

    async def bench(ctx):
        cycle, sent = 0, 0
        while len(received) < len(beats):
            if ctx.get(dut.o_valid):
                values = [ctx.get(getattr(dut, name)) for name in OUTPUTS]
                received.append((cycle, *values[:-1], list(values[-1])))
            send = sent < len(beats) and rng.random() >= idle
            ctx.set(dut.i_valid, send)
            if send:
                ctx.set(dut.i, beats[sent])
                if dut.digits == 2:
                    ctx.set(dut.low, low[sent // dut.beats])
                sent += 1
                if sent % dut.beats == 0:
                    complete.append(cycle)
            await ctx.tick()
            cycle += 1
        ctx.set(dut.i_valid, 0)
        await ctx.tick().repeat(dut.latency + dut.beats)
        assert not ctx.get(dut.o_valid)

    simulate(dut, bench, cycles=20 * len(beats) + 100)
    return received, complete


@pytest.mark.parametrize("idle", [0, 0.5, 0.9])
@pytest.mark.parametrize(("lanes", "parallel"), SHAPES)
def test_vectors(simulate, lanes, parallel, idle):
    rng = np.random.default_rng([lanes, parallel, int(10 * idle)])
    words = vectors(rng, lanes, 40 if idle == 0.9 else 1000 // lanes + 40)
    dut = VectorQuantise(lanes=lanes, parallel=parallel)
    received, complete = run(simulate, dut, words, rng, idle)
    expected = []
    for cycle, vector in zip(complete, words.tolist()):
        mantissas, exponent, nonfinite = encode(vector)
        for beat in range(dut.beats):
            first = beat == 0
            values = mantissas[beat * parallel : (beat + 1) * parallel]
            expected.append(
                (
                    cycle + dut.latency + beat,
                    first,
                    beat == dut.beats - 1,
                    nonfinite and first,
                    exponent,
                    values,
                )
            )
    assert received == expected


@pytest.mark.parametrize("idle", [0, 0.5])
@pytest.mark.parametrize(("lanes", "parallel"), [(4, 1), (16, 4), (16, 16)])
def test_either_digit(simulate, lanes, parallel, idle):
    """High and low digits of vectors in turn, against the codec of bfp16."""
    rng = np.random.default_rng([lanes, parallel, int(10 * idle)])
    words = vectors(rng, lanes, 3000 // lanes + 40)
    finer = rng.random(words.shape) < 0.5  # halfway cases of the low digit
    words[finer] &= np.uint32(0xFFFFFF80)
    low = rng.integers(0, 2, len(words)).tolist()
    dut = VectorQuantise(lanes=lanes, parallel=parallel, digits=2)
    received, _ = run(simulate, dut, words, rng, idle, low)
    elements, exponents = BFP16().encode(words.view(np.float32))
    high = BFP8().encode(words.view(np.float32))[0].astype(int)
    digits = np.where(np.array(low)[:, None], elements - 256 * high, high)
    got = np.array([values for *_, values in received]).reshape(-1, lanes)
    np.testing.assert_array_equal(got, digits)
    np.testing.assert_array_equal([row[4] for row in received], np.repeat(exponents, dut.beats))


def test_back_to_back_vectors_leave_without_a_gap(simulate):
    rng = np.random.default_rng(3)
    dut = VectorQuantise(lanes=16, parallel=4)
    received, _ = run(simulate, dut, vectors(rng, 16, 50), rng, 0)
    assert [cycle for cycle, *_ in received] == list(
        range(received[0][0], received[0][0] + len(received))
    )


def test_codec_agrees_with_rational_arithmetic():
    words = vectors(np.random.default_rng(4), 8, 1500)
    mantissas, exponents = BFP8().encode(words.view(np.float32))
    for vector, got, exponent in zip(words.tolist(), mantissas.tolist(), exponents.tolist()):
        assert (got, exponent) == encode(vector)[:2]


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"lanes": 12, "parallel": 4}, ValueError, "lanes must be a power of two, 1 to 64, not 12"),
        (
            {"lanes": 8, "parallel": 16},
            ValueError,
            "parallel must be a power of two, 1 to lanes (8), not 16",
        ),
        (
            {"lanes": 8, "parallel": 3},
            ValueError,
            "parallel must be a power of two, 1 to lanes (8), not 3",
        ),
        ({"lanes": 8, "parallel": 2.0}, TypeError, "parallel must be an int, not 2.0"),
        ({"lanes": 8, "parallel": 2, "digits": 3}, ValueError, "digits must be 1 or 2, not 3"),
    ],
)
def test_rejects(rejects, parameters, error, message):
    rejects(VectorQuantise, parameters, error, f"VectorQuantise {message}")
