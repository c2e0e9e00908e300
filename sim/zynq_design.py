"""The whole design of a Zynq board with the processing system's side as ports."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from eftrain_hw.dma.axi import Axi
from eftrain_hw.interop.axi_control import AxiControl
from eftrain_hw.interop.ps7 import PsPorts
from eftrain_hw.interop.zynq import LIGHTS, ZynqTop

from .checker import watch

__all__ = ["ZynqDesign"]


class _Outside(wiring.Component):
    """Stands for the primitive: its ports are those of a design's outside."""

    def __init__(self, outside, ports):
        self._outside = outside
        super().__init__(PsPorts(ports))

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

    Members
    -------
    control : In(AxiControl)
    memory0, memory1, .. : Out(Axi)
    irq : Out(1)
    lights : Out(4)
    """

    def __init__(self, config):
        self._config = config
        memory = {f"memory{k}": Out(Axi(32, "axi3")) for k in range(config.ports)}
        super().__init__(
            {
                "control": In(AxiControl(id_bits=12)),
                **memory,
                "irq": Out(1),
                "lights": Out(len(LIGHTS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        ports = self._config.ports
        ps = _Outside(self, ports)
        m.submodules.top = top = ZynqTop(
            self._config, ps=ps, primitives="portable", light_bits=8
        )
        m.d.comb += self.lights.eq(top.lights)
        for k in range(ports):
            watch(m, f"checker{k}", getattr(self, f"memory{k}"), 16)
        return m
