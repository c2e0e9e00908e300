"""Starts steps, and ends them: done, error, watchdog or soft reset."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..csr.errors import WATCHDOG

__all__ = ["Supervisor"]

SETTLE = 4  # cycles from a fall of `abort` to engines out of reset


class Supervisor(wiring.Component):
    """Owns the status registers, and the reset of everything that a step uses.

        start | step runs | done                 | idle
        start | step runs | error -> abort, core_reset .. until both are drained | idle

    The first error, soft reset or expired watchdog raises `abort` (memory side) and `core_reset`
    (engines, sequencer, buffers) in the next cycle. Both stay until reader and writer have been
    drained together; `abort` falls first, `core_reset` `SETTLE` cycles later. If a dead bus never
    drains, `resetting` and the error stay visible and the registers still answer. Errors that come
    after the first one of a step are ignored: their cause may be the abort. If several come in one
    cycle the program's wins, then the reader's, the writer's, the watchdog's.

    A soft reset works in every state and clears the status, also that of an error whose bus is
    still draining. `start` counts only while idle; the registers refuse it otherwise.

    Latency and cost: about 170 LUT, half of them the watchdog.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    start, soft_reset : In(1)
        Pulses of the control register.
    irq_enable : In(1)
    irq_done_clear, irq_error_clear : In(1)
    watchdog : In(32)
        Cycles without `progress` that end a step; 0: none.
    progress : In(1)
        Something moved: a word of a command, a descriptor, a handshake on a memory port.
    program_done : In(1)
        Pulse of the sequencer.
    program_error : In(1)
        Pulse of the sequencer, with `program_error_code`.
    read_error, write_error : In(1)
        Pulses of the memory side, with `.._error_code` and `.._error_address`.
    nonfinite : In(1)
    tag, index : In(32)
        The sequencer's descriptor; kept at an error.
    read_drained, write_drained : In(1)
    program_start : Out(1)
        Pulse to the sequencer, in the cycle after `start`.
    abort, core_reset : Out(1)
    counters_clear, counting : Out(1)
        To the counters: a pulse before the step's first cycle, and 1 while it runs.
    idle, busy, done, error, nonfinite_seen, resetting : Out(1)
    error_code : Out(8)
    error_tag, error_index : Out(32)
    error_address : Out(address_bits)
        0 if the error is not about an address.
    irq_done, irq_error : Out(1)
        The interrupt's causes.
    irq : Out(1)
    """

    def __init__(self, config):
        self._config = config
        bits = config.address_bits
        super().__init__(
            {
                "start": In(1),
                "soft_reset": In(1),
                "irq_enable": In(1),
                "irq_done_clear": In(1),
                "irq_error_clear": In(1),
                "watchdog": In(32),
                "progress": In(1),
                "program_done": In(1),
                "program_error": In(1),
                "program_error_code": In(8),
                "read_error": In(1),
                "read_error_code": In(3),
                "read_error_address": In(bits),
                "write_error": In(1),
                "write_error_code": In(3),
                "write_error_address": In(bits),
                "nonfinite": In(1),
                "tag": In(32),
                "index": In(32),
                "read_drained": In(1),
                "write_drained": In(1),
                "program_start": Out(1),
                "abort": Out(1),
                "core_reset": Out(1),
                "counters_clear": Out(1),
                "counting": Out(1),
                "idle": Out(1),
                "busy": Out(1),
                "done": Out(1),
                "error": Out(1),
                "nonfinite_seen": Out(1),
                "resetting": Out(1),
                "error_code": Out(8),
                "error_tag": Out(32),
                "error_index": Out(32),
                "error_address": Out(bits),
                "irq_done": Out(1),
                "irq_error": Out(1),
                "irq": Out(1),
            }
        )

    @property
    def config(self):
        return self._config

    def elaborate(self, platform):
        m = Module()
        settle = Signal(range(SETTLE + 1), reset_less=True)
        idle_cycles = Signal(32)
        expired = Signal()

        # found a cycle early, so that no comparison lies before the states
        m.d.sync += expired.eq((self.watchdog != 0) & (idle_cycles >= self.watchdog))
        m.d.sync += idle_cycles.eq(Mux(self.progress | ~self.busy, 0, idle_cycles + 1))

        m.d.sync += [
            self.program_start.eq(0),
            self.irq_done.eq(self.irq_done & ~self.irq_done_clear),
            self.irq_error.eq(self.irq_error & ~self.irq_error_clear),
            self.irq.eq(self.irq_enable & (self.irq_done | self.irq_error)),
        ]
        failed = self.program_error | self.read_error | self.write_error | expired

        def clear_status():
            m.d.sync += [
                self.done.eq(0),
                self.error.eq(0),
                self.nonfinite_seen.eq(0),
                self.error_code.eq(0),
                self.error_tag.eq(0),
                self.error_index.eq(0),
                self.error_address.eq(0),
            ]

        def begin_abort():
            m.d.sync += [self.abort.eq(1), self.core_reset.eq(1)]
            m.next = "DRAIN"

        with m.FSM(name="step") as fsm:
            m.d.comb += [
                self.idle.eq(fsm.ongoing("WAIT")),
                self.busy.eq(fsm.ongoing("RUN")),
                self.counters_clear.eq(self.idle & self.start),
                self.counting.eq(fsm.ongoing("RUN")),
                self.resetting.eq(fsm.ongoing("DRAIN") | fsm.ongoing("RELEASE")),
            ]
            with m.State("WAIT"):
                with m.If(self.start):
                    clear_status()
                    m.d.sync += self.program_start.eq(1)
                    m.next = "RUN"
                with m.If(self.soft_reset):
                    m.d.sync += self.program_start.eq(0)
                    begin_abort()
            with m.State("RUN"):
                with m.If(self.nonfinite):
                    m.d.sync += self.nonfinite_seen.eq(1)
                with m.If(failed):
                    m.d.sync += [
                        self.error.eq(1),
                        self.irq_error.eq(1),
                        self.error_tag.eq(self.tag),
                        self.error_index.eq(self.index),
                    ]
                    with m.If(self.program_error):
                        m.d.sync += self.error_code.eq(self.program_error_code)
                    with m.Elif(self.read_error):
                        m.d.sync += [
                            self.error_code.eq(self.read_error_code),
                            self.error_address.eq(self.read_error_address),
                        ]
                    with m.Elif(self.write_error):
                        m.d.sync += [
                            self.error_code.eq(self.write_error_code),
                            self.error_address.eq(self.write_error_address),
                        ]
                    with m.Else():
                        m.d.sync += self.error_code.eq(WATCHDOG)
                    begin_abort()
                with m.Elif(self.program_done):
                    m.d.sync += [self.done.eq(1), self.irq_done.eq(1)]
                    m.next = "WAIT"
                with m.If(self.soft_reset):
                    begin_abort()
            with m.State("DRAIN"):
                m.d.sync += settle.eq(SETTLE)
                with m.If(self.read_drained & self.write_drained):
                    m.next = "RELEASE"
            with m.State("RELEASE"):
                m.d.sync += [self.abort.eq(0), settle.eq(settle - 1)]
                with m.If(settle == 0):
                    m.d.sync += self.core_reset.eq(0)
                    m.next = "WAIT"
        with m.If(self.soft_reset):
            clear_status()
            m.d.sync += [self.irq_done.eq(0), self.irq_error.eq(0)]
        return m
