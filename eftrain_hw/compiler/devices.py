"""FPGAs and boards: what they have."""

__all__ = ["BOARDS", "DEVICES", "device_of"]

DEVICES = {
    "xc7z020": {"lut": 53200, "ff": 106400, "dsp": 220, "bram": 140},
    "xczu9eg": {"lut": 274080, "ff": 548160, "dsp": 2520, "bram": 912},
}
"""LUTs, flip-flops, DSP slices, block RAMs of 36 Kbit."""

BOARDS = {"pynq-z2": "xc7z020", "zcu102": "xczu9eg"}
"""The FPGA of each board. An UltraScale+ slice counts as a 7-series one: estimates for it are of
the same netlist, not of one that uses what its DSP slices can do more."""


def device_of(board):
    """The FPGA of a board, or the FPGA itself.

    Raises
    ------
    ValueError
        Naming what there is.
    """
    device = BOARDS.get(board, board)
    if device not in DEVICES:
        known = ", ".join((*BOARDS, *DEVICES))
        raise ValueError(f"--board must be one of {known}, not {board!r}")
    return device
