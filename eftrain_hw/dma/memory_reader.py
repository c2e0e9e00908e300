"""All reads of the core: requests of several clients in, bursts on the AXI ports out."""

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ..streams.ports import ReadClient
from ..streams.queue import Queue
from .axi import AxiRead
from .burst_source import BurstSource, burst_words
from .faults import MemoryFault
from .port_credits import PortCredits

__all__ = ["MemoryReader"]

BURSTS_IN_FLIGHT = 32
AHEAD_WORDS = 128  # that a port may owe: enough for some 150 cycles of latency


class MemoryReader(wiring.Component):
    """Arbitrates read requests, spreads bursts over the ports, returns data in request order.

    Each burst lies on one port and holds whole bus words; it starts only when the port's queue has
    room for all of it, so `rready` is always 1. The port with the most room gets the next burst.
    Beats of a port are put together to bus words, and words leave in the order of the requests, at
    most one a cycle.

        client     request A (bursts A0 A1)  request B
        port 0     AR A0 | A0 A0 A0 A0 | AR B ...          queue 0 -.
        port 1     AR A1 | A1 A1 A1 A1                     queue 1 -+-> A0 A0 A1 A1 B ... -> client

    Abort: from the cycle in which `abort` rises no address is sent that was not offered already
    and nothing is handed to clients that matters (they are in reset); data of outstanding reads
    go into the queues, where their room is reserved. `drained` rises when none is outstanding, then
    everything is held in reset until `abort` falls. `abort` must stay until `drained`.

    A faulty request or response: `error` pulses once, nothing new is issued and no data leave from
    then on until an abort.

    Latency and cost: 6 cycles from a request to `arvalid` (5 for the client that was served last),
    4 from the last beat of a word to the client, `bus_bytes` a cycle; with 6 clients and 2 ports
    about 690 LUTs, 4 RAMB36 (2 a port).

    Parameters
    ----------
    config : AcceleratorConfig
    clients : int
    urgent : int or None
        Number of a client that is served before the others.

    Members
    -------
    clients : In(ReadClient(config)).array(clients)
        A client has room for all that it asks for; one that makes its data wait holds up all.
    axi : Out(AxiRead(...)).array(ports)
    window_base, window_limit : In(address_bits)
        Bytes that may be read: window_base <= address, end <= window_limit.
    abort : In(1)
    drained : Out(1)
    error : Out(1)
        Pulse; `error_code` and `error_address` (of the request or of the burst) go with it.
    error_code : Out(3)
        MemoryFault.READ_SLAVE, READ_DECODE or READ_WINDOW.
    error_address : Out(address_bits)

    Raises
    ------
    ValueError
        No client, or bursts shorter than the number of ports.
    """

    def __init__(self, config, clients, *, urgent=None):
        if not isinstance(clients, int) or isinstance(clients, bool):
            raise TypeError(f"MemoryReader clients must be int, not {clients!r}")
        if clients < 1:
            raise ValueError(f"MemoryReader clients must be at least 1, not {clients!r}")
        if urgent is not None and not 0 <= urgent < clients:
            raise ValueError(
                f"MemoryReader urgent must be a client, 0 to {clients - 1}, not {urgent!r}"
            )
        self._config, self._clients, self._urgent = config, clients, urgent
        self._words = burst_words(config)
        super().__init__(
            {
                "clients": In(ReadClient(config)).array(clients),
                "axi": Out(AxiRead(config.address_bits, config.axi)).array(config.ports),
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

    @property
    def ahead_words(self):
        """Bus words that one port may owe: enough to hide its latency, and no more, because what
        is asked for next comes behind them."""
        return max(2 * self._words, AHEAD_WORDS)

    def elaborate(self, platform):
        m = Module()
        clear, idle, drained = Signal(), Signal(), Signal()
        core = Module()
        m.submodules.core = ResetInserter(clear)(core)
        m.d.comb += [clear.eq(self.abort & drained), self.drained.eq(clear)]
        m.d.sync += drained.eq(self.abort & idle)

        halted, hold = Signal(), Signal()
        core.submodules.source = source = BurstSource(
            self._config, self._clients, urgent=self._urgent
        )
        core.submodules.credits = credits = PortCredits(
            ports=self._config.ports, depth=self.ahead_words, most=self._words
        )
        burst = source.bursts.payload
        entry = data.StructLayout(
            {
                "client": self._clients,  # one hot
                "port": credits.port.shape(),
                "address": burst.address.shape(),
                "last": range(max(2, self._words)),
            }
        )
        core.submodules.order = order = Queue(entry, BURSTS_IN_FLIGHT, storage="distributed")
        for client, request in zip(self.clients, source.requests):
            wiring.connect(core, wiring.flipped(client).request, request)
        core.d.comb += [
            source.window_base.eq(self.window_base),
            source.window_limit.eq(self.window_limit),
            source.hold.eq(hold),
        ]
        core.d.sync += hold.eq(self.abort | halted)  # what is taken in between stays in the source
        busy = self._issue(core, source, credits, order, self.abort | halted)
        words = [self._receive(core, p) for p in range(self._config.ports)]
        core.d.comb += idle.eq(~busy)
        self._deliver(core, source, credits, order, words, halted)
        return m

    def _issue(self, m, source, credits, order, stop):
        """Bursts to the AR channels; returns whether any address or data is outstanding."""
        ports, shift = self._config.ports, exact_log2(self._config.bus_bytes)
        burst = source.bursts
        waiting = Signal(ports)
        issue = Signal()
        minus_one = Signal(range(max(2, self._words)))
        m.d.comb += [
            waiting.eq(Cat(axi.arvalid for axi in self.axi)),
            issue.eq(
                burst.valid & order.i.ready & credits.room
                & ~waiting.bit_select(credits.port, 1) & ~stop
            ),
            burst.ready.eq(issue),
            minus_one.eq(burst.payload.beats - 1),
            credits.take.eq(issue),
            credits.words.eq(burst.payload.beats),
            order.i.valid.eq(issue),
            order.i.payload.client.eq(1 << burst.payload.tag),
            order.i.payload.port.eq(credits.port),
            order.i.payload.address.eq(burst.payload.address),
            order.i.payload.last.eq(minus_one),
        ]
        outstanding = []
        for p, axi in enumerate(self.axi):
            count = Signal(range(BURSTS_IN_FLIGHT + 2), name=f"outstanding_{p}")
            begin, end = Signal(name=f"begin_{p}"), Signal(name=f"end_{p}")
            m.d.comb += [
                begin.eq(issue & (credits.port == p)),
                end.eq(axi.rvalid & axi.rlast),
                axi.rready.eq(1),
            ]
            m.d.sync += count.eq(count + begin - end)
            with m.If(begin):
                m.d.sync += [
                    axi.arvalid.eq(1),
                    axi.araddr.eq(burst.payload.address << shift),
                    axi.arlen.eq(Cat(Const(ports - 1, exact_log2(ports)), minus_one)),
                ]
            with m.Elif(axi.arready):
                m.d.sync += axi.arvalid.eq(0)
            outstanding.append(count.any())
        return Cat(outstanding).any()

    def _receive(self, m, p):
        """The queue of bus words of port p."""
        axi, parts = self.axi[p], self._config.ports
        word = Signal(data.StructLayout({"data": data.ArrayLayout(64, parts), "response": 2}),
                      name=f"word_{p}", reset_less=True)
        valid = Signal(name=f"word_valid_{p}")
        part = Signal(range(max(2, parts)), name=f"part_{p}")
        m.d.sync += valid.eq(axi.rvalid & (part == parts - 1))
        with m.If(axi.rvalid):
            m.d.sync += part.eq(0 if parts == 1 else part + 1)
            for k in range(parts):
                with m.If(part == k):
                    m.d.sync += word.data[k].eq(axi.rdata)
            # the first refusal among the beats of a word stays; OKAY and EXOKAY are 0 here
            with m.If((part == 0) | ~word.response[1]):
                m.d.sync += word.response.eq(axi.rresp & axi.rresp[1].replicate(2))
        queue = Queue(word.shape(), self.queue_words, storage="block")
        m.submodules[f"queue_{p}"] = queue
        m.d.comb += [queue.i.valid.eq(valid), queue.i.payload.eq(word)]
        return queue.o

    def _deliver(self, m, source, credits, order, words, halted):
        """Words from the queues to the clients, in order; faults to `error`."""
        clients = self._clients
        head = order.o.payload
        index = Signal(head.last.shape())
        target = Signal(clients)
        value = Signal(8 * self._config.bus_bytes, name="value", reset_less=True)
        word = Signal(words[0].payload.shape())
        available, free, move, refused = Signal(), Signal(), Signal(), Signal()
        with m.Switch(head.port):
            for p, queue in enumerate(words):
                with m.Case(p) if p < len(words) - 1 else m.Default():
                    m.d.comb += [word.eq(queue.payload), available.eq(queue.valid)]
        for p, queue in enumerate(words):
            m.d.comb += [queue.ready.eq(move & (head.port == p)), credits.give[p].eq(queue.ready)]
        ready = Cat(client.data.ready for client in self.clients)
        m.d.comb += [
            free.eq(~(target & ~ready).any()),
            move.eq(order.o.valid & available & free & ~halted),
            order.o.ready.eq(move & (index == head.last)),
            refused.eq(move & word.response[1]),
        ]
        with m.If(free):
            good = move & ~word.response[1]
            m.d.sync += [value.eq(word.data), target.eq(head.client & good.replicate(clients))]
        with m.If(move):
            m.d.sync += index.eq(Mux(index == head.last, 0, index + 1))
        for k, client in enumerate(self.clients):
            m.d.comb += [client.data.payload.eq(value), client.data.valid.eq(target[k])]

        # the first thing that goes wrong; bursts that are on their way still come and are dropped
        shift = exact_log2(self._config.bus_bytes)
        m.d.sync += self.error.eq((refused | source.fault) & ~halted)
        with m.If(refused | source.fault):
            m.d.sync += halted.eq(1)
        with m.If(refused):
            m.d.sync += [
                self.error_code.eq(
                    Mux(word.response[0], MemoryFault.READ_DECODE, MemoryFault.READ_SLAVE)
                ),
                self.error_address.eq(head.address << shift),
            ]
        with m.Else():
            m.d.sync += [
                self.error_code.eq(MemoryFault.READ_WINDOW),
                self.error_address.eq(source.fault_address),
            ]
