"""A processor's AXI3 or AXI4 master at the AXI4-Lite control port."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..dma.axi import LEN_BITS, AxiLite, drop_accepted

__all__ = ["AxiControl", "AxiToLite"]

SLVERR, DECERR = 2, 3
_FIXED, _INCR, _WRAP = range(3)
_WORD = 2  # AxSIZE of the 32 data bits


class AxiControl(wiring.Signature):
    """A processor's AXI port with 32-bit data, seen from the master.

    Lock, cache, protection and quality of service are left out: registers know none of them. An
    exclusive access is answered OKAY, which says that it was not exclusive.

    Parameters
    ----------
    id_bits, address_bits : int
    protocol : str
        "axi4" or "axi3" (bursts of up to 256 or 16 beats).
    """

    def __init__(self, *, id_bits, address_bits=32, protocol="axi3"):
        if protocol not in LEN_BITS:
            raise ValueError(f"AXI protocol must be one of {tuple(LEN_BITS)}, not {protocol!r}")
        address = {
            "id": id_bits, "addr": address_bits, "len": LEN_BITS[protocol], "size": 3, "burst": 2,
            "valid": 1,
        }  # fmt: skip
        super().__init__(
            {
                **{f"{channel}{name}": Out(width)
                   for channel in ("aw", "ar") for name, width in address.items()},
                "awready": In(1),
                "arready": In(1),
                "wdata": Out(32),
                "wstrb": Out(4),
                "wlast": Out(1),
                "wvalid": Out(1),
                "wready": In(1),
                "bid": In(id_bits),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "rid": In(id_bits),
                "rdata": In(32),
                "rresp": In(2),
                "rlast": In(1),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )  # fmt: skip
        self.id_bits, self.address_bits, self.protocol = id_bits, address_bits, protocol


class AxiToLite(wiring.Component):
    """Serves one read burst and one write burst at a time, beat by beat, on an AXI4-Lite port.

        AW id=7 len=1 | W W | ...  ->  axil AW+W, B, AW+W, B  ->  B id=7, the worse response

    Contract: fixed, incrementing and wrapping bursts of bytes, half words and words. What cannot
    be served is answered in full, without touching `axil`: DECERR beyond `axil`'s addresses, SLVERR
    for a reserved burst type or a beat wider than the bus. A read beat has its own response. Write
    data are taken in the order of the addresses, after their address (AXI3: a write interleaving
    depth of 1, so `wid` says nothing new).

    Latency and cost: 1 cycle from an address (a write: from its data) to `axil`, 1 from the answer
    there to the answer here; about 150 LUTs for 12-bit IDs.

    Parameters
    ----------
    signature : AxiControl
    address_bits : int
        Of `axil`; a higher address bit inside `aperture` must be 0.
    aperture : int
        Address bits that the interconnect before this port has not decoded.

    Members
    -------
    axi : In(AxiControl)
    axil : Out(AxiLite(address_bits))
    """

    def __init__(self, signature, *, address_bits, aperture):
        if not isinstance(signature, AxiControl):
            raise TypeError(f"AxiToLite signature must be an AxiControl, not {signature!r}")
        if not address_bits < aperture <= signature.address_bits:
            raise ValueError(
                f"AxiToLite aperture must be {address_bits + 1} to {signature.address_bits},"
                f" not {aperture!r}"
            )
        self._address_bits, self._aperture = address_bits, aperture
        super().__init__({"axi": In(signature), "axil": Out(AxiLite(address_bits))})

    def elaborate(self, platform):
        m = Module()
        self._write(m, _Burst(m, self.axi, "aw", self._address_bits, self._aperture))
        self._read(m, _Burst(m, self.axi, "ar", self._address_bits, self._aperture))
        return m

    def _write(self, m, burst):
        axi, axil = self.axi, self.axil
        response = Signal(2)
        m.d.comb += [axil.awaddr.eq(burst.address), axi.bid.eq(burst.id), axi.bresp.eq(response)]
        with m.FSM(name="write"):
            with m.State("AWAIT_ADDRESS"):
                m.d.comb += axi.awready.eq(1)
                with m.If(axi.awvalid):
                    burst.take()
                    m.d.sync += response.eq(burst.refusal)
                    m.next = "TAKE_DATA"
            with m.State("TAKE_DATA"):
                m.d.comb += axi.wready.eq(1)
                with m.If(axi.wvalid):
                    m.d.sync += [axil.wdata.eq(axi.wdata), axil.wstrb.eq(axi.wstrb)]
                    with m.If(burst.refused):
                        burst.step()
                        m.next = "TAKE_DATA"
                        with m.If(burst.last):
                            m.next = "ANSWER"
                    with m.Else():
                        m.d.sync += [axil.awvalid.eq(1), axil.wvalid.eq(1)]
                        m.next = "PASS_ON"
            with m.State("PASS_ON"):
                m.d.comb += axil.bready.eq(1)
                drop_accepted(m, axil)
                with m.If(axil.bvalid):
                    burst.step()
                    with m.If(axil.bresp > response):
                        m.d.sync += response.eq(axil.bresp)
                    m.next = "TAKE_DATA"
                    with m.If(burst.last):
                        m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += axi.bvalid.eq(1)
                with m.If(axi.bready):
                    m.next = "AWAIT_ADDRESS"

    def _read(self, m, burst):
        axi, axil = self.axi, self.axil
        m.d.comb += [axil.araddr.eq(burst.address), axi.rid.eq(burst.id), axi.rlast.eq(burst.last)]
        with m.FSM(name="read"):
            with m.State("AWAIT_ADDRESS"):
                m.d.comb += axi.arready.eq(1)
                with m.If(axi.arvalid):
                    burst.take()
                    m.d.sync += [axi.rdata.eq(0), axi.rresp.eq(burst.refusal)]
                    m.next = "ASK"
            with m.State("ASK"):
                m.d.comb += axil.arvalid.eq(~burst.refused)
                with m.If(burst.refused):
                    m.next = "ANSWER"
                with m.Elif(axil.arready):
                    m.next = "AWAIT_DATA"
            with m.State("AWAIT_DATA"):
                m.d.comb += axil.rready.eq(1)
                with m.If(axil.rvalid):
                    m.d.sync += [axi.rdata.eq(axil.rdata), axi.rresp.eq(axil.rresp)]
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += axi.rvalid.eq(1)
                with m.If(axi.rready):
                    burst.step()
                    m.next = "ASK"
                    with m.If(burst.last):
                        m.next = "AWAIT_ADDRESS"


class _Burst:
    """The burst that a direction serves: registers, and the step from beat to beat.

    Members
    -------
    id, address : Signal
    last, refused : Signal
        Of the present beat.
    refusal : Value
        The response with which the burst on the channel would be refused, or 0.
    """

    def __init__(self, m, axi, channel, address_bits, aperture):
        self._m = m

        def offered(name):
            return getattr(axi, channel + name)

        self._offered = offered
        high = offered("addr")[address_bits:aperture]
        wrong = (offered("size") > _WORD) | (offered("burst") > _WRAP)
        self.refusal = Mux(high.any(), Const(DECERR, 2), Mux(wrong, Const(SLVERR, 2), 0))

        def register(name, width):
            return Signal(width, name=f"{channel}_{name}", reset_less=True)

        self.id = register("id", len(offered("id")))
        self.address = register("address", address_bits)
        self.last, self.refused = register("last", 1), register("refused", 1)
        self._left = register("left", len(offered("len")))
        self._size, self._fixed = register("size", 2), register("fixed", 1)
        # address bits that a step may change: all, or those inside a wrapping burst
        self._moving = register("moving", address_bits)

    def take(self):
        """Keep the burst that the channel offers."""
        offered, bits = self._offered, len(self.address)
        extent = ((Cat(Const(3, 2), offered("len")) << offered("size")[:2]) >> 2)[:bits]
        self._m.d.sync += [
            self.id.eq(offered("id")),
            self.address.eq(offered("addr")),
            self.last.eq(offered("len") == 0),
            self.refused.eq(self.refusal != 0),
            self._left.eq(offered("len")),
            self._size.eq(offered("size")),
            self._fixed.eq(offered("burst") == _FIXED),
            self._moving.eq(Mux(offered("burst") == _WRAP, extent, -1)),
        ]

    def step(self):
        """Move on to the next beat."""
        step = Mux(self._fixed, 0, Const(1, 3) << self._size)
        moved = (self.address + step)[: len(self.address)]
        self._m.d.sync += [
            self.address.eq((moved & self._moving) | (self.address & ~self._moving)),
            self._left.eq(self._left - 1),
            self.last.eq(self._left == 1),
        ]
