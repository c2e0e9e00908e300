"""The registers as CMSIS-SVD, which debuggers and generators of drivers read."""

from xml.etree import ElementTree

from .errors import ERRORS
from .registers import ADDRESS_BITS, REGISTERS, VERSION, capabilities

__all__ = ["svd_text"]

_ACCESS = {
    "constant": "read-only",
    "ro": "read-only",
    "rw": "read-write",
    "w1": "read-write",
    "w1c": "read-write",
}


def _add(parent, name, text=None):
    element = ElementTree.SubElement(parent, name)
    if text is not None:
        element.text = str(text)
    return element


def _field(parent, register, field):
    element = _add(parent, "field")
    _add(element, "name", field.name)
    _add(element, "description", field.doc)
    _add(element, "bitOffset", field.low)
    _add(element, "bitWidth", field.bits)
    _add(element, "access", _ACCESS[field.access])
    if field.access == "w1c":
        _add(element, "modifiedWriteValues", "oneToClear")
    if register.name == "error_code":
        values = _add(element, "enumeratedValues")
        for error in ERRORS:
            entry = _add(values, "enumeratedValue")
            _add(entry, "name", error.name)
            _add(entry, "description", error.meaning)
            _add(entry, "value", error.code)


def _register(parent, register, constants):
    element = _add(parent, "register")
    _add(element, "name", register.name)
    locked = " Writes are refused unless the core is idle." if register.locked else ""
    _add(element, "description", register.doc + locked)
    _add(element, "addressOffset", f"0x{register.address:03X}")
    _add(element, "size", 32)
    _add(element, "access", "read-write" if register.writable else "read-only")
    fixed = any(field.constant for field in register.fields)
    known = not fixed or register.name in constants
    value = constants.get(register.name, 0) if fixed else register.reset
    _add(element, "resetValue", f"0x{value:08X}")
    _add(element, "resetMask", "0xFFFFFFFF" if known else "0x00000000")
    fields = _add(element, "fields")
    for field in register.fields:
        _field(fields, register, field)


def svd_text(config=None, *, base=0):
    """A CMSIS-SVD description of one peripheral.

    Parameters
    ----------
    config : AcceleratorConfig or None
        Gives the constant registers their values; None leaves them open.
    base : int
        Bus address of the registers.
    """
    constants = {} if config is None else capabilities(config)
    device = ElementTree.Element(
        "device",
        {
            "schemaVersion": "1.3",
            "xmlns:xs": "http://www.w3.org/2001/XMLSchema-instance",
            "xs:noNamespaceSchemaLocation": "CMSIS-SVD.xsd",
        },
    )
    version = f"{VERSION[0]}.{VERSION[1]}"
    _add(device, "name", "EFTRAIN")
    _add(device, "version", version)
    _add(device, "description", "CNN training accelerator")
    _add(device, "addressUnitBits", 8)
    _add(device, "width", 32)
    peripheral = _add(_add(device, "peripherals"), "peripheral")
    _add(peripheral, "name", "EFTRAIN")
    _add(peripheral, "version", version)
    _add(peripheral, "description", "Control and status of the accelerator")
    _add(peripheral, "baseAddress", f"0x{base:08X}")
    block = _add(peripheral, "addressBlock")
    _add(block, "offset", 0)
    _add(block, "size", f"0x{1 << ADDRESS_BITS:X}")
    _add(block, "usage", "registers")
    registers = _add(peripheral, "registers")
    for register in REGISTERS:
        _register(registers, register, constants)
    ElementTree.indent(device, " ")
    return ElementTree.tostring(device, encoding="unicode", xml_declaration=True) + "\n"
