"""What the command `eftrain` understands."""

import argparse
from pathlib import Path

from .. import __version__
from ..config import PRESETS
from .formats import FORMAT_HELP
from .generate import bitstream_command, info_command, package_command, verilog_command
from .measure import bench_command, plan_command
from .memory import memory_arguments
from .train import selftest_command, train_command

__all__ = ["command_parser"]


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


def command_parser():
    parser = argparse.ArgumentParser(
        prog="eftrain", description="Generate, simulate and use a CNN training accelerator."
    )
    parser.add_argument("--version", action="version", version=f"eftrain {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train a network on a device")
    train.set_defaults(run=train_command)
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
    train.add_argument("--format", metavar="FORMAT", help=FORMAT_HELP)
    train.add_argument("--epochs", type=int, default=10, metavar="N", help="default: %(default)s")
    train.add_argument("--batch-size", type=int, default=32, metavar="N", help="default: 32")
    train.add_argument("--lr", type=float, default=0.05, help="default: %(default)s")
    train.add_argument("--momentum", type=float, default=0.9, help="default: %(default)s")
    train.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    train.add_argument("--json", type=Path, metavar="OUT", help="write history and result here")
    train.add_argument("--save", type=Path, metavar="FILE", help="checkpoint after each epoch")
    train.add_argument("--resume", type=Path, metavar="FILE", help="go on from a checkpoint")
    train.add_argument(
        "--trace", type=Path, metavar="OUT", help="write a step's timeline here, for Perfetto"
    )
    train.add_argument(
        "--trace-step", type=int, default=-1, metavar="N", help="from 0 on; default: the last"
    )
    train.add_argument("--quiet", action="store_true", help="no progress bar")

    verilog = commands.add_parser("verilog", help="write the accelerator's Verilog")
    verilog.set_defaults(run=verilog_command)
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
    selftest.set_defaults(run=selftest_command)
    _config(selftest)
    _device(selftest)
    selftest.add_argument("--json", type=Path, metavar="OUT", help="write the outcomes here")

    package = commands.add_parser("package", help="zip what a board needs: wheel, bitstream, data")
    package.set_defaults(run=package_command)
    _config(package)
    package.add_argument("--bitstream", required=True, metavar="FILE.bit")
    package.add_argument("--hwh", metavar="FILE.hwh", help="default: the one beside the bitstream")
    package.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.zip")

    _bench_arguments(commands.add_parser("bench", help="cycles of a layer or a network on the RTL"))

    _plan_arguments(commands.add_parser("plan", help="cycles, traffic and limits, by the model"))

    _bitstream_arguments(commands.add_parser("bitstream", help="build a board's bitstream"))

    info = commands.add_parser("info", help="show a configuration and what follows from it")
    info.set_defaults(run=info_command)
    _config(info)
    info.add_argument("--boards", action="store_true", help="list the boards instead")
    info.add_argument("--json", action="store_true", help="the configuration, or boards, as JSON")
    return parser


def _bench_arguments(bench):
    bench.set_defaults(run=bench_command)
    bench.add_argument(
        "--config",
        "--preset",
        default="pynq-z2",
        metavar="FILE|PRESET",
        help=f"JSON file, or one of {', '.join(PRESETS)} (default: %(default)s)",
    )
    for name, what in (("rows", "rows"), ("lanes", "lanes")):
        bench.add_argument(f"--{name}", type=int, metavar="N", help=f"other {what} than --config's")
    bench.add_argument("--format", metavar="FORMAT", help=FORMAT_HELP)
    bench.add_argument(
        "--network",
        metavar="NAME|FILE.py",
        help="a training step instead of a layer: cifar, resnet20 .., or a Python file",
    )
    _variant(bench)
    bench.add_argument("--layer", default="conv", help="conv or linear (default: %(default)s)")
    for name, what in (
        ("in-channels", "or features of a linear layer"),
        ("out-channels", "or features of a linear layer"),
    ):
        bench.add_argument(f"--{name}", type=int, metavar="N", help=what)
    for name, default, what in (
        ("height", 32, "of the input map"),
        ("width", None, "of the input map (default: the height)"),
    ):
        what = what if default is None else f"{what} (default: {default})"
        bench.add_argument(f"--{name}", type=int, metavar="N", help=what)
    for name, default, what in (
        ("kernel", 3, "both sides, or height and width"),
        ("stride", 1, "both directions, or vertical and horizontal"),
        ("padding", None, "the same (default: half the kernel)"),
        ("dilation", 1, "the same"),
    ):
        what = what if default is None else f"{what} (default: {default})"
        bench.add_argument(f"--{name}", type=_one_or_two, metavar="N|NxN", help=what)
    bench.add_argument("--groups", type=int, default=1, metavar="N", help="default: %(default)s")
    bench.add_argument("--transposed", action="store_true", help="ConvTranspose2d")
    bench.add_argument("--raw", action="store_true", help="fp32 outputs, as a network's last layer")
    bench.add_argument("--batch", type=int, default=16, metavar="N", help="default: %(default)s")
    bench.add_argument("--first", action="store_true", help="the network's first layer: no BP")
    bench.add_argument("--pass", dest="which", default="all", help="fp, bp, wu or all (default)")
    bench.add_argument("--seed", type=int, default=0, metavar="N", help="of the data (default: 0)")
    bench.add_argument("--json", type=Path, metavar="OUT", help="write the result here")
    bench.add_argument(
        "--trace", type=Path, metavar="OUT", help="with --network: write its timeline, for Perfetto"
    )


def _variant(command):
    for name, kind, what in (
        ("channels", float, "factor of the numbers of channels of a network of ours, such as 0.25"),
        ("image-size", int, "its images' height and width"),
        ("classes", int, "its classes"),
    ):
        command.add_argument(f"--{name}", type=kind, metavar="N", help=what)


def _one_or_two(text):
    """ "3" is 3, "3x5" is (3, 5)."""
    numbers = tuple(int(part) for part in text.split("x"))
    if len(numbers) > 2:
        raise ValueError
    return numbers if len(numbers) == 2 else numbers[0]


_one_or_two.__name__ = "size"  # what argparse calls it in its error


def _bitstream_arguments(bitstream):
    bitstream.set_defaults(run=bitstream_command)
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
    plan.set_defaults(run=plan_command)
    _config(plan)
    plan.add_argument(
        "--network",
        required=True,
        metavar="NAME|FILE.py",
        help="vgg16, resnet20, mobilenet-v1 .., or a Python file that defines `network`",
    )
    _variant(plan)
    plan.add_argument(
        "--train",
        nargs="+",
        metavar="NAME",
        help="freeze all but these layers, parameters, kinds (BatchNorm2d) or names (bias)",
    )
    plan.add_argument("--batch", type=int, default=16, metavar="N", help="default: %(default)s")
    for name in ("rows", "lanes"):
        plan.add_argument(f"--{name}", type=int, metavar="N", help=f"other {name} than --config's")
    plan.add_argument("--format", metavar="FORMAT", help=FORMAT_HELP)
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
    memory_arguments(plan)
