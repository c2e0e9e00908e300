"""The requests of all clients as one sequence of bursts, checked against the window."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from ..streams.ports import read_request
from ..streams.register import Register
from .burst_splitter import BurstSplitter

__all__ = ["BurstSource", "burst_words"]

_CROWD = 32  # bus words


def burst_words(config):
    """Bus words of the longest burst of one port."""
    words = config.max_burst_beats // config.ports
    if words < 1:
        raise ValueError(
            f"AcceleratorConfig.max_burst_beats must be at least ports ({config.ports}),"
            f" not {config.max_burst_beats!r}"
        )
    return words


class BurstSource(wiring.Component):
    """Takes requests from the clients in turn, checks each, splits it into bursts.

    A request outside the window is dropped, reported once, and nothing is taken any more until a
    reset: no part of it leaves. All bursts of one request stand together.

    The client whose turn it is is chosen a cycle before its request is taken, so that its `ready`
    comes from few registers. The turn stays where it is while nobody asks. The `urgent` client
    comes next whenever it asks: it asks for little, and not for more until that has come. For it
    the others are taken only while few bus words are in here.

    Latency and cost: 5 cycles from request to burst, 4 for the client that was served last; a
    request a cycle, a burst a cycle.

    Parameters
    ----------
    config : AcceleratorConfig
    clients : int
    urgent : int or None
        Number of a client.

    Members
    -------
    requests : In(stream(read_request)).array(clients)
    window_base, window_limit : In(address_bits)
        First byte that may be touched, first byte after the last; change them only while idle.
    hold : In(1)
        Takes no request and passes none on (bursts that are split already remain).
    bursts : Out(stream of {address, beats, last, tag})
        `address` in bus words, `beats` bus words (at most `burst_words(config)`), `last` burst of
        its request, `tag` number of the client.
    fault : Out(1)
        Pulse: a request was outside the window.
    fault_address : Out(address_bits)
        Its byte address, in the same cycle.
    """

    def __init__(self, config, clients, *, urgent=None):
        self._config, self._clients, self._urgent = config, clients, urgent
        self._shift = exact_log2(config.bus_bytes)
        self._word_bits = config.address_bits - self._shift
        self._splitter = BurstSplitter(
            word_bits=self._word_bits,
            count_bits=9,
            size=burst_words(config),
            tag_bits=ceil_log2(clients),
        )
        request = read_request(config)
        super().__init__(
            {
                "requests": In(stream.Signature(request)).array(clients),
                "window_base": In(config.address_bits),
                "window_limit": In(config.address_bits),
                "hold": In(1),
                "bursts": Out(stream.Signature(self._splitter.o.payload.shape())),
                "fault": Out(1),
                "fault_address": Out(config.address_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        clients, shift = self._clients, self._shift
        m.submodules.splitter = splitter = self._splitter

        stage = data.StructLayout(
            {"address": self._word_bits, "beats": 9, "client": range(max(2, clients))}
        )
        checked = Signal(stage, name="checked", reset_less=True)
        checked_valid, checked_ready, halted = Signal(), Signal(), Signal()
        # cuts the way of `ready`, from the ports' credits back into the clients
        m.submodules.asked = asked = Register(stage)

        # in turn: the first of the clients after the one whose turn it is, else the first of all;
        # the one that is being served may well have another request
        wanting, later, first, turn, after = (
            Signal(clients, name=n) for n in ("wanting", "later", "first", "turn", "after")
        )
        open_, asks, passes, moves = (Signal(name=n) for n in ("open", "asks", "passes", "moves"))
        chosen = Signal(range(max(2, clients)), reset_less=True)  # the number of `turn`
        m.d.comb += [
            wanting.eq(Cat(request.valid for request in self.requests)),
            later.eq(wanting & after),
            asks.eq((wanting & turn).any()),
            open_.eq(asked.i.ready & ~self.hold & ~halted),
            asked.i.valid.eq(asks & passes & ~self.hold & ~halted),
            asked.i.payload.client.eq(chosen),
            Cat(request.ready for request in self.requests).eq(
                turn & (open_ & passes).replicate(clients)
            ),
            # both choices before it is known which one counts: fewer levels
            first.eq(Mux(later.any(), _lowest(later), _lowest(wanting))),
            passes.eq(1),
            moves.eq(open_ | ~asks),
        ]
        if self._urgent is not None:
            crowded = self._crowded(m, asked.i, splitter.o)
            m.d.comb += passes.eq(~crowded | turn[self._urgent])
            with m.If(wanting[self._urgent]):
                m.d.comb += [first.eq(1 << self._urgent), moves.eq(open_ | ~asks | ~passes)]
            with m.Elif(~passes):
                m.d.comb += moves.eq(~asks)
        with m.If(wanting.any() & moves):
            m.d.sync += [
                turn.eq(first),
                after.eq(Cat(first[:k].any() for k in range(clients))),
            ]
            for bit in range(len(chosen)):
                one = Cat(first[k] for k in range(clients) if k >> bit & 1)
                m.d.sync += chosen[bit].eq(one.any())
        with m.Switch(chosen):
            for k, request in enumerate(self.requests):
                with m.Case(k) if k < clients - 1 else m.Default():
                    m.d.comb += [
                        asked.i.payload.address.eq(request.payload.address[shift:]),
                        asked.i.payload.beats.eq(request.payload.beats),
                    ]

        # the window: the beginning here, the end a stage later
        low = Signal(reset_less=True)
        end = Signal(self._word_bits + 1, reset_less=True)
        outside, passed = Signal(), Signal()
        m.d.comb += [
            asked.o.ready.eq(checked_ready),
            checked_ready.eq((~checked_valid | passed) & ~self.hold & ~halted),
            outside.eq(low | (end > self.window_limit[shift:])),
            passed.eq(splitter.i.ready & ~outside & ~self.hold & ~halted),
            splitter.i.valid.eq(checked_valid & ~outside & ~self.hold & ~halted),
            splitter.i.payload.address.eq(checked.address),
            splitter.i.payload.beats.eq(checked.beats),
            splitter.i.payload.tag.eq(checked.client),
        ]
        with m.If(checked_ready):
            m.d.sync += [
                checked_valid.eq(asked.o.valid),
                checked.eq(asked.o.payload),
                low.eq((asked.o.payload.address << shift) < self.window_base),
                end.eq(asked.o.payload.address + asked.o.payload.beats),
            ]
        m.d.sync += self.fault.eq(0)
        with m.If(checked_valid & outside & ~self.hold & ~halted):
            m.d.sync += [
                halted.eq(1),
                self.fault.eq(1),
                self.fault_address.eq(checked.address << shift),
            ]
        wiring.connect(m, splitter.o, wiring.flipped(self.bursts))
        return m

    @staticmethod
    def _crowded(m, taken, bursts):
        """Whether more words are between the clients and the ports than a few bursts hold.

        What leaves counts a cycle late: the ports' credits decide it late in a cycle.
        """
        inside, crowded = Signal(11), Signal()
        following, left = Signal.like(inside), Signal.like(bursts.payload.beats)
        m.d.comb += following.eq(
            inside + Mux(taken.valid & taken.ready, taken.payload.beats, 0) - left
        )
        m.d.sync += [
            left.eq(Mux(bursts.valid & bursts.ready, bursts.payload.beats, 0)),
            inside.eq(following),
            crowded.eq(following[exact_log2(_CROWD):] != 0),
        ]
        return crowded


def _lowest(bits):
    """The lowest bit that is set, alone."""
    return Cat(bits[k] & ~bits[:k].any() for k in range(len(bits)))
