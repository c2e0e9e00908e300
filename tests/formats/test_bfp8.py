"""The bfp8 codec against exact arithmetic and against ml_dtypes' e8m0 scale."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eftrain_hw.formats import BFP8, Blocked

FORMAT = BFP8()
WORD = st.one_of(
    st.integers(0, (1 << 32) - 1),
    # halfway cases and numbers that round up to 128
    st.builds(
        lambda sign, exponent, top: sign << 31 | exponent << 23 | top << 14,
        st.integers(0, 1),
        st.integers(120, 134) | st.sampled_from([0, 1, 2, 8, 9, 253, 254, 255]),
        st.integers(0, 511),
    ),
)


def encode(words):
    """Mantissas and exponent of a vector of raw words, rule by rule from docs/numerics.md."""
    magnitudes = [word & 0x7FFFFFFF if word & 0x7F800000 else 0 for word in words]
    largest = max(magnitudes)
    exponent = 0
    if largest:
        exponent = min(254, (largest >> 23) + ((largest >> 16) % 128 == 127))
    mantissas = []
    for word, magnitude in zip(words, magnitudes):
        mantissa = 127
        if magnitude < 0x7F800000:
            exact = Fraction(float(np.uint32(magnitude).view(np.float32)))
            mantissa = min(127, round(exact * Fraction(2) ** (133 - exponent)))
        mantissas.append(-mantissa if word >> 31 else mantissa)
    return mantissas, exponent


@given(st.lists(WORD, min_size=1, max_size=17))
def test_vectors_round_as_documented(words):
    values = np.array(words, np.uint32).view(np.float32)
    mantissas, exponent = FORMAT.encode(values)
    assert (mantissas.tolist(), int(exponent)) == encode(words)
    assert mantissas.dtype == np.int8 and exponent.dtype == np.uint8


def test_every_upper_half_word():
    """All signs, exponents and upper fraction bits, in vectors of one element."""
    rng = np.random.default_rng(1)
    words = (np.arange(1 << 16, dtype=np.uint32) << 16) | rng.choice(
        [0, 1, 0x8000, 0x7FFF, 0xFFFF], 1 << 16
    ).astype(np.uint32)
    values = words.view(np.float32)
    mantissas, exponents = FORMAT.encode(values[:, None])
    ordinary = (words & 0x7F800000 > 0) & (words & 0x7F800000 < 0x7F800000)
    exact = values[ordinary].astype(np.float64)
    scaled = np.ldexp(exact, 133 - exponents[ordinary].astype(int))
    expected = np.clip(np.rint(scaled), -127, 127)
    np.testing.assert_array_equal(mantissas[ordinary, 0], expected)
    # alone, without the vectors that need a slower way
    common = (words & 0x7F800000 < 0x7F800000) & ((exponents >= 8) | (exponents == 0))
    again = FORMAT.encode(values[common, None])
    np.testing.assert_array_equal(again[0], mantissas[common])
    np.testing.assert_array_equal(again[1], exponents[common])
    below_limit = ordinary & (exponents < 254)
    assert (np.abs(mantissas[below_limit, 0]) >= 64).all()
    assert not mantissas[words & 0x7F800000 == 0].any()
    assert not exponents[words & 0x7F800000 == 0].any()
    special = words & 0x7F800000 == 0x7F800000
    assert (exponents[special] == 254).all()
    np.testing.assert_array_equal(
        mantissas[special, 0], np.where(words[special] >> 31 == 1, -127, 127)
    )


def test_decode_every_element_and_exponent():
    mantissas = np.arange(-127, 128, dtype=np.int8)
    exponents = np.arange(255, dtype=np.uint8)
    scale = exponents.view(ml_dtypes.float8_e8m0fnu).astype(np.float64)
    exact = scale[:, None] * mantissas / 64
    exact[np.abs(exact) < 2.0**-126] = 0
    grid = np.broadcast_to(mantissas, (255, 255))
    decoded = FORMAT.decode(grid, exponents)
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded.astype(np.float64), exact)


def test_decoded_vectors_encode_to_themselves():
    rng = np.random.default_rng(2)
    mantissas = rng.integers(-127, 128, (500, 16)).astype(np.int8)
    mantissas[:, 3] = rng.choice([-127, -64, 64, 90, 127], 500)
    exponents = rng.integers(7, 255, 500).astype(np.uint8)
    again = FORMAT.encode(FORMAT.decode(mantissas, exponents))
    np.testing.assert_array_equal(again[0], mantissas)
    np.testing.assert_array_equal(again[1], exponents)


@pytest.mark.parametrize("lanes", [1, 3, 17, 31])
def test_leading_axes(lanes):
    rng = np.random.default_rng(lanes)
    values = rng.standard_normal((2, 1, 3, lanes)).astype(np.float32)
    blocked = Blocked.encode(FORMAT, values)
    assert blocked.elements.shape == values.shape and blocked.exponents.shape == (2, 1, 3)
    flat = blocked.reshape(6)
    assert flat.elements.shape == (6, lanes) and flat.exponents.shape == (6,)
    words = values.view(np.uint32).reshape(6, lanes).tolist()
    for vector, mantissas, exponent in zip(words, flat.elements, flat.exponents):
        assert (mantissas.tolist(), int(exponent)) == encode(vector)
    assert (np.abs(blocked.decode() - values) <= np.abs(values).max() / 127).all()
