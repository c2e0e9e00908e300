"""The accelerator's registers behind a Wishbone bus."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..csr.registers import ADDRESS_BITS
from ..dma.axi import AxiLite, drop_accepted
from .soc_library import require_amaranth_soc

__all__ = ["Wishbone", "WishboneToAxiLite"]


class Wishbone(wiring.Signature):
    """A classic Wishbone B4 bus of 32 bits with byte selects and ERR, seen from the initiator; the
    names are those of amaranth-soc, so that `connect` joins the two.

    Parameters
    ----------
    addr_width : int
        Of word addresses.
    """

    def __init__(self, addr_width):
        if not isinstance(addr_width, int) or isinstance(addr_width, bool):
            raise TypeError(f"Wishbone address width must be int, not {addr_width!r}")
        if not 1 <= addr_width <= 62:
            raise ValueError(f"Wishbone address width must be 1 to 62, not {addr_width!r}")
        super().__init__(
            {
                "adr": Out(addr_width),
                "dat_w": Out(32),
                "dat_r": In(32),
                "sel": Out(4),
                "cyc": Out(1),
                "stb": Out(1),
                "we": Out(1),
                "ack": In(1),
                "err": In(1),
            }
        )


class WishboneToAxiLite(wiring.Component):
    """A Wishbone target that is an AXI4-Lite master: one access at a time.

    SLVERR and DECERR end a cycle with ERR instead of ACK. A cycle that the initiator abandons is
    carried through on the other side, and answered by nothing.

    Latency and cost: 3 cycles more than the AXI4-Lite slave takes; 17 LUT, 86 FF (yosys).

    Parameters
    ----------
    address_bits : int
        Of the byte addresses on the AXI4-Lite side.
    amaranth_soc : bool
        Make `wb` an interface of amaranth-soc with a memory map, for its decoders and arbiters.

    Members
    -------
    wb : In(Wishbone(address_bits - 2))
    axil : Out(AxiLite(address_bits))

    Raises
    ------
    RuntimeError
        amaranth-soc is asked for and not installed.
    """

    def __init__(self, address_bits=ADDRESS_BITS, *, amaranth_soc=False):
        lite = AxiLite(address_bits)  # checks the width
        self._address_bits = address_bits
        bus = Wishbone(address_bits - 2)
        if amaranth_soc:
            library = require_amaranth_soc()
            bus = library.wishbone.Signature(
                addr_width=address_bits - 2, data_width=32, granularity=8, features={"err"}
            )
        super().__init__({"wb": In(bus), "axil": Out(lite)})
        if amaranth_soc:
            memory_map = library.memory.MemoryMap(addr_width=address_bits, data_width=8)
            memory_map.add_resource(self, name=("eftrain",), size=1 << address_bits)
            self.wb.memory_map = memory_map

    @property
    def address_bits(self):
        return self._address_bits

    def elaborate(self, platform):
        m = Module()
        wb, axil = self.wb, self.axil
        abandoned = Signal()
        strobed = wb.cyc & wb.stb

        def answer(response):
            m.d.sync += [
                wb.ack.eq((response == 0) & strobed & ~abandoned),
                wb.err.eq((response != 0) & strobed & ~abandoned),
            ]

        m.d.sync += [wb.ack.eq(0), wb.err.eq(0)]
        with m.FSM(name="access"):
            with m.State("AWAIT_STROBE"):
                m.d.sync += [
                    abandoned.eq(0),
                    axil.awaddr.eq(wb.adr << 2),
                    axil.araddr.eq(wb.adr << 2),
                    axil.wdata.eq(wb.dat_w),
                    axil.wstrb.eq(wb.sel),
                ]
                with m.If(strobed & wb.we):
                    m.d.sync += [axil.awvalid.eq(1), axil.wvalid.eq(1)]
                    m.next = "WRITE"
                with m.Elif(strobed):
                    m.d.sync += axil.arvalid.eq(1)
                    m.next = "READ"
            with m.State("WRITE"):
                drop_accepted(m, axil)
                m.d.comb += axil.bready.eq(1)
                with m.If(axil.bvalid):
                    answer(axil.bresp)
                    m.next = "END"
            with m.State("READ"):
                with m.If(axil.arready):
                    m.d.sync += axil.arvalid.eq(0)
                m.d.comb += axil.rready.eq(1)
                with m.If(axil.rvalid):
                    m.d.sync += wb.dat_r.eq(axil.rdata)
                    answer(axil.rresp)
                    m.next = "END"
            with m.State("END"):  # the initiator sees the answer; its strobe is of the past
                m.next = "AWAIT_STROBE"
        with m.If(~strobed):
            m.d.sync += abandoned.eq(1)
        return m
