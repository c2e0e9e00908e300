"""A network's training step on the RTL: cycles, where they went, and whether every bit is right."""

import time

import numpy as np

from ...compiler import compile_network, nn, optim
from ...compiler.tiling import pairs_of, wide_of
from ...compiler.timing import macs_of
from ..device import open_device
from ..trainer import Trainer
from .measure import BYTES_PER_CYCLE, memory_bytes, model_cycles

__all__ = ["bench_network", "ideal_cycles"]


def ideal_cycles(program, ops=None):
    """Multiplications of a step (in bfp16 of pairs of digits) / size of the array, without padding
    of channels and lanes.

    Parameters
    ----------
    program : Program
    ops : list or None
        Those to count; None is all of the program's.
    """
    macs = 0
    for op in program.ops if ops is None else ops:
        if hasattr(op, "weight_shape"):
            done = {"forward": 1, "backward": op.input_gradient, "weight_gradient": op.train_weight}
            passes = sum(done[name] * pairs_of(wide_of(op, name)) for name in done)
            macs += passes * macs_of(op, program.batch_size)
    return macs / (program.config.rows * program.config.lanes)


def _train(name, program, x, y, seed, **options):
    """The first step on a device: trainer, and the bytes of every tensor after it."""
    with open_device(name, program.config, **options) as device:
        trainer = Trainer(program, device, seed=seed)
        began = time.perf_counter()
        trainer.fit(x, y, progress=False, profile_step=0 if name == "sim" else None)
        seconds = time.perf_counter() - began
        held = {
            tensor: spec.to_bytes(device.read_tensor(tensor))
            for tensor, spec in program.tensors.items()
            if spec.kind not in ("program", "scratch", "container")
        }
    return trainer, held, seconds


def bench_network(network, config, *, batch=16, seed=0, format=None, **options):
    """Run one training step on random data, on the RTL and on the golden model.

    Parameters
    ----------
    network : nn.Sequential
    config : AcceleratorConfig
    batch : int
    seed : int
        Of the data and of the initial parameters.
    format : str, dict or None
        As `compile_network`.
    **options
        Passed to the device, see `SimDevice`.

    Returns
    -------
    dict
        The same fields as `LayerBench.run` gives, but for those of the layer.
    Profile

    Raises
    ------
    TypeError, ValueError
        The network can't be compiled for the configuration.
    """
    program = compile_network(
        network,
        config,
        batch_size=batch,
        loss=nn.CrossEntropyLoss(),
        optimizer=optim.SGD(lr=0.05, momentum=0.9),
        format=format,
    )
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(batch, *network.input_shape)).astype(np.float32)
    y = rng.integers(0, program.classes, batch)
    options = {"bytes_per_cycle": BYTES_PER_CYCLE, **options}
    trainer, learned, seconds = _train("sim", program, x, y, seed, **options)
    _, expected, _ = _train("golden", program, x, y, seed)
    step, profile = trainer.history.steps[0], trainer.profile
    ideal, cycles = ideal_cycles(program), step["cycles"]
    dram_bytes = memory_bytes(config, step)
    causes = dict(profile.causes)
    report = {
        "batch": batch,
        "format": format or config.format,
        "rows": config.rows,
        "lanes": config.lanes,
        "ideal_cycles": ideal,
        "rtl_cycles": cycles,
        "model_cycles": model_cycles(program, "train"),
        "roofline_cycles": max(ideal, dram_bytes / BYTES_PER_CYCLE),
        "dram_bytes": dram_bytes,
        "utilisation": ideal / cycles,
        "mac_busy": causes.pop("mac_busy"),
        "stalls": causes,
        "bit_exact": learned == expected,
        "simulation_seconds": seconds,
        "profile": profile.to_dict(),
    }
    return report, profile
