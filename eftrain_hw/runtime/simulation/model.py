"""A compiled design as a Python object: memory as a NumPy array, registers, clock."""

import ctypes
from dataclasses import dataclass

import numpy as np

__all__ = ["BusFault", "Simulation", "SimulationError"]

_RESPONSES = {0: "OKAY", 1: "EXOKAY", 2: "SLVERR", 3: "DECERR"}
_FAULTS = {"slverr": 2, "decerr": 3, "hold": 4}
_SLICE = 1_000_000  # cycles between two looks for Ctrl-C


class SimulationError(RuntimeError):
    """The RTL broke the bus protocol, an assertion failed, or a register access got no answer."""


class _Options(ctypes.Structure):
    _fields_ = [
        ("memory_bytes", ctypes.c_uint64),
        ("memory_base", ctypes.c_uint64),
        ("latency", ctypes.c_uint32),
        ("bytes_per_cycle", ctypes.c_uint32),
        ("outstanding", ctypes.c_uint32),
        ("longest_burst", ctypes.c_uint32),
        ("stall_per_256", ctypes.c_uint32),
        ("seed", ctypes.c_uint32),
    ]


class _Counters(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint64)
        for name in ("cycles", "read_bytes", "write_bytes", "read_bursts", "write_bursts")
    ]


class _Fault(ctypes.Structure):
    _fields_ = [
        ("start", ctypes.c_uint64),
        ("end", ctypes.c_uint64),
        ("kind", ctypes.c_uint32),
        ("reads", ctypes.c_uint32),
        ("writes", ctypes.c_uint32),
    ]


@dataclass
class BusFault:
    """A range of addresses, start <= address < end, whose accesses fail.

    `kind` is "slverr", "decerr", or "hold": taken, but not answered while the fault stands.
    """

    start: int
    end: int
    kind: str = "slverr"
    reads: bool = True
    writes: bool = True

    def __post_init__(self):
        if self.kind not in _FAULTS:
            raise ValueError(f"BusFault.kind must be one of {list(_FAULTS)}, not {self.kind!r}")


def _load(path):
    library = ctypes.CDLL(str(path))
    handle, u32, u64 = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64
    for name, result, arguments in (
        ("sim_create", handle, [ctypes.POINTER(_Options), handle, ctypes.c_char_p]),
        ("sim_destroy", None, [handle]),
        ("sim_reset", None, [handle, u32]),
        ("sim_run", u64, [handle, u64, ctypes.c_int]),
        ("sim_irq", ctypes.c_int, [handle]),
        ("sim_bus_busy", ctypes.c_int, [handle]),
        ("sim_lite_write", ctypes.c_int, [handle, u32, u32, u32]),
        ("sim_lite_read", ctypes.c_int, [handle, u32, ctypes.POINTER(u32), u32]),
        ("sim_line_rate", None, [handle, ctypes.c_double]),
        ("sim_line_send", None, [handle, ctypes.c_char_p, u64]),
        ("sim_line_take", u64, [handle, handle, u64, u64]),
        ("sim_counters", None, [handle, ctypes.POINTER(_Counters)]),
        ("sim_clear_faults", None, [handle]),
        ("sim_add_fault", None, [handle, ctypes.POINTER(_Fault)]),
        ("sim_error", ctypes.c_char_p, [handle]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class Simulation:
    """One instance of a design with its memory.

    Parameters
    ----------
    library : path
        What `build_library` returned.
    memory_bytes : int
        Size of the memory.
    memory_base : int
        Address of its first byte; accesses outside get DECERR.
    latency : int
        Cycles from a request to its first data, or from the last data to the response.
    bytes_per_cycle : int
        Bandwidth of all ports together, reads and writes.
    outstanding : int
        Requests that each port of the memory takes before it makes the master wait.
    longest_burst : int
        Beats; a longer burst is a protocol error.
    stall : float
        Chance that a channel of the bus pauses in a cycle.
    seed : int
        Of the pauses.
    trace : path or None
        VCD file to write; the library must have been built with tracing.

    Members
    -------
    memory : numpy.ndarray
        uint8, the memory itself, shared with the simulation.
    """

    def __init__(
        self,
        library,
        *,
        memory_bytes,
        memory_base=0,
        latency=40,
        bytes_per_cycle=16,
        outstanding=16,
        longest_burst=256,
        stall=0.0,
        seed=1,
        trace=None,
    ):
        if bytes_per_cycle < 1:
            raise ValueError(f"bytes_per_cycle must be at least 1, not {bytes_per_cycle!r}")
        if not 0 <= stall < 1:
            raise ValueError(f"stall must be at least 0 and less than 1, not {stall!r}")
        self._library = _load(library)
        self.memory_base = memory_base
        self.memory = np.zeros(memory_bytes, np.uint8)
        options = _Options(
            memory_bytes=memory_bytes,
            memory_base=memory_base,
            latency=latency,
            bytes_per_cycle=bytes_per_cycle,
            outstanding=outstanding,
            longest_burst=longest_burst,
            stall_per_256=round(stall * 256),
            seed=seed,
        )
        name = str(trace).encode() if trace is not None else None
        self._handle = self._library.sim_create(
            ctypes.byref(options), self.memory.ctypes.data, name
        )
        self.reset()

    def close(self):
        """End the simulation; a VCD file is complete after it."""
        if self._handle is not None:
            self._library.sim_destroy(self._handle)
            self._handle = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def __del__(self):
        if getattr(self, "_handle", None) is not None:
            self.close()

    def _check(self):
        message = self._library.sim_error(self._handle)
        if message:
            raise SimulationError(message.decode())

    def reset(self, cycles=4):
        """Hold `rst` for some cycles."""
        self._library.sim_reset(self._handle, cycles)
        self._check()

    @property
    def irq(self):
        """Level of the interrupt."""
        return bool(self._library.sim_irq(self._handle))

    @property
    def bus_busy(self):
        """Whether a memory port has something outstanding."""
        return bool(self._library.sim_bus_busy(self._handle))

    @property
    def cycles(self):
        """Clock cycles since the start."""
        return self.counters()["cycles"]

    def counters(self):
        """Cycles, bytes and bursts that the memory has seen, as a dict."""
        counters = _Counters()
        self._library.sim_counters(self._handle, ctypes.byref(counters))
        return {name: getattr(counters, name) for name, _ in _Counters._fields_}

    def run(self, limit, *, until_irq=True):
        """Run the clock until the interrupt, `limit` cycles at most; returns the cycles.

        Raises
        ------
        SimulationError
            A protocol violation or a failed assertion.
        """
        passed = 0
        while passed < limit:
            part = min(_SLICE, limit - passed)
            done = self._library.sim_run(self._handle, part, until_irq)
            passed += done
            self._check()
            if done < part:
                break
        return passed

    def write_register(self, address, value):
        """AXI4-Lite write of a 32-bit register."""
        response = self._library.sim_lite_write(
            self._handle, address, int(value) & 0xFFFFFFFF, 10_000
        )
        self._respond("write", address, response)

    def read_register(self, address):
        """AXI4-Lite read of a 32-bit register."""
        value = ctypes.c_uint32()
        response = self._library.sim_lite_read(self._handle, address, ctypes.byref(value), 10_000)
        self._respond("read", address, response)
        return value.value

    def set_line_rate(self, cycles_per_bit):
        """Clock cycles of a bit of the serial line's far end; need not be whole."""
        self._library.sim_line_rate(self._handle, cycles_per_bit)

    def send_line(self, data):
        """Give bytes to the serial line; they go out while the clock runs."""
        self._library.sim_line_send(self._handle, bytes(data), len(data))

    def take_line(self, count, limit):
        """Bytes that came on the serial line: runs until there are `count`, `limit` cycles at
        most."""
        buffer = ctypes.create_string_buffer(max(count, 1))
        taken = self._library.sim_line_take(self._handle, buffer, count, limit)
        self._check()
        return buffer.raw[:taken]

    def _respond(self, what, address, response):
        self._check()
        if response:
            answer = _RESPONSES.get(response, "no answer in 10,000 cycles")
            raise SimulationError(f"register {what} at {address:#x}: {answer}")

    def _span(self, address, count):
        start = address - self.memory_base
        if start < 0 or start + count > len(self.memory):
            raise ValueError(
                f"addresses {address:#x} to {address + count:#x} are outside the memory,"
                f" {self.memory_base:#x} to {self.memory_base + len(self.memory):#x}"
            )
        return slice(start, start + count)

    def write(self, address, data):
        """Put bytes (or an array's bytes) into the memory."""
        data = np.frombuffer(memoryview(data).cast("B"), np.uint8)
        self.memory[self._span(address, len(data))] = data

    def read(self, address, count):
        """Bytes of the memory."""
        return self.memory[self._span(address, count)].tobytes()

    def set_faults(self, faults):
        """Replace the list of `BusFault`s."""
        self._library.sim_clear_faults(self._handle)
        for fault in faults:
            self._library.sim_add_fault(
                self._handle,
                _Fault(fault.start, fault.end, _FAULTS[fault.kind], fault.reads, fault.writes),
            )
