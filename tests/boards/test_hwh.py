"""The .hwh file says what PYNQ looks for: read here the way its parsers read it."""

from xml.etree import ElementTree

import pytest

from boards.toolchains.hwh import ACCELERATOR, clock_divisors, hardware_handoff
from eftrain_hw import AcceleratorConfig
from eftrain_hw.csr.registers import REGISTERS
from eftrain_hw.interop.ps7 import ZYNQ_7000
from eftrain_hw.interop.ps8 import ZYNQ_ULTRASCALE

CONFIG = AcceleratorConfig.preset("pynq-z2")


def handoff(config, family, device):
    return ElementTree.fromstring(
        hardware_handoff(config, family, name="eftrain", device=device, size=4096)
    )


@pytest.fixture
def root():
    return handoff(CONFIG, ZYNQ_7000, "xc7z020clg400-1")


def module(root, name):
    (found,) = [each for each in root.iter("MODULE") if each.get("INSTANCE") == name]
    return found


def test_the_processing_system_is_found_with_its_clocks(root):
    (ps,) = [each for each in root.iter("MODULE") if each.get("MODTYPE") == "processing_system7"]
    assert ps.get("IS_PL") == "FALSE" and ps.get("FULLNAME") == "/processing_system7_0"
    assert ps.get("VLNV").split(":")[3].count(".") == 1
    parameters = {each.get("NAME"): each.get("VALUE") for each in ps.iter("PARAMETER")}
    for number in range(4):
        assert int(parameters[f"PCW_FPGA_FCLK{number}_ENABLE"]) == (number == 0)
    first, second = (int(parameters[f"PCW_FCLK0_PERIPHERAL_DIVISOR{k}"]) for k in (0, 1))
    assert 1_000_000_000 / first / second == CONFIG.clock_hz
    assert parameters["PCW_S_AXI_HP0_DATA_WIDTH"] == "64"


def test_the_registers_are_where_they_are(root):
    (span,) = list(root.iter("MEMRANGE"))
    assert span.get("INSTANCE") == ACCELERATOR and span.get("MEMTYPE") == "REGISTER"
    assert int(span.get("BASEVALUE"), 16) == 0x4000_0000
    assert int(span.get("HIGHVALUE"), 16) == 0x4000_0FFF
    accelerator = module(root, ACCELERATOR)
    buses = {each.get("NAME"): each for each in root.iter("BUSINTERFACE")}
    assert buses[span.get("MASTERBUSINTERFACE")].get("TYPE") == "MASTER"
    assert buses[span.get("SLAVEBUSINTERFACE")].get("TYPE") == "SLAVE"
    listed = {
        entry.get("NAME"): int(entry.find("PROPERTY[@NAME='ADDRESS_OFFSET']").get("VALUE"), 16)
        for entry in accelerator.iter("REGISTER")
    }
    assert listed == {register.name: register.address for register in REGISTERS}
    control = accelerator.find(".//REGISTER[@NAME='control']")
    irq = control.find(".//FIELD[@NAME='irq_enable']/PROPERTY[@NAME='BIT_OFFSET']")
    assert irq.get("VALUE") == "8"
    build = accelerator.find(".//PARAMETER[@NAME='BUILD_ID']").get("VALUE")
    assert build == f"{CONFIG.build_id:016x}"


def test_every_port_of_a_bus_is_a_port_and_nets_join_two(root):
    nets = {}
    for each in root.iter("MODULE"):
        ports = {port.get("NAME"): port for port in each.iter("PORT")}
        for link in each.iter("PORTMAP"):
            assert link.get("PHYSICAL") in ports
        for port in ports.values():
            nets.setdefault(port.get("SIGNAME"), []).append(port.get("DIR"))
    assert root.find("EXTERNALPORTS") is not None
    for net, directions in nets.items():
        assert sorted(directions) == ["I", "O"], net


@pytest.mark.parametrize(
    ("clock_hz", "reached"),
    [(125e6, 125e6), (100e6, 100e6), (130e6, 125e6), (142_857_143, 1e9 / 7), (1e6, 1e6)],
)
def test_divisors(clock_hz, reached):
    first, second, hz = clock_divisors(int(clock_hz), 1_000_000_000)
    assert 1 <= first <= 63 and 1 <= second <= 63
    assert hz == pytest.approx(1e9 / first / second) and hz == pytest.approx(reached)
    assert hz <= clock_hz


def test_a_clock_that_is_too_slow_is_refused():
    with pytest.raises(ValueError, match="clock_hz must be at least 251,953, not 1000"):
        clock_divisors(1000, 1_000_000_000)


def test_an_ultrascale_device():
    config = AcceleratorConfig.preset("zcu102")
    root = handoff(config, ZYNQ_ULTRASCALE, "xczu9eg-ffvb1156-2-e")
    (ps,) = [each for each in root.iter("MODULE") if each.get("MODTYPE") == "zynq_ultra_ps_e"]
    parameters = {each.get("NAME"): each.get("VALUE") for each in ps.iter("PARAMETER")}
    first, second = (int(parameters[f"PSU__CRL_APB__PL0_REF_CTRL__DIVISOR{k}"]) for k in (0, 1))
    assert 1_500_000_000 / first / second == config.clock_hz
    assert [parameters[f"PSU__FPGA_PL{k}_ENABLE"] for k in range(4)] == ["1", "0", "0", "0"]
    assert parameters["C_SAXIGP2_DATA_WIDTH"] == "64" and parameters["C_MAXIGP2_DATA_WIDTH"] == "32"
    (span,) = list(root.iter("MEMRANGE"))
    assert int(span.get("BASEVALUE"), 16) == 0x8000_0000
    assert span.get("MASTERBUSINTERFACE") == "M_AXI_HPM0_LPD"
