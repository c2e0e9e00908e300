"""The hardware handoff file that PYNQ reads beside a bitstream of a Zynq."""

from dataclasses import dataclass
from xml.etree import ElementTree

from eftrain_hw.csr.registers import REGISTERS, VERSION
from eftrain_hw.interop.ps7 import ZYNQ_7000
from eftrain_hw.interop.ps8 import ZYNQ_ULTRASCALE

__all__ = ["ACCELERATOR", "clock_divisors", "hardware_handoff"]

ACCELERATOR = "eftrain_0"
"""Name of the accelerator in `pynq.Overlay.ip_dict`."""
_DIVISOR = 63  # largest of each of the two
_ACCESS = {
    "constant": "read-only", "ro": "read-only", "rw": "read-write", "w1": "write-only",
    "w1c": "read-write",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Processor:
    """How the parsers know a processing system.

    `clock`, `source` and `enable` are names of parameters; what boot loaders set the PLL behind
    the logic's clocks to is `pll_hz`.
    """

    module: str
    vlnv: str
    arch: str
    pll: str
    pll_hz: int
    clock: str
    enable: str
    source: str
    net: str
    interrupt: str
    fixed: dict

    @property
    def name(self):
        return f"{self.module}_0"


_PROCESSORS = {
    ZYNQ_7000.name: _Processor(
        module="processing_system7",
        vlnv="xilinx.com:ip:processing_system7:5.5",
        arch="zynq",
        pll="IO PLL",
        pll_hz=1_000_000_000,
        clock="PCW_FCLK{}_PERIPHERAL_DIVISOR{}",
        enable="PCW_FPGA_FCLK{}_ENABLE",
        source="PCW_FCLK{}_PERIPHERAL_CLKSRC",
        net="FCLK_CLK0",
        interrupt="IRQ_F2P",
        fixed={"PCW_USE_M_AXI_GP0": 1, "PCW_USE_FABRIC_INTERRUPT": 1, "PCW_IRQ_F2P_INTR": 1}
        | {f"{prefix}_S_AXI_HP{k}_DATA_WIDTH": 64 for prefix in ("PCW", "C") for k in range(4)},
    ),
    ZYNQ_ULTRASCALE.name: _Processor(
        module="zynq_ultra_ps_e",
        vlnv="xilinx.com:ip:zynq_ultra_ps_e:3.4",
        arch="zynquplus",
        pll="IOPLL",
        pll_hz=1_500_000_000,
        clock="PSU__CRL_APB__PL{}_REF_CTRL__DIVISOR{}",
        enable="PSU__FPGA_PL{}_ENABLE",
        source="PSU__CRL_APB__PL{}_REF_CTRL__SRCSEL",
        net="pl_clk0",
        interrupt="pl_ps_irq0",
        fixed={"PSU__USE__M_AXI_GP2": 1, "C_MAXIGP2_DATA_WIDTH": 32}
        | {f"C_SAXIGP{k + 2}_DATA_WIDTH": 64 for k in range(4)},
    ),
}
# logical name: (bits, whether the master drives it)
_CONTROL = {
    "AWADDR": (32, 1), "AWVALID": (1, 1), "AWREADY": (1, 0), "WDATA": (32, 1), "WSTRB": (4, 1),
    "WVALID": (1, 1), "WREADY": (1, 0), "BRESP": (2, 0), "BVALID": (1, 0), "BREADY": (1, 1),
    "ARADDR": (32, 1), "ARVALID": (1, 1), "ARREADY": (1, 0), "RDATA": (32, 0), "RRESP": (2, 0),
    "RVALID": (1, 0), "RREADY": (1, 1),
}  # fmt: skip


def clock_divisors(clock_hz, pll_hz):
    """Both divisors of the logic's first clock, and the frequency that they make of the PLL's.

    The frequency is the highest one that is not above `clock_hz`.

    Raises
    ------
    ValueError
        The divisors do not go so far down.
    """
    for total in range(-(-pll_hz // clock_hz), _DIVISOR**2 + 1):
        for second in range(1, _DIVISOR + 1):
            if total % second == 0 and total // second <= _DIVISOR:
                return total // second, second, pll_hz / total
    raise ValueError(f"clock_hz must be at least {pll_hz / _DIVISOR**2:,.0f}, not {clock_hz}")


def hardware_handoff(config, family, *, name, device, size):
    """Text of a .hwh file: the processing system, its clock, and the accelerator's registers.

    Parameters
    ----------
    config : AcceleratorConfig
    family : PsFamily
    name, device : str
        Of the design, and the part number.
    size : int
        Bytes of the control registers.

    Reference: pynq.pl_server.hwh_parser (PYNQ 2.7) and pynqmetadata (PYNQ 3), which are what
    reads it: modules, their parameters, buses, memory ranges, registers, and nets by name.
    """
    known = _PROCESSORS[family.name]
    first, second, _ = clock_divisors(config.clock_hz, known.pll_hz)
    root = _element(None, "EDKSYSTEM", EDWVERSION="1.2", VIVADOVERSION="", TIMESTAMP="")
    _element(root, "SYSTEMINFO", ARCH=known.arch, DEVICE=device, NAME=name)
    _element(root, "EXTERNALPORTS")
    _element(root, "EXTERNALINTERFACES")
    modules = _element(root, "MODULES")
    parameters = dict(known.fixed)
    for number in range(4):
        divisors = (first, second) if number == 0 else (1, 1)
        parameters[known.enable.format(number)] = int(number == 0)
        parameters[known.source.format(number)] = known.pll
        for k in (0, 1):
            parameters[known.clock.format(number, k)] = divisors[k]
    processor = _module(modules, known.name, known.module, known.vlnv, parameters, pl=False)
    ports = processor.find("PORTS")
    _port(ports, known.net, "O", "clock", kind="clk")
    _port(ports, known.interrupt, "I", "eftrain_irq")
    _bus(processor, family.control, known.name, master=True)
    base = family.control_base
    _element(
        _element(processor, "MEMORYMAP"), "MEMRANGE", ADDRESSBLOCK="registers",
        BASENAME="C_BASEADDR", BASEVALUE=f"0x{base:08X}", HIGHNAME="C_HIGHADDR",
        HIGHVALUE=f"0x{base + size - 1:08X}", INSTANCE=ACCELERATOR, IS_DATA="TRUE",
        IS_INSTRUCTION="TRUE", MASTERBUSINTERFACE=family.control, MEMTYPE="REGISTER",
        SLAVEBUSINTERFACE="S_AXI",
    )  # fmt: skip

    accelerator = _module(
        modules, ACCELERATOR, "accelerator",
        f"eftrain_hw:eftrain:accelerator:{VERSION[0]}.{VERSION[1]}",
        {"BUILD_ID": f"{config.build_id:016x}", **config.to_dict()},
    )  # fmt: skip
    ports = accelerator.find("PORTS")
    _port(ports, "aclk", "I", "clock", kind="clk")
    _port(ports, "irq", "O", "eftrain_irq", kind="INTERRUPT")
    _bus(accelerator, "S_AXI", known.name, master=False)
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


def _bus(module, name, bus, *, master):
    interfaces, ports = module.find("BUSINTERFACES"), module.find("PORTS")
    interface = _element(
        interfaces, "BUSINTERFACE", BUSNAME=bus, DATAWIDTH=32, NAME=name,
        TYPE="MASTER" if master else "SLAVE", VLNV="xilinx.com:interface:aximm:1.0",
    )  # fmt: skip
    maps = _element(interface, "PORTMAPS")
    for logical, (bits, from_master) in _CONTROL.items():
        physical = f"{name}_{logical}"
        direction = "O" if bool(from_master) == master else "I"
        _port(ports, physical, direction, f"control_{logical}", bits=bits)
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
