"""A stand-in for the `pynq` package: MMIO and allocate act on the simulated accelerator.

The processor's cache is modelled: a buffer that the processor sees is another array than the
simulation's memory, and only flush and invalidate, in whole lines, move bytes between the two. Time
is the simulation's: sleeping runs the clock, at the rate that FCLK0 was set to.
"""

from types import SimpleNamespace

import numpy as np

from eftrain_hw.runtime.simulation import Simulation, accelerator_verilog, build_library

__all__ = ["FakeBoard"]

LINE = 32  # of a Cortex-A9
BASE = 0x1080_0000
REGISTERS = 0x4000_0000


class CachedBuffer(np.ndarray):
    """What pynq.allocate returns: slices know where they lie."""

    def __array_finalize__(self, parent):
        self.root = getattr(parent, "root", None)

    @property
    def _span(self):
        root = self.root
        offset = self.__array_interface__["data"][0] - root.pointer
        return offset // LINE * LINE, min(-(-(offset + self.nbytes) // LINE) * LINE, root.size)

    @property
    def device_address(self):
        return self.root.address + self.__array_interface__["data"][0] - self.root.pointer

    def flush(self):
        self.root.flush(*self._span)

    def invalidate(self):
        self.root.invalidate(*self._span)

    def freebuffer(self):
        self.root.board.free(self.root)


class _Root:
    """A buffer's cache and its part of the memory."""

    def __init__(self, board, address, size, seed):
        rng = np.random.default_rng(seed)
        self.board, self.address, self.size = board, address, size
        start = address - board.simulation.memory_base
        self.memory = board.simulation.memory[start : start + size]
        self.memory[:] = rng.integers(0, 256, size)
        self.cache = rng.integers(0, 256, size).astype(np.uint8)
        self.clean = self.cache.copy()  # as of the last time that a line was moved
        self.seen = self.memory.copy()
        self.view = self.cache.view(CachedBuffer)
        self.view.root = self
        self.pointer = self.cache.__array_interface__["data"][0]

    def flush(self, start, end):
        """Dirty lines go to the memory; clean ones stay where they are."""
        self.board.flushed += end - start
        for line in range(start, end, LINE):
            part = slice(line, line + LINE)
            if np.array_equal(self.cache[part], self.clean[part]):
                continue
            self.memory[part] = self.cache[part]
            self.clean[part] = self.seen[part] = self.cache[part]

    def invalidate(self, start, end):
        self.board.invalidated += end - start
        lost = self.cache[start:end] != self.clean[start:end]
        assert not lost.any(), f"dirty bytes are lost from {start + int(lost.argmax()):#x} on"
        for array in (self.cache, self.clean, self.seen):
            array[start:end] = self.memory[start:end]


class _Clocks:
    def __init__(self, board):
        self._board = board

    @property
    def fclk0_mhz(self):
        return self._board.fclk_hz / 1e6

    @fclk0_mhz.setter
    def fclk0_mhz(self, value):
        self._board.fclk_hz = value * 1e6


class FakeBoard:
    """The simulated accelerator as a board.

    Parameters
    ----------
    config : AcceleratorConfig
        What the "bitstream" was built from.
    memory_bytes : int
        All the contiguous memory that there is.
    clock_error : float
        How many times too fast the fabric's clock runs.

    Members
    -------
    module : object
        Stands for the module `pynq`.
    flushed, invalidated : int
        Bytes of cache maintenance so far.
    """

    def __init__(self, config, *, memory_bytes=1 << 20, clock_error=1.0):
        top = "eftrain_accelerator"
        library = build_library(
            verilog=lambda: accelerator_verilog(config, top, gated_clocks=True),
            top=top,
            key=f"accelerator {config.build_id:016x} True",
        )
        self.simulation = Simulation(library, memory_bytes=memory_bytes, memory_base=BASE)
        self.fclk_hz, self._clock_error = 100e6, clock_error
        self._seconds, self._roots = 0.0, []
        self.flushed = self.invalidated = 0
        self.loaded, self.unmasked = [], False
        board = self

        class MMIO:
            def __init__(self, base_addr, length=4):
                assert base_addr == REGISTERS and length == 4096

            def read(self, offset=0):
                board.pass_time(1e-7)
                return board.simulation.read_register(offset)

            def write(self, offset, data):
                assert type(data) is int, "pynq.MMIO refuses anything else"
                board.pass_time(1e-7)
                board.simulation.write_register(offset, data)

        class Bitstream:
            def __init__(self, name):
                self.name = name

            def download(self):
                board.loaded.append(("Bitstream", self.name))

        def overlay(name):
            board.loaded.append(("Overlay", name))

        self.module = SimpleNamespace(
            MMIO=MMIO,
            Bitstream=Bitstream,
            Overlay=overlay,
            Clocks=_Clocks(self),
            allocate=self.allocate,
        )
        self.time = SimpleNamespace(perf_counter=lambda: self._seconds, sleep=self.pass_time)

    # -- memory

    def allocate(self, shape, dtype):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        start = BASE
        for root in sorted(self._roots, key=lambda root: root.address):
            if start + size <= root.address:
                break
            start = root.address + root.size
        if start + size > BASE + len(self.simulation.memory):
            raise RuntimeError("Failed to allocate Memory!")
        root = _Root(self, start, size, seed=len(self._roots))
        self._roots.append(root)
        return root.view

    def free(self, root):
        status = self.simulation.read_register(0x044)
        assert status & 1, "memory is given back while the accelerator may write to it"
        self._roots.remove(root)

    @property
    def allocated(self):
        """Buffers that were not given back."""
        return len(self._roots)

    # -- time and interrupt

    def pass_time(self, seconds):
        """Run the clock; the rest of a wait for an interrupt that is up is skipped."""
        self._seconds += seconds
        cycles = round(seconds * self.fclk_hz * self._clock_error)
        busy = self.simulation.read_register(0x044) & 0b10_0010
        # nothing changes while the core is idle
        self.simulation.run(cycles if busy else min(cycles, 100), until_irq=False)

    def wait_for_irq(self, seconds):
        """A UIO device's select: True if the unmasked line fired."""
        step = 2e-6
        while seconds > 0 and not (self.unmasked and self.simulation.irq):
            self.pass_time(min(step, seconds))
            seconds -= step
        return self.unmasked and self.simulation.irq

    def close(self):
        self.simulation.close()
