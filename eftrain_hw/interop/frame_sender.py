"""Replies of the serial link, from words to bytes."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .crc32 import CRC_INITIAL, next_crc
from .serial_protocol import REPLY_HEADER, REPLY_SYNC

__all__ = ["FrameSender", "REPLY"]

REPLY = data.StructLayout({"operation": 8, "sequence": 8, "length": 16})


class FrameSender(wiring.Component):
    """Writes replies (`serial_protocol`) to a stream of bytes.

    After a reply's header come ceil(length / 8) words; of the last one only the bytes that
    `length` asks for are sent. `status` is looked at when all of them have been sent.

    Latency and cost: a byte a cycle, 2 more for each word; about 250 LUTs.

    Members
    -------
    header : In(stream(REPLY))
        Taken when the reply has been sent.
    words : In(stream(64))
        Payload, little endian.
    status : In(8)
    o : Out(stream(8))
    """

    def __init__(self):
        super().__init__(
            {
                "header": In(stream.Signature(REPLY)),
                "words": In(stream.Signature(64)),
                "status": In(8),
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        crc = Signal(32)
        shift = Signal(64)  # bytes of this part that are still to send, the next one lowest
        count = Signal(4)  # how many they are
        left = Signal(16)  # bytes of the payload that are not in `shift`
        reply = self.header.payload
        start = Cat(Const(REPLY_SYNC, 8), reply)
        assert len(start) == 8 * REPLY_HEADER.size
        sends = Signal()
        m.d.comb += [
            self.o.payload.eq(shift[:8]),
            self.o.valid.eq(count != 0),
            sends.eq(self.o.valid & self.o.ready),
        ]
        with m.If(sends):
            m.d.sync += [
                shift.eq(shift >> 8),
                count.eq(count - 1),
                crc.eq(next_crc(crc, self.o.payload)),
            ]
        with m.FSM():
            with m.State("REST"):
                m.d.sync += [crc.eq(CRC_INITIAL), left.eq(reply.length), shift.eq(start)]
                with m.If(self.header.valid):
                    m.d.sync += count.eq(REPLY_HEADER.size)
                    m.next = "PAYLOAD"
            with m.State("PAYLOAD"):
                with m.If(count == 0):
                    with m.If(left == 0):
                        m.d.sync += [shift.eq(self.status), count.eq(1)]
                        m.next = "STATUS"
                    with m.Elif(self.words.valid):
                        m.d.comb += self.words.ready.eq(1)
                        m.d.sync += [
                            shift.eq(self.words.payload),
                            count.eq(Mux(left < 8, left, 8)),
                            left.eq(Mux(left < 8, 0, left - 8)),
                        ]
            with m.State("STATUS"):
                with m.If(count == 0):
                    m.d.sync += [shift.eq(~crc), count.eq(4)]
                    m.next = "CRC"
            with m.State("CRC"):
                with m.If(count == 0):
                    m.d.comb += self.header.ready.eq(1)
                    m.next = "REST"
        return m
