"""The part of the tensor-train experiment that runs on the RTL, and its plot."""

import time

import numpy as np

from eftrain_hw import AcceleratorConfig, Trainer, compile_network, nn, open_device, optim

__all__ = ["RTL_BITS", "device_config", "plot", "run_on_devices"]

RTL_BITS = "cores, activations and gradients bfp8, masters fp32"


def device_config(lanes):
    """Configuration of the RTL's run."""
    return AcceleratorConfig.preset("sim-small").replace(
        rows=lanes, lanes=lanes, vector_programs=True, packed_programs=True
    )


def _learned(trainer, x):
    bits = {f"{name}.momentum": value for name, value in trainer.momentum_dict().items()}
    bits |= trainer.state_dict()
    bits["losses"] = np.array([step["loss"] for step in trainer.history.steps], np.float32)
    bits["logits"] = trainer.logits(x)
    return bits


def run_on_devices(network, data, *, lanes, batch, lr, epochs, seed, momentum=0.9, prior=None):
    """Train on the golden model and on the RTL; report what differs and what it took.

    Parameters
    ----------
    network : nn.Sequential or nn.Network
    data : (x, y, x_test, y_test)
    lanes, batch, epochs, seed : int
    lr, momentum : float
    prior : RankPrior or None

    Returns
    -------
    dict
        `bit_exact`, `cycles_per_sample`, `mac_utilisation` and the like.
    """
    x, y, x_test, y_test = data
    config = device_config(lanes)
    program = compile_network(
        network, config, batch_size=batch, loss=nn.CrossEntropyLoss(),
        optimizer=optim.SGD(lr=lr, momentum=momentum), prior=prior,
    )  # fmt: skip
    start, bits = time.perf_counter(), []
    for kind in ("golden", "sim"):
        with open_device(kind, config) as device:
            trainer = Trainer(program, device, seed=seed)
            trainer.fit(x, y, epochs=epochs, progress=False)
            bits.append(_learned(trainer, x_test))
            for bond in program.bonds:
                bits[-1][bond.mask] = device.read_tensor(bond.mask)
                bits[-1][bond.variance] = device.read_tensor(bond.variance)
    golden, rtl = bits
    different = [name for name in golden if golden[name].tobytes() != rtl[name].tobytes()]
    steps = trainer.history.steps
    cycles = sum(step["cycles"] for step in steps)
    return {
        "bit_exact": not different,
        "different": different,
        "widths": RTL_BITS,
        "epochs": epochs,
        "ranks": {bond.mask: int(rtl[bond.mask].sum()) for bond in program.bonds},
        "batch": batch,
        "accuracy": float((rtl["logits"].argmax(axis=1) == y_test).mean()),
        "cycles_per_sample": cycles / (epochs * len(x)),
        "mac_utilisation": sum(step["mac_busy"] for step in steps) / cycles,
        "program_bytes": int(sum(program.words(name).nbytes for name in ("train", "infer"))
                             + sum(array.nbytes for array in program.constants.values())),
        "seconds": time.perf_counter() - start,
    }  # fmt: skip


def plot(history, path):
    """Ranks, loss and memory ratio after each epoch."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (ranks, loss, memory) = pyplot.subplots(1, 3, figsize=(13, 4), layout="constrained")
    epochs = range(1, len(history) + 1)
    for name in history[0]["ranks"]:
        for bond in range(len(history[0]["ranks"][name])):
            found = [entry["ranks"][name][bond] for entry in history]
            ranks.step(epochs, found, where="mid", label=f"layer {name}, bond {bond + 1}")
    ranks.set(xlabel="epoch", ylabel="rank", title="ranks", ylim=(0, None))
    ranks.legend(fontsize="small")
    loss.plot(epochs, [entry["loss"] for entry in history], marker=".")
    loss.set(xlabel="epoch", ylabel="loss", title="training loss", ylim=(0, None))
    memory.plot(epochs, [entry["memory_ratio"] for entry in history], marker=".")
    memory.set(xlabel="epoch", ylabel="dense fp32 / accelerator", title="memory ratio")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
