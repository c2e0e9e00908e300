"""Softmax cross-entropy as passes over a scratch memory: one table, no other copy of a constant.

A pass computes, for every element (image, class) or for every image,

    result = (a * b + c) * b1 + c1

with four roundings, through the vector unit's two multiply-add pipelines. What docs/numerics.md
calls `mac` is one half of a pass; the other half is then the identity (b1 = 1, c1 = -0), and c = -0
makes a product of the first half.
"""

import struct
from dataclasses import dataclass

__all__ = ["KINDS", "ONE", "PROGRAM", "SMOOTHING_PASS", "Pass", "bits", "final_pass", "store_pass"]

KINDS = ("elements", "rows", "images", "chain", "store", "single")
"""elements: every (image, class), images fastest. rows: likewise, but a class waits for the results
of the class before. images: once an image. chain: likewise, each waits for the one before. store:
every (image, class) in the order of DRAM, with the classes that fill up the block. single: once."""


@dataclass(frozen=True)
class Pass:
    """One pass: operands are names of sources (see `LossDatapath`) or constants.

    Members
    -------
    kind : str
    a, b, c : str or float
        `a` is always a source.
    to : str
        Where results go.
    negate : bool
        c is used with its sign flipped.
    b1, c1 : str or float
        Second half: b1 is a constant, "a" (the a of the first half) or "inverse_images".
    post : str
        "label" keeps the label's result for the loss, "kill" marks d < -87, "scale" multiplies by
        2^k, "valid" makes results of images that don't count +0.
    drain : bool
        The next pass waits for the last result, not only for the first one.
    """

    kind: str
    a: str
    b: str | float
    c: str | float
    to: str
    negate: bool = False
    b1: str | float = 1.0
    c1: float = -0.0
    post: str = ""
    drain: bool = False

    def __post_init__(self):
        assert self.kind in KINDS


def bits(value):
    """The bits of a constant as binary32."""
    return struct.unpack("<I", struct.pack("<f", value))[0]


ONE = bits(1.0)

_ROUND = 12582912.0  # 1.5 * 2^23: adding it rounds to an integer
_LOG2_E = 1.44269504088896341
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1,
        5.0000001201e-1)  # fmt: skip
_LOG = (7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
        -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)  # fmt: skip

PROGRAM = (
    # d = z - max
    Pass("elements", "A", 1.0, "T", "A", negate=True, post="label"),
    # with label smoothing: D = the sum of target * d, instead of the label's d
    Pass("rows", "A", "target", "D", "D"),
    # exp(d)
    Pass("elements", "A", _LOG2_E, _ROUND, "K", c1=-_ROUND, post="kill"),
    Pass("elements", "K", -_LN2_HIGH, "A", "R"),
    Pass("elements", "K", -_LN2_LOW, "R", "R"),
    Pass("elements", "R", _EXP[0], _EXP[1], "Y", b1="a", c1=_EXP[2]),
    Pass("elements", "R", "Y", _EXP[3], "Y", b1="a", c1=_EXP[4]),
    Pass("elements", "R", "Y", _EXP[5], "Y"),
    Pass("elements", "R", "R", -0.0, "A"),
    Pass("elements", "A", "Y", "R", "Y", c1=1.0, post="scale"),
    # s, the sum over the classes; its reciprocal is computed meanwhile
    Pass("rows", "Y", 1.0, "T", "T"),
    # log(s) - D
    Pass("images", "fraction", 1.0, -1.0, "A"),
    Pass("images", "A", _LOG[0], _LOG[1], "R", b1="a", c1=_LOG[2]),
    Pass("images", "A", "R", _LOG[3], "R", b1="a", c1=_LOG[4]),
    Pass("images", "A", "R", _LOG[5], "R", b1="a", c1=_LOG[6]),
    Pass("images", "A", "R", _LOG[7], "R", b1="a", c1=_LOG[8]),
    Pass("images", "A", "R", -0.0, "R"),
    Pass("images", "A", "A", -0.0, "K"),
    Pass("images", "K", "R", -0.0, "R"),
    Pass("images", "power", _LN2_LOW, "R", "R"),
    Pass("images", "K", -0.5, "R", "R"),
    Pass("images", "A", 1.0, "R", "R"),
    Pass("images", "power", _LN2_HIGH, "R", "R"),
    Pass("images", "R", 1.0, "D", "loss", negate=True, post="valid", drain=True),
    # the batch's loss so far
    Pass("chain", "total", 1.0, "D", "total"),
    # g = (e / s - target) * inv_n
    Pass("store", "Y", "U", "target", "gradient", negate=True, b1="inverse_images", post="valid",
         drain=True),
    # after the last group
    Pass("single", "total", 1.0, -0.0, "batch", b1="inverse_images", drain=True),
)


SMOOTHING_PASS = 1
"""Left out without label smoothing."""


def store_pass():
    """Index of the last pass of a group."""
    return next(k for k, step in enumerate(PROGRAM) if step.kind == "store")


def final_pass():
    """Index of the pass that closes a batch."""
    return next(k for k, step in enumerate(PROGRAM) if step.kind == "single")
