"""Max pooling: the largest element of each window, and where it stood."""

from amaranth.hdl import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ..arith import flush, greater, is_positive
from ..arith.pipeline import delay, shift_half_even
from .commands import POOL_FORWARD
from .credit_queue import CreditQueue
from .pool_walk import PoolWalk
from .ports import pool_item_bytes

__all__ = ["PoolForward"]

NO_INDEX = 255


class PoolForward(wiring.Component):
    """Read each window's vectors, align them, keep the first largest element of each lane.

    Two walks over the same windows: a scan finds the largest exponent of a window, a few windows
    ahead of the walk that aligns the mantissas to it and compares. fp32 needs no scan. With
    `config.bfp16` a command may be `wide`: mantissas of two digits are aligned and compared.

    Latency and cost: 7 cycles from the last vector of a window to its result; a vector (or a beat
    of a longer one) a cycle; about 60 LUT an element of a beat and 400.
    Golden: `eftrain_hw.golden.maxpool_forward`.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    start : In(1), working : In(1)
    command : In(POOL_FORWARD.struct)
        Stable while working.
    address, word, full, release, scan_address, scan_exponent, scan_full, scan_release
        The reading side of `PoolBuffer`.
    low_word : In(8 * beat), o_low : Out(8 * beat)
        With `config.bfp16`: the word's low digits; those of the results, beside `o_elements`.
    room : In(1), reserve : Out(1), reserve_exponent : Out(1)
        The queues of results.
    o_valid : Out(1), o_elements, o_indices : Out
    o_exponent_valid : Out(1), o_exponent : Out(8)
        Exponents leave earlier than elements.
    band_done : Out(1)
        Pulse: the last vector of a window row has been read.
    """

    def __init__(self, config):
        self._config = config
        beat = pool_item_bytes(config)
        half = exact_log2(config.pool_words) - 1
        self._count = beat // config.element_bytes
        word = data.StructLayout({"elements": 8 * beat, "exponent": 8 * config.has_exponents})
        super().__init__(
            {
                "start": In(1),
                "working": In(1),
                "command": In(POOL_FORWARD.struct),
                "address": Out(half),
                "word": In(word),
                "full": In(1),
                "release": Out(1),
                "scan_address": Out(half - exact_log2(config.beats_per_vector)),
                "scan_exponent": In(8),
                "scan_full": In(1),
                "scan_release": Out(1),
                "room": In(1),
                "reserve": Out(1),
                "reserve_exponent": Out(1),
                "o_valid": Out(1),
                "o_elements": Out(8 * beat),
                "o_indices": Out(8 * self._count),
                "o_exponent_valid": Out(1),
                "o_exponent": Out(8),
                "band_done": Out(1),
            }
            | ({"low_word": In(8 * beat), "o_low": Out(8 * beat)} if config.bfp16 else {})
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.walk = walk = self._walk(m)
        bfp8, bfp16 = self._config.has_exponents, self._config.bfp16
        stages = 4 if bfp8 else 2

        # the largest exponent of the next window
        exponent, known = Signal(8, reset_less=True), C(1, 1)
        if bfp8:
            maxima = self._scan(m)
            known = maxima.o.valid
            m.d.comb += [
                maxima.o.ready.eq(walk.step & walk.first),
                self.reserve_exponent.eq(walk.step & walk.first & (walk.beat == 0)),
                self.o_exponent_valid.eq(self.reserve_exponent),
                self.o_exponent.eq(maxima.o.payload),
            ]
            with m.If(walk.step & walk.first):
                m.d.sync += exponent.eq(maxima.o.payload)

        # walk
        beats = exact_log2(self._config.beats_per_vector)
        m.d.comb += [
            walk.step.eq(self.working & self.full & (~walk.first | (known & self.room))),
            self.reserve.eq(walk.step & walk.first),
            self.release.eq(walk.step & walk.band_last),
            self.band_done.eq(self.release),
            self.address.eq(Cat(walk.beat[:beats], walk.vector)),
        ]
        valid, finished = walk.step, Signal()
        for stage in range(stages):
            late = Signal(name=f"valid_{stage + 1}")
            m.d.sync += late.eq(valid)
            valid = late
        first = delay(m, walk.first, stages, name="first")
        last = delay(m, walk.last, stages, name="last")
        position = delay(m, walk.position, stages, name="position")

        # align, compare
        far, distance = self._distance(m, exponent) if bfp8 else (None, None)
        m.d.sync += [finished.eq(valid & last), self.o_valid.eq(finished)]
        for k in range(self._count):
            if bfp8:
                candidate = self._align(m, k, far, distance)
                best = Signal(candidate.shape(), name=f"best_{k}", reset_less=True)
                larger, positive = candidate > best, best > 0
            else:
                candidate = Signal(32, name=f"candidate_{k}", reset_less=True)
                m.d.sync += candidate.eq(flush(self.word.elements.word_select(k, 32)))
                best = Signal(32, name=f"best_{k}", reset_less=True)
                larger, positive = greater(candidate, best), is_positive(best)
            index = Signal(8, name=f"index_{k}", reset_less=True)
            with m.If(valid & (first | larger)):
                m.d.sync += [best.eq(candidate), index.eq(position)]
            cut = self.command.relu & ~positive
            result = best
            if bfp16:  # m' = 256 * high' + low', with low' from -128 on
                result = Mux(self.command.wide, best[8:] + best[7], best[:8])
                m.d.sync += self.o_low.word_select(k, 8).eq(Mux(cut, 0, best[:8]))
            size = len(self.o_elements) // self._count
            m.d.sync += [
                self.o_elements.word_select(k, size).eq(Mux(cut, 0, result)),
                self.o_indices.word_select(k, 8).eq(Mux(cut, NO_INDEX, index)),
            ]
        return m

    def _walk(self, m):
        walk = PoolWalk(self._config)
        m.d.comb += [
            walk.start.eq(self.start),
            walk.width.eq(self.command.width),
            walk.out_width.eq(self.command.out_width),
            walk.kernel_height.eq(self.command.kernel_height),
            walk.kernel_width.eq(self.command.kernel_width),
        ]
        return walk

    def _scan(self, m):
        """A queue of the windows' largest exponents."""
        m.submodules.scan = scan = self._walk(m)
        m.submodules.maxima = maxima = CreditQueue(shape=8, depth=8)
        m.d.comb += [
            scan.step.eq(self.working & self.scan_full & (~scan.first | maxima.room)),
            maxima.reserve.eq(scan.step & scan.first),
            self.scan_release.eq(scan.step & scan.band_last),
            self.scan_address.eq(scan.vector),
        ]
        read, first, last, found = Signal(), Signal(), Signal(), Signal()
        largest = Signal(8, reset_less=True)
        m.d.sync += [
            read.eq(scan.step),
            first.eq(scan.first),
            last.eq(scan.last),
            found.eq(read & last),
        ]
        with m.If(read & (first | (self.scan_exponent > largest))):
            m.d.sync += largest.eq(self.scan_exponent)
        m.d.comb += [maxima.i_valid.eq(found), maxima.i.eq(largest)]
        return maxima

    def _distance(self, m, exponent):
        gap = Signal(8)
        wide = self.command.wide if self._config.bfp16 else 0
        far = Signal(reset_less=True)
        distance = Signal(4 if self._config.bfp16 else 3, reset_less=True)
        m.d.comb += gap.eq(exponent - self.word.exponent)
        m.d.sync += [far.eq(gap[4:].any() | (gap[3] & ~wide)), distance.eq(gap)]
        return far, distance

    def _align(self, m, lane, far, distance):
        element = self.word.elements.word_select(lane, 8).as_signed()
        if self._config.bfp16:
            low = self.low_word.word_select(lane, 8).as_signed()
            both = Signal(signed(16), name=f"both_{lane}")
            m.d.comb += both.eq(Mux(self.command.wide, (element << 8) + low, element))
            element = both
        element = delay(m, element, 1, name=f"element_{lane}")
        quotient = Signal(element.shape(), name=f"quotient_{lane}", reset_less=True)
        up = Signal(name=f"up_{lane}", reset_less=True)
        aligned = Signal(element.shape(), name=f"aligned_{lane}", reset_less=True)
        value, carry = shift_half_even(element, distance)
        m.d.sync += [quotient.eq(value), up.eq(carry), aligned.eq(quotient + up)]
        with m.If(far):
            m.d.sync += [quotient.eq(0), up.eq(0)]
        return aligned
