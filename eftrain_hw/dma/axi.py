"""AXI signatures, seen from the master: 64-bit memory ports and the AXI4-Lite control port."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Axi", "AxiLite", "AxiRead", "AxiWrite", "LEN_BITS", "connect_channels", "drop_accepted"]

LEN_BITS = {"axi4": 8, "axi3": 4}  # width of AWLEN and ARLEN

# what never changes: 8-byte incrementing bursts, normal bufferable memory, one ID
_ADDRESS_CONSTANTS = {"size": 3, "burst": 1, "cache": 0b0011}


def _check(address_bits, protocol):
    if not isinstance(address_bits, int) or isinstance(address_bits, bool):
        raise TypeError(f"AXI address width must be int, not {address_bits!r}")
    if not 1 <= address_bits <= 64:
        raise ValueError(f"AXI address width must be 1 to 64, not {address_bits!r}")
    if protocol not in LEN_BITS:
        raise ValueError(f"AXI protocol must be one of {tuple(LEN_BITS)}, not {protocol!r}")


def _address_channel(prefix, address_bits, protocol):
    widths = {
        "id": 1,
        "addr": address_bits,
        "len": LEN_BITS[protocol],
        "size": 3,
        "burst": 2,
        "lock": 2 if protocol == "axi3" else 1,
        "cache": 4,
        "prot": 3,
        "qos": 4,
        "valid": 1,
    }
    members = {
        prefix + name: Out(width, init=_ADDRESS_CONSTANTS.get(name, 0))
        for name, width in widths.items()
    }
    members[prefix + "ready"] = In(1)
    return members


class AxiRead(wiring.Signature):
    """The read channels (AR, R) of a 64-bit AXI4 or AXI3 master.

    The constants (`arsize`, `arburst`, `arcache`, ...) are the initial values of their signals: a
    master that leaves them alone asks for incrementing 8-byte beats of normal memory.

    Parameters
    ----------
    address_bits : int
    protocol : str
        "axi4" or "axi3" (`arlen` of 4 bits, `arlock` of 2).
    """

    def __init__(self, address_bits, protocol="axi4"):
        _check(address_bits, protocol)
        super().__init__(
            {
                **_address_channel("ar", address_bits, protocol),
                "rid": In(1),
                "rdata": In(64),
                "rresp": In(2),
                "rlast": In(1),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


class AxiWrite(wiring.Signature):
    """The write channels (AW, W, B) of a 64-bit AXI4 or AXI3 master; see `AxiRead`.

    AXI3 has `wid` as well.
    """

    def __init__(self, address_bits, protocol="axi4"):
        _check(address_bits, protocol)
        super().__init__(
            {
                **_address_channel("aw", address_bits, protocol),
                **({"wid": Out(1)} if protocol == "axi3" else {}),
                "wdata": Out(64),
                "wstrb": Out(8),
                "wlast": Out(1),
                "wvalid": Out(1),
                "wready": In(1),
                "bid": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
            }
        )


class Axi(wiring.Signature):
    """All five channels of a 64-bit AXI4 or AXI3 master, flat: a member `axi0` of a top-level
    component becomes the Verilog ports `axi0__awaddr`, `axi0__awvalid` and so on."""

    def __init__(self, address_bits, protocol="axi4"):
        super().__init__(
            {
                **AxiWrite(address_bits, protocol).members,
                **AxiRead(address_bits, protocol).members,
            }
        )


class AxiLite(wiring.Signature):
    """AXI4-Lite with 32-bit data, seen from the master; a slave's member is `In(AxiLite(bits))`.

    Parameters
    ----------
    address_bits : int
        Width of the byte addresses of the register space.
    """

    def __init__(self, address_bits):
        _check(address_bits, "axi4")
        super().__init__(
            {
                "awaddr": Out(address_bits),
                "awprot": Out(3),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(32),
                "wstrb": Out(4),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(address_bits),
                "arprot": Out(3),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(32),
                "rresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


def connect_channels(m, port, channels):
    """Drive the master port `port` from `channels`, a part of the master that has some of the
    same members (an `AxiRead` or `AxiWrite` interface of a submodule); call it once for each part.

    Parameters
    ----------
    m : amaranth.hdl.Module
    port : interface of `Axi`, a member of the enclosing component
    channels : interface of `AxiRead` or `AxiWrite`, a member of a submodule
    """
    for name, member in channels.signature.members.items():
        if member.flow == Out:
            m.d.comb += getattr(port, name).eq(getattr(channels, name))
        else:
            m.d.comb += getattr(channels, name).eq(getattr(port, name))


def drop_accepted(m, axil):
    """Lower the AXI4-Lite master's `awvalid` and `wvalid`, each once it has been accepted."""
    with m.If(axil.awready):
        m.d.sync += axil.awvalid.eq(0)
    with m.If(axil.wready):
        m.d.sync += axil.wvalid.eq(0)
