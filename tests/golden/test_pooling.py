import numpy as np
import pytest

from eftrain_hw.formats import BFP8, FP32, Blocked
from eftrain_hw.golden import maxpool_backward, maxpool_forward

FORMATS = [BFP8(), FP32()]


def tensor(format, shape, seed):
    """Few distinct values, so that windows have equal elements; zero vectors; far exponents."""
    rng = np.random.default_rng(seed)
    if format.name == "fp32":
        values = rng.integers(-3, 4, shape).astype(np.float32)
        values[rng.random(shape) < 0.2] = -0.0
        values[rng.random(shape) < 0.05] = np.nan
        return Blocked(format, values, None)
    mantissas = rng.integers(-127, 128, shape).astype(np.int8)
    exponents = rng.integers(120, 125, shape[:-1]).astype(np.uint8)
    far = rng.random(shape[:-1]) < 0.1
    exponents[far] = rng.integers(0, 255, far.sum())
    mantissas[rng.random(shape[:-1]) < 0.1] = 0
    return Blocked(format, mantissas, exponents)


def filled(result, shape, dtype):
    array = np.zeros(shape, dtype)
    for at, value in result.items():
        array[at] = value
    return array


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
@pytest.mark.parametrize(
    "size,kernel",
    [((1, 1), (1, 1)), ((4, 6), (2, 2)), ((5, 3), (2, 3)), ((7, 7), (3, 2)), ((5, 5), (1, 5))],
)
def test_forward_equals_the_scalar_model(size, kernel, format, relu, scalar, same_bits):
    x = tensor(format, (2, 2, *size, 4), [*size, *kernel])
    elements, exponents, index, shape = scalar.maxpool_forward(
        scalar.Map(x.elements, x.exponents), kernel=kernel, relu=relu
    )
    y, actual_index = maxpool_forward(x, kernel=kernel, relu=relu)
    expected = filled(elements, shape, format.element_dtype)
    if format.name == "fp32":
        expected[np.isnan(expected)] = x.elements[np.isnan(x.elements)][0]
    else:
        same_bits(y.exponents, filled(exponents, shape[:-1], np.uint8))
    same_bits(y.elements, expected)
    same_bits(actual_index, filled(index, shape, np.uint8))


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
@pytest.mark.parametrize("size,kernel", [((4, 6), (2, 2)), ((5, 8), (2, 3)), ((3, 3), (3, 3))])
def test_backward_puts_each_gradient_where_its_maximum_was(size, kernel, format, same_bits):
    x = tensor(format, (2, 1, *size, 4), 5)
    y, index = maxpool_forward(x, kernel=kernel, relu=True)
    dy = tensor(format, y.elements.shape, 6)
    dx = maxpool_backward(dy, index, input_size=size, kernel=kernel)
    elements = np.zeros_like(x.elements)
    exponents = np.zeros(x.elements.shape[:-1], np.uint8)
    for n, block, oh, ow, lane in np.ndindex(*y.elements.shape):
        if format.name == "bfp8":
            exponents[
                n, block, oh * kernel[0] : (oh + 1) * kernel[0],
                ow * kernel[1] : (ow + 1) * kernel[1],
            ] = dy.exponents[n, block, oh, ow]  # fmt: skip
        row, column = divmod(int(index[n, block, oh, ow, lane]), kernel[1])
        if row < kernel[0]:
            at = n, block, oh * kernel[0] + row, ow * kernel[1] + column, lane
            elements[at] = dy.elements[n, block, oh, ow, lane]
    same_bits(dx.elements, elements)
    if format.name == "bfp8":
        same_bits(dx.exponents, exponents)
    else:
        assert dx.exponents is None


def test_rejects():
    x = tensor(FP32(), (1, 1, 4, 4, 4), 1)
    y, index = maxpool_forward(x, kernel=(2, 2))
    with pytest.raises(ValueError, match="kernel must have at most 255 positions"):
        maxpool_forward(x, kernel=(16, 16))
    with pytest.raises(ValueError, match=r"kernel must fit into the map of \(4, 4\)"):
        maxpool_forward(x, kernel=(5, 1))
    with pytest.raises(ValueError, match="index must have shape"):
        maxpool_backward(y, index[:, :, :1], input_size=(4, 4), kernel=(2, 2))
    with pytest.raises(ValueError, match=r"gradient must be of \(3, 2\) pixels, not \(2, 2\)"):
        maxpool_backward(y, index, input_size=(6, 4), kernel=(2, 2))
