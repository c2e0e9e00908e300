"""Fetches the descriptors of a layer program, one ahead of the one that runs."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..streams.ports import ReadClient
from .errors import PROGRAM_ERRORS
from .program_format import HEADER_WORDS, MAGIC, REQUEST_BEATS, VERSION

__all__ = ["DescriptorFetch", "fetched_descriptor"]

LINE_BYTES = 64
WORD_BYTES = 4


def fetched_descriptor(config):
    """A descriptor in one half of the descriptor memory; the rest counts only if `error` is 0."""
    half = config.descriptor_words // 2
    return data.StructLayout(
        {
            "tag": 32,
            "error": 8,
            "half": 1,
            "words": range(half + 1),
            "last": 1,
        }
    )


class DescriptorFetch(wiring.Component):
    """Reads descriptors into the two halves of the descriptor memory in turn, and checks them.

    From `start` on: the line with the header, its checks (magic, version, length), the rest in
    requests of at most `REQUEST_BEATS` beats, the checksum; then the descriptor, or the code of
    what is wrong with it, is offered. Once it is taken the next is fetched into the other half,
    which is free by then: whoever takes a descriptor has finished the one before. Stops after the
    last descriptor and after an error. Where `program_address` says how long the first descriptor
    is, nothing waits for its header: all of it is asked for at once.

    Latency and cost: the requests follow each other in 2 cycles, a bus beat a cycle while data
    come; about 420 LUT with 16-byte beats, half of it the checksum.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    start : In(1)
        Pulse while idle.
    program_address : In(address_bits)
        Byte address of a line, read at `start`; its low 6 bits: lines that the first descriptor
        takes, or 0. Another number than its header says is a bad length (0 where it does not fit).
    memory : Out(ReadClient)
    write_enable, write_address, write_data : Out
        To the descriptor memory, one bus beat wide.
    descriptor : Out(stream(fetched_descriptor))
    """

    def __init__(self, config):
        self._config = config
        beat_words = config.bus_bytes // WORD_BYTES
        beats = config.descriptor_words // beat_words
        super().__init__(
            {
                "start": In(1),
                "program_address": In(config.address_bits),
                "memory": Out(ReadClient(config)),
                "write_enable": Out(1),
                "write_address": Out(range(beats)),
                "write_data": Out(8 * config.bus_bytes),
                "descriptor": Out(stream.Signature(fetched_descriptor(config))),
            }
        )

    @property
    def config(self):
        return self._config

    def elaborate(self, platform):
        m = Module()
        config = self._config
        beat_words = config.bus_bytes // WORD_BYTES
        half_words = config.descriptor_words // 2
        line_beats = LINE_BYTES // config.bus_bytes
        beat_shift = (config.bus_bytes - 1).bit_length()
        line_shift = (LINE_BYTES - 1).bit_length()
        code = {name: number for name, (number, _) in PROGRAM_ERRORS.items()}

        address = Signal(config.address_bits, reset_less=True)
        beats = Signal(range(REQUEST_BEATS + 1), reset_less=True)  # of this request
        awaited = Signal(range(half_words // beat_words + 1))
        unasked = Signal(range(half_words // beat_words + 1), reset_less=True)
        received = Signal(range(half_words // beat_words), reset_less=True)  # beats in the half
        left = Signal(range(half_words + 1), reset_less=True)  # words that are still to come
        header = Signal(reset_less=True)
        bad_magic = Signal(reset_less=True)
        bad_version = Signal(reset_less=True)
        bad_length = Signal(reset_less=True)
        told = Signal(line_shift, reset_less=True)  # lines of the first descriptor, or 0
        half = Signal()
        out = Signal(fetched_descriptor(config), reset_less=True)

        beat = self.memory.data
        words = [beat.payload.word_select(i, 8 * WORD_BYTES) for i in range(beat_words)]
        length = words[1]
        m.d.comb += [
            beat.ready.eq(1),
            self.write_enable.eq(beat.valid),
            self.write_address.eq(Cat(received, half)),
            self.write_data.eq(beat.payload),
            self.memory.request.payload.address.eq(address),
            self.memory.request.payload.beats.eq(beats),
            self.descriptor.payload.eq(out),
            self.descriptor.payload.half.eq(half),
        ]

        head = header & (received == 0)
        asks = self.memory.request.valid & self.memory.request.ready
        m.d.sync += awaited.eq(awaited + Mux(asks, beats, 0) - beat.valid)
        with m.If(beat.valid):
            m.d.sync += received.eq(received + 1)
            with m.If(head):
                m.d.sync += [
                    bad_magic.eq(words[0][16:] != MAGIC),
                    bad_version.eq(words[0][:16] != VERSION),
                    bad_length.eq((length < HEADER_WORDS) | (length > half_words)),
                    out.words.eq(length),
                    left.eq(Mux(length > beat_words, length - beat_words, 0)),
                ]
            with m.Else():
                m.d.sync += left.eq(Mux(left > beat_words, left - beat_words, 0))
            for word, field in ((2, out.tag), (3, out.last)):
                with m.If(header & (received == word // beat_words)):
                    m.d.sync += field.eq(words[word % beat_words])

        # what `program_address` says of the first descriptor, if that fits at all
        line_words = LINE_BYTES // WORD_BYTES
        given = self.program_address[:line_shift]
        said = Mux(given > half_words // line_words, 0, given)
        misled = Signal(reset_less=True)
        lines = (out.words + (line_words - 1))[line_words.bit_length() - 1 :]
        m.d.sync += misled.eq((told != 0) & (lines != told))

        total, settled = self._sum(m, words, beat.valid, head, left)

        with m.FSM(name="fetch"):
            with m.State("WAIT"):
                m.d.sync += [
                    address.eq(self.program_address[line_shift:] << line_shift),
                    half.eq(0),
                    received.eq(0),
                    header.eq(1),
                    beats.eq(line_beats),
                    told.eq(said),
                    unasked.eq(said * line_beats),
                ]
                with m.If(self.start):
                    m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += self.memory.request.valid.eq(1)
                with m.If(self.memory.request.ready):
                    m.d.sync += [
                        address.eq(address + (beats << beat_shift)),
                        unasked.eq(unasked - beats),
                    ]
                    m.next = "CUT"
            with m.State("CUT"):
                m.d.sync += beats.eq(Mux(unasked > REQUEST_BEATS, REQUEST_BEATS, unasked))
                m.next = "REQUEST"
                with m.If((header & (told == 0)) | (unasked == 0)):
                    m.next = "RECEIVE"
            with m.State("RECEIVE"):
                with m.If(awaited == 0):
                    m.d.sync += header.eq(0)
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += [
                    out.error.eq(
                        Mux(
                            bad_magic,
                            code["bad_magic"],
                            Mux(bad_version, code["bad_version"], code["bad_length"]),
                        )
                    ),
                    unasked.eq((left + (beat_words - 1)) >> (beat_words.bit_length() - 1)),
                ]
                with m.If(bad_magic | bad_version | bad_length | misled):
                    m.next = "OFFER"
                with m.Elif(left != 0):
                    m.next = "CUT"
                with m.Elif(settled):
                    m.d.sync += out.error.eq(Mux(total != 0, code["bad_checksum"], 0))
                    m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += self.descriptor.valid.eq(1)
                m.d.sync += [received.eq(0), header.eq(1), beats.eq(line_beats), told.eq(0)]
                with m.If(self.descriptor.ready):
                    part = address[:line_shift] != 0
                    m.d.sync += [
                        half.eq(~half),
                        address.eq((address[line_shift:] + part) << line_shift),
                    ]
                    with m.If(out.last | (out.error != 0)):
                        m.next = "WAIT"
                    with m.Else():
                        m.next = "REQUEST"
        return m

    @staticmethod
    def _sum(m, words, valid, head, left):
        """Sum of the descriptor's words: (sum, whether it covers all that has come)."""
        terms, fresh, stage = [], head, 0
        for i in range(0, len(words), 2):
            pair = Signal(32, name=f"sum_0_{i}", reset_less=True)
            # what follows the descriptor in its last beat does not count
            low, high = (
                words[k] & (head | (left > k)).replicate(32) for k in (i, i + 1)
            )
            m.d.sync += pair.eq(low + high)
            terms.append(pair)
        pipeline = [valid]
        first = [fresh]
        while True:
            flag = Signal(name=f"summed_{stage}")
            start = Signal(name=f"sum_starts_{stage}", reset_less=True)
            m.d.sync += [flag.eq(pipeline[-1]), start.eq(first[-1])]
            pipeline.append(flag)
            first.append(start)
            stage += 1
            if len(terms) == 1:
                break
            sums = []
            for i in range(0, len(terms), 2):
                term = Signal(32, name=f"sum_{stage}_{i}", reset_less=True)
                m.d.sync += term.eq(terms[i] + terms[i + 1])
                sums.append(term)
            terms = sums
        total = Signal(32, reset_less=True)
        with m.If(pipeline[-1]):
            m.d.sync += total.eq(Mux(first[-1], 0, total) + terms[0])
        return total, ~Cat(pipeline).any()
