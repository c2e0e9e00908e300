"""Tool chains: from a board's top to a bitstream, or as far as it goes without one."""

from importlib import import_module

__all__ = ["TOOLCHAINS", "find_toolchain"]

TOOLCHAINS = {
    "vivado": "vivado",
    "openxc7": "openxc7",
    "yosys": "yosys",
    "ecp5": "ecp5",
}
"""Module of each tool chain; it defines `TOOLCHAIN`, see `boards.toolchains.toolchain`."""


def find_toolchain(name):
    """The `Toolchain` of that name; ValueError lists the names."""
    if name not in TOOLCHAINS:
        raise ValueError(f"tool chain must be one of {', '.join(TOOLCHAINS)}, not {name!r}")
    return import_module(f"{__name__}.{TOOLCHAINS[name]}").TOOLCHAIN
