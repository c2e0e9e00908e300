"""The serial device against the RTL of the on-chip system, over a line with faults."""

import builtins
import random

import numpy as np
import pytest

from eftrain_hw import AcceleratorConfig, Trainer, compile_network, nn, open_device, optim
from eftrain_hw.csr.registers import by_name
from eftrain_hw.interop.serial_protocol import REPLY_HEADER, Operation, Status
from eftrain_hw.runtime.serial_link import SerialError, SerialLink, _Request
from eftrain_hw.runtime.serial_simulation import SimulatedPort

pytestmark = pytest.mark.rtl
CONFIG = AcceleratorConfig.preset("ulx3s-85f-small")
MEMORY = 64 * 1024
WATCHDOG = by_name("watchdog").address


class FaultyPort:
    """A transport that changes (`flip`) or loses (`drop`) bytes with a chance, both ways."""

    name, latency = "a bad line", 0.0

    def __init__(self, port, *, flip=0.0, drop=0.0, seed=1):
        self._port, self._flip, self._drop = port, flip, drop
        self._rng = random.Random(seed)
        self.baud, self.idle_bits = port.baud, port.idle_bits

    def _spoil(self, data):
        kept = bytearray()
        for byte in data:
            if self._rng.random() < self._drop:
                continue
            flips = self._rng.random() < self._flip
            kept.append(byte ^ (1 << self._rng.randrange(8)) if flips else byte)
        return bytes(kept)

    def write(self, data):
        self._port.write(self._spoil(data))

    def read(self, count, seconds):
        while True:
            data = self._port.read(count, seconds)
            spoilt = self._spoil(data)
            if spoilt or not data:
                return spoilt

    def close(self):
        self._port.close()


@pytest.fixture
def port():
    port = SimulatedPort(CONFIG, memory_size=MEMORY)
    yield port
    port.close()


def open_link(port, **options):
    link = SerialLink(port, baud=port.baud, idle_bits=port.idle_bits, **options)
    link.open()
    return link


def ask(port, data, seconds=1e-3):
    """(operation, sequence, status) of the one reply to raw bytes, or None."""
    port.write(data)
    reply = bytearray()
    while part := port.read(4096, seconds):
        reply += part
    if not reply:
        return None
    _, operation, sequence, length = REPLY_HEADER.unpack_from(reply)
    assert len(reply) == REPLY_HEADER.size + length + 5
    return operation, sequence, reply[-5] & 0x7F


def test_reads_what_it_wrote(port):
    """Lengths around words and frames; the bytes behind stay as they are."""
    link, rng = open_link(port), random.Random(1)
    assert (link.memory_base, link.memory_size, link.clock_hz) == (0, MEMORY, CONFIG.clock_hz)
    expected = bytearray(MEMORY)
    for address, count in ((0, 1), (8, 7), (24, 8), (64, 495), (4096, 496), (8192, 497),
                           (16384, 5000), (MEMORY - 8, 8)):  # fmt: skip
        data = rng.randbytes(count)
        link.write(address, data)
        expected[address : address + count] = data
        assert link.read(address, count) == data
    link.clear(4096, 480)
    expected[4096 : 4096 + 480] = bytes(480)
    assert link.read(0, 24_000) == expected[:24_000]
    assert link.statistics["repeated"] == 0


@pytest.mark.parametrize(
    "faults", [{"flip": 2e-4}, {"drop": 2e-4}, {"flip": 1e-4, "drop": 1e-4, "seed": 3}]
)
def test_survives_a_bad_line(port, faults):
    """Nothing is lost, nothing is invented, and requests are known to have been sent again."""
    link, rng = open_link(FaultyPort(port, **faults)), random.Random(2)
    for _ in range(4):
        data = rng.randbytes(6000)
        link.write(0, data)
        assert link.read(0, len(data)) == data
        value = rng.getrandbits(31)
        link.write_register(WATCHDOG, value)
        assert link.read_register(WATCHDOG) == value
    assert link.statistics["repeated"] > 0


def test_carries_nothing_out_twice(port):
    """A request that is repeated gets the old answer and changes nothing."""
    open_link(port)

    def write(sequence, value):
        payload = value.to_bytes(4, "little")
        return _Request(Operation.REGISTER_WRITE, WATCHDOG, 4, payload, sequence).frame()

    # the session began with sequence number 0x55
    assert ask(port, write(0x56, 1)) == (Operation.REGISTER_WRITE, 0x56, Status.OKAY)
    bad = _Request(Operation.REGISTER_WRITE, 0xFF0, 4, b"\1\0\0\0", 0x57).frame()
    refused = ask(port, bad)
    assert refused[2] in (Status.SLVERR, Status.DECERR)
    assert ask(port, write(0x58, 2)) == (Operation.REGISTER_WRITE, 0x58, Status.OKAY)
    assert ask(port, write(0x56, 1)) == (Operation.REGISTER_WRITE, 0x56, Status.OKAY)
    assert ask(port, bad) == refused
    link = open_link(port)
    assert link.read_register(WATCHDOG) == 2


def test_refuses_what_it_cannot_take(port):
    """Each with its status, and what is right is done afterwards."""
    read = _Request(Operation.READ, 0, 8, b"", 0x56)
    assert ask(port, read.frame()) == (Operation.NAK, 0, Status.CLOSED)
    open_link(port)
    good = read.frame()
    assert ask(port, good[:5] + b"\x44" + good[6:]) == (Operation.NAK, 0x56, Status.CORRUPT)
    assert ask(port, good[:-2]) == (Operation.NAK, 0x56, Status.TIMEOUT)
    ahead = _Request(Operation.READ, 0, 8, b"", 0x57).frame()
    assert ask(port, ahead) == (Operation.NAK, 0x56, Status.SEQUENCE)
    behind = _Request(Operation.READ, 0, 8, b"", 0x54).frame()
    assert ask(port, behind) == (Operation.NAK, 0x56, Status.SEQUENCE)
    requests = [
        (_Request(Operation.READ, 4, 8), Status.MALFORMED),
        (_Request(Operation.WRITE, 1, 1, b"x"), Status.MALFORMED),
        (_Request(Operation.CLEAR, 0, 4, b"\4\0\0\0"), Status.MALFORMED),
        (_Request(Operation.CLEAR, 0, 3, b"\x08\0\0"), Status.MALFORMED),
        (_Request(Operation.REGISTER_READ, 0, 8), Status.MALFORMED),
        (_Request(0x30, 0, 0), Status.MALFORMED),
        (_Request(Operation.READ, MEMORY, 8), Status.DECERR),
        (_Request(Operation.WRITE, MEMORY, 8, bytes(8)), Status.DECERR),
        (_Request(Operation.CLEAR, MEMORY - 8, 4, b"\x10\0\0\0"), Status.DECERR),
        (_Request(Operation.READ, 0, 8), Status.OKAY),
    ]
    for sequence, (request, status) in enumerate(requests, 0x56):
        request.sequence = sequence
        assert ask(port, request.frame()) == (request.operation, sequence, status), request


def test_names_what_failed(port):
    link = open_link(port)
    with pytest.raises(SerialError, match=r"read at 0x10000, 8 bytes: DECERR"):
        link.read(MEMORY, 8)
    assert link.read(0, 8) == bytes(8)


def test_notices_a_reset(port):
    link = open_link(port)
    link.write(0, b"12345678")
    port.reset()
    with pytest.raises(SerialError, match="the session is lost: the board has been reset"):
        link.read(0, 8)
    link.open()
    assert link.read_register(0) == int.from_bytes(b"EFTR", "little")


def test_gives_up_on_a_dead_line(port):
    link = open_link(port, attempts=3)
    port.write = lambda data: None
    with pytest.raises(SerialError, match=r"given up after 3 attempts; the last: no answer in .*"):
        link.read(0, 8)
    with pytest.raises(SerialError, match="no accelerator answers at the simulated serial port"):
        link.open()


def network():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 3),
        input_shape=(1, 8, 8),
    )  # fmt: skip


def trained(name, **options):
    program = compile_network(
        network(), CONFIG, batch_size=4, loss=nn.CrossEntropyLoss(),
        optimizer=optim.SGD(lr=0.1, momentum=0.9),
    )  # fmt: skip
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(8, 1, 8, 8)).astype(np.float32), rng.integers(0, 3, 8)
    with open_device(name, CONFIG, **options) as device:
        trainer = Trainer(program, device, seed=0)
        trainer.fit(x, y, progress=False)
        return trainer.state_dict(), trainer.momentum_dict(), trainer.logits(x)


@pytest.mark.parametrize("faults", [{}, {"flip": 1e-4, "drop": 1e-4}])
def test_trains_as_the_golden_model(port, faults):
    """Two steps and an inference through the serial line; every bit, on a bad line too."""
    *states, logits = trained("serial", port=FaultyPort(port, **faults))
    *expected, golden_logits = trained("golden")
    for state, golden in zip(states, expected):
        for name, value in golden.items():
            np.testing.assert_array_equal(state[name].view(np.uint32), value.view(np.uint32), name)
    np.testing.assert_array_equal(logits.view(np.uint32), golden_logits.view(np.uint32))


def test_refuses_another_build(port):
    with pytest.raises(ValueError, match="the accelerator was built from another configuration"):
        open_device("serial", CONFIG.replace(pool_words=128), port=port)


def test_refuses_what_does_not_fit(port):
    layers = nn.Conv2d(1, 32, 3), nn.Flatten(), nn.Linear(1152, 3)
    big = nn.Sequential(*layers, input_shape=(1, 8, 8))
    program = compile_network(
        big, CONFIG, batch_size=8, loss=nn.CrossEntropyLoss(), optimizer=optim.SGD(lr=0.1)
    )
    with open_device("serial", CONFIG, port=port) as device:
        with pytest.raises(ValueError, match=rf"needs \d+ bytes of memory, the board has {MEMORY}"):
            device.load_program(program)


def test_no_such_port():
    with pytest.raises(SerialError, match="serial port /dev/ttyNone cannot be opened"):
        open_device("serial", CONFIG, port="/dev/ttyNone")


def test_no_pyserial(monkeypatch):
    imports = builtins.__import__

    def refuse(name, *arguments):
        if name.split(".")[0] == "serial":
            raise ImportError(name)
        return imports(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(SerialError, match=r"needs pyserial: pip install"):
        open_device("serial", CONFIG, port="/dev/ttyUSB0")


@pytest.mark.parametrize("options", [{"timeout": 0}, {"attempts": 0}])
def test_refuses_options(port, options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        open_device("serial", CONFIG, port=port, **options)
