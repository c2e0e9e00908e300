"""Frames of the serial link between a host and an on-chip system, as data.

The bridge in hardware and the driver are made from this file. Pure Python.

    request  REQUEST_SYNC  operation  sequence  length (2)  address (4)  payload  CRC (4)
    reply    REPLY_SYNC    operation  sequence  length (2)  payload  status       CRC (4)

Little endian; the CRC is zlib's CRC-32 of everything before it. A request carries `length` bytes
of payload where bit 0 of its operation is set, otherwise none.

Requests are carried out in the order of their sequence numbers, each once. The bridge answers

- the request it expects next: by carrying it out;
- one of the last `REMEMBERED`: reads again, everything else with the status of the first time;
- any other: `nak` with the number that it expects, and nothing is carried out;
- what it cannot read (CRC, a byte that never came): `nak`; then it drops bytes until the line has
  been quiet for `IDLE_BITS` bit times.

`hello` opens a session: the request after it has the following number. So a host may send several
requests ahead, up to `buffer` bytes of them, and sends again from the first that has no reply.
"""

import struct
from enum import IntEnum

__all__ = [
    "HELLO",
    "HELLO_MAGIC",
    "IDLE_BITS",
    "IRQ",
    "MAX_PAYLOAD",
    "Operation",
    "PROTOCOL_VERSION",
    "REMEMBERED",
    "REPLY_HEADER",
    "REPLY_SYNC",
    "REQUEST_HEADER",
    "REQUEST_SYNC",
    "Status",
]

PROTOCOL_VERSION = 1
REQUEST_SYNC, REPLY_SYNC = 0xA5, 0x5A
MAX_PAYLOAD = 1024  # bytes
REMEMBERED = 16  # requests whose repetition is recognised; a host sends fewer ahead
IDLE_BITS = 60_000  # 20 ms at 3 Mbaud: longer than the pauses of a USB bridge

REQUEST_HEADER = struct.Struct("<BBBHI")
REPLY_HEADER = struct.Struct("<BBBH")

HELLO = struct.Struct("<IHHHHIII")
"""Reply to `hello`: magic, version, longest payload, bytes of requests that may wait, 0, address
and bytes of the memory, clock in Hz."""
HELLO_MAGIC = int.from_bytes(b"EFSB", "little")

IRQ = 0x80  # bit of a reply's status byte: the accelerator's interrupt is up


class Operation(IntEnum):
    """Operations; bit 0 is set where a payload follows."""

    HELLO = 0x10
    READ = 0x20  # `length` bytes of memory; the address is a multiple of 8
    WRITE = 0x21
    CLEAR = 0x31  # payload: bytes to clear (u32, a multiple of 8)
    REGISTER_READ = 0x40  # length 4
    REGISTER_WRITE = 0x41
    NAK = 0xF0  # in replies only; the sequence number is the one that is expected


class Status(IntEnum):
    """Bits 0 to 3 of a reply's status byte; 2 and 3 are AXI's responses."""

    OKAY = 0
    MALFORMED = 1  # alignment, length or operation
    SLVERR = 2
    DECERR = 3
    CORRUPT = 8  # nak: CRC, or a length that cannot be
    TIMEOUT = 9  # nak: the rest of a frame did not come
    SEQUENCE = 10  # nak: not the expected number
    CLOSED = 11  # nak: no `hello` since reset
