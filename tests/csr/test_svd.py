"""The SVD says what the table says, in the order that the schema asks for."""

from xml.etree import ElementTree

import pytest

from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.csr.errors import ERRORS
from eftrain_hw.csr.generate import main
from eftrain_hw.csr.registers import ADDRESS_BITS, REGISTERS, capabilities
from eftrain_hw.csr.svd import svd_text

# of CMSIS-SVD 1.3, as far as they are used
ORDER = {
    "device": ["name", "version", "description", "addressUnitBits", "width", "peripherals"],
    "peripheral": ["name", "version", "description", "baseAddress", "addressBlock", "registers"],
    "addressBlock": ["offset", "size", "usage"],
    "register": ["name", "description", "addressOffset", "size", "access", "resetValue",
                 "resetMask", "fields"],
    "field": ["name", "description", "bitOffset", "bitWidth", "access", "modifiedWriteValues",
              "enumeratedValues"],
    "enumeratedValue": ["name", "description", "value"],
}  # fmt: skip
OPTIONAL = {"modifiedWriteValues", "enumeratedValues"}


@pytest.fixture(scope="module")
def device():
    return ElementTree.fromstring(svd_text(AcceleratorConfig(), base=0x4000_0000))


def test_elements_are_in_the_schemas_order(device):
    seen = set()
    for element in device.iter():
        if element.tag in ORDER:
            seen.add(element.tag)
            found = [child.tag for child in element]
            wanted = [tag for tag in ORDER[element.tag] if tag in found or tag not in OPTIONAL]
            assert found == wanted, element.findtext("name")
    assert seen == set(ORDER)


def test_registers_are_the_tables(device):
    (peripheral,) = device.find("peripherals")
    assert int(peripheral.findtext("baseAddress"), 0) == 0x4000_0000
    assert int(peripheral.find("addressBlock").findtext("size"), 0) == 1 << ADDRESS_BITS
    constants = capabilities(AcceleratorConfig())
    elements = peripheral.findall("registers/register")
    assert len(elements) == len(REGISTERS)
    for element, register in zip(elements, REGISTERS):
        assert element.findtext("name") == register.name
        assert int(element.findtext("addressOffset"), 0) == register.address
        reset = constants.get(register.name, register.reset)
        assert int(element.findtext("resetValue"), 0) == reset
        assert (element.findtext("access") == "read-write") == register.writable
        for part, field in zip(element.findall("fields/field"), register.fields, strict=True):
            assert part.findtext("name") == field.name
            assert int(part.findtext("bitOffset")) == field.low
            assert int(part.findtext("bitWidth")) == field.bits
            clears = part.findtext("modifiedWriteValues") == "oneToClear"
            assert clears == (field.access == "w1c")
    codes = {e.findtext("name"): int(e.findtext("value")) for e in device.iter("enumeratedValue")}
    assert codes == {error.name: error.code for error in ERRORS}


def test_without_a_configuration_constants_are_open():
    device = ElementTree.fromstring(svd_text())
    masks = {r.findtext("name"): r.findtext("resetMask") for r in device.iter("register")}
    assert masks["build_id_low"] == "0x00000000" and masks["scratch"] == "0xFFFFFFFF"


def test_is_written(tmp_path):
    main(["--out", str(tmp_path), "--markdown", str(tmp_path / "a.md")])
    assert (tmp_path / "eftrain_registers.svd").read_text() == svd_text()
