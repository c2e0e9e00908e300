"""Speed of the simulation device: clock cycles a second of training steps of the demo's network."""

import argparse
import json
import runpy
import time
from pathlib import Path

from eftrain_hw import AcceleratorConfig, Trainer, open_device
from eftrain_hw.runtime import load_dataset

HERE = Path(__file__).parent
BAR = 300_000


def main():
    """Run the benchmark and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="pynq-z2", help="preset or JSON file")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", type=Path, default=HERE.parent / "build" / "bench.json")
    arguments = parser.parse_args()
    config = AcceleratorConfig.load(arguments.config)
    demo = runpy.run_path(str(HERE / "demo.py"))
    x, y, _, _ = load_dataset("digits")

    start = time.perf_counter()
    with open_device("sim", config) as device:
        opened = time.perf_counter() - start
        trainer = Trainer(demo["program"](config), device, seed=0)
        start = time.perf_counter()
        while time.perf_counter() - start < arguments.seconds:
            trainer.fit(x[:320], y[:320], progress=False)
        cycles, seconds = device.run_cycles, device.run_seconds
        share = device.run_seconds / (time.perf_counter() - start)
    speed = cycles / seconds
    print(f"open device         {opened:.1f} s (compiles the RTL if the cache has no such design)")
    print(f"simulation speed    {speed:,.0f} cycles/s over {cycles:,} cycles (bar: {BAR:,})")
    print(f"share of wall time  {share:.0%} in the simulation, the rest in Python")
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    report = {"sim_cycles_per_second": speed, "open_seconds": opened, "config": config.to_dict()}
    arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
