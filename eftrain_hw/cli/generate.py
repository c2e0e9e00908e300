"""`eftrain verilog`, `package`, `bitstream`, `info`."""

import importlib
import json
import sys

from ..config import AcceleratorConfig

__all__ = ["bitstream_command", "info_command", "package_command", "verilog_command"]


def verilog_command(arguments):
    from ..runtime.simulation import accelerator_verilog, export_verilog

    config = AcceleratorConfig.load(arguments.config)
    if arguments.directory:
        for path in export_verilog(config, arguments.directory, primitives=arguments.primitives):
            print(path)
        return
    text = accelerator_verilog(config, primitives=arguments.primitives)
    if arguments.output:
        arguments.output.write_text(text)
    else:
        sys.stdout.write(text)


def package_command(arguments):
    from ..runtime.pynq_package import pack_board

    config = AcceleratorConfig.load(arguments.config)
    names = pack_board(
        arguments.output, config=config, bitstream=arguments.bitstream, hwh=arguments.hwh
    )
    print(f"{arguments.output}: {', '.join(names)}")


def _boards_module(name):
    """A module of `boards`, which needs what a board itself has not."""
    try:
        return importlib.import_module(f"boards.{name}")
    except ModuleNotFoundError as error:
        raise RuntimeError(f"boards need the package {error.name}, which is missing here") from None


def bitstream_command(arguments):
    _boards_module("build").bitstream_command(arguments)


def info_command(arguments):
    if arguments.boards:
        listing = _boards_module("listing")
        values = listing.boards_values()
        lines = listing.boards_table(values)
        print(json.dumps(values, indent=1) if arguments.json else "\n".join(lines))
        return
    config = AcceleratorConfig.load(arguments.config)
    if arguments.json:
        print(json.dumps(config.to_dict(), indent=1))
        return
    for name, value in config.to_dict().items():
        print(f"{name:20} {value}")
    macs = config.rows * config.lanes
    print(f"{'MACs a cycle':20} {macs}")
    print(f"{'peak':20} {2e-9 * macs * config.clock_hz:.1f} GOP/s at {config.clock_hz / 1e6:g} MHz")
    print(f"{'build id':20} {config.build_id:016x}")
