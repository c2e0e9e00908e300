"""The accelerator behind the processing system of a Zynq."""

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import Out, connect

from ..config import AcceleratorConfig
from ..csr.registers import ADDRESS_BITS
from ..soc.accelerator import Accelerator
from .axi_control import AxiToLite
from .ps7 import APERTURE_BITS, Ps7, PsPorts

__all__ = ["LIGHTS", "ZynqTop"]

LIGHTS = ("alive", "reads memory", "writes memory", "interrupt")
"""What the bits of `ZynqTop.lights` show, lowest first."""


class ZynqTop(wiring.Component):
    """Processing system and accelerator: nothing but status lights leaves the chip's logic.

        PS  M_AXI_GP0 --AXI3--> AxiToLite --AXI4-Lite--> accelerator --irq--> IRQ_F2P[0]
            S_AXI_HP0, HP2 <==AXI3, 64 bits== axi0, axi1

    A burst of a memory port is complete before it starts: reads have room reserved for all their
    data and writes have all theirs ready, so neither can block the port's queues in the PS.

    Latency and cost: see docs/boards.md.

    Parameters
    ----------
    config : AcceleratorConfig
        AXI3, 32-bit addresses.
    ps : wiring.Component or None
        Its signature is `PsPorts(config.ports)`, it does what the PS does; None: the primitive.
        Where it makes a clock, that becomes `sync` here, and its reset is released with it.
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

    def __init__(self, config, *, ps=None, primitives="xilinx7", light_bits=25):
        if not isinstance(config, AcceleratorConfig):
            raise TypeError(f"ZynqTop config must be an AcceleratorConfig, not {config!r}")
        self.check(config)
        if ps is None:
            ps = Ps7(config.ports, clock_hz=config.clock_hz)
        signature = getattr(ps, "signature", None)
        if not isinstance(signature, PsPorts) or signature.ports != config.ports:
            raise TypeError(
                f"ZynqTop ps must be a component with PsPorts({config.ports}), not {ps!r}"
            )
        self._config, self._ps = config, ps
        self._primitives, self._light_bits = primitives, light_bits
        super().__init__({"lights": Out(len(LIGHTS))})

    @staticmethod
    def check(config):
        """ValueError where the PS has no such memory ports."""
        for name, value in (("axi", "axi3"), ("address_bits", 32)):
            if getattr(config, name) != value:
                raise ValueError(
                    f"AcceleratorConfig.{name} must be {value!r} on a Zynq-7000,"
                    f" not {getattr(config, name)!r}"
                )

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
        m.submodules.control = control = AxiToLite(
            ps.control.signature, address_bits=ADDRESS_BITS, aperture=APERTURE_BITS
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
