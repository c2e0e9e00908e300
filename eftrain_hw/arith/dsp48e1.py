"""Chains of DSP48E1 slices that multiply a moving vector by two stationary vectors at once."""

from amaranth.hdl import C, Cat, ClockSignal, Instance, Signal

from .pipeline import delay

__all__ = ["CHAIN", "CHAIN_LATENCY", "dual_chain"]

CHAIN = 4
CHAIN_LATENCY = CHAIN + 2

_LOW_BITS = 17
_M_TO_X_Y = 0b0101
_Z_FROM_C = 0b011 << 4
_Z_FROM_PCIN = 0b001 << 4


def dual_chain(m, *, x, w0, w1, load0, load1, swap, name):
    """Sums of products of four moving elements and 2 x 4 stationary ones, on four slices.

    Slice j computes P = PCIN + x_j * (w1_j * 2^17 + w0_j). The two weights enter through the
    ports A and D, whose registers are the shadow, and the pre-adder joins them: its register AD,
    enabled by `swap`, holds the weights in use. So neither the double buffer nor the packing costs
    anything outside the slice. C = 2^16 at the head of the chain makes the lower 17 bits
    offset-binary: four products of at most 127 * 127 fit, and the upper field needs no borrow
    correction. A weight of -128 is not allowed.

    Slice j is j cycles behind slice 0. Everything that enters it is delayed by j cycles, moving
    elements with the help of B1. Chains with the same operands share the delays: synthesis merges
    equal registers.

    Parameters
    ----------
    x, w0, w1 : sequences of 4 Value, signed(8)
    load0, load1, swap : Value
        Strobes.
    name : str
        Prefix of the instances.

    Returns
    -------
    (low, high) : signed(17) Values
        Sums with w0 and with w1, `CHAIN_LATENCY` cycles after `x`.

    Reference: Xilinx UG479 (7 Series DSP48E1 Slice), chapter 2.
    """
    clock = ClockSignal("sync")
    cascade = None
    for j in range(CHAIN):
        label = f"{name}_{j}"
        product_out = Signal(48, name=f"{label}_pcout")
        sum_out = Signal(48, name=f"{label}_p")
        moving = delay(m, x[j], max(0, j - 1), name=f"{label}_x").as_signed()
        low = delay(m, w0[j], j, name=f"{label}_w0").as_signed()
        high = delay(m, w1[j], j, name=f"{label}_w1").as_signed()
        ports = {
            "i_CLK": clock,
            "i_A": _extend(low, 30),
            "i_D": Cat(C(0, _LOW_BITS), high),
            "i_B": _extend(moving, 18),
            "i_C": C(1 << (_LOW_BITS - 1) if j == 0 else 0, 48),
            "i_PCIN": C(0, 48) if j == 0 else cascade,
            "i_CEA1": C(0, 1),
            "i_CEA2": delay(m, load0, j, name=f"{label}_load0"),
            "i_CED": delay(m, load1, j, name=f"{label}_load1"),
            "i_CEAD": delay(m, swap, j, name=f"{label}_swap"),
            "i_OPMODE": C((_Z_FROM_C if j == 0 else _Z_FROM_PCIN) | _M_TO_X_Y, 7),
            "i_ALUMODE": C(0, 4),
            "i_INMODE": C(0b00100, 5),  # multiplier port A = A2 + D
            "o_P": sum_out,
            "o_PCOUT": product_out,
        }
        ports |= {f"i_{pin}": C(1, 1) for pin in ("CEB1", "CEB2", "CEM", "CEP")}
        ports |= {
            f"i_{pin}": C(0, 1)
            for pin in ("CEC", "CEALUMODE", "CECARRYIN", "CECTRL", "CEINMODE")
            + ("CARRYIN", "CARRYCASCIN", "MULTSIGNIN")
            + ("RSTA", "RSTB", "RSTC", "RSTD", "RSTM", "RSTP")
            + ("RSTALLCARRYIN", "RSTALUMODE", "RSTCTRL", "RSTINMODE")
        }
        ports |= {"i_ACIN": C(0, 30), "i_BCIN": C(0, 18), "i_CARRYINSEL": C(0, 3)}
        m.submodules[label] = Instance("DSP48E1", **_parameters(2 if j else 1), **ports)
        cascade = product_out
    low = (sum_out[:_LOW_BITS] ^ (1 << (_LOW_BITS - 1))).as_signed()
    return low, sum_out[_LOW_BITS : 2 * _LOW_BITS].as_signed()


def _extend(value, bits):
    """Raw bits of a signed value, sign-extended."""
    return Cat(value, value[-1].replicate(bits - len(value)))


def _parameters(b_registers):
    parameters = {
        "ACASCREG": 1,
        "ADREG": 1,
        "ALUMODEREG": 0,
        "AREG": 1,
        "BCASCREG": b_registers,
        "BREG": b_registers,
        "CARRYINREG": 0,
        "CARRYINSELREG": 0,
        "CREG": 0,
        "DREG": 1,
        "INMODEREG": 0,
        "MREG": 1,
        "OPMODEREG": 0,
        "PREG": 1,
        "A_INPUT": "DIRECT",
        "B_INPUT": "DIRECT",
        "USE_DPORT": "TRUE",
        "USE_MULT": "MULTIPLY",
        "USE_SIMD": "ONE48",
        "USE_PATTERN_DETECT": "NO_PATDET",
        "AUTORESET_PATDET": "NO_RESET",
        "SEL_MASK": "MASK",
        "SEL_PATTERN": "PATTERN",
    }
    return {f"p_{name}": value for name, value in parameters.items()}
