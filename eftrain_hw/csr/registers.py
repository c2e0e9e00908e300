"""The control and status registers as data.

The AXI4-Lite slave, the C header, the Python table and docs/registers.md are made from `REGISTERS`.
Pure Python: the driver on a board imports it.
"""

from dataclasses import dataclass, field

from .step_log_format import CODE_BITS, VALUE_BITS, WORDS

__all__ = [
    "ACCESS",
    "ADDRESS_BITS",
    "COUNTERS",
    "Field",
    "ID",
    "REGISTERS",
    "Register",
    "VERSION",
    "by_name",
    "capabilities",
]

ADDRESS_BITS = 12
ID = int.from_bytes(b"EFTR", "little")
VERSION = (1, 2)  # a driver needs the same major and at least its own minor

ACCESS = {
    "constant": "fixed when the core is generated",
    "ro": "read only",
    "rw": "read and write",
    "w1": "writing 1 starts the action; reads as 0",
    "w1c": "writing 1 clears it",
}
FORMATS = {"bfp8": 0, "fp32": 1}
PROTOCOLS = {"axi4": 0, "axi3": 1}


@dataclass(frozen=True)
class Field:
    """Some bits of a register.

    Members
    -------
    name : str
        "value" where it is the only one.
    low, bits : int
    access : str
        Key of `ACCESS`.
    doc : str
    reset : int
    constant : callable or None
        Value of a constant field, from the AcceleratorConfig.
    """

    name: str
    low: int
    bits: int
    access: str
    doc: str
    reset: int = 0
    constant: object = None

    @property
    def mask(self):
        return (1 << self.bits) - 1 << self.low


@dataclass(frozen=True)
class Register:
    """A 32-bit register.

    Members
    -------
    name : str
    address : int
        Byte offset.
    doc : str
    fields : tuple of Field
    locked : bool
        A write while the core is not idle is answered with SLVERR and changes nothing.
    part : tuple or None
        (name, 0 or 1): low or high half of a value wider than 32 bits.
    """

    name: str
    address: int
    doc: str
    fields: tuple = field(default_factory=tuple)
    locked: bool = False
    part: tuple = None

    @property
    def writable(self):
        return any(f.access in ("rw", "w1", "w1c") for f in self.fields)

    @property
    def reset(self):
        """Value after reset, apart from constants."""
        return sum(f.reset << f.low for f in self.fields)


def _one(name, address, bits, access, doc, *, locked=False, reset=0, constant=None, low=0):
    value = Field("value", low, bits, access, doc, reset, constant)
    return Register(name, address, doc, (value,), locked)


def _pair(name, address, access, doc, *, locked=False, low=0, constant=None):
    """Low word at `address`, high word behind it."""
    parts = []
    for k, half in enumerate(("low", "high")):
        text = f"{doc} ({half} word)"
        start = low if k == 0 else 0
        source = None
        if constant is not None:
            source = lambda config, k=k: constant(config) >> 32 * k & 0xFFFFFFFF  # noqa: E731
        value = Field("value", start, 32 - start, access, text, 0, source)
        parts.append(
            Register(f"{name}_{half}", address + 4 * k, text, (value,), locked, (name, k))
        )
    return parts


def _size(name, address, doc):
    return _one(name, address, 32, "constant", doc, constant=lambda config: getattr(config, name))


COUNTERS = {
    "cycles": "cycles of the step, from start to done or error",
    "mac_busy": "cycles in which the array worked on a position",
    "stall_moving": "cycles in which the array waited for the moving buffer",
    "stall_stationary": "cycles in which the array waited for the stationary buffer",
    "stall_accumulator": "cycles in which the array waited for a free accumulator bank",
    "stall_hazard": "cycles in which the array stretched a sweep over few positions",
    "read_beats": "64-bit beats read from memory",
    "write_beats": "64-bit beats written to memory",
    "commands": "commands issued to engines",
    "descriptors": "descriptors finished",
}
COUNTER_BASE = 0x100

REGISTERS = (
    _one("id", 0x000, 32, "constant", 'ASCII "EFTR"', constant=lambda config: ID),
    Register("version", 0x004, "version of this register map", (
        Field("minor", 0, 16, "constant", "additions", constant=lambda config: VERSION[1]),
        Field("major", 16, 16, "constant", "incompatible changes",
              constant=lambda config: VERSION[0]),
    )),
    *_pair("build_id", 0x008, "constant", "content hash of the configuration",
           constant=lambda config: config.build_id),
    Register("shape", 0x010, "the array and the number format", (
        Field("rows", 0, 8, "constant", "rows of the array", constant=lambda c: c.rows),
        Field("lanes", 8, 8, "constant", "products of a row each cycle",
              constant=lambda c: c.lanes),
        Field("drain_lanes", 16, 8, "constant", "values drained each cycle",
              constant=lambda c: c.drain_lanes),
        Field("format", 24, 8, "constant",
              "compute format: " + ", ".join(f"{v} {k}" for k, v in FORMATS.items()),
              constant=lambda c: FORMATS[c.format]),
    )),
    Register("bus", 0x014, "the memory ports", (
        Field("ports", 0, 4, "constant", "64-bit AXI masters", constant=lambda c: c.ports),
        Field("protocol", 4, 4, "constant",
              ", ".join(f"{v} {k}" for k, v in PROTOCOLS.items()),
              constant=lambda c: PROTOCOLS[c.axi]),
        Field("address_bits", 8, 8, "constant", "width of byte addresses",
              constant=lambda c: c.address_bits),
        Field("max_burst_beats", 16, 16, "constant", "longest burst in 64-bit beats",
              constant=lambda c: c.max_burst_beats),
    )),
    _size("moving_words", 0x018, "bus words of a lane's bank of the moving buffer"),
    _size("stationary_words", 0x01C, "bus words of a lane's bank of the stationary buffer"),
    _size("accumulator_depth", 0x020, "positions of an accumulator bank"),
    _size("bias_depth", 0x024, "biases of a stationary slot"),
    _size("descriptor_words", 0x028, "32-bit words of the two halves of the descriptor memory"),
    _size("pool_words", 0x02C, "bus words of the pooling line buffer"),
    _size("loss_words", 0x030, "logits that the loss unit holds"),
    _size("clock_hz", 0x034, "clock that the build aims at"),
    Register("control", 0x040, "actions; start is refused (SLVERR) unless the core is idle", (
        Field("start", 0, 1, "w1", "run the program at program_address; clears done, error and"
                                   " nonfinite"),
        Field("soft_reset", 1, 1, "w1", "abandon the step, drain the bus, clear the status"),
        Field("irq_enable", 8, 1, "rw", "let irq_status drive the interrupt line"),
    )),
    Register("status", 0x044, "what the core is doing", (
        Field("idle", 0, 1, "ro", "ready for start", reset=1),
        Field("busy", 1, 1, "ro", "a step is running"),
        Field("done", 2, 1, "ro", "the last step ended well; cleared by start and soft reset"),
        Field("error", 3, 1, "ro", "the last step failed: see error_code; cleared likewise"),
        Field("nonfinite", 4, 1, "ro", "an infinity or NaN was stored since start"),
        Field("resetting", 5, 1, "ro", "the bus is being drained; stays if the bus never answers"),
    )),
    Register("irq_status", 0x048, "causes of the interrupt", (
        Field("done", 0, 1, "w1c", "a step ended well"),
        Field("error", 1, 1, "w1c", "a step failed"),
    )),
    _one("error_code", 0x04C, 8, "ro", "what failed: see the table of error codes"),
    _one("error_tag", 0x050, 32, "ro",
         "tag of the descriptor with a program error, otherwise of the one that the engines were"
         " at; what is loaded ahead of a fence counts to the descriptor before"),
    _one("error_index", 0x054, 32, "ro", "its number in the program, from 0"),
    *_pair("error_address", 0x058, "ro",
           "first byte of the burst or request that a memory error is about"),
    *_pair("program_address", 0x060, "rw", "byte address of the program, a multiple of 64; the"
           " low 6 bits: lines of 64 bytes of its first descriptor, or 0",
           locked=True),
    *_pair("window_base", 0x068, "rw", "first byte that the core may touch", locked=True),
    *_pair("window_limit", 0x070, "rw", "end of the bytes that the core may touch", locked=True),
    _one("watchdog", 0x078, 32, "rw", "cycles without progress that end a step; 0: none",
         reset=1 << 24),
    _one("learning_rate", 0x080, 32, "rw", "learning rate, binary32", locked=True),
    _one("momentum", 0x084, 32, "rw", "momentum of the update, binary32", locked=True),
    _one("inverse_images", 0x088, 32, "rw", "1 / valid images, binary32", locked=True),
    _one("valid_images", 0x08C, 16, "rw", "images of the batch that count", locked=True),
    _one("log_index", 0x090, (WORDS - 1).bit_length(), "rw",
         "word of the step log that log_value and log_code show"),
    _one("log_value", 0x094, VALUE_BITS, "ro", "its value; see docs/profiling.md"),
    _one("log_code", 0x098, CODE_BITS, "ro", "its code, or the mark of a second word"),
    Register("log_status", 0x09C, "the step log, kept until the next start", (
        Field("count", 0, 16, "ro", "words in the log"),
        Field("busy", 16, 1, "ro", "the step or its last words are being written down"),
        Field("overflow", 17, 1, "ro", "it was full: only the first descriptors are in it"),
        Field("lost", 18, 1, "ro", "a descriptor was too short to be written down"),
    )),
    _one("label_target", 0x0A0, 32, "rw", "cross-entropy: target of an image's own class, binary32;"
         " less than 1 with label smoothing", locked=True, reset=0x3F800000),
    _one("other_target", 0x0A4, 32, "rw", "cross-entropy: target of every other class, binary32;"
         " 0 without label smoothing", locked=True),
    _one("scratch", 0x0FC, 32, "rw", "no effect; for a test of the bus"),
    *(register
      for k, (name, doc) in enumerate(COUNTERS.items())
      for register in _pair(f"counter_{name}", COUNTER_BASE + 8 * k, "ro", doc)),
)  # fmt: skip

_BY_NAME = {register.name: register for register in REGISTERS}


def by_name(name):
    """The register of that name; KeyError lists the names."""
    if name not in _BY_NAME:
        raise KeyError(f"register must be one of {list(_BY_NAME)}, not {name!r}")
    return _BY_NAME[name]


def capabilities(config):
    """What the constant registers of a core of this configuration read as, by name."""
    return {
        register.name: sum((f.constant(config) << f.low) & f.mask for f in register.fields)
        for register in REGISTERS
        if any(f.constant for f in register.fields)
    }
