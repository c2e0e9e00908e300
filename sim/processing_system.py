"""A Zynq's processing system for cocotb: a master for registers, memory ports; AXI3 or AXI4."""

import random
from collections import deque

import cocotb
from cocotb.triggers import Lock, RisingEdge

__all__ = ["MemoryPort", "ProcessingSystem"]

_OUTSTANDING = 8  # bursts in each direction that a port of the PS takes ahead
_DATA_AHEAD = {"axi3": 128, "axi4": 512}  # beats that its queue of write data holds
_LONGEST = {"axi3": 16, "axi4": 256}


class MemoryPort:
    """One S_AXI_HP port on an image: in order, some bursts ahead, with random pauses.

    What a master must do beyond the rules that `sim.checker` knows is asserted: the write data's
    `wid` is the burst's `awid`, bursts of normal memory, no locked access.

    Members
    -------
    reads, writes : list of (address, beats)
    """

    def __init__(self, dut, name, image, *, protocol, pause, rng):
        self.dut, self.image, self.pause = dut, image, pause
        self.protocol = protocol
        self.rng = random.Random(rng.random())
        self.reads, self.writes = [], []
        self._pins = {}
        self._name = name
        cocotb.start_soon(self._serve_reads())
        cocotb.start_soon(self._serve_writes())

    def _pin(self, name):
        if name not in self._pins:
            self._pins[name] = getattr(self.dut, f"{self._name}__{name}")
        return self._pins[name]

    def _get(self, name):
        return int(self._pin(name).value)

    def _go(self):
        return not self.pause or self.rng.random() >= self.pause

    def _address(self, channel):
        address, beats = self._get(f"{channel}addr"), self._get(f"{channel}len") + 1
        about = {name: self._get(channel + name) for name in ("size", "burst", "lock", "cache")}
        assert about == {"size": 3, "burst": 1, "lock": 0, "cache": 3}, about
        assert beats <= _LONGEST[self.protocol], beats
        assert address % 4096 + 8 * beats <= 4096, (hex(address), beats)
        return address, beats, self._get(f"{channel}id")

    async def _serve_reads(self):
        edge, bursts, offered = RisingEdge(self.dut.clk), deque(), False
        arvalid, arready = self._pin("arvalid"), self._pin("arready")
        rvalid, rready = self._pin("rvalid"), self._pin("rready")
        rvalid.value = arready.value = takes = 0
        while True:
            await edge
            if takes and arvalid.value:
                address, beats, identity = self._address("ar")
                self.reads.append((address, beats))
                data = self.image[slice(address, address + 8 * beats)]
                bursts.append([identity, data, 0])
            if offered and rready.value:
                offered = False
            if not offered and bursts and self._go():
                identity, data, at = bursts[0]
                self._pin("rdata").value = int.from_bytes(data[at : at + 8], "little")
                self._pin("rid").value = identity
                self._pin("rresp").value = 0
                last = at + 8 == len(data)
                self._pin("rlast").value = last
                bursts[0][2] += 8
                if last:
                    bursts.popleft()
                offered = True
            rvalid.value = offered
            takes = len(bursts) < _OUTSTANDING and self._go()
            arready.value = takes

    async def _serve_writes(self):
        edge, bursts, beats_in, answers = RisingEdge(self.dut.clk), deque(), deque(), deque()
        awvalid, wvalid = self._pin("awvalid"), self._pin("wvalid")
        bvalid, bready = self._pin("bvalid"), self._pin("bready")
        write_data = ("wdata", "wstrb", "wlast") + ("wid",) * (self.protocol == "axi3")
        bvalid.value = takes_address = takes_data = offered = 0
        while True:
            self._pin("awready").value, self._pin("wready").value = takes_address, takes_data
            await edge
            if takes_address and awvalid.value:
                address, beats, identity = self._address("aw")
                self.writes.append((address, beats))
                bursts.append((address, beats, identity))
            if takes_data and wvalid.value:
                beats_in.append([self._get(name) for name in write_data])
            if bursts and len(beats_in) >= bursts[0][1]:
                address, beats, identity = bursts.popleft()
                self._store(address, [beats_in.popleft() for _ in range(beats)], identity)
                answers.append(identity)
            if offered and bready.value:
                offered = False
            if not offered and answers and self._go():
                self._pin("bid").value, self._pin("bresp").value = answers.popleft(), 0
                offered = True
            bvalid.value = offered
            takes_address = len(bursts) + len(answers) < _OUTSTANDING and self._go()
            takes_data = len(beats_in) < _DATA_AHEAD[self.protocol] and self._go()

    def _store(self, address, beats, identity):
        for number, (data, strobe, last, *wid) in enumerate(beats):
            assert wid in ([], [identity]) and last == (number == len(beats) - 1)
            for k in range(8):
                if strobe >> k & 1:
                    at = address + 8 * number + k
                    self.image[slice(at, at + 1)] = bytes([data >> 8 * k & 255])


class ProcessingSystem:
    """All ports of the PS.

    Parameters
    ----------
    dut : cocotb handle
        With ports `control`, `memory0`, .. as `eftrain_hw.interop.processing_system.PsPorts`.
    image : sim.bus.Image
    config : AcceleratorConfig
    pause : float
        Probability that a channel pauses in a cycle.
    rng : random.Random

    Members
    -------
    memory : list of MemoryPort
    """

    def __init__(self, dut, image, *, config, pause=0.0, rng=random):
        self.dut, self.pause, self.rng = dut, pause, random.Random(rng.random())
        self.memory = [
            MemoryPort(dut, f"memory{k}", image, protocol=config.axi, pause=pause, rng=rng)
            for k in range(config.ports)
        ]
        self._locks = {"r": Lock(), "w": Lock()}

    def _go(self):
        return not self.pause or self.rng.random() >= self.pause

    async def _send(self, channel, **payload):
        pins = {name: getattr(self.dut, f"control__{channel}{name}") for name in payload}
        valid = getattr(self.dut, f"control__{channel}valid")
        ready = getattr(self.dut, f"control__{channel}ready")
        edge = RisingEdge(self.dut.clk)
        while not self._go():
            await edge
        for name, value in payload.items():
            pins[name].value = value
        valid.value = 1
        await edge
        while not ready.value:
            await edge
        valid.value = 0

    async def _take(self, channel, *names):
        valid = getattr(self.dut, f"control__{channel}valid")
        ready = getattr(self.dut, f"control__{channel}ready")
        edge = RisingEdge(self.dut.clk)
        while not self._go():
            await edge
        ready.value = 1
        await edge
        while not valid.value:
            await edge
        ready.value = 0
        return tuple(int(getattr(self.dut, f"control__{channel}{name}").value) for name in names)

    async def read(self, address, length=1):
        """(Data, responses) of an incrementing burst of words; the ID must come back."""
        async with self._locks["r"]:
            identity = self.rng.randrange(1 << 12)
            await self._send("ar", id=identity, addr=address, len=length - 1, size=2, burst=1)
            data, responses = [], []
            for number in range(length):
                found = await self._take("r", "id", "data", "resp", "last")
                assert found[0] == identity and found[3] == (number == length - 1)
                data.append(found[1])
                responses.append(found[2])
            return data, responses

    async def write(self, address, *words):
        """The response of an incrementing burst of words; the ID must come back.

        The data come before or after the address, as they do in AXI3.
        """
        async with self._locks["w"]:
            identity = self.rng.randrange(1 << 12)

            async def data():
                for number, word in enumerate(words):
                    await self._send("w", data=word, strb=15, last=number == len(words) - 1)

            sent = cocotb.start_soon(data())
            for _ in range(self.rng.choice([0, 0, 5]) if self.pause else 0):
                await RisingEdge(self.dut.clk)
            await self._send("aw", id=identity, addr=address, len=len(words) - 1, size=2, burst=1)
            await sent
            found, response = await self._take("b", "id", "resp")
            assert found == identity
            return response
