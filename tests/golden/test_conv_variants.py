"""Dilation, groups and transposed convolutions, to the last bit, by convolutions without them."""

import numpy as np
import pytest

from eftrain_hw import AcceleratorConfig, nn, optim
from eftrain_hw.compiler.compile import prepare
from eftrain_hw.compiler.parameters import weight_from_device, weight_mask, weight_to_device
from eftrain_hw.formats import Blocked, format_named
from eftrain_hw.golden import conv_backward_input, conv_backward_weight, conv_forward

FORMATS = ["bfp8", "fp32"]
LANES = 4


def stored(format, *shape, seed=0):
    rng = np.random.default_rng([seed, *shape])
    values = rng.standard_normal(shape) * 10.0 ** rng.integers(-2, 2, shape[:-1])[..., None]
    return Blocked.encode(format_named(format), values.astype(np.float32))


@pytest.fixture
def same(same_bits):
    def check(a, b):
        if isinstance(a, Blocked):
            same_bits(a.elements, b.elements)
            if a.exponents is not None:
                same_bits(a.exponents, b.exponents)
        else:
            same_bits(a, b)

    return check


def spread(w, dilation):
    """Weights with zeros between the taps."""
    ob, ib, kh, kw, i, o = w.elements.shape
    size = (dilation[0] * (kh - 1) + 1, dilation[1] * (kw - 1) + 1)
    elements = np.zeros((ob, ib, *size, i, o), w.elements.dtype)
    elements[:, :, :: dilation[0], :: dilation[1]] = w.elements
    exponents = None
    if w.exponents is not None:
        exponents = np.zeros((ob, ib, *size, i), np.uint8)
        exponents[:, :, :: dilation[0], :: dilation[1]] = w.exponents
    return Blocked(w.format, elements, exponents)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("stride", [(1, 1), (2, 3), (3, 2)])
@pytest.mark.parametrize("dilation", [(2, 1), (3, 2), (2, 4)])
def test_dilation_is_a_kernel_with_holes(format, stride, dilation, same):
    x, w = stored(format, 2, 2, 11, 13, LANES), stored(format, 3, 2, 3, 2, LANES, LANES, seed=1)
    bias = np.random.default_rng(3).standard_normal(12).astype(np.float32)
    geometry = {"stride": stride, "padding": (2, 1)}
    wide = spread(w, dilation)
    y = conv_forward(x, w, bias, dilation=dilation, **geometry)
    same(y, conv_forward(x, wide, bias, **geometry))
    dy = stored(format, *y.elements.shape, seed=5)
    settings = {"input_size": (11, 13), "mask": x, **geometry}
    same(
        conv_backward_input(dy, w, dilation=dilation, **settings),
        conv_backward_input(dy, wide, **settings),
    )
    settings = {"split": (2, 1, 2), **geometry}
    dw, db = conv_backward_weight(x, dy, kernel=(3, 2), dilation=dilation, **settings)
    full, expected = conv_backward_weight(x, dy, kernel=wide.elements.shape[2:4], **settings)
    same(dw, np.ascontiguousarray(full[:, :, :: dilation[0], :: dilation[1]]))
    same(db, expected)


@pytest.mark.parametrize("format", FORMATS)
def test_parts_are_convolutions_of_their_own(format, same):
    """By the dense convolution whose other weights are zero."""
    parts = 2
    x, w = stored(format, 2, 4, 5, 6, LANES), stored(format, 6, 2, 3, 3, LANES, LANES, seed=1)
    dense = Blocked(w.format, np.zeros((6, 4, *w.elements.shape[2:]), w.elements.dtype), None)
    if w.exponents is not None:
        dense.exponents = np.zeros((6, 4, *w.exponents.shape[2:]), np.uint8)
    for part in range(parts):
        at = (slice(3 * part, 3 * part + 3), slice(2 * part, 2 * part + 2))
        dense.elements[at] = w.elements[at[0]]
        if w.exponents is not None:
            dense.exponents[at] = w.exponents[at[0]]
    bias = np.random.default_rng(3).standard_normal(24).astype(np.float32)
    geometry = {"stride": (2, 1), "padding": (1, 1)}
    y = conv_forward(x, w, bias, parts=parts, relu=True, **geometry)
    same(y, conv_forward(x, dense, bias, relu=True, **geometry))
    dy = stored(format, *y.elements.shape, seed=5)
    same(
        conv_backward_input(dy, w, input_size=(5, 6), parts=parts, mask=x, **geometry),
        conv_backward_input(dy, dense, input_size=(5, 6), mask=x, **geometry),
    )
    settings = {"kernel": (3, 3), "split": (2, 2, 1), **geometry}
    dw, db = conv_backward_weight(x, dy, parts=parts, **settings)
    full, expected = conv_backward_weight(x, dy, **settings)
    same(dw, np.concatenate([full[:3, :2], full[3:, 2:]]))
    same(db, expected)


@pytest.mark.parametrize("format", FORMATS)
def test_transposed_convolution_starts_from_the_bias(format, scalar):
    x, w = stored(format, 1, 2, 2, 3, LANES), stored(format, 2, 1, 2, 2, LANES, LANES, seed=2)
    bias = np.array([1.5, -0.25, 3.0, 1e-3], np.float32)
    settings = {"input_size": (5, 8), "stride": (3, 3), "relu": True, "encode": False}
    y = conv_backward_input(x, w, bias=bias, **settings)
    pixels = scalar.Map(x.elements, x.exponents)
    for ih, iw, lane in np.ndindex(5, 8, LANES):
        acc = float(bias[lane])
        kr, kc = ih % 3, iw % 3
        for ob in range(2):
            if kr < 2 and kc < 2:
                vector, exponent = pixels.vector(0, ob, ih // 3, iw // 3)
                own = None if w.exponents is None else int(w.exponents[ob, 0, kr, kc, lane])
                row = w.elements[ob, 0, kr, kc, lane].tolist()
                operands = scalar.every(own, LANES), vector, scalar.every(exponent, LANES)
                acc = scalar.add_terms(acc, scalar.terms(row, *operands))
        assert float(y[0, 0, ih, iw, lane]) == max(acc, 0.0)


LAYERS = [
    (nn.Conv2d(6, 9, (2, 3), groups=3), 1),
    (nn.Conv2d(8, 16, 1, groups=2), 2),
    (nn.Conv2d(12, 12, 3, groups=12), 3),
    (nn.Conv2d(10, 20, 3, groups=10), 1),  # 3 and 5 blocks have no common part
    (nn.Conv2d(16, 32, 1, groups=16), 4),
    (nn.ConvTranspose2d(8, 24, 2, groups=2), 2),
    (nn.Conv2d(7, 5, 2), 1),
]


@pytest.mark.parametrize(("layer", "parts"), LAYERS)
def test_weights_of_groups_go_to_the_device_and_back(layer, parts):
    network = nn.Sequential(
        nn.Conv2d(2, layer.in_channels, 1), layer, nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(layer.out_channels, 2), input_shape=(2, 4, 4),
    )  # fmt: skip
    config = AcceleratorConfig.preset("sim-small").replace(lanes=LANES)
    program = prepare(
        network, config, batch_size=1, loss=nn.CrossEntropyLoss(), optimizer=optim.SGD(lr=1)
    )
    op = program.ops[1]
    assert op.parts == parts
    weight = np.random.default_rng(0).standard_normal(op.weight_shape).astype(np.float32)
    device = weight_to_device(op, weight, LANES)
    assert device.shape == program.tensors["1.weight.master"].shape
    np.testing.assert_array_equal(weight_from_device(op, device), weight)
    mask = weight_mask(op, LANES)
    assert mask.sum() == weight.size
    np.testing.assert_array_equal(mask == 1, device != 0)
