"""The one description of an accelerator: every generator, model and driver derives from it."""

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass

__all__ = ["AcceleratorConfig", "PRESETS"]

_LANES = (4, 8, 16, 32)
_FORMATS = {"bfp8": 1, "fp32": 4}  # element bytes
_PROTOCOLS = {"axi4": 256, "axi3": 16}  # longest burst, in beats

# memory on the chip: one port, short queues; the clock is what an ECP5 of the slowest grade reaches
_ON_CHIP = {
    "ports": 1,
    "max_burst_beats": 16,
    "drain_lanes": 4,
    "bias_depth": 32,
    "descriptor_words": 512,
    "loss_words": 64,
    "clock_hz": 40_000_000,
}
_ULX3S = {
    "ulx3s-85f": _ON_CHIP
    | {"rows": 8, "lanes": 8, "moving_words": 128, "stationary_words": 128}
    | {"accumulator_depth": 128, "pool_words": 128},
    "ulx3s-85f-small": _ON_CHIP
    | {"rows": 4, "lanes": 4, "moving_words": 64, "stationary_words": 64}
    | {"accumulator_depth": 64, "pool_words": 64},
}

PRESETS = {
    # the memory ports of a Zynq-7000 are AXI3
    "pynq-z2": {"axi": "axi3", "bfp16": True, "vector_programs": True},
    # what bfp8 networks of convolutions, ReLU and max pooling need, a sixth smaller
    "pynq-z2-bfp8": {"axi": "axi3"},
    # 216 DSP slices for the array, 4 for the vector unit: all 220
    "pynq-z2-32x16": {"rows": 32, "axi": "axi3", "lut_chains": 10},
    "pynq-z2-fp32": {"rows": 8, "lanes": 8, "format": "fp32", "axi": "axi3"},
    **_ULX3S,
    "zcu102": {
        "rows": 32, "lanes": 32, "ports": 4, "address_bits": 36,
        "clock_hz": 150_000_000,
    },
    "sim-small": {"rows": 8, "lanes": 8, "moving_words": 256, "stationary_words": 256},
}  # fmt: skip


def _power_of_two(value):
    return value > 0 and value & (value - 1) == 0


@dataclass(frozen=True, kw_only=True)
class AcceleratorConfig:
    """Shape, number format, memories and ports of one accelerator.

    Parameters
    ----------
    rows : int
        Dot-product units of the PE array (Tm); even, 2 to 64.
    lanes : int
        Products that a row sums each cycle (Tn), and the channel block of every tensor in DRAM:
        4, 8, 16 or 32.
    format : str
        Number format of activations, gradients and the compute copy of the weights: "bfp8" or
        "fp32".
    ports : int
        AXI masters towards DRAM, each 64 bits wide: 1, 2 or 4.
    axi : str
        Bus protocol of the memory ports: "axi4" (bursts to 256 beats) or "axi3" (16 beats, WID).
    max_burst_beats : int
        Longest burst in 64-bit beats; a power of two, at least 2.
    moving_words, stationary_words : int
        Depth of one lane's bank in bus words; a power of two, at least 64. Half a bank is one
        ping-pong slot.
    accumulator_depth : int
        Positions of one accumulator bank (there are two); a power of two, at least 32.
    drain_lanes : int
        Accumulator values read each cycle when a tile is drained; divides rows and lanes. 0 is the
        most of 8 (fp32: 4, which fill the bus), 4, 2 and 1 that does.
    bias_depth : int
        Output channels whose biases one ping-pong slot holds.
    descriptor_words : int
        On-chip descriptor memory, in 32-bit words; two descriptors of half that size overlap.
    pool_words : int
        Vector unit's line buffer, in bus words.
    loss_words : int
        Scratch of the loss unit: logits of the images that are handled together.
    address_bits : int
        Width of DRAM byte addresses: 32 to 40.
    lut_chains : int
        Chains of 4 lanes of a pair of rows, of the array's rows * lanes / 8, that multiply in LUTs
        instead of 4 DSP slices each: for an array that needs more slices than the device has. With
        format "bfp8".
    bfp16 : bool
        Whether passes may be in bfp16 too, three times as long; with format "bfp8".
    vector_programs : bool
        Whether the vector unit runs vector programs (PROCESS commands).
    packed_programs : bool
        Whether layer programs are packed in memory: a third of the bytes, for memory on the chip.
    clock_hz : int
        Clock that the design aims at.
    """

    rows: int = 16
    lanes: int = 16
    format: str = "bfp8"
    ports: int = 2
    axi: str = "axi4"
    max_burst_beats: int = 64
    moving_words: int = 512
    stationary_words: int = 512
    accumulator_depth: int = 512
    drain_lanes: int = 0
    bias_depth: int = 256
    descriptor_words: int = 2048
    pool_words: int = 1024
    loss_words: int = 1024
    address_bits: int = 32
    lut_chains: int = 0
    bfp16: bool = False
    vector_programs: bool = False
    packed_programs: bool = False
    clock_hz: int = 125_000_000

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, field.type) or isinstance(value, bool) != (field.type is bool):
                raise TypeError(
                    f"AcceleratorConfig.{field.name} must be {field.type.__name__}, not {value!r}"
                )

        def require(name, rule, holds):
            if not holds:
                raise ValueError(
                    f"AcceleratorConfig.{name} must be {rule}, not {getattr(self, name)!r}"
                )

        require("rows", "even, 2 to 64", self.rows % 2 == 0 and 2 <= self.rows <= 64)
        require("lanes", f"one of {_LANES}", self.lanes in _LANES)
        require("format", f"one of {tuple(_FORMATS)}", self.format in _FORMATS)
        require("ports", "1, 2 or 4", self.ports in (1, 2, 4))
        require("axi", f"one of {tuple(_PROTOCOLS)}", self.axi in _PROTOCOLS)
        longest = _PROTOCOLS.get(self.axi, 0)
        require(
            "max_burst_beats",
            f"a power of two, 2 to 256 ({self.axi}: 16 beats are used where fewer are allowed)",
            _power_of_two(self.max_burst_beats) and 2 <= self.max_burst_beats <= 256,
        )
        if self.max_burst_beats > longest:
            object.__setattr__(self, "max_burst_beats", longest)
        for name, least in (
            ("moving_words", 64),
            ("stationary_words", 64),
            ("accumulator_depth", 32),
            ("bias_depth", 32),
            ("descriptor_words", 256),
            ("pool_words", 64),
            ("loss_words", 64),
        ):
            value = getattr(self, name)
            require(
                name,
                f"a power of two, {least} to 65536",
                _power_of_two(value) and least <= value <= 65536,
            )
        if self.drain_lanes == 0:
            most = 8 if self.has_exponents else 4
            object.__setattr__(self, "drain_lanes", math.gcd(most, self.rows, self.lanes))
        require(
            "drain_lanes",
            f"a power of two that divides rows ({self.rows}) and lanes ({self.lanes})",
            _power_of_two(self.drain_lanes)
            and self.rows % self.drain_lanes == 0
            and self.lanes % self.drain_lanes == 0,
        )
        require("address_bits", "32 to 40", 32 <= self.address_bits <= 40)
        chains = self.rows * self.lanes // 8 if self.has_exponents else 0
        require(
            "lut_chains", f"0 to {chains}, the chains of the array, 0 with format fp32",
            0 <= self.lut_chains <= chains,
        )
        require(
            "bfp16", "False with format fp32 or one lane a bank word",
            not self.bfp16 or (self.has_exponents and self.elements_per_beat >= 4),
        )
        require("clock_hz", "1 MHz to 1 GHz", 10**6 <= self.clock_hz <= 10**9)

    @classmethod
    def preset(cls, name):
        """Configuration of a board or of a test bench by name; ValueError lists the names."""
        if name not in PRESETS:
            raise ValueError(f"configuration preset must be one of {sorted(PRESETS)}, not {name!r}")
        return cls(**PRESETS[name])

    def replace(self, **changes):
        """The same configuration with some fields changed, validated again.

        `drain_lanes` shrinks to what divides the new rows and lanes unless it is given, and
        `lut_chains` to what the new array has.
        """
        unknown = set(changes) - {field.name for field in dataclasses.fields(self)}
        if unknown:
            allowed = ", ".join(field.name for field in dataclasses.fields(self))
            raise ValueError(
                f"AcceleratorConfig has no field {sorted(unknown)[0]!r}; the fields are {allowed}"
            )
        rows, lanes = changes.get("rows", self.rows), changes.get("lanes", self.lanes)
        if isinstance(rows, int) and isinstance(lanes, int):
            drain = self.drain_lanes
            while drain > 1 and (rows % drain or lanes % drain):
                drain //= 2
            chains = 0 if changes.get("format", self.format) == "fp32" else rows * lanes // 8
            shrunk = {"drain_lanes": drain, "lut_chains": max(0, min(self.lut_chains, chains))}
            changes = shrunk | changes
        return dataclasses.replace(self, **changes)

    # -- JSON and identity

    def to_dict(self):
        """The fields as plain Python values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values):
        """The inverse of `to_dict`; fields that are left out keep their defaults."""
        if not isinstance(values, dict):
            raise TypeError(f"configuration must be a JSON object, not {values!r}")
        return cls().replace(**values)

    @classmethod
    def load(cls, name_or_path):
        """A preset's name, or the path of a JSON file with fields."""
        if str(name_or_path) in PRESETS:
            return cls.preset(str(name_or_path))
        try:
            with open(name_or_path, encoding="utf-8") as file:
                return cls.from_dict(json.load(file))
        except FileNotFoundError:
            raise ValueError(
                f"configuration must be a JSON file or one of {sorted(PRESETS)},"
                f" not {str(name_or_path)!r}"
            ) from None
        except json.JSONDecodeError as error:
            raise ValueError(f"configuration {name_or_path}: not JSON: {error}") from None

    @property
    def build_id(self):
        """64-bit content hash of the configuration: equal ids mean equal hardware parameters."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")

    # -- derived sizes

    @property
    def element_bytes(self):
        """Bytes of one element in DRAM and in a lane bank."""
        return _FORMATS[self.format]

    @property
    def has_exponents(self):
        """Whether each vector carries a shared exponent byte in a plane of its own."""
        return self.format != "fp32"

    @property
    def port_bytes(self):
        """Bytes of one beat of one AXI port."""
        return 8

    @property
    def bus_bytes(self):
        """Bytes of one internal beat: all ports together."""
        return self.port_bytes * self.ports

    @property
    def vector_bytes(self):
        """Bytes of one vector of `lanes` elements."""
        return self.lanes * self.element_bytes

    @property
    def elements_per_beat(self):
        return self.bus_bytes // self.element_bytes

    @property
    def beats_per_vector(self):
        """Internal beats of a vector; 1 where several vectors share a beat."""
        return max(1, self.vector_bytes // self.bus_bytes)

    @property
    def vectors_per_beat(self):
        return max(1, self.bus_bytes // self.vector_bytes)

    @property
    def moving_elements(self):
        """Elements of one lane in one slot of the moving buffer."""
        return self.moving_words * self.elements_per_beat // 2

    @property
    def stationary_elements(self):
        """Elements of one lane in one slot of the stationary buffer."""
        return self.stationary_words * self.elements_per_beat // 2
