"""One layer's passes on the RTL: cycles, where they went, and whether every bit is right."""

import time
from dataclasses import replace

import numpy as np

from ...compiler.nn.formats import pass_formats
from ...compiler.parameters import weight_mask, weight_to_device
from ...compiler.tiling import pairs_of, wide_of
from ...formats import Blocked, format_named
from ...golden.operations import run_backward, run_forward
from ..device import open_device
from .layer import PASSES, layer_program

__all__ = ["BYTES_PER_CYCLE", "LayerBench", "memory_bytes", "model_cycles"]

BYTES_PER_CYCLE = 16  # of the simulated memory, reads and writes together
_UNTOUCHED = 0xA5  # what results hold before a pass


def model_cycles(program, name):
    """Cycles that the analytical model predicts for a program; None where there is no model."""
    try:
        from ...compiler.timing import descriptor_time, program_time
    except ImportError:
        return None
    descriptors = program.descriptors[name]
    if len(descriptors) == 1:
        return round(descriptor_time(program.config, descriptors[0]).cycles)
    return round(program_time(program.config, descriptors))


def memory_bytes(config, counters):
    """Bytes that crossed the memory ports."""
    return config.port_bytes * (counters["read_beats"] + counters["write_beats"])


def _format(config, layer):
    """What a report says: a name, or a dict of passes."""
    format = pass_formats("Layer.format", layer.format)
    if isinstance(format, tuple):
        return dict(format)
    return config.format if format is None else format


class LayerBench:
    """A layer with random data on a simulated device; `with` closes it.

    Parameters
    ----------
    layer : Layer
    config : AcceleratorConfig
    seed : int
        Of the data.
    options :
        Passed to the device, see `SimDevice`.

    Raises
    ------
    ValueError
        The layer does not fit into the configuration.
    """

    def __init__(self, layer, config, *, seed=0, **options):
        self.layer, self.config = layer, config
        self.program = layer_program(layer, config)
        self._op = self.program.ops[0]
        self._device = open_device("sim", config, bytes_per_cycle=BYTES_PER_CYCLE, **options)
        self._device.load_program(self.program)
        self._tensors = self._random(np.random.default_rng(seed))
        for name, value in self._tensors.items():
            self._device.write_tensor(name, value)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        """Give the simulation's memory back."""
        self._device.close()

    def _random(self, rng):
        """Operands of all passes; channels beyond the layer's are 0, as in a trained network."""
        specs, lanes = self.program.tensors, self.config.lanes
        channels = {"x": self.layer.in_channels, "dy": self.layer.out_channels}
        if self._op.folded:
            channels["x"] = int(np.prod(self._op.weight_shape[1:]))

        def values(name, axes, scale):
            """Normal numbers; `axes`: (block axis, lane axis, channels) of each channel index."""
            result = rng.normal(0, scale, specs[name].shape).astype(np.float32)
            for block_axis, lane_axis, count in axes:
                shape = [1] * result.ndim
                shape[block_axis], shape[lane_axis] = -1, lanes
                index = np.arange(result.shape[block_axis] * lanes)
                result *= (index < count).reshape(shape)
            return result

        def encoded(name, array):
            return Blocked.encode(format_named(specs[name].format), array)

        x = values("x", [(1, -1, channels["x"])], 1)
        if self._op.mask:
            x = np.maximum(x, 0)
        weight = rng.normal(0, 0.1, self._op.weight_shape).astype(np.float32)
        weight = weight_to_device(self._op, weight, lanes)
        masks = {}
        if "layer.weight.mask" in specs:
            dtype = specs["layer.weight.mask"].dtype
            masks["layer.weight.mask"] = weight_mask(self._op, lanes).astype(dtype)
        return {
            **masks,
            "x": encoded("x", x),
            "dy": encoded("dy", values("dy", [(1, -1, channels["dy"])], 0.01)),
            "layer.weight": encoded("layer.weight", weight),
            "layer.bias.master": values("layer.bias.master", [(0, -1, channels["dy"])], 0.1),
        }

    def expected(self, which):
        """What the golden model says that a pass stores: tensors by name."""
        op, tensors = self._op, dict(self._tensors)
        if which == "fp":
            run_forward(op, tensors, None)
            return {"y": tensors["y"]}
        if which == "bp":
            op = replace(op, train_weight=False, train_bias=False)
        else:
            op = replace(op, input_gradient=False)
        run_backward(op, tensors, None)
        results = ("dx",) if which == "bp" else ("layer.weight.gradient", "layer.bias.gradient")
        return {name: tensors[name] for name in results}

    def run(self, which, *, expected=None):
        """Run a pass on the RTL and compare all of the memory with what it should hold.

        Parameters
        ----------
        which : str
            One of `layer.passes`.
        expected : dict or None
            What it should store; None is `expected(which)`.

        Returns
        -------
        dict
            ideal_cycles (MACs, in bfp16 times the pairs of digits, / array size), roofline_cycles
            (the larger of that and dram_bytes / 16), dram_bytes (what crossed the ports, by the
            hardware's counters), rtl_cycles (start to interrupt), model_cycles (None without a
            model), utilisation (ideal / RTL cycles),
            mac_busy and stalls (cycles of the array by cause, which sum to rtl_cycles),
            bit_exact, and what was run.
        """
        if which not in self.layer.passes:
            known = ", ".join(self.layer.passes)
            raise ValueError(f"pass must be one of {known}, not {which!r}")
        if expected is None:
            expected = self.expected(which)
        memory = self._device.simulation.memory
        for name in expected:
            self._fill(memory, self.program.tensors[name])
        image = memory.copy()
        for name, value in expected.items():
            self._put(image, self.program.tensors[name], value)
        start = time.perf_counter()
        result = self._device.run(which)
        seconds = time.perf_counter() - start
        # a write outside the results is as wrong as a wrong one
        return self._report(which, result, seconds, np.array_equal(image, memory))

    @staticmethod
    def _fill(memory, spec):
        for start, count in spec.spans() + spec.exponent_spans():
            memory[start : start + count] = _UNTOUCHED

    @staticmethod
    def _put(image, spec, value):
        elements, exponents = spec.to_bytes(value)
        data, at = np.frombuffer(elements + (exponents or b""), np.uint8), 0
        for start, count in spec.spans() + spec.exponent_spans():
            image[start : start + count] = data[at : at + count]
            at += count

    def _report(self, which, result, seconds, bit_exact):
        layer, config, counters = self.layer, self.config, result.counters
        pairs = pairs_of(wide_of(self._op, PASSES[which].replace(" ", "_")))
        ideal = pairs * layer.macs / (config.rows * config.lanes)
        dram_bytes = memory_bytes(config, counters)
        causes = self._device.profile().causes
        return {
            "layer": str(layer),
            "pass": which,
            "batch": layer.batch,
            "format": _format(config, layer),
            "rows": config.rows,
            "lanes": config.lanes,
            "macs": layer.macs,
            "ideal_cycles": ideal,
            "rtl_cycles": result.cycles,
            "model_cycles": model_cycles(self.program, which),
            "roofline_cycles": max(ideal, dram_bytes / BYTES_PER_CYCLE),
            "dram_bytes": dram_bytes,
            "utilisation": ideal / result.cycles,
            "mac_busy": causes.pop("mac_busy"),
            "stalls": causes,
            "bit_exact": bool(bit_exact),
            "tiles": self._tiles(which),
            "simulation_seconds": seconds,
        }

    def _tiles(self, which):
        tilings = dict(self.program.schedule)
        tiling = tilings[f"layer {PASSES[which]}"]
        return {name: [tiling.counts[name], tiling.full[name]] for name in tiling.loops}
