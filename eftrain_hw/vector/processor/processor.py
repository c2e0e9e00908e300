"""The vector processor: a command's program, walked, issued, computed."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...arith.pipeline import delay
from ...streams.queue import Queue
from ...streams.register import Skid
from .. import program_format as layout
from ..commands import PROCESS
from ..ports import (
    DividePort,
    EncodePort,
    MacPort,
    ReadPort,
    ResultPort,
    RunPort,
    item_run,
    read_item_bytes,
    write_item_bytes,
)
from .datapath import Datapath, late_struct
from .fetch_operands import FetchOperands
from .inputs import InputStream, SharedReader
from .issue import Issue
from .slow_units import PackBytes, SlowUnits
from .structs import PORTS, RUNS
from .structs import SEGMENT as SEGMENT_LAYOUT
from .table import TableLoader
from .walker import Walker

__all__ = ["Processor"]

_PAD_QUEUE = 16


class Processor(wiring.Component):
    """Runs vector programs (docs/vector-processor.md), an element a cycle.

        read2 --> shared reader --> table loader --> table --> walker --> runs of all ports
        read0, read1, read2 --> input streams --> operands --> datapath --> encoder, write0, write1
                                     issue ----------^            |
                                                     ^-- registers <

    The multiply-adds and the encoder are the vector unit's.

    Latency and cost: 36 cycles from an element to its result, one a cycle; see
    docs/vector-processor.md for LUTs; 4 RAMB18.
    Golden: sim/models/vector_machine.py.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    command : In(stream of PROCESS.struct)
    inverse_images, learning_rate, momentum : In(32), valid_images : In(16)
        Stable while busy.
    read0, read1, read2 : Out(ReadPort)
    write0, write1 : Out(RunPort), result0, result1 : Out(ResultPort)
    divide : Out(DividePort)
    element_run, exponent_run : Out(stream of item_run)
        Where writers 2 and 3 put what leaves the encoder.
    mac0, mac1 : Out(MacPort)
    encode : Out(EncodePort)
    busy : Out(1)
    bad : Out(1)
        Pulse: the command's program is not a vector program. Busy until a reset.
    """

    ENCODE_LATENCY = FetchOperands.LATENCY + Datapath.LATENCY
    """Cycles from `encode.reserve` to `encode.i_valid`."""

    def __init__(self, config):
        self._config = config
        reads = read_item_bytes(config)
        super().__init__(
            {
                "command": In(stream.Signature(PROCESS.struct)),
                **{name: In(32) for name in layout.SPECIALS[:3]},
                "valid_images": In(16),
                "read0": Out(ReadPort(config, (4,))),
                "read1": Out(ReadPort(config, (4,))),
                "read2": Out(ReadPort(config, reads[2])),
                **{f"write{k}": Out(RunPort(config)) for k in range(2)},
                **{f"result{k}": Out(ResultPort()) for k in range(2)},
                "divide": Out(DividePort()),
                "element_run": Out(stream.Signature(item_run(config))),
                "exponent_run": Out(stream.Signature(item_run(config))),
                "mac0": Out(MacPort()),
                "mac1": Out(MacPort()),
                "encode": Out(EncodePort()),
                "busy": Out(1),
                "bad": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.loader = loader = TableLoader()
        m.submodules.table = table = Memory(
            shape=32, depth=512, init=[], attrs={"ram_style": "block"}
        )
        m.submodules.walker = walker = Walker(config)
        m.submodules.shared = shared = SharedReader(vectors=2 * layout.CHUNK)
        m.submodules.segments = segments = Queue(
            SEGMENT_LAYOUT, _PAD_QUEUE, storage="distributed"
        )
        m.submodules.issue = issue = Issue(
            config, latency=self.ENCODE_LATENCY + 2, loop=Datapath.LOOP
        )

        # command
        c = Signal(PROCESS.struct, reset_less=True)
        begin, working = Signal(), Signal()
        take = self.command.valid & self.command.ready
        m.d.sync += begin.eq(take)
        with m.If(take):
            m.d.sync += [c.eq(self.command.payload), working.eq(1)]
        streams, queues = self._streams(m, shared, issue, loader)
        # ports say late that they take a run
        m.submodules.run = run = Skid(walker.run.payload.shape())
        wiring.connect(m, walker.run, run.i)
        idle = ~take & ~begin & ~loader.busy & ~walker.busy & ~run.o.valid & issue.idle
        idle &= ~walker.instruction_valid & Cat(queue.idle for queue in queues).all()
        with m.If(idle):
            m.d.sync += working.eq(0)
        m.d.comb += [self.command.ready.eq(~working), self.busy.eq(take | working)]

        # program
        write, read = table.write_port(), table.read_port()
        m.d.comb += [
            loader.start.eq(walker.load),
            loader.words.eq(c.program_words),
            loader.use_scalars.eq(c.use_scalars),
            *(getattr(loader, name).eq(getattr(self, name)) for name in layout.SPECIALS[:3]),
            self.bad.eq(loader.bad),
            write.en.eq(loader.write),
            write.addr.eq(loader.address),
            write.data.eq(loader.data),
            read.addr.eq(walker.address),
            read.en.eq(walker.read),
            walker.data.eq(read.data),
            walker.start.eq(begin),
            walker.count.eq(c.count),
            walker.program_words.eq(c.program_words),
            walker.use_scalars.eq(c.use_scalars),
            walker.valid_images.eq(self.valid_images),
            walker.kinds.eq(loader.kinds),
            walker.instructions.eq(loader.instructions),
            walker.loading.eq(loader.busy),
            issue.instruction.eq(walker.instruction),
            issue.held.eq(walker.held),
            issue.instruction_valid.eq(walker.instruction_valid),
            walker.instruction_take.eq(issue.instruction_take),
        ]
        for number, name in enumerate(RUNS):
            field = name.replace("x", "_exponents") if name.endswith("x") else name
            m.d.comb += walker.lines[number].eq(getattr(c, field))
        wiring.connect(m, walker.segment, segments.i)
        wiring.connect(m, segments.o, issue.segment)
        self._runs(m, run.o, shared)
        self._compute(m, loader, issue, streams, queues)
        return m

    def _streams(self, m, shared, issue, loader):
        """The input streams and the entrances of the results' queues."""
        config, kinds = self._config, loader.kinds
        elements = layout.KINDS.index("elements")
        packed = not (config.element_bytes == 4)
        streams = {}
        for name in "abc":
            m.submodules[f"stream_{name}"] = streams[name] = unit = InputStream()
            m.d.comb += [
                getattr(issue, f"have_{name}").eq(unit.have),
                unit.take.eq(getattr(issue, f"take_{name}")),
                unit.last_lane.eq(issue.last_lane),
            ]
        of_a, of_b = kinds[0:2] == elements, kinds[2:4] == elements
        is_bytes = kinds[2:4] == layout.KINDS.index("bytes")
        m.d.sync += [
            streams["a"].packed.eq(of_a & packed),
            streams["a"].scaled.eq(of_a & config.has_exponents),
            streams["b"].packed.eq((of_b & packed) | is_bytes),
            streams["b"].scaled.eq(of_b & config.has_exponents),
        ]
        wiring.connect(m, shared.a_exponents, streams["a"].exponents)
        wiring.connect(m, shared.b_exponents, streams["b"].exponents)
        wiring.connect(m, shared.c, streams["c"].items)
        wiring.connect(m, shared.program, loader.items)
        for port, sink in (
            (self.read0.items, streams["a"].items),
            (self.read1.items, streams["b"].items),
            (self.read2.items, shared.items),
        ):
            m.d.comb += [
                sink.payload.eq(port.payload), sink.valid.eq(port.valid), port.ready.eq(sink.ready)
            ]
        return streams, (self.result0, self.result1)

    def _runs(self, m, run, shared):
        """Hand runs to their ports."""
        reads, writes = read_item_bytes(self._config), write_item_bytes(self._config)
        for number, name in enumerate(PORTS):
            port = getattr(self, f"{name}_run" if name in ("element", "exponent") else name)
            port = getattr(port, "run", port)
            sizes = {"read0": reads[0], "read1": reads[1], "read2": reads[2], "write0": writes[0],
                     "write1": writes[1]}.get(name)  # fmt: skip
            wide = C(1, 1) if sizes is None else C(sizes[1] == 4, 1)
            if name == "element":
                wide = C(writes[2][1] == self._config.element_bytes, 1)
            chosen = run.payload.port[number]
            m.d.comb += [
                port.payload.address.eq(run.payload.address),
                port.payload.items.eq(run.payload.items),
                port.payload.wide.eq(wide if name != "read2" else run.payload.kind[1]),
                port.valid.eq(run.valid & chosen & (shared.expect.ready | (name != "read2"))),
            ]
            with m.If(chosen):
                m.d.comb += run.ready.eq(port.ready & (shared.expect.ready | (name != "read2")))
        m.d.comb += [
            shared.expect.payload.kind.eq(run.payload.kind),
            shared.expect.payload.items.eq(run.payload.items),
            shared.expect.valid.eq(run.valid & self.read2.run.ready & run.payload.port[2]),
        ]

    def _compute(self, m, loader, issue, streams, queues):
        """Operands, arithmetic, results."""
        config, kinds, now = self._config, loader.kinds, issue.current
        raw = layout.KINDS.index("raw")
        packed = config.element_bytes == 1
        m.submodules.operands = operands = FetchOperands(config)
        m.submodules.datapath = path = Datapath(config)
        is_bytes = kinds[2:4] == layout.KINDS.index("bytes")
        m.d.comb += [
            operands.current.eq(now),
            operands.held.eq(issue.current_held),
            operands.element.eq(issue.element),
            operands.a_words.eq((kinds[0:2] == raw) | (not packed)),
            operands.b_words.eq(((kinds[2:4] == raw) | (not packed)) & ~is_bytes),
            operands.b_bytes.eq(is_bytes),
            *(getattr(operands, name).eq(streams[name].element) for name in "abc"),
            path.current.eq(now),
            *(getattr(path, name).eq(getattr(operands, name))
              for name in ("a0", "b0", "c0", "b1", "c1")),
        ]
        for port, inner in ((self.mac0, path.mac0), (self.mac1, path.mac1)):
            m.d.comb += [port.a.eq(inner.a), port.b.eq(inner.b), port.c.eq(inner.c)]
            m.d.comb += inner.o.eq(port.o)

        # an element's way to the datapath
        cycles = operands.LATENCY + 1
        valid, probe = issue.issue, issue.probe
        for stage in range(cycles):
            late_valid, late_probe = Signal(name=f"valid_{stage}"), Signal(name=f"probe_{stage}")
            m.d.sync += [late_valid.eq(valid), late_probe.eq(probe)]
            valid, probe = late_valid, late_probe
        element = data.View(
            issue.element.shape(),
            delay(m, issue.element.as_value(), cycles, name="element"),
        )
        late = Signal(late_struct(config))
        lane = Mux(now.across, 0, element.lane)
        index = Mux(now.r[2], element.number, lane)
        operand = layout.OPERANDS
        t0 = operand["b1"].index("t0")
        m.d.comb += [
            late.lane.eq(lane),
            late.first.eq(element.first),
            late.zero0.eq(now.valid0 & ~element.valid),
            late.zero1.eq(now.valid1 & ~element.valid),
            late.t0_a1.eq(now.a1 == operand["a1"].index("t0")),
            late.t0_b1.eq(now.b1 == t0),
            late.addend.eq(
                Mux(now.accumulate == 0, now.c1 == operand["c1"].index("t0"),
                    Mux(late.sum & ~element.first, 2, 3))
            ),
            late.negate_c1.eq(now.negate_c1 & (now.accumulate == 0)),
            late.sum.eq(now.accumulate == layout.ACCUMULATE.index("sum")),
            late.maximum.eq(now.accumulate == layout.ACCUMULATE.index("maximum")),
            late.relu.eq(now.post == layout.POSTS.index("relu")),
            late.select.eq(now.post == layout.POSTS.index("select")),
            *(late[to].eq(now[to] & element.emits) for to in ("to_e", "to_w0", "to_w1", "to_r")),
            late.register.eq(Cat(index, C(0, 6 - len(index)), now.r)),
            late.byte_place.eq(element.lane),
            path.late.eq(late),
            path.valid.eq(valid),
        ]
        self._slow(m, now, issue, path, probe)
        self._results(m, loader, issue, operands, path, queues)

    def _slow(self, m, now, issue, path, probe):
        """Divider, root extractor, random numbers."""
        m.submodules.slow = slow = SlowUnits()
        wiring.connect(m, slow.divide, wiring.flipped(self.divide))
        m.d.comb += [
            slow.operation.eq(now.operation),
            slow.seed.eq(issue.current_held[0]),
            slow.begin.eq(issue.instruction_take),
            slow.use.eq(issue.issue),
            slow.clear.eq(self.command.ready),
            slow.probe.eq(probe),
            slow.a.eq(path.probe_a),
            slow.b.eq(path.probe_b),
            path.slow.eq(slow.o),
            path.random.eq(slow.random),
            issue.slow_done.eq(slow.done),
            issue.random_ready.eq(slow.random_ready),
        ]

    def _results(self, m, loader, issue, operands, path, queues):
        """What leaves: to the encoder, the writers and the registers."""
        now, late = issue.current, path.result_late
        w0, w1 = queues
        is_bytes = loader.kinds[8:10] == layout.KINDS.index("bytes")
        whole = ~is_bytes | issue.element.lane[:2].all()
        leaves = issue.issue & issue.element.emits
        m.d.sync += [  # a cycle late, for the sake of the path
            self.encode.reserve.eq(leaves & now.to_e),
            w0.reserve.eq(leaves & now.to_w0),
            w1.reserve.eq(leaves & now.to_w1 & whole),
        ]
        m.d.comb += [
            issue.room.eq(
                (~now.to_e | self.encode.room) & (~now.to_w0 | w0.room) & (~now.to_w1 | w1.room)
            ),
            self.encode.i_valid.eq(path.result_valid & late.to_e),
            self.encode.i.eq(path.result),
            w0.i_valid.eq(path.result_valid & late.to_w0),
            w0.i.eq(path.result),
            operands.write.eq(path.result_valid & late.to_r),
            operands.write_address.eq(late.register),
            operands.write_data.eq(path.result),
        ]
        m.submodules.bytes = pack = PackBytes()
        m.d.comb += [
            pack.enable.eq(path.result_valid & late.to_w1),
            pack.value.eq(path.result0),
            w1.i_valid.eq(path.result_valid & late.to_w1 & (~is_bytes | late.byte_place.all())),
            w1.i.eq(Mux(is_bytes, pack.o, path.result0)),
        ]
