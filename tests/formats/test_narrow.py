import numpy as np
import pytest

from eftrain_hw.formats import BFP8, FP32, Blocked, encode_narrow


def values(seed=0, shape=(400, 4)):
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 255, shape) << 23 | rng.integers(0, 1 << 23, shape)
    bits |= rng.integers(0, 2, shape) << 31
    found = bits.astype(np.uint32).view(np.float32)
    found[rng.random(shape) < 0.2] = 0
    near = found[::3, :1] * rng.uniform(0.4, 1, found[::3].shape)  # of like magnitude
    found[::3] = near.astype(np.float32)
    return found


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 7])
def test_mantissas_follow_the_rule(bits):
    """Element by element, in exact integers."""
    x, most = values(), 2 ** (bits - 1) - 1
    found = encode_narrow(x, bits)
    assert found.format.name == "bfp8"
    assert (found.elements.astype(int) % (1 << (8 - bits)) == 0).all()
    for row, mantissas, exponent in zip(x.tolist(), found.elements.tolist(),
                                        found.exponents.tolist(), strict=True):  # fmt: skip
        row = [0.0 if abs(v) < 2.0**-126 else v for v in row]
        largest = max(map(abs, row))
        if largest == 0:
            assert exponent == 0 and not any(mantissas)
            continue
        expected = int(np.frexp(largest)[1]) - 1 + 127
        if largest / 2.0 ** (expected - 127) * 2 ** (bits - 2) >= most + 0.5:
            expected += 1
        expected = min(expected, 254)
        assert exponent == expected
        for v, m in zip(row, mantissas, strict=True):
            exact = np.ldexp(v, 125 + bits - exponent)
            assert m // (1 << (8 - bits)) == max(-most, min(most, round(float(exact))))


def test_eight_bits_are_bfp8():
    x = values(3)
    found, expected = encode_narrow(x, 8), Blocked.encode(BFP8(), x)
    np.testing.assert_array_equal(found.elements, expected.elements)
    np.testing.assert_array_equal(found.exponents, expected.exponents)


def test_what_is_not_finite_saturates():
    found = encode_narrow(np.array([[np.inf, -np.inf, np.nan, 1.0]], np.float32), 4)
    assert found.elements.tolist() == [[112, -112, 112, 0]] and found.exponents.tolist() == [254]


@pytest.mark.parametrize("bits", [1, 9, 4.0])
def test_width_is_refused(bits):
    with pytest.raises(ValueError, match="mantissa bits must be 2 to 8, not"):
        encode_narrow(np.zeros((1, 4), np.float32), bits)
    with pytest.raises(ValueError, match="mantissas of 4 bits must be of bfp8"):
        encode_narrow(np.zeros((1, 4), np.float32), 4, FP32())
