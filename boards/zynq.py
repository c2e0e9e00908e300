"""What the boards with a Zynq have in common."""

from dataclasses import dataclass, field

from amaranth.hdl import Elaboratable, Module
from amaranth.lib import io

from eftrain_hw.compiler.devices import DEVICES
from eftrain_hw.interop.processing_system import PsFamily
from eftrain_hw.interop.ps7 import ZYNQ_7000
from eftrain_hw.interop.zynq import ZynqTop

from .board import Board

__all__ = ["ZynqBoard"]


@dataclass(frozen=True, kw_only=True)
class ZynqBoard(Board):
    """The accelerator behind the processing system, four lights; an xc7z020 unless told otherwise.

    Members
    -------
    platform : callable
        Returns the Amaranth platform's class; called where amaranth-boards must be there.
    family : PsFamily
    """

    device: str = "xc7z020clg400-1"
    resources: dict = field(default_factory=lambda: dict(DEVICES["xc7z020"]))
    presets: tuple = ("pynq-z2", "pynq-z2-bfp8", "pynq-z2-32x16", "pynq-z2-fp32")
    default_preset: str = "pynq-z2"
    toolchains: tuple = ("vivado", "openxc7", "yosys")
    clock_hz: int = 125_000_000
    platform: object
    family: PsFamily = ZYNQ_7000

    def check(self, config):
        self.family.check(config)

    def make_top(self, config):
        return _Lights(ZynqTop(config, family=self.family))

    def make_platform(self, toolchain):
        # Verilog and constraints are the same for every tool chain
        return self.platform()(toolchain="Vivado")


class _Lights(Elaboratable):
    """The top with its lights on the board's LEDs."""

    def __init__(self, top):
        self._top = top

    def elaborate(self, platform):
        m = Module()
        m.submodules.eftrain = top = self._top
        for k in range(len(top.lights)):
            m.submodules[f"led{k}"] = led = io.Buffer("o", platform.request("led", k, dir="-"))
            m.d.comb += led.o.eq(top.lights[k])
        return m
