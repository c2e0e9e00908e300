"""What a netlist of 7-series cells takes of an FPGA, by part of the accelerator."""

import json
import re
from dataclasses import dataclass

__all__ = [
    "GLUE",
    "Netlist",
    "PARTS",
    "by_amount",
    "by_column",
    "cells_of",
    "count",
    "table",
    "total",
]

# in data-flow order: module names below the accelerator
PARTS = {
    "csr, supervisor": (r"csr", r"supervisor"),
    "sequencer, dispatch": (r"core\.sequencer", r"core\.dispatch"),
    "memory reader": (r"reader",),
    "memory writer": (r"writer",),
    "loader": (r"core\.loader",),
    "moving buffer": (r"core\.moving",),
    "stationary buffer": (r"core\.stationary",),
    "compute engine": (r"core\.compute", r"core\.banks"),
    "drain": (r"core\.drain",),
    "vector unit": (r"core\.vector",),
    "run readers": (r"core\.\w+_reader\d*",),
    "run writers": (r"core\.\w+_writer\d*",),
}
GLUE = "between the parts"

# LUTs of a cell (UG953): LUT RAM and shift registers sit in LUTs too; BRAM in 36-Kbit blocks
_LUT_LOGIC = {f"LUT{n}": 1 for n in range(1, 7)} | {"INV": 1}
_LUT_RAM = {
    "RAM32X1S": 1, "RAM64X1S": 1, "RAM128X1S": 2, "RAM256X1S": 4,
    "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM32M": 4, "RAM64M": 4,
}  # fmt: skip
_LUT_SHIFT = {"SRL16E": 1, "SRLC16E": 1, "SRLC32E": 1}
_COLUMNS = {
    "LUT": _LUT_LOGIC | _LUT_RAM | _LUT_SHIFT,
    "LUT RAM": _LUT_RAM,
    "SRL": _LUT_SHIFT,
    "FF": dict.fromkeys(("FDRE", "FDSE", "FDCE", "FDPE"), 1),
    "DSP48E1": {"DSP48E1": 1},
    "BRAM36": {"RAMB36E1": 1, "RAMB18E1": 0.5},
}
_COLUMN_OF = {"lut": "LUT", "ff": "FF", "dsp": "DSP48E1", "bram": "BRAM36"}
_FREE = {
    "CARRY4", "MUXF7", "MUXF8", "BUFG", "VCC", "GND", "IBUF", "OBUF", "OBUFT", "PS7", "$scopeinfo",
}  # fmt: skip


def count(cells):
    """{column: amount} of {cell type: number}; ValueError names the cells that are not known."""
    unknown = set(cells) - set().union(*_COLUMNS.values()) - _FREE
    if unknown:
        raise ValueError(f"netlist has cells of unknown types: {', '.join(sorted(unknown))}")
    return {
        column: sum(weights.get(cell, 0) * number for cell, number in cells.items())
        for column, weights in _COLUMNS.items()
    }


def by_column(amounts):
    """{column: amount} of {"lut", "ff", "dsp", "bram": amount}."""
    return {column: amounts[name] for name, column in _COLUMN_OF.items()}


def by_amount(columns):
    """The inverse of `by_column`, of what a netlist needs."""
    return {name: columns[column] for name, column in _COLUMN_OF.items()}


def cells_of(stat):
    """{cell type: number} of a flat design, from the JSON text of Yosys' `stat -json`."""
    cells = json.loads(stat[stat.index("{") :])["design"]["num_cells_by_type"]
    return {cell.lstrip("\\"): number for cell, number in cells.items()}


def total(parts):
    """Amounts of all parts together."""
    return {column: sum(part[column] for part in parts.values()) for column in _COLUMNS}


@dataclass(frozen=True)
class Netlist:
    """Where the accelerator is in a hierarchy, and what stands around it.

    Members
    -------
    top : str
        Name of the top module.
    accelerator : str
        Path of the accelerator below it; empty where it is the top.
    around : dict
        {part: patterns of paths below the top}.
    """

    top: str
    accelerator: str = ""
    around: tuple = ()

    def part_of(self, module):
        """The part that a module, by its name in Verilog, is; GLUE for anything else."""
        path = module.lstrip("\\").removeprefix(f"{self.top}.")
        for part, patterns in self.around:
            if any(re.fullmatch(pattern, path) for pattern in patterns):
                return part
        if self.accelerator:
            if not path.startswith(f"{self.accelerator}."):
                return GLUE
            path = path.removeprefix(f"{self.accelerator}.")
        for part, patterns in PARTS.items():
            if any(re.fullmatch(pattern, path) for pattern in patterns):
                return part
        return GLUE

    def by_part(self, stat):
        """(Yosys version, amounts by part) from the JSON text of Yosys' `stat -json`."""
        report = json.loads(stat[stat.index("{") :])
        modules = {name.lstrip("\\"): values for name, values in report["modules"].items()}
        names = (*PARTS, *(part for part, _ in self.around), GLUE)
        found = {part: dict.fromkeys(_COLUMNS, 0) for part in names}
        for name, values in modules.items():
            cells = {cell.lstrip("\\"): n for cell, n in values["num_cells_by_type"].items()}
            own = count({cell: n for cell, n in cells.items() if cell not in modules})
            amounts = found[self.part_of(name)]
            for column, amount in own.items():
                amounts[column] += amount
        return report["creator"].split(" (")[0], found


def table(parts, device, name):
    """Lines of a table: the parts, the whole, and a device {column: amount} under its name."""
    width = max(map(len, (*parts, name))) + 2

    def row(name, values):
        cells = (
            f"{values[c]:>9,g}" + (f"{values[c] / device[c]:>7.1%}" if c in device else "")
            for c in _COLUMNS
        )
        return f"{name:{width}}" + "".join(cells)

    head = (f"{c:>9}" + (" " * 7 if c in device else "") for c in _COLUMNS)
    available = (f"{device[c]:>9,g}" + " " * 7 if c in device else " " * 9 for c in _COLUMNS)
    return [
        " " * width + "".join(head),
        *(row(part, values) for part, values in parts.items()),
        row("whole", total(parts)),
        f"{name:{width}}" + "".join(available),
    ]
