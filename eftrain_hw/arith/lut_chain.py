"""The function of a chain of DSP slices in LUTs: for arrays with more products than slices."""

from amaranth.hdl import C, Cat, Mux, Signal, signed

from .dsp48e1 import CHAIN, CHAIN_LATENCY
from .pipeline import delay

__all__ = ["lut_chain"]

_DIGITS = 4  # of a weight, radix 4
_OFFSET = 256  # keeps products and their sums positive: a sign would be extended, bit by bit
_PAIR_BITS, _TOTAL_BITS = 14, 17  # of the sums of two digits, of all


def lut_chain(m, *, x, w0, w1, load0, load1, swap, name):
    """Sums of products of four moving elements and 2 x 4 stationary ones, without a DSP slice.

    The same arguments, contract and results as `dsp48e1.dual_chain`; slice j is j cycles behind
    slice 0 here too. A weight is four radix-4 digits -2..2 (Booth), which its own bits select:
    digit k is -2 b[2k+1] + b[2k] + b[2k-1]. So a bit of digit * x is a function of two bits of x
    and three of the weight, and the adder that sums these products of equal digits down the chain
    takes it into its own LUTs: one LUT6 a bit. The sums of the digits come together at the end.

    Latency and cost: `CHAIN_LATENCY` cycles; about 380 LUT, so 47 a product.

    Parameters
    ----------
    x, w0, w1 : sequences of 4 Value, signed(8)
    load0, load1, swap : Value
        Strobes.
    name : str
        Prefix of the signals.

    Returns
    -------
    (low, high) : signed(17) Values
        Sums with w0 and with w1, `CHAIN_LATENCY` cycles after `x`.

    Reference: A. D. Booth, "A signed binary multiplication technique", 1951; O. L. MacSorley, 1961.
    """
    totals = []
    for row, (w, load) in enumerate(((w0, load0), (w1, load1))):
        label = f"{name}_row{row}"
        sums = [C(0, 0)] * _DIGITS
        for j in range(CHAIN):
            moving = delay(m, x[j], j + 1, name=f"{name}_{j}_x").as_signed()
            weight = _double_buffer(
                m,
                delay(m, w[j], j, name=f"{name}_{j}_w{row}"),
                delay(m, load, j, name=f"{name}_{j}_load{row}"),
                delay(m, swap, j, name=f"{name}_{j}_swap"),
                f"{label}_{j}",
            )
            for digit in range(_DIGITS):
                product, minus = _times_digit(moving, Cat(C(0, 1), weight)[2 * digit :][:3])
                total = Signal(
                    range(_OFFSET * 2 * (j + 1)), name=f"{label}_{j}_digit{digit}", reset_less=True
                )
                m.d.sync += total.eq(_add(sums[digit], product, minus, len(total)))
                sums[digit] = total
        # four offsets are the weight of the sign: it only changes its sense
        sums = [Cat(total[:-1], ~total[-1]).as_signed() for total in sums]
        pairs = [low + (high << 2) for low, high in zip(sums[::2], sums[1::2])]
        pairs = [pair[:_PAIR_BITS].as_signed() for pair in pairs]
        total = Signal(signed(_TOTAL_BITS), name=f"{label}_total", reset_less=True)
        m.d.sync += total.eq(pairs[0] + (pairs[1] << 4))
        totals.append(delay(m, total, CHAIN_LATENCY - CHAIN - 2, name=f"{label}_late"))
    return tuple(totals)


def _double_buffer(m, value, load, swap, name):
    shadow = Signal(8, name=f"{name}_shadow", reset_less=True)
    active = Signal(8, name=f"{name}_active", reset_less=True)
    with m.If(load):
        m.d.sync += shadow.eq(value)
    with m.If(swap):
        m.d.sync += active.eq(shadow)
    return active


def _add(total, product, minus, bits):
    """total + product + minus, as the difference total - ~product, in which tools do not exchange
    the operands: one LUT takes in the logic of the second, and only of the second."""
    return (Cat(minus, total) - Cat(C(1, 1), ~Cat(product, C(0, bits - len(product)))))[1:]


def _times_digit(x, bits):
    """(product, minus): x times a digit plus `_OFFSET` is product + minus; 9 bits, unsigned."""
    low, middle, high = bits
    double = Mux(high, ~low & ~middle, low & middle)
    single = low ^ middle
    product = [
        ((single & whole) | (double & half)) ^ high
        for whole, half in zip([*x, x[-1]], [C(0, 1), *x])
    ]
    return Cat(product[:-1], ~product[-1]), high
