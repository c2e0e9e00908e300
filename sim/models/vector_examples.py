"""Vector programs written by hand, one for each kind of layer or optimizer step."""

from math import inf

from eftrain_hw.vector.assembler import (
    MINUS_LEARNING_RATE,
    MOMENTUM,
    POSITION,
    T0,
    A,
    B,
    Bounds,
    C,
    Extent,
    Instruction,
    R,
    Scalar,
    VectorProgram,
    Walk,
)

__all__ = ["EXAMPLES"]

I = Instruction  # noqa: E741
_ON = Walk(steps=(0, 0, 0, 1))
_WINDOW = 64  # elements of a register
_LOG2_E, _ROUND = 1.44269504088896341, 12582912.0
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1,
        5.0000001201e-1)  # fmt: skip


def _straight(count, **others):
    return Extent((1, 1, 1, count), a=_ON, b=_ON, c=_ON, e=_ON, w0=_ON, w1=_ON, **others)


def residual_add(lanes):
    """E = relu(A + B)."""
    return VectorProgram(
        (I("pass", a0=A, c1=B, post="relu", to=("e",)),), (_straight(40),),
        {"a": "elements", "b": "elements"},
    )  # fmt: skip


def sgd(lanes):
    """v = momentum * v + g, w = w - learning_rate * v, and w encoded: a parameter a cycle."""
    step = I("mac", a0=MOMENTUM, b0=A, c0=B, b1=MINUS_LEARNING_RATE, c1=C, to=("e", "w0", "w1"))
    kinds = {"a": "raw", "b": "raw", "c": "raw", "w0": "raw", "w1": "raw"}
    return VectorProgram((step,), (_straight(40),), kinds)


def nesterov(lanes):
    """SGD with weight decay (Scalar 0) and Nesterov momentum, 64 parameters at a time."""
    count = _WINDOW // lanes
    steps = (
        I("mac", a0=Scalar(0), b0=0.0, c0=B, to=(R(4),)),
        I("pass", c1=C, to=(R(5),)),  # w
        I("mac", a0=R(5), b0=Scalar(0), c0=R(4), to=(R(4),)),  # g + decay * w
        I("mac", a0=MOMENTUM, b0=A, c0=R(4), to=("w1", R(6))),  # v
        I("mac", a0=MOMENTUM, b0=R(6), c0=R(4), b1=MINUS_LEARNING_RATE, c1=C, to=("e", "w0")),
    )
    kinds = {"a": "raw", "b": "raw", "c": "raw", "w0": "raw", "w1": "raw"}
    outer = dict.fromkeys(("a", "b", "c", "e", "w0", "w1"), count)
    return VectorProgram(steps, (_straight(count),), kinds, outer)


def adam_moments(lanes):
    """m = m + (g - m) (1 - beta1) as mac; v likewise of g squared. A = g, B = m, C = v."""
    count = _WINDOW // lanes
    steps = (
        I("multiply", a0=0.1, b0=A, c0=B, a1="c0", b1=0.9, c1=T0, to=("w0",)),
        I("pass", c1=C, to=(R(4),)),
        I("multiply", a0=A, b0=A, b1=0.001, to=(R(5),)),
        I("mac", a0=R(4), b0=0.999, c0=R(5), to=("w1",)),
    )
    kinds = {"a": "raw", "b": "raw", "c": "raw", "w0": "raw", "w1": "raw"}
    outer = dict.fromkeys(("a", "b", "c", "w0", "w1"), count)
    return VectorProgram(steps, (_straight(count),), kinds, outer)


def adam_update(lanes):
    """w = w - step m / (sqrt(v) + eps). A = m, B = v, C = w; Scalar 0 = -step, 1 = 1 / (1 - ..)."""
    count = _WINDOW // lanes
    steps = (
        I("multiply", a0=Scalar(1), b0=B, to=(R(4),)),
        I("gate", a0=R(4), b0=R(4), to=(R(4),)),
        I("root", a0=R(4), b1=1.0, c1=1e-8, to=(R(5),)),
        I("divide", a0=A, b0=R(5), b1=Scalar(0), c1=C, to=("e", "w0")),
    )
    kinds = {"a": "raw", "b": "raw", "c": "raw", "w0": "raw"}
    outer = dict.fromkeys(("a", "b", "c", "e", "w0"), count)
    return VectorProgram(steps, (_straight(count),), kinds, outer)


def batch_norm(lanes):
    """E = relu(gamma (A - mean) / sqrt(variance + eps) + beta) over the valid images of a channel
    block; B holds gamma, beta; Scalar 0 is one over the pixels of the valid images."""
    walk = Walk(steps=(9, 0, 0, 1))
    maps = Extent((3, 1, 1, 9), a=walk, e=walk, images=True)
    gamma, beta = (Extent((1, 1, 1, 1), b=Walk(start)) for start in range(2))
    steps = (
        I("pass", a0=A, valid0=True, accumulate="sum", to=(R(0),), emit="last"),
        I("multiply", a0=R(0), b0=Scalar(0), to=(R(1),), extent=1),
        I("mac", a0=A, b0=1.0, c0=R(1), negate_c0=True, valid0=True, accumulate="sum", b1=T0,
          to=(R(2),), emit="last"),
        I("mac", a0=R(2), b0=Scalar(0), c0=1e-5, to=(R(3),), extent=1),
        I("gate", a0=R(3), b0=R(3), to=(R(3),), extent=1),
        I("root", a0=R(3), to=(R(2),), extent=1),
        I("divide", a0=B, b0=R(2), to=(R(3),), extent=1),
        I("multiply", a0=R(1), b0=R(3), b1=-1.0, c1=B, to=(R(0),), extent=2),
        I("mac", a0=A, b0=R(3), c0=R(0), post="relu", valid1=True, to=("e",)),
    )  # fmt: skip
    return VectorProgram(
        steps, (maps, gamma, beta), {"a": "elements", "b": "raw"}, {"a": 27, "b": 2, "e": 27}
    )


def batch_norm_backward(lanes):
    """Sums of dy and of dy * x in one walk each; dx = (x k + dy) s + t. A = x, B = dy."""
    walk = Walk(steps=(9, 0, 0, 1))
    maps = Extent((3, 1, 1, 9), a=walk, b=walk, e=walk, images=True)
    one = Extent((1, 1, 1, 1), w0=Walk(0))
    steps = (
        I("pass", a0=B, valid0=True, accumulate="sum", to=(R(0),), emit="last"),
        I("pass", a0=B, b0=A, valid0=True, accumulate="sum", b1=A, to=(R(1),), emit="last"),
        I("multiply", a0=R(0), b0=Scalar(0), b1=-1.0, to=(R(2), "w0"), extent=1),
        I("multiply", a0=R(1), b0=Scalar(0), b1=-1.0, to=(R(3),), extent=1),
        I("mac", a0=A, b0=R(3), c0=B, b1=Scalar(1), c1=R(2), valid1=True, to=("e",)),
    )
    return VectorProgram(
        steps, (maps, one), {"a": "elements", "b": "elements", "w0": "raw"},
        {"a": 27, "b": 27, "e": 27, "w0": 1},
    )  # fmt: skip


def max_pool(lanes):
    """3x3, stride 2, padding 1 of 7x6 maps, a plane an iteration; the winner's place in W1."""
    bounds = Bounds(Walk(-1, (2, 0, 1, 0)), 7, Walk(-1, (0, 2, 0, 1)), 6)
    out = Walk(steps=(3, 1, 0, 0))
    extent = Extent((4, 3, 3, 3), a=Walk(-7, (12, 2, 6, 1)), e=out, w1=out, bounds=bounds,
                    position=Walk(0, (0, 0, 3, 1)))  # fmt: skip
    step = I("choose", a0=A, b0=0.0, c0=POSITION, a1="a0", accumulate="maximum", reduce="i1",
             emit="last", pad=-inf, to=("e", "w1"))  # fmt: skip
    return VectorProgram(
        (step,), (extent,), {"a": "elements", "w1": "bytes"}, {"a": 42, "e": 12, "w1": 12}
    )


def max_pool_backward(lanes):
    """Of the above, the phase of the odd rows and columns (four taps). A = dy, B = places."""
    bounds = Bounds(Walk(1, (1, 0, -1, 0)), 4, Walk(1, (0, 1, 0, -1)), 3)
    read = Walk(4, (3, 1, -3, -1))
    extent = Extent((3, 3, 2, 2), a=read, b=read, e=Walk(7, (12, 2, 0, 0)), bounds=bounds,
                    position=Walk(0, (0, 0, 6, 2)))  # fmt: skip
    step = I("gate", a0=A, b0=B, c0=POSITION, equal=True, accumulate="sum", reduce="i1",
             emit="last", to=("e",))  # fmt: skip
    return VectorProgram(
        (step,), (extent,), {"a": "elements", "b": "bytes"}, {"a": 12, "b": 12, "e": 42}
    )


def global_average(lanes):
    """The mean of 20 pixels, a channel block of an image after the other."""
    extent = Extent((2, 3, 1, 20), a=Walk(steps=(60, 20, 0, 1)), e=Walk(steps=(3, 1, 0, 0)))
    step = I("pass", a0=A, accumulate="sum", reduce="i0", emit="last", b1=0.05, to=("e",))
    return VectorProgram((step,), (extent,), {"a": "elements"})


def leaky_relu(lanes):
    """E = A > 0 ? A : 0.01 A; W0 = B > 0 ? A : 0.01 A, its backward pass."""
    steps = (
        I("multiply", a0=0.01, b0=A, c0=0.0, a1="b0", post="select", to=("e",)),
        I("multiply", a0=A, b0=0.01, a1="a0", b1=1.0, to=(R(4),)),
        I("pass", a0=A, b0=B, c0=0.0, invert=True, b1=0.01, post="select", to=("w0",)),
    )
    kinds = {"a": "elements", "b": "elements", "w0": "raw"}
    return VectorProgram(steps, (_straight(10),), kinds)


def sigmoid(lanes):
    """E = 1 / (1 + exp(-A)) by docs/numerics.md's exp, 64 elements at a time."""
    count = _WINDOW // lanes
    steps = (
        I("multiply", a0=A, b0=-1.0, to=(R(5),)),
        I("choose", b0=A, c0=R(5), invert=True, to=(R(4),)),
        I("choose", b0=R(4), c0=-87.0, to=(R(4),)),  # d
        I("mac", a0=R(4), b0=_LOG2_E, c0=_ROUND, c1=-_ROUND, to=(R(5),)),  # k
        I("mac", a0=R(5), b0=-_LN2_HIGH, c0=R(4), a1="a0", b1=-_LN2_LOW, c1=T0, to=(R(6),)),  # r
        I("mac", a0=_EXP[0], b0=R(6), c0=_EXP[1], a1="b0", b1=T0, c1=_EXP[2], to=(R(7),)),
        I("mac", a0=R(7), b0=R(6), c0=_EXP[3], a1="b0", b1=T0, c1=_EXP[4], to=(R(7),)),
        I("mac", a0=R(7), b0=R(6), c0=_EXP[5], to=(R(7),)),
        I("multiply", a0=R(6), b0=R(6), c0=R(7), a1="c0", b1=T0, to=(R(7),)),
        I("mac", a0=R(7), b0=1.0, c0=R(6), c1=1.0, to=(R(7),)),
        I("ldexp", a0=R(7), b0=R(5), to=(R(7),)),  # e
        I("mac", a0=R(7), b0=1.0, c0=1.0, to=(R(6),)),
        I("pass", a0=R(7), b0=A, c0=0.0, a1="c0", c1=1.0, post="select", to=(R(5),)),
        I("divide", a0=R(5), b0=R(6), to=("e", "w0")),
    )
    kinds = {"a": "elements", "w0": "raw"}
    return VectorProgram(steps, (_straight(count),), kinds, {"a": count, "e": count, "w0": count})


def dropout(lanes):
    """E = u >= 0.25 ? A / 0.75 : 0 with u of Scalar 2's bits; the random numbers in W0."""
    count = _WINDOW // lanes
    steps = (
        I("random", a0=Scalar(2), to=(R(4), "w0")),
        I("gate", a0=A, b0=0.25, c0=R(4), invert=True, b1=4 / 3, to=("e",)),
    )
    kinds = {"a": "elements", "w0": "raw"}
    return VectorProgram(steps, (_straight(count),), kinds, {"a": count, "e": count, "w0": count})


def squared_error(lanes):
    """E = 2 / n (A - B) of the valid images; W0's last element: the sum of squares."""
    walk = Walk(steps=(5, 0, 0, 1))
    every = Extent((3, 1, 1, 5), a=walk, b=walk, e=walk, images=True)
    steps = (
        I("mac", a0=A, b0=1.0, c0=B, negate_c0=True, b1=Scalar(0), valid1=True, to=("e",)),
        I("mac", a0=A, b0=1.0, c0=B, negate_c0=True, valid0=True, b1=T0, accumulate="sum",
          emit="last", to=(R(0),)),
        I("pass", a0=R(0), accumulate="sum", across=True, emit="last", to=("w0", R(1)), extent=1),
        I("multiply", a0=R(1, scalar=True), b0=Scalar(0), to=("w1",), extent=1),
    )  # fmt: skip
    return VectorProgram(
        steps, (every, Extent((1, 1, 1, 1))),
        {"a": "elements", "b": "raw", "w0": "raw", "w1": "raw"},
    )  # fmt: skip


EXAMPLES = {
    make.__name__: make
    for make in (
        residual_add, sgd, nesterov, adam_moments, adam_update, batch_norm, batch_norm_backward,
        max_pool, max_pool_backward, global_average, leaky_relu, sigmoid, dropout, squared_error,
    )
}  # fmt: skip
