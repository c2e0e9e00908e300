"""Cycles of layers and training steps on the RTL, and how fast the tools are.

Writes build/bench.json and docs/performance.md; ends with status 1 where the RTL and the golden
model differ. The RTL is compiled afresh, so that the time that this takes is known. A
program that was measured before, with the same RTL, is not measured again: build/bench holds it.
"""

import argparse
import json
import os
import runpy
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from bench_cache import known, remember
from bench_layers import CIFAR_BATCHES, EF_TRAIN_STEP, LAYERS, bar_of
from bench_table import performance_page

from eftrain_hw import AcceleratorConfig, Trainer, compile_network, nn, open_device, optim
from eftrain_hw.compiler.timing import descriptor_time
from eftrain_hw.networks import cifar_cnn, vgg16
from eftrain_hw.runtime import load_dataset
from eftrain_hw.runtime.benchmark import LayerBench, ideal_cycles, model_cycles
from eftrain_hw.runtime.benchmark.layer import layer_program
from eftrain_hw.runtime.benchmark.measure import BYTES_PER_CYCLE
from eftrain_hw.runtime.simulation import accelerator_verilog

ROOT = Path(__file__).parents[1]
BAR = 300_000  # simulated cycles a second


def say(text):
    """Print a line of progress at once."""
    print(f"[bench] {text}", flush=True)


def tool_speeds(config, seconds):
    """Seconds to generate and compile, and simulated cycles a second of the demo's training."""
    start = time.perf_counter()
    accelerator_verilog(config)
    generated = time.perf_counter() - start
    demo = runpy.run_path(str(Path(__file__).parent / "demo.py"))
    x, y, _, _ = load_dataset("digits")
    start = time.perf_counter()
    with open_device("sim", config) as device:
        opened = time.perf_counter() - start
        trainer = Trainer(demo["program"](config), device, seed=0)
        start = time.perf_counter()
        while time.perf_counter() - start < seconds:
            trainer.fit(x[:320], y[:320], progress=False)
        speed = device.run_cycles / device.run_seconds
    return {
        "generate_seconds": generated,
        "compile_seconds": max(0.0, opened - generated),
        "open_seconds": opened,
        "sim_cycles_per_second": speed,
    }


def modelled(config, layer, program, which):
    """What is known of a pass that was not measured."""
    (descriptor,) = program.descriptors[which]
    ideal = layer.macs / (config.rows * config.lanes)
    beats = descriptor_time(config, descriptor).dram_beats
    return {
        "layer": str(layer),
        "pass": which,
        "batch": layer.batch,
        "ideal_cycles": ideal,
        "roofline_cycles": max(ideal, beats * config.bus_bytes / BYTES_PER_CYCLE),
        "rtl_cycles": None,
        "bit_exact": None,
    }


def bench_layer(config, layer, measure=True):
    """Reports of a layer's passes; those that were measured before are not measured again."""
    program = layer_program(layer, config)
    reports = {which: known(config, layer, program, which) for which in layer.passes}
    missing = [which for which, report in reports.items() if report is None]
    if missing and not measure:
        reports |= {which: modelled(config, layer, program, which) for which in missing}
    elif missing:
        with LayerBench(layer, config) as bench:
            for which in missing:
                reports[which] = bench.run(which)
                remember(config, layer, program, which, reports[which])
    for which, report in reports.items():
        report |= {"model_cycles": model_cycles(program, which), "bar": bar_of(layer)}
    return list(reports.values())


def step_program(network, config, batch):
    """A compiled training step."""
    return compile_network(
        network,
        config,
        batch_size=batch,
        loss=nn.CrossEntropyLoss(),
        optimizer=optim.SGD(lr=0.05, momentum=0.9),
    )


def bench_step(config, batch, measure=True):
    """One training step of the CIFAR CNN, on the RTL and on the golden model."""
    program = step_program(cifar_cnn(), config, batch)
    found = known(config, "step", program, "train")
    if found is not None:
        return {**found, "model_cycles": model_cycles(program, "train")}
    if not measure:
        cycles = ideal_cycles(program), model_cycles(program, "train")
        return _by_model("CIFAR CNN", batch, *cycles)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, 3, 32, 32)).astype(np.float32)
    y = rng.integers(0, 10, batch)
    learned, cycles = [], 0
    for name in ("sim", "golden"):
        with open_device(name, config) as device:
            trainer = Trainer(program, device, seed=0)
            trainer.fit(x, y, epochs=1, progress=False)
            values = [*trainer.state_dict().values(), *trainer.momentum_dict().values()]
            learned.append([value.tobytes() for value in values])
            cycles = cycles or trainer.history.steps[0]["cycles"]
    report = {
        "network": "CIFAR CNN",
        "batch": batch,
        "ideal_cycles": ideal_cycles(program),
        "rtl_cycles": cycles,
        "model_cycles": model_cycles(program, "train"),
        "ef_train": None,
        "bit_exact": learned[0] == learned[1],
    }
    remember(config, "step", program, "train", report)
    return report


def _by_model(name, batch, ideal, model, ef_train=None):
    cycles = {"ideal_cycles": ideal, "rtl_cycles": None, "model_cycles": model}
    return {"network": name, "batch": batch, **cycles, "ef_train": ef_train, "bit_exact": None}


def vgg16_steps(config):
    """VGG-16's training step by the model alone: its convolutions, and everything."""
    program = step_program(vgg16(), config, 16)
    convolutions = [op for op in program.ops if ".Conv2d" in op.name]
    suffixes = ("forward", "backward", "weight gradient")
    names = {f"{op.name} {suffix}" for op in convolutions for suffix in suffixes}
    alone = replace(program, descriptors={})
    for descriptor in program.descriptors["train"]:
        name = program.tags[descriptor.tag]
        if name in names:
            alone.descriptors[name] = [descriptor]
    parts = [model_cycles(alone, name) for name in alone.descriptors]
    total = None if None in parts else sum(parts)
    ideal = ideal_cycles(program, convolutions)
    return [
        _by_model("VGG-16, convolutions", 16, ideal, total, EF_TRAIN_STEP),
        _by_model("VGG-16", 16, ideal_cycles(program), model_cycles(program, "train")),
    ]


def measure(config, sections, jobs, afresh=True):
    """Reports of layers and steps, `jobs` at a time, the shortest first: most is soon known."""
    work = [(section, layer) for section in sections for layer in LAYERS[section]]
    order = sorted(range(len(work)), key=lambda k: work[k][1].macs)
    reports = {}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(bench_layer, config, work[k][1], afresh): k for k in order}
        steps = [pool.submit(bench_step, config, batch, afresh) for batch in CIFAR_BATCHES]
        for done in as_completed(running):
            section, _ = work[running[done]]
            reports[running[done]] = [{"section": section, **report} for report in done.result()]
            for report in reports[running[done]] if afresh else ():
                say(
                    f"{report['layer']:28} {report['pass']}  {report['rtl_cycles']:10,} cycles"
                    f" {report['utilisation']:7.1%}{'' if report['bit_exact'] else '  WRONG BITS'}"
                )
        layers = [report for k in range(len(work)) for report in reports[k]]
        return layers, [*(step.result() for step in steps), *vgg16_steps(config)]


def measured_speeds(config, arguments):
    """`tool_speeds`, with a cache of their own unless `--cached`."""
    with tempfile.TemporaryDirectory(prefix="eftrain-bench-") as cache:
        if not arguments.cached:
            os.environ["EFTRAIN_CACHE"] = cache
        speeds = tool_speeds(config, arguments.seconds)
        say(f"generated in {speeds['generate_seconds']:.1f} s,"
            f" compiled in {speeds['compile_seconds']:.0f} s,"
            f" {speeds['sim_cycles_per_second']:,.0f} cycles/s (bar: {BAR:,})")  # fmt: skip
    return speeds


def main():
    """Run the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="pynq-z2", help="preset or JSON file")
    parser.add_argument("--seconds", type=float, default=5.0, help="of the simulation's speed")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="default: processors")
    parser.add_argument(
        "--section",
        action="append",
        choices=LAYERS,
        help="measure only these layers, and leave the page as it is",
    )
    parser.add_argument(
        "--cached", action="store_true", help="take the compiled RTL from the cache"
    )
    parser.add_argument(
        "--known", action="store_true", help="measure nothing: write what is known, and the model"
    )
    arguments = parser.parse_args()
    config = AcceleratorConfig.load(arguments.config)
    sections = arguments.section or LAYERS
    layers, steps = measure(config, sections, arguments.jobs, not arguments.known)
    speeds = {} if arguments.known else measured_speeds(config, arguments)
    report = {**speeds, "layers": layers, "steps": steps, "config": config.to_dict()}
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    if not arguments.section:
        arguments.page.write_text(performance_page(report))
    wrong = [entry for entry in (*layers, *steps) if entry["bit_exact"] is False]
    say(f"{len(layers)} passes, {len(wrong)} wrong; {arguments.json}, {arguments.page}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
