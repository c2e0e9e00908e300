"""IP-XACT (IEEE 1685-2009) of the accelerator, as Vivado's IP catalogue reads it."""

from xml.etree import ElementTree

from ..csr.registers import ADDRESS_BITS, REGISTERS, capabilities
from .top import CLOCK, INTERRUPT, RESET, TOP, top_ports

__all__ = ["SPIRIT", "VENDOR", "component_xml"]

SPIRIT = "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"
_XILINX = "http://www.xilinx.com"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
VENDOR = "eftrain.org"
_FAMILIES = ("zynq", "artix7", "kintex7", "zynquplus", "kintexu", "virtexuplus")
_ACCESS = {"constant": "read-only", "ro": "read-only"}


def _add(parent, tag, text=None, **attributes):
    attributes = {f"{{{SPIRIT}}}{key}": str(value) for key, value in attributes.items()}
    element = ElementTree.SubElement(parent, f"{{{SPIRIT}}}{tag}", attributes)
    if text is not None:
        element.text = str(text)
    return element


def _vlnv(parent, name, vendor, library, kind, version="1.0"):
    _add(parent, name, vendor=vendor, library=library, name=kind, version=version)


def _parameters(parent, values):
    parameters = _add(parent, "parameters")
    for name, value in values.items():
        parameter = _add(parameters, "parameter")
        _add(parameter, "name", name)
        _add(parameter, "value", value, id=f"BUSIFPARAM_VALUE.{_name_of(parent)}.{name}")


def _name_of(element):
    return element.find(f"{{{SPIRIT}}}name").text.upper()


def _interface(parent, name, library, kind, mode, ports, parameters, reference=None):
    """A bus interface; `ports`: physical names by logical ones."""
    interface = _add(parent, "busInterface")
    _add(interface, "name", name)
    _vlnv(interface, "busType", "xilinx.com", library, kind)
    _vlnv(interface, "abstractionType", "xilinx.com", library, f"{kind}_rtl")
    role = _add(interface, mode)
    if reference:
        _add(role, reference, **{reference: name})
    maps = _add(interface, "portMaps")
    for logical, physical in ports.items():
        port_map = _add(maps, "portMap")
        _add(_add(port_map, "logicalPort"), "name", logical)
        _add(_add(port_map, "physicalPort"), "name", physical)
    _parameters(interface, parameters)


def _interfaces(component, config, ports):
    interfaces = _add(component, "busInterfaces")
    buses = {}
    for port in ports:
        if port.bus:
            buses.setdefault(port.bus, {})[port.logical] = port.name
    masters = [name for name in buses if name != "s_axi"]
    _interface(interfaces, "s_axi", "interface", "aximm", "slave", buses["s_axi"],
               {"PROTOCOL": "AXI4LITE", "DATA_WIDTH": 32, "ADDR_WIDTH": ADDRESS_BITS},
               "memoryMapRef")  # fmt: skip
    for name in masters:
        parameters = {
            "PROTOCOL": config.axi.upper(),
            "DATA_WIDTH": 64,
            "ADDR_WIDTH": config.address_bits,
            "ID_WIDTH": 1,
            "MAX_BURST_LENGTH": config.max_burst_beats,
            "SUPPORTS_NARROW_BURST": 0,
        }
        _interface(interfaces, name, "interface", "aximm", "master", buses[name], parameters,
                   "addressSpaceRef")  # fmt: skip
    _interface(interfaces, CLOCK, "signal", "clock", "slave", {"CLK": CLOCK},
               {"ASSOCIATED_BUSIF": ":".join(["s_axi", *masters]),
                "ASSOCIATED_RESET": RESET})  # fmt: skip
    _interface(interfaces, RESET, "signal", "reset", "slave", {"RST": RESET},
               {"POLARITY": "ACTIVE_LOW"})  # fmt: skip
    _interface(interfaces, INTERRUPT, "signal", "interrupt", "master", {"INTERRUPT": INTERRUPT},
               {"SENSITIVITY": "LEVEL_HIGH"})  # fmt: skip
    spaces = _add(component, "addressSpaces")
    for name in masters:
        space = _add(spaces, "addressSpace")
        _add(space, "name", name)
        _add(space, "range", 1 << config.address_bits, format="long")
        _add(space, "width", 64, format="long")


def _memory_map(component, config):
    constants = capabilities(config)
    memory_map = _add(_add(component, "memoryMaps"), "memoryMap")
    _add(memory_map, "name", "s_axi")
    block = _add(memory_map, "addressBlock")
    _add(block, "name", "reg0")
    _add(block, "baseAddress", 0, format="long")
    _add(block, "range", 1 << ADDRESS_BITS, format="long")
    _add(block, "width", 32, format="long")
    _add(block, "usage", "register")
    _add(block, "access", "read-write")
    for register in REGISTERS:
        element = _add(block, "register")
        _add(element, "name", register.name)
        _add(element, "description", register.doc)
        _add(element, "addressOffset", f"0x{register.address:x}")
        _add(element, "size", 32, format="long")
        _add(element, "access", "read-write" if register.writable else "read-only")
        reset = _add(element, "reset")
        _add(reset, "value", f"0x{constants.get(register.name, register.reset):x}", format="long")
        for field in register.fields:
            part = _add(element, "field")
            _add(part, "name", field.name)
            _add(part, "description", field.doc)
            _add(part, "bitOffset", field.low)
            _add(part, "bitWidth", field.bits, format="long")
            _add(part, "access", _ACCESS.get(field.access, "read-write"))
            if field.access == "w1c":
                _add(part, "modifiedWriteValue", "oneToClear")


def _model(component, ports, files):
    model = _add(component, "model")
    views = _add(model, "views")
    for name, purpose in (("synthesis", "synthesis"), ("behavioralsimulation", "simulation")):
        view = _add(views, "view")
        _add(view, "name", f"xilinx_verilog{name}")
        _add(view, "envIdentifier", f"verilogSource:vivado.xilinx.com:{purpose}")
        _add(view, "language", "verilog")
        _add(view, "modelName", TOP)
        _add(_add(view, "fileSetRef"), "localName", "sources")
    elements = _add(model, "ports")
    for port in ports:
        element = _add(elements, "port")
        _add(element, "name", port.name)
        wire = _add(element, "wire")
        _add(wire, "direction", "out" if port.output else "in")
        if port.width > 1:
            vector = _add(wire, "vector")
            _add(vector, "left", port.width - 1, format="long")
            _add(vector, "right", 0, format="long")
        definition = _add(_add(wire, "wireTypeDefs"), "wireTypeDef")
        _add(definition, "typeName", "wire")
        for view in ("synthesis", "behavioralsimulation"):
            _add(definition, "viewNameRef", f"xilinx_verilog{view}")
    file_set = _add(_add(component, "fileSets"), "fileSet")
    _add(file_set, "name", "sources")
    for name in files:
        file = _add(file_set, "file")
        _add(file, "name", name)
        _add(file, "fileType", "verilogSource")


def component_xml(config, files, *, version):
    """The text of component.xml.

    Parameters
    ----------
    config : AcceleratorConfig
    files : list of str
        Verilog files, relative to component.xml.
    version : str
        "major.minor".
    """
    for prefix, uri in (("spirit", SPIRIT), ("xilinx", _XILINX), ("xsi", _XSI)):
        ElementTree.register_namespace(prefix, uri)
    component = ElementTree.Element(f"{{{SPIRIT}}}component")
    for name, text in (
        ("vendor", VENDOR), ("library", "ip"), ("name", TOP), ("version", version)
    ):  # fmt: skip
        _add(component, name, text)
    ports = top_ports(config)
    _interfaces(component, config, ports)
    _memory_map(component, config)
    _model(component, ports, files)
    _add(component, "description",
         f"CNN training accelerator, {config.rows}x{config.lanes} {config.format},"
         f" build id {config.build_id:016x}")  # fmt: skip
    parameters = _add(component, "parameters")
    parameter = _add(parameters, "parameter")
    _add(parameter, "name", "Component_Name")
    _add(parameter, "value", "eftrain_0", resolve="user", id="PARAM_VALUE.Component_Name",
         order=1)  # fmt: skip
    extensions = ElementTree.SubElement(
        _add(component, "vendorExtensions"), f"{{{_XILINX}}}coreExtensions"
    )
    families = ElementTree.SubElement(extensions, f"{{{_XILINX}}}supportedFamilies")
    for family in _FAMILIES:
        element = ElementTree.SubElement(
            families, f"{{{_XILINX}}}family", {f"{{{_XILINX}}}lifeCycle": "Beta"}
        )
        element.text = family
    taxonomies = ElementTree.SubElement(extensions, f"{{{_XILINX}}}taxonomies")
    ElementTree.SubElement(taxonomies, f"{{{_XILINX}}}taxonomy").text = "/UserIP"
    for name, text in (("displayName", "EF-Train accelerator"), ("coreRevision", "1")):
        ElementTree.SubElement(extensions, f"{{{_XILINX}}}{name}").text = text
    ElementTree.indent(component, "  ")
    return ElementTree.tostring(component, encoding="unicode", xml_declaration=True) + "\n"
