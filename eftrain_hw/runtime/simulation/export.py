"""A folder with everything that another tool needs to take the accelerator in."""

import json
from pathlib import Path

from ...csr.generate import c_header, json_text, markdown, python_text
from ...csr.registers import VERSION
from ...csr.svd import svd_text
from ...interop.ipxact import component_xml
from ...interop.top import INNER, TOP, top_verilog
from .verilog import accelerator_verilog

__all__ = ["export_verilog"]


def export_verilog(config, folder, *, primitives="xilinx7"):
    """Write Verilog, the register map in every form, and an IP-XACT component.

    Parameters
    ----------
    config : AcceleratorConfig
    folder : path
        Made if it isn't there; files of the same names are replaced.
    primitives : str
        "xilinx7" or "portable".

    Returns
    -------
    list of pathlib.Path
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    source = f"{TOP}.v"
    texts = {
        source: top_verilog(config) + accelerator_verilog(config, INNER, primitives=primitives),
        "component.xml": component_xml(
            config, [source], version=f"{VERSION[0]}.{VERSION[1]}"
        ),
        "eftrain_registers.json": json_text(),
        "eftrain_registers.h": c_header(),
        "eftrain_registers.py": python_text(),
        "eftrain_registers.svd": svd_text(config),
        "eftrain_registers.md": markdown(),
        "config.json": json.dumps(config.to_dict(), indent=1) + "\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]
