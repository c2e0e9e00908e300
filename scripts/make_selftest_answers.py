"""Writes the self-test's stored answers: `python scripts/make_selftest_answers.py`."""

from eftrain_hw import AcceleratorConfig
from eftrain_hw.runtime.selftest import golden_answers, stored_path
from eftrain_hw.runtime.selftest.answers import save_answers

# the presets' formats and lanes, and the smallest array
CONFIGS = (
    AcceleratorConfig.preset("pynq-z2"),
    AcceleratorConfig.preset("pynq-z2-fp32"),
    AcceleratorConfig.preset("sim-small"),
    AcceleratorConfig(rows=4, lanes=4),
)


def main():
    for config in CONFIGS:
        path = stored_path(config)
        path.parent.mkdir(exist_ok=True)
        save_answers(path, golden_answers(config))
        print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
