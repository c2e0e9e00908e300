"""The binary32 format: subnormals become zeros, everything else stays."""

import numpy as np

from eftrain_hw.formats import FP32, Blocked


def test_every_upper_half_word():
    words = (np.arange(1 << 16, dtype=np.uint32) << 16) | 0x1234
    elements, exponents = FP32().encode(words.view(np.float32))
    flushed = np.where(words & 0x7F800000 == 0, words & 0x80000000, words)
    number = ~np.isnan(words.view(np.float32))
    assert exponents is None
    np.testing.assert_array_equal(elements.view(np.uint32)[number], flushed[number])
    assert np.isnan(elements[~number]).all()


def test_decode_is_a_copy():
    values = np.array([[1.5, -0.0], [np.inf, 2.0**-126]], np.float32)
    elements, exponents = FP32().encode(values)
    decoded = FP32().decode(elements, exponents)
    np.testing.assert_array_equal(decoded.view(np.uint32), values.view(np.uint32))
    decoded[0, 0] = 7
    assert values[0, 0] == elements[0, 0] == 1.5


def test_blocked_without_exponents():
    blocked = Blocked.encode(FP32(), np.ones((2, 3, 4), np.float32)).reshape(3, 2)
    assert blocked.elements.shape == (3, 2, 4) and blocked.exponents is None
    np.testing.assert_array_equal(blocked.decode(), np.ones((3, 2, 4)))
