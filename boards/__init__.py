"""FPGA boards, one file each: device, pins, clock, and the top that goes onto it.

    from boards import BOARDS, find_board
    find_board("pynq-z2").make_top(config)

A board is imported when it is asked for, and needs amaranth-boards only when it makes a platform.
"""

from importlib import import_module

from .board import Board, BuildError

__all__ = ["BOARDS", "Board", "BuildError", "find_board"]

BOARDS = {
    "pynq-z2": "pynq_z2",
    "pynq-z1": "pynq_z1",
    "arty-z7-20": "arty_z7_20",
    "ulx3s-85f": "ulx3s_85f",
    "ecpix5-85f": "ecpix5_85f",
    "zcu102": "zcu102",
}
"""Module of each board, in the order in which they are listed; it defines `BOARD`."""


def find_board(name):
    """The `Board` of that name; ValueError lists the names."""
    if name not in BOARDS:
        raise ValueError(f"board must be one of {', '.join(BOARDS)}, not {name!r}")
    return import_module(f"{__name__}.{BOARDS[name]}").BOARD
