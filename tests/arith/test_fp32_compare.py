"""Predicates on raw bits against NumPy's comparison."""

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eftrain_hw.arith import flush, greater, is_positive


class Predicates(wiring.Component):
    a: In(32)
    b: In(32)
    greater: Out(1)
    positive: Out(1)
    flushed: Out(32)

    latency = 1

    def elaborate(self, platform):
        m = Module()
        m.d.sync += [
            self.greater.eq(greater(self.a, self.b)),
            self.positive.eq(is_positive(self.a)),
            self.flushed.eq(flush(self.a)),
        ]
        return m


def test_corners_and_random_pairs(pipeline, binary32):
    a, b = binary32.pairs(np.random.default_rng(9), 2000)
    got = pipeline(
        Predicates(), {"a": a.tolist(), "b": b.tolist()}, ["greater", "positive", "flushed"]
    )
    x, y = binary32.exact(a), binary32.exact(b)
    np.testing.assert_array_equal(got["greater"], x > y)
    np.testing.assert_array_equal(got["positive"], x > 0)
    np.testing.assert_array_equal(got["flushed"], binary32.flushed(a))
