"""One command from a board's name to a bitstream, with a record of how it was made."""

import json
from datetime import UTC, datetime
from pathlib import Path

from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.runtime.pynq_package import pack_board

from . import find_board
from .board import BuildError
from .toolchains import find_toolchain
from .toolchains.toolchain import say, write

__all__ = ["bitstream_command", "build_bitstream", "choose_toolchain"]

AMOUNTS = ("lut", "ff", "dsp", "bram")


def choose_toolchain(board, name=None):
    """(Tool chain, versions) for a board: the one named, or the first that is installed.

    Raises
    ------
    ValueError
        The board has no such tool chain.
    BuildError
        It is not installed, or none is.
    """
    if name is not None:
        toolchain = find_toolchain(name)
        if name not in board.toolchains:
            raise ValueError(
                f"tool chain of {board.name} must be one of {', '.join(board.toolchains)},"
                f" not {name!r}"
            )
        versions = toolchain.find()
        if versions is None:
            raise BuildError(f"{name} is not installed. Looked for {toolchain.looks_for}.")
        return toolchain, versions
    chains = [find_toolchain(each) for each in board.toolchains]
    for toolchain in chains:
        versions = toolchain.find()
        if versions is not None:
            return toolchain, versions
    looked = "; ".join(f"{chain.name}: {chain.looks_for}" for chain in chains)
    raise BuildError(f"no tool chain for {board.name} is installed. Looked for {looked}.")


def build_bitstream(name, *, config=None, toolchain=None, directory=None):
    """Build a board's bitstream; `report.json` in the directory says what came of it.

    Parameters
    ----------
    name : str
        Of the board.
    config : str, path, AcceleratorConfig or None
        Preset or JSON file; None: the board's default preset.
    toolchain : str or None
        None: the first of the board's that is installed.
    directory : path or None
        None: build/<board>.

    Returns
    -------
    dict
        The content of `report.json`; `bitstream` is None where the tool chain makes none.

    Raises
    ------
    ValueError
        Unknown board, tool chain or configuration, or one that the device cannot hold.
    BuildError
        A tool is missing or failed, or timing is not met.
    """
    board = find_board(name)
    config = board.default_preset if config is None else config
    if not isinstance(config, AcceleratorConfig):
        config = AcceleratorConfig.load(config)
    board.check(config)
    missing = board.missing(config)
    if missing:
        raise ValueError(
            f"a {config.rows}x{config.lanes} {config.format} accelerator does not fit"
            f" {board.name}: {'; '.join(missing)}"
        )
    chain, versions = choose_toolchain(board, toolchain)
    _check_packages(board, chain)
    warnings = chain.check(board, config)
    directory = Path(directory or Path("build") / board.name)
    directory.mkdir(parents=True, exist_ok=True)
    report_file = directory / "report.json"
    report_file.unlink(missing_ok=True)
    tools = ", ".join(f"{tool} {version}" for tool, version in versions.items())
    say(f"{board.name} ({board.device}), {config.rows}x{config.lanes} {config.format},")
    say(f"{config.clock_hz / 1e6:g} MHz, build id {config.build_id:016x}; {chain.name}: {tools}")
    for warning in warnings:
        say(f"warning: {warning}")
    about = {
        "board": board.name,
        "device": board.device,
        "toolchain": chain.name,
        "build_id": f"{config.build_id:016x}",
        "clock_mhz": config.clock_hz / 1e6,
        "tools": versions,
        "warnings": warnings,
        "config": config.to_dict(),
    }
    try:
        result = chain.build(board, config, board.make_top(config), directory)
    except BuildError as error:
        _write_report(report_file, board, about, {"bitstream": None, "error": str(error)})
        raise
    package = _package(board, config, directory, result.get("bitstream"))
    return _write_report(report_file, board, about, {**result, "package": package})


def _package(board, config, directory, bitstream):
    """Zip what a board that runs PYNQ needs; its name, or None."""
    if bitstream is None or not (directory / bitstream).with_suffix(".hwh").is_file():
        return None
    archive = directory / f"eftrain-{board.name}-board.zip"
    pack_board(archive, config=config, bitstream=directory / bitstream, board=board.name)
    return archive.name


def _check_packages(board, chain):
    try:
        board.make_platform(chain.name)
    except ModuleNotFoundError as error:
        raise BuildError(
            f"{board.name} needs the package {(error.name or '').replace('_', '-')}:"
            " pip install 'eftrain_hw[boards]', which `make bitstream` does by itself"
        ) from None


def _write_report(file, board, about, result):
    report = {
        **about,
        "bitstream": None,
        **dict.fromkeys(AMOUNTS),
        "logic_levels": None,
        "fmax_mhz": None,
        "package": None,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        **result,
    }
    for each in AMOUNTS:
        report[each] = {"used": report[each], "available": board.resources[each]}
    if report["bitstream"] is not None:
        report["bitstream"] = str(file.parent / report["bitstream"])
    write(file, json.dumps(report, indent=1) + "\n")
    return report


def bitstream_command(arguments):
    """`eftrain bitstream` and `make bitstream`: build, and say in a few lines what came of it.

    Raises
    ------
    ValueError, BuildError
        As `build_bitstream`; BuildError too where the tool chain makes no bitstream.
    """
    report = build_bitstream(
        arguments.board,
        config=arguments.config,
        toolchain=arguments.toolchain,
        directory=arguments.output,
    )
    shares = ", ".join(
        f"{report[each]['used']:,g} {each.upper()}"
        f" ({report[each]['used'] / report[each]['available']:.0%})"
        for each in AMOUNTS
        if report[each]["used"] is not None
    )
    say(f"{report['device']}: {shares}")
    if report["fmax_mhz"] is not None:
        say(f"clock: {report['fmax_mhz']:g} MHz reached, {report['clock_mhz']:g} MHz needed")
    where = Path(arguments.output or Path("build") / report["board"]) / "report.json"
    if report["bitstream"] is None:
        board = find_board(report["board"])
        looked = "; ".join(
            f"{name}: {find_toolchain(name).looks_for}"
            for name in board.toolchains
            if find_toolchain(name).makes_bitstream
        )
        steps = "\n".join(f"  - {step}" for step in report.get("next", ()))
        raise BuildError(
            f"no bitstream was made: {report['toolchain']} makes none. Looked for {looked}.\n"
            f"What there is: {where}. Ways on:\n{steps}"
        )
    say(f"bitstream {report['bitstream']}; report {where}")
    if report["package"] is not None:
        say(f"to copy to the board: {where.parent / report['package']} (docs/pynq.md)")
