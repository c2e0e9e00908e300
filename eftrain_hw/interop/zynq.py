"""The accelerator behind the processing system of a Zynq."""

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import Out, connect

from ..config import AcceleratorConfig
from ..soc.accelerator import Accelerator
from .axi_control import AxiToLite
from .processing_system import CONTROL_BITS, PsPorts
from .ps7 import ZYNQ_7000, Ps7
from .ps8 import ZYNQ_ULTRASCALE, Ps8

__all__ = ["LIGHTS", "ZynqTop"]

_PRIMITIVES = {ZYNQ_7000.name: Ps7, ZYNQ_ULTRASCALE.name: Ps8}

LIGHTS = ("alive", "reads memory", "writes memory", "interrupt")
"""What the bits of `ZynqTop.lights` show, lowest first."""


class ZynqTop(wiring.Component):
    """Processing system and accelerator: nothing but status lights leaves the chip's logic.

        PS  M_AXI --AXI3 or 4--> AxiToLite --AXI4-Lite--> accelerator --irq--> first interrupt
            S_AXI_HP <==AXI3 or 4, 64 bits== axi0, axi1, ..

    A burst of a memory port is complete before it starts: reads have room reserved for all their
    data and writes have all theirs ready, so neither can block the port's queues in the PS.

    Latency and cost: see docs/boards.md.

    Parameters
    ----------
    config : AcceleratorConfig
        Its memory ports must be ones that the family has.
    family : PsFamily
        `ps7.ZYNQ_7000` or `ps8.ZYNQ_ULTRASCALE`.
    ps : wiring.Component or None
        Its signature is the family's `PsPorts` with as many memory ports, it does what the PS
        does; None: the primitive. Where it makes a clock, that becomes `sync` here, and its reset
        is released with it.
    primitives : str
        "xilinx7" or "portable", as `Accelerator`.
    light_bits : int
        A light stays on for 2^light_bits cycles; the first one blinks at that rate.

    Members
    -------
    lights : Out(4)
        See `LIGHTS`.

    Raises
    ------
    ValueError
        The memory ports of the configuration are not what the PS has.
    """

    def __init__(self, config, *, family, ps=None, primitives="xilinx7", light_bits=25):
        if not isinstance(config, AcceleratorConfig):
            raise TypeError(f"ZynqTop config must be an AcceleratorConfig, not {config!r}")
        family.check(config)
        if ps is None:
            ps = _PRIMITIVES[family.name](config)
        signature = getattr(ps, "signature", None)
        expected = (family, config.ports, config.address_bits)
        if not isinstance(signature, PsPorts) or expected != (
            signature.family, signature.ports, signature.address_bits
        ):  # fmt: skip
            raise TypeError(
                f"ZynqTop ps must be a component with the PsPorts of a {family.name},"
                f" {config.ports} memory ports and {config.address_bits}-bit addresses, not {ps!r}"
            )
        self._config, self._ps = config, ps
        self._primitives, self._light_bits = primitives, light_bits
        super().__init__({"lights": Out(len(LIGHTS))})

    @property
    def config(self):
        return self._config

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.ps = ps = self._ps
        if ps.signature.clock:
            m.domains.sync = ClockDomain()
            m.d.comb += ClockSignal().eq(ps.clk)
            m.submodules.reset = ResetSynchronizer(ps.rst)
        aperture = ps.signature.family.aperture_bits
        m.submodules.control = control = AxiToLite(
            ps.control.signature, address_bits=CONTROL_BITS, aperture=aperture
        )
        m.submodules.accelerator = accelerator = Accelerator(config, primitives=self._primitives)
        connect(m, ps.control, control.axi)
        connect(m, control.axil, accelerator.axil)
        m.d.comb += ps.irq.eq(accelerator.irq)
        memory = [getattr(accelerator, f"axi{k}") for k in range(config.ports)]
        for k, port in enumerate(memory):
            connect(m, port, getattr(ps, f"memory{k}"))
        reads = Cat(port.rvalid for port in memory).any()
        writes = Cat(port.wvalid for port in memory).any()
        self._light(m, reads, writes, accelerator.irq)
        return m

    def _light(self, m, *events):
        time = Signal(self._light_bits + 1, reset_less=True)
        tick = Signal()
        m.d.sync += [time.eq(time + 1), tick.eq(time[: self._light_bits] == 0)]
        m.d.sync += self.lights[0].eq(time[-1])
        for k, event in enumerate(events, 1):
            seen = Signal(name=f"seen_{k}")
            m.d.sync += seen.eq(event | (seen & ~tick))
            with m.If(tick):
                m.d.sync += self.lights[k].eq(seen)
