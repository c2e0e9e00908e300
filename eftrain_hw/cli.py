"""The command `eftrain`."""

import argparse
import importlib
import json
import runpy
import sys
import time
from pathlib import Path

from . import __version__
from .config import PRESETS, AcceleratorConfig

__all__ = ["main"]


def _config(parser):
    parser.add_argument(
        "--config",
        "--preset",
        default="pynq-z2",
        metavar="FILE|PRESET",
        help=f"JSON file, or one of {', '.join(PRESETS)} (default: %(default)s)",
    )


def _device(parser):
    parser.add_argument(
        "--device", default="sim", help="golden, sim, serial or pynq (default: %(default)s)"
    )
    parser.add_argument(
        "--bitstream", metavar="FILE.bit", help="what --device pynq loads into the fabric"
    )
    parser.add_argument("--port", help="of --device serial (default: /dev/ttyUSB0)")
    parser.add_argument(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help="after which --device pynq or serial gives a step up (default: 60)",
    )


def _device_options(arguments):
    """What `open_device` is given besides the configuration."""
    names = ("bitstream", "port", "timeout")
    options = {name: getattr(arguments, name) for name in names}
    options = {name: value for name, value in options.items() if value is not None}
    if arguments.device == "pynq" and arguments.bitstream is None:
        raise ValueError("--device pynq needs --bitstream FILE.bit")
    return options


def _parser():
    parser = argparse.ArgumentParser(
        prog="eftrain", description="Generate, simulate and use a CNN training accelerator."
    )
    parser.add_argument("--version", action="version", version=f"eftrain {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train a network on a device")
    train.set_defaults(run=_train)
    _config(train)
    train.add_argument(
        "--data", required=True, help="digits, npz:FILE, idx:DIR (MNIST) or cifar10:DIR (binary)"
    )
    train.add_argument(
        "--network",
        required=True,
        metavar="FILE.py",
        help="Python file that defines `network`, an nn.Sequential",
    )
    _device(train)
    train.add_argument("--epochs", type=int, default=10, metavar="N", help="default: %(default)s")
    train.add_argument("--batch-size", type=int, default=32, metavar="N", help="default: 32")
    train.add_argument("--lr", type=float, default=0.05, help="default: %(default)s")
    train.add_argument("--momentum", type=float, default=0.9, help="default: %(default)s")
    train.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    train.add_argument("--json", type=Path, metavar="OUT", help="write history and result here")
    train.add_argument("--save", type=Path, metavar="FILE", help="write a checkpoint at the end")
    train.add_argument("--resume", type=Path, metavar="FILE", help="go on from a checkpoint")
    train.add_argument(
        "--trace", type=Path, metavar="OUT", help="write a step's timeline here, for Perfetto"
    )
    train.add_argument(
        "--trace-step", type=int, default=-1, metavar="N", help="from 0 on; default: the last"
    )
    train.add_argument("--quiet", action="store_true", help="no progress bar")

    verilog = commands.add_parser("verilog", help="write the accelerator's Verilog")
    verilog.set_defaults(run=_verilog)
    _config(verilog)
    verilog.add_argument(
        "--primitives",
        choices=("portable", "xilinx7"),
        default="xilinx7",
        help="dot products as DSP48E1 slices, or portable for simulation (default: %(default)s)",
    )
    target = verilog.add_mutually_exclusive_group()
    target.add_argument(
        "--output", type=Path, metavar="FILE", help="the accelerator alone (default: to stdout)"
    )
    target.add_argument(
        "-o",
        "--directory",
        type=Path,
        metavar="DIR",
        help="Verilog with AXI names, register map (JSON, C, SVD, Markdown) and IP-XACT",
    )

    selftest = commands.add_parser("selftest", help="check a device against stored answers")
    selftest.set_defaults(run=_selftest)
    _config(selftest)
    _device(selftest)
    selftest.add_argument("--json", type=Path, metavar="OUT", help="write the outcomes here")

    package = commands.add_parser("package", help="zip what a board needs: wheel, bitstream, data")
    package.set_defaults(run=_package)
    _config(package)
    package.add_argument("--bitstream", required=True, metavar="FILE.bit")
    package.add_argument("--hwh", metavar="FILE.hwh", help="default: the one beside the bitstream")
    package.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.zip")

    _bench_arguments(commands.add_parser("bench", help="cycles of a layer or a network on the RTL"))

    _plan_arguments(commands.add_parser("plan", help="cycles, traffic and limits, by the model"))

    _bitstream_arguments(commands.add_parser("bitstream", help="build a board's bitstream"))

    info = commands.add_parser("info", help="show a configuration and what follows from it")
    info.set_defaults(run=_info)
    _config(info)
    info.add_argument("--boards", action="store_true", help="list the boards instead")
    info.add_argument("--json", action="store_true", help="the configuration, or boards, as JSON")
    return parser


def _bench_arguments(bench):
    bench.set_defaults(run=_bench)
    bench.add_argument(
        "--config",
        "--preset",
        default="pynq-z2",
        metavar="FILE|PRESET",
        help=f"JSON file, or one of {', '.join(PRESETS)} (default: %(default)s)",
    )
    for name, what in (("rows", "rows"), ("lanes", "lanes")):
        bench.add_argument(f"--{name}", type=int, metavar="N", help=f"other {what} than --config's")
    bench.add_argument("--format", help="another format than --config's: bfp8 or fp32")
    bench.add_argument(
        "--network",
        metavar="NAME|FILE.py",
        help="a training step instead of a layer: vgg16, cifar, lenet5, digits, or a Python file",
    )
    bench.add_argument("--layer", default="conv", help="conv or linear (default: %(default)s)")
    for name, what in (
        ("in-channels", "or features of a linear layer"),
        ("out-channels", "or features of a linear layer"),
    ):
        bench.add_argument(f"--{name}", type=int, metavar="N", help=what)
    for name, default, what in (
        ("height", 32, "of the input map"),
        ("width", None, "of the input map (default: the height)"),
        ("kernel", 3, "both sides"),
        ("stride", 1, "both directions"),
        ("padding", None, "all sides (default: half the kernel)"),
    ):
        what = what if default is None else f"{what} (default: {default})"
        bench.add_argument(f"--{name}", type=int, metavar="N", help=what)
    bench.add_argument("--batch", type=int, default=16, metavar="N", help="default: %(default)s")
    bench.add_argument("--first", action="store_true", help="the network's first layer: no BP")
    bench.add_argument("--pass", dest="which", default="all", help="fp, bp, wu or all (default)")
    bench.add_argument("--seed", type=int, default=0, metavar="N", help="of the data (default: 0)")
    bench.add_argument("--json", type=Path, metavar="OUT", help="write the result here")
    bench.add_argument(
        "--trace", type=Path, metavar="OUT", help="with --network: write its timeline, for Perfetto"
    )


def _bitstream_arguments(bitstream):
    bitstream.set_defaults(run=_bitstream)
    bitstream.add_argument("--board", required=True, metavar="NAME", help="see info --boards")
    bitstream.add_argument(
        "--config", metavar="FILE|PRESET", help="default: the board's default preset"
    )
    bitstream.add_argument(
        "--toolchain", metavar="NAME", help="default: the first of the board's that is installed"
    )
    bitstream.add_argument(
        "--output", type=Path, metavar="DIR", help="default: build/<board>, which is made"
    )


def _plan_arguments(plan):
    plan.set_defaults(run=_plan)
    _config(plan)
    plan.add_argument(
        "--network",
        required=True,
        metavar="NAME|FILE.py",
        help="vgg16, cifar, lenet5 or digits; or a Python file that defines `network`",
    )
    plan.add_argument("--batch", type=int, default=16, metavar="N", help="default: %(default)s")
    for name in ("rows", "lanes"):
        plan.add_argument(f"--{name}", type=int, metavar="N", help=f"other {name} than --config's")
    plan.add_argument("--format", help="another format than --config's: bfp8 or fp32")
    plan.add_argument("--json", type=Path, metavar="OUT", help="write the passes and totals here")
    plan.add_argument(
        "--plot", type=Path, metavar="FILE.png", help="draw the passes under the roofline"
    )
    plan.add_argument(
        "--board", default="pynq-z2", help="whose FPGA it has to fit: pynq-z2 (default) or zcu102"
    )
    plan.add_argument(
        "--explore",
        action="store_true",
        help="other arrays, formats and buffers that fit the board: those that none beats",
    )


def _load_network(path):
    from .compiler import nn

    if not path.endswith(".py"):
        raise ValueError(f"--network must be a Python file, not {path!r}")
    try:
        names = runpy.run_path(path)
    except FileNotFoundError:
        raise ValueError(f"--network {path}: no such file") from None
    except SyntaxError as error:
        raise ValueError(f"--network {path}, line {error.lineno}: {error.msg}") from None
    network = names.get("network")
    if not isinstance(network, nn.Sequential | nn.Network):
        raise ValueError(
            f"--network {path} must define `network`, an nn.Sequential, not {network!r}"
        )
    return network


def _named_network(name):
    from .networks import NETWORKS

    if name not in NETWORKS and not name.endswith(".py"):
        known = ", ".join(NETWORKS)
        raise ValueError(f"--network must be one of {known}, or a Python file, not {name!r}")
    return NETWORKS[name]() if name in NETWORKS else _load_network(name)


def _train(arguments):
    from .compiler import compile_network, nn, optim
    from .runtime import Trainer, load_dataset, open_device
    from .runtime.timeline import write_trace

    config = AcceleratorConfig.load(arguments.config)
    network = _named_network(arguments.network)
    program = compile_network(
        network,
        config,
        batch_size=arguments.batch_size,
        loss=nn.CrossEntropyLoss(),
        optimizer=optim.SGD(lr=arguments.lr, momentum=arguments.momentum),
    )
    x, y, x_test, y_test = load_dataset(arguments.data)
    start = time.perf_counter()
    if arguments.trace and arguments.device == "golden":
        raise ValueError("--trace needs a device with a clock: --device sim, not golden")
    with open_device(arguments.device, config, **_device_options(arguments)) as device:
        if arguments.resume:
            trainer = Trainer.load(arguments.resume, device, program)
        else:
            trainer = Trainer(program, device, seed=arguments.seed)
        history = trainer.fit(
            x,
            y,
            epochs=arguments.epochs,
            validation=(x_test, y_test),
            progress=not arguments.quiet,
            profile_step=arguments.trace_step if arguments.trace else None,
        )
        result = trainer.evaluate(x_test, y_test)
        if arguments.save:
            trainer.save(arguments.save)
    if arguments.trace:
        write_trace(arguments.trace, trainer.profile)
    report = {
        "config": config.to_dict(),
        "build_id": f"{config.build_id:016x}",
        "device": arguments.device,
        "data": arguments.data,
        "seed": trainer.seed,
        "epochs": trainer.epoch,
        "test_loss": result["loss"],
        "test_accuracy": result["accuracy"],
        "wall_seconds": time.perf_counter() - start,
        "history": history.to_dict(),
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    print(f"test accuracy {result['accuracy']:.4f}, test loss {result['loss']:.4f}")


def _verilog(arguments):
    from .runtime.simulation import accelerator_verilog, export_verilog

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


def _selftest(arguments):
    from .runtime.selftest import selftest_command

    config = AcceleratorConfig.load(arguments.config)
    options = _device_options(arguments)
    selftest_command(config, arguments.device, options, arguments.json)


def _package(arguments):
    from .runtime.pynq_package import pack_board

    config = AcceleratorConfig.load(arguments.config)
    names = pack_board(
        arguments.output, config=config, bitstream=arguments.bitstream, hwh=arguments.hwh
    )
    print(f"{arguments.output}: {', '.join(names)}")


def _bench(arguments):
    from .runtime.benchmark import bench_command

    config = AcceleratorConfig.load(arguments.config)
    changes = {name: getattr(arguments, name) for name in ("rows", "lanes", "format")}
    try:
        config = config.replace(**{k: v for k, v in changes.items() if v is not None})
    except ValueError as error:
        raise ValueError(str(error).replace("AcceleratorConfig.", "--")) from None
    network = arguments.network
    bench_command(config, arguments, None if network is None else _named_network(network))


def _plan(arguments):
    from .compiler.devices import device_of
    from .compiler.plan import plan_step
    from .compiler.resources import resources

    device = device_of(arguments.board)
    if arguments.batch < 1:
        raise ValueError(f"--batch must be at least 1, not {arguments.batch}")
    config = AcceleratorConfig.load(arguments.config)
    changes = {name: getattr(arguments, name) for name in ("rows", "lanes", "format")}
    try:
        config = config.replace(**{k: v for k, v in changes.items() if v is not None})
    except ValueError as error:
        raise ValueError(str(error).replace("AcceleratorConfig.", "--")) from None
    network = _named_network(arguments.network)
    plan = plan_step(network, config, arguments.batch)
    used = resources(config)
    report = {**plan.to_dict(), "network": arguments.network, "resources": used.to_dict()}
    print("\n".join([*plan.table(), *used.table(device)]))
    if arguments.explore:
        report["pareto"] = _explore(network, config, arguments, device)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    if arguments.plot:
        from .compiler.roofline import write_roofline

        title = f"{Path(arguments.network).name}, batch {arguments.batch},"
        write_roofline(
            plan, arguments.plot, f"{title} {config.rows}x{config.lanes} {config.format}"
        )


def _explore(network, config, arguments, device):
    """Print the configurations for the board that none beats; return them as data."""
    from .compiler.explore import Point, explore, pareto

    front = pareto(explore(network, config, arguments.batch, device))
    if not front:
        raise ValueError(f"--explore: no configuration of this network fits {device}")
    print("\n".join(["", Point.HEAD, *(point.row() for point in front)]))
    return [point.to_dict() for point in front]


def _boards_module(name):
    """A module of `boards`, which needs what a board itself has not."""
    try:
        return importlib.import_module(f"boards.{name}")
    except ModuleNotFoundError as error:
        raise RuntimeError(f"boards need the package {error.name}, which is missing here") from None


def _bitstream(arguments):
    _boards_module("build").bitstream_command(arguments)


def _info(arguments):
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


def main(argv=None):
    """Run the command; returns the exit status: 0, 1 where the device failed, 2 for bad input."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (ValueError, TypeError, OSError) as error:
        print(f"eftrain {arguments.command}: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"eftrain {arguments.command}: {error}", file=sys.stderr)
        return 1
    except ImportError as error:  # as on a board, where NumPy is all there is
        missing = error.name or str(error)
        print(f"eftrain {arguments.command}: needs the package {missing!r}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"eftrain {arguments.command}: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
