"""Cycles and traffic of random layers, vector operations and training steps on the RTL, as data.

The analytical model is tested against them (tests/compiler/test_timing_corpus.py) without any
simulation. Everything is drawn from a seed. An entry holds a digest of the program that was
measured: what the compiler makes differently now is measured again, the rest is kept, unless
`--all` says otherwise (after a change of the RTL).
"""

import argparse
import hashlib
import json
import random
import sys
from dataclasses import replace
from pathlib import Path

from eftrain_hw import AcceleratorConfig, compile_network, nn, open_device, optim
from eftrain_hw.runtime.benchmark.layer import Layer, layer_program
from eftrain_hw.runtime.benchmark.measure import BYTES_PER_CYCLE

ROOT = Path(__file__).parents[1]
FILE = ROOT / "tests" / "compiler" / "rtl_cycles.json"
SEED, LAYERS, STEPS = 2026, 44, 6  # of each configuration
CONFIGS = {
    "16x16": {},
    "16x16, drain 8": {"drain_lanes": 8},
    "8x8": {"rows": 8, "lanes": 8, "moving_words": 256, "stationary_words": 256},
    "8x8, drain 8": {
        "rows": 8, "lanes": 8, "moving_words": 256, "stationary_words": 256, "drain_lanes": 8,
    },
}  # fmt: skip


def random_layer(rng, most):
    """Fields of a `Layer` of at most so many multiply-accumulates."""
    while True:
        batch = rng.choice((1, 1, 2, 3, 4, 5, 8, 16, 16, 32))
        relu = rng.random() < 0.7
        if rng.random() < 0.3:
            fields = {
                "kind": "linear",
                "in_channels": rng.choice((rng.randint(8, 200), 64 * rng.randint(1, 24))),
                "out_channels": rng.choice((10, rng.randint(5, 100), 64 * rng.randint(1, 8))),
            }
        else:
            kernel = rng.choice((1, 1, 1, 3, 3, 3, 3, 5, 7))
            stride = rng.choice((1, 1, 1, 2, 2, 3)) if rng.random() < 0.5 else 1
            channels = rng.choice((16, 32, 48, 64, 128)), rng.choice((16, 32, 48, 64, 128, 256))
            if rng.random() < 0.5:
                channels = rng.randint(3, 70), rng.randint(3, 90)
            first = rng.random() < 0.15
            fields = {
                "in_channels": rng.randint(1, 4) if first else channels[0],
                "out_channels": channels[1],
                "height": rng.randint(kernel, 30),
                "width": rng.randint(kernel, 30),
                "kernel": kernel,
                "stride": stride,
                "padding": rng.choice((0, kernel // 2, kernel // 2)),
                "first": first,
            }
        layer = Layer(batch=batch, relu=relu, **fields)
        if most // 100 < layer.macs <= most:
            return {"batch": batch, "relu": relu, **fields}


def random_network(rng):
    """A small CNN as data: input shape and layers."""
    side, channels = rng.choice((8, 12, 16, 20)), rng.choice((1, 3))
    shape, layers = (channels, side, side), []
    for stage in range(rng.randint(1, 3)):
        kernel = rng.choice((3, 3, 5))
        layers += [["conv", rng.choice((8, 16, 20, 32)) << stage, kernel, kernel // 2], ["relu"]]
        if rng.random() < 0.3:
            layers += [["conv", rng.choice((16, 24, 32)) << stage, 3, 1], ["relu"]]
        if side > 3:
            window = 3 if side % 3 == 0 and rng.random() < 0.5 else 2
            layers.append(["pool", window])
            side //= window
    layers.append(["flatten"])
    if rng.random() < 0.5:
        layers += [["linear", rng.choice((32, 64, 84))], ["relu"]]
    layers.append(["linear", 10])
    return {"shape": shape, "layers": layers}


def make_network(given):
    """The `nn.Sequential` that a dict of `random_network` describes."""
    channels, height, width = given["shape"]
    features, layers = 0, []
    for kind, *sizes in given["layers"]:
        if kind == "conv":
            outputs, kernel, padding = sizes
            layers.append(nn.Conv2d(channels, outputs, kernel, padding=padding))
            channels = outputs
        elif kind == "relu":
            layers.append(nn.ReLU())
        elif kind == "pool":
            layers.append(nn.MaxPool2d(sizes[0]))
            height, width = height // sizes[0], width // sizes[0]
        elif kind == "flatten":
            layers.append(nn.Flatten())
            features = channels * height * width
        else:
            layers.append(nn.Linear(features, sizes[0]))
            features = sizes[0]
    return nn.Sequential(*layers, input_shape=tuple(given["shape"]))


def corpus():
    """[(configuration's name, {"layer": ..} or {"network": .., "batch": ..})]."""
    work = []
    for name in CONFIGS:
        rng = random.Random(f"{SEED} {name}")
        most = 10_000_000 if name.startswith("16") else 2_500_000
        work += [(name, {"layer": random_layer(rng, most)}) for _ in range(LAYERS)]
        work += [
            (name, {"network": random_network(rng), "batch": rng.choice((2, 4, 8, 16))})
            for _ in range(STEPS)
        ]
    return work


def entry_program(config, entry):
    """The program of an entry; the descriptors of a network's step can be run one by one too.

    Raises
    ------
    ValueError
        A tile does not fit into the buffers.
    """
    if "layer" in entry:
        return layer_program(Layer(**entry["layer"]), config)
    program = compile_network(
        make_network(entry["network"]),
        config,
        batch_size=entry["batch"],
        loss=nn.CrossEntropyLoss(),
        optimizer=optim.SGD(lr=0.01, momentum=0.9),
    )
    whole = program.descriptors["train"]
    alone = {"train": whole}
    alone |= {program.tags[each.tag]: [replace(each, last=True)] for each in whole}
    addresses, end = {}, program.memory_bytes
    program = replace(program, descriptors=alone)
    for name in alone:
        addresses[name] = end
        end += -(-program.words(name).nbytes // 64) * 64
    return replace(program, addresses=addresses, memory_bytes=end)


def digest(program, name):
    """A short name of a program's words."""
    return hashlib.sha256(program.words(name).tobytes()).hexdigest()[:12]


def measure(device, entry):
    """Cycles, bytes and busy cycles of every program of an entry, by name."""
    program = entry_program(device.config, entry)
    device.load_program(program)
    runs = {}
    for name in program.descriptors:
        result = device.run(name, learning_rate=0.01, momentum=0.9)
        beats = result.counters["read_beats"] + result.counters["write_beats"]
        runs[name] = {
            "digest": digest(program, name),
            "cycles": result.cycles,
            "dram_bytes": beats * device.config.port_bytes,
            "mac_busy": result.counters["mac_busy"],
        }
    return runs


def stale(config, entry, old):
    """Whether an entry was not measured, or the compiler makes another program of it now."""
    if old is None:
        return True
    program = entry_program(config, entry)
    return {name: digest(program, name) for name in program.descriptors} != {
        name: run["digest"] for name, run in old["runs"].items()
    }


def main():
    """Measure what has to be measured; write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=FILE)
    parser.add_argument("--all", action="store_true", help="measure again what is there")
    parser.add_argument("--config", choices=CONFIGS, help="of this configuration only")
    arguments = parser.parse_args()
    kept, result = {}, []
    if arguments.output.exists():
        kept = {_key(e): e for e in json.loads(arguments.output.read_text())["entries"]}
    devices = {}
    for name, entry in corpus():
        entry = {"config": name, **entry}
        old = kept.get(_key(entry))
        config = AcceleratorConfig(**CONFIGS[name])
        if arguments.config not in (None, name):
            result += [old] if old else []
            continue
        try:
            if arguments.all or stale(config, entry, old):
                if name not in devices:
                    devices[name] = open_device("sim", config, bytes_per_cycle=BYTES_PER_CYCLE)
                old = {**entry, "runs": measure(devices[name], entry)}
        except ValueError as error:
            print(f"{name} {entry}: {error}", file=sys.stderr)
            continue
        result.append(old)
        lines = ",\n".join(json.dumps(each) for each in result)
        text = f'{{"configs": {json.dumps(CONFIGS)}, "entries": [\n{lines}\n]}}\n'
        arguments.output.write_text(text)
    for device in devices.values():
        device.close()
    print(f"{len(result)} entries in {arguments.output}")


def _key(entry):
    return json.dumps({k: v for k, v in entry.items() if k != "runs"}, sort_keys=True)


if __name__ == "__main__":
    main()
