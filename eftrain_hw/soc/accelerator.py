"""The accelerator: submodules and connections, in data-flow order."""

from amaranth.hdl import (
    Cat,
    ClockDomain,
    ClockSignal,
    DomainRenamer,
    Module,
    Mux,
    ResetInserter,
    ResetSignal,
    Signal,
)
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..array.compute_engine import ComputeEngine
from ..buffers.moving import MovingBuffer
from ..buffers.slots import SlotController
from ..buffers.weight_reuse import WeightReuseBuffer
from ..config import AcceleratorConfig
from ..csr.csr_block import Csr
from ..csr.errors import BAD_VECTOR_PROGRAM
from ..csr.registers import ADDRESS_BITS
from ..csr.step_log import StepLog
from ..dma.axi import Axi, AxiLite, connect_channels
from ..dma.loader import Loader
from ..dma.memory_reader import MemoryReader
from ..dma.memory_writer import MemoryWriter
from ..dma.run_reader import RunReader
from ..dma.run_writer import RunWriter
from ..sequencer.issuer import issue_ports
from ..sequencer.sequencer import Sequencer
from ..streams.connect import connect_streams
from ..vector.drain import Drain
from ..vector.ports import read_item_bytes, write_item_bytes
from ..vector.vector_unit import VectorUnit
from .array_cause import ArrayCause
from .clock_group import CLOCK_GROUPS, ClockGroup
from .dispatch import ENGINES, Dispatch
from .supervisor import Supervisor

__all__ = ["Accelerator"]


class Accelerator(wiring.Component):
    """Trains convolutional networks: AXI4-Lite in, layer programs and tensors over AXI.

        axil --> csr --> supervisor --> sequencer --> command receivers --> every engine
        axi0.. <--> reader, writer <--> loader --> moving buffer   --> compute --> drain --> writer
                                           \\--> weight reuse buffer --^   vector unit <--> both

    A write to `control.start` runs the program at `program_address`; `irq` rises at its end or at
    an error. Everything between, one training step, needs no host.

    Latency and cost: see docs/resources.md.
    Golden: eftrain_hw.golden.network.

    Parameters
    ----------
    config : AcceleratorConfig
    primitives : str
        "portable" or "xilinx7": how dot products and lane banks are described, see `array`,
        `buffers`.
    gated_clocks : bool
        Gives each group of parts (`CLOCK_GROUPS`) a clock of its own, which may stand still while
        the group rests: on an FPGA a clock buffer with enable, which saves power; in a simulation
        most of the time. Cycles and bits stay the same.

    Members
    -------
    axil : In(AxiLite(12))
        Registers, docs/registers.md.
    axi0, axi1, .. : Out(Axi)
        Memory ports, 64 bits, AXI4 or AXI3.
    irq : Out(1)
        Level; enabled and cleared through the registers.
    active_<group> : Out(1)
        With `gated_clocks`: the group needs the edge of `clk` that ends this cycle.
    clk_<group> : In(1)
        With `gated_clocks`: `clk` with every edge that `active_<group>` asks for.
    """

    def __init__(self, config, *, primitives="portable", gated_clocks=False):
        if not isinstance(config, AcceleratorConfig):
            raise TypeError(f"Accelerator config must be an AcceleratorConfig, not {config!r}")
        self._config = config
        self._primitives = primitives
        self._gated_clocks = bool(gated_clocks)
        ports = {
            f"axi{k}": Out(Axi(config.address_bits, config.axi)) for k in range(config.ports)
        }
        if gated_clocks:
            ports |= {f"active_{name}": Out(1) for name in CLOCK_GROUPS}
            ports |= {f"clk_{name}": In(1) for name in CLOCK_GROUPS}
        super().__init__({"axil": In(AxiLite(ADDRESS_BITS)), **ports, "irq": Out(1)})

    @property
    def config(self):
        return self._config

    @property
    def primitives(self):
        return self._primitives

    @property
    def gated_clocks(self):
        return self._gated_clocks

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.csr = csr = Csr(config)
        m.submodules.supervisor = supervisor = Supervisor(config)
        core = Module()  # what a soft reset clears
        m.submodules.core = ResetInserter(
            dict.fromkeys(self._clock_domains(m), supervisor.core_reset)
        )(core)

        parts = {}
        core.submodules.sequencer = sequencer = Sequencer(config)
        core.submodules.dispatch = dispatch = Dispatch()
        loader = self._add(core, parts, "loader", Loader(config=config))
        buffers = {"config": config, "primitives": self._primitives}
        moving = self._add(core, parts, "moving", MovingBuffer(**buffers))
        stationary = self._add(core, parts, "stationary", WeightReuseBuffer(**buffers))
        compute = ComputeEngine(
            config, read_latency=MovingBuffer.read_latency, primitives=self._primitives
        )
        self._add(core, parts, "compute", compute)
        core.submodules.banks = banks = SlotController(ahead=True)
        drain = Drain(config, accumulator_latency=compute.drain_latency)
        self._add(core, parts, "drain", drain)
        vector = self._add(core, parts, "vector", VectorUnit(config))

        # commands: sequencer -> engines
        for name in issue_ports(sequencer.layouts):
            connect_streams(core, getattr(sequencer, name), getattr(dispatch, name))
        for name, engine in zip(ENGINES, (loader, compute, drain, vector)):
            connect_streams(core, getattr(dispatch, name), engine.command)
        core.d.comb += [
            dispatch.mark.eq(sequencer.mark),
            dispatch.restart.eq(sequencer.start),
            sequencer.started.eq(dispatch.started),
        ]

        # tiles: loader -> buffers -> array -> drain
        connect(core, loader.moving, moving.write)
        connect(core, loader.stationary, stationary.write)
        connect(core, loader.bias, stationary.bias_write)
        connect(core, compute.moving, moving.read)
        connect(core, compute.stationary, stationary.read)
        connect(core, compute.bias, stationary.bias_read)
        connect(core, drain.accumulator, compute.accumulator)
        core.d.comb += [
            loader.moving_free.eq(moving.free),
            moving.acquire.eq(loader.moving_acquire),
            moving.publish.eq(loader.moving_publish),
            compute.moving_full.eq(moving.full),
            moving.release.eq(compute.moving_release),
            loader.stationary_free.eq(stationary.free),
            stationary.acquire.eq(loader.stationary_acquire),
            stationary.publish.eq(loader.stationary_publish),
            compute.stationary_full.eq(stationary.full),
            stationary.release.eq(compute.stationary_release),
            compute.accumulator_free.eq(banks.free),
            banks.acquire.eq(compute.accumulator_acquire),
            banks.publish.eq(compute.accumulator_publish),
            drain.accumulator_full.eq(banks.full),
            banks.release.eq(drain.accumulator_release),
        ]

        # memory side
        run_readers, run_writers = self._runs(core, parts, drain, vector)
        read_clients = [sequencer.memory, loader.memory, *(r.memory for r in run_readers)]
        # the drain's masks first: what it writes waits for them, and the array for the drain
        urgent = len(read_clients) - len(run_readers)
        m.submodules.reader = reader = MemoryReader(config, len(read_clients), urgent=urgent)
        m.submodules.writer = writer = MemoryWriter(config, len(run_writers))
        for client, port in zip(read_clients, reader.clients):
            connect(m, client, port)
        for run_writer, port in zip(run_writers, writer.clients):
            connect(m, run_writer.memory, port)
        handshakes, read_beats, write_beats = [], 0, 0
        for k in range(config.ports):
            port = getattr(self, f"axi{k}")
            connect_channels(m, port, reader.axi[k])
            connect_channels(m, port, writer.axi[k])
            r, w = Signal(name=f"r{k}_moves"), Signal(name=f"w{k}_moves")
            m.d.sync += [r.eq(port.rvalid & port.rready), w.eq(port.wvalid & port.wready)]
            handshakes += [r, w]
            read_beats, write_beats = read_beats + r, write_beats + w

        drain_writers, vector_writers = run_writers[:2], run_writers[2:]
        core.d.comb += [
            dispatch.drain_busy.eq(_any(part.busy for part in (drain, *drain_writers))),
            dispatch.vector_busy.eq(_any(part.busy for part in (vector, *vector_writers))),
        ]
        busy = [part.busy for part in (dispatch, loader, compute)]
        busy += [dispatch.drain_busy, dispatch.vector_busy]
        engines_busy, progress = Signal(init=1), Signal()
        core.d.sync += engines_busy.eq(_any(busy))
        m.d.sync += progress.eq(sequencer.progress | _any(handshakes))
        m.d.comb += [
            sequencer.engines_busy.eq(engines_busy),
            csr.count_read_beats.eq(read_beats),
            csr.count_write_beats.eq(write_beats),
        ]
        if self._gated_clocks:
            self._connect_clocks(m, core, parts, dispatch, supervisor.core_reset)
        self._connect_control(m, csr, supervisor, sequencer, vector, reader, writer)
        m.d.comb += [
            supervisor.progress.eq(progress),
            supervisor.nonfinite.eq(drain.nonfinite | vector.nonfinite),
            vector.learning_rate.eq(csr.learning_rate),
            vector.momentum.eq(csr.momentum),
            vector.inverse_images.eq(csr.inverse_images),
            vector.valid_images.eq(csr.valid_images),
            vector.label_target.eq(csr.label_target),
            vector.other_target.eq(csr.other_target),
            csr.count_mac_busy.eq(compute.mac_busy),
            csr.count_commands.eq(sequencer.command_sent),
            csr.count_descriptors.eq(sequencer.descriptor_finished),
        ]
        for name in ("moving", "stationary", "accumulator", "hazard"):
            event = getattr(csr, f"count_stall_{name}")
            m.d.comb += event.eq(getattr(compute, f"stall_{name}"))
        self._connect_log(m, core, csr, supervisor, sequencer, dispatch, parts)
        return m

    @staticmethod
    def _connect_log(m, core, csr, supervisor, sequencer, dispatch, parts):
        """Who works on what, and what the array's cycles go to."""
        loader, compute, drain = (parts[name] for name in ("loader", "compute", "drain"))
        core.submodules.array_cause = cause = ArrayCause()
        m.submodules.log = log = StepLog()
        items = (drain.element_items, drain.exponent_items)
        core.d.comb += [
            cause.mac_busy.eq(compute.mac_busy),
            cause.offered.eq(dispatch.compute.valid),
            cause.load_busy.eq(loader.busy),
            cause.drain_busy.eq(dispatch.drain_busy),
            cause.vector_busy.eq(dispatch.vector_busy),
            cause.writers_hold.eq(_any(item.valid & ~item.ready for item in items)),
            cause.held.eq(dispatch.held),
            cause.full.eq(dispatch.full),
            cause.waits.eq(sequencer.waits),
        ]
        for name in ("moving", "stationary", "accumulator", "hazard"):
            core.d.comb += getattr(cause, f"stall_{name}").eq(getattr(compute, f"stall_{name}"))
        for name in ENGINES:
            command = getattr(dispatch, name)
            begins = compute.begins if name == "compute" else command.valid & command.ready
            m.d.comb += [
                getattr(log, f"begin_{name}").eq(begins),
                getattr(log, f"mark_{name}").eq(getattr(dispatch, f"{name}_mark")),
            ]
        m.d.comb += [
            log.clear.eq(supervisor.counters_clear),
            log.counting.eq(supervisor.counting),
            log.cause.eq(cause.cause),
            log.begin_sequencer.eq(sequencer.begins),
            log.mark_sequencer.eq(sequencer.own_mark),
            log.busy_sequencer.eq(sequencer.reading),
            log.busy_load.eq(loader.busy),
            log.busy_compute.eq(compute.busy),
            log.busy_drain.eq(dispatch.drain_busy),
            log.busy_vector.eq(dispatch.vector_busy),
            log.index.eq(csr.log_index),
            csr.log_value.eq(log.value),
            csr.log_code.eq(log.code),
            csr.log_status_count.eq(log.count),
            csr.log_status_busy.eq(log.busy),
            csr.log_status_overflow.eq(log.overflow),
            csr.log_status_lost.eq(log.lost),
        ]

    def _add(self, core, parts, name, part):
        """Put a part into the core, in the clock domain of its group."""
        group = next((g for g, (members, _) in CLOCK_GROUPS.items() if name in members), None)
        gated = self._gated_clocks and group is not None
        core.submodules[name] = DomainRenamer(group)(part) if gated else part
        parts[name] = part
        return part

    def _clock_domains(self, m):
        """Names of the core's clock domains; those of the groups are made."""
        if not self._gated_clocks:
            return ["sync"]
        for name in CLOCK_GROUPS:
            m.domains += ClockDomain(name)
            m.d.comb += [
                ClockSignal(name).eq(getattr(self, f"clk_{name}")),
                ResetSignal(name).eq(ResetSignal("sync")),
            ]
        return ["sync", *CLOCK_GROUPS]

    @staticmethod
    def _computes(core, compute):
        """Whether the array does more than wait for a slot, a bank or a command."""
        inputs = Cat(
            compute.moving_full,
            compute.stationary_full,
            compute.accumulator_free,
            compute.command.valid,
        )
        before = Signal.like(inputs, name="compute_inputs")
        core.d.sync += before.eq(inputs)
        waits = compute.stall_moving | compute.stall_stationary | compute.stall_accumulator
        return (compute.busy & ~waits) | (inputs != before)

    def _connect_clocks(self, m, core, parts, dispatch, core_reset):
        compute = parts["compute"]
        busy = {name: part.busy for name, part in parts.items() if hasattr(part, "busy")}
        busy["compute"] = self._computes(core, compute)
        for name in ("load", "compute", "drain", "vector"):
            command = getattr(dispatch, name)
            busy[f"{name} command"] = command.valid & command.ready
        hold = compute.latency + compute.drain_latency + 4
        for name, (_, users) in CLOCK_GROUPS.items():
            m.submodules[f"{name}_clock"] = group = ClockGroup(hold=hold)
            needed = [busy[user] for user in users] + [core_reset, ResetSignal("sync")]
            m.d.comb += group.busy.eq(_any(needed))
            m.d.comb += getattr(self, f"active_{name}").eq(group.active)

    def _runs(self, core, parts, drain, vector):
        """Run readers and writers between the engines that stream and the memory side."""
        config = self._config
        narrow = config.drain_lanes * config.element_bytes
        mask = self._add(core, parts, "mask_reader", RunReader(config, narrow, depth=64))
        sizes = (narrow, config.drain_lanes * 4)
        elements = self._add(core, parts, "element_writer", RunWriter(config, sizes, depth=64))
        exponents = self._add(core, parts, "exponent_writer", RunWriter(config, 1))
        connect_streams(core, drain.mask_run, mask.run)
        connect_streams(core, mask.items, drain.mask_items)
        connect_streams(core, drain.element_run, elements.run)
        connect_streams(core, drain.element_items, elements.items)
        connect_streams(core, drain.exponent_run, exponents.run)
        connect_streams(core, drain.exponent_items, exponents.items)
        readers, writers = [mask], [elements, exponents]
        for k, sizes in enumerate(read_item_bytes(config)):
            depth = 128 if max(sizes) == config.bus_bytes else 32  # whole beats come at full speed
            reader = RunReader(config, sizes, depth=depth)
            self._add(core, parts, f"vector_reader{k}", reader)
            port = getattr(vector, f"read{k}")
            connect_streams(core, port.run, reader.run)
            connect_streams(core, reader.items, port.items)
            readers.append(reader)
        for k, sizes in enumerate(write_item_bytes(config)):
            writer = self._add(core, parts, f"vector_writer{k}", RunWriter(config, sizes))
            port = getattr(vector, f"write{k}")
            connect_streams(core, port.run, writer.run)
            connect_streams(core, port.items, writer.items)
            writers.append(writer)
        return readers, writers

    def _connect_control(self, m, csr, supervisor, sequencer, vector, reader, writer):
        connect(m, flipped(self.axil), csr.axil)
        status = "idle busy done error nonfinite resetting".split()
        m.d.comb += [
            supervisor.start.eq(csr.control_start),
            supervisor.soft_reset.eq(csr.control_soft_reset),
            supervisor.irq_enable.eq(csr.control_irq_enable),
            supervisor.irq_done_clear.eq(csr.irq_status_done_clear),
            supervisor.irq_error_clear.eq(csr.irq_status_error_clear),
            supervisor.watchdog.eq(csr.watchdog),
            supervisor.program_done.eq(sequencer.done),
            supervisor.program_error.eq(sequencer.error | vector.bad_program),
            supervisor.program_error_code.eq(
                Mux(vector.bad_program, BAD_VECTOR_PROGRAM, sequencer.error_code)
            ),
            supervisor.tag.eq(sequencer.descriptor_tag),
            supervisor.index.eq(sequencer.descriptor_index),
            sequencer.start.eq(supervisor.program_start),
            sequencer.program_address.eq(csr.program_address),
            *(
                getattr(csr, f"status_{name}").eq(
                    getattr(supervisor, "nonfinite_seen" if name == "nonfinite" else name)
                )
                for name in status
            ),
            csr.irq_status_done.eq(supervisor.irq_done),
            csr.irq_status_error.eq(supervisor.irq_error),
            csr.error_code.eq(supervisor.error_code),
            csr.error_tag.eq(supervisor.error_tag),
            csr.error_index.eq(supervisor.error_index),
            csr.error_address.eq(supervisor.error_address),
            csr.counting.eq(supervisor.counting),
            csr.counters_clear.eq(supervisor.counters_clear),
            self.irq.eq(supervisor.irq),
        ]
        for name, side in (("read", reader), ("write", writer)):
            m.d.comb += [
                getattr(supervisor, f"{name}_error").eq(side.error),
                getattr(supervisor, f"{name}_error_code").eq(side.error_code),
                getattr(supervisor, f"{name}_error_address").eq(side.error_address),
                getattr(supervisor, f"{name}_drained").eq(side.drained),
                side.abort.eq(supervisor.abort),
                side.window_base.eq(csr.window_base),
                side.window_limit.eq(csr.window_limit),
            ]


def _any(signals):
    total = 0
    for signal in signals:
        total = total | signal
    return total
