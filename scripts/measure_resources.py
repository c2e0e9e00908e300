"""What yosys needs for some configurations, as data: `compiler.resources` is tested against them.

Each takes minutes to synthesise; what the file has already is kept, unless `--all` says otherwise.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import report

from boards.toolchains.xc7_cells import total
from eftrain_hw import AcceleratorConfig

FILE = Path(__file__).parents[1] / "tests" / "compiler" / "synthesis.json"
DOUBLED = {"moving_words": 1024, "stationary_words": 1024, "accumulator_depth": 1024}
CONFIGS = {
    "16x16": {"axi": "axi3"},
    "16x16 with all options": {"bfp16": True, "vector_programs": True},
    "32x16": {"rows": 32, "lut_chains": 10},
    "8x8 fp32": {"rows": 8, "lanes": 8, "format": "fp32"},
    "16x16 drain 4": {"drain_lanes": 4},
    "8x16": {"rows": 8},
    "16x8": {"lanes": 8},
    "8x8 small": {
        "rows": 8, "lanes": 8, "moving_words": 256, "stationary_words": 256, "pool_words": 512,
        "loss_words": 512, "bias_depth": 128, "descriptor_words": 1024,
    },
    "8x4 fp32, one port": {"rows": 8, "lanes": 4, "format": "fp32", "ports": 1},
    "one port": {"ports": 1},
    "four ports": {"ports": 4},
    "24x16 axi3": {"rows": 24, "axi": "axi3"},
    "16x8 fp32": {"lanes": 8, "format": "fp32"},
    "buffers doubled": DOUBLED,
    "32x32": {"rows": 32, "lanes": 32},
}  # fmt: skip


def measure(changes, folder):
    """Whole amounts of a configuration by column, and Yosys' version."""
    version, parts, _ = report.synthesis(AcceleratorConfig().replace(**changes), folder)
    whole = total(parts)
    columns = {"lut": "LUT", "ff": "FF", "dsp": "DSP48E1", "bram": "BRAM36"}
    return {"changes": changes, "yosys": version} | {
        name: whole[column] for name, column in columns.items()
    }


def main():
    """Synthesise what is missing; write the file after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=FILE)
    parser.add_argument("--all", action="store_true", help="measure again what is there")
    parser.add_argument("--only", action="append", choices=CONFIGS)
    arguments = parser.parse_args()
    found = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    for name in arguments.only or CONFIGS:
        if name in found and not arguments.all:
            continue
        with tempfile.TemporaryDirectory(prefix="eftrain-synthesis-") as folder:
            found[name] = measure(CONFIGS[name], Path(folder))
        print(f"{name}: {found[name]}", flush=True)
        arguments.output.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
