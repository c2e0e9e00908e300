"""Train 784-512-10 with tensor-train layers, low precision and rank adaptation, and report.

The experiment of arXiv 2104.03420: scikit-learn's digits scaled to 28x28 (or Fashion-MNIST: --data
idx:DIR), on the golden model in all epochs, a dense fp32 twin in plain NumPy beside it. The RTL
trains the same network for some epochs too, in the widths that it has, beside the golden model.
Writes report.json and training.png; ends with status 1 if a single bit of the two differs.
"""

import argparse
import json
import sys
import time
from math import prod
from pathlib import Path

import numpy as np
from tensor_train_device import device_config, plot, run_on_devices

from eftrain_hw import nn, optim
from eftrain_hw.compiler.compile import prepare
from eftrain_hw.compiler.ledger import memory_ledger, twin_ledger
from eftrain_hw.compiler.precision import Precision
from eftrain_hw.compiler.rank_prior import RankPrior, compacted, ranks_kept
from eftrain_hw.compiler.state import device_state, network_state
from eftrain_hw.golden.network import forward_pass, training_step
from eftrain_hw.runtime import load_dataset

SIDE = 28


def scaled(images, side=SIDE):
    """(N, 1, H, W) to (N, 1, side, side), linearly between pixel centres."""
    for axis in (2, 3):
        size = images.shape[axis]
        at = np.clip((np.arange(side) + 0.5) * size / side - 0.5, 0, size - 1)
        low = np.minimum(at.astype(int), size - 2)
        share = (at - low).astype(np.float32).reshape(-1, *(1,) * (3 - axis))
        first, second = images.take(low, axis), images.take(low + 1, axis)
        images = first + share * (second - first)
    return images.astype(np.float32)


def initial_state(network, rng):
    """Normal cores whose product has PyTorch's variance times 3 (He), zero biases."""
    state = {}
    for node in network.nodes:
        if not isinstance(node.layer, nn.TTLinear):
            continue
        layer, d = node.layer, len(node.layer.in_shape)
        variance = (2 / layer.in_features / prod(layer.rank)) ** (1 / d)
        for name, shape in layer.parameters().items():
            values = rng.standard_normal(shape) * variance**0.5
            state[f"{node.name}.{name}"] = (values * (name != "bias")).astype(np.float32)
    return state


def prior_of(arguments, images):
    return RankPrior(
        strength=arguments.strength / images, threshold=arguments.threshold,
        interval=arguments.interval,
    )  # fmt: skip


class Training:
    """The golden model with ranks that shrink."""

    def __init__(self, network, arguments, images):
        self.arguments, self.images = arguments, images
        self.config = device_config(arguments.lanes)
        self.rng = np.random.default_rng(arguments.seed)
        self.settings = {
            "batch_size": arguments.batch,
            "loss": nn.CrossEntropyLoss(),
            "optimizer": optim.SGD(lr=arguments.lr, momentum=arguments.momentum),
            "precision": Precision(**dict(zip(
                ("weights", "activations", "gradients", "master"), arguments.bits, strict=True))),
        }  # fmt: skip
        if arguments.strength:
            self.settings["prior"] = prior_of(arguments, images)
        self.number = 0
        self.load(network, initial_state(network, self.rng))

    def load(self, network, state, momentum=None):
        self.network = network
        self.program = prepare(network, self.config, **self.settings)
        self.tensors = device_state(self.program, state)

    def epoch(self, x, y, lr):
        order, losses, batch = self.rng.permutation(len(x)), [], self.arguments.batch
        for at in range(0, len(x), batch):
            chosen = order[at : at + batch]
            self.number += 1
            self.put(x[chosen], y[chosen])
            training_step(
                self.program, self.tensors, learning_rate=lr, momentum=self.arguments.momentum,
                valid_images=len(chosen), number=self.number, seed=self.arguments.seed,
            )  # fmt: skip
            losses.append(float(self.tensors["loss"][-16]))
        if self.program.bonds:
            self.compact()
        return float(np.mean(losses))

    def put(self, x, y):
        self.tensors["x"] = self.program.encode_input(x)
        labels = np.zeros(self.program.tensors["labels"].shape, np.uint32)
        labels[: len(y)] = y
        self.tensors["labels"] = labels

    def compact(self):
        """Leave out the ranks that are gone; the optimizer's momentum starts anew then."""
        kept = ranks_kept(self.program, self.tensors)
        small = {name: tuple(len(i) for i in bonds) for name, bonds in kept.items()}
        if small != self.ranks():
            self.load(*compacted(self.network, network_state(self.program, self.tensors), kept))

    def ranks(self):
        layers = ((node.name, node.layer) for node in self.network.nodes)
        return {name: layer.rank for name, layer in layers if isinstance(layer, nn.TTLinear)}

    def accuracy(self, x, y):
        correct, batch = 0, self.arguments.batch
        for at in range(0, len(x), batch):
            part = x[at : at + batch]
            self.tensors["x"] = self.program.encode_input(part)
            forward_pass(self.program, self.tensors)
            outputs = self.tensors[self.program.logits].reshape(batch, -1)[: len(part), :10]
            correct += int((outputs.argmax(1) == y[at : at + batch]).sum())
        return correct / len(x)

    def memory(self, prior=True):
        """Bytes of a training step, its program included; without the prior: of fixed ranks."""
        settings = {n: v for n, v in self.settings.items() if prior or n != "prior"}
        found = memory_ledger(self.network, self.config, **settings)
        return found.shared + found.program_estimate


def dense_accuracy(data, hidden, epochs, seed, batch=32, lr=0.1, momentum=0.9):
    """Test accuracy of the dense twin in fp32, by plain NumPy."""
    x, y, x_test, y_test = data
    rng = np.random.default_rng(seed)
    sizes = [SIDE * SIDE, hidden, 10]
    weights = [(rng.standard_normal((o, i)) * (2 / i) ** 0.5).astype(np.float32)
               for i, o in zip(sizes, sizes[1:])]  # fmt: skip
    parameters = [*weights, *(np.zeros(o, np.float32) for o in sizes[1:])]
    velocity = [np.zeros_like(p) for p in parameters]

    def forward(x):
        z = np.maximum(x.reshape(len(x), -1) @ parameters[0].T + parameters[2], 0)
        return z, z @ parameters[1].T + parameters[3]

    for _ in range(epochs):
        order = rng.permutation(len(x))
        for at in range(0, len(x), batch):
            chosen = order[at : at + batch]
            z, logits = forward(x[chosen])
            e = np.exp(logits - logits.max(1, keepdims=True))
            d = (e / e.sum(1, keepdims=True) - np.eye(10)[y[chosen]]) / len(chosen)
            d = d.astype(np.float32)
            dz = (d @ parameters[1]) * (z > 0)
            gradients = [dz.T @ x[chosen].reshape(len(chosen), -1), d.T @ z, dz.sum(0), d.sum(0)]
            for p, v, g in zip(parameters, velocity, gradients, strict=True):
                v *= momentum
                v += g
                p -= lr * v
    return float((forward(x_test)[1].argmax(1) == y_test).mean())


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    option = parser.add_argument
    option("--network", default="scripts/networks/tensor_train.py", metavar="FILE.py")
    option("--data", default="digits", help="digits or idx:DIR (default: %(default)s)")
    option("--epochs", type=int, default=6, metavar="N")
    option("--batch", type=int, default=1, metavar="N")
    option("--lr", type=float, default=0.02)
    option("--momentum", type=float, default=0.0)
    option("--lanes", type=int, default=4)
    option("--bits", default="4,8,16,16", metavar="W,A,G,M")
    option("--strength", type=float, default=1.0, help="of the prior; 0: no rank adaptation")
    option("--threshold", type=float, default=0.02)
    option("--interval", type=int, default=16)
    option("--seed", type=int, default=0)
    option("--images", type=int, metavar="N", help="of the training set (default: all)")
    option("--rtl-epochs", type=int, default=1, metavar="N", help="0: the golden model alone")
    option("--rtl-batch", type=int, default=32, metavar="N")
    option("--rtl-lr", type=float, default=0.05)
    option("--output", type=Path, default=Path("build/tt/report.json"))
    arguments = parser.parse_args()
    arguments.bits = [int(bits) for bits in arguments.bits.split(",")]
    return arguments


def run(arguments):
    """The experiment; returns the exit status."""
    from eftrain_hw.cli.networks import named_network

    data = load_dataset(arguments.data)
    data = [scaled(a) if a.ndim == 4 else a for a in data]
    x, y, x_test, y_test = data
    x, y = x[: arguments.images], y[: arguments.images]
    network = named_network(arguments.network)
    training = Training(network, arguments, len(x))
    optimizer = training.settings["optimizer"]
    twin = twin_ledger(network, batch_size=arguments.batch, optimizer=optimizer).shared
    start, start_fixed, history = training.memory(), training.memory(prior=False), []
    print(f"twin {twin:,} bytes, start {start:,} bytes: ratio {twin / start:.1f}, without the prior"
          f" {twin / start_fixed:.1f}", flush=True)  # fmt: skip
    for number in range(arguments.epochs):
        clock = time.perf_counter()
        lr = arguments.lr * (1 - number / arguments.epochs)
        loss = training.epoch(x, y, lr)
        accuracy = training.accuracy(x_test, y_test)
        ratio = twin / training.memory()
        ranks = training.ranks()
        history.append({"loss": loss, "accuracy": accuracy, "memory_ratio": ratio, "ranks": ranks})
        seconds = time.perf_counter() - clock
        print(f"epoch {number + 1}: loss {loss:.4f}, test accuracy {accuracy:.4f}, ratio"
              f" {ratio:.1f}, ranks {ranks}, {seconds:.0f} s", flush=True)  # fmt: skip
    hidden = network.nodes[1].shape[0]
    report = {
        "accuracy": accuracy,
        "dense_fp32_accuracy": dense_accuracy((x, y, x_test, y_test), hidden, 20, arguments.seed),
        "memory_ratio_start": twin / start,
        "memory_ratio_end": ratio,
        "memory_ratio_start_fixed_ranks": twin / start_fixed,
        "memory_ratio_end_fixed_ranks": twin / training.memory(prior=False),
        "ranks": ranks,
        **on_the_rtl(network, (x, y, x_test, y_test), arguments),
        "settings": {k: str(v) for k, v in vars(arguments).items()},
        "history": history,
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report, indent=1) + "\n")
    plot(history, arguments.output.with_name("training.png"))
    print(json.dumps({k: v for k, v in report.items() if k not in ("history", "settings")}))
    return 0 if report["bit_exact"] is not False else 1


def on_the_rtl(network, data, arguments):
    """What the report says of the RTL; `bit_exact` is None where it was not asked for."""
    names = ("bit_exact", "cycles_per_sample", "mac_utilisation")
    if not arguments.rtl_epochs:
        return dict.fromkeys((*names, "rtl"))
    result = run_on_devices(
        network, data, lanes=arguments.lanes, batch=arguments.rtl_batch, lr=arguments.rtl_lr,
        epochs=arguments.rtl_epochs, seed=arguments.seed,
        prior=prior_of(arguments, len(data[0])) if arguments.strength else None,
    )  # fmt: skip
    return {**{name: result[name] for name in names}, "rtl": result}


if __name__ == "__main__":
    sys.exit(run(parsed()))
