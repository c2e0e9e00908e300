"""TUL PYNQ-Z2: a Zynq-7020 and 512 MiB of DDR3."""

from .zynq import ZynqBoard

__all__ = ["BOARD"]


def _platform():
    from amaranth.build import Attrs, Clock, Pins, Resource
    from amaranth.vendor import XilinxPlatform
    from amaranth_boards.resources import LEDResources

    class PynqZ2Platform(XilinxPlatform):
        """Pins of the PYNQ-Z2 (TUL, user manual 1.0) that a design on the PS can do with."""

        device, package, speed = "xc7z020", "clg400", "1"
        default_clk = "clk125"
        resources = [
            Resource("clk125", 0, Pins("H16", dir="i"), Clock(125e6), Attrs(IOSTANDARD="LVCMOS33")),
            *LEDResources(pins="R14 P14 N16 M14", attrs=Attrs(IOSTANDARD="LVCMOS33")),
        ]
        connectors = []

    return PynqZ2Platform


BOARD = ZynqBoard(
    name="pynq-z2",
    description="TUL PYNQ-Z2, Zynq-7020, 512 MiB DDR3",
    platform=_platform,
)
