"""What the boards with a Zynq-7020 have in common."""

from dataclasses import dataclass

from eftrain_hw.compiler.resources import DEVICES

from .board import Board

__all__ = ["ZynqBoard"]


@dataclass(frozen=True, kw_only=True)
class ZynqBoard(Board):
    """A board with an xc7z020: the accelerator behind the processing system, four lights."""

    device: str = "xc7z020clg400-1"
    resources: dict = None
    presets: tuple = ("pynq-z2", "pynq-z2-32x16", "pynq-z2-fp32")
    default_preset: str = "pynq-z2"
    toolchains: tuple = ("vivado", "openxc7", "yosys")
    clock_hz: int = 125_000_000
    platform: object = None
    """Returns the Amaranth platform's class."""

    def __post_init__(self):
        if self.resources is None:
            object.__setattr__(self, "resources", DEVICES["xc7z020"])

    def check(self, config):
        from eftrain_hw.interop.zynq import ZynqTop

        ZynqTop.check(config)

    def make_top(self, config):
        from eftrain_hw.interop.zynq import ZynqTop

        return _with_lights(ZynqTop(config))

    def make_platform(self, toolchain):
        # Verilog and constraints are the same for every tool chain
        return self.platform()(toolchain="Vivado")


def _with_lights(top):
    """The top with its lights on the board's LEDs."""
    from amaranth.hdl import Elaboratable, Module
    from amaranth.lib import io

    class Lights(Elaboratable):
        def elaborate(self, platform):
            m = Module()
            m.submodules.eftrain = top
            if platform is not None:
                for k in range(len(top.lights)):
                    pin = platform.request("led", k, dir="-")
                    m.submodules[f"led{k}"] = led = io.Buffer("o", pin)
                    m.d.comb += led.o.eq(top.lights[k])
            return m

    return Lights()
