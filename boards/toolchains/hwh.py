"""The hardware handoff file that PYNQ reads beside a bitstream of a Zynq-7000."""

from xml.etree import ElementTree

from eftrain_hw.csr.registers import REGISTERS, VERSION

__all__ = ["ACCELERATOR", "fclk_divisors", "hardware_handoff"]

ACCELERATOR = "eftrain_0"
"""Name of the accelerator in `pynq.Overlay.ip_dict`."""
_PROCESSOR = "processing_system7_0"
_IO_PLL_HZ = 1_000_000_000  # PYNQ's boot loader sets it so on every Zynq-7000 board
_DIVISOR = 63  # largest of each of the two
_ACCESS = {
    "constant": "read-only", "ro": "read-only", "rw": "read-write", "w1": "write-only",
    "w1c": "read-write",
}  # fmt: skip
# logical name: (bits, whether the master drives it)
_CONTROL = {
    "AWADDR": (32, 1), "AWVALID": (1, 1), "AWREADY": (1, 0), "WDATA": (32, 1), "WSTRB": (4, 1),
    "WVALID": (1, 1), "WREADY": (1, 0), "BRESP": (2, 0), "BVALID": (1, 0), "BREADY": (1, 1),
    "ARADDR": (32, 1), "ARVALID": (1, 1), "ARREADY": (1, 0), "RDATA": (32, 0), "RRESP": (2, 0),
    "RVALID": (1, 0), "RREADY": (1, 1),
}  # fmt: skip


def fclk_divisors(clock_hz):
    """Both divisors of FCLK0 and the frequency that they make of the IO PLL's 1 GHz.

    The frequency is the highest one that is not above `clock_hz`.

    Raises
    ------
    ValueError
        The divisors do not go so far down.
    """
    for total in range(-(-_IO_PLL_HZ // clock_hz), _DIVISOR**2 + 1):
        for second in range(1, _DIVISOR + 1):
            if total % second == 0 and total // second <= _DIVISOR:
                return total // second, second, _IO_PLL_HZ / total
    raise ValueError(f"clock_hz must be at least {_IO_PLL_HZ / _DIVISOR**2:,.0f}, not {clock_hz}")


def hardware_handoff(config, *, name, device, base, size, interrupt="IRQ_F2P"):
    """Text of a .hwh file: the processing system, its clock, and the accelerator's registers.

    Parameters
    ----------
    config : AcceleratorConfig
    name, device : str
        Of the design, and the part number.
    base, size : int
        Where the control registers are on M_AXI_GP0, in bytes.
    interrupt : str
        The processing system's pin.

    Reference: pynq.pl_server.hwh_parser (PYNQ 2.7) and pynqmetadata (PYNQ 3), which are what
    reads it: modules, their parameters, buses, memory ranges, registers, and nets by name.
    """
    first, second, hz = fclk_divisors(config.clock_hz)
    root = _element(None, "EDKSYSTEM", EDWVERSION="1.2", VIVADOVERSION="", TIMESTAMP="")
    family = {"ARCH": "zynq", "DEVICE": device.split("clg")[0], "NAME": name}
    _element(root, "SYSTEMINFO", **family)
    _element(root, "EXTERNALPORTS")
    _element(root, "EXTERNALINTERFACES")
    modules = _element(root, "MODULES")
    parameters = {
        "PCW_FPGA_FCLK0_ENABLE": 1,
        "PCW_FCLK0_PERIPHERAL_CLKSRC": "IO PLL",
        "PCW_FCLK0_PERIPHERAL_DIVISOR0": first,
        "PCW_FCLK0_PERIPHERAL_DIVISOR1": second,
        "PCW_FPGA0_PERIPHERAL_FREQMHZ": hz / 1e6,
        "PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ": hz / 1e6,
        "PCW_USE_M_AXI_GP0": 1,
        "PCW_USE_FABRIC_INTERRUPT": 1,
        "PCW_IRQ_F2P_INTR": 1,
    }
    for number in (1, 2, 3):
        parameters |= {
            f"PCW_FPGA_FCLK{number}_ENABLE": 0,
            f"PCW_FCLK{number}_PERIPHERAL_CLKSRC": "IO PLL",
            f"PCW_FCLK{number}_PERIPHERAL_DIVISOR0": 1,
            f"PCW_FCLK{number}_PERIPHERAL_DIVISOR1": 1,
        }
    for number in range(4):
        parameters[f"PCW_S_AXI_HP{number}_DATA_WIDTH"] = 64
        parameters[f"C_S_AXI_HP{number}_DATA_WIDTH"] = 64
    processor = _module(
        modules, _PROCESSOR, "processing_system7", "xilinx.com:ip:processing_system7:5.5",
        parameters, pl=False,
    )  # fmt: skip
    ports = processor.find("PORTS")
    _port(ports, "FCLK_CLK0", "O", "fclk0", kind="clk")
    _port(ports, interrupt, "I", "eftrain_irq")
    _bus(processor, "M_AXI_GP0", "control", master=True)
    memory = _element(processor, "MEMORYMAP")
    _element(
        memory, "MEMRANGE", ADDRESSBLOCK="registers", BASENAME="C_BASEADDR",
        BASEVALUE=f"0x{base:08X}", HIGHNAME="C_HIGHADDR", HIGHVALUE=f"0x{base + size - 1:08X}",
        INSTANCE=ACCELERATOR, IS_DATA="TRUE", IS_INSTRUCTION="TRUE",
        MASTERBUSINTERFACE="M_AXI_GP0", MEMTYPE="REGISTER", SLAVEBUSINTERFACE="S_AXI",
    )  # fmt: skip

    accelerator = _module(
        modules, ACCELERATOR, "accelerator",
        f"eftrain_hw:eftrain:accelerator:{VERSION[0]}.{VERSION[1]}",
        {"BUILD_ID": f"{config.build_id:016x}", **config.to_dict()},
    )  # fmt: skip
    ports = accelerator.find("PORTS")
    _port(ports, "aclk", "I", "fclk0", kind="clk")
    _port(ports, "irq", "O", "eftrain_irq", kind="INTERRUPT")
    _bus(accelerator, "S_AXI", "control", master=False)
    _registers(accelerator, size)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _element(parent, tag, **attributes):
    values = {key: str(value) for key, value in attributes.items()}
    if parent is None:
        return ElementTree.Element(tag, values)
    return ElementTree.SubElement(parent, tag, values)


def _module(modules, name, kind, vlnv, parameters, *, pl=True):
    version = vlnv.rsplit(":", 1)[1]
    module = _element(
        modules, "MODULE", FULLNAME=f"/{name}", HWVERSION=version, INSTANCE=name,
        IPTYPE="PERIPHERAL" if pl else "PROCESSOR", IS_PL="TRUE" if pl else "FALSE",
        MODCLASS="PERIPHERAL" if pl else "PROCESSOR", MODTYPE=kind, VLNV=vlnv,
    )  # fmt: skip
    list_ = _element(module, "PARAMETERS")
    for key, value in parameters.items():
        _element(list_, "PARAMETER", NAME=key, VALUE=value)
    _element(module, "PORTS")
    _element(module, "BUSINTERFACES")
    return module


def _port(ports, name, direction, net, *, bits=1, kind="undef"):
    width = {"LEFT": bits - 1, "RIGHT": 0} if bits > 1 else {}
    _element(ports, "PORT", DIR=direction, NAME=name, SIGIS=kind, SIGNAME=net, **width)


def _bus(module, name, net, *, master):
    interfaces, ports = module.find("BUSINTERFACES"), module.find("PORTS")
    bus = _element(
        interfaces, "BUSINTERFACE", BUSNAME=f"{_PROCESSOR}_M_AXI_GP0", DATAWIDTH=32, NAME=name,
        TYPE="MASTER" if master else "SLAVE", VLNV="xilinx.com:interface:aximm:1.0",
    )  # fmt: skip
    maps = _element(bus, "PORTMAPS")
    for logical, (bits, from_master) in _CONTROL.items():
        physical = f"{name}_{logical}"
        direction = "O" if bool(from_master) == master else "I"
        _port(ports, physical, direction, f"{net}_{logical}", bits=bits)
        _element(maps, "PORTMAP", LOGICAL=logical, PHYSICAL=physical)


def _registers(module, size):
    blocks = _element(module, "ADDRESSBLOCKS")
    block = _element(
        blocks, "ADDRESSBLOCK", ACCESS="read-write", INTERFACE="S_AXI", NAME="registers",
        RANGE=size, USAGE="register",
    )  # fmt: skip
    list_ = _element(block, "REGISTERS")

    def properties(parent, **values):
        for key, value in values.items():
            _element(parent, "PROPERTY", NAME=key, VALUE=value)

    for register in REGISTERS:
        entry = _element(list_, "REGISTER", NAME=register.name)
        access = "read-write" if register.writable else "read-only"
        properties(
            entry, DESCRIPTION=register.doc, ADDRESS_OFFSET=f"0x{register.address:X}", SIZE=32,
            ACCESS=access, IS_ENABLED="true",
        )  # fmt: skip
        fields = _element(entry, "FIELDS")
        for field in register.fields:
            item = _element(fields, "FIELD", NAME=field.name)
            properties(
                item, DESCRIPTION=field.doc, BIT_OFFSET=field.low,
                BIT_WIDTH=field.mask.bit_count(), ACCESS=_ACCESS[field.access],
            )  # fmt: skip
