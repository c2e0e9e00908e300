"""The processing system of a Zynq UltraScale+: clock, control port, memory ports, interrupt."""

from amaranth.hdl import Cat, Const, Instance, Module, Signal
from amaranth.lib import wiring

from .processing_system import PsFamily, PsPorts

__all__ = ["Ps8", "ZYNQ_ULTRASCALE"]

ZYNQ_ULTRASCALE = PsFamily(
    name="Zynq UltraScale+",
    protocol="axi4",
    address_bits=(32, 40),
    control="M_AXI_HPM0_LPD",
    control_base=0x8000_0000,
    aperture_bits=29,
    control_id_bits=16,
    control_address_bits=40,
    # HP0 shares its way to the DDR controller with the display port; HP1 and HP2 share one
    memory_ports={1: (3,), 2: (1, 3), 4: (0, 1, 2, 3)},
)

_WIDTH = 128  # data bits of the primitive's ports; a register of the PS says how many are used
_MEMORY_ADDRESS_BITS, _MEMORY_ID_BITS = 49, 6
_INTERRUPTS = 8
_RESET_CYCLES = 16
_ADDRESS = "ADDR LEN SIZE BURST LOCK CACHE PROT QOS VALID".split()


class Ps8(wiring.Component):
    """The primitive PS8 with the ports of `PsPorts`, clock included.

    The clock is PL_CLK0 behind a BUFG_PS; the reset lasts some cycles after the configuration (the
    PS's own reset of the logic is a GPIO, which nothing need drive). Control: M_AXI_HPM0_LPD, set
    to 32 bits. Memory: S_AXI_HP_FPD, set to 64 bits. The host sets PL_CLK0 and these widths, which
    the .hwh file says; only the low part of the primitive's 128 bits is connected then.

    Parameters
    ----------
    config : AcceleratorConfig
        Memory ports, their addresses, and the clock that timing is met for.

    Reference: UG1085, chapters 35 (PS-PL AXI) and 37 (clocks); PS8 in UG974.
    """

    def __init__(self, config):
        self._ports, self._clock_hz = config.ports, config.clock_hz
        super().__init__(
            PsPorts(ZYNQ_ULTRASCALE, config.ports, address_bits=config.address_bits, clock=True)
        )

    def elaborate(self, platform):
        m = Module()
        plclk, ps_clk = Signal(4), Signal()
        m.d.comb += ps_clk.eq(plclk[0])
        m.submodules.clock = Instance("BUFG_PS", i_I=ps_clk, o_O=self.clk)
        if platform is not None:
            platform.add_clock_constraint(ps_clk, self._clock_hz)
        # 1 after configuration, then 0s are shifted in
        held = Signal(_RESET_CYCLES, init=-1, reset_less=True)
        m.d.sync += held.eq(held << 1)
        m.d.comb += self.rst.eq(held[-1])

        pins = {"o_PLCLK": plclk, "i_PLPSIRQ0": Cat(self.irq, Const(0, _INTERRUPTS - 1))}
        pins |= self._control(m)
        for k, number in enumerate(ZYNQ_ULTRASCALE.memory_ports[self._ports]):
            # S_AXI_HP0_FPD is the primitive's SAXIGP2
            pins |= self._memory(m, getattr(self, f"memory{k}"), f"SAXIGP{number + 2}")
        m.submodules.ps8 = Instance("PS8", **pins)
        return m

    def _low(self, m, target, name, width=_WIDTH):
        """A wide output of the primitive, of which the low part is used."""
        wide = Signal(width, name=name.lower())
        m.d.comb += target.eq(wide)
        return wide

    def _control(self, m):
        axi, port = self.control, "MAXIGP2"
        pins = {f"i_{port}ACLK": self.clk}
        for channel in ("AW", "AR"):
            for name in ("ID", "ADDR", "LEN", "SIZE", "BURST", "VALID"):
                pins[f"o_{port}{channel}{name}"] = getattr(axi, (channel + name).lower())
            pins[f"i_{port}{channel}READY"] = getattr(axi, f"{channel.lower()}ready")
        for name in ("WLAST", "WVALID", "BREADY", "RREADY"):
            pins[f"o_{port}{name}"] = getattr(axi, name.lower())
        pins[f"o_{port}WDATA"] = self._low(m, axi.wdata, f"{port}wdata")
        pins[f"o_{port}WSTRB"] = self._low(m, axi.wstrb, f"{port}wstrb", _WIDTH // 8)
        for name in ("WREADY", "BID", "BRESP", "BVALID", "RID", "RRESP", "RLAST", "RVALID"):
            pins[f"i_{port}{name}"] = getattr(axi, name.lower())
        pins[f"i_{port}RDATA"] = Cat(axi.rdata, Const(0, _WIDTH - 32))
        return pins

    def _memory(self, m, axi, port):
        identity = Const(0, _MEMORY_ID_BITS)
        pins = {f"i_{port}RCLK": self.clk, f"i_{port}WCLK": self.clk}
        for channel in ("AW", "AR"):
            pins[f"i_{port}{channel}ID"] = identity
            pins[f"i_{port}{channel}USER"] = Const(0, 1)  # not coherent
            for name in _ADDRESS:
                value = getattr(axi, (channel + name).lower())
                if name == "ADDR":
                    value = Cat(value, Const(0, _MEMORY_ADDRESS_BITS - len(value)))
                pins[f"i_{port}{channel}{name}"] = value
            pins[f"o_{port}{channel}READY"] = getattr(axi, f"{channel.lower()}ready")
        pins[f"i_{port}WDATA"] = Cat(axi.wdata, Const(0, _WIDTH - 64))
        pins[f"i_{port}WSTRB"] = Cat(axi.wstrb, Const(0, _WIDTH // 8 - 8))
        for name in ("WLAST", "WVALID", "BREADY", "RREADY"):
            pins[f"i_{port}{name}"] = getattr(axi, name.lower())
        pins[f"o_{port}RDATA"] = self._low(m, axi.rdata, f"{port}rdata")
        for name in ("WREADY", "BRESP", "BVALID", "RRESP", "RLAST", "RVALID"):
            pins[f"o_{port}{name}"] = getattr(axi, name.lower())
        return pins
