"""The bfp16 codec: its high digits are bfp8, its low ones what that leaves, by exact arithmetic."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from eftrain_hw.formats import BFP8, BFP16

WORD = st.one_of(
    st.integers(0, (1 << 32) - 1),
    # halfway cases of either digit, numbers that round up to 128, the ends of the range
    st.builds(
        lambda sign, exponent, top, low: sign << 31 | exponent << 23 | top << 14 | low << 6,
        st.integers(0, 1),
        st.integers(120, 134) | st.sampled_from([0, 1, 2, 8, 9, 17, 253, 254, 255]),
        st.integers(0, 511),
        st.sampled_from([0, 1, 2, 128, 255]),
    ),
)


def low_digit(word, mantissa, exponent):
    """The low digit of a raw word, rule by rule from docs/numerics.md."""
    magnitude = word & 0x7FFFFFFF
    if exponent < 8 or not 0x00800000 <= magnitude < 0x7F800000:
        return 0
    exact = Fraction(float(np.uint32(word).view(np.float32))) * Fraction(2) ** (133 - exponent)
    if abs(exact) >= Fraction(255, 2):
        return 0
    return max(-127, min(127, round((exact - mantissa) * 256)))


@given(st.lists(WORD, min_size=1, max_size=17))
def test_vectors_round_as_documented(words):
    values = np.array(words, np.uint32).view(np.float32)
    elements, exponent = BFP16().encode(values)
    high, expected = BFP8().encode(values)
    assert exponent == expected and elements.dtype == np.int16 and exponent.dtype == np.uint8
    digits = [low_digit(*pair, int(expected)) for pair in zip(words, high.tolist())]
    assert elements.tolist() == [256 * h + low for h, low in zip(high.tolist(), digits)]


def test_digits():
    elements = np.arange(-127 * 257, 127 * 257 + 1, dtype=np.int16)
    high, low = BFP16.digits(elements)
    np.testing.assert_array_equal(256 * high.astype(int) + low, elements)
    assert high.dtype == low.dtype == np.int8 and np.abs(high.astype(int)).max() == 127
    rng = np.random.default_rng(0)
    values = rng.standard_normal((100, 16)).astype(np.float32)
    np.testing.assert_array_equal(
        BFP16.digits(BFP16().encode(values)[0])[0], BFP8().encode(values)[0]
    )


def test_what_is_encoded_decodes_to_16_bits():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((1000, 16)).astype(np.float32)
    elements, exponents = BFP16().encode(values)
    unit = np.ldexp(1.0, exponents.astype(int) - 141)[:, None]
    decoded = BFP16().decode(elements, exponents)
    error = np.abs(decoded - values.astype(np.float64))
    assert (error <= unit).all()  # one unit where 128 is limited
    assert (error <= unit / 2).mean() > 0.99
    again = BFP16().encode(decoded)
    np.testing.assert_array_equal(BFP16().decode(*again), decoded)
