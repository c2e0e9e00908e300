"""Compares the golden model with PyTorch's float64 results, however they were obtained.

`inputs` makes the random inputs of a case; somebody fills in the reference (PyTorch itself, or the
stored vectors that `scripts/make_reference_vectors.py` wrote); `compare` checks the golden model
against it, in a format.

fp32 must agree to a few units in the last place of the accumulated magnitude, sum |a| |b|. For bfp8
the format says how far off it may be: an element of a vector with largest magnitude M is off by at
most half a unit, UNIT * M, once for encoding and once more for aligning to a vector of larger
magnitude; the bound of a sum follows from the bounds of its operands.
"""

import numpy as np

from eftrain_hw import formats, golden
from eftrain_hw.formats import Blocked, block_channels, format_named, unblock_channels

LANES = 8
UNIT = 2.0**-7 * 256 / 255
FP32_ULP = 2.0**-23

CASES = {
    # images, in, out channels, (H, W), kernel, stride, padding, split
    "conv_3x3": ("conv", (4, 5, 9, (8, 8), (3, 3), (1, 1), (1, 1), (2, 2, 2))),
    "conv_stride": ("conv", (3, 17, 11, (7, 5), (3, 2), (2, 3), (1, 0), (4, 2, 1))),
    "conv_5x5": ("conv", (1, 3, 8, (9, 10), (5, 5), (1, 1), (2, 2), (1, 2, 4))),
    "linear": ("conv", (20, 31, 10, (1, 1), (1, 1), (1, 1), (0, 0), (8, 1, 1))),
    "maxpool": ("maxpool", (3, 9, (7, 6), (2, 2))),
    "maxpool_3x1": ("maxpool", (2, 8, (6, 5), (3, 1))),
    "cross_entropy": ("cross_entropy", (16, 10, 14)),
    "network": ("network", (12, 3)),
}


def inputs(name, seed=0):
    """Random inputs of a case: a dict of arrays."""
    kind, parameters = CASES[name]
    rng = np.random.default_rng([seed, len(name)])

    def normal(*shape, scale=1.0):
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    if kind == "conv":
        images, channels, outputs, size, kernel, stride, padding, _ = parameters
        result = [
            (n + 2 * p - k) // s + 1
            for n, k, s, p in zip(size, kernel, stride, padding, strict=True)
        ]
        return {
            "z": normal(images, channels, *size),
            "w": normal(outputs, channels, *kernel, scale=0.2),
            "b": normal(outputs),
            "dy": normal(images, outputs, *result, scale=1e-3),
        }
    if kind == "maxpool":
        images, channels, size, kernel = parameters
        result = [n // k for n, k in zip(size, kernel, strict=True)]
        return {"x": normal(images, channels, *size), "dy": normal(images, channels, *result)}
    if kind == "cross_entropy":
        images, classes, valid = parameters
        return {
            "logits": normal(images, classes, scale=3.0),
            "labels": rng.integers(0, classes, images),
            "valid": np.array(valid),
        }
    images, _ = parameters
    return {
        "x": normal(images, 1, 8, 8),
        "labels": rng.integers(0, 5, images),
        "w1": normal(8, 1, 3, 3, scale=0.4), "b1": normal(8, scale=0.1),
        "w2": normal(12, 8, 3, 3, scale=0.15), "b2": normal(12, scale=0.1),
        "w3": normal(5, 12 * 2 * 2, scale=0.2), "b3": normal(5, scale=0.1),
    }  # fmt: skip


def compare(name, given, reference, format_name):
    """Assert that the golden model agrees with `reference`, a dict of float arrays."""
    kind, parameters = CASES[name]
    check = {
        "conv": _compare_conv,
        "maxpool": _compare_maxpool,
        "cross_entropy": _compare_cross_entropy,
        "network": _compare_network,
    }[kind]
    check(parameters, given, reference, format_named(format_name))


def _within(what, actual, expected, bound, relative, size=None):
    """Every element within `bound`, and the whole (root of mean squares) within `relative` of
    `size`, which is `expected` unless it is given."""
    error = np.abs(actual.astype(np.float64) - expected)
    worst = np.max(error - bound)
    assert worst <= 0, f"{what}: error exceeds its bound by {worst}"
    size = expected if size is None else size
    total = np.sqrt(np.sum(error**2) / np.sum(np.square(size, dtype=np.float64)))
    assert total <= relative, f"{what}: relative error {total:.2e} exceeds {relative:.2e}"


# -- convolution


def _correlate(x, w, stride, padding, size):
    """Plain float64 convolution."""
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    total = 0.0
    for kr, kc in np.ndindex(*w.shape[2:]):
        part = x[:, :, kr :: stride[0], kc :: stride[1]][:, :, : size[0], : size[1]]
        total = total + np.einsum("nihw,oi->nohw", part, w[:, :, kr, kc])
    return total


def _transposed(dy, w, stride, padding, size):
    """Its gradient with regard to the input."""
    padded = [n + 2 * p for n, p in zip(size, padding, strict=True)]
    dx = np.zeros((dy.shape[0], w.shape[1], *padded))
    rows, columns = dy.shape[2:]
    for kr, kc in np.ndindex(*w.shape[2:]):
        part = np.einsum("nohw,oi->nihw", dy, w[:, :, kr, kc])
        dx[
            :, :, kr : kr + stride[0] * (rows - 1) + 1 : stride[0],
            kc : kc + stride[1] * (columns - 1) + 1 : stride[1],
        ] += part  # fmt: skip
    return dx[:, :, padding[0] : padding[0] + size[0], padding[1] : padding[1] + size[1]]


def _weight(x, dy, stride, padding, kernel):
    """Its gradient with regard to the weights."""
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    rows, columns = dy.shape[2:]
    dw = np.zeros((dy.shape[1], x.shape[1], *kernel))
    for kr, kc in np.ndindex(*kernel):
        part = x[
            :, :, kr : kr + stride[0] * (rows - 1) + 1 : stride[0],
            kc : kc + stride[1] * (columns - 1) + 1 : stride[1],
        ]  # fmt: skip
        dw[:, :, kr, kc] = np.einsum("nohw,nihw->oi", dy, part)
    return dw


def _largest(array, axes, whole=()):
    """Largest magnitude of the vectors along `axes` (blocks of LANES), whole axes included."""
    result = np.abs(array).astype(np.float64)
    if whole:
        result = np.broadcast_to(result.max(axis=whole, keepdims=True), result.shape)
    for axis in axes:
        blocks = np.arange(0, array.shape[axis], LANES)
        largest = np.maximum.reduceat(result, blocks, axis=axis)
        result = np.repeat(largest, LANES, axis=axis).take(np.arange(array.shape[axis]), axis=axis)
    return result


def _product_bound(operation, a, a_error, b, b_error, format):
    """Bound of a sum of products whose operands are off by at most a_error and b_error."""
    a, b = np.abs(a), np.abs(b)
    if format.name == "fp32":
        return 4 * FP32_ULP * operation(a, b)
    exact = operation(a, b)
    return operation(a + a_error, b + b_error) * (1 + 64 * FP32_ULP) - exact


def _compare_conv(parameters, given, reference, format):
    *_, size, kernel, stride, padding, split = parameters
    z, w, b, dy = (given[key] for key in ("z", "w", "b", "dy"))
    outputs, channels = w.shape[:2]
    x = np.maximum(z, 0)
    result_size = dy.shape[2:]
    blocked_x = Blocked.encode(format, block_channels(x, LANES))
    blocked_w = Blocked.encode(format, formats.weights_to_blocked(w, LANES))
    blocked_dy = Blocked.encode(format, block_channels(dy, LANES))
    bias = np.zeros(blocked_w.elements.shape[0] * LANES, np.float32)
    bias[:outputs] = b
    relative = {"fp32": 1e-6, "bfp8": 0.025}[format.name]
    geometry = {"stride": stride, "padding": padding}

    y = golden.conv_forward(blocked_x, blocked_w, bias, encode=False, **geometry)
    w_error = UNIT * (_largest(w, [0]) + _largest(w, [0, 1]))
    bound = _product_bound(
        lambda p, q: _correlate(p, q, stride, padding, result_size),
        x, UNIT * _largest(x, [1]), w, w_error, format,
    )  # fmt: skip
    bound = bound + 4 * FP32_ULP * np.abs(b)[:, None, None]
    _within("y", unblock_channels(y, outputs), reference["y"], bound, relative)

    dx = golden.conv_backward_input(
        blocked_dy, blocked_w, input_size=size, mask=blocked_x, **geometry
    )
    bound = _product_bound(
        lambda p, q: _transposed(p, q, stride, padding, size),
        dy, UNIT * _largest(dy, [1]), w, UNIT * _largest(w, [0]), format,
    )  # fmt: skip
    dx = unblock_channels(dx.decode(), channels)
    expected = reference["dx"]
    if format.name == "bfp8":
        # the result is encoded once more; inputs that became 0 have no gradient
        bound = bound + UNIT * (_largest(expected, [1]) + _largest(bound, [1]))
        vanished = (unblock_channels(blocked_x.decode(), channels) == 0) & (x > 0)
        assert not dx[vanished].any()
        expected = np.where(vanished, 0, expected)
    _within("dx", dx, expected, bound, relative)

    dw, db = golden.conv_backward_weight(
        blocked_x, blocked_dy, kernel=kernel, split=split, **geometry
    )
    # aligned over pixels: bounded by the largest pixel of all
    x_error = UNIT * (_largest(x, [1]) + _largest(x, [1], whole=(0, 2, 3)))
    dy_error = UNIT * (_largest(dy, [1]) + _largest(dy, [1], whole=(0, 2, 3)))
    bound = _product_bound(
        lambda p, q: _weight(p, q, stride, padding, kernel), x, x_error, dy, dy_error, format
    )
    dw = formats.blocked_to_weights(dw, outputs, channels)
    _within("dw", dw, reference["dw"], bound, relative)
    bound = _product_bound(
        lambda p, q: (p * q).sum(axis=(0, 2, 3)), np.ones_like(dy), 0, dy, dy_error, format
    )
    size = np.sqrt(np.square(dy).sum(axis=(0, 2, 3)))  # the sums themselves may cancel
    _within("db", db[:outputs], reference["db"], bound, relative, size)


# -- the rest


def _compare_maxpool(parameters, given, reference, format):
    _, channels, size, kernel = parameters
    x, dy = given["x"], given["dy"]
    blocked = Blocked.encode(format, block_channels(x, LANES))
    y, index = golden.maxpool_forward(blocked, kernel=kernel, relu=True)
    blocked_dy = Blocked.encode(format, block_channels(dy, LANES))
    dx = golden.maxpool_backward(blocked_dy, index, input_size=size, kernel=kernel)
    y, dx = (unblock_channels(array.decode(), channels) for array in (y, dx))
    if format.name == "fp32":
        np.testing.assert_array_equal(y, reference["y"])
        np.testing.assert_array_equal(dx, reference["dx"])
        return
    rows, columns = y.shape[2:]

    def spread(array):
        """A window's value at each of its pixels; 0 outside the windows."""
        wide = np.zeros(x.shape)
        wide[:, :, : rows * kernel[0], : columns * kernel[1]] = array.repeat(
            kernel[0], axis=2
        ).repeat(kernel[1], axis=3)
        return wide

    largest = _largest(x, [1])[:, :, : rows * kernel[0], : columns * kernel[1]]
    largest = largest.reshape(*y.shape[:2], rows, kernel[0], columns, kernel[1]).max(axis=(3, 5))
    bound = 2 * UNIT * largest
    _within("y", y, reference["y"], bound, 0.025)
    # elsewhere only where another pixel came as close as rounding can tell
    unclear = np.abs(np.maximum(x, 0) - spread(reference["y"])) <= 2 * spread(bound)
    error = np.abs(dx - reference["dx"])
    assert (unclear | (error <= UNIT * spread(_largest(dy, [1])))).all()
    assert (error > UNIT * spread(_largest(dy, [1]))).mean() < 0.05


def _compare_cross_entropy(parameters, given, reference, format):
    _, classes, valid = parameters
    logits = block_channels(given["logits"][:, :, None, None], LANES)
    inv_n = np.float32(1 / valid)
    losses, loss, gradient = golden.cross_entropy(
        logits, given["labels"], classes=classes, valid=valid, inv_n=inv_n, format=format
    )
    # a loss is a logarithm minus a logit that was rounded at the size of the largest
    size = np.abs(given["logits"]).max()
    _within("losses", losses, reference["losses"], 4 * FP32_ULP * size, 1e-6)
    assert abs(float(loss) - reference["loss"]) <= 4 * FP32_ULP * size
    expected = reference["gradient"]
    bound = 4 * FP32_ULP * np.float64(inv_n) * np.ones(expected.shape)
    if format.name == "bfp8":
        bound = bound + UNIT * _largest(expected, [1])
    actual = unblock_channels(gradient.decode(), classes)[:, :, 0, 0]
    _within("gradient", actual, expected, bound, {"fp32": 1e-6, "bfp8": 0.025}[format.name])


LR, MOMENTUM = 0.1, 0.9


def _compare_network(parameters, given, reference, format):
    """Convolution, pooling with ReLU, strided convolution with ReLU, linear; some SGD steps."""
    images, steps = parameters
    x = Blocked.encode(format, block_channels(given["x"], LANES))
    shape = (12, 2, 2)
    weights = [
        formats.weights_to_blocked(given["w1"], LANES),
        formats.weights_to_blocked(given["w2"], LANES),
        formats.linear_to_blocked(given["w3"], shape, LANES),
    ]
    biases = [np.pad(given[key], (0, -len(given[key]) % LANES)) for key in ("b1", "b2", "b3")]
    states = [np.zeros_like(array) for array in weights + biases]
    one = {"padding": (1, 1)}
    two = {"stride": (2, 2), "padding": (1, 1)}
    losses = []
    for step in range(steps):
        copies = [Blocked.encode(format, w) for w in weights]
        y1 = golden.conv_forward(x, copies[0], biases[0], **one)
        p1, index = golden.maxpool_forward(y1, kernel=(2, 2), relu=True)
        y2 = golden.conv_forward(p1, copies[1], biases[1], relu=True, **two)
        flat = y2.reshape(images, -1, 1, 1)
        logits = golden.conv_forward(flat, copies[2], biases[2], encode=False)
        _, loss, d3 = golden.cross_entropy(
            logits, given["labels"], classes=5, valid=images, inv_n=1 / images, format=format
        )
        losses.append(loss)
        dw3, db3 = golden.conv_backward_weight(flat, d3, kernel=(1, 1), split=(LANES, 1, 1))
        d2 = golden.conv_backward_input(d3, copies[2], input_size=(1, 1), mask=flat)
        d2 = d2.reshape(*y2.elements.shape[:-1])
        dw2, db2 = golden.conv_backward_weight(p1, d2, kernel=(3, 3), split=(2, 2, 2), **two)
        dp = golden.conv_backward_input(d2, copies[1], input_size=(4, 4), **two)
        d1 = golden.maxpool_backward(dp, index, input_size=(8, 8), kernel=(2, 2))
        dw1, db1 = golden.conv_backward_weight(x, d1, kernel=(3, 3), split=(2, 2, 2), **one)
        gradients = [dw1, dw2, dw3, db1, db2, db3]
        if step == 0:
            # bfp8 also takes some decisions the other way: the largest of a window, the sign at a
            # ReLU, so that single pixels lose their gradient to others
            _compare_tensors(gradients, reference, "d", {"fp32": 2e-6, "bfp8": 0.25}[format.name])
        for at, gradient in enumerate(gradients):
            array, local = (weights, at) if at < 3 else (biases, at - 3)
            array[local], states[at], _ = golden.sgd(
                array[local], states[at], gradient, lr=LR, momentum=MOMENTUM
            )
    tolerance = {"fp32": 1e-6, "bfp8": 0.08}[format.name]
    np.testing.assert_allclose(losses, reference["losses"], rtol=tolerance / 2)
    _compare_tensors(weights + biases, reference, "", tolerance)


def _compare_tensors(tensors, reference, prefix, relative):
    convert = [
        lambda w: formats.blocked_to_weights(w, 8, 1),
        lambda w: formats.blocked_to_weights(w, 12, 8),
        lambda w: formats.blocked_to_linear(w, (12, 2, 2), 5),
        lambda b: b[:8],
        lambda b: b[:12],
        lambda b: b[:5],
    ]
    names = ["w1", "w2", "w3", "b1", "b2", "b3"]
    for name, back, tensor in zip(names, convert, tensors, strict=True):
        expected = reference[prefix + name]
        _within(prefix + name, back(tensor), expected, np.inf, relative)
