"""Train the digits' CNN in bfp8, bfp16 and fp32 on the golden model, over several seeds.

Prints a table and writes convergence.json; ends with status 1 where the mean test accuracies of
two formats are more than half a point apart. The arithmetic is the accelerator's, bit by bit, in
each format; one seed gives the same initial weights and batches in all of them.
"""

import argparse
import json
import os
import runpy
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from eftrain_hw import AcceleratorConfig, Trainer, compile_network, nn, open_device, optim
from eftrain_hw.cli.formats import apply_format
from eftrain_hw.runtime import load_dataset

NETWORK = Path(__file__).parent / "networks" / "digits.py"
FORMATS = ("bfp8", "weight_gradient=bfp16", "bfp16", "fp32")
JUDGED = ("bfp8", "bfp16", "fp32")
POINTS = 0.5  # that mean accuracies may be apart
SLOWER = {2: 0.4, 1: 0.2}  # learning rate of the last two epochs


def train(format, seed, epochs, images=None):
    """One run: a dict of what it reached.

    Parameters
    ----------
    format : str
        As the command line's `--format`.
    seed, epochs : int
    images : int or None
        Of the training and test images, only the first ones.
    """
    config, formats = apply_format(AcceleratorConfig(), format)
    program = compile_network(
        runpy.run_path(str(NETWORK))["network"],
        config,
        batch_size=32,
        loss=nn.CrossEntropyLoss(),
        optimizer=optim.SGD(lr=0.05, momentum=0.9),
        format=formats,
    )
    x, y, x_test, y_test = (part[:images] for part in load_dataset("digits"))
    start = time.perf_counter()
    with open_device("golden", config) as device:
        trainer = Trainer(program, device, seed=seed)
        trainer.fit(
            x, y, epochs=epochs, progress=False,
            schedule=lambda epoch: 0.05 * SLOWER.get(epochs - epoch, 1),
        )  # fmt: skip
        result = trainer.evaluate(x_test, y_test)
        losses = [step["loss"] for step in trainer.history.steps]
    steps = -(-len(x) // 32)
    return {
        "format": format,
        "seed": seed,
        "test_accuracy": float(result["accuracy"]),
        "test_loss": float(result["loss"]),
        "training_loss": float(np.mean(losses[-steps:])),  # of the last epoch
        "seconds": time.perf_counter() - start,
    }


def summary(runs):
    """Means by format, and how far those that are judged are apart, in points."""
    formats = {}
    for format in dict.fromkeys(run["format"] for run in runs):
        own = [run for run in runs if run["format"] == format]
        formats[format] = {
            name: float(np.mean([run[name] for run in own]))
            for name in ("test_accuracy", "test_loss", "training_loss", "seconds")
        }
    means = [100 * formats[name]["test_accuracy"] for name in JUDGED]
    return {"formats": formats, "points_apart": max(means) - min(means), "allowed": POINTS}


def table(runs, seeds, found):
    """Lines for a terminal."""
    head = "".join(f"  seed {seed:<4}" for seed in seeds)
    lines = [f"{'test accuracy':23}{head}       mean   test loss   training loss"]
    for format, means in found["formats"].items():
        own = {run["seed"]: run["test_accuracy"] for run in runs if run["format"] == format}
        cells = "".join(f"{own[seed]:11.2%}" for seed in seeds)
        lines.append(
            f"{format:23}{cells}{means['test_accuracy']:11.2%}{means['test_loss']:12.4f}"
            f"{means['training_loss']:16.5f}"
        )
    verdict = "within" if found["points_apart"] <= POINTS else "NOT within"
    lines.append(
        f"{', '.join(JUDGED)}: {found['points_apart']:.2f} points apart, {verdict} {POINTS}"
    )
    return lines


def parsed(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10, metavar="N", help="default: %(default)s")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="default: 0, 1 and 2")
    parser.add_argument("--images", type=int, metavar="N", help="only so many (a quick look)")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count(), metavar="N", help="processes (default: CPUs)"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("build/convergence.json"), metavar="FILE"
    )
    options = parser.parse_args(arguments)
    for name in ("epochs", "seeds", "images", "jobs"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name} must be at least 1, not {value}")
    return options


def run(options):
    """Train, print, write; returns whether the formats are close enough."""
    seeds = range(options.seeds)
    work = [(format, seed) for seed in seeds for format in FORMATS]
    start = time.perf_counter()
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(train, *each, options.epochs, options.images) for each in work]
        runs = []
        for each in waiting:
            runs.append(each.result())
            last = runs[-1]
            print(
                f"{last['format']}, seed {last['seed']}: {last['test_accuracy']:.2%} after"
                f" {last['seconds']:.0f} s", flush=True,
            )  # fmt: skip
    found = summary(runs)
    found |= {"epochs": options.epochs, "runs": runs, "seconds": time.perf_counter() - start}
    print("\n".join(["", *table(runs, seeds, found)]))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{options.output} written, {found['seconds']:.0f} s")
    return found["points_apart"] <= POINTS


if __name__ == "__main__":
    sys.exit(0 if run(parsed()) else 1)
