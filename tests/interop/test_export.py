"""`eftrain verilog -o DIR`: the top module, IP-XACT for block designs, the register map."""

import json
import subprocess
from xml.etree import ElementTree

import pytest

from eftrain_hw.cli import main
from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.csr.registers import ADDRESS_BITS, REGISTERS
from eftrain_hw.interop.ipxact import SPIRIT, component_xml
from eftrain_hw.interop.top import top_ports
from eftrain_hw.runtime.simulation import TopPorts
from eftrain_hw.runtime.simulation.build import verilator_environment

NAMESPACE = {"s": SPIRIT}
AXI4 = AcceleratorConfig(rows=4, lanes=4)
AXI3 = AXI4.replace(ports=1, axi="axi3", address_bits=36)
# children of an element in the order of IEEE 1685-2009, as far as they are used
ORDER = {
    "component": ["vendor", "library", "name", "version", "busInterfaces", "addressSpaces",
                  "memoryMaps", "model", "fileSets", "description", "parameters",
                  "vendorExtensions"],
    "busInterface": ["name", "busType", "abstractionType", "role", "portMaps", "parameters"],
    "addressSpace": ["name", "range", "width"],
    "memoryMap": ["name", "addressBlock"],
    "addressBlock": ["name", "baseAddress", "range", "width", "usage", "access", "register"],
    "register": ["name", "description", "addressOffset", "size", "access", "reset", "field"],
    "field": ["name", "description", "bitOffset", "bitWidth", "access", "modifiedWriteValue"],
    "view": ["name", "envIdentifier", "language", "modelName", "fileSetRef"],
    "wire": ["direction", "vector", "wireTypeDefs"],
    "file": ["name", "fileType"],
    "parameter": ["name", "value"],
}  # fmt: skip
MASTER_AXI4 = (
    "AWID AWADDR AWLEN AWSIZE AWBURST AWLOCK AWCACHE AWPROT AWQOS AWVALID AWREADY WDATA WSTRB"
    " WLAST WVALID WREADY BID BRESP BVALID BREADY ARID ARADDR ARLEN ARSIZE ARBURST ARLOCK ARCACHE"
    " ARPROT ARQOS ARVALID ARREADY RID RDATA RRESP RLAST RVALID RREADY"
).split()
LITE = (
    "AWADDR AWPROT AWVALID AWREADY WDATA WSTRB WVALID WREADY BRESP BVALID BREADY ARADDR ARPROT"
    " ARVALID ARREADY RDATA RRESP RVALID RREADY"
).split()


def plain(tag):
    return tag.split("}")[1]


def parsed(config):
    return ElementTree.fromstring(component_xml(config, ["eftrain.v"], version="1.0"))


def interfaces(component):
    found = {}
    for bus in component.iterfind("s:busInterfaces/s:busInterface", NAMESPACE):
        maps = {
            entry.findtext("s:logicalPort/s:name", None, NAMESPACE): entry.findtext(
                "s:physicalPort/s:name", None, NAMESPACE
            )
            for entry in bus.iterfind("s:portMaps/s:portMap", NAMESPACE)
        }
        parameters = {
            entry.findtext("s:name", None, NAMESPACE): entry.findtext("s:value", None, NAMESPACE)
            for entry in bus.iterfind("s:parameters/s:parameter", NAMESPACE)
        }
        kind = bus.find("s:busType", NAMESPACE).get(f"{{{SPIRIT}}}name")
        role = next(plain(e.tag) for e in bus if plain(e.tag) in ("master", "slave"))
        found[bus.findtext("s:name", None, NAMESPACE)] = (kind, role, maps, parameters)
    return found


@pytest.mark.parametrize("config", [AXI4, AXI3])
def test_elements_are_in_the_standards_order(config):
    seen = set()
    for element in parsed(config).iter():
        tag = plain(element.tag)
        if tag not in ORDER or not element.tag.startswith(f"{{{SPIRIT}}}"):
            continue
        seen.add(tag)
        names = ["role" if plain(c.tag) in ("master", "slave") else plain(c.tag) for c in element]
        places = [ORDER[tag].index(name) for name in names]
        assert places == sorted(places), (tag, names)
    assert seen == set(ORDER)


@pytest.mark.parametrize("config", [AXI4, AXI3])
def test_interfaces(config):
    buses = interfaces(parsed(config))
    masters = [f"m_axi_{k}" for k in range(config.ports)]
    assert list(buses) == ["s_axi", *masters, "aclk", "aresetn", "irq"]
    kind, role, maps, parameters = buses["s_axi"]
    assert (kind, role, parameters["PROTOCOL"]) == ("aximm", "slave", "AXI4LITE")
    assert sorted(maps) == sorted(LITE)
    for name in masters:
        kind, role, maps, parameters = buses[name]
        wanted = MASTER_AXI4 + (["WID"] if config.axi == "axi3" else [])
        assert (kind, role, parameters["PROTOCOL"]) == ("aximm", "master", config.axi.upper())
        assert sorted(maps) == sorted(wanted)
        assert all(physical == f"{name}_{logical.lower()}" for logical, physical in maps.items())
    assert buses["aclk"][3] == {
        "ASSOCIATED_BUSIF": ":".join(["s_axi", *masters]), "ASSOCIATED_RESET": "aresetn"
    }  # fmt: skip
    assert buses["aresetn"][3] == {"POLARITY": "ACTIVE_LOW"}
    assert buses["irq"][:2] == ("interrupt", "master")
    assert buses["irq"][3] == {"SENSITIVITY": "LEVEL_HIGH"}


def test_references_and_memory_map():
    component = parsed(AXI4)
    memory_maps = [e.findtext("s:name", None, NAMESPACE) for e in
                   component.iterfind("s:memoryMaps/s:memoryMap", NAMESPACE)]  # fmt: skip
    spaces = [e.findtext("s:name", None, NAMESPACE) for e in
              component.iterfind("s:addressSpaces/s:addressSpace", NAMESPACE)]  # fmt: skip
    references = [e.get(e.tag) for e in component.iter() if plain(e.tag) == "memoryMapRef"]
    assert references == memory_maps == ["s_axi"]
    references = [e.get(e.tag) for e in component.iter() if plain(e.tag) == "addressSpaceRef"]
    assert references == spaces == ["m_axi_0", "m_axi_1"]
    block = component.find("s:memoryMaps/s:memoryMap/s:addressBlock", NAMESPACE)
    assert int(block.findtext("s:range", None, NAMESPACE)) == 1 << ADDRESS_BITS
    offsets = [
        (r.findtext("s:name", None, NAMESPACE),
         int(r.findtext("s:addressOffset", None, NAMESPACE), 0))
        for r in block.iterfind("s:register", NAMESPACE)
    ]  # fmt: skip
    assert offsets == [(register.name, register.address) for register in REGISTERS]
    assert component.findtext("s:name", None, NAMESPACE) == "eftrain"


@pytest.mark.rtl
def test_files_fit_together(tmp_path, capsys):
    config = AXI3
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    out = tmp_path / "made" / "out"
    command = ["verilog", "--preset", str(tmp_path / "config.json"), "-o", str(out)]
    assert main([*command, "--primitives", "portable"]) == 0
    written = {path.name for path in out.iterdir()}
    assert written == {"eftrain.v", "component.xml", "config.json"} | {
        f"eftrain_registers.{kind}" for kind in ("json", "h", "py", "svd", "md")
    }
    assert capsys.readouterr().out.count("\n") == len(written)
    assert AcceleratorConfig.load(out / "config.json") == config
    verilog = (out / "eftrain.v").read_text()
    inner = TopPorts.parse(verilog, "eftrain_accelerator")
    outer = top_ports(config)
    connected = {port.inner: port for port in outer if port.inner}
    assert set(connected) == set(inner.widths) - {"rst"}, "a port is not connected"
    for name, port in connected.items():
        assert inner.widths[name] == port.width and (name in inner.inputs) != port.output, name
    component = ElementTree.fromstring((out / "component.xml").read_text())
    ports = {}
    for element in component.iterfind("s:model/s:ports/s:port", NAMESPACE):
        left = element.findtext("s:wire/s:vector/s:left", "0", NAMESPACE)
        direction = element.findtext("s:wire/s:direction", None, NAMESPACE)
        ports[element.findtext("s:name", None, NAMESPACE)] = (direction, int(left) + 1)
    assert ports == {p.name: ("out" if p.output else "in", p.width) for p in outer}
    files = [e.text for e in component.iterfind("s:fileSets/s:fileSet/s:file/s:name", NAMESPACE)]
    assert files == ["eftrain.v"]
    lint = ["verilator", "--lint-only", "--top-module", "eftrain", "-Wno-lint", "-Wno-style"]
    lint += ["-Werror-PINMISSING", "-Werror-PINNOTFOUND", "-Werror-WIDTH", "-Wwarn-PINMISSING"]
    done = subprocess.run(
        [*lint, "eftrain.v"], cwd=out, env=verilator_environment(), capture_output=True,
        text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def test_port_names_are_a_promise():
    """A change here breaks every design that instantiates the module."""
    names = [port.name for port in top_ports(AXI4.replace(ports=1))]
    assert names == [
        "aclk", "aresetn", *(f"s_axi_{name.lower()}" for name in (
            "AWADDR AWPROT AWVALID AWREADY WDATA WSTRB WVALID WREADY BRESP BVALID BREADY ARADDR"
            " ARPROT ARVALID ARREADY RDATA RRESP RVALID RREADY").split()),
        *(f"m_axi_0_{name.lower()}" for name in (
            "AWID AWADDR AWLEN AWSIZE AWBURST AWLOCK AWCACHE AWPROT AWQOS AWVALID AWREADY WDATA"
            " WSTRB WLAST WVALID WREADY BID BRESP BVALID BREADY ARID ARADDR ARLEN ARSIZE ARBURST"
            " ARLOCK ARCACHE ARPROT ARQOS ARVALID ARREADY RID RDATA RRESP RLAST RVALID"
            " RREADY").split()),
        "irq",
    ]  # fmt: skip


def test_one_target(capsys):
    with pytest.raises(SystemExit):
        main(["verilog", "-o", "a", "--output", "b"])
    assert "not allowed with argument" in capsys.readouterr().err


def test_folder_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["verilog", "--preset", "sim-small", "-o", str(tmp_path / "file")]) == 2
    assert "eftrain verilog: " in capsys.readouterr().err
