"""LambdaConcept ECPIX-5 with an LFE5UM5G-85F."""

from .ecp5 import Ecp5Board

__all__ = ["BOARD"]


def _platform():
    from amaranth_boards.ecpix5 import ECPIX585Platform

    return ECPIX585Platform


BOARD = Ecp5Board(
    name="ecpix5-85f",
    description="LambdaConcept ECPIX-5, ECP5 LFE5UM5G-85F, memory on the chip, serial port",
    device="LFE5UM5G-85F-8BG554C",
    platform=_platform,
    input_hz=100_000_000,
    light=("rgb_led", 0, "g"),
)
