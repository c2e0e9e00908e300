"""Digilent Arty Z7-20: a Zynq-7020 and 512 MiB of DDR3."""

from .zynq import ZynqBoard

__all__ = ["BOARD"]


def _platform():
    from amaranth_boards.arty_z7 import ArtyZ720Platform

    return ArtyZ720Platform


BOARD = ZynqBoard(
    name="arty-z7-20",
    description="Digilent Arty Z7-20, Zynq-7020, 512 MiB DDR3",
    platform=_platform,
)
