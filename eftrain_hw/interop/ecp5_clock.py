"""A clock from another one by the ECP5's PLL."""

from amaranth.hdl import ClockSignal, Elaboratable, Instance, Module, Signal
from amaranth.lib.cdc import ResetSynchronizer

__all__ = ["Ecp5Clock", "pll_dividers"]

_INPUT_HZ = (8_000_000, 400_000_000)
_COMPARE_HZ = (3_125_000, 400_000_000)  # phase detector
_VCO_HZ = (400_000_000, 800_000_000)
_OUTPUT_HZ = (3_125_000, 400_000_000)


def pll_dividers(input_hz, output_hz):
    """(input, feedback, output) dividers with which the PLL makes `output_hz` exactly.

        output = input / input divider * feedback divider,   VCO = output * output divider

    Of those that fit, the ones with the fastest comparison and a VCO nearest to 600 MHz.

    Raises
    ------
    ValueError
        The clocks are out of range, or no dividers fit.

    Reference: Lattice FPGA-TN-02200 (ECP5 sysCLOCK PLL), data sheet FPGA-DS-02012, table 3.30.
    """
    for name, value, (low, high) in (
        ("input_hz", input_hz, _INPUT_HZ), ("output_hz", output_hz, _OUTPUT_HZ)
    ):  # fmt: skip
        if not low <= value <= high:
            raise ValueError(f"PLL {name} must be {low} to {high}, not {value!r}")
    found = []
    for divide in range(1, 129):
        feedback, rest = divmod(output_hz * divide, input_hz)
        if rest or not 1 <= feedback <= 80 or not _COMPARE_HZ[0] <= input_hz / divide:
            continue
        for output in range(1, 129):
            vco = output_hz * output
            if _VCO_HZ[0] <= vco <= _VCO_HZ[1]:
                found.append(((divide, abs(vco - 600e6)), (divide, feedback, output)))
    if not found:
        raise ValueError(
            f"PLL output_hz must be a small multiple of a fraction of {input_hz}, not {output_hz!r}"
        )
    return min(found)[1]


class Ecp5Clock(Elaboratable):
    """Drives the domain `sync`, which its parent defines, with `output_hz` made by an EHXPLLL.

    The domain is in reset until the PLL has locked and while `reset` is 1.

    Parameters
    ----------
    input_hz, output_hz : int

    Members
    -------
    clock : Signal
        The pin.
    reset : Signal
        Asynchronous, optional.

    Raises
    ------
    ValueError
    """

    def __init__(self, *, input_hz, output_hz):
        self._dividers = pll_dividers(input_hz, output_hz)
        self._input_hz, self._output_hz = input_hz, output_hz
        self.clock, self.reset = Signal(), Signal()

    @property
    def input_hz(self):
        return self._input_hz

    @property
    def output_hz(self):
        return self._output_hz

    def elaborate(self, platform):
        m = Module()
        divide, feedback, output = self._dividers
        clock, locked = Signal(), Signal()
        m.submodules.pll = Instance(
            "EHXPLLL",
            a_FREQUENCY_PIN_CLKI=f"{self._input_hz / 1e6:g}",
            a_FREQUENCY_PIN_CLKOP=f"{self._output_hz / 1e6:g}",
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            p_CLKI_DIV=divide,
            p_CLKFB_DIV=feedback,
            p_CLKOP_DIV=output,
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_CPHASE=output - 1,
            p_CLKOP_FPHASE=0,
            p_FEEDBK_PATH="CLKOP",
            p_OUTDIVIDER_MUXA="DIVA",
            p_PLLRST_ENA="DISABLED",
            p_INTFB_WAKE="DISABLED",
            p_STDBY_ENABLE="DISABLED",
            p_DPHASE_SOURCE="DISABLED",
            i_CLKI=self.clock,
            i_CLKFB=clock,
            i_RST=0,
            i_STDBY=0,
            i_PHASESEL0=0,
            i_PHASESEL1=0,
            i_PHASEDIR=1,
            i_PHASESTEP=1,
            i_PHASELOADREG=1,
            i_PLLWAKESYNC=0,
            i_ENCLKOP=0,
            o_CLKOP=clock,
            o_LOCK=locked,
        )
        m.d.comb += ClockSignal("sync").eq(clock)
        m.submodules.locked = ResetSynchronizer(~locked | self.reset, domain="sync")
        if platform is not None:
            platform.add_clock_constraint(clock, self._output_hz)
        return m
