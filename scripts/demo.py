"""Train a CNN on scikit-learn's digits in RTL simulation, and beside it on the golden model.

Writes build/demo/report.json and build/demo/training.png; ends with status 1 if the two devices
differ in a single bit or the accuracy is below 97 %.
"""

import argparse
import json
import runpy
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from eftrain_hw import AcceleratorConfig, Trainer, compile_network, nn, open_device, optim
from eftrain_hw.runtime import load_dataset

ROOT = Path(__file__).parents[1]
NETWORK = Path(__file__).parent / "networks" / "digits.py"
ACCURACY = 0.97
SLOWER = {2: 0.4, 1: 0.2}  # learning rate of the last two epochs


def program(config):
    """The demo's compiled network."""
    return compile_network(
        runpy.run_path(str(NETWORK))["network"],
        config,
        batch_size=32,
        loss=nn.CrossEntropyLoss(),
        optimizer=optim.SGD(lr=0.05, momentum=0.9),
    )


def train(device, epochs, *, progress=False):
    """(bits of everything that was learned, trainer, logits of the test images)."""
    x, y, x_test, y_test = load_dataset("digits")
    trainer = Trainer(program(device.config), device, seed=0)
    trainer.fit(
        x,
        y,
        epochs=epochs,
        validation=(x_test, y_test),
        schedule=lambda epoch: 0.05 * SLOWER.get(epochs - epoch, 1),
        progress=progress,
    )
    logits = trainer.logits(x_test)
    bits = {f"{name}.momentum": value for name, value in trainer.momentum_dict().items()}
    bits |= trainer.state_dict()
    bits["losses"] = np.array([step["loss"] for step in trainer.history.steps], np.float32)
    bits["logits"] = logits
    return bits, trainer, (logits.argmax(axis=1) == y_test).mean()


def golden(config, epochs, results):
    """The same run on the golden model, in a process of its own."""
    with open_device("golden", config) as device:
        results.send(train(device, epochs)[0])


def macs_per_step(compiled):
    """Multiplications that one training step needs, without padding of channels and lanes."""
    total = 0
    for op in compiled.ops:
        if hasattr(op, "weight_shape"):
            height, width = op.out_shape[1:]
            passes = 3 if op.input_gradient else 2
            total += passes * compiled.batch_size * height * width * int(np.prod(op.weight_shape))
    return total


def plot(history, path):
    """Loss of each step, accuracy after each epoch."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot([step["loss"] for step in history.steps], linewidth=0.8)
    left.set(xlabel="step", ylabel="loss", title="training loss")
    epochs = [entry["epoch"] + 1 for entry in history.epochs]
    for key, label in (("train_accuracy", "training"), ("validation_accuracy", "test")):
        right.plot(epochs, [entry[key] for entry in history.epochs], marker=".", label=label)
    right.axhline(ACCURACY, color="gray", linewidth=0.8, linestyle="--")
    right.set(xlabel="epoch", ylabel="accuracy", title="digits, trained on the RTL", ylim=(0, 1.02))
    right.legend()
    figure.savefig(path, dpi=120)


def main():
    """Run the demo; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--config", default="pynq-z2-bfp8", help="preset or JSON file")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "demo")
    arguments = parser.parse_args()
    start = time.perf_counter()
    config = AcceleratorConfig.load(arguments.config)
    arguments.out.mkdir(parents=True, exist_ok=True)

    context = get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    with open_device("sim", config) as device:
        beside = context.Process(target=golden, args=(config, arguments.epochs, send))
        beside.start()
        try:
            bits, trainer, accuracy = train(device, arguments.epochs, progress=True)
            print("[demo] comparing with the golden model", flush=True)
            expected = receive.recv()
        finally:
            if beside.exitcode is None and sys.exc_info()[0] is not None:
                beside.terminate()
            beside.join()
        cycles, seconds = device.run_cycles, device.run_seconds
    different = [n for n in expected if bits[n].tobytes() != expected[n].tobytes()]

    plot(trainer.history, arguments.out / "training.png")
    steps = trainer.history.steps
    per_step = sum(step["cycles"] for step in steps) / len(steps)
    busy = sum(step["mac_busy"] for step in steps) / len(steps)
    ideal = macs_per_step(trainer.program) / (config.rows * config.lanes)
    report = {
        "test_accuracy": float(accuracy),
        "bit_exact": not different,
        "cycles_per_step": per_step,
        "mac_utilisation": busy / per_step,
        "ideal_cycles_per_step": ideal,
        "sim_cycles_per_second": cycles / seconds,
        "wall_seconds": time.perf_counter() - start,
        "epochs": arguments.epochs,
        "config": config.to_dict(),
    }
    (arguments.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    print(f"test accuracy       {accuracy:.2%} of 360 digits after {arguments.epochs} epochs")
    print(f"bit exact           {'yes, RTL = golden model' if not different else different}")
    print(f"cycles per step     {per_step:,.0f} (32 images)")
    print(f"MAC utilisation     {busy / per_step:.1%} of the cycles (this network is small)")
    print(f"simulation speed    {cycles / seconds:,.0f} cycles/s")
    print(f"wall time           {report['wall_seconds']:.1f} s")
    print(f"report              {arguments.out / 'report.json'}, training.png")
    return 0 if not different and accuracy >= ACCURACY else 1


if __name__ == "__main__":
    sys.exit(main())
