"""A step's golden model equals the number-by-number convolution whose vectors go elsewhere."""

import numpy as np
import pytest

from eftrain_hw.compiler.chain import StepView
from eftrain_hw.formats import BFP8, FP32, Blocked
from eftrain_hw.golden import tensor_train as golden

LANES = 4
STEPS = {
    # images, view, conv_in, kernel, stride, padding, split
    "middle": (2, StepView(1, 3, 2, 2, 5), (1, 6, 5), (3, 1), (3, 1), (0, 0), (2, 1, 2)),
    "first": (3, StepView(1, 2, 1, 1, 6), (2, 1, 6), (1, 1), (1, 1), (0, 0), (1, 1, 4)),
    "last": (3, StepView(1, 1, 2, 4, 1), (1, 8, 1), (2, 1), (2, 1), (0, 0), (1, 4, 1)),
    "map": (2, StepView(3, 2, 1, 1, 12), (1, 3, 4), (3, 3), (1, 1), (1, 1), (2, 2, 1)),
}


def stored_place(view, image, outer, channel_block, row, column, width):
    """Where a vector of the convolution lies, by the strides of its view."""
    m, block = divmod(channel_block, view.blocks)
    pixel = row * width + column
    row, inner = divmod(pixel, view.inner)
    indices = (outer, m, block, row, inner)
    return image * view.blocks * view.pixels + sum(
        at * stride for at, stride in zip(indices, view.strides, strict=True)
    )


def random(rng, format, *shape):
    return Blocked.encode(format, rng.standard_normal(shape).astype(np.float32))


@pytest.mark.parametrize("format", [BFP8(), FP32()], ids=lambda format: format.name)
@pytest.mark.parametrize("name", STEPS)
def test_step_equals_the_scalar_model(name, format, scalar, same_bits):
    images, view, conv_in, kernel, stride, padding, split = STEPS[name]
    rng = np.random.default_rng(len(name))
    size = tuple(
        (n + 2 * p - k) // s + 1
        for n, k, s, p in zip(conv_in[1:], kernel, stride, padding, strict=True)
    )
    out_blocks, maps = view.modes * view.blocks, images * view.outer
    x = random(rng, format, images, view.outer * conv_in[0], *conv_in[1:], LANES)
    w = random(rng, format, out_blocks, conv_in[0], *kernel, LANES, LANES)
    dy = random(rng, format, images, view.blocks, view.pixels, 1, LANES)
    geometry = {"view": view, "conv_in": conv_in, "stride": stride, "padding": padding}
    x_maps = x.reshape(maps, *conv_in)
    x_map = scalar.Map(x_maps.elements, x_maps.exponents)

    place = {
        at: stored_place(view, *divmod(at[0], view.outer), *at[1:], size[1])
        for at in np.ndindex(maps, out_blocks, *size)
    }
    assert sorted(place.values()) == list(range(images * view.blocks * view.pixels))

    result, _ = scalar.conv_forward(
        x_map, w.elements, w.exponents, [0.0] * out_blocks * LANES,
        stride=stride, padding=padding, relu=True,
    )  # fmt: skip
    values = np.zeros((len(place), LANES), np.float32)
    for (*at, lane), value in result.items():
        values[place[tuple(at)], lane] = value
    y = golden.step_forward(x, w, relu=True, encode=False, **geometry)
    same_bits(y.reshape(-1, LANES), values)
    encoded = golden.step_forward(x, w, relu=True, **geometry)
    expected = Blocked.encode(format, values)
    same_bits(encoded.elements.reshape(-1, LANES), expected.elements)
    if expected.exponents is not None:
        same_bits(encoded.exponents.reshape(-1), expected.exponents)

    gradient = np.zeros((maps, out_blocks, *size, LANES), dy.elements.dtype)
    exponents = None if dy.exponents is None else np.zeros(gradient.shape[:-1], np.uint8)
    for at, vector in place.items():
        gradient[at] = dy.elements.reshape(-1, LANES)[vector]
        if exponents is not None:
            exponents[at] = dy.exponents.reshape(-1)[vector]
    dy_map = scalar.Map(gradient, exponents)
    result, shape = scalar.conv_backward_input(
        dy_map, w.elements, w.exponents, size=conv_in[1:], stride=stride, padding=padding,
        mask=x_map,
    )  # fmt: skip
    values = np.zeros(shape, np.float32)
    for at, value in result.items():
        values[at] = value
    dx = golden.step_backward_input(dy, w, size=size, mask=x, **geometry)
    expected = Blocked.encode(format, values)
    same_bits(dx.elements.reshape(-1, LANES), expected.elements.reshape(-1, LANES))

    (result, shape), _ = scalar.conv_backward_weight(
        x_map, dy_map, kernel=kernel, stride=stride, padding=padding, split=split
    )
    values = np.zeros(shape, np.float32)
    for at, value in result.items():
        values[at] = value
    dw = golden.step_backward_core(x, dy, kernel=kernel, size=size, split=split, **geometry)
    same_bits(dw, values)


@pytest.mark.parametrize("pixels", [1, 6])
def test_bias_equals_the_scalar_model(pixels, scalar, same_bits):
    rng = np.random.default_rng(pixels)
    z = rng.standard_normal((3, 2, 2, 3, LANES)).astype(np.float32)
    bias = rng.standard_normal((2, pixels, LANES)).astype(np.float32)
    dy = random(rng, BFP8(), 3, 2, 2, 3, LANES)
    values = np.zeros_like(z)
    sums = np.zeros_like(bias)
    for at in np.ndindex(z.shape):
        pixel = 0 if pixels == 1 else at[2] * 3 + at[3]
        own = at[1], pixel, at[4]
        values[at] = max(0.0, scalar.add(float(z[at]), float(bias[own])))
        sums[own] = scalar.add(float(sums[own]), float(dy.decode()[at]))
    same_bits(golden.feature_bias(z, bias, BFP8(), relu=True, encode=False), values)
    encoded = golden.feature_bias(z, bias, BFP8(), relu=True)
    same_bits(encoded.elements, Blocked.encode(BFP8(), values).elements)
    same_bits(golden.bias_gradient(dy, bias.shape), sums)
