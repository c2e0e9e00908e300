"""Digilent PYNQ-Z1: the Arty Z7-20's device, with the same pins behind the LEDs."""

from .arty_z7_20 import _platform
from .zynq import ZynqBoard

__all__ = ["BOARD"]

BOARD = ZynqBoard(
    name="pynq-z1",
    description="Digilent PYNQ-Z1, Zynq-7020, 512 MiB DDR3",
    platform=_platform,
)
