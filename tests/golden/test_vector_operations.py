"""Operations of the vector processor, one number at a time, as docs/numerics.md writes them."""

import itertools
import math

import numpy as np
import pytest

from eftrain_hw.formats import Blocked, format_named
from eftrain_hw.golden import activation, batch_norm, join, update, windows
from eftrain_hw.golden.loss import cross_entropy, squared_error
from eftrain_hw.golden.reduce import sequential_sum

FORMATS = ["bfp8", "fp32"]
LANES = 4


def stored(format, *shape, seed=0, scale=1.0):
    """A random Blocked tensor (N, blocks, H, W, lanes), with zeros and a few large elements."""
    rng = np.random.default_rng([seed, *shape])
    values = rng.standard_normal((*shape, LANES)) * scale
    values[rng.random(values.shape) < 0.1] = 0
    values[rng.random(values.shape) < 0.05] *= 50
    return Blocked.encode(format_named(format), values.astype(np.float32))


def vectors(*shape, seed=1):
    rng = np.random.default_rng([seed, *shape])
    return rng.standard_normal((*shape, LANES)).astype(np.float32)


def each(shape):
    return itertools.product(*(range(size) for size in shape))


class Case:
    """Numbers of tensors by index, and a result put together number by number."""

    def __init__(self, scalar, same_bits):
        self.s, self.same_bits = scalar, same_bits

    def equal(self, actual, numbers, format=None):
        """Assert that an array or Blocked tensor holds the numbers (a function of the index)."""
        shape = actual.elements.shape if isinstance(actual, Blocked) else actual.shape
        expected = np.zeros(shape, np.float32)
        for at in each(shape):
            expected[at] = numbers(*at)
        if not isinstance(actual, Blocked):
            self.same_bits(actual, expected)
            return
        for at in each(shape[:-1]):
            elements, exponent = self.s.store([float(v) for v in expected[at]], actual.format.name)
            self.same_bits(
                actual.elements[at], np.array(elements, actual.format.element_dtype)
            )
            assert exponent is None or exponent == actual.exponents[at]

    def total(self, terms):
        result = 0.0
        for term in terms:
            result = self.s.add(result, float(term))
        return result


@pytest.fixture
def case(scalar, same_bits):
    return Case(scalar, same_bits)


def constant(value):
    return float(np.float32(value))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("relu", [False, True])
def test_batch_norm(format, relu, case):
    s = case.s
    shape, valid, eps, momentum = (3, 2, 2, 3), 2, 1e-3, 0.3
    x, dy = stored(format, *shape), stored(format, *shape, seed=3, scale=0.1)
    gamma, beta, old_mean, old_var = (vectors(2, seed=k) for k in range(4))
    values, gradient = x.decode(), dy.decode()
    statistics = batch_norm.batch_statistics(x, eps=eps, valid=valid)
    y, scale = batch_norm.batch_norm_forward(
        x, statistics.mean, statistics.rstd, gamma, beta, relu=relu
    )
    mean, var = batch_norm.running_statistics(
        x, statistics, old_mean, old_var, momentum=momentum, valid=valid
    )
    mask = values > 0
    dx, dgamma, dbeta = batch_norm.batch_norm_backward(
        dy, x, statistics.mean, statistics.rstd, scale, valid=valid, mask=mask
    )
    inv_n = s.multiply(s.divide(1.0, float(valid)), constant(1 / 6))
    known = {}
    for b, lane in each((2, LANES)):
        pixels = [(n, b, r, c, lane) for n, r, c in each((valid, 2, 3))]
        xs, dys = [float(values[at]) for at in pixels], [float(gradient[at]) for at in pixels]
        m = s.multiply(case.total(xs), inv_n)
        d = [s.add(v, -m) for v in xs]
        v = s.multiply(case.total(s.multiply(a, a) for a in d), inv_n)
        rstd = s.divide(1.0, s.square_root(s.add(v, constant(eps))))
        k = s.multiply(float(gamma[b, lane]), rstd)
        shift = s.mac(-m, k, float(beta[b, lane]))
        step = constant(momentum)
        unbiased = s.divide(v, s.add(1.0, -inv_n))
        olds = float(old_mean[b, lane]), float(old_var[b, lane])
        new = [s.mac(step, s.add(a, -o), o) for a, o in zip((m, unbiased), olds, strict=True)]
        sb = case.total(dys)
        sg = case.total(s.multiply(g, a) for g, a in zip(dys, d, strict=True))
        k2 = -s.multiply(s.multiply(s.multiply(sg, inv_n), rstd), rstd)
        t = s.multiply(k, s.mac(-m, k2, -s.multiply(sb, inv_n)))
        known[b, lane] = (m, v, rstd, k, shift, *new, sb, s.multiply(sg, rstd), t, k2)

    for array, index in ((statistics.mean, 0), (statistics.var, 1), (statistics.rstd, 2),
                         (scale, 3), (mean, 5), (var, 6), (dbeta, 7), (dgamma, 8)):  # fmt: skip
        case.equal(array, lambda b, lane, index=index: known[b, lane][index])

    def output(n, b, r, c, lane):
        value = s.mac(float(values[n, b, r, c, lane]), *known[b, lane][3:5])
        return value if value > 0 or not relu else 0.0

    def input_gradient(n, b, r, c, lane):
        at = n, b, r, c, lane
        k, t, k2 = (known[b, lane][i] for i in (3, 9, 10))
        value = s.mac(s.mac(float(values[at]), k2, float(gradient[at])), k, t)
        return value if n < valid and values[at] > 0 else 0.0

    case.equal(y, output)
    case.equal(dx, input_gradient)


def test_batch_norm_of_one_value_is_refused():
    with pytest.raises(ValueError, match="more than one value of each channel, not 1 image of 1x1"):
        batch_norm.batch_statistics(stored("fp32", 2, 1, 1, 1), eps=1e-5, valid=1)


GEOMETRIES = [
    ((7, 6), (3, 3), (2, 2), (1, 1)),
    ((5, 8), (2, 4), (1, 3), (0, 2)),
    ((6, 5), (2, 1), (3, 2), (1, 0)),
    ((4, 4), (4, 4), (4, 4), (0, 0)),
]


def window(oh, ow, size, kernel, stride, padding):
    """(position, row, column) inside the map, in order."""
    for kr, kc in each(kernel):
        r, c = oh * stride[0] + kr - padding[0], ow * stride[1] + kc - padding[1]
        if 0 <= r < size[0] and 0 <= c < size[1]:
            yield kr * kernel[1] + kc, r, c


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_max_pooling(format, geometry, case):
    size, kernel, stride, padding = geometry
    x = stored(format, 2, 1, *size)
    settings = {"kernel": kernel, "stride": stride, "padding": padding}
    y, index = windows.window_maxpool_forward(x, **settings)
    values, winners = x.decode(), {}
    for n, b, oh, ow, lane in each(index.shape):
        best = (-math.inf, 0, None)
        for w, r, c in window(oh, ow, size, kernel, stride, padding):
            if values[n, b, r, c, lane] > best[0]:
                best = (float(values[n, b, r, c, lane]), w, (r, c))
        winners[n, b, oh, ow, lane] = best
    case.equal(y, lambda *at: winners[at][0])
    case.same_bits(
        index, np.array([winners[at][1] for at in each(index.shape)], np.uint8).reshape(index.shape)
    )
    dy = stored(format, 2, 1, *index.shape[2:4], seed=5)
    gradient, mask = dy.decode(), values > 0
    dx = windows.window_maxpool_backward(dy, index, input_size=size, mask=mask, **settings)

    def input_gradient(n, b, r, c, lane):
        terms = [
            gradient[n, b, oh, ow, lane] if winners[n, b, oh, ow, lane][2] == (r, c) else 0.0
            for oh, ow in each(index.shape[2:4])
        ]
        return case.total(terms) if mask[n, b, r, c, lane] else 0.0

    case.equal(dx, input_gradient)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("count_padding", [True, False])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_average_pooling(format, geometry, count_padding, case):
    s = case.s
    size, kernel, stride, padding = geometry
    x = stored(format, 2, 1, *size)
    settings = {"kernel": kernel, "stride": stride, "padding": padding}
    y = windows.avgpool_forward(x, count_padding=count_padding, **settings)
    values, out = x.decode(), y.elements.shape[2:4]

    def factor(oh, ow):
        inside = len(list(window(oh, ow, size, kernel, stride, padding)))
        return constant(1 / (kernel[0] * kernel[1] if count_padding else inside))

    def output(n, b, oh, ow, lane):
        pixels = window(oh, ow, size, kernel, stride, padding)
        return case.total(
            s.multiply(float(values[n, b, r, c, lane]), factor(oh, ow)) for _, r, c in pixels
        )

    case.equal(y, output)
    dy = stored(format, 2, 1, *out, seed=5)
    gradient = dy.decode()
    dx = windows.avgpool_backward(dy, input_size=size, count_padding=count_padding, **settings)

    def input_gradient(n, b, r, c, lane):
        return case.total(
            s.multiply(float(gradient[n, b, oh, ow, lane]), factor(oh, ow))
            for oh, ow in each(out)
            if (r, c) in [p[1:] for p in window(oh, ow, size, kernel, stride, padding)]
        )

    case.equal(dx, input_gradient)


@pytest.mark.parametrize("format", FORMATS)
def test_sums(format, case):
    s = case.s
    tensors = [stored(format, 2, 2, 2, 3, seed=k, scale=10.0**-k) for k in range(3)]
    a, b, c = (tensor.decode() for tensor in tensors)
    case.equal(join.add_forward(*tensors[:2]), lambda *at: s.add(float(a[at]), float(b[at])))
    case.equal(
        join.sum_gradients(tensors),
        lambda *at: s.add(s.add(float(a[at]), float(b[at])), float(c[at])),
    )
    case.equal(join.masked(tensors[0], b > 0), lambda *at: a[at] if b[at] > 0 else 0.0)


@pytest.mark.parametrize("format", FORMATS)
def test_activations(format, case):
    s = case.s
    x, dy = stored(format, 2, 2, 3, 3, scale=9.0), stored(format, 2, 2, 3, 3, seed=2)
    values, gradient = x.decode(), dy.decode()
    slope = constant(0.3)
    case.equal(
        activation.leaky_relu_forward(x, slope=0.3),
        lambda *at: values[at] if values[at] > 0 else s.multiply(float(values[at]), slope),
    )
    case.equal(
        activation.leaky_relu_backward(dy, x, slope=0.3),
        lambda *at: gradient[at] if values[at] > 0 else s.multiply(float(gradient[at]), slope),
    )
    exists = np.arange(8).reshape(2, LANES) < 7

    def sigmoid(*at):
        if not exists[at[1], at[4]]:
            return 0.0
        e = s.exponential(-abs(s.flushed(float(values[at]))))
        return s.divide(1.0 if values[at] > 0 else e, s.add(e, 1.0))

    y = activation.sigmoid_forward(x, exists)
    case.equal(y, sigmoid)
    kept = y.decode()

    def slope_of(*at):
        value = float(kept[at])
        return s.multiply(float(gradient[at]), s.multiply(s.add(1.0, -value), value))

    case.equal(activation.sigmoid_backward(dy, y), slope_of)


def jenkins(a):
    """The hash of docs/vector-processor.md."""
    a = (a + 0x7ED55D16 + (a << 12)) & 0xFFFFFFFF
    a = (a ^ 0xC761C23C) ^ (a >> 19)
    a = (a + 0x165667B1 + (a << 5)) & 0xFFFFFFFF
    a = ((a + 0xD3A2646C) ^ (a << 9)) & 0xFFFFFFFF
    a = (a + 0xFD7046C5 + (a << 3)) & 0xFFFFFFFF
    return ((a ^ 0xB55A4F09) ^ (a >> 16)) & 0xFFFFFFFF


@pytest.mark.parametrize("format", FORMATS)
def test_dropout(format, case):
    s, p = case.s, 0.3
    x = stored(format, 3, 2, 4, 5)
    values = x.decode()
    seed = activation.layer_seed(11, 2, 1)
    assert seed == jenkins(jenkins(jenkins(11) + 2 & 0xFFFFFFFF) + 1 & 0xFFFFFFFF)
    y = activation.dropout(x, p=p, seed=seed)
    order = np.arange(values.size).reshape(values.shape)

    def kept(at):
        u = (jenkins((seed + int(order[at])) & 0xFFFFFFFF) >> 8) * 2.0**-24
        return u >= constant(p)

    case.equal(
        y, lambda *at: s.multiply(float(values[at]), constant(1 / 0.7)) if kept(at) else 0.0
    )
    share = np.mean([kept(at) for at in each(values.shape)])
    assert abs(share - 0.7) < 0.07


@pytest.mark.parametrize("format", FORMATS)
def test_squared_error(format, case):
    s = case.s
    y, t = vectors(3, 2, 1, 2), vectors(3, 2, 1, 2, seed=9)
    inv_n, features, valid = constant(1 / 3), 14, 2
    losses, loss, gradient = squared_error(
        y, t, features=features, valid=valid, inv_n=inv_n, format=format_named(format)
    )

    def d(*at):
        return s.add(float(y[at]), -float(t[at])) if at[0] < valid else 0.0

    expected = [
        s.multiply(
            case.total(
                case.total(s.multiply(d(n, *at, lane), d(n, *at, lane)) for at in each((2, 1, 2)))
                for lane in range(LANES)
            ),
            constant(1 / features),
        )
        for n in range(3)
    ]
    case.equal(losses, lambda n: expected[n])
    assert float(loss) == s.multiply(case.total(expected[:valid]), inv_n)
    factor = s.multiply(inv_n, constant(2 / features))
    case.equal(gradient, lambda *at: s.multiply(d(*at), factor))


def test_label_smoothing(case):
    s, classes, smoothing = case.s, 6, 0.2
    z = vectors(2, 2, 1, 1)
    labels = np.array([3, 0])
    losses, _, gradient = cross_entropy(
        z, labels, classes=classes, valid=2, inv_n=0.5, format=format_named("fp32"),
        label_smoothing=smoothing,
    )  # fmt: skip
    for n in range(2):
        logits = [float(v) for v in z[n].reshape(-1)[:classes]]
        d = [s.add(v, -max(logits)) for v in logits]
        e = [s.exponential(v) for v in d]
        total = e[0]
        for v in e[1:]:
            total = s.add(total, v)
        t = [constant(0.8 * (c == labels[n]) + smoothing / classes) for c in range(classes)]
        r = s.divide(1.0, total)
        q = [s.multiply(s.mac(v, r, -w), 0.5) for v, w in zip(e, t, strict=True)]
        found = gradient.elements[n].reshape(-1)[:classes]
        assert [float(v) for v in found] == q
        expected = case.total(s.multiply(w, v) for w, v in zip(t, d, strict=True))
        assert float(losses[n]) == s.add(s.logarithm(total), -expected)


def test_updates(case):
    s = case.s
    w, m, v, g = (vectors(5, seed=k) for k in range(4))
    v = np.abs(v)
    factor = update.clip_factor([g, w], 1.5)
    prepared = update.prepare_gradient(g, w, factor=factor, weight_decay=0.1)
    squares = []
    for tensor in (g, w):
        rows = [
            case.total(s.multiply(float(a), float(a)) for a in tensor[:, k]) for k in range(LANES)
        ]
        squares.append(case.total(rows))
    norm = s.square_root(case.total(squares))
    assert float(factor) == s.divide(1.5, s.add(norm, constant(1e-6))) < 1
    assert float(update.clip_factor([g], 1e6)) == 1

    def gradient(*at):
        value = s.multiply(float(g[at]), float(factor))
        return s.mac(constant(0.1), float(w[at]), value)

    case.equal(prepared, gradient)
    new, velocity, _ = update.sgd(w, m, g, lr=0.1, momentum=0.9, nesterov=True)

    def numbers(*at):
        first = s.mac(constant(0.9), float(m[at]), float(g[at]))
        direction = s.mac(constant(0.9), first, float(g[at]))
        return first, s.mac(-constant(0.1), direction, float(w[at]))

    case.equal(velocity, lambda *at: numbers(*at)[0])
    case.equal(new, lambda *at: numbers(*at)[1])
    scalars = {"weight1": 0.1, "weight2": 0.01, "root_scale": 3.1, "step_size": 0.02}
    new, first, second, _ = update.adam(w, m, v, g, eps=1e-3, **scalars)

    def adam(*at):
        c1, c2, k, a = (constant(value) for value in scalars.values())
        a1 = s.mac(s.add(float(g[at]), -float(m[at])), c1, float(m[at]))
        a2 = s.mac(s.mac(float(g[at]), float(g[at]), -float(v[at])), c2, float(v[at]))
        denominator = s.mac(s.square_root(a2), k, constant(1e-3))
        return a1, a2, s.mac(s.divide(a1, denominator), -a, float(w[at]))

    for array, index in ((first, 0), (second, 1), (new, 2)):
        case.equal(array, lambda *at, index=index: adam(*at)[index])


def test_sums_are_sequential_and_flushed(case):
    rng = np.random.default_rng(8)
    terms = (rng.standard_normal((5000, 3)) * 10.0 ** rng.integers(-3, 4, (5000, 3))).astype("f4")
    terms[:, 1] = np.resize(np.array([1.5, -1.0, 0.0], "f4") * np.float32(2.0**-126), 5000)
    expected = [case.total(terms[:, k]) for k in range(3)]
    case.same_bits(sequential_sum(terms), np.array(expected, np.float32))
