"""Radiona ULX3S with an LFE5U-85F."""

from .ecp5 import Ecp5Board

__all__ = ["BOARD"]


def _platform():
    from amaranth_boards.ulx3s import ULX3S_85F_Platform

    return ULX3S_85F_Platform


BOARD = Ecp5Board(
    name="ulx3s-85f",
    description="Radiona ULX3S, ECP5 LFE5U-85F, memory on the chip, serial port",
    device="LFE5U-85F-6BG381C",
    platform=_platform,
    input_hz=25_000_000,
)
