# amaranth: UnusedElaboratable=no
"""What a Zynq's top accepts; what it does is sim/test_zynq.py."""

import re

import pytest

from boards.toolchains.toolchain import run
from boards.toolchains.xc7_synthesis import yosys_command
from eftrain_hw import AcceleratorConfig
from eftrain_hw.interop.processing_system import PsPorts
from eftrain_hw.interop.ps7 import ZYNQ_7000, Ps7
from eftrain_hw.interop.ps8 import ZYNQ_ULTRASCALE, Ps8
from eftrain_hw.interop.zynq import ZynqTop
from eftrain_hw.runtime.simulation import to_verilog

CONFIG = AcceleratorConfig.preset("pynq-z2")
LARGE = AcceleratorConfig.preset("zcu102")


@pytest.mark.parametrize(
    ("config", "family", "message"),
    [
        (CONFIG.replace(axi="axi4"), ZYNQ_7000, "axi must be 'axi3' on a Zynq-7000, not 'axi4'"),
        (CONFIG.replace(address_bits=36), ZYNQ_7000, "address_bits must be 32 on a Zynq-7000"),
        (CONFIG, ZYNQ_ULTRASCALE, "axi must be 'axi4' on a Zynq UltraScale+, not 'axi3'"),
    ],
)
def test_a_configuration_that_the_ps_cannot_serve(config, family, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ZynqTop(config, family=family)


@pytest.mark.parametrize("ps", ["PS7", Ps7(CONFIG.replace(ports=4)), Ps8(LARGE)])
def test_another_processing_system_is_refused(ps):
    message = r"ps must be a component with the PsPorts of a Zynq-7000, 2 memory ports and 32-bit"
    with pytest.raises(TypeError, match=message):
        ZynqTop(CONFIG, family=ZYNQ_7000, ps=ps)


def test_other_arguments_are_refused():
    with pytest.raises(TypeError, match="config must be an AcceleratorConfig, not 16"):
        ZynqTop(16, family=ZYNQ_7000)
    with pytest.raises(ValueError, match="memory ports of a Zynq-7000 must be 1, 2 or 4, not 3"):
        PsPorts(ZYNQ_7000, 3)


def pins_of(component, kind):
    text = to_verilog(component)
    return dict(re.findall(r"\.(\w+)\((.*)\)", text[text.index(f"{kind} {kind.lower()}") :])), text


@pytest.mark.parametrize("ports", [1, 2, 4])
def test_ps7_is_connected_port_by_port(ports):
    """Every AXI pin of the used ports, none of the unused ones; the clock goes to all of them."""
    pins, text = pins_of(Ps7(CONFIG.replace(ports=ports)), "PS7")
    used = {int(pin[6]) for pin in pins if pin.startswith("SAXIHP")}
    assert used == {1: {0}, 2: {0, 2}, 4: {0, 1, 2, 3}}[ports]
    for number in used:
        names = {pin[7:] for pin in pins if pin.startswith(f"SAXIHP{number}")}
        assert {"ACLK", "ARADDR", "AWADDR", "WDATA", "WID", "RDATA", "BRESP"} <= names
        assert pins[f"SAXIHP{number}AWID"] == pins[f"SAXIHP{number}WID"] == "6'h00"
        assert pins[f"SAXIHP{number}ACLK"] == pins["MAXIGP0ACLK"] == "clk"
    assert pins["IRQF2P"] == "{ 19'h00000, irq }"
    clock = re.search(r"BUFG \w+ \(\s*\.I\((.*) \[0\]\),\s*\.O\(clk\)", text)
    assert clock and clock[1].strip() == pins["FCLKCLK"].strip()


@pytest.mark.parametrize("ports", [1, 2, 4])
def test_ps8_is_connected_port_by_port(ports):
    pins, text = pins_of(Ps8(LARGE.replace(ports=ports)), "PS8")
    used = {int(pin[6]) - 2 for pin in pins if pin.startswith("SAXIGP")}
    assert used == {1: {3}, 2: {1, 3}, 4: {0, 1, 2, 3}}[ports]
    for number in used:
        port = f"SAXIGP{number + 2}"
        names = {pin[7:] for pin in pins if pin.startswith(port)}
        assert {"RCLK", "WCLK", "ARADDR", "AWADDR", "WDATA", "RDATA", "BRESP"} <= names
        assert pins[f"{port}WCLK"] == pins[f"{port}RCLK"] == pins["MAXIGP2ACLK"] == "clk"
        assert re.fullmatch(r"{ 13'h0000, memory\d__araddr }", pins[f"{port}ARADDR"])
        assert re.fullmatch(r"{ 64'h0{16}, memory\d__wdata }", pins[f"{port}WDATA"])
    assert pins["MAXIGP2RDATA"] == "{ 96'h000000000000000000000000, control__rdata }"
    assert pins["PLPSIRQ0"] == "{ 7'h00, irq }" and "BUFG_PS" in text


@pytest.mark.parametrize("component", [Ps7, Ps8])
def test_every_pin_is_one_of_the_primitive_and_as_wide(component, tmp_path):
    """By Yosys' declarations of the vendor's cells."""
    config = {Ps7: CONFIG, Ps8: LARGE}[component].replace(ports=4)
    (tmp_path / "ps.v").write_text(to_verilog(component(config)))
    command, models = yosys_command()
    library = [models, models.with_name("cells_xtra.v")]
    script = [
        *(f"read_verilog -lib {file.name}" for file in library),
        "read_verilog ps.v",
        "hierarchy -check -top top",
    ]
    for file in library:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    text = run([*command, "-p", "; ".join(script), "-l", "all.log"], tmp_path, "yosys.log")
    text += (tmp_path / "all.log").read_text()
    assert "Top module:" in text and "Resizing cell port" not in text
