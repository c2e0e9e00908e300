"""`eftrain plan`: the analytical model's account of a training step, as data and as a table."""

from dataclasses import dataclass
from math import prod

from . import optim
from .compile import compile_network
from .least_traffic import least_bytes
from .nn import CrossEntropyLoss
from .passes.choose import without_addresses
from .program import ConvOp
from .tiling import pairs_of, wide_of
from .timing import Memory, descriptor_time, macs_of, program_time

__all__ = ["PassPlan", "StepPlan", "plan_step"]

_BOUND = {
    "array": "the array",
    "memory": "memory bandwidth",
    "latency": "memory latency",
    "drain": "the drain",
    "issue": "the sequencer",
    "stretch": "short sweeps",
    "vector": "the vector unit",
}


@dataclass
class PassPlan:
    """One pass of one layer.

    Members
    -------
    layer, pass_name : str
        Such as "2.Conv2d" and "forward".
    macs : int
        Multiplications that the pass needs; 0 on the vector unit.
    ideal_cycles : float
        macs / (rows * lanes), in bfp16 times the pairs of digits.
    model_cycles : int
        The pass alone, from its first command to its last answered write.
    roofline_cycles : int
        The larger of the ideal cycles and the time of its DRAM traffic on the bus.
    dram_bytes, least_bytes : int
        Whole bus beats that are moved; the least that the buffers allow (`least_traffic`).
    on_chip_bytes : int
        Slots of its tiles, both of each, and the accumulators it uses.
    limit : str
        What keeps it from being faster: "array", "memory" (bandwidth), "latency", "drain", "issue",
        "stretch" (short sweeps) or "vector".
    """

    layer: str
    pass_name: str
    macs: int
    ideal_cycles: float
    model_cycles: int
    roofline_cycles: int
    dram_bytes: int
    least_bytes: int
    on_chip_bytes: int
    limit: str

    @property
    def utilisation(self):
        """Share of the cycles in which every multiplier does work that counts."""
        return self.ideal_cycles / self.model_cycles

    def to_dict(self):
        return {
            "layer": self.layer,
            "pass": self.pass_name,
            "macs": self.macs,
            "ideal_cycles": self.ideal_cycles,
            "model_cycles": self.model_cycles,
            "roofline_cycles": self.roofline_cycles,
            "dram_bytes": self.dram_bytes,
            "least_bytes": self.least_bytes,
            "on_chip_bytes": self.on_chip_bytes,
            "utilisation": self.utilisation,
            "limit": self.limit,
        }


@dataclass
class StepPlan:
    """A whole training step.

    Members
    -------
    config : AcceleratorConfig
    batch_size : int
    memory_bytes : int
        DRAM that the program and its tensors take.
    passes : list of PassPlan
    step_cycles : int
        With the overlap of the array and the vector unit.
    """

    config: object
    batch_size: int
    memory_bytes: int
    passes: list
    step_cycles: int

    def total(self, kind=""):
        """Sums of `macs`, `ideal_cycles`, `model_cycles`, `roofline_cycles`, `dram_bytes` and
        `least_bytes` of passes, their `utilisation`, and `traffic`: dram_bytes / least_bytes.

        Parameters
        ----------
        kind : str
            Of the layer of that name, or of all layers of that kind, such as "Conv2d"; their
            passes on the array only. "": everything.
        """
        chosen = [
            p for p in self.passes if not kind or p.macs and kind in (p.layer, *p.layer.split("."))
        ]
        names = (
            "macs", "ideal_cycles", "model_cycles", "roofline_cycles", "dram_bytes", "least_bytes",
        )  # fmt: skip
        total = {name: sum(getattr(p, name) for p in chosen) for name in names}
        total["utilisation"] = total["ideal_cycles"] / max(1, total["model_cycles"])
        total["traffic"] = total["dram_bytes"] / max(1, total["least_bytes"])
        return total

    def to_dict(self):
        """What `eftrain plan --json` writes."""
        whole = self.total()
        return {
            "config": self.config.to_dict(),
            "build_id": f"{self.config.build_id:016x}",
            "batch_size": self.batch_size,
            "memory_bytes": self.memory_bytes,
            "passes": [p.to_dict() for p in self.passes],
            "totals": {
                **whole,
                "step_cycles": self.step_cycles,
                "step_utilisation": whole["ideal_cycles"] / self.step_cycles,
                "convolution": self.total("Conv2d"),
                "first_layer": self.total(self.passes[0].layer),
            },
        }

    def table(self):
        """Lines for a terminal."""
        head = f"{'layer':15} {'pass':16} {'ideal':>13} {'model':>13} {'use':>6} "
        lines = [head + f"{'DRAM MB':>9} {'least':>9} {'KiB':>5}  limit"]
        for p in self.passes:
            ideal = f"{p.ideal_cycles:13,.0f}" if p.macs else f"{'-':>13}"
            use = f"{p.utilisation:6.1%}" if p.macs else f"{'-':>6}"
            lines.append(
                f"{p.layer:15} {p.pass_name:16} {ideal} {p.model_cycles:13,} {use}"
                f" {p.dram_bytes / 1e6:9,.2f} {p.least_bytes / 1e6:9,.2f}"
                f" {p.on_chip_bytes / 1024:5,.0f}  {_BOUND[p.limit]}"
            )
        rows = [("all passes", self.total()), ("convolutions", self.total("Conv2d"))]
        rows.append((f"first layer ({self.passes[0].layer})", self.total(self.passes[0].layer)))
        for name, total in rows:
            lines.append(
                f"{name:32} {total['ideal_cycles']:13,.0f} {total['model_cycles']:13,}"
                f" {total['utilisation']:6.1%} {total['dram_bytes'] / 1e6:9,.2f}"
                f" {total['least_bytes'] / 1e6:9,.2f}"
            )
        seconds = self.step_cycles / self.config.clock_hz
        lines.append(
            f"training step of {self.batch_size} images: {self.step_cycles:,} cycles with overlap,"
            f" {self.total()['ideal_cycles'] / self.step_cycles:.1%} of peak,"
            f" {seconds:.3g} s at {self.config.clock_hz / 1e6:g} MHz"
        )
        return lines


def plan_step(network, config, batch_size, memory=Memory(), format=None):  # noqa: B008
    """Compile a network and account for every pass of its training step.

    Parameters
    ----------
    network : nn.Sequential
    config : AcceleratorConfig
    batch_size : int
    memory : timing.Memory
    format : str, dict or None
        As `compile_network`.

    Returns
    -------
    StepPlan

    Raises
    ------
    TypeError, ValueError
        As `compile_network`.
    """
    program = compile_network(
        network,
        config,
        batch_size=batch_size,
        loss=CrossEntropyLoss(),
        optimizer=optim.SGD(lr=0.01, momentum=0.9),
        format=format,
    )
    descriptors = program.descriptors["train"]
    times, known = [], {}
    for descriptor in descriptors:  # layers alike differ in their addresses only
        plain = without_addresses(descriptor)
        key = *plain.words(), *(command.work for command in plain.commands)
        if key not in known:
            known[key] = descriptor_time(config, descriptor, memory)
        times.append(known[key])
    convolutions = {op.name: op for op in program.ops if isinstance(op, ConvOp)}
    passes = []
    for descriptor, time in zip(descriptors, times):
        layer, _, pass_name = program.tags[descriptor.tag].partition(" ")
        counts = time.array and pass_name != "bias gradient"  # sums only
        macs = macs_of(convolutions[layer], batch_size) if counts else 0
        dram_bytes = round(time.dram_beats) * config.bus_bytes
        ideal = macs / (config.rows * config.lanes)
        if macs:
            ideal *= pairs_of(wide_of(convolutions[layer], pass_name.replace(" ", "_")))
        least = dram_bytes
        if time.array:
            # pooling that rides on the tiles has to move all that it moves
            riding = sum(count * cost.beats for count, cost in time.riding) * config.bus_bytes
            least = riding + least_bytes(config, convolutions[layer], batch_size, pass_name)
        passes.append(
            PassPlan(
                layer=layer,
                pass_name=pass_name or "loss",
                macs=macs,
                ideal_cycles=ideal,
                model_cycles=round(time.cycles - time.fetch),
                roofline_cycles=round(max(ideal, dram_bytes / config.bus_bytes)),
                dram_bytes=dram_bytes,
                least_bytes=least,
                on_chip_bytes=_on_chip(config, time),
                limit=time.limit,
            )
        )
    step = program_time(config, descriptors, memory, times)
    return StepPlan(config, batch_size, program.memory_bytes, passes, round(step))


def _on_chip(config, time):
    if not time.array:
        return 0
    tiles = 2 * sum(time.timing.tile_bytes.values())
    return tiles + prod((2, config.rows, config.accumulator_depth, 4))
