"""Waiting for the accelerator's interrupt on a board: a UIO device, or polling."""

import os
import select
import time
from pathlib import Path

__all__ = ["POLL_SECONDS", "Polling", "UioInterrupt", "find_uio"]

POLL_SECONDS = 1e-4
_UIO_NAME = "fabric"  # the PYNQ image's device for the first interrupt from the fabric
_ENABLE = (1).to_bytes(4, "little")


def find_uio(name=_UIO_NAME, root="/sys/class/uio"):
    """Path of the UIO device with that name, or None where there is none."""
    for folder in sorted(Path(root).glob("uio*")):
        try:
            if (folder / "name").read_text().strip() == name:
                return f"/dev/{folder.name}"
        except OSError:
            continue
    return None


class Polling:
    """Sleeps a little; the caller looks at the registers."""

    name = "polling"

    def wait(self, seconds):
        """Wait, no longer than `seconds`."""
        time.sleep(min(POLL_SECONDS, seconds))

    def close(self):
        """Nothing to give back."""


class UioInterrupt:
    """An interrupt line through a UIO device.

    The kernel masks the line when it fires; `wait` unmasks it. A line that is up already fires at
    once, so no interrupt is lost between two waits.

    Parameters
    ----------
    path : str
        Such as "/dev/uio0".

    Raises
    ------
    OSError
        The device cannot be opened.
    """

    def __init__(self, path):
        self.name = str(path)
        self._file = os.open(path, os.O_RDWR)

    def wait(self, seconds):
        """Wait until the line fires, no longer than `seconds`."""
        os.write(self._file, _ENABLE)
        ready, _, _ = select.select([self._file], [], [], seconds)
        if ready:
            os.read(self._file, 4)  # the kernel's count of interrupts

    def close(self):
        """Close the device."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
