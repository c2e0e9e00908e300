"""What the processing systems of Zynq devices have in common, as the logic sees them."""

from dataclasses import dataclass

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..csr.registers import ADDRESS_BITS
from ..dma.axi import Axi
from .axi_control import AxiControl

__all__ = ["CONTROL_BITS", "PsFamily", "PsPorts"]

CONTROL_BITS = ADDRESS_BITS
"""Address bits of the control registers."""


@dataclass(frozen=True, kw_only=True)
class PsFamily:
    """A kind of processing system, and which of its ports a design uses.

    Members
    -------
    name : str
    protocol : str
        Of all ports: "axi3" or "axi4".
    address_bits : tuple
        Least and most that a configuration may have.
    control : str
        Name of the master port, as the vendor spells it.
    control_base, aperture_bits : int
        Its first address, where the control registers are, and the address bits that are not
        decoded before it.
    control_id_bits, control_address_bits : int
        Of that port.
    memory_ports : dict
        Numbers of the ports that are used, by the number of memory ports.
    """

    name: str
    protocol: str
    address_bits: tuple
    control: str
    control_base: int
    aperture_bits: int
    control_id_bits: int
    control_address_bits: int
    memory_ports: dict

    def check(self, config):
        """ValueError where the processing system has no such memory ports."""
        least, most = self.address_bits
        allowed = str(least) if least == most else f"{least} to {most}"
        for name, rule, holds in (
            ("axi", repr(self.protocol), config.axi == self.protocol),
            ("address_bits", allowed, least <= config.address_bits <= most),
        ):
            if not holds:
                raise ValueError(
                    f"AcceleratorConfig.{name} must be {rule} on a {self.name},"
                    f" not {getattr(config, name)!r}"
                )


class PsPorts(wiring.Signature):
    """What a processing system offers to the logic, seen from the processing system.

    Parameters
    ----------
    family : PsFamily
    ports : int
        Memory ports: 1, 2 or 4.
    address_bits : int
        Of the memory ports.
    clock : bool
        Whether the processing system makes the clock of all its ports; otherwise it is `sync`.

    Members
    -------
    clk : Out(1)
        With `clock`: on a global clock net.
    rst : Out(1)
        With `clock`: not synchronous to anything.
    control : Out(AxiControl)
    memory0, memory1, .. : In(Axi)
    irq : In(1)
        Level.
    """

    def __init__(self, family, ports, *, address_bits=32, clock=False):
        if ports not in family.memory_ports:
            raise ValueError(f"memory ports of a {family.name} must be 1, 2 or 4, not {ports!r}")
        control = AxiControl(
            id_bits=family.control_id_bits,
            address_bits=family.control_address_bits,
            protocol=family.protocol,
        )
        memory = Axi(address_bits, family.protocol)
        super().__init__(
            {
                **({"clk": Out(1), "rst": Out(1)} if clock else {}),
                "control": Out(control),
                **{f"memory{k}": In(memory) for k in range(ports)},
                "irq": In(1),
            }
        )
        self.family, self.ports = family, ports
        self.address_bits, self.clock = address_bits, clock
