import dataclasses

import numpy as np
import pytest

from eftrain_hw.formats import BFP8, BFP16, FP32, Blocked
from eftrain_hw.golden import (
    conv,
    conv_backward_input,
    conv_backward_weight,
    conv_forward,
    weight_gradient,
)
from eftrain_hw.golden.dot import Operand, dot_terms, in_range

FORMATS = [BFP8(), FP32()]
LANES = 4

# images, in blocks, out blocks, (H, W), kernel, stride, padding, split
SHAPES = [
    (1, 1, 1, (1, 1), (1, 1), (1, 1), (0, 0), (4, 1, 1)),
    (2, 2, 1, (3, 5), (3, 3), (1, 1), (1, 1), (2, 2, 1)),
    (3, 1, 2, (5, 5), (3, 3), (2, 2), (1, 1), (1, 2, 2)),
    (1, 1, 1, (5, 3), (2, 2), (2, 2), (0, 0), (1, 4, 1)),
    (2, 1, 1, (7, 5), (3, 2), (3, 3), (2, 1), (2, 1, 2)),
    (2, 1, 1, (5, 5), (1, 1), (2, 2), (0, 0), (1, 1, 4)),
    (3, 1, 1, (3, 3), (3, 3), (1, 1), (2, 2), (4, 1, 1)),
    (1, 3, 1, (5, 4), (2, 3), (2, 1), (0, 2), (1, 2, 2)),
    (5, 3, 2, (1, 1), (1, 1), (1, 1), (0, 0), (4, 1, 1)),
]
REGIMES = ["ordinary", "tiny", "huge", "wide"]
CASES = [
    (shape, REGIMES[(at + turn) % 4]) for turn in (0, 1) for at, shape in enumerate(SHAPES)
] + [(SHAPES[1], regime) for regime in REGIMES[2:]]


def vectors(rng, format, shape, regime):
    """Random vectors whose products lie in the middle, at either end, or all over binary32."""
    low, high = {
        "ordinary": (120, 130),
        "tiny": (60, 71),
        "huge": (188, 194),
        "wide": (0, 255),
    }[regime]
    if format.exponent_bits:
        limit = 127 if format.name == "bfp8" else BFP16.LIMIT
        mantissas = rng.integers(-limit, limit + 1, shape).astype(format.element_dtype)
        mantissas[rng.random(shape) < 0.2] = 0
        exponents = rng.integers(low, high, shape[:-1]).astype(np.uint8)
        zero = rng.random(shape[:-1]) < 0.15
        exponents[zero] = 0
        mantissas[zero | (rng.random(shape[:-1]) < 0.05)] = 0
        return Blocked(format, mantissas, exponents)
    bits = rng.integers(low, high + (regime == "wide"), shape) << 23
    bits |= rng.integers(0, 1 << 23, shape) | (rng.integers(0, 2, shape) << 31)
    values = bits.astype(np.uint32).view(np.float32)
    values[rng.random(shape) < 0.2] = 0.0
    values[rng.random(shape) < 0.1] = -0.0
    return Blocked(format, values, None)


def case(format, shape, regime, lanes=LANES):
    images, in_blocks, out_blocks, size, kernel, stride, padding, _ = shape
    rng = np.random.default_rng([REGIMES.index(regime), len(format.name), *size, images])
    output = [
        (n + 2 * p - k) // s + 1 for n, k, s, p in zip(size, kernel, stride, padding, strict=True)
    ]
    bias = vectors(rng, FORMATS[1], (out_blocks * lanes,), "wide" if regime == "wide" else regime)
    bias = bias.elements
    if regime != "wide":  # about as large as the products
        bias = np.float32(bias.astype(np.float64) * (2.0**-61 if regime == "tiny" else 1))
    return (
        vectors(rng, format, (images, in_blocks, *size, lanes), regime),
        vectors(rng, format, (out_blocks, in_blocks, *kernel, lanes, lanes), regime),
        vectors(rng, format, (images, out_blocks, *output, lanes), regime),
        bias,
    )


def filled(result, shape):
    array = np.zeros(shape, np.float32)
    for at, value in result.items():
        array[at] = value
    array[np.isnan(array)] = np.uint32(0x7FC00000).view(np.float32)
    return array


@pytest.fixture(scope="module")
def encoded(scalar, same_bits):
    """Assert that a Blocked holds what the scalar model stores of float32 values."""

    def check(actual, values):
        name = actual.format.name
        stored = [scalar.store(row, name) for row in values.reshape(-1, LANES).tolist()]
        elements = np.array([row for row, _ in stored], actual.format.element_dtype)
        elements = elements.reshape(values.shape)
        if name != "fp32":
            exponents = np.array([exponent for _, exponent in stored], np.uint8)
            same_bits(actual.exponents, exponents.reshape(values.shape[:-1]))
        else:
            elements[np.isnan(elements)] = np.uint32(0x7FC00000).view(np.float32)
        same_bits(actual.elements, elements)

    return check


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
@pytest.mark.parametrize("shape,regime", CASES)
def test_forward_equals_the_scalar_model(format, shape, regime, scalar, same_bits, encoded):
    *_, stride, padding, _ = shape
    x, w, _, bias = case(format, shape, regime)
    relu = shape[0] % 2 == 1
    expected = filled(
        *scalar.conv_forward(
            scalar.Map(x.elements, x.exponents), w.elements, w.exponents, bias.tolist(),
            stride=stride, padding=padding, relu=relu,
        )
    )  # fmt: skip
    options = {"stride": stride, "padding": padding, "relu": relu}
    same_bits(conv_forward(x, w, bias, encode=False, **options), expected)
    encoded(conv_forward(x, w, bias, **options), expected)


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
@pytest.mark.parametrize("shape,regime", CASES)
def test_backward_input_equals_the_scalar_model(format, shape, regime, scalar, encoded):
    _, _, _, size, _, stride, padding, _ = shape
    x, w, dy, _ = case(format, shape, regime)
    mask = x if shape[0] % 2 == 1 else None
    expected = filled(
        *scalar.conv_backward_input(
            scalar.Map(dy.elements, dy.exponents), w.elements, w.exponents,
            size=size, stride=stride, padding=padding,
            mask=None if mask is None else scalar.Map(mask.elements, mask.exponents),
        )
    )  # fmt: skip
    actual = conv_backward_input(dy, w, input_size=size, stride=stride, padding=padding, mask=mask)
    encoded(actual, expected)


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
@pytest.mark.parametrize("shape,regime", CASES)
def test_backward_weight_equals_the_scalar_model(format, shape, regime, scalar, same_bits):
    _, _, _, _, kernel, stride, padding, split = shape
    x, _, dy, _ = case(format, shape, regime)
    options = {"kernel": kernel, "stride": stride, "padding": padding, "split": split}
    dw, db = conv_backward_weight(x, dy, **options)
    expected_dw, expected_db = scalar.conv_backward_weight(
        scalar.Map(x.elements, x.exponents), scalar.Map(dy.elements, dy.exponents), **options
    )
    same_bits(dw, filled(*expected_dw))
    same_bits(db, filled(*expected_db))


WIDE = [(16, 16), (16, 8), (8, 16)]


@pytest.mark.parametrize("bits", WIDE)
@pytest.mark.parametrize("shape,regime", CASES)
def test_bfp16_and_mixtures_equal_the_scalar_model(bits, shape, regime, scalar, same_bits, encoded):
    """Forward, input gradient and weight gradient with (stationary, moving) of 8 or 16 bits."""
    _, _, _, size, kernel, stride, padding, split = shape
    wide = tuple(width == 16 for width in bits)
    left, right = ({8: BFP8(), 16: BFP16()}[width] for width in bits)
    x, _, dy, bias = case(right, shape, regime)
    _, w, stationary_dy, _ = case(left, shape, regime)
    options = {"stride": stride, "padding": padding}

    expected = filled(
        *scalar.conv_forward(
            scalar.Map(x.elements, x.exponents), w.elements, w.exponents, bias.tolist(),
            relu=False, wide=wide, **options,
        )
    )  # fmt: skip
    same_bits(conv_forward(x, w, bias, encode=False, **options), expected)
    encoded(conv_forward(x, w, bias, format=BFP16(), **options), expected)

    expected = filled(
        *scalar.conv_backward_input(
            scalar.Map(dy.elements, dy.exponents), w.elements, w.exponents, size=size,
            mask=scalar.Map(x.elements, x.exponents), wide=wide, least=127 if wide[1] else 0,
            **options,
        )
    )  # fmt: skip
    encoded(conv_backward_input(dy, w, input_size=size, mask=x, **options), expected)

    options |= {"kernel": kernel, "split": split}
    dw, db = conv_backward_weight(x, stationary_dy, **options)
    expected_dw, expected_db = scalar.conv_backward_weight(
        scalar.Map(x.elements, x.exponents),
        scalar.Map(stationary_dy.elements, stationary_dy.exponents),
        wide=wide, **options,
    )  # fmt: skip
    same_bits(dw, filled(*expected_dw))
    same_bits(db, filled(*expected_db))


@pytest.mark.parametrize("lanes", [8, 16, 32])
@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
def test_quick_sums_equal_flushing_sums(format, lanes, monkeypatch, same_bits):
    shape = (5, 2, 2, (9, 7), (3, 3), (2, 1), (1, 1), (lanes // 4, 2, 2))
    _, _, _, size, kernel, stride, padding, split = shape
    x, w, dy, bias = case(format, shape, "ordinary", lanes)
    proofs = []

    def passes():
        y = conv_forward(x, w, bias, stride=stride, padding=padding, encode=False)
        dx = conv_backward_input(dy, w, input_size=size, stride=stride, padding=padding)
        geometry = {"kernel": kernel, "stride": stride, "padding": padding}
        return y, dx.decode(), *conv_backward_weight(x, dy, split=split, **geometry)

    for module in (conv, weight_gradient):
        real = module.in_range
        monkeypatch.setattr(
            module, "in_range", lambda *args, real=real: proofs.append(real(*args)) or proofs[-1]
        )
    quick = passes()
    assert len(proofs) == 4 and all(proofs)
    for module in (conv, weight_gradient):
        monkeypatch.setattr(module, "in_range", lambda *args: False)
    for actual, expected in zip(quick, passes(), strict=True):
        same_bits(actual, expected)


@pytest.mark.parametrize("leading", [(), (3,)])
def test_large_products_are_exact_piece_by_piece(leading):
    rng = np.random.default_rng(4)
    left = rng.integers(-127, 128, (*leading, 64, 32))
    right = rng.integers(-127, 128, (*leading, 32, 300))
    right[..., 7] = 127
    left[..., 5, :] = 127  # the largest sum of all
    terms = dot_terms(left.astype(np.float32), right.astype(np.float32), exact_sum=True, quick=True)
    assert terms.dtype == np.float32
    np.testing.assert_array_equal(terms, left @ right)


@pytest.mark.parametrize("exponent", [60, 127])
@pytest.mark.parametrize("mantissa", [-1, 0])
def test_bfp8_terms_are_never_minus_zero(mantissa, exponent, same_bits):
    # -1 * 2^-146 in the one case: a term below 2^-126 is +0, and -0 + +0 = +0
    x = Blocked(FORMATS[0], np.full((1, 1, 1, 1, 4), mantissa, np.int8), None)
    x.exponents = np.full((1, 1, 1, 1), exponent, np.uint8)
    w = Blocked(FORMATS[0], np.ones((1, 1, 1, 1, 4, 4), np.int8), None)
    w.exponents = np.full((1, 1, 1, 1, 4), exponent, np.uint8)
    bias = np.full(4, -0.0, np.float32)
    expected = 0.0 if exponent == 60 else 4 * mantissa * 2.0**-12
    y = conv_forward(x, w, bias, encode=False)
    same_bits(y, np.full(y.shape, expected, np.float32) + np.float32(0))


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
def test_operands_outside_the_range_are_not_summed_quickly(format):
    def operand(exponent):
        values = np.zeros((1, 4), np.float32)
        values[0, 0] = 2.0 ** (exponent - 127)
        return Operand.of(Blocked.encode(format, values))

    one = operand(127)
    least = 13 if format.name == "bfp8" else 24
    assert in_range(operand(least), one, 4) and not in_range(operand(least - 1), one, 4)
    assert in_range(operand(246), one, 4) and not in_range(operand(249), one, 4)
    assert not in_range(one, one, 4, np.float32([2.0**-110]))
    assert not in_range(one, one, 4, np.float32(["nan"]))
    assert in_range(one, one, 4, np.float32([0, -0.0, 2.0**-103]))
    infinite = Operand.of(Blocked(FORMATS[1], np.float32([["inf"]]), None))
    assert not in_range(infinite, infinite, 1)
    # an exponent of 0 above mantissas that are not zero
    odd = Operand.of(Blocked(FORMATS[0], np.int8([[1]]), np.uint8([0])))
    assert odd.low == 0


ONE = (1, 1, 1, (3, 3), (3, 3), (1, 1), (1, 1), (4, 1, 1))


@pytest.mark.parametrize(
    "change,error,message",
    [
        ({"stride": 1}, TypeError, "stride must be two integers, 1 or more each, not 1"),
        ({"stride": (0, 1)}, ValueError, r"stride must be .* not \(0, 1\)"),
        ({"padding": (0, -1)}, ValueError, r"padding must be .* not \(0, -1\)"),
        ({"bias": np.zeros(3, np.float32)}, ValueError, "bias must have 4 elements"),
        ({"blocks": 2}, ValueError, "input must have 1 channel blocks, not 2"),
        ({"format": BFP8()}, ValueError, "input must be fp32 as the weights, not bfp8"),
        ({"lanes": 8}, ValueError, r"weights must be \(Ob, Ib, kh, kw, 8, 8\)"),
        ({"size": (1, 1), "padding": (0, 0)}, ValueError, "kernel must fit into the padded map"),
    ],
)
def test_forward_rejects(change, error, message):
    x, w, _, bias = case(FP32(), ONE, "ordinary")
    shape = (1, change.get("blocks", 1), *change.get("size", (3, 3)), change.get("lanes", 4))
    x = Blocked.encode(change.get("format", FP32()), np.zeros(shape, np.float32))
    with pytest.raises(error, match=message):
        conv_forward(
            x, w, change.get("bias", bias),
            stride=change.get("stride", (1, 1)), padding=change.get("padding", (1, 1)),
        )  # fmt: skip


def test_backward_rejects_shapes_that_do_not_fit():
    x, w, dy, _ = case(FP32(), ONE, "ordinary")
    with pytest.raises(ValueError, match=r"gradient must fit an input of \(4, 3\)"):
        conv_backward_input(dy, w, input_size=(4, 3), padding=(1, 1))
    narrow = dataclasses.replace(x, elements=x.elements[..., :2])
    with pytest.raises(ValueError, match="mask must have shape"):
        conv_backward_input(dy, w, input_size=(3, 3), padding=(1, 1), mask=narrow)
    with pytest.raises(ValueError, match="gradient must have 1 images of"):
        conv_backward_weight(x, dy, kernel=(3, 3), split=(4, 1, 1))
    with pytest.raises(ValueError, match="split must be three powers of two of product 4"):
        conv_backward_weight(x, dy, kernel=(3, 3), padding=(1, 1), split=(4, 2, 1))
    with pytest.raises(ValueError, match="gradient must be fp32 as the input, not bfp8"):
        other = Blocked.encode(BFP8(), dy.elements)
        conv_backward_weight(x, other, kernel=(3, 3), padding=(1, 1), split=(4, 1, 1))
