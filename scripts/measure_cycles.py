"""Cycles and traffic of random layers, vector operations and training steps on the RTL, as data.

The analytical model is tested against them (tests/compiler/test_timing_corpus.py) without any
simulation. Layers and networks are listed, or drawn from a seed. An entry holds the words of the
programs that were measured, so that it stands whatever tiles the compiler chooses later. What is
there is kept, unless `--all` says otherwise (after a change of the RTL).
"""

import argparse
import base64
import json
import random
import sys
import zlib
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from eftrain_hw import AcceleratorConfig, compile_network, nn, open_device, optim
from eftrain_hw.runtime.benchmark.layer import Layer, layer_program
from eftrain_hw.runtime.benchmark.measure import BYTES_PER_CYCLE
from eftrain_hw.runtime.device import DeviceError
from eftrain_hw.sequencer.opcodes import BY_OPCODE
from eftrain_hw.sequencer.program_format import (
    FENCE,
    HEADER_WORDS,
    LINE_WORDS,
    LOOPS,
    Command,
    Descriptor,
    Patch,
)
from eftrain_hw.streams.command import CommandLayout

ROOT = Path(__file__).parents[1]
FILE = ROOT / "tests" / "compiler" / "rtl_cycles.json"
SEED = 2027
CONFIGS = {
    "16x16": {},
    "8x8": {"rows": 8, "lanes": 8, "moving_words": 256, "stationary_words": 256},
    "16x16, AXI3": {"axi": "axi3"},
    "16x16, drain 4": {"drain_lanes": 4},
    "8x8, drain 4": {
        "rows": 8, "lanes": 8, "moving_words": 256, "stationary_words": 256, "drain_lanes": 4,
    },
    "8x8, fp32": {"rows": 8, "lanes": 8, "format": "fp32"},
}  # fmt: skip
MOST = {"16x16": 4_000_000}  # multiply-accumulates of a random layer,
OTHERS = 1_200_000  # of other configurations
DRAWN = {"16x16": (24, 4), "8x8": (24, 4)}  # layers and networks that are drawn,
FEW = (10, 2)  # of other configurations


def _conv(channels, outputs, side, kernel, batch, **others):
    height, width = side if isinstance(side, tuple) else (side, side)
    fields = {"in_channels": channels, "out_channels": outputs, "height": height, "width": width}
    return {"batch": batch, "kernel": kernel, "padding": kernel // 2, **fields, **others}


def _linear(features, outputs, batch):
    return {"kind": "linear", "in_channels": features, "out_channels": outputs, "batch": batch}


LAYERS = [
    _conv(16, 16, 14, 3, 1),
    _conv(16, 32, 28, 3, 2, stride=2),
    _conv(3, 16, 32, 3, 2, first=True),
    _conv(1, 8, 28, 5, 4, first=True),
    _conv(3, 16, 32, 7, 2, first=True, stride=2),
    _conv(17, 31, (13, 9), 3, 3),
    _conv(32, 32, 7, 3, 16),
    _conv(6, 16, 14, 5, 8, padding=0),
    _conv(16, 24, 15, 7, 1, stride=2),
    _conv(64, 32, 8, 1, 4),
    _conv(32, 64, 14, 1, 2, stride=2),
    _conv(32, 16, 1, 1, 16),
    _linear(512, 10, 16),
    _linear(784, 64, 1),
    _linear(100, 100, 2),
    _linear(64, 64, 32),
]
"""Layers that are measured on every configuration: what networks are made of."""

NETWORKS = [
    (4, {"shape": (1, 27, 27), "layers": [["conv", 8, 5, 2], ["relu"], ["pool", 3],
         ["conv", 16, 3, 1], ["relu"], ["pool", 3], ["flatten"], ["linear", 10]]}),
    (2, {"shape": (3, 23, 17), "layers": [["conv", 16, 3, 1], ["relu"], ["pool", 2],
         ["conv", 24, 3, 1], ["relu"], ["pool", 4], ["flatten"], ["linear", 33], ["relu"],
         ["linear", 10]]}),
    (1, {"shape": (3, 32, 32), "layers": [["conv", 16, 3, 1], ["relu"], ["pool", 2],
         ["conv", 40, 3, 1], ["relu"], ["pool", 5], ["flatten"], ["linear", 10]]}),
]  # fmt: skip
"""The same of networks: (batch, network). Windows of 2 to 5, odd maps."""


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
        layers, networks = DRAWN.get(name, FEW)
        most = MOST.get(name, OTHERS)
        drawn = [random_layer(rng, most) for _ in range(layers)]
        work += [(name, {"layer": layer}) for layer in LAYERS + drawn]
        work += [(name, {"network": network, "batch": batch}) for batch, network in NETWORKS]
        work += [
            (name, {"network": random_network(rng), "batch": rng.choice((2, 4, 8))})
            for _ in range(networks)
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
    alone = {program.tags[each.tag]: [replace(each, last=True)] for each in whole}
    return with_descriptors(program, {"train": whole} | alone)


def with_descriptors(program, descriptors):
    """A program with these descriptors by name, behind all that is in its memory."""
    program = replace(program, descriptors=descriptors)
    addresses, end = {}, program.memory_bytes
    for name in descriptors:
        addresses[name] = end
        end += -(-program.words(name).nbytes // 64) * 64
    return replace(program, addresses=addresses, memory_bytes=end)


def packed(words):
    """Words of a program as text."""
    return base64.b85encode(zlib.compress(np.asarray(words, "<u4").tobytes(), 9)).decode()


@cache
def _layout(opcode, size):
    """The layout of a command of `size` words: without the fields that it has learned since."""
    layout = BY_OPCODE[opcode]
    if size == layout.words:
        return layout
    fields = [f for name, f in layout.fields.items() if layout.place(name)[0] < size]
    return CommandLayout(layout.name, opcode, fields)


def descriptors_of(text):
    """The `Descriptor`s that `packed` words encode."""
    words = np.frombuffer(zlib.decompress(base64.b85decode(text)), "<u4").tolist()
    found = []
    while words:
        length, tag, last, count = words[1:5]
        at, commands = HEADER_WORDS, []
        for _ in range(count):
            head, when = words[at : at + 2]
            size, patches = head >> 8 & 0xFF, head >> 16 & 0xFF
            layout = _layout(head & 0xFF, size)
            template, at = words[at + 2 : at + 2 + size], at + 2 + size
            command = Command(
                layout, layout.unpack(template), when & 0xFF, when >> 8, bool(head >> 24 & FENCE)
            )
            for _ in range(patches):
                what, value = words[at : at + 2]
                patch = Patch(what & 0xFF, what >> 8 & 0xFF, what >> 16, value)
                command.patches.append(patch)
                at += 2
            commands.append(command)
        found.append(Descriptor(tag, words[5 : 5 + LOOPS], commands, bool(last)))
        words = words[-(-length // LINE_WORDS) * LINE_WORDS :]
    return found


def measured_descriptors(entry):
    """By name, the descriptors of every program of an entry.

    A step is not stored: it consists of the others.
    """
    found = {
        name: descriptors_of(run["words"]) for name, run in entry["runs"].items() if "words" in run
    }
    if "network" in entry:
        parts = [part for (part,) in found.values()]
        found["train"] = [replace(part, last=part is parts[-1]) for part in parts]
    return found


def measure(device, program):
    """Cycles, bytes, busy cycles and words of every program, by name."""
    device.load_program(program)
    runs = {}
    for name in program.descriptors:
        result = device.run(name, learning_rate=0.01, momentum=0.9)
        beats = result.counters["read_beats"] + result.counters["write_beats"]
        runs[name] = {
            "cycles": result.cycles,
            "dram_bytes": beats * device.config.port_bytes,
            "mac_busy": result.counters["mac_busy"],
        }
        if name != "train":
            runs[name]["words"] = packed(program.words(name))
    return runs


def main():
    """Measure what has to be measured; write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=FILE)
    parser.add_argument("--all", action="store_true", help="measure again what is there")
    parser.add_argument("--config", choices=CONFIGS, help="of this configuration only")
    arguments = parser.parse_args()
    kept = {}
    if arguments.output.exists():
        kept = {_key(e): e for e in json.loads(arguments.output.read_text())["entries"]}
    work = [{"config": name, **entry} for name, entry in corpus()]
    devices = {}
    for entry in work:
        name = entry["config"]
        if arguments.config not in (None, name) or (_key(entry) in kept and not arguments.all):
            continue
        config = AcceleratorConfig(**CONFIGS[name])
        if name not in devices:
            devices[name] = open_device("sim", config, bytes_per_cycle=BYTES_PER_CYCLE)
        try:
            runs = measure(devices[name], entry_program(config, entry))
            kept[_key(entry)] = {**entry, "told": True, "runs": runs}
        except (ValueError, DeviceError) as error:  # a tile that does not fit; a step that hangs
            print(f"{name} {entry}: {error}", file=sys.stderr)
            continue
        result = [kept[_key(each)] for each in work if _key(each) in kept]
        lines = ",\n".join(json.dumps(each) for each in result)
        text = f'{{"configs": {json.dumps(CONFIGS)}, "entries": [\n{lines}\n]}}\n'
        arguments.output.write_text(text)
    for device in devices.values():
        device.close()
    print(f"{len(kept)} entries in {arguments.output}")


def _key(entry):
    return json.dumps({k: v for k, v in entry.items() if k not in ("runs", "told")}, sort_keys=True)


if __name__ == "__main__":
    main()
