"""Runs layer programs: loops, conditions and patches over the commands of every descriptor."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..streams.ports import ReadClient
from .descriptor_memory import DescriptorMemory
from .descriptor_names import MARK_BITS, DescriptorNames
from .errors import PROGRAM_ERRORS
from .fetch import DescriptorFetch
from .issuer import Issuer, issue_ports
from .loop_nest import LoopNest
from .opcodes import LAYOUTS
from .patcher import Patcher
from .program_format import FENCE, HEADER_WORDS, LOOPS, NOT_LAST
from .unpacker import ProgramUnpacker

__all__ = ["Sequencer"]

FIRST_USED = 4  # header words before it are the fetch's business
COUNTS = 5


class Sequencer(wiring.Component):
    """Fetches, checks and runs a layer program, and issues its commands in program order.

    From `start` to the `done` pulse it runs the descriptors one after another, the next one being
    fetched meanwhile. Each command that is due is copied, patched, and sent as 32-bit words to its
    engine's receiver, in order: where that receiver is full, everything behind waits. A fence waits
    until `engines_busy` is 0 (receivers included); so does the end of the program.

        cycle     0      1      2..        2+n        4+n   | 0
        word      head   when   template   patch      ...   | head of the next command

    Checked before anything of a descriptor is issued: magic, version, length, checksum, loop
    counts. Checked when a command is reached: opcode, template length, patches, and that the
    commands fill the descriptor. What is wrong gives one `error` pulse with `error_code`; nothing
    more is handed to the issuer until the sequencer is reset. `descriptor_tag` and
    `descriptor_index` name the descriptor in which the error is; otherwise the one whose mark is
    `started`: the one that the engines are at. Reading is ahead of that.

    Latency and cost: words + 2 + 2 * patches cycles a command (and one for each radix-4 digit of an
    ADD's index after the first), 4 for a command that is not due, 2 for a step of the loops and one
    more for each loop that wraps, about 16 between descriptors. Two block RAMs at 16-byte beats
    (the descriptors).
    Golden: eftrain_hw.sequencer.interpreter.

    Parameters
    ----------
    config : AcceleratorConfig
    layouts : iterable of CommandLayout

    Members
    -------
    start : In(1)
        Pulse while not `busy`.
    program_address : In(address_bits)
        Byte address of the program, a multiple of 64.
    memory : Out(ReadClient)
    issue_<name> : Out(stream(command_word))
        One for each layout but NOP, to its `CommandReceiver`.
    engines_busy : In(1)
        Any engine or receiver is busy.
    busy : Out(1)
    done : Out(1)
        Pulse: the program is over and the engines are idle.
    error : Out(1)
    error_code : Out(8)
    mark : Out(MARK_BITS)
        The descriptor of the command that is being issued: the low bits of its number.
    started : In(MARK_BITS)
    descriptor_tag, descriptor_index : Out(32)
    command_sent, descriptor_finished : Out(1)
        Pulses for the counters.
    begins : Out(1)
        Pulse: a descriptor is here, and `own_mark` its mark.
    own_mark : Out(MARK_BITS)
    reading : Out(1)
        A descriptor's commands are being issued.
    waits : Out(1)
        The program's end or a fence waits for the engines.
    progress : Out(1)
        Pulse for the watchdog: a word was issued or a descriptor finished.

    Raises
    ------
    ValueError
    """

    def __init__(self, config, layouts=LAYOUTS):
        self._config = config
        self._layouts = tuple(layouts)
        codes = [layout.opcode for layout in self._layouts]
        if len(set(codes)) != len(codes) or not all(0 <= code <= 255 for code in codes):
            raise ValueError(
                f"Sequencer layouts must have different opcodes, 0 to 255, not {codes!r}"
            )
        super().__init__(
            {
                "start": In(1),
                "program_address": In(config.address_bits),
                "memory": Out(ReadClient(config)),
                "engines_busy": In(1),
                "busy": Out(1),
                "done": Out(1),
                "error": Out(1),
                "error_code": Out(8),
                "mark": Out(MARK_BITS),
                "started": In(MARK_BITS),
                "descriptor_tag": Out(32),
                "descriptor_index": Out(32),
                "command_sent": Out(1),
                "descriptor_finished": Out(1),
                "begins": Out(1),
                "own_mark": Out(MARK_BITS),
                "reading": Out(1),
                "waits": Out(1),
                "progress": Out(1),
                **issue_ports(self._layouts),
            }
        )

    @property
    def config(self):
        return self._config

    @property
    def layouts(self):
        return self._layouts

    def elaborate(self, platform):
        m = Module()
        config = self._config
        half_words = config.descriptor_words // 2
        depth = 1 << (max(layout.words for layout in self._layouts) - 1).bit_length()
        code = {name: number for name, (number, _) in PROGRAM_ERRORS.items()}

        m.submodules.fetch = fetch = DescriptorFetch(config)
        m.submodules.descriptors = descriptors = DescriptorMemory(config)
        m.submodules.loops = loops = LoopNest()
        m.submodules.patcher = patcher = Patcher(depth=depth)
        m.submodules.issuer = issuer = Issuer(self._layouts, depth=depth)
        m.submodules.names = names = DescriptorNames()

        m.d.comb += [
            fetch.start.eq(self.start),
            fetch.program_address.eq(self.program_address),
            descriptors.write_address.eq(fetch.write_address),
            descriptors.write_data.eq(fetch.write_data),
            descriptors.write_enable.eq(fetch.write_enable),
        ]
        if config.packed_programs:
            m.submodules.unpacker = unpacker = ProgramUnpacker(config)
            m.d.comb += [
                unpacker.start.eq(self.start),
                unpacker.program_address.eq(self.program_address),
            ]
            wiring.connect(m, unpacker.fetch, fetch.memory)
            wiring.connect(m, wiring.flipped(self.memory), unpacker.memory)
        else:
            wiring.connect(m, wiring.flipped(self.memory), fetch.memory)
        for name in issue_ports(self._layouts):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(issuer, name))

        half = Signal(reset_less=True)
        m.d.comb += descriptors.half.eq(half)
        word, word_valid = descriptors.word, descriptors.word_valid
        consume, jump, target = descriptors.consume, descriptors.jump, descriptors.target

        # -- the descriptor and the command at hand
        end = Signal(range(half_words + 1), reset_less=True)
        last_descriptor = Signal(reset_less=True)
        commands = Signal.like(end, reset_less=True)
        commands_left = Signal.like(end, reset_less=True)
        following = Signal(range(half_words + 2 + 255 + 510), reset_less=True)  # next command
        opcode = Signal(8, reset_less=True)
        template = Signal(8, reset_less=True)
        patches = Signal(8, reset_less=True)
        fence = Signal(reset_less=True)
        position = Signal(range(max(depth, HEADER_WORDS)), reset_less=True)
        loop = Signal(range(LOOPS), reset_less=True)
        tag, index = Signal(32), Signal(32)
        noted, own = Signal(), Signal()  # own: no command of this program is under way, or it erred

        m.d.comb += [
            names.note.eq(noted),
            names.new_tag.eq(tag),
            names.new_index.eq(index),
            names.mark.eq(self.started),
            self.mark.eq(issuer.mark),
            issuer.descriptor.eq(index),
            self.descriptor_tag.eq(Mux(own, tag, names.tag)),
            self.descriptor_index.eq(Mux(own, index, names.index)),
            self.command_sent.eq(issuer.sent),
            self.begins.eq(noted),
            self.own_mark.eq(index),
            self.progress.eq(issuer.moving | self.descriptor_finished),
            loops.count.eq(word),
            loops.select.eq(loop),
            patcher.half.eq(issuer.fill),
            patcher.word.eq(word),
            patcher.position.eq(position),
            patcher.template.eq(template),
            patcher.index.eq(loops.index),
            patcher.first.eq(loops.first),
            patcher.last.eq(loops.last),
            patcher.send_half.eq(issuer.send_half),
            patcher.send_position.eq(issuer.send_position),
            issuer.send_word.eq(patcher.send_word),
            issuer.engines_busy.eq(self.engines_busy),
            issuer.opcode.eq(opcode),
            issuer.words.eq(template),
            issuer.fence.eq(fence),
        ]
        m.d.sync += [self.done.eq(0), self.error.eq(0), self.descriptor_finished.eq(0)]
        m.d.sync += noted.eq(0)
        with m.If(noted):
            m.d.sync += own.eq(0)
        known = Signal()
        length = Signal(8)
        with m.Switch(opcode):
            for layout in self._layouts:
                with m.Case(layout.opcode):
                    m.d.comb += [known.eq(1), length.eq(layout.words)]
        skipped = Signal(reset_less=True)  # in the last iteration
        misses = (word[:LOOPS] & ~loops.first) | (word[8 : 8 + LOOPS] & ~loops.last)
        due = ~(misses.any() | skipped)

        def fail(name):
            m.d.sync += [self.error.eq(1), self.error_code.eq(code[name]), own.eq(1)]
            m.next = "HALT"

        def leave_command(jumps=True):
            """On to what follows: the next command, or a step of the loops."""
            m.d.sync += commands_left.eq(commands_left - 1)
            with m.If(commands_left == 1):
                if jumps:
                    m.d.comb += [jump.eq(1), target.eq(HEADER_WORDS)]
                m.d.sync += [commands_left.eq(commands), loop.eq(LOOPS - 1)]
                m.next = "STEP_LOOPS"
            with m.Else():
                m.next = "READ_HEAD"

        def leave_patch():
            m.next = "READ_PATCH"
            with m.If(patches == 0):
                m.d.comb += issuer.hand_over.eq(1)
                leave_command()

        with m.FSM(name="run") as fsm:
            resting = [fsm.ongoing(state) for state in ("WAIT", "TAKE", "AWAIT_ENGINES", "HALT")]
            m.d.comb += [
                self.busy.eq(~fsm.ongoing("WAIT")),
                self.reading.eq(~Cat(resting).any()),
                self.waits.eq(fsm.ongoing("AWAIT_ENGINES") | issuer.fenced),
            ]
            with m.State("WAIT"):
                with m.If(self.start):
                    m.d.sync += [tag.eq(0), index.eq(0), own.eq(1)]
                    m.next = "TAKE"
            with m.State("TAKE"):
                m.d.comb += [
                    fetch.descriptor.ready.eq(1),
                    jump.eq(1),
                    target.eq(FIRST_USED),
                ]
                offer = fetch.descriptor.payload
                m.d.sync += [
                    position.eq(FIRST_USED),
                    half.eq(offer.half),
                    end.eq(offer.words),
                    last_descriptor.eq(offer.last),
                ]
                with m.If(fetch.descriptor.valid):
                    m.d.sync += [tag.eq(offer.tag), noted.eq(1)]
                    m.next = "READ_HEADER"
                    with m.If(offer.error != 0):
                        m.d.sync += [
                            self.error.eq(1),
                            self.error_code.eq(offer.error),
                            noted.eq(0),
                            own.eq(1),
                        ]
                        m.next = "HALT"
            with m.State("READ_HEADER"):
                m.d.comb += consume.eq(1)
                m.d.sync += following.eq(HEADER_WORDS)
                with m.If(word_valid):
                    m.d.sync += [position.eq(position + 1), loop.eq(position - FIRST_USED)]
                    with m.If(position == FIRST_USED):
                        m.d.sync += [commands.eq(word), commands_left.eq(word)]
                        with m.If(word > end):
                            fail("bad_command_count")
                    with m.Elif(position < COUNTS + LOOPS):
                        m.d.comb += loops.load.eq(1)
                        with m.If((word[:16] == 0) | word[16:].any()):
                            fail("bad_loop_count")
                    with m.Elif(position == HEADER_WORDS - 1):
                        m.next = "READ_HEAD"
                        with m.If(commands == 0):
                            m.next = "FINISH"
            with m.State("READ_HEAD"):
                m.d.comb += consume.eq(1)
                m.d.sync += [
                    opcode.eq(word[0:8]),
                    template.eq(word[8:16]),
                    patches.eq(word[16:24]),
                    fence.eq((word[24:] & FENCE) != 0),
                    skipped.eq(((word[24:] & NOT_LAST) != 0) & loops.last.all()),
                    position.eq(0),
                ]
                with m.If(word_valid):
                    m.d.sync += following.eq(
                        following + ((word[16:24] << 1) + word[8:16] + 2)
                    )
                    m.next = "DECIDE"
            with m.State("DECIDE"):
                m.d.comb += [
                    consume.eq(1),
                    # apart from the checks below, which would come last in a long path
                    jump.eq(word_valid & ~due),
                    target.eq(Mux(commands_left == 1, HEADER_WORDS, following)),
                ]
                with m.If(following > end):
                    fail("bad_command_count")
                with m.Elif(~known):
                    fail("unknown_opcode")
                with m.Elif(template != length):
                    fail("bad_template")
                with m.Elif(word_valid):
                    m.next = "COPY_TEMPLATE"
                    with m.If(~due):
                        leave_command(jumps=False)
            with m.State("COPY_TEMPLATE"):
                m.d.comb += [
                    consume.eq(~issuer.full),
                    patcher.store.eq(word_valid & ~issuer.full),
                ]
                with m.If(patcher.store):
                    m.d.sync += position.eq(position + 1)
                    with m.If(position == (template - 1)[: len(position)]):
                        leave_patch()
            with m.State("READ_PATCH"):
                m.d.comb += [
                    consume.eq(1),
                    patcher.describe.eq(word_valid),
                    loops.select.eq(patcher.select),
                ]
                with m.If(word_valid):
                    m.d.sync += patches.eq(patches - 1)
                    m.next = "APPLY_PATCH"
            with m.State("APPLY_PATCH"):
                m.d.comb += [consume.eq(1), patcher.apply.eq(word_valid)]
                with m.If(patcher.bad):
                    fail("bad_patch")
                with m.Elif(word_valid):
                    with m.If(patcher.more):
                        m.next = "MULTIPLY"
                    with m.Else():
                        leave_patch()
            with m.State("MULTIPLY"):
                m.d.comb += patcher.multiply.eq(1)
                with m.If(~patcher.more):
                    leave_patch()
            with m.State("STEP_LOOPS"):
                m.d.comb += loops.step.eq(1)
                m.d.sync += loop.eq(loop - 1)
                with m.If(following != end):
                    fail("bad_command_count")
                with m.Elif(~loops.carry):
                    m.d.sync += following.eq(HEADER_WORDS)
                    m.next = "READ_HEAD"
                with m.Elif(loop == 0):
                    m.next = "FINISH"
            with m.State("FINISH"):
                m.d.sync += self.descriptor_finished.eq(1)
                with m.If((commands == 0) & (end != HEADER_WORDS)):
                    m.d.sync += self.descriptor_finished.eq(0)
                    fail("bad_command_count")
                with m.Elif(last_descriptor):
                    m.next = "AWAIT_ENGINES"
                with m.Else():
                    m.d.sync += index.eq(index + 1)
                    m.next = "TAKE"
            with m.State("AWAIT_ENGINES"):
                with m.If(issuer.quiet):
                    m.d.sync += self.done.eq(1)
                    m.next = "WAIT"
            with m.State("HALT"):
                pass
        return m
