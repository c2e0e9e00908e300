"""Every error code that the status registers can show."""

from typing import NamedTuple

from ..sequencer.errors import PROGRAM_ERRORS

__all__ = ["BAD_VECTOR_PROGRAM", "ERRORS", "WATCHDOG", "ErrorCode", "describe"]

WATCHDOG = 8
BAD_VECTOR_PROGRAM = 0x20


class ErrorCode(NamedTuple):
    """One row of the table: number, name, meaning; `has_address` if error_address goes with it."""

    code: int
    name: str
    meaning: str
    has_address: bool = False


ERRORS = (
    ErrorCode(0, "none", "no error"),
    ErrorCode(1, "read_slave", "a read was answered with SLVERR", True),
    ErrorCode(2, "read_decode", "a read was answered with DECERR: nothing at this address", True),
    ErrorCode(3, "read_window", "a read outside the address window; it was not issued", True),
    ErrorCode(5, "write_slave", "a write was answered with SLVERR", True),
    ErrorCode(6, "write_decode", "a write was answered with DECERR: nothing at this address", True),
    ErrorCode(7, "write_window", "a write outside the address window; it was not issued", True),
    ErrorCode(WATCHDOG, "watchdog", "nothing moved for as many cycles as the watchdog allows"),
    *(ErrorCode(code, name, meaning) for name, (code, meaning) in PROGRAM_ERRORS.items()),
    ErrorCode(BAD_VECTOR_PROGRAM, "bad_vector_program", "what a PROCESS command points at is not a"
              " vector program: its magic number, version, length, instructions or checksum"),
)
_BY_CODE = {error.code: error for error in ERRORS}


def describe(code):
    """The table's row for a value of the error_code register; ValueError if there is none."""
    if code not in _BY_CODE:
        raise ValueError(f"error code must be one of {sorted(_BY_CODE)}, not {code!r}")
    return _BY_CODE[code]
