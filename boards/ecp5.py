"""What the boards with an ECP5 have in common: memory on the chip, a serial port to the host."""

from dataclasses import dataclass
from math import ceil

from eftrain_hw.compiler.resources import Resources, resources

from .board import Board

__all__ = ["Ecp5Board"]

_BAUD = 3_000_000
_BLOCK = 2048  # bytes of data in a DP16KD

# LUT4 sites and DP16KD for what `resources` says of an xc7z020, from the builds of docs/ulx3s.md
_LUT, _LUT_SYSTEM = 2.0, 2600
_FF, _FF_SYSTEM = 1.05, 1500
_BLOCKS, _BLOCKS_SYSTEM = 1.96, 1


@dataclass(frozen=True, kw_only=True)
class Ecp5Board(Board):
    """A board with an ECP5: PLL, accelerator, block RAM and serial bridge.

    Members
    -------
    platform : callable
        Returns the Amaranth platform's class; it needs amaranth-boards.
    input_hz : int
        Clock at the pin that the platform calls its default.
    memory_size : int
        Bytes of the memory on the chip.
    baud : int
        Of the serial port.
    light : tuple
        (resource, number, subsignal or None) of the light that is on while a step runs or its
        interrupt waits.
    """

    resources: dict = None
    presets: tuple = ("ulx3s-85f-small", "ulx3s-85f")
    default_preset: str = "ulx3s-85f-small"
    toolchains: tuple = ("ecp5",)
    clock_hz: int = 40_000_000
    platform: object = None
    input_hz: int = 0
    memory_size: int = 160 * 1024
    baud: int = _BAUD
    light: tuple = ("led", 0, None)

    def __post_init__(self):
        if self.resources is None:
            amounts = {"lut": 83640, "ff": 83640, "dsp": 156, "bram": 208}
            object.__setattr__(self, "resources", amounts)

    def check(self, config):
        from eftrain_hw.interop.ecp5_clock import pll_dividers
        from eftrain_hw.interop.uart import baud_step

        for name, wanted in (("axi", "axi4"), ("address_bits", 32)):
            value = getattr(config, name)
            if value != wanted:
                raise ValueError(f"{name} must be {wanted!r} for {self.name}, not {value!r}")
        pll_dividers(self.input_hz, config.clock_hz)
        baud_step(config.clock_hz, self.baud)

    def predict(self, config):
        """LUT4 sites (carries and LUT RAM included), flip-flops, MULT18X18D and DP16KD."""
        parts = resources(config)
        products = config.rows * config.lanes * (4 if config.format == "fp32" else 1)
        return Resources(
            ceil(_LUT * parts.lut) + _LUT_SYSTEM,
            ceil(_FF * parts.ff) + _FF_SYSTEM,
            products + 8,  # two multipliers of binary32 in the vector unit
            ceil(_BLOCKS * parts.bram) + self.memory_size // _BLOCK + _BLOCKS_SYSTEM,
        )

    def make_system(self, config):
        """The part of the top that simulates as it is."""
        from eftrain_hw.interop.on_chip import OnChipSystem

        return OnChipSystem(config, memory_size=self.memory_size, baud=self.baud)

    def make_top(self, config):
        return _on_pins(self, self.make_system(config), config.clock_hz)

    def make_platform(self, toolchain):
        return self.platform()(toolchain="Trellis")


def _on_pins(board, system, clock_hz):
    from amaranth.hdl import ClockDomain, Elaboratable, Module
    from amaranth.lib import io

    from eftrain_hw.interop.ecp5_clock import Ecp5Clock

    class Pins(Elaboratable):
        """The system with its clock, its serial port and its light on the board's pins."""

        def elaborate(self, platform):
            m = Module()
            m.domains.sync = ClockDomain("sync")
            m.submodules.clock = clock = Ecp5Clock(input_hz=board.input_hz, output_hz=clock_hz)
            m.submodules.system = system

            def buffer(direction, resource, number=0, part=None):
                port = _request(platform, resource, number)
                port = port if part is None else getattr(port, part)
                m.submodules[f"{resource}_{direction}"] = found = io.Buffer(direction, port)
                return found

            m.d.comb += clock.clock.eq(buffer("i", platform.default_clk).i)
            if platform.default_rst is not None:
                m.d.comb += clock.reset.eq(buffer("i", platform.default_rst).i)
            uart = _request(platform, "uart", 0)
            m.submodules.rx = rx = io.Buffer("i", uart.rx)
            m.submodules.tx = tx = io.Buffer("o", uart.tx)
            light = buffer("o", *board.light)
            m.d.comb += [system.rx.eq(rx.i), tx.o.eq(system.tx), light.o.eq(system.irq)]
            return m

    return Pins()


def _request(platform, name, number):
    """A resource as bare ports, its subsignals too."""
    from amaranth.build import Subsignal

    parts = [each for each in platform.lookup(name, number).ios if isinstance(each, Subsignal)]
    return platform.request(name, number, dir={each.name: "-" for each in parts} or "-")
