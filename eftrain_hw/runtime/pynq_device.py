"""The accelerator in the fabric of a Zynq, through the PYNQ image's Python package."""

import time
import warnings

from .device import DeviceError, MemoryDevice
from .host import Host
from .pynq_bitstream import (
    DEFAULT_ADDRESS,
    check_bitstream,
    download,
    import_pynq,
    registers_of,
)
from .pynq_clock import check_clock, idle_program, measure_clock, set_clock
from .pynq_interrupt import Polling, UioInterrupt, find_uio
from .pynq_memory import BoardError, BoardMemory

__all__ = ["PynqDevice"]

_REGISTER_BYTES = 4096
_LOOK_SECONDS = 1.0  # longest wait for the interrupt between two looks at the registers
_CLOCK_CYCLES = 1 << 24  # that the clock's measurement may take


class PynqDevice(MemoryDevice):
    """The accelerator on a board: registers by MMIO, tensors in contiguous memory.

    Opening it loads the bitstream, sets FCLK0 to `config.clock_hz`, checks the build id and the
    capabilities, and measures the clock by the accelerator's cycle counter. Only NumPy and the
    image's `pynq` are needed.

    Parameters
    ----------
    config : AcceleratorConfig
    bitstream : path
        The .bit file; a .hwh and the manifest (.json) beside it are used if they are there.
    address : int or None
        Bus address of the registers; None is the manifest's, the .hwh's, or else 0x4000_0000.
    timeout : float
        Seconds after which a run is given up.
    interrupt : str
        "auto": the UIO device "fabric" where the image has it, else polling. "poll". Or the path of
        a UIO device.
    watchdog : int
        Cycles without progress after which the hardware gives up.
    measure_clock : bool
        False trusts the clock.

    Members
    -------
    host : Host
        The registers.
    clock_hz : float or None
        The measured clock.
    waits_by : str
        "polling" or the UIO device.

    Raises
    ------
    BoardError
        There is no `pynq`, the bitstream could not be loaded, or the clock is another one.
    ValueError
        There is no such bitstream, or it was built from another configuration.
    """

    name = "pynq"
    OPTIONS = ("bitstream", "address", "timeout", "interrupt", "watchdog", "measure_clock")

    def __init__(
        self,
        config,
        *,
        bitstream=None,
        address=None,
        timeout=60.0,
        interrupt="auto",
        watchdog=1 << 24,
        measure_clock=True,
    ):
        super().__init__(config)
        if not timeout > 0:
            raise ValueError(f"timeout must be more than 0 seconds, not {timeout!r}")
        path, found = check_bitstream(bitstream, config)
        self._pynq = import_pynq()
        self._timeout, self._watchdog = float(timeout), watchdog
        self._memory, self._interrupt, self.clock_hz = None, None, None
        self._loaded = download(self._pynq, path)
        set_clock(self._pynq, config.clock_hz)
        for candidate in (found, registers_of(self._loaded), DEFAULT_ADDRESS):
            address = candidate if address is None else address
        registers = self._pynq.MMIO(address, _REGISTER_BYTES)
        self.host = Host(
            lambda offset: int(registers.read(offset)),
            lambda offset, value: registers.write(offset, int(value)),
            self._wait,
        )
        self.host.check_build(config)
        self.host.soft_reset()  # the clock may have changed under it
        if measure_clock:
            self._measure_clock()
        self._interrupt = self._open_interrupt(interrupt)

    @property
    def waits_by(self):
        return self._interrupt.name

    def _open_interrupt(self, choice):
        if choice == "poll":
            return Polling()
        path = find_uio() if choice == "auto" else choice
        if path is None:
            return Polling()
        try:
            return UioInterrupt(path)
        except OSError as error:
            if choice == "auto":  # not root, or somebody else has it
                return Polling()
            raise BoardError(f"interrupt {path} cannot be opened: {error.strerror}") from None

    def _measure_clock(self):
        words = idle_program(_CLOCK_CYCLES)
        memory = BoardMemory(self._pynq, words.nbytes)
        try:
            memory.write(0, words.tobytes())
            self._set_window(memory)
            self.clock_hz = measure_clock(self.host, memory.address)
        finally:
            memory.close()
        check_clock(self.clock_hz, self.config.clock_hz)

    def _set_window(self, memory):
        end = memory.address + memory.nbytes
        if end >= 1 << self.config.address_bits:
            raise BoardError(
                f"memory ends at {end:#x}; the accelerator's addresses have"
                f" {self.config.address_bits} bits"
            )
        self.host.set_window(memory.address, end)
        self.host.write("watchdog", self._watchdog)

    def _load(self):
        self._free()
        self._memory = BoardMemory(self._pynq, self.program.memory_bytes)
        self._set_window(self._memory)
        for name in self.program.descriptors:
            words = self.program.words(name, base=self._memory.address)
            self._write(self.program.addresses[name], words.tobytes())

    def _wait(self):
        """True once the interrupt is up; False after a while."""
        self._interrupt.wait(min(_LOOK_SECONDS, self._timeout))
        return self.host.read("irq_status") != 0

    def _run(self, name, learning_rate, momentum, valid_images):
        start = time.perf_counter()

        def limit():
            passed = time.perf_counter() - start
            if passed >= self._timeout:
                error = self._timed_out(name, passed)
                self.host.soft_reset()
                raise error

        result = self.host.run(
            self.program.entry(name, self._memory.address),
            learning_rate=learning_rate,
            momentum=momentum,
            valid_images=valid_images,
            **self._loss_settings(),
            tags=self.program.tags,
            locate=lambda address: self._tensor_at(address - self._memory.address),
            limit=limit,
        )
        if time.perf_counter() - start >= _LOOK_SECONDS > result.cycles / self.config.clock_hz:
            self._poll_from_now_on()
        return result

    def _poll_from_now_on(self):
        """The step had ended long before its interrupt was missed."""
        if isinstance(self._interrupt, Polling):
            return
        warnings.warn(
            f"the interrupt did not come through {self._interrupt.name}; polling instead",
            RuntimeWarning,
            stacklevel=4,
        )
        self._interrupt.close()
        self._interrupt = Polling()

    def _timed_out(self, name, seconds):
        """What the accelerator was doing, as an error."""
        status = " ".join(self.host.status()) or "none"
        issued = self.host.read("counter_descriptors_low")
        descriptors = self.program.descriptors[name]
        descriptor = descriptors[min(issued, len(descriptors) - 1)]
        return DeviceError(
            0,
            "timeout",
            f"no interrupt after {seconds:.3g} s; status {status}; {issued} of"
            f" {len(descriptors)} descriptors issued,"
            f" {self.host.read('counter_cycles_low')} cycles",
            layer=self.program.tags.get(descriptor.tag),
        )

    def _write(self, offset, data):
        self._memory.write(offset, data)

    def _read(self, offset, count):
        return self._memory.read(offset, count)

    def _free(self):
        if self._memory is None:
            return
        if not self.host.read_field("status", "idle"):
            self.host.soft_reset()  # nothing may write to memory that is given back
        self._memory.close()
        self._memory = None

    def close(self):
        self._free()
        if self._interrupt is not None:
            self._interrupt.close()
            self._interrupt = None
