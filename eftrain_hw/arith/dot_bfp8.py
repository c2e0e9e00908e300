"""Two int8 dot-product units that share the moving vector."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .dsp48e1 import CHAIN, CHAIN_LATENCY, dual_chain
from .lut_chain import lut_chain
from .pipeline import delay

__all__ = ["DotPairBfp8"]

_LANES = (4, 8, 16, 32)
_PRIMITIVES = ("portable", "xilinx7")


class DotPairBfp8(wiring.Component):
    """o0 = sum of w0[j] * x[j], o1 = sum of w1[j] * x[j], exact, one moving vector a cycle.

    The stationary vectors are double-buffered. `load0` and `load1` write a row each into the
    shadow, in any order and on any cycles; `swap`, which accompanies a moving vector, brings the
    shadow into use for that vector and all later ones::

        cycle   0    1    2    3    4    5
        load0   A         C
        load1        B         D
        swap              1         1
        x       -    -    p    q    r    s      p, q meet A, B;  r, s meet C, D

    A load in the cycle before `swap` belongs to it, a load in the same cycle or later does not.
    The pipeline is free-running; the results of a vector have no valid bit.

    Latency and cost: 6 + log2(lanes / 4) cycles. "xilinx7": lanes DSP48E1 (one for both rows),
    the double buffer and the packing inside them (`dsp48e1.dual_chain`), and adders for the
    lanes / 4 partial sums of each row. `lut_chains` of the lanes / 4 chains are of LUTs instead of
    4 DSP48E1 each (`lut_chain.lut_chain`). "portable" is the same function and timing in plain
    arithmetic, at 2 * lanes 8 x 8 multipliers.
    Golden: docs/numerics.md, "Dot product and accumulation", the integer D.

    Parameters
    ----------
    lanes : int
        Products of a row: 4, 8, 16 or 32.
    primitives : str
        "portable", or "xilinx7" for explicit DSP48E1 instances.
    lut_chains : int
        Chains of 4 lanes without DSP48E1, 0 to lanes / 4: the last ones.

    Members
    -------
    load0, load1, swap : In(1)
        Strobes.
    w0, w1, x : In(ArrayLayout(signed(8), lanes))
        Elements from -127 to 127.
    o0, o1 : Out(signed(16 + log2(lanes)))

    Raises
    ------
    TypeError, ValueError

    Reference: Xilinx WP486 (two int8 products in one slice), UG479.
    """

    def __init__(self, *, lanes, primitives="portable", lut_chains=0):
        if not isinstance(lanes, int) or isinstance(lanes, bool):
            raise TypeError(f"DotPairBfp8 lanes must be an int, not {lanes!r}")
        if lanes not in _LANES:
            raise ValueError(f"DotPairBfp8 lanes must be one of {_LANES}, not {lanes!r}")
        if primitives not in _PRIMITIVES:
            raise ValueError(
                f"DotPairBfp8 primitives must be one of {_PRIMITIVES}, not {primitives!r}"
            )
        if not isinstance(lut_chains, int) or isinstance(lut_chains, bool):
            raise TypeError(f"DotPairBfp8 lut_chains must be an int, not {lut_chains!r}")
        if not 0 <= lut_chains <= lanes // CHAIN:
            raise ValueError(
                f"DotPairBfp8 lut_chains must be 0 to {lanes // CHAIN}, not {lut_chains!r}"
            )
        self._lanes = lanes
        self._primitives = primitives
        self._lut_chains = lut_chains
        vector = data.ArrayLayout(signed(8), lanes)
        result = signed(16 + ceil_log2(lanes))
        super().__init__(
            {
                "load0": In(1),
                "w0": In(vector),
                "load1": In(1),
                "w1": In(vector),
                "swap": In(1),
                "x": In(vector),
                "o0": Out(result),
                "o1": Out(result),
            }
        )

    @property
    def lanes(self):
        return self._lanes

    @property
    def primitives(self):
        return self._primitives

    @property
    def lut_chains(self):
        return self._lut_chains

    @property
    def latency(self):
        """Cycles from a moving vector to its two sums."""
        return CHAIN_LATENCY + ceil_log2(self._lanes // CHAIN)

    def elaborate(self, platform):
        m = Module()
        chains = self._xilinx7(m) if self._primitives == "xilinx7" else self._portable(m)
        for row, (sums, output) in enumerate(zip(chains, (self.o0, self.o1))):
            level = 0
            while len(sums) > 1:
                pairs = [x + y for x, y in zip(sums[::2], sums[1::2])]
                sums = [
                    Signal(pair.shape(), name=f"sum{row}_{level}_{k}", reset_less=True)
                    for k, pair in enumerate(pairs)
                ]
                m.d.sync += [total.eq(pair) for total, pair in zip(sums, pairs)]
                level += 1
            m.d.comb += output.eq(sums[0])
        return m

    def _xilinx7(self, m):
        """Chain sums of both rows, `CHAIN_LATENCY` cycles after x."""
        groups = self._groups()
        slices = len(groups) - self._lut_chains
        chains = [
            (dual_chain if k < slices else lut_chain)(
                m,
                x=[self.x[lane] for lane in group],
                w0=[self.w0[lane] for lane in group],
                w1=[self.w1[lane] for lane in group],
                load0=self.load0,
                load1=self.load1,
                swap=self.swap,
                name=f"chain_{group[0] // CHAIN}",
            )
            for k, group in enumerate(groups)
        ]
        return list(zip(*chains))

    def _portable(self, m):
        """The same in plain arithmetic: moving register, products, sums of four."""
        x = delay(m, self.x, 1, name="x")
        rows = []
        for row, (load, w) in enumerate(((self.load0, self.w0), (self.load1, self.w1))):
            shadow = Signal(w.shape(), name=f"shadow{row}", reset_less=True)
            active = Signal(w.shape(), name=f"active{row}", reset_less=True)
            with m.If(load):
                m.d.sync += shadow.eq(w)
            with m.If(self.swap):
                m.d.sync += active.eq(shadow)
            sums = []
            for group in self._groups():
                products = []
                for lane in group:
                    product = Signal(signed(16), name=f"product{row}_{lane}", reset_less=True)
                    m.d.sync += product.eq(active[lane] * x[lane])
                    products.append(product)
                name = f"chain{row}_{group[0] // CHAIN}"
                total = Signal(signed(17), name=name, reset_less=True)
                m.d.sync += total.eq((products[0] + products[1]) + (products[2] + products[3]))
                sums.append(delay(m, total, CHAIN_LATENCY - 3, name=f"{name}_late"))
            rows.append(sums)
        return rows

    def _groups(self):
        return [range(first, first + CHAIN) for first in range(0, self._lanes, CHAIN)]
