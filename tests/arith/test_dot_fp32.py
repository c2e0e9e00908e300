"""The binary32 dot product against a tree of rounded operations."""

import numpy as np
import pytest

from eftrain_hw.arith import DotFp32


def expected(binary32, w, x):
    terms = binary32.apply(np.multiply, w, x)
    while terms.shape[-1] > 1:
        terms = binary32.apply(np.add, terms[..., ::2], terms[..., 1::2])
    return terms[..., 0]


@pytest.mark.parametrize(("lanes", "count"), [(1, 300), (4, 300), (8, 200)])
def test_loads_swaps_and_sums(pipeline, binary32, lanes, count):
    rng = np.random.default_rng(lanes)

    def words():
        exponents = rng.integers(100, 150, (count, lanes)) << 23
        values = rng.integers(0, 2, (count, lanes)) << 31 | exponents
        values |= rng.integers(0, 1 << 23, (count, lanes))
        corner = rng.choice(binary32.corners, (count, lanes))
        return np.where(rng.random((count, lanes)) < 0.05, corner, values).astype(np.uint32)

    x, w = words(), words()
    load, swap = rng.random(count) < 0.6, rng.random(count) < 0.4
    shadow = active = np.zeros(lanes, np.uint32)
    used = np.empty_like(w)
    for k in range(count):
        active = shadow if swap[k] else active
        shadow = w[k] if load[k] else shadow
        used[k] = active
    dut = DotFp32(lanes=lanes)
    inputs = {"load": load, "swap": swap, "w": w, "x": x}
    got = pipeline(dut, {name: values.tolist() for name, values in inputs.items()}, ["o"])["o"]
    np.testing.assert_array_equal(np.array(got, np.uint32), expected(binary32, used, x))


@pytest.mark.parametrize(
    ("lanes", "error", "message"),
    [
        (3, ValueError, "must be a power of two, 1 to 64, not 3"),
        (None, TypeError, "must be an int, not None"),
    ],
)
def test_rejects(rejects, lanes, error, message):
    rejects(DotFp32, {"lanes": lanes}, error, f"DotFp32 lanes {message}")
