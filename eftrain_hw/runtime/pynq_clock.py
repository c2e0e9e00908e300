"""The accelerator's clock on a board: set it, and measure it with the accelerator's own counter."""

import time

import numpy as np

from ..sequencer.program_format import LOOPS, Command, Descriptor, padded
from ..streams.command import NOP
from .pynq_memory import BoardError

__all__ = ["TOLERANCE", "check_clock", "idle_program", "measure_clock", "set_clock"]

TOLERANCE = 0.01  # of the measurement; the processor's clock is good to 0.01 %
_SECONDS = 0.02
_LEAST_CYCLES = 4  # of one iteration of a loop


def idle_program(cycles):
    """Words of a program that does nothing for at least so many cycles, and touches no memory."""
    iterations = -(-cycles // _LEAST_CYCLES)
    inner = min(iterations, 65535)
    outer = min(-(-iterations // inner), 65535)
    loops = [1] * (LOOPS - 2) + [outer, inner]
    descriptor = Descriptor(0, loops, [Command(NOP, {})], last=True)
    return np.array(padded(descriptor.words()), np.uint32)


def set_clock(pynq, hertz):
    """Set FCLK0; returns what the processor's dividers can do, in hertz."""
    pynq.Clocks.fclk0_mhz = hertz / 1e6
    return pynq.Clocks.fclk0_mhz * 1e6


def measure_clock(host, address, seconds=_SECONDS):
    """Hertz, by the accelerator's cycle counter and the processor's clock.

    Parameters
    ----------
    host : Host
        Of an idle accelerator.
    address : int
        Where `idle_program` lies, for more than twice `seconds`.
    seconds : float
        How long to count.
    """
    host.start(address)

    def look():
        before = time.perf_counter()
        cycles = host.read("counter_cycles_low")
        return cycles, (before + time.perf_counter()) / 2

    first, start = look()
    time.sleep(seconds)
    last, end = look()
    running = host.read_field("status", "busy")
    host.soft_reset()
    if not running or end <= start:
        raise BoardError(
            "the clock could not be measured: the accelerator stopped on its own"
            f" (status {host.read('status'):#x}, error code {host.read('error_code'):#x})"
        )
    return ((last - first) & 0xFFFFFFFF) / (end - start)


def check_clock(measured, wanted):
    """Refuse a clock that is off by more than 1 %; BoardError says both."""
    if abs(measured - wanted) > TOLERANCE * wanted:
        raise BoardError(
            f"the accelerator runs at {measured / 1e6:.2f} MHz by its own cycle counter; the"
            f" configuration's clock_hz asks for {wanted / 1e6:.2f} MHz (FCLK0 could not be set,"
            " or another clock drives the fabric)"
        )
