"""Carries out the requests of a serial link on a memory port and a register port."""

from amaranth.hdl import Array, C, Cat, Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..csr.registers import ADDRESS_BITS
from ..dma.axi import Axi, AxiLite, drop_accepted
from .frame_receiver import FrameReceiver, check_idle_cycles
from .frame_sender import REPLY, FrameSender
from .serial_protocol import (
    HELLO,
    HELLO_MAGIC,
    MAX_PAYLOAD,
    PROTOCOL_VERSION,
    REMEMBERED,
    Operation,
    Status,
)

__all__ = ["SerialBridge"]


class SerialBridge(wiring.Component):
    """Executes the requests of `serial_protocol`, one after the other, and answers each.

    One request is carried out at a time; bytes that come meanwhile wait outside, in a queue of
    `buffer` bytes. Memory is read and written in single beats of 8 bytes, whose time is short
    beside that of their bytes on the line. The slaves must answer every access.

    Latency and cost: about 6 cycles + the memory's latency for 8 bytes; about 900 LUTs, 1 KiB of
    RAM.

    Parameters
    ----------
    memory_base, memory_size : int
        Told to the host.
    clock_hz : int
        The same.
    buffer : int
        Bytes that may wait at `i`; the same.
    idle_cycles : int
        See `FrameReceiver`.

    Members
    -------
    i, o : stream(8)
        From and to the line.
    axi : Out(Axi(32))
    axil : Out(AxiLite(12))
    irq : In(1)
        Told to the host with every reply.

    Raises
    ------
    TypeError, ValueError
    """

    def __init__(self, *, memory_base, memory_size, clock_hz, buffer, idle_cycles):
        for name, value, bits in (
            ("memory_base", memory_base, 32),
            ("memory_size", memory_size, 32),
            ("clock_hz", clock_hz, 32),
            ("buffer", buffer, 16),
        ):
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"SerialBridge {name} must be int, not {value!r}")
            if not 0 <= value < 1 << bits:
                raise ValueError(f"SerialBridge {name} must be 0 to 2^{bits} - 1, not {value!r}")
        check_idle_cycles(idle_cycles)
        self._idle_cycles = idle_cycles
        self._hello = HELLO.pack(
            HELLO_MAGIC, PROTOCOL_VERSION, MAX_PAYLOAD, buffer, 0,
            memory_base, memory_size, clock_hz,
        )  # fmt: skip
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                "axi": Out(Axi(32)),
                "axil": Out(AxiLite(ADDRESS_BITS)),
                "irq": In(1),
            }
        )

    @property
    def idle_cycles(self):
        return self._idle_cycles

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = FrameReceiver(idle_cycles=self._idle_cycles)
        m.submodules.sender = sender = FrameSender()
        connect(m, flipped(self.i), receiver.i)
        connect(m, sender.o, flipped(self.o))
        request = receiver.o.payload
        status, expected, open_ = Signal(4), Signal(8), Signal()
        reply = Signal(REPLY)
        address, left = Signal(32), Signal(32)  # of what is still to be read or written
        word = Signal(64)
        m.d.comb += [
            sender.header.payload.eq(reply),
            sender.words.payload.eq(word),
            sender.status.eq(Cat(status, C(0, 3), self.irq)),
        ]

        # which of the requests before `expected` this one is
        back, age = Signal(8), Signal(range(REMEMBERED + 1))
        m.d.comb += back.eq(expected - request.sequence - 1)
        repeated = open_ & (back < age)
        m.submodules.answers = answers = memory.Memory(
            shape=4, depth=REMEMBERED, init=[], attrs={"ram_style": "distributed"}
        )
        old, new = answers.read_port(domain="comb"), answers.write_port()
        m.d.comb += [
            old.addr.eq(request.sequence),
            new.addr.eq(reply.sequence),
            new.data.eq(status),
        ]

        def nak(reason):
            m.d.sync += [
                reply.operation.eq(Operation.NAK),
                reply.sequence.eq(expected),
                reply.length.eq(0),
                status.eq(reason),
            ]
            m.next = "ANSWER"

        counts = Signal()  # this request is the expected one
        with m.FSM():
            with m.State("WAIT"):
                m.d.sync += [
                    reply.operation.eq(request.operation),
                    reply.sequence.eq(request.sequence),
                    reply.length.eq(0),
                    status.eq(Status.OKAY),
                    address.eq(request.address),
                    left.eq(request.length),
                    counts.eq(0),
                    receiver.word.eq(0),
                ]
                with m.If(receiver.o.valid):
                    m.next = "FETCH"
                    with m.If(request.fault != Status.OKAY):
                        nak(request.fault)
                    with m.Elif(request.operation == Operation.HELLO):
                        m.d.sync += [
                            open_.eq(1),
                            expected.eq(request.sequence + 1),
                            age.eq(0),
                            reply.length.eq(len(self._hello)),
                            left.eq(len(self._hello)),
                        ]
                        m.next = "HELLO"
                    with m.Elif(~open_):
                        nak(Status.CLOSED)
                    with m.Elif(request.sequence == expected):
                        m.d.sync += counts.eq(1)
                    with m.Elif(~repeated):
                        nak(Status.SEQUENCE)
                    with m.Elif(request.operation[0]):  # has been done
                        m.d.sync += status.eq(old.data)
                        m.next = "ANSWER"
            with m.State("FETCH"):  # the first word of the payload is on its way
                m.next = "BEGIN"
            with m.State("BEGIN"):
                m.next = "ANSWER"
                m.d.sync += word.eq(receiver.payload)
                aligned = address[:3] == 0
                with m.Switch(reply.operation):
                    for operation, legal, state in (
                        (Operation.READ, aligned, "READ"),
                        (Operation.WRITE, aligned, "WRITE"),
                        (Operation.CLEAR, aligned & (left == 4), "WRITE"),
                        (Operation.REGISTER_READ, left == 4, "REGISTER READ"),
                        (Operation.REGISTER_WRITE, left == 4, "REGISTER WRITE"),
                    ):
                        with m.Case(operation):
                            with m.If(~legal):
                                m.d.sync += status.eq(Status.MALFORMED)
                            with m.Elif(left != 0):
                                m.next = state
                            if not operation & 1:
                                m.d.sync += reply.length.eq(Mux(legal, left, 0))
                    with m.Default():
                        m.d.sync += status.eq(Status.MALFORMED)
                with m.If(reply.operation == Operation.CLEAR):
                    m.d.sync += [word.eq(0), left.eq(receiver.payload)]
                    with m.If(receiver.payload[:3].any()):
                        m.d.sync += status.eq(Status.MALFORMED)
                        m.next = "ANSWER"
            self._memory(m, receiver, sender, reply, status, address, left, word)
            self._registers(m, sender, reply, status, address, left, word)
            with m.State("HELLO"):
                words = [self._hello[k : k + 8] for k in range(0, len(self._hello), 8)]
                index = Signal(range(len(words)))
                values = Array(C(int.from_bytes(each, "little"), 64) for each in words)
                m.d.comb += [
                    sender.header.valid.eq(1),
                    sender.words.valid.eq(1),
                    sender.words.payload.eq(values[index]),
                ]
                with m.If(sender.words.ready):
                    m.d.sync += index.eq(Mux(index == len(words) - 1, 0, index + 1))
                with m.If(sender.header.ready):
                    m.d.comb += receiver.o.ready.eq(1)
                    m.next = "WAIT"
            with m.State("ANSWER"):
                m.d.comb += sender.header.valid.eq(1)
                with m.If(sender.header.ready):
                    m.d.comb += receiver.o.ready.eq(1)
                    m.next = "WAIT"
                    with m.If(counts):
                        m.d.comb += new.en.eq(1)
                        m.d.sync += expected.eq(expected + 1)
                        with m.If(age != REMEMBERED):
                            m.d.sync += age.eq(age + 1)
        return m

    def _memory(self, m, receiver, sender, reply, status, address, left, word):
        """READ and WRITE: beats of 8 bytes until nothing is left."""
        axi = self.axi
        last = Signal()
        m.d.comb += [
            last.eq(left <= 8),
            axi.awaddr.eq(address),
            axi.araddr.eq(address),
            axi.wdata.eq(word),
            axi.wlast.eq(1),
        ]
        for byte in range(8):
            m.d.comb += axi.wstrb[byte].eq(left > byte)

        def step():
            m.d.sync += [address.eq(address + 8), left.eq(left - 8)]

        def note(response):
            with m.If((status == Status.OKAY) & (response != 0)):
                m.d.sync += status.eq(response)

        with m.State("READ"):
            m.d.comb += sender.header.valid.eq(1)
            m.d.sync += axi.arvalid.eq(1)
            m.next = "READ DATA"
        with m.State("READ DATA"):
            m.d.comb += [sender.header.valid.eq(1), axi.rready.eq(1)]
            with m.If(axi.arready):
                m.d.sync += axi.arvalid.eq(0)
            with m.If(axi.rvalid):
                m.d.sync += word.eq(axi.rdata)
                note(axi.rresp)
                m.next = "READ SEND"
        with m.State("READ SEND"):
            m.d.comb += [sender.header.valid.eq(1), sender.words.valid.eq(1)]
            with m.If(sender.words.ready):
                step()
                m.next = "READ"
                with m.If(last):
                    m.next = "ANSWER"
        with m.State("WRITE"):
            m.d.sync += [axi.awvalid.eq(1), axi.wvalid.eq(1), receiver.word.eq(receiver.word + 1)]
            m.next = "WRITE RESPONSE"
        with m.State("WRITE RESPONSE"):
            m.d.comb += axi.bready.eq(1)
            with m.If(axi.awready):
                m.d.sync += axi.awvalid.eq(0)
            with m.If(axi.wready):
                m.d.sync += axi.wvalid.eq(0)
            with m.If(axi.bvalid):
                note(axi.bresp)
                step()
                with m.If(reply.operation == Operation.WRITE):
                    m.d.sync += word.eq(receiver.payload)
                m.next = "WRITE"
                with m.If(last):
                    m.next = "ANSWER"

    def _registers(self, m, sender, reply, status, address, left, word):
        """REGISTER_READ and REGISTER_WRITE: one register of 32 bits."""
        axil = self.axil
        m.d.comb += [
            axil.awaddr.eq(address),
            axil.araddr.eq(address),
            axil.wdata.eq(word),
            axil.wstrb.eq(0b1111),
        ]
        with m.State("REGISTER READ"):
            m.d.sync += axil.arvalid.eq(1)
            m.next = "REGISTER DATA"
        with m.State("REGISTER DATA"):
            m.d.comb += axil.rready.eq(1)
            with m.If(axil.arready):
                m.d.sync += axil.arvalid.eq(0)
            with m.If(axil.rvalid):
                m.d.sync += [word.eq(axil.rdata), status.eq(axil.rresp)]
                m.next = "REGISTER SEND"
        with m.State("REGISTER SEND"):
            m.d.comb += [sender.header.valid.eq(1), sender.words.valid.eq(1)]
            with m.If(sender.words.ready):
                m.next = "ANSWER"
        with m.State("REGISTER WRITE"):
            m.d.sync += [axil.awvalid.eq(1), axil.wvalid.eq(1)]
            m.next = "REGISTER RESPONSE"
        with m.State("REGISTER RESPONSE"):
            m.d.comb += axil.bready.eq(1)
            drop_accepted(m, axil)
            with m.If(axil.bvalid):
                m.d.sync += status.eq(axil.bresp)
                m.next = "ANSWER"
