"""Vivado's script in a Tcl interpreter that knows Vivado's commands by name, and its reports."""

import pytest

from boards.toolchains.vivado_scripts import overrides, parse_timing, parse_utilisation

# what the check asks of Vivado; everything else is noted and done nothing about
STUBS = """
set called {}
proc unknown {args} { lappend ::called [lindex $args 0]; return {} }
proc get_clocks {args} { return $::clocks }
proc get_timing_paths {args} {
    foreach kind {setup hold} { if {"-$kind" in $args} { return $::paths($kind) } }
}
proc get_property {name object} {
    if {$name eq "PERIOD"} { return 8.000 }
    return $::slacks($object)
}
"""


def check(tmp_path, monkeypatch, *, setup="0.1", hold="0.02", clocks="ps_clk", paths="one"):
    """The script's part between routing and bitstream: (error or None, what it wrote)."""
    tkinter = pytest.importorskip("tkinter", reason="its Tcl interpreter runs the script")
    monkeypatch.chdir(tmp_path)
    tcl = tkinter.Tcl()
    tcl.eval(STUBS)
    tcl.eval(f"set clocks {{{clocks}}}")
    for kind, slack in (("setup", setup), ("hold", hold)):
        tcl.eval(f"set paths({kind}) {{{kind if paths else ''}}}; set slacks({kind}) {slack}")
    script = overrides("eftrain")["script_before_bitstream"] + "\nwrite_bitstream eftrain.bit\n"
    try:
        tcl.eval(script)
    except tkinter.TclError as error:
        return str(error), (tmp_path / "timing.txt").read_text()
    assert "write_bitstream" in tcl.eval("set called").split()
    return None, (tmp_path / "timing.txt").read_text()


def test_a_build_that_meets_its_timing(tmp_path, monkeypatch):
    error, written = check(tmp_path, monkeypatch)
    assert error is None
    assert parse_timing(written) == {"period_ns": 8.0, "setup_ns": 0.1, "hold_ns": 0.02}


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"setup": "-0.001"}, "timing is not met: worst slack -0.001 ns"),
        ({"hold": "-0.2", "setup": "-0.1"}, "timing is not met: worst slack -0.2 ns"),
        ({"clocks": ""}, "the clock ps_clk is not constrained"),
        ({"paths": ""}, "no path has a setup requirement"),
    ],
)
def test_one_that_does_not(tmp_path, monkeypatch, about, message):
    error, written = check(tmp_path, monkeypatch, **about)
    assert message in error
    if "timing" in message:
        assert set(parse_timing(written)) == {"period_ns", "setup_ns", "hold_ns"}


def test_figures_that_are_missing_are_named():
    with pytest.raises(ValueError, match="no hold_ns"):
        parse_timing("period_ns 8.0\nsetup_ns 0.1\n")
    with pytest.raises(ValueError, match="no row Slice Registers or CLB Registers"):
        parse_utilisation("| Slice LUTs | 3 | 0 | 53200 | 0.1 |\n")


def test_utilisation_of_both_families():
    seven = "| Slice LUTs*   | 30 | 0 |\n| Slice Registers | 4 |\n| DSPs | 2 |\n"
    assert parse_utilisation(seven + "| Block RAM Tile | 1.5 |\n") == {
        "lut": 30, "ff": 4, "dsp": 2, "bram": 1.5,
    }  # fmt: skip
    large = "| CLB LUTs | 7 |\n| CLB Registers | 8 |\n| DSPs | 9 |\n| Block RAM Tile | 10 |\n"
    assert parse_utilisation(large) == {"lut": 7, "ff": 8, "dsp": 9, "bram": 10}
