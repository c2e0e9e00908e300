"""The processing system of a Zynq-7000: clock, reset, control port, memory ports, interrupt."""

from amaranth.hdl import Cat, Const, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..dma.axi import Axi
from .axi_control import AxiControl

__all__ = ["CONTROL_BASE", "CONTROL_BITS", "APERTURE_BITS", "HP_PORTS", "Ps7", "PsPorts"]

CONTROL_BASE = 0x4000_0000
"""First address of M_AXI_GP0, and of the control registers."""
APERTURE_BITS = 30
"""Address bits that are not decoded before M_AXI_GP0: 1 GiB."""
CONTROL_BITS = 12
ID_BITS, MEMORY_ID_BITS = 12, 6  # of M_AXI_GP0 and of S_AXI_HP
HP_PORTS = {1: (0,), 2: (0, 2), 4: (0, 1, 2, 3)}
"""S_AXI_HP ports by number of memory ports. HP0 and HP1 share a port of the DDR controller, so do
HP2 and HP3: two memory ports take one of each pair."""

_INTERRUPTS = 20  # IRQF2P: 16 shared interrupts, then the private ones of both cores
_ADDRESS = "ADDR LEN SIZE BURST LOCK CACHE PROT QOS VALID".split()


class PsPorts(wiring.Signature):
    """What a processing system offers to the logic, seen from the processing system.

    Parameters
    ----------
    ports : int
        Memory ports: 1, 2 or 4.
    clock : bool
        Whether the processing system makes the clock of all its ports; otherwise it is `sync`.

    Members
    -------
    clk : Out(1)
        With `clock`: on a global clock net.
    rst : Out(1)
        With `clock`: not synchronous to anything.
    control : Out(AxiControl)
        AXI3 master, 12-bit IDs.
    memory0, memory1, .. : In(Axi(32, "axi3"))
    irq : In(1)
        Level.
    """

    def __init__(self, ports, *, clock=False):
        if ports not in HP_PORTS:
            raise ValueError(f"memory ports of a Zynq-7000 must be 1, 2 or 4, not {ports!r}")
        super().__init__(
            {
                **({"clk": Out(1), "rst": Out(1)} if clock else {}),
                "control": Out(AxiControl(id_bits=ID_BITS)),
                **{f"memory{k}": In(Axi(32, "axi3")) for k in range(ports)},
                "irq": In(1),
            }
        )
        self.ports, self.clock = ports, clock


class Ps7(wiring.Component):
    """The primitive PS7 with the ports of `PsPorts`, clock included.

    The clock is FCLK0 behind a global clock buffer, the reset FCLK_RESET0_N. FCLK0 must be set to
    `clock_hz` by the host: a bitstream does not. Control: M_AXI_GP0. Memory:
    `HP_PORTS`, 64 bits wide; IDs are 0, so data return in order. Interrupt: IRQ_F2P[0]. Its two
    issuing-capability inputs are 0, so the PS's registers say how much each port keeps in flight.

    A simulation puts another component with the same signature in its place (`ZynqTop`'s `ps`).

    Parameters
    ----------
    ports : int
    clock_hz : int
        What timing is met for.

    Reference: UG585, chapters 5 (AXI_HP) and 25 (clocks); PS7 in UG953.
    """

    def __init__(self, ports, *, clock_hz):
        self._ports, self._clock_hz = ports, clock_hz
        super().__init__(PsPorts(ports, clock=True))

    def elaborate(self, platform):
        m = Module()
        fclk, resetn = Signal(4), Signal(4)
        fclk0 = Signal()
        m.d.comb += fclk0.eq(fclk[0])
        m.submodules.clock = Instance("BUFG", i_I=fclk0, o_O=self.clk)
        m.d.comb += self.rst.eq(~resetn[0])
        if platform is not None:
            platform.add_clock_constraint(fclk0, self._clock_hz)

        pins = {"o_FCLKCLK": fclk, "o_FCLKRESETN": resetn}
        pins["i_IRQF2P"] = Cat(self.irq, Const(0, _INTERRUPTS - 1))
        pins |= self._control()
        for k, number in enumerate(HP_PORTS[self._ports]):
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
        identity = Const(0, MEMORY_ID_BITS)
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
