"""Memory that a board's processor and the accelerator share, caches included."""

import numpy as np

__all__ = ["BoardError", "BoardMemory"]

_LINE = 64  # at least a cache line of every Zynq; tensors never share one
_PAGE = 4096


class BoardError(RuntimeError):
    """The board, its image or its bitstream cannot be used as it is."""


def _free_contiguous():
    """What the kernel says about its contiguous memory, in bytes: (total, free), or None."""
    found = {}
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name in ("CmaTotal", "CmaFree"):
                    found[name] = int(value.split()[0]) * 1024
    except OSError:
        return None
    return (found["CmaTotal"], found["CmaFree"]) if len(found) == 2 else None


class BoardMemory:
    """A physically contiguous buffer, with the cache maintenance of a port that isn't coherent.

    `write` cleans the lines that it has changed, so that the accelerator reads them; `read`
    invalidates the lines before the processor reads what the accelerator wrote.

    Parameters
    ----------
    pynq : module
    nbytes : int

    Members
    -------
    address : int
        Bus address of the first byte.
    nbytes : int

    Raises
    ------
    BoardError
        There is not so much contiguous memory.
    """

    def __init__(self, pynq, nbytes):
        self.nbytes = -(-nbytes // _PAGE) * _PAGE
        try:
            self._buffer = pynq.allocate(shape=(self.nbytes,), dtype=np.uint8)
        except (RuntimeError, MemoryError, OSError) as error:
            cma = _free_contiguous()
            free = f"; the kernel has {cma[1]} of {cma[0]} bytes free" if cma else ""
            raise BoardError(
                f"{self.nbytes} bytes of contiguous memory could not be allocated ({error}){free}."
                " Use a smaller batch, end other notebooks, or boot with more (cma=)"
            ) from None
        self.address = int(self._buffer.device_address)
        if self.address % _LINE:
            self.close()
            raise BoardError(
                f"contiguous memory must start at a multiple of {_LINE}, not at {self.address:#x}"
            )
        self._buffer[:] = 0
        self._buffer.flush()

    def _lines(self, offset, count):
        if offset < 0 or offset + count > self.nbytes:
            raise ValueError(
                f"bytes must lie within 0 to {self.nbytes}, not {offset} to {offset + count}"
            )
        return self._buffer[offset // _LINE * _LINE : -(-(offset + count) // _LINE) * _LINE]

    def write(self, offset, data):
        """Put bytes at an offset."""
        data = np.frombuffer(data, np.uint8)
        lines = self._lines(offset, len(data))
        if len(data):
            self._buffer[offset : offset + len(data)] = data
            lines.flush()

    def read(self, offset, count):
        """Bytes at an offset."""
        lines = self._lines(offset, count)
        if not count:
            return b""
        lines.invalidate()
        return self._buffer[offset : offset + count].tobytes()

    def close(self):
        """Give the memory back."""
        if self._buffer is not None:
            self._buffer.freebuffer()
            self._buffer = None
