"""Longest combinational paths of a 7-series netlist that Yosys mapped, in LUT levels.

A crude estimate without placement: what a LUT and the wire behind it take is 1 (roughly 0.9 ns on
a Zynq-7020 of the slowest grade, so 8 ns hold about 8 levels), everything else in proportion.
"""

import argparse
import json
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["TimingPath", "longest_paths"]

LUT = 1.0
WIDE_MUX = 0.25  # MUXF7, MUXF8: no wire between
CARRY_ENTRY, CARRY_PASS, CARRY_EXIT = 0.5, 0.125, 0.25
RAM_OUT, RAM_OUT_REGISTERED, RAM_IN = 2.5, 0.75, 0.5  # block RAM
LUT_RAM_OUT = 1.0  # LUT RAM and shift registers, from the clock or from an address
DSP_MULTIPLY, DSP_ADD = 3.5, 2.0
PROCESSOR_OUT, PROCESSOR_IN = 1.5, 1.0  # AXI ports of a PS7
_CLOCKS = {"C", "CLK", "WCLK", "CLKARDCLK", "CLKBWRCLK", "REGCLKARDRCLK", "REGCLKB"}
_DSP_STAGES = {"A": "AREG", "B": "BREG", "D": "DREG", "C": "CREG"}


@dataclass(frozen=True)
class TimingPath:
    """A path between two registers: its length in LUT levels, and their names."""

    levels: float
    start: str
    end: str
    via: tuple = ()

    def __str__(self):
        return f"{self.levels:5.2f}  {self.start} -> {self.end}"

    def to_dict(self):
        """The fields as plain values."""
        return asdict(self)


class _Netlist:
    """Arcs, starts and ends of the paths of a flat netlist."""

    def __init__(self, module):
        self.into = {}  # bit: [(bit before, levels)]
        self.starts = {}  # bit: (levels, cell)
        self.ends = []  # (bit, levels, cell, port)
        self._module = module
        for name, cell in module["cells"].items():
            ports = {
                port: [bit for bit in bits if isinstance(bit, int)]
                for port, bits in cell["connections"].items()
                if port not in _CLOCKS
            }
            outputs = {p for p in ports if cell["port_directions"].get(p) == "output"}
            self._add(name, cell, ports, outputs)

    def _arcs(self, sources, sinks, levels):
        for sink in sinks:
            self.into.setdefault(sink, []).extend((bit, levels) for bit in sources)

    def _start(self, name, bits, levels=0.0):
        for bit in bits:
            self.starts[bit] = (levels, name)

    def _end(self, name, ports, names, levels=0.0):
        for port in names:
            self.ends.extend((bit, levels, name, port) for bit in ports[port])

    def _add(self, name, cell, ports, outputs):
        kind, parameters = cell["type"], cell["parameters"]
        inputs = set(ports) - outputs
        if re.fullmatch(r"LUT\d|INV|BUFG", kind):
            self._arcs([b for p in inputs for b in ports[p]], ports["O"], LUT)
        elif kind in ("MUXF7", "MUXF8"):
            self._arcs([b for p in inputs for b in ports[p]], ports["O"], WIDE_MUX)
        elif kind == "CARRY4":
            self._carry(cell["connections"])
        elif re.fullmatch(r"FD[RSCP]E", kind):
            self._start(name, ports["Q"])
            self._end(name, ports, inputs)
        elif kind.startswith(("SRL", "RAM32", "RAM64", "RAM128", "RAM256")):
            self._lut_ram(name, ports, inputs, outputs)
        elif kind.startswith("RAMB"):
            for port in outputs:
                side = "DOA_REG" if port.startswith("DOA") or port.startswith("DOPA") else "DOB_REG"
                registered = _integer(parameters.get(side, 0))
                self._start(name, ports[port], RAM_OUT_REGISTERED if registered else RAM_OUT)
            self._end(name, ports, inputs, RAM_IN)
        elif kind == "DSP48E1":
            self._dsp(name, ports, parameters)
        elif kind == "PS7":
            self._processor(name, ports, outputs)
        elif kind.startswith(("IBUF", "OBUF")):
            self._end(name, ports, inputs)
            self._start(name, [b for p in outputs for b in ports[p]])
        elif kind not in ("VCC", "GND", "$scopeinfo"):
            raise ValueError(f"netlist has a cell of unknown type {kind!r}: {name}")

    def _processor(self, name, ports, outputs):
        """Registered on both sides, but far from the logic and slow to it."""
        for port, bits in ports.items():
            if port in outputs:
                if port not in ("FCLKCLK", "FCLKRESETN"):
                    self._start(name, bits, PROCESSOR_OUT)
            elif not port.endswith("ACLK"):
                self._end(name, ports, [port], PROCESSOR_IN)

    def _carry(self, connections):
        """O[i], CO[i] depend on everything up to bit i."""
        entry = [[b for b in connections.get(p, []) if isinstance(b, int)] for p in ("CYINIT",)][0]
        carry = [b for b in connections.get("CI", []) if isinstance(b, int)]
        taken = list(entry)
        for i in range(4):
            taken += [
                connections[p][i] for p in ("S", "DI") if isinstance(connections[p][i], int)
            ]
            for port, passing in (("O", CARRY_EXIT), ("CO", CARRY_PASS)):
                bits = connections.get(port, [])
                out = [b for b in bits[i : i + 1] if isinstance(b, int)]
                self._arcs(taken, out, CARRY_ENTRY)
                self._arcs(carry, out, passing)

    def _lut_ram(self, name, ports, inputs, outputs):
        addresses = {p for p in inputs if re.fullmatch(r"A\d*|ADDR[A-H]|DPRA\d*", p)}
        for port in outputs:
            self._start(name, ports[port], LUT_RAM_OUT)
            own = addresses
            if re.fullmatch(r"DO[A-D]", port):
                own = addresses & {f"ADDR{port[-1]}"}
            elif port == "DPO":
                own = {p for p in addresses if p.startswith("DPRA")}
            elif port == "SPO":
                own = {p for p in addresses if not p.startswith("DPRA")}
            self._arcs([b for p in own for b in ports[p]], ports[port], LUT_RAM_OUT)
        self._end(name, ports, inputs)

    def _dsp(self, name, ports, parameters):
        """Inputs end in the first register on their way; without any they lead to P."""
        stage = {p: _integer(parameters.get(r, 1)) for p, r in _DSP_STAGES.items()}
        m, p = (_integer(parameters.get(r, 1)) for r in ("MREG", "PREG"))
        for port, bits in ports.items():
            if port in ("P", "PCOUT", "ACOUT", "BCOUT", "CARRYOUT", "OVERFLOW"):
                if port == "P":
                    self._start(name, bits, 0.0 if p else DSP_ADD if m else DSP_MULTIPLY)
                continue
            if port in ("PCIN", "ACIN", "BCIN"):
                continue  # dedicated wires between slices
            if stage.get(port, port not in ("OPMODE", "INMODE", "ALUMODE")):
                self._end(name, ports, [port])
            elif port == "C" or not re.fullmatch("[ABD]", port):
                self._end(name, ports, [port], DSP_ADD)
            elif m or p:
                self._end(name, ports, [port], DSP_MULTIPLY if m else DSP_MULTIPLY + DSP_ADD)
            else:
                self._arcs(bits, ports.get("P", []), DSP_MULTIPLY + DSP_ADD)

    def arrivals(self):
        """bit: (levels, bit before or None), in topological order."""
        found = {bit: (levels, None) for bit, (levels, _) in self.starts.items()}
        done, order = set(), []
        for root in self.into:  # depth first without recursion
            stack = [(root, iter(self.into.get(root, ())))] if root not in done else []
            open_ = {root}
            while stack:
                bit, arcs = stack[-1]
                for before, _ in arcs:
                    if before in open_:
                        raise ValueError(f"combinational loop through {self.name(before)}")
                    if before not in done and before in self.into:
                        open_.add(before)
                        stack.append((before, iter(self.into[before])))
                        break
                else:
                    stack.pop()
                    open_.discard(bit)
                    done.add(bit)
                    order.append(bit)
            done.add(root)
        for bit in order:
            best = found.get(bit, (0.0, None))
            for before, levels in self.into[bit]:
                arrival = found.get(before, (0.0, None))[0] + levels
                if arrival > best[0]:
                    best = (arrival, before)
            found[bit] = best
        return found

    def name(self, bit):
        """The most local public name of a bit."""
        if not hasattr(self, "_names"):
            self._names = {}
            for name, net in self._module["netnames"].items():
                rank = (not net.get("hide_name"), name.count("."), -len(name))
                for index, number in enumerate(net["bits"]):
                    if isinstance(number, int) and rank > self._names.get(number, ((False,),))[0]:
                        text = name if len(net["bits"]) == 1 else f"{name}[{index}]"
                        self._names[number] = (rank, text)
        return self._names[bit][1] if bit in self._names else f"net {bit}"


def _integer(value):
    return int(value, 2) if isinstance(value, str) else int(value)


def _end_name(netlist, cell, port):
    """A flip-flop by the name of what it stores, anything else by its own name."""
    values = netlist._module["cells"][cell]
    if values["type"].startswith("FD"):
        name = netlist.name(values["connections"]["Q"][0])
        return name if port == "D" else f"{name} ({port})"
    return f"{cell} ({port})"


def _bundle(name):
    """What all bits and enables of a register, and its copies with other numbers, share."""
    return re.sub(r"\d+", "#", re.sub(r"\[\d+\]| \(\w+\)", "", name))


def longest_paths(file, top, count=10):
    """The longest paths, each between two registers that no longer one leads out of or into.

    So the list shows different problems. A register is all its bits and enables, in all copies of
    an instance that differ in a number only.

    Parameters
    ----------
    file : path
        JSON netlist, flattened, mapped by synth_xilinx.
    top : str
    count : int

    Returns
    -------
    list of TimingPath, longest first

    Raises
    ------
    ValueError
        No such module, an unknown cell or a combinational loop.
    """
    modules = json.loads(Path(file).read_text())["modules"]
    if top not in modules:
        raise ValueError(f"netlist {file} must have a module {top!r}, not {sorted(modules)[:3]}")
    netlist = _Netlist(modules[top])
    arrivals = netlist.arrivals()
    ends = sorted(
        ((arrivals.get(bit, (0.0,))[0] + levels, bit, cell, port)
         for bit, levels, cell, port in netlist.ends),
        reverse=True,
    )  # fmt: skip
    paths, starts_seen, ends_seen = [], set(), set()
    for levels, bit, cell, port in ends:
        name = _end_name(netlist, cell, port)
        if _bundle(name) in ends_seen:
            continue
        via = [bit]
        while arrivals.get(via[-1], (0, None))[1] is not None:
            via.append(arrivals[via[-1]][1])
        start = netlist.name(via[-1])
        if _bundle(start) in starts_seen:
            continue
        starts_seen.add(_bundle(start))
        ends_seen.add(_bundle(name))
        paths.append(TimingPath(levels, start, name, tuple(map(netlist.name, via[-1:0:-1]))))
        if len(paths) == count:
            break
    return paths


def main():
    """Print the longest paths of a netlist."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("netlist", type=Path, help="JSON, such as build/pynq-z2/yosys/netlist.json")
    parser.add_argument("--top", default="eftrain_accelerator")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--via", action="store_true", help="show the nets on the way")
    arguments = parser.parse_args()
    for path in longest_paths(arguments.netlist, arguments.top, arguments.count):
        print(path)
        if arguments.via:
            print("\n".join(f"           {name}" for name in path.via))
    return 0


if __name__ == "__main__":
    sys.exit(main())
