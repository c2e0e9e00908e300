"""The whole design of a Zynq board with the processing system's side as ports."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped

from eftrain_hw.interop.processing_system import PsPorts
from eftrain_hw.interop.ps7 import ZYNQ_7000
from eftrain_hw.interop.ps8 import ZYNQ_ULTRASCALE
from eftrain_hw.interop.zynq import LIGHTS, ZynqTop

from .checker import watch

__all__ = ["ZynqDesign"]


class _Outside(wiring.Component):
    """Stands for the primitive: its ports are those of a design's outside."""

    def __init__(self, outside, signature):
        self._outside = outside
        super().__init__(signature)

    def elaborate(self, platform):
        m = Module()
        connect(m, flipped(self._outside.control), flipped(self.control))
        for k in range(self.signature.ports):
            name = f"memory{k}"
            connect(m, flipped(getattr(self, name)), flipped(getattr(self._outside, name)))
        m.d.comb += self._outside.irq.eq(self.irq)
        return m


class ZynqDesign(wiring.Component):
    """`ZynqTop` with portable primitives, a checker on every memory port.

    Parameters
    ----------
    config : AcceleratorConfig
        AXI3: behind a Zynq-7000, AXI4: behind a Zynq UltraScale+.

    Members
    -------
    control : In(AxiControl)
    memory0, memory1, .. : Out(Axi)
    irq : Out(1)
    lights : Out(4)
    """

    def __init__(self, config):
        self._config = config
        self._family = {"axi3": ZYNQ_7000, "axi4": ZYNQ_ULTRASCALE}[config.axi]
        self._ports = PsPorts(self._family, config.ports, address_bits=config.address_bits)
        super().__init__(
            {
                **{name: member.flip() for name, member in self._ports.members.items()},
                "lights": Out(len(LIGHTS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        ports = self._config.ports
        ps = _Outside(self, self._ports)
        m.submodules.top = top = ZynqTop(
            self._config, family=self._family, ps=ps, primitives="portable", light_bits=8
        )
        m.d.comb += self.lights.eq(top.lights)
        for k in range(ports):
            watch(m, f"checker{k}", getattr(self, f"memory{k}"), self._config.max_burst_beats)
        return m
