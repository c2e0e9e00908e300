"""An on-chip system at the end of a serial line as a device."""

import time

from .device import DeviceError, MemoryDevice
from .host import Host
from .serial_link import SerialLink

__all__ = ["SerialDevice"]

_WORD = 8


class SerialDevice(MemoryDevice):
    """A board with the accelerator, its memory on the chip and a serial line (`docs/ulx3s.md`).

    Parameters
    ----------
    config : AcceleratorConfig
        What the bitstream was built from.
    port : str or object
        The port's name, such as "/dev/ttyUSB0"; or a transport that is open, see `SerialLink`.
    baud : int
        As the bitstream has it.
    timeout : float
        Seconds after which a step without an end is given up.
    watchdog : int
        Cycles without progress after which the hardware gives up.
    attempts : int
        See `SerialLink`.

    Members
    -------
    link : SerialLink
    host : Host
        The registers.

    Raises
    ------
    ValueError
        The bitstream was built from another configuration.
    SerialError
        There is no such port, or no accelerator at it.
    """

    name = "serial"
    OPTIONS = ("port", "baud", "timeout", "watchdog", "attempts")

    def __init__(
        self,
        config,
        *,
        port="/dev/ttyUSB0",
        baud=3_000_000,
        timeout=60.0,
        watchdog=1 << 24,
        attempts=8,
    ):
        super().__init__(config)
        if not timeout > 0:
            raise ValueError(f"timeout must be more than 0 seconds, not {timeout!r}")
        self._timeout, self._watchdog = timeout, watchdog
        if isinstance(port, str):
            from .serial_port import SerialPort

            port = SerialPort(port, baud=baud)
        else:
            baud = port.baud
        options = {"idle_bits": port.idle_bits} if hasattr(port, "idle_bits") else {}
        self.link = SerialLink(port, baud=baud, attempts=attempts, **options)
        try:
            self.link.open()
            self.host = Host(self.link.read_register, self.link.write_register, self.link.poll)
            self.host.check_build(config)
        except BaseException:
            self.link.close()
            raise

    def _load(self):
        base, size = self.link.memory_base, self.link.memory_size
        needed = self.program.memory_bytes
        if needed > size:
            self.program = None
            raise ValueError(
                f"the program needs {needed} bytes of memory, the board has {size}: a smaller"
                " batch or network is needed"
            )
        if not self.host.read_field("status", "idle"):
            self.host.soft_reset()
        self.host.set_window(base, base + size)
        self.host.write("watchdog", self._watchdog)
        self.link.clear(base, min(size, -(-needed // _WORD) * _WORD))
        for name in self.program.descriptors:
            words = self.program.words(name, base=base)
            self._write(self.program.addresses[name], words.tobytes())

    def _run(self, name, learning_rate, momentum, valid_images):
        began = time.monotonic()

        def limit():
            if time.monotonic() - began > self._timeout:
                raise DeviceError(0, "step_timeout", f"no end after {self._timeout:g} s")

        return self.host.run(
            self.program.entry(name, self.link.memory_base),
            learning_rate=learning_rate,
            momentum=momentum,
            valid_images=valid_images,
            **self._loss_settings(),
            tags=self.program.tags,
            locate=lambda address: self._tensor_at(address - self.link.memory_base),
            limit=limit,
        )

    def _write(self, offset, data):
        self.link.write(self.link.memory_base + offset, data)

    def _read(self, offset, count):
        return self.link.read(self.link.memory_base + offset, count)

    def close(self):
        self.link.close()
