"""docs/numerics.md once more, one number at a time, in exact rationals: slow and literal.

A binary32 number is a Python float that holds one. A vector is a list of elements and an exponent
(None for fp32). Nothing here comes from the package.
"""

import math
from fractions import Fraction

INFINITY = math.inf
SMALLEST = Fraction(1, 2**126)


# -- binary32


def rounded(value, zero=0.0):
    """A Fraction to the nearest binary32, ties to even; an exact zero becomes `zero`."""
    if value == 0:
        return zero
    sign = -1.0 if value < 0 else 1.0
    magnitude = abs(value)
    if magnitude < SMALLEST:
        return math.copysign(0.0, sign)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    if Fraction(2) ** exponent > magnitude:
        exponent -= 1
    unit = Fraction(2) ** (exponent - 23)
    result = round(magnitude / unit) * unit
    return sign * (INFINITY if result >= 2**128 else float(result))


def flushed(a):
    return math.copysign(0.0, a) if abs(a) < SMALLEST else a


def add(a, b):
    a, b = flushed(a), flushed(b)
    if math.isinf(a) or math.isinf(b) or math.isnan(a) or math.isnan(b):
        return a + b
    both_negative = math.copysign(1, a) < 0 and math.copysign(1, b) < 0
    return rounded(Fraction(a) + Fraction(b), -0.0 if both_negative else 0.0)


def multiply(a, b):
    a, b = flushed(a), flushed(b)
    if not (math.isfinite(a) and math.isfinite(b)):
        return a * b
    return rounded(Fraction(a) * Fraction(b), math.copysign(1, a) * math.copysign(0.0, b))


def divide(a, b):
    a, b = flushed(a), flushed(b)
    sign = math.copysign(1, a) * math.copysign(1, b)
    if math.isnan(a) or math.isnan(b) or (a == 0 and b == 0):
        return math.nan
    if math.isinf(a):
        return math.nan if math.isinf(b) else sign * INFINITY
    if b == 0:
        return sign * INFINITY
    if math.isinf(b):
        return sign * 0.0
    return rounded(Fraction(a) / Fraction(b), sign * 0.0)


def square_root(a):
    a = flushed(a)
    if math.isnan(a) or a == INFINITY or a == 0:
        return a
    if a < 0:
        return math.nan
    value = Fraction(a)
    # 2^600 units: far more digits than a tie of a 24-bit root could need
    return rounded(Fraction(math.isqrt(int(value * 4**300)), 2**300))


def mac(a, b, c):
    return add(multiply(a, b), c)


# -- bfp8


def shifted(mantissa, distance):
    return round(Fraction(mantissa, 2**distance))


def align(mantissas, exponents):
    largest = max(exponents)
    return [shifted(m, largest - e) for m, e in zip(mantissas, exponents, strict=True)], largest


def encode(values):
    def biased(value):
        return 255 if not math.isfinite(value) else math.frexp(value)[1] + 126

    values = [flushed(value) if math.isfinite(value) else value for value in values]
    if not any(values):
        return [0] * len(values), 0
    if any(not math.isfinite(value) for value in values):
        exponent = 254
    else:
        largest = max(abs(Fraction(value)) for value in values)
        exponent = biased(float(largest))
        if largest >= Fraction(255, 256) * Fraction(2) ** (exponent - 126):
            exponent = min(exponent + 1, 254)
    mantissas = []
    for value in values:
        if not math.isfinite(value):
            mantissas.append(int(math.copysign(127, value)))
        else:
            m = round(Fraction(value) * Fraction(2) ** (133 - exponent))
            mantissas.append(max(-127, min(127, m)))
    return mantissas, exponent


def encode_two_digits(values):
    high, exponent = encode(values)
    mantissas = []
    for value, digit in zip(values, high, strict=True):
        low = 0
        if exponent >= 8 and math.isfinite(value):
            exact = Fraction(flushed(value)) * Fraction(2) ** (133 - exponent)
            if abs(exact) < Fraction(255, 2):
                low = max(-127, min(127, round((exact - digit) * 256)))
        mantissas.append(256 * digit + low)
    return mantissas, exponent


def store(values, name):
    if name == "bfp16":
        return encode_two_digits(values)
    return encode(values) if name == "bfp8" else ([flushed(value) for value in values], None)


# -- dot products


def term_bfp8(s, s_exponent, x, x_exponent):
    total = sum(a * b for a, b in zip(s, x, strict=True))
    value = Fraction(total) * Fraction(2) ** (s_exponent + x_exponent - 266)
    if abs(value) < SMALLEST:
        return 0.0
    return rounded(value)


def term_fp32(s, x):
    level = [multiply(a, b) for a, b in zip(s, x, strict=True)]
    while len(level) > 1:
        level = [add(level[at], level[at + 1]) for at in range(0, len(level), 2)]
    return level[0]


def digits(mantissas, exponent, wide):
    """Vectors of one digit each, with their exponents, of an aligned vector."""
    if not wide:
        return [(mantissas, exponent)]
    high = [(m + 128) // 256 for m in mantissas]
    low = [m - 256 * h if exponent >= 8 else 0 for m, h in zip(mantissas, high, strict=True)]
    return [(high, exponent), (low, exponent - 8)]


def terms(s, s_exponents, x, x_exponents, wide=(False, False)):
    """Terms of two vectors with an exponent for each lane (None for fp32); `wide` is bfp16."""
    if s_exponents is None:
        return [term_fp32(s, x)]
    left, right = digits(*align(s, s_exponents), wide[0]), digits(*align(x, x_exponents), wide[1])
    pairs = [(left[0], digit) for digit in right] + [(digit, right[0]) for digit in left[1:]]
    return [term_bfp8(*a, *b) for a, b in pairs]


def add_terms(acc, new):
    for term in new:
        acc = add(acc, term)
    return acc


class Map:
    """Blocked tensor (N, blocks, H, W, lanes) that reads zeros outside."""

    def __init__(self, elements, exponents):
        self.images, self.blocks, self.height, self.width, self.lanes = elements.shape
        self._elements = elements.tolist()
        self._exponents = None if exponents is None else exponents.tolist()

    def vector(self, n, block, h, w):
        """(elements, exponent) of one pixel."""
        inside = n < self.images and 0 <= h < self.height and 0 <= w < self.width
        zero = 0.0 if self._exponents is None else 0
        elements = self._elements[n][block][h][w] if inside else [zero] * self.lanes
        if self._exponents is None:
            return elements, None
        return elements, self._exponents[n][block][h][w] if inside else 0


def every(exponent, lanes):
    return None if exponent is None else [exponent] * lanes


# -- passes; weights are arrays (Ob, Ib, kh, kw, i, o) and (Ob, Ib, kh, kw, i)


def conv_forward(x, w, w_exponents, bias, *, stride, padding, relu, wide=(False, False)):
    out_blocks, in_blocks, kh, kw, lanes, _ = w.shape
    rows = (x.height + 2 * padding[0] - kh) // stride[0] + 1
    columns = (x.width + 2 * padding[1] - kw) // stride[1] + 1
    result = {}
    for n in range(x.images):
        for channel in range(out_blocks * lanes):
            ob, o = divmod(channel, lanes)
            for oh in range(rows):
                for ow in range(columns):
                    acc = flushed(bias[channel])
                    for ib in range(in_blocks):
                        for kr in range(kh):
                            for kc in range(kw):
                                vector, exponent = x.vector(
                                    n, ib,
                                    oh * stride[0] + kr - padding[0],
                                    ow * stride[1] + kc - padding[1],
                                )  # fmt: skip
                                row = w[ob, ib, kr, kc, :, o].tolist()
                                exponents = None
                                if w_exponents is not None:
                                    exponents = w_exponents[ob, ib, kr, kc].tolist()
                                others = every(exponent, lanes)
                                acc = add_terms(acc, terms(row, exponents, vector, others, wide))
                    if relu:
                        acc = acc if acc > 0 else 0.0
                    result[n, ob, oh, ow, o] = acc
    return result, (x.images, out_blocks, rows, columns, lanes)


def conv_backward_input(
    dy, w, w_exponents, *, size, stride, padding, mask, wide=(False, False), least=0
):
    out_blocks, in_blocks, kh, kw, lanes, _ = w.shape
    result = {}
    for n in range(dy.images):
        for channel in range(in_blocks * lanes):
            ib, i = divmod(channel, lanes)
            for ih in range(size[0]):
                for iw in range(size[1]):
                    acc = 0.0
                    for ob in range(out_blocks):
                        for kr in range((ih + padding[0]) % stride[0], kh, stride[0]):
                            for kc in range((iw + padding[1]) % stride[1], kw, stride[1]):
                                vector, exponent = dy.vector(
                                    n, ob,
                                    (ih + padding[0] - kr) // stride[0],
                                    (iw + padding[1] - kc) // stride[1],
                                )  # fmt: skip
                                row = w[ob, ib, kr, kc, i].tolist()
                                own = None
                                if w_exponents is not None:
                                    own = int(w_exponents[ob, ib, kr, kc, i])
                                own, others = every(own, lanes), every(exponent, lanes)
                                acc = add_terms(acc, terms(row, own, vector, others, wide))
                    if mask is not None:
                        acc = acc if flushed(mask.vector(n, ib, ih, iw)[0][i]) > least else 0.0
                    result[n, ib, ih, iw, i] = acc
    return result, (dy.images, in_blocks, *size, lanes)


def conv_backward_weight(x, dy, *, kernel, stride, padding, split, wide=(False, False)):
    lanes = x.lanes
    parts_a, parts_b, parts_c = split
    strip_rows = -(-dy.height // parts_b)
    strip_columns = -(-dy.width // parts_c)
    steps = [
        (ig, r, c)
        for ig in range(-(-x.images // parts_a))
        for r in range(strip_rows)
        for c in range(strip_columns)
    ]

    def lane_pixel(j, ig, r, c):
        a, b, strip = j // (parts_b * parts_c), j // parts_c % parts_b, j % parts_c
        return ig * parts_a + a, b * strip_rows + r, strip * strip_columns + c

    def over_lanes(vectors, channel):
        elements = [vector[channel] for vector, _ in vectors]
        exponents = [exponent for _, exponent in vectors]
        return elements, None if exponents[0] is None else exponents

    dw, db = {}, {}
    for channel in range(dy.blocks * lanes):
        ob, o = divmod(channel, lanes)
        gradients, acc = [], 0.0
        for step in steps:
            pixels = [lane_pixel(j, *step) for j in range(lanes)]
            gradient = over_lanes([dy.vector(n, ob, h, w) for n, h, w in pixels], o)
            gradients.append(gradient)
            ones = ([1.0] * lanes, None)
            if gradient[1] is not None:
                ones = ([64] * lanes, [127] * lanes)
            acc = add_terms(acc, terms(*gradient, *ones, (wide[0], False)))
        db[channel] = acc
        for ib in range(x.blocks):
            for kr in range(kernel[0]):
                for kc in range(kernel[1]):
                    moving = []
                    for step in steps:
                        pixels = [lane_pixel(j, *step) for j in range(lanes)]
                        moving.append([
                            x.vector(
                                n, ib,
                                h * stride[0] + kr - padding[0],
                                w * stride[1] + kc - padding[1],
                            )
                            for n, h, w in pixels
                        ])  # fmt: skip
                    for i in range(lanes):
                        acc = 0.0
                        for gradient, vectors in zip(gradients, moving, strict=True):
                            acc = add_terms(acc, terms(*gradient, *over_lanes(vectors, i), wide))
                        dw[ob, ib, kr, kc, i, o] = acc
    return (dw, (dy.blocks, x.blocks, *kernel, lanes, lanes)), (db, (dy.blocks * lanes,))


def maxpool_forward(x, *, kernel, relu):
    rows, columns = x.height // kernel[0], x.width // kernel[1]
    elements, exponents, index = {}, {}, {}
    for n in range(x.images):
        for block in range(x.blocks):
            for oh in range(rows):
                for ow in range(columns):
                    window = [
                        x.vector(n, block, oh * kernel[0] + wr, ow * kernel[1] + wc)
                        for wr in range(kernel[0])
                        for wc in range(kernel[1])
                    ]
                    at = n, block, oh, ow
                    exponents[at] = None
                    if window[0][1] is not None:
                        exponents[at] = max(exponent for _, exponent in window)
                    for lane in range(x.lanes):
                        values = [vector[lane] for vector, _ in window]
                        if exponents[at] is not None:
                            values, _ = align(values, [exponent for _, exponent in window])
                        best = 0
                        for w in range(1, len(values)):
                            if values[w] > values[best]:
                                best = w
                        value = values[best]
                        if relu and not value > 0:
                            value, best = 0, 255
                        elements[*at, lane], index[*at, lane] = value, best
    return elements, exponents, index, (x.images, x.blocks, rows, columns, x.lanes)


# -- loss


def exponential(d):
    def constant(text):
        return rounded(Fraction(text))

    if d < -87:
        return 0.0
    big = 12582912.0
    t = mac(d, constant("1.44269504088896341"), big)
    k = add(t, -big)
    r = mac(k, constant("-0.693359375"), d)
    r = mac(k, constant("2.12194440e-4"), r)
    y = mac(constant("1.9875691500e-4"), r, constant("1.3981999507e-3"))
    y = mac(y, r, constant("8.3334519073e-3"))
    y = mac(y, r, constant("4.1665795894e-2"))
    y = mac(y, r, constant("1.6666665459e-1"))
    y = mac(y, r, constant("5.0000001201e-1"))
    z = multiply(r, r)
    y = mac(y, z, r)
    y = add(y, 1.0)
    return rounded(Fraction(y) * Fraction(2) ** int(k))


def logarithm(s):
    def constant(text):
        return rounded(Fraction(text))

    f, k = math.frexp(s)
    if f < constant("0.707106781186547524"):
        k, x = k - 1, add(add(f, f), -1.0)
    else:
        x = add(f, -1.0)
    k = float(k)
    z = multiply(x, x)
    y = constant("7.0376836292e-2")
    for text in (
        "-1.1514610310e-1", "1.1676998740e-1", "-1.2420140846e-1", "1.4249322787e-1",
        "-1.6668057665e-1", "2.0000714765e-1", "-2.4999993993e-1", "3.3333331174e-1",
    ):  # fmt: skip
        y = mac(y, x, constant(text))
    y = multiply(y, x)
    y = multiply(y, z)
    y = mac(k, constant("-2.12194440e-4"), y)
    y = mac(z, -0.5, y)
    z = add(x, y)
    return mac(k, constant("0.693359375"), z)


def cross_entropy_image(z, label, inv_n):
    """Loss and gradient of one image's logits."""
    z = [flushed(value) for value in z]
    largest = z[0]
    for value in z[1:]:
        largest = value if value > largest else largest
    d = [add(value, -largest) for value in z]
    e = [exponential(value) for value in d]
    s = e[0]
    for value in e[1:]:
        s = add(s, value)
    r = divide(1.0, s)
    q = [mac(value, r, -1.0 if c == label else 0.0) for c, value in enumerate(e)]
    return add(logarithm(s), -d[label]), [multiply(value, inv_n) for value in q]
