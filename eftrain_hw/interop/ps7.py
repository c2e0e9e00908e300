"""The processing system of a Zynq-7000: clock, reset, control port, memory ports, interrupt."""

from amaranth.hdl import Cat, Const, Instance, Module, Signal
from amaranth.lib import wiring

from .processing_system import PsFamily, PsPorts

__all__ = ["Ps7", "ZYNQ_7000"]

ZYNQ_7000 = PsFamily(
    name="Zynq-7000",
    protocol="axi3",
    address_bits=(32, 32),
    control="M_AXI_GP0",
    control_base=0x4000_0000,
    aperture_bits=30,
    control_id_bits=12,
    control_address_bits=32,
    # HP0 and HP1 share a port of the DDR controller, so do HP2 and HP3: two take one of each pair
    memory_ports={1: (0,), 2: (0, 2), 4: (0, 1, 2, 3)},
)

_MEMORY_ID_BITS = 6
_INTERRUPTS = 20  # IRQF2P: 16 shared interrupts, then the private ones of both cores
_ADDRESS = "ADDR LEN SIZE BURST LOCK CACHE PROT QOS VALID".split()


class Ps7(wiring.Component):
    """The primitive PS7 with the ports of `PsPorts`, clock included.

    The clock is FCLK0 behind a global clock buffer, the reset FCLK_RESET0_N. FCLK0 must be set to
    `clock_hz` by the host: a bitstream does not. Control: M_AXI_GP0. Memory:
    S_AXI_HP, 64 bits wide; IDs are 0, so data return in order. Interrupt: IRQ_F2P[0]. Its two
    issuing-capability inputs are 0, so the PS's registers say how much each port keeps in flight.

    A simulation puts another component with the same signature in its place (`ZynqTop`'s `ps`).

    Parameters
    ----------
    config : AcceleratorConfig
        Memory ports, and the clock that timing is met for.

    Reference: UG585, chapters 5 (AXI_HP) and 25 (clocks); PS7 in UG953.
    """

    def __init__(self, config):
        self._ports, self._clock_hz = config.ports, config.clock_hz
        super().__init__(PsPorts(ZYNQ_7000, config.ports, clock=True))

    def elaborate(self, platform):
        m = Module()
        fclk, resetn = Signal(4), Signal(4)
        ps_clk = Signal()
        m.d.comb += ps_clk.eq(fclk[0])
        m.submodules.clock = Instance("BUFG", i_I=ps_clk, o_O=self.clk)
        m.d.comb += self.rst.eq(~resetn[0])
        if platform is not None:
            platform.add_clock_constraint(ps_clk, self._clock_hz)

        pins = {"o_FCLKCLK": fclk, "o_FCLKRESETN": resetn}
        pins["i_IRQF2P"] = Cat(self.irq, Const(0, _INTERRUPTS - 1))
        pins |= self._control()
        for k, number in enumerate(ZYNQ_7000.memory_ports[self._ports]):
            pins |= self._memory(getattr(self, f"memory{k}"), f"SAXIHP{number}")
        m.submodules.ps7 = Instance("PS7", **pins)
        return m

    def _control(self):
        axi, port = self.control, "MAXIGP0"
        pins = {f"i_{port}ACLK": self.clk, f"o_{port}WLAST": axi.wlast}
        for channel in ("AW", "AR"):
            for name in ("ID", "ADDR", "LEN", "BURST", "VALID"):
                pins[f"o_{port}{channel}{name}"] = getattr(axi, (channel + name).lower())
            # two bits: a port of 32 bits has no wider beats
            pins[f"o_{port}{channel}SIZE"] = getattr(axi, f"{channel.lower()}size")[:2]
        for name in ("WDATA", "WSTRB", "WVALID", "BREADY", "RREADY"):
            pins[f"o_{port}{name}"] = getattr(axi, name.lower())
        for name in (
            "AWREADY", "ARREADY", "WREADY", "BID", "BRESP", "BVALID",
            "RID", "RDATA", "RRESP", "RLAST", "RVALID",
        ):  # fmt: skip
            pins[f"i_{port}{name}"] = getattr(axi, name.lower())
        return pins

    def _memory(self, axi, port):
        identity = Const(0, _MEMORY_ID_BITS)
        pins = {f"i_{port}ACLK": self.clk, f"i_{port}WID": identity}
        pins |= {f"i_{port}{side}ISSUECAP1EN": Const(0, 1) for side in ("RD", "WR")}
        for channel in ("AW", "AR"):
            pins[f"i_{port}{channel}ID"] = identity
            for name in _ADDRESS:
                value = getattr(axi, (channel + name).lower())
                pins[f"i_{port}{channel}{name}"] = value[:2] if name == "SIZE" else value
            pins[f"o_{port}{channel}READY"] = getattr(axi, f"{channel.lower()}ready")
        for name in ("WDATA", "WSTRB", "WLAST", "WVALID", "BREADY", "RREADY"):
            pins[f"i_{port}{name}"] = getattr(axi, name.lower())
        for name in ("WREADY", "BRESP", "BVALID", "RDATA", "RRESP", "RLAST", "RVALID"):
            pins[f"o_{port}{name}"] = getattr(axi, name.lower())
        return pins
