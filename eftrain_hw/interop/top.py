"""The accelerator's Verilog top with the names that block designs know: `aclk`, `s_axi_awaddr`.

The names are a promise: what instantiates the module stays valid from version to version.
"""

from dataclasses import dataclass

from amaranth.lib.wiring import Out

from ..csr.registers import ADDRESS_BITS
from ..dma.axi import Axi, AxiLite

__all__ = ["CLOCK", "INNER", "INTERRUPT", "RESET", "TOP", "Port", "top_ports", "top_verilog"]

TOP = "eftrain"
INNER = "eftrain_accelerator"
CLOCK, RESET, INTERRUPT = "aclk", "aresetn", "irq"


@dataclass(frozen=True)
class Port:
    """A port of the top module.

    Members
    -------
    name : str
    output : bool
    width : int
    bus : str or None
        The bus interface that it belongs to, such as "m_axi_0".
    logical : str or None
        Its name there, such as "AWADDR".
    inner : str or None
        The port of the accelerator behind it; None for the reset, which is inverted.
    """

    name: str
    output: bool
    width: int
    bus: str = None
    logical: str = None
    inner: str = None


def _bus(name, inner, signature, flipped):
    for member, description in signature.members.items():
        yield Port(
            f"{name}_{member}",
            (description.flow == Out) != flipped,
            description.shape,
            name,
            member.upper(),
            f"{inner}__{member}",
        )


def top_ports(config):
    """The ports of the top module of a configuration, in order.

    Parameters
    ----------
    config : AcceleratorConfig

    Returns
    -------
    list of Port
    """
    ports = [
        Port(CLOCK, False, 1, inner="clk"),
        Port(RESET, False, 1),
        *_bus("s_axi", "axil", AxiLite(ADDRESS_BITS), True),
    ]
    for k in range(config.ports):
        signature = Axi(config.address_bits, config.axi)
        ports += _bus(f"m_axi_{k}", f"axi{k}", signature, False)
    return [*ports, Port(INTERRUPT, True, 1, inner="irq")]


def top_verilog(config):
    """Verilog of the top module alone; it instantiates `eftrain_accelerator`.

    `aresetn` is synchronous to `aclk` and low for at least 4 cycles.
    """
    ports = top_ports(config)
    declarations = [
        f"  {'output' if port.output else 'input '} wire"
        f" {f'[{port.width - 1}:0] ' if port.width > 1 else ''}{port.name}"
        for port in ports
    ]
    connections = [f"    .{port.inner}({port.name})" for port in ports if port.inner]
    lines = [
        f"module {TOP} (",
        ",\n".join(declarations),
        ");",
        "  reg reset = 1'b1;",
        f"  always @(posedge {CLOCK}) reset <= ~{RESET};",
        f"  {INNER} accelerator (",
        ",\n".join([*connections, "    .rst(reset)"]),
        "  );",
        "endmodule",
        "",
    ]
    return "\n".join(lines)
