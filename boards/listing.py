"""What `eftrain info --boards` shows."""

from eftrain_hw.config import AcceleratorConfig

from . import BOARDS, find_board
from .toolchains import find_toolchain

__all__ = ["boards_table", "boards_values"]


def boards_values():
    """What there is to say of each board, by name.

    `presets` holds for each preset what it needs more of than the device has, `toolchains` whether
    each is installed.
    """
    found = {}
    for name in BOARDS:
        board = find_board(name)
        found[name] = {
            "description": board.description,
            "device": board.device,
            "resources": dict(board.resources),
            "presets": {
                each: board.missing(AcceleratorConfig.preset(each)) for each in board.presets
            },
            "default_preset": board.default_preset,
            "clock_mhz": board.clock_hz / 1e6,
            "toolchains": {
                each: find_toolchain(each).find() is not None for each in board.toolchains
            },
        }
    return found


def boards_table(values):
    """The lines of it."""
    lines = []
    for name, board in values.items():
        amounts = board["resources"]
        resources = ", ".join(f"{amount:,} {each.upper()}" for each, amount in amounts.items())
        presets = ", ".join(
            f"{each} (does not fit: {'; '.join(missing)})" if missing
            else f"{each} (default)" if each == board["default_preset"] else each
            for each, missing in board["presets"].items()
        )  # fmt: skip
        chains = ", ".join(
            f"{each} ({'installed' if there else 'not installed'})"
            for each, there in board["toolchains"].items()
        )
        lines += [
            f"{name}: {board['description']}",
            f"    device       {board['device']}, {board['clock_mhz']:g} MHz",
            f"    resources    {resources}",
            f"    presets      {presets}",
            f"    tool chains  {chains}",
        ]
    return lines
