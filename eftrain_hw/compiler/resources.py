"""LUTs, flip-flops, DSP slices and block RAMs of a configuration on a 7-series FPGA.

An UltraScale+ device has the same LUTs and block RAMs: its figures are taken to be the same.
"""

from dataclasses import dataclass
from math import ceil

from .devices import DEVICES

__all__ = ["Resources", "block_rams", "resources"]

_QUEUE_WORDS = 512  # of a memory port, see `MemoryReader.queue_words`
_DEEP_QUEUE = 128  # bus words from which a run reader's queue is a block RAM
_RUN_WRITERS = 6
_CHAIN = 4  # lanes of a chain of slices, see `DotPairBfp8`
_PART = 8  # bytes that a block RAM gives one of, see `NarrowBank`
_DEPTHS = ((512, 72), (1024, 36), (2048, 18), (4096, 9), (8192, 4), (16384, 2), (32768, 1))


@dataclass(frozen=True)
class Resources:
    """Amounts of a part, or of several.

    Members
    -------
    lut, ff, dsp : int
    bram : float
        Blocks of 36 Kbit; half ones count 0.5.
    parts : dict
        `Resources` by name, where it is a sum.
    """

    lut: int = 0
    ff: int = 0
    dsp: int = 0
    bram: float = 0
    parts: dict = None

    def to_dict(self):
        values = {name: getattr(self, name) for name in ("lut", "ff", "dsp", "bram")}
        if self.parts:
            values["parts"] = {name: part.to_dict() for name, part in self.parts.items()}
        return values

    def missing(self, device="xc7z020"):
        """One sentence for each resource of which the device has too little."""
        return [
            f"{name}: {getattr(self, name):,g} are needed, {device} has {amount:,}"
            for name, amount in DEVICES[device].items()
            if getattr(self, name) > amount
        ]

    def table(self, device="xc7z020"):
        """Lines for a terminal."""
        amounts = DEVICES[device]
        shares = ", ".join(
            f"{getattr(self, name):,g} {label} ({getattr(self, name) / amounts[name]:.0%})"
            for name, label in (("lut", "LUT"), ("ff", "FF"), ("dsp", "DSP"), ("bram", "BRAM36"))
        )
        return [f"{device}: {shares}", *(f"DOES NOT FIT. {each}" for each in self.missing(device))]


def block_rams(width, depth):
    """Blocks of 36 Kbit for a memory with one read and one write port; half blocks count 0.5."""
    for most, bits in _DEPTHS:
        if depth <= most:
            whole, rest = divmod(width, bits)
            return whole + (0 if rest == 0 else 0.5 if 2 * rest <= bits else 1)
    most, _ = _DEPTHS[-1]
    return ceil(depth / most) * block_rams(width, most)


def resources(config):
    """`Resources` of the accelerator.

    DSP slices and block RAMs are counted. LUTs and flip-flops are sums of what the parts need, in
    the sizes that they grow with; the factors are fitted to `scripts/report.py` (yosys) and hold to
    10 % for the whole.
    """
    parts = {
        "control": Resources(2315, 6035, 0, _descriptor_rams(config)),
        "step log": Resources(290, 300, 0, block_rams(36, 1024)),
        "memory side": _memory_side(config),
        "loader": _loader(config),
        "moving buffer": _buffer(config, config.moving_words, config.moving_elements),
        "stationary buffer": _buffer(config, config.stationary_words, config.stationary_elements),
        "biases": Resources(30, 40, 0, _bias_rams(config)),
        "compute engine": _compute(config),
        "drain": _drain(config),
        "vector unit": _vector(config),
        "run readers and writers": _runs(config),
        "options": _options(config),
    }
    total = {
        name: sum(getattr(part, name) for part in parts.values())
        for name in ("lut", "ff", "dsp", "bram")
    }
    return Resources(**total, parts=parts)


def _options(config):
    """bfp16 (aligners, encoders), the vector processor and the unpacker of programs, as their units
    take alone."""
    lut = ff = ram = 0
    if config.bfp16:
        lut, ff = 92 * config.lanes + 52 * config.drain_lanes + 200, 80 * config.lanes
    if config.vector_programs:
        lut, ff, ram = lut + 3151, ff + 5628, 2
    if config.packed_programs:
        lut, ff = lut + 490 + 44 * config.ports, ff + 190 + 128 * config.ports
    return Resources(lut, ff, 0, ram)


def _bits(config):
    return 8 * config.bus_bytes


def _descriptor_rams(config):
    return block_rams(_bits(config), 4 * config.descriptor_words // config.bus_bytes)


def _bias_rams(config):
    return block_rams(_bits(config), max(1, 2 * 4 * config.bias_depth // config.bus_bytes))


def _memory_side(config):
    words = max(_QUEUE_WORDS, 4 * config.max_burst_beats // config.ports)
    read = block_rams(_bits(config) + 2, words)
    write = block_rams(_bits(config) + config.bus_bytes, words)
    ports = config.ports
    return Resources(900 + 570 * ports, 900 + 565 * ports, 0, ports * (read + write))


def _loader(config):
    exponents = config.has_exponents
    return Resources(
        1200 + 600 * exponents + 4 * _bits(config), 970 + 330 * exponents + 7 * _bits(config)
    )


def _buffer(config, words, elements):
    lanes, shared = config.lanes, config.elements_per_beat
    digits = 2 if config.bfp16 else 1
    narrow = config.has_exponents and shared // digits % _PART == 0  # as in `LaneBuffer`
    choices = shared // _PART if narrow else shared
    read = lanes * 8 * config.element_bytes * digits * _multiplexer(choices)
    ram = lanes * block_rams(_bits(config), words)
    lut, ff = read + lanes * shared, 150 + 8 * lanes * digits
    if config.has_exponents:
        ram += block_rams(8 * lanes, max(1, 2 * elements // lanes))
        lut += 8 * _multiplexer(lanes) + 8 * lanes + 20  # one of them, or each its own
    return Resources(lut, ff, 0, ram)


def _multiplexer(choices):
    """LUTs of a bit of it."""
    return ceil((choices - 1) / 3)


def _compute(config):
    rows, lanes = config.rows, config.lanes
    sums = 2 * rows * block_rams(32, config.accumulator_depth)
    pairs = rows // 2
    if config.has_exponents:
        # a pair of rows: adders for the sums of its chains, twice scaling, adder and accumulators;
        # the walkers, aligners and the choice of sums for the drain once
        groups = rows // config.drain_lanes
        drain = config.drain_lanes * 32 * (2 * _multiplexer(groups) + 1)
        lut = pairs * (36 * (lanes // _CHAIN - 1) + 900) + 100 * lanes + 762 + drain
        ff = pairs * (1193 + 15 * lanes) + 140 * lanes + 2581 + 95 * config.drain_lanes
        # Booth's digits: each bit of each of a chain's sums is a LUT
        lut, ff = lut + 377 * config.lut_chains, ff + 690 * config.lut_chains
        return Resources(lut, ff, rows * lanes // 2 - 4 * config.lut_chains, sums)
    lut = rows * (lanes * 365 + 440) + 1800
    ff = rows * (lanes * 553 + 500) + 1800
    return Resources(lut, ff, 2 * rows * lanes, sums)


def _drain(config):
    lanes = config.drain_lanes
    if config.has_exponents:
        return Resources(581 + 149 * lanes, 604 + 203 * lanes)
    return Resources(424 + 60 * lanes, 617 + 60 * lanes)


def _pool_beat(config):
    """Bytes and elements of what pooling handles in a cycle."""
    size = min(config.vector_bytes, config.bus_bytes)
    return size, size // config.element_bytes


def _vector(config):
    size, elements = _pool_beat(config)
    words = block_rams(8 * size + 8 * config.has_exponents, config.pool_words)
    places = block_rams(8 * elements, config.pool_words // 2)
    scan = 0
    if config.has_exponents:
        scan = block_rams(8, config.pool_words // config.beats_per_vector)
    scratch = 4 * block_rams(32, config.loss_words)
    ram = words + places + scan + scratch
    return Resources(5060 + 65 * elements, 6400 + 91 * elements, 4, ram)


def _runs(config):
    bits = _bits(config)
    size, elements = _pool_beat(config)
    # a reader whose items are as long as a beat has a deep queue, in block RAM
    deep = sum(max(4, item) == config.bus_bytes for item in (size, elements))
    ram = deep * block_rams(bits, _DEEP_QUEUE)
    ram += _RUN_WRITERS * block_rams(bits + config.bus_bytes, 64)
    return Resources(1500 + 14 * bits, 1700 + 16 * bits, 0, ram)
