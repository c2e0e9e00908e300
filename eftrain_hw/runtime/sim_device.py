"""The RTL in simulation as a device."""

import sys
import time

from .device import DeviceError, MemoryDevice
from .host import Host
from .profile import read_profile

__all__ = ["SimDevice"]

_LINE = 64
_SLICE = 2_000_000  # cycles between two looks at the limit


def _say(text):
    print(f"[sim] {text}", file=sys.stderr, flush=True)


class SimDevice(MemoryDevice):
    """The accelerator's RTL, compiled by Verilator, with a model of its memory.

    The compiled design is kept in ~/.cache/eftrain_hw (or $EFTRAIN_CACHE), one for each
    configuration.

    Parameters
    ----------
    config : AcceleratorConfig
    latency : int
        Cycles from a request to its first data.
    bytes_per_cycle : int
        Bandwidth of the memory, reads and writes together.
    memory_base : int
        Bus address where the tensors start, a multiple of 64; None: 0x1000_0000, and 0, where
        packed programs are shortest, with `packed_programs`.
    stall : float
        Chance that a bus channel pauses in a cycle.
    seed : int
        Of these pauses.
    watchdog : int
        Cycles without progress after which the hardware gives up.
    step_limit : int
        Cycles after which the simulation of a step is given up.
    trace : path or None
        VCD file to write (compiled apart; slow and big).
    gated_clocks : bool
        Stop the clock of parts that rest (`soc.clock_group`): fewer seconds, the same cycles.

    Members
    -------
    simulation : Simulation
        From `load_program` on.
    host : Host
        The registers.
    run_cycles, run_seconds : int, float
        Clock cycles that `run` simulated, and how long that took.
    """

    name = "sim"
    OPTIONS = (
        "latency",
        "bytes_per_cycle",
        "memory_base",
        "stall",
        "seed",
        "watchdog",
        "step_limit",
        "trace",
        "gated_clocks",
    )

    def __init__(
        self,
        config,
        *,
        latency=40,
        bytes_per_cycle=16,
        memory_base=None,
        stall=0.0,
        seed=1,
        watchdog=1 << 24,
        step_limit=1 << 40,
        trace=None,
        gated_clocks=True,
    ):
        from .simulation import accelerator_verilog, build_library

        super().__init__(config)
        if memory_base is None:
            memory_base = 0 if config.packed_programs else 0x1000_0000
        if memory_base < 0 or memory_base % _LINE:
            raise ValueError(f"memory_base must be a multiple of {_LINE}, not {memory_base!r}")
        self._memory_base, self._watchdog, self._step_limit = memory_base, watchdog, step_limit
        self._options = {
            "latency": latency,
            "bytes_per_cycle": bytes_per_cycle,
            "stall": stall,
            "seed": seed,
            "longest_burst": config.max_burst_beats,
            "trace": trace,
        }
        top = "eftrain_accelerator"
        self._library = build_library(
            verilog=lambda: accelerator_verilog(config, top, gated_clocks=gated_clocks),
            top=top,
            key=f"accelerator {config.build_id:016x} {bool(gated_clocks)}",
            trace=trace is not None,
            progress=_say,
        )
        self.simulation = self.host = None
        self.run_cycles, self.run_seconds = 0, 0.0

    def _load(self):
        from .simulation import Simulation

        self.close()
        size = -(-self.program.memory_bytes // 4096) * 4096
        # the end is an address too: the window's limit
        if self._memory_base + size >= 1 << self.config.address_bits:
            raise ValueError(
                f"the network takes {size} bytes from memory_base {self._memory_base:#x};"
                f" they must end below 2^{self.config.address_bits}, the range of addresses"
            )
        self.simulation = Simulation(
            self._library, memory_bytes=size, memory_base=self._memory_base, **self._options
        )
        self.host = Host(self.simulation.read_register, self.simulation.write_register, self._wait)
        self.host.check_build(self.config)
        self.host.set_window(self._memory_base, self._memory_base + size)
        self.host.write("watchdog", self._watchdog)
        for name in self.program.descriptors:
            words = self.program.words(name, base=self._memory_base)
            self._write(self.program.addresses[name], words.tobytes())

    def _wait(self):
        self.simulation.run(min(_SLICE, self._step_limit))
        return self.simulation.irq

    def _run(self, name, learning_rate, momentum, valid_images):
        start = self.simulation.cycles

        def limit():
            passed = self.simulation.cycles - start
            if passed >= self._step_limit:
                raise DeviceError(0, "step_limit", f"no end after {passed} cycles")

        began = time.perf_counter()
        try:
            return self._start(name, learning_rate, momentum, valid_images, limit)
        finally:
            self.run_seconds += time.perf_counter() - began
            self.run_cycles += self.simulation.cycles - start

    def _start(self, name, learning_rate, momentum, valid_images, limit):
        return self.host.run(
            self.program.entry(name, self._memory_base),
            learning_rate=learning_rate,
            momentum=momentum,
            valid_images=valid_images,
            **self._loss_settings(),
            tags=self.program.tags,
            locate=lambda address: self._tensor_at(address - self._memory_base),
            limit=limit,
        )

    def _profile(self, names):
        words, complete = self.host.step_log()
        return read_profile(
            words,
            cycles=self.host.read("counter_cycles"),
            names=names,
            clock_hz=self.host.read("clock_hz"),
            complete=complete,
        )

    def _write(self, offset, data):
        self.simulation.write(self._memory_base + offset, data)

    def _read(self, offset, count):
        return self.simulation.read(self._memory_base + offset, count)

    def close(self):
        if self.simulation is not None:
            self.simulation.close()
            self.simulation = None
