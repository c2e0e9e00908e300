"""Asynchronous serial line, 8 data bits, no parity, one stop bit."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["UartReceiver", "UartTransmitter", "baud_step"]

_PHASE_BITS = 16


def baud_step(clock_hz, baud):
    """What a phase of 16 bits gains a cycle so that it overflows once a bit.

    Bit edges are at most a cycle off, their rate is right to 1 / 2^17 of the clock.

    Raises
    ------
    TypeError, ValueError
        A bit must last at least four cycles.
    """
    for name, value in (("clock_hz", clock_hz), ("baud", baud)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"Uart {name} must be int, not {value!r}")
    if not 1 <= baud <= clock_hz // 4:
        raise ValueError(
            f"Uart baud must be 1 to a quarter of the clock ({clock_hz} Hz), not {baud!r}"
        )
    step = round((baud << _PHASE_BITS) / clock_hz)
    if abs(step * clock_hz / (baud << _PHASE_BITS) - 1) > 0.01:
        raise ValueError(
            f"Uart baud must be at least {-(-50 * clock_hz >> _PHASE_BITS)} for a clock of"
            f" {clock_hz} Hz, not {baud!r}"
        )
    return step


class UartReceiver(wiring.Component):
    """Bytes from a serial line.

    The start bit is looked for on every cycle and confirmed in its middle; a byte whose stop bit
    is 0 is dropped. A byte that is not taken within the time of the next one is lost.

    Latency and cost: a byte comes half a bit before the end of its stop bit; about 50 LUTs.

    Parameters
    ----------
    clock_hz, baud : int

    Members
    -------
    rx : In(1)
        The line; asynchronous, 1 at rest.
    o : Out(stream(8))

    Raises
    ------
    TypeError, ValueError
        See `baud_step`.
    """

    def __init__(self, *, clock_hz, baud):
        self._step = baud_step(clock_hz, baud)
        self._clock_hz, self._baud = clock_hz, baud
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(8))})

    @property
    def clock_hz(self):
        return self._clock_hz

    @property
    def baud(self):
        return self._baud

    def elaborate(self, platform):
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, line, init=1)
        phase, tick = Signal(_PHASE_BITS), Signal()
        bits = Signal(9)  # bits that have come, the last one highest; the start bit reaches 0
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        m.d.sync += Cat(phase, tick).eq(phase + self._step)
        half = 1 << _PHASE_BITS - 1
        with m.FSM():
            with m.State("REST"):
                m.d.sync += [Cat(phase, tick).eq(half + self._step), bits.eq(0x1FF)]
                with m.If(~line):
                    m.next = "START"
            with m.State("START"):
                with m.If(tick):
                    m.d.sync += bits.eq(Cat(bits[1:], line))
                    m.next = "DATA"
                    with m.If(line):  # a spike
                        m.next = "REST"
            with m.State("DATA"):
                with m.If(tick):
                    with m.If(bits[0]):
                        m.d.sync += bits.eq(Cat(bits[1:], line))
                    with m.Else():
                        with m.If(line):
                            m.d.sync += [self.o.payload.eq(bits[1:]), self.o.valid.eq(1)]
                            m.next = "REST"
                        with m.Else():
                            m.next = "BREAK"
            with m.State("BREAK"):
                with m.If(line):
                    m.next = "REST"
        return m


class UartTransmitter(wiring.Component):
    """Bytes to a serial line, without a gap while bytes are there.

    Latency and cost: the start bit begins 1 cycle after a byte is taken at rest; about 40 LUTs.

    Parameters
    ----------
    clock_hz, baud : int

    Members
    -------
    i : In(stream(8))
    tx : Out(1)
        The line, from a register; 1 at rest.

    Raises
    ------
    TypeError, ValueError
        See `baud_step`.
    """

    def __init__(self, *, clock_hz, baud):
        self._step = baud_step(clock_hz, baud)
        self._clock_hz, self._baud = clock_hz, baud
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    @property
    def clock_hz(self):
        return self._clock_hz

    @property
    def baud(self):
        return self._baud

    def elaborate(self, platform):
        m = Module()
        phase, tick, sending = Signal(_PHASE_BITS), Signal(), Signal()
        bits = Signal(9)  # still to send, the stop bit last
        m.d.comb += self.i.ready.eq(~sending | (tick & (bits == 0)))
        with m.If(sending):
            m.d.sync += Cat(phase, tick).eq(phase + self._step)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [self.tx.eq(0), bits.eq(Cat(self.i.payload, 1)), sending.eq(1)]
            with m.If(~sending):
                m.d.sync += Cat(phase, tick).eq(self._step)
        with m.Elif(sending & tick):
            with m.If(bits == 0):
                m.d.sync += sending.eq(0)
            with m.Else():
                m.d.sync += [self.tx.eq(bits[0]), bits.eq(bits >> 1)]
        return m
