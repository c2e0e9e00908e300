"""What can go wrong on the memory side, as numbers that status registers show."""

import enum

__all__ = ["MemoryFault"]


class MemoryFault(enum.IntEnum):
    """`error_code` of the memory reader and writer (3 bits)."""

    NONE = 0
    READ_SLAVE = 1  # SLVERR on RRESP
    READ_DECODE = 2  # DECERR on RRESP
    READ_WINDOW = 3  # a read request outside the address window; it has not left the core
    WRITE_SLAVE = 5  # SLVERR on BRESP
    WRITE_DECODE = 6  # DECERR on BRESP
    WRITE_WINDOW = 7  # a write request outside the address window; it has not left the core
