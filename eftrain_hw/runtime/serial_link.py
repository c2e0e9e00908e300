"""The host's side of the serial link: memory and registers of an on-chip system."""

import struct
import zlib
from collections import deque
from dataclasses import dataclass, field

from ..interop.serial_protocol import (
    HELLO,
    HELLO_MAGIC,
    IDLE_BITS,
    IRQ,
    PROTOCOL_VERSION,
    REMEMBERED,
    REPLY_HEADER,
    REPLY_SYNC,
    REQUEST_HEADER,
    REQUEST_SYNC,
    Operation,
    Status,
)
from .device import DeviceError

__all__ = ["SerialError", "SerialLink"]

_BITS = 10  # of a byte on the line
_REPLY_TAIL = 5  # status and CRC
_FLOOD = 1 << 16  # more bytes than the bridge can owe
_CLEAR_CYCLES = 4  # more than it takes to clear a byte, the accelerator at work


class SerialError(DeviceError):
    """The serial link failed, or the other end is no accelerator."""

    def __init__(self, meaning):
        super().__init__(0, "serial_link", meaning)


@dataclass
class _Request:
    operation: int
    address: int = 0
    length: int = 0
    payload: bytes = b""
    sequence: int = 0
    cycles: int = 0  # that it may take beside the time on the line
    reply: bytes | None = field(default=None, repr=False)

    def frame(self):
        head = REQUEST_HEADER.pack(
            REQUEST_SYNC, self.operation, self.sequence, self.length, self.address
        )
        body = head + self.payload
        return body + zlib.crc32(body).to_bytes(4, "little")

    @property
    def frame_bytes(self):
        return REQUEST_HEADER.size + len(self.payload) + 4

    @property
    def reply_bytes(self):
        carries = self.operation in (Operation.READ, Operation.REGISTER_READ)
        return REPLY_HEADER.size + _REPLY_TAIL + (self.length if carries else 0)


class SerialLink:
    """Requests with sequence numbers over a line that may lose or change bytes.

    Several requests are under way at once. Whatever goes wrong with one - no reply in time, a
    reply with a wrong CRC, a refusal - all are sent again from the first without a reply, once the
    line has been quiet; the bridge knows what it has already done (`interop.serial_protocol`).

    Parameters
    ----------
    transport : object
        write(data); read(count, seconds), which returns between 1 and `count` bytes, or none after
        that time; close(); `latency`, the seconds that a byte may take beside its time on the
        line; `name`. See `serial_port.SerialPort` and `serial_simulation.SimulatedPort`.
    baud : int
    idle_bits : int
        What the bridge was built with.
    attempts : int
        Repetitions without any progress after which the link is given up.

    Members
    -------
    memory_base, memory_size, clock_hz : int
        Of the other end, after `open`.
    irq : bool
        The interrupt, as the last reply had it.
    statistics : dict
        Requests sent, sent again, and why.
    """

    def __init__(self, transport, *, baud, idle_bits=IDLE_BITS, attempts=8):
        if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 1:
            raise ValueError(f"SerialLink.attempts must be an integer >= 1, not {attempts!r}")
        self._transport, self._baud = transport, baud
        self._attempts = attempts
        self._quiet = 1.5 * idle_bits / baud + transport.latency
        self._received = bytearray()
        self._sequence = 0
        self._reason = ""
        self._window_bytes, self._chunk = 0, 0
        self.memory_base = self.memory_size = self.clock_hz = 0
        self.irq = False
        self.statistics = {"requests": 0, "repeated": 0, "lost": 0, "corrupt": 0, "refused": 0}

    # -- session

    def open(self):
        """Begin a session.

        Raises
        ------
        SerialError
            Nothing answers, or something else does.
        """
        request = _Request(Operation.HELLO)
        for _ in range(self._attempts):
            self._settle([request])
            self._sequence = (self._sequence + 0x55) & 0xFF  # not one of an earlier session's
            request.sequence = self._sequence
            self._send([request])
            reply = self._reply(self._patience([request], HELLO.size))
            if reply is None:
                continue
            operation, sequence, payload, _ = reply
            if (operation, sequence) != (Operation.HELLO, request.sequence):
                self._reason = "an answer to another request"
                continue
            if len(payload) != HELLO.size:
                raise SerialError(f"{self._transport.name}: another version of the protocol")
            magic, version, longest, buffer, _, base, size, clock = HELLO.unpack(payload)
            if magic != HELLO_MAGIC or version != PROTOCOL_VERSION:
                raise SerialError(
                    f"{self._transport.name}: the bridge speaks version {version} of the protocol;"
                    f" this driver needs {PROTOCOL_VERSION}"
                )
            self.memory_base, self.memory_size, self.clock_hz = base, size, clock
            self._window_bytes = buffer
            overhead = request.frame_bytes
            self._chunk = min(longest, (buffer // 4 - overhead) // 8 * 8)  # four fit
            self._sequence = (self._sequence + 1) & 0xFF
            return
        raise SerialError(
            f"no accelerator answers at {self._transport.name} with {self._baud} baud"
            f" ({self._attempts} attempts; the last: {self._reason}). Is the bitstream loaded, and"
            " is it the accelerator's port?"
        )

    def close(self):
        self._transport.close()

    # -- accesses

    def read(self, address, count):
        """Bytes of the memory, from an address that is a multiple of 8."""
        requests = [
            _Request(Operation.READ, address + k, min(self._chunk, count - k))
            for k in range(0, count, self._chunk)
        ]
        return b"".join(self._carry_out(requests))

    def write(self, address, data):
        """Put bytes into the memory, from an address that is a multiple of 8."""
        data = bytes(data)
        requests = []
        for k in range(0, len(data), self._chunk):
            part = data[k : k + self._chunk]
            requests.append(_Request(Operation.WRITE, address + k, len(part), part))
        self._carry_out(requests)

    def clear(self, address, count):
        """Set bytes of the memory to 0; address and count are multiples of 8."""
        request = _Request(Operation.CLEAR, address, 4, struct.pack("<I", count))
        request.cycles = _CLEAR_CYCLES * count
        self._carry_out([request])

    def read_register(self, address):
        """A 32-bit register."""
        (payload,) = self._carry_out([_Request(Operation.REGISTER_READ, address, 4)])
        return int.from_bytes(payload, "little")

    def write_register(self, address, value):
        payload = struct.pack("<I", value)
        self._carry_out([_Request(Operation.REGISTER_WRITE, address, 4, payload)])

    def poll(self):
        """Whether the interrupt is up."""
        self._carry_out([_Request(Operation.READ, self.memory_base, 0)])
        return self.irq

    # -- requests in flight

    def _carry_out(self, requests):
        """Payloads of the replies."""
        for request in requests:
            request.sequence = self._sequence
            self._sequence = (self._sequence + 1) & 0xFF
        waiting, flying, failures = deque(requests), deque(), 0
        while waiting or flying:
            fresh = []
            while waiting and self._fits(flying, waiting[0]):
                fresh.append(waiting.popleft())
                flying.append(fresh[-1])
            if fresh:
                self._send(fresh)
            reply = self._reply(self._patience(flying))
            if reply is not None and self._accept(flying, *reply):
                failures = 0
                continue
            failures += 1
            if failures >= self._attempts:
                raise SerialError(
                    f"{self._transport.name}: given up after {failures} attempts; the last:"
                    f" {self._reason}; {self._counted()}"
                )
            self._settle(flying)
            self.statistics["repeated"] += len(flying)
            self._send(flying)
        return [request.reply for request in requests]

    def _fits(self, flying, request):
        queued = sum(each.frame_bytes for each in flying) + request.frame_bytes
        return not flying or (len(flying) < REMEMBERED - 1 and queued <= self._window_bytes)

    def _send(self, requests):
        self.statistics["requests"] += len(requests)
        self._transport.write(b"".join(request.frame() for request in requests))

    def _patience(self, flying, extra=0):
        """Seconds in which the next reply must be there."""
        count = sum(each.frame_bytes + each.reply_bytes for each in flying) + extra
        cycles = sum(each.cycles for each in flying)
        working = cycles / self.clock_hz if cycles else 0
        return count * _BITS / self._baud + working + self._quiet

    def _accept(self, flying, operation, sequence, payload, status):
        """Take a reply; False where the requests must be sent again."""
        first = flying[0]
        code = status & ~IRQ
        if operation == Operation.NAK:
            self.statistics["refused"] += 1
            reason = Status(code).name.lower() if code in set(Status) else f"status {code}"
            self._reason = f"a request was refused: {reason}"
            ahead = (sequence - first.sequence) & 0xFF
            if code == Status.CLOSED or (code == Status.SEQUENCE and ahead > len(flying)):
                raise SerialError(
                    f"{self._transport.name}: the session is lost: the board has been reset, or"
                    " another program uses the port; what was in its memory may be gone"
                )
            return False
        if (operation, sequence) != (first.operation, first.sequence):
            self._reason = "a reply is missing"
            return False
        self.irq = bool(status & IRQ)
        if code != Status.OKAY:
            name = Status(code).name if code in set(Status) else f"status {code}"
            raise SerialError(
                f"{Operation(operation).name.lower()} at {first.address:#x}, {first.length} bytes:"
                f" {name}"
            )
        if len(payload) != first.reply_bytes - REPLY_HEADER.size - _REPLY_TAIL:
            self._reason = f"a reply of {len(payload)} bytes"
            return False
        first.reply = payload
        flying.popleft()
        return True

    # -- bytes

    def _reply(self, seconds):
        """(operation, sequence, payload, status), or None where none comes in time or is right."""
        if not self._receive(REPLY_HEADER.size, seconds):
            return None
        sync, operation, sequence, length = REPLY_HEADER.unpack_from(self._received)
        size = REPLY_HEADER.size + length + _REPLY_TAIL
        if sync != REPLY_SYNC or length > max(self._chunk, HELLO.size):
            self.statistics["corrupt"] += 1
            self._reason = f"bytes that are no reply: {bytes(self._received[:8]).hex(' ')}"
            return None
        if not self._receive(size, seconds):
            return None
        frame = bytes(self._received[:size])
        del self._received[:size]
        if zlib.crc32(frame[:-4]) != int.from_bytes(frame[-4:], "little"):
            self.statistics["corrupt"] += 1
            self._reason = "a reply with a wrong CRC"
            return None
        return operation, sequence, frame[REPLY_HEADER.size : -_REPLY_TAIL], frame[-_REPLY_TAIL]

    def _receive(self, count, seconds):
        """Have `count` bytes; False where no byte comes for `seconds`."""
        while len(self._received) < count:
            data = self._transport.read(count - len(self._received), seconds)
            if not data:
                self.statistics["lost"] += 1
                self._reason = f"no answer in {seconds:.3g} s"
                return False
            self._received += data
        return True

    def _settle(self, flying):
        """Drop what comes until the line is quiet: then the bridge listens for a new request.

        The requests may still be on their way out, and the bridge waits for quiet behind them.
        """
        self._received.clear()
        seconds = sum(each.frame_bytes for each in flying) * _BITS / self._baud + self._quiet
        dropped = 0
        while dropped < _FLOOD:
            data = self._transport.read(4096, seconds)
            if not data:
                return
            dropped += len(data)
        raise SerialError(f"{self._transport.name}: bytes keep coming that nobody asked for")

    def _counted(self):
        return ", ".join(f"{name} {count}" for name, count in self.statistics.items())
