"""The whole accelerator in a plain Amaranth SoC: Wishbone control, AXI interconnect, RAM.

    python -m examples.soc
"""

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.sim import Simulator

from eftrain_hw import AcceleratorConfig, Trainer, compile_network, nn, open_device, optim
from eftrain_hw.dma.axi import Axi
from eftrain_hw.interop.axi_interconnect import AxiInterconnect
from eftrain_hw.interop.axi_ram import AxiRam
from eftrain_hw.interop.wishbone import Wishbone, WishboneToAxiLite
from eftrain_hw.runtime.device import DeviceError, MemoryDevice
from eftrain_hw.runtime.host import Host
from eftrain_hw.soc.accelerator import Accelerator

__all__ = ["CONFIG", "Soc", "SocDevice", "check_size", "main"]

CONFIG = AcceleratorConfig(
    rows=2,
    lanes=4,
    drain_lanes=2,
    ports=1,
    max_burst_beats=16,
    moving_words=64,
    stationary_words=64,
    accumulator_depth=32,
    bias_depth=32,
    descriptor_words=512,
    pool_words=64,
    loss_words=64,
)
RAM_BYTES, RAM_BASE = 16384, 0x8000_0000


class Soc(wiring.Component):
    """
        processor --wb--> WishboneToAxiLite --AXI4-Lite--> accelerator --> irq
                  --memory (AXI4)--> interconnect <--AXI4--/
                                          \\--> RAM

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    wb : In(Wishbone(10))
        Registers.
    memory : In(Axi(32))
        The processor's way to the RAM.
    irq : Out(1)
    """

    def __init__(self, config=CONFIG):
        self._config = config
        super().__init__({"wb": In(Wishbone(10)), "memory": In(Axi(32)), "irq": Out(1)})

    def elaborate(self, platform):
        m = Module()
        ports = self._config.ports
        m.submodules.bridge = bridge = WishboneToAxiLite()
        m.submodules.accelerator = accelerator = Accelerator(self._config)
        m.submodules.interconnect = interconnect = AxiInterconnect(masters=ports + 1)
        m.submodules.ram = ram = AxiRam(size=RAM_BYTES, base=RAM_BASE)
        connect(m, flipped(self.wb), bridge.wb)
        connect(m, bridge.axil, accelerator.axil)
        for k in range(ports):
            connect(m, getattr(accelerator, f"axi{k}"), getattr(interconnect, f"axi{k}"))
        connect(m, flipped(self.memory), getattr(interconnect, f"axi{ports}"))
        connect(m, interconnect.slave, ram.axi)
        m.d.comb += self.irq.eq(accelerator.irq)
        return m


class _Processor:
    """Makes bus accesses in the simulation, one after the other, and returns their results."""

    def __init__(self, soc):
        self._soc, self._wanted, self._result = soc, None, None
        self._simulator = Simulator(soc)
        self._simulator.add_clock(1e-8)
        self._simulator.add_testbench(self._run, background=True)

    async def _run(self, ctx):
        while True:
            if self._wanted is None:
                await ctx.tick()
            else:
                action, self._wanted = self._wanted, None
                self._result = (await action(ctx),)

    def _do(self, action):
        self._wanted, self._result = action, None
        while self._result is None:
            self._simulator.advance()
        return self._result[0]

    def register(self, offset, value=None):
        """Read a register, or write it."""

        async def access(ctx):
            wb = self._soc.wb
            ctx.set(wb.adr, offset >> 2)
            ctx.set(wb.we, value is not None)
            ctx.set(wb.dat_w, value or 0)
            ctx.set(wb.sel, 15)
            ctx.set(wb.cyc, 1)
            ctx.set(wb.stb, 1)
            (data,) = await ctx.tick().sample(wb.dat_r).until(wb.ack | wb.err)
            assert not ctx.get(wb.err), f"register {offset:#x} refused"
            ctx.set(wb.cyc, 0)
            ctx.set(wb.stb, 0)
            await ctx.tick()
            return data

        return self._do(access)

    def store(self, address, data):
        """Write bytes to the RAM, in bursts of up to 16 beats."""
        padded = bytes(address % 8) + bytes(data)
        padded += bytes(-len(padded) % 8)
        beats = []  # (data, strobe)
        for k in range(0, len(padded), 8):
            lanes = range(max(k, address % 8), min(k + 8, address % 8 + len(data)))
            word = int.from_bytes(padded[k : k + 8], "little")
            beats.append((word, sum(1 << lane - k for lane in lanes)))

        async def write(ctx):
            port, start = self._soc.memory, address & ~7
            ctx.set(port.bready, 1)
            while beats:
                count = min(16 - start // 8 % 16, len(beats))  # up to a multiple of 128 bytes
                ctx.set(port.awaddr, start)
                ctx.set(port.awlen, count - 1)
                ctx.set(port.awvalid, 1)
                await ctx.tick().until(port.awready)
                ctx.set(port.awvalid, 0)
                ctx.set(port.wvalid, 1)
                for k, (word, strobe) in enumerate(beats[:count]):
                    ctx.set(port.wdata, word)
                    ctx.set(port.wstrb, strobe)
                    ctx.set(port.wlast, k == count - 1)
                    await ctx.tick().until(port.wready)
                ctx.set(port.wvalid, 0)
                (response,) = await ctx.tick().sample(port.bresp).until(port.bvalid)
                assert response == 0
                del beats[:count]
                start += 8 * count

        self._do(write)

    def fetch(self, address, count):
        """Bytes of the RAM, a burst of 16 beats at a time."""

        async def read(ctx):
            port, found = self._soc.memory, bytearray()
            start = address & ~127
            while start + len(found) < address + count:
                ctx.set(port.araddr, start + len(found))
                ctx.set(port.arlen, 15)
                ctx.set(port.arvalid, 1)
                await ctx.tick().until(port.arready)
                ctx.set(port.arvalid, 0)
                ctx.set(port.rready, 1)
                for _ in range(16):
                    data, response = (
                        await ctx.tick().sample(port.rdata, port.rresp).until(port.rvalid)
                    )
                    assert response == 0
                    found += data.to_bytes(8, "little")
                ctx.set(port.rready, 0)
            return bytes(found[address - start : address - start + count])

        return self._do(read)

    def wait(self, cycles):
        """Wait for the interrupt, `cycles` at most; whether it is up."""

        async def watch(ctx):
            for _ in range(cycles):
                if ctx.get(self._soc.irq):
                    return True
                await ctx.tick()
            return False

        return self._do(watch)


def check_size(program):
    """Refuse a program that does not fit into the RAM."""
    if program.memory_bytes > RAM_BYTES:
        raise ValueError(
            f"the program takes {program.memory_bytes} bytes, the RAM has {RAM_BYTES}"
        )


class SocDevice(MemoryDevice):
    """The SoC as a device of the runtime: what a driver on its processor would do."""

    name = "soc"

    def __init__(self, config=CONFIG):
        super().__init__(config)
        self._processor = _Processor(Soc(config))
        register = self._processor.register
        self.host = Host(register, register, lambda: self._processor.wait(20_000))
        self.host.check_build(config)

    def _load(self):
        check_size(self.program)
        self.host.set_window(RAM_BASE, RAM_BASE + RAM_BYTES)
        for name, offset in self.program.addresses.items():
            self._write(offset, self.program.words(name, base=RAM_BASE).tobytes())

    def _run(self, name, learning_rate, momentum, valid_images):
        def limit():
            raise DeviceError(0, "timeout", "no interrupt after 20,000 cycles")

        return self.host.run(
            self.program.entry(name, RAM_BASE),
            learning_rate=learning_rate,
            momentum=momentum,
            valid_images=valid_images,
            **self._loss_settings(),
            tags=self.program.tags,
            locate=lambda address: self._tensor_at(address - RAM_BASE),
            limit=limit,
        )

    def _write(self, offset, data):
        self._processor.store(RAM_BASE + offset, data)

    def _read(self, offset, count):
        return self._processor.fetch(RAM_BASE + offset, count)


def main():
    network = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3), input_shape=(6,))
    program = compile_network(
        network,
        CONFIG,
        batch_size=2,
        loss=nn.CrossEntropyLoss(),
        optimizer=optim.SGD(lr=0.1, momentum=0.9),
    )
    x = np.random.default_rng(1).normal(size=(2, 6)).astype(np.float32)
    y = np.array([0, 2])
    weights = {}
    for name in ("soc", "golden"):
        device = SocDevice() if name == "soc" else open_device("golden", CONFIG)
        with device:
            trainer = Trainer(program, device, seed=0)
            trainer.fit(x, y, epochs=1, progress=False)
            weights[name] = trainer.state_dict()
            if name == "soc":
                step = trainer.history.steps[0]
                print(f"one training step in {step['cycles']:,} cycles, loss {step['loss']:.4f}")
    for name, value in weights["golden"].items():
        assert np.array_equal(value.view(np.uint32), weights["soc"][name].view(np.uint32)), name
    print("the weights are the golden model's, bit by bit")


if __name__ == "__main__":
    main()
