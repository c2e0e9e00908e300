"""The vector unit: everything that is not a dot product."""

from amaranth.hdl import C, Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..arith.fp32_divide import Fp32Divide
from ..streams.register import Skid
from .commands import LOSS, POOL_BACKWARD, POOL_FORWARD, PROCESS, UPDATE
from .credit_queue import CreditQueue
from .encode_queue import EncodeQueue
from .loss import Loss
from .loss_program import ONE
from .multiply_add import MultiplyAdd
from .pool import Pool
from .ports import ReadPort, WritePort, read_item_bytes, write_item_bytes
from .processor.processor import Processor
from .update import Update

__all__ = ["VectorUnit", "vector_command"]

COMMANDS = (POOL_FORWARD, POOL_BACKWARD, LOSS, UPDATE, PROCESS)


def vector_command():
    """A command of the vector unit: an opcode, and the words of that command's layout."""
    bits = max(layout.struct.size for layout in COMMANDS)
    return data.StructLayout({"opcode": 8, "words": bits})


class VectorUnit(wiring.Component):
    """Pooling, loss, update, vector programs: one command at a time, in the order of arrival.

    The operations share three run readers and four run writers, two multiply-add pipelines, a
    divider, an encoder and the queues before writers 0 and 1; `read_item_bytes` and
    `write_item_bytes` say who uses which. The next command starts when the last item of the present
    one has been handed over. An unknown opcode is taken and ignored.

    Latency and cost: see the operations; together about 9300 LUT, 580 of them distributed RAM,
    4 DSP48E1 and 12.5 RAMB36 with the default configuration.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    command : In(stream of vector_command)
    learning_rate, momentum, inverse_images : In(32)
        Raw binary32; stable while busy.
    valid_images : In(16)
        Images of the batch that count in the loss.
    label_target, other_target : In(32)
        Targets of a cross-entropy, see `Loss`.
    read0 .. read2 : Out(ReadPort)
    write0 .. write3 : Out(WritePort)
    busy : Out(1)
        From the cycle in which a command is taken until a cycle after its last item has been handed
        over; and in the first cycle after a reset.
    bad_program : Out(1)
        Pulse: a PROCESS command's program is no vector program (busy until a reset), or there is no
        processor (`config.vector_programs`).
    nonfinite : Out(1)
        Pulses: an infinity or NaN has been handed over to be stored, by writer 0 or encoded.
    """

    def __init__(self, config):
        self._config = config
        reads, writes = read_item_bytes(config), write_item_bytes(config)
        super().__init__(
            {
                "command": In(stream.Signature(vector_command())),
                "learning_rate": In(32),
                "momentum": In(32),
                "inverse_images": In(32),
                "valid_images": In(16),
                "label_target": In(32, init=ONE),
                "other_target": In(32),
                **{f"read{k}": Out(ReadPort(config, reads[k])) for k in range(3)},
                **{f"write{k}": Out(WritePort(config, writes[k])) for k in range(4)},
                "busy": Out(1),
                "bad_program": Out(1),
                "nonfinite": Out(1),
            }
        )

    @property
    def config(self):
        return self._config

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.pool = pool = Pool(config)
        m.submodules.loss = loss = Loss(config)
        m.submodules.update = update = Update(config)
        m.submodules.mac0 = mac0 = MultiplyAdd()
        m.submodules.mac1 = mac1 = MultiplyAdd()
        operations = (Loss, Update, Processor) if config.vector_programs else (Loss, Update)
        encode_latency = max(unit.ENCODE_LATENCY for unit in operations)
        m.submodules.encode = encode = EncodeQueue(
            config, latency=encode_latency, late=2
        )
        m.submodules.divide = divide = Fp32Divide()
        queues = [CreditQueue(shape=32, depth=encode_latency + 5, late=2) for _ in range(2)]
        m.submodules.result0, m.submodules.result1 = queues
        units = {pool: (POOL_FORWARD, POOL_BACKWARD), loss: (LOSS,), update: (UPDATE,)}
        if config.vector_programs:
            m.submodules.processor = processor = Processor(config)
            units[processor] = (PROCESS,)

        # dispatch: while `free`, every unit is ready for a command
        opcode, words = self.command.payload.opcode, self.command.payload.words
        working = Cat(unit.busy for unit in units).any() | ~encode.idle
        working |= ~queues[0].idle | ~queues[1].idle
        free, take = Signal(), Signal()
        m.d.comb += [
            take.eq(self.command.valid & self.command.ready),
            self.command.ready.eq(free),
            self.busy.eq(take | ~free),
            pool.backward.eq(opcode == POOL_BACKWARD.opcode),
        ]
        m.d.sync += free.eq(~working & ~take)
        chosen, code = {}, Signal(range(len(units)))  # both say which unit works
        codes = {id(unit): number for number, unit in enumerate(units)}
        for unit, layouts in units.items():
            chosen[unit] = Signal(name=f"chosen_{layouts[-1].name}")
            match = Cat(opcode == layout.opcode for layout in layouts).any()
            m.d.comb += [
                unit.command.valid.eq(take & match),
                unit.command.payload.eq(words[: layouts[0].struct.size]),
            ]
            with m.If(take):
                m.d.sync += chosen[unit].eq(match)
                with m.If(match):
                    m.d.sync += code.eq(codes[id(unit)])

        # readers, writers
        def users(name):
            return [(chosen[u], getattr(u, name)) for u in units if hasattr(u, name)]

        def join_runs(names, port):
            runs = {
                unit: getattr(getattr(unit, name), "run", getattr(unit, name))
                for name in names for unit in units if hasattr(unit, name)
            }  # fmt: skip
            self._join(m, [(chosen[unit], run) for unit, run in runs.items()], port, payload=False)
            # by the code: four payloads and two bits are a LUT
            with m.Switch(code):
                for unit, run in runs.items():
                    payload = Cat(run.payload)
                    with m.Case(codes[id(unit)]):
                        m.d.comb += Cat(port.payload)[: len(payload)].eq(payload)

        for k in range(3):
            port = getattr(self, f"read{k}")
            join_runs([f"read{k}"], port.run)
            # an operation says late that it takes an item
            m.submodules[f"items{k}"] = skid = Skid(port.items.payload.shape())
            wiring.connect(m, wiring.flipped(port.items), skid.i)
            for choice, user in users(f"read{k}"):
                m.d.comb += [
                    user.items.payload.eq(skid.o.payload),
                    user.items.valid.eq(skid.o.valid & choice),
                ]
                with m.If(choice):
                    m.d.comb += skid.o.ready.eq(user.items.ready)
        items = [
            [(choice, user.items) for choice, user in users(f"write{k}") if hasattr(user, "items")]
            for k in range(4)
        ]
        for k, queue in enumerate(queues):
            items[k].append((~chosen[pool], queue.o))
        for k, name, encoded in (
            (2, "element_run", encode.elements),
            (3, "exponent_run", encode.exponents),
        ):
            items[k] += [(choice, encoded) for choice, _ in users(name)]
        for k in range(4):
            port = getattr(self, f"write{k}")
            encoded = {2: ["element_run"], 3: ["exponent_run"]}.get(k, [])
            join_runs([f"write{k}", *encoded], port.run)
            self._join(m, items[k], port.items)

        # arithmetic
        m.d.comb += [
            update.learning_rate.eq(self.learning_rate),
            update.momentum.eq(self.momentum),
            loss.inverse_images.eq(self.inverse_images),
            loss.valid_images.eq(self.valid_images),
            loss.label_target.eq(self.label_target),
            loss.other_target.eq(self.other_target),
        ]
        if config.vector_programs:
            m.d.comb += [
                processor.learning_rate.eq(self.learning_rate),
                processor.momentum.eq(self.momentum),
                processor.inverse_images.eq(self.inverse_images),
                processor.valid_images.eq(self.valid_images),
                self.bad_program.eq(processor.bad),
            ]
        else:
            m.d.sync += self.bad_program.eq(take & (opcode == PROCESS.opcode))
        for name, mac in (("mac0", mac0), ("mac1", mac1)):
            for index, (choice, user) in enumerate(users(name)):
                m.d.comb += user.o.eq(mac.o)
                with m.If(choice if index else C(1, 1)):
                    m.d.comb += [mac.a.eq(user.a), mac.b.eq(user.b), mac.c.eq(user.c)]
        for k, queue in enumerate(queues):
            for index, (choice, user) in enumerate(users(f"result{k}")):
                m.d.comb += [user.room.eq(queue.room), user.idle.eq(queue.idle)]
                with m.If(choice):
                    m.d.comb += [queue.reserve.eq(user.reserve), queue.i_valid.eq(user.i_valid)]
                with m.If(choice if index else C(1, 1)):
                    m.d.comb += queue.i.eq(user.i)
        for index, (choice, user) in enumerate(users("divide")):
            m.d.comb += [
                user.busy.eq(divide.busy), user.done.eq(divide.done), user.o.eq(divide.o)
            ]
            with m.If(choice):
                m.d.comb += divide.start.eq(user.start)
            with m.If(choice if index else C(1, 1)):
                m.d.comb += [divide.a.eq(user.a), divide.b.eq(user.b)]
        entrance = encode.entrance
        for index, (choice, user) in enumerate(users("encode")):
            m.d.comb += user.room.eq(entrance.room)
            with m.If(choice):
                m.d.comb += [entrance.reserve.eq(user.reserve), entrance.i_valid.eq(user.i_valid)]
            with m.If(choice if index else C(1, 1)):
                m.d.comb += [entrance.i.eq(user.i), entrance.low.eq(user.low)]
        infinite = Signal(2)  # result1 has bytes too
        m.d.sync += self.nonfinite.eq(infinite.any())
        for k, port in enumerate((entrance, queues[0])):
            m.d.sync += infinite[k].eq(port.i_valid & port.i[23:31].all())
        return m

    @staticmethod
    def _join(m, users, port, *, payload=True):
        """Connect the stream of whichever operation is chosen to the shared port.

        Bits that only the first of them drives need no choice: they count with `valid`.
        """
        for index, (choice, user) in enumerate(users):
            with m.If(choice):
                m.d.comb += [port.valid.eq(user.valid), user.ready.eq(port.ready)]
            if not payload:
                continue
            value = Cat(user.payload)
            if index == 0:
                m.d.comb += Cat(port.payload).eq(value)
            else:
                with m.If(choice):
                    m.d.comb += Cat(port.payload)[: len(value)].eq(value)
