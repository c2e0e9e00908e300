"""All writes of the core: requests and data of several clients in, bursts on the AXI ports out."""

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ..streams.ports import WriteClient, write_beat
from ..streams.queue import Queue
from .axi import AxiWrite
from .burst_source import BurstSource, burst_words
from .faults import MemoryFault
from .port_credits import PortCredits

__all__ = ["MemoryWriter"]

BURSTS_IN_FLIGHT = 32


class MemoryWriter(wiring.Component):
    """Arbitrates write requests, spreads bursts over the ports, counts the responses.

    The data of a burst move, a bus word a cycle, from the client to the queue of one port (the one
    with the most room); when the last word is there the address goes out, then the data, in 64-bit
    beats, without a gap but for `wready`. A client gets `done` once all bursts of a request have
    been answered, in the order of all requests.

    Abort: from the cycle in which `abort` rises no address is sent that was not offered already;
    the data of bursts whose address was offered go out as they are; `drained` rises when all of
    them are answered, then everything is held in reset until `abort` falls. `abort` must stay until
    `drained`.

    A faulty request or response: `error` pulses once and no request is taken from then on until
    an abort; bursts that have been taken still go out, all of them inside the window.

    Latency and cost: 6 cycles from a request to its first beat taken (5 for the client that was
    served last), 4 from its last beat taken to `awvalid`; `bus_bytes` a cycle; with 7 clients and
    2 ports about 1,300 LUTs, 4 RAMB36 (2 a port).

    Parameters
    ----------
    config : AcceleratorConfig
    clients : int

    Members
    -------
    clients : In(WriteClient(config)).array(clients)
        A client raises a request when all its beats can be taken, one a cycle.
    axi : Out(AxiWrite(...)).array(ports)
    window_base, window_limit : In(address_bits)
        Bytes that may be written: window_base <= address, end <= window_limit.
    abort : In(1)
    drained : Out(1)
    error : Out(1)
        Pulse; `error_code` and `error_address` (of the request or of the burst) go with it.
    error_code : Out(3)
        MemoryFault.WRITE_SLAVE, WRITE_DECODE or WRITE_WINDOW.
    error_address : Out(address_bits)

    Raises
    ------
    ValueError
        No client, or bursts shorter than the number of ports.
    """

    def __init__(self, config, clients):
        if not isinstance(clients, int) or isinstance(clients, bool):
            raise TypeError(f"MemoryWriter clients must be int, not {clients!r}")
        if clients < 1:
            raise ValueError(f"MemoryWriter clients must be at least 1, not {clients!r}")
        self._config, self._clients = config, clients
        self._words = burst_words(config)
        super().__init__(
            {
                "clients": In(WriteClient(config)).array(clients),
                "axi": Out(AxiWrite(config.address_bits, config.axi)).array(config.ports),
                "window_base": In(config.address_bits),
                "window_limit": In(config.address_bits),
                "abort": In(1),
                "drained": Out(1),
                "error": Out(1),
                "error_code": Out(3),
                "error_address": Out(config.address_bits),
            }
        )

    @property
    def queue_words(self):
        """Bus words that one port's queue holds: four longest bursts, and a block RAM at least."""
        return max(512, 4 * self._words)

    def elaborate(self, platform):
        m = Module()
        clear, idle, drained = Signal(), Signal(), Signal()
        core = Module()
        m.submodules.core = ResetInserter(clear)(core)
        m.d.comb += [clear.eq(self.abort & drained), self.drained.eq(clear)]
        m.d.sync += drained.eq(self.abort & idle)

        halted, hold = Signal(), Signal()
        core.submodules.source = source = BurstSource(self._config, self._clients)
        core.submodules.credits = credits = PortCredits(
            ports=self._config.ports, depth=self.queue_words, most=self._words
        )
        for client, request in zip(self.clients, source.requests):
            wiring.connect(core, wiring.flipped(client).request, request)
        core.d.comb += [
            source.window_base.eq(self.window_base),
            source.window_limit.eq(self.window_limit),
            source.hold.eq(hold),
        ]
        core.d.sync += hold.eq(self.abort | halted)  # what is taken in between stays in the source
        order, moved, finished = self._move(core, source, credits)
        answers, busy = [], []
        for p in range(self._config.ports):
            answer, outstanding = self._send(core, p, moved, finished, credits.give[p])
            answers.append(answer)
            busy.append(outstanding)
        core.d.comb += idle.eq(~Cat(busy).any())
        self._retire(core, source, order, answers, halted)
        return m

    def _move(self, m, source, credits):
        """Bursts and their data, a word a cycle, towards the ports' queues.

        Returns the queue of all bursts in order, a word with the port that it is for (one hot),
        and the burst that this word completes.
        """
        config, burst = self._config, source.bursts
        minus_one = range(max(2, self._words))
        entry = data.StructLayout(
            {
                "client": range(max(2, self._clients)),
                "port": credits.port.shape(),
                "address": burst.payload.address.shape(),
                "last": 1,
            }
        )
        m.submodules.order = order = Queue(entry, BURSTS_IN_FLIGHT, storage="distributed")
        active, move, load, final = Signal(), Signal(), Signal(), Signal()
        selected = Signal(self._clients)
        client = Signal(range(max(2, self._clients)), reset_less=True)
        port = Signal(config.ports, name="port", reset_less=True)
        left = Signal(minus_one, reset_less=True)
        address = Signal(burst.payload.address.shape(), reset_less=True)
        length = Signal(minus_one, reset_less=True)

        given = Cat(c.data.valid for c in self.clients) & selected
        m.d.comb += [
            move.eq(given.any()),
            final.eq(left == 0),
            load.eq(
                burst.valid & order.i.ready & credits.room
                & (~active | (move & final)) & ~self.abort
            ),
            burst.ready.eq(load),
            credits.take.eq(load),
            credits.words.eq(burst.payload.beats),
            order.i.valid.eq(load),
            order.i.payload.client.eq(burst.payload.tag),
            order.i.payload.port.eq(credits.port),
            order.i.payload.address.eq(burst.payload.address),
            order.i.payload.last.eq(burst.payload.last),
        ]
        for k, c in enumerate(self.clients):
            m.d.comb += c.data.ready.eq(selected[k])
        with m.If(move):
            m.d.sync += left.eq(left - 1)
        with m.If(load):
            m.d.sync += [
                active.eq(1),
                client.eq(burst.payload.tag),
                selected.eq(Cat(burst.payload.tag == k for k in range(self._clients))),
                port.eq(1 << credits.port),
                left.eq(burst.payload.beats - 1),
                length.eq(burst.payload.beats - 1),
                address.eq(burst.payload.address),
            ]
        with m.Elif(move & final):
            m.d.sync += [active.eq(0), selected.eq(0)]

        word = Signal(write_beat(config), name="word", reset_less=True)
        moved = Signal(
            data.StructLayout({"word": word.shape(), "ports": config.ports}), name="moved"
        )
        finished = Signal(
            data.StructLayout(
                {"valid": 1, "address": address.shape(), "length": minus_one}
            ),
            name="finished",
        )
        ports, done = Signal(config.ports, name="ports"), Signal()
        last_address = Signal(address.shape(), reset_less=True)
        last_length = Signal(minus_one, reset_less=True)
        with m.Switch(client):
            for k, c in enumerate(self.clients):
                with m.Case(k) if k < self._clients - 1 else m.Default():
                    m.d.sync += word.eq(c.data.payload)
        m.d.sync += [
            ports.eq(port & move.replicate(config.ports)),
            done.eq(move & final),
            last_address.eq(address),
            last_length.eq(length),
        ]
        m.d.comb += [
            moved.word.eq(word),
            moved.ports.eq(ports),
            finished.valid.eq(done),
            finished.address.eq(last_address),
            finished.length.eq(last_length),
        ]
        return order, moved, finished

    def _send(self, m, p, moved, finished, give):
        """Port p: data queue, AW, W and B; returns its answers and whether any is outstanding."""
        axi, parts = self.axi[p], self._config.ports
        shift = exact_log2(self._config.bus_bytes)
        length_shape = finished.length.shape()
        # every entry of these three belongs to an entry of `order`: they cannot overflow
        bursts = Queue(
            data.StructLayout({"address": finished.address.shape(), "length": length_shape}),
            BURSTS_IN_FLIGHT, storage="distributed",
        )
        owed = Queue(length_shape, BURSTS_IN_FLIGHT, storage="distributed")
        answers = Queue(2, BURSTS_IN_FLIGHT, storage="distributed")
        words = Queue(moved.word.shape(), self.queue_words, storage="block")
        m.submodules[f"bursts_{p}"], m.submodules[f"owed_{p}"] = bursts, owed
        m.submodules[f"answers_{p}"], m.submodules[f"words_{p}"] = answers, words

        begin = Signal(name=f"begin_{p}")
        m.d.comb += [
            words.i.valid.eq(moved.ports[p]),
            words.i.payload.eq(moved.word),
            bursts.i.valid.eq(moved.ports[p] & finished.valid),
            bursts.i.payload.address.eq(finished.address),
            bursts.i.payload.length.eq(finished.length),
            begin.eq(bursts.o.valid & ~axi.awvalid & ~self.abort),
            bursts.o.ready.eq(begin),
            owed.i.valid.eq(begin),
            owed.i.payload.eq(bursts.o.payload.length),
            answers.i.valid.eq(axi.bvalid),
            answers.i.payload.eq(axi.bresp),
            axi.bready.eq(1),
        ]
        with m.If(begin):
            m.d.sync += [
                axi.awvalid.eq(1),
                axi.awaddr.eq(bursts.o.payload.address << shift),
                axi.awlen.eq(Cat(Const(parts - 1, exact_log2(parts)), bursts.o.payload.length)),
            ]
        with m.Elif(axi.awready):
            m.d.sync += axi.awvalid.eq(0)

        outstanding = Signal(range(BURSTS_IN_FLIGHT + 2), name=f"outstanding_{p}")
        m.d.sync += outstanding.eq(outstanding + begin - axi.bvalid)

        part = Signal(range(max(2, parts)), name=f"part_{p}")
        index = Signal(length_shape, name=f"index_{p}")
        step, whole, final = (Signal(name=f"{n}_{p}") for n in ("step", "whole", "final"))
        m.d.comb += [
            step.eq(owed.o.valid & words.o.valid & (~axi.wvalid | axi.wready)),
            whole.eq(part == parts - 1),
            final.eq(whole & (index == owed.o.payload)),
            words.o.ready.eq(step & whole),
            owed.o.ready.eq(step & final),
            give.eq(step & whole),
        ]
        with m.If(step):
            m.d.sync += [
                axi.wvalid.eq(1),
                axi.wdata.eq(words.o.payload.data.word_select(part, 64)),
                axi.wstrb.eq(words.o.payload.strobe.word_select(part, 8)),
                axi.wlast.eq(final),
                part.eq(0 if parts == 1 else part + 1),
            ]
            with m.If(whole):
                m.d.sync += index.eq(Mux(final, 0, index + 1))
        with m.Elif(axi.wready):
            m.d.sync += axi.wvalid.eq(0)
        return answers.o, outstanding.any()

    def _retire(self, m, source, order, answers, halted):
        """Match the answers with the bursts, in order: `done` to the clients, faults to `error`."""
        head, shift = order.o.payload, exact_log2(self._config.bus_bytes)
        answered, refused, response = Signal(), Signal(), Signal(2)
        with m.Switch(head.port):
            for p, answer in enumerate(answers):
                with m.Case(p) if p < len(answers) - 1 else m.Default():
                    m.d.comb += [answered.eq(order.o.valid & answer.valid),
                                 response.eq(answer.payload)]
        for p, answer in enumerate(answers):
            m.d.comb += answer.ready.eq(order.o.valid & (head.port == p))
        m.d.comb += [order.o.ready.eq(answered), refused.eq(answered & response[1])]
        for k, client in enumerate(self.clients):
            done = Signal(name=f"done_{k}")
            m.d.sync += done.eq(answered & head.last & (head.client == k) & ~halted & ~refused)
            m.d.comb += client.done.eq(done)

        m.d.sync += self.error.eq((refused | source.fault) & ~halted)
        with m.If(refused | source.fault):
            m.d.sync += halted.eq(1)
        with m.If(refused):
            m.d.sync += [
                self.error_code.eq(
                    Mux(response[0], MemoryFault.WRITE_DECODE, MemoryFault.WRITE_SLAVE)
                ),
                self.error_address.eq(head.address << shift),
            ]
        with m.Else():
            m.d.sync += [
                self.error_code.eq(MemoryFault.WRITE_WINDOW),
                self.error_address.eq(source.fault_address),
            ]
