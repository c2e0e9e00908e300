"""The DMA engine alone: copies vectors from one memory to another and reshapes them on the way.

    python -m examples.dma_reshape
"""

import numpy as np
from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.sim import Simulator

from eftrain_hw import AcceleratorConfig
from eftrain_hw.dma.axi import AxiRead, AxiWrite
from eftrain_hw.dma.memory_reader import MemoryReader
from eftrain_hw.dma.memory_writer import MemoryWriter
from eftrain_hw.dma.run_reader import RunReader
from eftrain_hw.dma.run_writer import RunWriter
from eftrain_hw.streams.connect import connect_streams

__all__ = ["Reshaper", "copy_command", "main", "reshape"]


def copy_command(config):
    """Two loops over runs of neighbouring vectors: `run` vectors from

        source + i * outer_step + j * inner_step        for i < outer: for j < inner

    follow each other from `destination` on. Addresses and steps are bytes.
    """
    address = config.address_bits
    return data.StructLayout(
        {
            "source": address, "destination": address, "outer": 16, "inner": 16, "run": 16,
            "outer_step": address, "inner_step": address,
        }
    )  # fmt: skip


class Reshaper(wiring.Component):
    """Gathers runs of vectors from one memory into a dense tensor in another.

        command --> loops --runs--> RunReader --vectors--> RunWriter
                                      ^ source memory         v destination memory

    Latency and cost: a run every second cycle, and as many vectors a cycle as the memories give.
    With 8-byte vectors 948 LUT (and 37 RAM32M), 1,922 FF, 4 RAMB36 and 2 DSP48E1, by yosys.

    Parameters
    ----------
    config : AcceleratorConfig
        `lanes` and `format` make a vector; `ports` must be 1.

    Members
    -------
    command : In(stream(copy_command(config)))
        Taken when the copy before is complete, its last response included.
    source : Out(AxiRead); destination : Out(AxiWrite)
    busy : Out(1)
    error : Out(1)
        Stays 1 from the first refused access on.
    """

    def __init__(self, config):
        if config.ports != 1:
            raise ValueError(f"Reshaper config.ports must be 1, not {config.ports!r}")
        self._config = config
        super().__init__(
            {
                "command": In(stream.Signature(copy_command(config))),
                "source": Out(AxiRead(config.address_bits, config.axi)),
                "destination": Out(AxiWrite(config.address_bits, config.axi)),
                "busy": Out(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.memory_reader = memory_reader = MemoryReader(config, 1)
        m.submodules.reader = reader = RunReader(config, config.vector_bytes, depth=128)
        m.submodules.writer = writer = RunWriter(config, config.vector_bytes, depth=64)
        m.submodules.memory_writer = memory_writer = MemoryWriter(config, 1)

        connect(m, memory_reader.axi[0], flipped(self.source))
        connect(m, reader.memory, memory_reader.clients[0])
        connect_streams(m, reader.items, writer.items)
        connect(m, writer.memory, memory_writer.clients[0])
        connect(m, memory_writer.axi[0], flipped(self.destination))
        for side in (memory_reader, memory_writer):  # the window: everything
            m.d.comb += side.window_limit.eq((1 << config.address_bits) - 1)
        with m.If(memory_reader.error | memory_writer.error):
            m.d.sync += self.error.eq(1)
        self._loops(m, reader, writer)
        return m

    def _loops(self, m, reader, writer):
        command = Signal(copy_command(self._config))
        i, j = Signal(16), Signal(16)
        items = Signal(24)
        row, address = Signal(self._config.address_bits), Signal(self._config.address_bits)
        m.d.comb += [
            self.busy.eq(1),
            writer.run.payload.address.eq(command.destination),
            writer.run.payload.items.eq(items),
            reader.run.payload.address.eq(address),
            reader.run.payload.items.eq(command.run),
        ]
        with m.FSM(name="copy"):
            with m.State("AWAIT_COMMAND"):
                m.d.comb += [self.command.ready.eq(1), self.busy.eq(self.command.valid)]
                m.d.sync += [
                    command.eq(self.command.payload),
                    row.eq(self.command.payload.source),
                    address.eq(self.command.payload.source),
                ]
                with m.If(self.command.valid):
                    m.next = "COUNT_RUNS"
            with m.State("COUNT_RUNS"):
                m.d.sync += items.eq(command.outer * command.inner)
                m.next = "COUNT_ITEMS"
            with m.State("COUNT_ITEMS"):
                m.d.sync += items.eq(items * command.run)
                m.next = "GIVE_WRITE_RUN"
            with m.State("GIVE_WRITE_RUN"):
                m.d.comb += writer.run.valid.eq(1)
                with m.If(writer.run.ready):
                    m.next = "GIVE_READ_RUNS"
            with m.State("GIVE_READ_RUNS"):
                m.d.comb += reader.run.valid.eq(1)
                with m.If(reader.run.ready):
                    m.d.sync += [j.eq(j + 1), address.eq(address + command.inner_step)]
                    with m.If(j == command.inner - 1):
                        following = (row + command.outer_step)[: len(row)]
                        m.d.sync += [j.eq(0), i.eq(i + 1), row.eq(following), address.eq(following)]
                        with m.If(i == command.outer - 1):
                            m.d.sync += i.eq(0)
                            m.next = "AWAIT_RESPONSES"
            with m.State("AWAIT_RESPONSES"), m.If(~writer.busy):
                m.next = "AWAIT_COMMAND"


def reshape(config, tensor, commands, shape, *, base=0x1000_0000, stall=0.0):
    """Run copies on the RTL between two memories.

    Parameters
    ----------
    config : AcceleratorConfig
    tensor : numpy.ndarray
        What the source memory holds from `base` on.
    commands : list of dict
        `copy_command`s; `source` and `destination` are byte offsets here.
    shape : tuple
        Of the result, at the start of the destination; of the type of `tensor`.
    stall : float
        Probability that a channel of either memory pauses in a cycle.

    Returns
    -------
    (numpy.ndarray, int)
        The result, and the cycles that it took.
    """
    from sim.models.axi_memory import AxiMemory
    from sim.models.clients import send

    dut = Reshaper(config)
    size = -(-max(tensor.nbytes, int(np.prod(shape)) * tensor.itemsize) // 4096) * 4096
    source = AxiMemory(size, base=base, stall=stall, seed=1, protocol=config.axi)
    destination = AxiMemory(size, base=base, stall=stall, seed=2, protocol=config.axi)
    source.data[: tensor.nbytes] = tensor.tobytes()
    cycles = 0

    async def control(ctx):
        nonlocal cycles
        moved = [
            {**c, "source": c["source"] + base, "destination": c["destination"] + base}
            for c in commands
        ]
        await send(ctx, dut.command, moved)
        while ctx.get(dut.busy):
            await ctx.tick()
        cycles = source.cycle
        assert not ctx.get(dut.error)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(control)
    simulator.add_testbench(source.reader(dut.source), background=True)
    simulator.add_testbench(destination.writer(dut.destination), background=True)
    simulator.run()
    count = int(np.prod(shape))
    return np.frombuffer(bytes(destination.data), tensor.dtype, count).reshape(shape), cycles


def main():
    config = AcceleratorConfig(rows=8, lanes=8, ports=1)
    blocks, height, width = 3, 6, 10
    rng = np.random.default_rng(1)
    tensor = rng.integers(-127, 128, (blocks, height, width, config.lanes), np.int8)
    vector = config.vector_bytes
    command = {
        "source": 0, "destination": 0, "outer": height * width, "inner": blocks, "run": 1,
        "outer_step": vector, "inner_step": height * width * vector,
    }  # fmt: skip
    result, cycles = reshape(config, tensor, [command], (height, width, blocks, config.lanes))
    assert np.array_equal(result, tensor.transpose(1, 2, 0, 3))
    print(f"(blocks, rows, columns) {tensor.shape[:3]} to (rows, columns, blocks)"
          f" {result.shape[:3]}: {tensor.nbytes:,} bytes in {cycles:,} cycles")  # fmt: skip


if __name__ == "__main__":
    main()
