"""The designs that the benches simulate: parts of the accelerator between ports to drive."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from eftrain_hw.array.commands import COMPUTE
from eftrain_hw.array.compute_engine import ComputeEngine
from eftrain_hw.buffers.moving import MovingBuffer
from eftrain_hw.buffers.slots import SlotController
from eftrain_hw.buffers.weight_reuse import WeightReuseBuffer
from eftrain_hw.csr.registers import ADDRESS_BITS
from eftrain_hw.dma.axi import Axi, AxiLite, AxiRead, connect_channels
from eftrain_hw.dma.commands import LOAD
from eftrain_hw.dma.loader import Loader
from eftrain_hw.dma.memory_reader import MemoryReader
from eftrain_hw.dma.memory_writer import MemoryWriter
from eftrain_hw.dma.run_reader import RunReader
from eftrain_hw.dma.run_writer import RunWriter
from eftrain_hw.sequencer.opcodes import LAYOUTS
from eftrain_hw.sequencer.sequencer import Sequencer
from eftrain_hw.soc.accelerator import Accelerator
from eftrain_hw.streams.command import NOP
from eftrain_hw.streams.command_receiver import CommandReceiver
from eftrain_hw.streams.ports import (
    AccumulatorRead,
    BiasRead,
    BiasWrite,
    LaneRead,
    LaneWrite,
)

from .checker import watch

__all__ = [
    "AcceleratorDesign",
    "ArrayDesign",
    "ENGINES",
    "LoadStoreDesign",
    "SequencerDesign",
    "WeightReuseDesign",
]

ENGINES = [layout for layout in LAYOUTS if layout is not NOP]


def _axi4(m, outer, inner):
    """Drive an AXI4 port from an AXI3 or AXI4 one: the bus models know AXI4 only."""
    for name, member in outer.signature.members.items():
        if not hasattr(inner, name):
            continue
        if member.flow == Out:
            m.d.comb += getattr(outer, name).eq(getattr(inner, name))
        else:
            m.d.comb += getattr(inner, name).eq(getattr(outer, name))


class AcceleratorDesign(wiring.Component):
    """The whole accelerator, a checker on every memory port.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    axil : In(AxiLite(12)), irq : Out(1), axi0, axi1, .. : Out(Axi)
        As `Accelerator`, but the memory ports are AXI4 in any case.
    """

    def __init__(self, config):
        self._config = config
        ports = {f"axi{k}": Out(Axi(config.address_bits)) for k in range(config.ports)}
        super().__init__({"axil": In(AxiLite(ADDRESS_BITS)), **ports, "irq": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.accelerator = accelerator = Accelerator(self._config)
        connect(m, flipped(self.axil), accelerator.axil)
        m.d.comb += self.irq.eq(accelerator.irq)
        for k in range(self._config.ports):
            port = getattr(accelerator, f"axi{k}")
            _axi4(m, getattr(self, f"axi{k}"), port)
            watch(m, f"checker{k}", port, self._config.max_burst_beats)
        return m


class ArrayDesign(wiring.Component):
    """The compute engine between its buffers; a bench is the loader and the drain.

    Members
    -------
    command : In(stream(COMPUTE.struct))
    moving, stationary : In(LaneWrite); bias : In(BiasWrite)
    moving_acquire, moving_publish : In(1); moving_free : Out(1)
        And the same for the stationary buffer.
    accumulator : In(AccumulatorRead)
    accumulator_full : Out(1); accumulator_release : In(1)
    drain_latency : Out(8)
        Constant: cycles from an address on `accumulator` to its values.
    busy, mac_busy : Out(1)
    """

    def __init__(self, config):
        self._config = config
        self._compute = ComputeEngine(config, read_latency=MovingBuffer.read_latency, checks=True)
        super().__init__(
            {
                "command": In(stream.Signature(COMPUTE.struct)),
                "moving": In(LaneWrite(config, config.moving_words)),
                "stationary": In(LaneWrite(config, config.stationary_words)),
                "bias": In(BiasWrite(config)),
                **{
                    f"{side}_{name}": direction(1)
                    for side in ("moving", "stationary")
                    for name, direction in (("acquire", In), ("publish", In), ("free", Out))
                },
                "accumulator": In(AccumulatorRead(config)),
                "accumulator_full": Out(1),
                "accumulator_release": In(1),
                "drain_latency": Out(8),
                "busy": Out(1),
                "mac_busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.compute = compute = self._compute
        m.submodules.moving = moving = MovingBuffer(config=self._config)
        m.submodules.stationary = stationary = WeightReuseBuffer(config=self._config)
        m.submodules.banks = banks = SlotController(ahead=True)
        connect(m, flipped(self.command), compute.command)
        connect(m, flipped(self.moving), moving.write)
        connect(m, flipped(self.stationary), stationary.write)
        connect(m, flipped(self.bias), stationary.bias_write)
        connect(m, compute.moving, moving.read)
        connect(m, compute.stationary, stationary.read)
        connect(m, compute.bias, stationary.bias_read)
        connect(m, flipped(self.accumulator), compute.accumulator)
        for side, buffer in (("moving", moving), ("stationary", stationary)):
            m.d.comb += [
                buffer.acquire.eq(getattr(self, f"{side}_acquire")),
                buffer.publish.eq(getattr(self, f"{side}_publish")),
                getattr(self, f"{side}_free").eq(buffer.free),
                getattr(compute, f"{side}_full").eq(buffer.full),
                buffer.release.eq(getattr(compute, f"{side}_release")),
            ]
        m.d.comb += [
            compute.accumulator_free.eq(banks.free),
            banks.acquire.eq(compute.accumulator_acquire),
            banks.publish.eq(compute.accumulator_publish),
            self.accumulator_full.eq(banks.full),
            banks.release.eq(self.accumulator_release),
            self.drain_latency.eq(compute.drain_latency),
            self.busy.eq(compute.busy),
            self.mac_busy.eq(compute.mac_busy),
        ]
        return m


class WeightReuseDesign(wiring.Component):
    """`WeightReuseBuffer`; `slot_release` instead of `release`, which is a word of Verilog.

    Members
    -------
    write, bias_write, read, bias_read :
        As there.
    slot_acquire, slot_publish, slot_release : In(1)
    free, full, read_slot : Out(1)
    """

    def __init__(self, config):
        self._buffer = WeightReuseBuffer(config=config)
        ports = ("write", "bias_write", "read", "bias_read", "free", "full", "read_slot")
        members = self._buffer.signature.members
        super().__init__(
            {name: members[name] for name in ports}
            | {f"slot_{name}": In(1) for name in ("acquire", "publish", "release")}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.buffer = buffer = self._buffer
        for name in ("write", "bias_write", "read", "bias_read"):
            connect(m, flipped(getattr(self, name)), getattr(buffer, name))
        for name in ("acquire", "publish", "release"):
            m.d.comb += getattr(buffer, name).eq(getattr(self, f"slot_{name}"))
        for name in ("free", "full", "read_slot"):
            m.d.comb += getattr(self, name).eq(getattr(buffer, name))
        return m


class LoadStoreDesign(wiring.Component):
    """Loader with its buffers, a run reader and two run writers, on shared memory ports.

    Members
    -------
    load : In(stream(LOAD.struct)); load_busy : Out(1)
    moving, stationary : In(LaneRead); bias : In(BiasRead)
    moving_full, moving_slot : Out(1); moving_release : In(1)
        And the same for the stationary buffer.
    read_run, read_items, write_run0, write_items0, write_run1, write_items1 :
        Of a `RunReader` of 4-byte items, a `RunWriter` of items of `narrow` and of 16 bytes, and
        one of single bytes.
    write_busy, window_fault : Out(1)
    window_base, window_limit : In(address_bits)
    axi0, axi1, .. : Out(Axi)
    """

    NARROW = 4
    WIDE = 16

    def __init__(self, config):
        self._config = config
        self._reader = RunReader(config, self.NARROW)
        self._writers = RunWriter(config, (self.NARROW, self.WIDE)), RunWriter(config, 1)
        runs = {"read_run": self._reader.signature.members["run"],
                "read_items": self._reader.signature.members["items"]}
        for k, writer in enumerate(self._writers):
            runs[f"write_run{k}"] = writer.signature.members["run"]
            runs[f"write_items{k}"] = writer.signature.members["items"]
        super().__init__(
            {
                "load": In(stream.Signature(LOAD.struct)),
                "load_busy": Out(1),
                "moving": In(LaneRead(config, config.moving_elements)),
                "stationary": In(LaneRead(config, config.stationary_elements)),
                "bias": In(BiasRead(config)),
                **{
                    f"{side}_{name}": direction(1)
                    for side in ("moving", "stationary")
                    for name, direction in (("full", Out), ("slot", Out), ("release", In))
                },
                **runs,
                "write_busy": Out(1),
                "window_fault": Out(1),
                "window_base": In(config.address_bits),
                "window_limit": In(config.address_bits),
                **{f"axi{k}": Out(Axi(config.address_bits)) for k in range(config.ports)},
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.loader = loader = Loader(config=config)
        m.submodules.moving = moving = MovingBuffer(config=config)
        m.submodules.stationary = stationary = WeightReuseBuffer(config=config)
        connect(m, flipped(self.load), loader.command)
        connect(m, loader.bias, stationary.bias_write)
        connect(m, flipped(self.bias), stationary.bias_read)
        for side, buffer in (("moving", moving), ("stationary", stationary)):
            connect(m, getattr(loader, side), buffer.write)
            connect(m, flipped(getattr(self, side)), buffer.read)
            m.d.comb += [
                getattr(loader, f"{side}_free").eq(buffer.free),
                buffer.acquire.eq(getattr(loader, f"{side}_acquire")),
                buffer.publish.eq(getattr(loader, f"{side}_publish")),
                getattr(self, f"{side}_full").eq(buffer.full),
                getattr(self, f"{side}_slot").eq(buffer.read_slot),
                buffer.release.eq(getattr(self, f"{side}_release")),
            ]

        m.submodules.run_reader = run_reader = self._reader
        connect(m, flipped(self.read_run), run_reader.run)
        connect(m, run_reader.items, flipped(self.read_items))
        m.submodules.reader = reader = MemoryReader(config, 2)
        m.submodules.writer = writer = MemoryWriter(config, len(self._writers))
        connect(m, loader.memory, reader.clients[0])
        connect(m, run_reader.memory, reader.clients[1])
        for k, run_writer in enumerate(self._writers):
            m.submodules[f"run_writer{k}"] = run_writer
            connect(m, flipped(getattr(self, f"write_run{k}")), run_writer.run)
            connect(m, flipped(getattr(self, f"write_items{k}")), run_writer.items)
            connect(m, run_writer.memory, writer.clients[k])
        m.d.comb += [
            self.load_busy.eq(loader.busy),
            self.write_busy.eq(Cat(writer.busy for writer in self._writers).any()),
            self.window_fault.eq(reader.error | writer.error),
        ]
        for side in (reader, writer):
            m.d.comb += [
                side.window_base.eq(self.window_base),
                side.window_limit.eq(self.window_limit),
            ]
        for k in range(config.ports):
            port = Axi(config.address_bits, config.axi).create(path=(f"port{k}",))
            connect_channels(m, port, reader.axi[k])
            connect_channels(m, port, writer.axi[k])
            _axi4(m, getattr(self, f"axi{k}"), port)
            watch(m, f"checker{k}", port, config.max_burst_beats)
        return m


class SequencerDesign(wiring.Component):
    """Sequencer, command receivers and the memory side; a bench is the engines.

    Members
    -------
    start : In(1), program_address : In(address_bits)
    done, error : Out(1), error_code : Out(8), tag, index : Out(32)
        Of `Sequencer`.
    command_<name> : Out(stream(command))
        What each engine gets.
    engines_busy : In(1)
        An engine works on a command.
    sent : Out(engines), sent_data : Out(32), sent_last : Out(1)
        The word that is sent in this cycle, and to whom.
    quiet : Out(1)
        No engine and no receiver is busy.
    axi0, axi1, .. : Out(AxiRead)
    """

    def __init__(self, config):
        self._config = config
        commands = {
            f"command_{layout.name}": Out(stream.Signature(32 * layout.words))
            for layout in ENGINES
        }
        super().__init__(
            {
                "start": In(1),
                "program_address": In(config.address_bits),
                "done": Out(1),
                "error": Out(1),
                "error_code": Out(8),
                "tag": Out(32),
                "index": Out(32),
                **commands,
                "engines_busy": In(1),
                "sent": Out(len(ENGINES)),
                "sent_data": Out(32),
                "sent_last": Out(1),
                "quiet": Out(1),
                **{f"axi{k}": Out(AxiRead(config.address_bits)) for k in range(config.ports)},
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.sequencer = sequencer = Sequencer(self._config)
        m.submodules.reader = reader = MemoryReader(self._config, 1)
        connect(m, sequencer.memory, reader.clients[0])
        everything = (1 << self._config.address_bits) - 1
        m.d.comb += reader.window_limit.eq(Const(everything, self._config.address_bits))
        busy, data, last = [], 0, 0
        for k, layout in enumerate(ENGINES):
            receiver = CommandReceiver(layout, ahead=layout.opcode <= 3)
            m.submodules[f"{layout.name}_receiver"] = receiver
            words = getattr(sequencer, f"issue_{layout.name}")
            connect(m, words, receiver.words)
            port = getattr(self, f"command_{layout.name}")
            sends = words.valid & words.ready
            m.d.comb += [
                port.valid.eq(receiver.command.valid),
                port.payload.eq(receiver.command.payload.as_value()),
                receiver.command.ready.eq(port.ready),
                self.sent[k].eq(sends),
            ]
            busy.append(receiver.busy)
            data |= Mux(sends, words.payload.data, 0)
            last |= sends & words.payload.last
        quiet = Signal()
        m.d.comb += [
            quiet.eq(~Cat(busy).any() & ~self.engines_busy),
            self.quiet.eq(quiet),
            sequencer.engines_busy.eq(~quiet),
            self.sent_data.eq(data),
            self.sent_last.eq(last),
            sequencer.start.eq(self.start),
            sequencer.program_address.eq(self.program_address),
            self.done.eq(sequencer.done),
            self.error.eq(sequencer.error),
            self.error_code.eq(sequencer.error_code),
            self.tag.eq(sequencer.descriptor_tag),
            self.index.eq(sequencer.descriptor_index),
        ]
        for k in range(self._config.ports):
            port = reader.axi[k]
            _axi4(m, getattr(self, f"axi{k}"), port)
            watch(m, f"checker{k}", port, self._config.max_burst_beats)
        return m
