# amaranth: UnusedElaboratable=no
"""Receiver and sender of the serial frames alone."""

import random
import zlib

import pytest
from amaranth.hdl import Module, Signal

from eftrain_hw.interop.crc32 import CRC_INITIAL, CRC_RESIDUE, next_crc
from eftrain_hw.interop.frame_receiver import FrameReceiver
from eftrain_hw.interop.frame_sender import FrameSender
from eftrain_hw.interop.serial_protocol import MAX_PAYLOAD, REQUEST_HEADER, Operation, Status


def frame(operation, sequence=0, address=0, payload=b"", length=None):
    length = len(payload) if length is None else length
    body = REQUEST_HEADER.pack(0xA5, operation, sequence, length, address) + payload
    return body + zlib.crc32(body).to_bytes(4, "little")


def test_crc_is_zlibs(simulate):
    m, byte, crc = Module(), Signal(8), Signal(32, init=CRC_INITIAL)
    m.d.sync += crc.eq(next_crc(crc, byte))
    data = random.Random(1).randbytes(50)

    async def feed(ctx):
        for count, value in enumerate(data):
            assert ctx.get(crc) ^ 0xFFFFFFFF == zlib.crc32(data[:count])
            ctx.set(byte, value)
            await ctx.tick()
        for value in zlib.crc32(data).to_bytes(4, "little"):
            ctx.set(byte, value)
            await ctx.tick()
        assert ctx.get(crc) == CRC_RESIDUE

    simulate(m, feed)


IDLE = 40
GOOD = frame(Operation.WRITE, 3, 0x1234_5678, bytes(range(1, 14)))


def damaged(index, mask=0x10):
    return GOOD[:index] + bytes([GOOD[index] ^ mask]) + GOOD[index + 1 :]


@pytest.mark.parametrize("stall", [0.0, 0.7])
@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (GOOD, Status.OKAY),
        (b"\x00\x11" + GOOD, Status.OKAY),  # not a frame's first byte
        (frame(Operation.READ, 9, 8, length=500), Status.OKAY),
        (frame(Operation.WRITE, 9, 8, bytes(MAX_PAYLOAD)), Status.OKAY),
        (frame(Operation.WRITE, 9, 8), Status.OKAY),
        *((damaged(index), Status.CORRUPT) for index in (1, 2, 5, 9, 20, 22, 25)),
        (frame(Operation.WRITE, 9, 8, bytes(MAX_PAYLOAD + 1)), Status.CORRUPT),
        *((GOOD[:count], Status.TIMEOUT) for count in (1, 4, 9, 20, 23, len(GOOD) - 1)),
    ],
)
def test_receives(simulate, data, fault, stall):
    """What is damaged or cut off is offered as that; the next request is read well."""
    dut, rng = FrameReceiver(idle_cycles=IDLE), random.Random(4)

    async def give(ctx):
        for part in (data, GOOD):
            for byte in part:
                while rng.random() < stall:
                    await ctx.tick()
                ctx.set(dut.i.payload, byte)
                ctx.set(dut.i.valid, 1)
                await ctx.tick().until(dut.i.ready)
                ctx.set(dut.i.valid, 0)
            await ctx.tick().repeat(2 * IDLE + 5)

    async def take(ctx):
        for wanted, expected in ((fault, data.lstrip(b"\x00\x11")), (Status.OKAY, GOOD)):
            _, _, valid = await ctx.tick().sample(dut.o.valid)
            while not ctx.get(dut.o.valid):
                await ctx.tick()
            request = dut.o.payload
            assert ctx.get(request.fault) == wanted
            if wanted == Status.OKAY:
                _, operation, sequence, length, address = REQUEST_HEADER.unpack_from(expected)
                assert ctx.get(request.operation) == operation
                assert ctx.get(request.sequence) == sequence
                assert ctx.get(request.length) == length
                assert ctx.get(request.address) == address
                payload = expected[REQUEST_HEADER.size : -4]
                for word in range(-(-len(payload) // 8)):
                    ctx.set(dut.word, word)
                    await ctx.tick()
                    await ctx.tick()
                    part = payload[8 * word : 8 * word + 8]
                    mask = (1 << 8 * len(part)) - 1
                    assert ctx.get(dut.payload) & mask == int.from_bytes(part, "little")
            ctx.set(dut.o.ready, 1)
            await ctx.tick()
            ctx.set(dut.o.ready, 0)

    simulate(dut, give, take)


@pytest.mark.parametrize("stall", [0.0, 0.7])
@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 24])
def test_sends(simulate, length, stall):
    dut, rng = FrameSender(), random.Random(length)
    payload, got = rng.randbytes(length), []
    body = b"\x5a\x20\x07" + length.to_bytes(2, "little") + payload + b"\x83"
    expected = 2 * (body + zlib.crc32(body).to_bytes(4, "little"))

    async def head(ctx):
        ctx.set(dut.status, 0x83)
        ctx.set(dut.header.payload, {"operation": 0x20, "sequence": 7, "length": length})
        ctx.set(dut.header.valid, 1)
        for _ in range(2):
            await ctx.tick().until(dut.header.ready)
        ctx.set(dut.header.valid, 0)

    async def words(ctx):
        for _ in range(2):
            for k in range(0, length, 8):
                while rng.random() < stall:
                    await ctx.tick()
                ctx.set(dut.words.payload, int.from_bytes(payload[k : k + 8], "little"))
                ctx.set(dut.words.valid, 1)
                await ctx.tick().until(dut.words.ready)
                ctx.set(dut.words.valid, 0)

    async def take(ctx):
        while len(got) < len(expected):
            ctx.set(dut.o.ready, rng.random() >= stall)
            _, _, valid, ready, byte = await ctx.tick().sample(
                dut.o.valid, dut.o.ready, dut.o.payload
            )
            got.extend([byte] * (valid & ready))

    simulate(dut, head, words, take)
    assert bytes(got) == expected


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (1, ValueError, "FrameReceiver idle_cycles must be 2 to 2^24, not 1"),
        (2.5, TypeError, "FrameReceiver idle_cycles must be int, not 2.5"),
    ],
)
def test_refuses_parameters(value, error, message):
    with pytest.raises(error) as caught:
        FrameReceiver(idle_cycles=value)
    assert str(caught.value) == message
