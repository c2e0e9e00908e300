"""What every bench uses: parameters, clock and reset, streams, and guarded memories behind AXI."""

import json
import logging
import os
import random

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiBus, AxiRamRead, AxiRamWrite, AxiReadBus, AxiResp

from eftrain_hw.config import AcceleratorConfig

from .runner import PARAMETERS

__all__ = ["Image", "Memory", "cycles", "parameters", "pauses", "receive", "send", "start"]

_SPACE = 1 << 48


def parameters():
    """(AcceleratorConfig, other parameters) of the `simulate` call that runs this bench."""
    values = json.loads(os.environ[PARAMETERS])
    return AcceleratorConfig(**values.pop("config")), values


def pauses(probability, rng):
    """Generator for `set_pause_generator`: a pause in each cycle with this probability."""
    rng = random.Random(rng.random())
    while True:
        yield rng.random() < probability


async def cycles(dut, count):
    edge = RisingEdge(dut.clk)
    for _ in range(count):
        await edge


async def start(dut, *, limit=200_000, **inputs):
    """Clock and reset; `inputs` are set before. The test fails `limit` cycles later."""
    logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.WARNING)
    for name, value in inputs.items():
        getattr(dut, name).value = value
    Clock(dut.clk, 10, unit="ns").start()
    dut.rst.value = 1
    await cycles(dut, 4)
    dut.rst.value = 0
    await cycles(dut, 3)

    async def watch():
        await cycles(dut, limit)
        raise AssertionError(f"no end after {limit} cycles")

    cocotb.start_soon(watch())


async def send(dut, stream, values, *, pause=0.0, rng=random):
    """Offer `values` one after the other on the stream of that name."""
    valid, ready = getattr(dut, f"{stream}__valid"), getattr(dut, f"{stream}__ready")
    payload, edge = getattr(dut, f"{stream}__payload"), RisingEdge(dut.clk)
    for value in values:
        while pause and rng.random() < pause:
            valid.value = 0
            await edge
        payload.value = value
        valid.value = 1
        await edge
        while not ready.value:
            await edge
    valid.value = 0


async def receive(dut, stream, count, *, pause=0.0, rng=random):
    """The next `count` payloads of a stream; an offer must stay until it is taken."""
    valid, ready = getattr(dut, f"{stream}__valid"), getattr(dut, f"{stream}__ready")
    payload, edge = getattr(dut, f"{stream}__payload"), RisingEdge(dut.clk)
    received, held = [], None
    while len(received) < count:
        go = not pause or rng.random() >= pause
        ready.value = go
        await edge
        if not valid.value:
            assert held is None, f"{stream}: valid fell before it was taken"
            continue
        value = int(payload.value)
        assert held is None or value == held, f"{stream}: changed before it was taken"
        held = None if go else value
        if go:
            received.append(value)
    ready.value = 0
    return received


class Image:
    """Memory that several ports share; it knows which bytes may be written.

    Parameters
    ----------
    data : numpy.ndarray
        uint8, changed in place.
    base : int
        Bus address of the first byte.
    writable : numpy.ndarray or None
        bool for each byte; None: all.

    Members
    -------
    stray : list of (str, address)
        Accesses outside the image, and writes to bytes that are not writable: the latter change
        nothing.
    faults : dict
        {(first byte, byte after the last): AxiResp}: bursts that touch the range are answered so.
    """

    def __init__(self, data, base=0, writable=None):
        self.data, self.base = data, base
        self.writable = np.ones(len(data), bool) if writable is None else writable
        self.stray, self.faults = [], {}

    def __len__(self):
        return _SPACE  # what cocotbext-axi takes addresses modulo

    def _place(self, kind, where):
        for (first, limit), response in self.faults.items():
            if where.start < limit and where.stop > first:
                raise _Refused(response)
        first, last = where.start - self.base, where.stop - self.base
        if first < 0 or last > len(self.data):
            self.stray.append((kind, where.start))
            raise _Refused(AxiResp.DECERR)
        return slice(first, last)

    def __getitem__(self, where):
        return self.data[self._place("read", where)].tobytes()

    def __setitem__(self, where, value):
        place = self._place("write", where)
        if not self.writable[place].all():
            self.stray.append(("write", where.start))
            return
        self.data[place] = np.frombuffer(bytes(value), np.uint8)


class _Refused(Exception):
    def __init__(self, response):
        self.response = response


def _recording(channel, bursts, prefix):
    """Let a port's model note (address, beats) of each burst in `bursts`."""
    recv = channel.recv

    async def wrapped():
        burst = await recv()
        address, beats = (int(getattr(burst, prefix + name)) for name in ("addr", "len"))
        bursts.append((address, beats + 1))
        return burst

    channel.recv = wrapped


def _answering(model, channel, name):
    """Let a port's model answer a refused burst with the response of its fault: it says SLVERR."""
    send = channel.send

    async def wrapped(answer):
        refused = model.refused
        if refused is not None:
            setattr(answer, name, refused)
        if name == "bresp" or refused is None or answer.rlast:
            model.refused = None
        await send(answer)

    channel.send = wrapped


class _Read(AxiRamRead):
    refused = None

    async def _read(self, address, length):
        try:
            return await super()._read(address, length)
        except _Refused as error:
            self.refused = error.response
            raise


class _Write(AxiRamWrite):
    refused = None

    async def _write(self, address, data):
        try:
            await super()._write(address, data)
        except _Refused as error:
            self.refused = error.response
            raise


class Memory:
    """An image behind the ports `axi0`, `axi1`, .. of a design.

    Parameters
    ----------
    dut : cocotb handle
    image : Image
    ports : int
    pause : float
        Probability that a channel pauses in a cycle.
    rng : random.Random
    writes : bool
        Whether the ports have write channels.

    Members
    -------
    reads, writes : list of (address, beats)
        Bursts so far.
    """

    def __init__(self, dut, image, *, ports, pause=0.0, rng=random, writes=True):
        self.dut, self.image, self.rng = dut, image, rng
        self.reads, self.writes, self._channels = [], [], []
        for k in range(ports):
            if writes:
                bus = AxiBus.from_prefix(dut, f"axi{k}_")
                writer = _Write(bus.write, dut.clk, dut.rst, mem=image)
                _recording(writer.aw_channel, self.writes, "aw")
                _answering(writer, writer.b_channel, "bresp")
                self._channels += [writer.aw_channel, writer.w_channel, writer.b_channel]
                bus = bus.read
            else:
                bus = AxiReadBus.from_prefix(dut, f"axi{k}_")
            reader = _Read(bus, dut.clk, dut.rst, mem=image)
            _recording(reader.ar_channel, self.reads, "ar")
            _answering(reader, reader.r_channel, "rresp")
            self._channels += [reader.ar_channel, reader.r_channel]
        self.set_pause(pause)

    def set_pause(self, probability):
        """Random pauses on every channel; 1: nothing moves."""
        for channel in self._channels:
            channel.clear_pause_generator()
            channel.pause = False
            if probability:
                channel.set_pause_generator(pauses(probability, self.rng))

    def touched(self, bursts):
        """Set of the 8-byte beats (address / 8) of bursts."""
        return {beat for address, beats in bursts
                for beat in range(address // 8, address // 8 + beats)}
