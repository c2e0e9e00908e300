"""Memory on the chip behind an AXI4 port."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In

from ..dma.axi import Axi
from ..streams.register import Register

__all__ = ["AxiRam", "check_ram"]

_OKAY, _SLVERR, _DECERR = 0, 2, 3
_INCREMENTING, _BEAT = 1, 3  # burst, size
_UNIT = 4096  # no burst crosses a multiple of it


def check_ram(size, base, address_bits):
    """Refuse what `AxiRam` cannot be; returns the size rounded up to a power of two."""
    for name, value in (("size", size), ("base", base)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"AxiRam {name} must be int, not {value!r}")
    if size < _UNIT or size % _UNIT:
        raise ValueError(f"AxiRam size must be a multiple of {_UNIT} bytes, not {size!r}")
    span = 1 << (size - 1).bit_length()
    if base < 0 or base % span or base + size > 1 << address_bits:
        raise ValueError(
            f"AxiRam base must be a multiple of {span:#x} with {size:#x} bytes below"
            f" 2^{address_bits}, not {base!r}"
        )
    return span


class AxiRam(wiring.Component):
    """Block RAM as an AXI4 slave of 64 bits: bursts, strobes, reads and writes at the same time.

    Incrementing bursts of 8-byte beats, 1 to 256 beats; other kinds are answered with SLVERR,
    addresses outside the memory with DECERR: they read as 0 and change nothing. The write response
    comes once the data can be read. A read that runs beside a write to the same address returns
    the old or the new bytes. All bytes are 0 after configuration; a reset leaves them alone.

    Latency and cost: first read data 3 cycles after the request, then a beat a cycle, across
    bursts too; a write burst takes 3 cycles more than it has beats. size / 2 KiB ECP5 DP16KD or
    size / 4 KiB RAMB36, about 150 LUTs and what selects among rows of block RAMs.

    Parameters
    ----------
    size : int
        Bytes, a multiple of 4096.
    base : int
        Address of the first, a multiple of the size rounded up to a power of two.
    address_bits : int

    Members
    -------
    axi : In(Axi(address_bits))

    Raises
    ------
    TypeError, ValueError

    Reference: AMBA AXI protocol, ARM IHI 0022, chapters A3 and A4.
    """

    read_latency = 3

    def __init__(self, *, size, base=0, address_bits=32):
        self._span = check_ram(size, base, address_bits)
        self._size, self._base, self._address_bits = size, base, address_bits
        super().__init__({"axi": In(Axi(address_bits))})

    @property
    def size(self):
        return self._size

    @property
    def base(self):
        return self._base

    @property
    def address_bits(self):
        return self._address_bits

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = memory.Memory(
            shape=data.ArrayLayout(8, 8), depth=self._size // 8, init=[],
            attrs={"ram_style": "block"},
        )  # fmt: skip
        self._read(m, store.read_port())
        self._write(m, store.write_port(granularity=1))
        return m

    def _response(self, address, burst, size):
        """Response to a burst: it lies inside or outside as a whole."""
        inside = address[(self._span - 1).bit_length() :] == self._base // self._span
        if self._size != self._span:
            inside &= address[: (self._span - 1).bit_length()] < self._size
        fits = (burst == _INCREMENTING) & (size == _BEAT)
        return Mux(inside, Mux(fits, _OKAY, _SLVERR), _DECERR)

    def _word(self, address):
        return address[3 : (self._span - 1).bit_length()]

    def _read(self, m, port):
        axi = self.axi
        beat = data.StructLayout({"id": 1, "data": 64, "resp": 2, "last": 1})
        m.submodules.out = out = Register(beat)
        active, left = Signal(), Signal(8)
        word = Signal.like(port.addr)
        response, tag = Signal(2), Signal.like(axi.arid)
        fetched = Signal()  # the memory's output holds a beat
        fetched_response, fetched_tag, fetched_last = Signal(2), Signal.like(tag), Signal()
        advance = Signal()
        m.d.comb += [
            advance.eq(~fetched | out.i.ready),
            port.addr.eq(word),
            port.en.eq(active & advance),
            axi.arready.eq(~active | (advance & (left == 0))),
            out.i.valid.eq(fetched),
            out.i.payload.id.eq(fetched_tag),
            out.i.payload.data.eq(Mux(fetched_response == _OKAY, port.data.as_value(), 0)),
            out.i.payload.resp.eq(fetched_response),
            out.i.payload.last.eq(fetched_last),
            axi.rvalid.eq(out.o.valid),
            out.o.ready.eq(axi.rready),
            axi.rid.eq(out.o.payload.id),
            axi.rdata.eq(out.o.payload.data),
            axi.rresp.eq(out.o.payload.resp),
            axi.rlast.eq(out.o.payload.last),
        ]
        with m.If(advance):
            m.d.sync += [
                fetched.eq(active),
                fetched_response.eq(response),
                fetched_tag.eq(tag),
                fetched_last.eq(left == 0),
            ]
        with m.If(active & advance):
            m.d.sync += [word.eq(word + 1), left.eq(left - 1)]
            with m.If(left == 0):
                m.d.sync += active.eq(0)
        with m.If(axi.arvalid & axi.arready):
            m.d.sync += [
                active.eq(1),
                word.eq(self._word(axi.araddr)),
                left.eq(axi.arlen),
                tag.eq(axi.arid),
                response.eq(self._response(axi.araddr, axi.arburst, axi.arsize)),
            ]

    def _write(self, m, port):
        axi = self.axi
        active, last = Signal(), Signal()  # last: the burst's last beat is on its way
        word, response = Signal.like(port.addr), Signal(2)
        strobes, enabled, taken = Signal(8), Signal(), Signal()
        m.d.comb += [
            axi.awready.eq(~active & ~last & ~axi.bvalid),
            axi.wready.eq(active),
            taken.eq(axi.wvalid & axi.wready),
            port.en.eq(strobes & enabled.replicate(8)),
        ]
        m.d.sync += [
            enabled.eq(taken & (response == _OKAY)),
            strobes.eq(axi.wstrb),
            port.data.as_value().eq(axi.wdata),
            port.addr.eq(word),
            last.eq(taken & axi.wlast),
        ]
        with m.If(axi.bvalid & axi.bready):
            m.d.sync += axi.bvalid.eq(0)
        with m.If(taken):
            m.d.sync += [word.eq(word + 1), active.eq(~axi.wlast)]
        with m.If(last):  # this edge writes it
            m.d.sync += [axi.bvalid.eq(1), axi.bresp.eq(response)]
        with m.If(axi.awvalid & axi.awready):
            m.d.sync += [
                active.eq(1),
                word.eq(self._word(axi.awaddr)),
                axi.bid.eq(axi.awid),
                response.eq(self._response(axi.awaddr, axi.awburst, axi.awsize)),
            ]
