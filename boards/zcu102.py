"""AMD ZCU102: a Zynq UltraScale+ ZU9EG and 4 GiB of DDR4, the board of EF-Train's figures."""

from eftrain_hw.compiler.devices import DEVICES
from eftrain_hw.interop.ps8 import ZYNQ_ULTRASCALE

from .zynq import ZynqBoard

__all__ = ["BOARD"]


def _platform():
    from amaranth.build import Attrs
    from amaranth.vendor import XilinxPlatform
    from amaranth_boards.resources import LEDResources

    class Zcu102Platform(XilinxPlatform):
        """The LEDs of a ZCU102 (UG1182): a design on the PS needs no other pin."""

        device, package, speed = "xczu9eg", "ffvb1156", "2-e"
        default_clk = None
        resources = [
            *LEDResources(pins="AG14 AF13 AE13 AJ14", attrs=Attrs(IOSTANDARD="LVCMOS33")),
        ]
        connectors = []

    return Zcu102Platform


BOARD = ZynqBoard(
    name="zcu102",
    description="AMD ZCU102, Zynq UltraScale+ ZU9EG, 4 GiB DDR4",
    device="xczu9eg-ffvb1156-2-e",
    resources=dict(DEVICES["xczu9eg"]),
    presets=("zcu102",),
    default_preset="zcu102",
    toolchains=("vivado", "yosys"),
    clock_hz=150_000_000,
    platform=_platform,
    family=ZYNQ_ULTRASCALE,
)
