"""The commands of a layer program carried out in NumPy on a DRAM image: a machine without time.

It tells a wrong program from wrong gateware: the compiler's programs run here and must leave what
the golden model says, long before any RTL does. Engines run one after the other, in program order;
a slot that is read before it is published, overwritten before it is released, or an address outside
the map raises AssertionError.
"""

import numpy as np

from eftrain_hw.array.commands import COMPUTE
from eftrain_hw.dma.commands import LOAD
from eftrain_hw.formats import Blocked, format_named
from eftrain_hw.golden import cross_entropy, maxpool_backward, maxpool_forward, sgd
from eftrain_hw.golden.arithmetic import fadd
from eftrain_hw.sequencer.interpreter import issued_commands
from eftrain_hw.streams.command import NOP
from eftrain_hw.vector.commands import (
    DRAIN,
    LINE_BYTES,
    LOSS,
    POOL_BACKWARD,
    POOL_FORWARD,
    PROCESS,
    UPDATE,
)

from .vector_machine import VectorMachine

__all__ = ["Machine"]


class _Slots:
    """Two slots used in turn, filled by one side and freed by the other."""

    def __init__(self):
        self.full = [False, False]
        self.acquired = False
        self.write, self.read = 0, 0

    def acquire(self, what):
        assert not self.full[self.write], f"no free {what}"
        assert not self.acquired, f"{what} acquired twice"
        self.acquired = True

    def publish(self):
        assert self.acquired, "published a slot that was not acquired"
        self.acquired = False
        self.full[self.write] = True
        self.write ^= 1

    def release(self):
        assert self.full[self.read], "released an empty slot"
        self.full[self.read] = False
        self.read ^= 1


class Machine:
    """A DRAM image and the on-chip memories of one configuration.

    Parameters
    ----------
    config : AcceleratorConfig
    memory : numpy.ndarray
        uint8, the DRAM image, changed in place.
    """

    def __init__(self, config, memory):
        self.config, self.memory = config, memory
        self.format = format_named(config.format)
        lanes = config.lanes
        dtype = self.format.element_dtype
        sizes = {"moving": config.moving_elements, "stationary": config.stationary_elements}
        self.elements = {k: np.zeros((2, lanes, n), dtype) for k, n in sizes.items()}
        self.exponents = {k: np.zeros((2, n, lanes), np.uint8) for k, n in sizes.items()}
        self.serial_exponents = {k: np.zeros((2, n, lanes), np.uint8) for k, n in sizes.items()}
        self.bias = np.zeros((2, config.bias_depth), np.float32)
        self.sums = np.zeros((2, config.rows, config.accumulator_depth), np.float32)
        self.processor = VectorMachine(config, memory)
        self.slots = {name: _Slots() for name in ("moving", "stationary", "accumulator")}

    def run(self, words, **parameters):
        """Run a program; `parameters` are learning_rate, momentum, valid_images, and loss_images
        where that is another number."""
        images = np.float32(parameters.pop("loss_images", parameters["valid_images"]))
        self.parameters = parameters | {"inverse_images": np.float32(1) / images}
        actions = {
            LOAD.opcode: self.load,
            COMPUTE.opcode: self.compute,
            DRAIN.opcode: self.drain,
            POOL_FORWARD.opcode: self.pool_forward,
            POOL_BACKWARD.opcode: self.pool_backward,
            LOSS.opcode: self.loss,
            UPDATE.opcode: self.update,
            PROCESS.opcode: self.process,
        }
        for issued in issued_commands(words):
            self.starts(issued)
            if issued.opcode != NOP.opcode:
                actions[issued.opcode](issued.fields)
        assert not any(any(slots.full) for slots in self.slots.values()), "a slot was left full"

    # -- what a subclass may look at

    def starts(self, issued):
        """A command comes next."""

    def reads(self, where):
        """The present command reads bytes: a slice or an array of indices of the memory."""

    def writes(self, where):
        """The present command writes bytes."""

    # -- memory

    def fetch(self, line, first, count, dtype, width):
        """`count` vectors of `width` items from vector index `first`."""
        size = np.dtype(dtype).itemsize * width
        start = line * LINE_BYTES + first * size
        assert 0 <= start and start + count * size <= self.memory.size, "read outside the memory"
        self.reads(slice(start, start + count * size))
        return self.memory[start : start + count * size].view(dtype).reshape(count, width)

    def store(self, line, first, values):
        size = values.dtype.itemsize * (values.shape[-1] if values.ndim > 1 else 1)
        start = line * LINE_BYTES + first * size
        flat = np.ascontiguousarray(values).view(np.uint8).reshape(-1)
        assert 0 <= start and start + flat.size <= self.memory.size, "write outside the memory"
        self.writes(slice(start, start + flat.size))
        self.memory[start : start + flat.size] = flat

    # -- engines

    def load(self, c):
        lanes = self.config.lanes
        name = ("moving", "stationary", "stationary")[c["destination"]]
        slots = self.slots[name]
        if c["acquire"]:
            slots.acquire(f"{name} slot")
        assert slots.acquired, f"{name} slot written before it was acquired"
        slot = slots.write
        if c["destination"] == 2:
            words = self.fetch(c["base"], c["vector"], c["columns"], np.float32, lanes).reshape(-1)
            self.bias[slot, : words.size] = words
        else:
            self._fill(c, name, slot, lanes)
        if c["publish"]:
            slots.publish()

    def _fill(self, c, name, slot, lanes):
        strip = c["mode"] == 1
        a, b, cc = (c["lane_images"], c["lane_rows"], c["lane_columns"]) if strip else (1, 1, 1)
        ranges = [
            np.arange(n) for n in (a, b, cc, c["images"], c["blocks"], c["rows"], c["columns"])
        ]
        la, lb, lc, n, block, row, column = np.meshgrid(*ranges, indexing="ij")
        image = c["image"] + n * a + la
        r = c["row"] + lb * c["lane_row_step"] + row
        q = c["column"] + lc * c["lane_column_step"] + column
        inside = (
            (image < c["image_limit"]) & (r >= 0) & (r < c["height"]) & (q >= 0) & (q < c["width"])
        )
        index = c["vector"] + (image - c["image"]) * c["image_stride"] + block * c["block_stride"]
        index = np.where(inside, index + r * c["width"] + q, 0)
        lane_count = a * b * cc
        index, inside = index.reshape(lane_count, -1), inside.reshape(lane_count, -1)
        dtype = self.format.element_dtype
        size = dtype.itemsize * lanes
        start = c["base"] * LINE_BYTES
        offsets = start + index[..., None] * size + np.arange(size)
        assert offsets[inside].size == 0 or offsets[inside].max() < self.memory.size
        self.reads(offsets[inside])
        vectors = self.memory[np.where(inside[..., None], offsets, 0)]
        vectors[~inside] = 0
        vectors = vectors.view(dtype)  # (lanes of the strip, count, lanes)
        exponents = np.zeros(index.shape, np.uint8)
        if self.format.exponent_bits:
            self.reads(c["exponent_base"] * LINE_BYTES + index[inside])
            exponents = np.where(inside, self.memory[c["exponent_base"] * LINE_BYTES + index], 0)
        count = index.shape[1]
        bank, serial = self.elements[name][slot], self.serial_exponents[name][slot]
        if strip:
            assert count * lanes <= bank.shape[1], "the tile doesn't fit its slot"
            for lane in range(lane_count):
                bank[lane, : count * lanes] = vectors[lane].reshape(-1)
                serial[:count, lane] = exponents[lane]
            return
        vectors, exponents = vectors[0], exponents[0]
        padded = -(-count // lanes) * lanes
        words = np.zeros(padded, np.uint8)
        words[:count] = exponents
        serial[: padded // lanes] = words.reshape(-1, lanes)
        if c["mode"] == 0:
            assert count <= bank.shape[1], "the tile doesn't fit its slot"
            bank[:, :count] = vectors.T
        else:
            assert padded <= bank.shape[1], "the tile doesn't fit its slot"
            for lane in range(lanes):
                mine = vectors[lane::lanes].reshape(-1)
                bank[lane, : mine.size] = mine

    def _read(self, name, slot, addresses, serial):
        """(positions, lanes) elements and exponents at element addresses."""
        lanes = self.config.lanes
        addresses = addresses % self.elements[name].shape[-1]
        elements = self.elements[name][slot][:, addresses].T
        words = self.serial_exponents[name][slot][addresses // lanes]
        if serial:
            return elements, words
        picked = np.take_along_axis(words, (addresses % lanes)[:, None], 1)
        return elements, np.broadcast_to(picked, elements.shape)

    def _align(self, elements, exponents):
        largest = exponents.max(-1).astype(np.int64)
        distance = np.minimum(largest[..., None] - exponents, 20)
        value = np.rint(elements / np.exp2(distance))  # RNE of an exact quotient
        return value, largest

    def _terms(self, stationary, moving):
        """(rows, positions) terms of aligned operands."""
        if not self.format.exponent_bits:
            product = np.float64(stationary[0][:, None]) * np.float64(moving[0][None])
            tree = product.astype(np.float32)
            tree[np.abs(product) < 2.0**-126] = 0
            while tree.shape[-1] > 1:
                tree = fadd(tree[..., 0::2], tree[..., 1::2])
            return tree[..., 0]
        s, es = self._align(*stationary)
        x, ex = self._align(*moving)
        dot = s @ x.T
        exact = dot * np.exp2(es[:, None] + ex[None] - 266.0)
        exact[np.abs(exact) < 2.0**-126] = 0
        return exact.astype(np.float32)

    def compute(self, c):
        lanes, rows = self.config.lanes, self.config.rows
        slots = self.slots
        for name in ("moving", "stationary"):
            if c[f"acquire_{name}"]:
                assert slots[name].full[slots[name].read], f"no full {name} slot"
        bank_slots = slots["accumulator"]
        if c["acquire_accumulator"]:
            bank_slots.acquire("accumulator bank")
        assert bank_slots.acquired, "summed into a bank that was not acquired"
        sums = self.sums[bank_slots.write]
        inner = [np.arange(c[f"inner{d}"]) for d in range(4)]
        grid = np.meshgrid(*inner, indexing="ij")
        moving = sum(g * c[f"moving_inner{d}"] for d, g in enumerate(grid)).reshape(-1)
        place = sum(g * c[f"accumulator_inner{d}"] for d, g in enumerate(grid)).reshape(-1)
        assert len(set(place.tolist())) == place.size, "a position occurs twice in a sweep"
        for tile in range(c["m_tiles"]):
            channels = tile * rows + np.arange(rows)
            base = channels // lanes * c["stationary_block_step"] + channels % lanes
            positions = c["accumulator_base"] + tile * c["accumulator_m_step"] + place
            if c["ones"]:
                extra = c["accumulator_base"] + tile * c["accumulator_m_step"] + c["ones_position"]
                positions = np.append(positions, extra)
            for step, (o0, o1, o2) in enumerate(np.ndindex(c["outer0"], c["outer1"], c["outer2"])):
                outer = (o0, o1, o2)
                s_at = c["stationary_base"] + sum(
                    o * c[f"stationary_outer{d}"] for d, o in enumerate(outer)
                )
                x_at = c["moving_base"] + sum(
                    o * c[f"moving_outer{d}"] for d, o in enumerate(outer)
                )
                s = self._read(
                    "stationary", slots["stationary"].read, base + s_at, c["stationary_serial"]
                )
                x = self._read("moving", slots["moving"].read, moving + x_at, c["moving_serial"])
                if c["zero"]:
                    x = (np.zeros_like(x[0]), np.zeros_like(x[1]))
                if c["ones"]:
                    one = 64 if self.format.exponent_bits else 1.0
                    ones = np.full((1, lanes), one, x[0].dtype)
                    x = (
                        np.concatenate([x[0], ones]),
                        np.concatenate([x[1], np.full((1, lanes), 127, np.uint8)]),
                    )
                with np.errstate(all="ignore"):
                    terms = self._terms(s, x)
                    if c["init"] and step == 0:
                        start = np.zeros(rows, np.float32)
                        if c["bias"]:
                            start = self.bias[slots["stationary"].read][
                                channels % self.config.bias_depth
                            ]
                        sums[:, positions] = fadd(
                            np.broadcast_to(start[:, None], terms.shape), terms
                        )
                    else:
                        sums[:, positions] = fadd(sums[:, positions], terms)
        for name in ("moving", "stationary"):
            if c[f"release_{name}"]:
                slots[name].release()
        if c["release_accumulator"]:
            bank_slots.publish()

    def drain(self, c):
        lanes, rows = self.config.lanes, self.config.rows
        slots = self.slots["accumulator"]
        if c["acquire"]:
            assert slots.full[slots.read], "no full accumulator bank"
        sums = self.sums[slots.read]
        for block in range(c["blocks"]):
            channels = block * lanes + np.arange(lanes)
            for image in range(c["images"]):
                first = c["vector"] + image * c["image_stride"] + block * c["block_stride"]
                at = (
                    c["accumulator_base"]
                    + image * c["accumulator_image_step"]
                    + np.arange(c["run"])
                )
                at = at[:, None] + (channels // rows * c["accumulator_m_step"])[None]
                values = sums[channels % rows, at]
                if c["relu"]:
                    values = np.where(values > 0, values, np.float32(0))
                if c["mask"]:
                    stored = self.fetch(
                        c["mask_base"], first, c["run"], self.format.element_dtype, lanes
                    )
                    values = np.where(stored > 0, values, np.float32(0))
                if c["raw"]:
                    self.store(c["base"], first, values.astype(np.float32))
                    continue
                elements, exponents = self.format.encode(values)
                self.store(c["base"], first, elements)
                if exponents is not None:
                    self.store(c["exponent_base"], first, exponents)
        if c["release"]:
            slots.release()

    # -- vector unit

    def _blocked(self, line, exponent_line, shape):
        lanes = self.config.lanes
        count = int(np.prod(shape))
        elements = self.fetch(line, 0, count, self.format.element_dtype, lanes).reshape(
            *shape, lanes
        )
        exponents = None
        if self.format.exponent_bits:
            exponents = self.fetch(exponent_line, 0, count, np.uint8, 1).reshape(shape)
        return Blocked(self.format, elements, exponents)

    def _store_blocked(self, line, exponent_line, value):
        self.store(line, 0, value.elements)
        if value.exponents is not None:
            self.store(exponent_line, 0, value.exponents.reshape(-1))

    def pool_forward(self, c):
        x = self._blocked(
            c["source"], c["source_exponents"], (1, c["planes"], c["height"], c["width"])
        )
        kernel = (c["kernel_height"], c["kernel_width"])
        y, index = maxpool_forward(x, kernel=kernel, relu=bool(c["relu"]))
        self._store_blocked(c["result"], c["result_exponents"], y)
        self.store(c["index"], 0, index)

    def pool_backward(self, c):
        shape = (1, c["planes"], c["out_height"], c["out_width"])
        dy = self._blocked(c["source"], c["source_exponents"], shape)
        lanes = self.config.lanes
        index = self.fetch(c["index"], 0, int(np.prod(shape)), np.uint8, lanes).reshape(
            *shape, lanes
        )
        dx = maxpool_backward(
            dy,
            index,
            input_size=(c["height"], c["width"]),
            kernel=(c["kernel_height"], c["kernel_width"]),
        )
        self._store_blocked(c["result"], c["result_exponents"], dx)

    def loss(self, c):
        lanes, images = self.config.lanes, c["images"]
        logits = self.fetch(c["logits"], 0, images * c["blocks"], np.float32, lanes)
        labels = self.fetch(c["labels"], 0, 1, np.int32, images)[0]
        valid = self.parameters["valid_images"]
        losses, total, gradient = cross_entropy(
            logits.reshape(images, c["blocks"], 1, 1, lanes),
            labels,
            classes=c["classes"],
            valid=valid,
            inv_n=self.parameters["inverse_images"],
            format=self.format,
            label_smoothing=self.parameters.get("label_smoothing", 0.0),
        )
        self._store_blocked(c["gradient"], c["gradient_exponents"], gradient)
        self.store(c["losses"], 0, losses)
        self.store(c["losses"] + -(-images // 16), 0, np.array([total], np.float32))

    def update(self, c):
        lanes, count = self.config.lanes, c["vectors"]
        g, v, w = (
            self.fetch(c[k], 0, count, np.float32, lanes)
            for k in ("gradient", "momentum", "master")
        )
        w, v, copy = sgd(
            w,
            v,
            g,
            lr=np.float32(self.parameters["learning_rate"]),
            momentum=np.float32(self.parameters["momentum"]),
            format=self.format if c["copy"] else None,
        )
        self.store(c["momentum"], 0, v)
        self.store(c["master"], 0, w)
        if c["copy"]:
            self._store_blocked(c["result"], c["result_exponents"], copy)

    def process(self, c):
        self.processor.reads, self.processor.writes = self.reads, self.writes
        self.processor.run(**c, **self.parameters)
