"""bfp8 encoder of a vector that arrives in beats."""

from amaranth.hdl import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .pipeline import delay, largest, largest_cycles, shift_half_even, shift_parts

__all__ = ["VectorQuantise"]


def _kept(digits):
    """What the encoder keeps of a binary32 number: hidden bit, fraction bits, guard, sticky."""
    return data.StructLayout({"significand": 1 + 8 * digits, "exponent": 8, "sign": 1})


class VectorQuantise(wiring.Component):
    """Encode vectors of binary32 numbers to bfp8 at full rate.

    A vector is `lanes / parallel` beats of `parallel` numbers; beats are counted from reset, and
    cycles without `i_valid` may lie anywhere. Its mantissas leave in the same beats and in
    consecutive cycles, with the vector's exponent beside each of them::

        i_valid     1  1  1  1  1  1  1  1
        i           a0 a1 a2 a3 b0 b1 b2 b3 ...
        o           .. .. .. .. .. .. .. .. .. a0 a1 a2 a3 b0 b1 b2 b3
                             |--- latency ---|

    There is no backpressure: vectors may follow each other without a gap. With two digits, `low`
    beside each beat of a vector asks for bfp16's low digits in place of the high ones.

    Latency and cost: `latency` cycles, counted from the last beat of a vector to its first beat
    out; one beat a cycle; about 75 LUT a number and 18 bits of distributed RAM, with two digits
    115 LUT and 26 bits.
    Golden: `eftrain_hw.formats.BFP8.encode`, `BFP16.encode`.

    Parameters
    ----------
    lanes : int
        Numbers of a vector: a power of two, 1 to 64.
    parallel : int
        Numbers of a beat; a power of two, at most `lanes`.
    digits : int
        1, or 2 for bfp16.

    Members
    -------
    i_valid : In(1)
    low : In(1), o_low : Out(1)
        With two digits; `o_low` beside each beat out.
    i : In(ArrayLayout(32, parallel))
        Raw bits.
    o_valid : Out(1)
    o : Out(ArrayLayout(signed(8), parallel))
    o_exponent : Out(8)
    o_first, o_last : Out(1)
        First and last beat of a vector; only meaningful with `o_valid`.
    o_nonfinite : Out(1)
        Strobe in the first beat of a vector that holds an infinity or a NaN.

    Raises
    ------
    TypeError, ValueError
    """

    def __init__(self, *, lanes, parallel, digits=1):
        for name, value in (("lanes", lanes), ("parallel", parallel), ("digits", digits)):
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"VectorQuantise {name} must be an int, not {value!r}")
        if lanes not in (1, 2, 4, 8, 16, 32, 64):
            raise ValueError(f"VectorQuantise lanes must be a power of two, 1 to 64, not {lanes!r}")
        if parallel < 1 or parallel > lanes or parallel & (parallel - 1):
            raise ValueError(
                "VectorQuantise parallel must be a power of two, 1 to lanes"
                f" ({lanes}), not {parallel!r}"
            )
        if digits not in (1, 2):
            raise ValueError(f"VectorQuantise digits must be 1 or 2, not {digits!r}")
        self._lanes = lanes
        self._parallel = parallel
        self._digits = digits
        super().__init__(
            {
                "i_valid": In(1),
                "i": In(data.ArrayLayout(32, parallel)),
                "o_valid": Out(1),
                "o": Out(data.ArrayLayout(signed(8), parallel)),
                "o_exponent": Out(8),
                "o_first": Out(1),
                "o_last": Out(1),
                "o_nonfinite": Out(1),
            }
            | ({"low": In(1), "o_low": Out(1)} if digits == 2 else {})
        )

    @property
    def lanes(self):
        return self._lanes

    @property
    def parallel(self):
        return self._parallel

    @property
    def digits(self):
        return self._digits

    @property
    def beats(self):
        """Beats of a vector."""
        return self._lanes // self._parallel

    @property
    def latency(self):
        """Cycles from the last beat of a vector to its first beat out."""
        return 6 + largest_cycles(self._parallel)

    def elaborate(self, platform):
        m = Module()
        parallel, beats = self._parallel, self.beats

        # 1: what is kept of each number, its block exponent
        layout, cut = _kept(self._digits), 24 - 8 * self._digits
        kept = [Signal(layout, name=f"kept_{k}", reset_less=True) for k in range(parallel)]
        needs = [Signal(8, name=f"need_{k}", reset_less=True) for k in range(parallel)]
        nonfinite = Signal(reset_less=True)
        m.d.sync += nonfinite.eq(Cat(self.i[k][23:31].all() for k in range(parallel)).any())
        for number, keep, need in zip(self.i, kept, needs):
            exponent, top = number[23:31], number[16:23]
            huge = exponent[1:].all()
            saturate = huge & (exponent[0] | top.all())
            normal = exponent.any()
            m.d.sync += [
                keep.sign.eq(number[31]),
                keep.exponent.eq(Cat(exponent[0] & ~saturate, exponent[1:])),
                keep.significand.eq(
                    Mux(
                        saturate,
                        C(0b1111111 << (8 * self._digits - 6), 1 + 8 * self._digits),
                        Cat(number[:cut].any(), number[cut:23], normal)
                        & normal.replicate(1 + 8 * self._digits),
                    )
                ),
                need.eq(Mux(saturate, 254, exponent + (top.all() & normal))),
            ]
        valid = Signal()
        m.d.sync += valid.eq(self.i_valid)

        # 2: largest exponent of the beat
        cycles = largest_cycles(parallel)
        beat_exponent = largest(m, needs, name="largest")
        beat_nonfinite = delay(m, nonfinite, cycles, name="nonfinite_late")
        packed = Cat(kept)
        if self._digits == 2:
            packed = Cat(kept, delay(m, self.low, 1, name="low"))
        packed = delay(m, packed, cycles, name="packed_late")
        for stage in range(cycles):
            late = Signal(name=f"valid_late_{stage + 1}")
            m.d.sync += late.eq(valid)
            valid = late

        # 3: largest exponent of the vector so far; the beat goes to its place in the buffer
        count = Signal(range(max(2, beats)))
        first, last = count == 0, count == beats - 1
        running = Signal(8, reset_less=True)
        running_nonfinite = Signal(reset_less=True)
        done = Signal()
        m.d.sync += done.eq(valid & last)
        with m.If(valid):
            m.d.sync += [
                count.eq(Mux(last, 0, count + 1)),
                running.eq(Mux(first | (beat_exponent > running), beat_exponent, running)),
                running_nonfinite.eq(beat_nonfinite | (running_nonfinite & ~first)),
            ]

        # 4: the beats of a complete vector, one a cycle
        place = Signal.like(count)
        reading, ending = done | (place != 0), place == beats - 1
        with m.If(reading):
            m.d.sync += place.eq(Mux(ending, 0, place + 1))
        beat = Signal(len(packed), reset_less=True)
        m.d.sync += beat.eq(self._buffer(m, packed, valid, count, place))
        common, common_nonfinite = Signal(8, reset_less=True), Signal(reset_less=True)
        with m.If(done):
            m.d.sync += [common.eq(running), common_nonfinite.eq(running_nonfinite)]
        flags = Signal(3)
        m.d.sync += flags.eq(Cat(reading, done, ending))

        # 5-7: distance, shift, round
        for k in range(parallel):
            keep = data.View(layout, beat.word_select(k, layout.size))
            if self._digits == 2:
                rounded = self._round_digit(m, keep, common, beat[-1], lane=k)
            else:
                rounded = self._round(m, keep, common, lane=k)
            m.d.sync += self.o[k].eq(rounded)
        m.d.sync += self.o_exponent.eq(delay(m, common, 2, name="exponent_late"))
        if self._digits == 2:
            m.d.sync += self.o_low.eq(delay(m, beat[-1], 2, name="low_late"))
        for stage in range(2):
            late = Signal(3, name=f"flags_late_{stage + 1}")
            m.d.sync += late.eq(flags)
            flags = late
        strobe = delay(m, common_nonfinite, 2, name="common_nonfinite_late")
        m.d.sync += [
            self.o_valid.eq(flags[0]),
            self.o_first.eq(flags[1]),
            self.o_last.eq(flags[2]),
            self.o_nonfinite.eq(flags[1] & strobe),
        ]
        return m

    def _buffer(self, m, packed, write, write_place, read_place):
        """Beats by their place. A place may be written in the cycle in which it is read for the
        last time, so one vector's places are enough for vectors without a gap."""
        if self.beats == 1:
            return delay(m, packed, 1, name="beat_late")
        m.submodules.buffer = buffer = Memory(shape=len(packed), depth=self.beats, init=[])
        write_port, read_port = buffer.write_port(), buffer.read_port(domain="comb")
        m.d.comb += [
            write_port.en.eq(write),
            write_port.addr.eq(write_place),
            write_port.data.eq(packed),
            read_port.addr.eq(read_place),
        ]
        return read_port.data

    @staticmethod
    def _round(m, keep, common, *, lane):
        """RNE(significand / 2^(2 + common - exponent)) with its sign, two cycles after `keep`."""
        gap = Signal(8, name=f"gap_{lane}")
        far = Signal(name=f"far_{lane}", reset_less=True)
        distance = Signal(3, name=f"distance_{lane}", reset_less=True)
        m.d.comb += gap.eq(common - keep.exponent)
        m.d.sync += [far.eq(gap[3:].any()), distance.eq(gap[:3])]

        significand = delay(m, keep.significand, 1, name=f"significand_{lane}")
        quotient = Signal(7, name=f"quotient_{lane}", reset_less=True)
        up = Signal(name=f"up_{lane}", reset_less=True)
        value, carry = shift_half_even(significand, distance, drop=2)
        m.d.sync += [quotient.eq(value), up.eq(carry)]
        with m.If(far):
            m.d.sync += [quotient.eq(0), up.eq(0)]

        sign = delay(m, keep.sign, 2, name=f"sign_{lane}")
        return (Cat(quotient, C(0, 1)) ^ sign.replicate(8)) + (up ^ sign)

    @staticmethod
    def _round_digit(m, keep, common, low, *, lane):
        """The high digit as in `_round`, or what it leaves, rounded to a 256th of its unit."""
        gap = Signal(8, name=f"gap_{lane}")
        far = Signal(name=f"far_{lane}", reset_less=True)
        distance = Signal(4, name=f"distance_{lane}", reset_less=True)
        m.d.comb += gap.eq(common - keep.exponent)
        none = low & ~common[3:].any()  # too small an exponent for low digits
        m.d.sync += [far.eq(gap[4:].any() | none), distance.eq(gap[:4])]

        significand = delay(m, keep.significand, 1, name=f"significand_{lane}")
        quotient = Signal(15, name=f"quotient_{lane}", reset_less=True)
        up, exact = (Signal(name=f"{n}_{lane}", reset_less=True) for n in ("up", "exact"))
        value, guard, sticky = shift_parts(significand, distance, drop=2)
        m.d.sync += [
            quotient.eq(value),
            up.eq(guard & (sticky | value[0])),
            exact.eq(~(guard | sticky)),
        ]
        with m.If(far):
            m.d.sync += [quotient.eq(0), up.eq(0), exact.eq(1)]

        sign, low = delay(m, Cat(keep.sign, low), 2, name=f"sign_{lane}")
        top, half, rest = quotient[8:], quotient[7], quotient[:7]
        up_high = half & (rest.any() | ~exact | top[0])
        limited = (half & ~rest.any() & ~up) | (~half & rest.all() & up)  # 128
        least = Mux(sign ^ up_high, C(-127, 8), C(127, 8))
        digit = Mux(low, quotient[:8], Cat(top, C(0, 1)))
        total = (digit ^ sign.replicate(8)) + (Mux(low, up, up_high) ^ sign)
        return Mux(low & limited, least, total[:8])
