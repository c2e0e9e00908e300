"""Commands on their way from the sequencer to the engines."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..array.commands import COMPUTE
from ..dma.commands import LOAD
from ..sequencer.descriptor_names import MARK_BITS
from ..sequencer.issuer import issue_ports
from ..sequencer.opcodes import LAYOUTS
from ..streams.command_order import TICKET_BITS, CommandCount, CommandCredit, CommandGate
from ..streams.command_receiver import CommandReceiver, command_word
from ..streams.connect import connect_streams
from ..streams.queue import Queue
from ..vector.commands import DRAIN
from ..vector.vector_unit import COMMANDS as VECTOR_COMMANDS
from ..vector.vector_unit import vector_command

__all__ = ["Dispatch", "ENGINES"]

ENGINES = ("load", "compute", "drain", "vector")


class Dispatch(wiring.Component):
    """Receives each engine's commands, and lets one go when what it reads has been written.

        issue_load    --> receiver --> gate: for drain, vector where it says so --> load
        issue_compute --> receiver ---------------------------------------------> compute
        issue_drain   --> receiver ---------------------------------------------> drain
        issue_<other> --> queue --> receiver --> gate: for drain, one at a time --> vector

    The sequencer is not held up by a command that waits: the vector unit's commands queue, so that
    pooling and updates run beside the array.

    Latency and cost: 3 cycles from the last word to the engine, vector unit 5; about 200 LUT and
    700 flip-flops.

    Parameters
    ----------
    queue_words : int
        Words that wait for the vector unit.

    Members
    -------
    issue_<name> : In(stream(command_word))
    mark : In(MARK_BITS)
        The descriptor of the word that is issued.
    restart : In(1)
        A program starts.
    load, compute, drain, vector : Out(streams of commands)
    load_mark, compute_mark, drain_mark, vector_mark : Out(MARK_BITS)
        The descriptor of the command that is offered to the engine; compute: of the one that it
        took last.
    drain_busy, vector_busy : In(1)
        Including their run writers.
    held : Out(2)
        A load waits for what the drain, the vector unit has yet to write.
    full : Out(3)
        The sequencer has a word for the load engine, the drain, the vector unit, and no room.
    started : Out(MARK_BITS)
        The descriptor whose dependent load or vector command started last.
    busy : Out(1)
    """

    def __init__(self, *, queue_words=64):
        if not isinstance(queue_words, int) or isinstance(queue_words, bool):
            raise TypeError(f"Dispatch queue_words must be an int, not {queue_words!r}")
        longest = max(layout.words for layout in VECTOR_COMMANDS)
        if queue_words < longest:
            raise ValueError(
                f"Dispatch queue_words must be at least {longest}, not {queue_words!r}"
            )
        self._queue_words = queue_words
        super().__init__(
            {
                **{name: port.flip() for name, port in issue_ports(LAYOUTS).items()},
                "mark": In(MARK_BITS),
                "restart": In(1),
                "load": Out(stream.Signature(LOAD.struct)),
                "compute": Out(stream.Signature(COMPUTE.struct)),
                "drain": Out(stream.Signature(DRAIN.struct)),
                "vector": Out(stream.Signature(vector_command())),
                **{f"{name}_mark": Out(MARK_BITS) for name in ENGINES},
                "held": Out(2),
                "full": Out(3),
                "drain_busy": In(1),
                "vector_busy": In(1),
                "started": Out(MARK_BITS),
                "busy": Out(1),
            }
        )

    @property
    def queue_words(self):
        return self._queue_words

    def elaborate(self, platform):
        m = Module()
        m.submodules.load_receiver = load = CommandReceiver(LOAD, tag_bits=self._tag_bits)
        m.submodules.compute_receiver = compute = CommandReceiver(COMPUTE, tag_bits=MARK_BITS)
        m.submodules.drain_receiver = drain = CommandReceiver(DRAIN, tag_bits=MARK_BITS)
        m.submodules.drain_count = drains = CommandCount()
        m.submodules.vector_count = vectors = CommandCount()
        m.submodules.load_gate = load_gate = CommandGate(LOAD.struct, 2)
        m.submodules.vector_gate = vector_gate = CommandGate(vector_command(), 0)
        m.submodules.vector_credit = credit = CommandCredit()
        for receiver in (load, compute, drain):
            name = f"issue_{receiver.layout.name}"
            connect_streams(m, wiring.flipped(getattr(self, name)), receiver.words)

        # load
        tickets = Cat(drains.issued, vectors.issued)
        m.d.comb += load.tag.eq(Cat(tickets, self.mark))
        connect_streams(m, load.command, load_gate.i)
        waiting = load.command.payload
        m.d.comb += [
            load_gate.waits.eq(Cat(waiting.wait_drain, waiting.wait_vector)),
            load_gate.tickets.eq(load.command_tag[: len(tickets)]),
            load_gate.finished.eq(Cat(drains.finished, vectors.finished)),
        ]
        connect_streams(m, load_gate.o, wiring.flipped(self.load))

        # compute, drain
        connect_streams(m, compute.command, wiring.flipped(self.compute))
        m.d.comb += [
            self.drain.valid.eq(drain.command.valid & ~drains.full),
            self.drain.payload.eq(drain.command.payload),
            drain.command.ready.eq(self.drain.ready & ~drains.full),
        ]
        word = drain.words
        m.d.comb += [
            drains.issue.eq(word.valid & word.ready & word.payload.last),
            drains.take.eq(self.drain.valid & self.drain.ready),
            drains.busy.eq(self.drain_busy),
        ]

        # vector
        queue, vector, opcode = self._vector(m)
        m.d.comb += [
            vector_gate.i.valid.eq(vector.command.valid),
            vector_gate.i.payload.opcode.eq(opcode),
            vector_gate.i.payload.words.eq(vector.command.payload.as_value()),
            vector.command.ready.eq(vector_gate.i.ready),
            vector_gate.hold.eq(self.vector_busy | ~credit.credit),
            credit.issue.eq(vectors.issue),
            credit.ticket.eq(drains.issued),
            credit.finished.eq(drains.finished),
            credit.take.eq(vectors.take),
            vectors.issue.eq(queue.i.valid & queue.i.ready & queue.i.payload.word.last),
            vectors.take.eq(self.vector.valid & self.vector.ready),
            vectors.busy.eq(self.vector_busy),
        ]
        connect_streams(m, vector_gate.o, wiring.flipped(self.vector))

        # where the engines are
        m.d.comb += [
            compute.tag.eq(self.mark),
            drain.tag.eq(self.mark),
            self.load_mark.eq(load.command_tag[len(tickets) :]),
            self.drain_mark.eq(drain.command_tag),
            self.vector_mark.eq(vector.command_tag),
        ]
        with m.If(self.compute.valid & self.compute.ready):
            m.d.sync += self.compute_mark.eq(compute.command_tag)
        ports = (load.words, drain.words, queue.i)
        m.d.sync += [
            self.held.eq(Mux(load_gate.i.valid, load_gate.behind, 0)),
            self.full.eq(Cat(port.valid & ~port.ready for port in ports)),
        ]
        with m.If(self.load.valid & self.load.ready & load_gate.waits.any()):
            m.d.sync += self.started.eq(self.load_mark)
        with m.If(self.vector.valid & self.vector.ready):
            m.d.sync += self.started.eq(self.vector_mark)
        with m.If(self.restart):
            m.d.sync += self.started.eq(0)
        receivers = (load, compute, drain, vector)
        m.d.comb += self.busy.eq(
            Cat(receiver.busy for receiver in receivers).any() | (queue.level != 0)
        )
        return m

    @property
    def _tag_bits(self):
        return 2 * TICKET_BITS + MARK_BITS

    def _vector(self, m):
        """Queue and receiver of all the vector unit's commands, and the present one's opcode."""
        longest = max(VECTOR_COMMANDS, key=lambda layout: layout.words)
        shape = data.StructLayout({"word": command_word(), "opcode": 8, "mark": MARK_BITS})
        m.submodules.vector_queue = queue = Queue(shape, self._queue_words)
        m.submodules.vector_receiver = receiver = CommandReceiver(
            longest, ahead=False, tag_bits=MARK_BITS
        )
        opcode = Signal(8, reset_less=True)
        m.d.comb += [
            receiver.words.valid.eq(queue.o.valid),
            receiver.words.payload.eq(queue.o.payload.word),
            receiver.tag.eq(queue.o.payload.mark),
            queue.o.ready.eq(receiver.words.ready),
            queue.i.payload.mark.eq(self.mark),
        ]
        with m.If(queue.o.valid & queue.o.ready):
            m.d.sync += opcode.eq(queue.o.payload.opcode)
        # the sequencer sends one command at a time
        for layout in VECTOR_COMMANDS:
            issue = getattr(self, f"issue_{layout.name}")
            m.d.comb += issue.ready.eq(queue.i.ready)
            with m.If(issue.valid):
                m.d.comb += [
                    queue.i.valid.eq(1),
                    queue.i.payload.word.eq(issue.payload),
                    queue.i.payload.opcode.eq(layout.opcode),
                ]
        return queue, receiver, opcode
