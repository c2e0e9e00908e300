"""The resource report: counting, limits, and the longest paths of a netlist."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from boards.toolchains import logic_depth, xc7_cells

SCRIPTS = Path(__file__).parents[2] / "scripts"


def load(name):
    """A script as a module."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


report = load("report")
NETLIST = xc7_cells.Netlist(report.TOP)


def cell(kind, outputs, connections, **parameters):
    directions = {port: "output" if port in outputs else "input" for port in connections}
    return {
        "type": kind,
        "parameters": parameters,
        "port_directions": directions,
        "connections": {port: [bit] for port, bit in connections.items()},
    }


def flip_flop(d, q):
    return cell("FDRE", "Q", {"C": 1, "CE": "1", "R": "0", "D": d, "Q": q})


def lut(a, b, o):
    return cell("LUT2", "O", {"I0": a, "I1": b, "O": o})


def netlist(tmp_path, cells, names):
    nets = {name: {"bits": [bit], "hide_name": 0} for name, bit in names.items()}
    file = tmp_path / "netlist.json"
    file.write_text(json.dumps({"modules": {"top": {"cells": cells, "netnames": nets}}}))
    return file


def test_longest_path_goes_through_most_levels(tmp_path):
    cells = {
        "start": flip_flop(9, 2), "far": flip_flop(5, 6), "near": flip_flop(3, 7),
        "one": lut(2, 2, 3), "two": lut(3, 2, 4), "three": lut(4, 6, 5),
    }  # fmt: skip
    file = netlist(tmp_path, cells, {"a": 2, "b": 6, "c": 7})
    (path, *_) = logic_depth.longest_paths(file, "top")
    assert (path.levels, path.start, path.end) == (3.0, "a", "b")
    assert str(path) == " 3.00  a -> b"


def test_a_carry_is_shorter_than_a_lut(tmp_path):
    carry = {"CI": [], "CYINIT": ["0"], "S": [2, "0", "0", "0"], "DI": ["0"] * 4,
             "O": [3, 4, 5, 6], "CO": [7, 8, 9, 10]}  # fmt: skip
    ports = {port: "output" if port in ("O", "CO") else "input" for port in carry}
    cells = {
        "start": flip_flop(20, 2),
        "end": flip_flop(6, 21),
        "sum": {"type": "CARRY4", "parameters": {}, "port_directions": ports, "connections": carry},
    }
    (path, *_) = logic_depth.longest_paths(netlist(tmp_path, cells, {"a": 2, "b": 21}), "top")
    assert 0 < path.levels < 1


def test_a_loop_is_refused(tmp_path):
    cells = {"one": lut(2, 3, 4), "two": lut(4, 2, 3), "end": flip_flop(4, 5)}
    with pytest.raises(ValueError, match="combinational loop through"):
        logic_depth.longest_paths(netlist(tmp_path, cells, {"x": 3}), "top")


def test_an_unknown_cell_is_refused(tmp_path):
    file = netlist(tmp_path, {"odd": cell("MYSTERY", "O", {"O": 2})}, {})
    with pytest.raises(ValueError, match="unknown type 'MYSTERY': odd"):
        logic_depth.longest_paths(file, "top")
    with pytest.raises(ValueError, match="cells of unknown types: MYSTERY"):
        xc7_cells.count({"MYSTERY": 1})


def test_resources_count_luts_of_every_use():
    found = xc7_cells.count({"LUT6": 3, "RAM64M": 2, "SRL16E": 5, "FDRE": 7, "RAMB18E1": 1})
    assert found["LUT"] == 3 + 8 + 5 and found["LUT RAM"] == 8 and found["SRL"] == 5
    assert found["FF"] == 7 and found["BRAM36"] == 0.5 and found["DSP48E1"] == 0


def test_parts_are_found_by_their_names():
    alone = xc7_cells.Netlist("eftrain_accelerator")
    assert alone.part_of("\\eftrain_accelerator.core.loader") == "loader"
    assert alone.part_of("\\eftrain_accelerator.core.vector_writer2") == "run writers"
    assert alone.part_of("\\eftrain_accelerator") == xc7_cells.GLUE


def test_too_little_is_said():
    device = report.DEVICES["xc7z020"]
    fits = {"LUT": 39_900, "FF": 1, "DSP48E1": 220, "BRAM36": 126}
    assert report.exceeded(fits, device, report.DEFAULT_LIMITS) == []
    (sentence,) = report.exceeded(fits | {"LUT": 39_901}, device, report.DEFAULT_LIMITS)
    assert sentence == "LUT: 39,901 are needed, 75% of 53,200 are 39,900"


def test_every_part_of_the_accelerator_is_known():
    """Nothing but connections lies between the parts that the report lists."""
    from eftrain_hw.runtime.simulation import accelerator_verilog
    from sim.models.step_bench import CONFIGS

    text = accelerator_verilog(CONFIGS["4x4"], report.TOP)
    names = {line.split()[1].lstrip("\\") for line in text.splitlines() if line[:7] == "module "}
    below = {name for name in names if name.count(".") == 1 or name.startswith(f"{report.TOP}.core")
             and name.count(".") == 2}  # fmt: skip
    glue = {name for name in below if NETLIST.part_of(name) == xc7_cells.GLUE}
    assert glue <= {f"{report.TOP}.core", f"{report.TOP}.core.banks"}, glue
