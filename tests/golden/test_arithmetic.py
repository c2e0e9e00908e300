import itertools

import numpy as np
import pytest

from eftrain_hw.golden import arithmetic

TINY = 2.0**-126
CORNERS = [
    0.0, -0.0, 1.0, -1.0, 1.5, -3.0, TINY, -TINY, TINY * 1.5, -TINY * 1.25, TINY / 2, -TINY / 4,
    2.0**-149, -(2.0**-149), TINY * (1 + 2**-23), TINY * (1 - 2**-23), 1 - 2.0**-24, 1 + 2.0**-23,
    2.0**-63, -(2.0**-63) * (1 + 2**-23), 2.0**63 * (1 + 2**-22), 2.0**127, -(2.0**127) * 1.75,
    2.0**128 - 2.0**104, -(2.0**128 - 2.0**104), 3.0, 1 / 3, 2.0**24 + 2, -(2.0**24), 0.1, 7.0,
    float("inf"), float("-inf"), float("nan"),
]  # fmt: skip

BINARY = {
    "fadd": "add",
    "fmul": "multiply",
    "fdiv": "divide",
}


def operands(rng):
    corners = np.array(CORNERS, np.float32)
    pairs = np.array(list(itertools.product(corners, corners)), np.float32).T
    bits = rng.integers(0, 1 << 32, (2, 1500), dtype=np.uint64).astype(np.uint32)
    near = rng.integers(0, 1 << 32, (2, 1500), dtype=np.uint64).astype(np.uint32)
    near[1] = (near[0] ^ (near[1] & 0x80FFFFFF)).astype(np.uint32)  # like exponents: cancellation
    low = (rng.integers(54, 74, (2, 1500)) << 23 | rng.integers(0, 1 << 23, (2, 1500))).astype(
        np.uint32
    )  # products around 2^-126
    return np.concatenate(
        [pairs, bits.view(np.float32), near.view(np.float32), low.view(np.float32)], axis=1
    )


def as_float32(values):
    array = np.array(values, np.float64).astype(np.float32)
    array[np.isnan(array)] = arithmetic.NAN
    return array


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", BINARY)
def test_binary_operations_equal_exact_rationals(name, scalar, same_bits):
    a, b = operands(np.random.default_rng(1))
    expected = [
        getattr(scalar, BINARY[name])(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)
    ]
    same_bits(getattr(arithmetic, name)(a, b), as_float32(expected))


def test_square_root_equals_exact_rationals(scalar, same_bits):
    a, _ = operands(np.random.default_rng(2))
    same_bits(arithmetic.fsqrt(a), as_float32([scalar.square_root(x) for x in a.tolist()]))


def test_a_product_that_would_round_up_to_the_smallest_normal_is_zero(same_bits):
    a = np.float32([1 + 2**-23, -(1 + 2**-23), 1 + 2**-23])
    b = np.float32([TINY * (1 - 2**-23), TINY * (1 - 2**-23), TINY])  # the first is subnormal
    same_bits(arithmetic.fmul(a, b), np.float32([0, -0.0, TINY * (1 + 2**-23)]))
    # (1 - 2^-24) * 2^-126 would round to 2^-126
    a = np.float32([2.0**-63 * (1 - 2**-24)] * 2)
    b = np.float32([2.0**-63, -(2.0**-63)])
    same_bits(arithmetic.fmul(a, b), np.float32([0, -0.0]))
    assert (np.multiply(a, b) != 0).all()  # NumPy alone gives a subnormal or 2^-126
    # 2^-126 * (1 - 2^-46): NumPy rounds it to 2^-126
    a, b = np.float32([2.0**-63 * (1 + 2**-23)]), np.float32([2.0**-63 * (1 - 2**-23)])
    assert np.multiply(a, b)[0] == np.float32(TINY)
    same_bits(arithmetic.fmul(a, b), np.float32([0]))


def test_mac_rounds_twice(scalar):
    a = np.float32(1 + 2**-23)
    c = np.float32(-(1 + 2**-22))
    assert arithmetic.mac(a, a, c) == 0  # a fused one would keep 2^-46
    assert scalar.mac(float(a), float(a), float(c)) == 0


def test_maximum_keeps_the_first_of_equals_and_ignores_nan(same_bits):
    nan = np.float32("nan")
    a = np.float32([1, 2, 0, -0.0, nan, 1])
    b = np.float32([2, 1, -0.0, 0, 1, nan])
    same_bits(arithmetic.fmax(a, b)[[0, 1, 2, 3, 5]], np.float32([2, 2, 0, -0.0, 1]))
    assert np.isnan(arithmetic.fmax(a, b)[4])
    assert arithmetic.greater(np.float32([2.0**-130]), np.float32([0])).tolist() == [False]


def test_subtraction_negates_by_the_sign_bit(same_bits):
    a = np.float32([1, 0, 0, -0.0])
    b = np.float32([1, 0, -0.0, 0])
    same_bits(arithmetic.fsub(a, b), np.float32([0, 0, 0, -0.0]))
    same_bits(arithmetic.fneg(b), np.float32([-1, -0.0, 0, -0.0]))
