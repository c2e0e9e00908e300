"""Rewrites memories in Verilog so that Verilator simulates them fast; the behaviour stays.

Yosys writes one assignment for each write enable, and one line for each initial word. Verilator
makes a pending write of each assignment, every cycle: a bank of 16 bytes would cost 16 of them.
"""

import re

__all__ = ["simplify_memories"]

_WRITES = re.compile(
    r"^  always @\(posedge clk\) begin\n"
    r"((?:    if \(.*\)\n      \S+ ?\[.*\]\[\d+(?::\d+)?\] <= .*;\n){2,})"
    r"  end\n",
    re.M,
)
_WRITE = re.compile(
    r"    if \((?P<enable>.*)\)\n"
    r"      (?P<name>\S+) ?\[(?P<address>.*)\]\[(?P<bits>\d+(?::\d+)?)\] <= (?P<data>.*);\n"
)
_DECLARATION = re.compile(r"^  reg \[(\d+):0\] (\S+) ?\[\d+:0\];$", re.M)
_INITIAL = re.compile(
    r"^  initial begin\n"
    r"    (\S+) ?\[0\] = (\d+)'[hd]0+;\n"
    r"((?:    \1 ?\[\d+\] = \2'[hd]0+;\n)+)"
    r"  end\n",
    re.M,
)


def _zeros(match):
    """A loop for a block that clears every word."""
    name, width, rest = match[1], match[2], match[3]
    words = rest.count("\n") + 1
    label = "clear_" + re.sub(r"\W", "_", name)
    return (
        f"  initial begin : {label}\n    integer i;\n"
        f"    for (i = 0; i < {words}; i = i + 1) {name} [i] = {width}'h0;\n  end\n"
    )


def _one_write(match, widths):
    """One assignment of the whole word for a block with several enables of the same word."""
    writes = [m.groupdict() for m in _WRITE.finditer(match[1])]
    targets = {(write["name"], write["address"]) for write in writes}
    if len(targets) != 1 or writes[0]["name"] not in widths:
        return match[0]
    name, address = targets.pop()
    label = f"write_{match.start()}"
    lines = [f"  always @(posedge clk) begin : {label}", f"    reg [{widths[name]}:0] word;"]
    lines += ["    if (" + " | ".join(f"({write['enable']})" for write in writes) + ") begin"]
    lines += [f"      word = {name} [{address}];"]
    for write in writes:
        lines += [f"      if ({write['enable']}) word[{write['bits']}] = {write['data']};"]
    lines += [f"      {name} [{address}] <= word;", "    end", "  end", ""]
    return "\n".join(lines)


def simplify_memories(verilog):
    """The same Verilog with one write for each memory port and loops for initial zeros."""
    modules = re.split(r"^(?=module )", verilog, flags=re.M)
    for index, module in enumerate(modules):
        widths = {name: high for high, name in _DECLARATION.findall(module)}
        module = _INITIAL.sub(_zeros, module)
        modules[index] = _WRITES.sub(lambda match, w=widths: _one_write(match, w), module)
    return "".join(modules)
