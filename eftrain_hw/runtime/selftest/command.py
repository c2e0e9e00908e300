"""The command `eftrain selftest`."""

import json
from dataclasses import asdict

from ..device import open_device
from .run import report_table, run_selftest

__all__ = ["selftest_command"]


def selftest_command(config, device_name, options, json_path=None):
    """Run the self-test, print its table; RuntimeError where something differs.

    Parameters
    ----------
    config : AcceleratorConfig
    device_name : str
    options : dict
        Of `open_device`.
    json_path : pathlib.Path or None
        Where to write the outcomes.
    """
    with open_device(device_name, config, **options) as device:
        print(
            f"self-test of device {device_name}: {config.rows}x{config.lanes} {config.format},"
            f" build id {config.build_id:016x}"
        )
        clock = getattr(device, "clock_hz", None)
        if clock:
            print(f"clock {clock / 1e6:.2f} MHz by the cycle counter; waits by {device.waits_by}")
        outcomes, source = run_selftest(device)
    print("\n".join(report_table(outcomes)))
    print(f"answers: {source}")
    if json_path:
        report = {
            "device": device_name,
            "config": config.to_dict(),
            "build_id": f"{config.build_id:016x}",
            "clock_hz": clock,
            "answers": source,
            "checks": [asdict(outcome) for outcome in outcomes],
        }
        json_path.write_text(json.dumps(report, indent=1) + "\n")
    failed = [outcome.name for outcome in outcomes if outcome.passed is False]
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(outcomes)} checks failed: {', '.join(failed)}")
