"""The far end of the serial link in simulation: the RTL of an on-chip system."""

import sys

__all__ = ["SimulatedPort"]


def _say(text):
    print(f"[serial] {text}", file=sys.stderr, flush=True)


class SimulatedPort:
    """Transport of `SerialLink` to `interop.on_chip.OnChipSystem`, compiled by Verilator.

    The clock runs while the host waits for bytes; seconds are the simulation's.

    Parameters
    ----------
    config : AcceleratorConfig
    memory_size, memory_base, baud, idle_bits : int
        See `OnChipSystem`; the default rate is the fastest, for it is the shortest simulation.
    trace : path or None
        VCD file.

    Members
    -------
    cycles : int
        Clock cycles since the start.
    """

    name = "the simulated serial port"
    latency = 0.0

    def __init__(
        self, config, *, memory_size, memory_base=0, baud=None, idle_bits=400, trace=None
    ):
        from .simulation import Simulation, build_library, to_verilog

        self.baud = config.clock_hz // 4 if baud is None else baud
        self.idle_bits = idle_bits
        self._clock_hz = config.clock_hz

        def verilog():
            from ..interop.on_chip import OnChipSystem

            return to_verilog(
                OnChipSystem(
                    config,
                    memory_size=memory_size,
                    memory_base=memory_base,
                    baud=self.baud,
                    idle_bits=idle_bits,
                ),
                "on_chip_system",
            )

        library = build_library(
            verilog=verilog,
            top="on_chip_system",
            key=f"on chip {config.build_id:016x} {memory_size} {memory_base} {self.baud}"
            f" {idle_bits}",
            trace=trace is not None,
            progress=_say,
        )
        self._simulation = Simulation(library, memory_bytes=8, trace=trace)
        self._simulation.set_line_rate(config.clock_hz / self.baud)

    @property
    def cycles(self):
        return self._simulation.cycles

    def write(self, data):
        self._simulation.send_line(data)

    def read(self, count, seconds):
        """1 to `count` bytes; none if none came for that time."""
        first = self._simulation.take_line(1, max(1, round(seconds * self._clock_hz)))
        return first and first + self._simulation.take_line(count - 1, 0)

    def reset(self):
        """As the board's reset."""
        self._simulation.reset()

    def close(self):
        self._simulation.close()
