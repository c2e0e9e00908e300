"""Requests of the serial link, from bytes to checked frames."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .crc32 import CRC_INITIAL, CRC_RESIDUE, next_crc
from .serial_protocol import MAX_PAYLOAD, REQUEST_HEADER, REQUEST_SYNC, Status

__all__ = ["FrameReceiver", "REQUEST", "check_idle_cycles"]

_HEADER_BYTES = REQUEST_HEADER.size - 1  # without the first, which says that it begins
_CRC_BYTES = 4

REQUEST = data.StructLayout(
    {"operation": 8, "sequence": 8, "length": 16, "address": 32, "fault": 4}
)
"""A request; `fault` is `Status.OKAY`, or why it cannot be read: then the rest means nothing."""


def check_idle_cycles(idle_cycles):
    """Refuse what `FrameReceiver` does not take."""
    if not isinstance(idle_cycles, int) or isinstance(idle_cycles, bool):
        raise TypeError(f"FrameReceiver idle_cycles must be int, not {idle_cycles!r}")
    if not 2 <= idle_cycles <= 1 << 24:
        raise ValueError(f"FrameReceiver idle_cycles must be 2 to 2^24, not {idle_cycles!r}")


class FrameReceiver(wiring.Component):
    """Reads requests (`serial_protocol`) from a stream of bytes.

    A request is offered once its CRC has been checked, with its payload in a memory that stays as
    it is until the request is taken; meanwhile bytes wait. A request that cannot be read, because
    of its CRC, its length, or because no byte has come for `idle_cycles`, is offered with `fault`;
    after it bytes are dropped until none has come for `idle_cycles`.

    Latency and cost: a byte a cycle; a request 1 cycle after its last byte; a RAM of 1 KiB, about
    250 LUTs.

    Parameters
    ----------
    idle_cycles : int
        Longest pause inside a request, in cycles; 2 to 2^24.

    Members
    -------
    i : In(stream(8))
    o : Out(stream(REQUEST))
    word : In(7)
        Word of the payload to read.
    payload : Out(64)
        That word, a cycle later; little endian.

    Raises
    ------
    TypeError, ValueError
    """

    def __init__(self, *, idle_cycles):
        check_idle_cycles(idle_cycles)
        self._idle_cycles = idle_cycles
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(REQUEST)),
                "word": In(range(MAX_PAYLOAD // 8)),
                "payload": Out(64),
            }
        )

    @property
    def idle_cycles(self):
        return self._idle_cycles

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = memory.Memory(
            shape=data.ArrayLayout(8, 8), depth=MAX_PAYLOAD // 8, init=[]
        )
        write, read = store.write_port(granularity=1), store.read_port()
        m.d.comb += [read.addr.eq(self.word), self.payload.eq(read.data.as_value())]

        request = self.o.payload
        header = Signal(8 * _HEADER_BYTES)
        crc = Signal(32)
        count = Signal(range(MAX_PAYLOAD + 1))  # bytes that this part still wants
        idle = Signal(range(self._idle_cycles + 1))
        quiet, byte = Signal(), Signal()
        m.d.comb += [
            byte.eq(self.i.valid & self.i.ready),
            quiet.eq(idle == 0),
            request.operation.eq(header[0:8]),
            request.sequence.eq(header[8:16]),
            request.length.eq(header[16:32]),
            request.address.eq(header[32:64]),
        ]
        with m.If(byte):
            m.d.sync += [crc.eq(next_crc(crc, self.i.payload)), count.eq(count - 1)]
            m.d.sync += idle.eq(self._idle_cycles)
        with m.Elif(~quiet):
            m.d.sync += idle.eq(idle - 1)

        place = Signal(range(MAX_PAYLOAD))
        m.d.comb += [
            write.addr.eq(place[3:]),
            write.data.as_value().eq(self.i.payload.replicate(8)),
        ]
        has_payload = Signal()
        m.d.comb += has_payload.eq(request.operation[0] & (request.length != 0))
        too_long = Signal()
        m.d.comb += too_long.eq(request.length > MAX_PAYLOAD)

        def offer(fault):
            m.d.sync += request.fault.eq(fault)
            m.next = "OFFER"

        def wait_for_more():
            with m.If(~byte & quiet):
                offer(Status.TIMEOUT)

        with m.FSM():
            with m.State("HUNT"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [
                    crc.eq(next_crc(Const(CRC_INITIAL, 32), self.i.payload)),
                    count.eq(_HEADER_BYTES - 1),
                    place.eq(0),
                ]
                with m.If(byte & (self.i.payload == REQUEST_SYNC)):
                    m.next = "HEADER"
            with m.State("HEADER"):
                m.d.comb += self.i.ready.eq(1)
                wait_for_more()
                with m.If(byte):
                    m.d.sync += header.eq(Cat(header[8:], self.i.payload))
                    with m.If(count == 0):
                        m.next = "MEASURE"
            with m.State("MEASURE"):
                m.d.sync += count.eq(Mux(has_payload, request.length - 1, _CRC_BYTES - 1))
                m.next = "CRC"
                with m.If(has_payload):
                    m.next = "PAYLOAD"
                with m.If(too_long):
                    offer(Status.CORRUPT)
            with m.State("PAYLOAD"):
                m.d.comb += self.i.ready.eq(1)
                wait_for_more()
                with m.If(byte):
                    m.d.comb += write.en.eq(1 << place[:3])
                    m.d.sync += place.eq(place + 1)
                    with m.If(count == 0):
                        m.d.sync += count.eq(_CRC_BYTES - 1)
                        m.next = "CRC"
            with m.State("CRC"):
                m.d.comb += self.i.ready.eq(1)
                wait_for_more()
                with m.If(byte & (count == 0)):
                    m.next = "CHECK"
            with m.State("CHECK"):
                offer(Mux(crc == CRC_RESIDUE, Status.OKAY, Status.CORRUPT))
            with m.State("OFFER"):
                m.d.comb += self.o.valid.eq(1)
                m.d.sync += idle.eq(self._idle_cycles)
                with m.If(self.o.ready):
                    m.next = "HUNT"
                    with m.If(request.fault != Status.OKAY):
                        m.next = "DROP"
            with m.State("DROP"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(~byte & quiet):
                    m.next = "HUNT"
        return m
