# amaranth: UnusedElaboratable=no
"""What a Zynq's top accepts; what it does is sim/test_zynq.py."""

import re

import pytest

from eftrain_hw import AcceleratorConfig
from eftrain_hw.interop.ps7 import HP_PORTS, Ps7, PsPorts
from eftrain_hw.interop.zynq import ZynqTop
from eftrain_hw.runtime.simulation import to_verilog

CONFIG = AcceleratorConfig.preset("pynq-z2")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"axi": "axi4"}, "AcceleratorConfig.axi must be 'axi3' on a Zynq-7000, not 'axi4'"),
        ({"address_bits": 36}, "AcceleratorConfig.address_bits must be 32 on a Zynq-7000, not 36"),
    ],
)
def test_a_configuration_that_the_ps_cannot_serve(change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ZynqTop(CONFIG.replace(**change))


def test_other_arguments_are_refused():
    with pytest.raises(TypeError, match="config must be an AcceleratorConfig, not 16"):
        ZynqTop(16)
    with pytest.raises(TypeError, match=r"ps must be a component with PsPorts\(2\), not"):
        ZynqTop(CONFIG, ps=Ps7(4, clock_hz=CONFIG.clock_hz))
    with pytest.raises(TypeError, match=r"ps must be a component with PsPorts\(2\), not 'PS7'"):
        ZynqTop(CONFIG, ps="PS7")
    with pytest.raises(ValueError, match="memory ports of a Zynq-7000 must be 1, 2 or 4, not 3"):
        PsPorts(3)


@pytest.mark.parametrize("ports", HP_PORTS)
def test_the_primitive_is_connected_port_by_port(ports):
    """Every AXI pin of the used ports, none of the unused ones; the clock goes to all of them."""
    text = to_verilog(Ps7(ports, clock_hz=125_000_000))
    pins = dict(re.findall(r"\.(\w+)\((.*)\)", text[text.index("PS7 ps7") :]))
    used = {int(pin[6]) for pin in pins if pin.startswith("SAXIHP")}
    assert used == set(HP_PORTS[ports])
    for number in used:
        names = {pin[7:] for pin in pins if pin.startswith(f"SAXIHP{number}")}
        assert {"ACLK", "ARADDR", "AWADDR", "WDATA", "WID", "RDATA", "BRESP"} <= names
        assert pins[f"SAXIHP{number}AWID"] == pins[f"SAXIHP{number}WID"] == "6'h00"
        assert pins[f"SAXIHP{number}ACLK"] == pins["MAXIGP0ACLK"] == "clk"
    assert pins["IRQF2P"] == "{ 19'h00000, irq }"
    clock = re.search(r"BUFG \w+ \(\s*\.I\((.*) \[0\]\),\s*\.O\(clk\)", text)
    assert clock and clock[1].strip() == pins["FCLKCLK"].strip()
